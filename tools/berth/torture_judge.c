/* SPDX-License-Identifier: MIT */
/* What chance chooses from, and what may be answered. */
#include "tools/berth/torture.h"

const char torture_tag[] = "torture";

/* ---- choices ---- */

struct sbdf torture_place(struct torturer *t)
{
    const struct capture *capture = &t->torture->machine.capture;

    return capture->functions[torture_chance(t, (uint32_t)capture->count)].sbdf;
}

struct pcidev *torture_device(struct torturer *t)
{
    struct sbdf at = torture_place(t);
    struct berth_machine *machine = t->torture->machine.machine;
    struct pcidev *dev;

    /* the next one: also VFs, which are not in every capture */
    if (torture_chance(t, 2))
        dev = pcidev_find(machine, at, torture_tag);
    else
        dev = pcidev_next(machine, &at, torture_tag);
    return dev;
}

const char *torture_guest_name(unsigned index)
{
    static const char *const names[TORTURE_GUESTS] = {"vm1", "vm2", "vm3"};

    return names[index];
}

struct berth_domain *torture_guest(struct torturer *t)
{
    return berth_domain_find(t->torture->machine.machine,
                             torture_guest_name(torture_chance(t, TORTURE_GUESTS)));
}

/* ---- judging ---- */

void torture_ask(struct torturer *t, struct torture_request *r)
{
    static const uint64_t timeouts[] = {RUN_MS, 20 * RUN_MS, 300 * RUN_MS, 0};

    r->why = (struct berth_refusal){.reason = BERTH_REASON_NONE};
    r->request =
        (struct berth_request){.timeout_ns = timeouts[torture_chance(t, 4)], .why = &r->why};
}

/* Nobody asks for what leads to these, unless failures are injected. */
static bool reason_is_fine(enum berth_reason reason, bool failing)
{
    switch (reason) {
    case BERTH_REASON_NONE:
    case BERTH_REASON_NOT_PERMITTED:
    case BERTH_REASON_SELF_ASSIGN:
    case BERTH_REASON_OWN_SECTION:
    case BERTH_REASON_TOO_MANY_RIDS:
    case BERTH_REASON_NO_IOMMU:
        return false;
    case BERTH_REASON_NO_MEMORY:
    case BERTH_REASON_HOST_FAILED:
    case BERTH_REASON_IOMMU_FAILED:
    case BERTH_REASON_ROLLBACK:
    case BERTH_REASON_ZOMBIE:
        return failing;
    default:
        return true;
    }
}

int torture_judge(struct torture *torture, const char *what, int error,
                  const struct torture_request *r)
{
    char text[FLAW_DETAIL_SIZE - 64];

    if (!error)
        return 0;
    if (r->why.error != error || !reason_is_fine(r->why.reason, torture->options.fail)) {
        berth_refusal_text(&r->why, text, sizeof(text));
        flaw_found(&torture->flaws, FLAW_REFUSED, "%s: %d (%s): %s", what, error,
                   berth_reason_name(r->why.reason), text);
    }
    return error;
}

void torture_gone(struct torture *torture, struct pcidev *dev)
{
    struct pcidev_section section PCIDEV_SECTION = {0};
    struct sbdf at = pcidev_sbdf(dev);
    struct pcidev *found;
    char text[SBDF_TEXT_SIZE];

    sbdf_format(at, text);
    if (pcidev_enter(dev, torture_tag, &section))
        flaw_found(&torture->flaws, FLAW_ENTERED, "a section of %s was opened", text);
    found = pcidev_find(torture->machine.machine, at, torture_tag);
    if (found == dev)
        flaw_found(&torture->flaws, FLAW_ENTERED, "%s was found again", text);
    pcidev_put(found, torture_tag);
    if (run_machine_touches(&torture->machine))
        flaw_found(&torture->flaws, FLAW_TOUCH, "seen after the removal of %s", text);
}
