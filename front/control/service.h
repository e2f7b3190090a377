/* SPDX-License-Identifier: MIT */
/*
 * What the server serves: a machine with a simulated host behind it, its trace, and the handles
 * that toolstacks hold.
 */
#ifndef BERTH_CONTROL_SERVICE_H
#define BERTH_CONTROL_SERVICE_H

#include <stdint.h>

#include <berth/machine.h>

#include "front/control/events.h"
#include "front/control/interrupts.h"
#include "front/control/names.h"
#include "front/control/recorder.h"
#include "host/capture/capture.h"
#include "host/sim/sim.h"

/** A failure that is ordered before the first device is added. */
struct service_fault {
    enum sim_op op;
    unsigned nth;
    int error; /* 0: the operation's usual one, else -errno */
};

/** Everything is borrowed for the call of service_create(). */
struct service_options {
    const struct capture *capture;
    struct berth_policy policy;
    const struct sbdf *hidden;
    uint32_t hidden_count;
    const struct sbdf *read_only;
    uint32_t read_only_count;
    const struct berth_phantom_override *phantoms;
    uint32_t phantom_count;
    const struct service_fault *faults;
    unsigned fault_count;
};

#define SERVICE_HANDLES_MAX 1024

struct service {
    struct berth_machine *machine;
    struct sim *sim;
    struct events events;
    struct names names;
    struct recorder recorder; /* of all guests */
    struct interrupts interrupts;
    /* Locking: protects .handles and .handle_count. A leaf: no call of the core under it. */
    pthread_mutex_t handle_lock;
    struct service_handle *handles;
    unsigned handle_count;
};

/**
 * Builds the simulated machine and the (empty) registry above it.
 * Returns 0, -ENOMEM, -EINVAL (@error says why), or what berth_machine_create() said.
 */
int service_create(const struct service_options *options, struct service **service,
                   struct capture_error *error) __attribute__((warn_unused_result));

/**
 * Adds every function that answers.
 * @refused  told about each one that could not be added
 * Returns how many were added.
 */
unsigned service_populate(struct service *service,
                          void (*refused)(void *context, const struct berth_refusal *why),
                          void *context);

/** Takes the devices of all guests away, so that whoever waits for them to let go stops waiting. */
void service_evacuate(struct service *service);

/** Destroys it all. NULL is fine. Returns the references that were left, each one told to @leak. */
unsigned service_destroy(struct service *service, void (*leak)(const struct berth_event *event));

/** Holds @dev by a toolstack's handle (C6). Returns 0, -ENOSPC, -ENOMEM. */
int service_hold(struct service *service, struct pcidev *dev) __attribute__((warn_unused_result));

/** Closes the oldest handle of an address. Returns 0, or -ENOENT where there is none. */
int service_unhold(struct service *service, struct sbdf sbdf) __attribute__((warn_unused_result));

#endif
