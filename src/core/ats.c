/* SPDX-License-Identifier: MIT */
#include "src/core/ats.h"

#include <berth/isolation.h>

#include "src/core/seam.h"
#include "src/core/space.h"

static const char tag_flush[] = "flush";

/* ---- the list of a domain ---- */

static void list_add(struct berth_domain *domain, struct pcidev *dev) REQUIRES(dev->lock)
    EXCLUDES(domain->lock)
{
    lock_take(&domain->lock);
    dev->ats_next = domain->ats;
    dev->ats_link = &domain->ats;
    if (dev->ats_next)
        dev->ats_next->ats_link = &dev->ats_next;
    domain->ats = dev;
    lock_drop(&domain->lock);
    dev->ats_domain = domain;
    device_hold(dev, HOLD_ATS);
}

static void list_drop(struct pcidev *dev) REQUIRES(dev->lock)
{
    struct berth_domain *domain = dev->ats_domain;

    lock_take(&domain->lock);
    *dev->ats_link = dev->ats_next;
    if (dev->ats_next)
        dev->ats_next->ats_link = dev->ats_link;
    lock_drop(&domain->lock);
    dev->ats_domain = NULL;
    device_unhold(dev, HOLD_ATS);
}

/* The one with the lowest address that is not below *@key. A walk like pcidev_next(). */
static struct pcidev *list_step(struct berth_domain *domain, uint64_t *key)
{
    struct pcidev *best = NULL;

    lock_take(&domain->lock);
    for (struct pcidev *dev = domain->ats; dev; dev = dev->ats_next)
        if (sbdf_key(dev->sbdf) >= *key && (!best || sbdf_key(dev->sbdf) < sbdf_key(best->sbdf)))
            best = dev;
    if (best)
        *key = (uint64_t)sbdf_key(best->sbdf) + 1;
    best = device_try_get(best, tag_flush);
    lock_drop(&domain->lock);
    return best;
}

/* ---- both sides of it ---- */

static int device_side(struct pcidev *dev, bool on)
{
    return seam_update16(dev, dev->traits.cap[CAP_ATS] + PCI_ATS_CONTROL,
                         PCI_ATS_CONTROL_ENABLE | PCI_ATS_CONTROL_UNIT,
                         on ? PCI_ATS_CONTROL_ENABLE : 0);
}

/* All requester ids, or none. */
static int iommu_side(struct pcidev *dev, bool on) REQUIRES(dev->lock)
{
    int error = 0;
    unsigned i;

    for (i = 0; i < dev->rid_count && !error; i++)
        error = seam_ats(dev, dev->rids[i].entry->rid, on);
    for (; error && i-- > 0;)
        (void)seam_ats(dev, dev->rids[i].entry->rid, !on);
    return error;
}

static bool usable(const struct transition *t)
{
    const struct pcidev *dev = t->dev;

    return dev->traits.cap[CAP_ATS] && !(dev->traits.errata & PCIDEV_ERRATUM_NO_ATS) &&
           t->machine->config.iommu && t->machine->config.iommu->ats && domain_is_guest(t->to);
}

/* ---- steps ---- */

/* Whoever had it on: what follows could not revoke what the device has translated for itself. */
int step_ats_off(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error;

    if (!dev->traits.cap[CAP_ATS])
        return 0;
    error = device_side(dev, false); /* the registers were saved: the way back turns it on */
    if (error || !dev->ats_domain)
        return error;
    error = iommu_side(dev, false);
    if (error)
        return refuse(&t->why, error, BERTH_REASON_IOMMU_FAILED);
    list_drop(dev);
    t->had_ats = true;
    return 0;
}

int step_ats_back(struct transition *t)
{
    int error;

    if (!t->had_ats)
        return 0;
    error = iommu_side(t->dev, true);
    if (!error)
        list_add(t->from, t->dev);
    return error;
}

int step_ats_on(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error;

    if (!usable(t))
        return 0;
    error = iommu_side(dev, true);
    if (error == -EOPNOTSUPP) /* not behind this one: nobody needs it */
        return 0;
    if (error)
        return refuse(&t->why, error, BERTH_REASON_IOMMU_FAILED);
    list_add(t->to, dev);
    error = device_side(dev, true);
    if (error && step_ats_undo(t))
        t->lost = true;
    return error;
}

int step_ats_undo(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error, other;

    if (!dev->ats_domain)
        return 0;
    error = device_side(dev, false);
    other = iommu_side(dev, false);
    if (!other)
        list_drop(dev);
    return error ? error : other;
}

void ats_contain(struct pcidev *dev)
{
    if (!dev->ats_domain)
        return;
    (void)device_side(dev, false);
    for (unsigned i = 0; i < dev->rid_count; i++)
        (void)seam_ats(dev, dev->rids[i].entry->rid, false);
    list_drop(dev);
}

/* ---- flush ---- */

static int flush_rids(struct pcidev *dev) REQUIRES(dev->lock)
{
    int error = 0;

    for (unsigned i = 0; i < dev->rid_count && !error; i++) {
        struct rid_entry *entry = dev->rids[i].entry;

        lock_take(&entry->lock);
        error = seam_invalidate(dev, entry);
        lock_drop(&entry->lock);
    }
    return error;
}

static bool is_blocked(struct pcidev *dev) REQUIRES(dev->lock)
{
    for (unsigned i = 0; i < dev->rid_count; i++) {
        struct rid_entry *entry = dev->rids[i].entry;
        bool attached;

        lock_take(&entry->lock);
        attached = entry->attached != NULL;
        lock_drop(&entry->lock);
        if (attached)
            return false;
    }
    return true;
}

/* With the device's lock, so that its contexts stay where they are: where it has left the domain
 * meanwhile, it was flushed on the way. */
static int flush_device(struct pcidev *dev, const struct berth_domain *domain,
                        const struct berth_request *request)
{
    struct transition t = {.name = tag_flush, .dev = dev, .request = request};
    int error = transition_begin(&t);

    if (error)
        return error == -ENODEV ? 0 : error;
    if (dev->ats_domain == domain)
        error = flush_rids(dev);
    if (error) {
        refuse(&t.why, error, BERTH_REASON_IOMMU_FAILED);
        t.dead = true;
        transition_undone(&t);
        if (is_blocked(dev))
            error = 0;
    }
    return transition_end(&t, error);
}

int berth_domain_flush(struct berth_domain *domain, const struct berth_request *request)
{
    struct pcidev *dev;
    uint64_t key = 0;
    int error = 0;

    while ((dev = list_step(domain, &key))) {
        int failed = flush_device(dev, domain, request);

        error = error ? error : failed;
        pcidev_put(dev, tag_flush);
    }
    return error;
}
