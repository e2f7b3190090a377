/* SPDX-License-Identifier: MIT */
/*
 * Class codes: PCI Code and ID Assignment Specification 1.15, section 1.
 */
#include <stddef.h>

#include "front/control/names.h"

/* An entry stands for all class codes that equal .code where .mask has ones. */
struct class_entry {
    uint32_t code, mask;
    const char *name;
};

#define INTERFACE 0xffffffu
#define SUBCLASS 0xffff00u
#define BASE 0xff0000u

/* The first match counts: interfaces stand before their sub-class, sub-classes before their base.
 */
static const struct class_entry classes[] = {
    {0x000100, SUBCLASS, "VGA device, old"},
    {0x000000, BASE, "Unclassified"},

    {0x010000, SUBCLASS, "SCSI controller"},
    {0x010100, SUBCLASS, "IDE controller"},
    {0x010400, SUBCLASS, "RAID controller"},
    {0x010500, SUBCLASS, "ATA controller"},
    {0x010601, INTERFACE, "AHCI controller"},
    {0x010600, SUBCLASS, "SATA controller"},
    {0x010700, SUBCLASS, "SAS controller"},
    {0x010802, INTERFACE, "NVMe controller"},
    {0x010800, SUBCLASS, "NVM controller"},
    {0x010900, SUBCLASS, "UFS controller"},
    {0x010000, BASE, "Mass storage"},

    {0x020000, SUBCLASS, "Ethernet controller"},
    {0x020600, SUBCLASS, "Network controller, PICMG"},
    {0x020700, SUBCLASS, "InfiniBand controller"},
    {0x020800, SUBCLASS, "Fabric controller"},
    {0x020000, BASE, "Network controller"},

    {0x030000, SUBCLASS, "VGA controller"},
    {0x030100, SUBCLASS, "XGA controller"},
    {0x030200, SUBCLASS, "3D controller"},
    {0x030000, BASE, "Display controller"},

    {0x040000, SUBCLASS, "Video device"},
    {0x040100, SUBCLASS, "Audio device"},
    {0x040300, SUBCLASS, "HD audio device"},
    {0x040000, BASE, "Multimedia device"},

    {0x050000, SUBCLASS, "RAM"},
    {0x050100, SUBCLASS, "Flash memory"},
    {0x050200, SUBCLASS, "CXL memory"},
    {0x050000, BASE, "Memory controller"},

    {0x060000, SUBCLASS, "Host bridge"},
    {0x060100, SUBCLASS, "ISA bridge"},
    {0x060400, SUBCLASS, "PCI bridge"},
    {0x060700, SUBCLASS, "CardBus bridge"},
    {0x060900, SUBCLASS, "PCI bridge, semi-transparent"},
    {0x060a00, SUBCLASS, "InfiniBand to PCI bridge"},
    {0x060b00, SUBCLASS, "Advanced switching bridge"},
    {0x060000, BASE, "Bridge"},

    {0x070000, SUBCLASS, "Serial controller"},
    {0x070100, SUBCLASS, "Parallel controller"},
    {0x070300, SUBCLASS, "Modem"},
    {0x070000, BASE, "Communication device"},

    {0x080000, SUBCLASS, "Interrupt controller"},
    {0x080100, SUBCLASS, "DMA controller"},
    {0x080200, SUBCLASS, "Timer"},
    {0x080300, SUBCLASS, "Real-time clock"},
    {0x080400, SUBCLASS, "Hot-plug controller"},
    {0x080500, SUBCLASS, "SD host controller"},
    {0x080600, SUBCLASS, "IOMMU"},
    {0x080700, SUBCLASS, "Event collector"},
    {0x080000, BASE, "System peripheral"},

    {0x090000, BASE, "Input device"},
    {0x0a0000, BASE, "Docking station"},
    {0x0b0000, BASE, "Processor"},

    {0x0c0000, SUBCLASS, "FireWire controller"},
    {0x0c0300, INTERFACE, "USB UHCI controller"},
    {0x0c0310, INTERFACE, "USB OHCI controller"},
    {0x0c0320, INTERFACE, "USB EHCI controller"},
    {0x0c0330, INTERFACE, "USB xHCI controller"},
    {0x0c0340, INTERFACE, "USB4 controller"},
    {0x0c0300, SUBCLASS, "USB controller"},
    {0x0c0400, SUBCLASS, "Fibre Channel"},
    {0x0c0500, SUBCLASS, "SMBus controller"},
    {0x0c0700, SUBCLASS, "IPMI interface"},
    {0x0c0000, BASE, "Serial bus controller"},

    {0x0d0000, BASE, "Wireless controller"},
    {0x0e0000, BASE, "Intelligent I/O"},
    {0x0f0000, BASE, "Satellite controller"},
    {0x100000, BASE, "Encryption controller"},
    {0x110000, BASE, "Signal processing"},
    {0x120000, BASE, "Accelerator"},
    {0x130000, BASE, "Instrumentation"},
    {0x400000, BASE, "Coprocessor"},
    {0xff0000, BASE, "Other device"},
};

const char *class_name(uint32_t class_code)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if ((class_code & classes[i].mask) == classes[i].code)
            return classes[i].name;
    }
    return "Reserved class";
}
