# SPDX-License-Identifier: MIT
"""What a user sees of a server's certificates, when he asks, whatever their maker wrote."""
import hashlib
import json
import ssl

import certificates
import pytest
from certificates import root, self_signed, spki_sha256, x509
from cryptography.hazmat.primitives import serialization
from origins import ScriptedOrigin, response
from wire import fetch_pb2

pytestmark = pytest.mark.shallow


@pytest.fixture
def serve(xhrd, folder):
    """Serve certificate and chain, over the scripted origin."""
    made = []

    def start(leaf, chain=None, alpn=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*leaf.write(folder, f"served{len(made)}", chain))
        if alpn:
            context.set_alpn_protocols(alpn)
        made.append(ScriptedOrigin(context))
        made[-1].reply(response(b"ok"))
        return made[-1]

    yield start
    for origin in made:
        origin.stop()


def fetch(client, origin, anchor=None, tell=True, **more):
    tls = fetch_pb2.TlsOptions(ca_pem=anchor.pem if anchor else b"", insecure=anchor is None)
    return client.fetch(origin.url(host="localhost"), tls=tls, tell_certificates=tell, **more)


def test_the_chain_is_told_as_it_was_sent_when_it_is_asked_for(client, serve):
    top = root("Top")
    middle = top.authority("Middle")
    leaf = middle.issue("localhost", "127.0.0.1", "*.b.example", common_name="Leaf")
    origin = serve(leaf)
    tls = fetch(client, origin, top).head.connection.tls
    assert tls.verify_result == 0 and tls.certificates_left_out == 0
    assert [bytes(each.subject) for each in tls.certificates] == [b"CN=Leaf", b"CN=Middle"]
    assert [bytes(each.issuer) for each in tls.certificates] == [b"CN=Middle", b"CN=Top"]
    assert [bytes(each.der) for each in tls.certificates] == [leaf.der, middle.der]
    told = tls.certificates[0]
    assert list(told.names) == [b"DNS:localhost", b"IP:127.0.0.1", b"DNS:*.b.example"]
    assert told.spki_sha256 == spki_sha256(leaf)
    assert int(told.serial, 16) == leaf.certificate.serial_number
    for at, moment in ((told.not_before, leaf.certificate.not_valid_before),
                       (told.not_after, leaf.certificate.not_valid_after)):
        assert at == int((moment - certificates.datetime.datetime(1970, 1, 1)).total_seconds())
    assert told.signature == b"ecdsa-with-SHA256" and b"256 bits" in told.key
    assert not fetch(client, origin, top, tell=False).head.connection.tls.certificates


def test_a_used_connection_and_a_resumed_session_tell_it_too(client, serve):
    top = root()
    origin = serve(top.issue("localhost"))
    first = fetch(client, origin, top, tell=False)
    used = fetch(client, origin, top, no_keep_alive=True)
    resumed = fetch(client, origin, top)
    assert first.done and used.head.connection.reused
    assert resumed.head.connection.tls.resumed and not resumed.head.connection.reused
    for exchange in (used, resumed):
        assert len(exchange.head.connection.tls.certificates) == 1


def test_http2_tells_it_too(client, origin_h2, ca):
    exchange = client.fetch(origin_h2.url("/hello"), ca=ca.pem, tell_certificates=True)
    assert exchange.head.http_version == 20
    assert exchange.head.connection.tls.certificates[0].der


def test_each_hop_tells_its_own(client, serve):
    top = root()
    second = serve(top.issue("localhost", common_name="second"))
    first = serve(top.issue("localhost", common_name="first"))
    first.reply(response(b"", status="302 Found",
                         fields=[("Location", second.url(host="localhost"))]))
    told = fetch(client, first, top).head.connection.tls.certificates
    assert [bytes(each.subject) for each in told] == [b"CN=second"]


def test_insecure_tells_what_verification_would_have_said(client, serve, xhrd):
    tls = fetch(client, serve(self_signed("localhost"))).head.connection.tls
    assert tls.verify_result == 18 and len(tls.certificates) == 1


def test_ur16_what_a_stranger_wrote_is_escaped_and_cut(client, serve):
    ugly = self_signed("localhost", common_name="\x1b[31mred\r\n\u202eyob\u0000end")
    certificate, = fetch(client, serve(ugly)).head.connection.tls.certificates
    assert bytes(certificate.subject) == \
        rb"CN=\1B[31mred\0D\0A\E2\80\AEyob\00end"
    patched = self_signed("localhost", "evil.example")
    der = patched.der.replace(b"evil.example", b"evil\x00\x1bxample")
    patched.raw = der
    certificate, = fetch(client, serve(patched)).head.connection.tls.certificates
    assert rb"DNS:evil\00\1Bxample" in list(certificate.names)


def test_ur16_long_names_and_many_are_cut_and_counted(client, serve):
    oid = x509.ObjectIdentifier("2.5.4.10")
    name = x509.Name([x509.NameAttribute(oid, "o" * 64) for _ in range(250)])
    certificate = certificates.Certificate(None, None)
    long = certificate.issue("localhost", *[f"n{i}.{'x' * 60}.example" for i in range(250)])
    builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
               .public_key(long.key.public_key()).serial_number((1 << 159) - 1)
               .not_valid_before(certificates.now()).not_valid_after(certificates.now() +
                                                                     certificates.DAY))
    for extension in long.certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    long.certificate = builder.sign(long.key, certificates.hashes.SHA256())
    told, = fetch(client, serve(long)).head.connection.tls.certificates
    assert len(told.subject) == 1024 and told.subject.endswith(b"...")
    assert len(told.names) == 100 and told.names_left_out == 151
    assert len(told.der) == len(long.der)


def test_a_name_of_a_megabyte_ends_the_handshake(client, serve):
    huge = self_signed("localhost", extensions=[
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04" * (1 << 20))])
    origin = serve(huge)
    assert fetch(client, origin).failure == "TLS" and not origin.requests


def test_a_long_chain_is_told_in_part(client, serve):
    leaf = self_signed("localhost")
    others = [self_signed(f"n{i}.example") for i in range(30)]
    tls = fetch(client, serve(leaf, chain=[leaf, *others])).head.connection.tls
    assert len(tls.certificates) == 20 and tls.certificates_left_out == 11
    assert tls.certificates[0].der == leaf.der


def test_xhr_shows_it_as_curl_does(xhr, serve, folder):
    leaf = self_signed("localhost", "a.example", common_name="Leaf")
    url = serve(leaf).url(host="localhost")
    (folder / "ca.pem").write_bytes(leaf.pem)
    trust = ("--cacert", folder / "ca.pem")
    done = xhr("-v", *trust, url)
    lines = [line for line in done.err.split("\n") if line.startswith("*  ")]
    assert lines[0] == "*  subject: CN=Leaf" and lines[4] == "*  issuer: CN=Leaf"
    start = leaf.certificate.not_valid_before.strftime("%b %e %H:%M:%S %Y GMT")
    assert lines[1] == f"*  start date: {start}"
    assert lines[3] == "*  subjectAltName: DNS:localhost, DNS:a.example"
    assert lines[-1] == "*  SSL certificate verify ok."
    done = xhr("-s", *trust, "-o", "/dev/null", "-w",
               "%{num_certs} %{ssl_verify_result}\\n%{certs}", url)
    head, text = done.out.split("\n", 1)
    assert head == "1 0" and text.startswith("Subject:CN=Leaf\nIssuer:CN=Leaf\n")
    pem = text[text.index("-----BEGIN"):]
    assert x509.load_pem_x509_certificate(pem.encode()).public_bytes(
        serialization.Encoding.DER) == leaf.der
    assert xhr("-sk", "-o", "/dev/null", "-w", "%{num_certs} %{ssl_verify_result}",
               url).out == "1 18"
    told = json.loads(xhr("-s", *trust, "-o", "/dev/null", "-w", "%{json}", url).out)
    assert told["num_certs"] == 1 and told["certs"] == text


def test_xhr_events_hold_it(xhr, serve):
    leaf = self_signed("localhost", common_name="\x1b]0;title\x07")
    done = xhr("-sk", "--events", "-o", "/dev/null", serve(leaf).url(host="localhost"))
    events = [json.loads(line) for line in done.err.split("\n") if line]
    tls, = (event for event in events if event["event"] == "tls")
    certificate, = tls["certificates"]
    assert tls["verify_result"] == 18 and certificate["subject"] == r"CN=\1B]0\;title\07"
    pin = hashlib.sha256(leaf.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).digest()
    assert certificate["public_key"] == "sha256//" + certificates.base64(pin)
    assert certificate["names"] == ["DNS:localhost"]
