/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

#include "base/list.h"

static int64_t system_mono_us(const struct clock *self)
{
    struct timespec now;

    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_s(const struct clock *self)
{
    struct timespec now;

    (void)self;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

const struct clock *clock_system(void)
{
    static const struct clock clock = {system_mono_us, system_wall_s};

    return &clock;
}

static const struct fake_clock *fake_of(const struct clock *self)
{
    return (const struct fake_clock *)(const void *)self; /* the first member */
}

static int64_t fake_mono_us(const struct clock *self)
{
    return fake_of(self)->now_us;
}

static int64_t fake_wall_s(const struct clock *self)
{
    return fake_of(self)->now_wall_s;
}

void fake_clock_init(struct fake_clock *fake, int64_t wall_s)
{
    *fake = (struct fake_clock){{fake_mono_us, fake_wall_s}, 1000000, wall_s};
}

void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms)
{
    int64_t before_s = fake->now_us / 1000000;

    fake->now_us += ms * 1000;
    fake->now_wall_s += fake->now_us / 1000000 - before_s;
}
