/* SPDX-License-Identifier: MIT */
#include "bench/vpci_rig.h"

#include <errno.h>
#include <malloc.h>

#include <berth/pcidev.h>

static const char tag[] = "bench";

#define COMMAND 0x04
#define COMMAND_MASTER 0x4u
#define CLASS_REVISION 0x08
#define SLOTS_PER_BUS 32u
#define MIX 40503u /* odd: visits every index of a power of two once */

/* ---- made and freed ---- */

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double)(info.uordblks + info.hblkhd);
}

static int lend(struct vpci_rig *rig, struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(rig->machine, sbdf, tag);
    int error = dev ? pcidev_assign(dev, rig->guest, NULL) : -ENODEV;

    pcidev_put(dev, tag);
    return error;
}

/* All are added first: what a device takes by itself is another figure. */
static int lend_all(struct vpci_rig *rig, unsigned devices, const struct berth_view_config *view)
{
    double before;
    int error = 0;

    for (uint32_t key = 0; key < devices && !error; key++)
        error = pcidev_add(rig->machine, sbdf_from_key(key), NULL, NULL);
    berth_machine_settle(rig->machine);
    before = heap_bytes();
    if (!error)
        error = berth_domain_set_view(rig->guest, view);
    for (uint32_t key = 0; key < devices && !error; key++)
        error = lend(rig, sbdf_from_key(key));
    berth_machine_settle(rig->machine);
    rig->heap_bytes = heap_bytes() - before;
    return error;
}

/* Hot devices are spread over all of them, or are the same few where there are no more. */
static int hot_choose(struct vpci_rig *rig, unsigned devices)
{
    int error = 0;

    for (unsigned i = 0; i < VPCI_CPUS * VPCI_HOT && !error; i++) {
        struct sbdf sbdf = sbdf_from_key((i * MIX) % devices);
        struct pcidev *dev = pcidev_find(rig->machine, sbdf, tag);

        error = dev ? berth_domain_address(dev, &rig->at[i / VPCI_HOT][i % VPCI_HOT]) : -ENODEV;
        pcidev_put(dev, tag);
    }
    return error;
}

static int guest_create(struct vpci_rig *rig)
{
    const struct berth_machine_config config = {
        .host = &bench_host_ops,
        .host_context = rig->host,
        .bars = &bench_bar_ops,
        .iommu = &bench_iommu_ops,
        .iommu_context = rig->host,
        .irqs = &bench_irq_ops,
        .irq_context = rig->host,
        .policy.shared_groups =
            true, /* functions of one device: they go to one guest, in the end */
    };
    int error = berth_machine_create(&config, &rig->machine);

    return error ? error : berth_domain_create(rig->machine, "guest", NULL, NULL, &rig->guest);
}

int vpci_rig_create(struct vpci_rig *rig, unsigned devices)
{
    const struct berth_view_config view = {
        .bus_count = (uint8_t)((devices + SLOTS_PER_BUS - 1) / SLOTS_PER_BUS),
        .no_host_bridge = true,
    };
    int error;

    *rig = (struct vpci_rig){.host = bench_host_create_endpoints(devices)};
    if (!rig->host)
        return -ENOMEM;
    error = guest_create(rig);
    if (!error)
        error = lend_all(rig, devices, &view);
    return error ? error : hot_choose(rig, devices);
}

void vpci_rig_destroy(struct vpci_rig *rig)
{
    berth_domain_put(rig->guest);
    if (rig->machine)
        berth_machine_destroy(rig->machine);
    bench_host_destroy(rig->host);
}

/* ---- accesses ---- */

uint64_t vpci_reads(struct vpci_rig *rig, const struct sbdf at[VPCI_HOT], uint64_t count)
{
    uint64_t right = 0;

    for (uint64_t i = 0; i < count; i++)
        right += berth_domain_config_read(rig->guest, at[i % VPCI_HOT], CLASS_REVISION, 4) ==
                 BENCH_CLASS_REVISION;
    return right;
}

/* Rounds through all devices turn the bit on and off in turn: @count is a multiple of both. */
uint64_t vpci_writes(struct vpci_rig *rig, const struct sbdf at[VPCI_HOT], uint64_t count)
{
    const unsigned last = (count - 1) / VPCI_HOT % 2;

    for (uint64_t i = 0; i < count; i++)
        berth_domain_config_write(rig->guest, at[i % VPCI_HOT], COMMAND, 2,
                                  i / VPCI_HOT % 2 ? 0 : COMMAND_MASTER);
    return berth_domain_config_read(rig->guest, at[(count - 1) % VPCI_HOT], COMMAND, 2) ==
                   (last ? 0 : COMMAND_MASTER)
               ? count
               : 0;
}

/* ---- memory ---- */

double vpci_view_bytes(struct vpci_rig *rig)
{
    struct pcidev *dev = berth_domain_next_device(rig->guest, NULL, tag);
    double bytes = 0;

    while (dev) {
        const struct sbdf at = pcidev_sbdf(dev);

        bytes += (double)berth_view_size(dev);
        pcidev_put(dev, tag);
        dev = berth_domain_next_device(rig->guest, &at, tag);
    }
    return bytes;
}
