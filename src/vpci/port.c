/* SPDX-License-Identifier: MIT */
/*
 * What a guest's virtual bus has of its own (M46): a host bridge, and hot-plug ports: PCIe root
 * ports with a slot, behind each of which is a bus for one device.
 *
 *   a function comes, or the last one goes ──► slot and link status ──► events ──► MSI or INTx
 *
 * They are views without a device: no hardware, no section, nothing but stored values. A slot has
 * no button, no power controller and no indicators, and its commands take no time: what is taken
 * from a guest by force is a surprise removal (R2), and this is what the guest is told. Without a
 * PM capability a guest can't put a port to sleep, where it would miss its events.
 */
#include "src/core/registers.h"
#include "src/vpci/vpci.h"

#define VENDOR_DEVICE_HOST_BRIDGE 0x00081b36u
#define VENDOR_DEVICE_ROOT_PORT 0x000c1b36u
#define CLASS_HOST_BRIDGE 0x06000000u
#define CLASS_PCI_BRIDGE 0x06040000u

/* The header of a bridge (PCIe 7.5.1.3). */
#define HEADER_TYPE_BRIDGE 1u
#define PRIMARY_BUS 0x18
#define STATUS_INTERRUPT 0x0008u
#define COMMAND_BITS 0x0547u /* decode, mastering, the errors that go on to the root, INTx */
#define IO_BASE 0x1c
#define IO_LIMIT 0x1d
#define MEMORY_BASE 0x20
#define MEMORY_LIMIT 0x22
#define PREFETCH_BASE 0x24
#define PREFETCH_LIMIT 0x26
#define PREFETCH_BASE_UPPER 0x28
#define PREFETCH_LIMIT_UPPER 0x2c
#define PREFETCH_64BIT 0x0001u
#define INTERRUPT_PIN 0x3d
#define BRIDGE_CONTROL_ERRORS 0x0003u

/* The PCIe capability (PCIe 7.5.3). */
#define CAP_ID_EXP 0x10u
#define EXP_AT 0x40u
#define EXP_ROOT_PORT_V2 0x0142u /* with a slot */
#define EXP_DEVCAP_ROLES 0x8000u
#define EXP_DEVCTL_ERRORS 0x000fu
#define EXP_LNKCAP (EXP_AT + 0x0c)
#define EXP_LNKCAP_32GT_X16 0x0105u
#define EXP_LNKCAP_REPORTS_ACTIVE 0x00100000u
#define EXP_LNKCAP_PORT_SHIFT 24
#define EXP_LNKCTL (EXP_AT + 0x10)
#define EXP_LNKCTL_DISABLE 0x0010u
#define EXP_LNKCTL_CLOCKS 0x00c0u
#define EXP_LNKSTA (EXP_AT + 0x12)
#define EXP_LNKSTA_UP 0x2105u   /* data link layer active, 16 lanes, 32 GT/s */
#define EXP_LNKSTA_DOWN 0x0001u /* where a link begins: 2.5 GT/s, no lane */
#define EXP_SLTCAP (EXP_AT + 0x14)
#define EXP_SLTCAP_SURPRISE 0x00000020u
#define EXP_SLTCAP_HOT_PLUG 0x00000040u
#define EXP_SLTCAP_NO_COMPLETION 0x00040000u
#define EXP_SLTCAP_NUMBER_SHIFT 19
#define EXP_SLTCTL (EXP_AT + 0x18)
#define EXP_SLTCTL_PRESENCE 0x0008u
#define EXP_SLTCTL_INTERRUPT 0x0020u
#define EXP_SLTCTL_LINK 0x1000u
#define EXP_SLTSTA (EXP_AT + 0x1a)
#define EXP_SLTSTA_PRESENCE_CHANGED 0x0008u
#define EXP_SLTSTA_PRESENT 0x0040u
#define EXP_SLTSTA_LINK_CHANGED 0x0100u
#define EXP_RTCTL_BITS 0x000fu
#define EXP_LNKCAP2_SPEEDS 0x0000003eu
#define EXP_LNKCTL2_SPEED 0x000fu
#define EXP_LNKCTL2_32GT 0x0005u

/* The MSI capability: one vector, no mask (PCI 3.0, 6.8.1). */
#define CAP_ID_MSI 0x05u
#define MSI_AT 0x80u
#define MSI_CONTROL (MSI_AT + 0x02)
#define MSI_ADDRESS (MSI_AT + 0x04)
#define MSI_ADDRESS_UPPER (MSI_AT + 0x08)
#define MSI_DATA (MSI_AT + 0x0c)

struct vport {
    struct vpci *v; /* its registers */
    struct vbus *bus;
    struct vbus_bus *behind;
    /*
     * Locking: .lock (rank LOCK_PORT) serialises what follows from a change: status and interrupts.
     * It is not the view's lock: devices come and go in transitions that hold their own view's.
     * Held while the embedder is told, so that levels arrive in their order. Readers take none.
     */
    struct lock lock;
    /* the conditions of a message are true: the next one is due when they were not */
    bool signals GUARDED_BY(vport, lock);
    bool asserts GUARDED_BY(vport, lock); /* INTx */
};

/* ---- status ---- */

static uint32_t word(const struct vport *p, unsigned at)
{
    return vpci_stored(p->v, at, 2);
}

/* Nothing behind the port can be reached while the guest holds the link down. */
static bool link_is_held(const struct vport *p)
{
    return word(p, EXP_LNKCTL) & EXP_LNKCTL_DISABLE ||
           word(p, PCI_BRIDGE_CONTROL) & PCI_BRIDGE_CONTROL_RESET;
}

/* With .lock. The link first: a guest that sees a card looks for its link. */
static void status_follow(struct vport *p) REQUIRES(p->lock)
{
    bool present = atomic_load(&p->behind->plugged);
    uint32_t link = present && !link_is_held(p) ? EXP_LNKSTA_UP : EXP_LNKSTA_DOWN;
    uint32_t slot = word(p, EXP_SLTSTA);

    if (present != !!(slot & EXP_SLTSTA_PRESENT))
        slot = (slot ^ EXP_SLTSTA_PRESENT) | EXP_SLTSTA_PRESENCE_CHANGED;
    if (link != word(p, EXP_LNKSTA))
        slot |= EXP_SLTSTA_LINK_CHANGED;
    vpci_store(p->v, EXP_LNKSTA, 2, link);
    vpci_store(p->v, EXP_SLTSTA, 2, slot);
}

/* ---- interrupts ---- */

static bool event_is_pending(const struct vport *p)
{
    uint32_t control = word(p, EXP_SLTCTL), slot = word(p, EXP_SLTSTA);

    if (!(control & EXP_SLTCTL_INTERRUPT))
        return false;
    return (control & EXP_SLTCTL_PRESENCE && slot & EXP_SLTSTA_PRESENCE_CHANGED) ||
           (control & EXP_SLTCTL_LINK && slot & EXP_SLTSTA_LINK_CHANGED);
}

static void message_send(const struct vport *p)
{
    const struct berth_view_config *config = &p->bus->config;
    const uint64_t upper = vpci_stored(p->v, MSI_ADDRESS_UPPER, 4);
    const struct berth_message message = {
        .address = upper << 32 | vpci_stored(p->v, MSI_ADDRESS, 4),
        .data = word(p, MSI_DATA),
    };

    if (config->ops && config->ops->inject)
        config->ops->inject(config->context, NULL, 0, &message);
}

static void line_set(const struct vport *p, bool asserted)
{
    const struct berth_view_config *config = &p->bus->config;
    struct sbdf at;

    if (config->ops && config->ops->intx && !vbus_address(p->bus, p->v, &at))
        config->ops->intx(config->context, at, vpci_stored(p->v, INTERRUPT_PIN, 1), asserted);
}

/*
 * With .lock. PCIe 6.7.3.4: a message whenever the conditions become true, a level for as long as
 * they are. A message is a write of the port, and needs bus mastering.
 */
static void interrupt_follow(struct vport *p) REQUIRES(p->lock)
{
    uint32_t command = word(p, PCI_COMMAND);
    bool pending = event_is_pending(p), msi = word(p, MSI_CONTROL) & PCI_MSI_CONTROL_ENABLE;
    bool signals = pending && msi && command & PCI_COMMAND_MASTER;
    bool asserts = pending && !msi && !(command & PCI_COMMAND_INTX_DISABLE);

    vpci_store(p->v, PCI_STATUS, 2, PCI_STATUS_CAP_LIST | (pending && !msi ? STATUS_INTERRUPT : 0));
    if (signals && !p->signals)
        message_send(p);
    p->signals = signals;
    if (asserts != p->asserts)
        line_set(p, asserts);
    p->asserts = asserts;
}

static void port_follow(struct vport *p)
{
    lock_take(&p->lock);
    status_follow(p);
    interrupt_follow(p);
    lock_drop(&p->lock);
}

struct vbus_bus *vbus_port_behind(const struct vpci *v)
{
    const struct vport *p = v->port;

    return p ? p->behind : NULL;
}

void vbus_port_changed(struct vbus_bus *b)
{
    port_follow(b->port);
}

/* ---- what a guest writes: one at a time, with the view's lock ---- */

/* For registers that decide about interrupts: these go by what is stored. */
static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;

    (void)stored;
    (void)cleared;
    vpci_store(v, reg, 2, value);
    port_follow(v->port);
    return value;
}

/* Another event may come up meanwhile: what is cleared is taken out of what is there by now, and
 * the caller, who thinks that nothing changed, stores nothing. */
static uint32_t slot_status_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                                  uint32_t cleared)
{
    struct vpci *v = context;
    struct vport *p = v->port;

    (void)value;
    lock_take(&p->lock);
    vpci_store(v, reg, 2, word(p, reg) & ~cleared);
    interrupt_follow(p);
    lock_drop(&p->lock);
    return stored;
}

/* Zero is what a bridge has that was not set up, and the number of no bus behind one. */
static void route_follow(struct vport *p)
{
    unsigned number = vpci_stored(p->v, PCI_SECONDARY_BUS, 1);

    vbus_renumber(p->bus, p->behind, number && !link_is_held(p) ? number : VBUS_NO_NUMBER);
}

static uint32_t secondary_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                                uint32_t cleared)
{
    struct vpci *v = context;

    (void)stored;
    (void)cleared;
    vpci_store(v, reg, 1, value);
    route_follow(v->port);
    return value;
}

static uint32_t link_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                           uint32_t cleared)
{
    struct vpci *v = context;

    (void)control_write(context, reg, stored, value, cleared);
    route_follow(v->port);
    return value;
}

/* A secondary bus reset: what is behind is out of reach while it lasts, and starts anew. */
static uint32_t bridge_control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                                     uint32_t cleared)
{
    struct vpci *v = context;

    lock_held(&v->lock);
    if (value & ~stored & PCI_BRIDGE_CONTROL_RESET)
        v->wants |= VPCI_WANT_RESET;
    return link_write(context, reg, stored, value, cleared);
}

/* ---- registers ---- */

static const struct berth_register host_bridge_registers[] = {
    {.offset = PCI_VENDOR_ID, .size = 4, .ro = 0xffffffff, .reset = VENDOR_DEVICE_HOST_BRIDGE},
    {.offset = PCI_CLASS_REVISION, .size = 4, .ro = 0xffffffff, .reset = CLASS_HOST_BRIDGE},
    {.offset = PCI_HEADER_TYPE, .size = 1, .ro = 0xff},
};

/* Windows are closed at first: their bases are above their limits. */
static const struct berth_register port_registers[] = {
    {.offset = PCI_VENDOR_ID, .size = 4, .ro = 0xffffffff, .reset = VENDOR_DEVICE_ROOT_PORT},
    {.offset = PCI_COMMAND, .size = 2, .rw = COMMAND_BITS, .write = control_write},
    {.offset = PCI_STATUS,
     .size = 2,
     .ro = PCI_STATUS_CAP_LIST | STATUS_INTERRUPT,
     .reset = PCI_STATUS_CAP_LIST},
    {.offset = PCI_CLASS_REVISION, .size = 4, .ro = 0xffffffff, .reset = CLASS_PCI_BRIDGE},
    {.offset = PCI_CACHE_LINE_SIZE, .size = 1, .rw = 0xff},
    {.offset = PCI_HEADER_TYPE, .size = 1, .ro = 0xff, .reset = HEADER_TYPE_BRIDGE},
    {.offset = PRIMARY_BUS, .size = 1, .rw = 0xff},
    {.offset = PCI_SECONDARY_BUS, .size = 1, .rw = 0xff, .write = secondary_write},
    {.offset = PCI_SUBORDINATE_BUS, .size = 1, .rw = 0xff},
    {.offset = IO_BASE, .size = 1, .rw = 0xf0, .reset = 0xf0},
    {.offset = IO_LIMIT, .size = 1, .rw = 0xf0},
    {.offset = MEMORY_BASE, .size = 2, .rw = 0xfff0, .reset = 0xfff0},
    {.offset = MEMORY_LIMIT, .size = 2, .rw = 0xfff0},
    {.offset = PREFETCH_BASE,
     .size = 2,
     .ro = PREFETCH_64BIT,
     .rw = 0xfff0,
     .reset = 0xfff0 | PREFETCH_64BIT},
    {.offset = PREFETCH_LIMIT,
     .size = 2,
     .ro = PREFETCH_64BIT,
     .rw = 0xfff0,
     .reset = PREFETCH_64BIT},
    {.offset = PREFETCH_BASE_UPPER, .size = 4, .rw = 0xffffffff, .reset = 0xffffffff},
    {.offset = PREFETCH_LIMIT_UPPER, .size = 4, .rw = 0xffffffff},
    {.offset = PCI_CAPABILITY_LIST, .size = 1, .ro = 0xff, .reset = EXP_AT},
    {.offset = PCI_INTERRUPT_LINE, .size = 1, .rw = 0xff},
    {.offset = INTERRUPT_PIN, .size = 1, .ro = 0xff, .reset = 1},
    {.offset = PCI_BRIDGE_CONTROL,
     .size = 2,
     .rw = BRIDGE_CONTROL_ERRORS | PCI_BRIDGE_CONTROL_RESET,
     .write = bridge_control_write},

    {.offset = EXP_AT, .size = 2, .ro = 0xffff, .reset = CAP_ID_EXP | MSI_AT << 8},
    {.offset = EXP_AT + PCI_EXP_FLAGS, .size = 2, .ro = 0xffff, .reset = EXP_ROOT_PORT_V2},
    {.offset = EXP_AT + PCI_EXP_DEVCAP, .size = 4, .ro = 0xffffffff, .reset = EXP_DEVCAP_ROLES},
    {.offset = EXP_AT + PCI_EXP_DEVCTL, .size = 2, .rw = EXP_DEVCTL_ERRORS},
    {.offset = EXP_LNKCAP,
     .size = 4,
     .ro = 0xffffffff,
     .reset = EXP_LNKCAP_32GT_X16 | EXP_LNKCAP_REPORTS_ACTIVE},
    {.offset = EXP_LNKCTL,
     .size = 2,
     .rw = EXP_LNKCTL_DISABLE | EXP_LNKCTL_CLOCKS,
     .write = link_write},
    {.offset = EXP_LNKSTA, .size = 2, .ro = 0xffff, .reset = EXP_LNKSTA_DOWN},
    {.offset = EXP_SLTCAP,
     .size = 4,
     .ro = 0xffffffff,
     .reset = EXP_SLTCAP_SURPRISE | EXP_SLTCAP_HOT_PLUG | EXP_SLTCAP_NO_COMPLETION},
    {.offset = EXP_SLTCTL,
     .size = 2,
     .rw = EXP_SLTCTL_PRESENCE | EXP_SLTCTL_INTERRUPT | EXP_SLTCTL_LINK,
     .write = control_write},
    {.offset = EXP_SLTSTA,
     .size = 2,
     .ro = EXP_SLTSTA_PRESENT,
     .rw1c = EXP_SLTSTA_PRESENCE_CHANGED | EXP_SLTSTA_LINK_CHANGED,
     .write = slot_status_write},
    {.offset = EXP_AT + 0x1c, .size = 2, .rw = EXP_RTCTL_BITS},
    {.offset = EXP_AT + 0x2c, .size = 4, .ro = 0xffffffff, .reset = EXP_LNKCAP2_SPEEDS},
    {.offset = EXP_AT + 0x30, .size = 2, .rw = EXP_LNKCTL2_SPEED, .reset = EXP_LNKCTL2_32GT},

    {.offset = MSI_AT, .size = 2, .ro = 0xffff, .reset = CAP_ID_MSI},
    {.offset = MSI_CONTROL,
     .size = 2,
     .ro = PCI_MSI_CONTROL_64BIT,
     .rw = PCI_MSI_CONTROL_ENABLE,
     .reset = PCI_MSI_CONTROL_64BIT,
     .write = control_write},
    {.offset = MSI_ADDRESS, .size = 4, .rw = 0xfffffffc},
    {.offset = MSI_ADDRESS_UPPER, .size = 4, .rw = 0xffffffff},
    {.offset = MSI_DATA, .size = 2, .rw = 0xffff},
};

/* ---- made and freed ---- */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* In a slot of the first bus, where nothing is yet. */
static int view_place(struct vbus *bus, struct vpci *v, unsigned slot)
{
    const struct sbdf at = sbdf_make(bus->config.segment, bus->config.first_bus, slot, 0);
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};
    int error = vbus_reserve(bus, v, &at, &ignored);

    if (!error)
        vbus_publish(bus, v);
    return error;
}

static int host_bridge_create(struct vbus *bus)
{
    struct vpci *v = vpci_alloc(bus->domain, NULL);
    int error;

    if (!v)
        return -ENOMEM;
    bus->host_bridge = v;
    error =
        vpci_add_table(v, VPCI_CAP_HEADER, 0, host_bridge_registers, COUNT(host_bridge_registers));
    return error ? error : view_place(bus, v, 0);
}

/* What differs from port to port. */
static void port_number(struct vport *p, unsigned index)
{
    struct vpci *v = p->v;
    unsigned number = atomic_load(&p->behind->number), first = index + 1;

    vpci_store(v, PRIMARY_BUS, 1, p->bus->config.first_bus);
    vpci_store(v, PCI_SECONDARY_BUS, 1, number);
    vpci_store(v, PCI_SUBORDINATE_BUS, 1, number);
    vpci_store(v, EXP_LNKCAP, 4, vpci_stored(v, EXP_LNKCAP, 4) | first << EXP_LNKCAP_PORT_SHIFT);
    vpci_store(v, EXP_SLTCAP, 4, vpci_stored(v, EXP_SLTCAP, 4) | first << EXP_SLTCAP_NUMBER_SHIFT);
}

static int port_create(struct vbus *bus, unsigned index)
{
    struct vport *p = port_alloc(sizeof(*p));
    int error;

    if (!p)
        return -ENOMEM;
    lock_init(&p->lock, LOCK_PORT);
    bus->ports[index] = p;
    p->bus = bus;
    p->behind = bus->buses[bus->config.bus_count + index];
    p->behind->port = p;
    p->v = vpci_alloc(bus->domain, NULL);
    if (!p->v)
        return -ENOMEM;
    p->v->port = p;
    error = vpci_add_table(p->v, VPCI_CAP_HEADER, 0, port_registers, COUNT(port_registers));
    if (error)
        return error;
    port_number(p, index);
    return view_place(bus, p->v, index + 1);
}

int vbus_ports_create(struct vbus *bus)
{
    int error = bus->config.no_host_bridge ? 0 : host_bridge_create(bus);

    if (error || !bus->config.port_count)
        return error;
    bus->ports = port_alloc(bus->config.port_count * sizeof(*bus->ports));
    if (!bus->ports)
        return -ENOMEM;
    for (unsigned i = 0; i < bus->config.port_count && !error; i++)
        error = port_create(bus, i);
    return error;
}

static void port_destroy(struct vport *p)
{
    if (!p)
        return;
    vpci_free(p->v);
    lock_destroy(&p->lock);
    port_free(p);
}

/* Nobody can find them any more, or never could. */
void vbus_ports_destroy(struct vbus *bus)
{
    for (unsigned i = 0; bus->ports && i < bus->config.port_count; i++)
        port_destroy(bus->ports[i]);
    port_free(bus->ports);
    vpci_free(bus->host_bridge);
}
