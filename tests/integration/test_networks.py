# SPDX-License-Identifier: MIT
"""Where nobody is connected to: judged by the address, after look-ups and redirects, however it is
written (RD19, UR17, CD06)."""
import os
import signal

import proxies
import pytest
from origins import response
from waiting import wait_until
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

deny_loopback = pytest.mark.xhrd(config="[Network]\nDenyNetworks=127.0.0.2/31 ::1\n")


@deny_loopback
@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_rd19_a_redirect_into_a_denied_network_is_refused(client, origin_raw, status):
    origin_raw.reply(response(status=status,
                              fields=[("Location", f"http://127.0.0.2:{origin_raw.port}/in")]))
    exchange = client.fetch(origin_raw.url())
    assert exchange.failure == "POLICY" and "DenyNetworks" in exchange.text
    assert [r.target for r in origin_raw.requests] == ["/"]


def test_rd19_the_metadata_of_cloud_machines_is_denied_unasked(client, origin_raw):
    origin_raw.reply(response(status="302 x", fields=[("Location", "http://169.254.169.254/")]))
    assert client.fetch(origin_raw.url()).failure == "POLICY"
    assert client.fetch("http://169.254.169.254/latest").failure == "POLICY"


@deny_loopback
def test_ur17_the_address_is_judged_at_each_connect_and_not_the_name(client, origin_raw):
    """A name that led to a good address a moment ago leads to a bad one now."""
    def fetch(address):
        network = fetch_pb2.NetworkOptions(resolve=[fetch_pb2.ResolveOverride(
            host=b"rebind.example", port=origin_raw.port, addresses=[address])])
        return client.fetch(origin_raw.url(host="rebind.example"), network=network)

    assert fetch(b"127.0.0.1").done
    assert fetch(b"127.0.0.2").failure == "POLICY"
    assert len(origin_raw.connections) == 1


@deny_loopback
def test_cd06_of_several_addresses_those_that_are_allowed_are_tried(client, origin_raw):
    network = fetch_pb2.NetworkOptions(resolve=[fetch_pb2.ResolveOverride(
        host=b"both.example", port=origin_raw.port, addresses=[b"127.0.0.2", b"127.0.0.1"])])
    assert client.fetch(origin_raw.url(host="both.example"), network=network).done


@deny_loopback
@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.3", "[::1]", "[::]", "[::ffff:127.0.0.2]",
                                  "2130706434", "0x7f.0.0.3", "[2002:7f00:2::1]"])
def test_cd06_no_way_of_writing_it_gets_round(client, origin_raw, host):
    assert client.fetch(f"http://{host}:{origin_raw.port}/").failure == "POLICY"
    assert not origin_raw.connections


@pytest.mark.parametrize("address", ["fe80::1", "febf::1"])
def test_cd06_an_address_of_a_link_leads_nowhere_without_its_zone(client, address):
    """And there is no way to give one: test_pl10_a_zone_has_no_place_in_a_url."""
    assert client.fetch(f"http://[{address}]/").failure in ("CONNECT", "POLICY")
    network = fetch_pb2.NetworkOptions()
    network.resolve.add(host=b"a.test", port=80, addresses=[f"{address}%lo".encode()])
    assert client.fetch("http://a.test/", network=network).failure == "ARGUMENT"


@deny_loopback
def test_cd06_proxies_and_what_they_are_asked_for_are_judged(client, origin_raw):
    def through(proxy, url):
        return client.fetch(url, network=proxies.options(proxy))

    assert through(f"http://127.0.0.2:{origin_raw.port}", "http://a.example/").failure == "POLICY"
    asked = through(f"http://127.0.0.1:{origin_raw.port}", "http://127.0.0.2/")
    assert asked.failure == "POLICY" and not origin_raw.requests


def test_a_reload_denies_what_was_allowed(client, xhrd, origin_raw):
    assert client.fetch(origin_raw.url()).done
    xhrd.config_path.write_text("[Network]\nDenyNetworks=127.0.0.0/8\n")
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: client.fetch(origin_raw.url()).failure == "POLICY", "the new rule to hold")


@pytest.mark.parametrize("text", ["localhost", "10.0.0.0/99", "1.2.3"])
def test_what_is_no_network_is_refused_with_its_line(xhrd, text):
    xhrd.config_path.write_text(f"[Network]\nDenyNetworks={text}\n")
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: f"DenyNetworks={text}: wants" in xhrd.log(), "the refusal")
