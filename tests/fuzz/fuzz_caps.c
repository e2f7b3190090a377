/* SPDX-License-Identifier: MIT */
/*
 * Capability lists (M43, K13): a function whose lists are anything, with loops, overlaps and sizes
 * that cannot be, is added and lent. The guest's own lists end, stay inside their space, name what
 * Berth emulates and nothing else; what none of them covers reads zero; and whatever the guest
 * writes, the hardware changes where an emulation lets it and nowhere else.
 *
 * The input: a byte of how the function begins, a byte of what can be written, then patches of its
 * config space (two bytes: 12 bits of offset, 4 bits of length - 1; then the bytes).
 */
#include <stdio.h>
#include <string.h>

#include <berth/errno.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/odd.h"

#define LIST_MAX 1024u
#define GUEST_MESSAGE 0x6b6b6b6bu /* what the guest writes everywhere */

static const char tag[] = "fuzz";

struct state {
    struct fuzz_input in;
    struct odd odd;
    struct pcidev *dev;
    struct sbdf seen;
    uint8_t shown[ODD_SPACE];  /* a capability that the guest has may have something here */
    uint8_t passes[ODD_SPACE]; /* and its registers may lead to the hardware's */
    uint8_t before[ODD_SPACE];
};

/* What a capability can at most cover, and which of its bytes are the hardware's too. */
struct extent {
    uint16_t id;
    bool extended;
    uint16_t length;
    struct {
        uint16_t from, end;
    } passes[2];
};

static const struct extent extents[] = {
    {0x01, false, 8, {{4, 6}}},
    {0x03, false, 8, {{2, 8}}},
    {0x05, false, 24, {{2, 24}}},
    {0x09, false, 256, {{0, 0}}},
    {0x10, false, 60, {{8, 12}, {40, 42}}},
    {0x11, false, 12, {{2, 4}}},
    {0x0000, true, 4, {{0, 0}}}, /* leads to the first one */
    {0x0001, true, 72, {{4, 8}, {16, 20}}},
    {0x0010, true, 64, {{8, 10}, {16, 18}}},
    {0x0015, true, 52, {{8, 52}}},
};

static const struct extent *extent_find(bool extended, unsigned id)
{
    for (unsigned i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
        if (extents[i].extended == extended && extents[i].id == id)
            return &extents[i];
    return NULL;
}

/* ---- the function ---- */

static void make_header(struct odd *odd)
{
    odd_put(odd, 0x00, 4, 0x00101234);
    odd_put(odd, 0x06, 2, 0x0010);
    odd_put(odd, 0x08, 4, 0x02000001);
    odd_put(odd, 0x10, 4, 0x0000000c); /* 64 bits, prefetchable */
    odd_put(odd, 0x34, 1, 0x40);
    odd_put(odd, 0x3d, 1, 1);
    memset(&odd->writable[0x12], 0xff, 6); /* BAR 0 has 64 KiB */
}

/* One that has 4 KiB: a PCIe capability at 0x40, PM at 0x7c, an extended list that begins. */
static void make_pcie(struct odd *odd)
{
    odd_put(odd, 0x40, 4, 0x00027c10);
    odd_put(odd, 0x44, 4, 0x10008000);
    odd_put(odd, 0x7c, 4, 0x00030001);
    odd_put(odd, 0x100, 4, 0x00020001);
}

static void make_writable(struct odd *odd, unsigned how)
{
    for (unsigned i = 0x40; i < ODD_SPACE; i++)
        odd->writable[i] = how == 0   ? 0xff
                           : how == 1 ? 0
                                      : (uint8_t)(i * (2 * how + 1) >> 3 ^ i * 29);
    odd->writable[0x04] = odd->writable[0x05] = 0xff;
    odd->writable[0x3c] = 0xff;
}

static void patch(struct state *s)
{
    while (s->in.left >= 2) {
        unsigned where = (unsigned)fuzz_take(&s->in, 2), at = where & 0xfff;

        for (unsigned i = 0; i <= where >> 12 && at + i < ODD_SPACE; i++)
            s->odd.bytes[at + i] = (uint8_t)fuzz_take(&s->in, 1);
    }
}

static void make(struct state *s)
{
    unsigned how = (unsigned)fuzz_take(&s->in, 1);

    if (how & 1)
        make_header(&s->odd);
    if (how & 2)
        make_pcie(&s->odd);
    make_writable(&s->odd, (unsigned)fuzz_take(&s->in, 1) % 8);
    if (how & 4)
        memset(&s->odd.bytes[0x100], 0xff, ODD_SPACE - 0x100);
    patch(s);
}

/* ---- what the guest sees ---- */

static uint64_t get(const struct state *s, unsigned reg, unsigned length)
{
    return berth_domain_config_read(s->odd.guest, s->seen, reg, length);
}

static void put(const struct state *s, unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(s->odd.guest, s->seen, reg, length, value);
}

static void note(struct state *s, const struct extent *extent, unsigned at)
{
    const unsigned end = extent->extended ? ODD_SPACE : 0x100;

    for (unsigned i = at; i < at + extent->length && i < end; i++)
        s->shown[i] = 1;
    for (unsigned p = 0; p < 2; p++)
        for (unsigned i = extent->passes[p].from; i < extent->passes[p].end; i++)
            if (at + i < end)
                s->passes[at + i] = 1;
}

static void walk_standard(struct state *s)
{
    unsigned at = (unsigned)get(s, 0x34, 1), count = 0;

    fuzz_check((at != 0) == (get(s, 0x06, 2) >> 4 & 1));
    for (; at; at = (unsigned)get(s, at + 1, 1)) {
        const struct extent *extent = extent_find(false, (unsigned)get(s, at, 1));

        fuzz_check(at >= 0x40 && at < 0x100 && at % 4 == 0);
        fuzz_check(extent != NULL && count++ < 48);
        note(s, extent, at);
    }
}

static void walk_extended(struct state *s)
{
    uint64_t header = get(s, 0x100, 4);
    unsigned at = header ? 0x100 : 0, count = 0;

    for (; at; at = (unsigned)(header >> 20)) {
        const struct extent *extent;

        fuzz_check(at >= 0x100 && at < ODD_SPACE && at % 4 == 0);
        header = get(s, at, 4);
        extent = extent_find(true, header & 0xffff);
        fuzz_check(extent != NULL && count++ < LIST_MAX);
        fuzz_check(extent->id || at == 0x100);
        note(s, extent, at);
    }
}

static void check_hidden(const struct state *s, unsigned reg, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        if (reg + i >= 0x40 && !s->shown[reg + i] && value >> 8 * i & 0xff) {
            fprintf(stderr, "0x%x is not shown, and reads something\n", reg + i);
            fuzz_fail("nothing hidden is readable", __FILE__, __LINE__);
        }
}

/* Whatever the size of the access the bytes are the same, and nothing hidden is readable (V7). */
static void look(const struct state *s)
{
    for (unsigned reg = 0; reg < ODD_SPACE; reg += 8) {
        uint64_t whole = get(s, reg, 8), bytes = 0;

        check_hidden(s, reg, whole);
        if (!whole && !s->shown[reg] && !s->shown[reg + 7])
            continue;
        for (unsigned i = 0; i < 8; i++)
            bytes |= get(s, reg + i, 1) << 8 * i;
        fuzz_check(whole == bytes);
        fuzz_check((get(s, reg, 4) | get(s, reg + 4, 4) << 32) == whole);
        fuzz_check(get(s, reg + 3, 2) == (whole >> 24 & 0xffff));
    }
}

/* ---- what it can do ---- */

/* The header's share: command, status, and the line, which is a note of software's. */
static bool may_change(const struct state *s, unsigned i)
{
    return i == 0x04 || i == 0x05 || i == 0x06 || i == 0x07 || s->passes[i];
}

static void check_hardware(const struct state *s, const char *when)
{
    for (unsigned i = 0; i < ODD_SPACE; i++)
        if (s->odd.bytes[i] != s->before[i] && !may_change(s, i)) {
            fprintf(stderr, "%s: 0x%x was 0x%02x and is 0x%02x\n", when, i, s->before[i],
                    s->odd.bytes[i]);
            fuzz_fail("the hardware is as it was", __FILE__, __LINE__);
        }
}

/* M30: what is in the hardware's MSI capability is the host's, or nobody's. */
static void check_message(const struct state *s)
{
    unsigned at = (unsigned)get(s, 0x34, 1);

    for (unsigned i = 0; at && i < 48; i++, at = (unsigned)get(s, at + 1, 1))
        if (get(s, at, 1) == 0x05 && odd_get(&s->odd, at + 4, 4) == (GUEST_MESSAGE & ~3u))
            fuzz_check(odd_get(&s->odd, at + 4, 4) ==
                       (uint32_t)(s->before[at + 4] | s->before[at + 5] << 8 |
                                  s->before[at + 6] << 16 | (uint32_t)s->before[at + 7] << 24));
}

static bool answers(const struct state *s)
{
    return berth_domain_answers(s->odd.guest, s->seen);
}

static void write_all(const struct state *s, uint64_t value, unsigned length)
{
    for (unsigned reg = 0; reg + length <= ODD_SPACE && answers(s); reg += length)
        put(s, reg, length, value);
}

static void use(struct state *s)
{
    fuzz_check(berth_domain_address(s->dev, &s->seen) == 0);
    memcpy(s->before, s->odd.bytes, sizeof(s->before));
    walk_standard(s);
    walk_extended(s);
    look(s);
    check_hardware(s, "reading");
    write_all(s, GUEST_MESSAGE * UINT64_C(0x100000001), 4);
    check_hardware(s, "writing a pattern");
    check_message(s);
    if (answers(s))
        look(s);
    write_all(s, UINT64_MAX, 8);
    check_hardware(s, "writing ones");
    write_all(s, 0, 8);
    check_hardware(s, "writing zeros");
    if (!answers(s))
        return;
    walk_standard(s);
    walk_extended(s);
    look(s);
}

/* One that becomes another device by what is written to it is broken, and taken all the same. */
static void lend(struct state *s)
{
    struct pcidev_info info;
    int error = pcidev_assign(s->dev, s->odd.guest, NULL);

    if (!error) {
        use(s);
        error = pcidev_deassign(s->dev, s->odd.guest, NULL);
    }
    pcidev_snapshot(s->dev, &info);
    fuzz_check(!error || info.broken || info.owner_kind != BERTH_DOMAIN_GUEST);
    fuzz_check(!s->odd.bindings && !s->odd.mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state s;

    memset(&s, 0, sizeof(s));
    s.in = (struct fuzz_input){data, size};
    make(&s);
    odd_up(&s.odd);
    if (pcidev_add(s.odd.machine, odd_at, NULL, NULL) == 0) {
        s.dev = pcidev_find(s.odd.machine, odd_at, tag);
        lend(&s);
        fuzz_port_step();
        fuzz_check(pcidev_remove(s.dev, PCIDEV_REMOVE_FORCE, NULL) == 0);
        pcidev_put(s.dev, tag);
    }
    fuzz_check(!s.odd.claims);
    odd_down(&s.odd);
    fuzz_port_check(0);
    return 0;
}
