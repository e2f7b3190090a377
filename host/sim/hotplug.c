/* SPDX-License-Identifier: MIT */
/*
 * Cards are pulled and put back.
 */
#include <berth/errno.h>
#include <berth_port.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

static void pull(struct sim *sim, struct sim_function *f, uint64_t now)
{
    (void)now;
    atomic_store(&f->present, false); /* VFs are there while their PF is */
    sim_caches_drop(sim, f);          /* what a card has cached does not outlive its power */
}

/* ---- coming back ---- */

/* What firmware or a hot-plug driver assigns: numbers, windows and decoding of bridges, without
 * which nothing behind them can be reached; BARs of the others. */
static void assign_bridge(struct sim_function *f)
{
    sim_set_word(f, PCI_COMMAND,
                 (sim_word(f, PCI_COMMAND) & 0xffff0000) | (f->captured[1] & 0xffff));
    for (unsigned reg = PCI_BASE_ADDRESS_0; reg < PCI_ROM_ADDRESS1; reg += 4)
        sim_set_word(f, reg, f->captured[reg / 4]);
    if (sim_header_type(f) == PCI_HEADER_TYPE_BRIDGE) /* the upper half is status */
        sim_set_word(f, PCI_IO_BASE, f->captured[PCI_IO_BASE / 4] & 0xffff);
    sim_set_word(f, PCI_ROM_ADDRESS1,
                 f->captured[PCI_ROM_ADDRESS1 / 4] & ~(uint32_t)PCI_ROM_ADDRESS_ENABLE);
}

static void assign_bars(struct sim_function *f)
{
    unsigned vf_bars = f->at[SIM_CAP_SRIOV] + (unsigned)PCI_SRIOV_BAR;

    for (unsigned reg = PCI_BASE_ADDRESS_0; reg <= PCI_BASE_ADDRESS_5; reg += 4)
        sim_set_word(f, reg, f->captured[reg / 4]);
    sim_set_word(f, PCI_ROM_ADDRESS,
                 f->captured[PCI_ROM_ADDRESS / 4] & ~(uint32_t)PCI_ROM_ADDRESS_ENABLE);
    for (unsigned i = 0; f->sriov && i < CAPTURE_BARS; i++)
        sim_set_word(f, vf_bars + 4 * i, f->sriov->captured_bars[i]);
}

static void plug_in(struct sim_function *f)
{
    pthread_mutex_lock(&f->lock);
    sim_registers_reset(f, SIM_DEPTH_COLD);
    if (sim_is_bridge(f))
        assign_bridge(f);
    else if (sim_header_type(f) == PCI_HEADER_TYPE_NORMAL)
        assign_bars(f);
    atomic_store(&f->answers_at, 0);
    atomic_store(&f->vanish_in, 0);
    atomic_store(&f->contained, false);
    atomic_store(&f->present, true);
    pthread_mutex_unlock(&f->lock);
}

static void put_back(struct sim *sim, struct sim_function *f, uint64_t now)
{
    (void)sim;
    (void)now;
    if (atomic_load(&f->present) && atomic_load(&f->answers_at) != SIM_NEVER)
        return;
    if (!f->pf)
        plug_in(f);
    else if (sim_vf_enabled(f))
        sim_vf_wake(f, 0);
}

/* ---- how much of the machine it is ---- */

static void with_behind(struct sim *sim, struct sim_function *f, sim_visit_fn *visit)
{
    visit(sim, f, 0);
    if (sim_is_bridge(f))
        sim_for_behind(sim, f, visit, 0);
}

static void pull_with_behind(struct sim *sim, struct sim_function *f, uint64_t now)
{
    (void)now;
    if (!f->pf)
        with_behind(sim, f, pull);
}

static void put_back_with_behind(struct sim *sim, struct sim_function *f, uint64_t now)
{
    (void)now;
    if (!f->pf)
        with_behind(sim, f, put_back);
}

/* A PCIe link has one device at its end, of which ARI makes up to 256 functions (PCIe 6.13). */
static uint32_t last_of_card(const struct sim_function *f)
{
    int above = f->parent ? sim_pcie_type(f->parent) : -1;
    bool link = above == PCI_EXP_TYPE_ROOT_PORT || above == PCI_EXP_TYPE_DOWNSTREAM;

    return sbdf_key(f->sbdf) | (link && sbdf_device(f->sbdf) == 0 ? 0xff : 7);
}

/* ---- what a slot notices: PCIe 6.7.3 and 7.5.3.11 ---- */

static bool slot_is_taken(const struct sim *sim, const struct sim_function *port)
{
    struct sbdf s = {port->sbdf.segment, (uint8_t)(port->captured[PCI_PRIMARY_BUS / 4] >> 8), 0};

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct sim_function *f;

        s.devfn = (uint8_t)devfn;
        f = sim_find(sim, s);
        if (f && f->parent == port && !f->pf && atomic_load(&f->present))
            return true;
    }
    return false;
}

static bool reports_link(const struct sim_function *port)
{
    return sim_word(port, port->at[SIM_CAP_PCIE] + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_DLLLARC;
}

static bool is_taken(const struct sim_function *port)
{
    return sim_word(port, port->at[SIM_CAP_PCIE] + PCI_EXP_SLTCTL) & sim_high(PCI_EXP_SLTSTA_PDS);
}

static void set_status(struct sim_function *port, unsigned reg, unsigned bit, bool on)
{
    unsigned at = port->at[SIM_CAP_PCIE] + reg;
    uint32_t word = sim_word(port, at) & ~sim_high(bit);

    sim_set_word(port, at, on ? word | sim_high(bit) : word);
}

static void set_taken(struct sim_function *port, bool taken)
{
    set_status(port, PCI_EXP_SLTCTL, PCI_EXP_SLTSTA_PDS, taken);
    if (reports_link(port))
        set_status(port, PCI_EXP_LNKCTL, PCI_EXP_LNKSTA_DLLLA, taken);
}

static bool has_slot(const struct sim_function *f)
{
    unsigned at = f->at[SIM_CAP_PCIE];
    int type = sim_pcie_type(f);

    return (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM) &&
           sim_word(f, at) & sim_high(PCI_EXP_FLAGS_SLOT) && at + PCI_EXP_SLTCTL + 4u <= f->size;
}

static void slot_update(const struct sim *sim, struct sim_function *port)
{
    bool taken;

    if (!port || !has_slot(port))
        return;
    taken = slot_is_taken(sim, port);
    pthread_mutex_lock(&port->lock);
    if (is_taken(port) != taken) {
        set_taken(port, taken);
        set_status(port, PCI_EXP_SLTCTL, PCI_EXP_SLTSTA_PDC, true);
        if (reports_link(port))
            set_status(port, PCI_EXP_SLTCTL, PCI_EXP_SLTSTA_DLLSC, true);
    }
    pthread_mutex_unlock(&port->lock);
}

void sim_slots_build(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->captured_count; i++) {
        struct sim_function *f = &sim->functions[i];

        if (!f->pf && has_slot(f))
            set_taken(f, slot_is_taken(sim, f));
    }
}

static int move_card(struct sim *sim, struct sbdf sbdf, sim_visit_fn *visit)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f)
        return -ENODEV;
    pthread_mutex_lock(&sim->hotplug);
    if (f->pf)
        (visit == pull_with_behind ? pull : put_back)(sim, f, 0);
    else if (sbdf_function(sbdf))
        visit(sim, f, 0);
    else
        sim_for_range(sim, sbdf_key(sbdf), last_of_card(f), visit, 0);
    if (!f->pf)
        slot_update(sim, f->parent);
    pthread_mutex_unlock(&sim->hotplug);
    return 0;
}

int sim_vanish(struct sim *sim, struct sbdf sbdf)
{
    return move_card(sim, sbdf, pull_with_behind);
}

int sim_return(struct sim *sim, struct sbdf sbdf)
{
    return move_card(sim, sbdf, put_back_with_behind);
}

int sim_vanish_after(struct sim *sim, struct sbdf sbdf, unsigned nth)
{
    struct sim_function *f = sim_find(sim, sbdf);

    if (!f)
        return -ENODEV;
    atomic_store(&f->vanish_in, nth);
    return 0;
}

void sim_vanish_tick(struct sim *sim, struct sim_function *f)
{
    uint32_t left = atomic_load_explicit(&f->vanish_in, memory_order_relaxed);

    while (left && !atomic_compare_exchange_weak(&f->vanish_in, &left, left - 1))
        ;
    if (left == 1)
        sim_vanish(sim, f->sbdf);
}
