/* SPDX-License-Identifier: MIT */
/* Hot-plug ports and the host bridge of a guest's virtual bus (M46). */
#include <berth_port.h>

#include "tests/unit/ports.h"

#define CAPABILITIES 0x34
#define ONES 0xffffffffu

static unsigned fail_at, allocations;

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    return fail_at && ++allocations == fail_at ? NULL : __real_port_alloc(size);
}

static int setup_many(void **state)
{
    (void)state;
    rig_begin(&ports.rig);
    mb_many(&ports.rig.builder, 300);
    ports_up();
    return 0;
}

/* ---- what is there ---- */

static void test_M46_the_first_bus(void **state)
{
    (void)state;
    ports_view(2);
    assert_int_equal(get(at(0, 0, 0), 0, 4), 0x00081b36);
    assert_int_equal(get(at(0, 0, 0), 8, 4), 0x06000000);
    assert_int_equal(get(at(0, 0, 0), PORT_HEADER_TYPE, 1), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(get(port_at(i), 0, 4), 0x000c1b36);
        assert_int_equal(get(port_at(i), 8, 4), 0x06040000);
        assert_int_equal(get(port_at(i), PORT_HEADER_TYPE, 1), 1);
        assert_int_equal(get(port_at(i), PORT_BUSES, 4), (8 + i) << 16 | (8 + i) << 8);
        assert_int_equal(get(port_at(i), PORT_SLOT_CAP, 4) >> 19, i + 1);
        assert_int_equal(slot_status(i), 0);
        assert_true(berth_domain_answers(ports.guest, port_at(i)));
        assert_null(berth_domain_device_at(ports.guest, port_at(i), "test"));
    }
    assert_false(is_there(at(0, 3, 0)));
    assert_false(is_there(at(8, 0, 0)));
}

/* Ports first, for what is behind them can be pulled; then root buses, past what is there. */
static void test_M46_automatic_places(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    lend(rig_nvme2);
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(8, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), at(0, 2, 0)));
}

static void test_M46_without_a_host_bridge(void **state)
{
    (void)state;
    ports.config.no_host_bridge = true;
    ports_view(0);
    assert_false(is_there(at(0, 0, 0)));
    lend(rig_nvme);
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(0, 0, 0)));
}

static void test_M46_wanted_places(void **state)
{
    (void)state;
    ports_view(2);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme, ports.guest, at(8, 1, 0)), -EINVAL);
    assert_int_equal(ports.rig.why.reason, BERTH_REASON_BAD_SLOT);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme, ports.guest, at(8, 0, 1)), -EINVAL);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme, ports.guest, at(0, 0, 0)), -EBUSY);
    assert_int_equal(ports.rig.why.reason, BERTH_REASON_SLOT_TAKEN);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme, ports.guest, port_at(1)), -EBUSY);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme, ports.guest, at(9, 0, 0)), 0);
    assert_int_equal(rig_assign_at(&ports.rig, rig_nvme2, ports.guest, at(9, 0, 3)), 0);
    assert_int_equal(get(at(9, 0, 0), PORT_HEADER_TYPE, 1), 0x80);
    assert_int_equal(slot_status(0), 0);
    assert_int_equal(slot_status(1), SLOT_PRESENT | SLOT_EVENTS);
}

static void test_M46_capabilities_are_well_formed(void **state)
{
    static const uint8_t ids[] = {0x10, 0x05};
    unsigned found = 0;

    (void)state;
    ports_view(1);
    assert_true(get(port_at(0), PORT_STATUS, 2) & 0x10);
    for (unsigned cap = get(port_at(0), CAPABILITIES, 1); cap; found++) {
        assert_true(cap >= 0x40 && cap % 4 == 0);
        assert_true(found < sizeof(ids));
        assert_int_equal(get(port_at(0), cap, 1), ids[found]);
        cap = get(port_at(0), cap + 1, 1);
    }
    assert_int_equal(found, sizeof(ids));
    assert_int_equal(get(port_at(0), 0x100, 4), 0); /* no extended ones */
    assert_int_equal(get(at(0, 0, 0), PORT_STATUS, 2) & 0x10, 0);
}

/* ---- numbers ---- */

/* As an operating system does it: all numbers away, then depth first from the first bus on. */
static void test_M46_enumeration(void **state)
{
    unsigned next = 8;

    (void)state;
    ports_view(3);
    lend(rig_nvme);
    lend(rig_nvme2);
    for (unsigned i = 0; i < 3; i++)
        put(port_at(i), PORT_BUSES, 4, 0);
    assert_false(is_there(at(8, 0, 0)) || is_there(at(9, 0, 0)));
    assert_true(is_there(at(0, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), rig_nowhere));
    for (unsigned i = 3; i-- > 0; next++)
        put(port_at(i), PORT_BUSES, 4, 0xff0000 | next << 8);
    assert_false(is_there(at(8, 0, 0)));
    assert_true(is_there(at(9, 0, 0)) && is_there(at(10, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(10, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), at(9, 0, 0)));
}

static void test_M46_numbers_that_clash(void **state)
{
    (void)state;
    ports_view(2);
    lend(rig_nvme);
    lend(rig_nvme2);
    renumber(0, 9); /* the last one has it */
    assert_false(is_there(at(8, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(9, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), rig_nowhere));
    renumber(0, 200); /* then it is the other one's again */
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(200, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), at(9, 0, 0)));
    renumber(0, 9);
    renumber(1, 8); /* a swap */
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme), at(9, 0, 0)));
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), at(8, 0, 0)));
}

static void test_M46_root_buses_keep_their_numbers(void **state)
{
    (void)state;
    ports_view(1);
    lend(rig_nvme);
    renumber(0, 3);
    assert_false(is_there(at(3, 0, 0)) || is_there(at(8, 0, 0)));
    lend(rig_nvme2);
    renumber(0, 0);
    assert_int_equal(get(at(0, 0, 0), 0, 4), 0x00081b36);
    renumber(0, 8);
    assert_true(is_there(at(8, 0, 0)));
}

/* Zero says that a bridge was not set up, also where no bus of the guest has the number. */
static void test_M46_zero_is_no_number(void **state)
{
    (void)state;
    ports.config.first_bus = 32;
    ports_view(1);
    lend(rig_nvme);
    assert_true(is_there(at(40, 0, 0)));
    put(at(32, 1, 0), PORT_SECONDARY, 1, 0);
    assert_false(is_there(at(40, 0, 0)) || is_there(at(0, 0, 0)));
    put(at(32, 1, 0), PORT_SECONDARY, 1, 1);
    assert_true(is_there(at(1, 0, 0)));
}

/* ---- bad input ---- */

/* Everything that a guest can change in a port, and nothing else. */
static const struct writable {
    unsigned reg, length;
    uint32_t mask;
} writable[] = {
    {PORT_COMMAND, 4, 0x0547},
    {0x0c, 4, 0x000000ff},
    {PORT_BUSES, 4, 0x00ffffff},
    {0x1c, 4, 0x0000f0f0},
    {0x20, 4, 0xfff0fff0},
    {0x24, 4, 0xfff0fff0},
    {0x28, 4, ONES},
    {0x2c, 4, ONES},
    {0x3c, 4, 0x004300ff},
    {0x48, 4, 0x0000000f},
    {PORT_LINK_CONTROL, 4, 0x000000d0},
    {PORT_SLOT_CONTROL, 4, 0x00001028},
    {0x5c, 4, 0x0000000f},
    {0x70, 4, 0x0000000f},
    {0x80, 4, 0x00010000},
    {PORT_MSI_ADDRESS, 4, 0xfffffffc},
    {0x88, 4, ONES},
    {PORT_MSI_DATA, 4, 0xffff},
};

static uint32_t may_change(unsigned reg)
{
    for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
        if (writable[i].reg == reg)
            return writable[i].mask;
    return 0;
}

static void expect_nothing_else(const uint32_t *before)
{
    for (unsigned reg = 0; reg < 4096; reg += 4)
        assert_int_equal((get(port_at(0), reg, 4) ^ before[reg / 4]) & ~may_change(reg), 0);
}

static void test_V7_hostile_writes(void **state)
{
    static const uint64_t values[] = {0, UINT64_MAX, 0xa5a5a5a5a5a5a5a5, 0x5a5a5a5a5a5a5a5a};
    static uint32_t before[1024];

    (void)state;
    ports_view(1);
    for (unsigned reg = 0; reg < 4096; reg += 4)
        before[reg / 4] = get(port_at(0), reg, 4);
    for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
        for (unsigned reg = 0; reg <= 4100; reg++)
            for (unsigned length = 0; length <= 9; length++)
                put(port_at(0), reg, length, values[v]);
        expect_nothing_else(before);
    }
    for (unsigned reg = 0; reg < 4096; reg += 4) {
        put(port_at(0), reg, 4, ONES);
        put(port_at(0), reg, 4, ONES); /* once more, where the first one had effects */
        assert_int_equal(get(port_at(0), reg, 4) & may_change(reg), may_change(reg));
        put(port_at(0), reg, 4, 0);
        assert_int_equal(get(port_at(0), reg, 4) & may_change(reg), 0);
    }
    for (unsigned reg = 0; reg < 4096; reg++)
        put(at(0, 0, 0), reg, 1, 0xff);
    assert_int_equal(get(at(0, 0, 0), 0, 4), 0x00081b36);
    assert_int_equal(get(at(0, 0, 0), PORT_COMMAND, 4), 0);
    renumber(0, 8);
    lend(rig_nvme);
    assert_true(is_there(at(8, 0, 0)));
}

/* ---- many ---- */

static void test_M46_31_ports_and_all_root_buses_full(void **state)
{
    unsigned lent = 0;

    (void)state;
    ports_view(31);
    assert_true(is_there(port_at(30)));
    while (rig_assign(&ports.rig, sbdf_from_key(lent), ports.guest) == 0)
        lent++;
    assert_int_equal(ports.rig.why.reason, BERTH_REASON_NO_SLOT);
    assert_int_equal(lent, 31 + 7 * 32); /* the first bus has 32 ports and bridges */
    assert_int_equal(rig_reach(ports.guest), lent);
    for (unsigned i = 0; i < 31; i++)
        renumber(i, 255 - i);
    assert_int_equal(rig_reach(ports.guest), lent);
    for (unsigned i = 0; i < 31; i++)
        assert_true(sbdf_equal(rig_seen(&ports.rig, sbdf_from_key(i)), at(255 - i, 0, 0)));
    for (unsigned i = 0; i < lent; i++)
        assert_int_equal(rig_deassign(&ports.rig, sbdf_from_key(i), ports.guest), 0);
    assert_int_equal(rig_reach(ports.guest), 0);
    for (unsigned i = 0; i < 31; i++)
        assert_int_equal(slot_status(i), SLOT_EVENTS);
}

static void test_P2_no_memory(void **state)
{
    int error = -ENOMEM;

    (void)state;
    ports.config.port_count = 2;
    for (fail_at = 1; error == -ENOMEM; fail_at++) {
        allocations = 0;
        error = berth_domain_set_view(ports.guest, &ports.config);
        assert_true(error == 0 || error == -ENOMEM);
    }
    assert_int_equal(error, 0);
    assert_true(fail_at > 15); /* two ports take that many at least */
    fail_at = 0;
    assert_true(is_there(port_at(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M46_the_first_bus, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_automatic_places, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_without_a_host_bridge, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_wanted_places, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_capabilities_are_well_formed, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_enumeration, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_numbers_that_clash, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_root_buses_keep_their_numbers, ports_setup,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_zero_is_no_number, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_V7_hostile_writes, ports_setup, ports_teardown),
        cmocka_unit_test_setup_teardown(test_M46_31_ports_and_all_root_buses_full, setup_many,
                                        ports_teardown),
        cmocka_unit_test_setup_teardown(test_P2_no_memory, ports_setup, ports_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
