/* SPDX-License-Identifier: MIT */
#include "base/spare.h"

#include "base/mem.h"

#ifdef __SANITIZE_ADDRESS__
#define KEPT_MAX 0U
#else
#define KEPT_MAX SPARES_MAX
#endif

void *spares_take(struct spares *spares)
{
    return spares->n > 0 ? spares->blocks[--spares->n] : mem_alloc(spares->size);
}

void spares_put(struct spares *spares, void *block)
{
    if (block && spares->n + 1 <= KEPT_MAX) /* which may be 0 */
        spares->blocks[spares->n++] = block;
    else
        mem_free(block);
}

void spares_done(struct spares *spares)
{
    while (spares->n > 0)
        mem_free(spares->blocks[--spares->n]);
}
