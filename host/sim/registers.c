/* SPDX-License-Identifier: MIT */
#include "host/sim/registers.h"

#include <linux/pci_regs.h>

#define RULES(table) ((struct sim_rules){(table), sizeof(table) / sizeof((table)[0])})
#define FIRST_RULES(table, n) ((struct sim_rules){(table), (n)})

/* Two registers share a dword: the one at the higher address is in the upper half. */
#define HIGH(bits) ((uint32_t)(bits) << 16)

#define STATUS_W1C                                                                   \
    (PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
     PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

#define INTX_STATUS HIGH(PCI_STATUS_INTERRUPT)

/* PCI Local Bus 3.0, section 6.1. BARs and the ROM are limited by their sizes. */
static const struct sim_rule endpoint_rules[] = {
    {.offset = PCI_COMMAND, .rw = 0x07ff, .w1c = HIGH(STATUS_W1C), .live = INTX_STATUS},
    {.offset = PCI_CACHE_LINE_SIZE, .rw = 0xffff},
    {.offset = PCI_BASE_ADDRESS_0, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_1, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_2, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_3, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_4, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_5, .rw = 0xffffffff},
    {.offset = PCI_ROM_ADDRESS, .rw = 0xffffffff},
    {.offset = PCI_INTERRUPT_LINE, .rw = 0xff},
};

#define BRIDGE_CONTROL_RW (0x0fff & ~BRIDGE_CONTROL_W1C)
#define BRIDGE_CONTROL_W1C 0x0400 /* discard timer status */

/* PCI-to-PCI Bridge 1.2, section 3.2. */
static const struct sim_rule bridge_rules[] = {
    {.offset = PCI_COMMAND, .rw = 0x07ff, .w1c = HIGH(STATUS_W1C), .live = INTX_STATUS},
    {.offset = PCI_CACHE_LINE_SIZE, .rw = 0xffff},
    {.offset = PCI_BASE_ADDRESS_0, .rw = 0xffffffff},
    {.offset = PCI_BASE_ADDRESS_1, .rw = 0xffffffff},
    {.offset = PCI_PRIMARY_BUS, .rw = 0xffffffff},
    {.offset = PCI_IO_BASE, .rw = 0xf0f0, .w1c = HIGH(STATUS_W1C)},
    {.offset = PCI_MEMORY_BASE, .rw = 0xfff0fff0},
    {.offset = PCI_PREF_MEMORY_BASE, .rw = 0xfff0fff0},
    {.offset = PCI_PREF_BASE_UPPER32, .rw = 0xffffffff},
    {.offset = PCI_PREF_LIMIT_UPPER32, .rw = 0xffffffff},
    {.offset = PCI_IO_BASE_UPPER16, .rw = 0xffffffff},
    {.offset = PCI_ROM_ADDRESS1, .rw = 0xffffffff},
    {.offset = PCI_INTERRUPT_LINE,
     .rw = 0xff | HIGH(BRIDGE_CONTROL_RW),
     .w1c = HIGH(BRIDGE_CONTROL_W1C)},
};

/* PC Card 8, PCI-to-CardBus bridges: two memory and two I/O windows. */
static const struct sim_rule cardbus_rules[] = {
    {.offset = PCI_COMMAND, .rw = 0x07ff, .w1c = HIGH(STATUS_W1C), .live = INTX_STATUS},
    {.offset = PCI_CACHE_LINE_SIZE, .rw = 0xffff},
    {.offset = PCI_BASE_ADDRESS_0, .rw = 0xffffffff},
    {.offset = 0x14, .w1c = HIGH(STATUS_W1C)},
    {.offset = PCI_CB_PRIMARY_BUS, .rw = 0xffffffff},
    {.offset = PCI_CB_MEMORY_BASE_0, .rw = 0xfffff000},
    {.offset = PCI_CB_MEMORY_LIMIT_0, .rw = 0xfffff000},
    {.offset = PCI_CB_MEMORY_BASE_1, .rw = 0xfffff000},
    {.offset = PCI_CB_MEMORY_LIMIT_1, .rw = 0xfffff000},
    {.offset = PCI_CB_IO_BASE_0, .rw = 0xfffffffc},
    {.offset = PCI_CB_IO_LIMIT_0, .rw = 0xfffffffc},
    {.offset = PCI_CB_IO_BASE_1, .rw = 0xfffffffc},
    {.offset = PCI_CB_IO_LIMIT_1, .rw = 0xfffffffc},
    {.offset = PCI_INTERRUPT_LINE, .rw = 0xff | HIGH(0x07ff)},
};

/* A VF has bus mastering and nothing else of a header: SR-IOV 1.1, section 3.4.1. */
static const struct sim_rule vf_rules[] = {
    {.offset = PCI_COMMAND, .rw = PCI_COMMAND_MASTER, .w1c = HIGH(STATUS_W1C)},
};

static const struct sim_rule pm_rules[] = {
    {.offset = PCI_PM_CTRL,
     .rw = PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE,
     .w1c = PCI_PM_CTRL_PME_STATUS,
     .sticky = PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS},
};

#define MSI_CONTROL HIGH(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE)
#define MSI_MASK_RULES 2

/* PCI Local Bus 3.0, section 6.8.1: the four shapes of the MSI capability. */
static const struct sim_rule msi32_rules[] = {
    {.offset = 0, .rw = MSI_CONTROL},
    {.offset = PCI_MSI_ADDRESS_LO, .rw = 0xfffffffc},
    {.offset = PCI_MSI_DATA_32, .rw = 0xffff},
    {.offset = PCI_MSI_MASK_32, .rw = 0xffffffff}, /* the last two are for those with masks */
    {.offset = PCI_MSI_PENDING_32, .live = 0xffffffff},
};
static const struct sim_rule msi64_rules[] = {
    {.offset = 0, .rw = MSI_CONTROL},
    {.offset = PCI_MSI_ADDRESS_LO, .rw = 0xfffffffc},
    {.offset = PCI_MSI_ADDRESS_HI, .rw = 0xffffffff},
    {.offset = PCI_MSI_DATA_64, .rw = 0xffff},
    {.offset = PCI_MSI_MASK_64, .rw = 0xffffffff},
    {.offset = PCI_MSI_PENDING_64, .live = 0xffffffff},
};

static const struct sim_rule msix_rules[] = {
    {.offset = 0, .rw = HIGH(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)},
};

/* PCIe 7.5.3. A version 1 capability has the first two, and those of ports the next three. What is
 * there but not for the type of the function is limited to nothing. */
#define PCIE_V1_RULES 2
#define PCIE_V1_PORT_RULES 5
static const struct sim_rule pcie_rules[] = {
    {.offset = PCI_EXP_DEVCTL,
     .rw = 0xffff,
     .w1c = HIGH(0x000f),
     .link = PCI_EXP_DEVCTL_PAYLOAD,
     .initial = 0x2810},
    {.offset = PCI_EXP_LNKCTL, .rw = 0x0fdb, .w1c = HIGH(0xc000), .link = 0x0fdb},
    {.offset = PCI_EXP_SLTCTL, .rw = 0x1fff, .w1c = HIGH(0x011f)},
    {.offset = PCI_EXP_RTCTL, .rw = 0x001f},
    {.offset = PCI_EXP_RTSTA, .w1c = PCI_EXP_RTSTA_PME},
    {.offset = PCI_EXP_DEVCTL2, .rw = 0x7fff},
    {.offset = PCI_EXP_LNKCTL2, .rw = 0xffff, .sticky = 0xffff},
};

static const struct sim_rule af_rules[] = {
    {.offset = PCI_AF_CTRL & ~3u, .rw = PCI_AF_CTRL_FLR},
};

/* PCIe 7.8.4: nearly everything is sticky, so that errors outlive the reset that they caused. */
static const struct sim_rule aer_rules[] = {
    {.offset = PCI_ERR_UNCOR_STATUS, .w1c = 0x07fff030, .sticky = 0x07fff030},
    {.offset = PCI_ERR_UNCOR_MASK, .rw = 0x07fff030, .sticky = 0x07fff030, .initial = 0x00400000},
    {.offset = PCI_ERR_UNCOR_SEVER, .rw = 0x07fff030, .sticky = 0x07fff030, .initial = 0x00462030},
    {.offset = PCI_ERR_COR_STATUS, .w1c = 0xf1c1, .sticky = 0xf1c1},
    {.offset = PCI_ERR_COR_MASK, .rw = 0xf1c1, .sticky = 0xf1c1, .initial = 0x2000},
    {.offset = PCI_ERR_CAP, .rw = 0x0140, .sticky = 0x0140},
    {.offset = PCI_ERR_ROOT_COMMAND, .rw = 0x7},
    {.offset = PCI_ERR_ROOT_STATUS, .w1c = 0x7f, .sticky = 0x7f},
};
/* Functions that are neither root port nor event collector do not have the last two. */
#define AER_ROOT_RULES 2

/* PCIe 7.9.18.1: the flag is bit 15 of the address, which is a multiple of four. */
static const struct sim_rule vpd_rules[] = {
    {.offset = 0, .rw = HIGH(PCI_VPD_ADDR_F | (PCI_VPD_ADDR_MASK & ~3u))},
    {.offset = PCI_VPD_DATA, .rw = 0xffffffff},
};

#define REBAR_SIZE 0x3f00u

/* PCIe 7.8.6.3: one for each BAR that can be resized. */
static const struct sim_rule rebar_rules[] = {
    {.offset = PCI_REBAR_CTRL + 0, .rw = REBAR_SIZE},
    {.offset = PCI_REBAR_CTRL + 8, .rw = REBAR_SIZE},
    {.offset = PCI_REBAR_CTRL + 16, .rw = REBAR_SIZE},
    {.offset = PCI_REBAR_CTRL + 24, .rw = REBAR_SIZE},
    {.offset = PCI_REBAR_CTRL + 32, .rw = REBAR_SIZE},
    {.offset = PCI_REBAR_CTRL + 40, .rw = REBAR_SIZE},
};

/* PCIe 7.9.14: control, and trigger and interrupt status. */
static const struct sim_rule dpc_rules[] = {
    {.offset = PCI_EXP_DPC_CAP, .rw = HIGH(0x003f)},
    {.offset = PCI_EXP_DPC_STATUS,
     .w1c = PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT,
     .sticky = PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT},
};

static const struct sim_rule acs_rules[] = {
    {.offset = PCI_ACS_CAP, .rw = HIGH(0x007f)},
};
static const struct sim_rule ari_rules[] = {
    {.offset = PCI_ARI_CAP, .rw = HIGH(PCI_ARI_CTRL_MFVC | PCI_ARI_CTRL_ACS)},
};
static const struct sim_rule ats_rules[] = {
    {.offset = PCI_ATS_CAP, .rw = HIGH(PCI_ATS_CTRL_ENABLE | 0x1f)},
};

static const struct sim_rule sriov_rules[] = {
    {.offset = PCI_SRIOV_CTRL, .rw = PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI},
    {.offset = PCI_SRIOV_NUM_VF, .rw = 0xffff},
    {.offset = PCI_SRIOV_SYS_PGSIZE, .rw = 0xffffffff, .initial = 1},
    {.offset = PCI_SRIOV_BAR + 0, .rw = 0xffffffff},
    {.offset = PCI_SRIOV_BAR + 4, .rw = 0xffffffff},
    {.offset = PCI_SRIOV_BAR + 8, .rw = 0xffffffff},
    {.offset = PCI_SRIOV_BAR + 12, .rw = 0xffffffff},
    {.offset = PCI_SRIOV_BAR + 16, .rw = 0xffffffff},
    {.offset = PCI_SRIOV_BAR + 20, .rw = 0xffffffff},
};

/* ---- which rules a function has ---- */

static struct sim_rules header_rules_of(const struct sim_function *f)
{
    if (f->pf)
        return RULES(vf_rules);
    switch (sim_header_type(f)) {
    case PCI_HEADER_TYPE_NORMAL:
        return RULES(endpoint_rules);
    case PCI_HEADER_TYPE_BRIDGE:
        return RULES(bridge_rules);
    case PCI_HEADER_TYPE_CARDBUS:
        return RULES(cardbus_rules);
    default:
        return (struct sim_rules){0};
    }
}

static struct sim_rules msi_rules_of(const struct sim_function *f)
{
    uint32_t control = sim_word(f, f->at[SIM_CAP_MSI]) >> 16;
    struct sim_rules r = control & PCI_MSI_FLAGS_64BIT ? RULES(msi64_rules) : RULES(msi32_rules);

    r.count -= control & PCI_MSI_FLAGS_MASKBIT ? 0 : MSI_MASK_RULES;
    return r;
}

static struct sim_rules pcie_rules_of(const struct sim_function *f)
{
    uint32_t flags = sim_word(f, f->at[SIM_CAP_PCIE]) >> 16;

    if ((flags & PCI_EXP_FLAGS_VERS) < 2)
        return FIRST_RULES(pcie_rules, sim_is_bridge(f) ? PCIE_V1_PORT_RULES : PCIE_V1_RULES);
    return RULES(pcie_rules);
}

static struct sim_rules aer_rules_of(const struct sim_function *f)
{
    int type = sim_pcie_type(f);
    struct sim_rules r = RULES(aer_rules);

    if (type != PCI_EXP_TYPE_ROOT_PORT && type != PCI_EXP_TYPE_RC_EC)
        r.count -= AER_ROOT_RULES;
    return r;
}

struct sim_rules sim_rules_of(const struct sim_function *f, enum sim_cap cap)
{
    if (cap != SIM_CAP_HEADER && !f->at[cap])
        return (struct sim_rules){0};
    switch (cap) {
    case SIM_CAP_HEADER:
        return header_rules_of(f);
    case SIM_CAP_PM:
        return RULES(pm_rules);
    case SIM_CAP_MSI:
        return msi_rules_of(f);
    case SIM_CAP_MSIX:
        return RULES(msix_rules);
    case SIM_CAP_PCIE:
        return pcie_rules_of(f);
    case SIM_CAP_AF:
        return RULES(af_rules);
    case SIM_CAP_VPD:
        return RULES(vpd_rules);
    case SIM_CAP_REBAR:
        return FIRST_RULES(rebar_rules, sim_rebar_count(f));
    case SIM_CAP_DPC:
        return RULES(dpc_rules);
    case SIM_CAP_AER:
        return aer_rules_of(f);
    case SIM_CAP_ACS:
        return RULES(acs_rules);
    case SIM_CAP_ARI:
        return RULES(ari_rules);
    case SIM_CAP_ATS:
        return RULES(ats_rules);
    case SIM_CAP_SRIOV:
        return RULES(sriov_rules);
    default:
        return (struct sim_rules){0};
    }
}

/* ---- limits ---- */

/* PCIe 7.5.1.1.3: special cycles, MWI, VGA snoop, stepping and fast back-to-back are conventional
 * PCI's, and hard-wired to zero elsewhere. */
static uint32_t command_limit(const struct sim_function *f)
{
    uint32_t bits = PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR;
    bool bridge = sim_is_bridge(f);

    if (f->pf)
        return PCI_COMMAND_MASTER;
    if (bridge || sim_has_bar(f, true))
        bits |= PCI_COMMAND_IO;
    if (bridge || sim_has_bar(f, false))
        bits |= PCI_COMMAND_MEMORY;
    if (sim_word(f, PCI_INTERRUPT_LINE) & 0xff00)
        bits |= PCI_COMMAND_INTX_DISABLE;
    if (!f->at[SIM_CAP_PCIE])
        bits |= PCI_COMMAND_SPECIAL | PCI_COMMAND_INVALIDATE | PCI_COMMAND_VGA_PALETTE |
                PCI_COMMAND_FAST_BACK;
    return bits;
}

static uint32_t header_limit(const struct sim_function *f, const struct sim_rule *rule)
{
    bool bridge = sim_header_type(f) == PCI_HEADER_TYPE_BRIDGE;
    unsigned reg = rule->offset;

    if (reg == PCI_COMMAND)
        return command_limit(f);
    if (reg == PCI_CACHE_LINE_SIZE)
        return f->at[SIM_CAP_PCIE] ? 0xff : 0xffff; /* no latency timer: PCIe 7.5.1.1.9 */
    if (reg == (bridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS) ||
        (reg >= PCI_BASE_ADDRESS_0 && reg < PCI_BASE_ADDRESS_0 + (bridge ? 8 : 24)))
        return sim_header_type(f) == PCI_HEADER_TYPE_CARDBUS && reg != PCI_BASE_ADDRESS_0
                   ? rule->rw
                   : sim_bar_mask(f, reg);
    if (bridge && (reg == PCI_PREF_BASE_UPPER32 || reg == PCI_PREF_LIMIT_UPPER32))
        return sim_word(f, PCI_PREF_MEMORY_BASE) & PCI_PREF_RANGE_TYPE_64 ? rule->rw : 0;
    if (bridge && reg == PCI_IO_BASE_UPPER16)
        return sim_word(f, PCI_IO_BASE) & PCI_IO_RANGE_TYPE_32 ? rule->rw : 0;
    return rule->rw;
}

/* PCIe 7.7.1.7: bits of vectors that the function does not have are reserved. */
static uint32_t msi_limit(const struct sim_function *f, const struct sim_rule *rule)
{
    uint32_t control = sim_word(f, f->at[SIM_CAP_MSI]) >> 16;
    unsigned vectors = 1u << ((control & PCI_MSI_FLAGS_QMASK) >> 1);
    unsigned mask = control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;

    if (rule->offset != mask || !(control & PCI_MSI_FLAGS_MASKBIT) || vectors >= 32)
        return rule->rw;
    return (1u << vectors) - 1;
}

static bool has_link(int type)
{
    return type != PCI_EXP_TYPE_RC_END && type != PCI_EXP_TYPE_RC_EC;
}

static uint32_t devctl_limit(const struct sim_function *f)
{
    uint32_t cap = sim_word(f, f->at[SIM_CAP_PCIE] + PCI_EXP_DEVCAP);
    uint32_t bits = 0x7fff;

    if (!(cap & PCI_EXP_DEVCAP_PHANTOM))
        bits &= ~(uint32_t)PCI_EXP_DEVCTL_PHANTOM;
    /* For a bridge to PCI this bit enables configuration retry, which always reads zero here. */
    if ((cap & PCI_EXP_DEVCAP_FLR) && !sim_is_bridge(f))
        bits |= PCI_EXP_DEVCTL_BCR_FLR;
    return bits;
}

static uint32_t pcie_limit(const struct sim_function *f, const struct sim_rule *rule)
{
    uint32_t flags = sim_word(f, f->at[SIM_CAP_PCIE]) >> 16;
    int type = sim_pcie_type(f);
    bool root = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_RC_EC;

    switch (rule->offset) {
    case PCI_EXP_DEVCTL:
        return devctl_limit(f);
    case PCI_EXP_LNKCTL:
    case PCI_EXP_LNKCTL2:
        return has_link(type) ? rule->rw : 0;
    case PCI_EXP_SLTCTL:
        return flags & PCI_EXP_FLAGS_SLOT ? rule->rw : 0;
    case PCI_EXP_RTCTL:
        return root ? rule->rw : 0;
    case PCI_EXP_DEVCTL2:
        return sim_word(f, f->at[SIM_CAP_PCIE] + PCI_EXP_DEVCAP2) & PCI_EXP_DEVCAP2_ARI
                   ? rule->rw
                   : rule->rw & ~(uint32_t)PCI_EXP_DEVCTL2_ARI;
    default:
        return rule->rw;
    }
}

/* SR-IOV 1.1, section 3.3. */
static uint32_t sriov_limit(const struct sim_function *f, const struct sim_rule *rule)
{
    unsigned at = f->at[SIM_CAP_SRIOV];

    switch (rule->offset) {
    case PCI_SRIOV_CTRL:
        return rule->rw;
    case PCI_SRIOV_NUM_VF: /* and VF Enable must be off to change them */
        return sim_word(f, at + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE ? 0 : rule->rw;
    case PCI_SRIOV_SYS_PGSIZE:
        return sim_word(f, at + PCI_SRIOV_SUP_PGSIZE);
    default:
        return sim_vf_bar_mask(f, (rule->offset - PCI_SRIOV_BAR) / 4);
    }
}

uint32_t sim_rule_limit(const struct sim_function *f, enum sim_cap cap, const struct sim_rule *rule)
{
    unsigned at = f->at[cap];

    switch (cap) {
    case SIM_CAP_HEADER:
        return rule->rw & header_limit(f, rule);
    case SIM_CAP_MSI:
        return rule->rw & msi_limit(f, rule);
    case SIM_CAP_PCIE:
        return rule->rw & pcie_limit(f, rule);
    case SIM_CAP_AF:
        return rule->rw & (sim_word(f, at) >> 24 & PCI_AF_CAP_FLR ? ~0u : 0);
    case SIM_CAP_ACS:
    case SIM_CAP_ARI: /* what the capability in the lower half does not name cannot be enabled */
        return rule->rw & sim_word(f, at + rule->offset) << 16;
    case SIM_CAP_SRIOV:
        return rule->rw & sriov_limit(f, rule);
    default:
        return rule->rw;
    }
}
