/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The last requests of a uid, for who asks afterwards what happened: everything about them but
 * bodies and secrets. One block of memory for a uid, records one behind the other in it, the
 * oldest overwritten; a record costs two copies of each list of field lines, and no allocation.
 * A record is made with the head, or with the end of a request that had none; each answer that
 * is not the last (a redirect, a login that is asked for) has one of its own, of the same id.
 *
 * Bounded whoever comes: HISTORY_BYTES for a uid, HISTORY_USERS of them; then the one used
 * longest ago goes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/partition.h"
#include "base/span.h"
#include "fetch/timing.h"
#include "http/headers.h"
#include "http/url.h"

#define HISTORY_BYTES    172032
#define HISTORY_USERS    64

#define RECORD_URL_MAX   2048  /* bytes shown of a URL */
#define RECORD_LINES_MAX 128   /* field lines of each direction */
#define RECORD_TEXT_MAX  16384 /* bytes of them */
#define RECORD_WORD_MAX  192   /* of everything else */

struct request_head;
struct request_totals;

struct record {
    uint32_t size; /* with all that follows; first */
    bool is_gap;   /* the end of the block, which nothing fitted into */
    bool is_over;
    bool has_head;
    bool reused;
    bool tls_resumed;
    bool from_cache;
    uint8_t early;          /* of enum request_early */
    bool is_hop;            /* of an answer that was not the last of its request */
    struct record **holder; /* who ends it; set to NULL there when its place is taken */
    uint64_t id;
    uint64_t client_id;
    int64_t begun_us;
    int64_t hop_us; /* so long after that the hop began: the answer before had come */
    struct partition partition;
    unsigned status;
    unsigned http_version;
    unsigned redirects;
    uint64_t connection_id;
    uint16_t remote_port;
    /* Behind the struct: slots of both lists, what they count from, and the words below. */
    uint32_t n_sent;
    uint32_t n_received;
    uint32_t n_left_out;
    struct header_slot *slots; /* those sent first */
    char *sent;
    char *received;
    struct span method, url, program;
    struct span reason, address, proxy, tls_version, tls_cipher;
    /* With .is_over, else not written: */
    uint64_t body_bytes, wire_bytes, upload_bytes, header_bytes, request_bytes;
    struct request_timing timing;
    struct failure failure;
};

/* The @i-th line, of those sent and then of those received. */
struct header record_line(const struct record *record, uint32_t i);

struct history;

struct histories {
    struct history *at[HISTORY_USERS];
    uint64_t uses; /* so far: tells who was used longest ago */
};

void histories_done(struct histories *histories);
void history_forget(struct histories *histories, uint32_t uid);          /* and wipes it */
uint64_t history_bytes(const struct histories *histories, uint32_t uid); /* that it holds */

/* What a record is made of; borrowed. */
struct record_source {
    struct record **holder; /* or NULL */
    uint64_t id;
    uint64_t client_id;
    int64_t begun_us;
    int64_t hop_us;
    bool is_hop;
    const struct partition *partition;
    struct span program;
    struct span method;
    const struct url *url;           /* with its secrets */
    const struct request_head *head; /* NULL: none yet */
};

/* A record that stays until others need its place. Return: NULL for lack of memory. */
struct record *history_add(struct histories *histories, const struct record_source *source);

/* The same, for the moment: in @block of so many bytes, as far as it goes. */
struct record *record_make(const struct record_source *source, void *block, size_t size);
#define RECORD_SCRATCH_BYTES 8192 /* enough without a head */

void record_end(struct record *record,
                const struct failure *why,
                const struct request_totals *totals,
                const struct request_timing *timing);

/* Of @uid, or with @any_uid of anybody. Return: NULL: none of the last ones. */
const struct record *
history_find(const struct histories *histories, uint32_t uid, bool any_uid, uint64_t id);

/* @before: NULL: the first. Return: the next record of the same request, its answers in order
 * and the last of them, or how it ended, behind them; NULL: that was all. */
const struct record *history_next_hop(const struct histories *histories,
                                      uint32_t uid,
                                      bool any_uid,
                                      uint64_t id,
                                      const struct record *before);
