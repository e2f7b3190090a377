/* SPDX-License-Identifier: MIT */
/* Fault containment (O6, M26, X34, F11). */
#include "tests/unit/rig.h"

#include <berth_port.h>

#define MS UINT64_C(1000000)
#define COMMAND 4
#define COMMAND_MASTER 4u

static struct rig rig;
static struct rig_vm vm;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_phantom(&rig.builder, at(0, 20, 0), 1);
    mb_phantom(&rig.builder, at(0, 21, 0), 4);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    rig_master_on(&rig, rig_nvme, vm.domain);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static int faults(struct sbdf rid, unsigned count)
{
    int contained = 0;

    while (count--)
        contained += berth_machine_fault(rig.machine, rid);
    return contained;
}

static bool masters(struct sbdf sbdf)
{
    return rig_peek(&rig, sbdf, COMMAND, 2) & COMMAND_MASTER;
}

static void test_O6_ten_faults_in_a_row_take_bus_mastering_away(void **state)
{
    (void)state;
    assert_int_equal(faults(rig_nvme, 9), 0);
    assert_true(masters(rig_nvme));
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 9);
    assert_int_equal(faults(rig_nvme, 1), 1);
    assert_false(masters(rig_nvme));
    assert_true(rig_info(&rig, rig_nvme).contained);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_SILENT);
    assert_int_equal(faults(rig_nvme, 20), 0); /* told once */
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_CONTAINED), 1);
    rig_expect_owner(&rig, rig_nvme, "vm1"); /* the guest goes on, and so do its other devices */
}

static void test_O6_the_guest_cannot_turn_it_back_on(void **state)
{
    const struct sbdf seen = rig_seen(&rig, rig_nvme);

    (void)state;
    assert_int_equal(faults(rig_nvme, 10), 1);
    berth_domain_config_write(vm.domain, seen, COMMAND, 2, 0xffff);
    assert_false(masters(rig_nvme));
    berth_domain_config_write(vm.domain, seen, COMMAND, 1, 0xff);
    assert_false(masters(rig_nvme));
    berth_domain_config_write(vm.domain, seen, COMMAND, 4, UINT32_MAX);
    assert_false(masters(rig_nvme));
    berth_domain_config_write(vm.domain, seen, 0x3c, 1, 0x21); /* everything else works */
    assert_int_equal(berth_domain_config_read(vm.domain, seen, 0x3c, 1), 0x21);
}

static void test_O6_a_reset_does_not_turn_it_back_on(void **state)
{
    (void)state;
    assert_int_equal(faults(rig_nvme, 10), 1);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_false(masters(rig_nvme));
    assert_true(rig_info(&rig, rig_nvme).contained);
}

static unsigned told;

static void fault_now(void *context)
{
    (void)context;
    told += (unsigned)faults(rig_nvme, 10);
}

static void test_O6_faults_in_the_middle_of_a_transition_count(void **state)
{
    (void)state;
    rig.tape.hook = fault_now;
    told = 0;
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0); /* so that the way back turns registers on again */
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), -EIO);
    rig.tape.hook = NULL;
    assert_int_equal(told, 1);
    rig_expect_owner(&rig, rig_nvme, "vm1");
    assert_false(masters(rig_nvme));
}

static void test_X34_rare_faults_decay(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(faults(rig_nvme, 9), 0);
        port_sleep_ns(11 * MS);
    }
    assert_true(masters(rig_nvme));
    assert_int_equal(faults(rig_nvme, 1), 0);
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 1);
}

static void test_X34_each_within_the_window_of_the_last(void **state)
{
    int contained = 0;

    (void)state; /* 10 faults in 54 ms: none of them came late */
    for (unsigned i = 0; i < 10; i++) {
        contained += faults(rig_nvme, 1);
        port_sleep_ns(6 * MS);
    }
    assert_int_equal(contained, 1);
}

static void test_X34_a_new_owner_starts_from_nothing(void **state)
{
    (void)state;
    assert_int_equal(faults(rig_nvme, 10), 1);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_false(rig_info(&rig, rig_nvme).contained);
    assert_int_equal(faults(rig_nvme, 9), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 0);
    assert_int_equal(faults(rig_nvme, 9), 0);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_true(masters(rig_nvme));
}

static void test_X34_a_device_that_floods_falls_silent(void **state)
{
    struct sim_counters before, after;

    (void)state;
    rig_quarantine(&rig, rig_nvme2);
    rig_poke(&rig, rig_nvme2, COMMAND, 2, 6);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 1000; i++)
        (void)rig_dma(&rig, rig_nvme2, 0x1000 * i);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.dma_faults - before.dma_faults, 10);
}

static void test_F11_a_phantom_belongs_to_its_device(void **state)
{
    static const struct {
        uint8_t device, stride;
    } cards[] = {{20, 1}, {21, 4}};

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned fn = 1; fn < 8; fn++) {
            int result = berth_machine_fault(rig.machine, at(0, cards[i].device, fn));

            assert_int_equal(result, fn % cards[i].stride ? -ENODEV : 0);
        }
    assert_int_equal(rig_info(&rig, at(0, 20, 0)).faults, 7);
    assert_int_equal(rig_info(&rig, at(0, 21, 0)).faults, 1);
    for (unsigned fn = 1; fn < 8; fn += 2)
        assert_int_equal(berth_machine_fault(rig.machine, at(5, 0, fn)), -ENODEV);
    assert_int_equal(faults(at(5, 0, 2), 5) + faults(at(5, 0, 4), 5), 1);
    assert_true(rig_info(&rig, rig_phantom).contained);
}

static void test_F11_nobodys_requester_id_is_nobodys(void **state)
{
    (void)state;
    assert_int_equal(berth_machine_fault(rig.machine, at(99, 0, 0)), -ENODEV);
    assert_int_equal(berth_machine_fault(rig.machine, at(2, 0, 1)), -ENODEV);
    assert_int_equal(berth_machine_fault(rig.machine, sbdf_make(0xffff, 2, 0, 0)), -ENODEV);
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O6_ten_faults_in_a_row_take_bus_mastering_away),
        TEST(test_O6_the_guest_cannot_turn_it_back_on),
        TEST(test_O6_a_reset_does_not_turn_it_back_on),
        TEST(test_O6_faults_in_the_middle_of_a_transition_count),
        TEST(test_X34_rare_faults_decay),
        TEST(test_X34_each_within_the_window_of_the_last),
        TEST(test_X34_a_new_owner_starts_from_nothing),
        TEST(test_X34_a_device_that_floods_falls_silent),
        TEST(test_F11_a_phantom_belongs_to_its_device),
        TEST(test_F11_nobodys_requester_id_is_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
