# SPDX-License-Identifier: MIT
"""What one thing costs does not grow with how many there are. Nothing is timed: instructions of the
daemon are counted, of one request among ever more that is open, and of ends that come to all at
once. bench/scale does the same with 8,000 and 10,000."""
import contextlib
import os
import resource
import signal

import crowds
import programs
import pytest
from waiting import wait_until

MANY = """
[Limits]
Clients=20000
ClientsPerUser=20000
RequestsPerUser=20000
QueuedBytesPerUser=1G
[Network]
ConnectionsPerHost=20000
IdleConnectionsPerUser=20000
KeepAliveSec=600
"""
KEPT_KIB = 80 << 10  # of 500 connections with TLS, which stay
COUNTED = 50         # requests that one measurement is the mean of
AS_FROM_A_SHELL = ["prlimit", "--nofile=1024:"]  # the soft limit alone
FEW, MORE = 600, 1800
# For one more thing that is open. A walk over all of them costs at least twice that in a build that
# is not optimised.
INSTRUCTIONS_EACH_MAX = 3

needs_callgrind = pytest.mark.skipif(programs.SANITIZED,
                                     reason="a sanitizer's shadow leaves no room for callgrind's")


class Crowd:
    """A daemon, and what is open in it."""

    def __init__(self, daemon, origin, scheme, out=None):
        self.daemon, self.origin, self.scheme, self.out = daemon, origin, scheme, out
        self.stack = contextlib.ExitStack()
        self.watcher = self.stack.enter_context(daemon.client())
        self.held = []  # (client, its exchanges)
        self.fds_before = len(daemon.fds())

    def status(self):
        return self.watcher.status()

    def clients(self, number):
        self.stack.enter_context(crowds.idle_clients(self.daemon.socket_path, number))

    def hold(self, number, owners=1):
        """So many requests that the origin keeps, of so many clients."""
        urls = self.origin.urls("/hold", self.scheme)
        for _ in range(owners):
            client = self.stack.enter_context(self.daemon.client())
            exchanges = []
            for i in range(number // owners):
                exchanges.append(client.open(urls[i % len(urls)]))
                client.drain()
            self.held.append((client, exchanges))
        self.origin.wait_for(number)

    def release(self):
        self.origin.release()
        for client, exchanges in self.held:
            client.finish(*exchanges)
        assert all(exchange.status == 200 for _, all_of in self.held for exchange in all_of)

    def wait_for_end(self):
        """Without asking the daemon, which would be counted."""
        wait_until(lambda: len(self.daemon.fds()) <= self.fds_before, "all of it to be closed")

    def count(self, action):
        return crowds.instructions(self.daemon.pid, self.out, action)

    def cost_of_a_request(self):
        url = self.origin.urls("/1k", self.scheme)[0]

        def requests():
            for _ in range(COUNTED):
                assert self.watcher.fetch(url).status == 200

        return min(self.count(requests) for _ in range(3)) // COUNTED


@pytest.fixture
def make_crowd(ca, folder):
    """With an origin of its own, and a daemon that is as it is, or one whose instructions are
    counted."""
    made = []

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def make(scheme="http", counts=False):
        config = MANY + f"[TLS]\nCAFile={ca.pem}\n"
        out = folder / f"counted{len(made)}" if counts else None
        daemon = programs.Daemon(folder / f"crowd{len(made)}", config=config,
                                 wrapper=crowds.counting(out) if counts else AS_FROM_A_SHELL)
        origin = crowds.HoldOrigin(programs.BUILD / "tests/hold_origin", ca)
        made.append(Crowd(daemon, origin, scheme, out))
        return made[-1]

    yield make
    for crowd in made:
        crowd.stack.close()
        try:
            if not crowd.out:
                crowd.daemon.check(rss_growth_kib=KEPT_KIB)
        finally:
            crowd.origin.stop()
            crowd.daemon.finish(check=False)
        assert crowd.daemon.process.returncode == 0


def test_600_clients_and_500_connections_are_there_at_once(make_crowd):
    crowd = make_crowd("https")
    crowd.clients(600)
    crowd.hold(500)
    assert crowd.origin.count() == (500, 500)
    assert len(crowd.daemon.fds()) > 1100, "more than the shell's soft limit"
    status = crowd.status()
    assert (status.requests_active, status.clients) == (500, 602)  # the watcher, and who asks
    assert status.connections_open == 500
    crowd.release()
    status = crowd.status()
    assert (status.requests_active, status.connections_open) == (0, 500)
    assert crowd.origin.count() == (500, 0)
    for url in crowd.origin.urls("/1k", "https"):
        assert crowd.watcher.fetch(url).status == 200
    assert crowd.status().connections_opened == 500, "one of those that were there served each"


@needs_callgrind
def test_a_request_costs_the_same_among_1000_clients_and_1000_connections(make_crowd):
    crowd = make_crowd(counts=True)
    assert crowd.watcher.fetch(crowd.origin.urls("/1k", "http")[0]).status == 200
    alone = crowd.cost_of_a_request()
    crowd.clients(1000)
    crowd.hold(1000)
    among_requests = crowd.cost_of_a_request()
    crowd.release()
    among_idle = crowd.cost_of_a_request()
    assert crowd.status().connections_open >= 1000
    assert among_requests < alone + 1000 * INSTRUCTIONS_EACH_MAX
    assert among_idle < alone + 1000 * INSTRUCTIONS_EACH_MAX


# ---- ends of many at once -------------------------------------------------------------------------

def clients_leave(crowd, number):
    with crowds.idle_clients(crowd.daemon.socket_path, number):
        assert crowd.status().clients == number + 1
        yield
    crowd.wait_for_end()


def connections_are_closed(crowd, number):
    """By the origin, all at once."""
    crowd.hold(number)
    crowd.release()
    yield
    crowd.origin.stop()
    client, _ = crowd.held[0]
    client.close()
    crowd.wait_for_end()


def the_client_of_all_requests_dies(crowd, number):
    crowd.hold(number)
    yield
    client, _ = crowd.held[0]
    client.close()
    crowd.wait_for_end()


def a_user_with_all_requests_leaves(crowd, number):
    crowd.hold(number, owners=10)
    yield
    for client, _ in crowd.held:
        client.close()
    crowd.wait_for_end()


def requests_are_aborted(crowd, number):
    crowd.hold(number)
    yield
    client, exchanges = crowd.held[0]
    for exchange in exchanges:
        client.abort(exchange)
        client.drain()
    client.finish(*exchanges)


def requests_end(crowd, number):
    """So many of one client that it does not keep up: most wait until it has room."""
    crowd.hold(3 * number)
    yield
    crowd.release()


def the_configuration_is_read_among_clients(crowd, number):
    crowd.clients(number)
    yield
    lines = crowd.daemon.log().count("reloaded")
    os.kill(crowd.daemon.pid, signal.SIGHUP)
    wait_until(lambda: crowd.daemon.log().count("reloaded") > lines, "the configuration to be read")


def requests_are_listed(crowd, number):
    crowd.hold(number)
    yield
    run = programs.Program(programs.XHRCTL, crowd.daemon.folder,
                           XHRD_SOCKET=str(crowd.daemon.socket_path))
    shown = run("show", "requests", "--json", check=0)
    assert shown.out.count("/hold") >= number


def a_drain_is_waited_for(crowd, number):
    crowd.hold(number, owners=10)
    yield
    run = programs.Program(programs.XHRCTL, crowd.daemon.folder,
                           XHRD_SOCKET=str(crowd.daemon.socket_path))
    with run.start("drain") as draining:
        wait_until(lambda: crowd.status().draining, "the drain to begin")
        crowd.release()
        assert draining.wait() == 0


ENDS = [clients_leave, connections_are_closed, the_client_of_all_requests_dies,
        a_user_with_all_requests_leaves, requests_are_aborted, requests_end,
        the_configuration_is_read_among_clients, requests_are_listed, a_drain_is_waited_for]


def cost_of_each(make_crowd, end, number):
    """Instructions for one of them, when that happens to all."""
    crowd = make_crowd(counts=True)
    steps = end(crowd, number)
    next(steps)
    return crowd.count(lambda: next(steps, None)) / number


@needs_callgrind
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_happens_to_many_at_once_costs_each_the_same(make_crowd, end):
    few, more = (cost_of_each(make_crowd, end, number) for number in (FEW, MORE))
    print(f"{end.__name__}: {few:,.0f} each of {FEW}, {more:,.0f} each of {MORE}")
    assert more < few + (MORE - FEW) * INSTRUCTIONS_EACH_MAX
