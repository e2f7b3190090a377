/* SPDX-License-Identifier: MIT */
/*
 * Accesses of guests in `berth torture`: they look for devices, read and write registers of any
 * size anywhere, place BARs and use them.
 */
#include <errno.h>
#include <inttypes.h>

#include "front/control/guests.h"
#include "tools/berth/torture.h"

#define BURST 32
#define WIDTHS 10 /* 0 to 9, of which four are fine */
#define VENDOR_ID 0x00
#define COMMAND 0x04
#define COMMAND_ALL 0x0407u /* both decode bits, bus mastering, INTx off */
#define HEADER_TYPE 0x0e
#define MULTIFUNCTION 0x80u
#define BAR0 0x10
#define ROM 0x30
#define CAP_MSI 0x05
#define CAPS_START 0x40u
#define CAPS_END 0x100u

static void count(_Atomic uint64_t *counter, uint64_t many)
{
    atomic_fetch_add_explicit(counter, many, memory_order_relaxed);
}

static uint64_t any_value(struct torturer *t)
{
    switch (torture_chance(t, 4)) {
    case 0:
        return UINT64_MAX;
    case 1:
        return 0;
    default:
        return (uint64_t)torture_chance(t, UINT32_MAX) << 32 | torture_chance(t, UINT32_MAX);
    }
}

/*
 * A value for a place where a message may be programmed, whatever is there by then: it must not
 * look like another guest's. What tells them apart is in the middle two bytes of a dword.
 */
static uint64_t own_value(struct torturer *t, unsigned index, uint64_t place)
{
    const uint32_t own = torture_message_address(index) & 0xff00;
    uint64_t value = any_value(t), result = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned lane = (place + i) % 4;
        uint64_t byte = value >> 8 * i & 0xff;

        if (lane == 1)
            byte = byte & 1 ? own >> 8 : 0;
        else if (lane == 2)
            byte &= 0xf0;
        result |= byte << 8 * i;
    }
    return result;
}

static uint64_t widest(unsigned length)
{
    return length ? place_ones(length) : 0;
}

static void width_check(struct torturer *t, const char *what, unsigned length, uint64_t value)
{
    if (value > widest(length))
        flaw_found(&t->torture->flaws, FLAW_DEAF_READ, "%s of %u bytes read %#" PRIx64, what,
                   length, value);
}

/* ---- looking for devices ---- */

/* What answers before and afterwards has answered meanwhile. */
static void identity_check(struct torturer *t, const struct place *place)
{
    struct pcidev_ref before PCIDEV_REF = {
        berth_domain_device_at(place->guest, place->at, torture_tag), torture_tag};
    uint64_t id = place_read(place, VENDOR_ID, 4);
    struct pcidev_ref after PCIDEV_REF = {
        berth_domain_device_at(place->guest, place->at, torture_tag), torture_tag};
    struct pcidev_info info;
    char at[SBDF_TEXT_SIZE];

    if (!before.dev || before.dev != after.dev || id == UINT32_MAX)
        return;
    pcidev_snapshot(before.dev, &info);
    if (id != ((uint32_t)info.device << 16 | info.vendor))
        flaw_found(&t->torture->flaws, FLAW_DEAF_READ, "the id of %s is %#" PRIx64,
                   sbdf_format(info.sbdf, at), id);
}

static void slot_look(struct torturer *t, struct place *place)
{
    unsigned functions = 1;

    for (unsigned f = 0; f < functions; f++) {
        place->at.devfn = (uint8_t)((place->at.devfn & 0xf8u) | f);
        identity_check(t, place);
        if (!f && place_read(place, HEADER_TYPE, 1) & MULTIFUNCTION)
            functions = 8;
        (void)place_capability(place, CAP_MSI);
    }
    count(&t->torture->counts.config, 4 * functions);
}

static int op_enumerate(struct torturer *t)
{
    struct place place;
    unsigned index, bus;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    bus = place.at.bus;
    for (unsigned device = 0; device < 32; device++) {
        place.at = sbdf_make(0, bus, device, 0);
        slot_look(t, &place);
    }
    berth_domain_put(place.guest);
    return 0;
}

/* ---- any register ---- */

static int op_read(struct torturer *t)
{
    struct place place;
    unsigned index;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    for (unsigned i = 0; i < BURST; i++) {
        unsigned length = torture_chance(t, WIDTHS);
        unsigned reg = torture_chance(t, torture_chance(t, 4) ? 0x100 : PLACE_CONFIG_SIZE + 8);

        width_check(t, "a register", length,
                    berth_domain_config_read(place.guest, place.at, reg, length));
    }
    count(&t->torture->counts.config, BURST);
    berth_domain_put(place.guest);
    return 0;
}

static int op_write(struct torturer *t)
{
    struct place place;
    unsigned index;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    for (unsigned i = 0; i < BURST / 4; i++) {
        unsigned length = torture_chance(t, WIDTHS);
        unsigned reg = torture_chance(t, torture_chance(t, 4) ? 0x100 : PLACE_CONFIG_SIZE + 8);
        bool messages = reg + length > CAPS_START && reg < CAPS_END;

        torture_write(t, &place, reg, length, messages ? own_value(t, index, reg) : any_value(t));
    }
    berth_domain_put(place.guest);
    return 0;
}

/* ---- BARs ---- */

static uint64_t any_address(struct torturer *t, bool io)
{
    if (io)
        return torture_chance(t, 0x10000) & ~UINT64_C(0xff);
    switch (torture_chance(t, 8)) {
    case 0:
        return (uint64_t)torture_chance(t, UINT32_MAX) << 12; /* wherever that is */
    case 1:
    case 2:
        return GUEST_WIDE_START + ((uint64_t)torture_chance(t, 64) << 30);
    default: /* few places, so that they meet there */
        return GUEST_MEMORY_START + ((uint64_t)torture_chance(t, 64) << 20);
    }
}

static void bar_place(struct torturer *t, const struct place *place, unsigned bar)
{
    const struct guest_bar now = guest_bar(place, bar);
    const uint64_t address = any_address(t, now.io);
    const unsigned reg = BAR0 + 4 * bar;

    if (!torture_chance(t, 4))
        torture_write(t, place, reg, 4, UINT32_MAX); /* a driver sizes it first */
    (void)place_read(place, reg, 4);
    if (now.wide && torture_chance(t, 2))
        torture_write(t, place, reg + 4, 4, address >> 32);
    torture_write(t, place, reg, 4, address);
    if (now.wide)
        torture_write(t, place, reg + 4, 4, address >> 32);
}

static int op_place(struct torturer *t)
{
    struct place place;
    unsigned index;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    if (torture_chance(t, 2))
        torture_write(t, &place, COMMAND, 2, 0); /* as drivers do; the others do not care */
    for (unsigned bar = 0; bar < 6; bar++)
        bar_place(t, &place, bar);
    if (!torture_chance(t, 4))
        torture_write(t, &place, ROM, 4, any_address(t, false) | 1);
    if (torture_chance(t, 4))
        torture_write(t, &place, COMMAND, 2, COMMAND_ALL);
    berth_domain_put(place.guest);
    return 0;
}

static int op_decode(struct torturer *t)
{
    struct place place;
    unsigned index;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    torture_write(t, &place, COMMAND, 2, any_value(t) & COMMAND_ALL);
    if (torture_chance(t, 2))
        torture_write(t, &place, COMMAND, 2, COMMAND_ALL);
    berth_domain_put(place.guest);
    return 0;
}

/* Reads anywhere in a BAR; and past it, where another one may be. */
static int bar_read(struct torturer *t, const struct place *place, const struct guest_bar *bar)
{
    const unsigned length = torture_chance(t, WIDTHS);
    const uint64_t address = bar->address + torture_chance(t, 0x8000);
    uint64_t value = 0;
    int error = bar->io ? berth_domain_port_read(place->guest, (uint16_t)address, length, &value)
                        : berth_domain_mmio_read(place->guest, address, length, &value);

    if (!error)
        width_check(t, "a BAR", length, value);
    return error;
}

static int bar_write(struct torturer *t, const struct place *place, const struct guest_bar *bar,
                     unsigned index)
{
    const unsigned length = torture_chance(t, WIDTHS);
    const uint64_t address = bar->address + torture_chance(t, 0x8000);
    const uint64_t value = own_value(t, index, address);

    if (bar->io)
        return berth_domain_port_write(place->guest, (uint16_t)address, length, value);
    return berth_domain_mmio_write(place->guest, address, length, value);
}

struct direct {
    struct sim *sim;
    struct sbdf device;
    uint64_t address;
    uint32_t value;
    bool write;
};

static int direct_touch(void *context, const struct recorder_piece *piece)
{
    struct direct *d = context;

    if (!sbdf_equal(piece->device, d->device))
        return -ENODEV;
    return sim_bar_access(d->sim, piece->device, piece->bar,
                          piece->offset + (d->address - piece->guest), d->write, &d->value);
}

static bool is_connected(struct pcidev *dev)
{
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    return !info.disconnected;
}

/*
 * A CPU reaches what is mapped without anybody's help: the machine counts what it should not. A
 * card that was pulled stays mapped until somebody cleans up after it (A4), and one that was put
 * back meanwhile does not know of it: those are left alone, and nobody pulls or returns any now.
 */
static int bar_direct(struct torturer *t, const struct place *place, const struct guest_bar *bar,
                      unsigned index)
{
    struct torture *torture = t->torture;
    struct pcidev_ref ref PCIDEV_REF = {
        berth_domain_device_at(place->guest, place->at, torture_tag), torture_tag};
    struct direct direct = {
        .sim = torture->machine.sim,
        .address = bar->address + (torture_chance(t, 0x8000) & ~3u),
        .write = !torture_chance(t, 4),
    };
    int error = -ENODEV;

    if (!ref.dev)
        return -ENODEV;
    direct.device = pcidev_sbdf(ref.dev);
    pthread_mutex_lock(&torture->hands);
    if (is_connected(ref.dev))
        error = recorder_access(&torture->guests[index].recorder, direct.address, direct_touch,
                                &direct);
    pthread_mutex_unlock(&torture->hands);
    return error;
}

static int bar_access(struct torturer *t, const struct place *place, const struct guest_bar *bar,
                      unsigned index)
{
    switch (torture_chance(t, 4)) {
    case 0:
        return bar_write(t, place, bar, index);
    case 1:
        return bar_read(t, place, bar);
    default:
        return bar->io ? -ENOENT : bar_direct(t, place, bar, index);
    }
}

unsigned torture_bars_use(struct torturer *t, const struct place *place, unsigned index)
{
    unsigned reached = 0;

    for (unsigned bar = 0; bar < BERTH_BAR_COUNT; bar++) {
        const struct guest_bar now = guest_bar(place, bar);

        for (unsigned i = 0; i < BURST && now.decoded && now.address; i++)
            reached += !bar_access(t, place, &now, index);
        bar += now.wide;
    }
    count(&t->torture->counts.bars, reached);
    return reached;
}

static int op_bar(struct torturer *t)
{
    struct place place;
    unsigned index, reached;

    if (!torture_slot(t, &place, &index))
        return -ENODEV;
    reached = torture_bars_use(t, &place, index);
    berth_domain_put(place.guest);
    return reached ? 0 : -ENOENT;
}

/* ---- who reaches what ---- */

static int op_maps(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct pcidev_section section PCIDEV_SECTION = {0};

    if (!ref.dev || !pcidev_enter(ref.dev, torture_tag, &section))
        return -ENODEV;
    torture_maps_check(t->torture, ref.dev);
    return 0;
}

static int op_continue(struct torturer *t)
{
    if (!t->held)
        return -ENOENT;
    torture_continue(t, false);
    return 0;
}

const struct torture_op torture_accesses[] = {
    {"enumerate", op_enumerate, 6, false},
    {"read registers", op_read, 20, false},
    {"write registers", op_write, 8, false},
    {"place BARs", op_place, 14, false},
    {"switch decode", op_decode, 10, false},
    {"access a BAR", op_bar, 16, false},
    {"look at mappings", op_maps, 6, false},
    {"go on", op_continue, 6, false},
    {0},
};
