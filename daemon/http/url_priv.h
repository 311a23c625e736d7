/* SPDX-License-Identifier: MIT */
#pragma once

/* What url.c and url_parser.c share: the special schemes. */

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

bool url_scheme_is_special(struct span scheme); /* lower case */
int32_t url_scheme_port(struct span scheme);    /* URL_PORT_NONE when it has none */
