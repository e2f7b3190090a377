/* SPDX-License-Identifier: MIT */
#include "tests/unit/ports.h"

#include <string.h>

struct ports ports;

/* ---- the VMM ---- */

static void inject(void *context, struct pcidev *dev, unsigned vector,
                   const struct berth_message *message)
{
    assert_ptr_equal(context, &ports);
    assert_null(dev);
    assert_int_equal(vector, 0);
    ports.messages++;
    ports.message = *message;
}

static void intx(void *context, struct sbdf at, unsigned pin, bool asserted)
{
    assert_ptr_equal(context, &ports);
    assert_int_not_equal(ports.level, asserted);
    ports.changes++;
    ports.at = at;
    ports.pin = pin;
    ports.level = asserted;
}

static const struct berth_view_ops ops = {.inject = inject, .intx = intx};

/* ---- machine and guest ---- */

static void apart(struct berth_machine_config *config)
{
    config->policy.shared_groups = true;
    config->policy.shared_pages = true;
}

void ports_up(void)
{
    rig_up(&ports.rig, apart);
    ports.guest = rig_guest(&ports.rig, "vm1");
    memset(&ports.config, 0, sizeof(ports.config));
    ports.messages = ports.changes = 0;
    ports.level = false;
}

void ports_down(void)
{
    rig_destroy_guest(&ports.rig, ports.guest);
    rig_down(&ports.rig);
}

int ports_setup(void **state)
{
    (void)state;
    rig_begin(&ports.rig);
    rig_standard(&ports.rig);
    ports_up();
    return 0;
}

int ports_teardown(void **state)
{
    (void)state;
    ports_down();
    return 0;
}

void ports_view(unsigned count)
{
    ports.config.ops = &ops;
    ports.config.context = &ports;
    ports.config.port_count = (uint8_t)count;
    assert_int_equal(berth_domain_set_view(ports.guest, &ports.config), 0);
}

void lend(struct sbdf host)
{
    assert_int_equal(rig_assign(&ports.rig, host, ports.guest), 0);
}

/* ---- what the guest does ---- */

uint32_t get(struct sbdf where, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(ports.guest, where, reg, length);
}

void put(struct sbdf where, unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(ports.guest, where, reg, length, value);
}

bool is_there(struct sbdf where)
{
    return get(where, 0, 4) != UINT32_MAX;
}

struct sbdf port_at(unsigned index)
{
    return at(0, index + 1, 0);
}

unsigned slot_status(unsigned index)
{
    return get(port_at(index), PORT_SLOT_STATUS, 2);
}

void renumber(unsigned index, unsigned number)
{
    put(port_at(index), PORT_SECONDARY, 1, number);
    assert_int_equal(get(port_at(index), PORT_SECONDARY, 1), number);
}
