/* SPDX-License-Identifier: MIT */
/* Devices that the hypervisor keeps for itself: nobody writes to them, or reaches them (F18, F19).
 */
#include <linux/pci_regs.h>

#include "src/core/device.h"
#include "tests/unit/guests.h"

/* ---- F18, F19: hidden and read-only devices ---- */

static const struct sbdf kept[] = {{0, 6, 0}}, shown[] = {{0, 2, 0}};

static void keep(struct berth_machine_config *config)
{
    config->hidden = kept;
    config->hidden_count = 1;
    config->read_only = shown;
    config->read_only_count = 1;
}

/* As the hardware domain does it: by mechanism 1, and by ECAM. */
static void write_by_ports(struct sbdf sbdf, unsigned reg, uint32_t value)
{
    struct sbdf where;
    unsigned at;

    assert_int_equal(berth_cf8_decode(0x80000000u | sbdf_key(sbdf) << 8 | reg, 0xcfc, &where, &at),
                     0);
    berth_domain_config_write(hwdom(), where, at, 4, value);
}

static void write_by_ecam(struct sbdf sbdf, unsigned reg, uint32_t value)
{
    static const struct berth_ecam ecam = {.base = 0xe0000000, .last_bus = 0xff};
    struct berth_vcpu vcpu = {.dev = NULL};
    struct sbdf where;
    unsigned at;

    assert_int_equal(
        berth_ecam_decode(&ecam, ecam.base + ((uint64_t)sbdf_key(sbdf) << 12 | reg), &where, &at),
        0);
    assert_int_equal(berth_vcpu_config_write(&vcpu, hwdom(), where, at, 4, value), 0);
}

static void test_F18_no_way_leads_to_a_kept_device(void **state)
{
    static const unsigned regs[] = {0x04, 0x10, 0x3c, 0x40, 0x50};
    const struct sbdf both[] = {kept[0], shown[0]};
    struct berth_domain *guest;

    (void)state;
    rig_standard(&rig);
    rig_up(&rig, keep);
    guest = rig_guest(&rig, "vm1");
    for (unsigned i = 0; i < 2; i++) {
        struct sim_counters before, after;

        sim_function_counters(rig.sim, both[i], &before);
        for (unsigned k = 0; k < sizeof(regs) / sizeof(regs[0]); k++) {
            write_by_ports(both[i], regs[k], 0);
            write_by_ecam(both[i], regs[k], UINT32_MAX);
        }
        write_by_ecam(both[i], 0x100, 0);
        sim_function_counters(rig.sim, both[i], &after);
        assert_int_equal(after.config_writes, before.config_writes);
        rig_expect_refused(&rig, rig_assign(&rig, both[i], guest), -EBUSY,
                           i ? BERTH_REASON_READ_ONLY : BERTH_REASON_HIDDEN);
    }
    write_by_ports(rig_pf, PCI_COMMAND, 0); /* others are written in this way */
    assert_int_equal(rig_peek(&rig, rig_pf, PCI_COMMAND, 2), 0);
    write_by_ecam(rig_pf, PCI_COMMAND, PCI_COMMAND_MEMORY);
    assert_int_equal(rig_peek(&rig, rig_pf, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
    rig_destroy_guest(&rig, guest);
}

/* Larger than a page, and nowhere near the start of the other one. */
static const struct sbdf serial = {0, 0, 0x28}, card = {0, 0, 0x20};
#define SERIAL_BAR 0xa0000000u
#define SERIAL_SIZE 0x8000u

static void hide_serial(struct berth_machine_config *config)
{
    config->hidden = &serial;
    config->hidden_count = 1;
}

static void hide_serial_of_unknown_size(struct berth_machine_config *config)
{
    hide_serial(config);
    config->bars = NULL;
}

static void two_cards(rig_configure *configure)
{
    struct capture_function *f;

    mb_host_bridge(&rig.builder, at(0, 0, 0));
    f = mb_rc_endpoint(&rig.builder, serial);
    mb_bar(f, 2, MB_BAR_MEM32, SERIAL_SIZE);
    mb_put(f, PCI_BASE_ADDRESS_2, 4, SERIAL_BAR);
    f = mb_rc_endpoint(&rig.builder, card);
    mb_bar(f, 2, MB_BAR_MEM32, 0x10000);
    rig_up(&rig, configure);
}

static void move_card(uint32_t address)
{
    write_by_ports(card, PCI_BASE_ADDRESS_2, address);
    assert_int_equal(rig_peek(&rig, card, PCI_BASE_ADDRESS_2, 4), address);
}

/* It is refused, by the question as well, wherever the two meet. */
static void expect_overlap(struct berth_domain *guest, uint32_t address)
{
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, card);

    move_card(address);
    rig_expect_refused(&rig, pcidev_test_assign(dev, guest, &request), -EBUSY,
                       BERTH_REASON_OVER_HIDDEN);
    rig_put(dev);
    rig_expect_refused(&rig, rig_assign(&rig, card, guest), -EBUSY, BERTH_REASON_OVER_HIDDEN);
    assert_true(rig.why.has_other && sbdf_equal(rig.why.other, serial));
    assert_string_equal(rig.why.domain, "hidden");
    rig_expect_owner(&rig, card, "hwdom");
}

static void expect_lent(struct berth_domain *guest, uint32_t address)
{
    move_card(address);
    assert_int_equal(rig_assign(&rig, card, guest), 0);
    assert_int_equal(rig_deassign(&rig, card, guest), 0);
    assert_int_equal(rig_assign(&rig, card, hwdom()), 0);
}

static void test_F19_a_bar_over_one_of_a_hidden_device(void **state)
{
    struct berth_domain *guest;

    (void)state;
    two_cards(hide_serial);
    guest = rig_guest(&rig, "vm1");
    expect_lent(guest, SERIAL_BAR + 0x10000);
    expect_overlap(guest, SERIAL_BAR);
    expect_lent(guest, SERIAL_BAR - 0x10000);
    assert_int_equal(rig_remove(&rig, serial, PCIDEV_REMOVE_FORCE), 0);
    expect_lent(guest, SERIAL_BAR);
    rig_destroy_guest(&rig, guest);
}

static bool moving;

/* Called while it is looked at what the card shares: with the gate still open, the first time. */
static void move_and_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    if (moving) {
        moving = false;
        write_by_ports(card, PCI_BASE_ADDRESS_2, SERIAL_BAR);
    }
    sim_host_ops.describe(host, claim, facts);
}

static void hide_serial_and_move(struct berth_machine_config *config)
{
    static struct berth_host_ops host;

    hide_serial(config);
    host = *config->host;
    host.describe = move_and_describe;
    config->host = &host;
}

static void test_F19_a_bar_that_moves_after_the_check(void **state)
{
    struct berth_domain *guest;

    (void)state;
    two_cards(hide_serial_and_move);
    guest = rig_guest(&rig, "vm1");
    move_card(SERIAL_BAR + 0x10000);
    moving = true;
    rig_expect_refused(&rig, rig_assign(&rig, card, guest), -EBUSY, BERTH_REASON_OVER_HIDDEN);
    assert_false(moving);
    assert_string_equal(rig.why.step, "isolation");
    rig_expect_owner(&rig, card, "hwdom");
    rig_destroy_guest(&rig, guest);
}

/* Nobody may size what the hypervisor uses: at least the page in which it begins is its own. */
static void test_F19_where_the_host_tells_no_sizes(void **state)
{
    struct berth_domain *guest;

    (void)state;
    two_cards(hide_serial_of_unknown_size);
    guest = rig_guest(&rig, "vm1");
    expect_overlap(guest, SERIAL_BAR);
    expect_lent(guest, SERIAL_BAR - 0x10000);
    rig_destroy_guest(&rig, guest);
}

static int ask(struct berth_domain *guest)
{
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, card);
    int error = pcidev_test_assign(dev, guest, &request);

    rig_put(dev);
    return error;
}

/* Where it cannot be looked up nobody is lent anything; what is gone is in nobody's way. */
static void test_F19_where_nobody_can_tell(void **state)
{
    struct berth_domain *guest;
    struct pcidev *hidden;
    int error = -EIO;

    (void)state;
    two_cards(hide_serial_of_unknown_size);
    guest = rig_guest(&rig, "vm1");
    hidden = rig_dev(&rig, serial);
    move_card(SERIAL_BAR - 0x10000);
    for (unsigned nth = 1; error; nth++) {
        sim_fail(rig.sim, SIM_OP_CONFIG_READ, nth, 0, 0);
        error = ask(guest);
        assert_int_equal(error, sim_failed(rig.sim, SIM_OP_CONFIG_READ) ? -EIO : 0);
    }
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
    atomic_fetch_or(&hidden->gate, GATE_TRANSITION); /* somebody is changing it */
    rig_expect_refused(&rig, ask(guest), -EBUSY, BERTH_REASON_TRANSITION);
    assert_true(sbdf_equal(rig.why.other, serial));
    atomic_fetch_and(&hidden->gate, ~GATE_TRANSITION);
    expect_overlap(guest, SERIAL_BAR);
    rig_put(hidden);
    rig_pull(&rig, serial);
    expect_lent(guest, SERIAL_BAR);
    rig_destroy_guest(&rig, guest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_blank, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F18_no_way_leads_to_a_kept_device),
        TEST(test_F19_a_bar_over_one_of_a_hidden_device),
        TEST(test_F19_a_bar_that_moves_after_the_check),
        TEST(test_F19_where_nobody_can_tell),
        TEST(test_F19_where_the_host_tells_no_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
