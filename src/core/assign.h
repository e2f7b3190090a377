/* SPDX-License-Identifier: MIT */
#ifndef CORE_ASSIGN_H
#define CORE_ASSIGN_H

#include "src/core/transition.h"

/** pcidev_deassign() without asking who may: for the teardown of a guest. */
int deassign_from(struct pcidev *dev, struct berth_domain *from,
                  const struct berth_request *request);

#endif
