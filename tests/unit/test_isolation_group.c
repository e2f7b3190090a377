/* SPDX-License-Identifier: MIT */
/* Lending what cannot be kept apart in one transaction: all of it or nothing (M23, O1, R7). */
#include "tests/unit/guests.h"

#include <berth/isolation.h>

#define PAGE 0x1000u
#define BAR0 0x10
#define BEHIND 20u /* more than a thread has slots for sections */

/* A card of two functions that know no reset but that of their bus. */
static const struct sbdf card = {0, 7, 0}, card2 = {0, 7, 1};

static void plain(struct capture_function *f)
{
    mb_no_flr(f);
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_root_port(&rig.builder, at(0, 6, 0), 7, 7);
    plain(mb_endpoint(&rig.builder, card));
    plain(mb_endpoint(&rig.builder, card2));
    mb_root_port(&rig.builder, at(0, 7, 0), 8, 9);
    mb_pcie_pci_bridge(&rig.builder, at(8, 0, 0), 9, 9);
    for (unsigned i = 0; i < BEHIND; i++)
        mb_pci_endpoint(&rig.builder, at(9, i, 0));
    guests_up(NULL, 2);
    return 0;
}

static int lend(struct sbdf sbdf, struct berth_domain *to)
{
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, sbdf);
    int error = pcidev_assign_group(dev, to, &request);

    rig_put(dev);
    return error;
}

static void both_belong_to(struct sbdf a, struct sbdf b, const char *name)
{
    rig_expect_owner(&rig, a, name);
    rig_expect_owner(&rig, b, name);
}

/* ---- it works ---- */

static void test_M23_a_group_moves_with_its_one_context(void **state)
{
    struct sim_dma dma;

    (void)state;
    rig_expect_refused(&rig, rig_assign(&rig, rig_legacy, vm.domain), -EBUSY,
                       BERTH_REASON_SHARED_GROUP);
    assert_int_equal(lend(rig_legacy2, vm.domain), 0);
    both_belong_to(rig_legacy, rig_legacy2, "vm1");
    rig_poke(&rig, rig_legacy, 4, 2, 6);
    dma = rig_dma(&rig, rig_pci_bridge, PAGE);
    assert_int_equal(dma.result, SIM_DMA_DOMAIN);
    assert_int_equal(dma.domain_id, berth_domain_id(vm.domain));
    assert_int_equal(rig_deassign(&rig, rig_legacy, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_legacy2, vm.domain), 0);
    assert_int_equal(lend(rig_legacy, vm2.domain), 0); /* out of the quarantine, too */
    both_belong_to(rig_legacy, rig_legacy2, "vm2");
    rig.gaps_expected = 1; /* two devices there have no scratch space together: it was blocked */
}

static void test_M23_a_device_that_is_alone_is_a_group(void **state)
{
    uint32_t generation;

    (void)state;
    assert_int_equal(lend(rig_nvme, vm.domain), 0);
    rig_expect_owner(&rig, rig_nvme, "vm1");
    generation = rig_info(&rig, rig_nvme).generation;
    assert_int_equal(lend(rig_nvme, vm.domain), 0); /* there is nothing left to do */
    assert_int_equal(rig_info(&rig, rig_nvme).generation, generation);
}

static void test_M23_what_the_guest_has_already_stays(void **state)
{
    uint32_t generation;

    (void)state;
    rig_quarantine(&rig, rig_legacy2);
    assert_int_equal(rig_assign(&rig, rig_legacy, vm.domain), 0);
    generation = rig_info(&rig, rig_legacy).generation;
    assert_int_equal(lend(rig_legacy2, vm.domain), 0);
    both_belong_to(rig_legacy, rig_legacy2, "vm1");
    assert_int_equal(rig_info(&rig, rig_legacy).generation, generation);
}

static void test_M23_one_bus_reset_serves_all_of_them(void **state)
{
    struct pcidev_info info = rig_info(&rig, card);
    uint32_t bar = rig_peek(&rig, card, BAR0, 4), bar2 = rig_peek(&rig, card2, BAR0, 4);

    (void)state;
    assert_int_equal(info.method_count, 1);
    assert_int_equal(info.methods[0], PCIDEV_RESET_BUS);
    rig_poke(&rig, card, 0x40 + 0x08, 2, 0); /* whatever: it must not matter */
    atomic_store(&rig.event_count, 0);
    assert_int_equal(lend(card, vm.domain), 0);
    both_belong_to(card, card2, "vm1");
    assert_int_equal(rig_peek(&rig, card, BAR0, 4), bar);
    assert_int_equal(rig_peek(&rig, card2, BAR0, 4), bar2);
    assert_int_equal(rig_peek(&rig, card, 4, 2) & 4, 0); /* nor did their bus mastering come on */
    assert_int_equal(rig_peek(&rig, card2, 4, 2) & 4, 0);
}

static void require_reset(struct berth_machine_config *config)
{
    config->policy.require_reset = true;
}

static void test_K10_a_reset_that_is_required_takes_place(void **state)
{
    (void)state;
    rig_begin(&rig);
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    mb_root_port(&rig.builder, at(0, 6, 0), 7, 7);
    plain(mb_endpoint(&rig.builder, card));
    plain(mb_endpoint(&rig.builder, card2));
    guests_up(require_reset, 2);
    assert_int_equal(lend(card2, vm.domain), 0);
    both_belong_to(card, card2, "vm1");
    guests_teardown_tight(state);
}

static void test_M23_a_group_may_be_larger_than_a_thread_has_slots(void **state)
{
    (void)state;
    assert_true(BEHIND > PCIDEV_SECTIONS_MAX);
    assert_int_equal(lend(at(9, 5, 0), vm.domain), 0);
    assert_int_equal(berth_domain_device_count(vm.domain), BEHIND);
    for (unsigned i = 0; i < BEHIND; i++)
        rig_expect_owner(&rig, at(9, i, 0), "vm1");
}

/* INTx alone, on one line: that joins two groups. */
static void test_M23_groups_that_share_a_line_go_together(void **state)
{
    static const struct sbdf one = {0, 0, 0x40}, two = {0, 0, 0x48};
    struct capture_function *f;

    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < 2; i++) {
        f = mb_pci_endpoint(&rig.builder, i ? two : one);
        mb_put(f, 0x34, 1, 0); /* no capabilities */
        mb_put(f, 0x3c, 2, 0x010b);
    }
    guests_up(NULL, 2);
    assert_int_not_equal(rig_info(&rig, one).group, rig_info(&rig, two).group);
    rig_expect_refused(&rig, rig_assign(&rig, one, vm.domain), -EBUSY, BERTH_REASON_SHARED_LINE);
    assert_int_equal(lend(two, vm.domain), 0);
    both_belong_to(one, two, "vm1");
    guests_teardown_tight(state);
}

static void test_M46_the_guest_address_is_that_of_the_device_asked_for(void **state)
{
    const struct sbdf place = {0, 0, 0x50};
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_legacy2);
    struct pcidev_info info;

    (void)state;
    request.guest_address = &place;
    assert_int_equal(pcidev_assign_group(dev, vm.domain, &request), 0);
    rig_put(dev);
    info = rig_info(&rig, rig_legacy2);
    assert_true(info.has_guest_address);
    assert_true(sbdf_equal(info.guest_address, place));
    info = rig_info(&rig, rig_legacy);
    assert_true(info.has_guest_address);
    assert_false(sbdf_equal(info.guest_address, place));
}

/* ---- it is refused, and nothing has changed ---- */

static void test_M23_a_member_of_another_guest_is_in_the_way(void **state)
{
    struct rig_state before;

    (void)state;
    rig_quarantine(&rig, rig_legacy2);
    assert_int_equal(rig_assign(&rig, rig_legacy, vm2.domain), 0);
    before = rig_remember(&rig, rig_legacy2);
    rig_expect_refused(&rig, lend(rig_legacy2, vm.domain), -EBUSY, BERTH_REASON_OWNED);
    assert_true(sbdf_equal(rig.why.device, rig_legacy)); /* the one that is meant */
    assert_string_equal(rig.why.domain, "vm2");
    rig_expect_as_before(&rig, &before);
}

static void test_M23_the_ways_of_a_group_are_those_of_one_device(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_legacy);

    (void)state;
    rig_expect_refused(&rig, lend(rig_legacy, hwdom), -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    rig_expect_refused(&rig, lend(rig_legacy, NULL), -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    rig_expect_refused(&rig, lend(rig_port, vm.domain), -EINVAL, BERTH_REASON_BRIDGE);
    request.caller = vm.domain;
    rig_expect_refused(&rig, pcidev_assign_group(dev, vm.domain, &request), -EINVAL,
                       BERTH_REASON_SELF_ASSIGN);
    request.caller = vm2.domain;
    rig_expect_refused(&rig, pcidev_assign_group(dev, vm.domain, &request), -EPERM,
                       BERTH_REASON_NOT_PERMITTED);
    assert_int_equal(rig_remove(&rig, rig_legacy, PCIDEV_REMOVE_DEFAULT), 0);
    request = rig_request(&rig);
    rig_expect_refused(&rig, pcidev_assign_group(dev, vm.domain, &request), -ENODEV,
                       BERTH_REASON_REMOVED);
    rig_put(dev);
}

static void test_R5_a_member_that_is_in_use_is_named(void **state)
{
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_legacy), *other = rig_dev(&rig, rig_legacy2);
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(other, "somebody", &section));
    request.timeout_ns = 1000000;
    rig_expect_refused(&rig, pcidev_assign_group(dev, vm.domain, &request), -EDEADLK,
                       BERTH_REASON_OWN_SECTION);
    assert_true(sbdf_equal(rig.why.device, rig_legacy2));
    pcidev_exit(&section);
    both_belong_to(rig_legacy, rig_legacy2, "hwdom");
    assert_int_equal(lend(rig_legacy, vm.domain), 0);
    rig_put(dev);
    rig_put(other);
}

static void test_M09_a_member_that_does_not_come_back_is_broken_alone(void **state)
{
    (void)state;
    assert_int_equal(sim_hang_on_reset(rig.sim, card2, true), 0);
    assert_true(lend(card, vm.domain) < 0);
    rig_expect_owner(&rig, card, "hwdom");
    assert_true(rig_info(&rig, card2).broken);
    assert_false(rig_info(&rig, card).broken);
    assert_false(berth_domain_crashed(vm.domain));
}

/* ---- P2: each operation fails once, wherever that is ---- */

static bool in_order(struct sbdf sbdf, const char **owner)
{
    static char names[2][BERTH_NAME_SIZE];
    static unsigned which;
    struct pcidev_info info = rig_info(&rig, sbdf);

    which ^= 1;
    for (unsigned i = 0; i < BERTH_NAME_SIZE; i++)
        names[which][i] = info.owner[i];
    *owner = names[which];
    return !info.broken && !info.in_transition;
}

static void sweep(struct sbdf a, struct sbdf b, unsigned failures)
{
    const char *owner_a, *owner_b;
    struct rig_state before_a, before_b;
    int error = -EIO;

    for (unsigned nth = 1; error; nth++) {
        bool fine_a, fine_b;

        assert_true(nth < 2000);
        before_a = rig_remember(&rig, a);
        before_b = rig_remember(&rig, b);
        sim_fail(rig.sim, SIM_OP_ANY, nth, failures, 0);
        error = lend(a, vm.domain);
        sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
        fine_a = in_order(a, &owner_a);
        fine_b = in_order(b, &owner_b);
        assert_string_equal(owner_a, fine_a ? (error ? "hwdom" : "vm1") : "quarantine");
        assert_string_equal(owner_b, fine_b ? (error ? "hwdom" : "vm1") : "quarantine");
        if (!fine_a || !fine_b) {
            assert_int_not_equal(failures, 0); /* one failure alone breaks nothing */
            assert_int_not_equal(error, 0);
            return;
        }
        if (!error)
            break;
        rig_expect_as_before(&rig, &before_a);
        rig_expect_as_before(&rig, &before_b);
        rig_poke(&rig, a, 4, 2, 6);
        assert_int_equal(rig_dma(&rig, a, PAGE).domain_id, 0); /* the hardware domain's again */
    }
    assert_int_equal(rig_deassign(&rig, a, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, b, vm.domain), 0);
    assert_false(berth_domain_crashed(vm.domain));
}

static void test_P2_behind_a_bridge_all_or_nothing(void **state)
{
    (void)state;
    sweep(rig_legacy, rig_legacy2, 0);
}

static void test_P2_a_card_all_or_nothing(void **state)
{
    (void)state;
    sweep(card, card2, 0);
}

static void test_R7_a_way_back_that_fails_breaks_what_it_concerns(void **state)
{
    struct sim_counters counters;
    struct sim_dma dma;

    (void)state;
    sim_fail(rig.sim, SIM_OP_ATTACH, 2, 5, 0);
    rig_expect_refused(&rig, lend(rig_legacy, vm.domain), -EIO, BERTH_REASON_ROLLBACK);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_true(rig_info(&rig, rig_legacy).broken || rig_info(&rig, rig_legacy2).broken);
    dma = rig_dma(&rig, rig_pci_bridge, PAGE);
    assert_true(dma.result != SIM_DMA_DOMAIN || dma.domain_id == 0); /* never the guest's */
    dma = rig_dma(&rig, rig_legacy, PAGE);
    assert_true(dma.result != SIM_DMA_DOMAIN || dma.domain_id == 0);
    /* the context that was blocked is flushed when it is used again (O5) */
    for (unsigned i = 0; i < 2; i++)
        if (rig_info(&rig, i ? rig_legacy2 : rig_legacy).broken)
            assert_int_equal(
                rig_assign(&rig, i ? rig_legacy2 : rig_legacy, berth_machine_hwdom(rig.machine)),
                0);
    sim_counters(rig.sim, &counters);
    rig.gaps_expected = (unsigned)counters.attach_gaps;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown_tight)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M23_a_group_moves_with_its_one_context),
        TEST(test_M23_a_device_that_is_alone_is_a_group),
        TEST(test_M23_what_the_guest_has_already_stays),
        TEST(test_M23_one_bus_reset_serves_all_of_them),
        cmocka_unit_test(test_K10_a_reset_that_is_required_takes_place),
        TEST(test_M23_a_group_may_be_larger_than_a_thread_has_slots),
        cmocka_unit_test(test_M23_groups_that_share_a_line_go_together),
        TEST(test_M46_the_guest_address_is_that_of_the_device_asked_for),
        TEST(test_M23_a_member_of_another_guest_is_in_the_way),
        TEST(test_M23_the_ways_of_a_group_are_those_of_one_device),
        TEST(test_R5_a_member_that_is_in_use_is_named),
        TEST(test_M09_a_member_that_does_not_come_back_is_broken_alone),
        TEST(test_P2_behind_a_bridge_all_or_nothing),
        TEST(test_P2_a_card_all_or_nothing),
        TEST(test_R7_a_way_back_that_fails_breaks_what_it_concerns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
