/* SPDX-License-Identifier: MIT */
/*
 * The lists of capabilities (M43): what the device has is looked for, what is known and comes up is
 * shown, and the guest's lists link that and nothing else.
 *
 * The device's own lists are not trusted (K13): each offset is looked at once, so they end.
 */
#include "src/vpci/caps.h"

#include "src/core/registers.h"

const struct vpci_cap *const vpci_caps[] = {
    &vpci_cap_pm,     &vpci_cap_msi, &vpci_cap_msix,  &vpci_cap_pcie,  &vpci_cap_vpd,
    &vpci_cap_vendor, &vpci_cap_aer, &vpci_cap_rebar, &vpci_cap_sriov,
};

#define CAP_COUNT_KNOWN (sizeof(vpci_caps) / sizeof(vpci_caps[0]))
_Static_assert(CAP_COUNT_KNOWN <= sizeof(((struct vpci *)0)->cap_at) / sizeof(uint16_t),
               "struct vpci has no room for them");

const unsigned vpci_cap_count = CAP_COUNT_KNOWN;

/* PCI 3.0, 6.7: id and next; PCIe 7.6.3: id, version, next. Both are ours, whatever they link. */
static const struct berth_register header = {.size = 2, .ro = 0xffff};
static const struct berth_register extended_header = {.size = 4, .ro = 0xffffffff};
static const struct berth_register first_pointer = {
    .offset = PCI_CAPABILITY_LIST, .size = 1, .ro = 0xff};

#define NEXT_SHIFT 8
#define EXT_VERSION 0x000f0000u
#define EXT_NEXT_SHIFT 20

unsigned vpci_cap_at(const struct vpci *v, const struct vpci_cap *cap)
{
    for (unsigned i = 0; i < CAP_COUNT_KNOWN; i++)
        if (vpci_caps[i] == cap)
            return v->cap_at[i];
    return 0;
}

int vpci_add_as_it_is(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *desc)
{
    uint32_t value;
    int error = seam_read(v->dev, at, desc->size, &value);

    return error ? error : vpci_add(v, cap, at, desc, value);
}

/* ---- looking ---- */

/* False: it was there before, the list has a loop. */
static bool note_start(struct caps_found *f, unsigned at)
{
    uint32_t bit = 1u << at / 4 % 32, *word = &f->starts[at / 4 / 32];
    bool fresh = !(*word & bit);

    *word |= bit;
    return fresh;
}

static bool starts_at(const struct caps_found *f, unsigned at)
{
    return f->starts[at / 4 / 32] >> at / 4 % 32 & 1;
}

unsigned vpci_cap_room(const struct vpci *v, unsigned at)
{
    unsigned end = at < CAPS_END ? CAPS_END : v->dev->traits.config_size;

    for (unsigned next = at + 4; next < end; next += 4)
        if (starts_at(v->found, next))
            return next;
    return end;
}

static bool is_repeated(const struct caps_found *f, unsigned index)
{
    for (unsigned i = 0; i < f->count; i++)
        if (f->found[i].index == index)
            return true;
    return false;
}

/* The first one of a kind counts, but of those that vendors define there may be several. */
static void note_known(struct caps_found *f, unsigned index, unsigned at, bool fits)
{
    bool again = is_repeated(f, index);

    if (f->count == CAPS_FOUND_MAX)
        return;
    f->found[f->count].at = (uint16_t)at;
    f->found[f->count].index = (uint8_t)index;
    f->found[f->count].cap = (uint8_t)(again ? VPCI_CAP_AGAIN + f->count : index);
    f->found[f->count].usable = fits && (!again || vpci_caps[index] == &vpci_cap_vendor);
    f->count++;
}

static void note(struct caps_found *f, bool extended, unsigned id, unsigned at, unsigned end)
{
    for (unsigned i = 0; i < CAP_COUNT_KNOWN; i++)
        if (vpci_caps[i]->extended == extended && vpci_caps[i]->id == id)
            note_known(f, i, at, at + vpci_caps[i]->length <= end);
}

static int find_standard(struct vpci *v, struct caps_found *f)
{
    uint32_t status, at = 0, value;
    int error = seam_read(v->dev, PCI_STATUS, 2, &status);

    if (error || !(status & PCI_STATUS_CAP_LIST))
        return error;
    error = seam_read(v->dev, PCI_CAPABILITY_LIST, 1, &at);
    for (; !error; at = value >> NEXT_SHIFT) {
        at &= 0xfcu;
        if (at < CAPS_FIRST || !note_start(f, at))
            break;
        error = seam_read(v->dev, at, 2, &value);
        if (!error && (value & 0xff) == 0xff) /* nothing answers there */
            break;
        if (!error)
            note(f, false, value & 0xff, at, CAPS_END);
    }
    return error;
}

static int find_extended(struct vpci *v, struct caps_found *f)
{
    uint32_t at = CAPS_EXT_FIRST, value;
    int error = 0;

    for (; !error && at >= CAPS_EXT_FIRST && at + 4 <= v->dev->traits.config_size;
         at = value >> EXT_NEXT_SHIFT & 0xffcu) {
        if (!note_start(f, at))
            break;
        error = seam_read(v->dev, at, 4, &value);
        if (error || !value || value == 0xffffffffu)
            break;
        note(f, true, value & 0xffff, at, v->dev->traits.config_size);
    }
    return error;
}

/* ---- making them ---- */

static int add_header(struct vpci *v, unsigned cap, bool extended, unsigned at)
{
    uint32_t value;
    int error = seam_read(v->dev, at, extended ? 4 : 2, &value);

    if (error)
        return error;
    return vpci_add(v, cap, at, extended ? &extended_header : &header,
                    value & (extended ? EXT_VERSION | 0xffff : 0xff));
}

/*
 * M43: what fails is hidden by itself, with nothing of it left (F85). That includes one which lies
 * over another one: the register that was first stays. Memory is another matter: who lends the
 * device again gets a whole view.
 */
static int show_one(struct vpci *v, struct caps_found *f, unsigned i) REQUIRES(v->lock)
{
    unsigned index = f->found[i].index, cap = f->found[i].cap, at = f->found[i].at;
    int error = add_header(v, cap, vpci_caps[index]->extended, at);

    if (!error)
        error = vpci_caps[index]->init(v, cap, at);
    if (!error) {
        f->found[i].shown = true;
        if (!v->cap_at[index])
            v->cap_at[index] = (uint16_t)at;
        return 0;
    }
    vpci_remove_cap(v, cap);
    vpci_complain(v, vpci_caps[index]->name, error);
    return error == -ENOMEM ? error : 0;
}

/* The next one that is shown in one of the two lists, from @i on. */
static unsigned next_shown(const struct caps_found *f, unsigned i, bool extended)
{
    while (i < f->count &&
           (!f->found[i].shown || vpci_caps[f->found[i].index]->extended != extended))
        i++;
    return i;
}

static unsigned offset_of(const struct caps_found *f, unsigned i)
{
    return i < f->count ? f->found[i].at : 0;
}

static int link_standard(struct vpci *v, const struct caps_found *f)
{
    unsigned i = next_shown(f, 0, false), next;
    uint32_t status = vpci_stored(v, PCI_STATUS, 2) & ~PCI_STATUS_CAP_LIST;
    int error = vpci_add(v, VPCI_CAP_HEADER, PCI_CAPABILITY_LIST, &first_pointer, offset_of(f, i));

    vpci_store(v, PCI_STATUS, 2, status | (i < f->count ? PCI_STATUS_CAP_LIST : 0));
    for (; !error && i < f->count; i = next) {
        next = next_shown(f, i + 1, false);
        vpci_store(v, f->found[i].at + 1u, 1, offset_of(f, next));
    }
    return error;
}

/* PCIe 7.6.2: the list begins at 0x100, if only with a null capability that leads on (F85). */
static int link_extended(struct vpci *v, const struct caps_found *f)
{
    unsigned i = next_shown(f, 0, true), next;
    int error = 0;

    if (i < f->count && f->found[i].at != CAPS_EXT_FIRST)
        error = vpci_add(v, VPCI_CAP_HEADER, CAPS_EXT_FIRST, &extended_header,
                         (uint32_t)f->found[i].at << EXT_NEXT_SHIFT);
    for (; !error && i < f->count; i = next) {
        uint32_t value = vpci_stored(v, f->found[i].at, 4) & (EXT_VERSION | 0xffff);

        next = next_shown(f, i + 1, true);
        vpci_store(v, f->found[i].at, 4, value | offset_of(f, next) << EXT_NEXT_SHIFT);
    }
    return error;
}

static int caps_make(struct vpci *v, struct caps_found *f) REQUIRES(v->lock)
{
    int error = find_standard(v, f);

    if (!error)
        error = find_extended(v, f);
    for (unsigned i = 0; i < f->count && !error; i++)
        if (f->found[i].usable)
            error = show_one(v, f, i);
    if (!error)
        error = link_standard(v, f);
    if (!error)
        error = link_extended(v, f);
    return error ? error : vpci_rules_init(v, f);
}

int vpci_caps_init(struct vpci *v)
{
    struct caps_found found = {.count = 0};
    int error;

    v->found = &found;
    error = caps_make(v, &found);
    v->found = NULL;
    return error;
}

void vpci_caps_reset(struct vpci *v)
{
    for (unsigned i = 0; i < CAP_COUNT_KNOWN; i++)
        if (v->cap_at[i] && vpci_caps[i]->reset)
            vpci_caps[i]->reset(v, v->cap_at[i]);
}

int vpci_caps_restore(struct vpci *v)
{
    int error = 0;

    for (unsigned i = 0; i < CAP_COUNT_KNOWN && !error; i++)
        if (v->cap_at[i] && vpci_caps[i]->restore)
            error = vpci_caps[i]->restore(v, v->cap_at[i]);
    return error;
}
