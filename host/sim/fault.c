/* SPDX-License-Identifier: MIT */
/*
 * Failing on demand (P2): the n-th call of an operation returns an error and does nothing.
 */
#include <berth/errno.h>

#include "host/sim/sim_internal.h"

static const struct {
    const char *name;
    int usual; /* the error where the caller of sim_fail() names none */
} ops[SIM_OP_COUNT + 1] = {
    [SIM_OP_CLAIM] = {"claim", -EBUSY},
    [SIM_OP_CONFIG_READ] = {"config_read", -EIO},
    [SIM_OP_CONFIG_WRITE] = {"config_write", -EIO},
    [SIM_OP_RESET] = {"reset", -EIO},
    [SIM_OP_RESERVED] = {"reserved", -EIO},
    [SIM_OP_SPACE_CREATE] = {"space_create", -ENOMEM},
    [SIM_OP_MAP] = {"map", -ENOMEM},
    [SIM_OP_UNMAP] = {"unmap", -EIO},
    [SIM_OP_ATTACH] = {"attach", -EIO},
    [SIM_OP_DETACH] = {"detach", -EIO},
    [SIM_OP_FLUSH] = {"flush", -ETIMEDOUT},
    [SIM_OP_BAR_READ] = {"bar_read", -EIO},
    [SIM_OP_BAR_WRITE] = {"bar_write", -EIO},
    [SIM_OP_BIND] = {"bind", -ENOSPC},
    [SIM_OP_ANY] = {"any", 0},
};

const char *sim_op_name(enum sim_op op)
{
    return (unsigned)op <= SIM_OP_COUNT ? ops[op].name : "unknown";
}

void sim_fail(struct sim *sim, enum sim_op op, unsigned nth, unsigned count, int error)
{
    struct sim_plan *plan = &sim->plans[op];

    atomic_store(&plan->armed, false);
    atomic_store(&plan->failed, false);
    atomic_store(&plan->seen, 0);
    atomic_store(&plan->nth, nth);
    atomic_store(&plan->count, count);
    atomic_store(&plan->error, error);
    atomic_store(&plan->armed, nth != 0);
}

bool sim_failed(struct sim *sim, enum sim_op op)
{
    return atomic_load(&sim->plans[op].failed);
}

static int plan_step(struct sim_plan *plan, enum sim_op op)
{
    uint32_t call, nth;
    int error;

    if (!atomic_load_explicit(&plan->armed, memory_order_acquire))
        return 0;
    call = atomic_fetch_add(&plan->seen, 1) + 1;
    nth = atomic_load(&plan->nth);
    if (call < nth || call - nth > atomic_load(&plan->count))
        return 0;
    atomic_store(&plan->failed, true);
    error = atomic_load(&plan->error);
    return error ? error : ops[op].usual;
}

/* Accesses are counted by function: a counter of all would be shared by every CPU. */
static const _Atomic uint64_t *tallied(const struct sim_tally *t, enum sim_op op)
{
    switch (op) {
    case SIM_OP_CONFIG_READ:
        return &t->reads;
    case SIM_OP_CONFIG_WRITE:
        return &t->writes;
    case SIM_OP_BAR_READ:
        return &t->bar_reads;
    case SIM_OP_BAR_WRITE:
        return &t->bar_writes;
    default:
        return NULL;
    }
}

int sim_planned(struct sim *sim, enum sim_op op)
{
    int own = plan_step(&sim->plans[op], op);
    int any = plan_step(&sim->plans[SIM_OP_ANY], op);

    if (!tallied(&sim->strays, op))
        sim_count(&sim->calls[op]);
    return own ? own : any;
}

static uint64_t tallied_calls(const struct sim *sim, enum sim_op op)
{
    uint64_t calls = atomic_load(tallied(&sim->strays, op));

    for (uint32_t i = 0; i < sim->count; i++)
        calls += atomic_load(tallied(&sim->functions[i].tally, op));
    return calls;
}

uint64_t sim_calls(struct sim *sim, enum sim_op op)
{
    uint64_t calls = 0;

    if (op != SIM_OP_ANY)
        return tallied(&sim->strays, op) ? tallied_calls(sim, op) : atomic_load(&sim->calls[op]);
    for (int i = 0; i < SIM_OP_COUNT; i++)
        calls += sim_calls(sim, (enum sim_op)i);
    return calls;
}
