/* SPDX-License-Identifier: MIT */
#include "tests/unit/guest_maps.h"

#include <string.h>

#define COMMAND 4
#define STATUS 6
#define BARS 0x10
#define BARS_END 0x28
#define STATUS_ERRORS 0xf900u

/* ---- what is mapped ---- */

/* True where this call is the one that fails. */
static bool counts_down(const struct guest_maps *maps, unsigned *nth)
{
    if (!*nth || --*nth)
        return false;
    if (maps->fail_for_ever)
        *nth = 1;
    return true;
}

static bool overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a < b + b_length && b < a + a_length;
}

static int piece_map(void *context, const struct berth_piece *piece)
{
    struct guest_maps *maps = context;

    assert_true(piece->length && piece->guest);
    assert_int_equal((piece->length | piece->guest | piece->host | piece->offset) % BERTH_PAGE_SIZE,
                     0);
    if (counts_down(maps, &maps->fail_map))
        return -ENOMEM;
    for (unsigned i = 0; i < maps->count; i++)
        assert_false(
            overlap(piece->guest, piece->length, maps->piece[i].guest, maps->piece[i].length));
    assert_true(maps->count < GUEST_MAPS_MAX);
    maps->piece[maps->count++] = *piece;
    maps->maps++;
    return 0;
}

static bool same(const struct berth_piece *a, const struct berth_piece *b)
{
    return a->dev == b->dev && a->bar == b->bar && a->offset == b->offset && a->host == b->host &&
           a->guest == b->guest && a->length == b->length && a->prefetchable == b->prefetchable;
}

static int piece_unmap(void *context, const struct berth_piece *piece)
{
    struct guest_maps *maps = context;

    if (counts_down(maps, &maps->fail_unmap))
        return -EIO;
    for (unsigned i = 0; i < maps->count; i++) {
        if (!same(&maps->piece[i], piece))
            continue;
        maps->piece[i] = maps->piece[--maps->count];
        maps->unmaps++;
        return 0;
    }
    fail_msg("a piece is unmapped that was not mapped");
    return 0;
}

const struct berth_view_ops guest_maps_ops = {.map = piece_map, .unmap = piece_unmap};

uint64_t guest_maps_at(const struct guest_maps *maps, uint64_t guest)
{
    for (unsigned i = 0; i < maps->count; i++)
        if (guest - maps->piece[i].guest < maps->piece[i].length)
            return maps->piece[i].host + (guest - maps->piece[i].guest);
    return 0;
}

uint64_t guest_maps_bytes(const struct guest_maps *maps, const struct pcidev *dev, unsigned bar)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < maps->count; i++)
        if (maps->piece[i].dev == dev && maps->piece[i].bar == bar)
            bytes += maps->piece[i].length;
    return bytes;
}

/* ---- the spy ---- */

struct spy spy;

void spy_clear(void)
{
    memset(&spy, 0, sizeof(spy));
}

static int spy_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    return sim_host_ops.claim(host, sbdf, claim);
}

static void spy_release(void *host, berth_claim claim)
{
    sim_host_ops.release(host, claim);
}

/* The bits of status in an access, in the place where the access has them. */
static uint32_t status_part(uint32_t bits, unsigned reg, unsigned length)
{
    uint64_t wide = (uint64_t)bits << 8 * STATUS;

    return reg >= 8 ? 0 : (uint32_t)(wide >> 8 * reg & ((UINT64_C(1) << 8 * length) - 1));
}

static int spy_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    int error = sim_host_ops.config_read(host, claim, reg, length, value);

    spy.reads++;
    *value |= status_part(spy.errors, reg, length);
    return error;
}

static int spy_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    uint64_t low = reg < 8 ? (uint64_t)value << 8 * reg : 0, status = low >> 8 * STATUS & 0xffff;

    if (spy.hook)
        spy.hook();
    spy.writes++;
    spy.command_written |= (uint16_t)(low >> 8 * COMMAND);
    spy.status_written |= (uint16_t)status;
    spy.errors &= (uint16_t) ~(status & STATUS_ERRORS);
    if (reg < BARS_END && reg + length > BARS)
        spy.bar_writes++;
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static int spy_reset(void *host, berth_claim claim)
{
    return sim_host_ops.reset(host, claim);
}

static int spy_reserved(void *host, berth_claim claim, struct berth_reserved *list)
{
    return sim_host_ops.reserved(host, claim, list);
}

static void spy_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    sim_host_ops.describe(host, claim, facts);
}

static const struct berth_host_ops spy_ops = {
    .claim = spy_claim,
    .release = spy_release,
    .config_read = spy_read,
    .config_write = spy_write,
    .reset = spy_reset,
    .reserved = spy_reserved,
    .describe = spy_describe,
};

void spy_configure(struct berth_machine_config *config)
{
    spy_clear();
    config->host = &spy_ops;
}
