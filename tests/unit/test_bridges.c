/* SPDX-License-Identifier: MIT */
/* Bridges of all kinds, in any order (M05, M22, F14). */
#include "tests/unit/guests.h"

/* One of each below the root, with a conventional function behind it. */
typedef struct capture_function *make_bridge(struct machine_builder *b, struct sbdf sbdf,
                                             unsigned secondary, unsigned subordinate);

static const struct kind {
    make_bridge *make;
    enum pcidev_type type;
    bool own_id, secondary_id; /* what is behind it is seen under these as well */
} kinds[] = {
    {mb_root_port, PCIDEV_PCIE_BRIDGE, false, false},
    {mb_upstream_port, PCIDEV_PCIE_BRIDGE, false, false},
    {mb_downstream_port, PCIDEV_PCIE_BRIDGE, false, false},
    {mb_pcie_pci_bridge, PCIDEV_PCIE_TO_PCI, true, true},
    {mb_pci_pcie_bridge, PCIDEV_PCI_TO_PCIE, true, false},
    {mb_pci_bridge, PCIDEV_PCI_BRIDGE, true, false},
    {mb_cardbus_bridge, PCIDEV_CARDBUS_BRIDGE, true, false},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct sbdf bridge_at(unsigned kind)
{
    return at(0, kind + 1, 0);
}

static struct sbdf behind(unsigned kind)
{
    return at(10 + kind, 2, 0);
}

static void one_of_each(void)
{
    for (unsigned i = 0; i < KINDS; i++) {
        kinds[i].make(&rig.builder, bridge_at(i), 10 + i, 10 + i);
        mb_pci_endpoint(&rig.builder, behind(i));
    }
    rig_up_empty(&rig, NULL);
}

static void test_F14_each_kind_leaves_nothing_behind(void **state)
{
    struct sim_counters before, after;
    struct pcidev_info info;

    (void)state;
    one_of_each();
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(rig_add(&rig, bridge_at(i)), 0);
        info = rig_info(&rig, bridge_at(i));
        assert_int_equal(info.type, kinds[i].type);
        assert_int_equal(info.secondary_bus, 10 + i);
        assert_int_equal(info.rid_count, 0);
        assert_false(info.has_parent);
        assert_int_equal(rig_add(&rig, behind(i)), 0);
        info = rig_info(&rig, behind(i));
        assert_true(info.has_parent && sbdf_equal(info.parent, bridge_at(i)));
        assert_int_equal(rig_info(&rig, bridge_at(i)).children, 1);
        assert_int_equal(rig_remove(&rig, behind(i), PCIDEV_REMOVE_DEFAULT), 0);
        assert_int_equal(rig_remove(&rig, bridge_at(i), PCIDEV_REMOVE_DEFAULT), 0);
        /* nobody is above it any more */
        assert_int_equal(rig_add(&rig, behind(i)), 0);
        info = rig_info(&rig, behind(i));
        assert_false(info.has_parent);
        assert_int_equal(info.rid_count, 1);
        assert_int_equal(rig_remove(&rig, behind(i), PCIDEV_REMOVE_DEFAULT), 0);
    }
    assert_int_equal(berth_machine_count(rig.machine), 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.claims, before.claims);
    assert_int_equal(after.contexts, before.contexts);
}

static void test_M05_requester_ids_behind_each_kind(void **state)
{
    (void)state;
    one_of_each();
    for (unsigned i = 0; i < KINDS; i++) {
        const struct sbdf secondary = at(10 + i, 0, 0);
        struct pcidev_info info;
        unsigned count = 1;

        assert_int_equal(rig_add(&rig, bridge_at(i)), 0);
        assert_int_equal(rig_add(&rig, behind(i)), 0);
        info = rig_info(&rig, behind(i));
        assert_true(sbdf_equal(info.rids[0], behind(i)));
        if (kinds[i].own_id)
            assert_true(sbdf_equal(info.rids[count++], bridge_at(i)));
        if (kinds[i].secondary_id)
            assert_true(sbdf_equal(info.rids[count++], secondary));
        assert_int_equal(info.rid_count, count);
    }
}

static void test_M05_force_removes_each_kind_with_what_is_behind(void **state)
{
    (void)state;
    one_of_each();
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(rig_add(&rig, bridge_at(i)), 0);
        assert_int_equal(rig_add(&rig, behind(i)), 0);
    }
    for (unsigned i = 0; i < KINDS; i++) {
        rig_expect_refused(&rig, rig_remove(&rig, bridge_at(i), PCIDEV_REMOVE_DEFAULT), -EBUSY,
                           BERTH_REASON_HAS_CHILDREN);
        assert_true(sbdf_equal(rig.why.other, behind(i)));
        assert_int_equal(rig_remove(&rig, bridge_at(i), PCIDEV_REMOVE_FORCE), 0);
        assert_false(rig_has(&rig, behind(i)));
    }
    assert_int_equal(berth_machine_count(rig.machine), 0);
}

/* ---- trees ---- */

static void test_M05_nested_bridges_add_up(void **state)
{
    struct pcidev_info info;

    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 4);
    mb_pcie_pci_bridge(&rig.builder, at(1, 0, 0), 2, 4);
    mb_pci_bridge(&rig.builder, at(2, 5, 0), 3, 4);
    mb_pci_bridge(&rig.builder, at(3, 6, 0), 4, 4);
    mb_pci_endpoint(&rig.builder, at(4, 7, 0));
    rig_up(&rig, NULL);
    info = rig_info(&rig, at(4, 7, 0));
    assert_int_equal(info.rid_count, 5);
    assert_true(sbdf_equal(info.rids[1], at(3, 6, 0)));
    assert_true(sbdf_equal(info.rids[2], at(2, 5, 0)));
    assert_true(sbdf_equal(info.rids[3], at(1, 0, 0)));
    assert_true(sbdf_equal(info.rids[4], at(2, 0, 0)));
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).children, 4);
    assert_int_equal(rig_info(&rig, at(2, 5, 0)).children, 2);
    assert_int_equal(rig_remove(&rig, at(1, 0, 0), PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(berth_machine_count(rig.machine), 1);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).children, 0);
}

static void test_M22_more_requester_ids_than_can_be_recorded(void **state)
{
    (void)state;
    for (unsigned bus = 0; bus < PCIDEV_RIDS_MAX; bus++)
        mb_pci_bridge(&rig.builder, at(bus, 1, 0), bus + 1, PCIDEV_RIDS_MAX);
    mb_pci_endpoint(&rig.builder, at(PCIDEV_RIDS_MAX - 1, 2, 0));
    mb_pci_endpoint(&rig.builder, at(PCIDEV_RIDS_MAX, 2, 0));
    rig_up_empty(&rig, NULL);
    for (unsigned bus = 0; bus < PCIDEV_RIDS_MAX; bus++)
        assert_int_equal(rig_add(&rig, at(bus, 1, 0)), 0);
    assert_int_equal(rig_add(&rig, at(PCIDEV_RIDS_MAX - 1, 2, 0)), 0);
    assert_int_equal(rig_info(&rig, at(PCIDEV_RIDS_MAX - 1, 2, 0)).rid_count, PCIDEV_RIDS_MAX);
    rig_expect_refused(&rig, rig_add(&rig, at(PCIDEV_RIDS_MAX, 2, 0)), -E2BIG,
                       BERTH_REASON_TOO_MANY_RIDS);
    assert_int_equal(rig.why.number, PCIDEV_RIDS_MAX);
    assert_false(rig_has(&rig, at(PCIDEV_RIDS_MAX, 2, 0)));
}

/* ---- numbers that firmware got wrong ---- */

static void set_buses(struct sbdf sbdf, unsigned secondary, unsigned subordinate)
{
    struct capture_function *f = rig_function(&rig, sbdf);

    f->config[0x19] = (uint8_t)secondary;
    f->config[0x1a] = (uint8_t)subordinate;
}

static void test_M05_two_bridges_claim_one_bus(void **state)
{
    struct pcidev_info info;

    (void)state;
    mb_pci_bridge(&rig.builder, at(0, 1, 0), 1, 1);
    mb_pci_bridge(&rig.builder, at(0, 2, 0), 2, 2);
    mb_pci_endpoint(&rig.builder, at(1, 3, 0));
    set_buses(at(0, 2, 0), 1, 1);
    rig_up(&rig, NULL);
    info = rig_info(&rig, at(1, 3, 0));
    assert_true(info.has_parent && sbdf_equal(info.parent, at(0, 1, 0))); /* the first one has it */
    assert_int_equal(rig_remove(&rig, at(1, 3, 0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_remove(&rig, at(0, 2, 0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, at(1, 3, 0)), 0);
    assert_true(
        rig_info(&rig, at(1, 3, 0)).has_parent); /* and the other one did not take it along */
}

static void test_M05_bus_numbers_that_go_nowhere(void **state)
{
    static const uint8_t junk[][2] = {{0, 0}, {5, 5}, {3, 9}, {9, 7}, {255, 0}};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        mb_pci_bridge(&rig.builder, at(5, 1 + i, 0), 20 + i, 20 + i);
    mb_pci_endpoint(&rig.builder, at(5, 9, 0));
    for (unsigned i = 0; i < 5; i++)
        set_buses(at(5, 1 + i, 0), junk[i][0], junk[i][1]);
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, at(5, 9, 0)).rid_count, 1);
    assert_false(rig_info(&rig, at(5, 9, 0)).has_parent);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rig_info(&rig, at(5, 1 + i, 0)).children, 0);
        assert_int_equal(rig_remove(&rig, at(5, 1 + i, 0), PCIDEV_REMOVE_FORCE), 0);
    }
    assert_true(rig_has(&rig, at(5, 9, 0)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_blank, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F14_each_kind_leaves_nothing_behind),
        TEST(test_M05_requester_ids_behind_each_kind),
        TEST(test_M05_force_removes_each_kind_with_what_is_behind),
        TEST(test_M05_nested_bridges_add_up),
        TEST(test_M22_more_requester_ids_than_can_be_recorded),
        TEST(test_M05_two_bridges_claim_one_bus),
        TEST(test_M05_bus_numbers_that_go_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
