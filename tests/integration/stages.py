# SPDX-License-Identifier: MIT
"""Requests held at each stage of their life, for tests that abort, leave or wait there."""
import contextlib
import socket
import time

from waiting import wait_until
from wire import stream


class FullBacklog:
    """A port where a connection is neither taken nor refused: its queue is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self._fill = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fill.append(filler)

    def stop(self):
        for sock in (*self._fill, self.listener):
            sock.close()


def mute(connection):
    """Take everything, say nothing."""
    connection.wait_gone()


def deaf(connection):
    """Read the head, and then nothing at all until the client is gone."""
    connection.request_head()
    connection.closed.wait(60)


def silent(connection):
    connection.request()
    connection.wait_gone()


def half_a_head(connection):
    connection.request()
    connection.send_and_see_read(b"HTTP/1.1 200 OK\r\nContent-")
    connection.has_said_half = True
    connection.wait_gone()


def half_a_body(connection):
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.wait_gone()


def half_a_chunk(connection):
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf")
    connection.wait_gone()


STAGES = ("connect", "tls", "send", "wait", "head", "body", "chunk", "queue")


class TooLate(Exception):
    """The request's own time was up before it was at its stage: the machine is slow."""


@contextlib.contextmanager
def held_at(stage, client, origin, **more):
    """Bring a request of `client` to a stage and leave it there; yields its exchange."""
    scripts = {"tls": mute, "send": deaf, "wait": silent, "head": half_a_head, "body": half_a_body,
               "chunk": half_a_chunk, "queue": silent, "connect": mute}
    origin.script = scripts[stage]
    backlog, others = None, []
    url = origin.url("/held")
    if stage == "connect":
        backlog = FullBacklog()
        url = f"http://127.0.0.1:{backlog.port}/"
    elif stage == "tls":
        url = url.replace("http:", "https:")
    elif stage == "send":
        more.update(method="PUT", body=stream(1 << 30))
    elif stage == "queue":
        before = len(origin.requests)
        others = [client.open(origin.url(f"/{n}")) for n in range(6)]
        wait_until(lambda: len(origin.requests) == before + 6, "six busy connections")
    is_there = _sign_of(stage, origin)
    exchange = client.open(url, **more)
    try:
        _wait_for(stage, client, exchange, is_there)
        yield exchange
    finally:
        for other in others:
            with contextlib.suppress(OSError):
                client.abort(other)
        if backlog:
            backlog.stop()


def _sign_of(stage, origin):
    """Return: what says that a request to come is there, seen from the server."""
    n_requests, n_connections = len(origin.requests), len(origin.connections)

    def is_there():
        if stage == "tls":
            return any(connection.received for connection in origin.connections[n_connections:])
        return len(origin.requests) > n_requests
    return is_there


def _wait_for(stage, client, exchange, is_there):
    if stage in ("connect", "queue"):
        word = {"connect": "CONNECT", "queue": "QUEUED"}[stage]
        client.receive_until(lambda: word in exchange.waits or exchange.ended)
        is_there = lambda: word in exchange.waits  # noqa: E731
    elif stage in ("body", "chunk"):
        client.receive_until(lambda: exchange.body or exchange.ended)
        is_there = lambda: exchange.body  # noqa: E731
    else:
        def is_over():
            client.drain()
            return exchange.ended or is_there()
        wait_until(is_over, "the request")
    if exchange.failure and not is_there():
        raise TooLate(exchange.text)


def ended_in_time(stage, client, origin, **times):
    """A request held at a stage until one of its times (in ms) is up; they are longer where the
    machine takes longer to get there. Return: (the exchange, ms it took, its shortest time)."""
    for factor in (1, 4, 16, 64):
        longer = {name: value * factor for name, value in times.items()}
        began = time.monotonic()
        with contextlib.suppress(TooLate), held_at(stage, client, origin, **longer) as exchange:
            client.finish(exchange)
            return exchange, (time.monotonic() - began) * 1000, min(longer.values())
    raise AssertionError(f"no request came to {stage}")
