/* SPDX-License-Identifier: MIT */
/* Interrupt lines that are not there (F126). */
#include <limits.h>

#include <linux/pci_regs.h>

#include "tests/unit/rig.h"

static struct rig rig;
static struct rig_vm vm[2];
static const struct sbdf card[2] = {{0, 0, 0x20}, {0, 0, 0x28}};
static struct berth_host_ops ops;
static int line_of_the_host; /* what it says of both */

/* Nothing but INTx: who is told that two share a line does not get one without the other. */
static void build(unsigned pin, unsigned line)
{
    rig_begin(&rig);
    for (unsigned i = 0; i < 2; i++) {
        struct capture_function *f = mb_bare(&rig.builder, card[i]);

        mb_put(f, PCI_INTERRUPT_PIN, 1, pin);
        mb_put(f, PCI_INTERRUPT_LINE, 1, line);
    }
}

static void expect_apart(rig_configure *configure, unsigned pin)
{
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm[0], "vm1");
    rig_vm_up(&rig, &vm[1], "vm2");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_assign(&rig, card[i], vm[i].domain), 0);
        assert_int_equal(
            berth_domain_config_read(vm[i].domain, rig_seen(&rig, card[i]), PCI_INTERRUPT_PIN, 1),
            pin);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_deassign(&rig, card[i], vm[i].domain), 0);
    rig_vm_down(&vm[1]);
    rig_vm_down(&vm[0]);
    rig_down(&rig);
}

static void test_F126_a_register_that_says_not_connected(void **state)
{
    (void)state;
    build(1, 0xff);
    expect_apart(NULL, 1);
    build(1, 0);
    expect_apart(NULL, 1);
    build(0, 11);
    expect_apart(NULL, 0);
}

static void describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    sim_host_ops.describe(host, claim, facts);
    facts->interrupt_line = line_of_the_host;
}

static void with_lines(struct berth_machine_config *config)
{
    ops = sim_host_ops;
    ops.describe = describe;
    config->host = &ops;
}

static void test_F126_a_host_that_says_not_connected(void **state)
{
    static const int none[] = {-1, INT_MIN};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        line_of_the_host = none[i];
        build(1, 11);
        expect_apart(with_lines, 1);
    }
}

/* It is not that lines mean nothing. */
static void test_F126_a_line_that_is_there_is_shared(void **state)
{
    (void)state;
    build(1, 11);
    rig_up(&rig, NULL);
    rig_vm_up(&rig, &vm[0], "vm1");
    rig_expect_refused(&rig, rig_assign(&rig, card[0], vm[0].domain), -EBUSY,
                       BERTH_REASON_SHARED_LINE);
    rig_vm_down(&vm[0]);
    rig_down(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F126_a_register_that_says_not_connected),
        cmocka_unit_test(test_F126_a_host_that_says_not_connected),
        cmocka_unit_test(test_F126_a_line_that_is_there_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
