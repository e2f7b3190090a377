/* SPDX-License-Identifier: MIT */
#include <berth/domain.h>

#include "src/core/machine_priv.h"
#include "src/core/memory.h"
#include "src/core/space.h"
#include "src/core/view.h"

static const char *const kind_names[] = {
    [BERTH_DOMAIN_HWDOM] = "hwdom",
    [BERTH_DOMAIN_QUARANTINE] = "quarantine",
    [BERTH_DOMAIN_HIDDEN] = "hidden",
    [BERTH_DOMAIN_GUEST] = "guest",
};

static const char *const state_names[] = {
    [BERTH_DOMAIN_LIVE] = "live",
    [BERTH_DOMAIN_DYING] = "dying",
    [BERTH_DOMAIN_ZOMBIE] = "zombie",
    [BERTH_DOMAIN_DEAD] = "dead",
};

const char *berth_domain_kind_name(enum berth_domain_kind kind)
{
    return (unsigned)kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind]
                                                                       : "unknown";
}

const char *berth_domain_state_name(enum berth_domain_state state)
{
    return (unsigned)state < sizeof(state_names) / sizeof(state_names[0]) ? state_names[state]
                                                                          : "unknown";
}

/* ---- the object ---- */

static void domain_free(struct port_deferred *deferred)
{
    struct berth_domain *domain = (struct berth_domain *)deferred; /* the first member */

    sbdf_map_destroy(&domain->devices);
    lock_destroy(&domain->lock);
    lock_destroy(&domain->teardown);
    vbus_free(atomic_load(&domain->vbus));
    port_free(domain);
}

struct berth_domain *berth_domain_get(struct berth_domain *domain)
{
    refcount_get(&domain->refs);
    return domain;
}

void berth_domain_put(struct berth_domain *domain)
{
    if (domain && refcount_put(&domain->refs) == REFCOUNT_LAST)
        port_defer(&domain->deferred, domain_free);
}

int domain_make(struct berth_machine *machine, enum berth_domain_kind kind, uint32_t id,
                const char *name, struct berth_domain **result)
{
    struct berth_domain *domain = port_alloc(sizeof(*domain));
    int error = 0;

    if (!domain)
        return -ENOMEM;
    domain->machine = machine;
    domain->kind = kind;
    domain->id = id;
    for (unsigned i = 0; i < BERTH_NAME_SIZE - 1 && name[i]; i++)
        domain->name[i] = name[i];
    refcount_init(&domain->refs, 1);
    lock_init(&domain->lock, LOCK_DOMAIN);
    lock_init(&domain->teardown, LOCK_TEARDOWN);
    if (kind != BERTH_DOMAIN_QUARANTINE)
        error = space_create(machine, BERTH_SPACE_DOMAIN, id, &domain->space);
    if (error) {
        berth_domain_put(domain);
        return error;
    }
    *result = domain;
    return 0;
}

/* ---- creation ---- */

static bool name_is_fine(const char *name)
{
    unsigned length = 0;

    for (; name && name[length]; length++) {
        char c = name[length];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '_' && c != '-')
            return false;
    }
    return length > 0 && length < BERTH_NAME_SIZE;
}

static bool name_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* With .domains_lock: the next unused id behind the last one that was given out, or 0. */
static uint32_t id_choose(struct berth_machine *machine) REQUIRES(machine->domains_lock)
{
    uint32_t id = machine->next_id;

    for (uint32_t tries = 0; tries < DOMAIN_ID_GUEST_LAST; tries++) {
        if (id > DOMAIN_ID_GUEST_LAST)
            id = DOMAIN_ID_GUEST_FIRST;
        if (!sbdf_map_find(&machine->domains, id)) {
            machine->next_id = id + 1;
            return id;
        }
        id++;
    }
    return 0;
}

static struct berth_domain *find_by_name(struct berth_machine *machine, const char *name)
{
    struct berth_domain *domain;

    for (uint32_t id = 0; (domain = sbdf_map_next(&machine->domains, &id)); id++)
        if (name_equal(domain->name, name))
            return domain;
    return NULL;
}

/* With .domains_lock. */
static int domain_publish(struct berth_machine *machine, struct berth_domain *domain,
                          struct map_spare *spare)
{
    if (find_by_name(machine, domain->name))
        return -EEXIST;
    return sbdf_map_insert(&machine->domains, domain->id, domain, spare);
}

static int domain_insert(struct berth_machine *machine, struct berth_domain *domain)
{
    struct map_spare spare = {.count = 0};
    int error;

    do {
        error = sbdf_map_prepare(&machine->domains, domain->id, &spare);
        if (error)
            break;
        lock_take(&machine->domains_lock);
        error = domain_publish(machine, domain, &spare);
        lock_drop(&machine->domains_lock);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    return error;
}

int berth_domain_create(struct berth_machine *machine, const char *name,
                        const struct berth_domain_ops *ops, void *context,
                        struct berth_domain **result)
{
    struct berth_domain *domain;
    uint32_t id;
    int error;

    if (!name_is_fine(name))
        return -EINVAL;
    lock_take(&machine->domains_lock);
    id = id_choose(machine);
    lock_drop(&machine->domains_lock);
    if (!id)
        return -ENOSPC;
    error = domain_make(machine, BERTH_DOMAIN_GUEST, id, name, &domain);
    if (error)
        return error;
    domain->ops = ops;
    domain->ops_context = context;
    berth_domain_get(domain); /* the table's; the first one becomes the caller's */
    error = domain_insert(machine, domain);
    if (error) {
        (void)space_destroy(machine, domain->space);
        berth_domain_put(domain);
        berth_domain_put(domain);
        return error;
    }
    *result = domain;
    return 0;
}

/* ---- finding ---- */

static struct berth_domain *domain_try_get(struct berth_domain *domain)
{
    return domain && refcount_try_get(&domain->refs) ? domain : NULL;
}

struct berth_domain *berth_domain_find(struct berth_machine *machine, const char *name)
{
    struct berth_domain *domain;

    port_read_lock();
    domain = domain_try_get(find_by_name(machine, name));
    port_read_unlock();
    return domain;
}

struct berth_domain *berth_domain_next(struct berth_machine *machine,
                                       const struct berth_domain *previous)
{
    struct berth_domain *domain = NULL;
    uint32_t id = previous ? previous->id + 1 : 0;

    port_read_lock();
    while (!domain) {
        struct berth_domain *found = sbdf_map_next(&machine->domains, &id);

        if (!found)
            break;
        domain = domain_try_get(found);
        id++;
    }
    port_read_unlock();
    return domain;
}

/* ---- looking at it ---- */

const char *berth_domain_name(const struct berth_domain *domain)
{
    return domain->name;
}

uint32_t berth_domain_id(const struct berth_domain *domain)
{
    return domain->id;
}

enum berth_domain_kind berth_domain_kind(const struct berth_domain *domain)
{
    return domain->kind;
}

void *berth_domain_space(const struct berth_domain *domain)
{
    return domain->space ? domain->space->handle : NULL;
}

enum berth_domain_state berth_domain_state(const struct berth_domain *domain)
{
    return (enum berth_domain_state)atomic_load(&domain->state);
}

bool berth_domain_crashed(const struct berth_domain *domain)
{
    return atomic_load(&domain->crashed);
}

unsigned berth_domain_device_count(const struct berth_domain *domain)
{
    return sbdf_map_count(&domain->devices);
}

/* ---- its devices ---- */

int domain_link_spare(struct berth_domain *domain, struct pcidev *dev, struct map_spare *spare)
{
    struct berth_domain *old;
    int error;

    lock_take(&domain->lock);
    error = sbdf_map_insert(&domain->devices, sbdf_key(dev->sbdf), dev, spare);
    lock_drop(&domain->lock);
    if (error)
        return error;
    device_hold(dev, HOLD_OWNER);
    old = atomic_exchange(&dev->owner, berth_domain_get(domain));
    berth_domain_put(old);
    return 0;
}

int domain_link(struct berth_domain *domain, struct pcidev *dev)
{
    struct map_spare spare = {.count = 0};
    int error;

    do {
        error = sbdf_map_prepare(&domain->devices, sbdf_key(dev->sbdf), &spare);
        if (!error)
            error = domain_link_spare(domain, dev, &spare);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    return error;
}

void domain_unlink(struct berth_domain *domain, struct pcidev *dev)
{
    uint32_t key = sbdf_key(dev->sbdf);
    bool linked;

    lock_take(&domain->lock);
    linked = sbdf_map_find(&domain->devices, key) == dev;
    if (linked)
        sbdf_map_remove(&domain->devices, key);
    lock_drop(&domain->lock);
    if (linked)
        device_unhold(dev, HOLD_OWNER);
}

void domain_crash(struct berth_domain *domain, struct pcidev *dev)
{
    const struct berth_event event = {.kind = BERTH_EVENT_CRASHED, .device = dev->sbdf};

    if (atomic_exchange(&domain->crashed, true))
        return;
    event_send(domain->machine, &event, domain);
    if (domain->ops && domain->ops->crash)
        domain->ops->crash(domain->ops_context, dev);
}
