/* SPDX-License-Identifier: MIT */
/* First all that is kept is in memory, then all goes in one step, and then the disk follows. */
#include "app/user_purge.h"

#include <errno.h>
#include <stdio.h>

#include "app/cache_stores.h"
#include "app/cookie_stores.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/worker.h"
#include "net/tls_session_disk.h"
#include "pool/pool.h"
#include "store/cookie_store.h"
#include "store/leftovers.h"

struct purging {
    struct link link;
    struct user_purges *all;
    struct user_purge *purge; /* NULL: nobody wants to hear of it */
    uint32_t uid;
    struct cookie_store *store; /* NULL: there is none */
    struct cookie_store_wait store_wait;
    struct cache_wait cache_wait;
    struct cookie_sync sync;
    struct tls_session_wait tls_wait;
    struct job sweep;
    struct leftovers leftovers;
    char folder[16];
    int swept; /* 0 or -errno */
    bool tls_saved;
    struct user_purged result;
};

static void purging_free(struct purging *purging)
{
    cookie_store_wait_cancel(&purging->store_wait);
    if (purging->cache_wait.store)
        cache_store_open_cancel(&purging->cache_wait);
    cookie_sync_cancel(&purging->sync);
    tls_session_disk_cancel(&purging->tls_wait);
    link_remove(&purging->link);
    mem_free(purging);
}

static void finish(struct purging *purging)
{
    struct user_purge *purge = purging->purge;
    struct user_purged result = purging->result;

    log_at(purge ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO, NULL,
           "uid %u was purged: %llu cookies, %llu known hosts, %llu stored answers%s",
           purging->uid, (unsigned long long)result.cookies, (unsigned long long)result.hosts,
           (unsigned long long)result.answers,
           result.is_saved ? "" : "; the disk keeps what it could not let go of");
    purging_free(purging);
    if (!purge)
        return;
    purge->filler = NULL;
    purge->on_purged(purge, &result);
}

/* ---- what nobody has open -----------------------------------------------------------------
 */

static void sweep_run(struct job *job)
{
    struct purging *purging = CONTAINER_OF(job, struct purging, sweep);

    purging->swept = leftovers_remove(&purging->leftovers);
}

static void sweep_done(struct job *job)
{
    struct purging *purging = CONTAINER_OF(job, struct purging, sweep);

    if (purging->swept < 0) {
        errno = -purging->swept;
        log_warning(NULL, "uid %u: removing what was left of it: %m", purging->uid);
    }
    purging->result.is_saved &= purging->swept == 0 && purging->tls_saved;
    purging->result.answers += purging->leftovers.answers;
    finish(purging);
}

/* Behind the caches' own jobs, which one thread does in order. */
static void sweep(struct purging *purging)
{
    const struct user_purges *all = purging->all;

    if (all->state_dir[0] == '\0') {
        finish(purging);
        return;
    }
    (void)snprintf(purging->folder, sizeof(purging->folder), "%u", purging->uid);
    purging->leftovers.state_dir = all->state_dir;
    purging->leftovers.folder = all->per_user ? NULL : purging->folder;
    purging->swept = -ECANCELED; /* unless run() says otherwise */
    purging->sweep = (struct job){.run = sweep_run, .done = sweep_done};
    if (worker_submit(all->names, &purging->sweep) == 0)
        return;
    purging->result.is_saved = false;
    finish(purging);
}

/* ---- what is in memory ---------------------------------------------------------------------
 */

static void purging_on_synced(void *owner, bool saved)
{
    struct purging *purging = owner;

    purging->result.is_saved = saved;
    sweep(purging);
}

static void purge_store(struct purging *purging)
{
    struct cookie_store_purged gone;

    cookie_store_purge(purging->store, &gone);
    purging->result.cookies = gone.cookies;
    purging->result.hosts = gone.hosts;
    purging->sync.on_synced = purging_on_synced;
    purging->sync.owner = purging;
    purging->sync.to_power = true;
    int r = cookie_store_sync(purging->store, &purging->sync);
    if (r == COOKIE_SYNC_PENDING)
        return;
    purging->result.is_saved = r == COOKIE_SYNC_SAVED || !cookie_store_has_disk(purging->store);
    sweep(purging);
}

static void purge_rest(void *owner)
{
    struct purging *purging = owner;

    if (purging->store)
        purge_store(purging);
    else
        sweep(purging);
}

static void go_on(void *owner)
{
    struct purging *purging = owner;
    struct user_purges *all = purging->all;

    if (purging->store && !cookie_store_is_ready(purging->store)) {
        cookie_store_wait(purging->store, &purging->store_wait);
        return;
    }
    if (cache_stores_purge(all->caches, purging->uid, &purging->cache_wait,
                           &purging->result.answers) > 0)
        return;
    pool_close_idle(all->pool, purging->uid);
    int r = tls_session_disk_forget(all->tls_sessions, purging->uid, &purging->tls_wait);
    purging->tls_saved = r >= 0;
    if (r != TLS_SESSION_FORGET_WAIT)
        purge_rest(purging);
}

/* ---- life ----------------------------------------------------------------------------------
 */

int user_purge_start(struct user_purges *purges, uint32_t uid, struct user_purge *purge)
{
    struct purging *purging = mem_zalloc(sizeof(*purging));

    if (!purging)
        return fault(-ENOMEM);
    int r = cookie_stores_find(purges->cookies, uid, &purging->store);
    if (r < 0) {
        mem_free(purging);
        return r;
    }
    purging->all = purges;
    purging->uid = uid;
    purging->purge = purge;
    purging->store_wait = (struct cookie_store_wait){.on_ready = go_on, .owner = purging};
    purging->tls_wait = (struct tls_session_wait){.on_ready = purge_rest, .owner = purging};
    purging->cache_wait = (struct cache_wait){.on_ready = go_on, .owner = purging};
    purging->result.is_saved = true;
    if (purge)
        purge->filler = purging;
    list_append(&purges->running, &purging->link);
    go_on(purging);
    return 0;
}

void user_purge_cancel(struct user_purge *purge)
{
    struct purging *purging = purge->filler;

    if (purging)
        purging->purge = NULL;
    purge->filler = NULL;
}

void user_purges_init(struct user_purges *purges)
{
    link_init(&purges->running);
}

void user_purges_done(struct user_purges *purges)
{
    if (!purges->running.next)
        return; /* never begun */
    while (!list_is_empty(&purges->running)) {
        struct purging *purging =
            CONTAINER_OF(list_first(&purges->running), struct purging, link);

        purging->purge = NULL;
        if (purging->sweep.is_busy)
            worker_drain(purges->names);
        else
            purging_free(purging);
    }
}
