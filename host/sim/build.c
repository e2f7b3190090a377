/* SPDX-License-Identifier: MIT */
/*
 * Turns a capture into functions: finds capabilities, sizes BARs, links functions with the bridge
 * above them and VFs with their PF.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

/* VFs are made for every PF of the capture, whatever TotalVFs says in each: a limit for all. */
#define VFS_MAX 65536u
#define STANDARD_CAPS_MAX 48 /* as many as fit behind the header */
#define EXTENDED_CAPS_MAX 480

__attribute__((format(printf, 2, 3))) static int fail(struct capture_error *error,
                                                      const char *format, ...)
{
    va_list args;

    if (!error)
        return -EINVAL;
    *error = (struct capture_error){0};
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- capabilities ---- */

static const uint8_t standard_ids[SIM_CAPS] = {
    [SIM_CAP_PM] = PCI_CAP_ID_PM,     [SIM_CAP_MSI] = PCI_CAP_ID_MSI,
    [SIM_CAP_MSIX] = PCI_CAP_ID_MSIX, [SIM_CAP_PCIE] = PCI_CAP_ID_EXP,
    [SIM_CAP_AF] = PCI_CAP_ID_AF,     [SIM_CAP_VPD] = PCI_CAP_ID_VPD,
};
static const uint8_t extended_ids[SIM_CAPS] = {
    [SIM_CAP_AER] = PCI_EXT_CAP_ID_ERR,     [SIM_CAP_ACS] = PCI_EXT_CAP_ID_ACS,
    [SIM_CAP_ARI] = PCI_EXT_CAP_ID_ARI,     [SIM_CAP_ATS] = PCI_EXT_CAP_ID_ATS,
    [SIM_CAP_SRIOV] = PCI_EXT_CAP_ID_SRIOV, [SIM_CAP_REBAR] = PCI_EXT_CAP_ID_REBAR,
    [SIM_CAP_DPC] = PCI_EXT_CAP_ID_DPC,
};
/* What a capability must have room for, to be believed. */
static unsigned cap_length(const struct sim_function *f, enum sim_cap cap, unsigned reg)
{
    static const uint8_t lengths[SIM_CAPS] = {
        [SIM_CAP_PM] = 8,  [SIM_CAP_MSIX] = 12,  [SIM_CAP_AF] = 8,   [SIM_CAP_AER] = 44,
        [SIM_CAP_ACS] = 8, [SIM_CAP_ARI] = 8,    [SIM_CAP_ATS] = 8,  [SIM_CAP_SRIOV] = 64,
        [SIM_CAP_VPD] = 8, [SIM_CAP_REBAR] = 12, [SIM_CAP_DPC] = 12,
    };
    uint32_t flags = sim_word(f, reg) >> 16;

    if (cap == SIM_CAP_PCIE)
        return (flags & PCI_EXP_FLAGS_VERS) < 2 ? 20 : 60;
    if (cap == SIM_CAP_MSI)
        return 12 + (flags & PCI_MSI_FLAGS_64BIT ? 4 : 0) + (flags & PCI_MSI_FLAGS_MASKBIT ? 8 : 0);
    return lengths[cap];
}

/* The first capability of each kind counts; a second one is read only. */
static void note_cap(struct sim_function *f, const uint8_t ids[SIM_CAPS], unsigned id, unsigned reg,
                     unsigned end)
{
    for (unsigned c = 0; c < SIM_CAPS; c++)
        if (ids[c] && ids[c] == id && !f->at[c] && reg + cap_length(f, (enum sim_cap)c, reg) <= end)
            f->at[c] = (uint16_t)reg;
}

static void find_caps(struct sim_function *f)
{
    unsigned end = f->size < 256 ? f->size : 256;
    unsigned link = sim_header_type(f) == PCI_HEADER_TYPE_CARDBUS ? PCI_CB_CAPABILITY_LIST
                                                                  : PCI_CAPABILITY_LIST;
    unsigned reg = sim_word(f, link) & 0xfc;

    if (!(sim_word(f, PCI_COMMAND) >> 16 & PCI_STATUS_CAP_LIST))
        return;
    for (int i = 0; i < STANDARD_CAPS_MAX && reg >= 0x40 && reg < end; i++) {
        uint32_t head = sim_word(f, reg);

        note_cap(f, standard_ids, head & 0xff, reg, end);
        reg = head >> 8 & 0xfc;
    }
}

static void find_extended_caps(struct sim_function *f)
{
    unsigned reg = 0x100;

    if (f->size <= reg || f->aliased)
        return;
    for (int i = 0; i < EXTENDED_CAPS_MAX && reg >= 0x100; i++) {
        uint32_t head = sim_word(f, reg);

        if (!head || head == UINT32_MAX)
            return;
        note_cap(f, extended_ids, PCI_EXT_CAP_ID(head), reg, f->size);
        reg = PCI_EXT_CAP_NEXT(head);
    }
}

/* ---- functions ---- */

static bool is_aliased(const struct capture_function *c)
{
    for (unsigned reg = 256; reg < c->size; reg += 256)
        if (memcmp(c->config, c->config + reg, 256) != 0)
            return false;
    return c->size > 256;
}

static int copy_words(struct sim_function *f, const struct capture_function *c)
{
    f->words = calloc(c->size / 4, sizeof(*f->words));
    if (!f->words)
        return -ENOMEM;
    for (unsigned reg = 0; reg < c->size; reg += 4)
        sim_set_word(f, reg,
                     (uint32_t)c->config[reg] | (uint32_t)c->config[reg + 1] << 8 |
                         (uint32_t)c->config[reg + 2] << 16 | (uint32_t)c->config[reg + 3] << 24);
    return 0;
}

static int build_pf(struct sim_function *f, const struct capture_extra *extra)
{
    unsigned at = f->at[SIM_CAP_SRIOV];
    uint16_t total = at ? sim_word(f, at + PCI_SRIOV_INITIAL_VF) >> 16 : 0;

    if (!total)
        return 0;
    f->sriov = calloc(1, sizeof(*f->sriov));
    if (!f->sriov)
        return -ENOMEM;
    f->sriov->total = total;
    f->sriov->vfs = calloc(total, sizeof(struct sim_function *));
    if (!f->sriov->vfs)
        return -ENOMEM;
    sim_vf_bars_build(f, extra);
    for (unsigned i = 0; i < CAPTURE_BARS; i++)
        f->sriov->captured_bars[i] = sim_word(f, at + PCI_SRIOV_BAR + 4 * i);
    return 0;
}

/* The machine is at rest: it has neither pending transactions nor interrupts. */
static void settle(struct sim_function *f)
{
    unsigned at = f->at[SIM_CAP_PCIE];

    sim_registers_settle(f);
    if (at)
        sim_set_word(f, at + PCI_EXP_DEVCTL,
                     sim_word(f, at + PCI_EXP_DEVCTL) & ~sim_high(PCI_EXP_DEVSTA_TRPND));
}

static int build_function(struct sim_function *f, const struct capture_function *c)
{
    int error;

    f->sbdf = c->sbdf;
    f->size = c->size;
    f->numa_node = (int16_t)c->extra.numa_node;
    f->captured_group = c->extra.iommu_group;
    f->aliased = is_aliased(c);
    error = copy_words(f, c);
    if (error)
        return error;
    find_caps(f);
    find_extended_caps(f);
    settle(f);
    sim_bars_build(f, &c->extra);
    sim_rebar_build(f, &c->extra);
    error = build_pf(f, &c->extra);
    for (unsigned i = 0; i < SIM_HEADER_WORDS; i++)
        f->captured[i] = sim_word(f, 4 * i);
    atomic_store(&f->present, true);
    return error;
}

/* ---- the table ---- */

static bool hash_add(struct sim *sim, uint32_t index)
{
    uint32_t key = sbdf_key(sim->functions[index].sbdf);
    uint32_t i = key * 0x9e3779b1u & sim->hash_mask;

    for (; sim->hash[i]; i = (i + 1) & sim->hash_mask)
        if (sbdf_key(sim->functions[sim->hash[i] - 1].sbdf) == key)
            return false;
    sim->hash[i] = index + 1;
    return true;
}

static int make_tables(struct sim *sim, size_t functions)
{
    uint32_t size = 64;

    while (size < functions * 2)
        size *= 2;
    sim->hash_mask = size - 1;
    sim->hash = calloc(size, sizeof(*sim->hash));
    sim->order = calloc(functions + 1, sizeof(*sim->order));
    sim->functions = calloc(functions + 1, sizeof(*sim->functions));
    return sim->hash && sim->order && sim->functions ? 0 : -ENOMEM;
}

static uint16_t get16(const struct capture_function *c, unsigned reg)
{
    return (uint16_t)(c->config[reg] | c->config[reg + 1] << 8);
}

/* An upper bound of the VFs that a capture asks for: a scan that needs no function. */
static uint64_t vfs_of(const struct capture_function *c)
{
    unsigned reg = 0x100;

    if (c->size != 4096)
        return 0;
    for (int i = 0; i < EXTENDED_CAPS_MAX && reg >= 0x100 && reg <= 4096 - 64; i++) {
        if (get16(c, reg) == PCI_EXT_CAP_ID_SRIOV)
            return get16(c, reg + PCI_SRIOV_TOTAL_VF);
        reg = get16(c, reg + 2) >> 4 & 0xffc;
    }
    return 0;
}

static int check_capture(const struct capture *capture, uint64_t *vfs, struct capture_error *error)
{
    char text[SBDF_TEXT_SIZE];

    *vfs = 0;
    for (size_t i = 0; i < capture->count; i++) {
        const struct capture_function *c = &capture->functions[i];

        sbdf_format(c->sbdf, text);
        if (i && sbdf_key(c[-1].sbdf) >= sbdf_key(c->sbdf))
            return fail(error, "%s: functions are not in order", text);
        if (c->size < 64 || c->size > 4096 || c->size % 64)
            return fail(error, "%s: %u bytes of config space", text, c->size);
        *vfs += vfs_of(c);
        if (*vfs > VFS_MAX)
            return fail(error, "%s: the machine would have more than %u virtual functions", text,
                        VFS_MAX);
    }
    return 0;
}

static int add_captured(struct sim *sim, const struct capture *capture)
{
    int group = -1;

    for (size_t i = 0; i < capture->count; i++) {
        struct sim_function *f = &sim->functions[sim->count];
        int error;

        f->index = sim->count++;
        pthread_mutex_init(&f->lock, NULL);
        error = build_function(f, &capture->functions[i]);
        if (error)
            return error;
        hash_add(sim, f->index);
        if (f->captured_group > group)
            group = f->captured_group;
    }
    sim->captured_count = sim->count;
    sim->first_free_group = (uint32_t)(group + 1);
    return 0;
}

/* ---- VFs ---- */

static struct sim_function *add_vf(struct sim *sim, struct sbdf sbdf)
{
    struct sim_function *f = &sim->functions[sim->count];

    f->sbdf = sbdf;
    f->index = sim->count++;
    f->numa_node = -1;
    f->captured_group = -1;
    pthread_mutex_init(&f->lock, NULL);
    hash_add(sim, f->index);
    return f;
}

/* An address may be taken: by a function that is no VF, or by a VF of another PF. */
static bool may_be_vf(const struct sim_function *f, const struct sim_function *pf)
{
    return f != pf && !f->pf && !f->sriov && (sim_word(f, PCI_VENDOR_ID) & 0xffff) == 0xffff;
}

static void link_vf(struct sim *sim, struct sim_function *pf, unsigned index)
{
    struct sim_function *vf;
    struct sbdf sbdf;

    if (!sim_vf_sbdf(pf, index, &sbdf))
        return;
    vf = sim_find(sim, sbdf);
    if (!vf)
        vf = add_vf(sim, sbdf);
    else if (!vf->words || !may_be_vf(vf, pf))
        return;
    vf->pf = pf;
    vf->vf_index = index;
    if (vf->index >= sim->captured_count)
        vf->numa_node = pf->numa_node;
    pf->sriov->vfs[index] = vf;
}

static int build_vfs(struct sim *sim)
{
    int error = 0;

    for (uint32_t i = 0; i < sim->captured_count; i++) {
        struct sim_function *pf = &sim->functions[i];

        for (unsigned v = 0; pf->sriov && v < pf->sriov->total; v++)
            link_vf(sim, pf, v);
    }
    for (uint32_t i = 0; i < sim->captured_count && !error; i++)
        if (sim->functions[i].sriov)
            error = sim_vfs_build(sim, &sim->functions[i]);
    return error;
}

/* ---- topology ---- */

/* The bridge to each bus of the segment at hand. */
static void note_bridge(struct sim_function *above[256], struct sim_function *f)
{
    uint8_t secondary = f->captured[PCI_PRIMARY_BUS / 4] >> 8 & 0xff;

    if (f->words && sim_is_bridge(f) && secondary > f->sbdf.bus && !above[secondary])
        above[secondary] = f;
}

static void link_segment(struct sim *sim, uint32_t first, uint32_t end)
{
    struct sim_function *above[256] = {0};

    for (uint32_t i = first; i < end; i++)
        note_bridge(above, &sim->functions[sim->order[i]]);
    for (uint32_t i = first; i < end; i++) {
        struct sim_function *f = &sim->functions[sim->order[i]];

        f->parent = above[f->pf ? f->pf->sbdf.bus : f->sbdf.bus];
    }
}

static void link_parents(struct sim *sim)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i <= sim->count; i++)
        if (i == sim->count || sim->functions[sim->order[i]].sbdf.segment !=
                                   sim->functions[sim->order[first]].sbdf.segment) {
            link_segment(sim, first, i);
            first = i;
        }
}

static int compare_index(const void *a, const void *b, void *context)
{
    const struct sim *sim = context;
    uint32_t x = sbdf_key(sim->functions[*(const uint32_t *)a].sbdf);
    uint32_t y = sbdf_key(sim->functions[*(const uint32_t *)b].sbdf);

    return (x > y) - (x < y);
}

static void sort_functions(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->count; i++)
        sim->order[i] = i;
    if (sim->count > sim->captured_count) /* what was captured is in order already */
        qsort_r(sim->order, sim->count, sizeof(*sim->order), compare_index, sim);
}

int sim_build(struct sim *sim, const struct capture *capture, struct capture_error *error)
{
    uint64_t vfs;
    int result = check_capture(capture, &vfs, error);

    if (result)
        return result;
    result = make_tables(sim, capture->count + vfs);
    if (result)
        return result;
    result = add_captured(sim, capture);
    if (result)
        return result;
    result = build_vfs(sim);
    sort_functions(sim);
    link_parents(sim);
    sim_slots_build(sim);
    return result;
}

void sim_build_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->count; i++) {
        struct sim_function *f = &sim->functions[i];

        if (f->sriov)
            free(f->sriov->vfs);
        free(f->sriov);
        free(f->words);
        free(f->reserved);
        sim_memory_clear(&f->bar_memory);
        sim_memory_clear(&f->vpd);
        pthread_mutex_destroy(&f->lock);
    }
    free(sim->functions);
    free(sim->order);
    free(sim->hash);
}
