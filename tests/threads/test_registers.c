/* SPDX-License-Identifier: MIT */
/* Registers that come and go while their owners read and write (V3, V8). */
#include <stdlib.h>
#include <string.h>

#include <berth_port.h>

#include "tests/threads/team.h"
#include "tests/unit/rig.h"

#define ID 0x00101b36u
#define ROUNDS 60

static struct rig rig;
static struct team team;
static struct rig_vm vm;
static struct pcidev *dev; /* the guest's */
static struct sbdf seen;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    dev = rig_dev(&rig, rig_nvme);
    seen = rig_seen(&rig, rig_nvme);
    team_begin(&team);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_put(dev);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static _Atomic unsigned hook_calls;

/* What a hook works with is freed as soon as its register was removed. */
struct widget {
    uint32_t value;
};

static uint32_t widget_read(void *context, unsigned reg, uint32_t stored)
{
    const struct widget *widget = context;

    (void)reg;
    (void)stored;
    atomic_fetch_add(&hook_calls, 1);
    return widget->value;
}

static uint32_t widget_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                             uint32_t cleared)
{
    const struct widget *widget = context;

    (void)reg;
    (void)stored;
    (void)cleared;
    atomic_fetch_add(&hook_calls, 1);
    return value & widget->value;
}

static const struct berth_register trapped = {
    .offset = 0xa00, .size = 4, .rw = UINT32_MAX, .read = widget_read, .write = widget_write};

struct access {
    struct berth_domain *domain;
    struct sbdf sbdf;
    bool comes_and_goes; /* the device itself: all ones are fine */
};

static void expect_either(const struct access *a, unsigned reg, unsigned length, uint64_t value)
{
    uint64_t got = berth_domain_config_read(a->domain, a->sbdf, reg, length);

    if (got != value && got != 0 && !(a->comes_and_goes && got == UINT64_MAX >> (64 - 8 * length)))
        fail_msg("read %llx", (unsigned long long)got);
}

static void *read_and_write(void *context)
{
    const struct access *a = context;

    while (team_goes_on(&team)) {
        expect_either(a, 0xa00, 4, 0xfeedf00d);
        expect_either(a, 0x9fc, 8, UINT64_C(0xfeedf00d00000000));
        expect_either(a, 0, 4, ID);
        (void)berth_view_size(dev);
        berth_domain_config_write(a->domain, a->sbdf, 0xa00, 4, 0);
    }
    return NULL;
}

static struct widget *widget_new(void)
{
    struct widget *widget = malloc(sizeof(*widget));

    assert_non_null(widget);
    widget->value = 0xfeedf00d;
    return widget;
}

/* The thread sanitizer has to see the write, too. */
static void widget_free(struct widget *widget)
{
    memset(widget, 0, sizeof(*widget));
    free(widget);
}

static void add_and_remove(struct pcidev *where)
{
    struct widget *widget = widget_new();
    unsigned calls = atomic_load(&hook_calls);

    assert_int_equal(berth_register_add(where, &trapped, widget), 0);
    for (unsigned wait = 0; wait < 50 && atomic_load(&hook_calls) == calls; wait++)
        port_relax(100);
    assert_int_equal(berth_register_remove(where, 0xa00, 4), 0);
    widget_free(widget);
}

static void change_under_fire(struct pcidev *where, struct access *a)
{
    atomic_store(&hook_calls, 0);
    team_start(&team, read_and_write, a);
    team_start(&team, read_and_write, a);
    for (unsigned i = 0; i < ROUNDS; i++)
        add_and_remove(where);
    team_run(&team, 0);
    assert_true(hook_calls > ROUNDS / 4);
}

static void test_V3_a_guest_reads_while_registers_come_and_go(void **state)
{
    struct access a = {vm.domain, seen, false};

    (void)state;
    change_under_fire(dev, &a);
}

static void test_V3_the_hardware_domain_reads_while_registers_come_and_go(void **state)
{
    struct pcidev *pf = rig_dev(&rig, rig_pf);
    struct access a = {berth_machine_hwdom(rig.machine), rig_pf, false};

    (void)state;
    change_under_fire(pf, &a);
    rig_put(pf);
}

/* The owner's end is the registers' end, and nobody calls their hooks behind it. */
static void test_V3_registers_end_with_a_loan(void **state)
{
    struct access a = {vm.domain, seen, true};

    (void)state;
    team_start(&team, read_and_write, &a);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct widget *widget = widget_new();

        atomic_store(&hook_calls, 0);
        assert_int_equal(berth_register_add(dev, &trapped, widget), 0);
        while (!atomic_load(&hook_calls))
            port_relax(100);
        assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
        widget_free(widget);
        assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seen), 0);
    }
    team_run(&team, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V3_a_guest_reads_while_registers_come_and_go),
        TEST(test_V3_the_hardware_domain_reads_while_registers_come_and_go),
        TEST(test_V3_registers_end_with_a_loan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
