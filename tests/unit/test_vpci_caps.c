/* SPDX-License-Identifier: MIT */
/* The capabilities of a guest's view (M43, M45): V7, F85, F86, K13, O3, O7. */
#include "tests/unit/lent.h"

#define ID_PM 0x01
#define ID_VPD 0x03
#define ID_MSI 0x05
#define ID_VENDOR 0x09
#define ID_PCIE 0x10
#define ID_MSIX 0x11
#define ID_SUBSYSTEM 0x0d
#define EXT_AER 0x01
#define EXT_ACS 0x0d
#define EXT_SERIAL 0x03

#define DEVCTL 0x08

static struct lent lent;

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static struct capture_function *function(void)
{
    return lent.function;
}

static unsigned real_cap(unsigned id)
{
    return mb_find_cap(function(), (uint8_t)id);
}

static void expect_reserved(unsigned from, unsigned end)
{
    lent_expect_reserved(&lent, from, end);
}

/* ---- the lists ---- */

static void test_V7_what_is_not_known_is_hidden_and_locked(void **state)
{
    unsigned before = real_cap(ID_MSIX), hidden = mb_cap(function(), ID_SUBSYSTEM);
    unsigned vendor = mb_cap(function(), ID_VENDOR);

    (void)state;
    mb_put(function(), vendor + 2, 1, 8);
    mb_put(function(), hidden + 4, 4, 0x12345678);
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_SUBSYSTEM), 0);
    assert_int_equal(lent_get(&lent, before + 1, 1), vendor); /* the list leads around it */
    assert_int_equal(lent_cap(&lent, ID_VENDOR), vendor);
    assert_int_equal(lent_get(&lent, vendor + 1, 1), 0);
    expect_reserved(hidden, hidden + 16);
    assert_int_equal(lent_hardware(&lent, hidden + 4, 4), 0x12345678);
}

static void test_F85_a_capability_that_fails_is_hidden_alone(void **state)
{
    unsigned vendor = mb_cap(function(), ID_VENDOR), last;

    (void)state;
    mb_put(function(), vendor + 2, 1, 2); /* shorter than its own head */
    last = mb_cap(function(), ID_VENDOR);
    mb_put(function(), last + 2, 1, 8);
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_VENDOR), last);
    assert_int_not_equal(lent_cap(&lent, ID_PM), 0);
    assert_int_not_equal(lent_cap(&lent, ID_MSIX), 0);
    expect_reserved(vendor, vendor + 16);
    assert_true(rig_find_event(&lent.rig, 0, BERTH_EVENT_VIEW, "vendor-specific capability") >= 0);
}

/* P2: whichever read of the host fails, the lists that the guest gets are whole. */
static void test_F85_sweep_of_failing_reads(void **state)
{
    unsigned shown_all = 0;

    (void)state;
    lent_up_idle(&lent);
    for (unsigned n = 1; n < 400; n++) {
        int error;

        sim_fail(lent.rig.sim, SIM_OP_CONFIG_READ, n, 0, -EIO);
        error = rig_assign(&lent.rig, lent.host, lent.guest);
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
        if (error && rig_info(&lent.rig, lent.host).broken) {
            assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
            assert_int_equal(rig_add(&lent.rig, lent.host), 0);
        }
        if (error)
            continue;
        (void)lent_cap(&lent, 0xfe);
        (void)lent_ext_cap(&lent, 0xfffe);
        for (unsigned id = 0; id < 3; id++) {
            static const unsigned ids[] = {ID_PM, ID_PCIE, ID_MSIX};
            unsigned real = real_cap(ids[id]);

            if (!lent_cap(&lent, ids[id]))
                expect_reserved(real, real + 8);
        }
        shown_all += lent_cap(&lent, ID_PM) && lent_cap(&lent, ID_PCIE) &&
                     lent_cap(&lent, ID_MSIX) && lent_ext_cap(&lent, EXT_AER);
        assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    }
    assert_true(shown_all > 0);
}

static void test_F85_the_extended_list_begins_with_a_null_capability(void **state)
{
    unsigned aer = mb_find_ext_cap(function(), EXT_AER), acs, serial;

    (void)state;
    assert_int_equal(aer, 0x100);
    mb_put(function(), aer, 4, EXT_SERIAL | 1u << 16); /* one that guests don't see */
    acs = mb_ext_cap(function(), EXT_ACS, 1);
    serial = mb_ext_cap(function(), EXT_AER, 2);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, 0x100, 4), serial << 20);
    assert_int_equal(lent_ext_cap(&lent, EXT_AER), serial);
    assert_int_equal(lent_get(&lent, serial, 4), EXT_AER | 2u << 16);
    assert_int_equal(lent_ext_cap(&lent, EXT_ACS), 0);
    expect_reserved(0x104, acs);
    expect_reserved(acs, acs + 8);
    expect_reserved(serial + 0x48, serial + 0x100);
}

static void test_V7_without_anything_to_show_the_lists_are_empty(void **state)
{
    (void)state;
    lent.host = at(1, 1, 0);
    lent.function = mb_bare(&lent.rig.builder, lent.host);
    mb_af(lent.function);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, LENT_STATUS, 2) & 0x10, 0);
    assert_int_equal(lent_get(&lent, LENT_CAPABILITIES, 1), 0);
    expect_reserved(0x40, 0x1000);
}

static void test_M06_no_extended_capabilities_without_extended_space(void **state)
{
    (void)state;
    lent.host = at(1, 1, 0);
    lent.function = mb_pci_endpoint(&lent.rig.builder, lent.host);
    lent_up(&lent);
    assert_int_not_equal(lent_cap(&lent, ID_MSI), 0);
    expect_reserved(0x100, 0x1000);
}

/* From now on the builder looks at nothing any more. */
static void spoil(void)
{
    (void)mb_capture(&lent.rig.builder);
    lent.function = rig_function(&lent.rig, lent.host);
}

/* Each is the junk of a device, and what is left of PM and MSI-X in it. */
static void check_junk(unsigned pm, unsigned msix)
{
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_PM), pm);
    assert_int_equal(lent_cap(&lent, ID_MSIX), msix);
    (void)lent_cap(&lent, 0xfe); /* ends */
    (void)lent_ext_cap(&lent, 0xfffe);
}

static void test_K13_a_list_that_points_into_itself(void **state)
{
    unsigned pm = real_cap(ID_PM), msix = real_cap(ID_MSIX);

    (void)state;
    spoil();
    mb_put(function(), msix + 1, 1, msix);
    mb_put(function(), 0x100, 4, EXT_AER | 1u << 16 | 0x100u << 20);
    check_junk(pm, msix);
    assert_int_equal(lent_ext_cap(&lent, EXT_AER), 0x100);
}

static void test_K13_a_list_that_points_back(void **state)
{
    unsigned pm = real_cap(ID_PM), msix = real_cap(ID_MSIX);

    (void)state;
    spoil();
    mb_put(function(), msix + 1, 1, pm);
    check_junk(pm, msix);
}

static void test_K13_a_list_that_points_into_the_header(void **state)
{
    unsigned pm = real_cap(ID_PM);

    (void)state;
    spoil();
    mb_put(function(), pm + 1, 1, 0x10);
    mb_put(function(), 0x100, 4, EXT_AER | 1u << 16 | 0x40u << 20);
    check_junk(pm, 0);
}

static void test_K13_odd_offsets_are_rounded(void **state)
{
    unsigned pm = real_cap(ID_PM), msix = real_cap(ID_MSIX);

    (void)state;
    mb_put(function(), LENT_CAPABILITIES, 1, mb_get(function(), LENT_CAPABILITIES, 1) | 3);
    check_junk(pm, msix);
}

static void test_K13_a_capability_that_passes_the_end(void **state)
{
    (void)state;
    spoil();
    mb_put(function(), real_cap(ID_MSIX) + 1, 1, 0xfc);
    mb_put(function(), 0xfc, 2, ID_VPD); /* four bytes are left */
    mb_put(function(), 0x100, 4, EXT_AER | 1u << 16 | 0xffcu << 20);
    mb_put(function(), 0xffc, 4, 0x10 | 1u << 16); /* SR-IOV */
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_VPD), 0);
    assert_int_equal(lent_get(&lent, 0x100, 2), EXT_AER);
    assert_int_equal(lent_ext_cap(&lent, 0x10), 0);
    expect_reserved(0xfc, 0x100);
    expect_reserved(0xffc, 0x1000);
}

static void test_K13_the_first_of_two_that_overlap_stays(void **state)
{
    unsigned pcie = real_cap(ID_PCIE), msix = real_cap(ID_MSIX);

    (void)state;
    mb_put(function(), msix + 1, 1, pcie + 8);
    mb_put(function(), pcie + 8, 2, ID_VPD); /* on top of the device control register */
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_PCIE), pcie);
    assert_int_equal(lent_cap(&lent, ID_VPD), 0);
    assert_int_equal(lent_get(&lent, msix + 1, 1), 0);
    lent_put(&lent, pcie + DEVCTL, 2, 0x0003);
    assert_int_equal(lent_get(&lent, pcie + DEVCTL, 2) & 3, 3);
}

static void test_M43_the_first_of_a_kind_counts(void **state)
{
    unsigned vpd = mb_cap(function(), ID_VPD), again = mb_cap(function(), ID_VPD);
    unsigned pm = mb_cap(function(), ID_PM);

    (void)state;
    mb_put(function(), pm + 2, 2, 3);
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_VPD), vpd);
    assert_int_equal(lent_get(&lent, vpd + 1, 1), 0);
    assert_int_equal(lent_cap(&lent, ID_PM), real_cap(ID_PM));
    expect_reserved(again, again + 16);
    expect_reserved(pm, pm + 16);
}

/* O7: every offset, every size; the guest's writes reach no register that is not its own. */
static void test_O7_a_guest_changes_nothing_beyond_its_own(void **state)
{
    uint32_t before[1024];
    unsigned pcie = real_cap(ID_PCIE), own = 0;

    (void)state;
    lent_up(&lent);
    for (unsigned reg = 0; reg < 4096; reg += 4)
        before[reg / 4] = lent_hardware(&lent, reg, 4);
    for (unsigned reg = 0; reg < 4096; reg++) {
        if (reg >= pcie + DEVCTL && reg < pcie + DEVCTL + 2)
            continue; /* a reset, which has a test of its own */
        for (unsigned length = 1; length <= 4; length *= 2)
            lent_put(&lent, reg, length, 0x7f7f7f7c); /* D0 */
    }
    for (unsigned reg = 0; reg < 4096; reg += 4) {
        uint32_t now = lent_hardware(&lent, reg, 4);

        if (reg == LENT_COMMAND || reg == pcie + DEVCTL || reg == real_cap(ID_MSIX))
            own++; /* bus mastering, ordering, the enable bit */
        else
            assert_int_equal(now, before[reg / 4]);
    }
    assert_int_equal(own, 3);
}

/* ---- vendor-specific, and rules ---- */

static unsigned vendor_cap(unsigned length)
{
    unsigned at = mb_cap(function(), ID_VENDOR);

    mb_put(function(), at + 2, 1, length);
    mb_put(function(), at + 3, 1, 0xab);
    mb_put(function(), at + 4, 4, 0x11223344);
    mb_put(function(), at + 8, 4, 0x55667788);
    mb_put(function(), at + 12, 4, 0x99aabbcc);
    return at;
}

static void test_O3_a_vendors_capability_is_read_only(void **state)
{
    unsigned at = vendor_cap(14), second = vendor_cap(8);

    (void)state;
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at, 4), 0xab000009 | 14u << 16 | second << 8);
    assert_int_equal(lent_get(&lent, at + 8, 4), 0x55667788);
    assert_int_equal(lent_get(&lent, at + 12, 4), 0xbbcc);
    assert_int_equal(lent_get(&lent, second + 4, 4), 0x11223344);
    lent_put(&lent, at + 4, 4, 0);
    assert_int_equal(lent_hardware(&lent, at + 4, 4), 0x11223344);
}

static void test_K13_a_vendors_length_that_lies_is_cut(void **state)
{
    unsigned at = vendor_cap(0xff), next = mb_cap(function(), ID_SUBSYSTEM);

    (void)state;
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + 2, 1), next - at);
    expect_reserved(next, 0x100);
}

/* A dword at 0xf0 is outside of all capabilities, and so is one at 0x800. */
static void test_V7_rules_open_and_hide(void **state)
{
    unsigned at = vendor_cap(16);
    const struct berth_register_rule rules[] = {
        {0x1234, BERTH_ANY_ID, 0xf0, 4, BERTH_REGISTER_WRITE}, /* another vendor's */
        {BERTH_ANY_ID, BERTH_ANY_ID, (uint16_t)(at + 4), 4, BERTH_REGISTER_HIDE},
        {BERTH_ANY_ID, BERTH_ANY_ID, (uint16_t)(at + 4), 8, BERTH_REGISTER_WRITE},
        {BERTH_ANY_ID, BERTH_ANY_ID, 0xf0, 4, BERTH_REGISTER_READ},
        {BERTH_ANY_ID, BERTH_ANY_ID, 0xf0, 8, BERTH_REGISTER_WRITE},
        {BERTH_ANY_ID, BERTH_ANY_ID, 0x800, 4, BERTH_REGISTER_READ},
    };

    (void)state;
    mb_put(function(), 0xf0, 4, 0xf0f1f2f3);
    mb_put(function(), 0x800, 4, 0x80818283);
    lent.rules = rules;
    lent.rule_count = 6;
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, at + 4, 4), 0);
    assert_int_equal(lent_get(&lent, at + 8, 4), 0x55667788);
    lent_put(&lent, at + 9, 1, 0xee); /* passes as it is; the simulator's is hardwired */
    assert_int_equal(lent_get(&lent, 0xf0, 4), 0xf0f1f2f3);
    assert_int_equal(lent_get(&lent, 0xf1, 2), 0xf1f2);
    assert_int_equal(lent_get(&lent, 0x800, 4), 0x80818283);
    expect_reserved(0x804, 0x810);
    assert_int_equal(rig_count_events(&lent.rig, BERTH_EVENT_VIEW), 0);
}

static void test_V7_partial_writes_pass_as_they_are(void **state)
{
    const struct berth_register_rule rules[] = {
        {BERTH_ANY_ID, BERTH_ANY_ID, 0xf0, 4, BERTH_REGISTER_WRITE}};
    struct sim_counters before, after;

    (void)state;
    lent.rules = rules;
    lent.rule_count = 1;
    lent_up(&lent);
    sim_function_counters(lent.rig.sim, lent.host, &before);
    lent_put(&lent, 0xf1, 1, 0x12);
    lent_put(&lent, 0xf0, 4, 0x12345678);
    lent_put(&lent, 0xee, 4, 0x12345678); /* half of it is outside */
    sim_function_counters(lent.rig.sim, lent.host, &after);
    assert_int_equal(after.config_writes, before.config_writes + 3);
    assert_int_equal(after.config_reads, before.config_reads);
}

static void test_F85_no_rule_opens_what_is_emulated(void **state)
{
    const struct berth_register_rule rules[] = {
        {BERTH_ANY_ID, BERTH_ANY_ID, 0, 4096, BERTH_REGISTER_WRITE}};
    unsigned again = mb_cap(function(), ID_MSIX), pcie = real_cap(ID_PCIE);

    (void)state;
    mb_put(function(), again + 4, 4, 0x2000);
    lent.rules = rules;
    lent.rule_count = 1;
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, 0x3f, 1), 0);
    expect_reserved(0x28, 0x2c);               /* the header */
    expect_reserved(pcie + 0x14, pcie + 0x24); /* PCIe */
    expect_reserved(again, again + 12);        /* a second MSI-X, which is hidden */
    assert_true(rig_find_event(&lent.rig, 0, BERTH_EVENT_VIEW, "rule for emulated registers") >= 0);
}

static void test_rules_are_checked(void **state)
{
    static const struct berth_register_rule bad[] = {
        {1, 1, 2, 4, BERTH_REGISTER_READ},
        {1, 1, 4, 2, BERTH_REGISTER_READ},
        {1, 1, 0xffc, 8, BERTH_REGISTER_READ},
        {1, 1, 0x40, 4, (enum berth_register_access)7},
    };
    struct berth_machine_config config = {.host = &sim_host_ops, .rule_count = 1};
    struct berth_machine *machine;

    (void)state;
    assert_int_equal(berth_machine_create(&config, &machine), -EINVAL);
    for (unsigned i = 0; i < 4; i++) {
        config.rules = &bad[i];
        assert_int_equal(berth_machine_create(&config, &machine), -EINVAL);
    }
    lent_up(&lent);
}

/* With 64 bits and masks it has 24 bytes: into the extended list, or over its neighbour. */
static void expect_no_msi(unsigned msi, unsigned next)
{
    mb_put(function(), real_cap(ID_MSIX) + 1, 1, msi);
    mb_put(function(), msi, 4, 0x01800000 | next << 8 | ID_MSI);
    if (next)
        mb_put(function(), next, 2, ID_SUBSYSTEM);
    lent_up(&lent);
    assert_int_equal(lent_cap(&lent, ID_MSI), 0);
    expect_reserved(msi, msi + 16);
    assert_int_equal(lent_ext_cap(&lent, EXT_AER), 0x100);
}

static void test_K13_an_msi_that_passes_the_end(void **state)
{
    (void)state;
    expect_no_msi(0xf0, 0);
}

static void test_K13_an_msi_over_its_neighbour(void **state)
{
    (void)state;
    expect_no_msi(0xc0, 0xc8);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_what_is_not_known_is_hidden_and_locked),
        TEST(test_F85_a_capability_that_fails_is_hidden_alone),
        TEST(test_F85_sweep_of_failing_reads),
        TEST(test_F85_the_extended_list_begins_with_a_null_capability),
        TEST(test_V7_without_anything_to_show_the_lists_are_empty),
        TEST(test_M06_no_extended_capabilities_without_extended_space),
        TEST(test_K13_a_list_that_points_into_itself),
        TEST(test_K13_a_list_that_points_back),
        TEST(test_K13_a_list_that_points_into_the_header),
        TEST(test_K13_odd_offsets_are_rounded),
        TEST(test_K13_a_capability_that_passes_the_end),
        TEST(test_K13_the_first_of_two_that_overlap_stays),
        TEST(test_M43_the_first_of_a_kind_counts),
        TEST(test_O7_a_guest_changes_nothing_beyond_its_own),
        TEST(test_O3_a_vendors_capability_is_read_only),
        TEST(test_K13_a_vendors_length_that_lies_is_cut),
        TEST(test_V7_rules_open_and_hide),
        TEST(test_V7_partial_writes_pass_as_they_are),
        TEST(test_F85_no_rule_opens_what_is_emulated),
        TEST(test_rules_are_checked),
        TEST(test_K13_an_msi_that_passes_the_end),
        TEST(test_K13_an_msi_over_its_neighbour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
