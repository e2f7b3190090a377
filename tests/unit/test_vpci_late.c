/* SPDX-License-Identifier: MIT */
/*
 * What comes late, or in between: interrupts of an earlier life, the end of one while a transition
 * has the device, a card that comes while another one goes, accesses that hang.
 */
#include <unistd.h>

#include "src/vpci/vpci.h"
#include "tests/unit/irq_rig.h"
#include "tests/unit/ports.h"

#define STATE_D3HOT 3u

/* ---- interrupts ---- */

static struct irq_rig ir;

static int interrupts(void **state)
{
    (void)state;
    irq_begin(&ir);
    irq_up(&ir, rig_nvme);
    return 0;
}

static int no_interrupts(void **state)
{
    (void)state;
    irq_down(&ir);
    return 0;
}

static void test_O2_another_object_has_other_generations(void **state)
{
    struct berth_domain *first = ir.guest, *second;
    struct berth_irq stale;

    (void)state;
    irq_raise(&ir, 0);
    stale = ir.last;
    irq_take_back(&ir);
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&ir.rig, ir.dev), 0);
    second = irq_guest(&ir, "vm2");
    ir.guest = second;
    irq_lend(&ir);
    ir.edges = 0;
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &stale, 0), BERTH_IRQ_DROPPED);
    assert_int_equal(ir.edges, 0);
    rig_destroy_guest(&ir.rig, second);
    ir.guest = first;
}

static void end_of_interrupt(struct irq_rig *rig)
{
    berth_domain_intx_eoi(rig->guest, rig->at);
}

static void test_an_end_during_a_transition_is_not_lost(void **state)
{
    (void)state;
    irq_raise(&ir, 0);
    assert_true(ir.line);
    ir.during = end_of_interrupt;
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    ir.during = NULL;
    assert_false(ir.line);
    assert_false(irq_line_is_off(&ir));
    irq_raise(&ir, 0);
    assert_true(ir.line);
}

/* The device was not reset, and nobody has handled it: the level is as it was. */
static void test_a_line_that_nobody_handled_is_still_high(void **state)
{
    (void)state;
    irq_raise(&ir, 0);
    ir.withdraw_error = -EBUSY;
    assert_int_equal(rig_deassign(&ir.rig, ir.dev, ir.guest), -EBUSY);
    assert_true(ir.line);
    sim_lower(ir.rig.sim, ir.dev);
    end_of_interrupt(&ir);
    assert_false(ir.line);
}

/* ---- accesses that hang ---- */

static struct berth_bar_ops hanging_ops;
static _Atomic bool hang, inside;

static int hanging_read(void *host, berth_claim claim, unsigned index, uint64_t offset,
                        unsigned length, uint64_t *value)
{
    if (atomic_load(&hang)) {
        atomic_store(&inside, true);
        for (unsigned ms = 0; atomic_load(&hang) && ms < 5000; ms++)
            usleep(1000);
        atomic_store(&inside, false);
    }
    return sim_bar_ops.read(host, claim, index, offset, length, value);
}

static void with_hanging_host(struct berth_machine_config *config)
{
    hanging_ops = sim_bar_ops;
    hanging_ops.read = hanging_read;
    config->bars = &hanging_ops;
}

/* The page with the MSI-X table, which is not mapped; its end is the device's. */
static void *read_bar(void *context)
{
    uint64_t value;

    (void)context;
    assert_int_equal(berth_domain_mmio_read(ir.guest, IRQ_BAR, 4, &value), 0);
    return NULL;
}

static pthread_t begin_to_hang(void)
{
    pthread_t thread;

    atomic_store(&hang, true);
    assert_int_equal(pthread_create(&thread, NULL, read_bar, NULL), 0);
    while (!atomic_load(&inside))
        usleep(1000);
    return thread;
}

static unsigned state_of(struct berth_domain *guest, struct sbdf where, unsigned pm)
{
    return (unsigned)berth_domain_config_read(guest, where, pm + PCI_PM_CTRL, 2) & 3;
}

/* K1: who wants the same device asleep waits for it, for a while; and nobody else does. */
static void test_M14_a_hung_access_is_its_own_devices_trouble(void **state)
{
    struct sbdf other;
    struct rig_vm vm;
    pthread_t thread;
    unsigned pm;

    (void)state;
    irq_begin(&ir);
    ir.configure = with_hanging_host;
    irq_up(&ir, rig_nvme);
    pm = irq_cap(&ir, PCI_CAP_ID_PM);
    rig_vm_up(&ir.rig, &vm, "vm2");
    assert_int_equal(rig_assign(&ir.rig, rig_nvme2, vm.domain), 0);
    other = rig_seen(&ir.rig, rig_nvme2);
    thread = begin_to_hang();
    berth_domain_config_write(vm.domain, other, pm + PCI_PM_CTRL, 2, STATE_D3HOT);
    assert_true(atomic_load(&inside)); /* still */
    assert_int_equal(state_of(vm.domain, other, pm), STATE_D3HOT);
    irq_set_power(&ir, STATE_D3HOT);
    assert_true(atomic_load(&inside));
    assert_int_equal(state_of(ir.guest, ir.at, pm), 0);
    assert_int_not_equal(rig_find_event(&ir.rig, 0, BERTH_EVENT_VIEW, "power state"), -1);
    atomic_store(&hang, false);
    pthread_join(thread, NULL);
    irq_set_power(&ir, STATE_D3HOT);
    assert_int_equal(state_of(ir.guest, ir.at, pm), STATE_D3HOT);
    rig_vm_down(&vm);
    irq_down(&ir);
}

/* ---- cards ---- */

static struct lock *watched;
static const struct vbus_bus *behind;

void __real_lock_drop(struct lock *lock);
void __wrap_lock_drop(struct lock *lock);

static void *lend_the_next(void *context)
{
    (void)context;
    lend(rig_nvme2);
    return NULL;
}

/* The slot has just become free: somebody else is faster than the thread that has freed it. */
void __wrap_lock_drop(struct lock *lock)
{
    bool now = lock == watched && behind && !(behind->taken[0] & 1);
    pthread_t thread;

    __real_lock_drop(lock);
    if (!now)
        return;
    behind = NULL;
    assert_int_equal(pthread_create(&thread, NULL, lend_the_next, NULL), 0);
    pthread_join(thread, NULL);
}

static int no_card(void **state)
{
    watched = NULL;
    return ports_teardown(state);
}

static void test_M46_a_card_that_comes_while_one_goes_is_shown(void **state)
{
    struct vbus *bus;
    struct sbdf seat;

    (void)state;
    ports_view(1);
    lend(rig_nvme);
    seat = rig_seen(&ports.rig, rig_nvme);
    bus = atomic_load(&ports.guest->vbus);
    behind = atomic_load(&bus->by_number[seat.bus]);
    watched = &bus->lock;
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme, ports.guest), 0);
    assert_null(behind);
    assert_true(sbdf_equal(rig_seen(&ports.rig, rig_nvme2), seat));
    assert_true(is_there(seat));
    assert_int_not_equal(slot_status(0) & SLOT_PRESENT, 0);
}

/* ---- a line that is high while its device moves ---- */

static enum berth_irq_result fired;

static void fire(void *context, const struct berth_irq *irq, unsigned vector)
{
    (void)context;
    fired = berth_machine_interrupt(ports.rig.machine, irq, vector);
}

static void test_a_line_goes_low_where_it_went_high(void **state)
{
    enum sim_irq_result result;

    (void)state;
    ports_view(1);
    sim_on_interrupt(ports.rig.sim, fire, NULL);
    lend(rig_nvme);
    assert_int_equal(rig_seen(&ports.rig, rig_nvme).bus, 8);
    assert_int_equal(sim_raise(ports.rig.sim, rig_nvme, 0, &result), 0);
    assert_int_equal(fired, BERTH_IRQ_INJECTED);
    assert_true(ports.level);
    assert_int_equal(ports.at.bus, 8);
    renumber(0, 0);
    assert_int_equal(ports.changes, 1);
    renumber(0, 20); /* low there, high here: the VMM checks the order */
    assert_int_equal(ports.changes, 3);
    assert_true(ports.level);
    assert_int_equal(ports.at.bus, 20);
    renumber(0, 0);
    assert_int_equal(sim_lower(ports.rig.sim, rig_nvme), 0);
    assert_int_equal(rig_deassign(&ports.rig, rig_nvme, ports.guest), 0);
    assert_false(ports.level);
    assert_int_equal(ports.at.bus, 20);
}

static void test_a_line_that_nobody_could_be_told_of_is_told_later(void **state)
{
    enum sim_irq_result result;

    (void)state;
    ports_view(1);
    sim_on_interrupt(ports.rig.sim, fire, NULL);
    lend(rig_nvme);
    renumber(0, 0);
    assert_int_equal(sim_raise(ports.rig.sim, rig_nvme, 0, &result), 0);
    assert_false(ports.level);
    renumber(0, 9);
    assert_true(ports.level);
    assert_int_equal(ports.at.bus, 9);
    assert_int_equal(sim_lower(ports.rig.sim, rig_nvme), 0);
    berth_domain_intx_eoi(ports.guest, at(9, 0, 0));
    assert_false(ports.level);
}

/* ---- a bridge that comes late ---- */

static struct berth_irq_ops noting_ops;
static struct sbdf bound, unbound;

static int noting_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    bound = irq->source;
    return sim_irq_ops.bind(irqs, irq, message);
}

static void noting_unbind(void *irqs, const struct berth_irq *irq)
{
    unbound = irq->source;
    sim_irq_ops.unbind(irqs, irq);
}

static void with_notes(struct berth_machine_config *config)
{
    noting_ops = sim_irq_ops;
    noting_ops.bind = noting_bind;
    noting_ops.unbind = noting_unbind;
    config->irqs = &noting_ops;
    config->policy.shared_groups = true;
}

static void test_X55_what_is_unbound_is_what_was_bound(void **state)
{
    static struct rig rig;
    struct rig_vm vm;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up_empty(&rig, with_notes);
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_add(&rig, rig_legacy2), 0);
    assert_int_equal(rig_assign(&rig, rig_legacy2, vm.domain), 0);
    assert_int_equal(rig_add(&rig, rig_pci_bridge), 0);
    assert_int_equal(rig_deassign(&rig, rig_legacy2, vm.domain), 0);
    assert_true(bound.bus != 0);
    assert_true(sbdf_equal(bound, unbound));
    rig_vm_down(&vm);
    rig_down(&rig);
}

#define INTX(test) cmocka_unit_test_setup_teardown(test, interrupts, no_interrupts)
#define CARD(test) cmocka_unit_test_setup_teardown(test, ports_setup, no_card)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTX(test_O2_another_object_has_other_generations),
        INTX(test_an_end_during_a_transition_is_not_lost),
        INTX(test_a_line_that_nobody_handled_is_still_high),
        cmocka_unit_test(test_M14_a_hung_access_is_its_own_devices_trouble),
        CARD(test_a_line_goes_low_where_it_went_high),
        CARD(test_a_line_that_nobody_could_be_told_of_is_told_later),
        cmocka_unit_test(test_X55_what_is_unbound_is_what_was_bound),
        CARD(test_M46_a_card_that_comes_while_one_goes_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
