# SPDX-License-Identifier: MIT
"""Long answers that xhr does not carry itself: the daemon writes to the file, or to nowhere, and nothing
else is different. Standard output is shared with others, and stays in order."""
import gzip
import os
import resource
import signal
import subprocess

import pytest
from origins import response
from test_bodies_down import lines_of, traced
from test_downloads import names, shelf  # noqa: F401
from programs import COUNTS_LINES, XHR, Program
from waiting import wait_until

LONG = bytes(range(256)) * (3 << 12)  # 3 MiB: beyond what the daemon sends ahead
FIRST = 1 << 20
ours_alone = pytest.mark.skipif(COUNTS_LINES, reason="this build makes calls to count its lines")


def in_shell(xhr, script, *words, **more):
    """A shell's redirections are what this is about. `$0` is xhr."""
    return subprocess.run(["sh", "-c", script, xhr.path, *map(str, words)], env=xhr.env, cwd=xhr.folder,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, **more)


def passes(xhr, folder, script, *words):
    """Return: (bytes that xhr wrote to something but stderr, descriptors it handed over)."""
    trace = folder / "xhr.trace"
    with_trace = traced(["-e", "trace=write,sendmsg", "-o", str(trace)])
    env = {**xhr.env, "ASAN_OPTIONS": xhr.env["ASAN_OPTIONS"] + ":detect_leaks=0"}
    done = subprocess.run([*with_trace, "sh", "-c", "exec " + script, xhr.path, *map(str, words)], env=env,
                          cwd=xhr.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    if b"ptrace" in done.stderr:
        pytest.skip("may not trace")
    assert done.returncode == 0, done.stderr
    lines = [what for _, what in lines_of(trace)]
    written = sum(int(what.rsplit("= ", 1)[1]) for what in lines if what.startswith("write("))
    return written, sum("SCM_RIGHTS" in what for what in lines)


@pytest.fixture
def long_origin(origin_nginx):
    origin_nginx.write("long", LONG)
    origin_nginx.write("short", LONG[:60_000])
    return origin_nginx


@pytest.mark.shallow
@ours_alone
@pytest.mark.parametrize("http", ["url", "h2_url", "plain_url"])
@pytest.mark.parametrize("to", ["> $1", ">> $1", "-o /dev/null", "> /dev/null", "-i -o $1", "> $1 2>&1 -v"])
def test_what_is_long_is_written_by_the_daemon(xhr, long_origin, ca, folder, shelf, http, to):
    url = getattr(long_origin, http)("/long")
    redirection = to if ">" in to else f"{to} "
    written, passed = passes(xhr, folder, f'"$0" -s --cacert {ca.pem} $2 {redirection}', shelf / "a", url)
    assert passed == 1 and written < FIRST + 65536
    if "$1" in to:
        assert (shelf / "a").read_bytes().endswith(LONG)
        assert len((shelf / "a").read_bytes()) < len(LONG) + 4096
        assert names(shelf) == ["a"]


@ours_alone
def test_what_is_short_or_for_a_reader_comes_through_xhr(xhr, long_origin, folder, shelf):
    short, long = long_origin.plain_url("/short"), long_origin.plain_url("/long")
    for to in ("> $1", "-i -o $1", "-o /dev/null"):
        assert passes(xhr, folder, f'"$0" -s $2 {to}', shelf / "a", short)[1] == 0
    os.mkfifo(shelf / "pipe")
    reader = subprocess.Popen(["cp", shelf / "pipe", shelf / "a"])
    written, passed = passes(xhr, folder, '"$0" -s $2 -o $1', shelf / "pipe", long)
    assert reader.wait() == 0 and (shelf / "a").read_bytes() == LONG and (written, passed) == (len(LONG), 0)
    written, passed = passes(xhr, folder, 'sh -c \'ulimit -f 100000; exec "$0" -s "$2" > "$1"\' "$0" "$1" "$2"',
                             shelf / "a", long)
    assert (shelf / "a").read_bytes() == LONG and (written, passed) == (len(LONG), 0)


@pytest.mark.shallow
def test_what_others_write_to_the_same_file_stays_where_it_belongs(xhr, long_origin, shelf):
    url = long_origin.plain_url("/long")
    for redirection in ("> $1", ">> $1"):
        done = in_shell(xhr, '{ echo before; "$0" -s -w "%{size_download}\\n" $2 $3; echo behind; } '
                        + redirection, shelf / "a", url, long_origin.plain_url("/short"))
        assert done.returncode == 0
        whole = b"before\n" + LONG + b"3145728\n" + LONG[:60_000] + b"60000\nbehind\n"
        assert (shelf / "a").read_bytes() == whole
        (shelf / "a").write_bytes(b"")


@pytest.mark.shallow
def test_trailers_stand_behind_what_the_daemon_wrote(xhr, origin_raw, shelf):
    body = b"%x\r\n%b\r\n0\r\nDigest: x\r\n\r\n" % (len(LONG), LONG)
    origin_raw.reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n" + body)
    xhr("-i", "-o", shelf / "a", origin_raw.url(), check=0)
    assert (shelf / "a").read_bytes().endswith(LONG + b"Digest: x\r\n")


@pytest.mark.shallow
def test_codings_are_undone_and_limits_kept(xhr, origin_raw, shelf):
    origin_raw.reply(response(gzip.compress(LONG, 1), fields=[("Content-Encoding", "gzip")]))
    done = in_shell(xhr, '"$0" -s --compressed -w "%{stderr}%{size_download}" $2 > $1', shelf / "a", origin_raw.url())
    assert (shelf / "a").read_bytes() == LONG and done.returncode == 0
    done = in_shell(xhr, '"$0" -s --max-filesize 2000000 $2 > $1', shelf / "a", origin_raw.url())
    assert done.returncode == 63 and LONG.startswith((shelf / "a").read_bytes())


@pytest.mark.shallow
@pytest.mark.parametrize("flags, code, size", [([], 0, len(LONG)), (["-f"], 22, 0),
                                               (["--fail-with-body"], 22, len(LONG))])
def test_body_of_an_error_goes_where_it_went(xhr, origin_raw, shelf, flags, code, size):
    origin_raw.reply(response(LONG, "500 Oh No"))
    done = in_shell(xhr, f'"$0" -s {" ".join(flags)} $2 > $1', shelf / "a", origin_raw.url())
    assert done.returncode == code and (shelf / "a").stat().st_size == size


def test_retry_does_not_write_twice_what_cannot_be_taken_back(xhr, origin_raw, shelf):
    def cut(connection):
        connection.request()
        connection.send(response(LONG)[:-100])

    origin_raw.script = cut
    done = in_shell(xhr, '"$0" -s --retry 2 --retry-all-errors --retry-delay 0 $2 > $1', shelf / "a",
                    origin_raw.url())
    assert done.returncode == 18 and (shelf / "a").read_bytes() == LONG[:-100]
    assert len(origin_raw.requests) == 1


def half_way(origin):
    """The origin stops in the middle, behind what goes past xhr."""
    def half(connection):
        connection.request()
        connection.send(response(LONG)[:2 << 20])
        connection.wait_gone()

    origin.script = half


def redirected(xhr, path, *arguments):
    with open(path, "wb") as file:
        return subprocess.Popen([xhr.path, "-s", *arguments], env=xhr.env, cwd=xhr.folder, stdin=subprocess.DEVNULL,
                                stdout=file, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_xhr_leaves_what_has_come(xhr, origin_raw, shelf, number):
    half_way(origin_raw)
    run = redirected(xhr, shelf / "a", origin_raw.url())
    wait_until(lambda: (shelf / "a").stat().st_size > FIRST, "more than what goes through xhr")
    run.send_signal(number)
    run.communicate()
    assert run.returncode in (42, -number)
    got = (shelf / "a").read_bytes()
    assert LONG.startswith(got) and len(got) > FIRST
    assert origin_raw.connections[0].closed.wait(30), "the daemon gives up what nobody wants"


def test_daemon_that_dies_half_way_is_an_error(make_xhrd, folder, origin_raw, shelf):
    daemon = make_xhrd()
    xhr = Program(XHR, folder, XHRD_SOCKET=str(daemon.socket_path))
    half_way(origin_raw)
    run = redirected(xhr, shelf / "a", origin_raw.url())
    wait_until(lambda: (shelf / "a").stat().st_size > FIRST, "more than what goes through xhr")
    daemon.kill()
    err = run.communicate()[1]
    daemon.start()  # the test's end looks at it
    assert run.returncode not in (0, -signal.SIGKILL), err
    got = (shelf / "a").read_bytes()
    assert LONG.startswith(got) and len(got) > FIRST


def test_server_that_ends_early_is_exit_18_and_what_came_is_there(xhr, origin_raw, shelf):
    def cut(connection):
        connection.request()
        connection.send(response(LONG)[:-1000])

    origin_raw.script = cut
    for flags in ("", "-i"):
        done = in_shell(xhr, f'"$0" -s {flags} $2 > $1', shelf / "a", origin_raw.url())
        assert done.returncode == 18
        assert (shelf / "a").read_bytes().endswith(LONG[-2000:-1000])


@pytest.mark.parametrize("to", ["> $1/a", "-o $1/a", "-i -o $1/a"])
def test_full_disk_is_exit_23(xhr, long_origin, shelf, to):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", shelf], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        done = in_shell(xhr, f'"$0" {to} $2', shelf, long_origin.plain_url("/long"))
        assert done.returncode == 23
        assert b"No space left" in done.stderr and done.stderr.count(b"xhr:") == 1
    finally:
        subprocess.run(["umount", "-l", shelf], check=True)


def test_limit_of_a_files_size_is_kept(xhr, long_origin, shelf):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    for to in ("> $1/a", "-i -o $1/a", "-o $1/a"):
        done = in_shell(xhr, f'"$0" {to} $2', shelf, long_origin.plain_url("/long"), preexec_fn=limited)
        assert done.returncode == 23, to
        assert b"File too large" in done.stderr
        assert not (shelf / "a").exists() or (shelf / "a").stat().st_size <= 1 << 21


def test_4_gib_to_standard_output_and_memory_flat(xhrd, xhr, origin_nginx, shelf):
    origin_nginx.sparse("huge", (4 << 30) + 1)
    done = in_shell(xhr, '"$0" -s -w "%{stderr}%{size_download}" -o /dev/null $1', origin_nginx.plain_url("/huge"))
    assert done.returncode == 0 and done.stderr == b"4294967297"
