# SPDX-License-Identifier: MIT
"""Early data (0-RTT, RFC 8470): never without being asked for, never but for GET and HEAD without a
body, and however it comes out one answer (TS11)."""
import json
import os
import pwd

import pytest
from early_servers import EarlyNginx, Wire
from test_tls_sessions import restart
from test_tls_terms import terms
from tls_mitm import END, PASS, RESET, SILENCE, alert
from waiting import wait_until
from wire import fetch_pb2

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


# ---- who may, and what it is told ----------------------------------------------------------------

def test_ts11_cookies_and_the_callers_login_go_along(client, serve, ca):
    """RFC 8470 leaves it to whoever asks for early data."""
    server = serve()
    get(client, ca, server.url("/set"))
    exchange = get(client, ca, server.url("/"), headers=[("Authorization", "mine")])
    assert outcome(exchange) == ACCEPTED
    assert server.seen(2)[1][6:8] == ("a=1", "mine")


def test_ts11_a_redirect_goes_early_for_itself(client, serve, wire, ca):
    """The second hop finds no ticket, or one of its own."""
    server = serve()
    between = wire(server)
    get(client, ca, between.url())
    get(client, ca, between.url(), early=False)
    exchange = get(client, ca, between.url("/away"))
    assert exchange.done and exchange.head.redirects == 1 and exchange.body == b"hello\n"
    assert [row[1] for row in server.seen(4)] == ["/", "/", "/away", "/there"]
    posted = get(client, ca, between.url("/away"), method="POST", body=b"x",
                 redirect=fetch_pb2.REDIRECT_MODE_STOP)
    assert outcome(posted) == NONE


def test_ts11_a_connection_that_was_made_early_serves_anything_afterwards(client, serve, wire, ca):
    server = serve(keep=60)
    between = wire(server)
    get(client, ca, between.url())
    first = client.fetch(between.url("/one"), tls=terms(ca, early_data=True))
    assert outcome(first) == ACCEPTED
    second = client.fetch(between.url("/two"), method="POST", body=b"x", tls=terms(ca))
    assert outcome(second) == NONE and second.head.connection.reused
    third = client.fetch(between.url("/three"), tls=terms(ca, early_data=True))
    assert outcome(third) == NONE and third.head.connection.reused
    assert len(between.hellos) == 2


@both
def test_ts11_others_wait_until_the_handshake_is_done(client, another, serve, wire, ca, http2):
    """What may not be heard twice never gets onto a connection whose handshake is not done."""
    server = serve(http2=http2, keep=60)
    between = wire(server)
    get(client, ca, between.url())
    get(client, ca, between.url(), early=False)
    hold_until_answered(server, between)
    early = client.open(between.url("/early"), tls=terms(ca, early_data=True))
    late = another.open(between.url("/late"), method="POST", body=b"x", tls=terms(ca))
    client.finish(early)
    another.finish(late)
    assert outcome(early) == ACCEPTED and outcome(late) == NONE
    assert between.early_hellos() == 1
    assert not [row for row in server.seen(4) if row[0] == "POST" and row[5]]


@pytest.mark.xhrd(config="[TLS]\nEarlyData=no\n")
def test_ts11_the_administrator_may_forbid_it(client, serve, wire, ca):
    server = serve()
    between = wire(server)
    get(client, ca, between.url())
    assert outcome(get(client, ca, between.url())) == FORBIDDEN
    assert outcome(get(client, ca, between.url(), method="DELETE")) == NONE
    assert between.early_hellos() == 0


def test_ts11_sessions_that_allow_it_outlive_the_daemon_and_stay_single_use(xhrd, serve, wire, ca):
    server = serve()
    between = wire(server)
    with xhrd.client() as client:
        get(client, ca, between.url())
    restart(xhrd)
    with xhrd.client() as client:
        assert outcome(get(client, ca, between.url())) == ACCEPTED
    tickets = [dict(hello.extensions)[41] for hello in between.hellos
               if 41 in dict(hello.extensions)]
    assert len(tickets) == 1 and between.early_hellos() == 1


@pytest.mark.parametrize("more", [
    {"min_version": 0x0303, "max_version": 0x0303}, {"insecure": True, "ca_pem": b""}])
def test_ts11_other_terms_have_other_sessions(client, serve, wire, ca, more):
    server = serve()
    between = wire(server)
    get(client, ca, between.url())
    other = fetch_pb2.TlsOptions(**{"ca_pem": ca.pem.read_bytes(), "early_data": True, **more})
    exchange = client.fetch(between.url(), no_keep_alive=True, tls=other)
    assert outcome(exchange) == NONE and not exchange.head.connection.tls.resumed
    assert between.early_hellos() == 0


def test_ts11_a_server_that_lost_tls_1_3_or_http2_is_asked_once_more(client, serve, wire, ca):
    """RFC 8446 appendix D.3: such a connection must fail, and the request goes on another."""
    server = serve(http2=True)
    between = wire(server)
    for how in ({"versions": "TLSv1.2"}, {"http2": False}):
        server.start()
        first = get(client, ca, between.url("/first"))
        assert first.done and first.head.http_version == 20
        server.start(**how)
        exchange = get(client, ca, between.url("/again"))
        assert outcome(exchange) == REJECTED and exchange.body == b"hello\n"
        assert exchange.head.http_version == (11 if "http2" in how else 20)
    assert between.early_hellos() == 2


def test_ts11_a_handshake_that_breaks_off_costs_early_data_and_no_answer(client, serve, wire, ca):
    server = serve()
    between = wire(server)
    for what in (RESET, END, alert(80), alert(47), b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        get(client, ca, between.url("/first"), early=False)
        between.script = lambda _, hello, what=what: what if Wire.is_early(hello) else PASS
        before = between.early_hellos()
        exchange = get(client, ca, between.url("/again"))
        assert outcome(exchange) == REJECTED and exchange.body == b"hello\n"
        assert between.early_hellos() == before + 1


def test_a_handshake_that_hangs_is_a_timeout_of_connecting(client, serve, wire, ca):
    server = serve()
    between = wire(server)
    get(client, ca, between.url())
    between.script = lambda _, hello: SILENCE
    exchange = get(client, ca, between.url(), timeouts=fetch_pb2.Timeouts(connect_ms=700))
    assert exchange.failure == "TIMEOUT_CONNECT" and "shaking hands" in exchange.text
    assert between.early_hellos() == 1


def test_an_abort_before_the_handshake_is_done_closes_the_connection(client, serve, wire, ca):
    server = serve()
    between = wire(server)
    get(client, ca, between.url())
    between.script = lambda _, hello: SILENCE
    exchange = client.open(between.url(), tls=terms(ca, early_data=True))
    wait_until(between.early_hellos, "the hello")
    row, = client.connections()
    assert row.early_data == fetch_pb2.EARLY_DATA_SENT and row.state == b"busy"
    assert [row.early_data for row in client.requests()] == [fetch_pb2.EARLY_DATA_SENT]
    client.abort(exchange)
    wait_until(lambda: not client.connections(), "the connection to close")
    between.script = lambda _, hello: PASS
    assert get(client, ca, between.url(), early=False).done


# ---- through a proxy -------------------------------------------------------------------------------

def test_ts11_through_a_tunnel_only_what_is_inside_goes_early(xhr, serve, wire, ca, tinyproxy):
    server = serve()
    between = wire(server)
    flags = ("--cacert", ca.pem, "--no-keepalive", "--tls-earlydata", "-x", tinyproxy.url())
    assert xhr(*flags, "-s", "-w", "%{early_data}", between.url(), check=0).out == "hello\nnone"
    assert xhr(*flags, "-s", "-w", "%{early_data}", between.url(), check=0).out == "hello\naccepted"
    assert between.early_hellos() == 1


# ---- xhr and xhrctl ---------------------------------------------------------------------------------

def test_xhr_and_xhrctl_tell(xhr, xhrctl, serve, ca, folder):
    server = serve(keep=60)
    flags = ("--cacert", ca.pem, "--tls-earlydata", "-s")
    xhr(*flags, "--no-keepalive", server.url(), check=0)
    done = xhr(*flags, "-v", f"--events={folder / 'events'}", "-w", "%{early_data}",
               server.url(), check=0)
    assert done.out == "hello\naccepted" and ", session resumed, early data accepted" in done.err
    tls, = [event for event in map(json.loads, (folder / "events").read_text().splitlines())
            if event["event"] == "tls"]
    assert tls["early_data"] == "accepted"
    assert json.loads(xhrctl("show", "connections", "--json", check=0).out)[0]["early_data"] == "accepted"
    metrics = xhrctl("metrics", check=0).out
    assert 'xhrd_early_data_total{outcome="accepted"} 1\n' in metrics
    assert 'xhrd_early_data_total{outcome="rejected"} 0\n' in metrics
    assert 'xhrd_connection_handshakes_total{kind="resumed"} 1\n' in metrics
    assert json.loads(xhrctl("har", 2, check=0).out)["log"]["entries"][0]["_earlyData"] == "accepted"
    assert json.loads(xhrctl("har", 1, check=0).out)["log"]["entries"][0]["_earlyData"] == "none"
    plain = xhr("--cacert", ca.pem, "-s", "-w", "%{early_data}", server.url(), check=0)
    assert plain.out == "hello\nnone"


def test_ts11_a_login_of_the_administrators_never_goes_early(make_xhrd, serve, wire, ca, folder):
    """Nobody but the administrator could let it be said twice, and he was not asked."""
    server = serve()
    between = wire(server)
    token = folder / "token"
    token.write_text("t0ken\n")
    me = pwd.getpwuid(os.geteuid()).pw_name
    daemon = make_xhrd(config=f"[TLS]\nCAFile={ca.pem}\n[User {me}]\n"
                       f"Credential=localhost:{between.port} bearer {token}\n")
    early = fetch_pb2.TlsOptions(early_data=True)
    with daemon.client() as client:
        for _ in range(4):
            exchange = client.fetch(between.url(), no_keep_alive=True, tls=early)
            assert outcome(exchange) == NONE
        assert exchange.head.connection.tls.resumed and between.early_hellos() == 0
        # The same server by another name has no login, and may.
        for expected in (NONE, ACCEPTED):
            exchange = client.fetch(between.url(host="127.0.0.1"), no_keep_alive=True, tls=early)
            assert outcome(exchange) == expected
    assert between.early_hellos() == 1


def test_ts11_n_requests_that_may_not_send_no_early_byte(client, serve, wire, ca):
    """Sessions that would allow it are at hand all along (CVE-2026-9545)."""
    server = serve()
    between = wire(server)
    tried = 0
    for _ in range(8):
        get(client, ca, between.url(), early=False)
        for method, body in (("POST", b"x"), ("PUT", b"x"), ("DELETE", None), ("PATCH", b"x"),
                             ("GET", b"x")):
            assert outcome(get(client, ca, between.url(), method=method, body=body)) == NONE
            tried += 1
    assert tried == 40 and between.early_hellos() == 0 and between.early_bytes == 0
    assert sum(41 in dict(hello.extensions) for hello in between.hellos) >= tried, "resumed"
