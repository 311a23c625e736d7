/* SPDX-License-Identifier: MIT */
/* xhrd.conf: every key at its borders and past them; every mistake named with file, line, key
 * and what would be right. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "base/mem.h"
#include "support/test.h"

static const struct number_key {
    const char *section, *name;
    size_t offset;
    uint64_t min, max;
    uint64_t unit; /* what 1 is stored as */
} number_keys[] = {
    {"Daemon", "IdleExitSec", offsetof(struct config, idle_exit_us), 0, 86400, 1000000},
    {"Network", "ConnectTimeoutSec", offsetof(struct config, connect_timeout_us), 1, 3600,
     1000000},
    {"Network", "IdleTimeoutSec", offsetof(struct config, idle_timeout_us), 1, 86400, 1000000},
    {"Network", "KeepAliveSec", offsetof(struct config, keep_alive_us), 0, 3600, 1000000},
    {"Network", "ConnectionsPerHost", offsetof(struct config, connections_per_host), 1, 65536,
     1},
    {"Network", "IdleConnectionsPerUser", offsetof(struct config, idle_connections_per_user), 0,
     65536, 1},
    {"Cache", "SizeMax", offsetof(struct config, cache_bytes), 0, UINT64_C(1) << 44, 1},
    {"Cache", "AnswerSizeMax", offsetof(struct config, cache_answer_bytes), 0,
     UINT64_C(1) << 40, 1},
    {"Limits", "Clients", offsetof(struct config, clients_max), 1, 65536, 1},
    {"Limits", "ClientsPerUser", offsetof(struct config, clients_per_user), 1, 65536, 1},
    {"Limits", "RequestsPerUser", offsetof(struct config, requests_per_user), 1, 1000000, 1},
    {"Limits", "QueuedBytesPerUser", offsetof(struct config, queued_bytes_per_user), 1 << 20,
     UINT64_C(1) << 40, 1},
    {"Limits", "DescriptorsPerUser", offsetof(struct config, fds_per_user), 1, 4096, 1},
    {"Limits", "JarsPerUser", offsetof(struct config, jars_per_user), 1, 65536, 1},
    {"Limits", "WatchersPerUser", offsetof(struct config, watchers_per_user), 0, 4096, 1},
    {"Limits", "HeadBytesMax", offsetof(struct config, head_bytes), 1024, 262144, 1},
    {"Limits", "HeadLineBytesMax", offsetof(struct config, head_line_bytes), 256, 65536, 1},
    {"Limits", "HeadFieldsMax", offsetof(struct config, head_fields), 1, 1000, 1},
    {"Limits", "CodingsMax", offsetof(struct config, codings), 0, 5, 1},
    {"Limits", "RedirectsMax", offsetof(struct config, redirects), 0, 1000, 1},
    {"Cookies", "CookiesPerJar", offsetof(struct config, cookies_per_jar), 1, 65536, 1},
    {"Cookies", "CookiesPerSite", offsetof(struct config, cookies_per_site), 1, 65536, 1},
    {"Cookies", "CookieBytesPerUser", offsetof(struct config, cookie_bytes_per_user), 65536,
     1 << 30, 1},
    {"Cookies", "CookiesPerRequest", offsetof(struct config, cookies_per_request), 0, 1000, 1},
    {"Cookies", "CookieBytesPerRequest", offsetof(struct config, cookie_bytes_per_request), 0,
     65536, 1},
    {"Cookies", "SetCookiesPerAnswer", offsetof(struct config, set_cookies_per_answer), 0, 1000,
     1},
    {"Cookies", "SessionGraceSec", offsetof(struct config, session_grace_us), 0, 31536000,
     1000000},
};

static int set_it(struct config *config, const struct number_key *key, const char *value)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    int r = config_set(config, key->section, key->name, value, &error);

    if (r < 0) { /* names the key, the value and the borders */
        char min[32];
        char max[32];
        const char *text = buf_c_str(&error);

        (void)snprintf(min, sizeof(min), "%" PRIu64, key->min);
        (void)snprintf(max, sizeof(max), "%" PRIu64, key->max);
        assert_non_null(strstr(text, key->name));
        assert_non_null(strstr(text, value));
        assert_non_null(strstr(text, min));
        assert_non_null(strstr(text, max));
    }
    return r;
}

static void test_durability_is_normal_or_full(void **state)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;

    (void)state;
    config_init(&config);
    assert_false(config.cookies_survive_power);
    assert_int_equal(config_set(&config, "Cookies", "Durability", "full", &error), 0);
    assert_true(config.cookies_survive_power);
    assert_int_equal(config_set(&config, "Cookies", "Durability", "normal", &error), 0);
    assert_false(config.cookies_survive_power);
    assert_int_equal(config_set(&config, "Cookies", "Durability", "Full", &error), -EINVAL);
    assert_string_equal(buf_c_str(&error), "Durability=Full: wants normal or full");
}

static uint64_t value_of(const struct config *config, const struct number_key *key)
{
    uint64_t value;

    memcpy(&value, (const char *)config + key->offset, sizeof(value));
    return value;
}

static void test_every_number_is_taken_at_its_borders_and_refused_past_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(number_keys) / sizeof(number_keys[0]); i++) {
        const struct number_key *key = &number_keys[i];
        uint64_t right[] = {key->min, key->max};
        struct config config;
        char text[32];

        config_init(&config);
        for (int k = 0; k < 2; k++) {
            (void)snprintf(text, sizeof(text), "%" PRIu64, right[k]);
            assert_int_equal(set_it(&config, key, text), 0);
            assert_int_equal(value_of(&config, key), right[k] * key->unit);
        }
        (void)snprintf(text, sizeof(text), "%" PRIu64, key->max + 1);
        assert_int_equal(set_it(&config, key, text), -EINVAL);
        (void)snprintf(text, sizeof(text), "%" PRIu64, key->min - 1); /* or 2^64 - 1 */
        assert_int_equal(set_it(&config, key, text), -EINVAL);
        assert_int_equal(value_of(&config, key), key->max * key->unit); /* untouched */
    }
}

static void test_what_is_no_number_is_refused_for_every_number(void **state)
{
    static const char *const wrong[] = {
        "-1",
        "+1",
        "1.5",
        "0x10",
        "1e3",
        "five",
        "1 2",
        "99999999999999999999",
        "18446744073709551616",
        "1T",
        "1k",
        "K",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(number_keys) / sizeof(number_keys[0]); i++) {
        for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
            struct config config;

            config_init(&config);
            assert_int_equal(set_it(&config, &number_keys[i], wrong[k]), -EINVAL);
        }
    }
}

static void test_bytes_may_have_a_suffix_and_other_numbers_may_not(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"1024K", 1 << 20},
                {"2M", 2 << 20},
                {"1G", 1 << 30},
                {"1048576", 1 << 20},
                {"1024G", UINT64_C(1) << 40}};
    struct config config;

    (void)state;
    config_init(&config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);

        assert_int_equal(
            config_set(&config, "Limits", "QueuedBytesPerUser", rows[i].text, &error), 0);
        assert_int_equal(config.queued_bytes_per_user, rows[i].bytes);
        assert_int_equal(config_set(&config, "Limits", "Clients", "1K", &error), -EINVAL);
    }
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    assert_int_equal(
        config_set(&config, "Limits", "QueuedBytesPerUser", "18014398509481985K", &error),
        -EINVAL); /* would wrap */
}

static void test_paths_are_absolute_and_fit(void **state)
{
    static const char *const keys[][2] = {{"Daemon", "StateDirectory"}, {"TLS", "CAFile"}};
    char longest[CONFIG_TEXT_MAX + 1];
    struct config config;

    (void)state;
    config_init(&config);
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[CONFIG_TEXT_MAX] = '\0';
    for (int i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);

        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], "", &error), 0);
        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], "/a", &error), 0);
        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], longest + 1, &error),
                         -EINVAL);
        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], longest, &error), -EINVAL);
        assert_non_null(strstr(buf_c_str(&error), "absolute path"));
        longest[CONFIG_TEXT_MAX - 1] = '\0';
        assert_int_equal(config_set(&config, keys[i][0], keys[i][1], longest, &error), 0);
        longest[CONFIG_TEXT_MAX - 1] = 'x';
    }
    assert_int_equal(strlen(config.ca_file), CONFIG_TEXT_MAX - 1);
}

static void test_log_levels_have_names_and_numbers(void **state)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;

    (void)state;
    config_init(&config);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_int_equal(config_set(&config, "Daemon", "LogLevel", "debug", &error), 0);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config_set(&config, "Daemon", "LogLevel", "3", &error), 0);
    assert_int_equal(config.log_level, LOG_LEVEL_ERR);
    assert_int_equal(config_set(&config, "Daemon", "LogLevel", "Info", &error), -EINVAL);
    assert_non_null(strstr(buf_c_str(&error), "err, warning, notice, info or debug"));
}

/* ---- files --------------------------------------------------------------------------------
 */

static char path[] = "/tmp/xhrd-config-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    close(fd);
    return fd < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int load(struct config *config, const char *text, size_t len, struct buf *error)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
    config_init(config);
    return config_load(config, path, false, error);
}

static void test_a_good_file_changes_what_it_names_and_nothing_else(void **state)
{
    static const char text[] = "# a comment\n"
                               "; another\n"
                               "\n"
                               "[Network]\n"
                               "ConnectTimeoutSec = 5\n"
                               "IdleTimeoutSec=9\r\n"
                               "[Limits]\n"
                               "Clients=10\n"
                               "[Network]\n"
                               "KeepAliveSec=7"; /* it needs no line end */
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;
    struct config defaults;

    (void)state;
    config_init(&defaults);
    assert_int_equal(load(&config, text, sizeof(text) - 1, &error), 0);
    assert_int_equal(config.connect_timeout_us, 5000000);
    assert_int_equal(config.keep_alive_us, 7000000);
    assert_int_equal(config.clients_max, 10);
    assert_int_equal(config.idle_timeout_us, 9000000);
    config.idle_timeout_us = defaults.idle_timeout_us;
    config.connect_timeout_us = defaults.connect_timeout_us;
    config.keep_alive_us = defaults.keep_alive_us;
    config.clients_max = defaults.clients_max;
    assert_memory_equal(&config, &defaults, sizeof(config));
    assert_int_equal(load(&config, "", 0, &error), 0);
    assert_memory_equal(&config, &defaults, sizeof(config));
    static const char marked[] = "\xef\xbb\xbf[Limits]\nClients=9\n";
    assert_int_equal(load(&config, marked, sizeof(marked) - 1, &error), 0);
    assert_int_equal(config.clients_max, 9);
}

static void test_a_nul_hides_nothing(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {{"[Limits]\nClients=1\0nonsense\n", 28}, {"[Limits]\n\0\nClients=1\n", 21}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct config config;

        assert_int_equal(load(&config, rows[i].text, rows[i].len, &error), -EINVAL);
        assert_non_null(strstr(buf_c_str(&error), ":2: a NUL byte"));
    }
}

static void test_every_mistake_is_told_with_file_line_key_and_what_is_right(void **state)
{
    static char long_line[5000];
    static const struct {
        const char *text;
        int line;
        const char *says, *also;
    } rows[] = {
        {"[Network]\nConnectTimeoutSec=0\n", 2, "ConnectTimeoutSec=0", "1 to 3600"},
        {"[Network]\n\n\nConnectTimeoutSec=\n", 4, "ConnectTimeoutSec=", "1 to 3600"},
        {"[Network]\nConnectTimeout=1\n", 2, "ConnectTimeout=", "xhrd.conf(5)"},
        {"[Limits]\nConnectTimeoutSec=1\n", 2, "[Limits]", "[Network]"},
        {"[Nework]\nConnectTimeoutSec=1\n", 2, "[Nework]", "[Network]"},
        {"[Nework]\nWhat=1\n", 2, "[Nework]",
         "[Limits], [Policy], [User NAME] and [Group NAME]"},
        {"Clients=1\n", 1, "Clients=", "[Limits]"},
        {"[Limits]\nClients 1\n", 2, "Key=value", "[Section]"},
        {"[Limits\nClients=1\n", 1, "Key=value", "[Section]"},
        {"[Limits]\nClients=1\n  2\n", 3, "blank", "one line"},
        {"[Limits]\n Clients=1\n", 2, "blank", "one line"},
        {"[limits]\nClients=1\n", 2, "[limits]", "[Limits]"},
        {"[Limits]\nclients=1\n", 2, "clients=", "xhrd.conf(5)"},
        {long_line, 2, "CAFile=", "at most"},
    };

    (void)state;
    memset(long_line, 'x', sizeof(long_line) - 1);
    memcpy(long_line, "[TLS]\nCAFile=/", 14);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct config config;
        struct config before;
        char where[64];

        config_init(&before);
        assert_int_equal(load(&config, rows[i].text, strlen(rows[i].text), &error), -EINVAL);
        (void)snprintf(where, sizeof(where), "%s:%d: ", path, rows[i].line);
        const char *text = buf_c_str(&error);
        if (strncmp(text, where, strlen(where)) != 0 || !strstr(text, rows[i].says) ||
            !strstr(text, rows[i].also))
            fail_msg("\"%s\" should begin with \"%s\" and say \"%s\", \"%s\"", text, where,
                     rows[i].says, rows[i].also);
        assert_null(strchr(text, '\n'));
        assert_memory_equal(&config, &before, sizeof(config)); /* all or nothing */
    }
}

static void test_nothing_of_a_file_with_one_mistake_is_taken(void **state)
{
    static const char text[] = "[Limits]\nClients=10\nNo=1\nClientsPerUser=5\n";
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;

    (void)state;
    assert_int_equal(load(&config, text, sizeof(text) - 1, &error), -EINVAL);
    assert_int_equal(config.clients_max, 4096);
    assert_int_equal(config.clients_per_user, 128);
}

static void test_a_file_that_cannot_be_read_is_an_error_unless_it_may_be_absent(void **state)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;

    (void)state;
    config_init(&config);
    assert_int_equal(config_load(&config, "/nonexistent/xhrd.conf", true, &error), 0);
    assert_int_equal(error.len, 0);
    assert_int_equal(config_load(&config, "/nonexistent/xhrd.conf", false, &error), -ENOENT);
    assert_non_null(strstr(buf_c_str(&error), "/nonexistent/xhrd.conf: "));
    buf_clear(&error);
    assert_true(config_load(&config, "/tmp", false, &error) < 0); /* no empty file */
    assert_non_null(strstr(buf_c_str(&error), "/tmp:"));
}

static void test_every_failing_allocation_is_an_error_of_the_call(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 20; n++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct config config;

        config_init(&config);
        mem_fail_at(n);
        int r = config_set(&config, "Limits", "Clients", "none", &error);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        assert_int_equal(r, ran_out ? -ENOMEM : -EINVAL);
        if (!ran_out)
            return;
    }
    fail_msg("it never came to an end");
}

static void test_a_proxy_and_its_exceptions_are_read_and_checked(void **state)
{
    static const struct {
        const char *key, *value, *says; /* NULL: taken */
    } rows[] = {
        {"Proxy", "http://ann:hush@proxy.example:3128", NULL},
        {"Proxy", "socks5://proxy.example", NULL},
        {"Proxy", "http://ann:hush@p:1/path", "Proxy=: nothing may follow"},
        {"Proxy", "socks4://ann:hush@p", "Proxy=: SOCKS4 is not spoken"},
        {"Proxy", "ftp://ann:hush@p", "Proxy=: a proxy's scheme is"},
        {"ProxyAuth", "digest", NULL},
        {"ProxyAuth", "ntlm", "ProxyAuth=ntlm: wants basic, digest or any"},
        {"NoProxy", "a.com, 10.0.0.0/8", NULL},
        {"CoalesceConnections", "yes", NULL},
        {"CoalesceConnections", "no", NULL},
        {"CoalesceConnections", "1", "CoalesceConnections=1: wants yes or no"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct config config;

        config_init(&config);
        int r = config_set(&config, "Network", rows[i].key, rows[i].value, &error);
        assert_int_equal(r, rows[i].says ? -EINVAL : 0);
        if (rows[i].says)
            assert_non_null(strstr(buf_c_str(&error), rows[i].says));
        assert_null(strstr(buf_c_str(&error), "hush"));
    }
}

static void
test_the_daemons_proxy_has_the_login_of_its_url_and_the_kind_that_is_said(void **state)
{
    struct buf error = BUF_INIT(0);
    struct config config;
    struct proxy proxy;

    (void)state;
    config_init(&config);
    assert_int_equal(config_proxy(&config, &proxy), 0);
    assert_int_equal(proxy.kind, PROXY_NONE);
    assert_int_equal(config_set(&config, "Network", "ProxyAuth", "digest", &error), 0);
    assert_int_equal(config_set(&config, "Network", "Proxy", "http://u:p@h:1", &error), 0);
    assert_int_equal(config_proxy(&config, &proxy), 0);
    assert_int_equal(proxy.scheme, AUTH_SCHEME_DIGEST);
    assert_string_equal(proxy.password, "p");
    proxy_done(&proxy);
    assert_int_equal(config_set(&config, "Network", "Proxy", "socks5://u:p@h:1", &error), 0);
    assert_int_equal(config_proxy(&config, &proxy), 0); /* whose login has one kind */
    assert_int_equal(proxy.scheme, AUTH_SCHEME_BASIC);
    proxy_done(&proxy);
    assert_int_equal(config_set(&config, "Network", "Proxy", "", &error), 0);
    assert_int_equal(config_proxy(&config, &proxy), 0);
    assert_int_equal(proxy.kind, PROXY_NONE);
    buf_done(&error);
}

static void test_lines_of_a_list_add_up_to_a_limit(void **state)
{
    struct buf error = BUF_INIT(0);
    struct config config;
    char entry[101];

    (void)state;
    config_init(&config);
    assert_int_equal(config_set(&config, "Network", "NoProxy", "a.com", &error), 0);
    assert_int_equal(config_set(&config, "Network", "NoProxy", "b.com c.com", &error), 0);
    assert_string_equal(config.no_proxy, "a.com,b.com c.com");
    assert_int_equal(config_set(&config, "Network", "NoProxy", "", &error), 0);
    assert_string_equal(config.no_proxy, "");
    memset(entry, 'a', sizeof(entry) - 1);
    entry[50] = '.';
    entry[sizeof(entry) - 1] = '\0';
    int r = 0;
    for (int i = 0; r == 0; i++) {
        assert_true(i < 42);
        r = config_set(&config, "Network", "NoProxy", entry, &error);
    }
    assert_int_equal(r, -EINVAL);
    assert_true(strlen(config.no_proxy) < CONFIG_LIST_MAX);
    assert_non_null(strstr(buf_c_str(&error), "at most 4095 bytes"));
    buf_done(&error);
}

/* What the daemon's own table says of a key: whether it is for some, or why it is not. */
static bool is_for_some(const char *section, const char *name, char ret_why[256])
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    char start[96];

    assert_int_equal(config_describe(&text), 0);
    (void)snprintf(start, sizeof(start), "%s\t%s\t", section, name);
    const char *line = strstr(buf_c_str(&text), start);
    assert_non_null(line);
    size_t len = strcspn(line, "\n");
    const char *last = memrchr(line, '\t', len);
    (void)snprintf(ret_why, 256, "%.*s", (int)(len - (size_t)(last + 1 - line)), last + 1);
    return strcmp(ret_why, "each") == 0;
}

static void take_view(const struct config *config, struct access_view *ret)
{
    static const struct access_group groups[] = {{.gid = 100, .name = "users"}};
    static const struct access_person alice = {
        .uid = 1000, .name = "alice", .groups = groups, .n_groups = 1};

    assert_int_equal(access_view_init(ret, config->access, &alice), 0);
}

static void test_every_number_is_overruled_for_some_or_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(number_keys) / sizeof(number_keys[0]); i++) {
        const struct number_key *key = &number_keys[i];
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct config config;
        struct config own;
        struct access_view view;
        char text[512];
        char why[256];
        int len = snprintf(text, sizeof(text),
                           "[%s]\n%s=%" PRIu64 "\n[Group users]\n%s=%" PRIu64
                           "\n[User alice]\n%s=%" PRIu64 "\n",
                           key->section, key->name, key->max, key->name, key->max - 1,
                           key->name, key->min);

        if (!is_for_some(key->section, key->name, why)) {
            assert_int_equal(load(&config, text, (size_t)len, &error), -EINVAL);
            (void)snprintf(text, sizeof(text),
                           "%s:4: %s= cannot be set in [Group users], it is the same for "
                           "all: %s",
                           path, key->name, why);
            assert_string_equal(buf_c_str(&error), text);
            continue;
        }
        assert_int_equal(load(&config, text, (size_t)len, &error), 0);
        assert_int_equal(value_of(&config, key), key->max * key->unit);
        take_view(&config, &view);
        assert_int_equal(config_for_view(&config, &view, &own), 0);
        assert_int_equal(value_of(&own, key), key->min * key->unit); /* the user's own */
        access_view_done(&view);
        config_done(&config);
    }
}

static void test_a_groups_number_counts_where_the_user_has_none(void **state)
{
    static const char text[] = "[Limits]\nJarsPerUser=3\n[Group 100]\nJarsPerUser=2\n"
                               "SizeMax=1M\n[User alice]\nSizeMax=2M\n";
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    struct config config;
    struct config own;
    struct access_view view;

    (void)state;
    assert_int_equal(load(&config, text, sizeof(text) - 1, &error), 0);
    take_view(&config, &view);
    assert_int_equal(config_for_view(&config, &view, &own), 0);
    assert_int_equal(own.jars_per_user, 2);
    assert_int_equal(own.cache_bytes, 2 << 20);
    assert_int_equal(own.cookies_per_jar, 3000);
    access_view_done(&view);
    config_done(&config);
}

static void test_the_description_names_every_key_once(void **state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);

    (void)state;
    assert_int_equal(config_describe(&text), 0);
    const char *all = buf_c_str(&text);
    for (size_t i = 0; i < sizeof(number_keys) / sizeof(number_keys[0]); i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "%s\t%s\t", number_keys[i].section,
                       number_keys[i].name);
        const char *found = strstr(all, line);
        assert_non_null(found);
        assert_null(strstr(found + 1, line));
    }
    int n = 0;
    for (const char *at = all; *at; at++)
        n += *at == '\n';
    assert_int_equal(n,
                     sizeof(number_keys) / sizeof(number_keys[0]) + 15 + 14); /* words, rules */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durability_is_normal_or_full),
        cmocka_unit_test(test_every_number_is_taken_at_its_borders_and_refused_past_them),
        cmocka_unit_test(test_what_is_no_number_is_refused_for_every_number),
        cmocka_unit_test(test_bytes_may_have_a_suffix_and_other_numbers_may_not),
        cmocka_unit_test(test_paths_are_absolute_and_fit),
        cmocka_unit_test(test_log_levels_have_names_and_numbers),
        cmocka_unit_test(test_a_good_file_changes_what_it_names_and_nothing_else),
        cmocka_unit_test(test_every_mistake_is_told_with_file_line_key_and_what_is_right),
        cmocka_unit_test(test_a_nul_hides_nothing),
        cmocka_unit_test(test_nothing_of_a_file_with_one_mistake_is_taken),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_an_error_unless_it_may_be_absent),
        cmocka_unit_test(test_every_failing_allocation_is_an_error_of_the_call),
        cmocka_unit_test(test_a_proxy_and_its_exceptions_are_read_and_checked),
        cmocka_unit_test(
            test_the_daemons_proxy_has_the_login_of_its_url_and_the_kind_that_is_said),
        cmocka_unit_test(test_lines_of_a_list_add_up_to_a_limit),
        cmocka_unit_test(test_every_number_is_overruled_for_some_or_refused_with_the_reason),
        cmocka_unit_test(test_a_groups_number_counts_where_the_user_has_none),
        cmocka_unit_test(test_the_description_names_every_key_once),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
