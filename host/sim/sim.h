/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: functions out of a capture which behave, behind an IOMMU with caches.
 *
 * It is a host and an IOMMU for the core (sim_host_ops, sim_iommu_ops), and a test rig for
 * everybody else: it pulls cards, makes operations fail, probes DMA, raises interrupts, and counts
 * whatever should not have happened.
 *
 * Every function may be called from any thread. Config accesses of different functions take no
 * common lock.
 */
#ifndef BERTH_SIM_H
#define BERTH_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/host.h>
#include <berth/iommu.h>
#include <berth/irq.h>
#include <berth/machine.h>
#include <berth/sbdf.h>

#include "host/capture/capture.h"

struct sim;

struct sim_options {
    uint64_t flr_ns;       /* time until a function answers after an FLR; 0: 100 ms */
    uint64_t bus_reset_ns; /* the same after a secondary bus reset; 0: 100 ms */
    uint64_t pm_reset_ns;  /* the same for D3hot to D0; 0: 10 ms */
    uint64_t vf_enable_ns; /* until VFs answer after VF Enable; 0: 100 ms */
    uint64_t config_ns;    /* busy time of one config access; 0: none */
    bool no_scratch;       /* the IOMMU has no scratch spaces */
    bool no_remapping;     /* interrupts: whoever writes a message raises what it is bound to */
};

/**
 * Builds a machine.
 * @capture  copied; the caller's
 * @options  NULL: the defaults
 * Returns 0, -ENOMEM, -EINVAL (@error says why).
 */
int sim_create(const struct capture *capture, const struct sim_options *options, struct sim **sim,
               struct capture_error *error);
/** No core may use it any more. NULL is fine. */
void sim_destroy(struct sim *sim);

/** For berth_machine_config; the context of all of them is the struct sim. */
extern const struct berth_host_ops sim_host_ops;
extern const struct berth_bar_ops sim_bar_ops;
extern const struct berth_iommu_ops sim_iommu_ops;
extern const struct berth_irq_ops sim_irq_ops;

/* ---- what is there ---- */

/** Calls @visit for every function that answers now, VFs included, in the order of addresses (PFs
 *  before their VFs, bridges before what is behind them). Stops at a result other than 0 and
 * returns it. */
int sim_enumerate(struct sim *sim, int (*visit)(void *context, struct sbdf sbdf), void *context);

/** True where the function is plugged in (it may still be resetting). */
bool sim_present(struct sim *sim, struct sbdf sbdf);

/** BAR @index (0-5, CAPTURE_ROM) where it is now, also with decode off: its address and size.
 *  -ENOENT: none there, -ENODEV: the function does not answer. */
int sim_bar(struct sim *sim, struct sbdf sbdf, unsigned index, uint64_t *start, uint64_t *size);

/* ---- things happen ---- */

/** Pulls the function (function 0: the whole card; a bridge: with everything behind it; a PF: with
 * its VFs). Where the port above has a slot, its status tells: presence and, if it reports it, the
 * state of the link. */
int sim_vanish(struct sim *sim, struct sbdf sbdf);
/** Puts it back, in its power-on state (also out of containment), with what firmware assigns: the
 * BARs of the capture, and for bridges the numbers, windows and command register of the capture.
 * VFs are off. A VF that is put back is there when its PF has it enabled. */
int sim_return(struct sim *sim, struct sbdf sbdf);
/** From its @nth next config access on the function has vanished. */
int sim_vanish_after(struct sim *sim, struct sbdf sbdf, unsigned nth);
/** While it is on, the function does not come back from any reset. It answers again when it is
 *  put back by sim_return(), or after a reset with @on false. */
int sim_hang_on_reset(struct sim *sim, struct sbdf sbdf, bool on);
/** The device does not answer device-TLB invalidations: flush of any of its requester ids gives
 *  -ETIMEDOUT and drops nothing. */
int sim_hang_on_flush(struct sim *sim, struct sbdf rid, bool on);

enum sim_error_kind {
    SIM_ERROR_CORRECTABLE,
    SIM_ERROR_NONFATAL,
    SIM_ERROR_FATAL, /* its BARs read all ones until the function is reset */
    SIM_ERROR_DPC,   /* and the port above cuts off everything that is behind it */
};
/** The function has an error: it sets its status bits (device status, AER), and the root port above
 * notes whose message came. A port that contains holds what is behind it in reset until
 * sim_dpc_release(), until its DPC trigger status is cleared, or until a secondary bus reset ends.
 * -ENODEV: the function does not answer. -ENOTTY: no port above it that could contain. */
int sim_error(struct sim *sim, struct sbdf sbdf, enum sim_error_kind kind);
/** Ends containment at the port @port. -ENODEV, -EINVAL: it contains nothing. */
int sim_dpc_release(struct sim *sim, struct sbdf port);
/** @trouble hears of every error, in sim_error() and without a lock. To be set before any. */
void sim_on_error(struct sim *sim,
                  void (*trouble)(void *context, struct sbdf sbdf, enum sim_error_kind kind),
                  void *context);

/** The operations that can be made to fail. */
enum sim_op {
    SIM_OP_CLAIM,
    SIM_OP_CONFIG_READ,
    SIM_OP_CONFIG_WRITE,
    SIM_OP_RESET,
    SIM_OP_RESERVED,
    SIM_OP_SPACE_CREATE,
    SIM_OP_MAP,
    SIM_OP_UNMAP,
    SIM_OP_ATTACH,
    SIM_OP_DETACH,
    SIM_OP_FLUSH,
    SIM_OP_BAR_READ,
    SIM_OP_BAR_WRITE,
    SIM_OP_BIND,
    SIM_OP_COUNT,
    SIM_OP_ANY = SIM_OP_COUNT, /* for sim_fail: counts calls of all of them */
};
const char *sim_op_name(enum sim_op op);

/** The @nth call of @op from now (1: the next one) fails once with @error (0: op's usual error);
 *  @nth 0 clears it. @count more calls after it fail too. A call that fails does nothing. */
void sim_fail(struct sim *sim, enum sim_op op, unsigned nth, unsigned count, int error);
/** True when the failure ordered last has happened. */
bool sim_failed(struct sim *sim, enum sim_op op);
uint64_t sim_calls(struct sim *sim, enum sim_op op);

/** Gives a function reserved regions (at most BERTH_RESERVED_MAX), instead of those it had. */
int sim_set_reserved(struct sim *sim, struct sbdf sbdf, const struct berth_reserved *list,
                     unsigned count);
/** Gives a function a host reset method which takes @ns. */
int sim_set_host_reset(struct sim *sim, struct sbdf sbdf, bool on, uint64_t ns);

/* ---- memory, DMA, interrupts ---- */

enum sim_dma_result {
    SIM_DMA_FAULT,    /* blocked by the IOMMU: no context, no translation, or read-only */
    SIM_DMA_SILENT,   /* the function cannot issue it: gone, resetting, bus mastering off */
    SIM_DMA_DOMAIN,   /* hit memory of a domain: .domain_id */
    SIM_DMA_SCRATCH,  /* hit the private scratch page */
    SIM_DMA_RESERVED, /* hit a reserved region */
};

struct sim_dma {
    enum sim_dma_result result;
    uint32_t domain_id; /* of SIM_DMA_DOMAIN */
    bool stale;         /* the translation came from a cache and the tables say otherwise */
    uint64_t data;      /* what was read */
};

/** A function (or one of its phantom RIDs, or a device behind a bridge with the bridge's RID)
 * issues a DMA request of 8 bytes. A domain's space maps [0, 2^46) to that domain's own memory, 8
 * bytes of which are kept per address that was written. Fills the caches as real hardware does.
 * @fault is reported to the callback of sim_on_fault(). */
int sim_dma(struct sim *sim, struct sbdf rid, uint64_t address, bool write, uint64_t data,
            struct sim_dma *result);
/** A VMM takes one page of its guest's memory back: it is not mapped in @space
 * (berth_domain_space()) any more. One page per space: the one that was taken before is back. A
 * device that may use ATS goes on using what it has translated until it is flushed; that is not
 * counted as stale. */
void sim_take_page(void *space, uint64_t address);
void sim_on_fault(struct sim *sim, void (*fault)(void *context, struct sbdf rid), void *context);

enum sim_irq_result {
    SIM_IRQ_NONE,      /* the function cannot: gone, no kind of interrupt is on, or no mastering */
    SIM_IRQ_BLOCKED,   /* it was sent, and nobody is bound to it */
    SIM_IRQ_DELIVERED, /* to whoever is bound to it */
    SIM_IRQ_PENDING,   /* masked: it is sent as soon as it is unmasked */
};
/** A coarse probe of who would have the function's interrupts, for cores that bind none: with MSI
 * or MSI-X on it is delivered to the domain that the context of its requester id points to, and
 * blocked where it points to none. Vectors, masks and bindings mean nothing. */
int sim_interrupt(struct sim *sim, struct sbdf sbdf, enum sim_irq_result *result,
                  uint32_t *domain_id);

/** The function has a reason to interrupt: @vector of its MSI-X table where MSI-X is on, else of
 * its MSI block (modulo the vectors that software has allotted), else INTx, which stays asserted
 * until sim_lower(). What its registers, its table and its masks say decides; a masked vector
 * becomes pending and is sent by the write that unmasks it. A message passes the remapping table
 * with the requester id that it has there (behind a PCIe-to-PCI bridge: the bridge's). INTx that is
 * raised again is told again, as with a level that is still high when the interrupt has ended.
 * Returns 0 with *@result, -ENODEV, -EINVAL: the function has no such vector. */
int sim_raise(struct sim *sim, struct sbdf sbdf, unsigned vector, enum sim_irq_result *result);
/** INTx is no longer asserted. */
int sim_lower(struct sim *sim, struct sbdf sbdf);
/** A device writes a message that nobody programmed into it. An address that is not the interrupt
 * controllers' makes it a DMA request, and the result is SIM_IRQ_NONE. -ENODEV: not a requester. */
int sim_message(struct sim *sim, struct sbdf rid, uint64_t address, uint32_t data,
                enum sim_irq_result *result);
/** @fire hears of every interrupt that gets through, called from sim_raise(), sim_message() or the
 * access that unmasked it, without a lock of the simulator. To be set before anything is raised. */
void sim_on_interrupt(struct sim *sim,
                      void (*fire)(void *context, const struct berth_irq *irq, unsigned vector),
                      void *context);

struct sim_msix_entry {
    uint64_t address;
    uint32_t data, control;
};
/** What is in the function's MSI-X table. -ENOENT: it has no such entry. */
int sim_msix_entry(struct sim *sim, struct sbdf sbdf, unsigned vector,
                   struct sim_msix_entry *entry);

/** A CPU touches a BAR of the function (4 bytes at @offset). Registers keep what is written until
 *  the next reset. Counts touches with decode off or the function gone; those read all ones, and so
 *  do addresses that a bridge above does not forward. -ENOENT: no such BAR, -EINVAL: @offset.
 *
 * MSI-X table and PBA are where the capability says: entries are masked at power-on, the PBA is
 * read only. */
int sim_bar_access(struct sim *sim, struct sbdf sbdf, unsigned bar, uint64_t offset, bool write,
                   uint32_t *value);

/** How often software has stored four bytes in the function's VPD. The VPD begins with a name, the
 * part number and a serial number, the end tag follows, and whatever is written is kept for the
 * life of the machine. */
uint64_t sim_vpd_writes(struct sim *sim, struct sbdf sbdf);

/* ---- what should not have happened ---- */

struct sim_counters {
    uint64_t config_reads, config_writes;
    uint64_t bar_reads, bar_writes; /* through sim_bar_ops */
    uint64_t touches_after_release; /* A2: access or reset with a claim that was released */
    uint64_t touches_vanished;  /* accesses of a function that was pulled (they read all ones) */
    uint64_t touches_resetting; /* accesses during a reset, other than reading the first 8 bytes:
                                   ids, command and status are what is polled (VFs have no id) */
    uint64_t bar_decode_off;    /* BAR touched with its decode bit off */
    uint64_t dma_faults, dma_stale, interrupts_delivered, interrupts_blocked;
    uint64_t interrupts_forged; /* M32: messages without an entry, or with somebody else's; they are
                                   blocked too */
    uint64_t bindings;          /* that are out now */
    uint64_t bindings_misused;  /* bound while it was, unbound while it was not, or by another
                                   generation */
    uint64_t contexts;          /* contexts that point to a space now */
    uint64_t spaces;            /* spaces that exist now */
    uint64_t mappings;          /* reserved regions that are mapped now */
    uint64_t claims;            /* claims that are out now */
    uint64_t attach_gaps; /* X04: attach ops that found the context cleared, by a detach since which
                             the device's claim has not changed hands */
    uint64_t ats_enabled; /* functions that may use ATS now (M25) */
    uint64_t spaces_freed_in_use; /* O5: destroyed while a context or a cache referred to them */
};
void sim_counters(struct sim *sim, struct sim_counters *counters);
/** The same for one function: reads, writes and the kinds of touches. */
void sim_function_counters(struct sim *sim, struct sbdf sbdf, struct sim_counters *counters);

#endif
