# SPDX-License-Identifier: MIT
"""The daemon dies or is asked to leave: what clients are told, and how they go on."""
import os
import signal
import threading

import pytest
from libxhr import PATH, LibraryClient
from origins import ScriptedOrigin, response, tls_server
from programs import BUILD, SANITIZED

from waiting import wait_until
from wire import Closed, envelope_pb2

needs_library = pytest.mark.skipif(not PATH.exists(),
                                   reason="a sanitized library cannot be loaded into python")


def hold(connection):
    connection.request()
    connection.wait_gone()


@pytest.fixture
def library(xhrd):
    client = LibraryClient(xhrd.socket_path)
    yield client
    client.close()


@needs_library
def test_daemon_killed_amid_a_request_is_one_daemon_lost_error(xhrd, library, origin_raw):
    origin_raw.script = hold
    library.start(origin_raw.url())
    runner = threading.Thread(target=library.run)
    runner.start()
    wait_until(lambda: origin_raw.requests, "the request")
    xhrd.kill()
    runner.join(20)
    assert library.outcome() == "daemon-lost"
    assert len(origin_raw.requests) == 1, "nothing was repeated"
    xhrd.start()


@needs_library
def test_idle_client_connects_again_by_itself(xhrd, library, origin_raw):
    assert library.fetch(origin_raw.url()) == 200
    for _ in range(5):
        xhrd.kill()
        xhrd.start()
        assert library.fetch(origin_raw.url()) == 200


@needs_library
def test_request_sent_while_the_daemon_is_away_waits_in_the_backlog(xhrd, library, origin_raw):
    assert library.fetch(origin_raw.url()) == 200
    xhrd.kill()
    outcomes = []
    runner = threading.Thread(target=lambda: outcomes.append(library.fetch(origin_raw.url())))
    runner.start()
    xhrd.start()
    runner.join(20)
    assert outcomes == [200]


@pytest.mark.shallow
def test_xhr_says_in_one_line_that_the_daemon_was_lost(xhrd, xhr, origin_raw):
    origin_raw.script = hold
    run = xhr.start(origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the request")
    xhrd.kill()
    _, err = run.communicate(timeout=20)
    assert run.returncode not in (0, -signal.SIGPIPE)
    assert err.startswith(b"xhr: ") and err.count(b"\n") == 1, err
    xhrd.start()


@pytest.mark.shallow
def test_daemon_asked_to_leave_ends_idle_sessions_with_a_word(xhrd, client):
    os.kill(xhrd.pid, signal.SIGTERM)
    error = client.wait_closed()
    assert error and error.kind == envelope_pb2.SessionError.KIND_SHUTDOWN
    assert xhrd.process.wait(20) == 0
    xhrd.start()


@pytest.mark.shallow
def test_daemon_asked_to_leave_ends_a_held_request_with_shutdown(xhrd, client, origin_raw):
    origin_raw.script = hold
    exchange = client.open(origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the request")
    os.kill(xhrd.pid, signal.SIGTERM)
    try:
        client.finish(exchange)
        assert exchange.failure == "SHUTDOWN"
    except Closed:
        assert client.error.kind == envelope_pb2.SessionError.KIND_SHUTDOWN
    assert xhrd.process.wait(30) == 0
    xhrd.start()


@pytest.mark.shallow
def test_a_name_server_that_hangs_does_not_hold_up_the_end(make_xhrd, folder):
    """A thread is in getaddrinfo() and does not come back: the daemon leaves without it, after it
    has put away what it was told, and takes its path along."""
    held = folder / "held"
    held.touch()
    daemon = make_xhrd(env={
        "LD_PRELOAD": str(BUILD / "tests/libpreload.so"), "HELD_NAMES": str(held),
        **({"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"} if SANITIZED else {})})
    origin = ScriptedOrigin()
    origin.reply(response(b"", fields=[("Set-Cookie", "kept=1; Max-Age=900")]))
    with daemon.client() as client:
        assert client.fetch(origin.url()).done
        exchange = client.open("http://held.test/", connect_ms=60000)
        client.receive_until(lambda: exchange.waits == ["DNS"])
        os.kill(daemon.pid, signal.SIGTERM)
        assert client.finish(exchange).failure == "SHUTDOWN"
    assert daemon.process.wait(60) == 0
    assert "leaving without what hangs: 1 look-up" in daemon.log()
    held.unlink()
    daemon.start()
    with daemon.client() as client:
        assert [cookie.name for cookie in client.cookies()] == [b"kept"]
    origin.stop()


@pytest.mark.shallow
def test_a_trust_store_that_hangs_does_not_hold_up_the_end(make_xhrd, folder, ca):
    """Its file is a pipe that nobody writes to, by now."""
    store = folder / "store.pem"
    store.write_bytes(ca.pem.read_bytes())
    daemon = make_xhrd(config=f"[TLS]\nCAFile={store}\n")
    origin = ScriptedOrigin(tls_server(ca))
    store.unlink()
    os.mkfifo(store)
    with daemon.client() as client:
        exchange = client.open(origin.url(host="localhost"), connect_ms=60000)
        client.receive_until(lambda: exchange.waits)
        os.kill(daemon.pid, signal.SIGTERM)
        assert client.finish(exchange).failure == "SHUTDOWN"
    assert daemon.process.wait(60) == 0, daemon.log()
    assert "leaving without what hangs" in daemon.log()
    store.unlink()
    store.write_bytes(ca.pem.read_bytes())
    daemon.start()
    origin.stop()


@pytest.mark.shallow
def test_one_clients_death_in_the_middle_of_a_frame_is_nobody_elses_trouble(xhrd, client, origin_raw):
    origin_raw.reply(response(b"fine"))
    for cut in range(1, 12):
        with xhrd.client(hello=False) as dying:
            dying.send_bytes(b"\x0a\x0a\x08\x01\x12\x06abcdef"[:cut])
    assert client.fetch(origin_raw.url()).body == b"fine"
