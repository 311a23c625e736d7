# SPDX-License-Identifier: MIT
"""Users who are removed from the machine: nothing that was kept of them is left for the next owner of the uid."""
import contextlib
import os
import threading

import pytest
from origins import response
from test_jars import ANN, BOB, READ, client_of, failure_of, make_machine, machine, set_in  # noqa: F401
from waiting import wait_until
from wire import admin_pb2, cookie_pb2, kind_name

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")]

SECRET = "a-value-nobody-else-may-see"
LATE = 4102444800


def purge(client, uid):
    return client._command("admin", topic=admin_pb2.ADMIN_TOPIC_PURGE_USER, uid=uid)[-1]


def past(client):
    """What is remembered of the first request."""
    return client._command("admin", topic=admin_pb2.ADMIN_TOPIC_HISTORY, request=1)[-1]


def holds(folder, what):
    """Files below that hold a text, also in what is no row any more."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))
            if path.is_file() and what.encode() in path.read_bytes()]


def test_db14_a_purged_user_is_forgotten_in_memory_and_on_disk(machine, origin_raw):
    fresh = [("Cache-Control", "max-age=900")]
    origin_raw.reply(response(SECRET.encode(), fields=[("Set-Cookie", f"s={SECRET}; Max-Age=900"), *fresh]))
    cached = {"cache": True}
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, machine.client() as root:
        for who in ann, bob:
            assert who.fetch(origin_raw.url(), **cached).done
            assert who.fetch(origin_raw.url(), **cached).head.from_cache
            assert set_in(who, "work", "login", SECRET, expires_s=LATE).changed == 1
        assert ann.grant("work", READ, uid=BOB).changed == 1
        with as_profile(machine, ANN, "other") as other:
            assert set_in(other, "", "p", SECRET, expires_s=LATE).changed == 1
            assert other.fetch(origin_raw.url("/p"), **cached).done
            assert other.fetch(origin_raw.url("/p"), **cached).head.from_cache  # it is on disk
        folder = machine.state_dir / str(ANN)
        (folder / "cookies.sqlite.corrupt-1").write_text(SECRET)
        (folder / "cookies.sqlite.former-1-wal").write_text(SECRET)
        assert holds(folder, SECRET)
        watching = bob.watch(f"{ANN}/work")[-1]
        assert not watching.HasField("failure")

        assert past(ann).record.uid == ANN
        said = purge(root, ANN)
        assert not said.HasField("failure") and not said.not_persisted
        assert (said.purged.cookies, said.purged.answers) == (4, 2)
        assert holds(folder, SECRET) == []
        assert past(ann).HasField("failure")
        bob.receive_until(lambda: any(c.HasField("failure") for c in bob.changes))
        assert failure_of(bob.cookie_command(f"{ANN}/work", list=cookie_pb2.CookieList())[-1]) == "POLICY"
        assert ann.cookies() == ann.cookies("work") == [] and {j.name for j in ann.jars()} <= {b"default", b"work"}
        before = len(origin_raw.requests)
        assert ann.fetch(origin_raw.url(), **cached).done and len(origin_raw.requests) == before + 1
        # It is his again, and the other user's was left alone.
        assert ann.fetch(origin_raw.url(), **cached).head.from_cache
        assert {c.name for c in ann.cookies()} == {b"s"}
        assert {c.name for c in bob.cookies()} == {b"s"} and {c.name for c in bob.cookies("work")} == {b"login"}
        assert bob.fetch(origin_raw.url(), **cached).head.from_cache
        assert purge(root, ANN).purged.cookies == 1
    machine.kill()
    machine.start()
    machine.socket_path.chmod(0o666)
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert ann.cookies() == [] and {c.name for c in bob.cookies("work")} == {b"login"}


@contextlib.contextmanager
def as_profile(daemon, uid, profile):
    from test_jars import as_user
    with as_user(uid):
        client = daemon.client(profile=profile)
    with client:
        yield client


def test_db14_who_is_not_in_memory_is_purged_from_the_disk(machine, origin_raw):
    origin_raw.reply(response(SECRET.encode(), fields=[("Set-Cookie", f"s={SECRET}; Max-Age=900"),
                                                       ("Cache-Control", "max-age=900")]))
    with client_of(machine, ANN) as ann:
        assert ann.fetch(origin_raw.url(), cache=True).done
        assert ann.fetch(origin_raw.url(), cache=True).head.from_cache
    machine.kill()
    machine.start()
    machine.socket_path.chmod(0o666)
    with machine.client() as root:
        said = purge(root, ANN)
        assert (said.purged.cookies, said.purged.answers, said.not_persisted) == (1, 1, False)
        assert holds(machine.state_dir, SECRET) == []
        nobody = purge(root, 4242)  # of whom nothing is kept
        assert not nobody.HasField("failure") and nobody.purged.cookies == 0 and not nobody.not_persisted
        assert not (machine.state_dir / "4242").exists()


def test_db14_only_root_purges(machine):
    with client_of(machine, ANN) as ann, machine.client() as root:
        assert set_in(ann, "", "a", "1").changed == 1
        for uid in (ANN, BOB, 0):
            refused = purge(ann, uid)
            assert kind_name(refused.failure.kind) == "POLICY" and "Administrators=" in refused.failure.text.decode()
        assert kind_name(purge(root, (1 << 32) - 1).failure.kind) == "ARGUMENT"
        assert len(ann.cookies()) == 1


def test_db14_administrators_purge_too(make_machine):  # noqa: F811
    machine = make_machine(f"[Daemon]\nAdministrators={BOB}\n")
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert set_in(ann, "", "a", "1").changed == 1
        assert kind_name(purge(ann, ANN).failure.kind) == "POLICY"
        assert purge(bob, ANN).purged.cookies == 1
        assert ann.cookies() == []


def test_db14_a_purge_amid_requests_stores_nothing_of_them_and_ends_none(machine, origin_raw):
    hold = threading.Event()

    def answer(request):
        hold.wait(30)
        return response(b"late", fields=[("Set-Cookie", f"{request.target[1:]}={SECRET}; Max-Age=900")])
    origin_raw.answer = answer
    with client_of(machine, ANN) as ann, client_of(machine, ANN) as second, machine.client() as root:
        under_way = [who.open(origin_raw.url(f"/{who_n}{i}")) for who_n, who in (("a", ann), ("b", second))
                     for i in range(3)]
        wait_until(lambda: len(origin_raw.requests) == 6, "six requests to be there")
        said = [purge(root, ANN) for _ in range(5)]
        assert not any(s.HasField("failure") for s in said)
        hold.set()
        ann.finish(*under_way[:3])
        second.finish(*under_way[3:])
        assert all(exchange.body == b"late" for exchange in under_way)
        assert ann.cookies() == []
        assert holds(machine.state_dir, SECRET) == []
        assert ann.fetch(origin_raw.url("/new")).done and len(ann.cookies()) == 1


def test_db14_who_asked_may_leave_before_the_answer(machine, origin_raw):
    with client_of(machine, ANN) as ann:
        for i in range(50):
            assert set_in(ann, "", f"c{i}", SECRET, expires_s=LATE).changed == 1
        root = machine.client()
        for _ in range(3):
            root.send("admin", command_id=7, topic=admin_pb2.ADMIN_TOPIC_PURGE_USER, uid=ANN)
        root.close()
        wait_until(lambda: ann.cookies() == [], "the cookies to be gone")
    wait_until(lambda: holds(machine.state_dir, SECRET) == [], "the disk to follow")


def test_db14_the_command_names_users_and_numbers(xhrd, xhrctl):
    """Of a user's own daemon that user is the administrator."""
    xhrctl("cookies", "set", f"a={SECRET}", "--domain", "a.example", "--max-age", "900", check=0)
    assert "nosuchuser: no such user" in xhrctl("purge-user", "nosuchuser", check=2).err
    assert "purge-user wants a word more: purge-user USER" in xhrctl("purge-user", check=2).err
    assert "another user; ask the system's" in xhrctl("purge-user", "4242", check=2).err
    assert xhrctl("purge-user", str(os.getuid()), check=0).out == \
        "1 cookie, 0 known hosts, 0 stored answers purged\n"
    assert xhrctl("purge-user", "root", "--json", check=0).out == \
        '{"cookies":0,"hosts":0,"answers":0,"not_persisted":false}\n'
    assert holds(xhrd.state_dir, SECRET) == []
    assert xhrctl("cookies", "list", check=0).out == "no cookies\n"
