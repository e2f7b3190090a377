/* SPDX-License-Identifier: MIT */
#include "tests/unit/machines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#define CAPACITY 512

/* A capability list is a chain without lengths: what the last one takes is known by its id. */
struct cap_room {
    uint16_t id;
    uint16_t bytes;
};

static const struct cap_room cap_rooms[] = {
    {PCI_CAP_ID_EXP, 60},
    {PCI_CAP_ID_MSI, 24},
    {0, 16},
};

static const struct cap_room ext_cap_rooms[] = {
    {PCI_EXT_CAP_ID_ERR, 72},
    {PCI_EXT_CAP_ID_SRIOV, 64},
    {0, 32},
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "machines: %s\n", what);
    abort();
}

uint32_t mb_get(const struct capture_function *f, unsigned reg, unsigned length)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < length; i++)
        value |= (uint32_t)f->config[reg + i] << 8 * i;
    return value;
}

void mb_put(struct capture_function *f, unsigned reg, unsigned length, uint32_t value)
{
    for (unsigned i = 0; i < length; i++)
        f->config[reg + i] = (uint8_t)(value >> 8 * i);
}

/* ---- the machine ---- */

void mb_init_sized(struct machine_builder *b, size_t capacity)
{
    memset(b, 0, sizeof(*b));
    b->capacity = capacity;
    b->capture.functions = calloc(capacity, sizeof(*b->capture.functions));
    if (!b->capture.functions)
        die("out of memory");
}

void mb_init(struct machine_builder *b)
{
    mb_init_sized(b, CAPACITY);
}

void mb_free(struct machine_builder *b)
{
    free(b->capture.functions);
    memset(b, 0, sizeof(*b));
}

static struct capture_function *add_function(struct machine_builder *b, struct sbdf sbdf,
                                             uint32_t class_code)
{
    struct capture_function *f;

    if (b->finished)
        die("a function after mb_capture()");
    if (b->capture.count == b->capacity)
        die("more functions than mb_init_sized() said");
    f = &b->capture.functions[b->capture.count++];
    f->sbdf = sbdf;
    f->size = 4096;
    f->extra.numa_node = -1;
    f->extra.iommu_group = -1;
    mb_put(f, PCI_VENDOR_ID, 2, 0x1b36);
    mb_put(f, PCI_DEVICE_ID, 2, 0x0010);
    mb_put(f, PCI_CLASS_REVISION, 4, class_code << 8 | 1);
    mb_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return f;
}

/* ---- capabilities ---- */

static unsigned room_of(const struct cap_room *rooms, unsigned id)
{
    while (rooms->id != 0 && rooms->id != id)
        rooms++;
    return rooms->bytes;
}

unsigned mb_find_cap(const struct capture_function *f, uint8_t id)
{
    unsigned reg = f->config[PCI_CAPABILITY_LIST];

    while (reg && f->config[reg] != id)
        reg = f->config[reg + 1];
    return reg;
}

unsigned mb_cap(struct capture_function *f, uint8_t id)
{
    unsigned link = PCI_CAPABILITY_LIST, reg = 0x40;

    while (f->config[link]) {
        reg = f->config[link];
        link = reg + 1;
        reg += room_of(cap_rooms, f->config[reg]);
    }
    if (reg + room_of(cap_rooms, id) > 256)
        die("no room for a capability");
    f->config[link] = (uint8_t)reg;
    f->config[reg] = id;
    mb_put(f, PCI_STATUS, 2, mb_get(f, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST);
    return reg;
}

unsigned mb_find_ext_cap(const struct capture_function *f, uint16_t id)
{
    unsigned reg = 0x100;

    while (reg && PCI_EXT_CAP_ID(mb_get(f, reg, 4)) != id)
        reg = PCI_EXT_CAP_NEXT(mb_get(f, reg, 4));
    return reg;
}

unsigned mb_ext_cap(struct capture_function *f, uint16_t id, unsigned version)
{
    unsigned last = 0, reg = 0x100;

    while (mb_get(f, reg, 4)) {
        last = reg;
        reg = PCI_EXT_CAP_NEXT(mb_get(f, last, 4));
        if (!reg)
            reg = last + room_of(ext_cap_rooms, PCI_EXT_CAP_ID(mb_get(f, last, 4)));
    }
    if (reg + room_of(ext_cap_rooms, id) > 4096)
        die("no room for an extended capability");
    if (last)
        mb_put(f, last, 4, mb_get(f, last, 4) | reg << 20);
    mb_put(f, reg, 4, id | version << 16);
    return reg;
}

static void add_pm(struct capture_function *f)
{
    unsigned reg = mb_cap(f, PCI_CAP_ID_PM);

    mb_put(f, reg + PCI_PM_PMC, 2, 3);
    mb_put(f, reg + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
}

void mb_pm_reset(struct capture_function *f)
{
    mb_put(f, mb_find_cap(f, PCI_CAP_ID_PM) + PCI_PM_CTRL, 2, 0);
}

static void add_pcie(struct capture_function *f, unsigned type)
{
    unsigned reg = mb_cap(f, PCI_CAP_ID_EXP);
    bool port = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM;
    bool bridge = port || type == PCI_EXP_TYPE_UPSTREAM || type == PCI_EXP_TYPE_PCI_BRIDGE ||
                  type == PCI_EXP_TYPE_PCIE_BRIDGE;

    mb_put(f, reg + PCI_EXP_FLAGS, 2, 2 | type << 4 | (port ? PCI_EXP_FLAGS_SLOT : 0));
    mb_put(f, reg + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER | (bridge ? 0 : PCI_EXP_DEVCAP_FLR));
    mb_put(f, reg + PCI_EXP_DEVCTL, 2, 0x2810); /* 512-byte reads, relaxed order, no snoop */
    if (port) {
        mb_put(f, reg + PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_ARI);
        mb_put(f, reg + PCI_EXP_DEVCTL2, 2, PCI_EXP_DEVCTL2_ARI);
    }
}

void mb_no_flr(struct capture_function *f)
{
    unsigned reg = mb_find_cap(f, PCI_CAP_ID_EXP) + PCI_EXP_DEVCAP;

    mb_put(f, reg, 4, mb_get(f, reg, 4) & ~PCI_EXP_DEVCAP_FLR);
}

void mb_msi(struct capture_function *f, unsigned vectors)
{
    unsigned reg = mb_cap(f, PCI_CAP_ID_MSI), log2 = 0;

    while (1u << log2 < vectors)
        log2++;
    mb_put(f, reg + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | log2 << 1);
}

void mb_msix(struct capture_function *f, unsigned vectors, unsigned bar)
{
    unsigned reg = mb_cap(f, PCI_CAP_ID_MSIX);

    mb_put(f, reg + PCI_MSIX_FLAGS, 2, vectors - 1);
    mb_put(f, reg + PCI_MSIX_TABLE, 4, 0x2000 | bar);
    mb_put(f, reg + PCI_MSIX_PBA, 4, 0x3000 | bar);
}

void mb_af(struct capture_function *f)
{
    unsigned reg = mb_cap(f, PCI_CAP_ID_AF);

    mb_put(f, reg + PCI_AF_LENGTH, 1, PCI_CAP_AF_SIZEOF);
    mb_put(f, reg + PCI_AF_CAP, 1, PCI_AF_CAP_TP | PCI_AF_CAP_FLR);
}

void mb_ats(struct capture_function *f)
{
    mb_put(f, mb_ext_cap(f, PCI_EXT_CAP_ID_ATS, 1) + PCI_ATS_CAP, 2, PCI_ATS_CAP_PAGE_ALIGNED);
}

void mb_acs(struct capture_function *f, uint16_t caps)
{
    unsigned reg = mb_ext_cap(f, PCI_EXT_CAP_ID_ACS, 1);

    mb_put(f, reg + PCI_ACS_CAP, 2, caps);
    mb_put(f, reg + PCI_ACS_CTRL, 2, caps);
}

void mb_cut(struct capture_function *f, uint16_t size)
{
    memset(f->config + size, 0, sizeof(f->config) - size);
    f->size = size;
}

/* ---- BARs ---- */

static const uint32_t bar_bits[] = {
    [MB_BAR_IO] = PCI_BASE_ADDRESS_SPACE_IO,
    [MB_BAR_MEM32] = PCI_BASE_ADDRESS_MEM_TYPE_32,
    [MB_BAR_MEM64] = PCI_BASE_ADDRESS_MEM_TYPE_64,
    [MB_BAR_PREFETCH64] = PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
};

void mb_bar(struct capture_function *f, unsigned index, enum mb_bar kind, uint64_t size)
{
    f->extra.size[index] = size;
    mb_put(f, PCI_BASE_ADDRESS_0 + 4 * index, 4, size ? bar_bits[kind] : 0);
    if (size && kind == MB_BAR_IO)
        f->config[PCI_COMMAND] |= PCI_COMMAND_IO;
}

void mb_rom(struct capture_function *f, uint64_t size)
{
    f->extra.size[CAPTURE_ROM] = size;
}

/* ---- functions ---- */

struct capture_function *mb_host_bridge(struct machine_builder *b, struct sbdf sbdf)
{
    struct capture_function *f = add_function(b, sbdf, 0x060000);

    mb_cut(f, 256);
    return f;
}

static struct capture_function *add_endpoint(struct machine_builder *b, struct sbdf sbdf,
                                             unsigned type)
{
    struct capture_function *f = add_function(b, sbdf, 0x010802); /* NVMe */

    add_pm(f);
    add_pcie(f, type);
    mb_msix(f, 16, 0);
    mb_ext_cap(f, PCI_EXT_CAP_ID_ERR, 2);
    mb_bar(f, 0, MB_BAR_PREFETCH64, 0x4000);
    return f;
}

struct capture_function *mb_endpoint(struct machine_builder *b, struct sbdf sbdf)
{
    return add_endpoint(b, sbdf, PCI_EXP_TYPE_ENDPOINT);
}

struct capture_function *mb_rc_endpoint(struct machine_builder *b, struct sbdf sbdf)
{
    return add_endpoint(b, sbdf, PCI_EXP_TYPE_RC_END);
}

struct capture_function *mb_event_collector(struct machine_builder *b, struct sbdf sbdf)
{
    struct capture_function *f = add_function(b, sbdf, 0x080700);

    add_pm(f);
    add_pcie(f, PCI_EXP_TYPE_RC_EC);
    mb_no_flr(f);
    return f;
}

struct capture_function *mb_phantom(struct machine_builder *b, struct sbdf sbdf, unsigned stride)
{
    struct capture_function *f = mb_endpoint(b, sbdf);
    unsigned reg = mb_find_cap(f, PCI_CAP_ID_EXP) + PCI_EXP_DEVCAP;
    /* The field tells how many bits of the function number are phantom: PCIe 7.5.3.3. */
    uint32_t bits = stride == 4 ? 1 : stride == 2 ? 2 : 3;

    mb_put(f, reg, 4, mb_get(f, reg, 4) | bits << 3);
    return f;
}

struct capture_function *mb_pci_endpoint(struct machine_builder *b, struct sbdf sbdf)
{
    struct capture_function *f = add_function(b, sbdf, 0x020000);

    mb_cut(f, 256);
    mb_bar(f, 0, MB_BAR_MEM32, 0x1000);
    mb_bar(f, 1, MB_BAR_IO, 0x40);
    mb_msi(f, 1);
    mb_put(f, PCI_INTERRUPT_PIN, 1, 1);
    return f;
}

struct capture_function *mb_bare(struct machine_builder *b, struct sbdf sbdf)
{
    struct capture_function *f = add_function(b, sbdf, 0xff0000);

    mb_cut(f, 64);
    return f;
}

void mb_many(struct machine_builder *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct capture_function *f = add_function(b, sbdf_from_key((uint32_t)i), 0xff0000);

        f->size = 256;
        mb_bar(f, 0, MB_BAR_PREFETCH64, 0x1000);
    }
}

/* ---- SR-IOV ---- */

struct capture_function *mb_pf(struct machine_builder *b, struct sbdf sbdf, unsigned total_vfs,
                               unsigned offset, unsigned stride)
{
    struct capture_function *f = mb_endpoint(b, sbdf);
    unsigned reg;

    mb_put(f, PCI_CLASS_REVISION, 4, 0x02000001);
    mb_ext_cap(f, PCI_EXT_CAP_ID_ARI, 1);
    mb_ats(f);
    reg = mb_ext_cap(f, PCI_EXT_CAP_ID_SRIOV, 1);
    mb_put(f, reg + PCI_SRIOV_INITIAL_VF, 2, total_vfs);
    mb_put(f, reg + PCI_SRIOV_TOTAL_VF, 2, total_vfs);
    mb_put(f, reg + PCI_SRIOV_VF_OFFSET, 2, offset);
    mb_put(f, reg + PCI_SRIOV_VF_STRIDE, 2, stride);
    mb_put(f, reg + PCI_SRIOV_VF_DID, 2, 0x0011);
    mb_put(f, reg + PCI_SRIOV_SUP_PGSIZE, 4, 0x553);
    mb_put(f, reg + PCI_SRIOV_SYS_PGSIZE, 4, 1);
    mb_put(f, reg + PCI_SRIOV_BAR, 4, bar_bits[MB_BAR_PREFETCH64]);
    f->extra.vf_bar_size[0] = 0x4000;
    return f;
}

static void add_vf(struct machine_builder *b, const struct capture_function *pf, uint32_t key)
{
    struct capture_function *f = add_function(b, sbdf_from_key(key), 0);

    memcpy(f->config + PCI_CLASS_REVISION, pf->config + PCI_CLASS_REVISION, 4);
    memcpy(f->config + PCI_SUBSYSTEM_VENDOR_ID, pf->config + PCI_SUBSYSTEM_VENDOR_ID, 4);
    /* A VF has no ids of its own and no memory decode bit: SR-IOV 3.4.1.1, 3.4.1.3. */
    mb_put(f, PCI_VENDOR_ID, 4, 0xffffffff);
    mb_put(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    add_pcie(f, PCI_EXP_TYPE_ENDPOINT);
    mb_msix(f, 16, 0);
}

void mb_vfs(struct machine_builder *b, struct capture_function *pf, unsigned count)
{
    unsigned reg = mb_find_ext_cap(pf, PCI_EXT_CAP_ID_SRIOV);
    uint32_t offset = mb_get(pf, reg + PCI_SRIOV_VF_OFFSET, 2);
    uint32_t stride = mb_get(pf, reg + PCI_SRIOV_VF_STRIDE, 2);

    mb_put(pf, reg + PCI_SRIOV_NUM_VF, 2, count);
    mb_put(pf, reg + PCI_SRIOV_CTRL, 2,
           PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI);
    for (unsigned i = 0; i < count; i++)
        add_vf(b, pf, sbdf_key(pf->sbdf) + offset + stride * i);
}

/* ---- bridges ---- */

static struct capture_function *add_bridge(struct machine_builder *b, struct sbdf sbdf,
                                           unsigned secondary, unsigned subordinate)
{
    struct capture_function *f = add_function(b, sbdf, 0x060400);

    f->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
    f->config[PCI_COMMAND] |= PCI_COMMAND_IO;
    f->config[PCI_PRIMARY_BUS] = sbdf.bus;
    f->config[PCI_SECONDARY_BUS] = (uint8_t)secondary;
    f->config[PCI_SUBORDINATE_BUS] = (uint8_t)subordinate;
    mb_put(f, PCI_PREF_MEMORY_BASE, 2, PCI_PREF_RANGE_TYPE_64);
    mb_put(f, PCI_PREF_MEMORY_LIMIT, 2, PCI_PREF_RANGE_TYPE_64);
    return f;
}

static struct capture_function *add_port(struct machine_builder *b, struct sbdf sbdf,
                                         unsigned buses, unsigned type)
{
    struct capture_function *f = add_bridge(b, sbdf, buses & 0xff, buses >> 8);

    add_pm(f);
    add_pcie(f, type);
    mb_ext_cap(f, PCI_EXT_CAP_ID_ERR, 2);
    if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM)
        mb_acs(f, PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
    return f;
}

struct capture_function *mb_root_port(struct machine_builder *b, struct sbdf sbdf,
                                      unsigned secondary, unsigned subordinate)
{
    return add_port(b, sbdf, secondary | subordinate << 8, PCI_EXP_TYPE_ROOT_PORT);
}

struct capture_function *mb_upstream_port(struct machine_builder *b, struct sbdf sbdf,
                                          unsigned secondary, unsigned subordinate)
{
    return add_port(b, sbdf, secondary | subordinate << 8, PCI_EXP_TYPE_UPSTREAM);
}

struct capture_function *mb_downstream_port(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate)
{
    return add_port(b, sbdf, secondary | subordinate << 8, PCI_EXP_TYPE_DOWNSTREAM);
}

struct capture_function *mb_pcie_pci_bridge(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate)
{
    return add_port(b, sbdf, secondary | subordinate << 8, PCI_EXP_TYPE_PCI_BRIDGE);
}

struct capture_function *mb_pci_pcie_bridge(struct machine_builder *b, struct sbdf sbdf,
                                            unsigned secondary, unsigned subordinate)
{
    return add_port(b, sbdf, secondary | subordinate << 8, PCI_EXP_TYPE_PCIE_BRIDGE);
}

struct capture_function *mb_pci_bridge(struct machine_builder *b, struct sbdf sbdf,
                                       unsigned secondary, unsigned subordinate)
{
    struct capture_function *f = add_bridge(b, sbdf, secondary, subordinate);

    mb_cut(f, 256);
    return f;
}

struct capture_function *mb_cardbus_bridge(struct machine_builder *b, struct sbdf sbdf,
                                           unsigned secondary, unsigned subordinate)
{
    struct capture_function *f = add_bridge(b, sbdf, secondary, subordinate);

    memset(f->config + PCI_PREF_MEMORY_BASE, 0, 4);
    mb_put(f, PCI_CLASS_REVISION, 4, 0x06070001);
    f->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_CARDBUS;
    mb_cut(f, 128);
    return f;
}
