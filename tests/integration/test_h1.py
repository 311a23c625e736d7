# SPDX-License-Identifier: MIT
"""HTTP/1 responses of servers that lie, err or stop in the middle (H101 to H115): one typed
failure or the right answer, never a short body told as whole, and never bytes of one answer in
the next."""
import pytest
from origins import response
from waiting import wait_until
from wire import stream

pytestmark = pytest.mark.shallow

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def once(data, end="close"):
    """Script: answer the first request of a connection with these bytes, then close, or wait for
    the client to."""
    def script(connection):
        connection.request()
        connection.send(data)
        if end == "wait":
            connection.wait_gone()
    return script


def answer(client, origin, data, end="close", **more):
    origin.script = once(data, end)
    return client.fetch(origin.url(), **more)


def reusable(client, origin):
    """Whether the daemon keeps a connection to the origin."""
    return any(row.state == b"idle" for row in client.connections())


@pytest.mark.parametrize("lines", [
    b"X-A : 1\r\nContent-Length: 0", b"X-A: 1\rX-B: 2\r\nContent-Length: 0",
    b"X-A: 1\0\r\nContent-Length: 0", b"Content-Length: 0\r\n X-B: folded",
    b" X-A: 1\r\nContent-Length: 0", b"no colon\r\nContent-Length: 0", b": empty\r\nContent-Length: 0",
    b"X\0A: 1\r\nContent-Length: 0", b"X-A: 1\r\n\tX-B: 2\r\nContent-Length: 0",
])
def test_h101_malformed_field_lines_make_no_new_header(client, origin_raw, lines):
    exchange = answer(client, origin_raw, OK + lines + b"\r\n\r\n")
    if exchange.failed:
        assert exchange.failure == "PROTOCOL"
    else:
        names = {h.name.lower() for h in exchange.head.headers}
        assert b"x-b" not in names and b"" not in names and not any(b" " in n for n in names)


def test_h102_transfer_encoding_wins_over_content_length_and_the_connection_ends(client, origin_raw):
    data = (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n")
    exchange = answer(client, origin_raw, data, end="wait")
    if exchange.failed:
        assert exchange.failure == "PROTOCOL"
    else:
        assert exchange.body == b"hello"
    assert origin_raw.connections[0].closed.wait(20)


@pytest.mark.parametrize("value", [b"5, 6", b"+5", b"0x5", b"-1", b"18446744073709551616", b"5 5",
                                   b"", b"five", b"5.0", b"5\r\nContent-Length: 6"])
def test_h103_content_length_that_is_no_number_fails(client, origin_raw, value):
    exchange = answer(client, origin_raw, OK + b"Content-Length: " + value + b"\r\n\r\nhello!")
    assert exchange.failure == "PROTOCOL", exchange.body


@pytest.mark.parametrize("value", [b"5, 5", b"5\r\nContent-Length: 5"])
def test_h103_repeated_equal_content_length_is_one(client, origin_raw, value):
    exchange = answer(client, origin_raw, OK + b"Content-Length: " + value + b"\r\n\r\nhello", "wait")
    assert exchange.body == b"hello" and exchange.done


@pytest.mark.parametrize("value", [b"xchunked", b"chunked, identity", b"\x0bchunked", b"gzip",
                                   b"chunked, chunked", b"chunked;x=1", b"identity"])
def test_h104_unknown_transfer_encoding_fails(client, origin_raw, value):
    exchange = answer(client, origin_raw, OK + b"Transfer-Encoding: " + value
                      + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert exchange.failure == "PROTOCOL", exchange.body


@pytest.mark.parametrize("chunk", [b"00000000000000005\r\nhello\r\n", b"-1\r\n", b"0x5\r\nhello\r\n",
                                   b"\r\nhello\r\n", b"5\nhello\n", b"5\r\nhello\n",
                                   b"5\r\nhelloX\r\n", b"fffffffffffffffff\r\n", b" 5\r\nhello\r\n",
                                   b"5 x\r\nhello\r\n", b"g\r\n"])
def test_h105_malformed_chunks_fail(client, origin_raw, chunk):
    exchange = answer(client, origin_raw, CHUNKED + chunk + b"0\r\n\r\n")
    assert exchange.failure in ("PROTOCOL", "LIMIT"), exchange.body


def test_h106_chunk_extensions_are_bounded(client, origin_raw):
    def script(connection):
        connection.request()
        connection.send(CHUNKED)
        while True:
            connection.send(b"1;" + b"x" * 16384 + b"\r\na\r\n")

    origin_raw.script = script
    assert client.fetch(origin_raw.url()).failure == "LIMIT"


def test_h106_a_small_chunk_extension_is_skipped(client, origin_raw):
    exchange = answer(client, origin_raw, CHUNKED + b"5;name=value\r\nhello\r\n0;x\r\n\r\n", "wait")
    assert exchange.done and exchange.body == b"hello"


def test_h107_trailers_change_nothing(client, origin_raw):
    data = (CHUNKED + b"5\r\nhello\r\n0\r\nSet-Cookie: t=1\r\nContent-Length: 99\r\n"
            b"Authorization: x\r\nX-Sum: 7\r\n\r\n")
    exchange = answer(client, origin_raw, data, "wait")
    assert exchange.done and exchange.body == b"hello"
    assert client.cookies() == []
    assert [(t.name, t.value) for t in exchange.done.trailers] == [(b"X-Sum", b"7")]


def test_h107_trailers_are_bounded(client, origin_raw):
    trailers = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(70))
    exchange = answer(client, origin_raw, CHUNKED + b"0\r\n" + trailers + b"\r\n")
    assert exchange.failure == "LIMIT"


@pytest.mark.parametrize("line", [b"HTTP/1.1 99999 X", b"HTTP/9.9 200 OK", b"ICY 200 OK",
                                  b"HTTP/1.1 20 OK", b"HTTP/1.1 2x0 OK", b"http/1.1 200 OK",
                                  b"HTTP/1.1  200 OK", b"HTTP/1.1", b"HTTP/11 200 OK",
                                  b"HTTP/1.1 099 X", b"\r\n\r\n\r\n\r\nHTTP/1.1 200 OK"])
def test_h108_bad_status_lines_fail(client, origin_raw, line):
    exchange = answer(client, origin_raw, line + b"\r\nContent-Length: 0\r\n\r\n")
    assert exchange.failure == "PROTOCOL", exchange.status


def test_h108_a_mebibyte_of_junk_fails(client, origin_raw):
    exchange = answer(client, origin_raw, bytes(range(33, 127)) * 11200)
    assert exchange.failure in ("PROTOCOL", "LIMIT")


@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints"])
def test_h109_interim_responses_count_in_the_header_budget(client, origin_raw, interim):
    one = b"HTTP/1.1 " + interim + b"\r\nX: " + b"y" * 8192 + b"\r\n\r\n"

    def script(connection):
        connection.request()
        for _ in range(1000):
            connection.send(one)
        connection.send(response(b"at last"))

    origin_raw.script = script
    assert client.fetch(origin_raw.url()).failure == "LIMIT"


def test_h109_a_few_interim_responses_are_passed_over(client, origin_raw):
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + response(b"hello")
    exchange = answer(client, origin_raw, data, "wait")
    assert exchange.status == 200 and exchange.body == b"hello"
    assert exchange.header("Link") is None


def test_h110_unasked_switch_of_protocols_fails(client, origin_raw):
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    assert answer(client, origin_raw, data).failure == "PROTOCOL"


@pytest.mark.parametrize("method, status", [("HEAD", b"200 OK"), ("GET", b"204 No Content"),
                                            ("GET", b"304 Not Modified")])
def test_h111_body_bytes_where_there_is_no_body_end_the_connection(client, origin_raw, method, status):
    data = (b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nhello"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    exchange = answer(client, origin_raw, data, "wait", method=method)
    assert exchange.done and exchange.body == b""
    assert origin_raw.connections[0].closed.wait(20)
    origin_raw.script = once(response(b"right"), "wait")
    assert client.fetch(origin_raw.url()).body == b"right"


@pytest.mark.parametrize("data", [
    OK + b"Content-Length: 100\r\n\r\n" + b"x" * 60, CHUNKED + b"5\r\nhello\r\n",
    CHUNKED + b"5\r\nhel", CHUNKED + b"5\r\nhello\r\n0\r\n", CHUNKED + b"5", CHUNKED,
    OK + b"Content-Length: 1\r\n\r\n",
])
def test_h112_an_answer_cut_short_is_no_load(client, origin_raw, data):
    exchange = answer(client, origin_raw, data)
    assert exchange.failure == "TRUNCATED"
    assert exchange.states[-1:] != [4] or exchange.failed


def test_h112_tls_end_without_closing_alert_is_truncation(client, origin_tls, ca):
    exchange = answer(client, origin_tls, OK + b"Connection: close\r\n\r\nhalf of", ca=ca.pem)
    assert exchange.failure == "TRUNCATED"


def test_h112_tls_end_with_closing_alert_is_the_end(client, origin_tls, ca):
    def script(connection):
        connection.request()
        connection.send(OK + b"Connection: close\r\n\r\nthe whole")
        connection.sock = connection.sock.unwrap()

    origin_tls.script = script
    exchange = client.fetch(origin_tls.url(), ca=ca.pem)
    assert exchange.done and exchange.body == b"the whole"


def test_h112_plain_close_delimited_body_is_whole(client, origin_raw):
    exchange = answer(client, origin_raw, OK + b"\r\nto the end")
    assert exchange.done and exchange.body == b"to the end"


def test_h112_half_a_head_is_no_answer(client, origin_raw):
    exchange = answer(client, origin_raw, OK + b"Content-Le")
    assert exchange.failure in ("TRUNCATED", "PROTOCOL")
    assert exchange.head is None


def test_h112_no_byte_at_all_is_an_empty_reply(client, origin_raw):
    assert answer(client, origin_raw, b"").failure == "EMPTY_REPLY"


def test_h113_bytes_behind_the_body_are_in_no_answer(client, origin_raw):
    data = response(b"first") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    origin_raw.script = once(data, "wait")
    assert client.fetch(origin_raw.url("/1")).body == b"first"
    origin_raw.script = once(response(b"second"), "wait")
    assert client.fetch(origin_raw.url("/2")).body == b"second"
    assert origin_raw.requests[-1].connection == 1


WHOLE = {
    "length": OK + b"Content-Length: 10\r\nX-Y: z\r\n\r\n0123456789",
    "chunked": CHUNKED + b"4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nT: t\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 10\r\n\r\n0123456789",
    "gzip": None,
}


@pytest.mark.parametrize("kind", WHOLE)
def test_h114_a_cut_at_any_offset_changes_nothing(client, origin_raw, kind):
    import gzip
    data = WHOLE[kind]
    if data is None:
        packed = gzip.compress(b"0123456789")
        data = response(packed, fields=[("Content-Encoding", "gzip")])
    cut = [0]

    def script(connection):
        while True:
            connection.request()
            connection.send_and_see_read(data[:cut[0]])
            connection.send(data[cut[0]:])

    origin_raw.script = script
    stories = set()
    for cut[0] in range(1, len(data)):
        exchange = client.fetch(origin_raw.url())
        assert exchange.done, (cut, exchange.failure, exchange.text)
        stories.add((exchange.status, exchange.body, tuple(s for s in exchange.states if s > 1),
                     tuple((h.name, h.value) for h in exchange.head.headers)))
    assert len(stories) == 1
    assert stories.pop()[1] == b"0123456789"
    assert len(origin_raw.connections) == 1


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_h114_a_reset_at_any_offset_is_one_failure(client, origin_raw, kind):
    data = WHOLE[kind]
    cut = [0]

    def script(connection):
        connection.request()
        connection.send_and_see_read(data[:cut[0]])
        connection.reset()

    origin_raw.script = script
    for cut[0] in range(1, len(data)):
        exchange = client.fetch(origin_raw.url())
        assert exchange.failure in ("TRUNCATED", "RECEIVE"), (cut, exchange.failure, exchange.body)


def test_h115_an_answer_before_the_upload_ends_stops_the_upload(client, origin_raw):
    def script(connection):
        connection.request_head()
        connection.send(response(b"too large", status="413 Content Too Large",
                                 fields=[("Connection", "close")]))
        connection.wait_gone()

    origin_raw.script = script
    body = stream(64 << 20)
    exchange = client.open(origin_raw.url(), method="POST", body=body)
    chunk, sent = bytes(32768), 0
    client.receive_until(lambda: exchange.head or exchange.ended)
    assert exchange.status == 413
    # What the client still sends, not knowing, is nobody's trouble.
    while sent < client.hello.upload_credit_bytes and not exchange.ended:
        client.body_chunk(exchange, chunk)
        sent += len(chunk)
        client.drain()
    client.finish(exchange)
    assert exchange.done and exchange.body == b"too large"
    assert origin_raw.connections[0].closed.wait(20)
    wait_until(lambda: not client.connections(), "the connection to be dropped")


def test_http_10_answer_without_length_ends_with_the_connection(client, origin_raw):
    exchange = answer(client, origin_raw, b"HTTP/1.0 200 OK\r\n\r\nold")
    assert exchange.done and exchange.body == b"old" and exchange.head.http_version == 10


def test_repeated_fields_stay_apart_and_in_order(client, origin_raw):
    exchange = answer(client, origin_raw, response(b"", fields=[("Vary", "a"), ("X", "1"),
                                                               ("vary", "b")]), "wait")
    assert exchange.header("Vary") == ["a", "b"]
    assert not reusable(client, origin_raw) or len(origin_raw.connections) == 1
