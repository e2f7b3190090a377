/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: registers, BARs, bridges and their windows.
 */
#include "tests/unit/sim_help.h"

#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define ENDPOINT at(1, 0, 0)
#define CONVENTIONAL at(0, 3, 0)

/* A root port with an endpoint, and a conventional device beside it. */
static void build(struct simrig *rig)
{
    struct capture_function *f;

    mb_init(&rig->b);
    mb_host_bridge(&rig->b, at(0, 0, 0));
    mb_root_port(&rig->b, at(0, 1, 0), 1, 1);
    f = mb_endpoint(&rig->b, ENDPOINT);
    mb_bar(f, 2, MB_BAR_MEM32, 0x1000);
    mb_bar(f, 3, MB_BAR_IO, 0x20);
    mb_rom(f, 0x10000);
    mb_pci_endpoint(&rig->b, CONVENTIONAL);
    simrig_start(rig, NULL);
}

static void test_ids_cannot_be_written(void **state)
{
    static const uint16_t regs[] = {PCI_VENDOR_ID, PCI_CLASS_REVISION, PCI_SUBSYSTEM_VENDOR_ID,
                                    PCI_CAPABILITY_LIST};
    struct simrig rig;

    (void)state;
    build(&rig);
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
        uint32_t before = simrig_read(&rig, ENDPOINT, regs[i], 4);

        simrig_write(&rig, ENDPOINT, regs[i], 4, ~before);
        assert_int_equal(simrig_read(&rig, ENDPOINT, regs[i], 4), before);
    }
    simrig_stop(&rig);
}

static void test_command_bits_follow_the_kind_of_function(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    simrig_write(&rig, ENDPOINT, PCI_COMMAND, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_COMMAND, 2),
                     PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                         PCI_COMMAND_SERR);
    simrig_write(&rig, CONVENTIONAL, PCI_COMMAND, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, CONVENTIONAL, PCI_COMMAND, 2), 0x077f);
    simrig_write(&rig, at(0, 0, 0), PCI_COMMAND, 2, 0);
    /* no BAR and so no decode bit to write: it stays as it was captured */
    assert_int_equal(simrig_read(&rig, at(0, 0, 0), PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
    simrig_stop(&rig);
}

static void test_status_bits_are_cleared_by_ones_in_their_byte_only(void **state)
{
    struct simrig rig;
    struct capture_function *f;

    (void)state;
    mb_init(&rig.b);
    f = mb_bare(&rig.b, ENDPOINT);
    mb_put(f, PCI_STATUS, 2, 0xf900);
    simrig_start(&rig, NULL);
    simrig_write(&rig, ENDPOINT, PCI_COMMAND, 1, 0xff);
    simrig_write(&rig, ENDPOINT, PCI_STATUS, 1, 0xffff); /* of which one byte is written */
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_STATUS, 2), 0xf900);
    simrig_write(&rig, ENDPOINT, PCI_STATUS + 1, 1, 0x90);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_STATUS, 2), 0x6900);
    simrig_stop(&rig);
}

static void test_size_of_config_space(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_bare(&rig.b, at(0, 0, 0));
    mb_pci_endpoint(&rig.b, at(0, 1, 0));
    mb_endpoint(&rig.b, at(0, 2, 0));
    simrig_start(&rig, NULL);
    assert_int_equal(simrig_read(&rig, at(0, 0, 0), 0x40, 4), 0);
    assert_int_equal(simrig_read(&rig, at(0, 0, 0), 0x100, 4), ONES);
    assert_int_equal(simrig_read(&rig, at(0, 1, 0), 0x100, 2), 0xffff);
    assert_int_equal(simrig_read(&rig, at(0, 2, 0), 0x100, 2), PCI_EXT_CAP_ID_ERR);
    simrig_write(&rig, at(0, 0, 0), 0x40, 4, ONES);
    simrig_write(&rig, at(0, 1, 0), 0x100, 4, 0);
    assert_int_equal(simrig_read(&rig, at(0, 0, 0), 0x40, 4), 0);
    simrig_stop(&rig);
}

static void test_aliased_config_space_repeats_itself(void **state)
{
    struct capture_function *f;
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    f = mb_pci_endpoint(&rig.b, ENDPOINT);
    f->extra.size[0] = f->extra.size[1] = 0; /* assigned by hand: no address is handed out */
    mb_put(f, PCI_BASE_ADDRESS_0, 4, 0xfe000000);
    f->size = 4096;
    for (unsigned reg = 256; reg < 4096; reg += 256)
        memcpy(f->config + reg, f->config, 256);
    simrig_start(&rig, NULL);
    simrig_write(&rig, ENDPOINT, 0x300 + PCI_COMMAND, 2, PCI_COMMAND_SERR);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_COMMAND, 2), PCI_COMMAND_SERR);
    assert_int_equal(simrig_read(&rig, ENDPOINT, 0xf00 + PCI_COMMAND, 2), PCI_COMMAND_SERR);
    simrig_stop(&rig);
}

static void test_accesses_of_odd_shape_are_refused(void **state)
{
    static const struct {
        unsigned reg, length;
    } bad[] = {{1, 2}, {2, 4}, {0, 3}, {0, 0}, {0, 8}, {4096, 1}, {4095, 2}};
    struct simrig rig;
    berth_claim claim;
    uint32_t value;

    (void)state;
    build(&rig);
    assert_int_equal(sim_host_ops.claim(rig.sim, ENDPOINT, &claim), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            sim_host_ops.config_read(rig.sim, claim, bad[i].reg, bad[i].length, &value), -EINVAL);
        assert_int_equal(sim_host_ops.config_write(rig.sim, claim, bad[i].reg, bad[i].length, 0),
                         -EINVAL);
    }
    simrig_stop(&rig);
}

static void test_capability_control_bits(void **state)
{
    struct simrig rig;
    unsigned pcie, acs, msix, msi;

    (void)state;
    build(&rig);
    pcie = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_EXP);
    msix = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_MSIX);
    msi = simrig_cap(&rig, CONVENTIONAL, PCI_CAP_ID_MSI);
    acs = simrig_ext_cap(&rig, at(0, 1, 0), PCI_EXT_CAP_ID_ACS);
    simrig_write(&rig, ENDPOINT, pcie + PCI_EXP_DEVCAP, 4, 0);
    assert_int_not_equal(simrig_read(&rig, ENDPOINT, pcie + PCI_EXP_DEVCAP, 4), 0);
    simrig_write(&rig, ENDPOINT, pcie + PCI_EXP_DEVCTL, 2, 0x000f);
    assert_int_equal(simrig_read(&rig, ENDPOINT, pcie + PCI_EXP_DEVCTL, 2), 0x000f);
    simrig_write(&rig, ENDPOINT, msix + PCI_MSIX_FLAGS, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, ENDPOINT, msix + PCI_MSIX_FLAGS, 2), 0xc00f);
    simrig_write(&rig, CONVENTIONAL, msi + PCI_MSI_ADDRESS_LO, 4, ONES);
    assert_int_equal(simrig_read(&rig, CONVENTIONAL, msi + PCI_MSI_ADDRESS_LO, 4), 0xfffffffc);
    simrig_write(&rig, CONVENTIONAL, msi + PCI_MSI_DATA_64, 4, ONES);
    assert_int_equal(simrig_read(&rig, CONVENTIONAL, msi + PCI_MSI_DATA_64, 4), 0xffff);
    simrig_write(&rig, at(0, 1, 0), acs + PCI_ACS_CTRL, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, at(0, 1, 0), acs + PCI_ACS_CTRL, 2),
                     PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
    simrig_stop(&rig);
}

/* ---- BARs ---- */

static void test_bars_answer_sizing(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    for (unsigned reg = PCI_BASE_ADDRESS_0; reg <= PCI_BASE_ADDRESS_5; reg += 4)
        simrig_write(&rig, ENDPOINT, reg, 4, ONES);
    simrig_write(&rig, ENDPOINT, PCI_ROM_ADDRESS, 4, ONES);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_0, 4), 0xffffc00c);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_1, 4), ONES);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_2, 4), 0xfffff000);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_3, 4), 0xffffffe1);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_4, 4), 0);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_5, 4), 0);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_ROM_ADDRESS, 4), 0xffff0001);
    simrig_stop(&rig);
}

static void test_large_bar_has_its_size_in_the_upper_half(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_bar(mb_bare(&rig.b, ENDPOINT), 4, MB_BAR_PREFETCH64, UINT64_C(1) << 34);
    simrig_start(&rig, NULL);
    simrig_write(&rig, ENDPOINT, PCI_BASE_ADDRESS_4, 4, ONES);
    simrig_write(&rig, ENDPOINT, PCI_BASE_ADDRESS_5, 4, ONES);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_4, 4), 0xc);
    assert_int_equal(simrig_read(&rig, ENDPOINT, PCI_BASE_ADDRESS_5, 4), 0xfffffffc);
    simrig_stop(&rig);
}

static void test_unknown_sizes_follow_from_addresses(void **state)
{
    static const struct {
        uint32_t bar;
        uint64_t size;
    } cases[] = {{0xfebf1000, 0x1000}, {0xf0000000, 0x100000}, {0xfebf0040, 0x40},
                 {0x0000c021, 0x20},   {0x0000c001, 0x100},    {0x00000001, 0x10}};
    struct capture_function *f;
    uint64_t start, size;
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    f = mb_bare(&rig.b, ENDPOINT);
    for (unsigned i = 0; i < 6; i++)
        mb_put(f, PCI_BASE_ADDRESS_0 + 4 * i, 4, cases[i].bar);
    simrig_start(&rig, NULL);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(sim_bar(rig.sim, ENDPOINT, i, &start, &size), 0);
        assert_int_equal(start, cases[i].bar & ~1u);
        assert_int_equal(size, cases[i].size);
    }
    assert_int_equal(sim_bar(rig.sim, ENDPOINT, CAPTURE_ROM, &start, &size), -ENOENT);
    assert_int_equal(sim_bar(rig.sim, ENDPOINT, 7, &start, &size), -EINVAL);
    simrig_stop(&rig);
}

static void test_a_bar_moves_with_what_is_in_it(void **state)
{
    uint64_t start, moved, size;
    uint32_t value = 0x12345678;
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_bar(rig.sim, ENDPOINT, 0, &start, &size), 0);
    assert_int_equal(size, 0x4000);
    assert_int_equal(start, UINT64_C(0x10000000000));
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0x10, true, &value), 0);
    simrig_write(&rig, ENDPOINT, PCI_BASE_ADDRESS_0, 4, 0x00008000);
    assert_int_equal(sim_bar(rig.sim, ENDPOINT, 0, &moved, &size), 0);
    assert_int_equal(moved, start + 0x8000);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0x10, false, &value), 0);
    assert_int_equal(value, 0x12345678);
    simrig_write(&rig, ENDPOINT, PCI_BASE_ADDRESS_1, 4, 0); /* out of the windows */
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0x10, false, &value), 0);
    assert_int_equal(value, ONES);
    simrig_stop(&rig);
}

static void test_bars_are_touched_with_decode_on_only(void **state)
{
    uint32_t value = 7;
    struct simrig rig;
    unsigned pm;

    (void)state;
    build(&rig);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 3, 4, true, &value), 0);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 0);
    simrig_update(&rig, ENDPOINT, PCI_COMMAND, PCI_COMMAND_IO, 0);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 3, 4, false, &value), 0);
    assert_int_equal(value, ONES);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 1);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 2, 4, false, &value), 0);
    assert_int_equal(value, 0);
    pm = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_PM);
    simrig_update(&rig, ENDPOINT, pm + PCI_PM_CTRL, 0, 3); /* D3hot decodes nothing */
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 2, 4, false, &value), 0);
    assert_int_equal(value, ONES);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 2);
    simrig_stop(&rig);
}

static void test_rom_needs_both_enables_and_keeps_its_content(void **state)
{
    uint32_t value = 5;
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, CAPTURE_ROM, 0, false, &value), 0);
    assert_int_equal(value, ONES);
    simrig_update(&rig, ENDPOINT, PCI_ROM_ADDRESS, 0, PCI_ROM_ADDRESS_ENABLE);
    value = 5;
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, CAPTURE_ROM, 0, true, &value), 0);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, CAPTURE_ROM, 0, false, &value), 0);
    assert_int_equal(value, 0);
    simrig_stop(&rig);
}

static void test_bar_accesses_of_odd_shape_are_refused(void **state)
{
    uint32_t value = 0;
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 2, false, &value), -EINVAL);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0x4000, false, &value), -EINVAL);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 5, 0, false, &value), -ENOENT);
    assert_int_equal(sim_bar_access(rig.sim, at(9, 0, 0), 0, 0, false, &value), -ENODEV);
    simrig_stop(&rig);
}

/* ---- bridges ---- */

static bool bar_works(struct simrig *rig, unsigned bar)
{
    uint32_t value = 0x55, back = 0;

    assert_int_equal(sim_bar_access(rig->sim, ENDPOINT, bar, 8, true, &value), 0);
    assert_int_equal(sim_bar_access(rig->sim, ENDPOINT, bar, 8, false, &back), 0);
    return back == 0x55;
}

static void test_bridges_forward_by_their_windows(void **state)
{
    static const struct {
        unsigned bar, reg;
        uint32_t closed;
    } windows[] = {{0, PCI_PREF_LIMIT_UPPER32, 0},
                   {2, PCI_MEMORY_BASE, 0x0000fff0},
                   {3, PCI_IO_BASE, 0x000000f0}};
    struct simrig rig;

    (void)state;
    build(&rig);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t open = simrig_read(&rig, at(0, 1, 0), windows[i].reg, 4);

        assert_true(bar_works(&rig, windows[i].bar));
        simrig_write(&rig, at(0, 1, 0), windows[i].reg, 4, windows[i].closed);
        assert_false(bar_works(&rig, windows[i].bar));
        assert_true(bar_works(&rig, windows[(i + 1) % 3].bar));
        simrig_write(&rig, at(0, 1, 0), windows[i].reg, 4, open);
        assert_true(bar_works(&rig, windows[i].bar));
    }
    simrig_stop(&rig);
}

static void test_bridges_forward_with_decode_on_only(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    simrig_update(&rig, at(0, 1, 0), PCI_COMMAND, PCI_COMMAND_MEMORY, 0);
    assert_false(bar_works(&rig, 0));
    assert_true(bar_works(&rig, 3));
    simrig_update(&rig, at(0, 1, 0), PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MEMORY);
    assert_true(bar_works(&rig, 0));
    assert_false(bar_works(&rig, 3));
    simrig_stop(&rig);
}

static void test_bus_numbers_route_config_space(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_false(simrig_silent(&rig, ENDPOINT));
    simrig_write(&rig, at(0, 1, 0), PCI_SECONDARY_BUS, 1, 2);
    assert_true(simrig_silent(&rig, ENDPOINT));
    simrig_write(&rig, at(0, 1, 0), PCI_SECONDARY_BUS, 1, 1);
    assert_false(simrig_silent(&rig, ENDPOINT));
    simrig_update(&rig, at(0, 1, 0), simrig_cap(&rig, at(0, 1, 0), PCI_CAP_ID_PM) + PCI_PM_CTRL, 0,
                  3);
    assert_true(simrig_silent(&rig, ENDPOINT));
    simrig_stop(&rig);
}

static void test_cardbus_bridges_have_windows_of_their_own(void **state)
{
    uint32_t value = 3;
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_cardbus_bridge(&rig.b, at(0, 5, 0), 1, 1);
    mb_bar(mb_bare(&rig.b, ENDPOINT), 0, MB_BAR_MEM32, 0x1000);
    simrig_start(&rig, NULL);
    simrig_write(&rig, ENDPOINT, PCI_BASE_ADDRESS_0, 4, 0xd0003000);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0, false, &value), 0);
    assert_int_equal(value, ONES);
    simrig_write(&rig, at(0, 5, 0), PCI_CB_MEMORY_BASE_1, 4, 0xd0000000);
    simrig_write(&rig, at(0, 5, 0), PCI_CB_MEMORY_LIMIT_1, 4, 0xd0003000);
    assert_int_equal(sim_bar_access(rig.sim, ENDPOINT, 0, 0, false, &value), 0);
    assert_int_equal(value, 0);
    simrig_stop(&rig);
}

/* ---- hostile captures ---- */

static void test_bad_captures_are_refused(void **state)
{
    struct capture_function functions[2] = {{.sbdf = at(1, 0, 0), .size = 64},
                                            {.sbdf = at(0, 0, 0), .size = 64}};
    struct capture capture = {functions, 2};
    struct capture_error error = {0};
    struct sim *sim = NULL;

    (void)state;
    assert_int_equal(sim_create(&capture, NULL, &sim, &error), -EINVAL);
    assert_string_equal(error.text, "0000:00:00.0: functions are not in order");
    functions[1].sbdf = at(1, 0, 0);
    assert_int_equal(sim_create(&capture, NULL, &sim, &error), -EINVAL);
    functions[1].sbdf = at(1, 0, 1);
    functions[1].size = 100;
    assert_int_equal(sim_create(&capture, NULL, &sim, &error), -EINVAL);
    assert_string_equal(error.text, "0000:01:00.1: 100 bytes of config space");
    assert_null(sim);
}

static void test_too_many_vfs_are_refused(void **state)
{
    struct capture_error error;
    struct machine_builder b;
    struct sim *sim = NULL;

    (void)state;
    mb_init(&b);
    for (unsigned i = 0; i < 2; i++)
        mb_pf(&b, at(i, 0, 0), 40000, 1, 1);
    assert_int_equal(sim_create(mb_capture(&b), NULL, &sim, &error), -EINVAL);
    assert_non_null(strstr(error.text, "0000:01:00.0"));
    mb_free(&b);
}

/* Random bytes where capabilities, BARs and bus numbers should be: nothing hangs or is overrun. */
static void test_junk_is_survived(void **state)
{
    uint32_t seed = 12345;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct simrig rig;

        mb_init(&rig.b);
        for (unsigned i = 0; i < 8; i++) {
            struct capture_function *f = mb_endpoint(&rig.b, at(i / 2, i % 2, 0));

            mb_cut(f, i % 3 == 0 ? 64 : i % 3 == 1 ? 256 : 4096);
            for (unsigned reg = 4; reg < f->size; reg++) {
                seed = seed * 1664525 + 1013904223;
                f->config[reg] = (uint8_t)(seed >> 24);
            }
            f->config[PCI_CAPABILITY_LIST] &= 0x7f;
            f->config[PCI_HEADER_TYPE] = (uint8_t)(seed >> 16 & 3);
        }
        rig.b.finished = true; /* already in order, and nothing may be assigned */
        simrig_start(&rig, NULL);
        for (unsigned i = 0; i < 8; i++)
            for (unsigned reg = 0; reg < 512; reg += 4)
                simrig_write(&rig, at(i / 2, i % 2, 0), reg, 4, seed += 0x9e3779b9);
        assert_int_equal(sim_vanish(rig.sim, at(0, 0, 0)), 0);
        assert_int_equal(sim_return(rig.sim, at(0, 0, 0)), 0);
        simrig_stop(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_cannot_be_written),
        cmocka_unit_test(test_command_bits_follow_the_kind_of_function),
        cmocka_unit_test(test_status_bits_are_cleared_by_ones_in_their_byte_only),
        cmocka_unit_test(test_size_of_config_space),
        cmocka_unit_test(test_aliased_config_space_repeats_itself),
        cmocka_unit_test(test_accesses_of_odd_shape_are_refused),
        cmocka_unit_test(test_capability_control_bits),
        cmocka_unit_test(test_bars_answer_sizing),
        cmocka_unit_test(test_large_bar_has_its_size_in_the_upper_half),
        cmocka_unit_test(test_unknown_sizes_follow_from_addresses),
        cmocka_unit_test(test_a_bar_moves_with_what_is_in_it),
        cmocka_unit_test(test_bars_are_touched_with_decode_on_only),
        cmocka_unit_test(test_rom_needs_both_enables_and_keeps_its_content),
        cmocka_unit_test(test_bar_accesses_of_odd_shape_are_refused),
        cmocka_unit_test(test_bridges_forward_by_their_windows),
        cmocka_unit_test(test_bridges_forward_with_decode_on_only),
        cmocka_unit_test(test_bus_numbers_route_config_space),
        cmocka_unit_test(test_cardbus_bridges_have_windows_of_their_own),
        cmocka_unit_test(test_bad_captures_are_refused),
        cmocka_unit_test(test_too_many_vfs_are_refused),
        cmocka_unit_test(test_junk_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
