/* SPDX-License-Identifier: MIT */
/* Vectors and what they hold, from the first binding to the last: F113, F114, F118. */
#include "tests/unit/msix_driver.h"

#define ROUNDS 50u

/* ---- F113 ---- */

static const struct sbdf conventional = {0, 0, 0xf0};

static struct berth_host_ops strict;

/* Whoever takes "no such capability" for one at 0 writes to the ids. */
static int write_no_ids(void *host, berth_claim claim, unsigned reg, unsigned length,
                        uint32_t value)
{
    assert_true(reg >= PCI_COMMAND);
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static void with_strict_host(struct berth_machine_config *config)
{
    strict = sim_host_ops;
    strict.config_write = write_no_ids;
    config->host = &strict;
}

/* A device with MSI, and without a table anywhere. */
static void test_F113_a_device_without_msix(void **state)
{
    unsigned cap;

    (void)state;
    irq_begin(&ir);
    mb_put(mb_pci_endpoint(&ir.rig.builder, conventional), PCI_INTERRUPT_PIN, 1, 1);
    ir.configure = with_strict_host;
    irq_up(&ir, conventional);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSIX), 0);
    cap = irq_cap(&ir, PCI_CAP_ID_MSI);
    assert_int_not_equal(cap, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t value;

        irq_put(&ir, cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
        assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_DELIVERED);
        assert_int_equal(berth_domain_mmio_read(ir.guest, IRQ_BAR, 8, &value), 0);
        irq_put(&ir, cap + PCI_MSI_FLAGS, 2, 0);
        if (i == 0) /* takes everything away and puts it back */
            assert_int_equal(rig_reset(&ir.rig, ir.dev), -ENOTTY);
        irq_take_back(&ir);
        assert_int_equal(irq_bindings(&ir), 0);
        assert_int_equal(irq_holds(&ir), 0);
        irq_lend(&ir);
    }
    irq_put(&ir, cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
    irq_down(&ir);
}

/* ---- F114: a reference for each binding, for exactly as long ---- */

static unsigned references(struct pcidev *dev)
{
    struct pcidev_info info;

    pcidev_snapshot(dev, &info);
    return info.references;
}

static void test_F114_a_reference_for_each_binding(void **state)
{
    struct pcidev *dev = rig_dev(&ir.rig, ir.dev);
    unsigned idle = references(dev);

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned count = 1 + round % MSIX_VECTORS;

        msix_set_up_all(count);
        assert_int_equal(irq_holds(&ir), 1 + count); /* INTx has one */
        assert_int_equal(references(dev), idle + count);
        msix_expect_works(count - 1);
        msix_control(0);
        assert_int_equal(irq_holds(&ir), 1);
        assert_int_equal(references(dev), idle);
        for (unsigned i = 0; i < MSIX_VECTORS; i++)
            msix_mask(i, true);
    }
    msix_set_up_all(MSIX_VECTORS);
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(references(dev), 1); /* ours is the last: all others have gone */
    rig_put(dev);
}

/* ---- F118: however it ends ---- */

static void by_deassign(void)
{
    irq_take_back(&ir);
}

static void by_removal(void)
{
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
}

static void by_a_pull(void)
{
    rig_pull(&ir.rig, ir.dev);
    by_removal();
    assert_int_equal(sim_return(ir.rig.sim, ir.dev), 0);
}

static void by_the_guests_end(void)
{
    rig_destroy_guest(&ir.rig, ir.guest);
    ir.guest = irq_guest(&ir, "vm1");
}

/* The guest switches it off and on, resets it, and lets it sleep first. */
static void by_everything(void)
{
    unsigned pcie = irq_cap(&ir, PCI_CAP_ID_EXP);

    msix_control(0);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    irq_set_power(&ir, 3);
    irq_set_power(&ir, 0);
    irq_put(&ir, pcie + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
    assert_int_equal(irq_bindings(&ir), 1); /* INTx */
    irq_put(&ir, PCI_BASE_ADDRESS_0, 4, (uint32_t)IRQ_BAR);
    irq_put(&ir, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    msix_set_up_all(3);
    by_deassign();
}

static void test_F118_no_vector_outlives_its_end(void **state)
{
    static void (*const ends[])(void) = {by_deassign, by_removal, by_a_pull, by_the_guests_end,
                                         by_everything};

    (void)state;
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (unsigned bound = 0; bound <= MSIX_VECTORS; bound += 5) {
            sim_fail(ir.rig.sim, SIM_OP_BIND, bound + 1, 100, 0); /* the others fail */
            msix_set_up_all(MSIX_VECTORS);
            sim_fail(ir.rig.sim, SIM_OP_BIND, 0, 0, 0);
            assert_int_equal(irq_bindings(&ir), 1 + bound);
            ends[i]();
            assert_int_equal(irq_bindings(&ir), 0);
            assert_int_equal(irq_counters(&ir).bindings_misused, 0);
            if (!rig_has(&ir.rig, ir.dev))
                assert_int_equal(rig_add(&ir.rig, ir.dev), 0);
            assert_int_equal(irq_holds(&ir), 0);
            irq_lend(&ir);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F113_a_device_without_msix),
        TEST(test_F114_a_reference_for_each_binding),
        TEST(test_F118_no_vector_outlives_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
