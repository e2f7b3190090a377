/* SPDX-License-Identifier: MIT */
/*
 * Protections that other ones stand behind, each on its own: at the worst moment, which a hook
 * brings about, the first one has to do. And what holds wherever somebody else is called (K1), or
 * with everything locked (V8).
 */
#include "tests/unit/guests.h"

#include <pthread.h>
#include <string.h>

#include "src/core/access.h"
#include "src/vpci/vpci.h"

#define COMMAND 4
#define COMMAND_MASTER 4u
#define STATUS 6
#define BAR0 0x10
#define CAP_MSI 0x05
#define CAP_VENDOR 0x09

/* Called once: behind a step of a transition that has succeeded, or before a section is opened. */
static void (*behind_step)(void), (*before_open)(void);
static const char *step_name;

static void run_once(void (**hook)(void))
{
    void (*act)(void) = *hook;

    *hook = NULL;
    if (act)
        act();
}

static void behind(const char *step, void (*act)(void))
{
    step_name = step;
    behind_step = act;
}

/* ---- K1: nothing below LOCK_REGION is held while somebody else is called ---- */

static _Atomic unsigned calls, locked_calls;

static void note_call(void)
{
    const struct access_record *record = port_record();
    bool locked = false;

    for (unsigned rank = LOCK_REGION + 1; rank < LOCK_RANKS; rank++)
        locked |= record->held[rank] != 0;
    atomic_fetch_add(&calls, 1);
    if (locked)
        atomic_fetch_add(&locked_calls, 1);
}

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    note_call();
    return __real_port_alloc(size);
}

bool __real_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section);
bool __wrap_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section);

bool __wrap_access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                        const char *tag, struct pcidev_section *section)
{
    run_once(&before_open);
    return __real_access_open(dev, blocked, owner, tag, section);
}

static void (*record)(void *context, const struct berth_event *event);

static void hear(void *context, const struct berth_event *event)
{
    note_call();
    record(context, event);
    if (behind_step && event->kind == BERTH_EVENT_DO && !event->result &&
        !strcmp(event->step, step_name))
        run_once(&behind_step);
}

static int host_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    note_call();
    return sim_host_ops.config_read(host, claim, reg, length, value);
}

static int host_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    note_call();
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static int iommu_attach(void *iommu, struct sbdf rid, void *space)
{
    note_call();
    return tape_iommu_ops.attach(iommu, rid, space);
}

static struct berth_host_ops host;
static struct berth_iommu_ops iommu;

static void listen(struct berth_machine_config *config)
{
    host = sim_host_ops;
    host.config_read = host_read;
    host.config_write = host_write;
    iommu = tape_iommu_ops;
    iommu.attach = iommu_attach;
    config->host = &host;
    config->iommu = &iommu;
    record = config->event;
    config->event = hear;
}

/* Nothing resets it, and it has registers of its vendor's. */
static const struct sbdf plain = {0, 0, 0xf0};
static unsigned vendor_at;

/* In one page. */
static const struct sbdf small = {0, 0, 0xe0}, small2 = {0, 0, 0xe8};

static void build_small(struct sbdf sbdf, uint32_t address)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, sbdf);

    mb_bar(f, 2, MB_BAR_MEM32, 1024);
    mb_put(f, BAR0 + 8, 4, address | (mb_get(f, BAR0 + 8, 4) & 0xf));
}

static void build_plain(void)
{
    struct capture_function *f = mb_rc_endpoint(&rig.builder, plain);

    mb_no_flr(f);
    vendor_at = mb_cap(f, CAP_VENDOR);
    mb_put(f, vendor_at + 2, 1, 8);
    mb_put(f, vendor_at + 4, 4, 0x11223344);
    mb_msi(f, 4);
}

static int setup(void **state)
{
    (void)state;
    behind_step = before_open = NULL;
    rig_begin(&rig);
    rig_standard(&rig);
    build_plain();
    build_small(small, 0x90000000);
    build_small(small2, 0x90000800);
    guests_up(listen, 1);
    return 0;
}

static void live(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
    berth_domain_config_write(vm.domain, rig_seen(&rig, sbdf), 4, 2, 6);
    assert_int_equal(rig_reset(&rig, sbdf), 0);
    assert_int_equal(rig_deassign(&rig, sbdf, vm.domain), 0);
    assert_int_equal(rig_readd(&rig, sbdf, NULL), 0);
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
    assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
}

static void test_K1_nobody_is_called_with_a_table_locked(void **state)
{
    (void)state;
    if (!BERTH_CHECKS)
        skip();
    atomic_store(&calls, 0);
    atomic_store(&locked_calls, 0);
    live(rig_nvme);
    live(rig_phantom);
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
    assert_int_equal(rig_add(&rig, rig_vf(0)), 0);
    assert_int_equal(rig_remove(&rig, rig_vf(0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0);
    assert_true(atomic_load(&calls) > 500);
    assert_int_equal(atomic_load(&locked_calls), 0);
}

/* ---- V8 ---- */

static void read_everything(struct sbdf seen)
{
    for (unsigned length = 1; length <= 8; length *= 2)
        for (unsigned reg = 0; reg + length <= 0x100; reg++)
            (void)berth_domain_config_read(vm.domain, seen, reg, length);
    assert_int_not_equal(berth_domain_config_read(vm.domain, seen, STATUS, 2), 0xffff);
}

/* All locks between a guest and its device are held by this very thread: one that is taken is a
 * deadlock, and in a debug build against the order. */
static void test_V8_config_reads_and_lookups_take_no_lock(void **state)
{
    struct vbus *bus;
    struct pcidev *dev;
    struct vpci *v;
    struct sbdf seen;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    seen = rig_seen(&rig, rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    v = atomic_load(&dev->vpci);
    bus = atomic_load(&vm.domain->vbus);
    lock_take(&dev->lock);
    lock_take(&v->lock);
    lock_take(&bus->lock);
    lock_take(&vm.domain->lock);
    lock_take(&rig.machine->lock);
    read_everything(seen);
    assert_int_equal(berth_domain_config_read(berth_machine_hwdom(rig.machine), rig_nvme2, 0, 2),
                     0x1b36);
    pcidev_put(pcidev_find(rig.machine, rig_nvme, "locked"), "locked");
    pcidev_put(pcidev_next(rig.machine, NULL, "locked"), "locked");
    lock_drop(&rig.machine->lock);
    lock_drop(&vm.domain->lock);
    lock_drop(&bus->lock);
    lock_drop(&v->lock);
    lock_drop(&dev->lock);
    rig_put(dev);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
}

/* ---- V3, V7 ---- */

static void fail_the_next_read(void)
{
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 1, 0);
}

static void test_V3_a_view_that_could_not_be_made_is_nowhere(void **state)
{
    (void)state;
    behind("remember registers", fail_the_next_read);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), -EIO);
    berth_machine_settle(rig.machine);
    assert_int_equal(rig_reach(vm.domain), 0);
}

/* The hardware would not take them either: what counts is that they do not get there. */
static void test_V7_a_vendors_registers_are_not_written(void **state)
{
    struct sim_counters before, after;
    struct sbdf seen;

    (void)state;
    assert_int_equal(rig_assign(&rig, plain, vm.domain), 0);
    seen = rig_seen(&rig, plain);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, vendor_at + 4, 4), 0x11223344);
    sim_function_counters(rig.sim, plain, &before);
    for (unsigned length = 1; length <= 8; length *= 2)
        berth_domain_config_write(vm.domain, seen, vendor_at, length, UINT64_MAX);
    berth_domain_config_write(vm.domain, seen, vendor_at + 4, 4, 0);
    sim_function_counters(rig.sim, plain, &after);
    assert_int_equal(after.config_writes, before.config_writes);
}

static void test_V7_a_guest_does_not_choose_how_many_vectors_there_are(void **state)
{
    const unsigned at = mb_find_cap(rig_function(&rig, plain), CAP_MSI) + 2;
    struct sbdf seen;
    uint64_t control;

    (void)state;
    assert_int_equal(rig_assign(&rig, plain, vm.domain), 0);
    seen = rig_seen(&rig, plain);
    control = berth_domain_config_read(vm.domain, seen, at, 2);
    assert_int_equal(control & 0xe, 2 << 1);
    berth_domain_config_write(vm.domain, seen, at, 2, 5 << 1);
    assert_int_equal(berth_domain_config_read(vm.domain, seen, at, 2), control);
}

/* What was found, touched again. */
static void touch(const volatile void *memory, size_t size)
{
    const volatile char *bytes = memory;

    (void)bytes[0];
    (void)bytes[size - 1];
}

/* The end of the map that has the devices of one bus. */
static const void *leaf_of(unsigned bus)
{
    const struct map_node *node = atomic_load(&rig.machine->devices.root);
    const unsigned path[] = {0, 0, bus};

    for (unsigned i = 0; i < 3; i++)
        node = atomic_load(&node->slot[path[i]]);
    return node;
}

static void place_bar(uint64_t address)
{
    const struct sbdf seen = rig_seen(&rig, rig_nvme);

    berth_domain_config_write(vm.domain, seen, COMMAND, 2, 0);
    berth_domain_config_write(vm.domain, seen, BAR0, 8, address);
    berth_domain_config_write(vm.domain, seen, COMMAND, 2, 6);
}

/* With the address sanitizer: memory that was given back too early stops the test. */
static void test_V3_what_was_found_stays_until_the_section_ends(void **state)
{
    static const struct berth_register fresh = {.offset = 0xa00, .size = 4, .rw = 1};
    struct pcidev *dev;
    const struct vpci *v;
    const void *table, *ranges, *leaf = leaf_of(rig_nvme.bus);

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    place_bar(0x2000000000);
    port_read_lock();
    dev = device_peek(rig.machine, rig_nvme);
    v = atomic_load(&dev->vpci);
    table = atomic_load(&v->table);
    ranges = atomic_load(&atomic_load(&vm.domain->vbus)->ranges[0]);
    assert_non_null(ranges);
    place_bar(0x3000000000);
    assert_int_equal(berth_register_add(dev, &fresh, NULL), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    touch(ranges, sizeof(struct port_deferred));
    touch(table, sizeof(struct vpci_table));
    touch(v, sizeof(*v));
    touch(dev, sizeof(*dev));
    touch(leaf, sizeof(struct map_node));
    port_read_unlock();
}

/* ---- R3 ---- */

static struct pcidev *found;

static void look_it_up(void)
{
    found = pcidev_find(rig.machine, rig_nvme, "late");
}

static void test_R3_nobody_finds_what_is_frozen(void **state)
{
    (void)state;
    behind("freeze references", look_it_up);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_STRICT), 0);
    assert_null(behind_step);
    assert_null(found);
}

/* ---- C2 ---- */

static void test_C2_nobody_finds_what_is_half_made(void **state)
{
    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    behind("owner", look_it_up);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    assert_null(behind_step);
    assert_null(found);
}

/* ---- O1, O2 ---- */

static void lend_the_neighbour(void)
{
    assert_int_equal(rig_assign(&rig, rig_nvme2, vm.domain), 0);
}

/* Between the lookup in its set and the section. */
static void test_O2_the_hardware_domain_comes_too_late(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    (void)state;
    assert_int_not_equal(berth_domain_config_read(hwdom, rig_nvme2, 0, 4), UINT32_MAX);
    before_open = lend_the_neighbour;
    assert_int_equal(berth_domain_config_read(hwdom, rig_nvme2, 0, 4), UINT32_MAX);
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
}

static void test_O2_a_life_without_a_reset_is_another_one(void **state)
{
    uint32_t before;

    (void)state;
    assert_int_equal(rig_info(&rig, plain).method_count, 0);
    assert_int_equal(rig_assign(&rig, plain, vm.domain), 0);
    before = rig_info(&rig, plain).generation;
    assert_int_equal(rig_deassign(&rig, plain, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, plain, vm.domain), 0);
    assert_true(rig_info(&rig, plain).generation > before + 1);
}

static void test_O1_a_new_owner_is_told_that_its_device_is_lost(void **state)
{
    (void)state;
    sim_fail(rig.sim, SIM_OP_ATTACH, 3, 2, 0); /* the third one, and the way back of the others */
    rig_expect_refused(&rig, rig_assign(&rig, rig_phantom, vm.domain), -EIO, BERTH_REASON_ROLLBACK);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_int_equal(vm.crashed, 1);
    rig_expect_owner(&rig, rig_phantom, "quarantine");
}

/* ---- O4, O6 ---- */

static void *lend_the_other(void *arg)
{
    assert_int_equal(rig_assign(&rig, small2, arg), 0);
    return NULL;
}

static void lend_it_first(void)
{
    struct berth_domain *other = berth_domain_find(rig.machine, "vm2");
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, lend_the_other, other), 0);
    pthread_join(thread, NULL);
    berth_domain_put(other);
}

/* Both could be lent when they were looked at; the second look is the one that counts. */
static void test_O4_two_that_share_are_lent_at_once(void **state)
{
    (void)state;
    rig_vm_up(&rig, &vm2, "vm2");
    rig_quarantine(&rig, small);
    rig_quarantine(&rig, small2);
    behind("revoke", lend_it_first);
    rig_expect_refused(&rig, rig_assign(&rig, small, vm.domain), -EBUSY, BERTH_REASON_SHARED_PAGE);
    rig_expect_owner(&rig, small2, "vm2");
    rig_expect_owner(&rig, small, "quarantine");
    rig_vm_down(&vm2);
}

static void fault_ten_times(void)
{
    for (unsigned i = 0; i < 10; i++)
        (void)berth_machine_fault(rig.machine, rig_nvme);
}

/* Its registers are back, its gate is closed: who contains it now can't touch it. */
static void test_O6_contained_at_the_end_of_a_transition(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    rig_master_on(&rig, rig_nvme, vm.domain);
    behind("restore view", fault_ten_times);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_true(rig_info(&rig, rig_nvme).contained);
    assert_int_equal(rig_peek(&rig, rig_nvme, COMMAND, 2) & COMMAND_MASTER, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_K1_nobody_is_called_with_a_table_locked),
        TEST(test_V8_config_reads_and_lookups_take_no_lock),
        TEST(test_V3_a_view_that_could_not_be_made_is_nowhere),
        TEST(test_V7_a_vendors_registers_are_not_written),
        TEST(test_V7_a_guest_does_not_choose_how_many_vectors_there_are),
        TEST(test_V3_what_was_found_stays_until_the_section_ends),
        TEST(test_R3_nobody_finds_what_is_frozen),
        TEST(test_C2_nobody_finds_what_is_half_made),
        TEST(test_O2_the_hardware_domain_comes_too_late),
        TEST(test_O2_a_life_without_a_reset_is_another_one),
        TEST(test_O1_a_new_owner_is_told_that_its_device_is_lost),
        TEST(test_O4_two_that_share_are_lent_at_once),
        TEST(test_O6_contained_at_the_end_of_a_transition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
