/* SPDX-License-Identifier: MIT */
/*
 * Functions interrupt: by MSI-X, by MSI or by INTx, whichever is on.
 *
 * What is masked stays pending in the function's registers or in its PBA. Every write to the
 * function, if something waits there, is followed by a look at what may be sent now. What is sent
 * is found with the function locked, and sent without: whoever hears of it may do what he likes.
 */
#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define MESSAGE_SHIFT 20 /* the controllers have 1 MiB from SIM_MESSAGE_BASE on */

/* What leaves the function. */
struct sending {
    enum {
        SEND_NOTHING,
        SEND_MESSAGE,
        SEND_LINE,
    } what;
    uint64_t address;
    uint32_t data;
};

/* ---- on the way ---- */

void sim_on_interrupt(struct sim *sim,
                      void (*fire)(void *context, const struct berth_irq *irq, unsigned vector),
                      void *context)
{
    sim->fire_context = context;
    sim->fire = fire;
}

static enum sim_irq_result tell(struct sim *sim, const struct berth_irq *irq, unsigned vector)
{
    sim_count(&sim->interrupts_delivered);
    if (sim->fire)
        sim->fire(sim->fire_context, irq, vector);
    return SIM_IRQ_DELIVERED;
}

static enum sim_irq_result send_message(struct sim *sim, struct sbdf rid, uint64_t address,
                                        uint32_t data)
{
    struct berth_irq irq;
    struct sim_dma dma;
    unsigned vector;

    if (address >> MESSAGE_SHIFT != SIM_MESSAGE_BASE >> MESSAGE_SHIFT) {
        (void)sim_dma(sim, rid, address & ~UINT64_C(7), true, data, &dma);
        return SIM_IRQ_NONE;
    }
    if (sim_remap_message(sim, rid, data, &irq, &vector))
        return tell(sim, &irq, vector);
    sim_count(&sim->interrupts_forged);
    sim_count(&sim->interrupts_blocked);
    return SIM_IRQ_BLOCKED;
}

static enum sim_irq_result send_line(struct sim *sim, struct sim_function *f)
{
    struct berth_irq irq;

    if (!sim_remap_line(f, &irq)) {
        sim_count(&sim->interrupts_blocked);
        return SIM_IRQ_BLOCKED;
    }
    pthread_mutex_lock(&f->lock);
    f->line_told = true;
    pthread_mutex_unlock(&f->lock);
    return tell(sim, &irq, 0);
}

static enum sim_irq_result transmit(struct sim *sim, struct sim_function *f,
                                    const struct sending *s)
{
    return s->what == SEND_LINE ? send_line(sim, f)
                                : send_message(sim, sim_rid_of(f), s->address, s->data);
}

int sim_message(struct sim *sim, struct sbdf rid, uint64_t address, uint32_t data,
                enum sim_irq_result *result)
{
    const struct sim_function *f = sim_function_of_rid(sim, rid);

    *result = SIM_IRQ_NONE;
    if (!f)
        return -ENODEV;
    if (sim_answer(f) == SIM_ANSWER_YES && sim_can_master(f))
        *result = send_message(sim, rid, address, data);
    return 0;
}

/* ---- MSI-X; from here on the function is locked ---- */

static uint32_t msix_control(const struct sim_function *f)
{
    return f->at[SIM_CAP_MSIX] ? sim_word(f, f->at[SIM_CAP_MSIX]) >> 16 : 0;
}

static void count_waiting(struct sim_function *f, bool on)
{
    if (on)
        atomic_fetch_add(&f->waiting, 1);
    else
        atomic_fetch_sub(&f->waiting, 1);
}

static struct sending msix_sending(const struct sim_function *f, unsigned vector)
{
    struct sim_msix_entry e = sim_msix_entry_of(f, vector);

    return (struct sending){SEND_MESSAGE, e.address, e.data};
}

static enum sim_irq_result raise_msix(struct sim_function *f, unsigned vector, struct sending *s)
{
    struct sim_msix_entry e = sim_msix_entry_of(f, vector);

    if (!(msix_control(f) & PCI_MSIX_FLAGS_MASKALL) && !(e.control & PCI_MSIX_ENTRY_CTRL_MASKBIT)) {
        *s = msix_sending(f, vector);
        return SIM_IRQ_NONE;
    }
    if (!sim_msix_is_pending(f, vector)) {
        sim_msix_set_pending(f, vector, true);
        count_waiting(f, true);
    }
    return SIM_IRQ_PENDING;
}

static struct sending due_msix(struct sim_function *f)
{
    unsigned vector;

    if (msix_control(f) & PCI_MSIX_FLAGS_MASKALL || !sim_msix_due(f, &vector))
        return (struct sending){SEND_NOTHING, 0, 0};
    sim_msix_set_pending(f, vector, false);
    count_waiting(f, false);
    return msix_sending(f, vector);
}

/* ---- MSI ---- */

static uint32_t msi_control(const struct sim_function *f)
{
    return f->at[SIM_CAP_MSI] ? sim_word(f, f->at[SIM_CAP_MSI]) >> 16 : 0;
}

/* 0: the capability has no masks. */
static unsigned msi_mask_reg(const struct sim_function *f)
{
    uint32_t control = msi_control(f);

    if (!(control & PCI_MSI_FLAGS_MASKBIT))
        return 0;
    return f->at[SIM_CAP_MSI] +
           (unsigned)(control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

/* The vectors that software has allotted, not more than there are. */
static unsigned msi_vectors(const struct sim_function *f)
{
    unsigned has = (msi_control(f) & PCI_MSI_FLAGS_QMASK) >> 1;
    unsigned allotted = (msi_control(f) & PCI_MSI_FLAGS_QSIZE) >> 4;

    return 1u << (allotted < has ? allotted : has);
}

/* PCIe 6.1.4.2: the low bits of the data are the vector. */
static struct sending msi_sending(const struct sim_function *f, unsigned vector)
{
    unsigned at = f->at[SIM_CAP_MSI];
    bool wide = msi_control(f) & PCI_MSI_FLAGS_64BIT;
    uint32_t data = sim_word(f, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32)) & 0xffff;
    uint64_t address = sim_word(f, at + PCI_MSI_ADDRESS_LO);

    if (wide)
        address |= (uint64_t)sim_word(f, at + PCI_MSI_ADDRESS_HI) << 32;
    return (struct sending){SEND_MESSAGE, address, (data & ~(msi_vectors(f) - 1)) | vector};
}

static enum sim_irq_result raise_msi(struct sim_function *f, unsigned vector, struct sending *s)
{
    unsigned mask = msi_mask_reg(f);
    uint32_t bit;

    vector %= msi_vectors(f);
    bit = UINT32_C(1) << vector;
    if (!mask || !(sim_word(f, mask) & bit)) {
        *s = msi_sending(f, vector);
        return SIM_IRQ_NONE;
    }
    if (!(sim_word(f, mask + 4) & bit)) {
        sim_set_word(f, mask + 4, sim_word(f, mask + 4) | bit);
        count_waiting(f, true);
    }
    return SIM_IRQ_PENDING;
}

static struct sending due_msi(struct sim_function *f)
{
    unsigned mask = msi_mask_reg(f);
    uint32_t due = mask ? sim_word(f, mask + 4) & ~sim_word(f, mask) : 0;
    unsigned vector = 0;

    if (!due)
        return (struct sending){SEND_NOTHING, 0, 0};
    while (!(due >> vector & 1))
        vector++;
    sim_set_word(f, mask + 4, sim_word(f, mask + 4) & ~(UINT32_C(1) << vector));
    count_waiting(f, false);
    return msi_sending(f, vector % msi_vectors(f));
}

/* ---- INTx ---- */

static bool line_is_high(const struct sim_function *f)
{
    return sim_word(f, PCI_COMMAND) & sim_high(PCI_STATUS_INTERRUPT);
}

static void set_line(struct sim_function *f, bool high)
{
    uint32_t word = sim_word(f, PCI_COMMAND) & ~sim_high(PCI_STATUS_INTERRUPT);

    if (line_is_high(f) != high)
        count_waiting(f, high);
    sim_set_word(f, PCI_COMMAND, high ? word | sim_high(PCI_STATUS_INTERRUPT) : word);
    f->line_told = false;
}

/* PCIe 7.5.1.1.4: the status bit is set whether or not the pin may be driven. */
static enum sim_irq_result raise_line(struct sim_function *f, struct sending *s)
{
    if (f->pf || !(sim_word(f, PCI_INTERRUPT_LINE) >> 8 & 0xff))
        return SIM_IRQ_NONE;
    set_line(f, true);
    if (sim_word(f, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
        return SIM_IRQ_PENDING;
    s->what = SEND_LINE;
    return SIM_IRQ_NONE;
}

static struct sending due_line(struct sim_function *f)
{
    struct sending s = {SEND_NOTHING, 0, 0};
    struct berth_irq irq;

    if (!line_is_high(f))
        return s;
    if (sim_word(f, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
        f->line_told = false;
    else if (!f->line_told && sim_remap_line(f, &irq))
        s.what = SEND_LINE;
    return s;
}

/* ---- one of them ---- */

/* What is wrong with @vector is the caller's fault, whatever else is off. */
static int raise_locked(struct sim_function *f, unsigned vector, struct sending *s,
                        enum sim_irq_result *result)
{
    bool msix = msix_control(f) & PCI_MSIX_FLAGS_ENABLE;
    bool msi = !msix && msi_control(f) & PCI_MSI_FLAGS_ENABLE;

    if ((msix && vector >= sim_msix_size(f)) ||
        (msi && vector >> ((msi_control(f) & PCI_MSI_FLAGS_QMASK) >> 1)))
        return -EINVAL;
    if (sim_power_state(f) || ((msix || msi) && !sim_can_master(f)))
        return 0;
    if (msix)
        *result = raise_msix(f, vector, s);
    else
        *result = msi ? raise_msi(f, vector, s) : raise_line(f, s);
    return 0;
}

static struct sending due_locked(struct sim_function *f)
{
    bool msix = msix_control(f) & PCI_MSIX_FLAGS_ENABLE;
    bool msi = msi_control(f) & PCI_MSI_FLAGS_ENABLE;

    if (sim_power_state(f) || ((msix || msi) && !sim_can_master(f)))
        return (struct sending){SEND_NOTHING, 0, 0};
    if (msix)
        return due_msix(f);
    return msi ? due_msi(f) : due_line(f);
}

void sim_interrupts_reset(struct sim_function *f)
{
    atomic_store(&f->waiting, 0); /* the bits themselves are gone already */
    f->line_told = false;
}

/* ---- no lock is held ---- */

int sim_raise(struct sim *sim, struct sbdf sbdf, unsigned vector, enum sim_irq_result *result)
{
    struct sim_function *f = sim_find(sim, sbdf);
    struct sending s = {SEND_NOTHING, 0, 0};
    int error;

    *result = SIM_IRQ_NONE;
    if (!f)
        return -ENODEV;
    if (sim_answer(f) != SIM_ANSWER_YES)
        return 0;
    pthread_mutex_lock(&f->lock);
    error = raise_locked(f, vector, &s, result);
    pthread_mutex_unlock(&f->lock);
    if (s.what != SEND_NOTHING)
        *result = transmit(sim, f, &s);
    return error;
}

int sim_lower(struct sim *sim, struct sbdf sbdf)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f)
        return -ENODEV;
    if (sim_answer(f) != SIM_ANSWER_YES)
        return 0;
    pthread_mutex_lock(&f->lock);
    set_line(f, false);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

void sim_interrupts_flush(struct sim *sim, struct sim_function *f)
{
    while (atomic_load_explicit(&f->waiting, memory_order_relaxed) &&
           sim_answer(f) == SIM_ANSWER_YES) {
        struct sending s;

        pthread_mutex_lock(&f->lock);
        s = due_locked(f);
        pthread_mutex_unlock(&f->lock);
        if (s.what == SEND_NOTHING)
            return;
        (void)transmit(sim, f, &s);
    }
}

int sim_msix_entry(struct sim *sim, struct sbdf sbdf, unsigned vector, struct sim_msix_entry *entry)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f || sim_answer(f) != SIM_ANSWER_YES || vector >= sim_msix_size(f))
        return -ENOENT;
    pthread_mutex_lock(&f->lock);
    *entry = sim_msix_entry_of(f, vector);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

/* ---- the coarse probe ---- */

static bool can_interrupt(const struct sim_function *f)
{
    unsigned msi = f->at[SIM_CAP_MSI], msix = f->at[SIM_CAP_MSIX];
    uint32_t control = msix ? sim_word(f, msix) >> 16 : 0;

    if (msi && sim_word(f, msi) >> 16 & PCI_MSI_FLAGS_ENABLE)
        return true;
    return (control & PCI_MSIX_FLAGS_ENABLE) && !(control & PCI_MSIX_FLAGS_MASKALL);
}

int sim_interrupt(struct sim *sim, struct sbdf sbdf, enum sim_irq_result *result,
                  uint32_t *domain_id)
{
    const struct sim_function *f = sim_find(sim, sbdf);
    struct sim_context *context;

    *result = SIM_IRQ_NONE;
    if (!f)
        return -ENODEV;
    if (sim_answer(f) != SIM_ANSWER_YES || !sim_can_master(f) || !can_interrupt(f))
        return 0;
    context = sim_context_find(sim, sim_rid_of(f));
    if (context && sim_context_domain(context, domain_id)) {
        *result = SIM_IRQ_DELIVERED;
        sim_count(&sim->interrupts_delivered);
    } else {
        *result = SIM_IRQ_BLOCKED;
        sim_count(&sim->interrupts_blocked);
    }
    return 0;
}
