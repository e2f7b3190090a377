/* SPDX-License-Identifier: MIT */
/*
 * What the compiler calls around each access of the core and of vPCI (-fsanitize=thread): plain
 * accesses go to memory.c, atomics are events. The names and the numbers of memory orders are
 * those of the compilers' interface to their own run-time library.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/explore/engine.h"

#define HERE __builtin_return_address(0)

typedef unsigned __int128 u128;

/* ---- plain accesses ---- */

#define PLAIN(size)                                   \
    void __tsan_read##size(void *address);            \
    void __tsan_write##size(void *address);           \
    void __tsan_unaligned_read##size(void *address);  \
    void __tsan_unaligned_write##size(void *address); \
    void __tsan_read##size(void *address)             \
    {                                                 \
        memory_plain(address, size, false);           \
    }                                                 \
    void __tsan_write##size(void *address)            \
    {                                                 \
        memory_plain(address, size, true);            \
    }                                                 \
    void __tsan_unaligned_read##size(void *address)   \
    {                                                 \
        memory_plain(address, size, false);           \
    }                                                 \
    void __tsan_unaligned_write##size(void *address)  \
    {                                                 \
        memory_plain(address, size, true);            \
    }

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_read_range(void *address, size_t size);
void __tsan_write_range(void *address, size_t size);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *address, size_t size)
{
    memory_plain(address, size, false);
}

void __tsan_write_range(void *address, size_t size)
{
    memory_plain(address, size, true);
}

/* memcpy and memset of the core, by these names. */
void *explore_memcpy(void *to, const void *from, size_t size);
void *explore_memset(void *to, int byte, size_t size);

void *explore_memcpy(void *to, const void *from, size_t size)
{
    memory_plain(from, size, false);
    memory_plain(to, size, true);
    return memcpy(to, from, size);
}

void *explore_memset(void *to, int byte, size_t size)
{
    memory_plain(to, size, true);
    return memset(to, byte, size);
}

/* ---- atomics ---- */

static bool acquires(int order)
{
    return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static void sync_load(struct object *object, int order)
{
    struct thread *self = &threads[search.self];

    if (acquires(order))
        self->sync = clocks_join(self->sync, object->released);
    else
        self->fence_acquire = clocks_join(self->fence_acquire, object->released);
}

/* What @self publishes with a store of this order; its later accesses are not part of it. */
static clocks sync_publish(struct thread *self, unsigned thread, int order)
{
    clocks published = releases(order) ? self->sync : self->fence_release;

    if (releases(order))
        self->sync[thread]++;
    return published;
}

static uint64_t value_at(uintptr_t address, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)address;
    case 2:
        return *(const volatile uint16_t *)address;
    case 4:
        return *(const volatile uint32_t *)address;
    default:
        return *(const volatile uint64_t *)address;
    }
}

static void value_put(uintptr_t address, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
    }
}

static uint64_t load(uintptr_t address, unsigned size, int order, const void *pc)
{
    uint64_t value;

    if (!scheduled() || !memory_has((const void *)address))
        return value_at(address, size);
    if (buffer_find(search.self, address, &value)) /* its own store, still on its way */
        return value;
    point(OP_LOAD, ACCESS_READ, (const void *)address, size, pc);
    memory_atomic((const void *)address, size);
    sync_load(object_at(address), order);
    value = value_at(address, size);
    trace_value(value);
    return value;
}

void store_commit(const struct buffered *store)
{
    struct object *object = object_at(store->address);

    object->released = store->published;
    value_put(store->address, store->size, store->value);
    trace_value(store->value);
}

static void store(uintptr_t address, unsigned size, uint64_t value, int order, const void *pc)
{
    struct buffered entry = {.address = address, .size = (uint8_t)size, .value = value};

    if (!scheduled() || !memory_has((const void *)address)) {
        value_put(address, size, value);
        return;
    }
    if (search.buffers && order != __ATOMIC_SEQ_CST) {
        memory_atomic((const void *)address, size);
        entry.published = sync_publish(&threads[search.self], search.self, order);
        entry.pc = pc;
        buffer_put(search.self, &entry);
        return;
    }
    point(OP_STORE, ACCESS_WRITE, (const void *)address, size, pc);
    memory_atomic((const void *)address, size);
    entry.published = sync_publish(&threads[search.self], search.self, order);
    store_commit(&entry);
}

enum update { UPDATE_SET, UPDATE_ADD, UPDATE_SUB, UPDATE_AND, UPDATE_OR, UPDATE_XOR, UPDATE_NAND };

static uint64_t updated(enum update update, uint64_t old, uint64_t with)
{
    switch (update) {
    case UPDATE_ADD:
        return old + with;
    case UPDATE_SUB:
        return old - with;
    case UPDATE_AND:
        return old & with;
    case UPDATE_OR:
        return old | with;
    case UPDATE_XOR:
        return old ^ with;
    case UPDATE_NAND:
        return ~(old & with);
    default:
        return with;
    }
}

static void update_point(uintptr_t address, unsigned size, const void *pc)
{
    if (!scheduled() || !memory_has((const void *)address))
        return;
    point(OP_UPDATE, ACCESS_WRITE, (const void *)address, size, pc);
    memory_atomic((const void *)address, size);
}

static void sync_update(uintptr_t address, int order)
{
    struct thread *self = &threads[search.self];
    struct object *object;

    if (!scheduled() || !memory_has((const void *)address))
        return;
    object = object_at(address);
    sync_load(object, order);
    object->released = clocks_join(object->released, sync_publish(self, search.self, order));
}

static uint64_t update(uintptr_t address, unsigned size, enum update how, uint64_t with, int order,
                       const void *pc)
{
    uint64_t old;

    update_point(address, size, pc);
    sync_update(address, order);
    old = value_at(address, size);
    value_put(address, size, updated(how, old, with));
    if (scheduled())
        trace_value(updated(how, old, with));
    return old;
}

static bool compare_exchange(uintptr_t address, unsigned size, uint64_t *expected, uint64_t wanted,
                             int order, int order_failed, const void *pc)
{
    uint64_t old;

    update_point(address, size, pc);
    old = value_at(address, size);
    if (scheduled())
        trace_value(old == *expected ? wanted : old);
    if (old == *expected) {
        sync_update(address, order);
        value_put(address, size, wanted);
        return true;
    }
    if (scheduled() && memory_has((const void *)address))
        sync_load(object_at(address), order_failed);
    *expected = old;
    return false;
}

#define UPDATE(bits, name, how)                                                                \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *address,              \
                                                uint##bits##_t with, int order);               \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *address,              \
                                                uint##bits##_t with, int order)                \
    {                                                                                          \
        return (uint##bits##_t)update((uintptr_t)address, (bits) / 8, how, with, order, HERE); \
    }

#define COMPARE(bits, strength)                                                            \
    int __tsan_atomic##bits##_compare_exchange_##strength(                                 \
        volatile uint##bits##_t *address, uint##bits##_t *expected, uint##bits##_t wanted, \
        int order, int order_failed);                                                      \
    int __tsan_atomic##bits##_compare_exchange_##strength(                                 \
        volatile uint##bits##_t *address, uint##bits##_t *expected, uint##bits##_t wanted, \
        int order, int order_failed)                                                       \
    {                                                                                      \
        uint64_t old = *expected;                                                          \
        bool done = compare_exchange((uintptr_t)address, (bits) / 8, &old, wanted, order,  \
                                     order_failed, HERE);                                  \
                                                                                           \
        *expected = (uint##bits##_t)old;                                                   \
        return done;                                                                       \
    }

#define ATOMICS(bits)                                                                             \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address, int order); \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t value,      \
                                     int order);                                                  \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address, int order)  \
    {                                                                                             \
        return (uint##bits##_t)load((uintptr_t)address, (bits) / 8, order, HERE);                 \
    }                                                                                             \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t value,      \
                                     int order)                                                   \
    {                                                                                             \
        store((uintptr_t)address, (bits) / 8, value, order, HERE);                                \
    }                                                                                             \
    UPDATE(bits, exchange, UPDATE_SET)                                                            \
    UPDATE(bits, fetch_add, UPDATE_ADD)                                                           \
    UPDATE(bits, fetch_sub, UPDATE_SUB)                                                           \
    UPDATE(bits, fetch_and, UPDATE_AND)                                                           \
    UPDATE(bits, fetch_or, UPDATE_OR)                                                             \
    UPDATE(bits, fetch_xor, UPDATE_XOR)                                                           \
    UPDATE(bits, fetch_nand, UPDATE_NAND)                                                         \
    COMPARE(bits, strong)                                                                         \
    COMPARE(bits, weak)

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

/* ---- fences ---- */

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_atomic_thread_fence(int order)
{
    struct thread *self = &threads[search.self];

    if (!scheduled())
        return;
    if (order == __ATOMIC_SEQ_CST)
        point(OP_FENCE, ACCESS_NONE, NULL, 0, HERE);
    if (acquires(order))
        self->sync = clocks_join(self->sync, self->fence_acquire);
    if (releases(order)) {
        self->fence_release = self->sync;
        self->sync[search.self]++;
    }
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}
