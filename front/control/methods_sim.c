/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine in people's hands: cards are pulled, operations fail, devices misbehave.
 */
#include <errno.h>
#include <string.h>

#include <berth/domain.h>
#include <berth/pcidev.h>

#include "front/control/methods.h"
#include "front/control/shapes.h"
#include "host/sim/sim.h"

int sim_refused(struct call *call, int error)
{
    char text[SBDF_TEXT_SIZE];

    return call_failed(call, error, "nothing-there",
                       "the machine has no function %s that could: %s",
                       sbdf_format(call->arguments.device, text), strerrordesc_np(-error));
}

static int place_done(struct call *call, int error)
{
    struct sbdf sbdf = call->arguments.device;

    if (error)
        return sim_refused(call, error);
    return call_done(call, json_pack("{s:o, s:b}", "device", shape_sbdf(sbdf), "plugged",
                                     sim_present(call->service->sim, sbdf)));
}

/* What a hot-plug controller does when a card is gone: it tells about every function of it (A4). */
static void vanished_tell(struct service *service)
{
    struct pcidev *dev = pcidev_next(service->machine, NULL, call_tag);

    while (dev) {
        struct sbdf sbdf = pcidev_sbdf(dev);

        if (!sim_present(service->sim, sbdf))
            pcidev_vanished(dev);
        pcidev_put(dev, call_tag);
        dev = pcidev_next(service->machine, &sbdf, call_tag);
    }
}

int method_sim_pull(struct call *call)
{
    int error = sim_vanish(call->service->sim, call->arguments.device);

    if (!error)
        vanished_tell(call->service);
    return place_done(call, error);
}

int method_sim_return(struct call *call)
{
    return place_done(call, sim_return(call->service->sim, call->arguments.device));
}

int method_sim_vanish_after(struct call *call)
{
    const struct arguments *arguments = &call->arguments;

    return place_done(call,
                      sim_vanish_after(call->service->sim, arguments->device, arguments->nth));
}

int method_sim_hang_reset(struct call *call)
{
    const struct arguments *arguments = &call->arguments;

    return place_done(call,
                      sim_hang_on_reset(call->service->sim, arguments->device, arguments->on));
}

int method_sim_fail(struct call *call)
{
    const struct arguments *a = &call->arguments;
    enum sim_op op = (enum sim_op)a->op;

    sim_fail(call->service->sim, op, a->nth, a->count, -(int)a->error);
    return call_done(call, json_pack("{s:s, s:I}", "op", sim_op_name(op), "calls",
                                     (json_int_t)sim_calls(call->service->sim, op)));
}

/* Whom a domain id means, or NULL: it may be gone by now. */
static json_t *domain_name_of(struct service *service, uint32_t id)
{
    struct berth_domain *domain = berth_domain_next(service->machine, NULL);
    json_t *name;

    while (domain && berth_domain_id(domain) != id) {
        struct berth_domain *next = berth_domain_next(service->machine, domain);

        berth_domain_put(domain);
        domain = next;
    }
    name = domain ? json_string(berth_domain_name(domain)) : NULL;
    berth_domain_put(domain);
    return name;
}

static const char *const dma_words[] = {
    [SIM_DMA_FAULT] = "fault",     [SIM_DMA_SILENT] = "silent",     [SIM_DMA_DOMAIN] = "domain",
    [SIM_DMA_SCRATCH] = "scratch", [SIM_DMA_RESERVED] = "reserved",
};

int method_sim_dma(struct call *call)
{
    const struct arguments *a = &call->arguments;
    const bool write = a->given & PARAMETER_VALUE;
    struct sim_dma dma = {0};
    json_t *reached = NULL;
    int error = sim_dma(call->service->sim, a->device, a->address, write, a->value, &dma);

    if (error)
        return sim_refused(call, error);
    if (dma.result == SIM_DMA_DOMAIN)
        reached = domain_name_of(call->service, dma.domain_id);
    return call_done(call,
                     json_pack("{s:s, s:o?, s:b, s:o}", "result", dma_words[dma.result], "domain",
                               reached, "stale", dma.stale, "data", shape_hex(dma.data, 16)));
}

int method_sim_counters(struct call *call)
{
    struct sim_counters counters = {0};

    if (call->arguments.given & PARAMETER_DEVICE)
        sim_function_counters(call->service->sim, call->arguments.device, &counters);
    else
        sim_counters(call->service->sim, &counters);
    return call_done(call, shape_counters(&counters));
}
