# SPDX-License-Identifier: MIT
"""Through proxies: real ones, and one that lies (PX01 to PX12, CK28, RD08, PL08, PL09)."""
import re
import ssl

import faults
import origins
import proxies
import pytest
from origins import LOOPBACK, response
from proxies import PASSWORD, REPLY_OK, USER, options, socks
from waiting import wait_until
from wire import failure_pb2, fetch_pb2, stream

BASIC, DIGEST, ANY = (fetch_pb2.AUTH_SCHEME_BASIC, fetch_pb2.AUTH_SCHEME_DIGEST,
                      fetch_pb2.AUTH_SCHEME_ANY)
BASIC_ALI = "Basic YWxpOm9wZW4gc2VzYW1l"
LOGIN = "ali:open%20sesame"
WAYS = ["http", "https"]


def phase(exchange):
    return failure_pb2.Phase.Name(exchange.failed.failure.phase).removeprefix("PHASE_")


def assert_failed(exchange, kind, where="PROXY", code=None):
    assert exchange.failure == kind, (exchange.status, exchange.failure, exchange.text)
    assert phase(exchange) == where, exchange.text
    assert code is None or exchange.failed.failure.code == code, exchange.failed.failure


def url_of(nginx, way, path="/hello"):
    return nginx.url(path) if way == "https" else nginx.plain_url(path)


def fetch(client, nginx, way, network, path="/hello", **more):
    return client.fetch(url_of(nginx, way, path), network=network,
                        ca=nginx.authority.pem, **more)


def fields_of(request):
    return {name.lower() for name, _ in request.fields}


# ---- real proxies

@pytest.mark.shallow
@pytest.mark.parametrize("way", WAYS)
def test_through_tinyproxy(client, origin_nginx, tinyproxy, way):
    exchange = fetch(client, origin_nginx, way, options(tinyproxy.url()))
    assert (exchange.status, exchange.body) == (200, b"hello\n"), exchange.text
    connection = exchange.head.connection
    assert connection.proxy.decode() == tinyproxy.url()
    assert connection.proxy_tunnel == (way == "https")
    assert connection.remote_port == tinyproxy.port
    assert bool(connection.tls.version) == (way == "https")


@pytest.mark.parametrize("way", WAYS)
def test_basic_to_tinyproxy(client, origin_nginx, tinyproxy_basic, way):
    good = options(tinyproxy_basic.url(), user=USER, password=PASSWORD.replace(" ", "-"))
    assert fetch(client, origin_nginx, way, good).body == b"hello\n"
    bad = fetch(client, origin_nginx, way, options(tinyproxy_basic.url(login="ali:wrong")))
    if way == "http":
        assert bad.status in (401, 407), bad.text  # 1.11 says 401 to what it forwards
    else:
        assert_failed(bad, "PROXY")
        assert bad.failed.failure.code in (401, 407)


@pytest.mark.shallow
@pytest.mark.parametrize("way", WAYS)
def test_squid_keeps_its_connections_and_we_use_them(client, origin_nginx, squid, way):
    seen = [fetch(client, origin_nginx, way, options(squid.url())) for _ in range(3)]
    assert [exchange.body for exchange in seen] == [b"hello\n"] * 3, seen[0].text
    assert [exchange.head.connection.reused for exchange in seen] == [False, True, True]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", [BASIC, DIGEST, ANY])
def test_logins_to_squid(client, origin_nginx, squid, way, scheme):
    port = squid.digest if scheme != BASIC else squid.basic
    network = options(squid.at(port, login=LOGIN), scheme=scheme)
    for _ in range(2):
        exchange = fetch(client, origin_nginx, way, network, no_keep_alive=True)
        assert (exchange.status, exchange.body) == (200, b"hello\n"), exchange.text
    wrong = options(squid.at(port, login="ali:no"), scheme=scheme)
    refused = fetch(client, origin_nginx, way, wrong)
    if way == "http":
        assert refused.status == 407
    else:
        assert_failed(refused, "PROXY", code=407)


@pytest.mark.parametrize("way", WAYS)
def test_digest_asks_squid_once_and_counts_on(client, origin_nginx, squid, way):
    network = options(squid.at(squid.digest, login=LOGIN), scheme=DIGEST)
    before = len(squid.log())
    for _ in range(3):
        exchange = fetch(client, origin_nginx, way, network, no_keep_alive=True)
        assert exchange.status == 200, exchange.text
    wait_until(lambda: len(squid.log()) >= before + 4, "squid's log")
    assert [line[3] for line in squid.log()[before:]] == ["407", "200", "200", "200"]


@pytest.mark.parametrize("way", WAYS)
def test_a_body_goes_again_behind_a_407(client, origin_nginx, squid, way):
    network = options(squid.at(squid.digest, login=LOGIN), scheme=DIGEST)
    data = b"x" * 100000
    exchange = fetch(client, origin_nginx, way, network, path=f"/upload/proxy-{way}",
                     method="PUT", body=data)
    assert exchange.status == 201, exchange.text
    assert (origin_nginx.prefix / f"www/upload/proxy-{way}").read_bytes() == data


@pytest.mark.parametrize("length", [None, 5])
def test_lb03_a_stream_that_a_407_wants_twice_fails_with_rewind(client, make_proxy, length):
    proxy = make_proxy()

    def answer(connection):
        connection.request()
        connection.send(asks('Digest realm="cave", nonce="n", qop="auth"'))
    proxy.script = answer
    exchange = client.open("http://a.test/", method="POST", body=stream(length),
                           network=options(proxy.proxy_url(login="p:q"), scheme=DIGEST))
    client.body_chunk(exchange, b"bytes")
    client.body_end(exchange)
    assert client.finish(exchange).failure == "REWIND"
    assert "proxy" in exchange.text
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_dante_takes_us_anywhere_by_name(client, origin_nginx, dante, way):
    for scheme in ("socks5", "socks5h"):
        exchange = fetch(client, origin_nginx, way, options(dante.url(scheme)))
        assert (exchange.status, exchange.body) == (200, b"hello\n"), exchange.text
        assert exchange.head.connection.proxy.decode() == dante.url()
        assert exchange.head.connection.proxy_tunnel


def test_dante_refuses_what_is_forbidden_and_what_nobody_answers(client, dante):
    forbidden = client.fetch("http://127.0.0.99/", network=options(dante.url()))
    assert_failed(forbidden, "PROXY", code=0x502)
    closed = client.fetch(f"http://127.0.0.1:{proxies.free_port()}/",
                          network=options(dante.url()))
    assert_failed(closed, "PROXY", code=0x505)
    assert "connection refused" in closed.text


@pytest.mark.parametrize("way", WAYS)
def test_an_origin_squid_cannot_reach_is_told_of(client, squid, way):
    exchange = client.fetch(f"{way}://127.0.0.1:{proxies.free_port()}/",
                            network=options(squid.url()))
    if way == "http":
        assert exchange.status == 503
    else:
        assert_failed(exchange, "PROXY", code=503)


# ---- what a proxy is shown, and what it is not

def secrets(request):
    return fields_of(request) & {"cookie", "authorization", "x-mine", "referer", "user-agent"}


@pytest.mark.shallow
def test_px01_ck28_connect_carries_no_cookie_login_or_field_of_the_request(
        client, origin_tls, proxy_raw, ca):
    origin_tls.reply(response(b"ok", fields=[("Set-Cookie", "id=1; Path=/")]))
    more = {"headers": [("X-Mine", "1"), ("Referer", "http://r/"), ("Authorization", "Own x")],
            "ca": ca.pem, "network": options(proxy_raw.proxy_url(login="p:q"))}
    for _ in range(2):
        assert client.fetch(origin_tls.url(), no_keep_alive=True, **more).body == b"ok"
    assert secrets(origin_tls.requests[1]) >= {"cookie", "authorization", "x-mine", "referer"}
    assert len(proxy_raw.connects()) == 2
    for connect in proxy_raw.connects():
        assert connect.target == f"127.0.0.1:{origin_tls.port}"
        assert fields_of(connect) == {"host", "proxy-authorization"}
        assert connect.get("Proxy-Authorization") == "Basic cDpx"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_px02_inside_the_tunnel_there_is_no_login_of_the_proxy(client, make_proxy, origin_raw,
                                                               origin_tls, ca, scheme):
    proxy = make_proxy()
    origin = origin_tls if scheme == "https" else origin_raw
    network = options(proxy.proxy_url(login="p:q"), tunnel=True)
    assert client.fetch(origin.url(), ca=ca.pem, network=network).status == 200
    assert proxy.connects()[0].get("Proxy-Authorization") == "Basic cDpx"
    assert not [name for name in fields_of(origin.requests[0]) if name.startswith("proxy")]
    assert origin.requests[0].target == "/"


def test_px03_a_redirect_from_one_proxy_to_another_takes_no_login_along(
        client, make_proxy, origin_tls, ca):
    one, two = make_proxy(), make_proxy()
    one.reply(response(status="302 Found", fields=[("Location", origin_tls.url("/end"))]))
    network = options(one.proxy_url(login="p:q"), https=two.proxy_url())
    exchange = client.fetch("http://somewhere.test/", ca=ca.pem, network=network)
    assert (exchange.status, exchange.head.redirects) == (200, 1), exchange.text
    assert one.requests[0].get("Proxy-Authorization") == "Basic cDpx"
    assert one.requests[0].target == "http://somewhere.test/"
    assert [fields_of(request) for request in two.requests] == [{"host"}]
    assert exchange.head.connection.proxy.decode() == two.proxy_url()


def test_px03_a_redirect_to_an_exception_shows_nobody_the_login(client, make_proxy, origin_raw):
    proxy = make_proxy()
    proxy.reply(response(status="302 Found", fields=[("Location", origin_raw.url("/end"))]))
    network = options(proxy.proxy_url(login="p:q"), no_proxy=b"127.0.0.0/8")
    assert client.fetch("http://somewhere.test/", network=network).status == 200
    assert not [name for name in fields_of(origin_raw.requests[0]) if name.startswith("proxy")]
    assert origin_raw.requests[0].target == "/end"


def asks(*challenges):
    return response(b"who?", status="407 Proxy Authentication Required",
                    fields=[("Proxy-Authenticate", text) for text in challenges])


@pytest.mark.parametrize("way", WAYS)
def test_px04_the_digest_of_one_proxy_is_not_shown_to_another(client, make_proxy, way):
    one, two = make_proxy(), make_proxy()

    def script(proxy):
        def answer(connection):
            while True:
                connection.request()
                connection.send(asks(f'Digest realm="cave", nonce="of{proxy.port}", qop="auth"'))
        proxy.script = answer

    script(one)
    script(two)
    for proxy in (one, two, one):
        exchange = client.fetch(f"{way}://a.test/",
                                network=options(proxy.proxy_url(login="p:q"), scheme=DIGEST))
        assert exchange.status == 407 or exchange.failed.failure.code == 407
    for proxy, other in ((one, two), (two, one)):
        said = [request.get("Proxy-Authorization") for request in proxy.requests]
        assert said[0] is None and f"of{proxy.port}" in said[1], said
        assert not [value for value in said if value and f"of{other.port}" in value]


@pytest.mark.parametrize("way", WAYS)
def test_px05_a_request_without_a_login_sends_none(client, make_proxy, origin_tls, ca, way):
    proxy = make_proxy()
    url = origin_tls.url() if way == "https" else "http://a.test/"
    for login in ("p:q", ""):
        assert client.fetch(url, ca=ca.pem,
                            network=options(proxy.proxy_url(login=login))).status == 200
    assert [request.get("Proxy-Authorization") for request in proxy.requests] == [
        "Basic cDpx", None]


# ---- refusals and lies

REFUSALS = {
    "403": (response(b"<h1>no</h1>", status="403 Forbidden"), 403),
    "407": (asks("Basic realm=x"), 407),
    "502": (response(b"no", status="502 Bad Gateway", length=False,
                     fields=[("Transfer-Encoding", "chunked")])[:-2] + b"2\r\nno\r\n0\r\n\r\n", 502),
    "until close": (b"HTTP/1.0 503 Busy\r\n\r\nthe origin says hello", 503),
    "nothing": (b"", 0),
    "half": (b"HTTP/1.1 200 Connec", 0),
}


@pytest.mark.shallow
@pytest.mark.parametrize("how", REFUSALS)
def test_px06_a_refused_tunnel_fails_and_its_body_is_nobodys(client, proxy_raw, how):
    answer, code = REFUSALS[how]

    def script(connection):
        connection.request_head()
        connection.send(answer)

    proxy_raw.script = script
    exchange = client.fetch("https://a.test/", network=options(proxy_raw.proxy_url()))
    assert_failed(exchange, "PROXY", code=code)
    assert exchange.head is None and exchange.body == b""
    assert proxy_raw.proxy_url() in exchange.text


def test_px07_an_answer_to_connect_of_300_kib_is_over_the_limit(client, proxy_raw):
    def script(connection):
        connection.request_head()
        connection.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(300):
            connection.send(f"X-{number}: {'a' * 1014}\r\n".encode())
        connection.wait_gone()

    proxy_raw.script = script
    exchange = client.fetch("https://a.test/", network=options(proxy_raw.proxy_url()))
    assert_failed(exchange, "LIMIT")


LIES = {
    "bytes behind the answer": b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nforged",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another version": b"HTTP/2.0 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_answer_to_connect_is_refused(client, proxy_raw, lie):
    def script(connection):
        connection.request_head()
        connection.send(LIES[lie])
        connection.wait_gone()

    proxy_raw.script = script
    exchange = client.fetch("https://a.test/", network=options(proxy_raw.proxy_url()))
    assert_failed(exchange, "PROTOCOL")


def test_interim_answers_before_the_tunnel_are_passed_over(client, make_proxy, origin_tls, ca):
    proxy = make_proxy()
    proxy.opens = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n"
                   b"HTTP/1.0 200\r\nContent-Length: 7\r\n\r\n")
    exchange = client.fetch(origin_tls.url(), ca=ca.pem, network=options(proxy.proxy_url()))
    assert exchange.status == 200, exchange.text


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_silent_proxy_is_given_up_in_the_time_for_connecting(client, proxy_raw, scheme):
    proxy_raw.script = lambda connection: connection.wait_gone()
    exchange = client.fetch("https://a.test/", connect_ms=300,
                            network=options(proxy_raw.proxy_url(scheme)))
    assert_failed(exchange, "TIMEOUT_CONNECT")


def test_a_proxy_that_is_not_there(client):
    gone = client.fetch("http://a.test/",
                        network=options(f"http://127.0.0.1:{proxies.free_port()}"))
    assert_failed(gone, "PROXY", "CONNECT")
    unknown = client.fetch("http://a.test/", network=options("http://no-such-proxy.invalid:1"))
    assert_failed(unknown, "PROXY", "DNS")


@pytest.mark.shallow
def test_px08_a_reply_that_drips_ends_with_the_time_for_connecting(client, proxy_raw):
    def script(connection):
        connection.recv()
        for byte in b"\x05\x00":
            connection.send(bytes([byte]))
        connection.recv()
        for byte in REPLY_OK[:-1]:  # and the last one never
            connection.send_and_see_read(bytes([byte]))
        connection.wait_gone()

    proxy_raw.script = script
    exchange = client.fetch("http://a.test/", connect_ms=1500,
                            network=options(proxy_raw.proxy_url("socks5")))
    assert_failed(exchange, "TIMEOUT_CONNECT")


def test_px08_a_host_of_256_bytes_never_reaches_a_socks_proxy(client, proxy_raw):
    host = ".".join(["a" * 63] * 4) + "b"
    assert len(host) == 256
    exchange = client.fetch(f"http://{host}/", network=options(proxy_raw.proxy_url("socks5")))
    assert exchange.failure == "URL"
    assert not proxy_raw.connections
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(longest) == 253

    proxy_raw.script = lambda connection: socks(connection, b"\x05\x00", REPLY_OK) and (
        connection.request() and connection.send(response(b"ok")))
    exchange = client.fetch(f"http://{longest}/", no_keep_alive=True,
                            network=options(proxy_raw.proxy_url("socks5")))
    assert exchange.body == b"ok", exchange.text
    said = bytes(proxy_raw.connections[0].received)
    assert said.startswith(b"\x05\x01\x00" + b"\x05\x01\x00\x03\xfd" + longest.encode())


SOCKS_LIES = {
    "cut": ([b"\x05\x00", REPLY_OK[:7]], "PROTOCOL"),
    "bad atyp": ([b"\x05\x00", b"\x05\x00\x00\x02" + bytes(6)], "PROTOCOL"),
    "length 255 and no more": ([b"\x05\x00", b"\x05\x00\x00\x03\xff" + b"x" * 200], "PROTOCOL"),
    "SOCKS4": ([b"\x00\x5a" + bytes(6)], "PROTOCOL"),
    "HTTP": ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "PROTOCOL"),
    "wants a login": ([b"\x05\xff"], "PROXY"),
    "unreachable": ([b"\x05\x00", b"\x05\x04\x00\x01" + bytes(6)], "PROXY"),
}


@pytest.mark.parametrize("lie", SOCKS_LIES)
def test_px09_a_socks_reply_that_is_cut_or_lies_fails(client, proxy_raw, lie):
    replies, kind = SOCKS_LIES[lie]
    proxy_raw.script = lambda connection: socks(connection, *replies)
    exchange = client.fetch("http://a.test/", network=options(proxy_raw.proxy_url("socks5")))
    assert_failed(exchange, kind)


def test_socks5_logs_in_as_rfc_1929_says(client, proxy_raw):
    said = []

    def script(connection):
        said.extend(socks(connection, b"\x05\x02", b"\x01\x00", REPLY_OK))
        connection.request()
        connection.send(response(b"inside"))

    proxy_raw.script = script
    exchange = client.fetch("http://only-there.test:81/", no_keep_alive=True,
                            network=options(proxy_raw.proxy_url("socks5", login="ann:p%20w")))
    assert exchange.body == b"inside", exchange.text
    assert said == [b"\x05\x02\x00\x02", b"\x01\x03ann\x03p w",
                    b"\x05\x01\x00\x03\x0fonly-there.test\x00\x51"]

    proxy_raw.script = lambda connection: socks(connection, b"\x05\x02", b"\x01\x01")
    refused = client.fetch("http://only-there.test:81/",
                           network=options(proxy_raw.proxy_url("socks5", login="ann:no")))
    assert_failed(refused, "PROXY", code=0x5fe)
    assert "no" not in refused.text.split(":")[-1].split()


# ---- TLS to the proxy

TRUSTING = "[TLS]\nCAFile={}\n"


@pytest.fixture
def trusting(make_xhrd, ca):
    """A daemon that takes our authority for the machine's."""
    return make_xhrd(config=TRUSTING.format(ca.pem))


@pytest.fixture
def tls_proxy(trusting, ca):
    proxy = proxies.ScriptedProxy(tls=origins.tls_server(ca))
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("login", ["", "p:q"])
def test_an_https_proxy_is_spoken_to_over_tls(trusting, tls_proxy, origin_nginx, way, login):
    with trusting.client() as client:
        network = options(tls_proxy.proxy_url(login=login))
        if way == "http":
            assert client.fetch("http://a.test/", network=network).status == 200
        else:
            exchange = client.fetch(origin_nginx.url(), network=network)
            assert exchange.body == b"hello\n", exchange.text
            assert exchange.head.connection.tls.version == b"TLSv1.3"
    assert isinstance(tls_proxy.connections[0].sock, ssl.SSLSocket)
    assert tls_proxy.requests[0].get("Proxy-Authorization") == ("Basic cDpx" if login else None)


@pytest.mark.parametrize("way", WAYS)
def test_squid_over_tls(trusting, squid, origin_nginx, way):
    with trusting.client() as client:
        network = options(squid.at(squid.tls, "https"))
        for _ in range(2):
            exchange = client.fetch(url_of(origin_nginx, way), network=network)
            assert exchange.body == b"hello\n", exchange.text
        assert exchange.head.connection.reused


def test_the_certificate_of_an_https_proxy_is_checked_whatever_the_request_trusts(
        client, squid, origin_nginx):
    network = options(squid.at(squid.tls, "https"))
    for more in ({"ca": origin_nginx.authority.pem}, {"insecure": True}):
        exchange = client.fetch(origin_nginx.url(), network=network, **more)
        assert_failed(exchange, "TLS_VERIFY")


def test_px10_a_ticket_of_an_https_proxy_is_never_used_with_the_origin(trusting, tls_proxy):
    """The proxy and the origin are one server here: same name, same port, same trust."""
    resumed = []

    def script(connection):
        resumed.append(connection.sock.session_reused)
        tls_proxy.relay_all(connection)

    tls_proxy.script = script
    with trusting.client() as client:
        network = options(tls_proxy.proxy_url())
        for _ in range(3):
            assert client.fetch("http://a.test/", network=network,
                                no_keep_alive=True).status == 200
        direct = [client.fetch(tls_proxy.url(), no_keep_alive=True) for _ in range(3)]
        for exchange in direct:
            assert exchange.status == 200, exchange.text
        assert [exchange.head.connection.tls.resumed for exchange in direct] == [
            False, True, True]  # its own it may use
        assert client.fetch("http://a.test/", network=network, no_keep_alive=True).status == 200
    assert resumed == [False, False, False, False, True, True, False]


# ---- whose proxy it is

def test_px11_a_zone_is_no_name_among_the_exceptions(client, proxy_raw):
    exchange = client.fetch("http://[::1%25.example.com]/",
                            network=options(proxy_raw.proxy_url(), no_proxy=b"*.example.com"))
    assert exchange.failure == "URL"
    near = client.fetch("http://[::1]/", network=options(proxy_raw.proxy_url(),
                                                         no_proxy=b"*.example.com,1,:1"))
    assert near.status == 200 and proxy_raw.requests[0].target == "http://[::1]/"


EVERY_VARIABLE = {name: "http://127.0.0.1:1" for name in
                  ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
                   "ALL_PROXY")}


@pytest.mark.xhrd(env=EVERY_VARIABLE)
def test_px12_variables_of_the_daemon_are_not_its_configuration(client, origin_raw, origin_tls,
                                                                ca):
    for origin in (origin_raw, origin_tls):
        exchange = client.fetch(origin.url(), ca=ca.pem)
        assert exchange.status == 200, exchange.text
        assert exchange.head.connection.proxy == b""


def test_rd08_proxy_authorization_is_not_the_callers_to_send(client, origin_raw):
    origin_raw.reply(response(status="302 Found", fields=[("Location", "/x")]))
    exchange = client.fetch(origin_raw.url(), headers=[("Proxy-Authorization", "Basic eDp5")])
    assert exchange.failure == "ARGUMENT"
    assert not origin_raw.requests


def test_pl08_a_tunnel_of_one_login_is_not_used_for_another(client, make_proxy, origin_tls, ca):
    proxy = make_proxy()
    for login in ("ann:1", "bob:1", "ann:2", "", "ann:1"):
        exchange = client.fetch(origin_tls.url(), ca=ca.pem,
                                network=options(proxy.proxy_url(login=login)))
        assert exchange.status == 200, exchange.text
    assert exchange.head.connection.reused
    assert len(proxy.connects()) == 4
    assert len(client.connections()) == 4


@pytest.mark.parametrize("way", WAYS)
def test_pl09_direct_and_proxied_connections_are_never_mixed(client, make_proxy, origin_raw,
                                                             origin_tls, ca, way):
    proxy, other = make_proxy(), make_proxy()
    origin = origin_tls if way == "https" else origin_raw
    proxy.reply(response(b"by proxy"))

    def fetch_one(network):
        exchange = client.fetch(origin.url(), ca=ca.pem, network=network)
        assert exchange.status == 200, exchange.text
        return exchange.head.connection.reused

    networks = [fetch_pb2.NetworkOptions(), options(proxy.proxy_url()),
                options(other.proxy_url())]
    assert [fetch_one(network) for network in networks] == [False] * 3
    assert [fetch_one(network) for network in networks] == [True] * 3
    ways = sorted(row.proxy.decode() for row in client.connections())
    assert ways == sorted(["", proxy.proxy_url(), other.proxy_url()])
    assert sorted(row.proxy.decode() for row in client.pools()) == ways


def test_a_tunnel_goes_where_connect_to_and_resolve_say(client, make_proxy, origin_raw):
    proxy = make_proxy()
    network = options(proxy.proxy_url())
    network.connect_to.add(host=b"a.test", to_host=b"localhost", to_port=origin_raw.port)
    assert client.fetch("http://a.test/", network=network).status == 200
    network = options(proxy.proxy_url())
    network.resolve.add(host=b"b.test", port=origin_raw.port, addresses=[b"127.0.0.1"])
    assert client.fetch(f"http://b.test:{origin_raw.port}/", network=network).status == 200
    assert [request.target for request in proxy.requests] == [
        f"localhost:{origin_raw.port}", f"127.0.0.1:{origin_raw.port}"]
    assert [request.get("Host") for request in origin_raw.requests] == [
        "a.test", f"b.test:{origin_raw.port}"]


def test_wrong_proxies_are_refused_with_what_is_right(client):
    for url, says in (("ftp://p:21", "http, https, socks5"), ("socks4://p:1", "socks5://"),
                      ("http://p:1/x", "nothing may follow"), ("", "no proxy")):
        exchange = client.fetch("http://a.test/", network=options(url))
        assert exchange.failure == "ARGUMENT" and says in exchange.text, exchange.text
    bearer = client.fetch("http://a.test/", network=options(
        "http://p:1", scheme=fetch_pb2.AUTH_SCHEME_BEARER))
    assert bearer.failure == "ARGUMENT"
    digest = client.fetch("http://a.test/", network=options(
        "socks5://u:p@p:1", scheme=DIGEST))
    assert digest.failure == "ARGUMENT" and "Digest" in digest.text


def test_a_407_sets_no_cookie_in_the_origins_name(client, proxy_raw):
    proxy_raw.reply(response(b"who?", status="407 Who", fields=[("Set-Cookie", "mine=1")]))
    assert client.fetch("http://a.test/", network=options(proxy_raw.proxy_url())).status == 407
    assert not client.cookies()
    proxy_raw.reply(response(b"ok", fields=[("Set-Cookie", "theirs=1")]))
    assert client.fetch("http://a.test/", network=options(proxy_raw.proxy_url())).status == 200
    assert [cookie.name for cookie in client.cookies()] == [b"theirs"]


# ---- HTTP/2 inside

def test_http2_goes_through_a_tunnel(client, origin_h2, tinyproxy, ca):
    for _ in range(2):
        exchange = client.fetch(origin_h2.url("/hello"), ca=ca.pem,
                                network=options(tinyproxy.url()))
        assert (exchange.status, exchange.body) == (200, b"hello\n"), exchange.text
        assert exchange.head.http_version == 20
        assert exchange.head.connection.tls.alpn == b"h2"
        assert exchange.head.connection.proxy_tunnel
    assert exchange.head.connection.reused


# ---- the fault matrix, column "proxy CONNECT"

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture
def faulty(origin_tls, make_proxy):  # the origin is the last to stop
    """A scripted proxy behind a network that is not what it should be."""
    made = faults.FaultProxy(make_proxy())
    yield made
    made.stop()


def through(client, faulty, origin, ca, **more):
    network = options(f"http://127.0.0.1:{faulty.port}")
    return client.fetch(origin.url(), ca=ca.pem, network=network, **more)


@pytest.mark.parametrize("toxics", [faults.Toxics(latency=0.05, jitter=0.02),
                                    faults.Toxics(bytes_per_s=8192),
                                    faults.Toxics(slice_bytes=1),
                                    faults.Toxics(slow_close=0.5)])
def test_a_slow_way_to_the_proxy_is_slow_and_nothing_else(client, faulty, origin_tls, ca, toxics):
    faulty.toxics = toxics
    exchange = through(client, faulty, origin_tls, ca)
    assert exchange.status == 200, exchange.text


@pytest.mark.shallow
@pytest.mark.parametrize("how", ["fin", "rst", "hole"])
def test_an_answer_to_connect_may_end_at_each_byte(client, faulty, origin_tls, ca, how):
    # each wait for a hole costs its time: fewer of them
    step = 13 if how == "hole" else 3
    limit_ms = 300 if how == "hole" else 30_000
    for limit in range(1, len(OPENED), step):
        faulty.toxics = faults.Toxics(limit_down=limit, at_limit=how)
        exchange = through(client, faulty, origin_tls, ca, connect_ms=limit_ms)
        assert_failed(exchange, "TIMEOUT_CONNECT" if how == "hole" else "PROXY")
    assert not origin_tls.requests
    faulty.toxics = faults.Toxics()
    assert through(client, faulty, origin_tls, ca).status == 200


def test_a_flipped_bit_in_the_answer_to_connect_opens_nothing_it_should_not(
        client, faulty, origin_tls, ca):
    for place in range(len(OPENED)):
        faulty.toxics = faults.Toxics(corrupt_at=place)
        exchange = through(client, faulty, origin_tls, ca, connect_ms=300, no_keep_alive=True)
        if exchange.status == 200:  # in the reason phrase, or a digit that stays a success
            continue
        assert exchange.failure in ("PROXY", "PROTOCOL", "TIMEOUT_CONNECT", "TLS"), exchange.text
        assert exchange.head is None
