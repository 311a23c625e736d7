/* SPDX-License-Identifier: MIT */
#include "policy/jar_rights.h"

#include <errno.h>
#include <stdio.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"

#define GRANT_BYTES  6 /* a kind, a right, four of the id */
#define NAME_DEFAULT "default"

/* ---- grants ------------------------------------------------------------------------------ */

void jar_grants_done(struct jar_grants *grants)
{
    mem_free(grants->at);
    *grants = (struct jar_grants){0};
}

int jar_grants_copy(const struct jar_grants *from, struct jar_grants *ret)
{
    struct jar_grants copy = {.count = from->count};

    if (from->count > 0) {
        copy.at = mem_array(from->count, sizeof(*copy.at));
        if (!copy.at)
            return fault(-ENOMEM);
        memcpy(copy.at, from->at, from->count * sizeof(*copy.at));
    }
    *ret = copy;
    return 0;
}

static struct jar_grant *find(const struct jar_grants *grants, uint32_t id, bool is_group)
{
    for (size_t i = 0; i < grants->count; i++) {
        if (grants->at[i].id == id && grants->at[i].is_group == is_group)
            return &grants->at[i];
    }
    return NULL;
}

int jar_grants_set(struct jar_grants *grants, const struct jar_grant *grant)
{
    struct jar_grant *old = find(grants, grant->id, grant->is_group);

    if (old) {
        bool changes = old->right != grant->right;

        *old = *grant;
        return changes;
    }
    if (grants->count >= JAR_GRANTS_MAX)
        return -EDQUOT;
    struct jar_grant *at = mem_array(grants->count + 1, sizeof(*at));
    if (!at)
        return fault(-ENOMEM);
    if (grants->count > 0)
        memcpy(at, grants->at, grants->count * sizeof(*at));
    at[grants->count] = *grant;
    mem_free(grants->at);
    grants->at = at;
    grants->count++;
    return 1;
}

bool jar_grants_remove(struct jar_grants *grants, uint32_t id, bool is_group)
{
    struct jar_grant *at = find(grants, id, is_group);

    if (!at)
        return false;
    *at = grants->at[--grants->count];
    return true;
}

static bool is_for(const struct jar_grant *grant, const struct jar_person *person)
{
    if (!grant->is_group)
        return grant->id == person->uid;
    for (size_t i = 0; i < person->n_gids; i++) {
        if (person->gids[i] == grant->id)
            return true;
    }
    return false;
}

enum jar_right jar_grants_right(const struct jar_grants *grants,
                                const struct jar_person *person)
{
    enum jar_right most = JAR_RIGHT_NONE;

    for (size_t i = 0; i < grants->count; i++) {
        const struct jar_grant *grant = &grants->at[i];

        if (grant->right > (uint8_t)most && is_for(grant, person))
            most = (enum jar_right)grant->right;
    }
    return most;
}

int jar_grants_encode(const struct jar_grants *grants, struct buf *out)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < grants->count; i++) {
        const struct jar_grant *grant = &grants->at[i];
        const char bytes[GRANT_BYTES] = {
            grant->is_group ? 'g' : 'u',    (char)grant->right,
            (char)(grant->id & 0xff),       (char)(grant->id >> 8 & 0xff),
            (char)(grant->id >> 16 & 0xff), (char)(grant->id >> 24 & 0xff),
        };

        r = buf_append(out, (struct span){bytes, sizeof(bytes)});
    }
    return r;
}

static bool decode_one(const unsigned char *at, struct jar_grant *ret)
{
    *ret = (struct jar_grant){
        .id = (uint32_t)at[2] | (uint32_t)at[3] << 8 | (uint32_t)at[4] << 16 |
              (uint32_t)at[5] << 24,
        .is_group = at[0] == 'g',
        .right = at[1],
    };
    return (at[0] == 'g' || at[0] == 'u') && at[1] > JAR_RIGHT_NONE && at[1] <= JAR_RIGHT_WRITE;
}

int jar_grants_decode(struct span bytes, struct jar_grants *ret)
{
    struct jar_grants grants = {0};
    int r =
        bytes.len % GRANT_BYTES == 0 && bytes.len / GRANT_BYTES <= JAR_GRANTS_MAX ? 0 : -EINVAL;

    for (size_t at = 0; r >= 0 && at < bytes.len; at += GRANT_BYTES) {
        struct jar_grant grant;

        r = decode_one((const unsigned char *)bytes.ptr + at, &grant)
                ? jar_grants_set(&grants, &grant)
                : -EINVAL;
    }
    if (r < 0) {
        jar_grants_done(&grants);
        return r;
    }
    *ret = grants;
    return 0;
}

/* ---- names ------------------------------------------------------------------------------- */

bool jar_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > JAR_NAME_MAX || name.ptr[0] == '.' ||
        span_eq(name, SPAN_LIT(JAR_NAME_SYSTEM)))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!ascii_is_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* "UID/NAME" or "UID/PROFILE/NAME". Return: 0 or -EINVAL; *name is what is left of it. */
static int parse_owner(struct span *name, struct jar_ref *ref)
{
    struct span rest = *name;
    struct span uid_text;
    struct span profile = {0};
    uint64_t uid = 0;

    (void)span_split(&rest, '/', &uid_text);
    if (num_parse_u64(uid_text, UINT32_MAX - 1, &uid) < 0)
        return -EINVAL;
    if (rest.len > 0 && memchr(rest.ptr, '/', rest.len)) {
        (void)span_split(&rest, '/', &profile);
        if (profile.len == 0)
            return -EINVAL;
    }
    *name = rest;
    return partition_init(&ref->partition, (uint32_t)uid, profile);
}

int jar_ref_parse(struct span text, const struct partition *asker, struct jar_ref *ret)
{
    struct jar_ref ref = {.partition = *asker};
    struct span name = text;
    int r = 0;

    if (span_eq(text, SPAN_LIT(JAR_NAME_SYSTEM))) {
        ref.partition = (struct partition){.uid = JAR_UID_SYSTEM};
        name = SPAN_LIT(NAME_DEFAULT);
    } else if (text.len == 0) {
        name = SPAN_LIT(NAME_DEFAULT);
    } else if (memchr(text.ptr, '/', text.len)) {
        r = parse_owner(&name, &ref);
    }
    if (r < 0 || !jar_name_is_valid(name))
        return -EINVAL;
    memcpy(ref.name, name.ptr, name.len);
    *ret = ref;
    return 0;
}

void jar_ref_format(const struct jar_ref *ref, const struct partition *asker, char *ret)
{
    const struct partition *owner = &ref->partition;
    int n;

    if (owner->uid == JAR_UID_SYSTEM)
        n = snprintf(ret, JAR_TEXT_MAX, "%s", JAR_NAME_SYSTEM);
    else if (partition_eq(owner, asker))
        n = snprintf(ret, JAR_TEXT_MAX, "%s", ref->name);
    else
        n = snprintf(ret, JAR_TEXT_MAX, "%u/%s%s%s", owner->uid, owner->profile,
                     owner->profile[0] ? "/" : "", ref->name);
    INVARIANT(n >= 0 && n < JAR_TEXT_MAX);
}
