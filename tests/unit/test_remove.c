/* SPDX-License-Identifier: MIT */
/* Removal (R1-R3, R6, R7, A2, A4, F02). */
#include "tests/unit/guests.h"

#include <string.h>

#define CAP_MSIX 0x11

static void lend(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
}

/* Takes the function over behind the core's back and lets it master again. */
static struct sim_dma rogue_dma(struct sbdf sbdf)
{
    berth_claim claim;

    assert_int_equal(sim_host_ops.claim(rig.sim, sbdf, &claim), 0);
    assert_int_equal(sim_host_ops.config_write(rig.sim, claim, 4, 2, 6), 0);
    sim_host_ops.release(rig.sim, claim);
    return rig_dma(&rig, sbdf, 0x1000);
}

/* ---- R1 ---- */

static void test_R1_a_guests_device_is_refused_and_unchanged(void **state)
{
    struct rig_state before;

    (void)state;
    lend(rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), -EBUSY,
                       BERTH_REASON_GUEST_OWNS);
    assert_string_equal(rig.why.domain, "vm1");
    rig_expect_as_before(&rig, &before);
    assert_int_equal(vm.withdrawn, 0);
}

static void test_R1_harmless_references_may_be_left(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;
    struct pcidev_info info;
    uint32_t generation = pcidev_generation(dev);

    (void)state;
    pcidev_handle_open(dev);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_false(rig_has(&rig, rig_nvme));
    assert_false(pcidev_enter(dev, "test", &section));
    assert_int_not_equal(pcidev_generation(dev), generation);
    pcidev_snapshot(dev, &info);
    assert_int_equal(info.state, PCIDEV_REMOVED);
    assert_int_equal(info.references, 2);
    assert_int_equal(info.rid_count, 0);
    pcidev_handle_close(dev);
    rig_put(dev);
}

static void test_R1_every_operation_on_a_removed_object_says_so(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    const struct berth_request request = rig_request(&rig);

    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    for (int mode = PCIDEV_REMOVE_DEFAULT; mode <= PCIDEV_REMOVE_GRACEFUL_FORCE; mode++)
        rig_expect_refused(&rig, rig_remove_within(&rig, dev, (enum pcidev_remove_mode)mode, 0),
                           -ENODEV, BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_assign(dev, vm.domain, &request), -ENODEV,
                       BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_test_assign(dev, vm.domain, &request), -ENODEV,
                       BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_deassign(dev, vm.domain, &request), -ENODEV,
                       BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_reset(dev, &request), -ENODEV, BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_readd(dev, NULL, &request), -ENODEV, BERTH_REASON_REMOVED);
    rig_expect_refused(&rig, pcidev_sriov(dev, 1, &request), -ENODEV, BERTH_REASON_REMOVED);
    pcidev_vanished(dev);
    rig_put(dev);
}

static void test_R1_a_bridge_with_devices_behind_it_is_refused(void **state)
{
    const struct rig_state before = rig_remember(&rig, rig_port);

    (void)state;
    rig_expect_refused(&rig, rig_remove(&rig, rig_port, PCIDEV_REMOVE_DEFAULT), -EBUSY,
                       BERTH_REASON_HAS_CHILDREN);
    assert_true(rig.why.has_other);
    assert_true(sbdf_equal(rig.why.other, rig_nvme));
    rig_expect_as_before(&rig, &before);
    /* and the door behind it is open again */
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
}

static void test_R1_an_unknown_mode_is_refused(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    rig_expect_refused(&rig, rig_remove_within(&rig, dev, (enum pcidev_remove_mode)17, 0), -EINVAL,
                       BERTH_REASON_BAD_ARGUMENT);
    rig_put(dev);
    assert_true(rig_has(&rig, rig_nvme));
}

/* ---- R2 ---- */

static void test_R2_force_leaves_the_guest_nothing(void **state)
{
    struct sim_counters before, after;
    struct sbdf seen;

    (void)state;
    lend(rig_nvme);
    seen = rig_seen(&rig, rig_nvme);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_DOMAIN);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, 0, 4), 0x00101b36);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);

    sim_function_counters(rig.sim, rig_nvme, &before);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, 0, 4), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, 4, 2), 0xffff);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, 8, 1), 0xff);
    berth_domain_config_write(vm.domain, seen, 4, 2, 6);
    assert_int_equal(rig_reach(vm.domain), 0);
    sim_function_counters(rig.sim, rig_nvme, &after);
    assert_int_equal(after.config_reads, before.config_reads); /* A2 */
    assert_int_equal(after.config_writes, before.config_writes);

    assert_int_equal(vm.withdrawn, 1);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_SILENT); /* mastering is off */
    assert_int_equal(rogue_dma(rig_nvme).result, SIM_DMA_FAULT); /* and the context blocks */
}

static void test_R2_force_flushes_what_the_caches_knew(void **state)
{
    int detach, flush;

    (void)state;
    lend(rig_nvme);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_DOMAIN); /* now it is cached */
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    detach = tape_find(&rig.tape, 0, SIM_OP_DETACH);
    flush = tape_find(&rig.tape, 0, SIM_OP_FLUSH);
    assert_true(detach >= 0 && flush > detach);
    assert_ptr_equal(rig.tape.entry[flush].space, berth_domain_space(vm.domain));
    assert_int_equal(rogue_dma(rig_nvme).result, SIM_DMA_FAULT);
}

static void test_R2_force_takes_the_vfs_along(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 3);
    lend(rig_vf(1));
    rig_expect_refused(&rig, rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), -EBUSY,
                       BERTH_REASON_HAS_VFS);
    assert_int_equal(rig.why.number, 3);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_FORCE), 0);
    assert_false(rig_has(&rig, rig_pf));
    for (unsigned i = 0; i < 3; i++)
        assert_false(rig_has(&rig, rig_vf(i)));
    assert_int_equal(vm.withdrawn, 1);
}

static void test_R2_force_takes_the_tree_behind_a_bridge(void **state)
{
    const unsigned devices = berth_machine_count(rig.machine);
    int child, parent;

    (void)state;
    rig_quarantine(&rig, rig_legacy2);
    lend(rig_legacy);
    lend(rig_legacy2);
    assert_int_equal(rig_remove(&rig, at(0, 3, 0), PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(berth_machine_count(rig.machine), devices - 4);
    assert_false(rig_has(&rig, rig_pci_bridge));
    assert_false(rig_has(&rig, rig_legacy));
    assert_true(rig_has(&rig, rig_nvme));
    /* what hangs below goes first */
    for (child = 0; child >= 0; child++) {
        child = rig_find_event(&rig, child, BERTH_EVENT_END, NULL);
        if (sbdf_equal(rig.events[child].device, rig_legacy2) &&
            !strcmp(rig.events[child].transition, "remove"))
            break;
    }
    parent = rig_find_event(&rig, child + 1, BERTH_EVENT_END, NULL);
    assert_true(child >= 0 && parent > child);
}

/* ---- R3 ---- */

static void test_R3_strict_refuses_references(void **state)
{
    struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "reader");
    struct rig_state before = rig_remember(&rig, rig_nvme);
    bool named = false;

    (void)state;
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_REFERENCED);
    assert_int_equal(rig.why.number, 1);
    for (unsigned i = 0; i < rig.why.holder_count; i++)
        named |= !strcmp(rig.why.holders[i].tag, BERTH_CHECKS ? "reader" : "untracked");
    assert_true(named);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_peek(&rig, rig_nvme, 0, 4), 0x00101b36); /* it works as before */
    pcidev_put(dev, "reader");
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), 0);
    assert_false(rig_has(&rig, rig_nvme));
}

static void test_R3_strict_refuses_a_handle_and_a_guest(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    pcidev_handle_open(dev);
    rig_put(dev);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_REFERENCED);
    pcidev_handle_close(dev);
    lend(rig_nvme);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_GUEST_OWNS);
}

static void test_R3_a_strict_removal_that_fails_later_thaws(void **state)
{
    struct rig_state before = rig_remember(&rig, rig_nvme);

    (void)state;
    sim_fail(rig.sim, SIM_OP_DETACH, 1, 0, 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), -EIO);
    assert_true(sim_failed(rig.sim, SIM_OP_DETACH));
    assert_string_equal(rig.why.step, "block contexts");
    rig_expect_as_before(&rig, &before); /* finds it: references can be taken again */
}

/* ---- R6, R7 ---- */

static void test_R6_the_address_is_free_while_an_old_object_lives(void **state)
{
    struct pcidev *old = rig_dev(&rig, rig_nvme), *fresh;
    struct pcidev_info info;

    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    fresh = rig_dev(&rig, rig_nvme);
    assert_ptr_not_equal(fresh, old);
    lend(rig_nvme);
    assert_int_equal(rig_remove_within(&rig, old, PCIDEV_REMOVE_FORCE, 0),
                     -ENODEV); /* F21: not the new one */
    rig_put(old);
    pcidev_snapshot(fresh, &info);
    assert_int_equal(info.state, PCIDEV_PRESENT);
    rig_put(fresh);
    rig_expect_owner(&rig, rig_nvme, "vm1");
}

static void test_R7_a_view_that_cannot_be_withdrawn_stops_it(void **state)
{
    struct rig_state before;

    (void)state;
    lend(rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    atomic_store(&vm.withdraw_error, -EIO);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), -EIO);
    assert_string_equal(rig.why.step, "withdraw view");
    rig_expect_as_before(&rig, &before);
    assert_int_equal(vm.crashed, 0);
    atomic_store(&vm.withdraw_error, 0);
}

static void test_R7_a_failed_way_back_leaves_it_broken_in_quarantine(void **state)
{
    struct pcidev_info info;

    (void)state;
    lend(rig_nvme);
    sim_fail(rig.sim, SIM_OP_DETACH, 1, 0, 0);
    atomic_store(&vm.restore_error, -EIO);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), -EIO,
                       BERTH_REASON_ROLLBACK);
    info = rig_info(&rig, rig_nvme);
    assert_true(info.broken);
    assert_int_equal(info.state, PCIDEV_PRESENT);
    assert_int_equal(info.owner_kind, BERTH_DOMAIN_QUARANTINE);
    assert_int_equal(vm.crashed, 1);
    assert_true(berth_domain_crashed(vm.domain));
    assert_int_equal(rig_reach(vm.domain), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EBADF, BERTH_REASON_BROKEN);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rogue_dma(rig_nvme).result, SIM_DMA_FAULT);
    assert_int_equal(rig_add(&rig, rig_nvme), 0); /* the way out */
    lend(rig_nvme);
}

/* ---- order ---- */

static unsigned interrupts;

/* F02: an interrupt that comes while its context is taken away would crash a real machine. */
static void raise_interrupt(void *context)
{
    enum sim_irq_result result;
    uint32_t domain;

    (void)context;
    assert_int_equal(sim_interrupt(rig.sim, rig_nvme, &result, &domain), 0);
    interrupts += result != SIM_IRQ_NONE;
}

static void test_F02_interrupts_are_off_before_the_context_goes(void **state)
{
    static const char *const order[] = {"revoke", "withdraw view", "owner", "quiesce",
                                        "block contexts"};
    unsigned msix = mb_find_cap(rig_function(&rig, rig_nvme), CAP_MSIX);
    int event;
    enum sim_irq_result result;
    uint32_t domain;

    (void)state;
    lend(rig_nvme);
    rig_master_on(&rig, rig_nvme, vm.domain);
    rig_poke(&rig, rig_nvme, msix + 2, 2, 0x8000);
    assert_int_equal(sim_interrupt(rig.sim, rig_nvme, &result, &domain), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    rig.tape.hook = raise_interrupt;
    interrupts = 0;
    event = (int)rig.event_count;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    rig.tape.hook = NULL;
    assert_int_equal(interrupts, 0);
    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++, event++) {
        event = rig_find_event(&rig, event, BERTH_EVENT_DO, order[i]);
        assert_true(event >= 0);
    }
}

/* ---- A4 ---- */

static void test_A4_a_dead_device_is_removed_without_being_touched(void **state)
{
    struct sim_counters counters;

    (void)state;
    lend(rig_nvme);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    rig_pull(&rig, rig_nvme);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_VANISHED), 1);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    sim_counters(rig.sim, &counters);
    assert_int_equal(counters.touches_vanished, 0);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
}

static void test_M20_a_guest_may_not_remove(void **state)
{
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    request.caller = vm.domain;
    rig_expect_refused(&rig, pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), -EPERM,
                       BERTH_REASON_NOT_PERMITTED);
    request.caller = berth_machine_hwdom(rig.machine);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_one, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_R1_a_guests_device_is_refused_and_unchanged),
        TEST(test_R1_harmless_references_may_be_left),
        TEST(test_R1_every_operation_on_a_removed_object_says_so),
        TEST(test_R1_a_bridge_with_devices_behind_it_is_refused),
        TEST(test_R1_an_unknown_mode_is_refused),
        TEST(test_R2_force_leaves_the_guest_nothing),
        TEST(test_R2_force_flushes_what_the_caches_knew),
        TEST(test_R2_force_takes_the_vfs_along),
        TEST(test_R2_force_takes_the_tree_behind_a_bridge),
        TEST(test_R3_strict_refuses_references),
        TEST(test_R3_strict_refuses_a_handle_and_a_guest),
        TEST(test_R3_a_strict_removal_that_fails_later_thaws),
        TEST(test_R6_the_address_is_free_while_an_old_object_lives),
        TEST(test_R7_a_view_that_cannot_be_withdrawn_stops_it),
        TEST(test_R7_a_failed_way_back_leaves_it_broken_in_quarantine),
        TEST(test_F02_interrupts_are_off_before_the_context_goes),
        TEST(test_A4_a_dead_device_is_removed_without_being_touched),
        TEST(test_M20_a_guest_may_not_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
