# SPDX-License-Identifier: MIT
"""The key of a client certificate that never enters the daemon: the program signs, with RSA-PSS,
RSA and ECDSA, for TLS 1.2 and 1.3, at real servers; and what becomes of a program that does not."""
import contextlib
import ctypes

import libxhr
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from test_tls_servers import NAMES, both_keys, both_versions, everywhere, seen_by, serve
from test_tls_terms import terms

__all__ = ["serve"]  # a fixture

pytestmark = pytest.mark.shallow

HASHES = {4: hashes.SHA256(), 5: hashes.SHA384(), 6: hashes.SHA512()}


class Key:
    """A certificate with its key, as a program has it."""

    def __init__(self, ca, kind="ec", name="ann"):
        cert, key = ca.issue("client.example", common_name=name, kind=kind)
        self.chain = cert.read_bytes()
        self.pem = key.read_bytes()
        self.key = serialization.load_pem_private_key(self.pem, None)
        self.schemes = []

    def sign(self, scheme, data):
        self.schemes.append(scheme)
        if scheme >> 8 == 8:
            md = HASHES[scheme & 0xff]
            return self.key.sign(data, padding.PSS(padding.MGF1(md), md.digest_size), md)
        md = HASHES[scheme >> 8]
        if scheme & 0xff == 3:
            return self.key.sign(data, ec.ECDSA(md))
        return self.key.sign(data, padding.PKCS1v15(), md)


def open_with(client, server, ca, key, handle=7, **fields):
    fields.setdefault("client_certificate", key.chain)
    return client.open(server.url(), no_keep_alive=True, tls=terms(
        ca, client_signs=True, sign_handle=handle, **fields))


def question(client):
    client.receive_until(lambda: client.questions)
    return client.questions.pop(0)


def answer(client, asked, **what):
    client.send("connection_answer", question_id=asked.question_id, **what)


def sign_once(client, key):
    asked = question(client)
    assert (asked.handle, asked.host) == (7, b"localhost")
    answer(client, asked, signature=key.sign(asked.sign.scheme, asked.sign.data))
    return asked


@everywhere
@both_versions
@both_keys
def test_the_program_signs_and_the_server_believes_it(client, serve, ca, server, kind, version):
    at, key = serve(server, versions=(version,), asks=True), Key(ca, kind)
    exchange = open_with(client, at, ca, key)
    asked = sign_once(client, key)
    client.finish(exchange)
    assert exchange.done, exchange.text
    assert exchange.head.connection.tls.version == NAMES[version]
    if server != "gnutls":
        assert "SUCCESS" in seen_by(exchange) and "ann" in seen_by(exchange)
    assert asked.port == at.port
    pss = {0x0804, 0x0805, 0x0806}
    if version == "1.2":
        pss.add(0x0401)  # what GnuTLS likes best there
    assert asked.sign.scheme in (pss if kind == "rsa" else {0x0403})
    if version == "1.3":
        assert asked.sign.data.startswith(b" " * 64 + b"TLS 1.3, client CertificateVerify\0")


def test_rsa_without_pss_is_signed_for_servers_that_want_it(client, s_server, ca):
    server = s_server("-tls1_2", "-Verify", "1", "-CAfile", str(ca.pem), "-verify_return_error",
                      "-client_sigalgs", "RSA+SHA256")
    key = Key(ca, "rsa")
    exchange = open_with(client, server, ca, key)
    sign_once(client, key)
    assert client.finish(exchange).done, exchange.text
    assert key.schemes == [0x0401]


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_a_server_that_wants_another_hello_first_is_signed_for_too(client, s_server, ca, suite):
    """HelloRetryRequest: the first hello counts as its hash."""
    server = s_server("-tls1_3", "-Verify", "1", "-CAfile", str(ca.pem), "-verify_return_error",
                      "-groups", "P-384", "-ciphersuites", suite)
    key = Key(ca)
    exchange = open_with(client, server, ca, key)
    sign_once(client, key)
    assert client.finish(exchange).done, exchange.text


def test_a_chain_goes_along(client, s_server, ca, other_ca):
    server = s_server("-tls1_3", "-Verify", "2", "-CAfile", str(ca.pem), "-verify_return_error")
    key = Key(ca)
    exchange = open_with(client, server, ca, key,
                         client_certificate=key.chain + ca.pem.read_bytes())
    sign_once(client, key)
    assert client.finish(exchange).done, exchange.text


def test_the_loop_goes_on_while_the_program_thinks(client, another, serve, origin_raw, ca):
    at, key = serve("nginx", asks=True), Key(ca)
    exchange = open_with(client, at, ca, key)
    asked = question(client)
    for _ in range(20):
        assert another.fetch(origin_raw.url()).done
    answer(client, asked, signature=key.sign(asked.sign.scheme, asked.sign.data))
    assert client.finish(exchange).done, exchange.text


def test_connections_signed_for_belong_to_that_program(client, another, serve, ca):
    """The key stays with one program: another one's request finds neither connection nor
    session."""
    at, key = serve("nginx", asks=True), Key(ca)
    for _ in range(2):
        exchange = client.open(at.url(), tls=terms(ca, client_signs=True, sign_handle=7,
                                                   client_certificate=key.chain))
        if not key.schemes:
            sign_once(client, key)
        assert client.finish(exchange).done
    other = open_with(another, at, ca, key)
    sign_once(another, key)
    assert another.finish(other).done and not other.head.connection.tls.resumed
    assert len(key.schemes) == 2


@pytest.mark.parametrize("how", ["refuses", "is wrong", "is too long", "is of another key"])
def test_an_answer_that_does_not_do_fails_the_connection(client, serve, ca, how):
    at, key = serve("nginx", asks=True), Key(ca)
    exchange = open_with(client, at, ca, key)
    asked = question(client)
    if how == "refuses":
        answer(client, asked, refuse=True)
    elif how == "is wrong":
        answer(client, asked, signature=b"no signature")
    elif how == "is too long":
        answer(client, asked, signature=b"x" * 5000)
    else:
        eve = Key(ca, name="eve")
        answer(client, asked, signature=eve.sign(asked.sign.scheme, asked.sign.data))
    client.finish(exchange)
    assert exchange.failure == "TLS" and "the client" in exchange.text, exchange.text


def test_a_program_that_leaves_is_not_waited_for(xhrd, another, serve, ca):
    at, key = serve("nginx", asks=True), Key(ca)
    with xhrd.client() as client:
        open_with(client, at, ca, key)
        question(client)
    assert another.status().clients >= 1


def test_a_request_that_is_aborted_takes_its_question_back(client, serve, ca):
    at, key = serve("nginx", asks=True), Key(ca)
    exchange = open_with(client, at, ca, key)
    asked = question(client)
    client.abort(exchange)
    client.finish(exchange)
    withdrawn = question(client)
    assert withdrawn.question_id == asked.question_id and withdrawn.withdrawn
    answer(client, asked, signature=key.sign(asked.sign.scheme, asked.sign.data))
    assert client.status().requests_active == 0


@pytest.mark.parametrize("what", ["no certificate", "its key", "passphrase", "ed25519"])
def test_terms_that_cannot_be_are_refused(client, origin_tls, ca, folder, what):
    key = Key(ca)
    fields = {"no certificate": {"client_certificate": b""},
              "its key": {"client_certificate": key.chain + key.pem},
              "passphrase": {"passphrase": b"open sesame"}}.get(what)
    if what == "ed25519":
        ca._openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ed", "-keyout",
                    folder / "ed.key", "-out", folder / "ed.pem")
        fields = {"client_certificate": (folder / "ed.pem").read_bytes()}
    exchange = client.finish(open_with(client, origin_tls, ca, key, **fields))
    assert exchange.failure == "ARGUMENT", exchange.text
    assert not origin_tls.requests


def test_a_server_that_does_not_ask_is_not_signed_for(client, origin_tls, ca):
    key = Key(ca)
    exchange = client.finish(open_with(client, origin_tls, ca, key))
    assert exchange.done and not client.questions



# ---- through libxhr ---------------------------------------------------------------------------

@contextlib.contextmanager
def libxhr_client(xhrd):
    client = libxhr.Client(xhrd.socket_path)
    try:
        yield client
    finally:
        client.close()


def get(client, server, ca, key):
    """Under way; ctypes keeps bytes alive only as long as somebody holds them."""
    request = client.request()
    request.pem = [ctypes.create_string_buffer(pem, len(pem))
                   for pem in (ca.pem.read_bytes(), key.chain)]
    at = [ctypes.addressof(pem) for pem in request.pem]
    size = [len(pem) for pem in request.pem]
    request.options(ca_pem=at[0], ca_pem_len=size[0], client_certificate=at[1],
                    client_certificate_len=size[1], client_signs=True, client_key=42)
    assert request.open(server.url()) == 0 and request.send() == 0
    return request


@both_versions
@pytest.mark.parametrize("later", [False, True])
def test_libxhr_gives_the_program_what_is_to_be_signed(xhrd, serve, ca, version, later):
    at, key = serve("nginx", versions=(version,), asks=True), Key(ca, "rsa")
    waiting = []

    def sign(signing):
        if later:
            waiting.append(signing)
        else:
            give(signing)

    with libxhr_client(xhrd) as client:
        def give(signing):
            handle, host, scheme, data = client.signing_of(signing)
            assert (handle, host) == (42, "localhost")
            assert client.answer_signing(signing, key.sign(scheme, data)) == 0

        client.set_signer(sign)
        request = get(client, at, ca, key)
        if later:
            client.wait_until(lambda: waiting)
            give(waiting.pop())
        client.run()
        assert request.words[-1] == "load" and not request.faults, request.words
        assert b"SUCCESS" in request.response
        assert len(key.schemes) == 1
        request.free()


def test_libxhr_without_a_signer_refuses(xhrd, serve, ca):
    at, key = serve("nginx", asks=True), Key(ca)
    with libxhr_client(xhrd) as client:
        request = get(client, at, ca, key)
        client.run()
        assert request.words[-1] == "error:tls", request.words
        request.free()
