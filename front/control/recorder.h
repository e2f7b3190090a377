/* SPDX-License-Identifier: MIT */
/*
 * What guests were given through their views, where no VMM is behind them: pieces of BARs that they
 * reach, interrupts that they were told of. One for a guest, or one for all of them: the device
 * says whose it is.
 */
#ifndef BERTH_CONTROL_RECORDER_H
#define BERTH_CONTROL_RECORDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/vpci.h>

/** A piece that is mapped now. */
struct recorder_piece {
    struct sbdf device; /* the host's */
    unsigned bar;
    uint64_t offset, guest, length;
};

/** What was told of one vector. */
struct recorder_vector {
    struct sbdf device; /* the host's */
    unsigned vector;
    uint32_t generation; /* of the device: another owner begins anew */
    uint64_t count;
    struct berth_message last;
};

struct recorder {
    /* Locking: protects all that follows. A leaf: no call of the core under it. */
    pthread_mutex_t lock;
    struct recorder_piece *pieces;
    size_t piece_count;
    struct recorder_vector *vectors;
    size_t vector_count;
    uint64_t maps, unmaps, injected, lines; /* so far; lines: how often INTx was asserted */
};

void recorder_init(struct recorder *recorder);
void recorder_destroy(struct recorder *recorder);

/** The slots of berth_view_ops; the context is the struct recorder. */
extern const struct berth_view_ops recorder_ops;

/** The same as functions. map: 0, -ENOMEM, or -EEXIST where it is mapped already. */
int recorder_map(struct recorder *recorder, const struct berth_piece *piece);
void recorder_unmap(struct recorder *recorder, const struct berth_piece *piece);

/** Pieces that are mapped: all of them, and bytes of one BAR. */
size_t recorder_pieces(struct recorder *recorder);
uint64_t recorder_mapped(struct recorder *recorder, struct sbdf device, unsigned bar);

/** The piece with @offset of a device's BAR. False: that is not mapped. */
bool recorder_find(struct recorder *recorder, struct sbdf device, unsigned bar, uint64_t offset,
                   struct recorder_piece *piece);

/** Any piece of a device. False: it has none. */
bool recorder_has(struct recorder *recorder, struct sbdf device, struct recorder_piece *piece);

/** A piece where @piece is to be mapped; of use where all are one guest's. False: none. */
bool recorder_clash(struct recorder *recorder, const struct berth_piece *piece,
                    struct recorder_piece *found);

/**
 * Calls @access for what is mapped at a guest's address, if anything is. As with a CPU, it is not
 * taken away before the access has ended. Returns what it returned, or -ENOENT.
 */
int recorder_access(struct recorder *recorder, uint64_t guest,
                    int (*access)(void *context, const struct recorder_piece *piece),
                    void *context);

/** What was told of a vector in the device's present life; zeros where that was nothing. */
struct recorder_vector recorder_vector(struct recorder *recorder, const struct pcidev *dev,
                                       unsigned vector);

/** Interrupts of a device in its present life, by all of its vectors. */
uint64_t recorder_injected(struct recorder *recorder, const struct pcidev *dev);

#endif
