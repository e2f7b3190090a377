/* SPDX-License-Identifier: MIT */
#include "src/core/probe.h"

#include "src/core/errata.h"
#include "src/core/rebar.h"
#include "src/core/seam.h"
#include "src/core/topology.h"

#define CONFIG_SIZE 256u
#define CONFIG_SIZE_EXTENDED 4096u
/* Every capability takes at least four bytes: a longer list has a loop (K13). */
#define CAP_LIST_MAX ((CONFIG_SIZE - 0x40) / 4)
#define EXT_CAP_LIST_MAX ((CONFIG_SIZE_EXTENDED - CONFIG_SIZE) / 8)

static const struct known_cap {
    uint16_t id;
    uint8_t cap;
    uint8_t length; /* a capability that does not fit into config space is none */
} known_caps[] =
    {
        {0x01, CAP_PM, 8},    {0x05, CAP_MSI, 10},  {0x07, CAP_PCIX, 8},
        {0x10, CAP_PCIE, 20}, {0x11, CAP_MSIX, 12}, {0x13, CAP_AF, 6},
},
  known_ext_caps[] = {
      {0x0001, CAP_AER, 0x2c}, {0x000d, CAP_ACS, 8},      {0x000e, CAP_ARI, 8},
      {0x000f, CAP_ATS, 8},    {0x0010, CAP_SRIOV, 0x40}, {0x0015, CAP_REBAR, 12},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void latch(struct pcidev_traits *traits, const struct known_cap *table, unsigned count,
                  unsigned id, unsigned offset)
{
    for (unsigned i = 0; i < count; i++)
        if (table[i].id == id && !traits->cap[table[i].cap] &&
            offset + table[i].length <= traits->config_size)
            traits->cap[table[i].cap] = (uint16_t)offset;
}

static int probe_caps(struct pcidev *dev, struct pcidev_traits *traits)
{
    unsigned pointer = traits->header_type == 2 ? PCI_CARDBUS_CAPABILITY_LIST : PCI_CAPABILITY_LIST;
    uint32_t status, at, header;
    int error = seam_read(dev, PCI_STATUS, 2, &status);

    if (error || !(status & PCI_STATUS_CAP_LIST))
        return error;
    error = seam_read(dev, pointer, 1, &at);
    for (unsigned i = 0; i < CAP_LIST_MAX && !error; i++) {
        at &= 0xfcu;
        if (at < 0x40)
            break;
        error = seam_read(dev, at, 2, &header);
        if (!error && (header & 0xff) == 0xff)
            break;
        if (!error)
            latch(traits, known_caps, COUNT(known_caps), header & 0xff, at);
        at = header >> 8;
    }
    return error;
}

static int probe_ext_caps(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t at = CONFIG_SIZE, header;
    int error = 0;

    for (unsigned i = 0; i < EXT_CAP_LIST_MAX && !error && at >= CONFIG_SIZE; i++) {
        error = seam_read(dev, at, 4, &header);
        if (error || !header || header == 0xffffffffu)
            break;
        latch(traits, known_ext_caps, COUNT(known_ext_caps), header & 0xffff, at);
        at = header >> 20 & 0xffcu;
    }
    return error;
}

/* Some bridges ignore the high address bits: then every 256 bytes look like the first ones (M06).
 */
static int probe_aliasing(struct pcidev *dev, bool *aliased)
{
    uint32_t header, value;
    int error = seam_read(dev, PCI_VENDOR_ID, 4, &header);

    *aliased = true;
    for (unsigned at = CONFIG_SIZE; at < CONFIG_SIZE_EXTENDED && *aliased && !error;
         at += CONFIG_SIZE) {
        error = seam_read(dev, at, 4, &value);
        *aliased = value == header;
    }
    return error;
}

/* PCIe functions and PCI-X 2.0 devices in the faster modes have extended config space. */
static int probe_config_size(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t value = 0;
    int error = 0;

    traits->config_size = CONFIG_SIZE;
    if (traits->cap[CAP_PCIX] && !traits->cap[CAP_PCIE]) {
        error = seam_read(dev, traits->cap[CAP_PCIX] + PCI_PCIX_STATUS, 4, &value);
        if (error || !(value & PCI_PCIX_STATUS_266_533))
            return error;
    } else if (!traits->cap[CAP_PCIE]) {
        return 0;
    }
    error = seam_read(dev, CONFIG_SIZE, 4, &value);
    if (error || value == 0xffffffffu)
        return error;
    error = probe_aliasing(dev, &traits->ext_aliased);
    if (!error && !traits->ext_aliased)
        traits->config_size = CONFIG_SIZE_EXTENDED;
    return error;
}

/* ---- type ---- */

static const uint8_t port_types[16] = {
    /* PCIe 7.5.3.2; what is reserved counts as an endpoint, so that it gets a context (F15) */
    [0x4] = PCIDEV_PCIE_BRIDGE, [0x5] = PCIDEV_PCIE_BRIDGE, [0x6] = PCIDEV_PCIE_BRIDGE,
    [0x7] = PCIDEV_PCIE_TO_PCI, [0x8] = PCIDEV_PCI_TO_PCIE, [0xa] = PCIDEV_EVENT_COLLECTOR,
};

static int probe_type(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t flags;
    int error;

    if (traits->class_code >> 8 == 0x0600) {
        traits->type = PCIDEV_HOST_BRIDGE;
        return 0;
    }
    if (!traits->cap[CAP_PCIE]) {
        static const uint8_t by_header[3] = {PCIDEV_PCI_ENDPOINT, PCIDEV_PCI_BRIDGE,
                                             PCIDEV_CARDBUS_BRIDGE};

        traits->type =
            traits->header_type < 3 ? by_header[traits->header_type] : PCIDEV_PCI_ENDPOINT;
        return 0;
    }
    error = seam_read(dev, traits->cap[CAP_PCIE] + PCI_EXP_FLAGS, 2, &flags);
    traits->type = port_types[flags >> 4 & 0xf];
    /* a port without a bridge's header has no buses behind it, whatever it calls itself */
    if (traits->header_type != 1 && traits->type != PCIDEV_EVENT_COLLECTOR)
        traits->type = PCIDEV_ENDPOINT;
    else if (traits->header_type == 1 && traits->type == PCIDEV_ENDPOINT)
        traits->type = PCIDEV_PCI_BRIDGE;
    return error;
}

static int probe_header(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t id, class_revision, type, subsystem = 0, buses = 0, command, line, cache, pin;
    int error = seam_read(dev, PCI_VENDOR_ID, 4, &id);

    if (!error)
        error = seam_read(dev, PCI_CLASS_REVISION, 4, &class_revision);
    if (!error)
        error = seam_read(dev, PCI_HEADER_TYPE, 1, &type);
    if (!error)
        error = seam_read(dev, PCI_COMMAND, 2, &command);
    if (!error)
        error = seam_read(dev, PCI_INTERRUPT_LINE, 1, &line);
    if (!error)
        error = seam_read(dev, PCI_INTERRUPT_PIN, 1, &pin);
    if (!error)
        error = seam_read(dev, PCI_CACHE_LINE_SIZE, 1, &cache);
    if (error)
        return error;
    traits->baseline_interrupt_line = (uint8_t)line;
    traits->interrupt_pin = pin <= 4 ? (uint8_t)pin : 0; /* PCI 3.0, 6.2.4: A to D */
    traits->baseline_cache_line = (uint8_t)cache;
    traits->vendor = (uint16_t)id;
    traits->device = (uint16_t)(id >> 16);
    traits->revision = (uint8_t)class_revision;
    traits->class_code = class_revision >> 8;
    traits->header_type = type & ~PCI_HEADER_MULTIFUNCTION;
    traits->multifunction = type & PCI_HEADER_MULTIFUNCTION;
    traits->baseline_command = command & ~(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    if (traits->header_type == 0)
        error = seam_read(dev, PCI_SUBSYSTEM_VENDOR_ID, 4, &subsystem);
    else if (traits->header_type <= 2)
        error = seam_read(dev, PCI_SECONDARY_BUS & ~1u, 4, &buses);
    traits->subsystem_vendor = (uint16_t)subsystem;
    traits->subsystem = (uint16_t)(subsystem >> 16);
    traits->secondary_bus = (uint8_t)(buses >> 8);
    traits->subordinate_bus = (uint8_t)(buses >> 16);
    return error;
}

/* ---- PF and VF ---- */

bool probe_is_vf_of(const struct pcidev *pf, struct sbdf sbdf)
{
    uint32_t first = (sbdf_key(pf->sbdf) & 0xffffu) + atomic_load(&pf->vf_offset);
    uint32_t rid = sbdf_key(sbdf) & 0xffffu;
    uint32_t stride = atomic_load(&pf->vf_stride);
    uint32_t count = atomic_load(&pf->enabled_vfs);

    if (pf->sbdf.segment != sbdf.segment || !count || rid < first)
        return false;
    if (!stride)
        return rid == first;
    return (rid - first) % stride == 0 && (rid - first) / stride < count;
}

struct pcidev *probe_find_pf(struct berth_machine *machine, struct sbdf sbdf, const char *tag)
{
    struct pcidev *pf, *found = NULL;
    uint64_t cursor = 0;

    port_read_lock();
    while (!found && (pf = sbdf_map_step(&machine->pfs, &cursor)))
        if (probe_is_vf_of(pf, sbdf))
            found = device_try_get(pf, tag);
    port_read_unlock();
    return found;
}

int pcidev_vf_address(const struct pcidev *pf, unsigned index, struct sbdf *sbdf)
{
    uint32_t rid = sbdf_key(pf->sbdf) & 0xffffu;

    if (index >= atomic_load(&pf->enabled_vfs))
        return -ENODEV;
    rid += atomic_load(&pf->vf_offset) + index * atomic_load(&pf->vf_stride);
    if (rid > 0xffff) /* SR-IOV 1.1, 2.1.2: no VF beyond the last bus */
        return -ENODEV;
    *sbdf = sbdf_from_key((uint32_t)pf->sbdf.segment << 16 | rid);
    return 0;
}

int probe_sriov(struct pcidev *dev)
{
    unsigned cap = dev->traits.cap[CAP_SRIOV];
    uint32_t control, vfs, offset, stride;
    int error = seam_read(dev, cap + PCI_SRIOV_CONTROL, 2, &control);

    if (!error)
        error = seam_read(dev, cap + PCI_SRIOV_NUM_VFS, 2, &vfs);
    if (!error)
        error = seam_read(dev, cap + PCI_SRIOV_VF_OFFSET, 2, &offset);
    if (!error)
        error = seam_read(dev, cap + PCI_SRIOV_VF_STRIDE, 2, &stride);
    if (!error && control == 0xffff)
        error = -ENODEV; /* it vanished while we looked */
    if (error)
        return error;
    atomic_store(&dev->vf_offset, (uint16_t)offset);
    atomic_store(&dev->vf_stride, (uint16_t)stride);
    if (!(control & PCI_SRIOV_CONTROL_VFE) || vfs > dev->traits.total_vfs)
        vfs = 0;
    atomic_store(&dev->enabled_vfs, (uint16_t)vfs);
    return 0;
}

static int probe_total_vfs(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t total, device;
    int error;

    if (!traits->cap[CAP_SRIOV])
        return 0;
    error = seam_read(dev, traits->cap[CAP_SRIOV] + PCI_SRIOV_TOTAL_VFS, 2, &total);
    if (!error)
        error = seam_read(dev, traits->cap[CAP_SRIOV] + PCI_SRIOV_VF_DEVICE, 2, &device);
    if (error)
        return error;
    traits->total_vfs = total == 0xffff ? 0 : (uint16_t)total;
    traits->vf_device = (uint16_t)device;
    return 0;
}

/* A VF has the vendor of its PF, and the device id that the PF's capability tells (3.4.1.1). */
static void identify_vf(const struct pcidev *dev, struct pcidev_traits *traits)
{
    traits->vendor = dev->pf->traits.vendor;
    traits->device = dev->pf->traits.vf_device;
}

/* Which registers there are in capabilities that come in several layouts. */
static int probe_layouts(struct pcidev *dev, struct pcidev_traits *traits)
{
    uint32_t flags = 0, control = 0;
    int error = 0;

    if (traits->cap[CAP_PCIE])
        error = seam_read(dev, traits->cap[CAP_PCIE] + PCI_EXP_FLAGS, 2, &flags);
    if (!error && traits->cap[CAP_MSI])
        error = seam_read(dev, traits->cap[CAP_MSI] + PCI_MSI_CONTROL, 2, &control);
    if (!error && traits->cap[CAP_REBAR])
        error = rebar_count(dev, traits->cap[CAP_REBAR], traits->config_size, &traits->rebar_count);
    traits->pcie_version = flags & 0xf;
    traits->pcie_port = flags >> 4 & 0xf;
    traits->msi_control = (uint16_t)control;
    return error;
}

/* ---- what follows from all that ---- */

static int probe_pcie(struct transition *t, struct pcidev_traits *traits)
{
    unsigned cap = traits->cap[CAP_PCIE];
    uint32_t devcap;
    int error;

    if (!cap)
        return 0;
    error = seam_read(t->dev, cap + PCI_EXP_DEVCAP, 4, &devcap);
    if (error)
        return error;
    if (!traits->extended_function && !traits->is_vf)
        traits->phantom_stride = (uint8_t)(8 >> (devcap >> PCI_EXP_DEVCAP_PHANTOM_SHIFT & 3));
    if (devcap & PCI_EXP_DEVCAP_FLR && !(traits->errata & PCIDEV_ERRATUM_NO_FLR))
        traits->methods[traits->method_count++] = PCIDEV_RESET_FLR;
    return 0;
}

static int probe_other_resets(struct transition *t, struct pcidev_traits *traits)
{
    uint32_t value = 0;
    struct sbdf parent;
    int error = 0;

    if (traits->cap[CAP_AF] && !(traits->errata & PCIDEV_ERRATUM_NO_FLR)) {
        error = seam_read(t->dev, traits->cap[CAP_AF] + PCI_AF_CAP, 1, &value);
        if (!error && (value & 3) == (PCI_AF_CAP_TP | PCI_AF_CAP_FLR))
            traits->methods[traits->method_count++] = PCIDEV_RESET_AF;
    }
    if (!error && traits->cap[CAP_PM] && !traits->is_vf &&
        !(traits->errata & PCIDEV_ERRATUM_NO_PM_RESET)) {
        error = seam_read(t->dev, traits->cap[CAP_PM] + PCI_PM_CONTROL, 2, &value);
        if (!error && !(value & PCI_PM_NO_SOFT_RESET))
            traits->methods[traits->method_count++] = PCIDEV_RESET_PM;
    }
    if (!traits->is_vf && topology_parent(t->dev, &parent))
        traits->methods[traits->method_count++] = PCIDEV_RESET_BUS;
    return error;
}

/* A port that forwards ARI makes one device with 256 functions out of its bus (PCIe 6.13). */
static int probe_port(struct pcidev *dev, struct pcidev_traits *traits)
{
    unsigned reg = traits->cap[CAP_PCIE] + PCI_EXP_DEVCTL2;
    uint32_t control;
    int error;

    if (traits->type != PCIDEV_PCIE_BRIDGE || traits->pcie_version < 2 ||
        reg + 2 > traits->config_size)
        return 0;
    error = seam_read(dev, reg, 2, &control);
    traits->ari_forwarding = control != 0xffff && control & PCI_EXP_DEVCTL2_ARI;
    return error;
}

static int probe_resets(struct transition *t, struct pcidev_traits *traits)
{
    int error;

    if (traits->header_type != 0 || traits->type == PCIDEV_HOST_BRIDGE)
        return probe_port(t->dev, traits);
    if (seam_describe(t->dev).has_reset)
        traits->methods[traits->method_count++] = PCIDEV_RESET_HOST;
    error = probe_pcie(t, traits);
    return error ? error : probe_other_resets(t, traits);
}

static bool listed(const struct sbdf *list, uint32_t count, struct sbdf sbdf)
{
    for (uint32_t i = 0; i < count; i++)
        if (sbdf_equal(list[i], sbdf))
            return true;
    return false;
}

static void apply_lists(const struct transition *t, struct pcidev_traits *traits)
{
    const struct berth_machine_config *config = &t->machine->config;

    if (listed(config->hidden, config->hidden_count, t->dev->sbdf))
        traits->reservation = BERTH_RESERVE_HIDDEN;
    else if (listed(config->read_only, config->read_only_count, t->dev->sbdf))
        traits->reservation = BERTH_RESERVE_READ_ONLY;
    for (uint32_t i = 0; i < config->phantom_count; i++)
        if (sbdf_equal(config->phantoms[i].sbdf, t->dev->sbdf))
            traits->phantom_stride = config->phantoms[i].stride;
    /* PCIe 7.5.3.3: with a stride, the function numbers below it are the real ones */
    if (traits->phantom_stride >= 8 || sbdf_function(t->dev->sbdf) >= traits->phantom_stride)
        traits->phantom_stride = 0;
}

static bool behind_ari(const struct transition *t)
{
    struct pcidev *bridge = topology_bridge(t->machine, t->dev->sbdf, "probe");
    bool ari = bridge && bridge->traits.ari_forwarding;

    pcidev_put(bridge, "probe");
    return ari;
}

int probe_traits(struct transition *t, struct pcidev_traits *traits)
{
    struct pcidev *dev = t->dev;
    bool answers;
    int error;

    *traits = (struct pcidev_traits){.is_vf = dev->pf != NULL, .config_size = CONFIG_SIZE};
    error = registers_answer(dev, &answers);
    if (!error && !answers)
        return refuse(&t->why, -ENODEV, BERTH_REASON_NOTHING_THERE);
    if (!error)
        error = probe_header(dev, traits);
    if (!error && dev->pf)
        identify_vf(dev, traits);
    traits->errata = errata_find(traits->vendor, traits->device);
    if (!error)
        error = probe_caps(dev, traits);
    if (!error)
        error = probe_config_size(dev, traits);
    if (!error && traits->config_size == CONFIG_SIZE_EXTENDED)
        error = probe_ext_caps(dev, traits);
    if (!error)
        error = probe_type(dev, traits);
    if (!error)
        error = probe_layouts(dev, traits);
    if (!error)
        error = probe_total_vfs(dev, traits);
    traits->extended_function = (t->info && t->info->is_extended) ||
                                (traits->cap[CAP_ARI] && sbdf_device(dev->sbdf) && behind_ari(t));
    if (!error)
        error = probe_resets(t, traits);
    traits->numa_node =
        (int16_t)(t->info && t->info->numa_node >= 0 ? t->info->numa_node
                                                     : seam_describe(dev).numa_node);
    apply_lists(t, traits);
    return error;
}
