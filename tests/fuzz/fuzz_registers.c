/* SPDX-License-Identifier: MIT */
/*
 * The register engine (M40): registers come and go, are read and written by 1, 2, 4 and 8 bytes at
 * any offset, are reset and change hands. The model beside it knows single bytes only: no access is
 * ever merged or split there.
 *
 * The device is a guest's, where a gap is reserved; or the hardware domain's, where it passes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <berth/errno.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/odd.h"

#define PCIE_CAP 0x80u /* and 60 bytes from there on are not looked at */
#define REGISTERS 64u
#define READ_TWIST 0xa5a5a5a5u  /* a read hook turns these bits over */
#define WRITE_LATCH 0xf0f0f0f0u /* and a write hook never lets these become 0 again */

static const char tag[] = "fuzz";

/* One byte of config space as its owner has it. */
struct byte {
    uint8_t rw, rw1c, value, initial;
    bool covered, twists, latches;
};

struct state {
    struct fuzz_input in;
    struct odd odd;
    struct pcidev *dev;
    struct berth_domain *owner;
    struct sbdf seen;
    bool is_guest;
    bool viewed; /* a guest always has a view; the hardware domain, from its first register on */
    struct byte model[ODD_SPACE];
    struct berth_register desc[REGISTERS];
    unsigned count;
    size_t live; /* pieces of memory between two inputs */
};

/* ---- hooks ---- */

static uint32_t ones(unsigned size)
{
    return size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static uint32_t twist(void *context, unsigned reg, uint32_t stored)
{
    const struct berth_register *desc = context;

    fuzz_check(reg == desc->offset && !(stored & ~ones(desc->size)));
    return (stored ^ READ_TWIST) & ones(desc->size);
}

static uint32_t latch(void *context, unsigned reg, uint32_t stored, uint32_t value,
                      uint32_t cleared)
{
    const struct berth_register *desc = context;

    fuzz_check(reg == desc->offset && !(cleared & ~desc->rw1c) && !(value & cleared));
    return value | (stored & WRITE_LATCH & ones(desc->size));
}

/* ---- the model ---- */

static uint8_t model_read(const struct state *s, unsigned at)
{
    const struct byte *b = &s->model[at];

    if (!b->covered)
        return s->is_guest ? 0 : s->odd.bytes[at];
    return b->twists ? b->value ^ (uint8_t)READ_TWIST : b->value;
}

static void model_write(struct state *s, unsigned at, uint8_t written)
{
    struct byte *b = &s->model[at];
    uint8_t value = (uint8_t)((b->value & ~b->rw) | (written & b->rw));

    if (!b->covered)
        return;
    value &= (uint8_t) ~(written & b->rw1c);
    b->value = b->latches ? value | (b->value & (uint8_t)WRITE_LATCH) : value;
}

/* What the hardware will hold where the write passes. */
static uint8_t hardware_written(const struct state *s, unsigned at, uint8_t written)
{
    const uint8_t mask = s->odd.writable[at], old = s->odd.bytes[at];

    if (s->is_guest || s->model[at].covered)
        return old;
    return (uint8_t)((old & ~mask) | (written & mask));
}

static bool bits_are_fine(const struct berth_register *d)
{
    for (unsigned i = 0; i < 32; i++) {
        unsigned classes = (d->ro >> i & 1) + (d->rw >> i & 1) + (d->rw1c >> i & 1) +
                           (d->rsvdp >> i & 1) + (d->rsvdz >> i & 1);
        bool reset = d->reset >> i & 1;

        if (classes > 1 || (classes && i >= 8u * d->size))
            return false;
        if (reset && (!classes || d->rsvdz >> i & 1))
            return false;
    }
    return true;
}

static int model_add(struct state *s, const struct berth_register *d)
{
    const unsigned at = d->offset;

    if ((d->size != 1 && d->size != 2 && d->size != 4) || at % d->size)
        return -EINVAL;
    if (at + d->size > ODD_SPACE || !bits_are_fine(d))
        return -EINVAL;
    s->viewed = true;
    for (unsigned i = 0; i < d->size; i++)
        if (s->model[at + i].covered)
            return -EEXIST;
    for (unsigned i = 0; i < d->size; i++) {
        const uint8_t reset = (uint8_t)(d->reset >> 8 * i);

        s->model[at + i] = (struct byte){.covered = true,
                                         .rw = (uint8_t)(d->rw >> 8 * i),
                                         .rw1c = (uint8_t)(d->rw1c >> 8 * i),
                                         .value = reset,
                                         .initial = reset,
                                         .twists = d->read != NULL,
                                         .latches = d->write != NULL};
    }
    return 0;
}

/* ---- steps ---- */

/* Around the border of two pages, at the end, and where nothing else is for most of the time. */
static unsigned take_place(struct state *s)
{
    unsigned byte = (unsigned)fuzz_take(&s->in, 1);

    if (byte < 128)
        return 0xf0 + byte % 32;
    return byte < 192 ? 0xff0 + byte % 16 : 0x40 + byte % 16;
}

static void step_add(struct state *s)
{
    static const uint8_t sizes[] = {1, 2, 4, 4, 2, 1, 4, 3};
    struct berth_register *d = &s->desc[s->count];
    uint32_t a, b, c;
    unsigned how = (unsigned)fuzz_take(&s->in, 1);
    int expected;

    *d = (struct berth_register){.offset = (uint16_t)take_place(s), .size = sizes[how & 7]};
    a = (uint32_t)fuzz_take(&s->in, 4);
    b = (uint32_t)fuzz_take(&s->in, 4);
    c = (uint32_t)fuzz_take(&s->in, 4);
    d->ro = a & b & ones(d->size);
    d->rw = a & ~b & ones(d->size);
    d->rw1c = ~a & b & ones(d->size);
    d->rsvdp = ~a & ~b & c & ones(d->size);
    d->rsvdz = ~a & ~b & ~c & ones(d->size);
    d->reset = (uint32_t)fuzz_take(&s->in, 4);
    if (how & 0x08)
        d->read = twist;
    if (how & 0x10)
        d->write = latch;
    if (how & 0x20)
        d->rsvdp ^= (uint32_t)fuzz_take(&s->in, 4); /* masks that nobody should pass */
    else
        d->reset &= d->ro | d->rw | d->rw1c | d->rsvdp;
    if (s->count == REGISTERS)
        return;
    expected = model_add(s, d);
    fuzz_check(berth_register_add(s->dev, d, d) == expected);
    s->count += !expected;
}

/* Whole registers only: what is covered up to an edge must not go on behind it. */
static int model_removable(const struct state *s, unsigned at, unsigned end)
{
    bool any = false;

    if (at >= end || end > ODD_SPACE)
        return -EINVAL;
    if (!s->viewed)
        return -ENODEV;
    for (unsigned i = 0; i < s->count; i++) {
        const struct berth_register *d = &s->desc[i];
        unsigned last = d->offset + d->size;

        if (!d->size || last <= at || d->offset >= end)
            continue;
        if (d->offset < at || last > end)
            return -EINVAL;
        any = true;
    }
    return any ? 0 : -ENOENT;
}

static void forget(struct state *s, unsigned at, unsigned end)
{
    memset(&s->model[at], 0, (end - at) * sizeof(s->model[0]));
    for (unsigned i = 0; i < s->count; i++)
        if (s->desc[i].offset >= at && s->desc[i].offset < end)
            s->desc[i].size = 0;
}

static void step_remove(struct state *s)
{
    unsigned at = take_place(s), length = fuzz_pick(&s->in, 24);
    int expected = model_removable(s, at, at + length);

    fuzz_check(berth_register_remove(s->dev, at, length) == expected);
    if (!expected)
        forget(s, at, at + length);
}

static void expect(const struct state *s, unsigned at, unsigned length)
{
    uint64_t value = berth_domain_config_read(s->owner, s->seen, at, length), expected = 0;

    for (unsigned i = 0; i < length; i++)
        expected |= (uint64_t)(at + length > ODD_SPACE ? 0xff : model_read(s, at + i)) << 8 * i;
    if (value != expected)
        fprintf(stderr, "%u bytes at 0x%x: 0x%" PRIx64 ", and not 0x%" PRIx64 "\n", length, at,
                value, expected);
    fuzz_check(value == expected);
}

static void step_read(struct state *s)
{
    unsigned at = take_place(s);

    expect(s, at, 1u << fuzz_pick(&s->in, 4));
}

static void step_write(struct state *s)
{
    unsigned at = take_place(s), length = 1u << fuzz_pick(&s->in, 4);
    uint64_t value = fuzz_take(&s->in, length);
    uint8_t hardware[8];

    for (unsigned i = 0; i < length && at + length <= ODD_SPACE; i++) {
        hardware[i] = hardware_written(s, at + i, (uint8_t)(value >> 8 * i));
        model_write(s, at + i, (uint8_t)(value >> 8 * i));
    }
    berth_domain_config_write(s->owner, s->seen, at, length, value);
    if (at + length > ODD_SPACE)
        return;
    fuzz_check(!memcmp(hardware, &s->odd.bytes[at], length));
    expect(s, at, length);
}

/* The host's reset leaves the guest what it has set up; its own one (FLR) is power-on for it. */
static void step_reset(struct state *s)
{
    if (!s->is_guest || fuzz_pick(&s->in, 2)) {
        fuzz_check(pcidev_reset(s->dev, NULL) == 0);
        return;
    }
    berth_domain_config_write(s->owner, s->seen, PCIE_CAP + 8, 2, 0x8000);
    for (unsigned i = 0; i < ODD_SPACE; i++)
        s->model[i].value = s->model[i].initial;
}

static void lend(struct state *s)
{
    s->seen = odd_at;
    s->viewed = s->is_guest;
    if (!s->is_guest)
        return;
    fuzz_check(pcidev_assign(s->dev, s->owner, NULL) == 0);
    fuzz_check(berth_domain_address(s->dev, &s->seen) == 0);
}

/* It changes hands, and registers go with the owner. */
static void step_change_hands(struct state *s)
{
    struct berth_domain *quarantine = berth_machine_quarantine(s->odd.machine);

    if (s->is_guest)
        fuzz_check(pcidev_deassign(s->dev, s->owner, NULL) == 0);
    else
        fuzz_check(pcidev_assign(s->dev, quarantine, NULL) == 0);
    fuzz_check(berth_domain_config_read(s->owner, s->seen, 0, 4) == UINT32_MAX);
    if (!s->is_guest)
        fuzz_check(pcidev_assign(s->dev, s->owner, NULL) == 0);
    lend(s);
    forget(s, 0, ODD_SPACE);
    s->count = 0;
}

static void step_look(struct state *s)
{
    for (unsigned at = 0x40; at < 0x50; at++)
        expect(s, at, 1);
    for (unsigned at = 0xec; at < 0x114; at++)
        expect(s, at, 1u << at % 4);
    for (unsigned at = 0xff0; at < ODD_SPACE; at++)
        expect(s, at, 1);
}

static void (*const steps[])(struct state *s) = {
    step_add,  step_write,        step_read,  step_write, step_add,    step_write,
    step_read, step_look,         step_read,  step_write, step_remove, step_read,
    step_read, step_change_hands, step_reset, step_write,
};

/* ---- one input ---- */

static void hardware_fill(struct odd *odd)
{
    for (unsigned i = 0x40; i < ODD_SPACE; i++) {
        odd->bytes[i] = (uint8_t)(i * 37 + 11);
        odd->writable[i] = (uint8_t)(i * 101 + 7);
    }
    odd_put(odd, 0x00, 4, 0x00101234);
    odd_put(odd, 0x06, 2, 0x0010);
    odd_put(odd, 0x08, 4, 0x02000001);
    odd_put(odd, 0x34, 1, PCIE_CAP);
    odd_put(odd, PCIE_CAP, 4, 0x00020010); /* what has 4 KiB of config space says so by this one */
    odd_put(odd, PCIE_CAP + 4, 4, 0x10008000);
    odd_put(odd, 0x100, 4, 0);
    odd->writable[0x04] = 0x07;
}

/* Machine and device stay for all inputs; what one of them adds goes with the owner. */
static void set_up(struct state *s)
{
    hardware_fill(&s->odd);
    odd_up(&s->odd);
    fuzz_check(pcidev_add(s->odd.machine, odd_at, NULL, NULL) == 0);
    s->dev = pcidev_find(s->odd.machine, odd_at, tag);
    s->is_guest = true;
    s->owner = s->odd.guest;
    lend(s); /* gives the guest its bus */
    fuzz_check(pcidev_deassign(s->dev, s->owner, NULL) == 0);
    fuzz_port_step();
    s->live = fuzz_port_live();
}

static void begin(struct state *s)
{
    hardware_fill(&s->odd);
    memset(s->model, 0, sizeof(s->model));
    s->count = 0;
    s->is_guest = fuzz_pick(&s->in, 2);
    s->owner = s->is_guest ? s->odd.guest : berth_machine_hwdom(s->odd.machine);
    if (!s->is_guest)
        fuzz_check(pcidev_assign(s->dev, s->owner, NULL) == 0);
    lend(s);
}

static void end(struct state *s)
{
    step_look(s);
    if (s->is_guest)
        fuzz_check(pcidev_deassign(s->dev, s->owner, NULL) == 0);
    else
        fuzz_check(pcidev_assign(s->dev, berth_machine_quarantine(s->odd.machine), NULL) == 0);
    fuzz_check(!s->odd.mapped && s->odd.bindings == 0);
    fuzz_port_check(s->live);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state s;

    if (!s.dev)
        set_up(&s);
    s.in = (struct fuzz_input){data, size};
    begin(&s);
    while (s.in.left) {
        steps[fuzz_pick(&s.in, sizeof(steps) / sizeof(steps[0]))](&s);
        fuzz_port_step();
    }
    end(&s);
    return 0;
}
