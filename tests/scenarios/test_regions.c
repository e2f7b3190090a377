/* SPDX-License-Identifier: MIT */
/* Reserved memory that cannot be mapped, and memory that is taken back: X08, X10, X17, X18. */
#include "tests/unit/guests.h"

#include <berth/isolation.h>

#define PAGE 0x1000u
#define COMMAND 4
#define COMMAND_ON 6u
#define REGIONS 3u

/* ---- the nth allocation fails ---- */

static _Atomic unsigned alloc_fails_at;

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    if (atomic_load(&alloc_fails_at) && atomic_fetch_sub(&alloc_fails_at, 1) == 1)
        return NULL;
    return __real_port_alloc(size);
}

static const struct berth_reserved regions[REGIONS] = {
    {.start = 0x10000, .length = PAGE, .writable = 1},
    {.start = 0x20000, .length = 2 * PAGE},
    {.start = 0x40000, .length = PAGE, .writable = 1},
};
static const struct berth_reserved *const shared = &regions[0];

static struct berth_iommu_ops ops;

static int ats(void *iommu, struct sbdf rid, bool on)
{
    return sim_iommu_ops.ats(((struct tape *)iommu)->sim, rid, on);
}

static void configure(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
    ops = *config->iommu;
    ops.ats = ats;
    config->iommu = &ops;
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_ats(rig_function(&rig, rig_nvme));
    guests_up(configure, 1);
    return 0;
}

static void lend(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
    rig_poke(&rig, sbdf, COMMAND, 2, COMMAND_ON);
}

static void take_back(struct sbdf sbdf)
{
    assert_int_equal(rig_deassign(&rig, sbdf, vm.domain), 0);
    rig_poke(&rig, sbdf, COMMAND, 2, COMMAND_ON);
}

static enum sim_dma_result dma(struct sbdf sbdf, uint64_t address, bool write)
{
    struct sim_dma result;

    assert_int_equal(sim_dma(rig.sim, sbdf, address, write, 1, &result), 0);
    return result.result;
}

static uint64_t mappings(void)
{
    struct sim_counters counters;

    sim_counters(rig.sim, &counters);
    return counters.mappings;
}

/* ---- X08: two devices, one region ---- */

static void test_X08_a_lending_that_fails_leaves_shared_regions_alone(void **state)
{
    static const enum sim_op fails[] = {SIM_OP_MAP, SIM_OP_UNMAP, SIM_OP_ATTACH, SIM_OP_FLUSH};

    (void)state;
    rig_reserve(&rig, rig_nvme, shared, 1);
    rig_reserve(&rig, rig_nvme2, regions, 2);
    lend(rig_nvme);
    for (unsigned i = 0; i < sizeof(fails) / sizeof(fails[0]); i++) {
        const struct rig_state before = rig_remember(&rig, rig_nvme2);

        sim_fail(rig.sim, fails[i], 1, 0, 0);
        assert_int_not_equal(rig_assign(&rig, rig_nvme2, vm.domain), 0);
        sim_fail(rig.sim, fails[i], 0, 0, 0);
        rig_expect_as_before(&rig, &before);
        assert_int_equal(dma(rig_nvme, shared->start, true), SIM_DMA_RESERVED);
        assert_int_equal(dma(rig_nvme, regions[1].start, false), SIM_DMA_DOMAIN);
    }
    lend(rig_nvme2);
    take_back(rig_nvme);
    assert_int_equal(dma(rig_nvme2, shared->start, true), SIM_DMA_RESERVED);
}

/* ---- X10: nothing is mapped that nobody knows of ---- */

static void test_X10_a_region_that_cannot_be_mapped_takes_the_others_along(void **state)
{
    (void)state;
    rig_reserve(&rig, rig_nvme, regions, REGIONS);
    for (unsigned nth = 1; nth <= REGIONS; nth++) {
        const struct rig_state before = rig_remember(&rig, rig_nvme);

        sim_fail(rig.sim, SIM_OP_MAP, nth, 0, 0);
        assert_int_not_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
        sim_fail(rig.sim, SIM_OP_MAP, 0, 0, 0);
        rig_expect_as_before(&rig, &before);
    }
    lend(rig_nvme);
    for (unsigned i = 0; i < REGIONS; i++)
        assert_int_equal(dma(rig_nvme, regions[i].start, false), SIM_DMA_RESERVED);
}

static void test_X10_no_memory_to_remember_a_region_by(void **state)
{
    unsigned nth = 0;
    int error;

    (void)state;
    rig_reserve(&rig, rig_nvme, regions, REGIONS);
    rig_quarantine(&rig, rig_nvme);
    do {
        const struct rig_state before = rig_remember(&rig, rig_nvme);

        atomic_store(&alloc_fails_at, ++nth);
        error = rig_assign(&rig, rig_nvme, vm.domain);
        atomic_store(&alloc_fails_at, 0);
        if (error)
            rig_expect_as_before(&rig, &before);
    } while (error);
    assert_true(nth > REGIONS);
    assert_int_equal(dma(rig_nvme, regions[2].start, false), SIM_DMA_SILENT); /* no mastering yet */
}

static void test_X10_what_cannot_be_unmapped_again_is_remembered(void **state)
{
    const uint64_t before = mappings();

    (void)state;
    rig_reserve(&rig, rig_nvme, regions, REGIONS);
    sim_fail(rig.sim, SIM_OP_MAP, REGIONS, 0, 0);
    sim_fail(rig.sim, SIM_OP_UNMAP, 1, 10, 0);
    assert_int_not_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_true(sim_failed(rig.sim, SIM_OP_UNMAP));
    sim_fail(rig.sim, SIM_OP_MAP, 0, 0, 0);
    sim_fail(rig.sim, SIM_OP_UNMAP, 0, 0, 0);
    assert_true(mappings() > before + REGIONS); /* the hardware domain's, and what was left */
    lend(rig_nvme);                             /* which is found, and not mapped twice */
    assert_int_equal(dma(rig_nvme, shared->start, true), SIM_DMA_RESERVED);
    assert_int_equal(berth_domain_destroy(vm.domain, NULL), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(mappings(), before);
}

/* ---- X17, X18: what is no longer there ---- */

static void test_X17_a_region_that_became_read_only_is_not_written(void **state)
{
    struct berth_reserved now = *shared;

    (void)state;
    rig_reserve(&rig, rig_nvme, shared, 1);
    lend(rig_nvme);
    assert_int_equal(dma(rig_nvme, shared->start, true), SIM_DMA_RESERVED); /* and is cached */
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    now.writable = 0;
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme, &now, 1), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    lend(rig_nvme);
    assert_int_equal(dma(rig_nvme, shared->start, true), SIM_DMA_FAULT);
    assert_int_equal(dma(rig_nvme, shared->start, false), SIM_DMA_RESERVED);
    take_back(rig_nvme);
    assert_int_equal(dma(rig_nvme, shared->start, true), SIM_DMA_FAULT);
}

/* Nor do two devices share a region of which only one may write. */
static void test_X17_what_may_be_written_is_not_what_may_be_read(void **state)
{
    struct berth_reserved other = *shared;

    (void)state;
    other.writable = 0;
    rig_quarantine(&rig, rig_nvme2); /* where they do not meet */
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme2, &other, 1), 0);
    rig_reserve(&rig, rig_nvme, shared, 1);
    lend(rig_nvme);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme2, vm.domain), -EXDEV,
                       BERTH_REASON_RESERVED_CLASH);
    assert_int_equal(sim_set_reserved(rig.sim, rig_nvme2, &other, 0), 0);
}

static void test_X18_a_page_that_was_taken_back_is_out_of_reach(void **state)
{
    (void)state;
    lend(rig_nvme);
    assert_int_equal(dma(rig_nvme, PAGE, false), SIM_DMA_DOMAIN);
    sim_take_page(berth_domain_space(vm.domain), PAGE);
    assert_int_equal(dma(rig_nvme, PAGE, false), SIM_DMA_DOMAIN); /* the device has it still */
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_int_equal(dma(rig_nvme, PAGE, false), SIM_DMA_FAULT);
    assert_int_equal(dma(rig_nvme, PAGE, true), SIM_DMA_FAULT);
    assert_int_equal(dma(rig_nvme, 2 * PAGE, true), SIM_DMA_DOMAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X08_a_lending_that_fails_leaves_shared_regions_alone),
        TEST(test_X10_a_region_that_cannot_be_mapped_takes_the_others_along),
        TEST(test_X10_no_memory_to_remember_a_region_by),
        TEST(test_X10_what_cannot_be_unmapped_again_is_remembered),
        TEST(test_X17_a_region_that_became_read_only_is_not_written),
        TEST(test_X17_what_may_be_written_is_not_what_may_be_read),
        TEST(test_X18_a_page_that_was_taken_back_is_out_of_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
