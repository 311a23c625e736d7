# SPDX-License-Identifier: MIT
"""HTTPS: trust, names, versions 1.2 and 1.3, resumption, and where it fails before a byte of the
request is sent."""
import ssl

import pytest
from origins import ScriptedOrigin, response

pytestmark = pytest.mark.shallow


@pytest.mark.parametrize("option, version", [("-tls1_2", b"TLSv1.2"), ("-tls1_3", b"TLSv1.3")])
def test_either_version_is_spoken_and_told(client, s_server, ca, option, version):
    exchange = client.fetch(s_server(option).url(), ca=ca.pem)
    assert exchange.done, exchange.text
    assert exchange.head.connection.tls.version == version
    assert exchange.head.connection.tls.cipher


def test_unknown_authority_fails_before_a_request_byte(client, origin_tls):
    exchange = client.fetch(origin_tls.url(host="localhost"))
    assert exchange.failure == "TLS_VERIFY" and exchange.text
    assert not origin_tls.requests


def test_certificate_for_another_name_fails(client, make_tls_origin, ca):
    origin = make_tls_origin("right.example")
    port = origin.port
    wrong = client.fetch(origin.url(host="wrong.example"), resolve=[("wrong.example", port)], ca=ca.pem)
    assert wrong.failure == "TLS_VERIFY" and not origin.requests
    assert client.fetch(origin.url(host="right.example"), resolve=[("right.example", port)],
                        ca=ca.pem).done


def test_address_needs_an_address_in_the_certificate(client, make_tls_origin, ca):
    assert client.fetch(make_tls_origin("localhost").url(), ca=ca.pem).failure == "TLS_VERIFY"
    assert client.fetch(make_tls_origin("127.0.0.1").url(), ca=ca.pem).done


def test_expired_certificate_fails(client, xhrd, ca, origin_tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("localhost", days=-1))
    origin = ScriptedOrigin(context)
    try:
        assert client.fetch(origin.url(host="localhost"), ca=ca.pem).failure == "TLS_VERIFY"
        assert not origin.requests
    finally:
        origin.stop()


def test_insecure_holds_for_that_request_alone(client, origin_tls):
    assert client.fetch(origin_tls.url(), insecure=True).done
    assert client.fetch(origin_tls.url()).failure == "TLS_VERIFY"


def test_plain_server_on_the_https_port_fails(client, origin_raw):
    origin_raw.script = lambda connection: connection.send(b"HTTP/1.1 400 Bad\r\n\r\n")
    exchange = client.fetch(f"https://127.0.0.1:{origin_raw.port}/")
    assert exchange.failure in ("TLS", "TLS_VERSION")


def test_server_that_hangs_up_in_the_handshake_fails(client, origin_raw):
    origin_raw.script = lambda connection: connection.recv()
    assert client.fetch(f"https://127.0.0.1:{origin_raw.port}/").failure in ("TLS", "CONNECT")


def test_second_connection_resumes_the_session(client, s_server, ca):
    server = s_server()
    first = client.fetch(server.url(), ca=ca.pem)
    second = client.fetch(server.url(), ca=ca.pem)
    assert first.done and second.done, (first.text, second.text)
    assert not first.head.connection.tls.resumed
    assert second.head.connection.tls.resumed
    status = client.status()
    assert (status.tls_handshakes_full, status.tls_handshakes_resumed) == (1, 1)


def test_session_is_not_resumed_across_profiles(client, xhrd, s_server, ca):
    server = s_server()
    assert client.fetch(server.url(), ca=ca.pem).done
    with xhrd.client(profile="other") as other:
        assert not other.fetch(server.url(), ca=ca.pem).head.connection.tls.resumed


def test_ca_text_that_holds_no_certificate_is_an_argument_error(client, origin_tls, folder):
    (folder / "ca").write_text("not a certificate\n")
    exchange = client.fetch(origin_tls.url(), ca=folder / "ca")
    assert exchange.failure == "ARGUMENT" and exchange.text
    assert not origin_tls.requests


def test_server_name_is_sent_for_names_and_not_for_addresses(client, make_tls_origin, ca):
    origin = make_tls_origin("site.example", "127.0.0.1")
    seen = []
    origin.tls.sni_callback = lambda _, name, __: seen.append(name)
    origin.reply(response(b"ok"))
    assert client.fetch(origin.url(host="site.example"), ca=ca.pem,
                        resolve=[("site.example", origin.port)]).done
    assert client.fetch(origin.url(), ca=ca.pem).done
    assert seen == ["site.example", None]


def test_server_that_only_speaks_http2_is_spoken_to_in_http2(client, origin_h2, ca):
    exchange = client.fetch(origin_h2.url("/hello"), ca=ca.pem)
    assert exchange.body and exchange.head.http_version == 20
    assert exchange.head.connection.tls.alpn == b"h2"
