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

/** What config space does not tell. Begins as zeros, with numa_node and interrupt_line -1. */
struct berth_function_facts {
    int numa_node;
    int interrupt_line; /* the host's number of what its INTx pin is wired to; -1: not known */
    uint8_t has_reset;  /* reset() knows a way for this function */
    uint8_t is_vf;      /* then .pf is its physical function */
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

/* ---- what is behind the BARs ---- */

#define BERTH_BAR_ROM 6u   /* the expansion ROM, beside the BARs 0 to 5 */
#define BERTH_BAR_COUNT 7u /* with the ROM */

/** One BAR of a function where the host has placed it. A 64-bit BAR takes two indices; the second
 * one has no BAR. */
struct berth_bar {
    uint64_t address; /* as the host's CPUs see it; 0: not placed */
    uint64_t size;    /* in bytes, a power of two; 0: there is no such BAR */
    uint8_t io;       /* I/O ports */
    uint8_t wide;     /* a 64-bit BAR */
    uint8_t prefetchable;
};

/**
 * How the core gets at BARs: trapped pages, MSI-X tables. As with config space, a function that
 * does not answer reads all ones and drops writes. Called inside access sections only (A1), with
 * the function's decode on and in D0 (M14).
 */
struct berth_bar_ops {
    /**
     * What the host knows of BAR @index (0 to 6). Touches no hardware.
     * Returns 0 (a @bar of size 0: there is none), or -ENODATA: not known, the core finds out by
     * itself, out of config space. NULL: it always does.
     */
    int (*find)(void *host, berth_claim claim, unsigned index, struct berth_bar *bar);

    /** Reads @length (1, 2, 4 or 8) bytes at @offset, aligned to it. Returns 0, -EIO. */
    int (*read)(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                uint64_t *value);

    /** The counterpart. */
    int (*write)(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                 uint64_t value);
};

#ifdef __cplusplus
}
#endif

#endif
