/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include <errno.h>

#include "base/ascii.h"

#define DAY_S 86400

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
/* 1 January 1970 was a Thursday. */
static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
static const char days_in_full[7][10] = {"Thursday", "Friday",  "Saturday", "Sunday",
                                         "Monday",   "Tuesday", "Wednesday"};

/* As on paper: month and day count from 1. */
struct civil {
    int year, month, day, hour, minute, second;
};

/* ---- calendar --------------------------------------------------------------------------- */

/* Days since 1970-01-01 in the proleptic Gregorian calendar. Years begin in March here, so
 * that the odd month is the last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
 */
static int64_t days_of_civil(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void civil_of_days(int64_t since_1970, struct civil *ret)
{
    int64_t z = since_1970 + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;

    ret->day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    ret->month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    ret->year = (int)(year_of_era + era * 400 + (ret->month <= 2));
}

static int days_in_month(int year, int month)
{
    static const int count[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : count[month - 1];
}

/* Return: whether there is such a day and time. @second_max: 60 lets a leap second pass. */
static bool civil_exists(const struct civil *civil, int second_max)
{
    return civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
           civil->day <= days_in_month(civil->year, civil->month) && civil->hour <= 23 &&
           civil->minute <= 59 && civil->second <= second_max;
}

static int64_t seconds_of_civil(const struct civil *civil)
{
    int64_t minutes = (int64_t)civil->hour * 60 + civil->minute;
    int second = civil->second < 60 ? civil->second : 59;

    return days_of_civil(civil->year, civil->month, civil->day) * DAY_S + minutes * 60 + second;
}

/* ---- the three forms of RFC 9110 -------------------------------------------------------- */

static bool take(struct span *text, struct span literal)
{
    if (!span_starts_with(*text, literal))
        return false;
    *text = span_drop(*text, literal.len);
    return true;
}

/* Exactly @n digits. */
static bool take_number(struct span *text, size_t n, int *ret)
{
    int value = 0;

    if (text->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!ascii_is_digit(text->ptr[i]))
            return false;
        value = value * 10 + (text->ptr[i] - '0');
    }
    *ret = value;
    *text = span_drop(*text, n);
    return true;
}

static bool take_month(struct span *text, int *ret)
{
    for (int i = 0; i < 12; i++) {
        if (take(text, span_of(months[i]))) {
            *ret = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_time(struct span *text, struct civil *civil)
{
    return take_number(text, 2, &civil->hour) && take(text, SPAN_LIT(":")) &&
           take_number(text, 2, &civil->minute) && take(text, SPAN_LIT(":")) &&
           take_number(text, 2, &civil->second);
}

/* "06 Nov 1994 08:49:37 GMT", behind "Sun, " */
static bool parse_imf(struct span text, struct civil *civil)
{
    return take_number(&text, 2, &civil->day) && take(&text, SPAN_LIT(" ")) &&
           take_month(&text, &civil->month) && take(&text, SPAN_LIT(" ")) &&
           take_number(&text, 4, &civil->year) && take(&text, SPAN_LIT(" ")) &&
           take_time(&text, civil) && take(&text, SPAN_LIT(" GMT")) && text.len == 0;
}

/* "06-Nov-94 08:49:37 GMT", behind "Sunday, " */
static bool parse_rfc850(struct span text, int64_t now_s, struct civil *civil)
{
    struct civil now;
    int year = 0;

    if (!take_number(&text, 2, &civil->day) || !take(&text, SPAN_LIT("-")) ||
        !take_month(&text, &civil->month) || !take(&text, SPAN_LIT("-")) ||
        !take_number(&text, 2, &year) || !take(&text, SPAN_LIT(" ")) ||
        !take_time(&text, civil) || !take(&text, SPAN_LIT(" GMT")) || text.len != 0)
        return false;
    civil_of_days(now_s / DAY_S, &now);
    year += now.year - now.year % 100;
    if (year > now.year + 50)
        year -= 100;
    else if (year <= now.year - 50)
        year += 100;
    civil->year = year;
    return true;
}

/* "Nov  6 08:49:37 1994", behind "Sun " */
static bool parse_asctime(struct span text, struct civil *civil)
{
    return take_month(&text, &civil->month) && take(&text, SPAN_LIT(" ")) &&
           (take(&text, SPAN_LIT(" ")) ? take_number(&text, 1, &civil->day)
                                       : take_number(&text, 2, &civil->day)) &&
           take(&text, SPAN_LIT(" ")) && take_time(&text, civil) &&
           take(&text, SPAN_LIT(" ")) && take_number(&text, 4, &civil->year) && text.len == 0;
}

static bool parse_any_form(struct span text, int64_t now_s, struct civil *civil)
{
    for (int i = 0; i < 7; i++) {
        struct span rest = text;

        if (take(&rest, span_of(days_in_full[i])))
            return take(&rest, SPAN_LIT(", ")) && parse_rfc850(rest, now_s, civil);
        if (take(&rest, span_of(days[i])))
            return take(&rest, SPAN_LIT(", "))
                       ? parse_imf(rest, civil)
                       : take(&rest, SPAN_LIT(" ")) && parse_asctime(rest, civil);
    }
    return false;
}

int http_date_parse(struct span text, int64_t now_s, int64_t *ret_s)
{
    struct civil civil = {0};

    if (now_s < DATE_MIN_S || now_s > DATE_MAX_S || !parse_any_form(text, now_s, &civil) ||
        !civil_exists(&civil, 60))
        return -EINVAL;
    *ret_s = seconds_of_civil(&civil);
    return 0;
}

static char *put_number(char *at, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + digits;
}

static char *put_text(char *at, const char *text)
{
    struct span s = span_of(text);

    memcpy(at, s.ptr, s.len);
    return at + s.len;
}

void http_date_format(int64_t date_s, char ret[HTTP_DATE_SIZE])
{
    struct civil civil;
    char *at = ret;

    if (date_s < DATE_MIN_S)
        date_s = DATE_MIN_S;
    if (date_s > DATE_MAX_S)
        date_s = DATE_MAX_S;

    int64_t day = (date_s - DATE_MIN_S) / DAY_S + DATE_MIN_S / DAY_S; /* rounds down */
    int rest = (int)(date_s - day * DAY_S);
    civil_of_days(day, &civil);
    at = put_text(at, days[((day % 7) + 7) % 7]);
    at = put_text(at, ", ");
    at = put_number(at, civil.day, 2);
    *at++ = ' ';
    at = put_text(at, months[civil.month - 1]);
    *at++ = ' ';
    at = put_number(at, civil.year, 4);
    *at++ = ' ';
    at = put_number(at, rest / 3600, 2);
    *at++ = ':';
    at = put_number(at, rest / 60 % 60, 2);
    *at++ = ':';
    at = put_number(at, rest % 60, 2);
    at = put_text(at, " GMT");
    *at = '\0';
}

/* ---- RFC 6265 §5.1.1 -------------------------------------------------------------------- */

static bool is_delimiter(char c)
{
    unsigned char b = (unsigned char)c;

    return b == 0x09 || (b >= 0x20 && b <= 0x2f) || (b >= 0x3b && b <= 0x40) ||
           (b >= 0x5b && b <= 0x60) || (b >= 0x7b && b <= 0x7e);
}

static bool next_token(struct span *text, struct span *ret)
{
    size_t n = 0;

    while (text->len > 0 && is_delimiter(text->ptr[0]))
        *text = span_drop(*text, 1);
    while (n < text->len && !is_delimiter(text->ptr[n]))
        n++;
    *ret = span_take(*text, n);
    *text = span_drop(*text, n);
    return n > 0;
}

/* @least to @most digits and then no digit. */
static bool take_digits(struct span *text, size_t least, size_t most, int *ret)
{
    size_t n = 0;

    while (n < text->len && ascii_is_digit(text->ptr[n]))
        n++;
    return n >= least && n <= most && take_number(text, n, ret);
}

/* A token as one of the four productions; what was found already is not looked for again. */
struct cookie_date {
    struct civil civil;
    bool has_time, has_day, has_month, has_year;
};

static bool read_time(struct span token, struct civil *civil)
{
    struct civil found;

    if (!take_digits(&token, 1, 2, &found.hour) || !take(&token, SPAN_LIT(":")) ||
        !take_digits(&token, 1, 2, &found.minute) || !take(&token, SPAN_LIT(":")) ||
        !take_digits(&token, 1, 2, &found.second))
        return false;
    civil->hour = found.hour;
    civil->minute = found.minute;
    civil->second = found.second;
    return true;
}

static bool read_month(struct span token, struct civil *civil)
{
    for (int i = 0; i < 12; i++) {
        if (span_ieq(span_take(token, 3), span_of(months[i]))) {
            civil->month = i + 1;
            return true;
        }
    }
    return false;
}

static void read_token(struct cookie_date *date, struct span token)
{
    struct span rest = token;

    if (!date->has_time && (date->has_time = read_time(token, &date->civil)))
        return;
    if (!date->has_day && (date->has_day = take_digits(&rest, 1, 2, &date->civil.day)))
        return;
    if (!date->has_month && (date->has_month = read_month(token, &date->civil)))
        return;
    if (!date->has_year)
        date->has_year = take_digits(&rest, 2, 4, &date->civil.year);
}

int cookie_date_parse(struct span text, int64_t *ret_s)
{
    struct cookie_date date = {0};
    struct span token;

    while (next_token(&text, &token))
        read_token(&date, token);
    if (!date.has_time || !date.has_day || !date.has_month || !date.has_year)
        return -EINVAL;
    if (date.civil.year <= 69)
        date.civil.year += 2000;
    else if (date.civil.year <= 99)
        date.civil.year += 1900;
    if (date.civil.year < 1601 || !civil_exists(&date.civil, 59))
        return -EINVAL;
    *ret_s = seconds_of_civil(&date.civil);
    return 0;
}
