/* SPDX-License-Identifier: MIT */
/*
 * The answer into a file: savefile.c has the file, here is what HTTP says of it. The request
 * goes out without credit for a body. When the head is in it is judged: a 2xx goes to the file,
 * whose descriptor the daemon gets; anything else is for memory or on_body, and gets its
 * credit.
 *
 * To go on with a part we ask for the range behind it, if what it is the beginning of has not
 * changed (If-Range, RFC 9110 §13.1.5). 206 goes on, 200 begins anew. A validator is kept when
 * it is a strong one; without one the next download begins anew, too.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "savefile.h"
#include "xhr_priv.h"

enum place {
    PLACE_UNKNOWN,  /* the head is not in */
    PLACE_FILE,     /* the daemon writes it */
    PLACE_COMPLETE, /* everything was there already */
    PLACE_MEMORY,
};

struct xhr_download {
    struct xhr_savefile save;
    enum place place;
    uint64_t from; /* the range that was asked for begins here; 0: the whole was asked for */
    uint64_t there_bytes; /* what is there of it */
    struct xhr_part_info info;
    bool is_second_try;
    char range[48];
};

/* ---- what the program wants ---------------------------------------------------------------
 */

struct xhr_target {
    struct xhr_file set;
    char *path;
    char *chosen; /* what choose_path said, or NULL */
    uint64_t offset;
};

static struct xhr_target *target_free(struct xhr_target *target)
{
    if (!target)
        return NULL;
    free(target->path);
    free(target->chosen);
    free(target);
    return NULL;
}

void xhr_download_done(struct xhr_request *request)
{
    xhr_download_end(request);
    request->target = target_free(request->target);
}

static bool is_sane(const struct xhr_file *file)
{
    bool goes_on = file->resume || file->append;

    return (file->path && *file->path) && !(goes_on && (file->choose_path || file->exclusive));
}

int xhr_request_set_file(struct xhr_request *request, const struct xhr_file *file)
{
    struct xhr_target *target = NULL;

    if (request->is_sent)
        return -EBUSY;
    if (file) {
        target = calloc(1, sizeof(*target));
        if (!target)
            return -ENOMEM;
        if (xhr_take_sized(&target->set, sizeof(target->set), file) < 0 ||
            !is_sane(&target->set)) {
            (void)target_free(target);
            return -EINVAL;
        }
        target->path = xhr_dup(target->set.path, strlen(target->set.path));
        if (!target->path) {
            (void)target_free(target);
            return -ENOMEM;
        }
        target->set.path = target->path;
    }
    (void)target_free(request->target);
    request->target = target;
    return 0;
}

const char *xhr_request_file_path(const struct xhr_request *request)
{
    const struct xhr_target *target = request->target;

    if (!target)
        return NULL;
    return target->chosen ? target->chosen : target->path;
}

uint64_t xhr_request_file_offset(const struct xhr_request *request)
{
    return request->target ? request->target->offset : 0;
}

/* ---- before it is sent ----------------------------------------------------------------------
 */

/* Not with a password in it: it is going to be written down. */
static char *url_without_userinfo(const char *url)
{
    const char *slashes = strstr(url, "://");
    const char *host = slashes ? slashes + 3 : NULL;
    size_t len = host ? strcspn(host, "/?#") : 0;
    char *copy = xhr_dup(url, strlen(url));

    for (size_t i = len; copy && i > 0; i--) {
        if (host[i - 1] == '@') {
            memmove(copy + (host - url), host + i, strlen(host + i) + 1);
            break;
        }
    }
    return copy;
}

/* Return: 1 when there is something to go on with, 0, -errno. */
static int find_beginning(struct xhr_request *request, struct xhr_download *download)
{
    const struct xhr_file *set = &request->target->set;
    int r = 0;

    if (set->resume) {
        char *url = url_without_userinfo(request->url);

        if (!url)
            return -ENOMEM;
        r = xhr_savefile_open_part(&download->save, url, &download->there_bytes,
                                   &download->info);
        free(url);
    }
    if (r == 0 && set->append)
        r = xhr_savefile_open_target(&download->save, &download->there_bytes);
    if (r <= 0)
        return r;
    download->from = download->there_bytes;
    /* Nothing is behind the last byte: it alone is fetched again. */
    if (download->info.has_total && download->from == download->info.total_bytes)
        download->from--;
    (void)snprintf(download->range, sizeof(download->range), "bytes=%llu-",
                   (unsigned long long)download->from);
    return 1;
}

static bool may_have_file(const struct xhr_request *request, const struct xhr_outgoing *out)
{
    const struct xhr_file *set = &request->target->set;

    if (request->response_fd >= 0 || strcmp(request->method, "HEAD") == 0)
        return false;
    if (!set->resume && !set->append)
        return true;
    return strcmp(request->method, "GET") == 0 && out->body.kind == XHR_BODY_NONE &&
           !xhr_fields_find(&request->fields, "range") &&
           !xhr_fields_find(&request->fields, "if-range");
}

static int prepare(struct xhr_request *request, struct xhr_download *download)
{
    const struct xhr_file *set = &request->target->set;
    int r;

    if (set->choose_path)
        return 0; /* where to is known later */
    r = xhr_savefile_init(&download->save, set->path, set->exclusive);
    r = r < 0 ? r : find_beginning(request, download);
    return r == 0 ? xhr_savefile_create(&download->save) : r;
}

int xhr_download_begin(struct xhr_request *request, const struct xhr_outgoing *out)
{
    struct xhr_download *download;
    int r;

    if (!request->target || request->download)
        return 0;
    if (!may_have_file(request, out))
        return -EINVAL;
    download = calloc(1, sizeof(*download));
    if (!download)
        return -ENOMEM;
    download->save = XHR_SAVEFILE_NONE;
    request->download = download;
    request->target->offset = 0;
    free(request->target->chosen);
    request->target->chosen = NULL;
    r = prepare(request, download);
    if (r < 0)
        xhr_download_end(request);
    return r < 0 ? r : 0;
}

size_t xhr_download_headers(const struct xhr_request *request, struct xhr_field ret[3])
{
    struct xhr_download *download = request->download;
    size_t n = 0;

    if (!download || !(request->target->set.resume || request->target->set.append))
        return 0;
    /* What is kept are the bytes as the server has them. */
    if (!xhr_fields_find(&request->fields, "accept-encoding"))
        ret[n++] = (struct xhr_field){xhr_unconst("Accept-Encoding"), xhr_unconst("identity")};
    if (download->from > 0)
        ret[n++] = (struct xhr_field){xhr_unconst("Range"), download->range};
    if (download->from > 0 && download->info.validator)
        ret[n++] =
            (struct xhr_field){xhr_unconst("If-Range"), xhr_unconst(download->info.validator)};
    return n;
}

/* ---- validators
 * ------------------------------------------------------------------------------- */

static bool is_strong_etag(const char *text)
{
    size_t len = strlen(text);

    return len >= 2 && text[0] == '"' && text[len - 1] == '"' && len < 1024;
}

static int two_digits(const char *at)
{
    return at[0] >= '0' && at[0] <= '9' && at[1] >= '0' && at[1] <= '9'
               ? (at[0] - '0') * 10 + at[1] - '0'
               : -1;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" in seconds that can be compared; -1: not of that form, which
 * is the only one servers may send (RFC 9110 §5.6.7). */
static int64_t seconds_of(const char *date)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int month = -1;

    if (strlen(date) != 29 || strcmp(date + 25, " GMT") != 0 || date[4] != ' ' ||
        date[19] != ':' || date[22] != ':')
        return -1;
    for (int i = 0; i < 12; i++)
        month = strncmp(date + 8, months + (size_t)i * 3, 3) == 0 ? i : month;
    int day = two_digits(date + 5);
    int century = two_digits(date + 12);
    int year = two_digits(date + 14);
    int hour = two_digits(date + 17);
    int minute = two_digits(date + 20);
    int second = two_digits(date + 23);
    if (month < 0 || day < 1 || century < 0 || year < 0 || hour < 0 || minute < 0 || second < 0)
        return -1;
    /* Every month has 31 days here: the order is right, and a distance never too short. */
    return ((((int64_t)century * 100 + year) * 12 + month) * 31 + day) * 86400 + hour * 3600 +
           minute * 60 + second;
}

/* A date is a strong validator when it is older than the answer (RFC 9110 §8.8.2.2). */
static bool is_strong_date(struct xhr_request *request, const char *modified)
{
    char *date = NULL;

    if (xhr_lines_join(&request->answer.headers, "date", &date) < 0 || !date)
        return false;
    int64_t then = seconds_of(modified);
    int64_t now = seconds_of(date);
    free(date);
    return then >= 0 && now > then;
}

/* Return: 0; *ret NULL when the answer has none we could trust. */
static int strong_validator(struct xhr_request *request, char **ret)
{
    struct xhr_lines *headers = &request->answer.headers;
    char *text = NULL;
    int r = xhr_lines_join(headers, "etag", &text);

    *ret = NULL;
    if (r < 0)
        return r;
    if (text && is_strong_etag(text)) {
        *ret = text;
        return 0;
    }
    free(text);
    text = NULL;
    r = xhr_lines_join(headers, "last-modified", &text);
    if (r == 0 && text && is_strong_date(request, text))
        *ret = text;
    else
        free(text);
    return r;
}

/* Has a server that knows no If-Range sent a part of something else? Return: 1, 0, -ENOMEM. */
static int has_changed(struct xhr_request *request)
{
    const char *kept = request->download->info.validator;
    char *now = NULL;
    const char *name = kept && kept[0] == '"' ? "etag" : "last-modified";
    int r = kept ? xhr_lines_join(&request->answer.headers, name, &now) : 0;

    if (r == 0)
        r = now && strcmp(now, kept) != 0;
    free(now);
    return r;
}

/* ---- Content-Range
 * ---------------------------------------------------------------------------- */

struct content_range {
    bool is_unsatisfied; /* "bytes * /total" */
    uint64_t first;
    uint64_t last;
    bool has_total;
    uint64_t total;
};

static const char *take_number(const char *at, uint64_t *ret)
{
    const char *start = at;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (UINT64_MAX - 9) / 10)
            return NULL;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *ret = value;
    return at > start ? at : NULL;
}

/* RFC 9110 §14.4. Return: false for what is none. */
static bool parse_range(const char *text, struct content_range *ret)
{
    struct content_range range = {0};
    const char *at = text + 6;

    for (int i = 0; i < 5; i++)
        if (xhr_lower(text[i]) != "bytes"[i])
            return false;
    if (text[5] != ' ')
        return false;
    range.is_unsatisfied = *at == '*';
    if (range.is_unsatisfied) {
        at++;
    } else {
        at = take_number(at, &range.first);
        at = at && *at == '-' ? take_number(at + 1, &range.last) : NULL;
    }
    if (!at || *at != '/')
        return false;
    range.has_total = at[1] != '*';
    at = range.has_total ? take_number(at + 1, &range.total) : at + 2;
    *ret = range;
    return at && *at == '\0' &&
           (range.is_unsatisfied ||
            (range.first <= range.last && (!range.has_total || range.last < range.total)));
}

/* Return: 1; 0 when there is none that is one; -ENOMEM. */
static int get_range(struct xhr_request *request, struct content_range *ret)
{
    char *text = NULL;
    int r = xhr_lines_join(&request->answer.headers, "content-range", &text);

    if (r == 0)
        r = text && parse_range(text, ret);
    free(text);
    return r;
}

/* ---- when the head is in
 * ----------------------------------------------------------------------- */

static int cut(struct xhr_request *request, struct xhr_failure *why)
{
    why->phase = XHR_PHASE_HEAD;
    xhr_request_cut(request, why);
    return 0;
}

static int cut_for_memory(struct xhr_request *request)
{
    struct xhr_failure why;

    xhr_failure_set(&why, XHR_ERROR_MEMORY, "no memory for the answer");
    return cut(request, &why);
}

static int cut_for_file(struct xhr_request *request, int error)
{
    struct xhr_failure why;
    const char *path = xhr_request_file_path(request);

    if (error == -ENOMEM)
        return cut_for_memory(request);
    xhr_failure_set(&why, XHR_ERROR_WRITE, "%.200s: %s", path ? path : "the file",
                    xhr_errno_text(-error));
    why.sys_errno = -error;
    return cut(request, &why);
}

/* The part is no beginning of what the server has, or it does not know ranges well enough. */
static int cut_for_range(struct xhr_request *request, const char *what)
{
    struct xhr_failure why;

    if (request->download->save.kind == XHR_SAVE_PART)
        xhr_savefile_forget_part(&request->download->save);
    xhr_failure_set(&why, XHR_ERROR_RANGE, "%s", what);
    return cut(request, &why);
}

/* Asks for the whole in place of a range; nothing has been told of the answer yet. */
static int ask_for_all(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    struct xhr_outgoing out = {.body.size = sizeof(out.body)};
    int r;

    if (download->is_second_try)
        return cut_for_range(request, "the server sends ranges that do not fit each other");
    download->is_second_try = true;
    download->from = 0;
    xhr_request_disown(request);
    xhr_answer_clear(&request->answer);
    r = xhr_request_begin(request, &out);
    return r < 0 ? cut_for_memory(request) : 0;
}

static int to_memory(struct xhr_request *request)
{
    uint64_t credit = xhr_request_credit_at_start(request);
    int r = xhr_encode_simple(request->client, XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT,
                              request->slot.id, (uint32_t)credit);

    if (r < 0)
        return cut_for_memory(request);
    request->credit = credit;
    return 0;
}

/* What is lost with the power must not be what was there before. */
static bool is_to_be_synced(const struct xhr_request *request)
{
    return !request->target->set.lazy || request->download->save.has_target;
}

/* Ours (ulimit -f), which the daemon does not share. */
static bool has_limit(uint64_t *ret_bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    *ret_bytes = limit.rlim_cur;
    return true;
}

static int to_file(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    struct xhr_frame_fds fds = {.count = 1};
    int r;

    fds.fds[0] = fcntl(download->save.fd, F_DUPFD_CLOEXEC, 3);
    if (fds.fds[0] < 0)
        return cut_for_file(request, -errno);
    struct xhr_fd_place place = {
        .offset = download->from,
        .sync = is_to_be_synced(request),
    };
    place.has_size_max = has_limit(&place.size_max);
    r = xhr_encode_body_to_fd(request, &place, &fds);
    if (r < 0) {
        (void)close(fds.fds[0]);
        return cut_for_file(request, r);
    }
    request->target->offset = download->from;
    request->is_to_fd = true;
    download->place = PLACE_FILE;
    return 0;
}

/* Return: 0, -errno, or 1 when the program ended it meanwhile. */
static int choose(struct xhr_request *request)
{
    struct xhr_target *target = request->target;
    uint32_t epoch = request->epoch;
    const char *path;

    if (!target->set.choose_path)
        return 0;
    xhr_request_hold(request);
    path = target->set.choose_path(request, target->set.choose_user);
    if (!xhr_request_is_same(request, epoch))
        return 1;
    if (path) {
        target->chosen = xhr_dup(path, strlen(path));
        if (!target->chosen)
            return -ENOMEM;
    }
    return xhr_savefile_init(&request->download->save, xhr_request_file_path(request),
                             target->set.exclusive);
}

/* What was noted of this answer, or that there is nothing to note. Return: 0 or -errno. */
static int keep_as_part(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    struct xhr_answer *answer = &request->answer;
    struct xhr_part_info info = {.has_total = answer->is_size_known,
                                 .total_bytes = answer->size_bytes};
    char *validator = NULL;
    char *url = NULL;
    int r = 0;

    if (answer->status == 200 && !(answer->content_coding && *answer->content_coding))
        r = strong_validator(request, &validator);
    if (r == 0 && validator) {
        url = url_without_userinfo(request->url);
        info.validator = validator;
        info.url = url;
        r = url ? xhr_savefile_make_part(&download->save, &info) : -ENOMEM;
    } else if (r == 0) {
        xhr_savefile_forget_part(&download->save); /* of something else by now */
    }
    free(validator);
    free(url);
    return r;
}

static int begin_anew(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    bool is_success = request->answer.status < 300;
    int r = choose(request);

    if (r > 0)
        return 0;
    download->from = 0;
    if (r == 0 &&
        (download->save.kind == XHR_SAVE_NONE || download->save.kind >= XHR_SAVE_PART))
        r = xhr_savefile_create(&download->save);
    if (r == 0 && request->target->set.resume && is_success)
        r = keep_as_part(request);
    return r < 0 ? cut_for_file(request, r) : to_file(request);
}

static int begin_again(struct xhr_request *request, const char *why_not)
{
    return request->target->set.resume ? ask_for_all(request) : cut_for_range(request, why_not);
}

static int go_on(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    const struct xhr_answer *answer = &request->answer;
    struct content_range range = {0};
    int changed = has_changed(request);
    int r = get_range(request, &range);

    if (changed < 0 || r < 0)
        return cut_for_memory(request);
    if (changed || (answer->content_coding && *answer->content_coding))
        return begin_again(request, "the server sent a part of something else");
    if (r == 0 || range.is_unsatisfied || range.first != download->from)
        return cut_for_range(request, "the server sent another range than it was asked for");
    if (range.has_total && download->info.has_total &&
        range.total != download->info.total_bytes)
        return cut_for_range(request, "the server has another size for the same thing");
    return to_file(request);
}

/* 416: there is nothing behind what we have. Everything, or more than there is? */
static int judge_unsatisfied(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    struct content_range range = {0};
    int r = get_range(request, &range);

    if (r < 0)
        return cut_for_memory(request);
    if (r > 0 && range.is_unsatisfied && range.has_total &&
        range.total == download->there_bytes) {
        download->place = PLACE_COMPLETE;
        request->target->offset = download->there_bytes;
        return to_memory(request);
    }
    return begin_again(request, "the file is no beginning of what the server has");
}

int xhr_download_on_head(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    const struct xhr_file *set = &request->target->set;
    int status = request->answer.status;

    if (download->from > 0 && status == 206)
        return go_on(request);
    if (download->from > 0 && status == 416)
        return judge_unsatisfied(request);
    if (status == 206 && !xhr_fields_find(&request->fields, "range"))
        return cut_for_range(request, "the server sent a part and was asked for the whole");
    if (status < 200 || status >= 300) {
        download->place = PLACE_MEMORY;
        return set->keep_error_bodies ? begin_anew(request) : to_memory(request);
    }
    if (download->from > 0 && !set->resume)
        return cut_for_range(request, "the server does not send parts: it sent the whole");
    return begin_anew(request);
}

/* ---- the end
 * --------------------------------------------------------------------------------- */

static enum xhr_save_sync sync_at_end(const struct xhr_request *request)
{
    if (!is_to_be_synced(request))
        return XHR_SAVE_LAZY;
    return request->download->place == PLACE_COMPLETE ? XHR_SAVE_ALL : XHR_SAVE_FOLDER;
}

int xhr_download_finish(struct xhr_request *request)
{
    struct xhr_download *download = request->download;
    struct xhr_failure *failure = &request->slot.failure;
    uint64_t size = download->from + request->answer.totals.body_bytes;
    int r;

    if (download->place != PLACE_FILE && download->place != PLACE_COMPLETE)
        return 0;
    if (download->place == PLACE_COMPLETE) {
        *failure = (struct xhr_failure){0};
        size = download->there_bytes;
    }
    r = xhr_savefile_commit(&download->save, size, sync_at_end(request));
    if (r == 0)
        return 0;
    xhr_failure_set(failure, XHR_ERROR_WRITE, "%.200s: %s", xhr_request_file_path(request),
                    xhr_errno_text(-r));
    failure->sys_errno = -r;
    failure->phase = XHR_PHASE_BODY;
    return r;
}

void xhr_download_end(struct xhr_request *request)
{
    struct xhr_download *download = request->download;

    if (!download)
        return;
    request->download = NULL;
    xhr_savefile_done(&download->save);
    free(xhr_unconst(download->info.validator));
    free(download);
}
