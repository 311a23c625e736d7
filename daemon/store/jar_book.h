/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All jars of one uid: by profile and name, who has them in hand, who else may, and which rows
 * of them the disk has not heard of yet. On the loop's side of a cookie store, which hears of
 * the cookies in them and says when changes are worth a note.
 *
 * A jar is made by its first use and lasts as long as its cookies; one that was made on purpose
 * or that has grants lasts until it is removed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/partition.h"
#include "policy/cookie_jar.h"
#include "policy/jar_rights.h"
#include "store/jar_rows.h"

struct jar_book;

struct stored_jar {
    struct map_node node; /* key: profile, NUL, name */
    struct jar_book *book;
    struct cookie_jar *jar;
    struct cookie_observer observer; /* the store's */
    struct link leases;              /* struct jar_lease */
    char profile[PARTITION_PROFILE_MAX];
    char name[JAR_NAME_MAX + 1];
    int64_t created_s;
    struct jar_grants grants;
    bool is_kept; /* there is a row of it */
    char key[];
};

struct jar_book_events {
    /* A row has changed. Return: whether to note it. */
    bool (*on_change)(void *owner);
    void (*on_short)(void *owner);        /* no memory for a note */
    const struct cookie_changes *cookies; /* the owner of these is the struct stored_jar */
};

struct jar_book {
    struct map jars;
    struct map changes;
    struct link changed; /* the same, oldest first */
    const struct suffix_rules *rules;
    struct cookie_jar_options options; /* of each jar */
    size_t jars_max;
    const struct jar_book_events *events;
    void *owner;
};

/* @options: copied. */
void jar_book_init(struct jar_book *book,
                   const struct suffix_rules *rules,
                   const struct cookie_jar_options *options,
                   const struct jar_book_events *events,
                   void *owner);
void jar_book_done(struct jar_book *book);

/* Of every jar, see cookie_options_set_limits(). */
void jar_book_set_limits(struct jar_book *book, const struct cookie_jar_options *from);

/* NULL: there is none. @name: not empty. */
struct stored_jar *
jar_book_find(const struct jar_book *book, const char *profile, struct span name);

/* Found or made. @now_s: when it is made. Return: 0, -EINVAL for a name of another shape,
 * -EDQUOT past jars_max, -ENOMEM. */
MUST_CHECK int jar_book_get(struct jar_book *book,
                            const char *profile,
                            struct span name,
                            int64_t now_s,
                            struct stored_jar **ret);

/* It lasts from now on, empty or not. */
void jar_book_keep(struct stored_jar *in);

/* Its cookies go, whoever had it in hand has it no longer, @in is freed. */
void jar_book_remove(struct stored_jar *in);

/* Changes what another may do; who has the jar in hand and may no longer, loses it. Return: 1
 * when something changed, 0, -EDQUOT, -ENOMEM. */
MUST_CHECK int jar_book_grant(struct stored_jar *in, const struct jar_grant *grant);
bool jar_book_revoke(struct stored_jar *in, uint32_t id, bool is_group);

/* Whoever has a jar of the book in hand and may no longer, by @may's word, loses it. */
void jar_book_check(struct jar_book *book,
                    bool (*may)(void *arg, const struct jar_lease *lease),
                    void *arg);

/* Into the hands of @lease->person, with @lease->right. */
void jar_book_lend(struct stored_jar *in, struct jar_lease *lease);

/* What is there already stays. */
void jar_book_restore(struct jar_book *book, const struct saved_jars *saved);

bool jar_book_has_changes(const struct jar_book *book);
void jar_book_forget_changes(struct jar_book *book);
void jar_book_take_changes(struct jar_book *book, struct saved_jars *ret); /* appends */

/* Appends every row. Return: 0 or -ENOMEM. */
MUST_CHECK int jar_book_collect_all(struct jar_book *book, struct saved_jars *ret);
