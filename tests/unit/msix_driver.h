/* SPDX-License-Identifier: MIT */
/*
 * What a guest's driver does with MSI-X, and what is in the hardware meanwhile: one rig and one
 * device per test program.
 */
#ifndef BERTH_TESTS_MSIX_DRIVER_H
#define BERTH_TESTS_MSIX_DRIVER_H

#include "tests/unit/irq_rig.h"

#define MSIX_TABLE 0x2000u /* in BAR 0 */
#define MSIX_PBA 0x3000u
#define MSIX_VECTORS 16u
#define MSIX_MASKED 1u

extern struct irq_rig ir;
extern unsigned msix_cap;
extern uint64_t msix_table, msix_pba; /* guest addresses */

/** Where there may be a device that no reset helps; and the rig with any device, with rig_nvme,
 * with as many vectors as one likes, as fixtures. */
extern const struct sbdf msix_resetless;
void msix_up_with(struct sbdf dev);
void msix_up(void);
void msix_up_large(unsigned vectors);
int msix_setup(void **state);
int msix_teardown(void **state);

/** The guest's accesses to its BAR. */
void msix_put(uint64_t address, unsigned length, uint64_t value);
uint64_t msix_get(uint64_t address, unsigned length);

/** Its driver: each vector has a message of its own. */
uint64_t msix_entry_at(unsigned vector);
uint64_t msix_address(unsigned vector);
uint32_t msix_data(unsigned vector);
void msix_message(unsigned vector);
void msix_mask(unsigned vector, bool on);
void msix_control(uint32_t flags);
bool msix_reads_enabled(void);
void msix_set_up_all(unsigned count);

/** The hardware's side. */
uint32_t msix_hardware_control(void);
struct sim_msix_entry msix_hardware(unsigned vector);
bool msix_is_open(unsigned vector);

/** The last interrupt was this vector's; and the device's next one is. */
void msix_expect_message(unsigned vector);
void msix_expect_works(unsigned vector);

#endif
