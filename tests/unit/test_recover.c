/* SPDX-License-Identifier: MIT */
/* Devices that are lent have errors, and come back (M13). */
#include <pthread.h>

#include <berth/isolation.h>

#include "tests/unit/trouble.h"

#define CAP_EXP 0x10
#define DEVCTL 0x08
#define EXT_CAP_AER 0x0001
#define AER_MALFORMED 0x00040000u

/* ---- it comes back ---- */

static uint64_t contexts(void)
{
    struct sim_counters now;

    sim_counters(trouble.rig.sim, &now);
    return now.contexts;
}

static uint64_t contexts_before;

/* Twice: it could not issue any DMA, and none would get through. */
static void expect_isolated(struct pcidev *dev)
{
    const struct sbdf host = pcidev_sbdf(dev);
    enum sim_dma_result result = rig_dma(&trouble.rig, host, 0x1000).result;
    uint64_t value;

    assert_int_equal(result, SIM_DMA_SILENT);
    assert_int_equal(contexts(), contexts_before - 1);
    assert_int_equal(guest_maps_bytes(&trouble.maps, dev, 0), 0);
    assert_int_equal(get(host, 0, 4), UINT32_MAX);
    assert_int_equal(berth_domain_mmio_read(trouble.guest, 0x10000000, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
}

static void expect_recovered(enum sim_error_kind error, enum pcidev_trouble kind)
{
    uint32_t generation;
    int event;

    drive(rig_nvme, 0x10000000);
    expect_works(rig_nvme, 0x10000000);
    generation = rig_info(&trouble.rig, rig_nvme).generation;
    trouble.during = expect_isolated;
    contexts_before = contexts();
    assert_int_equal(sim_error(trouble.rig.sim, rig_nvme, error), 0);
    assert_int_equal(recover(rig_nvme, kind), 0);
    assert_int_equal(trouble.troubles, 1);
    assert_int_equal(trouble.kind, kind);
    assert_true(trouble.withdrawn == 1 && trouble.restored == 1);
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(rig_info(&trouble.rig, rig_nvme).generation, generation + 1);
    event = rig_find_event(&trouble.rig, 0, BERTH_EVENT_TROUBLE, pcidev_trouble_name(kind));
    assert_true(event > 0);
    assert_string_equal(trouble.rig.events[event].domain, "vm1");
    assert_int_equal(rig_count_events(&trouble.rig, BERTH_EVENT_TROUBLE), 1);
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
    assert_int_equal(rig_find_event(&trouble.rig, 0, BERTH_EVENT_DO, "restore view") > 0, 1);
    assert_true(rig_find_event(&trouble.rig,
                               rig_find_event(&trouble.rig, 0, BERTH_EVENT_TROUBLE, NULL),
                               BERTH_EVENT_DO, "bus") > 0);
}

static void release(struct pcidev *dev)
{
    (void)dev;
    assert_int_equal(sim_dpc_release(trouble.rig.sim, rig_port), 0);
}

/* By the host, before or while it is recovered: the function has been in reset nevertheless. */
static void test_M13_a_port_that_was_released(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(trouble.rig.sim, rig_nvme, SIM_ERROR_DPC), 0);
    release(NULL);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_DPC), 0);
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(trouble.rig.sim, rig_nvme, SIM_ERROR_DPC), 0);
    trouble.during = release;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_DPC), 0);
    expect_works(rig_nvme, 0x10000000);
}

/* The guest's other function behind the same port goes through the reset, and comes back too. */
static void test_M13_the_neighbour_comes_back_too(void **state)
{
    const unsigned devctl = cap(twin2, CAP_EXP) + DEVCTL;
    uint32_t before;

    (void)state;
    rig_poke(&trouble.rig, twin2, devctl, 2, 0x2830);
    drive(twin, 0x10000000);
    drive(twin2, 0x20000000);
    before = rig_peek(&trouble.rig, twin2, devctl, 2);
    assert_int_equal(sim_error(trouble.rig.sim, twin, SIM_ERROR_DPC), 0);
    assert_int_equal(recover(twin, PCIDEV_TROUBLE_DPC), 0);
    expect_works(twin, 0x10000000);
    expect_works(twin2, 0x20000000);
    assert_int_equal(rig_peek(&trouble.rig, twin2, devctl, 2), before);
    assert_int_equal(recover(twin2, PCIDEV_TROUBLE_DPC), 0); /* its own report, a little later */
    expect_works(twin, 0x10000000);
    expect_works(twin2, 0x20000000);
}

#define EXT_CAP_ATS 0x000f
#define ATS_CONTROL 0x06
#define ATS_ENABLE 0x8000u

static void test_M25_translation_services_come_back(void **state)
{
    const unsigned reg =
        mb_find_ext_cap(rig_function(&trouble.rig, twin), EXT_CAP_ATS) + ATS_CONTROL;

    (void)state;
    drive(twin, 0x10000000);
    assert_true(rig_peek(&trouble.rig, twin, reg, 2) & ATS_ENABLE);
    assert_int_equal(recover(twin, PCIDEV_TROUBLE_FATAL), 0);
    assert_true(rig_peek(&trouble.rig, twin, reg, 2) & ATS_ENABLE);
    assert_int_equal(berth_domain_flush(trouble.guest, NULL), 0);
    expect_works(twin, 0x10000000);
}

/* What the device has noted is what the guest reads; and the guest's to clear. */
static void test_M13_the_guest_finds_the_error(void **state)
{
    const unsigned aer = mb_find_ext_cap(rig_function(&trouble.rig, rig_nvme), EXT_CAP_AER) + 4;

    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_int_equal(sim_error(trouble.rig.sim, rig_nvme, SIM_ERROR_FATAL), 0);
    assert_int_equal(get(rig_nvme, aer, 4), 0);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(get(rig_nvme, aer, 4), AER_MALFORMED);
    put(rig_nvme, aer, 4, AER_MALFORMED);
    assert_int_equal(get(rig_nvme, aer, 4), 0);
    assert_int_equal(rig_peek(&trouble.rig, rig_nvme, aer, 4), 0);
}

#define EXT_CAP_SRIOV 0x0010
#define SRIOV_CONTROL 0x08
#define SRIOV_NUM_VFS 0x10

/* They would go with the reset of their PF. */
static void test_M13_a_pf_gives_its_vfs_back_first(void **state)
{
    const unsigned sriov = mb_find_ext_cap(rig_function(&trouble.rig, rig_pf), EXT_CAP_SRIOV);

    (void)state;
    assert_int_equal(rig_assign(&trouble.rig, rig_pf, trouble.guest), 0);
    put(rig_pf, sriov + SRIOV_NUM_VFS, 2, 2);
    put(rig_pf, sriov + SRIOV_CONTROL, 2, 1);
    assert_int_equal(rig_info(&trouble.rig, rig_pf).vfs, 2);
    rig_expect_owner(&trouble.rig, rig_vf(0), "vm1");
    assert_int_equal(sim_error(trouble.rig.sim, rig_pf, SIM_ERROR_FATAL), 0);
    assert_int_equal(recover(rig_pf, PCIDEV_TROUBLE_FATAL), 0);
    rig_expect_owner(&trouble.rig, rig_pf, "vm1");
    assert_int_equal(rig_info(&trouble.rig, rig_pf).vfs, 0);
    assert_false(rig_has(&trouble.rig, rig_vf(0)));
    assert_int_equal(get(rig_pf, sriov + SRIOV_CONTROL, 2) & 1, 0);
}

static void test_M13_correctable_errors_are_counted(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(sim_error(trouble.rig.sim, rig_nvme, SIM_ERROR_CORRECTABLE), 0);
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_CORRECTABLE), 0);
    }
    assert_int_equal(rig_info(&trouble.rig, rig_nvme).corrected, 100);
    assert_int_equal(trouble.troubles + trouble.withdrawn, 0);
    expect_works(rig_nvme, 0x10000000);
}

static void test_M13_whose_it_is_not(void **state)
{
    struct rig_state before;

    (void)state;
    before = rig_remember(&trouble.rig, rig_nvme);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* the hardware domain's */
    rig_expect_as_before(&trouble.rig, &before);
    assert_int_equal(rig_count_events(&trouble.rig, BERTH_EVENT_TROUBLE), 1);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_CORRECTABLE), 0);
    assert_int_equal(rig_info(&trouble.rig, rig_nvme).corrected, 0);
    drive(rig_nvme, 0x10000000);
    assert_int_equal(rig_deassign(&trouble.rig, rig_nvme, trouble.guest), 0);
    before = rig_remember(&trouble.rig, rig_nvme);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* nobody's */
    rig_expect_as_before(&trouble.rig, &before);
    assert_int_equal(trouble.troubles, 0);
    drive(rig_nvme, 0x10000000); /* and it is no merged report that keeps the next one away */
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(trouble.troubles, 1);
}

/* ---- others at the same time ---- */

static void report_again(struct pcidev *dev)
{
    trouble.during = NULL;
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), 0);
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_DPC, NULL), 0);
}

static void test_M13_a_second_report_is_merged(void **state)
{
    uint32_t generation;

    (void)state;
    drive(rig_nvme, 0x10000000);
    generation = rig_info(&trouble.rig, rig_nvme).generation;
    trouble.during = report_again;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    assert_int_equal(trouble.troubles, 1);
    assert_int_equal(rig_info(&trouble.rig, rig_nvme).generation, generation + 1);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    assert_int_equal(trouble.troubles, 2);
}

static void *remove_soon(void *argument)
{
    struct berth_refusal *why = argument;
    const struct berth_request request = {.timeout_ns = 1000000, .why = why};
    struct pcidev *dev = pcidev_find(trouble.rig.machine, rig_nvme, "remover");

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
    trouble.while_withdrawn = remove_meanwhile;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    assert_int_equal(removal.error, -ETIMEDOUT);
    assert_int_equal(removal.reason, BERTH_REASON_RECOVERY);
    trouble.while_withdrawn = NULL;
    expect_works(rig_nvme, 0x10000000);
}

static void test_R5_somebody_inside(void **state)
{
    struct pcidev_section section;
    struct pcidev *dev = rig_dev(&trouble.rig, rig_nvme);

    (void)state;
    drive(rig_nvme, 0x10000000);
    assert_true(pcidev_enter(dev, "test", &section));
    rig_expect_refused(&trouble.rig, recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EDEADLK,
                       BERTH_REASON_OWN_SECTION);
    pcidev_exit(&section);
    assert_int_equal(trouble.troubles, 1); /* it is told nevertheless */
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0);
    rig_put(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M13_nonfatal, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_fatal, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_contained_by_a_port, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_a_port_that_was_released, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_the_neighbour_comes_back_too, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M25_translation_services_come_back, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_the_guest_finds_the_error, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_a_pf_gives_its_vfs_back_first, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_correctable_errors_are_counted, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_whose_it_is_not, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_a_second_report_is_merged, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_a_removal_waits_and_knows_why, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_R5_somebody_inside, trouble_up, trouble_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
