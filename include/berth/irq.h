/* SPDX-License-Identifier: MIT */
/*
 * Interrupts on the host's side: what the core asks of whoever owns the interrupt controllers and
 * their remapping tables.
 *
 * A guest never programs a device's messages. It programs its own view; the core binds a host
 * interrupt to each vector that the guest uses, writes the host's message into the device, and
 * passes on what fires (M30). An entry of the remapping table is good for one requester id (M32).
 */
#ifndef BERTH_IRQ_H
#define BERTH_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_machine;

enum berth_irq_kind {
    BERTH_IRQ_INTX, /* level triggered, one per function */
    BERTH_IRQ_MSI,  /* a block of vectors behind one message */
    BERTH_IRQ_MSIX, /* one message per vector */
};

/** A stable lower-case word, "intx", "msi" or "msix"; never NULL. Context: any. */
const char *berth_irq_kind_name(enum berth_irq_kind kind);

/** What a device writes to raise an interrupt. */
struct berth_message {
    uint64_t address;
    uint32_t data;
};

/** One binding: which vectors, of which device, in which of its lives. */
struct berth_irq {
    struct sbdf device;
    struct sbdf source; /* the requester id that its messages carry: behind a PCIe-to-PCI bridge
                           the bridge's alias (X55) */
    enum berth_irq_kind kind;
    uint16_t first;      /* vector */
    uint16_t count;      /* MSI: a power of two up to 32; else 1 */
    uint32_t generation; /* pcidev_generation() when it was bound: a later owner has another one */
};

struct berth_irq_ops {
    /**
     * Makes an entry that lets @irq->source, and nobody else, raise these vectors. From now on
     * whatever fires is told to berth_machine_interrupt() with a copy of @irq.
     *
     * @message  receives what to program into the device. A block of MSI vectors is at consecutive
     *           values of the data, which is a multiple of @irq->count. Unused for INTx.
     *
     * Returns 0, -ENOSPC, -ENOMEM, -EIO. May sleep; must not call back into the core.
     */
    int (*bind)(void *irqs, const struct berth_irq *irq, struct berth_message *message);

    /** Takes it away: messages that still come are blocked. May sleep, must not fail. */
    void (*unbind)(void *irqs, const struct berth_irq *irq);

    /** Whether source ids are checked (M32). NULL: they are not. */
    bool (*remaps)(void *irqs);
};

enum berth_irq_result {
    BERTH_IRQ_INJECTED, /* the guest has it */
    BERTH_IRQ_PENDING,  /* kept until the guest (or a transition) lets it through */
    BERTH_IRQ_DROPPED,  /* nobody waits for it: not bound, or bound in an earlier life */
};

/**
 * A host interrupt fired. Finds its device and vector in constant time, and injects it into the
 * guest that owns the device; while a transition holds the device the vector becomes pending.
 *
 * @irq     a copy of what was bound
 * @vector  which one of the block, 0 to count - 1
 *
 * Context: any thread, takes no lock and does not sleep; calls berth_view_ops.inject.
 */
enum berth_irq_result berth_machine_interrupt(struct berth_machine *machine,
                                              const struct berth_irq *irq, unsigned vector);

#ifdef __cplusplus
}
#endif

#endif
