/* SPDX-License-Identifier: MIT */
/* Devices that have to do with one another: a group, a port and what is behind it, a PF and a VF.
 */
#include "tests/explore/actors.h"
#include "tests/explore/scenarios_all.h"

static int lend(struct world *world, unsigned function, unsigned guest)
{
    struct pcidev *dev = world_find(world, function);
    int error;

    expect(dev);
    error = pcidev_assign(dev, world->guest[guest], &world_patient);
    world_put(dev);
    return error;
}

/* ---- O4: one group, one owner ---- */

static void setup_group(struct world *world)
{
    const struct berth_request request = {.timeout_ns = 1000000000};

    world->one_group = true;
    world_make(world, 2);
    world_add_guest(world, 0);
    world_add_guest(world, 1);
    for (unsigned i = 0; i < 2; i++) { /* the quarantine does not count */
        struct pcidev *dev = world_find(world, i);

        expect(pcidev_assign(dev, berth_machine_quarantine(world->machine), &request) == 0);
        world_put(dev);
    }
}

static void lend_first(struct world *world)
{
    world->result[0] = lend(world, 0, 0);
}

static void lend_second(struct world *world)
{
    world->result[2] = lend(world, 1, 1);
}

static void one_guest_has_it(struct world *world)
{
    expect((world->result[0] == 0) + (world->result[2] == 0) == 1);
    expect(berth_domain_device_count(world->guest[0]) == (world->result[0] ? 0 : 1));
    expect(berth_domain_device_count(world->guest[1]) == (world->result[2] ? 0 : 1));
}

const struct explore_scenario scenario_group = {
    .name = "group-assign-assign",
    .shows = "O4: two devices of one group are lent to two guests: exactly one of them is",
    .setup = setup_group,
    .actor = {{"first", lend_first}, {NULL, NULL}, {"second", lend_second}},
    .check = one_guest_has_it,
    .heavy = true,
};

/* ---- add behind a port, removal of the port ---- */

static void setup_port(struct world *world)
{
    world->kind = WORLD_PORT;
    world_make(world, 1);
    world_hold(world, 1, 0);
}

static void add_below(struct world *world)
{
    world->result[0] = pcidev_add(world->machine, world_at(1), NULL, &world_patient);
}

static void remove_port(struct world *world)
{
    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_DEFAULT, &world_patient);
}

/* Whoever was first: behind a port that is gone nobody is left that believes in it. */
static void port_or_both(struct world *world)
{
    expect(world->result[0] == 0 || world->result[0] == -EBUSY || world->result[0] == -EAGAIN ||
           world->result[0] == -ENODEV);
    expect(world->result[1] == 0 || world->result[1] == -EBUSY);
    expect(world_has(world, 0) == (world->result[1] != 0));
    expect(world_has(world, 1) == (world->result[0] == 0));
    if (world_has(world, 0) && world_has(world, 1))
        expect(world_info(world, 1).has_parent);
}

const struct explore_scenario scenario_port_add = {
    .name = "port-remove-add-below",
    .shows = "K3: a function is added behind a port that is removed",
    .setup = setup_port,
    .actor = {{"adder", add_below}, {"remover", remove_port}},
    .check = port_or_both,
    .heavy = true,
};

static void setup_port_and_lent(struct world *world)
{
    world->kind = WORLD_PORT;
    world_make(world, 2);
    world_add_guest(world, 0);
    world_lend(world, 1, 0);
    world_hold(world, 1, 0);
}

static void force_port(struct world *world)
{
    world->result[1] = pcidev_remove(world->dev[1], PCIDEV_REMOVE_FORCE, &world_patient);
    if (world->result[1])
        return;
    world_gone(world, 0);
    world_gone(world, 1);
}

static void read_below(struct world *world)
{
    uint64_t id = berth_domain_config_read(world->guest[0], world->seat[1], 0, 4);

    expect(id == WORLD_ID || id == UINT32_MAX);
    (void)berth_domain_config_read(world->guest[0], world->seat[1], 6, 2);
}

static void both_are_gone(struct world *world)
{
    expect(world->result[1] == 0);
    expect(!world_has(world, 0) && !world_has(world, 1));
}

const struct explore_scenario scenario_port_force = {
    .name = "port-force-read-below",
    .shows = "R2 A2: a port goes by force, and what is behind it first, while a guest reads that",
    .setup = setup_port_and_lent,
    .actor = {{"reader", read_below}, {"remover", force_port}},
    .check = both_are_gone,
};

/* ---- F04: a VF comes, its PF goes ---- */

static void setup_pf(struct world *world)
{
    world->kind = WORLD_PF;
    world_make(world, 1);
    world_hold(world, 1, 0);
}

static void add_vf(struct world *world)
{
    const struct pcidev_add_info info = {.is_vf = true, .pf = world_at(0), .numa_node = -1};

    world->result[0] = pcidev_add(world->machine, world_at(1), &info, &world_patient);
}

static void vf_or_no_pf(struct world *world)
{
    expect(world->result[1] == 0 || world->result[1] == -EBUSY);
    expect(world_has(world, 0) == (world->result[1] != 0));
    expect(world_has(world, 1) == (world->result[0] == 0));
    expect(!world_has(world, 1) || world_has(world, 0)); /* no VF without its PF */
}

const struct explore_scenario scenario_vf_add = {
    .name = "vf-add-pf-remove",
    .shows = "F04: a VF is added while its PF is removed: never a VF without its PF",
    .setup = setup_pf,
    .actor = {{"adder", add_vf}, {"remover", remove_port}},
    .check = vf_or_no_pf,
    .heavy = true,
};
