/* SPDX-License-Identifier: MIT */
/* Paths without ACS: what reaches what without passing the IOMMU (M23, O4, M05). */
#include "tests/unit/sharing.h"

#include "src/core/acs.h"

#define ACS 0x0d

static rig_configure *also;

static int setup(void **state)
{
    also = NULL;
    return sharing_setup(state);
}

static struct berth_iommu_ops groupless;

static void without_groups(struct berth_machine_config *config)
{
    groupless = *config->iommu;
    groupless.group = NULL;
    config->iommu = &groupless;
    if (also)
        also(config);
}

static void no_acs(struct capture_function *f)
{
    unsigned acs = mb_find_ext_cap(f, ACS);

    assert_int_not_equal(acs, 0);
    mb_put(f, acs + 4, 4, 0);
}

static const struct sbdf one = {0, 1, 0x00}, two = {0, 1, 0x01};

static void test_M23_functions_of_a_card_need_acs(void **state)
{
    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    mb_endpoint(&rig.builder, one);
    mb_endpoint(&rig.builder, two);
    mb_root_port(&rig.builder, at(0, 2, 0), 2, 2);
    mb_acs(mb_endpoint(&rig.builder, at(2, 0, 0)), 0x1d);
    mb_acs(mb_endpoint(&rig.builder, at(2, 0, 1)), 0x1d);
    guests_up(without_groups, 2);
    refused(one, vm.domain, BERTH_REASON_SHARED_PATH, two, "hwdom");
    assert_int_equal(rig.why.number, sbdf_key(one)); /* the slot that they are in */
    lent(at(2, 0, 1), vm.domain);
}

static void test_M23_a_port_without_acs_leaks(void **state)
{
    (void)state;
    no_acs(mb_root_port(&rig.builder, at(0, 1, 0), 1, 3));
    mb_upstream_port(&rig.builder, at(1, 0, 0), 2, 3);
    mb_downstream_port(&rig.builder, at(2, 0, 0), 3, 3);
    mb_acs(mb_endpoint(&rig.builder, at(3, 0, 0)), 0x1d);
    mb_acs(mb_endpoint(&rig.builder, at(3, 1, 0)), 0x1d);
    mb_root_port(&rig.builder, at(0, 2, 0), 4, 4);
    mb_endpoint(&rig.builder, at(4, 0, 0));
    guests_up(without_groups, 2);
    refused(at(3, 0, 0), vm.domain, BERTH_REASON_SHARED_PATH, at(3, 1, 0), "hwdom");
    assert_int_equal(rig.why.number, sbdf_key(at(0, 1, 0)));
    lent(at(4, 0, 0), vm.domain);
}

/* One port that turns requests round lets them into all the others. */
static void test_M23_a_switch_is_as_tight_as_its_leakiest_port(void **state)
{
    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 4);
    mb_upstream_port(&rig.builder, at(1, 0, 0), 2, 4);
    mb_downstream_port(&rig.builder, at(2, 0, 0), 3, 3);
    no_acs(mb_downstream_port(&rig.builder, at(2, 1, 0), 4, 4));
    mb_endpoint(&rig.builder, at(3, 0, 0));
    mb_endpoint(&rig.builder, at(4, 0, 0));
    guests_up(without_groups, 2);
    refused(at(3, 0, 0), vm.domain, BERTH_REASON_SHARED_PATH, at(4, 0, 0), "hwdom");
    assert_int_equal(rig.why.number, sbdf_key(at(1, 0, 0)));
    rig_quarantine(&rig, at(4, 0, 0));
    lent(at(3, 0, 0), vm.domain);
    refused(at(4, 0, 0), vm2.domain, BERTH_REASON_SHARED_PATH, at(3, 0, 0), "vm1");
}

static void test_M23_vfs_are_apart_from_one_another_and_their_pf(void **state)
{
    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 2);
    mb_pf(&rig.builder, rig_pf, 4, 128, 2);
    guests_up(without_groups, 2);
    rig_add_vfs(&rig, 2);
    lent(rig_vf(0), vm.domain);
    lent(rig_vf(1), vm2.domain);
}

static void share_paths(struct berth_machine_config *config)
{
    config->policy.shared_groups = true;
}

static void test_M23_the_policy_may_allow_shared_paths(void **state)
{
    (void)state;
    also = share_paths;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    mb_endpoint(&rig.builder, one);
    mb_endpoint(&rig.builder, two);
    guests_up(without_groups, 2);
    lent(one, vm.domain);
    lent(two, vm2.domain);
}

static void test_M05_a_bridge_that_comes_later_joins_what_is_behind_it(void **state)
{
    (void)state;
    mb_pcie_pci_bridge(&rig.builder, at(0, 2, 0), 1, 1);
    mb_pci_endpoint(&rig.builder, at(1, 1, 0));
    mb_pci_endpoint(&rig.builder, at(1, 2, 0));
    rig_up_empty(&rig, without_groups);
    guests_join(2);
    assert_int_equal(rig_add(&rig, at(1, 1, 0)), 0);
    assert_int_equal(rig_add(&rig, at(1, 2, 0)), 0);
    assert_int_equal(rig_add(&rig, at(0, 2, 0)), 0);
    refused(at(1, 1, 0), vm.domain, BERTH_REASON_SHARED_PATH, at(1, 2, 0), "hwdom");
}

/* A bit of everything, with and without ACS. */
static void build_zoo(void)
{
    struct machine_builder *b = &rig.builder;

    mb_root_port(b, at(0, 1, 0), 1, 1);
    mb_endpoint(b, at(1, 0, 0));
    mb_endpoint(b, at(1, 0, 1));
    no_acs(mb_root_port(b, at(0, 2, 0), 2, 2));
    mb_acs(mb_endpoint(b, at(2, 0, 0)), 0x1d);
    mb_acs(mb_endpoint(b, at(2, 0, 1)), 0x1d);
    mb_root_port(b, at(0, 3, 0), 3, 6);
    mb_upstream_port(b, at(3, 0, 0), 4, 6);
    mb_downstream_port(b, at(4, 0, 0), 5, 5);
    no_acs(mb_downstream_port(b, at(4, 1, 0), 6, 6));
    mb_endpoint(b, at(5, 0, 0));
    mb_acs(mb_endpoint(b, at(5, 0, 1)), 0x0c);
    mb_endpoint(b, at(6, 0, 0));
    mb_acs(mb_endpoint(b, at(6, 0, 1)), 0x1d);
    mb_root_port(b, at(0, 4, 0), 7, 8);
    mb_pcie_pci_bridge(b, at(7, 0, 0), 8, 8);
    mb_pci_endpoint(b, at(8, 0, 0));
    mb_pci_endpoint(b, at(8, 1, 0));
    mb_pci_bridge(b, at(0, 5, 0), 9, 10);
    mb_pci_endpoint(b, at(9, 0, 0));
    mb_pci_bridge(b, at(9, 1, 0), 10, 10);
    mb_pci_endpoint(b, at(10, 0, 0));
    mb_rc_endpoint(b, at(0, 6, 0));
    mb_rc_endpoint(b, at(0, 6, 1));
    mb_acs(mb_rc_endpoint(b, at(0, 6, 2)), 0x1d);
    mb_rc_endpoint(b, at(0, 7, 0));
    mb_root_port(b, at(0, 8, 0), 11, 12);
    mb_vfs(b, mb_pf(b, at(11, 0, 0), 4, 128, 2), 3);
    mb_root_port(b, at(0, 9, 0), 13, 13);
    mb_acs(mb_endpoint(b, at(13, 0, 0)), 0x1d); /* redirects; its neighbour does not */
    mb_endpoint(b, at(13, 0, 1));
}

struct classes {
    uint64_t path[64];
    uint32_t group[64];
    unsigned count;
};

static void collect_classes(struct classes *all)
{
    static const char tag[] = "classes";
    struct pcidev *dev = pcidev_next(rig.machine, NULL, tag), *next;

    for (; dev; dev = next) {
        struct sbdf sbdf = pcidev_sbdf(dev);

        if (device_has_contexts(dev)) {
            assert_true(all->count < 64);
            assert_int_equal(pcidev_group(dev, &all->group[all->count]), 0);
            all->path[all->count++] = acs_path(dev);
        }
        next = pcidev_next(rig.machine, &sbdf, tag);
        pcidev_put(dev, tag);
    }
}

static void test_M23_the_core_finds_the_groups_that_the_iommu_tells(void **state)
{
    struct classes all = {.count = 0};
    unsigned together = 0;

    (void)state;
    build_zoo();
    guests_up(NULL, 2);
    collect_classes(&all);
    for (unsigned i = 0; i < all.count; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_int_equal(all.path[i] == all.path[k], all.group[i] == all.group[k]);
            together += all.path[i] == all.path[k];
        }
    }
    assert_int_equal(all.count, 22);
    assert_true(together > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M23_functions_of_a_card_need_acs),
        TEST(test_M23_a_port_without_acs_leaks),
        TEST(test_M23_a_switch_is_as_tight_as_its_leakiest_port),
        TEST(test_M23_vfs_are_apart_from_one_another_and_their_pf),
        TEST(test_M23_the_policy_may_allow_shared_paths),
        TEST(test_M05_a_bridge_that_comes_later_joins_what_is_behind_it),
        TEST(test_M23_the_core_finds_the_groups_that_the_iommu_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
