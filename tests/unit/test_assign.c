/* SPDX-License-Identifier: MIT */
/* Ownership (O1-O4, F18, F44, F46, F50, X02, X29). */
#include "tests/unit/guests.h"

#define COMMAND 4
#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_INTX_DISABLE 0x0400u

static struct berth_domain *quarantine(void)
{
    return berth_machine_quarantine(rig.machine);
}

/* Both refuse, with the same words, and nothing has changed (F27). */
static void expect_refused(struct sbdf sbdf, struct berth_domain *to, int error,
                           enum berth_reason reason)
{
    const struct rig_state before = rig_remember(&rig, sbdf);
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, sbdf);

    rig_expect_refused(&rig, pcidev_test_assign(dev, to, &request), error, reason);
    rig_put(dev);
    rig_expect_as_before(&rig, &before);
    rig_expect_refused(&rig, rig_assign(&rig, sbdf, to), error, reason);
    assert_true(sbdf_equal(rig.why.device, sbdf));
    rig_expect_as_before(&rig, &before);
}

/* ---- O1 ---- */

static void test_O1_owner_contexts_and_set_move_together(void **state)
{
    const uint32_t generation = rig_info(&rig, rig_nvme).generation;
    struct pcidev_info info;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    info = rig_info(&rig, rig_nvme);
    assert_string_equal(info.owner, "vm1");
    assert_int_equal(info.owner_id, berth_domain_id(vm.domain));
    assert_int_not_equal(info.generation, generation);
    assert_int_equal(berth_domain_device_count(vm.domain), 1);
    rig_master_on(&rig, rig_nvme, vm.domain);
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).domain_id, info.owner_id);
    assert_int_equal(berth_domain_config_read(hwdom(), rig_nvme, 0, 4), UINT32_MAX); /* V1 */
    assert_int_equal(rig_reach(vm.domain), 1);

    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(vm.withdrawn, 1);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    assert_int_equal(berth_domain_device_count(quarantine()), 1);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm2.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm2.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, hwdom()), 0);
    assert_int_equal(berth_domain_device_count(quarantine()), 0);
}

static void test_O1_it_comes_and_goes_a_hundred_times(void **state)
{
    struct sim_counters before, after;

    (void)state; /* F54, F44: ids, contexts and spaces are given back each time */
    rig_quarantine(&rig, rig_phantom);
    sim_counters(rig.sim, &before);
    for (int i = 0; i < 100; i++) {
        struct rig_vm *guest = i & 1 ? &vm2 : &vm;

        assert_int_equal(rig_assign(&rig, rig_phantom, guest->domain), 0);
        assert_int_equal(rig_deassign(&rig, rig_phantom, guest->domain), 0);
    }
    sim_counters(rig.sim, &after);
    assert_int_equal(after.contexts, before.contexts);
    assert_int_equal(after.spaces, before.spaces);
    assert_int_equal(after.attach_gaps, 0);
}

static void test_O1_what_is_owned_is_not_given_away(void **state)
{
    (void)state;
    expect_refused(rig_nvme, hwdom(), -EBUSY, BERTH_REASON_ALREADY);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    expect_refused(rig_nvme, vm.domain, -EBUSY, BERTH_REASON_ALREADY);
    expect_refused(rig_nvme, vm2.domain, -EBUSY, BERTH_REASON_OWNED);
    expect_refused(rig_nvme, hwdom(), -EBUSY, BERTH_REASON_OWNED);
    expect_refused(rig_nvme, quarantine(), -EBUSY, BERTH_REASON_OWNED);
    assert_string_equal(rig.why.domain, "vm1");
}

static void test_O1_only_the_owner_is_deassigned(void **state)
{
    struct rig_state before;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, vm2.domain), -EINVAL,
                       BERTH_REASON_NOT_OWNER);
    assert_string_equal(rig.why.domain, "vm1");
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme, hwdom()), -EINVAL,
                       BERTH_REASON_NOT_OWNER);
    rig_expect_as_before(&rig, &before);
    rig_expect_refused(&rig, rig_deassign(&rig, rig_nvme2, hwdom()), -EINVAL,
                       BERTH_REASON_NOT_LENT);
    rig_expect_owner(&rig, rig_nvme2, "hwdom");
}

static void test_F50_only_domains_that_can_own_are_targets(void **state)
{
    struct rig other;
    struct berth_domain *stranger;
    const struct rig_state before = rig_remember(&rig, rig_nvme);

    (void)state;
    expect_refused(rig_nvme, berth_machine_hidden(rig.machine), -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, NULL), -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    rig_begin(&other);
    rig_standard(&other);
    rig_up(&other, NULL);
    stranger = rig_guest(&other, "vm1");
    expect_refused(rig_nvme, stranger, -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    rig_destroy_guest(&other, stranger);
    rig_down(&other);
    rig_expect_as_before(&rig, &before);
}

/* ---- O2 ---- */

static unsigned seen, looked;
static const struct sbdf seat = {0, 2, 0x18}; /* where both guests have it */

static void look_inside(void *context)
{
    (void)context;
    looked++;
    seen += berth_domain_config_read(vm.domain, seat, 0, 4) != UINT32_MAX;
    seen += berth_domain_config_read(vm2.domain, seat, 0, 4) != UINT32_MAX;
    seen += berth_domain_config_read(quarantine(), rig_nvme, 0, 4) != UINT32_MAX;
}

static void test_O2_nobody_sees_it_while_the_owner_changes(void **state)
{
    (void)state;
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm.domain, seat), 0);
    assert_int_equal(berth_domain_config_read(vm.domain, seat, 0, 2), 0x1b36);
    rig.tape.hook = look_inside;
    seen = looked = 0;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign_at(&rig, rig_nvme, vm2.domain, seat), 0);
    rig.tape.hook = NULL;
    assert_true(looked >= 8);
    assert_int_equal(seen, 0);
    assert_int_equal(berth_domain_config_read(vm.domain, seat, 0, 4), UINT32_MAX);
    assert_int_equal(berth_domain_config_read(vm2.domain, seat, 0, 2), 0x1b36);
    assert_int_equal(rig_reach(vm.domain), 0);
}

static void test_O2_no_bit_of_the_old_owner_is_left(void **state)
{
    uint32_t command;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    command = rig_peek(&rig, rig_nvme, COMMAND, 2);
    assert_int_equal(command & COMMAND_MASTER, 0);
    assert_int_equal(command & COMMAND_MEMORY, COMMAND_MEMORY); /* as the firmware left it */
    berth_domain_config_write(vm.domain, rig_seen(&rig, rig_nvme), COMMAND, 2,
                              command | COMMAND_MASTER | COMMAND_INTX_DISABLE);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2),
                     command | COMMAND_MASTER | COMMAND_INTX_DISABLE);
    berth_machine_fault(rig.machine, rig_nvme);
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 1);

    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2), command | COMMAND_INTX_DISABLE);
    assert_int_equal(rig_info(&rig, rig_nvme).faults, 0);
}

/* ---- O3 ---- */

static void quarantine_off(struct berth_machine_config *config)
{
    config->policy.quarantine = BERTH_QUARANTINE_OFF;
}

static int setup_off(void **state)
{
    (void)state;
    return guests_start(quarantine_off, 2);
}

static void test_X02_leaving_quarantine_out_takes_an_explicit_word(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
}

/* ---- O4 ---- */

static const struct sbdf hidden_at[] = {{0, 6, 0}}, read_only_at[] = {{0, 2, 0}};

static void reserve(struct berth_machine_config *config)
{
    config->hidden = hidden_at;
    config->hidden_count = 1;
    config->read_only = read_only_at;
    config->read_only_count = 1;
}

static int setup_reserved(void **state)
{
    (void)state;
    return guests_start(reserve, 2);
}

static void test_O4_hidden_devices_stay_with_the_hypervisor(void **state)
{
    (void)state;
    rig_expect_owner(&rig, rig_nvme2, "hidden");
    expect_refused(rig_nvme2, vm.domain, -EBUSY, BERTH_REASON_HIDDEN);
    expect_refused(rig_nvme2, hwdom(), -EBUSY, BERTH_REASON_HIDDEN);
    assert_int_equal(berth_domain_config_read(hwdom(), rig_nvme2, 0, 4), UINT32_MAX);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_DEFAULT), -EBUSY,
                       BERTH_REASON_HIDDEN);
    rig_expect_refused(&rig, rig_reset(&rig, rig_nvme2), -EBUSY, BERTH_REASON_HIDDEN);
}

static void test_F18_read_only_devices_are_written_by_nobody(void **state)
{
    struct sim_counters before, after;

    (void)state;
    expect_refused(rig_nvme, vm.domain, -EBUSY, BERTH_REASON_READ_ONLY);
    rig_expect_refused(&rig, rig_reset(&rig, rig_nvme), -EBUSY, BERTH_REASON_READ_ONLY);
    assert_int_equal(berth_domain_config_read(hwdom(), rig_nvme, 0, 2), 0x1b36);
    sim_function_counters(rig.sim, rig_nvme, &before);
    berth_domain_config_write(hwdom(), rig_nvme, COMMAND, 2, 0);
    berth_domain_config_write(hwdom(), rig_nvme, 0x10, 4, 0xffffffff);
    berth_domain_config_write(hwdom(), rig_nvme, 0x3c, 1, 0x12);
    sim_function_counters(rig.sim, rig_nvme, &after);
    assert_int_equal(after.config_writes, before.config_writes);
}

static void test_O4_bridges_are_not_lent(void **state)
{
    (void)state;
    expect_refused(rig_port, vm.domain, -EINVAL, BERTH_REASON_BRIDGE);
    expect_refused(rig_pci_bridge, vm.domain, -EINVAL, BERTH_REASON_BRIDGE);
    expect_refused(at(0, 0, 0), vm.domain, -EINVAL, BERTH_REASON_BRIDGE);
    expect_refused(rig_port, quarantine(), -EINVAL, BERTH_REASON_BRIDGE);
}

static void test_O4_vanished_and_broken_devices_are_not_lent(void **state)
{
    (void)state;
    rig_pull(&rig, rig_nvme);
    expect_refused(rig_nvme, vm.domain, -ENODEV, BERTH_REASON_DISCONNECTED);

    assert_int_equal(sim_hang_on_reset(rig.sim, rig_nvme2, true), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme2, vm.domain), -EIO,
                       BERTH_REASON_RESET_FAILED);
    assert_true(rig_info(&rig, rig_nvme2).broken);
    expect_refused(rig_nvme2, vm.domain, -EBADF, BERTH_REASON_BROKEN);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    assert_false(berth_domain_crashed(vm.domain)); /* a dead device is nobody's fault */
}

static void test_O4_a_pf_with_vfs_is_not_lent_and_its_vfs_are(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 2);
    expect_refused(rig_pf, vm.domain, -EBUSY, BERTH_REASON_HAS_VFS);
    assert_int_equal(rig_assign(&rig, rig_vf(0), vm.domain), 0);
    rig_expect_owner(&rig, rig_vf(1), "hwdom");
    rig_master_on(&rig, rig_vf(0), vm.domain);
    assert_int_equal(rig_dma(&rig, rig_vf(0), 0x1000).domain_id, berth_domain_id(vm.domain));
}

/* ---- without an IOMMU, and into a domain that goes ---- */

static void no_iommu(struct berth_machine_config *config)
{
    config->iommu = NULL;
}

static int setup_no_iommu(void **state)
{
    (void)state;
    return guests_start(no_iommu, 2);
}

static void test_X29_no_guest_gets_a_device_without_an_iommu(void **state)
{
    uint32_t group;
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    expect_refused(rig_nvme, vm.domain, -EOPNOTSUPP, BERTH_REASON_NO_IOMMU);
    assert_null(berth_domain_space(vm.domain));
    assert_int_equal(pcidev_group(dev, &group), -EOPNOTSUPP);
    rig_put(dev);
    /* F16: the hardware domain has its devices all the same */
    assert_int_equal(berth_domain_config_read(hwdom(), at(0, 0, 0), 0, 2), 0x1b36);
    rig_quarantine(&rig, rig_nvme);
    assert_int_equal(rig_assign(&rig, rig_nvme, hwdom()), 0);
}

static void test_F46_nothing_enters_a_domain_that_is_gone(void **state)
{
    struct berth_domain *gone = rig_guest(&rig, "gone");

    (void)state;
    assert_int_equal(berth_domain_destroy(gone, NULL), 0);
    expect_refused(rig_nvme, gone, -EBUSY, BERTH_REASON_TEARDOWN);
    assert_string_equal(rig.why.domain, "gone");
    berth_domain_put(gone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O1_owner_contexts_and_set_move_together),
        TEST(test_O1_it_comes_and_goes_a_hundred_times),
        TEST(test_O1_what_is_owned_is_not_given_away),
        TEST(test_O1_only_the_owner_is_deassigned),
        TEST(test_F50_only_domains_that_can_own_are_targets),
        TEST(test_O2_nobody_sees_it_while_the_owner_changes),
        TEST(test_O2_no_bit_of_the_old_owner_is_left),
        cmocka_unit_test_setup_teardown(test_X02_leaving_quarantine_out_takes_an_explicit_word,
                                        setup_off, guests_teardown),
        cmocka_unit_test_setup_teardown(test_O4_hidden_devices_stay_with_the_hypervisor,
                                        setup_reserved, guests_teardown),
        cmocka_unit_test_setup_teardown(test_F18_read_only_devices_are_written_by_nobody,
                                        setup_reserved, guests_teardown),
        TEST(test_O4_bridges_are_not_lent),
        TEST(test_O4_vanished_and_broken_devices_are_not_lent),
        TEST(test_O4_a_pf_with_vfs_is_not_lent_and_its_vfs_are),
        cmocka_unit_test_setup_teardown(test_X29_no_guest_gets_a_device_without_an_iommu,
                                        setup_no_iommu, guests_teardown),
        TEST(test_F46_nothing_enters_a_domain_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
