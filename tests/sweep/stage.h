/* SPDX-License-Identifier: MIT */
/*
 * A small machine for each kind of device, with a guest, on the seam. It is up for as long as
 * failed operations leave it as it was, and then made anew.
 */
#ifndef BERTH_SWEEP_STAGE_H
#define BERTH_SWEEP_STAGE_H

#include "tests/sweep/seam.h"

/** What there is besides a host bridge and a bystander. */
enum setting {
    SETTING_RICH,    /* an endpoint with everything but SR-IOV */
    SETTING_PF,      /* 4 VFs */
    SETTING_LEGACY,  /* behind a PCIe-to-PCI bridge; reset by its bus */
    SETTING_PHANTOM, /* an endpoint with phantom functions */
    SETTING_TWINS,   /* two functions in one group, without FLR */
    SETTING_RESETS,  /* endpoints with one way to reset them each: AF, PM, the host's, none */
    SETTING_COUNT
};

extern const struct sbdf stage_port, stage_dev, stage_bystander, stage_bridge, stage_legacy,
    stage_twin, stage_af, stage_pm, stage_host_reset, stage_resetless;
struct sbdf stage_vf(unsigned index);

struct setup {
    enum setting setting;
    enum berth_quarantine quarantine;
    unsigned ports; /* of the guest's bus */
    struct sbdf subject;
    bool empty;  /* nothing is added, and there is no guest */
    bool hidden; /* the subject belongs to the hypervisor */
    bool vpd_writes;
};

/* What most sweeps are about. */
#define ON_DEV .subject = {0, 1, 0}
#define ON_LEGACY .subject = {0, 2, 0}
#define ON_PORT .subject = {0, 0, 0x08}
#define ON_VF .subject = {0, 1, 128}
#define RICH                 \
    {                        \
        SETTING_RICH, ON_DEV \
    }
#define BEHIND_PORT                      \
    {                                    \
        SETTING_RICH, ON_DEV, .ports = 2 \
    }

struct stage {
    struct rig rig;
    struct setup setup;
    struct berth_domain *guest;
    struct sbdf seen;    /* where the guest sees the subject, after stage_lend() */
    struct pcidev *held; /* by a toolstack */
    struct berth_vcpu vcpu;
    bool is_up;
};

extern struct stage stage;

void stage_up(const struct setup *setup);
/** Whatever is left is taken down; what does not balance is complained about. */
void stage_down(void);
/** The same where objects were left, which stay in memory: nothing is counted any more. */
void stage_abandon(void);
/** The machine of an empty stage; 0 or -errno. */
int stage_create(void);
/** Frees the captures. */
void stage_end(void);

/** Something is not as it has to be: counted, and the first ones are printed. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
unsigned complaints(void);
/** What is being done, for complaints. */
void complaint_place(const char *(*describe)(void));

/* ---- what a toolstack and a guest do; 0 or -errno ---- */

void stage_lend(struct sbdf host);
/** BARs placed and mapped, bus mastering on, three MSI-X vectors bound. */
void stage_drive(void);

uint64_t guest_get(unsigned reg, unsigned length);
/** 0: so that an operation of a guest can be its last line. */
int guest_put(unsigned reg, unsigned length, uint64_t value);
int guest_mmio_put(uint64_t address, unsigned length, uint64_t value);
/** In the guest's lists; the test fails where there is none. */
unsigned guest_cap(unsigned id);
unsigned guest_ext_cap(unsigned id);

#define COMMAND 0x04
#define COMMAND_MEMORY 0x0002u
#define COMMAND_MASTER 0x0004u
#define COMMAND_NO_INTX 0x0400u
#define COMMAND_WORKS (COMMAND_MEMORY | COMMAND_MASTER)
#define BAR(index) (0x10u + 4 * (index))
#define ROM 0x30u
#define BAR0_AT UINT64_C(0x4000000000)
#define BAR2_AT UINT64_C(0x5000000000)
#define ROM_AT UINT64_C(0xd0000000)
#define MSIX_TABLE (BAR0_AT + 0x2000)
#define MSIX_ENABLE 0x8000u
#define VECTORS 3u

#endif
