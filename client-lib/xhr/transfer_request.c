/* SPDX-License-Identifier: MIT */
/* The command line made into a request, and the request sent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netrc.h"
#include "saving.h"
#include "target.h"
#include "transfer_priv.h"

static bool is_header(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ';');
}

static bool has_header(const struct session *session, const char *name)
{
    for (size_t i = 0; i < session->headers.count; i++) {
        if (is_header(session->headers.items[i], name))
            return true;
    }
    return false;
}

static int refuse_header(int error, const char *line, struct trouble *why)
{
    if (error == -ENOMEM)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    if (error == -EPERM)
        return trouble_set(why, EXIT_USAGE,
                           "-H '%s': this field is the daemon's own; --connect-to or --resolve "
                           "leads to another server, --no-keepalive closes",
                           line);
    return trouble_set(why, EXIT_USAGE,
                       "'%s' is no header: a name of letters, digits and - is "
                       "wanted, and no line end in the value",
                       line);
}

/* @value: NULL removes the field. A field given by -H goes before ours. */
static int
set_header(struct transfer *t, const char *name, const char *value, struct trouble *why)
{
    if (has_header(t->session, name))
        return 0;
    int r = xhr_request_set_header(t->request, name, value);
    return r < 0 ? refuse_header(r, name, why) : 0;
}

static int set_header_line(struct transfer *t, const char *line, struct trouble *why)
{
    size_t len = strcspn(line, ":;");
    char *name = strndup(line, len);
    const char *value = line + len + 1;
    int r = -ENOMEM;

    value += strspn(value, " \t");
    if (line[len] == ':' && value[0] == '\0')
        value = NULL;
    if (name)
        r = xhr_request_set_header(t->request, name, value);
    free(name);
    return r < 0 ? refuse_header(r, line, why) : 0;
}

static int set_headers(struct transfer *t, struct trouble *why)
{
    const struct session *session = t->session;
    const struct cli_options *options = t->options;
    const char *agent = options->user_agent;
    const char *referer = options->referer;
    int r = 0;

    if (agent)
        r = set_header(t, "User-Agent", agent[0] ? agent : NULL, why);
    if (r == 0 && referer && referer[0])
        r = set_header(t, "Referer", referer, why);
    if (r == 0 && session->range.len > 0 && !t->body.appends)
        r = set_header(t, "Range", session->range.bytes, why);
    if (r == 0 && session->postdata.json)
        r = set_header(t, "Accept", "application/json", why);
    if (r == 0 && session->cookie.len > 0) {
        int set = xhr_request_set_header(t->request, "Cookie", session->cookie.bytes);

        r = set < 0 ? refuse_header(set, session->cookie.bytes, why) : 0;
    }
    for (size_t i = 0; i < session->headers.count && r == 0; i++)
        r = set_header_line(t, session->headers.items[i], why);
    return r;
}

const char *transfer_method(const struct session *session)
{
    const struct cli_options *options = session->options;

    if (options->method)
        return options->method;
    if (options->head)
        return "HEAD";
    if (options->upload_file)
        return "PUT";
    return (options->n_data > 0 || options->n_form > 0) && !options->get ? "POST" : "GET";
}

static int set_file(struct transfer *t)
{
    struct xhr_file file;

    saving_file(&t->body, t->options, transfer_choose_path, t, &file);
    return xhr_request_set_file(t->request, &file);
}

/* The login that the .netrc names for this host; a URL that brings its own keeps it. */
static int
find_login(const struct transfer *t, char **ret_user, char **ret_password, struct trouble *why)
{
    struct strbuf host = {0};
    unsigned line;

    target_add_host(&host, t->target.bytes);
    if (host.failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    char *name = host.bytes;
    size_t len = host.len;
    if (len > 1 && name[0] == '[' && name[len - 1] == ']') {
        name[len - 1] = '\0';
        name++;
    }
    int r = netrc_find(strbuf_text(&t->session->netrc), name, ret_user, ret_password, &line);
    strbuf_done(&host);
    if (r == NETRC_E_SYNTAX)
        return trouble_set(why, EXIT_READ,
                           "%s, line %u: wants machine NAME, default, login, password, account "
                           "or macdef, each with its value",
                           t->session->netrc_name, line);
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "out of memory") : 0;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* Return: 0; an exit code with *why filled; what xhr_request_set_options() says. */
static int set_options(struct transfer *t, struct trouble *why)
{
    struct xhr_request_options options = t->session->request_options;
    char *user = NULL;
    char *password = NULL;
    int r = 0;

    if (t->session->netrc.len > 0 && !target_has_userinfo(t->target.bytes))
        r = find_login(t, &user, &password, why);
    if (r == 0) {
        if (user) {
            options.username = user;
            options.password = password;
            options.preemptive_auth = options.auth_scheme == XHR_AUTH_BASIC;
        }
        r = xhr_request_set_options(t->request, &options);
    }
    free_secret(user);
    free_secret(password);
    return r;
}

static int set_up(struct transfer *t, struct trouble *why)
{
    struct xhr_callbacks callbacks;
    int r = xhr_request_new(t->session->client, &t->request);

    transfer_callbacks(t, &callbacks);
    if (r == 0)
        r = xhr_request_set_callbacks(t->request, &callbacks, t);
    if (r == 0)
        r = set_options(t, why);
    if (r > 0)
        return r;
    if (r == 0 && t->by_library)
        r = set_file(t);
    if (r == -ENODEV || r == -EADDRNOTAVAIL)
        return trouble_set(why, EXIT_INTERFACE,
                           "--interface '%s': %s; write a local address, or a device that ip "
                           "address shows",
                           t->options->interface,
                           r == -ENODEV ? "no such device" : "the device has no address");
    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE,
                           "--jar, --resolve, --connect-to or --cacert: the "
                           "library refuses a value: %s",
                           t->options->jar ? t->options->jar : "");
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r)) : 0;
}

static int open_request(struct transfer *t, struct trouble *why)
{
    const char *method = transfer_method(t->session);

    event_log_begin(&t->session->events, t->index + 1, method, t->target.bytes);
    int r = xhr_request_open(t->request, method, t->target.bytes, true);
    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE, "-X '%s': not a method", method);
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r)) : 0;
}

static int send_form(struct transfer *t, struct trouble *why)
{
    struct xhr_form *form = t->session->formdata.form;
    int r = xhr_request_send_form(t->request, form);

    if (r < 0 && xhr_form_error_text(form)[0])
        return trouble_set(why, EXIT_READ, "%s", xhr_form_error_text(form));
    return r;
}

static int send_body(struct transfer *t)
{
    struct postdata *postdata = &t->session->postdata;
    struct xhr_body body;

    postdata_body(postdata, has_header(t->session, "Content-Type"), &body);
    return xhr_request_send(t->request, body.kind == XHR_BODY_NONE ? NULL : &body);
}

/* What xhr_request_send() says of the target of an answer, and of nothing else. */
static bool is_about_file(int error)
{
    return error != -EINVAL && error != -EBADF && error != -EMSGSIZE && error != -ENOMEM &&
           error != -ENOTCONN && error != -EDEADLK;
}

static int send_request(struct transfer *t, struct trouble *why)
{
    const struct postdata *postdata = &t->session->postdata;
    int r = t->session->formdata.form ? send_form(t, why) : send_body(t);

    if (r > 0)
        return r;
    if (r == -EMSGSIZE)
        return trouble_set(why, EXIT_USAGE,
                           "URL, header, --cacert and the other options are more than 1 MiB "
                           "together");
    if (r < 0 && t->by_library && is_about_file(r))
        return output_trouble(&t->body, r, why);
    if (r == -EBADF)
        return trouble_set(why, EXIT_READ,
                           "could not read the data from %s: not open for "
                           "reading, or not a file",
                           postdata->name);
    return r < 0 ? trouble_set(why, EXIT_USAGE, "%s: %s", t->target.bytes, strerror(-r)) : 0;
}

int transfer_send(struct transfer *t, struct trouble *why)
{
    int r = set_up(t, why);

    if (r == 0)
        r = open_request(t, why);
    if (r == 0)
        r = set_headers(t, why);
    return r == 0 ? send_request(t, why) : r;
}
