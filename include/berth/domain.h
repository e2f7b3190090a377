/* SPDX-License-Identifier: MIT */
/*
 * Domains: who may own a device. A guest, the hardware domain, the quarantine, or the hypervisor
 * itself ("hidden").
 */
#ifndef BERTH_DOMAIN_H
#define BERTH_DOMAIN_H

#include <stdint.h>

#include <berth/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

enum berth_domain_kind {
    BERTH_DOMAIN_HWDOM,
    BERTH_DOMAIN_QUARANTINE,
    BERTH_DOMAIN_HIDDEN,
    BERTH_DOMAIN_GUEST,
};

enum berth_domain_state {
    BERTH_DOMAIN_LIVE,
    BERTH_DOMAIN_DYING,  /* being destroyed: gains no device any more */
    BERTH_DOMAIN_ZOMBIE, /* O5: could not be torn down; its memory is not to be re-used */
    BERTH_DOMAIN_DEAD,   /* torn down; the object lives while it is referenced */
};

/** What the host can find out about a device (M13): PCIe 6.2.2, and containment by a port, 6.2.11.
 */
enum pcidev_trouble {
    PCIDEV_TROUBLE_CORRECTABLE, /* corrected by the hardware */
    PCIDEV_TROUBLE_NONFATAL,    /* a transaction was lost */
    PCIDEV_TROUBLE_FATAL,       /* the function or its link can no longer be trusted */
    PCIDEV_TROUBLE_DPC,         /* a port above has cut it off */
};

/** What the core asks of whoever runs a guest. Slots may be NULL. */
struct berth_domain_ops {
    /** R4: please let go of the device. Must not sleep; the answer is a deassign, later. */
    void (*release_request)(void *context, struct pcidev *dev);

    /**
     * R2, O2: takes everything the guest has of the device away: BAR mappings with their flush,
     * vectors, endpoints. Called with no section of the device open. Calling it again is fine.
     * Returns 0 or -errno, which fails the transition. May sleep.
     */
    int (*withdraw)(void *context, struct pcidev *dev);

    /** The counterpart, when a transition is undone, or the device is back from a reset, its own
     * one or that of its bus. */
    int (*restore)(void *context, struct pcidev *dev);

    /** O1: the state of one of the guest's devices is lost: the guest must not go on. */
    void (*crash)(void *context, struct pcidev *dev);

    /**
     * M13: a device has had an error. It has been taken away (withdraw) and is about to be reset;
     * it is back with restore, and where it does not come back it is no longer the guest's
     * (BERTH_EVENT_BROKEN). Also called where nothing can be done. Must not sleep.
     */
    void (*trouble)(void *context, struct pcidev *dev, enum pcidev_trouble kind);
};

/**
 * Creates a guest.
 *
 * @name     1 to 31 characters out of [A-Za-z0-9._-], unique among the machine's domains
 * @ops      NULL, or must outlive the domain; @context goes with it
 * @domain   receives a reference (see berth_domain_put)
 *
 * Returns 0, -EEXIST (the name is taken), -EINVAL, -ENOMEM, or the IOMMU's error for its space.
 * Context: may sleep.
 */
int berth_domain_create(struct berth_machine *machine, const char *name,
                        const struct berth_domain_ops *ops, void *context,
                        struct berth_domain **domain) __attribute__((warn_unused_result));

/**
 * Tears a guest down: each device goes to quarantine, whatever happens to the others (O5).
 *
 * Restartable: on -EAGAIN and on failure the rest is done by another call; nothing that a device
 * can still reach by DMA has been freed. The caller's reference stays the caller's.
 *
 * Returns 0 (all devices gone, the space freed), -EAGAIN (the deadline passed, call again), -EBUSY
 * (a device could not be taken away: the domain is a zombie), -EINVAL (no guest), -EPERM.
 * Context: may sleep.
 */
int berth_domain_destroy(struct berth_domain *domain, const struct berth_request *request)
    __attribute__((warn_unused_result));

/** Finds a domain by name; returns a reference or NULL. Context: any. */
struct berth_domain *berth_domain_find(struct berth_machine *machine, const char *name);

/**
 * The domain after @previous in the order of their ids; NULL gives the first one. Domains may come
 * and go meanwhile. Returns a reference or NULL at the end; does not consume @previous. Context:
 * any.
 */
struct berth_domain *berth_domain_next(struct berth_machine *machine,
                                       const struct berth_domain *previous);

/** Takes and drops references; put frees the object with the last one, NULL is fine. Context: any.
 */
struct berth_domain *berth_domain_get(struct berth_domain *domain);
void berth_domain_put(struct berth_domain *domain);

/** Immutable identity. Context: any; the name lives as long as the domain. */
const char *berth_domain_name(const struct berth_domain *domain);
uint32_t berth_domain_id(const struct berth_domain *domain);
enum berth_domain_kind berth_domain_kind(const struct berth_domain *domain);
/** The machine's IOMMU space behind it, NULL without an IOMMU. Context: any, but not while the
 * domain is being destroyed, which frees the space. */
void *berth_domain_space(const struct berth_domain *domain);

/** What changes: a snapshot. Context: any. */
enum berth_domain_state berth_domain_state(const struct berth_domain *domain);
bool berth_domain_crashed(const struct berth_domain *domain);
unsigned berth_domain_device_count(const struct berth_domain *domain);

/** Stable lower-case words, never NULL. Context: any. */
const char *berth_domain_kind_name(enum berth_domain_kind kind);
const char *berth_domain_state_name(enum berth_domain_state state);

/**
 * The owner's next device after @after (NULL: the first one), in the order of addresses. Every
 * device that stays for the whole walk is seen; one that comes or goes may be.
 * Returns a counted reference (tag @tag, a static string) or NULL. Context: any, takes no lock.
 */
struct pcidev *berth_domain_next_device(struct berth_domain *domain, const struct sbdf *after,
                                        const char *tag);

#ifdef __cplusplus
}
#endif

#endif
