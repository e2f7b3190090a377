/* SPDX-License-Identifier: MIT */
#include <berth/event.h>

#include "src/core/machine_priv.h"
#include "src/core/memory.h"

static const char *const event_names[] = {
    [BERTH_EVENT_BEGIN] = "begin",
    [BERTH_EVENT_DO] = "do",
    [BERTH_EVENT_UNDO] = "undo",
    [BERTH_EVENT_END] = "end",
    [BERTH_EVENT_RELEASE_REQUEST] = "release-request",
    [BERTH_EVENT_VANISHED] = "vanished",
    [BERTH_EVENT_BROKEN] = "broken",
    [BERTH_EVENT_TROUBLE] = "trouble",
    [BERTH_EVENT_CONTAINED] = "contained",
    [BERTH_EVENT_CRASHED] = "crashed",
    [BERTH_EVENT_VIEW] = "view",
    [BERTH_EVENT_LEAK] = "leak",
    [BERTH_EVENT_MISUSE] = "misuse",
};

const char *berth_event_name(enum berth_event_kind kind)
{
    if ((unsigned)kind >= sizeof(event_names) / sizeof(event_names[0]))
        return "unknown";
    return event_names[kind];
}

void event_send(struct berth_machine *machine, const struct berth_event *event,
                const struct berth_domain *domain)
{
    struct berth_event e = *event;

    if (!machine->config.event)
        return;
    e.sequence = atomic_fetch_add_explicit(&machine->event_sequence, 1, memory_order_relaxed);
    e.time_ns = port_now_ns();
    e.domain[0] = '\0';
    if (domain)
        memcpy(e.domain, domain->name, sizeof(e.domain));
    machine->config.event(machine->config.event_context, &e);
}

void event_device(const struct pcidev *dev, enum berth_event_kind kind, const char *step,
                  int result)
{
    const struct berth_event event = {
        .kind = kind,
        .device = dev->sbdf,
        .transition = atomic_load_explicit(&dev->transition, memory_order_relaxed),
        .step = step,
        .result = result,
    };

    if (dev->machine)
        event_send(dev->machine, &event, NULL);
}
