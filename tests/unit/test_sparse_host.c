/* SPDX-License-Identifier: MIT */
/* Hosts that can do less: every slot of their tables that may be NULL is NULL once (host.h). */
#include "tests/unit/rig.h"

#include <string.h>

#include <berth/isolation.h>

#define COMMAND 4
#define BAR0 0x10
#define BAR2 0x18
#define PLACE0 UINT64_C(0x4000000000)
#define PLACE UINT64_C(0x80000000)

static struct rig rig;
static struct rig_vm vm;
static struct berth_host_ops host;
static struct berth_bar_ops bars;
static struct berth_irq_ops irqs;
static struct pcidev_explanation e;
static const struct sbdf small_at = {0, 0, 0x48};

static void begin(rig_configure *configure)
{
    host = sim_host_ops;
    bars = sim_bar_ops;
    irqs = sim_irq_ops;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_bar(mb_rc_endpoint(&rig.builder, small_at), 2, MB_BAR_MEM32, 256); /* trapped (M48) */
    rig_up(&rig, configure);
    rig_vm_up(&rig, &vm, "vm1");
}

static void end(void)
{
    rig_vm_down(&vm);
    rig_down(&rig);
}

static void explain(struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);

    assert_int_equal(pcidev_explain(dev, vm.domain, NULL, &e), 0);
    rig_put(dev);
}

static bool noted(enum berth_reason reason)
{
    for (unsigned i = 0; i < e.note_count; i++)
        if (e.notes[i].reason == reason)
            return true;
    return false;
}

/* ---- the host ---- */

static void knows_nothing(struct berth_machine_config *config)
{
    host.describe = NULL;
    host.reserved = NULL;
    config->host = &host;
}

static void test_a_host_may_know_nothing(void **state)
{
    struct pcidev_info info;

    (void)state;
    begin(knows_nothing);
    info = rig_info(&rig, rig_nvme);
    assert_int_equal(info.numa_node, -1);
    rig_add_vfs(&rig, 2); /* found by their PF's own registers */
    assert_true(rig_info(&rig, rig_vf(1)).is_vf);
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_remove(&rig, rig_vf(i), PCIDEV_REMOVE_DEFAULT), 0);
    end();
}

static void promises_a_reset(void *sim, berth_claim claim, struct berth_function_facts *facts)
{
    sim_host_ops.describe(sim, claim, facts);
    facts->has_reset = true;
}

static void resets_nothing(struct berth_machine_config *config)
{
    host.describe = promises_a_reset;
    host.reset = NULL;
    config->host = &host;
}

static void test_M09_a_reset_that_is_promised_and_not_there(void **state)
{
    struct pcidev_info info;

    (void)state;
    begin(resets_nothing);
    info = rig_info(&rig, rig_nvme);
    assert_int_equal(info.methods[0], PCIDEV_RESET_FLR);
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    end();
}

static bool talkative;

static int too_many(void *sim, berth_claim claim, struct berth_reserved *list)
{
    return talkative ? BERTH_RESERVED_MAX + 1 : sim_host_ops.reserved(sim, claim, list);
}

static void lists_too_many(struct berth_machine_config *config)
{
    host.reserved = too_many;
    config->host = &host;
}

static void test_M24_a_list_of_regions_that_is_too_long_is_an_error(void **state)
{
    (void)state;
    begin(lists_too_many);
    talkative = true;
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), -EIO);
    talkative = false;
    rig_expect_owner(&rig, rig_nvme, "hwdom");
    end();
}

/* ---- its BARs ---- */

static void has_no_bars(struct berth_machine_config *config)
{
    config->bars = NULL;
}

static void reads_no_bar(struct berth_machine_config *config)
{
    bars.read = NULL;
    config->bars = &bars;
}

static void writes_no_bar(struct berth_machine_config *config)
{
    bars.write = NULL;
    config->bars = &bars;
}

/* A trapped BAR, as its guest sees it: written, and read again. */
static uint64_t through_a_trapped_bar(void)
{
    uint64_t value = 0;
    struct sbdf seen;

    assert_int_equal(rig_assign(&rig, small_at, vm.domain), 0);
    seen = rig_seen(&rig, small_at);
    berth_domain_config_write(vm.domain, seen, BAR0, 8, PLACE0);
    berth_domain_config_write(vm.domain, seen, BAR2, 4, PLACE);
    berth_domain_config_write(vm.domain, seen, COMMAND, 2, 2);
    assert_int_equal(berth_domain_mmio_write(vm.domain, PLACE + 8, 4, 0x12345678), 0);
    assert_int_equal(berth_domain_mmio_read(vm.domain, PLACE + 8, 4, &value), 0);
    return value;
}

static void test_what_would_be_trapped_reads_all_ones_without_bars(void **state)
{
    static rig_configure *const without[] = {has_no_bars, reads_no_bar};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin(without[i]);
        assert_int_equal(through_a_trapped_bar(), 0xffffffffu);
        end();
    }
}

static void test_writes_are_dropped_where_nothing_can_write(void **state)
{
    (void)state;
    begin(writes_no_bar);
    assert_int_equal(through_a_trapped_bar(), 0);
    end();
    begin(NULL);
    assert_int_equal(through_a_trapped_bar(), 0x12345678);
    end();
}

/* ---- its interrupts ---- */

static void has_no_interrupts(struct berth_machine_config *config)
{
    config->irqs = NULL;
    config->policy.unsafe_interrupts = true;
}

static void cannot_say(struct berth_machine_config *config)
{
    irqs.remaps = NULL;
    config->irqs = &irqs;
    config->policy.unsafe_interrupts = true;
}

static bool remaps_not(void *context)
{
    (void)context;
    return false;
}

static void has_it_off(struct berth_machine_config *config)
{
    irqs.remaps = remaps_not;
    config->irqs = &irqs;
    config->policy.unsafe_interrupts = true;
}

static void needs_no_leave(struct berth_machine_config *config)
{
    config->policy.unsafe_interrupts = true;
}

static void test_X33_what_is_unsafe_is_noted_where_it_is(void **state)
{
    static const struct {
        rig_configure *configure;
        bool noted;
    } cases[] = {{has_no_interrupts, false},
                 {cannot_say, true},
                 {has_it_off, true},
                 {needs_no_leave, false}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(cases[i].configure);
        explain(rig_nvme);
        assert_true(e.possible);
        assert_int_equal(noted(BERTH_REASON_NO_REMAPPING), cases[i].noted);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_may_know_nothing),
        cmocka_unit_test(test_M09_a_reset_that_is_promised_and_not_there),
        cmocka_unit_test(test_M24_a_list_of_regions_that_is_too_long_is_an_error),
        cmocka_unit_test(test_what_would_be_trapped_reads_all_ones_without_bars),
        cmocka_unit_test(test_writes_are_dropped_where_nothing_can_write),
        cmocka_unit_test(test_X33_what_is_unsafe_is_noted_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
