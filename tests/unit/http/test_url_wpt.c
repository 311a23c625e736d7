/* SPDX-License-Identifier: MIT */
/* Every row of web-platform-tests' urltestdata.json; see tests/data/README.md. */
#include <stdio.h>

#include "http/origin.h"
#include "http/url.h"
#include "support/test.h"

struct row {
    struct span input, base, skipped;
    bool failure;
    struct span href, protocol, username, password, host, hostname, port, pathname, search;
    struct span hash, origin;
};

static const struct row rows[] = {
#include "url_rows.inc"
};

static bool differs(const char *what, struct span got, struct span want)
{
    if (span_eq(got, want))
        return false;
    printf("  %s: got <%.*s>, want <%.*s>\n", what, (int)got.len, got.ptr, (int)want.len,
           want.ptr);
    return true;
}

/* "?query" of the API: nothing when the query is there but empty. */
static struct span with_mark(const struct url *url, struct span part)
{
    return part.len ? (struct span){part.ptr - 1, part.len + 1} : (struct span){url->href, 0};
}

static unsigned compare_host(const struct url *url, const struct row *row)
{
    char port[8] = "";
    char host[1024];
    unsigned n = 0;

    if (url->port != URL_PORT_NONE)
        (void)snprintf(port, sizeof(port), "%d", url->port);
    (void)snprintf(host, sizeof(host), "%.*s%s%s", (int)url->host.len,
                   url->host.len ? url->host.ptr : "", *port ? ":" : "", port);
    n += differs("host", span_of(host), row->host);
    n += differs("hostname", url->host, row->hostname);
    n += differs("port", span_of(port), row->port);
    return n;
}

static unsigned compare_origin(const struct url *url, const struct row *row)
{
    struct origin origin;
    char text[ORIGIN_TEXT_SIZE];

    if (!row->origin.ptr || !url_is_http(url) || origin_of_url(url, &origin) != ORIGIN_OK)
        return 0;
    (void)origin_format(&origin, text);
    return differs("origin", span_of(text), row->origin);
}

static unsigned compare(const struct url *url, const struct row *row)
{
    unsigned n = 0;

    n += differs("href", url_href(url), row->href);
    n += differs("protocol", (struct span){url->href, url->scheme.len + 1}, row->protocol);
    n += differs("username", url->username, row->username);
    n += differs("password", url->password, row->password);
    n += compare_host(url, row);
    n += differs("pathname", url->path, row->pathname);
    n += differs("search", with_mark(url, url->query), row->search);
    n += differs("hash", with_mark(url, url->fragment), row->hash);
    n += compare_origin(url, row);
    return n;
}

static unsigned run(const struct row *row)
{
    struct url base = {0};
    struct url url;
    unsigned n = 0;

    int r = row->base.ptr ? url_parse(row->base, NULL, &base) : URL_OK;
    if (r == URL_OK)
        r = url_parse(row->input, row->base.ptr ? &base : NULL, &url);
    if (r == URL_OK) {
        if (row->failure) {
            printf("  want a failure, got <%s>\n", url.href);
            n = 1;
        } else {
            n = compare(&url, row);
        }
        url_done(&url);
    } else if (!row->failure) {
        printf("  want <%.*s>, got: %s\n", (int)row->href.len, row->href.ptr,
               url_outcome_text(r));
        n = 1;
    }
    url_done(&base);
    return n;
}

static void test_every_row_of_urltestdata_json(void **state)
{
    unsigned failed = 0;
    unsigned skipped = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool differs_here = run(&rows[i]) > 0;

        skipped += rows[i].skipped.ptr != NULL;
        if (differs_here != (rows[i].skipped.ptr != NULL)) {
            printf("^ row %zu: <%.*s> against <%.*s>%s\n", i, (int)rows[i].input.len,
                   rows[i].input.ptr, (int)rows[i].base.len,
                   rows[i].base.ptr ? rows[i].base.ptr : "",
                   differs_here ? "" : " is listed as skipped and passes");
            failed++;
        }
    }
    printf("%zu rows, %u of them skipped with a reason\n", sizeof(rows) / sizeof(rows[0]),
           skipped);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_urltestdata_json),
    };

    return cmocka_run_group_tests_name("http/url_wpt", tests, NULL, NULL);
}
