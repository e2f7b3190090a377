/* SPDX-License-Identifier: MIT */
#include <berth/sbdf.h>

#include <berth/errno.h>

static char *put_hex(char *out, unsigned value, unsigned digits)
{
    while (digits--)
        *out++ = "0123456789abcdef"[value >> (4 * digits) & 0xfu];
    return out;
}

const char *sbdf_format(struct sbdf s, char text[SBDF_TEXT_SIZE])
{
    char *out = put_hex(text, s.segment, 4);

    *out++ = ':';
    out = put_hex(out, s.bus, 2);
    *out++ = ':';
    out = put_hex(out, sbdf_device(s), 2);
    *out++ = '.';
    out = put_hex(out, sbdf_function(s), 1);
    *out = '\0';
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One field of 1 to @digits digits that ends at @end; returns what is behind it, or NULL. */
static const char *get_field(const char *in, unsigned digits, char end, unsigned max,
                             unsigned *value)
{
    unsigned count = 0;

    for (*value = 0; hex_digit(*in) >= 0; in++, count++)
        if (count < digits)
            *value = *value << 4 | (unsigned)hex_digit(*in);
    if (!count || count > digits || *in != end || *value > max)
        return NULL;
    return end ? in + 1 : in;
}

int sbdf_parse(const char *text, struct sbdf *s)
{
    unsigned segment = 0, bus, device, function, colons = 0;

    for (const char *c = text; *c; c++)
        colons += *c == ':';
    if (colons == 2)
        text = get_field(text, 4, ':', 0xffff, &segment);
    else if (colons != 1)
        return -EINVAL;
    text = text ? get_field(text, 2, ':', 0xff, &bus) : NULL;
    text = text ? get_field(text, 2, '.', 0x1f, &device) : NULL;
    text = text ? get_field(text, 1, '\0', 7, &function) : NULL;
    if (!text)
        return -EINVAL;
    *s = sbdf_make(segment, bus, device, function);
    return 0;
}
