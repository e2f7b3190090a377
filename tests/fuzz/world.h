/* SPDX-License-Identifier: MIT */
/*
 * A small machine on the simulator, two guests, and what has to be true of them at any moment.
 *
 *     00.0 host bridge
 *     01.0 root port -[01]- 00.0 PF, up to 4 VFs at 10.0, 10.2, 10.4, 10.6
 *     02.0 root port -[02]- 00.0 endpoint with INTx, MSI, MSI-X, a ROM, small BARs, ports
 *     03.0 root port -[03]- 00.0 PCIe-to-PCI bridge -[04]- 00.0 conventional function
 *     04.0 root port -[05]- 00.0 endpoint with phantom functions
 */
#ifndef BERTH_TESTS_FUZZ_WORLD_H
#define BERTH_TESTS_FUZZ_WORLD_H

#include <berth/errno.h>
#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "host/sim/sim.h"
#include "tests/fuzz/fuzz.h"

#define WORLD_SUBJECTS 8u /* endpoint, PF, phantom, conventional, VF 0 to 3 */
#define WORLD_PF 1u
#define WORLD_GUESTS 2u
#define WORLD_CPUS 2u
#define WORLD_PIECES 1024u
#define WORLD_MESSAGES 64u

struct world;

struct world_guest {
    struct world *world;
    struct berth_domain *domain;
    struct berth_vcpu cpu[WORLD_CPUS];
    struct berth_piece piece[WORLD_PIECES]; /* mapped now; .dev is only compared */
    unsigned piece_count, injected;         /* .injected: bits by subject, in this step */
    int map_error;                          /* what the next map says */
};

/* What is known of one of the devices that can be lent. */
struct world_subject {
    uint64_t bar[BERTH_BAR_COUNT], size[BERTH_BAR_COUNT]; /* where firmware has put it */
    unsigned owners;                  /* bits by guest: before or after this step */
    uint64_t message[WORLD_MESSAGES]; /* addresses that the host has given it */
    unsigned messages;
    bool fading;   /* it will vanish at an access to come: not at one of ours */
    bool noted[2]; /* a guest has written its cache line size, its interrupt line */
    uint8_t note[2];
    uint32_t generation; /* of the notes */
};

struct world {
    struct sim *sim;
    struct berth_machine *machine;
    struct sim_counters empty;
    struct berth_refusal why;
    bool broken; /* some device: the simulator may still count its reset */
    struct world_guest guest[WORLD_GUESTS];
    struct world_subject subject[WORLD_SUBJECTS];
};

/** The machine before anything has happened to it. */
const struct capture *world_capture(void);
void world_up(struct world *w);
/** What comes between two steps: the invariants. */
void world_check(struct world *w);
/** Takes it all down; everything has to balance. */
void world_down(struct world *w);

struct sbdf world_sbdf(unsigned subject);
/** Counted, tag world_tag; NULL: not there. */
struct pcidev *world_find(const struct world *w, unsigned subject);
extern const char world_tag[];
/** Which of them this is; WORLD_SUBJECTS: none. */
unsigned world_subject(struct sbdf sbdf);

/** Domain and buses; ends with their domain. */
void world_guest_up(struct world *w, unsigned index);
void world_guest_down(struct world *w, unsigned index);
/** Runs what the virtual CPU has begun to its end. */
void world_cpu_finish(struct berth_vcpu *cpu);

/** A config write of a guest is over: what can be read back from now on. */
void world_note(struct world *w, unsigned guest, struct sbdf at, unsigned reg, unsigned length,
                uint64_t value);

#endif
