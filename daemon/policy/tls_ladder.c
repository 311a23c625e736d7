/* SPDX-License-Identifier: MIT */
#include "policy/tls_ladder.h"

#define TLS_1_0 0x0301
#define TLS_1_2 0x0303

/* RFC 8446 §6. 47 lies among the alerts about certificates (42 to 49) and is none of them:
 * servers that cannot read a modern extension say it. */
enum {
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_DECODE_ERROR = 50,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_INAPPROPRIATE_FALLBACK = 86,
};

void tls_ladder_init(struct tls_ladder *ladder,
                     uint16_t min_version,
                     uint16_t max_version,
                     uint16_t remembered)
{
    bool fits = remembered >= TLS_1_0 && remembered <= TLS_1_2 && remembered >= min_version &&
                remembered < max_version;

    *ladder = (struct tls_ladder){.min_version = min_version,
                                  .max_version = max_version,
                                  .rung = fits ? remembered : 0,
                                  .is_remembered = fits};
}

static bool is_choking(const struct tls_trouble *trouble)
{
    if (!trouble->in_first_flight || trouble->was_pushed_down)
        return false;
    switch (trouble->alert) {
    case 0: return trouble->is_foreign_record;
    case ALERT_UNEXPECTED_MESSAGE:
    case ALERT_HANDSHAKE_FAILURE:
    case ALERT_ILLEGAL_PARAMETER:
    case ALERT_DECODE_ERROR:
    case ALERT_PROTOCOL_VERSION: return true;
    default: return false;
    }
}

/* The server says that it can do better than what it did once. */
static bool is_out_of_date(const struct tls_ladder *ladder, const struct tls_trouble *trouble)
{
    return ladder->is_remembered &&
           (is_choking(trouble) || trouble->was_pushed_down ||
            (trouble->in_first_flight && trouble->alert == ALERT_INAPPROPRIATE_FALLBACK));
}

/* 0: there is none. */
static uint16_t rung_below(const struct tls_ladder *ladder)
{
    unsigned at = ladder->rung ? ladder->rung : ladder->max_version;
    unsigned next = at > TLS_1_2 ? TLS_1_2 : at - 1;

    return next >= TLS_1_0 && next >= ladder->min_version ? (uint16_t)next : 0;
}

int tls_ladder_next(struct tls_ladder *ladder, const struct tls_trouble *trouble)
{
    if (ladder->n_extra >= TLS_LADDER_EXTRA_MAX)
        return TLS_LADDER_STOP;
    if (is_out_of_date(ladder, trouble)) {
        ladder->rung = 0;
        ladder->is_remembered = false;
        ladder->n_extra++;
        return TLS_LADDER_ANEW;
    }
    uint16_t next = is_choking(trouble) ? rung_below(ladder) : 0;
    if (next == 0)
        return TLS_LADDER_STOP;
    ladder->rung = next;
    ladder->is_remembered = false;
    ladder->n_extra++;
    return TLS_LADDER_STEP;
}
