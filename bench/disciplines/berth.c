/* SPDX-License-Identifier: MIT */
/* The core itself: lookups without a lock, counted references, revocable access sections. */
#include <errno.h>
#include <stdlib.h>

#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "bench/disciplines/discipline.h"

static const char tag[] = "bench";

struct registry {
    struct berth_machine *machine;
    struct berth_domain *guest;
};

static void registry_destroy(void *registry)
{
    struct registry *r = registry;

    berth_domain_put(r->guest);
    berth_machine_destroy(r->machine);
    free(r);
}

static int registry_create(struct bench_host *host, void **registry)
{
    const struct berth_view_config view = {.no_host_bridge = true};
    struct registry *r = calloc(1, sizeof(*r));
    int error = r ? bench_machine_create(host, &r->machine) : -ENOMEM;

    if (!error)
        error = berth_domain_create(r->machine, "guest", NULL, NULL, &r->guest);
    if (!error)
        error = berth_domain_set_view(r->guest, &view);
    if (error && r)
        registry_destroy(r);
    else
        *registry = r;
    return error;
}

/* The guest sees what it has at the address that the host does. No figure has it access more than
 * one bus: of a larger registry the rest stays with the hardware domain. */
static int device_add(void *registry, struct sbdf sbdf)
{
    const struct berth_request request = {.guest_address = &sbdf};
    struct registry *r = registry;
    struct pcidev *dev;
    int error = pcidev_add(r->machine, sbdf, NULL, NULL);

    if (error || sbdf.bus)
        return error;
    dev = pcidev_find(r->machine, sbdf, tag);
    if (!dev)
        return -ENODEV;
    error = pcidev_assign(dev, r->guest, &request);
    pcidev_put(dev, tag);
    return error;
}

static int device_remove(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct pcidev *dev = pcidev_find(r->machine, sbdf, tag);
    int error;

    if (!dev)
        return -ENODEV;
    error = pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL);
    pcidev_put(dev, tag);
    return error;
}

static uint64_t lookup(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t found = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct pcidev *dev = pcidev_find(r->machine, hot[i % BENCH_HOT], tag);

        found += dev != NULL;
        pcidev_put(dev, tag);
    }
    return found;
}

static uint64_t access_config(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t answered = 0;

    for (uint64_t i = 0; i < count; i++)
        answered += berth_domain_config_read(r->guest, hot[i % BENCH_HOT], 0, 4) == BENCH_ID;
    return answered;
}

const struct discipline discipline_berth = {
    .name = "berth",
    .create = registry_create,
    .destroy = registry_destroy,
    .add = device_add,
    .remove = device_remove,
    .lookup = lookup,
    .access = access_config,
};
