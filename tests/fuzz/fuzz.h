/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share: how bytes become numbers, what a finding is, and a port of one
 * thread with a clock of its own, so that the same bytes always do the same.
 */
#ifndef BERTH_TESTS_FUZZ_H
#define BERTH_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A target: libFuzzer calls it with one input after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Ends the program where @condition does not hold: that is a finding. */
#define fuzz_check(condition) fuzz_check_at(condition, #condition, __FILE__, __LINE__)

void fuzz_fail(const char *what, const char *file, int line) __attribute__((noreturn));

static inline void fuzz_check_at(bool good, const char *what, const char *file, int line)
{
    if (!good)
        fuzz_fail(what, file, line);
}

/* ---- the input: its bytes one after the other, zeros behind its end ---- */

struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/** @length bytes, little-endian; up to 8. */
uint64_t fuzz_take(struct fuzz_input *in, unsigned length);
/** One of @count. */
unsigned fuzz_pick(struct fuzz_input *in, unsigned count);

/* ---- port.c ---- */

/** Runs what was deferred; between two steps there is no read-side section. */
void fuzz_port_step(void);
/**
 * The end of an input: no section is open, no lock held, nothing deferred; and @live pieces of
 * memory are left.
 */
void fuzz_port_check(size_t live);
/** Pieces of memory that the core has now. */
size_t fuzz_port_live(void);

#endif
