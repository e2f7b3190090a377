/* SPDX-License-Identifier: MIT */
/* Removal in every variant, against everybody who may be there. */
#include <berth_port.h>

#include "tests/explore/actors.h"
#include "tests/explore/scenarios_all.h"

/* ---- one that removes, one that uses ---- */

static void is_removed(struct world *world)
{
    expect(world->result[1] == 0);
    expect(!world_has(world, 0));
}

const struct explore_scenario scenario_read_remove = {
    .name = "config-read-remove",
    .shows = "A2 V3: a guest reads config space while its device is removed by force",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"remover", remove_by_force}},
    .check = is_removed,
};

const struct explore_scenario scenario_write_remove = {
    .name = "config-write-remove",
    .shows = "A2 V3 R2: a guest writes its command register while its device is removed by force",
    .setup = setup_driven,
    .actor = {{"writer", write_command}, {"remover", remove_by_force}},
    .check = is_removed,
};

const struct explore_scenario scenario_enter_remove = {
    .name = "enter-remove",
    .shows = "A2 R1: somebody is inside, or about to enter, while the device is removed",
    .setup = setup_idle,
    .actor = {{"reader", enter_and_read}, {"remover", remove_default}},
    .check = is_removed,
};

/* R1: refused, and nothing changed. */
static void is_still_lent(struct world *world)
{
    expect(world->result[1] == -EBUSY);
    expect(is_owned_by(world, 0));
    expect(world->value[0] == WORLD_ID);
}

const struct explore_scenario scenario_default_lent = {
    .name = "remove-default-lent",
    .shows = "R1: a removal that is refused leaves a reading guest alone",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"remover", remove_default}},
    .check = is_still_lent,
};

/* ---- R3 ---- */

static void find_and_put(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);

    world->result[0] = dev ? 0 : -ENODEV;
    world_put(dev);
}

static void strict_or_not(struct world *world)
{
    if (world->result[1]) {
        expect(world->result[1] == -EBUSY);
        expect(is_owned_by(world, -1));
        expect(world->result[0] == 0);
    } else {
        expect(!world_has(world, 0));
    }
}

const struct explore_scenario scenario_strict_find = {
    .name = "remove-strict-find",
    .shows = "R3: no reference appears between the check of a strict removal and its end",
    .setup = setup_idle,
    .actor = {{"finder", find_and_put}, {"remover", remove_strictly}},
    .check = strict_or_not,
};

static void find_and_enter(struct world *world)
{
    enter_and_read(world);
}

static void strict_with_section(struct world *world)
{
    if (world->result[1]) {
        expect(world->result[1] == -EBUSY);
        expect(is_owned_by(world, -1));
    } else {
        expect(!world_has(world, 0));
    }
}

const struct explore_scenario scenario_strict_enter = {
    .name = "remove-strict-enter",
    .shows = "R3 A2: a strict removal against somebody who finds the device and enters",
    .setup = setup_idle,
    .actor = {{"reader", find_and_enter}, {"remover", remove_strictly}},
    .check = strict_with_section,
};

/* ---- two that remove ---- */

static void exactly_one_removed(struct world *world)
{
    expect(!world_has(world, 0));
    expect((world->result[1] == 0) + (world->result[2] == 0) == 1);
    expect(world->result[1] == 0 || world->result[1] == -ENODEV);
    expect(world->result[2] == 0 || world->result[2] == -ENODEV);
}

const struct explore_scenario scenario_remove_remove = {
    .name = "remove-remove",
    .shows = "C1: of two removals exactly one does it",
    .setup = setup_idle,
    .actor = {{NULL, NULL}, {"first", remove_by_force}, {"second", remove_found}},
    .check = exactly_one_removed,
};

/* ---- R6 ---- */

static void add_until_done(struct world *world)
{
    world->result[0] = pcidev_add(world->machine, world_at(0), NULL, &world_patient);
}

static void one_object_or_none(struct world *world)
{
    expect(world->result[1] == 0);
    if (world->result[0]) {
        expect(world->result[0] == -EEXIST || world->result[0] == -EBUSY);
        expect(!world_has(world, 0));
    } else {
        struct pcidev *dev = world_find(world, 0);

        expect(dev && dev != world->dev[1]);
        world_put(dev);
    }
}

/* The removal's own word comes before the add may have it again: judged by the claim alone. */
static void remove_quietly(struct world *world)
{
    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_FORCE, &world_patient);
}

const struct explore_scenario scenario_remove_add = {
    .name = "remove-add",
    .shows = "R6: the same address is added while the old object goes; one of them is found",
    .setup = setup_idle,
    .actor = {{"adder", add_until_done}, {"remover", remove_quietly}},
    .check = one_object_or_none,
};

/* Found: the old object, the new one or none, but always one that is whole. */
static void find_and_look(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);
    struct pcidev_info info;

    if (!dev)
        return;
    pcidev_snapshot(dev, &info);
    expect(sbdf_equal(info.sbdf, world_at(0)));
    expect(info.state != PCIDEV_ADDING);
    world_put(dev);
}

const struct explore_scenario scenario_remove_add_find = {
    .name = "remove-add-find",
    .shows = "R6 C2 C3: somebody looks the address up while it is removed and added again",
    .setup = setup_idle,
    .actor = {{"adder", add_until_done}, {"remover", remove_quietly}, {"finder", find_and_look}},
    .check = one_object_or_none,
    .heavy = true,
};

/* ---- K02: a handle that is made while access is revoked ---- */

static void open_handle(struct world *world)
{
    struct pcidev *dev = world_find(world, 0), *handle;
    struct pcidev_section section;
    uint32_t value;

    if (!dev)
        return;
    handle = pcidev_handle_open(dev);
    world_put(dev);
    if (pcidev_enter(handle, "handle", &section)) {
        expect(pcidev_config_read(handle, 0, 4, &value) == 0 && value == WORLD_ID);
        pcidev_exit(&section);
    }
    pcidev_handle_close(handle);
}

const struct explore_scenario scenario_handle_remove = {
    .name = "handle-remove",
    .shows = "K02 C6: a handle is made, used and closed while the device is removed",
    .setup = setup_idle,
    .actor = {{"tool", open_handle}, {"remover", remove_default}},
    .check = is_removed,
};

/* ---- C1, C3: the last reference ---- */

static void remove_and_put(struct world *world)
{
    remove_default(world);
    world_put(world->dev[1]);
    world->dev[1] = NULL;
}

const struct explore_scenario scenario_last_put = {
    .name = "remove-last-put",
    .shows = "C1 C3: the object's last reference goes while somebody looks it up",
    .setup = setup_idle,
    .actor = {{"finder", find_and_put}, {"remover", remove_and_put}},
    .check = is_removed,
};

static void walk(struct world *world)
{
    struct pcidev *dev = NULL;
    struct sbdf at = {0};
    unsigned seen = 0;

    while ((dev = pcidev_next(world->machine, seen ? &at : NULL, "walk"))) {
        at = pcidev_sbdf(dev);
        pcidev_put(dev, "walk");
        seen++;
    }
    expect(seen == 1 || seen == 2);
}

static void setup_two_devices(struct world *world)
{
    world_make(world, 2);
    world_hold(world, 1, 0);
}

const struct explore_scenario scenario_walk_remove = {
    .name = "walk-remove",
    .shows = "C2: a walk over all devices while one of them goes",
    .setup = setup_two_devices,
    .actor = {{"walker", walk}, {"remover", remove_and_put}},
    .check = is_removed,
};

static void dump(struct world *world)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    struct pcidev *dev = world_find(world, 0);
    struct pcidev_info info;

    if (!dev)
        return;
    pcidev_snapshot(dev, &info);
    expect(info.vendor == (WORLD_ID & 0xffff) && info.device == WORLD_ID >> 16);
    (void)pcidev_holders(dev, holders, BERTH_HOLDERS_MAX);
    (void)pcidev_sections(dev, holders, BERTH_HOLDERS_MAX);
    world_put(dev);
}

const struct explore_scenario scenario_dump_remove = {
    .name = "dump-remove",
    .shows = "C2: a snapshot of a device is whole while it is removed by force",
    .setup = setup_lent,
    .actor = {{"dumper", dump}, {"remover", remove_by_force}},
    .check = is_removed,
};

/* ---- A4 ---- */

static void vanish(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);

    if (!dev)
        return;
    pcidev_vanished(dev);
    world_put(dev);
}

const struct explore_scenario scenario_vanish_remove = {
    .name = "vanish-remove",
    .shows = "A4: the card is pulled while it is removed by force",
    .setup = setup_driven,
    .actor = {{"puller", vanish}, {"remover", remove_by_force}},
    .check = is_removed,
};

const struct explore_scenario scenario_vanish_remove_read = {
    .name = "vanish-remove-read",
    .shows = "A4 A2: the card is pulled while it is removed and a guest reads",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"remover", remove_by_force}, {"puller", vanish}},
    .check = is_removed,
    .heavy = true,
};

/* ---- R4, R5: deadlines ---- */

static void hold_section(struct world *world)
{
    struct pcidev_section section;
    struct pcidev *dev = world_find(world, 0);

    if (!dev)
        return;
    world->value[0] = pcidev_enter(dev, "slow", &section);
    if (world->value[0]) {
        port_sleep_ns(50000000);
        expect(pcidev_config_write(dev, 0x0c, 1, 8) == 0);
        pcidev_exit(&section);
    }
    world_put(dev);
}

static void remove_in_a_hurry(struct world *world)
{
    const struct berth_request request = {.timeout_ns = 1000000};

    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_FORCE, &request);
    if (!world->result[1])
        world_gone(world, 0);
}

static void removed_or_intact(struct world *world)
{
    if (world->result[1]) {
        expect(world->result[1] == -ETIMEDOUT);
        expect(world->value[0]);
        expect(is_owned_by(world, -1));
    } else {
        expect(!world_has(world, 0));
    }
}

const struct explore_scenario scenario_drain_deadline = {
    .name = "remove-deadline",
    .shows = "R5: past the deadline the device is intact; before it nobody is inside",
    .setup = setup_idle,
    .actor = {{"holder", hold_section}, {"remover", remove_in_a_hurry}},
    .check = removed_or_intact,
    .time_passes = true,
};

static void remove_gracefully(struct world *world)
{
    const struct berth_request request = {.timeout_ns = 3000000};

    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_GRACEFUL, &request);
    if (!world->result[1])
        world_gone(world, 0);
}

static void let_go(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);

    if (!dev)
        return;
    world->result[0] = pcidev_deassign(dev, world->guest[0], &world_patient);
    world_put(dev);
}

static void let_go_or_not(struct world *world)
{
    expect(world->asked <= 1);
    if (world->result[1]) {
        expect(world->result[1] == -EBUSY);
        expect(world_has(world, 0));
    } else {
        expect(!world_has(world, 0));
    }
}

const struct explore_scenario scenario_graceful = {
    .name = "remove-graceful-deassign",
    .shows = "R4: the guest is asked, and lets go at any moment, or too late",
    .setup = setup_lent,
    .actor = {{"guest", let_go}, {"remover", remove_gracefully}},
    .check = let_go_or_not,
    .heavy = true,
};

/* K1, K05: whoever waits for a guest holds up nobody else. Time passes when all others have
 * ended, so the other one would be late if it had to wait. */
static void setup_two_lent(struct world *world)
{
    world_make(world, 2);
    world_add_guest(world, 0);
    world_lend(world, 0, 0);
    world_hold(world, 1, 0);
}

static void work_elsewhere(struct world *world)
{
    struct pcidev *dev = world_find(world, 1);

    expect(pcidev_assign(dev, world->guest[0], &world_patient) == 0);
    expect(pcidev_deassign(dev, world->guest[0], &world_patient) == 0);
    expect(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &world_patient) == 0);
    world_put(dev);
    expect(pcidev_add(world->machine, world_at(1), NULL, &world_patient) == 0);
    world->value[0] = port_now_ns();
}

static void remove_in_vain(struct world *world)
{
    const struct berth_request request = {.timeout_ns = 4000000};

    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_GRACEFUL, &request);
    world->value[1] = port_now_ns();
}

static void nobody_waited(struct world *world)
{
    expect(world->result[1] == -EBUSY);
    expect(is_owned_by(world, 0));
    expect(world->value[0] + 1000000 < world->value[1]);
}

const struct explore_scenario scenario_stuck_elsewhere = {
    .name = "stuck-removal-elsewhere",
    .shows = "K1 K05: a removal that waits for its guest delays no operation of another device",
    .setup = setup_two_lent,
    .actor = {{"other", work_elsewhere}, {"remover", remove_in_vain}},
    .check = nobody_waited,
    .heavy = true,
};
