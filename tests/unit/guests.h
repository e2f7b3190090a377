/* SPDX-License-Identifier: MIT */
/*
 * The fixture of tests that need a machine and its guests, and no more: the standard machine of
 * rig.h, or one that the test builds itself, with the guests "vm1" and "vm2", or the first of them,
 * or none.
 *
 *     #define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown)
 */
#ifndef BERTH_TESTS_GUESTS_H
#define BERTH_TESTS_GUESTS_H

#include "tests/unit/rig.h"

extern struct rig rig;
extern struct rig_vm vm, vm2;

/* Setups: the standard machine is up, with so many guests. */
int guests_setup_none(void **state);
int guests_setup_one(void **state);
int guests_setup_two(void **state);
/** The same in the setup of a test that configures the machine. Returns 0. */
int guests_start(rig_configure *configure, unsigned count);

/** Setup: nothing is built yet; rig_up() or guests_up() follows in the test. */
int guests_setup_blank(void **state);
/** Setup: the standard machine is built, and comes up in the test, with guests_up(). */
int guests_setup_built(void **state);
/** Brings up what was built since rig_begin(), and the first @count guests. */
void guests_up(rig_configure *configure, unsigned count);
/** The guests alone, where the machine is up. */
void guests_join(unsigned count);

/** Takes down what guests_up() has brought up. */
int guests_teardown(void **state);
/** The same; and no requester id was without a context meanwhile, no space was freed under one. */
int guests_teardown_tight(void **state);

struct berth_domain *hwdom(void);

#endif
