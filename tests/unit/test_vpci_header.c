/* SPDX-License-Identifier: MIT */
/* The header of a guest's view (M41): F73-F75, O1, O2, O6, X34. */
#include <string.h>

#include "tests/unit/guest_maps.h"

#define VENDOR 0x00
#define COMMAND 0x04
#define STATUS 0x06
#define CLASS 0x08
#define CACHE_LINE 0x0c
#define LATENCY 0x0d
#define HEADER_TYPE 0x0e
#define BIST 0x0f
#define CARDBUS_CIS 0x28
#define SUBSYSTEM 0x2c
#define ROM 0x30
#define INTERRUPT_LINE 0x3c
#define INTERRUPT_PIN 0x3d
#define GRANT 0x3e

#define IO 0x0001u
#define MEMORY 0x0002u
#define MASTER 0x0004u
#define PARITY 0x0040u
#define SERR 0x0100u
#define INTX_DISABLE 0x0400u

#define STATUS_ERRORS 0xf900u

static const struct sbdf bare = {0, 0, 20 << 3}, plain = {0, 0, 21 << 3};

static struct rig rig;
static struct berth_domain *guest;

static int setup(void **state)
{
    struct capture_function *f;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_put(rig_function(&rig, rig_nvme), COMMAND, 2, 0x0546);
    mb_put(rig_function(&rig, rig_nvme), BIST, 1, 0x80);
    mb_af(mb_bare(&rig.builder, bare));
    f = mb_pci_endpoint(&rig.builder, plain);
    mb_put(f, GRANT, 2, 0x2008);
    mb_put(f, COMMAND, 2, 0); /* firmware has not switched it on */
    mb_af(f);
    rig_up(&rig, spy_configure);
    guest = rig_guest(&rig, "vm1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

static void lend(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, guest), 0);
}

static uint32_t seen(struct sbdf sbdf, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(guest, rig_seen(&rig, sbdf), reg, length);
}

static void put(struct sbdf sbdf, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(guest, rig_seen(&rig, sbdf), reg, length, value);
}

/* ---- command ---- */

/* What a guest reads back, and what changes in the hardware, when it writes one bit alone. */
static const struct command_bit {
    uint32_t bit, reads, follows;
} command_bits[] = {
    {0x0001, 0, 0}, /* IO: it has no I/O BAR */
    {0x0002, 0x0002, 0},
    {0x0004, 0x0004, 0x0004},
    {0x0008, 0, 0},
    {0x0010, 0, 0},
    {0x0020, 0, 0},
    {0x0040, 0, 0},
    {0x0080, 0, 0},
    {0x0100, 0, 0},
    {0x0200, 0, 0},
    {0x0400, 0x0400, 0},
    /* whether the hardware has it is more than this: intx.c */ {0x0800, 0, 0},
    {0x1000, 0, 0},
    {0x2000, 0, 0},
    {0x4000, 0, 0},
    {0x8000, 0, 0},
};

static void place_nvme(void)
{
    put(rig_nvme, 0x10, 4, 0x80000000);
    put(rig_nvme, 0x14, 4, 0);
}

static void test_F73_each_bit_of_the_command_register(void **state)
{
    uint32_t host;

    (void)state;
    lend(rig_nvme);
    place_nvme();
    host = rig_peek(&rig, rig_nvme, COMMAND, 2) & ~INTX_DISABLE;
    for (unsigned i = 0; i < sizeof(command_bits) / sizeof(command_bits[0]); i++) {
        const struct command_bit *b = &command_bits[i];

        put(rig_nvme, COMMAND, 2, b->bit);
        assert_int_equal(seen(rig_nvme, COMMAND, 2), b->reads);
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & ~INTX_DISABLE, host | b->follows);
        put(rig_nvme, COMMAND, 2, 0);
        assert_int_equal(seen(rig_nvme, COMMAND, 2), 0);
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & ~INTX_DISABLE, host);
    }
}

/* O2, V7: SERR and PARITY are the host's, whatever it has in them. */
static void test_O2_the_other_bits_stay_as_the_host_has_them(void **state)
{
    const uint32_t hosts[] = {0, PARITY, SERR, PARITY | SERR};

    (void)state;
    lend(rig_nvme);
    place_nvme();
    for (unsigned i = 0; i < 4; i++) {
        uint32_t command = rig_peek(&rig, rig_nvme, COMMAND, 2) & ~(SERR | PARITY);

        rig_poke(&rig, rig_nvme, COMMAND, 2, command | hosts[i]);
        put(rig_nvme, COMMAND, 2, 0xffff);
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (SERR | PARITY), hosts[i]);
        assert_int_equal(seen(rig_nvme, COMMAND, 2), MEMORY | MASTER | INTX_DISABLE);
        put(rig_nvme, COMMAND, 2, 0);
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (SERR | PARITY), hosts[i]);
    }
}

/* O1, K14: there is no time at which the hardware does not decode while the device is lent. */
static void test_O1_decode_of_the_hardware_stays_on(void **state)
{
    (void)state;
    lend(rig_nvme);
    lend(plain);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (IO | MEMORY), MEMORY);
    assert_int_equal(rig_peek(&rig, plain, COMMAND, 2) & (IO | MEMORY), IO | MEMORY);
    put(plain, COMMAND, 2, 0);
    put(plain, COMMAND, 1, 0);
    put(plain, COMMAND, 4, 0);
    assert_int_equal(rig_peek(&rig, plain, COMMAND, 2) & (IO | MEMORY), IO | MEMORY);
    assert_int_equal(rig_reset(&rig, plain), 0);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (IO | MEMORY), MEMORY);
}

static void test_decode_bits_are_those_of_the_BARs_that_there_are(void **state)
{
    (void)state;
    lend(bare);
    put(bare, COMMAND, 2, IO | MEMORY | MASTER);
    assert_int_equal(seen(bare, COMMAND, 2), MASTER);
    lend(plain);
    put(plain, 0x10, 4, 0x90000000);
    put(plain, 0x14, 4, 0x2000);
    put(plain, COMMAND, 2, IO);
    assert_int_equal(seen(plain, COMMAND, 2), IO);
    put(plain, COMMAND, 2, MEMORY);
    assert_int_equal(seen(plain, COMMAND, 2), MEMORY);
}

/* F74: a write that changes decode loses nothing of what is written with it. */
static void test_F74_bits_that_are_written_together(void **state)
{
    (void)state;
    lend(rig_nvme);
    place_nvme();
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER | INTX_DISABLE);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MEMORY | MASTER | INTX_DISABLE);
    assert_true(rig_peek(&rig, rig_nvme, COMMAND, 2) & MASTER);
    put(rig_nvme, COMMAND, 1, MASTER); /* the upper byte is not in it */
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MASTER | INTX_DISABLE);
    put(rig_nvme, COMMAND + 1, 1, 0);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MASTER);
    assert_true(rig_peek(&rig, rig_nvme, COMMAND, 2) & MASTER);
}

static void test_a_write_that_changes_nothing_touches_nothing(void **state)
{
    (void)state;
    lend(rig_nvme);
    place_nvme();
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER);
    spy_clear();
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER);
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER | SERR);
    put(rig_nvme, COMMAND, 1, MEMORY | MASTER);
    assert_int_equal(spy.reads + spy.writes, 0);
    put(rig_nvme, COMMAND, 2, MEMORY);
    assert_int_equal(spy.writes, 1);
}

static void test_bus_mastering_that_the_host_refuses_reads_as_it_is(void **state)
{
    (void)state;
    lend(rig_nvme);
    sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, 0);
    put(rig_nvme, COMMAND, 2, MASTER);
    assert_true(sim_failed(rig.sim, SIM_OP_CONFIG_WRITE));
    assert_int_equal(seen(rig_nvme, COMMAND, 2), 0);
    put(rig_nvme, COMMAND, 2, MASTER);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MASTER);
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 0, 0);
    put(rig_nvme, COMMAND, 2, 0);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MASTER);
}

static void contain(struct sbdf sbdf)
{
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(berth_machine_fault(rig.machine, sbdf), 0, 1);
    assert_true(rig_info(&rig, sbdf).contained);
}

static void test_O6_a_contained_device_stays_off_and_says_so(void **state)
{
    (void)state;
    lend(rig_nvme);
    put(rig_nvme, COMMAND, 2, MASTER);
    contain(rig_nvme);
    spy_clear();
    assert_int_equal(seen(rig_nvme, COMMAND, 2), 0);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    for (unsigned i = 0; i < 2; i++) {
        put(rig_nvme, COMMAND, 2, MASTER);
        assert_int_equal(seen(rig_nvme, COMMAND, 2), 0);
        assert_false(rig_peek(&rig, rig_nvme, COMMAND, 2) & MASTER);
        put(rig_nvme, COMMAND, 2, 0);
    }
    put(rig_nvme, COMMAND, 2, INTX_DISABLE | MASTER); /* the others work */
    assert_int_equal(seen(rig_nvme, COMMAND, 2), INTX_DISABLE);
    assert_false(spy.command_written & MASTER); /* not even for a moment */
}

/* M09: a reset of the host's is not one of the guest's. */
static void test_a_reset_brings_the_command_register_back(void **state)
{
    (void)state;
    lend(rig_nvme);
    place_nvme();
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER | INTX_DISABLE);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), MEMORY | MASTER | INTX_DISABLE);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (MEMORY | MASTER), MEMORY | MASTER);
    put(rig_nvme, COMMAND, 2, 0);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(seen(rig_nvme, COMMAND, 2), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & (MEMORY | MASTER), MEMORY);
}

static void test_the_next_owner_begins_with_nothing(void **state)
{
    struct berth_domain *next = rig_guest(&rig, "vm2");

    (void)state;
    lend(rig_nvme);
    place_nvme();
    put(rig_nvme, COMMAND, 2, MEMORY | MASTER);
    put(rig_nvme, INTERRUPT_LINE, 1, 11);
    assert_int_equal(rig_deassign(&rig, rig_nvme, guest), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, next), 0);
    assert_int_equal(berth_domain_config_read(next, rig_seen(&rig, rig_nvme), COMMAND, 2), 0);
    assert_int_equal(berth_domain_config_read(next, rig_seen(&rig, rig_nvme), 0x10, 4), 0xc);
    assert_int_equal(berth_domain_config_read(next, rig_seen(&rig, rig_nvme), INTERRUPT_LINE, 1),
                     0);
    assert_false(rig_peek(&rig, rig_nvme, COMMAND, 2) & MASTER);
    rig_destroy_guest(&rig, next);
}

/* ---- status ---- */

static void test_F75_errors_are_cleared_in_the_bytes_that_are_written(void **state)
{
    static const struct {
        unsigned reg, length;
        uint32_t value;
        uint16_t cleared;
    } writes[] = {
        {STATUS, 2, 0x0000, 0},           {STATUS, 2, 0x8000, 0x8000},
        {STATUS, 2, 0xffff, 0xf900},      {STATUS, 1, 0xff, 0},
        {STATUS + 1, 1, 0x01, 0x0100},    {STATUS + 1, 1, 0xff, 0xf900},
        {COMMAND, 4, 0x40000000, 0x4000}, {COMMAND, 2, 0xffff, 0},
        {COMMAND + 1, 1, 0xff, 0},        {COMMAND + 1, 2, 0xffff, 0},
        {COMMAND + 2, 4, 0xffff, 0xf900}, {STATUS + 1, 2, 0xff10, 0x1000},
    };

    (void)state;
    lend(rig_nvme);
    for (unsigned i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        spy_clear();
        spy.errors = STATUS_ERRORS;
        put(rig_nvme, COMMAND, 2, 0);
        assert_int_equal(seen(rig_nvme, STATUS, 2) & STATUS_ERRORS, STATUS_ERRORS);
        put(rig_nvme, writes[i].reg, writes[i].length, writes[i].value);
        assert_int_equal(spy.status_written, writes[i].cleared);
        assert_int_equal(seen(rig_nvme, STATUS, 2) & STATUS_ERRORS,
                         STATUS_ERRORS & ~writes[i].cleared);
    }
}

/* 66 MHz, DEVSEL and interrupt status are the device's; the list is the view's. */
static void test_status_shows_what_is_the_guests(void **state)
{
    (void)state;
    lend(plain);
    lend(bare);
    spy_clear();
    spy.errors = 0x06ff;
    assert_int_equal(seen(plain, STATUS, 2) & ~0x10u, 0x0628);
    assert_int_equal(seen(bare, STATUS, 2), 0x0628);
    assert_int_equal(seen(bare, STATUS + 1, 1), 0x06);
    put(bare, STATUS, 2, 0xffff);
    assert_int_equal(seen(bare, STATUS, 2), 0x0628);
}

/* ---- identity ---- */

static void test_identity_is_that_of_the_device(void **state)
{
    const struct sbdf all[] = {rig_nvme, plain};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t id = rig_peek(&rig, all[i], VENDOR, 4), kind = rig_peek(&rig, all[i], CLASS, 4);
        uint32_t subsystem = rig_peek(&rig, all[i], SUBSYSTEM, 4);

        lend(all[i]);
        assert_int_equal(seen(all[i], VENDOR, 4), id);
        assert_int_equal(seen(all[i], VENDOR + 2, 2), id >> 16);
        assert_int_equal(seen(all[i], CLASS, 4), kind);
        assert_int_equal(seen(all[i], CLASS + 1, 1), kind >> 8 & 0xff);
        assert_int_equal(seen(all[i], SUBSYSTEM, 4), subsystem);
        for (unsigned reg = 0; reg < 0x40; reg += 4)
            if (reg != COMMAND && (reg < 0x10 || reg > 0x30) && reg != INTERRUPT_LINE &&
                reg != CACHE_LINE)
                put(all[i], reg, 4, 0xa5a5a5a5);
        assert_int_equal(seen(all[i], VENDOR, 4), id);
        assert_int_equal(seen(all[i], CLASS, 4), kind);
        assert_int_equal(seen(all[i], SUBSYSTEM, 4), subsystem);
    }
}

/* A VF reads all ones in its own id (SR-IOV 1.1, 3.4.1.1). */
static void test_a_VF_has_an_id(void **state)
{
    uint32_t pf, vf;

    (void)state;
    rig_add_vfs(&rig, 2);
    lend(rig_vf(1));
    pf = rig_peek(&rig, rig_pf, VENDOR, 4);
    vf = seen(rig_vf(1), VENDOR, 4);
    assert_int_equal(vf & 0xffff, pf & 0xffff);
    assert_int_equal(vf >> 16, rig_info(&rig, rig_vf(1)).device);
    assert_int_not_equal(vf >> 16, 0xffff);
    put(rig_vf(1), COMMAND, 2, MASTER);
    assert_int_equal(seen(rig_vf(1), COMMAND, 2), MASTER);
    assert_true(rig_peek(&rig, rig_vf(1), COMMAND, 2) & MASTER);
}

static void test_registers_that_are_the_guests_alone(void **state)
{
    uint32_t line, cache;

    (void)state;
    lend(plain);
    line = rig_peek(&rig, plain, INTERRUPT_LINE, 1);
    cache = rig_peek(&rig, plain, CACHE_LINE, 2);
    spy_clear();
    put(plain, INTERRUPT_LINE, 4, 0x5a);
    put(plain, CACHE_LINE, 2, 0x4010);
    assert_int_equal(seen(plain, INTERRUPT_LINE, 1), 0x5a);
    assert_int_equal(seen(plain, CACHE_LINE, 1), 0x10);
    assert_int_equal(seen(plain, LATENCY, 1), 0x40);
    assert_int_equal(spy.writes, 0);
    assert_int_equal(rig_peek(&rig, plain, INTERRUPT_LINE, 1), line);
    assert_int_equal(rig_peek(&rig, plain, CACHE_LINE, 2), cache);
    assert_int_equal(seen(plain, GRANT, 2), 0x2008);
    put(plain, GRANT, 2, 0xffff);
    assert_int_equal(seen(plain, GRANT, 2), 0x2008);
}

static void test_V7_the_rest_of_the_header_is_reserved(void **state)
{
    (void)state;
    lend(rig_nvme);
    put(rig_nvme, HEADER_TYPE, 2, 0xffff);
    put(rig_nvme, CARDBUS_CIS, 4, 0xffffffff);
    put(rig_nvme, ROM, 4, 0xffffffff);
    put(rig_nvme, 0x38, 4, 0xffffffff);
    put(rig_nvme, INTERRUPT_PIN, 1, 0xff);
    assert_int_equal(seen(rig_nvme, HEADER_TYPE, 1), 0);
    assert_int_equal(seen(rig_nvme, BIST, 1), 0);
    assert_int_equal(seen(rig_nvme, CARDBUS_CIS, 4), 0);
    assert_int_equal(seen(rig_nvme, ROM, 4), 0); /* it has none */
    assert_int_equal(seen(rig_nvme, 0x38, 4), 0);
    assert_in_range(seen(rig_nvme, INTERRUPT_PIN, 1), 0, 4);
    assert_int_equal(seen(rig_nvme, GRANT, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_F73_each_bit_of_the_command_register),
        TEST(test_O2_the_other_bits_stay_as_the_host_has_them),
        TEST(test_O1_decode_of_the_hardware_stays_on),
        TEST(test_decode_bits_are_those_of_the_BARs_that_there_are),
        TEST(test_F74_bits_that_are_written_together),
        TEST(test_a_write_that_changes_nothing_touches_nothing),
        TEST(test_bus_mastering_that_the_host_refuses_reads_as_it_is),
        TEST(test_O6_a_contained_device_stays_off_and_says_so),
        TEST(test_a_reset_brings_the_command_register_back),
        TEST(test_the_next_owner_begins_with_nothing),
        TEST(test_F75_errors_are_cleared_in_the_bytes_that_are_written),
        TEST(test_status_shows_what_is_the_guests),
        TEST(test_identity_is_that_of_the_device),
        TEST(test_a_VF_has_an_id),
        TEST(test_registers_that_are_the_guests_alone),
        TEST(test_V7_the_rest_of_the_header_is_reserved),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
