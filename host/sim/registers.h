/* SPDX-License-Identifier: MIT */
/*
 * Which bits of a function's registers can be written, as tables. Whatever is not listed is read
 * only.
 */
#ifndef BERTH_SIM_REGISTERS_H
#define BERTH_SIM_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/sim/sim_internal.h"

/** One dword of a capability; bits are in none of the masks or in one of rw and w1c. */
struct sim_rule {
    uint16_t offset;
    uint32_t rw, w1c;
    uint32_t sticky;  /* bits that survive any reset but a power cycle */
    uint32_t link;    /* bits that survive an FLR: PCIe 6.6.2 */
    uint32_t initial; /* power-on value of rw bits */
    uint32_t live;    /* read only bits which the function sets, and which any reset clears */
};

struct sim_rules {
    const struct sim_rule *rules;
    unsigned count;
};

/** The rules of capability @cap as this function has it; none: count 0. */
struct sim_rules sim_rules_of(const struct sim_function *f, enum sim_cap cap);

/** The bits of a rule's .rw which this function really has. */
uint32_t sim_rule_limit(const struct sim_function *f, enum sim_cap cap,
                        const struct sim_rule *rule);

#endif
