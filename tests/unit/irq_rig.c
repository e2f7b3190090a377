/* SPDX-License-Identifier: MIT */
#include "tests/unit/irq_rig.h"

/* ---- the guest's ears ---- */

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    struct irq_rig *ir = context;
    const struct irq_seen seen = {
        .vector = vector,
        .message = *message,
        .answers = berth_domain_config_read(ir->guest, ir->at, 0, 4) != UINT32_MAX,
    };

    (void)dev;
    pthread_mutex_lock(&ir->lock);
    ir->seen[ir->injected % IRQ_SEEN] = seen;
    atomic_fetch_add(&ir->injected, 1);
    pthread_mutex_unlock(&ir->lock);
    if (atomic_load(&ir->closed))
        atomic_fetch_add(&ir->late, 1);
}

static void intx(void *context, struct sbdf at, unsigned pin, bool asserted)
{
    struct irq_rig *ir = context;
    void (*telling)(void) = atomic_exchange(&ir->telling, NULL);

    assert_int_equal(pin, 1);
    (void)at;
    if (telling)
        telling();
    atomic_store(&ir->line, asserted);
    atomic_fetch_add(&ir->edges, 1);
    if (atomic_load(&ir->closed) && asserted)
        atomic_fetch_add(&ir->late, 1);
}

static const struct berth_view_ops ears[2][2] = {
    {{.inject = inject, .intx = intx}, {.inject = inject}},
    {{.intx = intx}, {.inject = NULL}},
};

static int withdraw(void *context, struct pcidev *dev)
{
    struct irq_rig *ir = context;

    (void)dev;
    if (ir->during)
        ir->during(ir);
    return ir->withdraw_error;
}

static const struct berth_domain_ops guest_ops = {.withdraw = withdraw};

/* ---- the host's ---- */

static void fire(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct irq_rig *ir = context;
    enum berth_irq_result result = berth_machine_interrupt(ir->rig.machine, irq, vector);

    pthread_mutex_lock(&ir->lock);
    ir->last = *irq;
    ir->last_vector = vector;
    pthread_mutex_unlock(&ir->lock);
    atomic_fetch_add(&ir->results[result], 1);
    atomic_fetch_add(&ir->fired, 1);
}

/* ---- up and down ---- */

void irq_begin(struct irq_rig *ir)
{
    memset(ir, 0, sizeof(*ir));
    pthread_mutex_init(&ir->lock, NULL);
    rig_begin(&ir->rig);
    rig_standard(&ir->rig);
}

struct berth_domain *irq_guest(struct irq_rig *ir, const char *name)
{
    const struct berth_view_config config = {
        .ops = &ears[ir->no_inject][ir->no_line],
        .context = ir,
    };
    struct berth_domain *guest;

    assert_int_equal(berth_domain_create(ir->rig.machine, name, &guest_ops, ir, &guest), 0);
    assert_int_equal(berth_domain_set_view(guest, &config), 0);
    return guest;
}

void irq_lend(struct irq_rig *ir)
{
    assert_int_equal(rig_assign(&ir->rig, ir->dev, ir->guest), 0);
    ir->at = rig_seen(&ir->rig, ir->dev);
    irq_put(ir, PCI_BASE_ADDRESS_0, 4, (uint32_t)IRQ_BAR);
    irq_put(ir, PCI_BASE_ADDRESS_1, 4, (uint32_t)(IRQ_BAR >> 32));
    irq_put(ir, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void irq_take_back(struct irq_rig *ir)
{
    assert_int_equal(rig_deassign(&ir->rig, ir->dev, ir->guest), 0);
}

void irq_up(struct irq_rig *ir, struct sbdf dev)
{
    ir->dev = dev;
    rig_up(&ir->rig, ir->configure);
    sim_on_interrupt(ir->rig.sim, fire, ir);
    ir->guest = irq_guest(ir, "vm1");
    if (ir->prepare)
        ir->prepare(ir);
    irq_lend(ir);
}

void irq_down(struct irq_rig *ir)
{
    assert_int_equal(ir->late, 0);
    ir->during = NULL;
    ir->withdraw_error = 0;
    rig_destroy_guest(&ir->rig, ir->guest);
    assert_int_equal(irq_bindings(ir), 0);
    rig_down(&ir->rig);
    pthread_mutex_destroy(&ir->lock);
}

/* ---- accesses ---- */

uint32_t irq_get(struct irq_rig *ir, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(ir->guest, ir->at, reg, length);
}

void irq_put(struct irq_rig *ir, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(ir->guest, ir->at, reg, length, value);
}

unsigned irq_cap(struct irq_rig *ir, unsigned id)
{
    unsigned at = irq_get(ir, PCI_CAPABILITY_LIST, 1);

    while (at && irq_get(ir, at, 1) != id)
        at = irq_get(ir, at + 1, 1);
    return at;
}

void irq_set_power(struct irq_rig *ir, unsigned state)
{
    irq_put(ir, irq_cap(ir, PCI_CAP_ID_PM) + PCI_PM_CTRL, 2, state);
}

enum sim_irq_result irq_raise(struct irq_rig *ir, unsigned vector)
{
    enum sim_irq_result result;

    assert_int_equal(sim_raise(ir->rig.sim, ir->dev, vector, &result), 0);
    return result;
}

const struct irq_seen *irq_last(struct irq_rig *ir)
{
    assert_true(ir->injected > 0);
    return &ir->seen[(ir->injected - 1) % IRQ_SEEN];
}

struct sim_counters irq_counters(struct irq_rig *ir)
{
    struct sim_counters counters;

    sim_counters(ir->rig.sim, &counters);
    return counters;
}

unsigned irq_bindings(struct irq_rig *ir)
{
    return (unsigned)irq_counters(ir).bindings;
}

unsigned irq_holds(struct irq_rig *ir)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    struct pcidev *dev = rig_dev(&ir->rig, ir->dev);
    unsigned count = pcidev_holders(dev, holders, BERTH_HOLDERS_MAX), found = 0;

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(holders[i].tag, "vector"))
            found = holders[i].count;
    rig_put(dev);
    return found;
}

bool irq_line_is_off(struct irq_rig *ir)
{
    return rig_peek(&ir->rig, ir->dev, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}
