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

/* All sessions of one user; gone with the last of them. */
struct session_user {
    struct map_node node;
    uint32_t uid;
    struct link by_age; /* oldest first */
    unsigned count;
};

/* All sessions of one key; gone with the last of them. */
struct session_group {
    struct map_node node;
    struct tls_session_key key;
    struct link sessions; /* newest first */
    unsigned count;
};

struct kept_session {
    struct link in_group;
    struct link by_age;  /* of all */
    struct link of_user; /* of the user's */
    struct session_group *group;
    struct session_user *user;
    struct tls_session_past past;
    SSL_SESSION *session;
    char *der; /* NULL until it was first asked for */
    size_t der_len;
};

struct tls_sessions {
    struct tls_sessions_options options;
    struct map groups;
    struct map users;
    struct link by_age; /* oldest first */
    unsigned count;
    tls_sessions_on_change *on_change; /* NULL: nobody wants to know */
    void *owner;
};

int tls_session_key_init(struct tls_session_key *ret, const struct tls_session_for *what)
{
    /* Fixed widths: no two different keys write the same bytes. */
    struct {
        struct tls_digest trust;
        char profile[PARTITION_PROFILE_MAX];
        char jar[TLS_SESSION_JAR_MAX];
        char host[256];
        uint32_t uid;
        uint32_t port;
    } text = {.trust = *tls_context_digest(what->context),
              .uid = what->partition->uid,
              .port = what->port};
    struct tls_session_key key = {.partition = *what->partition, .port = what->port};

    static_assert(sizeof(text) == 32 + PARTITION_PROFILE_MAX + TLS_SESSION_JAR_MAX + 256 + 8,
                  "no padding to hash");
    size_t tag_size = what->private_jar ? sizeof(what->private_jar) : 0;

    INVARIANT(what->host.len <= TLS_HOST_MAX && what->jar.len + tag_size <= sizeof(text.jar));
    memcpy(text.profile, what->partition->profile, sizeof(text.profile));
    if (what->jar.len > 0)
        memcpy(text.jar, what->jar.ptr, what->jar.len);
    memcpy(text.jar + what->jar.len, &what->private_jar, tag_size);
    memcpy(text.host, what->host.ptr, what->host.len);
    memcpy(key.host, what->host.ptr, what->host.len);
    key.private_jar = what->private_jar;
    key.may_be_kept = !what->private_jar && !tls_context_is_insecure(what->context);
    int r = tls_sha256((struct span){(const char *)&text, sizeof(text)}, key.digest);
    if (r == 0)
        *ret = key;
    return r;
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

void tls_sessions_observe(struct tls_sessions *sessions,
                          tls_sessions_on_change *on_change,
                          void *owner)
{
    sessions->on_change = on_change;
    sessions->owner = owner;
}

static void
tell(struct tls_sessions *sessions, const struct tls_session_key *key, bool is_spent)
{
    if (sessions->on_change && key->may_be_kept)
        sessions->on_change(sessions->owner, key->partition.uid, is_spent);
}

static void leave_user(struct tls_sessions *sessions, struct kept_session *kept)
{
    link_remove(&kept->of_user);
    if (--kept->user->count > 0)
        return;
    map_remove(&sessions->users, &kept->user->node);
    mem_free(kept->user);
}

static void leave_group(struct tls_sessions *sessions, struct kept_session *kept)
{
    link_remove(&kept->in_group);
    if (--kept->group->count > 0)
        return;
    map_remove(&sessions->groups, &kept->group->node);
    mem_free(kept->group);
}

/* Return: the session, the caller's. */
static SSL_SESSION *take_out(struct tls_sessions *sessions, struct kept_session *kept)
{
    SSL_SESSION *session = kept->session;

    leave_user(sessions, kept);
    leave_group(sessions, kept);
    link_remove(&kept->by_age);
    mem_free_secret(kept->der, kept->der_len);
    mem_free(kept);
    sessions->count--;
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
    map_done(&sessions->users);
    return mem_free(sessions);
}

static struct session_group *find_group(struct tls_sessions *sessions,
                                        const struct tls_session_key *key)
{
    struct span bytes = {(const char *)key->digest, sizeof(key->digest)};
    struct map_node *node = map_find(&sessions->groups, bytes);

    return node ? CONTAINER_OF(node, struct session_group, node) : NULL;
}

static struct session_user *find_user(struct tls_sessions *sessions, uint32_t uid)
{
    struct map_node *node =
        map_find(&sessions->users, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? CONTAINER_OF(node, struct session_user, node) : NULL;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The server's lifetime and ours. */
static int64_t expiry_of(const struct tls_sessions *sessions, const struct kept_session *kept)
{
    int64_t hint_s = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(kept->session);
    int64_t lifetime_s = (int64_t)SSL_SESSION_get_timeout(kept->session);
    int64_t made_s = (int64_t)SSL_SESSION_get_time(kept->session);

    if (hint_s > 0)
        lifetime_s = min_of(lifetime_s, hint_s);
    lifetime_s = min_of(lifetime_s, sessions->options.lifetime_s);
    return min_of(made_s + lifetime_s, kept->past.verified_s + sessions->options.lifetime_s);
}

/* Of those two, and the certificate's: a resumed handshake does not look at the certificate
 * again. What comes from the future has seen another clock. */
static bool
is_good(const struct tls_sessions *sessions, const struct kept_session *kept, int64_t now_s)
{
    X509 *peer = SSL_SESSION_get0_peer(kept->session);
    time_t now = (time_t)now_s;

    if (!SSL_SESSION_is_resumable(kept->session) ||
        now_s < (int64_t)SSL_SESSION_get_time(kept->session) - 1 ||
        now_s < kept->past.verified_s - 1 || now_s >= expiry_of(sessions, kept))
        return false;
    return !peer || X509_cmp_time(X509_get0_notAfter(peer), &now) > 0;
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions,
                               const struct tls_session_key *key,
                               int64_t now_s,
                               struct tls_session_past *ret_past)
{
    struct session_group *group;

    while ((group = find_group(sessions, key))) {
        struct kept_session *newest =
            CONTAINER_OF(list_first(&group->sessions), struct kept_session, in_group);

        if (!is_good(sessions, newest, now_s)) {
            drop(sessions, newest);
            continue;
        }
        newest->past.uses++;
        *ret_past = newest->past;
        if (SSL_SESSION_get_protocol_version(newest->session) >= TLS1_3_VERSION) {
            tell(sessions, key, true);
            return take_out(sessions, newest);
        }
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
    struct span bytes = {(const char *)group->key.digest, sizeof(group->key.digest)};
    int r = map_add(&sessions->groups, &group->node, bytes);
    if (r < 0)
        return r;
    *ret = TAKE(group);
    return 0;
}

static int make_user(struct tls_sessions *sessions, uint32_t uid, struct session_user **ret)
{
    CLEANUP_MEM struct session_user *user = mem_zalloc(sizeof(*user));

    if (!user)
        return fault(-ENOMEM);
    user->uid = uid;
    link_init(&user->by_age);
    int r = map_add(&sessions->users, &user->node,
                    (struct span){(const char *)&user->uid, sizeof(user->uid)});
    if (r < 0)
        return r;
    *ret = TAKE(user);
    return 0;
}

/* Makes those of @kept's places that are not there. Return: 0, or -ENOMEM and none was made. */
static int find_places(struct tls_sessions *sessions,
                       const struct tls_session_key *key,
                       struct kept_session *kept)
{
    int r = 0;

    kept->group = find_group(sessions, key);
    kept->user = find_user(sessions, key->partition.uid);
    if (!kept->group)
        r = make_group(sessions, key, &kept->group);
    if (r == 0 && !kept->user)
        r = make_user(sessions, key->partition.uid, &kept->user);
    if (r < 0 && kept->group && kept->group->count == 0) {
        map_remove(&sessions->groups, &kept->group->node);
        mem_free(kept->group);
    }
    return r;
}

static void keep_to_limits(struct tls_sessions *sessions, const struct kept_session *latest)
{
    struct session_group *group = latest->group;
    struct session_user *user = latest->user;

    if (group->count > sessions->options.per_key_max)
        drop(sessions, CONTAINER_OF(group->sessions.prev, struct kept_session, in_group));
    if (user->count > sessions->options.per_uid_max)
        drop(sessions, CONTAINER_OF(list_first(&user->by_age), struct kept_session, of_user));
    if (sessions->count > sessions->options.sessions_max)
        drop(sessions,
             CONTAINER_OF(list_first(&sessions->by_age), struct kept_session, by_age));
}

/* A copy: OpenSSL marks the session of a connection that ends untidily as not resumable, and
 * most servers end untidily. */
int tls_sessions_put(struct tls_sessions *sessions,
                     const struct tls_session_key *key,
                     const struct tls_session_past *past,
                     SSL_SESSION *session)
{
    CLEANUP_MEM struct kept_session *kept = mem_zalloc(sizeof(*kept));
    SSL_SESSION *copy = kept ? SSL_SESSION_dup(session) : NULL;

    if (!copy)
        return fault(-ENOMEM);
    int r = find_places(sessions, key, kept);
    if (r < 0) {
        SSL_SESSION_free(copy);
        return r;
    }
    kept->session = copy;
    kept->past = *past;
    list_prepend(&kept->group->sessions, &kept->in_group);
    list_append(&kept->user->by_age, &kept->of_user);
    list_append(&sessions->by_age, &kept->by_age);
    kept->group->count++;
    kept->user->count++;
    sessions->count++;
    keep_to_limits(sessions, kept);
    (void)TAKE(kept);
    tell(sessions, key, false);
    return 0;
}

void tls_sessions_drop(struct tls_sessions *sessions, const struct tls_session_key *key)
{
    struct session_group *group;

    if (find_group(sessions, key))
        tell(sessions, key, true);
    while ((group = find_group(sessions, key)))
        drop(sessions,
             CONTAINER_OF(list_first(&group->sessions), struct kept_session, in_group));
}

void tls_sessions_forget(struct tls_sessions *sessions, uint32_t uid)
{
    struct session_user *user;

    while ((user = find_user(sessions, uid)))
        drop(sessions, CONTAINER_OF(list_first(&user->by_age), struct kept_session, of_user));
}

void tls_sessions_forget_jar(struct tls_sessions *sessions, uint32_t uid, uint64_t private_jar)
{
    const struct session_user *user = find_user(sessions, uid);
    unsigned left = user ? user->count : 0; /* the user goes with the last */
    struct link *at = left > 0 ? list_first(&user->by_age) : NULL;

    while (left-- > 0) {
        struct kept_session *kept = CONTAINER_OF(at, struct kept_session, of_user);

        at = at->next;
        if (kept->group->key.private_jar == private_jar)
            drop(sessions, kept);
    }
}

unsigned tls_sessions_count(const struct tls_sessions *sessions)
{
    return sessions->count;
}

/* ---- looking at them ----------------------------------------------------------------------
 */

/* Empty for lack of memory. It stays: a session does not change. */
static struct span der_of(struct kept_session *kept)
{
    if (!kept->der) {
        int len = i2d_SSL_SESSION(kept->session, NULL);
        unsigned char *at = NULL;

        if (len > 0)
            kept->der = mem_alloc((size_t)len);
        at = (unsigned char *)kept->der;
        if (at && i2d_SSL_SESSION(kept->session, &at) == len)
            kept->der_len = (size_t)len;
    }
    return (struct span){kept->der, kept->der_len};
}

struct look {
    struct tls_sessions *sessions;
    int64_t now_s;
    bool with_der;
    bool (*fn)(void *arg, const struct tls_session_row *row);
    void *arg;
};

static const char *version_name(const SSL_SESSION *session)
{
    switch (SSL_SESSION_get_protocol_version(session)) {
    case TLS1_VERSION: return "TLSv1";
    case TLS1_1_VERSION: return "TLSv1.1";
    case TLS1_2_VERSION: return "TLSv1.2";
    case TLS1_3_VERSION: return "TLSv1.3";
    default: return "";
    }
}

static const char *cipher_name(const SSL_SESSION *session)
{
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);

    return cipher ? SSL_CIPHER_get_name(cipher) : "";
}

static bool look_at(const struct look *look, struct kept_session *kept)
{
    struct tls_session_row row = {
        .key = &kept->group->key,
        .past = kept->past,
        .session = kept->session,
        .version = version_name(kept->session),
        .cipher = cipher_name(kept->session),
        .made_s = (int64_t)SSL_SESSION_get_time(kept->session),
        .expires_s = expiry_of(look->sessions, kept),
    };

    if (!is_good(look->sessions, kept, look->now_s))
        return true;
    if (look->with_der && !row.key->may_be_kept)
        return true;
    if (look->with_der)
        row.der = der_of(kept);
    return look->fn(look->arg, &row);
}

void tls_sessions_each(struct tls_sessions *sessions,
                       uint32_t uid,
                       int64_t now_s,
                       bool with_der,
                       bool (*fn)(void *arg, const struct tls_session_row *row),
                       void *arg)
{
    struct look look = {
        .sessions = sessions, .now_s = now_s, .with_der = with_der, .fn = fn, .arg = arg};
    struct session_user *user = find_user(sessions, uid);

    if (uid == TLS_SESSIONS_EVERY_UID) {
        LIST_FOREACH (at, &sessions->by_age) {
            if (!look_at(&look, CONTAINER_OF(at, struct kept_session, by_age)))
                return;
        }
    }
    if (!user)
        return;
    LIST_FOREACH (at, &user->by_age) {
        if (!look_at(&look, CONTAINER_OF(at, struct kept_session, of_user)))
            return;
    }
}
