/* SPDX-License-Identifier: MIT */
#pragma once

/* Who watches requests go by, and who asks of one that did; see monitor.c. */

#include <xhrd/v1/envelope.pb-c.h>

#include "service/history.h"

struct client;
struct service;

void monitor_begin(struct client *client, const Xhrd__V1__AdminCommand *message);
void monitor_resume_all(struct client *client);
void monitor_close_all(struct client *client);
/* How many of this user there are. */
uint32_t monitor_count(const struct service *service, uint32_t uid);

/* @kind: of MonitorEvent. @record: NULL: there was no memory for it. Call it only while there
 * are watchers. */
void monitor_tell(struct service *service, int kind, const struct record *record);

/* The record of a request. */
void history_service_command(struct client *client, const Xhrd__V1__AdminCommand *message);
