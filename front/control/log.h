/* SPDX-License-Identifier: MIT */
/*
 * Messages of the server for whoever runs it: on standard error, and never more than a reader (or a
 * disk) can take, whatever the clients do.
 */
#ifndef BERTH_CONTROL_LOG_H
#define BERTH_CONTROL_LOG_H

#include <stdint.h>

/** All zero is a fine value. Belongs to one thread. */
struct log {
    uint64_t second;     /* of the monotonic clock, in which .lines were written */
    unsigned lines;      /* written in that second */
    unsigned suppressed; /* since the last line */
};

#define LOG_LINES_PER_SECOND 20

/** Writes "berth: ..." with a newline, or counts it where this second has had its share. */
void log_line(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
