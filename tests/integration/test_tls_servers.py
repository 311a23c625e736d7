# SPDX-License-Identifier: MIT
"""TLS against the servers of the world: nginx, Apache and GnuTLS, with RSA and ECDSA, 1.2 and 1.3,
resumed, and asking for a certificate; and every alert that openssl s_server can send."""
import pytest
from test_tls_terms import terms
from tls_servers import SERVERS

VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
NAMES = {"1.2": b"TLSv1.2", "1.3": b"TLSv1.3"}

everywhere = pytest.mark.parametrize("server", sorted(SERVERS))
both_versions = pytest.mark.parametrize("version", sorted(VERSIONS))
both_keys = pytest.mark.parametrize("kind", ["rsa", "ec"])


@pytest.fixture
def serve(xhrd, folder, ca):
    """Start one; stopped before the daemon is checked."""
    made = []

    def make(server, kind="ec", authority=ca, **how):
        made.append(SERVERS[server](folder / f"s{len(made)}", ca.issue(kind=kind), authority,
                                    **how))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def pem_of(ca, name, kind):
    cert, key = ca.issue("client.example", common_name=name, kind=kind)
    return cert.read_bytes() + key.read_bytes()


def fetch(client, server, tls):
    return client.fetch(server.url(), no_keep_alive=True, tls=tls)


def seen_by(exchange):
    """"PROTOCOL RESUMED VERIFY NAME", in the server's own words; GnuTLS has none."""
    return exchange.header("Seen") or exchange.body.decode()


@everywhere
@both_versions
@both_keys
def test_each_key_and_version_in_full_and_resumed(client, serve, ca, server, kind, version):
    at = serve(server, kind, versions=(version,))
    for resumed in (False, True):
        exchange = fetch(client, at, terms(ca))
        assert exchange.done, exchange.text
        tls = exchange.head.connection.tls
        assert (tls.version, tls.resumed) == (NAMES[version], resumed)
        if server != "gnutls":
            words = seen_by(exchange).split()
            assert words[:2] == [NAMES[version].decode(), {
                "nginx": ".r", "apache": ("Initial", "Resumed")}[server][resumed]]


@everywhere
@both_versions
@both_keys
def test_a_server_that_asks_is_shown_a_certificate(client, serve, ca, server, kind, version):
    at = serve(server, versions=(version,), asks=True)
    mine = terms(ca, client_certificate=pem_of(ca, "ann", kind))
    for _ in range(2):
        exchange = fetch(client, at, mine)
        assert exchange.done, exchange.text
        if server != "gnutls":
            assert "SUCCESS" in seen_by(exchange) and "ann" in seen_by(exchange)


@everywhere
@both_versions
def test_a_server_that_asks_in_vain_refuses(client, serve, ca, server, version):
    """nginx says so in HTTP, the others in TLS; with 1.3 that comes after our part is done."""
    exchange = fetch(client, serve(server, versions=(version,), asks=True), terms(ca))
    if server == "nginx":
        assert exchange.head.status == 400
    else:
        assert exchange.failed and exchange.text


@everywhere
def test_a_certificate_of_another_authority_is_refused(client, serve, ca, other_ca, server):
    exchange = fetch(client, serve(server, asks=True),
                     terms(ca, client_certificate=pem_of(other_ca, "eve", "ec")))
    if server == "nginx":
        assert exchange.head.status == 400
    else:
        assert exchange.failed and exchange.text


@everywhere
def test_a_server_of_another_authority_is_not_trusted(client, serve, other_ca, server):
    exchange = fetch(client, serve(server), terms(other_ca))
    assert exchange.failure == "TLS_VERIFY" and "--cacert" in exchange.text


@everywhere
def test_a_server_without_the_version_asked_for_fails(client, serve, ca, server):
    at = serve(server, versions=("1.2",))
    exchange = fetch(client, at, terms(ca, min_version=VERSIONS["1.3"]))
    assert exchange.failure in ("TLS_VERSION", "TLS"), "GnuTLS says handshake failure"


@everywhere
def test_xhr_says_what_it_got(xhr, serve, ca, server):
    done = xhr("-sv", "--cacert", ca.pem, serve(server).url(), check=0)
    assert "TLSv1.3" in done.err
