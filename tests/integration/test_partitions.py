# SPDX-License-Identifier: MIT
"""Who is apart from whom: uids, profiles and logins, through connections, tickets, cookies and
whatever else is kept. Users are real uids, which takes root; each test says so when it is skipped."""
import os
import pathlib
import random
import signal
import socket
import ssl
import threading

import pytest
from origins import ScriptedOrigin, response, tls_server
from programs import SANITIZED
from test_users import ANN, BOB, as_user, client_of, machine  # noqa: F401
from waiting import wait_until
from wire import Client, admin_pb2, cookie_pb2, fetch_pb2

pytestmark = pytest.mark.shallow
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")

USERS = range(3001, 3009)
OVERFLOW, DYNAMIC = 65534, 62021


# ---- connections, handshakes, tickets ----------------------------------------------------------

@as_root
def test_pl01_two_users_have_two_connections_handshakes_and_tickets(machine, origin_nginx,  # noqa: F811
                                                                   ca):
    url = origin_nginx.url()
    users = [client_of(machine, uid) for uid in (ANN, BOB)]
    try:
        for resumed in (False, True):
            ids = set()
            for user in users:
                head = user.fetch(url, ca=ca.pem, no_keep_alive=True).head
                assert not head.connection.reused
                assert head.connection.tls.resumed == resumed, "each by a ticket of its own"
                ids.add(head.connection.connection_id)
            assert len(ids) == 2
        kept = [user.fetch(url, ca=ca.pem).head.connection for user in users]
        again = [user.fetch(url, ca=ca.pem).head.connection for user in users]
        assert [c.reused for c in kept + again] == [False, False, True, True]
        assert [c.connection_id for c in again] == [c.connection_id for c in kept]
        assert len({c.connection_id for c in kept}) == 2, "which are there at the same time"
        with machine.client() as root:
            status = root.status()
            assert (status.tls_handshakes_full, status.tls_handshakes_resumed) == (2, 4)
            rows = [row for reply in root.admin(admin_pb2.ADMIN_TOPIC_TLS_SESSIONS)
                    for row in reply.tls_sessions]
            assert {row.uid for row in rows} == {ANN, BOB}
    finally:
        for user in users:
            user.close()


def test_pl02_logins_that_bind_a_connection_are_never_begun(client, origin_raw):
    """NTLM and Negotiate log a connection in, not a request. xhrd has neither, so no connection
    can be anybody's: not the first user's, not the second's."""
    origin_raw.reply(response(b"no", status="401 Unauthorized", fields=[
        ("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "NTLM")]))
    for user in (b"user1", b"user2"):
        credentials = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_ANY, user=user,
                                            password=b"secret")
        exchange = client.fetch(origin_raw.url(), credentials=credentials)
        assert exchange.status == 401
    assert len(origin_raw.requests) == 2, "nobody tried"
    assert not any(request.get("Authorization") for request in origin_raw.requests)


def test_pl03_a_request_without_the_certificate_does_not_ride_on_one_that_showed_it(client, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost"))
    context.load_verify_locations(ca.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    shown = []
    origin = ScriptedOrigin(context)

    def script(connection):
        shown.append(bool(connection.sock.getpeercert()))
        origin.answer_all(connection)

    origin.script = script
    origin.reply(response(b"ok"))
    cert, key = ca.issue("client.example", common_name="ann")
    mine = fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(),
                                client_certificate=cert.read_bytes() + key.read_bytes())
    none = fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes())
    try:
        for tls in (mine, none, mine, none):
            assert client.fetch(origin.url(host="localhost"), tls=tls).done
        assert [r.connection for r in origin.requests] == [0, 1, 0, 1]
        assert shown == [True, False]
    finally:
        origin.stop()


def test_pl03_a_login_of_one_request_is_not_on_the_next(client, origin_raw):
    origin_raw.reply(response(b"ok"))
    login = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BASIC, user=b"ann",
                                  password=b"secret", preemptive=True)
    assert client.fetch(origin_raw.url(), credentials=login).done
    assert client.fetch(origin_raw.url()).done
    assert [r.get("Authorization") for r in origin_raw.requests] == ["Basic YW5uOnNlY3JldA==", None]


def test_pl04_without_verifying_nothing_is_left_for_who_verifies(client, make_tls_origin, ca):
    tls = make_tls_origin("localhost")
    tls.reply(response(b"ok"))
    url = tls.url(host="localhost")
    for keep in (False, True):  # a ticket is left, then a connection
        assert client.fetch(url, insecure=True, no_keep_alive=not keep).done
        assert client.fetch(url).failure == "TLS_VERIFY"
    head = client.fetch(url, ca=ca.pem).head
    assert not head.connection.reused and not head.connection.tls.resumed
    assert client.fetch(url, insecure=True).head.connection.reused, "its own is there still"


def test_pl05_the_same_certificate_with_another_key_is_another(client, make_tls_origin, ca):
    """The server does not ask, so that a key which does not fit is noticed by us alone."""
    tls = make_tls_origin("localhost")
    tls.reply(response(b"ok"))
    cert, key = ca.issue("client.example", common_name="ann")
    both = cert.read_bytes() + key.read_bytes()
    other = cert.read_bytes() + ca.issue("client.example", common_name="ann", days=31)[1].read_bytes()

    def terms(pem):
        return fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(), client_certificate=pem)

    url = tls.url(host="localhost")
    assert client.fetch(url, tls=terms(both)).done
    assert client.fetch(url, tls=terms(other)).failure == "ARGUMENT"
    assert client.fetch(url, tls=terms(both)).head.connection.reused
    assert not client.fetch(url, tls=terms(both.replace(b"\n", b"\n\n", 1))).head.connection.reused


@pytest.mark.parametrize("host", ["[fe80::1%25lo]", "[fe80::1%lo]", "[::1%251]"])
def test_pl10_a_zone_has_no_place_in_a_url(client, host):
    exchange = client.fetch(f"http://{host}:1/")
    assert exchange.failure == "URL"


def test_pl11_passwords_that_differ_in_case_are_two(client, make_proxy, origin_raw):
    proxy = make_proxy()
    proxy.reply(response(b"ok"))
    for password in ("Secret", "secret", "Secret"):
        network = fetch_pb2.NetworkOptions()
        network.proxy.http.url = proxy.proxy_url(login=f"ann:{password}").encode()
        exchange = client.fetch(origin_raw.url(), network=network)
        assert exchange.status == 200, exchange.text
    assert exchange.head.connection.reused
    assert [request.connection for request in proxy.requests] == [0, 1, 0]
    logins = [request.get("Proxy-Authorization") for request in proxy.requests]
    assert logins[0] == logins[2] != logins[1]


def test_pl12_each_request_has_the_token_it_was_given(client, another, origin_raw):
    origin_raw.reply(response(b"ok"))

    def bearer(token):
        return fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BEARER, bearer_token=token)

    tokens = [b"token-a", b"token-b", None, b"token-a"]
    for who in (client, another):
        for token in tokens:
            more = {"credentials": bearer(token)} if token else {}
            assert who.fetch(origin_raw.url(), **more).done
    want = ["Bearer token-a", "Bearer token-b", None, "Bearer token-a"]
    assert [request.get("Authorization") for request in origin_raw.requests] == want * 2


# ---- who somebody is ---------------------------------------------------------------------------

@as_root
@pytest.mark.parametrize("uid", [OVERFLOW, DYNAMIC])
def test_ip02_uids_that_are_nobodys_for_long_have_all_in_memory_alone(machine, origin_raw,  # noqa: F811
                                                                      origin_nginx, ca, uid):
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "who=me; Max-Age=9000"),
                                             ("Strict-Transport-Security", "max-age=900")]))
    with client_of(machine, uid) as client:
        assert client.fetch(origin_raw.url()).done
        assert [c.name for c in client.cookies()] == [b"who"]
        assert client.fetch(origin_raw.url()).done
        assert origin_raw.requests[-1].get("Cookie") == "who=me"
        assert client.fetch(origin_raw.url("/stored"), cache=True).done
        assert client.fetch(origin_nginx.url(), ca=ca.pem).done
        with client_of(machine, ANN) as ann:  # she came later, so his would be there, too
            assert ann.fetch(origin_nginx.url(), ca=ca.pem).done
            wait_until((machine.state_dir / str(ANN) / "tls-sessions").exists, "her TLS sessions")
    assert not list(machine.state_dir.glob(f"{uid}*")), "nothing on disk"
    machine.kill()
    machine.start()
    with client_of(machine, uid) as client:
        assert client.cookies() == []


@as_root
@pytest.mark.parametrize("uid", [OVERFLOW, DYNAMIC])
def test_ip02_who_is_given_such_a_uid_next_finds_nothing(make_xhrd, folder, origin_raw, ca, uid):
    """A service with DynamicUser= ends and another one is given its number: cookies that were to
    stay, a connection somebody logged in on, TLS sessions, the last requests."""
    machine = make_xhrd("--system", config="[Cookies]\nSessionGraceSec=0\n")
    folder.chmod(0o711)
    machine.socket_path.chmod(0o666)
    tls = ScriptedOrigin(tls_server(ca))
    tls.reply(response(b"ok", fields=[("Strict-Transport-Security", "max-age=900")]))
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "who=me; Max-Age=9000")]))
    try:
        with client_of(machine, uid) as first, client_of(machine, uid) as second:
            exchange = first.fetch(origin_raw.url())
            assert exchange.done
            assert first.fetch(tls.url(host="localhost"), ca=ca.pem).done
            first.close()
            assert second.fetch(origin_raw.url()).head.connection.reused, "while one is there"
            assert [c.name for c in second.cookies()] == [b"who"]
            assert any(reply.tls_sessions for reply in
                       second.admin(admin_pb2.ADMIN_TOPIC_TLS_SESSIONS))
            assert any(reply.hsts for reply in second.admin(admin_pb2.ADMIN_TOPIC_HSTS))
        wait_until(lambda: f"uid {uid} was purged" in machine.log(), "the last one to have left")
        with client_of(machine, uid) as heir:
            assert heir.cookies() == [] and heir.connections() == []
            assert not any(reply.tls_sessions for reply in
                           heir.admin(admin_pb2.ADMIN_TOPIC_TLS_SESSIONS))
            assert not any(reply.hsts for reply in heir.admin(admin_pb2.ADMIN_TOPIC_HSTS))
            for number in (1, 2, 3):
                told = heir._command("admin", topic=admin_pb2.ADMIN_TOPIC_HISTORY, request=number)
                assert told[-1].HasField("failure"), "the last requests are not his"
            assert not heir.fetch(origin_raw.url()).head.connection.reused
            assert origin_raw.requests[-1].get("Cookie") is None
        with client_of(machine, ANN) as ann:
            assert ann.fetch(origin_raw.url()).done
        with client_of(machine, ANN) as ann:  # whose uid is hers
            assert [c.name for c in ann.cookies()] == [b"who"]
            assert len(ann.connections()) == 1
    finally:
        tls.stop()


@as_root
def test_ip03_what_is_anothers_is_as_what_is_not_there(machine, origin_raw):  # noqa: F811
    release = threading.Event()

    def script(connection):
        connection.request()
        release.wait(60)
        connection.send(response(b"whole"))
        connection.wait_gone()

    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob:
        made = ann.cookie_command("secret", jar_create=cookie_pb2.JarCreate())[-1]
        assert made.changed == 1
        origin_raw.script = script
        mine = ann.open(origin_raw.url())
        wait_until(lambda: origin_raw.requests, "the request")
        # Jars: whether there is one is nobody's to learn.
        answers = [bob.fetch(origin_raw.url(), jar=f"{ANN}/{name}") for name in ("secret", "none")]
        assert {(a.failure, a.text) for a in answers} == {("POLICY", answers[0].text)}
        # Requests: numbers are each connection's own.
        for kind, fields in (("abort", {}), ("credit", {"bytes": 1}), ("body_end", {}),
                             ("body", {"data": b"x"})):
            bob.send(kind, request_id=mine.request_id, **fields)
        assert bob.requests() == [] and len(ann.requests()) == 1
        release.set()
        ann.finish(mine)
        assert mine.body == b"whole"


@as_root
def test_ip03_cd09_status_tells_nobody_of_what_others_do(machine, origin_raw):  # noqa: F811
    """A sum over all would grow when another one asks, by as much as he was told."""
    def seen(status):
        return {field.name: value for field, value in status.ListFields()
                if field.name not in ("version", "pid", "uptime_s", "state_dir", "socket_path",
                                      "log_level")}

    origin_raw.reply(response(b"twelve bytes", fields=[("Set-Cookie", "a=1; Max-Age=900")]))
    with client_of(machine, BOB) as bob, machine.client() as root:
        before = seen(bob.status())
        with client_of(machine, ANN) as ann:
            for _ in range(3):
                assert ann.fetch(origin_raw.url()).done
            assert seen(bob.status()) == before == {"clients": 1}
            own, all_of_them = ann.status(), root.status()
            assert (own.clients, own.requests_total, own.bytes_down, own.cookies) == (1, 3, 36, 1)
            assert (own.connections_open, own.connections_opened, own.connections_reused) \
                == (1, 1, 2)
            assert (all_of_them.clients, all_of_them.requests_total) == (3, 3)


@as_root
def test_ip03_what_others_hold_is_not_shown(machine):  # noqa: F811
    def rows(client):
        return [row for reply in client.admin(admin_pb2.ADMIN_TOPIC_USAGE) for row in reply.usage]

    with client_of(machine, ANN), client_of(machine, BOB) as bob, machine.client() as root:
        assert {(row.uid, row.of_daemon) for row in rows(bob)} == {(BOB, False)}
        assert {ANN, BOB} < {row.uid for row in rows(root)}
        assert any(row.of_daemon for row in rows(root))


@as_root
def test_ip04_who_connected_counts_not_who_he_is_when_he_is_let_in(machine):  # noqa: F811
    """He is of another uid by the time the daemon looks: what the kernel noted stands."""
    os.kill(machine.pid, signal.SIGSTOP)
    try:
        with as_user(ANN):
            client = Client(machine.socket_path, hello=False)
    finally:
        os.kill(machine.pid, signal.SIGCONT)
    with client, as_user(BOB):
        client.send("hello", protocol=1)
        client.receive_until(lambda: client.hello)
    assert client.hello.uid == ANN


@as_root
def test_ip04_a_socket_that_was_passed_on_is_still_its_first_owners(machine, origin_raw):  # noqa: F811
    origin_raw.reply(response(b"hi", fields=[("Set-Cookie", "who=ann; Max-Age=900")]))
    ann = client_of(machine, ANN)
    ours, theirs = socket.socketpair()
    answers, answered = os.pipe()
    child = os.fork()
    if child == 0:  # another process, of another user, with the socket that came by SCM_RIGHTS
        status = 1
        try:
            os.setgid(BOB)
            os.setuid(BOB)
            _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
            ann.sock.close()
            ann.sock = socket.socket(fileno=fds[0])
            ann.sock.settimeout(30)
            exchange = ann.fetch(origin_raw.url())
            rows = [row.uid for row in ann.connections()]
            os.write(answered, repr((exchange.status, rows, len(ann.cookies()))).encode())
            status = 0
        finally:
            os._exit(status)
    socket.send_fds(ours, [b"x"], [ann.sock.fileno()])
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(answers, 4096).decode() == repr((200, [ANN], 1))
    for fd in (answers, answered):
        os.close(fd)
    ours.close()
    theirs.close()
    with client_of(machine, BOB) as bob:
        assert bob.cookies() == []
    with client_of(machine, ANN) as again:
        assert [c.value for c in again.cookies()] == [b"ann"]
    ann.close()


# ---- what may be asked for -------------------------------------------------------------------

FOREIGN = ["file:///etc/passwd", "file://localhost/etc/passwd", "unix:/run/x.sock",
           "http+unix://%2Frun%2Fx.sock/", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "data:,x",
           "ws://127.0.0.1/", "\0abstract", "/etc/passwd"]


@pytest.mark.parametrize("url", FOREIGN)
def test_cd01_no_file_and_no_local_socket_is_fetched(client, url):
    exchange = client.fetch(url)
    assert exchange.failure in ("URL", "POLICY", "ARGUMENT") and not exchange.body


@pytest.mark.parametrize("location", ["file:///etc/passwd", "unix:/run/x", "ftp://127.0.0.1/"])
def test_cd01_no_redirect_leads_there(client, origin_raw, location):
    origin_raw.reply(response(status="302 Found", fields=[("Location", location)]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.failure == "POLICY" and not exchange.body


@pytest.mark.parametrize("address", [b"/run/x.sock", b"@abstract", b"\0abstract", b"unix:/run/x"])
def test_cd01_no_socket_stands_in_for_an_address(client, origin_raw, folder, address):
    network = fetch_pb2.NetworkOptions()
    network.resolve.add(host=b"a.test", port=80, addresses=[address])
    assert client.fetch("http://a.test/", network=network).failure == "ARGUMENT"
    network = fetch_pb2.NetworkOptions()
    network.proxy.http.url = b"unix://" + address
    assert client.fetch(origin_raw.url(), network=network).failed
    assert not origin_raw.requests


def readable_memory(pid):
    """Everything the process has written to and that can be read."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if "w" not in mode or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                continue


def places_of(secret, pid):
    return sum(part.count(secret) for part in readable_memory(pid))


@as_root
@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed, to see who uses it still")
def test_cd08_a_key_is_gone_from_memory_with_its_last_user(xhrd, ca, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost"))
    context.load_verify_locations(ca.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    origin = ScriptedOrigin(context)
    origin.reply(response(b"ok"))
    cert, key = ca.issue("client.example", common_name="ann")
    pem = key.read_bytes()
    secret = b"".join(line for line in pem.splitlines() if b"-----" not in line)[24:56]
    assert secret in pem.replace(b"\n", b"")
    tls = fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(),
                               client_certificate=cert.read_bytes() + pem)
    try:
        with xhrd.client() as client:
            marker = b"an-easy-thing-to-find-in-memory"
            release = threading.Event()
            origin.answer = lambda request: release.wait(60) and response(b"ok")
            held = client.open(origin.url(f"/{marker.decode()}", host="localhost"), tls=tls,
                               no_keep_alive=True)
            wait_until(lambda: origin.requests, "the request")
            assert places_of(marker, xhrd.pid) > 0, "this way of looking finds what is there"
            release.set()
            assert client.finish(held).done
            for _ in range(20):  # buffers that all share are written over, and no memory is used again
                client.send("body", request_id=12345, data=b"x" * 16000)
            client.status()
            assert client.connections() == []
            assert places_of(secret, xhrd.pid) == 0
    finally:
        origin.stop()


# ---- all of it at once -------------------------------------------------------------------------

class Witness:
    """An origin that sets each user's cookie and writes down whatever does not belong together."""

    def __init__(self):
        self.origin = ScriptedOrigin()
        self.origin.script = self.serve
        self.wrong, self.seen, self.lock = [], 0, threading.Lock()

    def serve(self, connection):
        owner = None
        while True:
            request = connection.request_head()
            name = request.get("X-Who")
            cookie, login = request.get("Cookie"), request.get("Authorization")
            problem = ((owner not in (None, name) and f"{name} on a connection of {owner}")
                       or (cookie not in (None, f"who={name}") and f"{name} sent {cookie}")
                       or (login not in (None, f"Bearer {name}") and f"{name} sent {login}"))
            owner = name
            with self.lock:
                self.seen += 1
                if problem:
                    self.wrong.append(problem)
            fields = [("Cache-Control", "max-age=9000")] if request.target == "/stored" else \
                [("Set-Cookie", f"who={name}; Path=/; Max-Age=9000")]
            connection.send(response(name.encode(), fields=fields))


def interleave(daemon, witness, total, at_once=16):
    """Eight users with two profiles each, in an order that chance makes, many at a time. Return: how
    many of their answers had been stored."""
    order = random.Random(7)
    clients, under_way, stored = {}, [], 0
    for uid in USERS:
        for profile in ("", "work"):
            with as_user(uid):
                clients[f"{uid}{profile}"] = daemon.client(profile=profile)
    try:
        for n in range(total):
            name = order.choice(list(clients))
            more = {"headers": [("X-Who", name)]}
            target = f"/{n}"
            if order.random() < 0.5:
                more["credentials"] = fetch_pb2.Credentials(
                    scheme=fetch_pb2.AUTH_SCHEME_BEARER, bearer_token=name.encode())
            elif order.random() < 0.2:  # one URL for all, and an answer that names who asked
                target, more["cache"] = "/stored", True
            exchange = clients[name].open(witness.origin.url(target), **more)
            under_way.append((name, exchange))
            if len(under_way) >= at_once:
                stored += finish(clients, under_way.pop(order.randrange(at_once)))
        while under_way:
            stored += finish(clients, under_way.pop())
        for name, client in clients.items():
            assert {c.value.decode() for c in client.cookies()} <= {name}
        return stored
    finally:
        for client in clients.values():
            client.close()


def finish(clients, one):
    name, exchange = one
    clients[name].finish(exchange)
    assert exchange.body == name.encode(), (name, exchange.text, exchange.body)
    del clients[name].exchanges[exchange.request_id]
    return exchange.head.from_cache == fetch_pb2.FROM_CACHE_HIT


@as_root
@pytest.mark.xhrd(arguments=["--log-level", "warning"])
def test_ck30_pl01_eight_users_and_two_profiles_interleaved_cross_nowhere(make_xhrd, folder):
    check_apart(make_xhrd, folder, 5000)


@pytest.mark.soak
@as_root
def test_a_hundred_thousand_requests_of_eight_users_cross_nowhere(make_xhrd, folder):
    check_apart(make_xhrd, folder, 100000)


def check_apart(make_xhrd, folder, total):
    daemon = make_xhrd("--system", "--log-level", "warning")
    folder.chmod(0o711)
    daemon.socket_path.chmod(0o666)
    witness = Witness()
    try:
        stored = interleave(daemon, witness, total)
        assert witness.wrong == [] and witness.seen == total - stored and stored > total / 100
        with daemon.client() as root:
            status = root.status()
            assert status.requests_total == total and status.requests_failed == 0
            assert status.connections_reused > total / 3, "users do share their own connections"
            owners = {(row.uid, row.profile) for row in root.connections()}
            assert owners <= {(uid, profile) for uid in USERS for profile in ("", "work")}
    finally:
        witness.origin.stop()
