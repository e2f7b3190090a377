/* SPDX-License-Identifier: MIT */
#include "front/control/guests.h"

#include <errno.h>

#include <berth/domain.h>

#include "front/control/call.h"
#include "front/control/place.h"
#include "front/control/shapes.h"

const struct berth_window guest_windows[GUEST_WINDOWS] = {
    {.start = GUEST_MEMORY_START, .length = GUEST_MEMORY_LENGTH},
    {.start = GUEST_WIDE_START, .length = GUEST_WIDE_LENGTH},
    {.start = GUEST_PORT_START, .length = GUEST_PORT_LENGTH, .io = true},
};

int guest_create(struct service *service, const char *name, unsigned ports, unsigned buses,
                 struct berth_domain **domain)
{
    const struct berth_view_config view = {
        .ops = &recorder_ops,
        .context = &service->recorder,
        .windows = guest_windows,
        .window_count = GUEST_WINDOWS,
        .bus_count = (uint8_t)buses,
        .port_count = (uint8_t)ports,
    };
    const struct berth_request request = {0};
    int error = berth_domain_create(service->machine, name, NULL, NULL, domain);

    if (error)
        return error;
    error = berth_domain_set_view(*domain, &view);
    if (!error)
        return 0;
    /* if it is no longer empty it cannot always go, and is listed as what it is then */
    if (berth_domain_destroy(*domain, &request) == -EAGAIN)
        error = -EAGAIN;
    berth_domain_put(*domain);
    return error;
}

/* ---- what a guest sees of a device ---- */

#define COMMAND 0x04
#define COMMAND_IO 0x1u
#define COMMAND_MEMORY 0x2u
#define COMMAND_INTX_DISABLE 0x400u
#define BAR0 0x10
#define ROM 0x30
#define ROM_ENABLE 0x1u
#define BAR_IO 0x1u
#define BAR_WIDE 0x4u
#define BAR_PREFETCH 0x8u
#define INTERRUPT_PIN 0x3d
#define CAP_MSI 0x05
#define MSI_ENABLE 0x1u
#define CAP_MSIX 0x11
#define MSIX_ENABLE 0x8000u

static struct guest_bar rom_see(const struct place *place, bool memory)
{
    uint64_t value = place_read(place, ROM, 4);

    return (struct guest_bar){.address = value & ~UINT64_C(0x7ff),
                              .decoded = memory && value & ROM_ENABLE};
}

struct guest_bar guest_bar(const struct place *place, unsigned index)
{
    uint64_t command = place_read(place, COMMAND, 2), value;
    struct guest_bar seen;

    if (index == BERTH_BAR_ROM)
        return rom_see(place, command & COMMAND_MEMORY);
    value = place_read(place, BAR0 + 4 * index, 4);
    if (value & BAR_IO)
        return (struct guest_bar){
            .address = value & ~UINT64_C(3), .io = true, .decoded = command & COMMAND_IO};
    seen = (struct guest_bar){.address = value & ~UINT64_C(0xf),
                              .wide = value & BAR_WIDE,
                              .prefetchable = value & BAR_PREFETCH,
                              .decoded = command & COMMAND_MEMORY};
    if (seen.wide)
        seen.address |= place_read(place, BAR0 + 4 * index + 4, 4) << 32;
    return seen;
}

static json_t *bars_shape(struct service *service, const struct pcidev *dev,
                          const struct place *place)
{
    const struct sbdf host = pcidev_sbdf(dev);
    json_t *bars = json_array();
    uint64_t start, size;

    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++) {
        struct guest_bar seen;

        if (sim_bar(service->sim, host, i, &start, &size))
            continue;
        seen = guest_bar(place, i);
        json_array_append_new(
            bars, json_pack("{s:i, s:o, s:I, s:b, s:b, s:b, s:b, s:I}", "index", (int)i, "address",
                            shape_hex(seen.address, seen.wide ? 16 : 8), "size", (json_int_t)size,
                            "io", seen.io, "wide", seen.wide, "prefetchable", seen.prefetchable,
                            "decoded", seen.decoded, "mapped",
                            (json_int_t)recorder_mapped(&service->recorder, host, i)));
    }
    return bars;
}

static void irq_append(json_t *list, const char *kind, unsigned vectors, bool enabled)
{
    json_array_append_new(list, json_pack("{s:s, s:i, s:b}", "kind", kind, "vectors", (int)vectors,
                                          "enabled", enabled));
}

static json_t *irqs_shape(const struct place *place)
{
    const unsigned msi = place_capability(place, CAP_MSI), msix = place_capability(place, CAP_MSIX);
    const uint64_t pin = place_read(place, INTERRUPT_PIN, 1);
    json_t *list = json_array();

    if (pin >= 1 && pin <= 4)
        irq_append(list, "intx", 1, !(place_read(place, COMMAND, 2) & COMMAND_INTX_DISABLE));
    if (msi) {
        uint64_t control = place_read(place, msi + 2, 2);

        irq_append(list, "msi", 1u << (control >> 1 & 7), control & MSI_ENABLE);
    }
    if (msix) {
        uint64_t control = place_read(place, msix + 2, 2);

        irq_append(list, "msix", (unsigned)(control & 0x7ff) + 1, control & MSIX_ENABLE);
    }
    return list;
}

json_t *shape_guest(struct service *service, struct pcidev *dev)
{
    struct place place = {.machine = service->machine};
    struct pcidev_info info;
    json_t *shape;

    pcidev_snapshot(dev, &info);
    if (!info.has_guest_address)
        return NULL;
    place.guest = berth_domain_find(service->machine, info.owner);
    if (!place.guest)
        return NULL;
    place.at = info.guest_address;
    shape = json_pack("{s:s, s:o, s:o, s:o, s:I, s:I}", "domain", info.owner, "address",
                      shape_sbdf(place.at), "bars", bars_shape(service, dev, &place), "interrupts",
                      irqs_shape(&place), "injected",
                      (json_int_t)recorder_injected(&service->recorder, dev), "view_bytes",
                      (json_int_t)berth_view_size(dev));
    berth_domain_put(place.guest);
    return shape;
}
