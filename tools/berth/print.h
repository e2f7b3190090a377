/* SPDX-License-Identifier: MIT */
/*
 * What the printing files ask of each other.
 */
#ifndef BERTH_TOOL_PRINT_H
#define BERTH_TOOL_PRINT_H

#include <jansson.h>

/** The part of a device that is about the guest which has it; null: nothing is printed. */
void print_guest(const json_t *guest);

#endif
