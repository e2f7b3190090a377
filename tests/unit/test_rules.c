/* SPDX-License-Identifier: MIT */
/* Rules for registers of one model, in every width (V7). */
#include "tests/unit/rig.h"

#include <linux/pci_regs.h>

#define VENDOR 0x1b36u
#define DEVICE 0x0010u
#define FIRST 0xc0u /* behind all capabilities */

static struct rig rig;
static struct rig_vm vm;
static struct sbdf seen;

static const struct berth_register_rule rules[] = {
    {VENDOR, DEVICE + 1, FIRST, 0x10, BERTH_REGISTER_WRITE},       /* not of this device */
    {VENDOR + 1, BERTH_ANY_ID, FIRST, 0x10, BERTH_REGISTER_WRITE}, /* nor of this vendor */
    {VENDOR, DEVICE, FIRST + 0x10, 8, BERTH_REGISTER_WRITE},
    {VENDOR, BERTH_ANY_ID, FIRST + 0x18, 8, BERTH_REGISTER_READ},
};

static void with_rules(struct berth_machine_config *config)
{
    config->rules = rules;
    config->rule_count = sizeof(rules) / sizeof(rules[0]);
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    for (unsigned reg = FIRST; reg < FIRST + 0x30; reg += 4)
        mb_put(rig_function(&rig, rig_nvme), reg, 4, 0x11111111);
    rig_up(&rig, with_rules);
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    seen = rig_seen(&rig, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static uint64_t get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(vm.domain, seen, reg, length);
}

static void test_V7_a_rule_is_for_its_model_only(void **state)
{
    (void)state;
    assert_int_equal(get(FIRST, 4), 0);
    assert_int_equal(get(FIRST + 0x10, 4), 0x11111111);
    assert_int_equal(get(FIRST + 0x18, 8), UINT64_C(0x1111111111111111));
    assert_int_equal(get(FIRST + 0x20, 4), 0);
}

/* The simulated device has nothing there that could be written: what arrives is what is counted. */
static void test_V7_writes_pass_where_a_rule_says_so(void **state)
{
    uint64_t before = sim_calls(rig.sim, SIM_OP_CONFIG_WRITE);

    (void)state;
    berth_domain_config_write(vm.domain, seen, FIRST + 0x10, 4, 0x22222222);
    assert_int_equal(sim_calls(rig.sim, SIM_OP_CONFIG_WRITE), before + 1);
    berth_domain_config_write(vm.domain, seen, FIRST + 0x15, 1, 0x22);
    assert_int_equal(sim_calls(rig.sim, SIM_OP_CONFIG_WRITE), before + 2);
    berth_domain_config_write(vm.domain, seen, FIRST + 0x18, 4, 0x22222222);
    berth_domain_config_write(vm.domain, seen, FIRST, 4, 0x22222222);
    assert_int_equal(sim_calls(rig.sim, SIM_OP_CONFIG_WRITE), before + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_a_rule_is_for_its_model_only),
        TEST(test_V7_writes_pass_where_a_rule_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
