/* SPDX-License-Identifier: MIT */
/*
 * The guests: vCPUs that access config space without a pause, whether or not the device is theirs,
 * and an agent that answers when a device is to be let go (R4).
 */
#include <errno.h>

#include <berth/vpci.h>

#include "front/control/guests.h"
#include "tools/berth/run_stage.h"

static const char tag_guest[] = "guest";

/* ---- accesses ---- */

#define VENDOR_ID 0x00
#define COMMAND 0x04
#define COMMAND_MEMORY 0x2u
#define COMMAND_MASTER 0x4u
#define CLASS_REVISION 0x08
#define BAR0 0x10
#define INTERRUPT_LINE 0x3c
#define EXTENDED 0x100
#define WRITE_ONE_IN 64
#define BAR_ROOM UINT64_C(0x800000)

/* What a driver reads all day. Of these, class and revision never change and are known. */
static const struct {
    uint16_t reg;
    uint8_t length;
} reads[] = {
    {CLASS_REVISION, 4}, {VENDOR_ID, 4},      {VENDOR_ID, 2}, {COMMAND, 2},
    {CLASS_REVISION, 4}, {CLASS_REVISION, 1}, {BAR0, 4},      {BAR0 + 4, 4},
    {CLASS_REVISION, 4}, {INTERRUPT_LINE, 1}, {0x2c, 4},      {0x34, 1},
    {CLASS_REVISION, 4}, {0x40, 4},           {EXTENDED, 4},  {0x0e, 1},
};

#define READS (sizeof(reads) / sizeof(reads[0]))

static uint32_t ones(unsigned length)
{
    return length >= 4 ? UINT32_MAX : (1u << 8 * length) - 1;
}

static void read_report(struct run_guest *guest, const struct run_slot *slot, enum run_flaw flaw,
                        unsigned reg, uint32_t value)
{
    char at[SBDF_TEXT_SIZE];

    flaw_found(&guest->stage->flaws, flaw, "%s read %#x of %s at %#x",
               berth_domain_name(guest->domain), value, sbdf_format(slot->sbdf, at), reg);
}

static void vcpu_read(struct run_guest *guest, const struct run_slot *slot, unsigned choice)
{
    unsigned reg = reads[choice].reg, length = reads[choice].length;
    uint32_t before = atomic_load_explicit(&slot->lent, memory_order_acquire);
    uint32_t value = (uint32_t)berth_domain_config_read(guest->domain, slot->guest_at, reg, length);
    uint32_t after, expected;
    enum run_flaw flaw;

    /* pairs with the admin's store before it lends or takes: who sees its effect sees the word */
    atomic_thread_fence(memory_order_acquire);
    after = atomic_load_explicit(&slot->lent, memory_order_relaxed);
    expected = reg == CLASS_REVISION ? slot->class_revision & ones(length) : value;
    flaw = read_judge(before, after, guest->index, value, expected, ones(length));
    if (__builtin_expect(flaw != FLAW_COUNT, 0))
        read_report(guest, slot, flaw, reg, value);
}

/* Each slot has room for BARs of usual size; a larger one is refused, which is as good a write. */
static uint64_t bar_address(const struct run_slot *slot)
{
    return GUEST_MEMORY_START + slot->index * BAR_ROOM;
}

/* A driver that turns its device on, one that turns it off, one that sizes its BAR. */
static void vcpu_write(struct run_guest *guest, const struct run_slot *slot, struct chance *chance)
{
    struct berth_domain *domain = guest->domain;

    switch (chance_below(chance, 5)) {
    case 0:
        berth_domain_config_write(domain, slot->guest_at, INTERRUPT_LINE, 1,
                                  chance_below(chance, 256));
        break;
    case 1:
        berth_domain_config_write(domain, slot->guest_at, BAR0, 4, UINT32_MAX);
        break;
    case 2:
        berth_domain_config_write(domain, slot->guest_at, BAR0, 8, bar_address(slot));
        berth_domain_config_write(domain, slot->guest_at, COMMAND, 2,
                                  COMMAND_MEMORY | COMMAND_MASTER);
        break;
    default:
        berth_domain_config_write(domain, slot->guest_at, COMMAND, 2, COMMAND_MASTER);
        break;
    }
}

void vcpu_run(struct worker *worker, void *context)
{
    struct run_vcpu *vcpu = context;
    struct run_stage *stage = vcpu->guest->stage;

    while (!atomic_load_explicit(&stage->stop_guests, memory_order_relaxed)) {
        unsigned index = chance_below(&vcpu->chance, stage->slot_count);
        uint32_t choice = chance_below(&vcpu->chance, READS * WRITE_ONE_IN);
        _Atomic uint64_t *count = &vcpu->accesses[index];

        worker_does(worker, "config access");
        if (choice < READS)
            vcpu_write(vcpu->guest, &stage->slots[index], &vcpu->chance);
        else
            vcpu_read(vcpu->guest, &stage->slots[index], choice % READS);
        /* no other thread writes it */
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
}

/* ---- letting go ---- */

/* Must not sleep: the agent does the work. */
static void guest_asked(void *context, struct pcidev *dev)
{
    struct run_guest *guest = context;
    struct run_stage *stage = guest->stage;

    for (unsigned i = 0; i < stage->slot_count; i++) {
        if (sbdf_equal(stage->slots[i].sbdf, pcidev_sbdf(dev)))
            atomic_store(&stage->slots[i].asked, true);
    }
    sem_post(&guest->bell);
}

const struct berth_domain_ops guest_ops = {.release_request = guest_asked};

static void agent_answer(struct run_guest *guest, struct run_slot *slot)
{
    struct pcidev *dev;
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};
    char text[FLAW_DETAIL_SIZE];

    if (!atomic_exchange(&slot->asked, false))
        return;
    dev = pcidev_find(guest->stage->machine.machine, slot->sbdf, tag_guest);
    if (!dev)
        return;
    if (pcidev_deassign(dev, guest->domain, &request)) {
        berth_refusal_text(&why, text, sizeof(text));
        flaw_found(&guest->stage->flaws, FLAW_REFUSED, "letting go: %s", text);
    }
    pcidev_put(dev, tag_guest);
}

void agent_run(struct worker *worker, void *context)
{
    struct run_guest *guest = context;
    struct run_stage *stage = guest->stage;

    while (!atomic_load(&stage->stop_guests)) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++; /* so that the watcher sees it alive */
        worker_does(worker, "waiting for requests");
        if (sem_timedwait(&guest->bell, &until))
            continue;
        worker_does(worker, "letting a device go");
        for (unsigned i = 0; i < stage->slot_count; i++) {
            /* the other guest's agent looks after its own */
            uint32_t word = atomic_load(&stage->slots[i].lent);

            if (lent_guest(word) == guest->index)
                agent_answer(guest, &stage->slots[i]);
        }
    }
}
