/* SPDX-License-Identifier: MIT */
#include "support/fetch_world.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/request_priv.h"
#include "http/url.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "net/io_pair.h"
#include "policy/cookie_jar.h"
#include "policy/hsts.h"
#include "policy/tls_seen.h"
#include "pool/pool.h"
#include "pool/pool_stats.h"
#include "pool/proxy_step.h"
#include "support/test.h"
#include "transport/conn.h"

struct connect_attempt {
    struct fetch_world *world;
    const struct pool_key *key;
    const struct connect_events *events;
    void *owner;
    struct link link;
};

/* ---- connecting ---------------------------------------------------------------------------
 */

static int fake_start(struct connector *connector,
                      const struct pool_key *key,
                      const struct connect_events *events,
                      void *owner,
                      struct connect_attempt **ret)
{
    struct fetch_world *world = CONTAINER_OF(connector, struct fetch_world, connector);
    struct connect_attempt *attempt = calloc(1, sizeof(*attempt));

    assert_non_null(attempt);
    *attempt = (struct connect_attempt){world, key, events, owner, {0}};
    list_append(&world->attempts, &attempt->link);
    world->n_attempts++;
    events->on_stage(owner, WAIT_DNS);
    *ret = attempt;
    return 0;
}

static void attempt_end(struct connect_attempt *attempt)
{
    link_remove(&attempt->link);
    attempt->world->n_attempts--;
    free(attempt);
}

static const struct connector_ops connector_ops = {.start = fake_start, .cancel = attempt_end};

static struct connect_attempt *first_attempt(struct fetch_world *world)
{
    assert_false(list_is_empty(&world->attempts));
    return CONTAINER_OF(list_first(&world->attempts), struct connect_attempt, link);
}

size_t world_dialled_addresses(struct fetch_world *world)
{
    return first_attempt(world)->key->route.n_addresses;
}

void world_stage(struct fetch_world *world, enum wait_reason stage)
{
    struct connect_attempt *attempt = first_attempt(world);

    attempt->events->on_stage(attempt->owner, stage);
    world_turn(world);
}

int world_errno = ECONNREFUSED;

static void tell_refused(const struct connect_attempt *attempt, enum failure_kind kind)
{
    struct failure why;

    failure_set(&why, kind, "nobody there");
    why.phase = PHASE_CONNECT;
    why.sys_errno = kind == FAILURE_CONNECT ? world_errno : 0;
    why.code = kind == FAILURE_DNS ? (uint32_t)-EAI_AGAIN : 0;
    attempt->events->on_failed(attempt->owner, &why);
}

static void connect_one(struct fetch_world *world)
{
    struct connect_attempt attempt = *first_attempt(world);
    struct fake_server *server = &world->servers[world->n_servers++];
    struct lease_timing timing = {.name_lookup_us = world->clock.now_us,
                                  .connected_us = world->clock.now_us};
    struct io *io = NULL;
    struct conn *conn = NULL;

    assert_true(world->n_servers <= WORLD_SERVERS_MAX);
    (void)snprintf(server->host, sizeof(server->host), "%s", attempt.key->origin.host);
    server->port = attempt.key->origin.port;
    server->may_be_early = attempt.events->goes_early(attempt.owner);
    const struct pool_proxy *proxy = &attempt.key->proxy;
    server->way = proxy->way;
    (void)pool_proxy_format(proxy, server->proxy);
    (void)snprintf(server->proxy_login, sizeof(server->proxy_login), "%.*s%s%.*s",
                   (int)proxy->user.len, proxy->user.len ? proxy->user.ptr : "",
                   proxy->scheme == AUTH_SCHEME_NONE ? "" : ":", (int)proxy->password.len,
                   proxy->password.len ? proxy->password.ptr : "");
    if (attempt.key->route.host.len)
        (void)snprintf(server->host, sizeof(server->host), "%.*s",
                       (int)attempt.key->route.host.len, attempt.key->route.host.ptr);
    attempt_end(first_attempt(world));
    int r = io_pair_new(world->loop, &io, &server->io);
    if (r == 0)
        r = conn_new_h1(world->transport, io, &conn);
    if (r < 0) {
        tell_refused(&attempt, FAILURE_INTERNAL); /* a test lets allocations fail */
        world->n_servers--;
        if (io) { /* a connection takes it on success only */
            io_close(io);
            io_close(TAKE(server->io));
        }
        return;
    }
    attempt.events->on_connected(attempt.owner, conn, &timing);
}

static void refuse_one(struct fetch_world *world, enum failure_kind kind)
{
    struct connect_attempt attempt = *first_attempt(world);

    attempt_end(first_attempt(world));
    tell_refused(&attempt, kind);
}

void world_connect(struct fetch_world *world)
{
    connect_one(world);
    world_turn(world);
}

void world_refuse(struct fetch_world *world, enum failure_kind kind)
{
    refuse_one(world, kind);
    world_turn(world);
}

/* ---- rounds -------------------------------------------------------------------------------
 */

void world_turn(struct fetch_world *world)
{
    for (int i = 0; i < 6; i++) {
        while (!world->hold_connects && !list_is_empty(&world->attempts)) {
            if (world->refuse)
                refuse_one(world, world->refuse);
            else if (world->servers_max && world->n_servers >= world->servers_max)
                refuse_one(world, FAILURE_CONNECT);
            else
                connect_one(world);
        }
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
}

void world_settle_files(struct fetch_world *world)
{
    for (int i = 0; i < 8; i++) {
        worker_drain(world->files);
        world_turn(world);
    }
}

void world_pass_ms(struct fetch_world *world, int64_t ms)
{
    fake_clock_advance_ms(&world->clock, ms);
    world_turn(world);
}

/* ---- cookies ------------------------------------------------------------------------------
 */

static void fake_wait(struct fetch_world *world, struct cookie_wait *wait)
{
    link_init(&wait->link);
    list_append(&world->cookie_waiters, &wait->link);
    wait->store = world;
}

static int fake_open(void *owner,
                     const struct jar_asker *asker,
                     struct span jar,
                     struct cookie_wait *wait,
                     struct jar_lease *ret)
{
    struct fetch_world *world = owner;

    (void)jar;
    if (world->open_result == COOKIE_OPEN_WAIT)
        fake_wait(world, wait);
    if (world->open_result != COOKIE_OPEN_READY)
        return world->open_result;
    ret->jar = world->jar;
    ret->right = world->jar_right;
    ret->owner_uid = world->jar_owner ? world->jar_owner : asker->partition->uid;
    link_init(&ret->link);
    list_append(&world->leases, &ret->link);
    return COOKIE_OPEN_READY;
}

void world_take_jar(struct fetch_world *world)
{
    while (!list_is_empty(&world->leases)) {
        struct jar_lease *lease =
            CONTAINER_OF(list_first(&world->leases), struct jar_lease, link);

        jar_lease_close(lease);
        if (lease->on_taken)
            lease->on_taken(lease);
    }
}

static int fake_do_deed(void *owner,
                        const struct jar_asker *asker,
                        struct jar_deed *deed,
                        struct cookie_wait *wait)
{
    struct fetch_world *world = owner;

    if (world->open_result == COOKIE_OPEN_WAIT)
        fake_wait(world, wait);
    if (world->open_result != COOKIE_OPEN_READY)
        return world->open_result;
    world->last_deed = *deed;
    deed->owner_uid = asker->partition->uid;
    deed->changed = deed->kind == JAR_DEED_END_SESSION ? cookie_jar_end_session(world->jar) : 1;
    return COOKIE_OPEN_READY;
}

static int fake_list(void *owner,
                     const struct jar_asker *asker,
                     const uint32_t *of_uid,
                     struct cookie_wait *wait,
                     const struct jar_listener *listener)
{
    struct fetch_world *world = owner;
    struct jar_grant grant = {.id = 50, .is_group = true, .right = JAR_RIGHT_USE};
    const struct jar_grants grants = {&grant, 1};
    struct jar_ref ref = {.partition = *asker->partition, .name = "work"};

    if (world->open_result == COOKIE_OPEN_WAIT)
        fake_wait(world, wait);
    if (world->open_result != COOKIE_OPEN_READY)
        return world->open_result;
    if (of_uid)
        ref.partition = (struct partition){.uid = *of_uid};
    const struct jar_row row = {.ref = &ref,
                                .grants = &grants,
                                .right = world->jar_right,
                                .count = cookie_jar_count(world->jar),
                                .created_s = 1700000000};
    for (unsigned i = 0; i < world->n_jars; i++)
        listener->on_row(listener->owner, &row);
    return COOKIE_OPEN_READY;
}

static void fake_session_hold(void *owner, uint32_t uid)
{
    struct fetch_world *world = owner;

    world->n_holds++;
    world->last_held = uid;
}

static void fake_session_release(void *owner, uint32_t uid)
{
    struct fetch_world *world = owner;

    (void)uid;
    world->n_holds--;
}

static int fake_open_seen(void *owner, const struct partition *who, struct hsts **ret)
{
    struct fetch_world *world = owner;

    (void)who;
    *ret = world->seen;
    return 0;
}

static int fake_open_hosts(void *owner,
                           const struct partition *who,
                           struct cookie_wait *wait,
                           struct hsts **ret)
{
    struct fetch_world *world = owner;

    (void)who;
    if (world->hosts_result == COOKIE_OPEN_READY)
        *ret = world->hosts;
    else if (world->hosts_result == COOKIE_OPEN_WAIT)
        fake_wait(world, wait);
    return world->hosts_result;
}

static int fake_make_private(void *owner, const struct partition *who, struct cookie_jar **ret)
{
    struct fetch_world *world = owner;
    struct cookie_jar_options options = cookie_jar_options_default();

    (void)who;
    return cookie_jar_new(ret, &world->suffixes.rules, &options);
}

static void fake_open_cancel(struct cookie_wait *wait)
{
    if (!wait->store)
        return;
    link_remove(&wait->link);
    wait->store = NULL;
}

void world_cookies_ready(struct fetch_world *world)
{
    world->open_result = COOKIE_OPEN_READY;
    world->hosts_result = COOKIE_OPEN_READY;
    while (!list_is_empty(&world->cookie_waiters)) {
        struct cookie_wait *wait =
            CONTAINER_OF(list_first(&world->cookie_waiters), struct cookie_wait, link);

        fake_open_cancel(wait);
        wait->on_ready(wait->owner);
    }
    world_turn(world);
}

static int fake_commit(void *owner, uint32_t uid, struct cookie_commit *commit)
{
    struct fetch_world *world = owner;

    world->last_committed = uid;
    if (world->commit_result != COOKIE_COMMIT_WAIT)
        return world->commit_result;
    assert_true(world->n_commits < WORLD_COMMITS_MAX);
    world->commits[world->n_commits++] = commit;
    commit->store = world;
    return COOKIE_COMMIT_WAIT;
}

static void fake_commit_cancel(struct cookie_commit *commit)
{
    struct fetch_world *world = commit->store;
    unsigned kept = 0;

    if (!world)
        return;
    for (unsigned i = 0; i < world->n_commits; i++) {
        if (world->commits[i] != commit)
            world->commits[kept++] = world->commits[i];
    }
    assert_int_equal(kept + 1, world->n_commits);
    world->n_commits = kept;
    commit->store = NULL;
}

void world_cookies_committed(struct fetch_world *world, bool saved)
{
    while (world->n_commits > 0) {
        struct cookie_commit *commit = world->commits[0];

        fake_commit_cancel(commit);
        commit->on_committed(commit->owner, saved);
    }
    world_turn(world);
}

/* ---- life ---------------------------------------------------------------------------------
 */

static bool probe_route(void *owner, const struct address *to)
{
    const struct fetch_world *world = owner;

    (void)to;
    return !world->is_offline;
}

static struct network_state probe_state(void *owner)
{
    const struct fetch_world *world = owner;

    return (struct network_state){!world->is_offline,
                                  world->is_offline ? NETWORK_NONE : NETWORK_LAN};
}

static void make_network(struct fetch_world *world)
{
    struct network_options options = network_options_default();

    world->probe = (struct network_probe){probe_route, probe_state, world};
    world_errno = ECONNREFUSED;
    options.no_netlink = true;
    options.probe = &world->probe;
    assert_int_equal(network_new(&world->network, world->loop, &options), 0);
}

void world_init(struct fetch_world *world)
{
    static const char *const suffixes[] = {"com", "co.uk", NULL};
    struct pool_options pool = pool_options_default();
    struct cookie_jar_options jar = cookie_jar_options_default();
    struct hsts_options hosts = hsts_options_default();
    struct hsts_options seen = tls_seen_options();

    *world = (struct fetch_world){.connector.ops = &connector_ops};
    link_init(&world->attempts);
    link_init(&world->cookie_waiters);
    fake_clock_init(&world->clock, 1800000000);
    world->clock.now_us = 5000000;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(transport_new(&world->transport, world->loop), 0);
    assert_int_equal(pool_new(&world->pool, world->loop, &world->connector, &pool), 0);
    assert_int_equal(worker_pool_new(&world->files, world->loop, 2), 0);
    suffix_table_init(&world->suffixes, suffixes);
    assert_int_equal(cookie_jar_new(&world->jar, &world->suffixes.rules, &jar), 0);
    assert_int_equal(hsts_new(&world->hosts, &hosts), 0);
    assert_int_equal(hsts_new(&world->seen, &seen), 0);
    world->fetcher = malloc(sizeof(*world->fetcher));
    assert_non_null(world->fetcher);
    fetcher_init(world->fetcher, world->loop);
    make_network(world);
    world->fetcher->network = world->network;
    world->fetcher->pool = world->pool;
    world->fetcher->files = world->files;
    auth_cache_init(&world->proxy_logins);
    world->fetcher->proxy_logins = &world->proxy_logins;
    world->fetcher->options.user_agent = "t";
    world->jar_right = JAR_RIGHT_WRITE;
    world->n_jars = 1;
    link_init(&world->leases);
    world->fetcher->cookies = (struct cookie_access){.open = fake_open,
                                                     .do_deed = fake_do_deed,
                                                     .list = fake_list,
                                                     .session_hold = fake_session_hold,
                                                     .session_release = fake_session_release,
                                                     .open_hosts = fake_open_hosts,
                                                     .open_seen = fake_open_seen,
                                                     .open_cancel = fake_open_cancel,
                                                     .make_private = fake_make_private,
                                                     .commit = fake_commit,
                                                     .commit_cancel = fake_commit_cancel,
                                                     .owner = world};
}

void world_done(struct fetch_world *world)
{
    struct pool_counters counters;

    world_turn(world);
    assert_int_equal(world->fetcher->n_requests, 0);
    assert_true(list_is_empty(&world->fetcher->requests));
    assert_true(list_is_empty(&world->cookie_waiters));
    assert_int_equal(world->n_commits, 0);
    assert_true(list_is_empty(&world->leases));
    assert_int_equal(world->n_holds, 0);
    pool_counters(world->pool, &counters);
    assert_int_equal(counters.waiting, 0);
    pool_close_idle(world->pool, POOL_EVERY_UID);
    pool_counters(world->pool, &counters);
    assert_int_equal(counters.connections_open, 0); /* none is held by anybody */
    world->files = worker_pool_free(world->files);
    world_turn(world);
    pool_free(world->pool);
    assert_int_equal(world->n_attempts, 0);
    for (unsigned i = 0; i < world->n_servers; i++) {
        io_close(world->servers[i].io);
        buf_done(&world->servers[i].seen);
    }
    assert_int_equal(loop_turn(world->loop, false), 0);
    transport_free(world->transport);
    cookie_jar_free(world->jar);
    hsts_free(world->hosts);
    hsts_free(world->seen);
    fetcher_done(world->fetcher);
    network_free(world->network);
    auth_cache_done(&world->proxy_logins);
    free(world->fetcher);
    loop_free(world->loop);
}

/* ---- servers ------------------------------------------------------------------------------
 */

struct fake_server *world_server(struct fetch_world *world)
{
    assert_true(world->n_servers > 0);
    return &world->servers[world->n_servers - 1];
}

const char *server_hears(struct fetch_world *world, struct fake_server *server)
{
    ssize_t n;

    buf_clear(&server->seen);
    do {
        assert_int_equal(buf_reserve(&server->seen, 65536), 0);
        n = server->io && !server->is_over ? io_read(server->io, buf_tail(&server->seen), 65536)
                                           : 0;
        if (n > 0)
            buf_commit(&server->seen, (size_t)n);
        else if (n != -EAGAIN)
            server->is_over = true;
        world_turn(world);
    } while (n > 0);
    return buf_c_str(&server->seen);
}

size_t
server_says_bytes(struct fetch_world *world, struct fake_server *server, struct span bytes)
{
    size_t said = 0;
    int idle = 0;

    while (said < bytes.len && idle < 4) {
        struct iovec piece = io_piece(span_drop(bytes, said));
        ssize_t n = io_writev(server->io, &piece, 1);

        if (n < 0 && n != -EAGAIN)
            break;
        idle = n > 0 ? 0 : idle + 1;
        said += n > 0 ? (size_t)n : 0;
        world_turn(world);
    }
    world_turn(world);
    return said;
}

void server_says(struct fetch_world *world, const char *text)
{
    (void)server_says_bytes(world, world_server(world), span_of(text));
}

void server_ends(struct fetch_world *world)
{
    io_pair_send_eof(world_server(world)->io);
    world_turn(world);
}

void server_breaks(struct fetch_world *world, int err)
{
    io_pair_break(world_server(world)->io, err);
    world_turn(world);
}

/* ---- the owner ----------------------------------------------------------------------------
 */

uint64_t body_sum(uint64_t sum, uint64_t at, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum += (uint64_t)(unsigned char)bytes.ptr[i] * (1 + (at + i) % 65521);
    return sum;
}

static void PRINTF_LIKE(2, 3) say(struct teller *teller, const char *fmt, ...)
{
    char *to = teller->story + teller->story_len;
    size_t room = sizeof(teller->story) - teller->story_len;
    va_list args;

    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    int n = vsnprintf(to, room, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < room);
    teller->story_len += (size_t)n;
}

static void act_now(struct teller *teller)
{
    struct failure why;

    if (teller->n_events++ != teller->act_at)
        return;
    switch (teller->act) {
    case ACT_NONE: return;
    case ACT_CLOSE: request_close(TAKE(teller->request)); return;
    case ACT_FAIL:
        failure_set(&why, FAILURE_ABORTED, "aborted");
        request_fail(teller->request, &why);
        return;
    case ACT_CONGEST: request_set_congested(teller->request, true); return;
    case ACT_CREDIT: request_add_credit(teller->request, 1000); return;
    case ACT_WRITE:
        (void)!request_write_body(teller->request, SPAN_LIT("zz"));
        (void)!request_end_body(teller->request);
        return;
    }
}

/* No event may come once the owner has closed, or after the end. */
static struct teller *must_live(void *owner)
{
    struct teller *teller = owner;

    assert_non_null(teller->request);
    assert_int_equal(teller->n_done, 0);
    return teller;
}

static void must_not_go_back(struct teller *teller, enum ready_state now)
{
    assert_true(now >= teller->ready);
    teller->ready = now;
}

static void teller_on_wait(void *owner, enum request_wait reason)
{
    static const char *const words[] = {
        [REQUEST_WAIT_QUEUED] = "queued",
        [REQUEST_WAIT_DNS] = "dns",
        [REQUEST_WAIT_CONNECT] = "connect",
        [REQUEST_WAIT_TLS] = "tls",
        [REQUEST_WAIT_AUTH] = "auth",
        [REQUEST_WAIT_BACKPRESSURE] = "backpressure",
        [REQUEST_WAIT_CONNECTIVITY] = "connectivity",
    };
    struct teller *teller = must_live(owner);

    must_not_go_back(teller, READY_OPENED);
    assert_int_equal(teller->n_heads, 0);
    if (reason == REQUEST_WAIT_AUTH)
        teller->last_up.done_bytes = 0; /* the body goes up once more */
    if (teller->tell_waits)
        say(teller, "wait:%s ", words[reason]);
    act_now(teller);
}

static void teller_on_redirect(void *owner, const struct request_hop *hop)
{
    struct teller *teller = must_live(owner);

    must_not_go_back(teller, READY_OPENED);
    assert_int_equal(teller->n_heads, 0);
    teller->last_up.done_bytes = 0;
    say(teller, "%sredirect(%u,%s,%s) ", hop->asks ? "ask-" : "", hop->status, hop->url->href,
        hop->method);
    if (hop->asks && teller->follows)
        assert_int_equal(request_answer_redirect(teller->request, true), 0);
    act_now(teller);
}

static void teller_on_hop(void *owner, const struct request_head *head)
{
    struct teller *teller = must_live(owner);

    must_not_go_back(teller, READY_OPENED);
    if (!teller->tell_hops)
        return;
    say(teller, "hop(%u) ", head->status);
    act_now(teller);
}

static void teller_on_head(void *owner, const struct request_head *head)
{
    struct teller *teller = must_live(owner);

    must_not_go_back(teller, READY_HEADERS);
    assert_int_equal(teller->n_heads++, 0);
    say(teller, "head(%u", head->status);
    if (head->has_size)
        say(teller, ",%llu", (unsigned long long)head->size_bytes);
    if (head->coding.len)
        say(teller, ",%.*s", (int)head->coding.len, head->coding.ptr);
    say(teller, ") ");
    teller->head = *head;
    const char *remote = head->exchange->remote_address.ptr;
    if (remote) /* whoever is told may look at it, were it empty */
        teller->remote_begins = *(const volatile char *)remote;
    act_now(teller);
}

static void teller_on_body(void *owner, struct span bytes)
{
    struct teller *teller = must_live(owner);

    assert_int_equal(teller->n_heads, 1);
    assert_true(bytes.len > 0);
    must_not_go_back(teller, READY_LOADING);
    if (teller->body_bytes + bytes.len <= 256)
        say(teller, "%.*s", (int)bytes.len, bytes.ptr);
    teller->body_sum = body_sum(teller->body_sum, teller->body_bytes, bytes);
    teller->body_bytes += bytes.len;
    act_now(teller);
    assert_int_equal(body_sum(0, 0, bytes) & 0, 0); /* still readable if act_now() closed */
}

static void teller_on_progress(void *owner, const struct request_progress *progress)
{
    struct teller *teller = must_live(owner);

    if (progress->upload) {
        assert_true(progress->done_bytes >= teller->last_up.done_bytes);
        teller->last_up = *progress;
    } else {
        assert_true(progress->done_bytes >= teller->last_down.done_bytes);
        if (!teller->into_fd)
            assert_int_equal(progress->done_bytes, teller->body_bytes);
        teller->last_down = *progress;
    }
    teller->n_progress++;
    act_now(teller);
}

static void teller_on_challenge(void *owner, const struct request_challenge *challenge)
{
    struct teller *teller = must_live(owner);
    const struct auth_offers *offers = challenge->offers;

    must_not_go_back(teller, READY_OPENED);
    say(teller, "challenge(%u,%s", challenge->attempt, challenge->origin);
    for (size_t i = 0; i < offers->count; i++) {
        struct span realm = auth_offers_realm(offers, i);

        say(teller, ",%s%.*s:%.*s", i == offers->best ? "*" : "", (int)offers->at[i].name.len,
            offers->at[i].name.ptr, (int)realm.len, realm.ptr);
    }
    say(teller, ") ");
    act_now(teller);
}

static void teller_on_rewind(void *owner)
{
    struct teller *teller = must_live(owner);

    must_not_go_back(teller, READY_OPENED);
    teller->last_up.done_bytes = 0;
    say(teller, "rewind ");
    act_now(teller);
}

static void teller_on_upload_taken(void *owner, uint64_t bytes)
{
    struct teller *teller = must_live(owner);

    assert_true(bytes > 0);
    teller->taken += bytes;
    if (teller->tell_taken)
        say(teller, "taken(%llu) ", (unsigned long long)bytes);
    act_now(teller);
}

static void teller_on_done(void *owner, const struct failure *why)
{
    struct teller *teller = must_live(owner);

    teller->n_trailers = headers_count(request_trailers(teller->request));
    request_get_totals(teller->request, &teller->totals);
    request_get_timing(teller->request, &teller->timing);
    teller->n_done++;
    teller->ready = READY_DONE;
    if (why) {
        teller->has_failed = true;
        teller->failure = *why;
        assert_true(why->kind > FAILURE_NONE && why->kind < FAILURE_KIND_COUNT);
        assert_true(why->phase > PHASE_NONE);
        assert_true(why->text[0] != '\0');
        say(teller, " failed:%s", failure_kind_name(why->kind));
    } else {
        say(teller, " done");
    }
    act_now(teller);
    teller->request = NULL;
}

static const struct request_events teller_events = {
    .on_wait = teller_on_wait,
    .on_redirect = teller_on_redirect,
    .on_hop = teller_on_hop,
    .on_head = teller_on_head,
    .on_body = teller_on_body,
    .on_progress = teller_on_progress,
    .on_challenge = teller_on_challenge,
    .on_rewind = teller_on_rewind,
    .on_upload_taken = teller_on_upload_taken,
    .on_done = teller_on_done,
};

void teller_init(struct teller *teller, struct fetch_world *world)
{
    *teller = (struct teller){.world = world, .act_at = -1, .ready = READY_OPENED};
}

void options_get(struct request_options *options, const char *url)
{
    struct failure why;

    request_options_init(options);
    assert_int_equal(partition_init(&options->partition, 1000, (struct span){0}), 0);
    assert_int_equal(request_options_set_method(options, SPAN_LIT("GET"), &why), 0);
    assert_int_equal(request_options_set_url(options, span_of(url), false, &why), 0);
    options->response_credit = UINT64_MAX;
    options->connect_timeout_us = 60000000;
    options->idle_timeout_us = 60000000;
}

int teller_try(struct teller *teller, struct request_options *options)
{
    return request_new(&teller->request, teller->world->fetcher, options, &teller_events,
                       teller);
}

void teller_send(struct teller *teller, struct request_options *options)
{
    struct failure why;

    assert_int_equal(request_options_check(options, &why), 0);
    assert_int_equal(teller_try(teller, options), 0);
    request_options_done(options);
    assert_int_equal(teller->n_events, 0); /* none from inside a call of the owner's */
    world_turn(teller->world);
}

void teller_get(struct teller *teller, const char *url)
{
    struct request_options options;

    options_get(&options, url);
    teller_send(teller, &options);
}
