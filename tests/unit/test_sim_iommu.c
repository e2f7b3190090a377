/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine's IOMMU: spaces, contexts, stale caches, faults, interrupts, groups.
 */
#include "tests/unit/sim_help.h"

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define DEVICE at(1, 0, 0)
#define OTHER at(2, 0, 0)
#define PCI_BUS_RID at(3, 0, 0)
#define PCI_DEVICE at(3, 4, 0)
#define FAR (UINT64_C(1) << 46)

static const struct berth_reserved read_only = {0x10000, 0x2000, 0, 0};
static const struct berth_reserved writable = {0x20000, 0x1000, 1, 0};

struct setup {
    struct simrig rig;
    struct sim *sim;
    void *a, *b, *block; /* domains 1 and 2, a quarantine */
};

static void *make_space(struct sim *sim, enum berth_space_kind kind, uint32_t id)
{
    void *space = NULL;

    assert_int_equal(sim_iommu_ops.space_create(sim, kind, id, &space), 0);
    return space;
}

static void build(struct setup *s)
{
    mb_init(&s->rig.b);
    mb_root_port(&s->rig.b, at(0, 1, 0), 1, 1);
    mb_phantom(&s->rig.b, DEVICE, 2);
    mb_phantom(&s->rig.b, at(1, 0, 1), 2);
    mb_root_port(&s->rig.b, at(0, 2, 0), 2, 3);
    mb_pcie_pci_bridge(&s->rig.b, OTHER, 3, 3);
    mb_pci_endpoint(&s->rig.b, PCI_DEVICE);
    simrig_start(&s->rig, NULL);
    s->sim = s->rig.sim;
    s->a = make_space(s->sim, BERTH_SPACE_DOMAIN, 1);
    s->b = make_space(s->sim, BERTH_SPACE_DOMAIN, 2);
    s->block = make_space(s->sim, BERTH_SPACE_BLOCK, 3);
}

static void clear_context(struct setup *s, struct sbdf rid)
{
    void *const spaces[] = {s->a, s->b, s->block};

    assert_int_equal(sim_iommu_ops.detach(s->sim, rid), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sim_iommu_ops.flush(s->sim, rid, spaces[i]), 0);
}

/* Whatever a test has left attached, nothing may be in use when the spaces go. */
static void finish(struct setup *s)
{
    uint64_t in_use = simrig_counters(&s->rig).spaces_freed_in_use;

    clear_context(s, DEVICE);
    clear_context(s, PCI_DEVICE);
    sim_iommu_ops.space_destroy(s->sim, s->a);
    sim_iommu_ops.space_destroy(s->sim, s->b);
    sim_iommu_ops.space_destroy(s->sim, s->block);
    assert_int_equal(simrig_counters(&s->rig).spaces, 0);
    assert_int_equal(simrig_counters(&s->rig).contexts, 0);
    assert_int_equal(simrig_counters(&s->rig).mappings, 0);
    assert_int_equal(simrig_counters(&s->rig).spaces_freed_in_use, in_use);
    simrig_stop(&s->rig);
}

static void attach(struct setup *s, struct sbdf rid, void *space)
{
    assert_int_equal(sim_iommu_ops.attach(s->sim, rid, space), 0);
}

static struct sim_dma probe(struct setup *s, struct sbdf rid, uint64_t address, bool write,
                            uint64_t data)
{
    struct sim_dma dma;

    assert_int_equal(sim_dma(s->sim, rid, address, write, data, &dma), 0);
    return dma;
}

static enum sim_dma_result result_of(struct setup *s, struct sbdf rid, uint64_t address, bool write)
{
    return probe(s, rid, address, write, 0x77).result;
}

static void count_fault(void *context, struct sbdf rid)
{
    struct sbdf *last = context;

    *last = rid;
}

/* ---- spaces ---- */

static void test_without_a_context_dma_faults(void **state)
{
    struct sbdf last = {0};
    struct setup s;

    (void)state;
    build(&s);
    sim_on_fault(s.sim, count_fault, &last);
    assert_int_equal(result_of(&s, DEVICE, 0x1000, false), SIM_DMA_FAULT);
    assert_true(sbdf_equal(last, DEVICE));
    attach(&s, DEVICE, s.block);
    assert_int_equal(result_of(&s, DEVICE, 0x1000, true), SIM_DMA_FAULT);
    assert_int_equal(simrig_counters(&s.rig).dma_faults, 2);
    finish(&s);
}

static void test_domains_have_memory_of_their_own(void **state)
{
    struct sim_dma dma;
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    attach(&s, PCI_DEVICE, s.b);
    dma = probe(&s, DEVICE, 0x1000, true, 0xabcd);
    assert_int_equal(dma.result, SIM_DMA_DOMAIN);
    assert_int_equal(dma.domain_id, 1);
    assert_false(dma.stale);
    assert_int_equal(probe(&s, DEVICE, 0x1000, false, 0).data, 0xabcd);
    dma = probe(&s, PCI_DEVICE, 0x1000, false, 0);
    assert_int_equal(dma.domain_id, 2);
    assert_int_equal(dma.data, 0);
    assert_int_equal(result_of(&s, DEVICE, FAR - 8, true), SIM_DMA_DOMAIN);
    assert_int_equal(result_of(&s, DEVICE, FAR, true), SIM_DMA_FAULT);
    for (uint64_t i = 0; i < 1000; i++)
        probe(&s, DEVICE, i * 4096, true, i);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(probe(&s, DEVICE, i * 4096, false, 0).data, i);
    finish(&s);
}

static void test_scratch_pages_are_private_and_zeroed(void **state)
{
    struct setup s;
    void *mine, *yours;

    (void)state;
    build(&s);
    mine = make_space(s.sim, BERTH_SPACE_SCRATCH, 10);
    yours = make_space(s.sim, BERTH_SPACE_SCRATCH, 11);
    attach(&s, DEVICE, mine);
    attach(&s, PCI_DEVICE, yours);
    assert_int_equal(probe(&s, DEVICE, 0x1008, true, 0x5ec7e7).result, SIM_DMA_SCRATCH);
    assert_int_equal(probe(&s, DEVICE, 0x7777008, false, 0).data, 0x5ec7e7); /* one page */
    assert_int_equal(probe(&s, DEVICE, UINT64_MAX - 7, false, 0).result, SIM_DMA_SCRATCH);
    for (uint64_t i = 0; i < 4096; i += 8)
        assert_int_equal(probe(&s, PCI_DEVICE, i, false, 1).data, 0);
    clear_context(&s, DEVICE);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, mine), 0);
    assert_int_equal(sim_iommu_ops.flush(s.sim, PCI_DEVICE, yours), 0);
    assert_int_equal(sim_iommu_ops.detach(s.sim, PCI_DEVICE), 0);
    sim_iommu_ops.space_destroy(s.sim, mine);
    sim_iommu_ops.space_destroy(s.sim, yours);
    mine = make_space(s.sim, BERTH_SPACE_SCRATCH, 10);
    attach(&s, DEVICE, mine);
    assert_int_equal(probe(&s, DEVICE, 0x1008, false, 1).data, 0);
    clear_context(&s, DEVICE);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, mine), 0);
    sim_iommu_ops.space_destroy(s.sim, mine);
    finish(&s);
}

static void test_scratch_may_be_missing(void **state)
{
    static const struct sim_options options = {.no_scratch = true};
    struct simrig rig;
    void *space;

    (void)state;
    mb_init(&rig.b);
    mb_endpoint(&rig.b, DEVICE);
    simrig_start(&rig, &options);
    assert_int_equal(sim_iommu_ops.space_create(rig.sim, BERTH_SPACE_SCRATCH, 1, &space),
                     -EOPNOTSUPP);
    assert_int_equal(simrig_counters(&rig).spaces, 0);
    simrig_stop(&rig);
}

/* X09: what is between two regions faults, and permissions are each region's own. */
static void test_reserved_regions_have_edges_and_permissions(void **state)
{
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.block);
    assert_int_equal(sim_iommu_ops.map(s.sim, s.block, &read_only), 0);
    assert_int_equal(sim_iommu_ops.map(s.sim, s.block, &writable), 0);
    assert_int_equal(simrig_counters(&s.rig).mappings, 2);
    assert_int_equal(result_of(&s, DEVICE, 0xfff8, false), SIM_DMA_FAULT);
    assert_int_equal(result_of(&s, DEVICE, 0x10000, false), SIM_DMA_RESERVED);
    assert_int_equal(result_of(&s, DEVICE, 0x11ff8, true), SIM_DMA_FAULT);
    assert_int_equal(result_of(&s, DEVICE, 0x12000, false), SIM_DMA_FAULT);
    assert_int_equal(result_of(&s, DEVICE, 0x20ff8, true), SIM_DMA_RESERVED);
    assert_int_equal(sim_iommu_ops.map(s.sim, s.block, &writable), -EEXIST);
    assert_int_equal(sim_iommu_ops.unmap(s.sim, s.block, &writable), 0);
    assert_int_equal(result_of(&s, DEVICE, 0x20ff8, false), SIM_DMA_FAULT); /* flushed too */
    assert_int_equal(sim_iommu_ops.unmap(s.sim, s.block, &writable), -ENOENT);
    assert_int_equal(sim_iommu_ops.unmap(s.sim, s.block, &read_only), 0);
    finish(&s);
}

static void test_bad_regions_are_refused(void **state)
{
    static const struct berth_reserved bad[] = {{0x1000, 0, 1, 0},
                                                {0x1008, 0x1000, 1, 0},
                                                {0x1000, 8, 1, 0},
                                                {0ull - 0x1000, 0x2000, 1, 0}};
    struct setup s;

    (void)state;
    build(&s);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sim_iommu_ops.map(s.sim, s.a, &bad[i]), -EINVAL);
    finish(&s);
}

/* ---- caches ---- */

static void test_a_cached_translation_survives_until_it_is_flushed(void **state)
{
    struct sim_dma dma;
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    probe(&s, DEVICE, 0x1000, true, 1);
    attach(&s, DEVICE, s.b);
    dma = probe(&s, DEVICE, 0x1008, false, 0);
    assert_int_equal(dma.domain_id, 1);
    assert_true(dma.stale);
    dma = probe(&s, DEVICE, 0x2000, false, 0); /* a page that was not in the cache */
    assert_int_equal(dma.domain_id, 2);
    assert_false(dma.stale);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, s.b), 0); /* the wrong one: X14 */
    assert_true(probe(&s, DEVICE, 0x1008, false, 0).stale);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, s.a), 0);
    dma = probe(&s, DEVICE, 0x1008, false, 0);
    assert_int_equal(dma.domain_id, 2);
    assert_false(dma.stale);
    assert_int_equal(simrig_counters(&s.rig).dma_stale, 2);
    finish(&s);
}

static void test_a_cleared_context_still_leaks_from_the_cache(void **state)
{
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    probe(&s, DEVICE, 0x1000, true, 1);
    assert_int_equal(sim_iommu_ops.detach(s.sim, DEVICE), 0);
    assert_true(probe(&s, DEVICE, 0x1000, false, 0).stale);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, s.a), 0);
    assert_int_equal(result_of(&s, DEVICE, 0x1000, false), SIM_DMA_FAULT);
    finish(&s);
}

/* X04: its reserved region is never out of reach of a device that moves, and is never stale. */
static void test_a_reserved_region_is_the_same_in_both_spaces(void **state)
{
    struct sim_dma dma;
    struct setup s;

    (void)state;
    build(&s);
    assert_int_equal(sim_iommu_ops.map(s.sim, s.a, &writable), 0);
    assert_int_equal(sim_iommu_ops.map(s.sim, s.block, &writable), 0);
    attach(&s, DEVICE, s.a);
    assert_int_equal(probe(&s, DEVICE, 0x20000, true, 0x99).result, SIM_DMA_RESERVED);
    attach(&s, DEVICE, s.block);
    dma = probe(&s, DEVICE, 0x20000, false, 0);
    assert_int_equal(dma.result, SIM_DMA_RESERVED);
    assert_int_equal(dma.data, 0x99);
    assert_false(dma.stale);
    assert_int_equal(sim_iommu_ops.unmap(s.sim, s.a, &writable), 0);
    assert_int_equal(result_of(&s, DEVICE, 0x20000, true), SIM_DMA_RESERVED);
    assert_int_equal(sim_iommu_ops.unmap(s.sim, s.block, &writable), 0);
    assert_int_equal(result_of(&s, DEVICE, 0x20000, true), SIM_DMA_FAULT);
    finish(&s);
}

static void test_a_flush_may_time_out(void **state)
{
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    probe(&s, DEVICE, 0x1000, true, 1);
    attach(&s, DEVICE, s.block);
    assert_int_equal(sim_hang_on_flush(s.sim, DEVICE, true), 0);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, s.a), -ETIMEDOUT);
    assert_true(probe(&s, DEVICE, 0x1000, false, 0).stale);
    assert_int_equal(sim_hang_on_flush(s.sim, DEVICE, false), 0);
    assert_int_equal(sim_iommu_ops.flush(s.sim, DEVICE, s.a), 0);
    assert_int_equal(result_of(&s, DEVICE, 0x1000, false), SIM_DMA_FAULT);
    finish(&s);
}

static void test_freeing_what_is_in_use_is_noticed(void **state)
{
    struct setup s;
    void *space;

    (void)state;
    build(&s);
    space = make_space(s.sim, BERTH_SPACE_DOMAIN, 40);
    attach(&s, DEVICE, space);
    sim_iommu_ops.space_destroy(s.sim, space);
    assert_int_equal(simrig_counters(&s.rig).spaces_freed_in_use, 1);
    assert_int_equal(probe(&s, DEVICE, 0x1000, true, 1).domain_id, 40); /* and nothing crashes */
    space = make_space(s.sim, BERTH_SPACE_DOMAIN, 41);
    attach(&s, PCI_DEVICE, space);
    probe(&s, PCI_DEVICE, 0x1000, true, 1);
    assert_int_equal(sim_iommu_ops.detach(s.sim, PCI_DEVICE), 0);
    sim_iommu_ops.space_destroy(s.sim, space); /* only a cache knows it any more */
    assert_int_equal(simrig_counters(&s.rig).spaces_freed_in_use, 2);
    assert_true(probe(&s, PCI_DEVICE, 0x1000, false, 0).stale);
    finish(&s);
}

static void test_gaps_between_owners_are_counted(void **state)
{
    berth_claim claim;
    struct setup s;

    (void)state;
    build(&s);
    assert_int_equal(sim_host_ops.claim(s.sim, DEVICE, &claim), 0);
    attach(&s, DEVICE, s.a);
    attach(&s, DEVICE, s.b);
    assert_int_equal(simrig_counters(&s.rig).attach_gaps, 0);
    assert_int_equal(sim_iommu_ops.detach(s.sim, DEVICE), 0);
    attach(&s, DEVICE, s.a);
    assert_int_equal(simrig_counters(&s.rig).attach_gaps, 1);
    assert_int_equal(sim_iommu_ops.detach(s.sim, DEVICE), 0);
    sim_host_ops.release(s.sim, claim); /* removed and added again: that is no gap */
    assert_int_equal(sim_host_ops.claim(s.sim, DEVICE, &claim), 0);
    attach(&s, DEVICE, s.a);
    assert_int_equal(simrig_counters(&s.rig).attach_gaps, 1);
    finish(&s);
}

/* ---- who can issue requests ---- */

static void test_dma_needs_bus_mastering_all_the_way_up(void **state)
{
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_DOMAIN);
    simrig_update(&s.rig, at(0, 1, 0), PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_SILENT);
    simrig_update(&s.rig, at(0, 1, 0), PCI_COMMAND, 0, PCI_COMMAND_MASTER);
    simrig_update(&s.rig, DEVICE, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_SILENT);
    simrig_update(&s.rig, DEVICE, PCI_COMMAND, 0, PCI_COMMAND_MASTER);
    simrig_update(&s.rig, DEVICE, simrig_cap(&s.rig, DEVICE, PCI_CAP_ID_PM) + PCI_PM_CTRL, 0, 3);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_SILENT);
    simrig_update(&s.rig, DEVICE, simrig_cap(&s.rig, DEVICE, PCI_CAP_ID_PM) + PCI_PM_CTRL, 3, 0);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_DOMAIN);
    assert_int_equal(sim_vanish(s.sim, DEVICE), 0);
    assert_int_equal(result_of(&s, DEVICE, 0, true), SIM_DMA_SILENT);
    finish(&s);
}

static void test_phantom_functions_and_aliases_have_contexts_of_their_own(void **state)
{
    struct sim_dma dma;
    struct setup s;

    (void)state;
    build(&s);
    attach(&s, DEVICE, s.a);
    assert_int_equal(result_of(&s, at(1, 0, 4), 0, true), SIM_DMA_FAULT);
    attach(&s, at(1, 0, 4), s.b);
    assert_int_equal(probe(&s, at(1, 0, 4), 0, true, 1).domain_id, 2);
    simrig_update(&s.rig, DEVICE, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    assert_int_equal(result_of(&s, at(1, 0, 4), 0, true), SIM_DMA_SILENT);
    assert_int_equal(result_of(&s, at(1, 0, 3), 0, true), SIM_DMA_FAULT); /* function 1's */
    attach(&s, PCI_BUS_RID, s.a);
    assert_int_equal(probe(&s, PCI_BUS_RID, 0, true, 1).domain_id, 1);
    assert_int_equal(sim_dma(s.sim, at(9, 0, 0), 0, true, 0, &dma), -ENODEV);
    clear_context(&s, at(1, 0, 4));
    clear_context(&s, PCI_BUS_RID);
    finish(&s);
}

/* ---- interrupts ---- */

static enum sim_irq_result interrupt(struct setup *s, struct sbdf sbdf, uint32_t *domain)
{
    enum sim_irq_result result;

    assert_int_equal(sim_interrupt(s->sim, sbdf, &result, domain), 0);
    return result;
}

static void test_interrupts_go_where_the_context_points(void **state)
{
    uint32_t domain = 0;
    struct setup s;
    unsigned msix;

    (void)state;
    build(&s);
    msix = simrig_cap(&s.rig, DEVICE, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;
    attach(&s, DEVICE, s.b);
    assert_int_equal(interrupt(&s, DEVICE, &domain), SIM_IRQ_NONE);
    simrig_update(&s.rig, DEVICE, msix, 0, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(interrupt(&s, DEVICE, &domain), SIM_IRQ_DELIVERED);
    assert_int_equal(domain, 2);
    simrig_update(&s.rig, DEVICE, msix, 0, PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(interrupt(&s, DEVICE, &domain), SIM_IRQ_NONE);
    simrig_update(&s.rig, DEVICE, msix, PCI_MSIX_FLAGS_MASKALL, 0);
    attach(&s, DEVICE, s.block);
    assert_int_equal(interrupt(&s, DEVICE, &domain), SIM_IRQ_BLOCKED);
    simrig_update(&s.rig, DEVICE, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    assert_int_equal(interrupt(&s, DEVICE, &domain), SIM_IRQ_NONE);
    assert_int_equal(simrig_counters(&s.rig).interrupts_delivered, 1);
    assert_int_equal(simrig_counters(&s.rig).interrupts_blocked, 1);
    finish(&s);
}

static void test_interrupts_behind_a_bridge_have_its_requester_id(void **state)
{
    uint32_t domain = 0;
    struct setup s;

    (void)state;
    build(&s);
    simrig_update(&s.rig, PCI_DEVICE,
                  simrig_cap(&s.rig, PCI_DEVICE, PCI_CAP_ID_MSI) + PCI_MSI_FLAGS, 0,
                  PCI_MSI_FLAGS_ENABLE);
    attach(&s, PCI_DEVICE, s.a);
    assert_int_equal(interrupt(&s, PCI_DEVICE, &domain), SIM_IRQ_BLOCKED);
    attach(&s, PCI_BUS_RID, s.a);
    assert_int_equal(interrupt(&s, PCI_DEVICE, &domain), SIM_IRQ_DELIVERED);
    clear_context(&s, PCI_BUS_RID);
    finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_context_dma_faults),
        cmocka_unit_test(test_domains_have_memory_of_their_own),
        cmocka_unit_test(test_scratch_pages_are_private_and_zeroed),
        cmocka_unit_test(test_scratch_may_be_missing),
        cmocka_unit_test(test_reserved_regions_have_edges_and_permissions),
        cmocka_unit_test(test_bad_regions_are_refused),
        cmocka_unit_test(test_a_cached_translation_survives_until_it_is_flushed),
        cmocka_unit_test(test_a_cleared_context_still_leaks_from_the_cache),
        cmocka_unit_test(test_a_reserved_region_is_the_same_in_both_spaces),
        cmocka_unit_test(test_a_flush_may_time_out),
        cmocka_unit_test(test_freeing_what_is_in_use_is_noticed),
        cmocka_unit_test(test_gaps_between_owners_are_counted),
        cmocka_unit_test(test_dma_needs_bus_mastering_all_the_way_up),
        cmocka_unit_test(test_phantom_functions_and_aliases_have_contexts_of_their_own),
        cmocka_unit_test(test_interrupts_go_where_the_context_points),
        cmocka_unit_test(test_interrupts_behind_a_bridge_have_its_requester_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
