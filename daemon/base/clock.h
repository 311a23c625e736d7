/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Time as something one is given. Timers use the monotonic half, cookies and certificates the
 * wall half; tests give a clock they move by hand.
 */

#include <stdint.h>

struct clock {
    int64_t (*mono_us)(const struct clock *self);
    int64_t (*wall_s)(const struct clock *self);
};

static inline int64_t clock_mono_us(const struct clock *clock)
{
    return clock->mono_us(clock);
}

static inline int64_t clock_wall_s(const struct clock *clock)
{
    return clock->wall_s(clock);
}

const struct clock *clock_system(void);

/* A clock for tests: reads what its owner last wrote. */
struct fake_clock {
    struct clock clock;
    int64_t now_us;
    int64_t now_wall_s;
};

void fake_clock_init(struct fake_clock *fake, int64_t wall_s);
void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms);
