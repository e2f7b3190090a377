/* SPDX-License-Identifier: MIT */
#include "bench/figures.h"

#include <stdio.h>
#include <string.h>

/* The figures of one measure() are next to each other, and reported in this order. */
const struct bench_figure bench_figures[] = {
    {"lookup_get_put_ns", "ns", BENCH_AT_MOST, 25, figures_lookup},
    {"lookup_flatness", "ratio", BENCH_AT_MOST, 1.3, figures_lookup},
    {"discipline_lookup_get_put_ns", "ns", BENCH_NO_GOAL, 0, figures_lookup},

    {"lookup_scaling_2t", "ratio", BENCH_AT_LEAST, 1.9, figures_scaling},
    {"discipline_lookup_scaling_2t", "ratio", BENCH_NO_GOAL, 0, figures_scaling},
    {"discipline_access_scaling_2t", "ratio", BENCH_NO_GOAL, 0, figures_scaling},

    {"enter_exit_ns", "ns", BENCH_AT_MOST, 5, figures_access},
    {"discipline_access_ns", "ns", BENCH_NO_GOAL, 0, figures_access},

    {"remove_under_fire_p50_us", "us", BENCH_NO_GOAL, 0, figures_removal},
    {"remove_under_fire_p99_us", "us", BENCH_AT_MOST, 5000, figures_removal},
    {"remove_under_fire_max_us", "us", BENCH_NO_GOAL, 0, figures_removal},
    {"discipline_remove_under_fire_p50_us", "us", BENCH_NO_GOAL, 0, figures_removal},
    {"discipline_remove_under_fire_p99_us", "us", BENCH_NO_GOAL, 0, figures_removal},

    {"parallel_assign_ms", "ms", BENCH_AT_MOST, 250, figures_assign},
    {"serial_assign_ms", "ms", BENCH_NO_GOAL, 0, figures_assign},

    {"bytes_per_device", "bytes", BENCH_AT_MOST, 512, figures_memory},
    {"heap_bytes_per_device", "bytes", BENCH_NO_GOAL, 0, figures_memory},

    {"add_65536_s", "s", BENCH_AT_MOST, 1, figures_add},
    {"add_linearity", "ratio", BENCH_AT_MOST, 20, figures_add},

    {"config_read_ns", "ns", BENCH_AT_MOST, 10, figures_vpci_read},
    {"config_read_spread", "ratio", BENCH_AT_MOST, 1.3, figures_vpci_read},

    {"config_read_mops_2t", "ratio", BENCH_AT_LEAST, 1.9, figures_vpci_scaling},
    {"config_write_mops_2t", "ratio", BENCH_AT_LEAST, 1.8, figures_vpci_scaling},
    {"config_read_same_device_2t", "ratio", BENCH_AT_LEAST, 1.9, figures_vpci_scaling},
    {"config_mops", "Mops", BENCH_NO_GOAL, 0, figures_vpci_scaling},

    {"vpci_bytes_per_device", "bytes", BENCH_AT_MOST, 8192, figures_vpci_memory},
    {0},
};

const struct bench_figure *bench_figure_find(const char *name)
{
    for (const struct bench_figure *figure = bench_figures; figure->name; figure++)
        if (!strcmp(figure->name, name))
            return figure;
    return NULL;
}

bool bench_wants(const struct bench *bench, const char *name)
{
    return !bench->only || !strcmp(bench->only->name, name);
}

static void goal_add(json_t *entry, const struct bench_figure *figure, double value)
{
    bool at_most = figure->goal == BENCH_AT_MOST;

    if (figure->goal == BENCH_NO_GOAL)
        return;
    json_object_set_new(entry, "target",
                        json_pack("{s:f}", at_most ? "at_most" : "at_least", figure->target));
    json_object_set_new(entry, "met",
                        json_boolean(at_most ? value <= figure->target : value >= figure->target));
}

void bench_report(struct bench *bench, const char *name, json_t *params,
                  const struct series *series)
{
    const struct bench_figure *figure = bench_figure_find(name);
    json_t *entry;

    if (!figure || !bench_wants(bench, name)) {
        json_decref(params);
        return;
    }
    entry = json_pack("{s:s, s:o, s:n, s:s}", "name", name, "params", params, "value", "unit",
                      figure->unit);
    if (series) {
        json_object_set_new(entry, "value", json_real(series_median(series)));
        json_object_set_new(entry, "min", json_real(series_min(series)));
        json_object_set_new(entry, "max", json_real(series_max(series)));
        json_object_set_new(entry, "runs", json_integer(series->count));
        goal_add(entry, figure, series_median(series));
    }
    json_array_append_new(bench->figures, entry);
}

void bench_progress(const struct bench *bench, const char *what, unsigned done, unsigned all)
{
    if (bench->progress)
        fprintf(stderr, "\r\033[K%s: %u of %u", what, done, all);
}
