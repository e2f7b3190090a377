/* SPDX-License-Identifier: MIT */
/* Config space for those who have a section open. Guests have a view instead (src/vpci/). */
#include "src/core/seam.h"

static bool access_is_fine(unsigned reg, unsigned length)
{
    return (length == 1 || length == 2 || length == 4) && reg < 4096 && (reg & (length - 1)) == 0;
}

static uint32_t ones(unsigned length)
{
    return length >= 4 ? 0xffffffffu : (1u << 8 * length) - 1;
}

int pcidev_config_read(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value)
{
    if (!access_is_fine(reg, length))
        return -EINVAL;
    *value = ones(length);
    return reg < dev->traits.config_size ? seam_read(dev, reg, length, value) : 0;
}

int pcidev_config_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value)
{
    if (!access_is_fine(reg, length))
        return -EINVAL;
    if (dev->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return -EPERM;
    return reg < dev->traits.config_size ? seam_write(dev, reg, length, value) : 0;
}
