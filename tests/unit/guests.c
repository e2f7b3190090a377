/* SPDX-License-Identifier: MIT */
#include "tests/unit/guests.h"

#define GUESTS 2u

struct rig rig;
struct rig_vm vm, vm2;

static struct rig_vm *const guests[GUESTS] = {&vm, &vm2};
static const char *const names[GUESTS] = {"vm1", "vm2"};
static unsigned guests_are_up;

int guests_setup_blank(void **state)
{
    (void)state;
    guests_are_up = 0;
    rig_begin(&rig);
    return 0;
}

int guests_setup_built(void **state)
{
    guests_setup_blank(state);
    rig_standard(&rig);
    return 0;
}

void guests_join(unsigned count)
{
    assert_in_range(count, 0, GUESTS);
    for (guests_are_up = 0; guests_are_up < count; guests_are_up++)
        rig_vm_up(&rig, guests[guests_are_up], names[guests_are_up]);
}

void guests_up(rig_configure *configure, unsigned count)
{
    rig_up(&rig, configure);
    guests_join(count);
}

int guests_start(rig_configure *configure, unsigned count)
{
    guests_setup_built(NULL);
    guests_up(configure, count);
    return 0;
}

int guests_setup_none(void **state)
{
    (void)state;
    return guests_start(NULL, 0);
}

int guests_setup_one(void **state)
{
    (void)state;
    return guests_start(NULL, 1);
}

int guests_setup_two(void **state)
{
    (void)state;
    return guests_start(NULL, 2);
}

static void guests_down(void)
{
    while (guests_are_up)
        rig_vm_down(guests[--guests_are_up]);
}

int guests_teardown(void **state)
{
    (void)state;
    guests_down();
    rig_down(&rig);
    return 0;
}

int guests_teardown_tight(void **state)
{
    struct sim_counters counters;

    (void)state;
    guests_down();
    sim_counters(rig.sim, &counters);
    assert_int_equal(counters.attach_gaps, rig.gaps_expected);
    assert_int_equal(counters.spaces_freed_in_use, 0);
    rig_down(&rig);
    return 0;
}

struct berth_domain *hwdom(void)
{
    return berth_machine_hwdom(rig.machine);
}
