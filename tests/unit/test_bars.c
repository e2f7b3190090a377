/* SPDX-License-Identifier: MIT */
/* BARs as the core knows them: sized, asked for, derived from a PF; and devices that lie (M41,
 * K13). */
#include "tests/unit/rig.h"

#include <string.h>

#include "src/core/bars.h"
#include "src/core/seam.h"

#define BAR(i) (0x10u + 4 * (i))
#define ROM 0x30u
#define ONES 0xffffffffu

static struct rig rig;
static const struct sbdf device = {0, 0, 0x20}, second = {0, 0, 0x28};

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

static bool bar_of(struct sbdf sbdf, unsigned index, struct berth_bar *bar)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);
    bool there = device_bar(dev, index, bar);

    rig_put(dev);
    return there;
}

static void expect_bar(struct sbdf sbdf, unsigned index, uint64_t size, bool io, bool wide,
                       bool prefetchable)
{
    struct berth_bar bar;
    uint64_t start, known;

    assert_true(bar_of(sbdf, index, &bar));
    assert_int_equal(sim_bar(rig.sim, sbdf, index, &start, &known), 0);
    assert_int_equal(bar.address, start);
    assert_int_equal(bar.size, size);
    assert_int_equal(bar.size, known);
    assert_int_equal(bar.io, io);
    assert_int_equal(bar.wide, wide);
    assert_int_equal(bar.prefetchable, prefetchable);
}

static void expect_none(struct sbdf sbdf, unsigned index)
{
    struct berth_bar bar = {.size = 1};

    assert_false(bar_of(sbdf, index, &bar));
    assert_int_equal(bar.size, 0);
}

/* ---- sizing ---- */

/* A host that leaves it to the core. */
static void blind(struct berth_machine_config *config)
{
    config->bars = NULL;
}

static void all_kinds(struct sbdf sbdf)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, sbdf);

    mb_bar(f, 0, MB_BAR_PREFETCH64, 1u << 20);
    mb_bar(f, 2, MB_BAR_MEM32, 16);
    mb_bar(f, 3, MB_BAR_IO, 32);
    mb_bar(f, 4, MB_BAR_MEM64, 8192);
    mb_rom(f, 65536);
}

static void test_M41_every_kind_of_bar(void **state)
{
    uint32_t before[7], command;

    (void)state;
    all_kinds(device);
    rig_up(&rig, blind);
    expect_bar(device, 0, 1u << 20, false, true, true);
    expect_none(device, 1); /* its upper half */
    expect_bar(device, 2, 16, false, false, false);
    expect_bar(device, 3, 32, true, false, false);
    expect_bar(device, 4, 8192, false, true, false);
    expect_none(device, 5);
    expect_bar(device, BERTH_BAR_ROM, 65536, false, false, false);
    expect_none(device, BERTH_BAR_COUNT);
    expect_none(at(0, 0, 0), 0); /* a host bridge decodes memory itself: nobody touches it */
    for (unsigned i = 0; i < 7; i++)
        before[i] = mb_get(rig_function(&rig, device), i == 6 ? ROM : BAR(i), 4);
    command = mb_get(rig_function(&rig, device), 4, 2);
    for (unsigned i = 0; i < 7; i++) /* and all is as it was */
        assert_int_equal(rig_peek(&rig, device, i == 6 ? ROM : BAR(i), 4), before[i]);
    assert_int_equal(rig_peek(&rig, device, 4, 2) & 3, command & 3);
}

/* P2: whichever access fails, the registers are as before, decode included. */
static void test_P2_sizing_that_fails_changes_nothing(void **state)
{
    uint32_t header[16];
    struct pcidev *dev;
    struct pcidev_section section;
    int error = -EIO;

    (void)state;
    all_kinds(device);
    rig_up(&rig, blind);
    for (unsigned i = 0; i < 16; i++)
        header[i] = rig_peek(&rig, device, 4 * i, 4);
    dev = rig_dev(&rig, device);
    assert_true(pcidev_enter(dev, "test", &section));
    for (unsigned nth = 1; error; nth++) {
        sim_fail(rig.sim, SIM_OP_ANY, nth, 0, 0);
        error = bars_latch(dev);
        sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(rig_peek(&rig, device, 4 * i, 4), header[i]);
    }
    pcidev_exit(&section);
    rig_put(dev);
    expect_bar(device, 4, 8192, false, true, false);
}

/* ---- a host that lies, or is honest, in place of the simulator's ---- */

static struct berth_host_ops host;
static uint32_t mask[7], value[7], probed;
static unsigned bar_writes, writes_with_decode;
static bool decode_on;

static int bar_index(unsigned reg)
{
    if (reg == ROM)
        return 6;
    return reg >= BAR(0) && reg < BAR(6) ? (int)(reg - BAR(0)) / 4 : -1;
}

/* The claim tells which function it is: the first one claimed is the host bridge. */
static berth_claim liar;

static int lying_claim(void *context, struct sbdf sbdf, berth_claim *claim)
{
    int error = sim_host_ops.claim(context, sbdf, claim);

    if (!error && sbdf_equal(sbdf, device))
        liar = *claim;
    return error;
}

static int lying_read(void *context, berth_claim claim, unsigned reg, unsigned length,
                      uint32_t *result)
{
    int i = bar_index(reg);

    if (claim != liar || i < 0)
        return sim_host_ops.config_read(context, claim, reg, length, result);
    *result = probed & 1u << i ? mask[i] : value[i];
    return 0;
}

static int lying_write(void *context, berth_claim claim, unsigned reg, unsigned length,
                       uint32_t written)
{
    int i = bar_index(reg);

    if (claim == liar && reg == 4)
        decode_on = written & 3;
    if (claim != liar || i < 0)
        return sim_host_ops.config_write(context, claim, reg, length, written);
    bar_writes++;
    writes_with_decode += decode_on;
    if (written == (i == 6 ? 0xfffff800u : ONES))
        probed |= 1u << i;
    else
        probed &= ~(1u << i);
    return 0;
}

static void lie(struct berth_machine_config *config)
{
    host = sim_host_ops;
    host.claim = lying_claim;
    host.config_read = lying_read;
    host.config_write = lying_write;
    config->host = &host;
    config->bars = NULL;
    bar_writes = writes_with_decode = probed = 0;
    decode_on = true;
}

static void lying(void (*set)(void))
{
    memset(mask, 0, sizeof(mask));
    memset(value, 0, sizeof(value));
    set();
    mb_rc_endpoint(&rig.builder, device);
    rig_up(&rig, lie);
}

static void all_ones(void)
{
    memset(mask, 0xff, sizeof(mask));
    memset(value, 0xff, sizeof(value));
}

static void test_K13_all_ones_are_no_bars(void **state)
{
    (void)state;
    lying(all_ones);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        expect_none(device, i);
}

static void odd_ones(void)
{
    value[0] = 0x80000000, mask[0] = 0xff00ff00; /* no power of two */
    value[1] = 0x80000000, mask[1] = 0xfffffff8; /* a flag that can be written */
    value[2] = 0x80000006, mask[2] = 0xfffff006; /* a reserved type */
    value[3] = 0x80000004, mask[3] = 0x00000004; /* 64 bits, of which none are there */
    value[5] = 0x80000004, mask[5] = 0xfffff004; /* 64 bits in the last slot */
    value[6] = 0x80000001, mask[6] = 0x00000001; /* a ROM without an address */
}

static void test_K13_what_cannot_be_a_bar_is_none(void **state)
{
    (void)state;
    lying(odd_ones);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        expect_none(device, i);
}

static void honest_ones(void)
{
    value[0] = 0x0000e001, mask[0] = 0x0000ffc1; /* ports, 16 bits wide (6.2.5.1) */
    value[1] = 0x8000000c, mask[1] = 0x0000000c; /* 8 GiB */
    value[2] = 0x00000012, mask[2] = 0xfffffffe;
    value[6] = 0xfe000001, mask[6] = 0xfffe0000;
}

static void test_M41_large_bars_and_narrow_ports(void **state)
{
    struct berth_bar bar;

    (void)state;
    lying(honest_ones);
    assert_true(bar_of(device, 0, &bar));
    assert_true(bar.io);
    assert_int_equal(bar.size, 64);
    assert_int_equal(bar.address, 0xe000);
    assert_true(bar_of(device, 1, &bar));
    assert_int_equal(bar.size, (uint64_t)2 << 32);
    assert_int_equal(bar.address, 0x1280000000);
    assert_true(bar_of(device, BERTH_BAR_ROM, &bar));
    assert_int_equal(bar.size, 0x20000);
    assert_int_equal(bar.address, 0xfe000000);
    assert_true(bar_writes > 0);
    assert_int_equal(writes_with_decode, 0); /* nothing answers at addresses of the moment */
    assert_true(decode_on);
}

static const struct sbdf reserved[] = {{0, 0, 0x20}};

static void lie_read_only(struct berth_machine_config *config)
{
    lie(config);
    config->read_only = reserved;
    config->read_only_count = 1;
}

static void test_M07_what_is_read_only_is_not_sized(void **state)
{
    (void)state;
    memset(mask, 0, sizeof(mask));
    memset(value, 0, sizeof(value));
    honest_ones();
    mb_rc_endpoint(&rig.builder, device);
    rig_up(&rig, lie_read_only);
    assert_int_equal(bar_writes, 0);
    expect_none(device, 1); /* of unknown size */
}

static void test_M07_junk_is_not_sized(void **state)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, device);

    (void)state;
    memset(mask, 0, sizeof(mask));
    honest_ones();
    mb_put(f, 0, 4, 0x6fa08086); /* src/core/errata.c */
    rig_up(&rig, lie);
    assert_true(rig_info(&rig, device).errata & PCIDEV_ERRATUM_JUNK_BARS);
    assert_int_equal(bar_writes, 0);
    expect_none(device, 0);
}

/* ---- hosts that know ---- */

static struct berth_bar_ops bars;
static struct berth_bar known;

static int find_one(void *context, berth_claim claim, unsigned index, struct berth_bar *bar)
{
    (void)context;
    if (claim != liar)
        return -ENODATA;
    if (index == 2)
        *bar = known;
    return 0;
}

static int fail_read(void *context, berth_claim claim, unsigned index, uint64_t offset,
                     unsigned length, uint64_t *result)
{
    (void)context, (void)claim, (void)index, (void)length;
    *result = 0x1122334455667788;
    return offset ? -EIO : 0;
}

static void know(struct berth_machine_config *config)
{
    lie(config);
    bars = (struct berth_bar_ops){.find = find_one, .read = fail_read};
    config->bars = &bars;
}

static void test_M41_a_host_that_knows_is_asked(void **state)
{
    struct berth_bar bar;
    struct pcidev *dev;

    (void)state;
    all_kinds(second);
    mb_rc_endpoint(&rig.builder, device);
    known = (struct berth_bar){.address = 0xabc0000, .size = 4096, .wide = 1};
    rig_up(&rig, know);
    assert_int_equal(bar_writes, 0);
    assert_true(bar_of(device, 2, &bar));
    assert_int_equal(bar.address, 0xabc0000);
    assert_int_equal(bar.size, 4096);
    expect_none(device, 0);
    expect_none(device, 3);
    expect_bar(second, 4, 8192, false, true, false); /* there it does not know */
    known.address = 0xdef0000;
    dev = rig_dev(&rig, device);
    assert_int_equal(bars_refresh(dev), 0);
    rig_put(dev);
    assert_true(bar_of(device, 2, &bar));
    assert_int_equal(bar.address, 0xdef0000);
    known.size = 4095; /* hosts err, too */
    dev = rig_dev(&rig, device);
    assert_int_equal(bars_refresh(dev), 0);
    rig_put(dev);
    expect_none(device, 2);
}

static void test_A4_reads_fail_to_all_ones(void **state)
{
    struct pcidev_section section;
    struct pcidev *dev;
    uint64_t got;

    (void)state;
    mb_rc_endpoint(&rig.builder, device);
    rig_up(&rig, know);
    dev = rig_dev(&rig, device);
    assert_true(pcidev_enter(dev, "test", &section));
    assert_int_equal(seam_bar_read(dev, 2, 0, 4, &got), 0);
    assert_int_equal(got, 0x55667788); /* no wider than asked for */
    assert_int_equal(seam_bar_read(dev, 2, 0, 8, &got), 0);
    assert_int_equal(got, 0x1122334455667788);
    assert_int_equal(seam_bar_read(dev, 2, 8, 2, &got), -EIO);
    assert_int_equal(got, 0xffff);
    assert_int_equal(seam_bar_write(dev, 2, 0, 4, 1), 0); /* no such op: dropped */
    pcidev_vanished(dev);
    assert_int_equal(seam_bar_read(dev, 2, 0, 8, &got), 0);
    assert_int_equal(got, UINT64_MAX);
    pcidev_exit(&section);
    rig_put(dev);
}

/* ---- owners and VFs ---- */

static void test_M41_addresses_are_looked_up_when_the_owner_changes(void **state)
{
    struct berth_domain *guest;
    struct berth_bar bar;

    (void)state;
    all_kinds(device);
    rig_up(&rig, blind);
    guest = rig_guest(&rig, "vm1");
    rig_poke(&rig, device, BAR(2), 4, 0x9abc0000);
    assert_true(bar_of(device, 2, &bar));
    assert_int_not_equal(bar.address, 0x9abc0000);
    assert_int_equal(rig_assign(&rig, device, guest), 0);
    assert_true(bar_of(device, 2, &bar));
    assert_int_equal(bar.address, 0x9abc0000);
    assert_int_equal(bar.size, 16);
    rig_destroy_guest(&rig, guest);
}

static void vfs_have_bars(unsigned count)
{
    struct berth_bar first, next;

    assert_true(bar_of(rig_vf(0), 0, &first));
    assert_int_equal(first.size, 16384);
    assert_true(first.wide);
    for (unsigned i = 0; i < count; i++) {
        expect_bar(rig_vf(i), 0, 16384, false, true, true);
        assert_true(bar_of(rig_vf(i), 0, &next));
        assert_int_equal(next.address, first.address + i * first.size);
        expect_none(rig_vf(i), 1);
    }
}

static void test_M04_the_bars_of_vfs_follow_from_their_pf(void **state)
{
    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 2);
    mb_pf(&rig.builder, rig_pf, 4, 128, 2);
    rig_up(&rig, blind);
    rig_add_vfs(&rig, 3);
    vfs_have_bars(3);
}

static void test_M04_vfs_that_were_on_have_none_until_they_were_off(void **state)
{
    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 2);
    mb_vfs(&rig.builder, mb_pf(&rig.builder, rig_pf, 4, 128, 2), 2);
    rig_up(&rig, blind);
    expect_none(rig_vf(0), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_remove(&rig, rig_vf(i), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0);
    rig_add_vfs(&rig, 2);
    vfs_have_bars(2);
}

static void test_M08_a_card_that_is_back_is_sized_again(void **state)
{
    (void)state;
    all_kinds(device);
    rig_up(&rig, blind);
    rig_poke(&rig, device, BAR(2), 4, 0x9abc0000);
    rig_pull(&rig, device);
    assert_int_equal(sim_return(rig.sim, device), 0);
    assert_int_equal(rig_readd(&rig, device, NULL), 0);
    expect_bar(device, 2, 16, false, false, false);
}

static void test_M02_an_object_stays_small(void **state)
{
    (void)state;
    rig_up(&rig, NULL);
#if !BERTH_CHECKS /* the tags of debug builds take more */
    assert_true(sizeof(struct pcidev) <= 512);
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M41_every_kind_of_bar),
        TEST(test_P2_sizing_that_fails_changes_nothing),
        TEST(test_K13_all_ones_are_no_bars),
        TEST(test_K13_what_cannot_be_a_bar_is_none),
        TEST(test_M41_large_bars_and_narrow_ports),
        TEST(test_M07_what_is_read_only_is_not_sized),
        TEST(test_M07_junk_is_not_sized),
        TEST(test_M41_a_host_that_knows_is_asked),
        TEST(test_A4_reads_fail_to_all_ones),
        TEST(test_M41_addresses_are_looked_up_when_the_owner_changes),
        TEST(test_M04_the_bars_of_vfs_follow_from_their_pf),
        TEST(test_M04_vfs_that_were_on_have_none_until_they_were_off),
        TEST(test_M08_a_card_that_is_back_is_sized_again),
        TEST(test_M02_an_object_stays_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
