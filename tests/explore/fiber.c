/* SPDX-License-Identifier: MIT */
/*
 * Fibers: each actor has a stack of its own, and exactly one of them runs. A fiber begins anew by
 * jumping back to the top of its stack, so a schedule may be thrown away anywhere in it.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/explore/engine.h"

#define STACK_SIZE (256u << 10)

struct fiber {
    jmp_buf top, here;
    bool fresh;
    unsigned thread;
    fiber_body *body;
    unsigned char *stack;
};

static struct fiber fibers[THREADS];
static jmp_buf main_here;
static struct fiber *starting;

static void fiber_main(void)
{
    struct fiber *fiber = starting;

    if (_setjmp(fiber->top) == 0)
        _longjmp(main_here, 1);
    fiber->body(fiber->thread);
    abort(); /* a body ends with OP_DONE and is not chosen again */
}

void fiber_create(unsigned thread, fiber_body *body)
{
    struct fiber *fiber = &fibers[thread];
    ucontext_t context;

    fiber->thread = thread;
    fiber->body = body;
    fiber->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (fiber->stack == MAP_FAILED || getcontext(&context)) {
        perror("explore: no memory for a stack");
        exit(2);
    }
    context.uc_stack.ss_sp = fiber->stack;
    context.uc_stack.ss_size = STACK_SIZE;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    starting = fiber;
    if (_setjmp(main_here) == 0)
        setcontext(&context);
}

void fiber_restart(unsigned thread)
{
    fibers[thread].fresh = true;
}

static void fiber_go(unsigned to)
{
    struct fiber *fiber = &fibers[to];

    if (to == NOBODY)
        _longjmp(main_here, 1);
    if (!fiber->fresh)
        _longjmp(fiber->here, 1);
    fiber->fresh = false;
    _longjmp(fiber->top, 1);
}

void fiber_switch(unsigned from, unsigned to)
{
    if (_setjmp(from == NOBODY ? main_here : fibers[from].here) == 0)
        fiber_go(to);
}

void fiber_abandon(void)
{
    fiber_go(NOBODY);
    abort();
}

bool fiber_owns(const void *address)
{
    for (unsigned i = 0; i < THREADS; i++)
        if (fibers[i].stack && (const unsigned char *)address >= fibers[i].stack &&
            (const unsigned char *)address < fibers[i].stack + STACK_SIZE)
            return true;
    return false;
}
