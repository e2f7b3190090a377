/* SPDX-License-Identifier: MIT */
/* From what a guest's access says to an address in config space (M40). */
#include <berth/errno.h>
#include <berth/vpci.h>

/* PCIe 7.2.2: bus, device, function and register are fields of the address, counted from the base
 * of the window, wherever that is (F89). */
#define ECAM_BUS_SHIFT 20
#define ECAM_DEVFN_SHIFT 12

int berth_ecam_decode(const struct berth_ecam *window, uint64_t address, struct sbdf *sbdf,
                      unsigned *reg)
{
    uint64_t offset = address - window->base, bus;

    if (address < window->base || window->last_bus < window->first_bus)
        return -ENOENT;
    bus = (offset >> ECAM_BUS_SHIFT) + window->first_bus;
    if (bus > window->last_bus)
        return -ENOENT;
    sbdf->segment = window->segment;
    sbdf->bus = (uint8_t)bus;
    sbdf->devfn = (uint8_t)(offset >> ECAM_DEVFN_SHIFT);
    *reg = offset & 0xfff;
    return 0;
}

#define CF8_ENABLE 0x80000000u
#define CF8_DATA 0xcfcu

int berth_cf8_decode(uint32_t address, uint16_t port, struct sbdf *sbdf, unsigned *reg)
{
    if (!(address & CF8_ENABLE) || port < CF8_DATA || port > CF8_DATA + 3)
        return -ENOENT;
    sbdf->segment = 0;
    sbdf->bus = (uint8_t)(address >> 16);
    sbdf->devfn = (uint8_t)(address >> 8);
    *reg = (address >> 24 & 0xf) << 8 | (address & 0xfc) | (port & 3u);
    return 0;
}
