/* SPDX-License-Identifier: MIT */
/*
 * Where the requester ids of a device lead while it changes hands, and when something fails on the
 * way: X06, X11, X12, X15, X19, X20, X24, X26.
 */
#include "tests/unit/guest_dma.h"

#define PAGE 0x1000u
#define SECRET UINT64_C(0x5ec4e7)

static const struct sbdf one_by_one = {0, 8, 0}, by_fours = {0, 9, 0};
static const struct sbdf alias = {0, 4, 0}; /* of rig_legacy2, whose bridge masters at any time */

static void scratch(struct berth_machine_config *config)
{
    config->policy.quarantine = BERTH_QUARANTINE_SCRATCH;
}

/* Phantom functions at every distance, and a conventional function that is alone on its bus. */
static int begin(rig_configure *configure)
{
    struct machine_builder *b = &rig.builder;

    rig_begin(&rig);
    mb_root_port(b, at(0, 2, 0), 2, 2);
    mb_endpoint(b, rig_nvme);
    mb_root_port(b, at(0, 3, 0), 3, 4);
    mb_pcie_pci_bridge(b, rig_pci_bridge, 4, 4);
    mb_pci_endpoint(b, rig_legacy2);
    mb_root_port(b, at(0, 4, 0), 5, 5);
    mb_phantom(b, rig_phantom, 2);
    mb_root_port(b, at(0, 5, 0), 8, 8);
    mb_phantom(b, one_by_one, 1);
    mb_root_port(b, at(0, 6, 0), 9, 9);
    mb_phantom(b, by_fours, 4);
    guests_up(configure, 2);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return begin(NULL);
}

static int setup_scratch(void **state)
{
    (void)state;
    return begin(scratch);
}

static void take_back(struct sbdf sbdf, struct rig_vm *from)
{
    assert_int_equal(rig_deassign(&rig, sbdf, from->domain), 0);
    master_on(sbdf);
}

/* All requester ids lead where the owner says: to its memory, or with quarantine to nobody's. */
static void expect_one_context(struct sbdf sbdf)
{
    const struct pcidev_info info = rig_info(&rig, sbdf);

    master_on(sbdf);
    for (unsigned i = 0; i < info.rid_count; i++) {
        const struct sim_dma dma = rig_dma(&rig, info.rids[i], PAGE);

        assert_false(dma.stale);
        if (info.owner_kind == BERTH_DOMAIN_QUARANTINE) {
            assert_int_not_equal(dma.result, SIM_DMA_DOMAIN);
            continue;
        }
        assert_int_equal(dma.result, SIM_DMA_DOMAIN);
        assert_int_equal(dma.domain_id, info.owner_id);
    }
}

/* ---- X24: in every build that this is compiled in ---- */

static void test_X24_the_context_is_the_owners_in_every_build(void **state)
{
    static const struct sbdf *const all[] = {&rig_nvme, &rig_legacy2, &rig_phantom, &one_by_one};

    (void)state;
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        expect_one_context(*all[i]);
        lend(*all[i], &vm);
        expect_one_context(*all[i]);
        take_back(*all[i], &vm);
        expect_one_context(*all[i]);
        lend(*all[i], &vm2);
        expect_one_context(*all[i]);
    }
}

/* ---- X11, X12: all of them or none ---- */

static int to_guest(struct sbdf sbdf)
{
    return rig_assign(&rig, sbdf, vm.domain);
}

static int from_guest(struct sbdf sbdf)
{
    return rig_deassign(&rig, sbdf, vm.domain);
}

/* @run fails in each place where it can. Returns how many there were. */
static unsigned sweep(struct sbdf sbdf, enum sim_op op, int (*run)(struct sbdf sbdf))
{
    struct rig_state before;
    unsigned nth = 0;
    int error;

    master_on(sbdf);
    before = rig_remember(&rig, sbdf);
    do {
        sim_fail(rig.sim, op, ++nth, 0, 0);
        error = run(sbdf);
        sim_fail(rig.sim, op, 0, 0, 0);
        expect_one_context(sbdf);
        if (error)
            rig_expect_as_before(&rig, &before);
    } while (error);
    return nth - 1;
}

static void expect_all_or_none(struct sbdf sbdf, unsigned rids)
{
    assert_int_equal(rig_info(&rig, sbdf).rid_count, rids);
    for (int op = SIM_OP_ATTACH; op <= SIM_OP_FLUSH; op += SIM_OP_FLUSH - SIM_OP_ATTACH) {
        assert_int_equal(sweep(sbdf, (enum sim_op)op, to_guest), rids);
        assert_int_equal(sweep(sbdf, (enum sim_op)op, from_guest), rids);
        assert_int_equal(rig_assign(&rig, sbdf, berth_machine_hwdom(rig.machine)), 0);
        master_on(sbdf);
    }
    assert_false(berth_domain_crashed(vm.domain));
}

static void test_X11_phantoms_at_every_distance_move_together(void **state)
{
    (void)state;
    expect_all_or_none(one_by_one, 8);
    expect_all_or_none(rig_phantom, 4);
    expect_all_or_none(by_fours, 2);
}

/* The function itself, its bridge's id, and the one that the bridge puts on requests. */
static void test_X12_ids_of_the_bridge_above_move_along(void **state)
{
    const struct pcidev_info info = rig_info(&rig, rig_legacy2);
    struct sim_counters before, after;
    bool found = false;

    (void)state;
    for (unsigned i = 0; i < info.rid_count; i++)
        found |= sbdf_equal(info.rids[i], alias);
    assert_true(found);
    sim_counters(rig.sim, &before);
    expect_all_or_none(rig_legacy2, info.rid_count);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.contexts, before.contexts);
    assert_int_equal(after.spaces, before.spaces);
}

/* ---- X15: between every two operations ---- */

static uint32_t owner_was, owner_will_be;
static unsigned probes, strays;

/* Each time at another address: what is asked are the tables, not the caches. */
static void probe(void *context)
{
    const struct sim_dma dma = rig_dma(&rig, alias, PAGE * (uint64_t)(probes + 1));

    (void)context;
    probes++;
    strays += dma.result != SIM_DMA_DOMAIN ||
              (dma.domain_id != owner_was && dma.domain_id != owner_will_be);
}

static void test_X15_a_context_leads_to_the_old_owner_or_the_new_one(void **state)
{
    (void)state;
    owner_was = 0;
    owner_will_be = berth_domain_id(vm.domain);
    probes = strays = 0;
    rig.tape.hook = probe;
    assert_int_equal(rig_assign(&rig, rig_legacy2, vm.domain), 0);
    rig.tape.hook = NULL;
    assert_true(probes >= 10);
    assert_int_equal(strays, 0);
    assert_int_equal(rig_dma(&rig, alias, PAGE).domain_id, owner_will_be);
}

/* ---- X19, X20: flushes ---- */

static void test_X19_after_a_failure_flushes_are_done_again(void **state)
{
    struct tape *tape = &rig.tape;

    (void)state;
    lend(rig_phantom, &vm);
    for (unsigned nth = 1; nth <= 4; nth++) {
        sim_fail(rig.sim, SIM_OP_FLUSH, nth, 0, 0);
        assert_int_not_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
        sim_fail(rig.sim, SIM_OP_FLUSH, 0, 0, 0);
        expect_one_context(rig_phantom); /* and all of them are cached now */
        atomic_store(&tape->count, 0);
        take_back(rig_phantom, &vm);
        assert_int_equal(tape_count(tape, SIM_OP_FLUSH), 4);
        expect_one_context(rig_phantom);
        lend(rig_phantom, &vm);
        expect_one_context(rig_phantom);
    }
}

/* What was broken works again. */
static void renew(struct sbdf sbdf)
{
    assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
}

/* True where a flush failed. */
static bool destroy_with_failing_flushes(unsigned nth)
{
    struct sim_counters counters;
    struct rig_vm guest;
    bool failed;

    rig_vm_up(&rig, &guest, "vm3");
    lend(rig_phantom, &guest);
    lend(rig_nvme, &guest);
    expect_one_context(rig_phantom);
    expect_one_context(rig_nvme);
    sim_fail(rig.sim, SIM_OP_FLUSH, nth, 10, 0); /* and those of the way back */
    if (berth_domain_destroy(guest.domain, NULL))
        assert_non_null(berth_domain_space(guest.domain));
    failed = sim_failed(rig.sim, SIM_OP_FLUSH);
    sim_fail(rig.sim, SIM_OP_FLUSH, 0, 0, 0);
    sim_counters(rig.sim, &counters);
    assert_int_equal(counters.spaces_freed_in_use, 0);
    renew(rig_phantom);
    renew(rig_nvme);
    rig_vm_down(&guest);
    return failed;
}

static void test_X20_a_space_outlives_every_cached_translation(void **state)
{
    struct sim_counters counters;
    unsigned nth = 1;

    (void)state;
    while (destroy_with_failing_flushes(nth))
        nth++;
    assert_true(nth > 5); /* one per requester id at least */
    sim_counters(rig.sim, &counters);
    rig.gaps_expected = (unsigned)counters.attach_gaps; /* broken devices were blocked, and lent */
}

/* ---- X06: scratch pages ---- */

static void expect_zeroed(struct sbdf sbdf)
{
    struct sim_dma dma;

    master_on(sbdf);
    dma = rig_dma(&rig, sbdf, PAGE);
    assert_int_equal(dma.result, SIM_DMA_SCRATCH);
    assert_int_equal(dma.data, 0);
    assert_int_equal(sim_dma(rig.sim, sbdf, PAGE, true, SECRET, &dma), 0);
    assert_int_equal(rig_dma(&rig, sbdf, PAGE).data, SECRET);
}

static void test_X06_a_scratch_page_is_zeroed_each_time(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        lend(rig_nvme, &vm);
        take_back(rig_nvme, &vm);
        expect_zeroed(rig_nvme);
        lend(rig_nvme, &vm2);
        assert_int_equal(berth_domain_destroy(vm2.domain, NULL), 0);
        expect_zeroed(rig_nvme);
        assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
        assert_int_equal(rig_add(&rig, rig_nvme), 0);
        rig_quarantine(&rig, rig_nvme);
        expect_zeroed(rig_nvme);
        berth_domain_put(vm2.domain);
        rig_vm_up(&rig, &vm2, "vm2");
    }
}

/* ---- X26: the first device of a guest that is running ---- */

static void test_X26_a_guest_has_its_space_before_its_first_device(void **state)
{
    void *space = berth_domain_space(vm.domain);

    (void)state;
    assert_non_null(space);
    sim_take_page(space, PAGE); /* the guest's memory changes, and no device is there */
    atomic_store(&rig.tape.count, 0);
    lend(rig_nvme, &vm);
    assert_ptr_equal(berth_domain_space(vm.domain), space);
    for (int i = 0; (i = tape_find(&rig.tape, i, SIM_OP_ATTACH)) >= 0; i++)
        assert_int_equal(rig.tape.entry[i].result, 0);
    assert_int_equal(rig_dma(&rig, rig_nvme, PAGE).result, SIM_DMA_FAULT);
    assert_int_equal(rig_dma(&rig, rig_nvme, 2 * PAGE).domain_id, berth_domain_id(vm.domain));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown_tight)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X24_the_context_is_the_owners_in_every_build),
        TEST(test_X11_phantoms_at_every_distance_move_together),
        TEST(test_X12_ids_of_the_bridge_above_move_along),
        TEST(test_X15_a_context_leads_to_the_old_owner_or_the_new_one),
        TEST(test_X19_after_a_failure_flushes_are_done_again),
        TEST(test_X20_a_space_outlives_every_cached_translation),
        cmocka_unit_test_setup_teardown(test_X06_a_scratch_page_is_zeroed_each_time, setup_scratch,
                                        guests_teardown_tight),
        TEST(test_X26_a_guest_has_its_space_before_its_first_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
