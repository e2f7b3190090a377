/* SPDX-License-Identifier: MIT */
/* Who may ask for what, and with which numbers: X36, X41, X49, X50, X60. */
#include "tests/unit/rig.h"

#include <limits.h>
#include <string.h>

#include <berth/isolation.h>
#include <berth_port.h>

static struct rig rig;
static struct rig_vm vm, vm2;

/* rig_nvme is vm1's, rig_nvme2 is not there, all others are the hardware domain's. */
static void up(rig_configure *configure)
{
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
    rig_vm_up(&rig, &vm2, "vm2");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_DEFAULT), 0);
}

static void down(void)
{
    rig_vm_down(&vm2);
    rig_vm_down(&vm);
    rig_down(&rig);
}

static int setup(void **state)
{
    (void)state;
    up(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    down();
    return 0;
}

/* ---- everything that is asked of the core by name ---- */

static struct pcidev *held; /* rig_nvme, or rig_pf where VFs are meant */

static int ask_add(const struct berth_request *request)
{
    return pcidev_add(rig.machine, rig_nvme2, NULL, request);
}

static int ask_readd(const struct berth_request *request)
{
    return pcidev_readd(held, NULL, request);
}

static int ask_remove(const struct berth_request *request)
{
    return pcidev_remove(held, PCIDEV_REMOVE_FORCE, request);
}

static int ask_assign(const struct berth_request *request)
{
    return pcidev_assign(held, vm2.domain, request);
}

static int ask_test_assign(const struct berth_request *request)
{
    return pcidev_test_assign(held, vm2.domain, request);
}

static int ask_assign_group(const struct berth_request *request)
{
    return pcidev_assign_group(held, vm2.domain, request);
}

static int ask_deassign(const struct berth_request *request)
{
    return pcidev_deassign(held, vm.domain, request);
}

static int ask_reset(const struct berth_request *request)
{
    return pcidev_reset(held, request);
}

static int ask_recover(const struct berth_request *request)
{
    return pcidev_recover(held, PCIDEV_TROUBLE_FATAL, request);
}

static int ask_sriov(const struct berth_request *request)
{
    return pcidev_sriov(held, 0, request);
}

static int ask_destroy(const struct berth_request *request)
{
    return berth_domain_destroy(vm.domain, request);
}

static const struct question {
    enum berth_operation op;
    int (*ask)(const struct berth_request *request);
} questions[] = {
    {BERTH_OP_ADD, ask_add},
    {BERTH_OP_READD, ask_readd},
    {BERTH_OP_REMOVE, ask_remove},
    {BERTH_OP_ASSIGN, ask_assign},
    {BERTH_OP_ASSIGN, ask_test_assign},
    {BERTH_OP_ASSIGN, ask_assign_group},
    {BERTH_OP_DEASSIGN, ask_deassign},
    {BERTH_OP_RESET, ask_reset},
    {BERTH_OP_RESET, ask_recover},
    {BERTH_OP_SRIOV, ask_sriov},
    {BERTH_OP_DOMAIN_DESTROY, ask_destroy},
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static int ask(const struct question *question, struct berth_domain *caller)
{
    struct berth_request request = rig_request(&rig);
    int error;

    request.caller = caller;
    held = rig_dev(&rig, rig_nvme);
    error = question->ask(&request);
    rig_put(held);
    return error;
}

/* What is refused because of who asks. */
static bool denied(int error)
{
    return error == -EPERM || (error == -EINVAL && rig.why.reason == BERTH_REASON_SELF_ASSIGN);
}

/* ---- X49, X41: every operation, every class of caller ---- */

static void expect_denied(struct berth_domain *caller)
{
    const struct rig_state before = rig_remember(&rig, rig_nvme);
    const uint64_t now = port_now_ns();

    for (unsigned i = 0; i < QUESTIONS; i++) {
        assert_true(denied(ask(&questions[i], caller)));
        assert_string_equal(rig.why.domain, berth_domain_name(caller));
        rig_expect_as_before(&rig, &before);
        assert_false(rig_has(&rig, rig_nvme2));
        assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_LIVE);
    }
    assert_true(port_now_ns() - now < UINT64_C(1000000000)); /* nobody was waited for */
}

static void test_X49_only_the_privileged_get_anything_done(void **state)
{
    struct rig_vm dead;

    (void)state;
    rig_vm_up(&rig, &dead, "dead");
    assert_int_equal(berth_domain_destroy(dead.domain, NULL), 0);
    expect_denied(vm.domain);
    expect_denied(vm2.domain);
    expect_denied(berth_machine_quarantine(rig.machine));
    expect_denied(berth_machine_hidden(rig.machine));
    expect_denied(dead.domain);
    rig_vm_down(&dead);
}

static void test_X49_the_embedder_and_the_hardware_domain_do(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * QUESTIONS; i++) {
        up(NULL);
        assert_int_not_equal(
            ask(&questions[i / 2], i % 2 ? berth_machine_hwdom(rig.machine) : NULL), -EPERM);
        down();
    }
}

/* By whichever way it comes to its own domain, a guest has no say over it. */
static void test_X41_ones_own_domain_is_no_way_round(void **state)
{
    struct berth_domain *self = berth_domain_find(rig.machine, "vm1");

    (void)state;
    for (unsigned i = 0; i < QUESTIONS; i++) {
        int error = ask(&questions[i], vm.domain);

        assert_int_equal(error, -EPERM);
        assert_int_equal(ask(&questions[i], self), error);
    }
    berth_domain_put(self);
}

/* ---- X60: what is delegated is what was meant, and nothing else ---- */

static enum berth_operation delegated;

static int delegate(void *context, const struct berth_domain *caller, enum berth_operation op,
                    struct sbdf device, const struct berth_domain *target)
{
    (void)context, (void)device, (void)target;
    return !caller || op == delegated ? 0 : -EPERM;
}

static void with_delegate(struct berth_machine_config *config)
{
    config->permit = delegate;
}

static void test_X60_one_operation_is_delegated_and_no_other(void **state)
{
    struct rig_vm manager;

    (void)state;
    for (unsigned i = 0; i < QUESTIONS; i++) {
        delegated = questions[i].op;
        up(with_delegate);
        rig_vm_up(&rig, &manager, "manager");
        for (unsigned k = 0; k < QUESTIONS; k++)
            if (questions[k].op != delegated)
                assert_int_equal(ask(&questions[k], manager.domain), -EPERM);
        assert_int_not_equal(ask(&questions[i], manager.domain), -EPERM);
        rig_vm_down(&manager);
        down();
    }
}

/* ---- X36: who may not ask does not wait for those who may ---- */

static unsigned asked_inside;

static void ask_inside(void *context)
{
    struct berth_request request = rig_request(&rig);

    (void)context;
    request.caller = vm2.domain;
    for (unsigned i = 0; i < QUESTIONS; i++)
        if (questions[i].op != BERTH_OP_SRIOV) {
            assert_true(denied(questions[i].ask(&request)));
            asked_inside++;
        }
}

/* All locks of a transition are held here, by this very thread: whoever took one would hang, and
 * stop a build with checks. */
static void test_X36_permission_is_looked_at_before_any_lock(void **state)
{
    (void)state;
    held = rig_dev(&rig, rig_nvme);
    asked_inside = 0;
    rig.tape.hook = ask_inside;
    assert_int_equal(pcidev_deassign(held, vm.domain, NULL), 0);
    rig.tape.hook = NULL;
    assert_true(asked_inside > 2 * QUESTIONS);
    rig_put(held);
}

/* ---- X50: numbers that nobody could mean ---- */

static const uint32_t odd[] = {0,
                               1,
                               2,
                               3,
                               7,
                               8,
                               255,
                               256,
                               4095,
                               4096,
                               65535,
                               65536,
                               INT_MAX,
                               (uint32_t)INT_MIN,
                               UINT32_MAX - 1,
                               UINT32_MAX};

#define ODD (sizeof(odd) / sizeof(odd[0]))

static void try_accesses(struct berth_domain *guest, struct sbdf seen, uint32_t a, uint32_t b)
{
    const uint64_t wide = (uint64_t)a << 32 | b;
    uint64_t value;

    (void)berth_domain_config_read(guest, seen, a, b);
    (void)berth_domain_config_read(guest, sbdf_from_key(a), b, 4);
    berth_domain_config_write(guest, sbdf_from_key(a), b, 4, wide);
    assert_int_not_equal(berth_domain_mmio_read(guest, wide, b, &value), 0);
    assert_int_not_equal(berth_domain_mmio_write(guest, wide, b, wide), 0);
    assert_int_not_equal(berth_domain_port_read(guest, (uint16_t)a, b, &value), 0);
    assert_int_not_equal(berth_domain_port_write(guest, (uint16_t)a, b, wide), 0);
}

static void try_interrupts(uint32_t a, uint32_t b)
{
    const struct berth_irq irqs[] = {
        {.device = rig_nvme, .source = rig_nvme, .kind = (enum berth_irq_kind)a, .count = 1},
        {.device = rig_nvme, .kind = BERTH_IRQ_MSIX, .first = (uint16_t)a, .count = (uint16_t)b},
        {.device = rig_nvme, .kind = BERTH_IRQ_INTX, .count = 1, .generation = a},
        {.device = sbdf_from_key(a), .kind = BERTH_IRQ_MSI, .count = 32},
    };

    for (unsigned i = 0; i < sizeof(irqs) / sizeof(irqs[0]); i++)
        if (i != 2 || b) /* the line that is there has vector 0 only */
            assert_int_equal(berth_machine_interrupt(rig.machine, &irqs[i], b), BERTH_IRQ_DROPPED);
}

static void try_registers(struct pcidev *dev, uint32_t a, uint32_t b)
{
    const struct berth_register reg = {.offset = (uint16_t)a, .size = (uint8_t)b, .ro = UINT32_MAX};
    struct pcidev_section section;
    uint32_t value = 0;

    if (b != 4)
        assert_int_not_equal(berth_register_add(dev, &reg, NULL), 0);
    if (a >= 4096 || b >= 4096)
        assert_int_not_equal(berth_register_remove(dev, a, b), 0);
    assert_true(pcidev_enter(dev, "test", &section));
    if (b != 1 && b != 2 && b != 4)
        assert_int_equal(pcidev_config_read(dev, a, b, &value), -EINVAL);
    if (a >= 4096)
        assert_int_equal(pcidev_config_write(dev, a, 4, value), -EINVAL);
    pcidev_exit(&section);
}

static void try_operations(struct pcidev *dev, struct pcidev *pf, uint32_t a)
{
    struct sbdf vf;

    assert_int_not_equal(pcidev_vf_address(pf, a, &vf), 0);
    if (a > 4)
        assert_int_equal(pcidev_sriov(pf, a, NULL), -ERANGE);
    if (a > PCIDEV_TROUBLE_DPC)
        assert_int_equal(pcidev_recover(dev, (enum pcidev_trouble)a, NULL), -EINVAL);
    (void)berth_machine_fault(rig.machine, sbdf_from_key(a | 0x10000)); /* nobody's segment */
    assert_non_null(berth_operation_name((enum berth_operation)a));
    assert_non_null(berth_irq_kind_name((enum berth_irq_kind)a));
    assert_non_null(berth_reason_name((enum berth_reason)a));
}

static void test_X50_whatever_numbers_come_in(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme), *pf = rig_dev(&rig, rig_pf);
    const struct sbdf seen = rig_seen(&rig, rig_nvme);
    const struct rig_state before = rig_remember(&rig, rig_nvme);

    (void)state;
    for (unsigned i = 0; i < ODD; i++) {
        try_operations(dev, pf, odd[i]);
        for (unsigned k = 0; k < ODD; k++) {
            try_accesses(vm.domain, seen, odd[i], odd[k]);
            try_interrupts(odd[i], odd[k]);
            try_registers(dev, odd[i], odd[k]);
        }
    }
    rig_expect_as_before(&rig, &before);
    assert_int_equal(vm.injected + vm.asserted, 0);
    rig_put(pf);
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X49_only_the_privileged_get_anything_done),
        cmocka_unit_test(test_X49_the_embedder_and_the_hardware_domain_do),
        TEST(test_X41_ones_own_domain_is_no_way_round),
        cmocka_unit_test(test_X60_one_operation_is_delegated_and_no_other),
        TEST(test_X36_permission_is_looked_at_before_any_lock),
        TEST(test_X50_whatever_numbers_come_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
