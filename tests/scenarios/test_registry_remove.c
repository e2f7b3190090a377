/* SPDX-License-Identifier: MIT */
/* Devices that go while somebody uses them, and the crash path (F01, F02, F06, F07, F32). */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <linux/pci_regs.h>

#include <berth_port.h>

#include "src/core/machine_priv.h"
#include "tests/scenarios/owners_driver.h"
#include "tests/scenarios/owners_log.h"
#include "tests/unit/guests.h"

#define BAR UINT64_C(0x80000000)
#define VECTORS 4u

static struct driver driver;

/* ---- F01: the view of a guest that never pauses ---- */

static struct berth_domain *guest;
static struct sbdf seat;
static unsigned withdrawn, entered, unlocked;

/* Whoever takes the view away has the device for himself: its lock, and nobody inside. */
static int look_who_has_it(void *context, struct pcidev *dev)
{
    struct pcidev_section section;

    (void)context;
    withdrawn++;
    if (pcidev_enter(dev, "withdraw", &section)) {
        pcidev_exit(&section);
        entered++;
    }
    if (port_mutex_lock_until(&dev->lock.mutex, 0)) {
        port_mutex_unlock(&dev->lock.mutex);
        unlocked++;
    }
    return 0;
}

static const struct berth_domain_ops looking_ops = {.withdraw = look_who_has_it};

static _Atomic bool stop;
static _Atomic unsigned answers;

static void *run_vcpu(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        uint64_t value;

        if ((uint32_t)berth_domain_config_read(guest, seat, PCI_VENDOR_ID, 4) != UINT32_MAX)
            atomic_fetch_add(&answers, 1);
        berth_domain_config_write(guest, seat, PCI_BASE_ADDRESS_0, 4, (uint32_t)BAR);
        berth_domain_config_write(guest, seat, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
        (void)!berth_domain_mmio_read(guest, BAR + DRIVER_TABLE, 4, &value);
        berth_domain_config_write(guest, seat, PCI_COMMAND, 2, 0);
    }
    return NULL;
}

static void wait_for_answers(void)
{
    const unsigned before = atomic_load(&answers);

    for (unsigned attempt = 0; atomic_load(&answers) < before + 2; attempt++)
        port_relax(attempt);
}

static void test_F01_a_view_goes_while_its_guest_looks(void **state)
{
    pthread_t vcpu;

    (void)state;
    guests_up(NULL, 1);
    assert_int_equal(berth_domain_create(rig.machine, "vm2", &looking_ops, NULL, &guest), 0);
    seat = at(0, 9, 0);
    withdrawn = entered = unlocked = 0;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&vcpu, NULL, run_vcpu, NULL), 0);
    for (unsigned round = 0; round < 20; round++) {
        assert_int_equal(rig_assign_at(&rig, rig_nvme, guest, seat), 0);
        wait_for_answers();
        assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
        assert_int_equal(berth_domain_config_read(guest, seat, PCI_VENDOR_ID, 4), UINT32_MAX);
        assert_int_equal(rig_add(&rig, rig_nvme), 0);
    }
    atomic_store(&stop, true);
    pthread_join(vcpu, NULL);
    assert_int_equal(withdrawn, 20);
    assert_int_equal(entered, 0);
    assert_int_equal(unlocked, 0);
    rig_destroy_guest(&rig, guest);
}

/* ---- F02: four live vectors ---- */

static unsigned undelivered;

/* Between two operations of the IOMMU its interrupts arrive, or the device sends none. */
static void raise_all(void *context)
{
    (void)context;
    for (unsigned i = 0; i < VECTORS; i++)
        undelivered += driver_raise(&driver, i) == SIM_IRQ_BLOCKED;
}

/* Where MSI-X was turned off; -1: nowhere. */
static int msix_off(void)
{
    for (unsigned i = 0; i < owners_log.count; i++) {
        const struct log_entry *entry = &owners_log.entry[i];

        if (entry->what == LOGGED_WRITE && entry->reg == driver.cap + PCI_MSIX_FLAGS &&
            !(entry->value & PCI_MSIX_FLAGS_ENABLE))
            return (int)i;
    }
    return -1;
}

static void test_F02_four_live_vectors_go_before_the_contexts(void **state)
{
    static const char *const order[] = {"revoke", "withdraw view", "owner", "quiesce",
                                        "block contexts"};
    int event;

    (void)state;
    owners_log_begin(rig_nvme);
    guests_up(owners_log_configure, 1);
    driver_up(&driver, &rig, vm.domain, rig_nvme, BAR);
    driver_vectors(&driver, VECTORS);
    for (unsigned i = 0; i < VECTORS; i++)
        assert_int_equal(driver_raise(&driver, i), SIM_IRQ_DELIVERED);
    owners_log_clear();
    undelivered = 0;
    rig.tape.hook = raise_all;
    event = (int)rig.event_count;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    rig.tape.hook = NULL;
    assert_int_equal(undelivered, 0);
    assert_in_range(msix_off(), 0, owners_log_first(LOGGED_DETACH));
    assert_true(owners_log_first(LOGGED_DETACH) < owners_log_last(LOGGED_FLUSH));
    assert_int_equal(owners_log_count(LOGGED_UNBIND), VECTORS + 1); /* and the line */
    assert_int_equal(owners_log_count(LOGGED_BAR_WRITE), 0);
    assert_int_equal(owners_log_last(LOGGED_RELEASE), (int)owners_log.count - 1);
    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++, event++) {
        event = rig_find_event(&rig, event, BERTH_EVENT_DO, order[i]);
        assert_true(event >= 0);
    }
}

/* ---- F06: a VF needs nothing that its PF's users hold ---- */

static _Atomic int phase; /* 1: all is held; 2: let go; 3: he did, for he waited too long */

#define HOLD_STEPS 5000u

/* Somebody is in the middle of a transition of the PF, and of changing the tables. */
static void *hold_the_pf(void *pf)
{
    struct pcidev *dev = pf;

    lock_take(&dev->lock);
    lock_take(&rig.machine->lock);
    atomic_store(&phase, 1);
    for (unsigned i = 0; i < HOLD_STEPS && atomic_load(&phase) == 1; i++) {
        const struct timespec step = {.tv_nsec = 1000000};

        nanosleep(&step, NULL);
    }
    if (atomic_load(&phase) == 1)
        atomic_store(&phase, 3);
    lock_drop(&rig.machine->lock);
    lock_drop(&dev->lock);
    return NULL;
}

static void test_F06_a_vf_enables_msix_without_its_pf(void **state)
{
    struct pcidev *pf;
    pthread_t holder;

    (void)state;
    guests_up(NULL, 1);
    rig_add_vfs(&rig, 2);
    driver_up(&driver, &rig, vm.domain, rig_vf(1), BAR);
    pf = rig_dev(&rig, rig_pf);
    atomic_store(&phase, 0);
    assert_int_equal(pthread_create(&holder, NULL, hold_the_pf, pf), 0);
    for (unsigned attempt = 0; !atomic_load(&phase); attempt++)
        port_relax(attempt);
    driver_vectors(&driver, VECTORS);
    for (unsigned i = 0; i < VECTORS; i++)
        assert_int_equal(driver_raise(&driver, i), SIM_IRQ_DELIVERED);
    driver_msix(&driver, false);
    assert_int_equal(atomic_exchange(&phase, 2), 1); /* nobody has waited for him */
    pthread_join(holder, NULL);
    rig_put(pf);
}

/* ---- F07: a lent VF is gone, and nobody has said so ---- */

static void use(void)
{
    driver_put(&driver, PCI_COMMAND, 2, 0);
    driver_put(&driver, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < VECTORS; i++) {
        enum sim_irq_result result;

        driver_mask(&driver, i, true);
        driver_mask(&driver, i, false);
        (void)sim_raise(rig.sim, driver.host, i, &result);
    }
    driver_msix(&driver, false);
    driver_msix(&driver, true);
    (void)driver_get(&driver, PCI_VENDOR_ID, 4);
}

static void expect_latched(const struct pcidev *vf, const uint16_t cap[CAP_COUNT])
{
    for (unsigned i = 0; i < CAP_COUNT; i++)
        assert_int_equal(vf->traits.cap[i], cap[i]);
}

/* @told: the core knows. */
static void vf_is_gone(bool told)
{
    uint16_t cap[CAP_COUNT];
    struct pcidev *vf;
    int error;

    guests_up(NULL, 1);
    rig_add_vfs(&rig, 2);
    driver_up(&driver, &rig, vm.domain, rig_vf(0), BAR);
    driver_vectors(&driver, VECTORS);
    vf = rig_dev(&rig, rig_vf(0));
    memcpy(cap, vf->traits.cap, sizeof(cap));
    assert_int_not_equal(cap[CAP_MSIX], 0);
    assert_int_equal(sim_vanish(rig.sim, rig_vf(0)), 0);
    if (told)
        pcidev_vanished(vf);
    use();
    error = rig_reset(&rig, rig_vf(0)); /* would restore its MSI-X */
    assert_true(error == -EIO || error == -ENODEV);
    assert_int_equal(rig_readd(&rig, rig_vf(0), NULL), -ENODEV);
    use();
    expect_latched(vf, cap);
    (void)rig_deassign(&rig, rig_vf(0), vm.domain);
    assert_int_equal(rig_info(&rig, rig_vf(0)).owner_kind, BERTH_DOMAIN_QUARANTINE);
    use();
    assert_int_equal(rig_remove(&rig, rig_vf(0), PCIDEV_REMOVE_DEFAULT), 0);
    expect_latched(vf, cap);
    rig_put(vf);
    assert_int_equal(rig_remove(&rig, rig_vf(1), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0);
}

static void test_F07_a_vf_with_vectors_is_gone_unseen(void **state)
{
    (void)state;
    vf_is_gone(false);
}

static void test_F07_a_vf_with_vectors_is_gone_and_known_to_be(void **state)
{
    (void)state;
    vf_is_gone(true);
}

/* ---- F32: shutdown, and a crash in the middle of anything ---- */

static void *deassign(void *context)
{
    (void)context;
    (void)rig_deassign(&rig, rig_nvme, vm.domain);
    return NULL;
}

static bool msi_is_on(struct sbdf sbdf)
{
    unsigned cap = mb_find_cap(rig_function(&rig, sbdf), PCI_CAP_ID_MSIX);

    return rig_peek(&rig, sbdf, cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;
}

static void test_F32_a_shutdown_turns_every_msi_off(void **state)
{
    const unsigned count[] = {VECTORS, 1};
    struct driver second;

    (void)state;
    guests_up(NULL, 1);
    driver_up(&driver, &rig, vm.domain, rig_nvme, BAR);
    driver_up(&second, &rig, vm.domain, rig_nvme2, BAR + 0x100000);
    driver_vectors(&driver, count[0]);
    driver_vectors(&second, count[1]);
    assert_true(msi_is_on(rig_nvme) && msi_is_on(rig_nvme2));
    assert_int_equal(driver_raise(&second, 0), SIM_IRQ_DELIVERED);
    assert_true(berth_machine_quiesce(rig.machine) >= 2);
    assert_false(msi_is_on(rig_nvme) || msi_is_on(rig_nvme2));
    assert_int_not_equal(driver_raise(&driver, 0), SIM_IRQ_DELIVERED);
    assert_int_equal(driver_raise(&second, 0), SIM_IRQ_NONE);
    assert_int_not_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_DOMAIN);
}

/* Every lock of the registry is held, and one device is in the middle of a transition. */
static void test_F32_a_crash_with_locks_held_is_quiet_all_the_same(void **state)
{
    struct berth_machine *machine;
    pthread_t thread;

    (void)state;
    guests_up(NULL, 1);
    machine = rig.machine;
    driver_up(&driver, &rig, vm.domain, rig_nvme2, BAR);
    driver_vectors(&driver, 1);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, deassign, NULL), 0);
    for (unsigned attempt = 0; !atomic_load(&vm.blocking); attempt++)
        port_relax(attempt);
    lock_take(&machine->shares_lock);
    lock_take(&machine->domains_lock);
    lock_take(&machine->lock);
    assert_true(berth_machine_quiesce(machine) > 0);
    lock_drop(&machine->lock);
    lock_drop(&machine->domains_lock);
    lock_drop(&machine->shares_lock);
    assert_int_equal(driver_raise(&driver, 0), SIM_IRQ_NONE);
    assert_false(msi_is_on(rig_nvme2));
    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F01_a_view_goes_while_its_guest_looks),
        TEST(test_F02_four_live_vectors_go_before_the_contexts),
        TEST(test_F06_a_vf_enables_msix_without_its_pf),
        TEST(test_F07_a_vf_with_vectors_is_gone_unseen),
        TEST(test_F07_a_vf_with_vectors_is_gone_and_known_to_be),
        TEST(test_F32_a_shutdown_turns_every_msi_off),
        TEST(test_F32_a_crash_with_locks_held_is_quiet_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
