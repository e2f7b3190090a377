/* SPDX-License-Identifier: MIT */
/*
 * A CPU touches a BAR: by address and decode bits, and in the core's name with a claim.
 */
#include <berth/errno.h>

#include "host/sim/sim_internal.h"

/* One access. Registers belong to the BAR, wherever it is moved. */
struct touch {
    struct sim_function *function;
    unsigned bar, length;
    uint64_t offset;
};

static bool bar_answers(struct sim_function *f, const struct sim_range *r, uint64_t address)
{
    switch (sim_answer(f)) {
    case SIM_ANSWER_YES:
        break;
    case SIM_ANSWER_RESETTING:
        sim_count(&f->tally.resetting);
        return false;
    default:
        sim_count(&f->tally.vanished);
        return false;
    }
    /* Neither decodes in D1 to D3: PCI PM 1.2, 5.4. */
    if (!r->decoded || sim_power_state(f)) {
        sim_count(&f->tally.decode_off);
        return false;
    }
    return !atomic_load(&f->failed) && sim_range_reached(f, r, address);
}

static uint64_t ones(unsigned length)
{
    return UINT64_MAX >> (64 - 8 * length);
}

static uint64_t read_bytes(const struct touch *t)
{
    unsigned shift = 8 * (t->offset & 3);
    uint64_t value;

    pthread_mutex_lock(&t->function->lock);
    value = sim_bar_word(t->function, t->bar, t->offset & ~UINT64_C(3));
    if (t->length == 8)
        value |= (uint64_t)sim_bar_word(t->function, t->bar, t->offset + 4) << 32;
    pthread_mutex_unlock(&t->function->lock);
    return value >> shift & ones(t->length);
}

static void write_bytes(struct sim *sim, const struct touch *t, uint64_t value)
{
    unsigned shift = 8 * (t->offset & 3);
    uint64_t mask = ones(t->length) << shift;

    pthread_mutex_lock(&t->function->lock);
    sim_bar_set_word(t->function, t->bar, t->offset & ~UINT64_C(3), (uint32_t)(value << shift),
                     (uint32_t)mask);
    if (t->length == 8)
        sim_bar_set_word(t->function, t->bar, t->offset + 4, (uint32_t)(value >> 32), UINT32_MAX);
    pthread_mutex_unlock(&t->function->lock);
    sim_interrupts_flush(sim, t->function);
}

static bool is_access(const struct touch *t, const struct sim_range *r)
{
    bool power = t->length == 1 || t->length == 2 || t->length == 4 || t->length == 8;

    /* No CPU has I/O instructions of 8 bytes. */
    return power && !(r->io && t->length == 8) && t->offset % t->length == 0 && t->offset < r->size;
}

static int touch(struct sim *sim, const struct touch *t, bool write, uint64_t *value)
{
    struct sim_range r = {0};
    int error = sim_range_find(t->function, t->bar, &r);

    if (error)
        return error;
    if (!is_access(t, &r))
        return -EINVAL;
    if (!bar_answers(t->function, &r, r.start + t->offset)) {
        if (!write)
            *value = ones(t->length);
    } else if (write) {
        write_bytes(sim, t, *value);
    } else {
        *value = read_bytes(t);
    }
    return 0;
}

int sim_bar_access(struct sim *sim, struct sbdf sbdf, unsigned bar, uint64_t offset, bool write,
                   uint32_t *value)
{
    struct touch t = {sim_find(sim, sbdf), bar, 4, offset};
    uint64_t wide = write ? *value : 0;
    int error;

    if (!t.function)
        return -ENODEV;
    error = touch(sim, &t, write, &wide);
    if (!error && !write)
        *value = (uint32_t)wide;
    return error;
}

/* ---- for the core ---- */

static int op_find(void *host, berth_claim claim, unsigned index, struct berth_bar *bar)
{
    struct sim_function *f = sim_claimed(host, claim);
    struct sim_range r;

    *bar = (struct berth_bar){0};
    if (!f)
        return -ENODATA;
    if (sim_range_find(f, index, &r))
        return 0;
    *bar = (struct berth_bar){
        .address = r.start,
        .size = r.size,
        .io = r.io,
        .wide = r.wide,
        .prefetchable = r.prefetch,
    };
    return 0;
}

static int op_read(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                   uint64_t *value)
{
    struct sim *sim = host;
    struct touch t = {sim_claimed(sim, claim), index, length, offset};
    int error = sim_planned(sim, SIM_OP_BAR_READ);

    sim_count(t.function ? &t.function->tally.bar_reads : &sim->strays.bar_reads);
    *value = UINT64_MAX;
    if (error || !t.function)
        return error;
    return touch(sim, &t, false, value);
}

static int op_write(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                    uint64_t value)
{
    struct sim *sim = host;
    struct touch t = {sim_claimed(sim, claim), index, length, offset};
    int error = sim_planned(sim, SIM_OP_BAR_WRITE);

    sim_count(t.function ? &t.function->tally.bar_writes : &sim->strays.bar_writes);
    if (error || !t.function)
        return error;
    return touch(sim, &t, true, &value);
}

const struct berth_bar_ops sim_bar_ops = {
    .find = op_find,
    .read = op_read,
    .write = op_write,
};
