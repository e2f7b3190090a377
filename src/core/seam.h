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

/**
 * The same for what is changed bit by bit, and never is all ones but where nobody answers: what was
 * read in a passing moment of that must not be written back.
 */
int seam_read_surely(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value);

/** Clears @clear and sets @set of a register of one byte (of the command register's lower one: who
 * changes the upper one meanwhile is src/vpci/intx.c), or of two. */
int seam_update8(struct pcidev *dev, unsigned reg, uint8_t clear, uint8_t set);
int seam_update16(struct pcidev *dev, unsigned reg, uint16_t clear, uint16_t set);

/** For devices of which seam_describe() says that the host can. */
int seam_reset(struct pcidev *dev);

/** What the host knows of BAR @index: 0, or -ENODATA where it does not. No section is needed. */
int seam_bar_find(struct pcidev *dev, unsigned index, struct berth_bar *bar);

/**
 * What is behind BAR @index: @length 1, 2, 4 or 8, @offset aligned to it. The caller looks after
 * decode and the power state (M14). Reads all ones and drops writes where the host gives no way.
 * 0 or -EIO.
 */
int seam_bar_read(struct pcidev *dev, unsigned index, uint64_t offset, unsigned length,
                  uint64_t *value);
int seam_bar_write(struct pcidev *dev, unsigned index, uint64_t offset, unsigned length,
                   uint64_t value);

/**
 * Binds vectors to a host interrupt and gets what to program into the device: 0, the host's error,
 * -EIO where the block that it gave is none, -EOPNOTSUPP without anybody to bind to. The
 * counterpart needs no section.
 */
int seam_irq_bind(struct pcidev *dev, const struct berth_irq *irq, struct berth_message *message);
void seam_irq_unbind(struct pcidev *dev, const struct berth_irq *irq);

/** What the host knows of the function; no section is needed. */
struct berth_function_facts seam_describe(struct pcidev *dev);

/** The reserved regions, checked; their number or -EIO. */
int seam_reserved(struct pcidev *dev, struct berth_reserved list[BERTH_RESERVED_MAX]);

int seam_map(struct pcidev *dev, struct space *space, const struct berth_reserved *region);
int seam_unmap(struct pcidev *dev, struct space *space, const struct berth_reserved *region);

/** Points a context at @space, NULL: clears it. Keeps the counts of both spaces true. */
int seam_attach(struct pcidev *dev, struct rid_entry *entry, struct space *space)
    REQUIRES(entry->lock);

/** Lets the IOMMU believe translated requests of @rid, or not. 0, -EOPNOTSUPP or -EIO. */
int seam_ats(struct pcidev *dev, struct sbdf rid, bool on);

/** Flushes what a context has cached of the space that it points to. With the entry's lock. */
int seam_invalidate(struct pcidev *dev, struct rid_entry *entry) REQUIRES(entry->lock);

/** Flushes what is stale behind a context. */
int seam_flush(struct pcidev *dev, struct rid_entry *entry) REQUIRES(entry->lock);

#endif
