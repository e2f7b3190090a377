/* SPDX-License-Identifier: MIT */
/* The registers that survive a reset because we carry them over it. */
#ifndef CORE_REGISTERS_H
#define CORE_REGISTERS_H

#include "src/core/device.h"

/* Config space, PCI Local Bus 3.0 section 6.1 and PCI Express Base 6.0 chapter 7. */
#define PCI_VENDOR_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_STATUS 0x06
#define PCI_STATUS_CAP_LIST 0x0010u
#define PCI_STATUS_ERRORS 0xf900u
#define PCI_CLASS_REVISION 0x08
#define PCI_CACHE_LINE_SIZE 0x0c
#define PCI_HEADER_TYPE 0x0e
#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_BAR0 0x10
#define PCI_SECONDARY_BUS 0x19
#define PCI_SUBORDINATE_BUS 0x1a
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_ROM 0x30
#define PCI_ROM_ENABLE 0x1u
#define PCI_CAPABILITY_LIST 0x34
#define PCI_CARDBUS_CAPABILITY_LIST 0x14
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d
#define PCI_BRIDGE_CONTROL 0x3e
#define PCI_BRIDGE_CONTROL_RESET 0x0040u

#define PCI_MSI_CONTROL 0x02
#define PCI_MSI_CONTROL_ENABLE 0x0001u
#define PCI_MSI_CONTROL_64BIT 0x0080u
#define PCI_MSI_CONTROL_MASK 0x0100u
#define PCI_MSIX_CONTROL 0x02
#define PCI_MSIX_CONTROL_ENABLE 0x8000u
#define PCI_PM_CONTROL 0x04
#define PCI_PM_STATE 0x0003u
#define PCI_PM_D3HOT 0x0003u
#define PCI_PM_NO_SOFT_RESET 0x0008u
#define PCI_PM_PME_STATUS 0x8000u /* writing 1 clears */
/* PCI PM 1.2, 5.4: a change to or from D3hot takes 10 ms */
#define PCI_PM_SETTLE_NS 10000000u
#define PCI_EXP_FLAGS 0x02
#define PCI_EXP_DEVCAP 0x04
#define PCI_EXP_DEVCAP_PHANTOM_SHIFT 3
#define PCI_EXP_DEVCAP_FLR 0x10000000u
#define PCI_EXP_DEVCTL 0x08
#define PCI_EXP_DEVCTL_FLR 0x8000u
/* relaxed order, no snoop, size of read requests: what a guest writes through */
#define PCI_EXP_DEVCTL_PASSES 0x7810u
#define PCI_EXP_DEVCTL_DEFAULT 0x2810u /* PCIe 7.5.3.4 */
#define PCI_EXP_DEVSTA 0x0a
#define PCI_EXP_DEVSTA_PENDING 0x0020u
#define PCI_EXP_DEVSTA_ERRORS 0x000fu
#define PCI_EXP_DEVCTL2 0x28
#define PCI_EXP_DEVCTL2_ARI 0x0020u
#define PCI_EXP_LNKCTL 0x10
#define PCI_AF_CAP 0x03
#define PCI_AF_CAP_TP 0x01u
#define PCI_AF_CAP_FLR 0x02u
#define PCI_AF_CONTROL 0x04
#define PCI_AF_CONTROL_FLR 0x01u
#define PCI_AF_STATUS 0x05
#define PCI_AF_STATUS_PENDING 0x01u
#define PCI_PCIX_STATUS 0x04
#define PCI_PCIX_STATUS_266_533 0xc0000000u

#define PCI_AER_UNCORRECTABLE 0x04
#define PCI_AER_CORRECTABLE 0x10

#define PCI_ACS_CAP 0x04
#define PCI_ACS_CONTROL 0x06
#define PCI_ACS_REDIRECT 0x000cu /* of requests and completions between peers */
#define PCI_ACS_ISOLATION                                                   \
    0x001du /* source validation, request and completion redirect, upstream \
             */
#define PCI_ATS_CONTROL 0x06
#define PCI_ATS_CONTROL_ENABLE 0x8000u
#define PCI_ATS_CONTROL_UNIT 0x001fu /* smallest translation unit; 0: 4 KiB */
#define PCI_ARI_CONTROL 0x06
#define PCI_SRIOV_CONTROL 0x08
#define PCI_SRIOV_CONTROL_VFE 0x0001u
#define PCI_SRIOV_CONTROL_MSE 0x0008u
#define PCI_SRIOV_TOTAL_VFS 0x0e
#define PCI_SRIOV_NUM_VFS 0x10
#define PCI_SRIOV_VF_OFFSET 0x14
#define PCI_SRIOV_VF_STRIDE 0x16
#define PCI_SRIOV_VF_DEVICE 0x1a
#define PCI_SRIOV_PAGE_SIZE 0x20
#define PCI_SRIOV_BAR0 0x24

#define REGISTERS_MAX 40

struct registers {
    uint32_t value[REGISTERS_MAX];
    uint16_t command;
    bool valid;
};

/** Reads them all. 0 or -EIO. */
int registers_save(struct pcidev *dev, struct registers *saved);

/** Writes them back but for bus mastering and MSI enables: the device stays quiet. 0 or -EIO. */
int registers_restore_quiet(struct pcidev *dev, const struct registers *saved);

/** Writes all of them back, the command register last. 0 or -EIO. */
int registers_restore(struct pcidev *dev, const struct registers *saved);

/**
 * Back to D0, with what a function that slept has lost (M14); in D0: nothing. 0, or -EIO: it sleeps
 * as before, or (*@lost is set) has lost its registers.
 */
int registers_wake(struct pcidev *dev, bool *lost);

/** Bus mastering, MSI and MSI-X off. 0 or -EIO. */
int registers_quiet(struct pcidev *dev);

/** Whether the function answers at all; VFs have no ids of their own (SR-IOV 1.1, 3.4.1.1). */
int registers_answer(struct pcidev *dev, bool *answers);

/** Waits until the function answers, or is disconnected. 0 or -EIO: it did not by then. */
int registers_wait(struct pcidev *dev, uint64_t wait_ns);

/** Whether it still is who it was. 0 or -EIO. */
int registers_check_identity(struct pcidev *dev);

/**
 * Takes away what an old owner has written for its interrupts: MSI addresses and data, and in the
 * controls of MSI and MSI-X all that can be written, masks too. 0 or -EIO.
 */
int registers_forget_msi(struct pcidev *dev);

/**
 * Gives the bits that a guest writes through to the device the values that they had in @lent, which
 * was saved when it got the device; NULL or not valid: those after a reset. 0 or -EIO.
 */
int registers_forget_guest(struct pcidev *dev, const struct registers *lent) REQUIRES(dev->lock);

/** Clears the errors that the device has noted of itself. 0 or -EIO. */
int registers_forget_errors(struct pcidev *dev);

#endif
