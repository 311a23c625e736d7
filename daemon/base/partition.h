/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who asks: a uid, told by the kernel, and an optional named profile. It keys cookies,
 * credentials, TLS sessions and pooled connections; nothing crosses from one to another.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define PARTITION_PROFILE_MAX 32 /* bytes with the NUL */

struct partition {
    uint32_t uid;
    char profile[PARTITION_PROFILE_MAX]; /* "" is the unnamed one; zero-padded */
};

/**
 * partition_init() - a partition of @uid
 * @profile: "" or 1 to 31 of [a-z0-9_-]
 * Return: 0 or -EINVAL for a profile of another shape.
 */
MUST_CHECK int partition_init(struct partition *ret, uint32_t uid, struct span profile);

static inline bool partition_eq(const struct partition *a, const struct partition *b)
{
    return a->uid == b->uid && memcmp(a->profile, b->profile, sizeof(a->profile)) == 0;
}
