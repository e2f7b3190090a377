/* SPDX-License-Identifier: MIT */
#include "bench/subject.h"

#include <errno.h>

const struct discipline *const disciplines[DISCIPLINE_COUNT] = {
    &discipline_berth,
    &discipline_global_lock,
    &discipline_domain_rwlock,
    &discipline_locked_refs,
};

/* An odd factor visits every address once, in an order that no prefetcher and no cache set likes
 * or hates. */
static struct sbdf scattered(unsigned index, unsigned devices)
{
    return sbdf_from_key((index * 40503u + 12345u) & (devices - 1));
}

int subject_create(struct subject *subject)
{
    int error = 0;

    for (unsigned i = 0; i < SUBJECT_HOT_SETS * BENCH_HOT; i++)
        subject->hot[i / BENCH_HOT][i % BENCH_HOT] = scattered(i, subject->devices);
    subject->registry = NULL;
    subject->host = bench_host_create();
    if (!subject->host)
        return -ENOMEM;
    error = subject->discipline->create(subject->host, &subject->registry);
    for (uint32_t key = 0; key < subject->devices && !error; key++)
        error = subject->discipline->add(subject->registry, sbdf_from_key(key));
    return error;
}

void subject_destroy(struct subject *subject)
{
    if (subject->registry)
        subject->discipline->destroy(subject->registry);
    bench_host_destroy(subject->host);
    subject->registry = NULL;
    subject->host = NULL;
}

/* A figure of work that was not done would be worth nothing. */
int subject_lookup(void *subject, uint64_t count)
{
    const struct subject *s = subject;

    return s->discipline->lookup(s->registry, s->hot[0], count) == count ? 0 : -EIO;
}

int subject_access(void *subject, uint64_t count)
{
    const struct subject *s = subject;

    return s->discipline->access(s->registry, s->hot[0], count) == count ? 0 : -EIO;
}

json_t *subject_params(const struct subject *subject, unsigned devices)
{
    if (!devices)
        return json_pack("{s:s}", "discipline", subject->discipline->name);
    return json_pack("{s:s, s:i}", "discipline", subject->discipline->name, "devices",
                     (int)devices);
}
