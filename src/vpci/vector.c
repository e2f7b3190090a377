/* SPDX-License-Identifier: MIT */
/* Vectors of any kind: bound to host interrupts, masked, pending, delivered (vector.h). */
#include "src/vpci/vector.h"

#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/view.h"

#define INTERRUPT_PIN 0x3d
#define PIN_LAST 4u /* INTD */

#define GATE_CLOSED (GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED)

static const char tag_interrupt[] = "interrupt";

/* ---- made and freed ---- */

void vpci_irqs_free(struct vpci_irqs *irqs)
{
    if (!irqs)
        return;
    port_free(irqs->vector[BERTH_IRQ_MSI]);
    port_free(irqs->vector[BERTH_IRQ_MSIX]);
    port_free(irqs);
}

/* O4: with a line that is shared with another owner's device, neither could have it. */
static bool line_is_usable(const struct vpci *v) REQUIRES(v->dev->lock)
{
    const struct berth_view_ops *ops = vpci_ops(v);

    return ops && ops->intx && share_line_take(v->dev);
}

static int line_init(struct vpci *v) REQUIRES(v->dev->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    uint32_t pin;
    int error = seam_read(v->dev, INTERRUPT_PIN, 1, &pin);

    if (error || !pin || pin > PIN_LAST || v->dev->traits.is_vf || !line_is_usable(v))
        return error;
    irqs->pin = (uint8_t)pin;
    irqs->vector[BERTH_IRQ_INTX] = &irqs->line;
    irqs->count[BERTH_IRQ_INTX] = 1;
    return 0;
}

int vpci_irqs_init(struct vpci *v)
{
    if (!v->dev->machine->config.irqs)
        return 0;
    v->irqs = vpci_memory(v, sizeof(*v->irqs));
    return v->irqs ? line_init(v) : -ENOMEM;
}

int vpci_vectors_make(struct vpci *v, enum berth_irq_kind kind, unsigned count, bool masked)
{
    struct vpci_irqs *irqs = v->irqs;

    irqs->vector[kind] = vpci_memory(v, count * sizeof(struct vpci_vector));
    if (!irqs->vector[kind])
        return -ENOMEM;
    irqs->count[kind] = (uint16_t)count;
    for (unsigned i = 0; i < count && masked; i++)
        atomic_init(&irqs->vector[kind][i].state, VECTOR_MASKED);
    return 0;
}

/* ---- binding ---- */

static struct berth_irq describe(const struct vpci *v, enum berth_irq_kind kind, unsigned first,
                                 unsigned count)
{
    const struct vpci_vector *vec = &v->irqs->vector[kind][first];

    return (struct berth_irq){
        .device = v->dev->sbdf,
        .source = {v->dev->sbdf.segment, vec->source_bus, vec->source_devfn},
        .kind = kind,
        .first = (uint16_t)first,
        .count = (uint16_t)count,
        .generation = atomic_load(&vec->generation),
    };
}

int vpci_vectors_bind(struct vpci *v, enum berth_irq_kind kind, unsigned first, unsigned count)
{
    struct vpci_vector *vec = &v->irqs->vector[kind][first];
    const struct sbdf source = rids_source(v->dev);
    struct berth_irq irq;
    int error;

    vec->source_bus = source.bus;
    vec->source_devfn = source.devfn;
    for (unsigned i = 0; i < count; i++)
        atomic_store(&vec[i].generation, pcidev_generation(v->dev));
    irq = describe(v, kind, first, count);
    error = seam_irq_bind(v->dev, &irq, &vec->host);
    if (error)
        return error;
    device_hold(v->dev, HOLD_VECTOR);
    for (unsigned i = 0; i < count; i++)
        atomic_fetch_or(&vec[i].state, VECTOR_BOUND);
    return 0;
}

void vpci_vectors_unbind(struct vpci *v, enum berth_irq_kind kind, unsigned first, unsigned count)
{
    struct vpci_vector *vec = &v->irqs->vector[kind][first];
    const struct berth_irq irq = describe(v, kind, first, count);

    for (unsigned i = 0; i < count; i++) {
        atomic_fetch_and(&vec[i].state, ~(VECTOR_BOUND | VECTOR_PENDING | VECTOR_ASSERTED));
        atomic_fetch_add(&vec[i].state, VECTOR_EPOCH); /* what fires just now finds it changed */
    }
    seam_irq_unbind(v->dev, &irq);
    device_unhold(v->dev, HOLD_VECTOR);
}

static void unbind_all(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;

    if (irqs->msi_bound)
        vpci_vectors_unbind(v, BERTH_IRQ_MSI, 0, irqs->msi_bound);
    irqs->msi_bound = 0;
    for (unsigned i = 0; i < irqs->count[BERTH_IRQ_MSIX]; i++)
        if (vector_has(&irqs->vector[BERTH_IRQ_MSIX][i], VECTOR_BOUND))
            vpci_vectors_unbind(v, BERTH_IRQ_MSIX, i, 1);
    vpci_line_drop(v);
    if (vector_has(&irqs->line, VECTOR_BOUND))
        vpci_vectors_unbind(v, BERTH_IRQ_INTX, 0, 1);
}

/* ---- delivery: whoever runs this is inside a section, and nobody needs the lock ---- */

static struct berth_message message_of(const struct vpci_vector *vec)
{
    /* acquire: what was stored before a part of a new message is seen by the looks that follow */
    return (struct berth_message){
        .address = atomic_load_explicit(&vec->guest_address, memory_order_acquire),
        .data = atomic_load_explicit(&vec->guest_data, memory_order_acquire),
    };
}

static enum berth_irq_result inject(const struct vpci *v, unsigned index,
                                    const struct berth_message *message)
{
    const struct berth_view_ops *ops = vpci_ops(v);

    if (!ops || !ops->inject)
        return BERTH_IRQ_DROPPED;
    ops->inject(irqs_context(v), v->dev, index, message);
    return BERTH_IRQ_INJECTED;
}

/*
 * Sends what is pending unless something holds it back. The message is read between two looks at
 * the masks, which count how often they were set: a guest that masks a vector to change its message
 * never gets half of each.
 */
static enum berth_irq_result deliver(const struct vpci *v, enum berth_irq_kind kind, unsigned index)
{
    struct vpci_vector *vec = &v->irqs->vector[kind][index];
    struct berth_message message;
    uint32_t state, open;

    do {
        open = atomic_load(&v->irqs->open[kind]);
        state = atomic_load(&vec->state);
        if (!(state & VECTOR_BOUND))
            return BERTH_IRQ_DROPPED;
        if (!(state & VECTOR_PENDING)) /* somebody else has just sent it */
            return BERTH_IRQ_INJECTED;
        if (state & VECTOR_MASKED || !(open & 1))
            return BERTH_IRQ_PENDING;
        message = message_of(vec);
    } while (atomic_load(&v->irqs->open[kind]) != open ||
             !atomic_compare_exchange_weak(&vec->state, &state, state & ~VECTOR_PENDING));
    return inject(v, index, &message);
}

/* After something has been taken away that held vectors back. */
static void deliver_pending(struct vpci *v, enum berth_irq_kind kind, unsigned index)
{
    if (vector_has(&v->irqs->vector[kind][index], VECTOR_PENDING))
        (void)deliver(v, kind, index);
}

static void deliver_all_pending(struct vpci *v, enum berth_irq_kind kind)
{
    for (unsigned i = 0; i < v->irqs->count[kind]; i++)
        deliver_pending(v, kind, i);
}

uint32_t vpci_vectors_pending(const struct vpci_irqs *irqs, enum berth_irq_kind kind,
                              unsigned first)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 32 && first + i < irqs->count[kind]; i++)
        if (vector_has(&irqs->vector[kind][first + i], VECTOR_PENDING))
            bits |= 1u << i;
    return bits;
}

/* ---- what the guest sets ---- */

void vpci_vector_set(struct vpci_vector *vec, uint64_t address, uint32_t data)
{
    /* release: who reads a part of the new message sees the mask that was set before */
    atomic_store_explicit(&vec->guest_address, address, memory_order_release);
    atomic_store_explicit(&vec->guest_data, data, memory_order_release);
}

void vpci_vector_mask(struct vpci *v, enum berth_irq_kind kind, unsigned index, bool masked)
{
    struct vpci_vector *vec = &v->irqs->vector[kind][index];
    uint32_t old = atomic_load(&vec->state), new;

    if (!(old & VECTOR_MASKED) == !masked)
        return;
    do {
        new = masked ? (old | VECTOR_MASKED) + VECTOR_EPOCH : old & ~VECTOR_MASKED;
    } while (!atomic_compare_exchange_weak(&vec->state, &old, new));
    if (!masked)
        deliver_pending(v, kind, index);
}

void vpci_vectors_open(struct vpci *v, enum berth_irq_kind kind)
{
    if (irqs_are_open(v->irqs, kind))
        return;
    atomic_fetch_add(&v->irqs->open[kind], 1);
    if (kind != BERTH_IRQ_INTX)
        deliver_all_pending(v, kind);
}

void vpci_vectors_close(struct vpci *v, enum berth_irq_kind kind)
{
    if (irqs_are_open(v->irqs, kind))
        atomic_fetch_add(&v->irqs->open[kind], 1);
}

/* ---- what fires ---- */

static struct vpci_vector *vector_find(const struct vpci *v, const struct berth_irq *irq,
                                       unsigned vector)
{
    if (!v || !v->irqs || (unsigned)irq->kind >= VPCI_IRQ_KINDS || vector >= irq->count ||
        irq->first + vector >= v->irqs->count[irq->kind])
        return NULL;
    return &v->irqs->vector[irq->kind][irq->first + vector];
}

/* False: it is not what was bound, or was bound in an earlier life. */
static bool make_pending(struct vpci_vector *vec, const struct berth_irq *irq)
{
    uint32_t state = atomic_load(&vec->state);

    do {
        if (!(state & VECTOR_BOUND) || atomic_load(&vec->generation) != irq->generation)
            return false;
    } while (!atomic_compare_exchange_weak(&vec->state, &state, state | VECTOR_PENDING));
    return true;
}

static enum berth_irq_result fire(struct vpci *v, const struct berth_irq *irq, unsigned vector)
{
    if (irq->kind != BERTH_IRQ_INTX)
        return deliver(v, irq->kind, irq->first + vector);
    atomic_fetch_and(&v->irqs->line.state, ~VECTOR_PENDING); /* a level is told again if need be */
    return vpci_line_fire(v);
}

/* Inside a read-side section, which keeps the device and its view in memory, but not in use. */
static enum berth_irq_result device_fire(struct pcidev *dev, const struct berth_irq *irq,
                                         unsigned vector) READ_SIDE
{
    struct vpci *v = atomic_load_explicit(&dev->vpci, memory_order_acquire);
    struct vpci_vector *vec = vector_find(v, irq, vector);
    enum berth_irq_result result = BERTH_IRQ_DROPPED;
    struct pcidev_section section;

    if (!vec || !make_pending(vec, irq))
        return BERTH_IRQ_DROPPED;
    /* pairs with the one in view_opened(): the gate is open here, or the vector is pending there */
    atomic_thread_fence(memory_order_seq_cst);
    if (!access_open(dev, GATE_CLOSED, NULL, tag_interrupt, &section))
        return atomic_load(&dev->gate) & (GATE_SHUT | GATE_DISCONNECTED) ? BERTH_IRQ_DROPPED
                                                                         : BERTH_IRQ_PENDING;
    /* a view that was replaced meanwhile is not the one that was fired at (O2) */
    if (atomic_load_explicit(&dev->vpci, memory_order_acquire) == v)
        result = fire(v, irq, vector);
    access_close(&section);
    return result;
}

enum berth_irq_result berth_machine_interrupt(struct berth_machine *machine,
                                              const struct berth_irq *irq, unsigned vector)
{
    enum berth_irq_result result = BERTH_IRQ_DROPPED;
    struct pcidev *dev;

    port_read_lock();
    dev = device_peek(machine, irq->device);
    if (dev)
        result = device_fire(dev, irq, vector);
    port_read_unlock();
    return result;
}

void view_opened(struct pcidev *dev)
{
    struct vpci *v = atomic_load(&dev->vpci);

    if (!v || !v->irqs || !v->published || device_disconnected(dev))
        return;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the one in device_fire() */
    deliver_all_pending(v, BERTH_IRQ_MSI);
    deliver_all_pending(v, BERTH_IRQ_MSIX);
    vpci_line_recall(v);
}

/* ---- the life of all of them ---- */

int vpci_irqs_restore(struct vpci *v)
{
    int error;

    if (!v->irqs)
        return 0;
    error = vpci_intx_update(v);
    if (!error)
        error = vpci_msi_restore(v);
    if (!error)
        error = vpci_msix_restore(v);
    return error;
}

static void forget(struct vpci *v, enum berth_irq_kind kind, uint32_t state) REQUIRES(v->lock)
{
    for (unsigned i = 0; i < v->irqs->count[kind]; i++) {
        struct vpci_vector *vec = &v->irqs->vector[kind][i];

        vpci_vector_set(vec, 0, 0);
        atomic_store(&vec->state, state);
        vec->hardware = 0;
    }
}

void vpci_irqs_reset(struct vpci *v)
{
    struct vpci_irqs *irqs = v->irqs;

    if (!irqs)
        return;
    for (unsigned kind = 0; kind < VPCI_IRQ_KINDS; kind++)
        vpci_vectors_close(v, (enum berth_irq_kind)kind);
    unbind_all(v);
    forget(v, BERTH_IRQ_MSI, 0);
    forget(v, BERTH_IRQ_MSIX, VECTOR_MASKED);
    irqs->on = BERTH_IRQ_INTX;
    irqs->all_masked = false;
    irqs->scrubbed = false;
}

void vpci_irqs_destroy(struct vpci *v)
{
    if (!v->irqs)
        return;
    for (unsigned kind = 0; kind < VPCI_IRQ_KINDS; kind++)
        vpci_vectors_close(v, (enum berth_irq_kind)kind);
    unbind_all(v);
    if (v->irqs->pin)
        share_line_drop(v->dev);
}
