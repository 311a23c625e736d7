/* SPDX-License-Identifier: MIT */
#include "base/num.h"

#include <errno.h>

#include "base/ascii.h"

static int parse(struct span text, unsigned base, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (text.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int digit = ascii_hex_value(text.ptr[i]);

        if (digit < 0 || (unsigned)digit >= base)
            return -EINVAL;
        if (value > (max - (unsigned)digit) / base || (unsigned)digit > max)
            return -ERANGE;
        value = value * base + (unsigned)digit;
    }
    *ret = value;
    return 0;
}

int num_parse_u64(struct span text, uint64_t max, uint64_t *ret)
{
    return parse(text, 10, max, ret);
}

int num_parse_hex_u64(struct span text, uint64_t max, uint64_t *ret)
{
    return parse(text, 16, max, ret);
}
