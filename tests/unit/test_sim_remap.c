/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: the interrupt remapping table, and who gets past it.
 */
#include "tests/unit/sim_help.h"

#include <pthread.h>
#include <stdatomic.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define CARD at(1, 0, 0)
#define OTHER at(2, 0, 0)
#define LEGACY at(4, 1, 0)
#define BRIDGE at(0, 3, 0)
#define BRIDGE_ALIAS at(4, 0, 0)

/* Two cards, and a conventional device behind a bridge. */
static void build_with(struct simrig *rig, const struct sim_options *options)
{
    mb_init(&rig->b);
    mb_root_port(&rig->b, at(0, 1, 0), 1, 1);
    mb_root_port(&rig->b, at(0, 2, 0), 2, 2);
    mb_pcie_pci_bridge(&rig->b, BRIDGE, 4, 4);
    mb_endpoint(&rig->b, CARD);
    mb_endpoint(&rig->b, OTHER);
    mb_pci_endpoint(&rig->b, LEGACY);
    simrig_start(rig, options);
}

static void build(struct simrig *rig)
{
    build_with(rig, NULL);
}

static struct berth_irq msix_irq(struct sbdf sbdf, unsigned vector)
{
    return (struct berth_irq){.device = sbdf,
                              .source = sbdf,
                              .kind = BERTH_IRQ_MSIX,
                              .first = (uint16_t)vector,
                              .count = 1,
                              .generation = 7};
}

static struct berth_irq msi_irq(unsigned first, unsigned count)
{
    struct berth_irq irq = msix_irq(OTHER, first);

    irq.kind = BERTH_IRQ_MSI;
    irq.count = (uint16_t)count;
    return irq;
}

static void test_M32_an_entry_is_good_for_one_requester(void **state)
{
    const struct sim_options open = {.no_remapping = true};
    struct berth_irq irq = msix_irq(CARD, 0);
    enum sim_irq_result result;
    struct berth_message m;
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_true(sim_irq_ops.remaps(rig.sim));
    m = simrig_bind(&rig, &irq);
    assert_int_equal(sim_message(rig.sim, OTHER, m.address, m.data, &result), 0);
    assert_int_equal(result, SIM_IRQ_BLOCKED);
    assert_int_equal(sim_message(rig.sim, CARD, m.address, m.data + 1, &result), 0);
    assert_int_equal(result, SIM_IRQ_BLOCKED);
    assert_int_equal(rig.heard.count, 0);
    assert_int_equal(simrig_counters(&rig).interrupts_forged, 2);
    assert_int_equal(sim_message(rig.sim, CARD, m.address, m.data, &result), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    assert_int_equal(sim_message(rig.sim, CARD, 0x1000, m.data, &result), 0);
    assert_int_equal(result, SIM_IRQ_NONE);
    assert_int_equal(simrig_counters(&rig).dma_faults, 1); /* that was DMA */
    simrig_stop(&rig);

    build_with(&rig, &open);
    assert_false(sim_irq_ops.remaps(rig.sim));
    m = simrig_bind(&rig, &irq);
    assert_int_equal(sim_message(rig.sim, OTHER, m.address, m.data, &result), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    assert_true(sbdf_equal(rig.heard.irq.device, CARD));
    simrig_stop(&rig);
}

static void test_behind_a_bridge_messages_have_its_requester_id(void **state)
{
    struct berth_irq irq = {
        .device = LEGACY, .source = LEGACY, .kind = BERTH_IRQ_MSI, .count = 1, .generation = 1};
    struct berth_message m;
    struct simrig rig;
    unsigned reg;

    (void)state;
    build(&rig);
    reg = simrig_cap(&rig, LEGACY, PCI_CAP_ID_MSI);
    simrig_update(&rig, LEGACY, reg + PCI_MSI_FLAGS, 0, PCI_MSI_FLAGS_ENABLE);
    m = simrig_bind(&rig, &irq);
    simrig_write(&rig, LEGACY, reg + PCI_MSI_ADDRESS_LO, 4, (uint32_t)m.address);
    simrig_write(&rig, LEGACY, reg + PCI_MSI_DATA_64, 2, m.data);
    assert_int_equal(simrig_raise(&rig, LEGACY, 0), SIM_IRQ_BLOCKED);
    sim_irq_ops.unbind(rig.sim, &irq);
    irq.source = BRIDGE_ALIAS;
    m = simrig_bind(&rig, &irq);
    simrig_write(&rig, LEGACY, reg + PCI_MSI_DATA_64, 2, m.data);
    assert_int_equal(simrig_raise(&rig, LEGACY, 0), SIM_IRQ_DELIVERED);
    assert_true(sbdf_equal(rig.heard.irq.device, LEGACY));
    simrig_stop(&rig);
}

static void test_bindings_that_are_wrong_are_counted(void **state)
{
    struct berth_irq irq = msix_irq(CARD, 5), block = msi_irq(0, 3);
    struct berth_message m;
    struct simrig rig;

    (void)state;
    build(&rig);
    sim_irq_ops.unbind(rig.sim, &irq);
    simrig_bind(&rig, &irq);
    assert_int_equal(sim_irq_ops.bind(rig.sim, &irq, &m), -EIO);
    irq.generation++;
    sim_irq_ops.unbind(rig.sim, &irq);
    assert_int_equal(simrig_counters(&rig).bindings_misused, 3);
    assert_int_equal(simrig_counters(&rig).bindings, 1);
    assert_int_equal(sim_irq_ops.bind(rig.sim, &block, &m), -EIO); /* three */
    block.count = 4;
    sim_fail(rig.sim, SIM_OP_BIND, 1, 0, 0);
    assert_int_equal(sim_irq_ops.bind(rig.sim, &block, &m), -ENOSPC);
    assert_int_equal(simrig_counters(&rig).bindings, 1);
    simrig_bind(&rig, &block);
    simrig_stop(&rig);
}

/* 65,536 values of MSI data make 2,048 blocks of 32; what was given back can be had again. */
static void test_msi_blocks_run_out_and_come_back(void **state)
{
    struct berth_irq irq = msi_irq(0, 32);
    struct berth_message m;
    struct simrig rig;

    (void)state;
    build(&rig);
    for (unsigned i = 0; i < 2048; i++) {
        irq.first = (uint16_t)i;
        m = simrig_bind(&rig, &irq);
        assert_true(m.data % 32 == 0 && m.data < 0x10000);
    }
    irq.first = 2048;
    assert_int_equal(sim_irq_ops.bind(rig.sim, &irq, &m), -ENOSPC);
    irq.first = 99;
    sim_irq_ops.unbind(rig.sim, &irq);
    irq.count = 1;
    for (unsigned i = 0; i < 32; i++) {
        irq.first = (uint16_t)(3000 + i);
        simrig_bind(&rig, &irq);
    }
    irq.first = 4000;
    assert_int_equal(sim_irq_ops.bind(rig.sim, &irq, &m), -ENOSPC);
    simrig_stop(&rig);
}

/* ---- while others change the table ---- */

#define ROUNDS 3000

struct racer {
    struct sim *sim;
    _Atomic bool stop;
    _Atomic unsigned wrong, delivered;
};

/* What is heard was bound by somebody, as a whole. */
static void check(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct racer *r = context;

    atomic_fetch_add(&r->delivered, 1);
    if (vector || irq->count != 1 || irq->generation != irq->first + 1000u ||
        !sbdf_equal(irq->device, irq->source))
        atomic_fetch_add(&r->wrong, 1);
}

static void *forge(void *context)
{
    struct racer *r = context;
    enum sim_irq_result result;

    for (uint32_t i = 0; !atomic_load(&r->stop); i++)
        (void)sim_message(r->sim, i & 1 ? CARD : OTHER, 0xfee00000, 0x10000 + i % 16, &result);
    return NULL;
}

static void test_messages_meet_whole_bindings_only(void **state)
{
    struct racer racer = {0};
    struct simrig rig;
    pthread_t threads[2];

    (void)state;
    build(&rig);
    racer.sim = rig.sim;
    sim_on_interrupt(rig.sim, check, &racer);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, forge, &racer), 0);
    for (unsigned i = 0; i < ROUNDS || !atomic_load(&racer.delivered); i++) {
        struct berth_irq irq = msix_irq(i % 3 ? CARD : OTHER, i % 50);

        irq.generation = irq.first + 1000u;
        simrig_bind(&rig, &irq);
        sim_irq_ops.unbind(rig.sim, &irq);
    }
    atomic_store(&racer.stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&racer.wrong), 0);
    assert_int_equal(simrig_counters(&rig).bindings, 0);
    assert_int_equal(simrig_counters(&rig).bindings_misused, 0);
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M32_an_entry_is_good_for_one_requester),
        cmocka_unit_test(test_behind_a_bridge_messages_have_its_requester_id),
        cmocka_unit_test(test_bindings_that_are_wrong_are_counted),
        cmocka_unit_test(test_msi_blocks_run_out_and_come_back),
        cmocka_unit_test(test_messages_meet_whole_bindings_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
