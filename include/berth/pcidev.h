/* SPDX-License-Identifier: MIT */
/*
 * PCI devices: references keep the object, access sections permit to touch the hardware,
 * transitions change who owns it.
 *
 *     pcidev_find() ... pcidev_put()      memory: the object is not freed
 *     pcidev_enter() ... pcidev_exit()    hardware: removal waits for you, or refuses you
 *
 * When pcidev_remove() has returned 0, no section is open and none can be opened (A2);
 * references may be left and are harmless.
 */
#ifndef BERTH_PCIDEV_H
#define BERTH_PCIDEV_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/domain.h>
#include <berth/machine.h>
#include <berth/refusal.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- references (C1-C6) ---- */

/**
 * Finds a device by its address, in constant time and without a lock.
 *
 * @tag  who will hold the reference: a static string, listed by pcidev_holders() in debug builds
 *
 * Returns a counted reference, to be dropped with pcidev_put() and the same tag, or NULL.
 * Context: any.
 */
struct pcidev *pcidev_find(struct berth_machine *machine, struct sbdf sbdf, const char *tag);

/**
 * The same by requester id: a real function, or the one whose phantom function it is (M03).
 * Context: any.
 */
struct pcidev *pcidev_find_rid(struct berth_machine *machine, struct sbdf rid, const char *tag);

/**
 * The device after @after (NULL: the first one) in the order of addresses. Every device that is
 * present for the whole walk is seen; others may be. Returns a counted reference or NULL.
 * Context: any, takes no lock.
 */
struct pcidev *pcidev_next(struct berth_machine *machine, const struct sbdf *after,
                           const char *tag);

/**
 * Takes another reference. @dev must be protected already, by a reference or a section (C3).
 * Returns @dev. Context: any.
 */
struct pcidev *pcidev_get(struct pcidev *dev, const char *tag);

/**
 * Drops a reference; the last one frees the object, wherever it happens. NULL is fine.
 * Context: any.
 */
void pcidev_put(struct pcidev *dev, const char *tag);

/**
 * Lists who holds the device: long-term holders by kind (in every build), then the others, by tag
 * in debug builds and as one line "untracked" in release builds. Race-free, a snapshot.
 *
 * @list  room for @max entries (BERTH_HOLDERS_MAX is enough for all that is tracked)
 * Returns the number of entries written. Context: any.
 */
unsigned pcidev_holders(struct pcidev *dev, struct berth_holder *list, unsigned max);

/**
 * A toolstack's handle: a long-term reference that is counted by kind in every build (C6).
 * Context: any.
 */
struct pcidev *pcidev_handle_open(struct pcidev *dev);
void pcidev_handle_close(struct pcidev *dev);

/* ---- access sections (A1-A4) ---- */

/** One open section. Belongs to the call that opened it, never to the device or the thread (K01).
 */
struct pcidev_section {
    void *record; /* private */
    unsigned slot;
};

/**
 * Opens an access section, unless the device is going, gone, disconnected or in a transition.
 *
 * @dev      protected by a reference
 * @tag      static; named when removal finds the section open at its deadline (R5)
 * @section  receives the section, to be closed by the same thread
 *
 * Returns true where the hardware may be touched until pcidev_exit(). Sections nest, also of
 * different devices, up to PCIDEV_SECTIONS_MAX per thread; one more is refused.
 * Cost: two stores to the thread's own cache line and two loads. Context: any; the holder may
 * sleep, and delays nobody but transitions of this one device.
 */
bool pcidev_enter(struct pcidev *dev, const char *tag, struct pcidev_section *section);
void pcidev_exit(struct pcidev_section *section);

#define PCIDEV_SECTIONS_MAX 15

/**
 * Lists who is inside an access section of the device right now, by tag. A snapshot: who is
 * listed may have left, and only removal can say that nobody is inside.
 *
 * @list  room for @max entries
 * Returns the number of entries written. Context: any.
 */
unsigned pcidev_sections(const struct pcidev *dev, struct berth_holder *list, unsigned max);

/**
 * Config space, inside a section that the caller has open. @reg, @length as in berth_host_ops.
 * Returns 0 (also where a disconnected device reads all ones and drops the write, A4), -EINVAL
 * (alignment, range), -EIO. Context: inside the section.
 */
int pcidev_config_read(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value);
int pcidev_config_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value);

/* ---- transitions: add, remove ---- */

/** What the caller knows about a device. All zero, with numa_node -1: find out by yourself. */
struct pcidev_add_info {
    bool is_vf; /* then .pf names its physical function */
    struct sbdf pf;
    bool is_extended; /* an ARI function above 7 */
    int numa_node;    /* -1: not known, the host is asked */
};

/**
 * Adds the function at an address: claims it, looks at it, attaches it to the hardware domain (or
 * the hidden one) and publishes it.
 *
 * @info  NULL: VFs are recognised by their PF's SR-IOV capability
 *
 * Returns 0, or (nothing is left behind) -EEXIST (present already), -ENODEV (nothing answers, or a
 * VF without its PF), -EXDEV (its reserved memory
 * overlaps another device's), -EBUSY (the host keeps it, or the machine goes down), -EPERM,
 * -ENOMEM, -E2BIG (too many requester ids), -EIO, -ETIMEDOUT. Context: may sleep.
 */
int pcidev_add(struct berth_machine *machine, struct sbdf sbdf, const struct pcidev_add_info *info,
               const struct berth_request *request) __attribute__((warn_unused_result));

/**
 * Looks again at a device that is present: new information, or a device that vanished and is back
 * without having been removed. All of @info is applied, or nothing (F17). A lent device gets back
 * the registers with which it was lent; where its BARs can't be had at the same places and of the
 * same sizes, it is refused as another device, disconnected, and its guest has nothing of it (O2).
 *
 * Returns 0, -ENODEV (nothing answers, or another device does), -EBUSY (a page of its BARs is
 * shared with a guest's device), -EPERM, -EIO, -ENOMEM, -ETIMEDOUT. Context: may sleep, no section
 * of @dev open.
 */
int pcidev_readd(struct pcidev *dev, const struct pcidev_add_info *info,
                 const struct berth_request *request) __attribute__((warn_unused_result));

enum pcidev_remove_mode {
    PCIDEV_REMOVE_DEFAULT,        /* R1: refused while a guest owns it, a PF has VFs, ... */
    PCIDEV_REMOVE_FORCE,          /* R2: takes it from its guest; VFs and devices behind go first */
    PCIDEV_REMOVE_STRICT,         /* R3: refused while references besides the caller's are left */
    PCIDEV_REMOVE_GRACEFUL,       /* R4: asks the owner, waits, then -EBUSY */
    PCIDEV_REMOVE_GRACEFUL_FORCE, /* R4: asks the owner, waits, then force */
};

/**
 * Removes a device. On success no section is open, none can be opened, the hardware is quiet, its
 * requester ids are blocked, the address is free; references may be left.
 *
 * @dev  a reference of the caller, which stays the caller's
 *
 * Returns 0, or with the device as before: -EBUSY (R1, R3, R4; see the refusal), -ETIMEDOUT (R5:
 * the deadline passed; the refusal names who holds on), -EDEADLK (the caller is inside a section of
 * @dev), -ENODEV (removed by somebody else), -EPERM, -EIO, -ENOMEM.
 * Context: may sleep, no section of @dev open, no lock of the core held.
 */
int pcidev_remove(struct pcidev *dev, enum pcidev_remove_mode mode,
                  const struct berth_request *request) __attribute__((warn_unused_result));

/**
 * The device vanished (A4): from now on it is disconnected. VFs and devices behind it are too.
 * The orderly removal still has to follow. Context: any; takes no lock, waits for nobody.
 */
void pcidev_vanished(struct pcidev *dev);

/* ---- transitions: ownership ---- */

/**
 * Gives a device to a domain: a transaction over all requester ids (O1). From the hardware domain
 * or the quarantine to a guest, and from the quarantine back to the hardware domain.
 *
 * Returns 0, or with the device as before: -EBUSY (owned, hidden, a PF with VFs, a shared requester
 * id, ...), -EBADF (broken), -EINVAL (bridge, self-assign, no guest), -ENODEV (removed,
 * disconnected; no IOMMU: -EOPNOTSUPP), -EPERM, -EXDEV (strict reserved memory), -ENOSPC (no slot
 * of the guest's buses is free), -ETIMEDOUT, -EIO, -ENOMEM. Context: may sleep, no section of @dev
 * open.
 */
int pcidev_assign(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request)
    __attribute__((warn_unused_result));

/**
 * Says what pcidev_assign() would say, and does nothing. @to NULL: to any guest at all (F27).
 * Context: as pcidev_assign().
 */
int pcidev_test_assign(struct pcidev *dev, struct berth_domain *to,
                       const struct berth_request *request) __attribute__((warn_unused_result));

/**
 * Takes a device from a guest into quarantine (O3), or, with quarantine off, to the hardware
 * domain.
 *
 * @from  the guest that owns it; anybody else: -EINVAL
 *
 * Returns as pcidev_assign(). Where the device was lost on the way it is broken and in quarantine,
 * and the error is the step's. Context: may sleep, no section of @dev open.
 */
int pcidev_deassign(struct pcidev *dev, struct berth_domain *from,
                    const struct berth_request *request) __attribute__((warn_unused_result));

/* ---- transitions: reset, SR-IOV ---- */

enum pcidev_reset_method {
    PCIDEV_RESET_NONE,
    PCIDEV_RESET_HOST, /* device specific, by the host */
    PCIDEV_RESET_FLR,  /* PCIe 6.6.2 */
    PCIDEV_RESET_AF,   /* Advanced Features FLR, of conventional functions */
    PCIDEV_RESET_PM,   /* D3hot and back, where that resets (PCI PM 5.4.1) */
    PCIDEV_RESET_BUS,  /* secondary bus reset of the bridge above (PCI-to-PCI Bridge 3.2.5.17) */
};

/**
 * Resets a device by the first of its methods that works, waits until it answers, restores its
 * registers, checks it (M09). A bus reset takes the neighbours behind the same bridge along, when
 * they have the same owner, and is not available otherwise.
 *
 * Returns 0, -ENOTTY (no method), -EBUSY (scope), -EIO (did not come back: broken), and as above.
 * Context: may sleep, no section of @dev open.
 */
int pcidev_reset(struct pcidev *dev, const struct berth_request *request)
    __attribute__((warn_unused_result));

/**
 * Sets how many VFs a PF has: 0 gives them back, another number creates them (only from 0). VFs are
 * then added with pcidev_add(), at the addresses that pcidev_vf_address() tells; giving
 * them back needs all of them removed (-EBUSY).
 *
 * Returns 0, -ENOTTY (no SR-IOV), -ERANGE (more than TotalVFs), -EBUSY, and as above.
 * Context: may sleep, no section of @pf open.
 */
int pcidev_sriov(struct pcidev *pf, unsigned vfs, const struct berth_request *request)
    __attribute__((warn_unused_result));

/** The address of VF @index of @pf; -ENODEV where VFs are off or there are fewer. Context: any. */
int pcidev_vf_address(const struct pcidev *pf, unsigned index, struct sbdf *sbdf)
    __attribute__((warn_unused_result));

/* ---- trouble ---- */

/**
 * The host has found out that a device had an error (M13). A device that is lent is isolated: out
 * of its guest's view, quiet, its requester ids blocked. Its owner is told, it is reset, and given
 * back as it was before, but for its own state; the guest finds what it had set up. Where that does
 * not work, or with more than 5 recoveries in 10 seconds, the device is broken and in quarantine.
 * The guest goes on without it.
 *
 * A correctable error is only counted (pcidev_info.corrected). The hardware domain handles the
 * errors of its own devices: there is an event, and nothing is done.
 *
 * A port that contains the device (DPC) is released by the host: in berth_host_ops.reset, or before
 * this call; or by the reset of its secondary bus.
 *
 * Returns 0: the device is back, there was nothing to do, or a recovery that answers this report as
 * well is under way already; -ENODEV (removed, disconnected), -EBUSY, -EIO, -ENOTTY (it is broken,
 * for the reason in the refusal), -ETIMEDOUT (another transition, or somebody inside, until the
 * deadline: the device is as before and was not isolated), -EINVAL, -EPERM, -ENOMEM.
 * Context: may sleep, no section of @dev open.
 */
int pcidev_recover(struct pcidev *dev, enum pcidev_trouble kind,
                   const struct berth_request *request) __attribute__((warn_unused_result));

/** A stable lower-case word, such as "fatal"; never NULL. Context: any. */
const char *pcidev_trouble_name(enum pcidev_trouble kind);

/* ---- looking at it ---- */

enum pcidev_type {
    PCIDEV_ENDPOINT,     /* PCIe endpoint, also legacy and root complex integrated */
    PCIDEV_PCI_ENDPOINT, /* conventional PCI or PCI-X */
    PCIDEV_HOST_BRIDGE,
    PCIDEV_PCIE_BRIDGE, /* root port, upstream or downstream port */
    PCIDEV_PCIE_TO_PCI, /* PCIe to PCI(-X) bridge */
    PCIDEV_PCI_TO_PCIE, /* the reverse */
    PCIDEV_PCI_BRIDGE,  /* conventional PCI-to-PCI bridge */
    PCIDEV_CARDBUS_BRIDGE,
    PCIDEV_EVENT_COLLECTOR, /* root complex event collector */
};

enum pcidev_state {
    PCIDEV_ADDING,
    PCIDEV_PRESENT,
    PCIDEV_REMOVING,
    PCIDEV_REMOVED,
};

#define PCIDEV_RIDS_MAX 16
#define PCIDEV_METHODS_MAX 5

struct pcidev_info {
    struct sbdf sbdf;
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: base class, sub-class, interface */
    uint8_t revision;
    enum pcidev_type type;
    enum pcidev_state state;
    bool in_transition; /* one holds the device: sizes, NUMA node, RIDs and methods are not told */
    bool broken, disconnected, hidden, read_only, contained, extended_function, is_vf;
    bool ext_aliased;     /* answers above 256 repeat the first 256 bytes (M06) */
    uint16_t config_size; /* 256 or 4096 */
    char owner[BERTH_NAME_SIZE];
    uint32_t owner_id;
    enum berth_domain_kind owner_kind;
    int numa_node;
    struct sbdf pf;                         /* of a VF */
    uint16_t vfs, total_vfs;                /* of a PF: enabled, possible */
    uint8_t phantom_stride;                 /* 0: none */
    uint8_t secondary_bus, subordinate_bus; /* of a bridge */
    bool has_group;
    uint32_t group; /* the IOMMU's isolation group, see pcidev_group() */
    bool has_guest_address;
    struct sbdf guest_address; /* where its owner, a guest, sees it */
    bool has_parent;
    struct sbdf parent;  /* the bridge above */
    uint32_t errata;     /* bits of PCIDEV_ERRATUM_* */
    uint32_t generation; /* another one with each owner and reset (V6) */
    uint32_t faults;     /* in a row, O6 */
    uint32_t corrected;  /* errors, since it was lent for the first time (M13) */
    uint32_t dropped;    /* config writes of its guest that met no register (K12) */
    uint32_t references;
    uint32_t children; /* VFs or devices behind a bridge */
    unsigned rid_count;
    struct sbdf rids[PCIDEV_RIDS_MAX]; /* main, phantom, bridge alias */
    unsigned method_count;
    enum pcidev_reset_method methods[PCIDEV_METHODS_MAX];
};

/** Errata that the core acts upon (src/core/errata.c). */
#define PCIDEV_ERRATUM_JUNK_BARS 0x1u    /* BARs are no BARs: never sized */
#define PCIDEV_ERRATUM_NO_FLR 0x2u       /* says it has FLR, and hangs */
#define PCIDEV_ERRATUM_NO_ATS 0x4u       /* ATS loses invalidations */
#define PCIDEV_ERRATUM_DMA_FN1 0x8u      /* issues requests as function 1 */
#define PCIDEV_ERRATUM_NO_PM_RESET 0x10u /* D3hot does not reset it, whatever it says */
#define PCIDEV_ERRATUM_DMA_FN0 0x20u     /* issues requests as function 0 */

/** A consistent picture of a device, also of one that has been removed. Context: any, no section.
 */
void pcidev_snapshot(struct pcidev *dev, struct pcidev_info *info);

/** The address; immutable. Context: any. */
struct sbdf pcidev_sbdf(const struct pcidev *dev);

/**
 * The IOMMU's isolation group of a device: what is in one group cannot be kept apart.
 *
 * @group  written on success only
 * Returns 0, -EOPNOTSUPP (no IOMMU), or the IOMMU's error, which is no group (F59). Context: any.
 */
int pcidev_group(const struct pcidev *dev, uint32_t *group) __attribute__((warn_unused_result));

/**
 * Another number with each owner, each reset and the removal, and never one that any device of the
 * machine had before (V6, O2): a deferred operation compares it. Context: any.
 */
uint32_t pcidev_generation(const struct pcidev *dev);

/** Stable lower-case words, never NULL. Context: any. */
const char *pcidev_type_name(enum pcidev_type type);
const char *pcidev_state_name(enum pcidev_state state);
const char *pcidev_reset_method_name(enum pcidev_reset_method method);

/** sizeof the object, for those who plan memory. Context: any. */
size_t pcidev_object_size(void);

/* ---- guards ---- */

struct pcidev_ref {
    struct pcidev *dev;
    const char *tag;
};

/** What the guards below call at the end of a scope. Context: as pcidev_put(). */
static inline void pcidev_ref_drop(struct pcidev_ref *ref)
{
    pcidev_put(ref->dev, ref->tag);
}

/** The same for a section, opened or not. Context: as pcidev_exit(). */
static inline void pcidev_section_drop(struct pcidev_section *section)
{
    if (section->record)
        pcidev_exit(section);
}

/** struct pcidev_ref r PCIDEV_REF = {pcidev_find(m, s, "tool"), "tool"}; is put at end of scope. */
#define PCIDEV_REF __attribute__((cleanup(pcidev_ref_drop)))
/** struct pcidev_section s PCIDEV_SECTION = {0}; is closed at end of scope, if it was opened. */
#define PCIDEV_SECTION __attribute__((cleanup(pcidev_section_drop)))

#ifdef __cplusplus
}
#endif

#endif
