/* SPDX-License-Identifier: MIT */
/*
 * A machine under test: the simulator below, the core above, a recorder of events, a warped clock.
 *
 *     struct rig rig;
 *
 *     mb_endpoint(&b, at(3, 0, 0));
 *     rig_up(&rig, &b, NULL);           adds every function of the builder's machine
 *     ... rig_dev(&rig, at(3, 0, 0)) ...
 *     rig_down(&rig);                   checks that everything balances (the golden rule)
 */
#ifndef BERTH_TESTS_RIG_H
#define BERTH_TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth/errno.h>
#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "host/sim/sim.h"
#include "src/core/lock.h" /* BERTH_CHECKS */
#include "tests/unit/machines.h"
#include "tests/unit/tape.h"

#define RIG_EVENTS 4096

struct rig {
    struct machine_builder builder;
    struct sim *sim;
    struct berth_machine *machine;
    struct sim_counters empty;     /* before the machine was made */
    struct sim_counters populated; /* after everything was added */
    struct berth_refusal why;
    struct berth_event events[RIG_EVENTS];
    _Atomic unsigned event_count;
    unsigned leaks_expected, gaps_expected;
    struct tape tape;           /* what the IOMMU was asked for */
    struct sim_options options; /* of the simulator: set before rig_up() */
};

/** Changes the configuration of the machine before it is created. */
typedef void rig_configure(struct berth_machine_config *config);

/** mb_init() of rig->builder; then add functions, then rig_up(). */
void rig_begin(struct rig *rig);
/** Between rig_begin() and rig_up(): the machine of rig_nvme and its neighbours below. */
void rig_standard(struct rig *rig);
/** Makes simulator and machine, and adds every function. */
void rig_up(struct rig *rig, rig_configure *configure);
/** The same, but adds nothing. */
void rig_up_empty(struct rig *rig, rig_configure *configure);
/** Destroys the machine; claims, contexts, spaces and mappings must be as before. */
void rig_down(struct rig *rig);

/*
 * The standard machine: a host bridge; behind root ports of their own a PF with up to 4 VFs, two
 * NVMe endpoints, a PCIe-to-PCI bridge with two conventional functions, an endpoint with phantom
 * functions 2, 4 and 6.
 */
extern const struct sbdf rig_port, rig_pf, rig_nvme, rig_nvme2, rig_pci_bridge, rig_legacy,
    rig_legacy2, rig_phantom;
/** VF @index of rig_pf, once it is enabled. */
struct sbdf rig_vf(unsigned index);

/** A function as it was captured. */
struct capture_function *rig_function(struct rig *rig, struct sbdf sbdf);

/** A reference with tag "test"; the test fails where there is no such device. */
struct pcidev *rig_dev(struct rig *rig, struct sbdf sbdf);
void rig_put(struct pcidev *dev);
struct pcidev_info rig_info(struct rig *rig, struct sbdf sbdf);
bool rig_has(struct rig *rig, struct sbdf sbdf);

struct berth_domain *rig_guest(struct rig *rig, const char *name);
void rig_destroy_guest(struct rig *rig, struct berth_domain *guest);

/** A request whose refusal lands in rig->why. */
struct berth_request rig_request(struct rig *rig);

int rig_add(struct rig *rig, struct sbdf sbdf);
int rig_remove(struct rig *rig, struct sbdf sbdf, enum pcidev_remove_mode mode);
int rig_remove_within(struct rig *rig, struct pcidev *dev, enum pcidev_remove_mode mode,
                      uint64_t timeout_ns);
int rig_destroy_within(struct rig *rig, struct berth_domain *guest, uint64_t timeout_ns);
int rig_assign(struct rig *rig, struct sbdf sbdf, struct berth_domain *to);
/** The same, in a slot of the guest's own bus. */
int rig_assign_at(struct rig *rig, struct sbdf sbdf, struct berth_domain *to, struct sbdf seat);
int rig_deassign(struct rig *rig, struct sbdf sbdf, struct berth_domain *from);

int rig_reset(struct rig *rig, struct sbdf sbdf);
int rig_sriov(struct rig *rig, struct sbdf pf, unsigned vfs);
int rig_readd(struct rig *rig, struct sbdf sbdf, const struct pcidev_add_info *info);
/** Turns @count VFs of rig_pf on and adds them. */
void rig_add_vfs(struct rig *rig, unsigned count);
/** Removes the device, gives it reserved regions, adds it again. */
void rig_reserve(struct rig *rig, struct sbdf sbdf, const struct berth_reserved *list,
                 unsigned count);
/** From the hardware domain into quarantine. */
void rig_quarantine(struct rig *rig, struct sbdf sbdf);
/** Pulls the card, and tells the core. */
void rig_pull(struct rig *rig, struct sbdf sbdf);

/** Config space of a registered device, past its owner: inside a section. */
uint32_t rig_peek(struct rig *rig, struct sbdf sbdf, unsigned reg, unsigned length);
void rig_poke(struct rig *rig, struct sbdf sbdf, unsigned reg, unsigned length, uint32_t value);

/** @error is @expected, and the refusal that came with it has @reason. */
#define rig_expect_refused(rig, error, expected, reason) \
    rig_refused_at(rig, error, expected, reason, __FILE__, __LINE__)
void rig_refused_at(struct rig *rig, int error, int expected, enum berth_reason reason,
                    const char *file, int line);

/* ---- "with the device as before" ---- */

struct rig_state {
    struct pcidev_info info;
    struct sim_counters counters;
    uint32_t command;
    unsigned devices, domain_devices[3];
};

struct rig_state rig_remember(struct rig *rig, struct sbdf sbdf);
/** Nothing has changed since: owner, flags, references, registers, contexts, mappings. */
#define rig_expect_as_before(rig, before) rig_same_at(rig, before, __FILE__, __LINE__)
void rig_same_at(struct rig *rig, const struct rig_state *before, const char *file, int line);

/* ---- a guest that answers ---- */

struct rig_vm {
    struct rig *rig;
    struct berth_domain *domain;
    _Atomic unsigned withdrawn, restored, crashed, asked;
    _Atomic int withdraw_error, restore_error;
    _Atomic bool block;    /* the first withdraw waits for as long as it is on */
    _Atomic bool blocking; /* it does */
    /* its view: everything can be mapped, and every interrupt is heard */
    _Atomic int map_error, unmap_error;
    _Atomic int64_t mapped; /* bytes of BARs */
    _Atomic unsigned injected, asserted;
};

void rig_vm_up(struct rig *rig, struct rig_vm *vm, const char *name);
/** The same with another view than the one that maps and hears everything. */
void rig_vm_up_with(struct rig *rig, struct rig_vm *vm, const char *name,
                    const struct berth_view_config *view);
/** Destroys the domain and drops it: nothing may be left mapped. */
void rig_vm_down(struct rig_vm *vm);

/** The owner's name is @name. */
void rig_expect_owner(struct rig *rig, struct sbdf sbdf, const char *name);
/** What DMA of @rid does. */
struct sim_dma rig_dma(struct rig *rig, struct sbdf rid, uint64_t address);
void rig_master_on(struct rig *rig, struct sbdf sbdf, struct berth_domain *owner);

/* ---- what a guest sees ---- */

/** An address that no guest has. */
extern const struct sbdf rig_nowhere;
/** Where its owner, a guest, sees a device of the host; rig_nowhere where none does. */
struct sbdf rig_seen(struct rig *rig, struct sbdf host);
/** The addresses of segment 0 at which a guest finds something; bridges and ports of its virtual
 * bus are not counted (V1). */
unsigned rig_reach(struct berth_domain *guest);

/** The first event at or after @from of this kind and step (NULL: any), or -1. */
int rig_find_event(struct rig *rig, int from, enum berth_event_kind kind, const char *step);
unsigned rig_count_events(struct rig *rig, enum berth_event_kind kind);

/** Nothing that the simulator counts as forbidden has happened. */
void rig_expect_untouched(struct rig *rig);

#endif
