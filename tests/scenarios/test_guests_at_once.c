/* SPDX-License-Identifier: MIT */
/* Guests that share a machine, and nothing else: X13, X36. */
#include <sched.h>
#include <stdio.h>

#include <berth/isolation.h>

#include "tests/threads/team.h"
#include "tests/unit/rig.h"

#define GUESTS 4u
#define ROUNDS 50u
#define MS_OF_WORK 300u
#define PATIENCE_NS UINT64_C(20000000000) /* real time */
#define PAGE 0x1000u
#define COMMAND 4
#define COMMAND_ON 6u
#define BAR0 0x10
#define MSIX_TABLE 0x2000u
#define MSIX_ENABLE 0x8000u
#define CAP_MSIX 0x11
#define MASK_ALL 0x4000u

struct guest {
    struct sbdf dev, seen;
    struct rig_vm vm;
    uint64_t bar;
    unsigned msix;
    _Atomic unsigned rounds;
};

static struct rig rig;
static struct team team;
static struct guest guests[GUESTS];

/* ---- X13: what one guest gives up is another one's at once ---- */

static void expect_own_memory(struct sbdf sbdf, const struct berth_domain *owner)
{
    const struct sim_dma dma = rig_dma(&rig, sbdf, PAGE);

    assert_int_equal(dma.result, SIM_DMA_DOMAIN);
    assert_int_equal(dma.domain_id, berth_domain_id(owner));
    assert_false(dma.stale);
}

static int move(struct sbdf sbdf, struct berth_domain *guest, bool lend)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    struct pcidev *dev = pcidev_find(rig.machine, sbdf, "move");
    int error = lend ? pcidev_assign(dev, guest, &request) : pcidev_deassign(dev, guest, &request);

    pcidev_put(dev, "move");
    return error;
}

static void live_once(const struct guest *g, const char *name)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    struct berth_domain *guest = rig_guest(&rig, name);

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(move(g->dev, guest, true), 0);
        rig_master_on(&rig, g->dev, guest);
        expect_own_memory(g->dev, guest);
        sched_yield();
        expect_own_memory(g->dev, guest);
        if (!i)
            assert_int_equal(move(g->dev, guest, false), 0);
    }
    assert_int_equal(berth_domain_destroy(guest, &request), 0);
    berth_domain_put(guest);
}

static void *live_and_die(void *context)
{
    struct guest *g = context;
    char name[BERTH_NAME_SIZE];

    snprintf(name, sizeof(name), "guest%u", (unsigned)(g - guests));
    do {
        live_once(g, name);
        atomic_fetch_add(&g->rounds, 1);
    } while (team_goes_on(&team));
    return NULL;
}

static void test_X13_a_space_is_never_taken_for_one_that_was_freed(void **state)
{
    struct sim_counters counters;

    (void)state;
    team_begin(&team);
    for (unsigned i = 0; i < GUESTS; i++)
        team_start(&team, live_and_die, &guests[i]);
    team_run(&team, MS_OF_WORK);
    for (unsigned i = 0; i < GUESTS; i++)
        assert_true(guests[i].rounds > 0);
    sim_counters(rig.sim, &counters);
    assert_int_equal(counters.spaces_freed_in_use, 0);
    assert_int_equal(counters.attach_gaps, 0);
}

/* ---- X36: guests that are busy, each with its own device ---- */

static void put(const struct guest *g, unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(g->vm.domain, g->seen, reg, length, value);
}

static uint64_t get(const struct guest *g, unsigned reg, unsigned length)
{
    return berth_domain_config_read(g->vm.domain, g->seen, reg, length);
}

static unsigned find_msix(const struct guest *g)
{
    unsigned cap = (unsigned)get(g, 0x34, 1);

    while (cap && get(g, cap, 1) != CAP_MSIX)
        cap = (unsigned)get(g, cap + 1, 1);
    assert_int_not_equal(cap, 0);
    return cap;
}

/* Maps, binds, asks, unbinds, unmaps. */
static void be_busy(struct guest *g)
{
    struct pcidev *dev = pcidev_find(rig.machine, g->dev, "busy");
    uint32_t group;

    put(g, BAR0, 8, g->bar);
    put(g, COMMAND, 2, COMMAND_ON);
    assert_int_equal(get(g, COMMAND, 2), COMMAND_ON);
    put(g, g->msix + 2, 2, MSIX_ENABLE);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(
            berth_domain_mmio_write(g->vm.domain, g->bar + MSIX_TABLE + 16 * i + 12, 4, 0), 0);
    assert_int_equal(pcidev_group(dev, &group), 0);
    put(g, g->msix + 2, 2, MASK_ALL);
    put(g, COMMAND, 2, 0);
    pcidev_put(dev, "busy");
    atomic_fetch_add(&g->rounds, 1);
}

static void *stay_busy(void *context)
{
    struct guest *g = context;

    do
        be_busy(g);
    while (team_goes_on(&team));
    return NULL;
}

static void test_X36_guests_are_busy_at_once(void **state)
{
    (void)state;
    team_begin(&team);
    for (unsigned i = 0; i < GUESTS; i++)
        team_start(&team, stay_busy, &guests[i]);
    team_run(&team, MS_OF_WORK);
    for (unsigned i = 0; i < GUESTS; i++)
        assert_int_equal(guests[i].vm.mapped, 0);
}

/* ---- X36: one of them is stuck in what its VMM, or the host, does for it ---- */

static _Atomic bool is_stuck;

static bool others_went_on(const struct guest *g)
{
    for (unsigned i = 0; i < GUESTS; i++)
        if (&guests[i] != g && atomic_load(&guests[i].rounds) < ROUNDS)
            return false;
    return true;
}

/* Nothing is done for the first guest before the others have done all of their rounds. */
static void wait_for_the_others(void)
{
    const uint64_t end = team_real_ns() + PATIENCE_NS;

    atomic_store(&is_stuck, true);
    while (!others_went_on(&guests[0])) {
        assert_true(team_real_ns() < end);
        sched_yield();
    }
}

static int stuck_map(void *context, const struct berth_piece *piece)
{
    (void)context, (void)piece;
    wait_for_the_others();
    return 0;
}

static int stuck_unmap(void *context, const struct berth_piece *piece)
{
    (void)context, (void)piece;
    return 0;
}

static const struct berth_view_ops stuck_ops = {.map = stuck_map, .unmap = stuck_unmap};
static const struct berth_view_config stuck_view = {.ops = &stuck_ops};
static struct berth_irq_ops stuck_irqs;

static int stuck_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    if (sbdf_equal(irq->device, guests[0].dev) && irq->kind == BERTH_IRQ_MSIX)
        wait_for_the_others();
    return sim_irq_ops.bind(irqs, irq, message);
}

static void with_stuck_irqs(struct berth_machine_config *config)
{
    stuck_irqs = sim_irq_ops;
    stuck_irqs.bind = stuck_bind;
    config->irqs = &stuck_irqs;
}

static void *do_rounds(void *context)
{
    struct guest *g = context;

    while (g != &guests[0] && !atomic_load(&is_stuck))
        sched_yield();
    for (unsigned i = 0; i < (g == &guests[0] ? 1 : ROUNDS); i++)
        be_busy(g);
    return NULL;
}

static void test_X36_one_that_is_stuck_keeps_nobody(void **state)
{
    (void)state;
    atomic_store(&is_stuck, false);
    team_begin(&team);
    for (unsigned i = 0; i < GUESTS; i++)
        team_start(&team, do_rounds, &guests[i]);
    team_run(&team, 1);
    assert_true(is_stuck);
    assert_int_equal(guests[0].rounds, 1);
}

/* ---- the machine ---- */

static int begin(rig_configure *configure)
{
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, configure);
    for (unsigned i = 0; i < GUESTS; i++)
        guests[i] = (struct guest){
            .dev = *(const struct sbdf *const[]){&rig_nvme, &rig_nvme2, &rig_phantom, &rig_pf}[i],
            .bar = UINT64_C(0x4000000000) + i * UINT64_C(0x100000000),
        };
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return begin(NULL);
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

static int begin_lent(rig_configure *configure, const struct berth_view_config *view)
{
    char name[BERTH_NAME_SIZE];

    begin(configure);
    for (unsigned i = 0; i < GUESTS; i++) {
        struct guest *g = &guests[i];

        snprintf(name, sizeof(name), "guest%u", i);
        if (view && !i)
            rig_vm_up_with(&rig, &g->vm, name, view);
        else
            rig_vm_up(&rig, &g->vm, name);
        assert_int_equal(rig_assign(&rig, g->dev, g->vm.domain), 0);
        g->seen = rig_seen(&rig, g->dev);
        g->msix = find_msix(g);
    }
    return 0;
}

static int setup_lent(void **state)
{
    (void)state;
    return begin_lent(NULL, NULL);
}

static int setup_stuck_map(void **state)
{
    (void)state;
    return begin_lent(NULL, &stuck_view);
}

static int setup_stuck_bind(void **state)
{
    (void)state;
    return begin_lent(with_stuck_irqs, NULL);
}

static int teardown_lent(void **state)
{
    for (unsigned i = 0; i < GUESTS; i++)
        rig_vm_down(&guests[i].vm);
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_X13_a_space_is_never_taken_for_one_that_was_freed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_X36_guests_are_busy_at_once, setup_lent,
                                        teardown_lent),
        cmocka_unit_test_setup_teardown(test_X36_one_that_is_stuck_keeps_nobody, setup_stuck_map,
                                        teardown_lent),
        cmocka_unit_test_setup_teardown(test_X36_one_that_is_stuck_keeps_nobody, setup_stuck_bind,
                                        teardown_lent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
