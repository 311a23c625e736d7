# SPDX-License-Identifier: MIT
"""What a fresh process pays for one request, counted: pages it touches for the first time, system
calls of its own and of the daemon for it. Counts repeat where seconds do not; each has some room
above what it is, so that a table or a look-up that every process would pay for is seen."""
import os
import pathlib
import re
import subprocess

import pytest

import programs
from waiting import wait_until

FAULTS_MAX = {"musl": 42, "glibc": 60}  # 36 and 50
CALLS_MAX = {"musl": 40, "glibc": 44}  # 33 and 36
DAEMON_CALLS_MAX = 36  # 27 with its line in the log
RELRO_PAGES_MAX = 10  # 8 where libprotobuf-c is linked into it
RUNS = 10


def libc_of(program: pathlib.Path):
    """What xhr was linked with; None: it is not static, and its loader pays for more."""
    headers = subprocess.run(["readelf", "-lW", str(program)], text=True, capture_output=True, check=True)
    if "INTERP" in headers.stdout:
        return None
    return "glibc" if b"GLIBC_TUNABLES" in program.read_bytes() else "musl"


LIBC = libc_of(programs.XHR)
static_only = pytest.mark.skipif(LIBC is None, reason="xhr is not static in this build")
ours_alone = pytest.mark.skipif(programs.COUNTS_LINES, reason="this build makes calls to count its lines")


def faults_of(xhr, *arguments):
    """Of one process, which must succeed."""
    words = [str(xhr.path), *map(str, arguments)]
    nothing = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(words[0], words, xhr.env, file_actions=nothing)
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_minflt


def may_trace(command):
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip("may not trace: " + probe.stderr)
    return command


@static_only
@ours_alone
def test_fresh_xhr_touches_few_pages(xhr, origin_nginx):
    xhr("-s", origin_nginx.plain_url("/hello"), check=0)
    least = min(faults_of(xhr, "-s", origin_nginx.plain_url("/hello")) for _ in range(RUNS))
    assert least <= FAULTS_MAX[LIBC]


@static_only
def test_xhr_is_linked_with_musl_where_that_is_installed():
    installed = list(pathlib.Path("/usr/lib").glob("*-linux-musl/rcrt1.o"))
    cache = (programs.BUILD / "CMakeCache.txt").read_text()
    gcc = not re.search(r"^CMAKE_C_COMPILER:\w+=.*clang", cache, re.M)
    wanted = installed and gcc and "--coverage" not in cache and "XHRD_MUSL:BOOL=ON" in cache
    assert LIBC == ("musl" if wanted else "glibc")


@static_only
@ours_alone
def test_fresh_xhr_makes_few_system_calls(xhr, origin_nginx, folder):
    trace = folder / "calls"
    xhr("-s", origin_nginx.plain_url("/hello"), check=0)
    xhr.within = may_trace(["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace)])
    xhr("-s", "-o", "/dev/null", origin_nginx.plain_url("/hello"), check=0)
    calls = trace.read_text().splitlines()
    assert len(calls) <= CALLS_MAX[LIBC], "\n".join(calls)


def test_few_pages_of_libxhr_are_each_processs_own():
    """The loader relocates them: memory of every process that links it, and a page fault each."""
    library = next((programs.BUILD / "client-lib").glob("libxhr.so.0.*"))
    headers = subprocess.run(["readelf", "-lW", str(library)], text=True, capture_output=True, check=True).stdout
    start, size = (int(re.search(r"^ *GNU_RELRO +\S+ (\S+) \S+ \S+ (\S+)", headers, re.M).group(n), 16) for n in (1, 2))
    assert (start + size) // 4096 - start // 4096 <= RELRO_PAGES_MAX


@pytest.mark.xhrd(arguments=["--log-level", "info"])
@pytest.mark.skipif(os.getuid() != 0, reason="the daemon is traced")
def test_daemon_makes_few_calls_for_a_fresh_process_and_those_for_the_log_when_nobody_waits(
        xhrd, xhr, origin_nginx, folder):
    trace = folder / "calls"
    url = origin_nginx.plain_url("/hello")
    xhr("-s", url, check=0)
    strace = subprocess.Popen(may_trace(["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace),
                                         "-p", str(xhrd.pid)]), stderr=subprocess.PIPE)
    status = pathlib.Path(f"/proc/{xhrd.pid}/status")
    wait_until(lambda: "TracerPid:\t0\n" not in status.read_text() or strace.poll() is not None,
               "strace to look on")
    for _ in range(RUNS):
        xhr("-s", url, check=0)
    wait_until(lambda: xhrd.log().count(" 200, 6 bytes") > RUNS, "the last line, which comes after the answer")
    strace.terminate()
    strace.communicate()
    calls = trace.read_text().splitlines()
    assert len(calls) / RUNS <= DAEMON_CALLS_MAX, "\n".join(calls[:100])
    told = [word for call in calls for word, sign in WHAT.items() if re.search(sign, call)]
    assert "".join(told) == "asks looks answers logs " * RUNS


# Of one request, in this order: it is on its way before anybody looks up whose it is, and answered
# before it is logged.
WHAT = {"asks ": r'send\w*\(.*"GET /hello', "looks ": r'open\w*\(.*"/proc/\d+/cgroup"',
        "answers ": r"send\w*\(.*Server", "logs ": r'write\(\d+, "xhrd: info'}
