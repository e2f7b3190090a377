/* SPDX-License-Identifier: MIT */
/*
 * A simulated machine for a test, and config accesses without the ceremony.
 */
#ifndef BERTH_TESTS_SIM_HELP_H
#define BERTH_TESTS_SIM_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/sim/sim.h"
#include "tests/unit/machines.h"

#define ONES 0xffffffffu
#define MS UINT64_C(1000000)

/* What the last interrupt said, how many there were, and the sum of their vectors. */
struct heard {
    struct berth_irq irq;
    unsigned vector, count;
    uint64_t sum;
};

struct simrig {
    struct machine_builder b;
    struct sim *sim;
    struct heard heard;
};

/** Builds the machine in rig->b, with the clock warped: a sleep costs nothing. */
void simrig_start(struct simrig *rig, const struct sim_options *options);
void simrig_stop(struct simrig *rig);

/** Lets time pass. */
void simrig_wait(uint64_t ns);

/** One access with a claim of its own; a function that cannot be claimed fails the test. */
uint32_t simrig_read(struct simrig *rig, struct sbdf sbdf, unsigned reg, unsigned length);
void simrig_write(struct simrig *rig, struct sbdf sbdf, unsigned reg, unsigned length,
                  uint32_t value);
/** Reads 16 bits and writes them back with some set and some cleared. */
void simrig_update(struct simrig *rig, struct sbdf sbdf, unsigned reg, uint32_t clear,
                   uint32_t set);

/** True where the function does not answer: command and status read all ones. */
bool simrig_silent(struct simrig *rig, struct sbdf sbdf);

/** The offset of a capability of a function that rig->b has built. */
unsigned simrig_cap(struct simrig *rig, struct sbdf sbdf, uint8_t id);
unsigned simrig_ext_cap(struct simrig *rig, struct sbdf sbdf, uint16_t id);

/** Binds, which has to work; raises an interrupt. */
struct berth_message simrig_bind(struct simrig *rig, const struct berth_irq *irq);
enum sim_irq_result simrig_raise(struct simrig *rig, struct sbdf sbdf, unsigned vector);

struct sim_counters simrig_counters(struct simrig *rig);

#endif
