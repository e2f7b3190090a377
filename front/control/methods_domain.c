/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <berth/domain.h>

#include "front/control/guests.h"
#include "front/control/methods.h"
#include "front/control/shapes.h"

static int create_failed(struct call *call, int error)
{
    const char *name = call->arguments.domain;

    switch (error) {
    case -EEXIST:
        return call_failed(call, error, "domain-exists",
                           "there is a domain %s already: `berth domain list` shows it", name);
    case -EINVAL:
        return call_failed(call, error, "bad-argument",
                           "%s is no name for a domain: 1 to 31 letters, digits, \".\", \"_\", "
                           "\"-\"",
                           name);
    default:
        return call_failed(call, error, "failed", "domain %s could not be made: %s", name,
                           strerrordesc_np(-error));
    }
}

int method_domain_create(struct call *call)
{
    const struct arguments *a = &call->arguments;
    struct berth_domain *domain;
    json_t *shape;
    int error = guest_create(call->service, a->domain, a->ports, a->buses, &domain);

    if (error)
        return create_failed(call, error);
    shape = shape_domain(domain);
    berth_domain_put(domain);
    return call_done(call, shape);
}

static int destroy_asked(struct call *call, struct berth_domain *domain)
{
    struct asking asking;
    int error = call_ask(call, &asking);

    if (error)
        return error;
    error = berth_domain_destroy(domain, &asking.request);
    call_asked(&asking);
    return error ? call_refused(call, &asking.why, error) : call_done(call, shape_domain(domain));
}

int method_domain_destroy(struct call *call)
{
    struct berth_domain *domain;
    int error = call_domain(call, call->arguments.domain, &domain);

    if (error)
        return error;
    error = destroy_asked(call, domain);
    berth_domain_put(domain);
    return error;
}

static struct berth_domain *domain_step(struct call *call, struct berth_domain *domain)
{
    struct berth_domain *next = berth_domain_next(call->service->machine, domain);

    berth_domain_put(domain);
    return next;
}

static struct berth_domain *page_start(struct call *call)
{
    struct berth_domain *domain = domain_step(call, NULL);

    while (domain && (call->arguments.given & PARAMETER_AFTER_ID) &&
           berth_domain_id(domain) <= call->arguments.after_id)
        domain = domain_step(call, domain);
    return domain;
}

int method_domain_list(struct call *call)
{
    json_t *list = json_array();
    struct berth_domain *domain = page_start(call);
    uint32_t last = 0;

    for (unsigned n = 0; domain && n < call->arguments.limit; n++) {
        last = berth_domain_id(domain);
        json_array_append_new(list, shape_domain(domain));
        domain = domain_step(call, domain);
    }
    berth_domain_put(domain);
    return call_done(call, json_pack("{s:o, s:o?}", "domains", list, "next",
                                     domain ? json_integer(last) : NULL));
}
