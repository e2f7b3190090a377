/* SPDX-License-Identifier: MIT */
/* Changes of owner and resets, against one another and against the guest's path. */
#include "tests/explore/actors.h"
#include "tests/explore/scenarios_all.h"

static int lend_to(struct world *world, unsigned guest)
{
    struct pcidev *dev = world_find(world, 0);
    int error;

    if (!dev)
        return -ENODEV;
    error = pcidev_assign(dev, world->guest[guest], &world_patient);
    world_put(dev);
    return error;
}

static void assign_first(struct world *world)
{
    world->result[0] = lend_to(world, 0);
}

static void assign_second(struct world *world)
{
    world->result[2] = lend_to(world, 1);
}

static void setup_idle_two_guests(struct world *world)
{
    setup_idle(world);
    world_add_guest(world, 1);
}

/* ---- F48 ---- */

static void exactly_one_has_it(struct world *world)
{
    expect((world->result[0] == 0) + (world->result[2] == 0) == 1);
    expect(is_owned_by(world, world->result[0] ? 1 : 0));
    expect(berth_domain_device_count(world->guest[0]) == (world->result[0] ? 0 : 1));
    expect(berth_domain_device_count(world->guest[1]) == (world->result[2] ? 0 : 1));
}

const struct explore_scenario scenario_assign_assign = {
    .name = "assign-assign",
    .shows = "O1 F48: of two assignments to two guests exactly one wins",
    .setup = setup_idle_two_guests,
    .actor = {{"first", assign_first}, {NULL, NULL}, {"second", assign_second}},
    .check = exactly_one_has_it,
    .heavy = true,
};

/* ---- assign against remove ---- */

static void assigned_or_removed(struct world *world)
{
    if (world->result[1] == 0) {
        expect(!world_has(world, 0));
        expect(berth_domain_device_count(world->guest[0]) == 0);
        expect(world->result[0] == 0 || world->result[0] == -ENODEV);
    } else {
        expect(world->result[1] == -EBUSY);
        expect(world->result[0] == 0);
        expect(is_owned_by(world, 0));
    }
}

const struct explore_scenario scenario_assign_remove = {
    .name = "assign-remove",
    .shows = "O1 R1: a device is lent while it is removed by default",
    .setup = setup_idle,
    .actor = {{"lender", assign_first}, {"remover", remove_default}},
    .check = assigned_or_removed,
    .heavy = true,
};

const struct explore_scenario scenario_assign_force = {
    .name = "assign-force",
    .shows = "O1 R2: a device is lent while it is removed by force",
    .setup = setup_idle,
    .actor = {{"lender", assign_first}, {"remover", remove_by_force}},
    .check = assigned_or_removed,
    .heavy = true,
};

/* ---- deassign ---- */

static void is_back(struct world *world)
{
    struct pcidev_info info;

    expect(world->result[1] == 0);
    info = world_info(world, 0);
    expect(info.owner_kind == BERTH_DOMAIN_QUARANTINE);
    expect(!world->mapped && !world_vectors_bound(world));
}

const struct explore_scenario scenario_read_deassign = {
    .name = "config-read-deassign",
    .shows = "O2 V2: a guest reads while its device is taken away",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"toolstack", deassign}},
    .check = is_back,
};

const struct explore_scenario scenario_write_deassign = {
    .name = "config-write-deassign",
    .shows = "O2 V3: a guest maps and unmaps its BAR while its device is taken away",
    .setup = setup_driven,
    .actor = {{"writer", write_command}, {"toolstack", deassign}},
    .check = is_back,
};

static void deassign_or_removed(struct world *world)
{
    expect(world->result[2] == 0 || world->result[1] == 0);
    expect(world->result[1] == 0 || world->result[1] == -ENODEV || world->result[1] == -EPERM ||
           world->result[1] == -EINVAL);
    expect(world->result[2] == 0);
    expect(!world_has(world, 0));
}

const struct explore_scenario scenario_deassign_force = {
    .name = "deassign-force",
    .shows = "O1 R2: a device is taken from its guest and removed by force at the same time",
    .setup = setup_lent,
    .actor = {{NULL, NULL}, {"toolstack", deassign}, {"remover", remove_found}},
    .check = deassign_or_removed,
    .heavy = true,
};

/* ---- from one guest to another under fire (O2) ---- */

static void move_to_second(struct world *world)
{
    world->result[1] = pcidev_deassign(world->dev[1], world->guest[0], &world_patient);
    expect(world->result[1] == 0);
    expect(pcidev_assign(world->dev[1], world->guest[1], &world_patient) == 0);
}

static void has_moved(struct world *world)
{
    expect(is_owned_by(world, 1));
    expect(berth_domain_device_count(world->guest[0]) == 0);
    expect(!world->mapped && !world_vectors_bound(world));
    expect(!(world->function[0].config[WORLD_COMMAND] & 4)); /* nobody turned bus mastering on */
}

static void write_master(struct world *world)
{
    berth_domain_config_write(world->guest[0], world->seat[0], WORLD_COMMAND, 2, 2);
    berth_domain_config_write(world->guest[0], world->seat[0], WORLD_COMMAND, 2, 6);
}

const struct explore_scenario scenario_move_write = {
    .name = "move-write",
    .shows = "O2 V1: the old owner writes while the device moves to another guest",
    .setup = setup_two_guests,
    .actor = {{"old owner", write_master}, {"toolstack", move_to_second}},
    .check = has_moved,
};

/* As the old owner by the host's path: the section that is opened late finds another owner. */
static void pass_read(struct world *world)
{
    uint64_t id = berth_domain_config_read(world->hwdom, world_at(0), 0, 4);

    expect(id == WORLD_ID || id == UINT32_MAX);
    berth_domain_config_write(world->hwdom, world_at(0), WORLD_COMMAND, 2, 6);
}

static void lend_by_holder(struct world *world)
{
    world->result[1] = pcidev_assign(world->dev[1], world->guest[0], &world_patient);
}

static void is_lent_and_quiet(struct world *world)
{
    expect(world->result[1] == 0);
    expect(is_owned_by(world, 0));
    expect(!(world->function[0].config[WORLD_COMMAND] & 4)); /* nor did the old owner, later */
}

const struct explore_scenario scenario_pass_assign = {
    .name = "hwdom-write-assign",
    .shows = "A1 O2: the hardware domain writes config space while the device is lent away",
    .setup = setup_idle,
    .actor = {{"hwdom", pass_read}, {"toolstack", lend_by_holder}},
    .check = is_lent_and_quiet,
};

/* ---- destruction of a guest (O5) ---- */

static void destroy_guest(struct world *world)
{
    world->result[2] = berth_domain_destroy(world->guest[0], &world_patient);
}

static void guest_is_gone(struct world *world)
{
    expect(world->result[2] == 0);
    expect(berth_domain_device_count(world->guest[0]) == 0);
    expect(berth_domain_state(world->guest[0]) == BERTH_DOMAIN_DEAD);
    if (world_has(world, 0))
        expect(!is_owned_by(world, 0));
}

const struct explore_scenario scenario_destroy_read = {
    .name = "destroy-read",
    .shows = "O5 V3: a virtual CPU still reads while its guest is destroyed",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {NULL, NULL}, {"destroyer", destroy_guest}},
    .check = guest_is_gone,
};

const struct explore_scenario scenario_destroy_force = {
    .name = "destroy-force",
    .shows = "O5 R2: a device is removed by force while its guest is destroyed",
    .setup = setup_lent,
    .actor = {{NULL, NULL}, {"remover", remove_by_force}, {"destroyer", destroy_guest}},
    .check = guest_is_gone,
    .heavy = true,
};

static void assigned_or_gone(struct world *world)
{
    guest_is_gone(world);
    expect(world_has(world, 0));
}

const struct explore_scenario scenario_destroy_assign = {
    .name = "destroy-assign",
    .shows = "O5 F46: a device is lent to a guest that is being destroyed",
    .setup = setup_idle,
    .actor = {{"lender", assign_first}, {NULL, NULL}, {"destroyer", destroy_guest}},
    .check = assigned_or_gone,
    .heavy = true,
};

const struct explore_scenario scenario_destroy_deassign = {
    .name = "destroy-deassign",
    .shows = "O5: a device is taken away while its guest is destroyed; the space goes last",
    .setup = setup_lent,
    .actor = {{NULL, NULL}, {"toolstack", deassign}, {"destroyer", destroy_guest}},
    .check = guest_is_gone,
    .heavy = true,
};

/* ---- resets ---- */

static void reset(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);

    world->result[0] = -ENODEV;
    if (!dev)
        return;
    world->result[0] = pcidev_reset(dev, &world_patient);
    world_put(dev);
}

static void reset_or_removed(struct world *world)
{
    expect(world->result[1] == 0);
    expect(world->result[0] == 0 || world->result[0] == -ENODEV);
    expect(!world_has(world, 0));
}

const struct explore_scenario scenario_reset_remove = {
    .name = "reset-remove",
    .shows = "K3: a reset and a removal by force of one device",
    .setup = setup_lent,
    .actor = {{"resetter", reset}, {"remover", remove_by_force}},
    .check = reset_or_removed,
    .heavy = true,
};

/* All ones while the reset lasts, then again what it is. */
static void read_during_reset(struct world *world)
{
    uint64_t id = berth_domain_config_read(world->guest[0], world->seat[0], 0, 4);

    expect(id == WORLD_ID || id == UINT32_MAX);
    (void)berth_domain_config_read(world->guest[0], world->seat[0], 6, 2);
}

static void reset_by_holder(struct world *world)
{
    world->result[1] = pcidev_reset(world->dev[1], &world_patient);
}

static void is_reset(struct world *world)
{
    expect(world->result[1] == 0);
    expect(is_owned_by(world, 0));
}

const struct explore_scenario scenario_read_reset = {
    .name = "config-read-reset",
    .shows = "V2: a guest reads while its device is reset",
    .setup = setup_driven,
    .actor = {{"reader", read_during_reset}, {"resetter", reset_by_holder}},
    .check = is_reset,
};

/* ---- O6 ---- */

/* One more, and it is one too many. */
static void setup_faulty(struct world *world)
{
    setup_driven(world);
    for (unsigned i = 0; i < 9; i++)
        expect(berth_machine_fault(world->machine, world_at(0)) == 0);
}

static void fault(struct world *world)
{
    if (berth_machine_fault(world->machine, world_at(0)) == 1)
        world->value[2]++;
}

static void contained_or_not(struct world *world)
{
    expect(world->value[2] <= 1);
    is_back(world);
    expect(!(world->function[0].config[WORLD_COMMAND] & 4));
}

const struct explore_scenario scenario_fault_deassign = {
    .name = "fault-deassign",
    .shows = "O6: faults contain a device while it is taken away from its guest",
    .setup = setup_faulty,
    .actor = {{NULL, NULL}, {"toolstack", deassign}, {"fault", fault}},
    .check = contained_or_not,
};

static void stays_contained(struct world *world)
{
    expect(world->value[2] == 1);
    expect(world_info(world, 0).contained);
    expect(!(world->function[0].config[WORLD_COMMAND] & 4));
}

const struct explore_scenario scenario_fault_write = {
    .name = "fault-write",
    .shows = "O6: the guest turns bus mastering on while a fault takes it away",
    .setup = setup_faulty,
    .actor = {{"guest", write_master}, {NULL, NULL}, {"fault", fault}},
    .check = stays_contained,
};

/* ---- three ---- */

const struct explore_scenario scenario_move_write_read = {
    .name = "deassign-write-read",
    .shows = "O2 V2: two virtual CPUs access the device while it is taken away",
    .setup = setup_driven,
    .actor = {{"reader", read_config}, {"toolstack", deassign}, {"writer", write_command}},
    .check = is_back,
    .heavy = true,
};

static void removed_and_read(struct world *world)
{
    expect(!world_has(world, 0));
}

const struct explore_scenario scenario_remove_remove_read = {
    .name = "remove-remove-read",
    .shows = "A2 C1: two removals and a guest that reads",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"first", remove_by_force}, {"second", remove_found}},
    .check = removed_and_read,
    .heavy = true,
};

/* ---- weak memory: the same with stores that wait in buffers ---- */

const struct explore_scenario scenario_buffered_deassign = {
    .name = "buffered-config-write-deassign",
    .shows = "O2 V3: config-write-deassign with store buffers",
    .setup = setup_driven,
    .actor = {{"writer", write_command}, {"toolstack", deassign}},
    .check = is_back,
    .buffers = true,
    .heavy = true,
};

const struct explore_scenario scenario_buffered_pass = {
    .name = "buffered-hwdom-write-assign",
    .shows = "A1 O2: hwdom-write-assign with store buffers: the owner is looked at inside",
    .setup = setup_idle,
    .actor = {{"hwdom", pass_read}, {"toolstack", lend_by_holder}},
    .check = is_lent_and_quiet,
    .buffers = true,
    .heavy = true,
};

const struct explore_scenario scenario_buffered_fault = {
    .name = "buffered-fault-write",
    .shows = "O6: fault-write with store buffers: bus mastering does not come back",
    .setup = setup_faulty,
    .actor = {{"guest", write_master}, {NULL, NULL}, {"fault", fault}},
    .check = stays_contained,
    .buffers = true,
    .heavy = true,
};
