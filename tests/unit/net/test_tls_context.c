/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/worker.h"
#include "net/tls_context.h"
#include "support/test.h"
#include "support/tls_peer.h"

static char *pems[3];

static int make_certs(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct test_cert cert;

        test_cert_make(&cert, &(struct test_cert_spec){.common_name = "CA", .is_ca = true});
        pems[i] = test_cert_pem(&cert);
        test_cert_done(&cert);
    }
    log_set_level(LOG_LEVEL_ERR);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        mem_free(pems[i]);
    return 0;
}

struct net {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *workers;
    struct tls_contexts *contexts;
    char ca_file[32];
};

static void write_ca_file(struct net *net, const char *text)
{
    FILE *file = fopen(net->ca_file, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    struct tls_contexts_options options;

    assert_non_null(net);
    memcpy(net->ca_file, "/tmp/xhrd-ca-XXXXXX", 20);
    int fd = mkstemp(net->ca_file);
    assert_true(fd >= 0);
    close(fd);
    write_ca_file(net, pems[0]);
    options = (struct tls_contexts_options){.ca_file = net->ca_file, .contexts_max = 2};
    fake_clock_init(&net->clock, 0);
    assert_int_equal(loop_new(&net->loop, &net->clock.clock), 0);
    assert_int_equal(worker_pool_new(&net->workers, net->loop, 2), 0);
    assert_int_equal(tls_contexts_new(&net->contexts, net->loop, net->workers, &options), 0);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    worker_pool_free(net->workers);
    tls_contexts_free(net->contexts);
    loop_free(net->loop);
    unlink(net->ca_file);
    free(net);
    return 0;
}

struct waiter {
    struct tls_context_wait wait;
    struct tls_context *context; /* referenced */
    struct failure why;
    int n_done;
};

static void waiter_on_done(void *owner, struct tls_context *context, const struct failure *why)
{
    struct waiter *waiter = owner;

    waiter->n_done++;
    assert_true((context == NULL) == (why != NULL));
    if (context)
        waiter->context = tls_context_ref(context);
    else
        waiter->why = *why;
}

static int get(struct net *net, struct waiter *waiter, struct tls_config config)
{
    *waiter = (struct waiter){.wait = {.on_done = waiter_on_done, .owner = waiter}};
    int r = tls_contexts_get(net->contexts, &config, &waiter->wait);
    assert_int_equal(waiter->n_done, 0); /* never from inside */
    return r;
}

static void wait_for(struct net *net, struct waiter *waiter)
{
    while (waiter->n_done == 0)
        assert_int_equal(loop_turn(net->loop, true), 0);
    assert_int_equal(waiter->n_done, 1);
}

static void get_ok(struct net *net, struct waiter *waiter, struct tls_config config)
{
    assert_int_equal(get(net, waiter, config), 0);
    wait_for(net, waiter);
    if (!waiter->context)
        print_message("%s\n", waiter->why.text);
    assert_non_null(waiter->context);
}

static bool digest_eq(const struct tls_digest *a, const struct tls_digest *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static int n_trusted(const struct tls_context *context)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls_context_ssl_ctx(context));

    return sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
}

static void test_every_field_counts_in_the_digest_and_defaults_are_written_out(void **state)
{
    const struct tls_config rows[] = {
        {0},
        {.insecure = true},
        {.ca_pem = SPAN_LIT("a")},
        {.ca_pem = SPAN_LIT("b")},
        {.min_version = TLS_VERSION_1_3},
        {.max_version = TLS_VERSION_1_2},
    };
    const struct tls_config spelled = {.min_version = TLS_VERSION_1_2,
                                       .max_version = TLS_VERSION_1_3};
    struct tls_digest digests[6];
    struct tls_digest same;

    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(tls_config_digest(&rows[i], &digests[i]), 0);
        for (int j = 0; j < i; j++)
            assert_false(digest_eq(&digests[i], &digests[j]));
    }
    assert_int_equal(tls_config_digest(&spelled, &same), 0);
    assert_true(digest_eq(&same, &digests[0]));
}

static void test_equal_configurations_share_one_context(void **state)
{
    struct net *net = *state;
    struct waiter waiters[4];

    for (int i = 0; i < 3; i++) /* while it is being made */
        assert_int_equal(get(net, &waiters[i], (struct tls_config){0}), 0);
    for (int i = 0; i < 3; i++)
        wait_for(net, &waiters[i]);
    get_ok(net, &waiters[3], (struct tls_config){0}); /* afterwards */
    for (int i = 0; i < 4; i++) {
        assert_ptr_equal(waiters[i].context, waiters[0].context);
        assert_int_equal(n_trusted(waiters[i].context), 1);
        tls_context_unref(waiters[i].context);
    }
}

static void test_an_own_bundle_replaces_the_system_store(void **state)
{
    struct net *net = *state;
    CLEANUP_MEM char *two = mem_format("some text\n%s\n%s", pems[1], pems[2]);
    struct waiter system;
    struct waiter own;
    struct waiter insecure;

    assert_non_null(two);
    get_ok(net, &system, (struct tls_config){0});
    get_ok(net, &own, (struct tls_config){.ca_pem = span_of(two)});
    get_ok(net, &insecure, (struct tls_config){.insecure = true});
    assert_int_equal(n_trusted(system.context), 1);
    assert_int_equal(n_trusted(own.context), 2);
    assert_int_equal(n_trusted(insecure.context), 1); /* for the verify result that is told */
    assert_false(tls_context_is_insecure(own.context));
    assert_true(tls_context_is_insecure(insecure.context));
    assert_false(
        digest_eq(tls_context_digest(system.context), tls_context_digest(own.context)));
    tls_context_unref(system.context);
    tls_context_unref(own.context);
    tls_context_unref(insecure.context);
}

static void test_what_cannot_be_is_refused_at_once(void **state)
{
    struct net *net = *state;
    struct waiter waiter;
    const struct tls_config rows[] = {
        {.min_version = 0x0300},
        {.max_version = TLS_VERSION_1_1}, /* below the default minimum */
        {.max_version = 0x0305},
        {.min_version = TLS_VERSION_1_3, .max_version = TLS_VERSION_1_2},
        {.ca_pem = {"", TLS_CA_PEM_MAX_BYTES + 1}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(get(net, &waiter, rows[i]), -EINVAL);
}

static void
test_a_bundle_without_certificates_or_with_a_broken_one_is_an_argument_error(void **state)
{
    struct net *net = *state;
    CLEANUP_MEM char *broken = mem_format("%s%s", pems[1], pems[2]);
    const char *rows[3] = {"no PEM at all",
                           "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};

    assert_non_null(broken);
    broken[strlen(pems[1]) + 60] = '!'; /* inside the second */
    rows[2] = broken;
    for (int i = 0; i < 3; i++) {
        struct waiter waiter;

        assert_int_equal(get(net, &waiter, (struct tls_config){.ca_pem = span_of(rows[i])}), 0);
        wait_for(net, &waiter);
        assert_null(waiter.context);
        assert_int_equal(waiter.why.kind, FAILURE_ARGUMENT);
        assert_non_null(strstr(waiter.why.text, "is it PEM?"));
    }
}

static void test_the_system_file_may_have_a_broken_entry_but_not_be_missing(void **state)
{
    struct net *net = *state;
    CLEANUP_MEM char *mixed =
        mem_format("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n%s", pems[0]);
    struct waiter waiter;

    assert_non_null(mixed);
    write_ca_file(net, mixed);
    get_ok(net, &waiter, (struct tls_config){0});
    assert_int_equal(n_trusted(waiter.context), 1);
    tls_context_unref(waiter.context);

    tls_contexts_reload(net->contexts);
    write_ca_file(net, "");
    assert_int_equal(get(net, &waiter, (struct tls_config){0}), 0);
    wait_for(net, &waiter);
    assert_int_equal(waiter.why.kind, FAILURE_TLS_VERIFY);
    assert_non_null(strstr(waiter.why.text, "install ca-certificates"));

    unlink(net->ca_file);
    assert_int_equal(get(net, &waiter, (struct tls_config){0}), 0); /* failures are not kept */
    wait_for(net, &waiter);
    assert_int_equal(waiter.why.sys_errno, ENOENT);
    assert_int_equal(waiter.why.phase, PHASE_TLS);
    get_ok(net, &waiter, (struct tls_config){.insecure = true}); /* needs no file */
    tls_context_unref(waiter.context);
}

static size_t trusted_now(struct net *net)
{
    struct waiter waiter;

    get_ok(net, &waiter, (struct tls_config){0});
    size_t n = (size_t)n_trusted(waiter.context);
    tls_context_unref(waiter.context);
    return n;
}

static void pass_ms(struct net *net, int64_t ms)
{
    fake_clock_advance_ms(&net->clock, ms);
    assert_int_equal(loop_turn(net->loop, false), 0);
}

static void test_tv17_a_file_that_changed_is_read_anew_within_a_second(void **state)
{
    struct net *net = *state;
    CLEANUP_MEM char *two = mem_format("%s%s", pems[1], pems[2]);

    assert_non_null(two);
    pass_ms(net, 5000);
    assert_int_equal(trusted_now(net), 1);
    assert_int_equal(trusted_now(net), 1); /* looked at, and the same */
    write_ca_file(net, two);
    assert_int_equal(trusted_now(net), 1); /* not twice in a second */
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 2);
    unlink(net->ca_file); /* somebody is about to replace it */
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 2);
    write_ca_file(net, "");
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 2);
    write_ca_file(net, "no certificate at all");
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 2);
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 2);
    write_ca_file(net, pems[0]);
    pass_ms(net, 1000);
    assert_int_equal(trusted_now(net), 1);
}

static void test_tv17_after_a_reload_new_contexts_trust_the_new_file(void **state)
{
    struct net *net = *state;
    CLEANUP_MEM char *two = mem_format("%s%s", pems[1], pems[2]);
    struct waiter old;
    struct waiter during;
    struct waiter new;
    struct waiter capped;

    assert_non_null(two);
    get_ok(net, &old, (struct tls_config){0});
    write_ca_file(net, two);
    assert_int_equal(get(net, &during, (struct tls_config){.min_version = 0x0304}), 0);
    tls_contexts_reload(net->contexts);
    get_ok(net, &new, (struct tls_config){0});
    wait_for(net, &during);
    get_ok(net, &capped, (struct tls_config){.min_version = 0x0304});
    assert_int_equal(n_trusted(old.context), 1); /* who has it keeps it */
    assert_int_equal(n_trusted(during.context), 1);
    assert_int_equal(n_trusted(new.context), 2);
    assert_int_equal(n_trusted(capped.context), 2); /* not the one begun before */
    assert_false(digest_eq(tls_context_digest(old.context), tls_context_digest(new.context)));
    tls_context_unref(old.context);
    tls_context_unref(during.context);
    tls_context_unref(new.context);
    tls_context_unref(capped.context);
}

static void test_the_longest_unused_context_goes_when_there_are_too_many(void **state)
{
    struct net *net = *state;
    const struct tls_config configs[] = {
        {.insecure = true}, {.min_version = TLS_VERSION_1_3}, {.max_version = TLS_VERSION_1_2}};
    static const int order[] = {0, 1, 0, 2, 0, 1}; /* room for two */
    static const bool anew[] = {1, 1, 0, 1, 0, 1};
    struct tls_context *last[3] = {0};

    for (size_t i = 0; i < 6; i++) {
        struct waiter waiter;
        int which = order[i];

        get_ok(net, &waiter, configs[which]);
        assert_int_equal(waiter.context != last[which], anew[i]);
        tls_context_unref(last[which]); /* only now: no address comes twice */
        last[which] = waiter.context;
    }
    for (int i = 0; i < 3; i++)
        tls_context_unref(last[i]);
}

static void test_lb06_a_cancelled_wait_is_not_told(void **state)
{
    struct net *net = *state;
    struct waiter cancelled;
    struct waiter other;

    assert_int_equal(get(net, &cancelled, (struct tls_config){0}), 0);
    assert_int_equal(get(net, &other, (struct tls_config){0}), 0);
    tls_contexts_cancel(&cancelled.wait);
    tls_contexts_cancel(&cancelled.wait);
    wait_for(net, &other);
    tls_context_unref(other.context);
    assert_int_equal(cancelled.n_done, 0);
    assert_int_equal(get(net, &cancelled, (struct tls_config){0}), 0); /* made already */
    tls_contexts_cancel(&cancelled.wait);
    assert_int_equal(loop_turn(net->loop, false), 0);
    assert_int_equal(cancelled.n_done, 0);
}

static void test_who_waits_at_the_end_is_told_that_it_is_the_end(void **state)
{
    struct net *net = *state;
    struct waiter waiters[20];

    for (unsigned i = 0; i < 20; i++) {
        CLEANUP_MEM char *pem = mem_format("%s# %u\n", pems[0], i);

        assert_non_null(pem);
        assert_int_equal(get(net, &waiters[i], (struct tls_config){.ca_pem = span_of(pem)}), 0);
    }
    net->workers = worker_pool_free(net->workers);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(waiters[i].n_done, 1);
        if (waiters[i].context)
            tls_context_unref(waiters[i].context);
        else
            assert_int_equal(waiters[i].why.kind, FAILURE_SHUTDOWN);
    }
}

static void test_every_failed_allocation_of_a_context_is_survived(void **state)
{
    struct net *net = *state;
    bool clean = false;

    for (uint64_t n = 1; !clean; n++) {
        struct waiter waiter;
        int r;

        tls_contexts_reload(net->contexts);
        mem_fail_at(n);
        r = get(net, &waiter, (struct tls_config){.ca_pem = span_of(pems[1])});
        if (r == 0)
            wait_for(net, &waiter);
        clean = mem_alloc_count() < n;
        mem_fail_at(0);
        if (r < 0)
            assert_int_equal(r, -ENOMEM);
        else if (waiter.context)
            tls_context_unref(waiter.context);
        else
            assert_int_equal(waiter.why.kind, FAILURE_INTERNAL);
    }
}

static void test_this_systems_own_store_can_be_read(void **state)
{
    struct net *net = *state;
    struct tls_contexts_options options = tls_contexts_options_default();
    struct tls_contexts *mine = net->contexts;
    struct waiter waiter;

    if (access(options.ca_file, R_OK) < 0)
        skip();
    assert_int_equal(setenv("SSL_CERT_FILE", net->ca_file, 1), 0); /* must not matter */
    assert_int_equal(tls_contexts_new(&net->contexts, net->loop, net->workers, &options), 0);
    get_ok(net, &waiter, (struct tls_config){0});
    assert_true(n_trusted(waiter.context) > 20);
    tls_context_unref(waiter.context);
    tls_contexts_free(net->contexts);
    net->contexts = mine;
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

#define WITH_NET(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_counts_in_the_digest_and_defaults_are_written_out),
        WITH_NET(test_equal_configurations_share_one_context),
        WITH_NET(test_an_own_bundle_replaces_the_system_store),
        WITH_NET(test_what_cannot_be_is_refused_at_once),
        WITH_NET(test_a_bundle_without_certificates_or_with_a_broken_one_is_an_argument_error),
        WITH_NET(test_the_system_file_may_have_a_broken_entry_but_not_be_missing),
        WITH_NET(test_tv17_a_file_that_changed_is_read_anew_within_a_second),
        WITH_NET(test_tv17_after_a_reload_new_contexts_trust_the_new_file),
        WITH_NET(test_the_longest_unused_context_goes_when_there_are_too_many),
        WITH_NET(test_lb06_a_cancelled_wait_is_not_told),
        WITH_NET(test_who_waits_at_the_end_is_told_that_it_is_the_end),
        WITH_NET(test_every_failed_allocation_of_a_context_is_survived),
        WITH_NET(test_this_systems_own_store_can_be_read),
    };

    return cmocka_run_group_tests_name("net/tls_context", tests, make_certs, drop_certs);
}
