/* SPDX-License-Identifier: MIT */
#include "net/tls_session.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/tls_context.h"
#include "net/tls_digest.h"
#include "net/tls_verify.h"

/* All sessions of one key; gone with the last of them. */
struct session_group {
    struct map_node node;
    struct tls_session_key key;
    struct link sessions; /* newest first */
    unsigned count;
};

struct kept_session {
    struct link in_group;
    struct link by_age;
    struct session_group *group;
    SSL_SESSION *session;
};

struct tls_sessions {
    struct tls_sessions_options options;
    struct map groups;
    struct link by_age; /* oldest first */
    unsigned count;
};

int tls_session_key_init(struct tls_session_key *ret,
                         const struct partition *partition,
                         struct span jar,
                         struct span host,
                         uint16_t port,
                         const struct tls_context *context)
{
    /* Fixed widths: no two different keys write the same bytes. */
    struct {
        struct tls_digest trust;
        char profile[PARTITION_PROFILE_MAX];
        char jar[TLS_SESSION_JAR_MAX];
        char host[256];
        uint32_t uid;
        uint32_t port;
    } text = {.trust = *tls_context_digest(context), .uid = partition->uid, .port = port};

    static_assert(sizeof(text) == 32 + PARTITION_PROFILE_MAX + TLS_SESSION_JAR_MAX + 256 + 8,
                  "no padding to hash");
    INVARIANT(host.len <= TLS_HOST_MAX && jar.len <= sizeof(text.jar));
    memcpy(text.profile, partition->profile, sizeof(text.profile));
    if (jar.len > 0)
        memcpy(text.jar, jar.ptr, jar.len);
    memcpy(text.host, host.ptr, host.len);
    return tls_sha256((struct span){(const char *)&text, sizeof(text)}, ret->bytes);
}

int tls_sessions_new(struct tls_sessions **ret, const struct tls_sessions_options *options)
{
    struct tls_sessions *sessions = mem_zalloc(sizeof(*sessions));

    if (!sessions)
        return fault(-ENOMEM);
    sessions->options = *options;
    link_init(&sessions->by_age);
    *ret = sessions;
    return 0;
}

/* Return: the session, the caller's. */
static SSL_SESSION *take_out(struct tls_sessions *sessions, struct kept_session *kept)
{
    struct session_group *group = kept->group;
    SSL_SESSION *session = kept->session;

    link_remove(&kept->in_group);
    link_remove(&kept->by_age);
    mem_free(kept);
    sessions->count--;
    if (--group->count == 0) {
        map_remove(&sessions->groups, &group->node);
        mem_free(group);
    }
    return session;
}

static void drop(struct tls_sessions *sessions, struct kept_session *kept)
{
    SSL_SESSION_free(take_out(sessions, kept));
}

void tls_sessions_clear(struct tls_sessions *sessions)
{
    while (!list_is_empty(&sessions->by_age))
        drop(sessions,
             CONTAINER_OF(list_first(&sessions->by_age), struct kept_session, by_age));
}

struct tls_sessions *tls_sessions_free(struct tls_sessions *sessions)
{
    if (!sessions)
        return NULL;
    tls_sessions_clear(sessions);
    map_done(&sessions->groups);
    return mem_free(sessions);
}

static struct session_group *find_group(struct tls_sessions *sessions,
                                        const struct tls_session_key *key)
{
    struct span bytes = {(const char *)key->bytes, sizeof(key->bytes)};
    struct map_node *node = map_find(&sessions->groups, bytes);

    return node ? CONTAINER_OF(node, struct session_group, node) : NULL;
}

/* The server's lifetime, ours, and the certificate's: a resumed handshake does not look at the
 * certificate again. */
static bool is_good(const struct tls_sessions *sessions, SSL_SESSION *session, int64_t now_s)
{
    int64_t age_s = now_s - (int64_t)SSL_SESSION_get_time(session);
    int64_t lifetime_s = (int64_t)SSL_SESSION_get_timeout(session);
    int64_t hint_s = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    X509 *peer = SSL_SESSION_get0_peer(session);
    time_t now = (time_t)now_s;

    if (hint_s > 0 && hint_s < lifetime_s)
        lifetime_s = hint_s;
    if (lifetime_s > sessions->options.lifetime_s)
        lifetime_s = sessions->options.lifetime_s;
    if (!SSL_SESSION_is_resumable(session) || age_s < -1 || age_s >= lifetime_s)
        return false;
    return !peer || X509_cmp_time(X509_get0_notAfter(peer), &now) > 0;
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions,
                               const struct tls_session_key *key,
                               int64_t now_s)
{
    struct session_group *group;

    while ((group = find_group(sessions, key))) {
        struct kept_session *newest =
            CONTAINER_OF(list_first(&group->sessions), struct kept_session, in_group);

        if (!is_good(sessions, newest->session, now_s)) {
            drop(sessions, newest);
            continue;
        }
        if (SSL_SESSION_get_protocol_version(newest->session) >= TLS1_3_VERSION)
            return take_out(sessions, newest);
        (void)SSL_SESSION_up_ref(newest->session);
        return newest->session;
    }
    return NULL;
}

static int make_group(struct tls_sessions *sessions,
                      const struct tls_session_key *key,
                      struct session_group **ret)
{
    CLEANUP_MEM struct session_group *group = mem_zalloc(sizeof(*group));

    if (!group)
        return fault(-ENOMEM);
    group->key = *key;
    link_init(&group->sessions);
    struct span bytes = {(const char *)group->key.bytes, sizeof(group->key.bytes)};
    int r = map_add(&sessions->groups, &group->node, bytes);
    if (r < 0)
        return r;
    *ret = TAKE(group);
    return 0;
}

/* A copy: OpenSSL marks the session of a connection that ends untidily as not resumable, and
 * most servers end untidily. */
int tls_sessions_put(struct tls_sessions *sessions,
                     const struct tls_session_key *key,
                     SSL_SESSION *session)
{
    struct session_group *group = find_group(sessions, key);
    CLEANUP_MEM struct kept_session *kept = mem_zalloc(sizeof(*kept));

    if (!kept)
        return fault(-ENOMEM);
    if (!group) {
        int r = make_group(sessions, key, &group);
        if (r < 0)
            return r;
    }
    kept->session = SSL_SESSION_dup(session);
    if (!kept->session) {
        if (group->count == 0) {
            map_remove(&sessions->groups, &group->node);
            mem_free(group);
        }
        return fault(-ENOMEM);
    }
    kept->group = group;
    list_prepend(&group->sessions, &kept->in_group);
    list_append(&sessions->by_age, &kept->by_age);
    group->count++;
    sessions->count++;
    (void)TAKE(kept);
    if (group->count > sessions->options.per_key_max)
        drop(sessions, CONTAINER_OF(group->sessions.prev, struct kept_session, in_group));
    if (sessions->count > sessions->options.sessions_max)
        drop(sessions,
             CONTAINER_OF(list_first(&sessions->by_age), struct kept_session, by_age));
    return 0;
}

void tls_sessions_drop(struct tls_sessions *sessions, const struct tls_session_key *key)
{
    struct session_group *group;

    while ((group = find_group(sessions, key)))
        drop(sessions,
             CONTAINER_OF(list_first(&group->sessions), struct kept_session, in_group));
}

unsigned tls_sessions_count(const struct tls_sessions *sessions)
{
    return sessions->count;
}
