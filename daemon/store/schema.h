/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tables, and how they came to be: version by version. Each row carries a checksum over all
 * its columns, since a page that SQLite finds in order may still hold a flipped bit.
 */

#include <stdint.h>

#include "base/span.h"

#define SCHEMA_VERSION          4
#define SCHEMA_APPLICATION_ID   0x78687264 /* "xhrd" */
#define SCHEMA_COOKIE_COLUMNS   13         /* with the id, which is the rowid */
#define SCHEMA_COOKIE_COLUMNS_2 12         /* of rows written by version 2 and before */
#define SCHEMA_HOST_COLUMNS     6          /* likewise */
#define SCHEMA_JAR_COLUMNS      7

/* What leads from version @from to the next, without BEGIN and COMMIT. */
const char *schema_step(int from);

/* 64-bit FNV-1a: any one changed byte changes it. */
#define CHECKSUM_INIT UINT64_C(0xcbf29ce484222325)
uint64_t checksum_bytes(uint64_t sum, struct span bytes); /* with their length */
uint64_t checksum_int(uint64_t sum, int64_t value);
