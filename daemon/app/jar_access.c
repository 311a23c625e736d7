/* SPDX-License-Identifier: MIT */
/*
 * Who gets which jar into his hands. One's own are made when they are asked for; those of
 * others, and the machine's, want a right. Nobody learns whether another user has a jar, or
 * xhrd knows him at all: that is denied as what is forbidden.
 */
#include <errno.h>
#include <unistd.h>

#include "app/cookie_stores_priv.h"
#include "base/fault.h"
#include "loop/loop.h"
#include "store/jar_book.h"

/* A question, as far as it has come. */
struct question {
    struct cookie_stores *stores;
    struct jar_person person;
    const struct partition *own;
    struct jar_ref ref;
    struct uid_store *of_uid;
};

static bool is_owner(const struct question *question)
{
    uint32_t uid = question->ref.partition.uid;

    return question->person.uid == uid ||
           (uid == JAR_UID_SYSTEM && question->stores->options.per_user &&
            question->person.uid == getuid());
}

/* @in: NULL: of a jar that is not there. */
static enum jar_right right_of(const struct question *question, const struct stored_jar *in)
{
    if (question->person.uid == 0 || is_owner(question))
        return JAR_RIGHT_WRITE;
    if (question->ref.partition.uid == JAR_UID_SYSTEM)
        return jar_grants_right(&question->stores->options.system_grants, &question->person);
    return in ? jar_grants_right(&in->grants, &question->person) : JAR_RIGHT_NONE;
}

static bool may_keep(void *arg, const struct jar_lease *lease)
{
    const struct question question = {
        .stores = arg, .person = lease->person, .ref.partition.uid = JAR_UID_SYSTEM};

    return right_of(&question, NULL) >= lease->right;
}

void jar_access_check_system(struct cookie_stores *stores)
{
    const struct uid_store *machine = stores_find(stores, JAR_UID_SYSTEM);

    if (machine && cookie_store_is_ready(machine->store))
        jar_book_check(cookie_store_jars(machine->store), may_keep, stores);
}

/* Return: an outcome of opening; READY: of_uid is filled in and in memory. */
static int ask(struct question *question, struct cookie_wait *wait)
{
    uint32_t uid = question->ref.partition.uid;

    if (uid == JAR_UID_SYSTEM) {
        if (right_of(question, NULL) == JAR_RIGHT_NONE)
            return COOKIE_OPEN_DENIED;
    } else if (!is_owner(question) && !stores_have(question->stores, uid)) {
        return COOKIE_OPEN_DENIED;
    }
    int r = stores_get(question->stores, uid, &question->of_uid);
    if (r < 0)
        return r;
    return cookie_store_is_ready(question->of_uid->store) ? COOKIE_OPEN_READY
                                                          : stores_wait(question->of_uid, wait);
}

static int begin(struct question *question,
                 struct cookie_stores *stores,
                 const struct jar_asker *asker,
                 struct span jar)
{
    *question = (struct question){
        .stores = stores,
        .person = {asker->partition->uid, asker->gids, asker->n_gids},
        .own = asker->partition,
    };
    return jar_ref_parse(jar, asker->partition, &question->ref);
}

static struct stored_jar *find_jar(const struct question *question)
{
    return jar_book_find(cookie_store_jars(question->of_uid->store),
                         question->ref.partition.profile, span_of(question->ref.name));
}

/* Makes it where the asker may. Return: an outcome of opening. */
static int get_jar(const struct question *question, struct stored_jar **ret)
{
    *ret = find_jar(question);
    if (*ret)
        return COOKIE_OPEN_READY;
    if (!is_owner(question) && question->ref.partition.uid != JAR_UID_SYSTEM)
        return COOKIE_OPEN_DENIED;
    return jar_book_get(cookie_store_jars(question->of_uid->store),
                        question->ref.partition.profile, span_of(question->ref.name),
                        loop_wall_s(question->stores->loop), ret);
}

int jar_access_open(void *owner,
                    const struct jar_asker *asker,
                    struct span jar,
                    struct cookie_wait *wait,
                    struct jar_lease *ret)
{
    struct question question;
    struct stored_jar *in = NULL;
    int r = begin(&question, owner, asker, jar);

    if (r == 0)
        r = ask(&question, wait);
    if (r == COOKIE_OPEN_READY)
        r = get_jar(&question, &in);
    if (r != COOKIE_OPEN_READY)
        return r;
    enum jar_right right = right_of(&question, in);
    if (right == JAR_RIGHT_NONE)
        return COOKIE_OPEN_DENIED;
    ret->right = right;
    ret->owner_uid = question.ref.partition.uid;
    ret->person = question.person;
    jar_book_lend(in, ret);
    return COOKIE_OPEN_READY;
}

/* ---- deeds --------------------------------------------------------------------------------
 */

static int create(const struct question *question, struct jar_deed *deed)
{
    struct stored_jar *in = NULL;
    bool is_new = !find_jar(question);
    int r = get_jar(question, &in);

    if (r != COOKIE_OPEN_READY)
        return r;
    deed->changed = is_new || !in->is_kept;
    jar_book_keep(in);
    return COOKIE_OPEN_READY;
}

static int change(const struct question *question, struct jar_deed *deed)
{
    struct stored_jar *in = find_jar(question);
    int r = 0;

    if (deed->kind == JAR_DEED_GRANT && !in) {
        r = get_jar(question, &in);
        if (r != COOKIE_OPEN_READY)
            return r;
    }
    if (deed->kind == JAR_DEED_GRANT)
        r = jar_book_grant(in, &deed->grant);
    else
        r = in && jar_book_revoke(in, deed->grant.id, deed->grant.is_group);
    if (r < 0)
        return r;
    deed->changed = (uint64_t)r;
    return COOKIE_OPEN_READY;
}

static int remove_jar(const struct question *question, struct jar_deed *deed)
{
    struct stored_jar *in = find_jar(question);

    deed->changed = in ? 1 : 0;
    if (in)
        jar_book_remove(in);
    return COOKIE_OPEN_READY;
}

struct session_walk {
    struct cookie_store *store;
    const char *profile;
    uint64_t changed;
};

static void
end_session(void *arg, const char *profile, const char *name, struct cookie_jar *jar)
{
    struct session_walk *walk = arg;

    (void)name;
    if (strcmp(profile, walk->profile) == 0)
        walk->changed += cookie_store_end_session_of(walk->store, jar);
}

static int end_sessions(const struct question *question, struct jar_deed *deed)
{
    struct session_walk walk = {.store = question->of_uid->store,
                                .profile = question->ref.partition.profile};

    if (deed->jar.len == 0) {
        cookie_store_each_jar(question->of_uid->store, end_session, &walk);
        deed->changed = walk.changed;
        return COOKIE_OPEN_READY;
    }
    struct stored_jar *in = find_jar(question);
    if (right_of(question, in) != JAR_RIGHT_WRITE)
        return COOKIE_OPEN_DENIED;
    deed->changed = in ? cookie_store_end_session_of(question->of_uid->store, in->jar) : 0;
    return COOKIE_OPEN_READY;
}

int jar_access_do_deed(void *owner,
                       const struct jar_asker *asker,
                       struct jar_deed *deed,
                       struct cookie_wait *wait)
{
    struct question question;
    int r = begin(&question, owner, asker, deed->jar);

    if (r < 0)
        return r;
    bool may = is_owner(&question) || question.person.uid == 0;
    bool is_system = question.ref.partition.uid == JAR_UID_SYSTEM;
    if (deed->kind != JAR_DEED_END_SESSION && (!may || is_system))
        return COOKIE_OPEN_DENIED;
    r = ask(&question, wait);
    if (r != COOKIE_OPEN_READY)
        return r;
    deed->owner_uid = question.ref.partition.uid;
    switch (deed->kind) {
    case JAR_DEED_CREATE: return create(&question, deed);
    case JAR_DEED_REMOVE: return remove_jar(&question, deed);
    case JAR_DEED_GRANT:
    case JAR_DEED_REVOKE: return change(&question, deed);
    case JAR_DEED_END_SESSION: break;
    }
    return end_sessions(&question, deed);
}

/* ---- listing ------------------------------------------------------------------------------
 */

struct row_walk {
    struct question *question;
    const struct jar_listener *listener;
};

static bool tell_row(struct map_node *node, void *arg)
{
    const struct row_walk *walk = arg;
    struct question *question = walk->question;
    const struct stored_jar *in = CONTAINER_OF(node, struct stored_jar, node);

    if (strcmp(in->profile, question->ref.partition.profile) != 0)
        return true;
    memcpy(question->ref.name, in->name, sizeof(question->ref.name));
    enum jar_right right = right_of(question, in);
    if (right == JAR_RIGHT_NONE)
        return true;
    const struct jar_row row = {
        .ref = &question->ref,
        .grants = is_owner(question) || question->person.uid == 0 ? &in->grants : NULL,
        .right = right,
        .count = cookie_jar_count(in->jar),
        .created_s = in->created_s,
    };
    walk->listener->on_row(walk->listener->owner, &row);
    return true;
}

static int tell_rows(struct question *question,
                     struct cookie_wait *wait,
                     const struct jar_listener *listener,
                     bool is_told)
{
    struct row_walk walk = {question, listener};
    int r = ask(question, wait);

    if (r == COOKIE_OPEN_READY && is_told)
        map_each(&cookie_store_jars(question->of_uid->store)->jars, tell_row, &walk);
    return r;
}

int jar_access_list(void *owner,
                    const struct jar_asker *asker,
                    const uint32_t *of_uid,
                    struct cookie_wait *wait,
                    const struct jar_listener *listener)
{
    struct question question;
    int r = begin(&question, owner, asker, (struct span){0});

    if (r < 0)
        return r;
    if (of_uid) {
        question.ref.partition = (struct partition){.uid = *of_uid};
        r = tell_rows(&question, wait, listener, true);
        return r == COOKIE_OPEN_DENIED ? COOKIE_OPEN_READY : r; /* none */
    }
    /* All is in memory before the first row is told: who waits is asked again from the start.
     */
    struct question system = question;
    system.ref.partition = (struct partition){.uid = JAR_UID_SYSTEM};
    r = tell_rows(&system, wait, listener, false);
    if (r != COOKIE_OPEN_READY && r != COOKIE_OPEN_DENIED)
        return r;
    bool has_system = r == COOKIE_OPEN_READY;
    r = tell_rows(&question, wait, listener, true);
    if (r == COOKIE_OPEN_READY && has_system)
        r = tell_rows(&system, wait, listener, true);
    return r;
}
