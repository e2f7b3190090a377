/* SPDX-License-Identifier: MIT */
/*
 * What the files of the capabilities share.
 *
 * A capability is one file and one entry of vpci_caps[]. Its .init adds registers out of const
 * tables and gives them the values that the device has; what a guest may not see stays out of the
 * masks (V7). Hooks run inside an access section, those that write with the view's lock.
 */
#ifndef VPCI_CAPS_H
#define VPCI_CAPS_H

#include "src/vpci/vpci.h"

#define CAPS_FIRST 0x40u /* below: the header */
#define CAPS_END 0x100u
#define CAPS_EXT_FIRST 0x100u

/** Registers of rules; and of the second and further vendor-specific capabilities of a device. */
#define VPCI_CAP_RULES 0xfdu
#define VPCI_CAP_AGAIN 0x40u

/** What was found in the lists of a device, in their order. */
#define CAPS_FOUND_MAX 64
struct caps_found {
    uint32_t starts[VPCI_CONFIG_SIZE / 4 / 32]; /* a bit per dword: a capability begins here */
    unsigned count;
    struct {
        uint16_t at;
        uint8_t index; /* in vpci_caps[] */
        uint8_t cap;   /* what its registers are marked with */
        bool usable;   /* else it repeats another one, or passes the end */
        bool shown;
    } found[CAPS_FOUND_MAX]; /* those that are known */
};

/** Where the room of the capability at @at ends at the latest: another one begins. For .init. */
unsigned vpci_cap_room(const struct vpci *v, unsigned at) REQUIRES(v->lock);

/** Where a capability is in the guest's view; 0: hidden, or not there. */
unsigned vpci_cap_at(const struct vpci *v, const struct vpci_cap *cap);

/** Adds a register at @at with what the hardware has there; -errno also from the host. */
int vpci_add_as_it_is(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *desc);

/* ---- registers that pass to the hardware ---- */

/** Marks a register whose writes go to the hardware as they are, byte by byte (engine.c). */
uint32_t vpci_written_through(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared);

/** What the rules say about a register: that of the first one that fits, or @otherwise. */
enum berth_register_access vpci_rule(const struct vpci *v, unsigned at,
                                     enum berth_register_access otherwise);

/** Adds what passes to the hardware in [@at, @end), by rules; @otherwise: where none fits. */
int vpci_add_passing(struct vpci *v, unsigned cap, unsigned at, unsigned end,
                     enum berth_register_access otherwise);

/** Registers by rules beside all capabilities; when everything else has its registers. */
int vpci_rules_init(struct vpci *v, const struct caps_found *found) REQUIRES(v->lock);

/* ---- what others ask of single capabilities ---- */

/** An error that the host saw on the lent device, for the guest's AER; with .lock. */
void vpci_aer_report(struct vpci *v, uint32_t uncorrectable, uint32_t correctable)
    REQUIRES(v->lock);
/** Takes over what the device's own AER has noted; with .lock, inside a section. */
void vpci_aer_collect(struct vpci *v) REQUIRES(v->lock);

#endif
