/* SPDX-License-Identifier: MIT */
#ifndef CORE_REMOVE_H
#define CORE_REMOVE_H

#include "src/core/transition.h"

/** Removal by force without asking who may: for the end of a machine. */
int remove_tree(struct pcidev *dev, const struct berth_request *request);

#endif
