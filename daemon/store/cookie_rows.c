/* SPDX-License-Identifier: MIT */
#include "store/cookie_rows.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "store/schema.h"
#include "store/statement.h"

#define FLAG_SECURE     1
#define FLAG_HTTP_ONLY  2
#define FLAG_HOST_ONLY  4
#define SAME_SITE_SHIFT 4
#define FLAGS_MAX       (SAME_SITE_STRICT << SAME_SITE_SHIFT | 7)

#define COLUMNS                                                                                \
    "id, profile, jar, domain, path, name, value, flags, expires_s, created_s, "               \
    "last_access_s, checksum, extra"

struct cookie_rows {
    struct db *db;
    sqlite3_stmt *put;
    sqlite3_stmt *remove;
    struct hsts_rows *hosts;
    struct jar_rows *jars;
};

void saved_list_append(struct saved_list *list, struct saved_cookie *saved)
{
    if (!list->end)
        list->end = &list->first;
    saved->next = NULL;
    *list->end = saved;
    list->end = &saved->next;
    list->count++;
}

void saved_list_done(struct saved_list *list)
{
    while (list->first) {
        struct saved_cookie *saved = list->first;

        list->first = saved->next;
        saved_cookie_free(saved);
    }
    saved_hosts_done(&list->hosts);
    saved_jars_done(&list->jars);
    *list = (struct saved_list){0};
}

static struct span copy_text(char **at, struct span text)
{
    struct span copy = {*at, text.len};

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static size_t text_len(const struct cookie *cookie)
{
    return cookie->name.len + cookie->value.len + cookie->domain.len + cookie->path.len +
           cookie->partition_key.len + cookie->comment.len + cookie->original_url.len;
}

struct saved_cookie *
saved_cookie_new(const struct cookie *cookie, const char *profile, const char *jar)
{
    struct saved_cookie *saved = mem_zalloc(sizeof(*saved) + text_len(cookie));

    if (!saved)
        return NULL;
    char *end = saved->text;

    saved->cookie = *cookie;
    saved->cookie.name = copy_text(&end, cookie->name);
    saved->cookie.value = copy_text(&end, cookie->value);
    saved->cookie.domain = copy_text(&end, cookie->domain);
    saved->cookie.path = copy_text(&end, cookie->path);
    saved->cookie.partition_key = copy_text(&end, cookie->partition_key);
    saved->cookie.comment = copy_text(&end, cookie->comment);
    saved->cookie.original_url = copy_text(&end, cookie->original_url);
    memcpy(saved->profile, profile, strnlen(profile, sizeof(saved->profile) - 1));
    memcpy(saved->jar, jar, strnlen(jar, sizeof(saved->jar) - 1));
    return saved;
}

struct saved_cookie *saved_cookie_new_deleted(uint64_t id)
{
    struct saved_cookie *saved = mem_zalloc(sizeof(*saved));

    if (!saved)
        return NULL;
    saved->cookie.order = id;
    saved->is_deleted = true;
    return saved;
}

struct saved_cookie *saved_cookie_free(struct saved_cookie *saved)
{
    if (!saved)
        return NULL;
    return mem_free_secret(saved, sizeof(*saved) + text_len(&saved->cookie));
}

static int64_t row_checksum(const struct row_view *view)
{
    uint64_t sum = checksum_int(CHECKSUM_INIT, view->id);

    sum = checksum_bytes(sum, view->profile);
    sum = checksum_bytes(sum, view->jar);
    sum = checksum_bytes(sum, view->domain);
    sum = checksum_bytes(sum, view->path);
    sum = checksum_bytes(sum, view->name);
    sum = checksum_bytes(sum, view->value);
    sum = checksum_int(sum, view->flags);
    sum = checksum_int(sum, view->expires_s);
    sum = checksum_int(sum, view->created_s);
    sum = checksum_int(sum, view->last_access_s);
    return (int64_t)(view->extra.len > 0 ? checksum_bytes(sum, view->extra) : sum);
}

/* ---- what not every cookie has -------------------------------------------------------------
 *
 * A version in four bytes, the lowest first, then three texts, each behind its length in two.
 */

#define EXTRA_MAX (4 + 3 * 2 + COOKIE_PARTITION_MAX + COOKIE_COMMENT_MAX + COOKIE_URL_MAX)

static char *put_text(char *at, struct span text)
{
    *at++ = (char)(text.len & 0xff);
    *at++ = (char)(text.len >> 8);
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static struct span extra_encode(const struct cookie *cookie, char storage[EXTRA_MAX])
{
    char *at = storage;

    if (cookie->partition_key.len + cookie->comment.len + cookie->original_url.len == 0 &&
        cookie->version == 0)
        return (struct span){0};
    for (unsigned shift = 0; shift < 32; shift += 8)
        *at++ = (char)(cookie->version >> shift & 0xff);
    at = put_text(at, cookie->partition_key);
    at = put_text(at, cookie->comment);
    at = put_text(at, cookie->original_url);
    return (struct span){storage, (size_t)(at - storage)};
}

static bool take_text(struct span *rest, size_t max, struct span *ret)
{
    if (rest->len < 2)
        return false;
    size_t len = (unsigned char)rest->ptr[0] | (size_t)(unsigned char)rest->ptr[1] << 8;

    *rest = span_drop(*rest, 2);
    if (len > rest->len || len > max)
        return false;
    *ret = span_take(*rest, len);
    *rest = span_drop(*rest, len);
    return true;
}

/* Borrows. Return: whether it is sense. */
static bool extra_decode(struct span extra, struct cookie *cookie)
{
    if (extra.len == 0)
        return true;
    if (extra.len < 4)
        return false;
    for (unsigned i = 0; i < 4; i++)
        cookie->version |= (uint32_t)(unsigned char)extra.ptr[i] << 8 * i;
    extra = span_drop(extra, 4);
    return take_text(&extra, COOKIE_PARTITION_MAX, &cookie->partition_key) &&
           take_text(&extra, COOKIE_COMMENT_MAX, &cookie->comment) &&
           take_text(&extra, COOKIE_URL_MAX, &cookie->original_url) && extra.len == 0;
}

static struct row_view row_encode(const struct saved_cookie *saved, char storage[EXTRA_MAX])
{
    const struct cookie *cookie = &saved->cookie;
    struct row_view view = {
        .id = (int64_t)cookie->order,
        .profile = span_of(saved->profile),
        .jar = span_of(saved->jar),
        .domain = cookie->domain,
        .path = cookie->path,
        .name = cookie->name,
        .value = cookie->value,
        .flags = (cookie->secure ? FLAG_SECURE : 0) | (cookie->http_only ? FLAG_HTTP_ONLY : 0) |
                 (cookie->host_only ? FLAG_HOST_ONLY : 0) |
                 cookie->same_site << SAME_SITE_SHIFT,
        .expires_s = cookie->expires_s,
        .created_s = cookie->created_s,
        .last_access_s = cookie->last_access_s,
        .extra = extra_encode(cookie, storage),
    };

    view.checksum = row_checksum(&view);
    return view;
}

/* What the checksum cannot say: that an older or another program wrote sense. */
static bool row_is_sane(const struct row_view *view)
{
    struct partition who;

    return view->id > 0 && view->flags >= 0 && view->flags <= FLAGS_MAX &&
           view->name.len <= SET_COOKIE_PAIR_MAX && view->value.len <= SET_COOKIE_PAIR_MAX &&
           view->path.len <= COOKIE_PATH_MAX && view->domain.len <= HOST_NAME_BYTES_MAX &&
           jar_name_is_valid(view->jar) && partition_init(&who, 0, view->profile) == 0;
}

int row_decode(const struct row_view *view, struct saved_cookie **ret)
{
    char profile[PARTITION_PROFILE_MAX] = "";
    char jar[JAR_NAME_MAX + 1] = "";

    if (view->checksum != row_checksum(view) || !row_is_sane(view) || view->jar.len == 0)
        return ROW_BAD;
    if (view->profile.len > 0)
        memcpy(profile, view->profile.ptr, view->profile.len);
    memcpy(jar, view->jar.ptr, view->jar.len);
    struct cookie cookie = {
        .name = view->name,
        .value = view->value,
        .domain = view->domain,
        .path = view->path,
        .expires_s = view->expires_s,
        .created_s = view->created_s,
        .last_access_s = view->last_access_s,
        .order = (uint64_t)view->id,
        .same_site = (uint8_t)(view->flags >> SAME_SITE_SHIFT),
        .is_persistent = true,
        .secure = view->flags & FLAG_SECURE,
        .http_only = view->flags & FLAG_HTTP_ONLY,
        .host_only = view->flags & FLAG_HOST_ONLY,
    };

    if (!extra_decode(view->extra, &cookie))
        return ROW_BAD;
    *ret = saved_cookie_new(&cookie, profile, jar);
    return *ret ? ROW_OK : fault(-ENOMEM);
}

int cookie_rows_new(struct cookie_rows **ret, struct db *db, struct db_error *ret_error)
{
    CLEANUP(cookie_rows_free) struct cookie_rows *rows = mem_zalloc(sizeof(*rows));

    if (!rows)
        return fault(-ENOMEM);
    rows->db = db;
    int r = statement_prepare(rows->db,
                              "INSERT OR REPLACE INTO cookie (" COLUMNS ") "
                              "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
                              true, "its table", &rows->put, ret_error);
    if (r == DB_OK)
        r = statement_prepare(rows->db, "DELETE FROM cookie WHERE id=?1", true, "its table",
                              &rows->remove, ret_error);
    if (r == DB_OK)
        r = hsts_rows_new(&rows->hosts, db, ret_error);
    if (r == DB_OK)
        r = jar_rows_new(&rows->jars, db, ret_error);
    if (r != DB_OK)
        return r;

    *ret = TAKE(rows);
    return DB_OK;
}

/* finalize and reset repeat the error of the last step, which was read then. */
struct cookie_rows *cookie_rows_free(struct cookie_rows *rows)
{
    if (!rows)
        return NULL;
    (void)sqlite3_finalize(rows->put);
    (void)sqlite3_finalize(rows->remove);
    rows->hosts = hsts_rows_free(rows->hosts);
    rows->jars = jar_rows_free(rows->jars);
    return mem_free(rows);
}

static void view_of_row(sqlite3_stmt *statement, struct row_view *ret)
{
    *ret = (struct row_view){
        .id = sqlite3_column_int64(statement, 0),
        .profile = statement_span(statement, 1),
        .jar = statement_span(statement, 2),
        .domain = statement_span(statement, 3),
        .path = statement_span(statement, 4),
        .name = statement_span(statement, 5),
        .value = statement_span(statement, 6),
        .flags = sqlite3_column_int64(statement, 7),
        .expires_s = sqlite3_column_int64(statement, 8),
        .created_s = sqlite3_column_int64(statement, 9),
        .last_access_s = sqlite3_column_int64(statement, 10),
        .checksum = sqlite3_column_int64(statement, 11),
        .extra = statement_span(statement, 12),
    };
}

/* Return: 0 or -ENOMEM. */
static int take_row(sqlite3_stmt *statement, struct saved_list *rows, struct saved_list *bad)
{
    struct row_view view;
    struct saved_cookie *saved = NULL;

    view_of_row(statement, &view);
    int r = row_decode(&view, &saved);
    if (r < 0)
        return r;
    if (r == ROW_OK) {
        saved_list_append(rows, saved);
        return 0;
    }
    saved = saved_cookie_new_deleted((uint64_t)view.id);
    if (!saved)
        return fault(-ENOMEM);
    saved_list_append(bad, saved);
    return 0;
}

int cookie_rows_read(struct cookie_rows *rows,
                     struct saved_list *ret,
                     size_t *ret_bad,
                     struct db_error *ret_error)
{
    struct saved_list bad = {0};
    size_t bad_hosts = 0;
    size_t bad_jars = 0;
    sqlite3_stmt *statement = NULL;
    int rc = SQLITE_DONE;
    int r =
        statement_prepare(rows->db, "SELECT " COLUMNS " FROM cookie ORDER BY last_access_s, id",
                          false, "its table", &statement, ret_error);

    while (r == DB_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        r = take_row(statement, ret, &bad);
    if (r == DB_OK && rc != SQLITE_DONE)
        r = db_outcome(rows->db, rc, "reading", ret_error);
    (void)sqlite3_finalize(statement);
    if (r == DB_OK && bad.count > 0)
        r = cookie_rows_write(rows, &bad, false, ret_error);
    if (r == DB_OK)
        r = hsts_rows_read(rows->hosts, &ret->hosts, &bad_hosts, ret_error);
    if (r == DB_OK)
        r = jar_rows_read(rows->jars, &ret->jars, &bad_jars, ret_error);
    if (r == DB_OK)
        *ret_bad = bad.count + bad_hosts + bad_jars;
    saved_list_done(&bad);
    return r;
}

/* Binding fails for lack of memory only, and for bugs; either way the bits stay. */
static int bind_row(sqlite3_stmt *statement, const struct row_view *view)
{
    int rc = sqlite3_bind_int64(statement, 1, view->id);

    rc |= statement_bind_text(statement, 2, view->profile);
    rc |= statement_bind_text(statement, 3, view->jar);
    rc |= statement_bind_text(statement, 4, view->domain);
    rc |= statement_bind_blob(statement, 5, view->path);
    rc |= statement_bind_blob(statement, 6, view->name);
    rc |= statement_bind_blob(statement, 7, view->value);
    rc |= sqlite3_bind_int64(statement, 8, view->flags);
    rc |= sqlite3_bind_int64(statement, 9, view->expires_s);
    rc |= sqlite3_bind_int64(statement, 10, view->created_s);
    rc |= sqlite3_bind_int64(statement, 11, view->last_access_s);
    rc |= sqlite3_bind_int64(statement, 12, view->checksum);
    rc |= statement_bind_blob(statement, 13, view->extra);
    return rc;
}

static int
write_one(struct cookie_rows *rows, const struct saved_cookie *saved, struct db_error *error)
{
    if (saved->is_deleted)
        return statement_run(rows->db, rows->remove,
                             sqlite3_bind_int64(rows->remove, 1, (int64_t)saved->cookie.order),
                             error);

    char storage[EXTRA_MAX];
    const struct row_view view = row_encode(saved, storage);

    return statement_run(rows->db, rows->put, bind_row(rows->put, &view), error);
}

int cookie_rows_write(struct cookie_rows *rows,
                      const struct saved_list *changes,
                      bool wipe,
                      struct db_error *ret_error)
{
    bool has_rows = false;

    errno = 0; /* db_outcome() looks at it */
    int r = db_exec(rows->db, "BEGIN IMMEDIATE", "saving", ret_error);

    if (r == DB_OK && wipe)
        r = db_exec(rows->db, "DELETE FROM cookie", "saving", ret_error);
    for (const struct saved_cookie *at = changes->first; r == DB_OK && at; at = at->next) {
        r = write_one(rows, at, ret_error);
        has_rows |= !at->is_deleted;
    }
    if (r == DB_OK)
        r = hsts_rows_write(rows->hosts, &changes->hosts, wipe, ret_error);
    if (r == DB_OK)
        r = jar_rows_write(rows->jars, &changes->jars, wipe, ret_error);
    if (r == DB_OK)
        r = db_exec(rows->db, "COMMIT", "saving", ret_error);
    if (r != DB_OK) {
        struct db_error ignored;

        /* SQLite may have rolled back by itself: then this fails, which is fine. */
        (void)!db_exec(rows->db, "ROLLBACK", "saving", &ignored);
        return r;
    }
    if (has_rows || changes->hosts.count > 0 || changes->jars.count > 0)
        db_mark_rows(rows->db);
    return DB_OK;
}
