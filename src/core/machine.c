/* SPDX-License-Identifier: MIT */
#include <berth/machine.h>

#include "src/core/machine_priv.h"
#include "src/core/memory.h"
#include "src/core/registers.h"
#include "src/core/remove.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/teardown.h"
#include "src/core/topology.h"

#define CONFIG_SPACE_SIZE 4096u
#define DEADLINE_DEFAULT_NS 2000000000u
#define RESET_WAIT_DEFAULT_NS 1000000000u

static const char tag_machine[] = "machine";

/* ---- configuration ---- */

static int copy_list(const void *list, uint32_t count, size_t size, const void **copy)
{
    void *memory;

    *copy = NULL;
    if (!count)
        return 0;
    memory = port_alloc((size_t)count * size);
    if (!memory)
        return -ENOMEM;
    memcpy(memory, list, (size_t)count * size);
    *copy = memory;
    return 0;
}

static int config_check(const struct berth_machine_config *config)
{
    if (!config->host || !config->host->claim || !config->host->release ||
        !config->host->config_read || !config->host->config_write)
        return -EINVAL;
    if ((config->hidden_count && !config->hidden) ||
        (config->read_only_count && !config->read_only) ||
        (config->phantom_count && !config->phantoms) || (config->rule_count && !config->rules))
        return -EINVAL;
    for (uint32_t i = 0; i < config->phantom_count; i++)
        if (config->phantoms[i].stride != 1 && config->phantoms[i].stride != 2 &&
            config->phantoms[i].stride != 4)
            return -EINVAL;
    for (uint32_t i = 0; i < config->rule_count; i++)
        if (config->rules[i].offset % 4 || config->rules[i].length % 4 ||
            config->rules[i].offset + config->rules[i].length > CONFIG_SPACE_SIZE ||
            config->rules[i].access > BERTH_REGISTER_WRITE)
            return -EINVAL;
    return 0;
}

static int config_copy(struct berth_machine *machine, const struct berth_machine_config *config)
{
    struct berth_machine_config *c = &machine->config;
    const void *copy[4] = {NULL, NULL, NULL, NULL};
    int error;

    *c = *config;
    if (!c->policy.deadline_ns)
        c->policy.deadline_ns = DEADLINE_DEFAULT_NS;
    if (!c->policy.reset_wait_ns)
        c->policy.reset_wait_ns = RESET_WAIT_DEFAULT_NS;
    error = copy_list(config->hidden, config->hidden_count, sizeof(*config->hidden), &copy[0]);
    if (!error)
        error = copy_list(config->read_only, config->read_only_count, sizeof(*config->read_only),
                          &copy[1]);
    if (!error)
        error =
            copy_list(config->phantoms, config->phantom_count, sizeof(*config->phantoms), &copy[2]);
    if (!error)
        error = copy_list(config->rules, config->rule_count, sizeof(*config->rules), &copy[3]);
    c->hidden = copy[0];
    c->read_only = copy[1];
    c->phantoms = copy[2];
    c->rules = copy[3];
    return error;
}

static void config_free(struct berth_machine *machine)
{
    port_free((void *)(uintptr_t)machine->config.hidden);
    port_free((void *)(uintptr_t)machine->config.read_only);
    port_free((void *)(uintptr_t)machine->config.phantoms);
    port_free((void *)(uintptr_t)machine->config.rules);
}

/* ---- life ---- */

static int add_domain(struct berth_machine *machine, enum berth_domain_kind kind, uint32_t id,
                      struct berth_domain **domain)
{
    struct map_spare spare = {.count = 0};
    int error = domain_make(machine, kind, id, berth_domain_kind_name(kind), domain);

    if (!error)
        error = sbdf_map_prepare(&machine->domains, id, &spare);
    if (!error) {
        lock_take(&machine->domains_lock);
        error = sbdf_map_insert(&machine->domains, id, *domain, &spare);
        lock_drop(&machine->domains_lock);
    }
    sbdf_map_spare_free(&spare);
    return error;
}

/* Accepts a machine that is half built. */
static void machine_free(struct berth_machine *machine)
{
    struct berth_domain *builtin[] = {machine->hwdom, machine->quarantine, machine->hidden};
    struct berth_domain *left;

    for (unsigned i = 0; i < 3; i++) {
        if (!builtin[i])
            continue;
        lock_take(&machine->domains_lock);
        sbdf_map_remove(&machine->domains, builtin[i]->id);
        lock_drop(&machine->domains_lock);
        (void)space_destroy(machine, builtin[i]->space);
        berth_domain_put(builtin[i]);
    }
    for (uint64_t cursor = 0; (left = sbdf_map_step(&machine->domains, &cursor));)
        berth_domain_put(left); /* zombies: their spaces stay, something points to them (O5) */
    rids_destroy(machine);
    share_destroy(machine);
    sbdf_map_destroy(&machine->devices);
    sbdf_map_destroy(&machine->bridges);
    sbdf_map_destroy(&machine->pfs);
    sbdf_map_destroy(&machine->domains);
    lock_destroy(&machine->lock);
    lock_destroy(&machine->shares_lock);
    lock_destroy(&machine->domains_lock);
    config_free(machine);
    port_free(machine);
}

/* F51: what the IOMMU has not got would be missed when a guest ends, and make a zombie of it. */
static int check_quarantine(struct berth_machine *machine)
{
    struct space *space = NULL;
    int error = 0;

    if (machine->config.policy.quarantine == BERTH_QUARANTINE_SCRATCH)
        error = space_create(machine, BERTH_SPACE_SCRATCH, DOMAIN_ID_QUARANTINE, &space);
    return error ? error : space_destroy(machine, space);
}

int berth_machine_create(const struct berth_machine_config *config, struct berth_machine **result)
{
    struct berth_machine *machine;
    int error = config_check(config);

    if (error)
        return error;
    machine = port_alloc(sizeof(*machine));
    if (!machine)
        return -ENOMEM;
    lock_init(&machine->lock, LOCK_REGISTRY);
    lock_init(&machine->shares_lock, LOCK_SHARES);
    lock_init(&machine->domains_lock, LOCK_DOMAINS);
    lock_unshared(&machine->domains_lock);
    machine->next_id = DOMAIN_ID_GUEST_FIRST;
    error = config_copy(machine, config);
    if (!error)
        error = add_domain(machine, BERTH_DOMAIN_HWDOM, DOMAIN_ID_HWDOM, &machine->hwdom);
    if (!error)
        error = add_domain(machine, BERTH_DOMAIN_QUARANTINE, DOMAIN_ID_QUARANTINE,
                           &machine->quarantine);
    if (!error)
        error = add_domain(machine, BERTH_DOMAIN_HIDDEN, DOMAIN_ID_HIDDEN, &machine->hidden);
    if (!error)
        error = check_quarantine(machine);
    if (error) {
        machine_free(machine);
        return error;
    }
    *result = machine;
    return 0;
}

/* What hangs below something goes first: VFs, then endpoints, then bridges. */
static bool in_pass(const struct pcidev *dev, unsigned pass)
{
    return pass == 2 || dev->traits.is_vf || (pass == 1 && !device_is_bridge(dev));
}

static void remove_all(struct berth_machine *machine)
{
    const struct berth_request request = {.timeout_ns = 0};

    for (unsigned pass = 0; pass < 3; pass++) {
        struct pcidev *dev = pcidev_next(machine, NULL, tag_machine);

        while (dev) {
            const struct sbdf at = dev->sbdf;

            if (in_pass(dev, pass)) /* what can't be removed is reported as a leak */
                (void)remove_tree(dev, &request);
            pcidev_put(dev, tag_machine);
            dev = pcidev_next(machine, &at, tag_machine);
        }
    }
}

static void destroy_guests(struct berth_machine *machine)
{
    struct berth_domain *domain = NULL, *next;

    while ((next = berth_domain_next(machine, domain))) {
        berth_domain_put(domain);
        domain = next;
        if (domain_is_guest(domain))
            (void)teardown_domain(domain);
    }
    berth_domain_put(domain);
}

static unsigned report_object(struct pcidev *dev)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, holders, BERTH_HOLDERS_MAX);

    for (unsigned i = 0; i < count; i++)
        event_device(dev, BERTH_EVENT_LEAK, holders[i].tag, (int)holders[i].count);
    return refcount_read(&dev->refs);
}

/* C5: what is left is reported by tag, and survives the machine. */
static unsigned report_leaks(struct berth_machine *machine)
{
    unsigned left = 0;

    lock_unshared(&machine->lock);
    for (struct pcidev *dev = machine->objects; dev; dev = dev->objects_next)
        left += report_object(dev);
    while (machine->objects) {
        struct pcidev *dev = machine->objects;

        machine->objects = dev->objects_next;
        dev->machine = NULL;
    }
    return left;
}

unsigned berth_machine_destroy(struct berth_machine *machine)
{
    unsigned left;

    if (!machine)
        return 0;
    atomic_store(&machine->closing, true);
    remove_all(machine);
    destroy_guests(machine);
    port_settle();
    left = report_leaks(machine);
    machine_free(machine);
    return left;
}

void machine_enlist(struct berth_machine *machine, struct pcidev *dev)
{
    lock_take(&machine->lock);
    dev->objects_next = machine->objects;
    dev->objects_link = &machine->objects;
    if (dev->objects_next)
        dev->objects_next->objects_link = &dev->objects_next;
    machine->objects = dev;
    lock_drop(&machine->lock);
}

void machine_delist(struct pcidev *dev)
{
    struct berth_machine *machine = dev->machine;

    if (!machine)
        return;
    lock_take(&machine->lock);
    *dev->objects_link = dev->objects_next;
    if (dev->objects_next)
        dev->objects_next->objects_link = dev->objects_link;
    lock_drop(&machine->lock);
}

/* ---- helpers of all operations ---- */

int machine_insert(struct berth_machine *machine, struct sbdf_map *map, uint32_t key, void *item)
{
    struct map_spare spare = {.count = 0};
    int error;

    do {
        error = sbdf_map_prepare(map, key, &spare);
        if (error)
            break;
        lock_take(&machine->lock);
        error = sbdf_map_insert(map, key, item, &spare);
        lock_drop(&machine->lock);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    return error;
}

void *machine_remove(struct berth_machine *machine, struct sbdf_map *map, uint32_t key)
{
    void *item;

    lock_take(&machine->lock);
    item = sbdf_map_remove(map, key);
    lock_drop(&machine->lock);
    return item;
}

static const char *const operation_names[] = {
    [BERTH_OP_ADD] = "add",           [BERTH_OP_READD] = "readd",
    [BERTH_OP_REMOVE] = "remove",     [BERTH_OP_ASSIGN] = "assign",
    [BERTH_OP_DEASSIGN] = "deassign", [BERTH_OP_RESET] = "reset",
    [BERTH_OP_SRIOV] = "sriov",       [BERTH_OP_DOMAIN_DESTROY] = "domain-destroy",
};

const char *berth_operation_name(enum berth_operation op)
{
    return (unsigned)op < sizeof(operation_names) / sizeof(operation_names[0]) ? operation_names[op]
                                                                               : "unknown";
}

int machine_permit(struct berth_machine *machine, const struct berth_request *request,
                   enum berth_operation op, const struct berth_domain *target,
                   struct berth_refusal *why)
{
    const struct berth_domain *caller = request ? request->caller : NULL;
    int error = 0;

    if (machine->config.permit)
        error =
            machine->config.permit(machine->config.permit_context, caller, op, why->device, target);
    else if (caller && caller->kind != BERTH_DOMAIN_HWDOM)
        error = -EPERM;
    if (error)
        return refuse_domain(why, error, BERTH_REASON_NOT_PERMITTED, caller);
    return 0;
}

uint64_t machine_deadline(const struct berth_machine *machine, const struct berth_request *request)
{
    uint64_t timeout =
        request && request->timeout_ns ? request->timeout_ns : machine->config.policy.deadline_ns;
    uint64_t now = port_now_ns();

    return now + timeout < now ? UINT64_MAX : now + timeout;
}

/* ---- looking at it ---- */

struct berth_domain *berth_machine_hwdom(struct berth_machine *machine)
{
    return machine->hwdom;
}

struct berth_domain *berth_machine_quarantine(struct berth_machine *machine)
{
    return machine->quarantine;
}

struct berth_domain *berth_machine_hidden(struct berth_machine *machine)
{
    return machine->hidden;
}

unsigned berth_machine_count(const struct berth_machine *machine)
{
    return sbdf_map_count(&machine->devices);
}

struct berth_policy berth_machine_policy(const struct berth_machine *machine)
{
    return machine->config.policy;
}

void berth_machine_settle(struct berth_machine *machine)
{
    (void)machine;
    port_settle();
}

/* ---- crash path (M11) ---- */

static void quiesce_update(const struct pcidev *dev, unsigned reg, uint32_t clear)
{
    const struct berth_machine_config *config = &dev->machine->config;
    uint32_t value;

    /* past the seam on purpose: no section can be waited for on this path */
    if (config->host->config_read(config->host_context, dev->claim, reg, 2, &value) ||
        value == 0xffff)
        return;
    (void)config->host->config_write(config->host_context, dev->claim, reg, 2, value & ~clear);
}

static bool quiesce_device(const struct pcidev *dev)
{
    const uint16_t *cap = dev->traits.cap;

    if (dev->traits.reservation == BERTH_RESERVE_HIDDEN || device_is_bridge(dev) ||
        atomic_load(&dev->gate) & (GATE_SHUT | GATE_DISCONNECTED))
        return false;
    if (cap[CAP_MSI])
        quiesce_update(dev, cap[CAP_MSI] + PCI_MSI_CONTROL, PCI_MSI_CONTROL_ENABLE);
    if (cap[CAP_MSIX])
        quiesce_update(dev, cap[CAP_MSIX] + PCI_MSIX_CONTROL, PCI_MSIX_CONTROL_ENABLE);
    quiesce_update(dev, PCI_COMMAND, PCI_COMMAND_MASTER);
    return true;
}

unsigned berth_machine_quiesce(struct berth_machine *machine)
{
    const struct pcidev *dev;
    uint64_t cursor = 0;
    unsigned count = 0;

    port_read_lock();
    while ((dev = sbdf_map_step(&machine->devices, &cursor)))
        count += quiesce_device(dev);
    port_read_unlock();
    return count;
}
