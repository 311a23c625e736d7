/* SPDX-License-Identifier: MIT */
#include "app/daemon.h"

#include <errno.h>
#include <unistd.h>

#include "app/cache_stores.h"
#include "app/cookie_stores.h"
#include "app/credentials.h"
#include "app/identities.h"
#include "app/kept_uid.h"
#include "app/notify.h"
#include "app/policy_check.h"
#include "app/rights.h"
#include "app/signals.h"
#include "app/system_jar.h"
#include "app/uid_limits.h"
#include "app/user_purge.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/message_id.h"
#include "fetch/fetcher.h"
#include "fetch/request.h"
#include "ipc/listener.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/turns.h"
#include "loop/worker.h"
#include "net/deny_networks.h"
#include "net/network.h"
#include "net/resolver.h"
#include "net/tls_context.h"
#include "net/tls_session_disk.h"
#include "policy/public_suffix.h"
#include "policy/rung_memory.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "service/service.h"
#include "transport/conn.h"

#define LEAVE_RETRY_US      (1000 * 1000)     /* a client was just coming in */
#define STARTED_BY_CLIENT_S 300               /* how long such a daemon waits for the next */
#define GOODBYE_US          (2 * 1000 * 1000) /* for last words to clients */

struct daemon {
    struct daemon_options options;
    struct deny_networks deny;
    struct sockets *sockets;
    struct kept *kept;               /* NULL: nobody keeps our clients */
    struct session_memory *sessions; /* NULL: session cookies end with us */
    struct turns turns;              /* of users, in a round of the loop */
    struct loop *loop;
    struct signals *signals;
    struct notify *notify;
    struct worker_pool *files; /* passed descriptors: a user's file system may hang */
    struct worker_pool *trust; /* trust stores, which all of TLS waits for */
    struct worker_pool *disk;  /* cookie stores, one at a time */
    struct suffix_list *suffixes;
    struct cookie_stores *cookies;
    struct worker_pool *cache_names;  /* names of stored answers, one at a time */
    struct worker_pool *cache_bodies; /* and their bodies */
    struct cache_stores *caches;
    struct uid_limits uid_limits; /* what those two may keep */
    struct user_purges purges;
    struct resolver *resolver;
    struct network *network;
    struct tls_contexts *tls_contexts;
    struct tls_sessions *tls_sessions;
    struct tls_session_disk *tls_session_disk;
    struct transport *transport;
    struct net_connector *connector;
    struct pool *pool;
    struct fetcher *fetcher;
    struct auth_cache proxy_logins;
    struct rung_memory rung_memory;
    struct proxy proxy; /* of the configuration */
    struct jar_grants administrators;
    struct identities *identities;
    struct rights *rights;
    struct policy_checks checks;
    struct service *service;
    struct listener *listeners[SOCKETS_MAX];
    struct timer idle;
    struct timer goodbye;
    bool leaving;
};

/* ---- leaving
 * ----------------------------------------------------------------------------------- */

static int64_t idle_exit_us(const struct daemon *daemon)
{
    if (daemon->options.idle_exit_us >= 0)
        return daemon->options.idle_exit_us;
    if (daemon->options.config.idle_exit_us > 0)
        return daemon->options.config.idle_exit_us;
    bool started_by_client = daemon->options.per_user && daemon->sockets->is_ours;
    return started_by_client ? INT64_C(1000000) * STARTED_BY_CLIENT_S : 0;
}

static void arm_idle(struct daemon *daemon, int64_t delay_us)
{
    if (timer_arm(&daemon->idle, delay_us) < 0)
        log_warning(NULL, "no memory for the idle timer: staying");
}

static void daemon_on_idle_time(void *owner)
{
    struct daemon *daemon = owner;

    if (!service_is_idle(daemon->service) || identities_are_asked(daemon->identities))
        return;
    if (sockets_leave(daemon->sockets) == SOCKETS_STAY) {
        arm_idle(daemon, LEAVE_RETRY_US);
        return;
    }
    log_notice(NULL, "idle, leaving");
    session_memory_leave(daemon->sessions);
    daemon->leaving = true;
    loop_stop(daemon->loop);
}

static void daemon_on_idle(void *owner, bool idle)
{
    struct daemon *daemon = owner;
    int64_t delay_us = idle_exit_us(daemon);

    if (idle && daemon->leaving)
        loop_stop(daemon->loop);
    else if (idle && delay_us > 0)
        arm_idle(daemon, delay_us);
    else
        timer_disarm(&daemon->idle);
}

static void stop_listening(struct daemon *daemon)
{
    for (unsigned i = 0; i < SOCKETS_MAX; i++)
        daemon->listeners[i] = listener_free(daemon->listeners[i]);
}

static void daemon_on_goodbye_over(void *owner)
{
    struct daemon *daemon = owner;

    loop_stop(daemon->loop);
}

static void daemon_on_leave(void *owner)
{
    struct daemon *daemon = owner;

    if (daemon->leaving) {
        loop_stop(daemon->loop);
        return;
    }
    log_notice(NULL, "leaving");
    notify_stopping(daemon->notify);
    session_memory_leave(daemon->sessions);
    daemon->leaving = true;
    if (!daemon->sockets->is_ours)
        stop_listening(daemon);         /* who comes now waits there for the next of us */
    service_shut_down(daemon->service); /* on_idle follows when the last client is gone */
    if (service_is_idle(daemon->service) || timer_arm(&daemon->goodbye, GOODBYE_US) < 0)
        loop_stop(daemon->loop);
}

/* ---- reload
 * ------------------------------------------------------------------------------------ */

static struct pool_options pool_options_of(const struct config *config)
{
    struct pool_options options = pool_options_default();

    options.per_host_max = (unsigned)config->connections_per_host;
    options.idle_per_host_max = (unsigned)config->connections_per_host;
    options.idle_per_uid_max = (unsigned)config->idle_connections_per_user;
    options.idle_timeout_us = config->keep_alive_us;
    options.coalesce = config->coalesce_connections;
    return options;
}

static struct service_options service_options_of(struct daemon *daemon)
{
    const struct config *config = &daemon->options.config;
    struct service_options options = {
        .session = session_options_default(),
        .clients_max = config->clients_max,
        .per_user = daemon->options.per_user,
        .administrators = &daemon->administrators,
        .version = XHRD_VERSION,
        .state_dir = daemon->options.state_dir,
        .socket_path = daemon->sockets->path,
        .keeper = kept_keeper(daemon->kept),
    };

    options.session.turns = &daemon->turns;
    rights_quota(config, &options.limits);
    return options;
}

static struct fetch_options fetch_options_of(const struct daemon *daemon)
{
    return rights_fetch_options(&daemon->options.config, &daemon->proxy);
}

/* Checked when the configuration was read. Connections that are there were judged by the
 * networks of their day: those that nobody uses do not outlive it. */
static void take_networks(struct daemon *daemon)
{
    struct span bad;

    if (deny_networks_parse(span_of(daemon->options.config.deny_networks), &daemon->deny,
                            &bad) < 0)
        log_err(NULL, "DenyNetworks=: not taken, going on with those before");
    if (daemon->pool)
        pool_close_idle(daemon->pool, POOL_EVERY_UID);
}

/* Requests under way have a copy of the one they chose. */
static void take_proxy(struct daemon *daemon)
{
    struct proxy proxy;

    if (config_proxy(&daemon->options.config, &proxy) < 0) {
        log_warning(NULL, "no memory for Proxy=, going on with the one before");
        return;
    }
    proxy_done(&daemon->proxy);
    daemon->proxy = proxy;
}

/* A user's own daemon is his, whatever a file says. */
static void take_administrators(struct daemon *daemon)
{
    struct jar_grants administrators;

    if (administrators_of(&daemon->options.config, &administrators) < 0) {
        log_warning(NULL, "Administrators=: not taken, going on with those before: out of "
                          "memory, or too many names");
        return;
    }
    jar_grants_done(&daemon->administrators);
    daemon->administrators = administrators;
}

/* What they own is the caller's to end. Return: 0, -EDQUOT or -ENOMEM. */
static int cookie_options_of(const struct daemon *daemon, struct cookie_stores_options *ret)
{
    const struct config *config = &daemon->options.config;

    *ret = (struct cookie_stores_options){
        .state_dir = daemon->options.state_dir,
        .per_user = daemon->options.per_user,
        .survive_power = config->cookies_survive_power,
        .limits = &daemon->uid_limits,
        .sessions = session_memory_log(daemon->sessions),
    };
    if (daemon->options.per_user)
        return 0; /* the system's jar is its user's */
    return system_jar_grants(config, &ret->system_grants);
}

static int set_cookie_options(struct daemon *daemon)
{
    struct cookie_stores_options options;
    int r = cookie_options_of(daemon, &options);

    if (r == 0)
        r = cookie_stores_set_options(daemon->cookies, &options);
    jar_grants_done(&options.system_grants);
    return r;
}

static void apply_config(struct daemon *daemon)
{
    const struct config *config = &daemon->options.config;
    struct pool_options pool = pool_options_of(config);
    struct service_options service = service_options_of(daemon);
    struct kept_limits kept = kept_limits_of(config);

    log_set_level(daemon->options.log_level < 0 ? config->log_level
                                                : (enum log_level)daemon->options.log_level);
    pool_set_options(daemon->pool, &pool);
    rights_set_config(daemon->rights, config);
    uid_limits_set_general(&daemon->uid_limits, &kept, config->access != NULL);
    service_set_options(daemon->service, &service); /* everybody gets his rights anew */
    if (set_cookie_options(daemon) < 0)
        log_warning(NULL, "cookie jars go on with the rights they had: out of memory, or too "
                          "many names");
    take_proxy(daemon);
    take_administrators(daemon);
    take_networks(daemon);
    cache_stores_take_limits(daemon->caches, CACHE_EVERY_UID);
    daemon->fetcher->options = fetch_options_of(daemon);
    daemon_on_idle(daemon, service_is_idle(daemon->service));
}

static int daemon_reload(void *owner, struct buf *ret_error)
{
    struct daemon *daemon = owner;
    struct config config;

    notify_reloading(daemon->notify);
    config_init(&config);
    int r = daemon->options.config_path
                ? config_load(&config, daemon->options.config_path,
                              daemon->options.config_is_optional, ret_error)
                : 0;
    if (r == 0) {
        r = credentials_read(config.access, NULL, ret_error);
        if (r < 0)
            config_done(&config);
    }
    if (r < 0) {
        const char *text = buf_c_str(ret_error);

        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CONFIG_REFUSED,
                  "not reloaded, going on as before: %s", text ? text : "out of memory");
    } else {
        struct config before = daemon->options.config;

        daemon->options.config = config;
        apply_config(daemon);
        config_done(&before);
        tls_contexts_reload(daemon->tls_contexts);
        resolver_flush(daemon->resolver);
        log_notice(NULL, "reloaded");
    }
    notify_ready(daemon->notify);
    return r;
}

static void daemon_on_reload(void *owner)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);

    (void)daemon_reload(owner, &error);
}

static void daemon_on_drained(void *owner)
{
    struct daemon *daemon = owner;

    if (!daemon->leaving)
        daemon_on_leave(daemon);
}

/* ---- joining
 * ----------------------------------------------------------------------------------- */

static bool wants_names(const struct daemon *daemon)
{
    const struct access_policy *access = daemon->options.config.access;

    return access && access_policy_wants_names(access);
}

static void daemon_on_accept(void *owner, int fd, const struct peer *peer)
{
    struct daemon *daemon = owner;

    if (wants_names(daemon))
        identities_ask(daemon->identities, fd, peer);
    else
        service_accept(daemon->service, fd, peer, NULL);
}

/* Whom nobody can name might be somebody who is kept out. */
static void
daemon_on_known(void *owner, int fd, const struct peer *peer, const struct access_person *who)
{
    struct daemon *daemon = owner;

    if (who)
        service_accept(daemon->service, fd, peer, who);
    else
        close(fd);
}

/* What he keeps is bounded by what is said of him, like what he holds: the last one who comes,
 * or the last reload, says how much it is. */
static int
take_rights(struct daemon *daemon, const struct access_person *who, struct service_rights *ret)
{
    const struct config *config;
    int r = rights_find(daemon->rights, who, ret, &config);

    if (r < 0)
        return r;
    bool is_general = config == &daemon->options.config;
    struct kept_limits limits = kept_limits_of(config);
    r = uid_limits_set(&daemon->uid_limits, who->uid, is_general ? NULL : &limits);
    if (r <= 0)
        return r;
    cookie_stores_take_limits(daemon->cookies, who->uid);
    cache_stores_take_limits(daemon->caches, who->uid);
    return 0;
}

/* Somebody who came when no rule went by names: once in a reload, and the user database may
 * take its time. */
static int find_rights_of_unnamed(struct daemon *daemon,
                                  const struct access_person *who,
                                  struct service_rights *ret)
{
    CLEANUP_MEM struct access_group *groups = mem_array(who->n_groups, sizeof(*groups));
    char name[ACCESS_NAME_MAX] = "";

    if (!groups)
        return fault(-ENOMEM);
    for (size_t i = 0; i < who->n_groups; i++)
        groups[i].gid = who->groups[i].gid;
    int r = identity_names(who->uid, name, groups, who->n_groups);
    if (r < 0)
        return r;
    const struct access_person named = {
        .uid = who->uid, .name = name, .groups = groups, .n_groups = who->n_groups};
    return take_rights(daemon, &named, ret);
}

static int daemon_start_check(void *owner, struct policy_check *check)
{
    struct daemon *daemon = owner;

    return policy_check_start(&daemon->checks, check);
}

static void daemon_cancel_check(void *owner, struct policy_check *check)
{
    (void)owner;
    policy_check_cancel(check);
}

static int daemon_find_rights(void *owner,
                              const struct access_person *who,
                              bool knows_names,
                              struct service_rights *ret)
{
    struct daemon *daemon = owner;

    if (!knows_names && wants_names(daemon))
        return find_rights_of_unnamed(daemon, who, ret);
    return take_rights(daemon, who, ret);
}

static void
daemon_ask_cookies(void *owner, uint32_t uid, uint64_t *ret_count, bool *ret_persistent)
{
    struct daemon *daemon = owner;

    cookie_stores_ask(daemon->cookies, uid, ret_count, ret_persistent);
}

static void daemon_on_private_jar_end(void *owner, uint32_t uid, uint64_t tag)
{
    struct daemon *daemon = owner;

    pool_close_jar(daemon->pool, uid, tag);
    tls_sessions_forget_jar(daemon->tls_sessions, uid, tag);
}

struct session_listing {
    bool (*fn)(void *arg, const struct tls_session_listed *listed);
    void *arg;
    int64_t now_s;
};

static bool list_session(void *arg, const struct tls_session_row *row)
{
    const struct session_listing *listing = arg;
    struct tls_session_listed listed = {
        .partition = &row->key->partition,
        .host = row->key->host,
        .port = row->key->port,
        .version = row->version,
        .cipher = row->cipher,
        .age_s = row->made_s < listing->now_s ? listing->now_s - row->made_s : 0,
        .left_s = row->expires_s - listing->now_s,
        .uses = row->past.uses,
        .is_persistent = row->key->may_be_kept,
    };

    return listing->fn(listing->arg, &listed);
}

static void daemon_each_tls_session(void *owner,
                                    uint32_t uid,
                                    bool (*fn)(void *arg,
                                               const struct tls_session_listed *listed),
                                    void *arg)
{
    struct daemon *daemon = owner;
    struct session_listing listing = {.fn = fn, .arg = arg, .now_s = loop_wall_s(daemon->loop)};

    tls_sessions_each(daemon->tls_sessions, uid, listing.now_s, false, list_session, &listing);
}

#define FILE_THREADS      32
#define FILE_THREADS_EACH 4 /* of a user: what hangs on his file systems holds up himself */

static int make_workers(struct daemon *daemon)
{
    int r = worker_pool_new(&daemon->files, daemon->loop, FILE_THREADS);

    if (r == 0)
        worker_pool_set_lanes(daemon->files, FILE_THREADS_EACH);
    if (r == 0)
        r = worker_pool_new(&daemon->trust, daemon->loop, 1);
    if (r == 0)
        r = worker_pool_new(&daemon->disk, daemon->loop, 1);
    return r;
}

static int make_cookies(struct daemon *daemon)
{
    struct cookie_stores_options options = {0};
    int r = suffix_list_new(&daemon->suffixes);

    if (r == 0)
        r = cookie_options_of(daemon, &options);
    if (r == 0)
        r = cookie_stores_new(&daemon->cookies, daemon->loop, daemon->disk,
                              suffix_list_rules(daemon->suffixes), &options);
    jar_grants_done(&options.system_grants);
    return r;
}

static int make_caches(struct daemon *daemon)
{
    struct cache_stores_options options = {
        .state_dir = daemon->options.state_dir,
        .per_user = daemon->options.per_user,
        .limits = &daemon->uid_limits,
    };
    int r = worker_pool_new(&daemon->cache_names, daemon->loop, 1);

    if (r == 0)
        r = worker_pool_new(&daemon->cache_bodies, daemon->loop, 2);
    return r == 0 ? cache_stores_new(&daemon->caches, daemon->loop, daemon->cache_names,
                                     daemon->cache_bodies, &options)
                  : r;
}

static int make_sessions(struct daemon *daemon)
{
    struct tls_sessions_options options = tls_sessions_options_default();
    struct tls_session_disk_options disk = {
        .state_dir = daemon->options.state_dir,
        .per_user = daemon->options.per_user,
        .is_kept = uid_is_kept,
        .name_of = daemon->options.per_user ? NULL : uid_name,
    };
    int r = tls_sessions_new(&daemon->tls_sessions, &options);

    return r < 0 ? r
                 : tls_session_disk_new(&daemon->tls_session_disk, daemon->loop,
                                        daemon->tls_sessions, &disk);
}

static int make_network(struct daemon *daemon)
{
    struct resolver_options resolver = resolver_options_default();
    struct tls_contexts_options contexts = tls_contexts_options_default();

    contexts.ca_file = daemon->options.config.ca_file;
    int r = network_new(&daemon->network, daemon->loop, NULL);
    if (r == 0)
        r = resolver_new(&daemon->resolver, daemon->loop, &resolver);
    if (r == 0)
        r = tls_contexts_new(&daemon->tls_contexts, daemon->loop, daemon->trust, &contexts);
    if (r == 0)
        r = make_sessions(daemon);
    if (r == 0)
        r = transport_new(&daemon->transport, daemon->loop);
    if (r == 0)
        transport_share(daemon->transport, &daemon->turns);
    return r;
}

static int make_pool(struct daemon *daemon)
{
    struct net_connector_parts parts = {
        .loop = daemon->loop,
        .transport = daemon->transport,
        .resolver = daemon->resolver,
        .tls_contexts = daemon->tls_contexts,
        .tls_sessions = daemon->tls_sessions,
        .tls_session_disk = daemon->tls_session_disk,
        .proxy_logins = &daemon->proxy_logins,
        .rung_memory = &daemon->rung_memory,
        .dialer = dialer_options_default(),
    };
    parts.deny = &daemon->deny;
    take_networks(daemon);
    struct pool_options options = pool_options_of(&daemon->options.config);
    int r = net_connector_new(&daemon->connector, &parts);

    return r < 0 ? r
                 : pool_new(&daemon->pool, daemon->loop, net_connector_base(daemon->connector),
                            &options);
}

static int daemon_purge_user(void *owner, uint32_t uid, struct user_purge *purge)
{
    struct daemon *daemon = owner;

    return user_purge_start(&daemon->purges, uid, purge);
}

/* Who is given the uid next is somebody else, and finds nothing: no cookie, no connection that
 * somebody logged in on, no request that was made. */
static void daemon_on_stranger_gone(void *owner, uint32_t uid)
{
    struct daemon *daemon = owner;

    if (daemon->service)
        service_forget_user(daemon->service, uid);
    if (user_purge_start(&daemon->purges, uid, NULL) < 0)
        log_warning(NULL, "no memory to forget uid %u, which may be another's soon", uid);
}

static void make_purges(struct daemon *daemon)
{
    daemon->purges = (struct user_purges){
        .cookies = daemon->cookies,
        .caches = daemon->caches,
        .pool = daemon->pool,
        .tls_sessions = daemon->tls_session_disk,
        .names = daemon->cache_names,
        .state_dir = daemon->options.state_dir,
        .per_user = daemon->options.per_user,
    };
    user_purges_init(&daemon->purges);
    cookie_stores_observe(daemon->cookies, daemon_on_stranger_gone, daemon);
}

static int make_service(struct daemon *daemon)
{
    static const struct service_events events = {
        .on_idle = daemon_on_idle,
        .ask_cookies = daemon_ask_cookies,
        .purge_user = daemon_purge_user,
        .purge_user_cancel = user_purge_cancel,
        .on_private_jar_end = daemon_on_private_jar_end,
        .each_tls_session = daemon_each_tls_session,
        .reload = daemon_reload,
        .on_drained = daemon_on_drained,
        .find_rights = daemon_find_rights,
        .start_check = daemon_start_check,
        .cancel_check = daemon_cancel_check,
    };
    static const struct identities_events named = {.on_known = daemon_on_known};
    struct service_options options = service_options_of(daemon);

    make_purges(daemon);
    take_administrators(daemon);
    daemon->fetcher = mem_alloc(sizeof(*daemon->fetcher));
    if (!daemon->fetcher)
        return fault(-ENOMEM);
    fetcher_init(daemon->fetcher, daemon->loop);
    daemon->fetcher->pool = daemon->pool;
    daemon->fetcher->network = daemon->network;
    daemon->fetcher->files = daemon->files;
    daemon->fetcher->proxy_logins = &daemon->proxy_logins;
    daemon->fetcher->cache_files = daemon->cache_bodies;
    daemon->fetcher->cache = cache_stores_access(daemon->caches);
    daemon->fetcher->cookies = cookie_stores_access(daemon->cookies);
    daemon->fetcher->options = fetch_options_of(daemon);
    int r = identities_new(&daemon->identities, daemon->loop, &named, daemon);
    if (r == 0)
        r = rights_new(&daemon->rights);
    if (r < 0)
        return r;
    rights_set_config(daemon->rights, &daemon->options.config);
    daemon->checks = (struct policy_checks){&daemon->options.config, daemon->rights,
                                            daemon->identities,      daemon->resolver,
                                            &daemon->deny,           &daemon->fetcher->options,
                                            daemon->options.per_user};
    return service_new(&daemon->service, daemon->fetcher, &options, &events, daemon);
}

static int start_listening(struct daemon *daemon)
{
    static const struct listener_events events = {.on_accept = daemon_on_accept};

    for (unsigned i = 0; i < daemon->sockets->count; i++) {
        int r = listener_new(&daemon->listeners[i], daemon->loop, daemon->sockets->fds[i],
                             &events, daemon);
        if (r < 0)
            return r;
        listener_share(daemon->listeners[i], &daemon->turns);
    }
    return 0;
}

static int make_all(struct daemon *daemon)
{
    static const struct signal_events events = {daemon_on_leave, daemon_on_reload};
    int r = loop_new(&daemon->loop, clock_system());

    struct kept_limits kept = kept_limits_of(&daemon->options.config);
    uid_limits_init(&daemon->uid_limits, &kept);
    auth_cache_init(&daemon->proxy_logins);
    rung_memory_init(&daemon->rung_memory);
    if (r == 0)
        r = config_proxy(&daemon->options.config, &daemon->proxy);
    if (r == 0) {
        timer_init(&daemon->idle, daemon->loop, daemon_on_idle_time, daemon);
        timer_init(&daemon->goodbye, daemon->loop, daemon_on_goodbye_over, daemon);
        r = signals_new(&daemon->signals, daemon->loop, &events, daemon);
    }
    if (r == 0)
        r = notify_new(&daemon->notify, daemon->loop);
    if (r == 0)
        session_memory_attach(daemon->sessions, daemon->loop);
    if (r == 0)
        r = make_workers(daemon);
    if (r == 0)
        r = make_cookies(daemon);
    if (r == 0)
        r = make_caches(daemon);
    if (r == 0)
        r = make_network(daemon);
    if (r == 0)
        r = make_pool(daemon);
    if (r == 0)
        r = make_service(daemon);
    if (r == 0)
        kept_adopt(daemon->kept, daemon->service);
    return r == 0 ? start_listening(daemon) : r;
}

int daemon_new(struct daemon **ret,
               const struct daemon_options *options,
               struct sockets *sockets,
               struct kept *kept,
               struct session_memory *sessions)
{
    CLEANUP(daemon_free) struct daemon *daemon = mem_zalloc(sizeof(*daemon));

    if (!daemon)
        return fault(-ENOMEM);
    daemon->options = *options;
    daemon->sockets = sockets;
    daemon->kept = kept;
    daemon->sessions = sessions;
    int r = make_all(daemon);
    if (r < 0) {
        log_at_id(LOG_LEVEL_ERR, NULL, MESSAGE_CANNOT_START, "cannot start: %s",
                  strerrordesc_np(-r));
        return r;
    }
    for (unsigned i = 0; i < sockets->count; i++)
        sockets->fds[i] = listener_fd(daemon->listeners[i]);
    *ret = TAKE(daemon);
    return 0;
}

/* What is freed may still have frees of its own queued: rounds between the floors. */
static void settle(struct daemon *daemon)
{
    for (int i = 0; i < 3; i++) {
        if (loop_turn(daemon->loop, false) < 0)
            return;
    }
}

struct daemon *daemon_free(struct daemon *daemon)
{
    if (!daemon)
        return NULL;
    if (daemon->loop)
        stop_listening(daemon);
    daemon->service = service_free(daemon->service);
    user_purges_done(&daemon->purges);
    daemon->identities = identities_free(daemon->identities);
    if (daemon->loop)
        settle(daemon);
    daemon->pool = pool_free(daemon->pool);
    if (daemon->loop)
        settle(daemon);
    daemon->connector = net_connector_free(daemon->connector);
    daemon->transport = transport_free(daemon->transport);
    daemon->caches = cache_stores_free(daemon->caches);
    daemon->cache_names = worker_pool_free(daemon->cache_names);
    daemon->cache_bodies = worker_pool_free(daemon->cache_bodies);
    daemon->cookies = cookie_stores_free(daemon->cookies);
    uid_limits_done(&daemon->uid_limits);
    daemon->suffixes = suffix_list_free(daemon->suffixes);
    daemon->disk = worker_pool_free(daemon->disk);
    daemon->files = worker_pool_leave(daemon->files, WORKER_LEAVE_US);
    daemon->trust = worker_pool_leave(daemon->trust, WORKER_LEAVE_US);
    daemon->network = network_free(daemon->network);
    daemon->resolver = resolver_free(daemon->resolver);
    daemon->tls_contexts = tls_contexts_free(daemon->tls_contexts);
    daemon->tls_session_disk = tls_session_disk_free(daemon->tls_session_disk);
    daemon->tls_sessions = tls_sessions_free(daemon->tls_sessions);
    daemon->rights = rights_free(daemon->rights);
    if (daemon->fetcher)
        fetcher_done(daemon->fetcher);
    mem_free(daemon->fetcher);
    auth_cache_done(&daemon->proxy_logins);
    rung_memory_done(&daemon->rung_memory);
    proxy_done(&daemon->proxy);
    jar_grants_done(&daemon->administrators);
    session_memory_detach(daemon->sessions);
    daemon->notify = notify_free(daemon->notify);
    daemon->signals = signals_free(daemon->signals);
    daemon->loop = loop_free(daemon->loop);
    config_done(&daemon->options.config);
    return mem_free(daemon);
}

int daemon_run(struct daemon *daemon)
{
    log_at_id(LOG_LEVEL_NOTICE, NULL, MESSAGE_STARTED, "xhrd %s serves %s at %s", XHRD_VERSION,
              daemon->options.per_user ? "its user" : "all users",
              daemon->sockets->path[0] ? daemon->sockets->path : "a passed socket");
    notify_ready(daemon->notify);
    daemon_on_idle(daemon, service_is_idle(daemon->service));
    return loop_run(daemon->loop);
}
