/* SPDX-License-Identifier: MIT */
/*
 * The interrupts of a view, from the inside.
 *
 *   the guest's registers ──► struct vpci_vector ──► berth_irq_ops.bind ──► the host's message in
 *                                     ▲                                     the hardware
 *   berth_machine_interrupt() ────────┘──► berth_view_ops.inject, with the guest's message
 *
 * A message that fires is made pending first and delivered then, if nothing holds it back. Whoever
 * takes something away that held it back (a mask, a function mask, a transition's gate) does that
 * first and looks for what is pending then. Each side stores before it loads, both sequentially
 * consistent, so at least one of them sees the other; an exchange decides which one delivers
 * (F110).
 *
 * Masks are the guest's. The host's own mask (X56) is where a vector is not bound: the hardware
 * lets a vector through when it is bound, the guest has not masked it, and not otherwise.
 */
#ifndef VPCI_VECTOR_H
#define VPCI_VECTOR_H

#include "src/core/registers.h"
#include "src/vpci/vpci.h"

#define VPCI_IRQ_KINDS 3u /* enum berth_irq_kind */

/* Bits of vpci_vector.state. */
#define VECTOR_BOUND 1u
#define VECTOR_PENDING 2u  /* fired, and held back */
#define VECTOR_MASKED 4u   /* by the guest */
#define VECTOR_ASSERTED 8u /* INTx: the guest was told, and has not handled it yet */
#define VECTOR_EPOCH                                                             \
    16u /* the rest counts masks: a message that was read across one is not sent \
         */

/* Bits of vpci_vector.hardware: what its entry of the MSI-X table holds. */
#define ENTRY_WRITTEN 1u /* the host's message */
#define ENTRY_OPEN 2u    /* its mask is off */

/** One vector. There may be 2,048 of them: mind its size. */
struct vpci_vector {
    struct berth_message host GUARDED_BY(vpci, lock); /* what the device sends */
    _Atomic uint64_t guest_address; /* what the guest gets. Written under .lock, read without */
    _Atomic uint32_t guest_data;
    _Atomic uint32_t generation; /* of the device, when it was bound */
    _Atomic uint32_t state;
    uint16_t hardware GUARDED_BY(vpci, lock); /* ENTRY_* */
    uint8_t source_bus, source_devfn; /* where it was bound: a bridge may come above later */
};

_Static_assert(sizeof(struct vpci_vector) <= 40, "a view has to stay below 8 KiB");

/** Where in a BAR something is, as latched when the view was made (X44). */
struct vpci_place {
    uint8_t bar;
    uint32_t offset, length; /* 0: there is none */
};

struct vpci_irqs {
    struct vpci_vector *vector[VPCI_IRQ_KINDS]; /* .count each; set before the view is found */
    uint16_t count[VPCI_IRQ_KINDS];
    /* Whether the function lets a kind through: bit 0. The rest counts changes, as an epoch. */
    _Atomic uint32_t open[VPCI_IRQ_KINDS];

    /* What follows is read and written under the view's lock. */
    /* which kind the function uses; INTx where neither MSI nor MSI-X is on: so there are never two
     * (O8) */
    enum berth_irq_kind on GUARDED_BY(vpci, lock);
    uint8_t pin;                            /* 1 to 4; 0: the guest has no INTx */
    bool all_masked GUARDED_BY(vpci, lock); /* the guest's function mask of MSI-X */
    bool scrubbed GUARDED_BY(vpci, lock); /* every entry of the MSI-X table is as .hardware says */
    uint16_t msi_at, msix_at;             /* 0: not there, or hidden */
    uint16_t msi_bound GUARDED_BY(vpci, lock); /* vectors in the block that is bound, 0: none */
    struct vpci_place table, pba;
    struct vpci_vector line;
    _Atomic uint64_t told; /* where the guest was told last that the line is high: intx.c */
};

/* ---- vector.c: vectors of any kind. With the view's lock, where nothing else is said ---- */

/** Makes the vectors of a kind, masked or not. 0 or -ENOMEM. */
int vpci_vectors_make(struct vpci *v, enum berth_irq_kind kind, unsigned count, bool masked);

/** Binds @count vectors from @first on to one host interrupt. 0 or the host's error. May sleep. */
int vpci_vectors_bind(struct vpci *v, enum berth_irq_kind kind, unsigned first, unsigned count)
    REQUIRES(v->lock);
/** The counterpart; nothing pending is left. */
void vpci_vectors_unbind(struct vpci *v, enum berth_irq_kind kind, unsigned first, unsigned count)
    REQUIRES(v->lock);

/** The guest's message and mask of one vector. Unmasking delivers what is pending. */
void vpci_vector_set(struct vpci_vector *vec, uint64_t address, uint32_t data);
void vpci_vector_mask(struct vpci *v, enum berth_irq_kind kind, unsigned index, bool masked);

/** Lets all vectors of a kind through, and delivers what is pending; and holds them back. */
void vpci_vectors_open(struct vpci *v, enum berth_irq_kind kind);
void vpci_vectors_close(struct vpci *v, enum berth_irq_kind kind);

/** Pending vectors among 32 from @first on, as bits. Any context that keeps the view. */
uint32_t vpci_vectors_pending(const struct vpci_irqs *irqs, enum berth_irq_kind kind,
                              unsigned first);

static inline bool vector_has(const struct vpci_vector *vec, uint32_t bits)
{
    return atomic_load(&vec->state) & bits;
}

static inline bool irqs_are_open(const struct vpci_irqs *irqs, enum berth_irq_kind kind)
{
    return atomic_load(&irqs->open[kind]) & 1;
}

/** What the embedder's ops are called with. */
static inline void *irqs_context(const struct vpci *v)
{
    return atomic_load(&v->domain->vbus)->config.context;
}

/* ---- intx.c ---- */

/** INTx fired. Inside a section, takes no lock. */
enum berth_irq_result vpci_line_fire(struct vpci *v);
/** The gate has opened: a line that came up, or was handled, meanwhile is told as it is now. */
void vpci_line_recall(struct vpci *v);
/** Tells the guest that its line is low, if it was told otherwise. */
void vpci_line_drop(struct vpci *v);

/* ---- cap_msi.c, cap_msix.c: with the view's lock, inside a section ---- */

/** Writes everything again into hardware that lost it. 0 or -EIO. */
int vpci_msi_restore(struct vpci *v) REQUIRES(v->lock);
int vpci_msix_restore(struct vpci *v) REQUIRES(v->lock);

#endif
