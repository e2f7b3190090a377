/* SPDX-License-Identifier: MIT */
/*
 * The admins: they lend their devices, pull them under fire, put them back. Whatever is refused
 * here is a flaw, since nobody else works on the same device.
 */
#include <errno.h>
#include <string.h>

#include "tools/berth/run_stage.h"

static const char tag_admin[] = "admin";

#define DMA_BITS 46 /* what a guest's space maps */
#define COMMAND 0x04
#define COMMAND_MASTER 0x4u

/* ---- what an admin says and expects ---- */

static void slot_tell(struct run_slot *slot, enum lent_stage stage, unsigned guest)
{
    uint32_t word = atomic_load_explicit(&slot->lent, memory_order_relaxed);

    /* see vcpu_read(); the fence keeps what follows behind it */
    atomic_store_explicit(&slot->lent, lent_word(word, stage, guest), memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
}

static bool expect(struct run_stage *stage, const char *what, int error,
                   const struct berth_refusal *why)
{
    char text[FLAW_DETAIL_SIZE];

    if (!error)
        return true;
    berth_refusal_text(why, text, sizeof(text));
    flaw_found(&stage->flaws, FLAW_REFUSED, "%s: %s", what, text);
    return false;
}

/* ---- DMA of a device: where may it lead? ---- */

static void dma_judge(struct run_stage *stage, const struct run_slot *slot,
                      const struct sim_dma *dma, const struct run_guest *owner)
{
    char at[SBDF_TEXT_SIZE];

    if (dma->stale)
        flaw_found(&stage->flaws, FLAW_STALE, "by %s", sbdf_format(slot->sbdf, at));
    if (dma->result == SIM_DMA_SILENT || dma->result == SIM_DMA_FAULT)
        return;
    if (owner && dma->result == SIM_DMA_DOMAIN && dma->domain_id == berth_domain_id(owner->domain))
        return;
    flaw_found(&stage->flaws, FLAW_DMA, "%s reached domain %u", sbdf_format(slot->sbdf, at),
               dma->domain_id);
}

/* R2, O2: whoever was taken from a guest masters the bus no more. */
static void command_judge(struct run_stage *stage, const struct run_slot *slot, uint32_t command)
{
    char at[SBDF_TEXT_SIZE];

    if (command & COMMAND_MASTER)
        flaw_found(&stage->flaws, FLAW_MASTERING, "%s", sbdf_format(slot->sbdf, at));
}

static void dma_try(struct run_admin *admin, const struct run_slot *slot,
                    const struct run_guest *owner)
{
    uint64_t address = (uint64_t)chance_below(&admin->chance, 1u << 30) << (DMA_BITS - 30);
    struct sim_dma dma;

    if (!sim_dma(admin->stage->machine.sim, slot->sbdf, address, false, 0, &dma))
        dma_judge(admin->stage, slot, &dma, owner);
}

/* Bus mastering is off, so it takes somebody who turns it on to see whether the IOMMU blocks. */
static void dma_try_quarantined(struct run_admin *admin, const struct run_slot *slot,
                                struct pcidev *dev)
{
    struct pcidev_section section PCIDEV_SECTION = {0};
    uint32_t command;

    if (!pcidev_enter(dev, tag_admin, &section) || pcidev_config_read(dev, COMMAND, 2, &command))
        return;
    command_judge(admin->stage, slot, command);
    if (!pcidev_config_write(dev, COMMAND, 2, command | COMMAND_MASTER))
        dma_try(admin, slot, NULL);
    (void)pcidev_config_write(dev, COMMAND, 2, command);
}

/* The same for a removed function, which only another user of the host can reach. */
static void dma_try_removed(struct run_admin *admin, const struct run_slot *slot)
{
    struct sim *sim = admin->stage->machine.sim;
    berth_claim claim;
    uint32_t command;

    if (sim_host_ops.claim(sim, slot->sbdf, &claim))
        return; /* it was pulled */
    if (!sim_host_ops.config_read(sim, claim, COMMAND, 2, &command)) {
        command_judge(admin->stage, slot, command);
        (void)sim_host_ops.config_write(sim, claim, COMMAND, 2, command | COMMAND_MASTER);
        dma_try(admin, slot, NULL);
        (void)sim_host_ops.config_write(sim, claim, COMMAND, 2, command);
    }
    sim_host_ops.release(sim, claim);
}

/* ---- removal and what has to hold afterwards ---- */

/* R2: nobody reaches the BARs of a device that was taken away. */
static void maps_check(struct run_stage *stage, const struct run_slot *slot)
{
    struct recorder_piece piece;
    char at[SBDF_TEXT_SIZE];

    for (unsigned i = 0; i < GUESTS; i++) {
        if (recorder_has(&stage->guests[i].recorder, slot->sbdf, &piece))
            flaw_found(&stage->flaws, FLAW_MAPPED, "BAR %u of %s, still in %s", piece.bar,
                       sbdf_format(slot->sbdf, at), berth_domain_name(stage->guests[i].domain));
    }
}

static void removed_check(struct run_admin *admin, const struct run_slot *slot, struct pcidev *dev)
{
    struct run_stage *stage = admin->stage;
    struct pcidev_section section PCIDEV_SECTION = {0};
    struct sim_counters counters;
    struct pcidev *found;
    char at[SBDF_TEXT_SIZE];

    sbdf_format(slot->sbdf, at);
    sim_function_counters(stage->machine.sim, slot->sbdf, &counters);
    if (counters.touches_after_release)
        flaw_found(&stage->flaws, FLAW_TOUCH, "%s", at);
    if (pcidev_enter(dev, tag_admin, &section))
        flaw_found(&stage->flaws, FLAW_ENTERED, "a section of %s was opened", at);
    found = pcidev_find(stage->machine.machine, slot->sbdf, tag_admin);
    if (found)
        flaw_found(&stage->flaws, FLAW_ENTERED, "%s was found again", at);
    pcidev_put(found, tag_admin);
    maps_check(stage, slot);
    dma_try_removed(admin, slot);
}

static bool slot_remove(struct run_admin *admin, struct run_slot *slot,
                        enum pcidev_remove_mode mode)
{
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};
    struct pcidev *dev = pcidev_find(admin->stage->machine.machine, slot->sbdf, tag_admin);
    uint64_t begin = run_now_ns(), took;
    int error;

    if (!dev)
        return false;
    error = pcidev_remove(dev, mode, &request);
    took = run_now_ns() - begin;
    if (!error) {
        slot_tell(slot, LENT_NOT, 0);
        /* asked politely, it takes as long as the guest likes */
        if (mode == PCIDEV_REMOVE_FORCE && took > slot->longest_ns)
            slot->longest_ns = took;
        atomic_fetch_add_explicit(&slot->removals, 1, memory_order_relaxed);
        removed_check(admin, slot, dev);
    }
    pcidev_put(dev, tag_admin);
    return expect(admin->stage, "remove", error, &why);
}

static bool slot_add(struct run_admin *admin, const struct run_slot *slot)
{
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};
    int error = pcidev_add(admin->stage->machine.machine, slot->sbdf, NULL, &request);

    return expect(admin->stage, "add", error, &why);
}

/* ---- lending ---- */

/* Calls an operation that takes the device and a domain. */
typedef int owner_op(struct pcidev *dev, struct berth_domain *domain,
                     const struct berth_request *request);

static bool slot_move(struct run_stage *stage, const struct run_slot *slot, const char *what,
                      owner_op *op, struct berth_domain *domain)
{
    struct pcidev_ref ref PCIDEV_REF = {pcidev_find(stage->machine.machine, slot->sbdf, tag_admin),
                                        tag_admin};
    struct berth_refusal why;
    const struct berth_request request = {.why = &why, .guest_address = &slot->guest_at};

    return ref.dev && expect(stage, what, op(ref.dev, domain, &request), &why);
}

/* The guests have it for a moment, so that it is taken in the middle of their accesses. */
static bool slot_lend(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    struct run_stage *stage = admin->stage;

    slot_tell(slot, LENT_PERHAPS, guest);
    if (!slot_move(stage, slot, "assign", pcidev_assign, stage->guests[guest].domain))
        return false;
    slot->assigns++;
    slot_tell(slot, LENT_SURELY, guest);
    for (unsigned i = 1 + chance_below(&admin->chance, 4); i-- > 0;) {
        run_sleep_ns(RUN_MS / 2);
        dma_try(admin, slot, &stage->guests[guest]);
    }
    return true;
}

/* ---- the lives that a device can have ---- */

static bool life_pulled(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    if (!slot_lend(admin, slot, guest))
        return false;
    slot_tell(slot, LENT_PERHAPS, guest);
    return slot_remove(admin, slot, PCIDEV_REMOVE_FORCE) && slot_add(admin, slot);
}

static bool life_handed_on(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    struct run_stage *stage = admin->stage;
    struct pcidev *dev;

    if (!slot_lend(admin, slot, guest))
        return false;
    slot_tell(slot, LENT_PERHAPS, guest);
    if (!slot_move(stage, slot, "deassign", pcidev_deassign, stage->guests[guest].domain))
        return false;
    slot_tell(slot, LENT_NOT, 0);
    maps_check(stage, slot);
    dev = pcidev_find(stage->machine.machine, slot->sbdf, tag_admin);
    if (dev)
        dma_try_quarantined(admin, slot, dev);
    pcidev_put(dev, tag_admin);
    return life_pulled(admin, slot, !guest);
}

static bool life_reset(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    struct pcidev *dev;
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};
    int error = -ENODEV;

    if (!slot_lend(admin, slot, guest))
        return false;
    slot_tell(slot, LENT_PERHAPS, guest);
    dev = pcidev_find(admin->stage->machine.machine, slot->sbdf, tag_admin);
    if (dev)
        error = pcidev_reset(dev, &request);
    pcidev_put(dev, tag_admin);
    if (error != -ENOTTY && !expect(admin->stage, "reset", error, &why))
        return false; /* one without a method is as good a device */
    slot_tell(slot, LENT_SURELY, guest);
    run_sleep_ns(RUN_MS);
    slot_tell(slot, LENT_PERHAPS, guest);
    return slot_remove(admin, slot, PCIDEV_REMOVE_FORCE) && slot_add(admin, slot);
}

static bool life_vanished(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    struct sim *sim = admin->stage->machine.sim;
    struct pcidev *dev;
    bool removed;

    if (!slot->alone)
        return life_pulled(admin, slot, guest);
    if (!slot_lend(admin, slot, guest))
        return false;
    slot_tell(slot, LENT_PERHAPS, guest);
    (void)sim_vanish(sim, slot->sbdf);
    run_sleep_ns(RUN_MS / 4); /* until the interrupt of the slot comes */
    dev = pcidev_find(admin->stage->machine.machine, slot->sbdf, tag_admin);
    if (dev)
        pcidev_vanished(dev);
    pcidev_put(dev, tag_admin);
    removed = slot_remove(admin, slot, PCIDEV_REMOVE_FORCE);
    (void)sim_return(sim, slot->sbdf);
    return removed && slot_add(admin, slot);
}

static bool life_let_go(struct run_admin *admin, struct run_slot *slot, unsigned guest)
{
    if (!slot_lend(admin, slot, guest))
        return false;
    slot_tell(slot, LENT_PERHAPS, guest);
    return slot_remove(admin, slot, PCIDEV_REMOVE_GRACEFUL) && slot_add(admin, slot);
}

static const struct life {
    const char *name;
    bool (*live)(struct run_admin *admin, struct run_slot *slot, unsigned guest);
    unsigned weight;
} lives[] = {
    {"lend and pull", life_pulled, 9},     {"lend, hand on, pull", life_handed_on, 4},
    {"lend, reset, pull", life_reset, 2},  {"lend and vanish", life_vanished, 3},
    {"lend and ask back", life_let_go, 2},
};

#define LIVES (sizeof(lives) / sizeof(lives[0]))

static const struct life *life_choose(struct chance *chance)
{
    uint32_t total = 0, at;
    unsigned i = 0;

    for (unsigned k = 0; k < LIVES; k++)
        total += lives[k].weight;
    for (at = chance_below(chance, total); at >= lives[i].weight; i++)
        at -= lives[i].weight;
    return &lives[i];
}

/* ---- the thread ---- */

/* The next one of this admin's devices that is still in the game, or NULL. */
static struct run_slot *slot_next(const struct run_admin *admin, unsigned *turn)
{
    struct run_stage *stage = admin->stage;
    unsigned own = (stage->slot_count - admin->index + stage->admin_count - 1) / stage->admin_count;

    for (unsigned i = 0; i < own; i++) {
        unsigned index = admin->index + (*turn)++ % own * stage->admin_count;

        if (!stage->slots[index].given_up)
            return &stage->slots[index];
    }
    return NULL;
}

void admin_run(struct worker *worker, void *context)
{
    struct run_admin *admin = context;
    struct run_stage *stage = admin->stage;
    struct run_slot *slot;
    unsigned turn = 0;

    while (!atomic_load(&stage->stop_admins) && (slot = slot_next(admin, &turn))) {
        const struct life *life = life_choose(&admin->chance);

        worker_does(worker, life->name);
        if (!life->live(admin, slot, chance_below(&admin->chance, GUESTS)))
            slot->given_up = true; /* the flaw is counted; what became of it is not known */
    }
}

/* ---- the end ---- */

#define REFERENCES_AT_REST 3u /* the registry's, the owner's, ours */

static void slot_rest(struct run_stage *stage, struct run_slot *slot)
{
    struct pcidev *dev = pcidev_find(stage->machine.machine, slot->sbdf, tag_admin);
    struct pcidev_info info;

    if (!dev)
        return;
    pcidev_snapshot(dev, &info);
    if (info.owner_kind == BERTH_DOMAIN_QUARANTINE && !info.broken)
        (void)slot_move(stage, slot, "release", pcidev_assign,
                        berth_machine_hwdom(stage->machine.machine));
    pcidev_snapshot(dev, &info);
    pcidev_put(dev, tag_admin);
    slot->left = info.references - REFERENCES_AT_REST;
}

static void guest_end(struct run_stage *stage, struct run_guest *guest)
{
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};

    if (!guest->domain)
        return;
    (void)expect(stage, "destroy", berth_domain_destroy(guest->domain, &request), &why);
    berth_domain_put(guest->domain);
    guest->domain = NULL;
}

void admin_give_back(struct run_stage *stage)
{
    struct sim_counters now;

    for (unsigned i = 0; i < GUESTS; i++)
        guest_end(stage, &stage->guests[i]);
    for (unsigned i = 0; i < stage->slot_count; i++) {
        struct run_slot *slot = &stage->slots[i];
        char at[SBDF_TEXT_SIZE];

        slot_rest(stage, slot);
        slot->accesses = slot_accesses(stage, i);
        if (slot->left)
            flaw_found(&stage->flaws, FLAW_REFERENCES, "%s", sbdf_format(slot->sbdf, at));
    }
    berth_machine_settle(stage->machine.machine);
    sim_counters(stage->machine.sim, &now);
    flaws_of_balance(&stage->flaws, &stage->machine.full, &now, &(struct run_excuse){0});
}
