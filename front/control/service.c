/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include <berth/domain.h>
#include <berth/pcidev.h>

#include "front/control/service.h"

#define EVACUATE_TRIES 5

struct service_handle {
    struct service_handle *next; /* older ones first */
    struct pcidev *dev;
};

/* An IOMMU tells the core about faults: that is how a device that faults on and on is contained. */
static void fault_report(void *context, struct sbdf rid)
{
    struct service *service = context;

    /* The outcome is an event, and a requester id of nobody is nothing to act upon. */
    (void)berth_machine_fault(service->machine, rid);
}

static int machine_create(struct service *service, const struct service_options *options)
{
    const struct berth_machine_config config = {
        .host = &sim_host_ops,
        .host_context = service->sim,
        .bars = &sim_bar_ops,
        .iommu = &sim_iommu_ops,
        .iommu_context = service->sim,
        .irqs = &sim_irq_ops,
        .irq_context = service->sim,
        .event = events_put,
        .event_context = &service->events,
        .policy = options->policy,
        .hidden = options->hidden,
        .hidden_count = options->hidden_count,
        .read_only = options->read_only,
        .read_only_count = options->read_only_count,
        .phantoms = options->phantoms,
        .phantom_count = options->phantom_count,
    };

    return berth_machine_create(&config, &service->machine);
}

static int parts_create(struct service *service, const struct service_options *options,
                        struct capture_error *error)
{
    int result = sim_create(options->capture, NULL, &service->sim, error);

    if (result)
        return result;
    for (unsigned i = 0; i < options->fault_count; i++)
        sim_fail(service->sim, options->faults[i].op, options->faults[i].nth, 0,
                 options->faults[i].error);
    result = machine_create(service, options);
    if (result)
        return result;
    service->interrupts.machine = service->machine;
    sim_on_fault(service->sim, fault_report, service);
    sim_on_interrupt(service->sim, interrupts_tell, &service->interrupts);
    return 0;
}

int service_create(const struct service_options *options, struct service **service,
                   struct capture_error *error)
{
    struct service *made = calloc(1, sizeof(*made));
    int result;

    *error = (struct capture_error){0};
    if (!made)
        return -ENOMEM;
    events_init(&made->events);
    names_init(&made->names);
    recorder_init(&made->recorder);
    interrupts_init(&made->interrupts);
    pthread_mutex_init(&made->handle_lock, NULL);
    result = parts_create(made, options, error);
    if (result) {
        service_destroy(made, NULL);
        return result;
    }
    *service = made;
    return 0;
}

struct population {
    struct service *service;
    void (*refused)(void *context, const struct berth_refusal *why);
    void *context;
    unsigned added;
};

static int function_add(void *context, struct sbdf sbdf)
{
    struct population *population = context;
    struct berth_refusal why = {0};
    const struct berth_request request = {.why = &why};

    if (pcidev_add(population->service->machine, sbdf, NULL, &request))
        population->refused(population->context, &why);
    else
        population->added++;
    return 0; /* one bad function does not keep the others out */
}

unsigned service_populate(struct service *service,
                          void (*refused)(void *context, const struct berth_refusal *why),
                          void *context)
{
    struct population population = {service, refused, context, 0};

    (void)sim_enumerate(service->sim, function_add, &population);
    return population.added;
}

static void guest_evacuate(struct berth_domain *guest)
{
    const struct berth_request request = {0};

    for (int i = 0; i < EVACUATE_TRIES; i++) {
        if (berth_domain_destroy(guest, &request) != -EAGAIN)
            return;
    }
}

void service_evacuate(struct service *service)
{
    struct berth_domain *domain = berth_domain_next(service->machine, NULL);

    while (domain) {
        struct berth_domain *next;

        if (berth_domain_kind(domain) == BERTH_DOMAIN_GUEST)
            guest_evacuate(domain);
        next = berth_domain_next(service->machine, domain);
        berth_domain_put(domain);
        domain = next;
    }
}

static void handles_close(struct service *service)
{
    struct service_handle *handle;

    while ((handle = service->handles)) {
        service->handles = handle->next;
        pcidev_handle_close(handle->dev);
        free(handle);
    }
}

static void leaks_tell(struct events *events, void (*leak)(const struct berth_event *event))
{
    struct berth_event event;
    uint64_t lost;

    while (leak && events_take(events, &event, 1, &lost)) {
        if (event.kind == BERTH_EVENT_LEAK)
            leak(&event);
    }
}

/* Makes room for what the machine's end has to say. */
static void events_discard(struct events *events)
{
    struct berth_event event;
    uint64_t lost;

    while (events_take(events, &event, 1, &lost))
        ;
}

unsigned service_destroy(struct service *service, void (*leak)(const struct berth_event *event))
{
    unsigned left = 0;

    if (!service)
        return 0;
    handles_close(service);
    if (service->machine) {
        sim_on_fault(service->sim, NULL, NULL);
        sim_on_interrupt(service->sim, NULL, NULL);
        events_discard(&service->events);
        left = berth_machine_destroy(service->machine);
        leaks_tell(&service->events, leak);
    }
    sim_destroy(service->sim);
    pthread_mutex_destroy(&service->handle_lock);
    interrupts_destroy(&service->interrupts);
    recorder_destroy(&service->recorder);
    names_destroy(&service->names);
    events_destroy(&service->events);
    free(service);
    return left;
}

static int handle_append(struct service *service, struct service_handle *handle)
{
    struct service_handle **link = &service->handles;
    int result = -ENOSPC;

    pthread_mutex_lock(&service->handle_lock);
    if (service->handle_count < SERVICE_HANDLES_MAX) {
        while (*link)
            link = &(*link)->next;
        *link = handle;
        service->handle_count++;
        result = 0;
    }
    pthread_mutex_unlock(&service->handle_lock);
    return result;
}

int service_hold(struct service *service, struct pcidev *dev)
{
    struct service_handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return -ENOMEM;
    handle->dev = pcidev_handle_open(dev);
    if (handle_append(service, handle)) {
        pcidev_handle_close(handle->dev);
        free(handle);
        return -ENOSPC;
    }
    return 0;
}

static struct service_handle *handle_detach(struct service *service, struct sbdf sbdf)
{
    struct service_handle **link = &service->handles;
    struct service_handle *found;

    pthread_mutex_lock(&service->handle_lock);
    while (*link && !sbdf_equal(pcidev_sbdf((*link)->dev), sbdf))
        link = &(*link)->next;
    found = *link;
    if (found) {
        *link = found->next;
        service->handle_count--;
    }
    pthread_mutex_unlock(&service->handle_lock);
    return found;
}

int service_unhold(struct service *service, struct sbdf sbdf)
{
    struct service_handle *found = handle_detach(service, sbdf);

    if (!found)
        return -ENOENT;
    pcidev_handle_close(found->dev);
    free(found);
    return 0;
}
