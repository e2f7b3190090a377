/* SPDX-License-Identifier: MIT */
/*
 * The life of a view, as transitions drive it (src/core/view.h).
 *
 *   (none) ──prepare──► made ──commit──► published ──withdraw──► hidden ──drop──► freed, after the
 *                         │                  ▲                     │              read-side
 * sections └─discard─► freed  └──────restore────────┘
 */
#include "src/core/view.h"
#include "src/vpci/caps.h"

/* A guest that makes its view fail again and again is heard of a few times (O6). */
#define COMPLAINTS_MAX 16u

/* ---- memory ---- */

void *vpci_memory(struct vpci *v, size_t size)
{
    void *memory = port_alloc(size);

    if (memory)
        v->bytes += size;
    return memory;
}

struct vpci *vpci_alloc(struct berth_domain *domain, struct pcidev *dev)
{
    struct vpci *v = port_alloc(sizeof(*v));
    struct vpci_table *table = port_alloc(sizeof(*table));

    if (!v || !table) {
        port_free(v);
        port_free(table);
        return NULL;
    }
    v->bytes = sizeof(*v) + sizeof(*table);
    v->domain = domain;
    v->dev = dev;
    atomic_init(&v->table, table);
    atomic_init(&v->page[0], &v->first);
    lock_init(&v->lock, LOCK_VPCI);
    return v;
}

static void view_free(struct port_deferred *deferred)
{
    struct vpci *v = (struct vpci *)deferred; /* the first member */

    lock_unshared(&v->lock);
    for (unsigned i = 1; i < VPCI_PAGES; i++)
        port_free(atomic_load(&v->page[i]));
    port_free(atomic_load(&v->table));
    vpci_irqs_free(v->irqs);
    port_free(v->vfs);
    port_free(v->asleep);
    lock_destroy(&v->lock);
    port_free(v);
}

void vpci_free(struct vpci *v)
{
    if (v)
        view_free(&v->deferred);
}

size_t berth_view_size(const struct pcidev *dev)
{
    const struct vpci *v;
    size_t bytes;

    port_read_lock();
    v = atomic_load_explicit(&dev->vpci, memory_order_acquire);
    bytes = v ? v->bytes : 0;
    port_read_unlock();
    return bytes;
}

uint32_t view_dropped(const struct pcidev *dev)
{
    const struct vpci *v;
    uint32_t dropped;

    port_read_lock();
    v = atomic_load_explicit(&dev->vpci, memory_order_acquire);
    dropped = v ? atomic_load_explicit(&v->dropped, memory_order_relaxed) : 0;
    port_read_unlock();
    return dropped;
}

struct vpci *vpci_make_passing(struct pcidev *dev)
{
    struct berth_domain *owner = device_owner(dev);
    struct vpci *v;

    if (!owner || owner->kind != BERTH_DOMAIN_HWDOM || device_state(dev) != PCIDEV_PRESENT)
        return NULL;
    v = vpci_alloc(owner, dev);
    if (v) {
        v->passes = true;
        v->generation = pcidev_generation(dev);
        atomic_store_explicit(&dev->vpci, v, memory_order_release);
    }
    return v;
}

/* ---- complaints ---- */

void vpci_complain(struct vpci *v, const char *what, int error)
{
    if (v->complaints >= COMPLAINTS_MAX)
        return;
    v->complaints++;
    if (v->dev)
        event_device(v->dev, BERTH_EVENT_VIEW, what, error);
}

/* ---- making it ---- */

static struct vbus *bus_of(const struct vpci *v)
{
    return atomic_load_explicit(&v->domain->vbus, memory_order_acquire);
}

static int view_fill(struct vpci *v) REQUIRES(v->dev->lock)
{
    int error;

    lock_unshared(&v->lock);
    vpci_bars_init(v);
    error = vpci_irqs_init(v);
    if (!error)
        error = vpci_header_init(v);
    if (!error)
        error = vpci_caps_init(v);
    vpci_latch_initial(v);
    return error;
}

/* Frees a view that nobody can find any more; whoever found it before has left, or will not see
 * the memory go (V3). */
static void view_end(struct vpci *v)
{
    if (!v)
        return;
    lock_unshared(&v->lock);
    vpci_irqs_destroy(v);
    vpci_undecode(v);
    if (v->bus)
        vbus_release(bus_of(v), v);
    port_defer(&v->deferred, view_free);
}

/* In the hardware what the view will begin with, while the change of owner can still be undone. */
static int view_set_up(struct vpci *v)
{
    int error;

    lock_take(&v->lock);
    error = vpci_host_decode(v);
    if (!error)
        error = vpci_irqs_restore(v);
    lock_drop(&v->lock);
    return error;
}

int view_prepare(struct transition *t)
{
    const struct sbdf *want = t->request ? t->request->guest_address : NULL;
    struct vbus *bus;
    int error;

    if (!domain_is_guest(t->to))
        return 0;
    bus = vbus_get(t->to);
    t->view = bus ? vpci_alloc(t->to, t->dev) : NULL;
    if (!t->view)
        return refuse(&t->why, -ENOMEM, BERTH_REASON_NO_MEMORY);
    error = vbus_reserve(bus, t->view, want, &t->why);
    if (!error)
        error = view_fill(t->view);
    if (!error)
        error = view_set_up(t->view);
    if (error)
        (void)view_discard(t);
    return error;
}

int view_discard(struct transition *t)
{
    view_end(t->view);
    t->view = NULL;
    return 0;
}

/* ---- showing and hiding it ---- */

/* With the view's lock. */
static void view_publish(struct vpci *v) REQUIRES(v->lock)
{
    v->generation = pcidev_generation(v->dev);
    v->published = true;
    vbus_publish(bus_of(v), v);
}

void view_commit(struct transition *t)
{
    struct vpci *old = atomic_load(&t->dev->vpci), *v = t->view;

    t->view = NULL;
    atomic_store_explicit(&t->dev->vpci, v, memory_order_release);
    view_end(old);
    if (!v)
        return;
    lock_take(&v->lock);
    view_publish(v);
    lock_drop(&v->lock);
}

int view_withdraw(struct pcidev *dev)
{
    struct vpci *v = atomic_load(&dev->vpci);
    int error;

    if (!v || v->passes)
        return 0;
    lock_take(&v->lock);
    if (v->published)
        vbus_unpublish(bus_of(v), v);
    v->published = false;
    v->wants = 0;
    error = vpci_unmap_all(v);
    lock_drop(&v->lock);
    return error;
}

/* Hardware first, then what the guest finds behind it. */
static int view_bring_back(struct vpci *v) REQUIRES(v->lock)
{
    int error = vpci_host_decode(v);

    if (!error)
        error = vpci_caps_restore(v);
    if (!error)
        error = vpci_irqs_restore(v);
    if (!error)
        error = vpci_map_all(v);
    return error;
}

int view_restore(struct pcidev *dev)
{
    struct vpci *v = atomic_load(&dev->vpci);
    int error;

    if (!v || v->passes)
        return 0;
    lock_take(&v->lock);
    error = view_bring_back(v);
    if (!error)
        view_publish(v);
    lock_drop(&v->lock);
    return error;
}

void view_power_on(struct pcidev *dev)
{
    struct vpci *v = atomic_load(&dev->vpci);

    if (!v || v->passes)
        return;
    lock_take(&v->lock);
    vpci_irqs_reset(v);
    vpci_reset_values(v);
    vpci_header_reset(v);
    vpci_caps_reset(v);
    lock_drop(&v->lock);
}

void view_trouble(struct pcidev *dev)
{
    struct vpci *v = atomic_load(&dev->vpci);

    if (!v || v->passes)
        return;
    lock_take(&v->lock);
    vpci_aer_collect(v);
    lock_drop(&v->lock);
}

void view_drop(struct pcidev *dev)
{
    (void)view_withdraw(dev); /* what could not be unmapped has ended the guest */
    view_end(atomic_exchange(&dev->vpci, NULL));
}
