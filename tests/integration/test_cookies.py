# SPDX-License-Identifier: MIT
"""Cookies as seen from outside: what is stored, what goes out, and to whom (CK01 to CK18)."""
import threading

import pytest
from origins import ScriptedOrigin, response
from wire import cookie_pb2, fetch_pb2

pytestmark = pytest.mark.shallow


class Site:
    """Any host name, served by one scripted origin."""

    def __init__(self, client, origin, ca=None):
        self.client, self.origin, self.ca = client, origin, ca

    def visit(self, host, *set_cookie, path="/", reach=None, client=None, **more):
        """GET host's path; it answers with these Set-Cookie lines. Return: the Cookie header
        that came. `reach`: the name to look up where the URL's host is written another way."""
        fields = [("Set-Cookie", line) for line in set_cookie]
        self.origin.reply(response(b"ok", fields=fields))
        if self.ca:
            more.setdefault("ca", self.ca.pem)
        before = len(self.origin.requests)
        exchange = (client or self.client).fetch(
            self.origin.url(path, host=host),
            resolve=[] if host.startswith("[") else [(reach or host, self.origin.port)], **more)
        assert exchange.done, f"{host}: {exchange.failure} {exchange.text}"
        assert len(self.origin.requests) == before + 1
        return self.origin.requests[-1].get("Cookie")

    def kept(self, **matching):
        return sorted((c.name.decode(), c.value.decode(), c.domain.decode())
                      for c in self.client.cookies(**matching))


@pytest.fixture
def site(client, origin_raw):
    return Site(client, origin_raw)


@pytest.mark.parametrize("domain", ["co.uk", ".co.uk", "co.UK", ".CO.uk"])
def test_ck01_ck02_public_suffix_as_domain_is_refused(site, domain):
    site.visit("a.co.uk", f"x=1; Domain={domain}")
    assert site.visit("b.co.uk") is None
    assert site.visit("a.co.uk") is None
    assert site.kept() == []


@pytest.mark.parametrize("domain", ["co.uk.", ".co.uk.", "co.uk"])
def test_ck03_public_suffix_with_trailing_dot_is_refused(site, domain):
    site.visit("a.co.uk.", f"x=1; Domain={domain}")
    assert site.visit("b.co.uk.") is None
    assert site.visit("b.co.uk") is None
    assert site.kept() == []


def test_ck04_trailing_dot_is_the_same_site_and_no_other(client, make_tls_origin, ca):
    site = Site(client, make_tls_origin("a.com", "b.com"), ca)
    site.visit("a.com.", "x=1")
    assert site.visit("a.com") == "x=1"
    assert site.visit("a.com.") == "x=1"
    assert site.visit("b.com") is None
    assert site.visit("b.com.") is None
    assert [domain for _, _, domain in site.kept()] == ["a.com"]


def test_ck05_address_takes_no_domain_but_itself(site):
    site.visit("127.0.0.1", "part=1; Domain=0.0.1", "dotted=1; Domain=.127.0.0.1",
               "whole=1; Domain=127.0.0.1")
    kept = site.client.cookies()
    assert all(cookie.host_only for cookie in kept)
    names = {cookie.name for cookie in kept}
    assert b"whole" in names and b"part" not in names


def test_ck06_ipv6_address_takes_no_domain(client, xhrd):
    import socket
    origin = ScriptedOrigin(family=socket.AF_INET6)
    try:
        site = Site(client, origin)
        site.visit("[::1]", "x=1; Domain=1", "y=1")
        assert site.visit("[::1]") == "y=1"
    finally:
        origin.stop()


@pytest.mark.parametrize("spelling", ["0x7f.1", "2130706433", "127.1", "0177.0.0.1"])
def test_ck07_spellings_of_an_address_share_one_key(site, spelling):
    site.visit(spelling, "x=1")
    assert site.visit("127.0.0.1") == "x=1"
    assert site.kept() == [("x", "1", "127.0.0.1")]


def test_ck08_domain_matches_whole_labels_only(site):
    site.visit("example.com", "x=1; Domain=example.com")
    assert site.visit("www.example.com") == "x=1"
    assert site.visit("xexample.com") is None
    assert site.visit("example.com.evil.org") is None


def test_ck09_private_suffix_is_refused_to_subdomains_and_host_only_to_itself(site):
    site.visit("a.github.io", "x=1; Domain=github.io")
    assert site.kept() == []
    site.visit("github.io", "y=1; Domain=github.io")
    assert site.visit("github.io") == "y=1"
    assert site.visit("a.github.io") is None


@pytest.mark.parametrize("domain", ["公司.cn", "xn--55qx5d.cn"])
def test_ck10_international_suffix_is_refused_in_both_spellings(site, domain):
    host = "a.公司.cn"
    line = f"x=1; Domain={domain}".encode().decode("latin-1")
    site.visit(host, line, reach="a.xn--55qx5d.cn")
    assert site.kept() == []
    assert site.visit("b.xn--55qx5d.cn") is None


def test_ck12_no_host_field_of_the_callers_chooses_the_cookies(client, origin_raw):
    """The field is the engine's: what goes along is chosen by the URL, always."""
    site = Site(client, origin_raw)
    site.visit("bank.example", "money=1")
    for name in ("Host", "hOST"):
        exchange = client.fetch(origin_raw.url(host="evil.example"), resolve=[
            ("evil.example", origin_raw.port)], headers=[(name, "bank.example")])
        assert exchange.failure == "ARGUMENT" and "Host" in exchange.text.title()
    assert site.visit("evil.example") is None
    assert site.visit("bank.example") == "money=1"


def test_ck13_http_does_not_overlay_a_secure_cookie(client, make_tls_origin, origin_raw, ca):
    secure = Site(client, make_tls_origin("site.example"), ca)
    plain = Site(client, origin_raw)
    secure.visit("site.example", "s=1; Secure; Path=/a", path="/a")
    plain.visit("site.example", "s=2; Path=/")
    assert secure.visit("site.example", path="/a") == "s=1"
    assert plain.visit("site.example", path="/a") is None
    assert plain.kept() == [("s", "1", "site.example")]


def test_ck14_http_cannot_set_a_secure_cookie(site):
    site.visit("site.example", "s=1; Secure")
    assert site.kept() == []


@pytest.mark.parametrize("line", [
    "__Host-x=1; Path=/", "__Host-x=1; Secure", "__Host-x=1; Secure; Path=/a",
    "__Host-x=1; Secure; Path=/; Domain=site.example", "__Secure-x=1",
    "__HOST-x=1; Path=/", "__host-x=1; Secure; Path=/; Domain=site.example", "__sEcUrE-x=1",
])
def test_ck15_prefixed_names_must_keep_their_promise(client, make_tls_origin, ca, line):
    site = Site(client, make_tls_origin("site.example"), ca)
    site.visit("site.example", line, path="/a/b")
    assert site.kept() == []


def test_ck15_prefixed_names_that_keep_their_promise_are_stored(client, make_tls_origin, ca):
    site = Site(client, make_tls_origin("site.example"), ca)
    site.visit("site.example", "__Host-x=1; Secure; Path=/", "__Secure-y=2; Secure")
    assert [name for name, _, _ in site.kept()] == ["__Host-x", "__Secure-y"]


@pytest.mark.parametrize("line", ["=__Host-x=1", "=__Secure-x=1; Secure", "=__host-x", "__Host-x"])
def test_ck16_nameless_cookie_cannot_pose_as_a_prefixed_one(client, make_tls_origin, ca, line):
    site = Site(client, make_tls_origin("site.example"), ca)
    site.visit("site.example", line)
    assert site.kept() == []


def test_ck17_control_characters_are_refused(client, origin_raw):
    bad = [code for code in (*range(0x00, 0x09), *range(0x0a, 0x20), 0x7f)]
    for code in bad:
        for line in (b"na%cme=v", b"name=va%clue"):
            origin_raw.reply(b"HTTP/1.1 200 OK\r\nSet-Cookie: " + line % code
                             + b"\r\nContent-Length: 0\r\n\r\n")
            client.fetch(origin_raw.url(host="127.0.0.1"))
            # A line feed ends the field: what stands before it was a whole cookie.
            names = {c.name for c in client.cookies()}
            assert not any(bytes([code]) in c.name + c.value for c in client.cookies()), code
            assert code == 0x0a or not names, (code, names)
            client.remove_cookies()


def test_ck17_a_tab_is_no_control_character_to_refuse(site):
    site.visit("site.example", "x=a\tb")
    assert site.kept() == [("x", "a\tb", "site.example")]


def test_ck18_a_cookie_may_have_4096_bytes(site):
    site.visit("site.example", "n" * 96 + "=" + "v" * 4000)
    assert len(site.kept()) == 1


def test_ck18_a_cookie_of_4097_bytes_is_refused(site):
    site.visit("site.example", "n" * 96 + "=" + "v" * 4001)
    assert site.kept() == []


def test_ck18_an_attribute_above_1024_bytes_is_ignored(site):
    site.visit("site.example", "x=1; Path=/" + "p" * 1024, "y=1; Path=/" + "p" * 1023,
               path="/dir/page")
    paths = {c.name: c.path for c in site.client.cookies()}
    assert paths[b"x"] == b"/dir"
    assert len(paths[b"y"]) == 1024


# ---- sharing ----------------------------------------------------------------------------------

def test_session_cookie_of_one_client_goes_out_with_anothers_request(site, another):
    site.visit("site.example", "session=1")
    assert site.visit("site.example", client=another) == "session=1"


def test_cookie_is_there_for_everybody_when_the_head_is_told(client, another, origin_raw):
    proceed = threading.Event()

    def script(connection):
        request = connection.request()
        if request.target == "/login":
            connection.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nContent-Length: 2\r\n\r\n")
            proceed.wait(20)
            connection.send(b"ok")
        else:
            connection.send(response(b"ok"))
        connection.wait_gone()

    origin_raw.script = script
    login = client.open(origin_raw.url("/login"))
    client.receive_until(lambda: login.head)
    assert not login.ended
    assert another.fetch(origin_raw.url("/next")).done
    assert origin_raw.requests[-1].get("Cookie") == "s=1"
    proceed.set()
    assert client.finish(login).done


def test_cookie_set_by_a_redirect_goes_with_the_next_hop(client, origin_raw):
    origin_raw.replies(response(status="302 Found", fields=[("Location", "/b"),
                                                           ("Set-Cookie", "hop=1")]),
                       response(b"there"))
    assert client.fetch(origin_raw.url("/a")).body == b"there"
    assert [r.get("Cookie") for r in origin_raw.requests] == [None, "hop=1"]


def test_named_jars_are_apart(site):
    site.visit("site.example", "x=default")
    site.visit("site.example", "x=work", jar="work")
    assert site.visit("site.example") == "x=default"
    assert site.visit("site.example", jar="work") == "x=work"
    assert [c.value for c in site.client.cookies(jar="work")] == [b"work"]


def test_profiles_are_apart(site, xhrd):
    site.visit("site.example", "x=1")
    with xhrd.client(profile="other") as other:
        assert site.visit("site.example", client=other) is None
        assert other.cookies() == []


def test_without_cookies_none_go_out_and_none_are_kept(site):
    site.visit("site.example", "x=1")
    mode = fetch_pb2.COOKIE_MODE_NONE
    assert site.visit("site.example", "y=1", cookies=mode) is None
    assert site.kept() == [("x", "1", "site.example")]


def test_send_only_keeps_none(site):
    site.visit("site.example", "x=1")
    mode = fetch_pb2.COOKIE_MODE_SEND_ONLY
    assert site.visit("site.example", "y=1", cookies=mode) == "x=1"
    assert site.kept() == [("x", "1", "site.example")]


def test_ck26_two_requests_use_a_jar_that_a_third_client_clears(xhrd, client, another, origin_raw):
    """Cleared and removed while requests wait for their answers and answers are stored."""
    arrived, release = threading.Semaphore(0), threading.Semaphore(0)

    def answer(request):
        arrived.release()
        release.acquire(timeout=30)
        return response(b"ok", fields=[("Set-Cookie", f"c{n}={'x' * 500}; Max-Age=900") for n in range(20)])
    origin_raw.answer = answer
    with xhrd.client() as third:
        for round_no in range(30):
            under_way = [(who, who.open(origin_raw.url(f"/{round_no}"), jar="work")) for who in (client, another)]
            for _ in under_way:
                assert arrived.acquire(timeout=30)
            if round_no % 3 == 0:
                third.cookie_command("work", jar_remove=cookie_pb2.JarRemove())
            third.remove_cookies("work")
            for _ in under_way:
                release.release()
                third.remove_cookies("work")
            for who, exchange in under_way:
                who.finish(exchange)
                assert exchange.body == b"ok" and not exchange.failure
        third.remove_cookies("work")
        assert third.cookies("work") == []


def test_caller_cookie_header_goes_beside_the_jar(site):
    site.visit("site.example", "x=1")
    sent = site.visit("site.example", headers=[("Cookie", "mine=2")])
    assert sorted(sent.split("; ")) == ["mine=2", "x=1"]


def test_longer_paths_come_first_and_expired_ones_not_at_all(site):
    site.visit("site.example", "a=1; Path=/", "b=2; Path=/deep", "c=3; Max-Age=0",
               "d=4; Expires=Thu, 01 Jan 1970 00:00:00 GMT", path="/deep/page")
    assert site.visit("site.example", path="/deep/x") == "b=2; a=1"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "x" * 5000, "Ünwelt", "a b", "x\n", "0/../x"],
                         ids=range(7))
def test_jar_name_that_is_none_is_refused(client, origin_raw, name, xhrd):
    exchange = client.fetch(origin_raw.url(), jar=name)
    assert exchange.failure == "ARGUMENT"
    assert not origin_raw.requests
    assert not [p for p in xhrd.folder.rglob("*") if "etc" in p.name]


def test_cookies_are_removed_by_filter_and_altogether(site):
    site.visit("a.example", "x=1", "y=1")
    site.visit("b.example", "x=1")
    assert site.client.remove_cookies(domain="a.example", name="x").changed == 1
    assert site.kept() == [("x", "1", "b.example"), ("y", "1", "a.example")]
    assert site.client.remove_cookies().changed == 2
    assert site.visit("a.example") is None
