# SPDX-License-Identifier: MIT
"""The daemon and the command line programs as a test runs them."""
import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess

import wire
from waiting import wait_until

BUILD = pathlib.Path(os.environ.get("XHRD_BUILD") or wire.SOURCE / "build/dev").resolve()
XHRD, XHR, XHRCTL = BUILD / "bin/xhrd", BUILD / "bin/xhr", BUILD / "bin/xhrctl"

# What a sanitizer, an invariant or glibc says on its way out.
ALARMS = re.compile(r"Sanitizer|runtime error:|invariant|stack smashing|double free|corrupted",
                    re.I)
RSS_GROWTH_MAX_KIB = 8 * 1024


def has_setting(pattern) -> bool:
    """Of the build, in CMake's cache."""
    cache = BUILD / "CMakeCache.txt"
    return bool(cache.exists() and re.search(pattern, cache.read_text(), re.M))


def sanitized() -> bool:
    return has_setting(r"^XHRD_SANITIZE:\w+=.+$")


SANITIZED = sanitized()
COUNTS_LINES = has_setting(r"^CMAKE_C_FLAGS\w*:\w+=.*--coverage")  # and makes calls for that


def clean_environment(home: pathlib.Path, **more):
    """Nothing of the machine's own set-up leaks into a test."""
    keep = {name: os.environ[name] for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                                "TSAN_OPTIONS", "LSAN_OPTIONS")
            if name in os.environ}
    keep.setdefault("ASAN_OPTIONS", "strict_string_checks=1:detect_stack_use_after_return=1")
    keep.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    return {**keep, "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}


def _hold_low_descriptors():
    """Keep 3 to 9 occupied, so that what subprocess itself opens never is descriptor 3, where a
    child expects its listening socket."""
    while (fd := os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) < 10:
        pass
    os.close(fd)


_hold_low_descriptors()


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
MS_PRIVATE_ALL, MS_BIND = 1 << 18 | 1 << 14, 1 << 12


def _unshare_network():
    """Into a network namespace of its own, and a /sys that shows it. Takes root."""
    assert LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS) == 0
    assert LIBC.mount(b"none", b"/", None, MS_PRIVATE_ALL, None) == 0
    assert LIBC.mount(b"sysfs", b"/sys", b"sysfs", 0, None) == 0


def _bind(mounts):
    """Into a mount namespace of its own, where these places are others. Takes root."""
    assert LIBC.unshare(CLONE_NEWNS) == 0
    assert LIBC.mount(b"none", b"/", None, MS_PRIVATE_ALL, None) == 0
    for place, other in mounts.items():
        assert LIBC.mount(os.fsencode(other), os.fsencode(place), None, MS_BIND, None) == 0


class Daemon:
    """xhrd on a listening socket handed over as systemd does, with a state folder of its own."""

    def __init__(self, folder: pathlib.Path, *arguments, env=None, config=None, state_dir=None,
                 unshare_network=False, binds=None, wrapper=()):
        """@binds: {place: what is there instead, for this daemon}; @wrapper: words in front"""
        self.folder, self.unshare_network, self.binds = folder, unshare_network, binds
        self.wrapper = wrapper
        folder.mkdir(parents=True, exist_ok=True)
        self.socket_path = folder / "socket"
        self.state_dir = state_dir or folder / "state"
        self.log_path = folder / "log"
        self.arguments = ["--state-dir", str(self.state_dir), "--log-level", "debug", *arguments]
        if "--system" not in arguments:
            self.arguments.insert(0, "--user")
        self.config_path = folder / "xhrd.conf"
        self.config_path.write_text(config or "")
        self.arguments += ["--config", str(self.config_path)]
        self.env = clean_environment(folder, **(env or {}))
        self.expected_alarms = False
        self._listen()
        self.start()
        self._measure()

    def _listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket_path))
        self.listener.listen(1024)

    def start(self):
        """Start it (again) on the same socket and state."""
        listener = self.listener.fileno()

        def hand_over():
            os.dup2(listener, 3)
            if self.unshare_network:
                _unshare_network()
            if self.binds:
                _bind(self.binds)
            os.environ.clear()
            # INVOCATION_ID tells systemd's sockets, which outlive the daemon, from a client's.
            os.environ.update(self.env, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()),
                              INVOCATION_ID="0" * 32)

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.wrapper, str(XHRD), *self.arguments], close_fds=False,
                                            preexec_fn=hand_over, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.pid = self.process.pid

    def _measure(self):
        with self.client() as client:
            client.status()
            self.fds_before = len(self.fds())
            self.rss_before_kib = self.rss_kib()

    def client(self, **options) -> wire.Client:
        return wire.Client(self.socket_path, **options)

    def reload(self):
        """Read the configuration again, and be done with it."""
        lines = self.log().count("reloaded")
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: self.log().count("reloaded") > lines, "the configuration to be read")

    def client_count(self) -> int:
        """Connections to its socket that it holds."""
        held = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                held.add(os.readlink(f"/proc/{self.pid}/fd/{fd}")[8:-1])
        unix = pathlib.Path(f"/proc/{self.pid}/net/unix").read_text().splitlines()[1:]
        return sum(row[6] in held and row[5] == "03" and row[-1] == str(self.socket_path)
                   for row in map(str.split, unix))

    # -- what can be seen from outside

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def fds(self):
        """What its descriptors are, those of the cookie store apart."""
        found = []
        for entry in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if not target.startswith(str(self.state_dir)):
                    found.append(target)
        return found

    def rss_kib(self) -> int:
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory_kib(self, name) -> int:
        """VmHWM: the most that was resident since forget_peak(); VmSize: what is mapped now."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", text).group(1))

    def alive(self) -> bool:
        return self.process.poll() is None

    # -- ends

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ask it to leave. Return: its exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError("xhrd did not leave on SIGTERM\n" + self.tail()) from None

    def tail(self) -> str:
        return "\n".join(self.log().split("\n")[-40:])

    def check(self, rss_growth_kib=RSS_GROWTH_MAX_KIB):
        """Alive, nothing left behind. Connections kept for reuse are not left behind."""
        assert self.alive(), f"xhrd left with {self.process.returncode}\n{self.tail()}"
        with self.client() as client:
            def at_rest():
                status = client.status()
                held = len(self.fds()) - status.connections_open
                return (status.requests_active == 0 and status.clients == 1
                        and held <= self.fds_before) or None
            try:
                wait_until(at_rest, "xhrd to come to rest")
            except AssertionError as fault:
                raise AssertionError(f"{fault}\n{client.status()}\nbefore {self.fds_before} "
                                     f"descriptors, now {sorted(self.fds())}") from None
        grown = self.rss_kib() - self.rss_before_kib
        assert SANITIZED or grown <= rss_growth_kib, f"resident memory grew by {grown} KiB"

    def finish(self, check=True):
        """The end of a test: at rest, a clean exit, nothing a sanitizer would say."""
        try:
            if check:
                self.check()
            status = self.stop()
            assert not check or status == 0, f"xhrd left with {status}\n{self.tail()}"
        finally:
            if self.alive():
                self.kill()
            self.listener.close()
        alarms = [line for line in self.log().split("\n") if ALARMS.search(line)]
        assert self.expected_alarms or not alarms, "\n".join(alarms) + "\n" + self.tail()


class Program:
    """One of the command line programs, led to a daemon."""

    def __init__(self, path: pathlib.Path, folder: pathlib.Path, within=(), **env):
        """@within: words to put in front of the command line."""
        self.path, self.folder, self.env = path, folder, clean_environment(folder, **env)
        self.within = within

    def start(self, *arguments, env=None, **options) -> subprocess.Popen:
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([*self.within, str(self.path), *map(str, arguments)],
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.folder,
                                env={**self.env, **(env or {})}, **options)

    def __call__(self, *arguments, input=None, env=None, check=None, timeout=60):
        """Run to the end; `check` is the exit status it must have. Text is in .out and .err."""
        with self.start(*arguments, env=env,
                        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL) as run:
            try:
                out, err = run.communicate(input, timeout)
            except subprocess.TimeoutExpired:
                run.kill()
                out, err = run.communicate()
                raise AssertionError(f"{arguments} did not end\n{out!r}\n{err!r}") from None
        assert not ALARMS.search(err.decode(errors="replace")), err.decode(errors="replace")
        result = Finished(run.returncode, out, err)
        assert check is None or result.status == check, result
        return result


class Finished:
    """What a program left: exit status, output bytes, complaints."""

    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")

    def __repr__(self):
        return f"exit {self.status}\nstdout: {self.stdout[:2000]!r}\nstderr: {self.err[:4000]}"
