/* SPDX-License-Identifier: MIT */
/*
 * What cannot be kept apart (O4, M23, X30): pages of BARs, interrupt lines, paths without ACS, and
 * machines whose interrupts are not remapped (M32, X33).
 */
#include "tests/unit/rig.h"

#include <string.h>

#include "src/core/acs.h"
#include "src/core/share.h"

#define BAR2 0x18
#define INTERRUPT_LINE 0x3c
#define INTERRUPT_PIN 0x3d
#define SHARED_PAGE 0x90000000u
#define MSIX 0x11
#define ACS 0x0d

static struct rig rig;
static struct rig_vm vm, vm2;
static const struct sbdf first = {0, 0, 0x20}, second = {0, 0, 0x28};
static rig_configure *also;

static struct berth_domain *hwdom(void)
{
    return berth_machine_hwdom(rig.machine);
}

static void up(rig_configure *configure)
{
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
}

static int begin(void **state)
{
    (void)state;
    rig_begin(&rig);
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    also = NULL;
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static void refused(struct sbdf sbdf, struct berth_domain *to, enum berth_reason reason,
                    struct sbdf other, const char *owner)
{
    rig_expect_refused(&rig, rig_assign(&rig, sbdf, to), -EBUSY, reason);
    assert_true(rig.why.has_other);
    assert_true(sbdf_equal(rig.why.other, other));
    assert_string_equal(rig.why.domain, owner);
}

static void lent(struct sbdf sbdf, struct berth_domain *to)
{
    assert_int_equal(rig_assign(&rig, sbdf, to), 0);
    rig_expect_owner(&rig, sbdf, berth_domain_name(to));
}

/* Two devices that share something: one without the other is refused, whichever it is. */
static void one_owner_only(enum berth_reason reason)
{
    refused(first, vm.domain, reason, second, "hwdom");
    rig_quarantine(&rig, second);
    lent(first, vm.domain);
    refused(second, vm2.domain, reason, first, "vm1");
    refused(second, hwdom(), reason, first, "vm1");
    lent(second, vm.domain);
    assert_int_equal(rig_deassign(&rig, first, vm.domain), 0);
    refused(first, hwdom(), reason, second, "vm1");
    assert_int_equal(rig_deassign(&rig, second, vm.domain), 0);
    lent(first, hwdom());
    lent(second, hwdom());
}

/* ---- pages (X30) ---- */

static void small_bar(struct sbdf sbdf, enum mb_bar kind, uint32_t address, uint64_t size)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, sbdf);

    mb_bar(f, 2, kind, size);
    mb_put(f, BAR2, 4, address | (mb_get(f, BAR2, 4) & 0xf));
}

static void two_small_bars(rig_configure *configure)
{
    small_bar(first, MB_BAR_MEM32, SHARED_PAGE + 0x400, 256);
    small_bar(second, MB_BAR_MEM32, SHARED_PAGE + 0x800, 1024);
    up(configure);
}

static void test_X30_a_shared_page_has_one_owner(void **state)
{
    char text[256];

    (void)state;
    two_small_bars(NULL);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hwdom");
    assert_int_equal(rig.why.address, SHARED_PAGE);
    assert_int_equal(rig.why.number, 2);
    berth_refusal_text(&rig.why, text, sizeof(text));
    assert_string_equal(
        text, "0000:00:04.0 shares the page at 0x90000000 of its BAR 2 with "
              "0000:00:05.0, which belongs to hwdom (O4): lend both to the same guest, put "
              "0000:00:05.0 into quarantine, or allow shared pages in the policy");
    one_owner_only(BERTH_REASON_SHARED_PAGE);
}

static void allow_pages(struct berth_machine_config *config)
{
    config->policy.shared_pages = true;
}

static void test_X30_the_policy_may_allow_shared_pages(void **state)
{
    (void)state;
    two_small_bars(allow_pages);
    lent(first, vm.domain);
    lent(second, vm2.domain);
}

static void test_X30_ports_and_whole_pages_are_not_shared(void **state)
{
    (void)state;
    small_bar(first, MB_BAR_IO, 0x6000, 32);
    small_bar(second, MB_BAR_IO, 0x6020, 32);
    small_bar(at(0, 6, 0), MB_BAR_MEM32, SHARED_PAGE, 4096);
    small_bar(at(0, 7, 0), MB_BAR_MEM32, SHARED_PAGE + 0x1000, 256);
    up(NULL);
    lent(first, vm.domain);
    lent(at(0, 6, 0), vm.domain);
    lent(at(0, 7, 0), vm2.domain);
}

/* The key of a page is shorter than its number: the same one is not yet the same page. */
static void test_X30_pages_far_apart_are_two(void **state)
{
    struct capture_function *f;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        f = mb_rc_endpoint(&rig.builder, at(0, 4 + i, 0));
        mb_bar(f, 2, MB_BAR_MEM64, 256);
        mb_put(f, BAR2, 4, SHARED_PAGE | (mb_get(f, BAR2, 4) & 0xf));
        mb_put(f, BAR2 + 4, 4, i * 0x1000); /* 2^32 pages further on */
    }
    up(NULL);
    for (unsigned i = 0; i < 3; i++)
        lent(at(0, 4 + i, 0), vm.domain);
    for (unsigned i = 0; i < 3; i++) /* out of the middle, the end, the beginning of a chain */
        assert_int_equal(rig_remove(&rig, at(0, 4 + (i + 1) % 3, 0), PCIDEV_REMOVE_FORCE), 0);
}

static void test_O4_bars_are_looked_at_when_a_device_is_lent(void **state)
{
    (void)state;
    small_bar(first, MB_BAR_MEM32, SHARED_PAGE + 0x1400, 256);
    small_bar(second, MB_BAR_MEM32, SHARED_PAGE + 0x800, 1024);
    up(NULL);
    rig_poke(&rig, first, BAR2, 4, SHARED_PAGE + 0x400);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hwdom");
    rig_poke(&rig, first, BAR2, 4, SHARED_PAGE + 0x1400);
    lent(first, vm.domain);
}

static void test_O4_a_newcomer_in_a_guests_page_goes_to_quarantine(void **state)
{
    (void)state;
    two_small_bars(NULL);
    assert_int_equal(rig_remove(&rig, second, PCIDEV_REMOVE_DEFAULT), 0);
    lent(first, vm.domain); /* a device that is gone is in nobody's way */
    assert_int_equal(rig_add(&rig, second), 0);
    rig_expect_owner(&rig, second, "quarantine");
    refused(second, hwdom(), BERTH_REASON_SHARED_PAGE, first, "vm1");
}

static const struct sbdf hidden_list[] = {{0, 0, 0x28}};

static void hide_second(struct berth_machine_config *config)
{
    config->hidden = hidden_list;
    config->hidden_count = 1;
}

static void test_O4_the_hypervisors_page_is_not_lent_either(void **state)
{
    (void)state;
    two_small_bars(hide_second);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hidden");
    lent(first, berth_machine_quarantine(rig.machine));
    lent(first, hwdom()); /* which it trusts */
    assert_int_equal(rig_remove(&rig, second, PCIDEV_REMOVE_FORCE), 0);
    lent(first, vm.domain);
    assert_int_equal(rig_add(&rig, second), 0);
    rig_expect_owner(&rig, second, "hidden"); /* wherever it is */
}

static void test_O4_a_device_on_its_way_counts_for_both_owners(void **state)
{
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    struct pcidev *a, *b;

    (void)state;
    two_small_bars(NULL);
    a = rig_dev(&rig, first);
    b = rig_dev(&rig, second);
    rig_quarantine(&rig, second);
    assert_int_equal(share_reserve(a, hwdom(), vm.domain, &why), 0);
    assert_int_equal(share_check(b, vm2.domain, &why), -EBUSY);
    why.reason = BERTH_REASON_NONE;
    assert_int_equal(share_check(b, vm.domain, &why), -EBUSY); /* it may have to go back */
    assert_string_equal(why.domain, "hwdom");
    why.reason = BERTH_REASON_NONE;
    assert_int_equal(share_check(b, hwdom(), &why), -EBUSY);
    share_settle(a, vm.domain);
    assert_int_equal(share_check(b, vm.domain, &why), 0);
    share_settle(a, hwdom());
    rig_put(a);
    rig_put(b);
}

/* ---- lines (X30) ---- */

static struct capture_function *on_line(struct sbdf sbdf, unsigned line, bool with_msi)
{
    struct capture_function *f = mb_pci_endpoint(&rig.builder, sbdf);

    if (!with_msi)
        mb_put(f, 0x34, 1, 0); /* no capabilities */
    mb_put(f, INTERRUPT_PIN, 1, 1);
    mb_put(f, INTERRUPT_LINE, 1, line);
    return f;
}

static void test_X30_a_shared_line_has_one_owner(void **state)
{
    (void)state;
    on_line(first, 11, false);
    on_line(second, 11, false);
    on_line(at(0, 6, 0), 10, false);
    up(NULL);
    lent(at(0, 6, 0), vm2.domain);
    refused(first, vm.domain, BERTH_REASON_SHARED_LINE, second, "hwdom");
    assert_int_equal(rig.why.number, 11);
    one_owner_only(BERTH_REASON_SHARED_LINE);
}

static bool intx_shared(struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);
    bool shared = device_intx_shared(dev);

    rig_put(dev);
    return shared;
}

static void test_X30_who_has_msi_is_lent_without_the_line(void **state)
{
    (void)state;
    on_line(first, 11, false);
    on_line(second, 11, true);
    on_line(at(0, 6, 0), 11, true);
    on_line(at(0, 7, 0), 12, true);
    up(NULL);
    assert_false(intx_shared(second)); /* all are the hardware domain's */
    lent(second, vm.domain);
    assert_true(intx_shared(second));
    lent(at(0, 7, 0), vm.domain);
    assert_false(intx_shared(at(0, 7, 0)));
    lent(at(0, 6, 0), vm.domain);
    rig_quarantine(&rig, first);
    assert_false(intx_shared(second)); /* nobody else is left on it */
    lent(first, vm2.domain);
    assert_true(intx_shared(second));
    assert_true(intx_shared(first));
}

/* ---- paths ---- */

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
    up(without_groups);
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
    up(without_groups);
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
    up(without_groups);
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
    up(without_groups);
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
    up(without_groups);
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
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
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
    up(NULL);
    collect_classes(&all);
    for (unsigned i = 0; i < all.count; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_int_equal(all.path[i] == all.path[k], all.group[i] == all.group[k]);
            together += all.path[i] == all.path[k];
        }
    }
    assert_int_equal(all.count, 20);
    assert_true(together > 5);
}

/* ---- M32, X33 ---- */

static bool remaps_on;

static bool remaps(void *irqs)
{
    (void)irqs;
    return remaps_on;
}

static const struct berth_irq_ops checking = {.remaps = remaps}, not_checking = {.remaps = NULL};

static void with_remapping(struct berth_machine_config *config)
{
    config->irqs = &checking;
}

static void without_remapping(struct berth_machine_config *config)
{
    config->irqs = &not_checking;
}

static void unsafe(struct berth_machine_config *config)
{
    config->irqs = &not_checking;
    config->policy.unsafe_interrupts = true;
}

static void test_X33_no_guest_without_interrupt_remapping(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    up(without_remapping);
    rig_expect_refused(&rig, rig_assign(&rig, first, vm.domain), -EOPNOTSUPP,
                       BERTH_REASON_NO_REMAPPING);
    rig_quarantine(&rig, first); /* which is no guest */
    lent(first, hwdom());
}

static void test_X33_remapping_has_to_be_on(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    remaps_on = false;
    up(with_remapping);
    rig_expect_refused(&rig, rig_assign(&rig, first, vm.domain), -EOPNOTSUPP,
                       BERTH_REASON_NO_REMAPPING);
    remaps_on = true;
    lent(first, vm.domain);
}

static void test_X33_the_policy_may_allow_it(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    up(unsafe);
    lent(first, vm.domain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X30_a_shared_page_has_one_owner),
        TEST(test_X30_the_policy_may_allow_shared_pages),
        TEST(test_X30_ports_and_whole_pages_are_not_shared),
        TEST(test_X30_pages_far_apart_are_two),
        TEST(test_O4_bars_are_looked_at_when_a_device_is_lent),
        TEST(test_O4_a_newcomer_in_a_guests_page_goes_to_quarantine),
        TEST(test_O4_the_hypervisors_page_is_not_lent_either),
        TEST(test_O4_a_device_on_its_way_counts_for_both_owners),
        TEST(test_X30_a_shared_line_has_one_owner),
        TEST(test_X30_who_has_msi_is_lent_without_the_line),
        TEST(test_M23_functions_of_a_card_need_acs),
        TEST(test_M23_a_port_without_acs_leaks),
        TEST(test_M23_a_switch_is_as_tight_as_its_leakiest_port),
        TEST(test_M23_vfs_are_apart_from_one_another_and_their_pf),
        TEST(test_M23_the_policy_may_allow_shared_paths),
        TEST(test_M05_a_bridge_that_comes_later_joins_what_is_behind_it),
        TEST(test_M23_the_core_finds_the_groups_that_the_iommu_tells),
        TEST(test_X33_no_guest_without_interrupt_remapping),
        TEST(test_X33_remapping_has_to_be_on),
        TEST(test_X33_the_policy_may_allow_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
