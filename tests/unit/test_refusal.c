/* SPDX-License-Identifier: MIT */
/* Why something was refused, in words (one line: device, rule, way out). */
#include "tests/unit/rig.h"

#include <string.h>

static struct berth_refusal some(enum berth_reason reason)
{
    return (struct berth_refusal){
        .reason = reason,
        .error = -EBUSY,
        .device = at(3, 0, 0),
        .other = at(4, 5, 6),
        .has_other = 1,
        .domain = "vm1",
        .step = "reset",
        .number = 4294967295u,
        .holder_count = 2,
        .holders = {{"reader", 2}, {"writer", 1}},
    };
}

static void test_every_reason_has_a_name_a_rule_a_text_and_a_way_out(void **state)
{
    char text[512];

    (void)state;
    for (int r = BERTH_REASON_NONE + 1; r < BERTH_REASON_COUNT; r++) {
        const struct berth_refusal why = some((enum berth_reason)r);
        const char *name = berth_reason_name(why.reason), *way;
        size_t length = berth_refusal_text(&why, text, sizeof(text));

        assert_string_not_equal(name, "none");
        assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz-") == strlen(name) && *name);
        for (int other = 0; other < r; other++)
            assert_string_not_equal(name, berth_reason_name((enum berth_reason)other));
        assert_true(*berth_reason_rule(why.reason));
        assert_int_equal(length, strlen(text));
        assert_true(length < 256);
        assert_null(strchr(text, '%'));
        assert_null(strchr(text, '\n'));
        assert_true(strstr(text, "0000:03:00.0") || strstr(text, "0000:04:05.6") ||
                    strstr(text, "vm1"));
        way = strstr(text, "): ");
        assert_non_null(way);
        assert_true(strlen(way) > 6);
        assert_non_null(strstr(text, berth_reason_rule(why.reason)));
    }
}

static void test_reasons_from_elsewhere_are_no_crash(void **state)
{
    struct berth_refusal why = some((enum berth_reason)4711);
    char text[128];

    (void)state;
    assert_string_equal(berth_reason_name(why.reason), "none");
    assert_non_null(berth_reason_rule(why.reason));
    berth_refusal_text(&why, text, sizeof(text));
    assert_non_null(strstr(text, "0000:03:00.0"));
    assert_string_equal(berth_reason_name((enum berth_reason) - 1), "none");
    why = (struct berth_refusal){.reason = BERTH_REASON_HOST_FAILED}; /* nothing filled in */
    berth_refusal_text(&why, text, sizeof(text));
    why.reason = BERTH_REASON_OWNED;
    berth_refusal_text(&why, text, sizeof(text));
    assert_non_null(strstr(text, "the caller"));
    why.reason = BERTH_REASON_REFERENCED;
    why.holder_count = UINT32_MAX; /* more than there is room for */
    berth_refusal_text(&why, text, sizeof(text));
}

static void test_a_text_is_cut_where_it_does_not_fit(void **state)
{
    const struct berth_refusal why = some(BERTH_REASON_REFERENCED);
    char whole[512], text[512];
    size_t length = berth_refusal_text(&why, whole, sizeof(whole));

    (void)state;
    for (size_t size = 0; size <= length + 2; size++) {
        memset(text, 'x', sizeof(text));
        assert_int_equal(berth_refusal_text(&why, text, size), length);
        if (size) {
            size_t kept = size <= length ? size - 1 : length;

            assert_memory_equal(text, whole, kept);
            assert_int_equal(text[kept], '\0');
        }
        assert_int_equal(text[size], 'x');
    }
}

static void test_a_text_names_what_it_is_about(void **state)
{
    struct berth_refusal why = some(BERTH_REASON_GUEST_OWNS);
    char text[256];

    (void)state;
    berth_refusal_text(&why, text, sizeof(text));
    assert_string_equal(text, "0000:03:00.0 belongs to guest vm1 (R1): deassign it first, or "
                              "remove it gracefully or by force");
    why = some(BERTH_REASON_SECTION_OPEN);
    berth_refusal_text(&why, text, sizeof(text));
    assert_non_null(strstr(text, "held by reader x2, writer"));
    why = some(BERTH_REASON_VF_COUNT);
    berth_refusal_text(&why, text, sizeof(text));
    assert_non_null(strstr(text, "4294967295"));
    why = some(BERTH_REASON_ROLLBACK);
    berth_refusal_text(&why, text, sizeof(text));
    assert_non_null(strstr(text, "\"reset\""));
}

/* ---- a device that is another one when it is back ---- */

static bool swapped;

static int read_swapped(void *host, berth_claim claim, unsigned reg, unsigned length,
                        uint32_t *value)
{
    int error = sim_host_ops.config_read(host, claim, reg, length, value);

    if (!error && swapped && reg == 0 && length == 4)
        *value = 0x12348086;
    return error;
}

static struct berth_host_ops swapping;

static void swap_host(struct berth_machine_config *config)
{
    swapping = sim_host_ops;
    swapping.config_read = read_swapped;
    config->host = &swapping;
}

static void test_M08_another_device_at_the_address_is_not_taken_for_the_old_one(void **state)
{
    struct rig rig;
    struct rig_state before;

    (void)state;
    swapped = false;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, swap_host);
    rig_pull(&rig, rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, rig_readd(&rig, rig_nvme, NULL), -ENODEV, BERTH_REASON_NOTHING_THERE);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(sim_return(rig.sim, rig_nvme), 0);
    swapped = true;
    rig_expect_refused(&rig, rig_readd(&rig, rig_nvme, NULL), -ENODEV, BERTH_REASON_OTHER_DEVICE);
    rig_expect_as_before(&rig, &before); /* disconnected as it was */
    swapped = false;
    assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0);
    assert_false(rig_info(&rig, rig_nvme).disconnected);
    rig_down(&rig);
}

static void test_success_leaves_the_refusal_alone(void **state)
{
    struct rig rig;
    struct berth_refusal why;
    const struct berth_request request = {.why = &why};
    struct pcidev *dev;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    memset(&why, 0x5a, sizeof(why));
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(pcidev_reset(dev, &request), 0);
    assert_int_equal(((unsigned char *)&why)[0], 0x5a);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_DEFAULT, &request), 0);
    assert_int_equal(((unsigned char *)&why)[0], 0x5a);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_DEFAULT, NULL), -ENODEV); /* nobody asks */
    rig_put(dev);
    rig_down(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reason_has_a_name_a_rule_a_text_and_a_way_out),
        cmocka_unit_test(test_reasons_from_elsewhere_are_no_crash),
        cmocka_unit_test(test_a_text_is_cut_where_it_does_not_fit),
        cmocka_unit_test(test_a_text_names_what_it_is_about),
        cmocka_unit_test(test_M08_another_device_at_the_address_is_not_taken_for_the_old_one),
        cmocka_unit_test(test_success_leaves_the_refusal_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
