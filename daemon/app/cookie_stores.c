/* SPDX-License-Identifier: MIT */
#include "app/cookie_stores.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/cookie_stores_priv.h"
#include "app/kept_uid.h"
#include "app/uid_limits.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "store/session_log.h"

#define ALIVE_US  INT64_C(60000000) /* how often it is said that we are alive */
#define RETURN_US INT64_C(30000000) /* for clients to come back, however short the grace is */

/* One caller's wait for a commit, joined to the store's. */
struct commit_join {
    struct cookie_sync sync;
    struct cookie_commit *commit;
};

static void uid_store_on_ready(void *owner)
{
    struct uid_store *of_uid = owner;

    while (!list_is_empty(&of_uid->waiters)) {
        struct cookie_wait *wait =
            CONTAINER_OF(list_first(&of_uid->waiters), struct cookie_wait, link);

        link_remove(&wait->link);
        wait->store = NULL;
        wait->on_ready(wait->owner);
    }
}

/* Whether what is a uid's is more than the process's. */
static bool is_lasting(const struct cookie_stores *stores, uint32_t uid)
{
    if (stores->options.per_user && uid != JAR_UID_SYSTEM && uid != getuid())
        return false; /* root looks in: the file is its user's alone */
    return uid_is_kept(uid);
}

/* Return: 0 with *ret NULL when nothing is kept, else the file's path; -ENOMEM. */
static int path_of(const struct cookie_stores *stores, uint32_t uid, char **ret)
{
    const char *dir = stores->options.state_dir;

    *ret = NULL;
    if (dir[0] == '\0' || !is_lasting(stores, uid))
        return 0;
    if (stores->options.per_user)
        *ret = mem_format("%s/%s.sqlite", dir, uid == JAR_UID_SYSTEM ? "system" : "cookies");
    else if (uid == JAR_UID_SYSTEM)
        *ret = mem_format("%s/system/cookies.sqlite", dir);
    else
        *ret = mem_format("%s/%u/cookies.sqlite", dir, uid);
    return *ret ? 0 : fault(-ENOMEM);
}

/* NULL: its session cookies end with the process. */
static struct session_book *book_of(const struct cookie_stores *stores, uint32_t uid)
{
    struct session_log *log = stores->options.sessions;
    struct session_book *book = NULL;

    if (!log || !is_lasting(stores, uid))
        return NULL;
    return session_log_book(log, uid, &book) == 0 ? book : NULL;
}

/* NULL: nothing of the uid was ever noted. */
static struct session_book *find_book(const struct cookie_stores *stores, uint32_t uid)
{
    return stores->options.sessions ? session_log_find_book(stores->options.sessions, uid)
                                    : NULL;
}

static int open_store(struct cookie_stores *stores, struct uid_store *of_uid)
{
    struct cookie_store_options options = cookie_store_options_default();
    CLEANUP_MEM char *path = NULL;
    int r = path_of(stores, of_uid->uid, &path);

    if (r < 0)
        return r;
    options.uid = of_uid->uid;
    options.path = path;
    options.sessions = book_of(stores, of_uid->uid);
    if (!stores->options.per_user) /* a user's own daemon writes to his own files */
        options.name_of = uid_name;
    const struct kept_limits *limits = uid_limits_of(stores->options.limits, of_uid->uid);
    options.jars_max = limits->jars_max;
    cookie_options_set_limits(&options.jar, &limits->jar);
    if (stores->options.survive_power)
        options.durability = COOKIE_DURABILITY_POWER;
    return cookie_store_open(&of_uid->store, stores->loop, stores->disk, stores->rules,
                             &options);
}

static int add_store(struct cookie_stores *stores, uint32_t uid, struct uid_store **ret)
{
    struct uid_store *of_uid = mem_zalloc(sizeof(*of_uid));

    if (!of_uid)
        return fault(-ENOMEM);
    of_uid->uid = uid;
    link_init(&of_uid->waiters);
    int r = open_store(stores, of_uid);
    if (r == 0)
        r = map_add(&stores->by_uid, &of_uid->node,
                    (struct span){(const char *)&of_uid->uid, sizeof(of_uid->uid)});
    if (r < 0) {
        of_uid->store = cookie_store_free(of_uid->store);
        mem_free(of_uid);
        return r;
    }
    of_uid->wait.on_ready = uid_store_on_ready;
    of_uid->wait.owner = of_uid;
    if (!cookie_store_is_ready(of_uid->store))
        cookie_store_wait(of_uid->store, &of_uid->wait);
    *ret = of_uid;
    return 0;
}

struct uid_store *stores_find(const struct cookie_stores *stores, uint32_t uid)
{
    struct map_node *node =
        map_find(&stores->by_uid, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? CONTAINER_OF(node, struct uid_store, node) : NULL;
}

int stores_get(struct cookie_stores *stores, uint32_t uid, struct uid_store **ret)
{
    struct uid_store *found = stores_find(stores, uid);

    if (!found)
        return add_store(stores, uid, ret);
    *ret = found;
    return 0;
}

bool stores_have(const struct cookie_stores *stores, uint32_t uid)
{
    CLEANUP_MEM char *path = NULL;
    const struct session_book *book = find_book(stores, uid);

    if (stores_find(stores, uid) || (book && !session_book_is_empty(book)))
        return true;
    return path_of(stores, uid, &path) == 0 && path && access(path, F_OK) == 0;
}

/* ---- struct cookie_access ------------------------------------------------------------------
 */

int stores_wait(struct uid_store *of_uid, struct cookie_wait *wait)
{
    link_init(&wait->link);
    list_append(&of_uid->waiters, &wait->link);
    wait->store = of_uid;
    return COOKIE_OPEN_WAIT;
}

static int access_open_hosts(void *owner,
                             const struct partition *who,
                             struct cookie_wait *wait,
                             struct hsts **ret)
{
    struct uid_store *of_uid;
    int r = stores_get(owner, who->uid, &of_uid);

    if (r < 0)
        return r;
    if (cookie_store_is_ready(of_uid->store))
        return cookie_store_hosts(of_uid->store, who, ret);
    return stores_wait(of_uid, wait);
}

static int access_open_seen(void *owner, const struct partition *who, struct hsts **ret)
{
    struct uid_store *of_uid;
    int r = stores_get(owner, who->uid, &of_uid);

    if (r < 0)
        return r;
    return cookie_store_is_ready(of_uid->store) ? cookie_store_seen(of_uid->store, who, ret)
                                                : fault(-EAGAIN);
}

static int
access_make_private(void *owner, const struct partition *who, struct cookie_jar **ret)
{
    struct cookie_stores *stores = owner;
    struct cookie_jar_options options = cookie_jar_options_default();
    struct uid_store *of_uid;
    int r = stores_get(owner, who->uid, &of_uid);

    if (r < 0)
        return r;
    cookie_options_set_limits(&options, &uid_limits_of(stores->options.limits, who->uid)->jar);
    options.bytes = &of_uid->private_bytes;
    options.tag = ++stores->last_tag;
    return cookie_jar_new(ret, stores->rules, &options);
}

static void
access_limit_private(void *owner, const struct partition *who, struct cookie_jar *jar)
{
    const struct cookie_stores *stores = owner;

    cookie_jar_set_limits(jar, &uid_limits_of(stores->options.limits, who->uid)->jar);
}

static void access_open_cancel(struct cookie_wait *wait)
{
    if (!wait->store)
        return;
    link_remove(&wait->link);
    wait->store = NULL;
}

static void join_on_synced(void *owner, bool saved)
{
    struct commit_join *join = owner;
    struct cookie_commit *commit = join->commit;

    commit->store = NULL;
    mem_free(join);
    commit->on_committed(commit->owner, saved);
}

static int access_commit(void *owner, uint32_t uid, struct cookie_commit *commit)
{
    struct uid_store *of_uid;

    if (stores_get(owner, uid, &of_uid) < 0)
        return COOKIE_COMMIT_NOT_SAVED;
    struct commit_join *join = mem_zalloc(sizeof(*join));
    if (!join)
        return COOKIE_COMMIT_NOT_SAVED;
    join->commit = commit;
    join->sync.on_synced = join_on_synced;
    join->sync.owner = join;
    join->sync.to_power = commit->to_power;
    int r = cookie_store_sync(of_uid->store, &join->sync);
    if (r == COOKIE_SYNC_PENDING) {
        commit->store = join;
        return COOKIE_COMMIT_WAIT;
    }
    mem_free(join);
    return r == COOKIE_SYNC_SAVED ? COOKIE_COMMIT_SAVED : COOKIE_COMMIT_NOT_SAVED;
}

static void access_commit_cancel(struct cookie_commit *commit)
{
    struct commit_join *join = commit->store;

    if (!join)
        return;
    cookie_sync_cancel(&join->sync);
    commit->store = NULL;
    mem_free(join);
}

static void access_session_hold(void *owner, uint32_t uid)
{
    struct cookie_stores *stores = owner;

    jar_sessions_hold(&stores->sessions, uid);
}

static void access_session_release(void *owner, uint32_t uid)
{
    struct cookie_stores *stores = owner;

    jar_sessions_release(&stores->sessions, uid,
                         uid_limits_of(stores->options.limits, uid)->session_grace_us);
}

struct cookie_access cookie_stores_access(struct cookie_stores *stores)
{
    return (struct cookie_access){
        .open = jar_access_open,
        .do_deed = jar_access_do_deed,
        .list = jar_access_list,
        .session_hold = access_session_hold,
        .session_release = access_session_release,
        .open_hosts = access_open_hosts,
        .open_seen = access_open_seen,
        .open_cancel = access_open_cancel,
        .make_private = access_make_private,
        .limit_private = access_limit_private,
        .commit = access_commit,
        .commit_cancel = access_commit_cancel,
        .owner = stores,
    };
}

/* ---- life ----------------------------------------------------------------------------------
 */

void cookie_stores_observe(struct cookie_stores *stores,
                           cookie_stores_on_stranger_gone *fn,
                           void *owner)
{
    stores->on_stranger_gone = fn;
    stores->owner = owner;
}

static void stores_on_session_end(void *owner, uint32_t uid)
{
    struct cookie_stores *stores = owner;
    const struct uid_store *of_uid = stores_find(stores, uid);
    struct session_book *book = find_book(stores, uid);

    if (book && (!of_uid || !cookie_store_is_ready(of_uid->store)))
        session_book_clear(book); /* before they come into a jar */
    struct cookie_store *store = of_uid ? of_uid->store : NULL;
    uint64_t n = store && cookie_store_is_ready(store) ? cookie_store_end_session(store) : 0;
    if (n > 0)
        log_info(NULL, "the last client of uid %u has left: %llu session cookies end", uid,
                 (unsigned long long)n);
    if (!uid_is_kept(uid) && stores->on_stranger_gone)
        stores->on_stranger_gone(stores->owner, uid);
}

/* Takes over what they own. */
static void take_options(struct cookie_stores *stores,
                         const struct cookie_stores_options *options)
{
    jar_grants_done(&stores->options.system_grants);
    stores->options = *options;
}

static bool take_limits(struct map_node *node, void *arg)
{
    const struct uid_store *of_uid = CONTAINER_OF(node, struct uid_store, node);
    const struct uid_limits *all = arg;
    const struct kept_limits *limits = uid_limits_of(all, of_uid->uid);

    cookie_store_set_limits(of_uid->store, limits->jars_max, &limits->jar);
    return true;
}

void cookie_stores_take_limits(struct cookie_stores *stores, uint32_t uid)
{
    struct uid_store *of_uid = stores_find(stores, uid);

    if (of_uid)
        (void)take_limits(&of_uid->node, (void *)(uintptr_t)stores->options.limits);
}

/* ---- sessions of the process before ---------------------------------------------------------
 */

static void say_alive(void *owner)
{
    struct cookie_stores *stores = owner;

    session_log_touch(stores->options.sessions, loop_now_us(stores->loop));
    if (timer_arm(&stores->alive, ALIVE_US) < 0)
        log_warning(NULL, "no memory for a timer; session cookies may end with the process");
}

struct return_walk {
    struct cookie_stores *stores;
    int64_t away_us; /* how long nobody was there, or up to ALIVE_US less */
};

/* Those who use its jars have as long to come back as they had to come again. */
static void await_return(void *arg, uint32_t uid, struct session_book *book)
{
    const struct return_walk *walk = arg;
    struct cookie_stores *stores = walk->stores;
    int64_t grace_us = uid_limits_of(stores->options.limits, uid)->session_grace_us;

    if (grace_us < RETURN_US)
        grace_us = RETURN_US;
    if (!is_lasting(stores, uid) || walk->away_us > grace_us + ALIVE_US)
        session_book_clear(book);
    else if (uid != JAR_UID_SYSTEM) /* nobody's, and so without an end */
        jar_sessions_await(&stores->sessions, uid, grace_us);
}

static void begin_sessions(struct cookie_stores *stores)
{
    struct session_log *log = stores->options.sessions;

    if (!log)
        return;
    int64_t touched_us = session_log_touched_us(log);
    struct return_walk walk = {stores, loop_now_us(stores->loop) - touched_us};
    if (touched_us == 0)
        walk.away_us = 0;
    session_log_each_book(log, await_return, &walk);
    say_alive(stores);
}

int cookie_stores_new(struct cookie_stores **ret,
                      struct loop *loop,
                      struct worker_pool *disk,
                      const struct suffix_rules *rules,
                      const struct cookie_stores_options *options)
{
    struct cookie_stores *stores = mem_zalloc(sizeof(*stores));

    if (!stores)
        return fault(-ENOMEM);
    *stores = (struct cookie_stores){.loop = loop, .disk = disk, .rules = rules};
    jar_sessions_init(&stores->sessions, loop, stores_on_session_end, stores);
    timer_init(&stores->alive, loop, say_alive, stores);
    int r = cookie_stores_set_options(stores, options);
    if (r < 0) {
        mem_free(stores);
        return r;
    }
    begin_sessions(stores);
    *ret = stores;
    return 0;
}

int cookie_stores_set_options(struct cookie_stores *stores,
                              const struct cookie_stores_options *options)
{
    struct cookie_stores_options copy = *options;
    int r = jar_grants_copy(&options->system_grants, &copy.system_grants);

    if (r < 0)
        return r;
    take_options(stores, &copy);
    map_each(&stores->by_uid, take_limits, (void *)(uintptr_t)copy.limits);
    jar_access_check_system(stores);
    return 0;
}

static bool free_one(struct map_node *node, void *arg)
{
    struct uid_store *of_uid = CONTAINER_OF(node, struct uid_store, node);

    (void)arg;
    cookie_store_wait_cancel(&of_uid->wait);
    of_uid->store = cookie_store_free(of_uid->store);
    mem_free(of_uid);
    return true;
}

struct cookie_stores *cookie_stores_free(struct cookie_stores *stores)
{
    if (!stores)
        return NULL;
    jar_sessions_done(&stores->sessions);
    timer_disarm(&stores->alive);
    jar_grants_done(&stores->options.system_grants);
    map_each(&stores->by_uid, free_one, NULL);
    map_done(&stores->by_uid);
    return mem_free(stores);
}

int cookie_stores_find(struct cookie_stores *stores, uint32_t uid, struct cookie_store **ret)
{
    struct uid_store *of_uid = NULL;

    *ret = NULL;
    if (!stores_have(stores, uid))
        return 0;
    int r = stores_get(stores, uid, &of_uid);
    if (r == 0)
        *ret = of_uid->store;
    return r;
}

struct totals {
    uint32_t uid;
    uint64_t count;
    bool persistent;
};

static void count_jar(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    struct totals *totals = arg;

    (void)profile;
    (void)name;
    totals->count += cookie_jar_count(jar);
}

static bool count_store(struct map_node *node, void *arg)
{
    struct uid_store *of_uid = CONTAINER_OF(node, struct uid_store, node);
    struct totals *totals = arg;

    if (totals->uid != COOKIES_EVERY_UID && totals->uid != of_uid->uid)
        return true;
    cookie_store_each_jar(of_uid->store, count_jar, totals);
    if (uid_is_kept(of_uid->uid) && cookie_store_is_ready(of_uid->store) &&
        !cookie_store_is_persistent(of_uid->store))
        totals->persistent = false;
    return true;
}

void cookie_stores_ask(struct cookie_stores *stores,
                       uint32_t uid,
                       uint64_t *ret_count,
                       bool *ret_persistent)
{
    struct totals totals = {.uid = uid, .persistent = true};

    map_each(&stores->by_uid, count_store, &totals);
    *ret_count = totals.count;
    *ret_persistent = totals.persistent;
}
