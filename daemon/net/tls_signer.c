/* SPDX-License-Identifier: MIT */
/* Keys with methods of one's own are deprecated in favour of providers, which cannot rest
 * either. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/tls_signer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "loop/answerer.h"

#define TRANSCRIPT_MAX_BYTES (256U * 1024) /* a server's chain is the most of it */
#define SIGNATURE_MAX_BYTES  1024          /* RSA of 8192 bits */
#define RECORD_HEAD_BYTES    5
#define MESSAGE_HEAD_BYTES   4
#define HANDSHAKE_RECORD     22

enum signer_state {
    SIGNER_IDLE,
    SIGNER_HOLDS, /* what is to be signed is known */
    SIGNER_ASKS,
    SIGNER_READY, /* there is a signature */
    SIGNER_FAILED,
};

struct tls_signer {
    SSL *ssl;
    struct tls_signer_options options;
    enum signer_state state;
    struct buf transcript; /* handshake messages, as they are hashed */
    bool is_incomplete;    /* no memory for all of it */
    struct buf data;       /* what is to be signed */
    unsigned scheme;
    struct ask ask;
    unsigned char signature[SIGNATURE_MAX_BYTES];
    size_t signature_len;
    struct failure why;
};

/* ---- keys that do not sign themselves -----------------------------------------------------
 */

static pthread_once_t methods_once = PTHREAD_ONCE_INIT;
static RSA_METHOD *rsa_method;
static EC_KEY_METHOD *ec_method;
static int rsa_index = -1;
static int ec_index = -1;

/* Return: the signature's length, or -1. */
static int give_signature(const struct tls_signer *signer, unsigned char *to, size_t size)
{
    if (!signer || signer->state != SIGNER_READY || signer->signature_len > size)
        return -1;
    memcpy(to, signer->signature, signer->signature_len);
    return (int)signer->signature_len;
}

/* Whatever the padding: the client has signed all of it. */
static int
rsa_sign_cb(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    (void)len;
    (void)from;
    (void)padding;
    return give_signature(RSA_get_ex_data(rsa, rsa_index), to, (size_t)RSA_size(rsa));
}

/* NOLINTNEXTLINE(readability-function-size): OpenSSL's signature */
static int ec_sign_cb(int type,
                      const unsigned char *digest,
                      int digest_len,
                      unsigned char *to,
                      unsigned *ret_len,
                      const BIGNUM *kinv,
                      const BIGNUM *r,
                      EC_KEY *key)
{
    int len = give_signature(EC_KEY_get_ex_data(key, ec_index), to, (size_t)ECDSA_size(key));

    (void)type;
    (void)digest;
    (void)digest_len;
    (void)kinv;
    (void)r;
    if (len >= 0)
        *ret_len = (unsigned)len;
    return len >= 0;
}

static void make_methods(void)
{
    rsa_method = RSA_meth_dup(RSA_get_default_method());
    ec_method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (rsa_method && RSA_meth_set_priv_enc(rsa_method, rsa_sign_cb) != 1) {
        RSA_meth_free(rsa_method);
        rsa_method = NULL;
    }
    if (ec_method)
        EC_KEY_METHOD_set_sign(ec_method, ec_sign_cb, NULL, NULL);
}

static EVP_PKEY *rsa_key(struct tls_signer *signer, EVP_PKEY *public)
{
    const RSA *from = EVP_PKEY_get0_RSA(public);
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *n = from ? BN_dup(RSA_get0_n(from)) : NULL;
    BIGNUM *e = from ? BN_dup(RSA_get0_e(from)) : NULL;
    bool done = key && rsa && rsa_method && RSA_set_method(rsa, rsa_method) == 1 &&
                RSA_set_ex_data(rsa, rsa_index, signer) == 1 &&
                RSA_set0_key(rsa, n, e, NULL) == 1;

    if (!done) {
        BN_free(n);
        BN_free(e);
    }
    done = done && EVP_PKEY_set1_RSA(key, rsa) == 1;
    RSA_free(rsa);
    if (!done)
        EVP_PKEY_free(key);
    return done ? key : NULL;
}

static EVP_PKEY *ec_key(struct tls_signer *signer, EVP_PKEY *public)
{
    const EC_KEY *from = EVP_PKEY_get0_EC_KEY(public);
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new();
    bool done = key && ec && from && ec_method && EC_KEY_set_method(ec, ec_method) == 1 &&
                EC_KEY_set_ex_data(ec, ec_index, signer) == 1 &&
                EC_KEY_set_group(ec, EC_KEY_get0_group(from)) == 1 &&
                EC_KEY_set_public_key(ec, EC_KEY_get0_public_key(from)) == 1 &&
                EVP_PKEY_set1_EC_KEY(key, ec) == 1;

    EC_KEY_free(ec);
    if (!done)
        EVP_PKEY_free(key);
    return done ? key : NULL;
}

static int use_key(struct tls_signer *signer)
{
    X509 *cert = SSL_get_certificate(signer->ssl);
    EVP_PKEY *public = cert ? X509_get0_pubkey(cert) : NULL;
    EVP_PKEY *key = NULL;

    if (!public)
        return fault(-EINVAL);
    switch (EVP_PKEY_get_base_id(public)) {
    case EVP_PKEY_RSA: key = rsa_key(signer, public); break;
    case EVP_PKEY_EC: key = ec_key(signer, public); break;
    default: return -EINVAL;
    }
    int r = key && SSL_use_PrivateKey(signer->ssl, key) == 1 ? 0 : fault(-ENOMEM);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return r;
}

/* ---- what is to be signed -----------------------------------------------------------------
 */

static const EVP_MD *retry_digest(struct span message)
{
    /* head, version, random, session id with its length, cipher */
    size_t at = MESSAGE_HEAD_BYTES + 2 + 32;
    size_t cipher = message.len > at ? at + 1 + (uint8_t)message.ptr[at] : message.len;

    if (cipher + 2 > message.len)
        return NULL;
    return (uint8_t)message.ptr[cipher + 1] == 2 ? EVP_sha384() : EVP_sha256();
}

/* RFC 8446 §4.1.3: a HelloRetryRequest is a ServerHello with this random. */
static bool is_retry(struct span message)
{
    static const char random[] =
        "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91"
        "\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C";

    return message.len > MESSAGE_HEAD_BYTES + 2 + 32 && message.ptr[0] == 2 &&
           memcmp(message.ptr + MESSAGE_HEAD_BYTES + 2, random, 32) == 0;
}

/* §4.4.1: the first hello then counts as its hash. */
static int fold_first_hello(struct tls_signer *signer, struct span retry)
{
    const EVP_MD *md = retry_digest(retry);
    char head[MESSAGE_HEAD_BYTES + EVP_MAX_MD_SIZE] = {(char)254};
    struct span hello = buf_span(&signer->transcript);
    unsigned len = 0;

    if (!md || EVP_Digest(hello.ptr, hello.len, (unsigned char *)head + MESSAGE_HEAD_BYTES,
                          &len, md, NULL) != 1)
        return fault(-ENOMEM);
    head[3] = (char)len;
    buf_clear(&signer->transcript);
    return buf_append(&signer->transcript, (struct span){head, MESSAGE_HEAD_BYTES + len});
}

void tls_signer_saw(struct tls_signer *signer, struct span message)
{
    int r = 0;

    if (signer->state == SIGNER_READY || message.len < MESSAGE_HEAD_BYTES ||
        message.ptr[0] == 0) /* a HelloRequest is not hashed */
        return;
    if (is_retry(message))
        r = fold_first_hello(signer, message);
    if (r == 0)
        r = buf_append(&signer->transcript, message);
    signer->is_incomplete = signer->is_incomplete || r < 0;
}

static int add_length(struct buf *to, size_t len)
{
    char text[3] = {(char)(len >> 16), (char)(len >> 8), (char)len};

    return buf_append(to, (struct span){text, sizeof(text)});
}

/* A CertificateEntry of TLS 1.3, without extensions. */
static int add_certificate(struct buf *to, X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);

    if (len < 0)
        return fault(-ENOMEM);
    int r = add_length(to, (size_t)len);
    if (r == 0)
        r = buf_append(to, (struct span){(char *)der, (size_t)len});
    if (r == 0)
        r = buf_append(to, (struct span){"\0", 2});
    OPENSSL_free(der);
    return r;
}

/* Our Certificate message: it is on its way, but encrypted. */
static int add_own_certificate(struct tls_signer *signer, struct buf *to)
{
    CLEANUP_BUF struct buf list = BUF_INIT(TRANSCRIPT_MAX_BYTES);
    STACK_OF(X509) *chain = NULL;
    int r = add_certificate(&list, SSL_get_certificate(signer->ssl));

    (void)SSL_get0_chain_certs(signer->ssl, &chain);
    for (int i = 0; r == 0 && i < sk_X509_num(chain); i++)
        r = add_certificate(&list, sk_X509_value(chain, i));
    if (r == 0)
        r = buf_append(to, SPAN_LIT("\x0b"));
    if (r == 0)
        r = add_length(to, 1 + 3 + list.len);
    if (r == 0)
        r = buf_append(to, (struct span){"\0", 1}); /* the request's context */
    if (r == 0)
        r = add_length(to, list.len);
    return r < 0 ? r : buf_append(to, buf_span(&list));
}

/* RFC 8446 §4.4.3. */
static int find_data_1_3(struct tls_signer *signer)
{
    static const char context[] = "TLS 1.3, client CertificateVerify"; /* with its NUL */
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(signer->ssl));
    unsigned char digest[EVP_MAX_MD_SIZE];
    char spaces[64];
    unsigned len = 0;
    int r = add_own_certificate(signer, &signer->transcript);

    if (r < 0)
        return r;
    struct span all = buf_span(&signer->transcript);
    if (!md || EVP_Digest(all.ptr, all.len, digest, &len, md, NULL) != 1)
        return fault(-ENOMEM);
    memset(spaces, ' ', sizeof(spaces));
    r = buf_append(&signer->data, (struct span){spaces, sizeof(spaces)});
    if (r == 0)
        r = buf_append(&signer->data, (struct span){context, sizeof(context)});
    return r < 0 ? r : buf_append(&signer->data, (struct span){(char *)digest, len});
}

/* RFC 5246 §7.4.8: all messages, up to the ClientKeyExchange in @record. */
static int find_data_1_2(struct tls_signer *signer, struct span record)
{
    int r = buf_append(&signer->data, buf_span(&signer->transcript));

    if (record.len <= RECORD_HEAD_BYTES || record.ptr[0] != HANDSHAKE_RECORD)
        return fault(-EINVAL);
    return r < 0 ? r : buf_append(&signer->data, span_drop(record, RECORD_HEAD_BYTES));
}

/* The scheme that OpenSSL chose; 0: none, or one that nobody should use. RFC 8446 §4.2.3. */
static unsigned scheme_of(SSL *ssl)
{
    static const struct {
        int type, hash;
        unsigned scheme;
    } rows[] = {
        {EVP_PKEY_RSA, NID_sha256, 0x0401},     {EVP_PKEY_RSA, NID_sha384, 0x0501},
        {EVP_PKEY_RSA, NID_sha512, 0x0601},     {EVP_PKEY_EC, NID_sha256, 0x0403},
        {EVP_PKEY_EC, NID_sha384, 0x0503},      {EVP_PKEY_EC, NID_sha512, 0x0603},
        {EVP_PKEY_RSA_PSS, NID_sha256, 0x0804}, {EVP_PKEY_RSA_PSS, NID_sha384, 0x0805},
        {EVP_PKEY_RSA_PSS, NID_sha512, 0x0806},
    };
    int type = NID_undef;
    int hash = NID_undef;

    if (SSL_get_signature_nid(ssl, &hash) != 1 || SSL_get_signature_type_nid(ssl, &type) != 1)
        return 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].type == type && rows[i].hash == hash)
            return rows[i].scheme;
    }
    return 0;
}

static void fail(struct tls_signer *signer, const char *what)
{
    signer->state = SIGNER_FAILED;
    failure_set(&signer->why, FAILURE_TLS, "%.*s: %s", (int)signer->options.host.len,
                signer->options.host.ptr, what);
    signer->why.phase = PHASE_TLS;
}

static void find_data(struct tls_signer *signer, struct span record)
{
    bool is_1_3 = SSL_version(signer->ssl) >= TLS1_3_VERSION;
    int r = signer->is_incomplete ? -ENOMEM
            : is_1_3              ? find_data_1_3(signer)
                                  : find_data_1_2(signer, record);

    buf_done(&signer->transcript);
    signer->state = SIGNER_HOLDS;
    if (r < 0)
        fail(signer, "no memory for what the client has to sign");
    else if (signer->data.len > ASK_BYTES_MAX)
        fail(signer, "the handshake is too long for the client to sign: TLS 1.3 would sign a "
                     "digest");
}

/* ---- resting ------------------------------------------------------------------------------
 */

/* Whether this write is the last before the signature. Without a scheme no certificate is
 * sent. */
static bool is_last_before_signature(const struct tls_signer *signer)
{
    OSSL_HANDSHAKE_STATE at = SSL_get_state(signer->ssl);

    return (at == TLS_ST_CW_CERT && SSL_version(signer->ssl) >= TLS1_3_VERSION) ||
           (at == TLS_ST_CW_KEY_EXCH && SSL_version(signer->ssl) == TLS1_2_VERSION);
}

/* NOLINTBEGIN(readability-function-size, readability-non-const-parameter): OpenSSL's signature
 */
static long above_cb(BIO *above,
                     int operation,
                     const char *bytes,
                     size_t len,
                     int argi,
                     long argl,
                     int ret,
                     size_t *processed)
/* NOLINTEND(readability-function-size, readability-non-const-parameter) */
{
    struct tls_signer *signer = (struct tls_signer *)(void *)BIO_get_callback_arg(above);

    (void)argi;
    (void)argl;
    (void)processed;
    if (operation != BIO_CB_WRITE || !signer)
        return ret;
    if (signer->state == SIGNER_IDLE && is_last_before_signature(signer)) {
        signer->scheme = scheme_of(signer->ssl);
        if (signer->scheme != 0)
            find_data(signer, (struct span){bytes, len});
    }
    if (signer->state == SIGNER_IDLE || signer->state == SIGNER_READY)
        return ret;
    BIO_set_retry_write(above);
    return -1;
}

void tls_signer_hold(struct tls_signer *signer, BIO *above)
{
    BIO_set_callback_ex(above, above_cb);
    BIO_set_callback_arg(above, (char *)signer);
}

/* A wrong signature is the client's trouble: said before the server could complain. */
static bool is_right(const struct tls_signer *signer, struct span signature)
{
    static const char *const hashes[] = {"SHA256", "SHA384", "SHA512"};
    bool is_pss = signer->scheme >= 0x0804;
    unsigned hash = is_pss ? signer->scheme - 0x0804 : (signer->scheme >> 8) - 4;
    EVP_PKEY *public = X509_get0_pubkey(SSL_get_certificate(signer->ssl));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *params = NULL;
    struct span data = buf_span(&signer->data);
    bool right =
        ctx &&
        EVP_DigestVerifyInit_ex(ctx, &params, hashes[hash], NULL, NULL, public, NULL) == 1 &&
        (!is_pss || (EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
        EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len,
                         (const unsigned char *)data.ptr, data.len) == 1;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return right;
}

static void signer_on_answer(void *owner, struct span bytes, const struct failure *why)
{
    struct tls_signer *signer = owner;

    if (why) {
        signer->state = SIGNER_FAILED;
        signer->why = *why;
    } else if (bytes.len > sizeof(signer->signature) || !is_right(signer, bytes)) {
        fail(signer, "the client's signature does not fit its certificate, or what was to be "
                     "signed");
    } else {
        memcpy(signer->signature, bytes.ptr, bytes.len);
        signer->signature_len = bytes.len;
        signer->state = SIGNER_READY;
    }
    signer->options.on_ready(signer->options.owner);
}

void tls_signer_ask(struct tls_signer *signer)
{
    if (signer->state != SIGNER_HOLDS)
        return;
    signer->ask = (struct ask){
        .kind = ASK_SIGNATURE,
        .handle = signer->options.handle,
        .host = signer->options.host,
        .port = signer->options.port,
        .scheme = signer->scheme,
        .bytes = buf_span(&signer->data),
        .on_end = signer_on_answer,
        .owner = signer,
    };
    signer->state = SIGNER_ASKS;
    if (ask_start(signer->options.answerer, &signer->ask) < 0)
        fail(signer, "no memory to ask the client for a signature");
}

bool tls_signer_rests(const struct tls_signer *signer)
{
    return signer->state == SIGNER_ASKS;
}

const struct failure *tls_signer_failure(const struct tls_signer *signer)
{
    return signer->state == SIGNER_FAILED ? &signer->why : NULL;
}

/* ---- life ---------------------------------------------------------------------------------
 */

int tls_signer_new(struct tls_signer **ret, SSL *ssl, const struct tls_signer_options *options)
{
    struct tls_signer *signer = mem_zalloc(sizeof(*signer));

    if (!signer)
        return fault(-ENOMEM);
    pthread_once(&methods_once, make_methods);
    signer->ssl = ssl;
    signer->options = *options;
    signer->transcript = BUF_INIT(TRANSCRIPT_MAX_BYTES);
    signer->data = BUF_INIT(TRANSCRIPT_MAX_BYTES);
    int r = use_key(signer);
    if (r < 0) {
        mem_free(signer);
        return r;
    }
    (void)SSL_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN); /* or we could not tell what is sent */
    (void)answerer_ref(options->answerer);
    *ret = signer;
    return 0;
}

struct tls_signer *tls_signer_free(struct tls_signer *signer)
{
    if (!signer)
        return NULL;
    ask_cancel(&signer->ask);
    (void)answerer_unref(signer->options.answerer);
    buf_done(&signer->transcript);
    buf_done(&signer->data);
    return mem_free(signer);
}
