# SPDX-License-Identifier: MIT
"""The HTTP cache (RFC 9111): what a request is answered with and by whom, for real, over processes,
restarts, kills and files that lie. Rules one by one: tests/unit/policy/test_cache_*.c."""
import gzip
import os
import pathlib
import signal
import stat
import threading

import pytest
from origins import response
from programs import SANITIZED
from waiting import wait_until
from wire import admin_pb2, fetch_pb2

import libxhr

pytestmark = pytest.mark.shallow

HIT, REVALIDATED, STALE = (fetch_pb2.FROM_CACHE_HIT, fetch_pb2.FROM_CACHE_REVALIDATED,
                           fetch_pb2.FROM_CACHE_STALE)
NETWORK = fetch_pb2.FROM_CACHE_UNSPECIFIED
PRIVATE = ":private"
FRESH = ("Cache-Control", "max-age=1000")


def get(client, url, **more):
    more.setdefault("cache", True)
    more.setdefault("tell_sent_headers", True)
    exchange = client.fetch(url, **more)
    assert exchange.done, exchange.text
    return exchange


def source(client, url, **more):
    return get(client, url, **more).head.from_cache


def asking(directive):
    return [("Cache-Control", directive)]


def files(xhrd):
    """{name: path} of everything in the caches."""
    return {path.name: path for path in pathlib.Path(xhrd.state_dir).rglob("cache/*/*")}


def file_of(xhrd, kind):
    found = [path for name, path in files(xhrd).items() if name.endswith(f".{kind}")]
    assert len(found) == 1, found
    return found[0]


def rows(client):
    return [row for reply in client.admin(admin_pb2.ADMIN_TOPIC_CACHE) for row in reply.cache]


class Site:
    """Answers by path: (body, fields, status); a condition that fits is answered with 304."""

    def __init__(self, origin):
        self.origin, self.pages = origin, {}
        self.not_modified = []
        origin.answer = self.answer

    def page(self, path, body=b"hello\n", *fields, status="200 OK"):
        self.pages[path] = (body, fields, status)
        return self.origin.url(path)

    def answer(self, request):
        path = request.target.decode() if isinstance(request.target, bytes) else request.target
        body, fields, status = self.pages[path]
        etag = dict(fields).get("ETag")
        if etag and request.get("If-None-Match") == etag:
            return response(status="304 Not Modified", fields=[("ETag", etag), *self.not_modified],
                            length=False)
        return response(body, status=status, fields=fields)

    def asked(self):
        """How many requests came."""
        return len(self.origin.requests)


@pytest.fixture
def site(origin_raw):
    return Site(origin_raw)


# -- fresh and stale

def test_a_fresh_answer_comes_from_the_disk_in_every_process(client, another, site):
    url = site.page("/a", b"hello\n", FRESH, ("X-Kind", "stored"))
    first = get(client, url)
    assert (first.head.from_cache, first.head.age_s) == (NETWORK, 0)
    for who in (client, another):
        again = get(who, url)
        assert again.head.from_cache == HIT
        assert (again.status, again.body, again.header("X-Kind")) == (200, b"hello\n", "stored")
        assert again.header("Age") == str(again.head.age_s)
        assert not again.head.HasField("connection") and not again.head.sent_headers
        assert again.done.wire_bytes == 0 and again.done.body_bytes == 6
        assert again.head.body_bytes == 6
        assert again.states == [fetch_pb2.READY_STATE_HEADERS_RECEIVED,
                                fetch_pb2.READY_STATE_LOADING]
    assert site.asked() == 1


def test_without_the_option_nothing_is_stored_or_served(client, site, xhrd):
    url = site.page("/a", b"hello\n", FRESH)
    assert source(client, url, cache=False) == NETWORK
    assert not files(xhrd)
    assert source(client, url) == NETWORK
    assert source(client, url, cache=False) == NETWORK
    assert site.asked() == 3


def test_an_old_answer_is_validated_and_fresh_again(client, site):
    url = site.page("/a", b"hello\n", ("Cache-Control", "max-age=0"), ("ETag", '"v1"'))
    site.not_modified = [FRESH, ("X-New", "yes")]
    assert source(client, url) == NETWORK
    again = get(client, url)
    assert again.head.from_cache == REVALIDATED
    assert (again.status, again.body, again.header("X-New")) == (200, b"hello\n", "yes")
    assert again.head.HasField("connection")
    assert again.sent_header("If-None-Match") == '"v1"'
    assert source(client, url) == HIT
    assert get(client, url).header("X-New") == "yes"
    assert site.asked() == 2


def test_an_old_answer_that_has_changed_is_replaced(client, site, xhrd):
    url = site.page("/a", b"one\n", ("Cache-Control", "max-age=0"), ("ETag", '"v1"'))
    assert get(client, url).body == b"one\n"
    site.page("/a", b"two\n", FRESH, ("ETag", '"v2"'))
    assert get(client, url).body == b"two\n"
    again = get(client, url)
    assert (again.head.from_cache, again.body) == (HIT, b"two\n")
    wait_until(lambda: len(files(xhrd)) == 2, "the old files to go")


def test_a_304_about_something_else_is_not_believed(client, site):
    url = site.page("/a", b"one\n", ("Cache-Control", "max-age=0"), ("ETag", '"v1"'))
    assert source(client, url) == NETWORK
    lie = response(status="304 Not Modified", fields=[("ETag", '"v9"')], length=False)
    site.origin.replies(lie, response(b"two\n"))
    again = get(client, url)
    assert (again.head.from_cache, again.body) == (NETWORK, b"two\n")
    assert again.sent_header("If-None-Match") is None


def test_what_the_request_says_of_the_cache_holds(client, site):
    url = site.page("/a", b"hello\n", FRESH, ("ETag", '"v1"'), ("Age", "100"))
    nothing = get(client, url, headers=asking("only-if-cached"))
    assert (nothing.status, nothing.body, nothing.head.from_cache) == (504, b"", NETWORK)
    assert site.asked() == 0
    assert source(client, url, headers=asking("no-store")) == NETWORK
    assert source(client, url) == NETWORK
    assert source(client, url, headers=asking("only-if-cached")) == HIT
    assert source(client, url, headers=asking("max-age=200")) == HIT
    assert site.asked() == 2
    site.not_modified = [("Age", "100")]
    for directive in ("no-cache", "max-age=50", "min-fresh=950"):
        assert source(client, url, headers=asking(directive)) == REVALIDATED, directive
    assert source(client, url, headers=[("Pragma", "no-cache")]) == REVALIDATED
    assert source(client, url) == HIT
    assert site.asked() == 6


def test_max_stale_takes_an_old_answer_unless_the_server_forbids_it(client, site):
    url = site.page("/a", b"hello\n", ("Cache-Control", "max-age=10"), ("Age", "20"),
                    ("ETag", '"v1"'))
    strict = site.page("/b", b"hello\n", ("Cache-Control", "max-age=10, must-revalidate"),
                       ("Age", "20"), ("ETag", '"v1"'))
    for page in (url, strict):
        assert source(client, page) == NETWORK
    old = get(client, url, headers=asking("max-stale"))
    assert old.head.from_cache == STALE and old.head.age_s >= 20
    assert source(client, url, headers=asking("max-stale=5")) == REVALIDATED
    assert source(client, strict, headers=asking("max-stale")) == REVALIDATED


def test_own_conditions_ranges_and_bodies_go_past_it(client, site):
    url = site.page("/a", b"hello\n", FRESH, ("ETag", '"v1"'))
    assert source(client, url) == NETWORK
    mine = get(client, url, headers=[("If-None-Match", '"v1"')])
    assert (mine.status, mine.head.from_cache) == (304, NETWORK)
    assert source(client, url, headers=[("Range", "bytes=0-1")]) == NETWORK
    assert source(client, url, body=b"x") == NETWORK
    assert source(client, url) == HIT
    assert site.asked() == 4


def test_head_is_answered_from_a_stored_get(client, site, xhr):
    url = site.page("/a", b"hello\n", FRESH, ("ETag", '"v1"'))
    assert source(client, url, method="HEAD") == NETWORK
    assert source(client, url) == NETWORK, "a HEAD is no answer to a GET"
    stored = get(client, url, method="HEAD")
    assert (stored.head.from_cache, stored.status, stored.body) == (HIT, 200, b"")
    assert stored.header("Content-Length") == "6" and stored.header("Age") is not None
    told = xhr("-s", "-I", "--cache", url, check=0).out
    assert "\r\nContent-Length: 6\r\n" in told and "\r\nAge: " in told
    assert site.asked() == 2


def test_head_that_says_another_thing_ends_what_is_stored(client, site, xhrd):
    url = site.page("/a", b"hello\n", FRESH, ("ETag", '"v1"'))
    assert source(client, url) == NETWORK
    site.page("/a", b"other\n", FRESH, ("ETag", '"v2"'))
    assert source(client, url, method="HEAD", headers=asking("no-cache")) == NETWORK
    assert get(client, url).body == b"other\n"
    assert source(client, url) == HIT


@pytest.mark.parametrize("trouble", ["500", "503", "gone", "nonsense"])
def test_stale_if_error_stands_in(client, site, trouble):
    url = site.page("/a", b"hello\n", ("Cache-Control", "max-age=1, stale-if-error=1000"),
                    ("Age", "5"))
    plain = site.page("/b", b"hello\n", ("Cache-Control", "max-age=1"), ("Age", "5"),
                      ("ETag", '"v1"'))
    assert source(client, url) == source(client, plain) == NETWORK
    if trouble == "gone":
        site.origin.script = lambda connection: connection.request()
    else:
        site.origin.reply({"500": response(b"x" * 100_000, status="500 Oh"),
                           "503": response(status="503 Oh"),
                           "nonsense": b"nonsense\r\n\r\n"}[trouble])
    for connection in site.origin.connections:
        connection.close()
    stale = get(client, url)
    assert (stale.status, stale.body, stale.head.from_cache) == (200, b"hello\n", STALE)
    assert stale.head.age_s >= 5
    asked_for = get(client, plain, headers=asking("stale-if-error=1000"))
    assert (asked_for.status, asked_for.head.from_cache) == (200, STALE)
    without = client.fetch(plain, cache=True)
    assert without.failure or without.status in (500, 503)


# -- for whom

def test_vary_keeps_apart_what_differs(client, site):
    site.origin.answer = lambda request: response(
        request.get("Accept-Language").encode(), fields=[FRESH, ("Vary", "Accept-Language")])
    url = site.origin.url("/a")
    for language in ("de", "en"):
        assert source(client, url, headers=[("Accept-Language", language)]) == NETWORK
    for language in ("de", "en"):
        again = get(client, url, headers=[("Accept-Language", language)])
        assert (again.head.from_cache, again.body) == (HIT, language.encode())
    assert site.asked() == 2
    site.origin.answer = lambda request: response(b"*", fields=[FRESH, ("Vary", "*")])
    other = site.origin.url("/b")
    assert [source(client, other) for _ in range(2)] == [NETWORK, NETWORK]


def test_a_coded_answer_is_kept_as_it_came_and_only_for_who_asks_for_it(client, site):
    text = b"hello " * 10_000
    coded = gzip.compress(text)
    site.origin.answer = lambda request: (
        response(coded, fields=[FRESH, ("Content-Encoding", "gzip")])
        if "gzip" in (request.get("Accept-Encoding") or "") else response(text, fields=[FRESH]))
    url = site.origin.url("/a")
    assert get(client, url).done.wire_bytes == len(coded)
    again = get(client, url)
    assert (again.head.from_cache, again.body) == (HIT, text)
    assert again.head.content_coding == b"gzip"
    assert (again.done.wire_bytes, again.done.body_bytes) == (0, len(text))
    raw = get(client, url, raw=True)
    assert (raw.head.from_cache, raw.body) == (NETWORK, text)
    client.admin(admin_pb2.ADMIN_TOPIC_CACHE_CLEAR)
    assert source(client, url) == NETWORK
    as_it_is = get(client, url, raw=True, headers=[("Accept-Encoding", "gzip, br, deflate")])
    assert as_it_is.head.from_cache == NETWORK  # another Accept-Encoding than the daemon's
    again = get(client, url, raw=True, headers=[("Accept-Encoding", "gzip, br, deflate")])
    assert (again.head.from_cache, again.body) == (HIT, coded)


def test_logins_share_only_what_is_public(client, site):
    mine = [("Authorization", "Bearer one")]
    site.page("/private", b"secret\n", FRESH)
    site.page("/public", b"open\n", ("Cache-Control", "public, max-age=1000"))
    private, public = site.origin.url("/private"), site.origin.url("/public")
    for _ in range(2):
        assert source(client, private, headers=mine) == NETWORK
    assert source(client, private) == NETWORK
    assert source(client, private) == HIT
    assert source(client, private, headers=mine) == NETWORK
    basic = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BASIC, user=b"u", password=b"p",
                                  preemptive=True)
    assert source(client, private, credentials=basic) == NETWORK
    assert source(client, public, headers=mine) == NETWORK
    assert source(client, public) == HIT
    assert source(client, public, credentials=basic) == HIT


def test_jars_do_not_see_each_others_answers(client, site):
    site.page("/login", b"in\n", ("Set-Cookie", "who=ann"))
    url = site.page("/mine", b"for ann\n", FRESH)
    assert source(client, site.origin.url("/login"), jar="ann") == NETWORK
    assert source(client, url, jar="ann") == NETWORK
    assert source(client, url, jar="ann") == HIT
    assert source(client, url, jar="bob") == NETWORK
    assert source(client, url, cookies=fetch_pb2.COOKIE_MODE_NONE) == NETWORK


def test_private_jars_share_only_what_is_no_ones(xhrd, site):
    """A jar of one connection has no name by which others could be kept from its answers."""
    site.page("/login", b"in\n", ("Set-Cookie", "who=ann"))
    mine, plain = site.page("/mine", b"for ann\n", FRESH), site.page("/plain", b"x\n", FRESH)
    with xhrd.client() as ann, xhrd.client() as bob:
        assert source(ann, plain, jar=PRIVATE) == NETWORK
        assert source(bob, plain, jar=PRIVATE) == HIT
        assert source(ann, site.origin.url("/login"), jar=PRIVATE) == NETWORK
        assert [source(ann, mine, jar=PRIVATE) for _ in range(2)] == [NETWORK, NETWORK]
        assert source(bob, mine, jar=PRIVATE) == NETWORK
        assert get(bob, mine, jar=PRIVATE).head.from_cache == HIT  # his own, without cookies


def test_a_stored_answer_sets_no_cookie_again(client, site, xhrd):
    url = site.page("/a", b"hello\n", FRESH, ("Set-Cookie", "session=s3cr3t; Max-Age=1000"))
    assert source(client, url) == NETWORK
    assert len(client.cookies()) == 1
    client.remove_cookies()
    again = get(client, url)
    assert again.head.from_cache == HIT and again.header("Set-Cookie") is None
    assert client.cookies() == []
    assert all(b"s3cr3t" not in path.read_bytes() for path in files(xhrd).values())


def test_a_304_may_set_cookies(client, site):
    url = site.page("/a", b"hello\n", ("Cache-Control", "no-cache"), ("ETag", '"v1"'))
    site.not_modified = [("Set-Cookie", "seen=1; Max-Age=1000")]
    assert source(client, url) == NETWORK
    again = get(client, url)
    assert (again.head.from_cache, again.body) == (REVALIDATED, b"hello\n")
    assert [cookie.name for cookie in client.cookies()] == [b"seen"]


def test_profiles_share_nothing(xhrd, client, site):
    url = site.page("/a", b"hello\n", FRESH)
    assert source(client, url) == NETWORK
    with xhrd.client(profile="other") as other:
        assert source(other, url) == NETWORK
        assert source(other, url) == HIT
        assert len(rows(other)) == 1
    assert {path.parent.name for path in files(xhrd).values()} == {"default", "profile-other"}


def test_unverified_answers_are_no_ones_elses(client, origin_tls, ca):
    origin_tls.reply(response(b"hello\n", fields=[FRESH]))
    url = origin_tls.url("/a", host="localhost")
    assert source(client, url, insecure=True) == NETWORK
    assert source(client, url, insecure=True) == HIT
    assert source(client, url, ca=ca.pem) == NETWORK
    assert source(client, url, ca=ca.pem) == HIT
    refused = client.fetch(url, cache=True)
    assert refused.failure == "TLS_VERIFY"


# -- what ends it

@pytest.mark.parametrize("with_cache", [True, False])
def test_an_unsafe_request_ends_what_is_stored(client, another, site, with_cache):
    a, b, c = (site.page(f"/{name}", b"hello\n", FRESH) for name in "abc")
    for url in (a, b, c):
        assert source(client, url) == NETWORK
    kept = dict(site.pages)
    site.page("/a", b"", ("Location", "/b"), ("Content-Location", "http://elsewhere.example/c"),
              status="201 Created")
    assert get(another, a, method="POST", body=b"x", cache=with_cache).status == 201
    site.pages = kept
    assert [source(client, url) for url in (a, b, c)] == [NETWORK, NETWORK, HIT]
    site.page("/a", b"", status="500 Oh")
    assert get(another, a, method="DELETE", cache=with_cache).status == 500
    assert source(client, a) == HIT


def test_what_is_invalidated_while_it_is_written_is_not_stored(client, another, site, xhrd):
    half, may_end = threading.Event(), threading.Event()

    def script(connection):
        request = connection.request()
        if request.method == "POST":
            connection.send(response(b"done\n"))
            return
        connection.send(response(b"x" * 200_000, fields=[FRESH])[:-1])
        half.set()
        may_end.wait(30)
        connection.send(b"x")

    site.origin.script = script
    url = site.origin.url("/a")
    slow = client.open(url, cache=True)
    client.receive_until(lambda: slow.body_bytes > 100_000)
    assert half.wait(30)
    assert get(another, url, method="POST", body=b"x").status == 200
    may_end.set()
    client.finish(slow)
    assert slow.done and slow.body_bytes == 200_000
    assert get(client, url, headers=asking("only-if-cached")).status == 504
    wait_until(lambda: not files(xhrd), "the files to go")


# -- redirects

@pytest.mark.parametrize("status", ["301 Moved", "308 Moved"])
def test_redirects_are_stored_and_followed(client, site, status):
    url = site.page("/old", b"gone\n", ("Location", "/new"), FRESH, status=status)
    site.page("/new", b"here\n", FRESH)
    for expected in (NETWORK, HIT):
        exchange = get(client, url)
        assert (exchange.body, exchange.head.from_cache) == (b"here\n", expected)
        assert [hop.status for hop in exchange.redirects] == [int(status[:3])]
        assert exchange.head.redirects == 1
    assert site.asked() == 2
    stopped = get(client, url, redirect=fetch_pb2.REDIRECT_MODE_STOP)
    assert (stopped.head.from_cache, stopped.body) == (HIT, b"gone\n")


def test_a_stored_redirect_in_a_circle_ends(client, site):
    url = site.page("/loop", b"", ("Location", "/loop"), FRESH, status="301 Moved")
    for _ in range(2):
        exchange = client.fetch(url, cache=True)
        assert exchange.failure == "REDIRECT"
        assert len(exchange.redirects) == 20
    assert site.asked() == 1


# -- bodies and memory

def test_a_long_body_streams_at_the_clients_pace(xhrd, site):
    body = bytes(range(256)) * 65_536  # 16 MiB
    url = site.page("/long", body, FRESH)
    with xhrd.client() as first:
        assert source(first, url) == NETWORK
    before = xhrd.rss_kib()
    with xhrd.client(auto_credit=False) as slow:
        exchange = slow.open(url, cache=True, credit=100_000)
        slow.receive_until(lambda: exchange.body_bytes == 100_000)
        assert exchange.head.from_cache == HIT
        slow.auto_credit = True
        slow.send("credit", request_id=exchange.request_id, bytes=1 << 20)
        slow.finish(exchange)
        assert exchange.done and exchange.body == body
        assert SANITIZED or xhrd.rss_kib() - before < 4096
    assert site.asked() == 1


def test_a_body_goes_from_disk_to_a_descriptor(client, site, folder):
    body = b"0123456789" * 100_000
    url = site.page("/long", body, FRESH)
    assert source(client, url) == NETWORK
    with open(folder / "out", "wb+") as out:
        exchange = client.open(url, cache=True, response_fd=fetch_pb2.ResponseFd(),
                               fds=[out.fileno()])
        client.finish(exchange)
        assert exchange.done and exchange.head.from_cache == HIT
        assert (folder / "out").read_bytes() == body


def test_what_is_not_whole_is_not_stored(client, site, xhrd):
    url = site.origin.url("/a")
    fields = f"{FRESH[0]}: {FRESH[1]}\r\n".encode()

    def cut(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 100\r\n\r\nhalf")

    def until_closed(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + fields + b"Connection: close\r\n\r\nall or half")

    site.origin.script = cut
    assert client.fetch(url, cache=True).failure == "TRUNCATED"
    site.origin.script = until_closed
    assert get(client, url).body == b"all or half"
    site.origin.script = site.origin.answer_all
    site.page("/a", b"x" * 300_000, FRESH)
    aborted = client.open(url, cache=True, credit=1000)
    client.receive_until(lambda: aborted.body_bytes == 1000)
    client.abort(aborted)
    assert get(client, url, headers=asking("only-if-cached")).status == 504
    wait_until(lambda: not files(xhrd), "the files to go")


def test_two_that_store_the_same_leave_one(client, another, site, xhrd):
    url = site.page("/a", b"x" * 500_000, FRESH)
    both = [who.open(url, cache=True) for who in (client, another)]
    for who, exchange in zip((client, another), both):
        who.finish(exchange)
        assert exchange.done and exchange.body_bytes == 500_000
    assert source(client, url) == HIT
    wait_until(lambda: len(files(xhrd)) == 2, "one of them to go")
    assert len(rows(client)) == 1


def test_a_reader_keeps_what_is_replaced_and_removed(client, another, site, xhrd):
    url = site.page("/a", b"a" * 2_000_000, FRESH)
    assert source(client, url) == NETWORK
    reading = client.open(url, cache=True, credit=1000)
    client.receive_until(lambda: reading.body_bytes == 1000)
    site.page("/a", b"b" * 1000, FRESH)
    assert source(another, url, headers=asking("no-cache")) == NETWORK
    assert get(another, url).body == b"b" * 1000
    another.admin(admin_pb2.ADMIN_TOPIC_CACHE_CLEAR)
    wait_until(lambda: not files(xhrd), "the files to go")
    client.send("credit", request_id=reading.request_id, bytes=1 << 30)
    client.finish(reading)
    assert reading.done and reading.body == b"a" * 2_000_000


# -- disk

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_is_there_in_the_next_life(xhrd, site, end):
    url = site.page("/a", b"hello\n" * 100_000, FRESH)
    with xhrd.client() as client:
        assert source(client, url) == NETWORK
        assert source(client, url) == HIT  # so it is on the disk
    getattr(xhrd, end)()
    xhrd.start()
    with xhrd.client() as client:
        again = get(client, url)
        assert (again.head.from_cache, again.body) == (HIT, b"hello\n" * 100_000)
    assert site.asked() == 1


def test_a_kill_while_it_is_written_leaves_nothing_that_is_served(xhrd, site):
    url = site.origin.url("/a")
    may_end = threading.Event()

    def script(connection):
        connection.request()
        connection.send(response(b"x" * 1_000_000, fields=[FRESH])[:-1])
        may_end.wait(30)

    site.origin.script = script
    with xhrd.client() as client:
        client.open(url, cache=True)
        wait_until(lambda: any(path.stat().st_size > 500_000
                               for path in files(xhrd).values()), "half a file")
        xhrd.kill()
    may_end.set()
    assert list(files(xhrd))[0].endswith(".body.new")
    xhrd.start()
    with xhrd.client() as client:
        assert get(client, url, headers=asking("only-if-cached")).status == 504
        wait_until(lambda: not files(xhrd), "what is left to go")


@pytest.mark.parametrize("n_files", [1, 7, 20, 33, 60])
def test_a_kill_in_a_crowd_leaves_answers_that_are_whole_or_nothing(xhrd, site, n_files):
    """Thirty answers of every size on their way to the disk at once."""
    bodies = {f"/{n}": bytes([65 + n]) * (n * 9000) for n in range(30)}
    urls = {path: site.page(path, body, FRESH) for path, body in bodies.items()}
    with xhrd.client() as client:
        for url in urls.values():
            client.open(url, cache=True)
        wait_until(lambda: client.drain() or len(files(xhrd)) >= n_files, "files")
        xhrd.kill()
    xhrd.start()
    found = 0
    with xhrd.client() as client:
        for path, url in urls.items():
            stored = get(client, url, headers=asking("only-if-cached"))
            assert stored.status in (200, 504)
            if stored.status == 200:
                assert (stored.head.from_cache, stored.body) == (HIT, bodies[path])
                found += 1
        wait_until(lambda: len(files(xhrd)) == 2 * found, "what is left to go")
        assert len(rows(client)) == found


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut_off(path):
    os.truncate(path, path.stat().st_size - 1)


def inject(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"X-Kind", b"Cookie", 1))


def make_link(path):
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def make_hard_link(path):
    os.link(path, path.with_name("elsewhere"))


LIES = {
    "meta flipped": ("meta", lambda path: flip(path, 100)),
    "meta cut off": ("meta", cut_off),
    "meta empty": ("meta", lambda path: os.truncate(path, 0)),
    "meta gone": ("meta", os.unlink),
    "header injected": ("meta", inject),
    "meta a symbolic link": ("meta", make_link),
    "body flipped": ("body", lambda path: flip(path, 150_000)),
    "body cut off": ("body", cut_off),
    "body longer": ("body", lambda path: path.write_bytes(path.read_bytes() + b"x")),
    "body gone": ("body", os.unlink),
    "body a symbolic link": ("body", make_link),
    "body a hard link": ("body", make_hard_link),
}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_an_entry_that_lies_is_removed_and_the_server_asked(xhrd, site, lie, restart):
    """Nothing of it is told, whether the daemon has read it before or not."""
    url = site.page("/a", b"0123456789" * 30_000, FRESH, ("X-Kind", "stored"))
    with xhrd.client() as client:
        assert [source(client, url) for _ in range(2)] == [NETWORK, HIT]
    kind, tell_lie = LIES[lie]
    if restart:
        xhrd.stop()
    tell_lie(file_of(xhrd, kind))
    if restart:
        xhrd.start()
    with xhrd.client() as client:
        again = get(client, url)
        assert (again.head.from_cache, again.body) == (NETWORK, b"0123456789" * 30_000)
        assert again.header("X-Kind") == "stored"
        assert source(client, url) == HIT
        wait_until(lambda: len(set(files(xhrd)) - {"elsewhere"}) == 2, "the liar's files to go")


def test_files_are_the_daemons_alone(xhrd, client, site):
    assert source(client, site.page("/a", b"hello\n", FRESH)) == NETWORK
    assert source(client, site.origin.url("/a")) == HIT
    for path in files(xhrd).values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for folder in list(path.parents)[:2]:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("trouble", ["link", "file", "removed"])
def test_a_disk_that_is_not_ours_costs_only_caching(xhrd, site, trouble, folder):
    url = site.page("/a", b"hello\n", FRESH)
    cache = pathlib.Path(xhrd.state_dir) / "cache"
    cache.parent.mkdir(exist_ok=True)
    (folder / "elsewhere").mkdir()
    if trouble == "link":
        cache.symlink_to(folder / "elsewhere")
    elif trouble == "file":
        cache.write_text("in the way")
    with xhrd.client() as client:
        if trouble == "removed":
            assert source(client, url) == NETWORK
            assert source(client, url) == HIT
            for path in files(xhrd).values():
                path.unlink()
            (cache / "default").rmdir()
            assert source(client, url) == NETWORK
            assert source(client, url) == HIT
        else:
            assert [source(client, url) for _ in range(3)] == [NETWORK] * 3
            assert not list((folder / "elsewhere").iterdir())


@pytest.mark.xhrd(config="[Cache]\nSizeMax=300K\nAnswerSizeMax=150K\n")
def test_the_longest_unused_goes_when_there_is_no_room(xhrd, client, site):
    a, b, c = (site.page(f"/{name}", b"x" * 100_000, FRESH) for name in "abc")
    assert [source(client, url) for url in (a, b, b, a)] == [NETWORK, NETWORK, HIT, HIT]
    assert source(client, c) == NETWORK  # b goes
    assert [source(client, url) for url in (a, c)] == [HIT, HIT]
    assert source(client, b, headers=asking("only-if-cached")) == NETWORK
    assert len(rows(client)) == 2
    wait_until(lambda: len(files(xhrd)) == 4, "the files to go")
    for size in (150 * 1024 + 1, 400_000):
        long = site.page("/long", b"x" * size, FRESH)
        assert [source(client, long) for _ in range(2)] == [NETWORK, NETWORK]
    chunked = response(b"", fields=[FRESH, ("Transfer-Encoding", "chunked")], length=False)
    site.origin.reply(chunked + b"30d40\r\n" + b"x" * 200_000 + b"\r\n0\r\n\r\n")
    assert [source(client, site.origin.url("/chunked")) for _ in range(2)] == [NETWORK] * 2
    wait_until(lambda: len(files(xhrd)) == 4, "what was begun to go")


def test_the_use_counts_over_a_restart_too(make_xhrd, origin_raw):
    site = Site(origin_raw)
    xhrd = make_xhrd(config="[Cache]\nSizeMax=300K\n")
    a, b, c = (site.page(f"/{name}", b"x" * 100_000, FRESH) for name in "abc")
    with xhrd.client() as client:
        assert [source(client, url) for url in (a, b)] == [NETWORK, NETWORK]
        assert source(client, b) == HIT
    xhrd.stop()
    for path in files(xhrd).values():  # what was used in one second has no order
        if path.suffix == ".meta" and b"/a" in path.read_bytes():
            os.utime(path, (1, 1))
    xhrd.start()
    with xhrd.client() as client:
        assert source(client, c) == NETWORK  # a goes
        assert [source(client, url) for url in (b, c)] == [HIT, HIT]
        assert get(client, a, headers=asking("only-if-cached")).status == 504


def test_no_cache_for_uids_that_are_nobodys_for_long(make_xhrd, origin_raw, folder):
    if os.getuid() != 0:
        pytest.skip("wants to be another user")
    site = Site(origin_raw)
    xhrd = make_xhrd("--system")
    folder.chmod(0o755)
    url = site.page("/a", b"hello\n", FRESH)

    def sources_of(uid):
        read, write = os.pipe()
        if os.fork() == 0:
            os.setresuid(uid, uid, uid)
            with xhrd.client() as client:
                told = [source(client, url) for _ in range(2)]
            os.write(write, repr(told).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            told = pipe.read()
        os.wait()
        return told

    os.chmod(xhrd.socket_path, 0o777)
    assert sources_of(1001) == repr([NETWORK, HIT])
    assert sources_of(1002) == repr([NETWORK, HIT])
    assert sources_of(65534) == repr([NETWORK, NETWORK])
    assert sources_of(61184) == repr([NETWORK, NETWORK])
    owners = {path.parents[2].name for path in files(xhrd).values()}
    assert owners == {"1001", "1002"}


# -- through the programs and the library

def test_xhr_and_xhrctl(xhr, xhrctl, site):
    url = site.page("/a", b"hello\n", FRESH)
    other = site.page("/b?c", b"hello\n", FRESH)
    form = "%{http_code} %{from_cache} %{age} %{size_download}\n"
    assert xhr("-s", "-o", "/dev/null", "-w", form, "--cache", url, check=0).out == "200  0 6\n"
    assert xhr("-s", "-o", "/dev/null", "-w", form, "--cache", url,
               check=0).out.startswith("200 hit ")
    told = xhr("-v", "--cache", url, check=0)
    assert told.out == "hello\n"
    assert "* From the cache (hit)" in told.err and "> GET" not in told.err
    event = xhr("--events", "--cache", url, check=0).err
    assert '"from_cache":"hit"' in event and '"connection":null' in event
    assert '"from_cache":null' in xhr("--events", "--cache", other, check=0).err
    assert xhr("-s", url, check=0).out == "hello\n"
    assert site.asked() == 3
    table = xhrctl("cache", "show", check=0).out
    assert url in table and other in table
    listed = xhrctl("--json", "cache", "show", other, check=0).out
    assert '"status":200' in listed and '"fresh":true' in listed and url not in listed
    assert xhrctl("cache", "clear", other, check=0).out == "1 answer removed\n"
    assert xhrctl("--json", "cache", "clear", "nowhere.example", check=0).out == '{"removed":0}\n'
    assert xhrctl("cache", "clear", f"127.0.0.1:{site.origin.port}",
                  check=0).out == "1 answer removed\n"
    assert xhrctl("cache", "show", check=0).out == "no stored answers\n"
    wrong = xhrctl("cache", "clear", "http://[")
    assert wrong.status != 0 and "host:port or a URL" in wrong.err


def test_libxhr_asks_for_it_by_request_or_by_client(xhrd, site):
    mode = libxhr.constants("xhr_cache_mode")
    url = site.page("/a", b"hello\n", FRESH)

    def sources(client_mode, *request_modes):
        client = libxhr.Client(xhrd.socket_path, cache=mode[client_mode])
        found = []
        for name in request_modes:
            request = client.request()
            assert request.options(cache=mode[name]) == 0
            assert request.open(url) == 0 and request.send() == 0
            request.finish()
            assert (request.status, request.response) == (200, b"hello\n")
            found.append(request.library.xhr_request_from_cache(request.handle))
            request.free()
        client.close()
        return found

    no, hit = (libxhr.constants("xhr_from_cache")[f"XHR_FROM_CACHE_{name}"] for name in
               ("NO", "HIT"))
    assert sources("XHR_CACHE_DEFAULT", "XHR_CACHE_DEFAULT", "XHR_CACHE_ON", "XHR_CACHE_ON",
                   "XHR_CACHE_DEFAULT") == [no, no, hit, no]
    assert sources("XHR_CACHE_ON", "XHR_CACHE_DEFAULT", "XHR_CACHE_OFF") == [hit, no]
    client = libxhr.Client(xhrd.socket_path)
    request = client.request()
    assert request.options(cache=7) < 0
    request.free()
    client.close()


def test_a_hit_tells_the_same_story_as_an_answer(xhrd, site):
    client = libxhr.Client(xhrd.socket_path)
    told = []
    url = site.page("/a", b"hello\n", FRESH)
    for _ in range(2):
        request = client.request()
        assert request.options(cache=libxhr.constants("xhr_cache_mode")["XHR_CACHE_ON"]) == 0
        assert request.open(url) == 0 and request.send() == 0
        told.append(request.finish().story())
        request.free()
    client.close()
    assert told[0] == told[1] == "1 2 headers 3 down 4 load"


def test_answers_over_http_2_are_stored_as_well(client, origin_h2, ca):
    url = origin_h2.url("/hello")
    first = get(client, url, ca=ca.pem)
    assert (first.head.http_version, first.head.from_cache) == (20, NETWORK)
    again = get(client, url, ca=ca.pem)
    assert (again.head.http_version, again.head.from_cache, again.body) == (20, HIT, b"hello\n")
    asked = get(client, url, ca=ca.pem, headers=asking("no-cache"))
    assert (asked.head.from_cache, asked.body) == (REVALIDATED, b"hello\n")


def test_a_reload_that_takes_the_room_takes_the_answers(xhrd, client, site):
    url = site.page("/a", b"hello\n", FRESH)
    assert [source(client, url) for _ in range(2)] == [NETWORK, HIT]
    xhrd.config_path.write_text("[Cache]\nSizeMax=0\n")
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: not files(xhrd), "the files to go")
    assert [source(client, url) for _ in range(2)] == [NETWORK, NETWORK]


def test_nginx_and_its_validators(client, origin_nginx):
    origin_nginx.write("cached.txt", b"as nginx has it\n" * 100)
    url = origin_nginx.plain_url("/cached.txt")
    first = get(client, url)
    assert first.head.from_cache == NETWORK and first.head.content_coding == b"gzip"
    again = get(client, url, headers=asking("no-cache"))
    assert again.head.from_cache == REVALIDATED
    assert again.body == first.body == b"as nginx has it\n" * 100
    origin_nginx.write("cached.txt", b"something else\n" * 50)
    changed = get(client, url, headers=asking("no-cache"))
    assert (changed.head.from_cache, changed.body) == (NETWORK, b"something else\n" * 50)
