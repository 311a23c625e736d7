/* SPDX-License-Identifier: MIT */
#include "base/partition.h"

#include <errno.h>

#include "base/ascii.h"

int partition_init(struct partition *ret, uint32_t uid, struct span profile)
{
    struct partition partition = {.uid = uid};

    if (profile.len >= sizeof(partition.profile))
        return -EINVAL;
    for (size_t i = 0; i < profile.len; i++) {
        char c = profile.ptr[i];

        if (!ascii_is_digit(c) && !(ascii_is_alpha(c) && !ascii_is_upper(c)) && c != '_' &&
            c != '-')
            return -EINVAL;
        partition.profile[i] = c;
    }
    *ret = partition;
    return 0;
}
