/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "front/control/methods.h"

#define ASKING (PARAMETER_AS | PARAMETER_TIMEOUT)

static const struct method methods[] = {
    {"device.list", method_device_list, 0, PARAMETER_AFTER | PARAMETER_LIMIT, false},
    {"device.show", method_device_show, PARAMETER_DEVICE, 0, false},
    {"device.explain", method_device_explain, PARAMETER_DEVICE, PARAMETER_DOMAIN | ASKING, true},
    {"device.refs", method_device_refs, PARAMETER_DEVICE, 0, false},
    {"device.add", method_device_add, PARAMETER_DEVICE, PARAMETER_PF | ASKING, true},
    {"device.readd", method_device_readd, PARAMETER_DEVICE, ASKING, true},
    {"device.remove", method_device_remove, PARAMETER_DEVICE, PARAMETER_MODE | ASKING, true},
    {"device.assign", method_device_assign, PARAMETER_DEVICE | PARAMETER_DOMAIN,
     PARAMETER_GROUP | PARAMETER_TEST | PARAMETER_AT | ASKING, true},
    {"device.deassign", method_device_deassign, PARAMETER_DEVICE, PARAMETER_DOMAIN | ASKING, true},
    {"device.quarantine", method_device_quarantine, PARAMETER_DEVICE, ASKING, true},
    {"device.release", method_device_release, PARAMETER_DEVICE, ASKING, true},
    {"device.reset", method_device_reset, PARAMETER_DEVICE, ASKING, true},
    {"device.sriov", method_device_sriov, PARAMETER_DEVICE | PARAMETER_VFS, ASKING, true},
    {"device.hold", method_device_hold, PARAMETER_DEVICE, 0, false},
    {"device.unhold", method_device_unhold, PARAMETER_DEVICE, 0, false},

    {"domain.create", method_domain_create, PARAMETER_DOMAIN, PARAMETER_PORTS | PARAMETER_BUSES,
     true},
    {"domain.destroy", method_domain_destroy, PARAMETER_DOMAIN, ASKING, true},
    {"domain.list", method_domain_list, 0, PARAMETER_AFTER_ID | PARAMETER_LIMIT, false},

    {"config.read", method_config_read, PARAMETER_DEVICE | PARAMETER_REG,
     PARAMETER_DOMAIN | PARAMETER_REGISTERS, true},
    {"config.write", method_config_write, PARAMETER_DEVICE | PARAMETER_REG | PARAMETER_VALUE,
     PARAMETER_DOMAIN, true},
    {"dump", method_dump, 0,
     PARAMETER_DEVICE | PARAMETER_DOMAIN | PARAMETER_AFTER | PARAMETER_LIMIT, true},

    {"sim.pull", method_sim_pull, PARAMETER_DEVICE, 0, true},
    {"sim.return", method_sim_return, PARAMETER_DEVICE, 0, true},
    {"sim.vanish_after", method_sim_vanish_after, PARAMETER_DEVICE | PARAMETER_NTH, 0, true},
    {"sim.master", method_sim_master, PARAMETER_DEVICE, PARAMETER_ON, true},
    {"sim.hang_reset", method_sim_hang_reset, PARAMETER_DEVICE, PARAMETER_ON, true},
    {"sim.fail", method_sim_fail, PARAMETER_OP | PARAMETER_NTH, PARAMETER_COUNT | PARAMETER_ERROR,
     true},
    {"sim.dma", method_sim_dma, PARAMETER_DEVICE | PARAMETER_ADDRESS, PARAMETER_VALUE, true},
    {"sim.irq", method_sim_irq, PARAMETER_DEVICE, PARAMETER_VECTOR | PARAMETER_ON, true},
    {"sim.bar", method_sim_bar, PARAMETER_DEVICE | PARAMETER_BAR | PARAMETER_OFFSET,
     PARAMETER_VALUE, true},
    {"sim.error", method_sim_error, PARAMETER_DEVICE | PARAMETER_KIND, 0, true},
    {"sim.counters", method_sim_counters, 0, PARAMETER_DEVICE, true},
};

const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!strcmp(methods[i].name, name))
            return &methods[i];
    }
    return NULL;
}
