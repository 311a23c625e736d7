# SPDX-License-Identifier: MIT
"""What is promised of bodies that come down, through libxhr and through xhr: where the bytes go,
in which order a file becomes one, who is held back, and what a bad descriptor costs (CD03)."""
import ctypes
import errno
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest
from downloading import Downloader
from origins import response
from programs import BUILD, SANITIZED, XHR, Program
from test_downloads import DATA, Store, names
from waiting import wait_until

PATIENT = 64 << 20


@pytest.fixture
def library(xhrd):
    client = Downloader(xhrd.socket_path)
    client.library.xhr_request_set_response_fd.argtypes = [ctypes.c_void_p, ctypes.c_int,
                                                           ctypes.c_uint64]
    yield client
    client.close()


@pytest.fixture
def shelf(folder):
    shelf = folder / "shelf"
    shelf.mkdir()
    return shelf


def to_fd(library, fd, offset=0):
    return library.library.xhr_request_set_response_fd(library.handle, fd, offset)


# ---- straight to a descriptor

def read_so_far():
    return int(re.search(r"rchar: (\d+)", pathlib.Path("/proc/thread-self/io").read_text()).group(1))


def test_bytes_for_a_descriptor_do_not_pass_through_the_program(library, origin_nginx, shelf):
    origin_nginx.sparse("long", 16 << 20)
    for target in ("descriptor", "file"):
        fd = os.open(shelf / "a", os.O_WRONLY | os.O_CREAT)
        assert (to_fd(library, fd) if target == "descriptor" else
                library.set_file(shelf / "a")) == 0
        before = read_so_far()
        assert library.fetch(origin_nginx.plain_url("/long")) == 200
        assert read_so_far() - before < 1 << 20
        os.close(fd)
        assert (shelf / "a").stat().st_size == 16 << 20
        os.unlink(shelf / "a")


def traced(arguments):
    return ["strace", "-f", "-qq", "-ttt", "-e", "signal=none", *arguments]


def lines_of(path):
    """[(when it began, what)] of a trace; calls that another thread interrupts are one line."""
    found, begun = [], {}
    for line in path.read_text().splitlines():
        number, when, what = line.split(None, 2)
        if what.endswith("<unfinished ...>"):
            begun[number] = float(when), what.removesuffix("<unfinished ...>")
        elif what.startswith("<... "):
            when, start = begun.pop(number)
            found.append((when, start + what.split("resumed>", 1)[1]))
        else:
            found.append((float(when), what))
    return sorted(found)


def when(lines, pattern):
    return [at for at, what in lines if re.search(pattern, what)]


@pytest.mark.skipif(os.getuid() != 0, reason="the daemon is traced")
@pytest.mark.parametrize("is_new", [True, False])
def test_file_that_replaces_one_is_synced_then_renamed_then_its_folder_is_synced(
        xhrd, xhr, origin_nginx, folder, shelf, is_new):
    origin_nginx.sparse("long", 16 << 20)
    if not is_new:
        (shelf / "a").write_bytes(b"old")
    of_daemon, of_xhr = folder / "daemon.trace", folder / "xhr.trace"
    looker = subprocess.Popen(traced(["-y", "-e", "trace=fsync,fdatasync", "-o", str(of_daemon), "-p",
                                      str(xhrd.pid)]), stderr=subprocess.PIPE)
    status = pathlib.Path(f"/proc/{xhrd.pid}/status")
    wait_until(lambda: "TracerPid:\t0\n" not in status.read_text() or looker.poll() is not None,
               "strace to look on")
    if looker.poll() is not None:
        pytest.skip("may not trace: " + looker.stderr.read().decode())
    seen = "trace=fsync,rename,renameat,renameat2,read,recvmsg,recvfrom"
    traced_xhr = Program(xhr.path, folder, XHRD_SOCKET=str(xhrd.socket_path),
                         within=traced(["-e", seen, "-o", str(of_xhr)]))
    traced_xhr.env["ASAN_OPTIONS"] = traced_xhr.env["ASAN_OPTIONS"] + ":detect_leaks=0"
    traced_xhr("-s", "-o", shelf / "a", origin_nginx.plain_url("/long"), check=0)
    looker.terminate()
    looker.communicate()
    synced = when(lines_of(of_daemon), r"fsync\(\d+<[^>]*/shelf/.*\)\s+= 0")
    lines = lines_of(of_xhr)
    renamed = when(lines, r'rename\w*\(.*"a"(?:, \w+)?\)\s+= 0')
    assert len(renamed) == 1
    if is_new:  # nothing can be lost that was there: as curl does it
        assert not synced and not when(lines, r"fsync\(\d+\)\s+= 0")
    else:
        assert synced and min(synced) < renamed[0]
        assert renamed[0] < max(when(lines, r"fsync\(\d+\)\s+= 0"))
    got = [int(m.group(1)) for _, what in lines
           if (m := re.match(r"(?:read|recv\w*)\(.*\)\s+= (\d+)", what))]
    assert sum(got) < 1 << 20, "the bytes went past xhr"


# ---- bad descriptors

def test_cd03_pipe_without_reader_fails_that_request_alone(library, origin_nginx):
    origin_nginx.sparse("long", 4 << 20)
    reader, writer = os.pipe()
    os.close(reader)
    assert to_fd(library, writer) == 0
    assert library.fetch(origin_nginx.plain_url("/long")) == "write"
    assert library.error().sys_errno == errno.EPIPE
    os.close(writer)
    assert to_fd(library, -1) == 0
    assert library.fetch(origin_nginx.plain_url("/hello")) == 200


def sockets(family):
    """Two ends of a stream."""
    if family == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        return left, server.accept()[0]


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_cd03_socket_gets_the_body_and_stays_its_owners(library, origin_nginx, family):
    """It may block: that is its owner's choice, the daemon never waits for it."""
    origin_nginx.sparse("long", 8 << 20)
    left, right = sockets(family)
    assert to_fd(library, left.fileno()) == 0
    library.start(origin_nginx.plain_url("/long"))
    got = [0]

    def read():
        while data := right.recv(1 << 18):
            got[0] += len(data)
    reader = threading.Thread(target=read)
    reader.start()
    assert library.run() == 200
    left.sendall(b"behind")  # nobody has shut it down
    left.close()
    reader.join()
    right.close()
    assert got[0] == (8 << 20) + len(b"behind")


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_cd03_socket_that_nobody_reads_holds_the_server_back_alone(library, xhrd, origin_nginx,
                                                                   family):
    origin_nginx.sparse("long", 256 << 20)
    left, right = sockets(family)
    assert to_fd(library, left.fileno()) == 0
    library.start(origin_nginx.plain_url("/long"))
    other = Downloader(xhrd.socket_path)
    for _ in range(5):
        assert other.fetch(origin_nginx.plain_url("/hello")) == 200
    other.close()
    assert library.client.in_flight() == 1
    right.close()  # and while it is full the reader goes
    assert library.run() == "write"
    assert library.error().sys_errno in (errno.EPIPE, errno.ECONNRESET)
    left.close()
    assert to_fd(library, -1) == 0
    assert library.fetch(origin_nginx.plain_url("/hello")) == 200


@pytest.mark.parametrize("sort", ["read only", "unconnected", "listening", "datagrams", "device",
                                  "folder"])
def test_cd03_descriptor_of_another_sort_is_refused_before_anything_is_sent(library, origin_raw,
                                                                           shelf, sort):
    made = {"read only": lambda: open("/etc/hostname", "rb"),
            "unconnected": socket.socket,
            "listening": lambda: socket.create_server(("127.0.0.1", 0)),
            "datagrams": lambda: socket.socketpair(type=socket.SOCK_DGRAM)[0],
            "device": lambda: open("/dev/zero", "wb"),
            "folder": lambda: os.open(shelf, os.O_RDONLY)}[sort]()
    fd = made if isinstance(made, int) else os.dup(made.fileno())
    assert to_fd(library, fd) == 0
    assert library.fetch(origin_raw.url()) == "argument"
    assert not origin_raw.requests
    os.close(fd)


def test_cd03_descriptor_that_appends_keeps_what_was_there(library, origin_raw, shelf):
    (shelf / "log").write_bytes(b"before ")
    fd = os.open(shelf / "log", os.O_WRONLY | os.O_APPEND)
    assert to_fd(library, fd) == 0
    assert library.fetch(origin_raw.url()) == 200
    assert (shelf / "log").read_bytes() == b"before hello\n"
    assert to_fd(library, fd, 3) == 0  # it would go to the end all the same
    assert library.fetch(origin_raw.url()) == "argument"
    assert (shelf / "log").read_bytes() == b"before hello\n"
    os.close(fd)


def test_cd03_quota_that_is_used_up_fails_that_request_alone(make_xhrd, origin_raw, shelf, folder):
    shim = BUILD / "tests/libpreload.so"
    env = {"LD_PRELOAD": str(shim), "QUOTA_OF": str(shelf)}
    if SANITIZED:
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
    daemon = make_xhrd(env=env)
    library = Downloader(daemon.socket_path)
    xhr = Program(XHR, folder, XHRD_SOCKET=str(daemon.socket_path))
    (shelf / "a").write_bytes(b"old")
    other = Downloader(daemon.socket_path)
    for target in ("descriptor", "file"):
        Store(origin_raw)
        fd = os.open(shelf / "b", os.O_WRONLY | os.O_CREAT)
        assert (library.set_file(shelf / "a") if target == "file" else to_fd(library, fd)) == 0
        assert library.fetch(origin_raw.url()) == "write"
        assert library.error().sys_errno == errno.EDQUOT
        os.close(fd)
        os.unlink(shelf / "b")
        assert (shelf / "a").read_bytes() == b"old" and names(shelf) == ["a"]
        assert other.fetch(origin_raw.url()) == 200
    run = xhr("-s", "-S", "-o", shelf / "a", origin_raw.url(), check=23)
    assert os.strerror(errno.EDQUOT) in run.err
    assert (shelf / "a").read_bytes() == b"old" and names(shelf) == ["a"]
    Store(origin_raw, b"hello\n")
    xhr("-s", "-o", shelf / "a", origin_raw.url(), check=0)
    assert (shelf / "a").read_bytes() == b"hello\n"
    library.close()
    other.close()


def test_cd03_full_disk_is_exit_23_and_the_target_is_untouched(xhr, origin_raw, shelf):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", shelf],
                      capture_output=True).returncode != 0:
        pytest.skip("may not mount")
    try:
        (shelf / "a").write_bytes(b"old")
        Store(origin_raw)
        run = xhr("-s", "-S", "-o", shelf / "a", origin_raw.url(), check=23)
        assert "No space left on device" in run.err
        assert (shelf / "a").read_bytes() == b"old" and names(shelf) == ["a"]
        Store(origin_raw, b"hello\n")
        xhr("-o", shelf / "a", origin_raw.url(), check=0)
        assert (shelf / "a").read_bytes() == b"hello\n"
    finally:
        subprocess.run(["umount", "-l", shelf], check=True)


# ---- readers that pause

def test_reader_of_xhr_that_pauses_holds_the_server_back(xhrd, xhr, origin_raw):
    sent = [0]

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % PATIENT)
        while sent[0] < PATIENT:
            connection.send(bytes(65536))
            sent[0] += 65536

    origin_raw.script = script
    run = xhr.start("-s", origin_raw.url())
    steps = []

    def held():
        steps.append(sent[0])
        return sent[0] > 0 and len(steps) > 40 and len(set(steps[-40:])) == 1
    wait_until(held, "the server to be held back")
    assert sent[0] < PATIENT // 2
    out, _ = run.communicate()
    assert run.returncode == 0 and len(out) == PATIENT


# ---- gone on with

def test_interrupted_xhr_goes_on_by_range_and_if_range(xhr, origin_raw, shelf):
    store = Store(origin_raw)
    store.cut_at = 300_000
    xhr("-s", "-C", "-", "-o", shelf / "a", origin_raw.url("/thing"), check=18)
    assert names(shelf) == [".a.xhr-info", ".a.xhr-part"]
    there = (shelf / ".a.xhr-part").stat().st_size
    store.cut_at = None
    xhr("-s", "-C", "-", "-o", shelf / "a", origin_raw.url("/thing"), check=0)
    assert store.asked()[-1] == (f"bytes={there}-", '"one"')
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]

    store.cut_at = 300_000
    xhr("-s", "-C", "-", "-o", shelf / "b", origin_raw.url("/thing"), check=18)
    store.cut_at, store.etag, store.data = None, '"two"', DATA[::-1]
    xhr("-s", "-C", "-", "-o", shelf / "b", origin_raw.url("/thing"), check=0)
    assert (shelf / "b").read_bytes() == DATA[::-1] and names(shelf) == ["a", "b"]


# ---- text

@pytest.mark.parametrize("kind, body", [
    ("text/plain; charset=iso-8859-1", "é€".encode("cp1252")),
    ("text/plain; charset=latin1", "\ufeffé€".encode()),
    ("text/html", b"<meta charset=windows-1252>" + "é€".encode("cp1252")),
    ("application/xml", b"<?xml version='1.0' encoding='windows-1252'?>" + "é€".encode("cp1252")),
    ("text/plain; charset=shift_jis", b"\x93\xfa"),
    ("text/plain", "é€".encode()),
])
def test_text_is_utf_8_whatever_came_and_xhr_writes_what_came(xhrd, xhr, origin_raw, folder, kind,
                                                              body):
    origin_raw.reply(response(body, fields=[("Content-Type", kind)]))
    fetch = Program(BUILD / "client-lib/example_fetch", folder, XHRD_SOCKET=str(xhrd.socket_path))
    assert fetch(origin_raw.url(), check=0).stdout.decode().endswith(
        "日" if "shift" in kind else "é€")
    assert xhr("-s", origin_raw.url(), check=0).stdout == body
