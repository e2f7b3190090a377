/* SPDX-License-Identifier: MIT */
/* The hardware of the small machine: config space, BARs, contexts, interrupts. */
#include "tests/explore/host.h"

#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "tests/unit/machines.h"

#define FLR_BIT 0x8000u

/* ---- functions ---- */

static struct world_function *claimed(struct world *world, berth_claim claim)
{
    struct world_function *function = &world->function[claim % WORLD_FUNCTIONS];

    explore_use(&function->claim, sizeof(function->claim), false, "a touch of the hardware");
    if (function->claim != claim)
        explore_fail("touches a function that it has given back");
    if (function->gone)
        explore_fail("touches a function after its removal was done (A2)");
    return function;
}

static int host_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    struct world *world = host;

    for (unsigned i = 0; i < world->functions; i++) {
        struct world_function *function = &world->function[i];

        if (!sbdf_equal(function->sbdf, sbdf))
            continue;
        explore_touch(&function->claims, true);
        explore_hand_over(&function->claims);
        if (function->claim)
            return -EBUSY;
        function->claim = ++function->claims * WORLD_FUNCTIONS + i;
        function->gone = false;
        *claim = function->claim;
        return 0;
    }
    return -ENODEV;
}

static void host_release(void *host, berth_claim claim)
{
    struct world_function *function = claimed(host, claim);

    explore_touch(&function->claims, true);
    explore_use(&function->claim, sizeof(function->claim), true, "the release of the function");
    function->claim = 0;
    explore_hand_over(&function->claims);
}

static int host_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    const struct world_function *function = claimed(host, claim);

    explore_touch(&function->config[reg & ~3u], false);
    *value = UINT32_MAX;
    if (!function->absent)
        memcpy(value, &function->config[reg], length);
    return 0;
}

static bool starts_flr(const struct world_function *function, unsigned reg, unsigned length,
                       uint32_t value)
{
    unsigned control = function->has_flr;

    return control && reg <= control && reg + length >= control + 2 &&
           value >> 8 * (control - reg) & FLR_BIT;
}

static void reset(struct world_function *function)
{
    memset(&function->config[PCI_COMMAND], 0, 2);
    memset(function->bar, 0, sizeof(function->bar));
}

/* Identity and structure are read-only; the rest keeps what is written. */
static int host_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    struct world_function *function = claimed(host, claim);
    uint8_t status[2];

    explore_touch(&function->config[reg & ~3u], true);
    if (function->absent || reg < PCI_COMMAND ||
        (reg >= PCI_CLASS_REVISION && reg < PCI_BASE_ADDRESS_0))
        return 0;
    if (starts_flr(function, reg, length, value)) {
        reset(function);
        value &= ~(FLR_BIT << 8 * (function->has_flr - reg));
    }
    memcpy(status, &function->config[PCI_STATUS], sizeof(status));
    memcpy(&function->config[reg], &value, length);
    memcpy(&function->config[PCI_STATUS], status, sizeof(status)); /* without errors: constant */
    return 0;
}

static void host_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    (void)claimed(host, claim);
    facts->numa_node = 0;
}

const struct berth_host_ops host_ops = {
    .claim = host_claim,
    .release = host_release,
    .config_read = host_read,
    .config_write = host_write,
    .describe = host_describe,
};

/* ---- BARs ---- */

static int bar_find(void *host, berth_claim claim, unsigned index, struct berth_bar *bar)
{
    const struct world_function *function = claimed(host, claim);

    *bar = (struct berth_bar){.size = 0};
    if (index == 0)
        *bar = (struct berth_bar){.address = function->bar_address,
                                  .size = function->bar_size,
                                  .wide = 1,
                                  .prefetchable = 1};
    return 0;
}

static void check_decode(const struct world_function *function)
{
    if (!(function->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
        explore_fail("touches a BAR with decode off (F52)");
}

static int bar_read(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                    uint64_t *value)
{
    const struct world_function *function = claimed(host, claim);
    const uint8_t *place = &function->bar[offset % WORLD_BAR_BYTES];

    (void)index;
    explore_touch(place, false);
    check_decode(function);
    *value = 0;
    memcpy(value, place, length);
    return 0;
}

static int bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                     unsigned length, uint64_t value)
{
    struct world_function *function = claimed(host, claim);
    uint8_t *place = &function->bar[offset % WORLD_BAR_BYTES];

    (void)index;
    explore_touch(place, true);
    check_decode(function);
    memcpy(place, &value, length);
    return 0;
}

const struct berth_bar_ops host_bars = {.find = bar_find, .read = bar_read, .write = bar_write};

/* ---- the IOMMU ---- */

static int space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    struct world *world = iommu;

    for (unsigned i = 0; i < WORLD_SPACES; i++) {
        explore_touch(&world->space[i], true);
        if (world->space[i].live)
            continue;
        world->space[i] = (struct world_space){.live = true, .kind = kind, .id = id};
        *space = &world->space[i];
        return 0;
    }
    return -ENOSPC;
}

static void space_destroy(void *iommu, void *space)
{
    struct world *world = iommu;
    struct world_space *mine = space;

    explore_touch(mine, true);
    for (unsigned i = 0; i < WORLD_FUNCTIONS; i++) {
        if (world->context[i].space == mine)
            explore_fail("frees a space that a context points to (O5)");
        if (world->context[i].cached[mine - world->space])
            explore_fail("frees a space that caches lead to (O5)");
    }
    mine->live = false;
}

static struct world_context *context_of(struct world *world, struct sbdf rid)
{
    for (unsigned i = 0; i < WORLD_FUNCTIONS; i++) {
        struct world_context *context = &world->context[i];

        if (!context->used)
            *context = (struct world_context){.used = true, .rid = rid};
        if (sbdf_equal(context->rid, rid))
            return context;
    }
    explore_fail("more requester ids than there is room for");
}

static void context_set(struct world *world, struct sbdf rid, struct world_space *space)
{
    struct world_context *context = context_of(world, rid);

    explore_touch(context, true);
    if (space && !space->live)
        explore_fail("attaches a space that was freed");
    if (context->space)
        context->cached[context->space - world->space] = true;
    context->space = space;
}

static int iommu_attach(void *iommu, struct sbdf rid, void *space)
{
    context_set(iommu, rid, space);
    return 0;
}

static int iommu_detach(void *iommu, struct sbdf rid)
{
    context_set(iommu, rid, NULL);
    return 0;
}

static int iommu_flush(void *iommu, struct sbdf rid, void *old_space)
{
    struct world *world = iommu;
    struct world_context *context = context_of(world, rid);

    explore_touch(context, true);
    context->cached[(struct world_space *)old_space - world->space] = false;
    return 0;
}

static int iommu_map(void *iommu, void *space, const struct berth_reserved *region)
{
    (void)iommu;
    (void)region;
    explore_touch(space, true);
    return 0;
}

static int iommu_group(void *iommu, struct sbdf rid, uint32_t *group)
{
    const struct world *world = iommu;

    *group = world->one_group ? 7 : sbdf_key(rid);
    return 0;
}

const struct berth_iommu_ops host_iommu = {
    .space_create = space_create,
    .space_destroy = space_destroy,
    .map = iommu_map,
    .unmap = iommu_map,
    .attach = iommu_attach,
    .detach = iommu_detach,
    .flush = iommu_flush,
    .group = iommu_group,
};

/* ---- interrupts ---- */

static int irq_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    struct world *world = irqs;

    for (unsigned i = 0; i < WORLD_VECTORS; i++) {
        explore_touch(&world->vector[i], true);
        if (world->vector[i].bound)
            continue;
        world->vector[i] = (struct world_vector){.irq = *irq, .bound = true};
        *message = (struct berth_message){.address = 0xfee00000, .data = i * 32};
        return 0;
    }
    return -ENOSPC;
}

static void irq_unbind(void *irqs, const struct berth_irq *irq)
{
    struct world *world = irqs;

    for (unsigned i = 0; i < WORLD_VECTORS; i++) {
        struct world_vector *vector = &world->vector[i];

        explore_touch(vector, true);
        if (!vector->bound || !sbdf_equal(vector->irq.device, irq->device) ||
            vector->irq.kind != irq->kind || vector->irq.first != irq->first)
            continue;
        vector->bound = false;
        return;
    }
    explore_fail("unbinds a vector that is not bound");
}

static bool irq_remaps(void *irqs)
{
    (void)irqs;
    return true;
}

const struct berth_irq_ops host_irqs = {
    .bind = irq_bind, .unbind = irq_unbind, .remaps = irq_remaps};

int world_fire(struct world *world, unsigned vector)
{
    const struct berth_irq irq = world->vector[vector].irq;

    explore_touch(&world->vector[vector], false);
    if (!world->vector[vector].bound)
        return -1;
    return (int)berth_machine_interrupt(world->machine, &irq, 0);
}
