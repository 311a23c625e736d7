# SPDX-License-Identifier: MIT
"""Which connection carries a request, and what becomes of dead ones (PL07, PL14 to PL16)."""
import threading

import pytest
from origins import response
from waiting import wait_until
from wire import stream

pytestmark = pytest.mark.shallow


def idle(client):
    return [row for row in client.connections() if row.state == b"idle"]


def test_second_request_rides_the_first_ones_connection(client, another, origin_tls, ca):
    first = client.fetch(origin_tls.url("/1"), ca=ca.pem)
    second = another.fetch(origin_tls.url("/2"), ca=ca.pem)
    assert len(origin_tls.connections) == 1
    assert not first.head.connection.reused and second.head.connection.reused
    assert first.head.connection.connection_id == second.head.connection.connection_id


def test_other_host_name_is_another_connection(client, origin_raw):
    port = origin_raw.port
    for host in ("a.example", "b.example", "a.example"):
        assert client.fetch(origin_raw.url(host=host), resolve=[(host, port)]).done
    assert [r.connection for r in origin_raw.requests] == [0, 1, 0]


def test_profiles_do_not_share_a_connection(client, xhrd, origin_raw):
    assert client.fetch(origin_raw.url()).done
    with xhrd.client(profile="other") as other:
        assert other.fetch(origin_raw.url()).done
    assert len(origin_raw.connections) == 2


def test_trust_of_one_kind_is_not_shared_with_another(client, origin_tls, ca):
    assert client.fetch(origin_tls.url(), insecure=True).done
    assert client.fetch(origin_tls.url()).failure == "TLS_VERIFY"
    assert client.fetch(origin_tls.url(), ca=ca.pem).done
    assert [r.connection for r in origin_tls.requests] == [0, 2]


def test_pl07_an_idle_plain_connection_never_serves_https(client, origin_raw):
    first_bytes = []

    def script(connection):
        if connection.number == 0:
            connection.origin.answer_all(connection)
        first_bytes.append(connection.recv()[:1])

    origin_raw.script = script
    port = origin_raw.port
    assert client.fetch(f"http://127.0.0.1:{port}/").done
    wait_until(lambda: idle(client), "an idle connection")
    assert client.fetch(f"https://127.0.0.1:{port}/").failed
    assert first_bytes == [b"\x16"], "a TLS hello on a connection of its own"
    assert len(origin_raw.requests) == 1


def closing_on_second(connection):
    """The server's patience ends just as a second request comes over a kept connection."""
    connection.request()
    connection.send(response(b"first"))
    connection.request_head()
    connection.close()


def test_pl14_get_on_a_dead_kept_connection_is_sent_once_more(client, origin_raw):
    def script(connection):
        if connection.number == 0:
            closing_on_second(connection)
        connection.origin.answer_all(connection)

    origin_raw.script = script
    assert client.fetch(origin_raw.url("/1")).body == b"first"
    assert client.fetch(origin_raw.url("/2")).body == b"hello\n"
    assert [(r.target, r.connection) for r in origin_raw.requests] == [("/1", 0), ("/2", 0), ("/2", 1)]


def test_pl14_post_on_a_dead_kept_connection_is_not_repeated(client, origin_raw):
    origin_raw.script = closing_on_second
    assert client.fetch(origin_raw.url("/1")).body == b"first"
    exchange = client.fetch(origin_raw.url("/2"), method="POST", body=b"pay 100")
    assert exchange.failure in ("EMPTY_REPLY", "RECEIVE", "SEND")
    assert [r.target for r in origin_raw.requests] == ["/1", "/2"]


def test_pl14_a_second_death_is_not_survived(client, origin_raw):
    def script(connection):
        if connection.number == 0:
            closing_on_second(connection)
        else:
            connection.request_head()

    origin_raw.script = script
    assert client.fetch(origin_raw.url("/1")).done
    assert client.fetch(origin_raw.url("/2")).failure in ("EMPTY_REPLY", "RECEIVE")
    assert len(origin_raw.requests) == 3


def test_pl14_a_fresh_connection_that_dies_is_not_tried_again(client, origin_raw):
    origin_raw.script = lambda connection: connection.request_head()
    assert client.fetch(origin_raw.url()).failure in ("EMPTY_REPLY", "RECEIVE")
    assert len(origin_raw.requests) == 1


def test_pl14_nothing_is_repeated_once_an_answer_has_begun(client, origin_raw):
    def script(connection):
        connection.request()
        connection.send(response(b"first"))
        connection.request()
        connection.send_and_see_read(b"HTTP/1.1 200 OK\r\nContent-")
        connection.reset()

    origin_raw.script = script
    assert client.fetch(origin_raw.url("/1")).done
    assert client.fetch(origin_raw.url("/2")).failure in ("TRUNCATED", "RECEIVE")
    assert len(origin_raw.requests) == 2


def test_connection_closed_while_idle_is_noticed_without_a_request(client, origin_raw):
    def script(connection):
        connection.request()
        connection.send(response(b"first"))

    origin_raw.script = script
    assert client.fetch(origin_raw.url()).done
    wait_until(lambda: not client.connections(), "the closed connection to leave the pool")


def test_pl15_bytes_on_an_idle_connection_end_it(client, origin_raw):
    speak = threading.Event()

    def script(connection):
        if connection.number == 0:
            connection.request()
            connection.send(response(b"first"))
            speak.wait(20)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            connection.wait_gone()
        connection.origin.answer_all(connection)

    origin_raw.script = script
    assert client.fetch(origin_raw.url()).body == b"first"
    wait_until(lambda: idle(client), "an idle connection")
    speak.set()
    wait_until(lambda: not client.connections(), "the connection to be dropped")
    assert client.fetch(origin_raw.url()).body == b"hello\n"


@pytest.mark.parametrize("status", ["200 OK", "413 Content Too Large"])
def test_pl15_a_final_answer_to_expect_ends_the_connection(client, origin_raw, status):
    def script(connection):
        if connection.number == 0:
            connection.request_head()
            connection.send(response(b"no need", status=status))
            connection.wait_gone()
        connection.origin.answer_all(connection)

    origin_raw.script = script
    size = 2 << 20
    exchange = client.open(origin_raw.url(), method="PUT", body=stream(size))
    client.receive_until(lambda: exchange.head or exchange.ended)
    assert origin_raw.requests[0].get("Expect") == "100-continue"
    if not exchange.ended:
        client.abort(exchange) if exchange.status != 200 else None
    client.drain()
    assert exchange.status == int(status[:3])
    assert origin_raw.connections[0].closed.wait(20)
    assert client.fetch(origin_raw.url()).body == b"hello\n"


def test_pl15_a_417_is_asked_again_without_the_expectation_over_another_connection(client, origin_raw):
    """RFC 9110, 10.1.1. Once: who fails an expectation that was not sent is taken at his word."""
    def script(connection):
        while True:
            request = connection.request_head()
            if request.get("Expect") or request.target == "/stubborn":
                connection.send(response(b"no", status="417 Expectation Failed"))
                connection.wait_gone()
                return
            request.body = connection.request_body(request)
            connection.send(response(b"taken\n"))

    origin_raw.script = script
    size = 2 << 20
    exchange = client.open(origin_raw.url(), method="PUT", body=stream(size))
    client.send_all(exchange, bytes(size))
    assert exchange.status == 200 and exchange.body == b"taken\n"
    assert [r.get("Expect") for r in origin_raw.requests] == ["100-continue", None]
    assert origin_raw.requests[1].body == bytes(size)
    assert origin_raw.requests[1].connection == 1
    stubborn = client.open(origin_raw.url("/stubborn"), method="PUT", body=bytes(100))
    assert client.finish(stubborn).status == 417 and stubborn.body == b"no"


def test_pl16_abort_in_the_body_closes_the_connection_and_counts_right(client, origin_raw):
    def script(connection):
        if connection.number == 0:
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nsome")
            connection.wait_gone()
        connection.origin.answer_all(connection)

    origin_raw.script = script
    exchange = client.open(origin_raw.url())
    client.receive_until(lambda: exchange.body)
    client.abort(exchange)
    client.finish(exchange)
    assert exchange.failure == "ABORTED"
    assert origin_raw.connections[0].closed.wait(20)
    wait_until(lambda: not client.connections(), "the connection to leave the pool")
    assert client.fetch(origin_raw.url()).body == b"hello\n"
    assert [(p.busy, p.waiting, p.connecting) for p in client.pools()] in ([(0, 0, 0)], [])


def test_six_connections_to_a_host_and_the_rest_wait_their_turn(client, origin_raw):
    proceed = threading.Semaphore(0)

    def script(connection):
        while True:
            connection.request()
            proceed.acquire(timeout=20)
            connection.send(response(b"ok"))

    origin_raw.script = script
    exchanges = [client.open(origin_raw.url(f"/{n}")) for n in range(20)]
    wait_until(lambda: len(origin_raw.requests) == 6, "six requests")
    pool = client.pools()[0]
    assert (pool.busy, pool.waiting, pool.limit) == (6, 14, 6)
    for _ in range(20):
        proceed.release()
    client.finish(*exchanges)
    assert all(e.body == b"ok" for e in exchanges)
    assert len(origin_raw.connections) == 6
    order = [int(r.target[1:]) for r in origin_raw.requests]
    assert sorted(order) == list(range(20)) and set(order[:6]) == set(range(6))


def test_without_keep_alive_the_connection_ends_with_the_answer(client, origin_raw):
    assert client.fetch(origin_raw.url(), no_keep_alive=True).done
    assert origin_raw.connections[0].closed.wait(20)
    assert origin_raw.requests[0].get("Connection") == "close"


def test_server_that_says_close_is_taken_at_its_word(client, origin_raw):
    origin_raw.reply(response(b"bye", fields=[("Connection", "close")]))
    assert client.fetch(origin_raw.url()).done
    assert origin_raw.connections[0].closed.wait(20)
    assert client.fetch(origin_raw.url()).done
    assert [r.connection for r in origin_raw.requests] == [0, 1]


@pytest.mark.xhrd(config="[Network]\nKeepAliveSec=1\n")
def test_unused_connection_is_closed_in_time(client, origin_raw):
    assert client.fetch(origin_raw.url()).done
    assert origin_raw.connections[0].closed.wait(20)


# -- private jars ---------------------------------------------------------------------------

PRIVATE = ":private"


def test_pl03_two_private_jars_are_two_connections_and_each_keeps_its_own(xhrd, origin_raw):
    with xhrd.client() as ann, xhrd.client() as bob:
        for _ in range(3):
            for client in (ann, bob):
                assert client.fetch(origin_raw.url(), jar=PRIVATE).done
        assert len(origin_raw.connections) == 2
        assert [request.connection for request in origin_raw.requests] == [0, 1] * 3
        assert ann.fetch(origin_raw.url()).done
        assert len(origin_raw.connections) == 3, "the default jar's is neither's"


def test_the_connections_of_a_private_jar_end_with_it(xhrd, client, origin_raw):
    with xhrd.client() as ann, xhrd.client() as bob:
        for who in (ann, bob):
            assert who.fetch(origin_raw.url(), jar=PRIVATE).done
        assert client.fetch(origin_raw.url()).done
        first, second, third = origin_raw.connections
        ann.close()
        assert first.closed.wait(20)
        assert not second.closed.is_set() and not third.closed.is_set()
        assert bob.fetch(origin_raw.url(), jar=PRIVATE).head.connection.reused
        assert len(origin_raw.connections) == 3


def test_a_request_that_is_cut_off_with_its_private_jar_leaves_no_connection(xhrd, client, origin_raw):
    hold = threading.Event()
    origin_raw.answer = lambda request: hold.wait(20) and response(b"late")
    with xhrd.client() as ann:
        ann.open(origin_raw.url(), jar=PRIVATE)
        wait_until(lambda: origin_raw.requests, "the request")
    wait_until(lambda: not client.connections(), "its connection to go")
    hold.set()


def test_pl03_tickets_of_a_private_jar_are_its_own_and_end_with_it(xhrd, client, origin_tls, ca):
    def fetch(who):
        exchange = who.fetch(origin_tls.url(), jar=PRIVATE, no_keep_alive=True, ca=ca.pem)
        assert exchange.done, exchange.text
        return exchange.head.connection.tls.resumed

    with xhrd.client() as ann, xhrd.client() as bob:
        assert not fetch(ann)
        wait_until(lambda: ann.tls_sessions(), "a ticket")
        assert not fetch(bob), "it is not his"
        wait_until(lambda: len(ann.tls_sessions()) > 1, "his own ticket")
        assert fetch(ann) and fetch(bob)
    wait_until(lambda: not client.tls_sessions(), "the tickets to go")


def test_an_http2_connection_of_a_private_jar_ends_with_it(xhrd, client, origin_nginx, ca):
    with xhrd.client() as ann, xhrd.client() as bob:
        for who in (ann, bob):
            assert who.fetch(origin_nginx.h2_url(), jar=PRIVATE, ca=ca.pem).head.http_version == 20
        assert len(client.connections()) == 2
        running = ann.open(origin_nginx.h2_url("/hello"), jar=PRIVATE, ca=ca.pem, credit=1)
        ann.receive_until(lambda: running.head)
        ann.close()
        wait_until(lambda: len(client.connections()) == 1, "ann's connection to go")
        assert bob.fetch(origin_nginx.h2_url(), jar=PRIVATE, ca=ca.pem).head.connection.reused
