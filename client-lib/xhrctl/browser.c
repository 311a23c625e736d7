/* SPDX-License-Identifier: MIT */
#include "browser.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define COPY_TRIES     5
#define COPY_BYTES_MAX ((off_t)1 << 30)

/* Chromium counts microseconds since 1601. */
#define EPOCH_1601_S INT64_C(11644473600)

static const char *const suffixes[] = {"", "-wal", "-journal"};

#define N_SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

struct copy {
    char dir[PATH_MAX];
    char path[PATH_MAX + 16];
};

bool browser_is_store(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof(magic)];
    int fd = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    bool is_store =
        read(fd, head, sizeof(head)) == sizeof(head) && memcmp(head, magic, sizeof(head)) == 0;
    (void)close(fd);
    return is_store;
}

/* ---- the copy ---- */

static void copy_done(struct copy *copy)
{
    static const char *const all[] = {"", "-wal", "-journal", "-shm"};
    char path[PATH_MAX + 32];

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", copy->path, all[i]);
        (void)unlink(path);
    }
    (void)rmdir(copy->dir);
}

/* Where what is written does not reach a disk, if there is such a place. */
static int copy_init(struct copy *copy, struct trouble *why)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    if (!base || base[0] != '/' || access(base, W_OK) < 0)
        base = "/tmp";
    if (snprintf(copy->dir, sizeof(copy->dir), "%s/xhrctl-XXXXXX", base) >=
            (int)sizeof(copy->dir) ||
        !mkdtemp(copy->dir))
        return trouble_set(why, EXIT_WRITE, "a folder to read in, below %s: %s", base,
                           strerror(errno));
    (void)snprintf(copy->path, sizeof(copy->path), "%s/cookies", copy->dir);
    return 0;
}

/* What tells whether a file was written to meanwhile; all zero when it is not there. */
struct state {
    off_t size;
    struct timespec changed;
    ino_t inode;
};

static struct state state_of(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat st;

    if (snprintf(name, sizeof(name), "%s%s", path, suffix) >= (int)sizeof(name) ||
        stat(name, &st) < 0)
        return (struct state){0};
    return (struct state){st.st_size, st.st_mtim, st.st_ino};
}

static bool is_same(const struct state *a, const struct state *b)
{
    return a->size == b->size && a->inode == b->inode &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Return: 0 or -errno; a file that is not there is copied by there being none. */
static int copy_file(const char *from, const char *to)
{
    struct strbuf bytes = {0};
    int in = open(from, O_RDONLY | O_CLOEXEC);

    (void)unlink(to);
    if (in < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = read_all(in, (size_t)COPY_BYTES_MAX, &bytes);
    (void)close(in);
    int out = r < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (r == 0 && out < 0)
        r = -errno;
    if (r == 0)
        r = write_all(out, bytes.bytes, bytes.len);
    if (out >= 0 && close(out) < 0 && r == 0)
        r = -errno;
    strbuf_done(&bytes);
    return r;
}

static int copy_once(const char *path, const struct copy *copy)
{
    char from[PATH_MAX];
    char to[PATH_MAX + 32];
    int r = 0;

    for (size_t i = 0; r == 0 && i < N_SUFFIXES; i++) {
        if (snprintf(from, sizeof(from), "%s%s", path, suffixes[i]) >= (int)sizeof(from))
            return -ENAMETOOLONG;
        (void)snprintf(to, sizeof(to), "%s%s", copy->path, suffixes[i]);
        r = copy_file(from, to);
    }
    return r;
}

/* The files as they were together at some moment: none of them changed while they were read. */
static int take_copy(const char *path, const struct copy *copy, struct trouble *why)
{
    for (int n = 0; n < COPY_TRIES; n++) {
        struct state before[N_SUFFIXES];
        bool was_quiet = true;

        for (size_t i = 0; i < N_SUFFIXES; i++)
            before[i] = state_of(path, suffixes[i]);
        int r = copy_once(path, copy);
        if (r < 0)
            return trouble_set(why, EXIT_READ, "%s: %s", path, strerror(-r));
        for (size_t i = 0; i < N_SUFFIXES; i++) {
            struct state after = state_of(path, suffixes[i]);

            was_quiet &= is_same(&before[i], &after);
        }
        if (was_quiet)
            return 0;
    }
    return trouble_set(why, EXIT_READ,
                       "%s: it is being written to all the time; end the browser", path);
}

/* ---- rows ---- */

/* A column's text; NULL when there is a NUL in it, or no memory. */
static const char *text_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);

    if (!text)
        return sqlite3_column_type(row, column) == SQLITE_NULL ? "" : NULL;
    return strlen(text) == len ? text : NULL;
}

/* What both stores have. Return: NULL, or why it is no cookie. */
static const char *take_common(sqlite3_stmt *row, struct xhr_cookie *ret)
{
    *ret = (struct xhr_cookie){.size = sizeof(*ret)};
    ret->domain = text_of(row, 1);
    ret->path = text_of(row, 2);
    ret->name = text_of(row, 3);
    ret->value = text_of(row, 4);
    ret->secure = sqlite3_column_int(row, 6) != 0;
    ret->http_only = sqlite3_column_int(row, 7) != 0;
    if (!ret->domain || !ret->path || !ret->name || !ret->value)
        return "there is a NUL byte in it";
    ret->host_only = ret->domain[0] != '.';
    ret->domain += !ret->host_only;
    return NULL;
}

/* None without Secure is what no browser takes: there it means that nothing was said. */
static enum xhr_same_site same_site_of(int number, bool secure)
{
    if (number == 1)
        return XHR_SAME_SITE_LAX;
    if (number == 2)
        return XHR_SAME_SITE_STRICT;
    return number == 0 && secure ? XHR_SAME_SITE_NONE : XHR_SAME_SITE_UNSPECIFIED;
}

#define FIREFOX_SQL                                                                            \
    "SELECT rowid, host, path, name, value, expiry, isSecure, isHttpOnly, sameSite, "          \
    "originAttributes FROM moz_cookies ORDER BY creationTime"

static const char *take_firefox(sqlite3_stmt *row, struct xhr_cookie *ret)
{
    const char *why = take_common(row, ret);
    int64_t expires = sqlite3_column_int64(row, 5);

    if (why)
        return why;
    if (sqlite3_column_bytes(row, 9) > 0)
        return "it is of a container, a private window or a partition";
    ret->persistent = true;
    /* Seconds; of late milliseconds. */
    ret->expires_s = expires > INT64_C(100000000000) ? expires / 1000 : expires;
    ret->same_site = same_site_of(sqlite3_column_int(row, 8), ret->secure);
    return NULL;
}

#define CHROMIUM_SQL                                                                           \
    "SELECT rowid, host_key, path, name, value, expires_utc, is_secure, is_httponly, "         \
    "samesite, top_frame_site_key, length(encrypted_value), is_persistent "                    \
    "FROM cookies ORDER BY creation_utc"

static const char *take_chromium(sqlite3_stmt *row, struct xhr_cookie *ret)
{
    const char *why = take_common(row, ret);

    if (why)
        return why;
    if (sqlite3_column_bytes(row, 4) == 0 && sqlite3_column_int(row, 10) > 0)
        return "its value is encrypted, with a key that the browser has";
    if (sqlite3_column_bytes(row, 9) > 0)
        return "it is of a partition";
    ret->persistent = sqlite3_column_int(row, 11) != 0;
    if (ret->persistent)
        ret->expires_s = sqlite3_column_int64(row, 5) / 1000000 - EPOCH_1601_S;
    ret->same_site = same_site_of(sqlite3_column_int(row, 8), ret->secure);
    return NULL;
}

struct store_kind {
    const char *sql;
    const char *(*take)(sqlite3_stmt *row, struct xhr_cookie *ret);
};

static const struct store_kind kinds[] = {
    {FIREFOX_SQL, take_firefox},
    {CHROMIUM_SQL, take_chromium},
};

static int import_rows(sqlite3_stmt *rows,
                       const struct store_kind *kind,
                       struct cookie_import *import,
                       struct trouble *why)
{
    int code = 0;
    int rc;

    while (code == 0 && (rc = sqlite3_step(rows)) != SQLITE_DONE) {
        struct xhr_cookie cookie;
        size_t row = (size_t)sqlite3_column_int64(rows, 0);

        if (rc != SQLITE_ROW)
            return trouble_set(why, EXIT_READ, "the store: %s", sqlite3_errstr(rc));
        const char *refusal = kind->take(rows, &cookie);
        if (refusal)
            cookie_import_refuse(import, row, refusal);
        else
            code = cookie_import_add(import, &cookie, row, why);
    }
    return code == 0 ? cookie_import_flush(import, why) : code;
}

static int
read_store(const char *path, sqlite3 *db, struct cookie_import *import, struct trouble *why)
{
    sqlite3_stmt *rows = NULL;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (sqlite3_prepare_v2(db, kinds[i].sql, -1, &rows, NULL) != SQLITE_OK)
            continue;
        int code = import_rows(rows, &kinds[i], import, why);
        (void)sqlite3_finalize(rows); /* a failed step was looked at */
        return code;
    }
    return trouble_set(why, EXIT_READ,
                       "%s: a database, but no store of cookies of Firefox or Chromium that is "
                       "known here: %s",
                       path, sqlite3_errmsg(db));
}

int browser_import(const char *path, struct cookie_import *import, struct trouble *why)
{
    struct copy copy;
    sqlite3 *db = NULL;
    int code = copy_init(&copy, why);

    if (code != 0)
        return code;
    code = take_copy(path, &copy, why);
    if (code == 0 && sqlite3_open_v2(copy.path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        code = trouble_set(why, EXIT_READ, "%s: %s", path,
                           db ? sqlite3_errmsg(db) : "out of memory");
    if (code == 0) {
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        code = read_store(path, db, import, why);
    }
    (void)sqlite3_close_v2(db);
    copy_done(&copy);
    return code;
}
