/* SPDX-License-Identifier: MIT */
#pragma once

/* What a context tells the io whose session it is: see SSL_CTX_sess_set_new_cb(3). */

#include <stdbool.h>

struct ssl_st;
struct ssl_session_st;

int io_tls_on_new_session(struct ssl_st *ssl, struct ssl_session_st *session);

/* RFC 8446 §4.1.3: the mark a server leaves in its 32 bytes of random when it could have done
 * better than the version agreed upon. */
bool io_tls_random_is_marked(const unsigned char random[32]);
