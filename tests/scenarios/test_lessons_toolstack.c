/* SPDX-License-Identifier: MIT */
/* What a toolstack relies on: F120, F121, F124, F125. */
#include <string.h>

#include <linux/pci_regs.h>

#include "tests/unit/trouble.h"

#define PLACE 0x10000000u
#define TABLE 0x2000u
#define COMMAND_ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/* A driver does not need it any more, so it stands in nobody's way. */
static const struct berth_reserved region = {
    .start = 0x7000, .length = 0x2000, .writable = 1, .relaxed = 1};

static struct berth_domain *hwdom(void)
{
    return berth_machine_hwdom(trouble.rig.machine);
}

static struct sim_counters counters(void)
{
    struct sim_counters now;

    sim_counters(trouble.rig.sim, &now);
    return now;
}

/* ---- F120: what was granted is revoked, for every kind of owner ---- */

/* Config space, BARs, DMA, vectors. */
static void expect_no_rights(struct berth_domain *domain, struct sbdf where, uint64_t bar)
{
    struct sim_dma dma = rig_dma(&trouble.rig, rig_nvme, 0x1000);
    uint64_t value;

    assert_true(berth_domain_config_read(domain, where, 0, 4) == UINT32_MAX);
    assert_int_equal(berth_domain_mmio_read(domain, bar, 4, &value), -ENOENT);
    assert_true(dma.result != SIM_DMA_DOMAIN || dma.domain_id != berth_domain_id(domain));
}

static void test_F120_rights_end_with_the_owner(void **state)
{
    struct sim_counters before, after;
    struct sbdf seen;

    (void)state;
    rig_reserve(&trouble.rig, rig_nvme, &region, 1);
    before = counters();
    for (unsigned round = 0; round < 3; round++) {
        drive(rig_nvme, PLACE);
        seen = rig_seen(&trouble.rig, rig_nvme);
        expect_works(rig_nvme, PLACE);
        expect_no_rights(hwdom(), rig_nvme, PLACE);
        assert_true(counters().bindings > before.bindings);

        assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), 0);
        expect_no_rights(trouble.guest, seen, PLACE);
        expect_no_rights(hwdom(), rig_nvme, PLACE);
        assert_int_equal(trouble.maps.count, 0);
        assert_int_equal(counters().bindings, before.bindings);

        assert_int_equal(rig_assign(&trouble.rig, rig_nvme, hwdom()), 0);
        rig_master_on(&trouble.rig, rig_nvme, hwdom());
        assert_int_equal(rig_dma(&trouble.rig, rig_nvme, 0x1000).domain_id,
                         berth_domain_id(hwdom()));
        expect_no_rights(trouble.guest, seen, PLACE);
        after = counters();
        assert_int_equal(after.contexts, before.contexts);
        assert_int_equal(after.spaces, before.spaces);
        assert_int_equal(after.mappings, before.mappings);
        assert_int_equal(after.claims, before.claims);
    }
}

/* ---- F121: what a step says is what the caller hears ---- */

static const struct {
    enum sim_op op;
    int error;
} refusals[] = {
    {SIM_OP_ATTACH, -ENOSPC},
    {SIM_OP_MAP, -ENOMEM},
    {SIM_OP_FLUSH, -ETIMEDOUT},
};

static void expect_step_to_fail(unsigned i, unsigned nth, const char *owner)
{
    static const char *const steps[] = {"map reserved", "move contexts"};
    const char *step = trouble.rig.why.step;

    if (!step || (strcmp(step, steps[0]) && strcmp(step, steps[1])))
        fail_msg("%s %u: the step is %s", sim_op_name(refusals[i].op), nth, step ? step : "none");
    assert_true(sim_failed(trouble.rig.sim, refusals[i].op));
    rig_expect_owner(&trouble.rig, rig_nvme, owner);
}

static void test_F121_no_step_fails_in_silence(void **state)
{

    (void)state;
    rig_reserve(&trouble.rig, rig_nvme, &region, 1);
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        unsigned failures = 0;
        int error;

        for (unsigned nth = 1; nth < 20; nth++) {
            sim_fail(trouble.rig.sim, refusals[i].op, nth, 0, refusals[i].error);
            error = rig_assign(&trouble.rig, rig_nvme, trouble.guest);
            if (!error)
                break;
            assert_int_equal(error, refusals[i].error);
            expect_step_to_fail(i, nth, "hwdom");
            failures++;
        }
        assert_false(sim_failed(trouble.rig.sim, refusals[i].op)); /* success: nothing failed */
        sim_fail(trouble.rig.sim, refusals[i].op, 0, 0, 0);
        assert_true(failures > 0);
        assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), 0);
        assert_int_equal(rig_assign(&trouble.rig, rig_nvme, hwdom()), 0);
    }
}

static void test_F121_a_guest_that_does_not_let_go_is_not_passed_over(void **state)
{
    (void)state;
    drive(rig_nvme, PLACE);
    trouble.withdraw_error = -EIO;
    assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), -EIO);
    assert_string_equal(trouble.rig.why.step, "withdraw view");
    expect_works(rig_nvme, PLACE);
    trouble.withdraw_error = 0;
    assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), 0);
    assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), -EINVAL);
}

/* ---- F124: a guest that boots again ---- */

static const struct sbdf *const devices[] = {&rig_nvme, &rig_nvme2, &rig_phantom};

#define DEVICES 3u

/* What firmware and driver do. */
static void boot(struct sbdf host, uint32_t where)
{
    const unsigned msix = cap(host, PCI_CAP_ID_MSIX);

    put(host, PCI_BASE_ADDRESS_0, 4, where);
    put(host, PCI_BASE_ADDRESS_1, 4, 0);
    put(host, PCI_COMMAND, 2, COMMAND_ON);
    assert_int_equal(berth_domain_mmio_write(trouble.guest, where + TABLE, 4, 0xfee01000), 0);
    assert_int_equal(berth_domain_mmio_write(trouble.guest, where + TABLE + 8, 8, 0x41), 0);
    put(host, msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void test_F124_a_reboot_keeps_what_was_lent(void **state)
{
    struct sbdf seat[DEVICES];

    (void)state;
    for (unsigned i = 0; i < DEVICES; i++) {
        drive(*devices[i], PLACE + (i << 20));
        seat[i] = rig_seen(&trouble.rig, *devices[i]);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < DEVICES; i++) { /* all that a guest can do to start from nothing */
            put(*devices[i], cap(*devices[i], PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                PCI_EXP_DEVCTL_BCR_FLR);
            assert_int_equal(get(*devices[i], PCI_COMMAND, 2), 0);
            assert_int_equal(get(*devices[i], PCI_BASE_ADDRESS_0, 4) & ~0xfu, 0);
        }
        assert_int_equal(trouble.maps.count, 0);
        for (unsigned i = 0; i < DEVICES; i++) {
            boot(*devices[i], PLACE + (i << 20));
            expect_works(*devices[i], PLACE + (i << 20));
            assert_true(sbdf_equal(rig_seen(&trouble.rig, *devices[i]), seat[i]));
        }
        for (unsigned i = 0; i < DEVICES; i++) { /* and what whoever runs it can do */
            assert_int_equal(rig_reset(&trouble.rig, *devices[i]), 0);
            expect_works(*devices[i], PLACE + (i << 20));
        }
    }
    assert_int_equal(rig_reach(trouble.guest), DEVICES);
}

/* ---- F125: removed, and added again ---- */

#define REGISTERS 0x100u

struct known {
    struct pcidev_info info;
    uint32_t space[REGISTERS / 4];
};

static struct known look(struct sbdf sbdf)
{
    struct known known = {.info = rig_info(&trouble.rig, sbdf)};

    for (unsigned reg = 0; reg < REGISTERS; reg += 4)
        known.space[reg / 4] = rig_peek(&trouble.rig, sbdf, reg, 4);
    /* a driver switches these on, removal has switched them off (R2) */
    known.space[PCI_COMMAND / 4] &= ~(uint32_t)(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    known.info.generation = known.info.references = 0;
    return known;
}

static void hide_and_guard(struct berth_machine_config *config)
{
    static const struct sbdf hidden[] = {{0, 5, 0}}, read_only[] = {{0, 6, 0}};
    static const struct berth_phantom_override phantoms[] = {{.sbdf = {0, 2, 0}, .stride = 4}};

    config->hidden = hidden;
    config->hidden_count = 1;
    config->read_only = read_only;
    config->read_only_count = 1;
    config->phantoms = phantoms;
    config->phantom_count = 1;
}

static void expect_the_same(const struct known *before, struct sbdf sbdf)
{
    const struct known after = look(sbdf);

    assert_memory_equal(&after.info, &before->info, sizeof(after.info));
    for (unsigned reg = 0; reg < REGISTERS; reg += 4)
        if (after.space[reg / 4] != before->space[reg / 4])
            fail_msg("register %x: %x was %x", reg, after.space[reg / 4], before->space[reg / 4]);
}

static void expect_no_trace_of_a_guest(struct rig *rig)
{
    const unsigned devctl = cap(rig_nvme, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
    const struct known before = look(rig_nvme);

    assert_int_equal(rig_assign(rig, rig_nvme, trouble.guest), 0);
    put(rig_nvme, PCI_INTERRUPT_LINE, 1, 0x77);
    put(rig_nvme, PCI_BASE_ADDRESS_0, 4, PLACE);
    put(rig_nvme, PCI_COMMAND, 2, COMMAND_ON);
    put(rig_nvme, devctl, 2, PCI_EXP_DEVCTL_READRQ); /* this one is in the hardware */
    assert_int_not_equal(rig_peek(rig, rig_nvme, devctl, 2), before.space[devctl / 4] & 0xffff);
    assert_int_equal(rig_remove(rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(rig, rig_nvme), 0);
    assert_int_equal(rig_peek(rig, rig_nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0);
    expect_the_same(&before, rig_nvme);
}

static void test_F125_what_is_known_of_a_device_comes_back_with_it(void **state)
{
    const struct sbdf at_all[] = {rig_nvme, rig_phantom, rig_nvme2, rig_legacy, rig_pf};
    struct rig *rig = &trouble.rig;

    (void)state;
    rig_begin(rig);
    rig_standard(rig);
    rig_up(rig, hide_and_guard);
    trouble.guest = rig_guest(rig, "vm1");
    rig_reserve(rig, rig_nvme, &region, 1);
    for (unsigned i = 0; i < sizeof(at_all) / sizeof(at_all[0]); i++) {
        const struct known before = look(at_all[i]);

        for (unsigned round = 0; round < 3; round++) {
            assert_int_equal(rig_remove(rig, at_all[i], PCIDEV_REMOVE_FORCE), 0);
            assert_int_equal(rig_add(rig, at_all[i]), 0);
            expect_the_same(&before, at_all[i]);
        }
    }
    expect_no_trace_of_a_guest(rig);
    rig_destroy_guest(rig, trouble.guest);
    rig_down(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, trouble_up, trouble_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F120_rights_end_with_the_owner),
        TEST(test_F121_no_step_fails_in_silence),
        TEST(test_F121_a_guest_that_does_not_let_go_is_not_passed_over),
        TEST(test_F124_a_reboot_keeps_what_was_lent),
        cmocka_unit_test(test_F125_what_is_known_of_a_device_comes_back_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
