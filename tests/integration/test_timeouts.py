# SPDX-License-Identifier: MIT
"""Time limits in every phase (LB07, EX10, EX11): one failure, of the right kind, and not before
its time. How much later is the machine's affair and is not asserted."""
import time

import pytest
from stages import STAGES, deaf, ended_in_time
from wire import stream

pytestmark = pytest.mark.shallow
T_MS = 300


def timed(client, *arguments, **more):
    """Fetch. Return: exchange, elapsed milliseconds."""
    began = time.monotonic()
    exchange = client.fetch(*arguments, **more)
    return exchange, (time.monotonic() - began) * 1000


def drip(*pieces, every_s=0.05):
    """Script: send the pieces one by one, the last one for ever, until the client is gone."""
    def script(connection):
        connection.request()
        for piece in pieces[:-1]:
            connection.send(piece)
        while not connection.closed.wait(every_s):
            connection.send(pieces[-1])
    return script


@pytest.mark.parametrize("stage", STAGES)
def test_lb07_total_time_ends_a_request_at_each_stage(client, origin_raw, stage):
    exchange, elapsed_ms, limit_ms = ended_in_time(stage, client, origin_raw, total_ms=T_MS)
    assert exchange.failure == "TIMEOUT_TOTAL"
    assert elapsed_ms >= limit_ms * 0.9


@pytest.mark.parametrize("stage, kind", [("connect", "TIMEOUT_CONNECT"), ("tls", "TIMEOUT_CONNECT"),
                                         ("wait", "TIMEOUT_IDLE"), ("head", "TIMEOUT_IDLE"),
                                         ("body", "TIMEOUT_IDLE"), ("chunk", "TIMEOUT_IDLE")])
def test_lb07_each_phase_has_its_own_time(client, origin_raw, stage, kind):
    exchange, elapsed_ms, limit_ms = ended_in_time(stage, client, origin_raw, connect_ms=T_MS,
                                                   idle_ms=T_MS)
    assert exchange.failure == kind
    assert elapsed_ms >= limit_ms * 0.9


def test_lb07_a_server_that_stops_reading_runs_into_the_idle_time(client, origin_raw):
    origin_raw.script = deaf
    exchange = client.open(origin_raw.url(), method="PUT", body=stream(1 << 30), idle_ms=T_MS)
    assert client.send_all(exchange, bytes(1 << 30)).failure == "TIMEOUT_IDLE"


def test_ex10_a_head_that_drips_has_a_deadline(client, origin_raw):
    origin_raw.script = drip(b"HTTP/1.1 200 OK\r\nX: ", b"y")
    exchange, elapsed_ms = timed(client, origin_raw.url(), idle_ms=T_MS)
    assert exchange.failure in ("TIMEOUT_IDLE", "TIMEOUT_TOTAL")
    assert elapsed_ms >= T_MS * 0.9


def test_ex11_a_body_that_drips_ends_at_the_total_time(client, origin_raw):
    origin_raw.script = drip(b"HTTP/1.1 200 OK\r\n\r\n", b"y")
    exchange, elapsed_ms = timed(client, origin_raw.url(), total_ms=T_MS * 2, idle_ms=T_MS)
    assert exchange.failure == "TIMEOUT_TOTAL"
    assert elapsed_ms >= T_MS * 2 * 0.9
    assert exchange.body, "what came in time was delivered"


def test_a_reader_that_pauses_is_not_the_servers_idleness(xhrd, origin_nginx):
    origin_nginx.sparse("zeros", 8 << 20)
    with xhrd.client(auto_credit=False) as client:
        exchange = client.open(origin_nginx.plain_url("/zeros"), credit=65536, idle_ms=T_MS)
        client.receive_until(lambda: exchange.body_bytes == 65536)
        began = time.monotonic()
        with xhrd.client() as other:  # something else takes more than the idle time meanwhile
            while time.monotonic() - began < 3 * T_MS / 1000:
                assert other.fetch(origin_nginx.plain_url("/hello")).done
        client.auto_credit = True
        client.send("credit", request_id=exchange.request_id, bytes=1 << 20)
        assert client.finish(exchange).done, exchange.text
        assert exchange.body_bytes == 8 << 20
