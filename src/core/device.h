/* SPDX-License-Identifier: MIT */
/*
 * The object for one PCI function.
 *
 *              add                      assign, deassign, reset, readd
 *   (none) ---------> ADDING --------+      +-----------+
 *     ^                  | failed    |      |           |
 *     |                  v           +--> PRESENT <-----+  a failed transition ends here as well,
 *     |               REMOVED               |   ^          "broken" where its clean-up failed (R7)
 *     |                                     |   |
 *     | the last put                        v   | refused, timed out
 *     +-------------- REMOVED <--------- REMOVING
 *
 *   disconnected (A4) and broken (R7) are flags beside the state: either can be set in any state
 * but only a transition moves the state, under .lock. The state of a REMOVED object never changes
 * again.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include <berth/pcidev.h>
#include <berth_port.h>

#include "src/core/access.h"
#include "src/core/lock.h"
#include "src/core/map.h"
#include "src/core/refcount.h"
#include "src/core/refuse.h"

/** Long-term holders (C6): where taken, where dropped. Counted in every build. */
enum hold {
    HOLD_REGISTRY,  /* add: publish;           remove: unpublish */
    HOLD_OWNER,     /* domain_link() of its owner; domain_unlink() */
    HOLD_VF,        /* a VF's link to its PF: add; freeing the VF object's link at remove */
    HOLD_HANDLE,    /* pcidev_handle_open();   pcidev_handle_close() */
    HOLD_VECTOR,    /* binding an interrupt vector; unbinding it (src/vpci/vector.c) */
    HOLD_OPERATION, /* a config write that sets off something long; its end (src/vpci/vcpu.c) */
    HOLD_ATS,       /* ATS is turned on for a guest; turned off */
    HOLD_KINDS
};

/** Capabilities whose place is latched when a device is added (F07): later reads may lie. */
enum cap {
    CAP_PM,
    CAP_MSI,
    CAP_MSIX,
    CAP_PCIX,
    CAP_PCIE,
    CAP_AF,
    CAP_EXT_FIRST,
    CAP_AER = CAP_EXT_FIRST,
    CAP_ACS,
    CAP_ARI,
    CAP_ATS,
    CAP_SRIOV,
    CAP_REBAR,
    CAP_COUNT
};

#if BERTH_CHECKS
#define TAGS_MAX 24

/** Debug builds: who holds the other references. */
struct tag_table {
    struct lock lock;
    struct berth_holder tag[TAGS_MAX] GUARDED_BY(tag_table, lock);
    uint32_t overflow GUARDED_BY(tag_table, lock);
};
#endif

struct rid_stake;
struct space;
struct party;
struct share;
struct share_stake;
struct recovery;
struct vpci;

#define BAR_SET_IO 0x1u
#define BAR_SET_WIDE 0x2u
#define BAR_SET_PREFETCH 0x4u

/** The BARs of a function, or of all VFs of a PF together, in little room; see bars.h. */
struct bar_set {
    uint64_t address[BERTH_BAR_COUNT];
    uint8_t shift[BERTH_BAR_COUNT]; /* log2 of the size; 0: no BAR, or one of unknown size */
    uint8_t flags[BERTH_BAR_COUNT]; /* BAR_SET_* */
};

#define REBARS_MAX 6

/** What the errata table, the capabilities and the embedder said when it was added. */
struct pcidev_traits {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code;
    uint8_t revision;
    uint8_t header_type; /* without the multi-function bit */
    uint8_t type;        /* enum pcidev_type */
    uint8_t phantom_stride;
    uint8_t pcie_version, pcie_port;
    uint8_t interrupt_pin; /* 0: it has no INTx */
    uint16_t msi_control;  /* tells the layout of the MSI capability */
    uint16_t vf_device;    /* of a PF: the device id of its VFs */
    uint8_t secondary_bus, subordinate_bus;
    bool multifunction, extended_function, is_vf, ext_aliased, ari_forwarding;
    uint16_t config_size;
    uint16_t total_vfs;
    uint8_t rebar_count;       /* entries of its resizable BAR capability */
    uint16_t baseline_command; /* decode bits as firmware left them */
    uint8_t baseline_cache_line, baseline_interrupt_line;
    int16_t numa_node;
    uint32_t errata;
    uint16_t cap[CAP_COUNT]; /* offsets, 0: none */
    uint8_t methods[PCIDEV_METHODS_MAX];
    uint8_t method_count;
    uint8_t reservation; /* enum berth_reservation */
};

struct pcidev {
    struct port_deferred deferred; /* first: freed through it */

    /* Fills the line: set before the device is published, but for the list and the space. */
    struct pcidev *pf; /* of a VF, counted (HOLD_VF) */
    struct pcidev *objects_next GUARDED_BY(berth_machine, lock);
    struct pcidev **objects_link GUARDED_BY(berth_machine, lock);
    struct space *quarantine GUARDED_BY(pcidev, lock); /* the private space while it is there */
    struct rid_stake *rids GUARDED_BY(pcidev, lock);   /* .rid_count of them */

    /* What a guest's path reads. Written by transitions only, never by references (A3). */
    _Alignas(PORT_CACHE_LINE) _Atomic uint32_t gate;
    _Atomic uint32_t generation;
    _Atomic(struct berth_domain *) owner;
    _Atomic(struct vpci *) vpci;   /* the owner's view, changed by transitions only; NULL: none */
    struct berth_machine *machine; /* NULL: the machine was destroyed, and this object leaked */
    berth_claim claim;
    struct sbdf sbdf;
    _Atomic uint32_t contained; /* O6; flags are words, as not every CPU has atomic bytes */
    _Atomic uint32_t broken;
    _Atomic uint32_t state; /* enum pcidev_state */
    struct pcidev_traits traits;

    /* Fills these lines: transitions write it as well, under .lock. */
    _Atomic(const char *) transition;    /* its name, for those who wait (R5) */
    _Atomic(struct recovery *) recovery; /* NULL: it was never lent. Stays until the end */
    /* ATS is on, and it is in the list of this one (ats.h) */
    struct berth_domain *ats_domain GUARDED_BY(pcidev, lock);
    struct share *group; /* of the IOMMU; NULL: none. Set before the device is published */
    int group_error;     /* the IOMMU could not tell it (F59) */
    uint8_t rid_count;
    uint8_t rebar_size[REBARS_MAX] GUARDED_BY(pcidev, lock); /* that the host has chosen: rebar.h */
    struct bar_set *vf_bars;                                 /* of a PF; NULL: not known */

    /* Counted by everybody. */
    _Alignas(PORT_CACHE_LINE) struct refcount refs;
    _Atomic uint32_t held[HOLD_KINDS];
    struct dependents vfs;     /* of a PF */
    _Atomic uint32_t closing;  /* not 0: nothing can be added behind a bridge; no guest makes VFs of
                                  a PF (vfs.h) */
    _Atomic uint32_t adding;   /* of a bridge: adds behind it that have begun */
    _Atomic uint32_t faults;   /* in a row (O6) */
    _Atomic uint64_t fault_ns; /* when the last one came */
    _Atomic uint16_t enabled_vfs, vf_offset, vf_stride;
    _Atomic uint16_t acs; /* what keeps it apart from its neighbours (acs.h) */

    /* under the machine's .shares_lock (share.h) */
    struct share_stake *stakes GUARDED_BY(berth_machine, shares_lock);
    /* the owner; the one on the way back */
    const struct berth_domain *counted GUARDED_BY(berth_machine, shares_lock);
    const struct berth_domain *counted_back GUARDED_BY(berth_machine, shares_lock);
    struct party *party; /* those it is being lent together with; written with .lock as well, and
                            read with either of them */
    bool in_closure GUARDED_BY(berth_machine, shares_lock);

    struct pcidev *ats_next GUARDED_BY(berth_domain, lock); /* of the one that it is lent to */
    struct pcidev **ats_link GUARDED_BY(berth_domain, lock);

    /*
     * Locking: .lock serialises transitions of this device (rank LOCK_DEVICE). It protects what
     * follows, and all writes above. It may be held while sleeping: nobody else's transition and no
     * access section waits for it.
     */
    struct lock lock;
    struct bar_set bars GUARDED_BY(pcidev, lock);
#if BERTH_CHECKS
    struct tag_table tags;
#endif
};

/** Makes an object in state ADDING with one reference, the caller's. NULL: no memory. */
struct pcidev *device_alloc(struct berth_machine *machine, struct sbdf sbdf, const char *tag);

/** The next life begins: with another number than any life of any device before (O2). */
void device_new_generation(struct pcidev *dev);

/** Inside a read-side section: NULL stays NULL. */
struct pcidev *device_try_get(struct pcidev *dev, const char *tag);

/** The object of a registered address, inside a read-side section only. */
struct pcidev *device_peek(struct berth_machine *machine, struct sbdf sbdf) READ_SIDE;

/** The tag of long-term holders of one kind, and that of all that release builds do not track. */
const char *hold_name(enum hold kind);
extern const char untracked_name[];

/** Turns one untracked reference into a long-term one, or takes a new one; and drops it. */
void device_hold(struct pcidev *dev, enum hold kind);
void device_unhold(struct pcidev *dev, enum hold kind);

static inline struct berth_domain *device_owner(const struct pcidev *dev)
{
    return atomic_load_explicit(&dev->owner, memory_order_acquire);
}

static inline bool device_disconnected(const struct pcidev *dev)
{
    return atomic_load_explicit(&dev->gate, memory_order_acquire) & GATE_DISCONNECTED;
}

static inline enum pcidev_state device_state(const struct pcidev *dev)
{
    return atomic_load_explicit(&dev->state, memory_order_acquire);
}

static inline bool device_is_bridge(const struct pcidev *dev)
{
    return dev->traits.type == PCIDEV_PCIE_BRIDGE || dev->traits.type == PCIDEV_PCIE_TO_PCI ||
           dev->traits.type == PCIDEV_PCI_TO_PCIE || dev->traits.type == PCIDEV_PCI_BRIDGE ||
           dev->traits.type == PCIDEV_CARDBUS_BRIDGE;
}

/* Bridges do no DMA of their own; what they forward has the ids of the devices behind (F16). */
static inline bool device_has_contexts(const struct pcidev *dev)
{
    return !device_is_bridge(dev) && dev->traits.type != PCIDEV_HOST_BRIDGE;
}

#endif
