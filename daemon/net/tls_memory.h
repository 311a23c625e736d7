/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where OpenSSL's memory comes from. With SSL_MODE_RELEASE_BUFFERS it takes and gives back one
 * buffer for reading and one for writing with every request, and two for every handshake: large
 * ones, many at a time when many connections are made. The thread of the loop has them from
 * base/slots.h, so that they neither cost malloc's time nor leave holes in its heap. Everything
 * else is malloc's.
 */

/* Once, by the thread of the loop, before anything else of OpenSSL. Without it, or when OpenSSL
 * has begun already, all is malloc's. */
void tls_memory_init(void);
