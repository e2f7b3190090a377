/* SPDX-License-Identifier: MIT */
/* A schedule in a file: the scenario, why it failed, and who did how many steps, in turn. */
#ifndef TESTS_EXPLORE_REPLAY_H
#define TESTS_EXPLORE_REPLAY_H

#include "tests/explore/explore.h"

/** Writes the schedule that just failed to a file in @folder; its name goes to @name. */
void replay_save(const struct explore_scenario *scenario, const char *folder, char *name,
                 size_t size);

/** NULL after a message where the file is none or says something that cannot be. */
const struct explore_scenario *replay_load(const char *name, uint8_t *choices, unsigned max,
                                           unsigned *count);

#endif
