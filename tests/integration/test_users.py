# SPDX-License-Identifier: MIT
"""Users are apart: who asks is what the kernel says. A uid needs no account to ask."""
import contextlib
import os
import stat
import subprocess

import pytest
from origins import response
from programs import XHRD, Program
from waiting import wait_until
from wire import Client, Closed, envelope_pb2, fetch_pb2

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")]

ANN, BOB = 2001, 2002


@contextlib.contextmanager
def as_user(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def client_of(daemon, uid):
    """A connection made by `uid`: the kernel remembers who connected."""
    with as_user(uid):
        return daemon.client(program=f"uid {uid}")


@pytest.fixture
def machine(make_xhrd, folder):
    """The system's daemon."""
    daemon = make_xhrd("--system")
    folder.chmod(0o711)
    daemon.socket_path.chmod(0o666)
    return daemon


def test_hs10_a_host_that_told_one_user_is_http_to_another(machine, make_tls_origin, origin_raw,
                                                             ca):
    tls = make_tls_origin("strict.example")
    tls.reply(response(b"tls", fields=[("Strict-Transport-Security", "max-age=900")]))
    origin_raw.reply(response(b"plain"))
    network = fetch_pb2.NetworkOptions(connect_to=[
        fetch_pb2.ConnectTo(port=port, to_host=b"127.0.0.1", to_port=to)
        for port, to in ((80, origin_raw.port), (443, tls.port))])
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert ann.fetch("https://strict.example/", network=network, ca=ca.pem).done
        url = "http://strict.example/"
        assert bob.fetch(url, network=network, ca=ca.pem).body == b"plain"
        assert ann.fetch(url, network=network, ca=ca.pem).body == b"tls"


def test_what_one_user_was_given_another_one_does_not_send(machine, origin_raw, folder):
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "who=ann; Max-Age=900"),
                                             ("Set-Cookie", "login=1")]))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert (ann.hello.uid, bob.hello.uid) == (ANN, BOB)
        assert ann.fetch(origin_raw.url()).done
        origin_raw.reply(response(b"hi"))
        assert ann.fetch(origin_raw.url()).head.connection.reused
        exchange = bob.fetch(origin_raw.url())
        assert not exchange.head.connection.reused
        sent = [(r.connection, r.get("Cookie")) for r in origin_raw.requests]
        assert sent == [(0, None), (0, "who=ann; login=1"), (1, None)]
        assert len(ann.cookies()) == 2 and bob.cookies() == []
        assert bob.remove_cookies(domain="127.0.0.1").changed == 0
        assert len(ann.cookies()) == 2
    assert {path.name for path in machine.state_dir.iterdir()} == {str(ANN), str(BOB)}
    for path in machine.state_dir.rglob("*"):
        assert not path.stat().st_mode & 0o077, path


def test_users_see_their_own_and_root_sees_all(machine, origin_raw):
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, machine.client() as root:
        for client in (ann, bob):
            assert client.fetch(origin_raw.url()).done
        assert [row.uid for row in ann.connections()] == [ANN]
        assert [row.uid for row in bob.connections()] == [BOB]
        assert {row.uid for row in bob.pools()} == {BOB}
        assert sorted(row.uid for row in root.connections()) == [ANN, BOB]
        assert root.cookies() == [], "root has a jar of its own, too"


def test_a_users_daemon_serves_that_user_and_root_alone(folder, origin_raw):
    path = folder / "socket"
    os.chown(folder, ANN, ANN)
    with open(folder / "log", "ab") as log:
        daemon = subprocess.Popen(
            [str(XHRD), "--user", "--socket", path, "--state-dir", folder / "state"], user=ANN,
            group=ANN, extra_groups=[], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]})
    wait_until(path.exists, "the daemon to listen")
    try:
        path.chmod(0o666)
        folder.chmod(0o711)
        for uid in (ANN, 0):
            with as_user(uid), Client(path) as client:
                assert client.hello.per_user
        with as_user(BOB), pytest.raises(Closed), Client(path, hello=False) as client:
            client.receive_until(lambda: False)
        assert client.error.kind == envelope_pb2.SessionError.KIND_DENIED
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0


@pytest.mark.parametrize("whose, mode", [("--system", 0o666), ("--user", 0o600)])
def test_socket_is_open_to_those_it_is_for(folder, whose, mode):
    path = folder / "socket"
    run = Program(XHRD, folder).start(whose, "--socket", path, "--state-dir", folder / "state")
    try:
        wait_until(lambda: path.exists() and stat.S_IMODE(path.stat().st_mode) == mode,
                   "the socket to have its mode")
    finally:
        run.terminate()
        run.communicate()


def test_two_users_are_two_connections_of_http2(machine, origin_nginx, ca):
    """What one connection carries is one user's: fifty requests of each, two connections."""
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        seen = {}
        for user in (ann, bob):
            heads = [user.fetch(origin_nginx.h2_url("/hello"), ca=ca.pem).head for _ in range(50)]
            assert {head.http_version for head in heads} == {20}
            seen[user] = {head.connection.connection_id for head in heads}
            assert len(seen[user]) == 1
        assert seen[ann] != seen[bob]
    with machine.client() as root:
        assert root.status().tls_handshakes_full == 2
