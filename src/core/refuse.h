/* SPDX-License-Identifier: MIT */
/* How the core fills in a struct berth_refusal. */
#ifndef CORE_REFUSE_H
#define CORE_REFUSE_H

#include <berth/errno.h>
#include <berth/refusal.h>

struct berth_domain;
struct berth_request;

/** Starts a refusal about @device. */
void refusal_begin(struct berth_refusal *why, struct sbdf device);

/** Notes @reason, unless a deeper one has been noted already; returns @error. */
int refuse(struct berth_refusal *why, int error, enum berth_reason reason);

/** The same, and names the domain or the device in the way. */
int refuse_domain(struct berth_refusal *why, int error, enum berth_reason reason,
                  const struct berth_domain *domain);
int refuse_other(struct berth_refusal *why, int error, enum berth_reason reason, struct sbdf other);
int refuse_address(struct berth_refusal *why, int error, enum berth_reason reason,
                   uint64_t address);
int refuse_number(struct berth_refusal *why, int error, enum berth_reason reason, uint32_t number);

/** Hands it to the caller, when there was an @error and the caller wants it; returns @error. */
int refusal_end(const struct berth_refusal *why, int error, const struct berth_request *request);

#endif
