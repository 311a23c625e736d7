/* SPDX-License-Identifier: MIT */
#include "store/statement.h"

int statement_prepare(const struct db *db,
                      const char *sql,
                      bool is_kept,
                      const char *what,
                      sqlite3_stmt **ret,
                      struct db_error *ret_error)
{
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, is_kept ? SQLITE_PREPARE_PERSISTENT : 0,
                                ret, NULL);

    if (rc == SQLITE_OK)
        return DB_OK;
    int r = db_outcome(db, rc, what, ret_error);
    return rc == SQLITE_ERROR && r > 0 ? DB_CORRUPT : r; /* not what was written once */
}

int statement_bind_text(sqlite3_stmt *statement, int column, struct span text)
{
    return sqlite3_bind_text(statement, column, text.len > 0 ? text.ptr : "", (int)text.len,
                             SQLITE_STATIC);
}

int statement_bind_blob(sqlite3_stmt *statement, int column, struct span bytes)
{
    return sqlite3_bind_blob(statement, column, bytes.len > 0 ? bytes.ptr : "", (int)bytes.len,
                             SQLITE_STATIC);
}

struct span statement_span(sqlite3_stmt *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);

    return bytes && len > 0 ? (struct span){bytes, (size_t)len} : (struct span){0};
}

int statement_run(const struct db *db,
                  sqlite3_stmt *statement,
                  int bound,
                  struct db_error *ret_error)
{
    int rc = bound == SQLITE_OK ? sqlite3_step(statement) : SQLITE_NOMEM;
    int r = rc == SQLITE_DONE ? DB_OK : db_outcome(db, rc, "writing", ret_error);

    (void)sqlite3_reset(statement); /* repeats the step's error, which was read above */
    (void)sqlite3_clear_bindings(statement);
    return r;
}
