/* SPDX-License-Identifier: MIT */
/* Each line of the input is a field line. What is borrowed lies inside them, what a value means
 * survives being quoted again, and no more challenges come than are allowed. */
#include <assert.h>
#include <stdint.h>

#include "http/auth_digest.h"
#include "http/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(struct span value)
{
    CLEANUP_BUF struct buf plain = BUF_INIT(0);
    CLEANUP_BUF struct buf quoted = BUF_INIT(0);
    CLEANUP_BUF struct buf again = BUF_INIT(0);

    assert(challenge_value(value, &plain) == 0 && plain.len <= value.len);
    assert(challenge_quote(buf_span(&plain), &quoted) == 0);
    assert(challenge_value(buf_span(&quoted), &again) == 0);
    assert(span_eq(buf_span(&plain), buf_span(&again)));
}

static void check(const struct challenge *challenge)
{
    struct span params = challenge->params;
    struct span name;
    struct span value;
    struct digest_session *session = NULL;

    assert(header_name_is_token(challenge->scheme));
    assert(challenge->token68.len == 0 || params.len == 0);
    while (challenge_param_next(&params, &name, &value)) {
        assert(header_name_is_token(name) && value.len > 0);
        check_value(value);
    }
    assert(params.len == 0);
    if (digest_session_new(&session, challenge) == DIGEST_OK)
        digest_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct headers headers;
    struct challenge_reader reader;
    struct challenge challenge;
    size_t n = 0;

    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (struct span line; text.len > 0;) {
        (void)span_split(&text, '\n', &line);
        (void)!headers_add(&headers, SPAN_LIT("WWW-Authenticate"), line);
    }
    challenge_reader_init(&reader, &headers, SPAN_LIT("WWW-Authenticate"));
    while (challenge_next(&reader, &challenge)) {
        check(&challenge);
        n++;
    }
    assert(n <= CHALLENGES_MAX);
    headers_done(&headers);
    return 0;
}
