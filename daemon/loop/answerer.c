/* SPDX-License-Identifier: MIT */
#include "loop/answerer.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"

struct answerer {
    struct loop *loop;
    const struct answerer_ops *ops;
    void *owner;
    unsigned refs;
    uint64_t id;
    uint64_t last_ask;
    bool has_left;
    struct map asked; /* struct ask, by id */
};

static uint64_t last_answerer; /* the loop's thread alone makes them */

int answerer_new(struct answerer **ret,
                 struct loop *loop,
                 const struct answerer_ops *ops,
                 void *owner)
{
    struct answerer *answerer = mem_zalloc(sizeof(*answerer));

    if (!answerer)
        return fault(-ENOMEM);
    answerer->loop = loop;
    answerer->ops = ops;
    answerer->owner = owner;
    answerer->refs = 1;
    answerer->id = ++last_answerer;
    *ret = answerer;
    return 0;
}

struct answerer *answerer_ref(struct answerer *answerer)
{
    answerer->refs++;
    return answerer;
}

struct answerer *answerer_unref(struct answerer *answerer)
{
    if (!answerer || --answerer->refs > 0)
        return NULL;
    INVARIANT(answerer->asked.count == 0); /* each ask holds a reference */
    map_done(&answerer->asked);
    return mem_free(answerer);
}

uint64_t answerer_id(const struct answerer *answerer)
{
    return answerer->id;
}

/* ---- the end of one ---------------------------------------------------------------------- */

/* The client cannot answer any more, nor can the deadline pass. */
static void take_back(struct ask *ask)
{
    if (ask->node.key.len == 0)
        return;
    map_remove(&ask->answerer->asked, &ask->node);
    ask->node.key = (struct span){0};
    timer_disarm(&ask->deadline);
}

/* on_end may free the ask. */
static void tell(struct ask *ask, struct span bytes, const struct failure *why)
{
    struct answerer *answerer = ask->answerer;

    take_back(ask);
    ask->answerer = NULL;
    ask->on_end(ask->owner, bytes, why);
    answerer_unref(answerer);
}

static void ask_on_refused(void *owner)
{
    struct ask *ask = owner;
    struct failure why = ask->why;

    tell(ask, (struct span){0}, &why);
}

/* At the end of the round: whoever refuses need not look whether he is still there. */
static void refuse(struct ask *ask, const char *what)
{
    take_back(ask);
    failure_set(&ask->why, FAILURE_TLS, "%.*s: the client %s", (int)ask->host.len,
                ask->host.len > 0 ? ask->host.ptr : "", what);
    ask->why.phase = PHASE_TLS;
    loop_defer(ask->answerer->loop, &ask->end);
}

static void ask_on_deadline(void *owner)
{
    struct ask *ask = owner;
    struct answerer *answerer = ask->answerer;

    answerer->ops->withdraw(answerer->owner, ask);
    refuse(ask, "was asked while connecting and has not answered in time");
}

/* ---- asking ------------------------------------------------------------------------------ */

static int enter(struct answerer *answerer, struct ask *ask)
{
    struct span key = {(const char *)&ask->id, sizeof(ask->id)};
    int r = map_add(&answerer->asked, &ask->node, key);

    if (r < 0) {
        ask->node.key = (struct span){0};
        return r;
    }
    r = timer_arm(&ask->deadline, ask->deadline_us > 0 ? ask->deadline_us : ASK_DEADLINE_US);
    if (r < 0)
        take_back(ask);
    return r;
}

int ask_start(struct answerer *answerer, struct ask *ask)
{
    INVARIANT(!ask->answerer);
    ask->node = (struct map_node){0};
    ask->end = (struct deferred){.fn = ask_on_refused, .owner = ask};
    ask->id = ++answerer->last_ask;
    timer_init(&ask->deadline, answerer->loop, ask_on_deadline, ask);
    ask->answerer = answerer_ref(answerer);
    if (answerer->has_left) {
        refuse(ask, "that would have to be asked has left");
        return 0;
    }
    if (answerer->asked.count >= ANSWERER_PENDING_MAX || ask->bytes.len > ASK_BYTES_MAX) {
        refuse(ask, "is asked too much at once");
        return 0;
    }
    int r = enter(answerer, ask);
    if (r < 0) {
        ask->answerer = answerer_unref(answerer);
        return r;
    }
    if (answerer->ops->send(answerer->owner, ask) < 0)
        refuse(ask, "could not be asked");
    return 0;
}

void ask_cancel(struct ask *ask)
{
    struct answerer *answerer = ask->answerer;

    if (!answerer)
        return;
    loop_defer_cancel(answerer->loop, &ask->end);
    if (ask->node.key.len > 0)
        answerer->ops->withdraw(answerer->owner, ask);
    take_back(ask);
    ask->answerer = answerer_unref(answerer);
}

/* ---- answers ----------------------------------------------------------------------------- */

static struct ask *find(const struct answerer *answerer, uint64_t id)
{
    struct map_node *node =
        map_find(&answerer->asked, (struct span){(const char *)&id, sizeof(id)});

    return node ? CONTAINER_OF(node, struct ask, node) : NULL;
}

int answerer_answer(struct answerer *answerer, uint64_t id, struct span bytes)
{
    struct ask *ask = find(answerer, id);

    if (!ask)
        return -EINVAL;
    if (bytes.len == 0 || bytes.len > ASK_BYTES_MAX)
        refuse(ask, "gave an answer that cannot be");
    else
        tell(ask, bytes, NULL);
    return 0;
}

int answerer_refuse(struct answerer *answerer, uint64_t id)
{
    struct ask *ask = find(answerer, id);

    if (!ask)
        return -EINVAL;
    refuse(ask, "was asked while connecting and refused");
    return 0;
}

static bool refuse_for_leaving(struct map_node *node, void *arg)
{
    (void)arg;
    refuse(CONTAINER_OF(node, struct ask, node), "was asked while connecting and has left");
    return true;
}

void answerer_leave(struct answerer *answerer)
{
    answerer->has_left = true;
    map_each(&answerer->asked, refuse_for_leaving, NULL);
}
