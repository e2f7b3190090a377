/* SPDX-License-Identifier: MIT */
/*
 * Drivers and devices of `berth torture`: messages are programmed and masked, devices sleep and are
 * reset by their guests; and they interrupt, and have errors.
 */
#include <errno.h>

#include "front/control/guests.h"
#include "tools/berth/torture.h"

#define CAP_PM 0x01
#define PM_CONTROL 4
#define PM_STATE 3u
#define CAP_MSI 0x05
#define MSI_64BIT 0x80u
#define MSI_MASKS 0x100u
#define MSI_ON 0x71u /* enable, and all vectors that it takes */
#define CAP_PCIE 0x10
#define PCIE_DEVICE_CONTROL 8
#define PCIE_FLR 0x8000u
#define CAP_MSIX 0x11
#define MSIX_ON 0x8000u
#define MSIX_MASK 0x4000u
#define MSIX_BIR 7u
#define ENTRY_SIZE 16u
#define VECTORS 2048u
#define BURST 16

/* ---- MSI ---- */

static int msi_program(struct torturer *t, const struct place *place, unsigned at, unsigned index)
{
    uint64_t control = place_read(place, at + 2, 2);
    unsigned data = at + (control & MSI_64BIT ? 12 : 8);

    torture_write(t, place, at + 4, 4, torture_message_address(index));
    if (control & MSI_64BIT)
        torture_write(t, place, at + 8, 4, 0);
    torture_write(t, place, data, 2, torture_chance(t, 0x10000));
    if (control & MSI_MASKS && control & MSI_64BIT && torture_chance(t, 2))
        torture_write(t, place, at + 16, 4, torture_chance(t, 4));
    torture_write(t, place, at + 2, 2, torture_chance(t, 4) ? MSI_ON : 0);
    return 0;
}

static int op_msi(struct torturer *t)
{
    struct place place;
    unsigned index, at;
    int error = -ENODEV;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    at = place_capability(&place, CAP_MSI);
    if (at)
        error = msi_program(t, &place, at, index);
    berth_domain_put(place.guest);
    return error;
}

/* ---- MSI-X ---- */

struct table {
    uint64_t at; /* guest address; 0: not decoded */
    unsigned vectors;
};

static struct table table_find(const struct place *place, unsigned cap)
{
    const uint64_t where = place_read(place, cap + 4, 4);
    const struct guest_bar bar = guest_bar(place, (unsigned)where & MSIX_BIR);
    struct table table = {.vectors = (unsigned)(place_read(place, cap + 2, 2) & 0x7ff) + 1};

    if (bar.decoded && !bar.io)
        table.at = bar.address + (where & ~(uint64_t)MSIX_BIR);
    return table;
}

/* Where the BAR is no longer there nothing is written, which is fine. */
static void table_write(struct torturer *t, const struct place *place, uint64_t at, unsigned length,
                        uint64_t value)
{
    if (!berth_domain_mmio_write(place->guest, at, length, value))
        atomic_fetch_add_explicit(&t->torture->counts.tables, 1, memory_order_relaxed);
}

/* An entry is written in quarters or halves; and a byte of what it holds already. */
static void entry_write(struct torturer *t, const struct place *place, uint64_t at, unsigned index,
                        unsigned vector)
{
    const uint64_t address = torture_message_address(index);

    if (torture_chance(t, 2)) {
        table_write(t, place, at, 8, address);
    } else {
        table_write(t, place, at, 4, address);
        table_write(t, place, at + 4, 4, 0);
    }
    table_write(t, place, at + 8, 4, vector);
    if (!torture_chance(t, 8))
        table_write(t, place, at + 1, 1, address >> 8 & 0xff);
    table_write(t, place, at + 12, 4, !torture_chance(t, 4));
}

static void table_use(struct torturer *t, const struct place *place, const struct table *table,
                      unsigned index)
{
    uint64_t value, read = 0;

    for (unsigned i = 0; i < BURST; i++) {
        unsigned vector = torture_chance(t, table->vectors);

        entry_write(t, place, table->at + (uint64_t)vector * ENTRY_SIZE, index, vector);
        /* the PBA is near, as a rule */
        read +=
            !berth_domain_mmio_read(place->guest, table->at + torture_chance(t, 0x4000), 8, &value);
    }
    atomic_fetch_add_explicit(&t->torture->counts.bars, read, memory_order_relaxed);
}

static void msix_use(struct torturer *t, const struct place *place, unsigned cap, unsigned index)
{
    static const uint16_t controls[] = {MSIX_ON, MSIX_ON, MSIX_ON | MSIX_MASK, 0};
    const struct table table = table_find(place, cap);

    if (table.at)
        table_use(t, place, &table, index);
    torture_write(t, place, cap + 2, 2, controls[torture_chance(t, 4)]);
}

static int op_msix(struct torturer *t)
{
    struct place place;
    unsigned index, cap;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    cap = place_capability(&place, CAP_MSIX);
    if (cap)
        msix_use(t, &place, cap, index);
    berth_domain_put(place.guest);
    return cap ? 0 : -ENODEV;
}

/* ---- a driver that does it all ---- */

#define COMMAND 0x04
#define COMMAND_ON 0x7u
#define BAR0 0x10
#define SLOT_ROOM UINT64_C(0x400000)
#define BAR_ROOM UINT64_C(0x80000)
#define WIDE_ROOM (UINT64_C(1) << 32)

/* Each slot has its room, and BARs that do not fit into it are refused. */
static uint64_t own_address(struct sbdf at, unsigned bar, bool io, bool wide)
{
    const unsigned slot = at.bus * 32u + sbdf_device(at);

    if (io)
        return GUEST_PORT_START + slot * 0x100 + bar * 0x20;
    if (wide)
        return GUEST_WIDE_START + (slot * 8 + bar) * WIDE_ROOM;
    return GUEST_MEMORY_START + slot * SLOT_ROOM + bar * BAR_ROOM;
}

static void bars_place(struct torturer *t, const struct place *place)
{
    for (unsigned bar = 0; bar < 6; bar++) {
        struct guest_bar now = guest_bar(place, bar);
        uint64_t address = own_address(place->at, bar, now.io, now.wide);

        torture_write(t, place, BAR0 + 4 * bar, 4, address);
        if (now.wide)
            torture_write(t, place, BAR0 + 4 * ++bar, 4, address >> 32);
    }
}

static void device_interrupt(struct torturer *t, const struct place *place)
{
    struct pcidev_ref ref PCIDEV_REF = {
        berth_domain_device_at(place->guest, place->at, torture_tag), torture_tag};
    enum sim_irq_result result;

    for (unsigned i = 0; ref.dev && i < BURST; i++)
        (void)sim_raise(t->torture->machine.sim, pcidev_sbdf(ref.dev), torture_chance(t, 8),
                        &result);
}

static int op_bring_up(struct torturer *t)
{
    struct place place;
    unsigned index, msix, msi;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    torture_write(t, &place, COMMAND, 2, 0);
    bars_place(t, &place);
    torture_write(t, &place, COMMAND, 2, COMMAND_ON);
    msix = place_capability(&place, CAP_MSIX);
    msi = place_capability(&place, CAP_MSI);
    if (msix)
        msix_use(t, &place, msix, index);
    if (msi && !torture_chance(t, 3))
        (void)msi_program(t, &place, msi, index);
    (void)torture_bars_use(t, &place, index);
    device_interrupt(t, &place);
    berth_domain_put(place.guest);
    return 0;
}

/* ---- power, and resets by the guest ---- */

static int op_power(struct torturer *t)
{
    struct place place;
    unsigned index, cap;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    cap = place_capability(&place, CAP_PM);
    if (cap) {
        torture_write(t, &place, cap + PM_CONTROL, 2, PM_STATE);
        (void)place_read(&place, cap + PM_CONTROL, 2);
        if (torture_chance(t, 8))
            torture_write(t, &place, cap + PM_CONTROL, 2, 0);
    }
    berth_domain_put(place.guest);
    return cap ? 0 : -ENODEV;
}

static int op_flr(struct torturer *t)
{
    struct place place;
    unsigned index, cap;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    cap = place_capability(&place, CAP_PCIE);
    if (cap)
        torture_write(t, &place, cap + PCIE_DEVICE_CONTROL, 2, PCIE_FLR);
    berth_domain_put(place.guest);
    return cap ? 0 : -ENODEV;
}

/* ---- VFs of a guest that has a PF as a whole ---- */

#define EXTENDED 0x100u
#define EXTENDED_MAX 64 /* loops end */
#define CAP_SRIOV 0x10u
#define SRIOV_CONTROL 0x08
#define SRIOV_ON 0x9u /* VF Enable, VF MSE */
#define SRIOV_NUM_VFS 0x10

static unsigned extended_capability(const struct place *place, unsigned id)
{
    unsigned at = EXTENDED;

    for (unsigned i = 0; i < EXTENDED_MAX && at >= EXTENDED; i++) {
        uint64_t header = place_read(place, at, 4);

        if (header == UINT32_MAX)
            return 0;
        if ((header & 0xffff) == id)
            return at;
        at = (unsigned)(header >> 20) & ~3u;
    }
    return 0;
}

static int op_guest_vfs(struct torturer *t)
{
    struct place place;
    unsigned index, cap;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    cap = extended_capability(&place, CAP_SRIOV);
    if (cap) {
        torture_write(t, &place, cap + SRIOV_NUM_VFS, 2, torture_chance(t, 4));
        torture_write(t, &place, cap + SRIOV_CONTROL, 2, torture_chance(t, 3) ? SRIOV_ON : 0);
    }
    berth_domain_put(place.guest);
    return cap ? 0 : -ENODEV;
}

/* ---- what devices do ---- */

static int op_raise(struct torturer *t)
{
    struct sim *sim = t->torture->machine.sim;
    const struct sbdf at = torture_place(t);
    enum sim_irq_result result;
    int error = -ENODEV;

    for (unsigned i = 0; i < BURST; i++) {
        unsigned vector = torture_chance(t, torture_chance(t, 8) ? 8 : VECTORS);

        if (!sim_raise(sim, at, vector, &result))
            error = 0;
    }
    if (torture_chance(t, 2))
        (void)sim_lower(sim, at);
    return error;
}

/*
 * A device makes messages up. As long as we are inside it stays the hardware domain's, for which
 * nothing is bound: whatever gets through is somebody else's interrupt (M32).
 */
static int op_forge(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct pcidev_section section PCIDEV_SECTION = {0};
    enum sim_irq_result result = SIM_IRQ_NONE;
    struct pcidev_info info;
    char at[SBDF_TEXT_SIZE];

    if (!ref.dev || !pcidev_enter(ref.dev, torture_tag, &section))
        return -ENODEV;
    pcidev_snapshot(ref.dev, &info);
    for (unsigned i = 0; i < BURST && info.owner_kind == BERTH_DOMAIN_HWDOM; i++) {
        if (!sim_message(t->torture->machine.sim, info.sbdf, torture_message_address(0),
                         torture_chance(t, VECTORS), &result) &&
            result == SIM_IRQ_DELIVERED)
            flaw_found(&t->torture->flaws, FLAW_FORGED, "by %s", sbdf_format(info.sbdf, at));
    }
    return 0;
}

/* A bridge that was removed, or pulled, forwards nothing before its driver turns it on again. */
static int op_bridges(struct torturer *t)
{
    struct place place = {.machine = t->torture->machine.machine};
    struct pcidev *dev = pcidev_next(place.machine, NULL, torture_tag);
    struct pcidev_info info;

    while (dev) {
        pcidev_snapshot(dev, &info);
        place.at = info.sbdf;
        if (info.secondary_bus && info.owner_kind == BERTH_DOMAIN_HWDOM)
            place_write(&place, COMMAND, 2, COMMAND_ON);
        pcidev_put(dev, torture_tag);
        dev = pcidev_next(place.machine, &place.at, torture_tag);
    }
    return 0;
}

/* A guest's controller is done with INTx, whether or not it was asserted. */
static int op_handled(struct torturer *t)
{
    struct place place;
    unsigned index;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    berth_domain_intx_eoi(place.guest, place.at);
    berth_domain_put(place.guest);
    return 0;
}

/* A port that contains resets what is behind it before anybody could know (M09): with --fail. */
static int op_error(struct torturer *t)
{
    static const struct {
        enum sim_error_kind sim;
        enum pcidev_trouble core;
    } kinds[] = {
        {SIM_ERROR_CORRECTABLE, PCIDEV_TROUBLE_CORRECTABLE},
        {SIM_ERROR_NONFATAL, PCIDEV_TROUBLE_NONFATAL},
        {SIM_ERROR_FATAL, PCIDEV_TROUBLE_FATAL},
        {SIM_ERROR_DPC, PCIDEV_TROUBLE_DPC},
    };
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    const unsigned kind = torture_chance(t, t->torture->options.fail ? 4 : 3);
    struct torture_request r;

    if (!ref.dev || sim_error(t->torture->machine.sim, pcidev_sbdf(ref.dev), kinds[kind].sim))
        return -ENODEV;
    atomic_fetch_add_explicit(&t->torture->counts.errors, 1, memory_order_relaxed);
    torture_ask(t, &r);
    return torture_judge(t->torture, "recover",
                         pcidev_recover(ref.dev, kinds[kind].core, &r.request), &r);
}

const struct torture_op torture_drivers[] = {
    {"bring up", op_bring_up, 24, false},  {"program MSI", op_msi, 6, false},
    {"program MSI-X", op_msix, 10, false}, {"power", op_power, 3, false},
    {"guest's FLR", op_flr, 1, false},     {"guest's VFs", op_guest_vfs, 4, false},
    {"bridges on", op_bridges, 4, false},  {"forge a message", op_forge, 3, false},
    {"interrupts", op_raise, 20, false},   {"INTx handled", op_handled, 3, false},
    {"error", op_error, 1, false},         {0},
};
