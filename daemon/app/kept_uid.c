/* SPDX-License-Identifier: MIT */
#include "app/kept_uid.h"

#include <pwd.h>
#include <stdio.h>

#include "base/mem.h"

#define PASSWD_BYTES 16384

bool uid_name(uint32_t uid, char *ret, size_t size)
{
    CLEANUP_MEM char *bytes = mem_alloc(PASSWD_BYTES);
    struct passwd entry;
    struct passwd *found = NULL;

    if (!bytes || getpwuid_r(uid, &entry, bytes, PASSWD_BYTES, &found) != 0 || !found)
        return false;
    return (size_t)snprintf(ret, size, "%s", found->pw_name) < size;
}
