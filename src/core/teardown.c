/* SPDX-License-Identifier: MIT */
/*
 * The end of a guest (O5).
 *
 *   LIVE --> DYING --> DEAD        nothing enters a domain that is not LIVE
 *              |  ^      ^
 *              v  |      |
 *            ZOMBIE -----+         a device (or a context) could not be taken away: another call
 * may
 */
#include "src/core/teardown.h"
#include "src/core/assign.h"
#include "src/core/space.h"

#define POLL_NS 1000000u

static const char tag_teardown[] = "teardown";

struct teardown {
    struct berth_domain *domain;
    const struct berth_request *request;
    uint64_t deadline_ns;
    struct berth_refusal first; /* the first device that could not be taken away */
    int error;
};

/* Those who were on their way in see that the door is closed, or are waited for. */
static bool wait_for_entering(const struct teardown *t)
{
    while (dependents_read(&t->domain->entering)) {
        if (port_now_ns() >= t->deadline_ns)
            return false;
        port_sleep_ns(POLL_NS);
    }
    return true;
}

/* Those who were taking a device out already still need the space, and may yet put it back. */
static bool wait_for_leaving(const struct teardown *t)
{
    while (atomic_load(&t->domain->leaving)) {
        if (port_now_ns() >= t->deadline_ns)
            return false;
        port_sleep_ns(POLL_NS);
    }
    return true;
}

static void take_one(struct teardown *t, struct pcidev *dev)
{
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    const struct berth_request request = {
        .timeout_ns = t->deadline_ns - port_now_ns(), /* not 0: see take_devices() */
        .why = &why,
    };
    int error = deassign_from(dev, t->domain, &request);

    if (!error || device_owner(dev) != t->domain) /* gone, or lost and in quarantine */
        return;
    if (!t->error) {
        t->error = error;
        t->first = why;
    }
}

/* One that fails does not keep the others (X32, F40). False: the deadline passed. */
static bool take_devices(struct teardown *t)
{
    struct pcidev *dev = berth_domain_next_device(t->domain, NULL, tag_teardown);

    while (dev) {
        const struct sbdf at = dev->sbdf;
        bool late = port_now_ns() >= t->deadline_ns;

        if (!late)
            take_one(t, dev);
        pcidev_put(dev, tag_teardown);
        if (late)
            return false;
        dev = berth_domain_next_device(t->domain, &at, tag_teardown);
    }
    return true;
}

/* Both again where somebody else's transition put a device back in the meantime. */
static bool take_all(struct teardown *t)
{
    do {
        if (!take_devices(t) || !wait_for_leaving(t))
            return false;
    } while (!t->error && sbdf_map_count(&t->domain->devices));
    return true;
}

static int teardown_finish(struct teardown *t)
{
    struct berth_domain *domain = t->domain;
    struct berth_machine *machine = domain->machine;

    if (sbdf_map_count(&domain->devices) || space_destroy(machine, domain->space)) {
        atomic_store(&domain->state, BERTH_DOMAIN_ZOMBIE);
        return -EBUSY;
    }
    domain->space = NULL;
    atomic_store(&domain->state, BERTH_DOMAIN_DEAD);
    lock_take(&machine->domains_lock);
    sbdf_map_remove(&machine->domains, domain->id);
    lock_drop(&machine->domains_lock);
    berth_domain_put(domain); /* the table's */
    return 0;
}

/* With .teardown held. */
static int teardown_run(struct teardown *t)
{
    struct berth_domain *domain = t->domain;

    if (berth_domain_state(domain) == BERTH_DOMAIN_DEAD)
        return 0;
    atomic_store(&domain->state, BERTH_DOMAIN_DYING);
    dependents_close(&domain->entering);
    if (!wait_for_entering(t) || !take_all(t))
        return refuse_domain(&t->first, -EAGAIN, BERTH_REASON_UNFINISHED, domain);
    if (t->error == -ETIMEDOUT) /* somebody holds a device; the refusal says who */
        return -EAGAIN;
    return teardown_finish(t);
}

static int teardown_serialised(struct teardown *t)
{
    int error;

    if (!lock_take_until(&t->domain->teardown, t->deadline_ns))
        return refuse_domain(&t->first, -EAGAIN, BERTH_REASON_UNFINISHED, t->domain);
    error = teardown_run(t);
    lock_drop(&t->domain->teardown);
    return error;
}

int teardown_domain(struct berth_domain *domain)
{
    struct teardown t = {.domain = domain};

    t.deadline_ns = machine_deadline(domain->machine, NULL);
    return teardown_serialised(&t);
}

int berth_domain_destroy(struct berth_domain *domain, const struct berth_request *request)
{
    struct teardown t = {.domain = domain, .request = request};
    struct berth_machine *machine = domain->machine;
    int error;

    t.deadline_ns = machine_deadline(machine, request);
    error = machine_permit(machine, request, BERTH_OP_DOMAIN_DESTROY, domain, &t.first);
    if (error)
        t.first.reason = BERTH_REASON_DOMAIN_DENIED; /* there is no device to name */
    if (!error && !domain_is_guest(domain))
        error = refuse_domain(&t.first, -EINVAL, BERTH_REASON_NOT_A_GUEST, domain);
    if (!error)
        error = teardown_serialised(&t);
    if (error)
        refuse_domain(&t.first, error, BERTH_REASON_ZOMBIE, domain);
    return refusal_end(&t.first, error, request);
}
