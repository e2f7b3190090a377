/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/world.h"

#include <string.h>

#include "tests/unit/machines.h"

#define PATIENCE 100000u /* pieces, resets and polls of one write of a guest */
#define HOURS_NS UINT64_C(36000000000000)
#define INTERRUPT_PIN 0x3d

const char world_tag[] = "fuzz";

/* ---- the machine ---- */

static const struct sbdf functions[] = {{0, 2, 0}, {0, 1, 0}, {0, 5, 0}, {0, 4, 0}};

struct sbdf world_sbdf(unsigned subject)
{
    if (subject < 4)
        return functions[subject];
    return sbdf_from_key(sbdf_key(functions[WORLD_PF]) + 128 + 2 * (subject - 4));
}

unsigned world_subject(struct sbdf sbdf)
{
    unsigned i = 0;

    while (i < WORLD_SUBJECTS && !sbdf_equal(world_sbdf(i), sbdf))
        i++;
    return i;
}

static void build(struct machine_builder *b)
{
    struct capture_function *f;

    mb_init_sized(b, 16);
    mb_host_bridge(b, at(0, 0, 0));
    mb_root_port(b, at(0, 1, 0), 1, 1);
    f = mb_pf(b, at(1, 0, 0), 4, 128, 2);
    mb_put(f, INTERRUPT_PIN, 1, 1);
    mb_root_port(b, at(0, 2, 0), 2, 2);
    f = mb_endpoint(b, at(2, 0, 0));
    mb_msi(f, 4);
    mb_bar(f, 2, MB_BAR_MEM32, 0x100);
    mb_bar(f, 3, MB_BAR_IO, 0x20);
    mb_bar(f, 4, MB_BAR_MEM64, 0x8000);
    mb_rom(f, 0x1000);
    mb_put(f, INTERRUPT_PIN, 1, 2);
    mb_root_port(b, at(0, 3, 0), 3, 4);
    mb_pcie_pci_bridge(b, at(3, 0, 0), 4, 4);
    mb_pci_endpoint(b, at(4, 0, 0));
    mb_root_port(b, at(0, 4, 0), 5, 5);
    mb_phantom(b, at(5, 0, 0), 2);
}

/* Built once: every input begins with the same machine. */
const struct capture *world_capture(void)
{
    static struct machine_builder builder;

    if (!builder.capture.functions)
        build(&builder);
    return mb_capture(&builder);
}

struct pcidev *world_find(const struct world *w, unsigned subject)
{
    return pcidev_find(w->machine, world_sbdf(subject), world_tag);
}

/* ---- what the host hears ---- */

static int irq_bind(void *context, const struct berth_irq *irq, struct berth_message *message)
{
    struct world *w = context;
    unsigned i = world_subject(irq->device);
    int error = sim_irq_ops.bind(w->sim, irq, message);

    fuzz_check(i < WORLD_SUBJECTS); /* nothing else is ever lent */
    for (unsigned k = 0; k < w->subject[i].messages && !error; k++)
        if (w->subject[i].message[k] == message->address)
            return 0;
    if (!error && irq->kind != BERTH_IRQ_INTX) {
        fuzz_check(w->subject[i].messages < WORLD_MESSAGES);
        w->subject[i].message[w->subject[i].messages++] = message->address;
    }
    return error;
}

static void irq_unbind(void *context, const struct berth_irq *irq)
{
    sim_irq_ops.unbind(((struct world *)context)->sim, irq);
}

static bool irq_remaps(void *context)
{
    return sim_irq_ops.remaps(((struct world *)context)->sim);
}

static const struct berth_irq_ops irq_ops = {irq_bind, irq_unbind, irq_remaps};

static void notice(void *context, const struct berth_event *event)
{
    struct world *w = context;

    fuzz_check(event->kind != BERTH_EVENT_MISUSE && event->kind != BERTH_EVENT_LEAK);
    w->broken |= event->kind == BERTH_EVENT_BROKEN;
}

static void fault(void *context, struct sbdf rid)
{
    (void)berth_machine_fault(context, rid);
}

static void fire(void *context, const struct berth_irq *irq, unsigned vector)
{
    (void)berth_machine_interrupt(context, irq, vector);
}

/* ---- guests ---- */

static int guest_map(void *context, const struct berth_piece *piece)
{
    struct world_guest *g = context;
    int error = g->map_error;

    g->map_error = 0;
    if (error)
        return error;
    fuzz_check(piece->length && piece->guest + piece->length > piece->guest);
    fuzz_check(!((piece->guest | piece->host | piece->length) % BERTH_PAGE_SIZE));
    for (unsigned i = 0; i < g->piece_count; i++)
        fuzz_check(g->piece[i].guest + g->piece[i].length <= piece->guest ||
                   piece->guest + piece->length <= g->piece[i].guest);
    fuzz_check(g->piece_count < WORLD_PIECES);
    g->piece[g->piece_count++] = *piece;
    return 0;
}

static int guest_unmap(void *context, const struct berth_piece *piece)
{
    struct world_guest *g = context;

    for (unsigned i = 0; i < g->piece_count; i++) {
        const struct berth_piece *p = &g->piece[i];

        if (p->guest < piece->guest || p->guest + p->length > piece->guest + piece->length)
            continue;
        fuzz_check(p->dev == piece->dev && p->bar == piece->bar);
        g->piece[i--] = g->piece[--g->piece_count];
    }
    return 0;
}

static void guest_inject(void *context, struct pcidev *dev, unsigned vector,
                         const struct berth_message *message)
{
    struct world_guest *g = context;

    (void)vector;
    (void)message;
    if (dev)
        g->injected |= 1u << world_subject(pcidev_sbdf(dev));
}

static void guest_intx(void *context, struct sbdf seat, unsigned pin, bool asserted)
{
    (void)context;
    (void)seat;
    (void)asserted;
    fuzz_check(pin >= 1 && pin <= 4);
}

static const struct berth_view_ops view_ops = {
    .map = guest_map,
    .unmap = guest_unmap,
    .inject = guest_inject,
    .intx = guest_intx,
};

void world_guest_up(struct world *w, unsigned index)
{
    static const char *const names[WORLD_GUESTS] = {"vm0", "vm1"};
    struct world_guest *g = &w->guest[index];
    const struct berth_view_config view = {
        .ops = &view_ops,
        .context = g,
        .piece_size = index ? 0 : BERTH_PAGE_SIZE, /* many small pieces, or few */
        .bus_count = 2,
        .port_count = index ? 0 : 2,
    };

    g->world = w;
    fuzz_check(berth_domain_create(w->machine, names[index], NULL, NULL, &g->domain) == 0);
    fuzz_check(berth_domain_set_view(g->domain, &view) == 0);
}

void world_guest_down(struct world *w, unsigned index)
{
    const struct berth_request request = {.timeout_ns = HOURS_NS};
    struct world_guest *g = &w->guest[index];

    for (unsigned i = 0; i < WORLD_CPUS; i++)
        berth_vcpu_stop(&g->cpu[i]);
    fuzz_check(berth_domain_destroy(g->domain, &request) == 0);
    fuzz_check(g->piece_count == 0);
    berth_domain_put(g->domain);
    g->domain = NULL;
}

void world_cpu_finish(struct berth_vcpu *cpu)
{
    for (unsigned i = 0; berth_vcpu_continue(cpu) == -EAGAIN; i++)
        fuzz_check(i < PATIENCE);
    fuzz_check(!cpu->dev);
}

/* ---- up and down ---- */

static int add(void *context, struct sbdf sbdf)
{
    struct world *w = context;

    return pcidev_add(w->machine, sbdf, NULL, NULL);
}

static void remember_bars(struct world *w, unsigned i)
{
    struct world_subject *s = &w->subject[i];

    for (unsigned bar = 0; bar < BERTH_BAR_COUNT; bar++)
        if (sim_bar(w->sim, world_sbdf(i), bar, &s->bar[bar], &s->size[bar]))
            s->size[bar] = 0;
}

void world_up(struct world *w)
{
    struct berth_machine_config config = {
        .host = &sim_host_ops,
        .bars = &sim_bar_ops,
        .iommu = &sim_iommu_ops,
        .irqs = &irq_ops,
        .irq_context = w,
        .event = notice,
        .event_context = w,
    };
    struct capture_error error;

    memset(w, 0, sizeof(*w));
    fuzz_check(sim_create(world_capture(), NULL, &w->sim, &error) == 0);
    config.host_context = config.iommu_context = w->sim;
    sim_counters(w->sim, &w->empty);
    fuzz_check(berth_machine_create(&config, &w->machine) == 0);
    sim_on_fault(w->sim, fault, w->machine);
    sim_on_interrupt(w->sim, fire, w->machine);
    fuzz_check(sim_enumerate(w->sim, add, w) == 0);
    for (unsigned i = 0; i < 4; i++)
        remember_bars(w, i);
    for (unsigned i = 0; i < WORLD_GUESTS; i++)
        world_guest_up(w, i);
}

void world_down(struct world *w)
{
    struct sim_counters now;

    for (unsigned i = 0; i < WORLD_SUBJECTS; i++)
        (void)sim_hang_on_reset(w->sim, world_sbdf(i), false);
    for (unsigned i = 0; i < WORLD_GUESTS; i++)
        world_guest_down(w, i);
    world_check(w);
    sim_on_fault(w->sim, NULL, NULL);
    sim_on_interrupt(w->sim, NULL, NULL);
    fuzz_check(berth_machine_destroy(w->machine) == 0);
    sim_counters(w->sim, &now);
    fuzz_check(now.claims == w->empty.claims && now.contexts == w->empty.contexts);
    fuzz_check(now.spaces == w->empty.spaces && now.mappings == w->empty.mappings);
    fuzz_check(now.bindings == w->empty.bindings && !now.touches_after_release);
    sim_destroy(w->sim);
    fuzz_port_check(0);
}
