/* SPDX-License-Identifier: MIT */
#include "flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "tls.h"

#define AT(field) offsetof(struct cli_options, field)

static int no_memory(struct trouble *why)
{
    return trouble_set(why, EXIT_RESOURCES, "out of memory");
}

static int add_word(struct words *words, const char *value, struct trouble *why)
{
    return words_add(words, value) ? 0 : no_memory(why);
}

/* "Name: value", "Name:", "Name;" or "@file". What the characters of a name may be is judged
 * by the library. */
static int take_header(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    size_t name_len = strcspn(value, ":;");

    (void)flag;
    if (value[0] == '@')
        return add_word(&options->headers, value, why);
    if (name_len == 0 || value[name_len] == '\0' ||
        (value[name_len] == ';' && value[name_len + 1 + strspn(value + name_len + 1, " \t")]))
        return trouble_set(why, EXIT_USAGE,
                           "-H '%s': write 'Name: value', 'Name:' to remove it, or 'Name;' to "
                           "send it empty",
                           value);
    return add_word(&options->headers, value, why);
}

/* "URL", "URL;auto" or ";auto". */
static int take_referer(struct cli_options *options,
                        const struct flag *flag,
                        const char *value,
                        struct trouble *why)
{
    const char *semicolon = strrchr(value, ';');
    char *copy;

    (void)flag;
    options->auto_referer = semicolon && strcmp(semicolon, ";auto") == 0;
    options->referer = value;
    if (!options->auto_referer)
        return 0;
    copy = strndup(value, (size_t)(semicolon - value));
    if (!copy || !words_add(&options->copies, copy)) {
        free(copy);
        return no_memory(why);
    }
    options->referer = copy;
    return 0;
}

static int take_range(struct cli_options *options,
                      const struct flag *flag,
                      const char *value,
                      struct trouble *why)
{
    (void)flag;
    if (value[0] == '\0' || value[strspn(value, "0123456789-,")] != '\0' || !strchr(value, '-'))
        return trouble_set(why, EXIT_USAGE,
                           "-r '%s': write bytes as 0-499, 500- or -500, joined by commas",
                           value);
    options->range = value;
    return 0;
}

static int add_data(struct cli_options *options,
                    enum data_kind kind,
                    const char *value,
                    struct trouble *why)
{
    struct data_piece *data =
        reallocarray(options->data, options->n_data + 1, sizeof(*options->data));

    if (!data)
        return no_memory(why);
    options->data = data;
    data[options->n_data++] = (struct data_piece){kind, value};
    return 0;
}

static int take_data(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    static const struct {
        const char *name;
        enum data_kind kind;
    } kinds[] = {
        {"data", DATA_PLAIN},         {"data-raw", DATA_RAW},
        {"data-binary", DATA_BINARY}, {"data-urlencode", DATA_URLENCODE},
        {"json", DATA_JSON},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(flag->name, kinds[i].name) == 0)
            return add_data(options, kinds[i].kind, value, why);
    }
    return trouble_set(why, EXIT_USAGE, "--%s takes no data", flag->name);
}

static int take_form(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    struct form_choice *form =
        reallocarray(options->form, options->n_form + 1, sizeof(*options->form));

    if (!form)
        return no_memory(why);
    options->form = form;
    form[options->n_form++] = (struct form_choice){value, flag->letter == 0};
    return 0;
}

static int take_upload(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    (void)flag;
    if (value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "-T '': the name of a file is missing");
    if (options->upload_file)
        return trouble_set(why, EXIT_USAGE, "-T: one file to one URL; write xhr once for each");
    options->upload_file = value;
    return 0;
}

static int take_output(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    struct output_choice choice = {OUTPUT_REMOTE_NAME, NULL};
    struct output_choice *outputs =
        reallocarray(options->outputs, options->n_outputs + 1, sizeof(*options->outputs));

    if (!outputs)
        return no_memory(why);
    options->outputs = outputs;
    if (flag->value)
        choice = (struct output_choice){OUTPUT_FILE, value};
    outputs[options->n_outputs++] = choice;
    return 0;
}

static int take_events(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    (void)flag;
    if (value && value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "--events=: the name of a file is missing");
    options->events = true;
    options->events_file = value;
    return 0;
}

static int take_cookie(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    (void)flag;
    if (!strchr(value, '='))
        return add_word(&options->cookie_files, value, why);
    return add_word(&options->cookies, value, why);
}

static int take_jar_file(struct cli_options *options,
                         const struct flag *flag,
                         const char *value,
                         struct trouble *why)
{
    (void)flag;
    if (value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "-c '': the name of a file is missing");
    options->cookie_jar = value;
    return 0;
}

static int take_jar(struct cli_options *options,
                    const struct flag *flag,
                    const char *value,
                    struct trouble *why)
{
    (void)flag;
    if (value[0] == '\0')
        return trouble_set(why, EXIT_USAGE,
                           "--jar '': name a jar: default, system, one of your own, another's "
                           "as UID/NAME, or none for no cookies");
    options->jar = value;
    return 0;
}

/* Kept as a copy: what stands in argv can be read by everybody. */
static int copy_secret(struct cli_options *options,
                       const char *value,
                       const char **ret,
                       struct trouble *why)
{
    char *copy = strdup(value);

    if (!copy || !words_add(&options->copies, copy)) {
        free(copy);
        return no_memory(why);
    }
    *ret = copy;
    return 0;
}

static int take_user(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    (void)flag;
    return copy_secret(options, value, &options->user, why);
}

static int take_proxy(struct cli_options *options,
                      const struct flag *flag,
                      const char *value,
                      struct trouble *why)
{
    bool is_login = flag->letter == 'U';

    if (is_login && value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "-U '': write -U user:password");
    return copy_secret(options, value, is_login ? &options->proxy_user : &options->proxy, why);
}

static int take_bearer(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    (void)flag;
    if (value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "--oauth2-bearer '': the token is missing");
    return copy_secret(options, value, &options->bearer, why);
}

static int take_family(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    (void)value;
    (void)why;
    options->ipv4 = flag->letter == '4';
    options->ipv6 = flag->letter == '6';
    return 0;
}

/* "FILE:PASSPHRASE": the first colon ends the name. */
static int take_cert(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    size_t len = strcspn(value, ":");
    char *file = strndup(value, len);

    (void)flag;
    if (!file || !words_add(&options->copies, file)) {
        free(file);
        return no_memory(why);
    }
    if (len == 0)
        return trouble_set(why, EXIT_USAGE, "-E '%s': the file is missing", value);
    options->cert_file = file;
    return value[len] ? copy_secret(options, value + len + 1, &options->pass, why) : 0;
}

static int take_pass(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    (void)flag;
    return copy_secret(options, value, &options->pass, why);
}

static int take_pins(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    (void)flag;
    options->n_pins = 0;
    return tls_add_pins(options, value, why);
}

static int take_tls_version(struct cli_options *options,
                            const struct flag *flag,
                            const char *value,
                            struct trouble *why)
{
    unsigned version = tls_version_of(value);

    if (version == 0)
        return trouble_set(why, EXIT_USAGE, "--%s '%s': write 1.0, 1.1, 1.2 or 1.3", flag->name,
                           value);
    options->tls_max = version;
    if (strcmp(flag->name, "tls-version") == 0)
        options->tls_min = version;
    return 0;
}

static int take_tls_least(struct cli_options *options,
                          const struct flag *flag,
                          const char *value,
                          struct trouble *why)
{
    (void)value;
    (void)why;
    options->tls_min = tls_version_of(flag->name + sizeof("tlsv") - 1);
    return 0;
}

static int take_http(struct cli_options *options,
                     const struct flag *flag,
                     const char *value,
                     struct trouble *why)
{
    (void)value;
    (void)why;
    options->http = strcmp(flag->name, "http1.1") == 0 ? XHR_HTTP_1_1
                    : strcmp(flag->name, "http2") == 0 ? XHR_HTTP_BEST
                                                       : XHR_HTTP_2;
    return 0;
}

static int take_resolve(struct cli_options *options,
                        const struct flag *flag,
                        const char *value,
                        struct trouble *why)
{
    (void)flag;
    return network_add_resolve(options, value, why);
}

static int take_connect_to(struct cli_options *options,
                           const struct flag *flag,
                           const char *value,
                           struct trouble *why)
{
    (void)flag;
    return network_add_connect_to(options, value, why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "30", "0.5", ".25". What is not nothing is at least a millisecond. */
static bool parse_seconds(const char *text, uint32_t *ret_ms)
{
    uint64_t micro = 0, unit = 1000000;
    bool any = false, point = false;

    for (; *text; text++) {
        if (*text == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*text))
            return false;
        any = true;
        if (!point) {
            micro = micro * 10 + (uint64_t)(*text - '0') * unit;
        } else {
            unit /= 10;
            micro += (uint64_t)(*text - '0') * unit;
        }
        if (micro / 1000 >= UINT32_MAX - 1)
            return false;
    }
    *ret_ms = micro > 0 && micro < 1000 ? 1 : (uint32_t)(micro / 1000);
    return any;
}

static int take_seconds(struct cli_options *options,
                        const struct flag *flag,
                        const char *value,
                        struct trouble *why)
{
    uint32_t *field = (uint32_t *)(void *)((char *)options + flag->offset);

    if (parse_seconds(value, field))
        return 0;
    return trouble_set(why, EXIT_USAGE,
                       "--%s '%s': write seconds, as 30 or 0.5, up to 4294967 (0: no limit)",
                       flag->name, value);
}

static int take_number(struct cli_options *options,
                       const struct flag *flag,
                       const char *value,
                       struct trouble *why)
{
    uint32_t *field = (uint32_t *)(void *)((char *)options + flag->offset);
    uint32_t number = 0;

    for (const char *c = value; *c; c++) {
        if (!is_digit(*c) || number > 99999)
            return trouble_set(why, EXIT_USAGE, "--%s '%s': write a number up to 999999",
                               flag->name, value);
        number = number * 10 + (uint32_t)(*c - '0');
    }
    if (value[0] == '\0')
        return trouble_set(why, EXIT_USAGE, "--%s '': the number is missing", flag->name);
    *field = number;
    return 0;
}

static int take_max_redirs(struct cli_options *options,
                           const struct flag *flag,
                           const char *value,
                           struct trouble *why)
{
    int64_t number = 0;

    (void)flag;
    if (strcmp(value, "-1") == 0) {
        options->max_redirs = -1;
        return 0;
    }
    for (const char *c = value; *c; c++) {
        if (!is_digit(*c) || number > 1000000)
            number = -1;
        if (number < 0)
            break;
        number = number * 10 + (*c - '0');
    }
    if (number < 0 || number > 1000000 || value[0] == '\0')
        return trouble_set(
            why, EXIT_USAGE,
            "--max-redirs '%s': write a number up to 1000000, or -1 for no limit", value);
    options->max_redirs = number;
    return 0;
}

/* Return: behind the digits, NULL when there are none or too many. */
static const char *parse_u64(const char *text, uint64_t *ret)
{
    uint64_t value = 0;

    if (!is_digit(*text))
        return NULL;
    for (; is_digit(*text); text++) {
        if (value > (INT64_MAX - 9) / 10)
            return NULL;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret = value;
    return text;
}

static int take_continue(struct cli_options *options,
                         const struct flag *flag,
                         const char *value,
                         struct trouble *why)
{
    const char *end = parse_u64(value, &options->continue_offset);

    (void)flag;
    options->continue_auto = strcmp(value, "-") == 0;
    if (options->continue_auto) {
        options->continue_offset = 0;
        return 0;
    }
    if (!end || *end)
        return trouble_set(why, EXIT_USAGE,
                           "-C '%s': write - to go on where an earlier download ended, or how "
                           "many bytes to leave out",
                           value);
    return 0;
}

static int take_max_filesize(struct cli_options *options,
                             const struct flag *flag,
                             const char *value,
                             struct trouble *why)
{
    static const char units[] = "kmgtp";
    const char *end = parse_u64(value, &options->max_filesize);
    const char *unit = end && *end ? strchr(units, *end | 0x20) : NULL;

    (void)flag;
    for (const char *at = units; unit && at <= unit; at++) {
        if (options->max_filesize > INT64_MAX / 1024)
            end = NULL;
        else
            options->max_filesize *= 1024;
    }
    if (!end || (*end && (!unit || end[1])))
        return trouble_set(why, EXIT_USAGE,
                           "--max-filesize '%s': write bytes, or with k, M, G, T or P behind "
                           "them: 5M; 0: no limit",
                           value);
    return 0;
}

/* clang-format off */
const struct flag flags[] = {
    {GROUP_REQUEST, 'X', 0, 0, "request", "METHOD", "use this method", AT(method), NULL},
    {GROUP_REQUEST, 'H', 0, 0, "header", "LINE", "add 'Name: value'; 'Name:' removes, 'Name;' sends it empty; @FILE reads lines", 0, take_header},
    {GROUP_REQUEST, 'A', 0, 0, "user-agent", "NAME", "send this User-Agent; '' sends none", AT(user_agent), NULL},
    {GROUP_REQUEST, 'e', 0, 0, "referer", "URL", "send this Referer; ;auto: after a redirect the URL that led there", 0, take_referer},
    {GROUP_REQUEST, 'G', 0, 0, "get", NULL, "put the data into the URL's query and use GET", AT(get), NULL},
    {GROUP_REQUEST, 'I', 0, 0, "head", NULL, "use HEAD and show the header", AT(head), NULL},
    {GROUP_REQUEST, 0, 0, 0, "url-as-given", NULL, "refuse a URL that would have to be encoded first", AT(url_as_given), NULL},
    {GROUP_REQUEST, 'r', 0, 0, "range", "RANGE", "ask for these bytes: 0-499, 500-, -500", 0, take_range},

    {GROUP_BODY, 'd', 0, 0, "data", "DATA", "send this form data (POST); @FILE reads it without line ends, @- from stdin", 0, take_data},
    {GROUP_BODY, 0, 0, 0, "data-raw", "DATA", "the same, @ has no meaning", 0, take_data},
    {GROUP_BODY, 0, 0, 0, "data-binary", "DATA", "the same, @FILE is sent as it is", 0, take_data},
    {GROUP_BODY, 0, 0, 0, "data-urlencode", "DATA", "percent-encoded: TEXT, =TEXT, NAME=TEXT, @FILE, NAME@FILE", 0, take_data},
    {GROUP_BODY, 0, 0, 0, "json", "DATA", "send JSON and accept it; @FILE, @-", 0, take_data},
    {GROUP_BODY, 'F', 0, 0, "form", "PART", "a part of multipart/form-data: NAME=VALUE, NAME=@FILE, NAME=<FILE, ;type=, ;filename=", 0, take_form},
    {GROUP_BODY, 0, 0, 0, "form-string", "PART", "the same, NAME=VALUE as it stands", 0, take_form},
    {GROUP_BODY, 'T', 0, 0, "upload-file", "FILE", "send this file (PUT); - is stdin, chunked", 0, take_upload},

    {GROUP_OUTPUT, 'o', 0, 0, "output", "FILE", "write the body to FILE, - is stdout; once for each URL", 0, take_output},
    {GROUP_OUTPUT, 'O', 0, 0, "remote-name", NULL, "write it to the file the URL's path ends in", 0, take_output},
    {GROUP_OUTPUT, 0, 0, 0, "output-dir", "DIR", "folder of -o and -O", AT(output_dir), NULL},
    {GROUP_OUTPUT, 0, 0, 0, "create-dirs", NULL, "make the folders of -o and --output-dir", AT(create_dirs), NULL},
    {GROUP_OUTPUT, 'J', 0, 0, "remote-header-name", NULL, "with -O: the name that Content-Disposition gives; never over a file that is there", AT(remote_header_name), NULL},
    {GROUP_OUTPUT, 0, 0, 0, "no-clobber", NULL, "leave a file that is there alone: write NAME.1, NAME.2 …", AT(no_clobber), NULL},
    {GROUP_OUTPUT, 'C', 0, 0, "continue-at", "OFFSET", "leave out the first OFFSET bytes; - goes on where an earlier download ended", 0, take_continue},
    {GROUP_OUTPUT, 0, 0, 0, "max-filesize", "BYTES", "exit 63 when the body is longer; 5M, 1G", 0, take_max_filesize},
    {GROUP_OUTPUT, 'D', 0, 0, "dump-header", "FILE", "write the answer's header to FILE, - is stdout", AT(dump_header), NULL},
    {GROUP_OUTPUT, 'i', 0, 0, "include", NULL, "show the header before the body", AT(include), NULL},
    {GROUP_OUTPUT, 'w', 0, 0, "write-out", "FORMAT", "print this when done: %{http_code}, %{json} …; @FILE reads it", AT(write_out), NULL},
    {GROUP_OUTPUT, 's', 0, 0, "silent", NULL, "no progress bar, no error lines", AT(silent), NULL},
    {GROUP_OUTPUT, 'S', 0, 0, "show-error", NULL, "error lines even with -s", AT(show_error), NULL},
    {GROUP_OUTPUT, 'v', 0, 0, "verbose", NULL, "tell on stderr what was sent and what came", AT(verbose), NULL},
    {GROUP_OUTPUT, 'f', 0, 0, "fail", NULL, "exit 22 when the status is 400 or more, no body", AT(fail), NULL},
    {GROUP_OUTPUT, 0, 0, 0, "fail-with-body", NULL, "the same, with the body", AT(fail_with_body), NULL},
    {GROUP_OUTPUT, '#', 0, 0, "progress-bar", NULL, "a simple progress bar, from the start", AT(progress_bar), NULL},
    {GROUP_OUTPUT, 0, 0, 0, "raw", NULL, "leave gzip, br and zstd alone and ask for none", AT(raw), NULL},
    {GROUP_OUTPUT, 0, 0, 0, "compressed", NULL, "ask for compression and decode it: the default", AT(compressed), NULL},

    {GROUP_EVENTS, 0, 0, 1, "events", "FILE", "every event as a line of JSON, on stderr or in FILE", 0, take_events},

    {GROUP_COOKIES, 0, 0, 0, "jar", "NAME", "cookie jar: default, system, one of your own or, as UID/NAME, another's; none: no cookies", 0, take_jar},
    {GROUP_COOKIES, 'b', 0, 0, "cookie", "DATA", "send 'a=1; b=2' with this request, too; without = a cookies.txt to begin with", 0, take_cookie},
    {GROUP_COOKIES, 'c', 0, 0, "cookie-jar", "FILE", "write the cookies of this command to a cookies.txt, - is stdout", AT(cookie_jar), take_jar_file},
    {GROUP_COOKIES, 'j', 0, 0, "junk-session-cookies", NULL, "leave out session cookies of -b FILE", AT(junk_session_cookies), NULL},

    {GROUP_AUTH, 'u', 0, 0, "user", "USER:PASSWORD", "log in; asks for the password when there is no colon", 0, take_user},
    {GROUP_AUTH, 0, 0, 0, "basic", NULL, "by Basic: the default", AT(basic), NULL},
    {GROUP_AUTH, 0, 0, 0, "digest", NULL, "by Digest, SHA-256 or MD5", AT(digest), NULL},
    {GROUP_AUTH, 0, 0, 0, "anyauth", NULL, "by the strongest the server offers; Basic over https only", AT(anyauth), NULL},
    {GROUP_AUTH, 'n', 0, 0, "netrc", NULL, "log in with what ~/.netrc says of the host", AT(netrc), NULL},
    {GROUP_AUTH, 0, 0, 0, "netrc-optional", NULL, "the same, if there is such a file", AT(netrc_optional), NULL},
    {GROUP_AUTH, 0, 0, 0, "netrc-file", "FILE", "the same, from FILE", AT(netrc_file), NULL},
    {GROUP_AUTH, 0, 0, 0, "user-domain", "DOMAIN", "log in as DOMAIN\\USER where the server's realm names it", AT(user_domain), NULL},
    {GROUP_AUTH, 0, 0, 0, "oauth2-bearer", "TOKEN", "log in with this bearer token", 0, take_bearer},

    {GROUP_TLS, 'k', 0, 0, "insecure", NULL, "do not check the server's certificate", AT(insecure), NULL},
    {GROUP_TLS, 0, 0, 0, "cacert", "FILE", "trust the authorities in FILE (PEM) instead of the system's", AT(ca_file), NULL},
    {GROUP_TLS, 'E', 0, 0, "cert", "FILE:PASSPHRASE", "show this certificate, PEM or PKCS#12, to a server that asks; or FILE alone", 0, take_cert},
    {GROUP_TLS, 0, 0, 0, "key", "FILE", "its key, where -E's FILE has none", AT(key_file), NULL},
    {GROUP_TLS, 0, 0, 0, "pass", "PASSPHRASE", "of that key", 0, take_pass},
    {GROUP_TLS, 0, 0, 0, "pinnedpubkey", "HASHES", "one of these public keys must be in the chain: sha256//BASE64;…", 0, take_pins},
    {GROUP_TLS, 0, 0, 0, "cert-status", NULL, "the server must staple a good OCSP response: not revoked", AT(cert_status), NULL},
    {GROUP_TLS, 0, 0, 0, "tls-earlydata", NULL, "GET and HEAD may go before TLS is done: others could repeat them", AT(early_data), NULL},
    {GROUP_TLS, 0, 0, 0, "tls-version", "VERSION", "this version, 1.0 to 1.3, and no other", 0, take_tls_version},
    {GROUP_TLS, 0, 0, 0, "tls-max", "VERSION", "no newer version than this", 0, take_tls_version},
    {GROUP_TLS, 0, 0, 0, "tlsv1.0", NULL, "TLS 1.0 or newer", 0, take_tls_least},
    {GROUP_TLS, 0, 0, 0, "tlsv1.1", NULL, "TLS 1.1 or newer", 0, take_tls_least},
    {GROUP_TLS, 0, 0, 0, "tlsv1.2", NULL, "TLS 1.2 or newer: the default", 0, take_tls_least},
    {GROUP_TLS, 0, 0, 0, "tlsv1.3", NULL, "TLS 1.3 or newer", 0, take_tls_least},

    {GROUP_NETWORK, 'x', 0, 0, "proxy", "PROXY", "go through this proxy: [http|https|socks5://][USER:PASSWORD@]HOST[:PORT]; '' is none", 0, take_proxy},
    {GROUP_NETWORK, 'U', 0, 0, "proxy-user", "USER:PASSWORD", "log in to the proxy; asks for the password when there is no colon", 0, take_proxy},
    {GROUP_NETWORK, 0, 0, 0, "proxy-basic", NULL, "by Basic: the default", AT(proxy_basic), NULL},
    {GROUP_NETWORK, 0, 0, 0, "proxy-digest", NULL, "by Digest", AT(proxy_digest), NULL},
    {GROUP_NETWORK, 0, 0, 0, "proxy-anyauth", NULL, "by the strongest the proxy offers; Basic to an https proxy only", AT(proxy_anyauth), NULL},
    {GROUP_NETWORK, 'p', 0, 0, "proxytunnel", NULL, "through a tunnel (CONNECT) for http URLs, too", AT(proxy_tunnel), NULL},
    {GROUP_NETWORK, 0, 0, 0, "noproxy", "LIST", "not for these: names, addresses, networks; * is all, '' overrides no_proxy", AT(noproxy), NULL},
    {GROUP_NETWORK, 0, 0, 0, "resolve", "HOST:PORT:ADDR", "use this address instead of looking the name up; ADDR,ADDR…", 0, take_resolve},
    {GROUP_NETWORK, 0, 0, 0, "connect-to", "HOST1:PORT1:HOST2:PORT2", "connect there instead", 0, take_connect_to},
    {GROUP_NETWORK, '4', 0, 0, "ipv4", NULL, "use IPv4 alone", 0, take_family},
    {GROUP_NETWORK, '6', 0, 0, "ipv6", NULL, "use IPv6 alone", 0, take_family},
    {GROUP_NETWORK, 0, 0, 0, "interface", "NAME", "leave from this local address, or from that of this device", AT(interface), NULL},
    {GROUP_NETWORK, 0, 0, 0, "http1.1", NULL, "use HTTP/1.1 and nothing newer", 0, take_http},
    {GROUP_NETWORK, 0, 0, 0, "http2", NULL, "use HTTP/2 over https where the server has it: the default", 0, take_http},
    {GROUP_NETWORK, 0, 0, 0, "http2-prior-knowledge", NULL, "use HTTP/2 and nothing else, over http too", 0, take_http},
    {GROUP_NETWORK, 0, 0, 0, "cache", NULL, "answer from the HTTP cache if it can be, and keep the answer in it", AT(cache), NULL},
    {GROUP_NETWORK, 0, 0, 0, "no-keepalive", NULL, "close the connection behind the answer", AT(no_keepalive), NULL},

    {GROUP_REDIRECTS, 'L', 1, 0, "location", NULL, "follow redirects: the default", AT(no_location), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "no-location", NULL, "do not: take a 3xx as the answer", AT(no_location), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "location-trusted", NULL, "log in wherever they lead, but not down from https", AT(location_trusted), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "post301", NULL, "a POST stays one after 301", AT(post301), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "post302", NULL, "a POST stays one after 302", AT(post302), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "post303", NULL, "a POST stays one after 303", AT(post303), NULL},
    {GROUP_REDIRECTS, 0, 0, 0, "max-redirs", "NUMBER", "at most so many, 20 by default; -1: no limit", 0, take_max_redirs},

    {GROUP_TIME, 'm', 0, 0, "max-time", "SECONDS", "of a whole transfer", AT(max_time_ms), take_seconds},
    {GROUP_TIME, 0, 0, 0, "connect-timeout", "SECONDS", "until connected, 60 by default", AT(connect_timeout_ms), take_seconds},
    {GROUP_TIME, 0, 0, 0, "idle-timeout", "SECONDS", "without a byte, 60 by default", AT(idle_timeout_ms), take_seconds},
    {GROUP_TIME, 0, 0, 0, "wait-network", NULL, "where there is no network, wait for one", AT(wait_network), NULL},

    {GROUP_TIME, 0, 0, 0, "retry", "NUMBER", "try so often again when the trouble may pass: 408, 429, 5xx, time, names", AT(retries), take_number},
    {GROUP_TIME, 0, 0, 0, "retry-delay", "SECONDS", "between tries; 1, 2, 4 … up to 600 when not given", AT(retry_delay_ms), take_seconds},
    {GROUP_TIME, 0, 0, 0, "retry-max-time", "SECONDS", "no other try after this", AT(retry_max_time_ms), take_seconds},
    {GROUP_TIME, 0, 0, 0, "retry-connrefused", NULL, "a refused connection may pass, too", AT(retry_connrefused), NULL},
    {GROUP_TIME, 0, 0, 0, "retry-all-errors", NULL, "so may any error", AT(retry_all_errors), NULL},

    {GROUP_DAEMON, 0, 0, 0, "socket", "PATH", "the daemon's socket", AT(socket_path), NULL},
    {GROUP_DAEMON, 0, 0, 0, "profile", "NAME", "as this profile of yours: all of its own", AT(profile), NULL},
    {GROUP_DAEMON, 0, 0, 0, "no-start", NULL, "do not start a daemon when there is none", AT(no_start), NULL},

    {GROUP_OTHER, 'h', 0, 0, "help", NULL, "this text", AT(help), NULL},
    {GROUP_OTHER, 'V', 0, 0, "version", NULL, "which version this is", AT(version), NULL},
};
/* clang-format on */

const size_t n_flags = sizeof(flags) / sizeof(flags[0]);

const char *flag_group_name(enum flag_group group)
{
    static const char *const names[GROUP_COUNT] = {
        "Request", "Body",    "Output",    "Events", "Cookies", "Login",
        "TLS",     "Network", "Redirects", "Time",   "Daemon",  "Other",
    };

    return names[group];
}

const struct flag *flag_find_letter(char letter)
{
    for (size_t i = 0; i < n_flags; i++) {
        if (flags[i].letter && flags[i].letter == letter)
            return &flags[i];
    }
    return NULL;
}

const struct flag *flag_find_name(const char *name)
{
    for (size_t i = 0; i < n_flags; i++) {
        if (strcmp(flags[i].name, name) == 0)
            return &flags[i];
    }
    return NULL;
}
