# SPDX-License-Identifier: MIT
"""No daemon started first: the client starts one of the user's own, exactly one, and it leaves
when nobody needs it."""
import os
import signal
import stat
import subprocess
import sys
import threading

import isolated
import pytest
from origins import ScriptedOrigin, response
from programs import BUILD, SANITIZED, XHR, XHRCTL, XHRD, Program, clean_environment
from waiting import wait_until


def processes_of(runtime):
    """Pids of daemons whose environment names this runtime directory."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{entry}/exe") != str(XHRD):
                continue
            with open(f"/proc/{entry}/environ", "rb") as environ:
                if f"XDG_RUNTIME_DIR={runtime}".encode() in environ.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            pass
    return found


class Home:
    """A user's folders, without a daemon: none that this machine runs can be found."""

    def __init__(self, folder):
        self.folder, self.runtime, self.state = folder, folder / "run", folder / "state"
        self.runtime.mkdir(mode=0o700)
        self.environment = {"XHRD_DAEMON": str(XHRD), "XDG_RUNTIME_DIR": str(self.runtime),
                            "XDG_STATE_HOME": str(self.state)}
        within = isolated.command(BUILD, folder)
        self.xhr = Program(XHR, folder, within, **self.environment)
        self.xhrctl = Program(XHRCTL, folder, within, **self.environment)

    def daemons(self):
        return processes_of(self.runtime)

    def stop(self):
        for pid in self.daemons():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self.daemons(), "the daemons to leave")


@pytest.fixture
def home(folder):
    home = Home(folder)
    yield home
    home.stop()


@pytest.fixture
def origin():
    origin = ScriptedOrigin()
    yield origin
    origin.stop()


@pytest.mark.shallow
def test_first_request_starts_a_daemon_and_the_next_one_finds_it(home, origin):
    assert home.xhr(origin.url(), check=0).out == "hello\n"
    daemons = home.daemons()
    assert len(daemons) == 1
    assert home.xhr(origin.url(), check=0).out == "hello\n"
    assert home.daemons() == daemons
    assert len(origin.connections) == 1, "the second process rode the first one's connection"


@pytest.mark.shallow
def test_cookies_are_kept_below_the_users_state_directory(home, origin):
    origin.reply(response(b"in", fields=[("Set-Cookie", "s=1; Max-Age=86400")]))
    home.xhr(origin.url(), check=0)
    home.stop()
    home.xhr(origin.url(), check=0)
    assert origin.requests[-1].get("Cookie") == "s=1"
    assert (home.state / "xhrd").is_dir()
    assert stat.S_IMODE((home.state / "xhrd").stat().st_mode) == 0o700


def test_xhr_starts_the_daemon_it_was_built_with(home, origin):
    """The environment names none, and none is installed."""
    del home.xhr.env["XHRD_DAEMON"]
    assert home.xhr(origin.url(), check=0).out == "hello\n"
    assert len(home.daemons()) == 1


def test_hundred_processes_at_once_start_one_daemon(home, origin):
    count = 20 if SANITIZED else 100
    script = f'for n in $(seq {count}); do "$0" -s {origin.url("/")}$n & done; wait'
    run = subprocess.Popen([*home.xhr.within, "/bin/sh", "-c", script, str(XHR)], env=home.xhr.env,
                           cwd=home.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    pids = set()
    stop = threading.Event()

    def watch():
        while not stop.wait(0.01):
            pids.update(home.daemons())

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert run.communicate(timeout=60) == ("hello\n" * count, "")
    stop.set()
    watcher.join()
    assert len(home.daemons()) == 1
    assert len(origin.requests) == count
    assert len(origin.connections) <= 6


@pytest.mark.shallow
def test_daemon_that_was_killed_is_started_again(home, origin):
    home.xhr(origin.url(), check=0)
    first = home.daemons()
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: not home.daemons(), "the daemon to be gone")
    home.xhr(origin.url(), check=0)
    assert home.daemons() and home.daemons() != first


@pytest.mark.shallow
def test_no_start_refuses_to_start_one(home, origin):
    run = home.xhr("--no-start", origin.url(), check=100)
    assert run.err.count("\n") == 1 and "xhr" in run.err
    assert not home.daemons() and not origin.requests


@pytest.mark.shallow
def test_daemon_that_cannot_be_started_is_said_in_one_line(home, origin):
    run = home.xhr(origin.url(), env={"XHRD_DAEMON": "/nonexistent/xhrd"}, check=100)
    assert "/nonexistent/xhrd" in run.err and run.err.count("\n") == 1


@pytest.mark.shallow
def test_socket_directory_that_others_may_write_is_not_trusted(home, origin):
    trap = home.runtime / "xhrd"
    trap.mkdir()
    trap.chmod(0o777)
    run = home.xhr(origin.url())
    assert run.status in (0, 100) and not list(trap.iterdir())
    assert run.status == 0 or str(trap) in run.err


@pytest.mark.shallow
def test_socket_is_for_the_owner_only(home, origin):
    home.xhr(origin.url(), check=0)
    sockets = [p for p in home.runtime.rglob("*") if stat.S_ISSOCK(p.stat().st_mode)]
    assert [str(s.relative_to(home.runtime)) for s in sockets] == ["xhrd/socket"]
    assert stat.S_IMODE(sockets[0].stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(sockets[0].parent.stat().st_mode) == 0o700


# Plays daemons in all the places where one may be found, then runs its arguments isolated.
DECOYS = """
import os, pathlib, socket, subprocess, sys
import isolated
listeners = []
for place in isolated.places():
    pathlib.Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listeners.append(socket.socket(socket.AF_UNIX))
    listeners[-1].bind(place)
    listeners[-1].listen()
    listeners[-1].setblocking(False)
status = subprocess.run(sys.argv[1:]).returncode
for listener in listeners:
    try:
        listener.accept()
        sys.exit("a decoy was found: " + listener.getsockname())
    except BlockingIOError:
        pass
sys.exit(status)
"""


def test_these_tests_do_not_find_a_daemon_that_runs_on_the_machine(home, origin, folder):
    inner = [*isolated.command(BUILD, folder), str(XHR), "-s", origin.url()]
    outer = [*isolated.command(BUILD, folder, os.path.dirname(isolated.__file__)),
             sys.executable, "-B", "-c", DECOYS, *inner]
    env = clean_environment(folder, PYTHONPATH=os.path.dirname(isolated.__file__),
                            **home.environment)
    run = subprocess.run(outer, env=env, cwd=folder, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "hello\n"), run.stderr
    assert len(home.daemons()) == 1


@pytest.mark.shallow
def test_idle_daemon_leaves_and_the_next_request_starts_another(make_idle_daemon, origin):
    daemon, xhr = make_idle_daemon
    assert xhr(origin.url(), check=0).out == "hello\n"
    assert daemon.process.wait(30) == 0


@pytest.fixture
def make_idle_daemon(folder):
    from programs import Daemon
    daemon = Daemon(folder / "idle", "--idle-exit", "1")
    yield daemon, Program(XHR, folder, XHRD_SOCKET=str(daemon.socket_path))
    daemon.finish(check=False)


@pytest.mark.shallow
def test_busy_daemon_does_not_count_as_idle(make_idle_daemon, origin):
    daemon, _ = make_idle_daemon
    proceed = threading.Event()

    def script(connection):
        connection.request()
        proceed.wait(3)  # longer than the idle time
        connection.send(response(b"at last"))
        connection.wait_gone()

    origin.script = script
    with daemon.client() as client:
        assert client.fetch(origin.url()).body == b"at last"
        assert daemon.alive()
