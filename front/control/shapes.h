/* SPDX-License-Identifier: MIT */
/*
 * The JSON shapes of docs/control.md. Each function returns a new reference, or NULL when memory
 * ran out.
 */
#ifndef BERTH_CONTROL_SHAPES_H
#define BERTH_CONTROL_SHAPES_H

#include <berth/domain.h>
#include <berth/event.h>
#include <berth/pcidev.h>
#include <jansson.h>

#include "front/control/names.h"
#include "host/sim/sim.h"

json_t *shape_sbdf(struct sbdf sbdf);
json_t *shape_device(struct names *names, const struct pcidev_info *info);
json_t *shape_holders(const struct berth_holder *list, unsigned count);
json_t *shape_refusal(const struct berth_refusal *why);
json_t *shape_domain(const struct berth_domain *domain);
json_t *shape_event(const struct berth_event *event);
json_t *shape_counters(const struct sim_counters *counters);

/** "0x" and @digits hexadecimal digits, or as many as it takes where @digits is 0. */
json_t *shape_hex(uint64_t value, int digits);

/** "EBUSY" for -EBUSY; never NULL. */
const char *shape_error_name(int error);

#endif
