/* SPDX-License-Identifier: MIT */
/* What is on the disk comes into memory, and what is done when it says no. */
#include "base/message_id.h"
#include "store/cookie_store_priv.h"

#define LOCK_POLL_US INT64_C(20000)
#define PATIENCE     30 /* times retry_us, where only a person can help */

/* The disk says no */

static const char *advice(int outcome)
{
    switch (outcome) {
    case DB_LOCKED: return "end the other daemon";
    case DB_NEWER: return "run the newer xhrd again, or move the file away";
    case DB_UNSAFE: return "move it away";
    case DB_FULL: return "make room on that disk";
    default: return "check the disk and who may write there";
    }
}

static bool trim_jar(struct map_node *node, void *arg)
{
    (void)arg;
    cookie_jar_trim_unsaved(CONTAINER_OF(node, struct stored_jar, node)->jar);
    return true;
}

/* What was within the limits of its day comes back: a row that may not is deleted, and whose
 * limits are others than most people's may not be known yet. */
static void lift_limits(struct cookie_store *store)
{
    struct cookie_jar_options none = store->options.jar;

    none.cookies_max = none.site_cookies_max = none.bytes_max = SIZE_MAX;
    jar_book_set_limits(&store->jars, &none);
}

void store_restore_without_rows(struct cookie_store *store)
{
    lift_limits(store);
    store_restore_sessions(store, store->state == STORE_MEMORY);
    jar_book_set_limits(&store->jars, &store->options.jar);
}

/* Memory is all there is from here on, until an attempt succeeds; and that is bounded. */
void store_fail(struct cookie_store *store)
{
    int outcome = store->disk.outcome;
    bool was_loading = store->state == STORE_LOADING;
    bool is_patient = outcome == DB_NEWER || outcome == DB_UNSAFE;

    if (!store->is_failing)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_PERSISTENCE_LOST,
                  "%s; cookies are kept in memory only until this is mended: %s",
                  outcome < 0 ? "out of memory" : store->disk.error.text, advice(outcome));
    store->is_failing = true;
    store->state = STORE_FAILED;
    store_plan_rewrite(store);
    cookie_unsaved_fail(&store->unsaved);
    map_each(&store->jars.jars, trim_jar, NULL);
    store_tell_synced(store, UINT64_MAX, false);
    if (was_loading) {
        store_restore_without_rows(store);
        store_tell_ready(store);
    }
    store_arm_retry(store, store->options.retry_us * (is_patient ? PATIENCE : 1));
}

void store_recover(struct cookie_store *store)
{
    if (store->is_failing)
        log_at_id(LOG_LEVEL_NOTICE, &store->log, MESSAGE_PERSISTENCE_BACK,
                  "%s: cookies are saved again", store->path);
    store->is_failing = false;
    store->unsaved.is_bounded = false;
}

/* Loading */

void store_begin_load(struct cookie_store *store)
{
    store->disk.task = COOKIE_DISK_LOAD;
    store->disk.skip_rows = store->was_loaded;
    cookie_disk_start(&store->disk, store->pool);
}

/* A row that may not come back is deleted. Return: whether it came back. */
static bool restore_row(struct cookie_store *store, const struct saved_cookie *saved)
{
    struct cookie_jar *jar = NULL;
    struct partition who = {.uid = store->options.uid};

    memcpy(who.profile, saved->profile, sizeof(who.profile));
    int r = cookie_store_jar(store, &who, span_of(saved->jar), &jar);
    if (r == 0)
        r = cookie_jar_restore(jar, &saved->cookie, loop_wall_s(store->loop));
    if (r == COOKIE_STORED)
        return true;
    if (r > 0 && !store->rewrite_all) { /* refused for good; the rest may be another day's */
        store->n_changes++;
        store_note_change(store, saved->cookie.order, NULL, NULL, true);
    }
    return false;
}

static bool renumber_jar(struct map_node *node, void *arg)
{
    cookie_jar_renumber(CONTAINER_OF(node, struct stored_jar, node)->jar,
                        *(const uint64_t *)arg);
    return true;
}

/* Cookies that came while the file could not be read make way for those in it: they are the
 * younger ones, and an id is a row's for good. */
static void make_way(struct cookie_store *store)
{
    uint64_t last_id = 0;

    if (store->order == 0)
        return;
    for (const struct saved_cookie *at = store->disk.rows.first; at; at = at->next)
        last_id = at->cookie.order > last_id ? at->cookie.order : last_id;
    map_each(&store->jars.jars, renumber_jar, &last_id);
    store->order += last_id;
    store_note_sessions_anew(store);
    store_plan_rewrite(store);
}

static void tell_reset(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    (void)arg;
    (void)profile;
    (void)name;
    cookie_jar_tell_reset(jar);
}

static void restore_rows(struct cookie_store *store)
{
    size_t n_restored = 0;

    make_way(store);
    lift_limits(store);
    jar_book_restore(&store->jars, &store->disk.rows.jars);
    for (const struct saved_cookie *at = store->disk.rows.first; at; at = at->next)
        n_restored += restore_row(store, at);
    store_restore_sessions(store, true);
    jar_book_set_limits(&store->jars, &store->options.jar);
    hsts_book_restore(&store->hosts, &store->disk.rows.hosts, loop_wall_s(store->loop));
    log_debug(&store->log, "%s: %zu of %zu cookies loaded", store->path, n_restored,
              store->disk.rows.count);
    if (store->jars.jars.count >= store->options.jars_max)
        log_warning(&store->log, "%s: %zu jars, cookies of any more are left alone",
                    store->path, store->jars.jars.count);
    saved_list_done(&store->disk.rows);
    cookie_store_each_jar(store, tell_reset, NULL);
}

static void tell_damage(struct cookie_store *store)
{
    const struct cookie_disk *disk = &store->disk;

    if (disk->aside)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_STORE_DAMAGED,
                  "%s; set aside as %s, %zu cookies salvaged from it", disk->error.text,
                  disk->aside, disk->n_salvaged);
    if (disk->is_former) {
        log_warning(&store->log,
                    "%s was kept for another user of this uid; set aside, beginning anew",
                    store->path);
        if (store->options.sessions)
            session_book_clear(store->options.sessions);
    }
    if (disk->is_lost)
        log_at_id(LOG_LEVEL_WARNING, &store->log, MESSAGE_STORE_LOST,
                  "%s is gone and so are the cookies in it; beginning anew", store->path);
    if (disk->n_bad > 0)
        log_warning(&store->log, "%s: %zu cookies had changed on disk by themselves, dropped",
                    store->path, disk->n_bad);
}

void store_load_done(struct cookie_store *store)
{
    bool was_loading = store->state == STORE_LOADING;
    int64_t waited_us = loop_now_us(store->loop) - store->asked_us;

    if (store->disk.outcome == DB_LOCKED && was_loading && waited_us < store->options.lock_us &&
        !store->is_closing) {
        store_arm_retry(store, LOCK_POLL_US); /* a daemon on its way out has it */
        return;
    }
    if (store->disk.outcome != DB_OK) {
        store_fail(store);
        return;
    }
    tell_damage(store);
    store->state = STORE_OPEN;
    if (!store->was_loaded)
        restore_rows(store);
    store->was_loaded = true;
    if (store_must_commit(store))
        store_schedule(store);
    else
        store_recover(store);
    if (was_loading)
        store_tell_ready(store);
}
