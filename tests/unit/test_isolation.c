/* SPDX-License-Identifier: MIT */
/*
 * What a device can reach, whoever owns it: contexts of all requester ids, quarantine, caches (M22,
 * X01, X05, X11, X12, X14, F41, O4).
 */
#include "tests/unit/guest_dma.h"

#include <string.h>

#define PAGE 0x1000u

static void scratch(struct berth_machine_config *config)
{
    config->policy.quarantine = BERTH_QUARANTINE_SCRATCH;
}

static int setup_scratch(void **state)
{
    (void)state;
    return guests_start(scratch, 2);
}

/* ---- X01, X05: quarantine ---- */

static void test_X01_dma_that_a_dead_guest_programmed_faults(void **state)
{
    (void)state;
    lend(rig_nvme, &vm);
    assert_int_equal(dma(rig_nvme, PAGE), SIM_DMA_DOMAIN); /* and is in the caches now */
    assert_int_equal(berth_domain_destroy(vm.domain, NULL), 0);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    master_on(rig_nvme);
    for (uint64_t address = 0; address < 4 * PAGE; address += PAGE) /* O6 is not meant here */
        assert_int_equal(dma(rig_nvme, address), SIM_DMA_FAULT);
    /* until somebody says so in so many words */
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
    master_on(rig_nvme);
    assert_int_equal(rig_dma(&rig, rig_nvme, PAGE).domain_id, 0);
}

static void test_X01_a_failed_attach_never_leads_to_the_host(void **state)
{
    struct sim_dma result;

    (void)state;
    lend(rig_nvme, &vm);
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 5, 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), -EIO);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    result = rig_dma(&rig, rig_nvme, PAGE);
    if (result.result == SIM_DMA_DOMAIN)
        assert_int_equal(result.domain_id, berth_domain_id(vm.domain));
    rig_expect_owner(&rig, rig_nvme, "vm1");
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
}

static void test_X05_scratch_pages_are_private_and_zeroed(void **state)
{
    struct sim_dma result;

    (void)state;
    rig_quarantine(&rig, rig_nvme);
    rig_quarantine(&rig, rig_nvme2);
    master_on(rig_nvme);
    master_on(rig_nvme2);
    assert_int_equal(sim_dma(rig.sim, rig_nvme, PAGE, true, 0x5ec4e7, &result), 0);
    assert_int_equal(result.result, SIM_DMA_SCRATCH);
    result = rig_dma(&rig, rig_nvme, PAGE);
    assert_int_equal(result.data, 0x5ec4e7);
    result = rig_dma(&rig, rig_nvme2, PAGE);
    assert_int_equal(result.result, SIM_DMA_SCRATCH);
    assert_int_equal(result.data, 0);
    /* X06: and what the next one finds is zeroed again */
    lend(rig_nvme, &vm);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    master_on(rig_nvme);
    result = rig_dma(&rig, rig_nvme, PAGE);
    assert_int_equal(result.result, SIM_DMA_SCRATCH);
    assert_int_equal(result.data, 0);
}

/* ---- X11, X12, O4: requester ids ---- */

static void expect_rids(struct sbdf sbdf, const unsigned *functions, unsigned count)
{
    const struct pcidev_info info = rig_info(&rig, sbdf);

    assert_int_equal(info.rid_count, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(sbdf_function(info.rids[i]), functions[i]);
}

static void test_M22_phantom_functions_move_with_their_device(void **state)
{
    static const unsigned functions[] = {0, 2, 4, 6};
    struct sbdf rid = rig_phantom;

    (void)state;
    expect_rids(rig_phantom, functions, 4);
    lend(rig_phantom, &vm);
    for (unsigned i = 0; i < 4; i++) {
        rid.devfn = (uint8_t)(rig_phantom.devfn | functions[i]);
        assert_int_equal(rig_dma(&rig, rid, PAGE).domain_id, berth_domain_id(vm.domain));
    }
    assert_int_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
    master_on(rig_phantom);
    for (unsigned i = 0; i < 4; i++) {
        rid.devfn = (uint8_t)(rig_phantom.devfn | functions[i]);
        assert_int_equal(dma(rid, PAGE), SIM_DMA_FAULT);
    }
}

static void test_X11_a_phantom_that_fails_takes_all_of_them_back(void **state)
{
    struct sbdf rid = rig_phantom;
    uint32_t owner;

    (void)state;
    for (unsigned nth = 1; nth <= 4; nth++) {
        sim_fail(rig.sim, SIM_OP_ATTACH, nth, 0, 0);
        rig_expect_refused(&rig, rig_assign(&rig, rig_phantom, vm.domain), -EIO,
                           BERTH_REASON_IOMMU_FAILED);
        owner = rig_info(&rig, rig_phantom).owner_id;
        assert_int_equal(owner, 0);
        for (unsigned fn = 0; fn < 8; fn += 2) {
            rid.devfn = (uint8_t)(rig_phantom.devfn | fn);
            assert_int_equal(rig_dma(&rig, rid, PAGE).domain_id, owner);
            assert_int_equal(dma(rid, PAGE), SIM_DMA_DOMAIN);
        }
    }
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_false(berth_domain_crashed(vm.domain));
}

static void test_X11_a_rollback_that_fails_breaks_the_device_and_crashes_the_guest(void **state)
{
    struct sbdf rid = rig_phantom;
    struct pcidev_info info;

    (void)state;
    lend(rig_phantom, &vm);
    sim_fail(rig.sim, SIM_OP_ATTACH, 3, 2, 0); /* the third one, and the way back of the others */
    rig_expect_refused(&rig, rig_deassign(&rig, rig_phantom, vm.domain), -EIO,
                       BERTH_REASON_ROLLBACK);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    info = rig_info(&rig, rig_phantom);
    assert_true(info.broken);
    assert_string_equal(info.owner, "quarantine");
    assert_int_equal(vm.crashed, 1);
    assert_true(rig_count_events(&rig, BERTH_EVENT_BROKEN) >= 1);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_CRASHED), 1);
    master_on(rig_phantom);
    for (unsigned fn = 0; fn < 8; fn += 2) {
        rid.devfn = (uint8_t)(rig_phantom.devfn | fn);
        assert_int_equal(dma(rid, PAGE), SIM_DMA_FAULT);
    }
}

/* Two devices behind one bridge: refused one without the other, and the other is named. */
static void behind_one_bridge(enum berth_reason reason)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    rig_expect_refused(&rig, rig_assign(&rig, rig_legacy2, vm.domain), -EBUSY, reason);
    assert_true(rig.why.has_other);
    assert_string_equal(rig.why.domain, "hwdom");
    rig_quarantine(&rig, rig_legacy);
    lend(rig_legacy2, &vm); /* nobody else is left behind the bridge */
    rig_expect_refused(&rig, rig_assign(&rig, rig_legacy, vm2.domain), -EBUSY, reason);
    assert_string_equal(rig.why.domain, "vm1");
    rig_expect_refused(&rig, rig_assign(&rig, rig_legacy, hwdom), -EBUSY, reason);
    lend(rig_legacy, &vm);
    assert_int_equal(rig_dma(&rig, rig_pci_bridge, PAGE).domain_id, berth_domain_id(vm.domain));
    assert_int_equal(rig_deassign(&rig, rig_legacy, vm.domain), 0);
    assert_int_equal(rig_dma(&rig, rig_pci_bridge, PAGE).domain_id, berth_domain_id(vm.domain));
    assert_int_equal(rig_deassign(&rig, rig_legacy2, vm.domain), 0);
    assert_int_equal(dma(rig_pci_bridge, PAGE), SIM_DMA_FAULT);
}

static void test_O4_one_isolation_group_has_one_owner(void **state)
{
    (void)state;
    behind_one_bridge(BERTH_REASON_SHARED_GROUP);
}

static struct berth_iommu_ops groupless;

static void without_groups(struct berth_machine_config *config)
{
    groupless = tape_iommu_ops;
    groupless.group = NULL;
    config->iommu = &groupless;
    config->policy.shared_groups = true; /* nor does the path count then */
}

static int setup_without_groups(void **state)
{
    (void)state;
    return guests_start(without_groups, 2);
}

static void test_O4_one_requester_id_has_one_owner(void **state)
{
    (void)state;
    behind_one_bridge(BERTH_REASON_SHARED_RID);
}

/* ---- X14, F41: caches ---- */

static void test_X14_no_translation_of_the_old_owner_is_used(void **state)
{
    struct sim_dma result;

    (void)state;
    lend(rig_nvme, &vm);
    assert_int_equal(dma(rig_nvme, PAGE), SIM_DMA_DOMAIN);
    atomic_store(&rig.tape.count, 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_ptr_equal(rig.tape.entry[tape_find(&rig.tape, 0, SIM_OP_FLUSH)].space,
                     berth_domain_space(vm.domain));
    lend(rig_nvme, &vm2);
    result = rig_dma(&rig, rig_nvme, PAGE);
    assert_false(result.stale);
    assert_int_equal(result.domain_id, berth_domain_id(vm2.domain));
}

static void test_F41_a_flush_that_times_out_breaks_the_device_only(void **state)
{
    (void)state;
    lend(rig_nvme, &vm);
    lend(rig_nvme2, &vm);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, true), 0);
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, vm.domain), -ETIMEDOUT,
                       BERTH_REASON_ROLLBACK);
    assert_true(rig_info(&rig, rig_nvme).broken);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    assert_true(berth_domain_crashed(vm.domain));
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm2.domain), -EBADF, BERTH_REASON_BROKEN);
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
    /* its caches may still lead to the guest's memory, which therefore stays (O5) */
    assert_int_equal(berth_domain_destroy(vm.domain, NULL), -EBUSY);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_ZOMBIE);
    assert_int_equal(sim_hang_on_flush(rig.sim, rig_nvme, false), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
    assert_int_equal(berth_domain_destroy(vm.domain, NULL), 0);
    rig.gaps_expected = 1; /* it was blocked, and lent again without having been removed */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown_tight)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X01_dma_that_a_dead_guest_programmed_faults),
        TEST(test_X01_a_failed_attach_never_leads_to_the_host),
        cmocka_unit_test_setup_teardown(test_X05_scratch_pages_are_private_and_zeroed,
                                        setup_scratch, guests_teardown_tight),
        TEST(test_M22_phantom_functions_move_with_their_device),
        TEST(test_X11_a_phantom_that_fails_takes_all_of_them_back),
        TEST(test_X11_a_rollback_that_fails_breaks_the_device_and_crashes_the_guest),
        TEST(test_O4_one_isolation_group_has_one_owner),
        cmocka_unit_test_setup_teardown(test_O4_one_requester_id_has_one_owner,
                                        setup_without_groups, guests_teardown_tight),
        TEST(test_X14_no_translation_of_the_old_owner_is_used),
        TEST(test_F41_a_flush_that_times_out_breaks_the_device_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
