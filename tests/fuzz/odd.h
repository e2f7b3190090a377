/* SPDX-License-Identifier: MIT */
/*
 * A machine with one function whose config space is any bytes, and one guest. The host behind it is
 * memory: it notices who touches the function without a claim, and keeps count of what is out.
 */
#ifndef BERTH_TESTS_FUZZ_ODD_H
#define BERTH_TESTS_FUZZ_ODD_H

#include <stdint.h>

#include <berth/pcidev.h>
#include <berth/vpci.h>

#define ODD_SPACE 4096u
/** Where interrupts of the function are sent: no guest writes it by chance. */
#define ODD_MESSAGE UINT64_C(0x00000001fee0be00)

extern const struct sbdf odd_at;

struct odd {
    uint8_t bytes[ODD_SPACE];    /* its config space */
    uint8_t writable[ODD_SPACE]; /* what a write to it changes */
    unsigned claims, spaces, bindings;
    int64_t mapped; /* bytes of BARs that the guest reaches */
    struct berth_machine *machine;
    struct berth_domain *guest;
};

/** Makes machine and guest. The bytes are the caller's, and may change while nothing is added. */
void odd_up(struct odd *odd);
void odd_down(struct odd *odd);

uint32_t odd_get(const struct odd *odd, unsigned reg, unsigned length);
void odd_put(struct odd *odd, unsigned reg, unsigned length, uint32_t value);

#endif
