# SPDX-License-Identifier: MIT
"""A machine without a network: what waits for one, and what is told of it. The daemon runs in a
network namespace of its own, whose link the test brings up; that takes root."""
import ctypes
import os
import subprocess
import threading

import origins
import programs
import pytest
from libxhr import PATH, Client, constants, sized, structure
from waiting import wait_until
from wire import network_pb2

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace"),
              pytest.mark.skipif(not PATH.exists(), reason="no library that python can load")]

ADDRESS, GATEWAY = "10.9.9.1", "10.9.9.2"


class Machine:
    """A daemon in a namespace with a link that is down, and a place for origins beside it."""

    def __init__(self, make_xhrd, env=None):
        self.daemon = make_xhrd(env=env, unshare_network=True)
        self.origins = []

    def run(self, *command):
        subprocess.run(["nsenter", "-t", str(self.daemon.pid), "-n", *command], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)

    def plug(self):
        """A pair of interfaces, as a cable; no address yet."""
        self.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")

    def up(self):
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "lan1", "up")
        self.run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "lan0")
        self.run("ip", "link", "set", "lan0", "up")
        self.run("ip", "route", "add", "default", "via", GATEWAY)

    def down(self):
        self.run("ip", "link", "set", "lan0", "down")

    def origin(self):
        """A scripted origin in the namespace."""
        made = []

        def enter():
            fd = os.open(f"/proc/{self.daemon.pid}/ns/net", os.O_RDONLY)
            assert programs.LIBC.setns(fd, programs.CLONE_NEWNET) == 0
            os.close(fd)
            made.append(origins.ScriptedOrigin(bind="0.0.0.0"))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        made[0].host = ADDRESS  # once the link is up
        self.origins += made
        return made[0]

    def stop(self):
        for origin in self.origins:
            origin.stop()


@pytest.fixture(params=["netlink", "looking"])
def machine(request, make_xhrd):
    """Where netlink tells of changes, and where a sandbox denies it and they are looked for."""
    env = {}
    if request.param == "looking":
        env = {"LD_PRELOAD": str(programs.BUILD / "tests/libpreload.so"), "DENY_NETLINK": "1"}
    if programs.SANITIZED and env:
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
    made = Machine(make_xhrd, env=env)
    made.plug()
    yield made
    made.stop()


@pytest.fixture
def library(machine):
    client = Client(machine.daemon.socket_path)
    yield client
    client.close()


def test_without_the_wish_no_network_is_an_error_at_once(library):
    request = library.request()
    assert request.open("http://192.0.2.7/") == 0 and request.send() == 0
    request.finish()
    assert request.story() == "1 4 error:connect"
    request.free()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_a_request_waits_until_the_link_is_up(machine, library, is_async):
    origin = machine.origin()
    request = library.request()
    assert request.options(waits_for_connectivity=True, timeout_ms=1000) == 0
    assert request.open(origin.url("/waited"), is_async=is_async) == 0

    def up_later(word):
        if word == "wait:connectivity" and not others:
            others.append(threading.Thread(target=machine.up))
            others[0].start()

    others = []
    request.then = up_later
    assert request.send() == 0
    if is_async:
        request.finish()
    others[0].join()
    assert request.story() == "1 2 headers 3 down 4 load"
    assert request.words.count("wait:connectivity") >= 1
    assert request.response == b"hello\n"
    request.free()


def test_a_wait_ends_with_the_total_time_and_with_an_abort(library):
    late, aborted = library.request(), library.request()
    for request, total_ms in ((late, 300), (aborted, 0)):
        assert request.options(waits_for_connectivity=True, timeout_for_resource_ms=total_ms) == 0
        assert request.open("http://192.0.2.7/") == 0 and request.send() == 0
    library.wait_until(lambda: "wait:connectivity" in aborted.words)
    aborted.abort()
    assert aborted.story() == "1 4 abort"
    late.finish()
    assert late.story() == "1 4 error:timeout-total"
    assert b"no network" in late.error.text
    late.free()
    aborted.free()


class Watch:
    """A watch of the network: [(online, type name)] as it was told."""

    CHANGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

    def __init__(self, client):
        self.client, self.told, self.ended = client, [], []
        self._change = self.CHANGE(self._on_change)
        self._end = self.CHANGE(lambda _, error, __: self.ended.append(
            structure("xhr_error").from_address(error).name.decode()))
        events = sized("xhr_network_watch_events",
                       change=ctypes.cast(self._change, ctypes.c_void_p).value,
                       end=ctypes.cast(self._end, ctypes.c_void_p).value)
        self.handle = ctypes.c_void_p()
        new = client.library.xhr_network_watch_new
        new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        assert new(client.handle, ctypes.byref(events), None, ctypes.byref(self.handle)) == 0

    def _on_change(self, _, at, __):
        network = structure("xhr_network").from_address(at)
        self.told.append((network.online, network.type_name.decode()))

    def free(self):
        self.client.library.xhr_network_watch_free.argtypes = [ctypes.c_void_p]
        self.client.library.xhr_network_watch_free(self.handle)


def test_online_network_type_and_their_changes_are_told(machine, library):
    watch = Watch(library)
    library.wait_until(lambda: watch.told)
    assert watch.told == [(False, "NONE")]
    machine.up()
    library.wait_until(lambda: len(watch.told) > 1)
    assert watch.told[1:] == [(True, "LAN")]
    machine.down()
    library.wait_until(lambda: len(watch.told) > 2)
    assert watch.told[2:] == [(False, "NONE")]
    watch.free()
    again = Watch(library)
    library.wait_until(lambda: again.told)
    assert again.told == [(False, "NONE")]
    again.free()


def test_one_watch_a_client_and_its_end_is_told_when_the_daemon_is_lost(machine, library):
    first, second = Watch(library), Watch(library)
    library.wait_until(lambda: second.ended)
    assert second.ended == ["argument"] and not first.ended
    machine.daemon.kill()
    library.wait_until(lambda: first.ended)
    assert first.ended == ["daemon-lost"]
    first.free()
    second.free()
    machine.daemon.start()


def test_the_network_may_be_asked_for_once(library):
    network = structure("xhr_network")()
    library.library.xhr_network_get_wait.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    assert library.library.xhr_network_get_wait(library.handle, ctypes.byref(network)) == 0
    assert (network.online, network.type) == (False, constants("xhr_network_type")["XHR_NETWORK_NONE"])


def test_xhr_waits_for_a_network(machine, folder):
    origin = machine.origin()
    xhr = programs.Program(programs.XHR, folder, XHRD_SOCKET=str(machine.daemon.socket_path))
    assert xhr("-sS", origin.url()).status == 7
    with xhr.start("-sS", "--events", "--wait-network", origin.url()) as run:
        while b"connectivity" not in run.stderr.readline():
            assert run.poll() is None
        machine.up()
        out, _ = run.communicate(timeout=30)
    assert (run.returncode, out) == (0, b"hello\n")


def test_nobody_is_woken_while_nobody_wants_to_know(machine):
    with machine.daemon.client() as client:
        before = len(machine.daemon.fds())
        client.send("network", command_id=1, watch=network_pb2.NetworkWatch())
        client.receive_until(lambda: client.networks)
        assert client.networks[0].command_id == 1 and not client.networks[0].online
        client.send("network", command_id=1, unwatch=network_pb2.NetworkUnwatch())
        client.status()
        wait_until(lambda: len(machine.daemon.fds()) == before, "netlink to be closed")
