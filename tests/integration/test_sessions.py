# SPDX-License-Identifier: MIT
"""Session cookies outlive the death of the daemon, end with its end, and never meet a disk (P4).
Here a user's daemon that owns its socket; test_systemd.py has the one whose memory systemd holds."""
import itertools
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import tempfile
import threading

import pytest
import wire
from origins import ScriptedOrigin, response
from programs import SANITIZED, XHRD, Daemon
from test_per_user import Home
from waiting import wait_until


class NoListener:
    """The daemon binds its socket itself."""

    def close(self):
        pass


class OwnDaemon(Daemon):
    """A user's daemon that binds its own socket, in a folder that is memory."""

    def __init__(self, place, folder, *arguments, **options):
        self.place = place
        super().__init__(folder, *arguments, state_dir=folder / "state", **options)

    def _listen(self):
        self.listener, self.socket_path = NoListener(), self.place / "socket"
        self.kept = self.place / "socket.sessions"

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(XHRD), *self.arguments, "--socket", str(self.socket_path)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        self.pid = self.process.pid

        def listens():
            assert self.alive(), self.tail()
            try:
                self.client().close()
            except OSError:
                return False
            return True
        wait_until(listens, "the daemon to listen")

    def restart_hard(self):
        self.kill()
        self.start()


def is_memory(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "tmpfs"


@pytest.fixture
def place():
    """A folder of one's own in memory."""
    if not (os.path.isdir("/dev/shm") and is_memory("/dev/shm")):
        pytest.skip("/dev/shm is no tmpfs here")
    path = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(place, folder):
    daemon = OwnDaemon(place, folder / "xhrd")
    yield daemon
    daemon.finish()


def on_disk(daemon, what: bytes) -> bool:
    return any(what in p.read_bytes() for p in daemon.state_dir.rglob("*") if p.is_file())


def sent_to(client, origin):
    """The Cookie field of a request."""
    assert client.fetch(origin.url()).done
    return origin.requests[-1].get("Cookie")


def log_in(daemon, origin, *fields):
    origin.reply(response(b"ok", fields=[("Set-Cookie", field) for field in fields]))
    with daemon.client() as client:
        assert client.fetch(origin.url()).done
    origin.reply(response(b"ok"))


@pytest.mark.shallow
def test_a_login_outlives_a_kill_and_is_on_no_disk(daemon, origin_raw):
    log_in(daemon, origin_raw, "sid=secret-of-a-session; HttpOnly", "theme=dark; Max-Age=86400")
    daemon.restart_hard()
    with daemon.client() as client:
        assert sent_to(client, origin_raw) == "sid=secret-of-a-session; theme=dark"
    daemon.restart_hard()  # who came back comes back again
    with daemon.client() as client:
        assert sent_to(client, origin_raw) == "sid=secret-of-a-session; theme=dark"
    assert not on_disk(daemon, b"secret-of-a-session")
    assert stat.S_IMODE(daemon.kept.stat().st_mode) == 0o600


@pytest.mark.shallow
def test_a_clean_leave_ends_the_session_and_leaves_nothing(daemon, origin_raw):
    log_in(daemon, origin_raw, "sid=1", "theme=dark; Max-Age=86400")
    assert daemon.kept.exists()
    assert daemon.stop() == 0
    assert not daemon.kept.exists()
    daemon.start()
    with daemon.client() as client:
        assert sent_to(client, origin_raw) == "theme=dark"


def test_what_ended_stays_ended_over_a_kill(daemon, origin_raw):
    ways = [lambda client: client.remove_cookies(name="sid"),
            lambda client: client.remove_cookies(),
            lambda client: client.cookie_command("", end_session=wire.cookie_pb2.SessionEnd()),
            lambda client: client.cookie_command("default", end_session=wire.cookie_pb2.SessionEnd()),
            lambda client: client.cookie_command("default", jar_remove=wire.cookie_pb2.JarRemove())]
    for way in ways:
        log_in(daemon, origin_raw, "sid=1")
        with daemon.client() as client:
            assert len(client.cookies()) == 1
            way(client)
        daemon.restart_hard()
        with daemon.client() as client:
            assert client.cookies() == []
    log_in(daemon, origin_raw, "sid=1")
    log_in(daemon, origin_raw, "sid=; Max-Age=0")
    daemon.restart_hard()
    with daemon.client() as client:
        assert sent_to(client, origin_raw) is None


def test_a_folder_that_is_no_memory_keeps_nothing(folder, origin_raw):
    if is_memory(folder):
        pytest.skip("the tests' folder is memory")
    place = folder / "place"
    place.mkdir(mode=0o700)
    daemon = OwnDaemon(place, folder / "xhrd")
    try:
        log_in(daemon, origin_raw, "sid=1")
        assert not daemon.kept.exists()
        daemon.restart_hard()
        with daemon.client() as client:
            assert sent_to(client, origin_raw) is None
    finally:
        daemon.finish()


def test_a_users_daemon_that_is_killed_logs_nobody_out(place, folder, origin_raw):
    home = Home(folder)
    runtime = {"XDG_RUNTIME_DIR": str(place)}
    home.runtime = place
    origin_raw.reply(response(b"in", fields=[("Set-Cookie", "sid=1")]))
    home.xhr(origin_raw.url(), env=runtime, check=0)
    origin_raw.reply(response(b"ok"))
    for _ in range(2):
        for pid in home.daemons():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not home.daemons(), "the daemon to be gone")
        home.xhr(origin_raw.url(), env=runtime, check=0)
        assert origin_raw.requests[-1].get("Cookie") == "sid=1"
    home.stop()
    assert not list(place.rglob("*.sessions"))
    home.xhr(origin_raw.url(), env=runtime, check=0)
    assert origin_raw.requests[-1].get("Cookie") is None
    home.stop()


@pytest.fixture
def small_memory(folder):
    """A file system of 512 KiB in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = folder / "memory"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "xhrd-test", str(path)],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_memory_that_is_full_costs_no_request_and_no_login_of_before(small_memory, folder):
    daemon, origin, number = OwnDaemon(small_memory, folder / "xhrd"), ScriptedOrigin(), itertools.count()
    try:
        log_in(daemon, origin, "sid=1")
        origin.answer = lambda request: response(b"ok", fields=[("Set-Cookie", f"pad{next(number)}={'x' * 3000}")])
        with open(small_memory / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        with daemon.client() as client:
            for _ in range(150):
                assert client.fetch(origin.url()).done, "requests go on"
            assert len(client.cookies()) == 151
        assert daemon.log().count("no memory to keep session cookies") == 1
        daemon.restart_hard()
        with daemon.client() as client:
            names = {c.name for c in client.cookies()}
            assert b"sid" in names and 0 < len(names) < 150
            (small_memory / "ballast").unlink()
            assert client.fetch(origin.url()).done
            newest = f"pad{next(number) - 1}".encode()
        daemon.restart_hard()
        with daemon.client() as client:
            assert newest in {c.name for c in client.cookies()}
    finally:
        daemon.finish()
        origin.stop()


# ---- kills at random ------------------------------------------------------------------------


def state_after(number):
    """What the cookie is worth when answer @number was the last. Each fifth takes it away."""
    return None if number % 5 == 0 else number


def set_cookies(request):
    """A session cookie, each third a persistent one: they take each other's place all the time. And
    two that are session cookies and belong together."""
    _, name, number = request.target.split("/")
    number = int(number)
    gone = "; Max-Age=0" if state_after(number) is None else ""
    lasting = "; Max-Age=86400" if number % 3 == 0 and not gone else gone
    fields = [f"{name}={number}; Path=/{lasting}", *(f"{name}{half}={number}; Path=/{gone}" for half in "ab")]
    return response(b"ok", fields=[("Set-Cookie", field) for field in fields])


class Writer(threading.Thread):
    def __init__(self, daemon, origin, name, number):
        super().__init__()
        self.target, self.origin, self.name_, self.acknowledged = daemon, origin, name, number

    def run(self):
        try:
            with self.target.client() as client:
                for number in itertools.count(self.acknowledged + 1):
                    if not client.fetch(self.origin.url(f"/{self.name_}/{number}")).done:
                        return
                    self.acknowledged = number
        except (wire.Closed, OSError):
            pass


def kill_rounds(daemon, origin, rounds, writers=3):
    """Return: how many answers were acknowledged."""
    chance, last, known = random.Random(7), [0] * writers, {}
    for _ in range(rounds):
        threads = [Writer(daemon, origin, f"w{n}", last[n]) for n in range(writers)]
        for thread in threads:
            thread.start()
        goal = sum(last) + chance.randrange(1, 60)
        wait_until(lambda: sum(t.acknowledged for t in threads) >= goal, "some writes")  # noqa: B023
        daemon.kill()
        for thread in threads:
            thread.join()
        daemon.start()
        with daemon.client() as client:
            kept = {c.name.decode(): int(c.value) for c in client.cookies()}
        for n, thread in enumerate(threads):
            begun = state_after(thread.acknowledged + 1)
            for name in (thread.name_, f"{thread.name_}a", f"{thread.name_}b"):
                told = known.get(name) if thread.acknowledged == last[n] else state_after(thread.acknowledged)
                assert kept.get(name) in (told, begun), "lost, or back from the dead"
                known[name] = kept.get(name)
            assert known[f"{thread.name_}a"] == known[f"{thread.name_}b"], "P3: both of an answer, or neither"
            last[n] = thread.acknowledged + 1
    return sum(last)


@pytest.fixture
def kept_logins(place, folder):
    daemon = OwnDaemon(place, folder / "xhrd", "--log-level", "warning")
    origin = ScriptedOrigin()
    origin.answer = set_cookies
    yield daemon, origin
    origin.stop()
    daemon.finish()


def test_db01_kills_lose_no_acknowledged_session_cookie_and_raise_none(kept_logins):
    rounds = 10 if SANITIZED else 100
    assert kill_rounds(*kept_logins, rounds) > rounds


@pytest.mark.soak
def test_db01_a_thousand_kills_lose_no_acknowledged_session_cookie(kept_logins):
    assert kill_rounds(*kept_logins, 1000) > 1000
