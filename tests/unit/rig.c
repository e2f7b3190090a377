/* SPDX-License-Identifier: MIT */
#include "tests/unit/rig.h"

#include <string.h>

#include <berth_port.h>

#define INTERRUPT_PIN 0x3d
#define PATIENCE_NS UINT64_C(3600000000000) /* warped: hundreds of resets */

static const char tag_test[] = "test";

const struct sbdf rig_port = {0, 0, 0x10}, rig_pf = {0, 1, 0}, rig_nvme = {0, 2, 0},
                  rig_nvme2 = {0, 6, 0}, rig_pci_bridge = {0, 3, 0}, rig_legacy = {0, 4, 0x00},
                  rig_legacy2 = {0, 4, 0x08}, rig_phantom = {0, 5, 0};

static void record(void *context, const struct berth_event *event)
{
    struct rig *rig = context;
    unsigned i = atomic_fetch_add(&rig->event_count, 1);

    if (i < RIG_EVENTS)
        rig->events[i] = *event;
}

static void report_fault(void *context, struct sbdf rid)
{
    (void)berth_machine_fault(context, rid);
}

static void deliver(void *context, const struct berth_irq *irq, unsigned vector)
{
    (void)berth_machine_interrupt(context, irq, vector);
}

void rig_begin(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    mb_init(&rig->builder);
}

void rig_standard(struct rig *rig)
{
    struct machine_builder *b = &rig->builder;

    mb_host_bridge(b, at(0, 0, 0));
    mb_root_port(b, at(0, 1, 0), 1, 1);
    mb_pf(b, rig_pf, 4, 128, 2);
    mb_root_port(b, rig_port, 2, 2);
    mb_put(mb_endpoint(b, rig_nvme), INTERRUPT_PIN, 1, 1);
    mb_root_port(b, at(0, 3, 0), 3, 4);
    mb_pcie_pci_bridge(b, rig_pci_bridge, 4, 4);
    mb_pci_endpoint(b, rig_legacy);
    mb_pci_endpoint(b, rig_legacy2);
    mb_root_port(b, at(0, 4, 0), 5, 5);
    mb_phantom(b, rig_phantom, 2);
    mb_root_port(b, at(0, 5, 0), 6, 6);
    mb_endpoint(b, rig_nvme2);
}

struct sbdf rig_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(rig_pf) + 128 + 2 * index);
}

void rig_up_empty(struct rig *rig, rig_configure *configure)
{
    struct berth_machine_config config = {
        .host = &sim_host_ops,
        .bars = &sim_bar_ops,
        .iommu = &tape_iommu_ops,
        .irqs = &sim_irq_ops,
        .event = record,
        .event_context = rig,
    };
    struct capture_error error;

    port_posix_warp(true);
    assert_int_equal(sim_create(mb_capture(&rig->builder), &rig->options, &rig->sim, &error), 0);
    rig->tape.sim = rig->sim;
    config.host_context = rig->sim;
    config.iommu_context = &rig->tape;
    config.irq_context = rig->sim;
    sim_counters(rig->sim, &rig->empty);
    if (configure)
        configure(&config);
    assert_int_equal(berth_machine_create(&config, &rig->machine), 0);
    sim_on_fault(rig->sim, report_fault, rig->machine);
    sim_on_interrupt(rig->sim, deliver, rig->machine);
}

static int add_function(void *context, struct sbdf sbdf)
{
    return rig_add(context, sbdf);
}

void rig_up(struct rig *rig, rig_configure *configure)
{
    rig_up_empty(rig, configure);
    assert_int_equal(sim_enumerate(rig->sim, add_function, rig), 0);
    sim_counters(rig->sim, &rig->populated);
}

void rig_expect_untouched(struct rig *rig)
{
    struct sim_counters now;

    sim_counters(rig->sim, &now);
    assert_int_equal(now.touches_after_release, 0);
    if (!rig_count_events(rig, BERTH_EVENT_BROKEN)) /* what hangs in its reset is contained */
        assert_int_equal(now.touches_resetting, 0);
    assert_int_equal(now.bar_decode_off, 0);
    assert_int_equal(now.bindings_misused, 0);
    assert_int_equal(now.dma_stale, 0);
    assert_int_equal(rig_count_events(rig, BERTH_EVENT_MISUSE), 0);
}

void rig_down(struct rig *rig)
{
    struct sim_counters now;

    rig_expect_untouched(rig);
    sim_on_fault(rig->sim, NULL, NULL);
    sim_on_interrupt(rig->sim, NULL, NULL);
    assert_int_equal(berth_machine_destroy(rig->machine), rig->leaks_expected);
    sim_counters(rig->sim, &now);
    assert_int_equal(now.claims, rig->empty.claims);
    assert_int_equal(now.contexts, rig->empty.contexts);
    assert_int_equal(now.spaces, rig->empty.spaces);
    assert_int_equal(now.mappings, rig->empty.mappings);
    assert_int_equal(now.bindings, rig->empty.bindings);
    assert_int_equal(now.bindings_misused, 0);
    assert_int_equal(now.touches_after_release, 0);
    sim_destroy(rig->sim);
    mb_free(&rig->builder);
    port_posix_warp(false);
}

struct pcidev *rig_dev(struct rig *rig, struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(rig->machine, sbdf, tag_test);

    assert_non_null(dev);
    return dev;
}

void rig_put(struct pcidev *dev)
{
    pcidev_put(dev, tag_test);
}

struct pcidev_info rig_info(struct rig *rig, struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(rig, sbdf);
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    rig_put(dev);
    return info;
}

bool rig_has(struct rig *rig, struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(rig->machine, sbdf, tag_test);

    pcidev_put(dev, tag_test);
    return dev != NULL;
}

struct berth_domain *rig_guest(struct rig *rig, const char *name)
{
    struct berth_domain *guest;

    assert_int_equal(berth_domain_create(rig->machine, name, NULL, NULL, &guest), 0);
    return guest;
}

void rig_destroy_guest(struct rig *rig, struct berth_domain *guest)
{
    struct berth_request request = rig_request(rig);

    request.timeout_ns = PATIENCE_NS;
    assert_int_equal(berth_domain_destroy(guest, &request), 0);
    berth_domain_put(guest);
}

struct berth_request rig_request(struct rig *rig)
{
    rig->why = (struct berth_refusal){.reason = BERTH_REASON_NONE};
    return (struct berth_request){.why = &rig->why};
}

void rig_expect_owner(struct rig *rig, struct sbdf sbdf, const char *name)
{
    const struct pcidev_info info = rig_info(rig, sbdf);

    assert_string_equal(info.owner, name);
}

struct sim_dma rig_dma(struct rig *rig, struct sbdf rid, uint64_t address)
{
    struct sim_dma dma;

    assert_int_equal(sim_dma(rig->sim, rid, address, false, 0, &dma), 0);
    return dma;
}

int rig_find_event(struct rig *rig, int from, enum berth_event_kind kind, const char *step)
{
    unsigned count = atomic_load(&rig->event_count);

    for (unsigned i = (unsigned)from; i < count && i < RIG_EVENTS; i++)
        if (rig->events[i].kind == kind &&
            (!step || (rig->events[i].step && !strcmp(rig->events[i].step, step))))
            return (int)i;
    return -1;
}

unsigned rig_count_events(struct rig *rig, enum berth_event_kind kind)
{
    unsigned found = 0, count = atomic_load(&rig->event_count);

    for (unsigned i = 0; i < count && i < RIG_EVENTS; i++)
        found += rig->events[i].kind == kind;
    return found;
}
