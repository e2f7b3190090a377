/* SPDX-License-Identifier: MIT */
#include "front/control/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/pcidev.h>

void recorder_init(struct recorder *recorder)
{
    *recorder = (struct recorder){.pieces = NULL};
    pthread_mutex_init(&recorder->lock, NULL);
}

void recorder_destroy(struct recorder *recorder)
{
    pthread_mutex_destroy(&recorder->lock);
    free(recorder->pieces);
    free(recorder->vectors);
}

/* ---- pieces; static functions are called with the lock ---- */

static bool in_range(uint64_t value, uint64_t start, uint64_t length)
{
    return value - start < length;
}

static bool is_part_of(const struct recorder_piece *p, const struct berth_piece *piece)
{
    if (!sbdf_equal(p->device, pcidev_sbdf(piece->dev)) || p->bar != piece->bar)
        return false;
    return in_range(p->offset, piece->offset, piece->length) ||
           in_range(piece->offset, p->offset, p->length);
}

static bool is_over(const struct recorder_piece *p, const struct berth_piece *piece)
{
    return in_range(p->guest, piece->guest, piece->length) ||
           in_range(piece->guest, p->guest, p->length);
}

static int piece_add(struct recorder *recorder, const struct berth_piece *piece)
{
    struct recorder_piece *grown;

    for (size_t i = 0; i < recorder->piece_count; i++) {
        if (is_part_of(&recorder->pieces[i], piece))
            return -EEXIST;
    }
    grown = realloc(recorder->pieces, (recorder->piece_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    grown[recorder->piece_count++] = (struct recorder_piece){
        .device = pcidev_sbdf(piece->dev),
        .bar = piece->bar,
        .offset = piece->offset,
        .guest = piece->guest,
        .length = piece->length,
    };
    recorder->pieces = grown;
    recorder->maps++;
    return 0;
}

int recorder_map(struct recorder *recorder, const struct berth_piece *piece)
{
    int error;

    pthread_mutex_lock(&recorder->lock);
    error = piece_add(recorder, piece);
    pthread_mutex_unlock(&recorder->lock);
    return error;
}

void recorder_unmap(struct recorder *recorder, const struct berth_piece *piece)
{
    pthread_mutex_lock(&recorder->lock);
    for (size_t i = recorder->piece_count; i-- > 0;) {
        if (!is_part_of(&recorder->pieces[i], piece))
            continue;
        recorder->pieces[i] = recorder->pieces[--recorder->piece_count];
        recorder->unmaps++;
    }
    pthread_mutex_unlock(&recorder->lock);
}

size_t recorder_pieces(struct recorder *recorder)
{
    size_t count;

    pthread_mutex_lock(&recorder->lock);
    count = recorder->piece_count;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

uint64_t recorder_mapped(struct recorder *recorder, struct sbdf device, unsigned bar)
{
    uint64_t bytes = 0;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->piece_count; i++) {
        const struct recorder_piece *p = &recorder->pieces[i];

        if (sbdf_equal(p->device, device) && p->bar == bar)
            bytes += p->length;
    }
    pthread_mutex_unlock(&recorder->lock);
    return bytes;
}

/* ---- looking for one piece ---- */

typedef bool match_fn(const struct recorder_piece *piece, const void *wanted);

static bool search(struct recorder *recorder, match_fn *match, const void *wanted,
                   struct recorder_piece *piece)
{
    bool found = false;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->piece_count && !found; i++) {
        found = match(&recorder->pieces[i], wanted);
        if (found)
            *piece = recorder->pieces[i];
    }
    pthread_mutex_unlock(&recorder->lock);
    return found;
}

static bool has_offset(const struct recorder_piece *piece, const void *wanted)
{
    const struct recorder_piece *place = wanted;

    return sbdf_equal(piece->device, place->device) && piece->bar == place->bar &&
           in_range(place->offset, piece->offset, piece->length);
}

bool recorder_find(struct recorder *recorder, struct sbdf device, unsigned bar, uint64_t offset,
                   struct recorder_piece *piece)
{
    const struct recorder_piece place = {.device = device, .bar = bar, .offset = offset};

    return search(recorder, has_offset, &place, piece);
}

static bool has_device(const struct recorder_piece *piece, const void *wanted)
{
    const struct sbdf *device = wanted;

    return sbdf_equal(piece->device, *device);
}

bool recorder_has(struct recorder *recorder, struct sbdf device, struct recorder_piece *piece)
{
    return search(recorder, has_device, &device, piece);
}

static bool is_in_the_way(const struct recorder_piece *piece, const void *wanted)
{
    return is_over(piece, wanted);
}

bool recorder_clash(struct recorder *recorder, const struct berth_piece *piece,
                    struct recorder_piece *found)
{
    return search(recorder, is_in_the_way, piece, found);
}

int recorder_access(struct recorder *recorder, uint64_t guest,
                    int (*access)(void *context, const struct recorder_piece *piece), void *context)
{
    int error = -ENOENT;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->piece_count && error == -ENOENT; i++) {
        const struct recorder_piece *p = &recorder->pieces[i];

        if (in_range(guest, p->guest, p->length))
            error = access(context, p);
    }
    pthread_mutex_unlock(&recorder->lock);
    return error;
}

/* ---- interrupts; static functions are called with the lock ---- */

static struct recorder_vector *vector_find(struct recorder *recorder, const struct pcidev *dev,
                                           unsigned vector)
{
    for (size_t i = 0; i < recorder->vector_count; i++) {
        struct recorder_vector *v = &recorder->vectors[i];

        if (sbdf_equal(v->device, pcidev_sbdf(dev)) && v->vector == vector)
            return v;
    }
    return NULL;
}

/* The entry of a vector, counting from zero in a life that it has not seen yet. NULL: no memory. */
static struct recorder_vector *vector_get(struct recorder *recorder, const struct pcidev *dev,
                                          unsigned vector)
{
    struct recorder_vector *v = vector_find(recorder, dev, vector);

    if (v && v->generation == pcidev_generation(dev))
        return v;
    if (!v) {
        v = realloc(recorder->vectors, (recorder->vector_count + 1) * sizeof(*v));
        if (!v)
            return NULL;
        recorder->vectors = v;
        v += recorder->vector_count++;
    }
    *v = (struct recorder_vector){
        .device = pcidev_sbdf(dev), .vector = vector, .generation = pcidev_generation(dev)};
    return v;
}

struct recorder_vector recorder_vector(struct recorder *recorder, const struct pcidev *dev,
                                       unsigned vector)
{
    struct recorder_vector copy = {.device = pcidev_sbdf(dev), .vector = vector};
    const struct recorder_vector *found;

    pthread_mutex_lock(&recorder->lock);
    found = vector_find(recorder, dev, vector);
    if (found && found->generation == pcidev_generation(dev))
        copy = *found;
    pthread_mutex_unlock(&recorder->lock);
    return copy;
}

uint64_t recorder_injected(struct recorder *recorder, const struct pcidev *dev)
{
    uint64_t count = 0;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->vector_count; i++) {
        const struct recorder_vector *v = &recorder->vectors[i];

        if (sbdf_equal(v->device, pcidev_sbdf(dev)) && v->generation == pcidev_generation(dev))
            count += v->count;
    }
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

/* ---- the ops ---- */

static int op_map(void *context, const struct berth_piece *piece)
{
    return recorder_map(context, piece);
}

static int op_unmap(void *context, const struct berth_piece *piece)
{
    recorder_unmap(context, piece);
    return 0;
}

/* A port of the guest's bus has no address of the host, and is only counted. */
static void op_inject(void *context, struct pcidev *dev, unsigned vector,
                      const struct berth_message *message)
{
    struct recorder *recorder = context;
    struct recorder_vector *v;

    pthread_mutex_lock(&recorder->lock);
    recorder->injected++;
    v = dev ? vector_get(recorder, dev, vector) : NULL;
    if (v) {
        v->count++;
        v->last = *message;
    }
    pthread_mutex_unlock(&recorder->lock);
}

static void op_intx(void *context, struct sbdf at, unsigned pin, bool asserted)
{
    struct recorder *recorder = context;

    (void)at;
    (void)pin;
    pthread_mutex_lock(&recorder->lock);
    recorder->lines += asserted;
    pthread_mutex_unlock(&recorder->lock);
}

const struct berth_view_ops recorder_ops = {
    .map = op_map,
    .unmap = op_unmap,
    .inject = op_inject,
    .intx = op_intx,
};
