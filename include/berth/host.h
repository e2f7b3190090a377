/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of the host: the functions behind the registry.
 *
 * A host is the simulated machine, Linux with VFIO, an ECAM window. The core calls it at one seam
 * (src/core/seam.c), inside access sections only (A1).
 */
#ifndef BERTH_HOST_H
#define BERTH_HOST_H

#include <stdint.h>

#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A claim on one function: what the host gave out when the core took the function over. It is the
 * host's own business what is in it (a file descriptor, an index and a generation); a later claim
 * of the same address gets another value, so that a host can tell a stale user from a new one.
 */
typedef uint64_t berth_claim;

/** A piece of memory that firmware reserved for a device (RMRR, unity map, RMR). */
struct berth_reserved {
    uint64_t start;  /* first byte, page aligned */
    uint64_t length; /* in bytes, a multiple of the page */
    uint8_t writable;
    uint8_t relaxed; /* firmware says that the device no longer needs it once a driver runs */
};

/** A device lists at most this many reserved regions. */
#define BERTH_RESERVED_MAX 8

/** What config space does not tell. Begins as zeros, with numa_node -1. */
struct berth_function_facts {
    int numa_node;
    uint8_t has_reset; /* reset() knows a way for this function */
    uint8_t is_vf;     /* then .pf is its physical function */
    struct sbdf pf;
};

struct berth_host_ops {
    /**
     * Takes over one function. Called once per add, before anything else.
     * Returns 0 with *@claim, -ENODEV where there is no such function, -EBUSY where the host
     * cannot let go of it, -ENOMEM. May sleep.
     */
    int (*claim)(void *host, struct sbdf sbdf, berth_claim *claim);

    /** Gives a function back: the core never touches @claim again. May sleep. */
    void (*release)(void *host, berth_claim claim);

    /**
     * Reads @length (1, 2 or 4) bytes of config space at @reg (aligned to @length, below 4096).
     * A function that does not answer reads all ones and is no error. Returns 0, or -EIO where the
     * host itself failed. Never sleeps for longer than the bus takes.
     */
    int (*config_read)(void *host, berth_claim claim, unsigned reg, unsigned length,
                       uint32_t *value);

    /** The counterpart; a function that does not answer drops the write. */
    int (*config_write)(void *host, berth_claim claim, unsigned reg, unsigned length,
                        uint32_t value);

    /**
     * A reset that only the host knows how to do (device specific, or the platform's). May sleep.
     * Returns 0, -ENOTTY where there is none, -EIO. NULL: there is none for any device.
     */
    int (*reset)(void *host, berth_claim claim);

    /**
     * Lists the reserved regions of a function, at most BERTH_RESERVED_MAX.
     * Returns their number or -EIO. NULL: there are none.
     */
    int (*reserved)(void *host, berth_claim claim, struct berth_reserved *list);

    /**
     * Tells what the host knows of a function besides its config space; fields that it leaves alone
     * mean "not known". NULL: nothing is known.
     */
    void (*describe)(void *host, berth_claim claim, struct berth_function_facts *facts);
};

#ifdef __cplusplus
}
#endif

#endif
