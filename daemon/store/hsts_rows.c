/* SPDX-License-Identifier: MIT */
#include "store/hsts_rows.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "store/cookie_rows.h"
#include "store/schema.h"
#include "store/statement.h"

#define FLAG_INCLUDE_SUBDOMAINS 1
#define FLAG_OF_TLS             2

struct hsts_rows {
    struct db *db;
    sqlite3_stmt *put;
    sqlite3_stmt *remove;
};

void saved_hosts_append(struct saved_hosts *list, struct saved_host *saved)
{
    if (!list->end)
        list->end = &list->first;
    saved->next = NULL;
    *list->end = saved;
    list->end = &saved->next;
    list->count++;
}

void saved_hosts_done(struct saved_hosts *list)
{
    while (list->first) {
        struct saved_host *saved = list->first;

        list->first = saved->next;
        mem_free(saved);
    }
    *list = (struct saved_hosts){0};
}

struct saved_host *
saved_host_new(const struct hsts_host *host, const char *profile, bool is_deleted)
{
    struct saved_host *saved = mem_zalloc(sizeof(*saved) + host->host.len);

    if (!saved)
        return NULL;
    memcpy(saved->text, host->host.ptr, host->host.len);
    saved->host = *host;
    saved->host.host.ptr = saved->text;
    memcpy(saved->profile, profile, strnlen(profile, sizeof(saved->profile) - 1));
    saved->is_deleted = is_deleted;
    return saved;
}

static int64_t host_checksum(const struct host_view *view)
{
    uint64_t sum = checksum_bytes(CHECKSUM_INIT, view->profile);

    sum = checksum_bytes(sum, view->host);
    sum = checksum_int(sum, view->flags);
    return (int64_t)checksum_int(sum, view->expires_s);
}

int host_decode(const struct host_view *view, struct saved_host **ret)
{
    const struct hsts_host host = {
        .host = view->host,
        .expires_s = view->expires_s,
        .include_subdomains = view->flags & FLAG_INCLUDE_SUBDOMAINS,
    };
    struct partition who;

    if (view->checksum != host_checksum(view) || view->host.len == 0 ||
        view->host.len > HSTS_TEXT_MAX ||
        (view->flags & ~(FLAG_INCLUDE_SUBDOMAINS | FLAG_OF_TLS)) ||
        partition_init(&who, 0, view->profile) < 0)
        return ROW_BAD;
    *ret = saved_host_new(&host, who.profile, false);
    if (!*ret)
        return fault(-ENOMEM);
    (*ret)->of_tls = view->flags & FLAG_OF_TLS;
    return ROW_OK;
}

int hsts_rows_new(struct hsts_rows **ret, struct db *db, struct db_error *ret_error)
{
    CLEANUP(hsts_rows_free) struct hsts_rows *rows = mem_zalloc(sizeof(*rows));

    if (!rows)
        return fault(-ENOMEM);
    rows->db = db;
    int r = statement_prepare(
        rows->db,
        "INSERT OR REPLACE INTO host (profile, host, flags, expires_s, checksum) "
        "VALUES (?1,?2,?3,?4,?5)",
        true, "its table of hosts", &rows->put, ret_error);
    if (r == DB_OK)
        r = statement_prepare(rows->db, "DELETE FROM host WHERE profile=?1 AND host=?2", true,
                              "its table of hosts", &rows->remove, ret_error);
    if (r != DB_OK)
        return r;

    *ret = TAKE(rows);
    return DB_OK;
}

/* finalize and reset repeat the error of the last step, which was read then. */
struct hsts_rows *hsts_rows_free(struct hsts_rows *rows)
{
    if (!rows)
        return NULL;
    (void)sqlite3_finalize(rows->put);
    (void)sqlite3_finalize(rows->remove);
    return mem_free(rows);
}

/* Return: 0 or -ENOMEM. */
static int take_row(sqlite3_stmt *statement, struct saved_hosts *rows, size_t *bad)
{
    const struct host_view view = {
        .profile = statement_span(statement, 0),
        .host = statement_span(statement, 1),
        .flags = sqlite3_column_int64(statement, 2),
        .expires_s = sqlite3_column_int64(statement, 3),
        .checksum = sqlite3_column_int64(statement, 4),
    };
    struct saved_host *saved = NULL;
    int r = host_decode(&view, &saved);

    if (r == ROW_OK)
        saved_hosts_append(rows, saved);
    *bad += r == ROW_BAD;
    return r < 0 ? r : 0;
}

/* Bad rows have no name that could be trusted: the good ones are written in place of all. */
static int
drop_bad(struct hsts_rows *rows, const struct saved_hosts *good, struct db_error *error)
{
    struct db_error ignored;
    int r = db_exec(rows->db, "BEGIN IMMEDIATE", "saving", error);

    if (r == DB_OK)
        r = hsts_rows_write(rows, good, true, error);
    if (r == DB_OK)
        r = db_exec(rows->db, "COMMIT", "saving", error);
    if (r != DB_OK)
        (void)!db_exec(rows->db, "ROLLBACK", "saving", &ignored);
    return r;
}

int hsts_rows_read(struct hsts_rows *rows,
                   struct saved_hosts *ret,
                   size_t *ret_bad,
                   struct db_error *ret_error)
{
    sqlite3_stmt *statement = NULL;
    size_t bad = 0;
    int rc = SQLITE_DONE;
    int r = statement_prepare(
        rows->db, "SELECT profile, host, flags, expires_s, checksum FROM host ORDER BY id",
        false, "its table of hosts", &statement, ret_error);

    while (r == DB_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        r = take_row(statement, ret, &bad);
    if (r == DB_OK && rc != SQLITE_DONE)
        r = db_outcome(rows->db, rc, "reading", ret_error);
    (void)sqlite3_finalize(statement);
    if (r == DB_OK && bad > 0)
        r = drop_bad(rows, ret, ret_error);
    if (r == DB_OK)
        *ret_bad = bad;
    return r;
}

/* Binding fails for lack of memory only, and for bugs; either way the bits stay. */
static int bind_row(sqlite3_stmt *statement, const struct saved_host *saved)
{
    struct host_view view = {
        .profile = span_of(saved->profile),
        .host = saved->host.host,
        .flags = (saved->host.include_subdomains ? FLAG_INCLUDE_SUBDOMAINS : 0) |
                 (saved->of_tls ? FLAG_OF_TLS : 0),
        .expires_s = saved->host.expires_s,
    };
    int rc = statement_bind_text(statement, 1, view.profile);

    rc |= statement_bind_text(statement, 2, view.host);
    if (!saved->is_deleted) {
        rc |= sqlite3_bind_int64(statement, 3, view.flags);
        rc |= sqlite3_bind_int64(statement, 4, view.expires_s);
        rc |= sqlite3_bind_int64(statement, 5, host_checksum(&view));
    }
    return rc;
}

static int
write_one(struct hsts_rows *rows, const struct saved_host *saved, struct db_error *error)
{
    sqlite3_stmt *statement = saved->is_deleted ? rows->remove : rows->put;

    return statement_run(rows->db, statement, bind_row(statement, saved), error);
}

int hsts_rows_write(struct hsts_rows *rows,
                    const struct saved_hosts *changes,
                    bool wipe,
                    struct db_error *ret_error)
{
    int r = wipe ? db_exec(rows->db, "DELETE FROM host", "saving", ret_error) : DB_OK;

    for (const struct saved_host *at = changes->first; r == DB_OK && at; at = at->next)
        r = write_one(rows, at, ret_error);
    return r;
}
