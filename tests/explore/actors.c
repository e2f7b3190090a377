/* SPDX-License-Identifier: MIT */
#include "tests/explore/actors.h"

#include <string.h>

#include <linux/pci_regs.h>

/* ---- set-ups ---- */

void setup_idle(struct world *world)
{
    world_make(world, 1);
    world_add_guest(world, 0);
    world_hold(world, 1, 0);
}

void setup_lent(struct world *world)
{
    setup_idle(world);
    world_lend(world, 0, 0);
}

void setup_driven(struct world *world)
{
    setup_lent(world);
    world_drive(world, 0, 0);
}

void setup_two_guests(struct world *world)
{
    setup_lent(world);
    world_add_guest(world, 1);
}

/* ---- a guest's accesses ---- */

void read_config(struct world *world)
{
    uint64_t id = berth_domain_config_read(world->guest[0], world->seat[0], PCI_VENDOR_ID, 4);
    uint64_t status;

    expect(id == WORLD_ID || id == UINT32_MAX);
    status = berth_domain_config_read(world->guest[0], world->seat[0], PCI_STATUS, 2);
    expect(status == UINT16_MAX || status & PCI_STATUS_CAP_LIST);
    expect(id != UINT32_MAX || status == UINT16_MAX);
    world->value[0] = id;
}

void write_command(struct world *world)
{
    berth_domain_config_write(world->guest[0], world->seat[0], PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

void enter_and_read(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);
    struct pcidev_section section;
    uint32_t value;

    if (!dev)
        return;
    if (pcidev_enter(dev, "reader", &section)) {
        expect(pcidev_config_read(dev, PCI_VENDOR_ID, 4, &value) == 0);
        expect(value == WORLD_ID);
        pcidev_exit(&section);
    }
    world_put(dev);
}

/* ---- removals ---- */

static void remove_as(struct world *world, struct pcidev *dev, unsigned actor,
                      enum pcidev_remove_mode mode)
{
    world->result[actor] = pcidev_remove(dev, mode, &world_patient);
    if (!world->result[actor])
        world_gone(world, 0);
}

void remove_default(struct world *world)
{
    remove_as(world, world->dev[1], 1, PCIDEV_REMOVE_DEFAULT);
}

void remove_by_force(struct world *world)
{
    remove_as(world, world->dev[1], 1, PCIDEV_REMOVE_FORCE);
}

void remove_strictly(struct world *world)
{
    remove_as(world, world->dev[1], 1, PCIDEV_REMOVE_STRICT);
}

void remove_found(struct world *world)
{
    struct pcidev *dev = world_find(world, 0);

    world->result[2] = -ENODEV;
    if (!dev)
        return;
    remove_as(world, dev, 2, PCIDEV_REMOVE_FORCE);
    world_put(dev);
}

void deassign(struct world *world)
{
    world->result[1] = pcidev_deassign(world->dev[1], world->guest[0], &world_patient);
}

bool is_owned_by(struct world *world, int guest)
{
    struct pcidev_info info;

    if (!world_has(world, 0))
        return false;
    info = world_info(world, 0);
    return info.owner_id == berth_domain_id(guest < 0 ? world->hwdom : world->guest[guest]);
}
