/* SPDX-License-Identifier: MIT */
#include "loop/timer.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop_priv.h"

static void put(struct timer_heap *heap, size_t slot, struct timer *timer)
{
    heap->slots[slot] = timer;
    timer->heap_slot = slot;
}

static void sift_up(struct timer_heap *heap, size_t slot)
{
    struct timer *timer = heap->slots[slot];

    while (slot > 1 && heap->slots[slot / 2]->heap_us > timer->heap_us) {
        put(heap, slot, heap->slots[slot / 2]);
        slot /= 2;
    }
    put(heap, slot, timer);
}

static void sift_down(struct timer_heap *heap, size_t slot)
{
    struct timer *timer = heap->slots[slot];

    for (size_t child = slot * 2; child <= heap->count; child = slot * 2) {
        if (child < heap->count &&
            heap->slots[child + 1]->heap_us < heap->slots[child]->heap_us)
            child++;
        if (heap->slots[child]->heap_us >= timer->heap_us)
            break;
        put(heap, slot, heap->slots[child]);
        slot = child;
    }
    put(heap, slot, timer);
}

static int heap_grow(struct timer_heap *heap)
{
    size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
    struct timer **slots = mem_realloc(heap->slots, (capacity + 1) * sizeof(struct timer *));

    if (!slots)
        return fault(-ENOMEM);
    heap->slots = slots;
    heap->capacity = capacity;
    return 0;
}

void timer_init(struct timer *timer, struct loop *loop, void (*fn)(void *owner), void *owner)
{
    *timer = (struct timer){.loop = loop, .fn = fn, .owner = owner};
}

int timer_arm(struct timer *timer, int64_t delay_us)
{
    struct timer_heap *heap = &timer->loop->timers;

    timer->due_us = loop_now_us(timer->loop) + (delay_us > 0 ? delay_us : 0);
    if (timer->heap_slot == 0) {
        if (heap->count == heap->capacity && heap_grow(heap) < 0)
            return fault(-ENOMEM);
        put(heap, ++heap->count, timer);
    } else if (timer->due_us >= timer->heap_us) {
        return 0;
    }
    timer->heap_us = timer->due_us;
    sift_up(heap, timer->heap_slot);
    return 0;
}

void timer_disarm(struct timer *timer)
{
    size_t slot = timer->heap_slot;

    if (slot == 0)
        return;

    struct timer_heap *heap = &timer->loop->timers;
    struct timer *last = heap->slots[heap->count--];
    timer->heap_slot = 0;
    if (last == timer)
        return;
    put(heap, slot, last);
    sift_up(heap, slot);
    sift_down(heap, last->heap_slot);
}

void timers_run_due(struct loop *loop)
{
    struct timer_heap *heap = &loop->timers;

    while (heap->count > 0 && heap->slots[1]->heap_us <= loop->now_us) {
        struct timer *timer = heap->slots[1];

        if (timer->due_us > loop->now_us) { /* was put off meanwhile */
            timer->heap_us = timer->due_us;
            sift_down(heap, 1);
            continue;
        }
        timer_disarm(timer);
        timer->fn(timer->owner);
    }
}

int64_t timers_next_us(const struct loop *loop)
{
    return loop->timers.count > 0 ? loop->timers.slots[1]->heap_us : INT64_MAX;
}
