/* SPDX-License-Identifier: MIT */
#include <pciaccess.h>
#include <search.h>
#include <stdlib.h>

#include "front/control/names.h"

/*
 * One id that was looked for. A vendor that is not in the database costs libpciaccess a walk
 * through the whole file, each time anew: this is where an unknown one is remembered.
 */
struct name_entry {
    uint32_t key; /* vendor << 16 | device */
    const char *vendor, *device;
};

static int entry_compare(const void *a, const void *b)
{
    uint32_t x = ((const struct name_entry *)a)->key;
    uint32_t y = ((const struct name_entry *)b)->key;

    return x < y ? -1 : x > y;
}

void names_init(struct names *names)
{
    pthread_mutex_init(&names->lock, NULL);
    names->cache = NULL;
}

void names_destroy(struct names *names)
{
    tdestroy(names->cache, free);
    pthread_mutex_destroy(&names->lock);
}

static void entry_look_up(struct name_entry *entry)
{
    const struct pci_id_match match = {
        .vendor_id = entry->key >> 16,
        .device_id = entry->key & 0xffffu,
        .subvendor_id = PCI_MATCH_ANY,
        .subdevice_id = PCI_MATCH_ANY,
    };

    pci_get_strings(&match, &entry->device, &entry->vendor, NULL, NULL);
}

static void find_locked(struct names *names, struct name_entry *wanted)
{
    struct name_entry **slot = tfind(wanted, &names->cache, entry_compare);
    struct name_entry *entry;

    if (slot) {
        *wanted = **slot;
        return;
    }
    entry_look_up(wanted);
    entry = malloc(sizeof(*entry));
    if (!entry)
        return;
    *entry = *wanted;
    if (!tsearch(entry, &names->cache, entry_compare))
        free(entry);
}

void names_find(struct names *names, uint16_t vendor, uint16_t device, const char **vendor_name,
                const char **device_name)
{
    struct name_entry wanted = {.key = (uint32_t)vendor << 16 | device};

    pthread_mutex_lock(&names->lock);
    find_locked(names, &wanted);
    pthread_mutex_unlock(&names->lock);
    *vendor_name = wanted.vendor;
    *device_name = wanted.device;
}
