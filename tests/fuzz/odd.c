/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/odd.h"

#include <berth/errno.h>

#include "tests/fuzz/fuzz.h"

const struct sbdf odd_at = {0, 0, 1 << 3};

uint32_t odd_get(const struct odd *odd, unsigned reg, unsigned length)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < length; i++)
        value |= (uint32_t)odd->bytes[reg + i] << 8 * i;
    return value;
}

void odd_put(struct odd *odd, unsigned reg, unsigned length, uint32_t value)
{
    for (unsigned i = 0; i < length; i++)
        odd->bytes[reg + i] = (uint8_t)(value >> 8 * i);
}

/* ---- the host ---- */

static int host_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    struct odd *odd = host;

    if (!sbdf_equal(sbdf, odd_at))
        return -ENODEV;
    *claim = 1;
    odd->claims++;
    return 0;
}

static void host_release(void *host, berth_claim claim)
{
    (void)claim;
    ((struct odd *)host)->claims--;
}

static int host_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    const struct odd *odd = host;

    (void)claim;
    fuzz_check(odd->claims == 1); /* A2 */
    fuzz_check((length == 1 || length == 2 || length == 4) && reg % length == 0);
    fuzz_check(reg + length <= ODD_SPACE);
    *value = odd_get(odd, reg, length);
    return 0;
}

static int host_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    struct odd *odd = host;
    uint32_t old;

    (void)host_read(host, claim, reg, length, &old);
    for (unsigned i = 0; i < length; i++) {
        uint8_t mask = odd->writable[reg + i];

        odd->bytes[reg + i] = (uint8_t)((odd->bytes[reg + i] & ~mask) | (value >> 8 * i & mask));
    }
    return 0;
}

static int host_reset(void *host, berth_claim claim)
{
    (void)claim;
    fuzz_check(((struct odd *)host)->claims == 1);
    return 0;
}

static void host_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    (void)host;
    (void)claim;
    facts->has_reset = 1;
    facts->interrupt_line = 5;
}

static const struct berth_host_ops host_ops = {
    .claim = host_claim,
    .release = host_release,
    .config_read = host_read,
    .config_write = host_write,
    .reset = host_reset,
    .describe = host_describe,
};

static int bar_read(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                    uint64_t *value)
{
    (void)claim;
    fuzz_check(((struct odd *)host)->claims == 1 && index < BERTH_BAR_COUNT && !(offset % length));
    *value = offset * 0x9e3779b9u + index;
    return 0;
}

static int bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                     unsigned length, uint64_t value)
{
    (void)value;
    return bar_read(host, claim, index, offset, length, &value);
}

static const struct berth_bar_ops bar_ops = {.read = bar_read, .write = bar_write};

/* ---- interrupts, IOMMU: everything is granted ---- */

static int irq_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    ((struct odd *)irqs)->bindings++;
    *message = (struct berth_message){.address = ODD_MESSAGE, .data = 32u * irq->count};
    return 0;
}

static void irq_unbind(void *irqs, const struct berth_irq *irq)
{
    (void)irq;
    ((struct odd *)irqs)->bindings--;
}

static bool irq_remaps(void *irqs)
{
    (void)irqs;
    return true;
}

static const struct berth_irq_ops irq_ops = {irq_bind, irq_unbind, irq_remaps};

static int space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    struct odd *odd = iommu;

    (void)kind;
    (void)id;
    odd->spaces++;
    *space = odd;
    return 0;
}

static void space_destroy(void *iommu, void *space)
{
    (void)space;
    ((struct odd *)iommu)->spaces--;
}

static int space_region(void *iommu, void *space, const struct berth_reserved *region)
{
    (void)iommu;
    (void)space;
    (void)region;
    return 0;
}

static int rid_space(void *iommu, struct sbdf rid, void *space)
{
    (void)iommu;
    (void)rid;
    (void)space;
    return 0;
}

static int rid_detach(void *iommu, struct sbdf rid)
{
    return rid_space(iommu, rid, NULL);
}

static int rid_group(void *iommu, struct sbdf rid, uint32_t *group)
{
    (void)iommu;
    *group = sbdf_key(rid);
    return 0;
}

static const struct berth_iommu_ops iommu_ops = {
    .space_create = space_create,
    .space_destroy = space_destroy,
    .map = space_region,
    .unmap = space_region,
    .attach = rid_space,
    .detach = rid_detach,
    .flush = rid_space,
    .group = rid_group,
};

/* ---- the guest, the machine ---- */

static int guest_map(void *context, const struct berth_piece *piece)
{
    ((struct odd *)context)->mapped += (int64_t)piece->length;
    return 0;
}

static int guest_unmap(void *context, const struct berth_piece *piece)
{
    ((struct odd *)context)->mapped -= (int64_t)piece->length;
    return 0;
}

static const struct berth_view_ops view_ops = {.map = guest_map, .unmap = guest_unmap};

static void notice(void *context, const struct berth_event *event)
{
    (void)context;
    fuzz_check(event->kind != BERTH_EVENT_MISUSE && event->kind != BERTH_EVENT_LEAK);
}

void odd_up(struct odd *odd)
{
    const struct berth_machine_config config = {
        .host = &host_ops,
        .host_context = odd,
        .bars = &bar_ops,
        .iommu = &iommu_ops,
        .iommu_context = odd,
        .irqs = &irq_ops,
        .irq_context = odd,
        .event = notice,
    };
    const struct berth_view_config view = {
        .ops = &view_ops, .context = odd, .piece_size = BERTH_PIECE_MAX};

    fuzz_check(berth_machine_create(&config, &odd->machine) == 0);
    fuzz_check(berth_domain_create(odd->machine, "vm1", NULL, NULL, &odd->guest) == 0);
    fuzz_check(berth_domain_set_view(odd->guest, &view) == 0);
}

void odd_down(struct odd *odd)
{
    const struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};

    fuzz_check(berth_domain_destroy(odd->guest, &request) == 0);
    berth_domain_put(odd->guest);
    fuzz_check(berth_machine_destroy(odd->machine) == 0);
    fuzz_check(!odd->claims && !odd->spaces && !odd->bindings && !odd->mapped);
}
