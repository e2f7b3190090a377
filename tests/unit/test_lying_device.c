/* SPDX-License-Identifier: MIT */
/*
 * Devices that say one thing when they are added and another one later (F07), through a host whose
 * config reads can be overridden one register at a time.
 */
#include "tests/unit/rig.h"

#include <string.h>

#include <linux/pci_regs.h>

#include <berth/isolation.h>

#define LIES 4

static struct rig rig;
static struct rig_vm vm;
static struct berth_host_ops host;

/* What the function at .sbdf says instead of the truth. */
static struct {
    struct sbdf sbdf;
    berth_claim claim;
    unsigned count;
    struct lie {
        unsigned reg;
        uint32_t value;
    } lie[LIES];
} liar;

static int claim_and_note(void *sim, struct sbdf sbdf, berth_claim *claim)
{
    int error = sim_host_ops.claim(sim, sbdf, claim);

    if (!error && sbdf_equal(sbdf, liar.sbdf))
        liar.claim = *claim;
    return error;
}

/* A lie covers its register whatever the length of the access. */
static int read_or_lie(void *sim, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    int error = sim_host_ops.config_read(sim, claim, reg, length, value);

    for (unsigned i = 0; i < liar.count && !memcmp(&claim, &liar.claim, sizeof(claim)); i++)
        if (reg == liar.lie[i].reg)
            *value = length == 4 ? liar.lie[i].value : liar.lie[i].value & ((1u << 8 * length) - 1);
    return error;
}

static void with_lies(struct berth_machine_config *config)
{
    host = sim_host_ops;
    host.claim = claim_and_note;
    host.config_read = read_or_lie;
    config->host = &host;
}

static void lie(unsigned reg, uint32_t value)
{
    assert_true(liar.count < LIES);
    liar.lie[liar.count++] = (struct lie){reg, value};
}

static void begin(struct sbdf sbdf)
{
    memset(&liar, 0, sizeof(liar));
    liar.sbdf = sbdf;
    rig_begin(&rig);
    rig_standard(&rig);
}

static void up(void)
{
    rig_up(&rig, with_lies);
    rig_vm_up(&rig, &vm, "vm1");
}

static void end(void)
{
    liar.count = 0;
    rig_vm_down(&vm);
    rig_down(&rig);
}

static unsigned cap_of(struct sbdf sbdf, uint8_t id)
{
    return mb_find_cap(rig_function(&rig, sbdf), id);
}

/* ---- readd: the same device, or another one ---- */

static void another_device(unsigned reg, uint32_t value)
{
    lie(reg, value);
    rig_expect_refused(&rig, rig_readd(&rig, rig_nvme, NULL), -ENODEV, BERTH_REASON_OTHER_DEVICE);
    liar.count = 0;
    assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0);
}

static void test_F17_another_model_is_another_device(void **state)
{
    unsigned flags;

    (void)state;
    begin(rig_nvme);
    up();
    flags = cap_of(rig_nvme, PCI_CAP_ID_EXP) + PCI_EXP_FLAGS;
    another_device(PCI_VENDOR_ID, 0x77771b36);
    another_device(PCI_CLASS_REVISION, 0x02000002);
    another_device(flags, PCI_EXP_TYPE_RC_EC << 4 | 2);
    end();
}

static void test_V2_who_lends_it_keeps_the_layout(void **state)
{
    (void)state;
    begin(rig_nvme);
    up();
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    another_device(PCI_CAPABILITY_LIST, cap_of(rig_nvme, PCI_CAP_ID_EXP)); /* PM is not there */
    rig_expect_owner(&rig, rig_nvme, "vm1");
    end();
}

/* ---- a view: what has moved since is hidden ---- */

static uint32_t seen_list(void)
{
    return (uint32_t)berth_domain_config_read(vm.domain, rig_seen(&rig, rig_legacy),
                                              PCI_CAPABILITY_LIST, 1);
}

static void test_F07_a_capability_that_has_moved_is_hidden(void **state)
{
    static const uint8_t ids[] = {PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_PM};

    (void)state;
    for (unsigned i = 0; i < sizeof(ids); i++) {
        begin(rig_legacy);
        up();
        assert_int_equal(rig_remove(&rig, rig_legacy2, PCIDEV_REMOVE_DEFAULT), 0);
        lie(PCI_CAPABILITY_LIST, 0xe0);
        lie(0xe0, ids[i]);
        assert_int_equal(rig_assign(&rig, rig_legacy, vm.domain), 0);
        liar.count = 0;
        assert_int_equal(seen_list(), 0);
        end();
    }
}

/* ---- PFs ---- */

static void test_K13_a_pf_that_counts_too_far_has_no_vfs(void **state)
{
    unsigned cap;

    (void)state;
    begin(rig_pf);
    up();
    cap = mb_find_ext_cap(rig_function(&rig, rig_pf), PCI_EXT_CAP_ID_SRIOV);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), 0);
    lie(cap + PCI_SRIOV_TOTAL_VF, 0xffff);
    assert_int_equal(rig_add(&rig, rig_pf), 0);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 1), -ERANGE, BERTH_REASON_VF_COUNT);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), 0);
    lie(cap + PCI_SRIOV_CTRL, 0xffff);
    rig_expect_refused(&rig, rig_add(&rig, rig_pf), -ENODEV, BERTH_REASON_NOTHING_THERE);
    liar.count = 0;
    assert_int_equal(rig_add(&rig, rig_pf), 0);
    lie(cap + PCI_SRIOV_NUM_VF, 3);
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), -EIO);
    liar.count = 0;
    assert_int_equal(rig_info(&rig, rig_pf).vfs, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_F17_another_model_is_another_device),
        cmocka_unit_test(test_V2_who_lends_it_keeps_the_layout),
        cmocka_unit_test(test_F07_a_capability_that_has_moved_is_hidden),
        cmocka_unit_test(test_K13_a_pf_that_counts_too_far_has_no_vfs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
