/* SPDX-License-Identifier: MIT */
/* Who may do what, and who may ask (M20, F26-F28). */
#include "tests/unit/guests.h"

/* ---- who may ---- */

static void test_F26_nobody_assigns_to_himself(void **state)
{
    struct berth_domain *callers[] = {vm.domain, hwdom()};
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        request.caller = callers[i];
        rig_expect_refused(&rig, pcidev_assign(dev, callers[i], &request), -EINVAL,
                           BERTH_REASON_SELF_ASSIGN);
        rig_expect_refused(&rig, pcidev_test_assign(dev, callers[i], &request), -EINVAL,
                           BERTH_REASON_SELF_ASSIGN);
    }
    rig_put(dev);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
}

static void test_M20_guests_may_nothing_and_the_hardware_domain_everything(void **state)
{
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    request.caller = vm.domain;
    rig_expect_refused(&rig, pcidev_assign(dev, vm2.domain, &request), -EPERM,
                       BERTH_REASON_NOT_PERMITTED);
    request.caller = hwdom();
    assert_int_equal(pcidev_assign(dev, vm2.domain, &request), 0);
    request.caller = vm2.domain;
    rig_expect_refused(&rig, pcidev_deassign(dev, vm2.domain, &request), -EPERM,
                       BERTH_REASON_NOT_PERMITTED);
    rig_put(dev);
    rig_expect_owner(&rig, rig_nvme, "vm2");
}

static int denied = -1;

static int deny(void *context, const struct berth_domain *caller, enum berth_operation op,
                struct sbdf device, const struct berth_domain *target)
{
    (void)context, (void)caller, (void)device, (void)target;
    return (int)op == denied ? -EPERM : 0;
}

static void with_hook(struct berth_machine_config *config)
{
    config->permit = deny;
}

static int setup_hook(void **state)
{
    (void)state;
    denied = -1;
    return guests_start(with_hook, 2);
}

static int try_denied(struct pcidev *dev, const struct berth_request *request)
{
    switch (denied) {
    case BERTH_OP_ADD:
        return pcidev_add(rig.machine, rig_nvme2, NULL, request);
    case BERTH_OP_READD:
        return pcidev_readd(dev, NULL, request);
    case BERTH_OP_REMOVE:
        return pcidev_remove(dev, PCIDEV_REMOVE_FORCE, request);
    case BERTH_OP_ASSIGN:
        return pcidev_assign(dev, vm2.domain, request);
    case BERTH_OP_DEASSIGN:
        return pcidev_deassign(dev, vm.domain, request);
    case BERTH_OP_RESET:
        return pcidev_reset(dev, request);
    case BERTH_OP_SRIOV:
        return pcidev_sriov(dev, 1, request);
    default:
        return berth_domain_destroy(vm.domain, request);
    }
}

static void test_F28_what_the_hook_denies_changes_nothing(void **state)
{
    struct berth_request request;
    struct rig_state before;
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_DEFAULT), 0);
    before = rig_remember(&rig, rig_nvme);
    for (denied = BERTH_OP_ADD; denied <= BERTH_OP_DOMAIN_DESTROY; denied++) {
        request = rig_request(&rig);
        rig_expect_refused(&rig, try_denied(dev, &request), -EPERM,
                           denied == BERTH_OP_DOMAIN_DESTROY ? BERTH_REASON_DOMAIN_DENIED
                                                             : BERTH_REASON_NOT_PERMITTED);
        rig_expect_as_before(&rig, &before);
        assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_LIVE);
        assert_int_equal(berth_domain_device_count(vm.domain), 1);
    }
    denied = -1;
    rig_put(dev);
    assert_int_equal(vm.withdrawn, 0);
}

static void test_F27_test_assign_of_any_guest(void **state)
{
    const struct berth_request request = rig_request(&rig);
    const struct rig_state before = rig_remember(&rig, rig_nvme);
    struct pcidev *dev = rig_dev(&rig, rig_nvme), *port = rig_dev(&rig, rig_port);

    (void)state;
    assert_int_equal(pcidev_test_assign(dev, NULL, &request), 0);
    assert_int_equal(pcidev_test_assign(dev, vm.domain, NULL), 0);
    rig_expect_refused(&rig, pcidev_test_assign(port, NULL, &request), -EINVAL,
                       BERTH_REASON_BRIDGE);
    rig_put(dev);
    rig_put(port);
    rig_expect_as_before(&rig, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_two, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F26_nobody_assigns_to_himself),
        TEST(test_M20_guests_may_nothing_and_the_hardware_domain_everything),
        cmocka_unit_test_setup_teardown(test_F28_what_the_hook_denies_changes_nothing, setup_hook,
                                        guests_teardown),
        TEST(test_F27_test_assign_of_any_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
