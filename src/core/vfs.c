/* SPDX-License-Identifier: MIT */
#include "src/core/vfs.h"

#include "src/core/remove.h"

#define RETRY_NS 1000000u

static const char tag_vfs[] = "VFs";

/* One that the embedder has moved on to another guest is not this guest's to give back. */
static int check_users(struct pcidev *pf, const struct berth_domain *guest,
                       struct berth_refusal *why)
{
    struct sbdf at;
    int error = 0;

    for (unsigned i = 0; !error && pcidev_vf_address(pf, i, &at) == 0; i++) {
        struct pcidev *vf = pcidev_find(pf->machine, at, tag_vfs);
        struct berth_domain *user = vf ? guest_owner(vf) : NULL;

        if (user && user != guest)
            error = refuse_domain(why, -EBUSY, BERTH_REASON_OWNED, user);
        berth_domain_put(user);
        pcidev_put(vf, tag_vfs);
    }
    return error;
}

/* With @force whoever has them, else unless another guest has one by now. */
static int give_back(struct pcidev *pf, const struct tenancy *tenancy, bool force,
                     const struct berth_request *request)
{
    int error = force ? 0 : check_users(pf, tenancy->guest, request->why);

    if (!error)
        error = remove_vfs(pf, force ? NULL : tenancy, request);
    return error ? error : sriov_for_guest(pf, tenancy, 0, request);
}

/* One that was added while we looked, not one that is somebody else's. */
static bool is_worth_another_try(int error, const struct berth_refusal *why)
{
    return error == -EBUSY && why->reason != BERTH_REASON_OWNED;
}

int vfs_give_back(struct pcidev *pf, const struct tenancy *tenancy, bool force,
                  const struct berth_request *request)
{
    uint64_t deadline_ns = machine_deadline(pf->machine, request);
    struct berth_refusal why;

    if (!tenancy->guest || !tenancy_holds(tenancy, pf))
        return 0;
    if (!sriov_for_guest_runs(pf) && !atomic_load(&pf->enabled_vfs)) /* in this order */
        return 0;
    for (;;) {
        uint64_t now = port_now_ns();
        const struct berth_request mine = {
            .timeout_ns = now + RETRY_NS < deadline_ns ? deadline_ns - now : RETRY_NS,
            .why = &why,
        };
        int error;

        refusal_begin(&why, pf->sbdf);
        error = give_back(pf, tenancy, force, &mine);
        if (!is_worth_another_try(error, &why) || port_now_ns() >= deadline_ns)
            return refusal_end(&why, error, request);
        port_sleep_ns(RETRY_NS);
    }
}

int vfs_begin(struct transition *t, const struct tenancy *tenancy)
{
    int error;

    vfs_forbid(t->dev);
    error = vfs_give_back(t->dev, tenancy, false, t->request);
    if (!error)
        error = transition_begin(t);
    vfs_allow(t->dev);
    return error;
}

void vfs_forbid(struct pcidev *pf)
{
    atomic_fetch_add(&pf->closing, 1); /* pairs with sriov_check_behalf() */
}

void vfs_allow(struct pcidev *pf)
{
    atomic_fetch_sub(&pf->closing, 1);
}

bool vfs_forbidden(const struct pcidev *pf)
{
    return atomic_load(&pf->closing) != 0;
}
