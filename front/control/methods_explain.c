/* SPDX-License-Identifier: MIT */
/* Why a device can or cannot be lent. */
#include <errno.h>
#include <stdlib.h>

#include <berth/isolation.h>
#include <berth/pcidev.h>

#include "front/control/methods.h"
#include "front/control/shapes.h"

static unsigned at_most(unsigned count, unsigned max)
{
    return count < max ? count : max;
}

static json_t *shape_refusals(const struct berth_refusal *list, unsigned count)
{
    json_t *shape = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(shape, shape_refusal(&list[i]));
    return shape;
}

static json_t *shape_members(const struct pcidev_explanation *e)
{
    json_t *shape = json_array();

    for (unsigned i = 0; i < at_most(e->member_count, PCIDEV_MEMBERS_MAX); i++)
        json_array_append_new(shape,
                              json_pack("{s:o, s:s}", "device", shape_sbdf(e->members[i].sbdf),
                                        "owner", e->members[i].owner));
    return shape;
}

static json_t *shape_explanation(struct sbdf device, const char *domain,
                                 const struct pcidev_explanation *e)
{
    return json_pack("{s:o, s:s?, s:b, s:b, s:o, s:o, s:o, s:i}", "device", shape_sbdf(device),
                     "domain", domain, "possible", e->possible, "group_possible", e->group_possible,
                     "reasons",
                     shape_refusals(e->reasons, at_most(e->reason_count, PCIDEV_REASONS_MAX)),
                     "notes", shape_refusals(e->notes, at_most(e->note_count, PCIDEV_NOTES_MAX)),
                     "members", shape_members(e), "member_count", (int)e->member_count);
}

static int explain_to(struct call *call, struct pcidev *dev, struct berth_domain *to,
                      struct pcidev_explanation *e)
{
    struct asking asking;
    int error = call_ask(call, &asking);

    if (error)
        return error;
    error = pcidev_explain(dev, to, &asking.request, e);
    call_asked(&asking);
    if (error)
        return call_failed(call, error, "failed", "it cannot be explained now: try again");
    return call_done(call, shape_explanation(pcidev_sbdf(dev), call->arguments.domain, e));
}

static int explain(struct call *call, struct pcidev *dev)
{
    struct pcidev_explanation *e = malloc(sizeof(*e));
    struct berth_domain *to = NULL;
    int error;

    if (!e)
        return call_failed(call, -ENOMEM, "no-memory", "out of memory");
    error = call->arguments.domain ? call_domain(call, call->arguments.domain, &to) : 0;
    if (!error)
        error = explain_to(call, dev, to, e);
    berth_domain_put(to);
    free(e);
    return error;
}

int method_device_explain(struct call *call)
{
    return device_with(call, explain);
}
