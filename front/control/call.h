/* SPDX-License-Identifier: MIT */
/*
 * One call of a method: decoded parameters go in, a result or a refusal comes out.
 */
#ifndef BERTH_CONTROL_CALL_H
#define BERTH_CONTROL_CALL_H

#include <jansson.h>

#include <berth/machine.h>
#include <berth/refusal.h>

#include "front/control/arguments.h"
#include "front/control/service.h"

struct call {
    struct service *service;
    struct arguments arguments;
    json_t *result; /* of a method that returned 0 */
    json_t *data;   /* of one that failed: the refusal in the shape of docs/control.md */
};

/** Holds the devices that a call works on: one address, because tags are told apart by it. */
extern const char call_tag[];

/** A method: returns 0 with .result, or -errno with .data. */
typedef int call_fn(struct call *call);

/** Fails with what the core said. @error stands in where the core left @why empty. */
int call_refused(struct call *call, const struct berth_refusal *why, int error)
    __attribute__((warn_unused_result));

/** Replaces what a client made up and a terminal or JSON would choke on: a refusal is one line of
 * ASCII. */
void text_clean(char *text);

/** Fails with what is the server's own to say. @reason as in docs/control.md. */
int call_failed(struct call *call, int error, const char *reason, const char *format, ...)
    __attribute__((warn_unused_result, format(printf, 4, 5)));

/** Sets the result (NULL: memory ran out, and the call fails). */
int call_done(struct call *call, json_t *result) __attribute__((warn_unused_result));

/** Finds a domain by name. Returns 0 with a reference, or the failure. */
int call_domain(struct call *call, const char *name, struct berth_domain **domain)
    __attribute__((warn_unused_result));

/** A request with what it borrows: who asks (--as), and where the reason goes. */
struct asking {
    struct berth_request request;
    struct berth_refusal why;
};

/** Prepares @asking from the parameters "as" and "timeout"; call_asked() when it is done with. */
int call_ask(struct call *call, struct asking *asking) __attribute__((warn_unused_result));
void call_asked(struct asking *asking);

#endif
