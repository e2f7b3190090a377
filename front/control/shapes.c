/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "front/control/shapes.h"

#define TEXT_SIZE 512

const char *shape_error_name(int error)
{
    const char *name = strerrorname_np(-error);

    return name ? name : "EUNKNOWN";
}

json_t *shape_sbdf(struct sbdf sbdf)
{
    char text[SBDF_TEXT_SIZE];

    return json_string(sbdf_format(sbdf, text));
}

json_t *shape_hex(uint64_t value, int digits)
{
    return json_sprintf("0x%0*" PRIx64, digits, value);
}

json_t *shape_holders(const struct berth_holder *list, unsigned count)
{
    json_t *holders = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(holders, json_pack("{s:s, s:I}", "tag", list[i].tag, "count",
                                                 (json_int_t)list[i].count));
    return holders;
}

/* ---- devices ---- */

struct flag_word {
    bool set;
    const char *word;
};

static json_t *words_pack(const struct flag_word *flags, size_t count)
{
    json_t *words = json_array();

    for (size_t i = 0; i < count; i++) {
        if (flags[i].set)
            json_array_append_new(words, json_string(flags[i].word));
    }
    return words;
}

#define WORDS_PACK(flags) words_pack(flags, sizeof(flags) / sizeof((flags)[0]))

static json_t *device_flags(const struct pcidev_info *info)
{
    const struct flag_word flags[] = {
        {info->broken, "broken"},
        {info->disconnected, "disconnected"},
        {info->hidden, "hidden"},
        {info->read_only, "read-only"},
        {info->contained, "contained"},
        {info->in_transition, "in-transition"},
        {info->is_vf, "vf"},
        {info->extended_function, "extended-function"},
        {info->ext_aliased, "extended-space-aliased"},
    };

    return WORDS_PACK(flags);
}

static json_t *device_errata(uint32_t errata)
{
    const struct flag_word flags[] = {
        {errata & PCIDEV_ERRATUM_JUNK_BARS, "junk-bars"},
        {errata & PCIDEV_ERRATUM_NO_FLR, "no-flr"},
        {errata & PCIDEV_ERRATUM_NO_ATS, "no-ats"},
        {errata & PCIDEV_ERRATUM_DMA_FN1, "dma-from-function-1"},
        {errata & PCIDEV_ERRATUM_NO_PM_RESET, "no-pm-reset"},
        {errata & PCIDEV_ERRATUM_DMA_FN0, "dma-from-function-0"},
    };

    return WORDS_PACK(flags);
}

static json_t *device_rids(const struct pcidev_info *info)
{
    json_t *rids = json_array();

    for (unsigned i = 0; i < info->rid_count && i < PCIDEV_RIDS_MAX; i++)
        json_array_append_new(rids, shape_sbdf(info->rids[i]));
    return rids;
}

static json_t *device_methods(const struct pcidev_info *info)
{
    json_t *methods = json_array();

    for (unsigned i = 0; i < info->method_count && i < PCIDEV_METHODS_MAX; i++)
        json_array_append_new(methods, json_string(pcidev_reset_method_name(info->methods[i])));
    return methods;
}

static json_t *device_identity(struct names *names, const struct pcidev_info *info)
{
    const char *vendor, *device;

    names_find(names, info->vendor, info->device, &vendor, &device);
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?, s:s, s:s}", "sbdf", shape_sbdf(info->sbdf),
        "vendor", shape_hex(info->vendor, 4), "device", shape_hex(info->device, 4),
        "subsystem_vendor", shape_hex(info->subsystem_vendor, 4), "subsystem",
        shape_hex(info->subsystem, 4), "class", shape_hex(info->class_code, 6), "revision",
        shape_hex(info->revision, 2), "vendor_name", vendor, "device_name", device, "class_name",
        class_name(info->class_code), "type", pcidev_type_name(info->type));
}

static json_t *device_state(const struct pcidev_info *info)
{
    return json_pack("{s:s, s:o, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "state",
                     pcidev_state_name(info->state), "flags", device_flags(info), "owner",
                     info->owner, "owner_id", (json_int_t)info->owner_id, "owner_kind",
                     berth_domain_kind_name(info->owner_kind), "generation",
                     (json_int_t)info->generation, "faults", (json_int_t)info->faults,
                     "dropped_writes", (json_int_t)info->dropped, "references",
                     (json_int_t)info->references, "children", (json_int_t)info->children);
}

static json_t *device_place(const struct pcidev_info *info)
{
    const bool bridge = info->secondary_bus || info->subordinate_bus;

    return json_pack("{s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o?, s:o}", "guest_address",
                     info->has_guest_address ? shape_sbdf(info->guest_address) : NULL, "numa_node",
                     info->numa_node < 0 ? NULL : json_integer(info->numa_node), "iommu_group",
                     info->has_group ? json_integer(info->group) : NULL, "parent",
                     info->has_parent ? shape_sbdf(info->parent) : NULL, "pf",
                     info->is_vf ? shape_sbdf(info->pf) : NULL, "secondary_bus",
                     bridge ? shape_hex(info->secondary_bus, 2) : NULL, "subordinate_bus",
                     bridge ? shape_hex(info->subordinate_bus, 2) : NULL, "rids",
                     device_rids(info));
}

static json_t *device_abilities(const struct pcidev_info *info)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:o, s:o}", "config_size", info->config_size, "vfs",
                     info->vfs, "total_vfs", info->total_vfs, "phantom_stride",
                     info->phantom_stride, "errata", device_errata(info->errata), "reset_methods",
                     device_methods(info));
}

json_t *shape_device(struct names *names, const struct pcidev_info *info)
{
    json_t *device = device_identity(names, info);
    json_t *parts[] = {device_state(info), device_place(info), device_abilities(info)};
    bool complete = device != NULL;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!parts[i] || json_object_update(device, parts[i]))
            complete = false;
        json_decref(parts[i]);
    }
    if (complete)
        return device;
    json_decref(device);
    return NULL;
}

/* ---- the others ---- */

json_t *shape_refusal(const struct berth_refusal *why)
{
    char text[TEXT_SIZE];
    unsigned holders = why->holder_count;

    if (holders > BERTH_HOLDERS_MAX)
        holders = BERTH_HOLDERS_MAX;
    berth_refusal_text(why, text, sizeof(text));
    return json_pack("{s:s, s:s, s:s, s:o, s:o?, s:s?, s:s?, s:I, s:o?, s:o, s:s}", "reason",
                     berth_reason_name(why->reason), "rule", berth_reason_rule(why->reason),
                     "error", shape_error_name(why->error), "device", shape_sbdf(why->device),
                     "other", why->has_other ? shape_sbdf(why->other) : NULL, "domain",
                     why->domain[0] ? why->domain : NULL, "step", why->step, "number",
                     (json_int_t)why->number, "address",
                     why->address ? shape_hex(why->address, 0) : NULL, "holders",
                     shape_holders(why->holders, holders), "text", text);
}

json_t *shape_domain(const struct berth_domain *domain)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:b, s:i}", "id", (json_int_t)berth_domain_id(domain),
                     "name", berth_domain_name(domain), "kind",
                     berth_domain_kind_name(berth_domain_kind(domain)), "state",
                     berth_domain_state_name(berth_domain_state(domain)), "crashed",
                     berth_domain_crashed(domain), "devices", berth_domain_device_count(domain));
}

json_t *shape_event(const struct berth_event *event)
{
    return json_pack("{s:I, s:I, s:s, s:o, s:s?, s:s?, s:i, s:s?, s:s?}", "sequence",
                     (json_int_t)event->sequence, "time_ns", (json_int_t)event->time_ns, "event",
                     berth_event_name(event->kind), "device", shape_sbdf(event->device),
                     "transition", event->transition, "step", event->step, "result", event->result,
                     "error", event->result ? shape_error_name(event->result) : NULL, "domain",
                     event->domain[0] ? event->domain : NULL);
}

struct counter_spec {
    const char *name;
    size_t offset;
};

#define COUNTER(member)                                \
    {                                                  \
#member, offsetof(struct sim_counters, member) \
    }

static const struct counter_spec counter_specs[] = {
    COUNTER(config_reads),
    COUNTER(config_writes),
    COUNTER(bar_reads),
    COUNTER(bar_writes),
    COUNTER(touches_after_release),
    COUNTER(touches_vanished),
    COUNTER(touches_resetting),
    COUNTER(bar_decode_off),
    COUNTER(dma_faults),
    COUNTER(dma_stale),
    COUNTER(interrupts_delivered),
    COUNTER(interrupts_blocked),
    COUNTER(interrupts_forged),
    COUNTER(bindings),
    COUNTER(bindings_misused),
    COUNTER(contexts),
    COUNTER(spaces),
    COUNTER(mappings),
    COUNTER(claims),
    COUNTER(ats_enabled),
    COUNTER(attach_gaps),
    COUNTER(spaces_freed_in_use),
};

json_t *shape_counters(const struct sim_counters *counters)
{
    json_t *shape = json_object();

    for (size_t i = 0; i < sizeof(counter_specs) / sizeof(counter_specs[0]); i++) {
        uint64_t value;

        memcpy(&value, (const char *)counters + counter_specs[i].offset, sizeof(value));
        json_object_set_new(shape, counter_specs[i].name, json_integer((json_int_t)value));
    }
    return shape;
}
