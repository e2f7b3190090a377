/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "front/control/log.h"

static bool log_admit(struct log *log)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (log->second != (uint64_t)now.tv_sec) {
        log->second = (uint64_t)now.tv_sec;
        log->lines = 0;
    }
    return log->lines++ < LOG_LINES_PER_SECOND;
}

void log_line(struct log *log, const char *format, ...)
{
    va_list list;

    if (!log_admit(log)) {
        log->suppressed++;
        return;
    }
    if (log->suppressed)
        fprintf(stderr, "berth: %u messages left out\n", log->suppressed);
    log->suppressed = 0;

    flockfile(stderr);
    fputs("berth: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    funlockfile(stderr);
}
