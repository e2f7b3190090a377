/* SPDX-License-Identifier: MIT */
/* The VFs that a guest's PF shows, and where it wants them. */
#ifndef VPCI_CAP_SRIOV_H
#define VPCI_CAP_SRIOV_H

#include "src/core/registers.h"
#include "src/vpci/caps.h"

/** The BARs that each VF has. Never changed once it is made. */
struct vpci_vfs {
    uint64_t size[BERTH_BAR_ROM]; /* 0: none, or the upper half of the one before */
    bool wide[BERTH_BAR_ROM];
};

/** Where the VFs are on the guest's bus, as requester ids from that of their PF on. */
struct vf_layout {
    uint16_t offset, stride, count;
};

/** With .lock: how much room BAR @index of each VF has (3.3.13), and where that of the first one
 * is. 0: there is no such BAR, or nowhere. */
uint64_t sriov_aperture(const struct vpci *v, unsigned at, unsigned index);
uint64_t sriov_base(const struct vpci *v, unsigned at, unsigned index);

#endif
