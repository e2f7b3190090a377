/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: interrupts, from what a function's registers say to who is bound.
 */
#include "tests/unit/sim_help.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define CARD at(1, 0, 0)
#define OTHER at(2, 0, 0)
#define VF1 at(5, 16, 1)
#define CARD_VECTORS 2048u
#define OTHER_VECTORS 8u
#define TABLE 0x2000u
#define PBA 0x10000u

/* A card with 2,048 MSI-X vectors and INTx, and one with 8 of MSI. */
static void build(struct simrig *rig)
{
    struct capture_function *f;
    unsigned msix;

    mb_init(&rig->b);
    mb_root_port(&rig->b, at(0, 1, 0), 1, 1);
    mb_root_port(&rig->b, at(0, 2, 0), 2, 2);
    f = mb_endpoint(&rig->b, CARD);
    msix = mb_find_cap(f, PCI_CAP_ID_MSIX);
    mb_bar(f, 0, MB_BAR_PREFETCH64, 0x20000);
    mb_put(f, msix + PCI_MSIX_FLAGS, 2, CARD_VECTORS - 1);
    mb_put(f, msix + PCI_MSIX_PBA, 4, PBA);
    mb_put(f, PCI_INTERRUPT_PIN, 1, 1);
    f = mb_endpoint(&rig->b, OTHER);
    mb_msi(f, OTHER_VECTORS);
    simrig_start(rig, NULL);
}

static struct berth_irq msix_irq(unsigned vector)
{
    return (struct berth_irq){.device = CARD,
                              .source = CARD,
                              .kind = BERTH_IRQ_MSIX,
                              .first = (uint16_t)vector,
                              .count = 1,
                              .generation = 7};
}

static const struct berth_irq msi_irq = {
    .device = {0, 2, 0}, .source = {0, 2, 0}, .kind = BERTH_IRQ_MSI, .count = 8, .generation = 3};

static void poke(struct simrig *rig, uint64_t offset, uint32_t value)
{
    assert_int_equal(sim_bar_access(rig->sim, CARD, 0, offset, true, &value), 0);
}

static uint32_t peek(struct simrig *rig, uint64_t offset)
{
    uint32_t value;

    assert_int_equal(sim_bar_access(rig->sim, CARD, 0, offset, false, &value), 0);
    return value;
}

static void program_msix(struct simrig *rig, unsigned vector, struct berth_message m,
                         uint32_t control)
{
    uint64_t entry = TABLE + 16 * (uint64_t)vector;

    poke(rig, entry, (uint32_t)m.address);
    poke(rig, entry + 4, (uint32_t)(m.address >> 32));
    poke(rig, entry + 8, m.data);
    poke(rig, entry + 12, control);
}

static void msix_control(struct simrig *rig, uint32_t bits)
{
    unsigned reg = simrig_cap(rig, CARD, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;

    simrig_write(rig, CARD, reg, 2, bits);
}

/* ---- MSI-X ---- */

static void test_the_table_is_masked_at_power_on(void **state)
{
    struct sim_msix_entry entry;
    struct simrig rig;

    (void)state;
    build(&rig);
    for (unsigned i = 0; i < CARD_VECTORS; i += 89)
        assert_int_equal(peek(&rig, TABLE + 16 * i + 12), PCI_MSIX_ENTRY_CTRL_MASKBIT);
    assert_int_equal(peek(&rig, TABLE + 16 * CARD_VECTORS + 12), 0); /* behind its end */
    assert_int_equal(peek(&rig, TABLE - 4), 0);
    poke(&rig, TABLE, ONES);
    poke(&rig, TABLE + 12, ONES - 1);
    assert_int_equal(peek(&rig, TABLE), ONES & ~3u);
    assert_int_equal(peek(&rig, TABLE + 12), 0);
    poke(&rig, TABLE + 12, ONES);
    assert_int_equal(peek(&rig, TABLE + 12), 1);
    poke(&rig, TABLE + 12, 0);
    assert_int_equal(sim_msix_entry(rig.sim, CARD, 0, &entry), 0);
    assert_int_equal(entry.address, 0xfffffffc);
    assert_int_equal(entry.control, 0);
    assert_int_equal(sim_msix_entry(rig.sim, CARD, CARD_VECTORS, &entry), -ENOENT);
    simrig_write(&rig, CARD, simrig_cap(&rig, CARD, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                 PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(200 * MS);
    assert_int_equal(sim_msix_entry(rig.sim, CARD, 0, &entry), 0);
    assert_int_equal(entry.address, 0);
    assert_int_equal(entry.control, 1);
    simrig_stop(&rig);
}

static void test_every_one_of_2048_vectors_is_its_own(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 0; i < CARD_VECTORS; i++) {
        struct berth_irq irq = msix_irq(i);

        program_msix(&rig, i, simrig_bind(&rig, &irq), 0);
    }
    assert_int_equal(simrig_counters(&rig).bindings, CARD_VECTORS);
    for (unsigned i = 0; i < CARD_VECTORS; i++) {
        assert_int_equal(simrig_raise(&rig, CARD, i), SIM_IRQ_DELIVERED);
        assert_int_equal(rig.heard.irq.first, i);
        assert_int_equal(rig.heard.vector, 0);
    }
    assert_int_equal(rig.heard.count, CARD_VECTORS);
    assert_int_equal(rig.heard.irq.generation, 7);
    assert_true(sbdf_equal(rig.heard.irq.device, CARD));
    for (unsigned i = 0; i < CARD_VECTORS; i++) {
        struct berth_irq irq = msix_irq(i);

        sim_irq_ops.unbind(rig.sim, &irq);
    }
    assert_int_equal(simrig_raise(&rig, CARD, 17), SIM_IRQ_BLOCKED);
    assert_int_equal(simrig_counters(&rig).bindings, 0);
    assert_int_equal(simrig_counters(&rig).bindings_misused, 0);
    assert_int_equal(simrig_counters(&rig).interrupts_forged, 1);
    simrig_stop(&rig);
}

static void test_masked_vectors_wait_in_the_pba(void **state)
{
    struct berth_irq irq = msix_irq(70);
    struct simrig rig;

    (void)state;
    build(&rig);
    program_msix(&rig, 70, simrig_bind(&rig, &irq), 1);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(simrig_raise(&rig, CARD, 70), SIM_IRQ_PENDING);
    assert_int_equal(simrig_raise(&rig, CARD, 70), SIM_IRQ_PENDING);
    assert_int_equal(peek(&rig, PBA + 8), 1u << 6);
    poke(&rig, PBA + 8, 0); /* read only */
    poke(&rig, PBA, ONES);
    assert_int_equal(peek(&rig, PBA + 8), 1u << 6);
    assert_int_equal(peek(&rig, PBA), 0);
    poke(&rig, TABLE + 16 * 69 + 12, 0); /* somebody else's mask */
    assert_int_equal(rig.heard.count, 0);
    poke(&rig, TABLE + 16 * 70 + 12, 0);
    assert_int_equal(rig.heard.count, 1);
    assert_int_equal(rig.heard.irq.first, 70);
    assert_int_equal(peek(&rig, PBA + 8), 0);
    poke(&rig, TABLE + 16 * 70 + 12, 0);
    assert_int_equal(rig.heard.count, 1);
    simrig_stop(&rig);
}

static void test_a_masked_function_waits_as_a_whole(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    for (unsigned i = 0; i < CARD_VECTORS; i++) {
        struct berth_irq irq = msix_irq(i);

        program_msix(&rig, i, simrig_bind(&rig, &irq), 0);
        assert_int_equal(simrig_raise(&rig, CARD, i), SIM_IRQ_PENDING);
    }
    poke(&rig, TABLE + 16 * 9 + 12, 1);
    simrig_update(&rig, CARD, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(rig.heard.count, 0); /* a message is a memory write, and those are off */
    simrig_update(&rig, CARD, PCI_COMMAND, 0, PCI_COMMAND_MASTER);
    assert_int_equal(rig.heard.count, CARD_VECTORS - 1);
    assert_int_equal(rig.heard.sum, CARD_VECTORS * (CARD_VECTORS - 1) / 2 - 9);
    assert_int_equal(peek(&rig, PBA), 1u << 9);
    simrig_stop(&rig);
}

static void test_a_reset_forgets_what_is_pending(void **state)
{
    struct berth_irq irq = msix_irq(0);
    uint32_t bar[2];
    unsigned devctl;
    struct simrig rig;

    (void)state;
    build(&rig);
    bar[0] = simrig_read(&rig, CARD, PCI_BASE_ADDRESS_0, 4);
    bar[1] = simrig_read(&rig, CARD, PCI_BASE_ADDRESS_1, 4);
    devctl = simrig_cap(&rig, CARD, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_PENDING);
    simrig_write(&rig, CARD, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_NONE);
    simrig_wait(200 * MS);
    simrig_write(&rig, CARD, PCI_BASE_ADDRESS_0, 4, bar[0]);
    simrig_write(&rig, CARD, PCI_BASE_ADDRESS_1, 4, bar[1]);
    simrig_write(&rig, CARD, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    program_msix(&rig, 0, simrig_bind(&rig, &irq), 0);
    assert_int_equal(rig.heard.count, 0);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_DELIVERED);
    simrig_stop(&rig);
}

/* A VF's table is in its own piece of the PF's VF BAR. */
static void test_a_vf_has_vectors_of_its_own(void **state)
{
    struct berth_irq irq = {.device = VF1, .source = VF1, .kind = BERTH_IRQ_MSIX, .count = 1};
    uint32_t unmasked = 0, data;
    struct berth_message m;
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_root_port(&rig.b, at(0, 4, 0), 5, 5);
    mb_vfs(&rig.b, mb_pf(&rig.b, at(5, 0, 0), 4, 128, 1), 2);
    simrig_start(&rig, NULL);
    m = simrig_bind(&rig, &irq);
    data = m.data;
    simrig_write(&rig, VF1, simrig_cap(&rig, VF1, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2,
                 PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(sim_bar_access(rig.sim, VF1, 0, TABLE, true, &(uint32_t){0xfee00000}), 0);
    assert_int_equal(sim_bar_access(rig.sim, VF1, 0, TABLE + 8, true, &data), 0);
    assert_int_equal(simrig_raise(&rig, VF1, 0), SIM_IRQ_PENDING);
    assert_int_equal(sim_bar_access(rig.sim, VF1, 0, TABLE + 12, true, &unmasked), 0);
    assert_int_equal(rig.heard.count, 1);
    assert_true(sbdf_equal(rig.heard.irq.device, VF1));
    assert_int_equal(simrig_raise(&rig, at(5, 16, 0), 0), SIM_IRQ_NONE);
    simrig_stop(&rig);
}

/* ---- masked and unmasked while it is raised ---- */

#define RACES 4000

struct racer {
    struct simrig rig;
    _Atomic bool stop;
    _Atomic unsigned fired;
};

static void fired(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct racer *r = context;

    (void)irq;
    (void)vector;
    atomic_fetch_add(&r->fired, 1);
}

static void *toggle(void *context)
{
    struct racer *r = context;

    for (uint32_t i = 0; !atomic_load(&r->stop); i++)
        poke(&r->rig, TABLE + 12, i & 1);
    return NULL;
}

/* Each time the vector is raised somebody hears of it, sooner or later, however the mask moves. */
static void test_no_interrupt_is_lost_to_a_mask(void **state)
{
    struct berth_irq irq = msix_irq(0);
    struct racer r = {.stop = false};
    unsigned before;
    pthread_t thread;

    (void)state;
    build(&r.rig);
    sim_on_interrupt(r.rig.sim, fired, &r);
    program_msix(&r.rig, 0, simrig_bind(&r.rig, &irq), 0);
    msix_control(&r.rig, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(pthread_create(&thread, NULL, toggle, &r), 0);
    for (unsigned i = 0; i < RACES; i++) {
        before = atomic_load(&r.fired);
        assert_int_not_equal(simrig_raise(&r.rig, CARD, 0), SIM_IRQ_NONE);
        while (atomic_load(&r.fired) == before)
            sched_yield();
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&r.fired), RACES);
    assert_int_equal(peek(&r.rig, PBA), 0);
    simrig_stop(&r.rig);
}

/* ---- MSI ---- */

static void program_msi(struct simrig *rig, struct berth_message m, uint32_t mask, unsigned log2)
{
    unsigned reg = simrig_cap(rig, OTHER, PCI_CAP_ID_MSI);

    simrig_write(rig, OTHER, reg + PCI_MSI_ADDRESS_LO, 4, (uint32_t)m.address);
    simrig_write(rig, OTHER, reg + PCI_MSI_ADDRESS_HI, 4, (uint32_t)(m.address >> 32));
    simrig_write(rig, OTHER, reg + PCI_MSI_DATA_64, 2, m.data);
    simrig_write(rig, OTHER, reg + PCI_MSI_MASK_64, 4, mask);
    simrig_update(rig, OTHER, reg + PCI_MSI_FLAGS, PCI_MSI_FLAGS_QSIZE,
                  PCI_MSI_FLAGS_ENABLE | log2 << 4);
}

static void test_msi_vectors_are_the_low_bits_of_the_data(void **state)
{
    struct berth_message m;
    struct simrig rig;

    (void)state;
    build(&rig);
    m = simrig_bind(&rig, &msi_irq);
    assert_int_equal(m.data % 8, 0);
    program_msi(&rig, m, 0, 3);
    for (unsigned i = 0; i < OTHER_VECTORS; i++) {
        assert_int_equal(simrig_raise(&rig, OTHER, i), SIM_IRQ_DELIVERED);
        assert_int_equal(rig.heard.vector, i);
        assert_int_equal(rig.heard.irq.count, 8);
    }
    m.data |= 5; /* what is programmed there does not matter */
    program_msi(&rig, m, 0, 3);
    assert_int_equal(simrig_raise(&rig, OTHER, 2), SIM_IRQ_DELIVERED);
    assert_int_equal(rig.heard.vector, 2);
    m.data &= ~7u;
    program_msi(&rig, m, 0, 1); /* two of eight */
    assert_int_equal(simrig_raise(&rig, OTHER, 5), SIM_IRQ_DELIVERED);
    assert_int_equal(rig.heard.vector, 1);
    simrig_stop(&rig);
}

static void test_msi_masks_and_pending_bits(void **state)
{
    unsigned mask, pending;
    struct simrig rig;

    (void)state;
    build(&rig);
    mask = simrig_cap(&rig, OTHER, PCI_CAP_ID_MSI) + PCI_MSI_MASK_64;
    pending = mask + 4;
    program_msi(&rig, simrig_bind(&rig, &msi_irq), ONES, 3);
    assert_int_equal(simrig_read(&rig, OTHER, mask, 4), 0xff); /* it has eight */
    assert_int_equal(simrig_raise(&rig, OTHER, 2), SIM_IRQ_PENDING);
    assert_int_equal(simrig_raise(&rig, OTHER, 6), SIM_IRQ_PENDING);
    simrig_write(&rig, OTHER, pending, 4, 0);
    assert_int_equal(simrig_read(&rig, OTHER, pending, 4), 0x44);
    simrig_write(&rig, OTHER, mask, 1, 0xbf);
    assert_int_equal(rig.heard.count, 1);
    assert_int_equal(rig.heard.vector, 6);
    assert_int_equal(simrig_read(&rig, OTHER, pending, 4), 0x04);
    simrig_write(&rig, OTHER, mask, 4, 0);
    assert_int_equal(rig.heard.count, 2);
    assert_int_equal(rig.heard.vector, 2);
    assert_int_equal(simrig_read(&rig, OTHER, pending, 4), 0);
    simrig_stop(&rig);
}

static void flr(struct simrig *rig, struct sbdf sbdf)
{
    simrig_write(rig, sbdf, simrig_cap(rig, sbdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                 PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(200 * MS);
}

static void test_a_reset_clears_what_the_function_has_set(void **state)
{
    struct simrig rig;
    unsigned pending;

    (void)state;
    build(&rig);
    pending = simrig_cap(&rig, OTHER, PCI_CAP_ID_MSI) + PCI_MSI_PENDING_64;
    program_msi(&rig, simrig_bind(&rig, &msi_irq), ONES, 3);
    assert_int_equal(simrig_raise(&rig, OTHER, 1), SIM_IRQ_PENDING);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_BLOCKED);
    flr(&rig, OTHER);
    flr(&rig, CARD);
    assert_int_equal(simrig_read(&rig, OTHER, pending, 4), 0);
    assert_int_equal(simrig_read(&rig, CARD, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
    simrig_stop(&rig);
}

/* ---- INTx ---- */

static void test_intx_is_a_level(void **state)
{
    const struct berth_irq irq = {
        .device = CARD, .source = CARD, .kind = BERTH_IRQ_INTX, .count = 1, .generation = 1};
    struct simrig rig;

    (void)state;
    build(&rig);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_BLOCKED); /* nobody is bound */
    assert_int_equal(simrig_read(&rig, CARD, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT,
                     PCI_STATUS_INTERRUPT);
    assert_int_equal(sim_lower(rig.sim, CARD), 0);
    assert_int_equal(simrig_read(&rig, CARD, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
    simrig_bind(&rig, &irq);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_DELIVERED);
    assert_int_equal(rig.heard.irq.kind, BERTH_IRQ_INTX);
    simrig_update(&rig, CARD, PCI_COMMAND, 0, PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(rig.heard.count, 1);
    simrig_update(&rig, CARD, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 0);
    assert_int_equal(rig.heard.count, 2); /* it is still high */
    simrig_update(&rig, CARD, PCI_COMMAND, 0, PCI_COMMAND_PARITY);
    assert_int_equal(rig.heard.count, 2);
    simrig_update(&rig, CARD, PCI_COMMAND, 0, PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(sim_lower(rig.sim, CARD), 0);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_PENDING);
    assert_int_equal(sim_lower(rig.sim, CARD), 0);
    simrig_update(&rig, CARD, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 0);
    assert_int_equal(rig.heard.count, 2);
    assert_int_equal(simrig_raise(&rig, OTHER, 0), SIM_IRQ_NONE); /* no pin */
    assert_int_equal(simrig_counters(&rig).interrupts_forged, 0);
    simrig_stop(&rig);
}

static void test_what_cannot_interrupt_does_not(void **state)
{
    enum sim_irq_result result;
    struct simrig rig;
    unsigned pm;

    (void)state;
    build(&rig);
    pm = simrig_cap(&rig, CARD, PCI_CAP_ID_PM) + PCI_PM_CTRL;
    simrig_write(&rig, CARD, pm, 2, 3);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_NONE); /* INTx, which is a message too */
    assert_int_equal(simrig_read(&rig, CARD, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
    simrig_write(&rig, CARD, pm, 2, 0);
    assert_int_equal(sim_raise(rig.sim, at(9, 0, 0), 0, &result), -ENODEV);
    msix_control(&rig, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(sim_raise(rig.sim, CARD, CARD_VECTORS, &result), -EINVAL);
    program_msi(&rig, simrig_bind(&rig, &msi_irq), 0, 3);
    assert_int_equal(sim_raise(rig.sim, OTHER, OTHER_VECTORS, &result), -EINVAL);
    simrig_write(&rig, CARD, pm, 2, 3);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_NONE);
    simrig_write(&rig, CARD, pm, 2, 0);
    simrig_update(&rig, at(0, 1, 0), PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_NONE); /* the port passes nothing on */
    simrig_update(&rig, at(0, 1, 0), PCI_COMMAND, 0, PCI_COMMAND_MASTER);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_PENDING);
    assert_int_equal(sim_vanish(rig.sim, CARD), 0);
    assert_int_equal(simrig_raise(&rig, CARD, 0), SIM_IRQ_NONE);
    assert_int_equal(sim_lower(rig.sim, CARD), 0);
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_masked_at_power_on),
        cmocka_unit_test(test_every_one_of_2048_vectors_is_its_own),
        cmocka_unit_test(test_masked_vectors_wait_in_the_pba),
        cmocka_unit_test(test_a_masked_function_waits_as_a_whole),
        cmocka_unit_test(test_a_reset_forgets_what_is_pending),
        cmocka_unit_test(test_a_vf_has_vectors_of_its_own),
        cmocka_unit_test(test_no_interrupt_is_lost_to_a_mask),
        cmocka_unit_test(test_msi_vectors_are_the_low_bits_of_the_data),
        cmocka_unit_test(test_msi_masks_and_pending_bits),
        cmocka_unit_test(test_a_reset_clears_what_the_function_has_set),
        cmocka_unit_test(test_intx_is_a_level),
        cmocka_unit_test(test_what_cannot_interrupt_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
