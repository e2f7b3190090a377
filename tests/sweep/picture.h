/* SPDX-License-Identifier: MIT */
/*
 * All that can be seen of a machine from outside: its objects, what the hardware has in its
 * registers, what is out at the IOMMU, the interrupt controllers and the guests' VMMs, and what the
 * guest sees. "As before" means that two pictures are equal.
 */
#ifndef BERTH_SWEEP_PICTURE_H
#define BERTH_SWEEP_PICTURE_H

#include "tests/sweep/seam.h"

#define PICTURE_FUNCTIONS 16
#define PICTURE_DOMAINS 8
#define PICTURE_WORDS 1024
#define PICTURE_VIEW_WORDS 160
#define PICTURE_ENTRIES 4
#define PICTURE_RIDS 4

/* What comes of a request under one of its ids. */
struct dma_picture {
    enum sim_dma_result result;
    uint32_t domain; /* as everywhere in here: its place in the order of ids */
    bool stale;
};

struct function_picture {
    struct sbdf sbdf;
    bool there, answers;
    struct pcidev_info info;
    unsigned holder_count;
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    unsigned sections;
    struct dma_picture dma[PICTURE_RIDS];
    uint32_t words[PICTURE_WORDS]; /* of the hardware */
    struct sim_msix_entry entries[PICTURE_ENTRIES];
    uint32_t view[PICTURE_VIEW_WORDS]; /* as its guest sees it; zeros: it has none */
    uint64_t table[2 * PICTURE_ENTRIES];
};

struct domain_picture {
    char name[BERTH_NAME_SIZE];
    uint32_t id; /* and wherever else it is: its place in the order of ids */
    enum berth_domain_state state;
    bool crashed;
    unsigned count, listed;
    uint32_t devices[PICTURE_FUNCTIONS];
};

struct picture {
    unsigned function_count, domain_count;
    struct function_picture functions[PICTURE_FUNCTIONS];
    struct domain_picture domains[PICTURE_DOMAINS];
    struct books books;
    uint64_t claims, contexts, spaces, mappings, bindings, ats;
    long memory;
};

/** @guest may be NULL; the machine, too: nothing but the host is looked at then. */
void picture_take(struct picture *picture, struct rig *rig, struct berth_domain *guest);

/** Writes what is different first into @what; false: nothing is. */
bool picture_differs(const struct picture *a, const struct picture *b, char *what, size_t size);

/** Leaves out of it what a guest sees, and the interrupts that it gets. */
void picture_blank_views(struct picture *picture);

/** Leaves out of it what only the host can take back: registers, and regions of spaces. */
void picture_blank_host(struct picture *picture);

/** What has to hold in any state, whatever has failed: else it is complained about. */
void picture_check(const struct picture *picture);

const struct function_picture *picture_function(const struct picture *picture, struct sbdf sbdf);

#endif
