/* SPDX-License-Identifier: MIT */
/* Whatever a guest writes, wherever: the hardware changes where it is the guest's (V7, F72, O7). */
#include <string.h>

#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SPACE 4096u
#define CAP_PM 0x01
#define CAP_EXP 0x10
#define CAP_MSIX 0x11
#define EXT_SRIOV 0x10

static struct rig rig;
static struct rig_vm vm;
static const struct sbdf *const devices[] = {&rig_nvme, &rig_pf, &rig_phantom};

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    for (unsigned i = 0; i < COUNT(devices); i++)
        assert_int_equal(rig_assign(&rig, *devices[i], vm.domain), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static uint8_t hardware[SPACE], before[SPACE], allowed[SPACE], changed[SPACE];

static void see_hardware(struct sbdf host, uint8_t bytes[SPACE])
{
    for (unsigned reg = 0; reg < SPACE; reg++)
        bytes[reg] = (uint8_t)rig_peek(&rig, host, reg, 1);
}

static void allow(unsigned at, unsigned reg, uint32_t bits)
{
    for (unsigned i = 0; at && i < 4; i++)
        allowed[at + reg + i] |= (uint8_t)(bits >> 8 * i);
}

/* V7: everything else is the host's. */
static void allow_what_is_the_guests(struct sbdf host)
{
    const struct capture_function *f = rig_function(&rig, host);

    memset(allowed, 0, sizeof(allowed));
    memset(changed, 0, sizeof(changed));
    allowed[4] = 0x04;                              /* bus mastering */
    allowed[5] = 0x04;                              /* INTx is off with MSI-X */
    allow(mb_find_cap(f, CAP_PM), 4, 0x0003);       /* power state */
    allow(mb_find_cap(f, CAP_EXP), 8, 0x7810);      /* ordering, snooping, size of reads */
    allow(mb_find_cap(f, CAP_MSIX), 0, 0xc0000000); /* on; and masked while it is set up */
    allow(mb_find_ext_cap(f, EXT_SRIOV), 8, 0x0009);
    allow(mb_find_ext_cap(f, EXT_SRIOV), 0x10, 0xffff);
}

static void expect_only_what_is_allowed(struct sbdf host)
{
    see_hardware(host, hardware);
    for (unsigned reg = 0; reg < SPACE; reg++) {
        changed[reg] |= hardware[reg] ^ before[reg];
        if (changed[reg] & ~allowed[reg])
            fail_msg("%x: %02x was %02x", reg, hardware[reg], before[reg]);
    }
    rig_expect_untouched(&rig);
}

static void write_all_of_it(struct sbdf host, unsigned size, uint64_t value)
{
    const struct sbdf seen = rig_seen(&rig, host);

    for (unsigned reg = 0; reg + size <= SPACE; reg++)
        berth_domain_config_write(vm.domain, seen, reg, size, value);
}

static void test_F72_whatever_a_guest_writes(void **state)
{
    /* the last one asks for all but a reset */
    static const uint64_t values[] = {UINT64_MAX, 0, 0xa5a5a5a5a5a5a5a5u, 0x5a5a5a5a5a5a5a5au,
                                      0x7f7f7f7f7f7f7f7fu};

    (void)state;
    for (unsigned i = 0; i < COUNT(devices); i++) {
        const uint32_t generation = rig_info(&rig, *devices[i]).generation;

        see_hardware(*devices[i], before);
        allow_what_is_the_guests(*devices[i]);
        for (unsigned size = 1; size <= 8; size *= 2)
            for (unsigned k = 0; k < COUNT(values); k++) {
                write_all_of_it(*devices[i], size, values[k]);
                expect_only_what_is_allowed(*devices[i]);
            }
        assert_false(rig_info(&rig, *devices[i]).broken);
        assert_int_equal(changed[4], allowed[4]); /* it was no idle talk */
        assert_int_not_equal(rig_info(&rig, *devices[i]).generation, generation);
    }
}

static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_F72_whatever_a_guest_writes_at_random(void **state)
{
    const struct sbdf seat = rig_seen(&rig, rig_nvme);
    uint32_t seed = 42;
    unsigned answered = 0;

    (void)state;
    see_hardware(rig_nvme, before);
    allow_what_is_the_guests(rig_nvme);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned reg = roll(&seed) % (roll(&seed) % 2 ? 0x180 : SPACE + 8);
        unsigned size = roll(&seed) % 4 ? 1u << roll(&seed) % 4 : roll(&seed) % 17;
        uint64_t value = (uint64_t)roll(&seed) << 40 | (uint64_t)roll(&seed) << 16 | roll(&seed);

        berth_domain_config_write(vm.domain, seat, reg, size, value);
        answered += berth_domain_config_read(vm.domain, seat, 0, 4) == 0x00101b36;
        if (i % 1000 == 0)
            expect_only_what_is_allowed(rig_nvme);
    }
    expect_only_what_is_allowed(rig_nvme);
    assert_int_equal(answered, 20000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F72_whatever_a_guest_writes),
        TEST(test_F72_whatever_a_guest_writes_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
