/* SPDX-License-Identifier: MIT */
#include "base/slots.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fault.h"

static void *reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

int slots_init(struct slots *slots, size_t slot_bytes, uint32_t n_slots)
{
    size_t bytes = slot_bytes * n_slots;
    char *base = reserve(bytes);
    uint32_t *next = reserve(n_slots * sizeof(*next));

    *slots = (struct slots){0};
    if (!base || !next) {
        if (base)
            (void)munmap(base, bytes);
        if (next)
            (void)munmap(next, n_slots * sizeof(*next));
        return fault(-ENOMEM);
    }
    (void)madvise(base, bytes, MADV_NOHUGEPAGE); /* or one block could cost 2 MiB */
    *slots = (struct slots){.base = base,
                            .slot_bytes = slot_bytes,
                            .n_slots = n_slots,
                            .cold = n_slots,
                            .next = next};
    return 0;
}

void slots_done(struct slots *slots)
{
    if (slots->base) {
        (void)munmap(slots->base, slots->slot_bytes * slots->n_slots);
        (void)munmap(slots->next, slots->n_slots * sizeof(*slots->next));
    }
    *slots = (struct slots){0};
}

void *slots_take(struct slots *slots)
{
    uint32_t slot;

    if (slots->n_warm > 0) {
        slot = slots->warm[--slots->n_warm];
    } else if (slots->cold < slots->n_slots) {
        slot = slots->cold;
        slots->cold = slots->next[slot];
    } else if (slots->n_ever < slots->n_slots) {
        slot = slots->n_ever++;
    } else {
        return NULL;
    }
    return slots->base + slots->slot_bytes * slot;
}

bool slots_own(const struct slots *slots, const void *block)
{
    /* As numbers: most blocks are none of these. */
    return (uintptr_t)block - (uintptr_t)slots->base < slots->slot_bytes * slots->n_slots;
}

void slots_put(struct slots *slots, void *block)
{
    INVARIANT(slots_own(slots, block));
    size_t at = (size_t)((char *)block - slots->base);
    uint32_t slot = (uint32_t)(at / slots->slot_bytes);

    INVARIANT(at % slots->slot_bytes == 0 && slot < slots->n_ever);
    if (slots->n_warm < SLOTS_WARM_MAX) {
        slots->warm[slots->n_warm++] = slot;
        return;
    }
    (void)madvise(block, slots->slot_bytes, MADV_DONTNEED);
    slots->next[slot] = slots->cold;
    slots->cold = slot;
}
