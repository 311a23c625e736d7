/* SPDX-License-Identifier: MIT */
/* Blocking calls: against a child process that plays the daemon. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/peer.h"

static bool has_form(const Xhrd__V1__OpenRequest *open)
{
    const Xhrd__V1__RequestBody *body = open->body;

    return body && memmem(body->inline_bytes.data, body->inline_bytes.len,
                          "form-data; name=\"n\"\r\n\r\nvalue\r\n--", 32);
}

/* Answers "/404", "/lost" (hangs up), "/fail", anything else with "hello", until it hangs up;
 * "/form" is 404, too, without one. */
static void play_daemon(int fd)
{
    static struct peer peer;
    const Xhrd__V1__ClientMessage *message;
    char byte;

    peer.fd = fd;
    peer_hello(&peer, 65536);
    while (recv(fd, &byte, 1, MSG_PEEK) == 1) {
        while ((message = peer_next(&peer))) {
            if (message->kind_case != XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)
                continue;
            uint32_t id = message->open->request_id;
            const ProtobufCBinaryData *url = &message->open->url;

            if (memmem(url->data, url->len, "/lost", 5))
                _exit(0);
            if (memmem(url->data, url->len, "/fail", 5))
                peer_fail(&peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_DNS);
            else
                peer_answer(&peer, id,
                            memmem(url->data, url->len, "/404", 4) ||
                                    (memmem(url->data, url->len, "/form", 5) &&
                                     !has_form(message->open))
                                ? 404
                                : 200,
                            "hello");
        }
    }
    _exit(0);
}

struct scene {
    struct xhr_client *client;
    struct xhr_request *request;
    struct record record;
    pid_t daemon;
};

static void begin(struct scene *scene)
{
    int fds[2];

    memset(scene, 0, sizeof(*scene));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    scene->daemon = fork();
    assert_true(scene->daemon >= 0);
    if (scene->daemon == 0) {
        close(fds[0]);
        play_daemon(fds[1]);
    }
    close(fds[1]);
    assert_int_equal(xhr_client_new_fd(fds[0], NULL, &scene->client), 0);
    assert_int_equal(xhr_request_new(scene->client, &scene->request), 0);
    assert_int_equal(
        xhr_request_set_callbacks(scene->request, &record_callbacks, &scene->record), 0);
}

static void end(struct scene *scene)
{
    xhr_request_free(scene->request);
    xhr_client_free(scene->client);
    assert_int_equal(waitpid(scene->daemon, NULL, 0), scene->daemon);
}

static int run(struct scene *scene, const char *url)
{
    memset(&scene->record.text, 0, sizeof(scene->record.text));
    scene->record.len = 0;
    assert_int_equal(xhr_request_open(scene->request, "GET", url, false), 0);
    return xhr_request_send(scene->request, NULL);
}

static void test_send_blocks_and_tells_from_inside(void **state)
{
    struct scene scene;

    (void)state;
    begin(&scene);
    assert_int_equal(run(&scene, "http://a.test/"), 0);
    assert_string_equal(scene.record.text, "1 2 headers 3 down(5) 4 load");
    assert_int_equal(run(&scene, "http://a.test/404"), -EREMOTEIO);
    assert_string_equal(scene.record.text, "1 2 headers 3 down(5) 4 error(http-status)");
    assert_int_equal(run(&scene, "http://a.test/fail"), -EADDRNOTAVAIL);
    assert_string_equal(scene.record.text, "1 4 error(dns)");
    assert_int_equal(run(&scene, "http://a.test/lost"), -ECONNRESET);
    assert_string_equal(scene.record.text, "1 4 error(daemon-lost)");
    end(&scene);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void test_lb09_signals_do_not_disturb_a_blocking_send(void **state)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {.it_interval = {0, 200}, .it_value = {0, 200}};
    const struct itimerval off = {{0, 0}, {0, 0}};
    struct scene scene;

    (void)state;
    begin(&scene);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (unsigned i = 0; i < 200 || alarms < 3; i++)
        assert_int_equal(run(&scene, "http://a.test/"), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    end(&scene);
}

static void test_a_signal_ends_a_wait(void **state)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_value = {0, 1000}};
    struct peer peer;
    struct record record = {0};

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    (void)peer_expect_open(&peer);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(xhr_client_wait(peer.client, -1), -EINTR);
    xhr_request_free(request);
    peer_done(&peer);
}

static void send_blocking(struct record *record, struct xhr_request *request, const char *event)
{
    struct xhr_request *other = record->arg;

    (void)request;
    if (strcmp(event, "headers") != 0)
        return;
    assert_int_equal(xhr_request_open(other, "GET", "http://a.test/", false), 0);
    assert_int_equal(xhr_request_send(other, NULL), -EDEADLK);
    assert_int_equal(xhr_client_wait(xhr_request_client(other), -1), -EDEADLK);
}

static void test_blocking_inside_a_callback_is_refused(void **state)
{
    struct scene scene;
    struct xhr_request *other = NULL;

    (void)state;
    begin(&scene);
    assert_int_equal(xhr_request_new(scene.client, &other), 0);
    scene.record.then = send_blocking;
    scene.record.arg = other;
    assert_int_equal(run(&scene, "http://a.test/"), 0);
    xhr_request_free(other);
    end(&scene);
}

static void end_it(struct record *record, struct xhr_request *request, const char *event)
{
    struct scene *scene = record->arg;

    if (strcmp(event, "headers") != 0)
        return;
    if (scene->client) {
        scene->client = xhr_client_free(scene->client);
        return;
    }
    scene->request = xhr_request_free(request);
}

static void test_lb04_a_blocking_send_survives_the_end_of_everything(void **state)
{
    (void)state;
    for (int with_client = 0; with_client < 2; with_client++) {
        struct scene scene;

        begin(&scene);
        struct xhr_client *client = scene.client;
        if (!with_client)
            scene.client = NULL;
        scene.record.then = end_it;
        scene.record.arg = &scene;
        assert_int_equal(run(&scene, "http://a.test/"), -ECANCELED);
        if (!with_client)
            scene.client = client;
        end(&scene);
    }
}

static void test_fetch_takes_any_status_and_tells_of_failures(void **state)
{
    static const struct {
        const char *url;
        int expected;
        int status;
        const char *error;
    } rows[] = {
        {"http://a.test/", 0, 200, NULL},
        {"http://a.test/404", 0, 404, NULL},
        {"http://a.test/fail", -EADDRNOTAVAIL, 0, "dns"},
        {"http://a.test/lost", -ECONNRESET, 0, "daemon-lost"},
    };
    const struct xhr_header headers[] = {{"X-A", "1"}};
    struct scene scene;

    (void)state;
    begin(&scene);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct xhr_fetch_options options = {.size = sizeof(options),
                                            .url = rows[i].url,
                                            .client = scene.client,
                                            .headers = headers,
                                            .n_headers = 1};
        struct xhr_response *response = NULL;
        size_t len = 0;

        assert_int_equal(xhr_fetch(&options, &response), rows[i].expected);
        assert_non_null(response);
        assert_int_equal(xhr_response_status(response), rows[i].status);
        if (rows[i].error) {
            assert_string_equal(xhr_response_error(response)->name, rows[i].error);
        } else {
            assert_string_equal(xhr_response_body(response, &len), "hello");
            assert_int_equal(len, 5);
            assert_string_equal(xhr_response_header(response, "content-type"), "text/plain");
            assert_int_equal(xhr_request_http_version(xhr_response_request(response)), 11);
        }
        xhr_response_free(response);
    }
    end(&scene);
}

static void test_fetch_sends_a_form_or_a_body(void **state)
{
    struct xhr_body body = {.size = sizeof(body), .kind = XHR_BODY_STRING, .bytes = "x"};
    struct xhr_response *response = NULL;
    struct xhr_form *form = NULL;
    struct scene scene;

    (void)state;
    begin(&scene);
    assert_int_equal(xhr_form_new(&form), 0);
    assert_int_equal(xhr_form_add(form, "n", "value", 5), 0);
    struct xhr_fetch_options options = {.size = sizeof(options),
                                        .method = "POST",
                                        .url = "http://a.test/form",
                                        .client = scene.client,
                                        .form = form};
    assert_int_equal(xhr_fetch(&options, &response), 0);
    assert_int_equal(xhr_response_status(response), 200);
    xhr_response_free(response);
    options.body = &body;
    assert_int_equal(xhr_fetch(&options, &response), -EINVAL);
    assert_null(response);
    options.form = NULL;
    assert_int_equal(xhr_fetch(&options, &response), 0);
    assert_int_equal(xhr_response_status(response), 404);
    xhr_response_free(response);
    xhr_form_free(form);
    end(&scene);
}

static void test_fetch_refuses_what_makes_no_sense(void **state)
{
    const struct xhr_header bad[] = {{"Bad Name", "1"}};
    struct xhr_fetch_options options = {.size = sizeof(options)};
    struct xhr_response *response = (struct xhr_response *)&options;

    (void)state;
    assert_int_equal(xhr_fetch(NULL, &response), -EINVAL);
    assert_null(response);
    assert_int_equal(xhr_fetch(&options, &response), -EINVAL);
    options.url = "http://a.test/";
    options.headers = bad;
    options.n_headers = 1;
    assert_int_equal(xhr_fetch(&options, &response), -EINVAL);
    assert_null(response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_blocks_and_tells_from_inside),
        cmocka_unit_test(test_lb09_signals_do_not_disturb_a_blocking_send),
        cmocka_unit_test(test_a_signal_ends_a_wait),
        cmocka_unit_test(test_blocking_inside_a_callback_is_refused),
        cmocka_unit_test(test_lb04_a_blocking_send_survives_the_end_of_everything),
        cmocka_unit_test(test_fetch_takes_any_status_and_tells_of_failures),
        cmocka_unit_test(test_fetch_sends_a_form_or_a_body),
        cmocka_unit_test(test_fetch_refuses_what_makes_no_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
