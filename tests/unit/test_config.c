/* SPDX-License-Identifier: MIT */
/* The owner's config space (V1, V2, V7, F22, F73, F74, F75, F90, K12). */
#include "tests/unit/rig.h"

#define COMMAND 4
#define STATUS_PARITY 0x8000u

static struct rig rig;
static struct berth_domain *guest;

static const struct sbdf error_at = {0, 0, 0xf0};

static int setup(void **state)
{
    struct capture_function *error_seen;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    /* has seen an error, and no reset that would forget it */
    error_seen = mb_rc_endpoint(&rig.builder, error_at);
    mb_no_flr(error_seen);
    mb_put(error_seen, 6, 2, 0x0010 | STATUS_PARITY);
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

/* What a guest may change, byte by byte. */
static uint8_t writable(unsigned reg)
{
    switch (reg) {
    case 0x04:
        return 0x04; /* bus mastering */
    case 0x05:
        return 0x04; /* interrupt disable */
    case 0x0c:
    case 0x3c:
        return 0xff;
    default:
        return 0;
    }
}

static void read_all(uint8_t bytes[256])
{
    for (unsigned reg = 0; reg < 256; reg++)
        bytes[reg] = (uint8_t)rig_peek(&rig, rig_nvme, reg, 1);
}

static void check_write(unsigned reg, unsigned length, uint32_t value)
{
    uint8_t before[256], after[256];

    read_all(before);
    berth_domain_config_write(guest, rig_nvme, reg, length, value);
    read_all(after);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t mask = i >= reg && i < reg + length ? writable(i) : 0;
        uint8_t wanted = (uint8_t)(value >> 8 * ((i - reg) & 3));

        assert_int_equal(after[i], (before[i] & ~mask) | (wanted & mask));
    }
}

static void test_V7_a_guest_writes_what_is_listed_and_nothing_else(void **state)
{
    static const uint32_t values[] = {UINT32_MAX, 0, 0xa5a5a5a5, 0x5a5a5a5a};

    (void)state;
    for (unsigned length = 1; length <= 4; length *= 2)
        for (unsigned reg = 0; reg < 256; reg += length)
            for (unsigned i = 0; i < 4; i++)
                check_write(reg, length, values[i]);
}

static void test_F75_status_errors_are_not_cleared_by_a_guest(void **state)
{
    (void)state; /* a one clears them */
    assert_int_equal(rig_assign(&rig, error_at, guest), 0);
    for (unsigned length = 1; length <= 4; length *= 2)
        for (unsigned reg = 4; reg < 8; reg += length)
            berth_domain_config_write(guest, error_at, reg, length, UINT32_MAX);
    assert_int_equal(rig_peek(&rig, error_at, 6, 2) & STATUS_PARITY, STATUS_PARITY);
    rig_poke(&rig, error_at, 6, 2, STATUS_PARITY);
    assert_int_equal(rig_peek(&rig, error_at, 6, 2) & STATUS_PARITY, 0);
}

static void test_K12_unlisted_writes_do_not_even_reach_the_host(void **state)
{
    struct sim_counters before, after;

    (void)state;
    sim_function_counters(rig.sim, rig_nvme, &before);
    for (unsigned reg = 0x10; reg < 0x3c; reg += 4)
        berth_domain_config_write(guest, rig_nvme, reg, 4, UINT32_MAX);
    for (unsigned reg = 0x40; reg < 0x1000; reg += 4)
        berth_domain_config_write(guest, rig_nvme, reg, 4, UINT32_MAX);
    sim_function_counters(rig.sim, rig_nvme, &after);
    assert_int_equal(after.config_writes, before.config_writes);
}

static void test_M47_the_hardware_domain_writes_everything(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    (void)state;
    berth_domain_config_write(hwdom, rig_nvme2, COMMAND, 2, 0);
    assert_int_equal(rig_peek(&rig, rig_nvme2, COMMAND, 2), 0);
    berth_domain_config_write(hwdom, rig_nvme2, 0x10, 4, UINT32_MAX);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x10, 4), 0xffffc00c);
}

static void test_V1_only_the_owner_reads_and_writes(void **state)
{
    struct berth_domain *others[] = {
        berth_machine_hwdom(rig.machine),
        berth_machine_quarantine(rig.machine),
        berth_machine_hidden(rig.machine),
    };
    struct sim_counters before, after;

    (void)state;
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 0, 4), 0x00101b36);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme2, 0, 4), UINT32_MAX);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(berth_domain_config_read(others[i], rig_nvme, 0, 4), UINT32_MAX);
        berth_domain_config_write(others[i], rig_nvme, COMMAND, 2, 0);
    }
    berth_domain_config_write(guest, rig_nvme2, COMMAND, 2, 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.config_reads, before.config_reads);
    assert_int_equal(after.config_writes, before.config_writes);
}

static void test_F90_not_there_reads_exactly_as_many_ones(void **state)
{
    const struct sbdf nobody[] = {at(9, 9, 1), sbdf_make(1, 2, 0, 0), sbdf_make(0xffff, 2, 0, 0)};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(berth_domain_config_read(guest, nobody[i], 0, 1), 0xff);
        assert_int_equal(berth_domain_config_read(guest, nobody[i], 0, 2), 0xffff);
        assert_int_equal(berth_domain_config_read(guest, nobody[i], 0, 4), UINT32_MAX);
        berth_domain_config_write(guest, nobody[i], 0, 4, 0);
    }
    /* F88: accesses that no bus has */
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 0, 8), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 1, 2), 0xffff);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 2, 4), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 4096, 4), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, UINT32_MAX - 3, 4), UINT32_MAX);
    berth_domain_config_write(guest, rig_nvme, 3, 2, 0);
    berth_domain_config_write(guest, rig_nvme, UINT32_MAX - 3, 4, 0);
}

static void test_F22_nothing_is_behind_a_short_config_space(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);
    struct sim_counters before, after;

    (void)state;
    assert_int_equal(berth_domain_config_read(hwdom, rig_legacy, 0, 2), 0x1b36);
    sim_function_counters(rig.sim, rig_legacy, &before);
    assert_int_equal(berth_domain_config_read(hwdom, rig_legacy, 0x100, 4), UINT32_MAX);
    berth_domain_config_write(hwdom, rig_legacy, 0x100, 4, 0);
    sim_function_counters(rig.sim, rig_legacy, &after);
    assert_int_equal(after.config_reads, before.config_reads);
    assert_int_equal(after.config_writes, before.config_writes);
    assert_int_not_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x100, 4), UINT32_MAX);
}

static void test_V2_a_host_that_fails_reads_ones_and_drops_writes(void **state)
{
    const uint32_t command = rig_peek(&rig, rig_nvme, COMMAND, 2);

    (void)state;
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 1, 0);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 0, 2), 0xffff);
    berth_domain_config_write(guest, rig_nvme, COMMAND, 2, command ^ 0x0404);
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2), command);
    sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, 0);
    berth_domain_config_write(guest, rig_nvme, COMMAND, 2, command ^ 0x0404);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2), command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_a_guest_writes_what_is_listed_and_nothing_else),
        TEST(test_F75_status_errors_are_not_cleared_by_a_guest),
        TEST(test_K12_unlisted_writes_do_not_even_reach_the_host),
        TEST(test_M47_the_hardware_domain_writes_everything),
        TEST(test_V1_only_the_owner_reads_and_writes),
        TEST(test_F90_not_there_reads_exactly_as_many_ones),
        TEST(test_F22_nothing_is_behind_a_short_config_space),
        TEST(test_V2_a_host_that_fails_reads_ones_and_drops_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
