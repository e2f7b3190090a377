/* SPDX-License-Identifier: MIT */
#include "src/core/phantom.h"

#include "src/core/space.h"
#include "src/core/topology.h"

static const char tag_phantom[] = "phantom";

/* Tries its lock only: a bus reset of @other may be waiting for the add that we belong to. */
static int yield_one(struct pcidev *other, struct sbdf rid, struct berth_refusal *why)
{
    struct pcidev_section section;
    int error = 0;

    if (!lock_take_until(&other->lock, 0))
        return refuse_other(why, -EBUSY, BERTH_REASON_TRANSITION, other->sbdf);
    if (access_open(other, GATE_SHUT, NULL, tag_phantom, &section)) {
        error = rids_give_up(other, rid, why);
        access_close(&section);
    }
    lock_drop(&other->lock);
    return error;
}

int phantom_yield(struct pcidev *dev, struct berth_refusal *why)
{
    int error = 0;

    for (unsigned fn = 0; !error && fn < sbdf_function(dev->sbdf); fn++) {
        const struct sbdf at =
            sbdf_make(dev->sbdf.segment, dev->sbdf.bus, sbdf_device(dev->sbdf), fn);
        struct pcidev *other = pcidev_find(dev->machine, at, tag_phantom);

        if (other && topology_is_phantom(other, dev->sbdf))
            error = yield_one(other, dev->sbdf, why);
        pcidev_put(other, tag_phantom);
    }
    return error;
}
