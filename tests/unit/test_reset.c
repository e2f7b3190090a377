/* SPDX-License-Identifier: MIT */
/* Resets: methods, their order, their scope, what comes back (M09, K10, O2, R7). */
#include "tests/unit/guests.h"

#include <linux/pci_regs.h>

static const struct sbdf one_at = {0, 1, 0}, two_at = {0, 1, 0x08}, three_at = {0, 1, 0x10},
                         alone_at = {0, 0, 0xf0};

static bool hung; /* one that does not come back is told to be quiet even so */

static void require_reset(struct berth_machine_config *config)
{
    config->policy.require_reset = true;
}

/* Three functions behind one port; only the bus can reset them. */
static void bus_machine(rig_configure *configure)
{
    rig_begin(&rig);
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    mb_no_flr(mb_endpoint(&rig.builder, one_at));
    mb_no_flr(mb_endpoint(&rig.builder, two_at));
    mb_no_flr(mb_endpoint(&rig.builder, three_at));
    mb_no_flr(mb_rc_endpoint(&rig.builder, alone_at)); /* not even by a bus */
    guests_up(configure, 2);
}

static int setup_bus(void **state)
{
    (void)state;
    bus_machine(NULL);
    return 0;
}

static int setup_bus_required(void **state)
{
    (void)state;
    bus_machine(require_reset);
    return 0;
}

static int teardown(void **state)
{
    struct sim_counters counters;

    (void)state;
    sim_counters(rig.sim, &counters);
    assert_true(hung || !counters.touches_resetting);
    hung = false;
    return guests_teardown(state);
}

/* The methods that were tried since event @from, in order. */
static void expect_tried(int from, const char *first, const char *second)
{
    int i = rig_find_event(&rig, from, BERTH_EVENT_DO, first);

    assert_true(i >= 0);
    if (second)
        assert_true(rig_find_event(&rig, i, BERTH_EVENT_DO, second) > i);
}

/* ---- methods ---- */

static void test_M09_methods_in_their_order(void **state)
{
    static const enum pcidev_reset_method expected[] = {PCIDEV_RESET_HOST, PCIDEV_RESET_FLR,
                                                        PCIDEV_RESET_PM, PCIDEV_RESET_BUS};
    struct pcidev_info info;

    (void)state;
    rig_begin(&rig);
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    mb_pm_reset(mb_endpoint(&rig.builder, one_at));
    mb_pci_endpoint(&rig.builder, at(0, 2, 0));
    mb_af(mb_pci_endpoint(&rig.builder, at(0, 3, 0)));
    rig_up_empty(&rig, NULL);
    assert_int_equal(sim_set_host_reset(rig.sim, one_at, true, 1000), 0);
    assert_int_equal(rig_add(&rig, at(0, 1, 0)), 0);
    assert_int_equal(rig_add(&rig, one_at), 0);
    assert_int_equal(rig_add(&rig, at(0, 2, 0)), 0);
    assert_int_equal(rig_add(&rig, at(0, 3, 0)), 0);
    info = rig_info(&rig, one_at);
    assert_int_equal(info.method_count, 4);
    assert_memory_equal(info.methods, expected, sizeof(expected));
    assert_int_equal(rig_info(&rig, at(0, 2, 0)).method_count, 0);
    info = rig_info(&rig, at(0, 3, 0));
    assert_true(info.method_count == 1 && info.methods[0] == PCIDEV_RESET_AF);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).method_count, 0); /* a bridge */

    assert_int_equal(rig_reset(&rig, one_at), 0);
    expect_tried(0, "host", NULL);
    assert_int_equal(rig_find_event(&rig, 0, BERTH_EVENT_DO, "flr"), -1);
    assert_int_equal(rig_reset(&rig, at(0, 3, 0)), 0);
    expect_tried(0, "af-flr", NULL);
    rig_expect_refused(&rig, rig_reset(&rig, at(0, 2, 0)), -ENOTTY, BERTH_REASON_NO_RESET);
    rig_expect_refused(&rig, rig_reset(&rig, at(0, 1, 0)), -ENOTTY, BERTH_REASON_NO_RESET);
    rig_down(&rig);
}

static void test_M09_the_next_method_where_one_is_none(void **state)
{
    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_set_host_reset(rig.sim, rig_nvme, true, 1000), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    sim_fail(rig.sim, SIM_OP_RESET, 1, 0, -ENOTTY);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    expect_tried(0, "host", "flr");
    sim_fail(rig.sim, SIM_OP_RESET, 1, 0, -EIO);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_false(rig_info(&rig, rig_nvme).broken);
}

static void test_M09_registers_come_back_and_mastering_with_them(void **state)
{
    const uint32_t generation = rig_info(&rig, rig_nvme).generation;
    uint32_t command = rig_peek(&rig, rig_nvme, PCI_COMMAND, 2), bar;
    unsigned msix = mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_MSIX);

    (void)state;
    bar = rig_peek(&rig, rig_nvme, PCI_BASE_ADDRESS_0, 4);
    rig_poke(&rig, rig_nvme, PCI_INTERRUPT_LINE, 1, 0x2a);
    rig_poke(&rig, rig_nvme, msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(command & 6, 6);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, PCI_COMMAND, 2), command);
    assert_int_equal(rig_peek(&rig, rig_nvme, PCI_BASE_ADDRESS_0, 4), bar);
    assert_int_equal(rig_peek(&rig, rig_nvme, PCI_INTERRUPT_LINE, 1), 0x2a);
    assert_int_equal(rig_peek(&rig, rig_nvme, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE,
                     PCI_MSIX_FLAGS_ENABLE);
    assert_int_not_equal(rig_info(&rig, rig_nvme).generation, generation); /* V6 */
}

static void test_O2_a_new_owner_gets_a_quiet_device(void **state)
{
    unsigned msix = mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_MSIX);

    (void)state;
    rig_poke(&rig, rig_nvme, msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    expect_tried(0, "flr", NULL);
    assert_int_equal(rig_peek(&rig, rig_nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE, 0);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_SILENT);
}

static void test_M09_what_does_not_come_back_is_broken(void **state)
{
    struct pcidev_info info;

    (void)state;
    hung = true;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(sim_hang_on_reset(rig.sim, rig_nvme, true), 0);
    rig_expect_refused(&rig, rig_reset(&rig, rig_nvme), -EIO, BERTH_REASON_RESET_FAILED);
    info = rig_info(&rig, rig_nvme);
    assert_true(info.broken);
    assert_int_equal(info.owner_kind, BERTH_DOMAIN_QUARANTINE);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_BROKEN), 1);
    assert_int_equal(rig_reach(vm.domain), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm2.domain), -EBADF, BERTH_REASON_BROKEN);
    /* the way out that the refusal tells: power the slot off and on, then re-add it */
    assert_int_equal(sim_hang_on_reset(rig.sim, rig_nvme, false), 0);
    assert_int_equal(sim_vanish(rig.sim, rig_nvme), 0);
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0);
    assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0);
    assert_false(rig_info(&rig, rig_nvme).broken);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm2.domain), 0);
}

static void test_A4_a_vanished_device_is_not_reset(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    rig_pull(&rig, rig_nvme);
    rig_expect_refused(&rig, rig_reset(&rig, rig_nvme), -ENODEV, BERTH_REASON_DISCONNECTED);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
}

/* ---- the scope of a bus reset ---- */

static void test_M09_a_bus_reset_takes_neighbours_of_the_same_owner_along(void **state)
{
    const uint32_t generation = rig_info(&rig, two_at).generation;
    const uint32_t bar = rig_peek(&rig, two_at, PCI_BASE_ADDRESS_0, 4);

    (void)state;
    assert_int_equal(rig_reset(&rig, one_at), 0);
    expect_tried(0, "bus", NULL);
    assert_int_equal(rig_peek(&rig, two_at, PCI_COMMAND, 2), 6); /* restored as well */
    assert_int_equal(rig_peek(&rig, two_at, PCI_BASE_ADDRESS_0, 4), bar);
    assert_int_not_equal(rig_info(&rig, two_at).generation, generation);
}

static void test_M09_a_bus_reset_spares_the_neighbours_of_others(void **state)
{
    struct rig_state before;
    int event;

    (void)state;
    assert_int_equal(rig_assign(&rig, two_at, vm.domain), 0); /* without a reset: hwdom is there */
    assert_int_equal(rig_find_event(&rig, 0, BERTH_EVENT_MISUSE, NULL), -1);
    rig_poke(&rig, two_at, PCI_INTERRUPT_LINE, 1, 0x77);
    before = rig_remember(&rig, one_at);
    rig_expect_refused(&rig, rig_reset(&rig, one_at), -EBUSY, BERTH_REASON_RESET_SCOPE);
    assert_true(rig.why.has_other && sbdf_equal(rig.why.other, two_at));
    assert_string_equal(rig.why.domain, "vm1");
    rig_expect_as_before(&rig, &before);
    /* an assign of the neighbour leaves it alone too, and goes on without a reset */
    event = (int)rig.event_count;
    assert_int_equal(rig_assign(&rig, one_at, vm2.domain), 0);
    assert_true(rig_find_event(&rig, event, BERTH_EVENT_DO, "bus") >= 0);
    assert_int_equal(rig_peek(&rig, two_at, PCI_INTERRUPT_LINE, 1), 0x77);
}

static void test_M09_a_bus_reset_hits_those_that_nobody_uses(void **state)
{
    (void)state;
    rig_quarantine(&rig, two_at);
    rig_quarantine(&rig, three_at);
    rig_poke(&rig, two_at, PCI_COMMAND, 2, 6);
    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
    expect_tried(0, "bus", NULL);
    assert_int_equal(rig_info(&rig, two_at).state, PCIDEV_PRESENT);
    assert_int_equal(rig_peek(&rig, two_at, PCI_COMMAND, 2) & 2, 2);
}

/* C6, R2: whoever loses a device, by whatever way, hears of it and lets go of it. */
static void test_O1_a_neighbour_that_does_not_come_back(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, two_at, vm.domain), 0);
    rig_quarantine(&rig, three_at);
    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
    sim_hang_on_reset(rig.sim, two_at, true);
    hung = true;
    vm.withdrawn = vm.restored = 0;
    assert_int_equal(rig_reset(&rig, one_at), 0);
    rig_expect_owner(&rig, one_at, "vm1");
    rig_expect_owner(&rig, two_at, "quarantine");
    assert_true(rig_info(&rig, two_at).broken);
    assert_int_equal(vm.withdrawn, 3); /* both of them; and again the one that stays away */
    assert_int_equal(vm.restored, 1);
    assert_int_equal(vm.crashed, 0);
}

static void test_O1_a_neighbour_that_its_guest_does_not_let_go_of(void **state)
{
    struct rig_state before;

    (void)state;
    assert_int_equal(rig_assign(&rig, two_at, vm.domain), 0);
    rig_quarantine(&rig, three_at);
    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
    before = rig_remember(&rig, two_at);
    vm.withdraw_error = -EBUSY;
    assert_int_not_equal(rig_reset(&rig, one_at), 0);
    vm.withdraw_error = 0;
    rig_expect_owner(&rig, one_at, "vm1");
    rig_expect_as_before(&rig, &before);
    vm.withdrawn = vm.restored = 0;
    assert_int_equal(rig_reset(&rig, one_at), 0);
    assert_int_equal(vm.withdrawn, 2);
    assert_int_equal(vm.restored, 2);
}

static void test_M09_somebody_inside_a_neighbour_is_waited_for(void **state)
{
    struct pcidev *neighbour = rig_dev(&rig, two_at);
    struct rig_state before = rig_remember(&rig, one_at);
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(neighbour, "busy", &section));
    assert_int_equal(rig_reset(&rig, one_at), -EDEADLK); /* that is us */
    pcidev_exit(&section);
    rig_put(neighbour);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_reset(&rig, one_at), 0);
}

static void test_K10_what_cannot_be_reset_is_not_lent_where_the_policy_says_so(void **state)
{
    struct berth_domain *quarantine = berth_machine_quarantine(rig.machine);

    (void)state;
    rig_expect_refused(&rig, rig_assign(&rig, one_at, vm.domain), -EBUSY, BERTH_REASON_RESET_SCOPE);
    rig_expect_owner(&rig, one_at, "hwdom");
    rig_expect_refused(&rig, rig_assign(&rig, alone_at, vm.domain), -ENOTTY, BERTH_REASON_NO_RESET);
    rig_expect_owner(&rig, alone_at, "hwdom");
    assert_int_equal(rig_assign(&rig, alone_at, quarantine), 0); /* it is about lending */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, teardown)
#define TEST_BUS(name) cmocka_unit_test_setup_teardown(name, setup_bus, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M09_methods_in_their_order),
        TEST(test_M09_the_next_method_where_one_is_none),
        TEST(test_M09_registers_come_back_and_mastering_with_them),
        TEST(test_O2_a_new_owner_gets_a_quiet_device),
        TEST(test_M09_what_does_not_come_back_is_broken),
        TEST(test_A4_a_vanished_device_is_not_reset),
        TEST_BUS(test_M09_a_bus_reset_takes_neighbours_of_the_same_owner_along),
        TEST_BUS(test_M09_a_bus_reset_spares_the_neighbours_of_others),
        TEST_BUS(test_M09_a_bus_reset_hits_those_that_nobody_uses),
        TEST_BUS(test_O1_a_neighbour_that_does_not_come_back),
        TEST_BUS(test_O1_a_neighbour_that_its_guest_does_not_let_go_of),
        TEST_BUS(test_M09_somebody_inside_a_neighbour_is_waited_for),
        cmocka_unit_test_setup_teardown(
            test_K10_what_cannot_be_reset_is_not_lent_where_the_policy_says_so, setup_bus_required,
            teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
