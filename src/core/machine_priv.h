/* SPDX-License-Identifier: MIT */
/* A machine and its domains, from the inside. */
#ifndef CORE_MACHINE_PRIV_H
#define CORE_MACHINE_PRIV_H

#include <berth/machine.h>

#include "src/core/device.h"

struct vbus;

#define DOMAIN_ID_HWDOM 0u
#define DOMAIN_ID_GUEST_FIRST 1u
#define DOMAIN_ID_GUEST_LAST 0x7fefu
#define DOMAIN_ID_QUARANTINE 0x7ffdu
#define DOMAIN_ID_HIDDEN 0x7ffeu

struct berth_domain {
    struct port_deferred deferred; /* first: freed through it */
    struct berth_machine *machine;
    enum berth_domain_kind kind;
    uint32_t id;
    char name[BERTH_NAME_SIZE];
    const struct berth_domain_ops *ops;
    void *ops_context;
    struct refcount refs;
    _Atomic uint32_t state; /* enum berth_domain_state */
    _Atomic uint32_t crashed;
    struct dependents entering;  /* transitions that move a device in; closed when it dies */
    _Atomic uint32_t leaving;    /* transitions of devices that it owns, or owned when they began */
    struct space *space;         /* NULL without an IOMMU, for the quarantine, and once torn down */
    _Atomic(struct vbus *) vbus; /* a guest's, from its first device on (src/vpci/bus.c) */
    struct lock teardown;        /* rank LOCK_TEARDOWN: whoever tears a guest down */

    /* Locking: .lock (rank LOCK_DOMAIN) is held to link or unlink one entry of .devices, which is
     * read without it. */
    struct lock lock;
    struct sbdf_map devices;
    struct pcidev *ats GUARDED_BY(berth_domain, lock); /* a list of those with ATS on (ats.h) */
};

struct berth_machine {
    struct berth_machine_config
        config; /* .hidden, .read_only, .phantoms are the machine's copies */
    struct berth_domain *hwdom, *quarantine, *hidden;
    _Atomic uint64_t event_sequence;
    _Atomic uint32_t closing;
    _Atomic uint32_t generation; /* the last one that a device was given */

    /* Locking: .lock (rank LOCK_REGISTRY) is held to link or unlink one entry of the maps and the
     * list below. The maps are read without it. */
    struct lock lock;
    /* all that are in memory, also the removed ones (C5) */
    struct pcidev *objects GUARDED_BY(berth_machine, lock);
    struct sbdf_map devices; /* by address */
    struct sbdf_map bridges; /* by segment and secondary bus, devfn 0 */
    struct sbdf_map pfs;     /* PFs with VFs enabled, by address */
    struct sbdf_map rids;    /* struct rid_entry by requester id */

    /* Locking: .shares_lock (rank LOCK_SHARES) is held to link, unlink or count one device. */
    struct lock shares_lock;
    struct sbdf_map shares; /* struct share by the lower half of its id */

    /* Locking: .domains_lock (rank LOCK_DOMAINS), the same for the domains by id. */
    struct lock domains_lock;
    struct sbdf_map domains;
    uint32_t next_id GUARDED_BY(berth_machine, domains_lock);
};

/** Makes one of the domains; the first reference is the caller's. 0, -ENOMEM or the IOMMU's error.
 */
int domain_make(struct berth_machine *machine, enum berth_domain_kind kind, uint32_t id,
                const char *name, struct berth_domain **domain);

/** True for owners that are somebody (not the quarantine). */
static inline bool domain_is_real(const struct berth_domain *domain)
{
    return domain->kind != BERTH_DOMAIN_QUARANTINE;
}

static inline bool domain_is_guest(const struct berth_domain *domain)
{
    return domain->kind == BERTH_DOMAIN_GUEST;
}

/**
 * Makes @domain the owner: links the device into its set, which holds a reference (HOLD_OWNER).
 * Returns 0 or -ENOMEM.
 */
int domain_link(struct berth_domain *domain, struct pcidev *dev) EXCLUDES(domain->lock);

/** The same with nodes that were made before; cannot fail when @spare is full. */
int domain_link_spare(struct berth_domain *domain, struct pcidev *dev, struct map_spare *spare)
    EXCLUDES(domain->lock);

/** Takes the device out of the set, if it is in it. It stays .owner until there is another one. */
void domain_unlink(struct berth_domain *domain, struct pcidev *dev) EXCLUDES(domain->lock);

/** Tells the embedder that a guest can't go on (O1); once per domain. */
void domain_crash(struct berth_domain *domain, struct pcidev *dev);

/** Inserts into one of the maps that .lock protects. 0, -EEXIST, -ENOMEM. */
int machine_insert(struct berth_machine *machine, struct sbdf_map *map, uint32_t key, void *item)
    EXCLUDES(machine->lock);
void *machine_remove(struct berth_machine *machine, struct sbdf_map *map, uint32_t key)
    EXCLUDES(machine->lock);

/** Lists an object for the leak report until it is freed; the latter also when the machine is gone.
 */
void machine_enlist(struct berth_machine *machine, struct pcidev *dev) EXCLUDES(machine->lock);
void machine_delist(struct pcidev *dev);

/** Asks the privilege hook, or applies the default (M20). */
int machine_permit(struct berth_machine *machine, const struct berth_request *request,
                   enum berth_operation op, const struct berth_domain *target,
                   struct berth_refusal *why);

/** When an operation has to be over. */
uint64_t machine_deadline(const struct berth_machine *machine, const struct berth_request *request);

/** Sends an event; @dev and @domain may be NULL. */
void event_send(struct berth_machine *machine, const struct berth_event *event,
                const struct berth_domain *domain);

/** The common case. */
void event_device(const struct pcidev *dev, enum berth_event_kind kind, const char *step,
                  int result);

#endif
