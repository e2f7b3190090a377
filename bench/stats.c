/* SPDX-License-Identifier: MIT */
#include "bench/stats.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void values_sort(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
}

double percentile(const double *sorted, size_t count, unsigned percent)
{
    size_t rank = (count * percent + 99) / 100;

    return sorted[rank ? rank - 1 : 0];
}

void series_add(struct series *series, double value)
{
    if (series->count < SERIES_MAX)
        series->value[series->count++] = value;
}

double series_median(const struct series *series)
{
    struct series sorted = *series;
    unsigned half = series->count / 2;

    if (!series->count)
        return 0;
    values_sort(sorted.value, sorted.count);
    if (series->count % 2)
        return sorted.value[half];
    return (sorted.value[half - 1] + sorted.value[half]) / 2;
}

double series_min(const struct series *series)
{
    double min = series->count ? series->value[0] : 0;

    for (unsigned i = 1; i < series->count; i++)
        min = series->value[i] < min ? series->value[i] : min;
    return min;
}

double series_max(const struct series *series)
{
    double max = series->count ? series->value[0] : 0;

    for (unsigned i = 1; i < series->count; i++)
        max = series->value[i] > max ? series->value[i] : max;
    return max;
}

struct series series_ratio(const struct series *a, const struct series *b)
{
    struct series ratio = {.count = 0};

    for (unsigned i = 0; i < a->count && i < b->count; i++)
        series_add(&ratio, a->value[i] / b->value[i]);
    return ratio;
}
