/* SPDX-License-Identifier: MIT */
#include "front/control/place.h"

#include <berth/pcidev.h>

#define STATUS 0x06
#define STATUS_CAP_LIST 0x10u
#define HEADER_TYPE 0x0e
#define HEADER_CARDBUS 2u
#define CAP_POINTER 0x34
#define CAP_POINTER_CARDBUS 0x14
#define CAP_FIRST 0x40u
#define CAPS_MAX 48 /* as many as there is room for, so that loops end */
#define CAP_PCIE 0x10u
#define BASIC_SIZE 256u

static const char tag_place[] = "control";

uint64_t place_ones(unsigned length)
{
    return length >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * length) - 1;
}

/* ---- past the owner: inside a section, by what a host takes ---- */

static unsigned aligned_length(unsigned reg, unsigned length)
{
    if (length >= 4 && reg % 4 == 0)
        return 4;
    return length >= 2 && reg % 2 == 0 ? 2 : 1;
}

static uint64_t section_read(struct pcidev *dev, unsigned reg, unsigned length)
{
    struct pcidev_section section PCIDEV_SECTION = {0};
    uint64_t value = 0;

    if (!pcidev_enter(dev, tag_place, &section))
        return place_ones(length);
    for (unsigned done = 0, step; done < length; done += step) {
        uint32_t bits;

        step = aligned_length(reg + done, length - done);
        if (pcidev_config_read(dev, reg + done, step, &bits))
            bits = (uint32_t)place_ones(step);
        value |= (uint64_t)bits << 8 * done;
    }
    return value;
}

static void section_write(struct pcidev *dev, unsigned reg, unsigned length, uint64_t value)
{
    struct pcidev_section section PCIDEV_SECTION = {0};

    if (!pcidev_enter(dev, tag_place, &section))
        return;
    for (unsigned done = 0, step; done < length; done += step) {
        step = aligned_length(reg + done, length - done);
        (void)pcidev_config_write(dev, reg + done, step,
                                  (uint32_t)(value >> 8 * done & place_ones(step)));
    }
}

/* The device of the host that is there and does not belong to the hardware domain, or NULL. */
static struct pcidev *lent_device(const struct place *place)
{
    struct pcidev *dev = pcidev_find(place->machine, place->at, tag_place);
    struct pcidev_info info;

    if (!dev)
        return NULL;
    pcidev_snapshot(dev, &info);
    if (info.owner_kind != BERTH_DOMAIN_HWDOM)
        return dev;
    pcidev_put(dev, tag_place);
    return NULL;
}

/* ---- accesses ---- */

static struct berth_domain *place_owner(const struct place *place)
{
    return place->guest ? place->guest : berth_machine_hwdom(place->machine);
}

uint64_t place_read(const struct place *place, unsigned reg, unsigned length)
{
    struct pcidev_ref ref PCIDEV_REF = {place->guest ? NULL : lent_device(place), tag_place};

    return ref.dev ? section_read(ref.dev, reg, length)
                   : berth_domain_config_read(place_owner(place), place->at, reg, length);
}

void place_write(const struct place *place, unsigned reg, unsigned length, uint64_t value)
{
    struct pcidev_ref ref PCIDEV_REF = {place->guest ? NULL : lent_device(place), tag_place};

    if (ref.dev)
        section_write(ref.dev, reg, length, value);
    else
        berth_domain_config_write(place_owner(place), place->at, reg, length, value);
}

/* ---- what is in it ---- */

static unsigned first_capability(const struct place *place)
{
    unsigned type = place_read(place, HEADER_TYPE, 1) & 0x7f;

    if (!(place_read(place, STATUS, 2) & STATUS_CAP_LIST))
        return 0;
    return (unsigned)place_read(place, type == HEADER_CARDBUS ? CAP_POINTER_CARDBUS : CAP_POINTER,
                                1);
}

unsigned place_capability(const struct place *place, unsigned id)
{
    unsigned at = first_capability(place) & ~3u;

    for (unsigned i = 0; i < CAPS_MAX && at >= CAP_FIRST; i++) {
        uint64_t header = place_read(place, at, 2);

        if (header == 0xffff)
            return 0;
        if ((header & 0xff) == id)
            return at;
        at = (unsigned)(header >> 8) & ~3u;
    }
    return 0;
}

unsigned place_size(const struct place *place)
{
    if (place_capability(place, CAP_PCIE))
        return PLACE_CONFIG_SIZE;
    for (unsigned reg = BASIC_SIZE; reg < PLACE_CONFIG_SIZE; reg += 8) {
        uint64_t value = place_read(place, reg, 8);

        if (value && value != UINT64_MAX)
            return PLACE_CONFIG_SIZE;
    }
    return BASIC_SIZE;
}
