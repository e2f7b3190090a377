/* SPDX-License-Identifier: MIT */
#include "tests/unit/tape.h"

static void look(struct tape *tape)
{
    if (tape->hook)
        tape->hook(tape->hook_context);
}

static int record(struct tape *tape, enum sim_op op, struct sbdf rid, void *space, int result)
{
    unsigned i = atomic_fetch_add(&tape->count, 1);

    if (i < TAPE_ENTRIES)
        tape->entry[i] = (struct tape_entry){op, rid, space, result};
    look(tape);
    return result;
}

static const struct sbdf nobody = {0, 0, 0};

static int tape_space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    struct tape *tape = iommu;
    int error;

    look(tape);
    error = sim_iommu_ops.space_create(tape->sim, kind, id, space);
    return record(tape, SIM_OP_SPACE_CREATE, nobody, error ? NULL : *space, error);
}

static void tape_space_destroy(void *iommu, void *space)
{
    struct tape *tape = iommu;

    look(tape);
    sim_iommu_ops.space_destroy(tape->sim, space);
    look(tape);
}

static int tape_map(void *iommu, void *space, const struct berth_reserved *region)
{
    struct tape *tape = iommu;

    look(tape);
    return record(tape, SIM_OP_MAP, nobody, space, sim_iommu_ops.map(tape->sim, space, region));
}

static int tape_unmap(void *iommu, void *space, const struct berth_reserved *region)
{
    struct tape *tape = iommu;

    look(tape);
    return record(tape, SIM_OP_UNMAP, nobody, space, sim_iommu_ops.unmap(tape->sim, space, region));
}

static int tape_attach(void *iommu, struct sbdf rid, void *space)
{
    struct tape *tape = iommu;

    look(tape);
    return record(tape, SIM_OP_ATTACH, rid, space, sim_iommu_ops.attach(tape->sim, rid, space));
}

static int tape_detach(void *iommu, struct sbdf rid)
{
    struct tape *tape = iommu;

    look(tape);
    return record(tape, SIM_OP_DETACH, rid, NULL, sim_iommu_ops.detach(tape->sim, rid));
}

static int tape_flush(void *iommu, struct sbdf rid, void *old_space)
{
    struct tape *tape = iommu;

    look(tape);
    return record(tape, SIM_OP_FLUSH, rid, old_space,
                  sim_iommu_ops.flush(tape->sim, rid, old_space));
}

static int tape_group(void *iommu, struct sbdf rid, uint32_t *group)
{
    struct tape *tape = iommu;

    return sim_iommu_ops.group(tape->sim, rid, group);
}

const struct berth_iommu_ops tape_iommu_ops = {
    .space_create = tape_space_create,
    .space_destroy = tape_space_destroy,
    .map = tape_map,
    .unmap = tape_unmap,
    .attach = tape_attach,
    .detach = tape_detach,
    .flush = tape_flush,
    .group = tape_group,
};

static unsigned recorded(const struct tape *tape)
{
    unsigned count = atomic_load(&tape->count);

    return count < TAPE_ENTRIES ? count : TAPE_ENTRIES;
}

int tape_find(const struct tape *tape, int from, enum sim_op op)
{
    for (unsigned i = (unsigned)from; i < recorded(tape); i++)
        if (tape->entry[i].op == op)
            return (int)i;
    return -1;
}

unsigned tape_count(const struct tape *tape, enum sim_op op)
{
    unsigned found = 0;

    for (unsigned i = 0; i < recorded(tape); i++)
        found += tape->entry[i].op == op;
    return found;
}
