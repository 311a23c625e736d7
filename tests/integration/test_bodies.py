# SPDX-License-Identifier: MIT
"""Codings, backpressure, and the bounds on what a response may cost (EX01 to EX03, EX09)."""
import base64
import gzip
import os
import subprocess
import zlib

import pytest
from origins import response
from programs import SANITIZED
from waiting import wait_until
from wire import fetch_pb2, stream

DATA = bytes(range(256)) * 400 + b"the end"


def pressed(command, data):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: pressed(["brotli", "-c", "-w", "22", "-"], data),
    "zstd": lambda data: pressed(["zstd", "-c", "-q"], data),
}


@pytest.mark.shallow
@pytest.mark.parametrize("coding", PACKERS)
def test_coded_body_is_delivered_decoded(client, origin_raw, coding):
    packed = PACKERS[coding](DATA)
    origin_raw.reply(response(packed, fields=[("Content-Encoding", coding)]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.done, exchange.text
    assert exchange.body == DATA
    assert (exchange.done.body_bytes, exchange.done.wire_bytes) == (len(DATA), len(packed))
    assert not exchange.head.HasField("body_bytes")
    accepted = origin_raw.requests[0].get("Accept-Encoding")
    assert {c.strip() for c in accepted.split(",")} >= {"gzip", "br", "zstd"}


@pytest.mark.shallow
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops"])
def test_error_bodies_are_decoded_too(client, origin_raw, coding, status):
    origin_raw.reply(response(PACKERS[coding](b"sorry"), status=status,
                              fields=[("Content-Encoding", coding)]))
    assert client.fetch(origin_raw.url()).body == b"sorry"


@pytest.mark.shallow
def test_raw_body_is_left_alone_and_no_coding_is_asked_for(client, origin_raw):
    packed = gzip.compress(DATA)
    origin_raw.reply(response(packed, fields=[("Content-Encoding", "gzip")]))
    assert client.fetch(origin_raw.url(), raw=True).body == packed
    assert origin_raw.requests[0].get("Accept-Encoding") in (None, "identity")


@pytest.mark.shallow
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_coded_body_that_is_damaged_or_cut_fails(client, origin_raw, coding):
    packed = PACKERS[coding](DATA)
    for bad in (packed[:-9], b"\xff\x00" + packed[2:], b"plain text"):
        origin_raw.reply(response(bad, fields=[("Content-Encoding", coding)]))
        # Garbage may read as a brotli window above the limit.
        assert client.fetch(origin_raw.url()).failure in ("CODING", "TRUNCATED", "LIMIT"), bad[:16]


@pytest.mark.shallow
def test_unknown_coding_is_passed_on_as_it_is(client, origin_raw):
    origin_raw.reply(response(b"secret", fields=[("Content-Encoding", "rot13")]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.body == b"secret" or exchange.failure == "CODING"


@pytest.mark.shallow
def test_six_codings_are_too_many_and_five_are_not(client, origin_raw):
    for count in (5, 6):
        body = b"hello"
        for _ in range(count):
            body = gzip.compress(body)
        origin_raw.reply(response(body, fields=[("Content-Encoding", ", ".join(["gzip"] * count))]))
        exchange = client.fetch(origin_raw.url())
        assert exchange.body == b"hello" if count == 5 else exchange.failure == "LIMIT"


@pytest.mark.shallow
def test_decoded_body_above_the_clients_mark_fails(client, origin_raw):
    origin_raw.reply(response(gzip.compress(bytes(1 << 20)), fields=[("Content-Encoding", "gzip")]))
    exchange = client.fetch(origin_raw.url(), response_bytes_max=(1 << 20) - 1)
    assert exchange.failure == "LIMIT"
    assert exchange.body_bytes < 1 << 20
    assert client.fetch(origin_raw.url(), response_bytes_max=1 << 20).body_bytes == 1 << 20


# ---- backpressure

@pytest.mark.parametrize("way", ["at once", "redirected"])
def test_a_long_body_in_the_message_arrives_whole_and_is_given_back(client, origin_raw, way):
    """Its bytes stay where the frame was read, which came between two others."""
    body = bytes(range(256)) * 4000  # nearly the longest frame
    answers = {"/": response(status="307 Temporary Redirect", fields=[("Location", "/again")])}
    origin_raw.answer = lambda request: answers.get(request.target, response(
        b"whole" if request.body == body else request.body[:9]))
    url = origin_raw.url("/" if way == "redirected" else "/again")
    with client.one_write():
        exchanges = [client.open(url, "POST", body=sent) for sent in (b"first", body, b"last")]
    client.finish(*exchanges)
    assert [exchange.body for exchange in exchanges] == [b"first", b"whole", b"last"]
    for _ in range(15):  # more than a user may hold at once
        assert client.fetch(url, "POST", body=body).body == b"whole"


@pytest.mark.parametrize("credit", [1 << 20, 1 << 31], ids=["its credit is used up", "it reads nothing"])
def test_ip05_a_client_that_does_not_read_stops_the_server(xhrd, origin_raw, origin_raw2, credit):
    sent = [0]

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        piece = bytes(65536)
        while sent[0] < 1 << 30:
            connection.send(piece)
            sent[0] += len(piece)

    origin_raw.script = script
    with xhrd.client(auto_credit=False) as reader, xhrd.client() as other:
        # Code and threads that a first request brings in are not what is measured.
        warm = other.open(origin_raw.url())
        other.receive_until(lambda: warm.body_bytes >= 4 << 20)
        other.abort(warm)
        other.finish(warm)
        sent[0] = 0
        before = xhrd.rss_kib()
        exchange = reader.open(origin_raw.url(), credit=credit)
        if credit == 1 << 20:
            reader.receive_until(lambda: exchange.body_bytes == 1 << 20)
        wait_until(lambda: sent[0] and other.status().requests_active == 1, "the answer to begin")

        def stopped():
            was = sent[0]
            for _ in range(20):
                assert other.status().requests_active == 1
            return was == sent[0] and was
        amount = wait_until(stopped, "the server to be held back")
        assert amount < 64 << 20, "kernel buffers and a little"
        for n in range(20):
            assert other.fetch(origin_raw2.url(f"/{n}")).body == b"hello\n"
        assert SANITIZED or xhrd.rss_kib() - before < 2048
        reader.abort(exchange)
        reader.finish(exchange)


def test_credit_is_kept_to_the_byte(client, origin_raw):
    origin_raw.reply(response(bytes(100_000)))
    client.auto_credit = False
    exchange = client.open(origin_raw.url(), credit=1)
    total = 1
    client.receive_until(lambda: exchange.body_bytes == 1)
    for more in (1, 10, 4096, 60_000):
        client.send("credit", request_id=exchange.request_id, bytes=more)
        total += more
        client.receive_until(lambda: exchange.body_bytes == total)  # noqa: B023
        client.drain()
        client.status()
        assert exchange.body_bytes == total
    client.send("credit", request_id=exchange.request_id, bytes=1 << 20)
    assert client.finish(exchange).body_bytes == 100_000


def test_ip06_a_client_that_reads_in_drips_costs_nobody_and_gets_all(xhrd, origin_nginx):
    size, drip = 4 << 20, 1024
    origin_nginx.sparse("long", size)
    with xhrd.client(auto_credit=False) as slow, xhrd.client() as other:
        assert other.fetch(origin_nginx.plain_url("/hello")).done
        before = xhrd.rss_kib()
        exchange = slow.open(origin_nginx.plain_url("/long"), credit=drip)
        for taken in range(drip, 200 * drip, drip):
            slow.receive_until(lambda: exchange.body_bytes == taken)  # noqa: B023
            assert other.fetch(origin_nginx.plain_url("/hello")).body == b"hello\n"
            slow.send("credit", request_id=exchange.request_id, bytes=drip)
        assert SANITIZED or xhrd.rss_kib() - before < 2048
        slow.send("credit", request_id=exchange.request_id, bytes=size)
        assert slow.finish(exchange).done and exchange.body_bytes == size


def test_client_that_never_reads_its_socket_costs_nobody_else(xhrd, origin_nginx):
    origin_nginx.sparse("huge", 1 << 30)
    with xhrd.client(auto_credit=False) as deaf, xhrd.client() as other:
        before = xhrd.rss_kib()
        for _ in range(3):
            deaf.open(origin_nginx.plain_url("/huge"), credit=0x7fffffff)
        for _ in range(300):
            assert other.fetch(origin_nginx.plain_url("/hello")).body == b"hello\n"
        assert SANITIZED or xhrd.rss_kib() - before < 4096
    # Closing with the answers unread lets go of all three.


# ---- exhaustion

def endless(head, piece):
    def script(connection):
        connection.request()
        connection.send(head)
        while True:
            connection.send(piece)
    return script


@pytest.mark.shallow
@pytest.mark.parametrize("head, piece", [
    (b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"y" * 1000 + b"\r\n"),
    (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"y" * 1000),
    (b"HTTP/1.1 200 ", b"y" * 1000),
], ids=["ex01_endless_fields", "ex02_endless_field", "ex02_endless_reason"])
def test_ex01_ex02_endless_head_fails_at_its_limit(client, xhrd, origin_raw, head, piece):
    client.fetch(origin_raw.url())
    before = xhrd.rss_kib()
    origin_raw.connections[0].close()
    origin_raw.script = endless(head, piece)
    assert client.fetch(origin_raw.url()).failure == "LIMIT"
    assert SANITIZED or xhrd.rss_kib() - before <= 1024


@pytest.mark.shallow
@pytest.mark.parametrize("count, fails", [(998, False), (1001, True)])
def test_ex03_a_thousand_fields_and_no_more(client, origin_raw, count, fails):
    origin_raw.reply(response(b"ok", fields=[(f"X-{n}", n) for n in range(count)]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.failure == ("LIMIT" if fails else None)


@pytest.mark.shallow
def test_header_of_nearly_256_kib_passes(client, origin_raw):
    origin_raw.reply(response(b"ok", fields=[(f"X-{n}", "y" * 60_000) for n in range(4)]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.done and len(exchange.header("X-3")) == 60_000


def test_ex09_body_of_2_to_the_32_plus_1_bytes_is_counted_right(xhrd, origin_nginx):
    size = (1 << 32) + 1
    origin_nginx.sparse("beyond32", size)
    with xhrd.client() as client:
        exchange = client.open(origin_nginx.plain_url("/beyond32"), credit=64 << 20, raw=True)
        exchange.keeps_body = False
        client.finish(exchange)
        assert exchange.done, exchange.text
        assert exchange.head.body_bytes == exchange.done.body_bytes == exchange.body_bytes == size
        steps = [p.done_bytes for p in exchange.progress]
        assert steps == sorted(steps) and size >= steps[-1] > 1 << 31
        assert {p.total_bytes for p in exchange.progress} == {size}


@pytest.mark.shallow
def test_binary_bodies_go_both_ways_unchanged(client, origin_raw):
    data = os.urandom(100_000) + bytes(range(256))
    origin_raw.answer = lambda request: response(request.body)
    assert client.fetch(origin_raw.url(), method="POST", body=data).body == data
    assert origin_raw.requests[0].get("Content-Length") == str(len(data))


@pytest.mark.shallow
def test_request_and_its_streamed_body_may_come_in_one_write(client, origin_raw):
    with client.one_write():
        exchange = client.open(origin_raw.url(), method="POST", body=stream(10))
        client.body_chunk(exchange, b"0123456789")
        client.body_end(exchange)
    assert client.finish(exchange).done, exchange.text
    assert origin_raw.requests[0].body == b"0123456789"


@pytest.mark.shallow
def test_long_body_asks_before_it_goes_unless_told_not_to(client, origin_raw):
    for suppressed, asked in ([], "100-continue"), ([b"Expect"], None):
        exchange = client.open(origin_raw.url(), method="POST", body=stream(),
                               suppressed_headers=suppressed)
        client.body_chunk(exchange, b"hello")
        client.body_end(exchange)
        assert client.finish(exchange).done, exchange.text
        assert origin_raw.requests[-1].get("Expect") == asked
        assert origin_raw.requests[-1].body == b"hello"


@pytest.mark.shallow
def test_body_beyond_its_credit_fails_whatever_comes_behind_it(client, origin_raw):
    size = client.hello.upload_credit_bytes
    with client.one_write():
        exchange = client.open(origin_raw.url(), method="POST", body=stream(2 * size))
        for piece in (size - 100, 1000, 10):
            client.body_chunk(exchange, bytes(piece))
    client.finish(exchange)
    assert exchange.failure == "BODY_READ"
    assert client.fetch(origin_raw.url()).done


@pytest.mark.shallow
def test_basic_credentials_answer_a_challenge_and_may_go_ahead_of_it(client, origin_raw):
    token = "Basic " + base64.b64encode(b"ali:open sesame").decode()

    def answer(request):
        if request.get("Authorization") == token:
            return response(b"treasure")
        return response(b"who?", status="401 Unauthorized",
                        fields=[("WWW-Authenticate", 'Basic realm="cave"')])

    origin_raw.answer = answer
    for preemptive, seen in ((False, [None, token]), (True, [token])):
        before = len(origin_raw.requests)
        exchange = client.fetch(origin_raw.url(), credentials=fetch_pb2.Credentials(
            scheme=fetch_pb2.AUTH_SCHEME_BASIC, user=b"ali", password=b"open sesame",
            preemptive=preemptive))
        assert exchange.body == b"treasure"
        assert [r.get("Authorization") for r in origin_raw.requests[before:]] == seen
    assert b"sesame" not in b"".join(h.value for h in exchange.head.sent_headers)
