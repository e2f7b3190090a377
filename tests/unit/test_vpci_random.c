/* SPDX-License-Identifier: MIT */
/*
 * Devices whose config space is random bytes (K13): they are added, lent, looked at, written to and
 * taken back. Nothing hangs, memory is bounded, everything balances. The seeds are fixed.
 *
 * Every other device has a header that makes sense, and lists of capabilities that nearly do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <berth/errno.h>
#include <berth/pcidev.h>
#include <berth/vpci.h>
#include <berth_port.h>

#include "src/core/lock.h" /* BERTH_CHECKS */
#include "tests/fuzz/odd.h"

/* All of them where it is fast enough; sanitizers and checks see the first ones. */
#if BERTH_CHECKS
#define DEVICES 3000u
#else
#define DEVICES 100000u
#endif

#define WRITES 48u
#define VIEW_MAX 65536u
#define VECTOR_BYTES 40u
#define VECTORS_MAX (2048u + 32u + 1u)
#define LIST_MAX 1024u

/* ---- random ---- */

static uint64_t random_state;

/* splitmix64 */
static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned random_below(unsigned limit)
{
    return (unsigned)(random_next() >> 33) % limit;
}

/* ---- a device ---- */

static void fill(struct odd *odd)
{
    for (unsigned i = 0; i < ODD_SPACE; i += 8) {
        uint64_t bytes = random_next(), writable = random_next() & random_next();

        memcpy(&odd->bytes[i], &bytes, 8);
        memcpy(&odd->writable[i], &writable, 8);
    }
}

static const uint8_t ids[] = {0x01, 0x03, 0x05, 0x09, 0x10, 0x11, 0x13, 0x07};
static const uint8_t ext_ids[] = {0x01, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x15, 0x03};

/* Mostly where the last one said; now and then anywhere. */
static unsigned next_offset(unsigned at, unsigned step, unsigned end)
{
    if (!random_below(12))
        return random_below(end);
    at += 4 + 4 * random_below(step);
    return at < end ? at : 0;
}

static void make_list(struct odd *odd)
{
    unsigned at = 0x40 + random_below(4);

    odd_put(odd, 0x34, 1, at);
    for (unsigned i = 0; i < 16 && (at & 0xfc) >= 0x40; i++) {
        unsigned next = next_offset(at, 8, 256), real = at & 0xfc;

        odd_put(odd, real, 1, random_below(6) ? ids[random_below(8)] : (unsigned)random_next());
        odd_put(odd, real + 1, 1, next);
        if (odd->bytes[real] == 0x10 && random_below(4))
            odd_put(odd, real + 2, 2, 1 + random_below(2) + (random_below(2) ? 0x90 : 0));
        at = next;
    }
}

static void make_ext_list(struct odd *odd)
{
    unsigned at = 0x100;

    for (unsigned i = 0; i < 16 && at >= 0x100; i++) {
        unsigned next = next_offset(at, 24, ODD_SPACE), id = ext_ids[random_below(8)];

        odd_put(odd, at & 0xffc, 4,
                (random_below(6) ? id : random_below(65536)) | 1u << 16 | next << 20);
        at = next & 0xffc;
    }
}

static void make_plausible(struct odd *odd)
{
    odd_put(odd, 0x00, 2, 0x1234);
    odd_put(odd, 0x06, 2, 0x0010);
    odd_put(odd, 0x0b, 1, 0x02);
    odd_put(odd, 0x0e, 1, 0x00);
    memset(odd->writable, 0, 0x10);
    odd_put(odd, 0x04, 2, 0);
    memset(&odd->writable[0x04], 0xff, 2);
    make_list(odd);
    make_ext_list(odd);
}

static void make_device(struct odd *odd, unsigned seed)
{
    random_state = seed;
    fill(odd);
    if (seed % 2)
        make_plausible(odd);
}

/* ---- its guest ---- */

static struct odd odd;
static struct sbdf seen;

static uint64_t get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(odd.guest, seen, reg, length);
}

/* Whatever the size, the bytes are the same. */
static void read_everything(void)
{
    for (unsigned reg = 0; reg < ODD_SPACE; reg += 8) {
        uint64_t whole = get(reg, 8), parts = 0;

        for (unsigned i = 0; i < 8; i++)
            parts |= get(reg + i, 1) << 8 * i;
        assert_true(whole == parts);
        assert_true((get(reg, 4) | get(reg + 4, 4) << 32) == whole);
        assert_true(get(reg + 2, 2) == (whole >> 16 & 0xffff));
        assert_true(get(reg + 3, 4) == (whole >> 24 & 0xffffffff)); /* across two */
    }
    assert_true(get(ODD_SPACE - 1, 2) == 0xffff);
}

static void walk_lists(void)
{
    unsigned at = (unsigned)get(0x34, 1), i;

    if (get(0, 4) == 0xffffffff) /* it did not come back from a reset */
        return;
    for (i = 0; i < LIST_MAX && at; i++)
        at = (unsigned)get(at + 1, 1);
    assert_true(i < LIST_MAX);
    for (i = 0, at = 0x100; i < LIST_MAX && at; i++)
        at = (unsigned)get(at, 4) >> 20;
    assert_true(i < LIST_MAX);
}

static void write_junk(void)
{
    static const uint8_t lengths[] = {1, 2, 4, 8, 4, 2, 0, 3};

    for (unsigned i = 0; i < WRITES; i++) {
        unsigned reg = random_below(random_below(2) ? 256 : ODD_SPACE + 8);

        berth_domain_config_write(odd.guest, seen, reg, lengths[random_below(8)], random_next());
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t value;

        int error = berth_domain_mmio_read(odd.guest, random_next() >> random_below(64), 4, &value);

        assert_true(error == 0 || error == -ENOENT);
        error = berth_domain_port_write(odd.guest, (uint16_t)random_next(), 4, random_next());
        assert_true(error == 0 || error == -ENOENT);
    }
}

static void use(struct pcidev *dev)
{
    assert_int_equal(berth_domain_address(dev, &seen), 0);
    assert_in_range(berth_view_size(dev), 1, VIEW_MAX + VECTORS_MAX * VECTOR_BYTES);
    walk_lists();
    read_everything();
    write_junk();
    walk_lists();
}

/* One that becomes another device by what is written to it is broken, and taken all the same. */
static bool lend_and_take_back(struct pcidev *dev)
{
    struct pcidev_info info;

    if (pcidev_assign(dev, odd.guest, NULL))
        return false;
    use(dev);
    if (pcidev_deassign(dev, odd.guest, NULL)) {
        pcidev_snapshot(dev, &info);
        assert_true(info.broken);
    }
    return true;
}

static bool one_device(unsigned seed)
{
    static const char tag[] = "random";
    struct pcidev *dev;
    bool lent;

    make_device(&odd, seed);
    if (pcidev_add(odd.machine, odd_at, NULL, NULL))
        return false;
    dev = pcidev_find(odd.machine, odd_at, tag);
    assert_non_null(dev);
    lent = lend_and_take_back(dev);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL), 0);
    pcidev_put(dev, tag);
    assert_int_equal(odd.claims, 0);
    assert_int_equal(odd.bindings, 0);
    return lent;
}

static void test_K13_random_devices(void **state)
{
    unsigned lent = 0, spaces;

    (void)state;
    port_posix_warp(true);
    odd_up(&odd);
    spaces = odd.spaces;
    for (unsigned seed = 0; seed < DEVICES; seed++) {
        lent += one_device(seed);
        assert_int_equal(odd.spaces, spaces);
    }
    print_message("%u of %u were lent\n", lent, DEVICES);
    assert_true(lent > DEVICES / 4);
    odd_down(&odd);
    port_posix_warp(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_K13_random_devices)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
