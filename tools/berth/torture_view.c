/* SPDX-License-Identifier: MIT */
/*
 * What the guests of `berth torture` are given through their views, and whether it is theirs.
 *
 * A piece is mapped, and an interrupt injected, inside an access section of the device: as long as
 * that takes its owner stays, and has to be the guest that is called.
 */
#include <errno.h>
#include <inttypes.h>

#include "front/control/guests.h"
#include "tools/berth/torture.h"

#define MESSAGE_BASE UINT64_C(0xfee00000)
#define MESSAGE_GUEST_SHIFT 12
#define MESSAGE_GUEST_MASK UINT64_C(0xff000)

uint64_t torture_message_address(unsigned index)
{
    return MESSAGE_BASE | (uint64_t)(index + 1) << MESSAGE_GUEST_SHIFT;
}

static const char *guest_name(const struct torture_guest *guest)
{
    return torture_guest_name(guest->index);
}

/* By the set of the guest's devices: we may be called with the view's lock, and take none. */
static bool is_owner(const struct torture_guest *guest, struct pcidev *dev)
{
    const uint32_t key = sbdf_key(pcidev_sbdf(dev));
    const struct sbdf before = sbdf_from_key(key - 1);
    struct berth_domain *domain =
        berth_domain_find(guest->torture->machine.machine, guest_name(guest));
    struct pcidev *found =
        domain ? berth_domain_next_device(domain, key ? &before : NULL, torture_tag) : NULL;

    pcidev_put(found, torture_tag);
    berth_domain_put(domain);
    return found == dev;
}

/* ---- BARs ---- */

static bool is_in_window(const struct berth_piece *piece)
{
    for (unsigned i = 0; i < GUEST_WINDOWS; i++) {
        const struct berth_window *w = &guest_windows[i];

        if (!w->io && piece->guest >= w->start && piece->length <= w->length &&
            piece->guest - w->start <= w->length - piece->length)
            return true;
    }
    return false;
}

static bool is_whole(const struct berth_piece *piece)
{
    return piece->length && piece->bar < BERTH_BAR_ROM &&
           !((piece->offset | piece->host | piece->guest | piece->length) % BERTH_PAGE_SIZE);
}

static void piece_flaw(const struct torture_guest *guest, const struct berth_piece *piece,
                       const char *what)
{
    char at[SBDF_TEXT_SIZE];

    flaw_found(&guest->torture->flaws, FLAW_MAPPED,
               "BAR %u of %s in %s, %#" PRIx64 " bytes at %#" PRIx64 ": %s", piece->bar,
               sbdf_format(pcidev_sbdf(piece->dev), at), guest_name(guest), piece->length,
               piece->guest, what);
}

/* With --fail a piece cannot always be mapped, or taken away. */
static bool fails(struct torture *torture)
{
    return atomic_load(&torture->failing) && !(atomic_fetch_add(&torture->dice, 1) % 61);
}

static int view_map(void *context, const struct berth_piece *piece)
{
    struct torture_guest *guest = context;
    struct recorder_piece other;
    int error;

    if (!is_owner(guest, piece->dev))
        piece_flaw(guest, piece, "it is not the guest's");
    if (!is_whole(piece))
        piece_flaw(guest, piece, "no whole pages of a BAR");
    if (!is_in_window(piece))
        piece_flaw(guest, piece, "outside of the windows");
    if (fails(guest->torture))
        return -EIO;
    if (recorder_clash(&guest->recorder, piece, &other))
        piece_flaw(guest, piece, "something else is there");
    error = recorder_map(&guest->recorder, piece);
    if (error == -EEXIST)
        piece_flaw(guest, piece, "mapped twice");
    return error;
}

static int view_unmap(void *context, const struct berth_piece *piece)
{
    struct torture_guest *guest = context;

    if (fails(guest->torture))
        return -EIO;
    recorder_unmap(&guest->recorder, piece);
    return 0;
}

void torture_maps_check(struct torture *torture, struct pcidev *dev)
{
    struct recorder_piece piece;
    char at[SBDF_TEXT_SIZE];

    for (unsigned i = 0; i < TORTURE_GUESTS; i++) {
        struct torture_guest *guest = &torture->guests[i];

        if (!is_owner(guest, dev) && recorder_has(&guest->recorder, pcidev_sbdf(dev), &piece))
            flaw_found(&torture->flaws, FLAW_MAPPED, "BAR %u of %s, still in %s", piece.bar,
                       sbdf_format(piece.device, at), guest_name(guest));
    }
}

void torture_maps_end(struct torture *torture)
{
    for (unsigned i = 0; i < TORTURE_GUESTS; i++) {
        size_t left = recorder_pieces(&torture->guests[i].recorder);

        if (left)
            flaw_found(&torture->flaws, FLAW_MAPPED, "%zu pieces in %s at the end", left,
                       torture_guest_name(i));
    }
}

/* ---- interrupts ---- */

static void owner_check(const struct torture_guest *guest, struct pcidev *dev, unsigned vector)
{
    char at[SBDF_TEXT_SIZE];

    if (!is_owner(guest, dev))
        flaw_found(&guest->torture->flaws, FLAW_INJECTED, "vector %u of %s into %s", vector,
                   sbdf_format(pcidev_sbdf(dev), at), guest_name(guest));
}

/* Without a mark: the guest has unmasked what it has not programmed, or only a part of it. */
static void message_check(const struct torture_guest *guest, const struct berth_message *message)
{
    const uint64_t own = torture_message_address(guest->index) & MESSAGE_GUEST_MASK;
    const uint64_t mark = message->address & MESSAGE_GUEST_MASK;

    if (mark && mark != own)
        flaw_found(&guest->torture->flaws, FLAW_MESSAGE, "%s was told of %#x at %#" PRIx64,
                   guest_name(guest), message->data, message->address);
}

static void view_inject(void *context, struct pcidev *dev, unsigned vector,
                        const struct berth_message *message)
{
    struct torture_guest *guest = context;

    if (dev) /* else it is a port's */
        owner_check(guest, dev, vector);
    message_check(guest, message);
    atomic_fetch_add_explicit(&guest->torture->counts.injected, 1, memory_order_relaxed);
}

static void view_intx(void *context, struct sbdf at, unsigned pin, bool asserted)
{
    struct torture_guest *guest = context;
    char text[SBDF_TEXT_SIZE];

    if (pin < 1 || pin > 4)
        flaw_found(&guest->torture->flaws, FLAW_INJECTED, "pin %u of %s", pin,
                   sbdf_format(at, text));
    if (asserted)
        atomic_fetch_add_explicit(&guest->torture->counts.lines, 1, memory_order_relaxed);
}

static const struct berth_view_ops view_ops = {
    .map = view_map,
    .unmap = view_unmap,
    .inject = view_inject,
    .intx = view_intx,
};

/* ---- the guests ---- */

void torture_guests_init(struct torture *torture)
{
    pthread_mutex_init(&torture->hands, NULL);
    for (unsigned i = 0; i < TORTURE_GUESTS; i++) {
        torture->guests[i].torture = torture;
        torture->guests[i].index = i;
        recorder_init(&torture->guests[i].recorder);
    }
}

void torture_guests_destroy(struct torture *torture)
{
    for (unsigned i = 0; i < TORTURE_GUESTS; i++)
        recorder_destroy(&torture->guests[i].recorder);
    pthread_mutex_destroy(&torture->hands);
}

int torture_view_set(struct torture *torture, unsigned index, struct berth_domain *guest)
{
    const struct berth_view_config view = {
        .ops = &view_ops,
        .context = &torture->guests[index],
        .windows = guest_windows,
        .window_count = GUEST_WINDOWS,
        .piece_size = BERTH_PAGE_SIZE << 2 * index, /* small ones take many steps */
        .bus_count = 4,
        .port_count = (uint8_t)(4 * index),
    };

    return berth_domain_set_view(guest, &view);
}
