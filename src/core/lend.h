/* SPDX-License-Identifier: MIT */
/* Lending what cannot be kept apart in one transaction (M23). */
#ifndef CORE_LEND_H
#define CORE_LEND_H

#include <berth/isolation.h>

#include "src/core/share.h"

/** Whether pcidev_assign_group() could succeed now, without doing it. As that. */
int lend_check(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request);

#endif
