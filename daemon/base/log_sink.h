/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where lines go: the journal by its own protocol, or stderr. Nobody waits here: what would
 * have to wait is not taken, and its writer counts it. (sd_journal_send() waits for a journal
 * that hangs, and with it would everybody who is served.)
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Whether stderr is the journal's: then its lines had better go there with their fields. */
bool log_sink_is_journal(void);

/* @fields: whole "NAME=value\n", no other line feeds. Return: whether the journal has it. */
bool log_sink_send(struct iovec *fields, size_t n);

/* @n: 4096 bytes at most, what a pipe takes in one piece. Return: whether it is written. */
bool log_sink_write(const char *text, size_t n);
