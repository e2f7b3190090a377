/* SPDX-License-Identifier: MIT */
/* Removal under fire (A2, K01, K1, K04, K05, R5). */
#include <sys/resource.h>
#include <time.h>

#include <berth_port.h>

#include "tests/threads/team.h"
#include "tests/unit/rig.h"

#define MS UINT64_C(1000000)
#define STUCK 8

static struct rig rig;
static struct team team;
static struct rig_vm vm;

static struct sbdf stuck_at(unsigned i)
{
    return at(0, 8 + i, 0);
}

static const struct sbdf free_at = {0, 0, 0xf0};

/* On the root bus and without a reset: nothing in here sleeps but what is meant to. */
static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < STUCK; i++)
        mb_no_flr(mb_rc_endpoint(&rig.builder, stuck_at(i)));
    mb_no_flr(mb_rc_endpoint(&rig.builder, free_at));
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    team_begin(&team);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    port_posix_warp(true);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

/* ---- A2, K01 ---- */

static _Atomic unsigned inside[STUCK + 1], sections, removals;

static unsigned index_of(struct sbdf sbdf)
{
    return sbdf_equal(sbdf, free_at) ? STUCK : sbdf_device(sbdf) - 8;
}

/* Nested, of several devices, left in any order: the cookie belongs to the call. */
static void *enter_and_exit(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context;

    while (team_goes_on(&team)) {
        struct pcidev_section open[5];
        struct pcidev *dev[5];
        bool entered[5];
        uint32_t value;

        for (unsigned i = 0; i < 5; i++) {
            dev[i] = pcidev_find(rig.machine, stuck_at(team_random(&seed) % 2), "enter");
            entered[i] = dev[i] && pcidev_enter(dev[i], "enter", &open[i]);
            if (!entered[i])
                continue;
            atomic_fetch_add(&inside[index_of(pcidev_sbdf(dev[i]))], 1);
            assert_int_equal(pcidev_config_read(dev[i], 0, 4, &value), 0);
            assert_int_equal(value, 0x00101b36);
            sections++;
        }
        for (unsigned k = 0, i = team_random(&seed) % 5; k < 5; k++, i = (i + 2) % 5) {
            if (entered[i]) {
                atomic_fetch_sub(&inside[index_of(pcidev_sbdf(dev[i]))], 1);
                pcidev_exit(&open[i]);
            }
            pcidev_put(dev[i], "enter");
        }
    }
    return NULL;
}

static void *remove_under_fire(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    const struct sbdf sbdf = stuck_at(context ? 1 : 0);
    struct sim_counters before, after;

    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, sbdf, "remove");
        struct pcidev_section section;

        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
        assert_int_equal(inside[index_of(sbdf)], 0);
        assert_false(pcidev_enter(dev, "late", &section));
        sim_function_counters(rig.sim, sbdf, &before);
        sched_yield();
        sim_function_counters(rig.sim, sbdf, &after);
        assert_int_equal(after.config_reads, before.config_reads);
        pcidev_put(dev, "remove");
        assert_int_equal(pcidev_add(rig.machine, sbdf, NULL, &request), 0);
        removals++;
    }
    return NULL;
}

static bool removed_under_fire(void)
{
    return sections > 1000 && removals > 10;
}

static void test_A2_no_section_is_open_when_removal_returns(void **state)
{
    (void)state;
    sections = removals = 0;
    team_start(&team, enter_and_exit, (void *)1);
    team_start(&team, enter_and_exit, (void *)2);
    team_start(&team, enter_and_exit, (void *)3);
    team_start(&team, remove_under_fire, NULL);
    team_start(&team, remove_under_fire, &rig);
    team_run_until(&team, 1500, removed_under_fire);
}

static const struct sbdf seat = {0, 2, 0x18}; /* where the guest has it */

/* The owner's path: no reference, no lock. */
static void *read_as_owner(void *context)
{
    struct berth_domain *domain = context;
    const struct sbdf where = domain == vm.domain ? seat : stuck_at(0);

    while (team_goes_on(&team)) {
        uint64_t value = berth_domain_config_read(domain, where, 0, 4);

        assert_true(value == 0x00101b36 || value == UINT32_MAX);
        berth_domain_config_write(domain, where, 4, 2, 6);
        sections += value != UINT32_MAX;
    }
    return NULL;
}

static void *pull_from_guest(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS, .guest_address = &seat};

    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, stuck_at(0), "remove");

        assert_int_equal(pcidev_assign(dev, vm.domain, &request), 0);
        for (unsigned spin = 0; spin < 200; spin++)
            (void)berth_domain_config_read(vm.domain, seat, 0, 4);
        if (++removals % 8 == 0) {
            assert_int_equal(sim_vanish(rig.sim, stuck_at(0)), 0);
            pcidev_vanished(dev);
        }
        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
        assert_int_equal(berth_domain_config_read(vm.domain, seat, 0, 4), UINT32_MAX);
        pcidev_put(dev, "remove");
        assert_int_equal(sim_return(rig.sim, stuck_at(0)), 0);
        assert_int_equal(pcidev_add(rig.machine, stuck_at(0), NULL, &request), 0);
    }
    return NULL;
}

static void test_R2_force_against_a_guest_that_never_pauses(void **state)
{
    (void)state;
    sections = removals = 0;
    team_start(&team, read_as_owner, vm.domain);
    team_start(&team, read_as_owner, vm.domain);
    team_start(&team, read_as_owner, berth_machine_hwdom(rig.machine));
    team_start(&team, pull_from_guest, NULL);
    team_run_until(&team, 1200, removed_under_fire);
}

/* ---- K04, K05 ---- */

struct wait {
    struct sbdf sbdf;
    enum pcidev_remove_mode mode;
    int error;
    uint64_t took_ns;
};

static void *ask_in_vain(void *context)
{
    const struct berth_request request = {.timeout_ns = 300 * MS};
    struct wait *wait = context;
    struct pcidev *dev = pcidev_find(rig.machine, wait->sbdf, "stuck");
    uint64_t begin = team_real_ns();

    wait->error = pcidev_remove(dev, wait->mode, &request);
    wait->took_ns = team_real_ns() - begin;
    pcidev_put(dev, "stuck");
    return NULL;
}

/* What of the time is the machine's: a thread that only ever naps, and how late it woke at worst.
 */
struct pulse {
    uint64_t stall_ns;
};

static void *feel_pulse(void *context)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    struct pulse *pulse = context;

    while (team_goes_on(&team)) {
        uint64_t begin = team_real_ns(), gap;

        nanosleep(&nap, NULL);
        gap = team_real_ns() - begin;
        pulse->stall_ns = gap > pulse->stall_ns ? gap : pulse->stall_ns;
    }
    return NULL;
}

/*
 * The longest that an operation on another device waited meanwhile, and which one it was. One that
 * never gave its CPU away has not waited for anybody, however long it took: others had the CPU.
 */
struct elsewhere {
    const char *operation;
    uint64_t longest_ns;
    long waits; /* of this thread, so far */
};

static uint64_t took(struct elsewhere *elsewhere, const char *operation, uint64_t begin_ns)
{
    uint64_t now = team_real_ns();
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    if (usage.ru_nvcsw != elsewhere->waits && now - begin_ns > elsewhere->longest_ns) {
        elsewhere->operation = operation;
        elsewhere->longest_ns = now - begin_ns;
    }
    elsewhere->waits = usage.ru_nvcsw;
    return now;
}

static void *work_elsewhere(void *context)
{
    struct elsewhere *elsewhere = context;

    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, free_at, "elsewhere");
        uint64_t begin = team_real_ns();

        assert_int_equal(pcidev_assign(dev, vm.domain, NULL), 0);
        begin = took(elsewhere, "assign", begin);
        assert_int_equal(pcidev_deassign(dev, vm.domain, NULL), 0);
        begin = took(elsewhere, "deassign", begin);
        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL), 0);
        begin = took(elsewhere, "remove", begin);
        pcidev_put(dev, "elsewhere");
        assert_int_equal(pcidev_add(rig.machine, free_at, NULL, NULL), 0);
        (void)took(elsewhere, "add", begin);
        removals++;
    }
    return NULL;
}

/*
 * K05. What the machine did not run at all is nobody's wait. The thread sanitizer has locks of its
 * own, and who has one of them may be without a CPU for long: there nothing can be said.
 */
static void expect_not_delayed(const struct elsewhere *elsewhere, const struct pulse *pulse,
                               uint64_t allowed_ns)
{
    if (!PORT_TSAN && elsewhere->longest_ns > allowed_ns + pulse->stall_ns)
        fail_msg("%s elsewhere took %lu us, and the machine stalled for %lu us at most",
                 elsewhere->operation, (unsigned long)(elsewhere->longest_ns / 1000),
                 (unsigned long)(pulse->stall_ns / 1000));
}

static void test_K04_stuck_removals_end_by_their_deadlines(void **state)
{
    struct elsewhere elsewhere = {.operation = "nothing"};
    struct pulse pulse = {.stall_ns = 0};
    struct wait wait[STUCK];

    (void)state;
    removals = 0;
    for (unsigned i = 0; i < STUCK; i++)
        assert_int_equal(rig_assign(&rig, stuck_at(i), vm.domain), 0);
    port_posix_warp(false);
    team_start(&team, feel_pulse, &pulse);
    team_start(&team, work_elsewhere, &elsewhere);
    for (unsigned i = 0; i < STUCK; i++) {
        wait[i] =
            (struct wait){.sbdf = stuck_at(i),
                          .mode = i & 1 ? PCIDEV_REMOVE_GRACEFUL_FORCE : PCIDEV_REMOVE_GRACEFUL};
        team_start(&team, ask_in_vain, &wait[i]);
    }
    team_run(&team, 600);
    assert_int_equal(vm.asked, STUCK);
    for (unsigned i = 0; i < STUCK; i++) {
        assert_int_equal(wait[i].error, i & 1 ? 0 : -EBUSY);
        assert_int_equal(rig_has(&rig, stuck_at(i)), !(i & 1));
        assert_in_range(wait[i].took_ns, 300 * MS, 900 * MS + pulse.stall_ns);
    }
    assert_true(removals > 20);
    expect_not_delayed(&elsewhere, &pulse, 250 * MS); /* less than what the others waited for */
}

/* ---- K1: one reader that stays ---- */

static void test_K1_a_section_held_open_delays_nobody_else(void **state)
{
    struct pcidev *dev = rig_dev(&rig, stuck_at(0));
    struct elsewhere elsewhere = {.operation = "nothing"};
    struct pulse pulse = {.stall_ns = 0};
    struct pcidev_section section;

    (void)state;
    removals = 0;
    port_posix_warp(false);
    assert_true(pcidev_enter(dev, "stays", &section));
    team_start(&team, feel_pulse, &pulse);
    team_start(&team, work_elsewhere, &elsewhere);
    team_run(&team, 300);
    assert_true(removals > 20);
    expect_not_delayed(&elsewhere, &pulse, 150 * MS);
    pcidev_exit(&section);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_A2_no_section_is_open_when_removal_returns),
        TEST(test_R2_force_against_a_guest_that_never_pauses),
        TEST(test_K04_stuck_removals_end_by_their_deadlines),
        TEST(test_K1_a_section_held_open_delays_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
