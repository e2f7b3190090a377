/* SPDX-License-Identifier: MIT */
#include "src/core/refuse.h"

#include <berth/domain.h>

#include "src/core/machine_priv.h"

/*
 * What people read. In the texts %d is the device, %o the other device, %D the domain, %n the
 * number, %p the number as an address of the bus, %a the address in memory, %s the step, %h the
 * holders; "way" is the way out.
 */
struct reason {
    const char *name, *rule, *text, *way;
};

static const struct reason reasons[BERTH_REASON_COUNT] = {
    [BERTH_REASON_NONE] = {"none", "", "%d: no reason given", ""},
    [BERTH_REASON_NOT_PERMITTED] = {"not-permitted", "M20", "%D may not do this to %d",
                                    "ask as the hardware domain, or change the privilege rule"},
    [BERTH_REASON_DOMAIN_DENIED] = {"domain-denied", "M20", "%D may not destroy guests",
                                    "ask as the hardware domain, or change the privilege rule"},
    [BERTH_REASON_SELF_ASSIGN] = {"self-assign", "M20", "%D cannot assign %d to itself",
                                  "a privileged domain has to do it"},
    [BERTH_REASON_BAD_ARGUMENT] = {"bad-argument", "M20", "%d: an argument is out of range",
                                   "name a live guest and a valid address"},
    [BERTH_REASON_NO_MEMORY] = {"no-memory", "P2", "%d: out of memory in step \"%s\"",
                                "nothing was changed: try again"},
    [BERTH_REASON_NO_DEVICE] = {"no-device", "C2", "%d is not a registered device",
                                "list the devices, or add it first"},
    [BERTH_REASON_NOTHING_THERE] = {"nothing-there", "M08", "%d: nothing answers at this address",
                                    "plug it in; for a VF, enable the VFs of its PF first"},
    [BERTH_REASON_EXISTS] = {"exists", "R6", "%d is present already",
                             "remove it first, or re-add it to look at it again"},
    [BERTH_REASON_REMOVED] = {"removed", "R1", "%d has been removed",
                              "drop the handle and find the device again"},
    [BERTH_REASON_NO_PF] = {"no-pf", "M04", "%d is a VF and its PF %o is not registered",
                            "add %o first"},
    [BERTH_REASON_NOT_A_VF] = {"not-a-vf", "M04", "%d is none of the VFs that %o has enabled",
                               "enable the VFs of the PF first"},
    [BERTH_REASON_OTHER_DEVICE] = {"other-device", "M08", "%d is now another device than before",
                                   "remove it by force and add the new one"},
    [BERTH_REASON_HOST_CLAIM] = {"host-claim", "M08", "%d: the host does not hand it over",
                                 "free it on the host (another machine or driver uses it)"},
    [BERTH_REASON_GUEST_OWNS] = {"guest-owns", "R1", "%d belongs to guest %D",
                                 "deassign it first, or remove it gracefully or by force"},
    [BERTH_REASON_OWNED] = {"owned", "O1", "%d belongs to %D already", "deassign it from %D first"},
    [BERTH_REASON_NOT_OWNER] = {"not-owner", "O1", "%d belongs to %D",
                                "deassign it from its owner"},
    [BERTH_REASON_ALREADY] = {"already", "O1", "%d belongs to %D already",
                              "there is nothing to do"},
    [BERTH_REASON_NOT_A_GUEST] = {"not-a-guest", "O5", "%D is no guest",
                                  "only guests can be destroyed"},
    [BERTH_REASON_NOT_LENT] = {"not-lent", "O1", "%d is with %D and lent to no guest",
                               "there is nothing to take back"},
    [BERTH_REASON_HAS_VFS] =
        {"has-vfs", "R1", "%d is a PF with %n VFs",
         "remove its VFs and give them back first (only a removal can be forced)"},
    [BERTH_REASON_HAS_CHILDREN] = {"has-children", "R1",
                                   "%d is a bridge with devices behind it, such as %o",
                                   "remove them first, or remove the bridge by force"},
    [BERTH_REASON_REFERENCED] = {"referenced", "R3", "%d has references left (%n)%h",
                                 "let their holders drop them, or remove it without strict"},
    [BERTH_REASON_SECTION_OPEN] = {"section-open", "R5",
                                   "%o is still being accessed at the deadline%h",
                                   "it is intact: end the access, then try again"},
    [BERTH_REASON_TRANSITION] = {"transition", "R5",
                                 "%o is in another transition at the deadline%h",
                                 "wait for it, or allow more time"},
    [BERTH_REASON_RECOVERY] = {"recovery", "M13", "%d is being recovered from an error",
                               "wait until its owner has it back, or it is broken"},
    [BERTH_REASON_OWNER_KEEPS] = {"owner-keeps", "R4", "%D did not let go of %d within %n ms",
                                  "remove it by force, or allow more time"},
    [BERTH_REASON_OWN_SECTION] = {"own-section", "R5",
                                  "%d: the caller is inside an access section of it",
                                  "leave the section first"},
    [BERTH_REASON_BROKEN] = {"broken", "O4", "%d is broken and in quarantine",
                             "remove it and add it again, or release it to the hardware domain"},
    [BERTH_REASON_HIDDEN] = {"hidden", "O4", "%d is hidden: the hypervisor keeps it",
                             "start without hiding it"},
    [BERTH_REASON_READ_ONLY] = {"read-only", "O4", "%d is read-only: the hypervisor uses it",
                                "start without marking it read-only"},
    [BERTH_REASON_BRIDGE] = {"bridge", "O4", "%d is a bridge, and bridges are not lent",
                             "assign the devices behind it"},
    [BERTH_REASON_DISCONNECTED] = {"disconnected", "A4", "%d has vanished and does not answer",
                                   "remove it, or plug it in and re-add it"},
    [BERTH_REASON_TEARDOWN] = {"teardown", "O5", "%D is being torn down", "choose a live guest"},
    [BERTH_REASON_UNFINISHED] = {"unfinished", "O5", "%D is not torn down yet at the deadline",
                                 "destroy it again to go on"},
    [BERTH_REASON_ZOMBIE] = {"zombie", "O5",
                             "%D stays a zombie: a device could still reach its memory",
                             "remove the broken device, then destroy it again"},
    [BERTH_REASON_NO_IOMMU] = {"no-iommu", "X29", "%d: there is no IOMMU to keep it inside a guest",
                               "enable the IOMMU in the firmware"},
    [BERTH_REASON_SHARED_GROUP] = {"shared-group", "O4",
                                   "%d is in isolation group %n with %o, which belongs to %D",
                                   "put %o into quarantine first (or lend it to the same guest)"},
    [BERTH_REASON_SHARED_PATH] =
        {"shared-path", "O4", "%d and %o, which belongs to %D, reach one another without ACS at %p",
         "lend both to the same guest, put %o into quarantine, or use slots that have ACS"},
    [BERTH_REASON_SHARED_PAGE] =
        {"shared-page", "O4", "%d shares the page at %a of its BAR %n with %o, which belongs to %D",
         "lend both to the same guest, put %o into quarantine, or allow shared pages in the "
         "policy"},
    [BERTH_REASON_OVER_HIDDEN] = {"over-hidden", "O4",
                                  "BAR %n of %d is over the one at %a of %o, which is hidden",
                                  "move it out of the way"},
    [BERTH_REASON_SHARED_LINE] =
        {"shared-line", "O4",
         "%d has no interrupt but line %n, which it shares with %o, which belongs to %D",
         "lend both to the same guest, or put %o into quarantine"},
    [BERTH_REASON_NO_INTX] = {"no-intx", "O4",
                              "%d gets no INTx: %o, which belongs to %D, is on line %n, too",
                              "use its MSI or MSI-X, or lend %o to the same guest first"},
    [BERTH_REASON_GROUP_SIZE] = {"group-size", "M23",
                                 "%d cannot be kept apart from more than %n devices",
                                 "put those that are not needed into another slot"},
    [BERTH_REASON_NO_REMAPPING] =
        {"no-remapping", "M32", "%d could raise any interrupt of the host: they are not remapped",
         "enable interrupt remapping in the firmware, or allow unsafe interrupts in the policy"},
    [BERTH_REASON_SHARED_RID] = {"shared-rid", "O4",
                                 "%d shares requester id %o with a device of %D",
                                 "put the devices that share it into quarantine first"},
    [BERTH_REASON_LATE_BRIDGE] = {"late-bridge", "M05",
                                  "%d was added before a bridge above it, and now uses id %o too",
                                  "remove it and add it again"},
    [BERTH_REASON_RESERVED_STRICT] = {"reserved-strict", "M24",
                                      "%d needs reserved memory, which a guest must not get",
                                      "allow it with the relaxed policy for reserved memory"},
    [BERTH_REASON_RESERVED_CLASH] = {"reserved-clash", "M24",
                                     "%d: a reserved region of it overlaps one of another device",
                                     "lend the two devices to different guests"},
    [BERTH_REASON_TOO_MANY_RIDS] = {"too-many-rids", "M22", "%d uses more than %n requester ids",
                                    "shorten the chain of bridges above it"},
    [BERTH_REASON_NO_SLOT] = {"no-slot", "M46", "%d: all slots on the buses of %D are taken",
                              "take a device away from it, or give it more buses"},
    [BERTH_REASON_SLOT_TAKEN] = {"slot-taken", "M46", "%d: %o of the guest is taken",
                                 "choose another slot, or none: one is found then"},
    [BERTH_REASON_BAD_SLOT] = {"bad-slot", "M46", "%d: a guest would not find a device at %o",
                               "choose a slot on one of its buses, and function 0 first"},
    [BERTH_REASON_VIEW_FAILED] = {"view-failed", "V2", "%d: the guest's view could not be made",
                                  "nothing was changed: see the trace"},
    [BERTH_REASON_NO_RESET] = {"no-reset", "K10", "%d has no reset that works here",
                               "whether it is lent without one is a matter of policy"},
    [BERTH_REASON_RESET_SCOPE] = {"reset-scope", "M09",
                                  "%d: its only reset would hit %o, which belongs to %D",
                                  "give both to the same owner first"},
    [BERTH_REASON_RESET_FAILED] =
        {"reset-failed", "M09",
         "%d did not come back from its reset: it is broken and in quarantine",
         "power the slot off and on, then re-add it"},
    [BERTH_REASON_HOST_FAILED] = {"host-failed", "R7", "%d: the host failed in step \"%s\"",
                                  "nothing was changed: try again, see the trace"},
    [BERTH_REASON_IOMMU_FAILED] = {"iommu-failed", "O1", "%d: the IOMMU failed in step \"%s\"",
                                   "nothing was changed: try again, see the trace"},
    [BERTH_REASON_NOT_A_PF] = {"not-a-pf", "M04", "%d has no SR-IOV capability",
                               "choose a physical function"},
    [BERTH_REASON_VF_COUNT] = {"vf-count", "M04", "%d can have at most %n VFs", "ask for fewer"},
    [BERTH_REASON_ROLLBACK] =
        {"rollback", "R7",
         "%d: step \"%s\" failed and could not be undone: it is now broken and in quarantine",
         "remove it and add it again"},
};

static const struct reason *reason_get(enum berth_reason reason)
{
    if ((unsigned)reason >= BERTH_REASON_COUNT || !reasons[reason].name)
        return &reasons[BERTH_REASON_NONE];
    return &reasons[reason];
}

const char *berth_reason_name(enum berth_reason reason)
{
    return reason_get(reason)->name;
}

const char *berth_reason_rule(enum berth_reason reason)
{
    return reason_get(reason)->rule;
}

/* ---- text: a freestanding build has no printf ---- */

struct text {
    char *out;
    size_t size, length;
};

static void text_char(struct text *t, char c)
{
    if (t->length + 1 < t->size)
        t->out[t->length] = c;
    t->length++;
}

static void text_put(struct text *t, const char *s)
{
    for (; *s; s++)
        text_char(t, *s);
}

static void text_number(struct text *t, uint32_t value)
{
    char digits[11];
    unsigned i = sizeof(digits) - 1;

    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    text_put(t, digits + i);
}

static void text_hex(struct text *t, uint64_t value)
{
    char digits[19];
    unsigned i = sizeof(digits) - 1;

    digits[i] = '\0';
    do {
        digits[--i] = "0123456789abcdef"[value & 0xf];
        value >>= 4;
    } while (value);
    text_put(t, "0x");
    text_put(t, digits + i);
}

static void text_holders(struct text *t, const struct berth_refusal *why)
{
    for (uint32_t i = 0; i < why->holder_count && i < BERTH_HOLDERS_MAX; i++) {
        text_put(t, i ? ", " : ": held by ");
        text_put(t, why->holders[i].tag ? why->holders[i].tag : "?");
        if (why->holders[i].count > 1) {
            text_put(t, " x");
            text_number(t, why->holders[i].count);
        }
    }
}

static void text_field(struct text *t, const struct berth_refusal *why, char field)
{
    char address[SBDF_TEXT_SIZE];

    switch (field) {
    case 'd':
        text_put(t, sbdf_format(why->device, address));
        break;
    case 'o':
        text_put(t, sbdf_format(why->has_other ? why->other : why->device, address));
        break;
    case 'D':
        text_put(t, why->domain[0] ? why->domain : "the caller");
        break;
    case 'n':
        text_number(t, why->number);
        break;
    case 'p':
        text_put(t, sbdf_format(sbdf_from_key(why->number), address));
        break;
    case 'a':
        text_hex(t, why->address);
        break;
    case 's':
        text_put(t, why->step ? why->step : "?");
        break;
    case 'h':
        text_holders(t, why);
        break;
    }
}

static void text_expand(struct text *t, const struct berth_refusal *why, const char *format)
{
    for (; *format; format++) {
        if (*format == '%' && format[1])
            text_field(t, why, *++format);
        else
            text_char(t, *format);
    }
}

size_t berth_refusal_text(const struct berth_refusal *why, char *text, size_t size)
{
    const struct reason *reason = reason_get(why->reason);
    struct text t = {.out = text, .size = size};

    text_expand(&t, why, reason->text);
    text_put(&t, " (");
    text_put(&t, reason->rule);
    text_put(&t, "): ");
    text_expand(&t, why, reason->way);
    if (size)
        text[t.length < size ? t.length : size - 1] = '\0';
    return t.length;
}

/* ---- filling it in ---- */

void refusal_begin(struct berth_refusal *why, struct sbdf device)
{
    *why = (struct berth_refusal){.device = device};
}

int refuse(struct berth_refusal *why, int error, enum berth_reason reason)
{
    if (why->reason == BERTH_REASON_NONE)
        why->reason = reason;
    return error;
}

int refuse_domain(struct berth_refusal *why, int error, enum berth_reason reason,
                  const struct berth_domain *domain)
{
    unsigned i = 0;

    if (why->reason == BERTH_REASON_NONE && domain) {
        for (; domain->name[i]; i++)
            why->domain[i] = domain->name[i];
        why->domain[i] = '\0';
    }
    return refuse(why, error, reason);
}

int refuse_other(struct berth_refusal *why, int error, enum berth_reason reason, struct sbdf other)
{
    if (why->reason == BERTH_REASON_NONE) {
        why->other = other;
        why->has_other = 1;
    }
    return refuse(why, error, reason);
}

int refuse_number(struct berth_refusal *why, int error, enum berth_reason reason, uint32_t number)
{
    if (why->reason == BERTH_REASON_NONE)
        why->number = number;
    return refuse(why, error, reason);
}

int refuse_address(struct berth_refusal *why, int error, enum berth_reason reason, uint64_t address)
{
    if (why->reason == BERTH_REASON_NONE)
        why->address = address;
    return refuse(why, error, reason);
}

int refusal_end(const struct berth_refusal *why, int error, const struct berth_request *request)
{
    if (error && request && request->why) {
        *request->why = *why;
        request->why->error = error;
    }
    return error;
}
