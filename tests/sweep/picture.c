/* SPDX-License-Identifier: MIT */
#include "tests/sweep/picture.h"

#include <stdio.h>
#include <string.h>

#include "host/sim/sim_internal.h"
#include "tests/sweep/books.h"
#include "tests/sweep/stage.h"

static const char tag_picture[] = "picture";

/* ---- taking it ---- */

static void take_hardware(struct function_picture *p, struct sim *sim, const struct sim_function *f)
{
    p->sbdf = f->sbdf;
    p->answers = sim_answer(f) == SIM_ANSWER_YES;
    for (unsigned reg = 0; p->answers && reg < f->size; reg += 4)
        p->words[reg / 4] = sim_word(f, reg);
    for (unsigned i = 0; i < PICTURE_ENTRIES; i++)
        if (sim_msix_entry(sim, f->sbdf, i, &p->entries[i]))
            break;
}

/* Without our own reference. */
static void take_object(struct function_picture *p, struct pcidev *dev)
{
    struct berth_holder all[BERTH_HOLDERS_MAX], inside[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, all, BERTH_HOLDERS_MAX);

    p->there = true;
    pcidev_snapshot(dev, &p->info);
    p->info.references--;
    p->info.generation = 0; /* it counts resets that ran, whatever followed */
    p->sections = pcidev_sections(dev, inside, BERTH_HOLDERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (!strcmp(all[i].tag, "untracked") || !strcmp(all[i].tag, tag_picture))
            all[i].count--;
        if (!all[i].count)
            continue;
        p->holders[p->holder_count].tag = all[i].tag;
        p->holders[p->holder_count++].count = all[i].count;
    }
}

static void take_view(struct function_picture *p, struct berth_domain *guest)
{
    const struct sbdf at = p->info.guest_address;

    for (unsigned i = 0; i < PICTURE_VIEW_WORDS; i++)
        p->view[i] = (uint32_t)berth_domain_config_read(guest, at, 4 * i, 4);
    for (unsigned i = 0; i < 2 * PICTURE_ENTRIES; i++)
        if (berth_domain_mmio_read(guest, MSIX_TABLE + 8 * i, 8, &p->table[i]))
            break;
}

/* Fills the caches, too, as any device does: what is left in them by mistake is found next time. */
static void take_dma(struct function_picture *p, struct sim *sim)
{
    for (unsigned i = 0; i < p->info.rid_count && i < PICTURE_RIDS; i++) {
        struct sim_dma dma = {.result = SIM_DMA_SILENT};

        (void)sim_dma(sim, p->info.rids[i], 0x100000, false, 0, &dma);
        p->dma[i].result = dma.result;
        p->dma[i].domain = dma.result == SIM_DMA_DOMAIN ? dma.domain_id : 0;
        p->dma[i].stale = dma.stale;
    }
}

static void take_function(struct function_picture *p, struct rig *rig, const struct sim_function *f,
                          struct berth_domain *guest)
{
    struct pcidev *dev = rig->machine ? pcidev_find(rig->machine, f->sbdf, tag_picture) : NULL;

    take_hardware(p, rig->sim, f);
    if (!dev)
        return;
    take_object(p, dev);
    take_dma(p, rig->sim);
    if (guest && p->info.has_guest_address)
        take_view(p, guest);
    pcidev_put(dev, tag_picture);
}

static void take_domain(struct domain_picture *p, struct berth_domain *domain)
{
    struct pcidev *dev = berth_domain_next_device(domain, NULL, tag_picture);

    snprintf(p->name, sizeof(p->name), "%s", berth_domain_name(domain));
    p->state = berth_domain_state(domain);
    p->crashed = berth_domain_crashed(domain);
    p->id = berth_domain_id(domain);
    p->count = berth_domain_device_count(domain);
    while (dev && p->listed < PICTURE_FUNCTIONS) {
        const struct sbdf at = pcidev_sbdf(dev);

        p->devices[p->listed++] = sbdf_key(at);
        pcidev_put(dev, tag_picture);
        dev = berth_domain_next_device(domain, &at, tag_picture);
    }
    pcidev_put(dev, tag_picture);
}

static void take_domains(struct picture *picture, struct berth_machine *machine)
{
    struct berth_domain *domain = berth_domain_next(machine, NULL);

    while (domain) {
        struct berth_domain *next = berth_domain_next(machine, domain);

        assert_true(picture->domain_count < PICTURE_DOMAINS);
        take_domain(&picture->domains[picture->domain_count++], domain);
        berth_domain_put(domain);
        domain = next;
    }
}

/* Domains that come and go have other ids than before. */
static uint32_t ordinal(const struct picture *picture, uint32_t id)
{
    for (unsigned i = 0; i < picture->domain_count; i++)
        if (picture->domains[i].id == id)
            return i;
    return PICTURE_DOMAINS;
}

static void renumber_dma(struct picture *picture, struct function_picture *f)
{
    for (unsigned i = 0; i < PICTURE_RIDS; i++)
        if (f->dma[i].result == SIM_DMA_DOMAIN)
            f->dma[i].domain = ordinal(picture, f->dma[i].domain);
}

static void renumber(struct picture *picture)
{
    struct books *b = &picture->books;

    for (unsigned i = 0; i < picture->function_count; i++) {
        struct function_picture *f = &picture->functions[i];

        f->info.owner_id = ordinal(picture, f->info.owner_id);
        renumber_dma(picture, f);
    }
    for (unsigned i = 0; i < b->space_count; i++)
        if (b->spaces[i].kind == BERTH_SPACE_DOMAIN)
            b->spaces[i].id = ordinal(picture, b->spaces[i].id);
    for (unsigned i = 0; i < b->context_count; i++)
        if (b->contexts[i].kind == BERTH_SPACE_DOMAIN)
            b->contexts[i].id = ordinal(picture, b->contexts[i].id);
    for (unsigned i = 0; i < b->region_count; i++)
        if (b->regions[i].kind == BERTH_SPACE_DOMAIN)
            b->regions[i].id = ordinal(picture, b->regions[i].id);
    for (unsigned i = 0; i < picture->domain_count; i++)
        picture->domains[i].id = i;
}

void picture_take(struct picture *picture, struct rig *rig, struct berth_domain *guest)
{
    struct sim_counters counters;

    memset(picture, 0, sizeof(*picture));
    memory_settle();
    picture->function_count = rig->sim->count;
    assert_true(picture->function_count <= PICTURE_FUNCTIONS);
    for (uint32_t i = 0; i < rig->sim->count; i++)
        take_function(&picture->functions[i], rig, &rig->sim->functions[i], guest);
    if (rig->machine)
        take_domains(picture, rig->machine);
    books_copy(&picture->books, &seam.books);
    renumber(picture);
    sim_counters(rig->sim, &counters);
    picture->claims = counters.claims;
    picture->contexts = counters.contexts;
    picture->spaces = counters.spaces;
    picture->mappings = counters.mappings;
    picture->bindings = counters.bindings;
    picture->ats = counters.ats_enabled;
    memory_settle();
    picture->memory = memory_live();
}

static void function_blank(struct function_picture *p)
{
    memset(p->view, 0, sizeof(p->view));
    memset(p->table, 0, sizeof(p->table));
    memset(p->holders, 0, sizeof(p->holders));
    p->holder_count = 0;
    p->info.references = 0;
    p->words[COMMAND / 4] &= ~COMMAND_NO_INTX;
}

void picture_blank_views(struct picture *picture)
{
    for (unsigned i = 0; i < picture->function_count; i++)
        function_blank(&picture->functions[i]);
    memset(picture->books.bindings, 0, sizeof(picture->books.bindings));
    picture->books.binding_count = 0;
    picture->bindings = 0;
}

static void hardware_blank(struct function_picture *p)
{
    memset(p->words, 0, sizeof(p->words));
    memset(p->entries, 0, sizeof(p->entries));
    memset(p->dma, 0, sizeof(p->dma)); /* bus mastering is a register */
}

void picture_blank_host(struct picture *picture)
{
    for (unsigned i = 0; i < picture->function_count; i++)
        hardware_blank(&picture->functions[i]);
    memset(picture->books.regions, 0, sizeof(picture->books.regions));
    picture->books.region_count = 0;
    picture->mappings = 0;
}

const struct function_picture *picture_function(const struct picture *picture, struct sbdf sbdf)
{
    for (unsigned i = 0; i < picture->function_count; i++)
        if (sbdf_equal(picture->functions[i].sbdf, sbdf))
            return &picture->functions[i];
    return NULL;
}

/* ---- comparing two ---- */

struct difference {
    char *text;
    size_t size;
    const char *place;
};

static bool tell(const struct difference *d, const char *what, unsigned index, uint64_t a,
                 uint64_t b)
{
    snprintf(d->text, d->size, "%s: %s %#x was %#llx and is %#llx", d->place, what, index,
             (unsigned long long)a, (unsigned long long)b);
    return true;
}

#define DIFFERS(d, a, b, field) \
    ((a)->field != (b)->field && tell(d, #field, 0, (uint64_t)(a)->field, (uint64_t)(b)->field))

static bool words_differ(const struct difference *d, const char *what, const uint32_t *a,
                         const uint32_t *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (a[i] != b[i])
            return tell(d, what, 4 * i, a[i], b[i]);
    return false;
}

static bool infos_differ(const struct difference *d, const struct pcidev_info *a,
                         const struct pcidev_info *b)
{
    return DIFFERS(d, a, b, state) || DIFFERS(d, a, b, in_transition) || DIFFERS(d, a, b, broken) ||
           DIFFERS(d, a, b, disconnected) || DIFFERS(d, a, b, contained) ||
           DIFFERS(d, a, b, owner_id) || DIFFERS(d, a, b, vfs) ||
           DIFFERS(d, a, b, has_guest_address) || DIFFERS(d, a, b, rid_count) ||
           DIFFERS(d, a, b, method_count) || DIFFERS(d, a, b, references) ||
           DIFFERS(d, a, b, children) || DIFFERS(d, a, b, has_group) ||
           (memcmp(a, b, sizeof(*a)) != 0 && tell(d, "info", 0, 0, 1));
}

static bool holders_differ(const struct difference *d, const struct function_picture *a,
                           const struct function_picture *b)
{
    if (DIFFERS(d, a, b, holder_count))
        return true;
    for (unsigned i = 0; i < a->holder_count; i++)
        if (a->holders[i].tag != b->holders[i].tag || a->holders[i].count != b->holders[i].count)
            return tell(d, b->holders[i].tag, i, a->holders[i].count, b->holders[i].count);
    return false;
}

static bool functions_differ(const struct difference *d, const struct function_picture *a,
                             const struct function_picture *b)
{
    return DIFFERS(d, a, b, there) || DIFFERS(d, a, b, answers) ||
           infos_differ(d, &a->info, &b->info) || holders_differ(d, a, b) ||
           DIFFERS(d, a, b, sections) ||
           words_differ(d, "register", a->words, b->words, PICTURE_WORDS) ||
           words_differ(d, "view", a->view, b->view, PICTURE_VIEW_WORDS) ||
           (memcmp(a->entries, b->entries, sizeof(a->entries)) &&
            tell(d, "MSI-X table", 0, 0, 1)) ||
           (memcmp(a->dma, b->dma, sizeof(a->dma)) && tell(d, "DMA", 0, 0, 1)) ||
           (memcmp(a->table, b->table, sizeof(a->table)) && tell(d, "guest's table", 0, 0, 1));
}

static bool domains_differ(const struct difference *d, const struct domain_picture *a,
                           const struct domain_picture *b)
{
    return DIFFERS(d, a, b, state) || DIFFERS(d, a, b, crashed) || DIFFERS(d, a, b, count) ||
           DIFFERS(d, a, b, listed) ||
           words_differ(d, "device", a->devices, b->devices, PICTURE_FUNCTIONS) ||
           (memcmp(a->name, b->name, sizeof(a->name)) && tell(d, "name", 0, 0, 1));
}

static bool books_differ(const struct difference *d, const struct books *a, const struct books *b)
{
    return DIFFERS(d, a, b, space_count) || DIFFERS(d, a, b, context_count) ||
           DIFFERS(d, a, b, region_count) || DIFFERS(d, a, b, piece_count) ||
           DIFFERS(d, a, b, binding_count) ||
           (memcmp(a->contexts, b->contexts, sizeof(a->contexts)) &&
            tell(d, "contexts", 0, 0, 1)) ||
           (memcmp(a, b, sizeof(*a)) && tell(d, "books", 0, 0, 1));
}

static bool rest_differs(const struct difference *d, const struct picture *a,
                         const struct picture *b)
{
    return DIFFERS(d, a, b, claims) || DIFFERS(d, a, b, contexts) || DIFFERS(d, a, b, spaces) ||
           DIFFERS(d, a, b, mappings) || DIFFERS(d, a, b, bindings) || DIFFERS(d, a, b, ats);
}

bool picture_differs(const struct picture *a, const struct picture *b, char *what, size_t size)
{
    char name[SBDF_TEXT_SIZE];
    struct difference d = {what, size, name};

    for (unsigned i = 0; i < a->function_count; i++) {
        (void)sbdf_format(a->functions[i].sbdf, name);
        if (functions_differ(&d, &a->functions[i], &b->functions[i]))
            return true;
    }
    d.place = "domains";
    if (DIFFERS(&d, a, b, domain_count))
        return true;
    for (unsigned i = 0; i < a->domain_count; i++) {
        d.place = a->domains[i].name;
        if (domains_differ(&d, &a->domains[i], &b->domains[i]))
            return true;
    }
    d.place = "books";
    if (books_differ(&d, &a->books, &b->books))
        return true;
    d.place = "counters";
    return rest_differs(&d, a, b);
}
