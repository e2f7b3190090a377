/* SPDX-License-Identifier: MIT */
/*
 * What VF Enable and VF MSE set off (M45): VFs come, are lent to the guest that has their PF, and
 * get their BARs where the PF says; or they go. No lock is held meanwhile but those of single
 * steps: another device of the guest is not delayed (K11). What fails is undone, and VF Enable
 * reads 0.
 */
#include "src/core/vfs.h"
#include "src/vpci/cap_sriov.h"

static const char tag_guest_vfs[] = "guest VFs";

/* What the registers of the PF say. */
struct wish {
    struct pcidev *pf;
    struct berth_domain *guest;
    struct tenancy tenancy; /* of the PF, when it was written */
    unsigned count;         /* of VFs; 0: none */
    bool decode;
    struct vf_layout layout;
    uint64_t base[BERTH_BAR_ROM], aperture[BERTH_BAR_ROM];
    struct sbdf at; /* of the PF, on the guest's bus */
    int error;      /* what became of it */
};

/* ---- with the view of the PF ---- */

static void registers_look(struct wish *w, struct vpci *v, unsigned at)
{
    uint32_t control = vpci_stored(v, at + PCI_SRIOV_CONTROL, 2);

    w->count = control & PCI_SRIOV_CONTROL_VFE ? vpci_stored(v, at + PCI_SRIOV_NUM_VFS, 2) : 0;
    w->decode = control & PCI_SRIOV_CONTROL_MSE;
    w->layout.offset = (uint16_t)vpci_stored(v, at + PCI_SRIOV_VF_OFFSET, 2);
    w->layout.stride = (uint16_t)vpci_stored(v, at + PCI_SRIOV_VF_STRIDE, 2);
    for (unsigned i = 0; i < BERTH_BAR_ROM; i++) {
        w->aperture[i] = sriov_aperture(v, at, i);
        w->base[i] = w->aperture[i] ? sriov_base(v, at, i) : 0;
    }
}

/* The registers say what there is: VF Enable, and whether the VFs decode. */
static void registers_settle(struct wish *w, struct vpci *v, unsigned at) REQUIRES(v->lock)
{
    uint32_t control = vpci_stored(v, at + PCI_SRIOV_CONTROL, 2) & ~PCI_SRIOV_CONTROL_VFE;

    if (atomic_load(&w->pf->enabled_vfs))
        control |= PCI_SRIOV_CONTROL_VFE;
    if (!w->decode)
        control &= ~PCI_SRIOV_CONTROL_MSE;
    vpci_store(v, at + PCI_SRIOV_CONTROL, 2, control);
    if (w->error)
        vpci_complain(v, "VFs", w->error);
}

/* V6: false where the PF has another owner or generation than the write was for. */
static bool with_registers(struct wish *w, void (*run)(struct wish *, struct vpci *, unsigned))
{
    struct pcidev_section section;
    struct vpci *v;
    unsigned at = 0;

    if (!access_open(w->pf, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, w->guest,
                     tag_guest_vfs, &section))
        return false;
    v = atomic_load_explicit(&w->pf->vpci, memory_order_acquire);
    if (v && v->vfs && tenancy_holds(&w->tenancy, w->pf))
        at = vpci_cap_at(v, &vpci_cap_sriov);
    if (at) {
        lock_take(&v->lock);
        run(w, v, at);
        lock_drop(&v->lock);
    }
    access_close(&section);
    return at != 0;
}

/* ---- one VF ---- */

static struct sbdf guest_address(const struct wish *w, unsigned index)
{
    uint32_t key = sbdf_key(w->at) + w->layout.offset + index * w->layout.stride;

    return sbdf_from_key(key);
}

static struct pcidev *find_vf(const struct wish *w, unsigned index)
{
    struct sbdf at;

    if (pcidev_vf_address(w->pf, index, &at))
        return NULL;
    return pcidev_find(w->pf->machine, at, tag_guest_vfs);
}

static int vf_make(const struct wish *w, unsigned index)
{
    const struct pcidev_add_info info = {.is_vf = true, .pf = w->pf->sbdf, .numa_node = -1};
    const struct sbdf at = guest_address(w, index);
    const struct berth_request request = {.guest_address = &at};
    struct pcidev *vf;
    struct sbdf sbdf;
    int error = pcidev_vf_address(w->pf, index, &sbdf);

    if (!error)
        error = pcidev_add(w->pf->machine, sbdf, &info, NULL);
    if (error)
        return error;
    vf = pcidev_find(w->pf->machine, sbdf, tag_guest_vfs);
    error = vf ? pcidev_assign(vf, w->guest, &request) : -ENODEV;
    pcidev_put(vf, tag_guest_vfs);
    return error;
}

/* With the lock of the VF's view. */
static int view_place(const struct wish *w, struct vpci *v, unsigned index) REQUIRES(v->lock)
{
    int error = 0;

    for (unsigned i = 0; i < BERTH_BAR_ROM && !error; i++)
        if (v->bar[i].size)
            error =
                vpci_bar_place(v, i, w->base[i] + index * w->aperture[i], w->decode && w->base[i]);
    return error;
}

/* One that the guest does not have (any more) has nothing to be placed. */
static int vf_place(const struct wish *w, unsigned index)
{
    struct pcidev *vf = find_vf(w, index);
    struct pcidev_section section;
    struct vpci *v;
    int error = 0;

    if (vf && access_open(vf, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, w->guest,
                          tag_guest_vfs, &section)) {
        v = atomic_load_explicit(&vf->vpci, memory_order_acquire);
        if (v) {
            lock_take(&v->lock);
            error = view_place(w, v, index);
            lock_drop(&v->lock);
        }
        access_close(&section);
    }
    pcidev_put(vf, tag_guest_vfs);
    return error;
}

/* ---- all of them ---- */

/* V6: whoever waits for the PF does not wait for the rest of its VFs, which are many. */
static bool vfs_are_wanted(const struct wish *w)
{
    return tenancy_holds(&w->tenancy, w->pf) && !vfs_forbidden(w->pf);
}

static int vfs_make(const struct wish *w)
{
    int error = sriov_for_guest(w->pf, &w->tenancy, w->count, NULL);

    for (unsigned i = 0; i < w->count && !error; i++)
        error = vfs_are_wanted(w) ? vf_make(w, i) : -EBUSY;
    return error;
}

static int vfs_place(const struct wish *w)
{
    unsigned count = atomic_load(&w->pf->enabled_vfs);
    int error = 0;

    for (unsigned i = 0; i < count && !error; i++)
        error = vf_place(w, i);
    return error;
}

/* MSE alone: the VFs stay, and none of them decodes. */
static int vfs_decode(struct wish *w)
{
    int error = vfs_place(w);

    if (!error)
        return 0;
    w->decode = false;
    w->decode = vfs_place(w) != 0; /* what can't be unmapped still decodes */
    return error;
}

static int vfs_follow(struct wish *w)
{
    bool there = atomic_load(&w->pf->enabled_vfs) != 0;
    int error;

    if (!w->count)
        return vfs_give_back(w->pf, &w->tenancy, false, NULL);
    if (there)
        return vfs_decode(w);
    error = berth_domain_address(w->pf, &w->at); /* its bus may have lost its number meanwhile */
    if (!error)
        error = vfs_make(w);
    if (!error)
        error = vfs_place(w);
    if (error)
        (void)vfs_give_back(w->pf, &w->tenancy, false, NULL);
    return error;
}

int vpci_vfs_apply(struct pcidev *pf, struct berth_domain *guest, uint32_t generation)
{
    struct wish w = {.pf = pf,
                     .guest = guest,
                     .tenancy = {.guest = guest, .exact = true, .generation = generation}};

    if (tenancy_holds(&w.tenancy, pf) && vfs_forbidden(pf))
        return -EAGAIN;
    if (!with_registers(&w, registers_look))
        return 0;
    w.error = vfs_follow(&w);
    (void)with_registers(&w, registers_settle);
    return 0;
}
