/* SPDX-License-Identifier: MIT */
/*
 * Builds captures of machines by code, for tests.
 *
 *     struct machine_builder b;
 *
 *     mb_init(&b);
 *     mb_host_bridge(&b, at(0, 0, 0));
 *     mb_root_port(&b, at(0, 1, 0), 1, 1);
 *     mb_endpoint(&b, at(1, 0, 0));
 *     mb_root_port(&b, at(0, 2, 0), 2, 3);
 *     mb_vfs(&b, mb_pf(&b, at(2, 0, 0), 8, 128, 2), 3);
 *     sim_create(mb_capture(&b), NULL, &sim, &error);
 *     mb_free(&b);
 *
 * Every function starts with what firmware and an operating system leave behind: BARs assigned,
 * decoding and bus mastering on. The pointers that the mb_ functions return may be used to change
 * anything (f->config, f->extra) until mb_capture(), which hands out addresses, sets the windows
 * of the bridges and sorts. A mistake in a test's machine ends the program with a message.
 */
#ifndef BERTH_TESTS_MACHINES_H
#define BERTH_TESTS_MACHINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/sbdf.h>

#include "host/capture/capture.h"

struct machine_builder {
    struct capture capture;
    size_t capacity;
    bool finished;
};

/** A function of segment 0. */
static inline struct sbdf at(unsigned bus, unsigned device, unsigned function)
{
    return sbdf_make(0, bus, device, function);
}

/** @capacity: how many functions there will be at most; mb_init() has room for 512. */
void mb_init_sized(struct machine_builder *b, size_t capacity);
void mb_init(struct machine_builder *b);
void mb_free(struct machine_builder *b);

/**
 * The finished machine, the builder's; nothing can be added any more. BARs are at 2 GiB and above
 * (32 bits), at 1 TiB and above (prefetchable), at 0x1000 and above (I/O); no two of them share a
 * page, in all segments. Addresses and windows that a test has set itself are kept.
 */
const struct capture *mb_capture(struct machine_builder *b);

/* ---- bridges ---- */

/** A host bridge without BARs, 256 bytes of config space. */
struct capture_function *mb_host_bridge(struct machine_builder *b, struct sbdf sbdf);

/** PCIe ports: PM, PCIe, AER and (root and downstream ports) ACS with all four usual bits on. */
struct capture_function *mb_root_port(struct machine_builder *b, struct sbdf sbdf,
                                      unsigned secondary, unsigned subordinate);
struct capture_function *mb_upstream_port(struct machine_builder *b, struct sbdf sbdf,
                                          unsigned secondary, unsigned subordinate);
struct capture_function *mb_downstream_port(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate);

/** PCIe above, conventional PCI below; and the reverse. */
struct capture_function *mb_pcie_pci_bridge(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate);
struct capture_function *mb_pci_pcie_bridge(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate);

/** Conventional PCI on both sides: no PCIe capability. */
struct capture_function *mb_pci_bridge(struct machine_builder *b, struct sbdf sbdf,
                                       unsigned secondary, unsigned subordinate);

/** Header type 2, with 128 bytes of config space. */
struct capture_function *mb_cardbus_bridge(struct machine_builder *b, struct sbdf sbdf,
                                           unsigned secondary, unsigned subordinate);

/* ---- functions ---- */

/**
 * A PCIe endpoint with 4096 bytes of config space: PM (D3hot keeps the state), PCIe with FLR, MSI-X
 * with 16 vectors, AER; BAR 0 of 16 KiB, 64 bits, prefetchable, with the MSI-X table at
 * 0x2000 and the PBA at 0x3000.
 */
struct capture_function *mb_endpoint(struct machine_builder *b, struct sbdf sbdf);

/** The same, integrated into the root complex; and an event collector, which has no BAR. */
struct capture_function *mb_rc_endpoint(struct machine_builder *b, struct sbdf sbdf);
struct capture_function *mb_event_collector(struct machine_builder *b, struct sbdf sbdf);

/** An endpoint with phantom functions as DevCap says them. @stride: 1, 2 or 4 (M03). */
struct capture_function *mb_phantom(struct machine_builder *b, struct sbdf sbdf, unsigned stride);

/**
 * A PF: an endpoint with ARI, ATS and SR-IOV, VF BAR 0 of 16 KiB (64 bits, prefetchable) per VF.
 * VFs are off. @offset, @stride: of the VFs' requester ids.
 */
struct capture_function *mb_pf(struct machine_builder *b, struct sbdf sbdf, unsigned total_vfs,
                               unsigned offset, unsigned stride);

/** Captures @pf with its first @count VFs enabled: PCIe with FLR and MSI-X like the PF's. */
void mb_vfs(struct machine_builder *b, struct capture_function *pf, unsigned count);

/** A conventional PCI device: 256 bytes, MSI, BAR 0 of 4 KiB (32 bits), BAR 1 of 64 B of I/O. */
struct capture_function *mb_pci_endpoint(struct machine_builder *b, struct sbdf sbdf);

/** A bare header of 64 bytes, without BAR or capability. */
struct capture_function *mb_bare(struct machine_builder *b, struct sbdf sbdf);

/** @count conventional functions of 256 bytes, one 4 KiB BAR each, at every address from
 *  0000:00:00.0 on, without any bridge. */
void mb_many(struct machine_builder *b, size_t count);

/* ---- changing a function ---- */

enum mb_bar {
    MB_BAR_IO,
    MB_BAR_MEM32,
    MB_BAR_MEM64,
    MB_BAR_PREFETCH64, /* 64 bits, prefetchable */
};
/** Gives BAR @index (0-5) a kind and a size; size 0 takes the BAR away. */
void mb_bar(struct capture_function *f, unsigned index, enum mb_bar kind, uint64_t size);
void mb_rom(struct capture_function *f, uint64_t size);

/** Adds a capability to the end of the list, with the room that it needs (PCIe 60, MSI 24, others
 *  16 bytes; AER 72, SR-IOV 64, other extended ones 32 bytes), zeroed. Returns its offset. */
unsigned mb_cap(struct capture_function *f, uint8_t id);
unsigned mb_ext_cap(struct capture_function *f, uint16_t id, unsigned version);
/** The offset of a capability, 0 where there is none. */
unsigned mb_find_cap(const struct capture_function *f, uint8_t id);
unsigned mb_find_ext_cap(const struct capture_function *f, uint16_t id);

/** MSI with 64-bit addresses and masks. @vectors: a power of two up to 32. */
void mb_msi(struct capture_function *f, unsigned vectors);
void mb_msix(struct capture_function *f, unsigned vectors, unsigned bar);
/** Conventional PCI's FLR (Advanced Features). */
void mb_af(struct capture_function *f);
void mb_ats(struct capture_function *f);
/** @caps: the ACS capability bits; they are also enabled. */
void mb_acs(struct capture_function *f, uint16_t caps);
/** The function has no FLR. */
void mb_no_flr(struct capture_function *f);
/** D3hot to D0 resets it (No_Soft_Reset is 0). */
void mb_pm_reset(struct capture_function *f);
/** Cuts config space to 64 or 256 bytes. */
void mb_cut(struct capture_function *f, uint16_t size);

/** Little-endian config bytes. */
uint32_t mb_get(const struct capture_function *f, unsigned reg, unsigned length);
void mb_put(struct capture_function *f, unsigned reg, unsigned length, uint32_t value);

#endif
