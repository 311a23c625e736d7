/* SPDX-License-Identifier: MIT */
#include "net/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/spare.h"

#define BUFFER_BYTES_MIN 16384 /* smaller ones are not asked for with every request */
#define SLACK_BYTES      8192  /* a block is not kept for what is so much smaller */

/* A buffer for writing is one record, one for reading what is read ahead; each with what
 * OpenSSL adds. */
static struct spares kept[] = {{.size = 20480}, {.size = 69632}};

#define N_KEPT (sizeof(kept) / sizeof(kept[0]))

static _Thread_local bool is_loop;

/* NOLINTBEGIN(bugprone-easily-swappable-parameters): OpenSSL's */
static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    for (size_t i = 0; i < N_KEPT && is_loop && size >= BUFFER_BYTES_MIN; i++) {
        if (size <= kept[i].size && size > kept[i].size - SLACK_BYTES)
            return spares_take(&kept[i]);
    }
    return mem_alloc(size);
}

/* Any block that is large enough will do: whether it was one of ours does not matter. */
static void give_back(void *block, const char *file, int line)
{
    size_t size = is_loop && block ? malloc_usable_size(block) : 0;

    (void)file;
    (void)line;
    for (size_t i = 0; i < N_KEPT && size >= BUFFER_BYTES_MIN; i++) {
        if (size >= kept[i].size && size < kept[i].size + SLACK_BYTES) {
            spares_put(&kept[i], block);
            return;
        }
    }
    mem_free(block);
}

static void *resize(void *old, size_t size, const char *file, int line)
{
    if (size > 0)
        return mem_realloc(old, size);
    give_back(old, file, line);
    return NULL;
}
/* NOLINTEND(bugprone-easily-swappable-parameters) */

void tls_memory_init(void)
{
    if (CRYPTO_set_mem_functions(take, resize, give_back))
        is_loop = true;
}
