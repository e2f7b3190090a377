/* SPDX-License-Identifier: MIT */
#include "bench/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_WORDS 16   /* 64 bytes; what is behind them reads zero */
#define ENDPOINT_WORDS 64 /* 256 bytes */
#define WORD_COMMAND 1
#define WORD_BAR0 4

#define BAR_SIZE 0x4000u
#define BAR_FIRST UINT64_C(0x4000000000)

struct bench_host {
    unsigned functions, words; /* words of each function */
    uint32_t *config;
};

static const uint32_t header[HEADER_WORDS] = {
    [0] = BENCH_ID,
    [2] = 0x00ff0001, /* class: not one of those that the core treats differently */
    [11] = 0x11001af4,
};

static const uint32_t endpoint[ENDPOINT_WORDS] = {
    [0] = BENCH_ID,
    [1] = 0x00100000, /* there are capabilities */
    [2] = BENCH_CLASS_REVISION,
    [WORD_BAR0] = 0x4, /* memory, 64 bits */
    [11] = 0x11001af4,
    [13] = 0x40,
    [15] = 0x00000100, /* INTA */
    [16] = 0x00035001, /* PM */
    [17] = 0x00000008, /* no reset by D3hot: there would be one to wait for */
    [20] = (BENCH_VECTORS - 1) << 16 | 0x6011,
    [21] = 0x00002000, /* the table, in BAR 0 */
    [22] = 0x00003000, /* the PBA */
    [24] = 0x00020010, /* PCIe endpoint */
    [25] = 0x00008000,
    [27] = 0x00400c43, /* 8 GT/s, x4 */
    [28] = 0x10430000,
};

static struct bench_host *host_create(unsigned functions, const uint32_t *config, unsigned words)
{
    struct bench_host *host = calloc(1, sizeof(*host));

    if (!host)
        return NULL;
    host->functions = functions;
    host->words = words;
    host->config = calloc((size_t)functions * words, sizeof(*host->config));
    if (!host->config) {
        free(host);
        return NULL;
    }
    for (unsigned i = 0; i < functions; i++)
        memcpy(&host->config[i * words], config, words * sizeof(*config));
    return host;
}

struct bench_host *bench_host_create(void)
{
    return host_create(BENCH_FUNCTIONS, header, HEADER_WORDS);
}

static uint64_t bar_address(unsigned function)
{
    return BAR_FIRST + (uint64_t)function * BAR_SIZE;
}

struct bench_host *bench_host_create_endpoints(unsigned functions)
{
    struct bench_host *host = host_create(functions, endpoint, ENDPOINT_WORDS);

    for (unsigned i = 0; host && i < functions; i++) {
        uint32_t *bar = &host->config[i * ENDPOINT_WORDS + WORD_BAR0];

        bar[0] |= (uint32_t)bar_address(i);
        bar[1] = (uint32_t)(bar_address(i) >> 32);
    }
    return host;
}

void bench_host_destroy(struct bench_host *host)
{
    if (host)
        free(host->config);
    free(host);
}

/* ---- the host ---- */

static int host_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    const struct bench_host *h = host;

    *claim = sbdf_key(sbdf);
    return *claim < h->functions ? 0 : -ENODEV;
}

static void host_release(void *host, berth_claim claim)
{
    (void)host;
    (void)claim;
}

static int host_config_read(void *host, berth_claim claim, unsigned reg, unsigned length,
                            uint32_t *value)
{
    const struct bench_host *h = host;

    (void)length; /* the core cuts off what was not asked for */
    *value = 0;
    if (reg / 4 < h->words)
        *value = h->config[claim * h->words + reg / 4] >> reg % 4 * 8;
    return 0;
}

/* The command register keeps what is written, and nothing else does. */
static int host_config_write(void *host, berth_claim claim, unsigned reg, unsigned length,
                             uint32_t value)
{
    struct bench_host *h = host;
    uint32_t *command = &h->config[claim * h->words + WORD_COMMAND];

    if (reg == WORD_COMMAND * 4 && length >= 2)
        *command = (*command & 0xffff0000u) | (value & 0xffffu);
    return 0;
}

const struct berth_host_ops bench_host_ops = {
    .claim = host_claim,
    .release = host_release,
    .config_read = host_config_read,
    .config_write = host_config_write,
};

/* ---- BARs ---- */

static int bar_find(void *host, berth_claim claim, unsigned index, struct berth_bar *bar)
{
    const struct bench_host *h = host;

    *bar = (struct berth_bar){.size = 0};
    if (h->words == ENDPOINT_WORDS && index == 0)
        *bar = (struct berth_bar){
            .address = bar_address((unsigned)claim), .size = BAR_SIZE, .wide = true};
    return 0;
}

static int bar_read(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                    uint64_t *value)
{
    (void)host;
    (void)claim;
    (void)index;
    (void)offset;
    (void)length;
    *value = 0;
    return 0;
}

static int bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                     unsigned length, uint64_t value)
{
    (void)host;
    (void)claim;
    (void)index;
    (void)offset;
    (void)length;
    (void)value;
    return 0;
}

const struct berth_bar_ops bench_bar_ops = {
    .find = bar_find,
    .read = bar_read,
    .write = bar_write,
};

/* ---- interrupts ---- */

static int irq_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    (void)irqs;
    *message = (struct berth_message){.address = 0xfee00000, .data = (uint32_t)irq->first << 8};
    return 0;
}

static void irq_unbind(void *irqs, const struct berth_irq *irq)
{
    (void)irqs;
    (void)irq;
}

static bool irq_remaps(void *irqs)
{
    (void)irqs;
    return true;
}

const struct berth_irq_ops bench_irq_ops = {
    .bind = irq_bind,
    .unbind = irq_unbind,
    .remaps = irq_remaps,
};

/* ---- the IOMMU ---- */

static int iommu_space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    (void)kind;
    (void)id;
    *space = iommu; /* one is as good as another */
    return 0;
}

static void iommu_space_destroy(void *iommu, void *space)
{
    (void)iommu;
    (void)space;
}

static int iommu_map(void *iommu, void *space, const struct berth_reserved *region)
{
    (void)iommu;
    (void)space;
    (void)region;
    return 0;
}

static int iommu_attach(void *iommu, struct sbdf rid, void *space)
{
    (void)iommu;
    (void)rid;
    (void)space;
    return 0;
}

static int iommu_detach(void *iommu, struct sbdf rid)
{
    (void)iommu;
    (void)rid;
    return 0;
}

static int iommu_group(void *iommu, struct sbdf rid, uint32_t *group)
{
    (void)iommu;
    *group = sbdf_key(rid);
    return 0;
}

const struct berth_iommu_ops bench_iommu_ops = {
    .space_create = iommu_space_create,
    .space_destroy = iommu_space_destroy,
    .map = iommu_map,
    .unmap = iommu_map,
    .attach = iommu_attach,
    .detach = iommu_detach,
    .flush = iommu_attach,
    .group = iommu_group,
};

/* ---- the machine ---- */

int bench_machine_create(struct bench_host *host, struct berth_machine **machine)
{
    const struct berth_machine_config config = {
        .host = &bench_host_ops,
        .host_context = host,
        .iommu = &bench_iommu_ops,
        .iommu_context = host,
    };

    return berth_machine_create(&config, machine);
}
