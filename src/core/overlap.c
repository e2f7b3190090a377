/* SPDX-License-Identifier: MIT */
#include "src/core/overlap.h"

#include <berth/vpci.h>

#include "src/core/bars.h"
#include "src/core/machine_priv.h"

static const char tag_overlap[] = "overlap";

/* Nobody may size what the hypervisor uses: where the host does not tell either, the rest of the
 * page in which it begins is taken for it. */
static uint64_t last_byte(const struct bar_set *set, unsigned i)
{
    if (set->shift[i])
        return set->address[i] + ((uint64_t)1 << set->shift[i]) - 1;
    return set->address[i] | (BERTH_PAGE_SIZE - 1);
}

static bool is_over(const struct berth_bar *bar, const struct bar_set *set, unsigned i)
{
    bool io = set->flags[i] & BAR_SET_IO;

    return bar->address && set->address[i] && !bar->io == !io &&
           bar->address <= last_byte(set, i) && set->address[i] <= bar->address + bar->size - 1;
}

static int compare(const struct pcidev *dev, const struct pcidev *hidden, const struct bar_set *set,
                   struct berth_refusal *why) REQUIRES(dev->lock)
{
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++) {
        struct berth_bar bar;

        for (unsigned k = 0; device_bar(dev, i, &bar) && k < BERTH_BAR_COUNT; k++) {
            if (!is_over(&bar, set, k))
                continue;
            refuse_other(why, -EBUSY, BERTH_REASON_NONE, hidden->sbdf);
            refuse_domain(why, -EBUSY, BERTH_REASON_NONE, hidden->machine->hidden);
            refuse_address(why, -EBUSY, BERTH_REASON_NONE, set->address[k]);
            return refuse_number(why, -EBUSY, BERTH_REASON_OVER_HIDDEN, i);
        }
    }
    return 0;
}

/* One that is gone decodes nothing; of one that is just being changed nobody can tell. */
static int check_one(struct pcidev *dev, struct pcidev *hidden, struct berth_refusal *why)
    REQUIRES(dev->lock)
{
    struct pcidev_section section;
    struct bar_set set;
    int error;

    if (!pcidev_enter(hidden, tag_overlap, &section)) {
        if (device_disconnected(hidden) || device_state(hidden) == PCIDEV_REMOVED)
            return 0;
        return refuse_other(why, -EBUSY, BERTH_REASON_TRANSITION, hidden->sbdf);
    }
    error = bars_look(hidden, &set);
    pcidev_exit(&section);
    return error ? refuse(why, error, BERTH_REASON_HOST_FAILED) : compare(dev, hidden, &set, why);
}

int overlap_check(struct pcidev *dev, struct berth_refusal *why)
{
    struct berth_domain *domain = dev->machine->hidden;
    struct pcidev *hidden = berth_domain_next_device(domain, NULL, tag_overlap);
    int error = 0;

    while (hidden) {
        const struct sbdf at = hidden->sbdf;

        if (hidden != dev)
            error = check_one(dev, hidden, why);
        pcidev_put(hidden, tag_overlap);
        hidden = error ? NULL : berth_domain_next_device(domain, &at, tag_overlap);
    }
    return error;
}
