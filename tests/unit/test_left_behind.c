/* SPDX-License-Identifier: MIT */
/* What an owner leaves in the hardware, and what the next one must not find (O2, O3, K1). */
#include "src/core/device.h"
#include "tests/unit/lent.h"
#include "tests/unit/msix_driver.h"

#define COMMAND_INTX_DISABLE 0x0400u
#define EXP_DEVCTL 0x08
#define GUEST_DEVCTL 0x5000u
#define EXT_AER 0x01
#define AER_UNCORRECTABLE 0x04
#define AER_CORRECTABLE 0x10
#define EXT_REBAR 0x15
#define REBAR_CONTROL 0x08
#define ROM 0x30
#define INTERRUPT_PIN 0x3d
#define MIB 0x100000u
#define BAR_AT UINT64_C(0x300000000)
#define ROM_AT 0x90000000u
#define AWAY 0x10000000u

static struct lent lent;
static struct berth_domain *hwdom;

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static void up(void)
{
    lent_up(&lent);
    hwdom = berth_machine_hwdom(lent.rig.machine);
}

static unsigned devctl(void)
{
    return mb_find_cap(lent.function, PCI_CAP_ID_EXP) + EXP_DEVCTL;
}

/* ---- registers that a guest writes through ---- */

static void test_O2_device_control_goes_back_with_the_device(void **state)
{
    const unsigned reg = devctl();
    uint32_t before;

    (void)state;
    up();
    before = lent_hardware(&lent, reg, 2);
    assert_int_not_equal(before, GUEST_DEVCTL);
    lent_put(&lent, reg, 2, GUEST_DEVCTL);
    assert_int_equal(lent_hardware(&lent, reg, 2), GUEST_DEVCTL);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_hardware(&lent, reg, 2), before);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_get(&lent, reg, 2), before & 0x7810);
}

static void test_O2_device_control_without_any_reset(void **state)
{
    const unsigned reg = devctl();
    uint32_t before;

    (void)state;
    mb_no_flr(lent.function);
    up();
    before = lent_hardware(&lent, reg, 2);
    lent_put(&lent, reg, 2, GUEST_DEVCTL);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_hardware(&lent, reg, 2), before);
}

static void test_O2_a_removed_device_keeps_nothing_of_its_guest(void **state)
{
    const unsigned reg = devctl();
    uint32_t before;

    (void)state;
    mb_put(lent.function, LENT_COMMAND, 2, 0); /* the firmware left it alone */
    up();
    before = lent_hardware(&lent, reg, 2);
    lent_put(&lent, reg, 2, GUEST_DEVCTL);
    lent_place(&lent, BAR_AT);
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & LENT_MEMORY, LENT_MEMORY);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    rig_expect_owner(&lent.rig, lent.host, "hwdom");
    assert_int_equal(lent_hardware(&lent, reg, 2), before);
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & LENT_MEMORY, 0);
}

/* The way back of a removal: the guest finds what it had. */
static void test_R7_a_removal_that_fails_leaves_what_the_guest_wrote(void **state)
{
    const unsigned reg = devctl();

    (void)state;
    up();
    lent_put(&lent, reg, 2, GUEST_DEVCTL);
    for (unsigned n = 1; n < 40; n++) {
        int error;

        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, 0, -EIO);
        error = rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE);
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
        if (!error)
            return;
        rig_expect_owner(&lent.rig, lent.host, "vm1");
        assert_int_equal(lent_hardware(&lent, reg, 2), GUEST_DEVCTL);
    }
    fail_msg("it never worked");
}

/* ---- interrupts ---- */

static void test_O2_the_function_mask_of_msix_goes(void **state)
{
    (void)state;
    msix_set_up_all(2);
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(msix_hardware_control() & PCI_MSIX_FLAGS_MASKALL, PCI_MSIX_FLAGS_MASKALL);
    irq_take_back(&ir);
    assert_int_equal(msix_hardware_control() & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL), 0);
}

static void test_K1_nobody_handles_intx_of_a_device_in_quarantine(void **state)
{
    (void)state;
    mb_put(lent.function, INTERRUPT_PIN, 1, 1);
    up();
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    rig_expect_owner(&lent.rig, lent.host, "quarantine");
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & COMMAND_INTX_DISABLE,
                     COMMAND_INTX_DISABLE);
    assert_int_equal(rig_assign(&lent.rig, lent.host, hwdom), 0);
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & COMMAND_INTX_DISABLE, 0);
}

/* ---- the ROM ---- */

static void test_O2_a_rom_that_could_not_be_switched_off(void **state)
{
    (void)state;
    mb_rom(lent.function, 0x10000);
    up();
    lent_put(&lent, ROM, 4, ROM_AT | 1);
    lent_place(&lent, BAR_AT);
    assert_int_equal(lent_hardware(&lent, ROM, 4) & 1, 1);
    sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, -EIO);
    lent_put(&lent, ROM, 4, 0);
    assert_true(sim_failed(lent.rig.sim, SIM_OP_CONFIG_WRITE));
    sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
    assert_int_equal(lent_hardware(&lent, ROM, 4) & 1, 1);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_hardware(&lent, ROM, 4) & 1, 0);
}

/* ---- errors ---- */

static void test_O2_errors_of_the_time_before(void **state)
{
    unsigned aer = mb_find_ext_cap(lent.function, EXT_AER);

    (void)state;
    mb_put(lent.function, aer + AER_UNCORRECTABLE, 4, 0x4000);
    mb_put(lent.function, aer + AER_CORRECTABLE, 4, 0x1000);
    lent_up_idle(&lent);
    assert_int_equal(lent_hardware(&lent, aer + AER_UNCORRECTABLE, 4), 0x4000);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_hardware(&lent, aer + AER_UNCORRECTABLE, 4), 0);
    assert_int_equal(lent_hardware(&lent, aer + AER_CORRECTABLE, 4), 0);
}

/* ---- BARs that come back somewhere else ---- */

/* The host's own opinion of BARs, once it has one. */
static struct {
    bool moved, smaller;
} opinion;

static int find_elsewhere(void *context, berth_claim claim, unsigned index, struct berth_bar *bar)
{
    int error = sim_bar_ops.find(context, claim, index, bar);

    if (!error && bar->size && opinion.moved)
        bar->address += AWAY;
    if (!error && bar->size && opinion.smaller)
        bar->size /= 2;
    return error;
}

static struct berth_bar_ops opinionated;

static void configure(struct berth_machine_config *config)
{
    opinionated = sim_bar_ops;
    opinionated.find = find_elsewhere;
    config->bars = &opinionated;
}

static void configure_silent(struct berth_machine_config *config)
{
    opinionated = sim_bar_ops;
    opinionated.find = NULL;
    config->bars = &opinionated;
}

static void up_with(rig_configure *how)
{
    const struct berth_view_config view = {.ops = &guest_maps_ops, .context = &lent.maps};

    opinion.moved = opinion.smaller = false;
    rig_up(&lent.rig, how);
    hwdom = berth_machine_hwdom(lent.rig.machine);
    lent.guest = rig_guest(&lent.rig, "vm1");
    assert_int_equal(berth_domain_set_view(lent.guest, &view), 0);
}

/* Pulled and put back; the host finds another place for BAR 0. */
static struct pcidev *come_back(uint64_t *start)
{
    struct pcidev *dev = rig_dev(&lent.rig, lent.host);
    uint64_t size;

    lent_place(&lent, BAR_AT);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 0, start, &size), 0);
    assert_int_equal(sim_vanish(lent.rig.sim, lent.host), 0);
    pcidev_vanished(dev);
    assert_int_equal(sim_return(lent.rig.sim, lent.host), 0);
    assert_int_equal(sim_host_ops.config_write(lent.rig.sim, dev->claim, LENT_BAR0, 4,
                                               (uint32_t)(*start + AWAY) | 0xc),
                     0);
    return dev;
}

static void expect_mapped_is_its_own(void)
{
    uint64_t start, size;

    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 0, &start, &size), 0);
    assert_int_not_equal(lent.maps.count, 0);
    for (unsigned i = 0; i < lent.maps.count; i++) {
        assert_true(lent.maps.piece[i].host >= start);
        assert_true(lent.maps.piece[i].host + lent.maps.piece[i].length <= start + size);
    }
}

static void test_O2_a_device_that_comes_back_elsewhere_is_put_back(void **state)
{
    struct pcidev *dev;
    uint64_t start, now, size;

    (void)state;
    up();
    dev = come_back(&start);
    assert_int_equal(pcidev_readd(dev, NULL, NULL), 0);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 0, &now, &size), 0);
    assert_int_equal(now, start);
    lent_place(&lent, BAR_AT);
    expect_mapped_is_its_own();
    /* and so it is after a recovery, which has an image of its own */
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), 0);
    expect_mapped_is_its_own();
    rig_put(dev);
}

static void expect_not_taken_back(struct pcidev *dev)
{
    struct berth_request request = rig_request(&lent.rig);
    struct pcidev_info info;

    rig_expect_refused(&lent.rig, pcidev_readd(dev, NULL, &request), -ENODEV,
                       BERTH_REASON_OTHER_DEVICE);
    pcidev_snapshot(dev, &info);
    assert_true(info.disconnected);
    assert_int_equal(lent.maps.count, 0);
    lent_place(&lent, BAR_AT);
    assert_int_equal(lent.maps.count, 0);
}

static void test_O2_where_the_host_insists_the_guest_is_not_let_near(void **state)
{
    struct pcidev *dev;
    uint64_t start;

    (void)state;
    up_with(configure);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    dev = come_back(&start);
    opinion.moved = true;
    expect_not_taken_back(dev);
    opinion.moved = false;
    assert_int_equal(pcidev_readd(dev, NULL, NULL), 0);
    lent_place(&lent, BAR_AT);
    expect_mapped_is_its_own();
    rig_put(dev);
}

static void test_O2_a_device_that_comes_back_smaller(void **state)
{
    struct pcidev *dev;
    uint64_t start;

    (void)state;
    up_with(configure);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    dev = come_back(&start);
    opinion.smaller = true;
    expect_not_taken_back(dev);
    rig_put(dev);
}

static void test_O2_a_lent_device_that_the_host_moved_without_a_word(void **state)
{
    struct pcidev *dev;
    struct pcidev_info info;

    (void)state;
    up_with(configure);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    dev = rig_dev(&lent.rig, lent.host);
    lent_place(&lent, BAR_AT);
    assert_int_not_equal(lent.maps.count, 0);
    opinion.moved = true;
    expect_not_taken_back(dev);
    pcidev_snapshot(dev, &info);
    assert_string_equal(info.owner, "vm1");
    rig_put(dev);
}

/* ---- BARs that the host has resized ---- */

static unsigned rebar;

static void make_resizable(void)
{
    mb_bar(lent.function, 2, MB_BAR_PREFETCH64, 8 * MIB);
    rebar = mb_ext_cap(lent.function, EXT_REBAR, 1);
    mb_put(lent.function, rebar + 4, 4, 0x1d0);
    mb_put(lent.function, rebar + REBAR_CONTROL, 4, 2 | 1 << 5 | 3 << 8);
}

static void host_resizes(unsigned size)
{
    uint32_t command = (uint32_t)berth_domain_config_read(hwdom, lent.host, LENT_COMMAND, 2);

    berth_domain_config_write(hwdom, lent.host, LENT_COMMAND, 2, command & ~LENT_MEMORY);
    berth_domain_config_write(hwdom, lent.host, rebar + REBAR_CONTROL, 4, size << 8);
    berth_domain_config_write(hwdom, lent.host, LENT_COMMAND, 2, command);
}

static void test_O2_a_bar_that_the_host_has_made_smaller(void **state)
{
    uint64_t start, size;

    (void)state;
    make_resizable();
    up_with(configure_silent);
    host_resizes(0);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 2, &start, &size), 0);
    assert_int_equal(size, MIB);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_ext_cap(&lent, EXT_REBAR), rebar);
    lent_put(&lent, LENT_BAR0 + 4, 4, 1);
    lent_put(&lent, LENT_BAR0 + 12, 4, 2);
    lent_put(&lent, LENT_COMMAND, 2, LENT_MEMORY);
    size = 0;
    for (unsigned i = 0; i < lent.maps.count; i++)
        size += lent.maps.piece[i].bar == 2 ? lent.maps.piece[i].length : 0;
    assert_int_equal(size, MIB);
}

/* ---- devices that lie ---- */

static struct berth_host_ops liar;
static bool lying;

static int lying_read(void *context, berth_claim claim, unsigned reg, unsigned length,
                      uint32_t *value)
{
    int error = sim_host_ops.config_read(context, claim, reg, length, value);

    if (!error && lying && reg == LENT_BAR0 + 12)
        *value += 1;
    return error;
}

/* PCIe 7.8.6.3: the size does not change with decode on. */
static struct {
    unsigned early;
    unsigned fails; /* once, the register that is written after the size has gone back; 0: none */
    bool armed;
} watch;

static int watching_write(void *context, berth_claim claim, unsigned reg, unsigned length,
                          uint32_t value)
{
    uint32_t command = 0;

    if (reg == rebar + REBAR_CONTROL) {
        (void)sim_host_ops.config_read(context, claim, LENT_COMMAND, 2, &command);
        watch.armed = watch.fails && (value >> 8 & 0x3f) == 3;
    }
    watch.early += (command & LENT_MEMORY) != 0;
    if (watch.armed && reg == watch.fails) {
        watch.armed = false;
        watch.fails = 0;
        return -EIO;
    }
    return sim_host_ops.config_write(context, claim, reg, length, value);
}

static void configure_liar(struct berth_machine_config *config)
{
    configure_silent(config);
    liar = sim_host_ops;
    liar.config_read = lying_read;
    liar.config_write = watching_write;
    config->host = &liar;
}

static void test_O2_a_resized_bar_stays_where_the_host_has_put_it(void **state)
{
    uint64_t before, start, size;

    (void)state;
    lying = false;
    make_resizable();
    up_with(configure_liar);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 2, &before, &size), 0);
    lying = true;
    lent_put(&lent, rebar + REBAR_CONTROL, 4, 2 << 8);
    lying = false;
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 2, &start, &size), 0);
    assert_int_equal(size, 4 * MIB);
    assert_int_equal(start, before);
}

/* The device is clean up to a register behind the size, and all of it goes the way back. */
static void test_R7_a_size_comes_back_with_decode_off(void **state)
{
    uint64_t start, size;

    (void)state;
    make_resizable();
    up_with(configure_liar);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    lent_put(&lent, rebar + REBAR_CONTROL, 4, 0);
    watch.fails = devctl();
    watch.early = 0;
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), -EIO);
    assert_int_equal(watch.fails, 0);
    rig_expect_owner(&lent.rig, lent.host, "vm1");
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 2, &start, &size), 0);
    assert_int_equal(size, MIB);
    assert_int_equal(watch.early, 0);
}

#define LEFT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEFT(test_O2_device_control_goes_back_with_the_device),
        LEFT(test_O2_device_control_without_any_reset),
        LEFT(test_O2_a_removed_device_keeps_nothing_of_its_guest),
        LEFT(test_R7_a_removal_that_fails_leaves_what_the_guest_wrote),
        cmocka_unit_test_setup_teardown(test_O2_the_function_mask_of_msix_goes, msix_setup,
                                        msix_teardown),
        LEFT(test_K1_nobody_handles_intx_of_a_device_in_quarantine),
        LEFT(test_O2_a_rom_that_could_not_be_switched_off),
        LEFT(test_O2_errors_of_the_time_before),
        LEFT(test_O2_a_device_that_comes_back_elsewhere_is_put_back),
        LEFT(test_O2_where_the_host_insists_the_guest_is_not_let_near),
        LEFT(test_O2_a_device_that_comes_back_smaller),
        LEFT(test_O2_a_lent_device_that_the_host_moved_without_a_word),
        LEFT(test_O2_a_bar_that_the_host_has_made_smaller),
        LEFT(test_O2_a_resized_bar_stays_where_the_host_has_put_it),
        LEFT(test_R7_a_size_comes_back_with_decode_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
