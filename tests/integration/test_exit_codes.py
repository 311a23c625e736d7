# SPDX-License-Identifier: MIT
"""Every exit code of xhr, provoked for real: one line on standard error says what, and no code is
in the program that nothing leads to."""
import re
import resource
import signal
import socket

import pytest
import wire
from origins import response
from stages import FullBacklog
from waiting import wait_until

pytestmark = pytest.mark.shallow

# Provoked with the features that have them: downloads that go on, certificates of clients, pinned
# keys.
ELSEWHERE = {33, 58, 90, 91}


def after_request(*data, reset=False):
    """A script that reads a request, answers with these bytes, and hangs up."""
    def script(connection):
        connection.request()
        for part in data:
            connection.send(part)
        if reset:
            connection.reset()
    return script


def answers(origin, data):
    origin.reply(data)
    return [origin.url()]


def plays(origin, script):
    origin.script = script
    return [origin.url()]


def over_tls(origin):
    return origin.url().replace("http", "https")


def deaf_server_that_resets(connection):
    """Takes the head and no body; then an RST while the body is on its way."""
    connection.request_head()
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    wait_until(lambda: connection.sock.recv(1, socket.MSG_PEEK), "some of the body")
    connection.reset()


def first_redirects(connection):
    """307 once the pipe has been read: the data is wanted again."""
    connection.request()
    connection.send(response(status="307 Again", fields=[("Location", "/again")]))


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
GZIP = [("Content-Encoding", "gzip")]
MANY_CODINGS = [("Content-Encoding", "gzip, gzip, gzip, gzip, gzip, gzip")]

# (code, name, what to run): a function of the origin that gives arguments.
CASES = [
    (0, "an answer", lambda o: [o.url()]),
    (0, "an error answer", lambda o: answers(o, response(status="500 Oops"))),
    (2, "unknown flag", lambda o: ["--no-such-flag", o.url()]),
    (2, "no URL", lambda o: []),
    (2, "value that is none", lambda o: ["--max-time", "soon", o.url()]),
    (2, "two bodies", lambda o: ["-d", "x", "-F", "a=b", o.url()]),
    (2, "a field of the daemon's", lambda o: ["-H", "Content-Length: 7", o.url()]),
    (3, "bracket left open", lambda o: ["http://[::1/"]),
    (3, "no host", lambda o: ["http:///"]),
    (3, "port beyond the last", lambda o: ["http://127.0.0.1:65536/"]),
    (5, "no such proxy", lambda o: ["-x", "http://no-such-name.invalid:1", o.url()]),
    (6, "no such name", lambda o: ["http://no-such-name.invalid/"]),
    (6, "no address of the family", lambda o: ["-6", "http://127.0.0.1/"]),
    (7, "refused", lambda o: ["http://127.0.0.1:1/"]),
    (8, "not HTTP", lambda o: plays(o, after_request(b"NOT HTTP\r\n\r\n"))),
    (8, "two lengths", lambda o: answers(o, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx")),
    (18, "half a body", lambda o: plays(o, after_request(HALF))),
    (18, "half a chunk", lambda o: plays(o, after_request(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf"))),
    (22, "status with -f", lambda o: ["-f", *answers(o, response(status="404 Not Found"))]),
    (22, "status with --fail-with-body", lambda o: ["--fail-with-body", *answers(o, response(status="503 B"))]),
    (23, "target cannot be written", lambda o: ["-o", "/nonexistent/x", o.url()]),
    (23, "disk is full", lambda o: ["-o", "/dev/full", o.url()]),
    (23, "header cannot be written", lambda o: ["-D", "/dev/full", o.url()]),
    (23, "events cannot be written", lambda o: ["--events=/dev/full", o.url()]),
    (23, "no name to write to", lambda o: ["-O", o.url()]),
    (26, "data cannot be read", lambda o: ["-d", "@/nonexistent/x", o.url()]),
    (26, "upload cannot be read", lambda o: ["-T", "/nonexistent/x", o.url()]),
    (26, "part cannot be read", lambda o: ["-F", "a=@/nonexistent/x", o.url()]),
    (26, "folder for a file", lambda o: ["-T", "/", o.url()]),
    (28, "total", lambda o: ["-m", "0.2", *plays(o, lambda c: (c.request(), c.wait_gone()))]),
    (28, "idle", lambda o: ["--idle-timeout", "0.2", *plays(o, lambda c: (c.request(), c.send(HALF), c.wait_gone()))]),
    (35, "not TLS", lambda o: plays(o, lambda c: c.send(b"plain\r\n")) and [over_tls(o)]),
    (45, "no such device", lambda o: ["--interface", "no-such-dev", o.url()]),
    (47, "redirects without end", lambda o: answers(o, response(status="302 F", fields=[("Location", "/")]))),
    (52, "no answer", lambda o: plays(o, after_request())),
    (55, "reset while sending", lambda o: ["-T", "big", *plays(o, deaf_server_that_resets)]),
    (56, "reset while receiving", lambda o: plays(o, after_request(HALF, reset=True))),
    (61, "not gzip", lambda o: answers(o, response(b"not gzip", fields=GZIP))),
    (63, "header too large", lambda o: answers(o, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n")),
    (63, "too many codings", lambda o: answers(o, response(b"x", fields=MANY_CODINGS))),
    (65, "a pipe twice", lambda o: ["-T", "-", *plays(o, first_redirects)]),
    (77, "no such authority file", lambda o: ["--cacert", "/nonexistent/x", over_tls(o)]),
    (77, "authority file without one", lambda o: ["--cacert", "empty", over_tls(o)]),
    (97, "not SOCKS", lambda o: plays(o, lambda c: c.send(b"HTTP")) and [
        "-x", f"socks5://127.0.0.1:{o.port}", "http://a.example/"]),
    (100, "no daemon", lambda o: ["--socket", "/nonexistent/socket", o.url()]),
    (101, "other scheme", lambda o: ["ftp://127.0.0.1/"]),
    (101, "redirect to another scheme", lambda o: answers(o, response(
        status="302 F", fields=[("Location", "ftp://127.0.0.1/")]))),
]

# Those that take more than arguments have a test of their own below.
OF_THEIR_OWN = {7, 27, 28, 42, 60, 100, 102}


def one_line(run):
    """The error is one line, with the code that the exit status is."""
    lines = run.err.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith(f"xhr: ({run.status}) "), run
    return lines[0]


@pytest.mark.parametrize("code, name, arguments", [
    pytest.param(*case, id=f"{case[0]}, {case[1]}") for case in CASES])
def test_exit_code_and_the_line_that_says_why(xhr, origin_raw, folder, code, name, arguments):
    (folder / "empty").touch()
    with open(folder / "big", "wb") as big:
        big.truncate(64 << 20)
    run = xhr(*arguments(origin_raw), input=b"from a pipe")
    # a reset is met while sending or while looking for an answer, whichever the kernel tells first
    assert run.status == code or (code == 55 and run.status == 56), run
    if code:
        one_line(run)


def test_no_code_is_left_out_of_this_table():
    header = (wire.SOURCE / "client-lib/xhr/trouble.h").read_text()
    codes = {int(number) for number in re.findall(r"^    EXIT_\w+ = (\d+),", header, re.M)}
    assert codes - {code for code, *_ in CASES} - OF_THEIR_OWN <= ELSEWHERE


def test_exit_28_when_no_connection_comes_in_time(xhr):
    backlog = FullBacklog()
    try:
        one_line(xhr("--connect-timeout", "0.3", f"http://127.0.0.1:{backlog.port}/", check=28))
    finally:
        backlog.stop()


def test_exit_60_for_a_certificate_of_nobody_or_for_another_name(xhr, make_tls_origin, ca):
    tls = make_tls_origin("other.example")
    one_line(xhr(tls.url(), check=60))
    assert "other.example" in one_line(xhr("--cacert", ca.pem, tls.url(), check=60))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_exit_42_after_a_signal(xhr, origin_raw, number):
    origin_raw.script = lambda c: (c.request(), c.wait_gone())
    # Whoever runs the tests may have had it ignored (nohup), which programs inherit and respect.
    run = xhr.start(origin_raw.url(), preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    wait_until(lambda: origin_raw.requests, "the request")
    run.send_signal(number)
    _, err = run.communicate(timeout=20)
    assert run.returncode == 42 and err.startswith(b"xhr: (42) ")


def test_exit_27_when_the_daemon_has_no_descriptor_left(xhr, xhrd, origin_raw):
    xhr(origin_raw.url(), check=0)
    before = resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE)
    in_use = len(list(xhrd.fds()))
    resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE, (in_use + 1, before[1]))  # one: the client's
    try:
        run = xhr("http://127.0.0.1:1/")
    finally:
        resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE, before)
    assert run.status == 27, run
    one_line(run)


def test_exit_100_when_the_daemon_goes_away_in_the_middle(xhr, xhrd, origin_raw):
    origin_raw.script = lambda c: (c.request(), c.wait_gone())
    run = xhr.start(origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the request")
    xhrd.kill()
    _, err = run.communicate(timeout=20)
    xhrd.start()
    assert run.returncode == 100 and err.startswith(b"xhr: (100) "), err


@pytest.mark.xhrd(config="[Limits]\nRequestsPerUser=1\n")
def test_exit_102_over_the_quota(xhr, client, origin_raw):
    origin_raw.script = lambda c: (c.request(), c.wait_gone())
    held = client.open(origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the request")
    assert "quota" in one_line(xhr(origin_raw.url(), check=102))
    client.abort(held)
    client.finish(held)
