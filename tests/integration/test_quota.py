# SPDX-License-Identifier: MIT
"""What all clients of a user hold together is bounded (IP20): the message that does not fit fails
with quota, its connection goes on, and nobody else notices."""
import contextlib
import socket

import pytest
from h2_origin import H2Origin
from origins import response
from programs import SANITIZED
from test_policy import ANN, BOB, ROOT_ONLY, client_of, machine  # noqa: F401: a fixture
from waiting import wait_until
from wire import (ClientMessage, FRAME_MAX, admin_pb2, as_bytes, cookie_pb2, fetch_pb2, framed,
                  stream, varint)

pytestmark = [pytest.mark.shallow]
ONE_MIB = "QueuedBytesPerUser=1M\n"
HALF_FRAME = 960_000  # of a MiB, of which a sixteenth is kept free


def queued(client, uid):
    rows = [row for reply in client.admin(admin_pb2.ADMIN_TOPIC_USAGE) for row in reply.usage]
    used = [row.used for row in rows if row.what == b"queued" and row.uid == uid]
    return sum(used)


@contextlib.contextmanager
def much_held(client, watcher, uid=0):
    """`client` has sent most of a frame, and no more."""
    client.send_bytes(varint(FRAME_MAX - 1) + b"\x12" + bytes(HALF_FRAME - 4))
    wait_until(lambda: queued(watcher, uid) >= HALF_FRAME, "the half frame is held")
    yield
    client.close()
    wait_until(lambda: queued(watcher, uid) < HALF_FRAME, "it is let go")


def status_works(client):
    assert client.status().pid


@ROOT_ONLY
def test_ip20_what_does_not_fit_fails_and_its_connection_and_everybody_else_go_on(machine,  # noqa: F811
                                                                                  origin_raw):
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}")
    origin_raw.answer = lambda request: response(b"hello\n")
    url, big = origin_raw.url(), b"x" * 250_000
    with daemon.client() as root, client_of(daemon, ANN) as holder, \
            client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        upload = ann.open(url, "PUT", body=stream(), suppressed_headers=[b"Expect"])
        ann.receive_until(lambda: upload.states)
        with much_held(holder, root, ANN):
            assert ann.fetch(url, "POST", body=big).failure == "QUOTA"
            assert ann.fetch(url, headers=[("X-Long", "y" * 60_000)] * 3).failure == "QUOTA"
            ann.body_chunk(upload, bytes(60_000))
            ann.body_chunk(upload, bytes(5_000))  # crosses the failure, and is ignored
            ann.body_end(upload)
            assert ann.finish(upload).failure == "QUOTA"
            # The number stands at the frame's end: protobuf lets fields come in any order.
            ann.exchanges[77] = exchange = type(upload)(ann, 77)
            inner = b"\x1a" + varint(len(big)) + big + b"\x08\x4d"
            ann.send_bytes(framed(b"\x12" + varint(len(inner)) + inner))
            assert ann.finish(exchange).failure == "QUOTA"
            cookies = [cookie_pb2.Cookie(name=b"n%d" % i, value=b"v" * 4000, domain=b"a.example",
                                         path=b"/") for i in range(60)]
            ann.send("cookie", command_id=500, add_all=cookie_pb2.CookieAddAll(cookies=cookies))
            ann.receive_until(lambda: ann.replies)
            reply = ann.replies.pop()
            assert reply.command_id == 500 and reply.failure.text, reply
            ann.send("admin", command_id=501, topic=admin_pb2.ADMIN_TOPIC_CACHE,
                     host=b"a" * 200_000)
            ann.receive_until(lambda: ann.replies)
            assert ann.replies.pop().failure.text
            assert ann.fetch(url).body == b"hello\n", "what fits succeeds meanwhile"
            assert bob.fetch(url, "POST", body=big).done
            assert queued(root, ANN) <= 1 << 20
        assert ann.fetch(url, "POST", body=big).done
        assert not ann.error and queued(root, ANN) == 0


@ROOT_ONLY
def test_ip20_descriptors_that_come_with_what_does_not_fit_are_closed(machine, origin_raw,  # noqa: F811
                                                                      folder):
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}")
    origin_raw.answer = lambda request: response(b"hello\n")
    with daemon.client() as root, client_of(daemon, ANN) as holder, client_of(daemon, ANN) as ann:
        with much_held(holder, root, ANN), open(folder / "out", "w+b") as file:
            before = len(daemon.fds())
            failed = ann.fetch(origin_raw.url(), headers=[("X-Long", "y" * 60_000)] * 3,
                               response_fd=fetch_pb2.ResponseFd(), fds=[file.fileno()])
            assert failed.failure == "QUOTA" and len(daemon.fds()) == before
            into = ann.fetch(origin_raw.url(), response_fd=fetch_pb2.ResponseFd(),
                             fds=[file.fileno()])
            assert into.done and (folder / "out").read_bytes() == b"hello\n"


@ROOT_ONLY
def test_ip20_a_frame_larger_than_all_a_user_may_hold_fails(machine, origin_raw):  # noqa: F811
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}")
    with client_of(daemon, ANN) as ann:
        for size in (700_000, 1_000_000, 1_040_000):
            exchange = ann.fetch(origin_raw.url(), "POST", body=bytes(size))
            assert exchange.failure == "QUOTA" and "bytes" in exchange.text
        status_works(ann)


@ROOT_ONLY
def test_ip20_many_clients_of_one_user_fill_the_quota_and_each_sends_one_more(machine,  # noqa: F811
                                                                              origin_raw):
    daemon = machine("")  # 12 MiB
    origin_raw.answer = lambda request: response(b"hello\n")
    request = fetch_pb2.OpenRequest(
        request_id=1, method=b"POST", url=as_bytes(origin_raw.url()),
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE,
        response_credit_bytes=1000)
    request.body.inline_bytes = bytes(300_000)
    frame = framed(ClientMessage(open=request).SerializeToString())
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(daemon.client())
        bob = stack.enter_context(client_of(daemon, BOB))
        crowd = [stack.enter_context(client_of(daemon, ANN)) for _ in range(60)]
        for client in crowd:  # 18 MB, less a byte each
            client.send_bytes(frame[:-1])
            assert queued(root, ANN) <= 12 << 20
        assert SANITIZED or daemon.rss_kib() - daemon.rss_before_kib < 16 << 10
        assert bob.fetch(origin_raw.url(), "POST", body=bytes(300_000)).done
        for client in crowd:
            client.exchanges[1] = type(bob.exchanges[1])(client, 1)
            client.send_bytes(frame[-1:])
        endings = [client.finish(client.exchanges[1]).failure for client in crowd]
        assert set(endings) <= {None, "QUOTA"} and endings.count("QUOTA") >= 15, endings
        for client in crowd:
            client._next_id = 1
            assert client.fetch(origin_raw.url()).done
        wait_until(lambda: queued(root, ANN) == 0, "all is let go")


@ROOT_ONLY
def test_ip20_answers_that_find_no_room_fail_their_requests_and_end_no_connection(machine,  # noqa: F811
                                                                                 origin_raw):
    """Heads, redirects, hops and bodies for clients that do not read, 20 times what they may hold."""
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}[Network]\nConnectionsPerHost=64\n")
    long = [("X-Long", "y" * 15_000)] * 4
    origin_raw.answer = lambda request: response(
        b"z" * 100_000, fields=long) if request.target == "/end" else response(
        b"", status="302 Found", fields=[*long, ("Location", "/end")])
    with contextlib.ExitStack() as stack:
        root, bob = stack.enter_context(daemon.client()), stack.enter_context(client_of(daemon, BOB))
        deaf = [stack.enter_context(client_of(daemon, ANN)) for _ in range(10)]
        opened = {client: [client.open(origin_raw.url("/" if n % 2 else "/end"), tell_hops=True)
                           for n in range(15)] for client in deaf}
        # One client may have its fill, and its requests wait until it reads.
        wait_until(lambda: root.status().requests_active <= 15, "most of them are over")
        assert queued(root, ANN) <= 1 << 20
        assert bob.fetch(origin_raw.url("/end")).done
        failures = set()
        for client, exchanges in opened.items():
            client.finish(*exchanges)
            failures |= {exchange.failure for exchange in exchanges}
            whole = [exchange for exchange in exchanges if not exchange.failure]
            assert all(len(exchange.body) == 100_000 for exchange in whole)
        assert failures == {None, "QUOTA"}
        wait_until(lambda: queued(root, ANN) == 0, "all is read")
        for client in deaf:
            assert client.fetch(origin_raw.url("/end")).done


@ROOT_ONLY
@pytest.mark.parametrize("way", ["http/1.1", "chunked", "http/2"])
def test_ip20_what_servers_sent_and_nobody_took_is_its_users_to_pay(machine, origin_raw, way):  # noqa: F811
    """Answers without credit, each over a connection of its own."""
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}")
    body = b"z" * 200_000
    with contextlib.ExitStack() as stack:
        more, url = {}, origin_raw.url
        if way == "http/2":
            peer = H2Origin()
            stack.callback(peer.base.stop)
            peer.on_end = lambda conn, on: conn.respond(on, body)
            more, url = dict(http_version=fetch_pb2.HTTP_VERSION_2), peer.url
        else:
            chunks = b"".join(b"4e20\r\n" + body[:20_000] + b"\r\n" for _ in range(10)) + b"0\r\n\r\n"
            origin_raw.reply(response(body) if way == "http/1.1" else response(
                chunks, fields=[("Transfer-Encoding", "chunked")], length=False))
        root, bob, ann = (stack.enter_context(client_of(daemon, uid)) for uid in (0, BOB, ANN))
        ann.auto_credit = False
        port, waiting = int(url().split(":")[2].split("/")[0]), []
        for n in range(40):
            name = f"n{n}.test"
            waiting.append(ann.open(url(host=name), credit=0, resolve=[(name, port)], **more))
            ann.receive_until(lambda: waiting[-1].head or waiting[-1].ended)  # noqa: B023
        wait_until(lambda: ann.status() and any(e.failure for e in waiting), "too much of it")
        assert queued(root, ANN) <= 1 << 20
        assert bob.fetch(url(), **more).body == body
        assert {exchange.failure for exchange in waiting} == {None, "QUOTA"}
        held = [exchange for exchange in waiting if not exchange.ended]
        for exchange in held[2:]:  # makes room for the others
            ann.abort(exchange)
        ann.finish(*held[2:])
        for exchange in held[:2]:
            ann.send("credit", request_id=exchange.request_id, bytes=1 << 20)
            assert ann.finish(exchange).body == body
        wait_until(lambda: queued(root, ANN) == 0, "all is let go")


@ROOT_ONLY
def test_ip20_who_asks_and_never_reads_holds_no_more_than_his_user_may(machine):  # noqa: F811
    """Each refusal must be told, whatever is held: so who does not read is not read from."""
    daemon = machine(f"[User {ANN}]\n{ONE_MIB}")
    wrong = framed(ClientMessage(open=fetch_pb2.OpenRequest(request_id=5)).SerializeToString())
    with daemon.client() as root, client_of(daemon, ANN) as ann, client_of(daemon, BOB) as bob:
        ann.sock.settimeout(1)
        sent = 0
        with contextlib.suppress(socket.timeout):
            while sent < 64 << 20:
                sent += ann.sock.send(wrong * 10_000)
        assert sent < 64 << 20, "it was read from all the time"
        assert queued(root, ANN) <= 1 << 20
        status_works(bob)
        status_works(root)
        ann.sock.setblocking(False)
        heard = 0

        def hear():
            nonlocal heard
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard += len(ann.sock.recv(1 << 20))
            return queued(root, ANN) == 0 and heard >= sent // len(wrong) * 50

        wait_until(hear, "an answer to each")


@pytest.mark.xhrd(config=f"[Limits]\n{ONE_MIB}")
def test_ip20_xhr_says_that_its_user_holds_too_much(xhrd, xhr, origin_raw, another):
    origin_raw.answer = lambda request: response(b"hello\n")
    with xhrd.client() as holder, much_held(holder, another):
        ran = xhr("-d", "x" * 100_000, origin_raw.url(), check=102)
        assert b"quota" in ran.stderr or b"holds too many bytes" in ran.stderr, ran.stderr
        xhr(origin_raw.url())
    xhr("-d", "x" * 100_000, origin_raw.url())


@pytest.mark.xhrd(config=f"[Limits]\n{ONE_MIB}")
def test_ip20_libxhr_fails_the_request_that_did_not_fit_and_no_other(xhrd, origin_raw, another):
    import libxhr
    origin_raw.answer = lambda request: response(b"hello\n")
    client = libxhr.Client(xhrd.socket_path)
    with xhrd.client() as holder, much_held(holder, another):
        requests = []
        for size in (10, 200_000, 20):
            request = client.request()
            request.open(origin_raw.url(), "POST")
            assert request.send(request.body("BYTES", b"x" * size)) == 0
            requests.append(request)
        for request in requests:
            request.finish()
        assert [r.words[-1] for r in requests] == ["load", "error:quota", "load"]
        again = client.request()
        again.open(origin_raw.url(), "POST")
        assert again.send(again.body("BYTES", b"x")) == 0
        again.finish()
        assert again.words[-1] == "load"
    client.close()
