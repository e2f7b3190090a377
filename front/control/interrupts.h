/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the simulated machine on their way to the core, and what became of one that
 * somebody raised.
 */
#ifndef BERTH_CONTROL_INTERRUPTS_H
#define BERTH_CONTROL_INTERRUPTS_H

#include <pthread.h>
#include <stdbool.h>

#include <berth/irq.h>

#include "host/sim/sim.h"

struct interrupts {
    struct berth_machine *machine; /* NULL: not made yet */
    /* Locking: .turn is held while an interrupt is raised, one at a time. .lock, a leaf, protects
     * what follows: others interrupt as well, from other threads. */
    pthread_mutex_t turn, lock;
    pthread_t thread; /* that raises, with .raising */
    bool raising, told;
    enum berth_irq_result outcome;
};

void interrupts_init(struct interrupts *interrupts);
void interrupts_destroy(struct interrupts *interrupts);

/** For sim_on_interrupt(); the context is the struct interrupts. */
void interrupts_tell(void *context, const struct berth_irq *irq, unsigned vector);

/** What became of an interrupt: how far it got in the machine, then in the core. */
struct interrupt_fate {
    enum sim_irq_result machine;
    bool told; /* the core heard of it */
    enum berth_irq_result core;
};

/** A function interrupts. Returns as sim_raise(). */
int interrupts_raise(struct interrupts *interrupts, struct sim *sim, struct sbdf sbdf,
                     unsigned vector, struct interrupt_fate *fate)
    __attribute__((warn_unused_result));

/** A stable lower-case word: "none", "blocked", "pending", "injected" or "dropped". */
const char *interrupt_fate_name(const struct interrupt_fate *fate);

#endif
