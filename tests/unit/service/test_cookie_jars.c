/* SPDX-License-Identifier: MIT */
/* Jars as a whole, rights on them, sessions; and who is told what of a cookie. */
#include <errno.h>
#include <stdio.h>

#include "policy/cookie_jar.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static struct service_world world;
static struct fake_client client;

static int begin(void **state)
{
    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    client_done(&client);
    service_world_done(&world);
    return 0;
}

static void command(Xhrd__V1__CookieCommand *what)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE;
    message.cookie = what;
    client_tell(&client, &message);
    client_hears(&client);
}

static void
deed(uint32_t id, Xhrd__V1__CookieCommand__OperationCase kind, Xhrd__V1__JarGrant *grant)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__SessionEnd end_session = XHRD__V1__SESSION_END__INIT;
    Xhrd__V1__JarCreate create = XHRD__V1__JAR_CREATE__INIT;
    Xhrd__V1__JarRemove remove_jar = XHRD__V1__JAR_REMOVE__INIT;
    Xhrd__V1__JarGive give = XHRD__V1__JAR_GIVE__INIT;
    Xhrd__V1__JarRevoke revoke = XHRD__V1__JAR_REVOKE__INIT;

    what.command_id = id;
    what.operation_case = kind;
    what.jar = (char *)(uintptr_t) "work";
    give.grant = revoke.grant = grant;
    if (kind == XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE)
        what.jar_create = &create;
    else if (kind == XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE)
        what.jar_remove = &remove_jar;
    else if (kind == XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT)
        what.jar_grant = &give;
    else if (kind == XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE)
        what.jar_revoke = &revoke;
    else
        what.end_session = &end_session;
    command(&what);
}

static void list_jars(uint32_t id, const uint32_t *owner)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__JarList list = XHRD__V1__JAR_LIST__INIT;

    if (owner) {
        list.of_case = XHRD__V1__JAR_LIST__OF_OWNER_UID;
        list.owner_uid = *owner;
    }
    what.command_id = id;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_LIST;
    what.jar_list = &list;
    command(&what);
}

static void list_cookies(uint32_t id)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieList list = XHRD__V1__COOKIE_LIST__INIT;

    what.command_id = id;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_LIST;
    what.list = &list;
    command(&what);
}

static void put(const char *field)
{
    const struct cookie_request from = {
        .host = SPAN_LIT("a.com"), .is_secure = true, .now_s = 1800000000};
    struct set_cookie set;

    assert_int_equal(set_cookie_parse(span_of(field), &set), SET_COOKIE_OK);
    assert_false(cookie_outcome_is_refusal(cookie_jar_store(world.net.jar, &from, &set)));
}

static void set_cookie_as(uint32_t id, Xhrd__V1__Durability durability)
{
    Xhrd__V1__CookieCommand what = XHRD__V1__COOKIE_COMMAND__INIT;
    Xhrd__V1__CookieSet set = XHRD__V1__COOKIE_SET__INIT;
    Xhrd__V1__Cookie cookie = XHRD__V1__COOKIE__INIT;

    cookie.name = pb_bytes("n");
    set.cookie = &cookie;
    set.url = pb_bytes("https://a.com/");
    what.command_id = id;
    what.durability = durability;
    what.operation_case = XHRD__V1__COOKIE_COMMAND__OPERATION_SET;
    what.set = &set;
    command(&what);
}

#define CREATE XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_CREATE
#define REMOVE XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REMOVE
#define GRANT  XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_GRANT
#define REVOKE XHRD__V1__COOKIE_COMMAND__OPERATION_JAR_REVOKE
#define END    XHRD__V1__COOKIE_COMMAND__OPERATION_END_SESSION

static void test_deeds_are_done_and_answered_when_saved(void **state)
{
    Xhrd__V1__JarGrant grant = XHRD__V1__JAR_GRANT__INIT;

    (void)state;
    grant.whom_case = XHRD__V1__JAR_GRANT__WHOM_GID;
    grant.gid = 50;
    grant.right = XHRD__V1__JAR_RIGHT__JAR_RIGHT_READ;
    deed(1, CREATE, NULL);
    assert_int_equal(world.net.last_deed.kind, JAR_DEED_CREATE);
    deed(2, GRANT, &grant);
    assert_int_equal(world.net.last_deed.kind, JAR_DEED_GRANT);
    assert_true(world.net.last_deed.grant.is_group);
    assert_int_equal(world.net.last_deed.grant.id, 50);
    assert_int_equal(world.net.last_deed.grant.right, JAR_RIGHT_READ);
    deed(3, REVOKE, &grant);
    assert_int_equal(world.net.last_deed.kind, JAR_DEED_REVOKE);
    deed(4, REMOVE, NULL);
    assert_int_equal(world.net.last_deed.kind, JAR_DEED_REMOVE);
    put("s=1");
    put("t=1");
    deed(5, END, NULL);
    assert_string_equal(client.story, "cookies(1,0,1) cookies(2,0,1) cookies(3,0,1) "
                                      "cookies(4,0,1) cookies(5,0,2) ");
}

static void test_a_deed_waits_for_the_store_and_for_the_disk(void **state)
{
    (void)state;
    world.net.open_result = COOKIE_OPEN_WAIT;
    world.net.commit_result = COOKIE_COMMIT_WAIT;
    deed(1, CREATE, NULL);
    assert_string_equal(client.story, "");
    world_cookies_ready(&world.net);
    client_hears(&client);
    assert_int_equal(world.net.last_deed.kind, JAR_DEED_CREATE);
    assert_string_equal(client.story, "");
    world_cookies_committed(&world.net, false);
    client_hears(&client);
    assert_string_equal(client.story, "cookies(1,0,1,memory) ");
}

static void test_deeds_that_make_no_sense_are_told_what_would(void **state)
{
    Xhrd__V1__JarGrant grant = XHRD__V1__JAR_GRANT__INIT;

    (void)state;
    deed(1, GRANT, NULL);
    grant.right = XHRD__V1__JAR_RIGHT__JAR_RIGHT_READ;
    deed(2, GRANT, &grant);
    assert_non_null(strstr(client.last_text, "uid or a gid"));
    grant.whom_case = XHRD__V1__JAR_GRANT__WHOM_UID;
    grant.right = XHRD__V1__JAR_RIGHT__JAR_RIGHT_UNSPECIFIED;
    deed(3, GRANT, &grant);
    assert_non_null(strstr(client.last_text, "USE, READ or WRITE"));
    set_cookie_as(4, XHRD__V1__DURABILITY__DURABILITY_MEMORY);
    assert_non_null(strstr(client.last_text, "STORED or SYNCED"));
    assert_string_equal(client.story, "cookies(1,argument) cookies(2,argument) "
                                      "cookies(3,argument) cookies(4,argument) ");
    client_clear(&client);
    world.net.open_result = COOKIE_OPEN_DENIED;
    deed(5, CREATE, NULL);
    world.net.open_result = -EDQUOT;
    deed(6, CREATE, NULL);
    world.net.open_result = -EINVAL;
    deed(7, END, NULL);
    assert_string_equal(client.story,
                        "cookies(5,policy) cookies(6,quota) cookies(7,argument) ");
    world.net.open_result = COOKIE_OPEN_READY;
}

static void test_jars_are_listed_in_pages(void **state)
{
    const uint32_t owner = 1001;

    (void)state;
    list_jars(1, NULL);
    const Xhrd__V1__JarInfo *jar = client.last->cookie->jars[0];
    assert_memory_equal(jar->name.data, "work", 4);
    assert_int_equal(jar->owner_uid, 1000);
    assert_int_equal(jar->right, XHRD__V1__JAR_RIGHT__JAR_RIGHT_WRITE);
    assert_int_equal(jar->n_grants, 1);
    assert_int_equal(jar->grants[0]->gid, 50);
    assert_int_equal(jar->created_s, 1700000000);
    list_jars(2, &owner);
    assert_memory_equal(client.last->cookie->jars[0]->name.data, "1001/work", 9);
    world.net.n_jars = 0;
    list_jars(3, NULL);
    assert_string_equal(client.story, "cookies(1,0,0) cookies(2,0,0) cookies(3,0,0) ");
    client_clear(&client);
    world.net.n_jars = 65;
    list_jars(4, NULL);
    assert_string_equal(client.story, "cookies(4,0,0,more) cookies(4,0,0) ");
    client_clear(&client);
    world.net.open_result = COOKIE_OPEN_WAIT;
    list_jars(5, NULL);
    assert_string_equal(client.story, "");
    world.net.n_jars = 1;
    world_cookies_ready(&world.net);
    client_hears(&client);
    assert_string_equal(client.story, "cookies(5,0,0) ");
}

static void test_a_change_is_acknowledged_as_it_was_asked_for(void **state)
{
    (void)state;
    set_cookie_as(1, XHRD__V1__DURABILITY__DURABILITY_UNSPECIFIED);
    assert_int_equal(client.last->cookie->durability, XHRD__V1__DURABILITY__DURABILITY_STORED);
    set_cookie_as(2, XHRD__V1__DURABILITY__DURABILITY_SYNCED);
    assert_int_equal(client.last->cookie->durability, XHRD__V1__DURABILITY__DURABILITY_SYNCED);
    world.net.commit_result = COOKIE_COMMIT_WAIT;
    set_cookie_as(3, XHRD__V1__DURABILITY__DURABILITY_SYNCED);
    assert_true(world.net.commits[0]->to_power);
    world_cookies_committed(&world.net, true);
    client_hears(&client);
    assert_int_equal(client.last->cookie->durability, XHRD__V1__DURABILITY__DURABILITY_SYNCED);
    world.net.commit_result = COOKIE_COMMIT_NOT_SAVED;
    set_cookie_as(4, XHRD__V1__DURABILITY__DURABILITY_SYNCED);
    assert_int_equal(client.last->cookie->durability, XHRD__V1__DURABILITY__DURABILITY_MEMORY);
    assert_true(client.last->cookie->not_persisted);
}

static void test_the_owner_of_the_jar_is_who_is_waited_for(void **state)
{
    (void)state;
    world.net.jar_owner = 1001;
    set_cookie_as(1, XHRD__V1__DURABILITY__DURABILITY_STORED);
    assert_int_equal(world.net.last_committed, 1001);
    assert_int_equal(world.net.n_holds, 2); /* of its own uid's session, and of the owner's */
    assert_int_equal(world.net.last_held, 1001);
}

static void test_each_right_sees_what_it_says(void **state)
{
    (void)state;
    put("v=visible");
    put("h=hidden; HttpOnly");
    world.net.jar_right = JAR_RIGHT_USE;
    list_cookies(1);
    set_cookie_as(2, XHRD__V1__DURABILITY__DURABILITY_STORED);
    assert_string_equal(client.story, "cookies(1,policy) cookies(2,policy) ");
    client_clear(&client);
    world.net.jar_right = JAR_RIGHT_READ;
    list_cookies(3);
    assert_string_equal(client.story, "cookies(3,2,0) ");
    const Xhrd__V1__Cookie *hidden = client.last->cookie->cookies[0];
    const Xhrd__V1__Cookie *visible = client.last->cookie->cookies[1];
    assert_memory_equal(hidden->name.data, "h", 1);
    assert_true(hidden->value_withheld && hidden->value.len == 0 && hidden->http_only);
    assert_true(!visible->value_withheld && visible->value.len == 7);
    set_cookie_as(4, XHRD__V1__DURABILITY__DURABILITY_STORED);
    assert_non_null(strstr(client.story, "cookies(4,policy) "));
    world.net.jar_right = JAR_RIGHT_WRITE;
    list_cookies(5);
    assert_int_equal(client.last->cookie->cookies[0]->value.len, 6);
}

static void get_with_jar(void)
{
    Xhrd__V1__OpenRequest open;

    open_message_init(&open, 1);
    open.cookies = XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_AND_STORE;
    client_open(&client, &open);
    client_hears(&client);
}

/* The values of an answer's Set-Cookie fields, one behind the other. */
static const char *set_cookies_told(enum jar_right right)
{
    static char told[512];

    world.net.jar_right = right;
    get_with_jar();
    server_says(&world.net,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: v=seen; Path=/\r\n"
                "X-A: b\r\nSet-Cookie: h=secret; Path=/; HttpOnly\r\n\r\n");
    client.is_quiet = true;
    told[0] = '\0';
    for (int i = 0; i < 3; i++)
        client_hears(&client);
    (void)snprintf(told, sizeof(told), "%s", client.set_cookies);
    return told;
}

static void test_answers_hide_cookies_from_who_may_not_see_them(void **state)
{
    (void)state;
    assert_string_equal(set_cookies_told(JAR_RIGHT_USE), "");
    assert_string_equal(set_cookies_told(JAR_RIGHT_READ),
                        "v=seen; Path=/|h=; Path=/; HttpOnly|");
    assert_string_equal(set_cookies_told(JAR_RIGHT_WRITE),
                        "v=seen; Path=/|h=secret; Path=/; HttpOnly|");
    assert_int_equal(cookie_jar_count(world.net.jar), 2); /* stored by each of them */
}

static void spoil_resolve(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__ResolveOverride resolve;
    static Xhrd__V1__ResolveOverride *list[] = {&resolve};
    static Xhrd__V1__NetworkOptions network;
    static ProtobufCBinaryData addresses[1];

    xhrd__v1__network_options__init(&network);
    xhrd__v1__resolve_override__init(&resolve);
    addresses[0] = pb_bytes("127.0.0.1");
    resolve.host = pb_bytes("a.com");
    resolve.port = 80;
    resolve.addresses = addresses;
    resolve.n_addresses = 1;
    network.resolve = list;
    network.n_resolve = 1;
    open->network = &network;
}

static void spoil_connect_to(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__ConnectTo connect;
    static Xhrd__V1__ConnectTo *list[] = {&connect};
    static Xhrd__V1__NetworkOptions network;

    xhrd__v1__network_options__init(&network);
    xhrd__v1__connect_to__init(&connect);
    connect.to_host = pb_bytes("b.com");
    network.connect_to = list;
    network.n_connect_to = 1;
    open->network = &network;
}

static void spoil_insecure(Xhrd__V1__OpenRequest *open)
{
    static Xhrd__V1__TlsOptions tls;

    xhrd__v1__tls_options__init(&tls);
    tls.insecure = true;
    open->tls = &tls;
}

static void test_who_may_not_see_cookies_may_not_lead_them_elsewhere(void **state)
{
    static void (*const ways[])(Xhrd__V1__OpenRequest *
                                open) = {spoil_resolve, spoil_connect_to, spoil_insecure};

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        for (int right = JAR_RIGHT_USE; right <= JAR_RIGHT_READ; right++) {
            Xhrd__V1__OpenRequest open;

            world.net.jar_right = (enum jar_right)right;
            open_message_init(&open, 1);
            open.cookies = XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_AND_STORE;
            ways[i](&open);
            client_clear(&client);
            client_open(&client, &open);
            client_hears(&client);
            if (!strstr(client.story, "failed(1,policy) "))
                fail_msg("%zu, right %d: %s", i, right, client.story);
        }
    }
    assert_int_equal(world.net.n_servers, 0);
}

static void test_a_jar_that_is_gone_is_no_longer_sent_nor_filled(void **state)
{
    (void)state;
    put("a=1");
    get_with_jar();
    client_hears(&client);
    world_take_jar(&world.net);
    server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: b=1\r\n\r\n");
    client_hears(&client);
    assert_non_null(strstr(client.story, "done(1,0) "));
    assert_int_equal(cookie_jar_count(world.net.jar), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(test_deeds_are_done_and_answered_when_saved),
        TEST(test_a_deed_waits_for_the_store_and_for_the_disk),
        TEST(test_deeds_that_make_no_sense_are_told_what_would),
        TEST(test_jars_are_listed_in_pages),
        TEST(test_a_change_is_acknowledged_as_it_was_asked_for),
        TEST(test_the_owner_of_the_jar_is_who_is_waited_for),
        TEST(test_each_right_sees_what_it_says),
        TEST(test_answers_hide_cookies_from_who_may_not_see_them),
        TEST(test_who_may_not_see_cookies_may_not_lead_them_elsewhere),
        TEST(test_a_jar_that_is_gone_is_no_longer_sent_nor_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
