/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl_options.h"
#include "internal.h"

struct listing;

/* status and show: asks the daemon, adds what it says to @out. Return: 0 or an exit code with
 * *why filled. */
int show_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why);

#define EXIT_NO_SUCH_COOKIE                                                                    \
    78 /* of cookies get: what curl says of a file that is not there                           \
        */

/* cookies, without watch, and session end. @masked: values are not to be shown. */
int cookies_run(struct xhr_client *client,
                const struct ctl_options *options,
                bool masked,
                struct strbuf *out,
                struct trouble *why);

/* cookies watch: writes to standard output until it is ended. */
int watch_run(struct xhr_client *client,
              const struct ctl_options *options,
              bool masked,
              struct trouble *why);

/* jar. */
int jars_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why);

/* hsts list and rm. */
int hsts_run(struct xhr_client *client,
             const struct ctl_options *options,
             struct strbuf *out,
             struct trouble *why);

/* cache show and clear. */
int cache_run(struct xhr_client *client,
              const struct ctl_options *options,
              struct strbuf *out,
              struct trouble *why);

/* purge-user. */
int purge_run(struct xhr_client *client,
              const struct ctl_options *options,
              struct strbuf *out,
              struct trouble *why);

/* @name: or a number. Return: whether there is such a user, or it is a number. */
bool ctl_find_user(const char *name, uint32_t *ret);

/* The rows of a reply to any of show's topics. */
void show_add_rows(struct listing *listing, const Xhrd__V1__AdminReply *reply);

/* metrics, drain, reload, log-level, show fds and memory. */
int ops_run(struct xhr_client *client,
            const struct ctl_options *options,
            struct strbuf *out,
            struct trouble *why);

/* har. */
int har_run(struct xhr_client *client,
            const struct ctl_options *options,
            struct strbuf *out,
            struct trouble *why);

/* policy check. */
int policy_run(struct xhr_client *client,
               const struct ctl_options *options,
               struct strbuf *out,
               struct trouble *why);

/* Puts an error of the library or the daemon into words that fit this program. */
int ctl_trouble(const struct xhr_error *error, struct trouble *why);
