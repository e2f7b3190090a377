/* SPDX-License-Identifier: MIT */
/* Fault containment (M26, O6). */
#include "src/core/machine_priv.h"
#include "src/core/registers.h"
#include "src/core/seam.h"

#define FAULTS_MAX 10u
#define FAULT_WINDOW_NS 10000000u

static const char tag_fault[] = "fault";

/* Two faults at once may count as one: a device that means it comes back. */
static uint32_t fault_count(struct pcidev *dev)
{
    uint64_t now = port_now_ns();
    uint64_t last = atomic_exchange(&dev->fault_ns, now);

    if (now - last > FAULT_WINDOW_NS) {
        atomic_store(&dev->faults, 1);
        return 1;
    }
    return atomic_fetch_add(&dev->faults, 1) + 1;
}

/*
 * The flag first: a config write that sets bus mastering looks at it afterwards (config.c), so one
 * of the two takes the bit away. So does a transition, once it has opened the gate (gate_open()).
 */
static int fault_contain(struct pcidev *dev)
{
    struct pcidev_section section;

    if (atomic_exchange(&dev->contained, true))
        return 0;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with gate_open(): the gate is read after */
    if (pcidev_enter(dev, tag_fault, &section)) {
        (void)seam_update8(dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
        pcidev_exit(&section);
    }
    event_device(dev, BERTH_EVENT_CONTAINED, NULL, 0);
    return 1;
}

int berth_machine_fault(struct berth_machine *machine, struct sbdf rid)
{
    struct pcidev *dev = pcidev_find_rid(machine, rid, tag_fault);
    int contained = 0;

    if (!dev)
        return -ENODEV;
    if (fault_count(dev) >= FAULTS_MAX)
        contained = fault_contain(dev);
    pcidev_put(dev, tag_fault);
    return contained;
}
