/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/berth/machine.h"

#define SYSFS_DEVICES "/sys/bus/pci/devices"

/* The capture that is shipped, seen from the folder of the program: in the source tree beside its
 * build folder, or in an installation that may have been moved as a whole. */
static const char *const shipped_places[] = {
    "/../data/machines/q35.txt",
    "/../share/berth/machines/q35.txt",
};

static int program_folder(char folder[PATH_MAX])
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return -errno;
    path[length] = '\0';
    strcpy(folder, dirname(path));
    return 0;
}

static int shipped_find(char *found, size_t size)
{
    char folder[PATH_MAX];
    int error = program_folder(folder);

    for (size_t i = 0; !error && i < sizeof(shipped_places) / sizeof(shipped_places[0]); i++) {
        if (snprintf(found, size, "%s%s", folder, shipped_places[i]) < (int)size &&
            !access(found, R_OK))
            return 0;
    }
    snprintf(found, size, "%s", BERTH_DATADIR "/berth/machines/q35.txt");
    return access(found, R_OK) ? -ENOENT : 0;
}

static int problem_write(int result, const char *name, const struct capture_error *error,
                         char *problem, size_t size)
{
    const char *text = error->text[0] ? error->text : strerror(-result);

    if (error->line)
        snprintf(problem, size, "%s:%zu:%zu: %s", name, error->line, error->column, text);
    else
        snprintf(problem, size, "%s: %s", name, text);
    return result;
}

static int file_load(const char *path, struct capture *capture, char *problem, size_t size)
{
    struct capture_error error = {0};
    int result = capture_read_file(path, capture, &error);

    return result ? problem_write(result, path, &error, problem, size) : 0;
}

static int shipped_load(struct capture *capture, char *problem, size_t size)
{
    char path[PATH_MAX];

    if (shipped_find(path, sizeof(path))) {
        snprintf(problem, size, "q35: the capture that Berth ships is not installed (%s)", path);
        return -ENOENT;
    }
    return file_load(path, capture, problem, size);
}

static int host_load(struct capture *capture, char *problem, size_t size)
{
    struct capture_error error = {0};
    int result = capture_read_sysfs(SYSFS_DEVICES, capture, &error);

    if (result)
        return problem_write(result, "host", &error, problem, size);
    if (capture->count)
        return 0;
    capture_free(capture);
    snprintf(problem, size, "host: this machine has no PCI function that could be read");
    return -ENODEV;
}

int machine_load(const char *name, struct capture *capture, char *problem, size_t size)
{
    if (!name)
        return host_load(capture, problem, size) ? shipped_load(capture, problem, size) : 0;
    if (!strcmp(name, "host"))
        return host_load(capture, problem, size);
    if (!strcmp(name, "q35"))
        return shipped_load(capture, problem, size);
    return file_load(name, capture, problem, size);
}
