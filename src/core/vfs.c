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

static int give_back(struct pcidev *pf, const struct berth_domain *guest,
                     const struct berth_request *request)
{
    int error = remove_vfs(pf, request);

    return error ? error : sriov_for_guest(pf, guest, 0, request);
}

/* -EBUSY: one was added while we looked; with VFs off there will be no more of them. */
static int give_back_until(struct pcidev *pf, const struct berth_domain *guest,
                           uint64_t deadline_ns, struct berth_refusal *why)
{
    for (;;) {
        uint64_t now = port_now_ns();
        const struct berth_request request = {
            .timeout_ns = now + RETRY_NS < deadline_ns ? deadline_ns - now : RETRY_NS,
            .why = why,
        };
        int error = give_back(pf, guest, &request);

        if (error != -EBUSY || port_now_ns() >= deadline_ns)
            return error;
        port_sleep_ns(RETRY_NS);
    }
}

int vfs_give_back(struct pcidev *pf, bool force, const struct berth_request *request)
{
    uint64_t deadline_ns = machine_deadline(pf->machine, request);
    struct berth_domain *guest;
    struct berth_refusal why;
    int error = 0;

    if (!atomic_load(&pf->enabled_vfs))
        return 0;
    guest = guest_owner(pf);
    if (!guest)
        return 0;
    refusal_begin(&why, pf->sbdf);
    if (!force)
        error = check_users(pf, guest, &why);
    if (!error)
        error = give_back_until(pf, guest, deadline_ns, &why);
    berth_domain_put(guest);
    return refusal_end(&why, error, request);
}
