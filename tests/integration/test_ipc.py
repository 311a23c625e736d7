# SPDX-License-Identifier: MIT
"""Clients that lie, stall or leave (IP07 to IP10, LB05), as the wire allows them to."""
import contextlib
import os
import socket

import pytest
import wire
from origins import response
from programs import SANITIZED
from waiting import wait_until
from wire import ClientMessage, Client, Closed, envelope_pb2, fetch_pb2, framed, varint

pytestmark = pytest.mark.shallow
SessionError = envelope_pb2.SessionError


@pytest.fixture
def stranger(xhrd):
    """A connection that has said nothing yet."""
    with xhrd.client(hello=False) as connection:
        yield connection


def hello_frame(**fields):
    return framed(ClientMessage(hello=envelope_pb2.ClientHello(protocol=1, **fields)).SerializeToString())


def cut_off(connection, *kinds):
    """The daemon must end the connection; what it says is of one of these kinds, if anything."""
    error = connection.wait_closed()
    assert error is None or error.kind in kinds, error


def others_are_served(xhrd, origin):
    with xhrd.client() as other:
        assert other.fetch(origin.url()).body == b"hello\n"


@pytest.mark.parametrize("prefix", [varint(0xffffffff), varint(1 << 31), varint((1 << 20) + 1),
                                    b"\xff" * 10, b"\xff" * 4 + b"\x7f", b"\x80" * 11])
@pytest.mark.parametrize("greeted", [False, True])
def test_ip07_impossible_length_ends_the_connection(stranger, xhrd, origin_raw, prefix, greeted):
    before = xhrd.rss_kib()
    if greeted:
        stranger.send("hello", protocol=1)
        stranger.receive_until(lambda: stranger.hello)
    stranger.send_bytes(prefix)
    cut_off(stranger, SessionError.KIND_LIMIT, SessionError.KIND_PROTOCOL)
    assert SANITIZED or xhrd.rss_kib() - before < 1024
    others_are_served(xhrd, origin_raw)


def test_ip08_half_a_million_empty_submessages_are_refused_before_unpacking(client, xhrd, origin_raw):
    inner = b"\x08\x01" + b"\x22\x00" * 500_000  # OpenRequest.headers
    before = xhrd.rss_kib()
    client.send_bytes(framed(b"\x12" + varint(len(inner)) + inner))
    cut_off(client, SessionError.KIND_LIMIT, SessionError.KIND_PROTOCOL)
    assert SANITIZED or xhrd.rss_kib() - before < 8 * 1024
    others_are_served(xhrd, origin_raw)


def test_ip08_deep_nesting_is_harmless(client, xhrd, origin_raw):
    nested = b""
    for _ in range(20_000):
        nested = b"\x7a" + varint(len(nested)) + nested  # field 15, unknown
        if len(nested) > 900_000:
            break
    client.send_bytes(framed(b"\x12" + varint(len(nested)) + nested))
    client.wait_closed()
    others_are_served(xhrd, origin_raw)


def test_ip09_a_client_that_never_greets_is_let_go(stranger):
    stranger.send_bytes(hello_frame()[:2])
    cut_off(stranger, SessionError.KIND_TIMEOUT)


def test_ip09_a_silent_client_is_let_go(stranger):
    cut_off(stranger, SessionError.KIND_TIMEOUT)


def test_ip09_half_a_frame_is_not_waited_for_for_ever(client, origin_raw):
    client.sock.settimeout(60)
    client.send_bytes(varint(100) + b"\x12")
    cut_off(client, SessionError.KIND_TIMEOUT)


def test_ip10_one_byte_a_write_works(stranger, origin_raw):
    request = fetch_pb2.OpenRequest(
        request_id=1, method=b"GET", url=origin_raw.url().encode(), response_credit_bytes=1 << 20,
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_SEND_AND_STORE)
    data = hello_frame() + framed(ClientMessage(open=request).SerializeToString())
    exchange = stranger.exchanges[1] = wire.Exchange(stranger, 1)
    for byte in data:
        stranger.send_bytes(bytes([byte]))
    assert stranger.finish(exchange).body == b"hello\n"


def test_first_request_may_come_in_the_same_write_as_the_hello(stranger, origin_raw):
    request = fetch_pb2.OpenRequest(
        request_id=7, method=b"GET", url=origin_raw.url().encode(), response_credit_bytes=1 << 20,
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE)
    exchange = stranger.exchanges[7] = wire.Exchange(stranger, 7)
    stranger.send_bytes(hello_frame() + framed(ClientMessage(open=request).SerializeToString()))
    assert stranger.finish(exchange).body == b"hello\n"


@pytest.mark.parametrize("payload", [
    b"", b"\xff" * 8, b"\xa2\x06\x00",                   # unset, junk, a message of the future
    b"\x12\x04\x08\x01\x30\x63",                         # redirect = 99
    b"\x12\x02\x08\x01", b"\x0a\x02\x08\x01",            # open without modes; a second hello
])
def test_messages_that_say_nothing_valid_end_the_connection_or_the_request(client, xhrd, origin_raw,
                                                                          payload):
    client.exchanges[1] = exchange = wire.Exchange(client, 1)
    client.send_bytes(framed(payload))
    try:
        client.receive_until(lambda: exchange.ended)
        assert exchange.failure == "ARGUMENT"
    except Closed:
        assert client.error.kind == SessionError.KIND_PROTOCOL
    others_are_served(xhrd, origin_raw)


@pytest.mark.parametrize("mode", ["redirect", "cookies"])
@pytest.mark.parametrize("value", [0, 77])
def test_modes_must_be_said_and_known(client, origin_raw, mode, value):
    exchange = client.open(origin_raw.url(), **{mode: value})
    try:
        assert client.finish(exchange).failure == "ARGUMENT"
    except Closed:
        assert client.error.kind == SessionError.KIND_PROTOCOL
    assert not origin_raw.requests


def test_version_nobody_speaks_is_refused(stranger):
    stranger.send("hello", protocol=999)
    assert stranger.wait_closed().kind == SessionError.KIND_VERSION


def test_request_before_the_hello_is_refused(stranger, origin_raw):
    stranger.open(origin_raw.url())
    assert stranger.wait_closed().kind == SessionError.KIND_PROTOCOL
    assert not origin_raw.requests


@pytest.mark.parametrize("profile", ["A", "a b", "../x", "x" * 32, "ü"])
def test_profile_that_is_none_is_refused(stranger, profile):
    stranger.send("hello", protocol=1, profile=profile)
    cut_off(stranger, SessionError.KIND_PROTOCOL)
    assert stranger.hello is None


@pytest.mark.parametrize("request_id", [0, 5])
def test_request_id_must_be_free_and_not_0(client, origin_raw, request_id):
    origin_raw.script = lambda connection: (connection.request(), connection.wait_gone())
    client.open(origin_raw.url("/first"), request_id=5)
    wait_until(lambda: origin_raw.requests, "the first request")
    client.open(origin_raw.url("/second"), request_id=request_id)
    client.receive_until(lambda: client.error or client.exchanges[request_id].ended)
    assert [r.target for r in origin_raw.requests] == ["/first"]


@pytest.mark.parametrize("kind, fields", [
    ("credit", {"request_id": 99, "bytes": 1}), ("abort", {"request_id": 99}),
    ("body", {"request_id": 99, "data": b"x"}), ("body_end", {"request_id": 99})])
def test_words_about_a_request_that_is_over_are_passed_over(client, origin_raw, kind, fields):
    client.send(kind, **fields)
    assert client.fetch(origin_raw.url()).done


def test_credit_beyond_all_measure_does_not_wrap(client, origin_raw):
    origin_raw.reply(response(bytes(1 << 20)))
    exchange = client.open(origin_raw.url(), credit=0xffffffff)
    for _ in range(3):
        client.send("credit", request_id=exchange.request_id, bytes=0xffffffff)
    client.auto_credit = False
    try:
        assert client.finish(exchange).body_bytes == 1 << 20
    except Closed:
        assert client.error.kind == SessionError.KIND_PROTOCOL


def test_unasked_descriptors_are_closed(client, xhrd, origin_raw):
    reader, writer = os.pipe()
    request = ClientMessage(credit=fetch_pb2.Credit(request_id=9, bytes=1))
    client.send_bytes(framed(request.SerializeToString()), fds=[writer] * 3)
    os.close(writer)
    client.close()
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "every copy is closed"
    os.close(reader)
    others_are_served(xhrd, origin_raw)


def test_half_closed_client_still_gets_its_answer(client, origin_raw):
    exchange = client.open(origin_raw.url())
    client.sock.shutdown(socket.SHUT_WR)
    client.auto_credit = False
    assert client.finish(exchange).body == b"hello\n"
    client.wait_closed()


def test_hundred_clients_at_once(xhrd, origin_raw):
    clients = [Client(xhrd.socket_path) for _ in range(100)]
    exchanges = [c.open(origin_raw.url(f"/{n}")) for n, c in enumerate(clients)]
    for connection, exchange in zip(clients, exchanges):
        assert connection.finish(exchange).body == b"hello\n"
        connection.close()
    assert len(origin_raw.connections) == 6


@pytest.mark.xhrd(config="[Limits]\nClientsPerUser=3\n")
def test_one_client_too_many_is_told_so_and_the_slot_comes_back(xhrd):
    first, second, third = (Client(xhrd.socket_path) for _ in range(3))
    with Client(xhrd.socket_path, hello=False) as fourth:
        with contextlib.suppress(BrokenPipeError):  # closed already: the word is there to be read
            fourth.send("hello", protocol=1)
        assert fourth.wait_closed().kind == SessionError.KIND_LIMIT
    third.close()

    def comes_in():
        try:
            with Client(xhrd.socket_path) as again:
                return again.hello
        except (Closed, ConnectionError, OSError):
            return None
    wait_until(comes_in, "the slot to come back")
    first.close()
    second.close()
