/* SPDX-License-Identifier: MIT */
/*
 * Walks over many devices, what a machine without something says, and what a guest has of odd
 * devices (F20, F22, F29, F30, F31).
 */
#include <string.h>

#include <linux/pci_regs.h>

#include <berth/isolation.h>

#include "src/core/machine_priv.h"
#include "tests/scenarios/owners_driver.h"
#include "tests/unit/guest_maps.h"
#include "tests/unit/guests.h"

#define PAGE UINT64_C(0x1000)

/* ---- F20: some have a view, others have none ---- */

static const struct berth_register added = {.offset = 0xa00, .size = 4, .reset = 0x55, .ro = 0xff};

static void walk(struct berth_domain *domain)
{
    struct pcidev *dev = berth_domain_next_device(domain, NULL, "walk");
    static struct pcidev_explanation explanation;

    while (dev) {
        const struct sbdf sbdf = pcidev_sbdf(dev);
        struct pcidev_info info;

        pcidev_snapshot(dev, &info);
        assert_int_equal(info.owner_id, berth_domain_id(domain));
        (void)berth_view_size(dev);
        assert_int_equal(pcidev_explain(dev, NULL, NULL, &explanation), 0);
        (void)berth_domain_config_read(domain, sbdf, PCI_VENDOR_ID, 4);
        berth_domain_config_write(domain, sbdf, 0xa00, 4, 0);
        berth_domain_intx_eoi(domain, sbdf);
        pcidev_put(dev, "walk");
        dev = berth_domain_next_device(domain, &sbdf, "walk");
    }
}

static void walk_all(void)
{
    struct berth_domain *domain = NULL, *next;
    uint64_t value;

    while ((next = berth_domain_next(rig.machine, domain))) {
        berth_domain_put(domain);
        domain = next;
        walk(domain);
        assert_int_equal(berth_domain_mmio_read(domain, 0x1000, 4, &value), -ENOENT);
        assert_int_equal(berth_domain_flush(domain, NULL), 0);
    }
    berth_domain_put(domain);
    assert_true(berth_machine_quiesce(rig.machine) > 0);
}

static void test_F20_devices_with_and_without_a_view(void **state)
{
    struct pcidev *dev;

    (void)state;
    rig_standard(&rig);
    rig_up(&rig, NULL);
    dev = rig_dev(&rig, rig_nvme);
    walk_all();
    assert_int_equal(berth_view_size(dev), 0);
    assert_int_equal(berth_register_add(dev, &added, NULL), 0); /* one of hwdom's */
    assert_true(berth_view_size(dev) > 0);
    walk_all();
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme2, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_phantom, vm.domain), 0);
    walk_all();
    /* one loses its view on the way, to a transition that cannot be undone */
    sim_fail(rig.sim, SIM_OP_ATTACH, 2, 50, 0);
    assert_int_not_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_true(rig_info(&rig, rig_phantom).broken);
    walk_all();
    assert_int_equal(rig_reach(vm.domain), 1);
    rig_put(dev);
    rig_vm_down(&vm);
    walk_all();
}

/* ---- F22: a guest's device without extended config space ---- */

static void test_F22_a_guest_finds_nothing_above_the_first_256_bytes(void **state)
{
    static struct guest_maps maps;
    const struct berth_view_config view = {.ops = &guest_maps_ops, .context = &maps};
    struct capture_function *aliasing, *ones;
    struct berth_domain *guest;
    unsigned events;

    (void)state;
    mb_pci_endpoint(&rig.builder, at(0, 1, 0));
    aliasing = mb_endpoint(&rig.builder, at(0, 2, 0));
    ones = mb_endpoint(&rig.builder, at(0, 3, 0));
    (void)mb_capture(&rig.builder);
    aliasing = rig_function(&rig, at(0, 2, 0));
    for (unsigned page = 256; page < 4096; page += 256)
        memcpy(aliasing->config + page, aliasing->config, 256);
    ones = rig_function(&rig, at(0, 3, 0));
    memset(ones->config + 256, 0xff, 4096 - 256);
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(berth_domain_set_view(guest, &view), 0);
    events = rig_count_events(&rig, BERTH_EVENT_VIEW);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(rig_info(&rig, at(0, i, 0)).config_size, 256);
        assert_int_equal(rig_assign(&rig, at(0, i, 0), guest), 0);
        assert_int_equal(berth_domain_config_read(guest, rig_seen(&rig, at(0, i, 0)), 0x100, 4),
                         0); /* reserved */
    }
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_VIEW), events); /* nobody complained */
    rig_destroy_guest(&rig, guest);
}

/* ---- F29: what there is not ---- */

static void no_iommu(struct berth_machine_config *config)
{
    config->iommu = NULL;
}

static bool unchecked(void *irqs)
{
    (void)irqs;
    return false;
}

static void no_remapping(struct berth_machine_config *config)
{
    static struct berth_irq_ops irqs;

    irqs = *config->irqs;
    irqs.remaps = unchecked;
    config->irqs = &irqs;
}

/* Each way of lending says that the machine cannot, and none changes anything. */
static void refused_everywhere(rig_configure *configure, enum berth_reason reason)
{
    static struct pcidev_explanation explanation;
    struct berth_request request;
    struct berth_domain *guest;
    struct rig_state before;
    struct pcidev *dev;

    rig_standard(&rig);
    rig_up(&rig, configure);
    guest = rig_guest(&rig, "vm1");
    before = rig_remember(&rig, rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    request = rig_request(&rig);
    rig_expect_refused(&rig, pcidev_assign(dev, guest, &request), -EOPNOTSUPP, reason);
    rig_expect_refused(&rig, pcidev_test_assign(dev, guest, &request), -EOPNOTSUPP, reason);
    rig_expect_refused(&rig, pcidev_test_assign(dev, NULL, &request), -EOPNOTSUPP, reason);
    rig_expect_refused(&rig, pcidev_assign_group(dev, guest, &request), -EOPNOTSUPP, reason);
    rig_expect_refused(&rig, pcidev_test_assign_group(dev, guest, &request), -EOPNOTSUPP, reason);
    assert_int_equal(pcidev_explain(dev, guest, &request, &explanation), 0);
    assert_int_equal(explanation.reasons[0].error, -EOPNOTSUPP);
    assert_int_equal(explanation.reasons[0].reason, reason);
    rig_put(dev);
    rig_expect_as_before(&rig, &before);
    rig_destroy_guest(&rig, guest);
}

static void test_F29_without_an_iommu(void **state)
{
    uint32_t group = 5;
    struct pcidev *dev;

    (void)state;
    refused_everywhere(no_iommu, BERTH_REASON_NO_IOMMU);
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(pcidev_group(dev, &group), -EOPNOTSUPP);
    assert_int_equal(group, 5);
    rig_put(dev);
}

static void test_F29_without_interrupt_remapping(void **state)
{
    (void)state;
    refused_everywhere(no_remapping, BERTH_REASON_NO_REMAPPING);
}

/* ---- F30: a dump of many devices ---- */

#define MANY 4096u

/* Those that are in memory. */
static unsigned objects(void)
{
    unsigned count = 0;

    lock_take(&rig.machine->lock);
    for (const struct pcidev *dev = rig.machine->objects; dev; dev = dev->objects_next)
        count++;
    lock_drop(&rig.machine->lock);
    return count;
}

/* The walk holds nothing between two devices: whatever takes long may happen there. */
static void test_F30_a_dump_can_be_interrupted_anywhere(void **state)
{
    struct pcidev *dev;
    unsigned seen = 0;

    (void)state;
    mb_free(&rig.builder);
    mb_init_sized(&rig.builder, MANY);
    mb_many(&rig.builder, MANY);
    rig_up(&rig, NULL);
    dev = pcidev_next(rig.machine, NULL, "dump");
    while (dev) {
        const struct sbdf sbdf = pcidev_sbdf(dev);
        struct pcidev_info info;

        pcidev_snapshot(dev, &info);
        assert_true(sbdf_equal(info.sbdf, sbdf));
        pcidev_put(dev, "dump");
        if (seen++ % 512 == 256) {
            const struct sbdf ahead = sbdf_from_key(sbdf_key(sbdf) + 100);

            assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_STRICT), 0);
            assert_int_equal(rig_remove(&rig, ahead, PCIDEV_REMOVE_STRICT), 0);
            berth_machine_settle(rig.machine);
            assert_int_equal(objects(), berth_machine_count(rig.machine)); /* nobody reads */
            assert_int_equal(rig_add(&rig, ahead), 0);
        }
        dev = pcidev_next(rig.machine, &sbdf, "dump");
    }
    assert_int_equal(seen, MANY);
}

/* ---- F31: BARs in places where they cannot be ---- */

#define PLACE UINT64_C(0x4000000000)
#define WINDOW_PAGES 64u

static const struct sbdf endpoint = {0, 0, 0x08};
static struct guest_maps maps;

static struct berth_domain *lend_with_table_at(unsigned table_page)
{
    static const struct berth_window window = {.start = PLACE, .length = WINDOW_PAGES * PAGE};
    const struct berth_view_config view = {
        .ops = &guest_maps_ops, .context = &maps, .windows = &window, .window_count = 1};
    struct capture_function *f = mb_endpoint(&rig.builder, endpoint);
    unsigned msix = mb_find_cap(f, PCI_CAP_ID_MSIX);
    struct berth_domain *guest;

    mb_put(f, msix + PCI_MSIX_TABLE, 4, table_page * (uint32_t)PAGE);
    mb_put(f, msix + PCI_MSIX_PBA, 4, table_page * (uint32_t)PAGE + 0x800);
    maps.count = 0;
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(berth_domain_set_view(guest, &view), 0);
    return guest;
}

/* Every page of the BAR but the one of the table, to the last; and the trap of that one works. */
static void expect_around(const struct driver *d, unsigned table_page)
{
    uint64_t value;

    for (unsigned page = 0; page < 4; page++)
        assert_int_equal(guest_maps_at(&maps, d->bar + page * PAGE) != 0, page != table_page);
    assert_int_equal(guest_maps_at(&maps, d->bar + 4 * PAGE), 0);
    driver_poke(d, table_page * PAGE, 4, 0x12340000);
    assert_int_equal(berth_domain_mmio_read(d->guest, d->bar + table_page * PAGE, 4, &value), 0);
    assert_int_equal(value, 0x12340000);
}

static void test_F31_all_but_the_hole_is_mapped_to_the_last_page(void **state)
{
    (void)state;
    for (unsigned page = 0; page < 4; page++) {
        struct berth_domain *guest = lend_with_table_at(page);
        struct driver d;

        driver_up(&d, &rig, guest, endpoint, PLACE + 4 * PAGE);
        expect_around(&d, page);
        /* the last place that the window has */
        driver_put(&d, PCI_COMMAND, 2, 0);
        assert_int_equal(rig_deassign(&rig, endpoint, guest), 0);
        driver_up(&d, &rig, guest, endpoint, PLACE + (WINDOW_PAGES - 4) * PAGE);
        expect_around(&d, page);
        rig_destroy_guest(&rig, guest);
        assert_int_equal(maps.count, 0);
        rig_down(&rig);
        rig_begin(&rig);
    }
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    rig_up(&rig, NULL);
}

/* Over RAM: nothing is mapped, the hardware goes on decoding, and a better place works. */
static void test_F31_a_misplaced_bar_maps_nothing_and_breaks_nothing(void **state)
{
    static const uint64_t wrong[] = {0x100000, PLACE - 4 * PAGE, PLACE + WINDOW_PAGES * PAGE};
    struct berth_domain *guest;
    struct driver d;

    (void)state;
    guest = lend_with_table_at(2);
    driver_up(&d, &rig, guest, endpoint, wrong[0]);
    for (unsigned i = 0; i < 3; i++) {
        driver_start(&d, &rig, guest, endpoint, wrong[i]);
        assert_int_equal(maps.count, 0);
        assert_int_equal(driver_get(&d, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY, 0);
        assert_int_not_equal(rig_peek(&rig, endpoint, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY, 0);
        driver_start(&d, &rig, guest, endpoint, PLACE);
        expect_around(&d, 2);
        driver_vectors(&d, 2);
        assert_int_equal(driver_raise(&d, 1), SIM_IRQ_DELIVERED);
        driver_msix(&d, false);
        driver_put(&d, PCI_COMMAND, 2, 0);
        assert_int_equal(maps.count, 0);
    }
    rig_destroy_guest(&rig, guest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_blank, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F20_devices_with_and_without_a_view),
        TEST(test_F22_a_guest_finds_nothing_above_the_first_256_bytes),
        TEST(test_F29_without_an_iommu),
        TEST(test_F29_without_interrupt_remapping),
        TEST(test_F30_a_dump_can_be_interrupted_anywhere),
        TEST(test_F31_all_but_the_hole_is_mapped_to_the_last_page),
        TEST(test_F31_a_misplaced_bar_maps_nothing_and_breaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
