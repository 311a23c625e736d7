/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hosts that are to be asked over https alone (RFC 6797 §8): one set for each partition,
 * nothing here knows of others. In memory; an observer keeps what has to last.
 *
 * A host is matched without a trailing dot and never as an address. An entry belongs to exactly
 * the host that sent the field: what a subdomain says changes nothing for the domain above it.
 * The number of entries is bounded; the least recently used one makes way.
 *
 * What else is known of servers for some time is kept in such sets, too: policy/tls_seen.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "http/host.h"
#include "http/url.h"

#define HSTS_TEXT_MAX (HOST_NAME_BYTES_MAX + sizeof(":65535")) /* of any_text */

struct hsts_host {
    struct span host; /* canonical, without a trailing dot */
    int64_t expires_s;
    bool include_subdomains;
};

struct hsts_options {
    size_t hosts_max; /* 1000 */
    size_t all_max;   /* 16384, of all sets that share .all */
    size_t *all;      /* counter shared by several sets; NULL: the set's own */
    bool any_text;    /* a "host" is any text of 1 to HSTS_TEXT_MAX bytes, matched as it is */
};

struct hsts_options hsts_options_default(void);

/* Told of every change that has to last, after it was made; NULL is "was not" and "is no more".
 * Borrowed for the call. The set must not be changed from inside. */
struct hsts_changes {
    void (*on_change)(void *owner,
                      const struct hsts_host *before,
                      const struct hsts_host *after);
};

struct hsts;

MUST_CHECK int hsts_new(struct hsts **ret, const struct hsts_options *options); /* or -ENOMEM */
struct hsts *hsts_free(struct hsts *set); /* the observer is told nothing */
DEFINE_CLEANUP(hsts, hsts_free)

/* One observer; @changes borrowed. */
void hsts_observe(struct hsts *set, const struct hsts_changes *changes, void *owner);

size_t hsts_count(const struct hsts *set);

enum hsts_outcome {
    HSTS_UNCHANGED = 0, /* nothing that has to last: it may live longer in memory now */
    HSTS_CHANGED,
    HSTS_REFUSED, /* an address, no name DNS could carry, or no place */
};

/**
 * hsts_note() - what a Strict-Transport-Security field that may be believed asks for
 * @host:      as url.host has it
 * @max_age_s: 0 to HSTS_MAX_AGE_MAX; 0 removes the entry of this very host
 *
 * A host that repeats its field with each answer moves its expiry each time; the observer hears
 * of it only when what it knows is off by a 64th of @max_age_s.
 *
 * Return: one of enum hsts_outcome, or -ENOMEM (nothing changed).
 */
MUST_CHECK int hsts_note(struct hsts *set,
                         struct span host,
                         int64_t max_age_s,
                         bool include_subdomains,
                         int64_t now_s);

/* Whether a host is to be asked over https alone (§8.2): by its own entry, or by one above it
 * with includeSubDomains. @host: as url.host has it. What is found counts as used. */
bool hsts_is_secure(struct hsts *set, struct span host, int64_t now_s);

/* Whether this very host has an entry; none above it counts. What is found counts as used. */
bool hsts_has(struct hsts *set, struct span host, int64_t now_s);

/**
 * hsts_restore() - put back an entry of an earlier life; the observer is told nothing
 *
 * One that is there already stays, and it is HSTS_UNCHANGED.
 *
 * Return: HSTS_CHANGED, HSTS_UNCHANGED, HSTS_REFUSED (also: expired), or -ENOMEM.
 */
MUST_CHECK int hsts_restore(struct hsts *set, const struct hsts_host *saved, int64_t now_s);

/* By the user's hand. @host: canonical. Return: how many went. */
size_t hsts_remove(struct hsts *set, struct span host);
size_t hsts_clear(struct hsts *set);
size_t hsts_expire(struct hsts *set, int64_t now_s);

/* All, least recently used first; @fn returns whether to go on, and must not change the set. */
void hsts_each(struct hsts *set,
               bool (*fn)(void *arg, const struct hsts_host *host),
               void *arg);

/**
 * hsts_upgrade() - the https URL for an http URL of a known host (§8.3)
 *
 * Port 80 becomes 443, any other port stays; so does everything else.
 *
 * Return: as url_parse(). @ret is filled on URL_OK; end it with url_done().
 */
MUST_CHECK int hsts_upgrade(const struct url *url, struct url *ret);
