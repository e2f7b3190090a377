/* SPDX-License-Identifier: MIT */
/*
 * Hosts that refuse in the middle, that answer later than expected, and that ask back while they
 * are asked: X32, X35, X37, X51.
 */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/guests.h"
#include "tests/unit/irq_rig.h"

#define DEVICES 28u
#define UNLUCKY 17u
#define MS UINT64_C(1000000)
#define LINE 11u
#define EXTENDED 0x100u

/* ---- X32: one of many ---- */

static struct sbdf one_of_many(unsigned i)
{
    return at(0, 2 + i, 0);
}

static int setup_many(void **state)
{
    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < DEVICES; i++)
        mb_rc_endpoint(&rig.builder, one_of_many(i));
    guests_up(NULL, 1);
    for (unsigned i = 0; i < DEVICES; i++)
        assert_int_equal(rig_assign(&rig, one_of_many(i), vm.domain), 0);
    return 0;
}

static void test_X32_what_failed_in_the_middle_is_not_forgotten(void **state)
{
    (void)state;
    sim_fail(rig.sim, SIM_OP_ATTACH, UNLUCKY, 0, 0);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, DEVICES * 1000 * MS),
                     -EBUSY); /* whatever came after it */
    assert_int_equal(berth_domain_device_count(vm.domain), 1);
    rig_expect_owner(&rig, one_of_many(UNLUCKY - 1), "vm1");
    assert_non_null(berth_domain_space(vm.domain));
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 1000 * MS), 0);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
}

static _Atomic int visit; /* 1: somebody is inside, 2: and may go */

static void *stay_inside(void *dev)
{
    struct pcidev_section section;

    if (pcidev_enter(dev, "visitor", &section)) {
        atomic_store(&visit, 1);
        while (atomic_load(&visit) == 1)
            sched_yield();
        pcidev_exit(&section);
    }
    return NULL;
}

static void test_X32_what_was_busy_in_the_middle_is_tried_again(void **state)
{
    struct pcidev *dev = rig_dev(&rig, one_of_many(UNLUCKY));
    unsigned passes = 0;
    pthread_t thread;

    (void)state;
    atomic_store(&visit, 0);
    assert_int_equal(pthread_create(&thread, NULL, stay_inside, dev), 0);
    while (!atomic_load(&visit))
        sched_yield();
    assert_int_equal(rig_destroy_within(&rig, vm.domain, UNLUCKY * 100 * MS + 200 * MS),
                     -EAGAIN); /* resets, drain */
    assert_in_range(berth_domain_device_count(vm.domain), 1, DEVICES - UNLUCKY);
    assert_non_null(berth_domain_space(vm.domain));
    atomic_store(&visit, 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    while (rig_destroy_within(&rig, vm.domain, 150 * MS) == -EAGAIN)
        assert_true(++passes < DEVICES);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
    rig_put(dev);
}

/* ---- X35: what is done at an add ---- */

static struct berth_host_ops late_ops;
static bool extended_answers;

static int late_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    int error = sim_host_ops.config_read(host, claim, reg, length, value);

    if (reg >= EXTENDED && !extended_answers)
        *value = UINT32_MAX >> (32 - 8 * length);
    return error;
}

static void with_late_space(struct berth_machine_config *config)
{
    late_ops = sim_host_ops;
    late_ops.config_read = late_read;
    config->host = &late_ops;
}

/* ACS is what the core sets up in hardware on its own, and it is behind offset 256. */
static void test_X35_what_an_add_could_not_reach_is_done_later(void **state)
{
    struct capture_function *f;
    unsigned acs, express;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    f = rig_function(&rig, rig_port);
    acs = mb_find_ext_cap(f, PCI_EXT_CAP_ID_ACS);
    mb_put(f, acs + PCI_ACS_CTRL, 2, 0);
    f = rig_function(&rig, rig_nvme);
    express = mb_find_cap(f, PCI_CAP_ID_EXP);
    mb_put(f, express + PCI_EXP_DEVCTL, 2, 0x000f); /* whose errors are told is firmware's choice */
    extended_answers = false;
    rig_up(&rig, with_late_space);
    assert_int_equal(rig_info(&rig, rig_port).config_size, 256);
    assert_int_equal(rig_peek(&rig, rig_nvme, express + PCI_EXP_DEVCTL, 2) & 0x000f, 0x000f);
    extended_answers = true;
    assert_int_equal(rig_readd(&rig, rig_port, NULL), 0);
    assert_int_equal(rig_info(&rig, rig_port).config_size, 4096);
    assert_int_not_equal(rig_peek(&rig, rig_port, acs + PCI_ACS_CTRL, 2) & PCI_ACS_SV, 0);
    assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0);
    assert_int_equal(rig_peek(&rig, rig_nvme, express + PCI_EXP_DEVCTL, 2) & 0x000f, 0x000f);
    rig_down(&rig);
}

/* ---- X37: lookups need no lock, wherever they are made ---- */

static unsigned looked, locks_taken;
static _Thread_local bool looking; /* deferred calls, in a thread of theirs, may take locks */

void __real_lock_take(struct lock *lock);
void __wrap_lock_take(struct lock *lock);

void __wrap_lock_take(struct lock *lock)
{
    if (looking && lock->rank != LOCK_TAGS) /* which only builds with checks have */
        locks_taken++;
    __real_lock_take(lock);
}

/* All that may be called from anywhere. */
static void look_around(void *context)
{
    const struct berth_irq irq = {.device = rig_nvme2, .kind = BERTH_IRQ_MSI, .count = 1};
    struct pcidev *dev;
    uint32_t group;
    struct sbdf seen;

    (void)context;
    looking = true;
    dev = pcidev_find(rig.machine, rig_nvme2, "look");
    pcidev_put(pcidev_find_rid(rig.machine, at(5, 0, 2), "look"), "look");
    pcidev_put(pcidev_next(rig.machine, &rig_nvme, "look"), "look");
    pcidev_put(berth_domain_next_device(berth_machine_hwdom(rig.machine), NULL, "look"), "look");
    if (dev) {
        (void)!pcidev_group(dev, &group);
        (void)!berth_domain_address(dev, &seen);
    }
    (void)berth_machine_interrupt(rig.machine, &irq, 0);
    (void)berth_machine_fault(rig.machine, at(99, 0, 0));
    (void)berth_machine_count(rig.machine);
    if (vm.domain)
        (void)berth_domain_config_read(vm.domain, at(0, 31, 0), 0, 4);
    looking = false;
    pcidev_put(dev, "look");
    looked++;
}

static struct berth_irq_ops asking_irqs;
static struct berth_host_ops asking_host;
static unsigned binds, reads;

static int asking_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    binds++;
    look_around(NULL);
    return sim_irq_ops.bind(irqs, irq, message);
}

static void asking_unbind(void *irqs, const struct berth_irq *irq)
{
    look_around(NULL);
    sim_irq_ops.unbind(irqs, irq);
}

static int asking_read(void *host, berth_claim claim, unsigned reg, unsigned length,
                       uint32_t *value)
{
    reads++;
    if (rig.machine)
        look_around(NULL);
    return sim_host_ops.config_read(host, claim, reg, length, value);
}

static void asking(struct berth_machine_config *config)
{
    asking_irqs = sim_irq_ops;
    asking_irqs.bind = asking_bind;
    asking_irqs.unbind = asking_unbind;
    asking_host = sim_host_ops;
    asking_host.config_read = asking_read;
    config->irqs = &asking_irqs;
    config->host = &asking_host;
}

static void test_X37_lookups_work_from_inside_everything(void **state)
{
    (void)state;
    memset(&vm, 0, sizeof(vm));
    rig_begin(&rig);
    rig_standard(&rig);
    looked = locks_taken = binds = reads = 0;
    rig_up(&rig, asking);
    rig.tape.hook = look_around;
    rig_vm_up(&rig, &vm, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, vm.domain), 0); /* which binds its line */
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    rig.tape.hook = NULL;
    rig_vm_down(&vm);
    vm.domain = NULL;
    assert_true(binds >= 1 && reads > 100 && looked > binds + reads);
    assert_int_equal(locks_taken, 0);
    rig_down(&rig);
}

/* ---- X51: two on one line ---- */

static struct irq_rig ir;
static const struct sbdf first = {0, 0, 0x80}, second = {0, 0, 0x88};

static void put_on_line(struct sbdf sbdf)
{
    struct capture_function *f = mb_pci_endpoint(&ir.rig.builder, sbdf);

    mb_put(f, PCI_CAPABILITY_LIST, 1, 0); /* nothing but INTx */
    mb_put(f, PCI_INTERRUPT_PIN, 1, 1);
    mb_put(f, PCI_INTERRUPT_LINE, 1, LINE);
}

/* Or the hardware domain would have a part in the line. */
static void out_of_the_way(struct irq_rig *rig_of_it)
{
    rig_quarantine(&rig_of_it->rig, second);
}

static void expect_line_works(void)
{
    unsigned edges = ir.edges;

    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_DELIVERED);
    assert_true(ir.line);
    assert_int_equal(sim_lower(ir.rig.sim, ir.dev), 0);
    berth_domain_intx_eoi(ir.guest, ir.at);
    assert_false(ir.line);
    assert_int_equal(ir.edges, edges + 2);
}

static void test_X51_a_line_that_cannot_be_bound_leaves_its_neighbour_alone(void **state)
{
    (void)state;
    irq_begin(&ir);
    put_on_line(first);
    put_on_line(second);
    ir.prepare = out_of_the_way;
    irq_up(&ir, first);
    expect_line_works();
    for (unsigned round = 0; round < 3; round++) {
        sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 0, 0);
        (void)!rig_assign(&ir.rig, second, ir.guest);
        assert_true(sim_failed(ir.rig.sim, SIM_OP_BIND));
        assert_int_equal(irq_bindings(&ir), 1);
        expect_line_works();
        if (!sbdf_equal(rig_seen(&ir.rig, second), rig_nowhere))
            assert_int_equal(rig_deassign(&ir.rig, second, ir.guest), 0);
        assert_int_equal(irq_bindings(&ir), 1);
        expect_line_works();
    }
    assert_int_equal(rig_assign(&ir.rig, second, ir.guest), 0);
    assert_int_equal(irq_bindings(&ir), 2);
    irq_take_back(&ir);
    assert_int_equal(irq_bindings(&ir), 1);
    ir.dev = second;
    ir.at = rig_seen(&ir.rig, second);
    expect_line_works();
    irq_down(&ir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_X32_what_failed_in_the_middle_is_not_forgotten,
                                        setup_many, guests_teardown),
        cmocka_unit_test_setup_teardown(test_X32_what_was_busy_in_the_middle_is_tried_again,
                                        setup_many, guests_teardown),
        cmocka_unit_test(test_X35_what_an_add_could_not_reach_is_done_later),
        cmocka_unit_test(test_X37_lookups_work_from_inside_everything),
        cmocka_unit_test(test_X51_a_line_that_cannot_be_bound_leaves_its_neighbour_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
