/* SPDX-License-Identifier: MIT */
/*
 * Processes that add cookies, each one acknowledged before the next.
 *
 *   cookie_client -k xhr|sqlite|curl [-n COOKIES] [-p PROCESSES] [-f FILE] [-s NORMAL|FULL]
 *
 * xhr:    through the daemon, into a jar for each process
 * sqlite: into one table of FILE, in WAL mode, a transaction for each cookie
 * curl:   as a curl process does with -b FILE -c FILE: the file is read, and written anew
 *
 * Prints how long all took together.
 */
#include <curl/curl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xhr/xhr.h>

#include "measure.h"

struct run {
    const char *kind;
    const char *file;
    const char *synchronous;
    size_t from; /* the first cookie of this process */
    size_t n;
    size_t index; /* of this process */
};

static void add_by_xhr(const struct run *run)
{
    struct xhr_client *client = NULL;
    char jar[32], domain[48], value[64];
    struct xhr_cookies *answer = NULL;

    if (xhr_client_new(NULL, &client) < 0)
        die("no client");
    snprintf(jar, sizeof(jar), "bench%zu", run->index);
    for (size_t i = 0; i < run->n; i++) {
        struct xhr_cookie cookie = {.size = sizeof(cookie),
                                    .name = "session_id",
                                    .value = value,
                                    .domain = domain,
                                    .path = "/",
                                    .host_only = true,
                                    .persistent = true,
                                    .expires_s = time(NULL) + 86400};

        snprintf(domain, sizeof(domain), "site%zu.com", run->from + i);
        snprintf(value, sizeof(value), "%048zu", i);
        if (xhr_cookies_set_wait(client, jar, &cookie, "", &answer) < 0 ||
            xhr_cookies_not_persisted(answer))
            die("a cookie was not kept");
        answer = xhr_cookies_free(answer);
    }
    (void)xhr_client_free(client);
}

static void exec_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die("%s: %s", sql, sqlite3_errmsg(db));
}

static void add_by_sqlite(const struct run *run)
{
    char sql[64];
    sqlite3_stmt *put = NULL;
    sqlite3 *db = NULL;

    if (sqlite3_open(run->file, &db) != SQLITE_OK)
        die("%s", sqlite3_errmsg(db));
    (void)sqlite3_busy_timeout(db, 120000);
    snprintf(sql, sizeof(sql), "PRAGMA synchronous=%s", run->synchronous);
    exec_sql(db, sql);
    if (sqlite3_prepare_v2(db, "INSERT INTO cookie VALUES (?,?,'/','session_id',?,?)", -1, &put,
                           NULL) != SQLITE_OK)
        die("%s", sqlite3_errmsg(db));
    for (size_t i = 0; i < run->n; i++) {
        char domain[48], value[64];

        snprintf(domain, sizeof(domain), "site%zu.com", run->from + i);
        snprintf(value, sizeof(value), "%048zu", i);
        sqlite3_bind_int64(put, 1, (sqlite3_int64)(run->from + i));
        sqlite3_bind_text(put, 2, domain, -1, SQLITE_STATIC);
        sqlite3_bind_text(put, 3, value, -1, SQLITE_STATIC);
        sqlite3_bind_int64(put, 4, time(NULL) + 86400);
        if (sqlite3_step(put) != SQLITE_DONE)
            die("%s", sqlite3_errmsg(db));
        sqlite3_reset(put);
    }
    sqlite3_finalize(put);
    sqlite3_close(db);
}

static void make_table(const char *file)
{
    sqlite3 *db = NULL;

    if (sqlite3_open(file, &db) != SQLITE_OK)
        die("%s", sqlite3_errmsg(db));
    exec_sql(db,
             "PRAGMA journal_mode=WAL; CREATE TABLE cookie (id INTEGER PRIMARY KEY, domain, "
             "path, name, value, expires)");
    sqlite3_close(db);
}

static void add_by_curl(const struct run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        CURL *curl = curl_easy_init();
        char line[256];

        if (!curl)
            die("no handle");
        snprintf(line, sizeof(line), "site%zu.com\tFALSE\t/\tFALSE\t%lld\tsession_id\t%048zu",
                 run->from + i, (long long)time(NULL) + 86400, i);
        curl_easy_setopt(curl, CURLOPT_COOKIEFILE, run->file);
        curl_easy_setopt(curl, CURLOPT_COOKIEJAR, run->file);
        curl_easy_setopt(curl, CURLOPT_COOKIELIST, "RELOAD");
        curl_easy_setopt(curl, CURLOPT_COOKIELIST, line);
        curl_easy_cleanup(curl); /* writes the file */
    }
}

static void add(const struct run *run)
{
    if (strcmp(run->kind, "xhr") == 0)
        add_by_xhr(run);
    else if (strcmp(run->kind, "sqlite") == 0)
        add_by_sqlite(run);
    else
        add_by_curl(run);
}

static void wait_for_all(size_t processes)
{
    for (size_t i = 0; i < processes; i++) {
        int status = 0;

        if (wait(&status) < 0 || status != 0)
            die("a process failed");
    }
}

int main(int argc, char **argv)
{
    struct run run = {.kind = "xhr", .synchronous = "NORMAL"};
    size_t n = 10000, processes = 8;

    for (int option; (option = getopt(argc, argv, "k:n:p:f:s:")) != -1;) {
        switch (option) {
        case 'k': run.kind = optarg; break;
        case 'n': n = (size_t)number(optarg); break;
        case 'p': processes = (size_t)number(optarg); break;
        case 'f': run.file = optarg; break;
        case 's': run.synchronous = optarg; break;
        default: return 2;
        }
    }
    if (strcmp(run.kind, "sqlite") == 0)
        make_table(run.file);
    uint64_t start_ns = now_ns();
    for (size_t i = 0; i < processes; i++) {
        run.index = i;
        run.n = n / processes;
        run.from = i * run.n;
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            add(&run);
            _exit(0);
        }
    }
    wait_for_all(processes);
    double wall_s = (double)(now_ns() - start_ns) / 1e9;
    printf("wall_ms\t%.1f\nadded_s\t%.0f\n", wall_s * 1e3,
           (double)(n / processes * processes) / wall_s);
    return 0;
}
