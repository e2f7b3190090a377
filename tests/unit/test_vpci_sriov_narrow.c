/* SPDX-License-Identifier: MIT */
/* A guest's PF with VFs of the rarer kinds: BARs of 32 bits, a single VF without a stride (M45). */
#include "tests/unit/lent.h"

#define EXT_SRIOV 0x10
#define CONTROL 0x08
#define TOTAL 0x0e
#define NUMBER 0x10
#define STRIDE 0x16
#define PAGE_SIZE 0x20
#define VF_BAR0 0x24
#define VFE 0x0001u
#define MSE 0x0008u
#define BAR_AT 0xc0000000u
#define VF_SIZE 0x4000u /* machines.h */

static struct lent lent;
static unsigned sriov;
static const struct sbdf seat = {0, 0, 3 << 3};

/* The VFs' BAR in 32 bits; not prefetchable. */
static void begin(unsigned total, unsigned stride)
{
    unsigned cap;

    lent_begin(&lent);
    mb_root_port(&lent.rig.builder, at(0, 2, 0), 2, 2);
    lent.host = (struct sbdf){0, 2, 0};
    lent.function = mb_pf(&lent.rig.builder, lent.host, total, 8, stride);
    cap = mb_find_ext_cap(lent.function, EXT_SRIOV);
    mb_put(lent.function, cap + VF_BAR0, 4, 0);
    lent_up_idle(&lent);
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, lent.guest, seat), 0);
    sriov = lent_ext_cap(&lent, EXT_SRIOV);
    assert_int_not_equal(sriov, 0);
}

static void enable(unsigned count, unsigned switches)
{
    lent_put(&lent, sriov + NUMBER, 2, count);
    lent_put(&lent, sriov + CONTROL, 2, switches);
}

static void test_M45_vf_bars_of_32_bits(void **state)
{
    (void)state;
    begin(4, 1);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4), 0);
    lent_put(&lent, sriov + VF_BAR0, 4, 0xffffffff);
    lent_put(&lent, sriov + VF_BAR0 + 4, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4), -VF_SIZE);
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0 + 4, 4), 0); /* no upper half */
    lent_put(&lent, sriov + VF_BAR0, 4, BAR_AT);
    enable(2, VFE | MSE);
    for (unsigned i = 0; i < 2; i++)
        assert_int_not_equal(guest_maps_at(&lent.maps, BAR_AT + i * VF_SIZE), 0);
    lent_put(&lent, sriov + CONTROL, 2, VFE);
    assert_int_equal(guest_maps_at(&lent.maps, BAR_AT), 0);
    lent_put(&lent, sriov + VF_BAR0, 4, BAR_AT + 0x100000); /* not while there are VFs */
    assert_int_equal(lent_get(&lent, sriov + VF_BAR0, 4), BAR_AT);
    enable(2, 0);
    assert_int_equal(lent.maps.count, 0);
    lent_down(&lent);
}

/* SR-IOV 1.1, 3.3.13: it lays the VFs' BARs out. */
static void test_M45_the_page_size_stays_while_there_are_vfs(void **state)
{
    (void)state;
    begin(4, 1);
    enable(1, VFE);
    lent_put(&lent, sriov + PAGE_SIZE, 4, 0x10);
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZE, 4), 1);
    lent_put(&lent, sriov + CONTROL, 2, 0);
    lent_put(&lent, sriov + PAGE_SIZE, 4, 0x10);
    assert_int_equal(lent_get(&lent, sriov + PAGE_SIZE, 4), 0x10);
    lent_down(&lent);
}

static void test_M45_a_single_vf_without_a_stride(void **state)
{
    (void)state;
    begin(1, 0);
    assert_int_equal(lent_get(&lent, sriov + TOTAL, 2), 1);
    assert_int_equal(lent_get(&lent, sriov + STRIDE, 2), 1);
    enable(1, VFE);
    assert_int_equal(lent_get(&lent, sriov + CONTROL, 2), VFE);
    rig_expect_owner(&lent.rig, at(2, 1, 0), "vm1");
    lent_down(&lent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M45_vf_bars_of_32_bits),
        cmocka_unit_test(test_M45_the_page_size_stays_while_there_are_vfs),
        cmocka_unit_test(test_M45_a_single_vf_without_a_stride),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
