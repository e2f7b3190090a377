/* SPDX-License-Identifier: MIT */
/* Views and handles against removal: F70, K02. */
#include <berth_port.h>

#include "tests/threads/team.h"
#include "tests/unit/guest_maps.h"

#define COMMAND 4u
#define MEMORY 2u
#define BAR0 0x10u
#define ID 0x00101b36u
#define RUN_MS 300
#define PATIENCE_NS UINT64_C(20000000000)

static struct rig rig;
static struct team team;
static struct guest_maps maps;
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct berth_domain *guest;
static _Atomic unsigned decoded, refused, answered, moved;

static const struct sbdf card[2] = {{0, 0, 0x48}, {0, 0, 0x50}};
static const struct sbdf seat[2] = {{0, 2, 0x18}, {0, 3, 0x20}};

/* Two BARs of one guest over one another are caught in here. */
static int map(void *context, const struct berth_piece *piece)
{
    int error;

    pthread_mutex_lock(&maps_lock);
    error = guest_maps_ops.map(context, piece);
    pthread_mutex_unlock(&maps_lock);
    return error;
}

static int unmap(void *context, const struct berth_piece *piece)
{
    int error;

    pthread_mutex_lock(&maps_lock);
    error = guest_maps_ops.unmap(context, piece);
    pthread_mutex_unlock(&maps_lock);
    return error;
}

static const struct berth_view_ops ops = {.map = map, .unmap = unmap};

static int setup(void **state)
{
    const struct berth_view_config view = {.ops = &ops, .context = &maps};

    (void)state;
    decoded = refused = answered = moved = 0;
    rig_begin(&rig);
    for (unsigned i = 0; i < 2; i++)
        mb_no_flr(mb_rc_endpoint(&rig.builder, card[i]));
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(berth_domain_set_view(guest, &view), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_assign_at(&rig, card[i], guest, seat[i]), 0);
    team_begin(&team);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest);
    assert_int_equal(maps.count, 0);
    rig_down(&rig);
    return 0;
}

/* However busy the machine is: each of them has done something before the time begins. */
static void wait_for(const _Atomic unsigned *count)
{
    uint64_t begin = team_real_ns();

    for (unsigned i = 0; atomic_load(count) < 10; i++) {
        assert_true(team_real_ns() - begin < PATIENCE_NS);
        port_relax(i);
    }
}

/* ---- F70 ---- */

/* Both devices want the same place: each switch-on looks at the BARs of the other one. */
static void *toggle_decode(void *context)
{
    const struct sbdf at_guest = *(const struct sbdf *)context;
    uint32_t seed = at_guest.bus;

    while (team_goes_on(&team)) {
        uint64_t place = 0x10000000 + team_random(&seed) % 4 * 0x2000;

        berth_domain_config_write(guest, at_guest, COMMAND, 2, 0);
        berth_domain_config_write(guest, at_guest, BAR0, 8, place);
        berth_domain_config_write(guest, at_guest, COMMAND, 2, MEMORY);
        if (berth_domain_config_read(guest, at_guest, COMMAND, 2) == MEMORY)
            decoded++;
        else
            refused++;
    }
    return NULL;
}

static void *read_config(void *context)
{
    (void)context;
    while (team_goes_on(&team)) {
        for (unsigned reg = 0; reg < 0x200; reg += 4) {
            uint64_t value = berth_domain_config_read(guest, seat[1], reg, 4);

            if (reg == 0)
                assert_true(value == ID || value == UINT32_MAX);
            answered += reg == 0 && value == ID;
        }
    }
    return NULL;
}

static void *take_away_and_give(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS,
                                          .guest_address = &seat[1]};

    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, card[1], "take");

        if (moved++ % 2) {
            assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
            assert_int_equal(berth_domain_config_read(guest, seat[1], 0, 4), UINT32_MAX);
            assert_int_equal(pcidev_add(rig.machine, card[1], NULL, &request), 0);
        } else {
            assert_int_equal(pcidev_deassign(dev, guest, &request), 0);
        }
        pcidev_put(dev, "take");
        dev = pcidev_find(rig.machine, card[1], "take");
        assert_int_equal(pcidev_assign(dev, guest, &request), 0);
        pcidev_put(dev, "take");
        for (unsigned i = 0; i < 20; i++)
            sched_yield();
    }
    return NULL;
}

static void test_F70_two_devices_of_a_guest_and_one_that_comes_and_goes(void **state)
{
    (void)state;
    team_start(&team, toggle_decode, (void *)(uintptr_t)&seat[0]);
    team_start(&team, toggle_decode, (void *)(uintptr_t)&seat[1]);
    team_start(&team, read_config, NULL);
    team_start(&team, take_away_and_give, NULL);
    wait_for(&decoded);
    wait_for(&refused);
    wait_for(&answered);
    wait_for(&moved);
    team_run(&team, RUN_MS);
}

/* ---- K02 ---- */

/* Whose removal has returned; kept in memory by whoever removed it. */
static _Atomic(struct pcidev *) removed;
static _Atomic unsigned handles, entered, late;

static void enter_once(struct pcidev *dev)
{
    struct pcidev_section section;
    uint32_t value;

    if (!pcidev_enter(dev, "handle", &section)) {
        late++;
        return;
    }
    assert_ptr_not_equal(atomic_load(&removed), dev);
    assert_int_equal(pcidev_config_read(dev, 0, 4, &value), 0);
    assert_int_equal(value, ID);
    pcidev_exit(&section);
    entered++;
}

/* A second handle is made of a first one, at every moment of a removal. */
static void *make_handles(void *context)
{
    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *first = pcidev_find(rig.machine, card[1], "first"), *second;

        if (!first)
            continue;
        second = pcidev_handle_open(first);
        pcidev_put(first, "first");
        for (unsigned i = 0; i < 4; i++)
            enter_once(second);
        pcidev_handle_close(second);
        handles++;
    }
    return NULL;
}

static void *revoke_and_add(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};

    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, card[1], "revoke");

        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
        atomic_store(&removed, dev);
        for (unsigned i = 0; i < 5; i++)
            sched_yield();
        atomic_store(&removed, NULL);
        pcidev_put(dev, "revoke");
        assert_int_equal(pcidev_add(rig.machine, card[1], NULL, &request), 0);
        moved++;
        for (unsigned i = 0; i < 5; i++)
            sched_yield();
    }
    return NULL;
}

static void test_K02_a_handle_made_during_removal_opens_nothing_after_it(void **state)
{
    (void)state;
    handles = entered = late = 0;
    team_start(&team, make_handles, NULL);
    team_start(&team, make_handles, NULL);
    team_start(&team, revoke_and_add, NULL);
    wait_for(&handles);
    wait_for(&entered);
    wait_for(&late);
    wait_for(&moved);
    team_run(&team, RUN_MS);
    rig_expect_untouched(&rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F70_two_devices_of_a_guest_and_one_that_comes_and_goes),
        TEST(test_K02_a_handle_made_during_removal_opens_nothing_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
