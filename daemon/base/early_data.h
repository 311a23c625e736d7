/* SPDX-License-Identifier: MIT */
#pragma once

/* What became of bytes that went with the hello, before the TLS handshake was done (0-RTT: RFC
 * 8446 §2.3). */
enum early_data {
    EARLY_DATA_NONE, /* none did */
    EARLY_DATA_SENT, /* the server has not said yet */
    EARLY_DATA_ACCEPTED,
    EARLY_DATA_REJECTED, /* it did not look at them: they went once more, behind the handshake
                          */
};
