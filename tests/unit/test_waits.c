/* SPDX-License-Identifier: MIT */
/* Who waits for whom, and who does not (A2, K1, O1, O5, R5): a second thread stays where it is. */
#include "tests/unit/guests.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <berth/isolation.h>

#define SHORT_NS 20000000u

/* Where a transition stops, behind one of its steps. */
static const char *_Atomic step_name;
static _Atomic bool on_its_way, go_on;
static void (*record)(void *context, const struct berth_event *event);

static void hear(void *context, const struct berth_event *event)
{
    const char *name = atomic_load(&step_name);

    record(context, event);
    if (!name || event->kind != BERTH_EVENT_DO || strcmp(event->step, name) != 0)
        return;
    atomic_store(&step_name, NULL);
    atomic_store(&on_its_way, true);
    while (!atomic_load(&go_on))
        usleep(100);
}

static void listen(struct berth_machine_config *config)
{
    record = config->event;
    config->event = hear;
}

static int setup(void **state)
{
    (void)state;
    return guests_start(listen, 1);
}

/* ---- A2, R5, K1: sections ---- */

/* Somebody who stays inside, with a section of a neighbour opened first. */
static struct {
    struct pcidev *other, *dev;
    _Atomic bool inside, leave;
} holder;

static void *stay(void *arg)
{
    struct pcidev_section first, second;

    if (holder.other)
        assert_true(pcidev_enter(holder.other, "stays", &first));
    assert_true(pcidev_enter(holder.dev, "stays", &second));
    atomic_store(&holder.inside, true);
    while (!atomic_load(&holder.leave))
        usleep(100);
    pcidev_exit(&second);
    if (holder.other)
        pcidev_exit(&first);
    return arg;
}

static pthread_t stay_in(struct pcidev *dev, struct pcidev *other)
{
    pthread_t thread;

    holder.dev = dev;
    holder.other = other;
    atomic_store(&holder.inside, false);
    atomic_store(&holder.leave, false);
    assert_int_equal(pthread_create(&thread, NULL, stay, NULL), 0);
    while (!atomic_load(&holder.inside))
        usleep(100);
    return thread;
}

static void leave(pthread_t thread)
{
    atomic_store(&holder.leave, true);
    pthread_join(thread, NULL);
}

static void test_A2_the_last_of_several_sections_keeps_the_device(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme), *other = rig_dev(&rig, rig_nvme2);
    struct berth_request request = rig_request(&rig);
    pthread_t thread = stay_in(dev, other);

    (void)state;
    request.timeout_ns = SHORT_NS;
    rig_expect_refused(&rig, pcidev_remove(dev, PCIDEV_REMOVE_DEFAULT, &request), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    assert_string_equal(rig.why.holders[0].tag, "stays");
    leave(thread);
    rig_put(other);
    rig_put(dev);
}

static void test_R5_whoever_is_inside_begins_nothing(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct berth_request request = rig_request(&rig);
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(dev, "own", &section));
    rig_expect_refused(&rig, pcidev_test_assign(dev, vm.domain, &request), -EDEADLK,
                       BERTH_REASON_OWN_SECTION);
    pcidev_exit(&section);
    rig_put(dev);
}

static int removed;

static void *remove_it(void *arg)
{
    const struct berth_request patient = {.timeout_ns = UINT64_C(3600000000000)};

    removed = pcidev_remove(holder.dev, PCIDEV_REMOVE_DEFAULT, &patient);
    return arg;
}

/* A neighbour comes and goes while a removal waits. */
static void test_K1_a_drain_delays_nobody_else(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;
    pthread_t thread = stay_in(dev, NULL), remover;

    (void)state;
    assert_int_equal(pthread_create(&remover, NULL, remove_it, NULL), 0);
    while (pcidev_enter(dev, "look", &section)) {
        pcidev_exit(&section);
        usleep(100);
    }
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme2), 0);
    leave(thread);
    pthread_join(remover, NULL);
    assert_int_equal(removed, 0);
    rig_put(dev);
}

/* ---- O1, O5: owners ---- */

static void *reset_it(void *arg)
{
    assert_int_equal(rig_reset(&rig, rig_legacy), 0);
    return arg;
}

static void test_O1_members_of_a_group_take_turns(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_legacy), *mate = rig_dev(&rig, rig_legacy2);
    struct berth_request request = rig_request(&rig);
    pthread_t thread;

    (void)state;
    assert_int_equal(pcidev_assign_group(dev, vm.domain, NULL), 0);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, reset_it, NULL), 0);
    while (!atomic_load(&vm.blocking))
        usleep(100);
    request.timeout_ns = SHORT_NS;
    rig_expect_refused(&rig, pcidev_deassign(mate, vm.domain, &request), -ETIMEDOUT,
                       BERTH_REASON_TRANSITION);
    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
    rig_put(mate);
    rig_put(dev);
}

static void *deassign_it(void *arg)
{
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    return arg;
}

/* Out of the guest's set already, and the contexts still lead into its memory. */
static void test_O5_a_device_that_is_half_out_is_waited_for(void **state)
{
    struct berth_request request = rig_request(&rig);
    pthread_t thread;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    atomic_store(&on_its_way, false);
    atomic_store(&go_on, false);
    atomic_store(&step_name, "old owner");
    assert_int_equal(pthread_create(&thread, NULL, deassign_it, NULL), 0);
    while (!atomic_load(&on_its_way))
        usleep(100);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    request.timeout_ns = SHORT_NS;
    assert_int_equal(berth_domain_destroy(vm.domain, &request), -EAGAIN);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DYING);
    atomic_store(&go_on, true);
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_A2_the_last_of_several_sections_keeps_the_device),
        TEST(test_R5_whoever_is_inside_begins_nothing),
        TEST(test_K1_a_drain_delays_nobody_else),
        TEST(test_O1_members_of_a_group_take_turns),
        TEST(test_O5_a_device_that_is_half_out_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
