/* SPDX-License-Identifier: MIT */
/*
 * The stage of `berth run`: devices that can be lent, two guests with their vCPUs, admins.
 *
 * Each device belongs to one admin, who alone changes its owner, and tells the guests in .lent what
 * they may expect. A function that would take another one along when it is pulled is not pulled by
 * surprise.
 */
#ifndef BERTH_TOOL_RUN_STAGE_H
#define BERTH_TOOL_RUN_STAGE_H

#include <semaphore.h>

#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "front/control/recorder.h"
#include "tools/berth/run.h"

#define GUESTS 2
#define VCPUS 2 /* of each guest */
#define ADMINS_MAX 8
#define SLOT_NAME_SIZE 48

/** A device that can be lent. */
struct run_slot {
    _Alignas(64) _Atomic uint32_t lent; /* lent_word(), written by its admin */
    _Atomic bool asked;                 /* R4: its guest is to let go */
    struct sbdf sbdf;
    struct sbdf guest_at; /* where each of the guests sees it */
    unsigned index;
    uint32_t class_revision; /* what every guest that has it can read */
    bool alone;              /* pulling it pulls nothing else */
    char name[SLOT_NAME_SIZE];
    /* its admin's */
    bool given_up;
    _Atomic uint64_t removals;
    uint64_t assigns, accesses, left;
    uint64_t longest_ns; /* of the removals by force */
};

struct run_stage;

struct run_guest {
    struct run_stage *stage;
    struct berth_domain *domain;
    unsigned index;
    struct recorder recorder; /* what it can reach */
    sem_t bell;               /* R4: rings when a device is to be let go */
};

struct run_vcpu {
    struct run_guest *guest;
    struct chance chance;
    _Atomic uint64_t *accesses; /* per slot */
};

struct run_admin {
    struct run_stage *stage;
    unsigned index;
    struct chance chance;
};

/* Threads: admins first, then vCPUs, then an agent of each guest. */
#define WORKERS_MAX (ADMINS_MAX + GUESTS * VCPUS + GUESTS)

struct run_stage {
    struct run_options options;
    struct run_machine machine;
    struct run_flaws flaws;
    struct run_slot *slots;
    unsigned slot_count, admin_count;
    struct run_guest guests[GUESTS];
    struct run_vcpu vcpus[GUESTS * VCPUS];
    struct run_admin admins[ADMINS_MAX];
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;
    _Atomic bool stop_admins, stop_guests;
};

/* ---- run_slots.c ---- */

/** Finds what can be lent. Returns 0, -ENODEV with the first reason in @problem, -ENOMEM. */
int slots_find(struct run_stage *stage, char problem[RUN_LINE_SIZE]);

/** Accesses of all vCPUs to a slot so far. */
uint64_t slot_accesses(const struct run_stage *stage, unsigned slot);

/* ---- run_guest.c ---- */

extern const struct berth_domain_ops guest_ops;

void vcpu_run(struct worker *worker, void *context);
/** Answers requests to let a device go; the context is the guest. */
void agent_run(struct worker *worker, void *context);

/* ---- run_admin.c ---- */

void admin_run(struct worker *worker, void *context);
/** Everything goes back to the hardware domain; the references that are left are counted. */
void admin_give_back(struct run_stage *stage);

#endif
