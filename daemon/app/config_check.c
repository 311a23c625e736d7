/* SPDX-License-Identifier: MIT */
#include "app/config_check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"

#define RECORD_BYTES (256 * 1024) /* of a group with many members */

struct search {
    const struct access_policy *policy;
    struct buf *notes;
    char *record;
};

/* The database's silence is no stranger. */
static bool is_known(const struct search *search, const struct access_one *one, bool is_group)
{
    struct passwd user;
    struct passwd *found_user = NULL;
    struct group group;
    struct group *found_group = NULL;

    if (one->is_number)
        return true;
    if (is_group)
        return getgrnam_r(one->name, &group, search->record, RECORD_BYTES, &found_group) != 0 ||
               found_group;
    return getpwnam_r(one->name, &user, search->record, RECORD_BYTES, &found_user) != 0 ||
           found_user;
}

static int note(const struct search *search,
                const struct access_one *one,
                bool is_group,
                unsigned line,
                const char *where)
{
    if (is_known(search, one, is_group))
        return 0;
    return buf_append_format(search->notes, "%s:%u: %s: there is no %s %s now\n",
                             search->policy->path, line, where, is_group ? "group" : "user",
                             one->name);
}

static int note_people(const struct search *search)
{
    const struct access_section *general = search->policy->sections[0];
    char where[32];
    int r = 0;

    for (int k = ACCESS_DENY_USERS; k <= ACCESS_ALLOW_GROUPS; k++) {
        const struct access_people *people = &general->people[k - ACCESS_DENY_USERS];
        bool are_groups = k == ACCESS_DENY_GROUPS || k == ACCESS_ALLOW_GROUPS;

        (void)snprintf(where, sizeof(where), "%s=", access_key_name((enum access_key)k));
        for (size_t i = 0; r == 0 && i < people->n; i++)
            r = note(search, &people->at[i], are_groups, general->lines[k], where);
    }
    return r;
}

static int note_sections(const struct search *search)
{
    char title[ACCESS_TITLE_SIZE];
    int r = 0;

    for (size_t i = 1; r == 0 && i < search->policy->n; i++) {
        const struct access_section *section = search->policy->sections[i];

        r = note(search, &section->of, section->scope == ACCESS_GROUP, section->line,
                 access_section_title(section, title));
    }
    return r;
}

int config_note_strangers(const struct config *config, struct buf *notes)
{
    CLEANUP_MEM char *record = mem_alloc(RECORD_BYTES);
    const struct search search = {config->access, notes, record};

    if (!record)
        return fault(-ENOMEM);
    if (!config->access)
        return 0;
    int r = note_people(&search);
    return r == 0 ? note_sections(&search) : r;
}
