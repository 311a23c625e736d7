/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Prepared statements as every table here needs them: made with a word for people when they
 * cannot be, bound to spans, run, and read as spans.
 */

#include <sqlite3.h>
#include <stdbool.h>

#include "base/span.h"
#include "store/db.h"

/**
 * statement_prepare() - compile @sql
 * @is_kept: it will be run often
 * @what:    "its table": what is wrong when it does not compile
 * Return: as db_open(). A table that is not like that is DB_CORRUPT: the version is right.
 */
MUST_CHECK int statement_prepare(const struct db *db,
                                 const char *sql,
                                 bool is_kept,
                                 const char *what,
                                 sqlite3_stmt **ret,
                                 struct db_error *ret_error);

/* Binding fails for lack of memory only, and for bugs: results may be or-ed, not SQLITE_OK is
 * SQLITE_NOMEM. The bytes are borrowed until the statement was run. */
int statement_bind_text(sqlite3_stmt *statement, int column, struct span text);
int statement_bind_blob(sqlite3_stmt *statement, int column, struct span bytes);

/* Borrowed until the next step. */
struct span statement_span(sqlite3_stmt *statement, int column);

/* Runs one that yields no row, and makes it ready again. @bound: or-ed results of binding.
 * Return: as db_open(). */
MUST_CHECK int statement_run(const struct db *db,
                             sqlite3_stmt *statement,
                             int bound,
                             struct db_error *ret_error);
