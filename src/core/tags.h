/* SPDX-License-Identifier: MIT */
/* Debug builds: which tag holds how many references (C5). Release builds: nothing. */
#ifndef CORE_TAGS_H
#define CORE_TAGS_H

#include "src/core/device.h"

#if BERTH_CHECKS

void tags_init(struct pcidev *dev);
void tags_destroy(struct pcidev *dev);
void tags_add(struct pcidev *dev, const char *tag);
void tags_drop(struct pcidev *dev, const char *tag);
/** Appends to @list; returns the new number of entries. */
unsigned tags_list(struct pcidev *dev, struct berth_holder *list, unsigned count, unsigned max);

#else

static inline void tags_init(struct pcidev *dev)
{
    (void)dev;
}

static inline void tags_destroy(struct pcidev *dev)
{
    (void)dev;
}

static inline void tags_add(struct pcidev *dev, const char *tag)
{
    (void)dev;
    (void)tag;
}

static inline void tags_drop(struct pcidev *dev, const char *tag)
{
    (void)dev;
    (void)tag;
}

#endif

#endif
