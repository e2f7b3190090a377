/* SPDX-License-Identifier: MIT */
/* A thread that is in an access section of a device until it is told to leave (R5). */
#ifndef BERTH_TESTS_SLOW_READER_H
#define BERTH_TESTS_SLOW_READER_H

#include <pthread.h>

#include "tests/unit/rig.h"

/** What its section is called. */
#define SLOW_READER "slow reader"

struct slow_reader {
    struct pcidev *dev;
    pthread_t thread;
    _Atomic bool inside, leave;
};

/** Returns when it is inside. The reference to @dev stays the caller's. */
void slow_reader_start(struct slow_reader *reader, struct pcidev *dev);
void slow_reader_end(struct slow_reader *reader);

#endif
