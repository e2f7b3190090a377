/* SPDX-License-Identifier: MIT */
/* Creating VFs and giving them back (M04). Other devices wait for nothing here (K11). */
#include "src/core/bars.h"
#include "src/core/probe.h"
#include "src/core/seam.h"
#include "src/core/topology.h"
#include "src/core/vfs.h"

/* SR-IOV 1.1, 3.3.3.1: the VFs may take this long before they answer */
#define VF_ENABLE_NS 100000000u
#define VF_DISABLE_NS 1000000000u

static unsigned sriov_reg(const struct transition *t, unsigned offset)
{
    return t->dev->traits.cap[CAP_SRIOV] + offset;
}

/* V6: by now the PF may be somebody else's, or the guest be about to end. */
static int sriov_check_behalf(struct transition *t)
{
    const struct tenancy *tenancy = t->tenancy;

    if (!tenancy)
        return 0;
    if (!tenancy_holds(tenancy, t->dev))
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_NOT_OWNER, t->from);
    if (t->vfs && berth_domain_state(tenancy->guest) != BERTH_DOMAIN_LIVE)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_TEARDOWN, tenancy->guest);
    if (t->vfs && vfs_forbidden(t->dev)) /* pairs with vfs_forbid(): it sees us, or we see it */
        return refuse_other(&t->why, -EBUSY, BERTH_REASON_TRANSITION, t->dev->sbdf);
    return 0;
}

static int sriov_check(struct transition *t)
{
    struct pcidev *pf = t->dev;

    if (!pf->traits.cap[CAP_SRIOV] || pf->traits.is_vf)
        return refuse(&t->why, -ENOTTY, BERTH_REASON_NOT_A_PF);
    if (pf->traits.reservation == BERTH_RESERVE_HIDDEN)
        return refuse(&t->why, -EBUSY, BERTH_REASON_HIDDEN);
    if (pf->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return refuse(&t->why, -EBUSY, BERTH_REASON_READ_ONLY);
    if (t->vfs > pf->traits.total_vfs)
        return refuse_number(&t->why, -ERANGE, BERTH_REASON_VF_COUNT, pf->traits.total_vfs);
    if (device_disconnected(pf) && (t->vfs || !t->tenancy))
        return refuse(&t->why, -ENODEV, BERTH_REASON_DISCONNECTED);
    if (domain_is_guest(t->from) && !t->tenancy) /* else it is the owner's, see above */
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_GUEST_OWNS, t->from);
    if (dependents_read(&pf->vfs) || (t->vfs && atomic_load(&pf->enabled_vfs)))
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, atomic_load(&pf->enabled_vfs));
    return 0;
}

/* SR-IOV 1.1, 3.3.3.1: once VFs are off, the capability is not to be looked at for a second. */
static int sriov_write(struct transition *t, unsigned vfs)
{
    int error = seam_update16(t->dev, sriov_reg(t, PCI_SRIOV_CONTROL),
                              PCI_SRIOV_CONTROL_VFE | PCI_SRIOV_CONTROL_MSE, 0);

    if (!error && atomic_load(&t->dev->enabled_vfs) && !device_disconnected(t->dev))
        port_sleep_ns(VF_DISABLE_NS);
    if (!error)
        error = seam_write(t->dev, sriov_reg(t, PCI_SRIOV_NUM_VFS), 2, vfs);
    if (error || !vfs)
        return error;
    error = seam_update16(t->dev, sriov_reg(t, PCI_SRIOV_CONTROL), 0,
                          PCI_SRIOV_CONTROL_VFE | PCI_SRIOV_CONTROL_MSE);
    if (!error)
        port_sleep_ns(VF_ENABLE_NS);
    return error;
}

/* The registers cannot be written any more once there are VFs (SR-IOV 1.1, 3.3.14). */
static int sriov_bars(struct transition *t) REQUIRES(t->dev->lock)
{
    return t->vfs ? bars_latch_vfs(t->dev, &t->lost) : 0;
}

static int sriov_undo_set(struct transition *t)
{
    return sriov_write(t, t->vfs_before);
}

static int sriov_set(struct transition *t)
{
    int error = sriov_write(t, t->vfs);

    if (error && sriov_undo_set(t))
        t->lost = true;
    return error;
}

static int sriov_latch(struct transition *t)
{
    int error;

    if (device_disconnected(t->dev) && !t->vfs) { /* A4: they are gone with it */
        atomic_store(&t->dev->enabled_vfs, 0);
        return 0;
    }
    error = probe_sriov(t->dev);
    if (error == -ENODEV)
        refuse(&t->why, error, BERTH_REASON_DISCONNECTED);
    if (!error && atomic_load(&t->dev->enabled_vfs) != t->vfs)
        error = -EIO;
    if (error)
        atomic_store(&t->dev->enabled_vfs, (uint16_t)t->vfs_before);
    return error;
}

static int sriov_undo_latch(struct transition *t)
{
    atomic_store(&t->dev->enabled_vfs, (uint16_t)t->vfs_before);
    return 0;
}

static int sriov_map(struct transition *t)
{
    if (t->vfs)
        return machine_insert(t->machine, &t->machine->pfs, sbdf_key(t->dev->sbdf), t->dev);
    topology_unmap_pf(t->dev);
    return 0;
}

/* VFs can't be added while their number changes: the PF's count of dependents is closed. */
static int sriov_close(struct transition *t)
{
    if (dependents_close_if_none(&t->dev->vfs))
        return 0;
    return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, dependents_read(&t->dev->vfs));
}

static int sriov_open(struct transition *t)
{
    dependents_reopen(&t->dev->vfs);
    return 0;
}

static const struct step sriov_steps[] = {
    {"close", sriov_close, sriov_open},
    {"VF BARs", sriov_bars, NULL},
    {"set VFs", sriov_set, sriov_undo_set},
    {"latch", sriov_latch, sriov_undo_latch},
    {"PF map", sriov_map, NULL},
};

static int sriov_run(struct transition *t)
{
    int error = transition_begin(t);

    if (error)
        return error;
    t->vfs_before = atomic_load(&t->dev->enabled_vfs);
    error = sriov_check_behalf(t);
    if (!error)
        error = sriov_check(t);
    if (!error)
        error = TRANSITION_RUN(t, sriov_steps);
    if (!error)
        sriov_open(t);
    return transition_end(t, error);
}

static const char guest_sriov[] = "guest sriov";

bool sriov_for_guest_runs(const struct pcidev *pf)
{
    return atomic_load(&pf->transition) == guest_sriov;
}

int sriov_for_guest(struct pcidev *pf, const struct tenancy *tenancy, unsigned vfs,
                    const struct berth_request *request)
{
    struct transition t = {
        .name = guest_sriov, .dev = pf, .request = request, .vfs = vfs, .tenancy = tenancy};

    return sriov_run(&t);
}

int pcidev_sriov(struct pcidev *pf, unsigned vfs, const struct berth_request *request)
{
    struct transition t = {.name = "sriov", .dev = pf, .request = request, .vfs = vfs};
    int error;

    refusal_begin(&t.why, pf->sbdf);
    error = machine_permit(pf->machine, request, BERTH_OP_SRIOV, NULL, &t.why);
    return error ? refusal_end(&t.why, error, request) : sriov_run(&t);
}
