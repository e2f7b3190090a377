/* SPDX-License-Identifier: MIT */
/*
 * The header that a guest sees (M41): who the device is, and the command and status registers.
 *
 *   command bit    the guest                        the hardware
 *   IO, MEMORY     its own view: map.c              always on, where there are BARs (V7)
 *   MASTER         reads what is                    follows, unless contained (O6)
 *   INTX_DISABLE   reads what it wrote              and on with MSI: intx.c
 *   others         read 0                           stay as the host has them
 */
#include "src/vpci/bar.h"

#define INTERRUPT_PIN 0x3d
#define MIN_GRANT 0x3e
#define LATENCY_TIMER 0x0d

/* PCI 3.0, 6.2.3: interrupt status, 66 MHz, DEVSEL timing; and the errors */
#define STATUS_LIVE 0x0628u
#define STATUS_ERRORS 0xf900u

/* ---- the hardware's command register ---- */

/* A byte: interrupts switch INTX_DISABLE, in the other one, without a lock (intx.c). */
int vpci_host_command(struct vpci *v, uint8_t clear, uint8_t set)
{
    struct pcidev *dev = v->dev;
    uint32_t old, new;
    int error = seam_read_surely(dev, PCI_COMMAND, 1, &old);

    if (error || old == 0xff) /* nobody answers: there is nothing to preserve, or to change */
        return error;
    new = (old & ~(uint32_t)clear) | set;
    if (atomic_load(&dev->contained))
        new &= ~PCI_COMMAND_MASTER;
    if (new != old)
        error = seam_write(dev, PCI_COMMAND, 1, new);
    /* fault.c sets the flag first and takes the bit then, maybe between our read and our write */
    if (!error && new &PCI_COMMAND_MASTER && atomic_load(&dev->contained))
        error = seam_write(dev, PCI_COMMAND, 1, new & ~PCI_COMMAND_MASTER);
    return error;
}

int vpci_host_decode(struct vpci *v)
{
    uint8_t master = vpci_command(v) & PCI_COMMAND_MASTER;
    uint8_t decode = 0;

    if (!v->dev->traits.is_vf) /* the PF decodes for its VFs (SR-IOV 1.1, 3.4.1.3) */
        decode = (uint8_t)bar_decode_bits(v);
    return vpci_host_command(v, PCI_COMMAND_MASTER & ~master, decode | master);
}

/* ---- command ---- */

uint32_t vpci_command(const struct vpci *v)
{
    return vpci_stored(v, PCI_COMMAND, 2);
}

static uint32_t command_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)reg;
    return atomic_load(&v->dev->contained) ? stored & ~PCI_COMMAND_MASTER : stored;
}

/* Each of these two gives its bit as it is afterwards: where the host fails, as it was. */
static uint32_t master_write(struct vpci *v, uint32_t stored, uint32_t value)
{
    uint8_t want = value & PCI_COMMAND_MASTER, was = stored & PCI_COMMAND_MASTER;

    if (want == was)
        return was;
    if (want && atomic_load(&v->dev->contained))
        return was;
    return vpci_host_command(v, was, want) ? was : want;
}

static uint32_t intx_write(struct vpci *v, uint32_t stored, uint32_t value) REQUIRES(v->lock)
{
    uint32_t want = value & PCI_COMMAND_INTX_DISABLE, was = stored & PCI_COMMAND_INTX_DISABLE;

    if (want == was)
        return was;
    vpci_store(v, PCI_COMMAND, 2, (stored & ~PCI_COMMAND_INTX_DISABLE) | want);
    if (!vpci_intx_update(v))
        return want;
    vpci_store(v, PCI_COMMAND, 2, stored);
    return was;
}

/* The bits read as they were until the mappings have followed (M42). */
static uint32_t decode_write(struct vpci *v, uint32_t stored, uint32_t value) REQUIRES(v->lock)
{
    uint16_t want = value & bar_decode_bits(v), was = stored & COMMAND_DECODE;

    if (want != v->wished || want != was) {
        v->wished = want;
        v->stuck = 0;
        v->wants |= VPCI_WANT_DECODE;
    }
    return was;
}

static uint32_t command_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;
    uint32_t now;

    lock_held(&v->lock);
    (void)reg;
    (void)cleared;
    now = decode_write(v, stored, value);
    now |= master_write(v, stored, value);
    now |= intx_write(v, stored, value);
    return now;
}

/* ---- status ---- */

static uint32_t status_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;
    uint32_t value;

    (void)seam_read(v->dev, reg, 2, &value); /* all ones where the host fails */
    return (stored & PCI_STATUS_CAP_LIST) | (value & (STATUS_LIVE | STATUS_ERRORS));
}

/* Zeros clear nothing: a byte that was not written is written as zero. */
static uint32_t status_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                             uint32_t cleared)
{
    struct vpci *v = context;

    (void)value;
    if (cleared)
        (void)seam_write(v->dev, reg, 2, cleared);
    return stored;
}

/* ---- all registers but the BARs and the list of capabilities ---- */

/* VFs read all ones in their own registers (SR-IOV 1.1, 3.4.1.1): the traits know better. */
static uint32_t id_value(const struct vpci *v)
{
    return (uint32_t)v->dev->traits.device << 16 | v->dev->traits.vendor;
}

static uint32_t class_value(const struct vpci *v)
{
    return v->dev->traits.class_code << 8 | v->dev->traits.revision;
}

static uint32_t subsystem_value(const struct vpci *v)
{
    return (uint32_t)v->dev->traits.subsystem << 16 | v->dev->traits.subsystem_vendor;
}

static const struct header_register {
    struct berth_register desc;
    uint32_t (*value)(const struct vpci *v); /* NULL: 0 */
} header_registers[] = {
    {{.offset = PCI_VENDOR_ID, .size = 4, .ro = 0xffffffff}, id_value},
    {{.offset = PCI_COMMAND,
      .size = 2,
      .rw = COMMAND_DECODE | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
      .read = command_read,
      .write = command_write},
     NULL},
    {{.offset = PCI_STATUS,
      .size = 2,
      .ro = PCI_STATUS_CAP_LIST | STATUS_LIVE,
      .rw1c = STATUS_ERRORS,
      .read = status_read,
      .write = status_write},
     NULL},
    {{.offset = PCI_CLASS_REVISION, .size = 4, .ro = 0xffffffff}, class_value},
    {{.offset = PCI_CACHE_LINE_SIZE, .size = 1, .rw = 0xff}, NULL},
    {{.offset = LATENCY_TIMER, .size = 1, .rw = 0xff}, NULL},
    {{.offset = PCI_HEADER_TYPE, .size = 1, .ro = 0xff}, NULL}, /* bus.c knows its neighbours */
    {{.offset = PCI_SUBSYSTEM_VENDOR_ID, .size = 4, .ro = 0xffffffff}, subsystem_value},
    {{.offset = PCI_INTERRUPT_LINE, .size = 1, .rw = 0xff}, NULL},
    {{.offset = INTERRUPT_PIN, .size = 1, .ro = 0xff}, vpci_intx_pin},
};

/* Only conventional devices have them: PCIe hardwires zeros (PCIe 7.5.1). */
static int grant_add(struct vpci *v)
{
    static const struct berth_register grant = {.size = 2, .ro = 0xffff};
    uint32_t value = 0;
    int error = 0;

    if (!v->dev->traits.cap[CAP_PCIE] && !v->dev->traits.is_vf)
        error = seam_read(v->dev, MIN_GRANT, 2, &value);
    return error ? error : vpci_add(v, VPCI_CAP_HEADER, MIN_GRANT, &grant, value);
}

int vpci_header_init(struct vpci *v)
{
    int error = grant_add(v);

    for (unsigned i = 0; i < sizeof(header_registers) / sizeof(header_registers[0]); i++) {
        const struct header_register *r = &header_registers[i];

        if (!error)
            error =
                vpci_add(v, VPCI_CAP_HEADER, r->desc.offset, &r->desc, r->value ? r->value(v) : 0);
    }
    return error ? error : bar_add_registers(v);
}

/* The BARs of a VF that its PF places are the PF's registers, which no reset of a VF touches. */
void vpci_header_reset(struct vpci *v)
{
    v->wished = 0;
    v->stuck = 0;
    if (!v->pf_places)
        vpci_undecode(v);
}
