/* SPDX-License-Identifier: MIT */
/*
 * Interrupts and the change of owners: who frees what, what is written again after a reset, and
 * remapping entries that cannot be had (F49, F60, F61, F62).
 */
#include <pthread.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <berth_port.h>

#include "tests/scenarios/owners_driver.h"
#include "tests/scenarios/owners_log.h"

#define BAR UINT64_C(0x80000000)
#define BAR_2 UINT64_C(0x90000000)
#define VECTORS 4u
#define MSI_VECTORS_LOG2 3u
#define MSI_DWORDS 6u /* of the largest layout: wide, with masks */
#define PM_SLEEP 3u

static struct rig rig;
static struct rig_vm vm;
static struct driver driver;
static unsigned msi;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    return 0;
}

static void up(rig_configure *configure)
{
    owners_log_begin(rig_nvme);
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
    driver_up(&driver, &rig, vm.domain, rig_nvme, BAR);
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

static struct sim_counters counters(void)
{
    struct sim_counters now;

    sim_counters(rig.sim, &now);
    return now;
}

/* References of rig_nvme's vectors. */
static unsigned holds(void)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    unsigned count = pcidev_holders(dev, holders, BERTH_HOLDERS_MAX), found = 0;

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(holders[i].tag, "vector"))
            found = holders[i].count;
    rig_put(dev);
    return found;
}

/* ---- F49: one guest ends with live interrupts, another one makes its own ---- */

#define ROUNDS 25u

static _Atomic bool stop;
static _Atomic unsigned rounds_done, lost, still_there, failed;

static void *guests_come_and_go(void *context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};
        struct berth_domain *guest;
        struct driver own;

        if (berth_domain_create(rig.machine, "short", NULL, NULL, &guest)) {
            atomic_fetch_add(&failed, 1);
            break;
        }
        driver_up(&own, &rig, guest, rig_nvme2, BAR_2);
        driver_vectors(&own, VECTORS);
        if (berth_domain_destroy(guest, &request) || berth_domain_destroy(guest, &request))
            atomic_fetch_add(&failed, 1);
        for (unsigned v = 0; v < VECTORS; v++)
            if (driver_raise(&own, v) == SIM_IRQ_DELIVERED)
                atomic_fetch_add(&still_there, 1);
        berth_domain_put(guest);
        atomic_fetch_add(&rounds_done, 1);
    }
    atomic_store(&stop, true);
    return NULL;
}

static void test_F49_no_guest_frees_the_interrupts_of_another(void **state)
{
    pthread_t thread;

    (void)state;
    up(NULL);
    rounds_done = lost = still_there = failed = 0;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, guests_come_and_go, NULL), 0);
    while (!atomic_load(&stop)) {
        unsigned before;

        driver_vectors(&driver, VECTORS);
        before = vm.injected;
        for (unsigned i = 0; i < VECTORS; i++)
            lost += driver_raise(&driver, i) != SIM_IRQ_DELIVERED;
        lost += vm.injected != before + VECTORS;
        driver_msix(&driver, false);
        for (unsigned i = 0; i < VECTORS; i++)
            driver_mask(&driver, i, true);
    }
    pthread_join(thread, NULL);
    assert_int_equal(rounds_done, ROUNDS);
    assert_int_equal(lost, 0);
    assert_int_equal(still_there, 0);
    assert_int_equal(failed, 0);
    assert_int_equal(counters().bindings_misused, 0);
}

/* ---- F60: remapping entries that cannot be had, or are none ---- */

static void msi_up(rig_configure *configure)
{
    mb_msi(rig_function(&rig, rig_nvme), 1u << MSI_VECTORS_LOG2);
    msi = mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_MSI);
    up(configure);
    driver_put(&driver, msi + PCI_MSI_ADDRESS_LO, 4, DRIVER_MESSAGE);
    driver_put(&driver, msi + PCI_MSI_DATA_64, 2, 0x4180);
}

static bool msi_enable(bool on)
{
    driver_put(&driver, msi + PCI_MSI_FLAGS, 2,
               MSI_VECTORS_LOG2 << 4 | (on ? PCI_MSI_FLAGS_ENABLE : 0));
    return driver_get(&driver, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

static bool odd_block;

/* An entry that is not the first one of a block. */
static int bind_odd(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    int error = sim_irq_ops.bind(irqs, irq, message);

    if (odd_block && irq->count > 1)
        message->data |= 1;
    return error;
}

static void odd_blocks(struct berth_machine_config *config)
{
    static struct berth_irq_ops irqs;

    irqs = *config->irqs;
    irqs.bind = bind_odd;
    config->irqs = &irqs;
}

static void test_F60_a_block_that_is_none_is_given_back(void **state)
{
    uint64_t bindings;

    (void)state;
    odd_block = true;
    msi_up(odd_blocks);
    bindings = counters().bindings;
    assert_false(msi_enable(true));
    assert_int_equal(counters().bindings, bindings);
    assert_int_equal(rig_peek(&rig, rig_nvme, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
    odd_block = false;
    assert_true(msi_enable(true));
    for (unsigned i = 0; i < 1u << MSI_VECTORS_LOG2; i++)
        assert_int_equal(driver_raise(&driver, i), SIM_IRQ_DELIVERED);
}

static void test_F60_an_entry_that_fails_is_not_used_and_not_held(void **state)
{
    (void)state;
    up(NULL);
    for (unsigned failing = 0; failing < VECTORS; failing++) {
        const unsigned held = holds();
        const uint64_t bindings = counters().bindings;

        driver_vectors(&driver, VECTORS);
        driver_msix(&driver, false);
        sim_fail(rig.sim, SIM_OP_BIND, failing + 1, 0, -ENOSPC);
        driver_msix(&driver, true);
        sim_fail(rig.sim, SIM_OP_BIND, 0, 0, 0);
        assert_int_equal(counters().bindings, bindings + VECTORS - 1);
        assert_int_equal(holds(), held + VECTORS - 1);
        for (unsigned i = 0; i < VECTORS; i++)
            assert_int_equal(driver_raise(&driver, i),
                             i == failing ? SIM_IRQ_PENDING : SIM_IRQ_DELIVERED);
        driver_msix(&driver, false);
        assert_int_equal(counters().bindings, bindings);
        assert_int_equal(holds(), held);
    }
}

/* ---- F61: what is as it was may be gone in the hardware ---- */

static bool is_written(unsigned reg, unsigned mask)
{
    for (unsigned i = 0; i < owners_log.count; i++) {
        const struct log_entry *entry = &owners_log.entry[i];

        if (entry->what == LOGGED_WRITE && entry->reg == reg && (entry->value & mask) == mask)
            return true;
    }
    return false;
}

static void read_msi(uint32_t value[MSI_DWORDS])
{
    for (unsigned i = 0; i < MSI_DWORDS; i++)
        value[i] = rig_peek(&rig, rig_nvme, msi + 4 * i, 4);
}

static void test_F61_every_msi_register_is_written_again(void **state)
{
    uint32_t before[MSI_DWORDS], after[MSI_DWORDS];

    (void)state;
    msi_up(owners_log_configure);
    driver_put(&driver, msi + PCI_MSI_MASK_64, 4, 0x80);
    assert_true(msi_enable(true));
    read_msi(before);
    owners_log_clear();
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_true(is_written(msi + PCI_MSI_ADDRESS_LO, 0));
    assert_true(is_written(msi + PCI_MSI_ADDRESS_HI, 0));
    assert_true(is_written(msi + PCI_MSI_DATA_64, 0));
    assert_true(is_written(msi + PCI_MSI_MASK_64, 0x80));
    assert_true(is_written(msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE));
    read_msi(after);
    assert_memory_equal(after, before, sizeof(after));
    assert_int_equal(driver_raise(&driver, 1), SIM_IRQ_DELIVERED);
}

/* The same message once more, into a device that has forgotten it. */
static void test_F61_the_same_setup_is_a_setup(void **state)
{
    uint32_t before[MSI_DWORDS], after[MSI_DWORDS];

    (void)state;
    msi_up(owners_log_configure);
    assert_true(msi_enable(true));
    read_msi(before);
    assert_false(msi_enable(false));
    rig_poke(&rig, rig_nvme, msi + PCI_MSI_ADDRESS_LO, 4, 0);
    rig_poke(&rig, rig_nvme, msi + PCI_MSI_DATA_64, 2, 0);
    assert_true(msi_enable(true));
    read_msi(after);
    assert_memory_equal(after, before, sizeof(after));
    assert_int_equal(driver_raise(&driver, 1), SIM_IRQ_DELIVERED);
}

static void read_table(struct sim_msix_entry entry[VECTORS])
{
    for (unsigned i = 0; i < VECTORS; i++)
        assert_int_equal(sim_msix_entry(rig.sim, rig_nvme, i, &entry[i]), 0);
}

static void test_F61_every_msix_entry_is_written_again(void **state)
{
    struct sim_msix_entry before[VECTORS], after[VECTORS];

    (void)state;
    memset(before, 0, sizeof(before));
    memset(after, 0, sizeof(after));
    up(owners_log_configure);
    driver_vectors(&driver, VECTORS);
    read_table(before);
    owners_log_clear();
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_true(is_written(driver.cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE));
    assert_true(owners_log_count(LOGGED_BAR_WRITE) >= 2 * VECTORS);
    read_table(after);
    assert_memory_equal(after, before, sizeof(after));
    for (unsigned i = 0; i < VECTORS; i++)
        assert_int_equal(driver_raise(&driver, i), SIM_IRQ_DELIVERED);
}

/* ---- F62: asleep and awake, twice ---- */

#define SPACE 4096u

struct hardware {
    uint32_t config[SPACE / 4];
    struct sim_msix_entry table[VECTORS];
};

static void read_hardware(struct hardware *now)
{
    memset(now, 0, sizeof(*now));
    for (unsigned reg = 0; reg < SPACE; reg += 4)
        now->config[reg / 4] = rig_peek(&rig, rig_nvme, reg, 4);
    read_table(now->table);
}

static void test_F62_asleep_and_awake_as_often_as_one_likes(void **state)
{
    static struct hardware before, after;
    unsigned pm;

    (void)state;
    mb_pm_reset(rig_function(&rig, rig_nvme)); /* it forgets everything */
    pm = mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_PM);
    up(NULL);
    driver_vectors(&driver, VECTORS);
    read_hardware(&before);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig_reset(&rig, rig_nvme), 0);
        read_hardware(&after);
        assert_memory_equal(&after, &before, sizeof(after));
    }
    for (unsigned i = 0; i < 3; i++) {
        driver_put(&driver, pm + PCI_PM_CTRL, 2, PM_SLEEP);
        driver_put(&driver, pm + PCI_PM_CTRL, 2, 0);
        driver_start(&driver, &rig, vm.domain, rig_nvme, BAR); /* its driver wakes up as well */
        driver_vectors(&driver, VECTORS);
        read_hardware(&after);
        assert_memory_equal(&after, &before, sizeof(after));
        assert_int_equal(driver_raise(&driver, 0), SIM_IRQ_DELIVERED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F49_no_guest_frees_the_interrupts_of_another),
        TEST(test_F60_a_block_that_is_none_is_given_back),
        TEST(test_F60_an_entry_that_fails_is_not_used_and_not_held),
        TEST(test_F61_every_msi_register_is_written_again),
        TEST(test_F61_the_same_setup_is_a_setup),
        TEST(test_F61_every_msix_entry_is_written_again),
        TEST(test_F62_asleep_and_awake_as_often_as_one_likes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
