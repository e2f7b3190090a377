/* SPDX-License-Identifier: MIT */
/*
 * A guest's virtual bus (M46): from the guest's address to a view in two loads, without a lock.
 *
 *   vbus.by_number[bus] ──► struct vbus_bus.slot[devfn] ──► struct vpci
 *
 * The buses are made with the first device. Root buses have fixed numbers; those behind ports have
 * the number that the guest gives them (port.c). A slot is reserved before its view is published
 * and released after it was freed, so that two transitions never choose the same one.
 */
#include "src/vpci/vpci.h"

#include "src/core/memory.h"
#include "src/core/view.h"

#define BUSES_DEFAULT 8u
#define PIECE_DEFAULT 0x200000u
#define DEVFNS 256u
#define HEADER_TYPE 0x0eu
#define HEADER_MULTIFUNCTION 0x80u

/* ---- finding ---- */

static struct vbus_bus *by_number(const struct vbus *bus, unsigned number)
{
    return atomic_load_explicit(&bus->by_number[number], memory_order_acquire);
}

static struct vpci *slot_view(const struct vbus_bus *b, unsigned devfn)
{
    return atomic_load_explicit(&b->slot[devfn], memory_order_acquire);
}

int vbus_address(const struct vbus *bus, const struct vpci *v, struct sbdf *at)
{
    uint32_t number = v->bus ? atomic_load(&v->bus->number) : VBUS_NO_NUMBER;

    if (number == VBUS_NO_NUMBER)
        return -ENOENT;
    *at = (struct sbdf){bus->config.segment, (uint8_t)number, v->devfn};
    return 0;
}

/* ---- slots: with the bus's lock ---- */

static bool is_taken(const struct vbus_bus *b, unsigned devfn)
{
    return b->taken[devfn / 32] >> devfn % 32 & 1;
}

/* No function of the slot is taken. */
static bool slot_is_free(const struct vbus_bus *b, unsigned devfn)
{
    return !(b->taken[devfn / 32] >> (devfn & 31u & ~7u) & 0xff);
}

static int take(struct vpci *v, struct vbus_bus *b, unsigned devfn)
{
    b->taken[devfn / 32] |= 1u << devfn % 32;
    v->bus = b;
    v->devfn = (uint8_t)devfn;
    return 0;
}

/*
 * A guest looks for functions 1 to 7 where it has found a function 0 only (PCI 3.0, 3.2.2.3.4). VFs
 * it finds by the registers of their PF.
 */
static bool is_found(const struct vpci *v, const struct vbus_bus *b, unsigned devfn)
{
    if (!(devfn & 7) || is_taken(b, devfn & ~7u))
        return true;
    return v->dev->pf && device_owner(v->dev->pf) == v->domain;
}

static int take_wanted(struct vbus *bus, struct vpci *v, struct sbdf want,
                       struct berth_refusal *why) REQUIRES(bus->lock)
{
    struct vbus_bus *b = want.segment == bus->config.segment ? by_number(bus, want.bus) : NULL;

    if (!b || (b->port && want.devfn >> 3) || !is_found(v, b, want.devfn))
        return refuse_other(why, -EINVAL, BERTH_REASON_BAD_SLOT, want);
    if (is_taken(b, want.devfn))
        return refuse_other(why, -EBUSY, BERTH_REASON_SLOT_TAKEN, want);
    return take(v, b, want.devfn);
}

/* Functions of one device of the host are one device of the guest, if it has their function 0. */
static bool take_beside(struct vbus *bus, struct vpci *v) REQUIRES(bus->lock)
{
    const struct sbdf here = v->dev->sbdf;
    struct sbdf first = here, at;
    struct pcidev *dev;
    const struct vpci *other;
    bool found = false;

    first.devfn &= 0xf8;
    if (!v->dev->traits.multifunction || here.devfn == first.devfn)
        return false;
    port_read_lock();
    dev = sbdf_map_find(&bus->domain->devices, sbdf_key(first));
    other = dev ? atomic_load_explicit(&dev->vpci, memory_order_acquire) : NULL;
    if (other && other->domain == bus->domain && other->bus && !vbus_address(bus, other, &at) &&
        !(at.devfn & 7) && !is_taken(other->bus, at.devfn | (here.devfn & 7u)))
        found = !take(v, other->bus, at.devfn | (here.devfn & 7u));
    port_read_unlock();
    return found;
}

static bool take_free(struct vbus *bus, struct vpci *v) REQUIRES(bus->lock)
{
    unsigned roots = bus->config.bus_count;

    for (unsigned i = roots; i < bus->bus_count; i++) /* ports first: they can be unplugged */
        if (slot_is_free(bus->buses[i], 0))
            return !take(v, bus->buses[i], 0);
    for (unsigned i = 0; i < roots; i++)
        for (unsigned devfn = 0; devfn < DEVFNS; devfn += 8)
            if (slot_is_free(bus->buses[i], devfn))
                return !take(v, bus->buses[i], devfn);
    return false;
}

/*
 * The card of a port comes with the first function that is shown, and goes with the last slot that
 * is free again: a view that is hidden for a reset is still plugged in. A guest that is told of a
 * card before its gate opens finds it a moment later; it has to wait anyway (PCIe 6.6.1).
 */
static void port_plug(const struct vpci *v)
{
    if (!v->bus->port)
        return;
    atomic_fetch_or(&v->bus->plugged, 1u << v->devfn % 8);
    vbus_port_changed(v->bus);
}

int vbus_reserve(struct vbus *bus, struct vpci *v, const struct sbdf *want,
                 struct berth_refusal *why)
{
    int error = 0;

    lock_take(&bus->lock);
    if (want)
        error = take_wanted(bus, v, *want, why);
    else if (!take_beside(bus, v) && !take_free(bus, v))
        error = refuse_domain(why, -ENOSPC, BERTH_REASON_NO_SLOT, bus->domain);
    if (!error)
        bus->lent++;
    lock_drop(&bus->lock);
    return error;
}

void vbus_release(struct vbus *bus, struct vpci *v)
{
    struct vbus_bus *b = v->bus;

    lock_take(&bus->lock);
    if (b->port) /* before the slot is free for the next one, whose bit it is then */
        atomic_fetch_and(&b->plugged, ~(1u << v->devfn % 8));
    b->taken[v->devfn / 32] &= ~(1u << v->devfn % 32);
    bus->lent--;
    lock_drop(&bus->lock);
    if (b->port)
        vbus_port_changed(b);
}

/* ---- publishing ---- */

static void header_mark(struct vpci *v, bool multifunction)
{
    struct vpci_page *page = v ? atomic_load(&v->page[0]) : NULL;
    uint32_t bit = HEADER_MULTIFUNCTION << 8 * (HEADER_TYPE % 4);

    if (page && multifunction)
        atomic_fetch_or(&page->value[HEADER_TYPE / 4], bit);
    else if (page)
        atomic_fetch_and(&page->value[HEADER_TYPE / 4], ~bit);
}

/* PCI 3.0, 6.2.1: every function of a device with several says so. */
static void slot_mark(struct vbus_bus *b, unsigned devfn)
{
    unsigned first = devfn & 0xf8, functions = 0;

    for (unsigned i = first; i < first + 8; i++)
        functions += slot_view(b, i) != NULL;
    for (unsigned i = first; i < first + 8; i++)
        header_mark(slot_view(b, i), functions > 1);
}

static void slot_set(struct vbus *bus, struct vpci *v, struct vpci *to)
{
    lock_take(&bus->lock);
    /* release: whoever finds the view finds it whole */
    atomic_store_explicit(&v->bus->slot[v->devfn], to, memory_order_release);
    slot_mark(v->bus, v->devfn);
    lock_drop(&bus->lock);
}

void vbus_publish(struct vbus *bus, struct vpci *v)
{
    slot_set(bus, v, v);
    port_plug(v);
}

void vbus_unpublish(struct vbus *bus, struct vpci *v)
{
    slot_set(bus, v, NULL);
}

/* ---- numbers: with the bus's lock ---- */

static void number_give(struct vbus *bus, struct vbus_bus *b, unsigned number) REQUIRES(bus->lock)
{
    struct vbus_bus *holder = by_number(bus, number);

    if (holder)
        atomic_store(&holder->number, VBUS_NO_NUMBER);
    atomic_store(&b->number, number);
    atomic_store_explicit(&bus->by_number[number], b, memory_order_release);
}

/* Where several ports ask for a number, the last one has it; then another one that still does. */
static void number_drop(struct vbus *bus, struct vbus_bus *b) REQUIRES(bus->lock)
{
    unsigned number = atomic_load(&b->number);

    if (number == VBUS_NO_NUMBER)
        return;
    atomic_store(&b->number, VBUS_NO_NUMBER);
    atomic_store_explicit(&bus->by_number[number], NULL, memory_order_release);
    for (unsigned i = bus->config.bus_count; i < bus->bus_count; i++)
        if (bus->buses[i]->wanted == number)
            number_give(bus, bus->buses[i], number);
}

static void number_change(struct vbus *bus, struct vbus_bus *b, unsigned number) REQUIRES(bus->lock)
{
    const struct vbus_bus *holder = number < VBUS_NO_NUMBER ? by_number(bus, number) : NULL;

    b->wanted = number;
    if (holder == b && holder)
        return;
    number_drop(bus, b);
    /* a root bus keeps its number, whatever the guest says */
    if (number < VBUS_NO_NUMBER && !(holder && !holder->port))
        number_give(bus, b, number);
}

/* Behind a port there is one device. */
static void lines_follow(const struct vbus_bus *b)
{
    port_read_lock();
    for (unsigned devfn = 0; devfn < 8; devfn++) {
        struct vpci *v = slot_view(b, devfn);

        if (v)
            vpci_line_moved(v);
    }
    port_read_unlock();
}

void vbus_renumber(struct vbus *bus, struct vbus_bus *b, unsigned number)
{
    lock_take(&bus->lock);
    number_change(bus, b, number);
    lock_drop(&bus->lock);
    for (unsigned i = bus->config.bus_count; i < bus->bus_count; i++)
        lines_follow(bus->buses[i]); /* another port may have got the number that is free now */
}

/* ---- made and freed ---- */

static int buses_make(struct vbus *bus)
{
    unsigned count = bus->config.bus_count + (unsigned)bus->config.port_count;

    bus->buses = port_alloc(count * sizeof(struct vbus_bus *));
    if (!bus->buses)
        return -ENOMEM;
    lock_unshared(&bus->lock);
    for (; bus->bus_count < count; bus->bus_count++) {
        unsigned number = bus->config.first_bus + bus->bus_count;
        struct vbus_bus *b = port_alloc(sizeof(*b));

        if (!b)
            return -ENOMEM;
        bus->buses[bus->bus_count] = b;
        atomic_init(&b->number, number);
        b->wanted = number;
        atomic_init(&bus->by_number[number], b);
    }
    return 0;
}

static void vbus_destroy(struct vbus *bus)
{
    if (!bus)
        return;
    vbus_ports_destroy(bus);
    vpci_ranges_free(bus);
    for (unsigned i = 0; i < bus->bus_count; i++)
        port_free(bus->buses[i]);
    port_free(bus->buses);
    port_free((void *)(uintptr_t)bus->config.windows);
    lock_destroy(&bus->lock);
    port_free(bus);
}

void vbus_free(struct vbus *bus)
{
    vbus_destroy(bus);
}

static int windows_copy(struct berth_view_config *config)
{
    size_t size = config->window_count * sizeof(struct berth_window);
    struct berth_window *copy = size ? port_alloc(size) : NULL;

    if (copy)
        memcpy(copy, config->windows, size);
    config->windows = copy; /* the caller's own are not ours to free */
    return copy || !size ? 0 : -ENOMEM;
}

static struct vbus *vbus_create(struct berth_domain *domain, const struct berth_view_config *config)
{
    struct vbus *bus = port_alloc(sizeof(*bus));

    if (!bus)
        return NULL;
    bus->domain = domain;
    bus->config = *config;
    bus->segment = config->segment;
    if (!bus->config.bus_count)
        bus->config.bus_count = BUSES_DEFAULT;
    if (!bus->config.piece_size)
        bus->config.piece_size = PIECE_DEFAULT;
    lock_init(&bus->lock, LOCK_VBUS);
    if (!windows_copy(&bus->config) && !buses_make(bus) && !vbus_ports_create(bus))
        return bus;
    vbus_destroy(bus);
    return NULL;
}

/* Who comes first has made it. */
static struct vbus *vbus_install(struct berth_domain *domain, struct vbus *fresh)
{
    struct vbus *bus = NULL;

    if (!fresh || atomic_compare_exchange_strong(&domain->vbus, &bus, fresh))
        return fresh;
    vbus_destroy(fresh);
    return bus;
}

struct vbus *vbus_get(struct berth_domain *domain)
{
    const struct berth_view_config none = {.segment = 0};
    struct vbus *bus = atomic_load_explicit(&domain->vbus, memory_order_acquire);

    return bus ? bus : vbus_install(domain, vbus_create(domain, &none));
}

/* ---- what an embedder may ask for ---- */

static bool overlap(const struct berth_window *a, const struct berth_window *b)
{
    return a->io == b->io && a->start < b->start + b->length && b->start < a->start + a->length;
}

static bool windows_are_fine(const struct berth_view_config *config)
{
    if (config->window_count > BERTH_WINDOWS_MAX || (config->window_count && !config->windows))
        return false;
    for (uint32_t i = 0; i < config->window_count; i++) {
        const struct berth_window *w = &config->windows[i];

        if (!w->length || w->start + w->length < w->start)
            return false;
        if (w->io && w->start + w->length > 0x10000)
            return false;
        for (uint32_t k = 0; k < i; k++)
            if (overlap(w, &config->windows[k]))
                return false;
    }
    return true;
}

static bool config_is_fine(const struct berth_view_config *config)
{
    unsigned roots = config->bus_count ? config->bus_count : BUSES_DEFAULT;

    return config->port_count <= BERTH_PORTS_MAX &&
           config->first_bus + roots + config->port_count <= 256 &&
           config->piece_size % BERTH_PAGE_SIZE == 0 && config->piece_size <= BERTH_PIECE_MAX &&
           windows_are_fine(config);
}

int berth_domain_set_view(struct berth_domain *domain, const struct berth_view_config *config)
{
    struct vbus *fresh;

    if (!domain_is_guest(domain) || !config_is_fine(config))
        return -EINVAL;
    if (atomic_load(&domain->vbus))
        return -EBUSY;
    fresh = vbus_create(domain, config);
    if (!fresh)
        return -ENOMEM;
    return vbus_install(domain, fresh) == fresh ? 0 : -EBUSY;
}
