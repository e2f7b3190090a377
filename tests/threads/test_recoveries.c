/* SPDX-License-Identifier: MIT */
/* Recoveries (M13) against changes of the owner, resets by the guest, removals. */
#include <string.h>

#include "tests/threads/team.h"
#include "tests/unit/guests.h"

#define WORK_MS 700
#define CAP_EXP 0x10
#define DEVCTL 0x08
#define DEVCTL_FLR 0x8000u

static const struct sbdf seat = {0, 2, 0x18};

static _Atomic unsigned recovered;

static int teardown(void **state)
{
    assert_int_equal(vm.crashed, 0);
    return guests_teardown(state);
}

/* Off and on, for what is broken has lost its BARs. */
static void exchange(struct pcidev *dev)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};

    if (pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request))
        return;
    assert_int_equal(sim_vanish(rig.sim, rig_nvme), 0);
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0);
    assert_int_equal(pcidev_add(rig.machine, rig_nvme, NULL, &request), 0);
}

static void *administrate(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS, .guest_address = &seat};
    struct team *team = context;
    uint32_t seed = 3;

    while (team_goes_on(team)) {
        struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "administrate");
        int error = pcidev_assign(dev, vm.domain, &request);

        assert_true(!error || error == -EBUSY || error == -EBADF);
        if (error == -EBADF || !(team_random(&seed) & 0x70000))
            exchange(dev);
        else if (!(team_random(&seed) & 0x30000))
            error = pcidev_deassign(dev, vm.domain, &request);
        pcidev_put(dev, "administrate");
    }
    return NULL;
}

static void *report(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    struct team *team = context;
    uint32_t seed = 5;

    while (team_goes_on(team)) {
        struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "report");
        int error;

        port_sleep_ns(team_random(&seed) >> 3); /* up to half a second: storms happen */
        if (!dev)
            continue;
        error =
            pcidev_recover(dev, PCIDEV_TROUBLE_NONFATAL + (team_random(&seed) >> 16) % 3, &request);
        assert_true(!error || error == -ENODEV || error == -EIO);
        if (!error)
            atomic_fetch_add(&recovered, 1);
        pcidev_put(dev, "report");
    }
    return NULL;
}

static void *drive(void *context)
{
    const unsigned devctl = mb_find_cap(rig_function(&rig, rig_nvme), CAP_EXP) + DEVCTL;
    struct team *team = context;
    uint32_t seed = 9;

    while (team_goes_on(team)) {
        uint64_t command = berth_domain_config_read(vm.domain, seat, 4, 2);

        assert_true(command == UINT16_MAX || !(command & ~(uint64_t)6));
        berth_domain_config_write(vm.domain, seat, 4, 2, 6);
        if (!(team_random(&seed) & 0xf0000))
            berth_domain_config_write(vm.domain, seat, devctl, 2, DEVCTL_FLR);
    }
    return NULL;
}

static bool recovered_often(void)
{
    return atomic_load(&recovered) > 5;
}

static void test_M13_recoveries_against_everybody(void **state)
{
    struct team team;

    (void)state;
    atomic_store(&recovered, 0);
    team_begin(&team);
    team_start(&team, administrate, &team);
    team_start(&team, report, &team);
    team_start(&team, report, &team);
    team_start(&team, drive, &team);
    team_run_until(&team, WORK_MS, recovered_often);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M13_recoveries_against_everybody, guests_setup_one,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
