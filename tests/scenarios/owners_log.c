/* SPDX-License-Identifier: MIT */
#include "tests/scenarios/owners_log.h"

#include <string.h>

#define ECAM_ONLY 0x100u

struct owners_log owners_log;

static void note(const struct log_entry *entry)
{
    assert_true(owners_log.count < OWNERS_LOG_MAX);
    owners_log.entry[owners_log.count++] = *entry;
}

static bool is_watched(berth_claim claim)
{
    return owners_log.claimed && claim == owners_log.claim;
}

/* ---- the host ---- */

static int log_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    int error = sim_host_ops.claim(host, sbdf, claim);

    if (error || !sbdf_equal(sbdf, owners_log.watched))
        return error;
    owners_log.claim = *claim;
    owners_log.claimed = true;
    note(&(struct log_entry){.what = LOGGED_CLAIM});
    return 0;
}

static void log_release(void *host, berth_claim claim)
{
    if (is_watched(claim)) {
        note(&(struct log_entry){.what = LOGGED_RELEASE});
        owners_log.claimed = false;
    }
    sim_host_ops.release(host, claim);
}

static int log_config_read(void *host, berth_claim claim, unsigned reg, unsigned length,
                           uint32_t *value)
{
    if (owners_log.no_ecam && is_watched(claim) && reg >= ECAM_ONLY) {
        *value = UINT32_MAX;
        return 0;
    }
    return sim_host_ops.config_read(host, claim, reg, length, value);
}

static int log_config_write(void *host, berth_claim claim, unsigned reg, unsigned length,
                            uint32_t value)
{
    if (is_watched(claim))
        note(&(struct log_entry){
            .what = LOGGED_WRITE, .reg = reg, .length = length, .value = value});
    if (owners_log.no_ecam && is_watched(claim) && reg >= ECAM_ONLY)
        return 0;
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static int log_bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                         unsigned length, uint64_t value)
{
    if (is_watched(claim))
        note(&(struct log_entry){.what = LOGGED_BAR_WRITE,
                                 .reg = (unsigned)offset,
                                 .length = length,
                                 .value = (uint32_t)value});
    return sim_bar_ops.write(host, claim, index, offset, length, value);
}

/* ---- interrupts ---- */

static int log_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    if (sbdf_equal(irq->device, owners_log.watched))
        note(&(struct log_entry){.what = LOGGED_BIND, .reg = irq->first, .rid = irq->source});
    return sim_irq_ops.bind(irqs, irq, message);
}

static void log_unbind(void *irqs, const struct berth_irq *irq)
{
    if (sbdf_equal(irq->device, owners_log.watched))
        note(&(struct log_entry){.what = LOGGED_UNBIND, .reg = irq->first, .rid = irq->source});
    sim_irq_ops.unbind(irqs, irq);
}

/* ---- the IOMMU ---- */

static int log_attach(void *iommu, struct sbdf rid, void *space)
{
    note(&(struct log_entry){.what = LOGGED_ATTACH, .rid = rid});
    return tape_iommu_ops.attach(iommu, rid, space);
}

static int log_detach(void *iommu, struct sbdf rid)
{
    note(&(struct log_entry){.what = LOGGED_DETACH, .rid = rid});
    return tape_iommu_ops.detach(iommu, rid);
}

static int log_flush(void *iommu, struct sbdf rid, void *old_space)
{
    note(&(struct log_entry){.what = LOGGED_FLUSH, .rid = rid});
    return tape_iommu_ops.flush(iommu, rid, old_space);
}

/* ---- using it ---- */

void owners_log_configure(struct berth_machine_config *config)
{
    static struct berth_host_ops host;
    static struct berth_bar_ops bars;
    static struct berth_irq_ops irqs;
    static struct berth_iommu_ops iommu;

    host = *config->host;
    host.claim = log_claim;
    host.release = log_release;
    host.config_read = log_config_read;
    host.config_write = log_config_write;
    bars = *config->bars;
    bars.write = log_bar_write;
    irqs = *config->irqs;
    irqs.bind = log_bind;
    irqs.unbind = log_unbind;
    iommu = *config->iommu;
    iommu.attach = log_attach;
    iommu.detach = log_detach;
    iommu.flush = log_flush;
    config->host = &host;
    config->bars = &bars;
    config->irqs = &irqs;
    config->iommu = &iommu;
}

void owners_log_begin(struct sbdf watched)
{
    memset(&owners_log, 0, sizeof(owners_log));
    owners_log.watched = watched;
}

void owners_log_clear(void)
{
    owners_log.count = 0;
}

int owners_log_first(enum logged what)
{
    for (unsigned i = 0; i < owners_log.count; i++)
        if (owners_log.entry[i].what == what)
            return (int)i;
    return -1;
}

int owners_log_last(enum logged what)
{
    for (unsigned i = owners_log.count; i-- > 0;)
        if (owners_log.entry[i].what == what)
            return (int)i;
    return -1;
}

unsigned owners_log_count(enum logged what)
{
    unsigned count = 0;

    for (unsigned i = 0; i < owners_log.count; i++)
        count += owners_log.entry[i].what == what;
    return count;
}
