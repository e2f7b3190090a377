/* SPDX-License-Identifier: MIT */
/*
 * Resets: what they take away, and how long nothing answers.
 */
#include <berth/errno.h>
#include <berth_port.h>

#include "host/sim/sim_internal.h"

static uint64_t end_of_reset(const struct sim_function *f, uint64_t at)
{
    return atomic_load(&f->hang_on_reset) ? SIM_NEVER : at;
}

void sim_reset_function(struct sim_function *f, uint64_t now, uint64_t ns)
{
    atomic_store(&f->answers_at, end_of_reset(f, now + ns));
    sim_registers_reset(f, SIM_DEPTH_FUNCTION);
}

/* VFs are gone as soon as their PF is reset: the reset clears VF Enable. */
static void hold(struct sim *sim, struct sim_function *f, uint64_t now)
{
    (void)sim;
    (void)now;
    if (f->pf)
        return;
    pthread_mutex_lock(&f->lock);
    atomic_store(&f->answers_at, SIM_NEVER);
    atomic_store(&f->contained, false); /* a port, whose buses are reset with it */
    sim_registers_reset(f, SIM_DEPTH_BUS);
    pthread_mutex_unlock(&f->lock);
}

static void let_go(struct sim *sim, struct sim_function *f, uint64_t now)
{
    if (!f->pf)
        atomic_store(&f->answers_at, end_of_reset(f, now + sim->options.bus_reset_ns));
}

void sim_bus_reset(struct sim *sim, struct sim_function *bridge, bool held, uint64_t now)
{
    sim_for_behind(sim, bridge, held ? hold : let_go, now);
}

int sim_hang_on_reset(struct sim *sim, struct sbdf sbdf, bool on)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f)
        return -ENODEV;
    atomic_store(&f->hang_on_reset, on);
    return 0;
}

/* ---- the reset that only the host knows ---- */

int sim_set_host_reset(struct sim *sim, struct sbdf sbdf, bool on, uint64_t ns)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f)
        return -ENODEV;
    pthread_mutex_lock(&f->lock);
    f->host_reset = on;
    f->host_reset_ns = ns;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

bool sim_has_reset(struct sim_function *f)
{
    bool has;

    pthread_mutex_lock(&f->lock);
    has = f->host_reset;
    pthread_mutex_unlock(&f->lock);
    return has;
}

static int begin_host_reset(struct sim_function *f, uint64_t *ns)
{
    int error = 0;

    pthread_mutex_lock(&f->lock);
    *ns = f->host_reset_ns;
    if (!f->host_reset) {
        error = -ENOTTY;
    } else {
        atomic_store(&f->answers_at, SIM_NEVER);
        sim_registers_reset(f, SIM_DEPTH_FUNCTION);
    }
    pthread_mutex_unlock(&f->lock);
    return error;
}

int sim_op_reset(void *host, berth_claim claim)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);
    int error = sim_planned(sim, SIM_OP_RESET);
    uint64_t ns;

    if (error)
        return error;
    if (!f)
        return -EIO;
    if (!sim_plugged(f)) {
        sim_count(&f->tally.vanished);
        return -EIO;
    }
    error = begin_host_reset(f, &ns);
    if (error)
        return error;
    port_sleep_ns(ns);
    atomic_store(&f->answers_at, end_of_reset(f, 0));
    return 0;
}
