/* SPDX-License-Identifier: MIT */
/*
 * Whatever a daemon says: each request ends with exactly one terminal event, states only go
 * forward, nothing is delivered past its credit, and the client can be freed. The input is what
 * the daemon writes, behind its hello; its first byte says in how large pieces.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/frame.h"
#include "xhr/xhr.h"

enum { REQUESTS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
    unsigned terminals;
    int state;
};

static void
on_state(struct xhr_request *request, const struct xhr_ready_state_event *event, void *user)
{
    struct story *story = user;

    assert((int)event->state > story->state &&
           xhr_request_ready_state(request) == event->state);
    assert(story->terminals == 0);
    story->state = (int)event->state;
}

static void on_end(struct xhr_request *request, void *user)
{
    struct story *story = user;

    story->terminals++;
    assert(story->state == XHR_DONE && story->terminals == 1);
    (void)xhr_request_all_response_headers(request);
    (void)xhr_request_response_text(request, NULL);
}

static void on_error(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    assert(error->name && error->text && xhr_error_errno(error) < 0);
    on_end(request, user);
}

/* What borrows from the message is read to its end. */
static void
on_verdict(struct xhr_request *request, const struct xhr_verdict *verdict, void *user)
{
    struct story *story = user;
    size_t len = strlen(verdict->origin);

    assert(story->terminals == 0 && verdict->n_certificates > 0);
    for (size_t i = 0; i < verdict->n_certificates; i++) {
        const struct xhr_certificate *cert = &verdict->certificates[i];

        len += strlen(cert->subject) + strlen(cert->issuer) + strlen(cert->serial);
        len += strlen(cert->signature) + strlen(cert->key);
        for (size_t k = 0; k < cert->n_names; k++)
            len += strlen(cert->names[k]);
        for (size_t k = 0; k < cert->der_len; k++)
            len += ((const unsigned char *)cert->der)[k];
    }
    if (xhr_request_answer_verdict(request, len % 2 == 0) < 0)
        assert(!"an answer that is not taken");
}

/* A signature now, a refusal, or never: that one is given back when the client has gone. */
static struct xhr_signing *unanswered;

static void on_sign(struct xhr_signing *signing, void *user)
{
    size_t len;
    const unsigned char *data = xhr_signing_data(signing, &len);
    size_t sum = strlen(xhr_signing_host(signing));

    (void)user;
    for (size_t i = 0; i < len; i++)
        sum += data[i];
    if (sum % 3 == 0 && !unanswered)
        unanswered = signing;
    else if (xhr_signing_answer(signing, data, sum % 3 == 1 ? len : 0) == -EMSGSIZE)
        assert(len > 16384);
}

static void on_cookies(const struct xhr_cookies *cookies, void *user)
{
    (void)xhr_cookies_count(cookies);
    ++*(unsigned *)user;
}

/* Numbers go up by at least one, whatever is sent; nothing is told behind the end. */
struct watched {
    uint64_t sequence;
    bool has_snapshot;
    unsigned ends;
};

static void on_watch_snapshot(struct xhr_cookie_watch *watch,
                              const struct xhr_cookies *cookies,
                              uint64_t sequence,
                              void *user)
{
    struct watched *watched = user;

    (void)watch;
    (void)xhr_cookies_count(cookies);
    assert(watched->ends == 0 && sequence >= watched->sequence);
    watched->sequence = sequence;
    watched->has_snapshot = true;
}

static void on_watch_change(struct xhr_cookie_watch *watch,
                            const struct xhr_cookie_change *change,
                            void *user)
{
    struct watched *watched = user;

    (void)watch;
    assert(watched->ends == 0 && watched->has_snapshot && change->cookie->name);
    assert(change->sequence > watched->sequence);
    watched->sequence = change->sequence;
}

static void
on_watch_end(struct xhr_cookie_watch *watch, const struct xhr_error *error, void *user)
{
    struct watched *watched = user;

    (void)watch;
    assert(error->name && error->text && watched->ends == 0);
    watched->ends++;
}

static void
feed(struct xhr_client *client, int fd, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size < piece ? size : piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        (void)xhr_client_dispatch(client);
        if (n < 0 && xhr_client_fd(client) < 0)
            return;
    }
}

static void run(const uint8_t *data, size_t size, int fds[2])
{
    static const uint8_t hello[] = {0x08, 0x0a, 0x06, 0x08, 0x01, 0x30, 0x80, 0x80, 0x04};
    const struct xhr_callbacks callbacks = {.size = sizeof(callbacks),
                                            .onreadystatechange = on_state,
                                            .onload = on_end,
                                            .onerror = on_error,
                                            .onabort = on_end,
                                            .on_verdict = on_verdict};
    struct story stories[REQUESTS] = {{0, 0}};
    struct xhr_request *requests[REQUESTS];
    struct xhr_client *client = NULL;
    const struct xhr_cookie_watch_events watching = {.size = sizeof(watching),
                                                     .snapshot = on_watch_snapshot,
                                                     .change = on_watch_change,
                                                     .end = on_watch_end};
    struct xhr_cookie_watch *watch = NULL;
    struct watched watched = {0};
    unsigned answers = 0;

    if (xhr_client_new_fd(fds[0], NULL, &client) < 0)
        abort();
    xhr_client_set_signer(client, on_sign, NULL);
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (xhr_request_new(client, &requests[i]) < 0 ||
            xhr_request_set_callbacks(requests[i], &callbacks, &stories[i]) < 0 ||
            xhr_request_open(requests[i], "GET", "http://a.test/", true) < 0 ||
            xhr_request_send(requests[i], NULL) < 0)
            abort();
    }
    if (xhr_cookies_list(client, NULL, NULL, on_cookies, &answers) < 0 ||
        xhr_cookie_watch_new(client, NULL, &watching, &watched, &watch) < 0)
        abort();
    feed(client, fds[1], hello, sizeof(hello), sizeof(hello));
    if (size > 0)
        feed(client, fds[1], data + 1, size - 1, data[0] ? data[0] : 4096);
    close(fds[1]);
    while (xhr_client_fd(client) >= 0 || xhr_client_timeout_ms(client) == 0)
        (void)xhr_client_dispatch(client);
    assert(xhr_client_in_flight(client) == 0 && answers == 1 && watched.ends == 1);
    (void)xhr_cookie_watch_free(watch);
    for (unsigned i = 0; i < REQUESTS; i++) {
        assert(stories[i].terminals == 1);
        xhr_request_free(requests[i]);
    }
    xhr_client_free(client);
    if (unanswered) {
        int r = xhr_signing_answer(unanswered, "late", 4);
        assert(r == -ESTALE);
    }
    unanswered = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    run(data, size, fds);
    return 0;
}
