# SPDX-License-Identifier: MIT
"""TLS sessions: resumed by whoever may, by nobody else, also after the daemon was started anew;
and files that are not as they should be."""
import json
import os
import pathlib
import signal
import stat

import pytest
from origins import ScriptedOrigin, response, tls_server
from test_tls_terms import pem_of, pin_of, terms
from waiting import wait_until
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

TLS12, TLS13 = 0x0303, 0x0304
NAME, KEY = "tls-sessions", "tls-sessions.key"


def fetch(client, nginx, tls=None, **more):
    """A connection of its own: what the server noted of it. Return: "r" or "." """
    before = len(nginx.log())
    exchange = client.fetch(nginx.url(), no_keep_alive=True, tls=tls, **more)
    assert exchange.done, exchange.text
    entry = wait_until(lambda: nginx.log()[before:], "nginx to write its log")[0]
    assert exchange.head.connection.tls.resumed == (entry[5] == "r")
    return entry[5]


def restart(daemon):
    daemon.stop()
    daemon.start()


# ---- who resumes what -------------------------------------------------------------------------

@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_processes_of_a_user_share_sessions(client, another, origin_nginx, ca, version):
    tls = terms(ca, min_version=version, max_version=version)
    assert fetch(client, origin_nginx, tls) == "."
    assert fetch(another, origin_nginx, tls) == "r"


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("other", ["insecure", "authorities", "pin", "certificate", "version",
                                   "jar", "profile"])
def test_ts09_nothing_is_resumed_under_other_terms(xhrd, client, origin_nginx, ca, other_ca,
                                                   version, other):
    """Neither what was made under the plain terms under the other ones, nor the other way round."""
    def plain(**fields):
        return terms(ca, min_version=version, max_version=version, **fields)

    def make(client):
        return fetch(client, origin_nginx, plain())

    def make_other(client):
        if other == "insecure":
            return fetch(client, origin_nginx, fetch_pb2.TlsOptions(
                insecure=True, min_version=version, max_version=version))
        if other == "authorities":
            more = plain()
            more.ca_pem += other_ca.pem.read_bytes()
            return fetch(client, origin_nginx, more)
        if other == "pin":
            return fetch(client, origin_nginx, plain(pins=[pin_of(ca.pem)]))
        if other == "certificate":
            return fetch(client, origin_nginx, plain(client_certificate=pem_of(ca, "ann")))
        if other == "version":
            return fetch(client, origin_nginx, terms(ca, min_version=version))
        if other == "jar":
            return fetch(client, origin_nginx, plain(), jar="work")
        with xhrd.client(profile="other") as stranger:
            return fetch(stranger, origin_nginx, plain())

    if other == "version" and version == TLS13:
        pytest.skip("1.3 and up is 1.3 exactly")
    assert make(client) == "."
    assert make_other(client) == ".", "under other terms"
    assert make(client) == "r" and make_other(client) == "r", "each its own"


def test_a_ticket_of_tls_1_3_is_shown_once(client, origin_tls, ca):
    """RFC 8446 C.4."""
    origin_tls.tls.num_tickets = 1
    resumed = []

    def get():
        exchange = client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca))
        resumed.append(exchange.head.connection.tls.resumed)

    get()
    assert len(client.tls_sessions()) == 1
    origin_tls.tls.num_tickets = 0
    get()
    assert not client.tls_sessions()
    get()
    assert resumed == [False, True, False]


def test_ts10_tickets_that_come_when_nobody_reads_harm_nobody(client, origin_tls, ca):
    """The answer and its connection are gone when the tickets arrive."""
    origin_tls.tls.num_tickets = 8
    for _ in range(8):
        assert client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca)).done
        aborted = client.open(origin_tls.url(), no_keep_alive=True, tls=terms(ca))
        client.abort(aborted)
        client.finish(aborted)
    assert len(client.tls_sessions()) <= 4


def test_ts13_renegotiation_is_refused(client, make_talker, ca):
    server = make_talker("-tls1_2")
    exchange = client.open(server.url(), tls=terms(ca))
    server.hear("GET / HTTP/1.1")
    server.say("R\n")  # that makes it ask for one
    server.hear("no renegotiation")
    server.say("Q\n")
    assert client.finish(exchange).failed


def test_ts12_a_thousand_tickets_end_the_connection(client, origin_tls, ca):
    origin_tls.tls.num_tickets = 1000
    exchange = client.fetch(origin_tls.url(), tls=terms(ca))
    assert exchange.failed and "tickets and key updates" in exchange.text, exchange.text
    assert len(client.tls_sessions()) <= 4


# ---- on disk ----------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_sessions_outlive_the_daemon(xhrd, origin_nginx, ca, version):
    tls = terms(ca, min_version=version, max_version=version)
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, tls) == "."
    restart(xhrd)
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, tls) == "r", "by the server's own word"
        assert max(row.uses for row in client.tls_sessions()) == 1
    restart(xhrd)
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, tls) == "r"
        assert fetch(client, origin_nginx, terms(ca, pins=[pin_of(ca.pem)])) == "."


def test_sessions_survive_a_kill_once_they_are_written(xhrd, origin_nginx, ca):
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "."
    wait_until((xhrd.state_dir / NAME).exists, "the sessions to be written")
    xhrd.kill()
    xhrd.start()
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "r"


def test_a_spent_ticket_is_not_on_disk_after_a_kill(xhrd, origin_tls, ca):
    """It was written, then taken: a kill must not bring it back."""
    origin_tls.tls.num_tickets = 1
    with xhrd.client() as client:
        assert client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca)).done
        wait_until((xhrd.state_dir / NAME).exists, "the session to be written")
        origin_tls.tls.num_tickets = 0
        second = client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca))
        assert second.head.connection.tls.resumed
        wait_until(lambda: not (xhrd.state_dir / NAME).exists(), "the file to go")
    xhrd.kill()
    xhrd.start()
    with xhrd.client() as client:
        third = client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca))
        assert third.done and not third.head.connection.tls.resumed


def test_what_is_private_or_unverified_never_meets_the_disk(xhrd, client, origin_nginx, ca):
    insecure = fetch_pb2.TlsOptions(insecure=True)
    assert fetch(client, origin_nginx, insecure) == "."
    assert fetch(client, origin_nginx, terms(ca), jar=":private") == "."
    assert [row.persistent for row in client.tls_sessions()].count(True) == 0
    client.close()
    restart(xhrd)
    with xhrd.client() as client:
        assert not client.tls_sessions() and not (xhrd.state_dir / NAME).exists()
        assert fetch(client, origin_nginx, insecure) == "."


def test_files_are_private_and_sealed(xhrd, client, origin_nginx, ca):
    assert fetch(client, origin_nginx, terms(ca)) == "."
    client.close()
    xhrd.stop()
    for name in (NAME, KEY):
        assert stat.S_IMODE((xhrd.state_dir / name).stat().st_mode) == 0o600
    sealed = (xhrd.state_dir / NAME).read_bytes()
    assert sealed.startswith(b"xhrd-tls") and b"localhost" not in sealed
    assert len((xhrd.state_dir / KEY).read_bytes()) == 32
    xhrd.start()


def complaints(xhrd):
    return [line for line in xhrd.log().split("\n") if "tls-sessions" in line]


def spoil(path: pathlib.Path, key: pathlib.Path, how):
    data = path.read_bytes()
    if how == "cut off":
        path.write_bytes(data[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a bit":
        path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif how == "newer":
        path.write_bytes(data[:8] + b"\0\0\0\x02" + data[12:])
    elif how == "noise":
        path.write_bytes(os.urandom(100_000))
    elif how == "too long":
        path.write_bytes(data + b"\0" * (5 << 20))
    elif how == "another key":
        key.write_bytes(os.urandom(32))
    elif how == "no key":
        key.unlink()
    elif how == "cut key":
        key.write_bytes(b"short")
    elif how == "key seen by others":
        key.chmod(0o644)


@pytest.mark.parametrize("how", ["cut off", "empty", "a bit", "newer", "noise", "too long",
                                 "another key", "no key", "cut key", "key seen by others"])
def test_a_file_that_does_not_open_costs_a_handshake_and_one_line(xhrd, origin_nginx, ca, how):
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "."
    xhrd.stop()
    path, key = xhrd.state_dir / NAME, xhrd.state_dir / KEY
    spoil(path, key, how)
    spoiled = path.read_bytes()
    xhrd.start()
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "."
        assert fetch(client, origin_nginx, terms(ca)) == "r", "from memory"
    assert len(complaints(xhrd)) == 1, complaints(xhrd)
    restart(xhrd)
    assert (path.read_bytes() == spoiled) == (how == "newer"), "a later version's is left alone"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == ("." if how == "newer" else "r")


@pytest.mark.parametrize("name", [NAME, KEY])
@pytest.mark.parametrize("how", ["link", "hard link", "folder"])
def test_links_and_folders_are_left_as_they_are(xhrd, folder, origin_nginx, ca, name, how):
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "."
    xhrd.stop()
    path, elsewhere = xhrd.state_dir / name, folder / "elsewhere"
    path.rename(elsewhere)
    if how == "link":
        path.symlink_to(elsewhere)
    elif how == "hard link":
        path.hardlink_to(elsewhere)
    else:
        path.mkdir()
    before = elsewhere.read_bytes()
    xhrd.start()
    with xhrd.client() as client:
        assert fetch(client, origin_nginx, terms(ca)) == "."
    xhrd.stop()
    assert len(complaints(xhrd)) == 1, complaints(xhrd)
    assert elsewhere.read_bytes() == before
    assert path.is_symlink() == (how == "link") and path.is_dir() == (how == "folder")
    if how == "folder":
        path.rmdir()
    else:
        path.unlink()
    xhrd.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_ts09_a_users_sessions_are_his_own_on_disk_too(make_xhrd, folder, origin_nginx, ca):
    from test_users import ANN, BOB, client_of
    machine = make_xhrd("--system")
    folder.chmod(0o711)
    machine.socket_path.chmod(0o666)
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert fetch(ann, origin_nginx, terms(ca)) == "."
        assert fetch(bob, origin_nginx, terms(ca)) == "."
        assert {row.uid for row in ann.tls_sessions()} == {ANN}
    with machine.client() as root:
        assert {row.uid for row in root.tls_sessions()} == {ANN, BOB}
    machine.stop()
    anns, bobs = (machine.state_dir / str(uid) / NAME for uid in (ANN, BOB))
    bobs.write_bytes(anns.read_bytes())
    machine.start()
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        assert fetch(bob, origin_nginx, terms(ca)) == ".", "sealed for another user"
        assert fetch(ann, origin_nginx, terms(ca)) == "r"


# ---- what a user sees -------------------------------------------------------------------------

def test_xhr_and_xhrctl_tell(xhrd, xhr, xhrctl, origin_nginx, ca):
    assert xhrctl("show", "tls-sessions", check=0).out == "no TLS sessions\n"
    url = origin_nginx.url()
    assert xhr("-s", "--cacert", ca.pem, url, check=0).out == "hello\n"
    rows = json.loads(xhrctl("show", "tls-sessions", "--json", check=0).out)
    assert {(row["origin"], row["tls"]) for row in rows} == {(url[:-len("/hello")], "TLSv1.3")}
    assert all(0 < row["left_s"] <= 86400 and row["cipher"] and row["persistent"] for row in rows)
    assert "TLSv1.3" in xhrctl("show", "tls-sessions", check=0).out
    restart(xhrd)
    again = xhr("-sv", "--cacert", ca.pem, url, check=0)
    assert "resumed" in again.err
