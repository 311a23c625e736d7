/* SPDX-License-Identifier: MIT */
#include "net/tcp_flow.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define WINDOW_US 1000         /* over which the rate is taken */
#define GATHER_US 500          /* how long bytes may gather */
#define LOWAT_MIN (48 * 1024)  /* of less it is not worth it */
#define LOWAT_MAX (256 * 1024) /* what an owner reads in one turn */
#define LATE_US   2000         /* no word for so long: somebody has a look */

struct tcp_flow {
    struct loop *loop;
    struct timer late;
    void (*on_late)(void *owner);
    void *owner;
    int64_t since_us; /* the window's beginning */
    uint64_t bytes;   /* in the window */
    uint64_t per_window;
    int fd;
    int lowat;      /* 1: each byte is told */
    bool has_woken; /* since the timer was armed */
};

/* A kernel that refuses wakes us more often, no more. */
static void set_lowat(struct tcp_flow *flow, int lowat)
{
    if (lowat != flow->lowat &&
        setsockopt(flow->fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat)) == 0)
        flow->lowat = lowat;
}

static void stop(struct tcp_flow *flow)
{
    set_lowat(flow, 1);
    timer_disarm(&flow->late);
    flow->since_us = 0;
    flow->per_window = 0;
}

static void flow_on_timer(void *owner)
{
    struct tcp_flow *flow = owner;

    if (flow->has_woken) {
        flow->has_woken = false;
        if (timer_arm(&flow->late, LATE_US) == 0)
            return;
    }
    stop(flow);
    flow->on_late(flow->owner);
}

int tcp_flow_new(
    struct tcp_flow **ret, struct loop *loop, int fd, void (*on_late)(void *owner), void *owner)
{
    struct tcp_flow *flow = mem_zalloc(sizeof(*flow));

    if (!flow)
        return fault(-ENOMEM);
    flow->loop = loop;
    flow->fd = fd;
    flow->lowat = 1;
    flow->on_late = on_late;
    flow->owner = owner;
    timer_init(&flow->late, loop, flow_on_timer, flow);
    *ret = flow;
    return 0;
}

void tcp_flow_on_ready(struct tcp_flow *flow)
{
    flow->has_woken = true;
}

void tcp_flow_on_bytes(struct tcp_flow *flow, uint64_t bytes)
{
    flow->bytes += bytes;
}

/* A window that began while nothing came says little: the next one does. */
static void take_rate(struct tcp_flow *flow)
{
    int64_t now_us = loop_now_us(flow->loop);
    int64_t passed_us = now_us - flow->since_us;

    if (passed_us < WINDOW_US)
        return;
    flow->per_window =
        flow->since_us ? flow->bytes * WINDOW_US / (uint64_t)passed_us : flow->per_window;
    flow->since_us = now_us;
    flow->bytes = 0;
}

void tcp_flow_expect(struct tcp_flow *flow, uint64_t bytes)
{
    take_rate(flow);
    uint64_t wanted = flow->per_window * GATHER_US / WINDOW_US;

    if (wanted > LOWAT_MAX)
        wanted = LOWAT_MAX;
    if (wanted < LOWAT_MIN || bytes < wanted) {
        if (flow->lowat > 1)
            stop(flow);
        return;
    }
    /* Near enough is good enough: it costs a call. */
    if (wanted < (uint64_t)flow->lowat * 3 / 4 || wanted > (uint64_t)flow->lowat * 4 / 3) {
        if (!timer_is_armed(&flow->late) && timer_arm(&flow->late, LATE_US) < 0)
            return;
        set_lowat(flow, (int)wanted);
    }
}

struct tcp_flow *tcp_flow_free(struct tcp_flow *flow)
{
    if (!flow)
        return NULL;
    stop(flow);
    mem_free(flow);
    return NULL;
}
