# SPDX-License-Identifier: MIT
"""Every alert a TLS server can end a handshake with, and what the user of xhr is told of it: from
openssl s_server where it can be brought to send it, else from somebody in between."""
import datetime
import re

import pytest
from certificates import now, root
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tls_mitm import PASS, Hello, Mitm, alert, parse

YEAR_S = 365 * 86400
EMS, SIGNATURE_ALGORITHMS, SESSION_TICKET, SERVER_NAME = 23, 13, 35, 0


def told(run, number, name):
    """The one line of xhr, of class TLS: it names the alert."""
    assert f"TLS alert {number}, {name})" in run.err, run.err
    assert run.out == "" and run.status == 35
    return run.err


# ---- real servers -----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def people():
    """An authority for clients, and what it issues."""
    return root("people")


def crl_of(people, *revoked):
    builder = (x509.CertificateRevocationListBuilder().issuer_name(people.certificate.subject)
               .last_update(now() - datetime.timedelta(days=1))
               .next_update(now() + datetime.timedelta(days=1)))
    for certificate in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            .revocation_date(now() - datetime.timedelta(hours=1)).build())
    return builder.sign(people.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def strange_extension():
    """One that nobody knows; critical when it is added so."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


def at(seconds):
    return str(int(now().timestamp()) + seconds)


BOTH = ("-tls1_2", "-tls1_3")
# name: (alert, its name, versions, options of s_server, how the client's certificate is issued: None for none)
FROM_S_SERVER = {
    "no version in common": (70, "protocol_version", ("-tls1_1",), [], None, ["--tlsv1.2"]),
    "no cipher in common": (40, "handshake_failure", ("-tls1_2",),
                            ["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], None, []),
    "no group in common": (40, "handshake_failure", ("-tls1_3",), ["-groups", "ffdhe8192"], None, []),
    "no protocol in common": (120, "no_application_protocol", BOTH, ["-alpn", "ftp"], None, []),
    "another name": (112, "unrecognized_name", BOTH,
                     ["-servername", "other.example", "-servername_fatal"], None, []),
    "no client certificate, 1.2": (40, "handshake_failure", ("-tls1_2",), ["-Verify", "1"], None, []),
    "no client certificate, 1.3": (116, "certificate_required", ("-tls1_3",), ["-Verify", "1"],
                                   None, []),
    "of an unknown authority": (48, "unknown_ca", BOTH, [], "stranger", []),
    "expired": (45, "certificate_expired", BOTH, ["-attime", at(YEAR_S)], "good", []),
    "not valid yet": (42, "bad_certificate", BOTH, ["-attime", at(-YEAR_S)], "good", []),
    "revoked": (44, "certificate_revoked", BOTH, ["-crl_check"], "revoked", []),
    "for servers": (43, "unsupported_certificate", BOTH, [], "server", []),
    "with a critical extension": (46, "certificate_unknown", BOTH, [], "strange", []),
}


def issue(people, how):
    if how == "stranger":
        return root("strangers").issue(common_name="eve", usage="client")
    if how == "strange":
        return people.issue(common_name="odd", usage="client", critical=[strange_extension()])
    return people.issue(common_name=how, usage="server" if how == "server" else "client")


@pytest.mark.parametrize("case, version", [
    (case, version) for case, row in FROM_S_SERVER.items() for version in row[2]])
def test_alerts_of_s_server_are_named_with_what_would_help(
        xhr, s_server, ca, people, folder, case, version):
    number, name, _, options, client, flags = FROM_S_SERVER[case]
    options, flags = [version, *options], list(flags)
    if "-servername" in options:
        cert, key = ca.issue("other.example")
        options += ["-cert2", str(cert), "-key2", str(key)]
    if version == "-tls1_1":
        options += ["-cipher", "DEFAULT@SECLEVEL=0"]
    if client:
        certificate = issue(people, client)
        (folder / "people.pem").write_bytes(people.pem)
        (folder / "client.pem").write_bytes(certificate.pem + certificate.key_pem)
        options += ["-Verify", "3", "-verify_return_error", "-CAfile", str(folder / "people.pem")]
        flags += ["-E", folder / "client.pem"]
        if client == "revoked":
            (folder / "crl.pem").write_bytes(crl_of(people, certificate.certificate))
            options += ["-CRL", str(folder / "crl.pem")]
    run = xhr("-sS", "--cacert", ca.pem, *flags, s_server(*options).url())
    err = told(run, number, name)
    assert err.startswith("xhr: (35) no TLS") and "localhost" in err
    if number not in (70, 120):
        assert "; " in err, "what would help"


# ---- real servers, and somebody who changes what is said to them ------------------------------------

def without(hello, *kinds):
    return hello.rebuilt(extensions=[e for e in hello.extensions if e[0] not in kinds])


def as_hello(changed):
    return changed if isinstance(changed, Hello) else parse(changed)


def raw(hello, data):
    """The record in other bytes."""
    return Hello(data, hello.legacy_version, hello.ciphers, hello.extensions)


CHANGED = {
    "no signature algorithms": (109, "missing_extension", "-tls1_3",
                                lambda hello: without(hello, SIGNATURE_ALGORITHMS)),
    "an extension twice": (47, "illegal_parameter", "-tls1_3", lambda hello: hello.rebuilt(
        extensions=hello.extensions + [(SESSION_TICKET, b"")])),
    "a name that breaks off": (50, "decode_error", "-tls1_3", lambda hello: hello.rebuilt(
        extensions=[(kind, b"\x00\xff" if kind == SERVER_NAME else data)
                    for kind, data in hello.extensions])),
    "another message": (10, "unexpected_message", "-tls1_3", lambda hello: raw(
        hello, hello.bytes[:5] + b"\x10" + hello.bytes[6:])),
    "a record too long": (22, "record_overflow", "-tls1_3", lambda hello: raw(
        hello, b"\x16\x03\x01\x60\x00" + bytes(0x6000))),
    "other keys": (20, "bad_record_mac", "-tls1_2", lambda hello: hello.rebuilt(
        ciphers=hello.ciphers + [0x1301])),
    "another checksum": (51, "decrypt_error", "-tls1_2", lambda hello: without(hello, EMS)),
}


@pytest.fixture
def between(xhrd):
    made = []

    def make(port, script):
        made.append(Mitm(port))
        made[-1].script = script
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.mark.parametrize("case", CHANGED)
def test_alerts_of_s_server_when_the_hello_is_changed_on_its_way(xhr, s_server, ca, between, case):
    number, name, version, change = CHANGED[case]
    mitm = between(s_server(version).port, lambda _, hello: as_hello(change(hello)))
    run = xhr("-sS", "--cacert", ca.pem, "--tlsv1.2", mitm.url())
    told(run, number, name)


def test_inappropriate_fallback_of_s_server_is_told_with_the_first_error(xhr, s_server, ca, between):
    mitm = between(s_server().port, lambda n, hello: alert(40) if n == 0 else PASS)
    run = xhr("-v", "-sS", "--cacert", ca.pem, mitm.url())
    assert run.status == 35 and "TLS alert 40, handshake_failure" in run.err
    assert [fallback for _, fallback in mitm.offered()] == [False, True]


# ---- the rest, as it comes ------------------------------------------------------------------------

NAMES = {
    10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
    50: "decode_error", 51: "decrypt_error", 60: "export_restriction", 70: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
    100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
    115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
    77: "unknown"}


@pytest.mark.parametrize("number", NAMES)
def test_every_alert_has_a_name_and_is_class_tls(xhr, ca, between, number):
    mitm = between(1, lambda _, hello: alert(number))
    run = xhr("-sS", "--cacert", ca.pem, mitm.url())
    assert re.search(rf"TLS alert {number}, {NAMES[number]}\)", told(run, number, NAMES[number]))


def test_what_is_said_in_the_handshake_and_is_no_error_is_an_end(xhr, ca, between):
    """close_notify and user_canceled: warnings, behind which nothing comes."""
    for number in (0, 90):
        mitm = between(1, lambda _, hello: alert(number, level=1))
        run = xhr("-sS", "--cacert", ca.pem, mitm.url())
        assert run.status == 35 and run.err.startswith("xhr: (35) "), run.err
