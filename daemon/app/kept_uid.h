/* SPDX-License-Identifier: MIT */
#pragma once

/* Uids that are nobody's for long: what is kept for one could be found by another. And names of
 * the others, for a uid may be given to another user some day. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UID_OVERFLOW      65534
#define UID_DYNAMIC_FIRST 61184 /* systemd's DynamicUser= */
#define UID_DYNAMIC_LAST  65519

static inline bool uid_is_kept(uint32_t uid)
{
    return uid != UID_OVERFLOW && (uid < UID_DYNAMIC_FIRST || uid > UID_DYNAMIC_LAST);
}

/* On a worker thread: a name service may take its time. Return: whether it is known, and fits.
 */
bool uid_name(uint32_t uid, char *ret, size_t size);
