/* SPDX-License-Identifier: MIT */
/*
 * A capture of the running Linux, out of /sys/bus/pci/devices.
 *
 * Functions may go at any moment, and what is left of them in the directory then reads ENOENT or
 * ENODEV: such a function is left out. Facts that a kernel does not offer are not known.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

/* The resource file: a line per range, 17 of them for a bridge. */
#define RESOURCE_ROOM 2048
#define RESOURCE_VF_BARS 7 /* index of the first VF BAR, in kernels with SR-IOV */

/* PCI Express Base 6.0, sections 7.6.3 and 9.3.3 */
#define EXT_CAPS 0x100u
#define EXT_CAP_SRIOV 0x0010u
#define SRIOV_TOTAL_VFS 0x0eu
#define SRIOV_SIZE 0x40u

static bool is_gone(int result)
{
    return result == -ENOENT || result == -ENODEV;
}

/* Reads at most @size bytes of a file. Returns their number or -errno. */
static ssize_t read_attribute(int directory, const char *name, void *data, size_t size)
{
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;

    if (file < 0)
        return -errno;
    do {
        got = read(file, (char *)data + length, size - length);
        if (got > 0)
            length += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    got = got < 0 ? -errno : (ssize_t)length;
    close(file);
    return got;
}

/* A decimal number, or -1 where there is none. */
static int parse_number(const char *text, size_t length)
{
    struct capture_cursor cursor = {.text = text, .length = length};
    struct capture_error ignored;
    int number;

    return capture_read_decimal(&cursor, &number, &ignored) ? -1 : number;
}

/* The number in a one-line file, or -1: the file is not there, or says so itself. */
static int read_number(int directory, const char *name)
{
    char text[16];
    ssize_t length = read_attribute(directory, name, text, sizeof(text));

    return parse_number(text, length > 0 ? (size_t)length : 0);
}

/* The last name of a link's target; false where there is no link or the name does not fit. */
static bool read_link_name(int directory, const char *link, char *name, size_t size)
{
    char target[4096];
    ssize_t length = readlinkat(directory, link, target, sizeof(target) - 1);
    const char *slash;

    if (length < 0)
        return false;
    target[length] = 0;
    slash = strrchr(target, '/');
    slash = slash ? slash + 1 : target;
    if (strlen(slash) >= size)
        return false;
    memcpy(name, slash, strlen(slash) + 1);
    return true;
}

static uint32_t config_dword(const struct capture_function *function, unsigned reg)
{
    const uint8_t *c = function->config + reg;

    return c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
}

/* TotalVFs of the SR-IOV capability; 0: not to be seen. The list may be junk: it ends by count. */
static unsigned config_total_vfs(const struct capture_function *function)
{
    unsigned reg = EXT_CAPS;

    for (unsigned left = 4096 / 8; left > 0 && reg >= EXT_CAPS; left--) {
        uint32_t header = config_dword(function, reg);

        if ((header & 0xffff) == EXT_CAP_SRIOV && reg + SRIOV_SIZE <= function->size)
            return config_dword(function, reg + SRIOV_TOTAL_VFS - 2) >> 16;
        reg = header >> 20 & ~3u;
    }
    return 0;
}

/*
 * How many VFs a VF range of the resource file is for: the TotalVFs of the device. sriov_totalvfs
 * can be less (a driver lowers it), so that it is the second choice; without it the kernel knows no
 * SR-IOV, and what stands in its lines are the windows of a bridge.
 */
static unsigned total_vfs(int directory, const struct capture_function *function)
{
    int driver_limit = read_number(directory, "sriov_totalvfs");
    unsigned total = config_total_vfs(function);

    if (driver_limit <= 0)
        return 0;
    return total ? total : (unsigned)driver_limit;
}

/* "START END FLAGS", flags of zero: no such range. */
static int read_resource(struct capture_cursor *line, uint64_t *size)
{
    struct capture_error ignored;
    uint64_t start, end, flags;

    if (capture_read_hex(line, &start, &ignored))
        return -EINVAL;
    capture_skip_spaces(line);
    if (capture_read_hex(line, &end, &ignored))
        return -EINVAL;
    capture_skip_spaces(line);
    if (capture_read_hex(line, &flags, &ignored) || line->at != line->length)
        return -EINVAL;
    *size = flags && end >= start ? end - start + 1 : 0;
    return 0;
}

/* A size that no BAR can have is one that Linux made up, such as a legacy IDE port's. */
static void set_range(struct capture_extra *extra, unsigned index, uint64_t size, unsigned vfs)
{
    if (index < CAPTURE_RANGES) {
        extra->size[index] = capture_bar_size_valid(size) ? size : 0;
        return;
    }
    index -= RESOURCE_VF_BARS;
    if (vfs && index < CAPTURE_BARS && size % vfs == 0 && capture_bar_size_valid(size / vfs))
        extra->vf_bar_size[index] = size / vfs;
}

static int read_resources(int directory, struct capture_function *function,
                          struct capture_error *error)
{
    char text[RESOURCE_ROOM], name[SBDF_TEXT_SIZE];
    ssize_t length = read_attribute(directory, "resource", text, sizeof(text));
    unsigned vfs = total_vfs(directory, function), index = 0;
    const char *end = text + (length > 0 ? length : 0);
    const char *newline;

    for (const char *at = text; at < end; at = newline + 1, index++) {
        struct capture_cursor line = {.text = at};
        uint64_t size;

        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline)
            line.length = (size_t)(newline - at);
        if (!newline || read_resource(&line, &size))
            return capture_fail(error, -EINVAL, "%s: line %u of its resource file is malformed",
                                sbdf_format(function->sbdf, name), index + 1);
        set_range(&function->extra, index, size, vfs);
    }
    return 0;
}

/* Unprivileged users are given the header only: 64 bytes, of CardBus bridges 128. */
static int read_config(int directory, struct capture_function *function,
                       struct capture_error *error)
{
    ssize_t length =
        read_attribute(directory, "config", function->config, sizeof(function->config));
    char name[SBDF_TEXT_SIZE];

    sbdf_format(function->sbdf, name);
    if (length < 0 && is_gone((int)length))
        return (int)length;
    if (length < 0)
        return capture_fail(error, -EIO, "%s: its config file cannot be read: %s", name,
                            strerror((int)-length));
    function->size = (uint16_t)length;
    if (!capture_size_valid(function))
        return capture_fail(error, -EINVAL, "%s: its config file has %zd bytes", name, length);
    return 0;
}

static int read_function(int directory, struct capture_function *function,
                         struct capture_error *error)
{
    struct capture_extra *extra = &function->extra;
    char group[sizeof("2147483647")];
    int result = read_config(directory, function, error);

    if (!result)
        result = read_resources(directory, function, error);
    if (result)
        return result;
    extra->numa_node = read_number(directory, "numa_node");
    if (read_link_name(directory, "iommu_group", group, sizeof(group)))
        extra->iommu_group = parse_number(group, strlen(group));
    if (!read_link_name(directory, "driver", extra->driver, sizeof(extra->driver)))
        extra->driver[0] = 0;
    /* Gone meanwhile: what was not there to be read is not what the function has. */
    return faccessat(directory, "config", F_OK, 0) ? -ENODEV : 0;
}

static int add_function(int root, const char *name, struct capture_builder *builder,
                        struct capture_error *error)
{
    struct capture_cursor cursor = {.text = name, .length = strlen(name)};
    struct sbdf sbdf;
    int directory, result;

    /* Leaves out "." and "..", and the wide domains of VMD ("10000:00:00.0"): a segment has 16
     * bits, here as in the PCI Firmware Specification, and what is behind VMD is the VMD's own. */
    if (capture_read_address(&cursor, &sbdf, error) || cursor.at != cursor.length)
        return 0;
    directory = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return is_gone(-errno) ? 0 : capture_fail(error, -EIO, "%s: %s", name, strerror(errno));
    result = capture_builder_add(builder, sbdf, 0, error);
    if (!result) {
        result = read_function(directory, capture_builder_last(builder), error);
        if (is_gone(result)) {
            builder->count--;
            result = 0;
        }
    }
    close(directory);
    return result;
}

int capture_read_sysfs(const char *root, struct capture *capture, struct capture_error *error)
{
    struct capture_builder builder = {.limit = CAPTURE_FUNCTIONS_MAX};
    DIR *directory = opendir(root);
    const struct dirent *entry;
    int result = 0;

    if (!directory)
        return capture_fail(error, -errno, "%.100s cannot be opened: %s", root, strerror(errno));
    while (!result && (entry = readdir(directory)))
        result = add_function(dirfd(directory), entry->d_name, &builder, error);
    closedir(directory);
    if (!result)
        result = capture_builder_finish(&builder, capture, error);
    capture_builder_free(&builder);
    return result;
}
