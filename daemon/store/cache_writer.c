/* SPDX-License-Identifier: MIT */
/*
 * An answer on its way to disk. Its bytes are gathered in a buffer; when there is a block of
 * them it is written on a thread, one at a time, and the digest goes along. Who is faster than
 * the disk is told to wait, two seconds at most: then the answer goes on and is not stored.
 */
#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"
#include "policy/cache_rules.h"
#include "store/cache_store_priv.h"

#define BLOCK_BYTES  65536
#define FULL_BYTES   (2 * BLOCK_BYTES) /* gathered, and nothing more for now */
#define GATHERED_MAX (8 * BLOCK_BYTES)

enum writer_stage {
    WRITER_IDLE,
    WRITER_OPENING,
    WRITER_WRITING,
    WRITER_COMMITTING,
};

struct cache_writer {
    struct link link; /* in store->writers */
    struct job job;
    struct cache_store *store;
    const struct cache_writer_events *events;
    void *owner; /* NULL: it has ended the writer */
    struct timer patience;
    enum writer_stage stage;
    bool has_all;  /* commit was asked for */
    bool has_file; /* something may lie on the disk */
    bool is_full;
    int err; /* positive: it will not be stored */
    uint64_t announced_bytes;
    uint64_t order; /* of those that were committed */
    struct buf filling;
    /* The job's while one runs. */
    uint64_t id;
    struct cache_entry entry;
    struct buf writing;
    struct buf meta;
    struct sha256 sha;
    struct cache_body_mark mark;
    int fd;
    int job_err;
};

static void writer_free(struct cache_writer *writer)
{
    timer_disarm(&writer->patience);
    link_remove(&writer->link);
    writer->store->n_writers--;
    if (writer->fd >= 0)
        close(writer->fd);
    sha256_drop(&writer->sha);
    buf_done(&writer->filling);
    buf_done(&writer->writing);
    buf_done(&writer->meta);
    cache_entry_done(&writer->entry);
    mem_free(writer);
}

/* The end of one that is not stored. */
static void writer_give_up(struct cache_writer *writer)
{
    struct cache_store *store = writer->store;

    if (writer->has_file)
        cache_store_remove_files(store, writer->id);
    writer_free(writer);
    cache_finds_go_on(store);
}

static void fail(struct cache_writer *writer, int err)
{
    if (writer->err == 0)
        writer->err = err;
    buf_done(&writer->filling);
}

/* ---- on a thread ----------------------------------------------------------------------- */

static int write_block(struct cache_writer *writer)
{
    struct span bytes = buf_span(&writer->writing);

    sha256_add(&writer->sha, bytes);
    while (bytes.len > 0) {
        ssize_t n = write(writer->fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        bytes = span_drop(bytes, (size_t)n);
    }
    return 0;
}

static void writer_run(struct job *job)
{
    struct cache_writer *writer = CONTAINER_OF(job, struct cache_writer, job);
    struct cache_disk *disk = &writer->store->disk;
    int r = 0;

    switch (writer->stage) {
    case WRITER_IDLE: break;
    case WRITER_OPENING:
        r = cache_disk_create(disk, writer->id);
        writer->fd = r < 0 ? -1 : r;
        break;
    case WRITER_WRITING: r = -write_block(writer); break;
    case WRITER_COMMITTING:
        r = cache_disk_commit(disk, writer->id, buf_span(&writer->meta), &writer->mark);
        break;
    }
    writer->job_err = r < 0 ? -r : 0;
}

/* ---- steps ----------------------------------------------------------------------------- */

static void writer_done(struct job *job);

/* Return: whether the job runs; else the writer has failed. */
static bool run(struct cache_writer *writer, enum writer_stage stage)
{
    struct cache_store *store = writer->store;

    writer->job = (struct job){.run = writer_run, .done = writer_done};
    writer->stage = stage;
    writer->job_err = ECANCELED;
    int r = cache_store_submit(store, stage == WRITER_WRITING ? store->bodies : store->names,
                               &writer->job);
    if (r == 0)
        return true;
    writer->stage = WRITER_IDLE;
    fail(writer, -r);
    return false;
}

static int make_meta(struct cache_writer *writer)
{
    struct cache_entry *entry = &writer->entry;

    if (writer->announced_bytes != 0 && writer->announced_bytes != entry->body_bytes)
        return fault(-EBADMSG);
    int r = sha256_end(&writer->sha, entry->body_digest);
    return r == 0 ? cache_entry_encode(entry, &writer->meta) : r;
}

static void begin_commit(struct cache_writer *writer)
{
    int r = make_meta(writer);

    if (writer->fd >= 0 && close(writer->fd) < 0 && r == 0)
        r = -errno; /* some file systems say it here */
    writer->fd = -1;
    if (r < 0)
        fail(writer, -r);
    if (writer->err != 0 || !run(writer, WRITER_COMMITTING))
        writer_give_up(writer);
}

/* What is due while no job runs. The writer may be gone after it. */
static void go_on(struct cache_writer *writer)
{
    bool has_ended = !writer->owner;

    if (writer->err != 0 || (has_ended && !writer->has_all)) {
        if (has_ended)
            writer_give_up(writer);
        return;
    }
    if (writer->filling.len >= BLOCK_BYTES || (writer->has_all && writer->filling.len > 0)) {
        struct buf empty = writer->writing;

        buf_clear(&empty);
        writer->writing = writer->filling;
        writer->filling = empty;
        if (!run(writer, WRITER_WRITING) && has_ended)
            writer_give_up(writer);
    } else if (writer->has_all) {
        begin_commit(writer);
    }
}

static void tell_room(struct cache_writer *writer)
{
    if (!writer->is_full || (writer->err == 0 && writer->filling.len >= FULL_BYTES))
        return;
    writer->is_full = false;
    timer_disarm(&writer->patience);
    if (writer->owner)
        writer->events->on_room(writer->owner);
}

static void writer_on_patience(void *owner)
{
    struct cache_writer *writer = owner;

    fail(writer, ETIMEDOUT);
    tell_room(writer);
}

/* In the place of what was stored for the same requests, unless that is newer: bodies are
 * written by several threads, and a later answer may overtake. Return: 0, -ESTALE or -ENOMEM.
 */
static int enter_index(struct cache_writer *writer)
{
    struct cache_store *store = writer->store;
    struct span url = span_of(writer->entry.url);
    struct cache_item *item;
    int r = cache_item_new(&item, writer->id, &writer->entry);

    if (r < 0)
        return r;
    struct cache_item *old = cache_index_same(&store->index, item, url);
    if (old && old->order > writer->order) {
        cache_item_free(item);
        return -ESTALE;
    }
    if (old)
        cache_store_remove(store, old);
    item->order = writer->order;
    item->mark = writer->mark;
    item->used_s = loop_wall_s(store->loop);
    r = cache_index_add(&store->index, item, url);
    if (r < 0) {
        cache_item_free(item);
        return r;
    }
    if (item->url->n_items > CACHE_VARIANTS_MAX)
        cache_store_remove(store,
                           CONTAINER_OF(item->url->items.prev, struct cache_item, sibling));
    return 0;
}

static void on_committed(struct cache_writer *writer)
{
    struct cache_store *store = writer->store;

    if (writer->err != 0 || enter_index(writer) < 0) {
        writer_give_up(writer);
        return;
    }
    writer_free(writer);
    cache_store_evict(store);
    cache_finds_go_on(store);
}

static void writer_done(struct job *job)
{
    struct cache_writer *writer = CONTAINER_OF(job, struct cache_writer, job);
    struct cache_store *store = writer->store;
    enum writer_stage stage = writer->stage;
    int err = job->cancelled ? ECANCELED : writer->job_err;

    writer->stage = WRITER_IDLE;
    writer->has_file |= stage == WRITER_OPENING && err == 0;
    if (err != 0) {
        fail(writer, err);
        cache_store_warn(store, "storing an answer", err);
    }
    if (stage == WRITER_COMMITTING) {
        on_committed(writer);
    } else {
        bool is_owned = writer->owner;

        go_on(writer); /* one that is owned stays */
        if (is_owned)
            tell_room(writer);
    }
    cache_store_job_done(store);
}

/* ---- what the owner does --------------------------------------------------------------- */

int cache_store_write(struct cache_store *store,
                      struct cache_entry *entry,
                      const struct cache_writer_events *events,
                      void *owner,
                      struct cache_writer **ret)
{
    if (store->is_closed || !store->is_ready || store->n_slow > 0 ||
        store->limits.bytes_max == 0)
        return -EAGAIN;
    if (store->n_writers >= CACHE_STORE_WRITERS_MAX)
        return -EBUSY;
    if (entry->body_bytes > store->limits.body_bytes_max ||
        entry->body_bytes > store->limits.bytes_max)
        return -EFBIG;
    struct cache_writer *writer = mem_zalloc(sizeof(*writer));
    if (!writer)
        return fault(-ENOMEM);
    writer->store = store;
    writer->events = events;
    writer->owner = owner;
    writer->id = rand_u64();
    writer->fd = -1;
    link_init(&writer->link);
    timer_init(&writer->patience, store->loop, writer_on_patience, writer);
    store->n_writers++;
    cache_entry_init(&writer->entry);
    if (sha256_begin(&writer->sha) < 0 || !run(writer, WRITER_OPENING)) {
        writer_free(writer);
        return fault(-ENOMEM);
    }
    cache_entry_done(&writer->entry);
    writer->entry = *entry;
    cache_entry_init(entry);
    writer->announced_bytes = writer->entry.body_bytes;
    writer->entry.body_bytes = 0;
    list_append(&store->writers, &writer->link);
    *ret = writer;
    return 0;
}

static int take(struct cache_writer *writer, struct span bytes)
{
    const struct cache_limits *limits = &writer->store->limits;
    uint64_t total = writer->entry.body_bytes + bytes.len;

    if (total > limits->body_bytes_max || total > limits->bytes_max)
        return EFBIG;
    if (writer->filling.len + bytes.len > GATHERED_MAX)
        return ENOBUFS; /* it was told to wait */
    writer->entry.body_bytes = total;
    return -buf_append(&writer->filling, bytes);
}

bool cache_store_add(struct cache_writer *writer, struct span bytes)
{
    int err = writer->err == 0 ? take(writer, bytes) : 0;

    if (err != 0)
        fail(writer, err);
    if (writer->err != 0)
        return true;
    if (writer->stage == WRITER_IDLE)
        go_on(writer);
    if (writer->err != 0 || writer->filling.len < FULL_BYTES)
        return true;
    writer->is_full = true;
    if (!timer_is_armed(&writer->patience) &&
        timer_arm(&writer->patience, CACHE_PATIENCE_US) < 0) {
        fail(writer, ENOMEM);
        writer->is_full = false;
        return true;
    }
    return false;
}

static void end(struct cache_writer *writer, bool has_all)
{
    writer->owner = NULL;
    writer->has_all = has_all;
    timer_disarm(&writer->patience);
    if (writer->stage == WRITER_IDLE)
        go_on(writer);
}

void cache_store_commit(struct cache_writer *writer)
{
    writer->order = ++writer->store->n_committed;
    end(writer, true);
}

void cache_store_drop(struct cache_writer *writer)
{
    end(writer, false);
}

/* ---- what the store asks --------------------------------------------------------------- */

bool cache_writers_end(const struct cache_store *store, struct span url)
{
    LIST_FOREACH (at, &store->writers) {
        const struct cache_writer *writer = CONTAINER_OF(at, struct cache_writer, link);

        if (writer->has_all && writer->err == 0 && span_eq(span_of(writer->entry.url), url))
            return true;
    }
    return false;
}

void cache_writers_doom(struct cache_store *store, struct span what)
{
    LIST_FOREACH (at, &store->writers) {
        struct cache_writer *writer = CONTAINER_OF(at, struct cache_writer, link);

        if (cache_url_is(span_of(writer->entry.url), what))
            fail(writer, ESTALE);
    }
}

/* Those that run a job end with it. */
void cache_writers_close(struct cache_store *store)
{
    LIST_FOREACH (at, &store->writers) {
        struct cache_writer *writer = CONTAINER_OF(at, struct cache_writer, link);

        if (writer->stage == WRITER_IDLE && !writer->owner)
            writer_free(writer);
    }
}
