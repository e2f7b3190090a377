/* SPDX-License-Identifier: MIT */
/*
 * device.sriov: the VFs of a PF together with their objects. The core does one at a time (M04).
 */
#include <errno.h>
#include <string.h>

#include <berth/domain.h>
#include <berth/pcidev.h>

#include "front/control/methods.h"
#include "front/control/shapes.h"

static int vf_find(struct call *call, struct pcidev *pf, unsigned index, struct pcidev **vf)
{
    struct sbdf sbdf;

    *vf = NULL;
    if (pcidev_vf_address(pf, index, &sbdf))
        return -ENODEV;
    *vf = pcidev_find(call->service->machine, sbdf, call_tag);
    return 0;
}

static int vf_add(struct call *call, struct pcidev *pf, unsigned index,
                  const struct berth_request *request)
{
    struct pcidev_add_info info = {.is_vf = true, .pf = pcidev_sbdf(pf), .numa_node = -1};
    struct sbdf sbdf;
    int error = pcidev_vf_address(pf, index, &sbdf);

    return error ? error : pcidev_add(call->service->machine, sbdf, &info, request);
}

static int vf_remove(struct call *call, struct pcidev *pf, unsigned index,
                     const struct berth_request *request)
{
    struct pcidev *vf;
    int error = vf_find(call, pf, index, &vf);

    if (error || !vf)
        return 0; /* somebody else removed it */
    error = pcidev_remove(vf, PCIDEV_REMOVE_DEFAULT, request);
    pcidev_put(vf, call_tag);
    return error == -ENODEV ? 0 : error;
}

/* A refusal in the middle would have to add removed VFs again: most are foreseen here (R1). */
static int vfs_check_free(struct call *call, struct pcidev *pf, unsigned count,
                          struct berth_refusal *why)
{
    for (unsigned i = 0; i < count; i++) {
        struct pcidev_info info = {.owner_kind = BERTH_DOMAIN_HWDOM};
        struct pcidev *vf;

        if (vf_find(call, pf, i, &vf) || !vf)
            continue;
        pcidev_snapshot(vf, &info);
        pcidev_put(vf, call_tag);
        if (info.owner_kind != BERTH_DOMAIN_GUEST)
            continue;
        *why = (struct berth_refusal){
            .reason = BERTH_REASON_GUEST_OWNS, .error = -EBUSY, .device = info.sbdf};
        memcpy(why->domain, info.owner, sizeof(why->domain));
        return -EBUSY;
    }
    return 0;
}

/* Undoing has no reason to tell: the caller learns why the operation itself failed. */
static void vfs_add_back(struct call *call, struct pcidev *pf, unsigned count)
{
    const struct berth_request silent = {0};

    while (count-- > 0) {
        if (vf_add(call, pf, count, &silent))
            return;
    }
}

static void vfs_drop(struct call *call, struct pcidev *pf, unsigned count)
{
    const struct berth_request silent = {0};

    while (count-- > 0) {
        if (vf_remove(call, pf, count, &silent))
            return;
    }
    if (pcidev_sriov(pf, 0, &silent))
        return;
}

static int vfs_create(struct call *call, struct pcidev *pf, const struct berth_request *request)
{
    const unsigned vfs = call->arguments.vfs;
    int error = pcidev_sriov(pf, vfs, request);
    unsigned added = 0;

    if (error)
        return error;
    while (!error && added < vfs) {
        error = vf_add(call, pf, added, request);
        if (!error)
            added++;
    }
    if (error)
        vfs_drop(call, pf, added);
    return error;
}

static int vfs_give_back(struct call *call, struct pcidev *pf, const struct berth_request *request)
{
    struct pcidev_info info;
    unsigned removed = 0;
    int error;

    pcidev_snapshot(pf, &info);
    error = vfs_check_free(call, pf, info.vfs, request->why);
    if (error)
        return error;
    while (!error && removed < info.vfs) {
        error = vf_remove(call, pf, removed, request);
        if (!error)
            removed++;
    }
    if (!error)
        error = pcidev_sriov(pf, 0, request);
    if (error)
        vfs_add_back(call, pf, removed);
    return error;
}

int sriov_set(struct call *call, struct pcidev *pf, const struct berth_request *request)
{
    return call->arguments.vfs ? vfs_create(call, pf, request) : vfs_give_back(call, pf, request);
}
