/* SPDX-License-Identifier: MIT */
/* A guest that was lent every endpoint of a machine, and the accesses of its virtual CPUs. */
#ifndef BERTH_BENCH_VPCI_RIG_H
#define BERTH_BENCH_VPCI_RIG_H

#include <berth/vpci.h>

#include "bench/host.h"

/** Devices that are accessed in turn, by one virtual CPU. */
#define VPCI_HOT 16u
/** Virtual CPUs: each has hot devices of its own. */
#define VPCI_CPUS 2u

struct vpci_rig {
    struct bench_host *host;
    struct berth_machine *machine;
    struct berth_domain *guest;
    struct sbdf at[VPCI_CPUS][VPCI_HOT]; /* guest addresses */
    double heap_bytes;                   /* that lending took, with the share of the bus */
};

/** @devices: at least one; a few of them are hot. 0 or -errno; destroyed either way. */
int vpci_rig_create(struct vpci_rig *rig, unsigned devices);
void vpci_rig_destroy(struct vpci_rig *rig);

/** Reads class and revision of the devices in turn. Returns how often the answer was right. */
uint64_t vpci_reads(struct vpci_rig *rig, const struct sbdf at[VPCI_HOT], uint64_t count);

/** Turns bus mastering on and off in turn, which changes no decoding. Returns @count, or 0 where
 * the last write did not arrive. */
uint64_t vpci_writes(struct vpci_rig *rig, const struct sbdf at[VPCI_HOT], uint64_t count);

/** Bytes of the views that the guest has. */
double vpci_view_bytes(struct vpci_rig *rig);

#endif
