/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "policy/access_rules.h"
#include "support/test.h"

#define LINES_MAX 12

/* "User ann|AllowHosts=a b": a line of a section. */
static struct access_policy *policy_of(const char *const lines[LINES_MAX])
{
    struct access_policy *policy;

    assert_int_equal(access_policy_new(&policy, "/etc/xhrd/xhrd.conf"), 0);
    for (unsigned i = 0; i < LINES_MAX && lines[i]; i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);
        struct span value = span_of(lines[i]);
        struct span section;
        struct span key;
        struct access_section *into;
        enum access_key rule;
        char name[32] = "";

        assert_true(span_split(&value, '|', &section));
        assert_true(span_split(&value, '=', &key));
        memcpy(name, key.ptr, key.len);
        assert_true(access_key_find(name, &rule));
        enum access_scope scope = span_starts_with(section, SPAN_LIT("User")) ? ACCESS_USER
                                  : span_starts_with(section, SPAN_LIT("Group"))
                                      ? ACCESS_GROUP
                                      : ACCESS_EVERYBODY;
        struct span whose = section;
        (void)span_split(&whose, ' ', &section);
        assert_int_equal(access_policy_section(policy, scope, whose, i + 1, &into), 0);
        assert_int_equal(access_section_set(into, rule, value.ptr, i + 1, &error), 0);
    }
    access_policy_compile(policy);
    return policy;
}

static const struct access_group staff = {50, "staff"};
static const struct access_person ann = {1000, "ann", &staff, 1};
static const struct access_person bob = {1001, "bob", NULL, 0};

static bool allows(const struct access_policy *policy,
                   const struct access_person *who,
                   const char *host,
                   struct access_step *ret)
{
    struct access_view view;

    assert_int_equal(access_view_init(&view, policy, who), 0);
    bool may = access_allows_host(&view, ACCESS_ABOUT_HOST, span_of(host), 443, NULL, ret);
    access_view_done(&view);
    return may;
}

static void test_users_go_before_groups_and_groups_before_everybody(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "Policy|DenyHosts=*", "Group staff|AllowHosts=a.example b.example",
        "User 1000|DenyHosts=a.example", "User ann|AllowHosts=c.example"};
    struct access_policy *policy = policy_of(lines);
    struct access_step step;

    (void)state;
    assert_false(allows(policy, &ann, "a.example", &step));
    assert_int_equal(step.line, 3);
    assert_true(allows(policy, &ann, "c.example", &step));
    assert_int_equal(step.line, 4);
    assert_false(allows(policy, &ann, "b.example", &step)); /* not in ann's own list */
    assert_int_equal(step.key, ACCESS_ALLOW_HOSTS);
    assert_int_equal(step.line, 4);
    assert_false(allows(policy, &bob, "b.example", &step));
    assert_int_equal(step.line, 1);
    access_policy_free(policy);
}

static void test_groups_are_asked_in_the_order_of_the_file(void **state)
{
    static const struct access_group two[] = {{1, "one"}, {2, "two"}};
    static const struct access_person eve = {7, "", two, 2};
    static const char *const orders[2][LINES_MAX] = {
        {"Group 2|AllowHosts=a", "Group one|DenyHosts=a"},
        {"Group one|DenyHosts=a", "Group 2|AllowHosts=a"}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct access_policy *policy = policy_of(orders[i]);
        struct access_step step;

        assert_int_equal(allows(policy, &eve, "a", &step), i == 0);
        access_policy_free(policy);
    }
}

static void test_deny_goes_before_allow_in_one_section_and_silence_goes_on(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "User ann|AllowHosts=*.example", "User ann|DenyHosts=bad.example",
        "Group staff|DenyHosts=*.org", "Policy|DenyHosts=*.net"};
    struct access_policy *policy = policy_of(lines);
    struct access_step step;

    (void)state;
    assert_false(allows(policy, &ann, "bad.example", &step));
    assert_true(allows(policy, &ann, "good.example", &step));
    assert_false(allows(policy, &ann, "a.org", &step));
    assert_int_equal(step.line, 1); /* the Allow list does not name it */
    assert_true(allows(policy, &bob, "a.org", &step));
    assert_null(step.section);
    assert_false(allows(policy, &bob, "a.net", &step));
    access_policy_free(policy);
}

static void test_an_empty_line_begins_a_list_anew(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "Policy|DenyHosts=a b", "Policy|DenyHosts=",        "Policy|DenyHosts=c",
        "Policy|AllowPorts=1",  "Policy|AllowPorts=",       "Policy|AllowMethods=GET",
        "Policy|AllowMethods=", "Policy|DenyNetworks=::/0", "Policy|DenyNetworks=",
        "Policy|AllowUsers=x",  "Policy|AllowUsers="};
    struct access_policy *policy = policy_of(lines);
    struct access_view view;
    struct access_step step;

    (void)state;
    assert_true(allows(policy, &bob, "a", &step));
    assert_false(allows(policy, &bob, "c", &step));
    assert_int_equal(step.line, 3);
    assert_int_equal(access_view_init(&view, policy, &bob), 0);
    assert_true(access_allows_port(&view, 2, NULL, &step));
    assert_true(access_allows_method(&view, SPAN_LIT("PUT"), NULL, &step));
    assert_int_equal(view.n_networks, 0);
    assert_null(access_policy_keeps_out(policy, &bob));
    access_view_done(&view);
    access_policy_free(policy);
}

static void test_ports_methods_and_insecure_are_the_first_sections_that_has_them(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "Policy|AllowPorts=443",          "Policy|AllowMethods=GET",
        "Policy|AllowInsecure=no",        "User ann|AllowPorts=80 8000-8001",
        "User ann|AllowMethods=POST PUT", "User ann|AllowInsecure=yes"};
    static const uint16_t ports[] = {80, 8000, 8001, 79, 81, 7999, 8002, 443};
    struct access_policy *policy = policy_of(lines);
    struct access_view view;
    struct access_step step;

    (void)state;
    assert_int_equal(access_view_init(&view, policy, &ann), 0);
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        assert_int_equal(access_allows_port(&view, ports[i], NULL, &step), i < 3);
    assert_true(access_allows_method(&view, SPAN_LIT("PUT"), NULL, &step));
    assert_false(access_allows_method(&view, SPAN_LIT("GET"), NULL, &step));
    assert_false(access_allows_method(&view, SPAN_LIT("post"), NULL, &step));
    assert_true(access_allows_insecure(&view, NULL, &step));
    access_view_done(&view);
    assert_int_equal(access_view_init(&view, policy, &bob), 0);
    assert_true(access_allows_method(&view, SPAN_LIT("GET"), NULL, &step));
    assert_false(access_allows_insecure(&view, NULL, &step));
    assert_int_equal(step.line, 3);
    access_view_done(&view);
    access_policy_free(policy);
}

static const struct access_network *judge(const struct access_view *view, const char *address)
{
    struct access_network one = {.bits = 0};

    assert_int_equal(access_network_parse(span_of(address), &one), 0);
    return access_networks_refuse(view->networks, view->n_networks,
                                  (const uint8_t(*)[ACCESS_ADDRESS_BYTES])one.bytes, 1);
}

static void test_networks_are_flattened_in_the_order_of_asking(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "Policy|DenyNetworks=10.0.0.0/8", "User ann|AllowNetworks=10.1.0.0/16 192.0.2.0/25",
        "User ann|DenyNetworks=10.1.2.3", "Group staff|DenyNetworks=192.0.2.1"};
    struct access_policy *policy = policy_of(lines);
    struct access_view view;

    (void)state;
    assert_int_equal(access_view_init(&view, policy, &ann), 0);
    assert_int_equal(judge(&view, "10.1.2.3")->line, 3);
    assert_null(judge(&view, "10.1.2.4"));
    assert_null(judge(&view, "192.0.2.1")); /* ann's own list has spoken */
    assert_true(judge(&view, "192.0.2.128")->is_rest);
    assert_int_equal(judge(&view, "2001:db8::1")->line, 2);
    access_view_done(&view);
    assert_int_equal(access_view_init(&view, policy, &bob), 0);
    assert_int_equal(judge(&view, "10.1.2.4")->line, 1);
    assert_null(judge(&view, "11.0.0.0"));
    assert_null(judge(&view, "9.255.255.255"));
    access_view_done(&view);
    access_policy_free(policy);
}

static void test_networks_have_borders(void **state)
{
    static const char *const wrong[] = {"",          "localhost",   "10.0.0.0/33",
                                        "::/129",    "1.2.3",       "10.0.0.",
                                        "10.0.0.0/", "10.0.0.0/-1", "fe80::%1/10"};
    struct access_network network = {.bits = 9};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(access_network_parse(span_of(wrong[i]), &network), -EINVAL);
    assert_int_equal(network.bits, 9);
    assert_int_equal(access_network_parse(SPAN_LIT("0.0.0.0/0"), &network), 0);
    assert_int_equal(network.bits, 96);
    assert_int_equal(access_network_parse(SPAN_LIT("[::1]"), &network), 0);
    assert_int_equal(network.bits, 128);
}

static void test_cd05_who_is_served(void **state)
{
    static const struct access_person root = {0, "root", NULL, 0};
    static const char *const rows[][LINES_MAX] = {
        {"Policy|DenyUsers=ann"},
        {"Policy|AllowUsers=1001"},
        {"Policy|AllowGroups=staff"},
        {"Policy|DenyGroups=50"},
        {"Policy|AllowGroups=staff", "Policy|AllowUsers=bob"},
        {"Policy|DenyUsers=root"}};
    static const char *const kept_out[][3] = {
        {"DenyUsers=", NULL, NULL},  {"AllowUsers=", NULL, NULL}, {NULL, "AllowGroups=", NULL},
        {"DenyGroups=", NULL, NULL}, {NULL, NULL, NULL},          {NULL, NULL, "DenyUsers="}};
    const struct access_person *const people[] = {&ann, &bob, &root};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct access_policy *policy = policy_of(rows[i]);

        for (int k = 0; k < 3; k++) {
            const char *by = access_policy_keeps_out(policy, people[k]);

            if (kept_out[i][k])
                assert_string_equal(by, kept_out[i][k]);
            else
                assert_null(by);
        }
        access_policy_free(policy);
    }
}

static void test_names_are_wanted_only_where_a_rule_goes_by_one(void **state)
{
    static const char *const by_number[LINES_MAX] = {"User 1|DenyHosts=*",
                                                     "Policy|AllowUsers=2"};
    static const char *const by_name[][LINES_MAX] = {{"Group staff|DenyHosts=*"},
                                                     {"Policy|DenyGroups=staff"}};
    struct access_policy *policy = policy_of(by_number);

    (void)state;
    assert_false(access_policy_wants_names(policy));
    access_policy_free(policy);
    for (int i = 0; i < 2; i++) {
        policy = policy_of(by_name[i]);
        assert_true(access_policy_wants_names(policy));
        access_policy_free(policy);
    }
}

static void test_a_person_without_a_name_is_in_no_section_of_a_name(void **state)
{
    static const struct access_group nameless = {9, ""};
    static const struct access_person nobody = {1000, "", &nameless, 1};
    static const char *const lines[LINES_MAX] = {"User ann|DenyHosts=*",
                                                 "Group staff|DenyHosts=*"};
    struct access_policy *policy = policy_of(lines);
    struct access_step step;

    (void)state;
    assert_true(allows(policy, &nobody, "a", &step));
    access_policy_free(policy);
}

static void test_an_explanation_names_rule_section_line_and_what_would_allow_it(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "User ann|AllowHosts=a", "Group 50|DenyHosts=b", "Policy|AllowInsecure=no"};
    struct access_policy *policy = policy_of(lines);
    struct access_step step;

    (void)state;
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    char name[260];
    memset(name, 'x', sizeof(name));
    name[253] = '\0';
    assert_false(allows(policy, &ann, name, &step));
    assert_int_equal(access_step_explain(&step, &text), 0);
    const char *said = buf_c_str(&text);
    assert_non_null(strstr(said, "AllowHosts= of [User ann], line 1; to be allowed"));
    assert_true(text.len < 160); /* FAILURE_TEXT_MAX */
    access_policy_free(policy);
}

static void count_step(void *owner, const struct access_step *step)
{
    unsigned *counts = owner;

    counts[step->word]++;
}

static void test_a_listener_hears_every_section_with_a_list(void **state)
{
    static const char *const lines[LINES_MAX] = {
        "User ann|DenyHosts=x", "User ann|AllowPorts=1", "Group staff|DenyHosts=y",
        "Policy|DenyHosts=a"};
    struct access_policy *policy = policy_of(lines);
    unsigned counts[3] = {0};
    struct access_listener listener = {count_step, counts};
    struct access_view view;
    struct access_step step;

    (void)state;
    assert_int_equal(access_view_init(&view, policy, &ann), 0);
    assert_false(
        access_allows_host(&view, ACCESS_ABOUT_HOST, SPAN_LIT("a"), 1, &listener, &step));
    assert_int_equal(counts[ACCESS_SILENT], 2);
    assert_int_equal(counts[ACCESS_REFUSES], 1);
    assert_true(
        access_allows_host(&view, ACCESS_ABOUT_HOST, SPAN_LIT("b"), 1, &listener, &step));
    assert_int_equal(counts[ACCESS_SILENT], 5);
    assert_int_equal(counts[ACCESS_ALLOWS], 1); /* that nobody is against it */
    access_view_done(&view);
    access_policy_free(policy);
}

static void test_a_credential_is_for_one_host_over_https(void **state)
{
    static const char *const wrong[] = {"*.a.example bearer /x", "* bearer /x",
                                        "a.example Bearer /x",   "a.example bearer",
                                        "a.example bearer a/b",  "a.example bearer ../x",
                                        "a.example:0 basic /x",  "bearer /x"};
    struct access_policy *policy;
    struct access_section *section;
    struct access_view view;

    (void)state;
    assert_int_equal(access_policy_new(&policy, NULL), 0);
    assert_int_equal(access_policy_section(policy, ACCESS_USER, SPAN_LIT("ann"), 1, &section),
                     0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CLEANUP_BUF struct buf error = BUF_INIT(0);

        assert_int_equal(access_section_set(section, ACCESS_CREDENTIAL, wrong[i], 1, &error),
                         -EINVAL);
    }
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    assert_int_equal(access_section_set(section, ACCESS_CREDENTIAL,
                                        "A.example:8443 bearer token", 7, &error),
                     0);
    assert_int_equal(access_view_init(&view, policy, &ann), 0);
    struct origin origin = {.port = 8443, .is_https = true, .host = "a.example"};
    assert_null(access_view_credential(&view, &origin)); /* not read yet */
    assert_int_equal(access_credential_take(&section->credentials[0], SPAN_LIT("t0k\n\n")), 0);
    const struct access_credential *found = access_view_credential(&view, &origin);
    assert_string_equal(found->value, "Bearer t0k");
    assert_int_equal(found->line, 7);
    origin.port = 443;
    assert_null(access_view_credential(&view, &origin));
    origin = (struct origin){.port = 8443, .is_https = false, .host = "a.example"};
    assert_null(access_view_credential(&view, &origin));
    origin = (struct origin){.port = 8443, .is_https = true, .host = "b.a.example"};
    assert_null(access_view_credential(&view, &origin));
    access_view_done(&view);
    assert_int_equal(access_view_init(&view, policy, &bob), 0);
    origin = (struct origin){.port = 8443, .is_https = true, .host = "a.example"};
    assert_null(access_view_credential(&view, &origin));
    access_view_done(&view);
    access_policy_free(policy);
}

static void test_what_a_credentials_file_may_hold_and_what_must_not_come_back(void **state)
{
    static const struct {
        bool is_basic;
        const char *bytes;
        const char *value; /* NULL: refused */
        const char *told;
    } rows[] = {
        {false, "token", "Bearer token", "x=token;"},
        {false, "to ken", NULL, NULL},
        {false, "", NULL, NULL},
        {false, "\n", NULL, NULL},
        {true, "u:pass\r\n", "Basic dTpwYXNz", "dTpwYXNz"},
        {true, "u:pass", "Basic dTpwYXNz", "my pass word"},
        {true, "no colon", NULL, NULL},
        {true, "u:pa\nss", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct access_credential credential = {.is_basic = rows[i].is_basic};
        int r = access_credential_take(&credential, span_of(rows[i].bytes));

        assert_int_equal(r, rows[i].value ? 0 : -EINVAL);
        if (r < 0)
            continue;
        struct span secrets = {credential.secrets, credential.secrets_len};
        assert_string_equal(credential.value, rows[i].value);
        assert_true(access_secrets_are_in(secrets, span_of(rows[i].told)));
        assert_false(access_secrets_are_in(secrets, SPAN_LIT("nothing of it")));
        assert_false(access_secrets_are_in(secrets, SPAN_LIT("")));
        mem_free(credential.value);
        mem_free(credential.secrets);
    }
}

static int build(struct access_policy **ret)
{
    CLEANUP_BUF struct buf error = BUF_INIT(0);
    static const struct {
        enum access_key key;
        const char *value;
    } rows[] = {{ACCESS_ALLOW_HOSTS, "a"},
                {ACCESS_DENY_NETWORKS, "::/0"},
                {ACCESS_ALLOW_NETWORKS, "::/0"},
                {ACCESS_CREDENTIAL, "a basic /x"}};
    struct access_section *section;
    struct access_policy *policy;
    int r = access_policy_new(&policy, NULL);

    if (r < 0)
        return r;
    r = access_policy_section(policy, ACCESS_USER, SPAN_LIT("ann"), 1, &section);
    for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
        r = access_section_set(section, rows[i].key, rows[i].value, 2, &error);
    if (r == 0)
        r = access_section_keep(section, "Limits", "RequestsPerUser", "1", 1);
    if (r < 0)
        access_policy_free(policy);
    else
        *ret = policy;
    return r;
}

static void test_every_failing_allocation_is_an_error_of_the_call(void **state)
{
    struct access_policy *policy = NULL;

    (void)state;
    for (uint64_t n = 1; !policy; n++) {
        mem_fail_at(n);
        int r = build(&policy);
        mem_fail_at(0);
        assert_true(r == 0 || r == -ENOMEM);
    }
    for (uint64_t n = 1;; n++) {
        struct access_view view;

        mem_fail_at(n);
        int r = access_view_init(&view, policy, &ann);
        mem_fail_at(0);
        if (r == 0) {
            assert_int_equal(view.n_networks, 3);
            access_view_done(&view);
            break;
        }
        assert_int_equal(r, -ENOMEM);
    }
    access_policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_go_before_groups_and_groups_before_everybody),
        cmocka_unit_test(test_groups_are_asked_in_the_order_of_the_file),
        cmocka_unit_test(test_deny_goes_before_allow_in_one_section_and_silence_goes_on),
        cmocka_unit_test(test_an_empty_line_begins_a_list_anew),
        cmocka_unit_test(test_ports_methods_and_insecure_are_the_first_sections_that_has_them),
        cmocka_unit_test(test_networks_are_flattened_in_the_order_of_asking),
        cmocka_unit_test(test_networks_have_borders),
        cmocka_unit_test(test_cd05_who_is_served),
        cmocka_unit_test(test_names_are_wanted_only_where_a_rule_goes_by_one),
        cmocka_unit_test(test_a_person_without_a_name_is_in_no_section_of_a_name),
        cmocka_unit_test(test_an_explanation_names_rule_section_line_and_what_would_allow_it),
        cmocka_unit_test(test_a_listener_hears_every_section_with_a_list),
        cmocka_unit_test(test_a_credential_is_for_one_host_over_https),
        cmocka_unit_test(test_what_a_credentials_file_may_hold_and_what_must_not_come_back),
        cmocka_unit_test(test_every_failing_allocation_is_an_error_of_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
