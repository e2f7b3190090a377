/* SPDX-License-Identifier: MIT */
/*
 * The register engine (M40, V7, F75, F88, F90): a guest's view with registers that the test adds,
 * against a model of them that knows single bytes only.
 */
#include <string.h>

#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct rig rig;
static struct berth_domain *guest;
static struct sbdf seen;
static struct pcidev *dev;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    seen = rig_seen(&rig, rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_put(dev);
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

static uint64_t get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(guest, seen, reg, length);
}

static void set(unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(guest, seen, reg, length, value);
}

static void add(const struct berth_register *desc, void *context)
{
    assert_int_equal(berth_register_add(dev, desc, context), 0);
}

/* ---- one mask at a time ---- */

static void test_V7_bits_in_no_mask_are_reserved(void **state)
{
    static const struct berth_register desc = {.offset = 0xa04, .size = 4, .rw = 1};

    (void)state;
    add(&desc, NULL);
    set(0xa00, 8, UINT64_MAX);
    assert_int_equal(get(0xa00, 8), UINT64_C(1) << 32);
}

static void test_M40_bits_of_all_kinds_side_by_side(void **state)
{
    static const struct berth_register desc = {.offset = 0xa00,
                                               .size = 4,
                                               .reset = 0x0dad0ddd,
                                               .ro = 0x0000000f,
                                               .rw = 0x00000ff0,
                                               .rsvdz = 0x0000f000,
                                               .rw1c = 0x00ff0000,
                                               .rsvdp = 0x0f000000};

    (void)state;
    add(&desc, NULL);
    assert_int_equal(get(0xa00, 4), 0x0dad0ddd);
    set(0xa00, 4, 0);
    assert_int_equal(get(0xa00, 4), 0x0dad000d);
    set(0xa00, 4, 0xff21ffff);
    assert_int_equal(get(0xa00, 4), 0x0d8c0ffd);
    set(0xa00, 4, UINT32_MAX);
    assert_int_equal(get(0xa00, 4), 0x0d000ffd);
}

static void test_F75_bytes_outside_of_an_access_clear_nothing(void **state)
{
    static const struct berth_register desc = {
        .offset = 0xa00, .size = 4, .reset = UINT32_MAX, .rw1c = UINT32_MAX};
    static const struct berth_register beside = {
        .offset = 0xa04, .size = 2, .reset = 0xffff, .rw1c = 0xffff};

    (void)state;
    add(&desc, NULL);
    add(&beside, NULL);
    set(0xa01, 1, 0xff);
    assert_int_equal(get(0xa00, 4), 0xffff00ff);
    set(0xa02, 1, 0x0f);
    assert_int_equal(get(0xa00, 4), 0xfff000ff);
    set(0xa03, 2, 0x0000); /* straddles the two, and asks for nothing */
    assert_int_equal(get(0xa00, 8), 0xfffffff000ff);
    set(0xa03, 2, 0x8001); /* bit 24 of the one, bit 7 of the other */
    assert_int_equal(get(0xa00, 8), 0xff7ffef000ff);
    set(0x9fc, 8, UINT64_MAX);
    assert_int_equal(get(0xa00, 8), 0xff7f00000000);
}

/* ---- hooks ---- */

struct spy {
    unsigned reads, writes;
    unsigned reg;
    uint32_t stored, value, cleared;
    uint32_t answer; /* what a read gives, and a write stores */
};

static uint32_t spy_read(void *context, unsigned reg, uint32_t stored)
{
    struct spy *spy = context;

    spy->reads++;
    spy->reg = reg;
    spy->stored = stored;
    return spy->answer;
}

static uint32_t spy_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                          uint32_t cleared)
{
    struct spy *spy = context;

    spy->writes++;
    spy->reg = reg;
    spy->stored = stored;
    spy->value = value;
    spy->cleared = cleared;
    return spy->answer;
}

static void test_M40_a_read_hook_is_asked_once_per_access(void **state)
{
    static const struct berth_register desc = {
        .offset = 0xa04, .size = 4, .reset = 0x11223344, .rw = UINT32_MAX, .read = spy_read};
    struct spy spy = {.answer = 0xa1b2c3d4};

    (void)state;
    add(&desc, &spy);
    assert_int_equal(get(0xa04, 4), 0xa1b2c3d4);
    assert_int_equal(spy.reads, 1);
    assert_int_equal(spy.reg, 0xa04);
    assert_int_equal(spy.stored, 0x11223344);
    assert_int_equal(get(0xa06, 1), 0xb2);
    assert_int_equal(get(0xa05, 2), 0xb2c3);
    assert_int_equal(get(0xa01, 8), UINT64_C(0xa1b2c3d4000000));
    assert_int_equal(get(0xa07, 2), 0xa1);
    assert_int_equal(spy.reads, 5);
    assert_int_equal(get(0xa00, 4), 0); /* a neighbour is none of its business */
    assert_int_equal(get(0xa08, 8), 0);
    assert_int_equal(spy.reads, 5);
    set(0xa04, 4, 5); /* nor is a write */
    assert_int_equal(spy.reads, 5);
    assert_int_equal(get(0xa04, 4), 0xa1b2c3d4);
    assert_int_equal(spy.stored, 5);
}

static void test_M40_a_read_hook_of_one_register_in_a_shared_dword(void **state)
{
    static const struct berth_register plain = {
        .offset = 0xa04, .size = 2, .reset = 0x3344, .rw = 0xffff};
    static const struct berth_register hooked = {
        .offset = 0xa06, .size = 1, .reset = 0x22, .rw = 0xff, .read = spy_read};
    struct spy spy = {.answer = 0xffffff99}; /* more bits than the register has */

    (void)state;
    add(&plain, NULL);
    add(&hooked, &spy);
    assert_int_equal(get(0xa04, 4), 0x00993344);
    assert_int_equal(get(0xa04, 2), 0x3344);
    assert_int_equal(spy.reads, 1);
    assert_int_equal(berth_register_remove(dev, 0xa06, 1), 0);
    assert_int_equal(get(0xa04, 4), 0x3344);
    assert_int_equal(spy.reads, 1);
}

static void test_M40_a_write_hook_gets_what_was_and_what_will_be(void **state)
{
    static const struct berth_register desc = {.offset = 0xa04,
                                               .size = 4,
                                               .reset = 0x00f01234,
                                               .rw = 0x0000ffff,
                                               .rw1c = 0x00ff0000,
                                               .ro = 0xff000000,
                                               .write = spy_write};
    struct spy spy = {.answer = 0x00aa5555};

    (void)state;
    add(&desc, &spy);
    set(0xa04, 4, 0xff305678);
    assert_int_equal(spy.writes, 1);
    assert_int_equal(spy.reg, 0xa04);
    assert_int_equal(spy.stored, 0x00f01234);
    assert_int_equal(spy.value, 0x00c05678);
    assert_int_equal(spy.cleared, 0x00300000);
    assert_int_equal(get(0xa04, 4), 0x00aa5555);
    spy.answer = 0x00aa5577;
    set(0xa04, 1, 0x99); /* a part: the rest is as it was */
    assert_int_equal(spy.value, 0x00aa5599);
    assert_int_equal(spy.cleared, 0);
    assert_int_equal(get(0xa04, 4), 0x00aa5577);
    set(0xa06, 4, UINT32_MAX);
    assert_int_equal(spy.stored, 0x00aa5577);
    assert_int_equal(spy.value, 0x00005577);
    assert_int_equal(spy.cleared, 0x00aa0000 | 0x00550000);
    assert_int_equal(spy.writes, 3);
    set(0xa00, 4, UINT32_MAX);
    set(0xa08, 8, UINT64_MAX);
    (void)get(0xa04, 4);
    assert_int_equal(spy.writes, 3);
}

static void test_M40_one_access_over_several_hooks(void **state)
{
    static const struct berth_register desc[] = {
        {.offset = 0xa00, .size = 2, .rw = 0xffff, .read = spy_read, .write = spy_write},
        {.offset = 0xa03, .size = 1, .rw = 0xff, .read = spy_read, .write = spy_write},
        {.offset = 0xa04, .size = 4, .rw = UINT32_MAX, .read = spy_read, .write = spy_write},
    };
    struct spy spy[3] = {{.answer = 0x2211}, {.answer = 0x44}, {.answer = 0x88776655}};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        add(&desc[i], &spy[i]);
    assert_int_equal(get(0xa00, 8), 0x8877665544002211u);
    set(0xa00, 8, 0x0807060504030201u);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(spy[i].reads, 1);
        assert_int_equal(spy[i].writes, 1);
        assert_int_equal(spy[i].reg, desc[i].offset);
    }
    assert_int_equal(spy[0].value, 0x0201);
    assert_int_equal(spy[1].value, 0x04);
    assert_int_equal(spy[2].value, 0x08070605);
}

/* Inside a section of the device: whoever takes it away waits for the hook. */
static unsigned inside;

static uint32_t look_around(void *context, unsigned reg, uint32_t stored)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];

    (void)context;
    (void)reg;
    inside = pcidev_sections(dev, holders, BERTH_HOLDERS_MAX);
    return stored;
}

static uint32_t look_around_writing(void *context, unsigned reg, uint32_t stored, uint32_t value,
                                    uint32_t cleared)
{
    (void)stored;
    (void)cleared;
    return look_around(context, reg, value);
}

static void test_A1_hooks_run_inside_a_section(void **state)
{
    static const struct berth_register desc = {.offset = 0xa00,
                                               .size = 4,
                                               .rw = UINT32_MAX,
                                               .read = look_around,
                                               .write = look_around_writing};

    (void)state;
    add(&desc, NULL);
    inside = 0;
    (void)get(0xa00, 4);
    assert_int_equal(inside, 1);
    inside = 0;
    set(0xa00, 4, 1);
    assert_int_equal(inside, 1);
}

/* ---- against a model ---- */

#define AREA 0xa00u
#define AREA_SIZE 0x120u /* crosses a page of stored values */
#define OPERATIONS 100000u

/* What one byte does, whatever register it is of. */
struct cell {
    uint8_t value, rw, rw1c, readable;
    uint8_t flipped; /* by its register's read hook */
};

struct model {
    struct cell cell[AREA_SIZE];
    struct berth_register desc[AREA_SIZE];
    unsigned count;
    uint32_t seed;
};

static uint32_t roll(struct model *m)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return m->seed >> 8 ^ m->seed << 20;
}

static uint32_t flip(void *context, unsigned reg, uint32_t stored)
{
    (void)reg;
    return stored ^ *(const uint8_t *)context;
}

static const uint8_t flips = 0x5a;

/* Each bit gets one kind out of six: the five masks, or none. */
static void invent_masks(struct model *m, struct berth_register *desc)
{
    uint32_t *const masks[] = {&desc->ro, &desc->rw, &desc->rw1c, &desc->rsvdp, &desc->rsvdz};

    for (unsigned bit = 0; bit < 8u * desc->size; bit++) {
        unsigned kind = roll(m) % 6;

        if (kind < COUNT(masks))
            *masks[kind] |= 1u << bit;
        if (kind < 4 && roll(m) % 2)
            desc->reset |= 1u << bit;
    }
}

static void describe_cells(struct model *m, const struct berth_register *desc)
{
    for (unsigned i = 0; i < desc->size; i++) {
        struct cell *cell = &m->cell[desc->offset - AREA + i];

        cell->value = (uint8_t)(desc->reset >> 8 * i);
        cell->rw = (uint8_t)(desc->rw >> 8 * i);
        cell->rw1c = (uint8_t)(desc->rw1c >> 8 * i);
        cell->readable = 0xff;
        cell->flipped = desc->read && !i ? flips : 0;
    }
}

/* Registers of all sizes with gaps of all sizes between them. */
static void invent_registers(struct model *m)
{
    for (unsigned at = 0; at < AREA_SIZE;) {
        struct berth_register *desc = &m->desc[m->count];
        unsigned size = 1u << roll(m) % 3;

        if (roll(m) % 4 == 0 || at % size || at + size > AREA_SIZE) {
            at++;
            continue;
        }
        *desc = (struct berth_register){.offset = (uint16_t)(AREA + at), .size = (uint8_t)size};
        desc->read = roll(m) % 8 ? NULL : flip;
        invent_masks(m, desc);
        describe_cells(m, desc);
        m->count++;
        at += size;
    }
}

static struct cell *cell_at(struct model *m, unsigned reg)
{
    return reg >= AREA && reg < AREA + AREA_SIZE ? &m->cell[reg - AREA] : NULL;
}

static void model_write(struct model *m, unsigned reg, unsigned length, uint64_t value)
{
    for (unsigned i = 0; i < length; i++) {
        struct cell *cell = cell_at(m, reg + i);
        uint8_t byte = (uint8_t)(value >> 8 * i);

        if (cell)
            cell->value =
                (uint8_t)(((cell->value & ~cell->rw) | (byte & cell->rw)) & ~(byte & cell->rw1c));
    }
}

static uint64_t model_read(struct model *m, unsigned reg, unsigned length)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < length; i++) {
        const struct cell *cell = cell_at(m, reg + i);

        if (cell)
            value |= (uint64_t)((cell->value ^ cell->flipped) & cell->readable) << 8 * i;
    }
    return value;
}

static void operate(struct model *m)
{
    unsigned length = 1u << roll(m) % 4, reg = AREA - 8 + roll(m) % (AREA_SIZE + 8);
    uint64_t value = (uint64_t)roll(m) << 32 | roll(m);

    if (roll(m) % 2) {
        set(reg, length, value);
        model_write(m, reg, length, value);
    }
    assert_int_equal(get(reg, length), model_read(m, reg, length));
}

static void test_M40_random_accesses_against_a_model_of_bytes(void **state)
{
    static struct model m;

    (void)state;
    m = (struct model){.seed = 20240607};
    invent_registers(&m);
    assert_true(m.count > 60);
    for (unsigned i = m.count; i-- > 0;) /* any order will do */
        add(&m.desc[i], (void *)(uintptr_t)&flips);
    for (unsigned reg = AREA - 8; reg <= AREA + AREA_SIZE; reg++)
        assert_int_equal(get(reg, 1), model_read(&m, reg, 1));
    for (unsigned i = 0; i < OPERATIONS; i++)
        operate(&m);
    for (unsigned i = 0; i < AREA_SIZE; i++)
        m.cell[i] = (struct cell){.value = 0};
    assert_int_equal(berth_register_remove(dev, AREA, AREA_SIZE), 0);
    for (unsigned reg = AREA - 8; reg <= AREA + AREA_SIZE; reg++)
        assert_int_equal(get(reg, 1), 0);
}

/* ---- what is no access ---- */

static void test_F88_accesses_that_no_bus_has(void **state)
{
    static const struct berth_register last = {
        .offset = 0xffc, .size = 4, .reset = 0x12345678, .rw = UINT32_MAX};

    (void)state;
    add(&last, NULL);
    assert_int_equal(get(0xffc, 4), 0x12345678);
    assert_int_equal(get(0xfff, 1), 0x12);
    assert_int_equal(get(0xff8, 8), UINT64_C(0x1234567800000000));
    assert_int_equal(get(0xffd, 4), UINT32_MAX);
    assert_int_equal(get(0xffc, 8), UINT64_MAX);
    assert_int_equal(get(0xffc, 3), 0xffffff);
    assert_int_equal(get(0xffc, 0), 0);
    set(0xffd, 4, 0);
    set(0xffc, 8, 0);
    set(0xffc, 3, 0);
    set(0xffc, 0, 0);
    set(0xffc + 0x1000, 4, 0);
    set(UINT32_MAX - 3, 4, 0);
    assert_int_equal(get(0xffc, 4), 0x12345678);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V7_bits_in_no_mask_are_reserved),
        TEST(test_M40_bits_of_all_kinds_side_by_side),
        TEST(test_F75_bytes_outside_of_an_access_clear_nothing),
        TEST(test_M40_a_read_hook_is_asked_once_per_access),
        TEST(test_M40_a_read_hook_of_one_register_in_a_shared_dword),
        TEST(test_M40_a_write_hook_gets_what_was_and_what_will_be),
        TEST(test_M40_one_access_over_several_hooks),
        TEST(test_A1_hooks_run_inside_a_section),
        TEST(test_M40_random_accesses_against_a_model_of_bytes),
        TEST(test_F88_accesses_that_no_bus_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
