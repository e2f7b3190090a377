/* SPDX-License-Identifier: MIT */
#include "tests/sweep/stage.h"

#include <linux/pci_regs.h>

#define MIB 0x100000u
#define PATIENCE_NS UINT64_C(3600000000000)

const struct sbdf stage_port = {0, 0, 0x08}, stage_dev = {0, 1, 0}, stage_bystander = {0, 9, 0},
                  stage_bridge = {0, 1, 0}, stage_legacy = {0, 2, 0x00}, stage_twin = {0, 1, 1},
                  stage_af = {0, 0, 0x80}, stage_pm = {0, 2, 0}, stage_host_reset = {0, 3, 0},
                  stage_resetless = {0, 0, 0x88};

struct stage stage;

/* Lists of the machine's configuration, none of which concerns a device that is there. */
static const struct sbdf stage_unused = {0, 0xff, 0};
static const struct berth_phantom_override stage_phantoms = {{0, 0xff, 1}, 1};
static const struct berth_register_rule stage_rules = {0xfffe, 0xfffe, 0x40, 4,
                                                       BERTH_REGISTER_READ};

struct sbdf stage_vf(unsigned index)
{
    return sbdf_from_key(sbdf_key(stage_dev) + 128 + 2 * index);
}

/* ---- the machines ---- */

static void rich(struct machine_builder *b)
{
    struct capture_function *f;
    unsigned rebar;

    mb_root_port(b, stage_port, 1, 1);
    f = mb_endpoint(b, stage_dev);
    mb_bar(f, 2, MB_BAR_PREFETCH64, 8 * MIB);
    mb_rom(f, 0x10000);
    mb_ats(f);
    mb_msi(f, 4);
    (void)mb_cap(f, PCI_CAP_ID_VPD);
    mb_put(f, PCI_INTERRUPT_PIN, 1, 1);
    mb_put(f, PCI_INTERRUPT_LINE, 1, 11);
    rebar = mb_ext_cap(f, PCI_EXT_CAP_ID_REBAR, 1); /* 4, 8 and 16 MiB */
    mb_put(f, rebar + PCI_REBAR_CAP, 4, 0x1c0);
    mb_put(f, rebar + PCI_REBAR_CTRL, 4, 2 | 1u << 5 | 3u << 8);
}

static void pf(struct machine_builder *b)
{
    mb_root_port(b, stage_port, 1, 1);
    mb_pf(b, stage_dev, 4, 128, 2);
}

static void legacy(struct machine_builder *b)
{
    mb_root_port(b, stage_port, 1, 2);
    mb_pcie_pci_bridge(b, stage_bridge, 2, 2);
    mb_pci_endpoint(b, stage_legacy);
}

static void phantom(struct machine_builder *b)
{
    mb_root_port(b, stage_port, 1, 1);
    mb_phantom(b, stage_dev, 2);
}

static void twins(struct machine_builder *b)
{
    mb_root_port(b, stage_port, 1, 1);
    mb_no_flr(mb_endpoint(b, stage_dev));
    mb_no_flr(mb_endpoint(b, stage_twin));
}

static void resets(struct machine_builder *b)
{
    struct capture_function *f;

    mb_af(mb_pci_endpoint(b, stage_af));
    mb_pci_endpoint(b, stage_resetless);
    mb_root_port(b, at(0, 2, 0), 2, 2);
    f = mb_endpoint(b, stage_pm);
    mb_no_flr(f);
    mb_pm_reset(f);
    mb_root_port(b, at(0, 3, 0), 3, 3);
    mb_no_flr(mb_endpoint(b, stage_host_reset));
}

static void (*const settings[SETTING_COUNT])(struct machine_builder *b) = {
    [SETTING_RICH] = rich,       [SETTING_PF] = pf,       [SETTING_LEGACY] = legacy,
    [SETTING_PHANTOM] = phantom, [SETTING_TWINS] = twins, [SETTING_RESETS] = resets,
};

#define FUNCTIONS_MAX 16

static struct machine_builder builders[SETTING_COUNT];

static struct machine_builder *builder_of(enum setting setting)
{
    struct machine_builder *b = &builders[setting];

    if (b->finished)
        return b;
    mb_init_sized(b, FUNCTIONS_MAX);
    mb_host_bridge(b, at(0, 0, 0));
    settings[setting](b);
    mb_root_port(b, at(0, 9, 0), 9, 9);
    mb_endpoint(b, stage_bystander);
    (void)mb_capture(b);
    return b;
}

void stage_end(void)
{
    for (unsigned i = 0; i < SETTING_COUNT; i++)
        if (builders[i].finished)
            mb_free(&builders[i]);
}

/* ---- up ---- */

static void record(void *context, const struct berth_event *event)
{
    struct rig *rig = context;
    unsigned i = atomic_fetch_add(&rig->event_count, 1);

    if (i < RIG_EVENTS)
        rig->events[i] = *event;
}

int stage_create(void)
{
    const struct setup *setup = &stage.setup;
    struct berth_machine_config config = {
        .event = record,
        .event_context = &stage.rig,
        .policy.reserved_relaxed = true,
        .policy.quarantine = setup->quarantine,
        .policy.vpd_writes = setup->vpd_writes,
        .hidden = &setup->subject,
        .hidden_count = setup->hidden,
        .read_only = &stage_unused,
        .read_only_count = 1,
        .phantoms = &stage_phantoms,
        .phantom_count = 1,
        .rules = &stage_rules,
        .rule_count = 1,
    };
    int error;

    seam_configure(&config);
    error = berth_machine_create(&config, &stage.rig.machine);
    seam.machine = stage.rig.machine;
    return error;
}

static int add_one(void *context, struct sbdf sbdf)
{
    return rig_add(context, sbdf);
}

static void make_guest(const struct setup *setup)
{
    const struct berth_view_config view = {
        .ops = &seam_view_ops, .port_count = (uint8_t)setup->ports, .piece_size = 2 * MIB};

    assert_int_equal(
        berth_domain_create(stage.rig.machine, "vm1", &seam_domain_ops, NULL, &stage.guest), 0);
    assert_int_equal(berth_domain_set_view(stage.guest, &view), 0);
}

void stage_up(const struct setup *setup)
{
    const struct berth_reserved region = {.start = 0x1000, .length = 0x2000, .writable = 1};
    struct rig *rig = &stage.rig;
    struct capture_error error;

    rig->builder = *builder_of(setup->setting);
    atomic_store(&rig->event_count, 0);
    assert_int_equal(sim_create(&rig->builder.capture, NULL, &rig->sim, &error), 0);
    if (setup->setting == SETTING_RESETS)
        assert_int_equal(sim_set_host_reset(rig->sim, stage_host_reset, true, 1000), 0);
    assert_int_equal(sim_set_reserved(rig->sim, setup->subject, &region, 1), 0);
    sim_counters(rig->sim, &rig->empty);
    seam_begin(rig->sim, setup->subject);
    stage.guest = NULL;
    stage.held = NULL;
    stage.vcpu = (struct berth_vcpu){.dev = NULL};
    stage.seen = rig_nowhere;
    stage.is_up = true;
    stage.setup = *setup;
    rig->machine = NULL;
    if (setup->empty)
        return;
    assert_int_equal(stage_create(), 0);
    assert_int_equal(sim_enumerate(rig->sim, add_one, rig), 0);
    make_guest(setup);
}

/* ---- down ---- */

static void expect(const char *what, uint64_t found, uint64_t expected)
{
    if (found != expected)
        complain("%s: %llu, not %llu", what, (unsigned long long)found,
                 (unsigned long long)expected);
}

static void end_guest(void)
{
    struct berth_request request = {.timeout_ns = PATIENCE_NS, .why = &stage.rig.why};
    char text[256];
    int error;

    berth_vcpu_stop(&stage.vcpu);
    if (!stage.guest)
        return;
    error = berth_domain_destroy(stage.guest, &request);
    if (error) {
        berth_refusal_text(&stage.rig.why, text, sizeof(text));
        complain("the guest can't be destroyed: %d, %s", error, text);
    }
    berth_domain_put(stage.guest);
}

static void expect_untouched(const struct sim_counters *now)
{
    expect("touches after release", now->touches_after_release, 0);
    if (!rig_count_events(&stage.rig,
                          BERTH_EVENT_BROKEN)) /* what hangs in its reset is contained */
        expect("touches while resetting", now->touches_resetting, 0);
    expect("touches with decode off", now->bar_decode_off, 0);
    expect("bindings misused", now->bindings_misused, 0);
    expect("spaces freed in use", now->spaces_freed_in_use, 0);
    expect("misuse", rig_count_events(&stage.rig, BERTH_EVENT_MISUSE), 0);
}

void stage_down(void)
{
    const struct sim_counters *empty = &stage.rig.empty;
    struct sim_counters now;

    if (!stage.is_up)
        return;
    stage.is_up = false;
    (void)seam_quiet();
    end_guest();
    if (stage.held)
        pcidev_handle_close(stage.held);
    expect("leaks", berth_machine_destroy(stage.rig.machine), 0);
    memory_settle();
    sim_counters(stage.rig.sim, &now);
    expect_untouched(&now);
    expect("claims at the end", now.claims, empty->claims);
    expect("contexts at the end", now.contexts, empty->contexts);
    expect("spaces at the end", now.spaces, empty->spaces);
    expect("mappings at the end", now.mappings, empty->mappings);
    expect("bindings at the end", now.bindings, empty->bindings);
    expect("pieces at the end", seam.books.piece_count, 0);
    expect("blocks of memory at the end", (uint64_t)memory_live(), 0);
    sim_destroy(stage.rig.sim);
}

void stage_abandon(void)
{
    struct sim_counters now;

    stage.is_up = false;
    memory_settle();
    sim_counters(stage.rig.sim, &now);
    expect_untouched(&now);
    memory_forget();
    sim_destroy(stage.rig.sim);
}

/* ---- guests ---- */

uint64_t guest_get(unsigned reg, unsigned length)
{
    return berth_domain_config_read(stage.guest, stage.seen, reg, length);
}

int guest_put(unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(stage.guest, stage.seen, reg, length, value);
    return 0;
}

int guest_mmio_put(uint64_t address, unsigned length, uint64_t value)
{
    return berth_domain_mmio_write(stage.guest, address, length, value);
}

unsigned guest_cap(unsigned id)
{
    unsigned at = (unsigned)guest_get(PCI_CAPABILITY_LIST, 1);

    while (at && guest_get(at, 1) != id)
        at = (unsigned)guest_get(at + 1, 1);
    assert_int_not_equal(at, 0);
    return at;
}

unsigned guest_ext_cap(unsigned id)
{
    unsigned at = 0x100;

    while (at && (guest_get(at, 4) & 0xffff) != id)
        at = (unsigned)guest_get(at, 4) >> 20;
    assert_int_not_equal(at, 0);
    return at;
}

void stage_lend(struct sbdf host)
{
    assert_int_equal(rig_assign(&stage.rig, host, stage.guest), 0);
    stage.seen = rig_seen(&stage.rig, host);
}

void stage_drive(void)
{
    stage_lend(seam.subject);
    (void)guest_put(BAR(0), 8, BAR0_AT);
    (void)guest_put(BAR(2), 8, BAR2_AT);
    (void)guest_put(COMMAND, 2, COMMAND_WORKS);
    for (unsigned i = 0; i < VECTORS; i++) {
        assert_int_equal(guest_mmio_put(MSIX_TABLE + 16 * i, 8, 0xfee00000), 0);
        assert_int_equal(guest_mmio_put(MSIX_TABLE + 16 * i + 8, 8, 0x40 + i), 0);
    }
    (void)guest_put(guest_cap(PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS, 2, MSIX_ENABLE);
    assert_true(seam.books.binding_count >= VECTORS);
}
