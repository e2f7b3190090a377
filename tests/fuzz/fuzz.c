/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

uint64_t fuzz_take(struct fuzz_input *in, unsigned length)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < length && in->left; i++, in->left--)
        value |= (uint64_t)*in->at++ << 8 * i;
    return value;
}

unsigned fuzz_pick(struct fuzz_input *in, unsigned count)
{
    return (unsigned)fuzz_take(in, 1) % count;
}
