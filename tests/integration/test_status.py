# SPDX-License-Identifier: MIT
"""OCSP stapling (RFC 6066, RFC 6960): where a request asks for it, the server must prove that its
certificate is not revoked (TV15, TV16)."""
import certificates
import origins
import pytest
from certificates import DAY, HOUR, now, root
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

VERSIONS = ("-tls1_2", "-tls1_3")


class Bed:
    """A root, an authority below it, its leaf, and servers that staple."""

    def __init__(self, folder, s_server):
        self.folder, self.s_server = folder, s_server
        self.root = root()
        self.authority = self.root.authority("trust test authority")
        self.leaf = self.authority.issue("localhost", "127.0.0.1", common_name="stapled")

    def serve(self, staple=None, leaf=None, options=(VERSIONS[1],)):
        leaf = leaf or self.leaf
        cert, key = leaf.write(self.folder, "leaf")
        (self.folder / "root.pem").write_bytes(self.root.pem)
        options = (*options, "-cert_chain", str(cert))
        if staple is not None:
            (self.folder / "staple").write_bytes(staple)
            options += ("-status_file", str(self.folder / "staple"))
        return self.s_server(*options, certificate=(cert, key))

    def fetch(self, client, server, status=True, **more):
        return client.fetch(server.url(), tls=fetch_pb2.TlsOptions(
            ca_pem=self.root.pem, status=status), **more)


@pytest.fixture
def bed(folder, s_server):
    return Bed(folder, s_server)


@pytest.mark.parametrize("version", VERSIONS)
def test_tv15_a_good_staple_is_good_in_either_version(client, bed, version):
    server = bed.serve(bed.authority.staple(bed.leaf), options=(version,))
    exchange = bed.fetch(client, server)
    assert exchange.done, exchange.text
    assert bed.fetch(client, server).head.connection.tls.resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_tv15_without_a_staple_it_fails_where_it_was_asked_for_and_nowhere_else(client, bed,
                                                                               version):
    server = bed.serve(options=(version,))
    exchange = bed.fetch(client, server)
    assert exchange.failure == "TLS_STATUS"
    assert "CN=stapled" in exchange.text and "no OCSP response stapled" in exchange.text
    assert bed.fetch(client, server, status=False).done


def test_tv15_a_certificate_that_must_be_stapled_and_is_not(client, bed):
    leaf = bed.authority.issue("localhost", must_staple=True, common_name="must")
    assert bed.fetch(client, bed.serve(leaf=leaf)).failure == "TLS_STATUS"


STAPLES = {
    "revoked": (lambda bed: bed.authority.staple(bed.leaf, "revoked",
                                                 reason=x509.ReasonFlags.key_compromise),
                "was revoked by its issuer on"),
    "unknown": (lambda bed: bed.authority.staple(bed.leaf, "unknown"), "does not know it"),
    "out of date": (lambda bed: bed.authority.staple(bed.leaf, start=now() - 3 * DAY, end=-HOUR),
                    "out of date"),
    "from the future": (lambda bed: bed.authority.staple(bed.leaf, start=now() + HOUR,
                                                         end=2 * HOUR), "from the future"),
    "old and without an end": (lambda bed: bed.authority.staple(bed.leaf, start=now() - 8 * DAY,
                                                                end=None), "more than a week"),
    "about another": (lambda bed: bed.authority.staple(bed.authority.issue("localhost")),
                      "about another certificate"),
    "signed by another authority": (
        lambda bed: bed.authority.staple(bed.leaf, signer=bed.root.authority("another")),
        "not signed by its issuer"),
    "signed by the root above": (lambda bed: bed.authority.staple(bed.leaf, signer=bed.root),
                                 "not signed by its issuer"),
    "signed by a leaf that may not": (
        lambda bed: bed.authority.staple(bed.leaf, signer=bed.authority.issue("localhost")),
        "not signed by its issuer"),
    "signed by one whose leave is over": (
        lambda bed: bed.authority.staple(bed.leaf, signer=bed.authority.issue(
            usage="ocsp", start=now() - 9 * DAY, end=now() - DAY)), "not signed by its issuer"),
    "no response at all": (lambda bed: b"\x30\x03\x0a\x01\x06", "unauthorized"),
}


@pytest.mark.parametrize("kind", STAPLES)
def test_tv15_a_staple_that_proves_nothing(client, bed, kind):
    make, text = STAPLES[kind]
    exchange = bed.fetch(client, bed.serve(make(bed)))
    assert exchange.failure == "TLS_STATUS", exchange.text
    assert text in exchange.text and "CN=stapled" in exchange.text


@pytest.mark.parametrize("kind", ["SHA-256", "delegated", "without an end"])
def test_tv15_other_ways_to_prove_it(client, bed, kind):
    staple = {
        "SHA-256": lambda: bed.authority.staple(bed.leaf, digest=hashes.SHA256()),
        "delegated": lambda: bed.authority.staple(bed.leaf,
                                                  signer=bed.authority.issue(usage="ocsp")),
        "without an end": lambda: bed.authority.staple(bed.leaf, end=None),
    }[kind]()
    exchange = bed.fetch(client, bed.serve(staple))
    assert exchange.done, exchange.text


def test_tv15_a_leaf_that_is_trusted_itself_vouches_for_itself(client, bed):
    bed.root = bed.leaf = certificates.self_signed("localhost", common_name="stapled")
    assert bed.fetch(client, bed.serve(bed.leaf.staple(bed.leaf))).done


@pytest.mark.parametrize("version", VERSIONS)
def test_tv16_the_session_of_a_refused_staple_is_not_kept(client, bed, version):
    server = bed.serve(bed.authority.staple(bed.leaf, "revoked"), options=(version,))
    for _ in range(3):
        assert bed.fetch(client, server).failure == "TLS_STATUS"
    assert client.status().tls_handshakes_resumed == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_tv16_the_session_of_a_refused_pin_is_not_kept(client, bed, version):
    server = bed.serve(options=(version,))
    tls = fetch_pb2.TlsOptions(ca_pem=bed.root.pem, pins=[b"0" * 32])
    for _ in range(3):
        assert client.fetch(server.url(), tls=tls).failure == "TLS_PIN"


def test_ts09_a_session_made_without_a_staple_is_not_resumed_where_one_is_wanted(client, bed):
    server = bed.serve(bed.authority.staple(bed.leaf))
    assert bed.fetch(client, server, status=False).done
    exchange = bed.fetch(client, server)
    assert exchange.done and not exchange.head.connection.tls.resumed


def test_status_and_insecure_contradict_each_other(client, bed):
    exchange = client.fetch("https://localhost:1/",
                            tls=fetch_pb2.TlsOptions(insecure=True, status=True))
    assert exchange.failure == "ARGUMENT" and "insecure" in exchange.text


def test_xhr_cert_status_says_what_is_wrong_in_one_line(xhr, bed, folder):
    good = bed.serve(bed.authority.staple(bed.leaf))
    done = xhr("--cacert", folder / "root.pem", "--cert-status", good.url())
    assert done.status == 0, done.err
    bad = bed.serve(bed.authority.staple(bed.leaf, "revoked"))
    done = xhr("--cacert", folder / "root.pem", "--cert-status", bad.url())
    assert done.status == 91 and done.err.count("\n") == 1
    assert "CN=stapled" in done.err and "revoked" in done.err
    done = xhr("-k", "--cert-status", bad.url())
    assert done.status == 2 and "-k" in done.err


def test_tv15_nginx_staples_from_a_file(client, bed, folder):
    """A real server's staple."""
    cert, key = bed.leaf.write(folder, "nginx")
    (folder / "staple").write_bytes(bed.authority.staple(bed.leaf))
    nginx = origins.StaplingNginx(folder / "nginx-root", cert, key, folder / "staple")
    try:
        exchange = bed.fetch(client, nginx)
        assert exchange.done and exchange.body == b"stapled\n", exchange.text
    finally:
        nginx.stop()
