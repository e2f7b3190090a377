/* SPDX-License-Identifier: MIT */
/*
 * Virtual CPUs of `berth torture`: where they look, and writes that hold them back (V6). Each
 * thread is one, of whichever guest it happens to be in.
 */
#include <errno.h>

#include "tools/berth/torture.h"

#define SLOTS_PER_BUS 32u
#define BUSES 6u /* more than there are */
#define STEPS 200

/* ---- where ---- */

/* One of the guest's devices; the first one behind a place that chance names. */
static bool device_slot(struct torturer *t, struct place *place)
{
    const struct sbdf behind = torture_place(t);
    struct pcidev *dev = berth_domain_next_device(place->guest, &behind, torture_tag);
    bool found;

    if (!dev)
        dev = berth_domain_next_device(place->guest, NULL, torture_tag);
    found = dev && !berth_domain_address(dev, &place->at);
    pcidev_put(dev, torture_tag);
    return found;
}

bool torture_slot(struct torturer *t, struct place *place, unsigned *index)
{
    *index = torture_chance(t, TORTURE_GUESTS);
    *place = (struct place){.machine = t->torture->machine.machine};
    place->guest = berth_domain_find(place->machine, torture_guest_name(*index));
    if (!place->guest)
        return false;
    /* now and then any slot: a port, a host bridge, nothing */
    if (torture_chance(t, 8) && device_slot(t, place))
        return true;
    place->at = sbdf_make(0, torture_chance(t, BUSES), torture_chance(t, SLOTS_PER_BUS), 0);
    return true;
}

/* ---- writes ---- */

static void let_go(struct torturer *t)
{
    berth_domain_put(t->held);
    t->held = NULL;
}

/* A CPU that is held back must not do anything else. */
static void held_check(struct torturer *t)
{
    const struct sbdf any = sbdf_make(0, 0, 0, 0);
    int error = berth_vcpu_config_write(&t->vcpu, t->held, any, 0, 4, 0);

    if (error != -EBUSY)
        flaw_found(&t->torture->flaws, FLAW_REFUSED, "a virtual CPU that is held back wrote: %d",
                   error);
}

void torture_continue(struct torturer *t, bool stop)
{
    for (unsigned i = 0; t->held && i < STEPS && !stop; i++) {
        if (!berth_vcpu_continue(&t->vcpu)) {
            let_go(t);
            return;
        }
        if (!torture_chance(t, 32))
            return; /* its scheduler has something else to do */
        if (t->vcpu.waiting)
            run_sleep_ns(10000);
    }
    if (!t->held)
        return;
    if (!torture_chance(t, 8))
        held_check(t);
    if (!stop && torture_chance(t, 4))
        return;
    berth_vcpu_stop(&t->vcpu);
    atomic_fetch_add_explicit(&t->torture->counts.stopped, 1, memory_order_relaxed);
    let_go(t);
}

void torture_write(struct torturer *t, const struct place *place, unsigned reg, unsigned length,
                   uint64_t value)
{
    int error;

    while (t->held)
        torture_continue(t, !torture_chance(t, 8));
    atomic_fetch_add_explicit(&t->torture->counts.config, 1, memory_order_relaxed);
    error = berth_vcpu_config_write(&t->vcpu, place->guest, place->at, reg, length, value);
    if (!error)
        return;
    if (error != -EAGAIN)
        flaw_found(&t->torture->flaws, FLAW_REFUSED, "a virtual CPU's write: %d", error);
    atomic_fetch_add_explicit(&t->torture->counts.held, 1, memory_order_relaxed);
    t->held = berth_domain_get(place->guest);
    torture_continue(t, false);
}
