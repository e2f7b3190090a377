/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine as a whole: what firmware says, isolation groups, large machines, too
 * little memory, the machine that is shipped.
 */
#include "tests/unit/sim_help.h"

#include <berth/errno.h>
#include <berth_port.h>
#include <linux/pci_regs.h>

/* The next calls of calloc that work; -1: all. */
static int allocations = -1;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    if (allocations == 0)
        return NULL;
    if (allocations > 0)
        allocations--;
    return __real_calloc(count, size);
}

static uint32_t group_of(struct sim *sim, struct sbdf rid)
{
    uint32_t group = 0;

    assert_int_equal(sim_iommu_ops.group(sim, rid, &group), 0);
    return group;
}

static bool share(struct simrig *rig, struct sbdf a, struct sbdf b)
{
    return group_of(rig->sim, a) == group_of(rig->sim, b);
}

/* ---- firmware ---- */

static void test_what_the_host_knows(void **state)
{
    static const struct berth_reserved regions[2] = {{0x1000, 0x2000, 1, 0},
                                                     {0x8000, 0x1000, 0, 1}};
    struct berth_reserved list[BERTH_RESERVED_MAX] = {0};
    struct berth_function_facts facts = {.numa_node = -1};
    berth_claim claim, other;
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_endpoint(&rig.b, at(1, 0, 0))->extra.numa_node = 3;
    mb_endpoint(&rig.b, at(2, 0, 0));
    simrig_start(&rig, NULL);
    assert_int_equal(sim_set_reserved(rig.sim, at(1, 0, 0), regions, 2), 0);
    assert_int_equal(sim_set_reserved(rig.sim, at(1, 0, 0), regions, BERTH_RESERVED_MAX + 1),
                     -EINVAL);
    assert_int_equal(sim_set_reserved(rig.sim, at(9, 0, 0), regions, 2), -ENODEV);
    assert_int_equal(sim_host_ops.claim(rig.sim, at(1, 0, 0), &claim), 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, at(2, 0, 0), &other), 0);
    assert_int_equal(sim_host_ops.reserved(rig.sim, claim, list), 2);
    assert_int_equal(list[1].start, 0x8000);
    assert_int_equal(list[1].relaxed, 1);
    assert_int_equal(sim_host_ops.reserved(rig.sim, other, list), 0);
    sim_host_ops.describe(rig.sim, claim, &facts);
    assert_int_equal(facts.numa_node, 3);
    sim_host_ops.describe(rig.sim, other, &facts);
    assert_int_equal(facts.numa_node, -1);
    simrig_stop(&rig);
}

/* ---- groups ---- */

static void test_acs_separates_and_its_absence_joins(void **state)
{
    struct simrig rig;
    unsigned acs;

    (void)state;
    mb_init(&rig.b);
    mb_root_port(&rig.b, at(0, 1, 0), 1, 4);
    mb_upstream_port(&rig.b, at(1, 0, 0), 2, 4);
    mb_downstream_port(&rig.b, at(2, 0, 0), 3, 3);
    mb_downstream_port(&rig.b, at(2, 1, 0), 4, 4);
    mb_endpoint(&rig.b, at(3, 0, 0));
    mb_endpoint(&rig.b, at(4, 0, 0));
    mb_endpoint(&rig.b, at(4, 0, 1));
    simrig_start(&rig, NULL);
    assert_false(share(&rig, at(3, 0, 0), at(4, 0, 0)));
    assert_true(share(&rig, at(4, 0, 0), at(4, 0, 1))); /* functions of a card without ACS */
    acs = simrig_ext_cap(&rig, at(2, 0, 0), PCI_EXT_CAP_ID_ACS) + PCI_ACS_CTRL;
    assert_false(share(&rig, at(3, 0, 0), at(2, 0, 0)));
    simrig_write(&rig, at(2, 0, 0), acs, 2, 0); /* it counts where it is enabled */
    assert_true(share(&rig, at(3, 0, 0), at(2, 0, 0)));
    simrig_write(&rig, at(0, 1, 0),
                 simrig_ext_cap(&rig, at(0, 1, 0), PCI_EXT_CAP_ID_ACS) + PCI_ACS_CTRL, 2, 0);
    assert_true(share(&rig, at(3, 0, 0), at(4, 0, 0)));
    assert_true(share(&rig, at(0, 1, 0), at(4, 0, 1)));
    simrig_stop(&rig);
}

static void test_a_conventional_bus_is_one_group(void **state)
{
    struct simrig rig;
    uint32_t group;

    (void)state;
    mb_init(&rig.b);
    mb_root_port(&rig.b, at(0, 1, 0), 1, 2);
    mb_pcie_pci_bridge(&rig.b, at(1, 0, 0), 2, 2);
    mb_pci_endpoint(&rig.b, at(2, 3, 0));
    mb_pci_endpoint(&rig.b, at(2, 4, 0));
    mb_rc_endpoint(&rig.b, at(0, 5, 0));
    simrig_start(&rig, NULL);
    assert_true(share(&rig, at(2, 3, 0), at(2, 4, 0)));
    assert_true(share(&rig, at(2, 3, 0), at(1, 0, 0)));
    assert_true(share(&rig, at(2, 3, 0), at(2, 0, 0))); /* the alias */
    assert_false(share(&rig, at(2, 3, 0), at(0, 5, 0)));
    assert_int_equal(sim_iommu_ops.group(rig.sim, at(7, 0, 0), &group), -ENODEV);
    simrig_stop(&rig);
}

static void test_captured_groups_are_kept_and_others_stay_out_of_them(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_endpoint(&rig.b, at(0, 1, 0))->extra.iommu_group = 0;
    mb_endpoint(&rig.b, at(0, 2, 0))->extra.iommu_group = 7;
    mb_endpoint(&rig.b, at(0, 3, 0))->extra.iommu_group = 7;
    mb_vfs(&rig.b, mb_pf(&rig.b, at(0, 4, 0), 2, 4, 1), 2);
    simrig_start(&rig, NULL);
    assert_int_equal(group_of(rig.sim, at(0, 1, 0)), 0);
    assert_int_equal(group_of(rig.sim, at(0, 3, 0)), 7);
    assert_true(group_of(rig.sim, at(0, 4, 0)) > 7);
    assert_false(share(&rig, at(0, 4, 4), at(0, 4, 5))); /* VFs are isolated */
    assert_false(share(&rig, at(0, 4, 4), at(0, 4, 0)));
    simrig_stop(&rig);
}

/* ---- large machines ---- */

#define MANY 65536u
/* Sanitizers and a loaded machine cost a factor; being quadratic would cost a thousand. */
#define TIME_SCALE 20

static int count(void *context, struct sbdf sbdf)
{
    uint32_t *seen = context;

    return sbdf_key(sbdf) == (*seen)++ ? 0 : -EIO;
}

static void test_every_address_of_a_segment(void **state)
{
    uint64_t start, size, began;
    uint32_t seen = 0;
    struct simrig rig;

    (void)state;
    mb_init_sized(&rig.b, MANY);
    mb_many(&rig.b, MANY);
    mb_capture(&rig.b);
    began = port_now_ns();
    simrig_start(&rig, NULL);
    assert_true(port_now_ns() - began < 1000 * MS * TIME_SCALE);
    assert_int_equal(sim_enumerate(rig.sim, count, &seen), 0);
    assert_int_equal(seen, MANY);
    assert_int_equal(sim_bar(rig.sim, at(0xff, 0x1f, 7), 0, &start, &size), 0);
    assert_int_equal(size, 0x1000);
    assert_int_equal(simrig_read(&rig, at(0x80, 3, 1), PCI_VENDOR_ID, 2), 0x1b36);
    simrig_stop(&rig);
}

static void test_segments_are_apart(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_root_port(&rig.b, sbdf_make(0xffff, 0, 1, 0), 1, 1);
    mb_endpoint(&rig.b, sbdf_make(0xffff, 1, 0, 0));
    mb_endpoint(&rig.b, at(1, 0, 0));
    simrig_start(&rig, NULL);
    assert_int_equal(sim_vanish(rig.sim, sbdf_make(0xffff, 0, 1, 0)), 0);
    assert_false(sim_present(rig.sim, sbdf_make(0xffff, 1, 0, 0)));
    assert_true(sim_present(rig.sim, at(1, 0, 0)));
    assert_false(sim_present(rig.sim, sbdf_make(1, 1, 0, 0)));
    simrig_stop(&rig);
}

/* ---- memory runs out ---- */

static void test_a_machine_is_made_whole_or_not_at_all(void **state)
{
    struct capture_error error;
    struct machine_builder b;
    struct sim *sim = NULL;
    int result = -ENOMEM, n;

    (void)state;
    mb_init(&b);
    mb_vfs(&b, mb_pf(&b, at(1, 0, 0), 4, 128, 1), 2);
    mb_endpoint(&b, at(1, 16, 3)); /* where a VF would be */
    mb_capture(&b);
    for (n = 0; result == -ENOMEM; n++) {
        assert_null(sim);
        allocations = n;
        result = sim_create(&b.capture, NULL, &sim, &error);
        allocations = -1;
    }
    assert_int_equal(result, 0);
    assert_true(n > 5);
    sim_destroy(sim);
    mb_free(&b);
}

static void test_vfs_stay_off_without_memory(void **state)
{
    struct simrig rig;
    unsigned reg;

    (void)state;
    mb_init(&rig.b);
    mb_pf(&rig.b, at(1, 0, 0), 4, 128, 1);
    simrig_start(&rig, NULL);
    reg = simrig_ext_cap(&rig, at(1, 0, 0), PCI_EXT_CAP_ID_SRIOV);
    simrig_write(&rig, at(1, 0, 0), reg + PCI_SRIOV_NUM_VF, 2, 4);
    allocations = 2;
    simrig_write(&rig, at(1, 0, 0), reg + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE);
    allocations = -1;
    assert_int_equal(simrig_read(&rig, at(1, 0, 0), reg + PCI_SRIOV_CTRL, 2), 0);
    assert_false(sim_present(rig.sim, at(1, 16, 0)));
    simrig_write(&rig, at(1, 0, 0), reg + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE);
    assert_true(sim_present(rig.sim, at(1, 16, 3)));
    simrig_stop(&rig);
}

/* ---- the shipped machine ---- */

static int check_function(void *context, struct sbdf sbdf)
{
    struct simrig *rig = context;
    uint64_t start, size;
    uint32_t value;

    if (simrig_silent(rig, sbdf))
        return -EIO;
    for (unsigned i = 0; i < CAPTURE_BARS; i++) {
        if (sim_bar(rig->sim, sbdf, i, &start, &size))
            continue;
        if (sim_bar_access(rig->sim, sbdf, i, 0, false, &value) || value == ONES)
            return -EIO;
    }
    return 0;
}

static void test_the_shipped_machine_works(void **state)
{
    struct capture_error error;
    struct capture capture;
    struct simrig rig = {0};
    uint64_t start, size;

    (void)state;
    assert_int_equal(capture_read_file(BERTH_DATA "/machines/q35.txt", &capture, &error), 0);
    assert_int_equal(sim_create(&capture, NULL, &rig.sim, &error), 0);
    assert_int_equal(sim_enumerate(rig.sim, check_function, &rig), 0);
    assert_true(sim_present(rig.sim, at(1, 16, 4)));
    assert_false(sim_present(rig.sim, at(1, 16, 6)));
    assert_int_equal(sim_bar(rig.sim, at(1, 16, 2), 0, &start, &size), 0);
    assert_int_equal(start, 0xfea04000);
    assert_int_equal(group_of(rig.sim, at(8, 0, 0)), 18);
    assert_int_equal(sim_vanish(rig.sim, at(0, 6, 0)), 0);
    assert_false(sim_present(rig.sim, at(9, 0, 0)));
    assert_int_equal(sim_return(rig.sim, at(0, 6, 0)), 0);
    assert_false(simrig_silent(&rig, at(9, 0, 0)));
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 0);
    sim_destroy(rig.sim);
    capture_free(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_host_knows),
        cmocka_unit_test(test_acs_separates_and_its_absence_joins),
        cmocka_unit_test(test_a_conventional_bus_is_one_group),
        cmocka_unit_test(test_captured_groups_are_kept_and_others_stay_out_of_them),
        cmocka_unit_test(test_every_address_of_a_segment),
        cmocka_unit_test(test_segments_are_apart),
        cmocka_unit_test(test_a_machine_is_made_whole_or_not_at_all),
        cmocka_unit_test(test_vfs_stay_off_without_memory),
        cmocka_unit_test(test_the_shipped_machine_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
