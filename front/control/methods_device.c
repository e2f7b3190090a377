/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <berth/domain.h>
#include <berth/isolation.h>
#include <berth/pcidev.h>

#include "front/control/guests.h"
#include "front/control/methods.h"
#include "front/control/shapes.h"

static int device_find(struct call *call, struct pcidev **dev)
{
    const struct berth_refusal why = {
        .reason = BERTH_REASON_NO_DEVICE,
        .error = -ENODEV,
        .device = call->arguments.device,
    };

    *dev = pcidev_find(call->service->machine, call->arguments.device, call_tag);
    return *dev ? 0 : call_refused(call, &why, -ENODEV);
}

/* The reference of the command that asks is nobody's news. */
static json_t *device_shape(struct call *call, struct pcidev *dev)
{
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    if (info.references)
        info.references--;
    return shape_device(&call->service->names, &info);
}

/* ---- looking ---- */

int method_device_list(struct call *call)
{
    const struct arguments *arguments = &call->arguments;
    struct berth_machine *machine = call->service->machine;
    const bool paged = arguments->given & PARAMETER_AFTER;
    json_t *list = json_array();
    struct pcidev *dev = pcidev_next(machine, paged ? &arguments->after : NULL, call_tag);
    struct sbdf last = arguments->after;

    for (unsigned n = 0; dev && n < arguments->limit; n++) {
        last = pcidev_sbdf(dev);
        json_array_append_new(list, device_shape(call, dev));
        pcidev_put(dev, call_tag);
        dev = pcidev_next(machine, &last, call_tag);
    }
    pcidev_put(dev, call_tag);
    return call_done(
        call, json_pack("{s:o, s:o?}", "devices", list, "next", dev ? shape_sbdf(last) : NULL));
}

int device_with(struct call *call, int (*work)(struct call *call, struct pcidev *dev))
{
    struct pcidev *dev;
    int error = device_find(call, &dev);

    if (error)
        return error;
    error = work(call, dev);
    pcidev_put(dev, call_tag);
    return error;
}

static int show_done(struct call *call, struct pcidev *dev)
{
    json_t *shape = device_shape(call, dev);

    /* a list would become too long with it; NULL stands for null */
    if (json_object_set_new(shape, "guest", shape_guest(call->service, dev)))
        json_object_set_new(shape, "guest", json_null());
    return call_done(call, shape);
}

int method_device_show(struct call *call)
{
    return device_with(call, show_done);
}

/* Takes the asking command's own reference out: by its tag, or out of those without one. */
static unsigned holders_without_us(struct berth_holder *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(list[i].tag, call_tag) && strcmp(list[i].tag, "untracked"))
            continue;
        if (--list[i].count)
            return count;
        memmove(&list[i], &list[i + 1], (count - i - 1) * sizeof(*list));
        return count - 1;
    }
    return count;
}

static int refs_done(struct call *call, struct pcidev *dev)
{
    struct berth_holder list[BERTH_HOLDERS_MAX], inside[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX);
    unsigned sections = pcidev_sections(dev, inside, BERTH_HOLDERS_MAX);
    unsigned total = 0;

    count = holders_without_us(list, count);
    for (unsigned i = 0; i < count; i++)
        total += list[i].count;
    return call_done(call, json_pack("{s:o, s:i, s:o, s:o}", "device", shape_sbdf(pcidev_sbdf(dev)),
                                     "references", total, "holders", shape_holders(list, count),
                                     "sections", shape_holders(inside, sections)));
}

int method_device_refs(struct call *call)
{
    return device_with(call, refs_done);
}

/* ---- transitions ---- */

/* Asks the core, and answers with the refusal or with the device as it is now. */
static int transition_ask(struct call *call, struct pcidev *dev, transition_fn *transition)
{
    struct asking asking;
    int error = call_ask(call, &asking);

    if (error)
        return error;
    error = transition(call, dev, &asking.request);
    call_asked(&asking);
    if (call->data)
        return error;
    return error ? call_refused(call, &asking.why, error) : show_done(call, dev);
}

static int transition_run(struct call *call, transition_fn *transition)
{
    struct pcidev *dev;
    int error = device_find(call, &dev);

    if (error)
        return error;
    error = transition_ask(call, dev, transition);
    pcidev_put(dev, call_tag);
    return error;
}

/* An add has no device before, and the one after may be gone already when it is looked for. */
static int add_asked(struct call *call, struct asking *asking)
{
    const struct arguments *a = &call->arguments;
    const struct pcidev_add_info vf = {.is_vf = true, .pf = a->pf, .numa_node = -1};
    int error = pcidev_add(call->service->machine, a->device, a->given & PARAMETER_PF ? &vf : NULL,
                           &asking->request);

    return error ? call_refused(call, &asking->why, error) : method_device_show(call);
}

int method_device_add(struct call *call)
{
    struct asking asking;
    int error = call_ask(call, &asking);

    if (error)
        return error;
    error = add_asked(call, &asking);
    call_asked(&asking);
    return error;
}

static int do_readd(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    (void)call;
    return pcidev_readd(dev, NULL, request);
}

int method_device_readd(struct call *call)
{
    return transition_run(call, do_readd);
}

static int do_remove(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    return pcidev_remove(dev, (enum pcidev_remove_mode)call->arguments.mode, request);
}

int method_device_remove(struct call *call)
{
    return transition_run(call, do_remove);
}

static int do_assign(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    static int (*const ways[2][2])(struct pcidev *, struct berth_domain *,
                                   const struct berth_request *) = {
        {pcidev_assign, pcidev_test_assign},
        {pcidev_assign_group, pcidev_test_assign_group},
    };
    struct berth_request placed = *request;
    struct berth_domain *to;
    int error = call_domain(call, call->arguments.domain, &to);

    if (error)
        return error;
    if (call->arguments.given & PARAMETER_AT)
        placed.guest_address = &call->arguments.at;
    error = ways[call->arguments.group][call->arguments.test](dev, to, &placed);
    berth_domain_put(to);
    return error;
}

int method_device_assign(struct call *call)
{
    return transition_run(call, do_assign);
}

static int do_deassign(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    const char *name = call->arguments.domain;
    struct berth_domain *from;
    struct pcidev_info info;
    int error;

    pcidev_snapshot(dev, &info);
    error = call_domain(call, name ? name : info.owner, &from);
    if (error)
        return error;
    error = pcidev_deassign(dev, from, request);
    berth_domain_put(from);
    return error;
}

int method_device_deassign(struct call *call)
{
    return transition_run(call, do_deassign);
}

static int do_release(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    return pcidev_assign(dev, berth_machine_hwdom(call->service->machine), request);
}

static int do_quarantine(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    return pcidev_assign(dev, berth_machine_quarantine(call->service->machine), request);
}

int method_device_quarantine(struct call *call)
{
    return transition_run(call, do_quarantine);
}

int method_device_release(struct call *call)
{
    return transition_run(call, do_release);
}

static int do_reset(struct call *call, struct pcidev *dev, const struct berth_request *request)
{
    (void)call;
    return pcidev_reset(dev, request);
}

int method_device_reset(struct call *call)
{
    return transition_run(call, do_reset);
}

int method_device_sriov(struct call *call)
{
    return transition_run(call, sriov_set);
}

/* ---- handles ---- */

static int hold_done(struct call *call, struct pcidev *dev)
{
    int error = service_hold(call->service, dev);

    if (error)
        return call_failed(call, error, "too-many-handles",
                           "no more than %u handles can be held: `berth unhold` closes one",
                           SERVICE_HANDLES_MAX);
    return refs_done(call, dev);
}

int method_device_hold(struct call *call)
{
    return device_with(call, hold_done);
}

/* Works by address, not by lookup: the object that is held may have been removed. */
int method_device_unhold(struct call *call)
{
    struct sbdf sbdf = call->arguments.device;
    char text[SBDF_TEXT_SIZE];

    if (service_unhold(call->service, sbdf))
        return call_failed(call, -ENOENT, "not-held", "no handle of %s is open: `berth refs %s`",
                           sbdf_format(sbdf, text), text);
    return call_done(call, json_pack("{s:o}", "device", shape_sbdf(sbdf)));
}
