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
#include <berth/vpci.h>
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
    PARAMETER_AT = 1u << 18,
    PARAMETER_PORTS = 1u << 19,
    PARAMETER_BUSES = 1u << 20,
    PARAMETER_REG = 1u << 21,
    PARAMETER_REGISTERS = 1u << 22,
    PARAMETER_VECTOR = 1u << 23,
    PARAMETER_BAR = 1u << 24,
    PARAMETER_OFFSET = 1u << 25,
    PARAMETER_KIND = 1u << 26,
    PARAMETER_GROUP = 1u << 27,
};

/** A page of a list has at most this many entries. */
#define ARGUMENTS_LIMIT_MAX 256
/** The longest deadline that a client may ask for. */
#define ARGUMENTS_TIMEOUT_MAX_S 3600
/** Root buses of a guest: of the 256 numbers some are left for those behind ports. */
#define ARGUMENTS_BUSES_MAX 128

/** A register of config space, all of it below 4096. */
struct argument_register {
    unsigned at, width; /* in bytes: 1, 2, 4 or 8 */
};

struct arguments {
    uint32_t given; /* bits of enum parameter */
    struct sbdf device, after, pf, at;
    const char *domain, *as; /* borrowed from the request */
    uint64_t timeout_ns;
    unsigned mode; /* enum pcidev_remove_mode */
    bool test, group, on;
    uint32_t vfs, after_id, limit, nth, count;
    uint32_t ports, buses, registers, vector, bar;
    struct argument_register reg;
    unsigned op; /* enum sim_op */
    unsigned error;
    unsigned kind; /* enum sim_error_kind */
    uint64_t address, value, offset;
};

/**
 * Reads "0x10.w": a number, and .b, .w, .l or .q for the width; without it .l.
 * Returns 0 or -EINVAL.
 */
int register_parse(const char *text, struct argument_register *reg)
    __attribute__((warn_unused_result));

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
