# SPDX-License-Identifier: MIT
"""What a request may ask of TLS: versions, pinned keys, a certificate of its own; and that none of
it is shared with a request that asked otherwise (TS02, TS03, TS09, TV13, PL05, PL06)."""
import base64
import hashlib
import ssl
import subprocess

import pytest
from origins import ScriptedOrigin, tls_server
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304


def terms(ca, **fields):
    return fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(), **fields)


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout


def pin_of(certificate):
    key = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key,
                         capture_output=True, check=True).stdout
    return hashlib.sha256(der).digest()


# ---- versions ---------------------------------------------------------------------------------

OLD = ("-cipher", "DEFAULT@SECLEVEL=0")


@pytest.mark.parametrize("option, version, name", [
    ("-tls1", TLS10, b"TLSv1"), ("-tls1_1", TLS11, b"TLSv1.1"),
    ("-tls1_2", TLS12, b"TLSv1.2"), ("-tls1_3", TLS13, b"TLSv1.3")])
def test_ts02_exactly_the_version_that_was_named(client, s_server, ca, option, version, name):
    server = s_server(option, *(OLD if version < TLS12 else ()))
    done = client.fetch(server.url(), tls=terms(ca, min_version=version, max_version=version))
    assert done.head.connection.tls.version == name
    other = TLS13 if version < TLS13 else TLS12
    refused = client.fetch(server.url(), tls=terms(ca, min_version=other, max_version=other))
    assert refused.failure in ("TLS_VERSION", "TLS")


@pytest.mark.xhrd(config="[TLS]\nMinimumTLSVersion=1.2\n")
def test_ts03_nobody_goes_below_the_machines_floor(client, s_server, ca):
    server = s_server("-tls1_1", *OLD)
    exact = client.fetch(server.url(), tls=terms(ca, min_version=TLS11, max_version=TLS11))
    assert exact.failure == "TLS_VERSION" and "MinimumTLSVersion" in exact.text
    assert client.fetch(server.url(), tls=terms(ca, min_version=TLS10)).failed


@pytest.mark.parametrize("wrong", [{"min_version": 1}, {"max_version": 0x0305},
                                   {"min_version": TLS13, "max_version": TLS12},
                                   {"pins": [b"short"]}, {"pins": [b"x" * 32] * 17}])
def test_terms_that_cannot_be_are_refused(client, origin_tls, ca, wrong):
    exchange = client.fetch(origin_tls.url(), tls=terms(ca, **wrong))
    assert exchange.failure == "ARGUMENT" and exchange.text.startswith("tls: ")


# ---- pinned keys ------------------------------------------------------------------------------

def test_a_pin_of_the_leaf_or_of_the_authority_holds(client, origin_tls, ca):
    leaf = pin_of(ca.issue()[0])
    for pins in ([leaf], [pin_of(ca.pem)], [b"0" * 32, leaf]):
        assert client.fetch(origin_tls.url(), tls=terms(ca, pins=pins)).done
    assert len(origin_tls.connections) == 3, "PL06: other pins, other connections"


def test_a_pin_of_nobody_fails_before_a_request_byte(client, origin_tls, ca):
    exchange = client.fetch(origin_tls.url(), tls=terms(ca, pins=[b"0" * 32]))
    assert exchange.failure == "TLS_PIN" and not origin_tls.requests


def test_tv13_a_pinned_key_beside_the_chain_does_not_count(client, xhrd, ca, other_ca, folder):
    """The server sends the pinned certificate, too, but it is no part of what was verified."""
    cert, key = ca.issue("localhost", "127.0.0.1")
    stuffed = folder / "stuffed.pem"
    stuffed.write_bytes(cert.read_bytes() + other_ca.pem.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stuffed, key)
    origin = ScriptedOrigin(context)
    try:
        exchange = client.fetch(origin.url(), tls=terms(ca, pins=[pin_of(other_ca.pem)]))
        assert exchange.failure == "TLS_PIN" and not origin.requests
    finally:
        origin.stop()


def test_a_session_made_without_a_pin_is_not_resumed_with_one(client, origin_tls, ca):
    """TS09: the connection goes, its ticket stays, and is not shown under other terms."""
    def fetch(**fields):
        return client.fetch(origin_tls.url(), no_keep_alive=True, tls=terms(ca, **fields))

    assert fetch().done
    pinned = fetch(pins=[pin_of(ca.pem)])
    assert pinned.done and not pinned.head.connection.tls.resumed
    assert fetch(pins=[pin_of(ca.pem)]).head.connection.tls.resumed


# ---- certificates of the client ---------------------------------------------------------------

@pytest.fixture
def origin_mtls(xhrd, ca):
    """Asks every client for a certificate of the same authority, and tells whose it was."""
    context = tls_server(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca.pem)
    origin = ScriptedOrigin(context)
    origin.subjects = []

    def script(connection):
        name = connection.sock.getpeercert()["subject"][0][0][1]
        origin.subjects.append(name)
        origin.answer_all(connection)

    origin.script = script
    yield origin
    origin.stop()


def pem_of(ca, name):
    cert, key = ca.issue("client.example", common_name=name)
    return cert.read_bytes() + key.read_bytes()


def test_a_server_that_asks_is_shown_the_certificate(client, origin_mtls, ca):
    assert client.fetch(origin_mtls.url(), tls=terms(ca)).failed
    assert client.fetch(origin_mtls.url(),
                        tls=terms(ca, client_certificate=pem_of(ca, "ann"))).done
    assert origin_mtls.subjects == ["ann"]


def test_pl05_each_certificate_has_its_own_connection(client, origin_mtls, ca):
    for name in ("ann", "bob", "ann"):
        assert client.fetch(origin_mtls.url(),
                            tls=terms(ca, client_certificate=pem_of(ca, name))).done
    assert origin_mtls.subjects == ["ann", "bob"]
    assert [r.connection for r in origin_mtls.requests] == [0, 1, 0]


@pytest.mark.parametrize("passphrase", [b"", b"open sesame"])
def test_pkcs12_is_as_good(client, origin_mtls, ca, folder, passphrase):
    cert, key = ca.issue("client.example", common_name="ann")
    p12 = openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-passout",
                  f"pass:{passphrase.decode()}")
    assert client.fetch(origin_mtls.url(), tls=terms(ca, client_certificate=p12,
                                                     passphrase=passphrase)).done
    wrong = client.fetch(origin_mtls.url(), tls=terms(ca, client_certificate=p12,
                                                      passphrase=b"wrong"))
    assert wrong.failure == "ARGUMENT" and "passphrase" in wrong.text


def test_a_locked_key_wants_its_passphrase(client, origin_mtls, ca):
    cert, key = ca.issue("client.example", common_name="ann")
    locked = cert.read_bytes() + openssl("pkey", "-in", key, "-aes256", "-passout",
                                         "pass:open sesame")
    opened = terms(ca, client_certificate=locked, passphrase=b"open sesame")
    assert client.fetch(origin_mtls.url(), tls=opened).done
    for passphrase in (b"", b"wrong"):
        exchange = client.fetch(origin_mtls.url(), tls=terms(
            ca, client_certificate=locked, passphrase=passphrase))
        assert exchange.failure == "ARGUMENT" and "passphrase" in exchange.text


@pytest.mark.parametrize("what", ["garbage", "no key", "another key", "der garbage"])
def test_a_certificate_that_cannot_be_used_says_why(client, origin_mtls, ca, what):
    cert, key = ca.issue("client.example", common_name="ann")
    given = {"garbage": b"not a certificate", "no key": cert.read_bytes(),
             "another key": cert.read_bytes() + ca.issue("other.example")[1].read_bytes(),
             "der garbage": b"\x30\x82\x01\x00garbage"}[what]
    exchange = client.fetch(origin_mtls.url(), tls=terms(ca, client_certificate=given))
    assert exchange.failure == "ARGUMENT" and exchange.text.startswith("client certificate: ")
    assert not origin_mtls.requests


# ---- the command ------------------------------------------------------------------------------

def test_xhr_has_curls_flags_for_it(xhr, origin_mtls, ca, folder):
    cert, key = ca.issue("client.example", common_name="ann")
    base = ["-s", "--cacert", ca.pem]
    assert xhr(*base, "-E", cert, "--key", key, origin_mtls.url(), check=0).out == "hello\n"
    assert xhr(*base, origin_mtls.url()).status != 0
    assert xhr(*base, "-E", folder / "missing", origin_mtls.url()).status == 58
    both = folder / "both.pem"
    both.write_bytes(pem_of(ca, "ann"))
    pin = base64.b64encode(pin_of(ca.issue()[0])).decode()
    assert xhr(*base, "-E", both, "--pinnedpubkey", f"sha256//{pin}", origin_mtls.url(),
               check=0).out == "hello\n"
    assert xhr(*base, "-E", both, "--pinnedpubkey", f"sha256//{'A' * 43}=",
               origin_mtls.url()).status == 90
    assert xhr(*base, "--pinnedpubkey", "sha256//short", origin_mtls.url()).status == 2


@pytest.mark.parametrize("flags, version", [(["--tls-version", "1.2"], "TLSv1.2"),
                                            (["--tls-max", "1.2"], "TLSv1.2"),
                                            (["--tlsv1.3"], "TLSv1.3")])
def test_xhr_names_versions(xhr, origin_tls, ca, flags, version):
    done = xhr("-v", "--cacert", ca.pem, *flags, origin_tls.url(), check=0)
    assert version in done.err
    assert xhr("--tls-version", "1.4", origin_tls.url()).status == 2
