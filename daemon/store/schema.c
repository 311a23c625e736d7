/* SPDX-License-Identifier: MIT */
#include "store/schema.h"

#include <stddef.h>

#include "base/fault.h"

/* The id is the order of creation among all jars of the file; whose a cookie is stands in every
 * row, so that a row found alone in a damaged file still says where it belongs. */
static const char *const steps[SCHEMA_VERSION] = {
    "CREATE TABLE cookie (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  profile TEXT NOT NULL,\n"
    "  jar TEXT NOT NULL,\n"
    "  domain TEXT NOT NULL,\n"
    "  path BLOB NOT NULL,\n"
    "  name BLOB NOT NULL,\n"
    "  value BLOB NOT NULL,\n"
    "  flags INTEGER NOT NULL,\n"
    "  expires_s INTEGER NOT NULL,\n"
    "  created_s INTEGER NOT NULL,\n"
    "  last_access_s INTEGER NOT NULL,\n"
    "  checksum INTEGER NOT NULL\n"
    ")",
    /* Named by profile and host; the id is the order in which they last changed. */
    "CREATE TABLE hsts (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  profile TEXT NOT NULL,\n"
    "  host TEXT NOT NULL,\n"
    "  flags INTEGER NOT NULL,\n"
    "  expires_s INTEGER NOT NULL,\n"
    "  checksum INTEGER NOT NULL,\n"
    "  UNIQUE (profile, host)\n"
    ")",
    /* What not every cookie has, in one column: rows of before are as good as new ones. And the
     * jars that somebody made or gave rights on. */
    "ALTER TABLE cookie ADD COLUMN extra BLOB NOT NULL DEFAULT x'';\n"
    "CREATE TABLE jar (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  profile TEXT NOT NULL,\n"
    "  name TEXT NOT NULL,\n"
    "  flags INTEGER NOT NULL,\n"
    "  created_s INTEGER NOT NULL,\n"
    "  grants BLOB NOT NULL,\n"
    "  checksum INTEGER NOT NULL,\n"
    "  UNIQUE (profile, name)\n"
    ")",
    /* What a host is known for stands in its flags: that it wants https, or that it can do
     * TLS 1.2. */
    "ALTER TABLE hsts RENAME TO host",
};

const char *schema_step(int from)
{
    INVARIANT(from >= 0 && from < SCHEMA_VERSION);
    return steps[from];
}

static uint64_t add_byte(uint64_t sum, unsigned char byte)
{
    return (sum ^ byte) * UINT64_C(0x100000001b3);
}

uint64_t checksum_int(uint64_t sum, int64_t value)
{
    uint64_t bits = (uint64_t)value;

    for (unsigned shift = 0; shift < 64; shift += 8)
        sum = add_byte(sum, (unsigned char)(bits >> shift));
    return sum;
}

uint64_t checksum_bytes(uint64_t sum, struct span bytes)
{
    sum = checksum_int(sum, (int64_t)bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        sum = add_byte(sum, (unsigned char)bytes.ptr[i]);
    return sum;
}
