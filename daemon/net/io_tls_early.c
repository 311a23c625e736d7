/* SPDX-License-Identifier: MIT */
/*
 * Early data (0-RTT, RFC 8446 §2.3): bytes that go with the hello, protected by the key of a
 * session that is resumed. Whoever heard them can say them once more, to the same server, so
 * the owner says what may go that way (RFC 8470); here is only how.
 *
 * The stream opens to its owner before anything was sent, and says of itself what the session
 * says. The first write makes the hello. Then the handshake goes on as ever, by readiness and
 * in turns, while nothing can be read. What comes of it is one of three: the server has taken
 * the bytes; or it has not, and gets them again; or it is no more the server it was (another
 * protocol, another version, a certificate that is not good), and the stream fails.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "net/io_tls_priv.h"
#include "net/tls_gather.h"

/* More is not worth a copy: it waits for the handshake. */
#define EARLY_BYTES_MAX TLS_RECORD_BYTES_MAX

/* Who opens a stream writes at the end of the round, or of the next. */
#define ROUNDS_TO_WRITE 2

static struct span alpn_of(const SSL_SESSION *session)
{
    const unsigned char *alpn = NULL;
    size_t len = 0;

    SSL_SESSION_get0_alpn_selected(session, &alpn, &len);
    return (struct span){(const char *)alpn, len};
}

/* OpenSSL takes a hello for other names or protocols than the session's for a bug of ours. */
static bool session_fits(const struct io_tls *tls, const SSL_SESSION *session)
{
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    const char *name_before = SSL_SESSION_get0_hostname(session);
    struct span alpn = alpn_of(session);
    int version_max = (int)SSL_get_max_proto_version(tls->ssl);

    if (SSL_SESSION_get_protocol_version(session) != TLS1_3_VERSION ||
        (version_max != 0 && version_max < TLS1_3_VERSION))
        return false;
    if (name_before && (!name || strcmp(name, name_before) != 0))
        return false;
    return alpn.len < sizeof(tls->alpn) && (alpn.len == 0 || tls_alpn_was_offered(tls, alpn));
}

static size_t room_of(const SSL_SESSION *session)
{
    uint32_t allowed = SSL_SESSION_get_max_early_data(session);

    return allowed < EARLY_BYTES_MAX ? allowed : EARLY_BYTES_MAX;
}

static void expect_the_same(struct io_tls *tls, const SSL_SESSION *session)
{
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);
    struct span alpn = alpn_of(session);

    if (alpn.len > 0)
        memcpy(tls->alpn, alpn.ptr, alpn.len);
    tls->info = (struct tls_info){
        .version = TLS1_3_VERSION,
        .resumed = true,
        .version_name = "TLSv1.3",
        .cipher = cipher ? SSL_CIPHER_get_name(cipher) : "",
        .alpn = tls->alpn,
        .verify_result = (uint32_t)SSL_get_verify_result(tls->ssl),
        .is_early = true,
    };
}

bool tls_early_opens(struct io_tls *tls)
{
    bool is_first = tls->early.goes_early && !tls->signer && SSL_in_before(tls->ssl);
    const SSL_SESSION *session = is_first ? SSL_get0_session(tls->ssl) : NULL;

    if (!session || room_of(session) == 0 || !session_fits(tls, session) ||
        !tls->early.goes_early(tls->io.owner))
        return false;
    tls->early.room = room_of(session);
    tls->early.is_pending = true;
    expect_the_same(tls, session);
    loop_defer_next(tls->io.loop, &tls->task);
    io_tell_connected(&tls->io);
    return true;
}

bool tls_early_waits(struct io_tls *tls)
{
    struct tls_early *early = &tls->early;

    if (!early->is_pending || early->is_shut)
        return false;
    if (early->sent.len == 0 && early->rounds++ >= ROUNDS_TO_WRITE)
        return false; /* he has nothing to say: then without */
    if (early->sent.len == 0)
        loop_defer_next(tls->io.loop, &tls->task);
    return true;
}

/* Nothing that was taken may be lost, so the copy comes first. */
int tls_early_write(struct io_tls *tls, struct span record, size_t *ret_written)
{
    struct tls_early *early = &tls->early;
    struct span part = span_take(record, early->room);
    size_t n = 0;

    *ret_written = 0;
    if (early->is_shut || part.len == 0)
        return 0;
    if (buf_append(&early->sent, part) < 0)
        return 0;
    if (SSL_write_early_data(tls->ssl, part.ptr, part.len, &n) != 1 || n != part.len)
        return tls_explain(tls, FAILURE_SEND);
    early->room -= n;
    tls->info.early = EARLY_DATA_SENT;
    *ret_written = n;
    return 0;
}

/* Return: 0, or an error that io->failure explains. */
static int send_again(struct io_tls *tls)
{
    struct span bytes = buf_span(&tls->early.sent);
    size_t n = 0;

    ERR_clear_error();
    return SSL_write_ex(tls->ssl, bytes.ptr, bytes.len, &n) == 1
               ? 0
               : tls_explain(tls, FAILURE_SEND);
}

void tls_early_settle(struct io_tls *tls)
{
    bool was_sent = tls->early.sent.len > 0;
    bool is_accepted = SSL_get_early_data_status(tls->ssl) == SSL_EARLY_DATA_ACCEPTED;
    int r = was_sent && !is_accepted ? send_again(tls) : 0;

    if (r < 0) {
        io_tell_failed(&tls->io, r);
        return;
    }
    if (was_sent)
        tls->info.early = is_accepted ? EARLY_DATA_ACCEPTED : EARLY_DATA_REJECTED;
    tls->early.is_pending = false;
    buf_done(&tls->early.sent);
    tls_follow_up(tls);
    if (tls->io.events->on_settled)
        tls->io.events->on_settled(tls->io.owner);
}
