/* SPDX-License-Identifier: MIT */
/* Why a device can or cannot be lent (M23): the checks of assign, all of them. */
#include <berth/isolation.h>

#include "src/core/assign.h"
#include "src/core/eligible.h"
#include "src/core/memory.h"
#include "src/core/seam.h"
#include "src/core/share.h"

static const char tag_explain[] = "explain";

/* ---- what is in the way ---- */

static void add_reason(struct pcidev_explanation *out, const struct berth_refusal *why, int error)
{
    if (out->reason_count < PCIDEV_REASONS_MAX) {
        out->reasons[out->reason_count] = *why;
        out->reasons[out->reason_count].error = error;
    }
    out->reason_count++;
}

static struct berth_refusal *add_note(struct pcidev_explanation *out, struct sbdf device)
{
    static const unsigned last = PCIDEV_NOTES_MAX - 1;
    struct berth_refusal *note = &out->notes[out->note_count < last ? out->note_count : last];

    out->note_count++;
    refusal_begin(note, device);
    return note;
}

/* ---- what is not, under the policy of now ---- */

/* Who has MSI does not need the line that others are on; it does not get it either. */
static void note_intx(struct transition *t, struct pcidev_explanation *out)
{
    const uint16_t *cap = t->dev->traits.cap;
    struct berth_refusal why;

    refusal_begin(&why, t->dev->sbdf);
    if (share_line(t->dev, t->to, &why) && (cap[CAP_MSI] || cap[CAP_MSIX]))
        *add_note(out, t->dev->sbdf) = why;
}

static void note_reset(struct transition *t, struct pcidev_explanation *out)
{
    if (!t->dev->traits.method_count && !t->policy.require_reset)
        (void)refuse(add_note(out, t->dev->sbdf), 0, BERTH_REASON_NO_RESET);
}

/* What is tolerated is told all the same: who allowed it may have forgotten. */
static void note_interrupts(struct transition *t, struct pcidev_explanation *out)
{
    const struct berth_machine_config *config = &t->machine->config;

    if (config->irqs && t->policy.unsafe_interrupts &&
        !(config->irqs->remaps && config->irqs->remaps(config->irq_context)))
        (void)refuse(add_note(out, t->dev->sbdf), 0, BERTH_REASON_NO_REMAPPING);
}

static void note_reserved(struct transition *t, struct pcidev_explanation *out)
{
    struct berth_reserved list[BERTH_RESERVED_MAX];
    int count = t->policy.reserved_relaxed ? seam_reserved(t->dev, list) : 0;

    for (int i = 0; i < count; i++) {
        if (list[i].relaxed)
            continue;
        (void)refuse(add_note(out, t->dev->sbdf), 0, BERTH_REASON_RESERVED_STRICT);
        return;
    }
}

static void note_all(struct transition *t, struct pcidev_explanation *out)
{
    note_intx(t, out);
    note_reset(t, out);
    note_interrupts(t, out);
    note_reserved(t, out);
}

/* ---- who has to come along ---- */

static void add_member(struct pcidev_explanation *out, const struct pcidev *dev)
{
    struct pcidev_member *member = &out->members[out->member_count];
    const struct berth_domain *owner;

    if (out->member_count++ >= PCIDEV_MEMBERS_MAX)
        return;
    member->sbdf = dev->sbdf;
    port_read_lock(); /* its owner may be on its way out */
    owner = device_owner(dev);
    if (owner)
        memcpy(member->owner, owner->name, sizeof(member->owner));
    port_read_unlock();
}

static int explain_members(struct pcidev *dev, struct pcidev_explanation *out)
{
    struct pcidev **list = port_alloc(PCIDEV_GROUP_MAX * sizeof(*list));
    int count = list ? share_closure(dev, list, PCIDEV_GROUP_MAX, tag_explain) : -ENOMEM;

    for (int i = 0; i < count; i++) {
        add_member(out, list[i]);
        pcidev_put(list[i], tag_explain);
    }
    port_free(list);
    if (count == -E2BIG)
        out->member_count = PCIDEV_GROUP_MAX + 1;
    return count == -ENOMEM ? count : 0;
}

/* ---- all of it ---- */

/* A device that is in the middle of something, or gone: that is the reason, and the only one. */
static void explain_device(struct pcidev *dev, struct berth_domain *to,
                           const struct berth_request *request, struct pcidev_explanation *out)
{
    struct transition t = {.name = "explain", .dev = dev, .to = to, .request = request};
    int error = transition_begin(&t);

    if (error) {
        add_reason(out, &t.why, error);
        return;
    }
    out->reason_count +=
        eligible_all(&t, out->reasons + out->reason_count, PCIDEV_REASONS_MAX - out->reason_count);
    if (device_has_contexts(dev))
        note_all(&t, out);
    (void)transition_end(&t, 0);
}

int pcidev_explain(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request,
                   struct pcidev_explanation *out)
{
    struct berth_domain any = {
        .kind = BERTH_DOMAIN_GUEST, .name = "a guest", .machine = dev->machine};
    struct berth_request asking = request ? *request : (struct berth_request){.caller = NULL};
    struct berth_refusal why;
    int error;

    asking.why = NULL;
    if (to && to->machine != dev->machine)
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    error = assign_permit(dev, to, BERTH_OP_ASSIGN, request, &why);
    if (error)
        add_reason(out, &why, error);
    explain_device(dev, to ? to : &any, &asking, out);
    error = explain_members(dev, out);
    if (error)
        return error;
    out->possible = out->reason_count == 0;
    out->group_possible =
        out->possible ||
        (out->member_count > 1 && pcidev_test_assign_group(dev, to ? to : &any, &asking) == 0);
    return 0;
}
