/* SPDX-License-Identifier: MIT */
/* P2: what a guest sets off by its registers: BARs, power, resets, VFs, ports. */
#include <linux/pci_regs.h>

#include "tests/sweep/sweep.h"

#define VF_AT UINT64_C(0x300000000)

static void lend(void)
{
    stage_lend(seam.subject);
}

static void place(void)
{
    lend();
    (void)guest_put(BAR(0), 8, BAR0_AT);
    (void)guest_put(BAR(2), 8, BAR2_AT);
    (void)guest_put(ROM, 4, ROM_AT);
}

/* ---- BARs ---- */

static int turn_on(void)
{
    return guest_put(COMMAND, 2, COMMAND_WORKS);
}

static int turn_off(void)
{
    return guest_put(COMMAND, 2, 0);
}

/* Piece by piece, as a virtual CPU that does not run meanwhile. */
static int write_in_pieces(unsigned reg, unsigned length, uint64_t value)
{
    int error = berth_vcpu_config_write(&stage.vcpu, stage.guest, stage.seen, reg, length, value);

    while (error == -EAGAIN)
        error = berth_vcpu_continue(&stage.vcpu);
    return error;
}

static int turn_on_in_pieces(void)
{
    return write_in_pieces(COMMAND, 2, COMMAND_WORKS);
}

static int turn_off_in_pieces(void)
{
    return write_in_pieces(COMMAND, 2, 0);
}

/* Somebody has stopped it in the middle: what it left is done by who comes next. */
static int stop_and_go(void)
{
    int error =
        berth_vcpu_config_write(&stage.vcpu, stage.guest, stage.seen, COMMAND, 2, COMMAND_WORKS);

    if (error == -EAGAIN)
        error = berth_vcpu_continue(&stage.vcpu);
    berth_vcpu_stop(&stage.vcpu);
    return turn_on();
}

/* Addresses stay where they are while they are decoded. */
static int move(void)
{
    (void)turn_off();
    (void)guest_put(BAR(2), 8, BAR2_AT + 0x100000000);
    return turn_on();
}

static int enable_rom(void)
{
    return guest_put(ROM, 4, ROM_AT | PCI_ROM_ADDRESS_ENABLE);
}

static int disable_rom(void)
{
    return guest_put(ROM, 4, ROM_AT);
}

static void place_with_rom(void)
{
    place();
    (void)turn_on();
    (void)enable_rom();
}

static void have_rom_off(void)
{
    place();
    (void)turn_on();
}

static int resize(void)
{
    return guest_put(guest_ext_cap(PCI_EXT_CAP_ID_REBAR) + PCI_REBAR_CTRL, 4, 2u << 8);
}

static const struct sweep bars[] = {
    {"turn decode on", RICH, place, turn_on, SWEEP_OF_GUEST},
    {"turn decode on in pieces", RICH, place, turn_on_in_pieces, SWEEP_OF_GUEST},
    {"stop in between", RICH, place, stop_and_go, SWEEP_OF_GUEST},
    {"turn decode off", RICH, stage_drive, turn_off, SWEEP_OF_GUEST},
    {"turn decode off in pieces", RICH, stage_drive, turn_off_in_pieces, SWEEP_OF_GUEST},
    {"turn ROM and BARs off", RICH, place_with_rom, turn_off, SWEEP_OF_GUEST},
    {"move a BAR", RICH, have_rom_off, move, SWEEP_OF_GUEST},
    {"enable the ROM", RICH, have_rom_off, enable_rom, SWEEP_OF_GUEST},
    {"disable the ROM", RICH, place_with_rom, disable_rom, SWEEP_OF_GUEST},
    {"resize a BAR", RICH, place, resize, SWEEP_OF_GUEST},
};

/* ---- power and resets ---- */

static int power(unsigned state)
{
    return guest_put(guest_cap(PCI_CAP_ID_PM) + PCI_PM_CTRL, 2, state);
}

static int go_to_sleep(void)
{
    return power(3);
}

static int wake_up(void)
{
    return power(0);
}

static void sleep_driven(void)
{
    stage_drive();
    (void)go_to_sleep();
}

static int reset_itself(void)
{
    return guest_put(guest_cap(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
}

static const struct sbdf port = {0, 0, 1 << 3};

static int reset_bus(void)
{
    berth_domain_config_write(stage.guest, port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    berth_domain_config_write(stage.guest, port, PCI_BRIDGE_CONTROL, 2, 0);
    return 0;
}

static const struct sweep powers[] = {
    {"go to sleep", RICH, stage_drive, go_to_sleep, SWEEP_OF_GUEST},
    {"wake up", RICH, sleep_driven, wake_up, SWEEP_OF_GUEST},
    {"FLR by the guest", RICH, stage_drive, reset_itself, SWEEP_OF_GUEST | SWEEP_RECOVERS},
    {"bus reset by the guest", BEHIND_PORT, stage_drive, reset_bus,
     SWEEP_OF_GUEST | SWEEP_RECOVERS},
};

/* ---- VFs, ports, vital product data ---- */

static void place_vfs(void)
{
    unsigned sriov;

    lend();
    sriov = guest_ext_cap(PCI_EXT_CAP_ID_SRIOV);
    (void)guest_put(sriov + PCI_SRIOV_BAR, 8, VF_AT);
    (void)guest_put(sriov + PCI_SRIOV_NUM_VF, 2, 2);
}

static int vfs(unsigned control)
{
    return guest_put(guest_ext_cap(PCI_EXT_CAP_ID_SRIOV) + PCI_SRIOV_CTRL, 2, control);
}

static int make_vfs(void)
{
    return vfs(PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
}

static int drop_vfs(void)
{
    return vfs(0);
}

static void have_vfs(void)
{
    place_vfs();
    (void)make_vfs();
    assert_true(rig_has(&stage.rig, stage_vf(1)));
}

static int deassign_pf(void)
{
    return rig_deassign(&stage.rig, stage_dev, stage.guest);
}

static int read_vpd(void)
{
    return guest_put(guest_cap(PCI_CAP_ID_VPD) + PCI_VPD_ADDR, 2, 4);
}

static void prepare_vpd(void)
{
    lend();
    (void)guest_put(guest_cap(PCI_CAP_ID_VPD) + PCI_VPD_DATA, 4, 0x12345678);
}

static int write_vpd(void)
{
    return guest_put(guest_cap(PCI_CAP_ID_VPD) + PCI_VPD_ADDR, 2, PCI_VPD_ADDR_F);
}

static const struct sweep others[] = {
    {"make VFs", {SETTING_PF, ON_DEV}, place_vfs, make_vfs, SWEEP_OF_GUEST},
    {"drop VFs", {SETTING_PF, ON_DEV}, have_vfs, drop_vfs, SWEEP_OF_GUEST},
    {"deassign a PF with VFs",
     {SETTING_PF, ON_DEV},
     have_vfs,
     deassign_pf,
     SWEEP_PARTLY | SWEEP_RESETS},
    {"read VPD", RICH, lend, read_vpd, SWEEP_OF_GUEST},
    {"write VPD",
     {SETTING_RICH, ON_DEV, .vpd_writes = true},
     prepare_vpd,
     write_vpd,
     SWEEP_OF_GUEST},
};

/* ---- registers that an embedder adds ---- */

static const struct berth_register extra = {.offset = 0xf0, .size = 4, .rw = 0xffff};

static int add_register(void)
{
    struct pcidev *dev = rig_dev(&stage.rig, seam.subject);
    int error = berth_register_add(dev, &extra, NULL);

    rig_put(dev);
    return error;
}

static int remove_register(void)
{
    struct pcidev *dev = rig_dev(&stage.rig, seam.subject);
    int error = berth_register_remove(dev, extra.offset, extra.size);

    rig_put(dev);
    return error;
}

static void have_register(void)
{
    lend();
    assert_int_equal(add_register(), 0);
    (void)guest_put(extra.offset, 4, 0x1234);
}

static const struct sweep registers[] = {
    {"add a register", RICH, lend, add_register, SWEEP_SILENT},
    {"add one for the host", RICH, NULL, add_register, SWEEP_SILENT},
    {"remove a register", RICH, have_register, remove_register, SWEEP_SILENT},
};

static void test_P2_bars(void **state)
{
    (void)state;
    SWEEP_ALL(bars);
}

static void test_P2_power(void **state)
{
    (void)state;
    SWEEP_ALL(powers);
}

static void test_P2_VFs_and_VPD(void **state)
{
    (void)state;
    SWEEP_ALL(others);
}

static void test_P2_registers(void **state)
{
    (void)state;
    SWEEP_ALL(registers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_bars),
        cmocka_unit_test(test_P2_power),
        cmocka_unit_test(test_P2_VFs_and_VPD),
        cmocka_unit_test(test_P2_registers),
    };

    return SWEEP_MAIN(tests);
}
