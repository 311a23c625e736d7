/* SPDX-License-Identifier: MIT */
#include "net/tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/worker.h"
#include "net/ca_file.h"
#include "net/io_tls_priv.h"
#include "net/tls_digest.h"
#include "net/tls_identity.h"

#define CA_FILE_MAX_BYTES   (16U << 20)
#define LOOK_EACH_US        (1000 * 1000)
#define CHAIN_DEPTH_MAX     16     /* certificates between leaf and root; OpenSSL: 100 */
#define CERT_LIST_MAX_BYTES 102400 /* of a server's chain; OpenSSL's default, said aloud */

/* Up to TLS 1.2. AES-128 first: nothing is gained by twice the rounds, and it is the faster
 * one. CBC and plain RSA key exchange come last, for servers that have nothing better; no DSS,
 * PSK, SRP, anonymous ones; security level 2 bars RC4, 3DES, export and short keys. */
#define CIPHERS_1_2                                                                            \
    "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:"       \
    "DHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!aDSS:@SECLEVEL=2"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS      "X25519:P-256:P-384:P-521"

struct tls_context {
    struct map_node node; /* in contexts->cached, while it is linked in by_use */
    struct link by_use;
    unsigned refs;
    bool insecure;
    bool status;
    bool in_full;
    bool has_identity; /* its key lives as long as connections use it, not in the cache */
    char *pins;
    size_t pins_len;
    struct tls_digest config_digest; /* the node's key */
    struct tls_digest digest;
    SSL_CTX *ssl_ctx;
};

/* The trust store as read: certificates and the digest of their bytes. */
struct trust {
    X509_STORE *store;
    struct tls_digest digest;
};

struct tls_contexts {
    struct loop *loop;
    struct worker_pool *workers;
    struct tls_contexts_options options;
    struct map cached;  /* tls_context */
    struct link by_use; /* the same, longest unused first */
    unsigned n_cached;
    struct map loading; /* context_job, those that a new wait may join */
    unsigned n_jobs;
    unsigned generation; /* of the CA file: counts reloads */
    struct trust system; /* store NULL: not read yet */
    struct trust before; /* the file has changed: should it not be readable, this one goes on */
    struct ca_file_mark mark; /* of the file as it was read */
    int64_t looked_us;        /* when it was compared with that */
    struct link ready;        /* waits whose context is there */
    struct deferred task;
};

/* One context in the making. run() touches this only. */
struct context_job {
    struct job job; /* first */
    struct map_node node;
    bool is_in_map;
    struct link waits;
    struct tls_contexts *contexts;
    unsigned generation;
    struct tls_digest config_digest;
    bool insecure;
    bool status;
    bool in_full;
    uint16_t min_version;
    uint16_t max_version;
    char *pem; /* NULL: the system's store */
    size_t pem_len;
    char *identity;
    size_t identity_len;
    bool key_is_elsewhere;
    char *passphrase;
    size_t passphrase_len;
    char *pins;
    size_t pins_len;
    const char *ca_file;
    bool own_trust;          /* trust was read by this job */
    struct trust before;     /* should the file not be readable */
    struct failure file_why; /* it was not */
    struct ca_file_mark mark;
    unsigned n_skipped; /* certificates of the file that do not parse */
    struct trust trust;
    SSL_CTX *ssl_ctx; /* NULL: why */
    struct failure why;
};

static int min_version_of(const struct tls_config *config)
{
    return config->min_version ? config->min_version : TLS_VERSION_1_2;
}

static int max_version_of(const struct tls_config *config)
{
    return config->max_version ? config->max_version : TLS_VERSION_1_3;
}

int tls_config_digest(const struct tls_config *config, struct tls_digest *ret)
{
    struct {
        struct tls_digest pem;
        struct tls_digest identity;
        struct tls_digest passphrase;
        struct tls_digest pins;
        uint16_t has_pem;
        uint16_t insecure;
        uint16_t min_version;
        uint16_t max_version;
        uint16_t status;
        uint16_t in_full;
        uint16_t key_is_elsewhere;
    } text = {.has_pem = config->ca_pem.len > 0,
              .insecure = config->insecure,
              .status = config->status,
              .in_full = config->in_full,
              .key_is_elsewhere = config->key_is_elsewhere,
              .min_version = (uint16_t)min_version_of(config),
              .max_version = (uint16_t)max_version_of(config)};

    if (config->ca_pem.len > 0) {
        int r = tls_sha256(config->ca_pem, text.pem.bytes);
        if (r < 0)
            return r;
    }
    int r = tls_sha256(config->identity, text.identity.bytes);
    if (r == 0)
        r = tls_sha256(config->passphrase, text.passphrase.bytes);
    if (r == 0)
        r = tls_sha256(config->pins, text.pins.bytes);
    if (r < 0)
        return r;
    return tls_sha256((struct span){(const char *)&text, sizeof(text)}, ret->bytes);
}

/* --- making one, on a thread ----------------------------------------------------------- */

static int read_file(int fd, struct buf *ret)
{
    ssize_t n;

    do {
        int r = buf_reserve(ret, 65536);
        if (r < 0)
            return r;
        n = read(fd, buf_tail(ret), 65536);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            buf_commit(ret, (size_t)n);
    } while (n != 0);
    return 0;
}

static void read_ca_file(struct context_job *job, struct buf *ret)
{
    char reason[64];
    int fd = open(job->ca_file, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_file(fd, ret);

    if (fd >= 0 && !ca_file_mark_of_fd(fd, &job->mark))
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (r == 0)
        return;
    failure_set(&job->why, FAILURE_TLS_VERIFY,
                "cannot read the trusted CAs from %s: %s; install ca-certificates",
                job->ca_file, strerror_r(-r, reason, sizeof(reason)));
    job->why.sys_errno = -r;
}

/* A certificate that does not parse is skipped in the system's file, where one bad line must
 * not cost everybody everything, and an error in what a client gave. */
static int add_certificates(struct context_job *job, BIO *pem)
{
    int n_added = 0;

    for (;;) {
        X509 *cert = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (!cert && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break;
        int added = cert ? X509_STORE_add_cert(job->trust.store, cert) : 0;
        X509_free(cert);
        ERR_clear_error();
        if (added)
            n_added++;
        else if (job->pem)
            return -1;
        else
            job->n_skipped++;
    }
    ERR_clear_error();
    return n_added;
}

static void parse_trust(struct context_job *job, struct span bytes)
{
    BIO *pem = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    int n = 0;

    job->trust.store = X509_STORE_new();
    if (!pem || !job->trust.store || tls_sha256(bytes, job->trust.digest.bytes) < 0)
        failure_set(&job->why, FAILURE_INTERNAL, "out of memory for the trusted CAs");
    else
        n = add_certificates(job, pem);
    BIO_free(pem);
    if (n > 0 || job->why.kind != FAILURE_NONE)
        return;
    if (job->pem)
        failure_set(&job->why, FAILURE_ARGUMENT,
                    n < 0 ? "a certificate of the CA bundle does not parse: is it PEM?"
                          : "the CA bundle holds no certificate: is it PEM?");
    else
        failure_set(&job->why, FAILURE_TLS_VERIFY,
                    "%s holds no certificate: install ca-certificates", job->ca_file);
}

static void load_trust(struct context_job *job)
{
    CLEANUP_BUF struct buf file = BUF_INIT(CA_FILE_MAX_BYTES);

    job->own_trust = true;
    if (job->pem) {
        parse_trust(job, (struct span){job->pem, job->pem_len});
        return;
    }
    read_ca_file(job, &file);
    if (job->why.kind == FAILURE_NONE)
        parse_trust(job, buf_span(&file));
}

typedef int security_fn(
    const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *ex);

/*
 * OpenSSL 3.0 speaks TLS 1.0 and 1.1 at security level 0 only, where it would also take broken
 * certificates of a modern server. So the level stays 2, and its rules are kept but for two
 * things: those versions are allowed, and in them the signature of the handshake that they
 * prescribe (RSA: MD5-SHA1, ECDSA: SHA-1; certificates are judged apart). Thereby one handshake
 * serves old and new servers. Whether old versions are offered at all is min_version's.
 */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL's signature */
static int security_cb(
    const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other, void *ex)
{
    security_fn *usual;

    memcpy(&usual, &ex, sizeof(usual));
    if (op == SSL_SECOP_VERSION && nid >= TLS1_VERSION)
        return 1;
    bool is_signature = op == SSL_SECOP_SIGALG_CHECK || op == SSL_SECOP_SIGALG_SUPPORTED;
    bool is_theirs = nid == NID_md5_sha1 || nid == NID_sha1;
    if (is_signature && is_theirs && ssl && SSL_version(ssl) <= TLS1_1_VERSION)
        return 1;
    return usual(ssl, ctx, op, bits, nid, other, NULL);
}

static void allow_old_versions(SSL_CTX *ctx)
{
    security_fn *usual = SSL_CTX_get_security_callback(ctx);
    void *ex;

    memcpy(&ex, &usual, sizeof(ex));
    SSL_CTX_set0_security_ex_data(ctx, ex);
    SSL_CTX_set_security_callback(ctx, security_cb);
}

static bool set_up(SSL_CTX *ctx, const struct context_job *job)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, TLS_READ_AHEAD_BYTES);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX_BYTES);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                            SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, io_tls_on_new_session);
    SSL_CTX_set_security_level(ctx, 2);
    if (job->status)
        (void)SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    allow_old_versions(ctx);
    if (job->pem) /* who names a certificate trusts it, root or not: as curl's --cacert */
        (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return SSL_CTX_set_min_proto_version(ctx, job->min_version) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, job->max_version) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

/* Return: whether there is none, or it is taken. */
static bool take_identity(struct context_job *job)
{
    struct span identity = {job->identity, job->identity_len};
    struct span passphrase = {job->passphrase, job->passphrase_len};

    if (job->key_is_elsewhere)
        return tls_identity_show(job->ssl_ctx, identity, &job->why) == 0;
    return identity.len == 0 ||
           tls_identity_use(job->ssl_ctx, identity, passphrase, &job->why) == 0;
}

/* Where nothing is verified authorities only make the difference between one verify result that
 * is told and another. */
static void do_without_trust(struct context_job *job)
{
    X509_STORE_free(job->trust.store);
    job->trust = (struct trust){0};
    job->why = (struct failure){0};
}

/* A file that changed for the worse stops nobody: the authorities read before go on. */
static void go_on_as_before(struct context_job *job)
{
    X509_STORE_free(job->trust.store);
    job->trust = job->before;
    job->before = (struct trust){0};
    job->file_why = job->why;
    job->why = (struct failure){0};
}

static void job_run(struct job *base)
{
    struct context_job *job = (struct context_job *)(void *)base;

    if (!job->trust.store)
        load_trust(job);
    if (job->why.kind != FAILURE_NONE && job->before.store)
        go_on_as_before(job);
    if (job->insecure && job->why.kind != FAILURE_NONE)
        do_without_trust(job);
    if (job->why.kind != FAILURE_NONE)
        return;
    job->ssl_ctx = SSL_CTX_new(TLS_client_method());
    if (!job->ssl_ctx || !set_up(job->ssl_ctx, job)) {
        SSL_CTX_free(job->ssl_ctx);
        job->ssl_ctx = NULL;
        failure_set(&job->why, FAILURE_INTERNAL, "cannot make a TLS context");
    } else if (!take_identity(job)) {
        SSL_CTX_free(job->ssl_ctx);
        job->ssl_ctx = NULL;
    } else if (job->trust.store) {
        SSL_CTX_set1_cert_store(job->ssl_ctx, job->trust.store);
    }
    ERR_clear_error();
}

/* --- on the loop's thread --------------------------------------------------------------- */

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

struct tls_context *tls_context_unref(struct tls_context *context)
{
    if (!context || --context->refs > 0)
        return NULL;
    SSL_CTX_free(context->ssl_ctx);
    mem_free(context->pins);
    return mem_free(context);
}

SSL_CTX *tls_context_ssl_ctx(const struct tls_context *context)
{
    return context->ssl_ctx;
}

bool tls_context_is_insecure(const struct tls_context *context)
{
    return context->insecure;
}

bool tls_context_is_in_full(const struct tls_context *context)
{
    return context->in_full;
}

bool tls_context_wants_status(const struct tls_context *context)
{
    return context->status;
}

struct span tls_context_pins(const struct tls_context *context)
{
    return (struct span){context->pins, context->pins_len};
}

const struct tls_digest *tls_context_digest(const struct tls_context *context)
{
    return &context->digest;
}

static void uncache(struct tls_contexts *contexts, struct tls_context *context)
{
    map_remove(&contexts->cached, &context->node);
    link_remove(&context->by_use);
    contexts->n_cached--;
    (void)tls_context_unref(context);
}

static struct tls_context *longest_unused(struct tls_contexts *contexts)
{
    return CONTAINER_OF(list_first(&contexts->by_use), struct tls_context, by_use);
}

/* No room is no error: the next one makes it again. */
static void cache(struct tls_contexts *contexts, struct tls_context *context)
{
    struct span key = {(const char *)context->config_digest.bytes, sizeof(struct tls_digest)};

    if (map_find(&contexts->cached, key) || map_add(&contexts->cached, &context->node, key) < 0)
        return;
    list_append(&contexts->by_use, &tls_context_ref(context)->by_use);
    contexts->n_cached++;
    if (contexts->n_cached > contexts->options.contexts_max)
        uncache(contexts, longest_unused(contexts));
}

/* The wait is idle from here on, and may be gone after. */
static void
answer(struct tls_context_wait *wait, struct tls_context *context, const struct failure *why)
{
    link_remove(&wait->link);
    wait->contexts = NULL;
    wait->context = NULL;
    wait->on_done(wait->owner, context, why);
}

static void contexts_on_task(void *owner)
{
    struct tls_contexts *contexts = owner;

    while (!list_is_empty(&contexts->ready)) {
        struct tls_context_wait *wait =
            CONTAINER_OF(list_first(&contexts->ready), struct tls_context_wait, link);
        struct tls_context *context = wait->context;

        answer(wait, context, NULL);
        (void)tls_context_unref(context);
    }
}

/* What the file is decides together with what was asked: a session made under yesterday's
 * file must not be resumed under today's. */
static struct tls_context *make_context(struct context_job *job)
{
    struct tls_digest parts[2] = {job->config_digest, job->trust.digest};
    CLEANUP_MEM struct tls_context *context = mem_zalloc(sizeof(*context));

    if (!context || tls_sha256((struct span){(const char *)parts, sizeof(parts)},
                               context->digest.bytes) < 0)
        return NULL;
    link_init(&context->by_use);
    context->refs = 1;
    context->insecure = job->insecure;
    context->status = job->status;
    context->in_full = job->in_full;
    context->has_identity = job->identity_len > 0;
    context->pins = TAKE(job->pins);
    context->pins_len = job->pins_len;
    context->config_digest = job->config_digest;
    context->ssl_ctx = TAKE(job->ssl_ctx);
    return TAKE(context);
}

static void job_leave_map(struct context_job *job)
{
    if (job->is_in_map)
        map_remove(&job->contexts->loading, &job->node);
    job->is_in_map = false;
}

static void job_free(struct context_job *job)
{
    X509_STORE_free(job->trust.store);
    X509_STORE_free(job->before.store);
    SSL_CTX_free(job->ssl_ctx);
    mem_free(job->pem);
    mem_free_secret(job->identity, job->identity_len);
    mem_free_secret(job->passphrase, job->passphrase_len);
    mem_free(job->pins);
    mem_free(job);
}

static void forget(struct trust *trust)
{
    X509_STORE_free(trust->store);
    *trust = (struct trust){0};
}

static void note_file(struct tls_contexts *contexts, const struct context_job *job)
{
    forget(&contexts->before);
    contexts->looked_us = loop_now_us(contexts->loop);
    if (job->file_why.kind == FAILURE_NONE)
        contexts->mark = job->mark;
    else /* the mark stays that of the file that could not be read: it is looked at once */
        log_warning(NULL, "%s; going on with those read before", job->file_why.text);
}

static void keep_system_trust(struct tls_contexts *contexts, struct context_job *job)
{
    if (!job->own_trust || job->pem)
        return;
    if (job->n_skipped > 0)
        log_warning(NULL, "%u certificates of %s do not parse, ignoring them", job->n_skipped,
                    job->ca_file);
    if (contexts->system.store || !job->trust.store ||
        job->generation != contexts->generation || job->why.kind != FAILURE_NONE)
        return;
    contexts->system = job->trust;
    X509_STORE_up_ref(contexts->system.store);
    note_file(contexts, job);
}

static void job_done(struct job *base)
{
    struct context_job *job = (struct context_job *)(void *)base;
    struct tls_contexts *contexts = job->contexts;
    CLEANUP(tls_context_unref) struct tls_context *context = NULL;

    contexts->n_jobs--;
    job_leave_map(job);
    keep_system_trust(contexts, job);
    if (job->job.cancelled)
        failure_set(&job->why, FAILURE_SHUTDOWN, "the daemon is leaving");
    else if (job->why.kind == FAILURE_NONE && !(context = make_context(job)))
        failure_set(&job->why, FAILURE_INTERNAL, "out of memory for a TLS context");
    job->why.phase = PHASE_TLS;
    if (context && !context->has_identity && job->generation == contexts->generation)
        cache(contexts, context);
    while (!list_is_empty(&job->waits)) /* nobody can join any more */
        answer(CONTAINER_OF(list_first(&job->waits), struct tls_context_wait, link), context,
               context ? NULL : &job->why);
    job_free(job);
}

static int copy(struct span from, char **ret, size_t *ret_len)
{
    if (from.len == 0)
        return 0;
    *ret = mem_dup(from);
    *ret_len = from.len;
    return *ret ? 0 : fault(-ENOMEM);
}

/* Who we are and whom we expect. Return: 0 or -ENOMEM. */
static int copy_identity(struct context_job *job, const struct tls_config *config)
{
    int r = copy(config->identity, &job->identity, &job->identity_len);

    if (r == 0)
        r = copy(config->passphrase, &job->passphrase, &job->passphrase_len);
    if (r == 0)
        r = copy(config->pins, &job->pins, &job->pins_len);
    return r;
}

static int job_new(struct tls_contexts *contexts,
                   const struct tls_config *config,
                   const struct tls_digest *digest,
                   struct context_job **ret)
{
    struct context_job *job = mem_zalloc(sizeof(*job));

    if (!job)
        return fault(-ENOMEM);
    link_init(&job->waits);
    job->job.run = job_run;
    job->job.done = job_done;
    job->contexts = contexts;
    job->generation = contexts->generation;
    job->config_digest = *digest;
    job->insecure = config->insecure;
    job->status = config->status;
    job->in_full = config->in_full;
    job->key_is_elsewhere = config->key_is_elsewhere;
    job->min_version = (uint16_t)min_version_of(config);
    job->max_version = (uint16_t)max_version_of(config);
    job->ca_file = contexts->options.ca_file;
    int r = copy_identity(job, config);
    if (r == 0 && config->ca_pem.len > 0) {
        r = copy(config->ca_pem, &job->pem, &job->pem_len);
    } else if (contexts->system.store) {
        job->trust = contexts->system;
        X509_STORE_up_ref(job->trust.store);
    } else if (contexts->before.store) {
        job->before = contexts->before;
        X509_STORE_up_ref(job->before.store);
    }
    if (r < 0) {
        job_free(job);
        return r;
    }
    *ret = job;
    return 0;
}

static int job_start(struct tls_contexts *contexts,
                     const struct tls_config *config,
                     const struct tls_digest *digest,
                     struct context_job **ret)
{
    struct context_job *job = NULL;

    int r = job_new(contexts, config, digest, &job);
    if (r < 0)
        return r;
    struct span key = {(const char *)job->config_digest.bytes, sizeof(struct tls_digest)};
    r = map_add(&contexts->loading, &job->node, key);
    if (r == 0) {
        job->is_in_map = true;
        r = worker_submit(contexts->workers, &job->job);
    }
    if (r < 0) {
        job_leave_map(job);
        job_free(job);
        return r;
    }
    contexts->n_jobs++;
    *ret = job;
    return 0;
}

static bool is_possible(const struct tls_config *config)
{
    int min = min_version_of(config);
    int max = max_version_of(config);

    return min >= TLS_VERSION_1_0 && !(config->status && config->insecure) &&
           max <= TLS_VERSION_1_3 && min <= max && config->ca_pem.len <= TLS_CA_PEM_MAX_BYTES &&
           config->identity.len <= TLS_IDENTITY_BYTES_MAX &&
           config->passphrase.len <= TLS_PASSPHRASE_MAX &&
           config->pins.len <= (size_t)TLS_PINS_MAX * TLS_PIN_BYTES &&
           config->pins.len % TLS_PIN_BYTES == 0;
}

static bool leave_loading(struct map_node *node, void *arg)
{
    (void)arg;
    job_leave_map(CONTAINER_OF(node, struct context_job, node));
    return true;
}

void tls_contexts_reload(struct tls_contexts *contexts)
{
    contexts->generation++;
    while (contexts->n_cached > 0)
        uncache(contexts, longest_unused(contexts));
    map_each(&contexts->loading, leave_loading, NULL);
    forget(&contexts->system);
    forget(&contexts->before);
}

/* Asked for a context, so for each new connection, once a second at most: no connection that is
 * kept pays for it. */
static void look_at_file(struct tls_contexts *contexts)
{
    int64_t now_us = loop_now_us(contexts->loop);
    struct ca_file_mark mark;

    if (!contexts->system.store || now_us - contexts->looked_us < LOOK_EACH_US)
        return;
    contexts->looked_us = now_us;
    /* While it is being replaced it may be missing, or empty. */
    if (!ca_file_mark_of_path(contexts->options.ca_file, &mark) || mark.size == 0 ||
        ca_file_mark_eq(&mark, &contexts->mark))
        return;
    log_notice(NULL, "%s has changed, reading it anew", contexts->options.ca_file);
    struct trust before = contexts->system;
    contexts->system = (struct trust){0};
    tls_contexts_reload(contexts);
    contexts->before = before;
    contexts->mark = mark;
}

int tls_contexts_get(struct tls_contexts *contexts,
                     const struct tls_config *config,
                     struct tls_context_wait *wait)
{
    struct tls_digest digest;
    struct context_job *job;

    INVARIANT(!wait->contexts);
    if (!is_possible(config))
        return fault(-EINVAL);
    look_at_file(contexts);
    int r = tls_config_digest(config, &digest);
    if (r < 0)
        return r;

    struct span key = {(const char *)digest.bytes, sizeof(digest)};
    struct map_node *node = map_find(&contexts->cached, key);
    link_init(&wait->link);
    wait->context = NULL;
    if (node) {
        struct tls_context *context = CONTAINER_OF(node, struct tls_context, node);

        link_remove(&context->by_use);
        list_append(&contexts->by_use, &context->by_use);
        wait->context = tls_context_ref(context);
        wait->contexts = contexts;
        list_append(&contexts->ready, &wait->link);
        loop_defer(contexts->loop, &contexts->task);
        return 0;
    }
    node = map_find(&contexts->loading, key);
    if (node) {
        job = CONTAINER_OF(node, struct context_job, node);
    } else {
        r = job_start(contexts, config, &digest, &job);
        if (r < 0)
            return r;
    }
    wait->contexts = contexts;
    list_append(&job->waits, &wait->link);
    return 0;
}

void tls_contexts_cancel(struct tls_context_wait *wait)
{
    if (!wait->contexts)
        return;
    link_remove(&wait->link);
    wait->contexts = NULL;
    wait->context = tls_context_unref(wait->context);
}

int tls_contexts_new(struct tls_contexts **ret,
                     struct loop *loop,
                     struct worker_pool *workers,
                     const struct tls_contexts_options *options)
{
    struct tls_contexts *contexts = mem_zalloc(sizeof(*contexts));

    if (!contexts)
        return fault(-ENOMEM);
    contexts->loop = loop;
    contexts->workers = workers;
    contexts->options = *options;
    link_init(&contexts->by_use);
    link_init(&contexts->ready);
    contexts->task = (struct deferred){.fn = contexts_on_task, .owner = contexts};
    *ret = contexts;
    return 0;
}

struct tls_contexts *tls_contexts_free(struct tls_contexts *contexts)
{
    if (!contexts)
        return NULL;
    INVARIANT(list_is_empty(&contexts->ready));
    loop_defer_cancel(contexts->loop, &contexts->task);
    if (contexts->n_jobs > 0) { /* they are the thread's that hangs in a read, until the end */
        INVARIANT(worker_has_left_any());
        return NULL;
    }
    tls_contexts_reload(contexts);
    map_done(&contexts->cached);
    map_done(&contexts->loading);
    return mem_free(contexts);
}
