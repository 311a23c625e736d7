/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of service/: what its files share. */

#include <xhrd/v1/envelope.pb-c.h>

#include "base/failure.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/partition.h"
#include "fetch/fetcher.h"
#include "ipc/peer_unit.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "policy/access_rules.h"
#include "policy/auth_choice.h"
#include "pool/reach.h"
#include "service/arena.h"
#include "service/counters.h"
#include "service/history.h"
#include "service/service.h"
#include "service/user.h"
#include "wire/planned.h"

#define CLIENT_PROGRAM_MAX   64   /* bytes shown of the name a client gives itself */
#define SERVICE_PACKED_BYTES 8192 /* a larger message is put straight into the queue */

struct service {
    struct fetcher *fetcher;
    struct loop *loop;
    struct service_options options;
    const struct service_events *events;
    void *owner;
    struct map users;
    struct link clients;
    uint64_t n_clients;
    uint64_t last_client_id;
    int64_t begun_us;
    struct deferred goodbye; /* tells every client that we leave */
    struct link young;       /* clients that may be kept before long, the oldest first */
    struct timer keep;       /* when the first of them is to be */
    struct counters_table counters;
    struct histories histories;
    struct link monitors;
    uint64_t n_monitors;
    uint64_t monitor_lost; /* events, ever */
    uint64_t requests_refused;
    struct deferred drained; /* tells the owner that the last request is over */
    bool draining;           /* no request is taken */
    bool drain_exits;        /* and the daemon leaves after the last */
    bool shutting_down;
    bool was_idle;
    struct arena in;                      /* the message being handled */
    struct arena out;                     /* the message being put together */
    uint8_t packed[SERVICE_PACKED_BYTES]; /* the same as bytes */
    struct wire_plans plans;              /* how that is done */
};

struct client {
    struct reap reap;  /* first */
    struct link link;  /* in service->clients */
    struct link young; /* in service->young */
    struct service *service;
    struct session *session;
    struct user *user;
    struct peer peer;
    struct partition partition;
    struct counters *counters; /* of its partition; from hello on */
    struct link monitors;
    struct charge charge; /* one of QUOTA_CLIENTS */
    struct service_rights rights;
    struct access_group *groups; /* owned; with their names; NULL: nobody asked for them */
    size_t n_groups;
    char user_name[ACCESS_NAME_MAX];
    struct map requests; /* by the client's number */
    struct link request_list;
    struct link flowing;  /* requests that tell an answer */
    struct link stalled;  /* those that wait until the session has room, the longest first */
    struct deferred wake; /* lets some of these go on */
    struct link cookie_jobs;
    struct cookie_jar *private_jar; /* NULL until CLIENT_PRIVATE_JAR is first named */
    struct link watches;            /* of jars */
    uint32_t *held; /* owners of jars whose session lasts while it is there; owned */
    unsigned n_held;
    struct link hsts_jobs;
    unsigned n_hsts_jobs;
    struct link policy_jobs;
    unsigned n_policy_jobs;
    struct link cache_jobs;
    unsigned n_cache_jobs;
    struct link purge_jobs;
    unsigned n_purge_jobs;
    struct answerer *answerer; /* NULL until client_answerer() */
    struct network_watcher network_watcher;
    uint64_t message_bytes;   /* of the one that is being handled */
    uint32_t network_command; /* that it answers; 0: it does not watch */
    struct deferred leave;    /* closes it at the end of the round */
    struct deferred find_unit;
    volatile uint8_t *kept; /* its place with service->options.keeper, or NULL */
    struct log_subject log;
    uint64_t id;
    uint64_t requests_total;
    int64_t begun_us;
    char program[CLIENT_PROGRAM_MAX + 1];
    char unit[PEER_UNIT_BYTES]; /* see client_unit() */
    bool asked_unit;
    uint8_t program_len;
    bool greeted;
    bool closed;
    bool half_closed; /* sends no more, still listens */
};

/* ---- client.c ------------------------------------------------------------------------- */

/* Packs @message into the session's queue, whatever its user holds: an end, a refusal, an
 * answer, each told once for something that was asked, and short. For a longer one somebody has
 * asked quota_has_spare(). A client that cannot be told for lack of memory is closed at the end
 * of the round. */
void client_send(struct client *client, const Xhrd__V1__ServerMessage *message);

/* The same for all else: what is long, or comes unasked, or as often as it likes. Return: 0, or
 * -EDQUOT: it was not sent, and whom it is about must hear of that, or need not know. */
MUST_CHECK int client_send_if_room(struct client *client,
                                   const Xhrd__V1__ServerMessage *message);
/* And what it need not be woken for. */
MUST_CHECK int client_send_lazily(struct client *client,
                                  const Xhrd__V1__ServerMessage *message);

/* Tells why and closes; nothing of the client is served any more. */
void client_refuse(struct client *client, Xhrd__V1__SessionError__Kind kind, const char *text);
void client_close(struct client *client);

/* It uses jars of @uid: their session lasts until it leaves, at least. */
void client_hold_session(struct client *client, uint32_t uid);

/* The unit its process is of, for the log: it is there at the end of the round, when what the
 * client asks for is on its way; "" where it is not known, or not to be logged. */
const char *client_unit(struct client *client);

/* A half-closed client with nothing left to hear is closed. */
void client_check_done(struct client *client);

/* The client is greeted: its connection is kept if it lasts. */
void client_keep_later(struct client *client);
/* It is to be closed: nobody keeps it any more. */
void client_forget(struct client *client);
/* Nothing is under way with it and nothing lasts beyond a message: another process could go on
 * in our place and the client would not see it. What a client may have that lasts is asked here
 * as soon as there is such a thing. */
bool client_is_at_rest(const struct client *client);
void client_on_quiet(void *owner);
/* For a client at rest that is kept: we leave, its connection stays. */
void client_leave_to_keeper(struct client *client);
void service_keep_init(struct service *service);

/* client.c: makes a client, which must then be admitted. Return: 0, -ENOMEM. */
MUST_CHECK int client_new(struct service *service,
                          int fd,
                          const struct peer *peer,
                          const struct access_person *names,
                          struct client **ret);
/* Refuses it if it may not be served. Return: whether it is. */
bool client_admit(struct client *client);
/* Return: 0 or -EINVAL for a profile of another shape. */
MUST_CHECK int
client_introduce(struct client *client, struct span profile, struct span program);

/* ---- unkept.c: messages that their user had no room for -------------------------------- */

struct wire_skim;

void client_on_unkept(void *owner, const struct wire_skim *what, int why);
void client_refuse_long_hello(struct client *client);

/* ---- fetch_service.c ------------------------------------------------------------------- */

void fetch_service_open(struct client *client, const Xhrd__V1__OpenRequest *message);
void fetch_service_body(struct client *client, uint32_t request_id, struct span bytes);
void fetch_service_body_end(struct client *client, const Xhrd__V1__BodyEnd *message);
void fetch_service_credit(struct client *client, const Xhrd__V1__Credit *message);
void fetch_service_body_to_fd(struct client *client, const Xhrd__V1__BodyToFd *message);
void fetch_service_abort(struct client *client, uint32_t request_id);
/* Fails the request of that number, if there is one. */
void fetch_service_fail(struct client *client, uint32_t request_id, const struct failure *why);
/* An OpenRequest that nobody has read. */
void fetch_service_refuse(struct client *client,
                          uint32_t request_id,
                          const struct failure *why);
void fetch_service_answer(struct client *client, const Xhrd__V1__Answer *message);
void fetch_service_stall(struct client *client);
void fetch_service_wake(struct client *client);
/* The client sends no more: bodies that are not whole never will be. */
void fetch_service_end_of_input(struct client *client);
void fetch_service_close_all(struct client *client);
void fetch_service_fail_all(struct client *client, const struct failure *why);
struct client *fetch_service_client_of(void *request_owner);

/* ---- fetch_options.c --------------------------------------------------------------------- */

struct request_options;

/* Fills @ret from the message, taking the descriptors it names from the session.
 * Return: 0, or -errno with *ret_why filled. @ret is to be ended by the caller either way. */
MUST_CHECK int fetch_options_of_message(struct client *client,
                                        const Xhrd__V1__OpenRequest *message,
                                        struct request_options *ret,
                                        struct failure *ret_why);

/* ---- answer_service.c: what connections in the making ask a client --------------------------
 */

struct answerer;

/* The client as one who answers; the client's, to be counted by who keeps it. Return: 0 or
 * -ENOMEM. */
MUST_CHECK int client_answerer(struct client *client, struct answerer **ret);
void answer_service_answer(struct client *client, const Xhrd__V1__ConnectionAnswer *message);
void answer_service_refuse(struct client *client, uint64_t question_id);
/* It answers no more: it has gone, or sends nothing. */
void answer_service_leave(struct client *client);

/* ---- cookie_service.c, hsts_service.c, admin_service.c
 * --------------------------------------------------- */

void cookie_service_command(struct client *client, const Xhrd__V1__CookieCommand *command);
void cookie_service_fail(struct client *client, uint32_t command_id, const struct failure *why);
void cookie_service_close_all(struct client *client);

/* No jar's name: the one of this connection alone, gone with it. */
#define CLIENT_PRIVATE_JAR ":private"

/* Whether @name is that; if so *ret is the jar. Return: 1, 0: it is not, or -ENOMEM. */
MUST_CHECK int
client_find_private_jar(struct client *client, struct span name, struct cookie_jar **ret);
/* cookie_convert.c: the fields of an answer, as far as @right on the jar lets them be seen.
 * Return: 0 or -ENOMEM. */
MUST_CHECK int
cookie_mask_headers(const struct headers *from, enum jar_right right, struct headers *ret);

/* cookie_watch.c */
void cookie_watch_resume_all(struct client *client); /* there is room again */
void cookie_watch_end(struct client *client, uint32_t command_id);
void cookie_watch_close_all(struct client *client);
void hsts_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
void hsts_service_close_all(struct client *client);
void cache_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
void cache_service_close_all(struct client *client);

/* ---- purge_service.c --------------------------------------------------------------------- */

void purge_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
void purge_service_close_all(struct client *client);
void policy_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
void policy_service_close_all(struct client *client);
void admin_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
void network_service_command(struct client *client, const Xhrd__V1__NetworkCommand *command);
/* The watch ends if it is this one. */
void network_service_fail(struct client *client,
                          uint32_t command_id,
                          const struct failure *why);
void network_service_close(struct client *client);

/* ops_service.c */
/* Is it shown what is everybody's, and may it do what an administrator may? */
bool client_sees_all(const struct client *client);
/* Return: whether the topic was one of these. */
bool ops_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
/* A request has ended, and who drains wants to leave. */
void ops_check_drained(struct service *service);

/* Replies to commands of the administrator: a whole one, or why there is none. */
void admin_send(struct client *client, Xhrd__V1__AdminReply *reply); /* a short one */
/* A reply in place of which the command fails when there is no room. Return: whether it has
 * been sent. */
bool admin_send_or_fail(struct client *client, Xhrd__V1__AdminReply *reply);
void admin_send_status(struct client *client, uint32_t command_id); /* status.c */
void admin_send_failure(struct client *client,
                        uint32_t command_id,
                        enum failure_kind kind,
                        const char *text);

/* ---- pb_convert.c ------------------------------------------------------------------------ */

static inline struct span span_of_bytes(ProtobufCBinaryData bytes)
{
    return (struct span){(const char *)bytes.data, bytes.len};
}

static inline ProtobufCBinaryData bytes_of_span(struct span span)
{
    return (ProtobufCBinaryData){span.len, (uint8_t *)(uintptr_t)span.ptr};
}

struct request_timing;
void timing_to_pb(const struct request_timing *timing, Xhrd__V1__Timing *ret);
Xhrd__V1__AuthScheme scheme_to_pb(enum auth_scheme scheme);
Xhrd__V1__FailureKind failure_kind_to_pb(enum failure_kind kind);

struct certificates;

/* certificate_convert.c: one piece of the arena, *ret, to be released; it borrows from @from.
 * Nothing for NULL. Return: 0 or -ENOMEM. */
MUST_CHECK int certificates_to_pb(struct arena *arena,
                                  const struct certificates *from,
                                  Xhrd__V1__Certificate ***ret,
                                  size_t *ret_count);

/* *ret borrows from @why. */
void failure_to_pb(const struct failure *why, Xhrd__V1__Failure *ret);
