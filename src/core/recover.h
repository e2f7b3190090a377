/* SPDX-License-Identifier: MIT */
/* What is kept of a device that was lent, for the time when it is in trouble (M13). */
#ifndef CORE_RECOVER_H
#define CORE_RECOVER_H

#include "src/core/registers.h"
#include "src/core/transition.h"

/** Made when the device is lent for the first time, and freed with it. */
struct recovery {
    struct registers registers; /* as they were when it was lent. Under the device's lock */
    _Atomic uint32_t reported;  /* bits by enum pcidev_trouble: a recovery is under way for these */
    _Atomic uint32_t corrected; /* by the hardware, while it was lent */
    uint64_t since_ns;          /* recoveries are counted from then on; under the device's lock */
    uint32_t count;
};

/** Step of a change of owner: the registers of a device that is lent. */
int recover_remember(struct transition *t) REQUIRES(t->dev->lock);

/** Whether the device is being recovered, or is about to. Context: any. */
bool recover_is_running(const struct pcidev *dev);

/** Errors that the hardware has corrected, since the device was lent for the first time. */
uint32_t recover_corrected(const struct pcidev *dev);

#endif
