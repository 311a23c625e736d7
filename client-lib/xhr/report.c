/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <string.h>

#include "certs.h"
#include "target.h"

static void add_version(struct strbuf *out, int version)
{
    strbuf_add_text(out, "HTTP/");
    strbuf_add_u64(out, (uint64_t)(version / 10));
    if (version < 20) {
        strbuf_add_char(out, '.');
        strbuf_add_u64(out, (uint64_t)(version % 10));
    }
}

/* What a server wrote: as it is for a file, escaped for people. */
static void add_its_text(struct strbuf *out, const char *text, bool for_people)
{
    if (for_people)
        strbuf_add_shown(out, text, strlen(text));
    else
        strbuf_add_text(out, text);
}

static void
add_status_line(struct strbuf *out, const struct xhr_request *request, bool for_people)
{
    add_version(out, xhr_request_http_version(request));
    strbuf_add_char(out, ' ');
    strbuf_add_padded(out, (uint64_t)xhr_request_status(request), 3);
    strbuf_add_char(out, ' ');
    add_its_text(out, xhr_request_status_text(request), for_people);
    strbuf_add_text(out, "\r\n");
}

/* @prefix: NULL: for a file. */
static void
add_field(struct strbuf *out, const char *prefix, const char *name, const char *value)
{
    if (prefix)
        strbuf_add_text(out, prefix);
    strbuf_add_text(out, name);
    strbuf_add_text(out, ": ");
    add_its_text(out, value, prefix != NULL);
    strbuf_add_text(out, "\r\n");
}

void report_head(struct strbuf *out, const struct xhr_request *request)
{
    const char *name, *value;

    add_status_line(out, request, false);
    for (size_t i = 0; xhr_request_response_header_at(request, i, &name, &value); i++)
        add_field(out, NULL, name, value);
    strbuf_add_text(out, "\r\n");
}

void report_trailers(struct strbuf *out, const struct xhr_request *request)
{
    const char *name, *value;

    for (size_t i = 0; xhr_request_trailer_at(request, i, &name, &value); i++)
        add_field(out, NULL, name, value);
}

static void add_connection(struct strbuf *out,
                           const struct xhr_connection_info *connection,
                           const char *url)
{
    strbuf_add_text(out, connection->reused ? "* Re-used connection " : "* Connection ");
    strbuf_add_u64(out, connection->connection_id);
    strbuf_add_text(out, " to ");
    target_add_authority(out, url);
    if (connection->remote_address && connection->remote_address[0]) {
        strbuf_add_text(out, " (");
        strbuf_add_text(out, connection->remote_address);
        strbuf_add_text(out, " port ");
        strbuf_add_u64(out, connection->remote_port);
        strbuf_add_char(out, ')');
    }
    if (connection->proxy && connection->proxy[0]) {
        strbuf_add_text(out, connection->proxy_tunnel ? ", tunnel through " : ", by way of ");
        strbuf_add_text(out, connection->proxy);
    }
    strbuf_add_char(out, '\n');
    if (!connection->tls)
        return;
    strbuf_add_text(out, "* ");
    strbuf_add_text(out, connection->tls->version);
    strbuf_add_text(out, ", ");
    strbuf_add_text(out, connection->tls->cipher);
    strbuf_add_text(out, connection->tls->resumed ? ", session resumed" : "");
    if (connection->tls->early_data != XHR_EARLY_DATA_NONE) {
        strbuf_add_text(out, ", early data ");
        strbuf_add_text(out, xhr_early_data_name(connection->tls->early_data));
    }
    if (connection->tls->rungs > 0) {
        strbuf_add_text(out, ", on rung ");
        strbuf_add_u64(out, connection->tls->rungs);
    }
    strbuf_add_text(out,
                    connection->tls->old ? ", an old version that protects little\n" : "\n");
    certs_add_report(out, connection->tls);
}

void report_rung(struct strbuf *out, const struct xhr_tls_rung *rung)
{
    strbuf_add_text(out, "* TLS ");
    strbuf_add_text(out, rung->cause[0] ? "once more, " : "as it has worked before, ");
    strbuf_add_text(out, rung->version[0] ? "with no more than " : "with everything again");
    strbuf_add_text(out, rung->version);
    if (rung->cause[0])
        strbuf_add_text(out, ": ");
    strbuf_add_text(out, rung->cause);
    strbuf_add_char(out, '\n');
}

/* Return: whether anybody was asked. */
static bool add_from_cache(struct strbuf *out, const struct xhr_request *request)
{
    enum xhr_from_cache from = xhr_request_from_cache(request);

    if (from == XHR_FROM_CACHE_NO)
        return true;
    strbuf_add_text(out, "* From the cache (");
    strbuf_add_text(out, xhr_from_cache_name(from));
    strbuf_add_text(out, "), ");
    strbuf_add_u64(out, xhr_request_age_s(request));
    strbuf_add_text(out, " s old\n");
    return from == XHR_FROM_CACHE_REVALIDATED;
}

static void add_request(struct strbuf *out, const struct xhr_request *request, const char *url)
{
    const char *name, *value;

    strbuf_add_text(out, "> ");
    strbuf_add_text(out, xhr_request_method(request));
    strbuf_add_char(out, ' ');
    target_add_path(out, url);
    strbuf_add_text(out, " HTTP/1.1\r\n");
    for (size_t i = 0; xhr_request_sent_header_at(request, i, &name, &value); i++)
        add_field(out, "> ", name, value);
    strbuf_add_text(out, ">\r\n");
}

void report_exchange(struct strbuf *out, const struct xhr_request *request, const char *url)
{
    const struct xhr_connection_info *connection = xhr_request_connection(request);
    const char *location = xhr_request_location(request);
    const char *name, *value;

    if (location && location[0])
        url = location;
    if (connection)
        add_connection(out, connection, url);
    if (add_from_cache(out, request))
        add_request(out, request, url);
    strbuf_add_text(out, "< ");
    add_status_line(out, request, true);
    for (size_t i = 0; xhr_request_response_header_at(request, i, &name, &value); i++)
        add_field(out, "< ", name, value);
    strbuf_add_text(out, "<\r\n");
}

void report_redirect(struct strbuf *out, const struct xhr_redirect *redirect)
{
    strbuf_add_text(out, "* Redirect ");
    strbuf_add_i64(out, redirect->status);
    strbuf_add_text(out, ": ");
    strbuf_add_text(out, redirect->method);
    strbuf_add_char(out, ' ');
    strbuf_add_shown(out, redirect->url, strlen(redirect->url));
    strbuf_add_char(out, '\n');
}
