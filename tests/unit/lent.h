/* SPDX-License-Identifier: MIT */
/*
 * One device of a machine that is lent to a guest, and what the guest sees of it.
 *
 *     static struct lent lent;
 *
 *     lent_begin(&lent);                   a port, and an endpoint behind it: lent.function
 *     ... change the function, lent.config, lent.policy ...
 *     lent_up(&lent);
 *     ... lent_get(), lent_put() ...
 *     lent_down(&lent);
 */
#ifndef BERTH_TESTS_LENT_H
#define BERTH_TESTS_LENT_H

#include "tests/unit/guest_maps.h"

#define LENT_COMMAND 0x04
#define LENT_STATUS 0x06
#define LENT_BAR0 0x10
#define LENT_CAPABILITIES 0x34
#define LENT_MEMORY 0x0002u
#define LENT_MASTER 0x0004u

struct lent {
    struct rig rig;
    struct guest_maps maps;
    struct berth_domain *guest;
    struct capture_function *function; /* of .host, until lent_up() */
    struct sbdf host;
    const struct berth_register_rule *rules;
    uint32_t rule_count;
    bool vpd_writes;
};

void lent_begin(struct lent *lent);
/** The machine, the guest "vm1" with .maps, nothing lent. */
void lent_up_idle(struct lent *lent);
/** And .host lent to it. */
void lent_up(struct lent *lent);
void lent_down(struct lent *lent);

/** As the guest does it. */
uint32_t lent_get(struct lent *lent, unsigned reg, unsigned length);
void lent_put(struct lent *lent, unsigned reg, unsigned length, uint32_t value);
/** In the guest's own lists; 0: not there. A list that does not end, or leaves its room, fails. */
unsigned lent_cap(struct lent *lent, unsigned id);
unsigned lent_ext_cap(struct lent *lent, unsigned id);

/** Nothing is there for the guest: it reads zeros, and its writes don't get anywhere. */
void lent_expect_reserved(struct lent *lent, unsigned from, unsigned end);

/** The hardware's own register. */
uint32_t lent_hardware(struct lent *lent, unsigned reg, unsigned length);
/** BAR 0 at @address, decode on. */
void lent_place(struct lent *lent, uint64_t address);
/** Four bytes of a trapped access. */
uint64_t lent_mmio(struct lent *lent, uint64_t address);

#endif
