/* SPDX-License-Identifier: MIT */
/*
 * The one seam where the core calls the host and the IOMMU (A1). Debug builds stop here when the
 * calling thread has no section of the device open; a disconnected device is short-circuited here
 * (A4).
 */
#ifndef CORE_SEAM_H
#define CORE_SEAM_H

#include "src/core/space.h"

/** Takes the function over from the host and gives it back; no section is needed for these two. */
int seam_claim(struct pcidev *dev);
void seam_release(struct pcidev *dev);

/** Config space; @length 1, 2 or 4, aligned. 0 or -EIO. */
int seam_read(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value);
int seam_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value);

/** Clears @clear and sets @set of a 16-bit register. */
int seam_update16(struct pcidev *dev, unsigned reg, uint16_t clear, uint16_t set);

int seam_reset(struct pcidev *dev);

/** What the host knows of the function; no section is needed. */
struct berth_function_facts seam_describe(struct pcidev *dev);

/** The reserved regions, checked; their number or -EIO. */
int seam_reserved(struct pcidev *dev, struct berth_reserved list[BERTH_RESERVED_MAX]);

int seam_map(struct pcidev *dev, struct space *space, const struct berth_reserved *region);
int seam_unmap(struct pcidev *dev, struct space *space, const struct berth_reserved *region);

/** Points a context at @space, NULL: clears it. Keeps the counts of both spaces true. */
int seam_attach(struct pcidev *dev, struct rid_entry *entry, struct space *space);

/** Flushes what is stale behind a context. */
int seam_flush(struct pcidev *dev, struct rid_entry *entry);

#endif
