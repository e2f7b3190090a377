/* SPDX-License-Identifier: MIT */
/*
 * What cannot be kept apart: a machine that the test builds on a host bridge, the two guests of
 * guests.h, and devices of which one is refused because of another.
 */
#ifndef BERTH_TESTS_SHARING_H
#define BERTH_TESTS_SHARING_H

#include "tests/unit/guests.h"

/** Setup: there is a host bridge; functions and guests_up() follow in the test. */
int sharing_setup(void **state);

/** @to is refused the device: @owner has @other. */
void refused(struct sbdf sbdf, struct berth_domain *to, enum berth_reason reason, struct sbdf other,
             const char *owner);
/** @to is given the device. */
void lent(struct sbdf sbdf, struct berth_domain *to);

#endif
