/* SPDX-License-Identifier: MIT */
#ifndef TESTS_EXPLORE_SCENARIOS_H
#define TESTS_EXPLORE_SCENARIOS_H

#include "tests/explore/explore.h"

/** All of them, NULL at the end. */
extern const struct explore_scenario *const scenarios[];

#endif
