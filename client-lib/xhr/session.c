/* SPDX-License-Identifier: MIT */
/* Makes a session of the command line: reads every file it names, asks for the password. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "flags.h"
#include "internal.h"
#include "netrc.h"
#include "password.h"
#include "profile.h"
#include "proxy.h"
#include "tls.h"
#include "transfer.h"
#include "writeout.h"

#define CA_BYTES_MAX      (768u << 10) /* it travels in one message of 1 MiB */
#define HEADERS_BYTES_MAX (1u << 20)
#define NO_LIMIT_HOPS     1000000

static int no_memory(struct trouble *why)
{
    return trouble_set(why, EXIT_RESOURCES, "out of memory");
}

/* Where it was built, xhrd lies beside xhr; where it is installed the library knows. */
static bool find_daemon_beside_us(char *path, size_t size)
{
    static const char name[] = "/xhrd";
    ssize_t n = readlink("/proc/self/exe", path, size - sizeof(name));

    if (n <= 0 || n >= (ssize_t)(size - sizeof(name)))
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return false;
    memcpy(slash, name, sizeof(name));
    return access(path, X_OK) == 0;
}

static int load_client(struct session *session, struct trouble *why)
{
    struct xhr_client_options options = {
        .size = sizeof(options),
        .socket_path = session->options->socket_path,
        .no_start = session->options->no_start,
        .program = "xhr",
        .profile = session->options->profile,
    };

    if (options.profile && !profile_is_valid(options.profile))
        return trouble_set(why, EXIT_USAGE, "--profile '%s': " PROFILE_WANTS, options.profile);
    int r = xhr_client_new(&options, &session->client);

    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE,
                           "--socket '%s': not the path of a socket, or too long",
                           options.socket_path ? options.socket_path : "");
    if (r < 0)
        return trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r));
    xhr_client_find_daemon_by(session->client, find_daemon_beside_us);
    return 0;
}

static int load_ca(struct session *session, struct trouble *why)
{
    const char *file = session->options->ca_file;

    if (!file)
        return 0;
    int r = read_file(file, CA_BYTES_MAX, &session->ca_pem);
    if (r < 0)
        return trouble_set(why, EXIT_CA_FILE, "--cacert %s: %s", file, strerror(-r));
    if (!strstr(strbuf_text(&session->ca_pem), "-----BEGIN "))
        return trouble_set(why, EXIT_CA_FILE,
                           "--cacert %s: no certificate in PEM form in there", file);
    return 0;
}

static int load_identity(struct session *session, struct trouble *why)
{
    return tls_load_identity(session->options, &session->identity, why);
}

/* "user:password"; the terminal is asked for what is not there. @login: NULL: nothing. */
static int split_login(const char *of,
                       const char *flag,
                       const char *login,
                       char **ret_user,
                       char **ret_password,
                       struct trouble *why)
{
    const char *colon = login ? strchr(login, ':') : NULL;

    if (!login)
        return 0;
    *ret_user = colon ? strndup(login, (size_t)(colon - login)) : strdup(login);
    if (!*ret_user)
        return no_memory(why);
    if (!colon)
        return password_ask(of, flag, login, ret_password, why);
    *ret_password = strdup(colon + 1);
    return *ret_password ? 0 : no_memory(why);
}

static int load_user(struct session *session, struct trouble *why)
{
    const struct cli_options *options = session->options;
    int r = split_login("host", "-u", options->user, &session->user, &session->password, why);

    return r != 0 ? r
                  : split_login("proxy", "-U", options->proxy_user, &session->proxy_user,
                                &session->proxy_password, why);
}

/* The name of the file, or NULL: there is no home to look in. */
static const char *netrc_path(const struct cli_options *options, struct strbuf *scratch)
{
    const char *home = getenv("HOME");

    if (options->netrc_file)
        return options->netrc_file;
    if (!home || !*home)
        return NULL;
    strbuf_add_text(scratch, home);
    strbuf_add_text(scratch, "/.netrc");
    return strbuf_text(scratch);
}

static int load_netrc(struct session *session, struct trouble *why)
{
    const struct cli_options *options = session->options;
    struct strbuf path = {0};

    if (!options->netrc && !options->netrc_optional && !options->netrc_file)
        return 0;
    const char *name = netrc_path(options, &path);
    int r = path.failed ? -ENOMEM
            : name      ? read_file(name, NETRC_BYTES_MAX, &session->netrc)
                        : -ENOENT;
    if (r == -ENOENT && options->netrc_optional)
        r = 0;
    else if (r < 0)
        r = trouble_set(why, EXIT_READ, "%s: %s", name ? name : "-n: HOME is not set",
                        strerror(-r));
    session->netrc_name = options->netrc_file ? options->netrc_file : "~/.netrc";
    strbuf_done(&path);
    return r;
}

static int load_network(struct session *session, struct trouble *why)
{
    const struct cli_options *options = session->options;

    if (options->n_resolve > 0)
        session->resolve = calloc(options->n_resolve, sizeof(*session->resolve));
    if (options->n_connect_to > 0)
        session->connect_to = calloc(options->n_connect_to, sizeof(*session->connect_to));
    if ((options->n_resolve > 0 && !session->resolve) ||
        (options->n_connect_to > 0 && !session->connect_to))
        return no_memory(why);
    for (size_t i = 0; i < options->n_resolve; i++) {
        const struct resolve_choice *from = &options->resolve[i];

        session->resolve[i] = (struct xhr_resolve){
            .host = from->host,
            .port = from->port,
            .addresses = from->addresses,
            .n_addresses = from->n_addresses,
        };
    }
    for (size_t i = 0; i < options->n_connect_to; i++) {
        const struct connect_choice *from = &options->connect_to[i];

        session->connect_to[i] = (struct xhr_connect_to){
            .host = from->host,
            .port = from->port,
            .to_host = from->to_host,
            .to_port = from->to_port,
        };
    }
    return 0;
}

/* -H @FILE: a header a line; empty ones are skipped. */
static int
add_header_lines(struct session *session, const char *name, char *text, struct trouble *why)
{
    unsigned number = 0;

    for (char *next; text && *text; text = next) {
        char *end = strchr(text, '\n');

        next = end ? end + 1 : NULL;
        number++;
        if (end)
            *end = '\0';
        text[strcspn(text, "\r")] = '\0';
        if (text[0] == '\0')
            continue;
        if (strcspn(text, ":;") == 0 || text[strcspn(text, ":;")] == '\0')
            return trouble_set(why, EXIT_USAGE,
                               "-H @%s, line %u: write 'Name: value', 'Name:' or 'Name;'", name,
                               number);
        if (!words_add(&session->headers, text))
            return no_memory(why);
    }
    return 0;
}

static int add_header_file(struct session *session, const char *name, struct trouble *why)
{
    struct strbuf *files =
        reallocarray(session->files, session->n_files + 1, sizeof(*session->files));

    if (!files)
        return no_memory(why);
    session->files = files;
    struct strbuf *file = &files[session->n_files++];
    *file = (struct strbuf){0};
    int r = read_file(name, HEADERS_BYTES_MAX, file);
    if (r < 0)
        return trouble_set(why, EXIT_READ, "-H @%s: %s", name, strerror(-r));
    return add_header_lines(session, name, file->bytes, why);
}

static int load_headers(struct session *session, struct trouble *why)
{
    const struct words *given = &session->options->headers;

    for (size_t i = 0; i < given->count; i++) {
        int r = 0;

        if (given->items[i][0] == '@')
            r = add_header_file(session, given->items[i] + 1, why);
        else if (!words_add(&session->headers, given->items[i]))
            r = no_memory(why);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Of -r, or of -C OFFSET. */
static void load_range(struct session *session)
{
    const struct cli_options *options = session->options;

    if (!options->range && options->continue_offset == 0)
        return;
    strbuf_add_text(&session->range, "bytes=");
    if (options->range) {
        strbuf_add_text(&session->range, options->range);
    } else {
        strbuf_add_u64(&session->range, options->continue_offset);
        strbuf_add_char(&session->range, '-');
    }
}

static int load_cookies(struct session *session, struct trouble *why)
{
    const struct words *given = &session->options->cookies;

    for (size_t i = 0; i < given->count; i++) {
        strbuf_add_text(&session->cookie, i > 0 ? "; " : "");
        strbuf_add_text(&session->cookie, given->items[i]);
    }
    load_range(session);
    return session->cookie.failed || session->range.failed ? no_memory(why) : 0;
}

/* -G moves the data into the query. */
static int load_data(struct session *session, struct trouble *why)
{
    int r = postdata_load(session->options, &session->postdata, why);

    if (r == 0)
        r = formdata_load(session->options, &session->formdata, why);
    if (r != 0 || !session->options->get)
        return r;
    session->query = session->postdata.bytes;
    session->postdata.bytes = (struct strbuf){0};
    session->postdata.kind = POSTDATA_NONE;
    if (session->query.len != strlen(strbuf_text(&session->query)))
        return trouble_set(why, EXIT_USAGE,
                           "-G: the data holds a NUL, which no URL may: encode it with "
                           "--data-urlencode");
    return 0;
}

static uint32_t timeout_of(uint32_t ms)
{
    return ms == TIME_NOT_GIVEN ? 0 : ms == 0 ? XHR_NO_TIMEOUT : ms;
}

static uint32_t hops_of(int64_t max_redirs)
{
    if (max_redirs == INT64_MIN)
        return 0; /* the library's own */
    return max_redirs < 0    ? NO_LIMIT_HOPS
           : max_redirs == 0 ? XHR_NO_REDIRECTS
                             : (uint32_t)max_redirs;
}

static enum xhr_auth_scheme scheme_of(const struct cli_options *options)
{
    if (options->bearer)
        return XHR_AUTH_BEARER;
    if (options->anyauth)
        return XHR_AUTH_ANY;
    return options->digest ? XHR_AUTH_DIGEST : XHR_AUTH_BASIC;
}

static int make_request_options(struct session *session, struct trouble *why)
{
    const struct cli_options *options = session->options;
    bool is_private = options->cookie_files.count > 0 || options->cookie_jar;
    bool no_cookies = options->jar && strcmp(options->jar, "none") == 0;

    session->request_options = (struct xhr_request_options){
        .size = sizeof(session->request_options),
        .timeout_connect_ms = timeout_of(options->connect_timeout_ms),
        .timeout_idle_ms = timeout_of(options->idle_timeout_ms),
        .waits_for_connectivity = options->wait_network,
        .timeout_for_resource_ms =
            options->max_time_ms == TIME_NOT_GIVEN ? 0 : options->max_time_ms,
        .no_redirect = options->no_location,
        .location_trusted = options->location_trusted,
        .keep_post_301 = options->post301,
        .keep_post_302 = options->post302,
        .keep_post_303 = options->post303,
        .redirects_max = hops_of(options->max_redirs),
        .username = session->user,
        .password = session->password,
        /* curl does not wait to be asked */
        .preemptive_auth =
            session->user && scheme_of(options) == XHR_AUTH_BASIC && !options->user_domain,
        .domain = options->user_domain, /* the realm decides, so it has to be asked for */
        .auth_scheme = scheme_of(options),
        .bearer_token = options->bearer,
        .insecure = options->insecure,
        .certificate_status = options->cert_status,
        .early_data = options->early_data,
        .tell_certificates = options->verbose || options->events ||
                             writeout_wants_certificates(strbuf_text(&session->write_out)),
        .ca_pem = session->ca_pem.bytes,
        .ca_pem_len = session->ca_pem.len,
        .client_certificate = session->identity.bytes,
        .client_certificate_len = session->identity.len,
        .passphrase = session->identity.len > 0 ? options->pass : NULL,
        .pinned_keys = options->pins,
        .n_pinned_keys = options->n_pins,
        .tls_version_min = options->tls_min,
        .tls_version_max = options->tls_max,
        .jar = is_private   ? XHR_JAR_PRIVATE
               : no_cookies ? NULL
                            : options->jar,
        .cookies = no_cookies ? XHR_COOKIES_NONE : XHR_COOKIES_SEND_AND_STORE,
        .family = options->ipv4   ? 4
                  : options->ipv6 ? 6
                                  : 0,
        .resolve = session->resolve,
        .n_resolve = options->n_resolve,
        .connect_to = session->connect_to,
        .n_connect_to = options->n_connect_to,
        .http_errors_as_load = !options->fail && !options->fail_with_body &&
                               !options->continue_auto && options->continue_offset == 0,
        .response_bytes_max = options->max_filesize,
        .interface = options->interface,
        .auto_referer = options->auto_referer,
        .raw = options->raw,
        .url_as_given = options->url_as_given,
        .cache = options->cache ? XHR_CACHE_ON : XHR_CACHE_OFF,
        .no_keep_alive = options->no_keepalive,
        .sent_headers = options->verbose || options->events,
        .proxy_username = session->proxy_user,
        .proxy_password = session->proxy_password,
        .http = options->http,
    };
    return proxy_choose(options, &session->request_options, why);
}

int session_open(struct session *session,
                 const struct cli_options *options,
                 struct trouble *why)
{
    static int (*const steps[])(struct session *, struct trouble *) = {
        load_client,   load_network, load_headers, load_cookies, load_ca,
        load_identity, load_user,    load_netrc,   load_data,
    };

    *session = (struct session){.options = options, .postdata.fd = -1};
    if (options->write_out) {
        int r = writeout_load(options->write_out, &session->write_out, why);

        if (r != 0)
            return r;
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](session, why);

        if (r != 0)
            return r;
    }
    int r = make_request_options(session, why);
    if (r != 0)
        return r;
    return options->events ? event_log_open(&session->events, options->events_file, why) : 0;
}

static void wipe(void *secret, size_t len)
{
    if (secret)
        explicit_bzero(secret, len);
}

static void wipe_text(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
}

int session_close(struct session *session, struct trouble *why)
{
    wipe(session->identity.bytes, session->identity.len);
    wipe(session->netrc.bytes, session->netrc.len);
    wipe_text(session->user);
    wipe_text(session->password);
    wipe_text(session->proxy_user);
    wipe_text(session->proxy_password);
    return event_log_close(&session->events, why);
}
