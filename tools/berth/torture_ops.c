/* SPDX-License-Identifier: MIT */
/* The transitions of `berth torture`, and what may be answered to them. */
#include <errno.h>
#include <stdio.h>

#include "tools/berth/torture.h"

/* ---- add, look again, remove ---- */

static int add_at(struct torturer *t, struct sbdf at)
{
    struct torture_request r;

    torture_ask(t, &r);
    return torture_judge(t->torture, "add",
                         pcidev_add(t->torture->machine.machine, at, NULL, &r.request), &r);
}

static int op_add(struct torturer *t)
{
    return add_at(t, torture_place(t));
}

static int op_add_all(struct torturer *t)
{
    return -(int)run_machine_add_all(&t->torture->machine, NULL);
}

/* Calls an operation on a device that is present. */
static int with_device(struct torturer *t, const char *what,
                       int (*op)(struct pcidev *dev, const struct berth_request *request))
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct torture_request r;

    if (!ref.dev)
        return -ENODEV;
    torture_ask(t, &r);
    return torture_judge(t->torture, what, op(ref.dev, &r.request), &r);
}

static int readd(struct pcidev *dev, const struct berth_request *request)
{
    return pcidev_readd(dev, NULL, request);
}

static int op_readd(struct torturer *t)
{
    return with_device(t, "readd", readd);
}

static int op_reset(struct torturer *t)
{
    return with_device(t, "reset", pcidev_reset);
}

static int remove_as(struct torturer *t, const char *what, enum pcidev_remove_mode mode)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct torture_request r;
    int error;

    if (!ref.dev)
        return -ENODEV;
    torture_ask(t, &r);
    error = pcidev_remove(ref.dev, mode, &r.request);
    if (!error) {
        atomic_fetch_add(&t->torture->removals, 1);
        torture_gone(t->torture, ref.dev);
    }
    return torture_judge(t->torture, what, error, &r);
}

static int op_remove(struct torturer *t)
{
    return remove_as(t, "remove", PCIDEV_REMOVE_DEFAULT);
}

static int op_force(struct torturer *t)
{
    return remove_as(t, "remove by force", PCIDEV_REMOVE_FORCE);
}

static int op_strict(struct torturer *t)
{
    return remove_as(t, "remove strictly", PCIDEV_REMOVE_STRICT);
}

static int op_graceful(struct torturer *t)
{
    return torture_chance(t, 2) ? remove_as(t, "remove gracefully", PCIDEV_REMOVE_GRACEFUL)
                                : remove_as(t, "remove gracefully", PCIDEV_REMOVE_GRACEFUL_FORCE);
}

/* ---- owners ---- */

typedef int owner_op(struct pcidev *dev, struct berth_domain *domain,
                     const struct berth_request *request);

static int move_to(struct torturer *t, const char *what, owner_op *op, struct berth_domain *domain)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct torture_request r;

    if (!ref.dev || !domain)
        return -ENODEV;
    torture_ask(t, &r);
    return torture_judge(t->torture, what, op(ref.dev, domain, &r.request), &r);
}

static int move_guest(struct torturer *t, const char *what, owner_op *op)
{
    struct berth_domain *guest = torture_guest(t);
    int error = move_to(t, what, op, guest);

    berth_domain_put(guest);
    return error;
}

static int op_assign(struct torturer *t)
{
    return move_guest(t, "assign", pcidev_assign);
}

static int op_test_assign(struct torturer *t)
{
    return move_guest(t, "test-assign", pcidev_test_assign);
}

/* The owner as it was a moment ago, with a reference, or NULL. */
static struct berth_domain *owner_of(struct torturer *t, struct pcidev *dev)
{
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    return berth_domain_find(t->torture->machine.machine, info.owner);
}

static int deassign(struct torturer *t, struct pcidev *dev)
{
    struct berth_domain *owner = owner_of(t, dev);
    struct torture_request r;
    int error = -ENODEV;

    if (owner) {
        torture_ask(t, &r);
        error = torture_judge(t->torture, "deassign", pcidev_deassign(dev, owner, &r.request), &r);
    }
    berth_domain_put(owner);
    return error;
}

static int op_deassign(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {NULL, torture_tag};

    if (!torture_chance(t, 8))
        return move_guest(t, "deassign", pcidev_deassign);
    ref.dev = torture_device(t);
    return ref.dev ? deassign(t, ref.dev) : -ENODEV;
}

static int op_release(struct torturer *t)
{
    return move_to(t, "release", pcidev_assign, berth_machine_hwdom(t->torture->machine.machine));
}

static int op_quarantine(struct torturer *t)
{
    return move_to(t, "quarantine", pcidev_assign,
                   berth_machine_quarantine(t->torture->machine.machine));
}

/* ---- guests come, answer and go ---- */

static size_t index_of(const struct torture *torture, struct sbdf at)
{
    const struct capture_function *f = capture_find(&torture->machine.capture, at);

    return f ? (size_t)(f - torture->machine.capture.functions) : SIZE_MAX;
}

static void guest_asked(void *context, struct pcidev *dev)
{
    struct torture *torture = context;
    size_t index = index_of(torture, pcidev_sbdf(dev));

    if (index != SIZE_MAX)
        atomic_store(&torture->asked[index], true);
}

/* With --fail a guest's view cannot always be taken away, or put back. */
static int guest_view(void *context, struct pcidev *dev)
{
    struct torture *torture = context;

    (void)dev;
    if (!atomic_load(&torture->failing) || atomic_fetch_add(&torture->dice, 1) % 61)
        return 0;
    return -EIO;
}

const struct berth_domain_ops torture_guest_ops = {
    .release_request = guest_asked,
    .withdraw = guest_view,
    .restore = guest_view,
};

static int op_answer(struct torturer *t)
{
    struct torture *torture = t->torture;
    size_t count = torture->machine.capture.count;
    size_t first = torture_chance(t, (uint32_t)count);

    for (size_t i = 0; i < count; i++) {
        size_t index = (first + i) % count;

        if (atomic_load(&torture->asked[index]) && atomic_exchange(&torture->asked[index], false)) {
            struct sbdf at = torture->machine.capture.functions[index].sbdf;
            struct pcidev_ref ref PCIDEV_REF = {
                pcidev_find(torture->machine.machine, at, torture_tag), torture_tag};

            return ref.dev ? deassign(t, ref.dev) : -ENODEV;
        }
    }
    return -ENOENT;
}

static int op_domain_create(struct torturer *t)
{
    struct torture *torture = t->torture;
    const unsigned index = torture_chance(t, TORTURE_GUESTS);
    struct berth_domain *guest;
    int error = berth_domain_create(torture->machine.machine, torture_guest_name(index),
                                    &torture_guest_ops, torture, &guest);

    if (!error) {
        /* somebody was quicker and has lent it a device: then it has the buses of everybody */
        if (torture_view_set(torture, index, guest) == -EINVAL)
            flaw_found(&torture->flaws, FLAW_REFUSED, "the view of a guest is refused");
        berth_domain_put(guest);
    }
    if (error && error != -EEXIST && !torture->options.fail)
        flaw_found(&torture->flaws, FLAW_REFUSED, "create a guest: %d", error);
    return error;
}

static int op_domain_destroy(struct torturer *t)
{
    struct berth_domain *guest = torture_guest(t);
    struct torture_request r;
    int error;

    if (!guest)
        return -ENODEV;
    torture_ask(t, &r);
    error =
        torture_judge(t->torture, "destroy a guest", berth_domain_destroy(guest, &r.request), &r);
    if (!error && berth_domain_device_count(guest))
        flaw_found(&t->torture->flaws, FLAW_REFUSED, "a guest that is gone has devices");
    berth_domain_put(guest);
    return error;
}

/* ---- VFs ---- */

static int vfs_add(struct torturer *t, struct pcidev *pf)
{
    struct sbdf at;
    int error = -ENODEV;

    for (unsigned i = 0; pcidev_vf_address(pf, i, &at) == 0; i++)
        error = add_at(t, at);
    return error;
}

/* A device that can have VFs, or where chance finds none soon another one. */
static struct pcidev *pf_choose(struct torturer *t)
{
    struct pcidev *dev = NULL;
    struct pcidev_info info = {.total_vfs = 0};

    for (unsigned i = 0; i < 16 && !info.total_vfs; i++) {
        pcidev_put(dev, torture_tag);
        dev = torture_device(t);
        if (dev)
            pcidev_snapshot(dev, &info);
    }
    return dev;
}

static int op_sriov(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {pf_choose(t), torture_tag};
    struct torture_request r;
    int error;

    if (!ref.dev)
        return -ENODEV;
    torture_ask(t, &r);
    error = pcidev_sriov(ref.dev, torture_chance(t, 4), &r.request);
    torture_judge(t->torture, "sriov", error, &r);
    return error ? error : vfs_add(t, ref.dev);
}

static int op_vfs(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {pf_choose(t), torture_tag};

    return ref.dev ? vfs_add(t, ref.dev) : -ENODEV;
}

/* ---- hands on the machine ---- */

static int op_pull(struct torturer *t)
{
    struct torture *torture = t->torture;
    struct berth_machine *machine = torture->machine.machine;
    struct pcidev *dev;

    pthread_mutex_lock(&torture->hands);
    (void)sim_vanish(torture->machine.sim, torture_place(t));
    dev = pcidev_next(machine, NULL, torture_tag);
    while (dev) { /* more may have gone than the one: a card, all behind a bridge */
        const struct sbdf at = pcidev_sbdf(dev);

        if (!sim_present(torture->machine.sim, at))
            pcidev_vanished(dev);
        pcidev_put(dev, torture_tag);
        dev = pcidev_next(machine, &at, torture_tag);
    }
    pthread_mutex_unlock(&torture->hands);
    return 0;
}

/* Back in its slot, a device that was not removed meanwhile has to be looked at again. */
static int op_return(struct torturer *t)
{
    struct torture *torture = t->torture;
    struct sbdf at = torture_place(t);
    struct pcidev_ref ref PCIDEV_REF = {NULL, torture_tag};
    struct pcidev_info info;
    struct torture_request r;

    pthread_mutex_lock(&torture->hands);
    (void)sim_return(torture->machine.sim, at);
    pthread_mutex_unlock(&torture->hands);
    ref.dev = pcidev_find(torture->machine.machine, at, torture_tag);
    if (!ref.dev)
        return add_at(t, at);
    pcidev_snapshot(ref.dev, &info);
    if (!info.disconnected && !info.broken)
        return 0;
    torture_ask(t, &r);
    if (torture_chance(t, 2))
        return torture_judge(torture, "readd", pcidev_readd(ref.dev, NULL, &r.request), &r);
    if (!pcidev_remove(ref.dev, PCIDEV_REMOVE_FORCE, &r.request))
        torture_gone(torture, ref.dev);
    return add_at(t, at);
}

/* ---- failures, with --fail ---- */

static int op_inject(struct torturer *t)
{
    enum sim_op op = (enum sim_op)torture_chance(t, SIM_OP_COUNT + 1);
    uint32_t nth = 1 + torture_chance(t, 20);

    sim_fail(t->torture->machine.sim, op, nth, torture_chance(t, 3), op == SIM_OP_ANY ? -EIO : 0);
    return 0;
}

static int op_hang(struct torturer *t)
{
    struct sim *sim = t->torture->machine.sim;

    switch (torture_chance(t, 3)) {
    case 0:
        return sim_hang_on_reset(sim, torture_place(t), true);
    case 1:
        return sim_hang_on_flush(sim, torture_place(t), true);
    default:
        return sim_vanish_after(sim, torture_place(t), 1 + torture_chance(t, 30));
    }
}

static int op_unhang(struct torturer *t)
{
    struct sim *sim = t->torture->machine.sim;
    struct sbdf at = torture_place(t);

    (void)sim_hang_on_reset(sim, at, false);
    return sim_hang_on_flush(sim, at, false);
}

const struct torture_op torture_transitions[] = {
    {"add", op_add, 14, false},
    {"add all", op_add_all, 3, false},
    {"readd", op_readd, 3, false},
    {"remove", op_remove, 2, false},
    {"remove by force", op_force, 5, false},
    {"remove strictly", op_strict, 2, false},
    {"remove gracefully", op_graceful, 3, false},
    {"assign", op_assign, 16, false},
    {"test-assign", op_test_assign, 3, false},
    {"deassign", op_deassign, 8, false},
    {"release", op_release, 6, false},
    {"quarantine", op_quarantine, 2, false},
    {"answer", op_answer, 8, false},
    {"reset", op_reset, 5, false},
    {"create a guest", op_domain_create, 5, false},
    {"destroy a guest", op_domain_destroy, 2, false},
    {"sriov", op_sriov, 4, false},
    {"add VFs", op_vfs, 3, false},
    {"pull", op_pull, 1, false},
    {"return", op_return, 14, false},
    {"inject a failure", op_inject, 8, true},
    {"hang", op_hang, 1, true},
    {"unhang", op_unhang, 5, true},
    {0},
};
