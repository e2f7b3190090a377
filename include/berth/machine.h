/* SPDX-License-Identifier: MIT */
/*
 * A machine: one registry of PCI segments, with its domains, a host and an IOMMU behind it. Several
 * machines live in one process and share nothing.
 */
#ifndef BERTH_MACHINE_H
#define BERTH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/event.h>
#include <berth/host.h>
#include <berth/iommu.h>
#include <berth/irq.h>
#include <berth/refusal.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_machine;
struct berth_domain;
struct pcidev;

enum berth_operation {
    BERTH_OP_ADD,
    BERTH_OP_READD,
    BERTH_OP_REMOVE,
    BERTH_OP_ASSIGN,
    BERTH_OP_DEASSIGN,
    BERTH_OP_RESET,
    BERTH_OP_SRIOV,
    BERTH_OP_DOMAIN_DESTROY,
};

/** A stable lower-case word, such as "assign"; never NULL. Context: any. */
const char *berth_operation_name(enum berth_operation op);

/**
 * Decides who may do what (M20). Called before anything is looked at or locked.
 *
 * @context  what the machine was created with
 * @caller   who asks; NULL is the embedder itself
 * @device   the address concerned
 * @target   the domain that gains, or NULL
 *
 * Returns 0 to allow, or a negative errno, which the operation then returns.
 */
typedef int berth_permit_fn(void *context, const struct berth_domain *caller,
                            enum berth_operation op, struct sbdf device,
                            const struct berth_domain *target);

/** Where a device goes when it leaves a guest (O3). */
enum berth_quarantine {
    BERTH_QUARANTINE_BLOCK = 0, /* every DMA faults; the default, and it needs no preparation */
    BERTH_QUARANTINE_SCRATCH,   /* every DMA hits a private zeroed page */
    BERTH_QUARANTINE_OFF,       /* straight back to the hardware domain: an explicit choice only */
};

struct berth_policy {
    enum berth_quarantine quarantine;
    bool reserved_relaxed;  /* lend devices with reserved memory although it opens a hole (M24) */
    bool shared_groups;     /* lend devices apart that the IOMMU cannot keep apart (O4): a choice to
                               make only where every user of the group is trusted */
    bool require_reset;     /* refuse to lend a device that cannot be reset (K10) */
    bool shared_pages;      /* lend devices apart whose BARs share a page (O4): they are trapped */
    bool unsafe_interrupts; /* lend without interrupt remapping (M32, X33): a guest's device could
                               raise any interrupt of the host */
    bool vpd_writes;        /* a guest may write vital product data: it is kept in the device */
    uint64_t deadline_ns;   /* default for operations without one; 0: 2 seconds */
    uint64_t reset_wait_ns; /* how long a device may take to come back; 0: 1 second */
};

/** Addresses that nobody else may have or write (M07). */
enum berth_reservation {
    BERTH_RESERVE_NONE = 0,
    BERTH_RESERVE_HIDDEN,    /* owned by the hypervisor, invisible to the hardware domain */
    BERTH_RESERVE_READ_ONLY, /* visible, but its config space is written by nobody */
};

/** Phantom functions that a device uses without saying so in DevCap (M03). */
struct berth_phantom_override {
    struct sbdf sbdf;
    uint8_t stride; /* 1, 2 or 4 */
};

enum berth_register_access {
    BERTH_REGISTER_HIDE,  /* reads as reserved */
    BERTH_REGISTER_READ,  /* reads pass to the hardware, writes are dropped */
    BERTH_REGISTER_WRITE, /* both pass */
};

#define BERTH_ANY_ID 0xffffu

/**
 * V7: an explicit rule for one model of device. For registers that no capability with a view of its
 * own covers: vendor-specific ones, or bytes outside of any capability. The first rule that fits
 * counts.
 */
struct berth_register_rule {
    uint16_t vendor, device; /* or BERTH_ANY_ID */
    uint16_t offset, length; /* a range of config space, dwords */
    enum berth_register_access access;
};

struct berth_machine_config {
    const struct berth_host_ops *host; /* must not be NULL */
    void *host_context;
    const struct berth_iommu_ops *iommu; /* NULL: there is none, and guests get no device (X29) */
    void *iommu_context;
    const struct berth_bar_ops *bars; /* context as for .host; NULL: the core touches no BAR, and
                                         what would be trapped reads all ones */
    const struct berth_irq_ops *irqs; /* NULL: guests get no interrupts */
    void *irq_context;
    berth_event_fn *event; /* NULL: no trace */
    void *event_context;
    berth_permit_fn *permit; /* NULL: the embedder and the hardware domain may do everything */
    void *permit_context;
    struct berth_policy policy;
    const struct sbdf *hidden; /* addresses that are hidden as soon as they are added */
    uint32_t hidden_count;
    const struct sbdf *read_only;
    uint32_t read_only_count;
    const struct berth_phantom_override *phantoms; /* a list of any length, copied */
    uint32_t phantom_count;
    const struct berth_register_rule
        *rules; /* registers beyond what every guest sees (V7); copied */
    uint32_t rule_count;
};

/**
 * What every operation takes besides its object. All zero is a fine value: the embedder asks, with
 * the default deadline, and does not want to know why it was refused.
 */
struct berth_request {
    struct berth_domain *caller;      /* who asks; NULL: the embedder. Borrowed for the call */
    uint64_t timeout_ns;              /* from now; 0: the policy's default */
    struct berth_refusal *why;        /* filled in on failure, untouched on success; may be NULL */
    const struct sbdf *guest_address; /* assign: where the guest sees it; NULL: chosen (M46) */
};

/**
 * Creates a machine with its hardware domain, its quarantine and its hidden domain.
 *
 * @config   copied, with the lists it points to; the ops and contexts must outlive the machine
 * @machine  receives the machine; the caller owns it
 *
 * Returns 0, -ENOMEM, -EINVAL (no host, an unusable phantom override), or what the IOMMU said to
 * the spaces it was asked for (-EOPNOTSUPP: scratch pages, and it has none). Context: may sleep.
 */
int berth_machine_create(const struct berth_machine_config *config, struct berth_machine **machine)
    __attribute__((warn_unused_result));

/**
 * Destroys a machine: removes all its devices, reports references that are left by tag (C5), frees
 * everything that nobody holds. NULL is fine.
 *
 * No other thread may use the machine, and none may be inside an access section. Whoever still
 * holds a reference must not use it afterwards but to put it; such an object stays in memory.
 *
 * Returns the number of references that were left (0: none). Context: may sleep.
 */
unsigned berth_machine_destroy(struct berth_machine *machine);

/**
 * The hardware domain, the quarantine, the hidden domain. Borrowed; live as long as the machine.
 * Context: any.
 */
struct berth_domain *berth_machine_hwdom(struct berth_machine *machine);
struct berth_domain *berth_machine_quarantine(struct berth_machine *machine);
struct berth_domain *berth_machine_hidden(struct berth_machine *machine);

/**
 * Turns bus mastering and MSI off on every device (M11), for a shutdown or a crash.
 *
 * Takes no lock, waits for nobody and opens no section: on the crash path other CPUs may have
 * stopped anywhere, with any lock. Hidden devices keep working (the console is one of them).
 *
 * Returns how many devices were turned off. Context: any, even with locks of the core held.
 */
unsigned berth_machine_quiesce(struct berth_machine *machine);

/**
 * An IOMMU fault of a requester id (M26, O6): finds the device, also through phantom functions, and
 * takes bus mastering away after 10 faults that each came within 10 ms of the last one.
 *
 * Returns 1 where the device was contained by this call, 0 where it was counted only, -ENODEV where
 * no device has this requester id. Context: any thread, takes no lock, does not sleep.
 */
int berth_machine_fault(struct berth_machine *machine, struct sbdf rid);

/** Devices present now. Context: any. */
unsigned berth_machine_count(const struct berth_machine *machine);

/** The policy may be changed while the machine runs; transitions read it when they begin. Context:
 * any. */
struct berth_policy berth_machine_policy(const struct berth_machine *machine);

/**
 * Frees objects that are due and waits until it is done; for tests and for teardown.
 * Context: may sleep, no section open.
 */
void berth_machine_settle(struct berth_machine *machine);

#ifdef __cplusplus
}
#endif

#endif
