/* SPDX-License-Identifier: MIT */
/* Functions that are built oddly: what the core makes of their registers (M03-M05, M07). */
#include "tests/unit/rig.h"

#include <linux/pci_regs.h>

#include "src/core/bars.h"

static struct rig rig;
static const struct sbdf dev_at = {0, 1, 0}, bridge_at = {0, 0, 0x08};

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

static void give_ids(struct capture_function *f, uint16_t vendor, uint16_t device)
{
    mb_put(f, PCI_VENDOR_ID, 2, vendor);
    mb_put(f, PCI_DEVICE_ID, 2, device);
}

static void test_M07_the_other_flr_is_no_better(void **state)
{
    (void)state;
    give_ids(mb_pci_endpoint(&rig.builder, bridge_at), 0x8086, 0x1502);
    mb_af(rig_function(&rig, bridge_at));
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, bridge_at).errata, PCIDEV_ERRATUM_NO_FLR);
    assert_int_equal(rig_info(&rig, bridge_at).method_count, 0);
}

/* PCIe 1.0 has no Device Control 2, and so no ARI forwarding. */
static void test_M05_a_port_of_the_first_version_forwards_no_ari(void **state)
{
    struct capture_function *port = mb_root_port(&rig.builder, bridge_at, 1, 1), *f;
    unsigned cap = mb_find_cap(port, PCI_CAP_ID_EXP);

    (void)state;
    mb_put(port, cap + PCI_EXP_DEVCTL2, 2, PCI_EXP_DEVCTL2_ARI);
    mb_put(port, cap + PCI_EXP_FLAGS, 2,
           (mb_get(port, cap + PCI_EXP_FLAGS, 2) & ~(uint32_t)PCI_EXP_FLAGS_VERS) | 1);
    f = mb_endpoint(&rig.builder, at(1, 3, 2));
    mb_ext_cap(f, PCI_EXT_CAP_ID_ARI, 1);
    rig_up(&rig, NULL);
    assert_false(rig_info(&rig, at(1, 3, 2)).extended_function);
}

static void test_M05_who_adds_it_may_know_better(void **state)
{
    const struct pcidev_add_info info = {.numa_node = -1, .is_extended = true};

    (void)state;
    mb_root_port(&rig.builder, bridge_at, 1, 1);
    mb_phantom(&rig.builder, dev_at, 1);
    rig_up_empty(&rig, NULL);
    assert_int_equal(rig_add(&rig, bridge_at), 0);
    assert_int_equal(pcidev_add(rig.machine, dev_at, &info, NULL), 0);
    assert_true(rig_info(&rig, dev_at).extended_function);
    assert_int_equal(rig_info(&rig, dev_at).rid_count, 1); /* F18: no functions to spare */
    assert_int_equal(rig_readd(&rig, dev_at, &info), 0);
}

/* F12: requests of the other function are believed to be its own, until there is one. */
static void test_F12_what_an_erratum_borrows_is_given_back(void **state)
{
    static const struct sbdf order[][2] = {
        {{0, 0, 0x30}, {0, 0, 0x31}}, /* 9123 sends as function 1, which comes later */
        {{0, 0, 0x39}, {0, 0, 0x38}}, /* e822 sends as function 0 */
    };

    (void)state;
    give_ids(mb_endpoint(&rig.builder, order[0][0]), 0x1b4b, 0x9123);
    mb_endpoint(&rig.builder, order[0][1]);
    give_ids(mb_endpoint(&rig.builder, order[1][0]), 0x1180, 0xe822);
    mb_endpoint(&rig.builder, order[1][1]);
    rig_up_empty(&rig, NULL);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_add(&rig, order[i][0]), 0);
        assert_int_equal(rig_info(&rig, order[i][0]).rid_count, 2);
    }
    assert_int_equal(rig_add(&rig, order[0][1]), 0);
    assert_int_equal(rig_info(&rig, order[0][0]).rid_count, 1);
    assert_int_equal(rig_info(&rig, order[0][1]).rid_count, 1);
}

static void knows_no_pf(void *sim, berth_claim claim, struct berth_function_facts *facts)
{
    sim_host_ops.describe(sim, claim, facts);
    facts->is_vf = false;
}

static void without_facts(struct berth_machine_config *config)
{
    static struct berth_host_ops host;

    host = sim_host_ops;
    host.describe = knows_no_pf;
    config->host = &host;
}

/* The same requester ids in another segment are somebody else's. */
static void test_M04_a_pf_has_vfs_in_its_own_segment_only(void **state)
{
    const struct sbdf pf = at(1, 0, 0), other = sbdf_make(1, 1, 1, 0);

    (void)state;
    mb_root_port(&rig.builder, bridge_at, 1, 1);
    mb_vfs(&rig.builder, mb_pf(&rig.builder, pf, 4, 8, 1), 2);
    mb_root_port(&rig.builder, sbdf_make(1, 0, 1, 0), 1, 1);
    mb_endpoint(&rig.builder, other);
    rig_up(&rig, without_facts);
    assert_true(rig_info(&rig, at(1, 1, 0)).is_vf);
    assert_true(sbdf_equal(rig_info(&rig, at(1, 1, 1)).pf, pf));
    assert_false(rig_info(&rig, other).is_vf);
}

/* F05: who says that it is a VF has to be right. */
static void test_F05_a_pf_without_vfs_has_none(void **state)
{
    const struct pcidev_add_info info = {.numa_node = -1, .is_vf = true, .pf = dev_at};
    const struct berth_request request = rig_request(&rig);

    (void)state;
    mb_root_port(&rig.builder, bridge_at, 1, 1);
    mb_pf(&rig.builder, dev_at, 4, 8, 1);
    mb_endpoint(&rig.builder, at(1, 1, 0));
    rig_up_empty(&rig, NULL);
    assert_int_equal(rig_add(&rig, bridge_at), 0);
    assert_int_equal(rig_add(&rig, dev_at), 0);
    rig_expect_refused(&rig, pcidev_add(rig.machine, at(1, 1, 0), &info, &request), -ENODEV,
                       BERTH_REASON_NOT_A_VF);
    assert_false(rig_has(&rig, at(1, 1, 0)));
    assert_int_equal(rig_add(&rig, at(1, 1, 0)), 0); /* as what it is */
}

/* SR-IOV 1.1, 3.3.10: a stride means something from the second VF on. */
static void test_M04_a_single_vf_needs_no_stride(void **state)
{
    struct berth_bar bar;
    struct pcidev *vf;
    uint64_t start, size;

    (void)state;
    mb_root_port(&rig.builder, bridge_at, 1, 1);
    mb_pf(&rig.builder, dev_at, 1, 8, 0);
    rig_up(&rig, without_facts);
    assert_int_equal(rig_sriov(&rig, dev_at, 1), 0);
    assert_int_equal(rig_add(&rig, at(1, 1, 0)), 0);
    assert_true(rig_info(&rig, at(1, 1, 0)).is_vf);
    vf = rig_dev(&rig, at(1, 1, 0));
    assert_true(device_bar(vf, 0, &bar));
    assert_int_equal(sim_bar(rig.sim, at(1, 1, 0), 0, &start, &size), 0);
    assert_true(bar.address == start && bar.size == size);
    rig_put(vf);
    assert_int_equal(rig_remove(&rig, at(1, 1, 0), PCIDEV_REMOVE_DEFAULT), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M07_the_other_flr_is_no_better),
        TEST(test_M05_a_port_of_the_first_version_forwards_no_ari),
        TEST(test_M05_who_adds_it_may_know_better),
        TEST(test_F12_what_an_erratum_borrows_is_given_back),
        TEST(test_M04_a_pf_has_vfs_in_its_own_segment_only),
        TEST(test_F05_a_pf_without_vfs_has_none),
        TEST(test_M04_a_single_vf_needs_no_stride),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
