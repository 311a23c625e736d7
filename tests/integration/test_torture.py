# SPDX-License-Identifier: MIT
"""Failure torture: each allocation and each call of the system that a request takes, in the daemon
and in its libraries, fails once. The request then loads, or fails, or its client is let go; what
is loaded is right; nobody hangs, the daemon lives and serves the next one, and in the end it holds
nothing more than before (the fixture). A sample of the calls in CI, all of them in the soak."""
import contextlib
import gzip
import os

import origins
import pytest
from h2_origin import H2Origin
from origins import response
from programs import SANITIZED
from proxies import ScriptedProxy, options
from torture import KINDS, Rack
from wire import Closed, admin_pb2, cookie_pb2, fetch_pb2, stream

# A sanitizer's allocator is its own: allocations fail in the other builds.
HERE = [kind for kind in KINDS if not (SANITIZED and kind == "allocations")]
SAMPLE = 8  # of each scenario and kind
SOAK_S = int(os.environ.get("XHRD_SOAK_SECONDS", "600"))  # a shorter soak leaves some out
BODY = bytes(range(256)) * 8
LAST = ("Connection", "close")  # each run begins with connections of its own
PACKED = gzip.compress(BODY)
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n800\r\n" + BODY
           + b"\r\n0\r\n\r\n")
DIGEST = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_DIGEST, user=b"ali", password=b"sesame")
CHALLENGE = 'Digest realm="cave", qop="auth", nonce="n", algorithm=SHA-256'


def answer(request):
    """By path, what a scenario needs."""
    path = request.target.partition("?")[0]
    if path == "/kept":
        return response(BODY)
    if path == "/packed":
        return response(PACKED, fields=[("Content-Encoding", "gzip"), LAST])
    if path == "/chunked":
        return CHUNKED
    if path == "/away":
        return response(status="302 Found", fields=[("Location", "/"), LAST])
    if path == "/cookie":
        return response(BODY, fields=[("Set-Cookie", "a=1; Max-Age=1000"), ("Set-Cookie", "b=2"), LAST])
    if path == "/login" and not request.get("Authorization"):
        return response(b"who?", status="401 Unauthorized",
                        fields=[("WWW-Authenticate", CHALLENGE), LAST])
    if path == "/cached":
        return response(BODY, fields=[("Cache-Control", "max-age=1000"), ("ETag", '"1"'), LAST])
    if path == "/strict":
        return response(BODY, fields=[("Strict-Transport-Security", "max-age=1000"), LAST])
    return response(BODY, fields=[LAST])


class World:
    """What the scenarios ask of: one daemon on the rack, and servers of each kind."""

    def __init__(self, rack, ca, folder):
        self.rack, self.daemon, self.plan, self.folder = rack, rack.daemon, rack.plan, folder
        self.http = origins.ScriptedOrigin()
        self.https = origins.ScriptedOrigin(origins.tls_server(ca))
        self.http.answer = self.https.answer = answer
        self.h2 = H2Origin(ca)
        self.h2.on_end = lambda conn, stream: conn.respond(stream, BODY)
        self.proxy = ScriptedProxy()
        self.proxy.answer = answer
        self.ca, self.run = ca.pem, 0

    def stop(self):
        for server in (self.http, self.https, self.h2, self.proxy):
            server.stop()

    def forget(self):
        """The servers' own books, which grow with each run."""
        for server in (self.http, self.https, self.h2.base, self.proxy):
            for connection in server.connections:
                connection.close()
            del server.connections[:], server.requests[:], server.faults[:]
            server._threads = [thread for thread in server._threads if thread.is_alive()]
        del self.h2.conns[:], self.h2.requests[:], self.h2.goaways[:]


def load(client, url, **more):
    """One request to its end: a right body, or a failure."""
    exchange = client.finish(client.open(url, **more))
    assert exchange.failed or exchange.status != 200 or exchange.body == BODY, (
        exchange.status, len(exchange.body), exchange.header("Content-Length"))
    return exchange


def stream_up(client, url):
    exchange = client.open(url, method="PUT", body=stream(len(BODY)))
    client.send_all(exchange, BODY, end=True)


def from_descriptor(world, client):
    path = world.folder / "up"
    path.write_bytes(BODY)
    with open(path, "rb") as file:
        body = fetch_pb2.RequestBody(fd=fetch_pb2.FdBody())
        body.fd.length_bytes = len(BODY)
        exchange = load(client, world.http.url(), method="PUT", body=body, fds=[file.fileno()])
    assert exchange.failed or world.http.requests[-1].body == BODY


def to_descriptor(world, client):
    with open(world.folder / "down", "w+b") as file:
        exchange = client.fetch(world.http.url(), response_fd=fetch_pb2.ResponseFd(sync=True),
                                fds=[file.fileno()])
    assert exchange.failed or (world.folder / "down").read_bytes() == BODY


def leaves(world, client):
    """An abort amid the answer."""
    exchange = client.open(world.http.url("/"), credit=100)
    client.receive_until(lambda: exchange.body or exchange.ended)
    client.abort(exchange)
    client.finish(exchange)


def looks(world, client):
    client.status()
    client.connections()
    client.pools()
    client.tls_sessions()
    client.admin(admin_pb2.ADMIN_TOPIC_METRICS)


def cookies(world, client):
    client.watch()
    url = world.http.url().encode()
    client.cookie_command(set=cookie_pb2.CookieSet(
        url=url, cookie=cookie_pb2.Cookie(name=b"c", value=b"3")))
    client.cookies()
    client.remove_cookies()


def many(world, client):
    client.finish(*[client.open(world.http.url(f"/kept?{n}")) for n in range(8)])


def cached(world, client):
    url = world.http.url(f"/cached?{world.run}")
    for _ in range(2):
        load(client, url, cache=True)


def through(world, client, url):
    load(client, url, ca=world.ca, network=options(world.proxy.proxy_url()))


SCENARIOS = {
    "get": lambda w, c: load(c, w.http.url()),
    "kept connection": lambda w, c: (load(c, w.http.url("/kept")), load(c, w.http.url("/"))),
    "chunks": lambda w, c: load(c, w.http.url("/chunked")),
    "gzip": lambda w, c: load(c, w.http.url("/packed")),
    "post": lambda w, c: load(c, w.http.url(), method="POST", body=BODY),
    "stream": lambda w, c: stream_up(c, w.http.url()),
    "body from a descriptor": from_descriptor,
    "answer to a descriptor": to_descriptor,
    "redirect": lambda w, c: load(c, w.http.url("/away")),
    "cookies of a server": lambda w, c: (load(c, w.http.url("/cookie")), load(c, w.http.url())),
    "digest": lambda w, c: load(c, w.http.url("/login"), credentials=DIGEST),
    "https": lambda w, c: load(c, w.https.url(), ca=w.ca),
    "https, resumed": lambda w, c: (load(c, w.https.url(), ca=w.ca), load(c, w.https.url(), ca=w.ca)),
    "h2": lambda w, c: load(c, w.h2.url(), ca=w.ca, no_keep_alive=True),
    "proxy": lambda w, c: through(w, c, w.http.url()),
    "tunnel": lambda w, c: through(w, c, w.https.url()),
    "cache": cached,
    "strict host": lambda w, c: load(c, w.https.url("/strict", host="localhost"), ca=w.ca),
    "name": lambda w, c: load(c, w.http.url(host="localhost")),
    "abort": leaves,
    "many at once": many,
    "refused": lambda w, c: c.fetch("http://127.0.0.1:1/"),
    "cookies by hand": cookies,
    "administration": looks,
}


@pytest.fixture
def world(make_xhrd, ca, folder):
    rack = Rack(make_xhrd, folder)
    made = World(rack, ca, folder)
    yield made
    made.stop()
    rack.close()


def once(world, scenario, kind, at):
    """Return: (calls there were, the one that failed)."""
    world.run += 1
    world.plan.arm(kind, at)
    try:
        with contextlib.suppress(Closed, BrokenPipeError, ConnectionResetError):
            with world.daemon.client() as client:
                SCENARIOS[scenario](world, client)
    except Exception as fault:
        count, what = world.plan.disarm()
        raise AssertionError(f"{scenario}, {kind} {at} of {count} ({what}): {fault!r}") from fault
    finally:
        count, what = world.plan.disarm()
    return count, what


def still_serves(world, scenario, kind, at, what):
    where = f"{scenario}, {kind} {at} ({what})"
    assert world.daemon.alive(), where
    with world.daemon.client() as client:
        healthy = client.fetch(world.http.url("/healthy"))
        assert healthy.done and healthy.body == BODY, f"{where}: {healthy.text}"


def walk(world, scenario, kind, most=None):
    """Let the first, or every so many-th, fail, until there are no more."""
    total, _ = once(world, scenario, kind, 1 << 62)
    step = max(1, total // most) if most else 1
    at = 1 + (sum(scenario.encode()) % step)  # not the same ones in each scenario
    while True:
        _, what = once(world, scenario, kind, at)
        if not what:
            return
        still_serves(world, scenario, kind, at, what)
        if world.run % 100 == 0:
            world.forget()
        at += step


@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_some_of_its_calls_fail_and_the_daemon_goes_on(world, scenario, kind):
    walk(world, scenario, kind, SAMPLE)


@pytest.mark.soak
@pytest.mark.parametrize("kind", HERE)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_of_its_calls_fails_and_the_daemon_goes_on(world, scenario, kind):
    walk(world, scenario, kind, None if SOAK_S >= 600 else max(SAMPLE, SOAK_S))
