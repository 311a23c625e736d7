/* SPDX-License-Identifier: MIT */
#include "net/io_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/base64.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/io_priv.h"
#include "net/io_tls_priv.h"
#include "net/tls_cert.h"
#include "net/tls_context.h"
#include "net/tls_failure.h"
#include "net/tls_gather.h"
#include "net/tls_identity.h"
#include "net/tls_signer.h"
#include "net/tls_status.h"
#include "net/tls_verify.h"
#include "net/tls_wire.h"

/* Tickets and KeyUpdates after the handshake. Servers send a handful; one that sends nothing
 * else keeps us busy for nothing (TS12). */
#define POST_HANDSHAKE_MAX 256

static const struct io_ops tls_ops;

static struct io_tls *tls_of(struct io *io)
{
    return (struct io_tls *)(void *)io;
}

/* --- what the owner and the lower io want ------------------------------------------------ */

/* The handshake is not done, whatever the owner may write already. */
static bool is_shaking(const struct io_tls *tls)
{
    return tls->io.state == IO_CONNECTING ||
           (tls->io.state == IO_OPEN && tls->early.is_pending);
}

/* Others have their turn, or the client is being asked for a signature. */
static bool rests(const struct io_tls *tls)
{
    if (!is_shaking(tls))
        return false;
    return tls->waits_long || (tls->signer && tls_signer_rests(tls->signer));
}

static void update_lower_interest(struct io_tls *tls)
{
    unsigned wanted = tls->wire.backlog.len > 0 ? IO_WRITE : 0;

    if (is_shaking(tls))
        wanted |= IO_READ;
    else if (tls->io.state == IO_OPEN)
        wanted |= tls->io.interest;
    else
        wanted = 0;
    if (tls->eof || tls->wire.eof || tls->late_error || rests(tls))
        wanted &= ~IO_READ; /* told by the task, not by a socket that stays readable */
    io_set_interest(tls->wire.lower, wanted);
}

/* Something can be read though the lower io may stay silent. */
static bool has_buffered(const struct io_tls *tls)
{
    return tls->eof || tls->late_error || tls->wire.eof ||
           (!tls->dry && SSL_has_pending(tls->ssl));
}

void tls_follow_up(struct io_tls *tls)
{
    if (tls->io.state == IO_CLOSED)
        return;
    update_lower_interest(tls);
    if (tls->io.state == IO_OPEN && (tls->io.interest & IO_READ) && !tls->early.is_pending &&
        has_buffered(tls))
        loop_defer_next(tls->io.loop, &tls->task);
}

static void tls_update_interest(struct io *io)
{
    tls_follow_up(tls_of(io));
}

/* --- failures ---------------------------------------------------------------------------- */

static void set_flood_failure(struct io_tls *tls)
{
    failure_set(&tls->io.failure, FAILURE_TLS, "%s sends more than %d tickets and key updates",
                tls->host.name, POST_HANDSHAKE_MAX);
}

/* The lower io failed or ended, or TLS did: fills io->failure. Return: what a read gives. */
static int explain(struct io_tls *tls, enum failure_kind kind)
{
    struct failure *why = &tls->io.failure;

    if (why->kind == FAILURE_TLS_VERIFY) { /* filled by the verify callback */
        ERR_clear_error();
        return -EKEYREJECTED;
    }
    if (tls->wire.is_stopped) {
        ERR_clear_error();
        set_flood_failure(tls);
        return -EPROTO;
    }
    if (tls->wire.error) {
        ERR_clear_error();
        if (io_last_failure(tls->wire.lower)->kind != FAILURE_NONE)
            *why = *io_last_failure(tls->wire.lower);
        else
            failure_set(why, FAILURE_INTERNAL, "out of memory while sending");
        return tls->wire.error;
    }
    if (tls->wire.eof) {
        ERR_clear_error();
        failure_set(why, kind, "%s closed the connection without close_notify", tls->host.name);
        return IO_TRUNCATED;
    }
    tls_failure_take(why, tls->host.name);
    return -EPROTO;
}

/* After SSL_connect(), SSL_read_ex() or SSL_write_ex() failed for good. */
int tls_explain(struct io_tls *tls, enum failure_kind kind)
{
    int error = explain(tls, kind);
    struct failure *why = &tls->io.failure;

    tls->wrong = true;
    if (error == -EPROTO && tls->sessions)
        tls_sessions_drop(tls->sessions, &tls->key); /* RFC 5246 §7.2.2 */
    if (!is_shaking(tls))
        return error;
    why->phase = PHASE_TLS;
    if (error == IO_TRUNCATED)
        failure_set(why, FAILURE_TLS, "%s closed the connection in the TLS handshake",
                    tls->host.name);
    else if (why->kind == FAILURE_RECEIVE || why->kind == FAILURE_SEND)
        why->kind = FAILURE_TLS;
    why->phase = PHASE_TLS;
    return error;
}

/* --- the handshake ------------------------------------------------------------------------ */

static int verify_cb(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct io_tls *tls = SSL_get_app_data(ssl);

    if (!ok && tls && !tls_context_is_insecure(tls->context))
        tls_verify_failure(&tls->io.failure, store, &tls->host);
    return ok;
}

static void info_cb(const SSL *ssl, int where, int value)
{
    struct io_tls *tls = SSL_get_app_data(ssl);

    (void)value;
    if (tls && where == SSL_CB_CONNECT_LOOP && tls->io.state == IO_OPEN &&
        !tls->early.is_pending)
        tls->wire.is_stopped = ++tls->n_post_handshake > POST_HANDSHAKE_MAX;
}

/* What comes in the handshake. A header is seen before OpenSSL judges its version. */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL's signature */
static void message_cb(
    int is_ours, int version, int type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
    struct io_tls *tls = arg;
    const unsigned char *header = bytes;

    (void)version;
    (void)ssl;
    if (type == SSL3_RT_HANDSHAKE && tls->signer)
        tls_signer_saw(tls->signer, (struct span){bytes, len});
    if (is_ours)
        return;
    if (type == SSL3_RT_HANDSHAKE)
        tls->got_handshake = true;
    if (type != SSL3_RT_HEADER || tls->got_record || len < SSL3_RT_HEADER_LENGTH)
        return;
    tls->got_record = true;
    tls->trouble.is_foreign_record = header[0] >= SSL3_RT_CHANGE_CIPHER_SPEC &&
                                     header[0] <= SSL3_RT_APPLICATION_DATA &&
                                     header[1] != SSL3_VERSION_MAJOR;
}

/* Nothing below TLS 1.2 is resumed. */
int io_tls_on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct io_tls *tls = SSL_get_app_data(ssl); /* NULL: closed meanwhile (TS10) */

    if (!tls || !tls->sessions || SSL_SESSION_get_protocol_version(session) < TLS1_2_VERSION)
        return 0;
    if (!SSL_session_reused(ssl))
        tls->past = (struct tls_session_past){.verified_s = loop_wall_s(tls->io.loop)};
    if (tls_sessions_put(tls->sessions, &tls->key, &tls->past, session) < 0)
        log_debug(NULL, "no memory for a TLS session of %s", tls->host.name);
    return 0; /* 1 would mean that we keep this one and not a copy */
}

/* A server may answer anything, and early OpenSSL 3.0 does not compare: only what was offered
 * counts. */
bool tls_alpn_was_offered(const struct io_tls *tls, struct span chosen)
{
    struct span rest = span_of(tls->offers);
    struct span offer;
    bool more = true;

    while (more) {
        more = span_split(&rest, ',', &offer);
        if (span_eq(offer, chosen))
            return true;
        if (!more)
            break;
    }
    return false;
}

static bool note_info(struct io_tls *tls)
{
    const unsigned char *alpn;
    unsigned alpn_len;

    memset(tls->alpn, 0, sizeof(tls->alpn)); /* what was expected before the handshake */
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    struct span chosen = {(const char *)alpn, alpn_len};
    if (alpn_len > 0 && !tls_alpn_was_offered(tls, chosen))
        return false;
    if (alpn_len > 0) /* fits: it is one of the offers */
        memcpy(tls->alpn, chosen.ptr, chosen.len);
    tls->info = (struct tls_info){.version = (uint16_t)SSL_version(tls->ssl),
                                  .resumed = SSL_session_reused(tls->ssl),
                                  .version_name = SSL_get_version(tls->ssl),
                                  .cipher = SSL_get_cipher_name(tls->ssl),
                                  .alpn = tls->alpn,
                                  .verify_result = (uint32_t)SSL_get_verify_result(tls->ssl)};
    return true;
}

bool io_tls_random_is_marked(const unsigned char random[32])
{
    return memcmp(random + 24, "DOWNGRD", 7) == 0 && random[31] <= 1;
}

/* OpenSSL compares with what this handshake offered; a rung offers less than we can. */
static bool was_pushed_down(const struct io_tls *tls)
{
    unsigned char random[SSL3_RANDOM_SIZE];

    return tls->is_fallback &&
           SSL_get_server_random(tls->ssl, random, sizeof(random)) == sizeof(random) &&
           io_tls_random_is_marked(random);
}

/* With io->failure. The session may have been put away already (TLS 1.2): to resume it would
 * skip what was refused here (TV16, CVE-2024-0853). */
static void fail_handshake(struct io_tls *tls)
{
    if (tls->sessions)
        tls_sessions_drop(tls->sessions, &tls->key);
    tls->wrong = true;
    io_tell_failed(&tls->io, -EPROTO);
}

#define PUSHED_DOWN_TEXT                                                                       \
    "can do better than the TLS version agreed upon: somebody between pushes it down"

void tls_refuse_handshake(struct io_tls *tls, enum failure_kind kind, const char *what)
{
    failure_set(&tls->io.failure, kind, "%s %s", tls->host.name, what);
    tls->io.failure.phase = PHASE_TLS;
    fail_handshake(tls);
}

/* What is resumed was held to the same pins: they are part of the session's key. */
static bool pins_hold(const struct io_tls *tls)
{
    struct span pins = tls_context_pins(tls->context);

    return pins.len == 0 || SSL_session_reused(tls->ssl) || tls_pins_hold(tls->ssl, pins);
}

/* What was seen is told as --pinnedpubkey would take it. */
static void refuse_pin(struct io_tls *tls)
{
    CLEANUP_BUF struct buf seen = BUF_INIT(0);
    uint8_t digest[TLS_PIN_BYTES] = {0};
    bool is_told = tls_pin_seen(tls->ssl, digest) &&
                   base64_encode(&seen, (struct span){(char *)digest, sizeof(digest)}) == 0;

    failure_set(&tls->io.failure, FAILURE_TLS_PIN,
                "%.64s shows none of the pinned keys, its own is sha256//%.*s; pin that if the "
                "site has changed it, else somebody is between",
                tls->host.name, is_told ? (int)seen.len : 1,
                is_told ? buf_span(&seen).ptr : "?");
    tls->io.failure.phase = PHASE_TLS;
    fail_handshake(tls);
}

/* As with pins: the session that is resumed had a good one. */
static bool status_holds(struct io_tls *tls)
{
    return !tls_context_wants_status(tls->context) || SSL_session_reused(tls->ssl) ||
           tls_status_holds(tls->ssl, loop_wall_s(tls->io.loop), &tls->io.failure);
}

/* What was written early was written for the session's protocol, and for TLS 1.3. */
static bool keeps_early_promise(const struct io_tls *tls, const char *alpn_before)
{
    return !tls->early.is_pending ||
           (tls->info.version == TLS1_3_VERSION && strcmp(tls->alpn, alpn_before) == 0);
}

/* What was agreed on. Return: whether it will do; else the owner has been told. */
static bool agrees(struct io_tls *tls)
{
    char before[IO_TLS_ALPN_MAX];

    memcpy(before, tls->alpn, sizeof(before));
    if (!note_info(tls)) {
        tls_refuse_handshake(tls, FAILURE_TLS, "chose a protocol that was not offered (ALPN)");
        return false;
    }
    if (!keeps_early_promise(tls, before)) {
        tls_refuse_handshake(tls, FAILURE_TLS,
                             "speaks another protocol than when it gave the session");
        return false;
    }
    return true;
}

static void handshake_done(struct io_tls *tls)
{
    bool trusted =
        tls_context_is_insecure(tls->context) || SSL_get_verify_result(tls->ssl) == X509_V_OK;

    INVARIANT(trusted); /* or the handshake has failed: SSL_VERIFY_PEER */
    SSL_set_msg_callback(tls->ssl, NULL);
    tls->signer = tls_signer_free(tls->signer);
    tls->trouble = (struct io_tls_trouble){.was_pushed_down = was_pushed_down(tls)};
    if (tls->trouble.was_pushed_down) {
        tls_refuse_handshake(tls, FAILURE_TLS_VERSION, PUSHED_DOWN_TEXT);
        return;
    }
    if (!pins_hold(tls)) {
        refuse_pin(tls);
        return;
    }
    if (!status_holds(tls)) {
        fail_handshake(tls);
        return;
    }
    if (!agrees(tls))
        return;
    if (tls->early.is_pending)
        tls_early_settle(tls);
    else
        io_tell_connected(&tls->io);
}

/* @reason: of the oldest error in the queue. */
static void note_trouble(struct io_tls *tls, int reason)
{
    struct io_tls_trouble *trouble = &tls->trouble;

    trouble->in_first_flight = !tls->got_handshake && !tls->wire.error && !tls->wire.eof;
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
        trouble->alert = (uint8_t)(reason - SSL_AD_REASON_OFFSET);
    trouble->was_pushed_down = was_pushed_down(tls);
}

/* A random that is marked explains whatever went wrong behind it. */
static int explain_handshake(struct io_tls *tls)
{
    int error = tls_explain(tls, FAILURE_TLS);

    if (tls->trouble.was_pushed_down) {
        failure_set(&tls->io.failure, FAILURE_TLS_VERSION, "%s " PUSHED_DOWN_TEXT,
                    tls->host.name);
        tls->io.failure.phase = PHASE_TLS;
    }
    return error;
}

static void handshake_step(struct io_tls *tls);

static void handshake_failed(struct io_tls *tls)
{
    note_trouble(tls, ERR_GET_REASON(ERR_peek_error()));
    io_tell_failed(&tls->io, explain_handshake(tls));
}

static void refuse_unsigned(struct io_tls *tls)
{
    tls->io.failure = *tls_signer_failure(tls->signer);
    fail_handshake(tls);
}

static void ask_for_turn(struct io_tls *tls);

static void signer_on_ready(void *owner)
{
    struct io_tls *tls = owner;

    if (is_shaking(tls))
        ask_for_turn(tls);
}

static void wire_on_above(void *owner, BIO *above)
{
    struct io_tls *tls = owner;

    if (tls->signer)
        tls_signer_hold(tls->signer, above);
}

static void handshake_step(struct io_tls *tls)
{
    ERR_clear_error();
    tls->early.is_shut = true;
    int r = SSL_connect(tls->ssl);
    if (r == 1) {
        tls->dry = false;
        handshake_done(tls);
        return;
    }
    switch (SSL_get_error(tls->ssl, r)) {
    case SSL_ERROR_WANT_WRITE: /* nothing but the signer makes it wait: see tls_wire.h */
        INVARIANT(tls->signer);
        tls_signer_ask(tls->signer);
        update_lower_interest(tls);
        break;
    case SSL_ERROR_WANT_READ: update_lower_interest(tls); break;
    default: handshake_failed(tls);
    }
    if (is_shaking(tls) && tls->signer && tls_signer_failure(tls->signer))
        refuse_unsigned(tls);
}

struct io_tls_trouble io_tls_trouble(const struct io *io)
{
    INVARIANT(io->ops == &tls_ops);
    return ((const struct io_tls *)(const void *)io)->trouble;
}

/* --- the owner's calls -------------------------------------------------------------------- */

/* SSL_get_error() must not see an older error. The queue is empty but after a failure, and to
 * clear it costs more than to encrypt a small record. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* Return: > 0 bytes, 0 at the end, -EAGAIN, or an error that io->failure explains. */
static ssize_t read_once(struct io_tls *tls, char *buf, size_t len)
{
    size_t n = 0;

    forget_errors();
    int r = SSL_read_ex(tls->ssl, buf, len, &n);
    if (r == 1)
        return (ssize_t)n;
    switch (SSL_get_error(tls->ssl, r)) {
    case SSL_ERROR_WANT_READ: tls->dry = true; return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: tls->eof = true; return 0;
    default: return tls_explain(tls, FAILURE_TRUNCATED);
    }
}

/* For a ticket or a key update OpenSSL sets up a buffer to write its answer, too, and keeps it
 * until something is written: on a connection that waits that can be never. */
static void release_buffers(struct io_tls *tls)
{
    if (tls->n_released_for != tls->n_post_handshake && !SSL_has_pending(tls->ssl) &&
        SSL_free_buffers(tls->ssl) == 1)
        tls->n_released_for = tls->n_post_handshake;
}

static ssize_t tls_read(struct io *io, char *buf, size_t len)
{
    struct io_tls *tls = tls_of(io);
    size_t total = 0;
    ssize_t n = tls->late_error;

    if (tls->eof)
        return 0;
    if (n < 0)
        return io_fail(io, (int)n);
    if (tls->early.is_pending)
        return -EAGAIN;
    do {
        n = read_once(tls, buf + total, len - total);
        if (n > 0)
            total += (size_t)n;
    } while (n > 0 && total < len && SSL_has_pending(tls->ssl)); /* else the socket will tell */
    release_buffers(tls);
    if (n < 0 && n != -EAGAIN) {
        if (total == 0)
            return io_fail(io, (int)n);
        tls->late_error = (int)n;
    }
    tls_follow_up(tls);
    return total > 0 || n == 0 ? (ssize_t)total : n;
}

/* What is in records is more on the wire, but for what OpenSSL has already. */
static void tls_expect(struct io *io, uint64_t bytes)
{
    struct io_tls *tls = tls_of(io);

    io_expect(tls->wire.lower, bytes > TLS_READ_AHEAD_BYTES ? bytes - TLS_READ_AHEAD_BYTES : 0);
}

/* Return: the error, which ends reading too unless the peer may have answered. */
static ssize_t write_failed(struct io_tls *tls)
{
    tls->io.failure = *io_last_failure(tls->wire.lower);
    return tls_wire_has_hung_up(&tls->wire) ? tls->wire.write_error
                                            : io_fail(&tls->io, tls->wire.write_error);
}

/* @ret_written: less than the record only of what goes early. Return: 0, or an error that
 * io->failure explains. */
static int write_record(struct io_tls *tls, struct span record, size_t *ret_written)
{
    forget_errors();
    if (tls->early.is_pending)
        return tls_early_write(tls, record, ret_written);
    return SSL_write_ex(tls->ssl, record.ptr, record.len, ret_written) == 1
               ? 0
               : tls_explain(tls, FAILURE_SEND);
}

static ssize_t tls_writev(struct io *io, const struct iovec *iov, int n)
{
    struct io_tls *tls = tls_of(io);
    struct tls_gather gather;
    size_t total = 0;

    tls_gather_init(&gather, iov, n);
    if (tls->late_error)
        return io_fail(io, tls->late_error);
    tls_wire_flush(&tls->wire);
    while (tls->wire.backlog.len == 0 && !tls->wire.write_error) {
        struct span record = tls_gather_next(&gather);
        size_t written = 0;

        if (record.len == 0)
            return (ssize_t)total;
        int r = write_record(tls, record, &written);
        if (r < 0)
            return io_fail(io, r);
        if (!tls->wire.write_error)
            total += written;
        if (written < record.len)
            break;
    }
    if (tls->wire.write_error && total == 0)
        return write_failed(tls);
    update_lower_interest(tls);
    return total > 0 ? (ssize_t)total : -EAGAIN;
}

static void tls_close(struct io *io, enum io_state before)
{
    struct io_tls *tls = tls_of(io);

    loop_defer_cancel(io->loop, &tls->task);
    loop_defer_cancel(io->loop, &tls->turn);
    ERR_clear_error();
    tls_wire_flush(&tls->wire);
    if (before == IO_OPEN && !tls->early.is_pending && !tls->wrong && !tls->wire.eof &&
        tls->wire.backlog.len == 0)
        (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
    SSL_set_app_data(tls->ssl, NULL);
    tls->signer = tls_signer_free(tls->signer);
    tls->wire.lower = io_close(tls->wire.lower);
}

static void tls_free(struct io *io)
{
    struct io_tls *tls = tls_of(io);

    SSL_free(tls->ssl);
    (void)tls_context_unref(tls->context);
    tls_wire_done(&tls->wire);
    buf_done(&tls->early.sent);
    mem_free(tls);
}

static const struct address *tls_local(const struct io *io)
{
    return io_local(((const struct io_tls *)(const void *)io)->wire.lower);
}

static const struct address *tls_remote(const struct io *io)
{
    return io_remote(((const struct io_tls *)(const void *)io)->wire.lower);
}

static const struct tls_info *tls_tls_info(const struct io *io)
{
    const struct io_tls *tls = (const struct io_tls *)(const void *)io;

    return tls->info.version != 0 ? &tls->info : NULL;
}

static int tls_certificates(const struct io *io, enum io_chain which, struct certificates **ret)
{
    const struct io_tls *tls = (const struct io_tls *)(const void *)io;
    const STACK_OF(X509) *chain = which == IO_CHAIN_VERIFIED
                                      ? SSL_get0_verified_chain(tls->ssl)
                                      : SSL_get_peer_cert_chain(tls->ssl);

    if (sk_X509_num(chain) <= 0 || (which == IO_CHAIN_VERIFIED && tls->info.verify_result))
        return 0;
    return tls_certificates_of(chain, ret);
}

static bool tls_covers_host(const struct io *io, struct span host)
{
    const struct io_tls *tls = (const struct io_tls *)(const void *)io;
    struct tls_host name;

    return tls->info.version != 0 && !tls->info.verify_result &&
           tls_host_parse(host, &name) == 0 && tls_verify_covers(tls->ssl, &name);
}

static uint64_t tls_unacked(const struct io *io)
{
    const struct io_tls *tls = (const struct io_tls *)(const void *)io;

    return tls->wire.backlog.len + io_unacked(tls->wire.lower);
}

static const struct io_ops tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .expect = tls_expect,
    .update_interest = tls_update_interest,
    .close = tls_close,
    .free = tls_free,
    .local = tls_local,
    .remote = tls_remote,
    .tls_info = tls_tls_info,
    .certificates = tls_certificates,
    .covers_host = tls_covers_host,
    .unacked = tls_unacked,
};

/* --- the lower io's calls ----------------------------------------------------------------- */

/* A step costs as much as hundreds of reads: a crowd that connects takes turns. */
static void ask_for_turn(struct io_tls *tls)
{
    if (deferred_is_queued(&tls->turn) && !tls->waits_long) {
        tls->waits_long = true;
        update_lower_interest(tls);
    }
    loop_defer_turn(tls->io.loop, &tls->turn);
}

static void tls_on_turn(void *owner)
{
    struct io_tls *tls = owner;

    tls->waits_long = false;
    if (tls->io.state == IO_CONNECTING && tls_early_opens(tls))
        return;
    if (is_shaking(tls))
        handshake_step(tls);
    tls_follow_up(tls);
}

static void lower_on_connected(void *owner)
{
    ask_for_turn(owner);
}

static void lower_on_readable(void *owner)
{
    struct io_tls *tls = owner;

    tls->dry = false;
    if (is_shaking(tls)) {
        ask_for_turn(tls);
        return;
    }
    io_tell_readable(&tls->io);
    tls_follow_up(tls);
}

static void lower_on_writable(void *owner)
{
    struct io_tls *tls = owner;

    tls_wire_flush(&tls->wire);
    if (tls->wire.write_error && !tls_wire_has_hung_up(&tls->wire)) {
        tls->io.failure = *io_last_failure(tls->wire.lower);
        io_tell_failed(&tls->io, tls->wire.write_error);
    } else if (tls->wire.backlog.len == 0) {
        io_tell_writable(&tls->io);
    }
    tls_follow_up(tls);
}

static void lower_on_failed(void *owner, const struct failure *why)
{
    struct io_tls *tls = owner;

    tls->io.failure = *why;
    tls->wrong = true;
    io_tell_failed(&tls->io, why->sys_errno > 0 ? -why->sys_errno : -EIO);
}

static const struct io_events lower_events = {
    .on_connected = lower_on_connected,
    .on_readable = lower_on_readable,
    .on_writable = lower_on_writable,
    .on_failed = lower_on_failed,
};

static void tls_on_task(void *owner)
{
    struct io_tls *tls = owner;

    if (is_shaking(tls)) {
        if (!io_is_connected(tls->wire.lower) || tls_early_waits(tls))
            return;
        ask_for_turn(tls);
        return;
    }
    io_tell_readable(&tls->io);
    tls_follow_up(tls);
}

/* --- making one --------------------------------------------------------------------------- */

/* "h2,http/1.1" as protocols with their lengths before them. Return: 0, -EINVAL, -ENOMEM. */
static int offer_alpn(struct io_tls *tls, struct span offers)
{
    unsigned char wire[IO_TLS_ALPN_MAX + 1];
    size_t len = 0;
    bool more = true;

    if (offers.len == 0)
        return 0;
    if (offers.len >= sizeof(tls->offers) || memchr(offers.ptr, '\0', offers.len))
        return fault(-EINVAL);
    memcpy(tls->offers, offers.ptr, offers.len);
    while (more) {
        struct span one;

        more = span_split(&offers, ',', &one);
        if (one.len == 0)
            return fault(-EINVAL);
        wire[len++] = (unsigned char)one.len;
        memcpy(wire + len, one.ptr, one.len);
        len += one.len;
    }
    return SSL_set_alpn_protos(tls->ssl, wire, (unsigned)len) == 0 ? 0 : fault(-ENOMEM);
}

static int resume(struct io_tls *tls, const struct io_tls_options *options)
{
    if (!options->sessions || options->is_fallback || tls_context_is_in_full(options->context))
        return 0;
    int r = tls_session_key_init(
        &tls->key, &(struct tls_session_for){.partition = &options->partition,
                                             .jar = options->jar,
                                             .host = span_of(tls->host.name),
                                             .port = options->port,
                                             .context = options->context,
                                             .private_jar = options->private_jar});
    if (r < 0)
        return r;
    tls->sessions = options->sessions;
    SSL_SESSION *session =
        tls_sessions_take(tls->sessions, &tls->key, loop_wall_s(tls->io.loop), &tls->past);
    if (session)
        (void)SSL_set_session(tls->ssl, session); /* or in full */
    SSL_SESSION_free(session);
    return 0;
}

/* Return: 0 or -EINVAL. */
static int limit_versions(struct io_tls *tls, const struct io_tls_options *options)
{
    tls->is_fallback = options->is_fallback;
    if (options->is_fallback)
        (void)SSL_set_mode(tls->ssl, SSL_MODE_SEND_FALLBACK_SCSV);
    if ((options->min_version && !SSL_set_min_proto_version(tls->ssl, options->min_version)) ||
        (options->max_version && !SSL_set_max_proto_version(tls->ssl, options->max_version)))
        return fault(-EINVAL);
    return 0;
}

static int set_up_signer(struct io_tls *tls, const struct io_tls_options *options)
{
    const struct tls_signer_options signer = {
        .answerer = options->answerer,
        .handle = options->answer_handle,
        .host = span_of(tls->host.name),
        .port = options->port,
        .on_ready = signer_on_ready,
        .owner = tls,
    };

    tls->wire.on_above = wire_on_above;
    tls->wire.owner = tls;
    return tls_signer_new(&tls->signer, tls->ssl, &signer);
}

static int set_up_ssl(struct io_tls *tls, const struct io_tls_options *options)
{
    bool insecure = tls_context_is_insecure(options->context);

    tls->ssl = SSL_new(tls_context_ssl_ctx(options->context));
    if (!tls->ssl)
        return fault(-ENOMEM);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_verify(tls->ssl, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, verify_cb);
    SSL_set_info_callback(tls->ssl, info_cb);
    SSL_set_msg_callback(tls->ssl, message_cb);
    SSL_set_msg_callback_arg(tls->ssl, tls);
    int r = limit_versions(tls, options);
    if (r == 0)
        r = tls_verify_setup(tls->ssl, &tls->host, loop_wall_s(tls->io.loop));
    if (r == 0)
        r = offer_alpn(tls, options->alpn);
    if (r == 0)
        r = resume(tls, options);
    if (r < 0)
        return r;

    BIO *bio = tls_wire_bio(&tls->wire);
    if (!bio)
        return fault(-ENOMEM);
    SSL_set_bio(tls->ssl, bio, bio);
    return options->answerer ? set_up_signer(tls, options) : 0;
}

int io_tls_new(struct io *lower,
               const struct io_tls_options *options,
               const struct io_events *events,
               void *owner,
               struct io **ret)
{
    CLEANUP_MEM struct io_tls *tls = mem_zalloc(sizeof(*tls));

    if (!tls)
        return fault(-ENOMEM);
    io_init(&tls->io, io_loop(lower), &tls_ops);
    tls->task = (struct deferred){.fn = tls_on_task, .owner = tls};
    tls->turn = (struct deferred){.fn = tls_on_turn, .owner = tls};
    tls_wire_init(&tls->wire, lower);
    tls->early = (struct tls_early){.goes_early = options->goes_early,
                                    .sent = BUF_INIT(TLS_RECORD_BYTES_MAX)};
    int r = tls_host_parse(options->host, &tls->host);
    if (r == 0)
        r = set_up_ssl(tls, options);
    ERR_clear_error();
    if (r < 0) {
        tls_signer_free(tls->signer);
        SSL_free(tls->ssl);
        return r;
    }
    tls->context = tls_context_ref(options->context);
    io_set_events(lower, &lower_events, tls);
    io_set_events(&tls->io, events, owner);
    if (io_is_connected(lower))
        loop_defer(tls->io.loop, &tls->task);
    *ret = &TAKE(tls)->io;
    return 0;
}
