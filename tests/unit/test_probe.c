/* SPDX-License-Identifier: MIT */
/*
 * What the core makes of a config space: types, lists, extended space, quirks (M03-M07, M10,
 * F12, F15-F18, F22, F25, K13).
 */
#include "tests/unit/guests.h"

#include <string.h>

#include <linux/pci_regs.h>

/* ---- F15: every class as every type of PCIe function ---- */

static const uint32_t classes[] = {
    0x000000, 0x000100, 0x010000, 0x010802, 0x020000, 0x030000, 0x040300, 0x050000,
    0x058000, 0x060000, 0x060100, 0x060400, 0x060401, 0x060700, 0x068000, 0x070002,
    0x080600, 0x080700, 0x0c0330, 0x0d0000, 0x120000, 0x130000, 0x400000, 0xff0000,
};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))

static enum pcidev_type expected_type(uint32_t class_code, unsigned port)
{
    if (class_code >> 8 == 0x0600)
        return PCIDEV_HOST_BRIDGE;
    return port == PCI_EXP_TYPE_RC_EC ? PCIDEV_EVENT_COLLECTOR : PCIDEV_ENDPOINT;
}

static void test_F15_every_function_gets_a_type_and_a_context(void **state)
{
    struct pcidev_info info;

    (void)state;
    for (unsigned port = 0; port < 16; port++)
        for (unsigned i = 0; i < CLASSES; i++) {
            struct capture_function *f = mb_endpoint(&rig.builder, at(port, i, 0));

            mb_put(f, PCI_CLASS_REVISION, 4, classes[i] << 8);
            mb_put(f, mb_find_cap(f, PCI_CAP_ID_EXP) + PCI_EXP_FLAGS, 2, 2 | port << 4);
        }
    rig_up(&rig, NULL);
    for (unsigned port = 0; port < 16; port++)
        for (unsigned i = 0; i < CLASSES; i++) {
            info = rig_info(&rig, at(port, i, 0));
            assert_int_equal(info.type, expected_type(classes[i], port));
            assert_int_equal(info.class_code, classes[i]);
            assert_int_equal(info.rid_count, info.type == PCIDEV_HOST_BRIDGE ? 0 : 1);
        }
}

static void test_F15_bridge_headers_make_bridges(void **state)
{
    static const enum pcidev_type types[16] = {
        PCIDEV_PCI_BRIDGE,  PCIDEV_PCI_BRIDGE,  PCIDEV_PCI_BRIDGE,      PCIDEV_PCI_BRIDGE,
        PCIDEV_PCIE_BRIDGE, PCIDEV_PCIE_BRIDGE, PCIDEV_PCIE_BRIDGE,     PCIDEV_PCIE_TO_PCI,
        PCIDEV_PCI_TO_PCIE, PCIDEV_PCI_BRIDGE,  PCIDEV_EVENT_COLLECTOR, PCIDEV_PCI_BRIDGE,
        PCIDEV_PCI_BRIDGE,  PCIDEV_PCI_BRIDGE,  PCIDEV_PCI_BRIDGE,      PCIDEV_PCI_BRIDGE,
    };

    (void)state;
    for (unsigned port = 0; port < 16; port++) {
        struct capture_function *f = mb_root_port(&rig.builder, at(0, port, 0), port + 1, port + 1);

        mb_put(f, mb_find_cap(f, PCI_CAP_ID_EXP) + PCI_EXP_FLAGS, 2, 2 | port << 4);
    }
    mb_pci_bridge(&rig.builder, at(0, 16, 0), 17, 17);
    mb_cardbus_bridge(&rig.builder, at(0, 17, 0), 18, 18);
    mb_pci_endpoint(&rig.builder, at(0, 18, 0));
    rig_up(&rig, NULL);
    for (unsigned port = 0; port < 16; port++)
        assert_int_equal(rig_info(&rig, at(0, port, 0)).type, types[port]);
    assert_int_equal(rig_info(&rig, at(0, 16, 0)).type, PCIDEV_PCI_BRIDGE);
    assert_int_equal(rig_info(&rig, at(0, 17, 0)).type, PCIDEV_CARDBUS_BRIDGE);
    assert_int_equal(rig_info(&rig, at(0, 18, 0)).type, PCIDEV_PCI_ENDPOINT);
}

/* ---- K13: lists ---- */

static void test_K13_capability_lists_of_junk_end(void **state)
{
    struct capture_function *f;
    unsigned pcie;

    (void)state;
    f = mb_endpoint(&rig.builder, at(0, 1, 0)); /* a loop behind everything useful */
    pcie = mb_find_cap(f, PCI_CAP_ID_EXP);
    f->config[mb_find_cap(f, PCI_CAP_ID_MSIX) + 1] = (uint8_t)pcie;
    f = mb_endpoint(&rig.builder, at(0, 2, 0)); /* one that points to itself */
    f->config[PCI_CAPABILITY_LIST] = 0xf0;
    f->config[0xf0] = PCI_CAP_ID_VNDR;
    f->config[0xf1] = 0xf0;
    f = mb_endpoint(&rig.builder, at(0, 3, 0)); /* into the header */
    f->config[PCI_CAPABILITY_LIST] = 0x10;
    f = mb_endpoint(&rig.builder, at(0, 4, 0)); /* with the two reserved bits set */
    f->config[PCI_CAPABILITY_LIST] |= 3;
    f = mb_pci_endpoint(&rig.builder, at(0, 5, 0)); /* one that does not fit */
    memset(f->config + 0x40, 0, 0xc0);
    f->config[PCI_CAPABILITY_LIST] = 0xfc;
    f->config[0xfc] = PCI_CAP_ID_EXP;
    f = mb_endpoint(&rig.builder, at(0, 6, 0)); /* no list, whatever the pointer says */
    f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
    f = mb_endpoint(&rig.builder, at(0, 7, 0)); /* all ones behind the pointer */
    f->config[PCI_CAPABILITY_LIST] = 0xe0;
    memset(f->config + 0xe0, 0xff, 0x20);
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).type, PCIDEV_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 2, 0)).type, PCIDEV_PCI_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 3, 0)).type, PCIDEV_PCI_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 4, 0)).type, PCIDEV_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 5, 0)).type, PCIDEV_PCI_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 6, 0)).type, PCIDEV_PCI_ENDPOINT);
    assert_int_equal(rig_info(&rig, at(0, 7, 0)).type, PCIDEV_PCI_ENDPOINT);
}

static void test_K13_extended_lists_of_junk_end(void **state)
{
    struct capture_function *f;

    (void)state;
    f = mb_pf(&rig.builder, at(0, 1, 0), 4, 8, 1); /* back to the first one */
    mb_put(f, mb_find_ext_cap(f, PCI_EXT_CAP_ID_SRIOV), 4,
           PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0x100u << 20);
    f = mb_endpoint(&rig.builder, at(0, 2, 0)); /* into the first 256 bytes */
    mb_put(f, 0x100, 4, PCI_EXT_CAP_ID_ERR | 1 << 16 | 0x40u << 20);
    f = mb_endpoint(&rig.builder, at(0, 3, 0)); /* ACS of which the registers are not there */
    mb_put(f, 0x100, 4, PCI_EXT_CAP_ID_ERR | 1 << 16 | 0xffcu << 20);
    mb_put(f, 0xffc, 4, PCI_EXT_CAP_ID_ACS | 1 << 16);
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).total_vfs, 4);
    assert_int_equal(rig_info(&rig, at(0, 2, 0)).config_size, 4096);
    assert_int_equal(rig_info(&rig, at(0, 3, 0)).config_size, 4096);
}

/* ---- F22: extended config space ---- */

static void pcix(struct sbdf sbdf, uint32_t status)
{
    struct capture_function *f = mb_pci_endpoint(&rig.builder, sbdf);

    f->size = 4096;
    mb_put(f, mb_cap(f, PCI_CAP_ID_PCIX) + PCI_X_STATUS, 4, status);
    mb_put(f, 0x100, 4, PCI_EXT_CAP_ID_DSN | 1 << 16);
}

static void test_F22_extended_space_is_believed_where_it_is(void **state)
{
    struct capture_function *f;
    struct pcidev_info info;

    (void)state;
    mb_endpoint(&rig.builder, at(0, 1, 0));
    mb_pci_endpoint(&rig.builder, at(0, 2, 0));
    pcix(at(0, 3, 0), 0);
    pcix(at(0, 4, 0), PCI_X_STATUS_266MHZ);
    f = mb_endpoint(&rig.builder, at(0, 5, 0)); /* PCIe, but nothing answers above */
    mb_cut(f, 256);
    f = mb_endpoint(&rig.builder, at(0, 6, 0)); /* the same 256 bytes all over */
    for (unsigned page = 256; page < 4096; page += 256)
        memcpy(f->config + page, f->config, 256);
    f = mb_bare(&rig.builder, at(0, 7, 0));
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).config_size, 4096);
    assert_int_equal(rig_info(&rig, at(0, 2, 0)).config_size, 256);
    assert_int_equal(rig_info(&rig, at(0, 3, 0)).config_size, 256);
    assert_int_equal(rig_info(&rig, at(0, 4, 0)).config_size, 4096);
    assert_int_equal(rig_info(&rig, at(0, 5, 0)).config_size, 256);
    info = rig_info(&rig, at(0, 6, 0));
    assert_int_equal(info.config_size, 256);
    assert_true(info.ext_aliased);
    assert_int_equal(rig_info(&rig, at(0, 7, 0)).config_size, 256);
    assert_int_equal(
        berth_domain_config_read(berth_machine_hwdom(rig.machine), at(0, 6, 0), 0x100, 4),
        UINT32_MAX);
}

/* ---- M26: ACS ---- */

static void test_M26_acs_is_enabled_as_far_as_the_port_can(void **state)
{
    struct capture_function *full = mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    struct capture_function *half = mb_root_port(&rig.builder, at(0, 2, 0), 2, 2);
    unsigned full_at = mb_find_ext_cap(full, PCI_EXT_CAP_ID_ACS);
    unsigned half_at = mb_find_ext_cap(half, PCI_EXT_CAP_ID_ACS);

    (void)state;
    mb_put(full, full_at + PCI_ACS_CTRL, 2, 0);
    mb_put(half, half_at + PCI_ACS_CAP, 2, PCI_ACS_SV | PCI_ACS_TB);
    mb_put(half, half_at + PCI_ACS_CTRL, 2, 0);
    rig_up(&rig, NULL);
    assert_int_equal(rig_peek(&rig, at(0, 1, 0), full_at + PCI_ACS_CTRL, 2),
                     PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
    /* translation blocking would keep ATS from working, and nobody asked for it */
    assert_int_equal(rig_peek(&rig, at(0, 2, 0), half_at + PCI_ACS_CTRL, 2), PCI_ACS_SV);
}

/* ---- M03: phantom functions ---- */

static bool has_rid(const struct pcidev_info *info, struct sbdf rid)
{
    for (unsigned i = 0; i < info->rid_count; i++)
        if (sbdf_equal(info->rids[i], rid))
            return true;
    return false;
}

static const struct berth_phantom_override overrides[] = {
    {{0, 0, 0x28}, 4}, /* 0000:00:05.0 says nothing about it */
    {{0, 0, 0x30}, 1}, /* 0000:00:06.0 is one of several real functions */
    {{1, 0, 0x28}, 2}, /* another segment */
};

static void with_overrides(struct berth_machine_config *config)
{
    config->phantoms = overrides;
    config->phantom_count = 3;
}

static void test_M03_phantoms_by_devcap_and_by_override(void **state)
{
    static const unsigned counts[] = {1, 8, 4, 0, 2};
    struct pcidev_info info;

    (void)state;
    mb_phantom(&rig.builder, at(0, 1, 0), 1);
    mb_phantom(&rig.builder, at(0, 2, 0), 2);
    mb_phantom(&rig.builder, at(0, 4, 0), 4);
    mb_endpoint(&rig.builder, at(0, 5, 0));
    rig_up(&rig, with_overrides);
    for (unsigned stride = 1; stride <= 4; stride *= 2) {
        info = rig_info(&rig, at(0, stride, 0));
        assert_int_equal(info.phantom_stride, stride);
        assert_int_equal(info.rid_count, counts[stride]);
        for (unsigned fn = 0; fn < 8; fn++)
            assert_int_equal(has_rid(&info, at(0, stride, fn)), fn % stride == 0);
    }
    info = rig_info(&rig, at(0, 5, 0));
    assert_int_equal(info.phantom_stride, 4);
    assert_true(info.rid_count == 2 && has_rid(&info, at(0, 5, 4)));
}

static void expect_real_functions_apart(void)
{
    struct pcidev_info info = rig_info(&rig, at(0, 6, 0));
    struct pcidev *dev;

    assert_false(has_rid(&info, at(0, 6, 3)));
    assert_true(has_rid(&info, at(0, 6, 1)));
    dev = pcidev_find_rid(rig.machine, at(0, 6, 3), "real");
    assert_true(sbdf_equal(pcidev_sbdf(dev), at(0, 6, 3)));
    pcidev_put(dev, "real");
}

static void test_F12_a_real_function_is_never_a_phantom(void **state)
{
    struct berth_domain *guest;

    (void)state;
    mb_endpoint(&rig.builder, at(0, 6, 0));
    mb_endpoint(&rig.builder, at(0, 6, 3));
    rig_up_empty(&rig, with_overrides);
    assert_int_equal(rig_add(&rig, at(0, 6, 3)), 0);
    assert_int_equal(rig_add(&rig, at(0, 6, 0)), 0);
    expect_real_functions_apart();
    guest = rig_guest(&rig, "vm1");
    rig_quarantine(&rig, at(0, 6, 3)); /* nothing keeps two functions of one card apart */
    assert_int_equal(rig_assign(&rig, at(0, 6, 0), guest), 0);
    rig_poke(&rig, at(0, 6, 3), 4, 2, 6);
    assert_int_equal(rig_dma(&rig, at(0, 6, 3), 0x1000).result, SIM_DMA_FAULT);
    rig_destroy_guest(&rig, guest);
}

static void test_F12_in_the_order_in_which_buses_are_scanned(void **state)
{
    struct berth_domain *guest;

    (void)state;
    mb_endpoint(&rig.builder, at(0, 6, 0));
    mb_endpoint(&rig.builder, at(0, 6, 3));
    rig_up(&rig, with_overrides);
    expect_real_functions_apart();
    guest = rig_guest(&rig, "vm1");
    rig_quarantine(&rig, at(0, 6, 3)); /* nothing keeps two functions of one card apart */
    assert_int_equal(rig_assign(&rig, at(0, 6, 0), guest), 0);
    rig_poke(&rig, at(0, 6, 3), 4, 2, 6);
    assert_int_equal(rig_dma(&rig, at(0, 6, 3), 0x1000).result, SIM_DMA_FAULT);
    rig_destroy_guest(&rig, guest);
}

/* ---- M05: ARI ---- */

static void test_M05_extended_functions_need_a_port_that_forwards(void **state)
{
    struct capture_function *port, *f;
    unsigned control;

    (void)state;
    mb_root_port(&rig.builder, at(0, 1, 0), 1, 1);
    f = mb_phantom(&rig.builder, at(1, 3, 2), 1);
    mb_ext_cap(f, PCI_EXT_CAP_ID_ARI, 1);
    port = mb_root_port(&rig.builder, at(0, 2, 0), 2, 2);
    control = mb_find_cap(port, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL2;
    mb_put(port, control, 2, 0);
    f = mb_endpoint(&rig.builder, at(2, 3, 2));
    mb_ext_cap(f, PCI_EXT_CAP_ID_ARI, 1);
    rig_up(&rig, NULL);
    assert_true(rig_info(&rig, at(1, 3, 2)).extended_function);
    assert_int_equal(rig_info(&rig, at(1, 3, 2)).rid_count, 1); /* no functions to spare */
    assert_false(rig_info(&rig, at(2, 3, 2)).extended_function);
}

/* ---- M07, M10: what the tables and the embedder say ---- */

static void make(struct sbdf sbdf, uint16_t vendor, uint16_t device)
{
    struct capture_function *f = mb_endpoint(&rig.builder, sbdf);

    mb_put(f, PCI_VENDOR_ID, 2, vendor);
    mb_put(f, PCI_DEVICE_ID, 2, device);
}

static void test_M07_errata_are_acted_upon(void **state)
{
    struct pcidev_info info;

    (void)state;
    make(at(0, 1, 0), 0x8086, 0x1502);
    make(at(0, 2, 0), 0x1b4b, 0x9123);
    make(at(0, 3, 1), 0x1180, 0xe822);
    make(at(0, 4, 0), 0x1002, 0x67df);
    mb_pm_reset(rig_function(&rig, at(0, 4, 0)));
    rig_up(&rig, NULL);
    info = rig_info(&rig, at(0, 1, 0));
    assert_int_equal(info.errata, PCIDEV_ERRATUM_NO_FLR);
    assert_int_equal(info.method_count, 0);
    info = rig_info(&rig, at(0, 2, 0));
    assert_true(info.rid_count == 2 && has_rid(&info, at(0, 2, 1)));
    info = rig_info(&rig, at(0, 3, 1));
    assert_true(info.rid_count == 2 && has_rid(&info, at(0, 3, 0)));
    info = rig_info(&rig, at(0, 4, 0));
    assert_true(info.method_count == 1 && info.methods[0] == PCIDEV_RESET_FLR);
}

static const struct sbdf hidden_at[] = {{1, 0, 0x08}}, read_only_at[] = {{1, 0, 0x10}};

static void with_lists(struct berth_machine_config *config)
{
    config->hidden = hidden_at;
    config->hidden_count = 1;
    config->read_only = read_only_at;
    config->read_only_count = 1;
}

static void test_F25_lists_know_their_segment(void **state)
{
    (void)state;
    for (unsigned segment = 0; segment < 2; segment++)
        for (unsigned device = 1; device < 3; device++)
            mb_endpoint(&rig.builder, sbdf_make(segment, 0, device, 0));
    rig_up(&rig, with_lists);
    assert_true(rig_info(&rig, hidden_at[0]).hidden);
    rig_expect_owner(&rig, hidden_at[0], "hidden");
    assert_true(rig_info(&rig, read_only_at[0]).read_only);
    assert_false(rig_info(&rig, at(0, 1, 0)).hidden);
    assert_false(rig_info(&rig, at(0, 2, 0)).read_only);
}

static void test_F16_a_host_bridge_needs_no_context(void **state)
{
    struct pcidev_info info;

    (void)state;
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    rig_up(&rig, NULL);
    info = rig_info(&rig, at(0, 0, 0));
    assert_int_equal(info.type, PCIDEV_HOST_BRIDGE);
    assert_int_equal(info.rid_count, 0);
    assert_string_equal(info.owner, "hwdom");
    assert_int_equal(rig.populated.contexts, rig.empty.contexts);
}

static void test_M10_the_numa_node_is_the_embedders_or_the_hosts(void **state)
{
    struct pcidev_add_info info = {.numa_node = 5};

    (void)state;
    mb_endpoint(&rig.builder, at(0, 1, 0))->extra.numa_node = 3;
    mb_endpoint(&rig.builder, at(0, 2, 0));
    rig_up(&rig, NULL);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).numa_node, 3);
    assert_int_equal(rig_info(&rig, at(0, 2, 0)).numa_node, -1);
    /* F17: all of the second information, or nothing of it */
    assert_int_equal(rig_readd(&rig, at(0, 1, 0), &info), 0);
    assert_int_equal(rig_info(&rig, at(0, 1, 0)).numa_node, 5);
    info.numa_node = 9;
    for (unsigned nth = 1;; nth++) {
        int error;

        sim_fail(rig.sim, SIM_OP_CONFIG_READ, nth, 0, 0);
        error = rig_readd(&rig, at(0, 1, 0), &info);
        assert_int_equal(rig_info(&rig, at(0, 1, 0)).numa_node, error ? 5 : 9);
        if (!error)
            break;
    }
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_blank, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F15_every_function_gets_a_type_and_a_context),
        TEST(test_F15_bridge_headers_make_bridges),
        TEST(test_K13_capability_lists_of_junk_end),
        TEST(test_K13_extended_lists_of_junk_end),
        TEST(test_F22_extended_space_is_believed_where_it_is),
        TEST(test_M26_acs_is_enabled_as_far_as_the_port_can),
        TEST(test_M03_phantoms_by_devcap_and_by_override),
        TEST(test_F12_a_real_function_is_never_a_phantom),
        TEST(test_F12_in_the_order_in_which_buses_are_scanned),
        TEST(test_M05_extended_functions_need_a_port_that_forwards),
        TEST(test_M07_errata_are_acted_upon),
        TEST(test_F25_lists_know_their_segment),
        TEST(test_F16_a_host_bridge_needs_no_context),
        TEST(test_M10_the_numa_node_is_the_embedders_or_the_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
