/* SPDX-License-Identifier: MIT */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/schema.h"

#define BUSY_TIMEOUT_MS 1000 /* someone may look at the file with sqlite3(1) */
#define ASIDE_MAX       9
#define RESERVE_BYTES   INT64_C(131072)

static int PRINTF_LIKE(3, 4)
    fail(struct db_error *ret, enum db_outcome outcome, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(ret->text, sizeof(ret->text), fmt, args);
    va_end(args);
    return (int)outcome;
}

static int fail_errno(struct db_error *ret, const char *path, const char *what)
{
    bool is_full = errno == ENOSPC || errno == EDQUOT;

    return fail(ret, is_full ? DB_FULL : DB_FAILED, "%s: %s: %m", path, what);
}

/* SQLite itself knows ENOSPC of a write alone as such, and passes errno on by halves only. Who
 * begins something has set errno to 0: what is there now is of the call that failed. */
static bool lacks_room(void)
{
    return errno == ENOSPC || errno == EDQUOT;
}

int db_outcome(const struct db *db, int rc, const char *what, struct db_error *ret_error)
{
    int extended = db->handle ? sqlite3_extended_errcode(db->handle) : rc;
    enum db_outcome outcome = DB_FAILED;

    switch (rc & 0xff) {
    case SQLITE_NOMEM: return fault(-ENOMEM);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: outcome = DB_CORRUPT; break;
    case SQLITE_FULL: outcome = DB_FULL; break;
    case SQLITE_BUSY: outcome = DB_LOCKED; break;
    case SQLITE_IOERR:
        if (extended == SQLITE_IOERR_SHORT_READ || extended == SQLITE_IOERR_CORRUPTFS)
            outcome = DB_CORRUPT;
        else if (lacks_room())
            outcome = DB_FULL;
        break;
    case SQLITE_CANTOPEN: outcome = lacks_room() ? DB_FULL : DB_FAILED; break;
    default: break;
    }
    return fail(ret_error, outcome, "%s: %s: %s", db->path, what,
                db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
}

int db_exec(const struct db *db, const char *sql, const char *what, struct db_error *ret_error)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? DB_OK : db_outcome(db, rc, what, ret_error);
}

/* The one integer a statement yields. */
static int
query_int(const struct db *db, const char *sql, int64_t *ret, struct db_error *ret_error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            *ret = sqlite3_column_int64(statement, 0);
    }
    int r = rc == SQLITE_ROW ? DB_OK : db_outcome(db, rc, "reading it", ret_error);
    (void)sqlite3_finalize(statement); /* the error was read above */
    return r;
}

/* The folder part of a path. NULL for lack of memory. */
static char *dir_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_dup(SPAN_LIT("."));
    return mem_dup((struct span){path, slash == path ? 1 : (size_t)(slash - path)});
}

/* Our own folder, and nobody else's to look into. @real: without symbolic links */
static int take_dir(struct db *db, const char *real, struct db_error *ret_error)
{
    struct stat st;

    db->dir_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (db->dir_fd < 0)
        return fail_errno(ret_error, real, "opening the folder");
    if (fstat(db->dir_fd, &st) < 0)
        return fail_errno(ret_error, real, "fstat");
    if (st.st_uid != geteuid())
        return fail(ret_error, DB_UNSAFE, "%s: belongs to uid %u, not to us", real, st.st_uid);
    if ((st.st_mode & 07777) != 0700 && fchmod(db->dir_fd, 0700) < 0)
        return fail_errno(ret_error, real, "making it private");
    return DB_OK;
}

/* A folder that a loss of power takes away takes everything in it along. A file system that
 * cannot say so has done what it can. */
static void sync_parent(const char *real)
{
    CLEANUP_MEM char *parent = dir_name(real);
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

static int open_dir(struct db *db, const char *path, struct db_error *ret_error)
{
    const char *slash = strrchr(path, '/');
    CLEANUP_MEM char *dir = dir_name(path);

    if (!dir)
        return fault(-ENOMEM);
    bool is_new = mkdir(dir, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return fail_errno(ret_error, dir, "making the folder");
    CLEANUP_MEM char *real = realpath(dir, NULL); /* SQLite follows no link in any part */
    if (!real)
        return errno == ENOMEM ? fault(-ENOMEM) : fail_errno(ret_error, dir, "finding it");
    if (is_new)
        sync_parent(real);
    int r = take_dir(db, real, ret_error);
    if (r != DB_OK)
        return r;
    db->path = mem_format("%s/%s", real, slash ? slash + 1 : path);
    return db->path ? DB_OK : fault(-ENOMEM);
}

/* The part of the path that dir_fd leads to. */
static const char *file_name(const struct db *db)
{
    return strrchr(db->path, '/') + 1;
}

static int judge_file(const char *path, int fd, struct stat *st, struct db_error *ret_error)
{
    if (fstat(fd, st) < 0)
        return fail_errno(ret_error, path, "fstat");
    if (!S_ISREG(st->st_mode))
        return fail(ret_error, DB_UNSAFE, "%s: not a regular file", path);
    if (st->st_uid != geteuid())
        return fail(ret_error, DB_UNSAFE, "%s: belongs to uid %u, not to us", path, st->st_uid);
    if (st->st_nlink != 1)
        return fail(ret_error, DB_UNSAFE, "%s: has other hard links", path);
    if ((st->st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
        return fail_errno(ret_error, path, "making it private");
    return DB_OK;
}

/* Opens one of our files, or makes it, if it is fit to be ours.
 * @suffix: "" for the database itself. @create: else a missing one is fine, and *ret is -1. */
static int open_file(const struct db *db,
                     const char *suffix,
                     bool create,
                     struct stat *ret_st,
                     int *ret,
                     struct db_error *ret_error)
{
    CLEANUP_MEM char *name = mem_format("%s%s", file_name(db), suffix);

    if (!name)
        return fault(-ENOMEM);
    int fd =
        openat(db->dir_fd, name,
               O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (create ? O_CREAT : 0), 0600);

    if (fd < 0 && errno == ENOENT && !create) {
        *ret = -1;
        return DB_OK;
    }
    if (fd < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO))
        return fail(ret_error, DB_UNSAFE, "%s%s: a link, a folder or a device: %m", db->path,
                    suffix);
    if (fd < 0)
        return fail_errno(ret_error, db->path, "opening it");
    int r = judge_file(db->path, fd, ret_st, ret_error);
    if (r != DB_OK) {
        (void)close(fd);
        return r;
    }
    *ret = fd;
    return DB_OK;
}

static int take_lock(struct db *db, struct db_error *ret_error)
{
    struct stat st = {0};
    int r = open_file(db, "-lock", true, &st, &db->lock_fd, ret_error);

    if (r != DB_OK)
        return r;
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? fail(ret_error, DB_LOCKED, "%s: another daemon is using it", db->path)
                   : fail_errno(ret_error, db->path, "flock");
    db->had_rows = st.st_size > 0;
    return DB_OK;
}

/* The database and what SQLite puts next to it. Closed again: SQLite opens by name, and the
 * folder is ours alone. */
static int check_files(struct db *db, struct db_error *ret_error)
{
    static const char *const suffixes[] = {"", "-wal", "-journal", "-shm"};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        struct stat st = {0};
        int fd = -1;
        int r = open_file(db, suffixes[i], i == 0, &st, &fd, ret_error);

        if (r != DB_OK)
            return r;
        if (i == 0)
            db->is_new = st.st_size == 0;
        if (fd >= 0)
            (void)close(fd);
    }
    return DB_OK;
}

static int migrate(struct db *db, int64_t version, struct db_error *ret_error)
{
    int r = db_exec(db, "BEGIN IMMEDIATE", "migrating", ret_error);

    for (int at = (int)version; r == DB_OK && at < SCHEMA_VERSION; at++)
        r = db_exec(db, schema_step(at), "migrating", ret_error);
    if (r == DB_OK) {
        char sql[96];

        (void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; PRAGMA application_id=%d",
                       SCHEMA_VERSION, SCHEMA_APPLICATION_ID);
        r = db_exec(db, sql, "migrating", ret_error);
    }
    if (r == DB_OK)
        r = db_exec(db, "COMMIT", "migrating", ret_error);
    return r; /* closing rolls back */
}

/* Whether it is ours to write, before anything is written. */
static int judge_version(struct db *db, int64_t *ret_version, struct db_error *ret_error)
{
    int64_t application = 0;
    int64_t tables = 0;
    int r = query_int(db, "PRAGMA user_version", ret_version, ret_error);

    if (r == DB_OK)
        r = query_int(db, "PRAGMA application_id", &application, ret_error);
    if (r == DB_OK)
        r = query_int(db, "SELECT count(*) FROM sqlite_schema", &tables, ret_error);
    if (r != DB_OK)
        return r;
    if (tables > 0 && application != SCHEMA_APPLICATION_ID)
        return fail(ret_error, DB_UNSAFE, "%s: a database, but not of xhrd", db->path);
    if (*ret_version > SCHEMA_VERSION)
        return fail(ret_error, DB_NEWER,
                    "%s: written by a newer xhrd (schema %lld, this one knows %d)", db->path,
                    (long long)*ret_version, SCHEMA_VERSION);
    return DB_OK;
}

/* quick_check tells of a page that could not be read as of one that is wrong, with the code of
 * the failure at the end. Return: that code; SQLITE_CORRUPT: it is wrong. */
static int code_of_finding(const char *text)
{
    static const char mark[] = "unable to get the page. error code=";
    const char *at = strstr(text, mark);
    uint64_t code = SQLITE_CORRUPT;

    if (at && num_parse_u64(span_of(at + sizeof(mark) - 1), INT32_MAX, &code) < 0)
        code = SQLITE_CORRUPT;
    return (int)code;
}

static int judge_finding(const struct db *db, const char *text, struct db_error *ret_error)
{
    int code = code_of_finding(text);
    bool is_damage = (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ||
                     code == SQLITE_IOERR_SHORT_READ;

    if ((code & 0xff) == SQLITE_NOMEM)
        return fault(-ENOMEM);
    return fail(ret_error, is_damage ? DB_CORRUPT : DB_FAILED, "%s: %s", db->path, text);
}

static int check_pages(const struct db *db, struct db_error *ret_error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int r = DB_OK;
    if (rc != SQLITE_ROW)
        r = db_outcome(db, rc, "quick_check", ret_error);
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        r = judge_finding(db, (const char *)sqlite3_column_text(statement, 0), ret_error);
    (void)sqlite3_finalize(statement); /* the error was read above */
    return r;
}

static int open_handle(struct db *db, struct db_error *ret_error)
{
    int64_t version = 0;
    int rc = sqlite3_open_v2(db->path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
                             NULL);

    if (rc != SQLITE_OK)
        return db_outcome(db, rc, "opening it", ret_error);
    (void)sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

    /* Exclusive: the lock is ours already, and the wal-index can stay in memory. */
    int r = db_exec(
        db, "PRAGMA page_size=4096; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-512",
        "opening it", ret_error);
    if (r == DB_OK)
        r = judge_version(db, &version, ret_error);
    if (r == DB_OK)
        r = db_exec(db,
                    "PRAGMA journal_mode=WAL; PRAGMA secure_delete=ON; "
                    "PRAGMA cell_size_check=ON; PRAGMA wal_autocheckpoint=256; "
                    "PRAGMA journal_size_limit=1048576; PRAGMA temp_store=MEMORY",
                    "opening it", ret_error);
    if (r == DB_OK)
        r = db_exec(db,
                    db->sync_power ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
                    "opening it", ret_error);
    if (r == DB_OK)
        r = check_pages(db, ret_error);
    if (r == DB_OK && version < SCHEMA_VERSION)
        r = migrate(db, version, ret_error);
    if (r == DB_OK)
        (void)fsync(db->dir_fd); /* the names of what was made just now */
    if (r == DB_OK)
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return r;
}

/* Return: 0 or -errno. A missing one is fine. */
static int rename_suffixed(const char *from, const char *to, const char *suffix)
{
    CLEANUP_MEM char *old = mem_format("%s%s", from, suffix);
    CLEANUP_MEM char *new = mem_format("%s%s", to, suffix);

    if (!old || !new)
        return fault(-ENOMEM);
    if (rename(old, new) < 0 && errno != ENOENT)
        return fault(-errno);
    return 0;
}

/* Return: 0 or -errno. */
static int set_aside(const char *path, const char *as, char **ret_new)
{
    CLEANUP_MEM char *aside = NULL;

    for (int n = 1; n <= ASIDE_MAX; n++) {
        mem_free(aside);
        aside = mem_format("%s.%s-%d", path, as, n);
        if (!aside)
            return fault(-ENOMEM);
        if (access(aside, F_OK) < 0)
            break;
        if (n == ASIDE_MAX) {
            mem_free(aside);
            aside = mem_format("%s.%s-1", path, as);
            if (!aside)
                return fault(-ENOMEM);
        }
    }
    /* The -wal first: without the database it means nothing, with another one it is poison. */
    int r = rename_suffixed(path, aside, "-wal");
    if (r == 0)
        r = rename_suffixed(path, aside, "");
    if (r == 0)
        *ret_new = TAKE(aside);
    return r;
}

/* The file goes out of the way as PATH.@as-N, a new one is begun. */
static int put_away(struct db *db, const char *as, char **ret_aside, struct db_error *ret_error)
{
    struct stat st;
    int fd = -1;

    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close_v2(db->handle);
    db->handle = NULL;
    int r = set_aside(db->path, as, ret_aside);
    if (r < 0) {
        errno = -r;
        return fail_errno(ret_error, db->path, "setting the file aside");
    }
    r = open_file(db, "", true, &st, &fd, ret_error);
    if (r != DB_OK)
        return r;
    (void)close(fd);
    db->is_new = true;
    return open_handle(db, ret_error);
}

int db_replace(struct db *db, struct db_error *ret_error)
{
    CLEANUP_MEM char *aside = NULL;
    struct db_error why = *ret_error;
    int r = put_away(db, "corrupt", &aside, ret_error);

    if (aside) {
        mem_free(db->aside);
        db->aside = TAKE(aside);
    }
    if (r == DB_OK)
        *ret_error = why;
    return r;
}

int db_begin_anew(struct db *db, struct db_error *ret_error)
{
    CLEANUP_MEM char *aside = NULL;

    if (ftruncate(db->lock_fd, 0) == 0)
        db->had_rows = false;
    return put_away(db, "former", &aside, ret_error);
}

int db_read_note(const struct db *db,
                 const char *suffix,
                 char ret[DB_NOTE_MAX + 1],
                 struct db_error *ret_error)
{
    struct stat st;
    int fd = -1;
    int r = open_file(db, suffix, false, &st, &fd, ret_error);

    ret[0] = '\0';
    if (r != DB_OK || fd < 0)
        return r;
    ssize_t len = pread(fd, ret, DB_NOTE_MAX, 0);
    (void)close(fd);
    if (len < 0)
        return fail_errno(ret_error, db->path, "reading a note beside it");
    ret[len] = '\0';
    return DB_OK;
}

int db_write_note(const struct db *db,
                  const char *suffix,
                  const char *text,
                  struct db_error *ret_error)
{
    size_t len = strlen(text);
    struct stat st;
    int fd = -1;
    int r = open_file(db, suffix, true, &st, &fd, ret_error);

    if (r != DB_OK)
        return r;
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len)
        r = fail_errno(ret_error, db->path, "writing a note beside it");
    (void)close(fd);
    return r;
}

int db_open(struct db **ret, const char *path, bool sync_power, struct db_error *ret_error)
{
    CLEANUP(db_free) struct db *db = mem_zalloc(sizeof(*db));

    if (!db)
        return fault(-ENOMEM);
    errno = 0;
    db->dir_fd = -1;
    db->lock_fd = -1;
    db->sync_power = sync_power;
    int r = open_dir(db, path, ret_error);
    if (r == DB_OK)
        r = take_lock(db, ret_error);
    if (r == DB_OK)
        r = check_files(db, ret_error);
    if (r == DB_OK)
        r = open_handle(db, ret_error);
    if (r == DB_CORRUPT)
        r = db_replace(db, ret_error);
    if (r != DB_OK)
        return r;
    db_take_reserve(db);

    *ret = TAKE(db);
    return DB_OK;
}

struct db *db_free(struct db *db)
{
    if (!db)
        return NULL;
    (void)sqlite3_close_v2(db->handle); /* what cannot be checkpointed stays in the -wal */
    if (db->lock_fd >= 0)
        (void)close(db->lock_fd);
    if (db->dir_fd >= 0)
        (void)close(db->dir_fd);
    mem_free(db->path);
    mem_free(db->aside);
    return mem_free(db);
}

void db_mark_rows(struct db *db)
{
    if (!db->had_rows && pwrite(db->lock_fd, "r", 1, 0) == 1)
        db->had_rows = true;
}

static char *reserve_name(const struct db *db)
{
    return mem_format("%s-reserve", file_name(db));
}

bool db_release_reserve(struct db *db)
{
    CLEANUP_MEM char *name = reserve_name(db);

    if (!db->has_reserve || !name)
        return false;
    db->has_reserve = false;
    return unlinkat(db->dir_fd, name, 0) == 0;
}

void db_take_reserve(struct db *db)
{
    CLEANUP_MEM char *name = reserve_name(db);

    if (db->has_reserve || !name)
        return;
    int fd = openat(db->dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    db->has_reserve = posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    (void)close(fd);
    if (!db->has_reserve)
        (void)unlinkat(db->dir_fd, name, 0);
}

int db_flush(const char *path)
{
    CLEANUP_MEM char *wal = mem_format("%s-wal", path);

    if (!wal)
        return fault(-ENOMEM);
    /* SQLite locks the database and never the -wal, so that closing this descriptor drops no
     * lock of its. */
    int fd = open(wal, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : fault(-errno);
    int r = fdatasync(fd) < 0 ? fault(-errno) : 0;
    (void)close(fd);
    return r;
}
