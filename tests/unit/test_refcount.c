/* SPDX-License-Identifier: MIT */
/* Reference counts that saturate, and counts of dependents that can be closed (C1, C3, C4, R3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/core/refcount.h"

static void test_C1_the_last_put_is_told_once(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 1);
    assert_true(refcount_get(&count));
    assert_int_equal(refcount_read(&count), 2);
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_put(&count), REFCOUNT_LAST);
    assert_int_equal(refcount_read(&count), 0);
}

static void test_C3_a_try_get_never_wakes_the_dead(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 1);
    assert_true(refcount_try_get(&count));
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_put(&count), REFCOUNT_LAST);
    assert_false(refcount_try_get(&count));
    assert_int_equal(refcount_read(&count), 0);
}

static void test_C4_an_underflow_is_told_and_never_frees(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 1);
    assert_int_equal(refcount_put(&count), REFCOUNT_LAST);
    assert_int_equal(refcount_put(&count), REFCOUNT_UNDERFLOW);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_true(refcount_read(&count) >= REFCOUNT_SATURATED);
}

static void test_C4_a_get_without_a_reference_is_misuse(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 0);
    assert_false(refcount_get(&count)); /* whoever did this had a dangling pointer */
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
}

static void test_C4_saturation_sticks(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, REFCOUNT_SATURATED - 1);
    assert_true(refcount_get(&count));  /* the last one that counts */
    assert_false(refcount_get(&count)); /* told once, as it gets stuck */
    assert_true(refcount_get(&count));
    assert_true(refcount_try_get(&count));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_true(refcount_read(&count) >= REFCOUNT_SATURATED);
}

static void test_C4_a_try_get_does_not_overflow(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, REFCOUNT_SATURATED - 1);
    for (int i = 0; i < 1000; i++)
        assert_true(refcount_try_get(&count));
    assert_int_equal(refcount_read(&count), REFCOUNT_SATURATED);
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_read(&count), REFCOUNT_STUCK);
}

static void test_R3_frozen_means_no_new_reference(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 3);
    assert_false(refcount_freeze(&count, 2));
    assert_true(refcount_try_get(&count));
    assert_false(refcount_freeze(&count, 3));
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_true(refcount_freeze(&count, 3));
    assert_false(refcount_freeze(&count, 3));
    assert_false(refcount_try_get(&count));
    assert_int_equal(refcount_read(&count), 3);
    refcount_thaw(&count);
    assert_true(refcount_try_get(&count));
    assert_int_equal(refcount_read(&count), 4);
}

static void test_R3_those_who_hold_may_go_on_while_it_is_frozen(void **state)
{
    struct refcount count;

    (void)state;
    refcount_init(&count, 2);
    assert_true(refcount_freeze(&count, 2));
    assert_true(refcount_get(&count));
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_put(&count), REFCOUNT_ALIVE);
    assert_int_equal(refcount_put(&count), REFCOUNT_LAST);
}

static void test_F04_dependents_keep_it_open(void **state)
{
    struct dependents dependents = {0};

    (void)state;
    assert_true(dependents_add(&dependents));
    assert_true(dependents_add(&dependents));
    assert_int_equal(dependents_read(&dependents), 2);
    assert_false(dependents_close_if_none(&dependents));
    dependents_drop(&dependents);
    assert_false(dependents_close_if_none(&dependents));
    dependents_drop(&dependents);
    assert_true(dependents_close_if_none(&dependents));
    assert_true(dependents_close_if_none(&dependents));
    assert_false(dependents_add(&dependents));
    assert_int_equal(dependents_read(&dependents), 0);
    dependents_reopen(&dependents);
    assert_true(dependents_add(&dependents));
}

static void test_O5_a_closed_count_lets_those_inside_leave(void **state)
{
    struct dependents dependents = {0};

    (void)state;
    assert_true(dependents_add(&dependents));
    dependents_close(&dependents);
    assert_false(dependents_add(&dependents));
    assert_int_equal(dependents_read(&dependents), 1);
    dependents_drop(&dependents);
    assert_int_equal(dependents_read(&dependents), 0);
    assert_false(dependents_add(&dependents));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_C1_the_last_put_is_told_once),
        cmocka_unit_test(test_C3_a_try_get_never_wakes_the_dead),
        cmocka_unit_test(test_C4_an_underflow_is_told_and_never_frees),
        cmocka_unit_test(test_C4_a_get_without_a_reference_is_misuse),
        cmocka_unit_test(test_C4_saturation_sticks),
        cmocka_unit_test(test_C4_a_try_get_does_not_overflow),
        cmocka_unit_test(test_R3_frozen_means_no_new_reference),
        cmocka_unit_test(test_R3_those_who_hold_may_go_on_while_it_is_frozen),
        cmocka_unit_test(test_F04_dependents_keep_it_open),
        cmocka_unit_test(test_O5_a_closed_count_lets_those_inside_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
