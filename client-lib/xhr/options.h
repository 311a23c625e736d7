/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The command line of xhr, read once into one structure. Letters, words and syntax are curl's
 * wherever curl has the flag; a flag that is not in the table is a usage error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xhr/xhr.h>

#include "trouble.h"

#define CLI_PINS_MAX 16

/* Pointers into argv, or to copies of our own. */
struct words {
    const char **items;
    size_t count;
};

enum data_kind {
    DATA_PLAIN,     /* -d: @file without CR, LF, NUL */
    DATA_RAW,       /* --data-raw: no @ */
    DATA_BINARY,    /* --data-binary: @file as it is */
    DATA_URLENCODE, /* --data-urlencode */
    DATA_JSON,      /* --json: as binary, and not joined by & */
};

struct data_piece {
    enum data_kind kind;
    const char *text;
};

struct form_choice {
    const char *text;
    bool literal; /* --form-string */
};

enum output_kind {
    OUTPUT_STDOUT,
    OUTPUT_FILE,        /* -o */
    OUTPUT_REMOTE_NAME, /* -O */
};

struct output_choice {
    enum output_kind kind;
    const char *file;
};

struct resolve_choice {
    const char *host;
    uint16_t port;
    const char **addresses;
    size_t n_addresses;
};

struct connect_choice {
    const char *host;
    uint16_t port;
    const char *to_host;
    uint16_t to_port;
};

#define TIME_NOT_GIVEN UINT32_MAX

struct cli_options {
    struct words urls;

    const char *method; /* -X */
    const char *user_agent;
    const char *referer;
    bool auto_referer;
    const char *range;
    struct words headers; /* checked: "Name: value", "Name:", "Name;" or "@file" */
    bool get;
    bool head;

    struct data_piece *data;
    size_t n_data;
    struct form_choice *form; /* -F, --form-string */
    size_t n_form;
    const char *upload_file; /* -T */

    struct output_choice *outputs; /* of the first URL, the second … */
    size_t n_outputs;
    const char *output_dir;
    bool create_dirs;
    bool no_clobber;
    bool remote_header_name;
    bool continue_auto;       /* -C - */
    uint64_t continue_offset; /* -C OFFSET; 0: not given */
    uint64_t max_filesize;    /* 0: no limit */
    const char *dump_header;
    const char *write_out; /* "@file" not yet read */
    bool include;
    bool silent;
    bool show_error;
    bool verbose;
    bool fail;
    bool fail_with_body;
    bool progress_bar;
    bool raw;
    bool cache;
    bool compressed;

    bool events;
    const char *events_file; /* NULL: standard error */

    const char *jar;
    struct words cookies;      /* each "a=1; b=2" */
    struct words cookie_files; /* -b FILE */
    const char *cookie_jar;    /* -c */
    bool junk_session_cookies;

    const char *user; /* "name:password" or "name": copied, and wiped from argv */
    bool basic;
    bool digest;
    bool anyauth;
    const char *proxy;      /* -x: copied, and wiped from argv; "": none */
    const char *proxy_user; /* -U: copied, and wiped from argv */
    bool proxy_basic;
    bool proxy_digest;
    bool proxy_anyauth;
    bool proxy_tunnel;
    const char *noproxy; /* NULL: what no_proxy says */

    bool netrc;
    bool netrc_optional;
    const char *netrc_file;
    const char *bearer; /* copied, and wiped from argv */

    bool insecure;
    bool cert_status;
    bool early_data;
    const char *ca_file;
    const char *cert_file; /* -E; what stood behind its ':' is in pass */
    const char *key_file;
    const char *pass; /* copied, and wiped from argv */
    unsigned tls_min; /* 0x0301 … 0x0304, 0: not given */
    unsigned tls_max;
    unsigned char pins[CLI_PINS_MAX][XHR_PIN_BYTES];
    size_t n_pins;

    struct resolve_choice *resolve;
    size_t n_resolve;
    struct connect_choice *connect_to;
    size_t n_connect_to;
    const char *interface; /* an address or a device */
    const char *user_domain;
    bool url_as_given;
    bool ipv4;
    bool ipv6;
    enum xhr_http_choice http;
    bool no_keepalive;

    bool no_location;
    bool location_trusted;
    bool post301;
    bool post302;
    bool post303;
    int64_t max_redirs; /* -1: no limit; INT64_MIN: not given */

    uint32_t max_time_ms; /* TIME_NOT_GIVEN, 0: none */
    uint32_t connect_timeout_ms;
    uint32_t idle_timeout_ms;
    bool wait_network;
    uint32_t retries; /* --retry */
    uint32_t retry_delay_ms;
    uint32_t retry_max_time_ms;
    bool retry_connrefused;
    bool retry_all_errors;

    const char *socket_path;
    const char *profile; /* NULL: the unnamed one */
    bool no_start;

    bool help;
    bool version;

    struct words copies; /* what is ours to free */
};

/**
 * cli_options_parse() - read the command line
 * @argv: of main(); the arguments of -u and --oauth2-bearer are overwritten, so that no other
 * user can read it Return: 0, or EXIT_USAGE, EXIT_RESOURCES with *ret_why filled; *ret is to be
 * given to cli_options_done() in any case.
 */
int cli_options_parse(int argc, char **argv, struct cli_options *ret, struct trouble *ret_why);
void cli_options_done(struct cli_options *options);

bool words_add(struct words *words, const char *word); /* false: no memory */

/* What --help prints. */
struct strbuf;
void cli_options_help(struct strbuf *out);
