/* SPDX-License-Identifier: MIT */
#include "src/core/errata.h"

#include <berth/pcidev.h>

/*
 * Known from the vendors' specification updates and from what operating systems had to learn.
 * To add one: a line here, a bit in pcidev.h when it is a new kind, and the place that acts upon
 * it.
 */
static const struct erratum {
    uint16_t vendor, device;
    uint32_t bits;
} errata[] = {
    /* Xeon E5 v4 and Skylake-SP uncore functions with other registers where BARs belong */
    {0x8086, 0x6f60, PCIDEV_ERRATUM_JUNK_BARS},
    {0x8086, 0x6fa0, PCIDEV_ERRATUM_JUNK_BARS},
    {0x8086, 0x6fc0, PCIDEV_ERRATUM_JUNK_BARS},
    {0x8086, 0xa1ec, PCIDEV_ERRATUM_JUNK_BARS},
    {0x8086, 0xa1ed, PCIDEV_ERRATUM_JUNK_BARS},
    /* FLR is advertised, and the function or its whole package hangs after it */
    {0x1022, 0x1487, PCIDEV_ERRATUM_NO_FLR}, /* Starship HD audio */
    {0x1022, 0x148c, PCIDEV_ERRATUM_NO_FLR}, /* Starship USB 3.0 */
    {0x1022, 0x149c, PCIDEV_ERRATUM_NO_FLR}, /* Matisse USB 3.0 */
    {0x1022, 0x7901, PCIDEV_ERRATUM_NO_FLR}, /* FCH SATA */
    {0x8086, 0x1502, PCIDEV_ERRATUM_NO_FLR}, /* 82579LM */
    {0x8086, 0x1503, PCIDEV_ERRATUM_NO_FLR}, /* 82579V */
    /* PMCSR says that D3hot resets the function, and it does not */
    {0x1002, 0x67df, PCIDEV_ERRATUM_NO_PM_RESET}, /* Polaris 10 */
    {0x1002, 0x687f, PCIDEV_ERRATUM_NO_PM_RESET}, /* Vega 10 */
    /* invalidations of the device TLB get lost */
    {0x1002, 0x98e4, PCIDEV_ERRATUM_NO_ATS}, /* Stoney */
    {0x1002, 0x7310, PCIDEV_ERRATUM_NO_ATS}, /* Navi 10 */
    {0x1002, 0x7340, PCIDEV_ERRATUM_NO_ATS}, /* Navi 14 */
    /* SATA bridges whose requests carry function 1 */
    {0x1b4b, 0x9120, PCIDEV_ERRATUM_DMA_FN1},
    {0x1b4b, 0x9123, PCIDEV_ERRATUM_DMA_FN1},
    {0x1b4b, 0x9128, PCIDEV_ERRATUM_DMA_FN1},
    {0x1b4b, 0x9130, PCIDEV_ERRATUM_DMA_FN1},
    {0x1b4b, 0x9172, PCIDEV_ERRATUM_DMA_FN1},
    {0x1b4b, 0x9230, PCIDEV_ERRATUM_DMA_FN1},
    /* Ricoh multi-function card readers whose requests carry function 0 */
    {0x1180, 0xe822, PCIDEV_ERRATUM_DMA_FN0},
    {0x1180, 0xe832, PCIDEV_ERRATUM_DMA_FN0},
    {0x1180, 0xe476, PCIDEV_ERRATUM_DMA_FN0},
};

uint32_t errata_find(uint16_t vendor, uint16_t device)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < sizeof(errata) / sizeof(errata[0]); i++)
        if (errata[i].vendor == vendor && errata[i].device == device)
            bits |= errata[i].bits;
    return bits;
}
