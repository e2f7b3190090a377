/* SPDX-License-Identifier: MIT */
/*
 * The books of the seam: what the core has got out of the IOMMU, the interrupt controllers and the
 * guests' VMMs, and has not given back. They are kept in an order of their own, so that two states
 * that are the same have the same books.
 */
#ifndef BERTH_SWEEP_BOOKS_H
#define BERTH_SWEEP_BOOKS_H

#include "tests/sweep/seam.h"

void books_space(void *handle, enum berth_space_kind kind, uint32_t id);
void books_space_gone(void *handle);
void books_attach(struct sbdf rid, void *space);
void books_detach(struct sbdf rid);
void books_map(void *space, const struct berth_reserved *region);
void books_unmap(void *space, const struct berth_reserved *region);
void books_bind(const struct berth_irq *irq);
void books_unbind(const struct berth_irq *irq);
void books_piece(const struct berth_piece *piece);
void books_piece_gone(const struct berth_piece *piece);

/** What the books of @from say, in the order of addresses and without handles. */
void books_copy(struct books *to, const struct books *from);

#endif
