# SPDX-License-Identifier: MIT
"""xhr's -o, -O, -J, -C and their sisters: files that are whole or not there."""
import os
import signal
import stat

import pytest
from origins import response
from test_downloads import DATA, Store, names
from waiting import wait_until


@pytest.fixture
def shelf(folder):
    shelf = folder / "shelf"
    shelf.mkdir()
    return shelf


@pytest.mark.shallow
def test_file_appears_when_it_is_whole_and_keeps_its_mode(xhr, origin_raw, shelf):
    Store(origin_raw)
    (shelf / "a").write_bytes(b"old")
    (shelf / "a").chmod(0o600)
    xhr("-o", shelf / "a", origin_raw.url(), check=0)
    assert (shelf / "a").read_bytes() == DATA
    assert stat.S_IMODE((shelf / "a").stat().st_mode) == 0o600
    (shelf / "link").symlink_to("a")
    Store(origin_raw, b"hello\n")
    xhr("-O", "--output-dir", shelf, "-o", "link", origin_raw.url("/b?c"), origin_raw.url(),
        check=0)
    assert (shelf / "link").is_symlink() and (shelf / "a").read_bytes() == b"hello\n"
    assert names(shelf) == ["a", "b", "link"]


@pytest.mark.shallow
@pytest.mark.parametrize("flags, left", [([], b"sorry"), (["--fail-with-body"], b"sorry"),
                                         (["-f"], b"old")])
def test_body_of_an_error_is_a_body_as_curls_unless_f(xhr, origin_raw, shelf, flags, left):
    (shelf / "a").write_bytes(b"old")
    origin_raw.reply(response(b"sorry", "404 Not Found"))
    xhr(*flags, "-o", shelf / "a", origin_raw.url(), check=22 if flags else 0)
    assert (shelf / "a").read_bytes() == left and names(shelf) == ["a"]


@pytest.mark.shallow
@pytest.mark.parametrize("flags", [[], ["-i"]])
def test_answer_that_ends_early_leaves_the_file_as_it_was(xhr, origin_raw, shelf, flags):
    Store(origin_raw).cut_at = 100_000
    (shelf / "a").write_bytes(b"old")
    xhr(*flags, "-o", shelf / "a", origin_raw.url(), check=18)
    assert (shelf / "a").read_bytes() == b"old" and names(shelf) == ["a"]


@pytest.mark.shallow
def test_head_before_the_body_goes_to_the_file_too(xhr, origin_raw, shelf):
    xhr("-i", "-o", shelf / "a", origin_raw.url(), check=0)
    assert (shelf / "a").read_bytes() == b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
    xhr("-I", "-o", shelf / "a", "http://127.0.0.1:1/", check=7)
    assert (shelf / "a").read_bytes().startswith(b"HTTP/1.1 200") and names(shelf) == ["a"]


@pytest.mark.parametrize("flags", [[], ["-i"], ["-C", "-"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_download_leaves_no_partial_file(xhr, origin_raw, shelf, flags, number):
    store = Store(origin_raw)

    def half(connection):
        connection.request()
        connection.send(response(DATA, fields=store.fields())[:600_000])
        connection.wait_gone()

    origin_raw.script = half
    run = xhr.start(*flags, "-o", shelf / "a", origin_raw.url())
    part = shelf / ".a.xhr-part"
    if "-C" in flags:
        wait_until(lambda: part.exists() and part.stat().st_size > 500_000, "half of it")
    else:
        wait_until(lambda: origin_raw.connections, "the request")
    run.send_signal(number)
    run.communicate()
    assert run.returncode == (42 if number == signal.SIGINT else -number)
    assert names(shelf) == ([".a.xhr-info", ".a.xhr-part"] if "-C" in flags else [])
    if "-C" in flags:
        origin_raw.script = store.serve
        xhr(*flags, "-o", shelf / "a", origin_raw.url(), check=0)
        assert origin_raw.requests[-1].get("If-Range") == '"one"'
        assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]


@pytest.mark.shallow
def test_what_is_no_file_is_written_as_the_bytes_come(xhr, origin_raw, shelf):
    xhr("-o", "/dev/null", origin_raw.url(), check=0)
    assert xhr("-o", "-", origin_raw.url(), check=0).out == "hello\n"
    assert xhr("-o", "/dev/stdout", origin_raw.url(), check=0).out == "hello\n"
    assert xhr("-o", "/dev/full", origin_raw.url(), check=23).err.count("\n") == 1
    assert xhr("-o", shelf, origin_raw.url(), check=23).err.count("\n") == 1
    os.mkfifo(shelf / "pipe")
    reader = os.open(shelf / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    xhr("-o", shelf / "pipe", origin_raw.url(), check=0)
    assert os.read(reader, 100) == b"hello\n"
    os.close(reader)


@pytest.mark.shallow
def test_folder_that_is_not_there_is_exit_23_or_made(xhr, origin_raw, shelf):
    done = xhr("-o", shelf / "x/y/a", origin_raw.url(), check=23)
    assert "x/y/a: No such file or directory" in done.err and not origin_raw.requests
    xhr("--create-dirs", "-o", shelf / "x/y/a", origin_raw.url(), check=0)
    xhr("--create-dirs", "--output-dir", shelf / "p/q", "-O", origin_raw.url("/b"), check=0)
    assert (shelf / "x/y/a").read_bytes() == (shelf / "p/q/b").read_bytes() == b"hello\n"
    (shelf / "file").write_bytes(b"")
    xhr("--create-dirs", "-o", shelf / "file/a", origin_raw.url(), check=23)


@pytest.mark.shallow
def test_no_clobber_takes_the_next_free_name(xhr, origin_raw, shelf):
    for _ in range(3):
        xhr("--no-clobber", "-o", shelf / "a", "-w", "%{filename_effective}", origin_raw.url(), check=0)
    assert names(shelf) == ["a", "a.1", "a.2"]
    for number in range(3, 101):
        (shelf / f"a.{number}").write_bytes(b"")
    assert "up to .100" in xhr("--no-clobber", "-o", shelf / "a", origin_raw.url(), check=23).err


@pytest.mark.shallow
@pytest.mark.parametrize("field, name", [
    ('attachment; filename="report.pdf"', "report.pdf"),
    ("attachment; filename=report.pdf; size=5", "report.pdf"),
    ('attachment; filename="../../etc/passwd"', "passwd"),
    ('attachment; filename="c:\\\\temp\\\\a.txt"', "a.txt"),
    ('attachment; filename=".bashrc"', "_bashrc"),
    ('attachment; filename=".."', "url"),
    ('attachment; filename="dir/"', "url"),
    ('attachment; filename="a\\"b"', 'a"b'),
    ("attachment; filename=\"x\"; filename*=UTF-8''na%C3%AFve%2Fa%20b", "a b"),
    ("attachment; filename*=latin1''x; filename=y", "y"),
    ("attachment; filename*=UTF-8''%0a%1bx", "__x"),
    ("inline", "url"), ("", "url"),
    ('attachment; filename="' + "x" * 400 + '"', "x" * 200)])
def test_server_gives_the_name_and_nothing_but_the_name(xhr, origin_raw, shelf, field, name):
    origin_raw.reply(response(b"body", fields=[("Content-Disposition", field)]))
    done = xhr("-OJ", "--output-dir", shelf, "-w", "%{filename_effective}", origin_raw.url("/url"),
               check=0)
    assert names(shelf) == [name]
    assert done.out == str(shelf / name)
    assert (shelf / name).read_bytes() == b"body"
    assert "is there and stays" in xhr("-OJ", "--output-dir", shelf, origin_raw.url("/url"), check=23).err
    xhr("-OJ", "--no-clobber", "--output-dir", shelf, origin_raw.url("/url"), check=0)
    assert names(shelf) == [name, name + ".1"]


@pytest.mark.shallow
@pytest.mark.parametrize("length", [True, False])
def test_max_filesize_is_exit_63(xhr, origin_raw, shelf, length):
    body = bytes(2049)
    head = [] if length else [("Connection", "close")]
    origin_raw.script = lambda c: (c.request(), c.send(response(body, fields=head, length=length)))
    xhr("--max-filesize", "2k", "-o", shelf / "a", origin_raw.url(), check=63)
    assert names(shelf) == []
    xhr("--max-filesize", "2049", "-o", shelf / "a", origin_raw.url(), check=0)
    xhr("--max-filesize", "0", origin_raw.url(), check=0)
    assert (shelf / "a").stat().st_size == 2049


# ---- -C

@pytest.mark.shallow
def test_c_goes_on_behind_a_file_that_is_there(xhr, origin_raw, shelf):
    store = Store(origin_raw)
    (shelf / "a").write_bytes(DATA[:1000])
    xhr("-C", "-", "-o", shelf / "a", origin_raw.url(), check=0)
    assert store.asked() == [("bytes=1000-", None)]
    assert (shelf / "a").read_bytes() == DATA
    xhr("-C", "-", "-o", shelf / "a", origin_raw.url(), check=0)  # 416: it is all there
    assert (shelf / "a").read_bytes() == DATA and names(shelf) == ["a"]
    xhr("-C", "-", "-o", shelf / "new", origin_raw.url(), check=0)
    assert (shelf / "new").read_bytes() == DATA


@pytest.mark.shallow
def test_c_of_an_error_changes_nothing_and_is_exit_22(xhr, origin_raw, shelf):
    (shelf / "a").write_bytes(b"some")
    origin_raw.reply(response(b"sorry", "404 Not Found"))
    for flags in (["-C", "-"], ["-C", "4"]):
        xhr(*flags, "-o", shelf / "a", origin_raw.url(), check=22)
        assert (shelf / "a").read_bytes() == b"some"


@pytest.mark.shallow
def test_c_with_an_offset(xhr, origin_raw, shelf):
    Store(origin_raw)
    (shelf / "a").write_bytes(DATA[:1000])
    assert "has 1000 bytes" in xhr("-C", "999", "-o", shelf / "a", origin_raw.url(), check=2).err
    xhr("-C", "1000", "-o", shelf / "a", origin_raw.url(), check=0)
    assert (shelf / "a").read_bytes() == DATA
    xhr("-C", "1000", "-o", shelf / "tail", origin_raw.url(), check=0)
    assert (shelf / "tail").read_bytes() == DATA[1000:]
    assert xhr("-C", "1023990", origin_raw.url(), check=0).stdout == DATA[1023990:]
    xhr("-C", "0", "-o", shelf / "all", origin_raw.url(), check=0)
    assert (shelf / "all").read_bytes() == DATA
    assert "name it with -o" in xhr("-C", "-", origin_raw.url(), check=2).err
    assert "no file" in xhr("-C", "-", "-o", "/dev/null", origin_raw.url(), check=2).err


@pytest.mark.shallow
def test_range_answered_with_200_is_exit_33(xhr, origin_raw, shelf):
    (shelf / "a").write_bytes(b"some")
    for arguments in (["-o", shelf / "a"], ["-o", shelf / "new"], []):
        done = xhr("-C", "4", *arguments, origin_raw.url(), check=33)
        assert done.out == ""
    assert (shelf / "a").read_bytes() == b"some" and names(shelf) == ["a"]
    xhr("-C", "-", "-o", shelf / "a", origin_raw.url(), check=0)  # begins anew
    assert (shelf / "a").read_bytes() == b"hello\n"
