/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which names have different owners below them (https://publicsuffix.org): nobody may set a
 * cookie for "co.uk". A table of functions, so that tests bring a list of their own.
 *
 * Hosts and domains are canonical here: lower case, ASCII, without a trailing dot. libpsl alone
 * takes "co.uk." for an ordinary domain of "a.co.uk.", so who asks strips the dot of a host and
 * refuses it on a Domain before asking.
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/span.h"

struct suffix_rules {
    /* Whether @domain is a public suffix. A name no rule covers is one if it has one label. */
    bool (*is_public)(const struct suffix_rules *self, struct span domain);
    /* The public suffix of @host and one label more, a part of @host; empty if there is none:
     * @host is a public suffix itself. Never asked about addresses. */
    struct span (*registrable)(const struct suffix_rules *self, struct span host);
};

static inline bool suffix_is_public(const struct suffix_rules *rules, struct span domain)
{
    return rules->is_public(rules, domain);
}

static inline struct span suffix_registrable(const struct suffix_rules *rules, struct span host)
{
    return rules->registrable(rules, host);
}

struct suffix_list;

/**
 * suffix_list_new() - the system's list, or the one built into libpsl where that is newer
 *
 * Reads a file: at start, not while serving.
 *
 * Return: 0, -ENOMEM, or -ENOENT when there is no list at all.
 */
MUST_CHECK int suffix_list_new(struct suffix_list **ret);
struct suffix_list *suffix_list_free(struct suffix_list *list);
DEFINE_CLEANUP(suffix_list, suffix_list_free)

/* Borrows from @list; may be used by several threads at once. */
const struct suffix_rules *suffix_list_rules(const struct suffix_list *list);

/* A list of a few names, for tests: those, and every name of one label, are public. */
struct suffix_table {
    struct suffix_rules rules;
    const char *const *names; /* ended by NULL */
};

void suffix_table_init(struct suffix_table *table, const char *const *names);
