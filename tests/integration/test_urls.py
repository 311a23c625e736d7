# SPDX-License-Identifier: MIT
"""URLs, methods and header fields that clients hand in (UR01 to UR14): refused with a reason, or
sent as one well-formed request to the host that every reader of the URL agrees on."""
import pytest
from origins import response

pytestmark = pytest.mark.shallow


def outcome(client, origin, url, **more):
    """Fetch. Return: the request that came, or None after a refusal without any connection."""
    before = len(origin.requests)
    exchange = client.fetch(url, **more)
    if exchange.failed:
        assert exchange.text, "a refusal says why"
        assert len(origin.requests) == before
        return None
    assert len(origin.requests) == before + 1
    return origin.requests[-1]


def refused(client, origin, url, *kinds, **more):
    exchange = client.fetch(url, **more)
    assert exchange.failure in kinds, (url[:80], exchange.failure, exchange.text, exchange.status)
    assert exchange.text
    assert not origin.connections, "refused before any connection"


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\r\nX-Injected: 1\r\n", b"\0", b"\t", b" "])
@pytest.mark.parametrize("place", ["path", "query", "host", "user"])
def test_ur01_control_characters_never_reach_the_request_line(client, origin_raw, byte, place):
    port = b":%d" % origin_raw.port
    parts = {"path": b"http://127.0.0.1" + port + b"/a" + byte + b"b",
             "query": b"http://127.0.0.1" + port + b"/a?q=" + byte + b"b",
             "host": b"http://127.0." + byte + b"0.1" + port + b"/a",
             "user": b"http://u" + byte + b"v@127.0.0.1" + port + b"/a"}
    request = outcome(client, origin_raw, parts[place])
    if request:
        line = request.head.split(b"\r\n")[0]
        assert line.count(b" ") == 2 and not any(c < 0x21 for c in request.target.encode())
        assert request.get("X-Injected") is None


@pytest.mark.parametrize("name, value", [
    ("X-A\r\nX-B", "1"), ("X-A", "1\r\nX-B: 2"), ("X-A", "1\n X-B: 2"), ("X-A", b"1\0002"),
    ("X A", "1"), ("X-A:", "1"), ("", "1"), ("X-Ä", "1"), ("User-Agent", "a\r\nb"),
    ("Referer", "a\nb"), ("Range", "bytes=0-1\r\nb"), ("Host", "a\r\nb"),
])
def test_ur02_header_fields_cannot_break_out(client, origin_raw, name, value):
    refused(client, origin_raw, origin_raw.url(), "ARGUMENT", headers=[(name, value)])


@pytest.mark.parametrize("method", ["GE T", "GET\r\nX: y", "GET\n", b"G\0T", "", "GÉT", "G(T",
                                    "G" * 70000], ids=range(8))
def test_ur03_method_must_be_a_token(client, origin_raw, method):
    refused(client, origin_raw, origin_raw.url(), "ARGUMENT", method=method)


def test_ur03_any_token_is_a_method(client, origin_raw):
    assert client.fetch(origin_raw.url(), method="PROPFIND!").done
    assert origin_raw.requests[-1].method == "PROPFIND!"


@pytest.mark.parametrize("host", ["a%2Fb", "a%00b", "a%40b", "a%5Cb", "a%23b", "a%3Ab", "a<b",
                                  "a|b", "a^b", "a b"])
def test_ur04_forbidden_bytes_in_a_host_are_refused(client, origin_raw, host):
    refused(client, origin_raw, f"http://{host}:{origin_raw.port}/", "URL")


def test_ur04_backslash_ends_the_host(client, origin_raw):
    request = outcome(client, origin_raw, rf"http://127.0.0.1:{origin_raw.port}\@evil.example/")
    assert request.target == "/@evil.example/"
    assert request.get("Host") == f"127.0.0.1:{origin_raw.port}"


@pytest.mark.parametrize("template, host", [
    ("http://ok.example:{port}#@evil.example/", "ok.example"),
    ("http://ok.example:{port}?@evil.example/", "ok.example"),
    ("http://ok.example:{port}/@evil.example/", "ok.example"),
    ("http://a@b@c.example:{port}/", "c.example"),
    ("http://ok.example%40x:y@c.example:{port}/", "c.example"),
])
def test_ur05_the_host_is_what_whatwg_says(client, origin_raw, template, host):
    port = origin_raw.port
    request = outcome(client, origin_raw, template.format(port=port), resolve=[(host, port)])
    assert request.get("Host") == f"{host}:{port}"


def test_ur06_sharp_s_stays_itself(client, origin_raw):
    port = origin_raw.port
    request = outcome(client, origin_raw, f"http://faß.de:{port}/", resolve=[("xn--fa-hia.de", port)])
    assert request.get("Host") == f"xn--fa-hia.de:{port}"


def test_ur07_url_of_64_kib_is_sent(client, origin_raw):
    base = origin_raw.url("/")
    url = base + "x" * (65536 - len(base))
    request = outcome(client, origin_raw, url)
    assert len(request.target) == 65536 - len(base) + 1


def test_ur07_url_of_nearly_1_mib_is_refused(client, origin_raw):
    refused(client, origin_raw, origin_raw.url("/" + "x" * ((1 << 20) - 4096)), "URL", "LIMIT",
            "ARGUMENT")


@pytest.mark.parametrize("host", ["xn--example-.com", "xn--a", "xn--0000000000000000000"])
def test_ur08_false_punycode_is_refused(client, origin_raw, host):
    refused(client, origin_raw, f"http://{host}:{origin_raw.port}/", "URL")


@pytest.mark.parametrize("host", ["[1.2.3.4]", "[a.com]", "[::1", "[::1]x", "[::1%25eth0]x", "[]"])
def test_ur09_brackets_hold_ipv6_and_nothing_else(client, origin_raw, host):
    refused(client, origin_raw, f"http://{host}:{origin_raw.port}/", "URL")


@pytest.mark.parametrize("port", ["0", "65536", "80a", "-1", "99999999999999999999", "+80"])
def test_ur10_port_must_be_1_to_65535(client, origin_raw, port):
    refused(client, origin_raw, f"http://127.0.0.1:{port}/", "URL")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:///etc/passwd", " ftp://h/", "unix:/x",
                                 "data:,x", "gopher://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/",
                                 "javascript:1", "HTTPX://127.0.0.1:{port}/"])
def test_ur11_other_schemes_are_refused(client, origin_raw, url):
    refused(client, origin_raw, url.format(port=origin_raw.port), "POLICY", "URL")


def test_ur11_scheme_in_capitals_is_the_same(client, origin_raw):
    assert client.fetch(origin_raw.url().replace("http", " HTTP")).done


@pytest.mark.parametrize("path", ["/%", "/%z", "/%zz", "/a?%", "/" + "%41" * 20000], ids=range(5))
def test_ur12_odd_percent_signs_go_as_they_are(client, origin_raw, path):
    request = outcome(client, origin_raw, origin_raw.url(path))
    assert request.target == path


def test_ur12_long_percent_encoded_host_has_an_end(client, origin_raw):
    refused(client, origin_raw, "http://" + "%41" * 33000 + "/", "URL", "DNS")


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection", "Trailer",
                                  "TE", "Upgrade", "Host", "cOnTeNt-LeNgTh", "hOsT"])
def test_ur13_framing_fields_are_the_engines(client, origin_raw, name):
    exchange = client.fetch(origin_raw.url(), method="POST", body=b"12345",
                            headers=[(name, "7"), (name.upper(), "8")])
    if exchange.failed:
        assert exchange.failure == "ARGUMENT"
        assert not origin_raw.requests
        return
    request = origin_raw.requests[-1]
    assert request.get("Content-Length") == "5"
    assert request.get("Host") == f"127.0.0.1:{origin_raw.port}"
    for field in ("Transfer-Encoding", "Trailer", "TE", "Upgrade"):
        assert request.get(field) is None
    assert request.body == b"12345"


@pytest.mark.parametrize("url", ["http://", "http:///", "http://:80/", "http://?x", "http://#x",
                                 "", "/path", "example.com", "//example.com/"])
def test_ur14_url_without_a_host_is_refused(client, origin_raw, url):
    refused(client, origin_raw, url, "URL", "DNS", "ARGUMENT")


@pytest.mark.parametrize("host", ["a" * 300 + ".example", "ü" * 20000, "a." * 200 + "example",
                                  "ü" * 200 + ".de"], ids=range(4))
def test_ur14_oversized_hosts_are_refused(client, origin_raw, host):
    refused(client, origin_raw, f"http://{host}/", "URL", "DNS")


def test_fragment_and_userinfo_stay_at_home(client, origin_raw):
    request = outcome(client, origin_raw, f"http://me:secret@127.0.0.1:{origin_raw.port}/p?q#frag")
    assert request.target == "/p?q"
    assert b"secret" not in request.head


def test_url_as_given_refuses_what_parsing_would_change(client, origin_raw):
    refused(client, origin_raw, origin_raw.url("/a b"), "URL", url_as_given=True)
    assert client.fetch(origin_raw.url("/a%20b"), url_as_given=True).done


def test_single_valued_defaults_can_be_replaced(client, origin_raw):
    origin_raw.answer = lambda request: response(b"ok")
    client.fetch(origin_raw.url(), headers=[("User-Agent", "mine/1"), ("Accept", "text/x")])
    assert origin_raw.requests[-1].get("User-Agent") == "mine/1"
    assert origin_raw.requests[-1].get("Accept") == "text/x"
