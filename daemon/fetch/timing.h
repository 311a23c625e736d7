/* SPDX-License-Identifier: MIT */
#pragma once

/* When the steps of a request were over; microseconds since it was taken in, 0: did not happen.
 * After a redirect they tell of the last hop, as curl's do. */

#include <stdint.h>

struct request_timing {
    int64_t queued_us; /* there was a connection */
    int64_t name_lookup_us;
    int64_t connect_us;
    int64_t tls_us;
    int64_t sent_us; /* the request's last byte */
    int64_t first_byte_us;
    int64_t total_us;
};
