/* SPDX-License-Identifier: MIT */
/*
 * INTx: a level, which has to go quiet on the host's side before the guest can handle it.
 *
 *   fires ──► asserted ──► INTX_DISABLE in the hardware ──► the guest's line goes high
 *   EOI   ──► not asserted ──► the guest's line goes low ──► INTX_DISABLE off: fires again if the
 *                                                           device still asserts it
 *
 * VECTOR_ASSERTED is what is so. What the guest was told and what the hardware's bit is follow it:
 * whoever changes the flag brings both in line, and looks at the flag again afterwards. So the last
 * one to act leaves them as the flag says, and firing needs no lock.
 */
#include "src/vpci/vector.h"

/* The byte with INTX_DISABLE has nothing that a guest, or a transition, switches. */
#define COMMAND_UPPER (PCI_COMMAND + 1)
#define UPPER_INTX_DISABLE (PCI_COMMAND_INTX_DISABLE >> 8)
#define STATUS_INTERRUPT 0x0008u /* PCI 3.0, 6.2.3 */

unsigned vpci_intx_pin(const struct vpci *v)
{
    return v->irqs ? v->irqs->pin : 0;
}

static bool asserted(const struct vpci *v)
{
    return vector_has(&v->irqs->line, VECTOR_ASSERTED);
}

/* ---- what follows the flag ---- */

#define LINE_TOLD (UINT64_C(1) << 32)

/* Where there is a line there is .intx (vector.c). */
static void line_set(const struct vpci *v, uint64_t where, bool high)
{
    const struct berth_view_config *config = &atomic_load(&v->domain->vbus)->config;

    if (where & LINE_TOLD)
        config->ops->intx(config->context, sbdf_from_key((uint32_t)where), v->irqs->pin, high);
}

/* Behind a port whose bus the guest has not numbered it sees no device. */
static uint64_t line_place(const struct vpci *v)
{
    struct sbdf at;

    return vbus_address(atomic_load(&v->domain->vbus), v, &at) ? 0 : LINE_TOLD | sbdf_key(at);
}

/* It goes low where it went high, wherever the guest has moved the device to since. */
static void line_tell_once(const struct vpci *v, bool high)
{
    uint64_t now = line_place(v), was;

    if (!high) {
        line_set(v, atomic_load(&v->irqs->told), false);
    } else if (now) {
        was = atomic_exchange(&v->irqs->told, now);
        if (was != now)
            line_set(v, was, false);
        line_set(v, now, true);
    }
}

static void line_tell(const struct vpci *v)
{
    bool told;

    do {
        told = asserted(v);
        line_tell_once(v, told);
        atomic_thread_fence(memory_order_seq_cst); /* told before the next look */
    } while (asserted(v) != told);
}

/* The line is off but where the guest waits for it: nobody else would make it go quiet. */
static bool has_to_be_off(const struct vpci *v)
{
    return !irqs_are_open(v->irqs, BERTH_IRQ_INTX) || asserted(v) ||
           !vector_has(&v->irqs->line, VECTOR_BOUND);
}

static int line_settle(const struct vpci *v)
{
    uint32_t command;
    bool off;
    int error;

    do {
        off = has_to_be_off(v);
        error = seam_read(v->dev, COMMAND_UPPER, 1, &command);
        if (!error && off != !!(command & UPPER_INTX_DISABLE))
            error = seam_write(v->dev, COMMAND_UPPER, 1, command ^ UPPER_INTX_DISABLE);
        atomic_thread_fence(memory_order_seq_cst); /* written before the next look */
    } while (!error && has_to_be_off(v) != off);
    return error;
}

void vpci_line_drop(struct vpci *v)
{
    if (atomic_fetch_and(&v->irqs->line.state, ~VECTOR_ASSERTED) & VECTOR_ASSERTED)
        line_tell(v);
}

void vpci_line_moved(struct vpci *v)
{
    if (v->irqs && asserted(v) && atomic_load(&v->irqs->told) != line_place(v))
        line_tell(v);
}

/* ---- the three that change it ---- */

enum berth_irq_result vpci_line_fire(struct vpci *v)
{
    struct vpci_irqs *irqs = v->irqs;
    bool open = irqs_are_open(irqs, BERTH_IRQ_INTX), was = true;

    if (open) {
        was = atomic_fetch_or(&irqs->line.state, VECTOR_ASSERTED) & VECTOR_ASSERTED;
        /* pairs with line_close(), which closes first and takes the flag then */
        open = irqs_are_open(irqs, BERTH_IRQ_INTX);
        if (!open)
            vpci_line_drop(v);
    }
    (void)line_settle(v); /* where the host fails, the line fires again */
    if (!was)
        line_tell(v);
    return open ? BERTH_IRQ_INJECTED : BERTH_IRQ_PENDING; /* the level itself keeps it */
}

static void line_close(struct vpci *v)
{
    vpci_vectors_close(v, BERTH_IRQ_INTX);
    vpci_line_drop(v);
}

static bool line_is_wanted(const struct vpci *v) REQUIRES(v->lock)
{
    return v->irqs->pin && v->irqs->on == BERTH_IRQ_INTX &&
           !(vpci_command(v) & PCI_COMMAND_INTX_DISABLE);
}

static bool line_bind(struct vpci *v) REQUIRES(v->lock)
{
    int error = 0;

    if (!vector_has(&v->irqs->line, VECTOR_BOUND))
        error = vpci_vectors_bind(v, BERTH_IRQ_INTX, 0, 1);
    if (error)
        vpci_complain(v, "bind INTx", error);
    return !error;
}

int vpci_intx_update(struct vpci *v)
{
    if (!v->irqs || v->dev->traits.is_vf)
        return 0;
    if (line_is_wanted(v) && line_bind(v))
        vpci_vectors_open(v, BERTH_IRQ_INTX);
    else
        line_close(v);
    return line_settle(v);
}

static void line_end(struct vpci *v)
{
    lock_take(&v->lock);
    vpci_line_drop(v);
    if (v->irqs->pin)
        (void)line_settle(v); /* the device may fire again before this returns */
    lock_drop(&v->lock);
}

void berth_domain_intx_eoi(struct berth_domain *domain, struct sbdf at)
{
    struct pcidev_section section;
    struct vpci *v = vpci_enter(domain, at, &section);

    if (!v)
        return;
    if (v->irqs)
        line_end(v);
    if (section.record)
        access_close(&section);
}

/* ---- what came while a transition held the device ---- */

/* The end of an interrupt that came meanwhile found no device: a line that is high ends here, and
 * comes up again where the device still asserts it. */
void vpci_line_recall(struct vpci *v)
{
    uint32_t status;

    if (asserted(v))
        line_end(v);
    if (!(atomic_fetch_and(&v->irqs->line.state, ~VECTOR_PENDING) & VECTOR_PENDING))
        return;
    /* a level is not kept: a reset may have taken its reason away */
    if (!seam_read(v->dev, PCI_STATUS, 2, &status) && status & STATUS_INTERRUPT)
        (void)vpci_line_fire(v);
}
