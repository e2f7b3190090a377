/* SPDX-License-Identifier: MIT */
#ifndef CORE_TEARDOWN_H
#define CORE_TEARDOWN_H

struct berth_domain;

/** berth_domain_destroy() without asking who may: for the end of a machine. */
int teardown_domain(struct berth_domain *domain);

#endif
