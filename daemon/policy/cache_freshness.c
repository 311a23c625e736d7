/* SPDX-License-Identifier: MIT */
#include "policy/cache_freshness.h"

#include "http/date.h"
#include "http/field.h"

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool cache_status_is_cacheable(unsigned status)
{
    static const unsigned codes[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i] == status)
            return true;
    }
    return false;
}

/* Return: whether there is such a field and it is a date. */
static bool
find_date(const struct cache_answer *answer, struct span name, bool *ret_found, int64_t *ret_s)
{
    struct span value;

    *ret_found = headers_find(answer->headers, name, &value);
    return *ret_found && http_date_parse(value, answer->response_time_s, ret_s) == 0;
}

/* RFC 9110 §6.6.1: without one, when it came. */
static int64_t date_of(const struct cache_answer *answer)
{
    int64_t date_s = answer->response_time_s;
    bool found;

    (void)find_date(answer, SPAN_LIT("Date"), &found, &date_s);
    return date_s;
}

/* §5.1: of a list the first; what is no number is not there. */
static int64_t age_value(const struct headers *headers)
{
    struct span value;
    struct span item;
    int64_t age_s = 0;

    if (headers_find(headers, SPAN_LIT("Age"), &value) && field_list_next(&value, &item))
        (void)cache_seconds_parse(item, &age_s);
    return age_s;
}

int64_t cache_age_s(const struct cache_answer *answer, int64_t now_s)
{
    int64_t resident_s = now_s - answer->response_time_s;

    if (resident_s < -CACHE_CLOCK_SLACK_S) /* the clock was set back: nobody knows */
        return CACHE_SECONDS_MAX;
    int64_t apparent_s = max_of(0, answer->response_time_s - date_of(answer));
    int64_t delay_s = max_of(0, answer->response_time_s - answer->request_time_s);
    int64_t corrected_s = age_value(answer->headers) + delay_s;

    return max_of(apparent_s, corrected_s) + max_of(0, resident_s);
}

/* §4.2.2: a tenth of how long it had not changed. */
static int64_t heuristic_s(const struct cache_answer *answer, bool is_public)
{
    int64_t modified_s = 0;
    bool found;

    if (!cache_status_is_cacheable(answer->status) && !is_public)
        return 0;
    if (!find_date(answer, SPAN_LIT("Last-Modified"), &found, &modified_s))
        return 0;
    int64_t lifetime_s = max_of(0, (date_of(answer) - modified_s) / 10);
    return lifetime_s < CACHE_HEURISTIC_MAX_S ? lifetime_s : CACHE_HEURISTIC_MAX_S;
}

static int64_t lifetime_with(const struct cache_answer *answer,
                             const struct cache_control *control)
{
    int64_t expires_s = 0;
    bool found;

    if (control->max_age.is_given)
        return control->max_age.seconds;
    if (find_date(answer, SPAN_LIT("Expires"), &found, &expires_s))
        return max_of(0, expires_s - date_of(answer));
    return found ? 0 : heuristic_s(answer, control->is_public); /* §5.3: no date is the past */
}

int64_t cache_lifetime_s(const struct cache_answer *answer)
{
    struct cache_control control;

    cache_control_of(answer->headers, &control);
    return lifetime_with(answer, &control);
}

/* §5.2.1.1 to §5.2.1.4. */
static enum cache_verdict judge_age(const struct cache_judgement *found,
                                    const struct cache_control *request,
                                    bool may_be_stale)
{
    int64_t limit_s = found->lifetime_s;
    int64_t margin_s = request->min_fresh.is_given ? request->min_fresh.seconds : 0;

    if (request->max_age.is_given && request->max_age.seconds < limit_s)
        limit_s = request->max_age.seconds;
    if (found->age_s < limit_s && found->lifetime_s - found->age_s >= margin_s)
        return CACHE_FRESH;
    if (!may_be_stale || !request->max_stale.is_given || margin_s > 0 ||
        (request->max_age.is_given && found->age_s >= request->max_age.seconds))
        return CACHE_VALIDATE;
    return found->age_s - found->lifetime_s <= request->max_stale.seconds ||
                   request->max_stale.seconds == CACHE_SECONDS_MAX
               ? CACHE_STALE_IS_OK
               : CACHE_VALIDATE;
}

static bool is_within(const struct cache_seconds *seconds, int64_t stale_s)
{
    return seconds->is_given && stale_s <= seconds->seconds;
}

void cache_judge(const struct cache_answer *answer,
                 const struct cache_control *request,
                 int64_t now_s,
                 struct cache_judgement *ret)
{
    struct cache_control control;

    cache_control_of(answer->headers, &control);
    bool may_be_stale = !control.must_revalidate && !control.no_cache;
    *ret = (struct cache_judgement){.age_s = cache_age_s(answer, now_s),
                                    .lifetime_s = lifetime_with(answer, &control)};
    int64_t stale_s = max_of(0, ret->age_s - ret->lifetime_s);
    ret->serves_on_error = may_be_stale && (is_within(&control.stale_if_error, stale_s) ||
                                            is_within(&request->stale_if_error, stale_s));
    ret->verdict = control.no_cache || request->no_cache
                       ? CACHE_VALIDATE
                       : judge_age(ret, request, may_be_stale);
}
