# SPDX-License-Identifier: MIT
"""Requests held at each stage of their life, for tests that abort, leave or wait there."""
import contextlib
import socket

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
        others = [client.open(origin.url(f"/{n}")) for n in range(6)]
        wait_until(lambda: len(origin.requests) == 6, "six busy connections")
    exchange = client.open(url, **more)
    _wait_for(stage, client, origin, exchange)
    try:
        yield exchange
    finally:
        for other in others:
            with contextlib.suppress(OSError):
                client.abort(other)
        if backlog:
            backlog.stop()


def _wait_for(stage, client, origin, exchange):
    if stage in ("connect", "queue"):
        client.receive_until(lambda: exchange.states or exchange.ended)
    elif stage == "tls":
        wait_until(lambda: origin.connections and origin.connections[-1].received, "a TLS hello")
    elif stage in ("body", "chunk"):
        client.receive_until(lambda: exchange.body or exchange.ended)
    else:
        wait_until(lambda: origin.requests, "the request")
