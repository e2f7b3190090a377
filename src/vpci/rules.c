/* SPDX-License-Identifier: MIT */
/*
 * V7: registers that a rule of the embedder opens for one model of device, or hides. They pass to
 * the hardware. No rule opens what is emulated, or was to be: the header and the capabilities that
 * have a view of their own, even where that view is hidden (F85).
 */
#include "src/vpci/caps.h"

static uint32_t pass_read_1(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)seam_read(v->dev, reg, 1, &stored);
    return stored;
}

static uint32_t pass_read_4(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)seam_read(v->dev, reg, 4, &stored);
    return stored;
}

/* A partial write can't be merged with a value that is the hardware's: the engine passes it. */
uint32_t vpci_written_through(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    (void)context;
    (void)reg;
    (void)value;
    (void)cleared;
    return stored;
}

static const struct berth_register byte_ro = {.size = 1, .ro = 0xff, .read = pass_read_1};
static const struct berth_register dword_ro = {.size = 4, .ro = 0xffffffff, .read = pass_read_4};
static const struct berth_register byte_rw = {
    .size = 1, .rw = 0xff, .read = pass_read_1, .write = vpci_written_through};
static const struct berth_register dword_rw = {
    .size = 4, .rw = 0xffffffff, .read = pass_read_4, .write = vpci_written_through};

/* ---- which rule ---- */

static bool is_for(const struct berth_register_rule *rule, const struct pcidev_traits *traits)
{
    return (rule->vendor == BERTH_ANY_ID || rule->vendor == traits->vendor) &&
           (rule->device == BERTH_ANY_ID || rule->device == traits->device);
}

enum berth_register_access vpci_rule(const struct vpci *v, unsigned at,
                                     enum berth_register_access otherwise)
{
    const struct berth_machine_config *config = &v->dev->machine->config;

    for (uint32_t i = 0; i < config->rule_count; i++) {
        const struct berth_register_rule *rule = &config->rules[i];

        if (is_for(rule, &v->dev->traits) && at >= rule->offset &&
            at < (uint32_t)rule->offset + rule->length)
            return rule->access;
    }
    return otherwise;
}

static int add_one(struct vpci *v, unsigned cap, unsigned at, unsigned size,
                   enum berth_register_access access)
{
    if (access == BERTH_REGISTER_HIDE)
        return 0;
    if (access == BERTH_REGISTER_WRITE)
        return vpci_add(v, cap, at, size == 4 ? &dword_rw : &byte_rw, 0);
    return vpci_add(v, cap, at, size == 4 ? &dword_ro : &byte_ro, 0);
}

int vpci_add_passing(struct vpci *v, unsigned cap, unsigned at, unsigned end,
                     enum berth_register_access otherwise)
{
    int error = 0;

    for (unsigned size; at < end && !error; at += size) {
        size = at % 4 == 0 && end - at >= 4 ? 4 : 1;
        error = add_one(v, cap, at, size, vpci_rule(v, at, otherwise));
    }
    return error;
}

/* ---- what no rule opens ---- */

/* How far the capabilities reach that have a view, at most (PCIe 7.5 to 7.9, 9.3.3). */
static const struct span {
    const struct vpci_cap *cap;
    uint8_t length;
} spans[] = {
    {&vpci_cap_pm, 8},  {&vpci_cap_msi, 24}, {&vpci_cap_msix, 12},  {&vpci_cap_pcie, 60},
    {&vpci_cap_vpd, 8}, {&vpci_cap_aer, 72}, {&vpci_cap_rebar, 52}, {&vpci_cap_sriov, 64},
};

static unsigned span_end(const struct vpci *v, const struct caps_found *f, unsigned i)
    REQUIRES(v->lock)
{
    unsigned room = vpci_cap_room(v, f->found[i].at), end = f->found[i].at;

    for (unsigned k = 0; k < sizeof(spans) / sizeof(spans[0]); k++)
        if (vpci_caps[f->found[i].index] == spans[k].cap)
            end += spans[k].length;
    return end < room ? end : room;
}

static bool is_covered(const struct vpci *v, const struct caps_found *f, unsigned at)
    REQUIRES(v->lock)
{
    if (at < CAPS_FIRST)
        return true;
    for (unsigned i = 0; i < f->count; i++)
        if (at >= f->found[i].at && at < span_end(v, f, i))
            return true;
    return false;
}

/* A register that is there already is a vendor's capability, which has asked the rules itself. */
static int rules_open(struct vpci *v, const struct caps_found *f, unsigned at, bool *refused)
    REQUIRES(v->lock)
{
    enum berth_register_access access = vpci_rule(v, at, BERTH_REGISTER_HIDE);
    int error;

    if (access != BERTH_REGISTER_HIDE && is_covered(v, f, at)) {
        *refused = true;
        return 0;
    }
    error = add_one(v, VPCI_CAP_RULES, at, 4, access);
    return error == -EEXIST ? 0 : error;
}

int vpci_rules_init(struct vpci *v, const struct caps_found *found)
{
    bool refused = found->count == CAPS_FOUND_MAX; /* there may be more that must not be opened */
    unsigned end = refused ? 0 : v->dev->traits.config_size;
    int error = 0;

    if (!v->dev->machine->config.rule_count)
        return 0;
    for (unsigned at = 0; at < end && !error; at += 4)
        error = rules_open(v, found, at, &refused);
    if (refused)
        vpci_complain(v, "rule for emulated registers", -EPERM);
    return error;
}
