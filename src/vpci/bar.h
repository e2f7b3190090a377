/* SPDX-License-Identifier: MIT */
/* What the sources of the header share: the command register, BARs, and what follows from both. */
#ifndef VPCI_BAR_H
#define VPCI_BAR_H

#include "src/core/registers.h"
#include "src/vpci/vpci.h"

#define COMMAND_DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)
#define ROM_ENABLE 0x1u

/** Adds the registers of the BARs that vpci_bars_init() has found. */
int bar_add_registers(struct vpci *v) REQUIRES(v->lock);

/** The address in the guest's registers, whether it is decoded or not. */
uint64_t bar_programmed(const struct vpci *v, unsigned index) REQUIRES(v->lock);

/** Which decode bits the guest's command register has, by the BARs that there are. */
uint16_t bar_decode_bits(const struct vpci *v) REQUIRES(v->lock);

/** The decode bit that a BAR listens to; 0: there is none, or it is the PF's affair. */
static inline uint16_t bar_kind(const struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    if (!v->bar[index].size || v->pf_places)
        return 0;
    return v->bar[index].io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

#endif
