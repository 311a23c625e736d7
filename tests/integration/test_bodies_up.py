# SPDX-License-Identifier: MIT
"""What is sent: bodies of every kind, their types and framing, progress, and header fields, as a
program does it through libxhr."""
import ctypes
import errno
import gzip
import os
import pathlib
import re
import socket
import threading

import pytest
from libxhr import PATH, Client, constants
from origins import response
from programs import SANITIZED

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(not PATH.exists(), reason="no library that python can load")]

FORM_TYPE = "application/x-www-form-urlencoded"
both = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])


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


def send(request, url, body=None, method="POST", headers=(), is_async=True):
    request.forget()
    assert request.open(url, method, is_async) == 0
    for name, value in headers:
        assert request.set_header(name, value) == 0
    assert request.send(body) == 0
    if is_async:
        request.finish()
    return request


def pieces(*left):
    """A read callback that gives these, no more of one at a time than there is room for."""
    left = list(left)

    def read(size):
        if not left:
            return b""
        piece, left[0] = left[0][:size], left[0][size:]
        if not left[0]:
            left.pop(0)
        return piece
    return read


# ---- kinds, types, framing ---------------------------------------------------------------------

DATA = bytes(range(256)) * 300
LONG = os.urandom(300_000)  # goes to the daemon as a descriptor


def body_of(request, kind, folder):
    """(struct, its Content-Type on Android, on iOS, framing)"""
    if kind == "STREAM":
        return request.body(kind, read=pieces(DATA[:1000], DATA[1000:]), length=len(DATA)), None, None, "length"
    if kind == "STREAM, unknown":
        body = request.body("STREAM", read=pieces(DATA[:1000], DATA[1000:]), length=(1 << 64) - 1)
        return body, None, None, "chunked"
    if kind == "FD":
        (folder / "data").write_bytes(b"skipped" + DATA)
        request.fd = os.open(folder / "data", os.O_RDONLY)
        return request.body(kind, fd=request.fd, offset=7, length=len(DATA)), None, None, "length"
    if kind == "PATH":
        (folder / "page.html").write_bytes(DATA)
        request.path = str(folder / "page.html").encode()
        return request.body(kind, path=request.path), "text/html", "text/html", "length"
    types = {"JSON": ("application/json",) * 2}.get(kind, (FORM_TYPE, None))
    return (request.body(kind, DATA), *types, "length")


@both
@pytest.mark.parametrize("profile", ["default", "android", "ios"])
@pytest.mark.parametrize("kind", ["BYTES", "STRING", "JSON", "FD", "PATH", "STREAM",
                                  "STREAM, unknown"])
def test_a_body_of_each_kind_arrives_with_its_type_and_framing(request_, origin_raw, folder, kind,
                                                               profile, is_async):
    types = constants("xhr_body_types")[f"XHR_BODY_TYPES_{profile.upper()}"]
    assert request_.options(body_types=types) == 0
    body, android, ios, framing = body_of(request_, kind, folder)
    send(request_, origin_raw.url(), body, is_async=is_async)
    sent, = origin_raw.requests
    assert sent.body == DATA
    assert sent.get("Content-Type") == (ios if profile == "ios" else android)
    assert (sent.get("Content-Length"), sent.get("Transfer-Encoding")) == (
        (str(len(DATA)), None) if framing == "length" else (None, "chunked"))
    if kind == "FD":
        assert os.lseek(request_.fd, 0, os.SEEK_CUR) == 0, "CD04: the offset is the daemon's own"
        os.close(request_.fd)


def test_a_long_string_is_sent_as_well(request_, origin_raw):
    send(request_, origin_raw.url(), request_.body("BYTES", LONG))
    assert origin_raw.requests[0].body == LONG


@pytest.mark.parametrize("name, kind", [("a.json", "application/json"), ("b.PNG", "image/png"),
                                        ("c", "application/octet-stream"),
                                        ("d.unheard-of", "application/octet-stream")])
def test_a_file_carries_its_type(request_, origin_raw, folder, name, kind):
    (folder / name).write_bytes(b"x")
    path = str(folder / name).encode()
    send(request_, origin_raw.url(), request_.body("PATH", path=path))
    assert origin_raw.requests[0].get("Content-Type") == kind


@pytest.mark.parametrize("kind", ["BYTES", "JSON", "PATH"])
def test_a_type_that_is_given_goes_before_the_kinds_and_a_header_before_all(request_, origin_raw,
                                                                            folder, kind):
    body, *_ = body_of(request_, kind, folder)
    blob = ctypes.c_char_p(b"image/webp")  # as of a blob
    body.content_type = blob.value
    send(request_, origin_raw.url(), body)
    body, *_ = body_of(request_, kind, folder)
    body.content_type = blob.value
    send(request_, origin_raw.url(), body, headers=[("content-TYPE", "a/b; c=d")])
    assert [r.get("Content-Type") for r in origin_raw.requests] == ["image/webp", "a/b; c=d"]


def test_lb01_put_then_post_on_one_object_sends_the_posts_own_body(request_, origin_raw, folder):
    put, *_ = body_of(request_, "FD", folder)
    send(request_, origin_raw.url(), put, method="PUT")
    os.close(request_.fd)
    send(request_, origin_raw.url(), request_.body("BYTES", b"mine"), method="POST")
    send(request_, origin_raw.url(), None, method="POST")
    send(request_, origin_raw.url(), None, method="GET")
    told = [(r.method, r.body, r.get("Content-Length")) for r in origin_raw.requests]
    assert told == [("PUT", DATA, str(len(DATA))), ("POST", b"mine", "4"), ("POST", b"", "0"),
                    ("GET", b"", None)]
    assert origin_raw.requests[1].get("Content-Type") == FORM_TYPE


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "QUERY"])
def test_any_method_may_carry_a_body(request_, origin_raw, method):
    send(request_, origin_raw.url(), request_.body("BYTES", b"carried"), method=method)
    assert (origin_raw.requests[0].method, origin_raw.requests[0].body) == (method, b"carried")


@pytest.mark.parametrize("sort", ["pipe", "socket"])
def test_cd04_a_stream_is_read_as_it_comes_to_its_end(request_, origin_raw, sort):
    reader, writer = os.pipe() if sort == "pipe" else (s.detach() for s in socket.socketpair())
    request_.forget()
    assert request_.open(origin_raw.url(), "POST") == 0
    length = (1 << 64) - 1
    assert request_.send(request_.body("FD", fd=reader, length=length)) == 0
    os.close(reader)

    def write():
        for at in range(0, len(LONG), 10_000):
            os.write(writer, LONG[at:at + 10_000])
        os.close(writer)
    thread = threading.Thread(target=write)
    thread.start()
    request_.finish()
    thread.join()
    sent, = origin_raw.requests
    assert (sent.body, sent.get("Transfer-Encoding")) == (LONG, "chunked")


@pytest.mark.parametrize("sort", ["device", "unconnected", "write only", "offset"])
def test_ip14_cd04_a_descriptor_that_cannot_be_read_fails_before_anything_is_sent(
        request_, origin_raw, folder, sort):
    reader, writer = os.pipe()
    other = {"device": lambda: os.open("/dev/zero", os.O_RDONLY),
             "unconnected": lambda: socket.socket().detach(),
             "write only": lambda: os.open(folder / "w", os.O_WRONLY | os.O_CREAT),
             "offset": lambda: os.dup(reader)}[sort]()
    request_.forget()
    assert request_.open(origin_raw.url(), "POST") == 0
    offset = 3 if sort == "offset" else 0
    assert request_.send(request_.body("FD", fd=other, offset=offset, length=5)) == 0
    request_.finish()
    assert request_.story() == "1 4 error:argument"
    assert not origin_raw.requests
    for fd in (reader, writer, other):
        os.close(fd)


def test_cd04_a_file_that_is_cut_while_it_is_sent_fails(request_, origin_raw, folder):
    with open(folder / "cut", "wb+") as file:
        file.truncate(64 << 20)
        reached = threading.Event()

        def script(connection):
            connection.request_head()
            connection._exactly(1 << 20)
            reached.set()
            connection.wait_gone()

        origin_raw.script = script
        assert request_.open(origin_raw.url(), "PUT") == 0
        assert request_.set_header("Expect", None) == 0

        def cut(word):
            if word == "up":
                file.truncate(2 << 20)

        request_.then = cut
        assert request_.send(request_.body("FD", fd=file.fileno(), length=64 << 20)) == 0
        request_.finish()
    assert request_.words[-2:] == ["4", "error:body-read"]


# ---- wrong uses --------------------------------------------------------------------------------

def test_bodies_that_cannot_be_are_refused_and_nothing_is_sent(request_, origin_raw, folder):
    (folder / "secret").write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    wrong = [(dict(kind="FD", fd=-1), errno.EBADF), (dict(kind="FD", fd=987), errno.EBADF),
             (dict(kind="PATH", path=b"/nowhere/at/all"), errno.ENOENT),
             (dict(kind="PATH", path=str(folder).encode()), errno.EISDIR),
             (dict(kind="PATH", path=str(folder / "pipe").encode()), errno.ESPIPE),
             (dict(kind="PATH", path=b""), errno.EINVAL), (dict(kind="PATH"), errno.EINVAL),
             (dict(kind="STREAM"), errno.EINVAL), (dict(kind="BYTES", length=3), errno.EINVAL)]
    assert request_.open(origin_raw.url(), "POST") == 0
    for fields, number in wrong:
        assert request_.send(request_.body(**fields)) == -number, fields
    assert request_.state == 1 and request_.words == ["1"]
    assert request_.send(request_.body("BYTES", b"right")) == 0
    request_.finish()
    assert [r.body for r in origin_raw.requests] == [b"right"]


@pytest.mark.parametrize("name, number", [("missing", errno.ENOENT), (".", errno.EISDIR),
                                          ("pipe", errno.ESPIPE)])
def test_a_form_with_an_unreadable_file_is_refused_and_says_which(request_, origin_raw, folder, name,
                                                                  number):
    os.mkfifo(folder / "pipe")
    library, form = request_.library, ctypes.c_void_p()
    assert library.xhr_form_new(ctypes.byref(form)) == 0
    path = str(folder / name).encode()
    assert library.xhr_form_add_file(form, b"file", path, None, None) == 0
    assert request_.open(origin_raw.url(), "POST") == 0
    assert library.xhr_request_send_form(request_.handle, form) == -number
    assert path in library.xhr_form_error_text(form)
    assert request_.state == 1 and not origin_raw.requests
    library.xhr_form_free(form)


@pytest.mark.parametrize("encoding", ["MULTIPART", "URLENCODED"])
def test_forms_are_multipart_or_urlencoded(request_, origin_raw, encoding):
    library, form = request_.library, ctypes.c_void_p()
    assert library.xhr_form_new(ctypes.byref(form)) == 0
    for name, value in ((b"a", b"1 2"), ("ä".encode(), b"&\r\n")):
        assert library.xhr_form_add(form, name, value, len(value)) == 0
    number = constants("xhr_form_encoding")[f"XHR_FORM_{encoding}"]
    assert library.xhr_form_set_encoding(form, number) == 0
    assert request_.open(origin_raw.url(), "POST") == 0
    assert library.xhr_request_send_form(request_.handle, form) == 0
    request_.finish()
    library.xhr_form_free(form)
    sent, = origin_raw.requests
    if encoding == "URLENCODED":
        assert sent.get("Content-Type") == FORM_TYPE
        assert sent.body == b"a=1+2&%C3%A4=%26%0D%0A"
        return
    boundary = re.fullmatch(r"multipart/form-data; boundary=(\S+)", sent.get("Content-Type")).group(1)
    line = b"--" + boundary.encode()
    assert sent.body == (line + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n1 2\r\n'
                         + line + b'\r\nContent-Disposition: form-data; name="\xc3\xa4"\r\n\r\n&\r\n\r\n'
                         + line + b"--\r\n")


# ---- asking first, and answers that come early -------------------------------------------------

@pytest.mark.parametrize("size, asks", [(1 << 20, False), ((1 << 20) + 1, True)])
def test_above_a_mebibyte_it_is_asked_first(request_, origin_raw, size, asks):
    send(request_, origin_raw.url(), request_.body("BYTES", bytes(size)))
    assert (origin_raw.requests[0].get("Expect") == "100-continue") == asks
    assert len(origin_raw.requests[0].body) == size


def test_a_server_that_does_not_say_continue_gets_the_body_all_the_same(request_, origin_raw):
    def script(connection):
        request = connection.request_head()
        request.body = connection.request_body(request)
        connection.send(response(b"late\n"))

    origin_raw.script = script
    send(request_, origin_raw.url(), request_.body("BYTES", bytes(2 << 20)))
    assert request_.response == b"late\n" and len(origin_raw.requests[0].body) == 2 << 20


@both
@pytest.mark.parametrize("status", ["400 Bad", "401 Who", "413 Much", "500 Oops"])
def test_h115_an_early_error_stops_the_upload_and_is_delivered(request_, origin_raw, status, is_async):
    def script(connection):
        connection.request_head()
        connection._exactly(100_000)
        connection.send(response(b"enough\n", status=status))
        connection.wait_gone()

    origin_raw.script = script
    assert request_.options(http_errors_as_load=True) == 0
    body = request_.body("STREAM", read=lambda size: bytes(size), length=1 << 40)
    send(request_, origin_raw.url(), body, headers=[("Expect", None)], is_async=is_async)
    request_.check()
    assert request_.status == int(status[:3]) and request_.response == b"enough\n"
    assert request_.story() in ("1 up 2 headers 3 down 4 load", "1 up 2 headers up 3 down 4 load",
                                "1 up 2 headers 3 down up 4 load")
    last = request_.progress("up")[-1]
    assert 0 < last["done_bytes"] < last["total_bytes"] == 1 << 40
    assert 0 < last["ratio"] < 1, "it did not all arrive"


# ---- progress ----------------------------------------------------------------------------------

def check_progress(events, total=None):
    """Forward only, at most one in 50 ms but for the last, which says all."""
    done = [event["done_bytes"] for event in events]
    assert done == sorted(done)
    times = [event["monotonic_us"] for event in events]
    assert all(b - a >= 49_000 for a, b in zip(times[:-2], times[1:-1])), times
    for event in events:
        assert -1 == event["ratio"] or 0 <= event["ratio"] <= 1
        assert event["total_known"] == (event["ratio"] >= 0)
    last = events[-1]
    assert last["ratio"] == 1 and last["done_bytes"] == last["total_bytes"]
    assert total is None or last["done_bytes"] == total


@pytest.mark.parametrize("size", [1, 100_000, 20_000_000])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_progress_of_an_upload_ends_with_all_of_it(request_, origin_raw, size, known):
    left = [size]

    def read(room):
        n = min(room, left[0])
        left[0] -= n
        return bytes(n)

    body = request_.body("STREAM", read=read, length=size if known else (1 << 64) - 1)
    send(request_, origin_raw.url(), body)
    check_progress(request_.progress("up"), size)
    assert request_.totals.upload_bytes == size


def test_progress_counts_what_the_server_has_taken(request_, origin_raw):
    """With a server that does not read, what is queued is not said to be done."""
    read_on = threading.Event()

    def script(connection):
        connection.request_head()
        assert read_on.wait(20)
        connection._exactly(64 << 20)
        connection.send(response(b"ok\n"))
        connection.wait_gone()

    origin_raw.script = script
    given = [0]

    def read(room):
        n = min(room, (64 << 20) - given[0])
        given[0] += n
        return bytes(n)

    assert request_.open(origin_raw.url(), "PUT") == 0
    assert request_.set_header("Expect", None) == 0
    assert request_.send(request_.body("STREAM", read=read, length=64 << 20)) == 0
    request_.client.wait_until(lambda: "wait:backpressure" in request_.words)
    stalled = request_.progress("up")[-1]
    assert 0 < stalled["done_bytes"] <= given[0] < 64 << 20
    read_on.set()
    request_.finish()
    assert request_.story() == "1 up 2 headers 3 down 4 load"
    check_progress(request_.progress("up"), 64 << 20)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
def test_progress_of_a_download_counts_decoded_bytes_and_those_on_the_wire(request_, origin_raw,
                                                                           framing, coded):
    plain = (b"0123456789" * 1000) * 100
    wire = gzip.compress(plain) if coded else plain
    fields = [("Content-Encoding", "gzip")] if coded else []
    if framing == "chunked":
        head = response(b"", fields=[*fields, ("Transfer-Encoding", "chunked")], length=False)
        answer = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(wire), wire)
    else:
        answer = response(wire, fields=fields)
    origin_raw.reply(answer)
    assert request_.open(origin_raw.url()) == 0 and request_.send() == 0
    request_.finish()
    events = request_.progress("down")
    check_progress(events, len(plain))
    assert events[-1]["wire_bytes"] == len(wire) == request_.totals.wire_bytes
    assert request_.totals.body_bytes == len(plain)
    known = framing == "length" and not coded
    assert all(event["total_known"] for event in events[:-1]) == known or len(events) == 1


# ---- 4 GiB and a byte --------------------------------------------------------------------------

def peak_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1))


@pytest.mark.parametrize("kind", ["FD", "STREAM"])
@pytest.mark.parametrize("size", [
    pytest.param(96 << 20, id="96 MiB"),
    pytest.param((1 << 32) + 1, id="4 GiB + 1", marks=pytest.mark.soak)])
def test_an_upload_of_any_size_leaves_the_daemons_memory_flat(xhrd, request_, origin_raw, folder, size,
                                                              kind):
    taken = [0]

    def script(connection):
        while True:
            request = connection.request_head()
            if request.get("Expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = int(request.get("Content-Length"))
            left -= len(connection.received) - connection._read
            room = bytearray(1 << 20)
            while left > 0 and (n := connection.sock.recv_into(room, min(left, len(room)))):
                left -= n
            connection.received.clear()
            connection._read = 0
            taken[0] = int(request.get("Content-Length")) - left
            connection.send(response(b"ok\n"))

    def upload(size):
        with open(folder / "sparse", "wb+") as file:
            file.truncate(size)
            left = [size]

            def read(room):
                n = min(room, left[0])
                left[0] -= n
                return bytes(n)

            more = dict(fd=file.fileno()) if kind == "FD" else dict(read=read)
            send(request_, origin_raw.url(), request_.body(kind, length=size, **more), method="PUT")
        assert request_.story() == "1 up 2 headers 3 down 4 load", request_.error
        assert taken[0] == request_.totals.upload_bytes == size
        check_progress(request_.progress("up"), size)
        request_.forget()

    origin_raw.script = script
    upload(8 << 20)
    before = peak_kib(xhrd.pid)
    upload(size)
    grown = peak_kib(xhrd.pid) - before
    assert SANITIZED or grown < 4096, f"{grown} KiB"


# ---- header fields -----------------------------------------------------------------------------

def test_repeated_fields_combine_without_case_and_cookies_with_semicolons(request_, origin_raw):
    send(request_, origin_raw.url(), None, "GET",
         [("X-Many", "one"), ("x-MANY", "two"), ("Cookie", "a=1"), ("cookie", "b=2"),
          ("Accept", "text/html"), ("ACCEPT", "*/*;q=0.1")])
    sent, = origin_raw.requests
    assert sent.get("X-Many") == "one, two"
    assert sent.get("Cookie") == "a=1; b=2"
    assert sent.get("Accept") == "text/html, */*;q=0.1"


@pytest.mark.parametrize("name", ["User-Agent", "Content-Type", "Authorization", "Referer", "Range",
                                  "If-Range", "From", "If-Modified-Since"])
def test_fields_of_a_single_value_are_replaced(request_, origin_raw, name):
    send(request_, origin_raw.url(), None, "GET", [(name, "first"), (name.lower(), "second")])
    assert origin_raw.requests[0].get(name) == "second"


def test_null_removes_a_field_and_a_default_and_empty_stays_empty(request_, origin_raw):
    send(request_, origin_raw.url(), request_.body("BYTES", b"x"), "POST",
         [("X-Gone", "1"), ("x-gone", None), ("User-Agent", None), ("Accept", None),
          ("Accept-Encoding", None), ("Content-Type", None), ("X-Empty", "")])
    sent, = origin_raw.requests
    for name in ("X-Gone", "User-Agent", "Accept", "Accept-Encoding", "Content-Type"):
        assert sent.get(name) is None, name
    assert ("X-Empty", "") in sent.fields


def test_no_field_is_sent_that_nobody_knows_of(request_, origin_raw):
    send(request_, origin_raw.url(), None, "GET")
    names = [name for name, _ in origin_raw.requests[0].fields]
    assert names == ["Host", "User-Agent", "Accept", "Accept-Encoding"]


@pytest.mark.parametrize("name", ["Host", "content-length", "TRANSFER-Encoding", "Connection", "TE",
                                  "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection"])
def test_ur13_framing_fields_are_the_engines(request_, origin_raw, name):
    assert request_.open(origin_raw.url(), "POST") == 0
    assert request_.set_header(name, "5") == -errno.EPERM
    assert request_.set_header(name, None) == -errno.EPERM
    assert request_.send(request_.body("BYTES", b"x")) == 0
    request_.finish()
    sent, = origin_raw.requests
    assert [n.lower() for n, _ in sent.fields].count("content-length") == 1
    assert sent.get("Content-Length") == "1"


@pytest.mark.parametrize("name", ["X-Any", "User-Agent", "Referer", "Range", "Cookie"])
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\r\n\r\n"])
def test_ur02_a_value_cannot_break_out_of_its_line(request_, origin_raw, name, value):
    assert request_.open(origin_raw.url()) == 0
    assert request_.set_header(name, value) == -errno.EINVAL
    assert request_.set_header(value, "x") == -errno.EINVAL
    assert request_.send() == 0
    request_.finish()
    assert b"Evil" not in origin_raw.requests[0].head


def test_ur02_names_in_a_form_cannot_break_out_of_their_line(request_, origin_raw, folder):
    (folder / "f").write_bytes(b"x")
    library, form = request_.library, ctypes.c_void_p()
    assert library.xhr_form_new(ctypes.byref(form)) == 0
    assert library.xhr_form_add(form, b'a"\r\nX-Evil: 1', b"v", 1) == 0
    assert library.xhr_form_add_file(form, b"f", str(folder / "f").encode(), b'"\r\nX-Evil: 2', None) == 0
    assert library.xhr_form_add_file(form, b"f", str(folder / "f").encode(), b"g",
                                     b"text/plain\r\nX-Evil: 3") == -errno.EINVAL
    assert request_.open(origin_raw.url(), "POST") == 0
    assert library.xhr_request_send_form(request_.handle, form) == 0
    request_.finish()
    library.xhr_form_free(form)
    body = origin_raw.requests[0].body
    assert b"\r\nX-Evil" not in body and b'name="a%22%0D%0AX-Evil: 1"' in body
    assert b'filename="%22%0D%0AX-Evil: 2"' in body


@pytest.mark.parametrize("kind", ["none", "length", "chunked", "asked first"])
def test_sent_headers_are_what_really_went_out(request_, origin_raw, kind):
    body = {"none": None, "length": request_.body("BYTES", b"four"),
            "chunked": request_.body("STREAM", read=pieces(b"one", b"two"), length=(1 << 64) - 1),
            "asked first": request_.body("BYTES", bytes(2 << 20))}[kind]
    assert request_.options(no_keep_alive=kind == "length", sent_headers=True) == 0
    send(request_, origin_raw.url(), body, "GET" if kind == "none" else "POST",
         [("X-Mine", "1"), ("Cookie", "secret=1"), ("Authorization", "Bearer s")])
    went = [(name, value) for name, value in origin_raw.requests[0].fields
            if name not in ("Cookie", "Authorization")]
    assert request_.sent_headers() == went
