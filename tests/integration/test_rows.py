# SPDX-License-Identifier: MIT
"""Rows of the HTTPClient that other themes test at one door: here each is used through libxhr, with
callbacks and blocking, and through xhr, and must come out the same at all three."""
import base64
import ctypes
import gzip
import os
import threading

import pytest
from libxhr import PATH, Client, constants, sized, text_of
from origins import response
from programs import SANITIZED
from proxies import LOOPBACK, PASSWORD as PROXY_PASSWORD, USER

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="no library that python can load")

PASSWORD = "open sesame"
SCHEME = constants("xhr_auth_scheme")
NAMES_OF_CODES = {3: "url", 7: "connect", 22: "http-status", 28: "timeout", 47: "redirect", 63: "limit"}


class Library:
    def __init__(self, daemon, is_async):
        self.client, self.is_async = Client(daemon.socket_path), is_async

    def __call__(self, url, flags=(), method="GET", body=None, ca=None, file=None, form=None,
                 **options):
        """Return: (status, body) or the class of the error."""
        request = self.client.request()
        if ca:
            self.pem = ctypes.create_string_buffer(ca.pem.read_bytes())
            options.update(ca_pem=ctypes.addressof(self.pem), ca_pem_len=len(self.pem) - 1)
        assert request.options(**options) == 0
        if file:
            self.client.library.xhr_request_set_file.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            target = sized("xhr_file", path=str(file).encode())
            assert self.client.library.xhr_request_set_file(request.handle, ctypes.byref(target)) == 0
        assert request.open(url, method, self.is_async) == 0
        result = (request.send_form(form) if form else
                  request.send(None if body is None else request.body("BYTES", body)))
        if self.is_async:
            assert result == 0
            request.finish()
        error = request.error
        outcome = text_of(error.name).removesuffix("-idle").removesuffix("-total") if error else (
            request.status, request.response)
        assert self.is_async or (result == 0) == (error is None)
        request.check()
        request.free()
        return outcome

    def close(self):
        self.client.close()


class Command:
    def __init__(self, xhr):
        self.xhr = xhr

    def __call__(self, url, flags=(), method=None, body=None, ca=None, file=None, **_):
        more = [*(("-X", method) if method else ()), *(("-d", body.decode()) if body else ()),
                *(("--cacert", ca.pem) if ca else ()), *(("-o", file) if file else ())]
        run = self.xhr("-s", "-f", "-w", "%{stderr}%{http_code}", *more, *flags, url)
        if run.status:
            return NAMES_OF_CODES.get(run.status, run.status)
        return int(run.err), run.stdout

    def close(self):
        pass


@pytest.fixture(params=["libxhr", "libxhr, blocking", "xhr"])
def fetch(request, xhrd, xhr):
    door = Command(xhr) if request.param == "xhr" else Library(xhrd, "blocking" not in request.param)
    yield door
    door.close()


# ---- what comes back

def test_codings_are_undone_or_left_alone(fetch, origin_raw):
    coded = gzip.compress(b"decoded\n")
    origin_raw.reply(response(coded, fields=[("Content-Encoding", "gzip")]))
    assert fetch(origin_raw.url()) == (200, b"decoded\n")
    assert fetch(origin_raw.url(), ["--raw"], raw=True) == (200, coded)
    asked = [request.get("Accept-Encoding") for request in origin_raw.requests]
    assert asked == ["gzip, br, zstd", None]


def test_a_status_of_400_or_more_is_an_error(fetch, origin_raw):
    origin_raw.reply(response(b"no\n", status="404 No"))
    assert fetch(origin_raw.url()) == "http-status"


def test_a_body_that_is_too_long_is_an_error(fetch, origin_raw):
    assert fetch(origin_raw.url(), ["--max-filesize", "5"], response_bytes_max=5) == "limit"
    assert fetch(origin_raw.url(), ["--max-filesize", "6"], response_bytes_max=6) == (200, b"hello\n")


def test_answers_come_from_the_cache_where_it_is_asked_for(fetch, origin_raw):
    origin_raw.reply(response(b"kept\n", fields=[("Cache-Control", "max-age=100")]))
    on = constants("xhr_cache_mode")["XHR_CACHE_ON"]
    for _ in range(2):
        assert fetch(origin_raw.url(), ["--cache"], cache=on) == (200, b"kept\n")
    assert len(origin_raw.requests) == 1
    assert fetch(origin_raw.url()) == (200, b"kept\n")
    assert len(origin_raw.requests) == 2, "off by default"


def test_a_file_is_there_when_the_answer_is_whole_and_untouched_by_another(fetch, origin_raw, folder):
    target = folder / "target"
    assert fetch(origin_raw.url(), file=target) == (200, b"")
    assert target.read_bytes() == b"hello\n"
    origin_raw.reply(response(b"no\n", status="404 No"))
    assert fetch(origin_raw.url(), file=target) == "http-status"
    assert target.read_bytes() == b"hello\n" and [p.name for p in folder.glob("*target*")] == ["target"]


# ---- what is sent

def test_forms_are_multipart_with_their_files(fetch, origin_raw, folder):
    (folder / "page.html").write_bytes(b"<p>")
    fetch(origin_raw.url(), ["-F", "name=value", "-F", f"file=@{folder}/page.html"], method="POST",
          form=[("name", b"value"), ("file", folder / "page.html")])
    sent, = origin_raw.requests
    kind, _, boundary = sent.get("Content-Type").partition("; boundary=")
    parts = sent.body.split(b"--" + boundary.encode())
    assert kind == "multipart/form-data" and len(parts) == 4
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="name"\r\n\r\nvalue\r\n'
    assert b'filename="page.html"\r\nContent-Type: text/html\r\n\r\n<p>\r\n' in parts[2]


def test_any_token_is_a_method_and_may_carry_a_body(fetch, origin_raw):
    for method in ("PURGE", "PATCH", "DELETE"):
        assert fetch(origin_raw.url(), method=method, body=b"carried") == (200, b"hello\n")
    assert [(r.method, r.body) for r in origin_raw.requests] == [
        ("PURGE", b"carried"), ("PATCH", b"carried"), ("DELETE", b"carried")]


def test_urls_are_encoded_as_browsers_do(fetch, origin_raw):
    fetch(origin_raw.url("/a b/ü?q=ä|<#frag"))
    assert origin_raw.requests[0].target == "/a%20b/%C3%BC?q=%C3%A4|%3C"


def test_without_encoding_a_url_must_be_valid_as_given(xhrd, origin_raw):
    library = Library(xhrd, False)
    assert library(origin_raw.url("/a%20b"), url_as_given=True) == (200, b"hello\n")
    assert library(origin_raw.url("/a b"), url_as_given=True) == "url"
    assert len(origin_raw.requests) == 1
    library.close()


def test_connections_are_kept_unless_told_otherwise(fetch, origin_raw):
    for _ in range(2):
        fetch(origin_raw.url())
    assert len(origin_raw.connections) == 1
    fetch(origin_raw.url(), ["--no-keepalive"], no_keep_alive=True)
    assert origin_raw.requests[-1].get("Connection") == "close"
    fetch(origin_raw.url())
    assert len(origin_raw.connections) == 2


# ---- redirects

def test_redirects_off_on_and_too_many(fetch, origin_raw):
    away = response(b"away\n", status="302 Found", fields=[("Location", "/b")])
    origin_raw.answer = lambda request: away if request.target == "/a" else response(b"there\n")
    assert fetch(origin_raw.url("/a")) == (200, b"there\n")
    assert fetch(origin_raw.url("/a"), ["--no-location"], no_redirect=True) == (302, b"away\n")
    assert fetch(origin_raw.url("/a"), ["--max-redirs", "0"],
                 redirects_max=(1 << 32) - 1) == "redirect"


def test_a_post_stays_one_where_it_is_wanted(fetch, origin_raw):
    away = response(b"", status="301 Moved", fields=[("Location", "/b")])
    origin_raw.answer = lambda request: away if request.target == "/a" else response(b"there\n")
    fetch(origin_raw.url("/a"), ["-X", "POST", "--post301"] if isinstance(fetch, Command) else (),
          method=None if isinstance(fetch, Command) else "POST", body=b"x=1", keep_post_301=True)
    assert [(r.method, r.body) for r in origin_raw.requests] == [("POST", b"x=1")] * 2


# ---- credentials

def test_logins_against_real_servers(fetch, origin_nginx, origin_apache):
    user, login = b"ali", ["-u", f"ali:{PASSWORD}"]
    secret = PASSWORD.encode()
    assert fetch(origin_nginx.plain_url("/private"), ["--basic", *login], username=user,
                 password=secret, preemptive_auth=True) == (200, b"treasure\n")
    assert fetch(origin_nginx.plain_url("/private"), ["--basic", "-u", "ali:wrong"], username=user,
                 password=b"wrong") == "http-status"
    for scheme, flag in (("DIGEST", "--digest"), ("ANY", "--anyauth")):
        assert fetch(origin_apache.url(), [flag, *login], username=user, password=secret,
                     auth_scheme=SCHEME[f"XHR_AUTH_{scheme}"]) == (200, b"private\n")


def test_a_token_goes_ahead(fetch, origin_raw):
    fetch(origin_raw.url(), ["--oauth2-bearer", "t0k"], bearer_token=b"t0k",
          auth_scheme=SCHEME["XHR_AUTH_BEARER"])
    assert origin_raw.requests[0].get("Authorization") == "Bearer t0k"


# ---- time

def test_each_limit_of_time_ends_a_request(fetch, origin_raw):
    origin_raw.script = lambda connection: (connection.request(), connection.wait_gone())
    for flag, option in (("-m", "timeout_for_resource_ms"), ("--idle-timeout", "timeout_idle_ms")):
        assert fetch(origin_raw.url(), [flag, "0.3"], **{option: 300}) == "timeout"


# ---- proxies

@pytest.mark.parametrize("way", ["http", "https"])
def test_the_real_proxies(fetch, origin_nginx, ca, tinyproxy, squid, dante, way):
    url = origin_nginx.plain_url("/hello") if way == "http" else origin_nginx.url("/hello")
    hello = (200, b"hello\n")
    for proxy in (tinyproxy.url(), dante.url(), dante.url("socks5h")):
        assert fetch(url, ["-x", proxy], ca=ca, proxy=proxy.encode()) == hello, proxy
    at, login = squid.at(squid.digest), f"{USER}:{PROXY_PASSWORD}"
    assert fetch(url, ["-x", at, "-U", login, "--proxy-digest"], ca=ca, proxy=at.encode(),
                 proxy_username=USER.encode(), proxy_password=PROXY_PASSWORD.encode(),
                 proxy_auth_scheme=SCHEME["XHR_AUTH_DIGEST"]) == hello
    gone = f"http://{LOOPBACK}:1"
    assert fetch(url, ["-x", gone], ca=ca, proxy=gone.encode()) in ("proxy", "connect")  # curl: 7
    assert fetch(url, ["-x", gone, "--noproxy", "localhost"], ca=ca, proxy=gone.encode(),
                 no_proxy=b"localhost") == hello


# ---- any size

@pytest.mark.parametrize("size", [64 << 20, pytest.param((1 << 32) + 1, id="4 GiB + 1",
                                                         marks=pytest.mark.soak)])
@pytest.mark.parametrize("way", ["down", "down, as it comes", "up"])
def test_xhr_moves_bodies_of_any_size_with_the_daemons_memory_flat(xhrd, xhr, origin_raw, folder,
                                                                    size, way):
    with open(folder / "long", "wb") as file:
        file.truncate(size)
    got, block = [0], bytes(1 << 20)

    def script(connection):
        while True:
            request = connection.request_head()
            if request.method == "PUT":
                if request.get("Expect"):
                    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                left = int(request.get("Content-Length"))
                while left > 0:
                    n = len(connection._exactly(min(left, 1 << 20)))
                    left, got[0] = left - n, got[0] + n
                connection.send(response(b"ok\n"))
            else:
                connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
                for at in range(0, size, len(block)):
                    connection.send(block[:size - at])

    xhr("-s", origin_raw.url(), check=0)
    before = xhrd.rss_kib()
    origin_raw.script = script
    for connection in origin_raw.connections:
        connection.close()
    if way == "up":
        xhr("-s", "-T", folder / "long", origin_raw.url("/up"), check=0, timeout=600)
    elif way == "down":
        xhr("-s", "-o", folder / "there", origin_raw.url("/down"), check=0, timeout=600)
        got[0] = (folder / "there").stat().st_size
    else:
        with xhr.start("-s", origin_raw.url("/down")) as run:
            counter = threading.Thread(target=lambda: got.__setitem__(
                0, sum(len(data) for data in iter(lambda: os.read(run.stdout.fileno(), 1 << 20), b""))))
            counter.start()
            counter.join()
            assert run.wait() == 0
    assert got[0] == size
    assert xhrd.rss_kib() - before <= 8192 or SANITIZED


def test_the_domain_goes_where_the_realm_names_it(fetch, origin_raw):
    for realm, user in (("corp.example", "CORP.EXAMPLE\\ali"), ("elsewhere", "ali")):
        origin_raw.requests.clear()
        ask = response(b"", status="401 Who", fields=[("WWW-Authenticate", f'Basic realm="{realm}"')])
        origin_raw.answer = lambda request: (response(b"in\n") if request.get("Authorization")
                                             else ask)  # noqa: B023
        assert fetch(origin_raw.url(), ["-u", "ali:pw", "--user-domain", "CORP.EXAMPLE"],
                     username=b"ali", password=b"pw", domain=b"CORP.EXAMPLE") == (200, b"in\n")
        said = origin_raw.requests[-1].get("Authorization").removeprefix("Basic ")
        assert base64.b64decode(said).decode() == f"{user}:pw"


def test_a_url_may_be_taken_as_it_is_or_not_at_all(fetch, origin_raw):
    assert fetch(origin_raw.url("/a%20b"), ["--url-as-given"], url_as_given=True)[0] == 200
    assert fetch(origin_raw.url("/a b"), ["--url-as-given"], url_as_given=True) == "url"
    assert fetch(origin_raw.url("/a b"))[0] == 200
    assert [request.target for request in origin_raw.requests] == ["/a%20b"] * 2
