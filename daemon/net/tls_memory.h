/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where OpenSSL's memory comes from. With SSL_MODE_RELEASE_BUFFERS it takes and gives back one
 * buffer for reading and one for writing with every request, each too large for malloc's fast
 * lists: the thread of the loop keeps them at hand. Everything else is malloc's.
 */

/* Once, by the thread of the loop, before anything else of OpenSSL. Without it, or when OpenSSL
 * has begun already, all is malloc's. */
void tls_memory_init(void);
