/* SPDX-License-Identifier: MIT */
/*
 * RFC 6265bis from field to field: what answers set and what the next request carries. Rows in
 * the manner of the IETF's http-state work, then SameSite (§5.2) and Partitioned.
 */
#include <stdio.h>
#include <string.h>

#include "http/url.h"
#include "policy/cookie_jar.h"
#include "support/test.h"

#define NOW INT64_C(1800000000)

static struct suffix_table suffixes;
static struct cookie_jar *jar;

static int make_jar(void **state)
{
    static const char *const names[] = {"co.uk", "github.io", NULL};
    struct cookie_jar_options options = cookie_jar_options_default();

    (void)state;
    suffix_table_init(&suffixes, names);
    return cookie_jar_new(&jar, &suffixes.rules, &options);
}

static int free_jar(void **state)
{
    (void)state;
    jar = cookie_jar_free(jar);
    return 0;
}

/* How a request is made, and its URLs: what struct cookie_request borrows from. */
struct asked {
    const char *url;
    const char *site;      /* NULL: not said */
    const char *top_level; /* NULL: not said */
    bool navigates;
    bool is_unsafe;
    struct url urls[3];
};

static struct cookie_origin origin_of(const char *text, struct url *url)
{
    if (!text)
        return (struct cookie_origin){0};
    assert_int_equal(url_parse(span_of(text), NULL, url), URL_OK);
    return (struct cookie_origin){url->host, span_eq(url->scheme, SPAN_LIT("https"))};
}

static struct cookie_request request_of(struct asked *asked)
{
    memset(asked->urls, 0, sizeof(asked->urls));
    struct cookie_origin own = origin_of(asked->url, &asked->urls[0]);

    return (struct cookie_request){
        .host = own.host,
        .path = asked->urls[0].path,
        .site = origin_of(asked->site, &asked->urls[1]),
        .top_level = origin_of(asked->top_level, &asked->urls[2]),
        .now_s = NOW,
        .is_secure = own.is_https,
        .is_navigation = asked->navigates,
        .is_unsafe = asked->is_unsafe,
    };
}

static void asked_done(struct asked *asked)
{
    for (size_t i = 0; i < 3; i++)
        url_done(&asked->urls[i]);
}

/* Return: the outcome, as the whole way of a response tells it. */
static int answer(struct asked asked, const char *field)
{
    struct cookie_request from = request_of(&asked);
    struct set_cookie set;
    int r = set_cookie_parse(span_of(field), &set);

    r = r == SET_COOKIE_OK ? cookie_jar_store(jar, &from, &set) : COOKIE_REFUSED_EMPTY;
    asked_done(&asked);
    return r;
}

static const char *carried(struct asked asked)
{
    static char text[16384];
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct cookie_request request = request_of(&asked);

    assert_true(cookie_jar_header_for(jar, &request, &out) >= 0);
    (void)snprintf(text, sizeof(text), "%.*s", (int)out.len, buf_span(&out).ptr);
    asked_done(&asked);
    return text;
}

/* ---- from field to field ---------------------------------------------------------------- */

#define FIELDS_MAX 6

static const struct {
    const char *fields[FIELDS_MAX];
    const char *cookie; /* of a request to /cookie-parser-result */
} rows[] = {
    {{"foo=bar"}, "foo=bar"},
    {{"foo"}, "foo"},
    {{"=foo"}, "foo"},
    {{"  =foo"}, "foo"},
    {{"foo="}, "foo="},
    {{"="}, ""},
    {{""}, ""},
    {{" ; path=/"}, ""},
    {{"; bar=baz"}, ""},
    {{"foo==bar"}, "foo==bar"},
    {{"foo=bar=baz"}, "foo=bar=baz"},
    {{"  foo  =  bar  "}, "foo=bar"},
    {{"\tfoo\t=\tbar\t"}, "foo=bar"},
    {{"foo=\"bar\""}, "foo=\"bar\""},
    {{"foo=\"  bar  \"  "}, "foo=\"  bar  \""},
    {{"aBc=\"zzz \"   ;"}, "aBc=\"zzz \""},
    {{"aBc=\"zzz;pp\" ; ;"}, "aBc=\"zzz"},
    {{"aBc=\"zzz \"   \"ppp\"  ;"}, "aBc=\"zzz \"   \"ppp\""},
    {{"aBc=A\"B ;"}, "aBc=A\"B"},
    {{"BLAHHH; path=/;"}, "BLAHHH"},
    {{"\"BLA\\\"HHH\"; path=/;"}, "\"BLA\\\"HHH\""},
    {{"foo=bar, baz=qux"}, "foo=bar, baz=qux"},
    {{"foo=\"bar, baz=qux\""}, "foo=\"bar, baz=qux\""},
    {{"foo=bar; b,az=qux"}, "foo=bar"},
    {{"foo bar=baz"}, "foo bar=baz"},
    {{"$Version=1"}, "$Version=1"},
    {{"foo=b\xc3\xa4r"}, "foo=b\xc3\xa4r"},
    {{"foo=\xff\xfe"}, "foo=\xff\xfe"},
    {{"foo=a\tb"}, "foo=a\tb"},
    {{"foo=a\001b"}, ""},
    {{"foo=bar; path=/\002"}, ""},
    {{"foo=bar\177"}, ""},
    /* Secure over http */
    {{"foo=bar; Secure"}, ""},
    {{"foo=bar; seCURe"}, ""},
    {{"foo=bar; \"Secure\""}, "foo=bar"},
    {{"foo=bar; Secure="}, ""},
    {{"foo=bar; Secure=aaaa"}, ""},
    {{"foo=bar; Secure qux"}, "foo=bar"},
    {{"foo=bar; Secure =aaaaa"}, ""},
    {{"foo=bar;                Secure"}, ""},
    {{"foo=bar; Secure ; qux"}, ""},
    {{"foo=bar; qux=\"aaa;bbb\"; Secure"}, ""},
    /* HttpOnly is fine over http */
    {{"foo=bar; HttpOnly"}, "foo=bar"},
    {{"foo=bar; httponly=no"}, "foo=bar"},
    /* Path */
    {{"foo=bar; Path"}, "foo=bar"},
    {{"foo=bar; Path="}, "foo=bar"},
    {{"foo=bar; Path=/"}, "foo=bar"},
    {{"foo=bar; Path=/qux"}, ""},
    {{"foo=bar; Path    =/qux"}, ""},
    {{"foo=bar; Path=    /qux"}, ""},
    {{"foo=bar; Path=/qux      ; taz"}, ""},
    {{"foo=bar; Path=/qux; Path=/"}, "foo=bar"},
    {{"foo=bar; Path=/; Path=/qux"}, ""},
    {{"foo=bar; Path=/qux; Path=nonsense"}, "foo=bar"}, /* the last one is none: the default */
    {{"foo=bar; Path=\"/qux\""}, "foo=bar"},
    {{"foo=bar; path=/cookie-parser-result?x"}, ""}, /* a query is no part of a path */
    {{"foo=bar; path=/%63ookie-parser-result"}, ""}, /* and nothing is decoded */
    {{"foo=bar; path=//"}, ""},
    {{"foo=bar; path=/./"}, ""},
    {{"foo=bar; path=/cookie-parser-result"}, "foo=bar"},
    {{"foo=bar; path=/cookie-parser-result/"}, ""},
    {{"foo=bar; path=/cookie-parser-resul"}, ""},
    {{"foo=bar; path=/cookie-parser-result/foo"}, ""},
    {{"foo=bar; path=/Cookie-Parser-Result"}, ""},
    /* Max-Age and Expires */
    {{"foo=bar; max-age=10000;"}, "foo=bar"},
    {{"foo=bar; max-age=0;"}, ""},
    {{"foo=bar; max-age=-1"}, ""},
    {{"foo=bar; max-age=-"}, "foo=bar"},
    {{"foo=bar; max-age="}, "foo=bar"},
    {{"foo=bar; max-age=+5"}, "foo=bar"},
    {{"foo=bar; max-age=50,399"}, "foo=bar"},
    {{"foo=bar; max-age=\"0\""}, "foo=bar"},
    {{"foo=bar; max-age=0x0"}, "foo=bar"},
    {{"foo=bar; max-age=-0"}, ""},
    {{"foo=bar; max-age=00"}, ""},
    {{"foo=bar; max-age=--1"}, "foo=bar"},
    {{"foo=bar; max-age=- 1"}, "foo=bar"},
    {{"foo=bar; max-age= 0 "}, ""},
    {{"foo=bar; max-age=1.5"}, "foo=bar"},
    {{"foo=bar; max-age=-99999999999999999999999"}, ""},
    {{"foo=bar; max-age=99999999999999999999999"}, "foo=bar"},
    {{"foo=bar; max-age=0; max-age=nonsense"}, ""}, /* what is no number is as if unsaid */
    {{"foo=bar; max-age=0; max-age=10"}, "foo=bar"},
    {{"foo=bar; max-age=10; max-age=0"}, ""},
    {{"foo=bar; expires=Thu, 10 Apr 1980 16:33:12 GMT"}, ""},
    {{"foo=bar; expires=Thu, 10 Apr 1980 16:33:12 GMT; max-age=10"}, "foo=bar"},
    {{"foo=bar; max-age=0; expires=Fri, 07 Aug 2099 08:04:19 GMT"}, ""},
    {{"foo=bar; expires=nonsense"}, "foo=bar"},
    {{"foo=bar; expires=Thu, 10 Apr 1980 16:33:12 GMT; expires="}, ""},
    {{"foo=bar; Expires=Mon, 10-Dec-2089 20:35:03 GMT"}, "foo=bar"},
    /* overwriting */
    {{"foo=bar", "foo=qux"}, "foo=qux"},
    {{"a=1", "b=2", "a=3"}, "a=3; b=2"},
    {{"foo=bar", "foo=; max-age=0"}, ""},
    {{"foo=bar", "Foo=qux"}, "foo=bar; Foo=qux"},
    {{"foo=bar; domain=home.example.org", "foo=qux"}, "foo=bar; foo=qux"},
    {{"foo", "=qux"}, "qux"},
    /* Domain */
    {{"foo=bar; domain=home.example.org"}, "foo=bar"},
    {{"foo=bar; domain=.home.example.org"}, "foo=bar"},
    {{"foo=bar; domain=.example.org"}, "foo=bar"},
    {{"foo=bar; domain=hOmE.eXaMpLe.OrG"}, "foo=bar"},
    {{"foo=bar; domain=..home.example.org"}, ""},
    {{"foo=bar; domain=bar.home.example.org"}, ""},
    {{"foo=bar; domain=.sibling.example.org"}, ""},
    {{"foo=bar; domain=ample.org"}, ""},
    {{"foo=bar; domain=org"}, ""},
    {{"foo=bar; domain=.org"}, ""},
    {{"foo=bar; domain=home.example.org."}, ""},
    {{"foo=bar; domain=home.example.org:80"}, ""},
    {{"foo=bar; domain=\"home.example.org\""}, ""},
    {{"foo=bar; domain= home.example.org "}, "foo=bar"},
    {{"foo=bar; domain"}, "foo=bar"},
    {{"foo=bar; domain="}, "foo=bar"},
    {{"foo=bar; domain=."}, "foo=bar"},
    {{"foo=bar; domain=sibling.example.org; domain=.example.org"}, "foo=bar"},
    {{"foo=bar; domain=.example.org; domain=sibling.example.org"}, ""},
    {{"foo=bar; domain=sibling.example.org; domain="}, "foo=bar"},
    {{"foo=bar; domain=h\xc3\xb6me.example.org"}, ""},
    /* order of sending */
    {{"a=1; path=/", "b=2; path=/cookie-parser-result", "c=3"}, "b=2; a=1; c=3"},
    /* SameSite words */
    {{"foo=bar; SameSite=Strict"}, "foo=bar"},
    {{"foo=bar; SameSite=nonsense"}, "foo=bar"},
    {{"foo=bar; SameSite"}, "foo=bar"},
    {{"foo=bar; SameSite=None"}, ""},
    {{"foo=bar; SameSite=None; SameSite=nonsense"}, "foo=bar"},
    {{"foo=bar; SameSite=\"None\""}, "foo=bar"}, /* quotes make it another word */
    /* what is not known */
    {{"foo=bar; customvalue=\"1000 or more\""}, "foo=bar"},
    {{"test=parser; ; =; ,; =,=.=;"}, "test=parser"},
};

static void test_what_answers_set_is_what_requests_carry(void **state)
{
    const struct asked request = {.url = "http://home.example.org/cookie-parser-result?x"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t k = 0; k < FIELDS_MAX && rows[i].fields[k]; k++)
            (void)answer((struct asked){.url = "http://home.example.org/cookie-parser?x"},
                         rows[i].fields[k]);
        if (strcmp(carried(request), rows[i].cookie) != 0)
            fail_msg("%s: carried \"%s\", wants \"%s\"", rows[i].fields[0], carried(request),
                     rows[i].cookie);
        free_jar(state);
        assert_int_equal(make_jar(state), 0);
    }
}

static void test_comment_and_version_are_kept_and_mean_nothing(void **state)
{
    struct cookie_list found = {0};

    (void)state;
    (void)answer((struct asked){.url = "http://a.com/"}, "a=1; Comment= of old ; Version=1");
    (void)answer((struct asked){.url = "http://a.com/"}, "b=2; Version=x");
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &found), 0);
    assert_int_equal(found.count, 2);
    assert_true(span_eq(found.cookies[0]->comment, SPAN_LIT("of old")));
    assert_int_equal(found.cookies[0]->version, 1);
    assert_int_equal(found.cookies[1]->version, 0);
    cookie_list_done(&found);
    assert_string_equal(carried((struct asked){.url = "http://a.com/"}), "a=1; b=2");
}

/* xorshift: the same strings in every run. */
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static size_t random_field(uint32_t *seed, char text[256])
{
    static const char *const words[] = {
        "a=1",      "=",         ";",        "Path=",    "/x",          "Domain=",
        "b.com",    "Secure",    "HttpOnly", "Max-Age=", "9999999999",  "-",
        "Expires=", "SameSite=", "Lax",      "Strict",   "None",        "Comment=",
        "\t",       " ",         "__Host-",  "Version=", "Partitioned", "1 Jan 99",
        "\x01",     "\xe4\xf6",  ","};
    size_t len = 0;

    for (unsigned n = next_random(seed) % 12 + 1; n > 0; n--) {
        const char *word = words[next_random(seed) % (sizeof(words) / sizeof(words[0]))];

        if (len + strlen(word) < 256) {
            memcpy(text + len, word, strlen(word));
            len += strlen(word);
        }
    }
    return len;
}

/* A tenth of a million here, a million in the soak, any number in fuzz_set_cookie. */
static void test_ck25_random_fields_parse_to_what_they_are_written_as(void **state)
{
    uint32_t seed = 4711;
    char text[256];
    unsigned n_fine = 0;

    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        CLEANUP_BUF struct buf once = BUF_INIT(0);
        CLEANUP_BUF struct buf twice = BUF_INIT(0);
        struct set_cookie set;
        size_t len = random_field(&seed, text);

        if (set_cookie_parse((struct span){text, len}, &set) != SET_COOKIE_OK)
            continue;
        n_fine++;
        assert_int_equal(set_cookie_format(&set, &once), 0);
        assert_int_equal(set_cookie_parse(buf_span(&once), &set), SET_COOKIE_OK);
        assert_int_equal(set_cookie_format(&set, &twice), 0);
        assert_true(span_eq(buf_span(&once), buf_span(&twice)));
    }
    assert_true(n_fine > 100000);
}

/* ---- SameSite ---------------------------------------------------------------------------- */

static void fill_same_site(void)
{
    const struct asked from = {.url = "https://a.com/"};

    assert_int_equal(answer(from, "s=1; SameSite=Strict"), COOKIE_STORED);
    assert_int_equal(answer(from, "l=1; SameSite=Lax"), COOKIE_STORED);
    assert_int_equal(answer(from, "n=1; SameSite=None; Secure"), COOKIE_STORED);
    assert_int_equal(answer(from, "d=1"), COOKIE_STORED);
}

static void test_same_site_requests_carry_everything(void **state)
{
    static const char all[] = "s=1; l=1; n=1; d=1";

    (void)state;
    fill_same_site();
    assert_string_equal(carried((struct asked){.url = "https://a.com/"}), all);
    assert_string_equal(
        carried((struct asked){.url = "https://a.com/", .site = "https://a.com"}), all);
    assert_string_equal(
        carried((struct asked){.url = "https://a.com/", .site = "https://www.a.com:8443"}),
        all);
}

static void test_cross_site_requests_carry_none_alone(void **state)
{
    struct asked asked = {.url = "https://a.com/", .site = "https://b.com"};

    (void)state;
    fill_same_site();
    assert_string_equal(carried(asked), "n=1");
    asked.site = "http://a.com"; /* another scheme is another site */
    assert_string_equal(carried(asked), "n=1");
    asked.site = "https://xa.com";
    assert_string_equal(carried(asked), "n=1");
    asked.site = "https://127.0.0.1";
    assert_string_equal(carried(asked), "n=1");
}

static void test_a_safe_navigation_carries_lax_and_default_too(void **state)
{
    struct asked asked = {.url = "https://a.com/", .site = "https://b.com", .navigates = true};

    (void)state;
    fill_same_site();
    assert_string_equal(carried(asked), "l=1; n=1; d=1");
    asked.is_unsafe = true;
    assert_string_equal(carried(asked), "n=1");
}

static void test_hosts_below_a_public_suffix_are_sites_of_their_own(void **state)
{
    (void)state;
    (void)answer((struct asked){.url = "https://x.github.io/"}, "s=1; SameSite=Strict");
    assert_string_equal(
        carried((struct asked){.url = "https://x.github.io/", .site = "https://y.github.io"}),
        "");
    assert_string_equal(
        carried((struct asked){.url = "https://x.github.io/", .site = "https://x.github.io"}),
        "s=1");
}

static void test_a_cross_site_answer_sets_none_alone(void **state)
{
    struct asked asked = {.url = "https://a.com/", .site = "https://b.com"};

    (void)state;
    assert_int_equal(answer(asked, "s=1; SameSite=Strict"), COOKIE_REFUSED_SAME_SITE);
    assert_int_equal(answer(asked, "l=1; SameSite=Lax"), COOKIE_REFUSED_SAME_SITE);
    assert_int_equal(answer(asked, "d=1"), COOKIE_REFUSED_SAME_SITE);
    assert_int_equal(answer(asked, "u=1; SameSite=word"), COOKIE_REFUSED_SAME_SITE);
    assert_int_equal(answer(asked, "n=1; SameSite=None; Secure"), COOKIE_STORED);
    asked.navigates = true; /* and with an unsafe method as well */
    asked.is_unsafe = true;
    assert_int_equal(answer(asked, "s=1; SameSite=Strict"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 2);
}

/* RFC 6265bis §5.7 step 19. */
static void test_none_wants_secure_whoever_sets_it(void **state)
{
    const struct cookie_request by_owner = {.now_s = NOW};
    struct cookie draft = {.name = SPAN_LIT("n"),
                           .value = SPAN_LIT("1"),
                           .domain = SPAN_LIT("a.com"),
                           .same_site = SAME_SITE_NONE};

    (void)state;
    assert_int_equal(answer((struct asked){.url = "https://a.com/"}, "n=1; SameSite=None"),
                     COOKIE_REFUSED_NONE_INSECURE);
    assert_int_equal(answer((struct asked){.url = "http://a.com/"}, "n=1; samesite=NONE"),
                     COOKIE_REFUSED_NONE_INSECURE);
    assert_int_equal(answer((struct asked){.url = "https://a.com/", .site = "https://b.com"},
                            "n=1; SameSite=None"),
                     COOKIE_REFUSED_NONE_INSECURE);
    assert_int_equal(cookie_jar_set(jar, &draft, &by_owner), COOKIE_REFUSED_NONE_INSECURE);
    assert_int_equal(cookie_jar_count(jar), 0);
    draft.secure = true;
    assert_int_equal(cookie_jar_set(jar, &draft, &by_owner), COOKIE_STORED);
    /* The last word counts: it is None no more. */
    assert_int_equal(
        answer((struct asked){.url = "https://b.com/"}, "n=1; SameSite=None; SameSite=Lax"),
        COOKIE_STORED);
}

/* A refused one changes nothing, not even what it would have replaced or ended. */
static void test_what_is_refused_leaves_what_is_there(void **state)
{
    const struct asked from = {.url = "https://a.com/"};

    (void)state;
    assert_int_equal(answer(from, "n=1; Secure"), COOKIE_STORED);
    assert_int_equal(answer(from, "n=2; SameSite=None"), COOKIE_REFUSED_NONE_INSECURE);
    assert_int_equal(answer(from, "n=; Max-Age=0; SameSite=None"),
                     COOKIE_REFUSED_NONE_INSECURE);
    assert_string_equal(carried(from), "n=1");
}

/* ---- Partitioned --------------------------------------------------------------------------
 */

static struct asked below(const char *top_level)
{
    return (struct asked){.url = "https://embed.com/", .top_level = top_level};
}

static void test_a_partitioned_cookie_stays_below_its_top_level_site(void **state)
{
    (void)state;
    assert_int_equal(answer(below("https://a.com"), "p=a; Secure; Partitioned"), COOKIE_STORED);
    assert_int_equal(answer(below("https://b.com"), "p=b; Secure; Partitioned"), COOKIE_STORED);
    assert_int_equal(answer(below("https://b.com"), "u=1; Secure"), COOKIE_STORED);
    assert_string_equal(carried(below("https://a.com")), "p=a; u=1");
    assert_string_equal(carried(below("https://www.a.com:444")), "p=a; u=1");
    assert_string_equal(carried(below("https://b.com")), "p=b; u=1");
    assert_string_equal(carried(below("http://b.com")), "u=1");
    assert_string_equal(carried(below(NULL)), "u=1"); /* its own site is the top level */
    assert_int_equal(answer(below("https://a.com"), "p=c; Secure; Partitioned"),
                     COOKIE_REPLACED);
    assert_string_equal(carried(below("https://b.com")), "p=b; u=1");
}

static void test_a_partition_is_named_by_its_top_level_site(void **state)
{
    struct cookie_filter filter = {.partition_key = SPAN_LIT("https://a.co.uk")};
    struct cookie_list found = {0};

    (void)state;
    (void)answer(below("https://www.a.co.uk:444/x"), "p=a; Secure; Partitioned");
    (void)answer(below(NULL), "p=o; Secure; Partitioned");
    (void)answer((struct asked){.url = "https://embed.com/", .site = "http://b.com"},
                 "p=b; Secure; Partitioned; SameSite=None");
    assert_int_equal(cookie_jar_list(jar, &filter, NOW, &found), 0);
    assert_int_equal(found.count, 1);
    assert_true(span_eq(found.cookies[0]->value, SPAN_LIT("a")));
    cookie_list_done(&found);
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &found), 0);
    assert_int_equal(found.count, 3);
    assert_true(span_eq(found.cookies[0]->partition_key, SPAN_LIT("http://b.com")));
    assert_true(span_eq(found.cookies[2]->partition_key, SPAN_LIT("https://embed.com")));
    cookie_list_done(&found);
}

static void test_partitioned_wants_secure(void **state)
{
    (void)state;
    assert_int_equal(answer(below("https://a.com"), "p=a; Partitioned"),
                     COOKIE_REFUSED_PARTITIONED);
    assert_int_equal(answer(below("https://a.com"), "__Host-p=a; Path=/; Secure; Partitioned"),
                     COOKIE_STORED);
}

static void test_each_partition_has_places_of_its_own(void **state)
{
    char field[64];

    (void)state;
    for (int i = 0; i < 180; i++) {
        (void)snprintf(field, sizeof(field), "c%d=1; Secure; Partitioned", i);
        assert_int_equal(answer(below("https://a.com"), field), COOKIE_STORED);
    }
    assert_int_equal(answer(below("https://b.com"), "x=1; Secure; Partitioned"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 181);
    assert_int_equal(answer(below("https://a.com"), "x=1; Secure; Partitioned"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 181); /* c0 has left */
    assert_string_equal(carried(below("https://b.com")), "x=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_jar, free_jar)
        TEST(test_what_answers_set_is_what_requests_carry),
        TEST(test_comment_and_version_are_kept_and_mean_nothing),
        TEST(test_ck25_random_fields_parse_to_what_they_are_written_as),
        TEST(test_same_site_requests_carry_everything),
        TEST(test_cross_site_requests_carry_none_alone),
        TEST(test_a_safe_navigation_carries_lax_and_default_too),
        TEST(test_hosts_below_a_public_suffix_are_sites_of_their_own),
        TEST(test_a_cross_site_answer_sets_none_alone),
        TEST(test_none_wants_secure_whoever_sets_it),
        TEST(test_what_is_refused_leaves_what_is_there),
        TEST(test_a_partitioned_cookie_stays_below_its_top_level_site),
        TEST(test_a_partition_is_named_by_its_top_level_site),
        TEST(test_partitioned_wants_secure),
        TEST(test_each_partition_has_places_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
