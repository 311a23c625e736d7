# SPDX-License-Identifier: MIT
"""Through proxies: real ones, and one that lies (PX01 to PX12, CK28, RD08, PL08, PL09)."""
import re
import ssl

import origins
import proxies
import pytest
from origins import LOOPBACK, response
from proxies import PASSWORD, REPLY_OK, USER, options, socks
from waiting import wait_until
from wire import failure_pb2, fetch_pb2

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
