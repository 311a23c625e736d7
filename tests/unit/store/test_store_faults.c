/* SPDX-License-Identifier: MIT */
/* Everything a disk can do to a store. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/db.h"
#include "store/schema.h"
#include "store/store_bench.h"

static struct bench bench;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    char mount_point[80];

    (void)state;
    bench_close(&bench);
    (void)snprintf(mount_point, sizeof(mount_point), "%s/full", bench.dir);
    (void)umount2(mount_point, MNT_DETACH); /* of the test that fills a disk */
    bench_done(&bench);
    return 0;
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* Damage */

static void fill(int n)
{
    for (int i = 0; i < n; i++) {
        char field[128];
        char host[32];

        (void)snprintf(host, sizeof(host), "h%d.com", i / 100);
        (void)snprintf(field, sizeof(field), "c%03d=value-%040d; Max-Age=90000", i, i);
        assert_true(bench_put(&bench, host, field) <= COOKIE_REPLACED);
    }
    /* One that does not fit on a page. */
    CLEANUP_MEM char *large = mem_format("large=%04000d; Max-Age=90000", 7);
    assert_non_null(large);
    assert_true(bench_put(&bench, "large.com", large) <= COOKIE_REPLACED);
}

struct damage {
    const char *name;
    void (*spoil)(char *bytes, size_t *len);
    size_t at_least; /* of 500 and the large one */
};

static void zero_header(char *bytes, size_t *len)
{
    (void)len;
    memset(bytes, 0, 100);
}

static void zero_first_page(char *bytes, size_t *len)
{
    (void)len;
    memset(bytes, 0, 4096);
}

static void make_garbage(char *bytes, size_t *len)
{
    for (size_t i = 0; i < *len; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
}

static void spoil_a_page(char *bytes, size_t *len)
{
    assert_true(*len > 4 * 4096);
    for (size_t i = 3 * 4096; i < 4 * 4096; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
}

static void truncate_in_half(char *bytes, size_t *len)
{
    (void)bytes;
    *len = *len / 2 + 77;
}

static const struct damage damages[] = {
    {"header zeroed", zero_header, 501},  {"first page zeroed", zero_first_page, 501},
    {"garbage", make_garbage, 0},         {"a page of garbage", spoil_a_page, 450},
    {"truncated", truncate_in_half, 150},
};

static void test_db06_a_damaged_file_is_set_aside_and_what_is_whole_is_kept(void **state)
{
    (void)state;
    bench_open(&bench);
    fill(500);
    bench_close(&bench);
    size_t sound_len;
    char *sound = read_file(bench.path, &sound_len);

    for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
        size_t len = sound_len;
        char *bytes = malloc(len);
        char aside[32];

        assert_non_null(bytes);
        memcpy(bytes, sound, len);
        damages[i].spoil(bytes, &len);
        write_file(bench.path, bytes, len);
        bench_open(&bench);
        assert_true(cookie_store_is_persistent(bench.store));
        size_t kept = cookie_jar_count(bench_jar(&bench, "", ""));
        if (kept < damages[i].at_least)
            fail_msg("%s: %zu kept", damages[i].name, kept);
        assert_int_equal(bench_put(&bench, "new.com", "n=1; Max-Age=900"), COOKIE_STORED);
        assert_true(bench_sync(&bench));
        bench_close(&bench);
        (void)snprintf(aside, sizeof(aside), ".corrupt-%zu", i + 1);
        assert_int_equal(access(bench_file(&bench, aside), F_OK), 0);
        bench_open(&bench); /* what was kept is on disk again */
        assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), kept + 1);
        bench_close(&bench);
        free(bytes);
    }
    free(sound);
}

static void test_db06_rows_in_the_wal_are_found_too(void **state)
{
    size_t db_len;
    size_t wal_len;

    (void)state;
    bench_open(&bench);
    fill(200);
    assert_true(bench_sync(&bench));
    assert_int_equal(bench_put(&bench, "h0.com", "c000=; Max-Age=0"), COOKIE_REMOVED);
    assert_true(bench_sync(&bench));
    char *db = read_file(bench.path, &db_len); /* as kill -9 would leave them */
    char *wal = read_file(bench_file(&bench, "-wal"), &wal_len);
    assert_true(wal_len > 0);
    bench_close(&bench);
    assert_true(db_len >= 100);
    write_file(bench.path, "garbage, and no database", 24);
    write_file(bench_file(&bench, "-wal"), wal, wal_len);
    bench_open(&bench);
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 200);
    assert_null(strstr(bench_ask(&bench, "h0.com"), "c000"));
    free(db);
    free(wal);
}

static void test_db06_damage_at_random_never_brings_the_store_down(void **state)
{
    uint32_t seed = 12345;
    size_t sound_len;

    (void)state;
    bench_open(&bench);
    fill(120);
    bench_close(&bench);
    char *sound = read_file(bench.path, &sound_len);
    char *bytes = malloc(sound_len);
    assert_non_null(bytes);
    for (int round = 0; round < 40; round++) {
        memcpy(bytes, sound, sound_len);
        for (int i = 0; i < 1 << (round % 10); i++) {
            seed = seed * 1664525 + 1013904223;
            // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a database is not empty
            bytes[seed % sound_len] ^= (char)(seed >> 24 | 1);
        }
        write_file(bench.path, bytes, sound_len);
        bench_open(&bench);
        size_t count = cookie_jar_count(bench_jar(&bench, "", ""));
        assert_true(count <= 121);
        assert_int_equal(bench_put(&bench, "new.com", "n=1; Max-Age=900"), COOKIE_STORED);
        bool saved = bench_sync(&bench); /* not, if the spoilt bytes say: a newer version */
        bench_close(&bench);
        if (saved)
            assert_int_equal(
                bench_query(&bench, "SELECT count(*) FROM cookie WHERE domain='new.com'"), 1);
        assert_int_equal(unlink(bench.path), 0);
    }
    free(sound);
    free(bytes);
}

static void test_db06_damage_that_shows_while_running_costs_nothing(void **state)
{
    (void)state;
    bench.options.retry_us = 1000;
    bench_open(&bench);
    fill(300);
    bench_close(&bench);
    bench_open(&bench);
    int fd = open(bench.path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char junk[4096];
    memset(junk, 0x5a, sizeof(junk));
    for (int page = 1; page < 8; page++)
        assert_int_equal(pwrite(fd, junk, sizeof(junk), page * 4096), sizeof(junk));
    assert_int_equal(close(fd), 0);
    assert_int_equal(cookie_jar_clear(bench_jar(&bench, "", "")), 301);
    fill(10);
    bench_wait_saved(&bench);
    bench_close(&bench);
    bench_open(&bench);
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 11);
}

static void test_db07_a_file_that_is_gone_is_a_loss_if_it_had_rows(void **state)
{
    struct db_error error;
    struct db *db = NULL;

    (void)state;
    bench_open(&bench);
    bench_close(&bench);
    assert_int_equal(unlink(bench.path), 0);
    assert_int_equal(db_open(&db, bench.path, false, &error), DB_OK);
    assert_true(db->is_new && !db->had_rows); /* nothing was in it */
    db = db_free(db);
    bench_open(&bench);
    fill(1);
    bench_close(&bench);
    assert_int_equal(truncate(bench.path, 0), 0);
    assert_int_equal(db_open(&db, bench.path, false, &error), DB_OK);
    assert_true(db->is_new && db->had_rows);
    db = db_free(db);
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 0);
}

static void test_db08_a_flipped_bit_in_a_row_drops_that_row_alone(void **state)
{
    size_t len;

    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=first; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "b=second; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    char *bytes = read_file(bench.path, &len);
    char *at = memmem(bytes, len, "second", 6);
    assert_non_null(at);
    at[2] ^= 1;
    write_file(bench.path, bytes, len);
    free(bytes);
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=first");
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 1);
}

/* What is not ours to write to */

static void assert_in_memory(void)
{
    bench_open(&bench);
    assert_false(cookie_store_is_persistent(bench.store));
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_false(bench_sync(&bench));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    bench_close(&bench);
}

static void make_dir(void)
{
    char dir[128];

    (void)snprintf(dir, sizeof(dir), "%s/state", bench.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void test_db09_links_folders_and_devices_are_not_written_through(void **state)
{
    char target[128];

    (void)state;
    make_dir();
    (void)snprintf(target, sizeof(target), "%s/target", bench.dir);
    write_file(target, "precious", 8);

    assert_int_equal(symlink("../target", bench.path), 0);
    assert_in_memory();
    assert_int_equal(unlink(bench.path), 0);

    assert_int_equal(link(target, bench.path), 0);
    assert_in_memory();
    assert_int_equal(unlink(bench.path), 0);

    assert_int_equal(mkdir(bench.path, 0700), 0);
    assert_in_memory();
    assert_int_equal(rmdir(bench.path), 0);

    assert_int_equal(mkfifo(bench.path, 0600), 0);
    assert_in_memory();
    assert_int_equal(unlink(bench.path), 0);

    static const char *const beside[] = {"-wal", "-lock"};
    for (size_t i = 0; i < 2; i++) {
        (void)unlink(bench_file(&bench, beside[i]));
        assert_int_equal(symlink("../target", bench_file(&bench, beside[i])), 0);
        assert_in_memory();
        assert_int_equal(unlink(bench_file(&bench, beside[i])), 0);
    }

    size_t len;
    char *bytes = read_file(target, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(bytes, "precious", 8);
    free(bytes);
}

static void test_db09_someone_elses_file_is_left_alone(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: only root can give a file away\n");
        skip();
    }
    make_dir();
    write_file(bench.path, "", 0);
    assert_int_equal(chown(bench.path, 12345, 12345), 0);
    assert_in_memory();
    struct stat st;
    assert_int_equal(stat(bench.path, &st), 0);
    assert_int_equal(st.st_size, 0);
}

static void test_db09_a_folder_that_cannot_be_made_costs_persistence_only(void **state)
{
    (void)state;
    (void)snprintf(bench.path, sizeof(bench.path), "%s/no/such/cookies.sqlite", bench.dir);
    assert_in_memory();
    (void)snprintf(bench.path, sizeof(bench.path), "/proc/xhrd-test/cookies.sqlite");
    assert_in_memory();
}

static void test_db09_on_a_read_only_file_system_cookies_stay_in_memory(void **state)
{
    char mount_point[80];
    char path[128];

    (void)state;
    (void)snprintf(mount_point, sizeof(mount_point), "%s/full", bench.dir); /* teardown's */
    assert_int_equal(mkdir(mount_point, 0700), 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=1m") < 0) {
        print_message("needs the right to mount a tmpfs: %s\n", strerror(errno));
        skip();
    }
    (void)snprintf(path, sizeof(path), "%s/state/cookies.sqlite", mount_point);
    (void)snprintf(bench.path, sizeof(bench.path), "%s", path);
    bench.options.retry_us = 1000;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "old=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    assert_int_equal(mount(NULL, mount_point, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_in_memory();
    bench_open(&bench); /* and when it is mended, what is in memory joins what was there */
    assert_int_equal(bench_put(&bench, "a.com", "new=1; Max-Age=900"), COOKIE_STORED);
    assert_false(bench_sync(&bench));
    assert_int_equal(mount(NULL, mount_point, NULL, MS_REMOUNT, NULL), 0);
    bench_wait_saved(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "old=1; new=1");
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    if ((st.st_mode & 07777) != mode)
        fail_msg("%s: %o", path, st.st_mode & 07777);
}

static void test_db10_files_and_folder_are_private(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-lock", "-reserve"};
    char dir[128];
    mode_t before = umask(0);

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s/state", bench.dir);
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    assert_mode(dir, 0700);
    for (size_t i = 0; i < 4; i++)
        assert_mode(bench_file(&bench, suffixes[i]), 0600);
    bench_close(&bench);
    assert_int_equal(chmod(bench.path, 0644), 0); /* someone was careless */
    assert_int_equal(chmod(dir, 0755), 0);
    bench_open(&bench);
    assert_mode(dir, 0700);
    assert_mode(bench.path, 0600);
    bench_close(&bench);
    (void)umask(before);
}

static void test_db12_a_second_daemon_waits_for_the_first(void **state)
{
    struct cookie_store *first;

    (void)state;
    bench_open(&bench);
    first = bench.store;
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    bench_begin_open(&bench);
    for (int i = 0; i < 5; i++) { /* it has looked and found the file taken */
        worker_drain(bench.pool);
        assert_int_equal(loop_turn(bench.loop, false), 0);
        assert_false(cookie_store_is_ready(bench.store));
    }
    (void)cookie_store_free(first);
    bench_wait_ready(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void test_db12_who_waited_in_vain_joins_what_is_there_later(void **state)
{
    struct cookie_store *first;

    (void)state;
    bench.options.lock_us = 0;
    bench.options.retry_us = 1000;
    bench_open(&bench);
    first = bench.store;
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "b=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    bench_open(&bench);
    assert_false(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "");
    assert_int_equal(bench_put(&bench, "a.com", "b=2; Max-Age=900"), COOKIE_STORED);
    assert_int_equal(bench_put(&bench, "a.com", "c=2; Max-Age=900"), COOKIE_STORED);
    assert_false(bench_sync(&bench));
    (void)cookie_store_free(first);
    bench_wait_saved(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1; b=2; c=2");
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1; b=2; c=2");
}

static void test_db13_a_newer_schema_is_left_untouched(void **state)
{
    char version_sql[32];
    size_t before_len;
    size_t after_len;

    (void)state;
    (void)snprintf(version_sql, sizeof(version_sql), "PRAGMA user_version=%d", SCHEMA_VERSION);
    bench_open(&bench);
    fill(10);
    bench_close(&bench);
    (void)bench_query(&bench, "PRAGMA user_version=99");
    char *before = read_file(bench.path, &before_len);
    assert_in_memory();
    char *after = read_file(bench.path, &after_len);
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, before_len);
    free(before);
    free(after);
    (void)bench_query(&bench, version_sql);
    bench_open(&bench);
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 11);
}

static void test_another_programs_database_is_left_alone(void **state)
{
    (void)state;
    make_dir();
    (void)bench_query(&bench, "CREATE TABLE cookie (id INTEGER PRIMARY KEY)");
    assert_in_memory();
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM sqlite_schema"), 1);
    assert_int_equal(access(bench_file(&bench, ".corrupt-1"), F_OK), -1);
}

static const char *name_now;

static bool name_of(uint32_t uid, char *ret, size_t size)
{
    assert_int_equal(uid, BENCH_UID);
    if (name_now)
        (void)snprintf(ret, size, "%s", name_now);
    return name_now != NULL;
}

static void test_db14_who_gets_a_uid_later_does_not_get_its_cookies(void **state)
{
    (void)state;
    bench.options.name_of = name_of;
    name_now = "ann";
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    name_now = NULL; /* nobody can say: no reason to lose anything */
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    bench_close(&bench);
    name_now = "bob";
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "");
    assert_int_equal(bench_put(&bench, "a.com", "b=2; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    assert_mode(bench_file(&bench, ".former-1"), 0600);
    assert_mode(bench_file(&bench, "-owner"), 0600);
    bench_open(&bench); /* and it stays bob's */
    assert_string_equal(bench_ask(&bench, "a.com"), "b=2");
    bench_close(&bench);
    assert_int_equal(access(bench_file(&bench, ".former-2"), F_OK), -1);
}

static void test_db14_a_file_of_before_names_were_kept_is_taken_over(void **state)
{
    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    bench.options.name_of = name_of;
    name_now = "ann";
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
}

static void test_db14_damage_to_one_uids_file_is_no_others(void **state)
{
    struct cookie_store *first;
    char path[128];

    (void)state;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    (void)snprintf(path, sizeof(path), "%s", bench.path);
    (void)snprintf(bench.path, sizeof(bench.path), "%s/other/cookies.sqlite", bench.dir);
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "b.com", "b=1; Max-Age=900"), COOKIE_STORED);
    bench_close(&bench);
    write_file(bench.path, "garbage, and no database", 24);
    bench_open(&bench);
    first = bench.store;
    (void)snprintf(bench.path, sizeof(bench.path), "%s", path);
    bench_open(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    assert_string_equal(bench_ask(&bench, "a.com"), "a=1");
    (void)cookie_store_free(first);
}

/* A disk that says no */

static void test_db05_a_disk_that_fails_costs_persistence_until_it_is_well(void **state)
{
    struct rlimit before;

    (void)state;
    bench.options.retry_us = 1000;
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "a.com", "a=1; Max-Age=900"), COOKIE_STORED);
    assert_true(bench_sync(&bench));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(bench_put(&bench, "a.com", "b=1; Max-Age=900"), COOKIE_STORED);
    assert_false(bench_sync(&bench));
    assert_false(cookie_store_is_persistent(bench.store));
    assert_int_equal(bench_put(&bench, "a.com", "a=; Max-Age=0"), COOKIE_REMOVED);
    assert_int_equal(bench_put(&bench, "a.com", "c=1; Max-Age=900"), COOKIE_STORED);
    assert_string_equal(bench_ask(&bench, "a.com"), "b=1; c=1");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bench_wait_saved(&bench);
    assert_true(cookie_store_is_persistent(bench.store));
    bench_close(&bench);
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "a.com"), "b=1; c=1");
}

/* A cookie of a host of its own whose value has so many bytes. */
static int put_sized(int host, size_t value_bytes)
{
    char name[32];
    CLEANUP_MEM char *field =
        mem_format("n=%0*d; Max-Age=900", (int)value_bytes, host); /* zeros */

    assert_non_null(field);
    (void)snprintf(name, sizeof(name), "h%05d.com", host);
    return bench_put(&bench, name, field);
}

static size_t unsaved(void)
{
    return cookie_store_unsaved_bytes(bench.store);
}

static void test_db05_what_a_disk_does_not_take_keeps_to_4_mib(void **state)
{
    static const size_t max = (size_t)4 << 20;
    struct rlimit before;
    int n = 0;

    (void)state;
    bench.options.retry_us = INT64_C(3600) * 1000 * 1000; /* who waits for it hears "no" */
    assert_int_equal(bench.options.unsaved_max, max);
    bench_open(&bench);
    assert_int_equal(bench_put(&bench, "saved.com", "s=1; Max-Age=900"), COOKIE_STORED);
    assert_true(unsaved() > 0);
    assert_true(bench_sync(&bench));
    assert_int_equal(unsaved(), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(put_sized(n++, 4000), COOKIE_STORED);
    size_t each = unsaved();
    assert_false(bench_sync(&bench));
    assert_int_equal(unsaved(), each);
    /* What is for the session only is not for the disk, and does not count. */
    assert_int_equal(bench_put(&bench, "session.com", "s=1"), COOKIE_STORED);
    assert_int_equal(unsaved(), each);
    while (max - unsaved() > 4000)
        assert_int_equal(put_sized(n++, 2000), COOKIE_STORED);
    assert_int_equal(put_sized(n++, max - unsaved() - (each - 4000)), COOKIE_STORED);
    assert_int_equal(unsaved(), max);
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), (size_t)n + 2);
    assert_true(bench_ask(&bench, "h00000.com")[0] != '\0'); /* now it is the last to go */

    assert_int_equal(put_sized(n - 1, 10), COOKIE_REPLACED);
    assert_true(unsaved() < max);
    assert_int_equal(put_sized(n - 1, max - unsaved() + 10), COOKIE_REPLACED); /* just so */
    assert_int_equal(unsaved(), max);
    assert_int_equal(put_sized(n - 1, 4000), COOKIE_REPLACED);
    assert_true(unsaved() <= max);
    assert_string_equal(bench_ask(&bench, "h00001.com"), "");
    assert_true(bench_ask(&bench, "h00000.com")[0] != '\0');
    assert_string_equal(bench_ask(&bench, "saved.com"), "s=1");
    assert_string_equal(bench_ask(&bench, "session.com"), "s=1");
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), (size_t)n + 1);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bench_close(&bench); /* the last chance, and now it takes them */
    bench_open(&bench);
    assert_string_equal(bench_ask(&bench, "h00001.com"), "");
    assert_true(bench_ask(&bench, "h00000.com")[0] != '\0');
    assert_string_equal(bench_ask(&bench, "saved.com"), "s=1");
}

/* Nothing of another jar goes for a cookie of one that has nothing to let go of: it is refused,
 * and the response says that it was not saved. */
static void test_db05_a_jar_with_nothing_to_let_go_of_takes_no_more(void **state)
{
    const struct cookie_request from = {
        .host = SPAN_LIT("b.com"), .is_secure = true, .now_s = loop_wall_s(bench.loop)};
    struct cookie_summary summary;
    struct headers headers;
    struct rlimit before;

    (void)state;
    bench.options.retry_us = INT64_C(3600) * 1000 * 1000;
    bench.options.unsaved_max = 10000;
    bench_open(&bench);
    assert_true(bench_sync(&bench));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(put_sized(0, 3000), COOKIE_STORED);
    size_t overhead = unsaved() - 3000;
    assert_false(bench_sync(&bench));
    assert_int_equal(put_sized(1, 3000), COOKIE_STORED);
    assert_int_equal(put_sized(2, 10000 - unsaved() - overhead), COOKIE_STORED);
    assert_int_equal(unsaved(), 10000);

    struct cookie_jar *other = bench_jar(&bench, "", "other");
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Set-Cookie"), SPAN_LIT("b=1; Max-Age=9")),
                     0);
    assert_int_equal(cookie_jar_store_response(other, &from, &headers, NULL, &summary), 0);
    headers_done(&headers);
    assert_int_equal(summary.refused, 1);
    assert_true(summary.must_be_saved);
    assert_int_equal(bench_put_in(&bench, other, "b.com", "b=1; Max-Age=900"),
                     COOKIE_REFUSED_UNSAVED);
    assert_int_equal(bench_put_in(&bench, other, "b.com", "b=1"), COOKIE_STORED);
    assert_int_equal(bench_put_in(&bench, other, "b.com", "b=1; Max-Age=900"),
                     COOKIE_REFUSED_UNSAVED);
    assert_string_equal(bench_ask_in(&bench, other, "b.com"), "b=1");
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

/* What was on its way to a disk that says no at last may be more than may stay. */
static void test_db05_what_waited_for_a_disk_is_cut_when_it_fails(void **state)
{
    struct rlimit before;

    (void)state;
    bench.options.retry_us = 1000;
    bench.options.unsaved_max = 100000;
    bench_open(&bench);
    assert_true(bench_sync(&bench));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {4096, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(put_sized(i, 4000), COOKIE_STORED);
    assert_true(unsaved() > 400000);
    assert_false(bench_sync(&bench));
    assert_true(unsaved() <= 100000 && unsaved() > 90000);
    assert_string_equal(bench_ask(&bench, "h00000.com"), "");
    assert_true(bench_ask(&bench, "h00099.com")[0] != '\0');
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    bench_wait_saved(&bench);
    assert_int_equal(unsaved(), 0);
    for (int i = 0; i < 100; i++) /* and there is no limit any more */
        assert_int_equal(put_sized(i, 4000) <= COOKIE_REPLACED, true);
    assert_true(unsaved() > 400000);
    assert_true(bench_sync(&bench));
    assert_int_equal(unsaved(), 0);
}

static void test_db05_a_disk_is_asked_again_within_five_seconds(void **state)
{
    (void)state;
    assert_true(cookie_store_options_default().retry_us <= INT64_C(5) * 1000 * 1000 / 2);
}

/* Fills the file system of @path but for what is left over of a block. */
static void fill_disk(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[4096] = {0};

    assert_true(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(close(fd), 0);
}

/* A file system of 1 MiB under the store. @ret_filler: a file on it. */
static void mount_small_disk(char ret_filler[192])
{
    char mount_point[80];

    (void)snprintf(mount_point, sizeof(mount_point), "%s/full", bench.dir);
    assert_int_equal(mkdir(mount_point, 0700), 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=1m") < 0) {
        print_message("needs the right to mount a tmpfs: %s\n", strerror(errno));
        skip();
    }
    (void)snprintf(bench.path, sizeof(bench.path), "%s/state/cookies.sqlite", mount_point);
    (void)snprintf(ret_filler, 192, "%s/filler", mount_point);
}

static void test_db05_on_a_full_disk_deletes_are_still_possible(void **state)
{
    char filler[192];

    (void)state;
    mount_small_disk(filler);
    bench.options.retry_us = 1000;
    bench_open(&bench);
    fill(100);
    assert_true(bench_sync(&bench));
    fill_disk(filler);
    assert_int_equal(cookie_jar_clear(bench_jar(&bench, "", "")), 101);
    assert_true(bench_sync(&bench));
    fill_disk(filler); /* what the reserve had left */
    for (int i = 0; i < 3; i++)
        fill(150);
    assert_false(bench_sync(&bench));
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 151);
    assert_int_equal(unlink(filler), 0);
    bench_wait_saved(&bench);
    bench_close(&bench);
    bench_open(&bench);
    assert_int_equal(cookie_jar_count(bench_jar(&bench, "", "")), 151);
}

/* What did not fit, not even with the reserve, does not keep what is on the disk from going. */
static void test_db05_deletes_are_possible_when_a_write_did_not_fit(void **state)
{
    char filler[192];
    bool is_saved = false;

    (void)state;
    mount_small_disk(filler);
    bench.options.retry_us = 1000;
    bench_open(&bench);
    fill(100);
    assert_true(bench_sync(&bench));
    fill_disk(filler);
    for (int i = 0; i < 100; i++)
        assert_int_equal(put_sized(i, 4000), COOKIE_STORED);
    assert_false(bench_sync(&bench));
    assert_true(unsaved() > 400000);
    assert_int_equal(cookie_jar_clear(bench_jar(&bench, "", "")), 201);
    for (int i = 0; i < 1000 && !is_saved; i++) {
        is_saved = bench_sync(&bench);
        assert_int_equal(loop_turn(bench.loop, !is_saved), 0);
    }
    assert_true(is_saved);
    bench_close(&bench);
    assert_int_equal(unlink(filler), 0); /* to look needs room as well */
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 0);
}

static void test_every_allocation_may_fail_and_the_cookie_is_saved_later(void **state)
{
    (void)state;
    bench.options.retry_us = 1000;
    bench_open(&bench);
    (void)bench_jar(&bench, "", "");
    for (uint64_t n = 1; n < 30; n++) {
        char field[64];

        (void)snprintf(field, sizeof(field), "c%d=1; Max-Age=900", (int)n);
        mem_fail_at(n);
        int r = bench_put(&bench, "a.com", field);
        (void)bench_sync(&bench);
        mem_fail_at(0);
        assert_true(r == COOKIE_STORED || r == -ENOMEM);
        if (r < 0)
            assert_int_equal(bench_put(&bench, "a.com", field), COOKIE_STORED);
        bench_wait_saved(&bench);
    }
    bench_close(&bench);
    assert_int_equal(bench_query(&bench, "SELECT count(*) FROM cookie"), 29);
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_db06_a_damaged_file_is_set_aside_and_what_is_whole_is_kept),
        STORE_TEST(test_db06_rows_in_the_wal_are_found_too),
        STORE_TEST(test_db06_damage_at_random_never_brings_the_store_down),
        STORE_TEST(test_db06_damage_that_shows_while_running_costs_nothing),
        STORE_TEST(test_db07_a_file_that_is_gone_is_a_loss_if_it_had_rows),
        STORE_TEST(test_db08_a_flipped_bit_in_a_row_drops_that_row_alone),
        STORE_TEST(test_db09_links_folders_and_devices_are_not_written_through),
        STORE_TEST(test_db09_someone_elses_file_is_left_alone),
        STORE_TEST(test_db09_a_folder_that_cannot_be_made_costs_persistence_only),
        STORE_TEST(test_db09_on_a_read_only_file_system_cookies_stay_in_memory),
        STORE_TEST(test_db10_files_and_folder_are_private),
        STORE_TEST(test_db12_a_second_daemon_waits_for_the_first),
        STORE_TEST(test_db12_who_waited_in_vain_joins_what_is_there_later),
        STORE_TEST(test_db13_a_newer_schema_is_left_untouched),
        STORE_TEST(test_another_programs_database_is_left_alone),
        STORE_TEST(test_db14_who_gets_a_uid_later_does_not_get_its_cookies),
        STORE_TEST(test_db14_a_file_of_before_names_were_kept_is_taken_over),
        STORE_TEST(test_db14_damage_to_one_uids_file_is_no_others),
        STORE_TEST(test_db05_a_disk_that_fails_costs_persistence_until_it_is_well),
        STORE_TEST(test_db05_on_a_full_disk_deletes_are_still_possible),
        STORE_TEST(test_db05_deletes_are_possible_when_a_write_did_not_fit),
        STORE_TEST(test_db05_what_a_disk_does_not_take_keeps_to_4_mib),
        STORE_TEST(test_db05_what_waited_for_a_disk_is_cut_when_it_fails),
        STORE_TEST(test_db05_a_jar_with_nothing_to_let_go_of_takes_no_more),
        STORE_TEST(test_db05_a_disk_is_asked_again_within_five_seconds),
        STORE_TEST(test_every_allocation_may_fail_and_the_cookie_is_saved_later),
    };

    return cmocka_run_group_tests_name("store/store_faults", tests, NULL, NULL);
}
