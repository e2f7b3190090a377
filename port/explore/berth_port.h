/* SPDX-License-Identifier: MIT */
/*
 * The port of the controlled scheduler (tests/explore/): one thread of the machine at a time, and
 * each of these calls is a point where another one may go on. What they do is in
 * tests/explore/port.c; docs/proof.md draws it.
 */
#ifndef BERTH_PORT_H
#define BERTH_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_CACHE_LINE 64
#define PORT_RECORD_SIZE 1024

void *port_alloc(size_t size);
void *port_alloc_lines(size_t size);
void port_free(void *memory);

struct port_mutex {
    uint8_t taken; /* by .owner */
    uint8_t owner;
};

void port_mutex_init(struct port_mutex *mutex);
void port_mutex_destroy(struct port_mutex *mutex);
void port_mutex_lock(struct port_mutex *mutex);
bool port_mutex_trylock(struct port_mutex *mutex);
bool port_mutex_lock_until(struct port_mutex *mutex, uint64_t deadline_ns);
void port_mutex_unlock(struct port_mutex *mutex);

void *port_record(void);
void *port_record_next(void *previous);

struct port_deferred {
    struct port_deferred *next;
    void (*fn)(struct port_deferred *deferred);
};

void port_read_lock(void);
void port_read_unlock(void);
void port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred));
void port_settle(void);

/** With store buffers the heavy one empties those of all threads, as far as a light one has sealed
 * what is in them. */
void port_fence_light(void);
void port_fence_heavy(void);

uint64_t port_now_ns(void);
void port_sleep_ns(uint64_t ns);
void port_relax(unsigned attempt);

#endif
