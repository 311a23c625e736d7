/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include <errno.h>
#include <string.h>

#include "files.h"

#define IDENTITY_BYTES_MAX (256U * 1024)
#define DIGEST_CHARS       44 /* of 32 bytes, padded */

unsigned tls_version_of(const char *text)
{
    if (strlen(text) != 3 || text[0] != '1' || text[1] != '.' || text[2] < '0' || text[2] > '3')
        return 0;
    return 0x0301U + (unsigned)(text[2] - '0');
}

static int sextet(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* 43 digits and a '='. Return: whether it was that. */
static bool decode_digest(const char *text, unsigned char ret[XHR_PIN_BYTES])
{
    unsigned bits = 0;
    size_t n = 0;

    if (text[DIGEST_CHARS - 1] != '=')
        return false;
    for (size_t i = 0; i < DIGEST_CHARS - 1; i++) {
        int value = sextet(text[i]);

        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
        if (i % 4 > 0 && n < XHR_PIN_BYTES)
            ret[n++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return n == XHR_PIN_BYTES;
}

int tls_add_pins(struct cli_options *options, const char *text, struct trouble *why)
{
    static const char kind[] = "sha256//";
    const char *all = text;

    do {
        if (strncmp(text, kind, sizeof(kind) - 1) != 0 ||
            strcspn(text + sizeof(kind) - 1, ";") != DIGEST_CHARS ||
            options->n_pins == CLI_PINS_MAX ||
            !decode_digest(text + sizeof(kind) - 1, options->pins[options->n_pins]))
            return trouble_set(why, EXIT_USAGE,
                               "--pinnedpubkey '%s': write sha256//DIGEST in base64, up to %d "
                               "joined by ';'",
                               all, CLI_PINS_MAX);
        options->n_pins++;
        text += sizeof(kind) - 1 + DIGEST_CHARS;
    } while (*text++ == ';');
    return 0;
}

static int
append_file(const char *flag, const char *name, struct strbuf *to, struct trouble *why)
{
    struct strbuf file = {0};
    int r = read_file(name, IDENTITY_BYTES_MAX, &file);

    if (r == 0) {
        strbuf_add(to, file.bytes, file.len);
        strbuf_add_char(to, '\n');
        r = to->failed ? -ENOMEM : 0;
    }
    if (file.bytes)
        explicit_bzero(file.bytes, file.len);
    strbuf_done(&file);
    if (r < 0)
        return trouble_set(why, EXIT_CERTIFICATE_FILE, "%s %s: %s", flag, name, strerror(-r));
    return 0;
}

int tls_load_identity(const struct cli_options *options,
                      struct strbuf *ret,
                      struct trouble *why)
{
    int r = options->cert_file ? append_file("-E", options->cert_file, ret, why) : 0;

    if (r == 0 && options->key_file && !options->cert_file)
        return trouble_set(why, EXIT_USAGE, "--key wants the certificate, too: -E FILE");
    return r == 0 && options->key_file ? append_file("--key", options->key_file, ret, why) : r;
}
