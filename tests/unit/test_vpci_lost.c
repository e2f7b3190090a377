/* SPDX-License-Identifier: MIT */
/* A PF that its guest works on while it is reset, taken away, or lost (A2, O1, V6). */
#include <pthread.h>
#include <string.h>

#include <berth_port.h>

#include "src/core/transition.h"
#include "tests/unit/lent.h"

#define EXT_SRIOV 0x10
#define CONTROL 0x08
#define NUMBER 0x10
#define VFE 0x0001u
#define CAP_EXP 0x10
#define DEVCTL 8
#define DEVCTL_FLR 0x8000u
#define WRITES_MAX 64u

static struct lent lent;
static struct berth_domain *other;
static struct pcidev *pf;
static unsigned sriov;
static const struct sbdf seat = {0, 0, 3 << 3};

/* Somebody who is faster: runs once, just before the transition of this name takes its lock. */
static const char *faster_than;
static void (*faster)(void);

int __real_transition_begin(struct transition *t);
int __wrap_transition_begin(struct transition *t);

int __wrap_transition_begin(struct transition *t)
{
    if (faster_than && !strcmp(t->name, faster_than)) {
        faster_than = NULL;
        faster();
    }
    return __real_transition_begin(t);
}

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    mb_root_port(&lent.rig.builder, at(0, 2, 0), 2, 2);
    lent.host = at(2, 0, 0);
    lent.function = mb_pf(&lent.rig.builder, lent.host, 4, 128, 2);
    lent_up_idle(&lent);
    other = rig_guest(&lent.rig, "vm2");
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, lent.guest, seat), 0);
    pf = rig_dev(&lent.rig, lent.host);
    sriov = lent_ext_cap(&lent, EXT_SRIOV);
    assert_int_not_equal(sriov, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_null(faster_than);
    rig_put(pf);
    rig_destroy_guest(&lent.rig, other);
    lent_down(&lent);
    return 0;
}

static struct sbdf host_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(lent.host) + 128 + 2 * index);
}

static void enable_as(struct berth_domain *guest, struct sbdf where, unsigned count)
{
    berth_domain_config_write(guest, where, sriov + NUMBER, 2, count);
    berth_domain_config_write(guest, where, sriov + CONTROL, 2, count ? VFE : 0);
}

static void enable_two(void)
{
    enable_as(lent.guest, seat, 2);
}

/* ---- A2: a write that fails, and its undo as well ---- */

/* The write of the host that has to fail for that, with all that follow; 0: none. */
static unsigned try_to_lose(unsigned from, unsigned end)
{
    for (unsigned n = from; n < end; n++) {
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, WRITES_MAX, 0);
        enable_two();
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
        if (rig_info(&lent.rig, lent.host).broken)
            return n;
        enable_as(lent.guest, seat, 0);
    }
    return 0;
}

static _Atomic int inside;

/* Inside until the device is no longer to be seen, and a little longer. */
static void *stay_inside(void *view_bytes)
{
    struct pcidev_section section;

    inside = pcidev_enter(pf, "vcpu", &section) ? 1 : -1;
    if (inside < 0)
        return NULL;
    for (unsigned i = 0; i < 200000 && berth_domain_answers(lent.guest, seat); i++)
        port_relax(200);
    for (unsigned i = 0; i < 1000; i++)
        port_relax(200);
    *(size_t *)view_bytes = berth_view_size(pf);
    pcidev_exit(&section);
    return NULL;
}

static void test_A2_a_pf_is_lost_when_nobody_is_inside_any_more(void **state)
{
    size_t bytes = 0;
    pthread_t thread;
    unsigned n = try_to_lose(1, WRITES_MAX);

    assert_int_not_equal(n, 0);
    rig_expect_owner(&lent.rig, lent.host, "quarantine");
    (void)teardown(state);
    (void)setup(state);
    inside = 0;
    assert_int_equal(pthread_create(&thread, NULL, stay_inside, &bytes), 0);
    while (!inside)
        port_relax(200);
    assert_int_equal(try_to_lose(n, n + 1), n);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(inside, 1);
    assert_int_not_equal(bytes, 0); /* the view was there as long as the section */
    assert_int_equal(berth_view_size(pf), 0);
    rig_expect_owner(&lent.rig, lent.host, "quarantine");
}

/* ---- R7: the hardware is set up before there is an owner ---- */

static void add_anew(void)
{
    rig_put(pf);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    pf = rig_dev(&lent.rig, lent.host);
}

static void test_R7_lent_with_registers_that_are_known_or_not_at_all(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned n = 1; failed; n++) {
        int error;

        add_anew();
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, 0, 0);
        error = rig_assign_at(&lent.rig, lent.host, lent.guest, seat);
        failed = sim_failed(lent.rig.sim, SIM_OP_CONFIG_WRITE);
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
        assert_int_equal(failed, error != 0);
    }
}

/* ---- a guest's own reset that fails ---- */

static void test_M45_a_reset_that_fails_leaves_the_view_as_it_was(void **state)
{
    const unsigned devctl = lent_cap(&lent, CAP_EXP) + DEVCTL;
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; n < 8 && !rig_info(&lent.rig, lent.host).broken; n++) {
        const uint32_t generation = pcidev_generation(pf);

        lent_put(&lent, LENT_COMMAND, 2, LENT_MASTER);
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, 0, 0);
        lent_put(&lent, devctl, 2, DEVCTL_FLR);
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
        if (pcidev_generation(pf) != generation)
            continue;
        failed++;
        assert_int_equal(lent_get(&lent, LENT_COMMAND, 2), LENT_MASTER);
    }
    assert_int_not_equal(failed, 0);
}

/* ---- the guest makes VFs while its PF is taken away ---- */

static struct berth_vcpu vcpu;

/* Its virtual CPU waits then. */
static void ask_for_two(void)
{
    berth_domain_config_write(lent.guest, seat, sriov + NUMBER, 2, 2);
    assert_int_equal(berth_vcpu_config_write(&vcpu, lent.guest, seat, sriov + CONTROL, 2, VFE),
                     -EAGAIN);
    assert_int_equal(berth_vcpu_continue(&vcpu), -EAGAIN);
    assert_true(vcpu.waiting);
}

static void test_V6_no_vfs_just_before_a_deassign(void **state)
{
    (void)state;
    faster_than = "deassign";
    faster = ask_for_two;
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
    rig_expect_owner(&lent.rig, lent.host, "quarantine");
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, lent.guest, seat), 0);
    enable_two(); /* it may again */
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 2);
}

static void test_V6_no_vfs_just_before_a_removal(void **state)
{
    (void)state;
    faster_than = "remove";
    faster = ask_for_two;
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    assert_false(sim_present(lent.rig.sim, host_vf(0)));
    rig_put(pf);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    pf = rig_dev(&lent.rig, lent.host);
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 0);
}

/* ---- what one guest asked for does not happen to the next one ---- */

static void move_a_vf(void)
{
    assert_int_equal(rig_deassign(&lent.rig, host_vf(1), lent.guest), 0);
    assert_int_equal(rig_assign(&lent.rig, host_vf(1), other), 0);
}

static void test_O1_a_vf_that_another_guest_gets_meanwhile(void **state)
{
    (void)state;
    enable_two();
    faster_than = "remove";
    faster = move_a_vf;
    rig_expect_refused(&lent.rig, rig_deassign(&lent.rig, lent.host, lent.guest), -EBUSY,
                       BERTH_REASON_OWNED);
    rig_expect_owner(&lent.rig, host_vf(1), "vm2");
    rig_expect_owner(&lent.rig, lent.host, "vm1");
}

static uint32_t generation_then;

/* The next guest wants VFs as well, and gets them when the last one's affairs are over. */
static void move_the_pf(void)
{
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, other, seat), 0);
    berth_domain_config_write(other, seat, sriov + NUMBER, 2, 2);
    assert_int_equal(berth_vcpu_config_write(&vcpu, other, seat, sriov + CONTROL, 2, VFE), -EAGAIN);
    assert_int_equal(berth_vcpu_continue(&vcpu), -EAGAIN);
    generation_then = pcidev_generation(pf);
}

static void expect_moved(void)
{
    while (berth_vcpu_continue(&vcpu) == -EAGAIN)
        continue;
    assert_int_equal(pcidev_generation(pf), generation_then);
    rig_expect_owner(&lent.rig, lent.host, "vm2");
    rig_expect_owner(&lent.rig, host_vf(0), "vm2");
    rig_expect_owner(&lent.rig, host_vf(1), "vm2");
    assert_int_equal(rig_info(&lent.rig, lent.host).vfs, 2);
}

static void test_V6_a_reset_of_a_pf_that_another_guest_gets_meanwhile(void **state)
{
    const unsigned devctl = lent_cap(&lent, CAP_EXP) + DEVCTL;

    (void)state;
    enable_two();
    faster_than = "remove"; /* of the first VF, on behalf of the reset */
    faster = move_the_pf;
    lent_put(&lent, devctl, 2, DEVCTL_FLR);
    expect_moved();
}

static void test_O1_a_deassign_of_a_pf_that_another_guest_gets_meanwhile(void **state)
{
    (void)state;
    enable_two();
    faster_than = "remove";
    faster = move_the_pf;
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), -EINVAL);
    expect_moved();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_A2_a_pf_is_lost_when_nobody_is_inside_any_more),
        TEST(test_R7_lent_with_registers_that_are_known_or_not_at_all),
        TEST(test_M45_a_reset_that_fails_leaves_the_view_as_it_was),
        TEST(test_V6_no_vfs_just_before_a_deassign),
        TEST(test_V6_no_vfs_just_before_a_removal),
        TEST(test_O1_a_vf_that_another_guest_gets_meanwhile),
        TEST(test_V6_a_reset_of_a_pf_that_another_guest_gets_meanwhile),
        TEST(test_O1_a_deassign_of_a_pf_that_another_guest_gets_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
