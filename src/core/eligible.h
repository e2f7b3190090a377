/* SPDX-License-Identifier: MIT */
/*
 * What has to hold before a device changes its owner. One table, from which assign takes the first
 * reason that stands in the way, and explain all of them: they cannot disagree.
 */
#ifndef CORE_ELIGIBLE_H
#define CORE_ELIGIBLE_H

#include "src/core/transition.h"

/** Whether @t->dev may go from @t->from to @t->to. 0, or an error with its reason in @t->why.
 * After transition_begin(). */
int eligible(struct transition *t) REQUIRES(t->dev->lock);

/** Lists all the reasons why not; returns how many of them there are, which may be more than
 * @max. */
unsigned eligible_all(struct transition *t, struct berth_refusal *list, unsigned max)
    REQUIRES(t->dev->lock);

#endif
