/* SPDX-License-Identifier: MIT */
/* BARs as a guest has them (M41, M48): F77, F78, F81-F83, X44. */
#include "src/vpci/vpci.h"
#include "tests/unit/zoo.h"

static const struct sbdf junk = {0, 0, 20 << 3}, unplaced = {0, 0, 21 << 3};

/* ---- registers ---- */

static const struct sizing {
    unsigned reg;
    uint32_t flags, mask;
} sizings[] = {
    {BAR(0), 0xc, 0xffffc000}, /* its upper half reads all ones */
    {BAR(2), 0x0, 0xffff0000}, {BAR(3), 0x1, 0xffffffe0},
    {BAR(4), 0x4, 0xffc00000}, {ROM, 0, 0xffff0000},
};
#define SIZINGS (sizeof(sizings) / sizeof(sizings[0]))

static void write_ones(unsigned reg, unsigned step)
{
    for (unsigned done = 0; done < 4; done += step)
        zoo_put(zoo_big, reg + done, step, UINT64_MAX);
}

/* The bit that enables the ROM is written as what it is. */
static void test_sizing_in_accesses_of_any_width(void **state)
{
    (void)state;
    for (unsigned step = 1; step <= 4; step *= 2) {
        for (unsigned i = 0; i < SIZINGS; i++) {
            const struct sizing *s = &sizings[i];
            uint32_t enable = s->reg == ROM ? ROM_ENABLE : 0;

            assert_int_equal(zoo_get(zoo_big, s->reg, 4), s->flags);
            write_ones(s->reg, step);
            assert_int_equal(zoo_get(zoo_big, s->reg, 4), s->mask | s->flags | enable);
            zoo_put(zoo_big, s->reg, 4, 0);
            assert_int_equal(zoo_get(zoo_big, s->reg, 4), s->flags);
        }
    }
    assert_int_equal(spy.writes, 0);
}

static void test_F78_halves_in_any_order(void **state)
{
    (void)state;
    zoo_put(zoo_big, BAR(5), 4, UINT32_MAX); /* upper, lower */
    zoo_put(zoo_big, BAR(4), 4, UINT32_MAX);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0xffffffffffc00004));
    zoo_put(zoo_big, BAR(4), 4, 0x12400000); /* lower, upper */
    zoo_put(zoo_big, BAR(5), 4, 0x56);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0x5612400004));
    zoo_put(zoo_big, BAR(4), 8, UINT64_MAX); /* both */
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0xffffffffffc00004));
    zoo_put(zoo_big, BAR(4) + 3, 4, 0x00008001); /* parts of both */
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0xff00008001c00004));
    assert_int_equal(zoo_get(zoo_big, BAR(1), 4), 0);
    assert_int_equal(spy.writes, 0);
}

/* F78, O2: the host's BARs are the host's, whatever the guest does with its own. */
static void test_F78_the_hardwares_BARs_are_never_written(void **state)
{
    uint64_t host[BERTH_BAR_COUNT];

    (void)state;
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        host[i] = i == 1 || i == 5 ? 0 : zoo_host(zoo_big, i);
    for (unsigned i = 0; i < SIZINGS; i++)
        write_ones(sizings[i].reg, 4);
    zoo_place(zoo_big);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    assert_true(zoo_on(zoo_big, COMMAND_IO | COMMAND_MEMORY));
    assert_true(zoo_off(zoo_big, COMMAND_IO | COMMAND_MEMORY));
    assert_int_equal(spy.bar_writes, 0);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        if (host[i])
            assert_int_equal(zoo_host(zoo_big, i), host[i]);
}

/* F83: it is said once for each, and not for ever; what changes nothing is no reason to say so. */
static void test_F77_a_BAR_that_is_decoded_does_not_move(void **state)
{
    unsigned said = rig_count_events(&zoo.rig, BERTH_EVENT_VIEW);

    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_put(zoo_big, BAR(2), 4, ZOO_BIG_BAR2);
    zoo_put(zoo_big, BAR(4), 8, ZOO_BIG_BAR4);
    assert_int_equal(rig_count_events(&zoo.rig, BERTH_EVENT_VIEW), said);
    zoo_put(zoo_big, BAR(2), 4, UINT32_MAX);
    assert_int_equal(rig_count_events(&zoo.rig, BERTH_EVENT_VIEW), said + 1);
    for (unsigned i = 0; i < 1000; i++) {
        zoo_put(zoo_big, BAR(4), 4, i * 4 * MIB);
        zoo_put(zoo_big, BAR(5), 4, i);
    }
    assert_in_range(rig_count_events(&zoo.rig, BERTH_EVENT_VIEW), said + 2, said + 32);
    assert_int_equal(zoo_get(zoo_big, BAR(2), 4), ZOO_BIG_BAR2);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), ZOO_BIG_BAR4 | 4);
    zoo_expect_big_mapped();
    zoo_put(zoo_big, BAR(3), 4, 0x5000); /* ports are not decoded */
    assert_int_equal(zoo_get(zoo_big, BAR(3), 4), 0x5001);
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    zoo_put(zoo_big, BAR(2), 4, UINT32_MAX); /* F77: the hardware decodes all the time */
    assert_int_equal(zoo_get(zoo_big, BAR(2), 4), 0xffff0000);
}

/* ---- which there are ---- */

static int odd_setup(void **state)
{
    struct machine_builder *b = &zoo.rig.builder;
    struct capture_function *f;

    (void)state;
    rig_begin(&zoo.rig);
    rig_standard(&zoo.rig);
    f = mb_pci_endpoint(b, junk);
    mb_put(f, 0, 4, 0x6f608086);
    mb_af(f);
    f = mb_pci_endpoint(b, unplaced);
    mb_af(f);
    mb_bar(f, 2, MB_BAR_MEM32, 4 * KIB);
    rig_up_empty(&zoo.rig, spy_configure);
    spy_clear();
    assert_int_equal(rig_add(&zoo.rig, junk), 0);
    assert_int_equal(spy.bar_writes, 0); /* F82 */
    zoo.guest = zoo_guest("vm1", &zoo.maps, NULL, 0);
    return 0;
}

static void test_F82_a_device_with_junk_in_its_BARs_has_none(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&zoo.rig, junk, zoo.guest), 0);
    for (unsigned reg = BAR(0); reg <= BAR(5); reg += 4) {
        zoo_put(junk, reg, 4, UINT32_MAX);
        assert_int_equal(zoo_get(junk, reg, 4), 0);
    }
    assert_false(zoo_on(junk, COMMAND_MEMORY));
    assert_false(zoo_on(junk, COMMAND_IO));
}

/* Firmware ran out of addresses: there is nothing that the guest could reach. */
static void test_a_BAR_that_the_host_has_not_placed_is_hidden(void **state)
{
    (void)state;
    assert_int_equal(rig_add(&zoo.rig, unplaced), 0);
    rig_poke(&zoo.rig, unplaced, BAR(2), 4, 0);
    assert_int_equal(rig_readd(&zoo.rig, unplaced, NULL), 0);
    assert_int_equal(rig_assign(&zoo.rig, unplaced, zoo.guest), 0);
    zoo_put(unplaced, BAR(2), 4, UINT32_MAX);
    zoo_put(unplaced, BAR(0), 4, UINT32_MAX);
    assert_int_equal(zoo_get(unplaced, BAR(2), 4), 0);
    assert_int_equal(zoo_get(unplaced, BAR(0), 4), 0xfffff000);
}

/* Its own registers read zero (SR-IOV 1.1, 3.4.1.11): the guest finds BARs all the same. */
static void test_a_VF_that_is_lent_alone_has_BARs_of_its_own(void **state)
{
    struct pcidev *vf;

    (void)state;
    rig_add_vfs(&zoo.rig, 2);
    assert_int_equal(rig_assign(&zoo.rig, rig_vf(1), zoo.guest), 0);
    zoo_put(rig_vf(1), BAR(0), 8, UINT64_MAX);
    assert_int_equal(zoo_get(rig_vf(1), BAR(0), 8), UINT64_C(0xffffffffffffc00c));
    zoo_put(rig_vf(1), BAR(0), 8, ZOO_BIG_BAR0);
    assert_true(zoo_on(rig_vf(1), COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0), zoo_host(rig_vf(1), 0));
    vf = rig_dev(&zoo.rig, rig_vf(1));
    assert_int_equal(guest_maps_bytes(&zoo.maps, vf, 0), 8 * KIB);
    rig_put(vf);
}

/* ---- the ROM ---- */

static bool rom_is_on(void)
{
    return rig_peek(&zoo.rig, zoo_big, ROM, 4) & ROM_ENABLE;
}

/* PCI 3.0, 6.2.5.2: while it is enabled, nobody may rely on the BARs. So it is while the guest says
 * so. */
static void test_the_ROM_is_enabled_while_the_guest_has_it(void **state)
{
    uint32_t address = rig_peek(&zoo.rig, zoo_big, ROM, 4) & ~ROM_ENABLE, value = 0x55aa1234;
    struct sim_counters counters;
    uint64_t seen, wrote;

    (void)state;
    sim_function_counters(zoo.rig.sim, zoo_big, &counters);
    wrote = counters.bar_writes;
    zoo_place(zoo_big);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    assert_false(rom_is_on());
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_true(rom_is_on());
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_ROM, 4, &seen), 0);
    assert_int_equal(berth_domain_mmio_write(zoo.guest, ZOO_BIG_ROM, 4, value), 0);
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_ROM, 4, &seen), 0);
    assert_int_not_equal(seen, value);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_ROM), 0);
    assert_int_equal(rig_reset(&zoo.rig, zoo_big), 0);
    assert_true(rom_is_on());
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM);
    assert_false(rom_is_on());
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_ROM, 4, &seen), -ENOENT);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    assert_true(rom_is_on());
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    assert_false(rom_is_on());
    assert_int_equal(rig_peek(&zoo.rig, zoo_big, ROM, 4) & ~ROM_ENABLE, address);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_true(rom_is_on());
    assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), 0);
    assert_false(rom_is_on());
    sim_function_counters(zoo.rig.sim, zoo_big, &counters);
    assert_int_equal(counters.bar_writes, wrote); /* it is read only, here as well */
}

/* Its place is refused: it is off, and the BARs are as they were. */
static void test_a_ROM_over_a_BAR_is_refused_alone(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_BAR2 | ROM_ENABLE);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(zoo_get(zoo_big, ROM, 4), ZOO_BIG_BAR2);
    zoo_expect_big_mapped();
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    assert_int_equal(zoo_get(zoo_big, ROM, 4), ZOO_BIG_ROM | ROM_ENABLE);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_BAR2 | ROM_ENABLE); /* enabled, it does not move */
    assert_int_equal(zoo_get(zoo_big, ROM, 4), ZOO_BIG_ROM | ROM_ENABLE);
    zoo_put(zoo_big, ROM, 4, 0xffff0000); /* as software sizes it */
    assert_int_equal(zoo_get(zoo_big, ROM, 4), 0xffff0000);
    assert_false(rom_is_on());
}

static void test_a_ROM_that_the_host_cannot_enable_is_off(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    sim_fail(zoo.rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, 0);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    assert_true(sim_failed(zoo.rig.sim, SIM_OP_CONFIG_WRITE));
    assert_int_equal(zoo_get(zoo_big, ROM, 4), ZOO_BIG_ROM);
    assert_false(rom_is_on());
}

/* ---- other sizes ---- */

/* F87: as a resizable BAR has it. */
static void test_F87_another_size_is_another_mask_and_another_map(void **state)
{
    struct pcidev *dev = rig_dev(&zoo.rig, zoo_big);
    struct vpci *v = atomic_load(&dev->vpci);
    uint64_t value;

    (void)state;
    zoo_place(zoo_big);
    zoo_put(zoo_big, BAR(4), 8, ZOO_BIG_BAR4 + 4 * MIB);
    vpci_bar_resized(v, 4, 8 * MIB);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), ZOO_BIG_BAR4 | 4);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 4), 8 * MIB);
    vpci_bar_resized(v, 4, 4 * MIB); /* decoded: it is what it is */
    assert_int_equal(v->bar[4].size, 8 * MIB);
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    vpci_bar_resized(v, 4, 8192 * MIB);
    zoo_put(zoo_big, BAR(4), 8, UINT64_MAX);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0xfffffffe00000004));
    vpci_bar_resized(v, 4, 2 * MIB);
    vpci_bar_resized(v, 5, 2 * MIB); /* no BAR */
    zoo_put(zoo_big, BAR(4), 8, UINT64_MAX);
    assert_int_equal(zoo_get(zoo_big, BAR(4), 8), UINT64_C(0xffffffffffe00004));
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 4), 2 * MIB);
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR4 + 2 * MIB, 4, &value), -ENOENT);
    rig_put(dev);
}

/* The BARs of a VF whose PF has the same guest are where the PF says (SR-IOV 1.1, 3.3.14). */
static void test_a_BAR_that_the_PF_places(void **state)
{
    struct pcidev *vf;
    struct vpci *v;

    (void)state;
    rig_add_vfs(&zoo.rig, 1);
    assert_int_equal(rig_assign(&zoo.rig, rig_vf(0), zoo.guest), 0);
    vf = rig_dev(&zoo.rig, rig_vf(0));
    v = atomic_load(&vf->vpci);
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0, true), -EINVAL);
    v->pf_places = true;
    v->bar[0].enabled = false;
    lock_take(&v->lock);
    assert_int_equal(vpci_bar_place(v, 1, ZOO_BIG_BAR0, true), -EINVAL);
    assert_int_equal(vpci_bar_place(v, BERTH_BAR_COUNT, ZOO_BIG_BAR0, true), -EINVAL);
    assert_int_equal(vpci_bar_place(v, 0, 0, true), -EINVAL);
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0, true), 0);
    lock_drop(&v->lock);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0), zoo_host(rig_vf(0), 0));
    assert_int_equal(rig_reset(&zoo.rig, rig_vf(0)), 0);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0), zoo_host(rig_vf(0), 0));
    lock_take(&v->lock);
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0 + MIB, true), 0); /* moves */
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0), 0);
    zoo.maps.fail_unmap = 1;
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0, true), -EIO);
    assert_int_not_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0 + MIB), 0);
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0, false), 0);
    zoo_expect_unmapped(rig_vf(0));
    zoo.maps.fail_map = 1;
    assert_int_equal(vpci_bar_place(v, 0, ZOO_BIG_BAR0, true), -ENOMEM);
    lock_drop(&v->lock);
    zoo_expect_unmapped(rig_vf(0));
    rig_put(vf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, zoo_setup, zoo_teardown)
        TEST(test_sizing_in_accesses_of_any_width),
        TEST(test_F78_halves_in_any_order),
        TEST(test_F78_the_hardwares_BARs_are_never_written),
        TEST(test_F77_a_BAR_that_is_decoded_does_not_move),
        cmocka_unit_test_setup_teardown(test_F82_a_device_with_junk_in_its_BARs_has_none, odd_setup,
                                        zoo_teardown),
        cmocka_unit_test_setup_teardown(test_a_BAR_that_the_host_has_not_placed_is_hidden,
                                        odd_setup, zoo_teardown),
        TEST(test_a_VF_that_is_lent_alone_has_BARs_of_its_own),
        TEST(test_the_ROM_is_enabled_while_the_guest_has_it),
        TEST(test_a_ROM_over_a_BAR_is_refused_alone),
        TEST(test_a_ROM_that_the_host_cannot_enable_is_off),
        TEST(test_F87_another_size_is_another_mask_and_another_map),
        TEST(test_a_BAR_that_the_PF_places),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
