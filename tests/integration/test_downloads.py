# SPDX-License-Identifier: MIT
"""Answers that become files, through libxhr: whole or not at all, and gone on with later."""
import ctypes
import errno
import fcntl
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest
from downloading import Downloader
from origins import response
from programs import BUILD, SANITIZED
from waiting import wait_until
from wire import fetch_pb2

DATA = bytes(range(256)) * 4000
DATE = "Mon, 23 Nov 2026 10:00:00 GMT"
EARLIER = "Mon, 23 Nov 2026 09:00:00 GMT"


@pytest.fixture
def library(xhrd):
    client = Downloader(xhrd.socket_path)
    yield client
    client.close()


@pytest.fixture
def shelf(folder):
    shelf = folder / "shelf"
    shelf.mkdir()
    return shelf


def names(shelf):
    return sorted(os.listdir(shelf))


class Store:
    """A scripted server of one thing: ranges, If-Range, and what a test wants it to do wrong."""

    def __init__(self, origin, data=DATA, etag='"one"', modified=None):
        self.origin, self.data, self.etag, self.modified = origin, data, etag, modified
        self.cut_at = None       # the connection ends behind so many bytes of the answer
        self.more = []           # fields
        self.change_206 = lambda status, fields, body: (status, fields, body)
        origin.script = self.serve
        for connection in origin.connections:  # they have the script of another store
            connection.close()

    def fields(self):
        found = [("Date", DATE), *self.more]
        if self.etag:
            found.append(("ETag", self.etag))
        if self.modified:
            found.append(("Last-Modified", self.modified))
        return found

    def answer(self, request):
        wanted, holds = request.get("Range"), request.get("If-Range")
        fields, size = self.fields(), len(self.data)
        if not wanted or (holds and holds not in (self.etag, self.modified)):
            return "200 OK", fields, self.data
        first = int(wanted.removeprefix("bytes=").rstrip("-"))
        if first >= size:
            return "416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}")], b"no"
        return self.change_206("206 Partial Content",
                               [*fields, ("Content-Range", f"bytes {first}-{size - 1}/{size}")],
                               self.data[first:])

    def serve(self, connection):
        while True:
            request = connection.request()
            status, fields, body = self.answer(request)
            answer = response(body, status, fields)
            if self.cut_at is None:
                connection.send(answer)
            else:
                connection.send(answer[:len(answer) - len(body) + self.cut_at])
                return

    def asked(self):
        return [(r.get("Range"), r.get("If-Range")) for r in self.origin.requests]


# ---- whole or not at all

def test_answer_becomes_the_file_and_nothing_else_is_left(library, origin_raw, shelf):
    Store(origin_raw)
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == 200
    assert (shelf / "a").read_bytes() == DATA
    assert library.body() == b""
    assert names(shelf) == ["a"]


def test_empty_answer_becomes_an_empty_file(library, origin_raw, shelf):
    (shelf / "a").write_bytes(b"old")
    origin_raw.reply(response(b""))
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == 200
    assert (shelf / "a").read_bytes() == b""


def test_target_is_untouched_until_the_answer_is_whole(library, origin_raw, shelf):
    (shelf / "a").write_bytes(b"old")

    def script(connection):
        connection.request()
        connection.send_and_see_read(response(DATA)[:1000])
        assert (shelf / "a").read_bytes() == b"old"
        connection.close()

    origin_raw.script = script
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == "truncated"
    assert (shelf / "a").read_bytes() == b"old"
    assert names(shelf) == ["a"]


def test_error_body_is_for_memory_and_the_target_is_untouched(library, origin_raw, shelf):
    (shelf / "a").write_bytes(b"old")
    origin_raw.reply(response(b"sorry", "404 Not Found"))
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == "http-status"
    assert (library.status(), library.body()) == (404, b"sorry")
    assert (shelf / "a").read_bytes() == b"old" and names(shelf) == ["a"]


def test_error_body_is_kept_in_the_file_when_it_is_wanted(library, origin_raw, shelf):
    origin_raw.reply(response(b"sorry", "404 Not Found"))
    assert library.set_file(shelf / "a", keep_error_bodies=True) == 0
    assert library.fetch(origin_raw.url()) == "http-status"
    assert (shelf / "a").read_bytes() == b"sorry"


def test_abort_leaves_nothing(library, origin_raw, shelf):
    Store(origin_raw).cut_at = 1000
    origin_raw.script = lambda connection: (connection.request(),
                                            connection.send(response(DATA)[:5000]),
                                            connection.wait_gone())
    assert library.set_file(shelf / "a") == 0
    library.start(origin_raw.url())
    library.meanwhile(library.status)
    library.abort()
    assert library.outcome() == "aborted"
    assert names(shelf) == []


def test_new_file_has_the_umask_and_a_replaced_one_its_old_mode(library, origin_raw, shelf):
    (shelf / "old").write_bytes(b"old")
    (shelf / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        for name in ("old", "new"):
            assert library.set_file(shelf / name) == 0
            assert library.fetch(origin_raw.url()) == 200
    finally:
        os.umask(before)
    assert stat.S_IMODE((shelf / "old").stat().st_mode) == 0o640
    assert stat.S_IMODE((shelf / "new").stat().st_mode) == 0o640
    if os.getuid() == 0:
        os.chown(shelf / "old", 1234, 4321)
        assert library.set_file(shelf / "old") == 0
        assert library.fetch(origin_raw.url()) == 200
        found = (shelf / "old").stat()
        assert (found.st_uid, found.st_gid) == (1234, 4321)


def test_symbolic_link_stays_and_what_it_points_to_is_replaced(library, origin_raw, shelf):
    (shelf / "real").mkdir()
    (shelf / "real/file").write_bytes(b"old")
    (shelf / "relative").symlink_to("real/file")
    (shelf / "chain").symlink_to(shelf / "relative")
    (shelf / "dangling").symlink_to("real/new")
    for name, real in (("chain", "file"), ("dangling", "new")):
        assert library.set_file(shelf / name) == 0
        assert library.fetch(origin_raw.url()) == 200
        assert (shelf / name).is_symlink() and (shelf / "relative").is_symlink()
        assert (shelf / "real" / real).read_bytes() == b"hello\n"
    (shelf / "loop").symlink_to("loop")
    library.open(origin_raw.url())
    assert library.set_file(shelf / "loop") == 0
    assert library.send() == -errno.ELOOP


@pytest.mark.skipif(os.getuid() != 0, reason="another owner is needed")
def test_link_of_somebody_else_in_a_shared_folder_is_not_followed(library, origin_raw, shelf):
    shared = shelf / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "trap").symlink_to(shelf / "victim")
    os.lchown(shared / "trap", 1234, 1234)
    library.open(origin_raw.url())
    assert library.set_file(shared / "trap") == 0
    assert library.send() == -errno.EACCES
    assert not (shelf / "victim").exists()


def test_target_that_cannot_be_is_refused_before_anything_is_sent(library, origin_raw, shelf):
    (shelf / "file").write_bytes(b"")
    os.mkfifo(shelf / "pipe")
    for path, wrong in ((shelf, errno.EISDIR), (f"{shelf}/", errno.EISDIR),
                        (shelf / "none/a", errno.ENOENT), (shelf / "file/a", errno.ENOTDIR),
                        (shelf / "pipe", errno.ESPIPE), ("/dev/null", errno.ESPIPE),
                        ("/proc/nothing", errno.ENOENT), (shelf / ("x" * 300), errno.ENAMETOOLONG)):
        library.open(origin_raw.url())
        assert library.set_file(path) == 0
        assert library.send() == -wrong, path
    assert library.set_file(shelf / "file", exclusive=True) == 0
    assert library.send() == -errno.EEXIST
    assert library.set_file("") == -errno.EINVAL
    assert library.set_file(shelf / "file", exclusive=True, resume=True) == -errno.EINVAL
    library.open(origin_raw.url(), "HEAD")
    assert library.set_file(shelf / "a") == 0
    assert library.send() == -errno.EINVAL
    assert not origin_raw.requests and names(shelf) == ["file", "pipe"]


UNPRIVILEGED = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.path[:0] = {path!r}
from downloading import Downloader
client = Downloader({socket!r})
for target in sys.argv[1:]:
    client.open({url!r})
    assert client.set_file(target) == 0
    print(client.send())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="who may everything is wanted, to give it up")
def test_folder_or_file_that_may_not_be_written_is_refused(xhrd, origin_raw, shelf):
    (shelf / "sticky").mkdir()
    (shelf / "sticky").chmod(0o1777)
    (shelf / "sticky/rooted").write_bytes(b"")
    (shelf / "sticky/rooted").chmod(0o666)
    (shelf / "open").mkdir()
    (shelf / "open").chmod(0o777)
    (shelf / "open/kept").write_bytes(b"")
    for folder in (shelf.parent, shelf):
        folder.chmod(0o755)
    targets = [shelf / "a", shelf / "sticky/rooted", shelf / "open/kept"]
    done = subprocess.run([sys.executable, "-c", UNPRIVILEGED.format(
        path=[os.path.dirname(__file__)], socket=str(xhrd.socket_path), url=origin_raw.url()),
        *map(str, targets)], capture_output=True, text=True, env={**os.environ, "XHRD_BUILD": str(BUILD)})
    assert done.stdout.split() == [str(-errno.EACCES), str(-errno.EPERM), str(-errno.EACCES)], done
    assert not origin_raw.requests


def test_file_that_came_meanwhile_is_not_overwritten_when_exclusive(library, origin_raw, shelf):
    def answer(request):
        (shelf / "a").write_bytes(b"mine")
        return response(b"yours")

    origin_raw.answer = answer
    assert library.set_file(shelf / "a", exclusive=True) == 0
    assert library.fetch(origin_raw.url()) == "write"
    assert library.error().sys_errno == errno.EEXIST
    assert (shelf / "a").read_bytes() == b"mine" and names(shelf) == ["a"]


def test_name_may_be_chosen_when_the_head_is_in(library, origin_raw, shelf):
    assert library.set_file(shelf / "a", chosen=shelf / "chosen") == 0
    assert library.fetch(origin_raw.url()) == 200
    assert names(shelf) == ["chosen"]
    assert library.file_path() == str(shelf / "chosen")
    assert library.set_file(shelf / "a", chosen=shelf / "none/b") == 0
    assert library.fetch(origin_raw.url()) == "write"
    assert library.error().sys_errno == errno.ENOENT


# ---- disks that take no more

@pytest.mark.skipif(os.getuid() != 0, reason="a file system of its own is mounted")
def test_cd03_full_disk_is_a_write_error_and_the_target_is_untouched(library, origin_raw, shelf):
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", shelf],
                           capture_output=True)
    if mount.returncode != 0:
        pytest.skip("may not mount")
    try:
        (shelf / "a").write_bytes(b"old")
        for resume in (False, True):
            Store(origin_raw)
            assert library.set_file(shelf / "a", resume=resume) == 0
            assert library.fetch(origin_raw.url()) == "write"
            assert library.error().sys_errno == errno.ENOSPC
            assert (shelf / "a").read_bytes() == b"old"
            assert names(shelf) == ([".a.xhr-info", ".a.xhr-part", "a"] if resume else ["a"])
        origin_raw.script = origin_raw.answer_all
        for connection in origin_raw.connections:  # all of the answer had come; this one has the store's script
            connection.close()
        assert library.set_file(shelf / "b") == 0  # the same daemon, another request
        os.unlink(shelf / ".a.xhr-part")
        assert library.fetch(origin_raw.url()) == 200
    finally:
        subprocess.run(["umount", "-l", shelf], check=True)


def test_cd03_file_size_limit_is_a_write_error(make_xhrd, origin_raw, shelf):
    import resource
    daemon = make_xhrd()
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    library = Downloader(daemon.socket_path)
    Store(origin_raw)
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == "write"
    assert library.error().sys_errno == errno.EFBIG
    assert names(shelf) == []
    library.close()


# ---- gone on with

def interrupted(library, store, shelf, **more):
    """A first try that ends in the middle. Return: how much of it is there."""
    store.cut_at = 300_000
    assert library.set_file(shelf / "a", resume=True, **more) == 0
    assert library.fetch(store.origin.url("/thing")) == "truncated"
    store.cut_at = None
    assert not (shelf / "a").exists()
    if ".a.xhr-part" not in names(shelf):
        return 0
    return wait_until(lambda: (shelf / ".a.xhr-part").stat().st_size, "something to be there")


@pytest.mark.parametrize("etag, modified, validator", [
    ('"one"', None, '"one"'), ('"one"', EARLIER, '"one"'), (None, EARLIER, EARLIER),
    ('W/"one"', EARLIER, EARLIER)])
def test_download_goes_on_where_it_ended(library, origin_raw, shelf, etag, modified, validator):
    store = Store(origin_raw, etag=etag, modified=modified)
    there = interrupted(library, store, shelf)
    assert library.fetch(origin_raw.url("/thing")) == 206
    assert store.asked() == [(None, None), (f"bytes={there}-", validator)]
    assert library.file_offset() == there
    assert (shelf / "a").read_bytes() == DATA
    assert names(shelf) == ["a"]
    assert origin_raw.requests[1].get("Accept-Encoding") == "identity"


@pytest.mark.parametrize("etag, modified", [(None, None), ('W/"one"', None), (None, DATE),
                                            (None, "Monday, 23-Nov-26 09:00:00 GMT")])
def test_without_a_strong_validator_nothing_is_kept(library, origin_raw, shelf, etag, modified):
    store = Store(origin_raw, etag=etag, modified=modified)
    assert interrupted(library, store, shelf) == 0
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert store.asked()[1] == (None, None)
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]


def test_changed_thing_begins_anew(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.etag, store.data = '"two"', DATA[::-1][:200_000]
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert store.asked()[1][1] == '"one"'
    assert (shelf / "a").read_bytes() == store.data and names(shelf) == ["a"]


def test_changed_thing_interrupted_again_goes_on_with_the_new_one(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.etag, store.data = '"two"', DATA[::-1]
    there = interrupted(library, store, shelf)
    assert 0 < there <= 300_000
    assert library.fetch(origin_raw.url("/thing")) == 206
    assert store.asked()[2] == (f"bytes={there}-", '"two"')
    assert (shelf / "a").read_bytes() == DATA[::-1]


def test_server_without_ranges_begins_anew(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.answer = lambda request: ("200 OK", store.fields(), DATA)
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]


def other_range(text):
    return lambda status, fields, body: (
        status, [f for f in fields if f[0] != "Content-Range"] +
        ([("Content-Range", text)] if text else []), body)


@pytest.mark.parametrize("text", [None, "bytes 0-1023999/1024000", "bytes */1024000", "bytes 5",
                                  "lines 1-2/3", "bytes 299999-200000/1024000",
                                  "bytes 18446744073709551616-18446744073709551617/*"])
def test_range_answered_with_another_range_is_an_error(library, origin_raw, shelf, text):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.change_206 = other_range(text)
    assert library.fetch(origin_raw.url("/thing")) == "range"
    assert names(shelf) == []
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert (shelf / "a").read_bytes() == DATA


def test_other_size_for_the_same_thing_is_an_error(library, origin_raw, shelf):
    store = Store(origin_raw)
    there = interrupted(library, store, shelf)
    store.change_206 = other_range(f"bytes {there}-{len(DATA)}/{len(DATA) + 1}")
    assert library.fetch(origin_raw.url("/thing")) == "range"


def test_server_that_knows_no_if_range_is_asked_for_all_of_a_changed_thing(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.data = DATA[::-1]
    store.change_206 = lambda status, fields, body: (
        status, [("ETag", '"two"'), *(f for f in fields if f[0] != "ETag")], body)
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert [r.get("Range") is None for r in origin_raw.requests] == [True, False, True]
    assert (shelf / "a").read_bytes() == DATA[::-1]


def test_part_with_a_coding_is_not_put_together(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    store.change_206 = lambda status, fields, body: (
        status, [("Content-Encoding", "gzip"), *fields], body)
    assert library.fetch(origin_raw.url("/thing")) == 200
    assert (shelf / "a").read_bytes() == DATA


def test_part_that_is_whole_needs_its_last_byte_again(library, origin_raw, shelf):
    store = Store(origin_raw)
    assert interrupted(library, store, shelf) > 0
    with open(shelf / ".a.xhr-part", "r+b") as part:
        part.write(DATA)
    assert library.fetch(origin_raw.url("/thing")) == 206
    assert store.asked()[1][0] == f"bytes={len(DATA) - 1}-"
    assert (shelf / "a").read_bytes() == DATA


def test_416_means_that_everything_is_there_or_that_it_begins_anew(library, origin_raw, shelf):
    for added, outcome in ((0, 416), (5, 200)):
        store = Store(origin_raw, etag='"one"')

        def chunked(connection, store=store):
            connection.request()
            head = response(b"", "200 OK", store.fields(), length=False)
            connection.send(head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.send(b"%x\r\n" % len(DATA) + DATA + b"\r\n")  # and no end

        origin_raw.script = chunked
        assert library.set_file(shelf / "a", resume=True) == 0
        assert library.fetch(origin_raw.url("/thing")) == "truncated"
        part = shelf / ".a.xhr-part"
        part.write_bytes(DATA + b"x" * added)
        origin_raw.script = store.serve
        assert library.fetch(origin_raw.url("/thing")) == outcome
        assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]
        os.unlink(shelf / "a")


def test_part_of_another_url_or_one_that_lies_is_not_gone_on_with(library, origin_raw, shelf):
    def other_url(library):
        return origin_raw.url("/other")

    def longer(library):
        with open(shelf / ".a.xhr-part", "ab") as part:
            part.truncate(len(DATA) + 1)
        return origin_raw.url("/thing")

    def another_file(library):
        data = (shelf / ".a.xhr-part").read_bytes()
        (shelf / "b").write_bytes(data)
        os.rename(shelf / "b", shelf / ".a.xhr-part")
        return origin_raw.url("/thing")

    def no_info(library):
        os.unlink(shelf / ".a.xhr-info")
        return origin_raw.url("/thing")

    def nonsense(library):
        (shelf / ".a.xhr-info").write_bytes(b"xhr-part 1\nfile 1\0\n" + b"\xff" * 100_000)
        return origin_raw.url("/thing")

    def link(library):
        os.rename(shelf / ".a.xhr-part", shelf / "elsewhere")
        (shelf / ".a.xhr-part").symlink_to("elsewhere")
        return origin_raw.url("/thing")

    for spoil in (other_url, longer, another_file, no_info, nonsense, link):
        store = Store(origin_raw)
        assert interrupted(library, store, shelf) > 0
        assert library.fetch(spoil(library)) == 200, spoil.__name__
        assert origin_raw.requests[-1].get("Range") is None
        assert (shelf / "a").read_bytes() == DATA
        assert {"a"} <= set(names(shelf)) <= {"a", "elsewhere"}, spoil.__name__
        os.unlink(shelf / "a")


def test_what_is_said_of_a_part_is_private_and_holds_no_password(library, origin_raw, shelf):
    store = Store(origin_raw)
    store.cut_at = 300_000
    assert library.set_file(shelf / "a", resume=True) == 0
    url = origin_raw.url("/thing?a=b@c").replace("//", "//ann:sesame@")
    assert library.fetch(url) == "truncated"
    info = (shelf / ".a.xhr-info")
    assert b"sesame" not in info.read_bytes()
    assert origin_raw.url("/thing?a=b@c").encode() in info.read_bytes()
    assert stat.S_IMODE(info.stat().st_mode) == 0o600


def test_error_while_going_on_keeps_the_part(library, origin_raw, shelf):
    store = Store(origin_raw)
    there = interrupted(library, store, shelf)
    store.answer = lambda request: ("503 Later", [], b"busy")
    assert library.fetch(origin_raw.url("/thing")) == "http-status"
    assert library.body() == b"busy"
    del store.answer
    assert library.fetch(origin_raw.url("/thing")) == 206
    assert store.asked()[-1][0] == f"bytes={there}-"
    assert (shelf / "a").read_bytes() == DATA


KILLED = """
import sys
sys.path[:0] = {path!r}
from downloading import Downloader
client = Downloader({socket!r})
assert client.set_file({target!r}, resume={resume}) == 0
client.start({url!r})
client.run()
"""


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("who", ["program", "daemon"])
def test_killed_download_leaves_a_part_or_nothing(xhrd, library, origin_raw, shelf, who, resume):
    store = Store(origin_raw)

    def half(connection):
        connection.request()
        connection.send(response(DATA, fields=store.fields())[:600_000])
        connection.wait_gone()

    origin_raw.script = half
    run = subprocess.Popen([sys.executable, "-c", KILLED.format(
        path=[os.path.dirname(__file__)], socket=str(xhrd.socket_path), resume=resume,
        target=str(shelf / "a"), url=origin_raw.url("/thing"))],
        stderr=subprocess.DEVNULL, env={**os.environ, "XHRD_BUILD": str(BUILD)})
    part = shelf / ".a.xhr-part"
    if resume:
        wait_until(lambda: part.exists() and part.stat().st_size >= 500_000, "half of it")
    else:
        wait_until(lambda: origin_raw.requests, "the request")
    if who == "program":
        run.send_signal(signal.SIGKILL)
        run.wait()
    else:
        xhrd.kill()
        assert run.wait() == 0  # told of it: daemon-lost
        xhrd.start()
    assert names(shelf) == ([".a.xhr-info", ".a.xhr-part"] if resume else [])
    origin_raw.script = store.serve
    assert library.set_file(shelf / "a", resume=resume) == 0
    assert library.fetch(origin_raw.url("/thing")) == (206 if resume else 200)
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]


def test_second_download_to_a_part_in_use_is_refused(xhrd, library, origin_raw, shelf):
    store = Store(origin_raw)
    held = []

    def half(connection):
        connection.request()
        connection.send(response(DATA, fields=store.fields())[:600_000])
        held.append(connection)
        connection.wait_gone()

    origin_raw.script = half
    other = Downloader(xhrd.socket_path)
    assert other.set_file(shelf / "a", resume=True) == 0
    other.start(origin_raw.url("/thing"))
    part = shelf / ".a.xhr-part"
    other.meanwhile(lambda: part.exists() and part.stat().st_size >= 500_000)
    library.open(origin_raw.url("/thing"))
    assert library.set_file(shelf / "a", resume=True) == 0
    assert library.send() == -errno.EBUSY
    other.abort()
    other.close()
    origin_raw.script = store.serve
    wait_until(lambda: library.send() == 0, "the part to be free")
    assert library.run() == 206
    assert (shelf / "a").read_bytes() == DATA


# ---- behind what is there

def test_file_itself_is_gone_on_with(library, origin_raw, shelf):
    store = Store(origin_raw)
    (shelf / "a").write_bytes(DATA[:1000])
    inode = (shelf / "a").stat().st_ino
    assert library.set_file(shelf / "a", append=True) == 0
    assert library.fetch(origin_raw.url()) == 206
    assert store.asked() == [("bytes=1000-", None)]
    assert (shelf / "a").read_bytes() == DATA and (shelf / "a").stat().st_ino == inode
    assert library.fetch(origin_raw.url()) == 416  # everything is there
    assert library.fetch(origin_raw.url()) == 416 and (shelf / "a").read_bytes() == DATA


def test_range_answered_with_200_is_an_error_or_begins_anew(library, origin_raw, shelf):
    store = Store(origin_raw)
    store.answer = lambda request: ("200 OK", store.fields(), DATA)
    (shelf / "a").write_bytes(b"some")
    assert library.set_file(shelf / "a", append=True) == 0
    assert library.fetch(origin_raw.url()) == "range"
    assert (shelf / "a").read_bytes() == b"some"
    assert library.set_file(shelf / "a", append=True, resume=True) == 0
    assert library.fetch(origin_raw.url()) == 200
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]


def test_longer_file_than_the_server_has_is_an_error(library, origin_raw, shelf):
    Store(origin_raw)
    (shelf / "a").write_bytes(DATA + b"more")
    assert library.set_file(shelf / "a", append=True) == 0
    assert library.fetch(origin_raw.url()) == "range"
    assert (shelf / "a").read_bytes() == DATA + b"more"


def test_unasked_part_is_an_error(library, origin_raw, shelf):
    origin_raw.reply(response(b"part", "206 Partial Content",
                              [("Content-Range", "bytes 0-3/10")]))
    assert library.set_file(shelf / "a") == 0
    assert library.fetch(origin_raw.url()) == "range"
    library.open(origin_raw.url())
    library.request.set_header("Range", "bytes=0-3")
    assert library.send() == 0
    assert library.run() == 206 and (shelf / "a").read_bytes() == b"part"


# ---- nginx

def is_free(part):
    with open(part, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_nginx_goes_on_and_begins_anew(library, origin_nginx, shelf):
    page, part = origin_nginx.prefix / "www/thing", shelf / ".a.xhr-part"
    url = origin_nginx.plain_url("/thing")
    assert library.set_file(shelf / "a", resume=True) == 0
    for data, outcome in ((DATA * 60, 206), (DATA[::-1] * 60, 200)):
        page.write_bytes(data)
        os.utime(page, (1_700_000_000 + data[0], 1_700_000_000 + data[0]))
        if outcome == 206:
            library.start(url)
            library.meanwhile(lambda: part.exists() and part.stat().st_size > 1000)
            library.abort()
            library.client.pump_until(lambda: True)
            wait_until(lambda: is_free(part), "the daemon to let go")
            os.truncate(part, 1000)
        assert library.fetch(url) == outcome
        assert library.file_offset() == (1000 if outcome == 206 else 0)
        assert (shelf / "a").read_bytes() == data and names(shelf) == ["a"]


# ---- beyond 4 GiB

def test_download_goes_on_beyond_4_gib(library, origin_nginx, shelf):
    size = (1 << 32) + 1
    origin_nginx.sparse("beyond", size)
    with open(shelf / "a", "wb") as file:
        file.truncate(size - 100_000)
    assert library.set_file(shelf / "a", append=True) == 0
    assert library.fetch(origin_nginx.plain_url("/beyond")) == 206
    assert library.file_offset() == size - 100_000
    assert (shelf / "a").stat().st_size == size
    assert library.fetch(origin_nginx.plain_url("/beyond")) == 416


def download_flat(xhrd, library, origin_nginx, shelf, size):
    origin_nginx.sparse("long", size)
    url = origin_nginx.plain_url("/long")
    assert library.set_file(shelf / "a") == 0
    library.fetch(origin_nginx.plain_url("/hello"))
    before = xhrd.rss_kib()
    assert library.fetch(url) == 200
    assert xhrd.rss_kib() - before <= 4096 or SANITIZED
    assert (shelf / "a").stat().st_size == size
    steps = [more["done_bytes"] for word, more in library.request.events if word == "down"]
    assert steps[-1] == size
    totals = {more["total_bytes"] for word, more in library.request.events
              if word == "down" and more["total_known"]}
    assert totals <= {6, size}


def test_download_keeps_memory_flat(xhrd, library, origin_nginx, shelf):
    download_flat(xhrd, library, origin_nginx, shelf, 200 << 20)


@pytest.mark.soak
def test_download_of_4_gib_and_a_byte_keeps_memory_flat(xhrd, library, origin_nginx, shelf):
    download_flat(xhrd, library, origin_nginx, shelf, (1 << 32) + 1)


# ---- too long for memory, and readers that pause

def test_long_answer_goes_on_in_a_temporary_file(library, origin_nginx):
    data = DATA * 20
    (origin_nginx.prefix / "www/spill").write_bytes(data)
    url = origin_nginx.plain_url("/spill")
    assert library.request.options(memory_bytes_max=1_000_000, spill=True) == 0
    assert library.fetch(url) == 200 and library.body() == data
    assert library.request.options(memory_bytes_max=1_000_000, spill=True,
                                   response_bytes_max=len(data) - 1) == 0
    assert library.fetch(url) == "limit"
    assert library.request.options(memory_bytes_max=1_000_000) == 0
    assert library.fetch(url) == "limit"


def test_reader_that_pauses_stops_the_server_and_goes_on(xhrd, origin_raw):
    library = Downloader(xhrd.socket_path, streaming=True)
    sent = [0]

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        while sent[0] < 64 << 20:
            connection.send(bytes(65536))
            sent[0] += 65536

    origin_raw.script = script
    library.library.xhr_request_pause.argtypes = [ctypes.c_void_p]
    library.library.xhr_request_resume.argtypes = [ctypes.c_void_p]
    library.request.then = lambda word: (word == "headers" and
                                         library.library.xhr_request_pause(library.handle))
    library.start(origin_raw.url())

    def held():
        before = sent[0]
        for _ in range(30):
            library.library.xhr_client_wait(library.client.handle, 5)
        return before > 0 and sent[0] == before
    wait_until(held, "the server to be held back")
    assert sent[0] < 32 << 20
    assert library.library.xhr_request_resume(library.handle) == 0
    assert library.run() == 200
    assert sum(more for word, more in library.request.events if word == "body") == 64 << 20
    library.close()


# ---- descriptors

def test_cd03_descriptor_that_appends_is_written_behind_its_end(client, origin_raw, shelf):
    (shelf / "log").write_bytes(b"before ")
    fd = os.open(shelf / "log", os.O_WRONLY | os.O_APPEND)
    exchange = client.open(origin_raw.url(), fds=[fd], response_fd=fetch_pb2.ResponseFd())
    os.close(fd)
    assert client.finish(exchange).done
    assert (shelf / "log").read_bytes() == b"before hello\n"


def test_cd03_descriptors_of_another_sort_or_mode_are_refused(client, origin_raw, shelf):
    (shelf / "a").write_bytes(b"")
    left, right = socket.socketpair(type=socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    for fd in (os.open(shelf / "a", os.O_RDONLY | os.O_APPEND), os.dup(left.fileno()), reader,
               os.open("/dev/zero", os.O_WRONLY), os.open(shelf, os.O_RDONLY),
               os.open(shelf / "a", os.O_PATH)):
        exchange = client.open(origin_raw.url(), fds=[fd], response_fd=fetch_pb2.ResponseFd())
        os.close(fd)
        assert client.finish(exchange).failure == "ARGUMENT"
    os.close(writer)
    left.close()
    right.close()
    assert not origin_raw.requests


OPENED = re.compile(r'(?<![a-z])(?:open|openat|openat2|creat|rename\w*|link\w*|unlink\w*|mkdir\w*)\(.*?"([^"]*)"')
# Names, certificates, the libraries of both, what the kernel says of itself.
ALLOWED = ("/etc/", "/usr/lib/", "/lib/", "/proc/", "/sys/", "/dev/", "/usr/share/", "/run/systemd/")


@pytest.fixture
def watched(xhrd, folder):
    """A function that says what files the daemon has named to the kernel since."""
    if os.getuid() != 0:
        pytest.skip("the daemon is traced")
    trace = folder / "trace"
    strace = subprocess.Popen(["strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o",
                               str(trace), "-p", str(xhrd.pid)], stderr=subprocess.PIPE)
    status = pathlib.Path(f"/proc/{xhrd.pid}/status")
    wait_until(lambda: "TracerPid:\t0\n" not in status.read_text() or strace.poll() is not None,
               "strace to look on")
    if strace.poll() is not None:
        pytest.skip("may not trace: " + strace.stderr.read().decode())

    def look():
        strace.terminate()
        strace.communicate()
        return trace.read_text()
    yield look
    strace.terminate()
    strace.wait()


def stray(trace, xhrd):
    """Paths that are neither of the state nor of the system."""
    return [path for path in OPENED.findall(trace)
            if path.startswith("/") and not path.startswith((str(xhrd.state_dir), *ALLOWED))]


def test_cd02_daemon_opens_no_path_of_a_client(xhrd, library, client, origin_raw, watched, shelf):
    store = Store(origin_raw)
    interrupted(library, store, shelf)
    assert library.fetch(origin_raw.url("/thing")) == 206
    for path in (b"/etc/passwd", b"file:///etc/shadow", str(shelf / "a").encode()):
        client.fetch(path.decode("latin-1"))
        client.fetch(origin_raw.url(), jar=path.decode("latin-1").replace("/", "")[:64])
    up = os.open(shelf / "a", os.O_RDONLY)
    origin_raw.script = origin_raw.answer_all
    exchange = client.open(origin_raw.url(), method="POST", fds=[up],
                           body=fetch_pb2.RequestBody(fd=fetch_pb2.FdBody()))
    os.close(up)
    assert client.finish(exchange).done
    trace = watched()
    assert not stray(trace, xhrd)
    assert not any(str(shelf) in path or path in ("a", ".a.xhr-part")
                   for path in OPENED.findall(trace))


def test_cd02_daemon_opens_no_path_that_xhr_is_given(xhrd, xhr, origin_raw, origin_tls, ca, folder,
                                                     watched):
    """Every flag of xhr that names a file: xhr opens it with its user's rights, and the daemon,
    whose cookies are somebody else's, has never heard of the name."""
    given = folder / "given"
    given.mkdir()

    def put(name, data=DATA):
        (given / name).write_bytes(data)
        return given / name
    cert, key = ca.issue("client.example", common_name="ann")
    jar = put("jar", b"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tgiven\t1\n")
    put("netrc", b"machine 127.0.0.1 login ann password given\n").chmod(0o600)
    plain, tls = origin_raw.url(), origin_tls.url()
    for flags in (["-o", given / "out", plain], ["-o", "given/relative", plain],
                  ["--output-dir", given, "-O", origin_raw.url("/remote")],
                  ["--output-dir", given / "made", "--create-dirs", "-J", "-O",
                   origin_raw.url("/named")],
                  ["-D", given / "head", "-o", given / "body", plain],
                  ["-T", put("up"), plain], ["-F", f"a=@{put('part')};type=text/plain", plain],
                  ["-F", f"a=<{put('text')}", plain], ["-d", f"@{put('data', b'x=1')}", plain],
                  ["--data-binary", f"@{put('binary')}", plain],
                  ["--data-urlencode", f"n@{put('encoded', b'x')}", plain],
                  ["--json", f"@{put('json', b'{}')}", plain],
                  ["-H", f"@{put('headers', b'A: b')}", plain],
                  ["-w", f"@{put('format', b'%{http_code}')}", plain],
                  ["-b", jar, "-c", given / "kept", plain], ["--netrc-file", given / "netrc", plain],
                  [f"--events={given / 'events'}", plain],
                  ["--cacert", put("ca", ca.pem.read_bytes()), tls],
                  ["--cacert", given / "ca", "-E", put("cert", cert.read_bytes()), "--key",
                   put("key", key.read_bytes()), tls]):
        assert not xhr("-s", *flags, check=0).err
    store = Store(origin_raw)
    store.cut_at = 300_000
    xhr("-s", "-C", "-", "-o", given / "long", origin_raw.url("/thing"), check=18)
    store.cut_at = None
    xhr("-s", "-C", "-", "-o", given / "long", origin_raw.url("/thing"), check=0)
    assert (given / "long").read_bytes() == DATA
    assert "given" in (given / "kept").read_text() and (given / "made").is_dir()
    trace = watched()
    assert str(xhrd.state_dir) in trace, "it was looked at"
    assert not stray(trace, xhrd)
    assert "given" not in trace and cert.name not in trace
