/* SPDX-License-Identifier: MIT */
#include "app/system_jar.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#define RECORD_BYTES (256 * 1024) /* of a group with many members */

/* Return: whether there is such a user or group. */
static bool find_id(const char *name, struct jar_grant *grant, char *record)
{
    struct passwd user;
    struct passwd *found_user = NULL;
    struct group group;
    struct group *found_group = NULL;
    uint64_t number = 0;

    if (num_parse_u64(span_of(name), UINT32_MAX - 1, &number) == 0) {
        grant->id = (uint32_t)number;
        return true;
    }
    if (grant->is_group) {
        if (getgrnam_r(name, &group, record, RECORD_BYTES, &found_group) != 0 || !found_group)
            return false;
        grant->id = group.gr_gid;
        return true;
    }
    if (getpwnam_r(name, &user, record, RECORD_BYTES, &found_user) != 0 || !found_user)
        return false;
    grant->id = user.pw_uid;
    return true;
}

/* One word: "user", "@group" or a number of either. The group of the default is made by who
 * wants it. Return: 0, -EDQUOT, -ENOMEM. */
static int add_word(struct jar_grants *grants,
                    const char *key,
                    struct span word,
                    enum jar_right right,
                    char *record)
{
    struct jar_grant grant = {.is_group = word.ptr[0] == '@', .right = (uint8_t)right};
    char name[CONFIG_TEXT_MAX] = "";

    word = span_drop(word, grant.is_group ? 1 : 0);
    if (word.len > 0)
        memcpy(name, word.ptr, word.len);
    if (!find_id(name, &grant, record)) {
        bool is_default = grant.is_group && strcmp(name, "xhrd") == 0;
        log_at(is_default ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, NULL,
               "%s=: there is no %s %s now, and nobody gets that right", key,
               grant.is_group ? "group" : "user", name);
        return 0;
    }
    int r = jar_grants_set(grants, &grant);
    return r < 0 ? r : 0;
}

static int add_words(struct jar_grants *grants,
                     const char *key,
                     const char *words,
                     enum jar_right right,
                     char *record)
{
    struct span rest = span_of(words);
    struct span word;
    int r = 0;

    while (r == 0 && rest.len > 0) {
        (void)span_split(&rest, ' ', &word);
        if (word.len > 0)
            r = add_word(grants, key, word, right, record);
    }
    return r;
}

/* The most comes last: who is named twice has it. */
int system_jar_grants(const struct config *config, struct jar_grants *ret)
{
    CLEANUP_MEM char *record = mem_alloc(RECORD_BYTES);
    struct jar_grants grants = {0};

    if (!record)
        return fault(-ENOMEM);
    int r = add_words(&grants, "SystemJarUse", config->system_jar_use, JAR_RIGHT_USE, record);
    if (r == 0)
        r = add_words(&grants, "SystemJarRead", config->system_jar_read, JAR_RIGHT_READ,
                      record);
    if (r == 0)
        r = add_words(&grants, "SystemJarWrite", config->system_jar_write, JAR_RIGHT_WRITE,
                      record);
    if (r < 0) {
        jar_grants_done(&grants);
        return r;
    }
    *ret = grants;
    return 0;
}

int administrators_of(const struct config *config, struct jar_grants *ret)
{
    CLEANUP_MEM char *record = mem_alloc(RECORD_BYTES);
    struct jar_grants grants = {0};

    if (!record)
        return fault(-ENOMEM);
    int r = add_words(&grants, "Administrators", config->administrators, JAR_RIGHT_USE, record);
    if (r < 0) {
        jar_grants_done(&grants);
        return r;
    }
    *ret = grants;
    return 0;
}
