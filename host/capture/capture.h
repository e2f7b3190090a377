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
 * @in       read to its end, in constant memory besides the capture
 * @capture  written on success only; freed by capture_free()
 * @error    written on failure
 * Returns 0, -EINVAL (see @error), -ENOMEM, -E2BIG (more than 1,048,576 functions), -EIO.
 */
int capture_read_text(FILE *in, struct capture *capture, struct capture_error *error)
    __attribute__((warn_unused_result));

/**
 * Reads a file ("-": standard input) and, where it exists, the .meta file beside it: of "q35.txt"
 * it is "q35.meta", of another name the name with ".meta" behind it. An error in that file has no
 * place; its text starts with the name, line and column.
 *
 * Returns as capture_read_text(), or the -errno of opening a file.
 */
int capture_read_file(const char *path, struct capture *capture, struct capture_error *error)
    __attribute__((warn_unused_result));

/**
 * Adds the facts of a .meta text; data/machines/README.md has the format.
 *
 * @in       read to its end
 * @capture  changed on success only
 * @error    written on failure
 * Returns 0, -EINVAL (see @error), -ENOMEM, -EIO.
 */
int capture_read_meta(FILE *in, struct capture *capture, struct capture_error *error)
    __attribute__((warn_unused_result));

/**
 * Captures the running Linux. Functions that go meanwhile are left out, and so are those in PCI
 * domains above ffff, which have no segment number.
 *
 * @root     "/sys/bus/pci/devices" or a copy of it for tests
 * @capture  written on success only; freed by capture_free()
 * @error    written on failure, always without a place
 * Returns 0, -EINVAL (no function, or a file with junk), -ENOMEM, -E2BIG, -EIO, or the -errno of
 * opening @root.
 */
int capture_read_sysfs(const char *root, struct capture *capture, struct capture_error *error)
    __attribute__((warn_unused_result));

/** Finds a function or NULL. */
const struct capture_function *capture_find(const struct capture *capture, struct sbdf sbdf);

/** Writes the functions as `lspci -D -n -xxxx` text. Returns 0 or -EIO. */
int capture_write_text(const struct capture *capture, FILE *out)
    __attribute__((warn_unused_result));

/** Frees the functions and leaves an empty capture, which can be freed again. */
void capture_free(struct capture *capture);

#endif
