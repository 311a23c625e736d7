/* SPDX-License-Identifier: MIT */
/*
 * Logins of the administrator's. Each is for one host and port over https and for nothing else:
 * no wildcards, no http. Files are read elsewhere; here is what they may hold and what of it
 * must never come back.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/auth_basic.h"
#include "http/auth_bearer.h"
#include "http/host.h"
#include "policy/access_priv.h"

#define CREDENTIALS_MAX  256 /* of a section */
#define PATH_BYTES_MAX   1024
#define SECRET_BYTES_MIN 4 /* a shorter one would be found everywhere */

static void credential_done(struct access_credential *credential)
{
    mem_free(credential->host);
    mem_free(credential->path);
    if (credential->value)
        mem_free_secret(credential->value, strlen(credential->value));
    if (credential->secrets)
        mem_free_secret(credential->secrets, credential->secrets_len);
    *credential = (struct access_credential){0};
}

void access_credentials_clear(struct access_section *section)
{
    for (size_t i = 0; i < section->n_credentials; i++)
        credential_done(&section->credentials[i]);
    section->credentials = mem_free(section->credentials);
    section->n_credentials = 0;
}

/* ---- the line ---------------------------------------------------------------------------- */

static struct span next_word(struct span *rest)
{
    struct span word;

    *rest = span_trim_ows(*rest);
    (void)span_split(rest, ' ', &word);
    return word;
}

/* By the rules of a list of hosts, but one host and no wildcard. */
static int take_host(struct span word, struct access_credential *to)
{
    struct access_hosts one = {0};
    int r = access_hosts_add(&one, word, 1);

    if (r == 0 && one.at[0].is_below)
        r = -EINVAL;
    if (r == 0) {
        to->port = one.at[0].port ? one.at[0].port : 443;
        to->host = TAKE(one.at[0].name);
    }
    access_hosts_done(&one);
    return r;
}

/* A relative one is a name in a folder, not a way out of it. */
static bool is_path(struct span path)
{
    return path.len > 0 && path.len < PATH_BYTES_MAX &&
           (path.ptr[0] == '/' || (path.ptr[0] != '.' && !memchr(path.ptr, '/', path.len)));
}

static int parse(struct span rest, struct access_credential *ret)
{
    struct span host = next_word(&rest);
    struct span scheme = next_word(&rest);
    struct span path = span_trim_ows(rest);

    ret->is_basic = span_eq(scheme, SPAN_LIT("basic"));
    if ((!ret->is_basic && !span_eq(scheme, SPAN_LIT("bearer"))) || !is_path(path))
        return -EINVAL;
    int r = take_host(host, ret);
    if (r < 0)
        return r;
    ret->path = mem_dup(path);
    return ret->path ? 0 : fault(-ENOMEM);
}

static const struct access_credential *
find(const struct access_section *section, struct span host, uint16_t port)
{
    for (size_t i = 0; i < section->n_credentials; i++) {
        const struct access_credential *credential = &section->credentials[i];

        if (credential->port == port && span_eq(span_of(credential->host), host))
            return credential;
    }
    return NULL;
}

int access_credential_add(struct access_section *section,
                          const char *value,
                          unsigned line,
                          unsigned *ret_other)
{
    struct access_credential credential = {.line = line};
    const struct access_credential *other = NULL;

    if (section->n_credentials == CREDENTIALS_MAX)
        return -E2BIG;
    int r = parse(span_of(value), &credential);
    if (r == 0)
        other = find(section, span_of(credential.host), credential.port);
    if (other) {
        *ret_other = other->line;
        r = -EEXIST;
    }
    struct access_credential *grown =
        r == 0 ? mem_realloc(section->credentials,
                             (section->n_credentials + 1) * sizeof(*section->credentials))
               : NULL;
    if (!grown) {
        credential_done(&credential);
        return r < 0 ? r : fault(-ENOMEM);
    }
    section->credentials = grown;
    section->credentials[section->n_credentials++] = credential;
    if (section->lines[ACCESS_CREDENTIAL] == 0)
        section->lines[ACCESS_CREDENTIAL] = line;
    return 0;
}

/* ---- the secret -------------------------------------------------------------------------- */

static void wipe(struct buf *buf)
{
    if (buf->storage)
        explicit_bzero(buf->storage, buf->capacity);
    buf_done(buf);
}

static int add_secret(struct buf *to, struct span secret)
{
    if (secret.len < SECRET_BYTES_MIN)
        return 0;
    int r = buf_append(to, secret);
    return r == 0 ? buf_append_char(to, '\0') : r;
}

static int format_basic(struct span bytes, struct buf *value, struct buf *secrets)
{
    struct span password = bytes;
    struct span user;

    if (!span_split(&password, ':', &user))
        return -EINVAL;
    int r = auth_basic_format(value, user, password);
    if (r != AUTH_BASIC_OK)
        return r < 0 ? r : -EINVAL;
    r = add_secret(secrets, span_drop(buf_span(value), strlen("Basic ")));
    return r == 0 ? add_secret(secrets, password) : r;
}

static int format_bearer(struct span token, struct buf *value, struct buf *secrets)
{
    if (!auth_bearer_is_token(token))
        return -EINVAL;
    int r = auth_bearer_format(value, token);
    return r == 0 ? add_secret(secrets, token) : r;
}

static int keep(struct access_credential *credential, struct buf *value, struct buf *secrets)
{
    char *text = mem_dup(buf_span(value));
    char *list = mem_dup(buf_span(secrets));

    if (!text || !list) {
        mem_free(text);
        mem_free(list);
        return fault(-ENOMEM);
    }
    credential->value = text;
    credential->secrets = list;
    credential->secrets_len = secrets->len;
    return 0;
}

int access_credential_take(struct access_credential *credential, struct span bytes)
{
    struct buf value = BUF_INIT(0);
    struct buf secrets = BUF_INIT(0);

    while (bytes.len > 0 &&
           (bytes.ptr[bytes.len - 1] == '\n' || bytes.ptr[bytes.len - 1] == '\r'))
        bytes.len--;
    /* In one piece each: growing would leave copies behind. */
    int r = bytes.len > 0 && bytes.len <= ACCESS_SECRET_MAX ? 0 : -EINVAL;
    if (r == 0)
        r = buf_reserve(&value, 2 * bytes.len + 16);
    if (r == 0)
        r = buf_reserve(&secrets, 4 * bytes.len + 16);
    if (r == 0)
        r = credential->is_basic ? format_basic(bytes, &value, &secrets)
                                 : format_bearer(bytes, &value, &secrets);
    if (r == 0)
        r = keep(credential, &value, &secrets);
    wipe(&value);
    wipe(&secrets);
    return r;
}

const struct access_credential *access_view_credential(const struct access_view *view,
                                                       const struct origin *origin)
{
    struct span host = host_strip_dot(host_strip_brackets(origin_host(origin)));
    const struct access_credential *found = NULL;

    for (size_t i = 0; i < view->n && !found && origin->is_https; i++)
        found = find(view->sections[i], host, origin->port);
    return found && found->value ? found : NULL;
}

void access_credential_refuse(const struct access_credential *credential,
                              const char *around,
                              struct failure *ret_why)
{
    failure_set(ret_why, FAILURE_POLICY,
                "%s: not to %.60s, where a login of the administrator's goes along "
                "(Credential=, line %u)",
                around, credential->host, credential->line);
}

bool access_secrets_are_in(struct span secrets, struct span text)
{
    struct span one;

    while (secrets.len > 0) {
        (void)span_split(&secrets, '\0', &one);
        if (one.len > 0 && text.len > 0 && memmem(text.ptr, text.len, one.ptr, one.len))
            return true;
    }
    return false;
}
