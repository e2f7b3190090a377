/* SPDX-License-Identifier: MIT */
#include <berth/irq.h>

static const char *const kind_names[] = {
    [BERTH_IRQ_INTX] = "intx",
    [BERTH_IRQ_MSI] = "msi",
    [BERTH_IRQ_MSIX] = "msix",
};

const char *berth_irq_kind_name(enum berth_irq_kind kind)
{
    return (unsigned)kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind]
                                                                       : "unknown";
}
