/* SPDX-License-Identifier: MIT */
/* Jars as a whole: which there are, making and removing them, who may use them, and the end of
 * a session. */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "service/cookie_priv.h"

#define JARS_PER_REPLY 64 /* with as many grants each they fit a frame's WIRE_FIELDS_MAX */
#define GRANTS_TOLD    16 /* of each jar in a page that is full of jars with many */

/* ---- listing -------------------------------------------------------------------------------
 */

/* A jar, and what its message points to. */
struct told_jar {
    struct told_jar *next;
    Xhrd__V1__JarInfo info;
    char name[JAR_TEXT_MAX];
    char profile[PARTITION_PROFILE_MAX];
    size_t n_grants;
    Xhrd__V1__JarGrant *grants;
    Xhrd__V1__JarGrant **grant_pointers;
};

struct jar_listing {
    const struct client *client;
    struct told_jar *first;
    struct told_jar **end;
    size_t count;
    bool is_short; /* of memory */
};

static struct told_jar *told_jar_free(struct told_jar *told)
{
    if (!told)
        return NULL;
    mem_free(told->grants);
    mem_free(told->grant_pointers);
    return mem_free(told);
}

static void listing_done(struct jar_listing *listing)
{
    while (listing->first) {
        struct told_jar *told = listing->first;

        listing->first = told->next;
        told_jar_free(told);
    }
}

static void grant_to_pb(const struct jar_grant *from, Xhrd__V1__JarGrant *to)
{
    xhrd__v1__jar_grant__init(to);
    to->right = (Xhrd__V1__JarRight)from->right;
    to->whom_case =
        from->is_group ? XHRD__V1__JAR_GRANT__WHOM_GID : XHRD__V1__JAR_GRANT__WHOM_UID;
    if (from->is_group)
        to->gid = from->id;
    else
        to->uid = from->id;
}

/* Return: whether there was memory for it. */
static bool take_grants(struct told_jar *told, const struct jar_grants *grants)
{
    if (!grants || grants->count == 0)
        return true;
    told->grants = mem_array(grants->count, sizeof(*told->grants));
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    told->grant_pointers = mem_array(grants->count, sizeof(*told->grant_pointers));
    if (!told->grants || !told->grant_pointers)
        return false;
    for (size_t i = 0; i < grants->count; i++) {
        grant_to_pb(&grants->at[i], &told->grants[i]);
        told->grant_pointers[i] = &told->grants[i];
    }
    told->info.grants = told->grant_pointers;
    told->info.n_grants = grants->count;
    return true;
}

static void listing_on_row(void *owner, const struct jar_row *row)
{
    struct jar_listing *listing = owner;
    struct told_jar *told = mem_zalloc(sizeof(*told));

    if (!told) {
        listing->is_short = true;
        return;
    }
    xhrd__v1__jar_info__init(&told->info);
    jar_ref_format(row->ref, &listing->client->partition, told->name);
    memcpy(told->profile, row->ref->partition.profile, sizeof(told->profile));
    told->info.name = bytes_of_span(span_of(told->name));
    told->info.profile = told->profile;
    told->info.owner_uid = row->ref->partition.uid;
    told->info.right = (Xhrd__V1__JarRight)row->right;
    told->info.cookies = row->count;
    told->info.created_s = row->created_s;
    listing->is_short |= !take_grants(told, row->grants);
    *listing->end = told;
    listing->end = &told->next;
    listing->count++;
}

/* So many fields has the message of one. */
static size_t fields_of(const struct told_jar *told)
{
    return 8 + told->info.n_grants * 3;
}

/* Return: 0 or -EDQUOT. */
static int send_jars(struct client *client, uint32_t command_id, struct jar_listing *listing)
{
    struct told_jar *at = listing->first;

    do {
        Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;
        Xhrd__V1__JarInfo *jars[JARS_PER_REPLY];
        size_t fields = 0;
        size_t n = 0;

        for (; at && n < JARS_PER_REPLY && fields < JARS_PER_REPLY * (8 + GRANTS_TOLD * 3);
             at = at->next) {
            fields += fields_of(at);
            jars[n++] = &at->info;
        }
        reply.command_id = command_id;
        reply.jars = jars;
        reply.n_jars = n;
        reply.more = at != NULL;
        int r = cookie_send_rows(client, &reply);
        if (r < 0)
            return r;
    } while (at);
    return 0;
}

void cookie_jars_list(struct client *client, const Xhrd__V1__CookieCommand *command)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    const struct jar_asker asker = cookie_asker_of(client);
    struct jar_listing listing = {.client = client};
    const struct jar_listener listener = {listing_on_row, &listing};
    const uint32_t *of_uid = command->jar_list->of_case == XHRD__V1__JAR_LIST__OF_OWNER_UID
                                 ? &command->jar_list->owner_uid
                                 : NULL;
    struct cookie_wait *wait;
    struct cookie_job *job;

    listing.end = &listing.first;
    if (cookie_ask_begin(client, command, &job, &wait) < 0)
        return;
    int r = cookies->list(cookies->owner, &asker, of_uid, wait, &listener);
    if (cookie_ask_end(job, command, r)) {
        r = listing.is_short ? fault(-ENOMEM)
                             : send_jars(client, command->command_id, &listing);
        if (r < 0)
            cookie_send_trouble(client, command->command_id, r);
    }
    listing_done(&listing);
}

/* ---- deeds ---------------------------------------------------------------------------------
 */

/* Return: what is wrong with it, or NULL. */
static const char *take_grant(const Xhrd__V1__JarGrant *from, struct jar_grant *ret)
{
    if (!from)
        return "grant: there is none in the message";
    switch (from->whom_case) {
    case XHRD__V1__JAR_GRANT__WHOM_UID: *ret = (struct jar_grant){.id = from->uid}; break;
    case XHRD__V1__JAR_GRANT__WHOM_GID:
        *ret = (struct jar_grant){.id = from->gid, .is_group = true};
        break;
    case XHRD__V1__JAR_GRANT__WHOM__NOT_SET:
    case _XHRD__V1__JAR_GRANT__WHOM__CASE_IS_INT_SIZE: return "grant: wants a uid or a gid";
    }
    ret->right = (uint8_t)from->right;
    return NULL;
}

/* Return: what is wrong with the command, or NULL. */
static const char *deed_of(const Xhrd__V1__CookieCommand *command, struct jar_deed *ret)
{
    const char *wrong = NULL;

    *ret = (struct jar_deed){.jar = span_of(command->jar)};
    switch ((int)command->operation_case) {
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE: ret->kind = JAR_DEED_CREATE; break;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE: ret->kind = JAR_DEED_REMOVE; break;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT:
        ret->kind = JAR_DEED_GRANT;
        wrong = take_grant(command->jar_grant->grant, &ret->grant);
        if (!wrong && ret->grant.right == JAR_RIGHT_NONE)
            wrong = "grant: wants a right: USE, READ or WRITE";
        break;
    case XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE:
        ret->kind = JAR_DEED_REVOKE;
        wrong = take_grant(command->jar_revoke->grant, &ret->grant);
        break;
    default: ret->kind = JAR_DEED_END_SESSION; break;
    }
    if (!wrong && ret->kind != JAR_DEED_END_SESSION && ret->jar.len == 0)
        wrong = "jar: wants to be named";
    if (!wrong && ret->kind != JAR_DEED_END_SESSION &&
        span_eq(ret->jar, SPAN_LIT(JAR_NAME_SYSTEM)))
        wrong = "jar: there is one system's jar; who may use it stands in xhrd.conf";
    return wrong;
}

void cookie_jars_do_deed(struct client *client, const Xhrd__V1__CookieCommand *command)
{
    const struct cookie_access *cookies = &client->service->fetcher->cookies;
    const struct jar_asker asker = cookie_asker_of(client);
    struct cookie_turn turn = {.client = client, .command = command};
    struct cookie_wait *wait;
    struct cookie_job *job;
    struct jar_deed deed;
    const char *wrong = deed_of(command, &deed);

    if (wrong) {
        cookie_send_failure(client, command->command_id, FAILURE_ARGUMENT, wrong);
        return;
    }
    if (cookie_ask_begin(client, command, &job, &wait) < 0)
        return;
    int r = cookies->do_deed(cookies->owner, &asker, &deed, wait);
    if (!cookie_ask_end(job, command, r))
        return;
    turn.lease.owner_uid = deed.owner_uid;
    cookie_answer_when_saved(&turn, deed.changed);
}
