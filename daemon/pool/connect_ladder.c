/* SPDX-License-Identifier: MIT */
#include "pool/connect_ladder.h"

#include "base/log.h"
#include "loop/loop.h"
#include "net/io_tls.h"
#include "net/tls_context.h"
#include "policy/rung_memory.h"
#include "pool/connector.h"

static uint16_t least_version(const struct pool_tls *tls)
{
    if (tls->old_version)
        return tls->old_version;
    return tls->min_version ? tls->min_version : TLS_VERSION_1_2;
}

static int64_t now_s(const struct connect_ladder *ladder)
{
    return loop_now_us(ladder->parts->loop) / 1000000;
}

static struct tls_place place_of(const struct connect_ladder *ladder)
{
    return (struct tls_place){&ladder->key->partition, &ladder->key->origin};
}

bool connect_ladder_init(struct connect_ladder *ladder,
                         const struct net_connector_parts *parts,
                         const struct pool_key *key)
{
    uint16_t max = key->tls.max_version ? key->tls.max_version : TLS_VERSION_1_3;

    *ladder = (struct connect_ladder){.parts = parts, .key = key};
    struct tls_place place = place_of(ladder);
    uint16_t remembered =
        key->origin.is_https ? rung_memory_find(parts->rung_memory, &place, now_s(ladder)) : 0;
    tls_ladder_init(&ladder->steps, least_version(&key->tls), max, remembered);
    ladder->rung.version = ladder->steps.rung;
    return ladder->steps.is_remembered;
}

void connect_ladder_limit(const struct connect_ladder *ladder, struct io_tls_options *ret)
{
    ret->min_version = ladder->key->tls.old_version;
    ret->max_version = ladder->steps.rung;
    ret->is_fallback = ladder->steps.rung != 0;
}

bool connect_ladder_next(struct connect_ladder *ladder,
                         const struct io *io,
                         const struct failure *why)
{
    struct tls_place place = place_of(ladder);
    struct io_tls_trouble seen = io_tls_trouble(io);
    struct tls_trouble trouble = {
        .in_first_flight = seen.in_first_flight,
        .alert = seen.alert,
        .is_foreign_record = seen.is_foreign_record,
        .was_pushed_down = seen.was_pushed_down,
    };

    if (ladder->steps.is_remembered)
        rung_memory_drop(ladder->parts->rung_memory, &place);
    int next = tls_ladder_next(&ladder->steps, &trouble);
    if (next == TLS_LADDER_STOP)
        return false;
    if (next == TLS_LADDER_STEP && ladder->first.kind == FAILURE_NONE)
        ladder->first = *why;
    ladder->rung = (struct tls_rung){.version = ladder->steps.rung, .cause = *why};
    log_debug(NULL, "%s: TLS once more, with 0x%04x at most: %s", ladder->key->origin.host,
              ladder->steps.rung ? ladder->steps.rung : ladder->steps.max_version, why->text);
    return true;
}

/* Who verifies nothing learns nothing that others would rely on. */
void connect_ladder_worked(const struct connect_ladder *ladder, const struct io *io)
{
    const struct tls_ladder *steps = &ladder->steps;
    struct rung_memory *memory = ladder->parts->rung_memory;
    struct tls_place place = place_of(ladder);

    if (ladder->key->tls.insecure || steps->is_remembered)
        return;
    if (steps->rung != 0)
        rung_memory_note(memory, &place, steps->rung, now_s(ladder));
    else if (steps->max_version == TLS_VERSION_1_3 ||
             io_tls_info(io)->version > rung_memory_find(memory, &place, now_s(ladder)))
        rung_memory_drop(memory, &place);
}
