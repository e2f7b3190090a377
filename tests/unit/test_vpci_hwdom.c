/* SPDX-License-Identifier: MIT */
/* Registers in the hardware domain's view: all else passes to the hardware (M47, F18, F22). */
#include "tests/unit/guests.h"

#define INTERRUPT_LINE 0x3cu
#define ID 0x00101b36u

static const struct sbdf read_only_at[] = {{0, 5, 0}}; /* rig_phantom */

static void reserve(struct berth_machine_config *config)
{
    config->read_only = read_only_at;
    config->read_only_count = 1;
}

static int setup(void **state)
{
    (void)state;
    return guests_start(reserve, 1);
}

static uint64_t host_get(struct sbdf sbdf, unsigned reg, unsigned length)
{
    return berth_domain_config_read(hwdom(), sbdf, reg, length);
}

static void host_set(struct sbdf sbdf, unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(hwdom(), sbdf, reg, length, value);
}

static const struct berth_register line = {
    .offset = INTERRUPT_LINE, .size = 1, .reset = 0x42, .rw = 0x0f, .ro = 0xf0};

static void test_M47_what_is_trapped_is_trapped_and_the_rest_passes(void **state)
{
    struct pcidev *legacy = rig_dev(&rig, rig_legacy);
    const uint32_t hardware = rig_peek(&rig, rig_legacy, INTERRUPT_LINE, 4);

    (void)state;
    assert_int_equal(berth_view_size(legacy), 0);
    assert_int_equal(berth_register_remove(legacy, INTERRUPT_LINE, 1), -ENODEV);
    assert_int_equal(berth_register_add(legacy, &line, NULL), 0);
    assert_int_equal(host_get(rig_legacy, INTERRUPT_LINE, 1), 0x42);
    assert_int_equal(host_get(rig_legacy, INTERRUPT_LINE, 4), (hardware & ~0xffu) | 0x42);
    assert_int_equal(host_get(rig_legacy, INTERRUPT_LINE - 1, 8) & 0xffff00,
                     (hardware & 0xff00) << 8 | 0x4200);
    host_set(rig_legacy, INTERRUPT_LINE, 1, 0xff);
    assert_int_equal(host_get(rig_legacy, INTERRUPT_LINE, 1), 0x4f);
    assert_int_equal(rig_peek(&rig, rig_legacy, INTERRUPT_LINE, 4), hardware);
    /* an access over both: each gets its part */
    host_set(rig_legacy, 0x0c, 1, 0x10);
    host_set(rig_legacy, 4, 2, 0x0007);
    assert_int_equal(rig_peek(&rig, rig_legacy, 0x0c, 1), 0x10);
    assert_int_equal(rig_peek(&rig, rig_legacy, 4, 2), 7);
    assert_int_equal(host_get(rig_legacy, 0, 4), ID);
    assert_int_equal(host_get(rig_legacy, 0x100, 4), UINT32_MAX); /* F22: as without registers */
    assert_int_equal(berth_register_remove(legacy, INTERRUPT_LINE, 1), 0);
    assert_int_equal(host_get(rig_legacy, INTERRUPT_LINE, 4), hardware);
    host_set(rig_legacy, INTERRUPT_LINE, 1, 0x21);
    assert_int_equal(rig_peek(&rig, rig_legacy, INTERRUPT_LINE, 1), 0x21);
    rig_put(legacy);
}

static void test_M47_an_access_over_a_trapped_register_and_its_neighbours(void **state)
{
    static const struct berth_register bar = {.offset = 0x12, .size = 1, .reset = 0x99, .rw = 0xff};
    struct pcidev *legacy = rig_dev(&rig, rig_legacy);
    const uint32_t hardware = rig_peek(&rig, rig_legacy, 0x10, 4);

    (void)state;
    assert_int_equal(berth_register_add(legacy, &bar, NULL), 0);
    host_set(rig_legacy, 0x10, 4, 0xaa55e000);
    assert_int_equal(rig_peek(&rig, rig_legacy, 0x10, 4), 0xaa00e000 | (hardware & 0xff0000));
    assert_int_equal(host_get(rig_legacy, 0x10, 4), 0xaa55e000);
    assert_int_equal(host_get(rig_legacy, 0x11, 2), 0x55e0);
    host_set(rig_legacy, 0x10, 4, hardware);
    assert_int_equal(rig_peek(&rig, rig_legacy, 0x10, 4), hardware);
    rig_put(legacy);
}

static unsigned called;

static uint32_t count_call(void *context, unsigned reg, uint32_t stored, uint32_t value,
                           uint32_t cleared)
{
    (void)context;
    (void)reg;
    (void)stored;
    (void)cleared;
    called++;
    return value;
}

static void test_F18_a_read_only_device_stays_one(void **state)
{
    static const struct berth_register desc = {
        .offset = 0xa00, .size = 4, .reset = 0x77, .rw = 0xff, .write = count_call};
    struct pcidev *read_only = rig_dev(&rig, read_only_at[0]);
    struct sim_counters before, after;

    (void)state;
    called = 0;
    assert_int_equal(berth_register_add(read_only, &desc, NULL), 0);
    sim_function_counters(rig.sim, read_only_at[0], &before);
    host_set(read_only_at[0], 0xa00, 4, 0);
    host_set(read_only_at[0], 0x3c, 4, 0);
    sim_function_counters(rig.sim, read_only_at[0], &after);
    assert_int_equal(called, 0);
    assert_int_equal(after.config_writes, before.config_writes);
    assert_int_equal(host_get(read_only_at[0], 0xa00, 4), 0x77);
    assert_int_equal(host_get(read_only_at[0], 0, 4), ID);
    rig_put(read_only);
}

static void test_M47_registers_of_the_hardware_domain_end_with_a_loan(void **state)
{
    struct pcidev *pf = rig_dev(&rig, rig_pf);
    const uint32_t hardware = rig_peek(&rig, rig_pf, INTERRUPT_LINE, 1);

    (void)state;
    assert_int_equal(berth_register_add(pf, &line, NULL), 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0); /* a loan that failed ends nothing (R7) */
    assert_int_not_equal(rig_assign(&rig, rig_pf, vm.domain), 0);
    assert_int_equal(host_get(rig_pf, INTERRUPT_LINE, 1), 0x42);
    assert_int_equal(rig_reset(&rig, rig_pf), 0);
    assert_int_equal(host_get(rig_pf, INTERRUPT_LINE, 1), 0x42);
    assert_int_equal(rig_assign(&rig, rig_pf, vm.domain), 0);
    assert_int_equal(host_get(rig_pf, INTERRUPT_LINE, 1), 0xff);
    assert_int_not_equal(
        berth_domain_config_read(vm.domain, rig_seen(&rig, rig_pf), INTERRUPT_LINE, 1), 0x42);
    assert_int_equal(rig_deassign(&rig, rig_pf, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_pf, hwdom()), 0);
    assert_int_equal(host_get(rig_pf, INTERRUPT_LINE, 1), hardware);
    assert_int_equal(berth_view_size(pf), 0);
    rig_put(pf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M47_what_is_trapped_is_trapped_and_the_rest_passes),
        TEST(test_M47_an_access_over_a_trapped_register_and_its_neighbours),
        TEST(test_F18_a_read_only_device_stays_one),
        TEST(test_M47_registers_of_the_hardware_domain_end_with_a_loan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
