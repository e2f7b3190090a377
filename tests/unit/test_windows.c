/* SPDX-License-Identifier: MIT */
/*
 * Windows of a few instructions, held open: what happens in another thread at the worst moment is
 * done by a hook in this one (O2, O6, V2).
 */
#include "tests/unit/rig.h"

#include "src/core/access.h"

#define COMMAND 4
#define COMMAND_MASTER 4u

static struct rig rig;
static struct rig_vm vm, vm2;
static const struct sbdf seat = {0, 2, 0x18}, seat2 = {0, 2, 0x20};

/* Called once, before a section is opened, or before a write to the command register is done. */
static void (*before_open)(void), (*before_command)(void);

static void run_once(void (**hook)(void))
{
    void (*act)(void) = *hook;

    *hook = NULL;
    if (act)
        act();
}

bool __real_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section);
bool __wrap_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section);

bool __wrap_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section)
{
    run_once(&before_open);
    return __real_access_open(dev, blocked, owner, tag, section);
}

static int write_config(void *host, berth_claim claim, unsigned reg, unsigned length,
                        uint32_t value)
{
    if (reg == COMMAND && value & COMMAND_MASTER)
        run_once(&before_command);
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static struct berth_host_ops host;

static void hook_host(struct berth_machine_config *config)
{
    host = sim_host_ops;
    host.config_write = write_config;
    config->host = &host;
}

static int setup(void **state)
{
    (void)state;
    before_open = before_command = NULL;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, hook_host);
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seat), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

/* ---- between the lookup on the guest's bus and the section ---- */

static void give_to_another(void)
{
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm2.domain, seat), 0);
}

/* The status register is the hardware's: a read of it needs a section. */
static void test_O2_a_read_that_comes_late_sees_nothing_of_the_new_owner(void **state)
{
    (void)state;
    before_open = give_to_another;
    assert_int_equal(berth_domain_config_read(vm.domain, seat, COMMAND, 4), UINT32_MAX);
    assert_null(before_open);
    rig_expect_owner(&rig, rig_nvme, "vm2");
}

static void test_O2_a_write_that_comes_late_changes_nothing(void **state)
{
    (void)state;
    before_open = give_to_another;
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MASTER);
    assert_null(before_open);
    rig_expect_owner(&rig, rig_nvme, "vm2");
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, 0);
}

static void give_anew(void)
{
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seat2), 0);
}

/* The owner is the same again, and the view that was found is not his any more. */
static void test_V3_a_view_that_ended_is_not_there_for_its_guest_either(void **state)
{
    (void)state;
    before_open = give_anew;
    assert_int_equal(berth_domain_config_read(vm.domain, seat, COMMAND, 4), UINT32_MAX);
    assert_null(before_open);
    assert_int_not_equal(berth_domain_config_read(vm.domain, seat2, COMMAND, 4), UINT32_MAX);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seat), 0);
    before_open = give_anew;
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, COMMAND_MASTER);
    assert_null(before_open);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, 0);
}

static void take_away(void)
{
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
}

static void test_V2_a_read_that_comes_after_removal_touches_nothing(void **state)
{
    (void)state; /* the object has lost its last reference, and is still in memory */
    before_open = take_away;
    assert_int_equal(berth_domain_config_read(vm.domain, seat, COMMAND, 4), UINT32_MAX);
    assert_null(before_open);
    assert_false(rig_has(&rig, rig_nvme));
}

/* ---- between a look at the containment flag and the write ---- */

static void flood(void)
{
    int contained = 0;

    for (unsigned i = 0; i < 10; i++)
        contained += berth_machine_fault(rig.machine, rig_nvme);
    assert_int_equal(contained, 1);
}

static void test_O6_contained_in_the_middle_of_a_guests_write(void **state)
{
    (void)state;
    before_command = flood;
    berth_domain_config_write(vm.domain, seat, COMMAND, 2, 6);
    assert_null(before_command);
    assert_true(rig_info(&rig, rig_nvme).contained);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, 0);
}

static void test_O6_contained_while_a_transition_restores_registers(void **state)
{
    (void)state;
    rig_master_on(&rig, rig_nvme, vm.domain);
    before_command = flood;
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_null(before_command);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, 0);
}

/* ---- a thread that has opened a section and then finds the gate closed ---- */

static struct pcidev_section late;

static void enter_late(void)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    assert_false(pcidev_enter(dev, "late", &late));
    rig_put(dev);
}

static void look_in_a_transition(void *context)
{
    (void)context;
    enter_late();
}

static void test_A2_no_section_opens_while_a_transition_runs(void **state)
{
    (void)state;
    rig.tape.hook = look_in_a_transition;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine)), 0);
    rig.tape.hook = NULL;
    assert_null(late.record);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O2_a_read_that_comes_late_sees_nothing_of_the_new_owner),
        TEST(test_O2_a_write_that_comes_late_changes_nothing),
        TEST(test_V3_a_view_that_ended_is_not_there_for_its_guest_either),
        TEST(test_V2_a_read_that_comes_after_removal_touches_nothing),
        TEST(test_O6_contained_in_the_middle_of_a_guests_write),
        TEST(test_O6_contained_while_a_transition_restores_registers),
        TEST(test_A2_no_section_opens_while_a_transition_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
