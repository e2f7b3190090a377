/* SPDX-License-Identifier: MIT */
/* Access sections (A1, A4, K01, K2). */
#include "tests/unit/guests.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/lock.h"

/* ---- debug checks, which stop the program ---- */

static void config_outside_a_section(void)
{
    uint32_t value;

    (void)pcidev_config_read(rig_dev(&rig, rig_nvme), 0, 4, &value);
}

static void write_in_the_section_of_a_neighbour(void)
{
    struct pcidev_section section;

    if (pcidev_enter(rig_dev(&rig, rig_nvme2), "neighbour", &section))
        (void)pcidev_config_write(rig_dev(&rig, rig_nvme), 4, 2, 0);
}

static void locks_against_the_order(void)
{
    static struct lock first, second;

    lock_init(&first, LOCK_DOMAIN);
    lock_init(&second, LOCK_RID);
    lock_take(&first);
    lock_take(&second);
}

static void the_same_rank_twice(void)
{
    static struct lock first, second;

    lock_init(&first, LOCK_REGISTRY);
    lock_init(&second, LOCK_REGISTRY);
    lock_take(&first);
    lock_take(&second);
}

static void locks_in_the_order(void)
{
    static struct lock first, second, third;

    lock_init(&first, LOCK_DEVICE);
    lock_init(&second, LOCK_DEVICE); /* the scope of a bus reset */
    lock_init(&third, LOCK_RID);
    lock_take(&first);
    lock_take(&second);
    lock_take(&third);
    lock_drop(&third);
    lock_drop(&second);
    lock_drop(&first);
}

/* Whether @act stops the program, in a child. */
static bool stops(void (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        act();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        assert_true(WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void test_A1_the_host_outside_a_section_stops_a_debug_build(void **state)
{
    (void)state;
    assert_int_equal(stops(config_outside_a_section), BERTH_CHECKS);
    assert_int_equal(stops(write_in_the_section_of_a_neighbour), BERTH_CHECKS);
}

static void test_K2_locks_against_the_order_stop_a_debug_build(void **state)
{
    (void)state;
    assert_false(stops(locks_in_the_order));
    assert_int_equal(stops(locks_against_the_order), BERTH_CHECKS);
    assert_int_equal(stops(the_same_rank_twice), BERTH_CHECKS);
}

/* ---- sections ---- */

static void test_A1_sections_nest_up_to_their_number(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme), *other = rig_dev(&rig, rig_nvme2);
    struct pcidev_section section[PCIDEV_SECTIONS_MAX + 1];

    (void)state;
    for (unsigned i = 0; i < PCIDEV_SECTIONS_MAX; i++)
        assert_true(pcidev_enter(i & 1 ? other : dev, "nested", &section[i]));
    assert_false(pcidev_enter(dev, "one too many", &section[PCIDEV_SECTIONS_MAX]));
    assert_null(section[PCIDEV_SECTIONS_MAX].record);
    /* a transition finds a slot even so */
    assert_int_equal(rig_remove(&rig, rig_phantom, PCIDEV_REMOVE_DEFAULT), 0);
    pcidev_exit(&section[4]);
    assert_true(pcidev_enter(dev, "again", &section[4]));
    for (unsigned i = 0; i < PCIDEV_SECTIONS_MAX; i++)
        pcidev_exit(&section[(i * 7 + 3) % PCIDEV_SECTIONS_MAX]);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_DEFAULT), 0);
    rig_put(dev);
    rig_put(other);
}

static void test_K01_any_of_several_sections_keeps_the_device(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section[3];
    static const unsigned order[] = {1, 0, 2};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_true(pcidev_enter(dev, "one of three", &section[i]));
    for (unsigned i = 0; i < 3; i++) {
        rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), -EDEADLK,
                           BERTH_REASON_OWN_SECTION);
        pcidev_exit(&section[order[i]]);
    }
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    rig_put(dev);
}

static void test_K03_a_copy_does_not_outlive_its_section(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(dev, "first", &section));
    pcidev_exit(&section);
    assert_null(section.record);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_false(pcidev_enter(dev, "second", &section));
    assert_null(section.record);
    rig_put(dev);
}

static void test_R5_who_is_inside_can_be_listed(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme), *other = rig_dev(&rig, rig_nvme2);
    static const char reader[] = "reader", writer[] = "writer";
    struct pcidev_section section[4];
    struct berth_holder list[4];

    (void)state;
    assert_int_equal(pcidev_sections(dev, list, 4), 0);
    assert_true(pcidev_enter(dev, reader, &section[0]));
    assert_true(pcidev_enter(dev, writer, &section[1]));
    assert_true(pcidev_enter(dev, reader, &section[2]));
    assert_true(pcidev_enter(other, "other", &section[3]));
    assert_int_equal(pcidev_sections(dev, list, 4), 2);
    assert_ptr_equal(list[0].tag, reader);
    assert_int_equal(list[0].count, 2);
    assert_int_equal(list[1].count, 1);
    assert_int_equal(pcidev_sections(dev, list, 1), 1);
    for (unsigned i = 0; i < 4; i++)
        pcidev_exit(&section[i]);
    rig_put(dev);
    rig_put(other);
}

static bool leave_early(struct pcidev *dev, bool early)
{
    struct pcidev_ref ref PCIDEV_REF = {pcidev_get(dev, "guard"), "guard"};
    struct pcidev_section section PCIDEV_SECTION = {0};

    if (early)
        return false;
    return pcidev_enter(ref.dev, "guard", &section);
}

static void test_K01_guards_balance(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    const uint32_t references = rig_info(&rig, rig_nvme).references;
    struct berth_holder list[2];

    (void)state;
    assert_false(leave_early(dev, true));
    assert_true(leave_early(dev, false));
    assert_int_equal(pcidev_sections(dev, list, 2), 0);
    assert_int_equal(rig_info(&rig, rig_nvme).references, references);
    rig_put(dev);
}

/* ---- the deadline of a drain is the caller's ---- */

struct holder {
    struct pcidev *dev;
    _Atomic bool inside, leave;
};

static void *hold(void *context)
{
    struct holder *holder = context;
    struct pcidev_section section;

    assert_true(pcidev_enter(holder->dev, "holder", &section));
    atomic_store(&holder->inside, true);
    while (!atomic_load(&holder->leave))
        usleep(100);
    pcidev_exit(&section);
    return NULL;
}

static void test_R5_no_transition_passes_an_open_section(void **state)
{
    struct holder holder = {.dev = rig_dev(&rig, rig_nvme)};
    struct berth_domain *guest = rig_guest(&rig, "vm1");
    struct berth_request request = rig_request(&rig);
    const struct rig_state before = rig_remember(&rig, rig_nvme);
    pthread_t thread;

    (void)state;
    request.timeout_ns = 3000000;
    assert_int_equal(pthread_create(&thread, NULL, hold, &holder), 0);
    while (!atomic_load(&holder.inside))
        usleep(100);
    rig_expect_refused(&rig, pcidev_assign(holder.dev, guest, &request), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    rig_expect_refused(&rig, pcidev_reset(holder.dev, &request), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    rig_expect_refused(&rig, pcidev_readd(holder.dev, NULL, &request), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    rig_expect_refused(&rig, pcidev_remove(holder.dev, PCIDEV_REMOVE_STRICT, &request), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    assert_string_equal(rig.why.holders[0].tag, "holder");
    rig_expect_as_before(&rig, &before);
    /* K1: neighbours are not concerned */
    assert_int_equal(rig_assign(&rig, rig_nvme2, guest), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_FORCE), 0);
    atomic_store(&holder.leave, true);
    pthread_join(thread, NULL);
    rig_put(holder.dev);
    rig_destroy_guest(&rig, guest);
}

/* ---- A4 ---- */

static void test_A4_a_disconnected_device_is_not_touched(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);
    struct sim_counters before, after;
    struct pcidev_section inside, late;
    uint32_t value;

    (void)state;
    assert_true(pcidev_enter(dev, "was inside", &inside));
    assert_int_equal(sim_vanish(rig.sim, rig_nvme), 0);
    pcidev_vanished(dev);
    pcidev_vanished(dev); /* told twice, noted once */
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_VANISHED), 1);
    sim_function_counters(rig.sim, rig_nvme, &before);
    assert_int_equal(pcidev_config_read(dev, 0, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
    assert_int_equal(pcidev_config_read(dev, 4, 2, &value), 0);
    assert_int_equal(value, 0xffff);
    assert_int_equal(pcidev_config_write(dev, 4, 2, 0), 0);
    assert_false(pcidev_enter(dev, "late", &late));
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme, 0, 1), 0xff);
    pcidev_exit(&inside);
    sim_function_counters(rig.sim, rig_nvme, &after);
    assert_int_equal(after.config_reads, before.config_reads);
    assert_int_equal(after.config_writes, before.config_writes);
    assert_true(rig_info(&rig, rig_nvme).disconnected);
    rig_put(dev);
}

static void test_A4_what_hangs_on_it_is_disconnected_too(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 2);
    rig_pull(&rig, rig_pf);
    assert_true(rig_info(&rig, rig_vf(1)).disconnected);
    rig_pull(&rig, at(0, 3, 0));
    assert_true(rig_info(&rig, rig_pci_bridge).disconnected);
    assert_true(rig_info(&rig, rig_legacy2).disconnected);
    assert_false(rig_info(&rig, rig_nvme).disconnected);
}

static void test_A1_arguments_are_checked(void **state)
{
    static const unsigned bad[][2] = {{0, 0}, {0, 3}, {0, 8}, {1, 2}, {2, 4}, {4096, 1}, {4098, 2}};
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;
    uint32_t value = 0;

    (void)state;
    assert_true(pcidev_enter(dev, "test", &section));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(pcidev_config_read(dev, bad[i][0], bad[i][1], &value), -EINVAL);
        assert_int_equal(pcidev_config_write(dev, bad[i][0], bad[i][1], 0), -EINVAL);
    }
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 0, 0);
    assert_int_equal(pcidev_config_read(dev, 0, 2, &value), -EIO);
    assert_int_equal(value, 0xffff); /* F90: as wide as the access */
    pcidev_exit(&section);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_none, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* these two fork, and come before anything that starts a thread */
        TEST(test_A1_the_host_outside_a_section_stops_a_debug_build),
        TEST(test_K2_locks_against_the_order_stop_a_debug_build),
        TEST(test_A1_sections_nest_up_to_their_number),
        TEST(test_K01_any_of_several_sections_keeps_the_device),
        TEST(test_K03_a_copy_does_not_outlive_its_section),
        TEST(test_R5_who_is_inside_can_be_listed),
        TEST(test_K01_guards_balance),
        TEST(test_R5_no_transition_passes_an_open_section),
        TEST(test_A4_a_disconnected_device_is_not_touched),
        TEST(test_A4_what_hangs_on_it_is_disconnected_too),
        TEST(test_A1_arguments_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
