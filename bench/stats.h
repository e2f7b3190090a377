/* SPDX-License-Identifier: MIT */
/* A few values, and what is typical of them. */
#ifndef BERTH_BENCH_STATS_H
#define BERTH_BENCH_STATS_H

#include <stddef.h>

#define SERIES_MAX 16

/** One value per round; those that do not fit are dropped. */
struct series {
    double value[SERIES_MAX];
    unsigned count;
};

void series_add(struct series *series, double value);

/** The median; 0 of an empty series. */
double series_median(const struct series *series);
double series_min(const struct series *series);
double series_max(const struct series *series);

/** Round by round, a / b. */
struct series series_ratio(const struct series *a, const struct series *b);

/** Sorts values in place, for percentile(). */
void values_sort(double *values, size_t count);

/** The value that @percent (1 to 100) of the sorted values do not exceed; @count is not 0. */
double percentile(const double *sorted, size_t count, unsigned percent);

#endif
