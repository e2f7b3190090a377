/* SPDX-License-Identifier: MIT */
/*
 * MSI-X for guests (PCIe 7.7.2): a table of up to 2,048 messages in a BAR, which is trapped.
 *
 *   the guest's table     the hardware's table
 *   its own message       the host's, from the first time that the vector can be sent
 *   its own mask          the guest's, and masked while it is not bound (X56)
 *
 * The hardware's table is touched only with MSI-X enabled in the hardware and the device in D0
 * (F52); its decode is always on. What has to be written at another time waits for msix_settle().
 * Before the function mask is taken off for the first time every entry is masked once: who had the
 * device before may have left anything there.
 */
#include "src/vpci/caps.h"
#include "src/vpci/vector.h"

#define MSIX_TABLE 0x04u
#define MSIX_PBA 0x08u
#define MSIX_LENGTH 12u
#define CONTROL_ENABLE PCI_MSIX_CONTROL_ENABLE
#define CONTROL_MASK_ALL 0x4000u
#define CONTROL_SIZE 0x07ffu
#define PLACE_BAR 0x7u

#define ENTRY_SIZE 16u
#define ENTRY_ADDRESS 0u
#define ENTRY_UPPER 4u
#define ENTRY_DATA 8u
#define ENTRY_CONTROL 12u
#define ENTRY_MASK 1u /* reset clears the rest of the control, and nobody sets it */
#define ADDRESS_BITS 0xfffffffcu

static struct vpci_vector *entry(const struct vpci *v, unsigned index)
{
    return &v->irqs->vector[BERTH_IRQ_MSIX][index];
}

static unsigned entry_count(const struct vpci *v)
{
    return v->irqs->count[BERTH_IRQ_MSIX];
}

/* ---- the hardware's table ---- */

static bool table_is_reachable(const struct vpci *v) REQUIRES(v->lock)
{
    return v->irqs->on == BERTH_IRQ_MSIX && vpci_bars_answer(v);
}

static int entry_write(struct vpci *v, unsigned index, unsigned at, uint32_t value)
{
    const struct vpci_place *table = &v->irqs->table;

    return seam_bar_write(v->dev, table->bar, (uint64_t)table->offset + index * ENTRY_SIZE + at, 4,
                          value);
}

static int entry_write_message(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    const struct berth_message *host = &entry(v, index)->host;
    int error = entry_write(v, index, ENTRY_ADDRESS, (uint32_t)host->address);

    if (!error)
        error = entry_write(v, index, ENTRY_UPPER, (uint32_t)(host->address >> 32));
    if (!error)
        error = entry_write(v, index, ENTRY_DATA, host->data);
    if (!error)
        entry(v, index)->hardware |= ENTRY_WRITTEN;
    return error;
}

static int entry_write_mask(struct vpci *v, unsigned index, bool open) REQUIRES(v->lock)
{
    int error = entry_write(v, index, ENTRY_CONTROL, open ? 0 : ENTRY_MASK);

    if (!error && open)
        entry(v, index)->hardware |= ENTRY_OPEN;
    else if (!error)
        entry(v, index)->hardware &= ~ENTRY_OPEN;
    return error;
}

/* Lazily: a guest that enables 2,048 vectors and uses eight takes eight of the host's. */
static void entry_bind(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    int error;

    if (v->irqs->all_masked || vector_has(entry(v, index), VECTOR_MASKED | VECTOR_BOUND))
        return;
    error = vpci_vectors_bind(v, BERTH_IRQ_MSIX, index, 1);
    if (error)
        vpci_complain(v, "bind MSI-X vector", error);
}

/* Brings one entry of the hardware in line. A message is only written while its entry is masked. */
static int entry_settle(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_vector *vec = entry(v, index);
    bool open;
    int error = 0;

    entry_bind(v, index);
    open = vector_has(vec, VECTOR_BOUND) && !vector_has(vec, VECTOR_MASKED);
    if (open && !(vec->hardware & ENTRY_WRITTEN)) {
        if (vec->hardware & ENTRY_OPEN)
            error = entry_write_mask(v, index, false);
        if (!error)
            error = entry_write_message(v, index);
    }
    if (!error && open != !!(vec->hardware & ENTRY_OPEN))
        error = entry_write_mask(v, index, open);
    return error;
}

static int table_scrub(struct vpci *v) REQUIRES(v->lock)
{
    int error = 0;

    for (unsigned i = 0; i < entry_count(v) && !error; i++) {
        entry(v, i)->hardware = 0;
        error = entry_write_mask(v, i, false);
    }
    v->irqs->scrubbed = !error;
    return error;
}

static int hardware_control(struct vpci *v, uint32_t control)
{
    return seam_write(v->dev, v->irqs->msix_at + PCI_MSIX_CONTROL, 2, control);
}

/*
 * MSI-X is on: brings the table in line as far as it can be reached, and then the function mask,
 * which stays on in the hardware while entries hold what nobody knows. 0 or -EIO.
 */
static int msix_settle(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    bool reachable = table_is_reachable(v);
    int error = 0;

    if (irqs->all_masked)
        vpci_vectors_close(v, BERTH_IRQ_MSIX);
    if (reachable && !irqs->scrubbed)
        error = table_scrub(v);
    for (unsigned i = 0; i < entry_count(v) && reachable && !error; i++)
        error = entry_settle(v, i);
    if (error)
        irqs->scrubbed = false;
    if (hardware_control(v, CONTROL_ENABLE |
                                (irqs->all_masked || !irqs->scrubbed ? CONTROL_MASK_ALL : 0)))
        error = -EIO;
    if (!irqs->all_masked)
        vpci_vectors_open(v, BERTH_IRQ_MSIX);
    return error;
}

/* ---- on and off ---- */

static int msix_disable(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    int error;

    vpci_vectors_close(v, BERTH_IRQ_MSIX);
    error = hardware_control(v, 0);
    for (unsigned i = 0; i < entry_count(v); i++) {
        if (vector_has(entry(v, i), VECTOR_BOUND))
            vpci_vectors_unbind(v, BERTH_IRQ_MSIX, i, 1);
        entry(v, i)->hardware &= ~ENTRY_WRITTEN;
    }
    irqs->on = BERTH_IRQ_INTX;
    return error ? error : vpci_intx_update(v);
}

/* 0, or -errno with MSI-X off. The function is masked until the table has been looked after. */
static int msix_enable(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    int error;

    if (irqs->on != BERTH_IRQ_INTX)
        return -EBUSY; /* O8 */
    irqs->on = BERTH_IRQ_MSIX;
    error = vpci_intx_update(v);
    if (!error)
        error = hardware_control(v, CONTROL_ENABLE | CONTROL_MASK_ALL);
    if (error)
        (void)msix_disable(v);
    return error;
}

static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;
    struct vpci_irqs *irqs = v->irqs;
    int error = 0;

    lock_held(&v->lock);
    (void)reg;
    (void)cleared;
    irqs->all_masked = value & CONTROL_MASK_ALL;
    if (irqs->on == BERTH_IRQ_MSIX && !(value & CONTROL_ENABLE))
        error = msix_disable(v);
    else if (irqs->on != BERTH_IRQ_MSIX && value & CONTROL_ENABLE)
        error = msix_enable(v);
    if (error)
        vpci_complain(v, value & CONTROL_ENABLE ? "enable MSI-X" : "disable MSI-X", error);
    if (irqs->on != BERTH_IRQ_MSIX)
        return value & ~CONTROL_ENABLE;
    if (value != stored && (error = msix_settle(v)))
        vpci_complain(v, "set up MSI-X", error);
    return value;
}

int vpci_msix_restore(struct vpci *v)
{
    if (!v->irqs->msix_at)
        return 0;
    v->irqs->scrubbed = false;
    if (v->irqs->on != BERTH_IRQ_MSIX)
        return hardware_control(v, 0);
    return hardware_control(v, CONTROL_ENABLE | CONTROL_MASK_ALL) ? -EIO : msix_settle(v);
}

/* ---- the guest's table ---- */

static void entry_changed(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    int error;

    if (!table_is_reachable(v))
        return;
    error = v->irqs->scrubbed ? entry_settle(v, index) : msix_settle(v);
    if (error)
        vpci_complain(v, "write MSI-X table", error);
}

static void entry_store(struct vpci *v, unsigned index, unsigned at, uint32_t value)
    REQUIRES(v->lock)
{
    struct vpci_vector *vec = entry(v, index);
    uint64_t address = atomic_load(&vec->guest_address);
    uint32_t data = atomic_load(&vec->guest_data);

    switch (at) {
    case ENTRY_ADDRESS:
        vpci_vector_set(vec, (address & ~(uint64_t)UINT32_MAX) | (value & ADDRESS_BITS), data);
        break;
    case ENTRY_UPPER:
        vpci_vector_set(vec, (uint64_t)value << 32 | (uint32_t)address, data);
        break;
    case ENTRY_DATA:
        vpci_vector_set(vec, address, value);
        break;
    default:
        vpci_vector_mask(v, BERTH_IRQ_MSIX, index, value & ENTRY_MASK);
        entry_changed(v, index);
        break;
    }
}

static uint32_t entry_load(const struct vpci *v, unsigned index, unsigned at)
{
    const struct vpci_vector *vec = entry(v, index);

    switch (at) {
    case ENTRY_ADDRESS:
        return (uint32_t)atomic_load(&vec->guest_address);
    case ENTRY_UPPER:
        return (uint32_t)(atomic_load(&vec->guest_address) >> 32);
    case ENTRY_DATA:
        return atomic_load(&vec->guest_data);
    default:
        return vector_has(vec, VECTOR_MASKED) ? ENTRY_MASK : 0;
    }
}

/* ---- pending bits ---- */

static uint32_t pending_load(struct vpci *v, unsigned at) REQUIRES(v->lock)
{
    uint64_t hardware = 0;
    const struct vpci_place *pba = &v->irqs->pba;

    if (table_is_reachable(v)) /* ones where it fails: who polls looks too often, not too rarely */
        (void)seam_bar_read(v->dev, pba->bar, (uint64_t)pba->offset + at, 4, &hardware);
    return (uint32_t)hardware | vpci_vectors_pending(v->irqs, BERTH_IRQ_MSIX, 8 * at);
}

/* ---- accesses to the BAR ---- */

static bool is_in(const struct vpci_place *place, unsigned bar, uint64_t offset, uint64_t length)
{
    return place->length && place->bar == bar && offset < (uint64_t)place->offset + place->length &&
           place->offset < offset + length;
}

static bool touches(const struct vpci *v, unsigned bar, uint64_t offset, uint64_t length)
{
    return v->irqs && (is_in(&v->irqs->table, bar, offset, length) ||
                       is_in(&v->irqs->pba, bar, offset, length));
}

bool vpci_msix_covers(const struct vpci *v, unsigned bar, uint64_t offset, unsigned length)
{
    return touches(v, bar, offset, length);
}

bool vpci_msix_traps(const struct vpci *v, unsigned bar, uint64_t offset)
{
    return touches(v, bar, offset & ~(uint64_t)(BERTH_PAGE_SIZE - 1), BERTH_PAGE_SIZE);
}

/* PCIe 7.7.2: dwords and quadwords, aligned; anything else is undefined, and here nothing. */
static bool is_fine(uint64_t offset, unsigned length)
{
    return (length == 4 || length == 8) && offset % length == 0;
}

uint64_t vpci_msix_mmio_read(struct vpci *v, unsigned bar, uint64_t offset, unsigned length)
{
    const struct vpci_place *table = &v->irqs->table, *pba = &v->irqs->pba;
    uint64_t value = 0;

    if (!is_fine(offset, length))
        return vpci_ones(length);
    for (unsigned done = 0; done < length; done += 4) {
        uint64_t at = offset + done;
        uint32_t word = UINT32_MAX;

        if (is_in(table, bar, at, 4))
            word = entry_load(v, (unsigned)(at - table->offset) / ENTRY_SIZE,
                              (at - table->offset) % ENTRY_SIZE);
        else if (is_in(pba, bar, at, 4))
            word = pending_load(v, (unsigned)(at - pba->offset));
        value |= (uint64_t)word << 8 * done;
    }
    return value;
}

void vpci_msix_mmio_write(struct vpci *v, unsigned bar, uint64_t offset, unsigned length,
                          uint64_t value)
{
    const struct vpci_place *table = &v->irqs->table;

    if (!is_fine(offset, length))
        return;
    for (unsigned done = 0; done < length; done += 4) { /* F112: data first, control behind it */
        uint64_t at = offset + done;

        if (is_in(table, bar, at, 4))
            entry_store(v, (unsigned)(at - table->offset) / ENTRY_SIZE,
                        (at - table->offset) % ENTRY_SIZE, (uint32_t)(value >> 8 * done));
    }
}

/* ---- the capability ---- */

/* What the register says, if there is such a place in a BAR of memory. */
static bool place_read(const struct vpci *v, uint32_t reg, uint32_t length,
                       struct vpci_place *place)
{
    const struct vpci_bar *bar = &v->bar[(reg & PLACE_BAR) % BERTH_BAR_COUNT];

    *place = (struct vpci_place){
        .bar = (uint8_t)(reg & PLACE_BAR), .offset = reg & ~PLACE_BAR, .length = length};
    return place->bar < BERTH_BAR_ROM && !bar->io && length <= bar->size &&
           place->offset <= bar->size - length;
}

static const struct berth_register control_register = {
    .size = 2,
    .ro = CONTROL_SIZE,
    .rw = CONTROL_ENABLE | CONTROL_MASK_ALL,
    .write = control_write,
};
static const struct berth_register place_register = {.size = 4, .ro = 0xffffffff};

struct shape {
    uint32_t control, table, pba; /* registers */
};

/* X44: read once, when the guest has no part in the device yet. */
static int shape_read(struct vpci *v, unsigned at, struct shape *shape)
{
    int error = seam_read(v->dev, at + PCI_MSIX_CONTROL, 2, &shape->control);

    if (!error)
        error = seam_read(v->dev, at + MSIX_TABLE, 4, &shape->table);
    return error ? error : seam_read(v->dev, at + MSIX_PBA, 4, &shape->pba);
}

static int shape_check(const struct vpci *v, const struct shape *shape, struct vpci_place *table,
                       struct vpci_place *pba)
{
    uint32_t count = (shape->control & CONTROL_SIZE) + 1;

    if (!place_read(v, shape->table, count * ENTRY_SIZE, table) ||
        !place_read(v, shape->pba, (count + 63) / 64 * 8, pba))
        return -EINVAL;
    return is_in(table, pba->bar, pba->offset, pba->length) ? -EINVAL : 0;
}

static int msix_add_registers(struct vpci *v, unsigned cap, unsigned at, const struct shape *shape)
{
    int error =
        vpci_add(v, cap, at + PCI_MSIX_CONTROL, &control_register, shape->control & CONTROL_SIZE);

    if (!error)
        error = vpci_add(v, cap, at + MSIX_TABLE, &place_register, shape->table);
    return error ? error : vpci_add(v, cap, at + MSIX_PBA, &place_register, shape->pba);
}

static int msix_init(struct vpci *v, unsigned cap, unsigned at)
{
    struct vpci_irqs *irqs = v->irqs;
    struct vpci_place table, pba;
    struct shape shape;
    int error;

    if (!irqs)
        return -EOPNOTSUPP;
    if (at != v->dev->traits.cap[CAP_MSIX])
        return -EINVAL;
    error = shape_read(v, at, &shape);
    if (!error)
        error = shape_check(v, &shape, &table, &pba);
    if (!error)
        error = vpci_vectors_make(v, BERTH_IRQ_MSIX, (shape.control & CONTROL_SIZE) + 1, true);
    if (!error)
        error = msix_add_registers(v, cap, at, &shape);
    if (error)
        return error;
    irqs->msix_at = (uint16_t)at;
    irqs->table = table;
    irqs->pba = pba;
    return 0;
}

const struct vpci_cap vpci_cap_msix = {
    .name = "MSI-X",
    .id = 0x11,
    .length = MSIX_LENGTH,
    .init = msix_init,
};
