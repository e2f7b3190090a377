/* SPDX-License-Identifier: MIT */
/*
 * What people call a device: the PCI id database for vendors and devices (M10), an own table for
 * classes.
 */
#ifndef BERTH_CONTROL_NAMES_H
#define BERTH_CONTROL_NAMES_H

#include <pthread.h>
#include <stdint.h>

struct names {
    /*
     * Locking: protects .cache, and all calls into libpciaccess, which keeps a cache of its own
     * without a lock. A leaf; may be held for the milliseconds that a look through the file takes.
     */
    pthread_mutex_t lock;
    void *cache; /* a tsearch(3) tree of struct name_entry */
};

void names_init(struct names *names);
void names_destroy(struct names *names);

/** Names of a vendor and a device, NULL where the database has none. Static strings. */
void names_find(struct names *names, uint16_t vendor, uint16_t device, const char **vendor_name,
                const char **device_name);

/** The name of a 24-bit class code; never NULL. A static string. */
const char *class_name(uint32_t class_code);

#endif
