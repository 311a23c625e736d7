/* SPDX-License-Identifier: MIT */
#pragma once

/* A service over a fetch_world, and clients made by hand at the other end of socketpairs. */

#include <xhrd/v1/envelope.pb-c.h>

#include "service/service.h"
#include "support/fetch_world.h"

struct service_world {
    struct fetch_world net;
    struct service *service;
    struct service_options options;
    int idle_told; /* 1 or 0; -1: never */
    int n_reloads;
    const char *reload_trouble; /* or NULL: it succeeds */
    int n_drained;
};

/* What it hears is written down as a story, one word a message: "hello ", "state(1,2) ",
 * "head(1,200) ", "body(1,5) ", "done(1,5) ", "failed(1,argument) ", "error(protocol) ",
 * "sign(1,7) "… */
struct fake_client {
    struct service_world *world;
    int fd;
    struct buf in;
    char story[8192];
    size_t story_len;
    char last_text[512]; /* of the last failure or error */
    bool is_over;        /* the service has hung up */
    bool tell_progress;
    bool is_quiet; /* no story: there may be too much to tell */
    uint64_t body_bytes;
    uint64_t credit;    /* for uploads, given after hello's */
    unsigned n_cookies; /* of all replies */
    unsigned n_rows;
    unsigned n_replies;
    Xhrd__V1__ServerMessage *last; /* the last message, unpacked */
    char sent[1024];               /* sent_headers of the last head */
    char set_cookies[512];         /* Set-Cookie fields of the last head, '|' behind each */
    /* NULL, or hears of each message, too. */
    void (*on_message)(struct fake_client *client, const Xhrd__V1__ServerMessage *message);
};

void service_world_init(struct service_world *world);
/* Made anew with world->options. */
void service_world_restart(struct service_world *world);
void service_world_done(struct service_world *world);

/* Nothing is said yet. */
void client_connect(struct fake_client *client, struct service_world *world, uint32_t uid);
void client_done(struct fake_client *client);

void client_send_bytes(struct fake_client *client, const void *bytes, size_t len);
void client_send_with_fds(
    struct fake_client *client, const void *bytes, size_t len, const int *fds, unsigned n);
/* A message as a frame, at the end of @to. */
void frame_message(struct buf *to, const Xhrd__V1__ClientMessage *message);
void client_tell(struct fake_client *client, const Xhrd__V1__ClientMessage *message);
/* Rounds, then everything that has come. */
void client_hears(struct fake_client *client);
void client_clear(struct fake_client *client);

void client_hello(struct fake_client *client);
/* client_connect(), hello, and both forgotten. */
void client_ready(struct fake_client *client, struct service_world *world, uint32_t uid);

/* A GET of http://a.com/ with 1 MB of credit; to be changed before it is sent. */
void open_message_init(Xhrd__V1__OpenRequest *open, uint32_t id);
void client_open(struct fake_client *client, Xhrd__V1__OpenRequest *open);
void client_get(struct fake_client *client, uint32_t id);

static inline ProtobufCBinaryData pb_bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}
