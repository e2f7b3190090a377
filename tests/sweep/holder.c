/* SPDX-License-Identifier: MIT */
/* Somebody who gets into a device, and stays: in a thread of its own, one step at a time. */
#include <pthread.h>
#include <semaphore.h>

#include "tests/sweep/seam.h"

static const char tag_holder[] = "holder";

static struct holder {
    pthread_t thread;
    sem_t asked, done;
    enum { HOLDER_ENTER, HOLDER_LEAVE, HOLDER_END } request;
    struct berth_machine *machine;
    struct sbdf sbdf;
    struct pcidev *dev; /* it is inside this one */
    struct pcidev_section section;
} holder;

static void enter(void)
{
    struct pcidev *dev = pcidev_find(holder.machine, holder.sbdf, tag_holder);

    if (dev && pcidev_enter(dev, tag_holder, &holder.section))
        holder.dev = dev;
    else
        pcidev_put(dev, tag_holder);
}

static void leave(void)
{
    if (!holder.dev)
        return;
    pcidev_exit(&holder.section);
    pcidev_put(holder.dev, tag_holder);
    holder.dev = NULL;
}

static void *holder_run(void *unused)
{
    bool ends = false;

    (void)unused;
    while (!ends) {
        sem_wait(&holder.asked);
        ends = holder.request == HOLDER_END;
        if (holder.request == HOLDER_ENTER)
            enter();
        else
            leave();
        sem_post(&holder.done);
    }
    return NULL;
}

static void ask(int request)
{
    holder.request = request;
    sem_post(&holder.asked);
    sem_wait(&holder.done);
}

void holder_start(void)
{
    sem_init(&holder.asked, 0, 0);
    sem_init(&holder.done, 0, 0);
    assert_int_equal(pthread_create(&holder.thread, NULL, holder_run, NULL), 0);
}

void holder_stop(void)
{
    ask(HOLDER_END);
    pthread_join(holder.thread, NULL);
    sem_destroy(&holder.asked);
    sem_destroy(&holder.done);
}

bool holder_enter(struct berth_machine *machine, struct sbdf sbdf)
{
    if (holder.dev)
        return false;
    holder.machine = machine;
    holder.sbdf = sbdf;
    ask(HOLDER_ENTER);
    return holder.dev != NULL;
}

void holder_leave(void)
{
    if (holder.dev)
        ask(HOLDER_LEAVE);
}
