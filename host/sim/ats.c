/* SPDX-License-Identifier: MIT */
/* Which functions may send requests with addresses that they have translated themselves (ATS). */
#include <berth/errno.h>

#include "host/sim/sim_internal.h"

/* By function and not by context: phantom functions share the translations of theirs. */
int sim_op_ats(void *iommu, struct sbdf rid, bool on)
{
    struct sim *sim = iommu;
    struct sim_function *f = sim_find(sim, rid);

    if (!f || !f->at[SIM_CAP_ATS])
        return -EOPNOTSUPP;
    if (atomic_exchange(&f->ats, on) == on)
        return 0;
    if (on)
        atomic_fetch_add(&sim->ats_enabled, 1);
    else
        atomic_fetch_sub(&sim->ats_enabled, 1);
    return 0;
}
