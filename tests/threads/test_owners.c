/* SPDX-License-Identifier: MIT */
/* Two who want one device, and who sees it meanwhile (F48, O2, O4, O6). */
#include "tests/threads/team.h"
#include "tests/unit/guests.h"

static struct team team;

/* Where every guest has what it is lent. */
static const struct sbdf seat = {0, 2, 0x18};

static int assign(struct sbdf sbdf, struct berth_domain *to)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS, .guest_address = &seat};
    struct pcidev *dev = pcidev_find(rig.machine, sbdf, "assign");
    int error = pcidev_assign(dev, to, &request);

    pcidev_put(dev, "assign");
    return error;
}

static int deassign(struct sbdf sbdf, struct berth_domain *from)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};
    struct pcidev *dev = pcidev_find(rig.machine, sbdf, "deassign");
    int error = pcidev_deassign(dev, from, &request);

    pcidev_put(dev, "deassign");
    return error;
}

/* ---- F48 ---- */

struct rival {
    struct sbdf sbdf;
    struct rig_vm *guest;
    int error;
};

static void *compete(void *context)
{
    struct rival *rival = context;

    for (;;) {
        team_meet(&team);
        if (!team_goes_on(&team))
            return NULL;
        rival->error = assign(rival->sbdf, rival->guest->domain);
        team_meet(&team);
    }
}

static void test_F48_exactly_one_of_two_assigns_wins(void **state)
{
    struct rival rivals[2] = {{rig_nvme, &vm, 0}, {rig_nvme, &vm2, 0}};
    unsigned wins[2] = {0, 0};
    uint64_t end = team_real_ns() + 1000000000u;

    (void)state;
    team_begin_rounds(&team, 3);
    team_start(&team, compete, &rivals[0]);
    team_start(&team, compete, &rivals[1]);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        struct rival *winner;

        team_meet(&team);
        team_meet(&team);
        assert_int_equal(!rivals[0].error + !rivals[1].error, 1);
        winner = &rivals[rivals[0].error ? 1 : 0];
        wins[winner - rivals]++;
        assert_int_equal(rivals[winner == rivals].error, -EBUSY);
        rig_expect_owner(&rig, rig_nvme, berth_domain_name(winner->guest->domain));
        assert_int_equal(deassign(rig_nvme, winner->guest->domain), 0);
    }
    team_dismiss(&team);
    print_message("  %u : %u\n", wins[0], wins[1]);
}

/* ---- M46: two devices, one slot of a guest ---- */

static void test_M46_exactly_one_of_two_devices_gets_the_slot(void **state)
{
    struct rival rivals[2] = {{rig_nvme, &vm, 0}, {rig_nvme2, &vm, 0}};
    uint64_t end = team_real_ns() + 800000000u;

    (void)state;
    team_begin_rounds(&team, 3);
    team_start(&team, compete, &rivals[0]);
    team_start(&team, compete, &rivals[1]);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        const struct rival *winner;

        team_meet(&team);
        team_meet(&team);
        assert_int_equal(!rivals[0].error + !rivals[1].error, 1);
        winner = &rivals[rivals[0].error ? 1 : 0];
        assert_int_equal(rivals[winner == rivals].error, -EBUSY);
        assert_true(sbdf_equal(rig_seen(&rig, winner->sbdf), seat));
        assert_int_equal(rig_reach(vm.domain), 1);
        assert_int_equal(deassign(winner->sbdf, vm.domain), 0);
    }
    team_dismiss(&team);
}

/* ---- O4: two devices, one requester id ---- */

static void test_O4_two_guests_never_share_a_requester_id(void **state)
{
    struct rival rivals[2] = {{rig_legacy, &vm, 0}, {rig_legacy2, &vm2, 0}};
    uint64_t end = team_real_ns() + 1000000000u;

    (void)state;
    rig_quarantine(&rig, rig_legacy);
    rig_quarantine(&rig, rig_legacy2);
    team_begin_rounds(&team, 3);
    team_start(&team, compete, &rivals[0]);
    team_start(&team, compete, &rivals[1]);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        team_meet(&team);
        team_meet(&team);
        assert_false(!rivals[0].error && !rivals[1].error);
        for (unsigned i = 0; i < 2; i++)
            if (rivals[i].error) /* both may see the other's half-made claim and step back */
                rig_expect_owner(&rig, rivals[i].sbdf, "quarantine");
            else
                assert_int_equal(deassign(rivals[i].sbdf, rivals[i].guest->domain), 0);
    }
    team_dismiss(&team);
}

/* ---- O2: the guests' config reads ---- */

/* Whose it is, and even numbers while that cannot change: 0 nobody, 2 vm1, 4 vm2, odd: moving. */
static _Atomic unsigned epoch;
static _Atomic unsigned reads[2], hits[2];

static unsigned owner_of(unsigned e)
{
    return e / 2 % 4;
}

static void *read_config(void *context)
{
    unsigned who = context == &vm ? 0 : 1;
    struct berth_domain *domain = ((struct rig_vm *)context)->domain;

    while (team_goes_on(&team)) {
        unsigned before = atomic_load(&epoch);
        uint64_t value = berth_domain_config_read(domain, seat, 0, 4);

        assert_true(value == UINT32_MAX || value == 0x00101b36);
        berth_domain_config_write(domain, seat, 0x0c, 1, 0x10);
        reads[who]++;
        hits[who] += value != UINT32_MAX;
        if (before & 1 || atomic_load(&epoch) != before)
            continue;
        if (owner_of(before) == who + 1)
            assert_int_equal(value, 0x00101b36);
        else
            assert_int_equal(value, UINT32_MAX); /* the old owner, the new one, anybody else */
    }
    return NULL;
}

static void *pass_around(void *context)
{
    struct rig_vm *guests[] = {&vm, &vm2};

    (void)context;
    atomic_store(&epoch, 0);
    for (unsigned i = 0; team_goes_on(&team); i ^= 1) {
        atomic_fetch_add(&epoch, 1);
        assert_int_equal(assign(rig_nvme, guests[i]->domain), 0);
        atomic_store(&epoch, (atomic_load(&epoch) | 7) + 1 + 2 * (i + 1)); /* 8 n + 2 (i + 1) */
        for (unsigned spin = 0; spin < 2000; spin++)
            (void)berth_domain_config_read(guests[i]->domain, seat, 0, 4);
        atomic_fetch_add(&epoch, 1);
        assert_int_equal(deassign(rig_nvme, guests[i]->domain), 0);
        atomic_store(&epoch, (atomic_load(&epoch) | 7) + 1);
    }
    return NULL;
}

static bool both_have_read(void)
{
    return reads[0] > 100 && reads[1] > 100 && hits[0] && hits[1];
}

static void test_O2_only_the_owner_sees_the_device(void **state)
{
    (void)state;
    team_begin(&team);
    team_start(&team, read_config, &vm);
    team_start(&team, read_config, &vm2);
    team_start(&team, pass_around, NULL);
    team_run_until(&team, 1500, both_have_read);
}

/* ---- O6 ---- */

static void *insist(void *context)
{
    (void)context;
    while (team_goes_on(&team))
        berth_domain_config_write(vm.domain, seat, 4, 2, 6);
    return NULL;
}

static void *fault(void *context)
{
    _Atomic unsigned *contained = context;

    for (unsigned i = 0; i < 200; i++)
        *contained += berth_machine_fault(rig.machine, rig_nvme) == 1;
    return NULL;
}

static void test_O6_a_guest_that_insists_is_contained(void **state)
{
    _Atomic unsigned contained;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        contained = 0;
        assert_int_equal(assign(rig_nvme, vm.domain), 0);
        team_begin(&team);
        team_start(&team, insist, NULL);
        team_start(&team, fault, &contained);
        team_start(&team, fault, &contained);
        team_run(&team, 20);
        assert_int_equal(contained, 1);
        assert_int_equal(rig_peek(&rig, rig_nvme, 4, 2) & 4, 0);
        assert_int_equal(deassign(rig_nvme, vm.domain), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F48_exactly_one_of_two_assigns_wins),
        TEST(test_M46_exactly_one_of_two_devices_gets_the_slot),
        TEST(test_O4_two_guests_never_share_a_requester_id),
        TEST(test_O2_only_the_owner_sees_the_device),
        TEST(test_O6_a_guest_that_insists_is_contained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
