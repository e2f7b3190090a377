/* SPDX-License-Identifier: MIT */
/* Looks at a function once and latches what the core needs to know of it (F07). */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "src/core/transition.h"

/**
 * Fills in @traits from config space, the errata table, the machine's lists and @t->info. Needs the
 * transition's section. dev->pf is set for VFs.
 * Returns 0, -ENODEV (nothing answers), -EIO.
 */
int probe_traits(struct transition *t, struct pcidev_traits *traits);

/** The PF that @sbdf is a VF of, by the SR-IOV settings of the registered PFs, or NULL. */
struct pcidev *probe_find_pf(struct berth_machine *machine, struct sbdf sbdf, const char *tag);

/** Whether the SR-IOV settings of @pf, as they were latched, make @sbdf one of its VFs. */
bool probe_is_vf_of(const struct pcidev *pf, struct sbdf sbdf);

/** Latches how many VFs a PF has and where they are. 0, -ENODEV (it does not answer) or -EIO. */
int probe_sriov(struct pcidev *dev);

#endif
