# SPDX-License-Identifier: MIT
"""The service as it is shipped, under a real systemd (container.py): what only a service manager
shows. One container for all tests of this file; each begins with a fresh service."""
import contextlib
import os
import threading

import pytest
from container import Container, Unbootable, why_not
from origins import ScriptedOrigin, response
from test_users import as_user
from waiting import wait_until
from wire import Client, Closed

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

ANN, BOB = 4001, 4002


@pytest.fixture(scope="module")
def booted():
    try:
        container = Container()
    except Unbootable as fault:
        pytest.skip(f"no container can be booted here: {fault}")
    yield container
    container.stop()


@pytest.fixture
def machine(booted, request):
    booted.fresh()
    request.node.xhrd = booted  # whose tail() a failure shows
    yield booted
    booted.systemctl("stop", "xhrd.service")


@pytest.fixture
def origin(booted):
    with booted.network():
        origin = ScriptedOrigin()
    yield origin
    origin.stop()


def connect(machine, uid=ANN, **options):
    with as_user(uid):
        return Client(machine.socket_path, **options)


# ---- coming up ----------------------------------------------------------------------------------

def test_sd01_the_first_client_starts_the_service(machine, origin):
    assert machine.is_active() == "inactive"
    with connect(machine) as client:
        assert client.hello.uid == ANN
        assert client.fetch(origin.url()).body == b"hello\n"
        assert client.status().pid == machine.main_pid()
    assert machine.is_active() == "active"


def test_sd02_ready_is_said_when_clients_are_served(machine):
    config = machine.root / "etc/xhrd/xhrd.conf"
    os.mkfifo(config)  # the daemon comes up no further than to its configuration
    with connect(machine, hello=False) as client:
        client.send("hello", protocol=1)
        wait_until(machine.main_pid, "the daemon to be started")
        assert machine.is_active() == "activating"
        with open(config, "w"):
            pass
        client.receive_until(lambda: client.hello)
    wait_until(lambda: machine.is_active() == "active", "the unit to be active")
    config.unlink()


# ---- going down and coming back -----------------------------------------------------------------

class Load:
    """Clients that connect, ask and leave, one after the other, in threads."""

    def __init__(self, machine, origin, threads=4):
        self.machine, self.origin = machine, origin
        self.served, self.failed, self.refused = 0, [], []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._over.is_set():
            try:
                client = Client(self.machine.socket_path, hello=False)
            except OSError as fault:
                self.refused.append(fault)
                return
            with client:
                self._ask(client)

    def _ask(self, client):
        try:
            client.send("hello", protocol=1)
            exchange = client.fetch(self.origin.url())
        except (Closed, OSError):
            error = client.error or client.wait_closed()
            self.failed.append(error.text.decode() if error else "without a word")
            return
        if exchange.done:
            self.served += 1
        else:
            self.failed.append(exchange.failure)

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def kept(machine) -> int:
    """Clients whose sockets systemd holds; beside them it holds the table about them."""
    return int(machine.show("xhrd.service", "NFileDescriptorStore")) - 1


@pytest.fixture
def crowd(machine, origin):
    """A hundred clients that have nothing under way, of two users, some with a profile."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(machine, (ANN, BOB)[i % 2],
                                               profile=("", "work")[i // 2 % 2]))
                   for i in range(100)]
        for client in clients[::3]:
            assert client.fetch(origin.url()).done
        wait_until(lambda: kept(machine) >= 100, "systemd to hold all of them")
        yield clients


def killed(machine):
    machine.systemctl("kill", "--kill-who=main", "--signal=KILL", "xhrd.service")


def aborted(machine):
    machine.systemctl("kill", "--kill-who=main", "--signal=ABRT", "xhrd.service")


def restarted(machine):
    machine.systemctl("restart", "xhrd.service")


def stuck(machine):
    """SD04: a loop that turns no more is found by the watchdog, which kills it."""
    machine.systemctl("kill", "--kill-who=main", "--signal=STOP", "xhrd.service")
    wait_until(lambda: "watchdog" in str(machine.journal(
        "--unit=xhrd.service", "UNIT_RESULT=watchdog")), "the watchdog to act")


@pytest.mark.parametrize("end", [
    pytest.param(killed, id="kill -9"), pytest.param(aborted, id="crash"),
    pytest.param(restarted, id="restart"), pytest.param(stuck, id="watchdog")])
def test_sd03_sd04_clients_with_nothing_under_way_do_not_notice(machine, origin, crowd, end):
    if end is stuck:
        # Set where it is stored, so that nothing of the unit is loaded anew.
        machine.drop_in("[Service]\nWatchdogSec=1s\n")
        machine.systemctl("restart", "xhrd.service")
    held = threading.Event()
    origin.answer = lambda request: (request.target == "/held" and held.wait(),
                                     response(b"hello\n"))[1]
    with connect(machine) as busy, connect(machine, BOB) as young:
        exchanges = [busy.open(origin.url("/held")) for _ in range(3)]
        wait_until(lambda: sum(r.target == "/held" for r in origin.requests) == 3,
                   "requests to be under way")
        pid = machine.main_pid()
        end(machine)
        wait_until(lambda: machine.main_pid() not in (0, pid), "the next process")
        if end is restarted:
            busy.finish(*exchanges)
            assert [e.failure for e in exchanges] == ["SHUTDOWN"] * 3
        busy.wait_closed()
        young.wait_closed()
    held.set()
    for i, client in enumerate(crowd):
        assert client.fetch(origin.url()).body == b"hello\n"
        assert client.hello.uid == (ANN, BOB)[i % 2]
    pools = {(row.uid, row.profile) for row in connect(machine, 0).pools()}
    assert pools >= {(uid, profile) for uid in (ANN, BOB) for profile in ("", "work")}
    assert crowd[0].status().pid == machine.main_pid()
    for client in crowd:
        client.close()
    wait_until(lambda: kept(machine) == 0, "systemd to let go of them")


def test_sd05_a_restart_under_load_refuses_nobody(machine, origin):
    load = Load(machine, origin)
    for _ in range(3):
        served = load.served
        wait_until(lambda: load.served > served + 20, "requests to be served")
        machine.systemctl("restart", "xhrd.service")
    served = load.served
    wait_until(lambda: load.served > served + 20, "requests to be served again")
    load.end()
    assert not load.refused
    # Who was connected when it left was told so, or had no hello yet.
    assert set(load.failed) <= {"SHUTDOWN", "the daemon leaves", "without a word"}, load.failed


def test_sd06_sixty_crashes_in_a_row_are_sixty_requests_served(machine, origin):
    pids = set()
    for _ in range(60):
        with connect(machine) as client:
            assert client.fetch(origin.url()).body == b"hello\n"
            pids.add(client.status().pid)
            machine.systemctl("kill", "--signal=SEGV", "xhrd.service")
            client.wait_closed()
    with connect(machine) as client:
        assert client.fetch(origin.url()).done
    assert len(pids) == 60 and machine.is_active("xhrd.socket") == "active"


# ---- the sandbox --------------------------------------------------------------------------------

def test_sd09_what_the_services_are_exposed_to_is_no_more_than_planned(machine):
    """Of the units as systemd has loaded them; in tenths."""
    machine.run("systemd-analyze", "security", "--threshold=12", "xhrd.service")
    done = machine.run("systemd-analyze", "security", "--threshold=11", "xhrd.service", check=False)
    assert done.returncode != 0, "it became better: lower the limit"
    user = machine.show("xhrd.service", "FragmentPath").replace("/system/", "/user/")
    machine.run("systemd-analyze", "security", "--user", "--offline=true", "--threshold=19", user,
                env={"XDG_RUNTIME_DIR": "/run"})


def test_ip01_every_client_has_its_own_uid_in_the_sandbox(machine):
    """PrivateUsers=yes would make one user, 65534, of all of them, and one jar of theirs."""
    assert machine.show("xhrd.service", "PrivateUsers") == "no"
    for uid in (ANN, BOB, 0):
        with connect(machine, uid) as client:
            assert client.hello.uid == uid
