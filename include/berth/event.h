/* SPDX-License-Identifier: MIT */
/*
 * The trace: what the core did, step by step, and what went wrong by itself.
 */
#ifndef BERTH_EVENT_H
#define BERTH_EVENT_H

#include <stdint.h>

#include <berth/refusal.h>
#include <berth/sbdf.h>

#ifdef __cplusplus
extern "C" {
#endif

enum berth_event_kind {
    BERTH_EVENT_BEGIN,           /* a transition has its device */
    BERTH_EVENT_DO,              /* a step was done, or failed with .result */
    BERTH_EVENT_UNDO,            /* a step was undone, or the undo failed with .result */
    BERTH_EVENT_END,             /* the transition ended with .result */
    BERTH_EVENT_RELEASE_REQUEST, /* R4: the owner is asked to let go */
    BERTH_EVENT_VANISHED,        /* A4: surprise removal */
    BERTH_EVENT_BROKEN,          /* R7, O1: the device is broken from now on */
    BERTH_EVENT_TROUBLE,         /* M13: the host reported an error: .step says of which kind */
    BERTH_EVENT_CONTAINED,       /* O6: bus mastering taken away */
    BERTH_EVENT_CRASHED,         /* O1: the domain can't go on */
    BERTH_EVENT_VIEW,   /* something of a guest's view was refused or hidden: .step, .result */
    BERTH_EVENT_LEAK,   /* C5: a reference was left at machine teardown */
    BERTH_EVENT_MISUSE, /* C4: underflow, saturation; a host touched outside a section */
};

struct berth_event {
    enum berth_event_kind kind;
    uint64_t sequence; /* counts up per machine, without gaps */
    uint64_t time_ns;  /* the port's clock */
    struct sbdf device;
    const char *transition;       /* "assign", "remove", ... or NULL */
    const char *step;             /* the step's name, or the holder's tag; or NULL */
    int result;                   /* 0 or -errno */
    char domain[BERTH_NAME_SIZE]; /* the domain concerned, or empty */
};

/** A stable lower-case word for programs, such as "do"; never NULL. Context: any. */
const char *berth_event_name(enum berth_event_kind kind);

/**
 * Receives events, in the thread that caused them and from several threads at once. Must not call
 * back into the core, and must not sleep: transitions wait for it.
 *
 * @context  what the machine was created with
 * @event    valid during the call only; its strings without a size are static
 */
typedef void berth_event_fn(void *context, const struct berth_event *event);

#ifdef __cplusplus
}
#endif

#endif
