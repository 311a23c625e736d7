/* SPDX-License-Identifier: MIT */
#include "http/auth_digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/field.h"

/* ---- the challenge ---------------------------------------------------------------------- */

enum param {
    PARAM_REALM,
    PARAM_NONCE,
    PARAM_OPAQUE,
    PARAM_ALGORITHM,
    PARAM_QOP,
    PARAM_STALE,
    PARAM_USERHASH,
    PARAM_CHARSET,
    PARAM_COUNT, /* any other is skipped: RFC 7616 §3.3, auth-param */
};

static enum param param_of(struct span name)
{
    static const char *const names[PARAM_COUNT] = {
        [PARAM_REALM] = "realm",         [PARAM_NONCE] = "nonce",     [PARAM_OPAQUE] = "opaque",
        [PARAM_ALGORITHM] = "algorithm", [PARAM_QOP] = "qop",         [PARAM_STALE] = "stale",
        [PARAM_USERHASH] = "userhash",   [PARAM_CHARSET] = "charset",
    };
    unsigned i = 0;

    while (i < PARAM_COUNT && !span_ieq(name, span_of(names[i])))
        i++;
    return (enum param)i;
}

static bool has_ctl(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static int keep(struct span text, char **to)
{
    if (text.len > DIGEST_PART_MAX)
        return DIGEST_E_LONG;
    if (has_ctl(text))
        return DIGEST_E_CTL;
    *to = mem_dup(text);
    return *to ? 0 : fault(-ENOMEM);
}

static int take_algorithm(struct span text, struct digest_session *session)
{
    static const struct {
        const char *name;
        enum digest_algorithm algorithm;
        bool is_sess;
    } algorithms[] = {
        {"SHA-256", DIGEST_SHA256, false},
        {"SHA-256-sess", DIGEST_SHA256, true},
        {"MD5", DIGEST_MD5, false},
        {"MD5-sess", DIGEST_MD5, true},
    };

    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        if (!span_ieq(text, span_of(algorithms[i].name)))
            continue;
        session->algorithm = algorithms[i].algorithm;
        session->is_sess = algorithms[i].is_sess;
        session->names_algorithm = true;
        return 0;
    }
    return DIGEST_E_ALGORITHM;
}

static int take_qop(struct span text, struct digest_session *session)
{
    if (field_list_has(text, SPAN_LIT("auth")))
        session->qop |= DIGEST_QOP_AUTH;
    if (field_list_has(text, SPAN_LIT("auth-int")))
        session->qop |= DIGEST_QOP_AUTH_INT;
    return session->qop ? 0 : DIGEST_E_QOP;
}

static int take_param(enum param param, struct span value, struct digest_session *session)
{
    switch (param) {
    case PARAM_REALM: return keep(value, &session->realm);
    case PARAM_NONCE: return keep(value, &session->nonce);
    case PARAM_OPAQUE: return keep(value, &session->opaque);
    case PARAM_ALGORITHM: return take_algorithm(value, session);
    case PARAM_QOP: return take_qop(value, session);
    case PARAM_STALE: session->is_stale = span_ieq(value, SPAN_LIT("true")); return 0;
    case PARAM_USERHASH: session->user_hash = span_ieq(value, SPAN_LIT("true")); return 0;
    case PARAM_CHARSET: session->is_utf8 = span_ieq(value, SPAN_LIT("UTF-8")); return 0;
    case PARAM_COUNT: break;
    }
    return 0;
}

static int take_params(struct span params, struct digest_session *session)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    unsigned seen = 0;
    struct span name;
    struct span raw;
    int r = 0;

    while (r == 0 && challenge_param_next(&params, &name, &raw)) {
        enum param param = param_of(name);

        if (param == PARAM_COUNT)
            continue;
        if (seen & (1U << param))
            return DIGEST_E_TWICE;
        seen |= 1U << param;
        buf_clear(&value);
        r = challenge_value(raw, &value);
        if (r == 0)
            r = take_param(param, buf_span(&value), session);
    }
    return r;
}

int digest_session_new(struct digest_session **ret, const struct challenge *challenge)
{
    if (!span_ieq(challenge->scheme, SPAN_LIT("Digest")))
        return DIGEST_E_SCHEME;

    CLEANUP(digest_session_free)
    struct digest_session *session = mem_zalloc(sizeof(*session));
    if (!session)
        return fault(-ENOMEM);
    int r = take_params(challenge->params, session);
    if (r != 0)
        return r;
    if (!session->realm || !session->nonce)
        return DIGEST_E_MISSING;
    if (session->is_sess && session->qop == 0)
        return DIGEST_E_QOP; /* RFC 2069 had neither */
    *ret = TAKE(session);
    return DIGEST_OK;
}

struct digest_session *digest_session_free(struct digest_session *session)
{
    if (!session)
        return NULL;
    mem_free(session->realm);
    mem_free(session->nonce);
    mem_free(session->opaque);
    mem_free(session->session_nonce);
    return mem_free(session);
}

bool digest_session_fits(const struct digest_session *session, bool has_body_bytes)
{
    return session->qop == 0 || (session->qop & DIGEST_QOP_AUTH) || has_body_bytes;
}

/* ---- the answer ------------------------------------------------------------------------- */

/* What is computed for one Authorization; wiped when it is done. */
struct answer {
    char nc[9];
    char cnonce[DIGEST_CNONCE_SIZE];
    const char *qop; /* NULL: RFC 2069 */
    char user[DIGEST_HEX_SIZE];
    char secret[DIGEST_HEX_SIZE]; /* H(A1) */
    char response[DIGEST_HEX_SIZE];
};

static void to_hex(const uint8_t *bytes, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * n] = '\0';
}

void digest_make_cnonce(const uint8_t chance[DIGEST_CHANCE_BYTES], char ret[DIGEST_CNONCE_SIZE])
{
    to_hex(chance, DIGEST_CHANCE_BYTES, ret);
}

/* H of the parts with ':' between them, in hexadecimal. */
static int hash(enum digest_algorithm algorithm, const struct span *parts, size_t n, char *ret)
{
    const EVP_MD *md = algorithm == DIGEST_SHA256 ? EVP_sha256() : EVP_md5();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool good = ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1;

    for (size_t i = 0; good && i < n; i++) {
        if (i > 0)
            good = EVP_DigestUpdate(ctx, ":", 1) == 1;
        if (good && parts[i].len > 0)
            good = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    }
    good = good && EVP_DigestFinal_ex(ctx, bytes, &len) == 1 && 2 * len < DIGEST_HEX_SIZE;
    EVP_MD_CTX_free(ctx);
    if (!good)
        return fault(-ENOMEM);
    to_hex(bytes, len, ret);
    explicit_bzero(bytes, sizeof(bytes));
    return 0;
}

#define HASH(algorithm, ret, ...)                                                              \
    hash((algorithm), (const struct span[]){__VA_ARGS__},                                      \
         sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span), (ret))

/* RFC 7616 §3.4.2. */
static int hash_secret(const struct digest_session *session,
                       const struct digest_request *request,
                       struct answer *answer)
{
    char plain[DIGEST_HEX_SIZE];
    int r = HASH(session->algorithm, session->is_sess ? plain : answer->secret, request->user,
                 span_of(session->realm), request->password);

    if (r == 0 && session->is_sess)
        r = HASH(session->algorithm, answer->secret, span_of(plain),
                 span_of(session->session_nonce), span_of(session->session_cnonce));
    explicit_bzero(plain, sizeof(plain));
    return r;
}

/* RFC 7616 §3.4.3. @method: "" for the server's own proof. */
static int hash_request(const struct digest_session *session,
                        const struct digest_request *request,
                        struct span method,
                        const struct answer *answer,
                        char *ret)
{
    char body[DIGEST_HEX_SIZE];

    if (!answer->qop || strcmp(answer->qop, "auth-int") != 0)
        return HASH(session->algorithm, ret, method, request->target);
    int r = HASH(session->algorithm, body, request->body);
    return r < 0 ? r : HASH(session->algorithm, ret, method, request->target, span_of(body));
}

/* RFC 7616 §3.4.1. */
static int hash_response(const struct digest_session *session,
                         const struct digest_request *request,
                         struct span method,
                         const struct answer *answer,
                         char *ret)
{
    char a2[DIGEST_HEX_SIZE];
    int r = hash_request(session, request, method, answer, a2);

    if (r < 0)
        return r;
    if (!answer->qop)
        return HASH(session->algorithm, ret, span_of(answer->secret), span_of(session->nonce),
                    span_of(a2));
    return HASH(session->algorithm, ret, span_of(answer->secret), span_of(session->nonce),
                span_of(answer->nc), span_of(answer->cnonce), span_of(answer->qop),
                span_of(a2));
}

static int choose_qop(const struct digest_session *session,
                      const struct digest_request *request,
                      struct answer *answer)
{
    if (!digest_session_fits(session, request->has_body_bytes))
        return DIGEST_E_QOP;
    if (session->qop & DIGEST_QOP_AUTH)
        answer->qop = "auth";
    else if (session->qop & DIGEST_QOP_AUTH_INT)
        answer->qop = "auth-int";
    return DIGEST_OK;
}

/* With -sess the first nonce and cnonce stay part of the secret, and the cnonce stays the same:
 * servers that compute A1 anew each time and those that keep it agree then. */
static int begin_use(struct digest_session *session,
                     const struct digest_request *request,
                     struct answer *answer)
{
    memcpy(answer->cnonce, request->cnonce, DIGEST_CNONCE_SIZE);
    if (session->is_sess && !session->session_nonce) {
        session->session_nonce = mem_dup(span_of(session->nonce));
        if (!session->session_nonce)
            return fault(-ENOMEM);
        memcpy(session->session_cnonce, answer->cnonce, DIGEST_CNONCE_SIZE);
    }
    if (session->is_sess)
        memcpy(answer->cnonce, session->session_cnonce, DIGEST_CNONCE_SIZE);
    (void)snprintf(answer->nc, sizeof(answer->nc), "%08x", ++session->nc);
    return 0;
}

static int compute(struct digest_session *session,
                   const struct digest_request *request,
                   struct answer *answer,
                   struct digest_proof *ret_proof)
{
    int r = choose_qop(session, request, answer);

    if (r == 0)
        r = begin_use(session, request, answer);
    if (r == 0)
        r = hash_secret(session, request, answer);
    if (r == 0)
        r = hash_response(session, request, request->method, answer, answer->response);
    if (r == 0 && session->user_hash)
        r = HASH(session->algorithm, answer->user, request->user, span_of(session->realm));
    ret_proof->rspauth[0] = '\0';
    if (r == 0 && answer->qop && strcmp(answer->qop, "auth") == 0)
        r = hash_response(session, request, SPAN_LIT(""), answer, ret_proof->rspauth);
    return r;
}

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

static int put_quoted(struct buf *out, const char *name, struct span value)
{
    int r = buf_append_str(out, name);

    return r == 0 ? challenge_quote(value, out) : r;
}

/* attr-char of RFC 8187 as they are, the others as %XX. */
static int put_ext_value(struct buf *out, struct span text)
{
    int r = buf_append_str(out, "username*=UTF-8''");

    for (size_t i = 0; r == 0 && i < text.len; i++) {
        char c = text.ptr[i];

        if (ascii_is_alnum(c) || (c != '\0' && strchr("!#$&+-.^_`|~", c)))
            r = buf_append_char(out, c);
        else
            r = buf_append_format(out, "%%%02X", (unsigned char)c);
    }
    return r;
}

/* RFC 7616 §3.4. Without the server's word for UTF-8 the bytes go as they are, as they do in
 * Basic. */
static int put_user(struct buf *out,
                    const struct digest_session *session,
                    struct span user,
                    const struct answer *answer)
{
    if (session->user_hash)
        return put_quoted(out, "username=", span_of(answer->user));
    if (session->is_utf8 && !is_ascii(user) && utf8_is_valid(user))
        return put_ext_value(out, user);
    return put_quoted(out, "username=", user);
}

static int put_algorithm(struct buf *out, const struct digest_session *session)
{
    return buf_append_format(out, ", algorithm=%s%s",
                             session->algorithm == DIGEST_SHA256 ? "SHA-256" : "MD5",
                             session->is_sess ? "-sess" : "");
}

static int put_all(struct buf *out,
                   const struct digest_session *session,
                   const struct digest_request *request,
                   const struct answer *answer)
{
    int r = buf_append_str(out, "Digest ");

    if (r == 0)
        r = put_user(out, session, request->user, answer);
    if (r == 0)
        r = put_quoted(out, ", realm=", span_of(session->realm));
    if (r == 0)
        r = put_quoted(out, ", nonce=", span_of(session->nonce));
    if (r == 0)
        r = put_quoted(out, ", uri=", request->target);
    if (r == 0)
        r = put_quoted(out, ", response=", span_of(answer->response));
    if (r == 0 && session->names_algorithm)
        r = put_algorithm(out, session);
    if (r == 0 && answer->qop)
        r = buf_append_format(out, ", qop=%s, nc=%s, cnonce=\"%s\"", answer->qop, answer->nc,
                              answer->cnonce);
    if (r == 0 && session->opaque)
        r = put_quoted(out, ", opaque=", span_of(session->opaque));
    if (r == 0 && session->user_hash)
        r = buf_append_str(out, ", userhash=true");
    return r;
}

int digest_format(struct digest_session *session,
                  const struct digest_request *request,
                  struct buf *out,
                  struct digest_proof *ret_proof)
{
    struct answer answer = {0};
    struct digest_proof proof;
    size_t before = out->len;
    int r = compute(session, request, &answer, &proof);

    if (r == 0)
        r = put_all(out, session, request, &answer);
    explicit_bzero(&answer, sizeof(answer));
    if (r == 0)
        *ret_proof = proof;
    else
        out->len = before;
    return r;
}

/* ---- Authentication-Info ---------------------------------------------------------------- */

static int take_nextnonce(struct span value, struct digest_session *session)
{
    char *nonce = NULL;
    int r = keep(value, &nonce);

    if (r != 0)
        return r < 0 ? r : 0; /* one that cannot be sent: the old one goes on */
    mem_free(session->nonce);
    session->nonce = nonce;
    session->nc = 0;
    return 0;
}

int digest_info(struct span value,
                struct digest_session *session,
                const struct digest_proof *proof)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    int outcome = DIGEST_INFO_OK;
    struct span name;
    struct span raw;
    int r = 0;

    while (r == 0 && challenge_param_next(&value, &name, &raw)) {
        buf_clear(&text);
        r = challenge_value(raw, &text);
        if (r == 0 && session && span_ieq(name, SPAN_LIT("nextnonce")))
            r = take_nextnonce(buf_span(&text), session);
        if (proof->rspauth[0] && span_ieq(name, SPAN_LIT("rspauth")) &&
            !span_ieq(buf_span(&text), span_of(proof->rspauth)))
            outcome = DIGEST_INFO_WRONG;
    }
    return r < 0 ? r : outcome;
}

const char *digest_outcome_text(int outcome)
{
    switch (outcome) {
    case DIGEST_OK: return "a Digest challenge";
    case DIGEST_E_SCHEME: return "not a Digest challenge";
    case DIGEST_E_MISSING: return "it has no realm or no nonce";
    case DIGEST_E_TWICE: return "a parameter comes twice";
    case DIGEST_E_LONG: return "its realm, nonce or opaque is longer than 4096 bytes";
    case DIGEST_E_CTL: return "its realm, nonce or opaque holds a control character";
    case DIGEST_E_ALGORITHM: return "its algorithm is none of SHA-256 and MD5";
    case DIGEST_E_QOP: return "its qop is one that this request cannot do";
    default: return "out of memory";
    }
}
