/* SPDX-License-Identifier: MIT */
#include "transport/tunnel.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "http/host.h"
#include "net/io.h"
#include "net/socks5.h"
#include "transport/transport_priv.h"

#define OUT_BYTES_MAX  16384
#define READ_BYTES     4096
#define READS_MAX      16 /* in one round: then it is others' turn */
#define NAME_SIZE      80 /* of a proxy's URL in a failure, where the reason needs room */
#define HOST_BYTES_MAX 260

enum tunnel_state {
    TUNNEL_HEAD,   /* CONNECT is out or on its way: its answer is read */
    TUNNEL_METHOD, /* the next three: which word of SOCKS5 is awaited */
    TUNNEL_LOGIN,
    TUNNEL_REPLY,
    TUNNEL_OVER,
};

struct tunnel {
    struct reap reap; /* first */
    struct loop *loop;
    struct io *io;
    const struct tunnel_events *events;
    void *owner;
    enum tunnel_state state;
    struct buf out;
    struct h1_parser parser; /* CONNECT */

    /* SOCKS5 */
    struct buf connect; /* goes out when the login is done */
    struct buf login;   /* empty: none */
    char have[SOCKS5_REPLY_MAX];
    size_t n_have;
    size_t n_need;

    char proxy_name[NAME_SIZE];
};

static void wipe(struct buf *buf)
{
    if (buf->storage)
        explicit_bzero(buf->storage, buf->capacity);
    buf_done(buf);
}

static void tunnel_reap(struct reap *self)
{
    struct tunnel *tunnel = CONTAINER_OF(self, struct tunnel, reap);

    h1_parser_done(&tunnel->parser); /* the headers of a challenge were borrowed until now */
    mem_free(tunnel);
}

static void end(struct tunnel *tunnel)
{
    static const struct io_events nobody = {0};

    tunnel->state = TUNNEL_OVER;
    io_set_interest(tunnel->io, 0);
    io_set_events(tunnel->io, &nobody, NULL);
    wipe(&tunnel->out);
    wipe(&tunnel->login);
    wipe(&tunnel->connect);
    loop_defer_free(tunnel->loop, &tunnel->reap, tunnel_reap);
}

struct tunnel *tunnel_cancel(struct tunnel *tunnel)
{
    if (tunnel)
        end(tunnel);
    return NULL;
}

static void fail(struct tunnel *tunnel, struct failure *why)
{
    why->phase = PHASE_PROXY;
    end(tunnel);
    tunnel->events->on_failed(tunnel->owner, why);
}

static bool is_socks(const struct tunnel *tunnel)
{
    return tunnel->state != TUNNEL_HEAD;
}

static void fail_with(struct tunnel *tunnel, enum failure_kind kind, const char *text)
{
    struct failure why;

    failure_set(&why, kind, "the proxy %s: %s", tunnel->proxy_name, text);
    fail(tunnel, &why);
}

static void open_now(struct tunnel *tunnel)
{
    end(tunnel);
    tunnel->events->on_open(tunnel->owner);
}

/* The stream to the proxy is gone. */
static void broke(struct tunnel *tunnel)
{
    const struct failure *last = io_last_failure(tunnel->io);
    struct failure why;

    failure_set(&why, FAILURE_PROXY, "the proxy %s broke the connection%s%s",
                tunnel->proxy_name, last->kind ? ": " : "", last->kind ? last->text : "");
    why.sys_errno = last->sys_errno;
    why.code = is_socks(tunnel) ? TUNNEL_CODE_SOCKS5 : 0;
    fail(tunnel, &why);
}

/* ---- CONNECT ----------------------------------------------------------------------------- */

static void answered(struct tunnel *tunnel, const struct h1_response_head *head, size_t behind)
{
    struct failure why;

    if (head->framing.kind == BODY_TUNNEL && behind == 0) {
        open_now(tunnel);
        return;
    }
    if (head->framing.kind == BODY_TUNNEL) {
        fail_with(tunnel, FAILURE_PROTOCOL, "bytes follow its answer to CONNECT");
        return;
    }
    struct span reason = span_take(head->reason, 60);
    failure_set(&why, FAILURE_PROXY, "the proxy %s refused the tunnel: %u %.*s",
                tunnel->proxy_name, head->status, (int)reason.len, reason.ptr);
    why.code = head->status;
    why.phase = PHASE_PROXY;
    if (head->status != 407) {
        fail(tunnel, &why);
        return;
    }
    end(tunnel);
    tunnel->events->on_challenge(tunnel->owner, head->headers, &why);
}

static void fail_parse(struct tunnel *tunnel, int error)
{
    enum failure_kind kind = error < 0 ? FAILURE_INTERNAL : h1_error_kind(error);

    if (kind == FAILURE_TRUNCATED || kind == FAILURE_EMPTY_REPLY)
        kind = FAILURE_PROXY; /* it hung up: that is a no */
    fail_with(tunnel, kind, error < 0 ? "out of memory" : h1_error_text(error));
}

/* Return: whether to go on reading. */
static bool take_head_bytes(struct tunnel *tunnel, struct span bytes)
{
    struct h1_event event;

    for (;;) {
        int r = h1_parser_feed(&tunnel->parser, &bytes, &event);

        if (r != 0) {
            fail_parse(tunnel, r);
            return false;
        }
        if (event.kind == H1_NEED_MORE)
            return true;
        if (event.kind != H1_INFORMATIONAL) { /* the head, and nothing before it */
            answered(tunnel, event.head, bytes.len);
            return false;
        }
    }
}

static void head_ended(struct tunnel *tunnel)
{
    int r = h1_parser_finish(&tunnel->parser, true);

    fail_parse(tunnel, r != 0 ? r : H1_E_TRUNCATED);
}

/* ---- SOCKS5 ------------------------------------------------------------------------------ */

static void fail_socks(struct tunnel *tunnel, uint32_t code, const char *text)
{
    struct failure why;

    failure_set(&why, FAILURE_PROXY, "the proxy %s: %s", tunnel->proxy_name, text);
    why.code = code;
    fail(tunnel, &why);
}

/* What comes next is said now, and its answer awaited. */
static void say(struct tunnel *tunnel, struct buf *words, enum tunnel_state next)
{
    wipe(&tunnel->out);
    tunnel->out = *words;
    *words = BUF_INIT(0);
    tunnel->state = next;
    tunnel->n_have = 0;
    tunnel->n_need = 2;
    io_set_interest(tunnel->io, IO_READ | IO_WRITE);
}

static void method_chosen(struct tunnel *tunnel, enum socks5_method method)
{
    if (method == SOCKS5_METHOD_REFUSED)
        fail_socks(tunnel, TUNNEL_CODE_SOCKS5_METHODS,
                   tunnel->login.len ? "it takes neither no login nor user and password"
                                     : "it wants a login; give it user and password");
    else if (method == SOCKS5_METHOD_LOGIN)
        say(tunnel, &tunnel->login, TUNNEL_LOGIN);
    else
        say(tunnel, &tunnel->connect, TUNNEL_REPLY);
}

static void logged_in(struct tunnel *tunnel, uint8_t status)
{
    if (status != 0)
        fail_socks(tunnel, TUNNEL_CODE_SOCKS5_LOGIN, "it refused user and password");
    else
        say(tunnel, &tunnel->connect, TUNNEL_REPLY);
}

static void replied(struct tunnel *tunnel, uint8_t reply)
{
    struct failure why;

    if (reply == 0) {
        open_now(tunnel);
        return;
    }
    failure_set(&why, FAILURE_PROXY, "the proxy %s could not connect: %s (%u)",
                tunnel->proxy_name, socks5_reply_text(reply), reply);
    why.code = TUNNEL_CODE_SOCKS5 | reply;
    fail(tunnel, &why);
}

static void socks_turn(struct tunnel *tunnel)
{
    struct span have = {tunnel->have, tunnel->n_have};
    enum socks5_method method = SOCKS5_METHOD_REFUSED;
    uint8_t byte = 0;
    int r = SOCKS5_MORE;

    if (tunnel->state == TUNNEL_METHOD)
        r = socks5_parse_method(have, tunnel->login.len > 0, &method, &tunnel->n_need);
    else if (tunnel->state == TUNNEL_LOGIN)
        r = socks5_parse_login(have, &byte, &tunnel->n_need);
    else
        r = socks5_parse_reply(have, &byte, &tunnel->n_need);
    if (r == SOCKS5_MORE)
        return;
    if (r != SOCKS5_OK)
        fail_with(tunnel, FAILURE_PROTOCOL, socks5_outcome_text(r));
    else if (tunnel->state == TUNNEL_METHOD)
        method_chosen(tunnel, method);
    else if (tunnel->state == TUNNEL_LOGIN)
        logged_in(tunnel, byte);
    else
        replied(tunnel, byte);
}

/* ---- the stream -------------------------------------------------------------------------- */

/* What may be read: of SOCKS5 no byte more than is known to be the proxy's. */
static ssize_t read_some(struct tunnel *tunnel, char *bytes)
{
    if (!is_socks(tunnel))
        return io_read(tunnel->io, bytes, READ_BYTES);
    INVARIANT(tunnel->n_need > tunnel->n_have && tunnel->n_need <= sizeof(tunnel->have));
    return io_read(tunnel->io, tunnel->have + tunnel->n_have, tunnel->n_need - tunnel->n_have);
}

/* Return: whether to go on reading. */
static bool took(struct tunnel *tunnel, struct span bytes)
{
    if (!is_socks(tunnel))
        return take_head_bytes(tunnel, bytes);
    tunnel->n_have += bytes.len;
    socks_turn(tunnel);
    return tunnel->state != TUNNEL_OVER;
}

static void ended(struct tunnel *tunnel)
{
    if (is_socks(tunnel))
        fail_with(tunnel, FAILURE_PROTOCOL, "it hung up in the middle of SOCKS5");
    else
        head_ended(tunnel);
}

static void tunnel_on_readable(void *owner)
{
    struct tunnel *tunnel = owner;
    char bytes[READ_BYTES];

    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = read_some(tunnel, bytes);

        if (n == -EAGAIN)
            return;
        if (n == 0 || n == IO_TRUNCATED) {
            ended(tunnel);
            return;
        }
        if (n < 0) {
            broke(tunnel);
            return;
        }
        if (!took(tunnel, (struct span){bytes, (size_t)n}))
            return;
    }
}

static void tunnel_on_writable(void *owner)
{
    struct tunnel *tunnel = owner;
    struct iovec piece = io_piece(buf_span(&tunnel->out));
    ssize_t n = tunnel->out.len > 0 ? io_writev(tunnel->io, &piece, 1) : 0;

    if (n == -EAGAIN)
        return;
    if (n == -EPIPE || n == -ECONNRESET) { /* it may have said why */
        io_set_interest(tunnel->io, IO_READ);
        return;
    }
    if (n < 0) {
        broke(tunnel);
        return;
    }
    buf_consume(&tunnel->out, (size_t)n);
    if (tunnel->out.len == 0)
        io_set_interest(tunnel->io, IO_READ);
}

static void tunnel_on_failed(void *owner, const struct failure *why)
{
    (void)why;
    broke(owner);
}

static const struct io_events tunnel_io_events = {
    .on_readable = tunnel_on_readable,
    .on_writable = tunnel_on_writable,
    .on_failed = tunnel_on_failed,
};

/* ---- beginning --------------------------------------------------------------------------- */

/* authority-form: "example.com:443", "[::1]:443". */
static int format_authority(struct buf *out, struct span host, uint16_t port)
{
    bool is_ipv6 = host.len > 0 && memchr(host.ptr, ':', host.len) && host.ptr[0] != '[';
    int r = is_ipv6 ? buf_append_char(out, '[') : 0;

    if (host.len == 0 || host.len > HOST_BYTES_MAX || memchr(host.ptr, '%', host.len))
        return fault(-EINVAL); /* a zone means nothing to another machine */
    if (r == 0)
        r = buf_append(out, host);
    if (r == 0 && is_ipv6)
        r = buf_append_char(out, ']');
    if (r == 0)
        r = buf_append_char(out, ':');
    return r < 0 ? r : buf_append_u64(out, port);
}

static int write_connect(struct tunnel *tunnel,
                         const struct tunnel_options *options,
                         struct headers *fields)
{
    CLEANUP_BUF struct buf target = BUF_INIT(0);
    int r = format_authority(&target, options->host, options->port);

    if (r == 0 && options->authorization.len > 0)
        r = headers_add(fields, SPAN_LIT("Proxy-Authorization"), options->authorization);
    if (r < 0)
        return r;
    struct h1_request_head head = {
        .method = SPAN_LIT("CONNECT"),
        .target = buf_span(&target),
        .host = buf_span(&target),
        .headers = fields,
        .framing = {.kind = BODY_NONE},
    };
    r = h1_write_request_head(&tunnel->out, &head);
    return r > 0 ? fault(-EINVAL) : r;
}

static int begin_connect(struct tunnel *tunnel, const struct tunnel_options *options)
{
    struct headers fields;

    headers_init(&fields, OUT_BYTES_MAX, 4);
    int r = write_connect(tunnel, options, &fields);
    if (fields.arena)
        explicit_bzero(fields.arena, fields.arena_capacity);
    headers_done(&fields);
    return r;
}

static int begin_socks(struct tunnel *tunnel, const struct tunnel_options *options)
{
    int r = socks5_format_hello(&tunnel->out, options->user.len > 0);

    if (r == 0 && options->user.len > 0)
        r = socks5_format_login(&tunnel->login, options->user, options->password);
    if (r == 0)
        r = socks5_format_connect(&tunnel->connect, options->host, options->port);
    tunnel->state = TUNNEL_METHOD;
    tunnel->n_need = 2;
    return r;
}

int tunnel_start(struct transport *transport,
                 struct io *io,
                 const struct tunnel_options *options,
                 const struct tunnel_events *events,
                 void *owner,
                 struct tunnel **ret)
{
    struct tunnel *tunnel = mem_zalloc(sizeof(*tunnel));

    if (!tunnel)
        return fault(-ENOMEM);
    tunnel->loop = transport->loop;
    tunnel->io = io;
    tunnel->events = events;
    tunnel->owner = owner;
    tunnel->out = BUF_INIT(OUT_BYTES_MAX);
    struct span name = span_take(options->proxy_name, sizeof(tunnel->proxy_name) - 1);
    if (name.len > 0)
        memcpy(tunnel->proxy_name, name.ptr, name.len);
    h1_parser_init(&tunnel->parser, &transport->h1, RESPONSE_TO_CONNECT);
    int r = options->kind == TUNNEL_CONNECT ? begin_connect(tunnel, options)
                                            : begin_socks(tunnel, options);
    if (r < 0) {
        wipe(&tunnel->out);
        wipe(&tunnel->login);
        wipe(&tunnel->connect);
        mem_free(tunnel);
        return r;
    }
    io_set_events(io, &tunnel_io_events, tunnel);
    io_set_interest(io, IO_READ | IO_WRITE);
    *ret = tunnel;
    return 0;
}
