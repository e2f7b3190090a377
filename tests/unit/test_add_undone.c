/* SPDX-License-Identifier: MIT */
/* An add that fails at its very last step leaves nothing behind (R7). */
#include "tests/unit/rig.h"

#include <string.h>

#include "src/core/machine_priv.h"

static struct rig rig;
static bool ends_meanwhile;
static unsigned found;

/* The machine's end begins as soon as the device can be found. */
static void look_and_close(void *context, const struct berth_event *event)
{
    struct pcidev *dev;

    (void)context;
    if (!ends_meanwhile || event->kind != BERTH_EVENT_DO || strcmp(event->step, "publish") != 0)
        return;
    dev = pcidev_find(rig.machine, rig_nvme, "event");
    found += dev != NULL;
    pcidev_put(dev, "event");
    atomic_store(&rig.machine->closing, 1);
}

static void with_hook(struct berth_machine_config *config)
{
    config->event = look_and_close;
}

static void test_R7_an_add_that_meets_the_end_of_its_machine(void **state)
{
    struct sim_counters before, after;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, with_hook);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    sim_counters(rig.sim, &before);
    ends_meanwhile = true;
    assert_int_not_equal(rig_add(&rig, rig_nvme), 0);
    ends_meanwhile = false;
    atomic_store(&rig.machine->closing, 0);
    assert_int_equal(found, 1);
    assert_false(rig_has(&rig, rig_nvme));
    sim_counters(rig.sim, &after);
    assert_int_equal(after.claims, before.claims);
    assert_int_equal(after.contexts, before.contexts);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    rig_down(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_R7_an_add_that_meets_the_end_of_its_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
