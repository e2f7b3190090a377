/* SPDX-License-Identifier: MIT */
#include "src/core/seam.h"

#include "src/core/access.h"
#include "src/core/machine_priv.h"

static void check_inside(const struct pcidev *dev)
{
#if BERTH_CHECKS
    if (access_inside(dev, NULL))
        return;
    event_device(dev, BERTH_EVENT_MISUSE, "host called outside an access section", -EPERM);
    __builtin_trap();
#else
    (void)dev;
#endif
}

static uint32_t ones(unsigned length)
{
    return length >= 4 ? 0xffffffffu : (1u << 8 * length) - 1;
}

/* ---- the host ---- */

int seam_claim(struct pcidev *dev)
{
    const struct berth_machine_config *config = &dev->machine->config;

    return config->host->claim(config->host_context, dev->sbdf, &dev->claim);
}

void seam_release(struct pcidev *dev)
{
    const struct berth_machine_config *config = &dev->machine->config;

    config->host->release(config->host_context, dev->claim);
}

int seam_read(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value)
{
    const struct berth_machine_config *config = &dev->machine->config;
    int error;

    *value = ones(length);
    check_inside(dev);
    if (device_disconnected(dev))
        return 0;
    error = config->host->config_read(config->host_context, dev->claim, reg, length, value);
    *value = error ? ones(length) : *value & ones(length);
    return error;
}

int seam_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    if (device_disconnected(dev))
        return 0;
    return config->host->config_write(config->host_context, dev->claim, reg, length,
                                      value & ones(length));
}

int seam_read_surely(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value)
{
    int error = seam_read(dev, reg, length, value);

    if (!error && *value == ones(length))
        error = seam_read(dev, reg, length, value);
    return error;
}

int seam_update8(struct pcidev *dev, unsigned reg, uint8_t clear, uint8_t set)
{
    uint32_t value;
    int error = seam_read_surely(dev, reg, 1, &value);

    if (error)
        return error;
    return seam_write(dev, reg, 1, (value & ~(uint32_t)clear) | set);
}

int seam_update16(struct pcidev *dev, unsigned reg, uint16_t clear, uint16_t set)
{
    uint32_t value;
    int error = seam_read_surely(dev, reg, 2, &value);

    if (error)
        return error;
    return seam_write(dev, reg, 2, (value & ~(uint32_t)clear) | set);
}

int seam_reset(struct pcidev *dev)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    return config->host->reset(config->host_context, dev->claim);
}

int seam_bar_find(struct pcidev *dev, unsigned index, struct berth_bar *bar)
{
    const struct berth_machine_config *config = &dev->machine->config;

    if (!config->bars || !config->bars->find)
        return -ENODATA;
    return config->bars->find(config->host_context, dev->claim, index, bar);
}

static uint64_t wide_ones(unsigned length)
{
    return length >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * length) - 1;
}

int seam_bar_read(struct pcidev *dev, unsigned index, uint64_t offset, unsigned length,
                  uint64_t *value)
{
    const struct berth_machine_config *config = &dev->machine->config;
    int error;

    *value = wide_ones(length);
    check_inside(dev);
    if (device_disconnected(dev) || !config->bars || !config->bars->read)
        return 0;
    error = config->bars->read(config->host_context, dev->claim, index, offset, length, value);
    *value = error ? wide_ones(length) : *value & wide_ones(length);
    return error;
}

int seam_bar_write(struct pcidev *dev, unsigned index, uint64_t offset, unsigned length,
                   uint64_t value)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    if (device_disconnected(dev) || !config->bars || !config->bars->write)
        return 0;
    return config->bars->write(config->host_context, dev->claim, index, offset, length,
                               value & wide_ones(length));
}

/* ---- interrupts ---- */

int seam_irq_bind(struct pcidev *dev, const struct berth_irq *irq, struct berth_message *message)
{
    const struct berth_machine_config *config = &dev->machine->config;
    int error;

    check_inside(dev);
    *message = (struct berth_message){.address = 0};
    error = config->irqs->bind(config->irq_context, irq, message);
    if (error || irq->kind == BERTH_IRQ_INTX || !(message->data & (irq->count - 1u)))
        return error;
    config->irqs->unbind(config->irq_context, irq); /* the device would raise somebody else's */
    return -EIO;
}

void seam_irq_unbind(struct pcidev *dev, const struct berth_irq *irq)
{
    const struct berth_machine_config *config = &dev->machine->config;

    config->irqs->unbind(config->irq_context, irq);
}

/* ---- what the host knows ---- */

struct berth_function_facts seam_describe(struct pcidev *dev)
{
    const struct berth_machine_config *config = &dev->machine->config;
    struct berth_function_facts facts = {.numa_node = -1, .interrupt_line = -1};

    if (config->host->describe)
        config->host->describe(config->host_context, dev->claim, &facts);
    facts.has_reset = facts.has_reset && config->host->reset;
    return facts;
}

int seam_reserved(struct pcidev *dev, struct berth_reserved list[BERTH_RESERVED_MAX])
{
    const struct berth_machine_config *config = &dev->machine->config;
    int count;

    if (!config->host->reserved)
        return 0;
    count = config->host->reserved(config->host_context, dev->claim, list);
    if (count > BERTH_RESERVED_MAX)
        return -EIO;
    for (int i = 0; i < count; i++) /* firmware tables lie: empty and wrapping regions */
        if (!list[i].length || list[i].start + list[i].length < list[i].start)
            return -EIO;
    return count;
}

/* ---- the IOMMU ---- */

int seam_map(struct pcidev *dev, struct space *space, const struct berth_reserved *region)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    return config->iommu->map(config->iommu_context, space->handle, region);
}

int seam_unmap(struct pcidev *dev, struct space *space, const struct berth_reserved *region)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    return config->iommu->unmap(config->iommu_context, space->handle, region);
}

/* Takes @space off the list of stale ones. */
static bool stale_remove(struct rid_entry *entry, const struct space *space) REQUIRES(entry->lock)
{
    for (unsigned i = 0; i < 2; i++) {
        if (space && entry->stale[i] == space) {
            entry->stale[i] = NULL;
            return true;
        }
    }
    return false;
}

static void stale_add(struct rid_entry *entry, struct space *space) REQUIRES(entry->lock)
{
    entry->stale[entry->stale[0] ? 1 : 0] = space;
}

static int stale_flush(struct pcidev *dev, struct rid_entry *entry, struct space *space)
    REQUIRES(entry->lock)
{
    const struct berth_machine_config *config = &dev->machine->config;
    int error = config->iommu->flush(config->iommu_context, entry->rid, space->handle);

    /* A4: what the dead device has cached, it cannot use; but another one may share the id */
    if (error == -ETIMEDOUT && device_disconnected(dev) && atomic_load(&entry->stakes) == 1)
        error = 0;
    if (error)
        return error;
    stale_remove(entry, space);
    atomic_fetch_sub(&space->contexts, 1);
    return 0;
}

/* Before an attach: at most one space is stale when it is done, so a detach always has room. */
static int stale_settle(struct pcidev *dev, struct rid_entry *entry, const struct space *target)
    REQUIRES(entry->lock)
{
    int error = 0;

    for (unsigned i = 0; i < 2 && !error; i++)
        if (entry->stale[i] && entry->stale[i] != target)
            error = stale_flush(dev, entry, entry->stale[i]);
    return error;
}

int seam_attach(struct pcidev *dev, struct rid_entry *entry, struct space *space)
{
    const struct berth_machine_config *config = &dev->machine->config;
    struct space *old = entry->attached;
    int error;

    check_inside(dev);
    if (space == old)
        return 0;
    error = space ? stale_settle(dev, entry, space) : 0; /* blocking waits for no flush (F41) */
    if (!error)
        error = space ? config->iommu->attach(config->iommu_context, entry->rid, space->handle)
                      : config->iommu->detach(config->iommu_context, entry->rid);
    if (error)
        return error;
    /*
     * The caches still lead to the old space: it counts as pointed to until they are flushed. On
     * the way back from a failed flush the new space is a stale one, and counted already.
     */
    if (space && !stale_remove(entry, space))
        atomic_fetch_add(&space->contexts, 1);
    entry->attached = space;
    if (old)
        stale_add(entry, old);
    return 0;
}

int seam_flush(struct pcidev *dev, struct rid_entry *entry)
{
    check_inside(dev);
    return stale_settle(dev, entry, NULL);
}

int seam_ats(struct pcidev *dev, struct sbdf rid, bool on)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    return config->iommu->ats(config->iommu_context, rid, on);
}

int seam_invalidate(struct pcidev *dev, struct rid_entry *entry)
{
    const struct berth_machine_config *config = &dev->machine->config;

    check_inside(dev);
    if (!entry->attached)
        return 0;
    return config->iommu->flush(config->iommu_context, entry->rid, entry->attached->handle);
}
