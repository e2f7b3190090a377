/* SPDX-License-Identifier: MIT */
/*
 * Vital product data: 32 KiB behind an address and a data register. PCIe 6.27 and 7.9.18.
 *
 * The registers take no time: the flag has turned when the write is done.
 */
#include <stdio.h>
#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define TAG_NAME 0x82
#define TAG_READ_ONLY 0x90
#define TAG_END 0x78

#define CONTENT_MAX 128
#define ERASED 0xff
#define WRITTEN (UINT64_C(1) << 32) /* beside the four bytes of a cell */

struct content {
    uint8_t bytes[CONTENT_MAX];
    unsigned length;
};

static void put(struct content *c, unsigned byte)
{
    c->bytes[c->length++] = (uint8_t)byte;
}

static void put_text(struct content *c, const char *text)
{
    while (*text)
        put(c, (uint8_t)*text++);
}

static void put_field(struct content *c, const char *keyword, const char *text)
{
    put_text(c, keyword);
    put(c, (unsigned)strlen(text));
    put_text(c, text);
}

/* The sum of all bytes up to and with the checksum is zero. */
static void put_checksum(struct content *c)
{
    unsigned sum = 0;

    put_text(c, "RV");
    put(c, 1);
    for (unsigned i = 0; i < c->length; i++)
        sum += c->bytes[i];
    put(c, 0u - sum);
}

/* What the maker has written into it: the same for the same device at the same place. */
static void make_content(const struct sim_function *f, struct content *c)
{
    uint32_t ids = sim_word(f, PCI_VENDOR_ID);
    char name[32], part[16], serial[16];

    c->length = 0;
    snprintf(name, sizeof(name), "Simulated device %04x:%04x", ids & 0xffff, ids >> 16);
    snprintf(part, sizeof(part), "SIM%08x", ids);
    snprintf(serial, sizeof(serial), "%08x", sbdf_key(f->sbdf));
    put(c, TAG_NAME);
    put(c, (unsigned)strlen(name));
    put(c, 0);
    put_text(c, name);
    put(c, TAG_READ_ONLY);
    put(c, 2 * 3 + (unsigned)(strlen(part) + strlen(serial)) + 4);
    put(c, 0);
    put_field(c, "PN", part);
    put_field(c, "SN", serial);
    put_checksum(c);
    put(c, TAG_END);
}

static uint32_t load(const struct sim_function *f, unsigned address)
{
    uint64_t cell = sim_memory_read(&f->vpd, address);
    struct content c;
    uint32_t value = 0;

    if (cell)
        return (uint32_t)cell;
    make_content(f, &c);
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)(address + i < c.length ? c.bytes[address + i] : ERASED) << 8 * i;
    return value;
}

void sim_vpd_transfer(struct sim_function *f)
{
    unsigned at = f->at[SIM_CAP_VPD];
    uint32_t word = sim_word(f, at);
    unsigned address = word >> 16 & PCI_VPD_ADDR_MASK;

    if (word & sim_high(PCI_VPD_ADDR_F)) {
        sim_memory_write(&f->vpd, address, WRITTEN | sim_word(f, at + PCI_VPD_DATA));
        sim_count(&f->vpd_writes);
    } else {
        sim_set_word(f, at + PCI_VPD_DATA, load(f, address));
    }
    sim_set_word(f, at, word ^ sim_high(PCI_VPD_ADDR_F));
}

uint64_t sim_vpd_writes(struct sim *sim, struct sbdf sbdf)
{
    const struct sim_function *f = sim_find(sim, sbdf);

    return f ? atomic_load(&f->vpd_writes) : 0;
}
