/* SPDX-License-Identifier: MIT */
/* Which jar a name means, and what others may do with it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/jar_rights.h"
#include "support/test.h"

static const struct partition asker = {.uid = 1000, .profile = "p"};

static void test_names_lead_to_jars_and_back(void **state)
{
    static const struct {
        const char *text;
        uint32_t uid;
        const char *profile;
        const char *name;
        const char *shown; /* NULL: the text */
    } rows[] = {
        {"", 1000, "p", "default", "default"},           {"work", 1000, "p", "work", NULL},
        {"system", JAR_UID_SYSTEM, "", "default", NULL}, {"1001/work", 1001, "", "work", NULL},
        {"1001/q/work", 1001, "q", "work", NULL},        {"0/default", 0, "", "default", NULL},
        {"1000/p/work", 1000, "p", "work", "work"},      {"1000/work", 1000, "", "work", NULL},
        {"4294967294/x", 4294967294U, "", "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jar_ref ref;
        char shown[JAR_TEXT_MAX];

        assert_int_equal(jar_ref_parse(span_of(rows[i].text), &asker, &ref), 0);
        assert_int_equal(ref.partition.uid, rows[i].uid);
        assert_string_equal(ref.partition.profile, rows[i].profile);
        assert_string_equal(ref.name, rows[i].name);
        jar_ref_format(&ref, &asker, shown);
        assert_string_equal(shown, rows[i].shown ? rows[i].shown : rows[i].text);
    }
}

static void test_ck27_names_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {
        "../x",         "/etc/x",        ".x",         "a b",      "a\nb",
        "1001/",        "1001/../x",     "/work",      "x/work",   "-1/work",
        "4294967295/x", "4294967296/x",  "1001//work", "1001/P/x", "1001/p/q/x",
        "1001/system",  "1001/p/system", "+5/x",       " ",
    };
    static char longest[JAR_NAME_MAX + 2];
    static char endless[5001];
    struct jar_ref ref;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(jar_ref_parse(span_of(bad[i]), &asker, &ref), -EINVAL);
    memset(longest, 'x', JAR_NAME_MAX);
    assert_int_equal(jar_ref_parse(span_of(longest), &asker, &ref), 0);
    longest[JAR_NAME_MAX] = 'x';
    assert_int_equal(jar_ref_parse(span_of(longest), &asker, &ref), -EINVAL);
    memset(endless, '1', 5000);
    assert_int_equal(jar_ref_parse(span_of(endless), &asker, &ref), -EINVAL);
}

static enum jar_right right_of(const struct jar_grants *grants, uint32_t uid, uint32_t gid)
{
    const uint32_t gids[] = {5, gid};
    const struct jar_person person = {.uid = uid, .gids = gids, .n_gids = 2};

    return jar_grants_right(grants, &person);
}

static void test_the_most_of_what_was_granted_counts(void **state)
{
    struct jar_grants grants = {0};
    const struct jar_grant user = {.id = 1001, .right = JAR_RIGHT_READ};
    const struct jar_grant group = {.id = 50, .is_group = true, .right = JAR_RIGHT_USE};
    const struct jar_grant more = {.id = 50, .is_group = true, .right = JAR_RIGHT_WRITE};

    (void)state;
    assert_int_equal(right_of(&grants, 1001, 50), JAR_RIGHT_NONE);
    assert_int_equal(jar_grants_set(&grants, &user), 1);
    assert_int_equal(jar_grants_set(&grants, &group), 1);
    assert_int_equal(jar_grants_set(&grants, &group), 0);
    assert_int_equal(right_of(&grants, 1001, 50), JAR_RIGHT_READ);
    assert_int_equal(right_of(&grants, 1002, 50), JAR_RIGHT_USE);
    assert_int_equal(right_of(&grants, 50, 1001), JAR_RIGHT_NONE); /* a uid is no gid */
    assert_int_equal(jar_grants_set(&grants, &more), 1);
    assert_int_equal(right_of(&grants, 1001, 50), JAR_RIGHT_WRITE);
    assert_false(jar_grants_remove(&grants, 1001, true));
    assert_true(jar_grants_remove(&grants, 50, true));
    assert_false(jar_grants_remove(&grants, 50, true));
    assert_int_equal(right_of(&grants, 1001, 50), JAR_RIGHT_READ);
    assert_int_equal(right_of(&grants, 1002, 50), JAR_RIGHT_NONE);
    jar_grants_done(&grants);
}

static void test_a_jar_has_so_many_grants_and_no_more(void **state)
{
    struct jar_grants grants = {0};
    struct jar_grant grant = {.right = JAR_RIGHT_USE};

    (void)state;
    for (grant.id = 0; grant.id < JAR_GRANTS_MAX; grant.id++)
        assert_int_equal(jar_grants_set(&grants, &grant), 1);
    assert_int_equal(jar_grants_set(&grants, &grant), -EDQUOT);
    grant.id--;
    grant.right = JAR_RIGHT_WRITE;
    assert_int_equal(jar_grants_set(&grants, &grant), 1);
    jar_grants_done(&grants);
}

static void test_grants_survive_being_bytes(void **state)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(0);
    struct jar_grants grants = {0};
    struct jar_grants again = {0};
    const struct jar_grant user = {.id = 0x87654321, .right = JAR_RIGHT_READ};
    const struct jar_grant group = {.id = 7, .is_group = true, .right = JAR_RIGHT_USE};

    (void)state;
    assert_int_equal(jar_grants_set(&grants, &user), 1);
    assert_int_equal(jar_grants_set(&grants, &group), 1);
    assert_int_equal(jar_grants_encode(&grants, &bytes), 0);
    assert_int_equal(jar_grants_decode(buf_span(&bytes), &again), 0);
    assert_int_equal(again.count, 2);
    assert_int_equal(right_of(&again, 0x87654321, 1), JAR_RIGHT_READ);
    assert_int_equal(right_of(&again, 1, 7), JAR_RIGHT_USE);
    jar_grants_done(&again);
    jar_grants_done(&grants);
    assert_int_equal(jar_grants_decode(SPAN_LIT("u\x01"), &again), -EINVAL);
    assert_int_equal(jar_grants_decode(SPAN_LIT("u\x09xxxx"), &again), -EINVAL);
    assert_int_equal(jar_grants_decode(SPAN_LIT("x\x01xxxx"), &again), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_lead_to_jars_and_back),
        cmocka_unit_test(test_ck27_names_that_are_none_are_refused),
        cmocka_unit_test(test_the_most_of_what_was_granted_counts),
        cmocka_unit_test(test_a_jar_has_so_many_grants_and_no_more),
        cmocka_unit_test(test_grants_survive_being_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
