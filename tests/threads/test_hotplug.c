/* SPDX-License-Identifier: MIT */
/* A card that comes and goes while the guest is busy with its port (M46). */
#include "tests/threads/team.h"
#include "tests/unit/ports.h"

#define WORK_MS 700
#define HOT_PLUG_INTERRUPT 0x0020u
#define LINK_CHANGE_ENABLE 0x1000u
#define LISTENS (HOT_PLUG_INTERRUPT | SLOT_PRESENCE | LINK_CHANGE_ENABLE)

static int setup(void **state)
{
    ports_setup(state);
    ports_view(1);
    put(port_at(0), PORT_SLOT_CONTROL, 2, LISTENS);
    return 0;
}

static void *plug(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    struct pcidev *dev = pcidev_find(ports.rig.machine, rig_nvme, "plug");

    while (team_goes_on(context)) {
        assert_int_equal(pcidev_assign(dev, ports.guest, &request), 0);
        assert_int_equal(pcidev_deassign(dev, ports.guest, &request), 0);
    }
    pcidev_put(dev, "plug");
    return NULL;
}

/* The level goes up and down in turns, which is checked where it is heard of (ports.c). */
static void *handle(void *context)
{
    uint32_t seed = 11;

    while (team_goes_on(context)) {
        uint32_t random = team_random(&seed) >> 16;

        if (random & 1)
            put(port_at(0), PORT_SLOT_STATUS, 2, random & 2 ? SLOT_EVENTS : SLOT_PRESENCE);
        else if (random & 4)
            put(port_at(0), PORT_SLOT_CONTROL, 2, random & 8 ? LISTENS : 0);
        else
            put(port_at(0), PORT_MSI_CONTROL, 2, random >> 4 & 1);
    }
    return NULL;
}

static void *enumerate(void *context)
{
    uint32_t seed = 13;

    while (team_goes_on(context)) {
        unsigned number = team_random(&seed) >> 16 & 0xff;
        struct sbdf card = at(number, 0, 0);
        uint32_t id;

        put(port_at(0), PORT_SECONDARY, 1, number);
        id = number < 8 ? UINT32_MAX : get(card, 0, 4); /* roots keep theirs */
        assert_true(id == UINT32_MAX || id >> 16 != 0x000c);
    }
    return NULL;
}

static void test_M46_a_port_in_a_hurry(void **state)
{
    struct team team;

    (void)state;
    team_begin(&team);
    team_start(&team, plug, &team);
    team_start(&team, handle, &team);
    team_start(&team, enumerate, &team);
    team_run(&team, WORK_MS);
    put(port_at(0), PORT_MSI_CONTROL, 2, 0);
    put(port_at(0), PORT_SLOT_CONTROL, 2, LISTENS);
    put(port_at(0), PORT_SLOT_STATUS, 2, SLOT_EVENTS);
    assert_int_equal(slot_status(0), 0);
    assert_false(ports.level);
    renumber(0, 8);
    lend(rig_nvme); /* nothing was lost on the way: the next event is heard */
    assert_true(ports.level);
    assert_int_equal(slot_status(0), SLOT_PRESENT | SLOT_EVENTS);
    assert_true(is_there(at(8, 0, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M46_a_port_in_a_hurry, setup, ports_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
