/* SPDX-License-Identifier: MIT */
#ifndef CORE_ASSIGN_H
#define CORE_ASSIGN_H

#include "src/core/transition.h"

/** pcidev_deassign() without asking who may: for the teardown of a guest. */
int deassign_from(struct pcidev *dev, struct berth_domain *from,
                  const struct berth_request *request);

/** The steps of every change of owner, and their commit, which cannot fail. */
extern const struct step assign_steps[];
extern const unsigned assign_step_count;
void assign_commit(struct transition *t) REQUIRES(t->dev->lock);

/** Whether @request allows a device to be lent to @to. 0, or the refusal is in @why. */
int assign_permit(struct pcidev *dev, const struct berth_domain *to, enum berth_operation op,
                  const struct berth_request *request, struct berth_refusal *why);

#endif
