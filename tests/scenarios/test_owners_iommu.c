/* SPDX-License-Identifier: MIT */
/* An IOMMU that refuses, for ever or once in the middle of something (F43, F44, F45, F47). */
#include "src/core/machine_priv.h"
#include "tests/unit/guests.h"

#define PAGE UINT64_C(0x1000)
#define COMMAND 4
#define COMMAND_WORKS 6u /* decode and bus mastering */
#define FOR_EVER 1000000u

static struct berth_iommu_ops ops;

static enum sim_dma_result dma(struct sbdf rid, uint64_t address)
{
    const struct sim_dma result = rig_dma(&rig, rid, address);

    assert_false(result.stale);
    return result.result;
}

/* ---- F43: contexts that can never be set ---- */

/* Calls of attach and detach since. */
static uint64_t context_calls(void)
{
    return sim_calls(rig.sim, SIM_OP_ATTACH) + sim_calls(rig.sim, SIM_OP_DETACH);
}

static void refuse_for_ever(bool on)
{
    sim_fail(rig.sim, SIM_OP_ATTACH, on, FOR_EVER, 0);
    sim_fail(rig.sim, SIM_OP_DETACH, on, FOR_EVER, 0);
}

/* Each operation tries there, back, and to block it: no more than that, for each requester id. */
static void fails_and_ends(struct sbdf sbdf, int (*operation)(struct sbdf sbdf))
{
    const unsigned rids = rig_info(&rig, sbdf).rid_count;
    const uint64_t before = context_calls();

    assert_int_not_equal(operation(sbdf), 0);
    assert_in_range(context_calls() - before, 1, 4 * rids + 2);
}

static int do_assign(struct sbdf sbdf)
{
    return rig_assign(&rig, sbdf, vm.domain);
}

static int do_deassign(struct sbdf sbdf)
{
    return rig_deassign(&rig, sbdf, vm.domain);
}

static int do_remove(struct sbdf sbdf)
{
    return rig_remove(&rig, sbdf, PCIDEV_REMOVE_FORCE);
}

static int do_destroy(struct sbdf sbdf)
{
    (void)sbdf;
    return berth_domain_destroy(vm.domain, NULL);
}

/* Whatever it was, the hardware domain can have it back when the IOMMU works again. */
static void revive(struct sbdf sbdf)
{
    const struct pcidev_info info = rig_info(&rig, sbdf);

    if (info.owner_kind == BERTH_DOMAIN_GUEST)
        assert_int_equal(rig_deassign(&rig, sbdf, vm.domain), 0);
    if (info.owner_kind != BERTH_DOMAIN_HWDOM)
        assert_int_equal(rig_assign(&rig, sbdf, hwdom()), 0);
    assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
}

static void test_F43_no_operation_tries_for_ever(void **state)
{
    static int (*const operations[])(struct sbdf sbdf) = {do_assign, do_deassign, do_remove,
                                                          do_destroy};
    const struct sbdf devices[] = {rig_nvme, rig_phantom, rig_legacy};

    (void)state;
    guests_up(NULL, 1);
    rig_quarantine(&rig, rig_legacy2); /* nobody else is behind the bridge with its alias */
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 4; k++) {
            if (operations[k] != do_assign)
                assert_int_equal(do_assign(devices[i]), 0);
            refuse_for_ever(true);
            fails_and_ends(devices[i], operations[k]);
            refuse_for_ever(false);
            if (operations[k] == do_destroy) {
                rig_vm_down(&vm);
                rig_vm_up(&rig, &vm, "vm1");
            }
            revive(devices[i]);
        }
}

/* ---- F44: ids that leak ---- */

static void expect_id(const struct berth_domain *domain, const struct berth_domain *live)
{
    const uint32_t id = berth_domain_id(domain);

    assert_int_not_equal(id, berth_domain_id(hwdom()));
    assert_int_not_equal(id, berth_domain_id(berth_machine_quarantine(rig.machine)));
    assert_int_not_equal(id, berth_domain_id(berth_machine_hidden(rig.machine)));
    assert_int_not_equal(id, berth_domain_id(live));
}

/* More than there are ids, every third time with an IOMMU that has no space left. */
static void test_F44_ids_come_back_also_after_failures(void **state)
{
    struct sim_counters before, after;
    struct berth_domain *domain;

    (void)state;
    guests_up(NULL, 1);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < DOMAIN_ID_GUEST_LAST + 100; i++) {
        bool fails = i % 3 == 0;
        int error;

        sim_fail(rig.sim, SIM_OP_SPACE_CREATE, fails, 0, -ENOSPC);
        error = berth_domain_create(rig.machine, "short", NULL, NULL, &domain);
        assert_int_equal(error, fails ? -ENOSPC : 0);
        if (error)
            continue;
        expect_id(domain, vm.domain);
        assert_int_equal(berth_domain_destroy(domain, NULL), 0);
        berth_domain_put(domain);
    }
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
}

static void test_F44_spaces_and_contexts_come_back_after_failures(void **state)
{
    struct sim_counters before, after;

    (void)state;
    guests_up(NULL, 1);
    rig_quarantine(&rig, rig_phantom);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 300; i++) {
        sim_fail(rig.sim, SIM_OP_ATTACH, i % 7, 0, 0);
        if (rig_assign(&rig, rig_phantom, vm.domain) == 0) {
            sim_fail(rig.sim, SIM_OP_ATTACH, i % 5, 0, 0);
            if (rig_deassign(&rig, rig_phantom, vm.domain) != 0)
                assert_int_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
        }
        rig_expect_owner(&rig, rig_phantom, "quarantine");
    }
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
    assert_int_equal(after.contexts, before.contexts);
}

/* More units than a word has bits: one per segment, each with a device. */
#define UNITS 100u

static struct sbdf unit_device(unsigned unit)
{
    return sbdf_make(0x100 + unit, 0, 1, 0);
}

static void test_F44_more_units_than_a_word_has_bits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UNITS; i++)
        mb_rc_endpoint(&rig.builder, unit_device(i));
    guests_up(NULL, 1);
    for (unsigned i = 0; i < UNITS; i++) {
        assert_int_equal(rig_assign(&rig, unit_device(i), vm.domain), 0);
        rig_master_on(&rig, unit_device(i), vm.domain);
    }
    for (unsigned i = 0; i < UNITS; i++)
        assert_int_equal(rig_dma(&rig, unit_device(i), PAGE).domain_id, berth_domain_id(vm.domain));
    for (unsigned i = 0; i < UNITS; i += 2)
        assert_int_equal(rig_deassign(&rig, unit_device(i), vm.domain), 0);
    for (unsigned i = 0; i < UNITS; i++) {
        rig_poke(&rig, unit_device(i), COMMAND, 2, COMMAND_WORKS);
        assert_int_equal(dma(unit_device(i), PAGE), i & 1 ? SIM_DMA_DOMAIN : SIM_DMA_FAULT);
    }
}

/* ---- F45: the k-th of several regions ---- */

#define REGIONS 4u

static struct berth_reserved regions[REGIONS];

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
}

static void reserve_regions(void)
{
    for (unsigned i = 0; i < REGIONS; i++)
        regions[i] = (struct berth_reserved){
            .start = 0x100000 * (i + 1), .length = PAGE << i, .writable = 1};
    rig_reserve(&rig, rig_nvme, regions, REGIONS);
    rig_poke(&rig, rig_nvme, COMMAND, 2, COMMAND_WORKS);
}

/* What a device of @owner without any region finds at them: the owner's memory. */
static void expect_none_mapped(struct sbdf other)
{
    for (unsigned i = 0; i < REGIONS; i++)
        assert_int_equal(dma(other, regions[i].start), SIM_DMA_DOMAIN);
}

static void expect_all_mapped(void)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        assert_int_equal(dma(rig_nvme, regions[i].start), SIM_DMA_RESERVED);
        assert_int_equal(dma(rig_nvme, regions[i].start + regions[i].length - 8), SIM_DMA_RESERVED);
    }
}

/* With warm caches: neither side may go on with what was there for a moment. */
static void fail_kth(enum sim_op op)
{
    for (unsigned k = 1; k <= REGIONS; k++) {
        struct rig_state before;

        expect_all_mapped();
        before = rig_remember(&rig, rig_nvme);
        sim_fail(rig.sim, op, k, 0, -EIO);
        rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EIO,
                           BERTH_REASON_IOMMU_FAILED);
        sim_fail(rig.sim, op, 0, 0, 0);
        rig_expect_as_before(&rig, &before);
        expect_all_mapped();
        expect_none_mapped(rig_nvme2);
    }
}

static void test_F45_a_map_that_fails_in_the_middle_is_taken_back(void **state)
{
    (void)state;
    guests_up(relaxed, 1);
    reserve_regions();
    assert_int_equal(rig_assign(&rig, rig_nvme2, vm.domain), 0);
    rig_master_on(&rig, rig_nvme2, vm.domain);
    fail_kth(SIM_OP_MAP);
    fail_kth(SIM_OP_UNMAP);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    rig_master_on(&rig, rig_nvme, vm.domain);
    expect_all_mapped();
}

/* ---- F47: a guest whose memory may not be reached by devices now ---- */

static struct berth_domain *paged; /* its pages come and go */
static unsigned attached;          /* contexts that point to it */
static bool paging;

static int attach_unless_paged(void *iommu, struct sbdf rid, void *space)
{
    bool is_paged = paged && space == berth_domain_space(paged);
    int error;

    if (is_paged && paging)
        return -EXDEV;
    error = tape_iommu_ops.attach(iommu, rid, space);
    attached += !error && is_paged;
    return error;
}

static int flush_and_count(void *iommu, struct sbdf rid, void *old_space)
{
    int error = tape_iommu_ops.flush(iommu, rid, old_space);

    attached -= !error && paged && old_space == berth_domain_space(paged);
    return error;
}

/* A VMM that pages: the one place that sees every context under the IOMMU's own lock. */
static int paging_turn_on(void)
{
    if (attached)
        return -EXDEV;
    paging = true;
    return 0;
}

static void pages_come_and_go(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.attach = attach_unless_paged;
    ops.flush = flush_and_count;
    config->iommu = &ops;
}

static void test_F47_no_device_while_the_guest_is_paged_and_the_reverse(void **state)
{
    struct rig_state before;

    (void)state;
    paged = NULL;
    attached = 0;
    guests_up(pages_come_and_go, 1);
    paged = vm.domain;
    before = rig_remember(&rig, rig_phantom);
    assert_int_equal(paging_turn_on(), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_phantom, vm.domain), -EXDEV,
                       BERTH_REASON_IOMMU_FAILED);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(attached, 0);
    paging = false;
    assert_int_equal(rig_assign(&rig, rig_phantom, vm.domain), 0);
    assert_int_equal(attached, 4);
    assert_int_equal(paging_turn_on(), -EXDEV);
    assert_int_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
    assert_int_equal(paging_turn_on(), 0);
    paged = NULL;
}

static int forbid_paged(void *context, const struct berth_domain *caller, enum berth_operation op,
                        struct sbdf device, const struct berth_domain *target)
{
    (void)context, (void)caller, (void)device;
    return op == BERTH_OP_ASSIGN && paging && target == paged ? -EXDEV : 0;
}

static void with_hook(struct berth_machine_config *config)
{
    config->permit = forbid_paged;
}

static void test_F47_the_hook_may_say_so_as_well(void **state)
{
    (void)state;
    guests_up(with_hook, 1);
    paged = vm.domain;
    paging = true;
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EXDEV,
                       BERTH_REASON_NOT_PERMITTED);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
    paging = false;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    paged = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F43_no_operation_tries_for_ever),
        TEST(test_F44_ids_come_back_also_after_failures),
        TEST(test_F44_spaces_and_contexts_come_back_after_failures),
        TEST(test_F44_more_units_than_a_word_has_bits),
        TEST(test_F45_a_map_that_fails_in_the_middle_is_taken_back),
        TEST(test_F47_no_device_while_the_guest_is_paged_and_the_reverse),
        TEST(test_F47_the_hook_may_say_so_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
