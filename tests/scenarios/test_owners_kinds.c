/* SPDX-License-Identifier: MIT */
/* Who may own what: each kind of domain, with each kind of IOMMU (F50). */
#include <berth/isolation.h>

#include "tests/unit/guests.h"

static struct berth_iommu_ops ops;

enum iommu_kind {
    IOMMU_ABSENT,
    IOMMU_OFF, /* there is one, and it sets no context any more */
    IOMMU_ON,
    IOMMU_KINDS
};

static bool off;

static int attach_unless_off(void *iommu, struct sbdf rid, void *space)
{
    return off ? -EIO : tape_iommu_ops.attach(iommu, rid, space);
}

static void absent(struct berth_machine_config *config)
{
    config->iommu = NULL;
}

static void may_be_off(struct berth_machine_config *config)
{
    ops = *config->iommu;
    ops.attach = attach_unless_off;
    config->iommu = &ops;
}

/* From the hardware domain, to each kind. */
static const int assigned[IOMMU_KINDS][4] = {
    [IOMMU_ABSENT] = {-EBUSY, 0, -EINVAL, -EOPNOTSUPP},
    [IOMMU_OFF] = {-EBUSY, -EIO, -EINVAL, -EIO},
    [IOMMU_ON] = {-EBUSY, 0, -EINVAL, 0},
};

static void check_kind(enum iommu_kind kind, struct berth_domain *domain)
{
    const int expected = assigned[kind][berth_domain_kind(domain)];
    bool is_guest = berth_domain_kind(domain) == BERTH_DOMAIN_GUEST;
    const struct berth_view_config view = {.ops = NULL};
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    assert_int_equal(pcidev_deassign(dev, domain, NULL), -EINVAL); /* it is not its own */
    if (!is_guest) {
        assert_int_equal(pcidev_assign_group(dev, domain, NULL), -EINVAL);
        assert_int_equal(pcidev_test_assign_group(dev, domain, NULL), -EINVAL);
        assert_int_equal(berth_domain_destroy(domain, NULL), -EINVAL);
        assert_int_equal(berth_domain_set_view(domain, &view), -EINVAL);
    }
    assert_int_equal(berth_domain_flush(domain, NULL), 0);
    off = kind == IOMMU_OFF;
    if (!off)
        assert_int_equal(pcidev_test_assign(dev, domain, NULL), expected);
    assert_int_equal(pcidev_assign(dev, domain, NULL), expected);
    off = false;
    if (!expected && is_guest)
        assert_int_equal(pcidev_deassign(dev, domain, NULL), 0);
    if (!expected)
        assert_int_equal(pcidev_assign(dev, hwdom(), NULL), 0);
    rig_put(dev);
    rig_expect_owner(&rig, rig_nvme, "hwdom");
}

static void check_kinds(enum iommu_kind kind, rig_configure *configure)
{
    struct berth_domain *domain = NULL, *next;
    unsigned kinds = 0;

    guests_up(configure, 1);
    while ((next = berth_domain_next(rig.machine, domain))) {
        berth_domain_put(domain);
        domain = next;
        kinds |= 1u << berth_domain_kind(domain);
        check_kind(kind, domain);
    }
    berth_domain_put(domain);
    assert_int_equal(kinds, 0xf);
}

static void test_F50_each_kind_of_domain_without_an_iommu(void **state)
{
    (void)state;
    check_kinds(IOMMU_ABSENT, absent);
}

static void test_F50_each_kind_of_domain_with_an_iommu_that_is_off(void **state)
{
    (void)state;
    check_kinds(IOMMU_OFF, may_be_off);
}

static void test_F50_each_kind_of_domain_with_an_iommu(void **state)
{
    (void)state;
    check_kinds(IOMMU_ON, may_be_off);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F50_each_kind_of_domain_without_an_iommu),
        TEST(test_F50_each_kind_of_domain_with_an_iommu_that_is_off),
        TEST(test_F50_each_kind_of_domain_with_an_iommu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
