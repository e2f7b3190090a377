/* SPDX-License-Identifier: MIT */
#include "tests/sweep/seam.h"

#include <string.h>

#include "tests/sweep/books.h"

struct seam seam;

static const struct {
    const char *name;
    int usual;
} calls[CALL_COUNT] = {
    [CALL_CLAIM] = {"claim", -EBUSY},
    [CALL_CONFIG_READ] = {"config read", -EIO},
    [CALL_CONFIG_WRITE] = {"config write", -EIO},
    [CALL_RESET] = {"host reset", -EIO},
    [CALL_RESERVED] = {"reserved", -EIO},
    [CALL_BAR_FIND] = {"BAR find", -ENODATA},
    [CALL_BAR_READ] = {"BAR read", -EIO},
    [CALL_BAR_WRITE] = {"BAR write", -EIO},
    [CALL_SPACE_CREATE] = {"space create", -ENOMEM},
    [CALL_MAP] = {"IOMMU map", -ENOMEM},
    [CALL_UNMAP] = {"IOMMU unmap", -EIO},
    [CALL_ATTACH] = {"attach", -EIO},
    [CALL_DETACH] = {"detach", -EIO},
    [CALL_FLUSH] = {"flush", -ETIMEDOUT},
    [CALL_GROUP] = {"group", -EIO},
    [CALL_ATS] = {"ATS", -EIO},
    [CALL_BIND] = {"bind", -ENOSPC},
    [CALL_GUEST_MAP] = {"guest map", -ENOMEM},
    [CALL_GUEST_UNMAP] = {"guest unmap", -EIO},
    [CALL_WITHDRAW] = {"withdraw", -EIO},
    [CALL_RESTORE] = {"restore", -EIO},
    [CALL_ALLOC] = {"allocation", -ENOMEM},
};

static const char *const mishaps[MISHAP_COUNT] = {
    [MISHAP_FAIL] = "fails",
    [MISHAP_FOR_EVER] = "fails for ever",
    [MISHAP_GONE] = "gone",
    [MISHAP_ONES] = "reads ones",
    [MISHAP_HELD] = "held",
    [MISHAP_HUNG_RESET] = "hangs in resets",
    [MISHAP_HUNG_FLUSH] = "hangs in flushes",
};

const char *call_name(enum call call)
{
    return calls[call].name;
}

const char *mishap_name(enum mishap mishap)
{
    return mishaps[mishap];
}

void seam_begin(struct sim *sim, struct sbdf subject)
{
    memset(&seam, 0, sizeof(seam));
    seam.sim = sim;
    seam.subject = subject;
}

void seam_plan(const struct plan *plan)
{
    memset(seam.total, 0, sizeof(seam.total));
    seam.counted = seam.since = seam.mishaps = 0;
    seam.asked = seam.told = seam.crashed = 0;
    seam.plan = *plan;
}

bool seam_quiet(void)
{
    if (seam.plan.mishap == MISHAP_HELD)
        holder_leave();
    if (seam.plan.mishap == MISHAP_HUNG_FLUSH)
        (void)sim_hang_on_flush(seam.sim, seam.subject, false);
    if (seam.plan.mishap == MISHAP_HUNG_RESET)
        (void)sim_hang_on_reset(seam.sim, seam.subject, false);
    seam.plan.first = 0;
    seam.later = NULL;
    return seam.mishaps;
}

/* ---- mishaps ---- */

/* True where the call itself has to fail. */
static bool strike(void)
{
    switch (seam.plan.mishap) {
    case MISHAP_GONE:
        (void)sim_vanish(seam.sim, seam.subject);
        return false;
    case MISHAP_HELD:
        if (seam.machine)
            (void)holder_enter(seam.machine, seam.subject);
        return false;
    case MISHAP_HUNG_RESET:
        (void)sim_hang_on_reset(seam.sim, seam.subject, true);
        return false;
    case MISHAP_HUNG_FLUSH:
        (void)sim_hang_on_flush(seam.sim, seam.subject, true);
        return false;
    default:
        return true;
    }
}

static bool is_struck(enum call call)
{
    const bool counts = seam.plan.calls & CALL_BIT(call);

    if (!seam.plan.first)
        return false;
    if (seam.mishaps && seam.plan.second && ++seam.since == seam.plan.second) {
        seam.mishaps++;
        return true;
    }
    seam.counted += counts;
    if (!counts || seam.counted < seam.plan.first)
        return false;
    if (seam.counted > seam.plan.first && seam.plan.mishap != MISHAP_FOR_EVER)
        return false;
    if (!seam.mishaps++)
        seam.first_call = call;
    return strike();
}

int seam_call(enum call call)
{
    seam.total[call]++;
    return is_struck(call) ? calls[call].usual : 0;
}

/* ---- the host ---- */

static int claim(void *host, struct sbdf sbdf, berth_claim *value)
{
    int error = seam_call(CALL_CLAIM);

    return error ? error : sim_host_ops.claim(host, sbdf, value);
}

static void release(void *host, berth_claim value)
{
    sim_host_ops.release(host, value);
}

/* A read that goes wrong without anybody noticing gives all ones. */
static int read_error(int error)
{
    return seam.plan.mishap == MISHAP_ONES ? 0 : error;
}

static int config_read(void *host, berth_claim value, unsigned reg, unsigned length, uint32_t *word)
{
    int error = seam_call(CALL_CONFIG_READ);

    *word = UINT32_MAX;
    return error ? read_error(error) : sim_host_ops.config_read(host, value, reg, length, word);
}

static int config_write(void *host, berth_claim value, unsigned reg, unsigned length, uint32_t word)
{
    int error = seam_call(CALL_CONFIG_WRITE);

    return error ? error : sim_host_ops.config_write(host, value, reg, length, word);
}

static int host_reset(void *host, berth_claim value)
{
    int error = seam_call(CALL_RESET);

    return error ? error : sim_host_ops.reset(host, value);
}

static int reserved(void *host, berth_claim value, struct berth_reserved *list)
{
    int error = seam_call(CALL_RESERVED);

    return error ? error : sim_host_ops.reserved(host, value, list);
}

static void describe(void *host, berth_claim value, struct berth_function_facts *facts)
{
    sim_host_ops.describe(host, value, facts);
}

static const struct berth_host_ops host_ops = {
    .claim = claim,
    .release = release,
    .config_read = config_read,
    .config_write = config_write,
    .reset = host_reset,
    .reserved = reserved,
    .describe = describe,
};

static int bar_find(void *host, berth_claim value, unsigned index, struct berth_bar *bar)
{
    int error = seam_call(CALL_BAR_FIND);

    return error ? error : sim_bar_ops.find(host, value, index, bar);
}

static int bar_read(void *host, berth_claim value, unsigned index, uint64_t offset, unsigned length,
                    uint64_t *word)
{
    int error = seam_call(CALL_BAR_READ);

    *word = UINT64_MAX;
    return error ? read_error(error) : sim_bar_ops.read(host, value, index, offset, length, word);
}

static int bar_write(void *host, berth_claim value, unsigned index, uint64_t offset,
                     unsigned length, uint64_t word)
{
    int error = seam_call(CALL_BAR_WRITE);

    return error ? error : sim_bar_ops.write(host, value, index, offset, length, word);
}

static const struct berth_bar_ops bar_ops = {
    .find = bar_find, .read = bar_read, .write = bar_write};

/* ---- the IOMMU ---- */

static int space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    int error = seam_call(CALL_SPACE_CREATE);

    if (!error)
        error = sim_iommu_ops.space_create(iommu, kind, id, space);
    if (!error)
        books_space(*space, kind, id);
    return error;
}

static void space_destroy(void *iommu, void *space)
{
    books_space_gone(space);
    sim_iommu_ops.space_destroy(iommu, space);
}

static int map(void *iommu, void *space, const struct berth_reserved *region)
{
    int error = seam_call(CALL_MAP);

    if (!error)
        error = sim_iommu_ops.map(iommu, space, region);
    if (!error)
        books_map(space, region);
    return error;
}

static int unmap(void *iommu, void *space, const struct berth_reserved *region)
{
    int error = seam_call(CALL_UNMAP);

    if (!error)
        error = sim_iommu_ops.unmap(iommu, space, region);
    if (!error)
        books_unmap(space, region);
    return error;
}

static int attach(void *iommu, struct sbdf rid, void *space)
{
    int error = seam_call(CALL_ATTACH);

    if (!error)
        error = sim_iommu_ops.attach(iommu, rid, space);
    if (!error)
        books_attach(rid, space);
    return error;
}

static int detach(void *iommu, struct sbdf rid)
{
    int error = seam_call(CALL_DETACH);

    if (!error)
        error = sim_iommu_ops.detach(iommu, rid);
    if (!error)
        books_detach(rid);
    return error;
}

static int flush(void *iommu, struct sbdf rid, void *old_space)
{
    int error = seam_call(CALL_FLUSH);

    return error ? error : sim_iommu_ops.flush(iommu, rid, old_space);
}

static int group(void *iommu, struct sbdf rid, uint32_t *number)
{
    int error = seam_call(CALL_GROUP);

    return error ? error : sim_iommu_ops.group(iommu, rid, number);
}

static int ats(void *iommu, struct sbdf rid, bool on)
{
    int error = seam_call(CALL_ATS);

    return error ? error : sim_iommu_ops.ats(iommu, rid, on);
}

static const struct berth_iommu_ops iommu_ops = {
    .space_create = space_create,
    .space_destroy = space_destroy,
    .map = map,
    .unmap = unmap,
    .attach = attach,
    .detach = detach,
    .flush = flush,
    .group = group,
    .ats = ats,
};

/* ---- interrupts ---- */

static int bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    int error = seam_call(CALL_BIND);

    if (!error)
        error = sim_irq_ops.bind(irqs, irq, message);
    if (!error)
        books_bind(irq);
    return error;
}

static void unbind(void *irqs, const struct berth_irq *irq)
{
    books_unbind(irq);
    sim_irq_ops.unbind(irqs, irq);
}

static bool remaps(void *irqs)
{
    return sim_irq_ops.remaps(irqs);
}

static const struct berth_irq_ops irq_ops = {.bind = bind, .unbind = unbind, .remaps = remaps};

void seam_configure(struct berth_machine_config *config)
{
    config->host = &host_ops;
    config->bars = &bar_ops;
    config->iommu = &iommu_ops;
    config->irqs = &irq_ops;
    config->host_context = config->iommu_context = config->irq_context = seam.sim;
}

/* ---- guests ---- */

static int guest_map(void *context, const struct berth_piece *piece)
{
    int error = seam_call(CALL_GUEST_MAP);

    (void)context;
    if (!error)
        books_piece(piece);
    return error;
}

static int guest_unmap(void *context, const struct berth_piece *piece)
{
    int error = seam_call(CALL_GUEST_UNMAP);

    (void)context;
    if (!error)
        books_piece_gone(piece);
    return error;
}

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    (void)context;
    (void)dev;
    (void)vector;
    (void)message;
}

static void intx(void *context, struct sbdf at, unsigned pin, bool asserted)
{
    (void)context;
    (void)at;
    (void)pin;
    (void)asserted;
}

const struct berth_view_ops seam_view_ops = {
    .map = guest_map, .unmap = guest_unmap, .inject = inject, .intx = intx};

static void release_request(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    seam.asked++;
}

static int withdraw(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    return seam_call(CALL_WITHDRAW);
}

static int restore(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    return seam_call(CALL_RESTORE);
}

static void crash(void *context, struct pcidev *dev)
{
    (void)context;
    (void)dev;
    seam.crashed++;
}

static void told(void *context, struct pcidev *dev, enum pcidev_trouble kind)
{
    (void)context;
    (void)dev;
    (void)kind;
    seam.told++;
}

const struct berth_domain_ops seam_domain_ops = {
    .release_request = release_request,
    .withdraw = withdraw,
    .restore = restore,
    .crash = crash,
    .trouble = told,
};
