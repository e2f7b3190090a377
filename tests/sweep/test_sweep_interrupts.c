/* SPDX-License-Identifier: MIT */
/* P2: what a guest's driver does with interrupts. */
#include <linux/pci_regs.h>

#include "tests/sweep/sweep.h"

#define ENTRY(vector) (MSIX_TABLE + 16 * (uint64_t)(vector))

static void lend(void)
{
    stage_lend(seam.subject);
    (void)guest_put(COMMAND, 2, COMMAND_WORKS);
}

/* ---- MSI ---- */

static int msi(unsigned control)
{
    return guest_put(guest_cap(PCI_CAP_ID_MSI) + PCI_MSI_FLAGS, 2, control);
}

static int enable_msi(void)
{
    return msi(PCI_MSI_FLAGS_ENABLE | 0x20); /* 4 vectors */
}

static int disable_msi(void)
{
    return msi(0);
}

static void program_msi(void)
{
    unsigned cap;

    lend();
    cap = guest_cap(PCI_CAP_ID_MSI);
    (void)guest_put(cap + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
    (void)guest_put(cap + PCI_MSI_DATA_64, 2, 0x40);
}

static void have_msi(void)
{
    program_msi();
    (void)enable_msi();
    assert_int_equal(guest_get(guest_cap(PCI_CAP_ID_MSI) + PCI_MSI_FLAGS, 2) & 1, 1);
}

static int mask_msi(void)
{
    return guest_put(guest_cap(PCI_CAP_ID_MSI) + PCI_MSI_MASK_64, 4, 5);
}

static const struct sweep msis[] = {
    {"enable MSI", RICH, program_msi, enable_msi, SWEEP_OF_GUEST},
    {"mask MSI", RICH, have_msi, mask_msi, SWEEP_OF_GUEST},
    {"disable MSI", RICH, have_msi, disable_msi, SWEEP_OF_GUEST},
};

/* ---- MSI-X ---- */

static int msix(unsigned control)
{
    return guest_put(guest_cap(PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2, control);
}

static int enable_msix(void)
{
    return msix(PCI_MSIX_FLAGS_ENABLE);
}

static int mask_all(void)
{
    return msix(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

static int disable_msix(void)
{
    return msix(0);
}

static int switch_to_msi(void)
{
    (void)disable_msix();
    return enable_msi();
}

static void have_msix_off(void)
{
    stage_drive();
    (void)disable_msix();
}

static void have_all_masked(void)
{
    stage_drive();
    (void)mask_all();
}

static int bind_vector(void)
{
    return guest_mmio_put(ENTRY(VECTORS) + 8, 8, 0x43);
}

static int mask_vector(void)
{
    return guest_mmio_put(ENTRY(0) + 12, 4, 1);
}

static int unmask_vector(void)
{
    return guest_mmio_put(ENTRY(0) + 12, 4, 0);
}

static void have_vector_masked(void)
{
    stage_drive();
    (void)mask_vector();
}

static const struct sweep msixs[] = {
    {"enable MSI-X", RICH, have_msix_off, enable_msix, SWEEP_OF_GUEST},
    {"mask MSI-X", RICH, stage_drive, mask_all, SWEEP_OF_GUEST},
    {"unmask MSI-X", RICH, have_all_masked, enable_msix, SWEEP_OF_GUEST},
    {"bind a vector", RICH, stage_drive, bind_vector, SWEEP_OF_GUEST},
    {"mask a vector", RICH, stage_drive, mask_vector, SWEEP_OF_GUEST},
    {"unmask a vector", RICH, have_vector_masked, unmask_vector, SWEEP_OF_GUEST},
    {"disable MSI-X", RICH, stage_drive, disable_msix, SWEEP_OF_GUEST},
    {"from MSI-X to MSI", RICH, stage_drive, switch_to_msi, SWEEP_OF_GUEST},
};

/* ---- INTx, and those of ports ---- */

static int forbid_intx(void)
{
    return guest_put(COMMAND, 2, COMMAND_WORKS | COMMAND_NO_INTX);
}

static int allow_intx(void)
{
    return guest_put(COMMAND, 2, COMMAND_WORKS);
}

static void have_no_intx(void)
{
    lend();
    (void)forbid_intx();
}

static int end_interrupt(void)
{
    enum sim_irq_result result;

    (void)sim_raise(stage.rig.sim, seam.subject, 0, &result);
    (void)sim_lower(stage.rig.sim, seam.subject);
    berth_domain_intx_eoi(stage.guest, stage.seen);
    return 0;
}

/* Behind a port whose slot tells of what comes and goes. */
static void hear_of_slots(void)
{
    const struct sbdf port = {0, 0, 1 << 3};

    berth_domain_config_write(stage.guest, port, 0x58, 2, 0x1028);
}

static int plug(void)
{
    return rig_assign(&stage.rig, seam.subject, stage.guest);
}

static void be_plugged(void)
{
    hear_of_slots();
    stage_drive();
}

static int unplug(void)
{
    return rig_deassign(&stage.rig, seam.subject, stage.guest);
}

static const struct sweep lines[] = {
    {"forbid INTx", RICH, lend, forbid_intx, SWEEP_OF_GUEST},
    {"allow INTx", RICH, have_no_intx, allow_intx, SWEEP_OF_GUEST},
    {"end an interrupt", RICH, lend, end_interrupt, SWEEP_OF_GUEST},
    {"plug into a slot", BEHIND_PORT, hear_of_slots, plug, SWEEP_RESETS},
    {"unplug from a slot", BEHIND_PORT, be_plugged, unplug, SWEEP_RESETS},
};

static void test_P2_msi(void **state)
{
    (void)state;
    SWEEP_ALL(msis);
}

static void test_P2_msix(void **state)
{
    (void)state;
    SWEEP_ALL(msixs);
}

static void test_P2_lines_and_slots(void **state)
{
    (void)state;
    SWEEP_ALL(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_msi),
        cmocka_unit_test(test_P2_msix),
        cmocka_unit_test(test_P2_lines_and_slots),
    };

    return SWEEP_MAIN(tests);
}
