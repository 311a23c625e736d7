# SPDX-License-Identifier: MIT
"""-F and -T end to end: an origin that reads multipart strictly gets what curl would have sent."""
import email.parser
import email.policy
import os
import pathlib
import re
import subprocess

import pytest
from origins import response
from programs import SANITIZED
from waiting import wait_until

pytestmark = pytest.mark.shallow

BOUNDARY = re.compile(r"multipart/form-data; boundary=(-+\w+)")


def parts_of(request):
    """Names, filenames, types and bytes; the body is nothing but delimiters and parts."""
    content_type = request.get("Content-Type")
    boundary = BOUNDARY.fullmatch(content_type).group(1).encode()
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    pieces = request.body.split(b"--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n" and not message.defects
    parts = []
    for part, piece in zip(message.iter_parts(), pieces[1:-1], strict=True):
        assert not part.defects and part.get_content_disposition() == "form-data"
        header, payload = piece[2:-2].split(b"\r\n\r\n", 1)
        assert piece.startswith(b"\r\n") and piece.endswith(b"\r\n")
        assert part.get_payload(decode=True) == payload
        disposition = header.split(b"\r\n")[0]
        parts.append((disposition, part["Content-Type"], payload))
    return parts


def run_curl(*arguments, feed=None, cwd=None):
    done = subprocess.run(["curl", "-sS", "--http1.1", *map(str, arguments)], input=feed, cwd=cwd,
                          capture_output=True, timeout=30, env={"PATH": os.environ["PATH"]})
    return done.returncode


@pytest.fixture
def files(folder):
    (folder / "plain.txt").write_bytes(b"one\r\ntwo\n")
    (folder / "odd name;,.bin").write_bytes(bytes(range(256)) * 3)
    (folder / "empty").write_bytes(b"")
    (folder / 'quo"te.html').write_bytes(b"<p>")
    (folder / "big.bin").write_bytes(os.urandom(3 << 20))
    return folder


SAME = {
    "values": ["-F", "a=1", "-F", "b=", "-F", "a=2"],
    "blanks": ["-F", "a=  x y  ", "-F", "b=  x ;type=text/x "],
    "type": ["-F", 'j={"k":[1,2]};type=application/json'],
    "type with parameter": ["-F", "a=x;type=text/plain; charset=utf-8"],
    "filename of a value": ["-F", "a=x;filename=n.txt;type=text/plain"],
    "quoted": ["-F", r'a="x;y,\"z\\";type=text/x'],
    "quote in the middle": ["-F", 'a=x"y"'],
    "unclosed quote": ["-F", 'a="xy'],
    "names": ["-F", 'n"1=x', "-F", "ü=ö"],
    "literal": ["--form-string", "a=@x;type=y", "--form-string", "b=<x"],
    "file": ["-F", "f=@plain.txt"],
    "quoted file": ["-F", 'f=@"odd name;,.bin"'],
    "file with everything": ["-F", "f=@plain.txt;filename=u.bin;type=image/x-y"],
    "quote in the filename": ["-F", 'f=@plain.txt;filename="a\\"b"'],
    "file with a quote": ["-F", 'f=@quo"te.html'],
    "empty file": ["-F", "f=@empty"],
    "value in a file": ["-F", "v=<plain.txt", "-F", "w=<plain.txt;type=text/x"],
    "streamed": ["-F", "a=1", "-F", "f=@big.bin", "-F", "z=2"],
}


@pytest.mark.parametrize("arguments", SAME.values(), ids=SAME)
def test_a_form_has_the_parts_that_curl_sends(xhr, origin_raw, files, arguments):
    xhr(*arguments, origin_raw.url(), check=0)
    assert run_curl(*arguments, origin_raw.url(), cwd=files) == 0
    ours, theirs = origin_raw.requests
    assert ours.method == theirs.method == "POST"
    assert int(ours.get("Content-Length")) == len(ours.body)
    assert parts_of(ours) == parts_of(theirs)


def test_standard_input_is_a_part(xhr, origin_raw, files):
    for feed in (b"", b"short", b"long" * 700000):
        xhr("-F", "a=@-", "-F", "b=1", origin_raw.url(), input=feed, check=0)
        request = origin_raw.requests[-1]
        assert (request.get("Content-Length") is None) == (len(feed) > 1 << 20)
        first, second = parts_of(request)
        assert first == (b'Content-Disposition: form-data; name="a"; filename="-"',
                         "application/octet-stream", feed)
        assert second[2] == b"1"


def test_several_files_are_parts_of_one_name(xhr, origin_raw, files):
    xhr("-F", "f=@plain.txt;type=a/b,empty,big.bin;filename=x", origin_raw.url(), check=0)
    parts = parts_of(origin_raw.requests[-1])
    assert [(p[0].split(b"; ", 1)[1], p[1]) for p in parts] == [
        (b'name="f"; filename="plain.txt"', "a/b"),
        (b'name="f"; filename="empty"', "application/octet-stream"),
        (b'name="f"; filename="x"', "application/octet-stream")]
    assert parts[2][2] == (files / "big.bin").read_bytes()


def test_rd17_a_form_is_sent_again_with_its_large_files_and_without_them(xhr, origin_raw, files):
    to = response(b"", "307 Temporary Redirect", [("Location", "/next")])
    origin_raw.replies(to, response(b"done\n"))
    xhr("-F", "f=@plain.txt", "-F", "a=1", origin_raw.url(), check=0)
    first, second = origin_raw.requests
    assert second.target == "/next" and first.body == second.body and len(first.body) > 0

    origin_raw.replies(to, response(b"done\n"))
    xhr("-F", "f=@big.bin", "-F", "a=1", origin_raw.url(), check=0)
    first, second = origin_raw.requests[2:]
    assert first.body == second.body
    assert parts_of(second)[0][2] == (files / "big.bin").read_bytes()


def test_rd17_a_form_with_a_pipe_that_was_read_cannot_be_sent_again(xhr, origin_raw):
    origin_raw.reply(response(b"", "307 Temporary Redirect", [("Location", "/next")]))
    run = xhr("-F", "f=@-;filename=x", origin_raw.url(), input=b"x" * (2 << 20))
    assert run.status == 65, run
    assert len(origin_raw.requests) == 1


def test_a_large_form_waits_for_100_continue_and_so_survives_an_early_redirect(xhr, origin_raw,
                                                                               files):
    def script(connection):
        request = connection.request_head()
        assert request.get("Expect") == "100-continue"
        if request.target == "/":
            connection.send(response(b"", "307 Temporary Redirect",
                                     [("Location", "/next"), ("Connection", "close")]))
            connection.close()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = connection.request_body(request)
        connection.send(response(b"done\n"))

    origin_raw.script = script
    assert xhr("-F", "f=@big.bin", origin_raw.url(), check=0).out == "done\n"
    assert parts_of(origin_raw.requests[-1])[0][2] == (files / "big.bin").read_bytes()


def test_two_urls_get_the_same_form_even_from_a_pipe(xhr, origin_raw):
    xhr("-F", "a=@-", origin_raw.url("/1"), origin_raw.url("/2"), input=b"piped", check=0)
    first, second = origin_raw.requests
    assert parts_of(first) == parts_of(second) and parts_of(first)[0][2] == b"piped"


@pytest.mark.parametrize("arguments, says, status", [
    (["-F", "a=@missing"], "could not read the data from missing: No such file", 26),
    (["-F", "a=<missing"], "could not read the data from missing: No such file", 26),
    (["-F", "a=@."], "could not read the data from .: Is a directory", 26),
    (["-T", "missing"], "could not read the data from missing: No such file", 26),
    (["-T", "."], "could not read the data from .: Is a directory", 26),
    (["-F", "noequals"], "write NAME=VALUE", 2),
    (["-F", "=x"], "write NAME=VALUE", 2),
    (["-F", "a=x; y"], "only type= and filename= are known", 2),
    (["-F", "a=x;type=plain"], "write ;type=text/plain", 2),
    (["-F", "a=x;type=/"], "write ;type=text/plain", 2),
    (["-F", "a=x;headers=X: y"], "only type= and filename= are known", 2),
    (["-F", 'a="x"y'], "more stands behind the quoted word", 2),
    (["-F", "a=(;type=multipart/mixed"], "parts inside parts are not made", 2),
    (["-F", "a=x;type=a/b\nX: y"], "a content type is one line", 2),
], ids=lambda value: None if isinstance(value, (str, int)) else value[1])
def test_what_cannot_be_sent_is_refused_and_nothing_is(xhr, origin_raw, arguments, says, status):
    run = xhr(*arguments, origin_raw.url())
    assert run.status == status and says in run.err, run
    assert not origin_raw.connections


def test_a_form_file_that_cannot_be_read_is_curls_26(origin_raw):
    assert run_curl("-F", "a=@/nonexistent/x", origin_raw.url()) == 26


@pytest.mark.parametrize("arguments", [["-F", "f=@shrinking"], ["-T", "shrinking"]],
                         ids=["form", "upload"])
def test_a_file_that_shrinks_while_it_is_sent_is_never_a_short_body(xhr, origin_raw, folder,
                                                                     arguments):
    shrinking = folder / "shrinking"
    with open(shrinking, "wb") as file:
        file.truncate(64 << 20)
    seen = []

    def script(connection):
        request = connection.request_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        os.truncate(shrinking, 1000)
        left = int(request.get("Content-Length"))
        try:
            while left > 0:
                left -= len(connection._exactly(min(left, 1 << 12)))
        finally:
            seen.append(left)
        connection.send(response(b"taken\n"))

    origin_raw.script = script
    run = xhr(*arguments, origin_raw.url("/x"))
    assert run.status == 26 and not run.out, run
    wait_until(lambda: seen, "the connection to end")
    assert seen[0] > 0


def test_digest_sends_a_small_form_again(xhr, origin_raw, files):
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
    origin_raw.replies(response(b"", "401 Unauthorized", [("WWW-Authenticate", challenge)]),
                       response(b"in\n"))
    run = xhr("--digest", "-u", "ann:secret", "-F", "f=@plain.txt", origin_raw.url(), check=0)
    first, second = origin_raw.requests
    assert run.out == "in\n" and second.get("Authorization").startswith("Digest ")
    assert first.body == second.body and parts_of(second)[0][2] == b"one\r\ntwo\n"


# ---- -T

def test_an_upload_is_a_put_of_the_file_as_curl_does_it(xhr, origin_raw, files):
    for path, target in (("/x", "/x"), ("/d/", "/d/odd%20name%3B%2C.bin"), ("/?q", "/odd%20name%3B%2C.bin?q")):
        for program in (lambda *a: xhr(*a, check=0), lambda *a: run_curl(*a, cwd=files)):
            program("-T", "odd name;,.bin", origin_raw.url(path))
            request = origin_raw.requests[-1]
            assert request.method == "PUT" and request.target.lower() == target.lower()
            assert request.get("Content-Type") is None
            assert request.get("Content-Length") == "768"
            assert request.body == bytes(range(256)) * 3


def test_an_upload_of_standard_input_is_chunked(xhr, origin_raw, files):
    xhr("-T", "-", origin_raw.url("/x"), input=b"from a pipe", check=0)
    with open(files / "plain.txt", "rb") as plain:
        run = xhr.start("-T", "-", origin_raw.url("/y"), stdin=plain)
        run.communicate()
    assert run.returncode == 0
    for request, body in zip(origin_raw.requests, (b"from a pipe", b"one\r\ntwo\n"), strict=True):
        assert request.get("Transfer-Encoding") == "chunked" and request.body == body


# ---- memory

def peak_of_pid_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1))


@pytest.mark.parametrize("flag", ["-F", "-T"])
def test_a_large_upload_takes_no_memory_in_client_or_daemon(xhrd, xhr, origin_raw, folder, flag):
    size = 64 << 20
    (folder / "small").write_bytes(b"x" * (2 << 20))
    with open(folder / "large", "wb") as large:
        large.truncate(size)
    sent, pids, peaks = [], [], []

    def count(connection):
        while True:
            request = connection.request_head()
            if request.get("Expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = length = int(request.get("Content-Length"))
            while left > 0:
                left -= len(connection._exactly(min(left, 1 << 16)))
            # While it waits for the answer: ru_maxrss would begin with the peak of who forked it.
            wait_until(lambda: len(pids) > len(sent), "the program's pid")
            peaks.append(peak_of_pid_kib(pids[-1]))
            sent.append(length)
            connection.send(response(b"ok\n"))

    def upload(name):
        run = xhr.start(flag, prefix + name, origin_raw.url("/x"))
        pids.append(run.pid)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, (out, err)

    origin_raw.script = count
    prefix = "f=@" if flag == "-F" else ""
    upload("small")
    before = peak_of_pid_kib(xhrd.pid)
    upload("large")
    assert len(sent) == 2 and size <= sent[1] < size + 1000
    assert SANITIZED or peaks[1] - peaks[0] < 1024, peaks
    assert SANITIZED or peak_of_pid_kib(xhrd.pid) - before < 4096
