/* SPDX-License-Identifier: MIT */
/*
 * Back ends with several units, stream ids and groups of their own: what the core asks them, for
 * whom and in which order (F53, F54, F55, F56, F58, F59).
 */
#include <linux/pci_regs.h>

#include <berth/isolation.h>

#include "src/core/machine_priv.h"
#include "tests/unit/guests.h"

#define PAGE UINT64_C(0x1000)
#define UNITS 2u

static struct berth_iommu_ops ops;

static enum sim_dma_result dma(struct sbdf rid)
{
    const struct sim_dma result = rig_dma(&rig, rid, PAGE);

    assert_false(result.stale);
    return result.result;
}

static void expect_reaches(struct sbdf rid, const struct berth_domain *domain)
{
    const struct sim_dma result = rig_dma(&rig, rid, PAGE);

    assert_int_equal(result.result, SIM_DMA_DOMAIN);
    assert_int_equal(result.domain_id, berth_domain_id(domain));
}

/* ---- F53: two units, each with a device that has ATS ---- */

static const struct sbdf ats_device[UNITS] = {{0x10, 0, 0x08}, {0x11, 0, 0x08}};
static unsigned flushes[UNITS], strays;

/* A unit per segment; a request for nobody's is a stray one. */
static unsigned unit_of_segment(struct sbdf rid)
{
    return rid.segment - ats_device[0].segment;
}

static int flush_by_unit(void *iommu, struct sbdf rid, void *old_space)
{
    unsigned unit = unit_of_segment(rid);

    if (unit < UNITS)
        flushes[unit]++;
    strays += unit < UNITS && !sbdf_equal(rid, ats_device[unit]);
    return tape_iommu_ops.flush(iommu, rid, old_space);
}

static int ats_by_unit(void *iommu, struct sbdf rid, bool on)
{
    struct tape *tape = iommu;

    return sim_iommu_ops.ats(tape->sim, rid, on);
}

static void two_units(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.flush = flush_by_unit;
    ops.ats = ats_by_unit;
    config->iommu = &ops;
}

static uint64_t ats_enabled(void)
{
    struct sim_counters now;

    sim_counters(rig.sim, &now);
    return now.ats_enabled;
}

static void two_ats_devices(void)
{
    for (unsigned i = 0; i < UNITS; i++)
        mb_ats(mb_rc_endpoint(&rig.builder, ats_device[i])); /* integrated: behind no port */
    guests_up(two_units, 2);
    assert_int_equal(ats_enabled(), 0); /* off, for the hardware domain */
    for (unsigned i = 0; i < UNITS; i++) {
        assert_int_equal(rig_assign(&rig, ats_device[i], i ? vm2.domain : vm.domain), 0);
        rig_master_on(&rig, ats_device[i], i ? vm2.domain : vm.domain);
    }
    assert_int_equal(ats_enabled(), UNITS);
    flushes[0] = flushes[1] = strays = 0;
}

static void test_F53_a_flush_goes_to_its_own_unit(void **state)
{
    (void)state;
    two_ats_devices();
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_true(flushes[0] == 1 && flushes[1] == 0);
    assert_int_equal(berth_domain_flush(vm2.domain, NULL), 0);
    assert_true(flushes[0] == 1 && flushes[1] == 1);
    assert_int_equal(rig_deassign(&rig, ats_device[0], vm.domain), 0);
    assert_int_equal(flushes[1], 1);
    assert_int_equal(ats_enabled(), 1);
    assert_int_equal(strays, 0);
}

static void test_F53_a_unit_that_hangs_hurts_no_other(void **state)
{
    (void)state;
    two_ats_devices();
    assert_int_equal(sim_hang_on_flush(rig.sim, ats_device[0], true), 0);
    assert_int_equal(berth_domain_flush(vm2.domain, NULL), 0);
    assert_int_equal(berth_domain_flush(vm.domain, NULL), 0);
    assert_true(rig_info(&rig, ats_device[0]).broken);
    assert_false(rig_info(&rig, ats_device[1]).broken);
    expect_reaches(ats_device[1], vm2.domain);
    assert_int_not_equal(dma(ats_device[0]), SIM_DMA_DOMAIN);
    assert_int_equal(sim_hang_on_flush(rig.sim, ats_device[0], false), 0);
    assert_int_equal(rig_assign(&rig, ats_device[0], berth_machine_hwdom(rig.machine)), 0);
}

/* ---- F54: there and back; one id for two ---- */

static void test_F54_a_hundred_owners_one_after_the_other(void **state)
{
    struct sim_counters before, after;

    (void)state;
    guests_up(NULL, 2);
    rig_quarantine(&rig, rig_nvme);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 100; i++) {
        struct rig_vm *owner = i & 1 ? &vm2 : &vm;

        assert_int_equal(rig_assign(&rig, rig_nvme, owner->domain), 0);
        rig_master_on(&rig, rig_nvme, owner->domain);
        expect_reaches(rig_nvme, owner->domain);
        assert_int_equal(rig_deassign(&rig, rig_nvme, owner->domain), 0);
        rig_poke(&rig, rig_nvme, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        assert_int_equal(dma(rig_nvme), SIM_DMA_FAULT);
    }
    sim_counters(rig.sim, &after);
    assert_int_equal(after.contexts, before.contexts);
    assert_int_equal(after.spaces, before.spaces);
    assert_int_equal(after.attach_gaps, 0);
}

static void test_F54_nobody_deassigns_from_quarantine(void **state)
{
    struct rig_state before;

    (void)state;
    guests_up(NULL, 2);
    rig_quarantine(&rig, rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, berth_machine_quarantine(rig.machine)),
                       -EINVAL, BERTH_REASON_NOT_LENT);
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, vm.domain), -EINVAL,
                       BERTH_REASON_NOT_LENT);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
}

/* Behind a bridge to conventional PCI: what it passes on has the id of its secondary bus. */
static const struct sbdf twins[2] = {{0, 9, 0x08}, {0, 9, 0x10}}, alias = {0, 9, 0};

static void add_twins(void)
{
    mb_root_port(&rig.builder, at(0, 7, 0), 8, 9);
    mb_pcie_pci_bridge(&rig.builder, at(8, 0, 0), 9, 9);
    for (unsigned i = 0; i < 2; i++)
        mb_pci_endpoint(&rig.builder, twins[i]);
    guests_up(NULL, 2);
    for (unsigned i = 0; i < 2; i++)
        rig_quarantine(&rig, twins[i]);
}

static void test_F54_two_devices_with_one_stream_id(void **state)
{
    (void)state;
    add_twins();
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(rig_assign(&rig, twins[0], vm.domain), 0);
        assert_int_not_equal(rig_assign(&rig, twins[1], vm2.domain), 0);
        assert_int_equal(rig_assign(&rig, twins[1], vm.domain), 0);
        rig_master_on(&rig, twins[1], vm.domain);
        expect_reaches(alias, vm.domain);
        assert_int_equal(rig_deassign(&rig, twins[0], vm.domain), 0);
        expect_reaches(alias, vm.domain); /* it is still in use */
        assert_int_equal(rig_deassign(&rig, twins[1], vm.domain), 0);
        rig_poke(&rig, twins[1], PCI_COMMAND, 2, PCI_COMMAND_MASTER);
        assert_int_equal(dma(alias), SIM_DMA_FAULT);
    }
}

/* ---- F55: a back end that translates requester ids ---- */

#define STREAMS 0x10000u
#define STREAM(rid) ((sbdf_key(rid) ^ 0x5a00u) % STREAMS)

static void *stream[STREAMS]; /* what each points to */
static unsigned flushed_streams[STREAMS];

static int attach_stream(void *iommu, struct sbdf rid, void *space)
{
    int error = tape_iommu_ops.attach(iommu, rid, space);

    if (!error)
        stream[STREAM(rid)] = space;
    return error;
}

static int detach_stream(void *iommu, struct sbdf rid)
{
    int error = tape_iommu_ops.detach(iommu, rid);

    if (!error)
        stream[STREAM(rid)] = NULL;
    return error;
}

static int flush_stream(void *iommu, struct sbdf rid, void *old_space)
{
    flushed_streams[STREAM(rid)]++;
    return tape_iommu_ops.flush(iommu, rid, old_space);
}

static void by_stream(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.attach = attach_stream;
    ops.detach = detach_stream;
    ops.flush = flush_stream;
    config->iommu = &ops;
}

static void test_F55_each_phantom_function_has_its_stream(void **state)
{
    (void)state;
    guests_up(by_stream, 2);
    for (unsigned fn = 0; fn < 8; fn++)
        flushed_streams[STREAM(at(5, 0, fn))] = 0;
    assert_int_equal(rig_assign(&rig, rig_phantom, vm.domain), 0);
    for (unsigned fn = 0; fn < 8; fn++) {
        struct sbdf rid = at(5, 0, fn);

        assert_ptr_equal(stream[STREAM(rid)], fn & 1 ? NULL : berth_domain_space(vm.domain));
        assert_int_equal(flushed_streams[STREAM(rid)], !(fn & 1));
    }
    assert_int_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
    for (unsigned fn = 0; fn < 8; fn += 2) {
        assert_ptr_not_equal(stream[STREAM(at(5, 0, fn))], berth_domain_space(vm.domain));
        assert_int_equal(flushed_streams[STREAM(at(5, 0, fn))], 2);
    }
    assert_int_equal(rig_remove(&rig, rig_phantom, PCIDEV_REMOVE_DEFAULT), 0);
    for (unsigned fn = 0; fn < 8; fn++)
        assert_null(stream[STREAM(at(5, 0, fn))]);
}

/* ---- F56: the unit of a VF is that of its PF ---- */

/* Integrated, with VFs on a bus that no bridge leads to. */
static const struct sbdf integrated = {0, 0, 0x48};
#define VF_OFFSET 0x700u
#define VFS 3u

static unsigned attaches[UNITS];

/* As firmware tables are: the first unit has one function, the second one has all others. What is
 * not in a table is where its PF is. Called in the middle of transitions. */
static unsigned unit_by_pf(struct sbdf rid)
{
    struct pcidev *pf = pcidev_find(rig.machine, integrated, "unit");
    unsigned unit = !sbdf_equal(rid, integrated);
    struct sbdf vf;

    for (unsigned i = 0; pf && unit && pcidev_vf_address(pf, i, &vf) == 0; i++)
        unit = !sbdf_equal(vf, rid);
    pcidev_put(pf, "unit");
    return unit;
}

static int attach_by_pf(void *iommu, struct sbdf rid, void *space)
{
    attaches[unit_by_pf(rid)]++;
    return tape_iommu_ops.attach(iommu, rid, space);
}

static void units_by_pf(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.attach = attach_by_pf;
    config->iommu = &ops;
}

static struct sbdf integrated_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(integrated) + VF_OFFSET + index);
}

static void test_F56_a_vf_is_where_its_pf_is(void **state)
{
    struct capture_function *f = mb_pf(&rig.builder, integrated, VFS, VF_OFFSET, 1);

    (void)state;
    mb_put(f, mb_find_cap(f, PCI_CAP_ID_EXP) + PCI_EXP_FLAGS, 2, 2 | PCI_EXP_TYPE_RC_END << 4);
    guests_up(units_by_pf, 2);
    assert_int_equal(rig_sriov(&rig, integrated, VFS), 0);
    attaches[0] = attaches[1] = 0;
    for (unsigned i = 0; i < VFS; i++) {
        assert_int_equal(rig_add(&rig, integrated_vf(i)), 0);
        assert_true(sbdf_equal(rig_info(&rig, integrated_vf(i)).pf, integrated));
    }
    assert_true(attaches[0] == VFS && attaches[1] == 0);
    rig_add_vfs(&rig, 2); /* of a PF behind a port, with ARI */
    assert_true(attaches[0] == VFS && attaches[1] == 2);
    attaches[0] = 0;
    assert_int_equal(rig_assign(&rig, integrated_vf(1), vm.domain), 0);
    assert_int_equal(attaches[0], 1);
    rig_master_on(&rig, integrated_vf(1), vm.domain);
    expect_reaches(integrated_vf(1), vm.domain);
}

/* Faults are looked up where nothing may be waited for. */
static void test_F56_looking_a_requester_id_up_takes_no_lock(void **state)
{
    struct berth_machine *machine;
    struct pcidev *vf;

    (void)state;
    guests_up(NULL, 2);
    machine = rig.machine;
    rig_add_vfs(&rig, 2);
    lock_take(&machine->shares_lock);
    lock_take(&machine->domains_lock);
    lock_take(&machine->lock);
    vf = pcidev_find_rid(machine, rig_vf(1), "fault");
    assert_int_equal(berth_machine_fault(machine, rig_vf(1)), 0);
    assert_int_equal(berth_machine_fault(machine, at(5, 0, 4)), 0);
    lock_drop(&machine->lock);
    lock_drop(&machine->domains_lock);
    lock_drop(&machine->shares_lock);
    assert_true(sbdf_equal(pcidev_sbdf(vf), rig_vf(1)));
    pcidev_put(vf, "fault");
    assert_int_equal(rig_info(&rig, rig_vf(1)).faults, 1);
    assert_int_equal(rig_info(&rig, rig_phantom).faults, 1);
}

/* ---- F58: the k-th thing that a machine needs cannot be had ---- */

static void test_F58_a_machine_that_fails_takes_its_spaces_along(void **state)
{
    struct berth_machine_config config = {
        .host = &sim_host_ops, .iommu = &sim_iommu_ops, .irqs = &sim_irq_ops};
    struct berth_machine *machine = NULL;
    struct sim_counters before, after;
    unsigned nth = 1;
    int error;

    (void)state;
    guests_up(NULL, 2);
    config.host_context = config.iommu_context = config.irq_context = rig.sim;
    sim_counters(rig.sim, &before);
    do {
        sim_fail(rig.sim, SIM_OP_SPACE_CREATE, nth, 0, -ENOSPC);
        error = berth_machine_create(&config, &machine);
        sim_fail(rig.sim, SIM_OP_SPACE_CREATE, 0, 0, 0);
        if (error) {
            assert_int_equal(error, -ENOSPC);
            assert_null(machine);
            sim_counters(rig.sim, &after);
            assert_int_equal(after.spaces, before.spaces);
        }
        nth++;
    } while (error);
    assert_true(nth > 3); /* the hardware domain's and the hidden one's */
    assert_int_equal(berth_machine_destroy(machine), 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
    assert_int_equal(after.contexts, before.contexts);
}

/* ---- F59: an error is no group ---- */

static bool groups_fail;

static int group_fails(void *iommu, struct sbdf rid, uint32_t *group)
{
    if (!groups_fail || rid.segment || (rid.bus != rig_nvme.bus && rid.bus != rig_nvme2.bus))
        return tape_iommu_ops.group(iommu, rid, group);
    *group = 0; /* it may have begun to answer */
    return -EIO;
}

static void no_group(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.group = group_fails;
    config->iommu = &ops;
}

static void test_F59_an_error_is_no_group(void **state)
{
    uint32_t group = 77;
    struct pcidev *dev;

    (void)state;
    groups_fail = true;
    guests_up(no_group, 2);
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(pcidev_group(dev, &group), -EIO);
    assert_int_equal(group, 77);
    rig_put(dev);
    assert_false(rig_info(&rig, rig_nvme).has_group);
    /* who cannot be placed is lent to nobody */
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EIO,
                       BERTH_REASON_IOMMU_FAILED);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
    groups_fail = false;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    assert_true(rig_info(&rig, rig_nvme).has_group);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F53_a_flush_goes_to_its_own_unit),
        TEST(test_F53_a_unit_that_hangs_hurts_no_other),
        TEST(test_F54_a_hundred_owners_one_after_the_other),
        TEST(test_F54_nobody_deassigns_from_quarantine),
        TEST(test_F54_two_devices_with_one_stream_id),
        TEST(test_F55_each_phantom_function_has_its_stream),
        TEST(test_F56_a_vf_is_where_its_pf_is),
        TEST(test_F56_looking_a_requester_id_up_takes_no_lock),
        TEST(test_F58_a_machine_that_fails_takes_its_spaces_along),
        TEST(test_F59_an_error_is_no_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
