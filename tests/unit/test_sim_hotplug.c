/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: functions that vanish and return, calls that fail on demand, and many
 * threads at once.
 */
#include "tests/unit/sim_help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define ROOT at(0, 1, 0)
#define SWITCH at(1, 0, 0)
#define PF at(3, 0, 0)
#define VF0 at(3, 16, 0)
#define CARD at(4, 0, 0)
#define CARD_1 at(4, 0, 1)

/* A switch with a PF behind one port, with two VFs on, and a card of two functions behind another.
 */
static void build(struct simrig *rig)
{
    mb_init(&rig->b);
    mb_root_port(&rig->b, ROOT, 1, 4);
    mb_upstream_port(&rig->b, SWITCH, 2, 4);
    mb_downstream_port(&rig->b, at(2, 0, 0), 3, 3);
    mb_downstream_port(&rig->b, at(2, 1, 0), 4, 4);
    mb_vfs(&rig->b, mb_pf(&rig->b, PF, 4, 128, 1), 2);
    mb_endpoint(&rig->b, CARD);
    mb_endpoint(&rig->b, CARD_1);
    simrig_start(rig, NULL);
}

static bool there(struct simrig *rig, struct sbdf sbdf)
{
    return sim_present(rig->sim, sbdf);
}

/* ---- vanishing ---- */

static void test_a_vanished_function_reads_ones(void **state)
{
    berth_claim claim;
    struct simrig rig;
    uint32_t value;

    (void)state;
    build(&rig);
    assert_int_equal(sim_host_ops.claim(rig.sim, CARD_1, &claim), 0);
    assert_int_equal(sim_vanish(rig.sim, CARD_1), 0);
    assert_false(there(&rig, CARD_1));
    assert_true(there(&rig, CARD));
    assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_VENDOR_ID, 2, &value), 0);
    assert_int_equal(value, 0xffff);
    assert_int_equal(sim_host_ops.config_write(rig.sim, claim, PCI_COMMAND, 2, 0), 0);
    assert_int_equal(sim_bar_access(rig.sim, CARD_1, 0, 0, false, &value), 0);
    assert_int_equal(value, ONES);
    assert_int_equal(simrig_counters(&rig).touches_vanished, 3);
    assert_int_equal(sim_vanish(rig.sim, at(9, 0, 0)), -ENODEV);
    simrig_stop(&rig);
}

static void test_function_0_takes_the_card_along(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_false(there(&rig, CARD_1));
    assert_true(there(&rig, PF));
    assert_int_equal(sim_return(rig.sim, CARD), 0);
    assert_true(there(&rig, CARD_1));
    simrig_stop(&rig);
}

static void test_a_pf_takes_its_vfs_along_and_comes_back_without(void **state)
{
    berth_claim claim;
    struct simrig rig;
    uint32_t value;

    (void)state;
    build(&rig);
    assert_int_equal(sim_host_ops.claim(rig.sim, VF0, &claim), 0);
    assert_int_equal(sim_vanish(rig.sim, PF), 0);
    assert_false(there(&rig, VF0));
    assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_COMMAND, 2, &value), 0);
    assert_int_equal(value, 0xffff);
    assert_int_equal(simrig_counters(&rig).touches_vanished, 1);
    assert_int_equal(sim_return(rig.sim, VF0), 0);
    assert_false(there(&rig, VF0));
    assert_int_equal(sim_return(rig.sim, PF), 0);
    assert_true(there(&rig, PF));
    assert_int_equal(sim_return(rig.sim, VF0), 0);
    assert_false(there(&rig, VF0));
    simrig_stop(&rig);
}

static void test_a_vf_vanishes_alone(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_vanish(rig.sim, VF0), 0);
    assert_false(there(&rig, VF0));
    assert_true(there(&rig, at(3, 16, 1)));
    assert_int_equal(sim_return(rig.sim, VF0), 0);
    assert_true(there(&rig, VF0));
    assert_int_equal(simrig_read(&rig, VF0, PCI_COMMAND, 2), 0);
    simrig_stop(&rig);
}

static void test_a_bridge_takes_what_is_behind_it_along(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_vanish(rig.sim, SWITCH), 0);
    assert_true(there(&rig, ROOT));
    assert_false(there(&rig, CARD));
    assert_false(there(&rig, VF0));
    assert_int_equal(sim_return(rig.sim, CARD), 0); /* into a switch that is not there */
    assert_false(there(&rig, CARD));
    assert_int_equal(sim_return(rig.sim, SWITCH), 0);
    assert_true(there(&rig, CARD));
    assert_false(simrig_silent(&rig, CARD));
    simrig_stop(&rig);
}

static void test_it_comes_back_as_firmware_leaves_it(void **state)
{
    uint64_t start, size, again;
    uint32_t value = 3;
    struct simrig rig;
    unsigned msix;

    (void)state;
    build(&rig);
    msix = simrig_cap(&rig, CARD, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;
    assert_int_equal(sim_bar(rig.sim, CARD, 0, &start, &size), 0);
    simrig_write(&rig, CARD, msix, 2, PCI_MSIX_FLAGS_ENABLE);
    simrig_write(&rig, CARD, PCI_BASE_ADDRESS_1, 4, 0);
    assert_int_equal(sim_vanish(rig.sim, SWITCH), 0);
    assert_int_equal(sim_return(rig.sim, SWITCH), 0);
    assert_int_equal(simrig_read(&rig, CARD, PCI_COMMAND, 2), 0);
    assert_int_equal(simrig_read(&rig, CARD, msix, 2), 15);
    assert_int_equal(sim_bar(rig.sim, CARD, 0, &again, &size), 0);
    assert_int_equal(again, start);
    simrig_write(&rig, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(sim_bar_access(rig.sim, CARD, 0, 0, false, &value), 0); /* windows are open */
    assert_int_equal(value, 0);
    simrig_stop(&rig);
}

static void test_it_vanishes_at_the_nth_access(void **state)
{
    berth_claim claim;
    struct simrig rig;
    uint32_t value;

    (void)state;
    build(&rig);
    assert_int_equal(sim_host_ops.claim(rig.sim, CARD, &claim), 0);
    assert_int_equal(sim_vanish_after(rig.sim, CARD, 3), 0);
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_VENDOR_ID, 2, &value), 0);
        assert_int_equal(value, i < 3 ? 0x1b36 : 0xffff);
    }
    assert_false(there(&rig, CARD_1));
    simrig_stop(&rig);
}

static void test_putting_back_ends_a_hang(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(sim_hang_on_reset(rig.sim, CARD, true), 0);
    simrig_update(&rig, CARD, simrig_cap(&rig, CARD, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 0,
                  PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(1000 * MS);
    assert_true(simrig_silent(&rig, CARD));
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_int_equal(sim_return(rig.sim, CARD), 0);
    assert_false(simrig_silent(&rig, CARD));
    simrig_stop(&rig);
}

/* ---- failing on demand ---- */

struct call {
    struct sim *sim;
    berth_claim claim;
    void *space;
};

static const struct berth_reserved region = {0x10000, 0x1000, 1, 0};

static int call_bar_or_irq_op(struct call *c, enum sim_op op)
{
    const struct berth_irq irq = {
        .device = CARD, .source = CARD, .kind = BERTH_IRQ_MSIX, .first = 3, .count = 1};
    struct berth_message message;
    uint64_t value;
    int error;

    switch (op) {
    case SIM_OP_BAR_READ:
        return sim_bar_ops.read(c->sim, c->claim, 0, 0, 8, &value);
    case SIM_OP_BAR_WRITE:
        return sim_bar_ops.write(c->sim, c->claim, 0, 0, 8, 1);
    case SIM_OP_BIND:
        error = sim_irq_ops.bind(c->sim, &irq, &message);
        if (!error)
            sim_irq_ops.unbind(c->sim, &irq);
        return error;
    default:
        return -EINVAL;
    }
}

static int call_op(struct call *c, enum sim_op op)
{
    struct berth_reserved list[BERTH_RESERVED_MAX];
    berth_claim other;
    uint32_t value;
    void *space;
    int error;

    switch (op) {
    case SIM_OP_CLAIM:
        error = sim_host_ops.claim(c->sim, CARD_1, &other);
        if (!error)
            sim_host_ops.release(c->sim, other);
        return error;
    case SIM_OP_CONFIG_READ:
        return sim_host_ops.config_read(c->sim, c->claim, 0, 2, &value);
    case SIM_OP_CONFIG_WRITE:
        return sim_host_ops.config_write(c->sim, c->claim, PCI_COMMAND, 2, 0);
    case SIM_OP_RESET:
        return sim_host_ops.reset(c->sim, c->claim);
    case SIM_OP_RESERVED:
        return sim_host_ops.reserved(c->sim, c->claim, list);
    case SIM_OP_SPACE_CREATE:
        error = sim_iommu_ops.space_create(c->sim, BERTH_SPACE_BLOCK, 1, &space);
        if (!error)
            sim_iommu_ops.space_destroy(c->sim, space);
        return error;
    case SIM_OP_MAP:
        return sim_iommu_ops.map(c->sim, c->space, &region);
    case SIM_OP_UNMAP:
        return sim_iommu_ops.unmap(c->sim, c->space, &region);
    case SIM_OP_ATTACH:
        return sim_iommu_ops.attach(c->sim, CARD, c->space);
    case SIM_OP_DETACH:
        return sim_iommu_ops.detach(c->sim, CARD);
    case SIM_OP_FLUSH:
        return sim_iommu_ops.flush(c->sim, CARD, c->space);
    default:
        return call_bar_or_irq_op(c, op);
    }
}

static void start_calls(struct simrig *rig, struct call *c)
{
    build(rig);
    c->sim = rig->sim;
    assert_int_equal(sim_set_host_reset(rig->sim, CARD, true, 0), 0);
    assert_int_equal(sim_host_ops.claim(rig->sim, CARD, &c->claim), 0);
    assert_int_equal(sim_iommu_ops.space_create(rig->sim, BERTH_SPACE_BLOCK, 7, &c->space), 0);
}

static void stop_calls(struct simrig *rig, struct call *c)
{
    sim_iommu_ops.detach(rig->sim, CARD);
    sim_iommu_ops.space_destroy(rig->sim, c->space);
    simrig_stop(rig);
}

/* Each operation works, fails at its second call as ordered and without effect, works again. */
static void test_every_operation_fails_on_demand(void **state)
{
    struct call c;
    struct simrig rig;

    (void)state;
    start_calls(&rig, &c);
    for (int op = 0; op < SIM_OP_COUNT; op++) {
        uint64_t before = sim_calls(rig.sim, (enum sim_op)op);

        if (op == SIM_OP_UNMAP)
            assert_int_equal(sim_iommu_ops.unmap(rig.sim, c.space, &region), 0);
        sim_fail(rig.sim, (enum sim_op)op, 2, 0, -ENOSPC);
        if (op == SIM_OP_UNMAP)
            assert_int_equal(sim_iommu_ops.map(rig.sim, c.space, &region), 0);
        assert_int_equal(call_op(&c, (enum sim_op)op), 0);
        assert_false(sim_failed(rig.sim, (enum sim_op)op));
        assert_int_equal(call_op(&c, (enum sim_op)op), -ENOSPC);
        assert_true(sim_failed(rig.sim, (enum sim_op)op));
        assert_true(sim_calls(rig.sim, (enum sim_op)op) >= before + 2);
        if (op == SIM_OP_MAP) /* it is there already */
            assert_int_equal(call_op(&c, (enum sim_op)op), -EEXIST);
        else if (op == SIM_OP_UNMAP)
            assert_int_equal(call_op(&c, (enum sim_op)op), -ENOENT);
        else
            assert_int_equal(call_op(&c, (enum sim_op)op), 0);
        assert_string_not_equal(sim_op_name((enum sim_op)op), "unknown");
    }
    stop_calls(&rig, &c);
}

static void test_a_failed_call_does_nothing(void **state)
{
    struct call c;
    struct simrig rig;

    (void)state;
    start_calls(&rig, &c);
    sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_CONFIG_WRITE), -EIO);
    sim_fail(rig.sim, SIM_OP_RESET, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_RESET), -EIO);
    sim_host_ops.release(rig.sim, c.claim);
    assert_int_equal(simrig_read(&rig, CARD, PCI_COMMAND, 2),
                     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    sim_fail(rig.sim, SIM_OP_CLAIM, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_CLAIM), -EBUSY);
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_ATTACH), -EIO);
    sim_fail(rig.sim, SIM_OP_MAP, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_MAP), -ENOMEM);
    assert_int_equal(simrig_counters(&rig).claims, 0);
    assert_int_equal(simrig_counters(&rig).contexts, 0);
    assert_int_equal(simrig_counters(&rig).mappings, 0);
    assert_int_equal(call_op(&c, SIM_OP_ATTACH), 0);
    sim_fail(rig.sim, SIM_OP_DETACH, 1, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_DETACH), -EIO);
    assert_int_equal(simrig_counters(&rig).contexts, 1);
    stop_calls(&rig, &c);
}

static void test_failures_may_last_and_be_called_off(void **state)
{
    struct call c;
    struct simrig rig;

    (void)state;
    start_calls(&rig, &c);
    sim_fail(rig.sim, SIM_OP_ANY, 2, 1, 0);
    assert_int_equal(call_op(&c, SIM_OP_CONFIG_READ), 0);
    assert_int_equal(call_op(&c, SIM_OP_ATTACH), -EIO);
    assert_int_equal(call_op(&c, SIM_OP_FLUSH), -ETIMEDOUT);
    assert_true(sim_failed(rig.sim, SIM_OP_ANY));
    assert_int_equal(call_op(&c, SIM_OP_ATTACH), 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_int_equal(call_op(&c, SIM_OP_ATTACH), 0);
    assert_false(sim_failed(rig.sim, SIM_OP_ATTACH));
    assert_int_equal(sim_calls(rig.sim, SIM_OP_ATTACH), 3);
    stop_calls(&rig, &c);
}

/* ---- threads ---- */

struct storm {
    struct simrig rig;
    _Atomic bool stop;
    _Atomic uint64_t accesses, torn;
};

static void *access_thread(void *argument)
{
    struct storm *storm = argument;
    struct sim *sim = storm->rig.sim;
    berth_claim claim;
    uint32_t value = 0;

    while (!atomic_load(&storm->stop)) {
        struct sim_dma dma;

        if (sim_host_ops.claim(sim, CARD, &claim))
            continue;
        sim_host_ops.config_read(sim, claim, PCI_VENDOR_ID, 4, &value);
        if (value != ONES && value != 0x00101b36)
            atomic_fetch_add(&storm->torn, 1);
        sim_host_ops.config_write(sim, claim, PCI_COMMAND, 2,
                                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        sim_bar_access(sim, CARD, 0, 0, true, &value);
        sim_dma(sim, CARD, 0x1000, true, 1, &dma);
        sim_dma(sim, VF0, 0x1000, false, 0, &dma);
        sim_host_ops.release(sim, claim);
        atomic_fetch_add(&storm->accesses, 1);
    }
    return NULL;
}

static void *owner_thread(void *argument)
{
    struct storm *storm = argument;
    struct sim *sim = storm->rig.sim;

    for (uint32_t id = 1; !atomic_load(&storm->stop); id++) {
        void *space;

        if (sim_iommu_ops.space_create(sim, BERTH_SPACE_DOMAIN, id, &space))
            continue;
        sim_iommu_ops.map(sim, space, &region);
        sim_iommu_ops.attach(sim, CARD, space);
        sim_iommu_ops.unmap(sim, space, &region);
        sim_iommu_ops.detach(sim, CARD);
        sim_iommu_ops.flush(sim, CARD, space);
        sim_iommu_ops.space_destroy(sim, space);
    }
    return NULL;
}

/* Cards come and go, ports and PFs are reset, owners change, under two threads of accesses. */
static void test_many_threads(void **state)
{
    static struct storm storm;
    pthread_t threads[3];
    unsigned reg;

    (void)state;
    memset(&storm, 0, sizeof(storm));
    build(&storm.rig);
    reg = simrig_ext_cap(&storm.rig, PF, PCI_EXT_CAP_ID_SRIOV) + PCI_SRIOV_CTRL;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 2 ? access_thread : owner_thread, &storm), 0);
    for (unsigned i = 0; i < 300 || atomic_load(&storm.accesses) < 100; i++) {
        sim_vanish(storm.rig.sim, i % 3 ? CARD : SWITCH);
        sim_return(storm.rig.sim, i % 3 ? CARD : SWITCH);
        simrig_write(&storm.rig, PF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        simrig_update(&storm.rig, PF, reg, i & 1, ~i & 1);
        simrig_update(&storm.rig, at(2, 1, 0), PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
        simrig_update(&storm.rig, at(2, 1, 0), PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
        simrig_wait(100 * MS);
    }
    atomic_store(&storm.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&storm.torn), 0);
    assert_int_equal(simrig_counters(&storm.rig).claims, 0);
    assert_int_equal(simrig_counters(&storm.rig).spaces, 0);
    assert_int_equal(simrig_counters(&storm.rig).contexts, 0);
    assert_int_equal(simrig_counters(&storm.rig).mappings, 0);
    assert_int_equal(simrig_counters(&storm.rig).spaces_freed_in_use, 0);
    assert_int_equal(simrig_counters(&storm.rig).touches_after_release, 0);
    simrig_stop(&storm.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_vanished_function_reads_ones),
        cmocka_unit_test(test_function_0_takes_the_card_along),
        cmocka_unit_test(test_a_pf_takes_its_vfs_along_and_comes_back_without),
        cmocka_unit_test(test_a_vf_vanishes_alone),
        cmocka_unit_test(test_a_bridge_takes_what_is_behind_it_along),
        cmocka_unit_test(test_it_comes_back_as_firmware_leaves_it),
        cmocka_unit_test(test_it_vanishes_at_the_nth_access),
        cmocka_unit_test(test_putting_back_ends_a_hang),
        cmocka_unit_test(test_every_operation_fails_on_demand),
        cmocka_unit_test(test_a_failed_call_does_nothing),
        cmocka_unit_test(test_failures_may_last_and_be_called_off),
        cmocka_unit_test(test_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
