/* SPDX-License-Identifier: MIT */
/*
 * Isolation (O4): why a device can or cannot be lent, what cannot be kept apart from it, lending
 * all of that in one transaction, and the translations that devices keep themselves (ATS).
 */
#ifndef BERTH_ISOLATION_H
#define BERTH_ISOLATION_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/domain.h>
#include <berth/machine.h>
#include <berth/refusal.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pcidev;

/* ---- explain ---- */

#define PCIDEV_REASONS_MAX 16
#define PCIDEV_NOTES_MAX 8
#define PCIDEV_MEMBERS_MAX 32

/** A device that has to be lent together with another one. */
struct pcidev_member {
    struct sbdf sbdf;
    char owner[BERTH_NAME_SIZE];
};

/** Counts may be larger than what there is room for; the arrays hold the first ones. */
struct pcidev_explanation {
    bool possible;       /* nothing is in the way of pcidev_assign() */
    bool group_possible; /* nor of pcidev_assign_group(): the members together */
    unsigned reason_count;
    unsigned note_count;
    unsigned member_count; /* the device itself included; 1: it is alone */
    struct berth_refusal reasons[PCIDEV_REASONS_MAX]; /* what is in the way, each with a way out */
    struct berth_refusal notes[PCIDEV_NOTES_MAX];     /* what is not, but is worth knowing */
    struct pcidev_member members[PCIDEV_MEMBERS_MAX];
};

/**
 * Says all that stands in the way of lending a device now, not only the first thing, and what would
 * make it possible. Does nothing. Another change may come before the answer is read.
 *
 * @to       the guest; NULL: any guest at all
 * @request  as for pcidev_assign(); whether the caller may lend the device is part of the answer
 * @out      the caller's, filled in on success. Its size is about 10 KiB: not for small stacks
 *
 * Returns 0, -EINVAL (@to is another machine's). Context: may sleep, no section of @dev open.
 */
int pcidev_explain(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request,
                   struct pcidev_explanation *out) __attribute__((warn_unused_result));

/* ---- whole groups ---- */

/** A transaction takes at most this many devices. */
#define PCIDEV_GROUP_MAX 256

/**
 * Lends a device together with all that cannot be kept apart from it (its isolation group, the
 * devices that it reaches without passing the IOMMU, pages and interrupt lines that they share):
 * all of them go to @to, or none. Bridges stay. A member that @to has already is fine.
 *
 * @request  .guest_address is @dev's, the others get slots of the core's choice
 *
 * Returns as pcidev_assign(), with every device as before; the refusal names the member concerned.
 * -E2BIG where there are more than PCIDEV_GROUP_MAX. Context: may sleep, no section of a member
 * open.
 */
int pcidev_assign_group(struct pcidev *dev, struct berth_domain *to,
                        const struct berth_request *request) __attribute__((warn_unused_result));

/** Says what pcidev_assign_group() would say, and does nothing. Context: as that. */
int pcidev_test_assign_group(struct pcidev *dev, struct berth_domain *to,
                             const struct berth_request *request)
    __attribute__((warn_unused_result));

/* ---- ATS ---- */

/**
 * Flushes what the devices of a domain keep of its translations themselves (PCIe 10.3): to be
 * called when something was unmapped from the domain's space, before that memory is given to
 * somebody else (X16).
 *
 * A device that does not answer is broken: its requester ids are blocked, and it loses nothing but
 * itself; the others are flushed nevertheless (F41). No lock is held but that of the one device.
 *
 * Returns 0: no device of @domain reaches what was unmapped, whether it was flushed or blocked.
 * -ETIMEDOUT, -EIO: for one of them that is not certain (@request's refusal names it), so the
 * memory must not be used again; call again later. Context: may sleep.
 */
int berth_domain_flush(struct berth_domain *domain, const struct berth_request *request)
    __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
