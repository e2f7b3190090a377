/* SPDX-License-Identifier: MIT */
/* What actors of several scenarios do. Function 0 is the device in question, guest 0 its owner. */
#ifndef TESTS_EXPLORE_ACTORS_H
#define TESTS_EXPLORE_ACTORS_H

#include <berth/errno.h>

#include "tests/explore/world.h"

/* ---- set-ups: actor 1 begins with a reference to the device ---- */

/** The hardware domain's. */
void setup_idle(struct world *world);
/** Lent to guest 0. */
void setup_lent(struct world *world);
/** As its driver left it: a BAR mapped, a vector bound. */
void setup_driven(struct world *world);
/** With a second guest, which has no device. */
void setup_two_guests(struct world *world);

/* ---- actors; results go to world->result[actor], read values to world->value[0] ---- */

/** A register that is emulated, then one that the hardware is asked for. */
void read_config(struct world *world);
/** Bus mastering off and decode on. */
void write_command(struct world *world);
/** As the hardware domain, with a section of its own around it. */
void enter_and_read(struct world *world);

/** By actor 1, with the reference that it began with. */
void remove_default(struct world *world);
void remove_by_force(struct world *world);
void remove_strictly(struct world *world);
void deassign(struct world *world);
/** By actor 2, which looks it up. */
void remove_found(struct world *world);

/** True where the device is there, whole, and @guest (or the hardware domain: -1) has it. */
bool is_owned_by(struct world *world, int guest);

#endif
