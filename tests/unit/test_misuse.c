/* SPDX-License-Identifier: MIT */
/* What embedders do wrong is told and breaks nothing: counts, tags, registers, lists (C4, C5). */
#include "tests/unit/rig.h"

#include <string.h>

#include "src/core/device.h"

#define MANY (24 + 6) /* more tags than a device has room for */

static struct rig rig;
static struct pcidev *dev;
static const char tag_misuse[] = "misuse";

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    dev = rig_dev(&rig, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_put(dev);
    rig_down(&rig);
    return 0;
}

/* It was told, this often; what was meant is forgiven. */
static void expect_misuse(unsigned count, const char *step)
{
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_MISUSE), count);
    assert_true(rig_find_event(&rig, 0, BERTH_EVENT_MISUSE, step) >= 0);
    atomic_store(&rig.event_count, 0);
}

/* ---- counts ---- */

static void test_C4_a_count_that_overflows_is_told_once(void **state)
{
    uint32_t before = atomic_load(&dev->refs.value);

    (void)state;
    atomic_store(&dev->refs.value, REFCOUNT_SATURATED - 1);
    for (unsigned i = 0; i < 3; i++)
        pcidev_get(dev, tag_misuse);
    expect_misuse(1, "reference overflow");
    assert_ptr_equal(pcidev_find(rig.machine, rig_nvme, tag_misuse), dev);
    for (unsigned i = 0; i < 4; i++)
        pcidev_put(dev, tag_misuse); /* never the last one, whatever is counted */
    assert_true(refcount_read(&dev->refs) >= REFCOUNT_SATURATED);
    atomic_store(&dev->refs.value, before);
}

static void test_C4_a_put_too_many_is_told_and_frees_nothing(void **state)
{
    uint32_t before = atomic_load(&dev->refs.value);

    (void)state;
    pcidev_get(dev, tag_misuse);
    atomic_store(&dev->refs.value, 0);
    pcidev_put(dev, tag_misuse);
    expect_misuse(1, "reference underflow");
    atomic_store(&dev->refs.value, before);
    assert_int_equal(pcidev_reset(dev, NULL), 0);
}

/* ---- tags ---- */

static void test_C5_a_put_with_a_tag_that_holds_nothing_is_told(void **state)
{
    (void)state;
    pcidev_get(dev, "taken");
    pcidev_put(dev, tag_misuse);
    if (BERTH_CHECKS)
        expect_misuse(1, tag_misuse);
    pcidev_get(dev, tag_misuse);
    pcidev_put(dev, "taken");
    atomic_store(&rig.event_count, 0); /* the tag that is left is our own mistake once more */
    if (BERTH_CHECKS) {
        dev->refs.value++;
        pcidev_put(dev, tag_misuse);
    }
}

static void test_C5_tags_beyond_the_table_are_counted_together(void **state)
{
    static const char tags[MANY];
    struct berth_holder all[MANY + HOLD_KINDS], few[3];
    unsigned count, sum = 0;
    bool more = false;

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        pcidev_get(dev, &tags[i]);
    count = pcidev_holders(dev, all, MANY + HOLD_KINDS);
    for (unsigned i = 0; i < count; i++) {
        sum += all[i].count;
        more |= BERTH_CHECKS && !strcmp(all[i].tag, "(more)");
    }
    assert_int_equal(more, BERTH_CHECKS);
    assert_int_equal(sum, rig_info(&rig, rig_nvme).references - 1);
    assert_int_equal(pcidev_holders(dev, few, 3), BERTH_CHECKS ? 3 : count);
    for (unsigned i = 0; i < MANY; i++)
        pcidev_put(dev, &tags[i]);
}

/* ---- registers ---- */

static int access_register(struct sbdf sbdf, unsigned reg, unsigned length, uint32_t *value)
{
    struct pcidev *other = rig_dev(&rig, sbdf);
    struct pcidev_section section;
    int error;

    assert_true(pcidev_enter(other, tag_misuse, &section));
    error = pcidev_config_read(other, reg, length, value);
    if (!error)
        error = pcidev_config_write(other, reg, length, *value);
    pcidev_exit(&section);
    rig_put(other);
    return error;
}

static void test_registers_beyond_a_small_device_are_not_there(void **state)
{
    uint32_t value = 0;

    (void)state;
    assert_int_equal(access_register(rig_legacy, 0x100, 4, &value), 0);
    assert_int_equal(value, 0xffffffff);
    assert_int_equal(access_register(rig_legacy, 0x1ffe, 2, &value), -EINVAL);
    assert_int_equal(access_register(rig_nvme, 0x100, 4, &value), 0);
    assert_int_not_equal(value, 0xffffffff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_C4_a_count_that_overflows_is_told_once),
        TEST(test_C4_a_put_too_many_is_told_and_frees_nothing),
        TEST(test_C5_a_put_with_a_tag_that_holds_nothing_is_told),
        TEST(test_C5_tags_beyond_the_table_are_counted_together),
        TEST(test_registers_beyond_a_small_device_are_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
