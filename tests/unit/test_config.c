/* SPDX-License-Identifier: MIT */
/*
 * The owner's config space: the hardware domain's is the hardware's, a guest's is what is emulated
 * (V1, V2, V7, F22, F72, F73, F74, F75, F88, F90, K12).
 */
#include <string.h>

#include "tests/unit/rig.h"

#define COMMAND 4
#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_INTX_DISABLE 0x0400u
#define STATUS 6
#define BAR0 0x10
#define STATUS_ERRORS 0x6000u /* received master abort, signalled system error */
#define CAP_MSIX 0x11
#define ID 0x00101b36u

static struct rig rig;
static struct rig_vm vm;
static struct berth_domain *guest;
static struct sbdf seen; /* rig_nvme, in the guest */

static const struct sbdf error_at = {0, 0, 0xf0};

/* Registers that no capability has, and that the device has all the same. */
static const uint16_t unlisted[] = {0xd0, 0xfc, 0x800, 0xffc};

static int setup(void **state)
{
    struct capture_function *error_seen;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    for (unsigned i = 0; i < 4; i++)
        mb_put(rig_function(&rig, rig_nvme), unlisted[i], 4, 0xb0a710adu);
    /* has seen errors, and no reset that would forget them */
    error_seen = mb_rc_endpoint(&rig.builder, error_at);
    mb_no_flr(error_seen);
    mb_put(error_seen, STATUS, 2, 0x0010 | STATUS_ERRORS);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    guest = vm.domain;
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    seen = rig_seen(&rig, rig_nvme);
    berth_domain_config_write(guest, seen, BAR0, 8, UINT64_C(0x2000000000));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static uint64_t guest_read(unsigned reg, unsigned length)
{
    return berth_domain_config_read(guest, seen, reg, length);
}

static void guest_write(unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(guest, seen, reg, length, value);
}

/* ---- what reaches the hardware ---- */

/* What a write to the header may change in the device, byte by byte (F73, F78). */
static uint8_t reaches(unsigned reg)
{
    return reg == COMMAND ? COMMAND_MASTER : reg == COMMAND + 1 ? COMMAND_INTX_DISABLE >> 8 : 0;
}

static void read_all(uint8_t bytes[256])
{
    for (unsigned reg = 0; reg < 256; reg++)
        bytes[reg] = (uint8_t)rig_peek(&rig, rig_nvme, reg, 1);
}

static void check_write(unsigned reg, unsigned length, uint64_t value)
{
    uint8_t before[256], after[256];

    read_all(before);
    guest_write(reg, length, value);
    read_all(after);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t mask = i >= reg && i < reg + length ? reaches(i) : 0;
        uint8_t wanted = (uint8_t)(value >> 8 * ((i - reg) & 7));

        assert_int_equal(after[i], (before[i] & ~mask) | (wanted & mask));
    }
}

static void test_V7_a_write_to_the_header_leaves_the_hosts_bits_alone(void **state)
{
    static const uint64_t values[] = {UINT64_MAX, 0, 0xa5a5a5a5a5a5a5a5u, 0x5a5a5a5a5a5a5a5au};

    (void)state;
    for (unsigned length = 1; length <= 8; length *= 2)
        for (unsigned reg = 0; reg + length <= 0x40; reg++)
            for (unsigned i = 0; i < 4; i++)
                check_write(reg, length, values[i]);
}

static void test_F73_every_bit_of_the_command_register(void **state)
{
    const uint32_t host = rig_peek(&rig, rig_nvme, COMMAND, 2);
    const uint32_t kept = ~(COMMAND_MASTER | COMMAND_INTX_DISABLE);

    (void)state;
    for (unsigned bit = 0; bit < 16; bit++) {
        uint32_t now;

        guest_write(COMMAND, 2, 1u << bit);
        now = (uint32_t)guest_read(COMMAND, 2);
        assert_int_equal(now, 1u << bit & (COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_DISABLE));
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & kept, host & kept);
        assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER,
                         now & COMMAND_MASTER);
    }
}

static void test_F74_bus_mastering_and_decode_in_one_write(void **state)
{
    (void)state;
    guest_write(COMMAND, 2, 0);
    guest_write(COMMAND, 2, COMMAND_MASTER | COMMAND_MEMORY);
    assert_int_equal(guest_read(COMMAND, 2), COMMAND_MASTER | COMMAND_MEMORY);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, COMMAND_MASTER);
    guest_write(COMMAND, 1, COMMAND_MASTER);
    assert_int_equal(guest_read(COMMAND, 2), COMMAND_MASTER);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MEMORY,
                     COMMAND_MEMORY); /* V7: decode is the host's */
}

static uint32_t errors(void)
{
    return rig_peek(&rig, error_at, STATUS, 2) & STATUS_ERRORS;
}

static void test_F75_ones_clear_the_errors_that_they_stand_for(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, error_at, guest), 0);
    seen = rig_seen(&rig, error_at);
    assert_int_equal(guest_read(STATUS, 2) & STATUS_ERRORS, 0); /* O2: those before are cleared */
    assert_int_equal(sim_error(rig.sim, error_at, SIM_ERROR_NONFATAL), 0);
    assert_int_equal(guest_read(STATUS, 2) & STATUS_ERRORS, STATUS_ERRORS);
    guest_write(COMMAND, 2, 0xffff);
    guest_write(COMMAND, 4, 0x0000ffff);
    guest_write(STATUS, 2, 0x06ff); /* no error bit in it */
    guest_write(STATUS, 1, 0xff);
    guest_write(STATUS + 1, 1, 0);
    assert_int_equal(errors(), STATUS_ERRORS);
    guest_write(STATUS + 1, 1, 0x40);
    assert_int_equal(errors(), STATUS_ERRORS & ~0x4000u);
    guest_write(COMMAND, 4, 0x01000000);
    assert_int_equal(errors(), STATUS_ERRORS & ~0x4000u);
    guest_write(0, 8, UINT64_MAX);
    assert_int_equal(errors(), 0);
    assert_int_equal(guest_read(STATUS, 2) & STATUS_ERRORS, 0);
}

static void test_K12_unlisted_registers_are_reserved_and_reach_nobody(void **state)
{
    const unsigned last = mb_find_cap(rig_function(&rig, rig_nvme), CAP_MSIX) + 12;
    struct sim_counters before, after;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_peek(&rig, rig_nvme, unlisted[i], 4), 0xb0a710adu);
    sim_function_counters(rig.sim, rig_nvme, &before);
    for (unsigned reg = last; reg < 0x1000; reg += reg == 0xfc ? 0x204 : 4) { /* AER is not one */
        assert_int_equal(guest_read(reg, 4), 0);
        guest_write(reg, 4, UINT32_MAX);
        assert_int_equal(guest_read(reg, 4), 0);
    }
    sim_function_counters(rig.sim, rig_nvme, &after);
    assert_int_equal(after.config_reads, before.config_reads); /* F71 */
    assert_int_equal(after.config_writes, before.config_writes);
    assert_int_equal(berth_domain_config_read(guest, seen, 0xfff, 1), 0);
}

/* ---- the hardware domain ---- */

static void test_M47_the_hardware_domain_writes_everything(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    (void)state;
    berth_domain_config_write(hwdom, rig_nvme2, COMMAND, 2, 0);
    assert_int_equal(rig_peek(&rig, rig_nvme2, COMMAND, 2), 0);
    berth_domain_config_write(hwdom, rig_nvme2, 0x10, 4, UINT32_MAX);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x10, 4), 0xffffc00c);
    berth_domain_config_write(hwdom, rig_nvme2, 0x10, 8, 0x123456789abc4000u);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x10, 8), 0x123456789abc400cu);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x11, 4), 0x789abc40);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 1, 2), ID >> 8 & 0xffff);
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
    assert_int_equal(berth_domain_config_read(hwdom, rig_legacy, 0xfe, 4) >> 16, 0xffff);
    assert_int_not_equal(berth_domain_config_read(hwdom, rig_nvme2, 0x100, 4), UINT32_MAX);
}

/* ---- who ---- */

static void test_V1_only_the_owner_reads_and_writes(void **state)
{
    struct berth_domain *others[] = {
        berth_machine_hwdom(rig.machine),
        berth_machine_quarantine(rig.machine),
        berth_machine_hidden(rig.machine),
        rig_guest(&rig, "vm2"),
    };
    struct sim_counters before, after;

    (void)state;
    assert_int_equal(guest_read(0, 4), ID);
    assert_int_equal(rig_reach(guest), 1);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(berth_domain_config_read(others[i], rig_nvme, 0, 4), UINT32_MAX);
        berth_domain_config_write(others[i], rig_nvme, COMMAND, 2, 0);
    }
    assert_int_equal(rig_reach(others[3]), 0);
    /* the host's addresses, of what it has and of what it has not, are nothing to a guest */
    assert_int_equal(berth_domain_config_read(guest, rig_nvme, 0, 4), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(guest, rig_nvme2, 0, 4), UINT32_MAX);
    berth_domain_config_write(guest, rig_nvme2, COMMAND, 2, 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.config_reads, before.config_reads);
    assert_int_equal(after.config_writes, before.config_writes);
    rig_destroy_guest(&rig, others[3]);
}

static void expect_ones(struct sbdf sbdf, unsigned reg, unsigned length, uint64_t ones)
{
    assert_int_equal(berth_domain_config_read(guest, sbdf, reg, length), ones);
    berth_domain_config_write(guest, sbdf, reg, length, 0);
}

static void test_F90_not_there_reads_exactly_as_many_ones(void **state)
{
    const struct sbdf nobody[] = {at(9, 9, 1), sbdf_make(1, 2, 0, 0), rig_nowhere};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        expect_ones(nobody[i], 0, 1, 0xff);
        expect_ones(nobody[i], 0, 2, 0xffff);
        expect_ones(nobody[i], 0, 4, UINT32_MAX);
        expect_ones(nobody[i], 0, 8, UINT64_MAX);
    }
    /* F88: accesses that no bus has */
    expect_ones(seen, 0, 3, 0xffffff);
    expect_ones(seen, 0, 16, UINT64_MAX);
    expect_ones(seen, 4096, 4, UINT32_MAX);
    expect_ones(seen, 4094, 4, UINT32_MAX);
    expect_ones(seen, UINT32_MAX - 3, 4, UINT32_MAX);
    assert_int_equal(guest_read(0, 0), 0);
    assert_int_equal(guest_read(1, 2), ID >> 8 & 0xffff);
}

/* ---- a host that fails ---- */

static void test_V2_a_host_that_fails_changes_nothing(void **state)
{
    const uint32_t command = rig_peek(&rig, rig_nvme, COMMAND, 2);
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    (void)state;
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 1, 0);
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0, 2), 0xffff);
    guest_write(COMMAND, 2, COMMAND_MASTER);
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
    assert_int_equal(guest_read(COMMAND, 2), 0); /* and says so */
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2), command);
    sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, 0);
    guest_write(COMMAND, 2, COMMAND_MASTER);
    assert_int_equal(guest_read(COMMAND, 2), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2), command);
    guest_write(COMMAND, 2, COMMAND_MASTER);
    assert_int_equal(guest_read(COMMAND, 2), COMMAND_MASTER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_a_write_to_the_header_leaves_the_hosts_bits_alone),
        TEST(test_F73_every_bit_of_the_command_register),
        TEST(test_F74_bus_mastering_and_decode_in_one_write),
        TEST(test_F75_ones_clear_the_errors_that_they_stand_for),
        TEST(test_K12_unlisted_registers_are_reserved_and_reach_nobody),
        TEST(test_M47_the_hardware_domain_writes_everything),
        TEST(test_F22_nothing_is_behind_a_short_config_space),
        TEST(test_V1_only_the_owner_reads_and_writes),
        TEST(test_F90_not_there_reads_exactly_as_many_ones),
        TEST(test_V2_a_host_that_fails_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
