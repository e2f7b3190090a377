/* SPDX-License-Identifier: MIT */
/* Which devices can be lent, and what people call them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "front/control/names.h"
#include "tools/berth/run_stage.h"

static const char tag_slots[] = "run";

/* A table of more lines helps nobody. */
#define SLOTS_MAX 64u
#define SLOTS_PER_BUS 32u

/* ---- what a surprise would take along ---- */

static bool goes_along(const struct pcidev_info *pulled, struct sbdf other)
{
    struct sbdf own = pulled->sbdf;

    if (own.segment != other.segment || own.bus != other.bus || sbdf_equal(own, other))
        return false;
    if (sbdf_device(own) == sbdf_device(other))
        return true;
    return pulled->has_parent && !sbdf_device(own); /* one link, one card (PCIe 6.13) */
}

static bool is_alone(struct berth_machine *machine, const struct pcidev_info *info)
{
    const uint32_t bus = sbdf_key(info->sbdf) & ~0xffu;
    const struct sbdf before = sbdf_from_key(bus - 1);
    struct pcidev *dev;
    bool alone = true;

    if (info->is_vf || sbdf_function(info->sbdf))
        return true; /* only function 0 stands for the card */
    dev = pcidev_next(machine, bus ? &before : NULL, tag_slots);
    while (dev && alone && (sbdf_key(pcidev_sbdf(dev)) & ~0xffu) == bus) {
        const struct sbdf at = pcidev_sbdf(dev);

        alone = !goes_along(info, at);
        pcidev_put(dev, tag_slots);
        dev = pcidev_next(machine, &at, tag_slots);
    }
    pcidev_put(dev, tag_slots);
    return alone;
}

/* ---- one slot ---- */

static void name_set(struct names *names, const struct pcidev_info *info, char *name)
{
    const char *vendor, *device;

    names_find(names, info->vendor, info->device, &vendor, &device);
    if (device)
        snprintf(name, SLOT_NAME_SIZE, "%s", device);
    else
        snprintf(name, SLOT_NAME_SIZE, "%s %04x:%04x", class_name(info->class_code), info->vendor,
                 info->device);
}

/* One device after the other, each in a slot of its own, as SLOTS_MAX fit on a few buses. */
static struct sbdf slot_address(unsigned index)
{
    return sbdf_make(0, (uint8_t)(index / SLOTS_PER_BUS), index % SLOTS_PER_BUS, 0);
}

static void slot_fill(struct run_stage *stage, struct names *names, struct pcidev *dev)
{
    struct run_slot *slot = &stage->slots[stage->slot_count++];
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    slot->sbdf = info.sbdf;
    slot->index = stage->slot_count - 1;
    slot->guest_at = slot_address(slot->index);
    slot->class_revision = info.class_code << 8 | info.revision;
    slot->alone = is_alone(stage->machine.machine, &info);
    name_set(names, &info, slot->name);
}

/* ---- all of them ---- */

static void slots_walk(struct run_stage *stage, struct names *names, struct berth_refusal *first)
{
    struct berth_machine *machine = stage->machine.machine;
    struct pcidev *dev = pcidev_next(machine, NULL, tag_slots);
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    const struct berth_request request = {.why = &why};

    while (dev && stage->slot_count < SLOTS_MAX) {
        const struct sbdf at = pcidev_sbdf(dev);

        if (!pcidev_test_assign(dev, NULL, &request))
            slot_fill(stage, names, dev);
        else if (!first->reason)
            *first = why;
        pcidev_put(dev, tag_slots);
        dev = pcidev_next(machine, &at, tag_slots);
    }
    pcidev_put(dev, tag_slots);
}

int slots_find(struct run_stage *stage, char problem[RUN_LINE_SIZE])
{
    struct berth_refusal first = {.reason = BERTH_REASON_NONE};
    struct names names;
    char why[FLAW_DETAIL_SIZE] = "it has none at all";

    stage->slots = aligned_alloc(64, (stage->machine.functions + 1u) * sizeof(*stage->slots));
    if (!stage->slots) {
        snprintf(problem, RUN_LINE_SIZE, "out of memory");
        return -ENOMEM;
    }
    for (unsigned i = 0; i < stage->machine.functions; i++)
        stage->slots[i] = (struct run_slot){.lent = 0};
    names_init(&names);
    slots_walk(stage, &names, &first);
    names_destroy(&names);
    if (stage->slot_count)
        return 0;
    if (first.reason)
        berth_refusal_text(&first, why, sizeof(why));
    snprintf(problem, RUN_LINE_SIZE, "no device of this machine can be lent: %s", why);
    return -ENODEV;
}

uint64_t slot_accesses(const struct run_stage *stage, unsigned slot)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < GUESTS * VCPUS; i++)
        sum += atomic_load_explicit(&stage->vcpus[i].accesses[slot], memory_order_relaxed);
    return sum;
}
