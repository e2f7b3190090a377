/* SPDX-License-Identifier: MIT */
/* Time, chance, signals and the line that tells how far it is. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tools/berth/run.h"

#define TELL_TTY_NS (200 * RUN_MS)
#define TELL_PLAIN_NS (2 * RUN_SECOND)
#define TICK_NS (50 * RUN_MS)

/* ---- time ---- */

uint64_t run_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * RUN_SECOND + (uint64_t)now.tv_nsec;
}

void run_sleep_ns(uint64_t ns)
{
    const struct timespec time = {
        .tv_sec = (time_t)(ns / RUN_SECOND),
        .tv_nsec = (long)(ns % RUN_SECOND),
    };

    nanosleep(&time, NULL); /* a signal may cut it short: nobody counts on it */
}

/* ---- chance: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom generators) ---- */

static uint64_t chance_next(struct chance *chance)
{
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct chance chance_make(uint64_t seed, unsigned stream)
{
    struct chance chance = {seed};

    chance.state = chance_next(&chance) + stream;
    chance.state = chance_next(&chance);
    return chance;
}

uint32_t chance_below(struct chance *chance, uint32_t limit)
{
    return (uint32_t)((chance_next(chance) >> 32) * limit >> 32);
}

/* ---- signals ---- */

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void interrupt_catch(void)
{
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
    return interrupted;
}

/* ---- progress ---- */

void pace_begin(struct pace *pace, uint64_t duration_ns, bool quiet)
{
    pace->begin_ns = pace->told_ns = run_now_ns();
    pace->end_ns = pace->begin_ns + duration_ns;
    pace->quiet = quiet;
    pace->tty = isatty(STDOUT_FILENO);
}

bool pace_tick(struct pace *pace)
{
    uint64_t now = run_now_ns();

    if (now < pace->end_ns && !interrupted)
        run_sleep_ns(pace->end_ns - now < TICK_NS ? pace->end_ns - now : TICK_NS);
    return run_now_ns() < pace->end_ns && !interrupted;
}

bool pace_due(const struct pace *pace)
{
    return run_now_ns() - pace->told_ns >= (pace->tty ? TELL_TTY_NS : TELL_PLAIN_NS);
}

void pace_tell(struct pace *pace, const char *format, ...)
{
    va_list arguments;

    pace->told_ns = run_now_ns();
    if (pace->quiet)
        return;
    va_start(arguments, format);
    if (pace->tty)
        fputs("\r\033[K", stdout);
    vprintf(format, arguments);
    if (!pace->tty)
        putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

void pace_end(struct pace *pace)
{
    if (pace->tty && !pace->quiet)
        fputs("\r\033[K", stdout);
}

double pace_left(const struct pace *pace)
{
    uint64_t now = run_now_ns();

    return now < pace->end_ns ? (double)(pace->end_ns - now) / (double)RUN_SECOND : 0;
}

const char *number_short(double value, char text[16])
{
    static const char *const units[] = {"", " k", " M", " G"};
    unsigned unit = 0;

    for (; value >= 1000 && unit < 3; unit++)
        value /= 1000;
    snprintf(text, 16, unit && value < 100 ? "%.1f%s" : "%.0f%s", value, units[unit]);
    return text;
}
