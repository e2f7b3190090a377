/* SPDX-License-Identifier: MIT */
/*
 * What cannot be kept apart (O4, X30): pages of BARs and interrupt lines; and machines whose
 * interrupts are not remapped (M32, X33). Paths without ACS are in test_isolation_paths.c.
 */
#include "tests/unit/sharing.h"

#include "src/core/share.h"

#define BAR2 0x18
#define INTERRUPT_LINE 0x3c
#define INTERRUPT_PIN 0x3d
#define SHARED_PAGE 0x90000000u

static const struct sbdf first = {0, 0, 0x20}, second = {0, 0, 0x28};

/* Two devices that share something: one without the other is refused, whichever it is. */
static void one_owner_only(enum berth_reason reason)
{
    refused(first, vm.domain, reason, second, "hwdom");
    rig_quarantine(&rig, second);
    lent(first, vm.domain);
    refused(second, vm2.domain, reason, first, "vm1");
    refused(second, hwdom(), reason, first, "vm1");
    lent(second, vm.domain);
    assert_int_equal(rig_deassign(&rig, first, vm.domain), 0);
    refused(first, hwdom(), reason, second, "vm1");
    assert_int_equal(rig_deassign(&rig, second, vm.domain), 0);
    lent(first, hwdom());
    lent(second, hwdom());
}

/* ---- pages (X30) ---- */

static void small_bar(struct sbdf sbdf, enum mb_bar kind, uint32_t address, uint64_t size)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, sbdf);

    mb_bar(f, 2, kind, size);
    mb_put(f, BAR2, 4, address | (mb_get(f, BAR2, 4) & 0xf));
}

static void two_small_bars(rig_configure *configure)
{
    small_bar(first, MB_BAR_MEM32, SHARED_PAGE + 0x400, 256);
    small_bar(second, MB_BAR_MEM32, SHARED_PAGE + 0x800, 1024);
    guests_up(configure, 2);
}

static void test_X30_a_shared_page_has_one_owner(void **state)
{
    char text[256];

    (void)state;
    two_small_bars(NULL);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hwdom");
    assert_int_equal(rig.why.address, SHARED_PAGE);
    assert_int_equal(rig.why.number, 2);
    berth_refusal_text(&rig.why, text, sizeof(text));
    assert_string_equal(
        text, "0000:00:04.0 shares the page at 0x90000000 of its BAR 2 with "
              "0000:00:05.0, which belongs to hwdom (O4): lend both to the same guest, put "
              "0000:00:05.0 into quarantine, or allow shared pages in the policy");
    one_owner_only(BERTH_REASON_SHARED_PAGE);
}

static void allow_pages(struct berth_machine_config *config)
{
    config->policy.shared_pages = true;
}

static void test_X30_the_policy_may_allow_shared_pages(void **state)
{
    (void)state;
    two_small_bars(allow_pages);
    lent(first, vm.domain);
    lent(second, vm2.domain);
}

static void test_X30_ports_and_whole_pages_are_not_shared(void **state)
{
    (void)state;
    small_bar(first, MB_BAR_IO, 0x6000, 32);
    small_bar(second, MB_BAR_IO, 0x6020, 32);
    small_bar(at(0, 6, 0), MB_BAR_MEM32, SHARED_PAGE, 4096);
    small_bar(at(0, 7, 0), MB_BAR_MEM32, SHARED_PAGE + 0x1000, 256);
    guests_up(NULL, 2);
    lent(first, vm.domain);
    lent(at(0, 6, 0), vm.domain);
    lent(at(0, 7, 0), vm2.domain);
}

/* The key of a page is shorter than its number: the same one is not yet the same page. */
static void test_X30_pages_far_apart_are_two(void **state)
{
    struct capture_function *f;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        f = mb_rc_endpoint(&rig.builder, at(0, 4 + i, 0));
        mb_bar(f, 2, MB_BAR_MEM64, 256);
        mb_put(f, BAR2, 4, SHARED_PAGE | (mb_get(f, BAR2, 4) & 0xf));
        mb_put(f, BAR2 + 4, 4, i * 0x1000); /* 2^32 pages further on */
    }
    guests_up(NULL, 2);
    for (unsigned i = 0; i < 3; i++)
        lent(at(0, 4 + i, 0), i & 1 ? vm2.domain : vm.domain);
    for (unsigned i = 0; i < 3; i++) /* out of the middle, the end, the beginning of a chain */
        assert_int_equal(rig_remove(&rig, at(0, 4 + (i + 1) % 3, 0), PCIDEV_REMOVE_FORCE), 0);
}

/* The first one in the chain goes: those behind it are found as before. */
static void test_X30_a_page_is_found_whatever_left_its_chain(void **state)
{
    struct capture_function *f;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        f = mb_rc_endpoint(&rig.builder, at(0, 4 + i, 0));
        mb_bar(f, 2, MB_BAR_MEM64, 256);
        mb_put(f, BAR2, 4, (SHARED_PAGE + 0x100 * i) | (mb_get(f, BAR2, 4) & 0xf));
        mb_put(f, BAR2 + 4, 4, i ? 0x1000 : 0);
    }
    guests_up(NULL, 2);
    assert_int_equal(rig_remove(&rig, at(0, 6, 0), PCIDEV_REMOVE_DEFAULT), 0);
    lent(at(0, 5, 0), vm.domain);
    assert_int_equal(rig_remove(&rig, at(0, 4, 0), PCIDEV_REMOVE_DEFAULT), 0);
    berth_machine_settle(rig.machine);
    assert_int_equal(rig_add(&rig, at(0, 6, 0)), 0);
    rig_expect_owner(&rig, at(0, 6, 0), "quarantine"); /* the guest's page */
}

static void test_O4_bars_are_looked_at_when_a_device_is_lent(void **state)
{
    (void)state;
    small_bar(first, MB_BAR_MEM32, SHARED_PAGE + 0x1400, 256);
    small_bar(second, MB_BAR_MEM32, SHARED_PAGE + 0x800, 1024);
    guests_up(NULL, 2);
    rig_poke(&rig, first, BAR2, 4, SHARED_PAGE + 0x400);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hwdom");
    rig_poke(&rig, first, BAR2, 4, SHARED_PAGE + 0x1400);
    lent(first, vm.domain);
}

static void test_O4_a_newcomer_in_a_guests_page_goes_to_quarantine(void **state)
{
    (void)state;
    two_small_bars(NULL);
    assert_int_equal(rig_remove(&rig, second, PCIDEV_REMOVE_DEFAULT), 0);
    lent(first, vm.domain); /* a device that is gone is in nobody's way */
    assert_int_equal(rig_add(&rig, second), 0);
    rig_expect_owner(&rig, second, "quarantine");
    refused(second, hwdom(), BERTH_REASON_SHARED_PAGE, first, "vm1");
}

static const struct sbdf hidden_list[] = {{0, 0, 0x28}};

static void hide_second(struct berth_machine_config *config)
{
    config->hidden = hidden_list;
    config->hidden_count = 1;
}

static void test_O4_the_hypervisors_page_is_not_lent_either(void **state)
{
    (void)state;
    two_small_bars(hide_second);
    refused(first, vm.domain, BERTH_REASON_SHARED_PAGE, second, "hidden");
    lent(first, berth_machine_quarantine(rig.machine));
    lent(first, hwdom()); /* which it trusts */
    assert_int_equal(rig_remove(&rig, second, PCIDEV_REMOVE_FORCE), 0);
    lent(first, vm.domain);
    assert_int_equal(rig_add(&rig, second), 0);
    rig_expect_owner(&rig, second, "hidden"); /* wherever it is */
}

static void test_O4_a_device_on_its_way_counts_for_both_owners(void **state)
{
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    struct pcidev *a, *b;

    (void)state;
    two_small_bars(NULL);
    a = rig_dev(&rig, first);
    b = rig_dev(&rig, second);
    rig_quarantine(&rig, second);
    assert_int_equal(share_reserve(a, hwdom(), vm.domain, &why), 0);
    assert_int_equal(share_check(b, vm2.domain, &why), -EBUSY);
    why.reason = BERTH_REASON_NONE;
    assert_int_equal(share_check(b, vm.domain, &why), -EBUSY); /* it may have to go back */
    assert_string_equal(why.domain, "hwdom");
    why.reason = BERTH_REASON_NONE;
    assert_int_equal(share_check(b, hwdom(), &why), -EBUSY);
    share_settle(a, vm.domain);
    assert_int_equal(share_check(b, vm.domain, &why), 0);
    share_settle(a, hwdom());
    rig_put(a);
    rig_put(b);
}

/* ---- lines (X30) ---- */

static struct capture_function *on_line(struct sbdf sbdf, unsigned line, bool with_msi)
{
    struct capture_function *f = mb_pci_endpoint(&rig.builder, sbdf);

    if (!with_msi)
        mb_put(f, 0x34, 1, 0); /* no capabilities */
    mb_put(f, INTERRUPT_PIN, 1, 1);
    mb_put(f, INTERRUPT_LINE, 1, line);
    return f;
}

static void test_X30_a_shared_line_has_one_owner(void **state)
{
    (void)state;
    on_line(first, 11, false);
    on_line(second, 11, false);
    on_line(at(0, 6, 0), 10, false);
    guests_up(NULL, 2);
    lent(at(0, 6, 0), vm2.domain);
    refused(first, vm.domain, BERTH_REASON_SHARED_LINE, second, "hwdom");
    assert_int_equal(rig.why.number, 11);
    one_owner_only(BERTH_REASON_SHARED_LINE);
}

static bool intx_shared(struct sbdf sbdf)
{
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};
    struct pcidev *dev = rig_dev(&rig, sbdf);
    bool shared = share_line(dev, dev->counted, &ignored);

    rig_put(dev);
    return shared;
}

static void test_X30_who_has_msi_is_lent_without_the_line(void **state)
{
    (void)state;
    on_line(first, 11, false);
    on_line(second, 11, true);
    on_line(at(0, 6, 0), 11, true);
    on_line(at(0, 7, 0), 12, true);
    guests_up(NULL, 2);
    assert_false(intx_shared(second)); /* all are the hardware domain's */
    lent(second, vm.domain);
    assert_true(intx_shared(second));
    lent(at(0, 7, 0), vm.domain);
    assert_false(intx_shared(at(0, 7, 0)));
    lent(at(0, 6, 0), vm.domain);
    rig_quarantine(&rig, first);
    assert_false(intx_shared(second)); /* nobody else is left on it */
    lent(first, vm2.domain);
    assert_true(intx_shared(second));
    assert_true(intx_shared(first));
}

static void taken_back(struct sbdf sbdf, struct berth_domain *from)
{
    assert_int_equal(rig_deassign(&rig, sbdf, from), 0);
    rig_expect_owner(&rig, sbdf, "quarantine");
}

/* Who came first with INTx has the line: whoever needs it has to be of the same owner. */
static void test_O4_a_line_in_use_is_not_lent_to_somebody_else(void **state)
{
    (void)state;
    on_line(first, 11, true);
    on_line(second, 11, false);
    guests_up(NULL, 2);
    rig_quarantine(&rig, second);
    lent(first, vm.domain);
    refused(second, vm2.domain, BERTH_REASON_SHARED_LINE, first, "vm1");
    refused(second, hwdom(), BERTH_REASON_SHARED_LINE, first, "vm1");
    lent(second, vm.domain);
    taken_back(first, vm.domain); /* it can do without */
    taken_back(second, vm.domain);
    lent(second, vm2.domain);
    lent(first, vm.domain); /* and does */
    taken_back(second, vm2.domain);
    lent(second, hwdom());
}

/* ---- M32, X33 ---- */

static bool remaps_on;

static bool remaps(void *irqs)
{
    (void)irqs;
    return remaps_on;
}

static const struct berth_irq_ops checking = {.remaps = remaps}, not_checking = {.remaps = NULL};

static void with_remapping(struct berth_machine_config *config)
{
    config->irqs = &checking;
}

static void without_remapping(struct berth_machine_config *config)
{
    config->irqs = &not_checking;
}

static void unsafe(struct berth_machine_config *config)
{
    config->irqs = &not_checking;
    config->policy.unsafe_interrupts = true;
}

static void test_X33_no_guest_without_interrupt_remapping(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    guests_up(without_remapping, 2);
    rig_expect_refused(&rig, rig_assign(&rig, first, vm.domain), -EOPNOTSUPP,
                       BERTH_REASON_NO_REMAPPING);
    rig_quarantine(&rig, first); /* which is no guest */
    lent(first, hwdom());
}

static void test_X33_remapping_has_to_be_on(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    remaps_on = false;
    guests_up(with_remapping, 2);
    rig_expect_refused(&rig, rig_assign(&rig, first, vm.domain), -EOPNOTSUPP,
                       BERTH_REASON_NO_REMAPPING);
    remaps_on = true;
    lent(first, vm.domain);
}

static void test_X33_the_policy_may_allow_it(void **state)
{
    (void)state;
    mb_rc_endpoint(&rig.builder, first);
    guests_up(unsafe, 2);
    lent(first, vm.domain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sharing_setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X30_a_shared_page_has_one_owner),
        TEST(test_X30_the_policy_may_allow_shared_pages),
        TEST(test_X30_ports_and_whole_pages_are_not_shared),
        TEST(test_X30_pages_far_apart_are_two),
        TEST(test_X30_a_page_is_found_whatever_left_its_chain),
        TEST(test_O4_bars_are_looked_at_when_a_device_is_lent),
        TEST(test_O4_a_newcomer_in_a_guests_page_goes_to_quarantine),
        TEST(test_O4_the_hypervisors_page_is_not_lent_either),
        TEST(test_O4_a_device_on_its_way_counts_for_both_owners),
        TEST(test_X30_a_shared_line_has_one_owner),
        TEST(test_O4_a_line_in_use_is_not_lent_to_somebody_else),
        TEST(test_X30_who_has_msi_is_lent_without_the_line),
        TEST(test_X33_no_guest_without_interrupt_remapping),
        TEST(test_X33_remapping_has_to_be_on),
        TEST(test_X33_the_policy_may_allow_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
