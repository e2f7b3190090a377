/* SPDX-License-Identifier: MIT */
/*
 * A machine under test: the simulator below, the core above, a recorder of events, a warped clock.
 *
 *     struct rig rig;
 *
 *     mb_endpoint(&b, at(3, 0, 0));
 *     rig_up(&rig, &b, NULL);           adds every function of the builder's machine
 *     ... rig_dev(&rig, at(3, 0, 0)) ...
 *     rig_down(&rig);                   checks that everything balances (the golden rule)
 */
#ifndef BERTH_TESTS_RIG_H
#define BERTH_TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth/errno.h>
#include <berth/pcidev.h>

#include "host/sim/sim.h"
#include "tests/unit/machines.h"

#define RIG_EVENTS 4096

struct rig {
    struct machine_builder builder;
    struct sim *sim;
    struct berth_machine *machine;
    struct sim_counters empty;     /* before the machine was made */
    struct sim_counters populated; /* after everything was added */
    struct berth_refusal why;
    struct berth_event events[RIG_EVENTS];
    _Atomic unsigned event_count;
    unsigned leaks_expected;
};

/** Changes the configuration of the machine before it is created. */
typedef void rig_configure(struct berth_machine_config *config);

/** mb_init() of rig->builder; then add functions, then rig_up(). */
void rig_begin(struct rig *rig);
/** Makes simulator and machine, and adds every function. */
void rig_up(struct rig *rig, rig_configure *configure);
/** The same, but adds nothing. */
void rig_up_empty(struct rig *rig, rig_configure *configure);
/** Destroys the machine; claims, contexts, spaces and mappings must be as before. */
void rig_down(struct rig *rig);

/** A reference with tag "test"; the test fails where there is no such device. */
struct pcidev *rig_dev(struct rig *rig, struct sbdf sbdf);
void rig_put(struct pcidev *dev);
struct pcidev_info rig_info(struct rig *rig, struct sbdf sbdf);
bool rig_has(struct rig *rig, struct sbdf sbdf);

struct berth_domain *rig_guest(struct rig *rig, const char *name);
void rig_destroy_guest(struct rig *rig, struct berth_domain *guest);

/** A request whose refusal lands in rig->why. */
struct berth_request rig_request(struct rig *rig);

int rig_add(struct rig *rig, struct sbdf sbdf);
int rig_remove(struct rig *rig, struct sbdf sbdf, enum pcidev_remove_mode mode);
int rig_assign(struct rig *rig, struct sbdf sbdf, struct berth_domain *to);
int rig_deassign(struct rig *rig, struct sbdf sbdf, struct berth_domain *from);

/** The owner's name is @name. */
void rig_expect_owner(struct rig *rig, struct sbdf sbdf, const char *name);
/** What DMA of @rid does. */
struct sim_dma rig_dma(struct rig *rig, struct sbdf rid, uint64_t address);
void rig_master_on(struct rig *rig, struct sbdf sbdf, struct berth_domain *owner);

/** The first event at or after @from of this kind and step (NULL: any), or -1. */
int rig_find_event(struct rig *rig, int from, enum berth_event_kind kind, const char *step);
unsigned rig_count_events(struct rig *rig, enum berth_event_kind kind);

/** Nothing that the simulator counts as forbidden has happened. */
void rig_expect_untouched(struct rig *rig);

#endif
