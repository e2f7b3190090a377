/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: capabilities with a life of their own. VPD, resizable BARs, slots.
 */
#include "tests/unit/sim_help.h"

#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define PORT at(0, 1, 0)
#define CARD at(1, 0, 0)
#define MB UINT64_C(0x100000)
#define GB UINT64_C(0x40000000)
#define SIZE(log2) (((log2)-20u) << 8)

/* ---- VPD ---- */

static void build_vpd(struct simrig *rig)
{
    mb_init(&rig->b);
    mb_cap(mb_endpoint(&rig->b, CARD), PCI_CAP_ID_VPD);
    simrig_start(rig, NULL);
}

static unsigned vpd_reg(struct simrig *rig, unsigned offset)
{
    return simrig_cap(rig, CARD, PCI_CAP_ID_VPD) + offset;
}

static uint32_t vpd_read(struct simrig *rig, unsigned address)
{
    simrig_write(rig, CARD, vpd_reg(rig, PCI_VPD_ADDR), 2, address);
    assert_int_equal(simrig_read(rig, CARD, vpd_reg(rig, PCI_VPD_ADDR), 2),
                     address | PCI_VPD_ADDR_F);
    return simrig_read(rig, CARD, vpd_reg(rig, PCI_VPD_DATA), 4);
}

static void vpd_write(struct simrig *rig, unsigned address, uint32_t value)
{
    simrig_write(rig, CARD, vpd_reg(rig, PCI_VPD_DATA), 4, value);
    simrig_write(rig, CARD, vpd_reg(rig, PCI_VPD_ADDR), 2, address | PCI_VPD_ADDR_F);
    assert_int_equal(simrig_read(rig, CARD, vpd_reg(rig, PCI_VPD_ADDR), 2), address);
}

static void vpd_image(struct simrig *rig, uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i += 4) {
        uint32_t word = vpd_read(rig, i);

        for (unsigned b = 0; b < 4; b++)
            bytes[i + b] = (uint8_t)(word >> 8 * b);
    }
}

/* Walks the resources as PCI Local Bus 3.0, appendix I, has them. */
static void test_the_vpd_can_be_walked(void **state)
{
    uint8_t bytes[128], sum = 0;
    unsigned at, end, fields = 0;
    struct simrig rig;

    (void)state;
    build_vpd(&rig);
    vpd_image(&rig, bytes, sizeof(bytes));
    assert_int_equal(bytes[0], 0x82);
    assert_memory_equal(bytes + 3, "Simulated device 1b36:0010", bytes[1]);
    at = 3u + bytes[1];
    assert_int_equal(bytes[at], 0x90);
    end = at + 3u + bytes[at + 1];
    for (at += 3; at < end; at += 3u + bytes[at + 2], fields++)
        if (!memcmp(bytes + at, "RV", 2))
            for (unsigned i = 0; i <= at + 3; i++)
                sum = (uint8_t)(sum + bytes[i]);
    assert_int_equal(at, end);
    assert_int_equal(fields, 3);
    assert_int_equal(sum, 0);
    assert_int_equal(bytes[end], 0x78);
    assert_int_equal(bytes[end + 1], 0xff);
    assert_int_equal(vpd_read(&rig, 0x7ffc), ONES);
    simrig_stop(&rig);
}

static void test_vpd_keeps_what_is_stored(void **state)
{
    struct simrig rig;
    uint32_t first;

    (void)state;
    build_vpd(&rig);
    first = vpd_read(&rig, 0);
    vpd_write(&rig, 0x7ffc, 0x12345678);
    vpd_write(&rig, 0x200, 0);
    simrig_write(&rig, CARD, vpd_reg(&rig, PCI_VPD_DATA), 4, 0xdead); /* is not stored by itself */
    assert_int_equal(vpd_read(&rig, 0x7ffc), 0x12345678);
    assert_int_equal(vpd_read(&rig, 0x200), 0);
    assert_int_equal(vpd_read(&rig, 0x204), ONES);
    assert_int_equal(vpd_read(&rig, 0), first);
    assert_int_equal(sim_vpd_writes(rig.sim, CARD), 2);
    simrig_write(&rig, CARD, simrig_cap(&rig, CARD, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                 PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(200 * MS);
    assert_int_equal(simrig_read(&rig, CARD, vpd_reg(&rig, PCI_VPD_ADDR), 2), 0);
    assert_int_equal(vpd_read(&rig, 0x7ffc), 0x12345678);
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_int_equal(sim_return(rig.sim, CARD), 0);
    assert_int_equal(vpd_read(&rig, 0x7ffc), 0x12345678);
    assert_int_equal(sim_vpd_writes(rig.sim, at(9, 0, 0)), 0);
    simrig_stop(&rig);
}

static void test_vpd_moves_when_the_flag_is_written_and_only_then(void **state)
{
    struct simrig rig;

    (void)state;
    build_vpd(&rig);
    (void)vpd_read(&rig, 0);
    simrig_write(&rig, CARD, vpd_reg(&rig, PCI_VPD_ADDR), 1, 0x10);
    assert_int_equal(simrig_read(&rig, CARD, vpd_reg(&rig, PCI_VPD_ADDR), 2),
                     0x10 | PCI_VPD_ADDR_F);
    simrig_write(&rig, CARD, vpd_reg(&rig, 0), 1, 0xff); /* the id, in the same dword */
    assert_int_equal(sim_vpd_writes(rig.sim, CARD), 0);
    simrig_write(&rig, CARD, vpd_reg(&rig, PCI_VPD_ADDR), 2, 0x13); /* aligned to four bytes */
    assert_int_equal(simrig_read(&rig, CARD, vpd_reg(&rig, PCI_VPD_ADDR), 2),
                     0x10 | PCI_VPD_ADDR_F);
    simrig_stop(&rig);
}

/* ---- resizable BARs ---- */

/* BAR 0 can have 1 MiB, 16 MiB, 4 GiB and 2^48 bytes, BAR 2, which is a 32-bit one, 1 and 2 MiB and
 * (as it says) 4 GiB. */
static void build_rebar(struct simrig *rig)
{
    struct capture_function *f;
    unsigned rebar;

    mb_init(&rig->b);
    mb_root_port(&rig->b, PORT, 1, 1);
    f = mb_endpoint(&rig->b, CARD);
    mb_bar(f, 0, MB_BAR_PREFETCH64, MB);
    mb_bar(f, 2, MB_BAR_MEM32, MB);
    rebar = mb_ext_cap(f, PCI_EXT_CAP_ID_REBAR, 1);
    mb_put(f, rebar + 4, 4, (1 | 1 << 4 | 1 << 12) << 4);
    mb_put(f, rebar + 8, 4, 2 << 5 | 1 << 16);
    mb_put(f, rebar + 12, 4, (1 | 2 | 1 << 12) << 4);
    mb_put(f, rebar + 16, 4, 2);
    simrig_start(rig, NULL);
}

static unsigned rebar_reg(struct simrig *rig, unsigned offset)
{
    return simrig_ext_cap(rig, CARD, PCI_EXT_CAP_ID_REBAR) + offset;
}

static uint64_t bar_size(struct simrig *rig, unsigned index)
{
    uint64_t start, size;

    assert_int_equal(sim_bar(rig->sim, CARD, index, &start, &size), 0);
    return size;
}

static void decode(struct simrig *rig, bool on)
{
    simrig_update(rig, CARD, PCI_COMMAND, PCI_COMMAND_MEMORY, on ? PCI_COMMAND_MEMORY : 0);
}

static void test_a_bar_takes_the_size_that_software_picks(void **state)
{
    struct simrig rig;
    uint32_t low;

    (void)state;
    build_rebar(&rig);
    decode(&rig, false);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(32));
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 8), 2), SIZE(32) | 2 << 5);
    assert_int_equal(bar_size(&rig, 0), 4 * GB);
    low = simrig_read(&rig, CARD, PCI_BASE_ADDRESS_0, 4);
    assert_int_equal(low & ~0xfu, 0); /* the address was cut */
    simrig_write(&rig, CARD, PCI_BASE_ADDRESS_0, 4, ONES);
    simrig_write(&rig, CARD, PCI_BASE_ADDRESS_1, 4, ONES);
    assert_int_equal(simrig_read(&rig, CARD, PCI_BASE_ADDRESS_0, 4), low);
    assert_int_equal(simrig_read(&rig, CARD, PCI_BASE_ADDRESS_1, 4), ONES);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(48));
    assert_int_equal(bar_size(&rig, 0), UINT64_C(1) << 48);
    assert_int_equal(simrig_read(&rig, CARD, PCI_BASE_ADDRESS_1, 4), 0xffff0000);
    simrig_write(&rig, CARD, rebar_reg(&rig, 16), 2, SIZE(21));
    assert_int_equal(bar_size(&rig, 2), 2 * MB);
    assert_int_equal(bar_size(&rig, 0), UINT64_C(1) << 48);
    simrig_stop(&rig);
}

static void test_sizes_that_cannot_be_are_refused(void **state)
{
    struct simrig rig;
    uint32_t before;

    (void)state;
    build_rebar(&rig);
    before = simrig_read(&rig, CARD, rebar_reg(&rig, 8), 4);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(24)); /* decoding is on */
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 8), 4), before);
    assert_int_equal(bar_size(&rig, 0), MB);
    decode(&rig, false);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(25)); /* not offered */
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(49));
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(83));
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 8), 4), before);
    simrig_write(&rig, CARD, rebar_reg(&rig, 16), 2, SIZE(32)); /* not for a 32-bit BAR */
    assert_int_equal(bar_size(&rig, 2), MB);
    simrig_write(&rig, CARD, rebar_reg(&rig, 4), 4, 0);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 1, ONES); /* index and count */
    simrig_write(&rig, CARD, rebar_reg(&rig, 24), 4,
                 SIZE(21)); /* a third one, which is not there */
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 8), 4), before);
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 24), 4), 0);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(24));
    assert_int_equal(bar_size(&rig, 0), 16 * MB);
    simrig_stop(&rig);
}

static void test_a_reset_gives_bars_their_first_size(void **state)
{
    struct simrig rig;
    uint64_t start, size;

    (void)state;
    build_rebar(&rig);
    decode(&rig, false);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(24));
    simrig_write(&rig, CARD, simrig_cap(&rig, CARD, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                 PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(200 * MS);
    assert_int_equal(simrig_read(&rig, CARD, rebar_reg(&rig, 8), 2), SIZE(20) | 2 << 5);
    assert_int_equal(bar_size(&rig, 0), MB);
    simrig_write(&rig, CARD, rebar_reg(&rig, 8), 2, SIZE(32));
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_int_equal(sim_return(rig.sim, CARD), 0);
    assert_int_equal(sim_bar(rig.sim, CARD, 0, &start, &size), 0);
    assert_int_equal(size, MB);
    assert_int_not_equal(start, 0);
    simrig_stop(&rig);
}

/* Nobody knew the size, but the capability does. */
static void test_the_capability_tells_a_size_that_nobody_knew(void **state)
{
    struct capture_function *f;
    struct simrig rig;
    unsigned rebar;

    (void)state;
    mb_init(&rig.b);
    f = mb_endpoint(&rig.b, CARD);
    mb_put(f, PCI_BASE_ADDRESS_0, 4, 0xc0000008); /* 1 GiB, one might think */
    f->extra.size[0] = 0;
    rebar = mb_ext_cap(f, PCI_EXT_CAP_ID_REBAR, 1);
    mb_put(f, rebar + 4, 4, 0xff << 4);
    mb_put(f, rebar + 8, 4, 1 << 5 | SIZE(26));
    simrig_start(&rig, NULL);
    assert_int_equal(bar_size(&rig, 0), 64 * MB);
    simrig_stop(&rig);
}

/* ---- slots ---- */

static void test_the_slot_sees_cards_come_and_go(void **state)
{
    struct capture_function *port;
    struct simrig rig;
    unsigned slot, link;

    (void)state;
    mb_init(&rig.b);
    port = mb_root_port(&rig.b, PORT, 1, 1);
    slot = mb_find_cap(port, PCI_CAP_ID_EXP);
    mb_put(port, slot + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_DLLLARC);
    mb_endpoint(&rig.b, CARD);
    mb_endpoint(&rig.b, at(1, 0, 1));
    mb_root_port(&rig.b, at(0, 2, 0), 2, 2);
    simrig_start(&rig, NULL);
    link = slot + PCI_EXP_LNKSTA;
    slot += PCI_EXP_SLTSTA;
    assert_int_equal(simrig_read(&rig, PORT, slot, 2), PCI_EXP_SLTSTA_PDS);
    assert_int_equal(simrig_read(&rig, PORT, link, 2), PCI_EXP_LNKSTA_DLLLA);
    assert_int_equal(simrig_read(&rig, at(0, 2, 0), slot, 2), 0);
    assert_int_equal(sim_vanish(rig.sim, at(1, 0, 1)), 0);
    assert_int_equal(simrig_read(&rig, PORT, slot, 2), PCI_EXP_SLTSTA_PDS);
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_int_equal(simrig_read(&rig, PORT, slot, 2), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    assert_int_equal(simrig_read(&rig, PORT, link, 2), 0);
    simrig_write(&rig, PORT, slot, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, PORT, slot, 2), 0);
    assert_int_equal(sim_return(rig.sim, CARD), 0);
    assert_int_equal(simrig_read(&rig, PORT, slot, 2),
                     PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
    assert_int_equal(simrig_read(&rig, PORT, link, 2), PCI_EXP_LNKSTA_DLLLA);
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_vpd_can_be_walked),
        cmocka_unit_test(test_vpd_keeps_what_is_stored),
        cmocka_unit_test(test_vpd_moves_when_the_flag_is_written_and_only_then),
        cmocka_unit_test(test_a_bar_takes_the_size_that_software_picks),
        cmocka_unit_test(test_sizes_that_cannot_be_are_refused),
        cmocka_unit_test(test_a_reset_gives_bars_their_first_size),
        cmocka_unit_test(test_the_capability_tells_a_size_that_nobody_knew),
        cmocka_unit_test(test_the_slot_sees_cards_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
