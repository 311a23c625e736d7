# SPDX-License-Identifier: MIT
"""Redirects by Fetch: what goes along, what stays behind, how they are told (RD01-RD18)."""
import json
import time

import pytest
from libxhr import Client, text_of
from origins import response
from waiting import wait_until

SECRETS = ("Authorization", "Cookie", "Proxy-Authorization")


def to(location, status="302 Found", body=b"", fields=()):
    return response(body, status=status, fields=[("Location", location), *fields])


def secrets_of(request):
    return [request.get(name) for name in SECRETS]


def leads(origin, places):
    """The origin sends on from each path to where the table says; any other is the end."""
    origin.answer = lambda request: (to(*places[request.target])
                                     if request.target in places else response(b"end\n"))


# ---- what stays at the first origin

@pytest.mark.parametrize("status", ["301 a", "302 a", "303 a", "307 a", "308 a"])
def test_rd01_rd02_secrets_stay_at_host_and_port(xhr, origin_raw, origin_raw2, status):
    leads(origin_raw, {"/": (origin_raw2.url("/there"), status)})
    leads(origin_raw2, {})
    for flags in (("-u", "ali:sesame"), ("--oauth2-bearer", "t0ken"),
                  ("-H", "Authorization: secret"), ("-H", "Cookie: own=1"), ("-b", "own=1")):
        assert xhr(*flags, origin_raw.url(), check=0).out == "end\n"
        assert any(secrets_of(origin_raw.requests[-1]))
        assert secrets_of(origin_raw2.requests[-1]) == [None] * 3
    assert len(origin_raw2.requests) == 5


@pytest.mark.shallow
def test_rd03_rd13_rd14_down_from_https_goes_nothing(xhr, origin_tls, origin_raw, ca):
    plain = origin_raw.url("/down", host="localhost")
    origin_tls.answer = lambda request: (
        to(plain, fields=[("Set-Cookie", "s=1; Secure"), ("Set-Cookie", "p=1")])
        if request.target == "/" else response(b"end\n"))
    there = origin_tls.url("/", host="localhost")
    for flags in (("-u", "ali:sesame"), ("--oauth2-bearer", "t0ken"), ("-b", "own=1"),
                  ("--location-trusted", "-u", "ali:sesame"),
                  ("--location-trusted", "-b", "own=1")):
        xhr("--cacert", ca.pem, "-e", "https://from.test/secret", *flags, there, check=0)
        assert origin_tls.requests[-1].get("Referer") == "https://from.test/secret"
        down = origin_raw.requests[-1]
        assert down.get("Authorization") is None and down.get("Referer") is None
        assert down.get("Cookie") == "p=1"  # the jar's, and no Secure one


@pytest.mark.shallow
def test_rd04_rd05_login_does_not_come_back_in_a_chain(xhr, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/1"),)})
    leads(origin_raw2, {"/1": ("/2",), "/2": (origin_raw.url("/home"),)})
    xhr("-u", "ali:sesame", "-b", "own=1", origin_raw.url(), check=0)
    assert [r.target for r in origin_raw2.requests] == ["/1", "/2"]
    assert [r.target for r in origin_raw.requests] == ["/", "/home"]
    for request in [*origin_raw2.requests, origin_raw.requests[1]]:
        assert secrets_of(request) == [None] * 3


def test_rd05_who_trusts_the_chain_logs_in_everywhere(xhr, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/1"),)})
    xhr("--location-trusted", "-u", "ali:sesame", "-b", "own=1", origin_raw.url(), check=0)
    assert origin_raw2.requests[0].get("Authorization") == "Basic YWxpOnNlc2FtZQ=="
    assert origin_raw2.requests[0].get("Cookie") == "own=1"


def test_rd06_a_sub_domain_is_another_host(xhr, origin_raw):
    names = ("a.test", "www.a.test", "xa.test")
    resolve = [f for n in names for f in ("--resolve", f"{n}:{origin_raw.port}:127.0.0.1")]
    for other in names[1:]:
        leads(origin_raw, {"/": (origin_raw.url("/there", host=other),)})
        xhr(*resolve, "-u", "ali:sesame", "-b", "own=1", origin_raw.url(host="a.test"), check=0)
        assert origin_raw.requests[-1].get("Host").startswith(other)
        assert secrets_of(origin_raw.requests[-1]) == [None] * 3


def test_rd07_a_zone_id_is_no_suffix_of_the_host(xhr, origin_raw):
    leads(origin_raw, {"/": (f"http://[fe80::1%25.a.test]:{origin_raw.port}/there",)})
    resolve = ("--resolve", f"a.test:{origin_raw.port}:127.0.0.1")
    run = xhr(*resolve, "-u", "ali:sesame", origin_raw.url(host="a.test"), check=47)
    assert "Location is no URL" in run.err
    assert len(origin_raw.requests) == 1


def test_rd08_proxy_authorization_never_reaches_an_origin(client, xhr, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    assert xhr("-H", "Proxy-Authorization: Basic eDp5", origin_raw.url()).status == 2
    exchange = client.fetch(origin_raw.url(), headers=[("Proxy-Authorization", "Basic eDp5")])
    assert exchange.failure == "ARGUMENT", exchange.text
    assert origin_raw.requests == origin_raw2.requests == []


def test_rd10_a_netrc_logs_in_at_the_first_host_alone(xhr, xhrd, origin_raw, origin_raw2, folder):
    """Neither the entry of the first host nor "default" goes to where a redirect leads, and a 401
    there is the answer (CVE-2024-11053)."""
    (folder / ".netrc").write_text("machine a.test login ali password sesame\n"
                                   "default login eve password guess\n")
    names = ("--resolve", f"a.test:{origin_raw.port}:127.0.0.1")
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    origin_raw2.reply(response(b"", status="401 No",
                               fields=[("WWW-Authenticate", 'Basic realm="x"')]))
    for flags in (("-n",), ("--netrc-optional",), ("--netrc-file", folder / ".netrc")):
        xhr("-f", *flags, *names, origin_raw.url(host="a.test"), check=22)
        assert origin_raw.requests[-1].get("Authorization") == "Basic YWxpOnNlc2FtZQ=="
    assert [r.get("Authorization") for r in origin_raw2.requests] == [None] * 3
    xhr("-n", origin_raw.url("/other"), check=0)
    assert origin_raw.requests[-1].get("Authorization") == "Basic ZXZlOmd1ZXNz"
    xhr("-n", origin_raw.url("/other").replace("://", "://me:mine@"), check=0)
    assert origin_raw.requests[-1].get("Authorization") == "Basic bWU6bWluZQ=="
    assert "sesame" not in xhrd.log()


def test_a_netrc_that_is_not_there_or_broken_is_told(xhr, origin_raw, folder):
    assert ".netrc: No such file" in xhr("-n", origin_raw.url(), check=26).err
    xhr("--netrc-optional", origin_raw.url(), check=0)
    (folder / "broken").write_text("machine a.test login ali\nmachin b.test\n")
    run = xhr("--netrc-file", folder / "broken", origin_raw.url(), check=26)
    assert "line 2" in run.err and len(origin_raw.requests) == 1
    for flags in (("-n", "-u", "a:b"), ("-n", "--oauth2-bearer", "t")):
        xhr(*flags, origin_raw.url(), check=2)


# ---- where to

@pytest.mark.shallow
def test_rd11_other_schemes_are_refused_without_a_step(xhr, origin_raw, folder):
    secret = folder / "secret"
    secret.write_text("treasure")
    for location in (f"file://{secret}", f"unix://{secret}", "ftp://127.0.0.1/x", "data:,treasure",
                     "gopher://127.0.0.1/x", f"FILE://{secret}", "ws://127.0.0.1/"):
        leads(origin_raw, {"/": (location,)})
        run = xhr(origin_raw.url(), check=101)
        assert "treasure" not in run.out and "scheme other than http" in run.err
    assert len(origin_raw.requests) == 7


def test_rd12_userinfo_of_a_location_is_for_its_hop_alone_and_told_to_nobody(
        xhr, xhrd, origin_raw, origin_raw2):
    inside = origin_raw2.url("/1").replace("://", "://eve:t0p@")
    leads(origin_raw, {"/": (inside,)})
    leads(origin_raw2, {"/1": ("/2",), "/2": (origin_raw.url("/home"),)})
    run = xhr("-v", "--events", "-w", "%{url_effective} %{json}", origin_raw.url(), check=0)
    first, second = origin_raw2.requests
    assert first.get("Authorization") == "Basic ZXZlOnQwcA=="
    assert second.get("Authorization") is None
    assert origin_raw.requests[1].get("Authorization") is None
    for request in (*origin_raw.requests, *origin_raw2.requests):
        assert request.get("Referer") is None
    assert "t0p" not in run.out + run.err + xhrd.log()


def test_userinfo_of_the_url_is_the_callers_while_at_its_origin(xhr, origin_raw, origin_raw2):
    leads(origin_raw, {"/": ("/1",), "/1": (origin_raw2.url("/2"),), "/3": ("/4",)})
    leads(origin_raw2, {"/2": (origin_raw.url("/3"),)})
    xhr(origin_raw.url().replace("://", "://ali:sesame@"), check=0)
    sent = [r.get("Authorization") for r in origin_raw.requests]
    assert sent == ["Basic YWxpOnNlc2FtZQ=="] * 2 + [None] * 2
    assert origin_raw2.requests[0].get("Authorization") is None


def test_rd13_a_referer_set_to_null_is_absent(xhrd, origin_raw):
    client = Client(xhrd.socket_path)
    request = client.request()
    for value, sent in (("http://from.test/", "http://from.test/"), (None, None)):
        assert request.open(origin_raw.url()) == 0
        assert request.set_header("Referer", "http://from.test/") == 0
        assert request.set_header("Referer", value) == 0
        assert request.send() == 0
        request.finish().forget()
        assert origin_raw.requests[-1].get("Referer") == sent
    assert request.open(origin_raw.url()) == 0 and request.send() == 0
    request.finish()
    assert origin_raw.requests[-1].get("Referer") is None
    request.free()
    client.close()


def test_rd15_twenty_steps_pass_and_the_next_is_too_many(xhr, origin_raw):
    origin_raw.answer = lambda r: (to(f"/{int(r.target[1:]) - 1}") if r.target != "/0"
                                   else response(b"end\n"))
    run = xhr("-w", "%{num_redirects} %{url_effective}", origin_raw.url("/20"), check=0)
    assert run.out == f"end\n20 {origin_raw.url('/0')}"
    before = len(origin_raw.requests)
    run = xhr(origin_raw.url("/21"), check=47)
    assert "too many redirects" in run.err and len(origin_raw.requests) == before + 21
    assert xhr("--max-redirs", "21", origin_raw.url("/21"), check=0).out == "end\n"
    assert xhr("--max-redirs", "0", origin_raw.url("/1"), check=47)
    run = xhr("--no-location", "-w", "%{num_redirects} %{redirect_url}", origin_raw.url("/1"), check=0)
    assert run.out == f"0 {origin_raw.url('/0')}"


@pytest.mark.shallow
def test_rd16_an_endless_body_of_a_redirect_is_left(xhr, origin_raw):
    sent = []

    def script(connection):
        request = connection.request_head()
        if request.target == "/":
            connection.send(b"HTTP/1.1 302 Go\r\nLocation: /end\r\nContent-Encoding: gzip\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n")
            while True:  # until the daemon hangs up
                connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent.append(0x10000)
        connection.send(response(b"end\n", fields=[("Connection", "close")]))

    origin_raw.script = script
    assert xhr(origin_raw.url(), check=0).out == "end\n"
    assert [r.target for r in origin_raw.requests] == ["/", "/end"]
    assert len(origin_raw.connections) == 2


def test_rd17_a_303_is_a_get_without_body_and_what_describes_it(xhr, origin_raw):
    leads(origin_raw, {"/": ("/end", "303 See")})
    xhr("-d", "a=1", "-H", "Content-Language: de", "-H", "Content-Location: /x",
        origin_raw.url(), check=0)
    request = origin_raw.requests[1]
    assert (request.method, request.body) == ("GET", b"")
    assert not [name for name, _ in request.fields if name.lower().startswith("content-")]
    assert request.get("Transfer-Encoding") is None and request.get("Expect") is None


@pytest.mark.shallow
@pytest.mark.parametrize("status", ["307 a", "308 a"])
def test_rd17_bodies_go_up_again_from_wherever_they_can(xhr, origin_raw, folder, status):
    leads(origin_raw, {"/": ("/end", status), "/data": ("/end", status)})
    data = bytes(range(256)) * 8000  # 2 MB
    (folder / "data").write_bytes(data)
    for arguments in (("--data-binary", "@data"), ("-T", "data"), ("-F", "f=@data"),
                      ("--data-binary", "@-"), ("-d", "short")):
        before = len(origin_raw.requests)
        piped = data[:900_000] if "@-" in arguments else None  # what xhr keeps of a pipe
        run = xhr(*arguments, origin_raw.url(), input=piped, check=0)
        assert run.out == "end\n"
        first, second = origin_raw.requests[before:]
        assert first.body == second.body and first.method == second.method
        assert second.target == "/end" and len(second.body) > 0


def test_rd17_a_pipe_cannot_and_says_so(xhr, origin_raw):
    leads(origin_raw, {"/": ("/end", "307 a")})
    run = xhr("-T", "-", origin_raw.url(), input=b"x" * 100_000)
    assert run.status == 65 and "cannot be read twice" in run.err
    assert len(origin_raw.requests) == 1


def test_post_stays_one_where_the_flag_says_so(xhr, origin_raw):
    for status in ("301", "302", "303"):
        leads(origin_raw, {"/": ("/end", f"{status} a")})
        for flags, method in (((), "GET"), ((f"--post{status}",), "POST")):
            xhr(*flags, "-d", "a=1", origin_raw.url(), check=0)
            request = origin_raw.requests[-1]
            assert (request.method, request.body) == (method, b"a=1" if method == "POST" else b"")


@pytest.mark.shallow
def test_rd18_hostile_bytes_in_a_location_inject_nothing(xhr, origin_raw):
    rows = ((b"/a\rX-Evil: 1", None), (b"/a\x00X-Evil: 1", None), (b"/a b\tc", "/a%20bc"),
            (b"/a%0d%0aX-Evil:1", "/a%0d%0aX-Evil:1"), (b"/\xc3\xa4\xff", "/%C3%A4%FF"),
            (b"http://127.0.0.1:1\r\n X-Evil: 1/", None))
    for location, target in rows:
        before = len(origin_raw.requests)
        origin_raw.replies(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + location +
                           b"\r\n\r\n", response(b"end\n"))
        run = xhr("--max-redirs", "1", "--connect-timeout", "5", origin_raw.url())
        seen = origin_raw.requests[before:]
        assert all(r.get("X-Evil") is None and b"Evil: 1" not in r.head for r in seen)
        if target is None:
            assert run.status != 0 and len(seen) == 1, (location, run)
        else:
            assert run.status == 0 and seen[1].target in (target, "/%C3%A4%EF%BF%BD"), seen[1].target


# ---- how they are told

def test_the_chain_is_told_in_events_and_variables(xhr, origin_raw, origin_raw2, folder):
    leads(origin_raw, {"/": (origin_raw2.url("/1"), "303 a")})
    leads(origin_raw2, {"/1": ("/2#part", "308 a")})
    run = xhr("-d", "a=1", "--events=log", "-w",
              "%{num_redirects} %{url_effective} %{method} [%{redirect_url}]",
              origin_raw.url(), check=0)
    assert run.out == f"end\n2 {origin_raw2.url('/2')} GET []"
    events = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    told = [(e["status"], e["url"], e["method"]) for e in events if e["event"] == "redirect"]
    assert told == [(303, origin_raw2.url("/1"), "GET"), (308, origin_raw2.url("/2#part"), "GET")]


def test_the_chain_can_be_read_of_a_request(xhrd, origin_raw):
    leads(origin_raw, {"/": ("/1", "303 a"), "/1": ("/2", "308 a"), "/2": ("ftp://x/",)})
    client = Client(xhrd.socket_path)
    request = client.request()
    assert request.open(origin_raw.url(), "POST") == 0
    assert request.send(request.body("STRING", b"a=1")) == 0
    request.finish()
    assert request.story() == "1 up redirect:303 redirect:308 4 error:policy"
    assert request.chain() == [(303, origin_raw.url("/1"), "GET", False),
                               (308, origin_raw.url("/2"), "GET", False)]
    request.free()
    client.close()


# ---- the veto

@pytest.fixture
def library(xhrd):
    client = Client(xhrd.socket_path)
    made = []

    def make(**options):
        request = client.request(**options)
        made.append(request)
        return request

    make.client = client
    yield make
    for request in made:
        request.free()
    client.close()


@pytest.mark.shallow
def test_a_veto_keeps_the_next_server_from_being_asked(library, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    request = library()
    request.follows = False
    assert request.open(origin_raw.url()) == 0 and request.send() == 0
    request.finish()
    assert request.story() == "1 redirect:302 4 error:redirect"
    assert origin_raw2.connections == []


def test_a_verdict_may_be_put_off(library, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    for follows in (True, False):
        request = library()
        request.defers = True
        assert request.open(origin_raw.url()) == 0 and request.send() == 0
        library.client.wait_until(lambda: "redirect:302" in request.words)
        other = library()
        assert other.open(origin_raw.url("/other")) == 0 and other.send() == 0
        assert other.finish().status == 200  # the client goes on meanwhile
        assert request.words[-1] == "redirect:302"
        before = len(origin_raw2.requests)
        assert request.answer_redirect(follows) == 0
        assert request.answer_redirect(True) < 0
        request.finish()
        assert request.story().split(" ", 2)[2] == ("2 headers 3 down 4 load" if follows
                                                    else "4 error:redirect")
        assert len(origin_raw2.requests) == before + follows


def test_a_blocking_request_cannot_put_it_off(library, origin_raw):
    leads(origin_raw, {"/": ("/there",)})
    request = library()
    request.defers = True
    assert request.open(origin_raw.url(), is_async=False) == 0
    assert request.send() == 0
    assert request.deferred == [-22]
    assert request.status == 200


@pytest.mark.shallow
def test_a_verdict_that_does_not_come_is_a_timeout(library, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    for options, word in (({"timeout_idle_ms": 300}, "timeout-idle"),
                          ({"timeout_for_resource_ms": 300}, "timeout-total")):
        request = library()
        request.defers = True
        assert request.options(**options) == 0
        assert request.open(origin_raw.url()) == 0 and request.send() == 0
        begun = time.monotonic()
        request.finish()
        assert time.monotonic() - begun >= 0.3
        assert text_of(request.error.name) == word
    assert origin_raw2.connections == []


def test_a_client_that_dies_before_its_verdict_ends_the_request(xhrd, origin_raw, origin_raw2):
    leads(origin_raw, {"/": (origin_raw2.url("/there"),)})
    client = Client(xhrd.socket_path)
    request = client.request()
    request.defers = True
    assert request.open(origin_raw.url()) == 0 and request.send() == 0
    client.wait_until(lambda: "redirect:302" in request.words)
    request.free()
    client.close()
    with xhrd.client() as other:
        wait_until(lambda: other.status().requests_active == 0, "the request to end")
    assert origin_raw2.connections == []
