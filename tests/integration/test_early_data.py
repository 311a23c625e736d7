# SPDX-License-Identifier: MIT
"""Early data (0-RTT, RFC 8470): never without being asked for, never but for GET and HEAD without a
body, and however it comes out one answer (TS11)."""
import json

import pytest
from early_servers import EarlyNginx, Wire
from test_tls_terms import terms
from wire import fetch_pb2, stream

ACCEPTED, REJECTED, TOO_EARLY, FORBIDDEN = (
    fetch_pb2.EARLY_DATA_ACCEPTED, fetch_pb2.EARLY_DATA_REJECTED, fetch_pb2.EARLY_DATA_TOO_EARLY,
    fetch_pb2.EARLY_DATA_FORBIDDEN)
NONE = fetch_pb2.EARLY_DATA_UNSPECIFIED

both = pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])


@pytest.fixture
def serve(xhrd, folder, ca):
    made = []

    def make(**how):
        made.append(EarlyNginx(folder / f"early{len(made)}", ca, **how))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def wire(xhrd):
    made = []

    def make(server):
        made.append(Wire(server.port))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert not one.faults


def get(client, ca, url, early=True, **more):
    """On a connection of its own: HTTP/2's, too, is not kept."""
    return client.fetch(url, no_keep_alive=True, tls=terms(ca, early_data=early), **more)


def outcome(exchange):
    assert exchange.done, exchange.text
    return exchange.head.connection.tls.early_data


def hold_until_answered(server, between):
    """The next request is answered before the server knows that the handshake is done."""
    n = server.count()
    between.hold = lambda: server.count() > n


@both
def test_ts11_a_get_that_may_goes_with_the_hello(client, serve, wire, ca, http2):
    server = serve(http2=http2)
    between = wire(server)
    assert outcome(get(client, ca, between.url("/first"))) == NONE, "no session so far"
    for method in ("GET", "HEAD"):
        hold_until_answered(server, between)
        exchange = get(client, ca, between.url("/second"), method=method)
        assert outcome(exchange) == ACCEPTED and exchange.status == 200
        tls = exchange.head.connection.tls
        assert tls.resumed and tls.version == b"TLSv1.3"
        assert exchange.body == (b"" if method == "HEAD" else b"hello\n")
    seen = server.seen(3)
    assert [row[5] for row in seen] == ["", "1", "1"], seen
    assert {row[8] for row in seen} == {"-"}, "Early-Data is for gateways to say"


@both
@pytest.mark.parametrize("how", ["post", "put", "delete", "options", "get-body", "not-asked"])
def test_ts11_nothing_else_ever_does(client, serve, wire, ca, http2, how):
    server = serve(http2=http2)
    between = wire(server)
    fields = {"post": {"method": "POST", "body": b"x"}, "put": {"method": "PUT", "body": b"x"},
              "delete": {"method": "DELETE"}, "options": {"method": "OPTIONS"},
              "get-body": {"method": "GET", "body": b"x"}, "not-asked": {"early": False}}[how]
    get(client, ca, between.url())  # leaves sessions that would allow it
    for _ in range(12):
        exchange = get(client, ca, between.url(), **fields)
        assert outcome(exchange) == NONE and exchange.head.connection.tls.resumed
    assert len(between.hellos) == 13 and between.early_hellos() == 0
    assert outcome(get(client, ca, between.url())) == ACCEPTED and between.early_hellos() == 1
    assert not any(row[5] for row in server.seen(14)[:13])


@both
def test_ts11_early_data_that_is_rejected_goes_once_more_behind_the_handshake(
        client, serve, wire, ca, http2):
    server = serve(http2=http2)
    between = wire(server)
    get(client, ca, between.url("/first"))
    server.start(early=False, new_key=False)
    exchange = get(client, ca, between.url("/again"))
    assert outcome(exchange) == REJECTED and exchange.body == b"hello\n"
    assert exchange.head.connection.tls.resumed
    assert between.early_hellos() == 1 and len(between.hellos) == 2, "on the same connection"
    assert [row[1] for row in server.seen(2)] == ["/first", "/again"], "once"


@both
def test_ts11_a_server_that_forgot_the_session_is_verified_anew(client, serve, wire, ca, http2):
    server = serve(http2=http2)
    between = wire(server)
    get(client, ca, between.url("/first"))
    server.start(early=True, new_key=True)
    exchange = get(client, ca, between.url("/again"))
    assert outcome(exchange) == REJECTED and exchange.body == b"hello\n"
    assert not exchange.head.connection.tls.resumed
    assert between.early_hellos() == 1 and len(between.hellos) == 2, "on the same connection"
    assert [row[1] for row in server.seen(2)] == ["/first", "/again"], "once"


@both
def test_ts11_a_server_with_another_certificate_gets_nothing(client, serve, wire, ca, other_ca, http2):
    """The bytes went, unreadable without the session's key; behind the handshake they do not."""
    server = serve(http2=http2)
    between = wire(server)
    get(client, ca, between.url("/first"))
    server.cert, server.key = other_ca.issue()
    server.start(early=True, new_key=True)
    exchange = get(client, ca, between.url("/again"))
    assert exchange.failure == "TLS_VERIFY"
    assert [row[1] for row in server.seen(1)] == ["/first"]


@both
def test_425_is_answered_by_asking_once_more_behind_the_handshake(client, serve, wire, ca, http2):
    server = serve(http2=http2, keep=60)
    between = wire(server)
    get(client, ca, between.url("/first"))
    hold_until_answered(server, between)
    exchange = client.fetch(between.url("/late"), tls=terms(ca, early_data=True))
    assert outcome(exchange) == TOO_EARLY
    assert exchange.status == 200 and exchange.body == b"late enough\n"
    assert [row[1:3] + (row[5],) for row in server.seen(3)] == [
        ("/first", "200", ""), ("/late", "425", "1"), ("/late", "200", "")]
    assert len(between.hellos) == 2, "on the connection whose handshake is done by then"


def test_a_second_425_is_the_answer(client, serve, ca):
    server = serve()
    get(client, ca, server.url("/first"))
    exchange = get(client, ca, server.url("/never"))
    assert outcome(exchange) == TOO_EARLY and exchange.status == 425
    assert [row[2] for row in server.seen(3)] == ["200", "425", "425"]
    other = get(client, ca, server.url("/never"), early=False)
    assert other.status == 425 and len(server.seen(4)) == 4, "of what was not early an answer"
