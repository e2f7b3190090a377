/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of an IOMMU.
 *
 * A space is a set of translations: a domain's, or the private one of a device in quarantine (its
 * reserved regions, and with BERTH_SPACE_SCRATCH a zeroed page behind everything else). A context
 * is what a requester id points to: a space, or nothing (DMA is blocked). The core calls
 * the ops for every requester id of a device (M22) and never for two devices under one lock (K1).
 */
#ifndef BERTH_IOMMU_H
#define BERTH_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/host.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

enum berth_space_kind {
    BERTH_SPACE_DOMAIN,  /* the translations of a domain */
    BERTH_SPACE_BLOCK,   /* quarantine: nothing but the device's reserved regions; else faults */
    BERTH_SPACE_SCRATCH, /* quarantine: as BLOCK, and every other address hits one private page */
};

struct berth_iommu_ops {
    /**
     * Makes a space. @id is the domain's id, or for a quarantine space the key of the device.
     * A scratch page is zeroed. Returns 0 with *@space, -ENOMEM, -ENOSPC, -EOPNOTSUPP where the
     * kind is not supported. May sleep.
     */
    int (*space_create)(void *iommu, enum berth_space_kind kind, uint32_t id, void **space);

    /** Frees a space that no context points to. */
    void (*space_destroy)(void *iommu, void *space);

    /**
     * Maps a reserved region one to one. The core counts: one call per space and region.
     * Returns 0, or -ENOMEM, -EIO, -EEXIST with nothing of the region mapped.
     */
    int (*map)(void *iommu, void *space, const struct berth_reserved *region);

    /** Unmaps and flushes it. Returns 0, -ENOENT where it was not mapped (benign), -EIO. */
    int (*unmap)(void *iommu, void *space, const struct berth_reserved *region);

    /**
     * Points the context of @rid at @space, in one step from whatever it pointed to: a reader
     * finds the old or the new one, never neither. Does not flush.
     * Returns 0, or -EIO, -ENOSPC, -ENOMEM with the context unchanged.
     */
    int (*attach)(void *iommu, struct sbdf rid, void *space);

    /** Clears the context: DMA of @rid is blocked. Does not flush. Errors as attach. */
    int (*detach)(void *iommu, struct sbdf rid);

    /**
     * Drops what IOMMU and device have cached for @rid from @old_space (never NULL).
     * Returns 0, -ETIMEDOUT where the device did not answer, -EIO. May sleep.
     */
    int (*flush)(void *iommu, struct sbdf rid, void *old_space);

    /** The isolation group of @rid. Returns 0 with *@group, or -errno (which is no group). */
    int (*group)(void *iommu, struct sbdf rid, uint32_t *group);

    /**
     * Lets @rid send requests with addresses that it has translated itself (ATS, PCIe 10), or not:
     * then flush() also waits for the device. Returns 0, -EOPNOTSUPP (not for this one), -EIO.
     * May sleep. NULL: never.
     */
    int (*ats)(void *iommu, struct sbdf rid, bool on);
};

#ifdef __cplusplus
}
#endif

#endif
