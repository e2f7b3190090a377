/* SPDX-License-Identifier: MIT */
/*
 * The ways out of an operation: locks, domains that die, and what the back end cannot do (F46, F51,
 * F63).
 */
#include <pthread.h>

#include <linux/pci_regs.h>

#include <berth/isolation.h>
#include <berth_port.h>

#include "src/core/machine_priv.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/vpci/vpci.h"
#include "tests/scenarios/owners_driver.h"
#include "tests/unit/guests.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAR UINT64_C(0x80000000)
#define VECTORS 4u

static struct driver driver;

/* ---- F46: domains on their way out ---- */

static void *destroy(void *context)
{
    const struct berth_request request = {.timeout_ns = UINT64_C(3600000000000)};

    (void)context;
    (void)!berth_domain_destroy(vm.domain, &request);
    return NULL;
}

/* What it still has it may use, and nothing of that is left when it is dead. */
static void test_F46_a_dying_guest_maps_nothing_that_lasts(void **state)
{
    const struct berth_view_config view = {.ops = NULL};
    struct driver last;
    pthread_t thread;

    (void)state;
    guests_up(NULL, 1);
    driver_up(&driver, &rig, vm.domain, rig_nvme, BAR);
    driver_up(&last, &rig, vm.domain, rig_nvme2, BAR + 0x100000);
    driver_put(&driver, PCI_COMMAND, 2, 0);
    driver_put(&last, PCI_COMMAND, 2, 0);
    assert_int_equal(vm.mapped, 0);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, destroy, NULL), 0);
    for (unsigned attempt = 0; !atomic_load(&vm.blocking); attempt++)
        port_relax(attempt);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DYING);
    driver_put(&driver, PCI_COMMAND, 2, PCI_COMMAND_MEMORY); /* just being taken away */
    assert_int_equal(vm.mapped, 0);
    driver_put(&last, PCI_COMMAND, 2, PCI_COMMAND_MEMORY); /* not yet */
    rig_expect_refused(&rig, rig_assign(&rig, rig_phantom, vm.domain), -EBUSY,
                       BERTH_REASON_TEARDOWN);
    assert_int_equal(berth_domain_set_view(vm.domain, &view), -EBUSY);
    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
    assert_int_equal(vm.mapped, 0);
    driver_put(&driver, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    driver_put(&last, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(vm.mapped, 0);
}

static void test_F46_a_guest_that_was_never_made_leaves_nothing(void **state)
{
    struct berth_domain *domain = NULL;
    struct sim_counters before, after;

    (void)state;
    guests_up(NULL, 1);
    sim_counters(rig.sim, &before);
    for (unsigned i = 0; i < 3; i++) {
        sim_fail(rig.sim, SIM_OP_SPACE_CREATE, 1, 0, 0);
        assert_int_not_equal(berth_domain_create(rig.machine, "vm2", NULL, NULL, &domain), 0);
        assert_null(domain);
        assert_null(berth_domain_find(rig.machine, "vm2"));
    }
    assert_int_equal(berth_domain_create(rig.machine, "vm1", NULL, NULL, &domain), -EEXIST);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
    domain = rig_guest(&rig, "vm2");
    rig_destroy_guest(&rig, domain);
}

/* ---- F51: what the policy asks for and the back end has not got ---- */

static void scratch(struct berth_machine_config *config)
{
    config->policy.quarantine = BERTH_QUARANTINE_SCRATCH;
}

static void test_F51_a_machine_is_not_made_with_what_it_cannot_do(void **state)
{
    struct berth_machine *machine = NULL;
    struct berth_machine_config config = {.host = &sim_host_ops, .iommu = &sim_iommu_ops};
    struct sim_counters before, after;

    (void)state;
    rig.options.no_scratch = true;
    guests_up(NULL, 1);
    config.host_context = config.iommu_context = rig.sim;
    sim_counters(rig.sim, &before);
    scratch(&config);
    assert_int_equal(berth_machine_create(&config, &machine), -EOPNOTSUPP);
    assert_null(machine);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
    config.policy.quarantine = BERTH_QUARANTINE_BLOCK;
    assert_int_equal(berth_machine_create(&config, &machine), 0);
    assert_int_equal(berth_machine_destroy(machine), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
}

/* ---- F63: every exit of every operation ---- */

/* What is freed later takes some for a moment, in another thread. */
#define PATIENCE_NS UINT64_C(1000000000)

static void expect_free(struct lock *lock)
{
    assert_true(lock_take_until(lock, port_now_ns() + PATIENCE_NS));
    lock_drop(lock);
}

static void expect_space_free(struct space *space)
{
    if (!space)
        return;
    expect_free(&space->lock);
    for (struct region *region = space->regions; region; region = region->next)
        expect_free(&region->lock);
}

static void expect_device_free(struct pcidev *dev)
{
    struct vpci *view = atomic_load(&dev->vpci);

    expect_free(&dev->lock);
    if (dev->group)
        expect_free(&dev->group->turn);
    if (view)
        expect_free(&view->lock);
    expect_space_free(dev->quarantine);
    for (unsigned i = 0; i < dev->rid_count; i++)
        expect_free(&dev->rids[i].entry->lock);
}

static void expect_domain_free(struct berth_domain *domain)
{
    struct vbus *bus = atomic_load(&domain->vbus);

    expect_free(&domain->teardown);
    expect_free(&domain->lock);
    if (bus)
        expect_free(&bus->lock);
    expect_space_free(domain->space);
}

static void expect_all_free(void)
{
    struct pcidev *dev = pcidev_next(rig.machine, NULL, "free");
    struct berth_domain *domain = NULL, *next;

    expect_free(&rig.machine->shares_lock);
    expect_free(&rig.machine->domains_lock);
    expect_free(&rig.machine->lock);
    while ((next = berth_domain_next(rig.machine, domain))) {
        berth_domain_put(domain);
        domain = next;
        expect_domain_free(domain);
    }
    berth_domain_put(domain);
    while (dev) {
        const struct sbdf sbdf = pcidev_sbdf(dev);

        expect_device_free(dev);
        pcidev_put(dev, "free");
        dev = pcidev_next(rig.machine, &sbdf, "free");
    }
}

/* A life, of which each step may fail, as the one before it may have done. */
typedef void life_step(struct pcidev *dev, struct berth_domain *guest);

static void life_add(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_add(rig.machine, pcidev_sbdf(dev), NULL, NULL);
}

static void life_readd(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_readd(dev, NULL, NULL);
}

static void life_assign(struct pcidev *dev, struct berth_domain *guest)
{
    (void)!pcidev_test_assign(dev, guest, NULL);
    (void)!pcidev_assign(dev, guest, NULL);
}

static void life_group(struct pcidev *dev, struct berth_domain *guest)
{
    (void)!pcidev_test_assign_group(dev, guest, NULL);
    (void)!pcidev_assign_group(dev, guest, NULL);
}

static void life_explain(struct pcidev *dev, struct berth_domain *guest)
{
    static struct pcidev_explanation explanation;

    (void)!pcidev_explain(dev, guest, NULL, &explanation);
}

static void life_drive(struct pcidev *dev, struct berth_domain *guest)
{
    struct sbdf at;
    struct driver d = {
        .rig = &rig, .guest = guest, .host = pcidev_sbdf(dev), .bar = BAR, .cap = driver.cap};

    if (berth_domain_address(dev, &at))
        return;
    d.at = at;
    driver_put(&d, PCI_BASE_ADDRESS_0, 4, (uint32_t)BAR);
    driver_put(&d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    driver_vectors(&d, VECTORS);
    driver_mask(&d, 0, true);
    berth_domain_intx_eoi(guest, at);
}

static void life_reset(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_reset(dev, NULL);
}

static void life_recover(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_recover(dev, PCIDEV_TROUBLE_NONFATAL, NULL);
}

static void life_flush(struct pcidev *dev, struct berth_domain *guest)
{
    (void)dev;
    (void)!berth_domain_flush(guest, NULL);
}

static void life_deassign(struct pcidev *dev, struct berth_domain *guest)
{
    (void)!pcidev_deassign(dev, guest, NULL);
}

static void life_sriov(struct pcidev *dev, struct berth_domain *guest)
{
    struct pcidev *pf = pcidev_find(rig.machine, rig_pf, "life");

    (void)dev;
    (void)guest;
    (void)!pcidev_sriov(pf, 2, NULL);
    (void)!pcidev_add(rig.machine, rig_vf(0), NULL, NULL);
    (void)!pcidev_remove(pf, PCIDEV_REMOVE_DEFAULT, NULL);
    (void)!pcidev_sriov(pf, 0, NULL);
    pcidev_put(pf, "life");
}

static void life_domain(struct pcidev *dev, struct berth_domain *guest)
{
    struct berth_domain *other;

    (void)guest;
    if (berth_domain_create(rig.machine, "other", NULL, NULL, &other))
        return;
    (void)!pcidev_assign(dev, other, NULL);
    (void)!berth_domain_destroy(other, NULL);
    (void)!berth_domain_destroy(other, NULL);
    berth_domain_put(other);
}

static void life_strict(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_remove(dev, PCIDEV_REMOVE_STRICT, NULL);
}

static void life_remove(struct pcidev *dev, struct berth_domain *guest)
{
    (void)guest;
    (void)!pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL);
    (void)!pcidev_add(rig.machine, pcidev_sbdf(dev), NULL, NULL);
}

static life_step *const life[] = {
    life_readd, life_assign, life_explain, life_drive,    life_reset,  life_recover,
    life_flush, life_add,    life_strict,  life_deassign, life_domain, life_deassign,
    life_group, life_drive,  life_sriov,   life_remove,
};

/* A life of a device that ends when the @nth call of the host has failed. False: none did. */
static bool live(struct sbdf sbdf, unsigned nth)
{
    bool failed = false;

    sim_fail(rig.sim, SIM_OP_ANY, nth, 0, 0);
    for (unsigned i = 0; i < COUNT(life) && !failed; i++) {
        struct pcidev *dev = rig_dev(&rig, sbdf);

        life[i](dev, vm.domain);
        rig_put(dev);
        expect_all_free();
        failed = sim_failed(rig.sim, SIM_OP_ANY);
    }
    sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
    return failed;
}

/* As it was before the next life. */
static void bury(struct sbdf sbdf)
{
    (void)!berth_domain_destroy(vm.domain, NULL);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
    rig_vm_down(&vm);
    if (rig_has(&rig, sbdf))
        assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
    if (rig_has(&rig, rig_pf))
        assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, rig_pf), 0);
    rig_vm_up(&rig, &vm, "vm1");
}

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
}

static void test_F63_no_exit_leaves_a_lock_behind(void **state)
{
    const struct sbdf devices[] = {rig_nvme, rig_phantom};
    const struct berth_reserved regions[] = {{.start = 0x10000, .length = 0x1000, .writable = 1},
                                             {.start = 0x20000, .length = 0x2000}};

    (void)state;
    guests_up(relaxed, 1);
    rig_reserve(&rig, rig_nvme, regions, 2);
    driver.cap = mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_MSIX);
    for (unsigned i = 0; i < COUNT(devices); i++) {
        unsigned nth = 1;

        while (live(devices[i], nth)) {
            bury(devices[i]);
            nth++;
        }
        bury(devices[i]);
        assert_true(nth > 300);
    }
}

static void test_F63_registers_of_the_embedder(void **state)
{
    static const struct berth_register desc = {.offset = 0xa00, .size = 4, .ro = 0xff};
    struct pcidev *dev;

    (void)state;
    guests_up(NULL, 1);
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), -ENODEV);
    expect_all_free();
    assert_int_equal(berth_register_add(dev, &desc, NULL), 0);
    expect_all_free();
    assert_int_equal(berth_register_add(dev, &desc, NULL), -EEXIST);
    expect_all_free();
    assert_int_equal(berth_register_remove(dev, 0xa00, 2), -EINVAL);
    expect_all_free();
    assert_int_equal(berth_register_remove(dev, 0xb00, 4), -ENOENT);
    expect_all_free();
    assert_int_equal(berth_register_remove(dev, 0xa00, 4), 0);
    expect_all_free();
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F46_a_dying_guest_maps_nothing_that_lasts),
        TEST(test_F46_a_guest_that_was_never_made_leaves_nothing),
        TEST(test_F51_a_machine_is_not_made_with_what_it_cannot_do),
        TEST(test_F63_no_exit_leaves_a_lock_behind),
        TEST(test_F63_registers_of_the_embedder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
