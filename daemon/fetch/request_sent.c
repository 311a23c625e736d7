/* SPDX-License-Identifier: MIT */
/*
 * What really went out in the last exchange: the fields that were decided here, and those that
 * the exchange adds by itself, in the order of the wire.
 */
#include <stdio.h>

#include "fetch/request_priv.h"
#include "http/framing.h"

#define HTTP_2 20

static int add_length(const struct request *request, struct headers *ret)
{
    const struct request_options *options = &request->options;
    struct framing framing =
        framing_of_request(span_of(request->options.method), request->has_body,
                           options->body_has_length, options->body_length);
    char digits[24];

    if (framing.kind == BODY_CHUNKED)
        return request->info.http_version >= HTTP_2
                   ? 0
                   : headers_add(ret, SPAN_LIT("Transfer-Encoding"), SPAN_LIT("chunked"));
    if (framing.kind != BODY_LENGTH)
        return 0;
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)framing.content_length);
    return headers_add(ret, SPAN_LIT("Content-Length"), span_of(digits));
}

static int add_first(const struct request *request, struct headers *ret)
{
    char authority[ORIGIN_TEXT_SIZE];
    size_t len = origin_format_authority(request->origin, authority);

    if (request->info.http_version >= HTTP_2) /* there it is no field: RFC 9113 §8.3.1 */
        return 0;
    int r = headers_add(ret, SPAN_LIT("Host"), (struct span){authority, len});
    if (r == 0 && request->options.no_keep_alive)
        r = headers_add(ret, SPAN_LIT("Connection"), SPAN_LIT("close"));
    return r;
}

int request_list_sent(const struct request *request, struct headers *ret)
{
    if (request->info.connection_id == 0)
        return 0; /* nothing did: a stored answer */
    int r = add_first(request, ret);
    if (r == 0)
        r = headers_add_all(ret, &request->sent);
    if (r == 0)
        r = add_length(request, ret);
    if (r == 0 && request->expects)
        r = headers_add(ret, SPAN_LIT("Expect"), SPAN_LIT("100-continue"));
    return r;
}
