/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a frame is about, for who cannot keep it: its kind, and the number by which its sender
 * knows it. The frame goes by in pieces of any size and nothing of it is kept, so the number
 * is found wherever it stands.
 *
 * In every member of ClientMessage the number is field 1: request_id, command_id, question_id.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded; zero is a frame of which nothing has come. */
struct wire_skim {
    uint32_t kind;  /* which member of ClientMessage, the last that is set; 0: none yet */
    uint64_t id;    /* field 1 of that; 0: none yet */
    bool is_broken; /* not protobuf: a reader of the whole would have refused it */
    /* Where it stands. */
    uint64_t left[2]; /* bytes of the envelope and of its member, once begun */
    uint64_t skip;    /* bytes of a field that do not matter */
    uint64_t value;   /* of the number that is being read */
    uint32_t tag;
    uint8_t n;     /* bytes of that number */
    uint8_t depth; /* 1 in the member */
    uint8_t want;
};

/**
 * wire_skim_feed() - the next bytes of the stream
 * @skim: to be read when wire_skim_is_whole() says so
 * Return: how many belong to the frame; fewer than @len only when it is whole.
 */
size_t wire_skim_feed(struct wire_skim *skim, const uint8_t *bytes, size_t len);
bool wire_skim_is_whole(const struct wire_skim *skim);
/* Bytes that the frame still wants; 0 while its length is not known. */
uint64_t wire_skim_missing(const struct wire_skim *skim);
