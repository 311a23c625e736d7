# SPDX-License-Identifier: MIT
"""The machine fails for a while under load: no descriptors, no memory, a full or a hung disk, a
clock that jumps, a stop, a journal that is dead. Each request ends, the daemon stays, and when it is over
all is as before: requests load, cookies are kept, and nothing more is held (the xhrd fixture). A
short while in CI, a longer one in the soak."""
import contextlib
import os
import resource
import signal
import socket
import threading

import pytest
from origins import ScriptedOrigin, response
from programs import SANITIZED
from torture import Rack
from waiting import wait_until
from wire import Closed

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a mount namespace")
TRIES = {"shallow": 60, "soak": 3000}
N_USERS = 3
HOUR_S = 3600


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in TRIES])
def tries(request):
    """Requests that are made while it lasts."""
    return TRIES[request.param]


def answer(request):
    return response(b"hello\n", fields=[("Set-Cookie", f"c{hash(request.target) % 20}=1; Max-Age=9000"),
                                        *([("Connection", "close")] if "close" in request.target else [])])


class Load:
    """Clients that ask one thing after the other, and connect again when they are let go."""

    def __init__(self, daemon, origin, stays=False):
        self.daemon, self.origin = daemon, origin
        self.requests_each = 1 << 30 if stays else 50
        self.loads = self.failures = self.refusals = 0
        self.faults, self.over = [], threading.Event()
        self._users = [threading.Thread(target=self._use, args=(n,)) for n in range(N_USERS)]
        for user in self._users:
            user.start()

    @property
    def tries(self):
        return self.loads + self.failures + self.refusals

    def _use(self, number):
        while not self.over.is_set():
            try:
                with self.daemon.client() as client:
                    self._ask(client, number)
            except (Closed, ConnectionError):
                self.refusals += 1
            except Exception as fault:  # a hang is one, too
                self.faults.append(fault)
                return

    def _ask(self, client, number):
        for n in range(self.requests_each):
            if self.over.is_set():
                return
            path = f"/{number}/{n}" + ("/close" if n % 3 else "")
            exchange = client.fetch(self.origin.url(path), idle_ms=20000)
            if exchange.failed:
                self.failures += 1
            else:
                assert exchange.body == b"hello\n"
                self.loads += 1

    def goes_on_for(self, tries):
        begin = self.tries
        wait_until(lambda: self.tries >= begin + tries or self.faults, f"{tries} requests", 300)

    def stop(self):
        self.over.set()
        for user in self._users:
            user.join()
        assert not self.faults, self.faults


class Place:
    def __init__(self, make_xhrd, folder):
        self.rack = Rack(make_xhrd, folder, config="")
        self.daemon, self.plan = self.rack.daemon, self.rack.plan
        self.origin = ScriptedOrigin()
        self.origin.answer = answer
        self.load = None

    def is_under_load(self, stays=False):
        self.load = Load(self.daemon, self.origin, stays)
        self.load.goes_on_for(20)
        assert self.load.loads == self.load.tries, "all is well in the beginning"
        return self.load

    def is_well_again(self):
        """Requests load, and their cookies are on the disk."""
        def loads():
            with self.daemon.client() as client:
                exchange = client.fetch(self.origin.url("/again"))
                return exchange.done and not exchange.done.cookies_not_persisted
        wait_until(loads, "a request to load", 40)
        loads, tries = self.load.loads, self.load.tries
        self.load.goes_on_for(20)
        assert self.load.loads > loads and self.load.tries > tries
        assert self.daemon.alive()

    def stop(self):
        self.plan.disarm()
        if self.load and not self.load.over.is_set():
            self.load.stop()
        self.origin.stop()
        self.rack.close()


@pytest.fixture
def place(make_xhrd, folder):
    made = Place(make_xhrd, folder)
    yield made
    made.stop()


WANTS = [("no descriptors", 0), ("no space", 0),
         # a sanitizer's allocator is its own
         *([] if SANITIZED else [("no memory", 40), ("no memory", 7)])]


@pytest.mark.parametrize("want, at", WANTS)
def test_a_want_of_the_machine_passes_and_leaves_nothing(place, tries, want, at):
    # who comes when there are no descriptors waits until there are some
    load = place.is_under_load(stays=want == "no descriptors")
    place.plan.arm(want, at)
    load.goes_on_for(tries)
    place.plan.disarm()
    place.is_well_again()
    load.stop()


def test_ip12_its_own_descriptors_run_out_and_come_back(place, tries):
    load = place.is_under_load()
    before = resource.prlimit(place.daemon.pid, resource.RLIMIT_NOFILE)
    held = len(os.listdir(f"/proc/{place.daemon.pid}/fd"))
    resource.prlimit(place.daemon.pid, resource.RLIMIT_NOFILE, (held - 1, before[1]))
    load.goes_on_for(tries)
    resource.prlimit(place.daemon.pid, resource.RLIMIT_NOFILE, before)
    place.is_well_again()
    load.stop()


def test_a_disk_that_hangs_holds_up_no_request_without_cookies(place):
    """Persistence is off the loop: who needs none does not notice."""
    with place.daemon.client() as client:
        assert client.fetch(place.origin.url("/first")).done
        place.plan.arm("stalled")
        waits = client.open(place.origin.url("/second"))
        wait_until(place.plan.has_failed, "the disk to hang")
        place.origin.answer = lambda request: response(b"hello\n")
        with place.daemon.client() as other:
            for n in range(100):
                assert other.fetch(place.origin.url(f"/{n}"), jar=":private").body == b"hello\n"
        place.plan.disarm()
        assert client.finish(waits).done and not waits.done.cookies_not_persisted


@pytest.mark.parametrize("hours", [1, -1])
def test_db11_a_jump_of_the_clock_ends_no_request_and_loses_no_cookie(place, tries, hours):
    load = place.is_under_load()
    with place.daemon.client() as client:
        known = {cookie.name for cookie in client.cookies()}
        assert known
        held = threading.Event()
        place.origin.answer = lambda request: (
            held.wait(60) and answer(request) if request.target == "/held" else answer(request))
        exchange = client.open(place.origin.url("/held"), idle_ms=60000, total_ms=120000)
        place.plan.arm("other time", hours * HOUR_S)
        load.goes_on_for(tries)
        assert load.loads == load.tries, "timers are not of this clock"
        assert known <= {cookie.name for cookie in client.cookies()}
        place.plan.disarm()
        held.set()
        assert client.finish(exchange).done
        assert known <= {cookie.name for cookie in client.cookies()}
    place.is_well_again()
    load.stop()


def test_a_daemon_that_was_stopped_goes_on_where_it_was(place):
    load = place.is_under_load()
    os.kill(place.daemon.pid, signal.SIGSTOP)
    status = f"/proc/{place.daemon.pid}/stat"
    wait_until(lambda: open(status).read().rpartition(")")[2].split()[0] == "T", "it to stop")
    with place.daemon.client(hello=False):  # the socket's queue takes it
        os.kill(place.daemon.pid, signal.SIGCONT)
        place.is_well_again()
    load.stop()
    assert load.failures == load.refusals == 0


@contextlib.contextmanager
def journal(make_xhrd, folder, *arguments):
    """A journal's socket, and a daemon that writes to it. Yields (socket, daemon)."""
    (folder / "run/systemd/journal").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "run/systemd/journal/socket"))
        (folder / "xhrd0").mkdir()
        log = folder / "xhrd0/log"
        log.touch()
        yield sock, make_xhrd(
            *arguments, binds={"/run": folder / "run"},
            env={"JOURNAL_STREAM": f"{log.stat().st_dev}:{log.stat().st_ino}"})
        assert log.read_text() == "", "it wrote to the journal"


def lines_there(sock):
    """What the journal has to read, as dicts of fields."""
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            text = sock.recv(1 << 16, socket.MSG_DONTWAIT).decode()
            assert text.endswith("\n")
            lines.append(dict(field.split("=", 1) for field in text.splitlines()))
    return lines


def after_its_lines(daemon):
    """A line is written after the answer it tells of, in the same round; hello comes in a later one."""
    daemon.client().close()


@AS_ROOT
def test_a_journal_that_is_dead_holds_up_nothing(make_xhrd, folder, origin_raw):
    """Its lines are lost, the requests are not."""
    with journal(make_xhrd, folder) as (sock, daemon), daemon.client() as client:
        sock.close()  # the name is there, and nobody has it open any more
        for n in range(50):
            assert client.fetch(origin_raw.url(f"/{n}")).done


@AS_ROOT
def test_a_journal_that_hangs_holds_up_nothing_and_is_told_what_it_missed(make_xhrd, folder, origin_raw):
    tries = 4 * int(open("/proc/sys/net/unix/max_dgram_qlen").read())
    with journal(make_xhrd, folder, "--log-level", "info") as (sock, daemon), daemon.client() as client:
        for n in range(tries):
            assert client.fetch(origin_raw.url(f"/{n}")).done
        after_its_lines(daemon)
        taken = lines_there(sock)
        requests = [line for line in taken if "XHRD_REQUEST" in line]
        assert len(requests) < tries, "its queue was full"
        assert client.fetch(origin_raw.url("/more")).done
        after_its_lines(daemon)
        missing, last = lines_there(sock)
        assert missing["MESSAGE"].startswith(f"{tries - len(requests)} lines are missing")
        assert (missing["PRIORITY"], len(missing["MESSAGE_ID"])) == ("4", 32)
        assert last["XHRD_REQUEST"] and last["XHRD_ORIGIN"] and last["PRIORITY"] == "6"
        assert {line["SYSLOG_IDENTIFIER"] for line in (*taken, missing, last)} == {"xhrd"}


@pytest.fixture
def deaf_manager(folder):
    """A service manager that reads nothing, and whose queue somebody else has filled."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        manager.bind(str(path))
        other.setblocking(False)
        other.connect(str(path))
        with contextlib.suppress(BlockingIOError):
            while True:
                other.send(b"x")
        yield manager, path


def test_a_service_manager_that_hears_nothing_holds_up_nobody(deaf_manager, make_xhrd, origin_raw):
    manager, path = deaf_manager
    xhrd = make_xhrd(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "300000"})
    with xhrd.client() as client:
        for n in range(3):
            assert client.fetch(origin_raw.url(f"/{n}")).done
            xhrd.reload()
    manager.settimeout(5)
    heard = iter(lambda: manager.recv(256), b"")
    # That it holds the memory of session cookies is asked for by itself.
    steps = (said for said in heard if said != b"x" and not said.startswith(b"FDSTORE=1"))
    assert next(steps).split(b"\n")[0] == b"READY=1"  # where it stands now, not what was missed
    assert next(steps) == b"WATCHDOG=1"
