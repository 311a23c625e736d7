/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/failure.h"

/**
 * tls_alert_describe() - what the peer's last word means, and what would help
 * @ret:  kind, text and code are filled
 * @host: as in the URL
 */
void tls_alert_describe(struct failure *ret, const char *host, unsigned alert);
