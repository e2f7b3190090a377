/* SPDX-License-Identifier: MIT */
/* What measures the figures. Each returns 0 or -errno, and reports what it has measured. */
#ifndef BERTH_BENCH_FIGURES_H
#define BERTH_BENCH_FIGURES_H

#include "bench/bench.h"

int figures_lookup(struct bench *bench);
int figures_scaling(struct bench *bench);
int figures_access(struct bench *bench);
int figures_removal(struct bench *bench);
int figures_assign(struct bench *bench);
int figures_memory(struct bench *bench);
int figures_add(struct bench *bench);
int figures_vpci_read(struct bench *bench);
int figures_vpci_scaling(struct bench *bench);
int figures_vpci_memory(struct bench *bench);

#endif
