/* SPDX-License-Identifier: MIT */
#include "store/session_record.h"

#include <stdbool.h>
#include <string.h>

#include "base/partition.h"
#include "http/host.h"
#include "policy/jar_rights.h"

#define FLAG_SECURE     1
#define FLAG_HTTP_ONLY  2
#define FLAG_HOST_ONLY  4
#define SAME_SITE_SHIFT 4
#define FLAGS_MAX       (SAME_SITE_STRICT << SAME_SITE_SHIFT | 7)

enum text {
    TEXT_PROFILE,
    TEXT_JAR,
    TEXT_NAME,
    TEXT_VALUE,
    TEXT_DOMAIN,
    TEXT_PATH,
    TEXT_PARTITION,
    TEXT_COMMENT,
    TEXT_URL,
    TEXT_COUNT,
};

static const uint16_t text_max[TEXT_COUNT] = {
    [TEXT_PROFILE] = PARTITION_PROFILE_MAX - 1,
    [TEXT_JAR] = JAR_NAME_MAX,
    [TEXT_NAME] = SET_COOKIE_PAIR_MAX,
    [TEXT_VALUE] = SET_COOKIE_PAIR_MAX,
    [TEXT_DOMAIN] = HOST_NAME_BYTES_MAX,
    [TEXT_PATH] = COOKIE_PATH_MAX,
    [TEXT_PARTITION] = COOKIE_PARTITION_MAX,
    [TEXT_COMMENT] = COOKIE_COMMENT_MAX,
    [TEXT_URL] = COOKIE_URL_MAX,
};

struct head {
    uint32_t size;
    uint32_t not_size; /* ~size: a walk over records does not rest on one word */
    uint32_t state;    /* the only one that changes */
    uint32_t uid;
};

/* Behind the head; texts in the order of enum text, then zeros up to the alignment. */
struct body {
    uint64_t checksum; /* of size, uid and all that follows */
    uint64_t order;
    int64_t created_s;
    int64_t last_access_s;
    uint32_t version;
    uint16_t flags;
    uint16_t lens[TEXT_COUNT];
};

#define TEXTS_AT                                                                               \
    (sizeof(struct head) + offsetof(struct body, lens) + sizeof(uint16_t) * TEXT_COUNT)
#define SIZE_MAX_RECORD (1 << 16)

static void texts_of(const struct session_row *row, struct span ret[TEXT_COUNT])
{
    ret[TEXT_PROFILE] = row->profile;
    ret[TEXT_JAR] = row->jar;
    ret[TEXT_NAME] = row->cookie.name;
    ret[TEXT_VALUE] = row->cookie.value;
    ret[TEXT_DOMAIN] = row->cookie.domain;
    ret[TEXT_PATH] = row->cookie.path;
    ret[TEXT_PARTITION] = row->cookie.partition_key;
    ret[TEXT_COMMENT] = row->cookie.comment;
    ret[TEXT_URL] = row->cookie.original_url;
}

static size_t align(size_t size)
{
    return (size + SESSION_RECORD_ALIGN - 1) & ~(size_t)(SESSION_RECORD_ALIGN - 1);
}

size_t session_record_size(const struct session_row *row)
{
    struct span texts[TEXT_COUNT];
    size_t size = TEXTS_AT;

    texts_of(row, texts);
    for (int i = 0; i < TEXT_COUNT; i++) {
        if (texts[i].len > text_max[i])
            return 0;
        size += texts[i].len;
    }
    return align(size);
}

size_t session_record_removal_size(void)
{
    return align(TEXTS_AT);
}

/* Eight bytes a step: it is to find what went wrong, not what somebody did. */
static uint64_t checksum_of(const char *at, size_t size, uint32_t uid)
{
    uint64_t sum = (uint64_t)uid << 32 | size;

    for (size_t i = sizeof(struct head) + sizeof(uint64_t); i < size; i += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, at + i, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    return sum;
}

static uint16_t flags_of(const struct cookie *cookie)
{
    return (uint16_t)((cookie->secure ? FLAG_SECURE : 0) |
                      (cookie->http_only ? FLAG_HTTP_ONLY : 0) |
                      (cookie->host_only ? FLAG_HOST_ONLY : 0) |
                      cookie->same_site << SAME_SITE_SHIFT);
}

static void
write_record(char *at, size_t size, enum session_state state, const struct session_row *row)
{
    const struct head head = {(uint32_t)size, ~(uint32_t)size, (uint32_t)state, row->uid};
    struct body body = {
        .order = row->cookie.order,
        .created_s = row->cookie.created_s,
        .last_access_s = row->cookie.last_access_s,
        .version = row->cookie.version,
        .flags = flags_of(&row->cookie),
    };
    struct span texts[TEXT_COUNT];
    char *end = at + TEXTS_AT;

    texts_of(row, texts);
    for (int i = 0; i < TEXT_COUNT; i++) {
        body.lens[i] = (uint16_t)texts[i].len;
        if (texts[i].len > 0)
            memcpy(end, texts[i].ptr, texts[i].len);
        end += texts[i].len;
    }
    memset(end, 0, (size_t)(at + size - end));
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), &body, TEXTS_AT - sizeof(head));
    body.checksum = checksum_of(at, size, row->uid);
    memcpy(at + sizeof(head), &body.checksum, sizeof(body.checksum));
}

void session_record_write(char *at, size_t size, const struct session_row *row)
{
    write_record(at, size, SESSION_LIVE, row);
}

void session_record_write_removal(char *at, uint32_t uid, uint64_t order)
{
    const struct session_row row = {.uid = uid, .cookie.order = order};

    write_record(at, session_record_removal_size(), SESSION_REMOVAL, &row);
}

void session_record_set_state(char *at, enum session_state state)
{
    struct head *head = (struct head *)(void *)at;

    __atomic_store_n(&head->state, (uint32_t)state, __ATOMIC_RELEASE);
    if (state == SESSION_DEAD)
        explicit_bzero(at + sizeof(*head), head->size - sizeof(*head));
}

enum session_state
session_record_peek(const char *at, size_t *ret_size, uint32_t *ret_uid, uint64_t *ret_order)
{
    struct head head;

    memcpy(&head, at, sizeof(head));
    *ret_size = head.size;
    *ret_uid = head.uid;
    memcpy(ret_order, at + sizeof(head) + offsetof(struct body, order), sizeof(*ret_order));
    return (enum session_state)head.state;
}

/* Return: whether the texts fill the record but for the alignment. */
static bool take_texts(const struct body *body, const char *at, size_t size, struct span ret[])
{
    size_t offset = TEXTS_AT;

    for (int i = 0; i < TEXT_COUNT; i++) {
        if (body->lens[i] > text_max[i] || body->lens[i] > size - offset)
            return false;
        ret[i] = (struct span){at + offset, body->lens[i]};
        offset += body->lens[i];
    }
    return size - offset < SESSION_RECORD_ALIGN;
}

static struct cookie cookie_of(const struct body *body, const struct span texts[TEXT_COUNT])
{
    return (struct cookie){
        .name = texts[TEXT_NAME],
        .value = texts[TEXT_VALUE],
        .domain = texts[TEXT_DOMAIN],
        .path = texts[TEXT_PATH],
        .partition_key = texts[TEXT_PARTITION],
        .comment = texts[TEXT_COMMENT],
        .original_url = texts[TEXT_URL],
        .expires_s = COOKIE_EXPIRES_NEVER,
        .created_s = body->created_s,
        .last_access_s = body->last_access_s,
        .order = body->order,
        .version = body->version,
        .same_site = (uint8_t)(body->flags >> SAME_SITE_SHIFT),
        .secure = body->flags & FLAG_SECURE,
        .http_only = body->flags & FLAG_HTTP_ONLY,
        .host_only = body->flags & FLAG_HOST_ONLY,
    };
}

/* What the checksum cannot say: that an older or another program wrote sense. */
static bool is_sane(const struct head *head, const struct body *body, const struct span texts[])
{
    struct partition who;

    if (body->flags > FLAGS_MAX || body->flags & 8 || body->order == 0 ||
        body->order > INT64_MAX)
        return false;
    return head->state == SESSION_REMOVAL ||
           (texts[TEXT_JAR].len > 0 && jar_name_is_valid(texts[TEXT_JAR]) &&
            partition_init(&who, head->uid, texts[TEXT_PROFILE]) == 0);
}

static bool read_body(const char *at, const struct head *head, struct session_row *ret)
{
    struct body body = {0};
    struct span texts[TEXT_COUNT];

    memcpy(&body, at + sizeof(*head), TEXTS_AT - sizeof(*head));
    if (body.checksum != checksum_of(at, head->size, head->uid) ||
        !take_texts(&body, at, head->size, texts) || !is_sane(head, &body, texts))
        return false;
    *ret = (struct session_row){
        .uid = head->uid,
        .profile = texts[TEXT_PROFILE],
        .jar = texts[TEXT_JAR],
        .cookie = cookie_of(&body, texts),
    };
    return true;
}

int session_record_read(struct span bytes,
                        size_t *ret_size,
                        enum session_state *ret_state,
                        struct session_row *ret)
{
    struct head head;

    if (bytes.len < sizeof(head))
        return SESSION_RECORD_CUT;
    memcpy(&head, bytes.ptr, sizeof(head));
    if (head.size != ~head.not_size || head.size % SESSION_RECORD_ALIGN != 0 ||
        head.size < TEXTS_AT || head.size > SIZE_MAX_RECORD || head.size > bytes.len)
        return SESSION_RECORD_CUT;
    *ret_size = head.size;
    bool may_count = head.state == SESSION_LIVE || head.state == SESSION_SUPERSEDED ||
                     head.state == SESSION_REMOVAL;
    if (!may_count || !read_body(bytes.ptr, &head, ret))
        return SESSION_RECORD_DEAD;
    *ret_state = (enum session_state)head.state;
    return SESSION_RECORD_OK;
}
