/* SPDX-License-Identifier: MIT */
/* Each line of the input is a field line. What is borrowed lies inside them, what a value means
 * survives being quoted again, and no more challenges come than are allowed. */
#include <assert.h>
#include <stdint.h>

#include "http/auth_digest.h"
#include "http/challenge.h"
#include "policy/auth_offers.h"

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

static void check_offers(const struct headers *headers)
{
    struct auth_question question = {.has_body_bytes = true, .domain = SPAN_LIT("a")};
    struct auth_offers offers;
    struct digest_session *session = NULL;

    assert(auth_offers_read(headers, &question, &offers) == 0);
    assert(offers.count <= AUTH_OFFERS_MAX);
    for (size_t i = 0; i < offers.count; i++)
        assert(auth_offers_realm(&offers, i).len <= AUTH_OFFER_REALM_MAX);
    question.scheme = AUTH_SCHEME_ANY;
    question.may_be_basic = true;
    int choice = auth_choose(headers, &question, &session);
    assert(choice >= 0);
    if (offers.count < AUTH_OFFERS_MAX) /* else what is best may not be told */
        assert((choice != AUTH_CHOICE_NONE) == (offers.best < offers.count));
    digest_session_free(session);
    auth_offers_done(&offers);
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
    check_offers(&headers);
    headers_done(&headers);
    return 0;
}
