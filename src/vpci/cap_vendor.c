/* SPDX-License-Identifier: MIT */
/*
 * Vendor-specific capabilities (PCI 3.0, 6.7 and appendix H): a guest reads what the hardware says
 * and writes nothing, but for what a rule says. What the bytes mean is the vendor's secret: the
 * limits of that are written down in docs/vpci.md (O3).
 */
#include "src/vpci/caps.h"

#define VENDOR_LENGTH 0x02
#define VENDOR_DATA 0x03

static const struct berth_register length_register = {.size = 1, .ro = 0xff};

/* Its own length, cut where another capability begins or the room ends (K13). */
static int vendor_init(struct vpci *v, unsigned cap, unsigned at) REQUIRES(v->lock)
{
    unsigned room = vpci_cap_room(v, at);
    uint32_t length;
    int error = seam_read(v->dev, at + VENDOR_LENGTH, 1, &length);

    if (error)
        return error;
    if (length <= VENDOR_LENGTH)
        return -EINVAL;
    if (length > room - at)
        length = room - at;
    error = vpci_add(v, cap, at + VENDOR_LENGTH, &length_register, length);
    if (!error)
        error = vpci_add_passing(v, cap, at + VENDOR_DATA, at + length, BERTH_REGISTER_READ);
    return error;
}

const struct vpci_cap vpci_cap_vendor = {
    .name = "vendor-specific capability",
    .id = 0x09,
    .length = VENDOR_DATA,
    .init = vendor_init,
};
