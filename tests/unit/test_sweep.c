/* SPDX-License-Identifier: MIT */
/*
 * P2: every operation that the host can refuse is made to fail, at every n-th call, in every
 * transition; once, or again during the rollback. Afterwards everything balances, and the outcome
 * is one of those that R7 and O1 allow.
 */
#include "tests/unit/rig.h"

#include <string.h>

struct sweep {
    const char *name;
    void (*prepare)(struct rig *rig);
    int (*run)(struct rig *rig);
};

static const struct sbdf bridge_at = {0, 0, 0x08}, pf_at = {0, 1, 0}, nvme_at = {0, 2, 0},
                         legacy_at = {0, 4, 0x08}, phantom_at = {0, 5, 0};
static struct rig_vm vm;
static struct berth_domain *guest;

#define COMMAND 4
#define COMMAND_WORKS 6u /* decode and bus mastering */
#define BAR0 0x10
#define BAR_PLACE UINT64_C(0x4000000000)
#define MSIX_TABLE (BAR_PLACE + 0x2000)
#define MSIX_ENABLE 0x8000u
#define CAP_MSIX 0x11
#define VECTORS 3u

static void relaxed(struct berth_machine_config *config)
{
    config->policy.reserved_relaxed = true;
    config->policy.quarantine = BERTH_QUARANTINE_SCRATCH;
}

static void make_machine(struct rig *rig)
{
    const struct berth_reserved region = {.start = 0x1000, .length = 0x2000, .writable = 1};

    rig_begin(rig);
    mb_host_bridge(&rig->builder, at(0, 0, 0));
    mb_root_port(&rig->builder, bridge_at, 1, 1);
    mb_pf(&rig->builder, pf_at, 4, 128, 2);
    mb_root_port(&rig->builder, at(0, 2, 0), 2, 2);
    mb_endpoint(&rig->builder, nvme_at);
    mb_root_port(&rig->builder, at(0, 3, 0), 3, 4);
    mb_pcie_pci_bridge(&rig->builder, at(3, 0, 0), 4, 4);
    mb_pci_endpoint(&rig->builder, legacy_at);
    mb_root_port(&rig->builder, at(0, 4, 0), 5, 5);
    mb_phantom(&rig->builder, phantom_at, 2);
    rig_up(rig, relaxed);
    assert_int_equal(sim_set_reserved(rig->sim, nvme_at, &region, 1), 0);
    assert_int_equal(rig_remove(rig, nvme_at, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(rig, nvme_at), 0);
    rig_vm_up(rig, &vm, "vm1");
    guest = vm.domain;
}

/* ---- the transitions ---- */

static void nothing(struct rig *rig)
{
    (void)rig;
}

static void take_out_nvme(struct rig *rig)
{
    assert_int_equal(rig_remove(rig, nvme_at, PCIDEV_REMOVE_DEFAULT), 0);
}

static void take_out_phantom(struct rig *rig)
{
    assert_int_equal(rig_remove(rig, phantom_at, PCIDEV_REMOVE_DEFAULT), 0);
}

static void lend_nvme(struct rig *rig)
{
    assert_int_equal(rig_assign(rig, nvme_at, guest), 0);
}

/* Those that are bound, each with a reference (C6). */
static unsigned vectors(struct rig *rig)
{
    struct pcidev *dev = pcidev_find(rig->machine, nvme_at, "vectors");
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    unsigned found = 0;

    if (!dev)
        return 0;
    for (unsigned i = pcidev_holders(dev, holders, BERTH_HOLDERS_MAX); i-- > 0;)
        if (!strcmp(holders[i].tag, "vector"))
            found = holders[i].count;
    pcidev_put(dev, "vectors");
    return found;
}

/* Entries of the hardware's table that are not masked. */
static unsigned open_entries(struct rig *rig)
{
    struct sim_msix_entry entry;
    unsigned open = 0;

    for (unsigned i = 0; i < VECTORS; i++)
        if (!sim_msix_entry(rig->sim, nvme_at, i, &entry))
            open += !(entry.control & 1);
    return open;
}

static unsigned msix_control(struct rig *rig)
{
    return mb_find_cap(rig_function(rig, nvme_at), CAP_MSIX) + 2;
}

/* As a driver leaves it: BARs mapped, interrupts bound. */
static void drive_nvme(struct rig *rig)
{
    struct sbdf seen;

    lend_nvme(rig);
    seen = rig_seen(rig, nvme_at);
    berth_domain_config_write(guest, seen, BAR0, 8, BAR_PLACE);
    berth_domain_config_write(guest, seen, COMMAND, 2, COMMAND_WORKS);
    for (unsigned i = 0; i < VECTORS; i++) {
        assert_int_equal(berth_domain_mmio_write(guest, MSIX_TABLE + 16 * i, 8, 0xfee00000), 0);
        assert_int_equal(berth_domain_mmio_write(guest, MSIX_TABLE + 16 * i + 8, 8, 0x40 + i), 0);
    }
    berth_domain_config_write(guest, seen, msix_control(rig), 2, MSIX_ENABLE);
    assert_int_equal(vectors(rig), VECTORS);
    assert_int_equal(open_entries(rig), VECTORS);
    assert_int_not_equal(vm.mapped, 0);
}

static void lend_legacy(struct rig *rig)
{
    assert_int_equal(rig_assign(rig, legacy_at, guest), 0);
}

static void quarantine_nvme(struct rig *rig)
{
    lend_nvme(rig);
    assert_int_equal(rig_deassign(rig, nvme_at, guest), 0);
}

static int add_nvme(struct rig *rig)
{
    return rig_add(rig, nvme_at);
}

static int add_phantom(struct rig *rig)
{
    return rig_add(rig, phantom_at);
}

static int remove_nvme(struct rig *rig)
{
    return rig_remove(rig, nvme_at, PCIDEV_REMOVE_DEFAULT);
}

static int remove_strict(struct rig *rig)
{
    return rig_remove(rig, nvme_at, PCIDEV_REMOVE_STRICT);
}

static int remove_force(struct rig *rig)
{
    return rig_remove(rig, nvme_at, PCIDEV_REMOVE_FORCE);
}

static int assign_nvme(struct rig *rig)
{
    return rig_assign(rig, nvme_at, guest);
}

static int assign_legacy(struct rig *rig)
{
    return rig_assign(rig, legacy_at, guest);
}

static int assign_phantom(struct rig *rig)
{
    return rig_assign(rig, phantom_at, guest);
}

static int deassign_nvme(struct rig *rig)
{
    return rig_deassign(rig, nvme_at, guest);
}

static int deassign_legacy(struct rig *rig)
{
    return rig_deassign(rig, legacy_at, guest);
}

static int release_nvme(struct rig *rig)
{
    return rig_assign(rig, nvme_at, berth_machine_hwdom(rig->machine));
}

static int reset_nvme(struct rig *rig)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, nvme_at);
    int error = pcidev_reset(dev, &request);

    rig_put(dev);
    return error;
}

static int readd_nvme(struct rig *rig)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, nvme_at);
    int error = pcidev_readd(dev, NULL, &request);

    rig_put(dev);
    return error;
}

static int enable_vfs(struct rig *rig)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, pf_at);
    int error = pcidev_sriov(dev, 2, &request);

    rig_put(dev);
    return error;
}

static int destroy_guest(struct rig *rig)
{
    const struct berth_request request = rig_request(rig);

    return berth_domain_destroy(guest, &request);
}

static const struct sweep sweeps[] = {
    {"add", take_out_nvme, add_nvme},
    {"add phantom", take_out_phantom, add_phantom},
    {"remove", nothing, remove_nvme},
    {"remove strict", nothing, remove_strict},
    {"remove quarantined", quarantine_nvme, remove_nvme},
    {"remove force", lend_nvme, remove_force},
    {"assign", nothing, assign_nvme},
    {"assign from quarantine", quarantine_nvme, assign_nvme},
    {"assign behind bridge", nothing, assign_legacy},
    {"assign phantom", nothing, assign_phantom},
    {"deassign", lend_nvme, deassign_nvme},
    {"deassign behind bridge", lend_legacy, deassign_legacy},
    {"release", quarantine_nvme, release_nvme},
    {"reset", nothing, reset_nvme},
    {"readd", nothing, readd_nvme},
    {"sriov", nothing, enable_vfs},
    {"destroy guest", lend_nvme, destroy_guest},
    {"reset driven", drive_nvme, reset_nvme},
    {"deassign driven", drive_nvme, deassign_nvme},
    {"remove driven", drive_nvme, remove_force},
};

/* ---- what has to hold afterwards ---- */

static bool is_outcome(const struct pcidev_info *before, const struct pcidev_info *after)
{
    /* as before, or broken and in quarantine: nothing in between */
    if (after->broken)
        return after->owner_kind == BERTH_DOMAIN_QUARANTINE;
    return after->owner_id == before->owner_id && after->state == PCIDEV_PRESENT;
}

static void check_failed(struct rig *rig, const struct pcidev_info *before, bool was_there,
                         struct sbdf sbdf)
{
    struct pcidev_info after;

    assert_int_equal(rig_has(rig, sbdf), was_there);
    if (!was_there)
        return;
    after = rig_info(rig, sbdf);
    assert_true(is_outcome(before, &after));
    /* not on two lists: exactly one owner's set has it */
    assert_int_equal(berth_domain_device_count(guest) +
                         berth_domain_device_count(berth_machine_hwdom(rig->machine)) +
                         berth_domain_device_count(berth_machine_quarantine(rig->machine)),
                     berth_machine_count(rig->machine));
}

/* What a guest sees and has of the device that it drives. */
struct seen {
    bool there;
    uint64_t command, bar, msix;
    int64_t mapped;
    unsigned vectors, open;
};

static struct seen see(struct rig *rig)
{
    const struct sbdf at = rig_seen(rig, nvme_at);

    return (struct seen){
        .there = !sbdf_equal(at, rig_nowhere),
        .command = berth_domain_config_read(guest, at, COMMAND, 2),
        .bar = berth_domain_config_read(guest, at, BAR0, 8),
        .msix = berth_domain_config_read(guest, at, msix_control(rig), 2),
        .mapped = vm.mapped,
        .vectors = vectors(rig),
        .open = open_entries(rig),
    };
}

/* R7: who still has the device has all of it; who has lost it has nothing of it. */
static void check_view(struct rig *rig, const struct seen *before)
{
    const struct seen after = see(rig);

    if (!after.there) {
        assert_int_equal(after.mapped, 0);
        assert_int_equal(after.vectors, 0);
        return;
    }
    assert_int_equal(after.command, before->command);
    assert_int_equal(after.bar, before->bar);
    assert_int_equal(after.msix, before->msix);
    assert_int_equal(after.mapped, before->mapped);
    assert_int_equal(after.vectors, before->vectors);
    assert_int_equal(after.open, before->open);
}

static bool interesting(struct sbdf sbdf)
{
    return !sbdf_equal(sbdf, bridge_at);
}

static void check_dma(struct rig *rig, struct sbdf sbdf)
{
    struct pcidev_info info;
    struct sim_dma dma;

    if (!rig_has(rig, sbdf) || !interesting(sbdf))
        return;
    info = rig_info(rig, sbdf);
    dma = rig_dma(rig, sbdf, 0x100000);
    assert_false(dma.stale);
    if (dma.result == SIM_DMA_DOMAIN)
        assert_int_equal(dma.domain_id, info.owner_id);
}

/* One round: true when the ordered failure happened. */
static bool sweep_once(const struct sweep *s, enum sim_op op, unsigned nth, unsigned again)
{
    struct rig rig;
    struct pcidev_info before[3] = {{.references = 0}};
    const struct sbdf watched[3] = {nvme_at, legacy_at, phantom_at};
    struct seen seen;
    bool there[3], failed;
    int error;

    make_machine(&rig);
    s->prepare(&rig);
    for (unsigned i = 0; i < 3; i++) {
        there[i] = rig_has(&rig, watched[i]);
        if (there[i])
            before[i] = rig_info(&rig, watched[i]);
    }
    seen = see(&rig);
    sim_fail(rig.sim, op, nth, again, 0);
    error = s->run(&rig);
    failed = sim_failed(rig.sim, op);
    sim_fail(rig.sim, op, 0, 0, 0);
    if (error) {
        for (unsigned i = 0; i < 3; i++)
            check_failed(&rig, &before[i], there[i], watched[i]);
        assert_true(rig.why.reason != BERTH_REASON_NONE);
    }
    if (error || seen.there)
        check_view(&rig, &seen);
    for (unsigned i = 0; i < 3; i++)
        check_dma(&rig, watched[i]);
    (void)!berth_domain_destroy(guest, NULL);
    assert_int_equal(berth_domain_state(guest), BERTH_DOMAIN_DEAD);
    berth_domain_put(guest);
    assert_int_equal(vm.mapped, 0);
    rig_down(&rig);
    return failed;
}

static void sweep_op(const struct sweep *s, enum sim_op op, unsigned again)
{
    unsigned nth = 1;

    while (sweep_once(s, op, nth, again))
        nth++;
    if (nth > 1)
        print_message("  %-24s %-14s %u failures%s\n", s->name, sim_op_name(op), nth - 1,
                      again ? ", and again in the rollback" : "");
}

static void test_every_failure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++)
        for (int op = 0; op < SIM_OP_COUNT; op++)
            sweep_op(&sweeps[i], (enum sim_op)op, 0);
}

static void test_failure_in_rollback(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++)
        for (int op = 0; op < SIM_OP_COUNT; op++)
            sweep_op(&sweeps[i], (enum sim_op)op, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failure),
        cmocka_unit_test(test_failure_in_rollback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
