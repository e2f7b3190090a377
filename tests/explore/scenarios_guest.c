/* SPDX-License-Identifier: MIT */
/* The guest's view: interrupts, mapping in pieces, registers that come and go. */
#include <linux/pci_regs.h>

#include "tests/explore/actors.h"
#include "tests/explore/scenarios_all.h"

/* ---- interrupts ---- */

static void fire(struct world *world)
{
    world->value[2] = (uint64_t)world_fire(world, 0);
}

static void quiet_afterwards(struct world *world)
{
    expect(world->result[1] == 0);
    expect(!world_vectors_bound(world) && !world->mapped);
    expect(world->injected <= 1);
}

const struct explore_scenario scenario_fire_remove = {
    .name = "interrupt-remove",
    .shows = "R2 F49: an interrupt fires while its device is removed by force",
    .setup = setup_driven,
    .actor = {{NULL, NULL}, {"remover", remove_by_force}, {"interrupt", fire}},
    .check = quiet_afterwards,
};

const struct explore_scenario scenario_fire_deassign = {
    .name = "interrupt-deassign",
    .shows = "O2 F49: an interrupt fires while its device is taken away",
    .setup = setup_driven,
    .actor = {{NULL, NULL}, {"toolstack", deassign}, {"interrupt", fire}},
    .check = quiet_afterwards,
};

static void mask_and_unmask(struct world *world)
{
    const uint64_t control = WORLD_BAR_AT + 0x200c;

    expect(berth_domain_mmio_write(world->guest[0], control, 4, 1) == 0);
    expect(berth_domain_mmio_write(world->guest[0], control, 4, 0) == 0);
}

/* Fired once: injected once, whatever the mask was (F110). */
static void delivered_once(struct world *world)
{
    expect(world->injected == 1);
    expect(world_vectors_bound(world) == 1);
}

const struct explore_scenario scenario_fire_mask = {
    .name = "interrupt-mask",
    .shows = "F110: a vector fires while the guest masks and unmasks it: delivered exactly once",
    .setup = setup_driven,
    .actor = {{"guest", mask_and_unmask}, {NULL, NULL}, {"interrupt", fire}},
    .check = delivered_once,
};

static void fire_twice(struct world *world)
{
    fire(world);
    fire(world);
}

static void reset_it(struct world *world)
{
    world->result[1] = pcidev_reset(world->dev[1], &world_patient);
}

static void is_reset(struct world *world)
{
    expect(world->result[1] == 0);
    expect(is_owned_by(world, 0));
    expect(world->injected <= 2);
}

/* Fired once: before the reset, after it, or pending over it. A reset takes what it finds. */
static void is_reset_and_delivered(struct world *world)
{
    is_reset(world);
    expect(world->value[2] == BERTH_IRQ_DROPPED || world->value[2] == BERTH_IRQ_PENDING ||
           world->injected == 1);
}

const struct explore_scenario scenario_fire_reset = {
    .name = "interrupt-reset",
    .shows = "O2: a vector fires while its device is reset: pending, injected or dropped",
    .setup = setup_driven,
    .actor = {{NULL, NULL}, {"resetter", reset_it}, {"interrupt", fire_twice}},
    .check = is_reset,
};

static void unmask_masked(struct world *world)
{
    expect(berth_domain_mmio_write(world->guest[0], WORLD_BAR_AT + 0x200c, 4, 0) == 0);
}

static void setup_masked(struct world *world)
{
    setup_driven(world);
    expect(berth_domain_mmio_write(world->guest[0], WORLD_BAR_AT + 0x200c, 4, 1) == 0);
}

const struct explore_scenario scenario_fire_unmask = {
    .name = "interrupt-unmask",
    .shows = "F110: a masked vector fires while the guest unmasks it: no wake-up is lost",
    .setup = setup_masked,
    .actor = {{"guest", unmask_masked}, {NULL, NULL}, {"interrupt", fire}},
    .check = delivered_once,
};

/* Another message, while the vector is masked: in its entry, or by the mask of the function. */
static void change_message(struct world *world)
{
    struct berth_domain *guest = world->guest[0];

    expect(berth_domain_mmio_write(guest, WORLD_BAR_AT + 0x2000, 4, 0xfee10000) == 0);
    expect(berth_domain_mmio_write(guest, WORLD_BAR_AT + 0x2008, 4, 0x42) == 0);
}

static void change_masked(struct world *world)
{
    expect(berth_domain_mmio_write(world->guest[0], WORLD_BAR_AT + 0x200c, 4, 1) == 0);
    change_message(world);
    expect(berth_domain_mmio_write(world->guest[0], WORLD_BAR_AT + 0x200c, 4, 0) == 0);
}

static void change_function_masked(struct world *world)
{
    unsigned flags = world_cap(world, 0, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;

    berth_domain_config_write(world->guest[0], world->seat[0], flags, 2,
                              PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    change_message(world);
    berth_domain_config_write(world->guest[0], world->seat[0], flags, 2, PCI_MSIX_FLAGS_ENABLE);
}

const struct explore_scenario scenario_fire_change = {
    .name = "interrupt-change",
    .shows = "F110: a vector fires while the guest masks it and changes its message",
    .setup = setup_driven,
    .actor = {{"guest", change_masked}, {NULL, NULL}, {"interrupt", fire}},
    .check = delivered_once,
};

const struct explore_scenario scenario_fire_change_all = {
    .name = "interrupt-change-all",
    .shows = "F110 F111: the same with the mask of the whole function",
    .setup = setup_driven,
    .actor = {{"guest", change_function_masked}, {NULL, NULL}, {"interrupt", fire}},
    .check = delivered_once,
};

/* ---- mapping in pieces (V6) ---- */

/* As a virtual CPU does it: held back until the last piece. */
static int write_command_and_wait(struct world *world, uint16_t command)
{
    struct berth_vcpu vcpu = {0};
    int error =
        berth_vcpu_config_write(&vcpu, world->guest[0], world->seat[0], PCI_COMMAND, 2, command);

    for (unsigned i = 0; error == -EAGAIN && i < 100; i++)
        error = berth_vcpu_continue(&vcpu);
    berth_vcpu_stop(&vcpu);
    return error;
}

static void map_in_pieces(struct world *world)
{
    world->result[0] = write_command_and_wait(world, PCI_COMMAND_MEMORY);
}

static void unmap_in_pieces(struct world *world)
{
    world->result[0] = write_command_and_wait(world, 0);
}

static void unmap_and_map(struct world *world)
{
    unmap_in_pieces(world);
    map_in_pieces(world);
}

static void setup_decode_off(struct world *world)
{
    setup_driven(world);
    berth_domain_config_write(world->guest[0], world->seat[0], PCI_COMMAND, 2, 0);
    expect(!world->mapped);
}

static void nothing_is_mapped(struct world *world)
{
    expect(world->result[1] == 0);
    expect(!world->mapped);
    expect(!world_vectors_bound(world));
}

const struct explore_scenario scenario_map_remove = {
    .name = "map-remove",
    .shows = "V6 R2: BARs are mapped in pieces while the device is removed by force",
    .setup = setup_decode_off,
    .actor = {{"vcpu", map_in_pieces}, {"remover", remove_by_force}},
    .check = nothing_is_mapped,
};

const struct explore_scenario scenario_unmap_remove = {
    .name = "unmap-remove",
    .shows = "V6 R2: BARs are unmapped in pieces while the device is removed by force",
    .setup = setup_driven,
    .actor = {{"vcpu", unmap_in_pieces}, {"remover", remove_by_force}},
    .check = nothing_is_mapped,
};

const struct explore_scenario scenario_map_deassign = {
    .name = "map-deassign",
    .shows = "V6 O2: BARs are mapped in pieces while the device is taken away",
    .setup = setup_decode_off,
    .actor = {{"vcpu", map_in_pieces}, {"toolstack", deassign}},
    .check = nothing_is_mapped,
};

const struct explore_scenario scenario_remap_deassign = {
    .name = "unmap-map-deassign",
    .shows = "V6 O2: BARs are unmapped and mapped in pieces while the device is taken away",
    .setup = setup_driven,
    .actor = {{"vcpu", unmap_and_map}, {"toolstack", deassign}},
    .check = nothing_is_mapped,
    .heavy = true,
};

static void decode_off(struct world *world)
{
    berth_domain_config_write(world->guest[0], world->seat[0], PCI_COMMAND, 2, 0);
}

static void mapped_as_decoded(struct world *world)
{
    uint64_t command = berth_domain_config_read(world->guest[0], world->seat[0], PCI_COMMAND, 2);

    expect(!world->mapped == !(command & PCI_COMMAND_MEMORY));
}

const struct explore_scenario scenario_map_map = {
    .name = "map-decode-off",
    .shows = "V6 V8: one virtual CPU maps in pieces, another one turns decode off",
    .setup = setup_driven,
    .actor = {{"vcpu", unmap_and_map}, {NULL, NULL}, {"other", decode_off}},
    .check = mapped_as_decoded,
};

/* ---- FLR by the guest ---- */

static void flr_by_guest(struct world *world)
{
    struct berth_vcpu vcpu = {0};
    unsigned control = world->function[0].has_flr;
    int error;

    error = berth_vcpu_config_write(&vcpu, world->guest[0], world->seat[0], control, 2,
                                    PCI_EXP_DEVCTL_BCR_FLR);
    for (unsigned i = 0; error == -EAGAIN && i < 100; i++)
        error = berth_vcpu_continue(&vcpu);
    berth_vcpu_stop(&vcpu);
    world->result[0] = error;
}

const struct explore_scenario scenario_flr_remove = {
    .name = "flr-remove",
    .shows = "V6: the guest resets its device while it is removed by force",
    .setup = setup_driven,
    .actor = {{"vcpu", flr_by_guest}, {"remover", remove_by_force}},
    .check = nothing_is_mapped,
    .heavy = true,
};

/* ---- tables of registers that are replaced under readers ---- */

static uint32_t hook(void *context, unsigned reg, uint32_t stored)
{
    (void)reg;
    explore_use(context, 8, false, "a hook of a register that was removed");
    return stored;
}

static void add_and_remove_register(struct world *world)
{
    const struct berth_register desc = {
        .offset = 0x80, .size = 4, .reset = 0x12345678, .ro = UINT32_MAX, .read = hook};

    world->result[1] = berth_register_add(world->dev[1], &desc, &world->value[2]);
    if (world->result[1])
        return;
    expect(berth_register_remove(world->dev[1], 0x80, 4) == 0);
    explore_use(&world->value[2], 8, true, "the owner of a removed register");
}

static void read_register(struct world *world)
{
    uint64_t value = berth_domain_config_read(world->guest[0], world->seat[0], 0x80, 4);

    world->value[0] = value;
}

static void register_is_gone(struct world *world)
{
    expect(is_owned_by(world, 0));
}

const struct explore_scenario scenario_register = {
    .name = "register-replace",
    .shows = "V3: a register with a hook is added and removed under a reader",
    .setup = setup_lent,
    .actor = {{"reader", read_register}, {"embedder", add_and_remove_register}},
    .check = register_is_gone,
};

/* ---- two writers ---- */

static void write_other_half(struct world *world)
{
    berth_domain_config_write(world->guest[0], world->seat[0], PCI_INTERRUPT_LINE, 1, 0x0a);
    berth_domain_config_write(world->guest[0], world->seat[0], PCI_CACHE_LINE_SIZE, 1, 0x20);
}

static void both_are_there(struct world *world)
{
    uint64_t command = berth_domain_config_read(world->guest[0], world->seat[0], PCI_COMMAND, 2);
    uint64_t line =
        berth_domain_config_read(world->guest[0], world->seat[0], PCI_INTERRUPT_LINE, 1);

    expect(command & PCI_COMMAND_MEMORY && !(command & PCI_COMMAND_MASTER));
    expect(line == 0x0a);
}

const struct explore_scenario scenario_write_write = {
    .name = "config-write-write",
    .shows = "V8: two virtual CPUs write one device: no write is lost",
    .setup = setup_driven,
    .actor = {{"first", write_command}, {NULL, NULL}, {"second", write_other_half}},
    .check = both_are_there,
};

/* ---- weak memory: stores that wait in buffers ---- */

static void is_removed(struct world *world)
{
    expect(world->result[1] == 0);
    expect(!world_has(world, 0));
}

const struct explore_scenario scenario_buffered_enter = {
    .name = "buffered-enter-remove",
    .shows = "A2: enter-remove with store buffers: the light fence pairs with the heavy one",
    .setup = setup_idle,
    .actor = {{"reader", enter_and_read}, {"remover", remove_default}},
    .check = is_removed,
    .buffers = true,
    .heavy = true,
};

const struct explore_scenario scenario_buffered_read = {
    .name = "buffered-read-remove",
    .shows = "A2 V3: config-read-remove with store buffers",
    .setup = setup_lent,
    .actor = {{"reader", read_config}, {"remover", remove_by_force}},
    .check = is_removed,
    .buffers = true,
    .heavy = true,
};

const struct explore_scenario scenario_buffered_fire = {
    .name = "buffered-interrupt-unmask",
    .shows = "F110: interrupt-unmask with store buffers: no wake-up is lost",
    .setup = setup_masked,
    .actor = {{"guest", unmask_masked}, {NULL, NULL}, {"interrupt", fire}},
    .check = delivered_once,
    .buffers = true,
    .heavy = true,
};

const struct explore_scenario scenario_buffered_reset = {
    .name = "buffered-interrupt-reset",
    .shows = "O2: interrupt-reset with store buffers: a pending vector is found at the reopening",
    .setup = setup_driven,
    .actor = {{NULL, NULL}, {"resetter", reset_it}, {"interrupt", fire}},
    .check = is_reset_and_delivered,
    .buffers = true,
    .heavy = true,
};
