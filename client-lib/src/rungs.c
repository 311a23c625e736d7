/* SPDX-License-Identifier: MIT */
/*
 * The steps down that TLS took to reach a server: told one by one as they are taken, then, with
 * the head, those of the connection the answer came over.
 */
#include <errno.h>
#include <stdlib.h>

#include "xhr_priv.h"

void xhr_rungs_done(struct xhr_rungs *rungs)
{
    for (size_t i = 0; i < rungs->count; i++) {
        free(xhr_unconst(rungs->at[i].version));
        free(xhr_unconst(rungs->at[i].cause));
    }
    *rungs = (struct xhr_rungs){0};
}

int xhr_rungs_add(struct xhr_rungs *rungs, const Xhrd__V1__TlsRung *message)
{
    struct xhr_tls_rung rung = {.alert = message->alert};

    if (rungs->count == XHR_RUNGS_MAX) /* of an earlier connection */
        xhr_rungs_done(rungs);
    char *version = xhr_dup(message->version.data, message->version.len);
    char *cause = xhr_dup(message->cause.data, message->cause.len);
    if (!version || !cause) {
        free(version);
        free(cause);
        return -ENOMEM;
    }
    xhr_make_printable(version);
    xhr_make_printable(cause);
    rung.version = version;
    rung.cause = cause;
    rungs->at[rungs->count++] = rung;
    return 0;
}

int xhr_rungs_replace(struct xhr_rungs *rungs, const Xhrd__V1__TlsInfo *tls)
{
    int r = 0;

    xhr_rungs_done(rungs);
    for (size_t i = 0; r == 0 && i < tls->n_rungs && i < XHR_RUNGS_MAX; i++)
        r = xhr_rungs_add(rungs, tls->rungs[i]);
    return r;
}

bool xhr_request_tls_rung_at(const struct xhr_request *request,
                             size_t index,
                             struct xhr_tls_rung *ret)
{
    if (index >= request->answer.rungs.count)
        return false;
    *ret = request->answer.rungs.at[index];
    return true;
}
