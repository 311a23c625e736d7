# SPDX-License-Identifier: MIT
"""Limits of one user or group: each key holds for whom it is said of, and for nobody else."""
import gzip
import os
import signal
import threading

import pytest
from h2_origin import H2Origin
from origins import response
from test_policy import ANN, BOB, ROOT_ONLY, client_of, machine  # noqa: F401: a fixture
from waiting import wait_until
from wire import admin_pb2, cookie_pb2, fetch_pb2

pytestmark = [pytest.mark.shallow, ROOT_ONLY]


def cookies(*names):
    return [("Set-Cookie", f"{name}=1; Max-Age=9999") for name in names]


def twice(data):
    return response(gzip.compress(gzip.compress(data)), fields=[("Content-Encoding", "gzip, gzip")])


@pytest.fixture
def h2_peer():
    origin = H2Origin()
    yield origin
    origin.base.stop()


# -- what servers say -----------------------------------------------------------------------

ANSWERS = [
    ("HeadBytesMax=1K", response(b"x", fields=[(f"X-{i}", "y" * 190) for i in range(6)]), "LIMIT"),
    ("HeadLineBytesMax=256", response(b"x", fields=[("X-Long", "y" * 260)]), "LIMIT"),
    ("HeadFieldsMax=3", response(b"x", fields=[("X-Y", "z")] * 3), "LIMIT"),
    ("CodingsMax=1", twice(b"x"), "LIMIT"),
    ("RedirectsMax=0", response(status="302 x", fields=[("Location", "/2")]), "REDIRECT"),
]


@pytest.mark.parametrize("section", [f"User {ANN}", "Group 3001"])
@pytest.mark.parametrize("key, answer, failure", ANSWERS, ids=[row[0] for row in ANSWERS])
def test_how_much_a_server_may_say_is_a_users_own(machine, origin_raw, section, key, answer,
                                                  failure):
    daemon = machine(f"[{section}]\n{key}\n")
    origin_raw.answer = lambda request: answer if request.target == "/" else response(b"x")
    with client_of(daemon, ANN, (3001,)) as ann, client_of(daemon, BOB) as bob:
        assert ann.fetch(origin_raw.url()).failure == failure
        exchange = bob.fetch(origin_raw.url())
        assert exchange.done and exchange.body == b"x", exchange.text


@pytest.mark.parametrize("key, name, value", [
    ("HeadLineBytesMax=256", "x-long", "y" * 260), ("HeadBytesMax=1K", "x-long", "y" * 1100),
    ("HeadFieldsMax=1", "x-short", "y")])
def test_how_much_a_server_may_say_over_http2_is_a_users_own(machine, h2_peer, key, name, value):
    daemon = machine(f"[User {ANN}]\n{key}\n")
    h2_peer.on_end = lambda conn, stream: conn.respond(stream, b"x", fields=[(name, value)] * 2)
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, failure in ((ann, "LIMIT"), (bob, None)):
            exchange = client.fetch(h2_peer.url(), http_version=fetch_pb2.HTTP_VERSION_2)
            assert exchange.failure == failure, exchange.text


def test_a_connection_serves_each_by_his_own_limits(machine, origin_raw):
    """The same uid and connection; one process is in the group, the other is not."""
    daemon = machine("[Group 3001]\nHeadFieldsMax=1\n")
    origin_raw.reply(response(b"x", fields=[("X-Y", "z")]))
    with client_of(daemon, ANN, (3001,)) as inside, client_of(daemon, ANN) as outside:
        for _ in range(2):
            assert outside.fetch(origin_raw.url()).done
            assert inside.fetch(origin_raw.url()).failure == "LIMIT"


# -- what is kept ---------------------------------------------------------------------------

@pytest.mark.parametrize("key, kept", [
    ("SetCookiesPerAnswer=2", ["a", "b"]), ("CookiesPerJar=2", ["c", "d"]),
    ("CookiesPerSite=3", ["b", "c", "d"])])
def test_how_many_cookies_are_kept_is_a_users_own(machine, origin_raw, key, kept):
    daemon = machine(f"[User {ANN}]\n{key}\n")
    origin_raw.reply(response(fields=cookies("a", "b", "c", "d")))
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, names in ((ann, kept), (bob, ["a", "b", "c", "d"])):
            assert client.fetch(origin_raw.url()).done
            assert sorted(c.name.decode() for c in client.cookies()) == names


@pytest.mark.parametrize("key, sent", [("CookiesPerRequest=2", "a=1; b=1"),
                                       ("CookieBytesPerRequest=3", "a=1"),
                                       ("CookiesPerRequest=0", None)])
def test_how_many_cookies_go_along_is_a_users_own(machine, origin_raw, key, sent):
    daemon = machine(f"[User {ANN}]\n{key}\n")
    origin_raw.reply(response(fields=cookies("a", "b", "c")))
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, expected in ((ann, sent), (bob, "a=1; b=1; c=1")):
            for _ in range(2):
                assert client.fetch(origin_raw.url()).done
            assert origin_raw.requests[-1].get("Cookie") == expected


def test_how_much_memory_cookies_have_is_a_users_own(machine, origin_raw):
    daemon = machine(f"[User {ANN}]\nCookieBytesPerUser=64K\n")
    origin_raw.reply(response(fields=[("Set-Cookie", f"c{i}={'v' * 4000}") for i in range(30)]))
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, fits in ((ann, False), (bob, True)):
            assert client.fetch(origin_raw.url()).done
            assert (len(client.cookies()) == 30) == fits
            assert client.cookies()


def test_how_many_jars_there_are_is_a_users_own(machine, origin_raw):
    daemon = machine(f"[User {ANN}]\nJarsPerUser=2\n")
    origin_raw.reply(response(fields=cookies("a")))
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, expected in ((ann, "QUOTA"), (bob, None)):
            assert client.fetch(origin_raw.url(), jar="one").done
            assert client.fetch(origin_raw.url(), jar="two").done
            assert client.fetch(origin_raw.url(), jar="three").failure == expected


@pytest.mark.parametrize("key", ["SizeMax=0", "AnswerSizeMax=3"])
def test_what_the_cache_keeps_is_a_users_own(machine, origin_raw, key):
    daemon = machine(f"[User {ANN}]\n{key}\n")
    origin_raw.reply(response(b"four", fields=[("Cache-Control", "max-age=1000")]))
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client, asked in ((ann, 2), (bob, 1)):
            before = len(origin_raw.requests)
            for _ in range(2):
                assert client.fetch(origin_raw.url(), cache=True).done
            assert len(origin_raw.requests) - before == asked


def test_how_long_a_session_lasts_is_a_users_own(machine, origin_raw):
    daemon = machine(f"[Cookies]\nSessionGraceSec=9999\n[User {ANN}]\nSessionGraceSec=0\n")
    origin_raw.reply(response(fields=[("Set-Cookie", "a=1")]))
    for uid, left in ((ANN, 0), (BOB, 1)):
        with client_of(daemon, uid) as client:
            assert client.fetch(origin_raw.url()).done
            assert len(client.cookies()) == 1
        wait_until(lambda: daemon.client_count() == 0, "its end")
        with client_of(daemon, uid) as client:
            assert len(client.cookies()) == left


# -- reload ---------------------------------------------------------------------------------

def test_a_reload_changes_the_limits_of_who_is_there_and_drops_nothing(machine, origin_raw):
    daemon = machine("")
    hold, held = threading.Event(), []

    def answer(request):
        if request.target == "/slow":
            held.append(request)
            hold.wait(20)
        return response(fields=cookies("a", "b", "c", "d"))

    origin_raw.answer = answer
    with client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        for client in (ann, bob):
            assert client.fetch(origin_raw.url()).done
            assert len(client.cookies()) == 4
        running = ann.open(origin_raw.url("/slow"))
        wait_until(lambda: held, "the request")
        daemon.config_path.write_text(
            f"[User {ANN}]\nCookiesPerJar=2\nJarsPerUser=1\nHeadFieldsMax=2\n")
        daemon.reload()
        hold.set()
        ann.finish(running)
        assert running.done, running.text
        assert ann.fetch(origin_raw.url()).failure == "LIMIT"
        assert ann.fetch(origin_raw.url(), jar="another").failure == "QUOTA"
        assert bob.fetch(origin_raw.url()).done and len(bob.cookies()) == 4
        daemon.config_path.write_text(f"[User {ANN}]\nCookiesPerJar=2\n")
        daemon.reload()
        origin_raw.answer = lambda request: response(fields=cookies("e"))
        assert ann.fetch(origin_raw.url()).done
        assert len(ann.cookies()) == 2, "the jar has shrunk with what it took in"
        daemon.config_path.write_text("")
        daemon.reload()
        origin_raw.answer = answer
        assert ann.fetch(origin_raw.url()).done and len(ann.cookies()) == 5


def test_a_reload_reaches_a_private_jar(machine, origin_raw):
    daemon = machine("")
    origin_raw.reply(response(fields=cookies("a", "b", "c")))
    with client_of(daemon, ANN) as ann:
        for sent in (None, "a=1; b=1; c=1"):
            assert ann.fetch(origin_raw.url(), jar=":private").done
            assert origin_raw.requests[-1].get("Cookie") == sent
        daemon.config_path.write_text(f"[User {ANN}]\nCookiesPerRequest=1\n")
        daemon.reload()
        assert ann.fetch(origin_raw.url(), jar=":private").done
        assert origin_raw.requests[-1].get("Cookie") == "a=1"


def test_cookies_above_what_most_may_keep_outlast_the_daemon(machine, origin_raw):
    daemon = machine(f"[Cookies]\nCookiesPerJar=2\n[User {ANN}]\nCookiesPerJar=10\n")
    origin_raw.reply(response(fields=cookies("a", "b", "c", "d")))
    with client_of(daemon, ANN) as ann:
        assert ann.fetch(origin_raw.url()).done
        ann.grant("default", cookie_pb2.JAR_RIGHT_READ, uid=BOB)
    daemon.kill()
    daemon.start()
    with client_of(daemon, BOB) as bob:  # whose question opens a store nobody's limits are known of
        assert len(bob.cookies(jar=f"{ANN}/default")) == 4
    with client_of(daemon, ANN) as ann:
        assert len(ann.cookies()) == 4


# -- shown ----------------------------------------------------------------------------------

def test_a_check_shows_what_is_set_for_somebody_and_where(machine):
    daemon = machine(f"[Limits]\nJarsPerUser=9\n[Group 60]\nJarsPerUser=8\nSizeMax=1M\n"
                     f"Proxy=http://u:hush@proxy.example:1\nRedirectsMax=3\n"
                     f"[User games]\nJarsPerUser=6\n[User {BOB}]\nSizeMax=2M\n")
    with daemon.client() as root:
        question = admin_pb2.PolicyQuestion(url=b"http://127.0.0.1/", user=b"games")
        verdict = root._command("admin", topic=admin_pb2.ADMIN_TOPIC_POLICY,
                                policy=question)[0].policy
    steps = {step.key.decode(): step for step in verdict.steps if step.section}
    assert steps["JarsPerUser"].text == b"JarsPerUser=6 ([User games], line 9)"
    assert steps["JarsPerUser"].line == 9 and steps["JarsPerUser"].section == b"[User games]"
    assert not any(b"hush" in step.text for step in verdict.steps)
    assert steps["SizeMax"].text == b"SizeMax=1M ([Group 60], line 5)"
    assert steps["Proxy"].text == b"Proxy=http://proxy.example:1 ([Group 60], line 6)"


@pytest.mark.parametrize("key, why", [
    ("Clients=5", "ClientsPerUser="), ("LogLevel=info", "one process"),
    ("CAFile=/x", "trust store"), ("KeepAliveSec=1", "IdleConnectionsPerUser=0"),
    ("AllowUsers=ann", "before anything is known")])
def test_what_is_the_same_for_all_is_refused_with_the_reason(machine, key, why):
    daemon = machine("")
    daemon.config_path.write_text(f"[Limits]\nClients=100\n[Group 5]\n{key}\n")
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: f"{daemon.config_path}:4: {key.split('=')[0]}= cannot be set in [Group 5]"
               in daemon.log(), "the complaint")
    assert why in daemon.log()
