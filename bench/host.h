/* SPDX-License-Identifier: MIT */
/*
 * The least that can be behind the core: config spaces in an array, an IOMMU that says yes. It
 * allocates nothing once it is there and takes no lock, so what is measured is not the host.
 *
 * All 65,536 functions of segment 0 are there: conventional endpoints without a capability, which
 * therefore have no reset to wait for.
 */
#ifndef BERTH_BENCH_HOST_H
#define BERTH_BENCH_HOST_H

#include <berth/host.h>
#include <berth/iommu.h>

#define BENCH_FUNCTIONS 65536u
/** What a function has at register 0. */
#define BENCH_ID 0x00051b36u

struct bench_host;

/** NULL: no memory. */
struct bench_host *bench_host_create(void);
void bench_host_destroy(struct bench_host *host);

/** The context of both is the struct bench_host. */
extern const struct berth_host_ops bench_host_ops;
extern const struct berth_iommu_ops bench_iommu_ops;

#endif
