/* SPDX-License-Identifier: MIT */
#include "net/dialer.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define TEXT_TRIED_MAX 80 /* bytes of the failure's text for further addresses */

struct attempt {
    struct dialer *dialer;
    struct io *io; /* NULL: not begun, or over */
};

struct dialer {
    struct reap reap; /* first */
    struct loop *loop;
    struct dialer_options options;
    const struct dialer_events *events; /* NULL: over */
    void *owner;
    struct timer timer;   /* the next attempt, though the last has not failed */
    struct deferred task; /* the first attempt */
    size_t n;
    size_t n_begun;
    size_t n_running;
    size_t i_why;       /* whose failure it is */
    struct failure why; /* the most telling failure so far */
    struct address addresses[DIALER_ADDRESSES_MAX];
    struct failure refused; /* of one that was left out */
    struct attempt attempts[DIALER_ADDRESSES_MAX];
};

/* A host that says no tells more than silence, and silence more than the lack of a route,
 * which a machine without IPv6 meets all day. */
static int telling(int err)
{
    switch (err) {
    case ECONNREFUSED:
    case ECONNRESET: return 6;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS: return 5;
    case EACCES:
    case EPERM: return 4;
    case ETIMEDOUT: return 3;
    case EHOSTUNREACH: return 2;
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return 0;
    default: return 1;
    }
}

size_t dialer_interleave(struct address_list addresses, struct address *ret, size_t max)
{
    int wanted = addresses.n > 0 ? address_family(&addresses.at[0]) : AF_UNSPEC;
    size_t at_wanted = 0; /* next one to look at of the family whose turn it is */
    size_t at_other = 0;
    size_t n = 0;

    while (n < max && n < addresses.n) {
        while (at_wanted < addresses.n && address_family(&addresses.at[at_wanted]) != wanted)
            at_wanted++;
        if (at_wanted < addresses.n)
            ret[n++] = addresses.at[at_wanted++];

        size_t swap = at_wanted;
        at_wanted = at_other;
        at_other = swap;
        wanted = wanted == AF_INET ? AF_INET6 : AF_INET;
    }
    return n;
}

/* Closing now, memory later: a callback of ours may be on the stack. */
static void dialer_reap(struct reap *self)
{
    mem_free(self);
}

static void end(struct dialer *dialer)
{
    INVARIANT(dialer->events);
    dialer->events = NULL;
    timer_disarm(&dialer->timer);
    loop_defer_cancel(dialer->loop, &dialer->task);
    for (size_t i = 0; i < dialer->n_begun; i++)
        dialer->attempts[i].io = io_close(dialer->attempts[i].io);
    loop_defer_free(dialer->loop, &dialer->reap, dialer_reap);
}

struct dialer *dialer_cancel(struct dialer *dialer)
{
    if (dialer)
        end(dialer);
    return NULL;
}

static void note_failure(struct dialer *dialer, size_t i, const struct failure *why)
{
    if (dialer->why.kind != FAILURE_NONE &&
        telling(why->sys_errno) <= telling(dialer->why.sys_errno))
        return;
    dialer->why = *why;
    dialer->i_why = i;
}

/* " (also tried [2001:db8::1]:443, 192.0.2.1:443 and 3 more)" */
static void add_tried(struct dialer *dialer)
{
    CLEANUP_BUF struct buf tried = BUF_INIT(TEXT_TRIED_MAX);
    struct failure *why = &dialer->why;
    size_t n_named = 0;
    char where[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < dialer->n; i++) {
        if (i == dialer->i_why)
            continue;
        const char *sep = n_named > 0 ? ", " : " (also tried ";
        if (buf_append_format(&tried, "%s%s", sep,
                              address_format(&dialer->addresses[i], where)) < 0)
            break;
        n_named++;
    }
    if (n_named == 0)
        return;

    const char *list = buf_c_str(&tried);
    struct failure longer;
    size_t n_more = dialer->n - 1 - n_named;
    if (!list)
        return;
    if (n_more > 0)
        failure_set(&longer, why->kind, "%s%s and %zu more)", why->text, list, n_more);
    else
        failure_set(&longer, why->kind, "%s%s)", why->text, list);
    memcpy(why->text, longer.text, sizeof(why->text));
}

static void fail(struct dialer *dialer)
{
    const struct dialer_events *events = dialer->events;

    add_tried(dialer);
    end(dialer);
    events->on_failed(dialer->owner, &dialer->why);
}

static void attempt_on_connected(void *owner);
static void attempt_on_failed(void *owner, const struct failure *why);

static const struct io_events attempt_events = {
    .on_connected = attempt_on_connected,
    .on_failed = attempt_on_failed,
};

/* Begins attempts until one is under way, or none is left. */
static void begin_next(struct dialer *dialer)
{
    timer_disarm(&dialer->timer);
    while (dialer->n_begun < dialer->n) {
        size_t i = dialer->n_begun++;
        struct attempt *attempt = &dialer->attempts[i];
        struct failure why;

        attempt->dialer = dialer;
        int r =
            dialer->options.connect(dialer->loop, &dialer->addresses[i], &dialer->options.tcp,
                                    &attempt_events, attempt, &attempt->io);
        if (r < 0) {
            io_tcp_connect_failure(&why, -r, &dialer->addresses[i]);
            note_failure(dialer, i, &why);
            continue;
        }
        dialer->n_running++;
        if (dialer->n_begun == dialer->n ||
            timer_arm(&dialer->timer, dialer->options.attempt_delay_us) == 0)
            return;
    }
    if (dialer->n_running == 0)
        fail(dialer);
}

static void fail_refused(struct dialer *dialer)
{
    const struct dialer_events *events = dialer->events;

    dialer->why = dialer->refused;
    dialer->why.phase = PHASE_CONNECT;
    end(dialer);
    events->on_failed(dialer->owner, &dialer->why);
}

static void dialer_on_begin(void *owner)
{
    struct dialer *dialer = owner;

    if (dialer->n == 0)
        fail_refused(dialer);
    else
        begin_next(dialer);
}

static void attempt_on_connected(void *owner)
{
    struct attempt *attempt = owner;
    struct dialer *dialer = attempt->dialer;
    const struct dialer_events *events = dialer->events;
    struct io *winner = TAKE(attempt->io);

    io_set_events(winner, NULL, NULL);
    end(dialer);
    events->on_connected(dialer->owner, winner);
}

static void attempt_on_failed(void *owner, const struct failure *why)
{
    struct attempt *attempt = owner;
    struct dialer *dialer = attempt->dialer;

    note_failure(dialer, (size_t)(attempt - dialer->attempts), why);
    attempt->io = io_close(attempt->io);
    dialer->n_running--;
    begin_next(dialer);
}

static void leave_out_refused(struct dialer *dialer)
{
    const struct dialer_options *options = &dialer->options;
    size_t n = 0;

    for (size_t i = 0; i < dialer->n; i++) {
        if (!options->refuses ||
            !options->refuses(options->rules, &dialer->addresses[i], &dialer->refused))
            dialer->addresses[n++] = dialer->addresses[i];
    }
    dialer->n = n;
}

int dialer_start(struct loop *loop,
                 struct address_list addresses,
                 const struct dialer_options *options,
                 const struct dialer_events *events,
                 void *owner,
                 struct dialer **ret)
{
    if (addresses.n == 0)
        return fault(-EINVAL);

    struct dialer *dialer = mem_zalloc(sizeof(*dialer));
    if (!dialer)
        return fault(-ENOMEM);
    dialer->loop = loop;
    dialer->options = options ? *options : dialer_options_default();
    if (!dialer->options.connect)
        dialer->options.connect = io_tcp_connect;
    dialer->events = events;
    dialer->owner = owner;
    timer_init(&dialer->timer, loop, dialer_on_begin, dialer);
    dialer->task = (struct deferred){.fn = dialer_on_begin, .owner = dialer};
    dialer->n = dialer_interleave(addresses, dialer->addresses, DIALER_ADDRESSES_MAX);
    leave_out_refused(dialer);
    loop_defer(loop, &dialer->task);
    *ret = dialer;
    return 0;
}
