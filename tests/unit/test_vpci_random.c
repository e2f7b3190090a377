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

/* All of them where it is fast enough; sanitizers and checks see the first ones. */
#if BERTH_CHECKS
#define DEVICES 3000u
#else
#define DEVICES 100000u
#endif

#define SPACE 4096u
#define WRITES 48u
#define VIEW_MAX 65536u
#define VECTOR_BYTES 40u
#define VECTORS_MAX (2048u + 32u + 1u)
#define LIST_MAX 1024u

static const struct sbdf where = {0, 0, 1 << 3};

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

struct junk {
    uint8_t bytes[SPACE], writable[SPACE];
    unsigned claims, spaces, contexts, bindings;
};

static void put(struct junk *j, unsigned reg, unsigned length, uint32_t value)
{
    for (unsigned i = 0; i < length; i++)
        j->bytes[reg + i] = (uint8_t)(value >> 8 * i);
}

static void fill(struct junk *j)
{
    for (unsigned i = 0; i < SPACE; i += 8) {
        uint64_t bytes = random_next(), writable = random_next() & random_next();

        memcpy(&j->bytes[i], &bytes, 8);
        memcpy(&j->writable[i], &writable, 8);
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

static void make_list(struct junk *j)
{
    unsigned at = 0x40 + random_below(4);

    put(j, 0x34, 1, at);
    for (unsigned i = 0; i < 16 && (at & 0xfc) >= 0x40; i++) {
        unsigned next = next_offset(at, 8, 256), real = at & 0xfc;

        put(j, real, 1, random_below(6) ? ids[random_below(8)] : (unsigned)random_next());
        put(j, real + 1, 1, next);
        if (j->bytes[real] == 0x10 && random_below(4))
            put(j, real + 2, 2, 1 + random_below(2) + (random_below(2) ? 0x90 : 0));
        at = next;
    }
}

static void make_ext_list(struct junk *j)
{
    unsigned at = 0x100;

    for (unsigned i = 0; i < 16 && at >= 0x100; i++) {
        unsigned next = next_offset(at, 24, SPACE), id = ext_ids[random_below(8)];

        put(j, at & 0xffc, 4, (random_below(6) ? id : random_below(65536)) | 1u << 16 | next << 20);
        at = next & 0xffc;
    }
}

static void make_plausible(struct junk *j)
{
    put(j, 0x00, 2, 0x1234);
    put(j, 0x06, 2, 0x0010);
    put(j, 0x0b, 1, 0x02);
    put(j, 0x0e, 1, 0x00);
    memset(j->writable, 0, 0x10);
    put(j, 0x04, 2, 0);
    memset(&j->writable[0x04], 0xff, 2);
    make_list(j);
    make_ext_list(j);
}

static void make_device(struct junk *j, unsigned seed)
{
    random_state = seed;
    fill(j);
    if (seed % 2)
        make_plausible(j);
}

/* ---- its host ---- */

static int host_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    struct junk *j = host;

    if (!sbdf_equal(sbdf, where))
        return -ENODEV;
    *claim = 1;
    j->claims++;
    return 0;
}

static void host_release(void *host, berth_claim claim)
{
    (void)claim;
    ((struct junk *)host)->claims--;
}

static int host_read(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t *value)
{
    const struct junk *j = host;

    (void)claim;
    if (reg % length || reg + length > SPACE)
        return -EIO;
    *value = 0;
    for (unsigned i = 0; i < length; i++)
        *value |= (uint32_t)j->bytes[reg + i] << 8 * i;
    return 0;
}

static int host_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    struct junk *j = host;

    (void)claim;
    if (reg % length || reg + length > SPACE)
        return -EIO;
    for (unsigned i = 0; i < length; i++) {
        uint8_t mask = j->writable[reg + i];

        j->bytes[reg + i] = (uint8_t)((j->bytes[reg + i] & ~mask) | (value >> 8 * i & mask));
    }
    return 0;
}

static int host_reset(void *host, berth_claim claim)
{
    (void)host;
    (void)claim;
    return 0;
}

static void host_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    (void)host;
    (void)claim;
    facts->has_reset = 1;
    facts->interrupt_line = 5;
}

static const struct berth_host_ops host_ops = {
    .claim = host_claim,
    .release = host_release,
    .config_read = host_read,
    .config_write = host_write,
    .reset = host_reset,
    .describe = host_describe,
};

static int bar_read(void *host, berth_claim claim, unsigned index, uint64_t offset, unsigned length,
                    uint64_t *value)
{
    (void)host;
    (void)claim;
    (void)length;
    *value = offset * 0x9e3779b9u + index;
    return 0;
}

static int bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                     unsigned length, uint64_t value)
{
    (void)host;
    (void)claim;
    (void)index;
    (void)offset;
    (void)length;
    (void)value;
    return 0;
}

static const struct berth_bar_ops bar_ops = {.read = bar_read, .write = bar_write};

static int irq_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    struct junk *j = irqs;

    j->bindings++;
    *message = (struct berth_message){.address = 0xfee00000, .data = 32u * irq->count};
    return 0;
}

static void irq_unbind(void *irqs, const struct berth_irq *irq)
{
    (void)irq;
    ((struct junk *)irqs)->bindings--;
}

static bool irq_remaps(void *irqs)
{
    (void)irqs;
    return true;
}

static const struct berth_irq_ops irq_ops = {irq_bind, irq_unbind, irq_remaps};

static int space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    struct junk *j = iommu;

    (void)kind;
    (void)id;
    j->spaces++;
    *space = j;
    return 0;
}

static void space_destroy(void *iommu, void *space)
{
    (void)space;
    ((struct junk *)iommu)->spaces--;
}

static int region(void *iommu, void *space, const struct berth_reserved *r)
{
    (void)iommu;
    (void)space;
    (void)r;
    return 0;
}

static int attach(void *iommu, struct sbdf rid, void *space)
{
    (void)iommu;
    (void)rid;
    (void)space;
    return 0;
}

static int detach(void *iommu, struct sbdf rid)
{
    (void)iommu;
    (void)rid;
    return 0;
}

static int group(void *iommu, struct sbdf rid, uint32_t *number)
{
    (void)iommu;
    *number = sbdf_key(rid);
    return 0;
}

static const struct berth_iommu_ops iommu_ops = {
    .space_create = space_create,
    .space_destroy = space_destroy,
    .map = region,
    .unmap = region,
    .attach = attach,
    .detach = detach,
    .flush = attach,
    .group = group,
};

/* ---- its guest ---- */

static struct junk junk;
static struct berth_machine *machine;
static struct berth_domain *guest;
static struct sbdf seen;

static uint64_t get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(guest, seen, reg, length);
}

/* Whatever the size, the bytes are the same. */
static void read_everything(void)
{
    for (unsigned reg = 0; reg < SPACE; reg += 8) {
        uint64_t whole = get(reg, 8), parts = 0;

        for (unsigned i = 0; i < 8; i++)
            parts |= get(reg + i, 1) << 8 * i;
        assert_true(whole == parts);
        assert_true((get(reg, 4) | get(reg + 4, 4) << 32) == whole);
        assert_true(get(reg + 2, 2) == (whole >> 16 & 0xffff));
        assert_true(get(reg + 3, 4) == (whole >> 24 & 0xffffffff)); /* across two */
    }
    assert_true(get(SPACE - 1, 2) == 0xffff);
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
        unsigned reg = random_below(random_below(2) ? 256 : SPACE + 8);

        berth_domain_config_write(guest, seen, reg, lengths[random_below(8)], random_next());
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t value;

        int error = berth_domain_mmio_read(guest, random_next() >> random_below(64), 4, &value);

        assert_true(error == 0 || error == -ENOENT);
        error = berth_domain_port_write(guest, (uint16_t)random_next(), 4, random_next());
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

    if (pcidev_assign(dev, guest, NULL))
        return false;
    use(dev);
    if (pcidev_deassign(dev, guest, NULL)) {
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

    make_device(&junk, seed);
    if (pcidev_add(machine, where, NULL, NULL))
        return false;
    dev = pcidev_find(machine, where, tag);
    assert_non_null(dev);
    lent = lend_and_take_back(dev);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL), 0);
    pcidev_put(dev, tag);
    assert_int_equal(junk.claims, 0);
    assert_int_equal(junk.bindings, 0);
    return lent;
}

static void test_K13_random_devices(void **state)
{
    const struct berth_machine_config config = {.host = &host_ops,
                                                .host_context = &junk,
                                                .bars = &bar_ops,
                                                .iommu = &iommu_ops,
                                                .iommu_context = &junk,
                                                .irqs = &irq_ops,
                                                .irq_context = &junk};
    unsigned lent = 0, spaces;

    (void)state;
    port_posix_warp(true);
    assert_int_equal(berth_machine_create(&config, &machine), 0);
    assert_int_equal(berth_domain_create(machine, "vm1", NULL, NULL, &guest), 0);
    spaces = junk.spaces;
    for (unsigned seed = 0; seed < DEVICES; seed++) {
        lent += one_device(seed);
        assert_int_equal(junk.spaces, spaces);
    }
    print_message("%u of %u were lent\n", lent, DEVICES);
    assert_true(lent > DEVICES / 4);
    assert_int_equal(berth_domain_destroy(guest, NULL), 0);
    berth_domain_put(guest);
    assert_int_equal(berth_machine_destroy(machine), 0);
    assert_int_equal(junk.spaces, 0);
    port_posix_warp(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_K13_random_devices)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
