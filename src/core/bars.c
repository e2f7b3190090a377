/* SPDX-License-Identifier: MIT */
#include "src/core/bars.h"

#include "src/core/machine_priv.h"
#include "src/core/memory.h"
#include "src/core/rebar.h"
#include "src/core/registers.h"
#include "src/core/seam.h"

/* PCI 3.0, 6.2.5.1 and 6.2.5.2 */
#define BAR_IO 0x1u
#define BAR_IO_FLAGS 0x3u
#define BAR_TYPE_SHIFT 1
#define BAR_TYPE_64 2u
#define BAR_TYPE_RESERVED 3u
#define BAR_PREFETCH 0x8u
#define BAR_MEMORY_FLAGS 0xfu
#define ROM_ADDRESS 0xfffff800u
#define ALL_ONES 0xffffffffu

#define LAST_BAR (BERTH_BAR_ROM - 1)
#define DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

/* Where a set of BAR registers is: a function's own, or those that a PF has for its VFs. */
struct window {
    unsigned base;
    unsigned rom; /* 0: none */
};

static const struct window own_window = {.base = PCI_BAR0, .rom = PCI_ROM};

/* What a BAR register holds, and which of its bits can be written. */
struct probe {
    uint32_t value[BERTH_BAR_COUNT], mask[BERTH_BAR_COUNT];
};

static struct window vf_window(const struct pcidev *pf)
{
    return (struct window){.base = pf->traits.cap[CAP_SRIOV] + PCI_SRIOV_BAR0};
}

static unsigned bar_count(const struct window *w)
{
    return w->rom ? BERTH_BAR_COUNT : BERTH_BAR_ROM;
}

static unsigned bar_register(const struct window *w, unsigned index)
{
    return index == BERTH_BAR_ROM ? w->rom : w->base + 4 * index;
}

/* ---- what the registers say ---- */

static void forget(struct bar_set *set, unsigned index)
{
    set->address[index] = 0;
    set->shift[index] = 0;
    set->flags[index] = 0;
}

/* A compiler's own way may need its library, which a freestanding build has not got. */
static uint8_t log2_of(uint64_t size)
{
    uint8_t shift = 0;

    while (size >>= 1)
        shift++;
    return shift;
}

/* @size: 0 or no power of two: a device that makes fun of us has no such BAR. */
static void note(struct bar_set *set, unsigned index, uint64_t address, uint64_t size,
                 uint8_t flags)
{
    forget(set, index);
    if (!size || size & (size - 1))
        return;
    set->address[index] = address;
    set->shift[index] = log2_of(size);
    set->flags[index] = flags;
}

static bool is_io(uint32_t value)
{
    return value & BAR_IO;
}

static bool is_wide(uint32_t value)
{
    return !is_io(value) && (value >> BAR_TYPE_SHIFT & 3) == BAR_TYPE_64;
}

/* A flag that can be written is none, and no register is all ones but one that is not there. */
static bool looks_like_a_bar(const struct probe *p, unsigned index)
{
    uint32_t flags = is_io(p->value[index]) ? BAR_IO_FLAGS : BAR_MEMORY_FLAGS;

    if (p->value[index] == ALL_ONES || p->mask[index] == ALL_ONES || !p->mask[index])
        return false;
    if ((p->value[index] ^ p->mask[index]) & flags)
        return false;
    if (is_io(p->value[index]))
        return true;
    if ((p->value[index] >> BAR_TYPE_SHIFT & 3) == BAR_TYPE_RESERVED)
        return false;
    return !is_wide(p->value[index]) || index < LAST_BAR; /* else its upper half is no BAR */
}

static uint64_t bar_address(const struct probe *p, unsigned index)
{
    uint32_t value = p->value[index];

    if (index == BERTH_BAR_ROM)
        return value & ROM_ADDRESS;
    if (is_io(value))
        return value & ~BAR_IO_FLAGS;
    return (is_wide(value) ? (uint64_t)p->value[index + 1] << 32 : 0) | (value & ~BAR_MEMORY_FLAGS);
}

static uint64_t bar_size(const struct probe *p, unsigned index)
{
    uint32_t mask = p->mask[index];

    if (index == BERTH_BAR_ROM)
        return (uint32_t) - (mask & ROM_ADDRESS);
    if (is_wide(p->value[index]))
        return -((uint64_t)p->mask[index + 1] << 32 | (mask & ~BAR_MEMORY_FLAGS));
    if (!is_io(p->value[index]))
        return (uint32_t) - (mask & ~BAR_MEMORY_FLAGS);
    mask &= ~BAR_IO_FLAGS;
    if (!(mask >> 16)) /* the upper half may be hardwired to zero, 6.2.5.1 */
        mask |= 0xffff0000u;
    return (uint32_t)-mask;
}

static uint8_t bar_flags(uint32_t value)
{
    if (is_io(value))
        return BAR_SET_IO;
    return (uint8_t)((is_wide(value) ? BAR_SET_WIDE : 0) |
                     (value & BAR_PREFETCH ? BAR_SET_PREFETCH : 0));
}

static void decode(const struct probe *p, const struct window *w, struct bar_set *set)
{
    for (unsigned i = 0; i <= LAST_BAR; i++) {
        if (!looks_like_a_bar(p, i)) {
            forget(set, i);
            continue;
        }
        note(set, i, bar_address(p, i), bar_size(p, i), bar_flags(p->value[i]));
        if (is_wide(p->value[i]))
            forget(set, ++i);
    }
    forget(set, BERTH_BAR_ROM);
    if (w->rom && p->value[BERTH_BAR_ROM] != ALL_ONES && p->mask[BERTH_BAR_ROM] != ALL_ONES)
        note(set, BERTH_BAR_ROM, bar_address(p, BERTH_BAR_ROM), bar_size(p, BERTH_BAR_ROM), 0);
}

/* ---- sizing ---- */

static int read_values(struct pcidev *dev, const struct window *w, struct probe *p)
{
    int error = 0;

    for (unsigned i = 0; i < bar_count(w) && !error; i++)
        error = seam_read(dev, bar_register(w, i), 4, &p->value[i]);
    return error;
}

/* Of the ROM all but the bit that would switch it on, 6.2.5.2. */
static int read_masks(struct pcidev *dev, const struct window *w, struct probe *p)
{
    int error = 0;

    for (unsigned i = 0; i < bar_count(w) && !error; i++) {
        unsigned reg = bar_register(w, i);

        error = seam_write(dev, reg, 4, i == BERTH_BAR_ROM ? ROM_ADDRESS : ALL_ONES);
        if (!error)
            error = seam_read(dev, reg, 4, &p->mask[i]);
        if (!error)
            error = seam_write(dev, reg, 4, p->value[i]);
    }
    return error;
}

/* All of them, whatever one says. */
static int put_back(struct pcidev *dev, const struct window *w, const struct probe *p)
{
    int error = 0;

    for (unsigned i = 0; i < bar_count(w); i++) {
        int failed = seam_write(dev, bar_register(w, i), 4, p->value[i]);

        error = error ? error : failed;
    }
    return error;
}

/*
 * With decode off: nothing answers at the addresses that come up meanwhile. *@lost: it failed, and
 * the addresses could not be put back.
 */
static int window_size(struct pcidev *dev, const struct window *w, struct bar_set *set, bool *lost)
{
    struct probe p = {.value = {0}};
    int error = read_values(dev, w, &p);

    if (error)
        return error;
    error = read_masks(dev, w, &p);
    if (!error)
        decode(&p, w, set);
    else if (put_back(dev, w, &p))
        *lost = true;
    return error;
}

static int own_size(struct pcidev *dev, bool *lost) REQUIRES(dev->lock)
{
    uint32_t command;
    int error = seam_read(dev, PCI_COMMAND, 2, &command);
    int back = 0;

    if (!error && command & DECODE)
        error = seam_write(dev, PCI_COMMAND, 2, command & ~DECODE);
    if (error)
        return error;
    error = window_size(dev, &own_window, &dev->bars, lost);
    if (command & DECODE)
        back = seam_write(dev, PCI_COMMAND, 2, command);
    if (back && seam_write(dev, PCI_COMMAND, 2, command))
        *lost = true;
    return error ? error : back;
}

/* Addresses alone, for devices that nobody may write to (M07): the sizes stay unknown. */
static int look_at_own(struct pcidev *dev, struct bar_set *set)
{
    struct probe p = {.value = {0}};
    int error = read_values(dev, &own_window, &p);

    for (unsigned i = 0; i <= LAST_BAR && !error; i++) {
        if (p.value[i] == ALL_ONES || is_io(p.value[i]) || (is_wide(p.value[i]) && i == LAST_BAR))
            continue;
        set->address[i] = bar_address(&p, i);
        i += is_wide(p.value[i]);
    }
    return error;
}

/* ---- VFs ---- */

static uint32_t vf_index(const struct pcidev *vf)
{
    const struct pcidev *pf = vf->pf;
    uint32_t first = (sbdf_key(pf->sbdf) & 0xffffu) + atomic_load(&pf->vf_offset);
    uint32_t stride = atomic_load(&pf->vf_stride);

    return stride ? ((sbdf_key(vf->sbdf) & 0xffffu) - first) / stride : 0;
}

/* SR-IOV 1.1, 3.3.14: the VFs' BARs follow one another, from the address in the PF. */
static void vf_place(struct pcidev *vf) REQUIRES(vf->lock)
{
    const struct bar_set *all = vf->pf->vf_bars;

    for (unsigned i = 0; all && i <= LAST_BAR; i++) {
        if (!all->shift[i])
            continue;
        vf->bars.shift[i] = all->shift[i];
        vf->bars.flags[i] = all->flags[i];
        vf->bars.address[i] =
            all->address[i] ? all->address[i] + ((uint64_t)vf_index(vf) << all->shift[i]) : 0;
    }
}

int bars_latch_vfs(struct pcidev *pf, bool *lost)
{
    const struct window w = vf_window(pf);
    int error;

    if (!pf->vf_bars)
        pf->vf_bars = port_alloc(sizeof(*pf->vf_bars));
    if (!pf->vf_bars)
        return -ENOMEM;
    error = window_size(pf, &w, pf->vf_bars, lost);
    for (unsigned i = 0; i <= LAST_BAR; i++) /* memory is all that there is for VFs */
        if (error || pf->vf_bars->flags[i] & BAR_SET_IO)
            forget(pf->vf_bars, i);
    return error;
}

/* ---- all of it ---- */

static bool has_bars(const struct pcidev *dev)
{
    return dev->traits.header_type == 0 && dev->traits.type != PCIDEV_HOST_BRIDGE;
}

/* -ENODATA: the host does not know all of them. */
static int ask_host(struct pcidev *dev, struct bar_set *set)
{
    int error = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT && !error; i++) {
        struct berth_bar bar = {0};

        error = seam_bar_find(dev, i, &bar);
        if (error || (bar.wide && i >= LAST_BAR) || (bar.io && dev->pf)) { /* SR-IOV 1.1, 3.3.14 */
            forget(set, i);
            continue;
        }
        note(set, i, bar.address, bar.size,
             (uint8_t)((bar.io ? BAR_SET_IO : 0) | (bar.wide ? BAR_SET_WIDE : 0) |
                       (bar.prefetchable ? BAR_SET_PREFETCH : 0)));
        if (set->shift[i] && bar.wide)
            forget(set, ++i);
    }
    return error;
}

static int latch_own(struct pcidev *dev, bool *lost) REQUIRES(dev->lock)
{
    if (ask_host(dev, &dev->bars) == 0)
        return 0;
    memset(&dev->bars, 0, sizeof(dev->bars));
    if (dev->pf)
        vf_place(dev);
    else if (dev->traits.reservation != BERTH_RESERVE_NONE)
        return look_at_own(dev, &dev->bars);
    else
        return own_size(dev, lost);
    return 0;
}

int bars_latch(struct pcidev *dev)
{
    bool ignored; /* nobody has the device, or nobody gets it back from this */
    int error = 0;

    if (has_bars(dev) && !(dev->traits.errata & PCIDEV_ERRATUM_JUNK_BARS))
        error = latch_own(dev, &ignored);
    if (error || !dev->traits.cap[CAP_SRIOV] || dev->pf || atomic_load(&dev->enabled_vfs) ||
        dev->traits.reservation != BERTH_RESERVE_NONE)
        return error;
    return bars_latch_vfs(dev, &ignored);
}

static int refresh_own(struct pcidev *dev) REQUIRES(dev->lock)
{
    struct probe p = {.value = {0}};
    int error = read_values(dev, &own_window, &p);

    for (unsigned i = 0; i < BERTH_BAR_COUNT && !error; i++)
        if (dev->bars.shift[i] && p.value[i] != ALL_ONES)
            dev->bars.address[i] = bar_address(&p, i);
    return error;
}

int bars_look(struct pcidev *dev, struct bar_set *set)
{
    memset(set, 0, sizeof(*set));
    if (!has_bars(dev) || dev->traits.errata & PCIDEV_ERRATUM_JUNK_BARS || ask_host(dev, set) == 0)
        return 0;
    memset(set, 0, sizeof(*set));
    return look_at_own(dev, set);
}

int bars_refresh(struct pcidev *dev)
{
    struct bar_set fresh;

    if (!has_bars(dev) || dev->traits.errata & PCIDEV_ERRATUM_JUNK_BARS)
        return 0;
    if (ask_host(dev, &fresh) == 0)
        dev->bars = fresh;
    else if (dev->pf)
        vf_place(dev);
    else
        return refresh_own(dev);
    return 0;
}

int bars_resize(struct pcidev *dev, bool *lost)
{
    struct bar_set known;
    bool changed;
    int error;

    if (!has_bars(dev) || dev->traits.errata & PCIDEV_ERRATUM_JUNK_BARS || dev->pf)
        return 0;
    error = rebar_changed(dev, &changed);
    if (error || !changed || ask_host(dev, &known) == 0)
        return error;
    return own_size(dev, lost);
}

bool bars_same(const struct bar_set *a, const struct bar_set *b)
{
    return memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
           memcmp(a->shift, b->shift, sizeof(a->shift)) == 0 &&
           memcmp(a->flags, b->flags, sizeof(a->flags)) == 0;
}

bool device_bar(const struct pcidev *dev, unsigned index, struct berth_bar *bar)
{
    *bar = (struct berth_bar){.size = 0};
    if (index >= BERTH_BAR_COUNT || !dev->bars.shift[index])
        return false;
    bar->address = dev->bars.address[index];
    bar->size = (uint64_t)1 << dev->bars.shift[index];
    bar->io = (dev->bars.flags[index] & BAR_SET_IO) != 0;
    bar->wide = (dev->bars.flags[index] & BAR_SET_WIDE) != 0;
    bar->prefetchable = (dev->bars.flags[index] & BAR_SET_PREFETCH) != 0;
    return true;
}
