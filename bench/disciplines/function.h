/* SPDX-License-Identifier: MIT */
/* The hardware, as the disciplines without the core see it. */
#ifndef BERTH_BENCH_FUNCTION_H
#define BERTH_BENCH_FUNCTION_H

#include "bench/host.h"

struct function {
    struct bench_host *host;
    struct sbdf sbdf;
    berth_claim claim;
};

/** Takes the function over and attaches it. 0 or -errno. */
int function_take(struct function *function, struct bench_host *host, struct sbdf sbdf);

/** Bus mastering off, context cleared and flushed. */
int function_quiet(struct function *function);

/** Gives it back. */
void function_give(struct function *function);

/** Reads register 0: 1 where it answers, else 0. Through the ops, as the core does. */
static inline unsigned function_answers(const struct function *function)
{
    uint32_t value = 0xffffffffu;

    bench_host_ops.config_read(function->host, function->claim, 0, 4, &value);
    return value == BENCH_ID;
}

#endif
