/* SPDX-License-Identifier: MIT */
#pragma once

/* Uids that are nobody's for long: what is kept for one could be found by another. */

#include <stdbool.h>
#include <stdint.h>

#define UID_OVERFLOW      65534
#define UID_DYNAMIC_FIRST 61184 /* systemd's DynamicUser= */
#define UID_DYNAMIC_LAST  65519

static inline bool uid_is_kept(uint32_t uid)
{
    return uid != UID_OVERFLOW && (uid < UID_DYNAMIC_FIRST || uid > UID_DYNAMIC_LAST);
}
