/* SPDX-License-Identifier: MIT */
#include "store/jar_rows.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/cookie_rows.h"
#include "store/schema.h"
#include "store/statement.h"

#define TABLE "its table of jars"

struct jar_rows {
    struct db *db;
    sqlite3_stmt *put;
    sqlite3_stmt *remove;
};

void saved_jars_append(struct saved_jars *list, struct saved_jar *saved)
{
    if (!list->end)
        list->end = &list->first;
    saved->next = NULL;
    *list->end = saved;
    list->end = &saved->next;
    list->count++;
}

void saved_jars_done(struct saved_jars *list)
{
    while (list->first) {
        struct saved_jar *saved = list->first;

        list->first = saved->next;
        saved_jar_free(saved);
    }
    *list = (struct saved_jars){0};
}

struct saved_jar *saved_jar_new(const char *profile, const char *name)
{
    struct saved_jar *saved = mem_zalloc(sizeof(*saved));

    if (!saved)
        return NULL;
    memcpy(saved->profile, profile, strnlen(profile, sizeof(saved->profile) - 1));
    memcpy(saved->name, name, strnlen(name, sizeof(saved->name) - 1));
    return saved;
}

struct saved_jar *saved_jar_free(struct saved_jar *saved)
{
    if (!saved)
        return NULL;
    jar_grants_done(&saved->grants);
    return mem_free(saved);
}

static int64_t jar_checksum(const struct jar_view *view)
{
    uint64_t sum = checksum_bytes(CHECKSUM_INIT, view->profile);

    sum = checksum_bytes(sum, view->name);
    sum = checksum_int(sum, view->flags);
    sum = checksum_int(sum, view->created_s);
    return (int64_t)checksum_bytes(sum, view->grants);
}

int jar_decode(const struct jar_view *view, struct saved_jar **ret)
{
    char name[JAR_NAME_MAX + 1] = "";
    struct partition who;

    if (view->checksum != jar_checksum(view) || !jar_name_is_valid(view->name) ||
        partition_init(&who, 0, view->profile) < 0)
        return ROW_BAD;
    memcpy(name, view->name.ptr, view->name.len);
    struct saved_jar *saved = saved_jar_new(who.profile, name);
    if (!saved)
        return fault(-ENOMEM);
    saved->created_s = view->created_s;
    int r = jar_grants_decode(view->grants, &saved->grants);
    if (r < 0) {
        saved_jar_free(saved);
        return r == -ENOMEM ? r : ROW_BAD;
    }
    *ret = saved;
    return ROW_OK;
}

int jar_rows_new(struct jar_rows **ret, struct db *db, struct db_error *ret_error)
{
    CLEANUP(jar_rows_free) struct jar_rows *rows = mem_zalloc(sizeof(*rows));

    if (!rows)
        return fault(-ENOMEM);
    rows->db = db;
    int r = statement_prepare(
        rows->db,
        "INSERT OR REPLACE INTO jar (profile, name, flags, created_s, grants, checksum) "
        "VALUES (?1,?2,?3,?4,?5,?6)",
        true, TABLE, &rows->put, ret_error);
    if (r == DB_OK)
        r = statement_prepare(rows->db, "DELETE FROM jar WHERE profile=?1 AND name=?2", true,
                              TABLE, &rows->remove, ret_error);
    if (r != DB_OK)
        return r;

    *ret = TAKE(rows);
    return DB_OK;
}

/* finalize and reset repeat the error of the last step, which was read then. */
struct jar_rows *jar_rows_free(struct jar_rows *rows)
{
    if (!rows)
        return NULL;
    (void)sqlite3_finalize(rows->put);
    (void)sqlite3_finalize(rows->remove);
    return mem_free(rows);
}

/* Return: 0 or -ENOMEM. */
static int take_row(sqlite3_stmt *statement, struct saved_jars *rows, size_t *bad)
{
    const struct jar_view view = {
        .profile = statement_span(statement, 0),
        .name = statement_span(statement, 1),
        .flags = sqlite3_column_int64(statement, 2),
        .created_s = sqlite3_column_int64(statement, 3),
        .grants = statement_span(statement, 4),
        .checksum = sqlite3_column_int64(statement, 5),
    };
    struct saved_jar *saved = NULL;
    int r = jar_decode(&view, &saved);

    if (r == ROW_OK)
        saved_jars_append(rows, saved);
    *bad += r == ROW_BAD;
    return r < 0 ? r : 0;
}

/* Bad rows have no name that could be trusted: the good ones are written in place of all. */
static int
drop_bad(struct jar_rows *rows, const struct saved_jars *good, struct db_error *error)
{
    struct db_error ignored;
    int r = db_exec(rows->db, "BEGIN IMMEDIATE", "saving", error);

    if (r == DB_OK)
        r = jar_rows_write(rows, good, true, error);
    if (r == DB_OK)
        r = db_exec(rows->db, "COMMIT", "saving", error);
    if (r != DB_OK)
        (void)!db_exec(rows->db, "ROLLBACK", "saving", &ignored);
    return r;
}

int jar_rows_read(struct jar_rows *rows,
                  struct saved_jars *ret,
                  size_t *ret_bad,
                  struct db_error *ret_error)
{
    sqlite3_stmt *statement = NULL;
    size_t bad = 0;
    int rc = SQLITE_DONE;
    int r =
        statement_prepare(rows->db,
                          "SELECT profile, name, flags, created_s, grants, checksum FROM jar "
                          "ORDER BY id",
                          false, TABLE, &statement, ret_error);

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

/* Return: as db_open(). */
static int put_one(struct jar_rows *rows, const struct saved_jar *saved, struct db_error *error)
{
    CLEANUP_BUF struct buf grants = BUF_INIT(0);

    if (jar_grants_encode(&saved->grants, &grants) < 0)
        return fault(-ENOMEM);
    struct jar_view view = {
        .profile = span_of(saved->profile),
        .name = span_of(saved->name),
        .created_s = saved->created_s,
        .grants = buf_span(&grants),
    };
    int rc = statement_bind_text(rows->put, 1, view.profile);

    rc |= statement_bind_text(rows->put, 2, view.name);
    rc |= sqlite3_bind_int64(rows->put, 3, view.flags);
    rc |= sqlite3_bind_int64(rows->put, 4, view.created_s);
    rc |= statement_bind_blob(rows->put, 5, view.grants);
    rc |= sqlite3_bind_int64(rows->put, 6, jar_checksum(&view));
    return statement_run(rows->db, rows->put, rc, error);
}

static int
write_one(struct jar_rows *rows, const struct saved_jar *saved, struct db_error *error)
{
    if (!saved->is_deleted)
        return put_one(rows, saved, error);
    int rc = statement_bind_text(rows->remove, 1, span_of(saved->profile));

    rc |= statement_bind_text(rows->remove, 2, span_of(saved->name));
    return statement_run(rows->db, rows->remove, rc, error);
}

int jar_rows_write(struct jar_rows *rows,
                   const struct saved_jars *changes,
                   bool wipe,
                   struct db_error *ret_error)
{
    int r = wipe ? db_exec(rows->db, "DELETE FROM jar", "saving", ret_error) : DB_OK;

    for (const struct saved_jar *at = changes->first; r == DB_OK && at; at = at->next)
        r = write_one(rows, at, ret_error);
    return r;
}
