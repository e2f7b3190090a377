/* SPDX-License-Identifier: MIT */
/* What a config write sets off, piece by piece, while its virtual CPU waits (V6, M42, F76). */
#include <pthread.h>
#include <string.h>

#include <berth_port.h>

#include "tests/unit/rig.h"

#define COMMAND 4
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define BAR0 0x10
#define BAR_SIZE UINT64_C(0x10000)
#define PIECES 14u /* pages of the BAR, without those of the MSI-X table and its pending bits */
#define PLACE UINT64_C(0x8000000000)
#define CAP_EXP 0x10
#define DEVCTL 8
#define DEVCTL_FLR 0x8000u

static struct rig rig;
static struct rig_vm vm, vm2;
static struct pcidev *dev;
static struct berth_vcpu vcpu;
static const struct sbdf card = {0, 0, 0x48};
static const struct sbdf seat = {0, 2, 0x18};

/* One page at a time. */
static _Atomic unsigned mapped, pieces;
static _Atomic int map_error;

static int map_page(void *context, const struct berth_piece *piece)
{
    (void)context;
    assert_int_equal(piece->length, BERTH_PAGE_SIZE);
    assert_int_equal(piece->guest, PLACE + piece->offset);
    if (map_error)
        return map_error;
    mapped++;
    pieces++;
    return 0;
}

static int unmap_page(void *context, const struct berth_piece *piece)
{
    (void)context;
    assert_int_equal(piece->length, BERTH_PAGE_SIZE);
    mapped--;
    return 0;
}

static const struct berth_view_ops view_ops = {.map = map_page, .unmap = unmap_page};
static const struct berth_view_config view = {.ops = &view_ops, .piece_size = BERTH_PAGE_SIZE};

/* Guests that can be held up in a transition, with the view of this test. */
static void guest_up(struct rig_vm *guest, const char *name)
{
    rig_vm_up_with(&rig, guest, name, &view);
}

static int setup(void **state)
{
    (void)state;
    mapped = pieces = 0;
    map_error = 0;
    vcpu = (struct berth_vcpu){.dev = NULL};
    rig_begin(&rig);
    mb_bar(mb_rc_endpoint(&rig.builder, card), 0, MB_BAR_PREFETCH64, BAR_SIZE);
    rig_up(&rig, NULL);
    guest_up(&vm, "vm1");
    guest_up(&vm2, "vm2");
    assert_int_equal(rig_assign_at(&rig, card, vm.domain, seat), 0);
    dev = rig_dev(&rig, card);
    berth_domain_config_write(vm.domain, seat, BAR0, 8, PLACE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_null(vcpu.dev);
    rig_put(dev);
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    assert_int_equal(mapped, 0);
    rig_down(&rig);
    return 0;
}

static uint64_t command(void)
{
    return berth_domain_config_read(vm.domain, seat, COMMAND, 2);
}

static int write_command(struct berth_vcpu *by, uint32_t value)
{
    return berth_vcpu_config_write(by, vm.domain, seat, COMMAND, 2, value);
}

/* Operations that hold the device. */
static unsigned operations(void)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, holders, BERTH_HOLDERS_MAX);

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(holders[i].tag, "operation"))
            return holders[i].count;
    return 0;
}

/* Half of the BAR is mapped, and the CPU waits. */
static void begin_mapping(void)
{
    assert_int_equal(write_command(&vcpu, COMMAND_MEMORY), -EAGAIN);
    assert_int_equal(operations(), 1);
    while (pieces < PIECES / 2)
        assert_int_equal(berth_vcpu_continue(&vcpu), -EAGAIN);
}

static unsigned finish(struct berth_vcpu *by)
{
    unsigned calls = 1;

    while (berth_vcpu_continue(by) == -EAGAIN)
        assert_true(++calls < 1000);
    return calls;
}

/* ---- one operation ---- */

static void test_V6_a_write_without_consequences_holds_nothing(void **state)
{
    (void)state;
    assert_int_equal(write_command(&vcpu, COMMAND_MASTER), 0);
    assert_null(vcpu.dev);
    assert_int_equal(operations(), 0);
    assert_int_equal(command(), COMMAND_MASTER);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    berth_vcpu_stop(&vcpu);
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, at(5, 5, 0), 0, 4, 0), 0);
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, seat, 4095, 4, 0), 0);
    assert_int_equal(
        berth_vcpu_config_write(&vcpu, berth_machine_hwdom(rig.machine), at(9, 0, 0), 4, 2, 0), 0);
}

static void test_F76_the_cpu_waits_until_all_of_the_bar_is_mapped(void **state)
{
    (void)state;
    assert_int_equal(write_command(&vcpu, COMMAND_MEMORY), -EAGAIN);
    for (unsigned done = 0; done < PIECES; done++) {
        assert_int_equal(pieces, done);
        assert_int_equal(command() & COMMAND_MEMORY, 0); /* not before it works */
        assert_int_equal(operations(), 1);
        assert_int_equal(berth_vcpu_continue(&vcpu), -EAGAIN);
    }
    (void)finish(&vcpu);
    assert_int_equal(pieces, PIECES);
    assert_int_equal(mapped, PIECES);
    assert_int_equal(command(), COMMAND_MEMORY);
    assert_int_equal(operations(), 0);
    assert_int_equal(write_command(&vcpu, 0), -EAGAIN);
    assert_true(finish(&vcpu) >= PIECES);
    assert_int_equal(mapped, 0);
    assert_int_equal(command(), 0);
}

static void test_V6_a_cpu_that_waits_writes_nothing(void **state)
{
    (void)state;
    begin_mapping();
    assert_int_equal(write_command(&vcpu, COMMAND_MASTER), -EBUSY);
    assert_int_equal(command(), 0);
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, at(5, 5, 0), 0, 4, 0), -EBUSY);
    assert_int_equal(operations(), 1);
    (void)finish(&vcpu);
    assert_int_equal(write_command(&vcpu, COMMAND_MEMORY | COMMAND_MASTER), 0);
    assert_int_equal(command(), COMMAND_MEMORY | COMMAND_MASTER);
}

static void test_V6_another_cpu_changes_its_mind(void **state)
{
    struct berth_vcpu other = {.dev = NULL};

    (void)state;
    begin_mapping();
    assert_int_equal(write_command(&other, 0), -EAGAIN); /* back again */
    assert_int_equal(operations(), 2);
    (void)finish(&other);
    assert_int_equal(mapped, 0);
    assert_int_equal(operations(), 1);
    assert_int_equal(finish(&vcpu), 1); /* there is nothing to do for the first one */
    assert_int_equal(mapped, 0);
    assert_int_equal(command(), 0);
    assert_int_equal(operations(), 0);
}

static void test_V6_what_a_cpu_left_half_mapped_is_completed(void **state)
{
    (void)state;
    begin_mapping();
    berth_vcpu_stop(&vcpu);
    assert_null(vcpu.dev);
    assert_int_equal(operations(), 0);
    assert_int_equal(mapped, PIECES / 2);
    berth_vcpu_stop(&vcpu);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MEMORY);
    assert_int_equal(mapped, PIECES);
    assert_int_equal(command(), COMMAND_MEMORY);
}

static void test_V6_what_a_cpu_left_half_mapped_is_taken_away(void **state)
{
    (void)state;
    begin_mapping();
    berth_vcpu_stop(&vcpu);
    assert_int_equal(rig_deassign(&rig, card, vm.domain), 0);
    assert_int_equal(mapped, 0);
}

static void test_M42_a_map_that_fails_ends_with_decode_off(void **state)
{
    (void)state;
    begin_mapping();
    map_error = -ENOMEM;
    (void)finish(&vcpu);
    assert_int_equal(mapped, 0);
    assert_int_equal(command(), 0);
    assert_int_equal(operations(), 0);
    assert_int_equal(berth_domain_config_read(vm.domain, seat, 0, 4), 0x00101b36); /* F79 */
    map_error = 0;
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MEMORY);
    assert_int_equal(mapped, PIECES);
}

/* ---- the device, its owner or its generation is another one ---- */

static void expect_no_effect(void)
{
    const unsigned before = pieces;
    struct sim_counters counters, now;

    sim_counters(rig.sim, &counters);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    assert_null(vcpu.dev);
    assert_int_equal(operations(), 0);
    sim_counters(rig.sim, &now);
    assert_int_equal(now.config_reads, counters.config_reads); /* V4 */
    assert_int_equal(now.config_writes, counters.config_writes);
    assert_int_equal(pieces, before);
    assert_int_equal(mapped, 0);
}

static void test_V6_the_device_was_removed(void **state)
{
    (void)state;
    begin_mapping();
    assert_int_equal(rig_remove(&rig, card, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(mapped, 0);
    assert_int_equal(operations(), 1); /* harmless, and known by name */
    expect_no_effect();
}

static void test_R3_an_operation_is_a_reference(void **state)
{
    (void)state;
    begin_mapping();
    rig_expect_refused(&rig, rig_remove(&rig, card, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_GUEST_OWNS);
    assert_int_equal(rig_deassign(&rig, card, vm.domain), 0);
    rig_expect_refused(&rig, rig_remove(&rig, card, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_REFERENCED);
    expect_no_effect();
}

static void test_V6_the_device_was_removed_and_added_again(void **state)
{
    (void)state;
    begin_mapping();
    assert_int_equal(rig_remove(&rig, card, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, card), 0); /* R6: another object */
    assert_int_equal(rig_assign_at(&rig, card, vm.domain, seat), 0);
    expect_no_effect();
    assert_int_equal(command(), 0);
}

static void test_V6_another_guest_has_it(void **state)
{
    (void)state;
    begin_mapping();
    assert_int_equal(rig_deassign(&rig, card, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, card, vm2.domain, seat), 0);
    berth_domain_config_write(vm2.domain, seat, BAR0, 8, PLACE);
    expect_no_effect();
    assert_int_equal(berth_domain_config_read(vm2.domain, seat, COMMAND, 2), 0);
}

/* The CPU that waits has no part in what another one has begun with the new view. */
static void test_V6_the_same_guest_has_it_anew(void **state)
{
    struct berth_vcpu other = {.dev = NULL};

    (void)state;
    begin_mapping();
    assert_int_equal(rig_deassign(&rig, card, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, card, vm.domain, seat), 0);
    berth_domain_config_write(vm.domain, seat, BAR0, 8, PLACE);
    assert_int_equal(write_command(&other, COMMAND_MEMORY), -EAGAIN);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    assert_null(vcpu.dev);
    assert_int_equal(mapped, 0);
    assert_int_equal(command(), 0);
    assert_int_equal(operations(), 1);
    (void)finish(&other);
    assert_int_equal(mapped, PIECES);
    assert_int_equal(operations(), 0);
}

static void test_A4_the_device_vanished(void **state)
{
    (void)state;
    begin_mapping();
    rig_pull(&rig, card);
    assert_int_equal(berth_vcpu_continue(&vcpu), 0);
    assert_int_equal(operations(), 0);
    assert_int_equal(pieces, PIECES / 2);
    assert_int_equal(rig_remove(&rig, card, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(mapped, 0);
}

static void test_F95_the_host_reset_it(void **state)
{
    (void)state;
    begin_mapping();
    assert_int_equal(rig_reset(&rig, card), 0);
    (void)finish(&vcpu);
    assert_int_equal(operations(), 0);
    /* all of it or nothing, and the register says which */
    assert_int_equal(mapped, command() & COMMAND_MEMORY ? PIECES : 0);
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MEMORY);
    assert_int_equal(mapped, PIECES);
}

/* ---- while a transition has it ---- */

static void *take_away(void *context)
{
    *(int *)context = rig_deassign(&rig, card, vm.domain);
    return NULL;
}

static void test_V6_a_transition_makes_it_wait(void **state)
{
    pthread_t thread;
    int error = 1;

    (void)state;
    begin_mapping();
    assert_false(vcpu.waiting);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, take_away, &error), 0);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    assert_int_equal(berth_vcpu_continue(&vcpu), -EAGAIN);
    assert_true(vcpu.waiting);
    assert_int_equal(mapped, 0);
    assert_int_equal(operations(), 1);
    atomic_store(&vm.block, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(error, 0);
    expect_no_effect();
}

/* A transition that ends as it began lets it go on, or ends it: never half of it. */
static void test_V6_a_transition_that_failed(void **state)
{
    (void)state;
    begin_mapping();
    sim_fail(rig.sim, SIM_OP_FLUSH, 1, 0, 0);
    assert_int_not_equal(rig_deassign(&rig, card, vm.domain), 0);
    assert_true(sim_failed(rig.sim, SIM_OP_FLUSH));
    rig_expect_owner(&rig, card, "vm1");
    (void)finish(&vcpu);
    assert_int_equal(operations(), 0);
    assert_int_equal(mapped, command() & COMMAND_MEMORY ? PIECES : 0);
}

/* ---- a reset that the guest asked for ---- */

static unsigned devctl(void)
{
    return mb_find_cap(rig_function(&rig, card), CAP_EXP) + DEVCTL;
}

static void test_M45_a_guests_flr_is_an_operation(void **state)
{
    const uint32_t generation = pcidev_generation(dev);

    (void)state;
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER);
    assert_int_equal(mapped, PIECES);
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, seat, devctl(), 2, DEVCTL_FLR),
                     -EAGAIN);
    assert_int_equal(operations(), 1);
    assert_int_equal(pcidev_generation(dev), generation); /* not yet */
    assert_int_equal(command(), COMMAND_MEMORY | COMMAND_MASTER);
    (void)finish(&vcpu);
    assert_int_equal(operations(), 0);
    assert_int_not_equal(pcidev_generation(dev), generation);
    assert_int_equal(command(), 0); /* power-on */
    assert_int_equal(berth_domain_config_read(vm.domain, seat, BAR0, 8) & ~UINT64_C(15), 0);
    assert_int_equal(mapped, 0);
    assert_int_equal(rig_peek(&rig, card, COMMAND, 2) & COMMAND_MASTER, 0);
}

static void test_V6_a_reset_of_a_device_that_has_left(void **state)
{
    uint32_t generation;

    (void)state;
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, seat, devctl(), 2, DEVCTL_FLR),
                     -EAGAIN);
    assert_int_equal(rig_deassign(&rig, card, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, card, vm2.domain, seat), 0);
    generation = pcidev_generation(dev);
    expect_no_effect();
    assert_int_equal(pcidev_generation(dev), generation);
}

static void *reset_it(void *context)
{
    (void)context;
    assert_int_equal(rig_reset(&rig, card), 0);
    return NULL;
}

static void test_V6_a_reset_waits_for_a_transition(void **state)
{
    pthread_t thread;
    int error;

    (void)state;
    assert_int_equal(berth_vcpu_config_write(&vcpu, vm.domain, seat, devctl(), 2, DEVCTL_FLR),
                     -EAGAIN);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, reset_it, NULL), 0);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    error = berth_vcpu_continue(&vcpu); /* until its deadline */
    atomic_store(&vm.block, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(error, -EAGAIN);
    assert_true(vcpu.waiting);
    (void)finish(&vcpu);
    assert_int_equal(operations(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V6_a_write_without_consequences_holds_nothing),
        TEST(test_F76_the_cpu_waits_until_all_of_the_bar_is_mapped),
        TEST(test_V6_a_cpu_that_waits_writes_nothing),
        TEST(test_V6_another_cpu_changes_its_mind),
        TEST(test_V6_what_a_cpu_left_half_mapped_is_completed),
        TEST(test_V6_what_a_cpu_left_half_mapped_is_taken_away),
        TEST(test_M42_a_map_that_fails_ends_with_decode_off),
        TEST(test_V6_the_device_was_removed),
        TEST(test_R3_an_operation_is_a_reference),
        TEST(test_V6_the_device_was_removed_and_added_again),
        TEST(test_V6_another_guest_has_it),
        TEST(test_V6_the_same_guest_has_it_anew),
        TEST(test_A4_the_device_vanished),
        TEST(test_F95_the_host_reset_it),
        TEST(test_V6_a_transition_makes_it_wait),
        TEST(test_V6_a_transition_that_failed),
        TEST(test_M45_a_guests_flr_is_an_operation),
        TEST(test_V6_a_reset_of_a_device_that_has_left),
        TEST(test_V6_a_reset_waits_for_a_transition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
