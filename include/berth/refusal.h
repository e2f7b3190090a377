/* SPDX-License-Identifier: MIT */
/*
 * Why an operation was refused: in a form that programs can act on and people can read.
 *
 * Every operation of the contract that can say no fills in a struct berth_refusal, when the caller
 * offers one. berth_refusal_text() turns it into one line that names the device, the rule and the
 * way out.
 */
#ifndef BERTH_REFUSAL_H
#define BERTH_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Names of domains are at most this long, with the terminator. */
#define BERTH_NAME_SIZE 32

/** How many holders of a device a refusal or a snapshot can name. */
#define BERTH_HOLDERS_MAX 12

enum berth_reason {
    BERTH_REASON_NONE = 0,
    /* who asks, and for what */
    BERTH_REASON_NOT_PERMITTED, /* M20: the privilege hook said no */
    BERTH_REASON_DOMAIN_DENIED, /* M20: the same, for an operation on a whole guest */
    BERTH_REASON_SELF_ASSIGN,   /* M20: a domain cannot assign to itself */
    BERTH_REASON_BAD_ARGUMENT,  /* an argument is out of its range */
    BERTH_REASON_NO_MEMORY,     /* an allocation failed */
    /* existence */
    BERTH_REASON_NO_DEVICE,     /* nothing is registered at this address */
    BERTH_REASON_NOTHING_THERE, /* nothing answers at this address */
    BERTH_REASON_EXISTS,        /* R6: the address is taken by a device that is present */
    BERTH_REASON_REMOVED,       /* R1: the object is left, the device was removed */
    BERTH_REASON_NO_PF,         /* M04: a VF needs its PF first */
    BERTH_REASON_NOT_A_VF,      /* M04: not one of the VFs that the PF has enabled */
    BERTH_REASON_OTHER_DEVICE,  /* M08: re-add found another device at the address */
    BERTH_REASON_HOST_CLAIM,    /* the host would not hand the function over */
    /* state */
    BERTH_REASON_GUEST_OWNS,   /* R1: a guest owns it */
    BERTH_REASON_OWNED,        /* O1: it belongs to somebody else already */
    BERTH_REASON_NOT_OWNER,    /* O1: deassign names a domain that does not own it */
    BERTH_REASON_ALREADY,      /* O1: the owner-to-be has it already */
    BERTH_REASON_NOT_A_GUEST,  /* O5: only guests are destroyed */
    BERTH_REASON_NOT_LENT,     /* O1: no guest has it, so none can give it back */
    BERTH_REASON_HAS_VFS,      /* R1: a PF with VFs */
    BERTH_REASON_HAS_CHILDREN, /* R1: a bridge with devices behind it */
    BERTH_REASON_REFERENCED,   /* R3: strict, and references are left */
    BERTH_REASON_SECTION_OPEN, /* R5: an access section is still open at the deadline */
    BERTH_REASON_TRANSITION,   /* R5: another transition still runs at the deadline */
    BERTH_REASON_RECOVERY,     /* M13: it is being recovered from an error */
    BERTH_REASON_OWNER_KEEPS,  /* R4: the owner did not let go in time */
    BERTH_REASON_OWN_SECTION,  /* the caller itself is inside a section of the device */
    BERTH_REASON_BROKEN,       /* O4: broken devices go to the hardware domain or nowhere */
    BERTH_REASON_HIDDEN,       /* O4: kept by the hypervisor */
    BERTH_REASON_READ_ONLY,    /* O4: the hypervisor uses it, others only look */
    BERTH_REASON_BRIDGE,       /* O4: bridges are not lent */
    BERTH_REASON_DISCONNECTED, /* A4: it vanished */
    BERTH_REASON_TEARDOWN,     /* O5: the domain (or the machine) is being torn down */
    BERTH_REASON_UNFINISHED,   /* O5: the deadline passed in the middle of a teardown */
    BERTH_REASON_ZOMBIE,       /* O5: a device could not be taken away from a guest */
    /* isolation */
    BERTH_REASON_NO_IOMMU,        /* nothing could keep the device inside its guest */
    BERTH_REASON_SHARED_GROUP,    /* O4: in one isolation group with another owner's device */
    BERTH_REASON_SHARED_PATH,     /* O4: no ACS between it and another owner's device */
    BERTH_REASON_SHARED_PAGE,     /* O4: BARs in one page with another owner's device */
    BERTH_REASON_OVER_HIDDEN,     /* O4: a BAR over one of a hidden device */
    BERTH_REASON_SHARED_LINE,     /* O4: its only interrupt is a line of another owner's device */
    BERTH_REASON_NO_INTX,         /* O4: it is lent, but without the line that others use */
    BERTH_REASON_GROUP_SIZE,      /* M23: more devices than one transaction takes */
    BERTH_REASON_NO_REMAPPING,    /* M32: nothing checks whose interrupts it raises */
    BERTH_REASON_SHARED_RID,      /* O4: shares a requester id with another owner's device */
    BERTH_REASON_LATE_BRIDGE,     /* M05: a bridge above came later and gives it another id */
    BERTH_REASON_RESERVED_STRICT, /* M24: needs reserved memory, and the policy is strict */
    BERTH_REASON_RESERVED_CLASH,  /* M24: reserved regions of two devices overlap unequally */
    BERTH_REASON_TOO_MANY_RIDS,   /* M22: more requester ids than an object can record */
    /* the guest's view */
    BERTH_REASON_NO_SLOT,     /* M46: all slots of the guest's buses are taken */
    BERTH_REASON_SLOT_TAKEN,  /* M46: the slot that was asked for is */
    BERTH_REASON_BAD_SLOT,    /* M46: a guest would not find a device there */
    BERTH_REASON_VIEW_FAILED, /* V2: the view could not be made */
    /* hardware and its back ends */
    BERTH_REASON_NO_RESET,     /* M09: no reset method is left that works here */
    BERTH_REASON_RESET_SCOPE,  /* M09: the only reset would hit a neighbour of another owner */
    BERTH_REASON_RESET_FAILED, /* M09: the device did not come back from its reset */
    BERTH_REASON_HOST_FAILED,  /* config access, reset or claim failed in the host */
    BERTH_REASON_IOMMU_FAILED, /* attach, detach, map, unmap or flush failed */
    BERTH_REASON_NOT_A_PF,     /* M04: no SR-IOV capability */
    BERTH_REASON_VF_COUNT,     /* M04: more VFs than TotalVFs */
    BERTH_REASON_ROLLBACK,     /* R7: the clean-up failed too: broken, in quarantine */
    BERTH_REASON_COUNT
};

/** One holder of a device: by what name, how many references or sections. */
struct berth_holder {
    const char *tag; /* static, never freed */
    uint32_t count;
};

struct berth_refusal {
    enum berth_reason reason;
    int error;          /* the negative errno that the operation returned */
    struct sbdf device; /* the device that was asked for */
    struct sbdf other;  /* the one in the way, where has_other is set */
    uint8_t has_other;
    char domain[BERTH_NAME_SIZE]; /* the domain in the way, or empty */
    const char *step;             /* the step of the transition that failed, or NULL */
    uint32_t number;              /* what belongs to the reason: VFs, references, ms, a BAR */
    uint64_t address;      /* in the host's memory, of reasons that are about a place there */
    uint32_t holder_count; /* valid entries of holders[] */
    struct berth_holder holders[BERTH_HOLDERS_MAX];
};

/**
 * The one line for people: "0000:03:00.0 belongs to vm1 (R1): deassign it first, or remove it with
 * force".
 *
 * @why   a refusal that an operation filled in
 * @text  receives the line, always terminated, cut where it does not fit
 * @size  bytes at @text; 256 hold every message with short names
 *
 * Returns the length without the terminator (as if it had all fitted). Context: any.
 */
size_t berth_refusal_text(const struct berth_refusal *why, char *text, size_t size);

/** A stable lower-case word for programs, such as "guest-owns"; never NULL. Context: any. */
const char *berth_reason_name(enum berth_reason reason);

/** The rule of the contract (or the row of the map) behind a reason, such as "R1". Context: any. */
const char *berth_reason_rule(enum berth_reason reason);

#ifdef __cplusplus
}
#endif

#endif
