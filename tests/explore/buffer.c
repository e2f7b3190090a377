/* SPDX-License-Identifier: MIT */
/*
 * Store buffers: what a CPU with total store order does to a program. A store waits here until the
 * scheduler lets it out, the oldest one first; its own thread sees it at once. A full fence, an
 * atomic update and a lock wait until the buffer is empty.
 */
#include "tests/explore/engine.h"

#define BUFFERED_MAX 64u

struct buffer {
    unsigned count;
    struct buffered store[BUFFERED_MAX];
};

static struct buffer buffers[RUNNERS];

/* The thread that lets out the stores of @runner is about to write the oldest one. */
static void announce(unsigned runner)
{
    struct op *op = &threads[RUNNERS + runner].op;
    const struct buffered *oldest = &buffers[runner].store[0];
    bool any = buffers[runner].count;

    *op = (struct op){.kind = OP_COMMIT,
                      .access = ACCESS_WRITE,
                      .size = any ? oldest->size : 0,
                      .object = any ? oldest->address : 0,
                      .pc = any ? oldest->pc : NULL};
    if (any)
        threads[RUNNERS + runner].order =
            clocks_join(threads[RUNNERS + runner].order, oldest->order);
}

void buffers_begin(void)
{
    for (unsigned i = 0; i < RUNNERS; i++) {
        buffers[i].count = 0;
        announce(i);
    }
}

bool buffer_is_empty(unsigned runner)
{
    return !buffers[runner].count;
}

bool buffer_find(unsigned runner, uintptr_t address, uint64_t *value)
{
    const struct buffer *buffer = &buffers[runner];

    for (unsigned i = buffer->count; i-- > 0;) {
        if (buffer->store[i].address == address) {
            *value = buffer->store[i].value;
            return true;
        }
    }
    return false;
}

void buffer_put(unsigned runner, const struct buffered *store)
{
    struct buffer *buffer = &buffers[runner];

    if (buffer->count == BUFFERED_MAX)
        explore_fail("more stores than a buffer has room for");
    buffer->store[buffer->count] = *store;
    buffer->store[buffer->count++].order = threads[runner].order;
    threads[runner].watched = WATCH_ALL;
    if (buffer->count == 1)
        announce(runner);
}

static void let_out(unsigned runner)
{
    struct buffer *buffer = &buffers[runner];

    store_commit(&buffer->store[0]);
    buffer->count--;
    for (unsigned i = 0; i < buffer->count; i++)
        buffer->store[i] = buffer->store[i + 1];
    announce(runner);
}

void buffer_seal(unsigned runner)
{
    for (unsigned i = 0; i < buffers[runner].count; i++)
        buffers[runner].store[i].sealed = true;
}

/*
 * What membarrier(2) does: all CPUs pass a full fence. A store that no fence for the compiler
 * follows may not even have been issued, and waits on.
 */
void buffer_empty_all(void)
{
    for (unsigned i = 0; i < RUNNERS; i++)
        while (buffers[i].count && (i == search.self || buffers[i].store[0].sealed)) {
            order_note_write(buffers[i].store[0].address);
            let_out(i);
        }
}

void buffer_body(unsigned thread)
{
    for (;;) {
        let_out(thread - RUNNERS);
        search_go_on();
    }
}
