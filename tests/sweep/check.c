/* SPDX-License-Identifier: MIT */
/* What holds in any state, whatever has failed (R7, O1). */
#include <string.h>

#include "tests/sweep/picture.h"
#include "tests/sweep/stage.h"

static const char *name_of(struct sbdf sbdf)
{
    static char text[SBDF_TEXT_SIZE];

    return sbdf_format(sbdf, text);
}

static bool has_crashed(const struct picture *picture)
{
    for (unsigned i = 0; i < picture->domain_count; i++)
        if (picture->domains[i].crashed)
            return true;
    return false;
}

/* ---- objects and sets ---- */

static void check_state(const struct function_picture *f)
{
    if (f->info.state != PCIDEV_PRESENT || f->info.in_transition)
        complain("%s is in the middle of something", name_of(f->sbdf));
    if (f->sections)
        complain("somebody is inside %s", name_of(f->sbdf));
    if (f->info.broken && f->info.owner_kind == BERTH_DOMAIN_GUEST)
        complain("%s is broken, and %s has it", name_of(f->sbdf), f->info.owner);
}

static unsigned bindings_of(const struct picture *picture, const struct function_picture *f)
{
    unsigned count = 0;

    for (unsigned i = 0; i < picture->books.binding_count; i++)
        if (picture->books.bindings[i].device == sbdf_key(f->sbdf))
            count++;
    return count;
}

static void check_holders(const struct picture *picture, const struct function_picture *f)
{
    const unsigned bindings = bindings_of(picture, f);
    unsigned vectors = 0, known = 0;

    for (unsigned i = 0; i < f->holder_count; i++) {
        const char *tag = f->holders[i].tag;

        if (!strcmp(tag, "registry") || !strcmp(tag, "owner"))
            known += f->holders[i].count == 1;
        else if (!strcmp(tag, "vector"))
            vectors = f->holders[i].count;
        else if (strcmp(tag, "ats") != 0 && strcmp(tag, "vf") != 0)
            complain("%s is held by: %s", name_of(f->sbdf), tag);
    }
    if (known != 2)
        complain("%s is not held once by its registry and its owner", name_of(f->sbdf));
    if (vectors != bindings)
        complain("%s: %u references of vectors, %u bindings", name_of(f->sbdf), vectors, bindings);
}

static void check_sets(const struct picture *picture, const struct function_picture *f)
{
    unsigned found = 0;

    for (unsigned i = 0; i < picture->domain_count; i++) {
        const struct domain_picture *d = &picture->domains[i];

        for (unsigned k = 0; k < d->listed; k++) {
            if (d->devices[k] != sbdf_key(f->sbdf))
                continue;
            found++;
            if (!f->there || strcmp(d->name, f->info.owner) != 0)
                complain("%s is in the set of %s, its owner is %s", name_of(f->sbdf), d->name,
                         f->there ? f->info.owner : "nobody");
        }
    }
    if (found != f->there)
        complain("%s is in %u sets", name_of(f->sbdf), found);
}

/* ---- contexts ---- */

static const struct book_context *context_of(const struct picture *picture, struct sbdf rid)
{
    for (unsigned i = 0; i < picture->books.context_count; i++)
        if (picture->books.contexts[i].rid == sbdf_key(rid))
            return &picture->books.contexts[i];
    return NULL;
}

/* Where a context can't be cleared the guest has crashed, and its space stays (O5). */
static bool context_is_right(const struct picture *picture, const struct pcidev_info *info,
                             const struct book_context *context)
{
    if (info->owner_kind != BERTH_DOMAIN_QUARANTINE)
        return context && context->kind == BERTH_SPACE_DOMAIN && context->id == info->owner_id;
    if (!context || has_crashed(picture))
        return true;
    return context->kind != BERTH_SPACE_DOMAIN && context->id == sbdf_key(info->sbdf);
}

/* All requester ids, or none (O1). */
static void check_contexts(const struct picture *picture, const struct pcidev_info *info)
{
    const struct book_context *first = context_of(picture, info->rids[0]);

    for (unsigned i = 0; i < info->rid_count; i++) {
        const struct book_context *context = context_of(picture, info->rids[i]);

        if (!context_is_right(picture, info, context))
            complain("%s belongs to %s, and its context %u does not", name_of(info->sbdf),
                     info->owner, i);
        else if (!context != !first && !has_crashed(picture))
            complain("%s: context %u is not like the first one", name_of(info->sbdf), i);
    }
}

/* A broken device may not have answered an invalidation: the space that it knows is never freed. */
static void check_dma(const struct function_picture *f)
{
    for (unsigned i = 0; i < PICTURE_RIDS && !f->info.broken; i++) {
        if (f->dma[i].stale)
            complain("%s: what the IOMMU says to id %u is stale", name_of(f->sbdf), i);
        if (f->dma[i].result == SIM_DMA_DOMAIN && f->dma[i].domain != f->info.owner_id)
            complain("%s: id %u reaches somebody else's memory", name_of(f->sbdf), i);
    }
}

/* ---- what a guest has ---- */

/* What it reads of the hardware is so (O6: without bus mastering nothing else is left to say). */
static bool tells_the_truth(const struct function_picture *f)
{
    return !((f->view[COMMAND / 4] ^ f->words[COMMAND / 4]) & COMMAND_MASTER);
}

static void check_lent(const struct function_picture *f)
{
    const uint32_t ids = f->info.vendor | (uint32_t)f->info.device << 16;

    if (!f->info.has_guest_address)
        complain("%s is lent, and has no place", name_of(f->sbdf));
    else if (f->view[0] != ids && f->view[0] != UINT32_MAX)
        complain("%s reads %#x for its ids", name_of(f->sbdf), f->view[0]);
    else if (f->view[0] != ids && f->answers && !f->info.disconnected)
        complain("%s can't be found by its guest", name_of(f->sbdf));
    else if (f->view[0] == ids && f->answers && !f->info.is_vf && !tells_the_truth(f))
        complain("%s: its guest reads %#x for command, and it is %#x", name_of(f->sbdf),
                 f->view[COMMAND / 4], f->words[COMMAND / 4]);
}

static void check_unlent(const struct picture *picture, const struct function_picture *f)
{
    unsigned pieces = 0;

    for (unsigned i = 0; i < picture->books.piece_count; i++)
        pieces += picture->books.pieces[i].device == sbdf_key(f->sbdf);
    if (pieces && !has_crashed(picture))
        complain("a guest has %u pieces of %s", pieces, name_of(f->sbdf));
    if (bindings_of(picture, f))
        complain("%s has interrupts of a guest", name_of(f->sbdf));
    if (f->there && f->info.has_guest_address)
        complain("%s is not lent, and has a place", name_of(f->sbdf));
}

/* ---- all of it ---- */

static void check_function(const struct picture *picture, const struct function_picture *f)
{
    check_sets(picture, f);
    if (f->there) {
        check_state(f);
        check_holders(picture, f);
        check_contexts(picture, &f->info);
        check_dma(f);
    }
    if (f->there && f->info.owner_kind == BERTH_DOMAIN_GUEST)
        check_lent(f);
    else
        check_unlent(picture, f);
}

void picture_check(const struct picture *picture)
{
    unsigned there = 0;

    for (unsigned i = 0; i < picture->function_count; i++) {
        check_function(picture, &picture->functions[i]);
        there += picture->functions[i].there;
    }
    for (unsigned i = 0; i < picture->domain_count; i++)
        if (picture->domains[i].count != picture->domains[i].listed)
            complain("%s counts %u devices and has %u", picture->domains[i].name,
                     picture->domains[i].count, picture->domains[i].listed);
    if (picture->claims != there)
        complain("%u devices, %u claims", there, (unsigned)picture->claims);
    if (picture->contexts != picture->books.context_count ||
        picture->spaces != picture->books.space_count ||
        picture->mappings != picture->books.region_count ||
        picture->bindings != picture->books.binding_count)
        complain("the host has something that was not asked for");
}
