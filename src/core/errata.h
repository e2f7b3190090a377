/* SPDX-License-Identifier: MIT */
/* Devices that are not what their config space says (M07). */
#ifndef CORE_ERRATA_H
#define CORE_ERRATA_H

#include <stdint.h>

/** The PCIDEV_ERRATUM_* bits of a device. */
uint32_t errata_find(uint16_t vendor, uint16_t device);

#endif
