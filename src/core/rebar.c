/* SPDX-License-Identifier: MIT */
#include "src/core/rebar.h"

#include "src/core/registers.h"
#include "src/core/seam.h"

int rebar_count(struct pcidev *dev, unsigned at, unsigned config_size, uint8_t *count)
{
    uint32_t control;
    int error = seam_read(dev, at + PCI_REBAR_CONTROL, 4, &control);
    unsigned entries = control >> PCI_REBAR_COUNT_SHIFT & 7;

    if (error || entries > REBARS_MAX ||
        at + PCI_REBAR_CAP + entries * PCI_REBAR_STRIDE > config_size)
        entries = 0;
    *count = (uint8_t)entries;
    return error;
}

static unsigned control_at(const struct pcidev *dev, unsigned entry)
{
    return dev->traits.cap[CAP_REBAR] + PCI_REBAR_CONTROL + entry * PCI_REBAR_STRIDE;
}

/* The new size may clear address bits. Where the BAR is, the host knows: a device is not asked.
 * Unseen: a guest's write has no lock of the device, but a section, and the gate is closed first
 * where .bars change. */
static int set_size(struct pcidev *dev, unsigned reg, uint32_t control) LOCKING_UNSEEN
{
    unsigned index = control & PCI_REBAR_INDEX, bar = PCI_BAR0 + 4 * index;
    uint64_t address = dev->bars.address[index];
    int error = seam_write(dev, reg, 4, control);

    if (!error && dev->bars.shift[index])
        error = seam_write(dev, bar, 4, (uint32_t)address);
    if (!error && dev->bars.flags[index] & BAR_SET_WIDE)
        error = seam_write(dev, bar + 4, 4, (uint32_t)(address >> 32));
    return error;
}

/* O6: fault.c may have taken bus mastering between the read and the write of the update. */
static int decode_on(struct pcidev *dev)
{
    int error = seam_update8(dev, PCI_COMMAND, 0, PCI_COMMAND_MEMORY);

    if (!error && atomic_load(&dev->contained))
        error = seam_update8(dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    return error;
}

int rebar_set(struct pcidev *dev, unsigned reg, unsigned size)
{
    uint32_t control, command;
    int error = seam_read(dev, reg, 4, &control), back = 0;

    if (!error)
        error = seam_read(dev, PCI_COMMAND, 2, &command);
    if (error || control == 0xffffffff || (control & PCI_REBAR_INDEX) >= BERTH_BAR_ROM)
        return error;
    if (command & PCI_COMMAND_MEMORY)
        error = seam_update8(dev, PCI_COMMAND, PCI_COMMAND_MEMORY, 0);
    if (!error)
        error = set_size(dev, reg, (control & ~PCI_REBAR_SIZE) | (size << PCI_REBAR_SIZE_SHIFT));
    if (command & PCI_COMMAND_MEMORY)
        back = decode_on(dev);
    return error ? error : back;
}

int rebar_latch(struct pcidev *dev)
{
    uint32_t control;
    int error = 0;

    for (unsigned i = 0; i < dev->traits.rebar_count && !error; i++) {
        error = seam_read(dev, control_at(dev, i), 4, &control);
        dev->rebar_size[i] = (control & PCI_REBAR_SIZE) >> PCI_REBAR_SIZE_SHIFT;
    }
    return error;
}

int rebar_changed(struct pcidev *dev, bool *changed)
{
    uint32_t control;
    int error = 0;

    *changed = false;
    for (unsigned i = 0; i < dev->traits.rebar_count && !error; i++) {
        unsigned index, shift;

        error = seam_read(dev, control_at(dev, i), 4, &control);
        if (error || control == 0xffffffff)
            continue;
        index = control & PCI_REBAR_INDEX;
        shift = PCI_REBAR_SHIFT + ((control & PCI_REBAR_SIZE) >> PCI_REBAR_SIZE_SHIFT);
        if (index < BERTH_BAR_ROM && dev->bars.shift[index] && dev->bars.shift[index] != shift)
            *changed = true;
    }
    return error;
}

int rebar_restore(struct pcidev *dev)
{
    uint32_t control;
    int error = 0;

    for (unsigned i = 0; i < dev->traits.rebar_count && !error; i++) {
        error = seam_read(dev, control_at(dev, i), 4, &control);
        if (error || control == 0xffffffff ||
            (control & PCI_REBAR_SIZE) >> PCI_REBAR_SIZE_SHIFT == dev->rebar_size[i])
            continue;
        error = rebar_set(dev, control_at(dev, i), dev->rebar_size[i]);
    }
    return error;
}
