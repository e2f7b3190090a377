/* SPDX-License-Identifier: MIT */
/* P2: every allocation of every operation fails once, and nothing has changed. */
#include "tests/unit/rig.h"

#include <berth_port.h>

static unsigned fail_at, allocations;

static bool is_its_turn(void)
{
    return fail_at && ++allocations == fail_at;
}

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);
void *__real_port_alloc_lines(size_t size);
void *__wrap_port_alloc_lines(size_t size);

void *__wrap_port_alloc(size_t size)
{
    return is_its_turn() ? NULL : __real_port_alloc(size);
}

void *__wrap_port_alloc_lines(size_t size)
{
    return is_its_turn() ? NULL : __real_port_alloc_lines(size);
}

static struct rig rig;
static struct rig_vm vm;
static const struct berth_reserved rmrr = {.start = 0x10000, .length = 0x2000, .writable = 1};

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
}

static int setup(void **state)
{
    (void)state;
    fail_at = 0;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, relaxed);
    rig_reserve(&rig, rig_nvme, &rmrr, 1);
    rig_vm_up(&rig, &vm, "vm1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_vm_down(&vm);
    rig_down(&rig);
    return 0;
}

/* Makes the n-th allocation of @run fail, for each n, until it has none that could. */
static void sweep(const char *name, int (*run)(void), struct sbdf watched)
{
    unsigned nth = 0;
    int error;

    do {
        const struct rig_state before = rig_remember(&rig, watched);

        allocations = 0;
        fail_at = ++nth;
        error = run();
        fail_at = 0;
        if (allocations < nth)
            break;
        if (error) {
            rig_expect_refused(&rig, error, -ENOMEM, BERTH_REASON_NO_MEMORY);
            rig_expect_as_before(&rig, &before);
        }
    } while (error);
    assert_int_equal(error, 0);
    assert_true(nth > 1);
    print_message("  %-10s %u allocations\n", name, nth - 1);
}

static int run_add(void)
{
    return rig_add(&rig, rig_nvme);
}

static int run_add_phantom(void)
{
    return rig_add(&rig, rig_phantom);
}

static int run_add_bridge(void)
{
    return rig_add(&rig, rig_pci_bridge);
}

static int run_remove(void)
{
    return rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_FORCE);
}

static int run_assign(void)
{
    return rig_assign(&rig, rig_nvme, vm.domain);
}

static int run_deassign(void)
{
    return rig_deassign(&rig, rig_nvme, vm.domain);
}

static int run_release(void)
{
    return rig_assign(&rig, rig_nvme, berth_machine_hwdom(rig.machine));
}

static int run_reset(void)
{
    return rig_reset(&rig, rig_legacy); /* by its bus, with a neighbour */
}

static int run_readd(void)
{
    return rig_readd(&rig, rig_nvme, NULL);
}

static int run_sriov(void)
{
    return rig_sriov(&rig, rig_pf, 2);
}

static void test_P2_devices_come_and_go_with_little_memory(void **state)
{
    (void)state;
    sweep("assign", run_assign, rig_nvme);
    sweep("deassign", run_deassign, rig_nvme);
    sweep("release", run_release, rig_nvme);
    sweep("readd", run_readd, rig_nvme);
    sweep("reset", run_reset, rig_legacy);
    sweep("sriov", run_sriov, rig_pf);
    sweep("remove", run_remove, rig_nvme2);
    sweep("add", run_add, rig_nvme2);
    assert_int_equal(rig_remove(&rig, rig_phantom, PCIDEV_REMOVE_FORCE), 0);
    sweep("add", run_add_phantom, rig_nvme2);
    assert_int_equal(rig_remove(&rig, rig_pci_bridge, PCIDEV_REMOVE_FORCE), 0);
    sweep("add", run_add_bridge, rig_nvme2);
}

static void test_P2_a_guest_ends_with_little_memory(void **state)
{
    unsigned nth = 0;
    int error;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme2, vm.domain), 0);
    do {
        allocations = 0;
        fail_at = ++nth;
        error = berth_domain_destroy(vm.domain, NULL);
        fail_at = 0;
        assert_true(!error || error == -EBUSY || error == -EAGAIN);
        assert_int_not_equal(rig_info(&rig, rig_nvme).owner_id, 0);
    } while (error);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
}

static void test_P2_a_domain_is_made_or_not(void **state)
{
    struct berth_domain *domain = NULL;
    struct sim_counters before, after;
    unsigned nth = 0;
    int error;

    (void)state;
    sim_counters(rig.sim, &before);
    do {
        allocations = 0;
        fail_at = ++nth;
        error = berth_domain_create(rig.machine, "vm2", NULL, NULL, &domain);
        fail_at = 0;
        assert_true(!error || error == -ENOMEM);
        sim_counters(rig.sim, &after);
        assert_int_equal(after.spaces, before.spaces + !error);
    } while (error);
    assert_true(nth > 1);
    rig_destroy_guest(&rig, domain);
}

static void test_P2_a_machine_is_made_or_not(void **state)
{
    static const struct berth_phantom_override phantoms[] = {{{0, 5, 0}, 2}};
    const struct berth_machine_config config = {
        .host = &sim_host_ops,
        .host_context = rig.sim,
        .iommu = &sim_iommu_ops,
        .iommu_context = rig.sim,
        .hidden = &rig_nvme,
        .hidden_count = 1,
        .read_only = &rig_nvme2,
        .read_only_count = 1,
        .phantoms = phantoms,
        .phantom_count = 1,
    };
    struct berth_machine *machine = NULL;
    struct sim_counters before, after;
    unsigned nth = 0;
    int error;

    (void)state;
    sim_counters(rig.sim, &before);
    do {
        allocations = 0;
        fail_at = ++nth;
        error = berth_machine_create(&config, &machine);
        fail_at = 0;
        assert_true(!error || error == -ENOMEM);
        sim_counters(rig.sim, &after);
        assert_int_equal(after.spaces, before.spaces + (error ? 0 : 2));
    } while (error);
    assert_true(nth > 8);
    assert_int_equal(berth_machine_destroy(machine), 0);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.spaces, before.spaces);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_P2_devices_come_and_go_with_little_memory),
        TEST(test_P2_a_guest_ends_with_little_memory),
        TEST(test_P2_a_domain_is_made_or_not),
        TEST(test_P2_a_machine_is_made_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
