# SPDX-License-Identifier: MIT
"""--retry end to end: what is asked again, what is written, what is said."""
import json
import signal
import socket

import pytest
from origins import response
from waiting import wait_until

pytestmark = pytest.mark.shallow
SOON = ("--retry-delay", "0.01")
BUSY = response(b"busy", status="503 Busy")


def test_answer_that_passes_is_asked_again_and_the_last_one_alone_is_written(xhr, origin_raw):
    origin_raw.replies(BUSY, BUSY, response(b"at last"))
    run = xhr("-i", "--retry", "3", *SOON, "-w", "%{num_retries}", origin_raw.url(), check=0)
    assert run.out.startswith("HTTP/1.1 200 OK") and run.out.endswith("\r\n\r\nat last2")
    assert "busy" not in run.out and "503 Busy" not in run.out
    lines = run.err.strip().split("\n")
    assert len(lines) == 2 and all("503; trying again" in line for line in lines), run.err
    assert len(origin_raw.requests) == 3 and len(origin_raw.connections) == 1


def test_last_answer_is_written_whatever_it_is(xhr, origin_raw):
    origin_raw.reply(BUSY)
    assert xhr("-s", "--retry", "2", *SOON, origin_raw.url(), check=0).out == "busy"
    assert len(origin_raw.requests) == 3
    assert xhr("-s", "-f", "--retry", "1", *SOON, origin_raw.url(), check=22).out == ""
    assert len(origin_raw.requests) == 5


def test_status_that_does_not_pass_is_asked_once(xhr, origin_raw):
    origin_raw.reply(response(b"no", status="404 No"))
    assert xhr("-s", "--retry", "3", *SOON, origin_raw.url(), check=0).out == "no"
    xhr("-s", "-f", "--retry", "3", *SOON, origin_raw.url(), check=22)
    assert len(origin_raw.requests) == 2
    xhr("-s", "-f", "--retry", "3", *SOON, "--retry-all-errors", origin_raw.url(), check=22)
    assert len(origin_raw.requests) == 6


def test_refused_connection_is_tried_again_when_asked_for(xhr, xhrd):
    with socket.socket() as bound:  # nobody listens, and nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert "again" not in xhr("--retry", "2", *SOON, url, check=7).err
        run = xhr("--retry", "2", *SOON, "--retry-connrefused", url, check=7)
    assert run.err.count("trying again") == 2


def test_data_is_sent_again(xhr, origin_raw, folder):
    (folder / "data").write_bytes(b"from a file")
    for arguments, given, sent in ((["-d", "text"], None, b"text"),
                                   (["--data-binary", "@data"], None, b"from a file"),
                                   (["--data-binary", "@-"], b"from a pipe", b"from a pipe"),
                                   (["-T", "data"], None, b"from a file")):
        origin_raw.replies(BUSY, response(b"ok"))
        xhr("-s", "--retry", "1", *SOON, *arguments, origin_raw.url("/x"), input=given, check=0)
        assert [r.body for r in origin_raw.requests[-2:]] == [sent, sent]


def test_pipe_that_was_read_is_not_sent_again(xhr, origin_raw):
    origin_raw.replies(BUSY, response(b"ok"))
    assert xhr("-s", "--retry", "1", *SOON, "-T", "-", origin_raw.url("/x"), input=b"once",
               check=0).out == "busy"
    assert len(origin_raw.requests) == 1


def half_then_whole(connection):
    connection.request()
    if connection.number == 0:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    else:
        connection.send(response(b"whole body"))


def test_half_a_body_in_a_file_is_taken_back_and_on_stdout_it_is_the_end(xhr, origin_raw, folder):
    origin_raw.script = half_then_whole
    flags = ("-s", "--retry", "2", *SOON, "--retry-all-errors")
    xhr(*flags, "-o", "file", origin_raw.url(), check=0)
    assert (folder / "file").read_bytes() == b"whole body"
    origin_raw.script = lambda c: (c.request(), c.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
    before = len(origin_raw.requests)
    assert xhr(*flags, origin_raw.url(), check=18).out == "half"
    assert len(origin_raw.requests) == before + 1


def test_retry_max_time_ends_it(xhr, origin_raw):
    origin_raw.reply(BUSY)
    xhr("-s", "--retry", "5", "--retry-max-time", "1", "--retry-delay", "2", origin_raw.url(), check=0)
    assert len(origin_raw.requests) == 1


def test_ex13_retry_after_beyond_the_cap_is_no_reason_to_wait(xhr, origin_raw):
    origin_raw.reply(response(b"busy", status="503 Busy", fields=[("Retry-After", "1000000000")]))
    assert xhr("-s", "--retry", "5", origin_raw.url(), check=0).out == "busy"
    assert len(origin_raw.requests) == 1


def test_signal_ends_the_wait(xhr, origin_raw):
    origin_raw.reply(response(b"busy", status="503 Busy", fields=[("Retry-After", "3600")]))
    run = xhr.start("--retry", "5", "--events=log", origin_raw.url())
    log = xhr.folder / "log"
    wait_until(lambda: log.exists() and '"retry"' in log.read_text(), "the wait")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert (run.returncode, out) == (42, b"") and b"interrupted" in err
    assert len(origin_raw.requests) == 1


def test_events_tell_each_try_and_each_ends_once(xhr, origin_raw):
    origin_raw.replies(BUSY, response(b"ok"))
    run = xhr("-s", "--events", "--retry", "1", *SOON, origin_raw.url(), check=0)
    events = [json.loads(line) for line in run.err.splitlines()]
    names = [e["event"] for e in events if e["event"] in ("open", "load", "error", "abort", "retry")]
    assert names == ["open", "load", "retry", "open", "load"]
    assert {e["request"] for e in events} == {1}
    assert [(e["wait_ms"], e["left"]) for e in events if e["event"] == "retry"] == [(10, 0)]
