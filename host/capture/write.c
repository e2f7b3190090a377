/* SPDX-License-Identifier: MIT */
/*
 * The text of lspci -D -n -xxxx, for lspci -F and for capture_read_text().
 */
#include <berth/errno.h>

#include "host/capture/internal.h"

#define LINE_BYTES 16
#define LINE_ROOM 64

#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define CLASS_CODE 0x0a

static unsigned config_word(const struct capture_function *function, unsigned reg)
{
    return function->config[reg] | (unsigned)function->config[reg + 1] << 8;
}

/* By hand: a large machine has 16 million of these lines, and printf would take minutes. */
static size_t format_line(const uint8_t *bytes, unsigned offset, char text[LINE_ROOM])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    if (offset > 0xff)
        text[at++] = digits[offset >> 8];
    text[at++] = digits[offset >> 4 & 0xf];
    text[at++] = digits[offset & 0xf];
    text[at++] = ':';
    for (int i = 0; i < LINE_BYTES; i++) {
        text[at++] = ' ';
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 0xf];
    }
    text[at++] = '\n';
    return at;
}

static void write_function(const struct capture_function *function, FILE *out)
{
    char text[LINE_ROOM];

    fprintf(out, "%s %04x: %04x:%04x\n", sbdf_format(function->sbdf, text),
            config_word(function, CLASS_CODE), config_word(function, VENDOR_ID),
            config_word(function, DEVICE_ID));
    for (unsigned offset = 0; offset < function->size; offset += LINE_BYTES)
        fwrite(text, 1, format_line(function->config + offset, offset, text), out);
    fputc('\n', out);
}

int capture_write_text(const struct capture *capture, FILE *out)
{
    for (size_t i = 0; i < capture->count && !ferror(out); i++)
        write_function(&capture->functions[i], out);
    return fflush(out) || ferror(out) ? -EIO : 0;
}
