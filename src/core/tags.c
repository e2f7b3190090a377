/* SPDX-License-Identifier: MIT */
#include "src/core/tags.h"

#include "src/core/machine_priv.h"

#if BERTH_CHECKS

void tags_init(struct pcidev *dev)
{
    lock_init(&dev->tags.lock, LOCK_TAGS);
}

void tags_destroy(struct pcidev *dev)
{
    lock_destroy(&dev->tags.lock);
}

/* Tags are compared by address: they are static strings, and C6 wants few of them. */
static struct berth_holder *tag_slot(struct tag_table *tags, const char *tag) REQUIRES(tags->lock)
{
    struct berth_holder *unused = NULL;

    for (unsigned i = 0; i < TAGS_MAX; i++) {
        if (tags->tag[i].count && tags->tag[i].tag == tag)
            return &tags->tag[i];
        if (!tags->tag[i].count && !unused)
            unused = &tags->tag[i];
    }
    if (unused)
        *unused = (struct berth_holder){.tag = tag};
    return unused;
}

void tags_add(struct pcidev *dev, const char *tag)
{
    struct berth_holder *holder;

    lock_take(&dev->tags.lock);
    holder = tag_slot(&dev->tags, tag);
    if (holder)
        holder->count++;
    else
        dev->tags.overflow++;
    lock_drop(&dev->tags.lock);
}

void tags_drop(struct pcidev *dev, const char *tag)
{
    struct berth_holder *holder;
    bool known = true;

    lock_take(&dev->tags.lock);
    holder = tag_slot(&dev->tags, tag);
    if (holder && holder->count)
        holder->count--;
    else if (dev->tags.overflow)
        dev->tags.overflow--;
    else
        known = false;
    lock_drop(&dev->tags.lock);
    if (!known)
        event_device(dev, BERTH_EVENT_MISUSE, tag, -EINVAL);
}

unsigned tags_list(struct pcidev *dev, struct berth_holder *list, unsigned count, unsigned max)
{
    lock_take(&dev->tags.lock);
    for (unsigned i = 0; i < TAGS_MAX && count < max; i++)
        if (dev->tags.tag[i].count)
            list[count++] = dev->tags.tag[i];
    if (dev->tags.overflow && count < max)
        list[count++] = (struct berth_holder){.tag = "(more)", .count = dev->tags.overflow};
    lock_drop(&dev->tags.lock);
    return count;
}

#endif
