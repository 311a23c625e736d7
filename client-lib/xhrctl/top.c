/* SPDX-License-Identifier: MIT */
/*
 * top: the daemon at a glance, drawn anew every second on a terminal: what it has done since
 * the last time, who is connected, which requests run longest. Where standard output is no
 * terminal, once and whole.
 */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "internal.h"
#include "listing.h"
#include "show.h"

#define SCREEN_BEGIN "\033[?1049h\033[?25l"
#define SCREEN_END   "\033[?25h\033[?1049l"
#define INTERVAL_MS  1000

/* What is compared with the time before. */
struct counted {
    int64_t when_us;
    uint64_t requests;
    uint64_t failed;
    uint64_t bytes_down;
    uint64_t bytes_up;
};

struct top {
    struct xhr_client *client;
    struct trouble *why;
    struct strbuf text; /* of a frame, a line each */
    struct listing listing;
    struct counted now;
    struct counted before;
    bool has_before;
    int result;
};

struct screen {
    unsigned rows;
    unsigned columns;
};

static volatile sig_atomic_t resized;

/* ---- a frame ---- */

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void add_number(struct strbuf *out, const char *name, uint64_t number)
{
    strbuf_add_text(out, name);
    strbuf_add_char(out, ' ');
    strbuf_add_u64(out, number);
}

/* A second; nothing at first. */
static uint64_t rate(const struct top *top, uint64_t now, uint64_t before)
{
    int64_t us = top->now.when_us - top->before.when_us;

    return us > 0 && now > before ? (now - before) * 1000000 / (uint64_t)us : 0;
}

static void add_rates(struct top *top)
{
    struct strbuf *out = &top->text;

    if (!top->has_before)
        return;
    strbuf_add_text(out, "a second: ");
    strbuf_add_u64(out, rate(top, top->now.requests, top->before.requests));
    strbuf_add_text(out, " requests, ");
    strbuf_add_u64(out, rate(top, top->now.failed, top->before.failed));
    strbuf_add_text(out, " failed, ");
    strbuf_add_size(out, rate(top, top->now.bytes_down, top->before.bytes_down));
    strbuf_add_text(out, " down, ");
    strbuf_add_size(out, rate(top, top->now.bytes_up, top->before.bytes_up));
    strbuf_add_text(out, " up\n");
}

static void add_status(struct top *top, const Xhrd__V1__Status *status)
{
    struct strbuf *out = &top->text;

    top->now = (struct counted){.when_us = now_us(),
                                .requests = status->requests_total,
                                .failed = status->requests_failed,
                                .bytes_down = status->bytes_down,
                                .bytes_up = status->bytes_up};
    strbuf_add_text(out, "xhrd ");
    strbuf_add_shown(out, (const char *)status->version.data, status->version.len);
    add_number(out, ", process", status->pid);
    strbuf_add_text(out, ", up ");
    listing_add_duration(out, status->uptime_s);
    strbuf_add_text(out, status->draining ? ", DRAINING" : "");
    strbuf_add_text(out, status->persistence_lost ? ", COOKIES IN MEMORY ONLY\n" : "\n");
    add_number(out, "requests: active", status->requests_active);
    add_number(out, ", ever", status->requests_total);
    add_number(out, ", failed", status->requests_failed);
    add_number(out, ", refused", status->requests_refused);
    strbuf_add_text(out, "; down ");
    strbuf_add_size(out, status->bytes_down);
    strbuf_add_text(out, ", up ");
    strbuf_add_size(out, status->bytes_up);
    add_number(out, "\nconnections: open", status->connections_open);
    add_number(out, ", opened", status->connections_opened);
    add_number(out, ", used again", status->connections_reused);
    add_number(out, "; TLS in full", status->tls_handshakes_full);
    add_number(out, ", resumed", status->tls_handshakes_resumed);
    add_number(out, "; cookies", status->cookies);
    strbuf_add_char(out, '\n');
    add_rates(top);
}

static int by_age(const void *a, const void *b)
{
    const Xhrd__V1__RequestRow *one = *(Xhrd__V1__RequestRow *const *)a;
    const Xhrd__V1__RequestRow *other = *(Xhrd__V1__RequestRow *const *)b;

    return (one->age_us < other->age_us) - (one->age_us > other->age_us);
}

static int by_activity(const void *a, const void *b)
{
    const Xhrd__V1__ClientRow *one = *(Xhrd__V1__ClientRow *const *)a;
    const Xhrd__V1__ClientRow *other = *(Xhrd__V1__ClientRow *const *)b;

    if (one->requests_active != other->requests_active)
        return one->requests_active < other->requests_active ? 1 : -1;
    return (one->requests_total < other->requests_total) -
           (one->requests_total > other->requests_total);
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct top *top = user;

    if (error) {
        top->result = ctl_trouble(error, top->why);
        return;
    }
    if (reply->status)
        add_status(top, reply->status);
    if (reply->n_requests > 0)
        // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
        qsort(reply->requests, reply->n_requests, sizeof(*reply->requests), by_age);
    if (reply->n_clients > 0)
        // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
        qsort(reply->clients, reply->n_clients, sizeof(*reply->clients), by_activity);
    show_add_rows(&top->listing, reply);
}

static void ask(struct top *top, Xhrd__V1__AdminTopic topic, const char *empty)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    int r = top->result;

    if (r != 0)
        return;
    listing_begin(&top->listing, false);
    r = xhr_admin_ask(top->client, topic, NULL, &events, top);
    if (r < 0 && top->result == 0)
        top->result = trouble_set(top->why, EXIT_DAEMON, "%s", strerror(-r));
    if (top->result == 0 && empty) {
        strbuf_add_char(&top->text, '\n');
        listing_end(&top->listing, empty, &top->text);
    }
    listing_done(&top->listing);
}

static void make_frame(struct top *top)
{
    strbuf_clear(&top->text);
    ask(top, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS, NULL);
    ask(top, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS, "no clients");
    ask(top, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS, "no requests");
    ask(top, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CONNECTIONS, "no connections");
    if (top->result == 0 && top->text.failed)
        top->result = trouble_set(top->why, EXIT_RESOURCES, "out of memory");
    top->before = top->now;
    top->has_before = true;
}

/* ---- the screen ---- */

static struct screen size_of_screen(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        return (struct screen){24, 80};
    return (struct screen){size.ws_row, size.ws_col};
}

/* As many characters as fit; one is one column, good enough for what stands here. */
static size_t bytes_that_fit(const char *line, size_t len, unsigned columns)
{
    size_t at = 0;

    for (unsigned n = 0; at < len && n < columns; n++) {
        size_t sequence = utf8_sequence(line + at, len - at);

        at += sequence > 0 ? sequence : 1;
    }
    return at < len ? at : len;
}

/* What fits of the frame, over what stood there: nothing flickers. */
static void draw(const struct top *top, struct strbuf *out)
{
    struct screen screen = size_of_screen();
    const char *line = strbuf_text(&top->text);
    const char *end = line + top->text.len;

    strbuf_clear(out);
    strbuf_add_text(out, "\033[H");
    for (unsigned row = 0; row < screen.rows && line < end; row++) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((next ? next : end) - line);

        strbuf_add_text(out, row > 0 ? "\r\n" : "");
        strbuf_add(out, line, bytes_that_fit(line, len, screen.columns));
        strbuf_add_text(out, "\033[K");
        line = next ? next + 1 : end;
    }
    strbuf_add_text(out, "\033[J");
}

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        interrupted = 1;
}

/* They come while it waits, and at no other time. */
static void catch_signals(sigset_t *ret_waiting)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t all;

    (void)sigemptyset(&all);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        (void)sigaddset(&all, numbers[i]);
    (void)sigprocmask(SIG_BLOCK, &all, ret_waiting);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        (void)sigaction(numbers[i], &action, NULL);
}

/* Return: whether to go on: until 'q', a signal or the end of input. */
static bool wait_for_next(const sigset_t *waiting, int64_t until_us)
{
    char key = 0;

    while (!interrupted) {
        struct pollfd ready = {.fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1,
                               .events = POLLIN};
        int64_t left_us = until_us - now_us();
        struct timespec timeout = {left_us / 1000000, left_us % 1000000 * 1000};

        if (left_us <= 0 || resized)
            return true;
        if (ppoll(&ready, 1, &timeout, waiting) > 0 &&
            (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 3))
            return false;
    }
    return false;
}

static void run_on_screen(struct top *top)
{
    struct strbuf out = {0};
    sigset_t waiting;

    catch_signals(&waiting);
    do {
        int64_t until_us = now_us() + (int64_t)INTERVAL_MS * 1000;

        resized = 0;
        make_frame(top);
        draw(top, &out);
        if (top->result == 0 && write_all(STDOUT_FILENO, out.bytes, out.len) < 0)
            top->result = trouble_set(top->why, EXIT_WRITE, "could not write to stdout");
        if (top->result != 0 || !wait_for_next(&waiting, until_us))
            break;
    } while (true);
    strbuf_done(&out);
}

/* As it was, whatever happens in between. */
static void with_screen(struct top *top)
{
    struct termios before;
    bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;

    if (is_terminal) {
        struct termios raw = before;

        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    if (write_all(STDOUT_FILENO, SCREEN_BEGIN, strlen(SCREEN_BEGIN)) == 0)
        run_on_screen(top);
    (void)write_all(STDOUT_FILENO, SCREEN_END, strlen(SCREEN_END));
    if (is_terminal)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

int top_run(struct xhr_client *client, struct strbuf *out, struct trouble *why)
{
    struct top top = {.client = client, .why = why};

    if (isatty(STDOUT_FILENO)) {
        with_screen(&top);
    } else {
        make_frame(&top);
        strbuf_add(out, top.text.bytes, top.text.len);
    }
    strbuf_done(&top.text);
    return top.result;
}
