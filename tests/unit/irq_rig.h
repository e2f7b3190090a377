/* SPDX-License-Identifier: MIT */
/*
 * A rig with a guest that has one device, and hears its interrupts.
 *
 *     irq_begin(&ir);                     the standard machine; may be changed
 *     irq_up(&ir, rig_nvme);              lends that one, with bus mastering and memory on
 *     ... sim_raise(ir.rig.sim, ...) ... ir.injected, ir.line ...
 *     irq_down(&ir);
 */
#ifndef BERTH_TESTS_IRQ_RIG_H
#define BERTH_TESTS_IRQ_RIG_H

#include <pthread.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "tests/unit/rig.h"

#define IRQ_SEEN 256
#define IRQ_CONTROLLER 0xfee00000u   /* of interrupts: where the simulator has it */
#define IRQ_BAR UINT64_C(0x80000000) /* where the guest puts BAR 0 */

struct irq_rig {
    struct rig rig;
    struct berth_domain *guest;
    struct sbdf dev, at; /* the host's address, and the guest's */
    rig_configure *configure;
    void (*prepare)(struct irq_rig *ir); /* before the device is lent */
    bool no_line, no_inject;             /* the guest's VMM takes none */

    pthread_mutex_t lock; /* of what is no atomic below */

    /* what the guest heard */
    _Atomic unsigned injected, edges;
    _Atomic bool line;
    _Atomic bool closed;   /* from now on it must hear nothing */
    _Atomic unsigned late; /* and this is what it heard */
    struct irq_seen {
        unsigned vector;
        struct berth_message message;
        bool answers; /* the device, at that moment: read by the guest's handler */
    } seen[IRQ_SEEN];

    /* what the host heard */
    _Atomic unsigned fired, results[3];
    struct berth_irq last;
    unsigned last_vector;

    /* called in the middle of transitions, when the guest's VMM lets go */
    void (*during)(struct irq_rig *ir);
    /* called once, when the guest's VMM is told of its line, before that has an effect */
    void (*_Atomic telling)(void);
    int withdraw_error; /* and then it does not */
};

void irq_begin(struct irq_rig *ir);
void irq_up(struct irq_rig *ir, struct sbdf dev);
void irq_down(struct irq_rig *ir);

/** Another guest with the same ears. */
struct berth_domain *irq_guest(struct irq_rig *ir, const char *name);
/** Lends .dev to .guest and switches its memory and bus mastering on. */
void irq_lend(struct irq_rig *ir);
void irq_take_back(struct irq_rig *ir);

/** The guest's config space; and an offset in it, 0 where it sees no such capability. */
uint32_t irq_get(struct irq_rig *ir, unsigned reg, unsigned length);
void irq_put(struct irq_rig *ir, unsigned reg, unsigned length, uint32_t value);
unsigned irq_cap(struct irq_rig *ir, unsigned id);

/** The guest writes a power state. */
void irq_set_power(struct irq_rig *ir, unsigned state);

/** The device raises a vector, or INTx. What the simulator says of it. */
enum sim_irq_result irq_raise(struct irq_rig *ir, unsigned vector);
/** The last interrupt that was injected. */
const struct irq_seen *irq_last(struct irq_rig *ir);
struct sim_counters irq_counters(struct irq_rig *ir);
unsigned irq_bindings(struct irq_rig *ir);
/** References that the device's vectors hold (C6). */
unsigned irq_holds(struct irq_rig *ir);
/** INTX_DISABLE in the hardware. */
bool irq_line_is_off(struct irq_rig *ir);

#endif
