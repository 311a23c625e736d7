# SPDX-License-Identifier: MIT
"""--interface: connections leave from the address asked for, and are shared by it."""
import json
import socket

import pytest
from origins import ScriptedOrigin
from wire import fetch_pb2

pytestmark = pytest.mark.shallow


def test_connection_leaves_from_the_address_and_only_the_like_ride_on_it(xhr, origin_raw):
    seen = []

    def script(connection):
        seen.append(connection.sock.getpeername()[0])
        origin_raw.answer_all(connection)

    origin_raw.script = script
    for interface in ("127.0.0.2", None, "127.0.0.3", "127.0.0.2", None, "lo"):
        xhr("-s", *(["--interface", interface] if interface else []), origin_raw.url(), check=0)
    # the device's address is the kernel's own choice, and yet another key: it was asked for
    assert seen == ["127.0.0.2", "127.0.0.1", "127.0.0.3", "127.0.0.1"]
    assert [r.connection for r in origin_raw.requests] == [0, 1, 2, 0, 1, 3]


def test_write_out_and_events_tell_the_address(xhr, origin_raw):
    run = xhr("-s", "--events", "--interface", "127.0.0.9", "-w", "%{local_ip}", origin_raw.url(),
              check=0)
    assert run.out == "hello\n127.0.0.9"
    heads = [e for e in map(json.loads, run.err.splitlines()) if e["event"] == "head"]
    assert heads[0]["connection"]["local_address"] == "127.0.0.9"


@pytest.mark.parametrize("interface, said", [("no-such-device", "no such device"),
                                             ("192.0.2.77", "local address"),
                                             ("::1", "local address")])
def test_what_cannot_be_left_from_is_exit_45(xhr, origin_raw, interface, said):
    run = xhr("--interface", interface, origin_raw.url(), check=45)
    assert said in run.err and run.err.count("\n") == 1
    assert not origin_raw.connections


def test_ipv6_address_leads_to_ipv6_alone(xhr, xhrd):
    try:
        origin = ScriptedOrigin(family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    try:
        assert xhr("-s", "--interface", "::1", origin.url(), check=0).out == "hello\n"
    finally:
        origin.stop()


def test_empty_interface_is_a_usage_error(xhr, origin_raw):
    assert xhr("--interface", "", origin_raw.url(), check=2)


@pytest.mark.parametrize("addresses", [[b"localhost"], [b"127.0.0.1", b"127.0.0.2"], [b""],
                                       [b"1" * 300]])
def test_daemon_refuses_what_is_no_address(client, origin_raw, addresses):
    failed = client.fetch(origin_raw.url(), network=fetch_pb2.NetworkOptions(
        local_addresses=addresses))
    assert (failed.failure, "local address" in failed.text) == ("ARGUMENT", True)
    assert not origin_raw.connections
