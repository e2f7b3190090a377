/* SPDX-License-Identifier: MIT */
/*
 * The least that can be behind the core: config spaces in an array, an IOMMU that says yes. It
 * allocates nothing once it is there and takes no lock, so what is measured is not the host.
 *
 * Either all 65,536 functions of segment 0 are there, conventional endpoints without a capability,
 * or some PCIe endpoints with a BAR and MSI-X. Neither has a reset to wait for.
 */
#ifndef BERTH_BENCH_HOST_H
#define BERTH_BENCH_HOST_H

#include <berth/host.h>
#include <berth/iommu.h>
#include <berth/irq.h>
#include <berth/machine.h>

#define BENCH_FUNCTIONS 65536u
/** What a function has at register 0. */
#define BENCH_ID 0x00051b36u

/** What an endpoint has at register 8, and how many vectors its MSI-X table. */
#define BENCH_CLASS_REVISION 0x01080201u
#define BENCH_VECTORS 64u

struct bench_host;

/** All functions, with a bare header each. NULL: no memory. */
struct bench_host *bench_host_create(void);
/** PCIe endpoints at the first @functions addresses: PM, MSI-X, a 64-bit BAR. NULL: no memory. */
struct bench_host *bench_host_create_endpoints(unsigned functions);
void bench_host_destroy(struct bench_host *host);

/** A machine with this host and its IOMMU, without BARs and interrupts. 0 or -errno. */
int bench_machine_create(struct bench_host *host, struct berth_machine **machine);

/** The context of all is the struct bench_host. Only endpoints have BARs. */
extern const struct berth_host_ops bench_host_ops;
extern const struct berth_bar_ops bench_bar_ops;
extern const struct berth_iommu_ops bench_iommu_ops;
extern const struct berth_irq_ops bench_irq_ops;

#endif
