/* SPDX-License-Identifier: MIT */
/* What runs beside the transitions: strangers, DMA, faults, walks, holders, handles. */
#include <errno.h>

#include "tools/berth/torture.h"

#define COMMAND 0x04
#define COMMAND_MASTER 0x4u
#define VENDOR_ID 0x00
#define BURST 64
#define DMA_BITS 46
#define STORM 12 /* more than it takes to contain a device */

/* ---- config space ---- */

static int op_stranger_access(struct torturer *t)
{
    struct torture *torture = t->torture;
    char text[SBDF_TEXT_SIZE];

    for (unsigned i = 0; i < BURST; i++) {
        struct sbdf at = torture_place(t);
        uint32_t value = (uint32_t)berth_domain_config_read(torture->stranger, at, VENDOR_ID, 4);

        if (value != UINT32_MAX)
            flaw_found(&torture->flaws, FLAW_FOREIGN_READ, "a stranger read %#x of %s", value,
                       sbdf_format(at, text));
        berth_domain_config_write(torture->stranger, at, COMMAND, 2, COMMAND_MASTER);
    }
    return 0;
}

/* A section that is held for a while keeps transitions of this one device waiting. */
static int op_section(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct pcidev_section section PCIDEV_SECTION = {0};
    uint32_t value;

    if (!ref.dev || !pcidev_enter(ref.dev, torture_tag, &section))
        return -ENODEV;
    (void)pcidev_config_read(ref.dev, VENDOR_ID, 4, &value);
    if (torture_chance(t, 4))
        run_sleep_ns(torture_chance(t, 200000));
    else if (!torture_chance(t, 8))
        run_sleep_ns(20 * RUN_MS);
    return pcidev_config_read(ref.dev, COMMAND, 2, &value);
}

/* ---- DMA ---- */

static uint64_t dma_address(struct torturer *t)
{
    return (uint64_t)torture_chance(t, 1u << 30) << (DMA_BITS - 30);
}

/* Bridges do no DMA of their own: their ids stand for what is behind them. */
static bool has_dma(const struct pcidev_info *info)
{
    return info->type == PCIDEV_ENDPOINT || info->type == PCIDEV_PCI_ENDPOINT;
}

/* As long as we are inside, the owner stays, and with it every context of the device (O1). */
static void dma_judge(struct torture *torture, struct pcidev *dev, const struct sim_dma *dma)
{
    struct pcidev_info info;
    char at[SBDF_TEXT_SIZE];

    pcidev_snapshot(dev, &info);
    if (!has_dma(&info))
        return;
    sbdf_format(info.sbdf, at);
    if (dma->stale)
        flaw_found(&torture->flaws, FLAW_STALE, "by %s of %s", at, info.owner);
    if (dma->result == SIM_DMA_DOMAIN && dma->domain_id != info.owner_id)
        flaw_found(&torture->flaws, FLAW_DMA, "%s of %s reached domain %u", at, info.owner,
                   dma->domain_id);
    if (dma->result == SIM_DMA_SCRATCH)
        flaw_found(&torture->flaws, FLAW_DMA, "%s of %s reached a scratch page", at, info.owner);
}

static int op_dma(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct pcidev_section section PCIDEV_SECTION = {0};
    struct sim_dma dma;
    int error;

    if (!ref.dev || !pcidev_enter(ref.dev, torture_tag, &section))
        return -ENODEV;
    error = sim_dma(t->torture->machine.sim, pcidev_sbdf(ref.dev), dma_address(t), false, 0, &dma);
    /* after a failed flush the caches are what they are; the device is broken then (M25) */
    if (!error && !t->torture->options.fail)
        dma_judge(t->torture, ref.dev, &dma);
    return error;
}

/* At any time at all: nothing is known about where it goes, but it must do no harm. */
static int op_wild_dma(struct torturer *t)
{
    struct sim_dma dma;

    return sim_dma(t->torture->machine.sim, torture_place(t), dma_address(t),
                   torture_chance(t, 2) != 0, 1, &dma);
}

static int op_fault_storm(struct torturer *t)
{
    struct sbdf at = torture_place(t);
    int result = 0;

    for (unsigned i = 0; i < STORM && result >= 0; i++)
        result = berth_machine_fault(t->torture->machine.machine, at);
    return result < 0 ? result : 0;
}

/* ---- walks, holders, handles ---- */

static bool walk_step(struct torture *torture, struct pcidev *dev, uint64_t *last)
{
    struct pcidev_info info;
    struct sbdf at = pcidev_sbdf(dev);
    bool forward = *last == UINT64_MAX || sbdf_key(at) > *last;

    *last = sbdf_key(at);
    pcidev_snapshot(dev, &info);
    if (!forward || !sbdf_equal(info.sbdf, at) || !info.references)
        flaw_found(&torture->flaws, FLAW_WALK, "at key %#x, %s", sbdf_key(at),
                   pcidev_state_name(info.state));
    return forward;
}

static int op_walk(struct torturer *t)
{
    struct berth_machine *machine = t->torture->machine.machine;
    struct pcidev *dev = pcidev_next(machine, NULL, torture_tag);
    uint64_t last = UINT64_MAX;
    bool more = true;

    while (dev && more) {
        const struct sbdf at = pcidev_sbdf(dev);

        more = walk_step(t->torture, dev, &last);
        pcidev_put(dev, torture_tag);
        dev = pcidev_next(machine, &at, torture_tag);
    }
    pcidev_put(dev, torture_tag);
    return 0;
}

static void walk_devices(struct torturer *t, struct berth_domain *domain)
{
    struct pcidev *dev = berth_domain_next_device(domain, NULL, torture_tag);
    uint64_t last = UINT64_MAX;
    bool more = true;

    while (dev && more) {
        const struct sbdf at = pcidev_sbdf(dev);

        more = walk_step(t->torture, dev, &last);
        pcidev_put(dev, torture_tag);
        dev = berth_domain_next_device(domain, &at, torture_tag);
    }
    pcidev_put(dev, torture_tag);
}

static int op_walk_domains(struct torturer *t)
{
    struct berth_domain *domain = NULL, *next;

    while ((next = berth_domain_next(t->torture->machine.machine, domain))) {
        if (domain && berth_domain_id(next) <= berth_domain_id(domain))
            flaw_found(&t->torture->flaws, FLAW_WALK, "domain %u follows %u", berth_domain_id(next),
                       berth_domain_id(domain));
        berth_domain_put(domain);
        domain = next;
        walk_devices(t, domain);
    }
    berth_domain_put(domain);
    return 0;
}

static int op_holders(struct torturer *t)
{
    struct pcidev_ref ref PCIDEV_REF = {torture_device(t), torture_tag};
    struct berth_holder list[BERTH_HOLDERS_MAX];
    unsigned count;

    if (!ref.dev)
        return -ENODEV;
    count = pcidev_holders(ref.dev, list, BERTH_HOLDERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (!list[i].tag)
            flaw_found(&t->torture->flaws, FLAW_WALK, "a holder without a tag");
    }
    return count ? 0 : -ENOENT;
}

static int op_open(struct torturer *t)
{
    struct pcidev **handle = &t->handles[torture_chance(t, TORTURE_HANDLES)];
    struct pcidev *dev = *handle ? NULL : torture_device(t);

    if (!dev)
        return -EBUSY;
    *handle = pcidev_handle_open(dev);
    pcidev_put(dev, torture_tag);
    return 0;
}

static int op_close(struct torturer *t)
{
    struct pcidev **handle = &t->handles[torture_chance(t, TORTURE_HANDLES)];
    struct pcidev_info info;

    if (!*handle)
        return -ENOENT;
    pcidev_snapshot(*handle, &info);
    pcidev_handle_close(*handle);
    *handle = NULL;
    return 0;
}

const struct torture_op torture_probes[] = {
    {"stranger's access", op_stranger_access, 4, false},
    {"section", op_section, 8, false},
    {"DMA", op_dma, 10, false},
    {"wild DMA", op_wild_dma, 3, false},
    {"fault storm", op_fault_storm, 1, false},
    {"walk", op_walk, 2, false},
    {"walk domains", op_walk_domains, 2, false},
    {"holders", op_holders, 3, false},
    {"open a handle", op_open, 4, false},
    {"close a handle", op_close, 6, false},
    {0},
};
