# SPDX-License-Identifier: MIT
"""The fault matrix for HTTP/1: what a network does at each phase, over http and https, and what a
request comes to. W works, only slower; T its time; X an error of the class at once; R once more
over a fresh connection. Behind each cell the daemon serves others, and the xhrd fixture looks
whether anything was left behind."""
import contextlib
import zlib

import pytest
from faults import FaultProxy, Toxics
from origins import response
from stages import deaf, half_a_body, half_a_chunk, half_a_head, silent
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


# ---- W: slower ---------------------------------------------------------------------------------

SLOWER = {
    "latency": Toxics(latency=0.05, jitter=0.02),
    "bandwidth": Toxics(bytes_per_s=8192),
    "slicer": Toxics(slice_bytes=1),
    "slow_close": Toxics(slow_close=0.5),
}


@pytest.mark.parametrize("upload", [False, True], ids=["GET", "POST"])
@pytest.mark.parametrize("framing", ANSWERS)
@pytest.mark.parametrize("fault", SLOWER)
def test_a_slow_network_is_slow_and_nothing_else(client, origin, proxy, ca, fault, framing, upload):
    proxy.toxics = SLOWER[fault]
    origin.script = answers(framing)
    more = dict(method="POST", body=BODY) if upload else {}
    exchange = client.open(proxy.url(), ca=ca.pem, **more)
    assert client.finish(exchange).done, exchange.text
    assert exchange.body == BODY
    assert [r.body for r in origin.requests] == [BODY if upload else b""]


# ---- T and X: at each phase --------------------------------------------------------------------

def half_until_close(connection):
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    connection.wait_gone()


PHASES = {
    # phase: (script, is it there?, more of the request)
    "send body": (deaf, lambda e, o: o.requests,
                  dict(method="PUT", body=stream(1 << 30), suppressed_headers=[b"Expect"])),
    "wait": (silent, lambda e, o: o.requests, {}),
    "head": (half_a_head, lambda e, o: any(c.has_said_half for c in o.connections), {}),
    "length": (half_a_body, lambda e, o: e.body, {}),
    "chunked": (half_a_chunk, lambda e, o: e.body, {}),
    "until close": (half_until_close, lambda e, o: e.body, {}),
}

CUT = ("TRUNCATED", "RECEIVE")
COMES_TO = {
    # fault: {phase: classes}; None: a load
    "hole": dict.fromkeys(PHASES, ("TIMEOUT_IDLE",)),
    "rst": {"send body": ("SEND", "RECEIVE", "EMPTY_REPLY"), "wait": ("RECEIVE", "EMPTY_REPLY"),
            "head": CUT, "length": CUT, "chunked": CUT, "until close": CUT},
    "fin": {"send body": ("SEND", "RECEIVE", "EMPTY_REPLY"), "wait": ("EMPTY_REPLY",),
            "head": CUT + ("PROTOCOL",), "length": CUT, "chunked": CUT, "until close": None},
}


def reach(client, exchange, origin, is_there):
    def look():  # seen at the origin, or told to the client
        client.drain()
        return is_there(exchange, origin) or exchange.ended
    wait_until(look, "the phase")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("fault", COMES_TO)
def test_a_fault_at_each_phase_is_one_error_of_its_class(client, origin, proxy, ca, fault, phase):
    script, is_there, more = PHASES[phase]
    origin.script = script
    exchange = fetch(client, proxy, ca, **more)
    reach(client, exchange, origin, is_there)
    wait_until(proxy.links[-1].has_passed_all, "what was said to be passed on")
    proxy.end(fault)
    classes = COMES_TO[fault][phase]
    if classes is None and origin.tls:
        classes = CUT  # no close_notify: the end is nobody's word
    if phase == "send body":
        client.send_all(exchange, bytes(1 << 26))
    client.finish(exchange)
    assert exchange.failure in classes if classes else exchange.done, exchange.failure
    assert len(proxy.links) == 1, "nothing was tried again on a fresh connection"
    serves_others(client, origin, ca)


@pytest.mark.parametrize("fault, classes", [("hole", ("TIMEOUT_CONNECT",)), ("rst", ("TLS",)),
                                            ("fin", ("TLS",))])
@pytest.mark.parametrize("passed", [0, 5, 300], ids=["hello", "record", "mid"])
def test_a_fault_in_the_handshake_is_an_error_at_once(client, origin_tls, ca, fault, classes, passed):
    proxy = FaultProxy(origin_tls)
    proxy.toxics = Toxics(limit_down=passed or None, at_limit=fault)
    if not passed:  # nothing at all comes back
        proxy.toxics = Toxics(limit_down=1, at_limit=fault)
    exchange = fetch(client, proxy, ca)
    client.finish(exchange)
    assert exchange.failure in classes, exchange.failure
    assert not origin_tls.requests
    proxy.stop()
    serves_others(client, origin_tls, ca)


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
