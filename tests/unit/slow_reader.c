/* SPDX-License-Identifier: MIT */
#include "tests/unit/slow_reader.h"

#include <berth_port.h>

static void *read_on(void *context)
{
    struct slow_reader *reader = context;
    struct pcidev_section section;

    assert_true(pcidev_enter(reader->dev, SLOW_READER, &section));
    atomic_store(&reader->inside, true);
    for (unsigned attempt = 0; !atomic_load(&reader->leave); attempt++)
        port_relax(attempt);
    pcidev_exit(&section);
    return NULL;
}

void slow_reader_start(struct slow_reader *reader, struct pcidev *dev)
{
    reader->dev = dev;
    atomic_init(&reader->inside, false);
    atomic_init(&reader->leave, false);
    assert_int_equal(pthread_create(&reader->thread, NULL, read_on, reader), 0);
    while (!atomic_load(&reader->inside))
        port_relax(100);
}

void slow_reader_end(struct slow_reader *reader)
{
    atomic_store(&reader->leave, true);
    pthread_join(reader->thread, NULL);
}
