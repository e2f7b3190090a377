/* SPDX-License-Identifier: MIT */
#include "tests/unit/lent.h"

#include <string.h>

#define LIST_MAX 1024 /* dwords of config space */

static struct lent *configuring;

void lent_begin(struct lent *lent)
{
    memset(lent, 0, sizeof(*lent));
    rig_begin(&lent->rig);
    mb_root_port(&lent->rig.builder, at(0, 1, 0), 1, 1);
    lent->host = at(1, 0, 0);
    lent->function = mb_endpoint(&lent->rig.builder, lent->host);
}

static void configure(struct berth_machine_config *config)
{
    config->rules = configuring->rules;
    config->rule_count = configuring->rule_count;
    config->policy.vpd_writes = configuring->vpd_writes;
}

void lent_up_idle(struct lent *lent)
{
    const struct berth_view_config view = {.ops = &guest_maps_ops, .context = &lent->maps};

    configuring = lent;
    rig_up(&lent->rig, configure);
    lent->guest = rig_guest(&lent->rig, "vm1");
    assert_int_equal(berth_domain_set_view(lent->guest, &view), 0);
}

void lent_up(struct lent *lent)
{
    lent_up_idle(lent);
    assert_int_equal(rig_assign(&lent->rig, lent->host, lent->guest), 0);
}

void lent_down(struct lent *lent)
{
    rig_destroy_guest(&lent->rig, lent->guest);
    assert_int_equal(lent->maps.count, 0);
    rig_down(&lent->rig);
}

uint32_t lent_get(struct lent *lent, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(lent->guest, rig_seen(&lent->rig, lent->host), reg,
                                              length);
}

void lent_put(struct lent *lent, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(lent->guest, rig_seen(&lent->rig, lent->host), reg, length, value);
}

unsigned lent_cap(struct lent *lent, unsigned id)
{
    unsigned at = lent_get(lent, LENT_CAPABILITIES, 1);

    if (!(lent_get(lent, LENT_STATUS, 2) & 0x10)) {
        assert_int_equal(at, 0);
        return 0;
    }
    assert_int_not_equal(at, 0);
    for (unsigned i = 0; i < LIST_MAX && at; i++) {
        assert_true(at >= 0x40 && at % 4 == 0);
        if (lent_get(lent, at, 1) == id)
            return at;
        at = lent_get(lent, at + 1, 1);
    }
    assert_int_equal(at, 0);
    return 0;
}

unsigned lent_ext_cap(struct lent *lent, unsigned id)
{
    uint32_t header = lent_get(lent, 0x100, 4);
    unsigned at = header ? 0x100 : 0;

    for (unsigned i = 0; i < LIST_MAX && at; i++) {
        assert_true(at >= 0x100 && at % 4 == 0);
        header = lent_get(lent, at, 4);
        if ((header & 0xffff) == id)
            return at;
        at = header >> 20;
    }
    assert_int_equal(at, 0);
    return 0;
}

void lent_expect_reserved(struct lent *lent, unsigned from, unsigned end)
{
    struct sim_counters before, after;

    sim_function_counters(lent->rig.sim, lent->host, &before);
    for (unsigned reg = from; reg < end; reg++) {
        for (unsigned length = 1; length <= 4; length *= 2) {
            if (reg + length > end)
                continue;
            assert_int_equal(lent_get(lent, reg, length), 0);
            lent_put(lent, reg, length, 0xffffffff);
            assert_int_equal(lent_get(lent, reg, length), 0);
        }
    }
    sim_function_counters(lent->rig.sim, lent->host, &after);
    assert_int_equal(after.config_reads, before.config_reads);
    assert_int_equal(after.config_writes, before.config_writes);
}

uint32_t lent_hardware(struct lent *lent, unsigned reg, unsigned length)
{
    return rig_peek(&lent->rig, lent->host, reg, length);
}

void lent_place(struct lent *lent, uint64_t address)
{
    lent_put(lent, LENT_BAR0, 4, (uint32_t)address);
    lent_put(lent, LENT_BAR0 + 4, 4, (uint32_t)(address >> 32));
    lent_put(lent, LENT_COMMAND, 2, LENT_MEMORY | LENT_MASTER);
}

uint64_t lent_mmio(struct lent *lent, uint64_t address)
{
    uint64_t value = 0;

    assert_int_equal(berth_domain_mmio_read(lent->guest, address, 4, &value), 0);
    return value;
}
