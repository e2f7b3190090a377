/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <berth/domain.h>

#include "front/control/call.h"
#include "front/control/shapes.h"

const char call_tag[] = "control";

int call_refused(struct call *call, const struct berth_refusal *why, int error)
{
    if (why->reason == BERTH_REASON_NONE)
        return call_failed(call, error, "failed", "%s", strerrordesc_np(-error));
    call->data = shape_refusal(why);
    return why->error ? why->error : error;
}

/* A refusal is one line. */
#define TEXT_SIZE 512

void text_clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

int call_failed(struct call *call, int error, const char *reason, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    text_clean(text);
    call->data = json_pack("{s:s, s:s, s:s}", "reason", reason, "error", shape_error_name(error),
                           "text", text);
    return error;
}

int call_done(struct call *call, json_t *result)
{
    if (!result)
        return call_failed(call, -ENOMEM, "no-memory", "out of memory");
    call->result = result;
    return 0;
}

int call_domain(struct call *call, const char *name, struct berth_domain **domain)
{
    *domain = berth_domain_find(call->service->machine, name);
    if (!*domain)
        return call_failed(call, -ENOENT, "no-domain",
                           "there is no domain %s: `berth domain list` shows those that are, "
                           "`berth domain create` makes one",
                           name);
    return 0;
}

int call_ask(struct call *call, struct asking *asking)
{
    *asking = (struct asking){.request.timeout_ns = call->arguments.timeout_ns};
    asking->request.why = &asking->why;
    if (!call->arguments.as)
        return 0;
    return call_domain(call, call->arguments.as, &asking->request.caller);
}

void call_asked(struct asking *asking)
{
    berth_domain_put(asking->request.caller);
}
