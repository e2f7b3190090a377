/* SPDX-License-Identifier: MIT */
#include "tests/sweep/grace.h"

#include <berth_port.h>

#define DEFERRED_MAX 4096

void __wrap_port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred));
void __wrap_port_settle(void);

static struct port_deferred *list[DEFERRED_MAX];
static unsigned count;

void __wrap_port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred))
{
    if (count == DEFERRED_MAX)
        memory_settle();
    deferred->fn = fn;
    list[count++] = deferred;
}

/* Freeing one may defer another. */
void memory_settle(void)
{
    while (count) {
        struct port_deferred *deferred = list[--count];

        deferred->fn(deferred);
    }
}

void __wrap_port_settle(void)
{
    memory_settle();
}
