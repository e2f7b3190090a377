/* SPDX-License-Identifier: MIT */
/* BARs that are mapped piece by piece, and what comes in between (M42): F76, V6, O2, K14, R2. */
#include "tests/unit/zoo.h"

#define DECODE (COMMAND_IO | COMMAND_MEMORY)
#define PM_D3HOT 3u

static bool memory_is_on(struct sbdf sbdf)
{
    return zoo_get(sbdf, COMMAND, 2) & COMMAND_MEMORY;
}

/* ---- a virtual CPU that is held back ---- */

struct cpu {
    struct berth_vcpu vcpu;
    bool waits;
};

static void cpu_write(struct cpu *cpu, uint32_t command)
{
    int error = berth_vcpu_config_write(&cpu->vcpu, zoo.guest, rig_seen(&zoo.rig, zoo_big), COMMAND,
                                        2, command);

    assert_true(error == 0 || error == -EAGAIN);
    cpu->waits = error != 0;
}

/* At most @steps of them. */
static unsigned cpu_run(struct cpu *cpu, unsigned steps)
{
    unsigned done = 0;

    for (; done < steps && cpu->waits; done++)
        cpu->waits = berth_vcpu_continue(&cpu->vcpu) == -EAGAIN;
    return done;
}

static void test_F76_the_guest_does_not_run_on_half_a_map(void **state)
{
    struct cpu cpu = {.waits = false};
    unsigned before = 0;
    uint64_t value;

    (void)state;
    zoo_place(zoo_big);
    cpu_write(&cpu, COMMAND_MEMORY);
    assert_true(cpu.waits);
    assert_int_equal(zoo.maps.maps, 0);
    while (cpu.waits) {
        assert_false(memory_is_on(zoo_big));
        assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR0, 4, &value), -ENOENT);
        cpu_run(&cpu, 1);
        assert_in_range(zoo.maps.maps - before, 0, 1); /* one piece at a time */
        before = zoo.maps.maps;
    }
    assert_true(memory_is_on(zoo_big));
    zoo_expect_big_mapped();
    cpu_write(&cpu, 0);
    while (cpu.waits) {
        assert_true(memory_is_on(zoo_big));
        assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR0, 4, &value), 0);
        cpu_run(&cpu, 1);
    }
    assert_false(memory_is_on(zoo_big));
    zoo_expect_unmapped(zoo_big);
}

/* What may come in between, after any number of pieces. */
static void turn_off(void)
{
    zoo_put(zoo_big, COMMAND, 2, 0);
    assert_false(memory_is_on(zoo_big));
}

/* Nor does it come back with the next write that is about something else. */
static void reset(void)
{
    assert_int_equal(rig_reset(&zoo.rig, zoo_big), 0);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM);
    assert_false(memory_is_on(zoo_big));
}

static void deassign(void)
{
    assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), 0);
}

static void reassign(void)
{
    deassign();
    assert_int_equal(rig_assign(&zoo.rig, zoo_big, zoo.guest), 0);
    assert_false(memory_is_on(zoo_big));
}

static void remove_by_force(void)
{
    assert_int_equal(rig_remove(&zoo.rig, zoo_big, PCIDEV_REMOVE_FORCE), 0);
}

static void pull(void)
{
    rig_pull(&zoo.rig, zoo_big);
    remove_by_force();
}

static void destroy(void)
{
    rig_destroy_guest(&zoo.rig, zoo.guest);
    zoo.guest = NULL;
}

static void comes_back(void)
{
    if (!zoo.guest) {
        zoo.guest = zoo_guest("vm1", &zoo.maps, NULL, 0);
    } else if (!sim_present(zoo.rig.sim, zoo_big)) {
        assert_int_equal(sim_return(zoo.rig.sim, zoo_big), 0);
    }
    if (!rig_has(&zoo.rig, zoo_big))
        assert_int_equal(rig_add(&zoo.rig, zoo_big), 0);
    if (rig_info(&zoo.rig, zoo_big).owner_kind != BERTH_DOMAIN_GUEST)
        assert_int_equal(rig_assign(&zoo.rig, zoo_big, zoo.guest), 0);
    zoo_place(zoo_big);
}

static void test_V6_an_operation_ends_without_effect(void **state)
{
    static void (*const events[])(void) = {
        turn_off, reset, deassign, reassign, remove_by_force, pull, destroy,
    };

    (void)state;
    for (unsigned event = 0; event < sizeof(events) / sizeof(events[0]); event++) {
        for (unsigned pieces = 0; pieces <= ZOO_PIECES; pieces++) {
            struct cpu cpu = {.waits = false};

            comes_back();
            cpu_write(&cpu, COMMAND_MEMORY);
            assert_int_equal(cpu_run(&cpu, pieces), pieces);
            assert_true(cpu.waits);
            events[event]();
            assert_int_equal(zoo.maps.count, 0);
            cpu_run(&cpu, 100);
            assert_false(cpu.waits);
            assert_int_equal(zoo.maps.count, 0);
        }
    }
    comes_back();
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_expect_big_mapped();
}

/* The same on the way off. */
static void test_V6_an_unmap_ends_without_effect(void **state)
{
    static void (*const events[])(void) = {deassign, remove_by_force, pull, destroy};

    (void)state;
    for (unsigned event = 0; event < sizeof(events) / sizeof(events[0]); event++) {
        for (unsigned pieces = 0; pieces <= ZOO_PIECES; pieces++) {
            struct cpu cpu = {.waits = false};

            comes_back();
            assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
            cpu_write(&cpu, 0);
            cpu_run(&cpu, pieces);
            events[event]();
            assert_int_equal(zoo.maps.count, 0);
            cpu_run(&cpu, 100);
            assert_false(cpu.waits);
        }
    }
    comes_back();
}

/* It goes on where a transition was refused: owner and generation are the same. */
static void test_V6_a_transition_that_is_undone_does_not_end_it(void **state)
{
    (void)state;
    for (unsigned pieces = 1; pieces <= ZOO_PIECES; pieces++) {
        struct cpu cpu = {.waits = false};

        zoo_place(zoo_big);
        cpu_write(&cpu, COMMAND_MEMORY);
        cpu_run(&cpu, pieces);
        zoo.maps.fail_unmap = 1;
        assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), -EIO);
        rig_expect_owner(&zoo.rig, zoo_big, "vm1");
        cpu_run(&cpu, 100);
        assert_true(memory_is_on(zoo_big));
        zoo_expect_big_mapped();
        assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    }
}

/* A virtual CPU ends: what it left is completed, or taken away, by the next write. */
static void test_a_CPU_that_stops_leaves_no_half_a_map_for_ever(void **state)
{
    (void)state;
    for (unsigned pieces = 0; pieces <= ZOO_PIECES; pieces++) {
        struct cpu cpu = {.waits = false};

        zoo_place(zoo_big);
        cpu_write(&cpu, COMMAND_MEMORY);
        cpu_run(&cpu, pieces);
        berth_vcpu_stop(&cpu.vcpu);
        assert_false(memory_is_on(zoo_big));
        if (pieces % 2)
            assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
        assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
        zoo_expect_unmapped(zoo_big);
    }
}

/* ---- transitions ---- */

static void test_a_reset_takes_the_map_away_and_brings_it_back(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_big, DECODE));
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    assert_int_equal(rig_reset(&zoo.rig, zoo_big), 0);
    assert_int_equal(zoo.maps.unmaps, ZOO_PIECES);
    assert_int_equal(zoo_get(zoo_big, COMMAND, 2), DECODE);
    zoo_expect_big_mapped();
}

/* R2, O2: nothing is left when it is reported as done. */
static void test_O2_a_device_that_leaves_takes_its_map_along(void **state)
{
    uint64_t value;

    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, DECODE));
    assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), 0);
    assert_int_equal(zoo.maps.count, 0);
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR2, 4, &value), -ENOENT);
    assert_int_equal(berth_domain_port_read(zoo.guest, ZOO_BIG_BAR3, 4, &value), -ENOENT);
    zoo_place(zoo_small); /* and its place is free */
    zoo_put(zoo_small, BAR(2), 4, ZOO_BIG_BAR2);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
}

/* A guest that keeps what it cannot unmap: the device is with its owner, as before. */
static void test_a_device_that_cannot_be_unmapped_is_not_taken_away(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, DECODE));
    for (unsigned k = 1; k <= ZOO_PIECES; k++) {
        zoo.maps.fail_unmap = k;
        assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), -EIO);
        rig_expect_owner(&zoo.rig, zoo_big, "vm1");
        assert_int_equal(zoo_get(zoo_big, COMMAND, 2), DECODE);
        zoo_expect_big_mapped();
    }
    assert_false(rig_info(&zoo.rig, zoo_big).broken);
}

/* M14, K14: nothing of a BAR is reachable in D3. */
static void test_K14_a_device_that_sleeps_is_not_mapped(void **state)
{
    unsigned pm = mb_find_cap(rig_function(&zoo.rig, zoo_big), 1);
    uint64_t value;

    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, DECODE));
    zoo_put(zoo_big, pm + 4, 2, PM_D3HOT);
    assert_int_equal(rig_peek(&zoo.rig, zoo_big, pm + 4, 2) & PM_D3HOT, PM_D3HOT);
    zoo_expect_unmapped(zoo_big);
    assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR2, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
    assert_int_equal(berth_domain_mmio_write(zoo.guest, ZOO_BIG_BAR2, 4, 1), 0);
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY)); /* decode is as the guest says, all the same */
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_expect_unmapped(zoo_big);
    zoo_put(zoo_big, pm + 4, 2, 0);
    zoo_expect_big_mapped();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, zoo_setup, zoo_teardown)
        TEST(test_F76_the_guest_does_not_run_on_half_a_map),
        TEST(test_V6_an_operation_ends_without_effect),
        TEST(test_V6_an_unmap_ends_without_effect),
        TEST(test_V6_a_transition_that_is_undone_does_not_end_it),
        TEST(test_a_CPU_that_stops_leaves_no_half_a_map_for_ever),
        TEST(test_a_reset_takes_the_map_away_and_brings_it_back),
        TEST(test_O2_a_device_that_leaves_takes_its_map_along),
        TEST(test_a_device_that_cannot_be_unmapped_is_not_taken_away),
        TEST(test_K14_a_device_that_sleeps_is_not_mapped),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
