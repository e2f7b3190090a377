/* SPDX-License-Identifier: MIT */
/* What has to be true between any two steps. */
#include <string.h>

#include "tests/fuzz/world.h"

#define COMMAND_MEMORY 2u

static const uint8_t noted_at[2] = {0x0c, 0x3c}; /* plain registers: cache line size, line */

static unsigned guest_bit(const struct world *w, const struct pcidev_info *info)
{
    for (unsigned i = 0; i < WORLD_GUESTS; i++)
        if (w->guest[i].domain && info->owner_kind == BERTH_DOMAIN_GUEST &&
            berth_domain_id(w->guest[i].domain) == info->owner_id)
            return 1u << i;
    return 0;
}

/* ---- the hardware ---- */

static uint32_t peek(struct pcidev *dev, unsigned reg, unsigned length)
{
    uint32_t value;

    fuzz_check(pcidev_config_read(dev, reg, length, &value) == 0);
    return value;
}

static bool message_is_ours(const struct world_subject *s, uint64_t address)
{
    for (unsigned i = 0; i < s->messages; i++)
        if (s->message[i] == address)
            return true;
    return address == 0 || address == UINT32_MAX || address == UINT64_MAX;
}

/* M30: what messages a device sends is never the guest's to say. */
static void check_messages(const struct world *w, unsigned i, struct pcidev *dev)
{
    const struct world_subject *s = &w->subject[i];
    struct sim_msix_entry entry;
    unsigned at = peek(dev, 0x34, 1);

    for (unsigned left = 48; left && at >= 0x40 && at != 0xff; left--) {
        const uint32_t header = peek(dev, at, 4);

        if ((header & 0xff) == 0x05)
            fuzz_check(message_is_ours(
                s, peek(dev, at + 4, 4) |
                       (header >> 23 & 1 ? (uint64_t)peek(dev, at + 8, 4) << 32 : 0)));
        at = header >> 8 & 0xff;
    }
    for (unsigned v = 0; !sim_msix_entry(w->sim, world_sbdf(i), v, &entry); v++)
        fuzz_check(message_is_ours(s, entry.address));
}

/* V7: BARs stay where the firmware has put them. VFs come and go: theirs are known when seen. */
static void check_bars(struct world *w, unsigned i)
{
    struct world_subject *s = &w->subject[i];

    for (unsigned bar = 0; bar < BERTH_BAR_COUNT; bar++) {
        uint64_t start, size;

        if (sim_bar(w->sim, world_sbdf(i), bar, &start, &size))
            continue;
        if (!s->size[bar]) {
            s->bar[bar] = start;
            s->size[bar] = size;
        }
        fuzz_check(start == s->bar[bar] && size == s->size[bar]);
    }
}

static void check_hardware(struct world *w, unsigned i, struct pcidev *dev)
{
    struct pcidev_section section;

    if (!pcidev_enter(dev, world_tag, &section))
        return;
    w->subject[i].fading &= sim_present(w->sim, world_sbdf(i));
    if (sim_present(w->sim, world_sbdf(i)) && !w->subject[i].fading &&
        peek(dev, 8, 4) != UINT32_MAX) { /* VFs have no id */
        check_bars(w, i);
        check_messages(w, i, dev);
    }
    pcidev_exit(&section);
}

/* ---- the guests ---- */

void world_note(struct world *w, unsigned guest, struct sbdf at, unsigned reg, unsigned length,
                uint64_t value)
{
    struct pcidev *dev = berth_domain_device_at(w->guest[guest].domain, at, world_tag);
    unsigned i = dev ? world_subject(pcidev_sbdf(dev)) : WORLD_SUBJECTS;
    struct world_subject *s = &w->subject[i % WORLD_SUBJECTS];

    if (i < WORLD_SUBJECTS && pcidev_generation(dev) != s->generation) {
        s->noted[0] = s->noted[1] = false;
        s->generation = pcidev_generation(dev);
    }
    for (unsigned k = 0; k < 2 && i < WORLD_SUBJECTS; k++)
        if (reg <= noted_at[k] && noted_at[k] < reg + length &&
            berth_domain_answers(w->guest[guest].domain, at)) {
            s->noted[k] = true;
            s->note[k] = (uint8_t)(value >> 8 * (noted_at[k] - reg));
        }
    pcidev_put(dev, world_tag);
}

static void check_notes(struct world *w, unsigned i, struct pcidev *dev,
                        const struct pcidev_info *info)
{
    struct world_subject *s = &w->subject[i];
    unsigned owner = guest_bit(w, info);
    struct berth_domain *domain;

    if (!owner || !info->has_guest_address || s->generation != pcidev_generation(dev))
        return;
    domain = w->guest[owner >> 1].domain;
    if (!berth_domain_answers(domain, info->guest_address))
        return;
    for (unsigned k = 0; k < 2; k++)
        if (s->noted[k])
            fuzz_check(berth_domain_config_read(domain, info->guest_address, noted_at[k], 1) ==
                       s->note[k]);
}

/* V1: nobody else finds it at the address that its owner has for it. */
static void check_seat(const struct world *w, const struct pcidev_info *info)
{
    for (unsigned g = 0; g < WORLD_GUESTS && info->has_guest_address; g++) {
        struct pcidev *dev =
            berth_domain_device_at(w->guest[g].domain, info->guest_address, world_tag);
        struct pcidev_info found;

        if (!dev)
            continue;
        pcidev_snapshot(dev, &found);
        fuzz_check(guest_bit(w, &found) == 1u << g);
        pcidev_put(dev, world_tag);
    }
}

/* R2, O2: a guest reaches BARs of its own devices only, and all of each piece is such a BAR. */
static void check_pieces(const struct world *w, unsigned g)
{
    for (unsigned k = 0; k < w->guest[g].piece_count; k++) {
        const struct berth_piece *piece = &w->guest[g].piece[k];
        const struct world_subject *s;
        struct pcidev *dev = NULL;
        unsigned i = 0;

        for (; i < WORLD_SUBJECTS; i++) {
            dev = world_find(w, i);
            pcidev_put(dev, world_tag);
            if (dev == piece->dev)
                break;
        }
        fuzz_check(i < WORLD_SUBJECTS && dev);
        s = &w->subject[i];
        fuzz_check(s->owners >> 8 & 1u << g);
        fuzz_check(piece->bar < BERTH_BAR_COUNT);
        fuzz_check(piece->host == s->bar[piece->bar] + piece->offset);
        fuzz_check(piece->offset + piece->length <= s->size[piece->bar]);
    }
}

static bool cpus_are_idle(const struct world *w)
{
    for (unsigned g = 0; g < WORLD_GUESTS; g++)
        for (unsigned c = 0; c < WORLD_CPUS; c++)
            if (w->guest[g].cpu[c].dev)
                return false;
    return true;
}

/* M42: with memory decode off nothing of a device is mapped. */
static void check_decode(const struct world *w, const struct pcidev *dev,
                         const struct pcidev_info *info)
{
    unsigned owner = guest_bit(w, info);
    const struct world_guest *g = &w->guest[owner >> 1];

    if (!owner || info->is_vf || !cpus_are_idle(w) ||
        !berth_domain_answers(g->domain, info->guest_address) ||
        berth_domain_config_read(g->domain, info->guest_address, 4, 2) & COMMAND_MEMORY)
        return;
    for (unsigned k = 0; k < g->piece_count; k++)
        fuzz_check(g->piece[k].dev != dev);
}

static void check_subject(struct world *w, unsigned i)
{
    struct world_subject *s = &w->subject[i];
    struct pcidev *dev = world_find(w, i);
    struct pcidev_info info;
    unsigned owner = 0;

    if (dev) {
        pcidev_snapshot(dev, &info);
        owner = guest_bit(w, &info);
        if (!info.broken && !info.disconnected)
            check_hardware(w, i, dev);
        check_seat(w, &info);
        check_notes(w, i, dev, &info);
        check_decode(w, dev, &info);
        pcidev_put(dev, world_tag);
    }
    s->owners = owner << 8 | s->owners >> 8;
}

static void check_counters(const struct world *w)
{
    struct sim_counters now;

    sim_counters(w->sim, &now);
    fuzz_check(now.touches_after_release == 0 && now.bar_decode_off == 0);
    fuzz_check(now.bindings_misused == 0 && now.dma_stale == 0);
    fuzz_check(now.spaces_freed_in_use == 0);
    if (!w->broken) /* what hangs in its reset is contained */
        fuzz_check(now.touches_resetting == 0);
}

void world_check(struct world *w)
{
    fuzz_port_step();
    for (unsigned i = 0; i < WORLD_SUBJECTS; i++)
        check_subject(w, i);
    for (unsigned g = 0; g < WORLD_GUESTS; g++) {
        check_pieces(w, g);
        for (unsigned i = 0; i < WORLD_SUBJECTS; i++)
            if (w->guest[g].injected >> i & 1)
                fuzz_check((w->subject[i].owners | w->subject[i].owners >> 8) & 1u << g);
        w->guest[g].injected = 0;
    }
    check_counters(w);
}
