/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine and the guests in it: what a driver does with its device, and what the
 * device does to its driver.
 */
#include <errno.h>
#include <inttypes.h>

#include <berth/domain.h>
#include <berth/pcidev.h>

#include "front/control/guests.h"
#include "front/control/methods.h"
#include "front/control/place.h"
#include "front/control/shapes.h"

/* A device with its owner, as it was when it was looked at. */
struct owned {
    struct pcidev *dev;
    struct pcidev_info info;
    struct place place; /* .guest: the owner, where it sees the device; counted */
};

static int owned_find(struct call *call, struct owned *owned)
{
    *owned = (struct owned){.place.machine = call->service->machine};
    owned->dev = pcidev_find(call->service->machine, call->arguments.device, call_tag);
    if (!owned->dev)
        return sim_refused(call, -ENODEV);
    pcidev_snapshot(owned->dev, &owned->info);
    owned->place.at = owned->info.sbdf;
    if (owned->info.has_guest_address)
        owned->place.guest = berth_domain_find(call->service->machine, owned->info.owner);
    if (owned->place.guest)
        owned->place.at = owned->info.guest_address;
    return 0;
}

static void owned_put(struct owned *owned)
{
    berth_domain_put(owned->place.guest);
    pcidev_put(owned->dev, call_tag);
}

static int owned_with(struct call *call, int (*work)(struct call *call, struct owned *owned))
{
    struct owned owned;
    int error = owned_find(call, &owned);

    if (error)
        return error;
    error = work(call, &owned);
    owned_put(&owned);
    return error;
}

/* ---- bus mastering: what a driver does before DMA and MSI, by its own config access ---- */

#define COMMAND 0x04
#define COMMAND_MASTER 0x4u

static int master_set(struct call *call, struct owned *owned)
{
    const uint64_t command = place_read(&owned->place, COMMAND, 2);
    uint64_t now;

    place_write(&owned->place, COMMAND, 2,
                call->arguments.on ? command | COMMAND_MASTER : command & ~COMMAND_MASTER);
    now = place_read(&owned->place, COMMAND, 2);
    return call_done(call,
                     json_pack("{s:o, s:s, s:b}", "device", shape_sbdf(owned->info.sbdf), "owner",
                               owned->info.owner, "master", now != 0xffff && now & COMMAND_MASTER));
}

int method_sim_master(struct call *call)
{
    return owned_with(call, master_set);
}

/* ---- interrupts ---- */

static json_t *message_shape(const struct berth_message *message)
{
    return json_pack("{s:o, s:o}", "address", shape_hex(message->address, 8), "data",
                     shape_hex(message->data, 8));
}

static int irq_refused(struct call *call, int error)
{
    char text[SBDF_TEXT_SIZE];

    if (error != -EINVAL)
        return sim_refused(call, error);
    return call_failed(call, error, "bad-argument", "%s has no vector %u",
                       sbdf_format(call->arguments.device, text), call->arguments.vector);
}

static int irq_of_guest(struct call *call, struct owned *owned)
{
    const unsigned vector = call->arguments.vector;
    struct recorder *recorder = &call->service->recorder;
    const uint64_t before = recorder_vector(recorder, owned->dev, vector).count;
    struct recorder_vector after;
    struct interrupt_fate fate = {.machine = SIM_IRQ_NONE};
    int error = interrupts_raise(&call->service->interrupts, call->service->sim, owned->info.sbdf,
                                 vector, &fate);

    if (error)
        return irq_refused(call, error);
    after = recorder_vector(recorder, owned->dev, vector);
    return call_done(call, json_pack("{s:s, s:s, s:i, s:o?}", "result", interrupt_fate_name(&fate),
                                     "domain", owned->info.owner, "vector", (int)vector, "message",
                                     after.count > before ? message_shape(&after.last) : NULL));
}

/* The hardware domain programs its devices by itself: nothing is bound for it. */
static int irq_of_host(struct call *call, const struct owned *owned)
{
    static const char *const words[] = {
        [SIM_IRQ_NONE] = "none",
        [SIM_IRQ_BLOCKED] = "blocked",
        [SIM_IRQ_DELIVERED] = "delivered",
        [SIM_IRQ_PENDING] = "pending",
    };
    enum sim_irq_result result = SIM_IRQ_NONE;
    uint32_t domain_id = 0;
    bool delivered;
    int error = sim_interrupt(call->service->sim, owned->info.sbdf, &result, &domain_id);

    if (error)
        return sim_refused(call, error);
    delivered = result == SIM_IRQ_DELIVERED && domain_id == owned->info.owner_id;
    return call_done(call, json_pack("{s:s, s:s?, s:i, s:n}", "result", words[result], "domain",
                                     delivered ? owned->info.owner : NULL, "vector",
                                     (int)call->arguments.vector, "message"));
}

/* A driver has served the device: it asserts INTx no more, and the guest's controller may hear of
 * it again. */
static int irq_end(struct call *call, const struct owned *owned)
{
    int error = sim_lower(call->service->sim, owned->info.sbdf);

    if (error)
        return sim_refused(call, error);
    if (owned->place.guest)
        berth_domain_intx_eoi(owned->place.guest, owned->place.at);
    return call_done(call, json_pack("{s:s, s:s, s:i, s:n}", "result", "ended", "domain",
                                     owned->info.owner, "vector", 0, "message"));
}

static int irq_raise(struct call *call, struct owned *owned)
{
    if (!call->arguments.on)
        return irq_end(call, owned);
    return owned->place.guest ? irq_of_guest(call, owned) : irq_of_host(call, owned);
}

int method_sim_irq(struct call *call)
{
    return owned_with(call, irq_raise);
}

/* ---- BARs, as a CPU of the owner reaches them ---- */

#define BAR_WIDTH 4u

/* How an access went its way. */
enum bar_way {
    BAR_NOTHING, /* the guest has no BAR there: it does not decode */
    BAR_TRAPPED, /* through the core */
    BAR_MAPPED,  /* straight to the device */
    BAR_HOST,    /* by the hardware domain's own mapping */
};

static int trapped_access(const struct owned *owned, const struct guest_bar *bar, bool write,
                          uint64_t offset, uint64_t *value)
{
    struct berth_domain *guest = owned->place.guest;
    const uint64_t address = bar->address + offset;

    if (bar->io && write)
        return berth_domain_port_write(guest, (uint16_t)address, BAR_WIDTH, *value);
    if (bar->io)
        return berth_domain_port_read(guest, (uint16_t)address, BAR_WIDTH, value);
    if (write)
        return berth_domain_mmio_write(guest, address, BAR_WIDTH, *value);
    return berth_domain_mmio_read(guest, address, BAR_WIDTH, value);
}

static int direct_access(struct call *call, const struct owned *owned, uint64_t *value)
{
    const struct arguments *a = &call->arguments;
    uint32_t word = (uint32_t)*value;
    int error = sim_bar_access(call->service->sim, owned->info.sbdf, a->bar, a->offset,
                               a->given & PARAMETER_VALUE, &word);

    *value = word;
    return error;
}

static int guest_access(struct call *call, const struct owned *owned, uint64_t *value,
                        enum bar_way *way)
{
    const struct arguments *a = &call->arguments;
    const struct guest_bar bar = guest_bar(&owned->place, a->bar);
    struct recorder_piece piece;

    *way = BAR_NOTHING;
    if (!bar.decoded)
        return 0;
    if (recorder_find(&call->service->recorder, owned->info.sbdf, a->bar, a->offset, &piece)) {
        *way = BAR_MAPPED;
        return direct_access(call, owned, value);
    }
    if (!trapped_access(owned, &bar, a->given & PARAMETER_VALUE, a->offset, value))
        *way = BAR_TRAPPED;
    return 0;
}

static int bar_access(struct call *call, struct owned *owned)
{
    static const char *const words[] = {
        [BAR_NOTHING] = "nothing",
        [BAR_TRAPPED] = "trapped",
        [BAR_MAPPED] = "mapped",
        [BAR_HOST] = "host",
    };
    const struct arguments *a = &call->arguments;
    uint64_t start, size, value = a->given & PARAMETER_VALUE ? a->value : UINT32_MAX;
    enum bar_way way = BAR_HOST;
    int error = sim_bar(call->service->sim, owned->info.sbdf, a->bar, &start, &size);

    if (error)
        return sim_refused(call, error);
    if (a->offset % BAR_WIDTH || a->offset >= size || value > UINT32_MAX)
        return call_failed(call, -EINVAL, "bad-argument",
                           "an access is of 4 bytes at a multiple of 4 below 0x%" PRIx64, size);
    error = owned->place.guest ? guest_access(call, owned, &value, &way)
                               : direct_access(call, owned, &value);
    if (error)
        return sim_refused(call, error);
    return call_done(call, json_pack("{s:o, s:s, s:i, s:o, s:s, s:o}", "device",
                                     shape_sbdf(owned->info.sbdf), "owner", owned->info.owner,
                                     "bar", (int)a->bar, "offset", shape_hex(a->offset, 1), "way",
                                     words[way], "value", shape_hex(value, 8)));
}

int method_sim_bar(struct call *call)
{
    return owned_with(call, bar_access);
}

/* ---- errors: what the host's error handling tells the core (M13) ---- */

static const enum pcidev_trouble troubles[] = {
    [SIM_ERROR_CORRECTABLE] = PCIDEV_TROUBLE_CORRECTABLE,
    [SIM_ERROR_NONFATAL] = PCIDEV_TROUBLE_NONFATAL,
    [SIM_ERROR_FATAL] = PCIDEV_TROUBLE_FATAL,
    [SIM_ERROR_DPC] = PCIDEV_TROUBLE_DPC,
};

static int trouble_tell(struct call *call, struct pcidev *dev)
{
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    const struct berth_request request = {.why = &why};
    int error = pcidev_recover(dev, troubles[call->arguments.kind], &request);

    return error ? call_refused(call, &why, error) : 0;
}

/* A port that contains has cut off all that is behind it (PCIe 6.2.11), not only the culprit. */
static int containment_tell(struct call *call, const struct pcidev_info *port,
                            const struct pcidev *told)
{
    struct sbdf at = sbdf_make(port->sbdf.segment, port->secondary_bus, 0, 0);
    struct pcidev *dev = pcidev_find(call->service->machine, at, call_tag);
    int error = 0;

    if (!dev)
        dev = pcidev_next(call->service->machine, &at, call_tag);
    while (dev && !error) {
        at = pcidev_sbdf(dev);
        if (at.segment != port->sbdf.segment || at.bus > port->subordinate_bus)
            break;
        if (dev != told)
            error = trouble_tell(call, dev);
        pcidev_put(dev, call_tag);
        dev = pcidev_next(call->service->machine, &at, call_tag);
    }
    pcidev_put(dev, call_tag);
    return error;
}

static int error_handle(struct call *call, const struct owned *owned)
{
    struct pcidev_ref port PCIDEV_REF = {NULL, call_tag};
    struct pcidev_info info;
    int error = trouble_tell(call, owned->dev);

    if (error || call->arguments.kind != SIM_ERROR_DPC || !owned->info.has_parent)
        return error;
    port.dev = pcidev_find(call->service->machine, owned->info.parent, call_tag);
    if (!port.dev)
        return 0;
    pcidev_snapshot(port.dev, &info);
    return containment_tell(call, &info, owned->dev);
}

static int error_make(struct call *call, struct owned *owned)
{
    const enum sim_error_kind kind = (enum sim_error_kind)call->arguments.kind;
    int error = sim_error(call->service->sim, owned->info.sbdf, kind);

    if (error)
        return sim_refused(call, error);
    error = error_handle(call, owned);
    if (error)
        return error;
    pcidev_snapshot(owned->dev, &owned->info);
    return call_done(call,
                     json_pack("{s:o, s:s, s:s}", "device", shape_sbdf(owned->info.sbdf), "owner",
                               owned->info.owner, "error", pcidev_trouble_name(troubles[kind])));
}

int method_sim_error(struct call *call)
{
    return owned_with(call, error_make);
}
