/* SPDX-License-Identifier: MIT */
#include "front/control/interrupts.h"

void interrupts_init(struct interrupts *interrupts)
{
    *interrupts = (struct interrupts){.machine = NULL};
    pthread_mutex_init(&interrupts->turn, NULL);
    pthread_mutex_init(&interrupts->lock, NULL);
}

void interrupts_destroy(struct interrupts *interrupts)
{
    pthread_mutex_destroy(&interrupts->turn);
    pthread_mutex_destroy(&interrupts->lock);
}

void interrupts_tell(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct interrupts *interrupts = context;
    enum berth_irq_result result = berth_machine_interrupt(interrupts->machine, irq, vector);

    pthread_mutex_lock(&interrupts->lock);
    if (interrupts->raising && pthread_equal(interrupts->thread, pthread_self())) {
        interrupts->told = true;
        interrupts->outcome = result;
    }
    pthread_mutex_unlock(&interrupts->lock);
}

static void raising_set(struct interrupts *interrupts, bool raising)
{
    pthread_mutex_lock(&interrupts->lock);
    interrupts->thread = pthread_self();
    interrupts->raising = raising;
    if (raising)
        interrupts->told = false;
    pthread_mutex_unlock(&interrupts->lock);
}

int interrupts_raise(struct interrupts *interrupts, struct sim *sim, struct sbdf sbdf,
                     unsigned vector, struct interrupt_fate *fate)
{
    int error;

    pthread_mutex_lock(&interrupts->turn);
    raising_set(interrupts, true);
    error = sim_raise(sim, sbdf, vector, &fate->machine);
    raising_set(interrupts, false);
    fate->told = interrupts->told; /* nobody else raises, and only who raises writes it */
    fate->core = interrupts->outcome;
    pthread_mutex_unlock(&interrupts->turn);
    return error;
}

const char *interrupt_fate_name(const struct interrupt_fate *fate)
{
    static const char *const machine[] = {
        [SIM_IRQ_NONE] = "none",
        [SIM_IRQ_BLOCKED] = "blocked",
        [SIM_IRQ_DELIVERED] = "delivered",
        [SIM_IRQ_PENDING] = "pending",
    };
    static const char *const core[] = {
        [BERTH_IRQ_INJECTED] = "injected",
        [BERTH_IRQ_PENDING] = "pending",
        [BERTH_IRQ_DROPPED] = "dropped",
    };

    return fate->told ? core[fate->core] : machine[fate->machine];
}
