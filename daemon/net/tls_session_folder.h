/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where sealed TLS sessions lie: "tls-sessions" of each uid, in his folder of the state
 * directory or, with a user's own daemon, in the state directory itself; there, too, the key,
 * "tls-sessions.key", 32 bytes of chance. Everything here blocks and runs on one thread.
 *
 * Files are 0600, ours, plain, and no links of either kind: what is otherwise is left as it is
 * and nothing is kept. A key that others could read is replaced, and what it sealed is lost.
 * Nothing is synced: what a loss of power tears does not open, and only costs handshakes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "net/tls_session_file.h"

#define TLS_SESSION_TEXT_SIZE 192

struct tls_session_folder {
    const char *state_dir; /* borrowed */
    bool per_user;
    /* The user's name; whoever gets his uid later does not get his sessions. NULL: nobody asks
     */
    bool (*name_of)(uint32_t uid, char *ret, size_t size);
    bool has_key;
    uint8_t key[TLS_SESSION_FILE_KEY_BYTES];
};

enum tls_session_folder_outcome {
    TLS_SESSION_FOLDER_OK = 0,
    TLS_SESSION_FOLDER_IGNORED, /* what was there does not open; it will be written over */
    TLS_SESSION_FOLDER_REFUSED, /* and must not be written over */
};

/* Each fills @text, for people, unless OK. Return: enum tls_session_folder_outcome. A file
 * that is not there is OK and empty. */
MUST_CHECK int tls_session_folder_read(struct tls_session_folder *folder,
                                       uint32_t uid,
                                       struct buf *rows,
                                       char text[TLS_SESSION_TEXT_SIZE]);
MUST_CHECK int tls_session_folder_write(struct tls_session_folder *folder,
                                        uint32_t uid,
                                        struct span rows,
                                        char text[TLS_SESSION_TEXT_SIZE]);
MUST_CHECK int tls_session_folder_remove(struct tls_session_folder *folder,
                                         uint32_t uid,
                                         char text[TLS_SESSION_TEXT_SIZE]);
