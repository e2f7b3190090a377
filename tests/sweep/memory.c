/* SPDX-License-Identifier: MIT */
/*
 * The port's memory and time, wrapped: allocations are counted and fail to order, and waiting
 * moves the clock at once.
 */
#include <berth_port.h>

#include "tests/sweep/seam.h"

#define RELAX_NS 1000000u
#define TICK_NS 10u

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);
void *__real_port_alloc_lines(size_t size);
void *__wrap_port_alloc_lines(size_t size);
void __real_port_free(void *memory);
void __wrap_port_free(void *memory);
uint64_t __wrap_port_now_ns(void);
void __wrap_port_sleep_ns(uint64_t ns);
void __wrap_port_relax(unsigned attempt);

static long live;
static uint64_t now_ns = 1000000000;

long memory_live(void)
{
    return live;
}

void memory_forget(void)
{
    live = 0;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

void *__wrap_port_alloc(size_t size)
{
    return seam_call(CALL_ALLOC) ? NULL : counted(__real_port_alloc(size));
}

void *__wrap_port_alloc_lines(size_t size)
{
    return seam_call(CALL_ALLOC) ? NULL : counted(__real_port_alloc_lines(size));
}

void __wrap_port_free(void *memory)
{
    live -= memory != NULL;
    __real_port_free(memory);
}

/* ---- time: it passes when somebody waits, and a little when somebody looks ---- */

uint64_t __wrap_port_now_ns(void)
{
    return now_ns += TICK_NS;
}

void __wrap_port_sleep_ns(uint64_t ns)
{
    void (*later)(void) = seam.later;

    seam.later = NULL;
    if (later)
        later();
    now_ns += ns;
}

/* Who waits for somebody in this way does so until a deadline. */
void __wrap_port_relax(unsigned attempt)
{
    (void)attempt;
    now_ns += RELAX_NS;
}
