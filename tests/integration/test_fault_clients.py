# SPDX-License-Identifier: MIT
"""The fault matrix between a client and the daemon: what a slow, cut or garbled Unix socket comes to.
Silence and half frames: ip09 in test_ipc.py. The daemon's other clients notice nothing (and the xhrd
fixture looks whether anything was left behind)."""
import contextlib
import socket

import pytest
import wire
from faults import FaultProxy, Toxics
from origins import response
from stages import silent
from waiting import wait_until
from wire import ClientMessage, Closed, envelope_pb2, fetch_pb2, framed

pytestmark = pytest.mark.shallow
BODY = bytes(range(256)) * 40
SLOWER = {
    "latency": Toxics(latency=0.02, jitter=0.01),
    "bandwidth": Toxics(bytes_per_s=64 << 10),
    "slicer": Toxics(slice_bytes=1),
    "slow_close": Toxics(slow_close=0.5),
}


@pytest.fixture
def between(xhrd, folder):
    """A proxy before the daemon's own socket."""
    path = folder / "between"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    made = FaultProxy(None, listener, lambda: _connected(xhrd.socket_path))
    made.path = path
    yield made
    made.stop()


def _connected(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def others_are_served(client, origin):
    origin.script = origin.answer_all
    assert client.fetch(origin.url("/other")).done


def words(origin, method="PUT"):
    """The hello and a request, as bytes. Return: (all of it, where the request begins)."""
    hello = framed(ClientMessage(hello=envelope_pb2.ClientHello(protocol=1)).SerializeToString())
    request = fetch_pb2.OpenRequest(
        request_id=1, method=method.encode(), url=origin.url().encode(), response_credit_bytes=1 << 20,
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_SEND_AND_STORE)
    request.body.inline_bytes = b"body"
    return hello + framed(ClientMessage(open=request).SerializeToString()), len(hello)


@pytest.mark.parametrize("fault", SLOWER)
def test_a_slow_way_to_the_daemon_is_slow_and_nothing_else(client, between, origin_raw, fault):
    between.toxics = SLOWER[fault]
    origin_raw.reply(response(BODY))
    with wire.Client(between.path) as slow:
        exchange = slow.open(origin_raw.url("/slow"), method="PUT", body=BODY)
        assert all(client.fetch(origin_raw.url(f"/{n}")).body == BODY for n in range(20))
        assert slow.finish(exchange).done and exchange.body == BODY
    assert next(r.body for r in origin_raw.requests if r.target == "/slow") == BODY


def test_a_client_in_a_hole_holds_the_server_back_and_nobody_else(client, xhrd, between, origin_raw):
    """Nothing is read of what it is told: the daemon stops reading from the server."""
    sent = [0]

    def pours(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")
        while sent[0] < 1 << 28:
            connection.send(bytes(1 << 16))
            sent[0] += 1 << 16

    origin_raw.script = pours
    with wire.Client(between.path) as lost:
        exchange = lost.open(origin_raw.url("/poured"), credit=1 << 30)
        lost.receive_until(lambda: exchange.body)
        between.end("hole")
        last = [-1]

        def stands_still():
            before, last[0] = last[0], sent[0]
            others_are_served(client, origin_raw)
            return before == last[0]
        wait_until(stands_still, "the server to be held back")
        assert sent[0] < 1 << 28
    between.links[-1].stop()
    wait_until(lambda: client.status().requests_active == 0, "the request to end with its client")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_client_that_is_cut_off_has_its_request_cancelled(client, between, origin_raw, how):
    origin_raw.script = silent
    with wire.Client(between.path) as cut:
        cut.open(origin_raw.url("/cut"))
        wait_until(lambda: origin_raw.requests, "the request")
        between.end(how)
        with pytest.raises((Closed, OSError)):
            while True:
                cut.receive()
    assert origin_raw.connections[0].closed.wait(20), "the daemon let go of the server"
    others_are_served(client, origin_raw)


def test_words_cut_at_each_byte_are_no_request(client, between, origin_raw):
    whole, first = words(origin_raw)
    for size in (*range(1, first + 1), *range(first + 1, len(whole), 5)):
        between.toxics = Toxics(limit_up=size)
        with wire.Client(between.path, hello=False) as cut:
            cut.sock.sendall(whole)
            assert cut.wait_closed() is None or size < len(whole)
    assert not origin_raw.requests
    others_are_served(client, origin_raw)


def test_words_with_a_flipped_bit_are_answered_or_refused(client, xhrd, between, origin_raw):
    """An error of the session or of the request, or another request than was meant: but one end."""
    whole, first = words(origin_raw)
    for place in range(len(whole)):
        between.toxics = Toxics(corrupt_up_at=place)
        with wire.Client(between.path, hello=False) as garbled:
            garbled.exchanges = _Any(garbled)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # let go at once
                garbled.sock.sendall(whole)
                garbled.sock.shutdown(socket.SHUT_WR)
                garbled.auto_credit = False
                garbled.wait_closed()
            assert len(garbled.exchanges) <= 1
            assert garbled.error or all(e.ended for e in garbled.exchanges.values()), place
    others_are_served(client, origin_raw)


class _Any(dict):
    """Exchanges by numbers that nobody gave out."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def __missing__(self, number):
        self[number] = wire.Exchange(self.client, number)
        return self[number]
