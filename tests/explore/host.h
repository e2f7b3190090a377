/* SPDX-License-Identifier: MIT */
/* The hardware of the small machine, as the core is given it; the context is the world. */
#ifndef TESTS_EXPLORE_HOST_H
#define TESTS_EXPLORE_HOST_H

#include "tests/explore/world.h"

extern const struct berth_host_ops host_ops;
extern const struct berth_bar_ops host_bars;
extern const struct berth_iommu_ops host_iommu;
extern const struct berth_irq_ops host_irqs;

#endif
