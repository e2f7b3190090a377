/* SPDX-License-Identifier: MIT */
/*
 * The address of a PCI function: segment, bus, device, function.
 *
 * A strong type, so that an address cannot be mixed up with a bus number, a requester id or a
 * domain id. A requester id (RID) is an SBDF too: the one that a function puts on the bus, which
 * for phantom functions and behind bridges differs from the function's own.
 * PCI Express Base 6.0, sections 2.2.4.2 (routing id) and 6.13 (ARI).
 */
#ifndef BERTH_SBDF_H
#define BERTH_SBDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sbdf {
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn; /* device << 3 | function; with ARI one 8-bit function number */
};

/** Room for "ffff:ff:1f.7" and the terminator. */
#define SBDF_TEXT_SIZE 13

/** An address out of its fields; bits that a field has no room for are cut off. Context: any. */
static inline struct sbdf sbdf_make(unsigned segment, unsigned bus, unsigned device,
                                    unsigned function)
{
    struct sbdf s;

    s.segment = (uint16_t)segment;
    s.bus = (uint8_t)bus;
    s.devfn = (uint8_t)((device & 0x1fu) << 3 | (function & 7u));
    return s;
}

/** One integer which sorts like the address: segment, bus, device, function. Context: any. */
static inline uint32_t sbdf_key(struct sbdf s)
{
    return (uint32_t)s.segment << 16 | (uint32_t)s.bus << 8 | s.devfn;
}

/** The address that sbdf_key() gave @key for. Context: any. */
static inline struct sbdf sbdf_from_key(uint32_t key)
{
    struct sbdf s;

    s.segment = (uint16_t)(key >> 16);
    s.bus = (uint8_t)(key >> 8);
    s.devfn = (uint8_t)key;
    return s;
}

/** Is it the same address? Context: any. */
static inline bool sbdf_equal(struct sbdf a, struct sbdf b)
{
    return sbdf_key(a) == sbdf_key(b);
}

/** Device and function number of an address without ARI. Context: any. */
static inline unsigned sbdf_device(struct sbdf s)
{
    return s.devfn >> 3;
}

/** See sbdf_device(). Context: any. */
static inline unsigned sbdf_function(struct sbdf s)
{
    return s.devfn & 7u;
}

/**
 * Writes the address as people know it: "0000:03:00.0".
 *
 * @s     the address
 * @text  at least SBDF_TEXT_SIZE bytes, written with a terminator
 *
 * Returns @text. Context: any.
 */
const char *sbdf_format(struct sbdf s, char text[SBDF_TEXT_SIZE]);

/**
 * Reads "ssss:bb:dd.f" or "bb:dd.f" (segment 0), in hexadecimal, nothing before or behind it.
 *
 * @text  a terminated string
 * @s     written on success only
 *
 * Returns 0, or -EINVAL where @text is no address (a field is missing, too long or too large).
 * Context: any.
 */
int sbdf_parse(const char *text, struct sbdf *s) __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
