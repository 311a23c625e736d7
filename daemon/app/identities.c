/* SPDX-License-Identifier: MIT */
#include "app/identities.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "loop/loop.h"
#include "loop/worker.h"

#define RECORD_BYTES (256 * 1024) /* of a group with many members */
#define THREADS      8
#define THREADS_EACH 2    /* of a user: who has many clients holds up himself */
#define WAITING_MAX  1024 /* who is looked up at once; one more is sent away */
#define WAITING_EACH 128  /* the same of a user: as many as are let in then */
#define KEPT_US      (60 * 1000 * 1000)
#define KEPT_MAX     4096 /* names; then all are forgotten */

struct name_key {
    uint32_t id;
    uint32_t is_group;
};

struct kept_name {
    struct map_node node;
    struct name_key key;
    int64_t until_us;
    char name[ACCESS_NAME_MAX];
};

struct identities {
    struct loop *loop;
    struct worker_pool *threads;
    const struct identities_events *events;
    void *owner;
    struct map names;
    struct map users; /* of those who wait */
    unsigned n_waiting;
};

struct waiting_user {
    struct map_node node;
    uint32_t uid;
    unsigned n;
};

struct newcomer {
    struct job job; /* first */
    struct identities *identities;
    struct peer peer;
    int fd;
    int result;
    char name[ACCESS_NAME_MAX];
    struct access_group groups[PEER_GROUPS_MAX];
};

/* ---- the user database, which blocks ----------------------------------------------------- */

/* "Nobody" is an answer; some modules say it as one of these. */
static int database_result(int err)
{
    return err == 0 || err == ENOENT || err == ESRCH ? 0 : -err;
}

static void keep(const char *from, char to[ACCESS_NAME_MAX])
{
    if (strlen(from) < ACCESS_NAME_MAX) /* no section can name a longer one */
        memcpy(to, from, strlen(from) + 1);
}

static int user_name(uint32_t uid, char *record, char ret[ACCESS_NAME_MAX])
{
    struct passwd entry;
    struct passwd *found = NULL;
    int r = database_result(getpwuid_r(uid, &entry, record, RECORD_BYTES, &found));

    if (r == 0 && found)
        keep(found->pw_name, ret);
    return r;
}

static int group_name(struct access_group *group, char *record)
{
    struct group entry;
    struct group *found = NULL;
    int r = database_result(getgrgid_r(group->gid, &entry, record, RECORD_BYTES, &found));

    if (r == 0 && found)
        keep(found->gr_name, group->name);
    return r;
}

int identity_names(uint32_t uid,
                   char ret_name[ACCESS_NAME_MAX],
                   struct access_group *groups,
                   size_t n)
{
    CLEANUP_MEM char *record = mem_alloc(RECORD_BYTES);

    if (!record)
        return -ENOMEM;
    int r = user_name(uid, record, ret_name);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = group_name(&groups[i], record);
    return r;
}

/* Return: 0, -ENOENT, or another -errno. */
static int find_user(const char *text, char *record, struct passwd *entry)
{
    struct passwd *found = NULL;
    uint64_t number;
    bool is_number = num_parse_u64(span_of(text), UINT32_MAX - 1, &number) == 0;
    int r = is_number ? getpwuid_r((uid_t)number, entry, record, RECORD_BYTES, &found)
                      : getpwnam_r(text, entry, record, RECORD_BYTES, &found);

    r = database_result(r);
    return r == 0 && !found ? -ENOENT : r;
}

static void take_groups(const struct passwd *entry, struct identity *ret)
{
    gid_t gids[PEER_GROUPS_MAX];
    int n = PEER_GROUPS_MAX;

    if (getgrouplist(entry->pw_name, entry->pw_gid, gids, &n) < 0)
        n = PEER_GROUPS_MAX; /* the first of them */
    for (int i = 0; i < n; i++)
        ret->groups[ret->n_groups++].gid = gids[i];
}

int identity_of_user(const char *name_or_number, struct identity *ret)
{
    CLEANUP_MEM char *record = mem_alloc(RECORD_BYTES);
    struct identity identity = {0};
    struct passwd entry;
    uint64_t number;

    if (!record)
        return -ENOMEM;
    int r = find_user(name_or_number, record, &entry);
    if (r == 0) {
        identity.uid = entry.pw_uid;
        keep(entry.pw_name, identity.name);
        take_groups(&entry, &identity);
    } else if (r == -ENOENT &&
               num_parse_u64(span_of(name_or_number), UINT32_MAX - 1, &number) == 0) {
        identity.uid = (uint32_t)number; /* a uid needs no account */
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < identity.n_groups; i++)
        r = group_name(&identity.groups[i], record);
    if (r == 0)
        *ret = identity;
    return r;
}

/* ---- what is kept ------------------------------------------------------------------------ */

static bool drop_name(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    mem_free(CONTAINER_OF(node, struct kept_name, node));
    return true;
}

static void forget(struct identities *identities)
{
    map_each(&identities->names, drop_name, &identities->names);
}

static struct kept_name *find(struct identities *identities, struct name_key key)
{
    struct map_node *node =
        map_find(&identities->names, (struct span){(const char *)&key, sizeof(key)});

    return node ? CONTAINER_OF(node, struct kept_name, node) : NULL;
}

/* Return: whether the name is known; it may be none. */
static bool
recall(struct identities *identities, uint32_t id, bool is_group, char ret[ACCESS_NAME_MAX])
{
    struct kept_name *kept = find(identities, (struct name_key){id, is_group});

    if (!kept || kept->until_us < loop_now_us(identities->loop))
        return false;
    memcpy(ret, kept->name, sizeof(kept->name));
    return true;
}

/* Without memory it is asked for again. Who has no name may get one in the next moment, with
 * the service that he is for. */
static void
remember(struct identities *identities, uint32_t id, bool is_group, const char *name)
{
    struct name_key key = {id, is_group};
    struct kept_name *kept = find(identities, key);

    if (name[0] == '\0')
        return;
    if (!kept) {
        if (identities->names.count >= KEPT_MAX)
            forget(identities);
        kept = mem_zalloc(sizeof(*kept));
        if (!kept)
            return;
        kept->key = key;
        if (map_add(&identities->names, &kept->node,
                    (struct span){(const char *)&kept->key, sizeof(kept->key)}) < 0) {
            mem_free(kept);
            return;
        }
    }
    kept->until_us = loop_now_us(identities->loop) + KEPT_US;
    (void)snprintf(kept->name, sizeof(kept->name), "%s", name);
}

/* ---- newcomers --------------------------------------------------------------------------- */

static struct waiting_user *find_waiting(struct identities *identities, uint32_t uid)
{
    struct map_node *node =
        map_find(&identities->users, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? CONTAINER_OF(node, struct waiting_user, node) : NULL;
}

/* Return: 0 or -ENOMEM. */
static int count_waiting(struct identities *identities, uint32_t uid)
{
    struct waiting_user *user = find_waiting(identities, uid);

    if (!user) {
        user = mem_zalloc(sizeof(*user));
        if (!user)
            return fault(-ENOMEM);
        user->uid = uid;
        int r = map_add(&identities->users, &user->node,
                        (struct span){(const char *)&user->uid, sizeof(user->uid)});
        if (r < 0) {
            mem_free(user);
            return r;
        }
    }
    user->n++;
    identities->n_waiting++;
    return 0;
}

static void uncount_waiting(struct identities *identities, uint32_t uid)
{
    struct waiting_user *user = find_waiting(identities, uid);

    INVARIANT(user);
    identities->n_waiting--;
    if (--user->n > 0)
        return;
    map_remove(&identities->users, &user->node);
    mem_free(user);
}

static bool may_wait(struct identities *identities, uint32_t uid)
{
    const struct waiting_user *user = find_waiting(identities, uid);

    return identities->n_waiting < WAITING_MAX && (!user || user->n < WAITING_EACH);
}

static void tell(struct newcomer *newcomer, bool is_known)
{
    struct identities *identities = newcomer->identities;
    const struct access_person who = {
        .uid = newcomer->peer.uid,
        .name = newcomer->name,
        .groups = newcomer->groups,
        .n_groups = newcomer->peer.n_gids,
    };

    identities->events->on_known(identities->owner, newcomer->fd, &newcomer->peer,
                                 is_known ? &who : NULL);
}

static void newcomer_run(struct job *job)
{
    struct newcomer *newcomer = (struct newcomer *)(void *)job;

    newcomer->result = identity_names(newcomer->peer.uid, newcomer->name, newcomer->groups,
                                      newcomer->peer.n_gids);
}

static void newcomer_done(struct job *job)
{
    struct newcomer *newcomer = (struct newcomer *)(void *)job;
    struct identities *identities = newcomer->identities;

    uncount_waiting(identities, newcomer->peer.uid);
    if (job->cancelled) {
        close(newcomer->fd);
        mem_free(newcomer);
        return;
    }
    if (newcomer->result == 0) {
        remember(identities, newcomer->peer.uid, false, newcomer->name);
        for (unsigned i = 0; i < newcomer->peer.n_gids; i++)
            remember(identities, newcomer->groups[i].gid, true, newcomer->groups[i].name);
    } else {
        log_warning(NULL, "the user database says nothing about uid %u: %s", newcomer->peer.uid,
                    strerrordesc_np(-newcomer->result));
    }
    tell(newcomer, newcomer->result == 0);
    mem_free(newcomer);
}

static bool recall_all(struct newcomer *newcomer)
{
    bool all = recall(newcomer->identities, newcomer->peer.uid, false, newcomer->name);

    for (unsigned i = 0; i < newcomer->peer.n_gids; i++) {
        newcomer->groups[i].gid = newcomer->peer.gids[i];
        all = recall(newcomer->identities, newcomer->peer.gids[i], true,
                     newcomer->groups[i].name) &&
              all;
    }
    return all;
}

void identities_ask(struct identities *identities, int fd, const struct peer *peer)
{
    CLEANUP_MEM struct newcomer *newcomer =
        may_wait(identities, peer->uid) ? mem_zalloc(sizeof(*newcomer)) : NULL;

    if (!newcomer) {
        log_debug(NULL, "a client of uid %u was sent away: too many wait for their names",
                  peer->uid);
        close(fd);
        return;
    }
    newcomer->job = (struct job){.run = newcomer_run, .done = newcomer_done, .lane = peer->uid};
    newcomer->identities = identities;
    newcomer->peer = *peer;
    newcomer->fd = fd;
    if (recall_all(newcomer)) {
        tell(newcomer, true);
        return;
    }
    newcomer->name[0] = '\0';
    for (unsigned i = 0; i < peer->n_gids; i++)
        newcomer->groups[i].name[0] = '\0';
    if (count_waiting(identities, peer->uid) < 0) {
        tell(newcomer, false);
        return;
    }
    if (worker_submit(identities->threads, &newcomer->job) < 0) {
        uncount_waiting(identities, peer->uid);
        tell(newcomer, false);
        return;
    }
    newcomer = NULL;
}

bool identities_are_asked(const struct identities *identities)
{
    return identities->n_waiting > 0;
}

struct worker_pool *identities_threads(struct identities *identities)
{
    return identities->threads;
}

int identities_new(struct identities **ret,
                   struct loop *loop,
                   const struct identities_events *events,
                   void *owner)
{
    CLEANUP(identities_free) struct identities *identities = mem_zalloc(sizeof(*identities));

    if (!identities)
        return fault(-ENOMEM);
    identities->loop = loop;
    identities->events = events;
    identities->owner = owner;
    int r = worker_pool_new(&identities->threads, loop, THREADS);
    if (r < 0)
        return r;
    worker_pool_set_lanes(identities->threads, THREADS_EACH);
    *ret = TAKE(identities);
    return 0;
}

struct identities *identities_free(struct identities *identities)
{
    if (!identities)
        return NULL;
    if (worker_pool_leave(identities->threads, WORKER_LEAVE_US))
        return NULL; /* a thread hangs, and uses the rest */
    forget(identities);
    map_done(&identities->names);
    map_done(&identities->users);
    return mem_free(identities);
}
