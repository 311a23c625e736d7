/* SPDX-License-Identifier: MIT */
#include "app/jar_sessions.h"

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"

struct jar_session {
    struct map_node node;
    struct jar_sessions *sessions;
    uint32_t uid;
    unsigned n_holds;
    struct timer grace;
};

void jar_sessions_init(struct jar_sessions *sessions,
                       struct loop *loop,
                       void (*on_end)(void *owner, uint32_t uid),
                       void *owner)
{
    *sessions = (struct jar_sessions){.loop = loop, .on_end = on_end, .owner = owner};
}

static struct jar_session *find(const struct jar_sessions *sessions, uint32_t uid)
{
    struct map_node *node =
        map_find(&sessions->by_uid, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? CONTAINER_OF(node, struct jar_session, node) : NULL;
}

static void forget(struct jar_session *session)
{
    timer_disarm(&session->grace);
    map_remove(&session->sessions->by_uid, &session->node);
    mem_free(session);
}

static void end(struct jar_session *session)
{
    struct jar_sessions *sessions = session->sessions;
    uint32_t uid = session->uid;

    forget(session);
    sessions->on_end(sessions->owner, uid);
}

static void session_on_grace_over(void *owner)
{
    end(owner);
}

static struct jar_session *make(struct jar_sessions *sessions, uint32_t uid)
{
    struct jar_session *session = mem_zalloc(sizeof(*session));

    if (!session)
        return NULL;
    session->sessions = sessions;
    session->uid = uid;
    timer_init(&session->grace, sessions->loop, session_on_grace_over, session);
    if (map_add(&sessions->by_uid, &session->node,
                (struct span){(const char *)&session->uid, sizeof(session->uid)}) < 0)
        return mem_free(session);
    return session;
}

static struct jar_session *get(struct jar_sessions *sessions, uint32_t uid)
{
    struct jar_session *session = find(sessions, uid);

    return session ? session : make(sessions, uid);
}

static void wait_for_next(struct jar_session *session, int64_t grace_us)
{
    if (timer_arm(&session->grace, grace_us) == 0)
        return;
    log_warning(NULL, "no memory for a timer; the session of uid %u goes on", session->uid);
    forget(session);
}

void jar_sessions_hold(struct jar_sessions *sessions, uint32_t uid)
{
    struct jar_session *session = get(sessions, uid);

    if (!session) {
        log_warning(NULL, "no memory to see when the last client of uid %u leaves", uid);
        return;
    }
    session->n_holds++;
    timer_disarm(&session->grace);
}

void jar_sessions_release(struct jar_sessions *sessions, uint32_t uid, int64_t grace_us)
{
    struct jar_session *session = find(sessions, uid);

    if (!session || session->n_holds == 0 || --session->n_holds > 0)
        return;
    if (grace_us == 0) {
        end(session);
        return;
    }
    wait_for_next(session, grace_us);
}

void jar_sessions_await(struct jar_sessions *sessions, uint32_t uid, int64_t grace_us)
{
    struct jar_session *session = get(sessions, uid);

    if (session && session->n_holds == 0)
        wait_for_next(session, grace_us);
}

static bool forget_one(struct map_node *node, void *arg)
{
    (void)arg;
    forget(CONTAINER_OF(node, struct jar_session, node));
    return true;
}

void jar_sessions_done(struct jar_sessions *sessions)
{
    map_each(&sessions->by_uid, forget_one, NULL);
    map_done(&sessions->by_uid);
}
