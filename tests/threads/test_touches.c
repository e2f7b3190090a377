/* SPDX-License-Identifier: MIT */
/*
 * M14: a guest's CPUs access BARs that are trapped while the device sleeps and wakes, stops and
 * starts decoding, changes the size of its BARs, is reset and recovered. No touch of the hardware
 * outside of D0, with decode off, or during a reset.
 */
#include <string.h>

#include "tests/threads/team.h"
#include "tests/unit/rig.h"

#define WORK_MS 700
#define COMMAND 0x04
#define BAR 0x10
#define CAP_PM 0x01
#define CAP_MSIX 0x11
#define EXT_CAP_REBAR 0x0015
#define WHERE 0x10000000u
#define TABLE 0x2000u
#define REBAR_BAR 2u
#define SIZE_SHIFT 8

static struct rig rig;
static struct berth_domain *guest;
static struct sbdf seen;

static void build_rebar(struct capture_function *f)
{
    unsigned cap = mb_ext_cap(f, EXT_CAP_REBAR, 1);

    mb_bar(f, REBAR_BAR, MB_BAR_MEM64, 4 << 20);
    mb_put(f, cap + 4, 4, 0x7 << 4); /* 1, 2 and 4 MiB */
    mb_put(f, cap + 8, 4, 2 << SIZE_SHIFT | 1 << 5 | REBAR_BAR);
}

/* D3hot takes the registers of this one; nobody maps anything, so that all of it is trapped. */
static int setup(void **state)
{
    struct capture_function *f;

    (void)state;
    rig_begin(&rig);
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    f = mb_endpoint(&rig.builder, at(1, 0, 0));
    mb_pm_reset(f);
    build_rebar(f);
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(rig_assign(&rig, at(1, 0, 0), guest), 0);
    seen = rig_seen(&rig, at(1, 0, 0));
    return 0;
}

static int teardown(void **state)
{
    struct sim_counters now;

    (void)state;
    sim_counters(rig.sim, &now);
    assert_int_equal(now.bar_decode_off, 0);
    assert_int_equal(now.touches_resetting, 0);
    assert_true(now.bar_reads > 100 && now.bar_writes > 100); /* or there was nothing to see */
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

/* ---- the CPU that changes things ---- */

static void put(unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(guest, seen, reg, length, value);
}

static unsigned cap(uint8_t id)
{
    return mb_find_cap(rig_function(&rig, at(1, 0, 0)), id);
}

static void decode(void)
{
    put(BAR, 4, WHERE);
    put(BAR + 4, 4, 0);
    put(BAR + 8, 4, WHERE + 0x10000000);
    put(BAR + 12, 4, 0);
    put(COMMAND, 2, 0x0006);
    put(cap(CAP_MSIX) + 2, 2, 0x8000);
}

static void sleep_a_little(void)
{
    put(cap(CAP_PM) + 4, 2, 3);
    put(cap(CAP_PM) + 4, 2, 0);
}

static void resize(uint32_t random)
{
    const unsigned rebar = mb_find_ext_cap(rig_function(&rig, at(1, 0, 0)), EXT_CAP_REBAR);

    put(COMMAND, 2, 0x0004);
    put(rebar + 8, 4, random % 3 << SIZE_SHIFT);
    put(COMMAND, 2, 0x0006);
}

static void recover(void)
{
    struct pcidev *dev = rig_dev(&rig, at(1, 0, 0));

    port_sleep_ns(10000000000); /* no storm */
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), 0);
    rig_put(dev);
}

static void *change(void *context)
{
    struct team *team = context;
    uint32_t seed = 1;

    while (team_goes_on(team)) {
        uint32_t random = team_random(&seed);

        switch (random >> 16 & 7) {
        case 0:
            assert_int_equal(rig_reset(&rig, at(1, 0, 0)), 0);
            break;
        case 1:
            recover();
            break;
        case 2:
            put(COMMAND, 2, 0);
            break;
        case 3:
        case 4:
            sleep_a_little();
            break;
        case 5:
            resize(random);
            break;
        default:
            decode();
            break;
        }
    }
    return NULL;
}

/* ---- those that access ---- */

static void *access_bars(void *context)
{
    struct team *team = context;
    uint32_t seed = 7;

    while (team_goes_on(team)) {
        uint32_t random = team_random(&seed), offset = random >> 8 & 0x3ff8;
        uint64_t value, address = WHERE + (random & 64 ? 0x10000000 : 0) + offset;

        int error = random & 128 ? berth_domain_mmio_write(guest, address, 4, 0x1000)
                                 : berth_domain_mmio_read(guest, address, 4, &value);

        assert_true(error == 0 || error == -ENOENT);
    }
    return NULL;
}

static void test_M14_nothing_is_touched_that_sleeps(void **state)
{
    struct team team;

    (void)state;
    decode();
    team_begin(&team);
    team_start(&team, change, &team);
    team_start(&team, access_bars, &team);
    team_start(&team, access_bars, &team);
    team_run(&team, WORK_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M14_nothing_is_touched_that_sleeps, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
