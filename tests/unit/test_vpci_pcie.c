/* SPDX-License-Identifier: MIT */
/* PCI Express and AER in a guest's view (M45, V7): what passes, what is the guest's own. */
#include "src/vpci/caps.h"
#include "tests/unit/lent.h"

#define EXT_AER 0x01

#define DEVCAP 0x04
#define DEVCTL 0x08
#define DEVSTA 0x0a
#define LNKCAP 0x0c
#define LNKCTL 0x10
#define DEVCAP2 0x24
#define DEVCAP_FLR 0x10000000u

static struct lent lent;

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

static struct capture_function *function(void)
{
    return lent.function;
}

static unsigned pcie_at(void)
{
    return mb_find_cap(function(), 0x10);
}

static void expect_reserved(unsigned from, unsigned end)
{
    lent_expect_reserved(&lent, from, end);
}

/* ---- PCI Express ---- */

static void test_V7_device_control_is_the_guests_in_part(void **state)
{
    unsigned at = pcie_at();

    (void)state;
    lent_up(&lent);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x2810);
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x2810);
    lent_put(&lent, at + DEVCTL, 2, 0x53ef); /* all of it: other sizes, no ordering */
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x53ef);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x5000);
    lent_put(&lent, at + DEVCTL, 2, 0x7010); /* no such size */
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x5010);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x5010);
    lent_put(&lent, at + DEVCTL + 1, 1, 0x28);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x2810);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x2810);
}

static void test_V7_no_phantom_functions_and_no_host_numbers(void **state)
{
    unsigned at = pcie_at();

    (void)state;
    mb_put(function(), at + 2, 2, 0x3f02); /* interrupt message, slot */
    mb_put(function(), at + LNKCAP, 4, 0x25473c81);
    mb_put(function(), at + DEVCAP, 4, 0x1ffdffff & ~0x18u);
    mb_put(function(), at + DEVCAP2, 4, 0xffffffff);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + 2, 2), 0x0002);
    assert_int_equal(lent_get(&lent, at + LNKCAP, 4), 0x00473c81);
    assert_int_equal(lent_get(&lent, at + DEVCAP, 4), 0x1ffc8fe7);
    assert_int_equal(lent_get(&lent, at + DEVCAP2, 4), 0x1f);
    lent_put(&lent, at + LNKCTL, 2, 0x0003);
    assert_int_equal(lent_get(&lent, at + LNKCTL, 2), 0x0003);
    assert_int_equal(lent_hardware(&lent, at + LNKCTL, 2), 0);
    expect_reserved(at + 0x14, at + 0x24); /* slot, root */
}

static void test_M45_a_version_1_capability_is_short(void **state)
{
    unsigned at = pcie_at();

    (void)state;
    mb_put(function(), at + 2, 2, 1);
    mb_put(function(), at + DEVCAP2, 4, 0x1f);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + 2, 2), 1);
    expect_reserved(at + 0x14, at + 0x3c);
}

static void test_M45_an_integrated_endpoint_has_no_link(void **state)
{
    unsigned at;

    (void)state;
    lent.host = sbdf_make(0, 0, 9, 0);
    lent.function = mb_rc_endpoint(&lent.rig.builder, lent.host);
    at = pcie_at();
    mb_put(function(), at + LNKCAP, 4, 0x00473c81);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + 2, 2), 0x92);
    expect_reserved(at + LNKCAP, at + 0x24);
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x2810);
}

static void test_M45_an_flr_by_the_guest_is_a_reset(void **state)
{
    struct pcidev_info before, after;
    unsigned at = pcie_at();

    (void)state;
    lent_up(&lent);
    lent_place(&lent, 0x40000000);
    lent_put(&lent, at + DEVCTL, 2, 0x5001);
    before = rig_info(&lent.rig, lent.host);
    lent_put(&lent, at + DEVCTL, 2, 0xd001);
    after = rig_info(&lent.rig, lent.host);
    assert_true(after.generation > before.generation);
    assert_string_equal(after.owner, "vm1");
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x2810); /* as at first */
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x2810);
    assert_int_equal(lent_get(&lent, LENT_COMMAND, 2), 0);
    assert_int_equal(lent.maps.count, 0);
}

static void test_M45_no_flr_where_the_core_has_none(void **state)
{
    struct pcidev_info before;
    unsigned at = pcie_at();

    (void)state;
    mb_no_flr(function());
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + DEVCAP, 4) & DEVCAP_FLR, 0);
    before = rig_info(&lent.rig, lent.host);
    lent_put(&lent, at + DEVCTL, 2, 0xa810);
    assert_int_equal(lent_get(&lent, at + DEVCTL, 2), 0x2810);
    assert_int_equal(rig_info(&lent.rig, lent.host).generation, before.generation);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x2810);
}

static void test_M45_a_reset_by_the_host_is_as_good(void **state)
{
    unsigned at = pcie_at();

    (void)state;
    mb_no_flr(function());
    lent_up_idle(&lent);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_set_host_reset(lent.rig.sim, lent.host, true, 1000), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_not_equal(lent_get(&lent, at + DEVCAP, 4) & DEVCAP_FLR, 0);
}

/* The error bits are the hardware's: ones that are written clear them there, zeros don't. */
static void test_M45_errors_in_the_device_status(void **state)
{
    unsigned at = pcie_at();

    (void)state;
    lent_up(&lent);
    assert_int_equal(sim_error(lent.rig.sim, lent.host, SIM_ERROR_CORRECTABLE), 0);
    assert_int_equal(lent_get(&lent, at + DEVSTA, 2) & 0xf, 1);
    lent_put(&lent, at + DEVCTL, 4, 0x000e2810); /* the other bits */
    assert_int_equal(lent_get(&lent, at + DEVSTA, 2) & 0xf, 1);
    lent_put(&lent, at + DEVSTA, 1, 1);
    assert_int_equal(lent_get(&lent, at + DEVSTA, 2) & 0xf, 0);
    assert_int_equal(lent_hardware(&lent, at + DEVSTA, 2) & 0xf, 0);
    assert_int_equal(lent_hardware(&lent, at + DEVCTL, 2), 0x2810);
}

/* ---- AER ---- */

static void test_M45_aer_is_virtual(void **state)
{
    unsigned at;
    uint32_t mask;

    (void)state;
    lent_up(&lent);
    at = lent_ext_cap(&lent, EXT_AER);
    mask = lent_hardware(&lent, at + 0x08, 4);
    assert_int_equal(lent_get(&lent, at + 0x08, 4), 0x00400000);
    assert_int_equal(lent_get(&lent, at + 0x0c, 4), 0x00462030);
    assert_int_equal(lent_get(&lent, at + 0x14, 4), 0x0000e000);
    lent_put(&lent, at + 0x08, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, at + 0x08, 4), 0x007ff030);
    assert_int_equal(lent_hardware(&lent, at + 0x08, 4), mask);
    expect_reserved(at + 0x1c, at + 0x48); /* the header log */
}

static void report(uint32_t uncorrectable, uint32_t correctable)
{
    struct pcidev *dev = rig_dev(&lent.rig, lent.host);
    struct vpci *v = atomic_load(&dev->vpci);

    lock_take(&v->lock);
    vpci_aer_report(v, uncorrectable, correctable);
    lock_drop(&v->lock);
    rig_put(dev);
}

static void test_M13_the_guest_is_told_of_errors(void **state)
{
    unsigned at;

    (void)state;
    lent_up(&lent);
    at = lent_ext_cap(&lent, EXT_AER);
    report(0x00044000, 0x1);
    report(0x00001000, 0xffffffff);
    assert_int_equal(lent_get(&lent, at + 0x04, 4), 0x00045000);
    assert_int_equal(lent_get(&lent, at + 0x10, 4), 0x0000f1c1);
    assert_int_equal(lent_get(&lent, at + 0x18, 4), 14); /* the first one, lowest bit */
    lent_put(&lent, at + 0x05, 1, 0x40);
    assert_int_equal(lent_get(&lent, at + 0x04, 4), 0x00041000);
    lent_put(&lent, at + 0x04, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, at + 0x04, 4), 0);
    report(0x00000010, 0);
    assert_int_equal(lent_get(&lent, at + 0x18, 4), 4);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_device_control_is_the_guests_in_part),
        TEST(test_V7_no_phantom_functions_and_no_host_numbers),
        TEST(test_M45_a_version_1_capability_is_short),
        TEST(test_M45_an_integrated_endpoint_has_no_link),
        TEST(test_M45_an_flr_by_the_guest_is_a_reset),
        TEST(test_M45_no_flr_where_the_core_has_none),
        TEST(test_M45_a_reset_by_the_host_is_as_good),
        TEST(test_M45_errors_in_the_device_status),
        TEST(test_M45_aer_is_virtual),
        TEST(test_M13_the_guest_is_told_of_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
