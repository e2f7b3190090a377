/* SPDX-License-Identifier: MIT */
#include "tests/unit/sharing.h"

int sharing_setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    mb_host_bridge(&rig.builder, at(0, 0, 0));
    return 0;
}

void refused(struct sbdf sbdf, struct berth_domain *to, enum berth_reason reason, struct sbdf other,
             const char *owner)
{
    rig_expect_refused(&rig, rig_assign(&rig, sbdf, to), -EBUSY, reason);
    assert_true(rig.why.has_other);
    assert_true(sbdf_equal(rig.why.other, other));
    assert_string_equal(rig.why.domain, owner);
}

void lent(struct sbdf sbdf, struct berth_domain *to)
{
    assert_int_equal(rig_assign(&rig, sbdf, to), 0);
    rig_expect_owner(&rig, sbdf, berth_domain_name(to));
}
