/* SPDX-License-Identifier: MIT */
/* Functions that are added, in one piece or not at all (F03, F08, F16). */
#include <linux/pci_regs.h>

#include "src/core/bars.h"
#include "src/core/machine_priv.h"
#include "tests/unit/guests.h"

/* ---- F03: any step of add fails ---- */

static unsigned fail_at, allocations;

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    return fail_at && ++allocations == fail_at ? NULL : __real_port_alloc(size);
}

/* Whoever is asked for the @nth time from now on refuses: the host and the IOMMU, or memory. */
static void order_failure(bool memory, unsigned nth)
{
    allocations = 0;
    fail_at = memory ? nth : 0;
    sim_fail(rig.sim, SIM_OP_ANY, memory ? 0 : nth, 0, 0);
}

static bool failure_happened(bool memory)
{
    bool happened = memory ? allocations >= fail_at : sim_failed(rig.sim, SIM_OP_ANY);

    fail_at = 0;
    sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
    return happened;
}

/* All tables that a device may be left in. */
struct tables {
    uint64_t devices, bridges, pfs, rids, owned;
    uint64_t claims, contexts, spaces, mappings;
};

static struct tables look_at_tables(void)
{
    const struct berth_machine *machine = rig.machine;
    struct sim_counters now;

    sim_counters(rig.sim, &now);
    return (struct tables){
        .devices = sbdf_map_count(&machine->devices),
        .bridges = sbdf_map_count(&machine->bridges),
        .pfs = sbdf_map_count(&machine->pfs),
        .rids = sbdf_map_count(&machine->rids),
        .owned = berth_domain_device_count(hwdom()),
        .claims = now.claims,
        .contexts = now.contexts,
        .spaces = now.spaces,
        .mappings = now.mappings,
    };
}

static void expect_absent(struct sbdf sbdf, const struct tables *before)
{
    const struct tables now = look_at_tables();

    assert_false(rig_has(&rig, sbdf));
    assert_memory_equal(&now, before, sizeof(now));
    for (unsigned fn = 0; fn < 8; fn++) {
        const struct sbdf rid = sbdf_make(sbdf.segment, sbdf.bus, sbdf_device(sbdf), fn);
        struct pcidev *other = pcidev_find_rid(rig.machine, rid, "rid");

        assert_true(!other || sbdf_equal(pcidev_sbdf(other), rid));
        pcidev_put(other, "rid");
    }
}

/* Present once: whoever adds it again is refused, and it is the hardware domain's in full. */
static void expect_present(struct sbdf sbdf, uint32_t id)
{
    const struct rig_state before = rig_remember(&rig, sbdf);

    rig_expect_owner(&rig, sbdf, "hwdom");
    assert_int_equal(before.info.state, PCIDEV_PRESENT);
    assert_int_equal(berth_domain_config_read(hwdom(), sbdf, PCI_VENDOR_ID, 4), id);
    rig_expect_refused(&rig, rig_add(&rig, sbdf), -EEXIST, BERTH_REASON_EXISTS);
    rig_expect_as_before(&rig, &before);
}

/* An object parts with what it shares when it is freed. */
static unsigned shares(void)
{
    berth_machine_settle(rig.machine);
    return sbdf_map_count(&rig.machine->shares);
}

static void sweep_failures(struct sbdf sbdf, bool memory)
{
    const uint32_t id = (uint32_t)berth_domain_config_read(hwdom(), sbdf, PCI_VENDOR_ID, 4);
    const unsigned shared = shares();
    unsigned failures = 0;
    bool failed = true;

    for (unsigned nth = 1; failed; nth++) {
        struct tables before;
        int error;

        assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_DEFAULT), 0);
        before = look_at_tables();
        order_failure(memory, nth);
        error = rig_add(&rig, sbdf);
        failed = failure_happened(memory);
        if (error)
            expect_absent(sbdf, &before);
        failures += error != 0;
        if (error)
            assert_int_equal(rig_add(&rig, sbdf), 0);
        expect_present(sbdf, id);
    }
    assert_in_range(failures, 5, 500);
    assert_int_equal(shares(), shared);
}

static void sweep_add(struct sbdf sbdf)
{
    sweep_failures(sbdf, false);
    sweep_failures(sbdf, true);
}

static void test_F03_an_add_that_fails_leaves_no_trace(void **state)
{
    const struct sbdf last_vf = rig_vf(2);

    (void)state;
    guests_up(NULL, 0);
    sweep_add(rig_nvme);
    sweep_add(rig_phantom);
    sweep_add(rig_legacy);
    sweep_add(at(0, 0, 0));
    sweep_add(rig_pf);
    assert_int_equal(rig_sriov(&rig, rig_pf, 3), 0);
    sweep_add(rig_pf); /* with VFs that are on, and unknown */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_add(&rig, rig_vf(i)), 0);
    sweep_add(last_vf);
}

static void test_F03_a_bridge_that_fails_is_above_nothing(void **state)
{
    (void)state;
    guests_up(NULL, 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    sweep_add(rig_port);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    assert_true(sbdf_equal(rig_info(&rig, rig_nvme).parent, rig_port));
    /* and one that is alone on its bus, for which tables have to grow */
    assert_int_equal(rig_remove(&rig, rig_legacy, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_remove(&rig, rig_legacy2, PCIDEV_REMOVE_DEFAULT), 0);
    sweep_add(rig_pci_bridge);
    assert_int_equal(rig_add(&rig, rig_legacy), 0);
    assert_true(sbdf_equal(rig_info(&rig, rig_legacy).parent, rig_pci_bridge));
}

/* ---- F08: BARs of VFs that are none ---- */

#define FUZZ_PFS 48u
#define FUZZ_VFS 2u

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Each kind of register (I/O, 32 and 64 bits, reserved), each size, none; the last slot as well. */
static void fuzz_bars(struct capture_function *pf, uint32_t *seed)
{
    static const uint32_t types[] = {0x1, 0x0, 0x4, 0xc, 0x2, 0x6, 0x8, 0x3};
    static const uint64_t sizes[] = {0, 0x10, 0x100, 0x1000, 0x4000, 0x100000, 0x3000};
    unsigned reg = mb_find_ext_cap(pf, PCI_EXT_CAP_ID_SRIOV) + PCI_SRIOV_BAR;

    for (unsigned i = 0; i < 6; i++) {
        pf->extra.vf_bar_size[i] = sizes[next_random(seed) % 7];
        mb_put(pf, reg + 4 * i, 4,
               types[next_random(seed) % 8] | (next_random(seed) & 1 ? 0 : 0xc0000000));
    }
}

static struct sbdf fuzz_at(unsigned index)
{
    return at(0x10 + index, 0, 0);
}

static void check_vf_bars(struct sbdf sbdf)
{
    struct pcidev *vf = rig_dev(&rig, sbdf);

    for (unsigned i = 0; i < BERTH_BAR_ROM; i++) {
        struct berth_bar bar, next;

        if (!device_bar(vf, i, &bar))
            continue;
        assert_false(bar.io); /* SR-IOV 1.1, 3.3.14: there is none for VFs */
        assert_int_equal(bar.size & (bar.size - 1), 0);
        assert_true(!bar.wide || (i < 5 && !device_bar(vf, i + 1, &next)));
    }
    rig_put(vf);
}

static void add_fuzzed(rig_configure *configure)
{
    uint32_t seed = 8;

    for (unsigned i = 0; i < FUZZ_PFS; i++)
        fuzz_bars(mb_pf(&rig.builder, fuzz_at(i), FUZZ_VFS, 1, 1), &seed);
    guests_up(configure, 0);
    for (unsigned i = 0; i < FUZZ_PFS; i++) {
        assert_int_equal(rig_info(&rig, fuzz_at(i)).total_vfs, FUZZ_VFS);
        assert_int_equal(rig_sriov(&rig, fuzz_at(i), FUZZ_VFS), 0);
        for (unsigned k = 1; k <= FUZZ_VFS; k++) {
            assert_int_equal(rig_add(&rig, sbdf_from_key(sbdf_key(fuzz_at(i)) + k)), 0);
            check_vf_bars(sbdf_from_key(sbdf_key(fuzz_at(i)) + k));
        }
    }
}

static void test_F08_any_bars_of_vfs_as_the_host_tells_them(void **state)
{
    (void)state;
    add_fuzzed(NULL);
}

static void tell_nothing(struct berth_machine_config *config)
{
    config->bars = NULL;
}

static void test_F08_any_bars_of_vfs_as_the_core_sizes_them(void **state)
{
    (void)state;
    add_fuzzed(tell_nothing);
}

/* ---- F16: a host bridge ---- */

static struct berth_iommu_ops ops;
static unsigned asked;

static int attach_no_bridges(void *iommu, struct sbdf rid, void *space)
{
    asked += sbdf_key(rid) == 0;
    return sbdf_key(rid) == 0 ? -ENODEV : tape_iommu_ops.attach(iommu, rid, space);
}

static int group_no_bridges(void *iommu, struct sbdf rid, uint32_t *group)
{
    return sbdf_key(rid) == 0 ? -ENODEV : tape_iommu_ops.group(iommu, rid, group);
}

static void no_unit_for_bridges(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.attach = attach_no_bridges;
    ops.group = group_no_bridges;
    config->iommu = &ops;
}

static void test_F16_no_iommu_unit_has_the_host_bridge(void **state)
{
    struct berth_domain *guest;

    (void)state;
    asked = 0;
    guests_up(no_unit_for_bridges, 0);
    guest = rig_guest(&rig, "vm1");
    rig_expect_owner(&rig, at(0, 0, 0), "hwdom");
    assert_int_equal(berth_domain_config_read(hwdom(), at(0, 0, 0), 0, 2), 0x1b36);
    rig_expect_refused(&rig, rig_assign(&rig, at(0, 0, 0), guest), -EINVAL, BERTH_REASON_BRIDGE);
    rig_expect_owner(&rig, at(0, 0, 0), "hwdom");
    assert_int_equal(rig_remove(&rig, at(0, 0, 0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, at(0, 0, 0)), 0);
    rig_destroy_guest(&rig, guest);
    assert_int_equal(asked, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F03_an_add_that_fails_leaves_no_trace),
        TEST(test_F03_a_bridge_that_fails_is_above_nothing),
        TEST(test_F08_any_bars_of_vfs_as_the_host_tells_them),
        TEST(test_F08_any_bars_of_vfs_as_the_core_sizes_them),
        TEST(test_F16_no_iommu_unit_has_the_host_bridge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
