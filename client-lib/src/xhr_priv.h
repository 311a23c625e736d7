/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The inside of libxhr.
 *
 *   client.c    life of a client, dispatch, what waits for answers (slots)
 *   link.c      the connection: bytes out, bytes in, loss and repetition
 *   start.c     where the daemon is; starting one
 *   message.c   frames from the daemon, to whom they belong
 *   request.c   HTTPClient objects: open, send, abort, free
 *   events.c    what comes for a request, and the callbacks
 *   questions.c where the daemon waits for the program
 *   encode.c    OpenRequest; upload.c: bodies that are streamed
 *   form.c      form objects; form_text.c, form_body.c: as bytes
 *   response.c  what came back; text.c: as text; charset.c: of which charset
 *   download.c: the answer into a file; savefile.c, part.c: the file and its temporaries
 *   cookies_priv.h
 *               cookies, and the files about them
 *   options.c, fields.c, errors.c, admin.c, sync.c
 *
 * Rule of life: a callback may do anything, also free what it was called for. So whoever fires
 * one holds the object (depth) meanwhile; a held object that is freed is only marked, and goes
 * with the last hold. After every callback the epoch is looked at: if it moved, the exchange
 * that was being told about is over.
 */

#include <stdbool.h>

#include "bytes.h"
#include "spill.h"
#include "wire/frame.h"
#include "xhr/xhr.h"
#include "xhrd/v1/envelope.pb-c.h"

#define XHR_IN_BYTES       65536u     /* receive buffer; doubles up to the next under load */
#define XHR_IN_BYTES_MAX   262144u    /* but for a larger frame that is no body */
#define XHR_OUT_HIGH_BYTES 131072u    /* above it no more upload is read */
#define XHR_CREDIT_BYTES   1048576u   /* of a response, by default */
#define XHR_GRANT_BYTES    262144u    /* consumed bytes are given back in no smaller parts */
#define XHR_UPLOAD_CREDIT  65536u     /* before the daemon has said hello */
#define XHR_MEMORY_BYTES   268435456u /* of a response kept in memory, by default */
#define XHR_INLINE_BYTES   262144u    /* longer bodies go by memfd: the daemon can rewind it */
#define XHR_READS_MAX      16         /* per dispatch: the program has other descriptors */
#define XHR_REPEATS_MAX    2          /* connections that end before hello */
#define XHR_HELLO_MS       30000u     /* for the daemon to say hello */
#define XHR_GRACE_MS       2000u      /* for the daemon to tell of a timeout before we do */
#define XHR_RETRY_MS_MAX   50u
#define XHR_START_MS       10000u /* to reach or start a daemon */
#define XHR_PROGRESS_US    50000u
#define XHR_TEXT_MAX       320

struct xhr_failure {
    enum xhr_error_class kind;
    enum xhr_phase phase;
    int sys_errno;
    int status; /* of XHR_ERROR_HTTP_STATUS */
    uint32_t detail;
    char text[XHR_TEXT_MAX];
};

__attribute__((format(printf, 3, 4))) void
xhr_failure_set(struct xhr_failure *ret, enum xhr_error_class kind, const char *fmt, ...);
const char *xhr_errno_text(int error); /* in English, whatever the locale */
void xhr_make_printable(char *text);
/* Borrows from @failure. */
void xhr_failure_show(const struct xhr_failure *failure, struct xhr_error *ret);
/* Return: 0, or -EPROTO for a class that the wire does not have. */
int xhr_failure_of_wire(const Xhrd__V1__Failure *wire, struct xhr_failure *ret);

/* ---- slots: whoever waits for an answer by number ---- */

struct xhr_slot_ops;

struct xhr_slot {
    const struct xhr_slot_ops *ops;
    struct xhr_slot *prev,
        *next;         /* in client->live or client->dying, in the order of sending */
    uint32_t id;       /* 0: not waiting */
    uint64_t frame_at; /* where its first frame stands in the out stream */
    size_t frame_len;
    struct xhr_failure failure; /* while dying */
};

struct xhr_slot_ops {
    /* The slot has left the client; fire the terminal event for slot->failure. */
    void (*fail)(struct xhr_slot *slot);
};

struct xhr_slot_list {
    struct xhr_slot *first, *last;
};

struct xhr_table_entry {
    struct xhr_slot *slot; /* NULL: free */
    uint32_t next_free;
    uint32_t generation; /* 1 to 4095: an old number is not taken for a new one */
};

struct xhr_fd_mark {
    uint64_t at; /* stream position of the frame that takes them */
    int fds[2];
    unsigned count;
};

enum xhr_link_state {
    XHR_LINK_DOWN,
    XHR_LINK_UP, /* connected; the daemon may not have said hello yet */
};

struct xhr_signing;

struct xhr_client {
    char *socket_path;
    char *daemon_path;
    bool (*find_daemon)(char *path, size_t size); /* NULL; internal.h */
    char *program;
    char *profile;
    bool no_start;
    enum xhr_body_types body_types;
    enum xhr_cache_mode cache;
    bool is_given; /* a socket made elsewhere: no second connection */

    unsigned depth;
    bool is_freed;
    bool is_dispatching;

    enum xhr_link_state link;
    int fd;
    bool is_hello_queued;
    bool is_hello_read;
    bool is_write_dead; /* the daemon reads no more; what it wrote is still to be read */
    bool is_started;    /* the daemon that ended before hello was started by us */
    bool needs_dispatch;
    unsigned repeats;
    unsigned retry_ms;
    uint64_t retry_at_us;   /* 0: at once */
    uint64_t give_up_at_us; /* 0: not trying */
    uint64_t hello_by_us;
    uint64_t guard_at_us; /* no request in flight is late before; 0: none can be */

    void (*sign)(struct xhr_signing *signing, void *user); /* NULL: nobody does */
    void *sign_user;
    struct xhr_signing *signings; /* that the daemon waits for */
    unsigned n_signings;

    struct xhr_bytes out;
    uint64_t out_at; /* stream position of out's first byte */
    size_t out_sent; /* of out: written, kept for repetition until hello is read */
    struct xhr_fd_mark *marks;
    size_t n_marks;
    size_t marks_capacity;
    size_t next_mark;

    struct xhr_bytes in;
    uint32_t body_id; /* of the body chunk that is coming in */
    size_t body_left;

    struct xhr_table_entry *table;
    uint32_t table_capacity;
    uint32_t table_free; /* first free entry + 1, 0: none */
    struct xhr_slot_list live;
    struct xhr_slot_list dying;
    size_t in_flight;

    struct xhr_request *requests; /* all that were made from it */
    struct xhr_request *uploads;  /* those with a body to stream, ring order by rotation */
    uint8_t *upload_buffer;

    struct xhr_daemon_info daemon;
    char *daemon_version;
    uint32_t upload_credit;

    void (*changed)(struct xhr_client *client, void *user);
    void *changed_user;
    int told_fd;
    bool told_wants_write;
    int told_timeout;
};

/* client.c */
void xhr_client_hold(struct xhr_client *client);
void xhr_client_release(struct xhr_client *client); /* tells the watcher; may free */
/* Return: 0 or -ENOMEM. */
int xhr_client_add_slot(struct xhr_client *client, struct xhr_slot *slot);
struct xhr_slot *xhr_client_find_slot(const struct xhr_client *client, uint32_t id);
/* Was such a number ever given out? What the daemon says of one that is over is let pass. */
bool xhr_client_knows_id(const struct xhr_client *client, uint32_t id);
void xhr_client_remove_slot(struct xhr_client *client, struct xhr_slot *slot);
/* Its failure is fired by the next dispatch. */
void xhr_client_doom(struct xhr_client *client,
                     struct xhr_slot *slot,
                     const struct xhr_failure *failure);
void xhr_client_doom_all(struct xhr_client *client, const struct xhr_failure *failure);
/* No later than @at_us see who is late. */
void xhr_client_guard(struct xhr_client *client, uint64_t at_us);
/* After something was queued: connect and write now, unless a dispatch is going to anyway. */
void xhr_client_kick(struct xhr_client *client);

/* link.c */
struct xhr_frame_fds {
    int fds[2];
    unsigned count;
};
/**
 * xhr_link_queue() - put a message behind what is to be written, the hello before the first
 * @slot: told where its frame lies; may be NULL
 * @fds:  go with it and are then the link's, if this succeeds; may be NULL
 * Return: 0, -EMSGSIZE, -ENOMEM.
 */
int xhr_link_queue(struct xhr_client *client,
                   const Xhrd__V1__ClientMessage *message,
                   struct xhr_slot *slot,
                   const struct xhr_frame_fds *fds);
/* Connects if there is something to write. */
void xhr_link_connect(struct xhr_client *client);
void xhr_link_flush(struct xhr_client *client);
void xhr_link_read(struct xhr_client *client);
/* Writes head and data without queueing if nothing waits. Return: 0 or -ENOMEM. */
int xhr_link_write_body(struct xhr_client *client,
                        uint32_t request_id,
                        const void *data,
                        size_t len);
/* The connection ended or must end. What never left this process is kept for the next one. */
void xhr_link_lost(struct xhr_client *client, const struct xhr_failure *why, bool may_repeat);
void xhr_link_close(struct xhr_client *client);
bool xhr_link_is_unsent(const struct xhr_client *client, const struct xhr_slot *slot);
void xhr_link_on_hello(struct xhr_client *client);

/* start.c */
/**
 * xhr_start_connect() - connect to a daemon, by way of starting one if that is allowed
 * @ret_started: whether it was started just now
 * Return: a descriptor; -EAGAIN: try again soon; another -errno with *ret_why filled.
 */
int xhr_start_connect(const struct xhr_client *client,
                      bool *ret_started,
                      struct xhr_failure *ret_why);

/* message.c: one frame. Return: 0, or -errno with *ret_why filled: the link must end. */
int xhr_message_take(struct xhr_client *client,
                     const struct wire_frame *frame,
                     struct xhr_failure *ret_why);
/* Bytes of a body chunk, as they come. */
int xhr_message_take_body(struct xhr_client *client,
                          uint32_t request_id,
                          const uint8_t *data,
                          size_t len,
                          struct xhr_failure *ret_why);

/* ---- fields: what is to be sent, what has come ---- */

struct xhr_field {
    char *name;
    char *value; /* NULL: removed */
};

struct xhr_fields { /* of the request */
    struct xhr_field *at;
    size_t count;
    size_t capacity;
};

int xhr_fields_set(struct xhr_fields *fields, const char *name, const char *value);
const struct xhr_field *xhr_fields_find(const struct xhr_fields *fields, const char *name);
void xhr_fields_done(struct xhr_fields *fields);
bool xhr_is_token(const char *text);
bool xhr_name_eq(const char *a, const char *b); /* ASCII, without case */

struct xhr_lines { /* of an answer: name NUL value NUL … */
    char *text;
    struct xhr_line {
        const char *name;
        const char *value;
    } * at;
    size_t count;
};

int xhr_lines_take(struct xhr_lines *lines, Xhrd__V1__Header *const *headers, size_t count);
void xhr_lines_done(struct xhr_lines *lines);
bool xhr_lines_at(const struct xhr_lines *lines,
                  size_t index,
                  const char **ret_name,
                  const char **ret_value);
/* Values joined by ", ". *ret NULL: absent. Return: 0 or -ENOMEM. */
int xhr_lines_join(const struct xhr_lines *lines, const char *name, char **ret);
int xhr_lines_all(const struct xhr_lines *lines, char **ret);

/* text.c: @text as UTF-8, U+FFFD for what is none. Return: 0 or -ENOMEM. */
int xhr_utf8_append(struct xhr_bytes *out, const char *text);

/* ---- options ---- */

/* Addresses to leave from, as text; both empty: any. */
struct xhr_source {
    char v4[16];
    char v6[46];
};

struct xhr_options {
    struct xhr_request_options set; /* its pointers are ours */
    char *username;
    char *password;
    char *bearer_token;
    char *domain;
    char *proxy;
    char *https_proxy;
    char *proxy_username;
    char *proxy_password;
    char *no_proxy;
    char *jar;
    char *site;
    char *top_level_site;
    void *ca_pem;
    void *client_certificate;
    char *passphrase;
    void *pinned_keys;
    struct xhr_resolve *resolve;
    struct xhr_connect_to *connect_to;
    char *interface;
    struct xhr_source source;
};

/* Of an address or of a device, now. Return: 0; -ENODEV: no such device; -EADDRNOTAVAIL: it has
 * no address; -EINVAL; -errno. */
int xhr_source_find(struct xhr_source *ret, const char *name);

int xhr_options_take(struct xhr_options *options, const struct xhr_request_options *from);
void xhr_options_done(struct xhr_options *options);
bool xhr_is_body_types(enum xhr_body_types types);
bool xhr_is_cache_mode(enum xhr_cache_mode mode);
/* memcpy of a structure that starts with its size. Return: 0 or -EINVAL. */
int xhr_take_sized(void *to, size_t to_size, const void *from);

/* ---- requests ---- */

struct xhr_upload {
    ssize_t (*read)(struct xhr_request *request, void *buffer, size_t len, void *read_user);
    void *read_user;
    int (*rewind)(struct xhr_request *request, void *read_user); /* NULL: it cannot */
    struct xhr_form_body *form; /* that @read reads; NULL: none */
    uint64_t length;            /* XHR_LENGTH_UNKNOWN: to the end */
    uint64_t left;              /* of that */
    uint64_t credit;
    bool is_active; /* in the ring: there is more to send */
    bool is_paused;
    struct xhr_request *prev, *next;
};

struct xhr_steps { /* redirects; their strings are ours */
    struct xhr_redirect *at;
    size_t count;
    size_t capacity;
};

#define XHR_RUNGS_MAX 8

struct xhr_rungs { /* of TLS; their strings are ours */
    struct xhr_tls_rung at[XHR_RUNGS_MAX];
    size_t count;
};

struct xhr_answer {
    struct xhr_steps steps;
    struct xhr_rungs rungs;
    char *status_text;
    char *url; /* final */
    char *method;
    char *content_coding;
    char *connection_text; /* storage of the strings below */
    uint64_t size_bytes;
    struct xhr_lines headers;
    struct xhr_lines sent;
    struct xhr_lines trailers;
    struct xhr_bytes body;
    struct xhr_spill spill; /* open: the body is there */
    struct xhr_connection_info connection;
    struct xhr_tls_info tls;
    struct xhr_certificate *certificates; /* one piece */
    struct xhr_timing timing;
    struct xhr_totals totals;
    int status;
    int http_version;
    unsigned redirects;
    enum xhr_from_cache from_cache;
    uint64_t age_s;
    bool has_head;
    bool is_size_known;
    bool has_connection;
    bool cookies_not_persisted;
    /* made when asked for */
    char *joined;
    char *all_headers;
    char *text;
    size_t text_len;
    uint64_t text_of_len; /* how much body there was when it was made */
    const char *charset;
};

struct xhr_sync {
    bool is_done;
    int result;
};

enum xhr_asked { /* what the daemon waits for */
                 XHR_ASKED_NOTHING,
                 XHR_ASKED_REDIRECT,
                 XHR_ASKED_CHALLENGE,
                 XHR_ASKED_VERDICT,
};

struct xhr_request {
    struct xhr_slot slot; /* first: message.c casts */
    struct xhr_client *client;
    struct xhr_request *prev, *next;
    struct xhr_callbacks callbacks;
    void *user;
    struct xhr_options options;

    unsigned depth;
    bool is_freed;
    uint32_t epoch;

    enum xhr_ready_state state;
    bool is_sent; /* from send until the terminal event is fired */
    bool is_async;
    bool is_paused;
    bool is_to_fd; /* the daemon writes the body itself */
    enum xhr_wait_reason reason;
    enum xhr_asked asked;
    bool may_defer; /* we are inside onredirect */
    bool is_deferred;
    char *method;
    char *url;
    struct xhr_fields fields;
    int response_fd;               /* -1: none */
    int rest_fd;                   /* goes to the daemon when credit is used up; -1: none */
    struct xhr_target *target;     /* the file the program wants it in; NULL: none */
    struct xhr_download *download; /* on its way there; only while it is sent */
    uint64_t response_offset;
    struct xhr_sync *sync;
    uint64_t late_at_us; /* timeout_for_resource and grace: the daemon itself must be stuck */

    struct xhr_upload upload;
    struct xhr_answer answer;
    uint64_t credit;   /* that the daemon still has */
    uint64_t consumed; /* not given back yet */
    uint64_t received; /* body bytes told or kept */
    struct xhr_progress data_progress;
    struct xhr_progress send_progress;
    bool has_data_progress;
    bool has_send_progress;
    bool has_error;
    struct xhr_error error;
};

/* What is sent: the body, and for a form what goes beside it. */
struct xhr_outgoing {
    struct xhr_body body;
    const char *forced_type;    /* in place of the program's own Content-Type; NULL: none */
    struct xhr_form_body *form; /* NULL: none; taken over while it is streamed */
};

/* request.c */
/* Return: 0, or what xhr_request_send() says of a request that cannot be sent now. */
int xhr_request_may_send(const struct xhr_request *request);
/* Queues it; nothing is told to the program yet. @out.form is NULL afterwards if it was taken
 * over. */
int xhr_request_begin(struct xhr_request *request, struct xhr_outgoing *out);
/* Sends it, and if it is not async waits for its end. */
int xhr_request_run(struct xhr_request *request);
void xhr_request_hold(struct xhr_request *request);
void xhr_request_release(struct xhr_request *request); /* may free */
void xhr_request_leave_client(struct xhr_request *request);
extern const struct xhr_slot_ops xhr_request_ops;

/* The daemon is to forget it, and we what it answers. */
void xhr_request_disown(struct xhr_request *request);

/* download.c: the answer into a file. */
/* Return: 0, also when it goes elsewhere; -errno: the request cannot be sent. */
int xhr_download_begin(struct xhr_request *request, const struct xhr_outgoing *out);
/* What goes out beside the program's own. Return: how many. */
size_t xhr_download_headers(const struct xhr_request *request, struct xhr_field ret[3]);
/* Return: 0. The request may be gone after it, or another one on the wire. */
int xhr_download_on_head(struct xhr_request *request);
/* The answer is whole; fills slot.failure when the file is not. Return: 0 or -errno. */
int xhr_download_finish(struct xhr_request *request);
/* Whatever is not finished goes, or stays as a part. */
void xhr_download_end(struct xhr_request *request);
void xhr_download_done(struct xhr_request *request); /* the program's wish, too */

/* events.c: for a request that is in flight. Return: 0, or -EPROTO with *why filled. After each
 * the request may be gone. */
struct xhr_request *xhr_request_of_slot(struct xhr_slot *slot);
/* Ends a hold. Return: whether it is still the same exchange. */
bool xhr_request_is_same(struct xhr_request *request, uint32_t epoch);
uint64_t xhr_request_credit_at_start(const struct xhr_request *request);
int xhr_request_on_message(struct xhr_request *request,
                           const Xhrd__V1__ServerMessage *message,
                           struct xhr_failure *why);
int xhr_request_on_body(struct xhr_request *request,
                        const uint8_t *data,
                        size_t len,
                        struct xhr_failure *why);
/* Ends it with slot.failure: XHR_ERROR_NONE is onload, XHR_ERROR_ABORTED onabort. */
void xhr_request_finish(struct xhr_request *request);
/* Tells the daemon to stop, then finishes with @failure. */
void xhr_request_cut(struct xhr_request *request, const struct xhr_failure *failure);
/* Return: false when the request is gone or no longer the same. */
bool xhr_request_enter_state(struct xhr_request *request,
                             enum xhr_ready_state state,
                             uint64_t monotonic_us);
void xhr_request_grant(struct xhr_request *request);

/* questions.c: as xhr_request_on_message(). */
int xhr_request_on_redirected(struct xhr_request *request,
                              const Xhrd__V1__Redirected *message,
                              struct xhr_failure *why);
int xhr_request_on_verdict(struct xhr_request *request,
                           const Xhrd__V1__VerdictQuestion *from,
                           struct xhr_failure *why);
int xhr_request_on_challenge(struct xhr_request *request,
                             const Xhrd__V1__Challenge *from,
                             struct xhr_failure *why);
int xhr_answer_rewound(struct xhr_request *request, bool rewound);
void xhr_steps_done(struct xhr_steps *steps);

/* rungs.c: Return: 0 or -ENOMEM. */
void xhr_rungs_done(struct xhr_rungs *rungs);
int xhr_rungs_add(struct xhr_rungs *rungs, const Xhrd__V1__TlsRung *message);
int xhr_rungs_replace(struct xhr_rungs *rungs, const Xhrd__V1__TlsInfo *tls);

/* answer (response.c) */
/* The body, wherever it is, a NUL behind it; NULL: there is no way to see it whole. */
const uint8_t *xhr_answer_body(struct xhr_answer *answer, size_t *ret_len);
void xhr_answer_clear(struct xhr_answer *answer);
/* contents.c: what is left to be read of @fd, which stays the caller's. Return: 0, -EMSGSIZE
 * for more than @max, -ENODATA for nothing, -ENOMEM, or what read() says. */
int xhr_take_contents(int fd, size_t max, void **ret, size_t *ret_len);

/* certificates.c: *ret is one piece of memory, untouched for none. Return: 0 or -ENOMEM. */
int xhr_certificates_take(Xhrd__V1__Certificate *const *from,
                          size_t count,
                          struct xhr_certificate **ret);
bool xhr_certificates_are_sane(Xhrd__V1__Certificate *const *from, size_t count);

/* It was that of a hop: what came of the request so far stays. */
void xhr_answer_forget_head(struct xhr_answer *answer);
int xhr_answer_take_head(struct xhr_answer *answer, const Xhrd__V1__ResponseHead *head);
void xhr_answer_take_timing(struct xhr_answer *answer, const Xhrd__V1__Timing *timing);

/* encode.c: Return: 0, -EMSGSIZE, -ENOMEM, -EBADF, -EINVAL. */
int xhr_encode_open(struct xhr_request *request, const struct xhr_outgoing *out);
/* Where in a passed descriptor the body goes, or the rest of it. */
struct xhr_fd_place {
    uint64_t offset;
    bool sync;
    bool is_at_position; /* where the descriptor itself stands; offset is 0 */
    bool has_size_max;
    uint64_t size_max; /* of the file */
};

/* rest.c */
/* In place of more credit; nothing while some is left. Return: 0, -EMSGSIZE, -ENOMEM. */
int xhr_rest_hand_over(struct xhr_request *request);
void xhr_rest_end(struct xhr_request *request);

/* @kind: abort, credit or body_end. */
int xhr_encode_simple(struct xhr_client *client,
                      Xhrd__V1__ClientMessage__KindCase kind,
                      uint32_t request_id,
                      uint32_t bytes);

/* The body of an answer goes to @fds, which are the link's if this succeeds. */
int xhr_encode_body_to_fd(struct xhr_request *request,
                          const struct xhr_fd_place *place,
                          const struct xhr_frame_fds *fds);

/* upload.c */
void xhr_upload_start(struct xhr_request *request, struct xhr_outgoing *out);
void xhr_upload_stop(struct xhr_request *request);
/* From its beginning; the program is asked, the daemon told. Return: 0 or -EPROTO. */
int xhr_upload_rewind(struct xhr_request *request, struct xhr_failure *why);
void xhr_upload_pump(struct xhr_client *client);
bool xhr_upload_wants_write(const struct xhr_client *client);
void xhr_upload_on_hello(struct xhr_client *client);
void xhr_upload_on_lost(struct xhr_client *client);

/* cookies.c, admin.c: Return as xhr_request_on_message(). */
int xhr_cookies_on_reply(struct xhr_slot *slot,
                         const Xhrd__V1__CookieReply *reply,
                         struct xhr_failure *why);
int xhr_admin_on_reply(struct xhr_slot *slot,
                       const Xhrd__V1__AdminReply *reply,
                       struct xhr_failure *why);
/* cookie_watch.c: the same. */
int xhr_watch_on_reply(struct xhr_slot *slot,
                       const Xhrd__V1__CookieReply *reply,
                       struct xhr_failure *why);
int xhr_watch_on_changes(struct xhr_slot *slot,
                         const Xhrd__V1__CookieChanges *changes,
                         struct xhr_failure *why);
extern const struct xhr_slot_ops xhr_cookies_ops;
extern const struct xhr_slot_ops xhr_watch_ops;
extern const struct xhr_slot_ops xhr_admin_ops;
/* A question of a connection in the making; nothing is waited for any more. */
int xhr_signing_on_question(struct xhr_client *client,
                            const Xhrd__V1__ConnectionQuestion *question,
                            struct xhr_failure *why);
void xhr_signing_leave_all(struct xhr_client *client);

int xhr_network_on_state(struct xhr_slot *slot,
                         const Xhrd__V1__NetworkState *state,
                         struct xhr_failure *why);
extern const struct xhr_slot_ops xhr_network_ops;

/* sync.c: dispatches until *done. Return: 0, -EDEADLK inside a callback, -errno of poll(). */
int xhr_sync_wait(struct xhr_client *client, const bool *done);
