/* SPDX-License-Identifier: MIT */
/* Accesses to BARs that are trapped (M14, M31, M48): K09, K14, V1, V8, A4. */
#include <berth_port.h>

#include "src/vpci/vpci.h"
#include "tests/unit/zoo.h"

#define TABLE 0x2000u
#define PBA 0x3000u
#define UNTOUCHED UINT64_C(0x1122334455667788)

static int read_at(uint64_t address, unsigned length, uint64_t *value)
{
    return berth_domain_mmio_read(zoo.guest, address, length, value);
}

static int write_at(uint64_t address, unsigned length, uint64_t value)
{
    return berth_domain_mmio_write(zoo.guest, address, length, value);
}

static uint64_t get(uint64_t address, unsigned length)
{
    uint64_t value = UNTOUCHED;

    assert_int_equal(read_at(address, length, &value), 0);
    return value;
}

/* What the hardware has there. */
static uint32_t hardware(struct sbdf sbdf, unsigned bar, uint64_t offset)
{
    uint32_t value;

    assert_int_equal(sim_bar_access(zoo.rig.sim, sbdf, bar, offset, false, &value), 0);
    return value;
}

static int setup(void **state)
{
    zoo_setup(state);
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_big, COMMAND_IO | COMMAND_MEMORY));
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    return 0;
}

/* ---- any length, any alignment ---- */

static void test_lengths_that_there_are_not(void **state)
{
    const unsigned lengths[] = {0, 3, 5, 6, 7, 9, 16, 0x80000004, UINT32_MAX};
    uint64_t value = UNTOUCHED;

    (void)state;
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_int_equal(read_at(ZOO_SMALL_BAR5, lengths[i], &value), -EINVAL);
        assert_int_equal(write_at(ZOO_SMALL_BAR5, lengths[i], UINT64_MAX), -EINVAL);
        assert_int_equal(berth_domain_port_read(zoo.guest, ZOO_BIG_BAR3, lengths[i], &value),
                         -EINVAL);
        assert_int_equal(berth_domain_port_write(zoo.guest, ZOO_BIG_BAR3, lengths[i], 0), -EINVAL);
    }
    assert_int_equal(value, UNTOUCHED);
    assert_int_equal(hardware(zoo_small, 5, 0), 0);
}

/* The BARs 4 and 5 are next to one another: what straddles them is of both. The end of BAR 5 is the
 * end of all. */
#define SPAN 64u
#define BASE (ZOO_SMALL_BAR5 - SPAN / 2)
#define END (ZOO_SMALL_BAR5 + 256)

static uint64_t expected(const uint8_t *bytes, unsigned at, unsigned length)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < length; i++)
        value |= (uint64_t)bytes[at + i] << 8 * i;
    return value;
}

static void test_every_alignment_of_every_length(void **state)
{
    uint8_t shadow[SPAN];
    uint8_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < SPAN; i++) {
        shadow[i] = (uint8_t)(i * 7 + 3);
        assert_int_equal(write_at(BASE + i, 1, shadow[i]), 0);
    }
    for (unsigned length = 1; length <= 8; length *= 2) {
        for (unsigned at = 0; at + length <= SPAN; at++) {
            assert_int_equal(get(BASE + at, length), expected(shadow, at, length));
            for (unsigned i = 0; i < length; i++)
                shadow[at + i] = seed++;
            assert_int_equal(write_at(BASE + at, length, expected(shadow, at, length)), 0);
        }
    }
    for (unsigned at = 0; at < SPAN; at += 4) {
        bool lower = at < SPAN / 2;

        assert_int_equal(
            hardware(zoo_small, lower ? 4 : 5, lower ? 2 * KIB - SPAN / 2 + at : at - SPAN / 2),
            expected(shadow, at, 4));
    }
}

static void test_what_is_outside_reads_ones_and_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(write_at(END - 4, 4, 0x44332211), 0);
    assert_int_equal(get(END - 2, 4), 0xffff4433);
    assert_int_equal(get(END - 1, 8), 0xffffffffffffff44);
    assert_int_equal(get(END - 3, 4), 0xff443322);
    assert_int_equal(write_at(END - 2, 8, UINT64_C(0x0807060504036655)), 0);
    assert_int_equal(get(END - 4, 4), 0x66552211);
    assert_int_equal(get(ZOO_SMALL_BAR2 - 2, 4), 0xffff);
}

static void test_ends_of_the_address_spaces(void **state)
{
    uint64_t value = UNTOUCHED;

    (void)state;
    assert_int_equal(read_at(UINT64_MAX, 8, &value), -ENOENT);
    assert_int_equal(read_at(UINT64_MAX - 3, 8, &value), -ENOENT);
    assert_int_equal(write_at(UINT64_MAX, 8, 0), -ENOENT);
    assert_int_equal(read_at(0, 8, &value), -ENOENT);
    assert_int_equal(berth_domain_port_read(zoo.guest, 0xffff, 8, &value), -ENOENT);
    assert_int_equal(value, UINT64_MAX);
    assert_true(zoo_off(zoo_big, COMMAND_IO));
    zoo_put(zoo_big, BAR(3), 4, 0xffe0);
    assert_true(zoo_on(zoo_big, COMMAND_IO));
    assert_int_equal(berth_domain_port_write(zoo.guest, 0xfffc, 8, 0x1234567801020304), 0);
    assert_int_equal(berth_domain_port_read(zoo.guest, 0xfffe, 4, &value), 0);
    assert_int_equal(value, 0xffff0102);
}

static void test_ports(void **state)
{
    uint64_t value;

    (void)state;
    for (unsigned at = 0; at + 4 <= 32; at++) {
        assert_int_equal(
            berth_domain_port_write(zoo.guest, (uint16_t)(ZOO_BIG_BAR3 + at), 4, 0xa0b0c000 + at),
            0);
        assert_int_equal(
            berth_domain_port_read(zoo.guest, (uint16_t)(ZOO_BIG_BAR3 + at), 4, &value), 0);
        assert_int_equal(value, 0xa0b0c000 + at);
    }
    assert_int_equal(hardware(zoo_big, 3, 28), 0xa0b0c000 + 28);
    assert_int_equal(read_at(ZOO_BIG_BAR3, 4, &value), -ENOENT); /* ports are no memory */
    assert_int_equal(berth_domain_port_read(zoo.guest, ZOO_BIG_BAR3 + 32, 4, &value), -ENOENT);
}

/* PCI 3.0, 6.2.5.1: four ports are a BAR. No part of an access is wider. */
static void test_the_smallest_BAR(void **state)
{
    struct pcidev *dev = rig_dev(&zoo.rig, zoo_big);
    uint64_t value;

    (void)state;
    assert_true(zoo_off(zoo_big, COMMAND_IO));
    vpci_bar_resized(atomic_load(&dev->vpci), 3, 4);
    assert_true(zoo_on(zoo_big, COMMAND_IO));
    assert_int_equal(berth_domain_port_write(zoo.guest, ZOO_BIG_BAR3, 8, 0x1122334455667788), 0);
    assert_int_equal(berth_domain_port_read(zoo.guest, ZOO_BIG_BAR3, 8, &value), 0);
    assert_int_equal(value, 0xffffffff55667788);
    assert_int_equal(hardware(zoo_big, 3, 4), 0);
    rig_put(dev);
}

/* ---- who is there ---- */

static void test_V1_only_the_guests_own_BARs(void **state)
{
    struct berth_domain *other = rig_guest(&zoo.rig, "vm2");
    uint64_t value = UNTOUCHED;

    (void)state;
    assert_int_equal(berth_domain_mmio_read(other, ZOO_SMALL_BAR5, 4, &value), -ENOENT);
    assert_int_equal(
        berth_domain_mmio_read(berth_machine_hwdom(zoo.rig.machine), ZOO_SMALL_BAR5, 4, &value),
        -ENOENT);
    assert_int_equal(rig_assign(&zoo.rig, rig_nvme, other), 0);
    assert_int_equal(berth_domain_mmio_write(other, ZOO_SMALL_BAR5, 4, 1), -ENOENT);
    assert_int_equal(value, UINT32_MAX);
    rig_destroy_guest(&zoo.rig, other);
}

static void test_what_is_not_decoded_is_not_there(void **state)
{
    uint64_t value = UNTOUCHED;

    (void)state;
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 0x1234), 0);
    assert_true(zoo_off(zoo_small, COMMAND_MEMORY));
    assert_int_equal(read_at(ZOO_SMALL_BAR5, 4, &value), -ENOENT);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 0), -ENOENT);
    assert_int_equal(value, UINT32_MAX);
    zoo_put(zoo_small, BAR(5), 4, ZOO_SMALL_BAR5 + 0x100);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    assert_int_equal(read_at(ZOO_SMALL_BAR5, 4, &value), -ENOENT);
    assert_int_equal(get(ZOO_SMALL_BAR5 + 0x100, 4), 0x1234);
}

static struct sim_counters counters_of(struct sbdf sbdf)
{
    struct sim_counters now;

    sim_function_counters(zoo.rig.sim, sbdf, &now);
    return now;
}

static unsigned looks;

static void look_inside(void)
{
    struct sim_counters before = counters_of(zoo_small);

    assert_int_equal(get(ZOO_SMALL_BAR5, 8), UINT64_MAX);
    assert_int_equal(get(ZOO_SMALL_BAR2 + 2, 2), 0xffff);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 0), 0);
    assert_int_equal(counters_of(zoo_small).bar_reads, before.bar_reads);
    assert_int_equal(counters_of(zoo_small).bar_writes, before.bar_writes);
    looks++;
}

/* Whoever looks at a BAR during a reset is not faulted: a guest's driver may still be about it. */
static void test_K09_a_BAR_reads_ones_during_a_reset(void **state)
{
    (void)state;
    looks = 0;
    spy.hook = look_inside;
    assert_int_equal(rig_reset(&zoo.rig, zoo_small), 0);
    spy.hook = NULL;
    assert_true(looks > 3);
    assert_int_equal(get(ZOO_SMALL_BAR5, 4), 0);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 7), 0);
    assert_int_equal(hardware(zoo_small, 5, 0), 7);
}

static void test_A4_K09_a_device_that_vanished_reads_ones(void **state)
{
    uint64_t value = UNTOUCHED;

    (void)state;
    rig_pull(&zoo.rig, zoo_small);
    assert_int_equal(get(ZOO_SMALL_BAR5, 4), UINT32_MAX);
    assert_int_equal(get(ZOO_SMALL_BAR0 + TABLE, 4), UINT32_MAX);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 0), 0);
    assert_int_equal(counters_of(zoo_small).touches_vanished, 0);
    assert_int_equal(rig_remove(&zoo.rig, zoo_small, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(read_at(ZOO_SMALL_BAR5, 4, &value), -ENOENT);
    assert_int_equal(value, UINT32_MAX);
}

static void test_a_host_that_fails_reads_ones(void **state)
{
    (void)state;
    sim_fail(zoo.rig.sim, SIM_OP_BAR_READ, 1, 0, 0);
    assert_int_equal(get(ZOO_SMALL_BAR5, 2), 0xffff);
    assert_true(sim_failed(zoo.rig.sim, SIM_OP_BAR_READ));
    sim_fail(zoo.rig.sim, SIM_OP_BAR_WRITE, 1, 0, 0);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 2, 5), 0);
    assert_true(sim_failed(zoo.rig.sim, SIM_OP_BAR_WRITE));
    assert_int_equal(get(ZOO_SMALL_BAR5, 2), 0);
}

/* ---- MSI-X ---- */

/* M31: the table is the guest's own, what is beside it in the page is the device's. */
static void test_M31_table_and_neighbours_in_one_page(void **state)
{
    const uint64_t page = ZOO_BIG_BAR0 + TABLE;

    (void)state;
    assert_int_equal(guest_maps_at(&zoo.maps, page), 0);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0 + PBA), 0);
    assert_int_equal(write_at(page, 8, UINT64_C(0xfee01000)), 0);
    assert_int_equal(write_at(page + 8, 4, 0x4021), 0);
    assert_int_equal(get(page, 8), UINT64_C(0xfee01000));
    assert_int_equal(get(page + 8, 4), 0x4021);
    assert_int_not_equal(hardware(zoo_big, 0, TABLE + 8), 0x4021);
    assert_int_equal(write_at(page + 0x800, 4, 0xcafe), 0);
    assert_int_equal(get(page + 0x800, 4), 0xcafe);
    assert_int_equal(hardware(zoo_big, 0, TABLE + 0x800), 0xcafe);
}

/* ---- V8 ---- */

/* The lock of the view is held by somebody, for as long as it takes. */
static void test_V8_what_is_not_a_table_takes_no_lock(void **state)
{
    struct pcidev *dev = rig_dev(&zoo.rig, zoo_small);
    struct vpci *v = atomic_load(&dev->vpci);

    (void)state;
    lock_take(&v->lock);
    assert_int_equal(write_at(ZOO_SMALL_BAR5, 4, 0x99), 0);
    assert_int_equal(get(ZOO_SMALL_BAR5, 4), 0x99);
    lock_drop(&v->lock);
    rig_put(dev);
}

/* ---- many ---- */

#define MANY 200u

static const struct sbdf many_pf = {0, 9, 0};

static struct sbdf many_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(many_pf) + 1 + index);
}

/* In no order that helps. */
static uint64_t many_place(unsigned index)
{
    return UINT64_C(0x8000000000) + (uint64_t)(index * 37 % MANY) * 0x4000;
}

static void many_up(void)
{
    rig_begin(&zoo.rig);
    rig_standard(&zoo.rig);
    mb_root_port(&zoo.rig.builder, at(0, 8, 0), 9, 9);
    mb_pf(&zoo.rig.builder, many_pf, MANY, 1, 1);
    rig_up(&zoo.rig, NULL);
    zoo.guest = rig_guest(&zoo.rig, "vm1");
    assert_int_equal(rig_sriov(&zoo.rig, many_pf, MANY), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(rig_add(&zoo.rig, many_vf(i)), 0);
        assert_int_equal(rig_assign(&zoo.rig, many_vf(i), zoo.guest), 0);
        zoo_put(many_vf(i), BAR(0), 8, many_place(i));
        assert_true(zoo_on(many_vf(i), COMMAND_MEMORY));
    }
}

static void expect_own_registers(unsigned first, unsigned step)
{
    for (unsigned i = first; i < MANY; i += step) {
        assert_int_equal(write_at(many_place(i) + 0x10, 4, i + 1), 0);
        assert_int_equal(hardware(many_vf(i), 0, 0x10), i + 1);
        assert_int_equal(write_at(many_place(i) + 0x1ffc, 4, i + 2), 0);
        assert_int_equal(hardware(many_vf(i), 0, 0x1ffc), i + 2);
    }
}

static void test_hundreds_of_BARs(void **state)
{
    uint64_t value;

    (void)state;
    many_up();
    expect_own_registers(0, 1);
    for (unsigned i = 0; i < MANY; i += 2)
        assert_int_equal(rig_deassign(&zoo.rig, many_vf(i), zoo.guest), 0);
    for (unsigned i = 0; i < MANY; i += 2)
        assert_int_equal(read_at(many_place(i), 4, &value), -ENOENT);
    expect_own_registers(1, 2);
    zoo_put(many_vf(1), COMMAND, 2, 0);
    zoo_put(many_vf(1), BAR(0), 8, many_place(2)); /* where another one was */
    assert_true(zoo_on(many_vf(1), COMMAND_MEMORY));
    zoo_put(many_vf(3), COMMAND, 2, 0);
    zoo_put(many_vf(3), BAR(0), 8, many_place(5)); /* where another one is */
    assert_false(zoo_on(many_vf(3), COMMAND_MEMORY));
    expect_own_registers(5, 2);
    rig_destroy_guest(&zoo.rig, zoo.guest);
    rig_down(&zoo.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, zoo_teardown)
        TEST(test_lengths_that_there_are_not),
        TEST(test_every_alignment_of_every_length),
        TEST(test_what_is_outside_reads_ones_and_is_dropped),
        TEST(test_ends_of_the_address_spaces),
        TEST(test_ports),
        TEST(test_the_smallest_BAR),
        TEST(test_V1_only_the_guests_own_BARs),
        TEST(test_what_is_not_decoded_is_not_there),
        TEST(test_K09_a_BAR_reads_ones_during_a_reset),
        TEST(test_A4_K09_a_device_that_vanished_reads_ones),
        TEST(test_a_host_that_fails_reads_ones),
        TEST(test_M31_table_and_neighbours_in_one_page),
        TEST(test_V8_what_is_not_a_table_takes_no_lock),
        cmocka_unit_test(test_hundreds_of_BARs),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
