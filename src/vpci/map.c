/* SPDX-License-Identifier: MIT */
/*
 * From what a guest's registers say to what it can reach (M42).
 *
 *                 the guest writes 1              all BARs mapped
 *   bit reads 0 ─────────────────────► wished ─────────────────────► bit reads 1
 *        ▲                               │                              │ the guest writes 0
 *        │    all BARs unmapped          ▼  refused, failed, taken back ▼
 *        └──────────────────────────── not wished ◄─────────────────────┘
 *                                        │ cannot be unmapped
 *                                        └─► stuck: the bit stays as it is, until asked again
 *
 * The decode bits IO and MEMORY are kinds: the BARs of one kind come and go together. A BAR has its
 * range in the guest's address space first, so that no other one gets there, then its pieces from
 * the start on, and answers when the whole kind does. It goes the other way round. Pages are mapped
 * in D0 only (M14). The ROM is trapped, and its BAR has a bit of its own.
 */
#include "src/vpci/bar.h"

static const uint16_t kinds[] = {PCI_COMMAND_IO, PCI_COMMAND_MEMORY};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static struct vbus *bus_of(const struct vpci *v)
{
    return atomic_load_explicit(&v->domain->vbus, memory_order_acquire);
}

static bool is_of(const struct vpci *v, unsigned index, uint16_t kind) REQUIRES(v->lock)
{
    return index != BERTH_BAR_ROM && bar_kind(v, index) == kind;
}

/* ---- pieces ---- */

/* Pages that are mapped in one go: of one cell of the piece size, between trapped ones. */
struct run {
    uint64_t start, end; /* empty: there is none */
};

static bool is_trapped(const struct vpci *v, unsigned index, uint64_t offset)
{
    return vpci_msix_traps(v, index, offset);
}

static struct run run_after(const struct vpci *v, unsigned index, uint64_t from) REQUIRES(v->lock)
{
    uint64_t cell = bus_of(v)->config.piece_size, size = v->bar[index].size, stop;
    struct run run;

    while (from < size && is_trapped(v, index, from))
        from += BERTH_PAGE_SIZE;
    stop = (from / cell + 1) * cell;
    if (stop > size)
        stop = size;
    run.start = run.end = from;
    while (run.end < stop && !is_trapped(v, index, run.end))
        run.end += BERTH_PAGE_SIZE;
    return run;
}

/* The same run from its other end. */
static struct run run_before(const struct vpci *v, unsigned index, uint64_t from) REQUIRES(v->lock)
{
    uint64_t cell = bus_of(v)->config.piece_size, stop;
    struct run run;

    while (from > 0 && is_trapped(v, index, from - BERTH_PAGE_SIZE))
        from -= BERTH_PAGE_SIZE;
    stop = from ? (from - 1) / cell * cell : 0;
    run.start = run.end = from;
    while (run.start > stop && !is_trapped(v, index, run.start - BERTH_PAGE_SIZE))
        run.start -= BERTH_PAGE_SIZE;
    return run;
}

static struct berth_piece piece_of(const struct vpci *v, unsigned index, const struct run *run)
    REQUIRES(v->lock)
{
    const struct vpci_bar *b = &v->bar[index];

    return (struct berth_piece){
        .dev = v->dev,
        .bar = index,
        .offset = run->start,
        .host = b->host + run->start,
        .guest = b->placed + run->start,
        .length = run->end - run->start,
        .prefetchable = b->prefetchable,
    };
}

/* Both: 1 when a piece was done, 0 when none is left, or the embedder's error. */
static int bar_map_piece(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[index];
    const struct run run = b->mapped ? run_after(v, index, b->done) : (struct run){0, 0};
    const struct berth_piece piece = piece_of(v, index, &run);
    int error;

    if (!piece.length)
        return 0;
    error = bus_of(v)->config.ops->map(bus_of(v)->config.context, &piece);
    if (error < 0)
        return error;
    b->done = run.end;
    return 1;
}

static int bar_unmap_piece(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[index];
    const struct run run = b->done ? run_before(v, index, b->done) : (struct run){0, 0};
    const struct berth_piece piece = piece_of(v, index, &run);
    int error;

    if (!piece.length) {
        b->done = 0;
        return 0;
    }
    error = bus_of(v)->config.ops->unmap(bus_of(v)->config.context, &piece);
    if (error < 0)
        return error;
    b->done = run.start;
    return 1;
}

/* ---- one BAR ---- */

/* Whole pages of memory, where the guest's VMM can both map them and take them back (M48). */
static bool bar_is_mapped(const struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    const struct berth_view_ops *ops = vpci_ops(v);
    const struct vpci_bar *b = &v->bar[index];

    return ops && ops->map && ops->unmap && index != BERTH_BAR_ROM && !b->io &&
           b->size >= BERTH_PAGE_SIZE && b->host % BERTH_PAGE_SIZE == 0;
}

static bool address_is_fine(const struct vpci_range *range, bool io)
{
    return range->start && range->start % range->length == 0 &&
           range->start + range->length > range->start &&
           (!io || range->start + range->length <= 0x10000);
}

static int bar_reserve(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[index];
    const struct vpci_range range = {bar_programmed(v, index), b->size, v, index};
    int error = address_is_fine(&range, b->io) ? 0 : -EINVAL;

    if (!error)
        error = vpci_range_add(bus_of(v), b->io, &range);
    if (error)
        return error;
    b->placed = b->guest = range.start;
    b->mapped = bar_is_mapped(v, index);
    b->decoded = true;
    return 0;
}

static void bar_answer(struct vpci *v, unsigned index, bool answers)
{
    if (answers)
        atomic_fetch_or_explicit(&v->answering, 1u << index, memory_order_release);
    else
        atomic_fetch_and_explicit(&v->answering, ~(1u << index), memory_order_release);
}

static void bar_release(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[index];

    bar_answer(v, index, false);
    if (b->decoded)
        vpci_range_remove(bus_of(v), b->io, b->placed);
    b->decoded = false;
}

static int bar_unmap(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    int result;

    do
        result = bar_unmap_piece(v, index);
    while (result > 0);
    return result;
}

void vpci_undecode(struct vpci *v)
{
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        bar_release(v, i);
}

/* ---- the ROM ---- */

/*
 * A device may stop decoding its BARs while its ROM is enabled (PCI 3.0, 6.2.5.2): the hardware has
 * the bit for as long as the guest has it.
 */
static int rom_switch(struct vpci *v, bool on)
{
    uint32_t old, new;
    int error = seam_read(v->dev, PCI_ROM, 4, &old);

    if (error || old == 0xffffffff)
        return error;
    new = on ? old | ROM_ENABLE : old & ~ROM_ENABLE;
    return new == old ? 0 : seam_write(v->dev, PCI_ROM, 4, new);
}

/* Those who read it meanwhile have left before it decodes no longer (M14). */
static int rom_silence(struct vpci *v) REQUIRES(v->lock)
{
    int error;

    bar_answer(v, BERTH_BAR_ROM, false);
    error = vpci_bars_drain(v);
    return error ? error : rom_switch(v, false);
}

static bool rom_is_wanted(const struct vpci *v) REQUIRES(v->lock)
{
    return v->bar[BERTH_BAR_ROM].size && vpci_stored(v, PCI_ROM, 4) & ROM_ENABLE &&
           v->wished & vpci_command(v) & PCI_COMMAND_MEMORY;
}

static void rom_off(struct vpci *v) REQUIRES(v->lock)
{
    int error;

    if (!v->bar[BERTH_BAR_ROM].decoded)
        return;
    error = rom_silence(v);
    bar_release(v, BERTH_BAR_ROM);
    if (error)
        vpci_complain(v, "disable ROM", error);
}

static int rom_on(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[BERTH_BAR_ROM];
    int error = b->decoded ? 0 : bar_reserve(v, BERTH_BAR_ROM);

    if (!error)
        error = rom_switch(v, true);
    if (!error) {
        bar_answer(v, BERTH_BAR_ROM, true);
        return 0;
    }
    bar_release(v, BERTH_BAR_ROM);
    vpci_store(v, PCI_ROM, 4, vpci_stored(v, PCI_ROM, 4) & ~ROM_ENABLE);
    vpci_complain(v, "enable ROM", error);
    return error;
}

static int rom_follow(struct vpci *v) REQUIRES(v->lock)
{
    const struct vpci_bar *b = &v->bar[BERTH_BAR_ROM];

    if (!rom_is_wanted(v) || b->placed != bar_programmed(v, BERTH_BAR_ROM))
        rom_off(v);
    return rom_is_wanted(v) ? rom_on(v) : 0;
}

/* ---- BARs of one kind ---- */

static void kind_set(struct vpci *v, uint16_t kind, bool on)
{
    uint32_t command = vpci_command(v);

    vpci_store(v, PCI_COMMAND, 2, on ? command | kind : command & ~(uint32_t)kind);
}

/* Not tried again before the guest or a transition asks; a bit that was on stays on (M42). */
static int kind_stuck(struct vpci *v, uint16_t kind, int error) REQUIRES(v->lock)
{
    v->stuck |= kind;
    v->wished |= vpci_command(v) & kind;
    vpci_complain(v, "unmap BAR", error);
    return error;
}

/* The next piece of any BAR of the kind. */
static int kind_piece(struct vpci *v, uint16_t kind, int (*piece)(struct vpci *v, unsigned index))
    REQUIRES(v->lock)
{
    int result = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT && !result; i++)
        if (is_of(v, i, kind))
            result = piece(v, i);
    return result;
}

/* Both: 1 when a piece was done, 0 when it is off (on), or an error. */
static int kind_off(struct vpci *v, uint16_t kind) REQUIRES(v->lock)
{
    int result = kind_piece(v, kind, bar_unmap_piece);

    if (result < 0)
        return kind_stuck(v, kind, result);
    if (result > 0)
        return result;
    if (kind == PCI_COMMAND_MEMORY)
        rom_off(v);
    kind_set(v, kind, false);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        if (is_of(v, i, kind))
            bar_release(v, i);
    return 0;
}

static int kind_reserve(struct vpci *v, uint16_t kind) REQUIRES(v->lock)
{
    int error = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT && !error; i++)
        if (is_of(v, i, kind) && !v->bar[i].decoded)
            error = bar_reserve(v, i);
    return error;
}

/* What was refused or failed is taken back by kind_off(), in pieces as well. */
static int kind_refused(struct vpci *v, uint16_t kind, int error) REQUIRES(v->lock)
{
    v->wished &= (uint16_t)~kind;
    vpci_complain(v, "map BAR", error);
    return error;
}

/* M14: asleep, nothing is mapped, and all of it reads ones. */
static int kind_map(struct vpci *v, uint16_t kind) REQUIRES(v->lock)
{
    int result;

    if (vpci_bars_answer(v)) {
        result = kind_piece(v, kind, bar_map_piece);
        return result < 0 ? kind_refused(v, kind, result) : result;
    }
    result = kind_piece(v, kind, bar_unmap_piece);
    return result < 0 ? kind_stuck(v, kind, result) : result;
}

static int kind_on(struct vpci *v, uint16_t kind) REQUIRES(v->lock)
{
    int result = kind_reserve(v, kind);

    if (result)
        return kind_refused(v, kind, result);
    result = kind_map(v, kind);
    if (result)
        return result;
    kind_set(v, kind, true);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        if (is_of(v, i, kind))
            bar_answer(v, i, true);
    return 0;
}

/* ---- all of it ---- */

/* One step for the kinds that are wished, or not; @error keeps the first one. As kind_off(). */
static int kinds_step(struct vpci *v, bool wished, int *error) REQUIRES(v->lock)
{
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        int result = 0;

        if (!(v->stuck & kinds[i]) && !(v->wished & kinds[i]) == !wished)
            result = wished ? kind_on(v, kinds[i]) : kind_off(v, kinds[i]);
        if (result < 0 && !*error)
            *error = result;
        if (result)
            return result;
    }
    return 0;
}

/*
 * It ends: a step does a piece, or a kind is no longer wished, or is stuck. What goes off goes
 * before anything comes on, which may be meant for the same place.
 */
static int decode_step(struct vpci *v, int *error) REQUIRES(v->lock)
{
    if (kinds_step(v, false, error) || kinds_step(v, true, error))
        return -EAGAIN;
    (void)rom_follow(v); /* its enable bit says how it went */
    return 0;
}

int vpci_decode_step(struct vpci *v)
{
    int error = 0;

    return decode_step(v, &error);
}

/*
 * The ranges stay: until the view is back or gone, the guest reads all ones there (K09), and
 * nothing else is put in their place.
 */
int vpci_unmap_all(struct vpci *v)
{
    int error = 0, result;

    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++) {
        result = bar_unmap(v, i);
        if (result && !error)
            error = result;
    }
    if (!v->bar[BERTH_BAR_ROM].size)
        return error;
    result = rom_silence(v); /* also where rom_off() could not */
    return error ? error : result;
}

/* ---- BARs that a PF places ---- */

static int placed_on(struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    struct vpci_bar *b = &v->bar[index];
    int error = b->decoded ? 0 : bar_reserve(v, index), result = 1;

    while (!error && result > 0 && vpci_bars_answer(v)) {
        result = bar_map_piece(v, index);
        error = result < 0 ? result : 0;
    }
    if (!error) {
        bar_answer(v, index, true);
        return 0;
    }
    vpci_complain(v, "map BAR of VF", error);
    b->enabled = false;
    result = bar_unmap(v, index);
    if (result)
        vpci_complain(v, "unmap BAR", result);
    else
        bar_release(v, index);
    return error;
}

int vpci_bar_place(struct vpci *v, unsigned index, uint64_t guest, bool on)
{
    struct vpci_bar *b = &v->bar[index];
    int error = 0;

    if (index >= BERTH_BAR_ROM || !b->size || !v->pf_places)
        return -EINVAL;
    if (b->decoded && (!on || b->placed != guest)) {
        error = bar_unmap(v, index);
        if (error)
            return error;
        bar_release(v, index);
    }
    b->guest = guest;
    b->enabled = on;
    return on && v->published ? placed_on(v, index) : 0;
}

/* ---- after a transition ---- */

/*
 * What was on comes back first. What was under way goes on if its operation does, which is told by
 * the generation (V6); an error here is never one of what the guest had only asked for.
 */
int vpci_map_all(struct vpci *v)
{
    uint16_t wished = v->wished, on = vpci_command(v) & COMMAND_DECODE;
    int error = 0;

    v->wished = on;
    v->stuck = 0;
    while (decode_step(v, &error) == -EAGAIN)
        continue;
    if (error) /* the way back of a transition tries the same again (R7) */
        vpci_store(v, PCI_COMMAND, 2, vpci_command(v) | on);
    if (!error && v->generation == pcidev_generation(v->dev))
        v->wished = wished;
    for (unsigned i = 0; i < BERTH_BAR_ROM; i++) {
        int result = v->pf_places && v->bar[i].enabled ? placed_on(v, i) : 0;

        error = error ? error : result;
    }
    return error;
}
