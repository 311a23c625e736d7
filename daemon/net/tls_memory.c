/* SPDX-License-Identifier: MIT */
#include "net/tls_memory.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/slots.h"

#ifdef __SANITIZE_ADDRESS__
#define HAS_SLOTS false /* a use after the end is to be seen */
#else
#define HAS_SLOTS true
#endif

/* A buffer for writing is one record with what OpenSSL adds, one for messages of the handshake
 * a third more, one for reading what is read ahead. More connections than these are served by
 * malloc. */
static struct kind {
    size_t size_min;
    size_t slot_bytes;
    uint32_t n_slots;
    struct slots slots;
    void *
        from_others; /* given back by other threads; each begins with the address of the next */
} kinds[] = {
    {.size_min = 16384, .slot_bytes = 24576, .n_slots = 65536},
    {.size_min = 61440, .slot_bytes = 69632, .n_slots = 32768},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static pthread_mutex_t others_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_loop;

static void collect(struct kind *kind)
{
    (void)pthread_mutex_lock(&others_lock);
    void *at = kind->from_others;
    kind->from_others = NULL;
    (void)pthread_mutex_unlock(&others_lock);
    while (at) {
        void *next = *(void **)at;

        slots_put(&kind->slots, at);
        at = next;
    }
}

static void *take_slot(size_t size)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        struct kind *kind = &kinds[i];

        if (size < kind->size_min || size > kind->slot_bytes)
            continue;
        if (kind->slots.n_warm == 0)
            collect(kind);
        return slots_take(&kind->slots);
    }
    return NULL;
}

static struct kind *kind_of(const void *block)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (slots_own(&kinds[i].slots, block))
            return &kinds[i];
    }
    return NULL;
}

static void give_slot(struct kind *kind, void *block)
{
    if (is_loop) {
        slots_put(&kind->slots, block);
        return;
    }
    (void)pthread_mutex_lock(&others_lock);
    *(void **)block = kind->from_others;
    kind->from_others = block;
    (void)pthread_mutex_unlock(&others_lock);
}

/* NOLINTBEGIN(bugprone-easily-swappable-parameters): OpenSSL's */
static void *take(size_t size, const char *file, int line)
{
    void *slot = is_loop && size >= kinds[0].size_min ? take_slot(size) : NULL;

    (void)file;
    (void)line;
    return slot ? slot : mem_alloc(size);
}

static void give_back(void *block, const char *file, int line)
{
    struct kind *kind = kind_of(block);

    (void)file;
    (void)line;
    if (kind)
        give_slot(kind, block);
    else
        mem_free(block);
}

static void *resize(void *old, size_t size, const char *file, int line)
{
    struct kind *kind = kind_of(old);

    if (size == 0) {
        give_back(old, file, line);
        return NULL;
    }
    if (!old)
        return take(size, file, line);
    if (!kind)
        return mem_realloc(old, size);
    if (size <= kind->slot_bytes)
        return old;
    void *grown = take(size, file, line);
    if (!grown)
        return NULL;
    memcpy(grown, old, kind->slot_bytes);
    give_slot(kind, old);
    return grown;
}
/* NOLINTEND(bugprone-easily-swappable-parameters) */

void tls_memory_init(void)
{
    if (!HAS_SLOTS || !CRYPTO_set_mem_functions(take, resize, give_back))
        return;
    is_loop = true;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (slots_init(&kinds[i].slots, kinds[i].slot_bytes, kinds[i].n_slots) < 0)
            log_debug(NULL, "no addresses for TLS buffers, malloc has to do");
    }
}
