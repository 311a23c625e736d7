/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose a cookie jar is, and what others may do with it.
 *
 * A jar belongs to a partition and has a name. Its owner, and root, may do all; others what the
 * owner has granted to their uid or to a group their process is in. Who a process is, is the
 * kernel's word. The machine's own jar, "system", is nobody's: what may be done with it is the
 * administrator's word.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "base/partition.h"
#include "base/span.h"

#define JAR_NAME_MAX    64
#define JAR_GRANTS_MAX  64
#define JAR_TEXT_MAX    112        /* bytes of "UID/PROFILE/NAME" with its NUL */
#define JAR_UID_SYSTEM  UINT32_MAX /* owner of the machine's jar: no process has this uid */
#define JAR_NAME_SYSTEM "system"

/* Each has those before it. */
enum jar_right {
    JAR_RIGHT_NONE = 0,
    JAR_RIGHT_USE,  /* requests with it; no cookie is ever shown */
    JAR_RIGHT_READ, /* names, attributes, and the values that are not HttpOnly */
    JAR_RIGHT_WRITE,
};

struct jar_grant {
    uint32_t id; /* a uid or a gid */
    bool is_group;
    uint8_t right; /* enum jar_right */
};

struct jar_grants {
    struct jar_grant *at; /* owned; NULL: none */
    size_t count;
};

/* A process, as far as rights go. */
struct jar_person {
    uint32_t uid;
    const uint32_t *gids; /* borrowed */
    size_t n_gids;
};

void jar_grants_done(struct jar_grants *grants);
/* Return: 0 or -ENOMEM. */
MUST_CHECK int jar_grants_copy(const struct jar_grants *from, struct jar_grants *ret);

/* In place of what that uid or gid had. Return: 1 when something changed, 0, -EDQUOT past
 * JAR_GRANTS_MAX, -ENOMEM. */
MUST_CHECK int jar_grants_set(struct jar_grants *grants, const struct jar_grant *grant);
/* Return: whether there was one. */
bool jar_grants_remove(struct jar_grants *grants, uint32_t id, bool is_group);

/* The most that any of them gives. Of root it knows nothing. */
enum jar_right jar_grants_right(const struct jar_grants *grants,
                                const struct jar_person *person);

/* As bytes, for a row. Return: 0 or -ENOMEM / -EMSGSIZE. */
MUST_CHECK int jar_grants_encode(const struct jar_grants *grants, struct buf *out);
/* Return: 0, -EINVAL for bytes that nobody has encoded, -ENOMEM. */
MUST_CHECK int jar_grants_decode(struct span bytes, struct jar_grants *ret);

/* Which jar a name means. */
struct jar_ref {
    struct partition partition; /* its owner's */
    char name[JAR_NAME_MAX + 1];
};

/* 1 to 64 of [a-zA-Z0-9._-], not beginning with '.', not "system". */
bool jar_name_is_valid(struct span name);

/**
 * jar_ref_parse() - "NAME", "" for "default", "system", "UID/NAME", "UID/PROFILE/NAME"
 * @asker: whose a bare name is
 * Return: 0 or -EINVAL.
 */
MUST_CHECK int
jar_ref_parse(struct span text, const struct partition *asker, struct jar_ref *ret);

/* What is wrong with a text that jar_ref_parse() does not take. */
#define JAR_REF_WANTS                                                                          \
    "jar: wants 1 to 64 of letters, digits, '.', '_' and '-', not beginning with '.'; "        \
    "\"system\"; or UID/NAME for a jar of another user"

/* The name under which @asker knows it. @ret: JAR_TEXT_MAX bytes. */
void jar_ref_format(const struct jar_ref *ref, const struct partition *asker, char *ret);

struct cookie_jar;

/* A jar in somebody's hands, embedded there; zero is "holds none". It is taken away when the
 * jar is removed, or the right on it revoked: jar is NULL from then on. */
struct jar_lease {
    struct link link;
    struct cookie_jar *jar;
    enum jar_right right;
    uint32_t owner_uid;
    struct jar_person person;
    void (*on_taken)(struct jar_lease *lease); /* or NULL; the lease may be used again in it */
};

/* Gives it back. */
static inline void jar_lease_close(struct jar_lease *lease)
{
    if (lease->link.next)
        link_remove(&lease->link);
    lease->jar = NULL;
}
