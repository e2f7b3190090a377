/* SPDX-License-Identifier: MIT */
/*
 * The methods of the control socket, as docs/control.md lists them.
 */
#ifndef BERTH_CONTROL_METHODS_H
#define BERTH_CONTROL_METHODS_H

#include <stdbool.h>
#include <stdint.h>

#include "front/control/call.h"

struct method {
    const char *name;
    call_fn *run;
    uint32_t required, optional; /* bits of enum parameter */
    bool slow;                   /* may sleep: runs in a thread of its own, never in the loop */
};

/** Finds a method or NULL. */
const struct method *method_find(const char *name);

/** What every method does that works on a device: find it, work, let go of it. */
int device_with(struct call *call, int (*work)(struct call *call, struct pcidev *dev));

/** What a method asks of the core about a device that was found. */
typedef int transition_fn(struct call *call, struct pcidev *dev,
                          const struct berth_request *request);

/** Sets the number of VFs, with their objects: all of it, or nothing has changed. */
transition_fn sriov_set;

call_fn method_device_list, method_device_show, method_device_refs, method_device_explain;
call_fn method_device_add, method_device_readd, method_device_remove;
call_fn method_device_assign, method_device_deassign, method_device_release,
    method_device_quarantine;
call_fn method_device_reset, method_device_sriov, method_device_hold, method_device_unhold;
call_fn method_domain_create, method_domain_destroy, method_domain_list;
call_fn method_sim_pull, method_sim_return, method_sim_vanish_after, method_sim_hang_reset,
    method_sim_master, method_sim_fail;
call_fn method_sim_dma, method_sim_irq, method_sim_bar, method_sim_error, method_sim_counters;
call_fn method_config_read, method_config_write, method_dump;

/** Fails with the word that the simulated machine has no such function. */
int sim_refused(struct call *call, int error) __attribute__((warn_unused_result));

#endif
