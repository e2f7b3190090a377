/* SPDX-License-Identifier: MIT */
#include "tests/sweep/books.h"

#include <stdlib.h>
#include <string.h>

/* A list of records of @size bytes, of which @count are used. */
static void record_add(void *list, unsigned *count, size_t size, const void *record)
{
    assert_true(*count < BOOKS_MAX);
    memcpy((char *)list + size * (*count)++, record, size);
}

/* False where it is not there. */
static bool record_remove(void *list, unsigned *count, size_t size, const void *record)
{
    char *at = list;

    for (unsigned i = 0; i < *count; i++, at += size) {
        if (memcmp(at, record, size) != 0)
            continue;
        memmove(at, at + size, size * (*count - i - 1));
        --*count;
        return true;
    }
    return false;
}

#define ADD(what, record) \
    record_add(seam.books.what##s, &seam.books.what##_count, sizeof(*(record)), record)
#define REMOVE(what, record) \
    record_remove(seam.books.what##s, &seam.books.what##_count, sizeof(*(record)), record)

/* ---- spaces and contexts ---- */

void books_space(void *handle, enum berth_space_kind kind, uint32_t id)
{
    const struct book_space space = {handle, kind, id};

    ADD(space, &space);
}

static struct book_space space_of(const void *handle)
{
    for (unsigned i = 0; i < seam.books.space_count; i++)
        if (seam.books.spaces[i].handle == handle)
            return seam.books.spaces[i];
    fail_msg("a space is used that was destroyed");
    return (struct book_space){NULL, BERTH_SPACE_BLOCK, 0};
}

/* Regions of a space whose unmapping failed go with it. */
void books_space_gone(void *handle)
{
    const struct book_space space = space_of(handle);
    unsigned kept = 0;

    for (unsigned i = 0; i < seam.books.region_count; i++)
        if (seam.books.regions[i].kind != space.kind || seam.books.regions[i].id != space.id)
            seam.books.regions[kept++] = seam.books.regions[i];
    seam.books.region_count = kept;
    (void)REMOVE(space, &space);
}

void books_detach(struct sbdf rid)
{
    for (unsigned i = 0; i < seam.books.context_count; i++)
        if (seam.books.contexts[i].rid == sbdf_key(rid))
            seam.books.contexts[i] = seam.books.contexts[--seam.books.context_count];
}

void books_attach(struct sbdf rid, void *handle)
{
    const struct book_space space = space_of(handle);
    const struct book_context context = {sbdf_key(rid), space.kind, space.id};

    books_detach(rid);
    ADD(context, &context);
}

static struct book_region region_of(void *handle, const struct berth_reserved *reserved)
{
    const struct book_space space = space_of(handle);

    return (struct book_region){space.kind, space.id, reserved->start};
}

void books_map(void *space, const struct berth_reserved *reserved)
{
    const struct book_region region = region_of(space, reserved);

    ADD(region, &region);
}

void books_unmap(void *space, const struct berth_reserved *reserved)
{
    const struct book_region region = region_of(space, reserved);

    assert_true(REMOVE(region, &region));
}

/* ---- interrupts ---- */

static struct book_binding binding_of(const struct berth_irq *irq)
{
    return (struct book_binding){
        .device = sbdf_key(irq->device),
        .source = sbdf_key(irq->source),
        .kind = (uint16_t)irq->kind,
        .first = irq->first,
        .count = irq->count,
    };
}

void books_bind(const struct berth_irq *irq)
{
    const struct book_binding binding = binding_of(irq);

    ADD(binding, &binding);
}

void books_unbind(const struct berth_irq *irq)
{
    const struct book_binding binding = binding_of(irq);

    assert_true(REMOVE(binding, &binding));
}

/* ---- what guests have mapped ---- */

static struct book_piece piece_of(const struct berth_piece *piece)
{
    return (struct book_piece){
        .device = sbdf_key(pcidev_sbdf(piece->dev)),
        .bar = piece->bar,
        .offset = piece->offset,
        .host = piece->host,
        .guest = piece->guest,
        .length = piece->length,
    };
}

void books_piece(const struct berth_piece *piece)
{
    const struct book_piece record = piece_of(piece);

    assert_false(REMOVE(piece, &record)); /* it is mapped once */
    ADD(piece, &record);
}

/* One that is not mapped is fine. */
void books_piece_gone(const struct berth_piece *piece)
{
    const struct book_piece record = piece_of(piece);

    (void)REMOVE(piece, &record);
}

/* ---- copies ---- */

static int compare(const void *a, const void *b, void *size)
{
    return memcmp(a, b, *(size_t *)size);
}

static void record_copy(void *to, const void *from, unsigned count, size_t size)
{
    memcpy(to, from, count * size);
    qsort_r(to, count, size, compare, &size);
}

void books_copy(struct books *to, const struct books *from)
{
    memset(to, 0, sizeof(*to));
    to->space_count = from->space_count;
    to->context_count = from->context_count;
    to->region_count = from->region_count;
    to->piece_count = from->piece_count;
    to->binding_count = from->binding_count;
    for (unsigned i = 0; i < from->space_count; i++) {
        to->spaces[i].kind = from->spaces[i].kind;
        to->spaces[i].id = from->spaces[i].id;
    }
    record_copy(to->spaces, to->spaces, from->space_count, sizeof(to->spaces[0]));
    record_copy(to->contexts, from->contexts, from->context_count, sizeof(to->contexts[0]));
    record_copy(to->regions, from->regions, from->region_count, sizeof(to->regions[0]));
    record_copy(to->pieces, from->pieces, from->piece_count, sizeof(to->pieces[0]));
    record_copy(to->bindings, from->bindings, from->binding_count, sizeof(to->bindings[0]));
}
