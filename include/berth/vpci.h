/* SPDX-License-Identifier: MIT */
/*
 * vPCI: the guest's view of the devices that it was lent.
 *
 * A guest has a virtual bus of its own. Its accesses to config space, to trapped BARs and to I/O
 * ports come in here; what it may map and what it is told goes out through struct berth_view_ops.
 *
 *     the guest's config access ──► berth_domain_config_read(), berth_vcpu_config_write()
 *     an access to a trapped BAR ─► berth_domain_mmio_read(), ..._write(), _port_read(), ...
 *     BARs to map and unmap ◄────── berth_view_ops.map, .unmap
 *     interrupts ◄───────────────── berth_view_ops.inject, .intx
 *
 * A device that is not there, or not for the moment, reads all ones and drops writes (V2). Reads
 * take no lock; writes take the lock of the one device at most (V8).
 */
#ifndef BERTH_VPCI_H
#define BERTH_VPCI_H

#include <stdbool.h>
#include <stdint.h>

#include <berth/domain.h>
#include <berth/irq.h>
#include <berth/machine.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is smaller, or not aligned to it, is trapped and never mapped (M48). */
#define BERTH_PAGE_SIZE 4096u

/* ---- what a guest's VMM supplies ---- */

/** A range of guest addresses in which BARs may be placed: never RAM, ECAM, interrupt controllers.
 */
struct berth_window {
    uint64_t start, length; /* in bytes */
    uint8_t io;             /* I/O ports */
};

/** A part of a BAR: what is mapped, or unmapped, in one go. */
struct berth_piece {
    struct pcidev *dev;
    unsigned bar;         /* 0 to 5, BERTH_BAR_ROM */
    uint64_t offset;      /* in the BAR; bytes, a multiple of the page like all that follows */
    uint64_t host, guest; /* addresses */
    uint64_t length;
    uint8_t prefetchable;
};

/** Slots may be NULL. None may call back into vPCI of the same device, or into a transition. */
struct berth_view_ops {
    /**
     * Lets the guest reach a piece. Returns 0, or -errno with nothing of it mapped.
     * NULL: nothing is ever mapped, all BARs are trapped. May sleep.
     */
    int (*map)(void *context, const struct berth_piece *piece);

    /**
     * Takes a piece away; when it returns no CPU of the guest and no other device reaches it (R2).
     * A piece that is not mapped is fine. Returns 0, or -errno with all of it still mapped.
     */
    int (*unmap)(void *context, const struct berth_piece *piece);

    /**
     * The guest's device (@dev; NULL: a port of its virtual bus) raised a message that the guest
     * programmed. Called in the thread of berth_machine_interrupt(); must not sleep.
     */
    void (*inject)(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message);

    /** INTx: @pin 1 (A) to 4 (D) of the guest's slot @at is asserted or not. Must not sleep. */
    void (*intx)(void *context, struct sbdf at, unsigned pin, bool asserted);
};

/**
 * A guest's buses. All zero is a fine value: segment 0, bus 0 and seven more root buses, a host
 * bridge in the first slot, no hot-plug ports, BARs anywhere, nothing is mapped or injected.
 */
struct berth_view_config {
    const struct berth_view_ops *ops; /* must outlive the domain; @context goes with it */
    void *context;
    const struct berth_window *windows; /* copied; none: BARs may be anywhere */
    uint32_t window_count;              /* at most BERTH_WINDOWS_MAX */
    uint64_t piece_size;                /* bytes that are mapped in one go, whole pages, at most
                                           BERTH_PIECE_MAX; 0: 2 MiB */
    uint16_t segment;
    uint8_t first_bus;   /* the first of the root buses */
    uint8_t bus_count;   /* how many there are, 0: 8. Buses behind ports follow them */
    uint8_t port_count;  /* hot-plug ports (PCIe root ports) on the first bus, from slot 1 on, at
                            most BERTH_PORTS_MAX: devices are put behind them (M46) */
    bool no_host_bridge; /* slot 0 of the first bus is free for a device */
};

#define BERTH_WINDOWS_MAX 16
/** A guest is kept out of the device while one piece is mapped or taken off (K1). */
#define BERTH_PIECE_MAX 0x40000000u
#define BERTH_PORTS_MAX 31

/**
 * Sets up a guest's virtual bus. Without this call a guest has the one of an all-zero config, from
 * its first device on.
 *
 * @config  copied
 *
 * Returns 0, -EBUSY (a device was lent already, or the view was set before), -EINVAL (no guest; a
 * field is out of range; windows that overlap or wrap), -ENOMEM. Context: may sleep.
 */
int berth_domain_set_view(struct berth_domain *domain, const struct berth_view_config *config)
    __attribute__((warn_unused_result));

/* ---- config space ---- */

/**
 * A guest's read (the hardware domain's: of the device at the host's address).
 *
 * @sbdf    the guest's own address of the device (V1)
 * @reg     offset in config space
 * @length  1, 2, 4 or 8; aligned or not
 *
 * Returns the value; all ones of exactly @length bytes where there is no device, the length is
 * another one or the access passes the end of config space. Registers that the guest does not see
 * read as zeros (V7). Context: any, takes no lock (A3, V8); a register that is the hardware's takes
 * as long as that.
 */
uint64_t berth_domain_config_read(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                                  unsigned length);

/**
 * The counterpart; whatever it sets off (mapping BARs, a reset) is done when it returns.
 * Context: may sleep.
 */
void berth_domain_config_write(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                               unsigned length, uint64_t value);

/** The guest's address of a device: 0 with *@at, -ENOENT where no guest has it. Context: any. */
int berth_domain_address(const struct pcidev *dev, struct sbdf *at)
    __attribute__((warn_unused_result));

/**
 * Whether anything answers at a guest's address; and the host's device there, counted, or NULL for
 * a port, a host bridge, nothing. Context: any, takes no lock.
 */
bool berth_domain_answers(struct berth_domain *domain, struct sbdf at);
struct pcidev *berth_domain_device_at(struct berth_domain *domain, struct sbdf at, const char *tag);

/* ---- a virtual CPU, which can be held back ---- */

/** One per virtual CPU, zero at first. The fields are private. */
struct berth_vcpu {
    struct pcidev *dev; /* referenced while an operation is under way (V6) */
    struct berth_domain *domain;
    uint32_t generation;
    uint32_t wants;
    bool waiting;      /* for a transition of somebody else: there is no hurry to call again */
    uint8_t functions; /* of .bus, that are to be reset as well */
    void *bus;
};

/**
 * A config write of a virtual CPU. Where it sets off something long (mapping BARs, a reset, a
 * change of power, VFs) that is left to berth_vcpu_continue().
 *
 * Returns 0, or -EAGAIN: the virtual CPU must not run before berth_vcpu_continue() returned 0 (V6).
 * A CPU that has something to do still must not write: -EBUSY, nothing is done.
 * Context: may sleep, for this one device: its lock, the host's own accesses, and (what enables
 * interrupts) berth_irq_ops.bind. Nobody else's device is waited for, and no lock may be held that
 * berth_view_ops take.
 */
int berth_vcpu_config_write(struct berth_vcpu *vcpu, struct berth_domain *domain, struct sbdf sbdf,
                            unsigned reg, unsigned length, uint64_t value)
    __attribute__((warn_unused_result));

/**
 * Does the next piece of what a write set off. It ends without effect when the device, its owner or
 * its generation is not the one that it was started for (V6).
 *
 * Returns 0 (nothing is left to do, the CPU may run) or -EAGAIN (call again, now or later).
 * Context: may sleep, for one piece.
 */
int berth_vcpu_continue(struct berth_vcpu *vcpu) __attribute__((warn_unused_result));

/** The virtual CPU ends: drops what it held. What it left half-mapped is completed, or taken away,
 * by the next operation on the device. Context: any. */
void berth_vcpu_stop(struct berth_vcpu *vcpu);

/* ---- BARs that are trapped ---- */

/**
 * Accesses to a guest's address (I/O port) that is not mapped.
 *
 * @length  1, 2, 4 or 8
 *
 * Returns 0; -ENOENT (no BAR of the guest is there, or no longer; *@value is all ones) or -EINVAL
 * (another length; @value is not written). A BAR whose device is gone, resetting or powered down
 * reads all ones and drops the write (K09); so does the part of an access that is outside of all
 * BARs.
 * Context: any; table and PBA of MSI-X take the lock of the device.
 */
int berth_domain_mmio_read(struct berth_domain *domain, uint64_t address, unsigned length,
                           uint64_t *value) __attribute__((warn_unused_result));
int berth_domain_mmio_write(struct berth_domain *domain, uint64_t address, unsigned length,
                            uint64_t value) __attribute__((warn_unused_result));
int berth_domain_port_read(struct berth_domain *domain, uint16_t port, unsigned length,
                           uint64_t *value) __attribute__((warn_unused_result));
int berth_domain_port_write(struct berth_domain *domain, uint16_t port, unsigned length,
                            uint64_t value) __attribute__((warn_unused_result));

/**
 * The guest has handled INTx of the device at @at: it may be raised again. While a transition has
 * the device this is kept until its end. Context: takes the lock of the device, and may sleep for
 * as long as the host's own config access does.
 */
void berth_domain_intx_eoi(struct berth_domain *domain, struct sbdf at);

/* ---- addresses ---- */

/** A memory-mapped window of config space (PCIe 7.2.2). */
struct berth_ecam {
    uint64_t base; /* of the first bus that the window has */
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

/** What an address in the window means: 0 with *@sbdf and *@reg, -ENOENT outside. Context: any. */
int berth_ecam_decode(const struct berth_ecam *window, uint64_t address, struct sbdf *sbdf,
                      unsigned *reg) __attribute__((warn_unused_result));

/**
 * Configuration mechanism 1 (PCI 3.0, 3.2.2.3.2): @address is what the guest wrote to CF8, @port
 * is CFC to CFF. Bits 27-24 of the address extend the register (as some processors have it).
 * Returns 0, -ENOENT where it is no config access (the enable bit is clear, another port).
 * Context: any.
 */
int berth_cf8_decode(uint32_t address, uint16_t port, struct sbdf *sbdf, unsigned *reg)
    __attribute__((warn_unused_result));

/* ---- registers that an embedder adds ---- */

/**
 * A register of 1, 2 or 4 bytes, aligned to its size. No bit is in two masks; a bit in none reads
 * zero and ignores writes, as .rsvdz. Hooks are called inside an access section of the device.
 */
struct berth_register {
    uint16_t offset; /* in config space; for a capability's table: in the capability */
    uint8_t size;
    uint32_t reset; /* the value at first: bits of .ro, .rw, .rw1c and .rsvdp */
    uint32_t ro;    /* the guest reads them */
    uint32_t rw;
    uint32_t rw1c;  /* writing 1 clears */
    uint32_t rsvdp; /* reserved, preserved: reads as it is, writes are ignored */
    uint32_t rsvdz; /* reserved: reads zero */
    /** What the guest reads instead of @stored. NULL: @stored. Several at once, without a lock. */
    uint32_t (*read)(void *context, unsigned reg, uint32_t stored);
    /**
     * @value is what @stored becomes by a write, @cleared are the bits of .rw1c that were written
     * as 1. Returns what is stored from now on. NULL: @value. One at a time per device.
     */
    uint32_t (*write)(void *context, unsigned reg, uint32_t stored, uint32_t value,
                      uint32_t cleared);
};

/**
 * Adds a register to the view that the owner of a device has (also the hardware domain, whose other
 * accesses pass to the hardware). It goes with the owner.
 *
 * @desc     must outlive the view, as must @context
 *
 * Returns 0, -EINVAL (size, alignment, offset, masks that overlap or leave the size, a reset value
 * with reserved bits), -EEXIST (a register is there already), -ENODEV (no view: removed, in
 * quarantine, hidden), -ENOMEM. Context: may sleep, also until a transition of @dev is over; no
 * section of @dev open.
 */
int berth_register_add(struct pcidev *dev, const struct berth_register *desc, void *context)
    __attribute__((warn_unused_result));

/**
 * Removes all registers in [@offset, @offset + @length) that were added. When it returns no hook of
 * theirs runs any more.
 * Returns 0, -ENOENT (none there), -EBUSY (one of them is part of a capability's own view), -EINVAL
 * (the range cuts a register in two), all with nothing removed, -ENODEV, -ENOMEM. Context: as
 * above.
 */
int berth_register_remove(struct pcidev *dev, unsigned offset, unsigned length)
    __attribute__((warn_unused_result));

/** Bytes that the view of a device takes, 0: it has none. For those who plan memory. Context: any.
 */
size_t berth_view_size(const struct pcidev *dev);

#ifdef __cplusplus
}
#endif

#endif
