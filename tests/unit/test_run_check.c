/* SPDX-License-Identifier: MIT */
/* What judges `berth run` and `berth torture`: each flaw alone has to make them fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/berth/run.h"

struct judged {
    struct run_flaws flaws;
    char line[RUN_LINE_SIZE];
};

static const struct run_proof proof = {.accesses = 1000, .removals = 10};
static const struct run_excuse none = {0};

static int setup(void **state)
{
    static struct judged judged;

    flaws_init(&judged.flaws);
    *state = &judged;
    return 0;
}

static int teardown(void **state)
{
    struct judged *judged = *state;

    flaws_destroy(&judged->flaws);
    return 0;
}

static void assert_fails(struct judged *j, enum run_flaw flaw)
{
    for (unsigned i = 0; i < FLAW_COUNT; i++)
        assert_int_equal(!!j->flaws.count[i], i == flaw);
    assert_false(run_verdict(&j->flaws, &proof, j->line));
    assert_ptr_equal(strstr(j->line, "FAIL: "), j->line);
    flaws_destroy(&j->flaws);
    flaws_init(&j->flaws);
    assert_true(run_verdict(&j->flaws, &proof, j->line));
}

/* ---- the verdict ---- */

static void test_pass(void **state)
{
    struct judged *j = *state;

    assert_true(run_verdict(&j->flaws, &proof, j->line));
    assert_string_equal(j->line, "PASS: 10 removals under 1000 accesses, touches after removal 0, "
                                 "references left 0");
    assert_true(run_verdict(&j->flaws, &(struct run_proof){1, 1, true}, j->line));
    assert_non_null(strstr(j->line, "(interrupted)"));
}

static void test_nothing_shown(void **state)
{
    struct judged *j = *state;

    assert_false(run_verdict(&j->flaws, &(struct run_proof){1000, 0, false}, j->line));
    assert_string_equal(j->line,
                        "FAIL: the time was over before anything was shown: no device was removed");
    assert_false(run_verdict(&j->flaws, &(struct run_proof){0, 10, true}, j->line));
    assert_ptr_equal(strstr(j->line, "FAIL: interrupted"), j->line);
}

static void test_each_flaw_fails(void **state)
{
    struct judged *j = *state;

    for (unsigned i = 0; i < FLAW_COUNT; i++) {
        flaw_found(&j->flaws, (enum run_flaw)i, "number %u", i);
        assert_string_not_equal(flaw_name((enum run_flaw)i), "none");
        assert_fails(j, (enum run_flaw)i);
    }
}

static void test_first_detail_is_kept(void **state)
{
    struct judged *j = *state;

    flaw_found(&j->flaws, FLAW_REFUSED, "assign: %d", -16);
    flaw_found(&j->flaws, FLAW_REFUSED, "later");
    flaw_found(&j->flaws, FLAW_TOUCH, "0000:03:00.0");
    assert_false(run_verdict(&j->flaws, &proof, j->line));
    assert_string_equal(j->line, "FAIL: 1 touches of removed functions (A2): 0000:03:00.0; and "
                                 "flaws of 1 other kind");
    assert_int_equal(j->flaws.count[FLAW_REFUSED], 2);
    assert_string_equal(j->flaws.detail[FLAW_REFUSED], "assign: -16");
}

static void test_long_detail_is_cut(void **state)
{
    struct judged *j = *state;
    char text[2 * FLAW_DETAIL_SIZE];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    flaw_found(&j->flaws, FLAW_WALK, "%s", text);
    assert_int_equal(strlen(j->flaws.detail[FLAW_WALK]), FLAW_DETAIL_SIZE - 1);
    assert_false(run_verdict(&j->flaws, &proof, j->line));
}

/* ---- the simulated machine's counters ---- */

static void test_counters(void **state)
{
    static const struct {
        struct sim_counters counters;
        enum run_flaw flaw;
    } cases[] = {
        {{.touches_after_release = 1}, FLAW_TOUCH},      {{.touches_resetting = 2}, FLAW_RESETTING},
        {{.spaces_freed_in_use = 1}, FLAW_FREED_IN_USE}, {{.attach_gaps = 3}, FLAW_GAP},
        {{.bar_decode_off = 1}, FLAW_DECODE_OFF},        {{.bindings_misused = 2}, FLAW_BINDINGS},
    };
    struct judged *j = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        flaws_of_counters(&j->flaws, &cases[i].counters, &none);
        assert_fails(j, cases[i].flaw);
    }
    /* a message may be on its way while its vector is unbound, and is blocked */
    flaws_of_counters(
        &j->flaws,
        &(struct sim_counters){.config_reads = 5, .touches_vanished = 7, .interrupts_forged = 1},
        &none);
    assert_true(run_verdict(&j->flaws, &proof, j->line));
}

static void test_balance(void **state)
{
    static const struct sim_counters then = {
        .contexts = 21, .spaces = 2, .mappings = 4, .claims = 36};
    static const struct {
        struct sim_counters now;
        enum run_flaw flaw;
    } cases[] = {
        {{.contexts = 20, .spaces = 2, .mappings = 4, .claims = 36}, FLAW_CONTEXTS},
        {{.contexts = 21, .spaces = 3, .mappings = 4, .claims = 36}, FLAW_SPACES},
        {{.contexts = 21, .spaces = 1, .mappings = 4, .claims = 36}, FLAW_SPACES},
        {{.contexts = 21, .spaces = 2, .mappings = 5, .claims = 36}, FLAW_MAPPINGS},
        {{.contexts = 21, .spaces = 2, .mappings = 4, .claims = 35}, FLAW_CLAIMS},
        {{.contexts = 21, .spaces = 2, .mappings = 4, .claims = 36, .bindings = 1}, FLAW_BINDINGS},
    };
    struct judged *j = *state;

    flaws_of_balance(&j->flaws, &then, &then, &none);
    assert_true(run_verdict(&j->flaws, &proof, j->line));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        flaws_of_balance(&j->flaws, &then, &cases[i].now, &none);
        assert_fails(j, cases[i].flaw);
    }
}

/* An excuse reaches as far as it says, and no further. */
static void test_excuses(void **state)
{
    static const struct sim_counters then = {.spaces = 2}, three = {.spaces = 3},
                                     four = {.spaces = 4}, one = {.spaces = 1};
    static const struct run_excuse excuse = {
        .spaces_left = 1, .gaps = true, .resetting = true, .decode = true, .bindings = true};
    static const struct sim_counters excused = {
        .attach_gaps = 1, .touches_resetting = 1, .bar_decode_off = 1, .bindings_misused = 1};
    struct judged *j = *state;

    flaws_of_balance(&j->flaws, &then, &three, &excuse);
    flaws_of_counters(&j->flaws, &excused, &excuse);
    assert_true(run_verdict(&j->flaws, &proof, j->line));
    flaws_of_balance(&j->flaws, &then, &four, &excuse);
    assert_fails(j, FLAW_SPACES);
    flaws_of_balance(&j->flaws, &then, &one, &excuse);
    assert_fails(j, FLAW_SPACES);
    flaws_of_counters(&j->flaws, &(struct sim_counters){.touches_after_release = 1}, &excuse);
    assert_fails(j, FLAW_TOUCH);
    flaws_of_balance(&j->flaws, &then, &(struct sim_counters){.spaces = 2, .bindings = 1}, &excuse);
    assert_fails(j, FLAW_BINDINGS);
}

/* ---- reads ---- */

#define ONES UINT32_MAX
#define VALUE 0x01080201u

static void test_reads_of_others(void **state)
{
    uint32_t nobody = lent_word(0, LENT_NOT, 0);
    uint32_t other = lent_word(nobody, LENT_SURELY, 1);

    (void)state;
    assert_int_equal(read_judge(nobody, nobody, 0, ONES, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(nobody, nobody, 0, VALUE, VALUE, ONES), FLAW_FOREIGN_READ);
    assert_int_equal(read_judge(other, other, 0, VALUE, VALUE, ONES), FLAW_FOREIGN_READ);
    assert_int_equal(read_judge(other, other, 0, ONES, VALUE, ONES), FLAW_COUNT);
}

static void test_reads_of_own(void **state)
{
    uint32_t surely = lent_word(0, LENT_SURELY, 1);
    uint32_t perhaps = lent_word(surely, LENT_PERHAPS, 1);

    (void)state;
    assert_int_equal(lent_guest(surely), 1);
    assert_int_equal(read_judge(surely, surely, 1, VALUE, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(surely, surely, 1, ONES, VALUE, ONES), FLAW_DEAF_READ);
    assert_int_equal(read_judge(perhaps, perhaps, 1, ONES, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(perhaps, perhaps, 1, VALUE, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(perhaps, perhaps, 1, 0, VALUE, ONES), FLAW_DEAF_READ);
}

/* The word counts changes: lent and taken back in the middle of a read is no flaw. */
static void test_reads_while_it_changes(void **state)
{
    uint32_t before = lent_word(0, LENT_NOT, 0);
    uint32_t after = lent_word(lent_word(before, LENT_SURELY, 0), LENT_NOT, 0);

    (void)state;
    assert_int_not_equal(before, after);
    assert_int_equal(read_judge(before, after, 0, VALUE, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(before, after, 0, ONES, VALUE, ONES), FLAW_COUNT);
    assert_int_equal(read_judge(before, after, 0, 0, VALUE, ONES), FLAW_DEAF_READ);
    assert_int_equal(read_judge(before, before, 0, 0xff, 0xff, 0xff), FLAW_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_flaw_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_detail_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_detail_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_balance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_excuses, setup, teardown),
        cmocka_unit_test(test_reads_of_others),
        cmocka_unit_test(test_reads_of_own),
        cmocka_unit_test(test_reads_while_it_changes),
    };

    return cmocka_run_group_tests_name("run_check", tests, NULL, NULL);
}
