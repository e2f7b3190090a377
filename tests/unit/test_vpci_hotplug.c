/* SPDX-License-Identifier: MIT */
/* What a hot-plug port tells its guest (M46). */
#include "tests/unit/ports.h"

#define STATUS_INTERRUPT 0x0008u
#define INTERRUPT_LINE 0x3c
#define BRIDGE_CONTROL 0x3e
#define BUS_RESET 0x0040u
#define LINK_DISABLE 0x0010u
#define LINK_ACTIVE 0x2000u
#define HOT_PLUG_INTERRUPT 0x0020u
#define LINK_CHANGE_ENABLE 0x1000u

static void listen(unsigned index, bool msi)
{
    put(port_at(index), PORT_COMMAND, 2, 0x0006);
    put(port_at(index), PORT_MSI_ADDRESS, 8, 0x12fee00400);
    put(port_at(index), PORT_MSI_DATA, 2, 0x4021);
    put(port_at(index), PORT_MSI_CONTROL, 2, msi);
    put(port_at(index), PORT_SLOT_STATUS, 2, SLOT_EVENTS);
    put(port_at(index), PORT_SLOT_CONTROL, 2,
        HOT_PLUG_INTERRUPT | SLOT_PRESENCE | LINK_CHANGE_ENABLE);
}

static void test_M46_a_message_when_it_comes_and_goes(void **state)
{
    (void)state;
    ports_view(2);
    listen(0, true);
    assert_int_equal(ports.messages, 0);
    lend(rig_nvme);
    assert_int_equal(ports.messages, 1);
    assert_true(ports.message.address == 0x12fee00400 && ports.message.data == 0x4021);
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_EVENTS);
    assert_true(get(port_at(0), PORT_LINK_STATUS, 2) & LINK_ACTIVE);

    put(port_at(0), PORT_SLOT_STATUS, 2, SLOT_PRESENCE); /* RW1C; the other event is still there */
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_LINK_CHANGED);
    put(port_at(0), PORT_SLOT_STATUS + 1, 1, SLOT_LINK_CHANGED >> 8);
    assert_int_equal(slot_status(0), SLOT_PRESENT);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme, ports.guest), 0);
    assert_int_equal(ports.messages, 2);
    assert_int_equal(slot_status(0), SLOT_EVENTS);
    assert_false(get(port_at(0), PORT_LINK_STATUS, 2) & LINK_ACTIVE);
    lend(rig_nvme); /* its events are pending already: nobody is told again (PCIe 6.7.3.4) */
    assert_int_equal(ports.messages, 2);
    assert_int_equal(ports.changes, 0);
}

static void test_M46_messages_need_what_they_need(void **state)
{
    (void)state;
    ports_view(1);
    listen(0, true);
    put(port_at(0), PORT_COMMAND, 2, 0x0402);
    lend(rig_nvme);
    assert_int_equal(ports.messages, 0);
    put(port_at(0), PORT_COMMAND, 2, 0x0406); /* bus mastering */
    assert_int_equal(ports.messages, 1);
    put(port_at(0), PORT_SLOT_CONTROL, 2, SLOT_PRESENCE);
    put(port_at(0), PORT_SLOT_CONTROL, 2, HOT_PLUG_INTERRUPT);
    assert_int_equal(ports.messages, 1);
    put(port_at(0), PORT_SLOT_CONTROL, 2, HOT_PLUG_INTERRUPT | LINK_CHANGE_ENABLE);
    assert_int_equal(ports.messages, 2);
    put(port_at(0), PORT_SLOT_STATUS, 2, SLOT_LINK_CHANGED);
    put(port_at(0), PORT_SLOT_CONTROL, 2, HOT_PLUG_INTERRUPT | SLOT_PRESENCE);
    assert_int_equal(ports.messages, 3);
    assert_int_equal(ports.changes, 0);
}

static void test_M46_a_level_for_as_long_as_it_lasts(void **state)
{
    (void)state;
    ports_view(3);
    lend(rig_nvme2);
    listen(1, false);
    lend(rig_nvme);
    assert_true(ports.level && ports.changes == 1 && ports.pin == 1);
    assert_true(sbdf_equal(ports.at, port_at(1)));
    assert_true(get(port_at(1), PORT_STATUS, 2) & STATUS_INTERRUPT);
    put(port_at(1), PORT_COMMAND, 2, 0x0400);
    assert_false(ports.level);
    assert_true(get(port_at(1), PORT_STATUS, 2) & STATUS_INTERRUPT);
    put(port_at(1), PORT_COMMAND, 2, 0x0000);
    assert_true(ports.level);
    put(port_at(1), PORT_MSI_CONTROL, 2, 1);
    assert_false(ports.level || get(port_at(1), PORT_STATUS, 2) & STATUS_INTERRUPT);
    put(port_at(1), PORT_MSI_CONTROL, 2, 0);
    put(port_at(1), PORT_SLOT_STATUS, 2, SLOT_EVENTS);
    assert_false(ports.level || get(port_at(1), PORT_STATUS, 2) & STATUS_INTERRUPT);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme, ports.guest), 0);
    assert_true(ports.level);
    assert_int_equal(ports.messages, 0);
    put(port_at(1), PORT_SLOT_STATUS, 2, SLOT_EVENTS);
}

/* R2: when the removal has returned, the guest's slot is empty, and the guest has been told. */
static void test_M46_surprise(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    listen(0, true);
    rig_pull(&ports.rig, rig_nvme);
    assert_false(is_there(at(8, 0, 0)));
    assert_int_equal(rig_remove(&ports.rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(ports.messages, 1);
    assert_int_equal(slot_status(0), SLOT_EVENTS);
    assert_false(is_there(at(8, 0, 0)));
    lend(rig_nvme2); /* another card in the same slot */
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), at(8, 0, 0)));
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_EVENTS);
}

/* Whoever hides a device for a reset has not pulled it. */
static void test_M46_a_reset_is_no_hot_plug(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    listen(0, true);
    assert_int_equal(rig_reset(&ports.rig, rig_nvme), 0);
    assert_int_equal(ports.messages, 0);
    assert_int_equal(slot_status(0), SLOT_PRESENT);
    assert_true(is_there(at(8, 0, 0)));
}

static void test_M46_the_last_function_takes_the_card_along(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme2, ports.guest, at(8, 0, 1)), 0);
    listen(0, true);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme2, ports.guest), 0);
    assert_int_equal(ports.messages, 0);
    assert_int_equal(get(at(8, 0, 0), PORT_HEADER_TYPE, 1), 0);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme2, ports.guest, at(8, 0, 7)), 0);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme, ports.guest), 0);
    assert_int_equal(slot_status(0), SLOT_PRESENT);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme2, ports.guest), 0);
    assert_int_equal(ports.messages, 1);
    assert_int_equal(slot_status(0), SLOT_EVENTS);
}

static void test_M46_a_link_that_the_guest_holds_down(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    listen(0, true);
    put(port_at(0), PORT_LINK_CONTROL, 2, LINK_DISABLE);
    assert_false(is_there(at(8, 0, 0)));
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_LINK_CHANGED);
    assert_int_equal(ports.messages, 1);
    assert_false(get(port_at(0), PORT_LINK_STATUS, 2) & LINK_ACTIVE);
    renumber(0, 44);
    assert_false(is_there(at(44, 0, 0)));
    put(port_at(0), PORT_LINK_CONTROL, 2, 0);
    assert_true(is_there(at(44, 0, 0)));
    assert_true(get(port_at(0), PORT_LINK_STATUS, 2) & LINK_ACTIVE);
}

/* M09: everything behind the port starts anew, one after the other. */
static void test_M46_secondary_bus_reset(void **state)
{
    uint32_t last;

    (void)state;
    ports_view(1);
    lend(rig_nvme);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme2, ports.guest, at(8, 0, 3)), 0);
    put(at(8, 0, 0), INTERRUPT_LINE, 1, 11);
    put(at(8, 0, 3), INTERRUPT_LINE, 1, 12);
    last = rig_info(&ports.rig, rig_nvme2).generation; /* of all */
    put(port_at(0), BRIDGE_CONTROL, 2, BUS_RESET);
    assert_false(is_there(at(8, 0, 0)));
    put(port_at(0), BRIDGE_CONTROL, 2, 0);
    assert_int_equal(rig_info(&ports.rig, rig_nvme).generation, last + 1);
    assert_int_equal(rig_info(&ports.rig, rig_nvme2).generation, last + 2);
    assert_int_equal(get(at(8, 0, 0), INTERRUPT_LINE, 1), 0);
    assert_int_equal(get(at(8, 0, 3), INTERRUPT_LINE, 1), 0);
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M46_a_message_when_it_comes_and_goes, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_messages_need_what_they_need, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_a_level_for_as_long_as_it_lasts, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_surprise, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_a_reset_is_no_hot_plug, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_the_last_function_takes_the_card_along,
                                        ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_a_link_that_the_guest_holds_down, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_secondary_bus_reset, ports_setup, ports_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
