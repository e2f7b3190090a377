/* SPDX-License-Identifier: MIT */
/* Memory that firmware keeps for a device, whoever owns it (M24, X03-X05, X07-X09). */
#include "tests/unit/guest_dma.h"

#define PAGE 0x1000u

static const struct berth_reserved rmrr = {.start = 0x10000, .length = 0x2000, .writable = 1};

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
}

static int setup(void **state)
{
    (void)state;
    return guests_start(relaxed, 2);
}

static int setup_strict(void **state)
{
    (void)state;
    return guests_start(NULL, 2);
}

static int teardown(void **state)
{
    rig.tape.hook = NULL;
    return guests_teardown_tight(state);
}

static void test_X05_reserved_memory_works_in_quarantine_and_nothing_else(void **state)
{
    (void)state;
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    rig_quarantine(&rig, rig_nvme);
    master_on(rig_nvme);
    assert_int_equal(dma(rig_nvme, rmrr.start), SIM_DMA_RESERVED);
    assert_int_equal(dma(rig_nvme, rmrr.start + rmrr.length - 8), SIM_DMA_RESERVED);
    assert_int_equal(dma(rig_nvme, rmrr.start - PAGE), SIM_DMA_FAULT);
    assert_int_equal(dma(rig_nvme, rmrr.start + rmrr.length), SIM_DMA_FAULT);
    rig_quarantine(&rig, rig_nvme2); /* somebody else's region is not mapped there */
    master_on(rig_nvme2);
    assert_int_equal(dma(rig_nvme2, rmrr.start), SIM_DMA_FAULT);
}

/* ---- X03, X04: order ---- */

static void test_X03_reserved_memory_is_mapped_first_and_unmapped_last(void **state)
{
    struct tape *tape = &rig.tape;
    int map, attach, unmap, detach;

    (void)state;
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    atomic_store(&tape->count, 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    map = tape_find(tape, 0, SIM_OP_MAP);
    attach = tape_find(tape, 0, SIM_OP_ATTACH);
    unmap = tape_find(tape, 0, SIM_OP_UNMAP);
    assert_true(map >= 0 && map < attach && attach < unmap);
    assert_ptr_equal(tape->entry[map].space, berth_domain_space(vm.domain));

    atomic_store(&tape->count, 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    detach = tape_find(tape, 0, SIM_OP_DETACH);
    unmap = tape_find(tape, 0, SIM_OP_UNMAP);
    assert_true(detach >= 0 && detach < tape_find(tape, 0, SIM_OP_FLUSH) && detach < unmap);

    atomic_store(&tape->count, 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    map = tape_find(tape, 0, SIM_OP_MAP);
    assert_true(map >= 0 && map < tape_find(tape, 0, SIM_OP_ATTACH));
}

static const struct sbdf lone_alias = {0, 4, 0};
static unsigned probes, misses;

/* The alias belongs to the bridge, which masters at any time. */
static void probe_reserved(void *context)
{
    (void)context;
    probes++;
    misses += dma(lone_alias, rmrr.start) != SIM_DMA_RESERVED;
}

static void test_X04_reserved_memory_is_never_unreachable(void **state)
{
    struct sim_counters counters;

    (void)state;
    rig_begin(&rig);
    mb_root_port(&rig.builder, at(0, 3, 0), 3, 4);
    mb_pcie_pci_bridge(&rig.builder, rig_pci_bridge, 4, 4);
    mb_pci_endpoint(&rig.builder, rig_legacy2);
    guests_up(relaxed, 2);
    rig_reserve(&rig, rig_legacy2, &rmrr, 1);
    sim_counters(rig.sim, &counters);
    rig.gaps_expected =
        (unsigned)counters.attach_gaps; /* it was removed, and the bridge with its ids was not */
    rig_quarantine(&rig, rig_legacy2);
    assert_int_equal(dma(lone_alias, rmrr.start), SIM_DMA_RESERVED);
    rig.tape.hook = probe_reserved;
    probes = misses = 0;
    assert_int_equal(rig_assign(&rig, rig_legacy2, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_legacy2, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_legacy2, vm2.domain), 0);
    assert_true(probes > 30);
    assert_int_equal(misses, 0);
    teardown(state);
}

/* ---- X07-X10: reserved regions ---- */

static void test_X07_a_region_that_was_never_mapped_does_not_keep_the_device(void **state)
{
    (void)state;
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    lend(rig_nvme, &vm);
    sim_fail(rig.sim, SIM_OP_UNMAP, 1, 0, -ENOENT);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_true(sim_failed(rig.sim, SIM_OP_UNMAP));
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    master_on(rig_nvme);
    assert_int_equal(dma(rig_nvme, PAGE), SIM_DMA_FAULT);
}

static void test_X08_a_shared_region_goes_with_its_last_user(void **state)
{
    (void)state;
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    rig_reserve(&rig, rig_nvme2, &rmrr, 1);
    lend(rig_nvme, &vm);
    lend(rig_nvme2, &vm);
    assert_int_equal(dma(rig_nvme2, rmrr.start), SIM_DMA_RESERVED);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(dma(rig_nvme2, rmrr.start), SIM_DMA_RESERVED);
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
    lend(rig_phantom, &vm);
    assert_int_equal(dma(rig_phantom, rmrr.start), SIM_DMA_DOMAIN); /* the map is gone */
}

static void test_M24_regions_that_overlap_unequally_are_refused(void **state)
{
    const struct berth_reserved half = {.start = 0x11000, .length = 0x1000, .writable = 1};

    (void)state;
    rig_quarantine(&rig, rig_nvme2); /* out of the hardware domain, where they would meet */
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme2, &half, 1), 0);
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    lend(rig_nvme, &vm);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme2, vm.domain), -EXDEV,
                       BERTH_REASON_RESERVED_CLASH);
    rig_expect_owner(&rig, rig_nvme2, "quarantine");
    lend(rig_nvme2, &vm2); /* the way out */
}

static void test_M24_the_strict_policy_lends_no_reserved_memory(void **state)
{
    struct berth_reserved soft = rmrr;

    (void)state;
    soft.relaxed = 1;
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    rig_reserve(&rig, rig_nvme2, &soft, 1);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EXDEV,
                       BERTH_REASON_RESERVED_STRICT);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
    lend(rig_nvme2, &vm);
}

static void test_X09_holes_between_regions_fault_and_read_only_is_read_only(void **state)
{
    const struct berth_reserved list[] = {
        {.start = 0x100000, .length = PAGE},
        {.start = 0x900000, .length = PAGE, .writable = 1},
    };
    struct sim_dma result;

    (void)state;
    rig_reserve(&rig, rig_nvme, list, 2);
    rig_quarantine(&rig, rig_nvme);
    master_on(rig_nvme);
    assert_int_equal(dma(rig_nvme, 0x100000), SIM_DMA_RESERVED);
    assert_int_equal(dma(rig_nvme, 0x500000), SIM_DMA_FAULT);
    assert_int_equal(sim_dma(rig.sim, rig_nvme, 0x100000, true, 1, &result), 0);
    assert_int_equal(result.result, SIM_DMA_FAULT);
    assert_int_equal(sim_dma(rig.sim, rig_nvme, 0x900000, true, 1, &result), 0);
    assert_int_equal(result.result, SIM_DMA_RESERVED);
}

static void test_M24_firmware_tables_that_lie_are_refused(void **state)
{
    const struct berth_reserved empty = {.start = 0x1000},
                                wraps = {UINT64_MAX - 0xfff, 0x2000, 1, 0};

    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme, &empty, 1), 0);
    rig_expect_refused(&rig, rig_add(&rig, rig_nvme), -EIO, BERTH_REASON_HOST_FAILED);
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme, &wraps, 1), 0);
    rig_expect_refused(&rig, rig_add(&rig, rig_nvme), -EIO, BERTH_REASON_HOST_FAILED);
    assert_false(rig_has(&rig, rig_nvme));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X05_reserved_memory_works_in_quarantine_and_nothing_else),
        TEST(test_X03_reserved_memory_is_mapped_first_and_unmapped_last),
        cmocka_unit_test(test_X04_reserved_memory_is_never_unreachable),
        TEST(test_X07_a_region_that_was_never_mapped_does_not_keep_the_device),
        TEST(test_X08_a_shared_region_goes_with_its_last_user),
        TEST(test_M24_regions_that_overlap_unequally_are_refused),
        cmocka_unit_test_setup_teardown(test_M24_the_strict_policy_lends_no_reserved_memory,
                                        setup_strict, teardown),
        TEST(test_X09_holes_between_regions_fault_and_read_only_is_read_only),
        TEST(test_M24_firmware_tables_that_lie_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
