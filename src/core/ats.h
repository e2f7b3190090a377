/* SPDX-License-Identifier: MIT */
/*
 * Address translation services (PCIe 10): a device keeps translations itself, and whoever takes
 * memory away from its domain has to ask it to forget them (M25).
 *
 * It is on while a guest has the device, and the IOMMU can do it. The IOMMU's side is on before the
 * device's, and off after it: there is no time at which translated requests would be believed
 * that nobody can revoke. A device with ATS on is in its domain's list (C6).
 */
#ifndef CORE_ATS_H
#define CORE_ATS_H

#include "src/core/transition.h"

/** Steps: off before the contexts move, on after they have. */
int step_ats_off(struct transition *t) REQUIRES(t->dev->lock);
int step_ats_back(struct transition *t) REQUIRES(t->dev->lock);
int step_ats_on(struct transition *t) REQUIRES(t->dev->lock);
int step_ats_undo(struct transition *t) REQUIRES(t->dev->lock);

/** Off as far as that works, for a device that is lost. Inside a section. */
void ats_contain(struct pcidev *dev) REQUIRES(dev->lock);

#endif
