/* SPDX-License-Identifier: MIT */
/* One access section on a known device; and a guest's read of one register, from its address on. */
#include <errno.h>

#include <berth/pcidev.h>

#include "bench/figures.h"
#include "bench/subject.h"

static const char tag[] = "bench";

/* ---- one section ---- */

struct section_rig {
    struct bench_host *host;
    struct berth_machine *machine;
    struct pcidev *dev;
};

static int section_rig_create(struct section_rig *rig)
{
    const struct sbdf sbdf = sbdf_make(0, 0, 0, 0);
    struct berth_machine_config config = {.host = &bench_host_ops};
    int error;

    *rig = (struct section_rig){.host = bench_host_create()};
    if (!rig->host)
        return -ENOMEM;
    config.host_context = rig->host;
    error = berth_machine_create(&config, &rig->machine);
    if (!error)
        error = pcidev_add(rig->machine, sbdf, NULL, NULL);
    if (!error)
        rig->dev = pcidev_find(rig->machine, sbdf, tag);
    return error;
}

static void section_rig_destroy(struct section_rig *rig)
{
    pcidev_put(rig->dev, tag);
    berth_machine_destroy(rig->machine);
    bench_host_destroy(rig->host);
}

static int section_run(void *context, uint64_t count)
{
    struct section_rig *rig = context;
    struct pcidev_section section;
    uint64_t entered = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (!pcidev_enter(rig->dev, tag, &section))
            continue;
        entered++;
        pcidev_exit(&section);
    }
    return entered == count ? 0 : -EIO;
}

/* ---- all of them in turn ---- */

struct accesses {
    struct section_rig rig;
    struct subject subject[DISCIPLINE_COUNT];
    struct bench_case cases[1 + DISCIPLINE_COUNT]; /* the section first */
};

static int accesses_create(struct accesses *a)
{
    int error = section_rig_create(&a->rig);

    a->cases[0] = (struct bench_case){.run = section_run, .context = &a->rig};
    for (unsigned i = 0; i < DISCIPLINE_COUNT && !error; i++) {
        a->subject[i].discipline = disciplines[i];
        a->subject[i].devices = BENCH_HOT;
        a->cases[1 + i] = (struct bench_case){.run = subject_access, .context = &a->subject[i]};
        error = subject_create(&a->subject[i]);
    }
    return error;
}

static void accesses_destroy(struct accesses *a)
{
    for (unsigned i = 0; i < DISCIPLINE_COUNT; i++)
        subject_destroy(&a->subject[i]);
    section_rig_destroy(&a->rig);
}

int figures_access(struct bench *bench)
{
    bool compare = bench_wants(bench, "discipline_access_ns");
    struct accesses a = {0};
    int error = accesses_create(&a);

    if (!error)
        error = bench_interleave(bench, "access", a.cases, compare ? 1 + DISCIPLINE_COUNT : 1);
    if (!error)
        bench_report(bench, "enter_exit_ns", json_object(), &a.cases[0].ns);
    for (unsigned i = 0; i < DISCIPLINE_COUNT && !error; i++)
        bench_report(bench, "discipline_access_ns", subject_params(&a.subject[i], BENCH_HOT),
                     &a.cases[1 + i].ns);
    accesses_destroy(&a);
    return error;
}
