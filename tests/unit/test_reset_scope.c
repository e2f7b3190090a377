/* SPDX-License-Identifier: MIT */
/* Whom a bus reset would hit: neighbours that must not be, and neighbours that change (M09, R7). */
#include "tests/unit/rig.h"

#include <pthread.h>

#include <berth_port.h>

#include "src/core/scope.h"

static struct rig rig;
static struct rig_vm vm;
static const struct sbdf one_at = {0, 1, 0}, two_at = {0, 1, 0x08}, port_at = {0, 0, 0x08};
static const struct sbdf reserved[] = {{0, 1, 0x08}};

static void begin(void)
{
    rig_begin(&rig);
    mb_root_port(&rig.builder, port_at, 1, 4);
    mb_no_flr(mb_endpoint(&rig.builder, one_at));
}

static void up(rig_configure *configure)
{
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
}

static void down(void)
{
    rig_vm_down(&vm);
    rig_down(&rig);
}

/* The administrator is told why. */
static void nobody_resets_the_bus(struct sbdf in_the_way)
{
    struct rig_state before = rig_remember(&rig, one_at);

    rig_expect_refused(&rig, rig_reset(&rig, one_at), -EBUSY, BERTH_REASON_RESET_SCOPE);
    assert_true(rig.why.has_other && sbdf_equal(rig.why.other, in_the_way));
    rig_expect_as_before(&rig, &before);
}

/* Who lends goes on without a reset, which no policy requires. */
static void lent_without_a_reset(void)
{
    int event = (int)rig.event_count;

    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
    event = rig_find_event(&rig, event, BERTH_EVENT_DO, "bus");
    assert_true(event >= 0 && rig.events[event].result == -ENOTTY);
}

/* ---- who is spared ---- */

static void test_M09_a_bridge_beside_it_is_spared(void **state)
{
    (void)state;
    begin();
    mb_pcie_pci_bridge(&rig.builder, two_at, 2, 2);
    up(NULL);
    nobody_resets_the_bus(two_at);
    lent_without_a_reset();
    down();
}

static void test_M09_a_neighbour_with_vfs_is_spared(void **state)
{
    (void)state;
    begin();
    mb_pf(&rig.builder, two_at, 4, 128, 2);
    up(NULL);
    assert_int_equal(rig_sriov(&rig, two_at, 2), 0);
    nobody_resets_the_bus(two_at);
    assert_int_equal(rig_sriov(&rig, two_at, 0), 0);
    down();
}

static void hide(struct berth_machine_config *config)
{
    config->hidden = reserved;
    config->hidden_count = 1;
}

static void protect(struct berth_machine_config *config)
{
    config->read_only = reserved;
    config->read_only_count = 1;
}

static void test_M07_a_reserved_neighbour_is_spared(void **state)
{
    static rig_configure *const kinds[] = {hide, protect};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin();
        mb_endpoint(&rig.builder, two_at);
        up(kinds[i]);
        nobody_resets_the_bus(two_at);
        lent_without_a_reset();
        down();
    }
}

static void test_M09_more_neighbours_than_there_is_room_for(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i <= SCOPE_MAX; i++)
        mb_bare(&rig.builder, sbdf_from_key(0x108 + i));
    up(NULL);
    rig_expect_refused(&rig, rig_reset(&rig, one_at), -ENOTTY, BERTH_REASON_NO_RESET);
    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
    down();
}

/* ---- who is busy ---- */

struct busy {
    struct sbdf sbdf;
    _Atomic int phase;
};

static void *keep_locked(void *context)
{
    struct busy *busy = context;
    struct pcidev *dev = rig_dev(&rig, busy->sbdf);

    lock_take(&dev->lock);
    atomic_store(&busy->phase, 1);
    while (atomic_load(&busy->phase) == 1)
        port_relax(100);
    lock_drop(&dev->lock);
    rig_put(dev);
    return NULL;
}

static void during_a_transition_of(struct sbdf sbdf, void (*act)(void))
{
    struct busy busy = {.sbdf = sbdf, .phase = 0};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, keep_locked, &busy), 0);
    while (!atomic_load(&busy.phase))
        port_relax(100);
    act();
    atomic_store(&busy.phase, 2);
    pthread_join(thread, NULL);
}

static void expect_a_refusal(void)
{
    struct rig_state before = rig_remember(&rig, one_at);

    rig_expect_refused(&rig, rig_reset(&rig, one_at), -ETIMEDOUT, BERTH_REASON_TRANSITION);
    assert_true(rig.why.has_other && sbdf_equal(rig.why.other, two_at));
    rig_expect_as_before(&rig, &before);
}

static void expect_no_reset(void)
{
    assert_int_equal(rig_assign(&rig, one_at, vm.domain), 0);
}

static void test_R5_a_neighbour_that_is_busy_is_named(void **state)
{
    (void)state;
    begin();
    mb_endpoint(&rig.builder, two_at);
    up(NULL);
    during_a_transition_of(two_at, expect_a_refusal);
    rig_quarantine(&rig, two_at);
    during_a_transition_of(two_at, expect_no_reset);
    down();
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M09_a_bridge_beside_it_is_spared),
        TEST(test_M09_a_neighbour_with_vfs_is_spared),
        TEST(test_M07_a_reserved_neighbour_is_spared),
        TEST(test_M09_more_neighbours_than_there_is_room_for),
        TEST(test_R5_a_neighbour_that_is_busy_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
