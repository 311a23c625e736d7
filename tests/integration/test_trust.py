# SPDX-License-Identifier: MIT
"""Whom we trust, end to end: what each certificate leads to, that nothing is sent to who is not
trusted, that the failure says which certificate, which rule and what would be right, and that
nobody's leave becomes another's (TV01 to TV18; TV15 and TV16 are in test_status.py)."""
import os
import ssl

import certificates
import pytest
from certificates import DAY, HOUR, hashes, name_of, now, root, rsa_key, self_signed, spki_sha256, x509
from origins import ScriptedOrigin, response
from waiting import wait_until
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

RAW = x509.DNSName._init_without_validation


@pytest.fixture(scope="module")
def tree():
    """A root that is trusted and an authority below it; keys are made once."""
    class Tree:
        top = root("trusted root")
        middle = top.authority("middle authority")
    return Tree


@pytest.fixture
def serve(xhrd, folder):
    made = []

    def start(leaf, chain=None, seclevel=2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(f"DEFAULT@SECLEVEL={seclevel}")
        context.load_cert_chain(*leaf.write(folder, f"trust{len(made)}", chain))
        made.append(ScriptedOrigin(context))
        made[-1].reply(response(b"ok"))
        return made[-1]

    yield start
    for origin in made:
        origin.stop()


def terms(tree, **fields):
    return fetch_pb2.TlsOptions(ca_pem=tree.top.pem, **fields)


def refused(client, tree, origin, host="localhost", **fields):
    """Return: what the failure says; nothing was sent."""
    resolve = [] if host[0].isdigit() or host.startswith("[") else [(host.rstrip("."), origin.port)]
    exchange = client.fetch(origin.url(host=host), tls=terms(tree, **fields), resolve=resolve)
    assert exchange.failure == "TLS_VERIFY", exchange.text or exchange.status
    assert not origin.requests
    return exchange.text


def taken(client, tree, origin, host="localhost"):
    resolve = [] if host[0].isdigit() else [(host.rstrip("."), origin.port)]
    exchange = client.fetch(origin.url(host=host), tls=terms(tree), resolve=resolve)
    assert exchange.done, exchange.text


# ---- who signed it, and when -------------------------------------------------------------------

def test_tv01_self_signed(client, tree, serve):
    text = refused(client, tree, serve(self_signed("localhost", common_name="own")))
    assert text == ("self-signed certificate CN=own (depth 0) is not trusted; pass --cacert with "
                    "it, or install it")


def test_tv01_a_self_signed_authority_in_the_chain(client, tree, serve):
    stranger = root("stranger")
    leaf = stranger.issue("localhost")
    text = refused(client, tree, serve(leaf, chain=[leaf, stranger]))
    assert "self-signed authority CN=stranger (depth 1)" in text and "--cacert" in text


def test_tv02_expired(client, tree, serve):
    leaf = tree.top.issue("localhost", start=now() - 9 * DAY, end=now() - 2 * DAY - HOUR,
                          common_name="old")
    text = refused(client, tree, serve(leaf))
    end = leaf.certificate.not_valid_after.strftime("%Y-%m-%d %H:%M UTC")
    assert f"CN=old (depth 0) expired on {end}, 2 days ago; it must be renewed" in text


def test_tv02_an_authority_that_expired_is_named_with_its_depth(client, tree, serve):
    old = tree.top.authority("old authority", start=now() - 9 * DAY, end=now() - DAY)
    assert "CN=old authority (depth 1) expired" in refused(client, tree, serve(old.issue("localhost")))


def test_tv03_not_yet_valid(client, tree, serve):
    leaf = tree.top.issue("localhost", start=now() + DAY, end=now() + 2 * DAY, common_name="new")
    assert "CN=new (depth 0) is not valid before" in refused(client, tree, serve(leaf))


def test_tv04_unknown_authority_and_a_chain_with_a_hole(client, tree, serve):
    text = refused(client, tree, serve(root("nobody").issue("localhost", common_name="leaf")))
    assert "issuer CN=nobody of certificate CN=leaf (depth 0) is not known; pass --cacert" in text
    leaf = tree.middle.issue("localhost")
    text = refused(client, tree, serve(leaf, chain=[leaf]))
    assert "have the server send what is between" in text
    taken(client, tree, serve(leaf))


# ---- names -------------------------------------------------------------------------------------

def test_tv05_a_common_name_is_no_name(client, tree, serve):
    text = refused(client, tree, serve(tree.top.issue(common_name="localhost")))
    assert "is for no name at all, not for localhost" in text and "(CN=localhost)" in text


def test_tv06_the_alternative_names_count_and_not_the_common_name(client, tree, serve):
    text = refused(client, tree, serve(tree.top.issue("other.example", common_name="localhost")))
    assert "is for other.example, not for localhost" in text and "alternative names" in text


@pytest.mark.parametrize("name, host", [
    ("f*.example.com", "foo.example.com"), ("*.com", "example.com"), ("a.*.com", "a.b.com"),
    ("*", "localhost"), ("*.example.com", "a.b.example.com"), ("*.example.com", "example.com"),
    ("*oo.example.com", "foo.example.com"), ("f*o.example.com", "foo.example.com")])
def test_tv07_wildcards_are_whole_labels_and_only_the_first(client, tree, serve, name, host):
    assert host in refused(client, tree, serve(tree.top.issue(RAW(name))), host)


def test_tv07_a_whole_wildcard_is_taken(client, tree, serve):
    taken(client, tree, serve(tree.top.issue("*.example.com")), "a.example.com")


def test_tv07_a_wildcard_is_for_no_address(client, tree, serve):
    refused(client, tree, serve(tree.top.issue(RAW("*.0.0.1"))), "127.0.0.1")


def test_tv08_an_address_needs_an_address(client, tree, serve):
    text = refused(client, tree, serve(tree.top.issue(RAW("127.0.0.1"))), "127.0.0.1")
    assert "not for 127.0.0.1" in text
    refused(client, tree, serve(tree.top.issue("127.0.0.2", "::1")), "127.0.0.1")
    taken(client, tree, serve(tree.top.issue("127.0.0.1")), "127.0.0.1")


def test_tv09_a_trailing_dot_is_the_root_and_a_leading_one_is_nothing(client, tree, serve):
    taken(client, tree, serve(tree.top.issue("localhost")), "localhost.")
    origin = serve(tree.top.issue("*.example.com", RAW(".example.com")))
    exchange = client.fetch(f"https://.example.com:{origin.port}/", tls=terms(tree),
                            resolve=[("example.com", origin.port)])
    assert exchange.failed and not origin.requests


def test_tv10_names_beyond_ascii_are_compared_as_a_labels(client, tree, serve):
    refused(client, tree, serve(tree.top.issue(RAW("x*.example.com"))), "xn--rger-koa.example.com")
    origin = serve(tree.top.issue("xn--rger-koa.example.com"))
    exchange = client.fetch(f"https://\u00e4rger.example.com:{origin.port}/", tls=terms(tree),
                            resolve=[("xn--rger-koa.example.com", origin.port)])
    assert exchange.done, exchange.text
    leaf = tree.top.issue("xxxxx.example.com")
    refused(client, tree, serve(patched(tree.top, leaf, b"xxxxx", "\u00e4rge".encode()[:5])),
            "xn--rge-qla.example.com")


def patched(authority, leaf, old, new):
    """The same with other bytes in it, signed anew as the maker of such a thing would."""
    der = leaf.certificate.tbs_certificate_bytes.replace(old, new)
    assert len(old) == len(new) and der != leaf.certificate.tbs_certificate_bytes
    signature = authority.key.sign(der, certificates.ec.ECDSA(hashes.SHA256()))
    algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    leaf.raw = sequence(der + algorithm + bit_string(signature))
    return leaf


def length(n):
    return bytes([n]) if n < 128 else b"\x82" + n.to_bytes(2, "big")


def sequence(data):
    return b"\x30" + length(len(data)) + data


def bit_string(data):
    return b"\x03" + length(len(data) + 1) + b"\0" + data


def test_tv11_a_name_with_nul_in_it(client, tree, serve):
    leaf = patched(tree.top, tree.top.issue("localhost.xevil.test"), b"localhost.x", b"localhost\0.")
    text = refused(client, tree, serve(leaf))
    assert r"localhost\00.evil.test" in text


# ---- what it may be used for -------------------------------------------------------------------

def test_tv12_what_a_certificate_may_not_be_used_for(client, tree, serve):
    for_clients = tree.top.issue("localhost", usage="client", common_name="for clients")
    assert "CN=for clients (depth 0) refused: it is not meant for TLS servers" in \
        refused(client, tree, serve(for_clients))
    no_ca = tree.top.issue("elsewhere.example", usage=None, common_name="no authority")
    text = refused(client, tree, serve(no_ca.issue("localhost")))
    assert "CN=no authority (depth 1)" in text and "no CA" in text
    last = tree.top.authority("the last", path_length=0)
    text = refused(client, tree, serve(last.authority("one more").issue("localhost")))
    assert "path length" in text
    narrow = tree.top.authority("narrow", constraints=x509.NameConstraints(
        [x509.DNSName("example.org")], None))
    assert "name constraints" in refused(client, tree, serve(narrow.issue("localhost")))


@pytest.mark.filterwarnings("ignore:SHA1 signatures")
def test_ts08_weak_keys_and_broken_hashes(client, tree, serve):
    short = tree.top.issue("localhost", key=rsa_key(1024), common_name="short")
    text = refused(client, tree, serve(short, seclevel=0))
    assert "CN=short (depth 0) refused: its key is too short; RSA needs 2048 bits" in text
    sha1 = tree.top.issue("localhost", digest=hashes.SHA1(), common_name="sha1")
    assert "broken hash" in refused(client, tree, serve(sha1, seclevel=0))


# ---- pins --------------------------------------------------------------------------------------

def test_tv13_a_pin_is_looked_for_in_the_verified_chain_and_what_was_seen_is_told(client, tree,
                                                                                 serve):
    pinned = root("pinned, and beside the chain")
    leaf = tree.middle.issue("localhost")
    origin = serve(leaf, chain=[leaf, tree.middle, pinned])
    exchange = client.fetch(origin.url(host="localhost"),
                            tls=terms(tree, pins=[spki_sha256(pinned)]))
    assert exchange.failure == "TLS_PIN" and not origin.requests
    assert "sha256//" + certificates.base64(spki_sha256(leaf)) in exchange.text
    for good in (leaf, tree.middle, tree.top):
        assert client.fetch(origin.url(host="localhost"),
                            tls=terms(tree, pins=[spki_sha256(good)])).done


# ---- nobody's leave is another's ---------------------------------------------------------------

def test_tv14_pl04_insecure_is_one_requests_own(xhrd, client, tree, serve):
    """Not through a connection, not through a session, not through the cache."""
    origin = serve(self_signed("localhost"))
    origin.reply(response(b"kept", fields=[("Cache-Control", "max-age=1000")]))
    url = origin.url(host="localhost")
    for close in (False, True):
        assert client.fetch(url, insecure=True, no_keep_alive=close, cache=True).body == b"kept"
    with xhrd.client() as other:
        for each in (client, other):
            assert each.fetch(url, cache=True).failure == "TLS_VERIFY"
    assert len(origin.requests) == 1, "the second was answered from the cache, for who says -k"


def test_pl06_other_authorities_pins_versions_and_status_have_their_own(client, tree, serve):
    origin = serve(tree.top.issue("localhost"))
    url = origin.url(host="localhost")
    kinds = [terms(tree), fetch_pb2.TlsOptions(ca_pem=tree.top.pem + b"\n"),
             terms(tree, pins=[spki_sha256(tree.top)]), terms(tree, max_version=0x0303),
             terms(tree, insecure=True)]
    for tls in kinds + kinds:
        assert client.fetch(url, tls=tls).done
    assert len(origin.connections) == len(kinds)


def test_ts09_a_session_is_resumed_under_the_same_terms_alone(client, tree, serve):
    origin = serve(tree.top.issue("localhost"))
    kinds = [terms(tree), fetch_pb2.TlsOptions(ca_pem=tree.top.pem + b"\n"),
             terms(tree, pins=[spki_sha256(tree.top)]), terms(tree, insecure=True)]
    for resumed in (False, True):
        for tls in kinds:
            exchange = client.fetch(origin.url(host="localhost"), tls=tls, no_keep_alive=True)
            assert exchange.head.connection.tls.resumed == resumed


# ---- the machine's authorities -----------------------------------------------------------------

@pytest.mark.parametrize("how", ["replaced", "written over", "reloaded"])
def test_tv17_a_file_that_changed_holds_for_new_connections(make_xhrd, folder, tree, how):
    """Without a word to the daemon within a second of it; connections that stand go on."""
    file = folder / "authorities.pem"
    file.write_bytes(tree.top.pem)
    daemon = make_xhrd(config=f"[TLS]\nCAFile={file}\n")
    new = self_signed("localhost")
    origins = []
    for leaf in (tree.top.issue("localhost"), new):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*leaf.write(folder, f"tv17{len(origins)}"))
        origins.append(ScriptedOrigin(context))
        origins[-1].reply(response(b"ok"))
    first, second = (origin.url(host="localhost") for origin in origins)
    try:
        with daemon.client() as client:
            assert client.fetch(first).done
            assert client.fetch(second).failure == "TLS_VERIFY"
            if how == "replaced":
                (folder / "next.pem").write_bytes(new.pem)
                os.rename(folder / "next.pem", file)
            else:
                file.write_bytes(new.pem)
            if how == "reloaded":
                daemon.reload()
            wait_until(lambda: client.fetch(second).done, "the new file to be read")
            if how != "reloaded":  # which closes what is idle
                assert client.fetch(first).head.connection.reused
                assert client.fetch(first, no_keep_alive=True).head.connection.reused
            assert client.fetch(first).failure == "TLS_VERIFY"
            file.write_bytes(b"no certificate")
            assert client.fetch(second, no_keep_alive=True).done
            assert client.fetch(second).done
    finally:
        for origin in origins:
            origin.stop()


# ---- what costs much ---------------------------------------------------------------------------

def fat_authority(tree):
    """An authority with a key of 16,384 bits, and a leaf it did not sign: nobody has the other
    half of that key, but to find that out costs a verifier the same."""
    modulus = int.from_bytes(b"\xff" * 2048, "big")
    numbers = certificates.rsa.RSAPublicNumbers(65537, modulus)
    builder = (x509.CertificateBuilder().subject_name(name_of("fat"))
               .issuer_name(tree.top.certificate.subject).public_key(numbers.public_key())
               .serial_number(7).not_valid_before(now() - DAY).not_valid_after(now() + DAY)
               .add_extension(x509.BasicConstraints(True, None), True))
    fat = certificates.Certificate(builder.sign(tree.top.key, hashes.SHA256()), rsa_key(2048),
                                   tree.top)
    leaf = fat.issue("localhost")
    tbs = leaf.certificate.tbs_certificate_bytes
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    leaf.raw = sequence(tbs + algorithm + bit_string(b"\x7f" * 2048))
    return leaf


def test_tv18_a_key_of_16384_bits(client, tree, serve):
    text = refused(client, tree, serve(fat_authority(tree)))
    assert "signature is wrong" in text


def test_tv18_five_thousand_names(client, tree, serve):
    names = [f"n{i}.a" for i in range(5000)]
    taken(client, tree, serve(tree.top.issue(*names, "localhost")))
    assert "n0.a, n1.a, n2.a, ..." in refused(client, tree, serve(tree.top.issue(*names)))


def test_tv18_a_hundred_certificates(client, tree, serve):
    leaf = tree.top.issue("localhost")
    taken(client, tree, serve(leaf, chain=[leaf] + [self_signed("other.example")] * 99))
    deep = tree.top
    for i in range(20):
        deep = deep.authority(f"level {i}")
    text = refused(client, tree, serve(deep.issue("localhost")))
    assert "the chain is longer than 16" in text or "not known" in text


def test_tv18_dates_that_are_none(client, tree, serve):
    def with_date(text):
        end = now() + 30 * DAY
        leaf = tree.top.issue("localhost", end=end, common_name="odd")
        return patched(tree.top, leaf, end.strftime("%y%m%d%H%M%SZ").encode(), text)

    for text in (b"991399000000Z", b"ABCDEFGHIJKLM", b"26112312000\0Z", b"2611231200+01"):
        assert "CN=odd (depth 0)" in refused(client, tree, serve(with_date(text)))


# ---- one line for people -----------------------------------------------------------------------

def test_xhr_says_certificate_rule_and_remedy_in_one_line(xhr, tree, serve, folder):
    (folder / "trust.pem").write_bytes(tree.top.pem)
    trust = ("--cacert", folder / "trust.pem")
    expired = serve(tree.top.issue("localhost", end=now() - HOUR, common_name="old"))
    done = xhr(*trust, expired.url(host="localhost"))
    assert done.status == 60 and done.err.count("\n") == 1
    assert "CN=old (depth 0) expired on" in done.err and "renewed" in done.err
    assert "--cacert" not in done.err, "another authority would not help"
    own = xhr(*trust, serve(self_signed("localhost")).url(host="localhost"))
    assert own.status == 60 and "--cacert" in own.err
    leaf = tree.top.issue("localhost")
    pin = xhr(*trust, "--pinnedpubkey", "sha256//" + certificates.base64(b"0" * 32),
              serve(leaf).url(host="localhost"))
    assert pin.status == 90 and pin.err.count("\n") == 1
    assert "sha256//" + certificates.base64(spki_sha256(leaf)) in pin.err
    taken_by = xhr("-s", *trust, "--pinnedpubkey", "sha256//" + certificates.base64(
        spki_sha256(leaf)), serve(leaf).url(host="localhost"))
    assert (taken_by.status, taken_by.out) == (0, "ok")
