# SPDX-License-Identifier: MIT
"""HTTP/2: who shares a connection, what a server may say and what it may not (H201 to H216, PL13,
EX14), against origin_nginx, nghttpd and a scripted peer."""
import concurrent.futures

import h2.settings
import pytest
from h2_origin import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING,
                       PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, H2Origin, field, frame)
from programs import sanitized
from waiting import wait_until
from wire import fetch_pb2, stream

pytestmark = pytest.mark.shallow

REFUSED_STREAM = (7).to_bytes(4, "big")
INTERNAL_ERROR = (2).to_bytes(4, "big")
ENHANCE_YOUR_CALM = 11


@pytest.fixture
def peer(xhrd, ca):
    origin = H2Origin(ca)
    yield origin
    origin.stop()


@pytest.fixture
def get(client, peer, ca):
    return lambda path="/", **more: client.fetch(peer.url(path), ca=ca.pem, **more)


# ---- what goes right --------------------------------------------------------------------------

def test_nginx_by_alpn(client, origin_nginx, ca):
    first = client.fetch(origin_nginx.h2_url("/hello"), ca=ca.pem)
    assert first.body == b"hello\n" and first.head.http_version == 20
    assert first.head.connection.tls.alpn == b"h2"
    again = client.fetch(origin_nginx.h2_url("/method"), method="POST", body=b"x" * 100000, ca=ca.pem)
    assert again.body == b"POST\n" and again.head.connection.reused


def test_http11_is_spoken_where_it_is_asked_for(client, origin_nginx, ca):
    exchange = client.fetch(origin_nginx.h2_url(), ca=ca.pem, http_version=fetch_pb2.HTTP_VERSION_1_1)
    assert exchange.head.http_version == 11
    assert exchange.head.connection.tls.alpn == b"http/1.1"


def test_a_server_without_http2_is_spoken_to_in_http11(client, origin_tls, ca):
    assert client.fetch(origin_tls.url(), ca=ca.pem).head.http_version == 11


def test_http2_alone_fails_with_a_server_that_has_none(client, origin_tls, ca):
    exchange = client.fetch(origin_tls.url(), ca=ca.pem, http_version=fetch_pb2.HTTP_VERSION_2)
    assert exchange.failure in ("PROTOCOL", "TLS") and exchange.text


def test_prior_knowledge_over_plain_http(client, xhrd):
    origin = H2Origin()
    try:
        exchange = client.fetch(origin.url("/p"), http_version=fetch_pb2.HTTP_VERSION_2)
        assert exchange.body == b"hello\n" and exchange.head.http_version == 20
        assert origin.requests[0].fields[":scheme"] == "http"
    finally:
        origin.stop()


def test_apache_with_prior_knowledge(client, origin_apache):
    http2 = {"http_version": fetch_pb2.HTTP_VERSION_2}
    exchange = client.fetch(origin_apache.url("/open"), **http2)
    assert exchange.body == b"open\n" and exchange.head.http_version == 20
    login = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_DIGEST, user=b"ali",
                                  password=b"open sesame")
    private = client.fetch(origin_apache.url("/private"), credentials=login, **http2)
    assert private.body == b"private\n" and private.head.connection.reused


def test_cookies_redirects_and_codings_are_the_same(client, origin_nginx, ca):
    assert client.fetch(origin_nginx.h2_url("/login"), ca=ca.pem).done
    assert client.fetch(origin_nginx.h2_url("/away"), ca=ca.pem).body == b"hello, ann\n"
    origin_nginx.write("text.txt", b"abc" * 1000)
    text = client.fetch(origin_nginx.h2_url("/text.txt"), ca=ca.pem)
    assert text.body == b"abc" * 1000 and text.head.content_coding == b"gzip"


def test_upload_and_download_of_megabytes(client, origin_nginx, ca):
    data = bytes(range(256)) * 40000
    exchange = client.open(origin_nginx.h2_url("/upload/big"), method="PUT", ca=ca.pem,
                           body=stream(len(data)))
    assert client.send_all(exchange, data).head.status == 201
    assert client.fetch(origin_nginx.h2_url("/upload/big"), ca=ca.pem).body == data


def test_xhr_speaks_it(xhr, origin_nginx, ca):
    done = xhr("--cacert", ca.pem, "-w", "%{http_version}", origin_nginx.h2_url(), check=0)
    assert done.out == "hello\n2"
    done = xhr("--cacert", ca.pem, "--http1.1", "-w", "%{http_version}", origin_nginx.h2_url(), check=0)
    assert done.out == "hello\n1.1"
    done = xhr("--cacert", ca.pem, "--http2-prior-knowledge", origin_nginx.url())
    assert done.status != 0 and "HTTP/2" in done.err or "ALPN" in done.err


# ---- sharing ----------------------------------------------------------------------------------

def test_fifty_processes_and_two_hundred_requests_make_one_connection(xhr, origin_nginx, ca):
    def four(_):
        return xhr("--cacert", ca.pem, *[origin_nginx.h2_url("/connection")] * 4, check=0).out

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        lines = "".join(pool.map(four, range(50))).split("\n")[:-1]
    assert len(lines) == 200
    assert len({line.split()[0] for line in lines}) == 1
    assert len({entry[0] for entry in origin_nginx.log() if entry[3] == "/connection"}) == 1


def test_profiles_do_not_share_it(client, xhrd, origin_nginx, ca):
    mine = client.fetch(origin_nginx.h2_url("/connection"), ca=ca.pem).body
    with xhrd.client(profile="other") as other:
        assert other.fetch(origin_nginx.h2_url("/connection"), ca=ca.pem).body.split()[0] != \
            mine.split()[0]


def test_two_jars_are_two_connections_and_two_handshakes(client, origin_nginx, ca):
    def connection(jar):
        exchange = client.fetch(origin_nginx.h2_url("/connection"), ca=ca.pem, jar=jar)
        assert not exchange.head.connection.tls.resumed
        return exchange.body.split()[0]

    assert connection("") == connection("default")
    assert connection("work") != connection("")


def test_requests_that_wait_for_the_protocol_use_http11_at_once(client, origin_tls, ca):
    exchanges = [client.open(origin_tls.url(f"/{i}"), ca=ca.pem) for i in range(20)]
    client.finish(*exchanges)
    assert all(e.done for e in exchanges)
    assert len(origin_tls.connections) <= 6


def test_h213_a_reader_that_stops_holds_up_nobody(client, another, origin_nginx, ca):
    origin_nginx.sparse("big", 8 << 20)
    stopped = client.open(origin_nginx.h2_url("/big"), ca=ca.pem, credit=1000)
    client.receive_until(lambda: stopped.head)
    for _ in range(3):
        fast = another.fetch(origin_nginx.h2_url("/big"), ca=ca.pem, credit=64 << 20)
        assert fast.done and len(fast.body) == 8 << 20
        assert fast.head.connection.connection_id == stopped.head.connection.connection_id
    assert not stopped.ended
    client.abort(stopped)
    client.finish(stopped)


# ---- the server goes, or refuses --------------------------------------------------------------

def test_h207_goaway_sends_the_rest_elsewhere(client, peer, ca):
    def on_end(conn, stream):
        if conn is not peer.conns[0]:
            conn.respond(stream, b"second\n")
        elif stream.path == "/0":
            return
        elif len(conn.streams) == 3:
            conn.raw(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + b"\0\0\0\0"))
            conn.respond(conn.streams[1], b"first\n")

    peer.on_end = on_end
    exchanges = [client.open(peer.url("/0"), ca=ca.pem)]
    wait_until(lambda: len(peer.requests) == 1, "the first request")
    exchanges += [client.open(peer.url(f"/{i}"), ca=ca.pem) for i in (1, 2)]
    client.finish(*exchanges)
    assert [e.body for e in exchanges] == [b"first\n", b"second\n", b"second\n"]
    assert len(peer.connections) == 2


def test_h206_refused_streams_are_tried_once_more(client, peer, get):
    peer.on_end = lambda conn, stream: conn.raw(frame(RST_STREAM, 0, stream.number,
                                                      REFUSED_STREAM))
    exchange = get()
    assert exchange.failed and len(peer.requests) == 2
    peer.on_end = lambda conn, stream: (
        conn.raw(frame(RST_STREAM, 0, stream.number, REFUSED_STREAM))
        if stream.number < 7 else conn.respond(stream, b"in the end\n"))
    assert get(method="POST", body=b"x").body == b"in the end\n"


def test_h206_other_resets_are_not(peer, get):
    peer.on_end = lambda conn, stream: conn.raw(frame(RST_STREAM, 0, stream.number,
                                                      INTERNAL_ERROR))
    exchange = get()
    assert exchange.failed and len(peer.requests) == 1
    assert "INTERNAL_ERROR" in exchange.text


def test_pl13_misdirected_is_tried_once_on_a_connection_of_its_own(peer, get):
    assert get("/first").done
    peer.on_end = lambda conn, stream: conn.respond(
        stream, b"here\n", "421" if conn is peer.conns[0] else "200")
    assert get("/moved").body == b"here\n"
    assert len(peer.connections) == 2
    peer.on_end = lambda conn, stream: conn.respond(stream, b"nowhere\n", "421")
    assert get("/nobody").head.status == 421
    assert len(peer.connections) == 3


def test_calm_is_kept_when_it_is_asked_for(client, peer, ca, get):
    peer.on_end = lambda conn, stream: conn.raw(
        frame(GOAWAY, 0, 0, (stream.number).to_bytes(4, "big") +
              ENHANCE_YOUR_CALM.to_bytes(4, "big")),
        frame(RST_STREAM, 0, stream.number, ENHANCE_YOUR_CALM.to_bytes(4, "big")))
    assert get().failed
    peer.on_end = lambda conn, stream: conn.respond(stream, b"calm\n")
    waiting = client.open(peer.url(), ca=ca.pem)
    client.receive_until(lambda: waiting.ended)
    assert waiting.body == b"calm\n"
    assert waiting.done.timing.queued_us >= 500000  # it was not in a hurry


def test_h209_a_server_that_allows_no_stream_is_waited_for(client, peer, ca, get):
    def streams_max(conn, number):
        conn.raw(frame(SETTINGS, 0, 0, b"\0\3" + number.to_bytes(4, "big")))

    def on_end(conn, stream):
        streams_max(conn, 0)
        conn.respond(stream, b"hello\n")

    peer.on_end = on_end
    assert get().done
    assert get(total_ms=500).failure == "TIMEOUT_TOTAL"
    waiting = client.open(peer.url(), ca=ca.pem)
    streams_max(peer.conns[0], 5)
    assert client.finish(waiting).body == b"hello\n"
    assert len(peer.connections) == 1


def test_h209_a_frame_size_of_nothing(client, peer, get):
    peer.on_end = lambda conn, stream: conn.raw(frame(SETTINGS, 0, 0, b"\0\5\0\0\0\0"))
    assert get().failure == "PROTOCOL"


# ---- the server lies --------------------------------------------------------------------------

LIES = {
    "h201 continuations": lambda n: [frame(HEADERS, 0, n, b"\x88"),
                                     *[frame(CONTINUATION, 0, n, field("a", "b"))] * 50],
    "h203 a push": lambda n: [frame(PUSH_PROMISE, END_HEADERS, n, b"\0\0\0\2\x82")],
    "h205 empty data": lambda n: [frame(HEADERS, END_HEADERS, n, b"\x88"),
                                  *[frame(DATA, 0, n)] * 100000],
    "h208 a window that overflows": lambda n: [
        *[frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")] * 2],
    "h210 a status in trailers": lambda n: [
        frame(HEADERS, END_HEADERS, n, b"\x88"),
        frame(HEADERS, END_HEADERS | END_STREAM, n, b"\x88" + field("a", "b"))],
    "h211 connection": lambda n: [
        frame(HEADERS, END_HEADERS | END_STREAM, n, b"\x88" + field("connection", "close"))],
    "h211 upper case": lambda n: [
        frame(HEADERS, END_HEADERS | END_STREAM, n, b"\x88" + field("X-A", "b"))],
    "h211 no name": lambda n: [
        frame(HEADERS, END_HEADERS | END_STREAM, n, b"\x88" + field("", "b"))],
    "h204 pings": lambda n: [frame(PING, 0, 0, b"12345678")] * 100000,
    "h204 settings": lambda n: [frame(SETTINGS, 0, 0)] * 100000,
}


@pytest.mark.parametrize("lie", LIES)
def test_h201_h203_h204_h205_h208_h210_h211_a_lie_ends_the_exchange_and_nothing_else(lie, client, peer, get, origin_nginx, ca):
    frames = LIES[lie]
    peer.on_end = lambda conn, stream: conn.raw(*frames(stream.number))
    assert get().failure == "PROTOCOL"
    assert client.fetch(origin_nginx.h2_url(), ca=ca.pem).body == b"hello\n"
    peer.on_end = lambda conn, stream: conn.respond(stream, b"well\n")
    assert get().body == b"well\n"


def test_ex14_pings_without_end_are_not_queued_without_end(peer, get, xhrd):
    before = xhrd.rss_kib()
    peer.on_end = lambda conn, stream: [conn.raw(frame(PING, 0, 0, b"12345678") * 1000)
                                        for _ in range(1000)]
    assert get().failed
    if not sanitized():  # what it frees stays in quarantine
        assert xhrd.rss_kib() - before < 8192


def test_h202_references_that_expand_are_refused(peer, get):
    block = b"\x88\x40\x01z\x7f\xa1\x1e" + b"a" * 4000 + b"\xbe" * 5000
    peer.on_end = lambda conn, stream: conn.raw(
        frame(HEADERS, END_HEADERS | END_STREAM, stream.number, block))
    assert get().failure == "LIMIT"


def test_h212_a_length_that_is_not_kept(peer, get):
    peer.on_end = lambda conn, stream: conn.respond(stream, b"four", fields=[
        ("content-length", "5")])
    assert get().failure == "TRUNCATED"


def test_h208_data_beyond_our_window(client, peer, ca):
    peer.on_end = lambda conn, stream: conn.raw(
        frame(HEADERS, END_HEADERS, stream.number, b"\x88"),
        *[frame(DATA, 0, stream.number, b"d" * 16384)] * 40)
    exchange = client.open(peer.url(), ca=ca.pem, credit=10)
    client.finish(exchange)
    assert exchange.failed
    wait_until(lambda: any(code == 3 for conn in peer.conns for _, code in conn.resets) or
               3 in peer.goaways, "FLOW_CONTROL_ERROR")


def test_an_early_answer_stops_the_upload(client, peer, ca):
    peer.on_request = lambda conn, stream: conn.respond(stream, b"too big\n", "413")
    peer.on_end = lambda conn, stream: None
    exchange = client.open(peer.url("/up"), method="POST", ca=ca.pem, body=stream())
    client.finish(exchange)
    assert exchange.head.status == 413 and exchange.body == b"too big\n"


def half(conn, stream):
    conn.respond(stream, b"half", end=stream.path != "/slow")


def test_pl16_an_abort_resets_the_stream_and_nothing_else(client, peer, ca, get):
    peer.on_end = half
    assert get().done
    aborted, other = (client.open(peer.url("/slow"), ca=ca.pem) for _ in range(2))
    client.receive_until(lambda: aborted.body and other.body)
    client.abort(aborted)
    client.receive_until(lambda: aborted.ended)
    assert get().done
    wait_until(lambda: peer.conns[0].resets, "the reset")
    gone = peer.conns[0].streams[peer.conns[0].resets[0][0]]
    assert gone.path == "/slow" and len(peer.conns[0].resets) == 1
    left = next(s for s in peer.requests if s.path == "/slow" and s is not gone)
    peer.conns[0].send_body(left, b" and half")
    client.receive_until(lambda: other.ended)
    assert other.body == b"half and half" and len(peer.connections) == 1


def test_a_connection_that_dies_is_replaced(client, peer, get):
    assert get().done
    peer.conns[0].connection.close()
    wait_until(lambda: not client.connections(), "the end to be seen")
    assert get().done and len(peer.connections) == 2


def test_the_end_of_all_streams_is_one_failure_each(client, peer, ca):
    peer.on_end = lambda conn, stream: (
        conn.connection.reset() if len(conn.streams) == 5 else None)
    exchanges = [client.open(peer.url(f"/{i}"), method="POST", body=b"x", ca=ca.pem)
                 for i in range(5)]
    client.finish(*exchanges)
    assert all(e.failed for e in exchanges)


# ---- priorities (RFC 9218) ----------------------------------------------------------------------

def test_the_callers_priority_goes_out_and_the_old_ones_are_switched_off(client, peer, ca, get):
    assert get(headers=[("Priority", "u=1, i")]).done
    assert peer.requests[-1].fields["priority"] == "u=1, i"
    settings = peer.conns[0].h2.remote_settings
    assert settings[9] == 1 and settings[h2.settings.SettingCodes.ENABLE_PUSH] == 0
    assert get().done
    assert "priority" not in peer.requests[-1].fields


def test_uploads_on_one_connection_take_turns(client, peer, ca):
    first, second = (client.open(peer.url(f"/{n}"), method="POST", ca=ca.pem, body=b"u" * 60000)
                     for n in (1, 2))
    client.receive_until(lambda: first.ended and second.ended)
    assert first.done and second.done
    assert [len(stream.body) for stream in peer.requests] == [60000, 60000]


# ---- one connection for several names (CoalesceConnections=) ------------------------------------

COALESCE = "[Network]\nCoalesceConnections=yes\n"


@pytest.fixture
def names(xhrd, ca):
    """A server whose certificate is good for a.example and b.example."""
    origin = H2Origin(ca, names=("a.example", "b.example"))
    yield origin
    origin.stop()


@pytest.fixture
def visit(client, names, ca):
    """Every name at port 443 leads to that server."""
    network = fetch_pb2.NetworkOptions(connect_to=[
        fetch_pb2.ConnectTo(port=443, to_host=b"localhost", to_port=names.base.port)])
    return lambda host, by=client, **more: by.fetch(f"https://{host}/", ca=ca.pem, network=network,
                                                    **more)


def connection(exchange):
    assert exchange.done, exchange.text
    return exchange.head.connection.connection_id


@pytest.mark.xhrd(config=COALESCE)
def test_pl13_names_of_one_certificate_and_address_share_a_connection(visit, names):
    first = connection(visit("a.example"))
    again = visit("b.example")
    assert connection(again) == first and again.head.connection.reused
    assert [stream.fields[":authority"] for stream in names.requests] == ["a.example", "b.example"]
    assert len(names.connections) == 1


def test_pl13_names_do_not_share_unless_the_administrator_says_so(visit, names):
    assert connection(visit("a.example")) != connection(visit("b.example"))
    assert len(names.connections) == 2


@pytest.mark.xhrd(config=COALESCE)
def test_pl13_a_name_the_certificate_is_not_good_for_is_refused_all_the_same(visit, names):
    assert connection(visit("a.example"))
    exchange = visit("c.example")
    assert exchange.failure == "TLS_VERIFY" and len(names.requests) == 1


@pytest.mark.xhrd(config=COALESCE + "[Policy]\nDenyHosts=b.example\n")
def test_pl13_a_name_that_is_refused_finds_no_connection_of_another(visit, names):
    assert connection(visit("a.example"))
    exchange = visit("b.example")
    assert exchange.failure == "POLICY" and "DenyHosts=" in exchange.text
    assert len(names.requests) == 1


@pytest.mark.xhrd(config=COALESCE)
def test_pl13_other_terms_jars_and_profiles_do_not_share_names(visit, names, xhrd, ca):
    first = connection(visit("a.example"))
    tls = fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(), min_version=0x0304)
    other = {connection(visit("b.example", jar="work")), connection(visit("b.example", tls=tls))}
    with xhrd.client(profile="work") as another:
        other.add(connection(visit("b.example", by=another)))
    assert first not in other and len(other) == 3


@pytest.mark.xhrd(config=COALESCE)
def test_pl13_a_misdirected_name_gets_a_connection_of_its_own(visit, names):
    names.on_end = lambda conn, stream: conn.respond(
        stream, b"here\n",
        "421" if conn is names.conns[0] and stream.fields[":authority"] == "b.example" else "200")
    first = connection(visit("a.example"))
    moved = visit("b.example")
    assert moved.body == b"here\n" and moved.head.status == 200
    assert connection(moved) != first
    assert connection(visit("a.example")) == first  # which serves its own name as before
    assert connection(visit("b.example")) == connection(moved)
