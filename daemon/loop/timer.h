/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One-shot timers on the loop's clock, kept in a binary heap: arm and disarm are O(log n).
 * Re-arming for later, which every received byte does to an idle timeout, is O(1): the entry
 * stays where it is and is moved when it comes up early.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct loop;

struct timer {
    struct loop *loop;
    void (*fn)(void *owner);
    void *owner;
    int64_t due_us;   /* when it shall fire */
    int64_t heap_us;  /* where it lies in the heap: never later than due_us */
    size_t heap_slot; /* 1-based; 0: disarmed */
};

void timer_init(struct timer *timer, struct loop *loop, void (*fn)(void *owner), void *owner);

/**
 * timer_arm() - fire once, @delay_us from now; replaces an earlier arming
 * Return: 0 or -ENOMEM (never when it was armed already).
 */
MUST_CHECK int timer_arm(struct timer *timer, int64_t delay_us);
void timer_disarm(struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer)
{
    return timer->heap_slot != 0;
}
