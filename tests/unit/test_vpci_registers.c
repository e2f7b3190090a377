/* SPDX-License-Identifier: MIT */
/* Registers that an embedder adds to a view and removes (M40, V3, V7). */
#include <pthread.h>

#include <berth_port.h>

#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID 0x00101b36u

static bool no_memory;

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    return no_memory ? NULL : __real_port_alloc(size);
}

static struct rig rig;
static struct rig_vm vm;
static struct sbdf seen;
static struct pcidev *dev;

static const struct sbdf hidden_at[] = {{0, 6, 0}}; /* rig_nvme2 */

static void hide(struct berth_machine_config *config)
{
    config->hidden = hidden_at;
    config->hidden_count = 1;
}

static int setup(void **state)
{
    (void)state;
    no_memory = false;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, hide);
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    seen = rig_seen(&rig, rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_put(dev);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static uint64_t get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(vm.domain, seen, reg, length);
}

static void set(unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(vm.domain, seen, reg, length, value);
}

static const struct berth_register plain = {
    .offset = 0xa00, .size = 4, .reset = 0x11223344, .rw = UINT32_MAX};

/* ---- what is refused ---- */

static const struct berth_register unfit[] = {
    {.offset = 0xa00, .size = 0},
    {.offset = 0xa00, .size = 3, .rw = 1},
    {.offset = 0xa00, .size = 8, .rw = 1},
    {.offset = 0xa00, .size = 255, .rw = 1},
    {.offset = 0xa01, .size = 2, .rw = 1},
    {.offset = 0xa01, .size = 4, .rw = 1},
    {.offset = 0xa02, .size = 4, .rw = 1},
    {.offset = 0x1000, .size = 1, .rw = 1},
    {.offset = 0xfffc, .size = 4, .rw = 1},
    /* masks that leave the size */
    {.offset = 0xa00, .size = 1, .rw = 0x100},
    {.offset = 0xa00, .size = 2, .ro = 0x10000},
    {.offset = 0xa00, .size = 2, .rsvdz = 0x80000000},
    /* reserved bits in the reset value, bits of no kind, bits beyond the size */
    {.offset = 0xa00, .size = 4, .reset = 0x10, .rsvdz = 0x10},
    {.offset = 0xa00, .size = 4, .reset = 0x20, .rw = 0x10},
    {.offset = 0xa00, .size = 1, .reset = 0x101, .rw = 0xff},
};

static void test_M40_what_is_no_register(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(unfit); i++)
        assert_int_equal(berth_register_add(dev, &unfit[i], NULL), -EINVAL);
    assert_int_equal(get(0xa00, 8), 0);
}

static void test_M40_no_bit_is_in_two_masks(void **state)
{
    struct berth_register desc = {.offset = 0xa00, .size = 4};
    uint32_t *const masks[] = {&desc.ro, &desc.rw, &desc.rw1c, &desc.rsvdp, &desc.rsvdz};

    (void)state;
    for (unsigned i = 0; i < COUNT(masks); i++) {
        for (unsigned k = 0; k < COUNT(masks); k++) {
            *masks[i] = 0x0000ff00;
            *masks[k] |= 0x00010000 | (k == i ? 0 : 0x8000);
            assert_int_equal(berth_register_add(dev, &desc, NULL), k == i ? 0 : -EINVAL);
            if (k == i)
                assert_int_equal(berth_register_remove(dev, 0xa00, 4), 0);
            *masks[i] = *masks[k] = 0;
        }
    }
}

static void test_M40_a_place_is_taken_once(void **state)
{
    static const struct berth_register others[] = {
        {.offset = 0xa00, .size = 4, .rw = 1}, {.offset = 0xa00, .size = 1, .rw = 1},
        {.offset = 0xa03, .size = 1, .rw = 1}, {.offset = 0xa02, .size = 2, .rw = 1},
        {.offset = 0x000, .size = 2, .rw = 1}, /* the header */
        {.offset = 0x006, .size = 1, .rw = 1}, {.offset = 0x010, .size = 4, .rw = 1},
    };
    static const struct berth_register small = {.offset = 0xa0a, .size = 1, .rw = 0xff};
    static const struct berth_register around = {.offset = 0xa08, .size = 4, .rw = 1};

    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    for (unsigned i = 0; i < COUNT(others); i++)
        assert_int_equal(berth_register_add(dev, &others[i], NULL), -EEXIST);
    assert_int_equal(berth_register_add(dev, &small, NULL), 0);
    assert_int_equal(berth_register_add(dev, &around, NULL), -EEXIST);
    assert_int_equal(get(0xa00, 4), 0x11223344);
    assert_int_equal(get(0, 4), ID);
}

static void test_M40_no_memory_changes_nothing(void **state)
{
    static const struct berth_register fresh = {.offset = 0xb00, .size = 4, .reset = 5, .rw = 5};

    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    no_memory = true;
    assert_int_equal(berth_register_add(dev, &fresh, NULL), -ENOMEM);
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), -ENOMEM);
    no_memory = false;
    assert_int_equal(get(0xb00, 4), 0);
    assert_int_equal(get(0xa00, 4), 0x11223344);
    assert_int_equal(berth_register_add(dev, &fresh, NULL), 0);
    assert_int_equal(get(0xb00, 4), 5);
}

static void expect_no_view(struct pcidev *other)
{
    assert_int_equal(berth_register_add(other, &plain, NULL), -ENODEV);
    assert_int_equal(berth_register_remove(other, 0xa00, 4), -ENODEV);
    assert_int_equal(berth_view_size(other), 0);
}

static void test_M40_nobody_sees_it_no_registers(void **state)
{
    struct pcidev *hidden = rig_dev(&rig, hidden_at[0]);

    (void)state;
    expect_no_view(hidden);
    rig_put(hidden);
    assert_int_not_equal(berth_view_size(dev), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    expect_no_view(dev);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    expect_no_view(dev);
}

/* ---- removal is exact ---- */

static void add_a_row(void)
{
    static const struct berth_register row[] = {
        {.offset = 0xa00, .size = 4, .reset = 0xa0a0a0a0, .ro = UINT32_MAX},
        {.offset = 0xa04, .size = 2, .reset = 0xa4a4, .ro = 0xffff},
        {.offset = 0xa07, .size = 1, .reset = 0xa7, .ro = 0xff},
        {.offset = 0xa0c, .size = 4, .reset = 0xacacacac, .ro = UINT32_MAX},
    };

    for (unsigned i = 0; i < COUNT(row); i++)
        assert_int_equal(berth_register_add(dev, &row[i], NULL), 0);
}

static void expect_row(uint64_t low, uint64_t high)
{
    assert_int_equal(get(0xa00, 8), low);
    assert_int_equal(get(0xa08, 8), high);
}

static void test_M40_a_range_that_cuts_a_register_removes_nothing(void **state)
{
    static const struct {
        unsigned offset, length;
    } cuts[] = {{0xa00, 1}, {0xa00, 3}, {0xa01, 3}, {0xa02, 4}, {0xa00, 5},  {0xa03, 1},
                {0xa05, 3}, {0xa07, 6}, {0xa00, 0}, {0xa0f, 1}, {0xa00, 15}, {0xa02, 0x100}};

    (void)state;
    add_a_row();
    for (unsigned i = 0; i < COUNT(cuts); i++)
        assert_int_equal(berth_register_remove(dev, cuts[i].offset, cuts[i].length), -EINVAL);
    assert_int_equal(berth_register_remove(dev, 0x1000, 1), -EINVAL);
    assert_int_equal(berth_register_remove(dev, 0xfff, 2), -EINVAL);
    assert_int_equal(berth_register_remove(dev, 0xa00, UINT32_MAX), -EINVAL);
    assert_int_equal(berth_register_remove(dev, UINT32_MAX, 1), -EINVAL);
    assert_int_equal(berth_register_remove(dev, UINT32_MAX - 3, 0xb00), -EINVAL);
    expect_row(0xa700a4a4a0a0a0a0, 0xacacacac00000000);
}

static void test_M40_a_range_takes_what_is_in_it_and_no_more(void **state)
{
    (void)state;
    add_a_row();
    assert_int_equal(berth_register_remove(dev, 0xa06, 1), -ENOENT);
    assert_int_equal(berth_register_remove(dev, 0xa08, 4), -ENOENT);
    assert_int_equal(berth_register_remove(dev, 0xa10, 0x5f0), -ENOENT);
    assert_int_equal(berth_register_remove(dev, 0xa04, 3), 0);
    expect_row(0xa7000000a0a0a0a0, 0xacacacac00000000);
    assert_int_equal(berth_register_remove(dev, 0xa04, 2), -ENOENT);
    assert_int_equal(berth_register_remove(dev, 0x9f0, 0x14), 0);
    expect_row(0xa700000000000000, 0xacacacac00000000);
    assert_int_equal(berth_register_remove(dev, 0xa00, 0x600), 0);
    expect_row(0, 0);
    add_a_row(); /* and the places are free again */
    expect_row(0xa700a4a4a0a0a0a0, 0xacacacac00000000);
}

static void test_M40_registers_of_a_capability_stay(void **state)
{
    static const struct berth_register beside = {.offset = 0x34, .size = 1};

    (void)state;
    add_a_row();
    assert_int_equal(berth_register_remove(dev, 0, 4), -EBUSY);
    assert_int_equal(berth_register_remove(dev, 0x10, 4), -EBUSY);
    assert_int_equal(berth_register_remove(dev, 0, 0x1000), -EBUSY);
    assert_int_equal(berth_register_remove(dev, 0, 1), -EINVAL);
    assert_int_equal(berth_register_add(dev, &beside, NULL), -EEXIST);
    expect_row(0xa700a4a4a0a0a0a0, 0xacacacac00000000);
    assert_int_equal(get(0, 4), ID);
}

static void test_M40_a_register_starts_from_its_reset_value_again(void **state)
{
    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    set(0xa00, 4, 0xcafecafe);
    assert_int_equal(get(0xa00, 4), 0xcafecafe);
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), 0);
    set(0xa00, 4, 0xcafecafe);
    assert_int_equal(get(0xa00, 4), 0);
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    assert_int_equal(get(0xa00, 4), 0x11223344);
}

static void test_M40_the_size_of_a_view_follows(void **state)
{
    struct berth_register row[64];
    size_t few, many;

    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    few = berth_view_size(dev);
    for (unsigned i = 0; i < COUNT(row); i++) {
        row[i] = (struct berth_register){.offset = (uint16_t)(0xa04 + i), .size = 1, .rw = 1};
        assert_int_equal(berth_register_add(dev, &row[i], NULL), 0);
    }
    many = berth_view_size(dev);
    assert_true(many > few);
    for (unsigned i = 0; i < 20; i++) { /* removing and adding adds nothing up */
        assert_int_equal(berth_register_remove(dev, 0xa00, 4), 0);
        assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    }
    assert_true(berth_view_size(dev) <= many);
}

/* ---- whose they are ---- */

static void test_V3_registers_go_with_the_owner(void **state)
{
    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    seen = rig_seen(&rig, rig_nvme);
    assert_int_equal(get(0, 4), ID);
    assert_int_equal(get(0xa00, 4), 0);
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), -ENOENT);
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
}

static void test_M09_registers_outlive_a_reset_by_the_host(void **state)
{
    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    set(0xa00, 4, 0x5eed5eed);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(get(0xa00, 4), 0x5eed5eed); /* the guest has not asked for it */
}

static void test_R7_registers_outlive_a_transition_that_failed(void **state)
{
    (void)state;
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    set(0xa00, 4, 0x5eed5eed);
    sim_fail(rig.sim, SIM_OP_FLUSH, 1, 0, 0);
    assert_int_not_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_true(sim_failed(rig.sim, SIM_OP_FLUSH));
    rig_expect_owner(&rig, rig_nvme, "vm1");
    assert_int_equal(get(0xa00, 4), 0x5eed5eed);
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), 0);
}

static void *add_in_a_transition(void *context)
{
    *(int *)context = berth_register_add(dev, &plain, NULL);
    return NULL;
}

static void *take_away(void *context)
{
    *(int *)context = rig_deassign(&rig, rig_nvme, vm.domain);
    return NULL;
}

static void test_O2_whoever_adds_in_a_transition_finds_no_view_behind_it(void **state)
{
    pthread_t adder, taker;
    int added = 1, taken = 1;

    (void)state;
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&taker, NULL, take_away, &taken), 0);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    assert_int_equal(pthread_create(&adder, NULL, add_in_a_transition, &added), 0);
    port_relax(1000);
    atomic_store(&vm.block, false);
    assert_int_equal(pthread_join(taker, NULL), 0);
    assert_int_equal(pthread_join(adder, NULL), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(added, -ENODEV);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M40_what_is_no_register),
        TEST(test_M40_no_bit_is_in_two_masks),
        TEST(test_M40_a_place_is_taken_once),
        TEST(test_M40_no_memory_changes_nothing),
        TEST(test_M40_nobody_sees_it_no_registers),
        TEST(test_M40_a_range_that_cuts_a_register_removes_nothing),
        TEST(test_M40_a_range_takes_what_is_in_it_and_no_more),
        TEST(test_M40_registers_of_a_capability_stay),
        TEST(test_M40_a_register_starts_from_its_reset_value_again),
        TEST(test_M40_the_size_of_a_view_follows),
        TEST(test_V3_registers_go_with_the_owner),
        TEST(test_M09_registers_outlive_a_reset_by_the_host),
        TEST(test_R7_registers_outlive_a_transition_that_failed),
        TEST(test_O2_whoever_adds_in_a_transition_finds_no_view_behind_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
