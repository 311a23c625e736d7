# SPDX-License-Identifier: MIT
"""The life of a request as a program sees it through libxhr: every order of events there is, held
in one table each, blocking and not; re-use, and what is used wrongly. `Request.story()` is what
was told, without waits, repeats told once."""
import contextlib
import errno
import socket
import threading

import pytest
from libxhr import PATH, Client, constants
from origins import response
from programs import BUILD, SANITIZED
from stages import FullBacklog, deaf, half_a_body, half_a_head, mute, silent
from waiting import wait_until

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(not PATH.exists(), reason="no library that python can load")]

T_MS = 300
HELD_NAMES = BUILD / "tests/libpreload.so"
EMPTY = response(b"")
ANSWER = response(b"hello\n")
both = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])


@pytest.fixture
def names(make_xhrd, folder):
    """A daemon whose name server does not answer for held.test until the file is gone."""
    held = folder / "held"
    held.touch()
    env = {"LD_PRELOAD": str(HELD_NAMES), "HELD_NAMES": str(held)}
    if SANITIZED:
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
    daemon = make_xhrd(env=env)
    daemon.held = held
    yield daemon
    held.unlink(missing_ok=True)


@pytest.fixture
def library(xhrd):
    client = Client(xhrd.socket_path)
    yield client
    client.close()


@pytest.fixture
def request_(library):
    made = library.request()
    yield made
    made.check()
    made.free()


def run(request, is_async, body=None):
    """Send it and see its end. Return: what send returned."""
    result = request.send(body)
    if is_async:
        assert result == 0
        request.finish()
    request.check()
    assert request.state == 4 and request.client.in_flight() == 0
    return result


# ---- orders, to the end ------------------------------------------------------------------------

ENDS = {
    # what: (method, body, answer, story, result of a blocking send)
    "GET": ("GET", None, ANSWER, "1 2 headers 3 down 4 load", 0),
    "HEAD": ("HEAD", None, response(b"hello\n")[:-6], "1 2 headers 4 load", 0),
    "empty body": ("GET", None, EMPTY, "1 2 headers 4 load", 0),
    "204": ("GET", None, b"HTTP/1.1 204 No Content\r\n\r\n", "1 2 headers 4 load", 0),
    "POST": ("POST", b"a=1", ANSWER, "1 up 2 headers 3 down 4 load", 0),
    "POST, empty": ("POST", b"", ANSWER, "1 2 headers 3 down 4 load", 0),
    "POST, empty body back": ("POST", b"a=1", EMPTY, "1 up 2 headers 4 load", 0),
    "DELETE with a body": ("DELETE", b"a=1", EMPTY, "1 up 2 headers 4 load", 0),
    "404": ("GET", None, response(b"no\n", status="404 Not Found"),
            "1 2 headers 3 down 4 error:http-status", -errno.EREMOTEIO),
    "500, empty": ("GET", None, response(b"", status="500 Oops"),
                   "1 2 headers 4 error:http-status", -errno.EREMOTEIO),
    "chunked": ("GET", None, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n0\r\n\r\n", "1 2 headers 3 down 4 load", 0),
    "body cut": ("GET", None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
                 "1 2 headers 3 down 4 error:truncated", None),
    "no answer": ("GET", None, b"", "1 4 error:empty-reply", None),
    "no HTTP": ("GET", None, b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "1 4 error:protocol", None),
    "100 and 103 first": ("GET", None, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ANSWER,
                          "1 2 headers 3 down 4 load", 0),
}


@both
@pytest.mark.parametrize("what", ENDS)
def test_events_come_in_order(request_, origin_raw, what, is_async):
    method, body, answer, story, result = ENDS[what]

    def script(connection):
        connection.request()
        connection.send(answer)
        if "error" not in story:
            connection.wait_gone()

    origin_raw.script = script
    assert request_.open(origin_raw.url(), method, is_async) == 0
    sent = run(request_, is_async, None if body is None else request_.body("BYTES", body))
    # A progress event of a body that came at once may be the only one, but there is one.
    assert request_.story() == story
    if not is_async:
        assert sent == result if result is not None else sent < 0
    assert (request_.error is None) == ("error" not in story)


@both
def test_http_errors_are_loads_where_the_program_says_so(request_, origin_raw, is_async):
    origin_raw.reply(response(b"no\n", status="404 Not Found"))
    assert request_.options(http_errors_as_load=True) == 0
    assert request_.open(origin_raw.url(), is_async=is_async) == 0
    assert run(request_, is_async) == 0
    assert request_.story() == "1 2 headers 3 down 4 load"
    assert request_.status == 404 and request_.response == b"no\n"


@both
def test_connect_failure_is_readystate_4_and_one_error(request_, is_async):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: refused
        assert request_.open(f"http://127.0.0.1:{taken.getsockname()[1]}/", is_async=is_async) == 0
        result = run(request_, is_async)
    assert request_.story() == "1 4 error:connect"
    assert is_async or result == -errno.ECONNREFUSED
    assert request_.status == 0 and request_.response == b""


@both
def test_tls_failure_is_readystate_4_and_one_error(request_, origin_tls, is_async):
    assert request_.open(origin_tls.url(host="localhost"), is_async=is_async) == 0
    result = run(request_, is_async)
    assert request_.story() == "1 4 error:tls-verify"
    assert is_async or result < 0
    assert not origin_tls.requests, "not a byte of the request went out"


@both
def test_name_that_is_none_is_readystate_4_and_one_error(request_, is_async):
    assert request_.open("http://nowhere.invalid/", is_async=is_async) == 0
    result = run(request_, is_async)
    assert is_async or result < 0
    assert request_.story() == "1 4 error:dns"


REDIRECTS = {
    "off": (dict(no_redirect=True), "1 2 headers 3 down 4 load", 302, "/there"),
    "on": ({}, "1 redirect:302 2 headers 3 down 4 load", 200, None),
    "on, vetoed": ({}, "1 redirect:302 4 error:redirect", 0, None),
}


@both
@pytest.mark.parametrize("how", REDIRECTS)
def test_a_3xx_is_delivered_or_followed_or_vetoed(request_, origin_raw, how, is_async):
    options, story, status, location = REDIRECTS[how]
    found = response(b"over there\n", status="302 Found", fields=[("Location", "/there")])
    origin_raw.answer = lambda request: ANSWER if request.target == "/there" else found
    request_.follows = "vetoed" not in how
    assert request_.options(**options) == 0
    assert request_.open(origin_raw.url("/here"), is_async=is_async) == 0
    run(request_, is_async)
    assert request_.story() == story
    assert request_.status == status
    assert request_.response_header("location") == location
    if how == "on":
        assert request_.location == origin_raw.url("/there")


# ---- held in every phase -----------------------------------------------------------------------

PHASES = ("dns", "connect", "tls", "queue", "send", "wait", "head", "body")

# What was told by then.
TOLD = {"send": "1 up", "body": "1 2 headers 3 down"}


class Stage:
    """A request that is sent and held in a phase. @waits is the last word of it."""

    def __init__(self, phase, request, origin, is_async=True, **options):
        self.phase, self.request, self.origin = phase, request, origin
        self.backlog, self.others, self.body = None, [], None
        self.n_before = len(origin.requests)
        scripts = {"tls": mute, "send": deaf, "wait": silent, "head": half_a_head,
                   "body": half_a_body, "queue": silent}
        origin.script = scripts.get(phase, mute)
        url, method = origin.url("/held"), "GET"
        if phase == "connect":
            self.backlog = FullBacklog()
            url = f"http://127.0.0.1:{self.backlog.port}/"
        elif phase == "dns":
            url = f"http://held.test:{origin.port}/"
        elif phase == "tls":
            url = url.replace("http:", "https:")
            self._read_trust_store(request.client, url)
        elif phase == "send":
            method = "PUT"
            self.body = request.body("STREAM", read=lambda size: bytes(size), length=1 << 40)
        elif phase == "queue":
            self._fill(request.client)
        if options:
            assert request.options(**options) == 0
        assert request.open(url, method, is_async) == 0
        if phase == "send":
            assert request.set_header("Expect", None) == 0

    @staticmethod
    def _read_trust_store(client, url):
        """Which may take longer than a test's time, and TLS does not begin before."""
        first = client.request()
        assert first.open(url) == 0 and first.send() == 0
        client.pump_until(lambda: "wait:tls" in first.words)
        first.free()

    def _fill(self, client):
        for n in range(6):
            other = client.request()
            assert other.open(self.origin.url(f"/{n}")) == 0 and other.send() == 0
            self.others.append(other)
        client.pump_until(lambda: len(self.origin.requests) == self.n_before + 6)

    def send(self):
        return self.request.send(self.body)

    def is_there(self):
        """Seen from outside, or by what the request was told."""
        if self.phase == "send":
            return "up" in self.request.words
        if self.phase == "body":
            return "down" in self.request.words
        if self.phase in ("wait", "head"):
            return len(self.origin.requests) > self.n_before
        word = {"queue": "wait:queued", "dns": "wait:dns", "connect": "wait:connect",
                "tls": "wait:tls"}[self.phase]
        return word in self.request.words

    def reach(self):
        assert self.send() == 0
        self.request.client.pump_until(lambda: self.is_there() or self.request.ended)

    def leave(self):
        for other in self.others:
            other.free()
        if self.backlog:
            self.backlog.stop()


@contextlib.contextmanager
def staged(phase, daemon, origin, is_async=True, **options):
    client = Client(daemon.socket_path)
    request = client.request()
    stage = Stage(phase, request, origin, is_async, **options)
    try:
        yield stage
    finally:
        stage.leave()
        request.check()
        request.free()
        client.close()


@pytest.mark.parametrize("phase", PHASES)
def test_abort_in_each_phase_is_done_then_one_onabort(names, origin_raw, phase):
    with staged(phase, names, origin_raw) as stage:
        stage.reach()
        request = stage.request
        before = request.story()
        assert before == TOLD.get(phase, "1")
        assert request.abort() == 0
        assert request.story() == before + " 4 abort"
        assert request.abort() == 0, "idempotent"
        for other in stage.others:
            other.abort()
        request.client.run()
        assert request.story() == before + " 4 abort", "later events never arrive"
        assert request.state == 0, "abort() after DONE goes back to UNSENT, as XMLHttpRequest's"


@pytest.mark.parametrize("phase", PHASES)
def test_abort_ends_a_blocking_send_in_each_phase(names, origin_raw, phase):
    """Whoever blocks is aborted by a callback: its own, or one of another request's."""
    with staged(phase, names, origin_raw, is_async=False) as stage:
        request = stage.request
        others = []

        def ask_again():
            """A callback some time later, as long as the phase is not there."""
            other = request.client.request()
            others.append(other)
            other.then = lambda word: word == "4" and (request.abort() if stage.is_there()
                                                       else ask_again())
            assert other.open("http://127.0.0.1:1/") == 0 and other.send() == 0

        ask_again()
        assert stage.send() == -errno.ECANCELED
        assert request.story() == TOLD.get(phase, "1") + " 4 abort"
        for other in others:
            other.check()
            other.free()


TIMEOUTS = [
    # phase, option, error
    *((phase, "timeout_for_resource_ms", "timeout-total") for phase in PHASES),
    *((phase, "timeout_connect_ms", "timeout-connect") for phase in ("dns", "connect", "tls")),
    *((phase, "timeout_idle_ms", "timeout-idle") for phase in ("send", "wait", "head", "body")),
    *((phase, "timeout_ms", "timeout-connect") for phase in ("dns", "connect", "tls")),
    *((phase, "timeout_ms", "timeout-idle") for phase in ("send", "wait", "head", "body")),
]


@both
@pytest.mark.parametrize("phase, option, error", TIMEOUTS)
def test_each_timeout_in_each_phase_is_one_error(names, origin_raw, phase, option, error, is_async):
    for time_ms in (T_MS, 4 * T_MS, 16 * T_MS, 64 * T_MS):  # longer where the machine is slower
        with staged(phase, names, origin_raw, is_async, **{option: time_ms}) as stage:
            request = stage.request
            result = stage.send()
            if is_async:
                assert result == 0
                request.finish()
            else:
                assert result == -errno.ETIMEDOUT
            assert request.error.code == -1001
            if not stage.is_there():
                continue  # its time was up on the way
            assert request.story() == f"{TOLD.get(phase, '1')} 4 error:{error}"
            named = request.library.xhr_phase_name(request.error.phase).decode()
            assert named == {"queue": "queued"}.get(phase, phase)
            return
    raise AssertionError(f"no request came to {phase}")


# ---- waits -------------------------------------------------------------------------------------

def test_waits_are_told_with_their_reason_in_order(names, origin_raw):
    with staged("dns", names, origin_raw) as stage:
        stage.reach()
        stage.origin.script = stage.origin.answer_all
        names.held.unlink()
        stage.request.finish()
        waits = [word for word in stage.request.words if word.startswith("wait:")]
        assert waits == ["wait:dns", "wait:connect"]
        times = [more if isinstance(more, int) else more[0] for word, more in stage.request.events
                 if word.startswith("wait:") or word in "1234"]
        assert times == sorted(times), "the clock is the kernel's monotonic one"


# ---- re-use ------------------------------------------------------------------------------------

@both
@pytest.mark.parametrize("first", ["load", "404", "connect failure", "abort", "timeout"])
def test_re_use_after_done_resets_all_but_options_and_callbacks(request_, origin_raw, first,
                                                                is_async):
    hold = threading.Event()
    origin_raw.answer = lambda request: {
        "404": response(b"no\n", status="404 Not Found", fields=[("X-Old", "1")])
    }.get(first, response(b"old\n", fields=[("X-Old", "1")]))
    if first in ("abort", "timeout"):
        origin_raw.script = silent
    assert request_.options(timeout_for_resource_ms=T_MS if first == "timeout" else 0,
                            http_errors_as_load=False) == 0
    url = "http://127.0.0.1:1/" if first == "connect failure" else origin_raw.url("/first")
    assert request_.open(url, is_async=True) == 0
    assert request_.set_header("X-Mine", "first") == 0
    assert request_.send() == 0
    if first == "abort":
        wait_until(lambda: origin_raw.requests, "the request")
        request_.abort()
    request_.finish()

    request_.forget()
    hold.set()
    origin_raw.script = origin_raw.answer_all
    origin_raw.answer = lambda request: response(b"new\n")
    assert request_.open(origin_raw.url("/second"), is_async=is_async) == 0
    assert request_.story() == "1"
    assert (request_.status, request_.response, request_.error) == (0, b"", None)
    assert request_.response_header("x-old") is None
    assert run(request_, is_async) == 0
    assert request_.story() == "1 2 headers 3 down 4 load"
    assert request_.response == b"new\n"
    assert origin_raw.requests[-1].get("X-Mine") is None, "the first request's header is gone"


def test_re_use_from_inside_its_own_onload(request_, origin_raw):
    def again(word):
        if word == "load" and request_.words.count("load") < 3:
            assert request_.open(origin_raw.url(f"/{len(request_.words)}")) == 0
            assert request_.send() == 0

    request_.then = again
    assert request_.open(origin_raw.url()) == 0
    assert request_.send() == 0
    request_.client.run()
    request_.check()
    one = "1 2 headers 3 down 4 load"
    assert request_.story() == " ".join([one] * 3)


# ---- wrong uses --------------------------------------------------------------------------------

def test_send_before_open_is_einval_and_nothing_is_told(request_):
    assert request_.send() == -errno.EINVAL
    assert request_.words == [] and request_.state == 0


def test_header_before_open_or_after_send_is_einval(request_, origin_raw):
    assert request_.set_header("X-A", "1") == -errno.EINVAL
    assert request_.open(origin_raw.url()) == 0
    assert request_.set_header("X-A", "2") == 0
    assert request_.send() == 0
    assert request_.set_header("X-A", "3") == -errno.EINVAL
    request_.finish()
    assert request_.set_header("X-A", "4") == -errno.EINVAL, "DONE is not OPENED"
    assert origin_raw.requests[0].get("X-A") == "2"


def test_open_and_send_and_options_while_busy_are_ebusy_and_change_nothing(request_, origin_raw):
    origin_raw.script = half_a_body
    assert request_.open(origin_raw.url("/busy")) == 0
    assert request_.send() == 0
    for _ in range(2):  # in OPENED, and in LOADING
        words = list(request_.words)
        assert request_.open(origin_raw.url("/other")) == -errno.EBUSY
        assert request_.send() == -errno.EBUSY
        assert request_.options(no_redirect=True) == -errno.EBUSY
        assert request_.words == words
        request_.client.wait_until(lambda: "down" in request_.words)
    assert request_.state == 3 and request_.status == 200
    request_.abort()
    assert [r.target for r in origin_raw.requests] == ["/busy"]


def test_send_again_after_done_without_open_is_einval(request_, origin_raw):
    assert request_.open(origin_raw.url()) == 0
    assert request_.send() == 0
    request_.finish()
    words = list(request_.words)
    assert request_.send() == -errno.EINVAL
    assert request_.words == words


def test_open_again_before_send_replaces_and_is_not_told_twice(request_, origin_raw):
    assert request_.open(origin_raw.url("/a")) == 0
    assert request_.set_header("X-A", "1") == 0
    assert request_.open(origin_raw.url("/b"), "POST") == 0
    assert request_.send() == 0
    request_.finish()
    sent, = origin_raw.requests
    assert (sent.method, sent.target, sent.get("X-A")) == ("POST", "/b", None)
    assert request_.story() == "1 2 headers 3 down 4 load"


def test_abort_before_send_only_goes_back_to_unsent(request_, origin_raw):
    assert request_.abort() == 0 and request_.words == []
    assert request_.open(origin_raw.url()) == 0
    assert request_.abort() == 0
    assert request_.words == ["1"] and request_.state == 0
    assert request_.send() == -errno.EINVAL


def test_blocking_send_inside_a_callback_is_edeadlk(request_, origin_raw):
    other = request_.client.request()
    results = []
    request_.then = lambda word: word == "load" and results.append(other.send())
    assert other.open(origin_raw.url(), is_async=False) == 0
    assert request_.open(origin_raw.url()) == 0 and request_.send() == 0
    request_.finish()
    assert results == [-errno.EDEADLK]
    other.free()


@both
@pytest.mark.parametrize("announced, given, text", [
    (10, 5, "ended before the length that was announced"),
    (10, 0, "ended before the length that was announced"),
    (10, 11, "is longer than was announced"),
    (0, 1, "is longer than was announced")])
def test_total_that_is_not_what_was_sent_is_an_error(request_, origin_raw, announced, given, text,
                                                     is_async):
    pieces = [bytes(given)] if given else []

    def read(size):
        return pieces.pop() if pieces else b""

    assert request_.open(origin_raw.url(), "POST", is_async) == 0
    result = run(request_, is_async, request_.body("STREAM", read=read, length=announced))
    assert request_.words[-2:] == ["4", "error:body-read"]
    assert text in request_.error.text.decode()
    assert is_async or result < 0
    assert all(len(r.body) <= announced for r in origin_raw.requests)


def test_error_classes_have_titaniums_numbers(request_, origin_raw):
    origin_raw.reply(response(b"", status="418 Teapot"))
    assert request_.open(origin_raw.url()) == 0 and request_.send() == 0
    request_.finish()
    assert request_.error.code == 418
    assert request_.error.kind == constants("xhr_error_class")["XHR_ERROR_HTTP_STATUS"]
