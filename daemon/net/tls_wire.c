/* SPDX-License-Identifier: MIT */
#include "net/tls_wire.h"

#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>

static BIO_METHOD *method; /* one for the process, never freed */
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int bio_read_cb(BIO *bio, char *buf, size_t len, size_t *ret_n)
{
    struct tls_wire *wire = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *ret_n = 0;
    if (wire->error || wire->eof || wire->is_stopped)
        return 0;
    ssize_t n = io_read(wire->lower, buf, len);
    if (n > 0) {
        *ret_n = (size_t)n;
        return 1;
    }
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else if (n == 0)
        wire->eof = true;
    else
        wire->error = (int)n;
    return 0;
}

/* Of a stream that takes nothing any more OpenSSL is told nothing: the error would keep it from
 * reading what the peer said before it hung up, an alert or an answer. */
static void stop_writing(struct tls_wire *wire, int error)
{
    wire->write_error = error;
    buf_done(&wire->backlog);
}

static int bio_write_cb(BIO *bio, const char *bytes, size_t len, size_t *ret_n)
{
    struct tls_wire *wire = BIO_get_data(bio);
    struct iovec piece = io_piece((struct span){bytes, len});
    ssize_t n = 0;

    BIO_clear_retry_flags(bio);
    *ret_n = len;
    if (wire->write_error)
        return 1;
    if (wire->backlog.len == 0)
        n = io_writev(wire->lower, &piece, 1);
    if (n == -EAGAIN)
        n = 0;
    if (n < 0) {
        stop_writing(wire, (int)n);
        return 1;
    }
    if (buf_append(&wire->backlog, (struct span){bytes + n, len - (size_t)n}) == 0)
        return 1;
    wire->error = -ENOMEM;
    *ret_n = 0;
    return 0;
}

static long bio_ctrl_cb(BIO *bio, int command, long number, void *ptr)
{
    const struct tls_wire *wire = BIO_get_data(bio);

    (void)number;
    if (command == BIO_CTRL_PUSH && wire->on_above && ptr != bio)
        wire->on_above(wire->owner, ptr);
    if (command == BIO_CTRL_EOF)
        return wire->eof;
    return command == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "xhrd io");

    if (made && BIO_meth_set_read_ex(made, bio_read_cb) == 1 &&
        BIO_meth_set_write_ex(made, bio_write_cb) == 1 &&
        BIO_meth_set_ctrl(made, bio_ctrl_cb) == 1)
        method = made;
    else
        BIO_meth_free(made);
}

BIO *tls_wire_bio(struct tls_wire *wire)
{
    pthread_once(&method_once, make_method);

    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    return bio;
}

void tls_wire_init(struct tls_wire *wire, struct io *lower)
{
    *wire = (struct tls_wire){.lower = lower, .backlog = BUF_INIT(TLS_WIRE_BACKLOG_MAX)};
}

void tls_wire_done(struct tls_wire *wire)
{
    buf_done(&wire->backlog);
}

void tls_wire_flush(struct tls_wire *wire)
{
    while (wire->backlog.len > 0) {
        struct iovec piece = io_piece(buf_span(&wire->backlog));
        ssize_t n = io_writev(wire->lower, &piece, 1);

        if (n == -EAGAIN)
            return;
        if (n < 0) {
            stop_writing(wire, (int)n);
            return;
        }
        buf_consume(&wire->backlog, (size_t)n);
    }
    buf_done(&wire->backlog); /* rare enough to give the memory back */
}

bool tls_wire_has_hung_up(const struct tls_wire *wire)
{
    return wire->write_error == -EPIPE || wire->write_error == -ECONNRESET;
}
