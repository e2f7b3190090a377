/* SPDX-License-Identifier: MIT */
/*
 * The view that an owner has of one device, from the inside.
 *
 *   guest address ──► vbus ──► struct vpci ──► pages of stored values      (reads: no lock)
 *                                    └───────► table of registers ──► hooks
 *
 * A register is a line of a const table (struct berth_register) at an offset. What it reads as is
 * stored in pages of 256 bytes, so that a read of an emulated register is a load. A register with a
 * read hook sets its dword's bit in .hooked, and the read takes the slow way: inside an access
 * section, through the table.
 *
 * Lifetime: made by view_prepare(), found through the bus (and by .vpci of the device) from
 * view_publish() on, freed after the read-side sections of then once it was taken off (V3). It uses
 * the identity of its device and the seam, and nothing else of it (V5).
 *
 * Locking: .lock (rank LOCK_VPCI) serialises writes, operations and trapped tables of one device
 * (V8); it is held while the host and the embedder's view ops are called. Readers take no lock.
 */
#ifndef VPCI_VPCI_H
#define VPCI_VPCI_H

#include <berth/vpci.h>

#include "src/core/machine_priv.h"
#include "src/core/seam.h"

#define VPCI_PAGE 256u
#define VPCI_PAGES (4096u / VPCI_PAGE)
#define VPCI_CONFIG_SIZE 4096u

/** Stored values of 256 bytes of config space. Where there is none, everything is reserved. */
struct vpci_page {
    _Atomic uint64_t hooked; /* one bit per dword: a read asks the table */
    _Atomic uint32_t value[VPCI_PAGE / 4];
};

/** One register of a view. */
struct vpci_register {
    uint16_t at;
    uint8_t size;
    uint8_t cap;      /* which entry of vpci_caps[] made it, VPCI_CAP_HEADER, VPCI_CAP_EMBEDDER */
    uint32_t initial; /* at power-on */
    const struct berth_register *desc;
    void *context; /* for the hooks: the struct vpci, or what an embedder gave */
};

#define VPCI_CAP_HEADER 0xfeu
#define VPCI_CAP_EMBEDDER 0xffu

/** Sorted, without overlaps. Never changed once the view is published: a copy replaces it. */
struct vpci_table {
    struct port_deferred deferred; /* first: freed through it */
    uint32_t count, room;
    struct vpci_register reg[];
};

/** A BAR as the guest has it. Index 6 is the ROM. */
struct vpci_bar {
    uint64_t size;   /* 0: there is none. As the guest sees it (ReBAR) */
    uint64_t host;   /* latched when the device was lent: never read back while it is (X44) */
    uint64_t guest;  /* as the guest has programmed it */
    uint64_t placed; /* the address at which it is decoded now; .decoded */
    uint64_t done;   /* bytes from its start on that are mapped, by pieces */
    bool io, wide, prefetchable;
    bool enabled; /* of a VF whose PF has the same guest: MSE there. Others: always */
    bool mapped;  /* whole pages of it are mapped; else all of it is trapped (M48) */
    bool decoded; /* it has its range in the guest's address space */
};

/** What a write set off and has to be done before the guest goes on (V6). In this order. */
enum vpci_want {
    VPCI_WANT_POWER = 1,  /* the device's power state has to follow the guest's (M14) */
    VPCI_WANT_DECODE = 2, /* mappings have to follow command register and BARs (M42) */
    VPCI_WANT_RESET = 4,  /* FLR (M45) */
    VPCI_WANT_VFS = 8,    /* VF Enable (M45) */
};

struct vpci_irqs; /* vector.h */
struct vpci_vfs;  /* cap_sriov.c */
struct caps_found;
struct vbus_bus;

struct vpci {
    struct port_deferred deferred; /* first: freed through it */
    struct pcidev *dev;            /* NULL: a port or host bridge of the virtual bus */
    struct vpci_page first;        /* what is read most is one load nearer */
    struct berth_domain *domain;   /* who sees it; outlives it */
    uint32_t generation;           /* of the device, when it was published or rebuilt */
    bool passes;                   /* unlisted registers are the hardware's: the hardware domain */
    bool published;                /* under .lock */
    uint8_t devfn;                 /* on .bus */
    struct vbus_bus *bus;          /* NULL: none (the hardware domain) */
    _Atomic(struct vpci_table *) table;
    _Atomic(struct vpci_page *) page[VPCI_PAGES]; /* [0] is .first */

    struct lock lock; /* protects all writes to the above, and what follows */
    /* enum vpci_want: asked for by the hooks of the write that runs */
    uint32_t wants GUARDED_BY(vpci, lock);
    uint32_t complaints GUARDED_BY(vpci, lock);
    struct vpci_bar bar[BERTH_BAR_COUNT] GUARDED_BY(vpci, lock);
    uint16_t cap_at[16]; /* by index in vpci_caps[]: where it is, 0: hidden or not there */
    /* the decode bits that the guest has written; as they read: map.c */
    uint16_t wished GUARDED_BY(vpci, lock);
    /* decode bits whose BARs could not be unmapped: not tried for ever */
    uint16_t stuck GUARDED_BY(vpci, lock);
    /* a VF whose BARs are where the guest's PF says (SR-IOV 1.1, 3.3.14) */
    bool pf_places GUARDED_BY(vpci, lock);
    _Atomic uint32_t answering; /* by BAR: decoded in the guest's view. Read without .lock */
    _Atomic uint32_t power;     /* D-state that the hardware is in. The same */
    _Atomic bool settling;      /* the hardware changes its D-state: it takes no access at all */
    _Atomic uint32_t dropped;   /* writes of the guest to no register (K12). Without .lock */
    /* while the view is being made: the device's lists (caps.h) */
    const struct caps_found *found GUARDED_BY(vpci, lock);
    struct registers *asleep GUARDED_BY(vpci, lock); /* what the hardware loses in D3hot */

    struct vpci_irqs *irqs; /* NULL: no interrupts */
    struct vpci_vfs *vfs;   /* of a PF that shows its SR-IOV capability */
    void *port;             /* of a port of the virtual bus: port.c */
    _Atomic size_t bytes;   /* that it takes (berth_view_size()) */
};

/* ---- engine.c: reads and writes ---- */

uint64_t vpci_ones(unsigned length);

static inline bool vpci_access_is_fine(unsigned reg, unsigned length)
{
    return length <= 8 && 0x116u >> length & 1 && reg <= VPCI_CONFIG_SIZE - length;
}

/** A read, inside a read-side section. Opens an access section where hardware is asked. */
uint64_t vpci_read_slowly(struct vpci *v, unsigned reg, unsigned length) READ_SIDE;

/** V2: a device that is going, gone or in a transition is not there. */
static inline bool vpci_is_there(const struct vpci *v)
{
    return !v->dev || !atomic_load_explicit(&v->dev->gate, memory_order_acquire);
}

/** The same; what most of them are, a stored value of the header or a capability, is done here. */
static inline uint64_t vpci_read(struct vpci *v, unsigned reg, unsigned length) READ_SIDE
{
    uint64_t hooked = atomic_load_explicit(&v->first.hooked, memory_order_relaxed);

    if (reg >= VPCI_PAGE || reg % 4 + length > 4 || hooked >> reg / 4 & 1 || !vpci_is_there(v))
        return vpci_read_slowly(v, reg, length);
    return atomic_load_explicit(&v->first.value[reg / 4], memory_order_relaxed) >> reg % 4 * 8 &
           (UINT32_MAX >> (32 - 8 * length));
}

/** The same inside an access section that is open already. */
uint64_t vpci_read_inside(struct vpci *v, unsigned reg, unsigned length);

/** An access to what no register covers, split into what a host takes. Inside an access section. */
uint64_t vpci_pass_read(struct pcidev *dev, unsigned reg, unsigned length);
void vpci_pass_write(struct pcidev *dev, unsigned reg, unsigned length, uint64_t value);

/** A write, with .lock and (where there is a device) inside an access section. */
void vpci_write(struct vpci *v, unsigned reg, unsigned length, uint64_t value) REQUIRES(v->lock);

/** Whether an access meets no register at all. Inside a read-side section or with .lock. */
bool vpci_misses(const struct vpci *v, unsigned reg, unsigned length);

/** The stored value of @size bytes at @at, which do not cross a dword; and setting it. */
uint32_t vpci_stored(const struct vpci *v, unsigned at, unsigned size);
void vpci_store(struct vpci *v, unsigned at, unsigned size, uint32_t value);

/* ---- access.c ---- */

/**
 * The view at a guest's address, with a section of its device open (ports have none: .record is
 * NULL); NULL: nothing is there.
 */
struct vpci *vpci_enter(struct berth_domain *domain, struct sbdf sbdf,
                        struct pcidev_section *section);

/* ---- table.c: the registers of a view ---- */

/**
 * Adds one register while the view is being made. @value: what it reads at power-on (besides
 * desc->reset). 0, -EINVAL, -EEXIST, -ENOMEM.
 */
int vpci_add(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *desc,
             uint32_t value);
/** The same for a capability's const table, offsets from @at on; values are desc->reset. */
int vpci_add_table(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *table,
                   unsigned count);
/** Takes all registers of a capability away, while the view is being made. */
void vpci_remove_cap(struct vpci *v, unsigned cap);
/** What is stored now, before the view is published, is what power-on gives. */
void vpci_latch_initial(struct vpci *v);
/** All values as they were at first. */
void vpci_reset_values(struct vpci *v);
/** The first register that ends behind @at, an index; .count where there is none. */
unsigned vpci_table_find(const struct vpci_table *table, unsigned at);

/* ---- vpci.c: life ---- */

/** Without registers. NULL: no memory. */
struct vpci *vpci_alloc(struct berth_domain *domain, struct pcidev *dev);
/** The view of the hardware domain, once an embedder adds a register to it: everything else passes.
 * With the device's lock. NULL: the hardware domain does not own it, or no memory. */
struct vpci *vpci_make_passing(struct pcidev *dev) REQUIRES(dev->lock);
void vpci_free(struct vpci *v); /* never published */
/** Memory that belongs to the view and is counted (berth_view_size()). */
void *vpci_memory(struct vpci *v, size_t size);

/** Reports something to the embedder, not more than a few times per view (O6). */
void vpci_complain(struct vpci *v, const char *what, int error) REQUIRES(v->lock);

/* ---- header.c, bar.c, map.c, mmio.c ---- */

/** Identity, command, status, BARs, ROM, pins. */
int vpci_header_init(struct vpci *v) REQUIRES(v->lock);
/** Power-on, beyond the stored values: nothing is placed, nothing is decoded. */
void vpci_header_reset(struct vpci *v) REQUIRES(v->lock);
/** V7: the hardware decodes while the device is lent, whatever the guest does. Bus mastering is as
 * the guest has it (O6). */
int vpci_host_decode(struct vpci *v) REQUIRES(v->lock);
/** Changes IO, MEMORY, MASTER in the hardware's command register. MASTER stays off when contained.
 */
int vpci_host_command(struct vpci *v, uint8_t clear, uint8_t set);
/** Which BARs the guest gets, out of those that the device has. */
void vpci_bars_init(struct vpci *v) REQUIRES(v->dev->lock, v->lock);
/** The guest's command register, as stored. */
uint32_t vpci_command(const struct vpci *v);
/** Whether the device may be touched through its BARs now: D0 (M14). Decode of the host is on. */
bool vpci_bars_answer(const struct vpci *v);
/**
 * After .power or .answering have changed: waits for those trapped accesses of this one device that
 * have not seen it. With .lock. 0 or -ETIMEDOUT, where the host does not get on with one.
 */
int vpci_bars_drain(struct vpci *v) REQUIRES(v->lock);
/** The same for reads of registers that are the hardware's, after .settling was set: while it
 * changes its D-state it takes no access (PCI PM 1.2, 5.6.1), and the guest reads all ones. */
int vpci_reads_drain(struct vpci *v) REQUIRES(v->lock);
#define VPCI_DRAIN_NS 100000000u /* for either */

/**
 * One step towards what command register and BARs say; with .lock, inside a section.
 * 0: nothing left to do, -EAGAIN: more. A failure switches decode off, and is no error here (M42).
 */
int vpci_decode_step(struct vpci *v) REQUIRES(v->lock);
/** All of them, in a transition: takes everything off, or puts it where the registers say. */
int vpci_unmap_all(struct vpci *v) REQUIRES(v->lock);
int vpci_map_all(struct vpci *v) REQUIRES(v->lock);
/** With the view: takes what is left of its BARs out of the guest's address space. */
void vpci_undecode(struct vpci *v) REQUIRES(v->lock);
/** A BAR has another size now; only while it is not decoded. */
void vpci_bar_resized(struct vpci *v, unsigned index, uint64_t size) REQUIRES(v->lock);
/**
 * .pf_places: where the PF has put a BAR, and whether its VFs decode (MSE). With .lock of the VF's
 * view. 0; -EINVAL: no such BAR; or the error, with the BAR off (unmapping: with it as it was).
 */
int vpci_bar_place(struct vpci *v, unsigned index, uint64_t guest, bool on) REQUIRES(v->lock);

/* ---- ranges.c: where the BARs of a guest are ---- */

struct vpci_range {
    uint64_t start, length;
    struct vpci *v;
    unsigned bar;
};

struct vpci_ranges; /* one per guest and address space */

/** The range at an address: inside a read-side section, without a lock. False: none. */
bool vpci_range_find(const struct vbus *bus, bool io, uint64_t address,
                     struct vpci_range *range) READ_SIDE;
/** 0, -EEXIST (over another BAR of the guest), -EPERM (outside of the windows), -ENOMEM. */
int vpci_range_add(struct vbus *bus, bool io, const struct vpci_range *range);
void vpci_range_remove(struct vbus *bus, bool io, uint64_t start);
void vpci_ranges_free(struct vbus *bus);

/* ---- interrupts: vector.c, intx.c, msi.c, msix.c ---- */

/** INTx and what MSI and MSI-X share. -errno: without interrupts. */
int vpci_irqs_init(struct vpci *v) REQUIRES(v->dev->lock);
/** Unbinds everything; may sleep, no guest is called afterwards. */
void vpci_irqs_destroy(struct vpci *v) REQUIRES(v->lock);
/** Their memory, with that of the view. NULL is fine. */
void vpci_irqs_free(struct vpci_irqs *irqs);
/** After the hardware lost its registers, or has been quiesced: messages, masks, enables (M30). */
int vpci_irqs_restore(struct vpci *v) REQUIRES(v->lock);
/** Power-on: everything unbound and off. */
void vpci_irqs_reset(struct vpci *v) REQUIRES(v->lock);
/** What the hardware's INTX_DISABLE has to be, after the guest's command register changed. */
int vpci_intx_update(struct vpci *v) REQUIRES(v->lock);
/** The guest has given the bus another number: a line that is high is so there. Inside a read-side
 * section. */
void vpci_line_moved(struct vpci *v) READ_SIDE;
/** Whether the guest has this pin at all. */
unsigned vpci_intx_pin(const struct vpci *v);

/** A trapped access to a BAR's page with a table or a PBA in it. False: neither is at this place.
 */
bool vpci_msix_covers(const struct vpci *v, unsigned bar, uint64_t offset, unsigned length);
uint64_t vpci_msix_mmio_read(struct vpci *v, unsigned bar, uint64_t offset, unsigned length)
    REQUIRES(v->lock);
void vpci_msix_mmio_write(struct vpci *v, unsigned bar, uint64_t offset, unsigned length,
                          uint64_t value) REQUIRES(v->lock);
/** Whether a page of a BAR has to be trapped for the sake of the table or the PBA (M31). */
bool vpci_msix_traps(const struct vpci *v, unsigned bar, uint64_t offset);

/* ---- caps.c and one file per capability ---- */

struct vpci_cap {
    const char *name;
    uint16_t id;
    bool extended;
    bool sticky;    /* its registers outlive a reset of the function (PCIe 7.4) */
    uint8_t length; /* bytes that there have to be, else the capability is hidden */
    /** Adds its registers, its header excepted. -errno: hidden, its registers reserved (M43). */
    int (*init)(struct vpci *v, unsigned cap, unsigned at);
    /** Power-on, beyond the stored values. NULL: nothing. */
    void (*reset)(struct vpci *v, unsigned at);
    /** Writes what the guest has set up into hardware that lost it. NULL: nothing. 0 or -errno. */
    int (*restore)(struct vpci *v, unsigned at);
};

extern const struct vpci_cap *const vpci_caps[];
extern const unsigned vpci_cap_count;

extern const struct vpci_cap vpci_cap_pm, vpci_cap_msi, vpci_cap_msix, vpci_cap_pcie, vpci_cap_vpd,
    vpci_cap_vendor, vpci_cap_aer, vpci_cap_rebar, vpci_cap_sriov;

/** Walks both lists of the device, adds what is known, links it (M43). -ENOMEM or -EIO only. */
int vpci_caps_init(struct vpci *v) REQUIRES(v->lock);
void vpci_caps_reset(struct vpci *v) REQUIRES(v->lock);
int vpci_caps_restore(struct vpci *v) REQUIRES(v->lock);

/** One step of the operations that capabilities ask for; as vpci_decode_step(). */
int vpci_power_step(struct vpci *v) REQUIRES(v->lock);
/** Outside of any section and lock: creates, or gives back, the VFs that the guest asked for.
 * -EAGAIN: not while somebody takes the PF away, or resets it. */
int vpci_vfs_apply(struct pcidev *pf, struct berth_domain *guest, uint32_t generation);

/* ---- vcpu.c: operations ---- */

/** Hands the next of the functions that go with a bus reset to the virtual CPU. False: none. */
bool vpci_reset_next(struct berth_vcpu *vcpu);

/* ---- bus.c: a guest's buses ---- */

struct vbus_bus {
    _Atomic uint32_t number; /* by which it is found; VBUS_NO_NUMBER: not reachable */
    uint32_t wanted GUARDED_BY(vbus, lock); /* that its port asks for */
    _Atomic uint32_t plugged;         /* behind a port: functions that the guest was shown, until
                                         their slots are free again */
    _Atomic(struct vpci *) slot[256]; /* by devfn */
    uint32_t taken[8];                /* bits by devfn: in use, or reserved. Under the bus's lock */
    void *port;                       /* the port above, NULL: a root bus */
};

#define VBUS_NO_NUMBER 0x100u

struct vbus {
    struct berth_domain *domain;
    uint16_t segment; /* as in .config, next to what is read with it */
    _Atomic(struct vbus_bus *) by_number[256];
    struct berth_view_config config; /* .windows is our copy */
    /* Locking: .lock (rank LOCK_VBUS) is held to link or unlink one entry; readers take none. */
    struct lock lock;
    struct vbus_bus **buses; /* root buses, then those behind ports */
    unsigned bus_count;      /* all of them */
    void **ports;            /* port.c */
    struct vpci *host_bridge;
    unsigned lent GUARDED_BY(vbus, lock);
    _Atomic(struct vpci_ranges *) ranges[2]; /* memory, I/O */
};

/** The guest's bus, made if it has none. NULL: no memory. */
struct vbus *vbus_get(struct berth_domain *domain);
/** Inside a read-side section. */
static inline struct vpci *vbus_find(const struct vbus *bus, struct sbdf at) READ_SIDE
{
    const struct vbus_bus *b = atomic_load_explicit(&bus->by_number[at.bus], memory_order_acquire);

    if (!b || at.segment != bus->segment)
        return NULL;
    return atomic_load_explicit(&b->slot[at.devfn], memory_order_acquire);
}
/** Reserves a slot for @v: @want, or one of its choice. 0, or refused. */
int vbus_reserve(struct vbus *bus, struct vpci *v, const struct sbdf *want,
                 struct berth_refusal *why);
void vbus_release(struct vbus *bus, struct vpci *v);
/** Makes it reachable, and unreachable. */
void vbus_publish(struct vbus *bus, struct vpci *v);
void vbus_unpublish(struct vbus *bus, struct vpci *v);
/** Where the guest sees it; -ENOENT: nowhere. */
int vbus_address(const struct vbus *bus, const struct vpci *v, struct sbdf *at);
/** The guest has given bus @b another number (port.c). */
void vbus_renumber(struct vbus *bus, struct vbus_bus *b, unsigned number);

/* ---- port.c: hot-plug ports and the host bridge ---- */

int vbus_ports_create(struct vbus *bus);
void vbus_ports_destroy(struct vbus *bus);
/** The bus behind a port, @v; NULL: it is none. */
struct vbus_bus *vbus_port_behind(const struct vpci *v);
/** A function has come to, or left, the bus behind a port: tells the guest (M46). */
void vbus_port_changed(struct vbus_bus *b);

static inline const struct berth_view_ops *vpci_ops(const struct vpci *v)
{
    const struct vbus *bus = atomic_load_explicit(&v->domain->vbus, memory_order_acquire);

    return bus ? bus->config.ops : NULL;
}

#endif
