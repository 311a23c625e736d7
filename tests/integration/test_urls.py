# SPDX-License-Identifier: MIT
"""URLs, methods and header fields that clients hand in (UR01 to UR16): refused with a reason, or
sent as one well-formed request to the host that every reader of the URL agrees on."""
import base64

import pytest
from libxhr import Client
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

# ---- what a server or a URL says must not reach where it means something else

def test_ur15_a_password_with_an_at_is_no_host(xhr, xhrd, origin_raw):
    """Neither a name that is looked up nor SNI nor Host: the last @ ends the userinfo."""
    inside = origin_raw.url().replace("://", "://ali:p@evil.test@")
    xhr("--connect-timeout", "5", inside, check=0)
    request = origin_raw.requests[-1]
    assert request.get("Host") == f"127.0.0.1:{origin_raw.port}"
    assert request.get("Authorization") == "Basic " + base64.b64encode(b"ali:p@evil.test").decode()
    for given in ("http://ali:p@evil.test:99999@", "http://ali:p@/x@"):
        xhr("--connect-timeout", "5", inside.replace("http://ali:p@evil.test@", given))
    assert "evil" not in xhrd.log()


def test_ur15_a_password_with_an_at_is_not_in_sni(xhr, ca, make_tls_origin):
    origin = make_tls_origin("a.test")
    names = []
    origin.tls.sni_callback = lambda _, name, __: names.append(name)
    xhr("--cacert", ca.pem, "--resolve", f"a.test:{origin.port}:127.0.0.1",
        origin.url(host="ali:p@evil.test@a.test"), check=0)
    assert names == ["a.test"]
    assert origin.requests[0].get("Host") == f"a.test:{origin.port}"


HOSTILE = b"\x1b]0;owned\x07\x9b2J\xc2\x9b31m"


def test_ur16_a_hostile_reason_is_escaped_in_events_and_errors(xhr, xhrd, origin_raw, folder):
    origin_raw.reply(b"HTTP/1.1 404 No" + HOSTILE + b"\r\nX-Field: a" + HOSTILE +
                     b"\r\nContent-Length: 0\r\n\r\n")
    run = xhr("-f", "-v", "--events=log", origin_raw.url())
    assert run.status != 0
    for text in (run.err, xhrd.log(), (folder / "log").read_bytes().decode("latin-1")):
        assert not set(text) & {"\x1b", "\x07", "\x9b"}, text


def test_ur16_an_endless_reason_is_a_limit(xhr, xhrd, origin_raw):
    origin_raw.reply(b"HTTP/1.1 200 " + b"r" * (1 << 20) + b"\r\nContent-Length: 0\r\n\r\n")
    run = xhr(origin_raw.url())
    assert run.status == 63 and len(run.err) < 1000, run
    assert "rrrrrrrr" not in xhrd.log()


def test_ur16_hostile_text_is_escaped_in_what_the_library_tells(xhrd, origin_raw):
    client = Client(xhrd.socket_path)
    request = client.request()
    origin_raw.reply(b"HTTP/1.1 404 No\xc3\xa4" + b"\xff\x9b2J\xc2\x9b31m" * 100 +
                     b"\r\nContent-Length: 0\r\n\r\n")
    assert request.open(origin_raw.url()) == 0 and request.send() == 0
    request.finish()
    text = request.error.text
    assert text.startswith("the server answered 404 No\u00e4??2J".encode()), text
    assert all(c.isprintable() for c in text.decode()) and len(text) < 320
    request.free()
    client.close()


@pytest.mark.xhrd(arguments=["--log-level", "debug"])
def test_ur16_secrets_are_never_logged(xhr, xhrd, origin_raw, origin_raw2):
    origin_raw.replies(
        response(b"", status="302 Go", fields=[
            ("Location", origin_raw2.url("/").replace("://", "://eve:l0cation@")),
            ("Set-Cookie", "c=c00kie")]),
        response(b"", status="401 No", fields=[("WWW-Authenticate", 'Basic realm="x"')]))
    for flags in (("-u", "ali:passw0rd"), ("--digest", "-u", "ali:passw0rd"),
                  ("--oauth2-bearer", "t0ken"), ("-H", "Authorization: Basic h3ader"),
                  ("-b", "own=0wn"), ("-H", "Cookie: own=0wn")):
        xhr(*flags, origin_raw.url())
    log = xhrd.log()
    assert "debug" in log
    for secret in ("passw0rd", "YWxpOnBhc3N3MHJk", "t0ken", "h3ader", "0wn", "c00kie", "l0cation"):
        assert secret not in log, secret
