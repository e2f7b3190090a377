/* SPDX-License-Identifier: MIT */
/* Why a device can or cannot be lent: all the reasons, and who has to come along (M23). */
#include "tests/unit/guests.h"

#include <string.h>

#include <berth/isolation.h>

static struct pcidev_explanation e;

static void explain(struct sbdf sbdf, struct berth_domain *to, const struct berth_request *request)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);

    assert_int_equal(pcidev_explain(dev, to, request, &e), 0);
    rig_put(dev);
}

/* What explain says and what assign does are one: the first reason is the refusal. */
static void same_as_assign(struct sbdf sbdf, struct berth_domain *to)
{
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, sbdf);
    int error = pcidev_test_assign(dev, to, &request);

    assert_int_equal(e.possible, error == 0);
    assert_int_equal(e.reason_count == 0, error == 0);
    if (error) {
        assert_int_equal(e.reasons[0].reason, rig.why.reason);
        assert_int_equal(e.reasons[0].error, error);
    }
    rig_put(dev);
}

static void expect(struct sbdf sbdf, struct berth_domain *to, unsigned count,
                   const enum berth_reason *reasons)
{
    explain(sbdf, to, NULL);
    assert_int_equal(e.reason_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(e.reasons[i].reason, reasons[i]);
        assert_true(e.reasons[i].error < 0);
        assert_true(sbdf_equal(e.reasons[i].device, sbdf));
    }
    same_as_assign(sbdf, to);
}

#define EXPECT(sbdf, to, ...)                                   \
    do {                                                        \
        const enum berth_reason list[] = {__VA_ARGS__};         \
        expect(sbdf, to, sizeof(list) / sizeof(list[0]), list); \
    } while (0)

static void test_M23_what_can_be_lent(void **state)
{
    (void)state;
    explain(rig_nvme, vm.domain, NULL);
    assert_true(e.possible);
    assert_true(e.group_possible);
    assert_int_equal(e.reason_count, 0);
    assert_int_equal(e.member_count, 1);
    assert_true(sbdf_equal(e.members[0].sbdf, rig_nvme));
    assert_string_equal(e.members[0].owner, "hwdom");
    explain(rig_nvme, NULL, NULL); /* any guest */
    assert_true(e.possible);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
}

static void test_M23_all_reasons_are_told(void **state)
{
    (void)state;
    EXPECT(rig_legacy, vm.domain, BERTH_REASON_SHARED_GROUP, BERTH_REASON_SHARED_PATH,
           BERTH_REASON_SHARED_RID);
    assert_false(e.possible);
    assert_true(e.group_possible);
    assert_int_equal(e.member_count, 2);
    rig_pull(&rig, rig_legacy2);
    rig_pull(&rig, rig_legacy);
    EXPECT(rig_legacy, vm.domain, BERTH_REASON_DISCONNECTED, BERTH_REASON_SHARED_GROUP,
           BERTH_REASON_SHARED_PATH, BERTH_REASON_SHARED_RID);
    assert_false(e.group_possible);
    EXPECT(rig_port, NULL, BERTH_REASON_BRIDGE);
    assert_int_equal(e.member_count, 1);
}

static void test_M23_owners_are_told(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    EXPECT(rig_nvme, vm2.domain, BERTH_REASON_OWNED);
    assert_string_equal(e.reasons[0].domain, "vm1");
    EXPECT(rig_nvme, vm.domain, BERTH_REASON_ALREADY);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    expect(rig_nvme, vm2.domain, 0, NULL);
}

static void test_M23_a_group_that_somebody_else_has_a_part_of(void **state)
{
    (void)state;
    rig_quarantine(&rig, rig_legacy2);
    assert_int_equal(rig_assign(&rig, rig_legacy, vm2.domain), 0);
    EXPECT(rig_legacy2, vm.domain, BERTH_REASON_SHARED_GROUP, BERTH_REASON_SHARED_PATH,
           BERTH_REASON_SHARED_RID);
    assert_false(e.group_possible);
    expect(rig_legacy2, vm2.domain, 0, NULL); /* where its neighbour is */
    assert_true(e.group_possible);
    assert_int_equal(e.member_count, 2);
}

static void test_M20_who_asks_matters(void **state)
{
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    struct berth_request request = {.caller = vm2.domain, .why = &why};

    (void)state;
    explain(rig_nvme, vm.domain, &request);
    assert_false(e.possible);
    assert_int_equal(e.reasons[0].reason, BERTH_REASON_NOT_PERMITTED);
    assert_int_equal(why.reason, BERTH_REASON_NONE); /* it is all in the explanation */
}

static void test_R1_a_device_that_is_gone(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(pcidev_explain(dev, vm.domain, NULL, &e), 0);
    assert_false(e.possible);
    assert_int_equal(e.reason_count, 1);
    assert_int_equal(e.reasons[0].reason, BERTH_REASON_REMOVED);
    assert_int_equal(e.member_count, 0);
    rig_put(dev);
}

static void test_M23_a_dying_guest_and_vfs(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 2);
    EXPECT(rig_pf, vm.domain, BERTH_REASON_HAS_VFS);
    assert_int_equal(e.reasons[0].number, 2);
    assert_int_equal(berth_domain_destroy(vm2.domain, NULL), 0);
    EXPECT(rig_nvme, vm2.domain, BERTH_REASON_TEARDOWN);
}

static struct berth_irq_ops unchecked;

static void lax(struct berth_machine_config *config)
{
    config->irqs = &unchecked;
    config->policy.unsafe_interrupts = true;
    config->policy.reserved_relaxed = true;
}

static bool noted(enum berth_reason reason)
{
    for (unsigned i = 0; i < e.note_count && i < PCIDEV_NOTES_MAX; i++)
        if (e.notes[i].reason == reason)
            return true;
    return false;
}

static void test_M23_what_the_policy_tolerates_is_noted(void **state)
{
    static const struct berth_reserved region = {0x100000, 0x1000, 1, 0};

    (void)state;
    guests_start(lax, 2);
    rig_reserve(&rig, rig_nvme, &region, 1);
    explain(rig_nvme, vm.domain, NULL);
    assert_true(e.possible);
    assert_true(noted(BERTH_REASON_NO_REMAPPING));
    assert_true(noted(BERTH_REASON_RESERVED_STRICT));
    assert_false(noted(BERTH_REASON_NO_INTX));
    explain(rig_nvme2, vm.domain, NULL);
    assert_false(noted(BERTH_REASON_RESERVED_STRICT));
    guests_teardown(state);
}

static void test_X30_a_line_that_is_lost_is_noted(void **state)
{
    struct capture_function *f;

    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < 2; i++) {
        f = mb_rc_endpoint(&rig.builder, at(0, 4 + i, 0));
        mb_put(f, 0x3c, 2, 0x010b);
    }
    guests_up(NULL, 2);
    explain(at(0, 4, 0), NULL, NULL);
    assert_true(e.possible);
    assert_true(noted(BERTH_REASON_NO_INTX));
    assert_int_equal(rig_assign(&rig, at(0, 5, 0), vm.domain), 0);
    explain(at(0, 4, 0), vm.domain, NULL);
    assert_false(noted(BERTH_REASON_NO_INTX)); /* both would be its own */
    explain(at(0, 4, 0), vm2.domain, NULL);
    assert_true(noted(BERTH_REASON_NO_INTX));
    assert_string_equal(e.notes[0].domain, "vm1");
    guests_teardown(state);
}

static void test_M23_of_another_machine_nothing_is_said(void **state)
{
    static struct rig other;
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    rig_begin(&other);
    mb_host_bridge(&other.builder, at(0, 0, 0));
    rig_up(&other, NULL);
    assert_int_equal(pcidev_explain(dev, berth_machine_hwdom(other.machine), NULL, &e), -EINVAL);
    rig_down(&other);
    port_posix_warp(true);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M23_what_can_be_lent),
        TEST(test_M23_all_reasons_are_told),
        TEST(test_M23_owners_are_told),
        TEST(test_M23_a_group_that_somebody_else_has_a_part_of),
        TEST(test_M20_who_asks_matters),
        TEST(test_R1_a_device_that_is_gone),
        TEST(test_M23_a_dying_guest_and_vfs),
        cmocka_unit_test(test_M23_what_the_policy_tolerates_is_noted),
        cmocka_unit_test(test_X30_a_line_that_is_lost_is_noted),
        TEST(test_M23_of_another_machine_nothing_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
