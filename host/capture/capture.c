/* SPDX-License-Identifier: MIT */
/*
 * The capture itself: built in the order of the input, kept in the order of addresses.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

#define HEADER_TYPE 0x0e
#define HEADER_TYPE_MASK 0x7fu
#define HEADER_TYPE_CARDBUS 2

static int builder_grow(struct capture_builder *builder)
{
    size_t room = builder->room ? 2 * builder->room : 16;
    struct capture_function *functions;
    struct capture_place *places;

    functions = reallocarray(builder->functions, room, sizeof(*functions));
    if (!functions)
        return -ENOMEM;
    builder->functions = functions;
    places = reallocarray(builder->places, room, sizeof(*places));
    if (!places)
        return -ENOMEM;
    builder->places = places;
    builder->room = room;
    return 0;
}

int capture_builder_add(struct capture_builder *builder, struct sbdf sbdf, size_t line,
                        struct capture_error *error)
{
    struct capture_function *function;
    size_t index = builder->count;

    if (index == builder->limit) {
        struct capture_cursor at = {.line = line};

        capture_fail_at(error, &at, "more than %zu functions", builder->limit);
        return -E2BIG;
    }
    if (index == builder->room && builder_grow(builder))
        return capture_fail(error, -ENOMEM, "not enough memory for %zu functions", index + 1);
    function = &builder->functions[index];
    memset(function, 0, sizeof(*function));
    function->sbdf = sbdf;
    function->extra.numa_node = -1;
    function->extra.iommu_group = -1;
    builder->places[index] =
        (struct capture_place){.key = sbdf_key(sbdf), .line = line, .index = index};
    builder->count++;
    return 0;
}

struct capture_function *capture_builder_last(const struct capture_builder *builder)
{
    return builder->count ? &builder->functions[builder->count - 1] : NULL;
}

static int place_compare(const void *left, const void *right)
{
    const struct capture_place *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Of several repeated addresses, the one that a reader of the text meets first. */
static const struct capture_place *find_repeat(const struct capture_builder *builder)
{
    const struct capture_place *places = builder->places, *first = NULL;

    for (size_t i = 1; i < builder->count; i++) {
        if (places[i].key == places[i - 1].key && (!first || places[i].index < first->index))
            first = &places[i];
    }
    return first;
}

/* Puts functions[places[i].index] at i, cycle by cycle: a second array may be gigabytes. */
static void builder_permute(struct capture_builder *builder)
{
    struct capture_place *places = builder->places;
    struct capture_function spare;

    for (size_t i = 0; i < builder->count; i++) {
        size_t to = i, from = places[i].index;

        if (from == i)
            continue;
        spare = builder->functions[i];
        for (; from != i; to = from, from = places[to].index) {
            builder->functions[to] = builder->functions[from];
            places[to].index = to;
        }
        builder->functions[to] = spare;
        places[to].index = to;
    }
}

int capture_builder_finish(struct capture_builder *builder, struct capture *capture,
                           struct capture_error *error)
{
    const struct capture_place *repeat;
    struct capture_function *exact;

    if (builder->count == 0)
        return capture_fail(error, -EINVAL, "no PCI function in the input");
    qsort(builder->places, builder->count, sizeof(*builder->places), place_compare);
    repeat = find_repeat(builder);
    if (repeat) {
        struct capture_cursor line = {.line = repeat->line};
        char text[SBDF_TEXT_SIZE];

        return capture_fail_at(error, &line, "%s is here twice, first in line %zu",
                               sbdf_format(sbdf_from_key(repeat->key), text), repeat[-1].line);
    }
    builder_permute(builder);
    exact = reallocarray(builder->functions, builder->count, sizeof(*exact));
    if (exact)
        builder->functions = exact;
    capture->functions = builder->functions;
    capture->count = builder->count;
    builder->functions = NULL;
    builder->count = 0;
    return 0;
}

void capture_builder_free(struct capture_builder *builder)
{
    free(builder->functions);
    free(builder->places);
    *builder = (struct capture_builder){.limit = builder->limit};
}

bool capture_size_valid(const struct capture_function *function)
{
    unsigned type = function->config[HEADER_TYPE] & HEADER_TYPE_MASK;

    return function->size == 64 || function->size == 256 || function->size == 4096 ||
           (function->size == 128 && type == HEADER_TYPE_CARDBUS);
}

static int function_compare(const void *key, const void *element)
{
    uint32_t wanted = *(const uint32_t *)key;
    uint32_t here = sbdf_key(((const struct capture_function *)element)->sbdf);

    return (wanted > here) - (wanted < here);
}

const struct capture_function *capture_find(const struct capture *capture, struct sbdf sbdf)
{
    uint32_t key = sbdf_key(sbdf);

    if (capture->count == 0)
        return NULL;
    return bsearch(&key, capture->functions, capture->count, sizeof(*capture->functions),
                   function_compare);
}

void capture_free(struct capture *capture)
{
    free(capture->functions);
    *capture = (struct capture){0};
}
