/* SPDX-License-Identifier: MIT */
#include "store/session_log.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/cookie_rows.h"
#include "store/session_record.h"
#include "store/session_region.h"

#define WASTE_MIN ((size_t)64 << 10) /* less is not worth copying the rest */
#define LATE_MAX  128                /* of a longer group not all counts at once */
#define TIDY_MAX  ((size_t)1 << 20)  /* bytes put in order in one go */

/* Where a record is, and in which of its book's lists. */
struct entry {
    struct map_node node; /* key: order */
    struct link link;
    uint64_t order;
    uint64_t at;
    uint64_t ticket; /* of a superseded one */
    uint32_t size;
};

struct session_book {
    struct map_node node; /* key: uid */
    struct session_log *log;
    uint32_t uid;
    size_t bytes; /* in records that count */
    struct map entries;
    struct link live;
    struct link superseded; /* by ticket */
    struct link waiting;    /* of the process before */
    struct link waiting_superseded;
    bool was_told; /* that its limit is reached */
};

struct session_log {
    struct session_log_options options;
    struct session_region region;
    struct map books;
    size_t bytes;  /* in records that count */
    bool was_told; /* that there is no room */
    bool is_grouping;
    size_t unpublished;      /* bytes behind the end, of the group */
    size_t group_bytes;      /* written in it so far */
    uint64_t late[LATE_MAX]; /* records that are struck out when the group counts */
    unsigned n_late;
};

struct session_log_options session_log_options_default(void)
{
    return (struct session_log_options){
        .bytes_max = (size_t)16 << 20,
        .book_bytes_max = (size_t)1 << 20,
        .fair_bytes = (size_t)64 << 10,
    };
}

static struct session_book *book_of(struct map_node *node)
{
    return CONTAINER_OF(node, struct session_book, node);
}

struct session_book *session_log_find_book(const struct session_log *log, uint32_t uid)
{
    struct map_node *node =
        map_find(&log->books, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? book_of(node) : NULL;
}

static struct span key_of(const uint64_t *order)
{
    return (struct span){(const char *)order, sizeof(*order)};
}

static struct entry *find_entry(const struct session_book *book, uint64_t order)
{
    struct map_node *node = map_find(&book->entries, key_of(&order));

    return node ? CONTAINER_OF(node, struct entry, node) : NULL;
}

/* ---- records that count ---------------------------------------------------------------------
 */

/* What was written counts; what it took the place of is struck out. */
static void end_group(struct session_log *log)
{
    if (log->unpublished > 0)
        session_region_publish(&log->region, log->unpublished);
    log->unpublished = 0;
    for (unsigned i = 0; i < log->n_late; i++)
        session_record_set_state(session_region_at(&log->region, log->late[i]), SESSION_DEAD);
    log->n_late = 0;
}

static void strike_out(struct session_book *book, const struct entry *entry)
{
    struct session_log *log = book->log;

    book->bytes -= entry->size;
    log->bytes -= entry->size;
    if (log->n_late == LATE_MAX)
        end_group(log);
    if (log->is_grouping && entry->at < log->region.end)
        log->late[log->n_late++] = entry->at;
    else
        session_record_set_state(session_region_at(&log->region, entry->at), SESSION_DEAD);
}

static void count_in(struct session_book *book, struct entry *entry, uint64_t at, size_t size)
{
    entry->at = at;
    entry->size = (uint32_t)size;
    book->bytes += size;
    book->log->bytes += size;
}

static void forget_entry(struct session_book *book, struct entry *entry)
{
    map_remove(&book->entries, &entry->node);
    link_remove(&entry->link);
    mem_free(entry);
}

static struct entry *add_entry(struct session_book *book, uint64_t order)
{
    struct entry *entry = mem_zalloc(sizeof(*entry));

    if (!entry)
        return NULL;
    entry->order = order;
    link_init(&entry->link);
    if (map_add(&book->entries, &entry->node, key_of(&entry->order)) < 0)
        return mem_free(entry);
    return entry;
}

static size_t used_of(const struct session_log *log)
{
    return session_region_used(&log->region) + log->unpublished;
}

static size_t waste_of(const struct session_log *log)
{
    return used_of(log) - log->bytes;
}

/* Where the next record is written. */
static uint64_t end_of(const struct session_log *log)
{
    return log->region.end + log->unpublished;
}

static void count_written(struct session_log *log, size_t size)
{
    log->unpublished += size;
    log->group_bytes += size;
    if (!log->is_grouping)
        end_group(log);
}

static int grow(struct session_log *log, size_t size)
{
    return session_region_make_room(&log->region, log->unpublished + size);
}

/* ---- tidying --------------------------------------------------------------------------------
 */

static struct entry *entry_of(struct session_log *log, uint32_t uid, uint64_t order)
{
    struct session_book *book = session_log_find_book(log, uid);

    return book ? find_entry(book, order) : NULL;
}

/* Written anew behind the end; of two the later counts. Return: whether there is room. */
static bool move_to_end(struct session_log *log, struct entry *entry)
{
    if (grow(log, entry->size) < 0)
        return false;
    uint64_t at = end_of(log);
    char *from = session_region_at(&log->region, entry->at);
    memcpy(session_region_at(&log->region, at), from, entry->size);
    session_region_publish(&log->region, entry->size);
    session_record_set_state(from, SESSION_DEAD);
    entry->at = at;
    return true;
}

/* The oldest records, as far as @bytes of them: what is dead is left behind. */
static void tidy(struct session_log *log, size_t bytes, bool now)
{
    const struct session_region *region = &log->region;
    uint64_t at = region->start;

    INVARIANT(log->unpublished == 0);
    uint64_t stop = region->end - at < bytes ? region->end : at + bytes;

    while (at < stop) {
        uint64_t order;
        uint32_t uid;
        size_t size;
        enum session_state state =
            session_record_peek(session_region_at(region, at), &size, &uid, &order);

        INVARIANT(size > 0 && size <= region->end - at);
        if (state != SESSION_DEAD) {
            struct entry *entry = entry_of(log, uid, order);

            INVARIANT(entry && entry->at == at);
            if (!move_to_end(log, entry))
                break;
        }
        at += size;
    }
    session_region_advance(&log->region, at, now);
}

/* When more than half is waste, after @bytes of it came: four times as many are looked at, so
 * that waste goes faster than it comes, wherever it lies. */
static void tidy_if_due(struct session_log *log, size_t bytes)
{
    size_t waste = waste_of(log);

    if (log->is_grouping || waste < WASTE_MIN || waste <= log->bytes)
        return;
    tidy(log, bytes < TIDY_MAX / 4 ? 4 * bytes : TIDY_MAX, false);
}

/* ---- putting in and taking out --------------------------------------------------------------
 */

static bool is_allowed(const struct session_book *book, size_t size, size_t freed)
{
    const struct session_log_options *options = &book->log->options;
    size_t bytes = book->bytes - freed + size;
    size_t all = book->log->bytes - freed + size;

    return bytes <= options->book_bytes_max && all <= options->bytes_max &&
           (all <= options->bytes_max / 2 || bytes <= options->fair_bytes);
}

/* What came while nothing could be tidied has an end, too. */
static size_t used_max(const struct session_log *log)
{
    return 3 * log->options.bytes_max + 2 * WASTE_MIN;
}

/* Without room all is put in order, which leaves some if anything can. */
static int make_room(struct session_log *log, size_t size)
{
    tidy_if_due(log, size);
    int r = used_of(log) + size > used_max(log) ? -ENOSPC : grow(log, size);
    if (r == 0 || waste_of(log) == 0)
        return r;
    end_group(log); /* part of it, for what else could be done */
    tidy(log, session_region_used(&log->region), true);
    return grow(log, size);
}

/* @freed: bytes of the record that it takes the place of. Return: how long it is, or -errno. */
static int write_record(struct session_book *book,
                        const struct session_row *row,
                        size_t freed,
                        uint64_t *ret_at)
{
    struct session_log *log = book->log;
    size_t size = session_record_size(row);

    if (size == 0)
        return fault(-EINVAL);
    if (!is_allowed(book, size, freed))
        return -EDQUOT;
    int r = make_room(log, size);
    if (r < 0)
        return r;
    *ret_at = end_of(log);
    session_record_write(session_region_at(&log->region, *ret_at), size, row);
    count_written(log, size);
    return (int)size;
}

static void tell_trouble(struct session_book *book, int r)
{
    const struct log_subject subject = {.uid = book->uid, .has_uid = true};
    bool *was_told = r == -EDQUOT ? &book->was_told : &book->log->was_told;

    if (*was_told)
        return;
    *was_told = true;
    if (r == -EDQUOT)
        log_warning(&subject, "more session cookies than are kept for a crash of the daemon: "
                              "some are in its memory alone");
    else
        log_warning(&subject, "no memory to keep session cookies for a crash of the daemon: %s",
                    strerrordesc_np(-r));
}

static int put(struct session_book *book, const struct session_row *row)
{
    uint64_t order = row->cookie.order;
    struct entry *entry = find_entry(book, order);
    uint64_t at = 0;

    if (!entry && !(entry = add_entry(book, order)))
        return fault(-ENOMEM);
    int r = write_record(book, row, entry->size, &at);
    if (entry->size > 0)
        strike_out(book, entry);
    if (r < 0) {
        forget_entry(book, entry);
        return r;
    }
    count_in(book, entry, at, (size_t)r);
    link_remove(&entry->link);
    list_append(&book->live, &entry->link);
    return 0;
}

int session_book_put(struct session_book *book,
                     const char *profile,
                     const char *jar,
                     const struct cookie *cookie)
{
    const struct session_row row = {
        .uid = book->uid,
        .profile = span_of(profile),
        .jar = span_of(jar),
        .cookie = *cookie,
    };
    int r = put(book, &row);

    if (r < 0)
        tell_trouble(book, r);
    return r;
}

static void drop_entry(struct session_book *book, struct entry *entry)
{
    strike_out(book, entry);
    forget_entry(book, entry);
}

/* In a group what is gone has to be said, and counts with the rest of it. Without room for that
 * the group counts as far as it has come. Return: where it was written; 0: nowhere. */
static uint64_t write_removal(struct session_book *book, const struct entry *entry)
{
    struct session_log *log = book->log;
    size_t size = session_record_removal_size();

    if (grow(log, size) < 0) {
        end_group(log);
        return 0;
    }
    uint64_t at = end_of(log);
    session_record_write_removal(session_region_at(&log->region, at), book->uid, entry->order);
    count_written(log, size);
    return at;
}

/* Struck out, and the removal only after what it removes. */
static void drop_in_group(struct session_book *book, struct entry *entry)
{
    struct session_log *log = book->log;
    uint64_t removal = write_removal(book, entry);

    drop_entry(book, entry);
    if (removal == 0)
        return;
    if (log->n_late == LATE_MAX)
        end_group(log);
    log->late[log->n_late++] = removal;
}

void session_book_group(struct session_book *book, bool begins)
{
    struct session_log *log = book->log;

    log->is_grouping = begins;
    if (begins) {
        log->group_bytes = 0;
        return;
    }
    end_group(log);
    tidy_if_due(log, log->group_bytes);
}

void session_book_drop(struct session_book *book, uint64_t order)
{
    struct entry *entry = find_entry(book, order);

    if (!entry)
        return;
    size_t size = entry->size;
    if (book->log->is_grouping)
        drop_in_group(book, entry);
    else
        drop_entry(book, entry);
    tidy_if_due(book->log, size);
}

void session_book_supersede(struct session_book *book, uint64_t order, uint64_t ticket)
{
    struct entry *entry = find_entry(book, order);

    if (!entry)
        return;
    session_record_set_state(session_region_at(&book->log->region, entry->at),
                             SESSION_SUPERSEDED);
    entry->ticket = ticket;
    link_remove(&entry->link);
    list_append(&book->superseded, &entry->link);
}

void session_book_settle(struct session_book *book, uint64_t ticket)
{
    LIST_FOREACH (at, &book->superseded) {
        struct entry *entry = CONTAINER_OF(at, struct entry, link);

        if (entry->ticket > ticket)
            break;
        drop_entry(book, entry);
    }
    tidy_if_due(book->log, TIDY_MAX / 4);
}

static void drop_list(struct session_book *book, struct link *list)
{
    LIST_FOREACH (at, list)
        drop_entry(book, CONTAINER_OF(at, struct entry, link));
}

void session_book_clear_present(struct session_book *book)
{
    drop_list(book, &book->live);
    drop_list(book, &book->superseded);
    tidy_if_due(book->log, TIDY_MAX / 4);
}

void session_book_clear_superseded(struct session_book *book)
{
    drop_list(book, &book->superseded);
    drop_list(book, &book->waiting_superseded);
    tidy_if_due(book->log, TIDY_MAX / 4);
}

void session_book_clear(struct session_book *book)
{
    drop_list(book, &book->live);
    drop_list(book, &book->superseded);
    drop_list(book, &book->waiting);
    drop_list(book, &book->waiting_superseded);
    tidy_if_due(book->log, TIDY_MAX / 4);
}

bool session_book_is_empty(const struct session_book *book)
{
    return book->entries.count == 0;
}

/* ---- what the process before left -----------------------------------------------------------
 */

/* What it says may not have been done yet. */
static void index_removal(struct session_log *log, const struct session_row *row)
{
    struct session_book *book = session_log_find_book(log, row->uid);
    struct entry *entry = book ? find_entry(book, row->cookie.order) : NULL;

    if (entry)
        drop_entry(book, entry);
}

/* Of two with one order the later counts: it was written to take the other's place. */
static int index_record(struct session_log *log,
                        uint64_t at,
                        size_t size,
                        enum session_state state,
                        const struct session_row *row)
{
    struct session_book *book = NULL;
    int r = session_log_book(log, row->uid, &book);

    if (r < 0)
        return r;
    struct entry *entry = find_entry(book, row->cookie.order);
    if (entry)
        strike_out(book, entry);
    else
        entry = add_entry(book, row->cookie.order);
    if (!entry)
        return fault(-ENOMEM);
    count_in(book, entry, at, size);
    link_remove(&entry->link);
    list_append(state == SESSION_LIVE ? &book->waiting : &book->waiting_superseded,
                &entry->link);
    return 0;
}

static int index_all(struct session_log *log)
{
    const struct session_region *region = &log->region;
    uint64_t at = region->start;

    while (at < region->end) {
        struct span rest = {session_region_at(region, at), (size_t)(region->end - at)};
        enum session_state state;
        struct session_row row;
        size_t size;
        int outcome = session_record_read(rest, &size, &state, &row);

        if (outcome == SESSION_RECORD_CUT) {
            session_region_cut(&log->region, at);
            break;
        }
        bool counts = outcome == SESSION_RECORD_OK && state != SESSION_REMOVAL;
        int r = counts ? index_record(log, at, size, state, &row) : 0;
        if (r < 0)
            return r;
        if (outcome == SESSION_RECORD_OK && !counts)
            index_removal(log, &row);
        if (!counts) /* once more: it may have been about to be wiped */
            session_record_set_state(session_region_at(region, at), SESSION_DEAD);
        at += size;
    }
    return 0;
}

static int open_log(struct session_log *log, int fd)
{
    int r = session_region_open(&log->region, fd, 2 * used_max(log));

    if (r < 0)
        return r;
    if (r == SESSION_REGION_REFUSED)
        log_notice(NULL, "session cookies of the process before cannot be read: they have "
                         "ended");
    r = index_all(log);
    if (r < 0)
        session_region_discard(&log->region);
    return r;
}

int session_log_open(struct session_log **ret,
                     int fd,
                     const struct session_log_options *options)
{
    CLEANUP(session_log_free) struct session_log *log = mem_zalloc(sizeof(*log));

    if (!log) {
        struct session_region region = {.fd = fd};

        session_region_discard(&region);
        return fault(-ENOMEM);
    }
    log->options = *options;
    log->region.fd = -1;
    int r = open_log(log, fd);
    if (r < 0)
        return r;
    *ret = TAKE(log);
    return 0;
}

int session_book_take_waiting(struct session_book *book,
                              bool superseded,
                              struct saved_cookie **ret)
{
    struct link *first = list_first(superseded ? &book->waiting_superseded : &book->waiting);
    enum session_state state;
    struct session_row row;
    size_t size;

    *ret = NULL;
    if (!first)
        return 0;
    struct entry *entry = CONTAINER_OF(first, struct entry, link);
    struct span bytes = {session_region_at(&book->log->region, entry->at), entry->size};
    int outcome = session_record_read(bytes, &size, &state, &row);
    INVARIANT(outcome == SESSION_RECORD_OK); /* it was so when it was found */
    char profile[PARTITION_PROFILE_MAX] = "";
    char jar[JAR_NAME_MAX + 1] = "";
    if (row.profile.len > 0)
        memcpy(profile, row.profile.ptr, row.profile.len);
    memcpy(jar, row.jar.ptr, row.jar.len);
    *ret = saved_cookie_new(&row.cookie, profile, jar);
    if (!*ret)
        return fault(-ENOMEM);
    link_remove(&entry->link);
    list_append(&book->live, &entry->link);
    return 0;
}

void session_book_keep(struct session_book *book, uint64_t order)
{
    const struct entry *entry = find_entry(book, order);

    if (entry)
        session_record_set_state(session_region_at(&book->log->region, entry->at),
                                 SESSION_LIVE);
}

bool session_book_has_waiting(const struct session_book *book)
{
    return !list_is_empty(&book->waiting) || !list_is_empty(&book->waiting_superseded);
}

/* ---- books and life -------------------------------------------------------------------------
 */

int session_log_book(struct session_log *log, uint32_t uid, struct session_book **ret)
{
    struct session_book *book = session_log_find_book(log, uid);

    if (book) {
        *ret = book;
        return 0;
    }
    book = mem_zalloc(sizeof(*book));
    if (!book)
        return fault(-ENOMEM);
    book->log = log;
    book->uid = uid;
    link_init(&book->live);
    link_init(&book->superseded);
    link_init(&book->waiting);
    link_init(&book->waiting_superseded);
    int r = map_add(&log->books, &book->node,
                    (struct span){(const char *)&book->uid, sizeof(book->uid)});
    if (r < 0) {
        mem_free(book);
        return r;
    }
    *ret = book;
    return 0;
}

struct book_walk {
    void (*fn)(void *arg, uint32_t uid, struct session_book *book);
    void *arg;
};

static bool walk_book(struct map_node *node, void *arg)
{
    const struct book_walk *walk = arg;
    struct session_book *book = book_of(node);

    if (!session_book_is_empty(book))
        walk->fn(walk->arg, book->uid, book);
    return true;
}

void session_log_each_book(struct session_log *log,
                           void (*fn)(void *arg, uint32_t uid, struct session_book *book),
                           void *arg)
{
    struct book_walk walk = {fn, arg};

    map_each(&log->books, walk_book, &walk);
}

void session_log_touch(struct session_log *log, int64_t now_us)
{
    session_region_touch(&log->region, now_us);
}

int64_t session_log_touched_us(const struct session_log *log)
{
    return session_region_touched_us(&log->region);
}

size_t session_log_bytes(const struct session_log *log)
{
    return session_region_used(&log->region);
}

static void forget_list(struct session_book *book, struct link *list)
{
    LIST_FOREACH (at, list)
        forget_entry(book, CONTAINER_OF(at, struct entry, link));
}

static bool free_book(struct map_node *node, void *arg)
{
    struct session_book *book = book_of(node);

    (void)arg;
    forget_list(book, &book->live);
    forget_list(book, &book->superseded);
    forget_list(book, &book->waiting);
    forget_list(book, &book->waiting_superseded);
    map_done(&book->entries);
    mem_free(book);
    return true;
}

struct session_log *session_log_free(struct session_log *log)
{
    if (!log)
        return NULL;
    map_each(&log->books, free_book, NULL);
    map_done(&log->books);
    session_region_done(&log->region);
    return mem_free(log);
}
