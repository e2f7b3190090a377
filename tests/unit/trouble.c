/* SPDX-License-Identifier: MIT */
#include "tests/unit/trouble.h"

#include <string.h>

#define COMMAND 0x04
#define COMMAND_ON 0x0006u
#define BAR 0x10
#define CAP_MSIX 0x11
#define MSIX_ENABLE 0x8000u
#define TABLE 0x2000

const struct sbdf twin = {0, 7, 0}, twin2 = {0, 7, 1}, bare = {0, 0, 20 << 3};

struct trouble trouble;

/* ---- a guest that is told ---- */

static int withdraw(void *context, struct pcidev *dev)
{
    (void)context;
    trouble.withdrawn++;
    if (trouble.while_withdrawn)
        trouble.while_withdrawn(dev);
    return trouble.withdraw_error;
}

static int restore(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    trouble.restored++;
    return trouble.restore_error;
}

static void crash(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    trouble.crashed++;
}

static void told(void *context, struct pcidev *dev, enum pcidev_trouble kind)
{
    (void)context;
    trouble.troubles++;
    trouble.kind = kind;
    if (trouble.during)
        trouble.during(dev);
}

static const struct berth_domain_ops domain_ops = {
    .withdraw = withdraw, .restore = restore, .crash = crash, .trouble = told};

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    (void)context;
    (void)dev;
    (void)vector;
    trouble.injected++;
    trouble.data = message->data;
}

/* ---- machine ---- */

static void apart(struct berth_machine_config *config)
{
    config->policy.shared_groups = true;
    config->policy.shared_pages = true;
    config->iommu = &sim_iommu_ops; /* with ATS */
    config->iommu_context = config->host_context;
}

int trouble_up(void **state)
{
    struct berth_view_config view = {.ops = &trouble.view_ops, .context = &trouble.maps};

    (void)state;
    memset(&trouble, 0, sizeof(trouble));
    trouble.view_ops = guest_maps_ops;
    trouble.view_ops.inject = inject;
    rig_begin(&trouble.rig);
    rig_standard(&trouble.rig);
    mb_root_port(&trouble.rig.builder, at(0, 6, 0), 7, 7);
    mb_ats(mb_endpoint(&trouble.rig.builder, twin));
    mb_endpoint(&trouble.rig.builder, twin2);
    mb_bare(&trouble.rig.builder, bare);
    rig_up(&trouble.rig, apart);
    assert_int_equal(
        berth_domain_create(trouble.rig.machine, "vm1", &domain_ops, NULL, &trouble.guest), 0);
    assert_int_equal(berth_domain_set_view(trouble.guest, &view), 0);
    trouble.other = rig_guest(&trouble.rig, "vm2");
    return 0;
}

int trouble_down(void **state)
{
    (void)state;
    assert_int_equal(trouble.crashed, 0); /* the guest is never stopped as a whole */
    rig_destroy_guest(&trouble.rig, trouble.other);
    rig_destroy_guest(&trouble.rig, trouble.guest);
    assert_int_equal(trouble.maps.count, 0);
    rig_down(&trouble.rig);
    return 0;
}

int recover(struct sbdf sbdf, enum pcidev_trouble kind)
{
    const struct berth_request request = rig_request(&trouble.rig);
    struct pcidev *dev = rig_dev(&trouble.rig, sbdf);
    int error = pcidev_recover(dev, kind, &request);

    rig_put(dev);
    return error;
}

/* ---- what a guest does with its device ---- */

uint32_t get(struct sbdf host, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(trouble.guest, rig_seen(&trouble.rig, host), reg,
                                              length);
}

void put(struct sbdf host, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(trouble.guest, rig_seen(&trouble.rig, host), reg, length, value);
}

unsigned cap(struct sbdf host, uint8_t id)
{
    return mb_find_cap(rig_function(&trouble.rig, host), id);
}

void drive(struct sbdf host, uint32_t where)
{
    assert_int_equal(rig_assign(&trouble.rig, host, trouble.guest), 0);
    put(host, BAR, 4, where);
    put(host, BAR + 4, 4, 0);
    put(host, COMMAND, 2, COMMAND_ON);
    assert_int_equal(berth_domain_mmio_write(trouble.guest, where + TABLE, 4, 0xfee01000), 0);
    assert_int_equal(berth_domain_mmio_write(trouble.guest, where + TABLE + 8, 4, 0x41), 0);
    assert_int_equal(berth_domain_mmio_write(trouble.guest, where + TABLE + 12, 4, 0), 0);
    put(host, cap(host, CAP_MSIX) + 2, 2, MSIX_ENABLE);
}

static void expect_interrupt(struct sbdf host)
{
    enum sim_irq_result result;
    unsigned before = trouble.injected;

    assert_int_equal(sim_raise(trouble.rig.sim, host, 0, &result), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    assert_int_equal(trouble.injected, before + 1);
    assert_int_equal(trouble.data, 0x41);
}

void expect_works(struct sbdf host, uint32_t where)
{
    struct pcidev *dev = rig_dev(&trouble.rig, host);
    struct sim_dma dma = rig_dma(&trouble.rig, host, 0x1000);
    uint64_t entry, start, size;
    uint32_t value;

    rig_expect_owner(&trouble.rig, host, "vm1");
    assert_false(rig_info(&trouble.rig, host).broken);
    assert_true(dma.result == SIM_DMA_DOMAIN && dma.domain_id == berth_domain_id(trouble.guest));
    assert_int_equal(guest_maps_bytes(&trouble.maps, dev, 0), TABLE);
    assert_int_equal(sim_bar(trouble.rig.sim, host, 0, &start, &size), 0);
    assert_true(guest_maps_at(&trouble.maps, where) == start);
    assert_int_equal(sim_bar_access(trouble.rig.sim, host, 0, 0x10, false, &value), 0);
    assert_int_not_equal(value, UINT32_MAX);
    assert_int_equal(get(host, COMMAND, 2), COMMAND_ON);
    assert_int_equal(get(host, BAR, 4) & ~0xfu, where);
    assert_int_equal(berth_domain_mmio_read(trouble.guest, where + TABLE + 8, 4, &entry), 0);
    assert_int_equal(entry, 0x41);
    expect_interrupt(host);
    rig_put(dev);
}

void expect_broken(struct sbdf host)
{
    struct pcidev *dev = rig_dev(&trouble.rig, host);

    assert_true(rig_info(&trouble.rig, host).broken);
    rig_expect_owner(&trouble.rig, host, "quarantine");
    assert_true(sbdf_equal(rig_seen(&trouble.rig, host), rig_nowhere));
    assert_int_equal(guest_maps_bytes(&trouble.maps, dev, 0), 0);
    assert_int_not_equal(rig_dma(&trouble.rig, host, 0x1000).result, SIM_DMA_DOMAIN);
    assert_false(berth_domain_crashed(trouble.guest));
    assert_int_equal(berth_domain_state(trouble.guest), BERTH_DOMAIN_LIVE);
    rig_put(dev);
}
