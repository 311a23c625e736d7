/* SPDX-License-Identifier: MIT */
#include "app/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/coding.h"
#include "http/headers.h"
#include "net/deny_networks.h"

enum config_type {
    TYPE_SECONDS,
    TYPE_COUNT,
    TYPE_BYTES,
    TYPE_PATH,
    TYPE_LOG_LEVEL,
    TYPE_DURABILITY,
    TYPE_PROXY,
    TYPE_PROXY_AUTH,
    TYPE_PEOPLE,
    TYPE_TLS_VERSION,
    TYPE_NETWORKS, /* a list, too */
    TYPE_SWITCH,   /* yes or no */
    TYPE_LIST,     /* a second line adds to the first, an empty one begins anew */
    TYPE_RULES,    /* of policy/access_rules.h: lists */
    TYPE_RULE,     /* and a yes or no */
};

struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    size_t offset;
    uint64_t min, max;
    const char *fallback;
    const char *for_all; /* why it is the same for all; NULL: may be set for some, too */
};

#define KEY(section, name, type, field, min, max, fallback, why)                               \
    {                                                                                          \
        section, name, type, offsetof(struct config, field), min, max, fallback, why           \
    }
#define EACH(section, name, type, field, min, max, fallback)                                   \
    {                                                                                          \
        section, name, type, offsetof(struct config, field), min, max, fallback, NULL          \
    }
#define RULE(name, type, fallback, why)                                                        \
    {                                                                                          \
        "Policy", name, type, 0, 0, 0, fallback, why                                           \
    }

#define WHY_ONE_PROCESS   "there is one process for all"
#define WHY_NAMES_PEOPLE  "its value says who is meant"
#define WHY_WHO_IS_SERVED "it is asked before anything is known of who may what"

/* Sorted by section as the man page shows them. */
static const struct config_key keys[] = {
    KEY("Daemon", "LogLevel", TYPE_LOG_LEVEL, log_level, 0, 0, "info", WHY_ONE_PROCESS),
    KEY("Daemon", "IdleExitSec", TYPE_SECONDS, idle_exit_us, 0, 86400, "0", WHY_ONE_PROCESS),
    KEY("Daemon", "Administrators", TYPE_PEOPLE, administrators, 0, 0, "", WHY_NAMES_PEOPLE),
    KEY("Daemon", "StateDirectory", TYPE_PATH, state_dir, 0, 0, "", WHY_ONE_PROCESS),
    KEY("Cookies",
        "Durability",
        TYPE_DURABILITY,
        cookies_survive_power,
        0,
        0,
        "normal",
        "one thread writes for all, and who waits for the disk keeps the others waiting"),
    EACH("Cookies", "SessionGraceSec", TYPE_SECONDS, session_grace_us, 0, 31536000, "300"),
    EACH("Cookies", "CookiesPerJar", TYPE_COUNT, cookies_per_jar, 1, 65536, "3000"),
    EACH("Cookies", "CookiesPerSite", TYPE_COUNT, cookies_per_site, 1, 65536, "180"),
    EACH("Cookies",
         "CookieBytesPerUser",
         TYPE_BYTES,
         cookie_bytes_per_user,
         1 << 16,
         1 << 30,
         "16M"),
    EACH("Cookies", "CookiesPerRequest", TYPE_COUNT, cookies_per_request, 0, 1000, "150"),
    EACH("Cookies",
         "CookieBytesPerRequest",
         TYPE_BYTES,
         cookie_bytes_per_request,
         0,
         65536,
         "8190"),
    EACH("Cookies", "SetCookiesPerAnswer", TYPE_COUNT, set_cookies_per_answer, 0, 1000, "50"),
    KEY("Cookies", "SystemJarUse", TYPE_PEOPLE, system_jar_use, 0, 0, "", WHY_NAMES_PEOPLE),
    KEY("Cookies", "SystemJarRead", TYPE_PEOPLE, system_jar_read, 0, 0, "", WHY_NAMES_PEOPLE),
    KEY("Cookies",
        "SystemJarWrite",
        TYPE_PEOPLE,
        system_jar_write,
        0,
        0,
        "@xhrd",
        WHY_NAMES_PEOPLE),
    KEY("TLS",
        "CAFile",
        TYPE_PATH,
        ca_file,
        0,
        0,
        "/etc/ssl/certs/ca-certificates.crt",
        "one trust store is read for all; a request may name its own"),
    EACH("TLS", "MinimumTLSVersion", TYPE_TLS_VERSION, tls_min_version, 0, 0, "1.0"),
    EACH("TLS", "EarlyData", TYPE_SWITCH, early_data, 0, 0, "yes"),
    EACH("Network", "ConnectTimeoutSec", TYPE_SECONDS, connect_timeout_us, 1, 3600, "60"),
    EACH("Network", "IdleTimeoutSec", TYPE_SECONDS, idle_timeout_us, 1, 86400, "60"),
    KEY("Network",
        "KeepAliveSec",
        TYPE_SECONDS,
        keep_alive_us,
        0,
        3600,
        "50",
        "it answers to what servers do; IdleConnectionsPerUser=0 keeps none for somebody"),
    EACH("Network", "ConnectionsPerHost", TYPE_COUNT, connections_per_host, 1, 65536, "6"),
    EACH("Network",
         "IdleConnectionsPerUser",
         TYPE_COUNT,
         idle_connections_per_user,
         0,
         65536,
         "256"),
    KEY("Network",
        "CoalesceConnections",
        TYPE_SWITCH,
        coalesce_connections,
        0,
        0,
        "no",
        "it says how far name servers are believed, which all share"),
    EACH("Network", "Proxy", TYPE_PROXY, proxy, 0, 0, ""),
    EACH("Network", "ProxyAuth", TYPE_PROXY_AUTH, proxy_auth, 0, 0, "basic"),
    KEY("Network",
        "DenyNetworks",
        TYPE_NETWORKS,
        deny_networks,
        0,
        0,
        "169.254.169.254",
        "what it names stays refused to all"),
    EACH("Network", "NoProxy", TYPE_LIST, no_proxy, 0, 0, ""),
    EACH("Cache", "SizeMax", TYPE_BYTES, cache_bytes, 0, UINT64_C(1) << 44, "256M"),
    EACH("Cache", "AnswerSizeMax", TYPE_BYTES, cache_answer_bytes, 0, UINT64_C(1) << 40, "32M"),
    KEY("Limits",
        "Clients",
        TYPE_COUNT,
        clients_max,
        1,
        65536,
        "4096",
        "it is the sum of all users; a user's own is ClientsPerUser="),
    EACH("Limits", "ClientsPerUser", TYPE_COUNT, clients_per_user, 1, 65536, "128"),
    EACH("Limits", "RequestsPerUser", TYPE_COUNT, requests_per_user, 1, 1000000, "4096"),
    EACH("Limits",
         "QueuedBytesPerUser",
         TYPE_BYTES,
         queued_bytes_per_user,
         1 << 20,
         UINT64_C(1) << 40,
         "12M"),
    EACH("Limits", "DescriptorsPerUser", TYPE_COUNT, fds_per_user, 1, 4096, "64"),
    EACH("Limits", "JarsPerUser", TYPE_COUNT, jars_per_user, 1, 65536, "256"),
    EACH("Limits", "WatchersPerUser", TYPE_COUNT, watchers_per_user, 0, 4096, "64"),
    EACH("Limits", "HeadBytesMax", TYPE_BYTES, head_bytes, 1024, HEADERS_BYTES_MAX, "256K"),
    EACH("Limits", "HeadLineBytesMax", TYPE_BYTES, head_line_bytes, 256, 65536, "64K"),
    EACH("Limits", "HeadFieldsMax", TYPE_COUNT, head_fields, 1, HEADERS_COUNT_MAX, "1000"),
    EACH("Limits", "CodingsMax", TYPE_COUNT, codings, 0, DECODER_CODINGS_MAX, "5"),
    EACH("Limits", "RedirectsMax", TYPE_COUNT, redirects, 0, 1000, "1000"),
    RULE("AllowUsers", TYPE_RULES, "", WHY_WHO_IS_SERVED),
    RULE("AllowGroups", TYPE_RULES, "", WHY_WHO_IS_SERVED),
    RULE("DenyUsers", TYPE_RULES, "", WHY_WHO_IS_SERVED),
    RULE("DenyGroups", TYPE_RULES, "", WHY_WHO_IS_SERVED),
    RULE("AllowHosts", TYPE_RULES, "", NULL),
    RULE("DenyHosts", TYPE_RULES, "", NULL),
    RULE("AllowNetworks", TYPE_RULES, "", NULL),
    RULE("DenyNetworks", TYPE_RULES, "", NULL),
    RULE("AllowPorts", TYPE_RULES, "", NULL),
    RULE("AllowMethods", TYPE_RULES, "", NULL),
    RULE("AllowProxies", TYPE_RULES, "", NULL),
    RULE("DenyProxies", TYPE_RULES, "", NULL),
    RULE("AllowInsecure", TYPE_RULE, "yes", NULL),
    RULE("Credential", TYPE_RULES, "", NULL),
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *type_name(enum config_type type)
{
    switch (type) {
    case TYPE_SECONDS: return "seconds";
    case TYPE_COUNT: return "number";
    case TYPE_BYTES: return "bytes";
    case TYPE_PATH: return "path";
    case TYPE_LOG_LEVEL: return "level";
    case TYPE_DURABILITY: return "durability";
    case TYPE_PROXY: return "proxy";
    case TYPE_PROXY_AUTH: return "login";
    case TYPE_PEOPLE: return "people";
    case TYPE_TLS_VERSION: return "version";
    case TYPE_NETWORKS: return "networks";
    case TYPE_SWITCH:
    case TYPE_RULE: return "switch";
    case TYPE_LIST:
    case TYPE_RULES: return "list";
    }
    return "";
}

static void *field(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

/* A number with an optional K, M or G behind it when it counts bytes. */
static int parse_number(const struct config_key *key, struct span text, uint64_t *ret)
{
    static const char suffixes[] = "KMG";
    unsigned shift = 0;

    if (key->type == TYPE_BYTES && text.len > 0) {
        const char *suffix = strchr(suffixes, text.ptr[text.len - 1]);

        if (suffix && *suffix) {
            shift = 10 * (unsigned)(suffix - suffixes + 1);
            text = span_take(text, text.len - 1);
        }
    }
    uint64_t value;
    if (num_parse_u64(text, UINT64_MAX >> shift, &value) < 0)
        return -EINVAL;
    value <<= shift;
    if (value < key->min || value > key->max)
        return -ERANGE;
    *ret = value;
    return 0;
}

static int refuse_number(const struct config_key *key, const char *value, struct buf *error)
{
    const char *unit = key->type == TYPE_SECONDS ? " of seconds"
                       : key->type == TYPE_BYTES ? " of bytes (K, M, G allowed)"
                                                 : "";
    int r =
        buf_append_format(error, "%s=%s: wants a number%s from %llu to %llu", key->name, value,
                          unit, (unsigned long long)key->min, (unsigned long long)key->max);
    return r < 0 ? r : -EINVAL;
}

static int set_number(struct config *config,
                      const struct config_key *key,
                      const char *value,
                      struct buf *error)
{
    uint64_t number;

    if (parse_number(key, span_of(value), &number) < 0)
        return refuse_number(key, value, error);
    if (key->type == TYPE_SECONDS)
        *(int64_t *)field(config, key) = (int64_t)number * 1000000;
    else
        *(uint64_t *)field(config, key) = number;
    return 0;
}

static int set_path(struct config *config,
                    const struct config_key *key,
                    const char *value,
                    struct buf *error)
{
    size_t len = strlen(value);

    if (len >= CONFIG_TEXT_MAX || (len > 0 && value[0] != '/')) {
        int r = buf_append_format(error, "%s=%s: wants an absolute path below %d bytes",
                                  key->name, value, CONFIG_TEXT_MAX);
        return r < 0 ? r : -EINVAL;
    }
    memcpy(field(config, key), value, len + 1);
    return 0;
}

/* The value is not repeated: it may hold a password. */
static int set_proxy(struct config *config,
                     const struct config_key *key,
                     const char *value,
                     struct buf *error)
{
    struct proxy proxy;
    size_t len = strlen(value);
    int outcome = len >= CONFIG_TEXT_MAX ? PROXY_E_TOO_LONG : PROXY_OK;

    if (outcome == PROXY_OK && len > 0) {
        outcome = proxy_parse(span_of(value), &proxy);
        if (outcome < 0)
            return outcome;
        if (outcome == PROXY_OK)
            proxy_done(&proxy);
    }
    if (outcome != PROXY_OK) {
        int r = buf_append_format(error, "%s=: %s", key->name, proxy_outcome_text(outcome));
        return r < 0 ? r : -EINVAL;
    }
    memcpy(field(config, key), value, len + 1);
    return 0;
}

static int set_proxy_auth(struct config *config,
                          const struct config_key *key,
                          const char *value,
                          struct buf *error)
{
    static const struct {
        const char *name;
        enum auth_scheme scheme;
    } schemes[] = {
        {"basic", AUTH_SCHEME_BASIC}, {"digest", AUTH_SCHEME_DIGEST}, {"any", AUTH_SCHEME_ANY}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strcmp(value, schemes[i].name) == 0) {
            *(enum auth_scheme *)field(config, key) = schemes[i].scheme;
            return 0;
        }
    }
    int r = buf_append_format(error, "%s=%s: wants basic, digest or any", key->name, value);
    return r < 0 ? r : -EINVAL;
}

static int set_tls_version(struct config *config,
                           const struct config_key *key,
                           const char *value,
                           struct buf *error)
{
    if (strlen(value) == 3 && value[0] == '1' && value[1] == '.' && value[2] >= '0' &&
        value[2] <= '3') {
        *(uint16_t *)field(config, key) = (uint16_t)(0x0301 + (value[2] - '0'));
        return 0;
    }
    int r = buf_append_format(error, "%s=%s: wants 1.0, 1.1, 1.2 or 1.3", key->name, value);
    return r < 0 ? r : -EINVAL;
}

static int add_to_list(struct config *config,
                       const struct config_key *key,
                       const char *value,
                       struct buf *error)
{
    char *list = field(config, key);
    size_t have = value[0] ? strlen(list) : 0;
    size_t comma = have > 0;

    if (have + comma + strlen(value) >= CONFIG_LIST_MAX) {
        int r = buf_append_format(error, "%s=: wants at most %d bytes, all lines together",
                                  key->name, CONFIG_LIST_MAX - 1);
        return r < 0 ? r : -EINVAL;
    }
    if (comma)
        list[have] = ',';
    memcpy(list + have + comma, value, strlen(value) + 1);
    return 0;
}

static int add_no_proxy(struct config *config,
                        const struct config_key *key,
                        const char *value,
                        struct buf *error)
{
    struct span bad;

    if (no_proxy_is_right(span_of(value), &bad))
        return add_to_list(config, key, value, error);
    int r = buf_append_format(error,
                              "%s=%.*s: wants names, as example.com for it and what is below, "
                              "addresses, networks, as 10.0.0.0/8, or * for everything",
                              key->name, (int)bad.len, bad.ptr);
    return r < 0 ? r : -EINVAL;
}

static int add_networks(struct config *config,
                        const struct config_key *key,
                        const char *value,
                        struct buf *error)
{
    struct deny_networks networks;
    struct span bad = span_of(value);
    int r = add_to_list(config, key, value, error);

    if (r == 0)
        r = deny_networks_parse(span_of(field(config, key)), &networks, &bad);
    if (r == 0)
        return 0;
    if (error->len > 0)
        return -EINVAL;
    r = buf_append_format(error,
                          "%s=%.*s: wants at most %d addresses or networks, as 10.0.0.0/8",
                          key->name, (int)bad.len, bad.ptr, DENY_NETWORKS_MAX);
    return r < 0 ? r : -EINVAL;
}

/* Words of users and groups, with blanks between them; @ is a group's beginning alone. */
static bool are_people(const char *value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.-";

    for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
        value += *value == '@';
        size_t len = strspn(value, allowed);
        if (len == 0 || (value[len] && value[len] != ' '))
            return false;
        value += len;
    }
    return true;
}

static int set_people(struct config *config,
                      const struct config_key *key,
                      const char *value,
                      struct buf *error)
{
    size_t len = strlen(value);

    if (len < CONFIG_TEXT_MAX && are_people(value)) {
        memcpy(field(config, key), value, len + 1);
        return 0;
    }
    int r = buf_append_format(error,
                              "%s=%s: wants names of users and of groups, which begin with @, "
                              "with blanks between them, below %d bytes",
                              key->name, value, CONFIG_TEXT_MAX);
    return r < 0 ? r : -EINVAL;
}

int config_proxy(const struct config *config, struct proxy *ret)
{
    struct proxy proxy = {0};
    int r = config->proxy[0] ? proxy_parse(span_of(config->proxy), &proxy) : PROXY_OK;

    if (r == PROXY_OK && proxy_has_login(&proxy) && proxy.kind != PROXY_SOCKS5)
        r = proxy_set_login(&proxy, config->proxy_auth, (struct span){0}, (struct span){0});
    if (r < 0)
        return r;
    INVARIANT(r == PROXY_OK); /* set_proxy() looked at it */
    *ret = proxy;
    return 0;
}

static int set_level(struct config *config,
                     const struct config_key *key,
                     const char *value,
                     struct buf *error)
{
    if (log_level_parse(value, field(config, key)) == 0)
        return 0;
    int r = buf_append_format(error, "%s=%s: wants err, warning, notice, info or debug",
                              key->name, value);
    return r < 0 ? r : -EINVAL;
}

static int set_durability(struct config *config,
                          const struct config_key *key,
                          const char *value,
                          struct buf *error)
{
    bool is_full = strcmp(value, "full") == 0;

    if (!is_full && strcmp(value, "normal") != 0) {
        int r = buf_append_format(error, "%s=%s: wants normal or full", key->name, value);
        return r < 0 ? r : -EINVAL;
    }
    *(bool *)field(config, key) = is_full;
    return 0;
}

static int set_switch(struct config *config,
                      const struct config_key *key,
                      const char *value,
                      struct buf *error)
{
    bool is_on = strcmp(value, "yes") == 0;

    if (!is_on && strcmp(value, "no") != 0) {
        int r = buf_append_format(error, "%s=%s: wants yes or no", key->name, value);
        return r < 0 ? r : -EINVAL;
    }
    *(bool *)field(config, key) = is_on;
    return 0;
}

static int set_key(struct config *config,
                   const struct config_key *key,
                   const char *value,
                   struct buf *error)
{
    switch (key->type) {
    case TYPE_PATH: return set_path(config, key, value, error);
    case TYPE_LOG_LEVEL: return set_level(config, key, value, error);
    case TYPE_DURABILITY: return set_durability(config, key, value, error);
    case TYPE_PROXY: return set_proxy(config, key, value, error);
    case TYPE_PROXY_AUTH: return set_proxy_auth(config, key, value, error);
    case TYPE_TLS_VERSION: return set_tls_version(config, key, value, error);
    case TYPE_PEOPLE: return set_people(config, key, value, error);
    case TYPE_SWITCH: return set_switch(config, key, value, error);
    case TYPE_LIST: return add_no_proxy(config, key, value, error);
    case TYPE_NETWORKS: return add_networks(config, key, value, error);
    case TYPE_RULES:
    case TYPE_RULE: return 0; /* config_set_rule() keeps them */
    case TYPE_SECONDS:
    case TYPE_COUNT:
    case TYPE_BYTES: break;
    }
    return set_number(config, key, value, error);
}

static const struct config_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static bool is_list(const struct config_key *key)
{
    return key->type == TYPE_LIST || key->type == TYPE_NETWORKS || key->type == TYPE_RULES;
}

int config_single_key(const char *section, const char *name)
{
    const struct config_key *key = find_key(section, name);

    _Static_assert(N_KEYS <= CONFIG_KEYS_MAX, "a place for each key");
    return key && !is_list(key) ? (int)(key - keys) : -1;
}

int config_refuse_section(const char *section, struct buf *ret_error)
{
    int r = buf_append_format(ret_error,
                              "no section [%s]; there are [Daemon], [Cookies], [TLS], "
                              "[Network], [Cache], [Limits], [Policy], [User NAME] and "
                              "[Group NAME]",
                              section);
    return r < 0 ? r : -EINVAL;
}

static int refuse_name(const char *section, const char *name, struct buf *error)
{
    const char *right_section = NULL;
    bool section_exists = false;

    for (size_t i = 0; i < N_KEYS; i++) {
        section_exists |= strcmp(keys[i].section, section) == 0;
        if (strcmp(keys[i].name, name) == 0)
            right_section = keys[i].section;
    }
    int r;
    if (section[0] == '\0')
        r = buf_append_format(error, "%s= stands before the first [Section]%s%s%s", name,
                              right_section ? ", its place is [" : "",
                              right_section ? right_section : "", right_section ? "]" : "");
    else if (right_section)
        r = buf_append_format(error, "%s= stands in [%s], its place is [%s]", name, section,
                              right_section);
    else if (section_exists)
        r = buf_append_format(error, "no key %s= in [%s]; see xhrd.conf(5)", name, section);
    else
        return config_refuse_section(section, error);
    return r < 0 ? r : -EINVAL;
}

int config_set(struct config *config,
               const char *section,
               const char *name,
               const char *value,
               struct buf *ret_error)
{
    const struct config_key *key = find_key(section, name);

    return key ? set_key(config, key, value, ret_error) : refuse_name(section, name, ret_error);
}

void config_init(struct config *config)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);

    *config = (struct config){0};
    for (size_t i = 0; i < N_KEYS; i++)
        INVARIANT(set_key(config, &keys[i], keys[i].fallback, &error) == 0);
}

void config_done(struct config *config)
{
    config->access = access_policy_free(config->access);
}

/* ---- rules, and what is otherwise for some ------------------------------------------------
 */

/* "User alice". Return: whether it is one of the sections with rules. */
static bool take_scope(const char *section, enum access_scope *ret, struct span *ret_name)
{
    static const struct {
        const char *word;
        enum access_scope scope;
    } scopes[] = {{"User", ACCESS_USER}, {"Group", ACCESS_GROUP}};
    struct span name = span_of(section);
    struct span word;

    *ret_name = (struct span){0};
    *ret = ACCESS_EVERYBODY;
    if (strcmp(section, "Policy") == 0)
        return true;
    (void)span_split(&name, ' ', &word);
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        if (!span_eq(word, span_of(scopes[i].word)))
            continue;
        *ret = scopes[i].scope;
        *ret_name = span_trim_ows(name);
        return true;
    }
    return false;
}

bool config_is_rules(const char *section)
{
    enum access_scope scope;
    struct span name;

    return take_scope(section, &scope, &name);
}

bool config_knows_section(const char *section)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].section, section) == 0)
            return true;
    }
    return config_is_rules(section);
}

/* Of those that may be set for some. */
static const struct config_key *find_each(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (!keys[i].for_all && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static int refuse_each(const char *section, const char *name, struct buf *error)
{
    const char *why = NULL;

    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0)
            why = keys[i].for_all;
    }
    int r =
        why ? buf_append_format(error, "%s= cannot be set in [%s], it is the same for all: %s",
                                name, section, why)
            : buf_append_format(error, "no key %s= in [%s]; see xhrd.conf(5)", name, section);
    return r < 0 ? r : -EINVAL;
}

static int refuse_person(const char *section, int why, struct buf *error)
{
    int r = why == -E2BIG
                ? buf_append_format(error, "[%s]: wants at most %d sections", section,
                                    ACCESS_SECTIONS_MAX)
                : buf_append_format(error,
                                    "[%s]: wants the name or the number of one user or group "
                                    "behind the blank, below %d bytes",
                                    section, ACCESS_NAME_MAX);
    return r < 0 ? r : -EINVAL;
}

/* A key of another section, for some: tried out now, so that its line is complained of. */
static int keep_each(struct access_section *section,
                     const struct config_key *key,
                     const char *value,
                     unsigned line,
                     struct buf *error)
{
    CLEANUP_MEM struct config *trial = mem_alloc(sizeof(*trial));

    if (!trial)
        return fault(-ENOMEM);
    for (size_t i = 0; i < section->n_settings && !is_list(key); i++) {
        if (strcmp(section->settings[i].key, key->name) == 0) {
            int r = buf_append_format(error, "%s= stands in line %u already", key->name,
                                      section->settings[i].line);
            return r < 0 ? r : -EINVAL;
        }
    }
    config_init(trial);
    int r = set_key(trial, key, value, error);
    return r < 0 ? r : access_section_keep(section, key->section, key->name, value, line);
}

int config_set_rule(struct access_policy *access,
                    const char *section,
                    const char *name,
                    const char *value,
                    unsigned line,
                    struct buf *ret_error)
{
    enum access_scope scope;
    struct span whose;
    struct access_section *into;
    enum access_key rule;

    INVARIANT(take_scope(section, &scope, &whose));
    const struct config_key *key =
        scope == ACCESS_EVERYBODY ? find_key(section, name) : find_each(name);
    if (!key)
        return scope == ACCESS_EVERYBODY ? refuse_name(section, name, ret_error)
                                         : refuse_each(section, name, ret_error);
    int r = access_policy_section(access, scope, whose, line, &into);
    if (r == -EINVAL || r == -E2BIG)
        return refuse_person(section, r, ret_error);
    if (r < 0)
        return r;
    if (strcmp(key->section, "Policy") != 0)
        return keep_each(into, key, value, line, ret_error);
    INVARIANT(access_key_find(name, &rule));
    return access_section_set(into, rule, value, line, ret_error);
}

/* Of one section; a list begins with it. */
static int apply_section(struct config *config, const struct access_section *section)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    uint64_t begun = 0; /* a bit for each key */

    _Static_assert(N_KEYS <= 64, "a bit for each key");
    for (size_t i = 0; i < section->n_settings; i++) {
        const struct access_setting *setting = &section->settings[i];
        const struct config_key *key = find_key(setting->section, setting->key);
        uint64_t bit = UINT64_C(1) << (key - keys);

        if (is_list(key) && !(begun & bit) && set_key(config, key, "", &error) < 0)
            return fault(-ENOMEM);
        begun |= bit;
        if (set_key(config, key, setting->value, &error) < 0)
            return fault(-ENOMEM); /* it was tried out */
    }
    return 0;
}

int config_for_view(const struct config *general,
                    const struct access_view *view,
                    struct config *ret)
{
    *ret = *general;
    ret->access = NULL;
    for (size_t i = view->n; i > 0; i--) {
        int r = apply_section(ret, view->sections[i - 1]);

        if (r < 0)
            return r;
    }
    return 0;
}

int config_describe(struct buf *out)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        int r = buf_append_format(out, "%s\t%s\t%s\t%s\t%s\n", keys[i].section, keys[i].name,
                                  type_name(keys[i].type), keys[i].fallback,
                                  keys[i].for_all ? keys[i].for_all : "each");
        if (r < 0)
            return r;
    }
    return 0;
}
