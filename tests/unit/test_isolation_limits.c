/* SPDX-License-Identifier: MIT */
/* Groups that are larger than anybody has room for, and the rarer notes of an explanation (M23). */
#include "tests/unit/rig.h"

#include <berth/isolation.h>

#define LINE 0x3c
#define INTA_11 0x010bu

static struct rig rig;
static struct rig_vm vm;
static struct pcidev_explanation e;
static const struct sbdf behind_bridge = {0, 2, 0}, integrated = {0, 0, 0x40};

static void up(rig_configure *configure)
{
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
}

static void down(void)
{
    rig_vm_down(&vm);
    rig_down(&rig);
}

static int explain(struct sbdf sbdf, struct berth_domain *to)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);
    int error = pcidev_explain(dev, to, NULL, &e);

    rig_put(dev);
    return error;
}

static bool noted(enum berth_reason reason)
{
    for (unsigned i = 0; i < e.note_count; i++)
        if (e.notes[i].reason == reason)
            return true;
    return false;
}

/* ---- many devices behind one bridge ---- */

/* @count conventional functions, on bus 2 and then on bus 3 behind it. */
static void bridge_with(unsigned count)
{
    rig_begin(&rig);
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 3);
    mb_pcie_pci_bridge(&rig.builder, at(1, 0, 0), 2, 3);
    if (count > 248)
        mb_pci_bridge(&rig.builder, at(2, 31, 0), 3, 3);
    for (unsigned i = 0; i < count; i++)
        mb_bare(&rig.builder, sbdf_from_key((2u + i / 248) << 8 | i % 248));
    up(NULL);
}

static int lend(struct sbdf sbdf)
{
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, sbdf);
    int error = pcidev_assign_group(dev, vm.domain, &request);

    rig_put(dev);
    return error;
}

static void test_M23_members_beyond_the_list_are_counted(void **state)
{
    (void)state;
    bridge_with(PCIDEV_MEMBERS_MAX + 8);
    assert_int_equal(explain(behind_bridge, vm.domain), 0);
    assert_int_equal(e.member_count, PCIDEV_MEMBERS_MAX + 8);
    assert_true(e.group_possible);
    for (unsigned i = 0; i < PCIDEV_MEMBERS_MAX; i++)
        assert_string_equal(e.members[i].owner, "hwdom");
    assert_int_equal(lend(behind_bridge), 0);
    assert_int_equal(berth_domain_device_count(vm.domain), PCIDEV_MEMBERS_MAX + 8);
    down();
}

static void test_M23_a_group_has_at_most_256_members(void **state)
{
    (void)state;
    bridge_with(PCIDEV_GROUP_MAX + 1);
    assert_int_equal(explain(behind_bridge, vm.domain), 0);
    assert_int_equal(e.member_count, PCIDEV_GROUP_MAX + 1);
    assert_false(e.group_possible);
    rig_expect_refused(&rig, lend(behind_bridge), -E2BIG, BERTH_REASON_GROUP_SIZE);
    assert_int_equal(rig.why.number, PCIDEV_GROUP_MAX);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    down();
}

/* ---- one bridge, two owners ---- */

static struct sbdf second[1];

static void hide_second(struct berth_machine_config *config)
{
    second[0] = rig_legacy2;
    config->hidden = second;
    config->hidden_count = 1;
}

/* O4: the hypervisor and the hardware domain trust one another; a guest is neither. */
static void test_O4_a_bridge_may_be_shared_with_the_hypervisor(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    up(hide_second);
    rig_expect_owner(&rig, rig_legacy, "hwdom");
    rig_expect_owner(&rig, rig_legacy2, "hidden");
    rig_quarantine(&rig, rig_legacy);
    assert_int_equal(rig_assign(&rig, rig_legacy, berth_machine_hwdom(rig.machine)), 0);
    assert_int_not_equal(rig_assign(&rig, rig_legacy, vm.domain), 0);
    down();
}

static void no_quarantine(struct berth_machine_config *config)
{
    config->policy.quarantine = BERTH_QUARANTINE_OFF;
}

static void no_quarantine_nor_groups(struct berth_machine_config *config)
{
    no_quarantine(config);
    config->policy.shared_groups = true;
}

/* O3: the hardware domain gets nothing back while a guest keeps what is not apart from it. */
static void test_O3_even_without_quarantine_the_last_one_decides(void **state)
{
    static rig_configure *const policies[] = {no_quarantine, no_quarantine_nor_groups};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&rig);
        rig_standard(&rig);
        up(policies[i]);
        if (i) /* groups may be torn apart, requester ids not: one after the other */
            rig_quarantine(&rig, rig_legacy2);
        assert_int_equal(lend(rig_legacy), 0);
        if (i)
            assert_int_equal(lend(rig_legacy2), 0);
        assert_int_equal(berth_domain_device_count(vm.domain), 2);
        assert_int_equal(rig_deassign(&rig, rig_legacy, vm.domain), 0);
        rig_expect_owner(&rig, rig_legacy, "quarantine");
        assert_int_equal(rig_deassign(&rig, rig_legacy2, vm.domain), 0);
        rig_expect_owner(&rig, rig_legacy2, "hwdom");
        down();
    }
}

/* ---- notes ---- */

static void require_reset(struct berth_machine_config *config)
{
    config->policy.require_reset = true;
}

static void test_K10_what_cannot_be_reset_is_noted(void **state)
{
    static rig_configure *const policies[] = {NULL, require_reset};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        rig_begin(&rig);
        mb_no_flr(mb_rc_endpoint(&rig.builder, integrated));
        up(policies[i]);
        assert_int_equal(explain(integrated, vm.domain), 0);
        assert_int_equal(e.possible, !policies[i]); /* a note, or a reason */
        assert_int_equal(noted(BERTH_REASON_NO_RESET), !policies[i]);
        assert_int_equal(e.reason_count, i);
        down();
    }
}

/* X30: MSI is as good as MSI-X where the line is somebody else's; without both it is a refusal. */
static void test_X30_who_has_msi_alone_loses_the_line(void **state)
{
    static const struct sbdf neighbour = {0, 0, 0x48}, line_only = {0, 0, 0x50};

    (void)state;
    rig_begin(&rig);
    mb_put(mb_pci_endpoint(&rig.builder, integrated), LINE, 2, INTA_11);
    mb_put(mb_bare(&rig.builder, neighbour), LINE, 2, INTA_11);
    mb_put(mb_bare(&rig.builder, line_only), LINE, 2, INTA_11);
    up(NULL);
    assert_int_equal(explain(integrated, vm.domain), 0);
    assert_true(noted(BERTH_REASON_NO_INTX));
    assert_int_equal(explain(line_only, vm.domain), 0);
    assert_false(noted(BERTH_REASON_NO_INTX));
    assert_false(e.possible);
    assert_int_equal(e.reasons[0].reason, BERTH_REASON_SHARED_LINE);
    down();
}

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
}

/* M24: what firmware itself calls needless opens no hole. */
static void test_M24_relaxed_regions_are_not_noted(void **state)
{
    static const struct berth_reserved list[] = {
        {.start = 0x100000, .length = 0x1000, .writable = 1, .relaxed = 1},
        {.start = 0x200000, .length = 0x1000, .writable = 1, .relaxed = 0},
    };

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    up(relaxed);
    rig_reserve(&rig, rig_nvme, list, 1);
    assert_int_equal(explain(rig_nvme, vm.domain), 0);
    assert_true(e.possible);
    assert_false(noted(BERTH_REASON_RESERVED_STRICT));
    rig_reserve(&rig, rig_nvme, list, 2);
    assert_int_equal(explain(rig_nvme, NULL), 0);
    assert_true(noted(BERTH_REASON_RESERVED_STRICT));
    assert_int_equal(e.note_count, 1);
    down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M23_members_beyond_the_list_are_counted),
        cmocka_unit_test(test_M23_a_group_has_at_most_256_members),
        cmocka_unit_test(test_O4_a_bridge_may_be_shared_with_the_hypervisor),
        cmocka_unit_test(test_O3_even_without_quarantine_the_last_one_decides),
        cmocka_unit_test(test_K10_what_cannot_be_reset_is_noted),
        cmocka_unit_test(test_X30_who_has_msi_alone_loses_the_line),
        cmocka_unit_test(test_M24_relaxed_regions_are_not_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
