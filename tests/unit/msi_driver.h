/* SPDX-License-Identifier: MIT */
/* What a guest's driver does with MSI of rig_nvme: one rig and one device per test program. */
#ifndef BERTH_TESTS_MSI_DRIVER_H
#define BERTH_TESTS_MSI_DRIVER_H

#include "tests/unit/irq_rig.h"

#define MSI_ADDRESS 4u
#define MSI_MESSAGE 0xfee01000u
#define MSI_UPPER 0x12u
#define MSI_DATA 0x4980u

extern struct irq_rig ir;
extern unsigned msi_cap; /* in the guest and in the hardware */
/** The shape of the capability. */
extern bool msi_wide, msi_masks;

void msi_up(unsigned vectors, bool is_wide, bool has_masks);
int msi_setup(void **state); /* 8 vectors, wide, with masks */
int msi_teardown(void **state);

unsigned msi_data_at(void);
unsigned msi_mask_at(void);
unsigned msi_log2(unsigned vectors);

/** The guest's driver. True: it reads that MSI is on. */
void msi_message(uint32_t address, uint32_t upper, uint32_t data);
bool msi_enable(unsigned vectors);
void msi_disable(void);

/** The hardware's side. */
uint32_t msi_hardware(unsigned reg, unsigned length);
bool msi_is_on(void);
void msi_expect_hosts_message(uint32_t low, uint32_t high, uint32_t data);

/** The last interrupt was this vector's, of so many; and each of them works. */
void msi_expect_message(unsigned vector, unsigned vectors);
void msi_expect_works(unsigned vectors);

#endif
