/* SPDX-License-Identifier: MIT */
#include "src/core/registers.h"

#include "src/core/rebar.h"
#include "src/core/recover.h"
#include "src/core/seam.h"

#define ANSWER_POLL_NS 5000000u

#define HEADER CAP_COUNT /* stands for "no capability: an offset in the header" */

/* Registers that not every device of the kind has. */
enum when {
    ALWAYS,
    HAS_BARS, /* errata: some have other registers there */
    PCIE_2,   /* capability version 2 or later */
    MSI_64,   /* PCI 3.0, 6.8.1: four layouts of the MSI capability */
    MSI_32,
    MSI_64_MASK,
    MSI_32_MASK,
    REBAR_1, /* so many resizable BARs */
    REBAR_2,
    REBAR_3,
    REBAR_4,
    REBAR_5,
    REBAR_6,
};

/* In the order in which they are written back: the sizes of BARs before their addresses, and those
 * before the controls that make use of them. */
static const struct saved_register {
    uint8_t cap, offset, length;
    uint8_t when;
    uint16_t enables; /* bits that stay off while the device is kept quiet */
    uint16_t never;   /* bits that are never written back */
} saved_registers[] = {
    {HEADER, PCI_CACHE_LINE_SIZE, 2, ALWAYS, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL, 4, REBAR_1, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL + PCI_REBAR_STRIDE, 4, REBAR_2, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL + 2 * PCI_REBAR_STRIDE, 4, REBAR_3, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL + 3 * PCI_REBAR_STRIDE, 4, REBAR_4, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL + 4 * PCI_REBAR_STRIDE, 4, REBAR_5, 0, 0},
    {CAP_REBAR, PCI_REBAR_CONTROL + 5 * PCI_REBAR_STRIDE, 4, REBAR_6, 0, 0},
    {HEADER, PCI_BAR0, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_BAR0 + 4, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_BAR0 + 8, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_BAR0 + 12, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_BAR0 + 16, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_BAR0 + 20, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_ROM, 4, HAS_BARS, 0, 0},
    {HEADER, PCI_INTERRUPT_LINE, 1, ALWAYS, 0, 0},
    {CAP_PCIE, PCI_EXP_DEVCTL, 2, ALWAYS, 0, PCI_EXP_DEVCTL_FLR},
    {CAP_PCIE, PCI_EXP_LNKCTL, 2, ALWAYS, 0, 0},
    {CAP_PCIE, PCI_EXP_DEVCTL2, 2, PCIE_2, 0, 0},
    {CAP_ACS, PCI_ACS_CONTROL, 2, ALWAYS, 0, 0},
    {CAP_ARI, PCI_ARI_CONTROL, 2, ALWAYS, 0, 0},
    {CAP_ATS, PCI_ATS_CONTROL, 2, ALWAYS, PCI_ATS_CONTROL_ENABLE, 0},
    {CAP_SRIOV, PCI_SRIOV_PAGE_SIZE, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0 + 4, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0 + 8, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0 + 12, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0 + 16, 4, ALWAYS, 0, 0},
    {CAP_SRIOV, PCI_SRIOV_BAR0 + 20, 4, ALWAYS, 0, 0},
    {CAP_MSI, 4, 4, ALWAYS, 0, 0},
    {CAP_MSI, 8, 4, MSI_64, 0, 0},
    {CAP_MSI, 12, 2, MSI_64, 0, 0},
    {CAP_MSI, 8, 2, MSI_32, 0, 0},
    {CAP_MSI, 16, 4, MSI_64_MASK, 0, 0},
    {CAP_MSI, 12, 4, MSI_32_MASK, 0, 0},
    {CAP_MSI, PCI_MSI_CONTROL, 2, ALWAYS, PCI_MSI_CONTROL_ENABLE, 0},
    {CAP_MSIX, PCI_MSIX_CONTROL, 2, ALWAYS, PCI_MSIX_CONTROL_ENABLE, 0},
};

#define SAVED_COUNT (sizeof(saved_registers) / sizeof(saved_registers[0]))
_Static_assert(SAVED_COUNT <= REGISTERS_MAX, "struct registers is too small");

static bool register_exists(const struct pcidev_traits *traits, enum when when)
{
    bool wide = traits->msi_control & PCI_MSI_CONTROL_64BIT;
    bool mask = traits->msi_control & PCI_MSI_CONTROL_MASK;

    switch (when) {
    case HAS_BARS:
        return !(traits->errata & PCIDEV_ERRATUM_JUNK_BARS);
    case PCIE_2:
        return traits->pcie_version >= 2;
    case MSI_64:
        return wide;
    case MSI_32:
        return !wide;
    case MSI_64_MASK:
        return wide && mask;
    case MSI_32_MASK:
        return !wide && mask;
    case REBAR_1:
    case REBAR_2:
    case REBAR_3:
    case REBAR_4:
    case REBAR_5:
    case REBAR_6:
        return traits->rebar_count > when - REBAR_1;
    case ALWAYS:
        break;
    }
    return true;
}

static bool register_place(const struct pcidev *dev, const struct saved_register *r, unsigned *reg)
{
    *reg = r->offset;
    if (!register_exists(&dev->traits, (enum when)r->when))
        return false;
    if (r->cap == HEADER)
        return dev->traits.header_type == 0;
    *reg += dev->traits.cap[r->cap];
    return dev->traits.cap[r->cap] != 0 && *reg + r->length <= dev->traits.config_size;
}

/* Whoever does not answer (contained, hung) has nothing to save. What was lent is remembered. */
static int recall(const struct pcidev *dev, struct registers *saved)
{
    const struct recovery *r = atomic_load(&dev->recovery);
    const struct berth_domain *owner = device_owner(dev);

    saved->valid = false;
    if (r && owner && domain_is_guest(owner))
        *saved = r->registers;
    return 0;
}

int registers_save(struct pcidev *dev, struct registers *saved)
{
    uint32_t command;
    int error = seam_read(dev, PCI_COMMAND, 2, &command);

    if (!error && command == 0xffff)
        return recall(dev, saved);
    for (unsigned i = 0; i < SAVED_COUNT && !error; i++) {
        unsigned reg;

        if (register_place(dev, &saved_registers[i], &reg))
            error = seam_read(dev, reg, saved_registers[i].length, &saved->value[i]);
    }
    saved->command = (uint16_t)command;
    saved->valid = !error;
    return error;
}

/* O6: not even the way back turns bus mastering on; the flag may come up while we write. */
static int command_write(struct pcidev *dev, uint32_t command)
{
    int error;

    if (atomic_load(&dev->contained))
        command &= ~PCI_COMMAND_MASTER;
    error = seam_write(dev, PCI_COMMAND, 2, command);
    if (!error && command & PCI_COMMAND_MASTER && atomic_load(&dev->contained))
        error = seam_write(dev, PCI_COMMAND, 2, command & ~PCI_COMMAND_MASTER);
    return error;
}

/*
 * PCIe 7.8.6.3 and SR-IOV 1.1, 3.3.14: these don't change with decode on, or with VFs. Where a
 * reset has changed them, both are off.
 */
static int register_write(struct pcidev *dev, const struct saved_register *r, unsigned reg,
                          uint32_t value)
{
    uint32_t now;
    int error = 0;

    if (r->cap == CAP_REBAR || r->cap == CAP_SRIOV) {
        error = seam_read(dev, reg, r->length, &now);
        if (error || now == value)
            return error;
    }
    if (r->cap == CAP_REBAR)
        error = seam_update8(dev, PCI_COMMAND, PCI_COMMAND_MEMORY, 0);
    if (error)
        return error;
    return seam_write(dev, reg, r->length, value);
}

static int registers_write(struct pcidev *dev, const struct registers *saved, bool quiet)
{
    int error = 0;

    for (unsigned i = 0; i < SAVED_COUNT && !error; i++) {
        const struct saved_register *r = &saved_registers[i];
        uint32_t value = saved->value[i];
        unsigned reg;

        value &= ~(uint32_t)r->never;
        if (quiet)
            value &= ~(uint32_t)r->enables;
        if (register_place(dev, r, &reg))
            error = register_write(dev, r, reg, value);
    }
    if (!error)
        error = command_write(dev, quiet ? saved->command & ~PCI_COMMAND_MASTER : saved->command);
    return error;
}

int registers_restore_quiet(struct pcidev *dev, const struct registers *saved)
{
    return saved->valid ? registers_write(dev, saved, true) : 0;
}

int registers_restore(struct pcidev *dev, const struct registers *saved)
{
    return saved->valid ? registers_write(dev, saved, false) : 0;
}

/* PCIe 5.3.1.4: back from D3hot a function may have lost its registers, and has them until then. */
static int wake_from(struct pcidev *dev, unsigned reg, uint32_t control, bool *lost)
{
    struct registers saved;
    int error = registers_save(dev, &saved);

    if (!error)
        error = seam_write(dev, reg, 2, control & ~(PCI_PM_STATE | PCI_PM_PME_STATUS));
    if (error)
        return error;
    port_sleep_ns(PCI_PM_SETTLE_NS);
    if (control & PCI_PM_NO_SOFT_RESET)
        return 0;
    error = registers_restore(dev, &saved);
    *lost |= error != 0;
    return error;
}

int registers_wake(struct pcidev *dev, bool *lost)
{
    unsigned reg = dev->traits.cap[CAP_PM] + PCI_PM_CONTROL;
    uint32_t control;
    int error;

    if (!dev->traits.cap[CAP_PM] || device_disconnected(dev))
        return 0;
    error = seam_read(dev, reg, 2, &control);
    if (error || control == 0xffff || !(control & PCI_PM_STATE))
        return error;
    return wake_from(dev, reg, control, lost);
}

int registers_quiet(struct pcidev *dev)
{
    const uint16_t *cap = dev->traits.cap;
    /* and no INTx either, which a device with its MSI off would fall back to */
    int error = seam_update16(dev, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);

    if (!error && cap[CAP_MSI])
        error = seam_update16(dev, cap[CAP_MSI] + PCI_MSI_CONTROL, PCI_MSI_CONTROL_ENABLE, 0);
    if (!error && cap[CAP_MSIX])
        error = seam_update16(dev, cap[CAP_MSIX] + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE, 0);
    return error;
}

int registers_answer(struct pcidev *dev, bool *answers)
{
    uint32_t value;
    int error = seam_read(dev, dev->pf ? PCI_CLASS_REVISION : PCI_VENDOR_ID, 4, &value);

    /* vendor 0001: "configuration request retry" made visible (PCIe 2.3.2) */
    *answers = value != 0xffffffffu && (dev->pf || (value & 0xffffu) != 1);
    return error;
}

int registers_wait(struct pcidev *dev, uint64_t wait_ns)
{
    uint64_t deadline = port_now_ns() + wait_ns;
    bool answers;
    int error = registers_answer(dev, &answers);

    while (!error && !answers && !device_disconnected(dev)) {
        if (port_now_ns() >= deadline)
            return -EIO;
        port_sleep_ns(ANSWER_POLL_NS);
        error = registers_answer(dev, &answers);
    }
    return error;
}

int registers_check_identity(struct pcidev *dev)
{
    const struct pcidev_traits *traits = &dev->traits;
    uint32_t id, class_revision;
    int error = seam_read(dev, PCI_VENDOR_ID, 4, &id);

    if (!error)
        error = seam_read(dev, PCI_CLASS_REVISION, 4, &class_revision);
    if (error || device_disconnected(dev))
        return error;
    if (!traits->is_vf && id != ((uint32_t)traits->device << 16 | traits->vendor))
        return -EIO;
    return class_revision >> 8 == traits->class_code ? 0 : -EIO;
}

int registers_forget_msi(struct pcidev *dev)
{
    int error = 0;

    for (unsigned i = 0; i < SAVED_COUNT && !error; i++) {
        const struct saved_register *r = &saved_registers[i];
        unsigned reg;

        if ((r->cap == CAP_MSI || r->cap == CAP_MSIX) && register_place(dev, r, &reg))
            error = seam_write(dev, reg, r->length, 0);
    }
    return error;
}

static uint32_t saved_devctl(const struct registers *saved)
{
    for (unsigned i = 0; i < SAVED_COUNT && saved && saved->valid; i++)
        if (saved_registers[i].cap == CAP_PCIE && saved_registers[i].offset == PCI_EXP_DEVCTL)
            return saved->value[i];
    return PCI_EXP_DEVCTL_DEFAULT;
}

/* Whoever has it next finds its ROM off, even where its guest's view could not switch it. */
static int rom_disable(struct pcidev *dev) REQUIRES(dev->lock)
{
    uint32_t rom;
    int error;

    if (!dev->bars.shift[BERTH_BAR_ROM] || dev->pf)
        return 0;
    error = seam_read(dev, PCI_ROM, 4, &rom);
    if (error || rom == 0xffffffffu || !(rom & PCI_ROM_ENABLE))
        return error;
    return seam_write(dev, PCI_ROM, 4, rom & ~PCI_ROM_ENABLE);
}

int registers_forget_guest(struct pcidev *dev, const struct registers *lent)
{
    unsigned cap = dev->traits.cap[CAP_PCIE];
    int error = 0;

    if (cap)
        error = seam_update16(dev, cap + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_PASSES | PCI_EXP_DEVCTL_FLR,
                              (uint16_t)(saved_devctl(lent) & PCI_EXP_DEVCTL_PASSES));
    return error ? error : rom_disable(dev);
}

/* PCIe 7.8.4: those of AER survive every reset. */
int registers_forget_errors(struct pcidev *dev)
{
    const uint16_t *cap = dev->traits.cap;
    int error = seam_write(dev, PCI_STATUS, 2, PCI_STATUS_ERRORS);

    if (!error && cap[CAP_PCIE])
        error = seam_write(dev, cap[CAP_PCIE] + PCI_EXP_DEVSTA, 2, PCI_EXP_DEVSTA_ERRORS);
    if (!error && cap[CAP_AER])
        error = seam_write(dev, cap[CAP_AER] + PCI_AER_UNCORRECTABLE, 4, 0xffffffffu);
    if (!error && cap[CAP_AER])
        error = seam_write(dev, cap[CAP_AER] + PCI_AER_CORRECTABLE, 4, 0xffffffffu);
    return error;
}
