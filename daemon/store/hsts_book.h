/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All sets of known hosts of one uid, those that want https and those that can do TLS 1.2
 * (policy/tls_seen.h), and what the disk has not heard of them yet. On the
 * loop's side of a cookie store, which says when changes are worth a note and carries them to
 * the disk with those of the cookies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "policy/hsts.h"
#include "store/hsts_rows.h"

#define HSTS_BOOK_SETS_MAX 256 /* profiles of a uid */

struct hsts_book_events {
    /* Something has changed that has to last. Return: whether to note what. */
    bool (*on_change)(void *owner);
    void (*on_short)(void *owner); /* no memory for a note */
};

struct hsts_book {
    struct map sets;
    size_t all; /* hosts in all sets */
    size_t all_of_tls;
    struct map changes;
    struct link changed; /* the same, oldest first */
    const struct hsts_book_events *events;
    void *owner;
};

void hsts_book_init(struct hsts_book *book, const struct hsts_book_events *events, void *owner);
void hsts_book_done(struct hsts_book *book);

/* The set of a profile, made when it is asked for the first time; it lives as long as the book.
 * Return: 0, -EDQUOT past HSTS_BOOK_SETS_MAX, -ENOMEM. */
MUST_CHECK int hsts_book_set(struct hsts_book *book, const char *profile, struct hsts **ret);

/* The servers of a profile that were seen at TLS 1.2; the same. */
MUST_CHECK int hsts_book_seen(struct hsts_book *book, const char *profile, struct hsts **ret);

/* What is there already stays. What may not come back is noted as gone. */
void hsts_book_restore(struct hsts_book *book, const struct saved_hosts *saved, int64_t now_s);

/* All of all sets. Return: how many went. */
uint64_t hsts_book_clear(struct hsts_book *book);

void hsts_book_expire(struct hsts_book *book, int64_t now_s);

bool hsts_book_has_changes(const struct hsts_book *book);
void hsts_book_forget_changes(struct hsts_book *book);
void hsts_book_take_changes(struct hsts_book *book, struct saved_hosts *ret); /* appends */

/* Appends every host. Return: 0 or -ENOMEM. */
MUST_CHECK int hsts_book_collect_all(struct hsts_book *book, struct saved_hosts *ret);
