/* SPDX-License-Identifier: MIT */
/* Translations that devices keep themselves: when they may, and how they are flushed (M25, F41). */
#include "tests/unit/rig.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <berth/isolation.h>

#define ATS 0x0f
#define CONTROL 0x06
#define ENABLE 0x8000u
#define PAGE 0x1000u

static struct rig rig;
static struct rig_vm vm, vm2;
static struct berth_iommu_ops ops;
static unsigned ats_calls, ats_fails_at, contexts_moved_with_ats;
static const struct sbdf plain = {0, 7, 0};

static int fake_ats(void *iommu, struct sbdf rid, bool on)
{
    struct tape *tape = iommu;

    if (++ats_calls == ats_fails_at)
        return -EIO;
    return sim_iommu_ops.ats(tape->sim, rid, on);
}

static uint64_t enabled(void)
{
    struct sim_counters counters;

    sim_counters(rig.sim, &counters);
    return counters.ats_enabled;
}

static int looking_attach(void *iommu, struct sbdf rid, void *space)
{
    contexts_moved_with_ats += enabled() != 0;
    return tape_iommu_ops.attach(iommu, rid, space);
}

static void with_ats(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.ats = fake_ats;
    ops.attach = looking_attach;
    config->iommu = &ops;
}

static void add_functions(void)
{
    rig_begin(&rig);
    rig_standard(&rig);
    mb_ats(rig_function(&rig, rig_nvme));
    mb_ats(rig_function(&rig, rig_nvme2));
    mb_root_port(&rig.builder, at(0, 6, 0), 7, 7);
    mb_endpoint(&rig.builder, plain);
    ats_calls = ats_fails_at = contexts_moved_with_ats = 0;
}

static void up(rig_configure *configure)
{
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
}

static int setup(void **state)
{
    (void)state;
    add_functions();
    up(with_ats);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    assert_int_equal(enabled(), 0);
    rig_down(&rig);
    return 0;
}

static bool device_has_it_on(struct sbdf sbdf)
{
    unsigned cap = mb_find_ext_cap(rig_function(&rig, sbdf), ATS);

    return rig_peek(&rig, sbdf, cap + CONTROL, 2) & ENABLE;
}

static void lend(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
}

static void test_M25_it_is_on_while_a_guest_has_the_device(void **state)
{
    (void)state;
    assert_false(device_has_it_on(rig_nvme));
    lend(rig_nvme);
    assert_true(device_has_it_on(rig_nvme));
    assert_int_equal(enabled(), 1);
    lend(plain); /* which has none */
    assert_int_equal(enabled(), 1);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_true(device_has_it_on(rig_nvme));
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_false(device_has_it_on(rig_nvme));
    assert_int_equal(enabled(), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
    assert_int_equal(enabled(), 0);
}

static void test_M25_an_iommu_without_it_is_never_asked(void **state)
{
    (void)state;
    add_functions();
    up(NULL);
    lend(rig_nvme);
    assert_false(device_has_it_on(rig_nvme));
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    teardown(state);
}

static void test_M25_what_loses_invalidations_does_not_get_it(void **state)
{
    (void)state;
    add_functions();
    mb_put(rig_function(&rig, rig_nvme), 0, 4, 0x73101002); /* src/core/errata.c */
    up(with_ats);
    assert_true(rig_info(&rig, rig_nvme).errata & PCIDEV_ERRATUM_NO_ATS);
    lend(rig_nvme);
    assert_false(device_has_it_on(rig_nvme));
    assert_int_equal(enabled(), 0);
    teardown(state);
}

static void test_M25_contexts_move_while_it_is_off(void **state)
{
    (void)state;
    lend(rig_nvme);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    lend(rig_nvme);
    assert_int_equal(contexts_moved_with_ats, 0);
}

static void test_P2_an_iommu_that_refuses_changes_nothing(void **state)
{
    (void)state;
    ats_fails_at = ats_calls + 1;
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EIO,
                       BERTH_REASON_IOMMU_FAILED);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
    assert_int_equal(enabled(), 0);
    lend(rig_nvme);
    ats_fails_at = ats_calls + 1;
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, vm.domain), -EIO,
                       BERTH_REASON_IOMMU_FAILED);
    rig_expect_owner(&rig, rig_nvme, "vm1");
    assert_int_equal(enabled(), 1);
    assert_true(device_has_it_on(rig_nvme));
    assert_false(rig_info(&rig, rig_nvme).broken);
}

/* A reset that failed in the middle breaks a device: that is another story. */
static bool revived(struct sbdf sbdf)
{
    if (!rig_info(&rig, sbdf).broken)
        return false;
    assert_false(device_has_it_on(sbdf));
    assert_int_equal(enabled(), 0);
    assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
    return true;
}

/* Every host operation fails once: it is on at both sides, or at neither. */
static void test_P2_both_sides_agree(void **state)
{
    int error = -EIO;

    (void)state;
    for (unsigned nth = 1; error; nth++) {
        sim_fail(rig.sim, SIM_OP_ANY, nth, 0, 0);
        error = rig_assign(&rig, rig_nvme, vm.domain);
        sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
        assert_int_equal(enabled(), error ? 0 : 1);
        assert_int_equal(device_has_it_on(rig_nvme), !error);
        (void)revived(rig_nvme);
    }
    error = -EIO;
    for (unsigned nth = 1; error; nth++) {
        sim_fail(rig.sim, SIM_OP_ANY, nth, 0, 0);
        error = rig_deassign(&rig, rig_nvme, vm.domain);
        sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
        if (revived(rig_nvme)) {
            lend(rig_nvme);
            continue;
        }
        assert_int_equal(enabled(), error ? 1 : 0);
        assert_int_equal(device_has_it_on(rig_nvme), error != 0);
    }
}

/* ---- flush ---- */

static unsigned flushes_of(struct sbdf rid)
{
    unsigned count = 0, all = atomic_load(&rig.tape.count);

    for (unsigned i = 0; i < all && i < TAPE_ENTRIES; i++)
        count += rig.tape.entry[i].op == SIM_OP_FLUSH && sbdf_equal(rig.tape.entry[i].rid, rid) &&
                 rig.tape.entry[i].space == berth_domain_space(vm.domain);
    return count;
}

static void test_X16_flush_reaches_those_that_have_it_and_no_others(void **state)
{
    (void)state;
    lend(rig_nvme);
    lend(plain);
    assert_int_equal(rig_assign(&rig, rig_nvme2, vm2.domain), 0);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_int_equal(flushes_of(rig_nvme), 1);
    assert_int_equal(atomic_load(&rig.tape.count), 1);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_int_equal(atomic_load(&rig.tape.count), 0);
}

static void test_X16_all_of_them_are_flushed_in_whatever_order_they_came(void **state)
{
    (void)state;
    lend(rig_nvme2);
    lend(rig_pf);
    lend(rig_nvme);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_int_equal(atomic_load(&rig.tape.count), 3);
    assert_int_equal(rig_deassign(&rig, rig_pf, vm.domain), 0); /* out of the middle */
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_int_equal(flushes_of(rig_nvme), 1);
    assert_int_equal(atomic_load(&rig.tape.count), 1);
}

static void test_F41_a_device_that_does_not_answer_breaks_alone(void **state)
{
    struct pcidev_info info;

    (void)state;
    lend(rig_nvme);
    lend(rig_nvme2);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0); /* it reaches nothing any more */
    info = rig_info(&rig, rig_nvme);
    assert_true(info.broken);
    assert_string_equal(info.owner, "quarantine");
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_BROKEN), 1);
    assert_int_equal(vm.withdrawn, 1);
    assert_false(device_has_it_on(rig_nvme));
    assert_int_not_equal(rig_dma(&rig, rig_nvme, PAGE).result, SIM_DMA_DOMAIN);
    assert_int_equal(flushes_of(rig_nvme2), 1);
    rig_expect_owner(&rig, rig_nvme2, "vm1");
    assert_false(berth_domain_crashed(vm.domain));
    assert_int_equal(enabled(), 1);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm2.domain), -EBADF, BERTH_REASON_BROKEN);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
}

static void test_F41_it_is_blocked_although_somebody_is_inside(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;
    struct pcidev_info info;

    (void)state;
    lend(rig_nvme);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    assert_true(pcidev_enter(dev, "test", &section));
    assert_int_equal(berth_domain_flush(vm.domain, NULL), -EDEADLK); /* we are inside */
    pcidev_exit(&section);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    info = rig_info(&rig, rig_nvme);
    assert_true(info.broken);
    assert_int_equal(enabled(), 0);
    rig_put(dev);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
}

static _Atomic int visit; /* 1: somebody is inside, 2: and may go */

static void *stay_inside(void *dev)
{
    struct pcidev_section section;

    if (pcidev_enter(dev, "visitor", &section)) {
        atomic_store(&visit, 1);
        while (atomic_load(&visit) == 1)
            sched_yield();
        pcidev_exit(&section);
    }
    return NULL;
}

static void test_F41_who_stays_inside_keeps_what_reaches_nothing(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    pthread_t thread;

    (void)state;
    lend(rig_nvme);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    atomic_store(&visit, 0);
    assert_int_equal(pthread_create(&thread, NULL, stay_inside, dev), 0);
    while (!atomic_load(&visit))
        sched_yield();
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_true(rig_info(&rig, rig_nvme).broken);
    rig_expect_owner(&rig, rig_nvme, "vm1"); /* until it is taken away, which waits for him */
    assert_int_equal(enabled(), 0);
    assert_int_not_equal(rig_dma(&rig, rig_nvme, PAGE).result, SIM_DMA_DOMAIN);
    atomic_store(&visit, 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    rig_put(dev);
}

/* X16: where not even blocking works, nobody may use the memory again. */
static void test_X16_what_cannot_be_blocked_is_told(void **state)
{
    struct berth_request request;

    (void)state;
    lend(rig_nvme);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    sim_fail(rig.sim, SIM_OP_DETACH, 1, 10, 0);
    request = rig_request(&rig);
    rig_expect_refused(&rig, berth_domain_flush(vm.domain, &request), -ETIMEDOUT,
                       BERTH_REASON_IOMMU_FAILED);
    assert_true(sbdf_equal(rig.why.device, rig_nvme));
    sim_fail(rig.sim, SIM_OP_DETACH, 0, 0, 0);
    assert_true(rig_info(&rig, rig_nvme).broken);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
}

static void test_C6_the_list_holds_the_device(void **state)
{
    struct berth_holder list[BERTH_HOLDERS_MAX];
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    unsigned count, found = 0;

    (void)state;
    lend(rig_nvme);
    count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX);
    for (unsigned i = 0; i < count; i++)
        found += !strcmp(list[i].tag, "ats") && list[i].count == 1;
    assert_int_equal(found, 1);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX);
    for (unsigned i = 0; i < count; i++)
        assert_string_not_equal(list[i].tag, "ats");
    assert_int_equal(enabled(), 0);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M25_it_is_on_while_a_guest_has_the_device),
        cmocka_unit_test(test_M25_an_iommu_without_it_is_never_asked),
        cmocka_unit_test(test_M25_what_loses_invalidations_does_not_get_it),
        TEST(test_M25_contexts_move_while_it_is_off),
        TEST(test_P2_an_iommu_that_refuses_changes_nothing),
        TEST(test_P2_both_sides_agree),
        TEST(test_X16_flush_reaches_those_that_have_it_and_no_others),
        TEST(test_X16_all_of_them_are_flushed_in_whatever_order_they_came),
        TEST(test_F41_a_device_that_does_not_answer_breaks_alone),
        TEST(test_F41_it_is_blocked_although_somebody_is_inside),
        TEST(test_F41_who_stays_inside_keeps_what_reaches_nothing),
        TEST(test_X16_what_cannot_be_blocked_is_told),
        TEST(test_C6_the_list_holds_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
