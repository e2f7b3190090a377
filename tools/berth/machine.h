/* SPDX-License-Identifier: MIT */
/*
 * Where a machine's functions come from: the running Linux, a capture of the user's, or the one
 * that Berth ships.
 */
#ifndef BERTH_TOOL_MACHINE_H
#define BERTH_TOOL_MACHINE_H

#include <stddef.h>

#include "host/capture/capture.h"

/**
 * Loads a machine.
 *
 * @name     "host", "q35" (shipped), "-" (standard input), a file; NULL: the host, or the shipped
 *           one where the host has no PCI function
 * @capture  freed by capture_free() on success
 * @problem  receives one line on failure, with the place in the text; room for @size bytes
 * Returns 0 or -errno.
 */
int machine_load(const char *name, struct capture *capture, char *problem, size_t size)
    __attribute__((warn_unused_result));

#endif
