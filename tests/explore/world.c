/* SPDX-License-Identifier: MIT */
#include "tests/explore/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "tests/explore/engine.h"
#include "tests/explore/host.h"
#include "tests/unit/machines.h"

#define TAG "scenario"

const struct berth_request world_patient = {.timeout_ns = UINT64_C(1000000000000)};

static struct world *world_now;

struct world *world_of_schedule(void)
{
    return world_now;
}

/* ---- the guests' side ---- */

static int piece_map(void *context, const struct berth_piece *piece)
{
    struct world *world = context;

    explore_touch(&world->mapped, true);
    world->mapped++;
    world->mapped_by = (uintptr_t)piece->dev;
    return 0;
}

static int piece_unmap(void *context, const struct berth_piece *piece)
{
    struct world *world = context;

    explore_touch(&world->mapped, true);
    if (!world->mapped)
        explore_fail("unmaps a piece that is not mapped");
    if (world->mapped_by != (uintptr_t)piece->dev)
        explore_fail("unmaps a piece of another object");
    world->mapped--;
    return 0;
}

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    struct world *world = context;

    (void)dev;
    (void)vector;
    if ((message->address == WORLD_MESSAGE_AT) != (message->data == WORLD_MESSAGE))
        explore_fail("injects half of one message and half of another: %#lx, %#x",
                     (unsigned long)message->address, message->data);
    explore_touch(&world->injected, true);
    world->injected++;
}

static const struct berth_view_ops view_ops = {
    .map = piece_map, .unmap = piece_unmap, .inject = inject};

static void release_request(void *context, struct pcidev *dev)
{
    struct world *world = context;

    (void)dev;
    explore_touch(&world->asked, true);
    world->asked++;
}

static void crash(void *context, struct pcidev *dev)
{
    struct world *world = context;

    (void)dev;
    world->crashed++;
}

static const struct berth_domain_ops domain_ops = {.release_request = release_request,
                                                   .crash = crash};

/* ---- set-up ---- */

struct sbdf world_at(unsigned function)
{
    return world_now->function[function].sbdf;
}

static void build_plain(struct machine_builder *builder)
{
    for (unsigned i = 0; i < WORLD_FUNCTIONS; i++) {
        struct capture_function *function = mb_rc_endpoint(builder, sbdf_make(0, 0, 2 + i, 0));

        if (i) /* without a reset, so that nothing sleeps */
            mb_no_flr(function);
    }
}

static void build_port(struct machine_builder *builder)
{
    mb_root_port(builder, sbdf_make(0, 0, 2, 0), 1, 1);
    mb_no_flr(mb_endpoint(builder, sbdf_make(0, 1, 0, 0)));
}

static void build_pf(struct machine_builder *builder)
{
    mb_vfs(builder, mb_pf(builder, sbdf_make(0, 0, 2, 0), 4, 16, 1), 1);
}

static void take_over(struct world_function *function, const struct capture_function *from)
{
    unsigned pcie = mb_find_cap(from, PCI_CAP_ID_EXP);

    function->sbdf = from->sbdf;
    memcpy(function->config, from->config, sizeof(function->config));
    function->bar_size = from->extra.size[0];
    memcpy(&function->bar_address, &from->config[PCI_BASE_ADDRESS_0], 8);
    function->bar_address &= PCI_BASE_ADDRESS_MEM_MASK;
    function->has_flr = pcie ? (uint16_t)(pcie + PCI_EXP_DEVCTL) : 0;
}

static void build(struct world *world)
{
    static void (*const kinds[])(struct machine_builder *) = {
        [WORLD_PLAIN] = build_plain, [WORLD_PORT] = build_port, [WORLD_PF] = build_pf};
    struct machine_builder builder;
    const struct capture *capture;

    mb_init_sized(&builder, WORLD_FUNCTIONS);
    kinds[world->kind](&builder);
    capture = mb_capture(&builder);
    world->functions = (unsigned)capture->count;
    for (unsigned i = 0; i < world->functions; i++)
        take_over(&world->function[i], &capture->functions[i]);
    mb_free(&builder);
}

void world_make(struct world *world, unsigned functions)
{
    const struct berth_machine_config config = {
        .host = &host_ops,
        .host_context = world,
        .bars = &host_bars,
        .iommu = &host_iommu,
        .iommu_context = world,
        .irqs = &host_irqs,
        .irq_context = world,
    };

    build(world);
    expect(berth_machine_create(&config, &world->machine) == 0);
    world->hwdom = berth_machine_hwdom(world->machine);
    for (unsigned i = 0; i < functions; i++)
        expect(pcidev_add(world->machine, world_at(i), NULL, NULL) == 0);
}

void world_add_guest(struct world *world, unsigned guest)
{
    static const char *const names[WORLD_GUESTS] = {"vm1", "vm2"};
    const struct berth_view_config view = {
        .ops = &view_ops, .context = world, .bus_count = 1, .no_host_bridge = true};

    expect(berth_domain_create(world->machine, names[guest], &domain_ops, world,
                               &world->guest[guest]) == 0);
    expect(berth_domain_set_view(world->guest[guest], &view) == 0);
}

void world_lend(struct world *world, unsigned function, unsigned guest)
{
    struct pcidev *dev = world_find(world, function);

    expect(pcidev_assign(dev, world->guest[guest], NULL) == 0);
    expect(berth_domain_address(dev, &world->seat[function]) == 0);
    world_put(dev);
}

unsigned world_cap(const struct world *world, unsigned function, uint8_t id)
{
    const uint8_t *config = world->function[function].config;
    unsigned at = config[PCI_CAPABILITY_LIST];

    while (at && config[at] != id)
        at = config[at + 1];
    return at;
}

void world_drive(struct world *world, unsigned function, unsigned guest)
{
    struct berth_domain *vm = world->guest[guest];
    unsigned msix = world_cap(world, function, PCI_CAP_ID_MSIX);

    berth_domain_config_write(vm, world->seat[function], PCI_BASE_ADDRESS_0, 8, WORLD_BAR_AT);
    berth_domain_config_write(vm, world->seat[function], WORLD_COMMAND, 2, 6);
    expect(berth_domain_mmio_write(vm, WORLD_BAR_AT + 0x2000, 8, WORLD_MESSAGE_AT) == 0);
    expect(berth_domain_mmio_write(vm, WORLD_BAR_AT + 0x2008, 8, WORLD_MESSAGE) == 0);
    berth_domain_config_write(vm, world->seat[function], msix + PCI_MSIX_FLAGS, 2, 0x8000);
    expect(world->mapped > 0);
    expect(world_vectors_bound(world) == 1);
}

void world_hold(struct world *world, unsigned actor, unsigned function)
{
    world->dev[actor] = world_find(world, function);
    expect(world->dev[actor]);
}

/* ---- for actors ---- */

struct pcidev *world_find(struct world *world, unsigned function)
{
    return pcidev_find(world->machine, world_at(function), TAG);
}

void world_put(struct pcidev *dev)
{
    pcidev_put(dev, TAG);
}

void world_gone(struct world *world, unsigned function)
{
    struct world_function *what = &world->function[function];

    explore_use(&what->claim, sizeof(what->claim), true, "the end of the removal (A2)");
    what->gone = true;
}

/* ---- judging ---- */

bool world_has(struct world *world, unsigned function)
{
    struct pcidev *dev = world_find(world, function);

    world_put(dev);
    return dev != NULL;
}

struct pcidev_info world_info(struct world *world, unsigned function)
{
    struct pcidev *dev = world_find(world, function);
    struct pcidev_info info;

    expect(dev);
    pcidev_snapshot(dev, &info);
    world_put(dev);
    return info;
}

unsigned world_vectors_bound(const struct world *world)
{
    unsigned bound = 0;

    for (unsigned i = 0; i < WORLD_VECTORS; i++)
        bound += world->vector[i].bound;
    return bound;
}

/* Whether a context leads where the owner's device may go. */
static void judge_context(const struct world *world, const struct world_function *function,
                          const struct pcidev_info *info)
{
    const struct world_space *space = NULL;
    bool guest = info && info->owner_kind == BERTH_DOMAIN_GUEST;

    for (unsigned i = 0; i < WORLD_FUNCTIONS; i++) {
        if (!world->context[i].used || !sbdf_equal(world->context[i].rid, function->sbdf))
            continue;
        space = world->context[i].space;
        for (unsigned k = 0; k < WORLD_SPACES; k++)
            expect(!world->context[i].cached[k] || (info && info->broken));
    }
    if (!info) {
        expect(!space);
        return;
    }
    if (!info->broken && space)
        expect(space->kind != BERTH_SPACE_DOMAIN || space->id == info->owner_id);
    expect(!guest || info->broken || space);
}

static void judge_function(struct world *world, unsigned i)
{
    const struct world_function *function = &world->function[i];
    struct pcidev_info info;

    if (!world_has(world, i)) {
        expect(!function->claim);
        judge_context(world, function, NULL);
        return;
    }
    info = world_info(world, i);
    expect(function->claim && !function->gone);
    expect(info.state == PCIDEV_PRESENT && !info.in_transition);
    expect(!info.broken);
    judge_context(world, function, &info);
}

/*
 * Taking the machine down shows what is left over. It takes long, so what has been shown to end in
 * nothing is not taken down again: the same results with the same memory in use.
 */
#define SEEN_MAX 4096u
static uint64_t seen[SEEN_MAX];
static struct memory_totals before_machine;

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t signature(struct world *world)
{
    struct memory_totals live = memory_live();
    uint64_t hash = mix(mix(UINT64_C(0xcbf29ce484222325), live.blocks), live.bytes);

    for (unsigned i = 0; i < EXPLORE_ACTORS; i++)
        hash = mix(hash, (uint64_t)(int64_t)world->result[i]);
    for (unsigned i = 0; i < WORLD_FUNCTIONS; i++) {
        struct pcidev *dev = world_find(world, i);
        struct pcidev_info info = {.references = 0};

        if (dev)
            pcidev_snapshot(dev, &info);
        world_put(dev);
        hash = mix(mix(hash, info.references), info.owner_id);
    }
    return hash ? hash : 1;
}

static bool is_new(uint64_t hash)
{
    for (unsigned i = 0; i < SEEN_MAX; i++) {
        uint64_t *place = &seen[(hash + i) % SEEN_MAX];

        if (*place == hash)
            return false;
        if (!*place) {
            *place = hash;
            return true;
        }
    }
    return true;
}

static void take_down(struct world *world)
{
    struct memory_totals live;

    for (unsigned i = 0; i < EXPLORE_ACTORS; i++)
        world_put(world->dev[i]);
    for (unsigned i = 0; i < WORLD_GUESTS; i++) {
        if (!world->guest[i])
            continue;
        if (berth_domain_state(world->guest[i]) != BERTH_DOMAIN_DEAD)
            expect(berth_domain_destroy(world->guest[i], &world_patient) == 0);
        berth_domain_put(world->guest[i]);
    }
    expect(berth_machine_destroy(world->machine) == 0);
    port_idle();
    live = memory_live();
    if (live.blocks != before_machine.blocks)
        explore_fail("%u blocks of memory are left over", live.blocks - before_machine.blocks);
    for (unsigned i = 0; i < WORLD_SPACES; i++)
        expect(!world->space[i].live);
    expect(!world_vectors_bound(world));
    expect(!world->mapped);
}

void world_judge(struct world *world)
{
    if (!world->machine) /* a litmus test has none */
        return;
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned rank = 0; rank < LOCK_RANKS; rank++)
            if (threads[i].held[rank])
                explore_fail("%s ended with a lock of rank %u", search_thread_name(i), rank);
    for (unsigned i = 0; i < world->functions; i++)
        judge_function(world, i);
    if (is_new(signature(world)))
        take_down(world);
}

void world_begin(const struct explore_scenario *scenario)
{
    memset(seen, 0, sizeof(seen));
    world_now = explore_memory(sizeof(*world_now));
    before_machine = memory_live();
    scenario->setup(world_now);
    port_idle();
    memory_keep();
}
