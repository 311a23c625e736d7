/* SPDX-License-Identifier: MIT */
/* The n-th allocation of the library fails, for every n: whatever was promised still holds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/peer.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned fail_at; /* 0: never */
static unsigned count;
static bool is_counting; /* only inside the library's calls */

static bool fails(void)
{
    return is_counting && ++count == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static unsigned terminals(const char *text)
{
    return (strstr(text, "load") != NULL) + (strstr(text, "error") != NULL) +
           (strstr(text, "abort") != NULL);
}

static void turn(struct peer *peer)
{
    is_counting = true;
    (void)xhr_client_dispatch(peer->client);
    (void)xhr_client_dispatch(peer->client);
    is_counting = false;
}

static ssize_t read_up(struct xhr_request *request, void *buffer, size_t len, void *user)
{
    size_t *left = user;
    size_t n = *left < len ? *left : len;

    (void)request;
    memset(buffer, 'u', n);
    *left -= n;
    return (ssize_t)n;
}

/* Return: whether all went as if nothing had failed. */
static bool live(unsigned n)
{
    const char *const addresses[] = {"127.0.0.1"};
    const struct xhr_resolve resolve = {"a.test", 80, addresses, 1};
    struct xhr_request_options options = {.size = sizeof(options),
                                          .username = "u",
                                          .password = "p",
                                          .resolve = &resolve,
                                          .n_resolve = 1,
                                          .credit_bytes = 8};
    size_t left = 70000;
    struct xhr_body body = {.size = sizeof(body),
                            .kind = XHR_BODY_STREAM,
                            .read = read_up,
                            .read_user = &left,
                            .length = 70000};
    struct peer peer;
    struct record record = {0};
    struct xhr_request *request = NULL;
    const Xhrd__V1__ClientMessage *message;
    bool sent;
    bool fine;

    peer_init(&peer, false);
    request = new_request(peer.client, &record, &record_callbacks);
    count = 0;
    fail_at = n;
    is_counting = true;
    int r = xhr_request_set_options(request, &options);
    if (r == 0)
        r = xhr_request_set_header(request, "X-A", "b");
    if (r == 0)
        r = xhr_request_send(request, &body);
    is_counting = false;
    assert_true(r == 0 || r == -ENOMEM);
    sent = r == 0;
    turn(&peer);
    while ((message = peer_next(&peer)) && sent) {
        if (message->kind_case != XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)
            continue;
        uint32_t id = message->open->request_id;

        peer_credit(&peer, id, 100000);
        peer_redirect(&peer, id, 302, "http://b.test/");
        turn(&peer);
        peer_head(&peer, id, 200);
        peer_body(&peer, id, "12345678", 8);
        turn(&peer);
        peer_finish(&peer, id, 8);
        turn(&peer);
    }
    is_counting = true;
    (void)xhr_request_response_header(request, "x-twice");
    (void)xhr_request_all_response_headers(request);
    (void)xhr_request_response_text(request, NULL);
    is_counting = false;
    if (sent)
        xhr_request_abort(request); /* whatever has not come to an end by itself */
    assert_int_equal(terminals(record.text), sent ? 1 : 0);
    fine = strstr(record.text, "load") && count < fail_at;
    fail_at = 0;
    xhr_request_free(request);
    peer_done(&peer);
    return fine;
}

static void test_every_allocation_may_fail(void **state)
{
    unsigned n = 1;

    (void)state;
    while (!live(n)) {
        n++;
        assert_true(n < 500);
    }
    assert_true(n > 20);
}

/* Return: whether the form was sent; else nothing was, and there is no memory. */
static bool send_form(unsigned n)
{
    struct xhr_form_part part = {.size = sizeof(part),
                                 .kind = XHR_PART_PATH,
                                 .name = "\xFC",
                                 .path = "/proc/self/exe",
                                 .filename = "a\"b"};
    struct record record = {0};
    struct peer peer;
    struct xhr_form *form = NULL;

    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_set_header(request, "Content-Type", "multipart/mixed"), 0);
    count = 0;
    fail_at = n;
    is_counting = true;
    int r = xhr_form_new(&form);
    for (unsigned i = 0; r == 0 && i < 9; i++)
        r = xhr_form_add(form, "name", "value", 5);
    r = r < 0 ? r : xhr_form_add_part(form, &part);
    r = r < 0 ? r : xhr_form_add_file(form, "f", "/proc/self/stat", NULL, NULL);
    r = r < 0 ? r : xhr_request_send_form(request, form);
    is_counting = false;
    fail_at = 0;
    assert_true(r == 0 || r == -ENOMEM);
    assert_int_equal(xhr_client_in_flight(peer.client), r == 0);
    xhr_form_free(form);
    xhr_request_free(request);
    peer_done(&peer);
    return r == 0 && count < n;
}

static void test_every_allocation_for_a_form_may_fail(void **state)
{
    unsigned n = 1;

    (void)state;
    while (!send_form(n)) {
        n++;
        assert_true(n < 500);
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_every_allocation_for_a_form_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
