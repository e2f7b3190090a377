/* SPDX-License-Identifier: MIT */
/*
 * A whole machine: two guests access config space, BARs and ports in every way there is, while
 * their devices are lent, taken back, reset, removed, pulled and recovered under them. After each
 * step the invariants of world_check.c hold; at the end everything balances.
 */
#include <string.h>

#include <berth_port.h>

#include "tests/fuzz/world.h"

#define STEPS_MAX 256u
#define ECAM_BASE UINT64_C(0xe0000000)

struct state {
    struct fuzz_input in;
    struct world world;
};

static struct world_guest *take_guest(struct state *s)
{
    return &s->world.guest[fuzz_pick(&s->in, WORLD_GUESTS)];
}

static struct pcidev *take_device(struct state *s)
{
    return world_find(&s->world, fuzz_pick(&s->in, WORLD_SUBJECTS));
}

static unsigned take_length(struct state *s)
{
    static const uint8_t lengths[] = {1, 2, 4, 8, 4, 2, 1, 3};

    return lengths[fuzz_pick(&s->in, sizeof(lengths))];
}

static unsigned take_register(struct state *s)
{
    unsigned byte = (unsigned)fuzz_take(&s->in, 1);

    return byte < 0xf0 ? byte : (unsigned)fuzz_take(&s->in, 2) % 4200;
}

/* Where the guest sees a device, a port of its own bus, or anything. */
static struct sbdf take_seat(struct state *s, const struct world_guest *g)
{
    unsigned how = (unsigned)fuzz_take(&s->in, 1);
    struct sbdf seat = {0, (uint8_t)(how >> 4 & 3), (uint8_t)(how << 3 & 0x78)};
    struct pcidev *dev;

    if (how >= 0xc0)
        return (struct sbdf){(uint16_t)(how & 1), (uint8_t)fuzz_take(&s->in, 1),
                             (uint8_t)fuzz_take(&s->in, 1)};
    if (how >= 0x80)
        return seat;
    dev = world_find(&s->world, how % WORLD_SUBJECTS);
    if (dev && berth_domain_address(dev, &seat))
        seat = (struct sbdf){0, 0, (uint8_t)(how & 0xf8)};
    pcidev_put(dev, world_tag);
    (void)g;
    return seat;
}

/* ---- refusals ---- */

static struct berth_request request_begin(struct state *s)
{
    s->world.why = (struct berth_refusal){.reason = BERTH_REASON_NONE};
    return (struct berth_request){.why = &s->world.why};
}

/* Whoever says no says why, in one line. */
static void expect_reason(const struct state *s, int error)
{
    char text[512];

    fuzz_check(error <= 0);
    if (!error)
        return;
    fuzz_check(s->world.why.error == error && s->world.why.reason != BERTH_REASON_NONE);
    fuzz_check(berth_refusal_text(&s->world.why, text, sizeof(text)) > 0 && !strchr(text, '\n'));
}

/* ---- accesses ---- */

static void step_config_read(struct state *s)
{
    const struct world_guest *g = take_guest(s);
    const struct sbdf seat = take_seat(s, g);
    unsigned reg = take_register(s), length = take_length(s);
    uint64_t whole = berth_domain_config_read(g->domain, seat, reg, length), bytes = 0;

    if (length == 3 || reg + length > 4096) {
        fuzz_check(whole == UINT64_MAX >> (64 - 8 * length));
        return;
    }
    for (unsigned i = 0; i < length; i++)
        bytes |= berth_domain_config_read(g->domain, seat, reg + i, 1) << 8 * i;
    fuzz_check(whole == bytes);
}

static void config_write(struct state *s, struct world_guest *g, struct sbdf seat, unsigned reg,
                         unsigned length)
{
    const uint64_t value = fuzz_take(&s->in, length);
    struct berth_vcpu *cpu = &g->cpu[length & 1];
    const bool busy = cpu->dev;
    int error = berth_vcpu_config_write(cpu, g->domain, seat, reg, length, value);

    fuzz_check(error == (busy ? -EBUSY : cpu->dev ? -EAGAIN : 0));
    if (!busy && length != 3 && reg + length <= 4096)
        world_note(&s->world, (unsigned)(g - s->world.guest), seat, reg, length, value);
}

static void step_config_write(struct state *s)
{
    struct world_guest *g = take_guest(s);
    const struct sbdf seat = take_seat(s, g);
    unsigned reg = take_register(s);

    config_write(s, g, seat, reg, take_length(s));
}

/* The same, and done when it returns. */
static void step_config_write_whole(struct state *s)
{
    struct world_guest *g = take_guest(s);

    for (unsigned i = 0; i < WORLD_CPUS; i++)
        world_cpu_finish(&g->cpu[i]);
    step_config_write(s);
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        world_cpu_finish(&s->world.guest[0].cpu[i]);
        world_cpu_finish(&s->world.guest[1].cpu[i]);
    }
}

static void step_cf8(struct state *s)
{
    struct world_guest *g = take_guest(s);
    const uint32_t address = (uint32_t)fuzz_take(&s->in, 4);
    const uint16_t port = (uint16_t)(0xcf8 + fuzz_pick(&s->in, 10));
    struct sbdf seat;
    unsigned reg;
    int error = berth_cf8_decode(address, port, &seat, &reg);

    fuzz_check(error == (address >> 31 && port >= 0xcfc && port <= 0xcff ? 0 : -ENOENT));
    if (error)
        return;
    fuzz_check(seat.segment == 0 && seat.bus == (address >> 16 & 0xff));
    fuzz_check(seat.devfn == (address >> 8 & 0xff) && reg % 4 == port % 4u && reg < 4096);
    config_write(s, g, seat, reg, 1);
}

static void step_ecam(struct state *s)
{
    struct world_guest *g = take_guest(s);
    const struct berth_ecam window = {.base = ECAM_BASE, .first_bus = 0, .last_bus = 3};
    const uint64_t offset = fuzz_take(&s->in, 3);
    struct sbdf seat;
    unsigned reg;
    int error = berth_ecam_decode(&window, ECAM_BASE + offset, &seat, &reg);

    fuzz_check(error == (offset < 4u << 20 ? 0 : -ENOENT));
    if (error)
        return;
    fuzz_check(seat.bus == offset >> 20 && seat.devfn == (offset >> 12 & 0xff));
    fuzz_check(reg == (offset & 0xfff));
    config_write(s, g, seat, reg, 2);
}

/* Somewhere in a BAR as the guest has placed it. */
static uint64_t take_address(struct state *s, const struct world_guest *g)
{
    const struct sbdf seat = take_seat(s, g);
    unsigned reg = 0x10 + 4 * fuzz_pick(&s->in, 6);
    uint64_t bar = berth_domain_config_read(g->domain, seat, reg, 4);

    if ((bar & 7) == 4)
        bar |= berth_domain_config_read(g->domain, seat, reg + 4, 4) << 32;
    return (bar & (bar & 1 ? ~UINT64_C(3) : ~UINT64_C(15))) + fuzz_take(&s->in, 2);
}

static void step_mmio(struct state *s)
{
    const struct world_guest *g = take_guest(s);
    const uint64_t address = take_address(s, g);
    unsigned length = take_length(s);
    uint64_t value = fuzz_take(&s->in, length);
    int error;

    if (fuzz_pick(&s->in, 2))
        error = berth_domain_mmio_write(g->domain, address, length, value);
    else
        error = berth_domain_mmio_read(g->domain, address, length, &value);
    fuzz_check(error == 0 || error == (length == 3 ? -EINVAL : -ENOENT));
}

static void step_port(struct state *s)
{
    const struct world_guest *g = take_guest(s);
    const uint16_t port = (uint16_t)take_address(s, g);
    unsigned length = take_length(s);
    uint64_t value = fuzz_take(&s->in, length);
    int error;

    if (fuzz_pick(&s->in, 2))
        error = berth_domain_port_write(g->domain, port, length, value);
    else
        error = berth_domain_port_read(g->domain, port, length, &value);
    fuzz_check(error == 0 || error == (length == 3 || length == 8 ? -EINVAL : -ENOENT) ||
               error == -ENOENT);
}

static void step_eoi(struct state *s)
{
    const struct world_guest *g = take_guest(s);

    berth_domain_intx_eoi(g->domain, take_seat(s, g));
}

static void step_cpu(struct state *s)
{
    struct berth_vcpu *cpu = &take_guest(s)->cpu[fuzz_pick(&s->in, WORLD_CPUS)];

    switch (fuzz_pick(&s->in, 4)) {
    case 0:
        berth_vcpu_stop(cpu);
        break;
    case 1:
        world_cpu_finish(cpu);
        break;
    default:
        (void)berth_vcpu_continue(cpu); /* one piece */
    }
}

/* ---- transitions ---- */

static int transition_assign(struct state *s, struct pcidev *dev)
{
    struct berth_request request = request_begin(s);
    struct berth_domain *const to[] = {s->world.guest[0].domain,
                                       s->world.guest[1].domain,
                                       s->world.guest[0].domain,
                                       s->world.guest[1].domain,
                                       berth_machine_hwdom(s->world.machine),
                                       berth_machine_quarantine(s->world.machine)};
    unsigned which = fuzz_pick(&s->in, 6);
    const struct sbdf seat = {0, (uint8_t)fuzz_pick(&s->in, 4), (uint8_t)fuzz_take(&s->in, 1)};

    if (which == 2 || which == 3)
        request.guest_address = &seat;
    return pcidev_assign(dev, to[which], &request);
}

static int transition_deassign(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);

    return pcidev_deassign(dev, take_guest(s)->domain, &request);
}

static int transition_reset(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);

    return pcidev_reset(dev, &request);
}

static int transition_remove(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);

    return pcidev_remove(dev, (enum pcidev_remove_mode)fuzz_pick(&s->in, 5), &request);
}

static int transition_readd(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);

    return pcidev_readd(dev, NULL, &request);
}

static int transition_recover(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);
    unsigned kind = fuzz_pick(&s->in, 3);

    (void)sim_error(s->world.sim, pcidev_sbdf(dev), (enum sim_error_kind)kind);
    return pcidev_recover(dev, (enum pcidev_trouble)kind, &request);
}

static int transition_sriov(struct state *s, struct pcidev *dev)
{
    const struct berth_request request = request_begin(s);

    return pcidev_sriov(dev, fuzz_pick(&s->in, 6), &request);
}

static int (*const transitions[])(struct state *s, struct pcidev *dev) = {
    transition_assign, transition_deassign, transition_assign,  transition_reset,
    transition_remove, transition_readd,    transition_recover, transition_sriov,
};

static void step_transition(struct state *s)
{
    unsigned which = fuzz_pick(&s->in, sizeof(transitions) / sizeof(transitions[0]));
    struct pcidev *dev = take_device(s);

    if (dev)
        expect_reason(s, transitions[which](s, dev));
    pcidev_put(dev, world_tag);
}

static void step_add(struct state *s)
{
    const struct berth_request request = request_begin(s);
    const struct sbdf sbdf = world_sbdf(fuzz_pick(&s->in, WORLD_SUBJECTS));

    expect_reason(s, pcidev_add(s->world.machine, sbdf, NULL, &request));
}

static void step_guest_again(struct state *s)
{
    unsigned guest = fuzz_pick(&s->in, WORLD_GUESTS);

    world_guest_down(&s->world, guest);
    world_guest_up(&s->world, guest);
}

/* ---- the world around ---- */

/* The card is pulled, now or in the middle of what comes; somebody notices, or nobody does. */
static void step_vanish(struct state *s)
{
    unsigned subject = fuzz_pick(&s->in, WORLD_SUBJECTS), nth = fuzz_pick(&s->in, 64);
    struct pcidev *dev = world_find(&s->world, subject);

    if (nth)
        s->world.subject[subject].fading =
            !sim_vanish_after(s->world.sim, world_sbdf(subject), nth);
    else
        (void)sim_vanish(s->world.sim, world_sbdf(subject));
    if (dev && !nth)
        pcidev_vanished(dev);
    pcidev_put(dev, world_tag);
}

static void step_return(struct state *s)
{
    (void)sim_return(s->world.sim, world_sbdf(fuzz_pick(&s->in, WORLD_SUBJECTS)));
}

static void step_trouble(struct state *s)
{
    const struct sbdf sbdf = world_sbdf(fuzz_pick(&s->in, WORLD_SUBJECTS));
    unsigned which = fuzz_pick(&s->in, 4);

    if (which < 2)
        (void)sim_hang_on_reset(s->world.sim, sbdf, which);
    else if (which == 2)
        take_guest(s)->map_error = -ENOMEM;
    else
        port_sleep_ns(UINT64_C(20000000000)); /* old recoveries and faults are forgotten */
}

static void step_interrupt(struct state *s)
{
    const struct sbdf sbdf = world_sbdf(fuzz_pick(&s->in, WORLD_SUBJECTS));
    unsigned vector = fuzz_pick(&s->in, 20);
    enum sim_irq_result result;

    if (vector == 19)
        (void)sim_lower(s->world.sim, sbdf);
    else
        (void)sim_raise(s->world.sim, sbdf, vector, &result);
}

/* O6, O2: its requests reach the memory of its owner, or none. */
static void step_dma(struct state *s)
{
    unsigned subject = fuzz_pick(&s->in, WORLD_SUBJECTS);
    struct pcidev *dev = world_find(&s->world, subject);
    struct pcidev_info info;
    struct sim_dma dma;

    if (dev)
        pcidev_snapshot(dev, &info);
    if (!sim_dma(s->world.sim, world_sbdf(subject), 0x1000, fuzz_pick(&s->in, 2), 1, &dma) &&
        dma.result == SIM_DMA_DOMAIN)
        fuzz_check(dev && dma.domain_id == info.owner_id);
    pcidev_put(dev, world_tag);
}

static void (*const steps[])(struct state *s) = {
    step_config_write,
    step_config_write_whole,
    step_config_write_whole,
    step_config_read,
    step_cf8,
    step_ecam,
    step_mmio,
    step_mmio,
    step_port,
    step_eoi,
    step_cpu,
    step_cpu,
    step_transition,
    step_transition,
    step_transition,
    step_add,
    step_guest_again,
    step_vanish,
    step_return,
    step_trouble,
    step_interrupt,
    step_dma,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state s;

    s.in = (struct fuzz_input){data, size};
    world_up(&s.world);
    for (unsigned i = 0; s.in.left && i < STEPS_MAX; i++) {
        steps[fuzz_pick(&s.in, sizeof(steps) / sizeof(steps[0]))](&s);
        world_check(&s.world);
    }
    world_down(&s.world);
    return 0;
}
