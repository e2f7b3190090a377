/* SPDX-License-Identifier: MIT */
/* Errors of devices that are lent (M13): F110-F118. */
#include <pthread.h>
#include <string.h>

#include <berth_port.h>

#include "tests/unit/guest_maps.h"

#define COMMAND 0x04
#define COMMAND_ON 0x0006u
#define BAR 0x10
#define CAP_EXP 0x10
#define CAP_MSIX 0x11
#define MSIX_ENABLE 0x8000u
#define TABLE 0x2000
#define DEVCTL 0x08
#define EXT_CAP_AER 0x0001
#define AER_MALFORMED 0x00040000u
#define RECOVERIES_MAX 5u

static const struct sbdf twin = {0, 7, 0}, twin2 = {0, 7, 1}, bare = {0, 0, 20 << 3};

static struct rig rig;
static struct guest_maps maps;
static struct berth_view_ops view_ops;
static struct berth_domain *guest, *other;

/* ---- a guest that is told ---- */

static struct {
    unsigned troubles, withdrawn, restored, crashed, injected;
    enum pcidev_trouble kind;
    int withdraw_error, restore_error;
    uint32_t data;
    void (*during)(struct pcidev *dev); /* when it is told */
    void (*while_withdrawn)(struct pcidev *dev);
} vm;

static int withdraw(void *context, struct pcidev *dev)
{
    (void)context;
    vm.withdrawn++;
    if (vm.while_withdrawn)
        vm.while_withdrawn(dev);
    return vm.withdraw_error;
}

static int restore(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    vm.restored++;
    return vm.restore_error;
}

static void crash(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    vm.crashed++;
}

static void trouble(void *context, struct pcidev *dev, enum pcidev_trouble kind)
{
    (void)context;
    vm.troubles++;
    vm.kind = kind;
    if (vm.during)
        vm.during(dev);
}

static const struct berth_domain_ops domain_ops = {
    .withdraw = withdraw, .restore = restore, .crash = crash, .trouble = trouble};

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    (void)context;
    (void)dev;
    (void)vector;
    vm.injected++;
    vm.data = message->data;
}

/* ---- machine ---- */

static void apart(struct berth_machine_config *config)
{
    config->policy.shared_groups = true;
    config->policy.shared_pages = true;
}

static int setup(void **state)
{
    struct berth_view_config view = {.ops = &view_ops, .context = &maps};

    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(&maps, 0, sizeof(maps));
    view_ops = guest_maps_ops;
    view_ops.inject = inject;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_root_port(&rig.builder, at(0, 6, 0), 7, 7);
    mb_endpoint(&rig.builder, twin);
    mb_endpoint(&rig.builder, twin2);
    mb_bare(&rig.builder, bare);
    rig_up(&rig, apart);
    assert_int_equal(berth_domain_create(rig.machine, "vm1", &domain_ops, NULL, &guest), 0);
    assert_int_equal(berth_domain_set_view(guest, &view), 0);
    other = rig_guest(&rig, "vm2");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(vm.crashed, 0); /* the guest is never stopped as a whole */
    rig_destroy_guest(&rig, other);
    rig_destroy_guest(&rig, guest);
    assert_int_equal(maps.count, 0);
    rig_down(&rig);
    return 0;
}

static int recover(struct sbdf sbdf, enum pcidev_trouble kind)
{
    const struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, sbdf);
    int error = pcidev_recover(dev, kind, &request);

    rig_put(dev);
    return error;
}

/* ---- what a guest does with its device ---- */

static uint32_t get(struct sbdf host, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(guest, rig_seen(&rig, host), reg, length);
}

static void put(struct sbdf host, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(guest, rig_seen(&rig, host), reg, length, value);
}

static unsigned cap(struct sbdf host, uint8_t id)
{
    return mb_find_cap(rig_function(&rig, host), id);
}

static void drive(struct sbdf host, uint32_t where)
{
    assert_int_equal(rig_assign(&rig, host, guest), 0);
    put(host, BAR, 4, where);
    put(host, BAR + 4, 4, 0);
    put(host, COMMAND, 2, COMMAND_ON);
    assert_int_equal(berth_domain_mmio_write(guest, where + TABLE, 4, 0xfee01000), 0);
    assert_int_equal(berth_domain_mmio_write(guest, where + TABLE + 8, 4, 0x41), 0);
    assert_int_equal(berth_domain_mmio_write(guest, where + TABLE + 12, 4, 0), 0);
    put(host, cap(host, CAP_MSIX) + 2, 2, MSIX_ENABLE);
}

static void expect_interrupt(struct sbdf host)
{
    enum sim_irq_result result;
    unsigned before = vm.injected;

    assert_int_equal(sim_raise(rig.sim, host, 0, &result), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    assert_int_equal(vm.injected, before + 1);
    assert_int_equal(vm.data, 0x41);
}

static void expect_works(struct sbdf host, uint32_t where)
{
    struct pcidev *dev = rig_dev(&rig, host);
    struct sim_dma dma = rig_dma(&rig, host, 0x1000);
    uint64_t entry, start, size;
    uint32_t value;

    rig_expect_owner(&rig, host, "vm1");
    assert_false(rig_info(&rig, host).broken);
    assert_true(dma.result == SIM_DMA_DOMAIN && dma.domain_id == berth_domain_id(guest));
    assert_int_equal(guest_maps_bytes(&maps, dev, 0), TABLE);
    assert_int_equal(sim_bar(rig.sim, host, 0, &start, &size), 0);
    assert_true(guest_maps_at(&maps, where) == start);
    assert_int_equal(sim_bar_access(rig.sim, host, 0, 0x10, false, &value), 0);
    assert_int_not_equal(value, UINT32_MAX);
    assert_int_equal(get(host, COMMAND, 2), COMMAND_ON);
    assert_int_equal(get(host, BAR, 4) & ~0xfu, where);
    assert_int_equal(berth_domain_mmio_read(guest, where + TABLE + 8, 4, &entry), 0);
    assert_int_equal(entry, 0x41);
    expect_interrupt(host);
    rig_put(dev);
}

static void expect_broken(struct sbdf host)
{
    struct pcidev *dev = rig_dev(&rig, host);

    assert_true(rig_info(&rig, host).broken);
    rig_expect_owner(&rig, host, "quarantine");
    assert_true(sbdf_equal(rig_seen(&rig, host), rig_nowhere));
    assert_int_equal(guest_maps_bytes(&maps, dev, 0), 0);
    assert_int_not_equal(rig_dma(&rig, host, 0x1000).result, SIM_DMA_DOMAIN);
    assert_false(berth_domain_crashed(guest));
    assert_int_equal(berth_domain_state(guest), BERTH_DOMAIN_LIVE);
    rig_put(dev);
}

/* ---- it comes back ---- */

static void expect_isolated(struct pcidev *dev)
{
    const struct sbdf host = pcidev_sbdf(dev);
    enum sim_dma_result result = rig_dma(&rig, host, 0x1000).result;
    uint64_t value;

    assert_true(result == SIM_DMA_FAULT || result == SIM_DMA_SILENT);
    assert_int_equal(guest_maps_bytes(&maps, dev, 0), 0);
    assert_int_equal(get(host, 0, 4), UINT32_MAX);
    assert_int_equal(berth_domain_mmio_read(guest, 0x10000000, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
}

static void expect_recovered(enum sim_error_kind error, enum pcidev_trouble kind)
{
    uint32_t generation;
    int event;

    drive(rig_nvme, 0x10000000);
    expect_works(rig_nvme, 0x10000000);
    generation = rig_info(&rig, rig_nvme).generation;
    vm.during = expect_isolated;
    assert_int_equal(sim_error(rig.sim, rig_nvme, error), 0);
    assert_int_equal(recover(rig_nvme, kind), 0);
    assert_int_equal(vm.troubles, 1);
    assert_int_equal(vm.kind, kind);
    assert_true(vm.withdrawn == 1 && vm.restored == 1);
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(rig_info(&rig, rig_nvme).generation, generation + 1);
    event = rig_find_event(&rig, 0, BERTH_EVENT_TROUBLE, pcidev_trouble_name(kind));
    assert_true(event > 0);
    assert_string_equal(rig.events[event].domain, "vm1");
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_TROUBLE), 1);
}

static void test_M13_nonfatal(void **state)
{
    (void)state;
    expect_recovered(SIM_ERROR_NONFATAL, PCIDEV_TROUBLE_NONFATAL);
}

static void test_M13_fatal(void **state)
{
    (void)state;
    expect_recovered(SIM_ERROR_FATAL, PCIDEV_TROUBLE_FATAL);
}

/* Nothing but the bus above can release it; its registers are those with which it was lent. */
static void test_M13_contained_by_a_port(void **state)
{
    (void)state;
    expect_recovered(SIM_ERROR_DPC, PCIDEV_TROUBLE_DPC);
    assert_int_equal(rig_find_event(&rig, 0, BERTH_EVENT_DO, "restore view") > 0, 1);
    assert_true(rig_find_event(&rig, rig_find_event(&rig, 0, BERTH_EVENT_TROUBLE, NULL),
                               BERTH_EVENT_DO, "bus") > 0);
}

static void release(struct pcidev *dev)
{
    (void)dev;
    assert_int_equal(sim_dpc_release(rig.sim, rig_port), 0);
}

/* By the host, before or while it is recovered: the function has been in reset nevertheless. */
static void test_M13_a_port_that_was_released(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(rig.sim, rig_nvme, SIM_ERROR_DPC), 0);
    release(NULL);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_DPC), 0);
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(rig.sim, rig_nvme, SIM_ERROR_DPC), 0);
    vm.during = release;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_DPC), 0);
    expect_works(rig_nvme, 0x10000000);
}

/* The guest's other function behind the same port goes through the reset, and comes back too. */
static void test_M13_the_neighbour_comes_back_too(void **state)
{
    const unsigned devctl = cap(twin2, CAP_EXP) + DEVCTL;
    uint32_t before;

    (void)state;
    rig_poke(&rig, twin2, devctl, 2, 0x2830);
    drive(twin, 0x10000000);
    drive(twin2, 0x20000000);
    before = rig_peek(&rig, twin2, devctl, 2);
    assert_int_equal(sim_error(rig.sim, twin, SIM_ERROR_DPC), 0);
    assert_int_equal(recover(twin, PCIDEV_TROUBLE_DPC), 0);
    expect_works(twin, 0x10000000);
    expect_works(twin2, 0x20000000);
    assert_int_equal(rig_peek(&rig, twin2, devctl, 2), before);
    assert_int_equal(recover(twin2, PCIDEV_TROUBLE_DPC), 0); /* its own report, a little later */
    expect_works(twin, 0x10000000);
    expect_works(twin2, 0x20000000);
}

/* What the device has noted is what the guest reads; and the guest's to clear. */
static void test_M13_the_guest_finds_the_error(void **state)
{
    const unsigned aer = mb_find_ext_cap(rig_function(&rig, rig_nvme), EXT_CAP_AER) + 4;

    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(rig.sim, rig_nvme, SIM_ERROR_FATAL), 0);
    assert_int_equal(get(rig_nvme, aer, 4), 0);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(get(rig_nvme, aer, 4), AER_MALFORMED);
    put(rig_nvme, aer, 4, AER_MALFORMED);
    assert_int_equal(get(rig_nvme, aer, 4), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, aer, 4), 0);
}

static void test_M13_correctable_errors_are_counted(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(sim_error(rig.sim, rig_nvme, SIM_ERROR_CORRECTABLE), 0);
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_CORRECTABLE), 0);
    }
    assert_int_equal(rig_info(&rig, rig_nvme).corrected, 100);
    assert_int_equal(vm.troubles + vm.withdrawn, 0);
    expect_works(rig_nvme, 0x10000000);
}

static void test_M13_whose_it_is_not(void **state)
{
    struct rig_state before;

    (void)state;
    before = rig_remember(&rig, rig_nvme);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* the hardware domain's */
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_TROUBLE), 1);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_CORRECTABLE), 0);
    assert_int_equal(rig_info(&rig, rig_nvme).corrected, 0);
    drive(rig_nvme, 0x10000000);
    assert_int_equal(rig_deassign(&rig, rig_nvme, guest), 0);
    before = rig_remember(&rig, rig_nvme);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* nobody's */
    rig_expect_as_before(&rig, &before);
    assert_int_equal(vm.troubles, 0);
    drive(rig_nvme, 0x10000000); /* and it is no merged report that keeps the next one away */
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(vm.troubles, 1);
}

/* ---- it does not ---- */

static void test_M13_broken_where_it_does_not_come_back(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    drive(rig_nvme2, 0x20000000);
    assert_int_equal(sim_hang_on_reset(rig.sim, rig_nvme, true), 0);
    rig_expect_refused(&rig, recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO,
                       BERTH_REASON_RESET_FAILED);
    expect_broken(rig_nvme);
    assert_int_equal(vm.troubles, 1);
    assert_int_equal(vm.restored, 0);
    expect_works(rig_nvme2, 0x20000000);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* nobody's by now */
}

static void test_M13_broken_where_there_is_no_reset(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, bare, guest), 0);
    rig_expect_refused(&rig, recover(bare, PCIDEV_TROUBLE_NONFATAL), -ENOTTY,
                       BERTH_REASON_NO_RESET);
    expect_broken(bare);
}

/* The only way to reach it would hit somebody else's device. */
static void test_M13_broken_where_a_neighbour_is_in_the_way(void **state)
{
    (void)state;
    drive(twin, 0x10000000);
    assert_int_equal(rig_assign(&rig, twin2, other), 0);
    assert_int_equal(sim_error(rig.sim, twin, SIM_ERROR_DPC), 0);
    rig_expect_refused(&rig, recover(twin, PCIDEV_TROUBLE_DPC), -EBUSY, BERTH_REASON_RESET_SCOPE);
    expect_broken(twin);
    rig_expect_owner(&rig, twin2, "vm2");
}

static void test_M13_broken_where_the_view_does_not_come_back(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    vm.restore_error = -EIO;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO);
    expect_broken(rig_nvme);
}

static void test_M13_as_before_where_the_guest_does_not_let_go(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    vm.withdraw_error = -EIO;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO);
    assert_int_equal(vm.troubles, 1);
    vm.withdraw_error = 0;
    expect_works(rig_nvme, 0x10000000);
}

static void test_A4_a_device_that_vanished(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    rig_pull(&rig, rig_nvme);
    rig_expect_refused(&rig, recover(rig_nvme, PCIDEV_TROUBLE_DPC), -ENODEV,
                       BERTH_REASON_DISCONNECTED);
    assert_int_equal(vm.troubles, 1);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
}

static void test_M13_arguments(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    rig_expect_refused(&rig, recover(rig_nvme, (enum pcidev_trouble)4), -EINVAL,
                       BERTH_REASON_BAD_ARGUMENT);
    assert_string_equal(pcidev_trouble_name((enum pcidev_trouble)4), "unknown");
    assert_string_equal(berth_event_name(BERTH_EVENT_TROUBLE), "trouble");
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), -ENODEV);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_TROUBLE), 0);
    rig_put(dev);
}

/* ---- too often ---- */

static void test_O6_a_storm_breaks_it(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < RECOVERIES_MAX; i++)
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    expect_works(rig_nvme, 0x10000000);
    rig_expect_refused(&rig, recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), -EIO, BERTH_REASON_BROKEN);
    expect_broken(rig_nvme);
    assert_int_equal(vm.troubles, RECOVERIES_MAX + 1);
}

static void test_O6_now_and_then_is_no_storm(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < 4 * RECOVERIES_MAX; i++) {
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
        port_sleep_ns(2000000000);
    }
    expect_works(rig_nvme, 0x10000000);
}

/* ---- others at the same time ---- */

static void report_again(struct pcidev *dev)
{
    vm.during = NULL;
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), 0);
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_DPC, NULL), 0);
}

static void test_M13_a_second_report_is_merged(void **state)
{
    uint32_t generation;

    (void)state;
    drive(rig_nvme, 0x10000000);
    generation = rig_info(&rig, rig_nvme).generation;
    vm.during = report_again;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    assert_int_equal(vm.troubles, 1);
    assert_int_equal(rig_info(&rig, rig_nvme).generation, generation + 1);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    assert_int_equal(vm.troubles, 2);
}

static void *remove_soon(void *argument)
{
    struct berth_refusal *why = argument;
    const struct berth_request request = {.timeout_ns = 1000000, .why = why};
    struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "remover");

    why->error = pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request);
    pcidev_put(dev, "remover");
    return NULL;
}

static struct berth_refusal removal;

static void remove_meanwhile(struct pcidev *dev)
{
    pthread_t thread;

    (void)dev;
    assert_int_equal(pthread_create(&thread, NULL, remove_soon, &removal), 0);
    pthread_join(thread, NULL);
}

static void test_M13_a_removal_waits_and_knows_why(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    vm.while_withdrawn = remove_meanwhile;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(removal.error, -ETIMEDOUT);
    assert_int_equal(removal.reason, BERTH_REASON_RECOVERY);
    vm.while_withdrawn = NULL;
    expect_works(rig_nvme, 0x10000000);
}

static void test_R5_somebody_inside(void **state)
{
    struct pcidev_section section;
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_true(pcidev_enter(dev, "test", &section));
    rig_expect_refused(&rig, recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EDEADLK,
                       BERTH_REASON_OWN_SECTION);
    pcidev_exit(&section);
    assert_int_equal(vm.troubles, 1); /* it is told nevertheless */
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    rig_put(dev);
}

/* ---- P2 ---- */

/* Whatever the host refuses: back, as before, or broken; the guest goes on in any case. */
static bool sweep_once(unsigned nth)
{
    int error;
    bool failed;

    drive(rig_nvme, 0x10000000);
    sim_fail(rig.sim, SIM_OP_ANY, nth, 0, 0);
    error = recover(rig_nvme, nth % 2 ? PCIDEV_TROUBLE_FATAL : PCIDEV_TROUBLE_DPC);
    failed = sim_failed(rig.sim, SIM_OP_ANY);
    sim_fail(rig.sim, SIM_OP_ANY, 0, 0, 0);
    if (rig_info(&rig, rig_nvme).broken)
        expect_broken(rig_nvme);
    else
        expect_works(rig_nvme, 0x10000000);
    assert_true(error == 0 || failed);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(sim_vanish(rig.sim, rig_nvme), 0); /* off and on, as it may be anywhere */
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    return failed;
}

static void test_P2_everything_the_host_can_refuse(void **state)
{
    unsigned nth = 1;

    (void)state;
    while (sweep_once(nth))
        nth++;
    assert_true(nth > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M13_nonfatal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_contained_by_a_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_a_port_that_was_released, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_the_neighbour_comes_back_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_the_guest_finds_the_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_correctable_errors_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_whose_it_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_it_does_not_come_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_there_is_no_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_a_neighbour_is_in_the_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_the_view_does_not_come_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_M13_as_before_where_the_guest_does_not_let_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_A4_a_device_that_vanished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_O6_a_storm_breaks_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_O6_now_and_then_is_no_storm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_a_second_report_is_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_M13_a_removal_waits_and_knows_why, setup, teardown),
        cmocka_unit_test_setup_teardown(test_R5_somebody_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_P2_everything_the_host_can_refuse, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
