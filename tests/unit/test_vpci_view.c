/* SPDX-License-Identifier: MIT */
/* What a guest's buses may be, and what a view takes (M46, P2). */
#include <berth_port.h>

#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CAP_MSIX 0x11

static unsigned fail_at, allocations;

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    return fail_at && ++allocations == fail_at ? NULL : __real_port_alloc(size);
}

static struct rig rig;
static struct berth_domain *guest, *guest2;
static const struct sbdf card = {0, 0, 0x18}, card2 = {0, 0, 0x20};

/* Both cards have 64 vectors. */
static int setup(void **state)
{
    const struct sbdf *const cards[] = {&card, &card2};

    (void)state;
    fail_at = 0;
    rig_begin(&rig);
    for (unsigned i = 0; i < 2; i++) {
        struct capture_function *f = mb_rc_endpoint(&rig.builder, *cards[i]);

        mb_put(f, mb_find_cap(f, CAP_MSIX) + 2, 2, 63);
    }
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    guest2 = rig_guest(&rig, "vm2");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest2);
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

static void set_view(struct berth_domain *domain, const struct berth_view_config *config)
{
    assert_int_equal(berth_domain_set_view(domain, config), 0);
}

static const struct berth_window apart[] = {
    {.start = 0x1000, .length = 0x1000},
    {.start = 0x2000, .length = 0x1000},          /* next to one another */
    {.start = 0x1000, .length = 0x1000, .io = 1}, /* another space */
    {.start = 0xe000, .length = 0x2000, .io = 1}, /* up to its end */
};
static const struct berth_window empty[] = {{.start = 0x1000, .length = 0}};
static const struct berth_window wrapped[] = {{.start = UINT64_MAX - 0xfff, .length = 0x2000}};
static const struct berth_window beyond[] = {{.start = 0xf000, .length = 0x1001, .io = 1}};
static const struct berth_window over[] = {{.start = 0x10000, .length = 0x10000},
                                           {.start = 0x1ffff, .length = 1}};
static const struct berth_window inside[] = {{.start = 0x18000, .length = 0x1000},
                                             {.start = 0x10000, .length = 0x10000}};
static const struct berth_window many[BERTH_WINDOWS_MAX + 1];

static const struct berth_view_config unfit[] = {
    {.first_bus = 249},
    {.first_bus = 255, .bus_count = 2},
    {.bus_count = 255, .port_count = 2},
    {.port_count = BERTH_PORTS_MAX + 1},
    {.piece_size = 1},
    {.piece_size = 0x1800},
    {.piece_size = BERTH_PIECE_MAX + BERTH_PAGE_SIZE},
    {.window_count = 1},
    {.windows = empty, .window_count = COUNT(empty)},
    {.windows = wrapped, .window_count = COUNT(wrapped)},
    {.windows = beyond, .window_count = COUNT(beyond)},
    {.windows = over, .window_count = COUNT(over)},
    {.windows = inside, .window_count = COUNT(inside)},
    {.windows = many, .window_count = COUNT(many)},
};

static void test_M46_views_that_cannot_be(void **state)
{
    static const struct berth_view_config config = {.windows = apart, .window_count = COUNT(apart)};
    struct berth_domain *others[] = {berth_machine_hwdom(rig.machine),
                                     berth_machine_quarantine(rig.machine),
                                     berth_machine_hidden(rig.machine)};

    (void)state;
    for (unsigned i = 0; i < COUNT(unfit); i++)
        assert_int_equal(berth_domain_set_view(guest, &unfit[i]), -EINVAL);
    for (unsigned i = 0; i < COUNT(others); i++)
        assert_int_equal(berth_domain_set_view(others[i], &config), -EINVAL);
    set_view(guest, &config); /* what was refused has left nothing */
    assert_int_equal(berth_domain_set_view(guest, &config), -EBUSY);
    assert_int_equal(rig_assign(&rig, card, guest2), 0);
    assert_int_equal(berth_domain_set_view(guest2, &config), -EBUSY);
    assert_int_equal(rig_deassign(&rig, card, guest2), 0);
    assert_int_equal(berth_domain_set_view(guest2, &config), -EBUSY);
}

static void test_P2_no_memory_for_a_view(void **state)
{
    static const struct berth_view_config config = {
        .windows = apart, .window_count = COUNT(apart), .port_count = 2};
    int error = -ENOMEM;

    (void)state;
    for (fail_at = 1; error; fail_at++) {
        allocations = 0;
        error = berth_domain_set_view(guest, &config);
        assert_true(!error || error == -ENOMEM);
    }
    assert_true(fail_at > 10);
    fail_at = 0;
    assert_int_equal(rig_assign_at(&rig, card, guest, at(7, 1, 0)), 0);
}

static void test_M46_bus_numbers_up_to_the_last(void **state)
{
    static const struct berth_view_config config = {.first_bus = 255, .bus_count = 1};

    (void)state;
    set_view(guest, &config);
    assert_int_equal(rig_assign_at(&rig, card, guest, at(255, 31, 0)), 0);
    assert_int_equal(rig_assign_at(&rig, card2, guest, at(255, 31, 7)), 0);
    assert_true(sbdf_equal(rig_seen(&rig, card2), at(255, 31, 7)));
    assert_int_equal(rig_reach(guest), 2);
}

/* ---- the size of it ---- */

static void test_M44_a_view_with_64_vectors_takes_8_kib_at_most(void **state)
{
    struct pcidev *dev = rig_dev(&rig, card);

    (void)state;
    assert_int_equal(berth_view_size(dev), 0);
    assert_int_equal(rig_assign(&rig, card, guest), 0);
    assert_in_range(berth_view_size(dev), 64 * 16, 8192); /* 64 messages at least */
    print_message("  %zu bytes\n", berth_view_size(dev));
    assert_int_equal(rig_deassign(&rig, card, guest), 0);
    assert_int_equal(berth_view_size(dev), 0);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M46_views_that_cannot_be),
        TEST(test_P2_no_memory_for_a_view),
        TEST(test_M46_bus_numbers_up_to_the_last),
        TEST(test_M44_a_view_with_64_vectors_takes_8_kib_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
