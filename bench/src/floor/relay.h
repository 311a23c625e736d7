/* SPDX-License-Identifier: MIT */
/* Wire format between rc and relay: frames of [u32 length of payload][u32 id][u8 type] +
 * payload. */
#ifndef RELAY_H
#define RELAY_H
#include <stdint.h>
struct __attribute__((packed)) frame {
    uint32_t len, id;
    uint8_t type;
};
enum { F_REQ = 1, F_HEAD, F_DATA, F_END, F_DESC, F_ACK, F_UP };
/* How the response body travels. */
enum mode {
    M_COPY, /* F_DATA frames over the socket */
    M_SHM,  /* decrypted straight into a memfd the daemon passes once; F_DESC names a range,
               F_ACK frees it */
    M_FD,   /* written by the daemon to a file descriptor the client passed */
    M_SOCK, /* raw bytes over a second socket or pipe, whose end the client passed (no framing)
             */
};
#define SHM_SIZE (1u << 20)
#define SHM_SLOT (1u << 18)
#endif
