/* SPDX-License-Identifier: MIT */
/* A guest makes VFs of a PF that it was lent as a whole (M45, K11). */
#include <pthread.h>

#include <berth_port.h>

#include "tests/unit/lent.h"

#define EXT_SRIOV 0x10
#define CONTROL 0x08
#define INITIAL 0x0c
#define TOTAL 0x0e
#define NUMBER 0x10
#define OFFSET 0x14
#define STRIDE 0x16
#define DEVICE 0x1a
#define PAGE_SIZES 0x1c
#define PAGE_SIZE 0x20
#define VF_BAR0 0x24
#define VFE 0x0001u
#define MSE 0x0008u
#define BAR_AT UINT64_C(0x300000000)
#define VF_SIZE 0x4000u /* machines.h */

static struct lent lent;
static unsigned sriov;
static const char tag_seen[] = "seen";
static const struct sbdf seat = {0, 0, 3 << 3};

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    mb_root_port(&lent.rig.builder, at(0, 2, 0), 2, 2);
    lent.host = at(2, 0, 0);
    lent.function = mb_pf(&lent.rig.builder, lent.host, 4, 128, 2);
    lent_up_idle(&lent);
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, lent.guest, seat), 0);
    sriov = lent_ext_cap(&lent, EXT_SRIOV);
    assert_int_not_equal(sriov, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static struct sbdf host_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(lent.host) + 128 + 2 * index);
}

static struct sbdf guest_vf(unsigned index)
{
    unsigned offset = lent_get(&lent, sriov + OFFSET, 2),
             stride = lent_get(&lent, sriov + STRIDE, 2);

    return sbdf_from_key(sbdf_key(seat) + offset + stride * index);
}

static void place(void)
{
    lent_put(&lent, sriov + VF_BAR0, 4, (uint32_t)BAR_AT);
    lent_put(&lent, sriov + VF_BAR0 + 4, 4, BAR_AT >> 32);
}

static void enable(unsigned count, unsigned switches)
{
    lent_put(&lent, sriov + NUMBER, 2, count);
    lent_put(&lent, sriov + CONTROL, 2, switches);
}

static unsigned control(void)
{
    return lent_get(&lent, sriov + CONTROL, 2);
}

static uint64_t mapped(unsigned index)
{
    struct pcidev *vf = rig_dev(&lent.rig, host_vf(index));
    uint64_t bytes = guest_maps_bytes(&lent.maps, vf, 0);

    rig_put(vf);
    return bytes;
}

/* @other: somebody else is in the place of that one. */
static void expect_no_vfs_but(unsigned other)
{
    for (unsigned i = 0; i < 4; i++) {
        assert_false(sim_present(lent.rig.sim, host_vf(i)));
        assert_false(rig_has(&lent.rig, host_vf(i)));
        assert_int_equal(berth_domain_answers(lent.guest, guest_vf(i)), i == other);
    }
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
    assert_int_equal(control() & VFE, 0);
}

static void expect_no_vfs(void)
{
    expect_no_vfs_but(4);
}

/* ---- registers ---- */

static void test_M45_what_the_guest_sees(void **state)
{
    (void)state;
    assert_int_equal(lent_get(&lent, sriov + TOTAL, 2), 4);
    assert_int_equal(lent_get(&lent, sriov + INITIAL, 2), 4);
    assert_int_equal(lent_get(&lent, sriov + NUMBER, 2), 0);
    assert_int_equal(lent_get(&lent, sriov + OFFSET, 2), 128);
    assert_int_equal(lent_get(&lent, sriov + STRIDE, 2), 2);
    assert_int_equal(lent_get(&lent, sriov + DEVICE, 2), 0x0011);
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZES, 4), 0x553);
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZE, 4), 1);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4) & 0xf, 0xc);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0 + 8, 4), 0);
    assert_int_equal(control(), 0);
}

static void test_M45_bars_of_vfs_are_sized_and_moved(void **state)
{
    uint32_t hardware = lent_hardware(&lent, sriov + VF_BAR0, 4);

    (void)state;
    lent_put(&lent, sriov + VF_BAR0, 4, 0xffffffff);
    lent_put(&lent, sriov + VF_BAR0 + 4, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4), (uint32_t)-VF_SIZE | 0xc);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0 + 4, 4), 0xffffffff);
    lent_put(&lent, sriov + PAGE_SIZE, 4, 0x10); /* 64 KiB */
    lent_put(&lent, sriov + VF_BAR0, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4), (uint32_t)-0x10000 | 0xc);
    lent_put(&lent, sriov + PAGE_SIZE, 4, 0x11); /* two of them, or one that there is not */
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZE, 4), 0x10);
    lent_put(&lent, sriov + PAGE_SIZE, 4, 0x20);
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZE, 4), 0x10);
    assert_int_equal(lent_hardware(&lent, sriov + VF_BAR0, 4), hardware);
}

static void test_M45_numbers_that_there_are_not(void **state)
{
    (void)state;
    lent_put(&lent, sriov + NUMBER, 2, 5);
    assert_int_equal(lent_get(&lent, sriov + NUMBER, 2), 0);
    lent_put(&lent, sriov + CONTROL, 2, VFE); /* none of them */
    expect_no_vfs();
}

/* ---- VFs ---- */

static void test_M45_vfs_come_and_go(void **state)
{
    (void)state;
    place();
    enable(3, VFE | MSE);
    assert_int_equal(control(), VFE | MSE);
    for (unsigned i = 0; i < 3; i++) {
        struct pcidev *dev;

        rig_expect_owner(&lent.rig, host_vf(i), "vm1");
        dev = berth_domain_device_at(lent.guest, guest_vf(i), tag_seen);
        assert_non_null(dev);
        assert_true(sbdf_equal(pcidev_sbdf(dev), host_vf(i)));
        pcidev_put(dev, tag_seen);
        assert_int_equal(berth_domain_config_read(lent.guest, guest_vf(i), 0x10, 4),
                         0); /* 3.4.1.11 */
        assert_true(mapped(i) > 0);
        assert_int_not_equal(guest_maps_at(&lent.maps, BAR_AT + i * VF_SIZE), 0);
    }
    assert_false(berth_domain_answers(lent.guest, guest_vf(3)));
    lent_put(&lent, sriov + NUMBER, 2, 1); /* not while they are there */
    assert_int_equal(lent_get(&lent, sriov + NUMBER, 2), 3);
    lent_put(&lent, sriov + VF_BAR0, 4, 0x10000000);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4) & ~0xfu, (uint32_t)BAR_AT);
    lent_put(&lent, sriov + CONTROL, 2, 0);
    expect_no_vfs();
    assert_int_equal(lent.maps.count, 0);
    enable(1, VFE);
    assert_int_equal(control(), VFE);
    rig_expect_owner(&lent.rig, host_vf(0), "vm1");
}

static void test_M45_mse_alone_moves_the_bars(void **state)
{
    (void)state;
    place();
    enable(2, VFE);
    assert_int_equal(mapped(0), 0);
    lent_put(&lent, sriov + CONTROL, 2, VFE | MSE);
    assert_true(mapped(0) > 0 && mapped(1) > 0);
    lent_put(&lent, sriov + CONTROL, 2, VFE);
    assert_int_equal(mapped(0) + mapped(1), 0);
    rig_expect_owner(&lent.rig, host_vf(1), "vm1");
}

static void test_M45_bars_in_the_way_of_others(void **state)
{
    (void)state;
    place();
    lent_place(&lent, BAR_AT + VF_SIZE); /* the PF's own one */
    enable(2, VFE | MSE);
    expect_no_vfs();
    enable(2, VFE);
    lent_put(&lent, sriov + CONTROL, 2, VFE | MSE);
    assert_int_equal(control(), VFE);
    assert_int_equal(mapped(0) + mapped(1), 0);
}

static unsigned complaints(void)
{
    unsigned count = 0;

    for (int i = -1; (i = rig_find_event(&lent.rig, i + 1, BERTH_EVENT_VIEW, "VFs")) >= 0;)
        count++;
    return count;
}

static void test_O6_a_guest_that_insists_is_heard_a_few_times(void **state)
{
    (void)state;
    enable(1, VFE); /* a slot in which others may be */
    assert_int_equal(rig_assign_at(&lent.rig, at(1, 0, 0), lent.guest, guest_vf(1)), 0);
    lent_put(&lent, sriov + CONTROL, 2, 0);
    for (unsigned i = 0; i < 40; i++)
        enable(2, VFE);
    assert_int_equal(complaints(), 16);
}

/* Where the way back is barred as well, the guest is told that they decode: it may try again. */
static void test_V6_mse_reads_as_it_is(void **state)
{
    (void)state;
    place();
    enable(2, VFE);
    lent.maps.fail_map = 2;
    lent.maps.fail_unmap = 1;
    lent.maps.fail_for_ever = true;
    lent_put(&lent, sriov + CONTROL, 2, VFE | MSE);
    assert_int_equal(control(), VFE | MSE);
    assert_true(mapped(0) > 0);
    assert_int_not_equal(rig_find_event(&lent.rig, 0, BERTH_EVENT_VIEW, "VFs"), -1);
    lent.maps.fail_map = lent.maps.fail_unmap = 0;
    lent_put(&lent, sriov + CONTROL, 2, VFE);
    assert_int_equal(control(), VFE);
    assert_int_equal(mapped(0) + mapped(1), 0);
}

/* A slot of the guest's bus is taken. */
static void test_R7_a_vf_that_cannot_be_lent_takes_all_back(void **state)
{
    (void)state;
    enable(1, VFE); /* a slot in which others may be */
    assert_int_equal(rig_assign_at(&lent.rig, at(1, 0, 0), lent.guest, guest_vf(2)), 0);
    lent_put(&lent, sriov + CONTROL, 2, 0);
    enable(3, VFE);
    expect_no_vfs_but(2);
    assert_true(rig_find_event(&lent.rig, 0, BERTH_EVENT_VIEW, "VFs") >= 0);
    enable(2, VFE);
    assert_int_equal(control(), VFE);
}

/* P2: all of them, or none. */
static void sweep(enum sim_op op)
{
    for (unsigned n = 1; n < 2000; n++) {
        bool failed;
        unsigned there = 0;

        sim_fail(lent.rig.sim, op, n, 0, -EIO);
        enable(2, VFE);
        failed = sim_failed(lent.rig.sim, op);
        sim_fail(lent.rig.sim, op, 0, 0, 0);
        for (unsigned i = 0; i < 2; i++)
            there += rig_has(&lent.rig, host_vf(i));
        assert_true(there == 0 || there == 2);
        assert_int_equal(control(), there ? VFE : 0);
        assert_int_equal(rig_info(&lent.rig, lent.host).vfs, there);
        lent_put(&lent, sriov + CONTROL, 2, 0);
        assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
        if (!failed) {
            assert_int_equal(there, 2);
            return;
        }
    }
    fail_msg("the sweep does not end");
}

static void test_R7_sweep_of_failures(void **state)
{
    (void)state;
    sweep(SIM_OP_ATTACH);
    sweep(SIM_OP_CLAIM);
    sweep(SIM_OP_CONFIG_WRITE);
}

/* ---- the PF is taken back ---- */

static void test_O2_deassign_takes_the_vfs_first(void **state)
{
    (void)state;
    place();
    enable(4, VFE | MSE);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent.maps.count, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_false(rig_has(&lent.rig, host_vf(i)));
    assert_int_equal(rig_reach(lent.guest), 0);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
    assert_int_equal(lent_hardware(&lent, sriov + CONTROL, 2) & VFE, 0);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(control(), 0);
}

static void test_R2_force_removal_takes_the_vfs_first(void **state)
{
    (void)state;
    enable(4, VFE);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_DEFAULT), -EBUSY);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 4);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_false(rig_has(&lent.rig, host_vf(i)));
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
}

static void test_O5_a_guest_that_dies_takes_its_vfs_along(void **state)
{
    (void)state;
    place();
    enable(4, VFE | MSE);
    rig_destroy_guest(&lent.rig, lent.guest);
    assert_int_equal(lent.maps.count, 0);
    rig_expect_owner(&lent.rig, lent.host, "quarantine");
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
    lent.guest = rig_guest(&lent.rig, "vm2");
}

static void test_A4_a_pf_that_is_pulled(void **state)
{
    (void)state;
    enable(2, VFE);
    rig_pull(&lent.rig, lent.host);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_false(rig_has(&lent.rig, host_vf(0)));
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
}

static void test_O4_a_vf_that_another_guest_has_by_now(void **state)
{
    struct berth_domain *other = rig_guest(&lent.rig, "vm2");

    (void)state;
    enable(2, VFE);
    assert_int_equal(rig_deassign(&lent.rig, host_vf(1), lent.guest), 0);
    assert_int_equal(rig_assign(&lent.rig, host_vf(1), other), 0);
    rig_expect_refused(&lent.rig, rig_deassign(&lent.rig, lent.host, lent.guest), -EBUSY,
                       BERTH_REASON_OWNED);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 2);
    rig_expect_owner(&lent.rig, host_vf(0), "vm1");
    lent_put(&lent, sriov + CONTROL, 2, 0); /* nor does its maker get at it */
    assert_int_equal(control(), VFE);
    rig_expect_owner(&lent.rig, host_vf(1), "vm2");
    rig_destroy_guest(&lent.rig, other);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
}

static void test_M45_an_flr_of_the_pf_ends_the_vfs(void **state)
{
    unsigned pcie = lent_cap(&lent, 0x10);

    (void)state;
    place();
    enable(3, VFE | MSE);
    lent_put(&lent, pcie + 8, 2, 0x8000);
    expect_no_vfs();
    assert_int_equal(lent_get(&lent, sriov + NUMBER, 2), 0);
    assert_int_equal(lent.maps.count, 0);
    rig_expect_owner(&lent.rig, lent.host, "vm1");
}

static void test_M14_a_pf_with_vfs_does_not_sleep(void **state)
{
    unsigned pm = lent_cap(&lent, 0x01);

    (void)state;
    enable(2, VFE);
    lent_put(&lent, pm + 4, 2, 3);
    assert_int_equal(lent_get(&lent, pm + 4, 2) & 3, 0);
    assert_true(sim_present(lent.rig.sim, host_vf(0)));
}

static void test_V7_the_host_has_no_say_meanwhile(void **state)
{
    (void)state;
    enable(2, VFE);
    rig_expect_refused(&lent.rig, rig_sriov(&lent.rig, lent.host, 0), -EBUSY,
                       BERTH_REASON_GUEST_OWNS);
    rig_expect_refused(&lent.rig, rig_reset(&lent.rig, lent.host), -EBUSY, BERTH_REASON_HAS_VFS);
}

/* PCIe 6.13: one device behind a port without ARI forwarding. */
static void test_M45_vfs_behind_a_port(void **state)
{
    const struct berth_view_config view = {
        .ops = &guest_maps_ops, .context = &lent.maps, .port_count = 1};

    (void)state;
    rig_destroy_guest(&lent.rig, lent.guest);
    lent.guest = rig_guest(&lent.rig, "vm2");
    assert_int_equal(berth_domain_set_view(lent.guest, &view), 0);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    /* the guest's firmware numbers the bus behind the port */
    berth_domain_config_write(lent.guest, at(0, 1, 0), 0x18, 4, 0x00202000);
    assert_int_equal(rig_seen(&lent.rig, lent.host).bus, 0x20);
    assert_int_equal(lent_get(&lent, sriov + OFFSET, 2), 1);
    assert_int_equal(lent_get(&lent, sriov + STRIDE, 2), 1);
    assert_int_equal(lent_get(&lent, sriov + TOTAL, 2), 4);
    enable(4, VFE);
    assert_int_equal(control(), VFE);
    for (unsigned i = 0; i < 4; i++)
        assert_true(sbdf_equal(rig_seen(&lent.rig, host_vf(i)), at(0x20, 0, i + 1)));
}

/* ---- K11 ---- */

static void *enable_thread(void *unused)
{
    (void)unused;
    enable(4, VFE);
    return NULL;
}

/* In real time: the VFs take 100 ms and more; nobody else of the guest notices. */
static void test_K11_another_device_is_not_delayed(void **state)
{
    const struct sbdf neighbour = at(1, 0, 0);
    pthread_t thread;
    uint64_t slowest = 0;
    unsigned rounds = 0;
    struct sbdf seen;

    (void)state;
    assert_int_equal(rig_assign(&lent.rig, neighbour, lent.guest), 0);
    seen = rig_seen(&lent.rig, neighbour);
    port_posix_warp(false);
    assert_int_equal(pthread_create(&thread, NULL, enable_thread, NULL), 0);
    while (!rig_has(&lent.rig, host_vf(0))) {
        uint64_t begin = port_now_ns(), took;

        berth_domain_config_write(lent.guest, seen, LENT_COMMAND, 2, rounds % 2 ? LENT_MASTER : 0);
        (void)berth_domain_config_read(lent.guest, seen, LENT_COMMAND, 2);
        took = port_now_ns() - begin;
        if (took > slowest)
            slowest = took;
        rounds++;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    port_posix_warp(true);
    assert_true(rounds > 10);
    assert_true(slowest < 90000000); /* less than VF Enable takes, on a busy machine as well */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M45_what_the_guest_sees),
        TEST(test_M45_bars_of_vfs_are_sized_and_moved),
        TEST(test_M45_numbers_that_there_are_not),
        TEST(test_M45_vfs_come_and_go),
        TEST(test_M45_mse_alone_moves_the_bars),
        TEST(test_M45_bars_in_the_way_of_others),
        TEST(test_O6_a_guest_that_insists_is_heard_a_few_times),
        TEST(test_V6_mse_reads_as_it_is),
        TEST(test_R7_a_vf_that_cannot_be_lent_takes_all_back),
        TEST(test_R7_sweep_of_failures),
        TEST(test_O2_deassign_takes_the_vfs_first),
        TEST(test_R2_force_removal_takes_the_vfs_first),
        TEST(test_O5_a_guest_that_dies_takes_its_vfs_along),
        TEST(test_A4_a_pf_that_is_pulled),
        TEST(test_O4_a_vf_that_another_guest_has_by_now),
        TEST(test_M45_an_flr_of_the_pf_ends_the_vfs),
        TEST(test_M14_a_pf_with_vfs_does_not_sleep),
        TEST(test_V7_the_host_has_no_say_meanwhile),
        TEST(test_M45_vfs_behind_a_port),
        TEST(test_K11_another_device_is_not_delayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
