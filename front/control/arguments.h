/* SPDX-License-Identifier: MIT */
/*
 * The parameters of all methods: one table that says what each may be, one struct that receives
 * them.
 */
#ifndef BERTH_CONTROL_ARGUMENTS_H
#define BERTH_CONTROL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/pcidev.h>
#include <berth/sbdf.h>
#include <jansson.h>

#include "host/sim/sim.h"

/** Bits, for the sets that a method requires and allows. */
enum parameter {
    PARAMETER_DEVICE = 1u << 0,
    PARAMETER_DOMAIN = 1u << 1,
    PARAMETER_AS = 1u << 2,
    PARAMETER_TIMEOUT = 1u << 3,
    PARAMETER_MODE = 1u << 4,
    PARAMETER_TEST = 1u << 5,
    PARAMETER_VFS = 1u << 6,
    PARAMETER_AFTER = 1u << 7,
    PARAMETER_AFTER_ID = 1u << 8,
    PARAMETER_LIMIT = 1u << 9,
    PARAMETER_OP = 1u << 10,
    PARAMETER_NTH = 1u << 11,
    PARAMETER_COUNT = 1u << 12,
    PARAMETER_ERROR = 1u << 13,
    PARAMETER_ADDRESS = 1u << 14,
    PARAMETER_VALUE = 1u << 15,
    PARAMETER_ON = 1u << 16,
    PARAMETER_PF = 1u << 17,
};

/** A page of a list has at most this many entries. */
#define ARGUMENTS_LIMIT_MAX 256
/** The longest deadline that a client may ask for. */
#define ARGUMENTS_TIMEOUT_MAX_S 3600

struct arguments {
    uint32_t given; /* bits of enum parameter */
    struct sbdf device, after, pf;
    const char *domain, *as; /* borrowed from the request */
    uint64_t timeout_ns;
    unsigned mode; /* enum pcidev_remove_mode */
    bool test, on;
    uint32_t vfs, after_id, limit, nth, count;
    unsigned op; /* enum sim_op */
    unsigned error;
    uint64_t address, value;
};

/**
 * Decodes the parameters of a request.
 *
 * @params   an object, or NULL for none
 * @problem  receives one line on failure, room for @size bytes
 * Returns 0, or -EINVAL: one is missing, unknown to the method, or not what it should be.
 */
int arguments_decode(json_t *params, uint32_t required, uint32_t optional,
                     struct arguments *arguments, char *problem, size_t size)
    __attribute__((warn_unused_result));

#endif
