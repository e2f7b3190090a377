/* SPDX-License-Identifier: MIT */
/* The map from addresses to pointers (M02), against a sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <berth/errno.h>

#include "src/core/map.h"

#define KEYS 512

/* What is stored: a pointer that tells its key. */
static unsigned char items[KEYS];

static struct sbdf_map map;
static uint32_t keys[KEYS];
static bool there[KEYS];

static int insert(uint32_t key, void *item)
{
    struct map_spare spare = {.count = 0};
    int error = sbdf_map_prepare(&map, key, &spare);

    if (!error)
        error = sbdf_map_insert(&map, key, item, &spare);
    sbdf_map_spare_free(&spare);
    return error;
}

static int teardown(void **state)
{
    (void)state;
    sbdf_map_destroy(&map);
    assert_int_equal(sbdf_map_count(&map), 0);
    assert_null(atomic_load(&map.root)); /* every node went with its last entry */
    port_settle();
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Sorted, without repetition, some of them close to one another, with both ends. */
static void choose_keys(void)
{
    uint32_t seed = 4711;

    for (unsigned i = 0; i < KEYS; i++) {
        seed = seed * 1664525u + 1013904223u;
        keys[i] = i % 3 ? seed : keys[i / 2] + 1 + i % 7;
        there[i] = false;
    }
    keys[0] = 0;
    keys[1] = UINT32_MAX;
    qsort(keys, KEYS, sizeof(keys[0]), compare);
    for (unsigned i = 1; i < KEYS; i++)
        assert_int_not_equal(keys[i - 1], keys[i]);
}

static void *expected_next(uint32_t from, uint32_t *key)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (there[i] && keys[i] >= from) {
            *key = keys[i];
            return &items[i];
        }
    return NULL;
}

static void check_against_list(uint32_t from)
{
    uint32_t key = from, expected = from;
    void *item = expected_next(from, &expected);

    assert_ptr_equal(sbdf_map_next(&map, &key), item);
    if (item)
        assert_int_equal(key, expected);
}

static void test_M02_random_keys_against_a_list(void **state)
{
    uint32_t seed = 42;
    unsigned count = 0;

    (void)state;
    choose_keys();
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i;

        seed = seed * 1664525u + 1013904223u;
        i = (seed >> 8) % KEYS;
        if (there[i]) {
            assert_int_equal(insert(keys[i], &items[0]), -EEXIST);
            assert_ptr_equal(sbdf_map_remove(&map, keys[i]), &items[i]);
        } else {
            assert_null(sbdf_map_remove(&map, keys[i]));
            assert_int_equal(insert(keys[i], &items[i]), 0);
        }
        there[i] = !there[i];
        count += there[i] ? 1 : -1u;
        assert_int_equal(sbdf_map_count(&map), count);
        assert_ptr_equal(sbdf_map_find(&map, keys[i]), there[i] ? &items[i] : NULL);
        if (round % 8 == 0) {
            check_against_list(keys[i]);
            check_against_list(keys[i] + 1);
            check_against_list(seed);
        }
    }
}

static void test_M02_a_walk_sees_all_of_them_in_order_and_ends(void **state)
{
    uint64_t cursor = 0;
    unsigned seen = 0;
    void *item;

    (void)state;
    choose_keys();
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(insert(keys[i], &items[i]), 0);
    while ((item = sbdf_map_step(&map, &cursor)))
        assert_ptr_equal(item, &items[seen++]);
    assert_int_equal(seen, KEYS); /* ffff:ff:1f.7 did not begin it again */
    assert_null(sbdf_map_step(&map, &cursor));
}

static void test_M02_every_segment_has_its_own_place(void **state)
{
    (void)state;
    for (uint32_t segment = 0; segment <= 0xffff; segment++)
        assert_int_equal(insert(segment << 16 | 0x0300, (void *)(uintptr_t)(segment + 1)), 0);
    assert_int_equal(sbdf_map_count(&map), 65536);
    for (uint32_t segment = 0; segment <= 0xffff; segment++) {
        assert_ptr_equal(sbdf_map_find(&map, segment << 16 | 0x0300),
                         (void *)(uintptr_t)(segment + 1));
        assert_null(sbdf_map_find(&map, segment << 16 | 0x0301));
    }
    for (uint32_t segment = 0; segment <= 0xffff; segment++)
        assert_non_null(sbdf_map_remove(&map, segment << 16 | 0x0300));
}

static void test_M02_an_insert_without_the_nodes_says_try_again(void **state)
{
    struct map_spare none = {.count = 0}, spare = {.count = 0};

    (void)state;
    assert_int_equal(sbdf_map_insert(&map, 5, &items[5], &none), -EAGAIN);
    assert_int_equal(sbdf_map_count(&map), 0);
    assert_int_equal(sbdf_map_prepare(&map, 5, &spare), 0);
    assert_int_equal(spare.count, MAP_LEVELS);
    assert_int_equal(sbdf_map_insert(&map, 5, &items[5], &spare), 0);
    assert_int_equal(spare.count, 0);
    /* the leaf is there now */
    assert_int_equal(sbdf_map_insert(&map, 6, &items[6], &none), 0);
    assert_int_equal(sbdf_map_insert(&map, 0x1000006, &items[7], &none), -EAGAIN);
    /* more nodes than needed: the rest stays with the caller */
    assert_int_equal(sbdf_map_prepare(&map, 0x80000000, &spare), 0);
    assert_int_equal(sbdf_map_insert(&map, 7, &items[7], &spare), 0);
    assert_int_equal(spare.count, 3);
    sbdf_map_spare_free(&spare);
    assert_int_equal(spare.count, 0);
}

static void test_M02_an_empty_map_is_fine(void **state)
{
    uint32_t key = 0;

    (void)state;
    assert_null(sbdf_map_find(&map, 0));
    assert_null(sbdf_map_next(&map, &key));
    assert_null(sbdf_map_remove(&map, 0));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M02_random_keys_against_a_list),
        TEST(test_M02_a_walk_sees_all_of_them_in_order_and_ends),
        TEST(test_M02_every_segment_has_its_own_place),
        TEST(test_M02_an_insert_without_the_nodes_says_try_again),
        TEST(test_M02_an_empty_map_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
