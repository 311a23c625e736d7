# SPDX-License-Identifier: MIT
"""Jars that several users share: who may do what, who is shown what, and who hears of changes."""
import contextlib
import os
import threading

import pytest
from origins import response
from waiting import wait_until
from wire import Closed, cookie_pb2, fetch_pb2, kind_name

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")]

ANN, BOB, TEAM = 2001, 2002, 3001
USE, READ, WRITE = (cookie_pb2.JAR_RIGHT_USE, cookie_pb2.JAR_RIGHT_READ,
                    cookie_pb2.JAR_RIGHT_WRITE)


@contextlib.contextmanager
def as_user(uid, gids=()):
    before = os.getgroups()
    os.setgroups(gids)
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def client_of(daemon, uid, gids=()):
    with as_user(uid, gids):
        return daemon.client(program=f"uid {uid}")


@pytest.fixture
def make_machine(make_xhrd, folder):
    """The system's daemon."""
    def make(config=""):
        daemon = make_xhrd("--system", config=config or None)
        folder.chmod(0o711)
        daemon.socket_path.chmod(0o666)
        return daemon
    return make


@pytest.fixture
def machine(make_machine):
    return make_machine()


def failure_of(reply):
    return kind_name(reply.failure.kind) if reply.HasField("failure") else None


def set_in(client, jar, name, value, **more):
    cookie = cookie_pb2.Cookie(name=name.encode(), value=value.encode(), domain=b"127.0.0.1",
                               host_only=True, path=b"/", **more)
    return client.cookie_command(jar, set=cookie_pb2.CookieSet(cookie=cookie))[-1]


LOGIN = [("Set-Cookie", "login=secret; HttpOnly; Max-Age=900"),
         ("Set-Cookie", "lang=en; Max-Age=900")]


def test_use_gets_pages_and_never_a_value(machine, origin_raw):
    origin_raw.reply(response(b"hi", fields=LOGIN))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert ann.fetch(origin_raw.url(), jar="work").header("Set-Cookie")
        assert bob.fetch(origin_raw.url(), jar=f"{ANN}/work").failure == "POLICY"
        assert ann.grant("work", USE, uid=BOB).changed == 1
        seen = bob.fetch(origin_raw.url(), jar=f"{ANN}/work", tell_sent_headers=True)
        assert seen.body == b"hi"
        assert origin_raw.requests[-1].get("Cookie") == "login=secret; lang=en"
        assert seen.header("Set-Cookie") is None and seen.sent_header("Cookie") is None
        for what in ({"list": cookie_pb2.CookieList()}, {"watch": cookie_pb2.CookieWatch()},
                     {"remove": cookie_pb2.CookieRemove()},
                     {"set": cookie_pb2.CookieSet(cookie=cookie_pb2.Cookie(name=b"x"),
                                                  url=origin_raw.url().encode())}):
            assert failure_of(bob.cookie_command(f"{ANN}/work", **what)[-1]) == "POLICY", what
        # What a server says to the one is said to both: there is one jar.
        origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "lang=de; Max-Age=900")]))
        assert bob.fetch(origin_raw.url(), jar=f"{ANN}/work").done
        assert ("lang", "de") in {(c.name.decode(), c.value.decode()) for c in ann.cookies("work")}
        assert bob.cookies() == []


def test_use_shows_no_value_of_an_answer_on_the_way_or_a_stored_one(machine, origin_raw):
    def answer(request):
        if request.target == "/from":
            return response(b"", "302 Found", fields=[*LOGIN, ("Location", "/to")])
        return response(b"page", fields=[*LOGIN, ("Cache-Control", "max-age=900")])
    origin_raw.answer = answer
    jar = f"{ANN}/work"

    def values(head):
        return [h.value for h in head.headers if h.name.lower() == b"set-cookie"]
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "work", "own", "secret").changed == 1
        assert ann.grant("work", USE, uid=BOB).changed == 1
        seen = bob.fetch(origin_raw.url("/from"), jar=jar, tell_hops=True)
        assert seen.body == b"page" and seen.hops and not any(map(values, [*seen.hops, seen.head]))
        shown = ann.fetch(origin_raw.url("/from"), jar="work", tell_hops=True)
        assert all(map(values, [*shown.hops, shown.head]))
        # Neither does a stored answer, nor is it found without the jar.
        for _ in range(2):
            seen = bob.fetch(origin_raw.url("/stored"), jar=jar, cache=True)
            assert seen.body == b"page" and not values(seen.head)
        assert seen.head.from_cache
        before = len(origin_raw.requests)
        assert not bob.fetch(origin_raw.url("/stored"), cache=True).head.from_cache
        assert len(origin_raw.requests) == before + 1


def test_read_shows_all_but_what_is_http_only_and_write_shows_and_changes_all(machine,
                                                                               origin_raw):
    origin_raw.reply(response(b"hi", fields=LOGIN))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert ann.fetch(origin_raw.url(), jar="work").done
        assert ann.grant("work", READ, uid=BOB).changed == 1
        told = {c.name: c for c in bob.cookies(f"{ANN}/work")}
        assert told[b"login"].value == b"" and told[b"login"].value_withheld
        assert told[b"login"].http_only and told[b"login"].expires_s
        assert told[b"lang"].value == b"en" and not told[b"lang"].value_withheld
        seen = bob.fetch(origin_raw.url(), jar=f"{ANN}/work")
        fields = [h.value for h in seen.head.headers if h.name == b"Set-Cookie"]
        assert fields == [b"login=; HttpOnly; Max-Age=900", b"lang=en; Max-Age=900"]
        assert failure_of(set_in(bob, f"{ANN}/work", "a", "1")) == "POLICY"
        assert ann.grant("work", WRITE, uid=BOB).changed == 1
        assert {c.name: c.value for c in bob.cookies(f"{ANN}/work")}[b"login"] == b"secret"
        assert set_in(bob, f"{ANN}/work", "a", "1").changed == 1
        assert b"a" in {c.name for c in ann.cookies("work")}


def test_a_value_one_may_not_see_cannot_be_led_to_ones_own_server(machine, origin_raw):
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "work", "login", "secret").changed == 1
        assert ann.grant("work", READ, uid=BOB).changed == 1
        url, jar = "http://shop.example/", f"{ANN}/work"
        assert bob.fetch(url, jar=jar, resolve=[("shop.example", 80)]).failure == "POLICY"
        to = fetch_pb2.NetworkOptions(connect_to=[
            fetch_pb2.ConnectTo(to_host=b"127.0.0.1", to_port=origin_raw.port)])
        assert bob.fetch(url, jar=jar, network=to).failure == "POLICY"
        assert bob.fetch("https://shop.example/", jar=jar, insecure=True).failure == "POLICY"
        assert not origin_raw.requests


def test_a_value_one_may_not_see_goes_over_no_worse_tls(machine, make_tls_origin, ca):
    origin = make_tls_origin("127.0.0.1")
    mine = ca.pem.read_bytes()
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "work", "login", "secret").changed == 1
        assert ann.grant("work", READ, uid=BOB).changed == 1
        url, jar = origin.url(), f"{ANN}/work"

        def said(who, **terms):
            exchange = who.fetch(url, jar=jar if who is bob else "work", tls=fetch_pb2.TlsOptions(**terms))
            return exchange.failure, exchange.text
        for terms, name in (({"max_version": 0x0301}, "max-version"), ({"max_version": 0x0302}, "max-version"),
                            ({"min_version": 0x0302, "max_version": 0x0302}, "max-version"),
                            ({"ca_pem": mine}, "ca"), ({"insecure": True}, "insecure")):
            failure, text = said(bob, **terms)
            assert failure == "POLICY" and text.startswith(f"{name}: not with a jar"), (terms, text)
        assert not origin.requests
        # These are held to by the handshake, which trusts nobody here: they are no matter of the jar.
        for terms in ({"max_version": 0x0303}, {"min_version": 0x0302}, {"pins": [bytes(32)]}):
            assert said(bob, **terms)[0] == "TLS_VERIFY", terms
        # The jar's owner sees every cookie and may do what he wants.
        assert said(ann, ca_pem=mine)[0] is None


def test_grants_to_groups_hold_over_a_restart_and_end_with_revoke(machine, origin_raw):
    jar = f"{ANN}/work"
    with client_of(machine, ANN) as ann:
        assert set_in(ann, "work", "a", "1", expires_s=4102444800).changed == 1
        assert ann.grant("work", READ, gid=TEAM).changed == 1
    machine.kill()
    machine.start()
    machine.socket_path.chmod(0o666)
    with client_of(machine, ANN) as ann, client_of(machine, BOB, [TEAM]) as bob, \
            client_of(machine, BOB) as outside:
        assert [c.name for c in bob.cookies(jar)] == [b"a"]
        assert failure_of(outside.cookie_command(jar, list=cookie_pb2.CookieList())[-1]) == "POLICY"
        assert [j.name for j in bob.jars(owner_uid=ANN)] == [jar.encode()]
        assert outside.jars(owner_uid=ANN) == []
        mine = {j.name: j for j in ann.jars()}[b"work"]
        assert [(g.gid, g.right) for g in mine.grants] == [(TEAM, READ)]
        assert failure_of(bob.grant(jar, WRITE, uid=BOB)) == "POLICY"
        assert ann.revoke("work", gid=TEAM).changed == 1
        assert failure_of(bob.cookie_command(jar, list=cookie_pb2.CookieList())[-1]) == "POLICY"


def test_nobody_learns_whom_the_daemon_knows(machine):
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "work", "a", "1").changed == 1
        said = {jar: bob.cookie_command(jar, list=cookie_pb2.CookieList())[-1].failure.text
                for jar in (f"{ANN}/work", f"{ANN}/none", "4242/work")}
        assert len(set(said.values())) == 1
    assert not (machine.state_dir / "4242").exists()


def test_the_systems_jar_is_for_whom_the_configuration_says(make_machine, origin_raw):
    machine = make_machine(f"[Cookies]\nSystemJarUse={ANN}\nSystemJarWrite=@{TEAM}\n")
    origin_raw.reply(response(b"hi"))
    with client_of(machine, ANN) as ann, client_of(machine, BOB, [TEAM]) as bob, \
            client_of(machine, 2003) as other, machine.client() as root:
        assert set_in(bob, "system", "a", "1", expires_s=4102444800).changed == 1
        assert ann.fetch(origin_raw.url(), jar="system").done
        assert origin_raw.requests[-1].get("Cookie") == "a=1"
        assert failure_of(ann.cookie_command("system", list=cookie_pb2.CookieList())[-1]) == "POLICY"
        assert other.fetch(origin_raw.url(), jar="system").failure == "POLICY"
        assert [c.value for c in root.cookies("system")] == [b"1"]
        assert failure_of(root.grant("system", USE, uid=2003)) == "ARGUMENT"
        machine.config_path.write_text(f"[Cookies]\nSystemJarWrite={ANN}\n")
        machine.reload()
        assert failure_of(bob.cookie_command("system", list=cookie_pb2.CookieList())[-1]) == "POLICY"
        assert [c.value for c in ann.cookies("system")] == [b"1"]


def test_a_reload_takes_the_systems_jar_from_who_has_it_in_hand(make_machine, origin_raw):
    machine = make_machine(f"[Cookies]\nSystemJarUse={ANN}\nSystemJarWrite={BOB} @{TEAM}\n")
    release = threading.Event()

    def answer(request):
        if request.target == "/hold":
            release.wait(30)
        return response(b"hi", fields=[("Set-Cookie", "new=1; Max-Age=900")])
    origin_raw.answer = answer
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, \
            client_of(machine, 2003, [TEAM]) as member, machine.client() as root:
        assert set_in(bob, "system", "a", "1", expires_s=4102444800).changed == 1
        watching = bob.watch("system")[-1]
        assert watching.sequence and not watching.HasField("failure")
        assert member.watch("system")[-1].sequence
        # One is before its answer, whose cookies are stored no more.
        under_way = ann.open(origin_raw.url("/hold"), jar="system")
        wait_until(lambda: origin_raw.requests and origin_raw.requests[-1].get("Cookie") == "a=1",
                   "the request to be under way")
        machine.config_path.write_text(f"[Cookies]\nSystemJarRead={BOB}\nSystemJarWrite=@{TEAM}\n")
        machine.reload()
        bob.receive_until(lambda: any(c.HasField("failure") for c in bob.changes))
        assert kind_name(bob.changes[-1].failure.kind) == "POLICY"
        release.set()
        ann.finish(under_way)
        assert under_way.done
        assert [(c.name, c.value) for c in root.cookies("system")] == [(b"a", b"1")]
        # Who may as much as before has lost nothing.
        assert set_in(root, "system", "b", "2").changed == 1
        member.receive_until(lambda: member.changes)
        assert not member.changes[-1].HasField("failure")
        assert [c.name for c in bob.cookies("system")] == [b"a", b"b"]
        assert failure_of(set_in(bob, "system", "c", "3")) == "POLICY"
        assert ann.fetch(origin_raw.url(), jar="system").failure == "POLICY"


def test_ck30_two_users_interleaved_a_thousand_times_share_no_cookie(machine, origin_raw):
    origin_raw.script = lambda connection: serve_own(connection)
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        for i in range(500):
            for name, client in (("ann", ann), ("bob", bob)):
                assert client.fetch(origin_raw.url(f"/{name}/{i}")).done
    for request in origin_raw.requests:
        _, name, i = request.target.split("/")
        want = f"who={name}" if int(i) else None
        assert request.get("Cookie") == want


def serve_own(connection):
    """Each user's paths set a cookie that names the user."""
    while True:
        name = connection.request().target.split("/")[1]
        connection.send(response(b"ok", fields=[("Set-Cookie", f"who={name}; Path=/")]))


# ---- sessions


def test_session_cookies_are_shared_and_end_on_demand(machine, origin_raw):
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "s=1"),
                                             ("Set-Cookie", "p=1; Max-Age=900")]))
    with client_of(machine, ANN) as ann, client_of(machine, ANN) as again:
        assert ann.fetch(origin_raw.url()).done and ann.fetch(origin_raw.url(), jar="work").done
        assert {c.name for c in again.cookies()} == {b"s", b"p"}
        assert again.end_session("work").changed == 1
        assert {c.name for c in ann.cookies()} == {b"s", b"p"}
        assert again.end_session().changed == 1
        assert {c.name for c in ann.cookies()} == {b"p"}


def test_a_session_ends_with_its_last_client_and_a_while(make_machine, origin_raw):
    machine = make_machine("[Cookies]\nSessionGraceSec=0\n")
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "s=1"),
                                             ("Set-Cookie", "p=1; Max-Age=900")]))
    with client_of(machine, BOB) as bob:
        with client_of(machine, ANN) as first, client_of(machine, ANN) as second:
            assert first.grant("default", READ, uid=BOB).changed == 1
            assert first.fetch(origin_raw.url()).done
            first.close()
            assert {c.name for c in second.cookies()} == {b"s", b"p"}
        wait_until(lambda: machine.client_count() == 1, "Ann to be gone")
        assert {c.name for c in bob.cookies(f"{ANN}/default")} == {b"p"}


def test_a_session_lasts_as_long_as_somebody_shares_the_jar(make_machine, origin_raw):
    machine = make_machine("[Cookies]\nSessionGraceSec=0\n")
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "s=1")]))
    with client_of(machine, BOB) as bob:
        with client_of(machine, ANN) as ann:
            assert ann.grant("default", READ, uid=BOB).changed == 1
            assert bob.fetch(origin_raw.url(), jar=f"{ANN}/default").done
        wait_until(lambda: machine.client_count() == 1, "Ann to be gone")
        assert {c.name for c in bob.cookies(f"{ANN}/default")} == {b"s"}
    wait_until(lambda: machine.client_count() == 0, "Bob to be gone")
    with client_of(machine, ANN) as ann:
        assert ann.cookies() == []


# ---- watching


def test_watchers_of_other_users_hear_of_every_change(machine, origin_raw):
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "work", "a", "1").changed == 1
        assert ann.grant("work", READ, uid=BOB).changed == 1
        snapshot = bob.watch(f"{ANN}/work")
        assert [c.name for c in snapshot[-1].cookies] == [b"a"]
        at = snapshot[-1].sequence
        set_in(ann, "work", "b", "2", http_only=True)
        set_in(ann, "work", "a", "3")
        ann.remove_cookies("work", name="b")
        bob.receive_until(lambda: bob.changes and bob.changes[-1].sequence == at + 3)
        told = [change for message in bob.changes for change in message.changes]
        assert [(c.sequence - at, c.removed, c.cookie.name, c.cookie.value) for c in told] == [
            (1, False, b"b", b""), (2, False, b"a", b"3"), (3, True, b"b", b"")]
        assert told[1].cause == cookie_pb2.COOKIE_CAUSE_OVERWRITE
        assert ann.revoke("work", uid=BOB).changed == 1
        bob.receive_until(lambda: bob.changes[-1].HasField("failure"))
        set_in(ann, "work", "c", "4")
        assert bob.status().clients == 1  # still served, and told nothing more
        assert bob.changes[-1].HasField("failure")


def test_a_watcher_that_does_not_read_slows_nobody_and_misses_nothing(machine, origin_raw):
    rounds = 3000
    with client_of(machine, ANN) as ann, client_of(machine, ANN) as watcher:
        at = watcher.watch("work")[-1].sequence
        for i in range(rounds):
            assert set_in(ann, "work", f"n{i % 50}", f"{i}" * 200).changed == 1
        state, last = {}, at
        def up_to_date():
            nonlocal last
            for message in watcher.changes:
                assert message.previous == last
                if message.reset and not message.more:
                    state.clear()
                for cookie in message.snapshot:
                    state[cookie.name] = cookie.value
                for change in message.changes:
                    state[change.cookie.name] = change.cookie.value
                if not message.more:
                    last = message.sequence
            watcher.changes.clear()
            return last == at + rounds
        watcher.receive_until(up_to_date)
        assert state == {c.name: c.value for c in ann.cookies("work")}


# ---- every process sees what another was told


def read_your_writes(machine, origin, rounds):
    """One process is given a cookie; the moment it is told, another one sends it."""
    def serve(connection):
        while True:
            i = connection.request().target.split("/")[-1]
            connection.send(response(b"ok", fields=[("Set-Cookie", f"i={i}; Path=/")]))
    origin.script = serve
    with client_of(machine, ANN) as one, client_of(machine, ANN) as other:
        for i in range(rounds):
            first = one.open(origin.url(f"/{i}"))
            one.receive_until(lambda: first.head)  # noqa: B023
            assert other.fetch(origin.url(f"/{i}")).done
            assert origin.requests[-1].get("Cookie") == f"i={i}", f"round {i}"
            one.finish(first)
            one, other = other, one
            origin.requests.clear()


def test_500_rounds_of_two_processes_read_what_the_other_was_told(machine, origin_raw):
    read_your_writes(machine, origin_raw, 500)


@pytest.mark.soak
def test_10000_rounds_of_two_processes_read_what_the_other_was_told(machine, origin_raw):
    read_your_writes(machine, origin_raw, 10_000)


def test_many_clients_change_one_jar_at_once(machine, origin_raw):
    faults = []
    with client_of(machine, ANN) as watcher:
        clients = [client_of(machine, ANN) for _ in range(4)]
        at = watcher.watch("work")[-1].sequence
        threads = [threading.Thread(target=add_thirty, args=(client, who, faults))
                   for who, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        watcher.receive_until(lambda: watcher.changes and
                              watcher.changes[-1].sequence == at + 120)
        for client in clients:
            client.close()
        assert not faults, faults
        assert len(watcher.cookies("work")) == 120


def add_thirty(client, who, faults):
    try:
        for i in range(30):
            assert set_in(client, "work", f"{who}-{i}", "1").changed == 1
    except (AssertionError, Closed, OSError) as fault:
        faults.append(fault)
