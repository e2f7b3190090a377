/* SPDX-License-Identifier: MIT */
/*
 * Bad input: every offset, every size and every alignment, in every state of the device (V2, V4,
 * V7, A2, A4, F72, F88, F90, O7). The right value or all ones of exactly that width; and no
 * register of the host is touched that is not the guest's.
 */
#include <pthread.h>
#include <stdlib.h>

#include <berth_port.h>

#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SPACE 4096u

static const unsigned sizes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, UINT32_MAX};

/* Beyond config space: around its end, around 16 bits, around 32 bits. */
static const struct {
    unsigned first, last;
} ranges[] = {{0, SPACE + 16}, {0x7ff8, 0x8008}, {0xfff0, 0x10010}, {UINT32_MAX - 16, UINT32_MAX}};

static struct rig rig;
static struct rig_vm vm, vm2;
static struct pcidev *dev; /* rig_nvme */
static const struct sbdf seat = {0, 3, 0x28};

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seat), 0);
    dev = rig_dev(&rig, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_put(dev);
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

/* ---- who accesses what ---- */

struct subject {
    struct berth_domain *domain;
    struct sbdf sbdf;
    uint8_t byte[SPACE]; /* as read one by one */
    bool there;
};

static bool is_access(unsigned reg, unsigned size)
{
    return (size == 1 || size == 2 || size == 4 || size == 8) && reg < SPACE && size <= SPACE - reg;
}

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

static void look(struct subject *s, struct berth_domain *domain, struct sbdf sbdf)
{
    s->domain = domain;
    s->sbdf = sbdf;
    s->there = true;
    for (unsigned reg = 0; reg < SPACE; reg++)
        s->byte[reg] = (uint8_t)berth_domain_config_read(domain, sbdf, reg, 1);
}

static uint64_t expected(const struct subject *s, unsigned reg, unsigned size)
{
    uint64_t value = 0;

    if (!s->there || !is_access(reg, size))
        return ones(size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)s->byte[reg + i] << 8 * i;
    return value;
}

static void read_at(const struct subject *s, unsigned reg)
{
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        uint64_t value = berth_domain_config_read(s->domain, s->sbdf, reg, sizes[i]);

        if (value != expected(s, reg, sizes[i]))
            fail_msg("%x, %u bytes: %llx", reg, sizes[i], (unsigned long long)value);
    }
}

static void read_everything(const struct subject *s)
{
    for (unsigned i = 0; i < COUNT(ranges); i++)
        for (uint64_t reg = ranges[i].first; reg <= ranges[i].last; reg++)
            read_at(s, (unsigned)reg);
}

static void write_at(const struct subject *s, unsigned reg, unsigned size, uint64_t value)
{
    struct berth_vcpu vcpu = {.dev = NULL};

    if (reg & 1) {
        berth_domain_config_write(s->domain, s->sbdf, reg, size, value);
        return;
    }
    assert_int_equal(berth_vcpu_config_write(&vcpu, s->domain, s->sbdf, reg, size, value), 0);
    assert_null(vcpu.dev);
}

/* Those that are no access at all only, where there is a device. */
static void write_everything(const struct subject *s)
{
    for (unsigned i = 0; i < COUNT(ranges); i++)
        for (uint64_t reg = ranges[i].first; reg <= ranges[i].last; reg++)
            for (unsigned k = 0; k < COUNT(sizes); k++)
                if (!s->there || !is_access((unsigned)reg, sizes[k]))
                    write_at(s, (unsigned)reg, sizes[k], reg & 2 ? UINT64_MAX : 0);
}

static void expect_same_touches(const struct sim_counters *before)
{
    struct sim_counters now;

    sim_counters(rig.sim, &now);
    assert_int_equal(now.config_reads, before->config_reads);
    assert_int_equal(now.config_writes, before->config_writes);
    assert_int_equal(now.bar_reads, before->bar_reads);
    assert_int_equal(now.bar_writes, before->bar_writes);
    assert_int_equal(now.touches_resetting, before->touches_resetting);
    assert_int_equal(now.touches_vanished, before->touches_vanished);
    rig_expect_untouched(&rig);
}

/* ---- where there is nothing for the guest ---- */

/* The device is not there for @domain: all ones, and nobody touches anything (V4). */
static void expect_nothing(struct berth_domain *domain, struct sbdf sbdf)
{
    struct subject nobody = {.domain = domain, .sbdf = sbdf, .there = false};
    struct sim_counters before;

    sim_counters(rig.sim, &before);
    read_everything(&nobody);
    write_everything(&nobody);
    expect_same_touches(&before);
}

static void test_V2_nothing_for_who_does_not_have_it(void **state)
{
    struct berth_domain *others[] = {berth_machine_hwdom(rig.machine),
                                     berth_machine_quarantine(rig.machine),
                                     berth_machine_hidden(rig.machine), vm2.domain, vm.domain};

    (void)state;
    for (unsigned i = 0; i < COUNT(others); i++)
        expect_nothing(others[i], rig_nvme); /* V1: not even its guest, by the host's address */
    expect_nothing(vm2.domain, seat);
    expect_nothing(vm.domain, at(3, 5, 1));
    expect_nothing(vm.domain, sbdf_make(1, 3, 5, 0));
}

static void test_V2_removed(void **state)
{
    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    expect_nothing(vm.domain, seat);
    expect_nothing(berth_machine_hwdom(rig.machine), rig_nvme);
}

static void test_A4_disconnected(void **state)
{
    (void)state;
    rig_pull(&rig, rig_nvme);
    expect_nothing(vm.domain, seat);
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0); /* it takes more than that */
    expect_nothing(vm.domain, seat);
}

static void test_V2_quarantined(void **state)
{
    (void)state;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    expect_nothing(vm.domain, seat);
    expect_nothing(berth_machine_hwdom(rig.machine), rig_nvme);
}

static void test_V2_broken(void **state)
{
    (void)state;
    assert_int_equal(sim_hang_on_reset(rig.sim, rig_nvme, true), 0);
    assert_int_not_equal(rig_reset(&rig, rig_nvme), 0);
    assert_true(rig_info(&rig, rig_nvme).broken);
    expect_nothing(vm.domain, seat);
}

static void test_O2_another_guest_has_it_now(void **state)
{
    static struct subject other;

    (void)state;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm2.domain, seat), 0);
    look(&other, vm2.domain, seat);
    expect_nothing(vm.domain, seat);
    read_everything(&other); /* who noticed nothing */
}

static void test_V2_the_guest_is_gone(void **state)
{
    struct berth_domain *gone = rig_guest(&rig, "vm3");
    const struct berth_request request = rig_request(&rig);

    (void)state;
    assert_int_equal(rig_assign_at(&rig, rig_nvme2, gone, seat), 0);
    assert_int_equal(berth_domain_destroy(gone, &request), 0);
    expect_nothing(gone, seat);
    berth_domain_put(gone);
}

/* ---- in the middle of a transition ---- */

struct errand {
    pthread_t thread;
    int (*run)(void);
    int error;
};

static void *run(void *context)
{
    struct errand *errand = context;

    errand->error = errand->run();
    return NULL;
}

static int deassign(void)
{
    struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};

    return pcidev_deassign(dev, vm.domain, &request);
}

static int remove_by_force(void)
{
    const struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};

    return pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request);
}

static int reset(void)
{
    const struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};

    return pcidev_reset(dev, &request);
}

static void errand_start(struct errand *errand)
{
    /* a test that fails has a thread left which waits for it: stop here instead */
    assert_int_equal(setenv("CMOCKA_TEST_ABORT", "1", 1), 0);
    assert_int_equal(pthread_create(&errand->thread, NULL, run, errand), 0);
}

static void errand_end(struct errand *errand)
{
    assert_int_equal(pthread_join(errand->thread, NULL), 0);
    assert_int_equal(errand->error, 0);
}

/* Its guest does not let go of it. */
static void expect_nothing_in_the_middle(int (*transition)(void))
{
    struct errand errand = {.run = transition};

    atomic_store(&vm.block, true);
    errand_start(&errand);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    expect_nothing(vm.domain, seat);
    expect_nothing(vm2.domain, seat);
    expect_nothing(berth_machine_hwdom(rig.machine), rig_nvme);
    atomic_store(&vm.block, false);
    errand_end(&errand);
}

static void test_O2_while_it_is_taken_away(void **state)
{
    (void)state;
    expect_nothing_in_the_middle(deassign);
    expect_nothing(vm.domain, seat);
}

static void test_A2_while_it_is_removed(void **state)
{
    (void)state;
    expect_nothing_in_the_middle(remove_by_force);
    expect_nothing(vm.domain, seat);
}

static void test_M09_while_it_is_reset(void **state)
{
    static struct subject guest;

    (void)state;
    look(&guest, vm.domain, seat);
    expect_nothing_in_the_middle(reset);
    read_everything(&guest); /* and all of it is back */
}

/* The gate is closed, and somebody is inside still: the view is on the bus. */
static void test_A2_while_the_last_one_leaves(void **state)
{
    struct errand errand = {.run = deassign};
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(dev, "stays", &section));
    errand_start(&errand);
    while (!rig_info(&rig, rig_nvme).in_transition || berth_domain_answers(vm.domain, seat))
        port_relax(100);
    expect_nothing(vm.domain, seat);
    pcidev_exit(&section);
    errand_end(&errand);
}

/* ---- where there is a device ---- */

static const struct sbdf *const devices[] = {&rig_nvme, &rig_pf, &rig_phantom};

static void lend_all(void)
{
    for (unsigned i = 1; i < COUNT(devices); i++)
        assert_int_equal(rig_assign(&rig, *devices[i], vm.domain), 0);
}

static void test_F88_a_present_device_reads_the_same_by_every_size(void **state)
{
    static struct subject guest;
    struct sim_counters before, after;

    (void)state;
    lend_all();
    for (unsigned i = 0; i < COUNT(devices); i++) {
        look(&guest, vm.domain, rig_seen(&rig, *devices[i]));
        assert_int_equal(expected(&guest, 0, 4), 0x00101b36);
        sim_counters(rig.sim, &before);
        read_everything(&guest);
        write_everything(&guest); /* what is no access changes nothing */
        read_everything(&guest);
        sim_counters(rig.sim, &after);
        assert_int_equal(after.config_writes, before.config_writes);
        rig_expect_untouched(&rig);
    }
}

static void test_M47_the_hardware_domain_reads_what_is_there(void **state)
{
    static struct subject hwdom;
    const struct sbdf *const its[] = {&rig_nvme2, &rig_legacy, &rig_port};

    (void)state;
    for (unsigned i = 0; i < COUNT(its); i++) {
        const unsigned size = rig_info(&rig, *its[i]).config_size;
        struct sim_counters before, after;

        look(&hwdom, berth_machine_hwdom(rig.machine), *its[i]);
        for (unsigned reg = 0; reg < SPACE; reg++)
            assert_int_equal(hwdom.byte[reg], reg < size ? rig_peek(&rig, *its[i], reg, 1) : 0xff);
        read_everything(&hwdom);
        sim_counters(rig.sim, &before);
        write_everything(&hwdom);
        sim_counters(rig.sim, &after);
        assert_int_equal(after.config_writes, before.config_writes);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V2_nothing_for_who_does_not_have_it),
        TEST(test_V2_removed),
        TEST(test_A4_disconnected),
        TEST(test_V2_quarantined),
        TEST(test_V2_broken),
        TEST(test_O2_another_guest_has_it_now),
        TEST(test_V2_the_guest_is_gone),
        TEST(test_O2_while_it_is_taken_away),
        TEST(test_A2_while_it_is_removed),
        TEST(test_M09_while_it_is_reset),
        TEST(test_A2_while_the_last_one_leaves),
        TEST(test_F88_a_present_device_reads_the_same_by_every_size),
        TEST(test_M47_the_hardware_domain_reads_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
