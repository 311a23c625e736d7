/* SPDX-License-Identifier: MIT */
#include "net/tls_session_disk.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/worker.h"

#define WRITE_DELAY_US (1000 * 1000) /* what changes within is one write */
#define PATIENCE_US    (1000 * 1000) /* for a disk that does not answer: then in full */
#define RESTORED_MAX   1024          /* sessions of a file that are looked at */

enum disk_deed { DEED_READ, DEED_WRITE, DEED_REMOVE };

enum disk_state {
    DISK_UNREAD,
    DISK_READY,
    DISK_OFF, /* nothing is kept for this uid */
};

struct restored {
    struct tls_session_key key;
    struct tls_session_past past;
    SSL_SESSION *session;
};

/* One uid. run() of its job touches job, deed, rows, restored, outcome, text and the folder. */
struct disk_user {
    struct map_node node;
    struct tls_session_disk *disk;
    uint32_t uid;
    enum disk_state state;
    bool is_dirty;    /* something to write */
    bool must_remove; /* a ticket of the file is spent; it goes before anything else */
    bool must_forget; /* all of him goes */
    bool has_file;    /* as far as we know */
    bool has_complained;
    struct link waits;    /* for the file to be read */
    struct link removals; /* for it to be removed */
    struct timer write_timer;
    struct timer patience;
    struct job job;
    enum disk_deed deed;
    struct buf rows;
    struct restored *restored;
    size_t n_restored;
    int outcome;
    char text[TLS_SESSION_TEXT_SIZE];
};

struct tls_session_disk {
    struct loop *loop;
    struct tls_sessions *sessions;
    struct tls_session_disk_options options;
    struct tls_session_folder folder; /* the thread's */
    struct worker_pool *worker;       /* one thread */
    struct map users;
    bool is_restoring; /* what changes now comes from the disk */
    bool is_leaving;
};

static void next_deed(struct disk_user *user);

/* ---- on the thread ------------------------------------------------------------------------
 */

/* What it holds are secrets. */
static void wipe(struct buf *rows)
{
    if (rows->storage)
        explicit_bzero(rows->storage, rows->capacity);
    buf_done(rows);
}

static void parse_rows(struct disk_user *user)
{
    struct span rest = buf_span(&user->rows);

    user->restored = mem_array(RESTORED_MAX, sizeof(*user->restored));
    while (user->restored && rest.len > 0 && user->n_restored < RESTORED_MAX) {
        struct tls_session_saved saved;
        struct restored *to = &user->restored[user->n_restored];

        if (tls_session_file_next(&rest, user->uid, &saved) != TLS_SESSION_FILE_OK)
            return;
        const unsigned char *at = (const unsigned char *)saved.der.ptr;
        *to = (struct restored){.key = saved.key, .past = saved.past};
        to->session = d2i_SSL_SESSION(NULL, &at, (long)saved.der.len);
        user->n_restored += to->session != NULL;
    }
}

static void job_run(struct job *job)
{
    struct disk_user *user = CONTAINER_OF(job, struct disk_user, job);
    struct tls_session_folder *folder = &user->disk->folder;

    switch (user->deed) {
    case DEED_READ:
        user->outcome = tls_session_folder_read(folder, user->uid, &user->rows, user->text);
        if (user->outcome == TLS_SESSION_FOLDER_OK)
            parse_rows(user);
        break;
    case DEED_WRITE:
        user->outcome =
            tls_session_folder_write(folder, user->uid, buf_span(&user->rows), user->text);
        break;
    case DEED_REMOVE:
        user->outcome = tls_session_folder_remove(folder, user->uid, user->text);
        break;
    }
    wipe(&user->rows);
}

/* ---- what has been done -------------------------------------------------------------------
 */

static void tell_all(struct link *waits)
{
    struct link told;

    link_init(&told);
    while (!list_is_empty(waits)) { /* who waits anew from inside is not told again */
        struct link *link = list_first(waits);

        link_remove(link);
        list_append(&told, link);
    }
    while (!list_is_empty(&told)) {
        struct tls_session_wait *wait =
            CONTAINER_OF(list_first(&told), struct tls_session_wait, link);

        link_remove(&wait->link);
        wait->is_waiting = false;
        wait->on_ready(wait->owner);
    }
}

static void take_restored(struct disk_user *user)
{
    struct tls_session_disk *disk = user->disk;

    disk->is_restoring = true;
    for (size_t i = 0; i < user->n_restored; i++) {
        struct restored *from = &user->restored[i];

        if (!user->job.cancelled && !user->must_forget &&
            tls_sessions_put(disk->sessions, &from->key, &from->past, from->session) < 0)
            log_debug(NULL, "no memory for a TLS session of %s", from->key.host);
        SSL_SESSION_free(from->session);
    }
    disk->is_restoring = false;
    user->restored = mem_free(user->restored);
    user->n_restored = 0;
}

static void complain(struct disk_user *user)
{
    if (!user->has_complained)
        log_warning(NULL, "uid %u: %s", user->uid, user->text);
    user->has_complained = true;
}

static void on_read(struct disk_user *user)
{
    timer_disarm(&user->patience);
    user->has_file = user->outcome == TLS_SESSION_FOLDER_OK && user->n_restored > 0;
    user->state = user->outcome == TLS_SESSION_FOLDER_REFUSED ? DISK_OFF : DISK_READY;
    take_restored(user);
    tell_all(&user->waits);
}

static void job_done(struct job *job)
{
    struct disk_user *user = CONTAINER_OF(job, struct disk_user, job);
    bool failed = user->outcome != TLS_SESSION_FOLDER_OK;

    if (failed && !job->cancelled)
        complain(user);
    switch (user->deed) {
    case DEED_READ: on_read(user); break;
    case DEED_WRITE: user->has_file = user->has_file || !failed; break;
    case DEED_REMOVE:
        user->has_file = user->has_file && failed;
        tell_all(&user->removals);
        break;
    }
    next_deed(user);
}

void tls_session_disk_cancel(struct tls_session_wait *wait)
{
    if (!wait->is_waiting)
        return;
    link_remove(&wait->link);
    wait->is_waiting = false;
}

/* ---- what is to do ------------------------------------------------------------------------
 */

static void start_deed(struct disk_user *user, enum disk_deed deed)
{
    user->deed = deed;
    user->outcome = 0;
    if (worker_submit(user->disk->worker, &user->job) == 0)
        return;
    user->state = DISK_OFF; /* no thread; nobody can be waiting for one to begin */
    wipe(&user->rows);
    while (!list_is_empty(&user->removals))
        tls_session_disk_cancel(
            CONTAINER_OF(list_first(&user->removals), struct tls_session_wait, link));
}

static bool add_row(void *arg, const struct tls_session_row *row)
{
    struct disk_user *user = arg;

    return tls_session_file_add(&user->rows, row) != -ENOMEM; /* what is too large stays out */
}

static void write_all_of(struct disk_user *user)
{
    user->is_dirty = false;
    user->must_remove = false; /* what is spent is not among them */
    timer_disarm(&user->write_timer);
    tls_sessions_each(user->disk->sessions, user->uid, loop_wall_s(user->disk->loop), true,
                      add_row, user);
    start_deed(user, user->rows.len > 0 ? DEED_WRITE : DEED_REMOVE);
}

/* One at a time, removal first. */
static void next_deed(struct disk_user *user)
{
    if (user->job.is_busy)
        return;
    if (user->must_forget || (user->must_remove && user->has_file)) {
        user->must_forget = user->must_remove = false;
        start_deed(user, DEED_REMOVE);
        return;
    }
    if (user->state != DISK_READY || !user->is_dirty)
        return;
    if (user->disk->is_leaving) {
        write_all_of(user);
        return;
    }
    if (!timer_is_armed(&user->write_timer) &&
        timer_arm(&user->write_timer, WRITE_DELAY_US) < 0)
        log_debug(NULL, "no memory for a timer: TLS sessions are written later");
}

static void user_on_write_time(void *owner)
{
    struct disk_user *user = owner;

    if (user->state == DISK_READY && user->is_dirty && !user->job.is_busy)
        write_all_of(user);
}

static void user_on_impatience(void *owner)
{
    struct disk_user *user = owner;

    log_debug(NULL, "uid %u: the disk takes its time with TLS sessions", user->uid);
    tell_all(&user->waits);
}

/* ---- users --------------------------------------------------------------------------------
 */

static bool may_keep(const struct tls_session_disk *disk, uint32_t uid)
{
    return disk->options.state_dir[0] != '\0' && disk->options.is_kept(uid) &&
           (!disk->options.per_user || uid == geteuid());
}

/* NULL: nothing is kept for him, or there is no memory. */
static struct disk_user *find_user(struct tls_session_disk *disk, uint32_t uid)
{
    struct map_node *node =
        map_find(&disk->users, (struct span){(const char *)&uid, sizeof(uid)});

    if (node || !may_keep(disk, uid))
        return node ? CONTAINER_OF(node, struct disk_user, node) : NULL;
    struct disk_user *user = mem_zalloc(sizeof(*user));
    if (!user)
        return NULL;
    user->disk = disk;
    user->uid = uid;
    user->job.run = job_run;
    user->job.done = job_done;
    user->rows = BUF_INIT(0);
    link_init(&user->waits);
    link_init(&user->removals);
    timer_init(&user->write_timer, disk->loop, user_on_write_time, user);
    timer_init(&user->patience, disk->loop, user_on_impatience, user);
    if (map_add(&disk->users, &user->node,
                (struct span){(const char *)&user->uid, sizeof(user->uid)}) < 0)
        return mem_free(user);
    return user;
}

static void disk_on_change(void *owner, uint32_t uid, bool is_spent)
{
    struct tls_session_disk *disk = owner;
    struct disk_user *user = disk->is_restoring ? NULL : find_user(disk, uid);

    if (!user)
        return;
    user->is_dirty = true;
    user->must_remove = user->must_remove || is_spent;
    next_deed(user);
}

static void wait_in(struct link *waits, struct tls_session_wait *wait)
{
    link_init(&wait->link);
    list_append(waits, &wait->link);
    wait->is_waiting = true;
}

bool tls_session_disk_open(struct tls_session_disk *disk,
                           uint32_t uid,
                           struct tls_session_wait *wait)
{
    struct disk_user *user = find_user(disk, uid);

    if (!user || user->state != DISK_UNREAD)
        return true;
    if (!user->job.is_busy) {
        if (timer_arm(&user->patience, PATIENCE_US) < 0)
            return true;
        start_deed(user, DEED_READ);
    } else if (!timer_is_armed(&user->patience)) {
        return true; /* it has been waited for long enough */
    }
    if (user->state == DISK_OFF)
        return true;
    wait_in(&user->waits, wait);
    return false;
}

int tls_session_disk_forget(struct tls_session_disk *disk,
                            uint32_t uid,
                            struct tls_session_wait *wait)
{
    struct disk_user *user = find_user(disk, uid);

    tls_sessions_forget(disk->sessions, uid);
    if (!user)
        return may_keep(disk, uid) ? fault(-ENOMEM) : TLS_SESSION_FORGET_DONE;
    user->is_dirty = false;
    user->must_forget = true;
    wait_in(&user->removals, wait);
    next_deed(user);
    return wait->is_waiting ? TLS_SESSION_FORGET_WAIT : fault(-ENOMEM);
}

/* ---- life ---------------------------------------------------------------------------------
 */

int tls_session_disk_new(struct tls_session_disk **ret,
                         struct loop *loop,
                         struct tls_sessions *sessions,
                         const struct tls_session_disk_options *options)
{
    CLEANUP(tls_session_disk_free)
    struct tls_session_disk *disk = mem_zalloc(sizeof(*disk));

    if (!disk)
        return fault(-ENOMEM);
    disk->loop = loop;
    disk->sessions = sessions;
    disk->options = *options;
    disk->folder = (struct tls_session_folder){.state_dir = options->state_dir,
                                               .per_user = options->per_user,
                                               .name_of = options->name_of};
    int r = worker_pool_new(&disk->worker, loop, 1);
    if (r < 0)
        return r;
    tls_sessions_observe(sessions, disk_on_change, disk);
    *ret = TAKE(disk);
    return 0;
}

static bool flush_user(struct map_node *node, void *arg)
{
    (void)arg;
    next_deed(CONTAINER_OF(node, struct disk_user, node));
    return true;
}

static bool free_user(struct map_node *node, void *arg)
{
    struct disk_user *user = CONTAINER_OF(node, struct disk_user, node);

    (void)arg;
    INVARIANT(list_is_empty(&user->waits) && list_is_empty(&user->removals));
    timer_disarm(&user->write_timer);
    timer_disarm(&user->patience);
    mem_free(user);
    return true;
}

struct tls_session_disk *tls_session_disk_free(struct tls_session_disk *disk)
{
    if (!disk)
        return NULL;
    tls_sessions_observe(disk->sessions, NULL, NULL);
    disk->is_leaving = true;
    if (disk->worker) {
        worker_drain(disk->worker); /* what was begun; then, maybe after it, the last words */
        map_each(&disk->users, flush_user, NULL);
        worker_drain(disk->worker);
    }
    disk->worker = worker_pool_free(disk->worker);
    map_each(&disk->users, free_user, NULL);
    map_done(&disk->users);
    explicit_bzero(disk->folder.key, sizeof(disk->folder.key));
    return mem_free(disk);
}
