/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the daemon was told: defaults, then xhrd.conf, then the command line. One table names
 * every key with its section, type, unit, borders and default; the man page and the sample file
 * are held against it by a test.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "policy/access_rules.h"
#include "policy/proxy.h"

#define CONFIG_TEXT_MAX 256  /* bytes of a path or a proxy, with its NUL */
#define CONFIG_LIST_MAX 4096 /* bytes of a list, with its NUL */

struct config {
    enum log_level log_level;
    int64_t idle_exit_us;                 /* 0: never */
    char administrators[CONFIG_TEXT_MAX]; /* "user @group …" */
    char state_dir[CONFIG_TEXT_MAX];
    bool cookies_survive_power; /* each commit reaches the medium before it is told */
    int64_t session_grace_us;   /* session cookies outlast the last client so long */
    uint64_t cookies_per_jar;
    uint64_t cookies_per_site;
    uint64_t cookie_bytes_per_user;
    uint64_t cookies_per_request;
    uint64_t cookie_bytes_per_request;
    uint64_t set_cookies_per_answer;
    char system_jar_use[CONFIG_TEXT_MAX]; /* "user @group …" */
    char system_jar_read[CONFIG_TEXT_MAX];
    char system_jar_write[CONFIG_TEXT_MAX];
    char ca_file[CONFIG_TEXT_MAX];
    int64_t connect_timeout_us;
    int64_t idle_timeout_us;
    int64_t keep_alive_us;
    char proxy[CONFIG_TEXT_MAX]; /* its URL; empty: none */
    enum auth_scheme proxy_auth; /* of a login in it */
    char no_proxy[CONFIG_LIST_MAX];
    char deny_networks[CONFIG_LIST_MAX];
    uint64_t connections_per_host;
    bool coalesce_connections;
    uint64_t idle_connections_per_user;
    uint16_t tls_min_version;
    bool early_data;
    uint64_t clients_max;
    uint64_t clients_per_user;
    uint64_t requests_per_user;
    uint64_t queued_bytes_per_user;
    uint64_t fds_per_user;
    uint64_t cache_bytes;
    uint64_t cache_answer_bytes;
    uint64_t jars_per_user;
    uint64_t watchers_per_user;
    uint64_t head_bytes; /* of an answer */
    uint64_t head_line_bytes;
    uint64_t head_fields;
    uint64_t codings; /* of its body, one over another */
    uint64_t redirects;
    struct access_policy *access; /* owned by the one that was loaded; NULL: no rules */
};

void config_init(struct config *config);
void config_done(struct config *config); /* of the one that was loaded, not of copies */

/**
 * config_load() - read an xhrd.conf over what @config holds
 * @path:      absent is not an error when @optional
 * @ret_error: on -EINVAL one line: file, line, key, what was wrong and what would be right
 *
 * @config is untouched unless the whole file is good.
 *
 * Return: 0, -EINVAL, or -errno when the file cannot be read (@ret_error says so too).
 */
MUST_CHECK int
config_load(struct config *config, const char *path, bool optional, struct buf *ret_error);

/* One setting, as the command line gives it. Return: 0, or -EINVAL with *ret_error filled. */
MUST_CHECK int config_set(struct config *config,
                          const char *section,
                          const char *key,
                          const char *value,
                          struct buf *ret_error);

/**
 * config_set_rule() - a line of [Policy], [User …] or [Group …]
 * @section: without the brackets
 * Return: 0; -EINVAL with *ret_error filled; -ENOMEM.
 */
MUST_CHECK int config_set_rule(struct access_policy *access,
                               const char *section,
                               const char *key,
                               const char *value,
                               unsigned line,
                               struct buf *ret_error);
/* Is it one of those sections? */
bool config_is_rules(const char *section);

/* Is there such a section, of rules or not? If not, config_refuse_section() says which there
 * are and returns -EINVAL or -ENOMEM. */
bool config_knows_section(const char *section);
MUST_CHECK int config_refuse_section(const char *section, struct buf *ret_error);

#define CONFIG_KEYS_MAX 64
/* A number below CONFIG_KEYS_MAX for a key that may stand once in its section. -1: it is a
 * list, or none at all. */
int config_single_key(const char *section, const char *name);

/* What one person gets: @general with what @view's sections set otherwise, the most special
 * last. *ret owns nothing. Return: 0 or -ENOMEM. */
MUST_CHECK int config_for_view(const struct config *general,
                               const struct access_view *view,
                               struct config *ret);

/**
 * config_proxy() - the proxy that the configuration names
 * Return: 0 (*ret is none if it names none; proxy_done()), or -ENOMEM.
 */
MUST_CHECK int config_proxy(const struct config *config, struct proxy *ret);

/* "Section\tKey\ttype\tdefault\twhere\n" for every key, for the test that compares documents;
 * where is "each" for what may stand in [User …] and [Group …] as well, else why it may not. */
MUST_CHECK int config_describe(struct buf *out);
