/* SPDX-License-Identifier: MIT */
/* What a device of the machine of guests.h reaches by DMA, lent or not. */
#ifndef BERTH_TESTS_GUEST_DMA_H
#define BERTH_TESTS_GUEST_DMA_H

#include "tests/unit/guests.h"

/** Decode and bus mastering, whoever owns it. */
void master_on(struct sbdf sbdf);
/** Assigns the device, which then masters. */
void lend(struct sbdf sbdf, struct rig_vm *to);
enum sim_dma_result dma(struct sbdf rid, uint64_t address);

#endif
