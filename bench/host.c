/* SPDX-License-Identifier: MIT */
#include "bench/host.h"

#include <errno.h>
#include <stdlib.h>

#define HEADER_WORDS 16 /* 64 bytes; what is behind them reads zero */
#define WORD_COMMAND 1

struct bench_host {
    uint32_t config[BENCH_FUNCTIONS][HEADER_WORDS];
};

static const uint32_t header[HEADER_WORDS] = {
    [0] = BENCH_ID,
    [2] = 0x00ff0001, /* class: not one of those that the core treats differently */
    [11] = 0x11001af4,
};

struct bench_host *bench_host_create(void)
{
    struct bench_host *host = calloc(1, sizeof(*host));

    for (unsigned i = 0; host && i < BENCH_FUNCTIONS; i++)
        for (unsigned word = 0; word < HEADER_WORDS; word++)
            host->config[i][word] = header[word];
    return host;
}

void bench_host_destroy(struct bench_host *host)
{
    free(host);
}

/* ---- the host ---- */

static int host_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    (void)host;
    *claim = sbdf_key(sbdf);
    return *claim < BENCH_FUNCTIONS ? 0 : -ENODEV;
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
    *value = reg / 4 < HEADER_WORDS ? h->config[claim][reg / 4] >> reg % 4 * 8 : 0;
    return 0;
}

/* The command register keeps what is written. */
static int host_config_write(void *host, berth_claim claim, unsigned reg, unsigned length,
                             uint32_t value)
{
    struct bench_host *h = host;

    if (reg == WORD_COMMAND * 4 && length >= 2)
        h->config[claim][WORD_COMMAND] = value & 0xffffu;
    return 0;
}

const struct berth_host_ops bench_host_ops = {
    .claim = host_claim,
    .release = host_release,
    .config_read = host_config_read,
    .config_write = host_config_write,
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
