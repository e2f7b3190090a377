/* SPDX-License-Identifier: MIT */
/*
 * The inside of the simulated machine.
 *
 * Locking. The table of functions never changes after sim_create(), so lookups take no lock.
 *
 *   sim->hotplug     one pull or return at a time; outermost
 *   function->lock   writes to the registers of one function, and its BAR memory. Nests from a
 *                    bridge to what is behind it and from a PF to its VFs, never the other way
 *   context->lock    the cache of one requester id, and the use of the space it points to
 *   space->lock      the mappings and the memory of one space; inside a context's lock
 *   remap->lock      changes of the interrupt remapping table; nothing nests inside
 *
 * Registers are read without a lock: every dword is an atomic. Nobody sleeps, asks for the time or
 * calls back with one of these locks held (K1): the clock may be a scheduler's.
 */
#ifndef BERTH_SIM_INTERNAL_H
#define BERTH_SIM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/sim/sim.h"

#define SIM_HEADER_WORDS 16
#define SIM_NEVER UINT64_MAX

/** A capability that the simulator knows. The header counts as one, at offset 0. */
enum sim_cap {
    SIM_CAP_HEADER,
    SIM_CAP_PM,
    SIM_CAP_MSI,
    SIM_CAP_MSIX,
    SIM_CAP_PCIE,
    SIM_CAP_AF,
    SIM_CAP_VPD,
    SIM_CAP_AER,
    SIM_CAP_ACS,
    SIM_CAP_ARI,
    SIM_CAP_ATS,
    SIM_CAP_SRIOV,
    SIM_CAP_REBAR,
    SIM_CAP_DPC,
    SIM_CAPS,
};

/** 64-bit cells by address, for memory of which few addresses are ever written. */
struct sim_memory {
    struct sim_cell *cells;
    uint32_t used, size; /* size: a power of two */
};

struct sim_tally {
    _Atomic uint64_t reads, writes, bar_reads, bar_writes;
    _Atomic uint64_t after_release, vanished, resetting, decode_off;
};

/** An entry of the interrupt remapping table: one binding, which is read without a lock. */
struct sim_entry {
    _Atomic uint32_t version; /* odd: being written */
    _Atomic uint64_t words[3];
};

/** What a PF has besides. */
struct sim_pf {
    uint16_t total;
    _Atomic uint8_t vf_shift[CAPTURE_BARS]; /* log2 of the size of one VF's BAR; 0: none */
    uint32_t captured_bars[CAPTURE_BARS];   /* of the SR-IOV capability */
    _Atomic uint32_t enabled;               /* VFs below this index exist */
    struct sim_function **vfs;              /* .total, NULL where an address was taken */
};

struct sim_function {
    struct sbdf sbdf;
    uint32_t index;
    uint16_t size;                         /* bytes of config space that are backed by .words */
    uint16_t at[SIM_CAPS];                 /* offset of each capability; 0: not there */
    _Atomic uint8_t shift[CAPTURE_RANGES]; /* log2 of BAR and ROM sizes; 0: none */
    bool aliased;                          /* answers above 256 repeat the first 256 bytes (M06) */
    bool host_reset;                       /* under .lock */
    bool line_told; /* under .lock: INTx is asserted, and somebody heard of it */
    int16_t numa_node;
    int32_t captured_group;
    uint32_t vf_index;
    struct sim_function *pf;     /* of a VF */
    struct sim_function *parent; /* the bridge above, as the capture has it */
    struct sim_pf *sriov;        /* of a PF */
    uint32_t captured[SIM_HEADER_WORDS];
    uint8_t first_shift[CAPTURE_BARS]; /* BAR sizes at power-on */

    _Atomic uint32_t *words; /* of a VF: set before it is enabled for the first time */
    _Atomic bool present;    /* plugged in */
    _Atomic bool hang_on_reset;
    _Atomic bool hang_on_flush;
    _Atomic bool ats;            /* the IOMMU believes what it has translated itself */
    _Atomic bool failed;         /* a fatal error: its BARs do not answer until it is reset */
    _Atomic bool contained;      /* of a port: holds what is behind it in reset */
    _Atomic uint64_t answers_at; /* 0: now; else the time from which on it does */
    _Atomic uint64_t claim;      /* generation << 1 | claimed */
    _Atomic uint32_t vanish_in;  /* 0: not ordered */
    _Atomic uint32_t waiting;    /* vectors that are pending, and one more for a raised INTx */
    struct sim_entry line;       /* what INTx is bound to */
    struct sim_tally tally;

    pthread_mutex_t lock;
    uint64_t host_reset_ns;
    struct sim_memory bar_memory;
    struct sim_memory vpd; /* what was written; resets leave it */
    _Atomic uint64_t vpd_writes;
    struct berth_reserved *reserved; /* BERTH_RESERVED_MAX, or NULL */
    unsigned reserved_count;
};

struct sim_plan {
    _Atomic bool armed, failed;
    _Atomic uint32_t seen;
    _Atomic uint32_t nth, count;
    _Atomic int error;
};

struct sim_context;
struct sim_space;

struct sim {
    struct sim_options options;
    struct sim_function *functions;
    uint32_t count, captured_count;
    uint32_t *order; /* indices by address */
    uint32_t *hash;  /* index + 1 by address, open addressing */
    uint32_t hash_mask;
    uint32_t first_free_group; /* above all groups of the capture */

    pthread_mutex_t hotplug;
    struct sim_plan plans[SIM_OP_COUNT + 1];
    _Atomic uint64_t calls[SIM_OP_COUNT]; /* accesses are counted by function */
    struct sim_tally strays;              /* with claims that never were */

    _Atomic(struct sim_context *) *contexts; /* buckets; contexts are never taken out */
    uint32_t context_mask;
    pthread_mutex_t iommu_lock; /* the lists below, the memory behind reserved regions */
    struct sim_space *tombs;    /* destroyed while in use: kept, so that nothing dangles */
    struct sim_memory reserved_memory;
    void (*fault)(void *context, struct sbdf rid);
    void *fault_context;
    _Atomic uint64_t dma_faults, dma_stale, interrupts_delivered, interrupts_blocked;
    _Atomic uint64_t context_count, space_count, mapping_count, claim_count;
    _Atomic uint64_t ats_enabled, attach_gaps, spaces_freed_in_use;

    struct sim_remap *remap;
    void (*fire)(void *context, const struct berth_irq *irq, unsigned vector);
    void *fire_context;
    void (*trouble)(void *context, struct sbdf sbdf, enum sim_error_kind kind);
    void *trouble_context;
    _Atomic uint64_t binding_count, bindings_misused, interrupts_forged;
};

/* ---- build.c: what a capture turns into ---- */

int sim_build(struct sim *sim, const struct capture *capture, struct capture_error *error);
void sim_build_free(struct sim *sim);

/* ---- function.c: finding functions, whether they answer ---- */

enum sim_answer {
    SIM_ANSWER_YES,
    SIM_ANSWER_GONE,      /* it, or a bridge above, was pulled */
    SIM_ANSWER_RESETTING, /* so far */
    SIM_ANSWER_OFF,       /* a VF that is not enabled; a bridge above does not lead there */
};

struct sim_function *sim_find(const struct sim *sim, struct sbdf sbdf);
enum sim_answer sim_answer(const struct sim_function *f);
/** It is no VF, or its PF has it enabled. */
bool sim_vf_enabled(const struct sim_function *f);
/** It is plugged in, with everything that it hangs on. */
bool sim_plugged(const struct sim_function *f);
typedef void sim_visit_fn(struct sim *sim, struct sim_function *f, uint64_t now);
/** Calls @visit for the functions from @first to @last, both of one segment, by address. */
void sim_for_range(struct sim *sim, uint32_t first, uint32_t last, sim_visit_fn *visit,
                   uint64_t now);
/** The same for everything behind a bridge, as the capture has it. */
void sim_for_behind(struct sim *sim, const struct sim_function *bridge, sim_visit_fn *visit,
                    uint64_t now);

static inline uint32_t sim_word(const struct sim_function *f, unsigned reg)
{
    return atomic_load_explicit(&f->words[reg / 4], memory_order_relaxed);
}

static inline void sim_set_word(struct sim_function *f, unsigned reg, uint32_t value)
{
    atomic_store_explicit(&f->words[reg / 4], value, memory_order_relaxed);
}

static inline void sim_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/** Two 16-bit registers share a dword; the one at the higher address is the upper half. */
static inline uint32_t sim_high(unsigned bits)
{
    return (uint32_t)bits << 16;
}

uint8_t sim_header_type(const struct sim_function *f);
bool sim_is_bridge(const struct sim_function *f);
/** The PCIe device/port type, or -1 for conventional PCI. */
int sim_pcie_type(const struct sim_function *f);
/** The D-state, 0 to 3. */
unsigned sim_power_state(const struct sim_function *f);
/** Bus mastering is on, here and in all bridges above, and it is in D0. */
bool sim_can_master(const struct sim_function *f);

/* ---- config.c: the registers ---- */

/** Writes one dword (@mask: the bits of the bytes that are written) with the function locked. */
void sim_registers_write(struct sim *sim, struct sim_function *f, unsigned reg, uint32_t value,
                         uint32_t mask, uint64_t now);
/** How much a reset takes away. */
enum sim_depth {
    SIM_DEPTH_FUNCTION, /* FLR: neither sticky bits nor what belongs to the link */
    SIM_DEPTH_BUS,      /* everything but sticky bits */
    SIM_DEPTH_COLD,     /* everything */
};
/** Power-on values, with the function locked. */
void sim_registers_reset(struct sim_function *f, enum sim_depth depth);
/** Clears what functions set by themselves: a captured machine is at rest. */
void sim_registers_settle(struct sim_function *f);
/** A capability's id belongs to one that the simulator knows; SIM_CAPS: it does not. */
enum sim_cap sim_cap_of(bool extended, unsigned id);

/* ---- bar.c ---- */

#define SIM_BAR_MEM_BITS (~(uint32_t)0xf)
#define SIM_BAR_IO_BITS (~(uint32_t)0x3)

static inline bool sim_bar_is_io(uint32_t bar)
{
    return bar & 1;
}

bool sim_bar_is_wide(uint32_t bar);
/** The offset of the ROM register, 0: there is none. */
unsigned sim_rom_reg(const struct sim_function *f);

/** Sets .shift of a function out of sizes that are known or the addresses it was captured with. */
void sim_bars_build(struct sim_function *f, const struct capture_extra *extra);
void sim_vf_bars_build(struct sim_function *f, const struct capture_extra *extra);
/** The bits that can be written in the BAR register at @reg, an offset in the header. */
uint32_t sim_bar_mask(const struct sim_function *f, unsigned reg);
/** The same for VF BAR @index. */
uint32_t sim_vf_bar_mask(const struct sim_function *pf, unsigned index);
bool sim_has_bar(const struct sim_function *f, bool io);

/* ---- rebar.c: BARs whose size software chooses; PCIe 7.8.6 ---- */

/** How many control registers the capability has. */
unsigned sim_rebar_count(const struct sim_function *f);
/** Makes sizes and control registers agree, and keeps them for resets. */
void sim_rebar_build(struct sim_function *f, const struct capture_extra *extra);
/** The size field of the control register at @reg was written; it was @old before. */
void sim_rebar_written(struct sim_function *f, unsigned reg, uint32_t old);
/** Sizes as at power-on. */
void sim_rebar_reset(struct sim_function *f);

/* ---- vpd.c ---- */

/** The address register was written: moves four bytes as its flag says. */
void sim_vpd_transfer(struct sim_function *f);

/* ---- decode.c ---- */

struct sim_range {
    uint64_t start, size;
    bool io, wide, prefetch, decoded;
};

/** Where BAR @index is now. Returns 0, -ENOENT, -EINVAL. */
int sim_range_find(const struct sim_function *f, unsigned index, struct sim_range *r);
/** All bridges above forward accesses of @address. */
bool sim_range_reached(const struct sim_function *f, const struct sim_range *r, uint64_t address);

/* ---- msix.c: table and PBA, which are BAR memory; all with the function locked ---- */

/** One aligned dword of BAR memory as a CPU sees it. */
uint32_t sim_bar_word(const struct sim_function *f, unsigned bar, uint64_t offset);
/** The counterpart; only the bits of @mask, and of them those that can be written. */
void sim_bar_set_word(struct sim_function *f, unsigned bar, uint64_t offset, uint32_t value,
                      uint32_t mask);

/** Vectors in the table; 0: no MSI-X. */
unsigned sim_msix_size(const struct sim_function *f);
struct sim_msix_entry sim_msix_entry_of(const struct sim_function *f, unsigned vector);
bool sim_msix_is_pending(const struct sim_function *f, unsigned vector);
void sim_msix_set_pending(struct sim_function *f, unsigned vector, bool on);
/** The first vector that is pending and not masked; false: there is none. */
bool sim_msix_due(const struct sim_function *f, unsigned *vector);

/* ---- remap.c: which message is whose ---- */

#define SIM_MESSAGE_BASE UINT64_C(0xfee00000)

int sim_remap_create(struct sim *sim);
void sim_remap_destroy(struct sim *sim);
/** The binding behind a message; false: blocked. */
bool sim_remap_message(const struct sim *sim, struct sbdf rid, uint32_t data, struct berth_irq *irq,
                       unsigned *vector);
/** What a function's INTx is bound to. */
bool sim_remap_line(const struct sim_function *f, struct berth_irq *irq);

/* ---- interrupt.c ---- */

/** Sends what is pending and may be sent now. No lock is held: this calls back. */
void sim_interrupts_flush(struct sim *sim, struct sim_function *f);
/** What a reset takes back; the function is locked. */
void sim_interrupts_reset(struct sim_function *f);
/* ---- sriov.c ---- */

/** The address of VF @index, false where it is outside of the segment. */
bool sim_vf_sbdf(const struct sim_function *pf, unsigned index, struct sbdf *sbdf);
/** Makes .enabled what the SR-IOV control register says; the PF is locked. */
void sim_vfs_update(struct sim *sim, struct sim_function *pf, uint64_t now);
/** Plugs a VF in, in its power-on state. */
void sim_vf_wake(struct sim_function *vf, uint64_t answers_at);
/** A capture that was taken with VFs on: they are there at once, as they were. */
int sim_vfs_build(struct sim *sim, struct sim_function *pf);

/* ---- reset.c ---- */

/** Resets a function, which is locked; it answers after @ns. */
void sim_reset_function(struct sim_function *f, uint64_t now, uint64_t ns);
/** Holds everything behind a bridge in reset, or lets go of it. The bridge is locked. */
void sim_bus_reset(struct sim *sim, struct sim_function *bridge, bool hold, uint64_t now);
int sim_op_reset(void *host, berth_claim claim);
bool sim_has_reset(struct sim_function *f);

/* ---- error.c ---- */

/** Lets go of what containment holds, if it does. The port is locked. */
void sim_contain_end(struct sim *sim, struct sim_function *port, uint64_t now);
/** The root or downstream port above, the closest one; NULL: there is none. */
struct sim_function *sim_port_above(const struct sim_function *f);

/* ---- host.c: claims ---- */

/** The function of a claim that is out; otherwise NULL, and the touch was counted (A2). */
struct sim_function *sim_claimed(struct sim *sim, berth_claim claim);

/* ---- hotplug.c ---- */

/** Ports see what is in their slots. */
void sim_slots_build(struct sim *sim);
void sim_vanish_tick(struct sim *sim, struct sim_function *f);

/* ---- fault.c ---- */

/** Counts a call of @op; the error that was ordered for it, or 0. */
int sim_planned(struct sim *sim, enum sim_op op);

/* ---- memory.c ---- */

uint64_t sim_memory_read(const struct sim_memory *memory, uint64_t address);
/** Without memory for the cell the write is lost. */
void sim_memory_write(struct sim_memory *memory, uint64_t address, uint64_t value);
void sim_memory_clear(struct sim_memory *memory);

/* ---- space.c: what an IOMMU's tables say ---- */

struct sim_space {
    enum berth_space_kind kind;
    uint32_t id;
    pthread_mutex_t lock; /* the regions, the memory */
    struct berth_reserved *regions;
    unsigned count, room;
    uint64_t taken;                    /* a page that is not mapped, + 1; 0: there is none */
    struct sim_memory memory;          /* of a domain */
    uint64_t *scratch;                 /* one page */
    _Atomic uint32_t contexts, cached; /* contexts and cache entries that refer to it */
    struct sim_space *next_tomb;
};

int sim_op_space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space);
void sim_op_space_destroy(void *iommu, void *space);
int sim_op_map(void *iommu, void *space, const struct berth_reserved *region);
int sim_op_unmap(void *iommu, void *space, const struct berth_reserved *region);
void sim_space_free(struct sim_space *space);

/** What the tables of a space (NULL: no context) say to an access. */
enum sim_dma_result sim_space_translate(struct sim_space *space, uint64_t address, bool write);
/** Reads or writes 8 bytes of what @kind, a result of the translation, leads to. */
void sim_space_access(struct sim *sim, struct sim_space *space, enum sim_dma_result kind,
                      uint64_t address, bool write, uint64_t *data);

/* ---- iommu.c: contexts and their caches ---- */

struct sim_context;

int sim_iommu_create(struct sim *sim);
void sim_iommu_destroy(struct sim *sim);
/** Empties the caches of a function that was pulled, and of its VFs. */
void sim_caches_drop(struct sim *sim, const struct sim_function *f);
/** The context of a requester id, NULL where it never had one. */
struct sim_context *sim_context_find(struct sim *sim, struct sbdf rid);
/** One access through caches and tables; .result, .domain_id, .stale and .data are set. */
void sim_context_access(struct sim *sim, struct sim_context *context, uint64_t address, bool write,
                        struct sim_dma *dma);
/** The domain that a context points to; false where it points to none. */
bool sim_context_domain(struct sim_context *context, uint32_t *domain_id);

/* ---- dma.c ---- */

/** The function that issues requests as @rid: itself, its phantom functions, a bridge's alias. */
struct sim_function *sim_function_of_rid(const struct sim *sim, struct sbdf rid);
/** The requester id under which the IOMMU sees a function's own requests. */
struct sbdf sim_rid_of(const struct sim_function *f);

/* ---- group.c ---- */

/** The isolation group of a requester id; iommu.c has the table of ops. */
int sim_op_group(void *iommu, struct sbdf rid, uint32_t *group);

/* ---- ats.c ---- */

int sim_op_ats(void *iommu, struct sbdf rid, bool on);

#endif
