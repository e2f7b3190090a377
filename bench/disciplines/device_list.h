/* SPDX-License-Identifier: MIT */
/* The devices of a guest in a list that is walked: what designs without a table have. */
#ifndef BERTH_BENCH_DEVICE_LIST_H
#define BERTH_BENCH_DEVICE_LIST_H

#include <sys/queue.h>

#include "bench/disciplines/function.h"

struct device {
    TAILQ_ENTRY(device) in_guest;
    struct function function;
};

TAILQ_HEAD(device_list, device);

/** NULL where there is none. Inlined, so that a walk is compiled where it is measured. */
static inline struct device *device_list_find(const struct device_list *list, struct sbdf sbdf)
{
    struct device *dev;

    for (dev = TAILQ_FIRST(list); dev; dev = TAILQ_NEXT(dev, in_guest))
        if (sbdf_equal(dev->function.sbdf, sbdf))
            break;
    return dev;
}

#endif
