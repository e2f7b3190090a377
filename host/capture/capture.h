/* SPDX-License-Identifier: MIT */
/*
 * A capture: the config spaces of a machine's functions, as lspci prints them or as the running
 * Linux shows them.
 */
#ifndef BERTH_CAPTURE_H
#define BERTH_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <berth/sbdf.h>

#define CAPTURE_BARS 6
#define CAPTURE_ROM 6 /* index of the expansion ROM among the ranges */
#define CAPTURE_RANGES 7

/** What config space does not carry; zero or -1 where it is not known. */
struct capture_extra {
    uint64_t size[CAPTURE_RANGES];      /* BAR and ROM sizes in bytes, 0: not known */
    uint64_t vf_bar_size[CAPTURE_BARS]; /* of one VF, 0: not known */
    int numa_node;
    int iommu_group;
    char driver[32];
};

struct capture_function {
    struct sbdf sbdf;
    uint16_t size;        /* bytes valid in config: 64, 128 (CardBus), 256 or 4096 */
    uint8_t config[4096]; /* zero behind .size */
    struct capture_extra extra;
};

struct capture {
    struct capture_function *functions; /* sorted by address, no address twice */
    size_t count;
};

/** Where a capture was found to be wrong. */
struct capture_error {
    size_t line, column; /* from 1; 0: not a place in the text */
    char text[192];      /* one line for people, without the place */
};

/**
 * Reads `lspci -x`, -xxx or -xxxx text, with or without decoded lines, with or without segments.
 *
 * @in       read to its end
 * @capture  written on success only; freed by capture_free()
 * @error    written on failure
 * Returns 0, -EINVAL (see @error), -ENOMEM, -E2BIG (more than the limits of the parser), -EIO.
 */
int capture_read_text(FILE *in, struct capture *capture, struct capture_error *error);

/** Reads a file ("-": standard input) and, where it exists, the .meta file beside it. */
int capture_read_file(const char *path, struct capture *capture, struct capture_error *error);

/** Adds the facts of a .meta text; data/machines/README.md has the format. */
int capture_read_meta(FILE *in, struct capture *capture, struct capture_error *error);

/** Captures the running Linux. @root is "/sys/bus/pci/devices" or a copy of it for tests. */
int capture_read_sysfs(const char *root, struct capture *capture, struct capture_error *error);

/** Finds a function or NULL. */
const struct capture_function *capture_find(const struct capture *capture, struct sbdf sbdf);

/** Writes one function, or all of them, as `lspci -D -xxxx` text. */
int capture_write_text(const struct capture *capture, FILE *out);

void capture_free(struct capture *capture);

#endif
