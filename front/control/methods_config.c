/* SPDX-License-Identifier: MIT */
/*
 * Config space as people want to see it: single registers, and all of it, of the host or as a guest
 * sees it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <berth/domain.h>
#include <berth/pcidev.h>

#include "front/control/methods.h"
#include "front/control/place.h"
#include "front/control/shapes.h"

/* ---- where ---- */

/* Sets the place that is asked for; place_done() when it is done with. */
static int place_ask(struct call *call, struct place *place)
{
    const char *name = call->arguments.domain;
    int error;

    *place = (struct place){.machine = call->service->machine, .at = call->arguments.device};
    if (!name)
        return 0;
    error = call_domain(call, name, &place->guest);
    if (error || berth_domain_kind(place->guest) == BERTH_DOMAIN_GUEST)
        return error;
    berth_domain_put(place->guest);
    return call_failed(call, -EINVAL, "bad-argument",
                       "%s is no guest: without one the host's devices are shown", name);
}

static void place_done(struct place *place)
{
    berth_domain_put(place->guest);
}

/* ---- single registers ---- */

static json_t *registers_read(const struct place *place, const struct argument_register *reg,
                              unsigned count)
{
    json_t *values = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(values,
                              shape_hex(place_read(place, reg->at + i * reg->width, reg->width),
                                        (int)reg->width * 2));
    return values;
}

int method_config_read(struct call *call)
{
    const struct argument_register *reg = &call->arguments.reg;
    const unsigned count =
        call->arguments.given & PARAMETER_REGISTERS ? call->arguments.registers : 1;
    struct place place;
    json_t *shape;
    int error;

    if (reg->at + count * reg->width > PLACE_CONFIG_SIZE)
        return call_failed(call, -EINVAL, "bad-argument",
                           "%u registers of %u bytes from 0x%x on pass the end of config space, "
                           "which has %u bytes",
                           count, reg->width, reg->at, PLACE_CONFIG_SIZE);
    error = place_ask(call, &place);
    if (error)
        return error;
    shape = json_pack("{s:o, s:s?, s:o, s:i, s:o}", "device", shape_sbdf(place.at), "domain",
                      call->arguments.domain, "reg", shape_hex(reg->at, 3), "width",
                      (int)reg->width, "values", registers_read(&place, reg, count));
    place_done(&place);
    return call_done(call, shape);
}

int method_config_write(struct call *call)
{
    const struct argument_register *reg = &call->arguments.reg;
    const uint64_t value = call->arguments.value;
    struct place place;
    json_t *shape;
    int error;

    if (value > place_ones(reg->width))
        return call_failed(call, -EINVAL, "bad-argument",
                           "0x%" PRIx64 " does not fit into a register of %u byte%s", value,
                           reg->width, reg->width > 1 ? "s" : "");
    error = place_ask(call, &place);
    if (error)
        return error;
    place_write(&place, reg->at, reg->width, value);
    shape =
        json_pack("{s:o, s:s?, s:o, s:i, s:o}", "device", shape_sbdf(place.at), "domain",
                  call->arguments.domain, "reg", shape_hex(reg->at, 3), "width", (int)reg->width,
                  "value", shape_hex(place_read(&place, reg->at, reg->width), (int)reg->width * 2));
    place_done(&place);
    return call_done(call, shape);
}

/* ---- all of it ---- */

#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define CLASS_REVISION 0x08
#define BASE_CLASS 0x0b
#define DUMP_PAGE 32u /* functions: a quarter of what a client may leave unread */

static void bytes_read(const struct place *place, uint8_t *bytes, unsigned size)
{
    for (unsigned reg = 0; reg < size; reg += 8) {
        uint64_t value = place_read(place, reg, 8);

        for (unsigned i = 0; i < 8; i++)
            bytes[reg + i] = (uint8_t)(value >> 8 * i);
    }
}

static json_t *bytes_shape(const uint8_t *bytes, unsigned size)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * PLACE_CONFIG_SIZE + 1];

    for (unsigned i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
    return json_string(text);
}

static uint16_t word_at(const uint8_t *bytes, unsigned reg)
{
    return (uint16_t)(bytes[reg] | bytes[reg + 1] << 8);
}

struct ids {
    uint16_t vendor, device;
};

/* VFs of the host read all ones where others have their ids (SR-IOV 1.1, 3.4.1.1). */
static struct ids ids_of(const struct place *place, const uint8_t *bytes)
{
    struct ids ids = {word_at(bytes, VENDOR_ID), word_at(bytes, DEVICE_ID)};
    struct pcidev_ref ref PCIDEV_REF = {NULL, call_tag};
    struct pcidev_info info;

    if (ids.vendor != 0xffff || place->guest)
        return ids;
    ref.dev = pcidev_find(place->machine, place->at, call_tag);
    if (!ref.dev)
        return ids;
    pcidev_snapshot(ref.dev, &info);
    return (struct ids){info.vendor, info.device};
}

static bool is_gone(const struct place *place)
{
    return place_read(place, CLASS_REVISION, 4) == UINT32_MAX;
}

/* One function, or NULL: nothing answers there, or not any more. */
static json_t *function_dump(struct call *call, const struct place *place)
{
    const unsigned size = place_size(place);
    const char *vendor, *device;
    uint8_t bytes[PLACE_CONFIG_SIZE];
    uint32_t class_code;
    struct ids ids;

    bytes_read(place, bytes, size);
    if (is_gone(place))
        return NULL;
    ids = ids_of(place, bytes);
    names_find(&call->service->names, ids.vendor, ids.device, &vendor, &device);
    class_code = (uint32_t)bytes[BASE_CLASS] << 16 | word_at(bytes, CLASS_REVISION + 1);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:s?, s:s?, s:o}", "sbdf",
                     shape_sbdf(place->at), "class", shape_hex(class_code, 6), "vendor",
                     shape_hex(ids.vendor, 4), "device", shape_hex(ids.device, 4), "revision",
                     shape_hex(bytes[CLASS_REVISION], 2), "class_name", class_name(class_code),
                     "vendor_name", vendor, "device_name", device, "config",
                     bytes_shape(bytes, size));
}

/* Steps to the next address behind @at that may answer. False: there is none. */
static bool guest_step(const struct place *place, struct sbdf *at)
{
    for (uint32_t key = sbdf_key(*at) + 1; key <= 0xffff; key++) {
        *at = sbdf_from_key(key);
        if (berth_domain_answers(place->guest, *at))
            return true;
    }
    return false;
}

static bool host_step(const struct place *place, struct sbdf *at, bool first)
{
    struct pcidev *dev = pcidev_next(place->machine, first ? NULL : at, call_tag);

    if (dev)
        *at = pcidev_sbdf(dev);
    pcidev_put(dev, call_tag);
    return dev != NULL;
}

/* Our guests are in segment 0, and the first address of it is a host bridge's, or free. */
static bool dump_first(const struct place *place, struct sbdf *at)
{
    *at = sbdf_make(0, 0, 0, 0);
    if (!place->guest)
        return host_step(place, at, true);
    return berth_domain_answers(place->guest, *at) || guest_step(place, at);
}

static bool dump_step(const struct place *place, struct sbdf *at)
{
    return place->guest ? guest_step(place, at) : host_step(place, at, false);
}

static int dump_page(struct call *call, struct place *place)
{
    const struct arguments *a = &call->arguments;
    const unsigned limit = a->limit < DUMP_PAGE ? a->limit : DUMP_PAGE;
    struct sbdf last = a->after;
    json_t *list = json_array();
    bool more;

    place->at = a->after;
    more =
        a->given & PARAMETER_AFTER ? dump_step(place, &place->at) : dump_first(place, &place->at);
    for (unsigned n = 0; more && n < limit; n++) {
        json_t *function = function_dump(call, place);

        if (function)
            json_array_append_new(list, function);
        last = place->at;
        more = dump_step(place, &place->at);
    }
    return call_done(
        call, json_pack("{s:o, s:o?}", "functions", list, "next", more ? shape_sbdf(last) : NULL));
}

static int dump_one(struct call *call, const struct place *place)
{
    char text[SBDF_TEXT_SIZE];
    json_t *function = function_dump(call, place);

    if (!function)
        return call_failed(call, -ENODEV, "nothing-there", "nothing answers at %s%s%s",
                           sbdf_format(place->at, text), place->guest ? " in " : "",
                           place->guest ? call->arguments.domain : "");
    return call_done(call, json_pack("{s:[o], s:n}", "functions", function, "next"));
}

int method_dump(struct call *call)
{
    struct place place;
    int error = place_ask(call, &place);

    if (error)
        return error;
    error =
        call->arguments.given & PARAMETER_DEVICE ? dump_one(call, &place) : dump_page(call, &place);
    place_done(&place);
    return error;
}
