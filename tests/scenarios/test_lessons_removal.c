/* SPDX-License-Identifier: MIT */
/* What a removal must not wait for, and whom it has to name: K05, K06, K07, F122. */
#include <pthread.h>
#include <string.h>

#include <berth_port.h>

#include "tests/unit/guest_maps.h"
#include "tests/unit/guests.h"
#include "tests/unit/ports.h"

#define MS UINT64_C(1000000)
#define BAR0 0x10u
#define COMMAND 4u
#define COMMAND_ON 6u
#define PLACE UINT64_C(0x10000000)

static int remove_within(struct rig *of, struct sbdf sbdf, enum pcidev_remove_mode mode,
                         uint64_t timeout_ns)
{
    struct pcidev *dev = rig_dev(of, sbdf);
    int error = rig_remove_within(of, dev, mode, timeout_ns);

    rig_put(dev);
    return error;
}

static void place(struct berth_domain *guest, struct sbdf where)
{
    berth_domain_config_write(guest, where, BAR0, 8, PLACE + ((uint64_t)where.devfn << 20));
    berth_domain_config_write(guest, where, COMMAND, 2, COMMAND_ON);
    assert_int_equal(berth_domain_config_read(guest, where, COMMAND, 2), COMMAND_ON);
}

/* ---- K05: a removal hangs in the middle, the rest of the host goes on ---- */

static _Atomic bool ended;

static void *remove_in_vain(void *context)
{
    (void)context;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    atomic_store(&ended, true);
    return NULL;
}

static void test_K05_one_stuck_removal_stops_nobody_else(void **state)
{
    struct berth_domain *other;
    pthread_t thread;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    atomic_store(&vm.block, true);
    atomic_store(&ended, false);
    assert_int_equal(pthread_create(&thread, NULL, remove_in_vain, NULL), 0);
    for (unsigned i = 0; !atomic_load(&vm.blocking); i++)
        port_relax(i);

    other = rig_guest(&rig, "vm2");
    assert_int_equal(rig_readd(&rig, rig_nvme2, NULL), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_STRICT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme2), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme2, other), 0);
    assert_int_equal(rig_reset(&rig, rig_nvme2), 0);
    assert_int_equal(rig_assign(&rig, rig_phantom, vm.domain), 0); /* the same guest's */
    assert_int_equal(rig_deassign(&rig, rig_phantom, vm.domain), 0);
    rig_destroy_guest(&rig, other);
    rig_add_vfs(&rig, 2); /* a rescan finds what has come */
    assert_false(atomic_load(&ended));

    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
    assert_false(rig_has(&rig, rig_nvme));
}

/* ---- K06: no holder that nobody knows of ---- */

static struct guest_maps maps;

static unsigned held_by(struct pcidev *dev, const char *tag)
{
    struct berth_holder list[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX);

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(list[i].tag, tag))
            return list[i].count;
    return 0;
}

static unsigned held_in_all(struct pcidev *dev)
{
    struct berth_holder list[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX), sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += list[i].count;
    return sum;
}

static void test_K06_every_holder_is_named_and_loses_its_mapping(void **state)
{
    const struct berth_view_config view = {.ops = &guest_maps_ops, .context = &maps};
    struct berth_domain *guest = rig_guest(&rig, "vm2");
    struct pcidev *dev, *handle, *helper;
    struct pcidev_info info;

    (void)state;
    assert_int_equal(berth_domain_set_view(guest, &view), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    place(guest, rig_seen(&rig, rig_nvme));
    assert_int_not_equal(maps.count, 0);
    dev = rig_dev(&rig, rig_nvme);
    handle = pcidev_handle_open(dev);
    helper = pcidev_get(dev, "helper thread");

    pcidev_snapshot(dev, &info);
    assert_int_equal(held_in_all(dev), info.references); /* none is left out */
    assert_int_equal(held_by(dev, "handle"), 1);
    assert_int_equal(held_by(dev, "owner"), 1);
    assert_int_equal(held_by(dev, BERTH_CHECKS ? "helper thread" : "untracked"),
                     BERTH_CHECKS ? 1 : 2);
    rig_expect_refused(&rig, rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_GUEST_OWNS);

    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(maps.count, 0);
    assert_int_equal(held_in_all(dev), 3); /* ours, and they reach nothing */
    assert_int_equal(held_by(dev, "owner"), 0);
    pcidev_handle_close(handle);
    pcidev_put(helper, "helper thread");
    rig_put(dev);
    rig_destroy_guest(&rig, guest);
}

/* ---- K07: a guest that does not answer its port ---- */

static void test_K07_a_guest_that_ignores_the_request(void **state)
{
    uint64_t begin = port_now_ns();

    (void)state;
    ports_view(1);
    lend(rig_nvme);
    rig_expect_refused(&ports.rig,
                       remove_within(&ports.rig, rig_nvme, PCIDEV_REMOVE_GRACEFUL, 200 * MS),
                       -EBUSY, BERTH_REASON_OWNER_KEEPS);
    assert_in_range(port_now_ns() - begin, 200 * MS, 2000 * MS);
    assert_true(is_there(at(8, 0, 0)));
    begin = port_now_ns();
    assert_int_equal(remove_within(&ports.rig, rig_nvme, PCIDEV_REMOVE_GRACEFUL_FORCE, 200 * MS),
                     0);
    assert_in_range(port_now_ns() - begin, 200 * MS, 2000 * MS);
    assert_false(is_there(at(8, 0, 0))); /* whatever the guest thinks of it */
    assert_false(slot_status(0) & SLOT_PRESENT);
    assert_false(rig_has(&ports.rig, rig_nvme));
    lend(rig_nvme2); /* and its slot serves the next one */
    assert_true(is_there(at(8, 0, 0)));
}

/* ---- F122: the guest's VMM has died ---- */

static void lend_and_use(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
    place(vm.domain, rig_seen(&rig, sbdf));
    assert_int_equal(rig_dma(&rig, sbdf, 0x1000).result, SIM_DMA_DOMAIN);
}

/* It never answers. */
static void test_F122_what_a_dead_guest_had_is_reset_and_taken(void **state)
{
    int before;

    (void)state;
    lend_and_use(rig_nvme);
    lend_and_use(rig_nvme2);
    lend_and_use(rig_phantom);

    before = (int)rig.event_count;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_not_equal(rig_find_event(&rig, before, BERTH_EVENT_DO, "flr"), -1);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    assert_int_equal(rig_dma(&rig, rig_nvme, 0x1000).result, SIM_DMA_SILENT);

    assert_int_equal(remove_within(&rig, rig_nvme2, PCIDEV_REMOVE_GRACEFUL_FORCE, 50 * MS), 0);
    assert_int_equal(vm.asked, 1);
    assert_false(rig_has(&rig, rig_nvme2));

    before = (int)rig.event_count;
    assert_int_equal(berth_domain_destroy(vm.domain, NULL), 0);
    assert_int_not_equal(rig_find_event(&rig, before, BERTH_EVENT_DO, "flr"), -1);
    rig_expect_owner(&rig, rig_phantom, "quarantine");
    assert_int_equal(vm.mapped, 0);
}

/* The VMM cannot say whether its guest still reaches one device: the others leave, it may be tried
 * again. */
static void test_F122_an_error_on_the_way_is_not_the_end(void **state)
{
    (void)state;
    lend_and_use(rig_nvme);
    lend_and_use(rig_nvme2);
    atomic_store(&vm.withdraw_error, -EIO);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), -EIO);
    assert_string_equal(rig.why.step, "withdraw view");
    rig_expect_owner(&rig, rig_nvme, "vm1"); /* the guest may still reach it: nobody else gets it */
    atomic_store(&vm.withdraw_error, 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_one, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_K05_one_stuck_removal_stops_nobody_else),
        TEST(test_K06_every_holder_is_named_and_loses_its_mapping),
        cmocka_unit_test_setup_teardown(test_K07_a_guest_that_ignores_the_request, ports_setup,
                                        ports_teardown),
        TEST(test_F122_what_a_dead_guest_had_is_reset_and_taken),
        TEST(test_F122_an_error_on_the_way_is_not_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
