/* SPDX-License-Identifier: MIT */
#pragma once

/* What a context tells the io whose session it is: see SSL_CTX_sess_set_new_cb(3). */

struct ssl_st;
struct ssl_session_st;

int io_tls_on_new_session(struct ssl_st *ssl, struct ssl_session_st *session);
