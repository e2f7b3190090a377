/* SPDX-License-Identifier: MIT */
/*
 * A guest whose virtual bus has hot-plug ports, in a test; and a VMM that hears of their
 * interrupts.
 */
#ifndef BERTH_TESTS_PORTS_H
#define BERTH_TESTS_PORTS_H

#include "tests/unit/rig.h"

#define PORT_COMMAND 0x04
#define PORT_STATUS 0x06
#define PORT_HEADER_TYPE 0x0e
#define PORT_BUSES 0x18
#define PORT_SECONDARY 0x19
#define PORT_LINK_CONTROL 0x50
#define PORT_LINK_STATUS 0x52
#define PORT_SLOT_CAP 0x54
#define PORT_SLOT_CONTROL 0x58
#define PORT_SLOT_STATUS 0x5a
#define SLOT_PRESENCE 0x0008u /* in slot control: enables; in slot status: has changed */
#define SLOT_PRESENT 0x0040u
#define SLOT_LINK_CHANGED 0x0100u
#define SLOT_EVENTS (SLOT_PRESENCE | SLOT_LINK_CHANGED)
#define PORT_MSI_CONTROL 0x82
#define PORT_MSI_ADDRESS 0x84
#define PORT_MSI_DATA 0x8c

struct ports {
    struct rig rig;
    struct berth_domain *guest;
    struct berth_view_config config;

    unsigned messages, changes;
    struct berth_message message;
    struct sbdf at;
    unsigned pin;
    bool level;
};

extern struct ports ports;

/* Setup and teardown of a test: the standard machine, the guest. */
int ports_setup(void **state);
int ports_teardown(void **state);
/** Machine and guest, of what was built since rig_begin(&ports.rig); and their end. */
void ports_up(void);
void ports_down(void);
/** The guest's buses: ports.config with @count ports, and our ops. */
void ports_view(unsigned count);

/** The guest's address of a port. */
struct sbdf port_at(unsigned index);

/** The guest's config space. */
uint32_t get(struct sbdf where, unsigned reg, unsigned length);
void put(struct sbdf where, unsigned reg, unsigned length, uint64_t value);
bool is_there(struct sbdf where);

unsigned slot_status(unsigned index);
/** Writes a port's secondary bus number, which reads back. */
void renumber(unsigned index, unsigned number);
void lend(struct sbdf host);

#endif
