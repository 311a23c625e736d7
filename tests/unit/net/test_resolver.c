/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/resolver.h"
#include "support/test.h"

/* A name server of ours: it answers once the gate is open, and counts. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opened = PTHREAD_COND_INITIALIZER;
static bool gate_open = true;
static atomic_int n_asked;
static atomic_int answer_code;
static atomic_int n_answers = 2;

static void set_gate(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_opened);
    pthread_mutex_unlock(&gate_lock);
}

static int
fake_query(const char *host, int family, struct address *ret, size_t max, size_t *ret_n)
{
    atomic_fetch_add(&n_asked, 1);
    pthread_mutex_lock(&gate_lock);
    while (!gate_open)
        pthread_cond_wait(&gate_opened, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    if (atomic_load(&answer_code) != 0) {
        errno = EACCES;
        return atomic_load(&answer_code);
    }
    (void)host;
    *ret_n = 0;
    for (int i = 0; i < atomic_load(&n_answers) && *ret_n < max; i++) {
        const char *text = family == AF_INET6 ? "2001:db8::1" : "192.0.2.1";

        if (address_parse(span_of(text), 0, &ret[*ret_n]) < 0)
            return EAI_FAIL;
        ++*ret_n;
    }
    return 0;
}

struct net {
    struct fake_clock clock;
    struct loop *loop;
    struct resolver *resolver;
};

struct asker {
    struct lookup lookup;
    struct net *net;
    int n_done;
    size_t n_found;
    struct address first;
    struct failure why;
    struct asker *cancels; /* from inside on_done */
    const char *asks;      /* again, from inside on_done */
};

static void asker_on_done(void *arg, struct address_list found, const struct failure *why)
{
    struct asker *asker = arg;

    asker->n_done++;
    asker->n_found = found.n;
    assert_true((found.n == 0) == (why != NULL));
    if (found.n > 0)
        asker->first = found.at[0];
    if (why)
        asker->why = *why;
    assert_false(resolver_is_looking_up(&asker->lookup));
    if (asker->cancels)
        resolver_cancel(&asker->cancels->lookup);
    if (asker->asks && asker->n_done == 1)
        assert_int_equal(resolver_lookup(asker->net->resolver, span_of(asker->asks), 80,
                                         AF_UNSPEC, &asker->lookup),
                         0);
}

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    struct resolver_options options = resolver_options_default();

    assert_non_null(net);
    fake_clock_init(&net->clock, 0);
    options.query = fake_query;
    options.n_threads_each = 2;
    options.queries_max = 4;
    options.cache_max = 2;
    assert_int_equal(loop_new(&net->loop, &net->clock.clock), 0);
    assert_int_equal(resolver_new(&net->resolver, net->loop, &options), 0);
    set_gate(true);
    atomic_store(&n_asked, 0);
    atomic_store(&answer_code, 0);
    atomic_store(&n_answers, 2);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    set_gate(true);
    resolver_free(net->resolver);
    loop_free(net->loop);
    free(net);
    return 0;
}

static void ask(struct net *net, struct asker *asker, const char *host, int family)
{
    asker->net = net;
    asker->lookup.on_done = asker_on_done;
    asker->lookup.owner = asker;
    assert_int_equal(
        resolver_lookup(net->resolver, span_of(host), 8080, family, &asker->lookup), 0);
    assert_int_equal(asker->n_done, 0); /* never from inside */
}

static void wait_for(struct net *net, const struct asker *asker, int n_done)
{
    while (asker->n_done < n_done)
        assert_int_equal(loop_turn(net->loop, true), 0);
}

static void test_a_name_is_looked_up_on_a_thread_and_gets_its_port(void **state)
{
    struct net *net = *state;
    struct asker asker = {0};
    char text[ADDRESS_TEXT_MAX];

    ask(net, &asker, "example.com", AF_UNSPEC);
    assert_true(resolver_is_looking_up(&asker.lookup));
    wait_for(net, &asker, 1);
    assert_int_equal(asker.n_found, 2);
    assert_string_equal(address_format(&asker.first, text), "192.0.2.1:8080");
}

static void test_literals_and_localhost_need_no_thread(void **state)
{
    struct net *net = *state;
    static const struct {
        const char *host;
        int family;
        size_t n;
        const char *first;
    } rows[] = {
        {"127.0.0.1", AF_UNSPEC, 1, "127.0.0.1:8080"},
        {"[::1]", AF_UNSPEC, 1, "[::1]:8080"},
        {"::1", AF_INET6, 1, "[::1]:8080"},
        {"localhost", AF_UNSPEC, 2, "[::1]:8080"},
        {"LOCALHOST.", AF_INET, 1, "127.0.0.1:8080"},
        {"a.b.localhost", AF_INET6, 1, "[::1]:8080"},
        {"127.0.0.1", AF_INET6, 0, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct asker asker = {0};
        char text[ADDRESS_TEXT_MAX];

        ask(net, &asker, rows[i].host, rows[i].family);
        wait_for(net, &asker, 1);
        assert_int_equal(asker.n_found, rows[i].n);
        if (rows[i].first)
            assert_string_equal(address_format(&asker.first, text), rows[i].first);
        else
            assert_int_equal(asker.why.code, -EAI_ADDRFAMILY);
    }
    assert_int_equal(atomic_load(&n_asked), 0);
}

static void test_what_cannot_be_a_host_is_a_dns_failure_without_a_query(void **state)
{
    struct net *net = *state;
    char long_name[256];
    const struct span rows[] = {
        {"", 0}, {".", 1}, {"a\0b", 3}, {long_name, 254}, {long_name, sizeof(long_name)}};

    memset(long_name, 'a', sizeof(long_name));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct asker asker = {0};

        asker.lookup.on_done = asker_on_done;
        asker.lookup.owner = &asker;
        assert_int_equal(resolver_lookup(net->resolver, rows[i], 80, AF_UNSPEC, &asker.lookup),
                         0);
        wait_for(net, &asker, 1);
        assert_int_equal(asker.why.kind, FAILURE_DNS);
        assert_int_equal(asker.why.phase, PHASE_DNS);
    }
    assert_int_equal(atomic_load(&n_asked), 0);
}

static void test_equal_lookups_share_one_query_and_other_families_do_not(void **state)
{
    struct net *net = *state;
    struct asker askers[5] = {0};
    struct asker other = {0};

    set_gate(false);
    for (int i = 0; i < 5; i++)
        ask(net, &askers[i], i % 2 ? "Example.COM" : "example.com", AF_UNSPEC);
    ask(net, &other, "example.com", AF_INET6);
    set_gate(true);
    for (int i = 0; i < 5; i++) {
        wait_for(net, &askers[i], 1);
        assert_int_equal(askers[i].n_found, 2);
    }
    wait_for(net, &other, 1);
    assert_int_equal(address_family(&other.first), AF_INET6);
    assert_int_equal(atomic_load(&n_asked), 2);
}

static void test_answers_are_kept_for_seconds_and_failures_not_at_all(void **state)
{
    struct net *net = *state;
    struct asker asker = {0};

    ask(net, &asker, "example.com", AF_UNSPEC);
    wait_for(net, &asker, 1);
    fake_clock_advance_ms(&net->clock, 4900);
    assert_int_equal(loop_turn(net->loop, false), 0); /* lets the loop see the clock */
    asker.n_done = 0;
    ask(net, &asker, "example.com", AF_UNSPEC);
    wait_for(net, &asker, 1);
    assert_int_equal(asker.n_found, 2);
    assert_int_equal(atomic_load(&n_asked), 1);

    fake_clock_advance_ms(&net->clock, 200);
    assert_int_equal(loop_turn(net->loop, false), 0);
    atomic_store(&answer_code, EAI_NONAME);
    for (int i = 2; i < 4; i++) {
        asker.n_done = 0;
        ask(net, &asker, "example.com", AF_UNSPEC);
        wait_for(net, &asker, 1);
        assert_int_equal(asker.n_found, 0);
        assert_int_equal(atomic_load(&n_asked), i);
    }
    atomic_store(&answer_code, 0);
    asker.n_done = 0;
    ask(net, &asker, "example.com", AF_UNSPEC);
    wait_for(net, &asker, 1);
    resolver_flush(net->resolver);
    asker.n_done = 0;
    ask(net, &asker, "example.com", AF_UNSPEC);
    wait_for(net, &asker, 1);
    assert_int_equal(atomic_load(&n_asked), 5);
}

static void test_the_oldest_kept_answer_goes_when_there_are_too_many(void **state)
{
    struct net *net = *state;
    static const char *const hosts[] = {"a.test", "b.test", "c.test",
                                        "c.test", "b.test", "a.test"};
    static const int asked[] = {1, 2, 3, 3, 3, 4}; /* room for two */

    for (size_t i = 0; i < 6; i++) {
        struct asker asker = {0};

        ask(net, &asker, hosts[i], AF_UNSPEC);
        wait_for(net, &asker, 1);
        assert_int_equal(atomic_load(&n_asked), asked[i]);
    }
}

static void test_the_number_of_addresses_is_bounded(void **state)
{
    struct net *net = *state;
    struct asker asker = {0};

    atomic_store(&n_answers, 1000);
    ask(net, &asker, "many.test", AF_UNSPEC);
    wait_for(net, &asker, 1);
    assert_int_equal(asker.n_found, RESOLVER_ADDRESSES_MAX);
}

static void test_too_many_names_at_once_are_refused(void **state)
{
    struct net *net = *state;
    static const char *const hosts[] = {"a.test", "b.test", "c.test", "d.test", "e.test"};
    struct asker askers[5] = {0};

    set_gate(false);
    for (int i = 0; i < 5; i++)
        ask(net, &askers[i], hosts[i], AF_UNSPEC);
    wait_for(net, &askers[4], 1);
    assert_int_equal(askers[4].why.code, -EAI_AGAIN);
    assert_int_equal(askers[0].n_done, 0);
    set_gate(true);
    for (int i = 0; i < 4; i++)
        wait_for(net, &askers[i], 1);
}

/* Nobody tells by the time what another one has asked. */
static void test_cd09_queries_and_kept_answers_are_their_users_own(void **state)
{
    struct net *net = *state;
    static const uint32_t uids[] = {1000, 1001, 1000, 1001};
    static const int n_asked_then[] = {1, 2, 2, 2};

    for (int i = 0; i < 4; i++) {
        struct asker asker = {.lookup.uid = uids[i]};

        ask(net, &asker, "example.com", AF_UNSPEC);
        wait_for(net, &asker, 1);
        assert_int_equal(asker.n_found, 2);
        assert_int_equal(atomic_load(&n_asked), n_asked_then[i]);
    }
}

static void test_a_user_with_too_many_queries_is_refused_and_nobody_else(void **state)
{
    static const char *const hosts[] = {"a.test", "b.test", "c.test", "d.test", "e.test"};
    struct net *net = *state;
    struct asker his[5] = {0};
    struct asker other = {.lookup.uid = 1001};

    set_gate(false);
    for (int i = 0; i < 5; i++) {
        his[i].lookup.uid = 1000;
        ask(net, &his[i], hosts[i], AF_UNSPEC);
    }
    wait_for(net, &his[4], 1);
    assert_int_equal(his[4].why.code, -EAI_AGAIN);
    assert_non_null(strstr(his[4].why.text, "this user has too many"));
    ask(net, &other, "a.test", AF_UNSPEC);
    while (atomic_load(&n_asked) < 3) /* two of his, for that is what he may; and the other's */
        sched_yield();
    set_gate(true);
    wait_for(net, &other, 1);
    assert_int_equal(other.n_found, 2);
    for (int i = 0; i < 4; i++) {
        wait_for(net, &his[i], 1);
        assert_int_equal(his[i].n_found, 2);
    }
    assert_int_equal(atomic_load(&n_asked), 5);
}

static void test_lb06_a_result_after_cancel_is_dropped(void **state)
{
    struct net *net = *state;
    struct asker cancelled = {0};
    struct asker later = {0};

    set_gate(false);
    ask(net, &cancelled, "example.com", AF_UNSPEC);
    while (atomic_load(&n_asked) == 0)
        sched_yield();
    resolver_cancel(&cancelled.lookup);
    resolver_cancel(&cancelled.lookup);         /* twice is once */
    ask(net, &later, "example.com", AF_UNSPEC); /* does not join what was cancelled */
    set_gate(true);
    wait_for(net, &later, 1);
    assert_int_equal(later.n_found, 2);
    assert_int_equal(cancelled.n_done, 0);
    assert_int_equal(atomic_load(&n_asked), 2);
}

static void test_lb06_cancel_works_queued_and_before_a_kept_or_literal_answer(void **state)
{
    struct net *net = *state;
    static const char *const hosts[] = {"example.com", "127.0.0.1", ""};
    struct asker first = {0};

    ask(net, &first, "example.com", AF_UNSPEC);
    wait_for(net, &first, 1);
    for (int i = 0; i < 3; i++) {
        struct asker asker = {0};

        ask(net, &asker, hosts[i], AF_UNSPEC);
        resolver_cancel(&asker.lookup);
        assert_int_equal(loop_turn(net->loop, false), 0);
        assert_int_equal(asker.n_done, 0);
    }
}

static void test_lb06_one_answer_may_cancel_another_and_ask_again(void **state)
{
    struct net *net = *state;
    struct asker first = {.asks = "example.com"};
    struct asker second = {0};
    struct asker third = {0};

    first.cancels = &second;
    set_gate(false);
    ask(net, &first, "example.com", AF_UNSPEC);
    ask(net, &second, "example.com", AF_UNSPEC);
    ask(net, &third, "example.com", AF_UNSPEC);
    set_gate(true);
    wait_for(net, &first, 2);
    assert_int_equal(second.n_done, 0);
    assert_int_equal(third.n_done, 1);
    assert_int_equal(atomic_load(&n_asked), 1);
}

static void test_failures_say_what_to_do(void **state)
{
    struct net *net = *state;
    static const struct {
        int code;
        enum failure_kind kind;
        const char *text;
    } rows[] = {
        {EAI_NONAME, FAILURE_DNS, "no such host: shop.test"},
        {EAI_AGAIN, FAILURE_DNS, "is the network up?"},
        {EAI_NODATA, FAILURE_DNS, "shop.test has no IPv4 address"},
        {EAI_SYSTEM, FAILURE_DNS, "Permission denied"},
        {EAI_MEMORY, FAILURE_INTERNAL, "memory"},
        {EAI_FAIL, FAILURE_DNS, "cannot look up shop.test: "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct asker asker = {0};

        atomic_store(&answer_code, rows[i].code);
        ask(net, &asker, "shop.test", AF_INET);
        wait_for(net, &asker, 1);
        assert_int_equal(asker.why.kind, rows[i].kind);
        assert_int_equal(asker.why.code, -rows[i].code);
        assert_int_equal(asker.why.phase, PHASE_DNS);
        assert_non_null(strstr(asker.why.text, rows[i].text));
    }
}

static void test_every_failed_allocation_of_a_lookup_is_survived(void **state)
{
    struct net *net = *state;
    bool done = false;

    for (uint64_t n = 1; !done; n++) {
        struct asker asker = {.net = net};

        asker.lookup.on_done = asker_on_done;
        asker.lookup.owner = &asker;
        resolver_flush(net->resolver);
        mem_fail_at(n);
        int r = resolver_lookup(net->resolver, span_of("example.com"), 80, AF_UNSPEC,
                                &asker.lookup);
        if (r == 0)
            wait_for(net, &asker, 1);
        else
            assert_int_equal(r, -ENOMEM);
        mem_fail_at(0);
        done = r == 0 && asker.n_found > 0;
        if (r == 0 && !done)
            assert_int_equal(asker.why.kind, FAILURE_INTERNAL);
    }
}

static void test_the_system_resolver_knows_this_machine(void **state)
{
    struct net *net = *state;
    struct resolver_options options = resolver_options_default();
    struct resolver *fake = net->resolver;
    struct asker asker = {0};

    /* No literal of ours, but one of inet_aton(3): no name server is asked. */
    assert_int_equal(resolver_new(&net->resolver, net->loop, &options), 0);
    ask(net, &asker, "127.1", AF_INET);
    wait_for(net, &asker, 1);
    assert_int_equal(asker.n_found, 1);
    assert_true(address_is_loopback(&asker.first));
    resolver_free(net->resolver);
    net->resolver = fake;
}

#define WITH_NET(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NET(test_a_name_is_looked_up_on_a_thread_and_gets_its_port),
        WITH_NET(test_literals_and_localhost_need_no_thread),
        WITH_NET(test_what_cannot_be_a_host_is_a_dns_failure_without_a_query),
        WITH_NET(test_equal_lookups_share_one_query_and_other_families_do_not),
        WITH_NET(test_answers_are_kept_for_seconds_and_failures_not_at_all),
        WITH_NET(test_the_oldest_kept_answer_goes_when_there_are_too_many),
        WITH_NET(test_the_number_of_addresses_is_bounded),
        WITH_NET(test_too_many_names_at_once_are_refused),
        WITH_NET(test_cd09_queries_and_kept_answers_are_their_users_own),
        WITH_NET(test_a_user_with_too_many_queries_is_refused_and_nobody_else),
        WITH_NET(test_lb06_a_result_after_cancel_is_dropped),
        WITH_NET(test_lb06_cancel_works_queued_and_before_a_kept_or_literal_answer),
        WITH_NET(test_lb06_one_answer_may_cancel_another_and_ask_again),
        WITH_NET(test_failures_say_what_to_do),
        WITH_NET(test_every_failed_allocation_of_a_lookup_is_survived),
        WITH_NET(test_the_system_resolver_knows_this_machine),
    };

    return cmocka_run_group_tests_name("net/resolver", tests, NULL, NULL);
}
