/* SPDX-License-Identifier: MIT */
/*
 * P2: every call that can fail is made to, in every operation: the n-th one, then the n-th and the
 * m-th after it, until that makes no difference; also with the card gone from the n-th call on,
 * with reads of all ones, with somebody who does not leave, with resets and flushes that hang.
 *
 * Afterwards everything is as before, or done, or the device is broken, in quarantine and out of
 * its guest's sight (R7, O1); the same operation then works, with the same result as ever.
 *
 * BERTH_SWEEP=full runs all pairs; else there are as many as fit into a short test.
 */
#ifndef BERTH_SWEEP_H
#define BERTH_SWEEP_H

#include "tests/sweep/stage.h"

struct sweep {
    const char *name;
    struct setup setup;
    void (*prepare)(void); /* the state in which the operation begins; may be NULL */
    int (*run)(void);      /* the operation */
    /* What it may come to besides "as before" and "done". */
    enum {
        SWEEP_RESETS = 0x01,   /* what fails in its reset has no way back: it is broken */
        SWEEP_RECOVERS = 0x02, /* it is done, or broken: nobody has use for it as it was */
        SWEEP_PARTLY = 0x04,   /* does what it can: several transitions, or writes of a guest */
        SWEEP_RESTARTS = 0x08, /* what is left is done by another call (O5) */
        SWEEP_FORGETS = 0x10,  /* its power was lost, and with it what was set up */
        SWEEP_SILENT = 0x20,   /* no reason is given */
        SWEEP_OF_GUEST = 0x40  /* a register of a guest's: it reads what came of it, and where that
                                  is something in between the trace says why */
    } allowed;
};

/** Runs the operations; the test fails where one of them came to something else. */
void sweep_all(const struct sweep *sweeps, unsigned count);

#define SWEEP_ALL(sweeps) sweep_all(sweeps, sizeof(sweeps) / sizeof((sweeps)[0]))

/** The main() of a test program. */
int sweep_main(const struct CMUnitTest *tests, size_t count);

#define SWEEP_MAIN(tests) sweep_main(tests, sizeof(tests) / sizeof((tests)[0]))

#endif
