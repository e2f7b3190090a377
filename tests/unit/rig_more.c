/* SPDX-License-Identifier: MIT */
/* The rig's operations, what it remembers, and its guests. */
#include <string.h>

#include <berth_port.h>

#include "tests/unit/rig.h"

#define COMMAND 4
#define COMMAND_MASTER 4u

/* ---- operations ---- */

int rig_add(struct rig *rig, struct sbdf sbdf)
{
    const struct berth_request request = rig_request(rig);

    return pcidev_add(rig->machine, sbdf, NULL, &request);
}

int rig_remove(struct rig *rig, struct sbdf sbdf, enum pcidev_remove_mode mode)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, sbdf);
    int error = pcidev_remove(dev, mode, &request);

    rig_put(dev);
    return error;
}

int rig_remove_within(struct rig *rig, struct pcidev *dev, enum pcidev_remove_mode mode,
                      uint64_t timeout_ns)
{
    struct berth_request request = rig_request(rig);

    request.timeout_ns = timeout_ns;
    return pcidev_remove(dev, mode, &request);
}

int rig_destroy_within(struct rig *rig, struct berth_domain *guest, uint64_t timeout_ns)
{
    struct berth_request request = rig_request(rig);

    request.timeout_ns = timeout_ns;
    return berth_domain_destroy(guest, &request);
}

static int assign(struct rig *rig, struct sbdf sbdf, struct berth_domain *to,
                  const struct sbdf *seat)
{
    struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, sbdf);
    int error;

    request.guest_address = seat;
    error = pcidev_assign(dev, to, &request);
    rig_put(dev);
    return error;
}

int rig_assign(struct rig *rig, struct sbdf sbdf, struct berth_domain *to)
{
    return assign(rig, sbdf, to, NULL);
}

int rig_assign_at(struct rig *rig, struct sbdf sbdf, struct berth_domain *to, struct sbdf seat)
{
    return assign(rig, sbdf, to, &seat);
}

int rig_deassign(struct rig *rig, struct sbdf sbdf, struct berth_domain *from)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, sbdf);
    int error = pcidev_deassign(dev, from, &request);

    rig_put(dev);
    return error;
}

int rig_reset(struct rig *rig, struct sbdf sbdf)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, sbdf);
    int error = pcidev_reset(dev, &request);

    rig_put(dev);
    return error;
}

int rig_sriov(struct rig *rig, struct sbdf sbdf, unsigned vfs)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *pf = rig_dev(rig, sbdf);
    int error = pcidev_sriov(pf, vfs, &request);

    rig_put(pf);
    return error;
}

int rig_readd(struct rig *rig, struct sbdf sbdf, const struct pcidev_add_info *info)
{
    const struct berth_request request = rig_request(rig);
    struct pcidev *dev = rig_dev(rig, sbdf);
    int error = pcidev_readd(dev, info, &request);

    rig_put(dev);
    return error;
}

void rig_add_vfs(struct rig *rig, unsigned count)
{
    assert_int_equal(rig_sriov(rig, rig_pf, count), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(rig_add(rig, rig_vf(i)), 0);
}

void rig_reserve(struct rig *rig, struct sbdf sbdf, const struct berth_reserved *list,
                 unsigned count)
{
    assert_int_equal(rig_remove(rig, sbdf, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_set_reserved(rig->sim, sbdf, list, count), 0);
    assert_int_equal(rig_add(rig, sbdf), 0);
}

void rig_quarantine(struct rig *rig, struct sbdf sbdf)
{
    assert_int_equal(rig_assign(rig, sbdf, berth_machine_quarantine(rig->machine)), 0);
}

void rig_pull(struct rig *rig, struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(rig, sbdf);

    assert_int_equal(sim_vanish(rig->sim, sbdf), 0);
    pcidev_vanished(dev);
    rig_put(dev);
}

/* ---- config space ---- */

struct capture_function *rig_function(struct rig *rig, struct sbdf sbdf)
{
    struct capture *capture = &rig->builder.capture;

    for (size_t i = 0; i < capture->count; i++)
        if (sbdf_equal(capture->functions[i].sbdf, sbdf))
            return &capture->functions[i];
    fail_msg("no such function in the capture");
    return NULL;
}

uint32_t rig_peek(struct rig *rig, struct sbdf sbdf, unsigned reg, unsigned length)
{
    struct pcidev *dev = rig_dev(rig, sbdf);
    struct pcidev_section section;
    uint32_t value;

    assert_true(pcidev_enter(dev, "peek", &section));
    assert_int_equal(pcidev_config_read(dev, reg, length, &value), 0);
    pcidev_exit(&section);
    rig_put(dev);
    return value;
}

void rig_poke(struct rig *rig, struct sbdf sbdf, unsigned reg, unsigned length, uint32_t value)
{
    struct pcidev *dev = rig_dev(rig, sbdf);
    struct pcidev_section section;

    assert_true(pcidev_enter(dev, "poke", &section));
    assert_int_equal(pcidev_config_write(dev, reg, length, value), 0);
    pcidev_exit(&section);
    rig_put(dev);
}

/* ---- what a guest sees ---- */

#define CLASS_BASE 0x0b
#define CLASS_BRIDGE 0x06u

const struct sbdf rig_nowhere = {0xfffe, 0xff, 0xff};

struct sbdf rig_seen(struct rig *rig, struct sbdf host)
{
    struct pcidev *dev = pcidev_find(rig->machine, host, "seen");
    struct sbdf seen;

    if (!dev || berth_domain_address(dev, &seen))
        seen = rig_nowhere;
    pcidev_put(dev, "seen");
    return seen;
}

unsigned rig_reach(struct berth_domain *guest)
{
    unsigned found = 0;

    for (uint32_t key = 0; key < 0x10000; key++) {
        const struct sbdf sbdf = sbdf_from_key(key);

        if (berth_domain_config_read(guest, sbdf, 0, 4) != UINT32_MAX)
            found += berth_domain_config_read(guest, sbdf, CLASS_BASE, 1) != CLASS_BRIDGE;
    }
    return found;
}

void rig_master_on(struct rig *rig, struct sbdf sbdf, struct berth_domain *owner)
{
    const struct sbdf seen =
        berth_domain_kind(owner) == BERTH_DOMAIN_GUEST ? rig_seen(rig, sbdf) : sbdf;
    uint64_t command = berth_domain_config_read(owner, seen, COMMAND, 2);

    berth_domain_config_write(owner, seen, COMMAND, 2, command | COMMAND_MASTER);
}

/* ---- what is expected ---- */

void rig_refused_at(struct rig *rig, int error, int expected, enum berth_reason reason,
                    const char *file, int line)
{
    char text[256];

    if (error != expected || rig->why.reason != reason) {
        berth_refusal_text(&rig->why, text, sizeof(text));
        print_error("%d, %s: %s\n", error, berth_reason_name(rig->why.reason), text);
    }
    _assert_int_equal((uintmax_t)error, (uintmax_t)expected, file, line);
    _assert_int_equal(rig->why.reason, reason, file, line);
    _assert_int_equal((uintmax_t)rig->why.error, (uintmax_t)expected, file, line);
}

struct rig_state rig_remember(struct rig *rig, struct sbdf sbdf)
{
    struct berth_domain *domains[] = {berth_machine_hwdom(rig->machine),
                                      berth_machine_quarantine(rig->machine),
                                      berth_machine_hidden(rig->machine)};
    struct rig_state now = {.devices = berth_machine_count(rig->machine)};
    struct pcidev *dev = rig_dev(rig, sbdf);
    struct pcidev_section section;

    for (unsigned i = 0; i < 3; i++)
        now.domain_devices[i] = berth_domain_device_count(domains[i]);
    if (pcidev_enter(dev, "remember", &section)) {
        assert_int_equal(pcidev_config_read(dev, COMMAND, 2, &now.command), 0);
        pcidev_exit(&section);
    }
    pcidev_snapshot(dev, &now.info);
    rig_put(dev);
    sim_counters(rig->sim, &now.counters);
    return now;
}

void rig_same_at(struct rig *rig, const struct rig_state *before, const char *file, int line)
{
    struct rig_state now = rig_remember(rig, before->info.sbdf);

    now.info.generation = before->info.generation; /* counts a reset that ran, whatever followed */
    _assert_memory_equal(&now.info, &before->info, sizeof(now.info), file, line);
    _assert_int_equal(now.command, before->command, file, line);
    _assert_int_equal(now.devices, before->devices, file, line);
    _assert_memory_equal(now.domain_devices, before->domain_devices, sizeof(now.domain_devices),
                         file, line);
    _assert_int_equal(now.counters.contexts, before->counters.contexts, file, line);
    _assert_int_equal(now.counters.spaces, before->counters.spaces, file, line);
    _assert_int_equal(now.counters.mappings, before->counters.mappings, file, line);
    _assert_int_equal(now.counters.claims, before->counters.claims, file, line);
}

/* ---- guests ---- */

static void vm_asked(void *context, struct pcidev *dev)
{
    struct rig_vm *vm = context;

    (void)dev;
    atomic_fetch_add(&vm->asked, 1);
}

static int vm_withdraw(void *context, struct pcidev *dev)
{
    struct rig_vm *vm = context;

    (void)dev;
    atomic_fetch_add(&vm->withdrawn, 1);
    if (atomic_load(&vm->block) && !atomic_exchange(&vm->blocking, true)) {
        for (unsigned attempt = 0; atomic_load(&vm->block); attempt++)
            port_relax(attempt);
        atomic_store(&vm->blocking, false);
    }
    return atomic_load(&vm->withdraw_error);
}

static int vm_restore(void *context, struct pcidev *dev)
{
    struct rig_vm *vm = context;

    (void)dev;
    atomic_fetch_add(&vm->restored, 1);
    return atomic_load(&vm->restore_error);
}

static void vm_crash(void *context, struct pcidev *dev)
{
    struct rig_vm *vm = context;

    (void)dev;
    atomic_fetch_add(&vm->crashed, 1);
}

static int vm_map(void *context, const struct berth_piece *piece)
{
    struct rig_vm *vm = context;
    int error = atomic_load(&vm->map_error);

    if (!error)
        atomic_fetch_add(&vm->mapped, (int64_t)piece->length);
    return error;
}

static int vm_unmap(void *context, const struct berth_piece *piece)
{
    struct rig_vm *vm = context;
    int error = atomic_load(&vm->unmap_error);

    if (!error)
        atomic_fetch_sub(&vm->mapped, (int64_t)piece->length);
    return error;
}

static void vm_inject(void *context, struct pcidev *dev, unsigned vector,
                      const struct berth_message *message)
{
    struct rig_vm *vm = context;

    (void)dev;
    (void)vector;
    (void)message;
    atomic_fetch_add(&vm->injected, 1);
}

static void vm_intx(void *context, struct sbdf sbdf, unsigned pin, bool asserted)
{
    struct rig_vm *vm = context;

    (void)sbdf;
    (void)pin;
    if (asserted)
        atomic_fetch_add(&vm->asserted, 1);
}

static const struct berth_domain_ops vm_ops = {
    .release_request = vm_asked,
    .withdraw = vm_withdraw,
    .restore = vm_restore,
    .crash = vm_crash,
};

static const struct berth_view_ops vm_view_ops = {
    .map = vm_map,
    .unmap = vm_unmap,
    .inject = vm_inject,
    .intx = vm_intx,
};

void rig_vm_up_with(struct rig *rig, struct rig_vm *vm, const char *name,
                    const struct berth_view_config *view)
{
    memset(vm, 0, sizeof(*vm));
    vm->rig = rig;
    assert_int_equal(berth_domain_create(rig->machine, name, &vm_ops, vm, &vm->domain), 0);
    assert_int_equal(berth_domain_set_view(vm->domain, view), 0);
}

void rig_vm_up(struct rig *rig, struct rig_vm *vm, const char *name)
{
    const struct berth_view_config view = {.ops = &vm_view_ops, .context = vm};

    rig_vm_up_with(rig, vm, name, &view);
}

void rig_vm_down(struct rig_vm *vm)
{
    rig_destroy_guest(vm->rig, vm->domain);
    assert_int_equal(vm->mapped, 0);
}
