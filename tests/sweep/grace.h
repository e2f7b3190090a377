/* SPDX-License-Identifier: MIT */
/*
 * Grace periods for a test with one thread, wrapped around the port's: they take for ever, until
 * somebody has to know that they are over. What is deferred is freed as late as it may be.
 */
#ifndef BERTH_SWEEP_GRACE_H
#define BERTH_SWEEP_GRACE_H

/** Grace periods are over. */
void memory_settle(void);

#endif
