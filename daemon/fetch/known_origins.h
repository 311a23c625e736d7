/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The origins of the requests under way, each of them once: thousands of requests go to few.
 * Counted by the requests; the one that was asked for last stays, so that one request after
 * another to the same origin finds it.
 */

#include "base/map.h"
#include "http/origin.h"

struct known_origin {
    struct map_node node; /* in known_origins->map, by its text */
    unsigned n_users;
    struct origin origin;
    char text[ORIGIN_TEXT_SIZE];
};

struct known_origins {
    struct map map;
    struct known_origin *last; /* counted; NULL: none yet */
};

#define KNOWN_ORIGINS_INIT ((struct known_origins){.map = MAP_INIT})

/**
 * known_origins_get() - the origin of a URL, to be given back with known_origins_put()
 * Return: ORIGIN_OK, another of enum origin_outcome, or -ENOMEM.
 */
MUST_CHECK int known_origins_get(struct known_origins *origins,
                                 const struct url *url,
                                 const struct origin **ret);
void known_origins_put(struct known_origins *origins,
                       const struct origin *origin);    /* or NULL */
void known_origins_done(struct known_origins *origins); /* nobody uses one any more */

/* "https://h:8443", of one that was got; as long as that is kept. "" for NULL. */
const char *known_origin_text(const struct origin *origin);
