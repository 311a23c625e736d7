# SPDX-License-Identifier: MIT
"""What the fault matrix (test_fault_matrix.py) has no room for: which methods go out twice, uploads
that are answered before their end, answers cut and changed byte by byte. The xhrd fixture looks
whether anything was left behind."""
import contextlib
import zlib

import pytest
from faults import FaultProxy, Toxics
from origins import response
from waiting import wait_until
from wire import stream

pytestmark = pytest.mark.shallow
T_MS = 400
BODY = bytes(range(256)) * 2


@pytest.fixture(params=["http", "https"])
def origin(request, xhrd, ca):
    return request.getfixturevalue("origin_raw" if request.param == "http" else "origin_tls")


@pytest.fixture
def proxy(origin):
    made = FaultProxy(origin)
    yield made
    made.stop()


def fetch(client, proxy, ca, **more):
    return client.open(proxy.url("/faulty"), ca=ca.pem, idle_ms=T_MS, connect_ms=T_MS, **more)


def chunked(body):
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                       for piece in (body[at:at + 100] for at in range(0, len(body), 100)))
            + b"0\r\n\r\n")


ANSWERS = {
    "length": response(BODY),
    "chunked": chunked(BODY),
    "until close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
}


def answers(framing):
    """Script: one answer, then an end that TLS can tell from a cut."""
    def script(connection):
        connection.request()
        connection.send(ANSWERS[framing])
        if connection.origin.tls:
            with contextlib.suppress(ValueError):  # closed by the end of the test
                connection.sock.unwrap()
        connection.close()
    return script


def serves_others(client, origin, ca):
    """A healthy request beside it, around the faults."""
    origin.script = origin.answer_all
    healthy = client.fetch(origin.url("/healthy", host="localhost"), ca=ca.pem)
    assert healthy.done and healthy.body == b"hello\n"


# ---- kept connections --------------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["rst", "fin"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_kept_connection_that_dies_is_replaced_once_if_that_is_safe(client, origin, proxy, ca,
                                                                      fault, method):
    """R: the server may have closed it before it saw the request; POST is not sent twice."""
    def script(connection):
        connection.request()
        connection.send(response(b"first\n"))
        if connection.number > 0:
            return
        connection.request()
        proxy.end(fault)

    origin.script = script
    more = {} if method == "GET" else dict(body=b"once")
    assert client.finish(fetch(client, proxy, ca, method=method, **more)).done
    exchange = client.finish(fetch(client, proxy, ca, method=method, **more))
    if method == "POST":
        assert exchange.failure in ("EMPTY_REPLY", "RECEIVE", "SEND"), exchange.failure
        assert len(origin.requests) == 2
    else:
        assert exchange.done and exchange.body == b"first\n"
        assert len(origin.requests) == 3 and len(proxy.links) == 2


@pytest.mark.parametrize("fault", ["rst", "fin"])
def test_an_idle_connection_that_dies_is_dropped_unused(client, origin, proxy, ca, fault):
    assert client.finish(fetch(client, proxy, ca)).done
    assert client.status().connections_open == 1
    proxy.end(fault)
    wait_until(lambda: client.status().connections_open == 0, "the connection to be dropped")
    assert client.finish(fetch(client, proxy, ca)).done
    assert len(proxy.links) == 2


def test_a_half_close_during_the_upload_leaves_the_answer(client, origin_raw):
    """The server says it has heard enough and closes: what it said comes first."""
    def script(connection):
        connection.request_head()
        connection.send(response(b"enough\n", status="413 Too Large", fields=[("Connection", "close")]))
        connection.half_close()
        connection.wait_gone()

    origin_raw.script = script
    proxy = FaultProxy(origin_raw)
    exchange = client.open(proxy.url(), method="PUT", body=stream(1 << 30),
                           suppressed_headers=[b"Expect"])
    client.send_all(exchange, bytes(1 << 24))
    assert exchange.status == 413 and exchange.body == b"enough\n" and exchange.done
    proxy.stop()


# ---- limit_data: cut at each byte --------------------------------------------------------------

@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_an_answer_cut_at_each_byte_is_an_error_and_never_a_short_body(client, origin_raw, framing):
    body = b"0123456789" * 2
    whole = {"length": response(body), "chunked": chunked(body),
             "until close": b"HTTP/1.1 200 OK\r\n\r\n" + body}[framing]
    head = whole.index(b"\r\n\r\n") + 4

    def script(connection):
        connection.request()
        connection.send(whole)
        connection.close()

    origin_raw.script = script
    proxy = FaultProxy(origin_raw)
    for size in range(1, len(whole) + 1):
        proxy.toxics = Toxics(limit_down=size)
        exchange = client.finish(client.open(proxy.url(f"/{size}")))
        ends_well = size == len(whole) or (framing == "until close" and size >= head)
        if ends_well:
            assert exchange.done and exchange.body == body[:size - head if framing == "until close"
                                                          else None], size
        else:
            assert exchange.failure in ("TRUNCATED", "RECEIVE", "EMPTY_REPLY", "PROTOCOL"), (
                size, exchange.failure)
            assert body.startswith(exchange.body)
    proxy.stop()


def test_an_answer_over_tls_cut_anywhere_is_an_error(client, origin_tls, ca):
    origin_tls.script = answers("until close")
    proxy = FaultProxy(origin_tls)
    whole = client.finish(client.open(proxy.url("/"), ca=ca.pem))
    assert whole.body == BODY
    wait_until(lambda: proxy.links[0].over.is_set() or proxy.links[0].passed["down"] > 600, "it all")
    size = proxy.links[0].passed["down"]
    for cut in range(1, size - 64, 61):  # tickets and the alert are the last bytes
        proxy.toxics = Toxics(limit_down=cut)
        exchange = client.finish(client.open(proxy.url(f"/{cut}"), ca=ca.pem, no_keep_alive=True))
        # A resumed handshake is shorter: there may be more room for the answer than before.
        assert exchange.done is None or exchange.body == BODY, cut
        if exchange.failure:
            assert exchange.failure in ("TLS", "TRUNCATED", "RECEIVE", "EMPTY_REPLY"), exchange.failure
    proxy.stop()


# ---- corrupt: one bit --------------------------------------------------------------------------

def gzip(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def test_a_flipped_bit_in_a_gzip_body_is_an_error_of_the_coding(client, origin_raw):
    packed = gzip(BODY * 4)
    whole = response(packed, fields=[("Content-Encoding", "gzip")])
    origin_raw.reply(whole)
    proxy = FaultProxy(origin_raw)
    for place in range(len(whole) - len(packed), len(whole), 7):
        proxy.toxics = Toxics(corrupt_at=place)
        exchange = client.finish(client.open(proxy.url(f"/{place}"), no_keep_alive=True))
        # Bits of its header (time, system) say nothing of the data.
        assert exchange.failure in ("CODING", "TRUNCATED") or exchange.body == BODY * 4, place
    proxy.stop()


def test_a_flipped_bit_under_tls_is_a_bad_record(client, origin_tls, ca):
    origin_tls.script = answers("length")
    proxy = FaultProxy(origin_tls)
    for place in (3, 120, 400, 900, 1300):
        proxy.toxics = Toxics(corrupt_at=place)
        exchange = client.finish(client.open(proxy.url(f"/{place}"), ca=ca.pem, connect_ms=T_MS,
                                             idle_ms=T_MS, no_keep_alive=True))
        passed = proxy.links[-1].passed["down"]
        assert exchange.failure in ("TLS", "TLS_VERIFY", "RECEIVE", "TRUNCATED", "TIMEOUT_CONNECT",
                                    "TIMEOUT_IDLE") or passed <= place, (place, exchange.failure)
    proxy.stop()


def test_a_flipped_bit_of_a_plain_answer_passes_or_is_no_http(client, origin_raw):
    """Nobody can tell: but there is one end, and the connection is not used on after nonsense."""
    whole = ANSWERS["chunked"]
    origin_raw.script = answers("chunked")
    proxy = FaultProxy(origin_raw)
    for place in range(0, len(whole), 11):
        proxy.toxics = Toxics(corrupt_at=place)
        exchange = client.finish(client.open(proxy.url(f"/{place}"), idle_ms=T_MS))
        assert exchange.done or exchange.failure in ("PROTOCOL", "TRUNCATED", "LIMIT"), exchange.failure
    proxy.stop()
    serves_others(client, origin_raw, None or _NoAuthority)


class _NoAuthority:
    """For http, where nobody is asked to vouch."""
    pem = "/dev/null"
