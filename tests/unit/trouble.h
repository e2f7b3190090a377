/* SPDX-License-Identifier: MIT */
/*
 * A guest that drives devices, and hears of their trouble, in a test.
 *
 *     drive(rig_nvme, 0x10000000);                        lent, placed, its first vector set up
 *     sim_error(trouble.rig.sim, rig_nvme, SIM_ERROR_FATAL);
 *     recover(rig_nvme, PCIDEV_TROUBLE_FATAL);
 *     expect_works(rig_nvme, 0x10000000);
 */
#ifndef BERTH_TESTS_TROUBLE_H
#define BERTH_TESTS_TROUBLE_H

#include "tests/unit/guest_maps.h"

#define RECOVERIES_MAX 5u

/** Two functions behind one port; one that nothing can reset. */
extern const struct sbdf twin, twin2, bare;

struct trouble {
    struct rig rig;
    struct berth_domain *guest, *other;
    struct guest_maps maps;
    struct berth_view_ops view_ops;

    unsigned troubles, withdrawn, restored, crashed, injected;
    enum pcidev_trouble kind;
    int withdraw_error, restore_error;  /* what the guest's VMM answers */
    uint32_t data;                      /* of the last message */
    void (*during)(struct pcidev *dev); /* when it is told */
    void (*while_withdrawn)(struct pcidev *dev);
};

extern struct trouble trouble;

/** For cmocka. The end checks that the guest has not crashed. */
int trouble_up(void **state);
int trouble_down(void **state);

int recover(struct sbdf sbdf, enum pcidev_trouble kind);

/** The guest's config space of a device of the host. */
uint32_t get(struct sbdf host, unsigned reg, unsigned length);
void put(struct sbdf host, unsigned reg, unsigned length, uint32_t value);
unsigned cap(struct sbdf host, uint8_t id);

void drive(struct sbdf host, uint32_t where);
/** DMA, mapped pages, the MSI-X table and its interrupts, registers. */
void expect_works(struct sbdf host, uint32_t where);
/** And the guest goes on. */
void expect_broken(struct sbdf host);

#endif
