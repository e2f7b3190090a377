/* SPDX-License-Identifier: MIT */
#include "tests/unit/guest_dma.h"

#define COMMAND 4
#define COMMAND_ON 6u

void master_on(struct sbdf sbdf)
{
    rig_poke(&rig, sbdf, COMMAND, 2, COMMAND_ON);
}

void lend(struct sbdf sbdf, struct rig_vm *to)
{
    assert_int_equal(rig_assign(&rig, sbdf, to->domain), 0);
    master_on(sbdf);
}

enum sim_dma_result dma(struct sbdf rid, uint64_t address)
{
    return rig_dma(&rig, rid, address).result;
}
