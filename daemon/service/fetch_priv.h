/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * fetch_service.c: messages of clients to deeds. fetch_events.c: what their requests tell, to
 * messages. fetch_notes.c: what is kept and told of a request for those who look on.
 */

#include "fetch/request.h"
#include "service/monitor.h"
#include "service/service_priv.h"

struct client_request {
    struct map_node node; /* in client->requests, by number */
    struct link link;     /* in client->request_list */
    struct link flow;     /* in client->flowing or client->stalled, from its answer's head on */
    struct client *client;
    struct request *request;
    struct charge place;   /* one of QUOTA_REQUESTS */
    struct charge bytes;   /* what its message brought */
    struct charge fds;     /* that it holds */
    struct record *record; /* among the last requests, or of an answer that was not the last;
                              NULL: none, or gone */
    uint32_t number;
    bool loading_told;
    bool is_mute; /* something could not be told: what follows but the end is not either */
    bool tell_sent;
    bool tell_hops;
    bool from_network; /* its answer came from a server */
};

/* fetch_service.c */
void client_request_begin_flow(struct client_request *entry); /* its head is told next */
void client_request_forget(struct client_request *entry);     /* its request has ended */

/* fetch_events.c */
extern const struct request_events client_request_events;
/* @more: what is known besides; NULL: nothing. */
void client_request_send_failed(struct client *client,
                                uint32_t number,
                                const struct failure *why,
                                const Xhrd__V1__RequestFailed *more);

/* fetch_notes.c */
void note_started(struct client_request *entry);
void note_redirected(struct client_request *entry, unsigned status);
void note_head(struct client_request *entry, const struct request_head *head);
void note_hop(struct client_request *entry, const struct request_head *head); /* not the last */
void note_end(struct client_request *entry,
              const struct failure *why,
              const struct request_totals *totals,
              const struct request_timing *timing);
void note_closed(struct client_request *entry); /* its client went away, and it with it */
