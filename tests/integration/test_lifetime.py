# SPDX-License-Identifier: MIT
"""Aborts, clients that leave, and bodies of every shape (LB02, LB04 to LB06, LB08 to LB10). What
must be given back is checked by the xhrd fixture at the end of each test."""
import os
import signal
import socket
import threading

import pytest
from origins import response
from programs import SANITIZED
from stages import STAGES, held_at
from waiting import wait_until
from wire import fetch_pb2, framed, stream, varint

pytestmark = pytest.mark.shallow


# ---- LB02

@pytest.mark.parametrize("sent", [0, 5, 9])
def test_lb02_fewer_bytes_than_announced_fail_and_end_the_connection(client, origin_raw, sent):
    exchange = client.open(origin_raw.url(), method="POST", body=stream(10))
    if sent:
        client.body_chunk(exchange, bytes(sent))
    client.body_end(exchange)
    assert client.finish(exchange).failure in ("BODY_READ", "ARGUMENT")
    # A connection that came too late for the request has carried nothing and may be kept.
    wait_until(lambda: all(c.closed.is_set() or not c.received for c in origin_raw.connections),
               "the end")
    assert not [r for r in origin_raw.requests if r.body]


@pytest.mark.parametrize("more", [1, 100_000])
def test_lb02_more_bytes_than_announced_fail(client, origin_raw, more):
    exchange = client.open(origin_raw.url(), method="POST", body=stream(10))
    client.body_chunk(exchange, bytes(10 + more))
    client.finish(exchange)
    assert exchange.failure in ("BODY_READ", "ARGUMENT")
    assert all(len(r.body) <= 10 for r in origin_raw.requests)


def test_lb02_file_that_ends_early_fails(client, origin_raw, folder):
    (folder / "short").write_bytes(bytes(100))
    fd = os.open(folder / "short", os.O_RDONLY)
    body = fetch_pb2.RequestBody(fd=fetch_pb2.FdBody(length_bytes=200))
    exchange = client.open(origin_raw.url(), method="POST", body=body, fds=[fd])
    os.close(fd)
    assert client.finish(exchange).failure == "BODY_READ"


# ---- LB04, LB05, LB06

@pytest.mark.parametrize("stage", STAGES)
def test_lb04_abort_at_each_stage_is_one_failure(client, origin_raw, stage):
    with held_at(stage, client, origin_raw) as exchange:
        client.abort(exchange)
        client.abort(exchange)
        assert client.finish(exchange).failure == "ABORTED"
        assert client.status().requests_active == (6 if stage == "queue" else 0)


@pytest.mark.parametrize("stage", STAGES)
def test_lb05_client_that_leaves_at_each_stage_leaves_nothing_behind(xhrd, another, origin_raw, stage):
    leaving = xhrd.client(program="leaving")
    with held_at(stage, leaving, origin_raw):
        leaving.close()
        wait_until(lambda: another.status().requests_active == 0, "its requests to end")
        wait_until(lambda: all(c.closed.is_set() for c in origin_raw.connections) or stage == "send",
                   "its connections to close")
        for connection in origin_raw.connections:
            connection.close()


def test_lb05_client_killed_amid_an_upload_ends_the_upload(xhrd, another, origin_raw):
    leaving = xhrd.client()
    exchange = leaving.open(origin_raw.url(), method="POST", body=stream(1 << 20))
    leaving.body_chunk(exchange, bytes(1000))
    wait_until(lambda: origin_raw.requests, "the request")
    leaving.close()
    assert origin_raw.connections[0].closed.wait(20)
    assert another.status().requests_active == 0


def test_lb06_name_found_after_the_abort_is_dropped(client, origin_raw):
    for _ in range(50):
        exchange = client.open(origin_raw.url(host="localhost"))
        client.abort(exchange)
        client.finish(exchange)
        assert exchange.failure == "ABORTED" or exchange.done
    assert client.fetch(origin_raw.url(host="localhost")).done


def test_lb06_client_gone_before_its_name_is_found(xhrd, another, origin_raw):
    for _ in range(20):
        with xhrd.client() as leaving:
            leaving.open(origin_raw.url(host="localhost"))
    wait_until(lambda: another.status().clients == 1, "the clients to be gone")
    assert another.fetch(origin_raw.url(host="localhost")).done


# ---- LB08

EMPTY = {
    "length 0": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    "1.0": b"HTTP/1.0 200 OK\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
    "gzip of nothing": response(b"", fields=[("Content-Encoding", "gzip")]),
}


@pytest.mark.parametrize("framing", EMPTY)
def test_lb08_empty_body_is_a_load_of_0_bytes(client, origin_raw, framing):
    def script(connection):
        connection.request()
        connection.send(EMPTY[framing])
        if framing not in ("close", "1.0"):
            connection.wait_gone()

    origin_raw.script = script
    exchange = client.fetch(origin_raw.url())
    assert exchange.done and exchange.body == b"" and exchange.done.body_bytes == 0
    assert exchange.states == [1, 2, 4] or exchange.states == [1, 2]


@pytest.mark.parametrize("body", [b"", stream(0), stream(None)], ids=["inline", "length", "chunked"])
def test_lb08_empty_upload_is_well_framed(client, origin_raw, body):
    exchange = client.open(origin_raw.url(), method="POST", body=body)
    if not isinstance(body, bytes):
        client.body_end(exchange)
    assert client.finish(exchange).done
    request = origin_raw.requests[0]
    assert request.body == b""
    assert request.get("Content-Length") == "0" or request.get("Transfer-Encoding") == "chunked"


# ---- LB09

def test_lb09_partial_writes_and_signals_change_nothing(xhrd, origin_nginx, ca):
    data = os.urandom(4 << 20)
    origin_nginx.write("random", data)
    stop = threading.Event()

    def pester():
        while not stop.wait(0.002):
            os.kill(xhrd.pid, signal.SIGHUP)

    with xhrd.client() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        pest = threading.Thread(target=pester)
        pest.start()
        try:
            exchange = client.fetch(origin_nginx.url("/random"), ca=ca.pem, credit=10_000)
            upload = client.open(origin_nginx.url("/upload/random"), method="PUT", ca=ca.pem,
                                 body=stream(len(data)))
            client.send_all(upload, data, end=True)
        finally:
            stop.set()
            pest.join()
        assert exchange.body == data
        assert upload.status in (201, 204)
        assert (origin_nginx.prefix / "www/upload/random").read_bytes() == data


@pytest.mark.parametrize("length", [None, 3_000_000])
def test_streamed_upload_arrives_whole(client, origin_raw, length):
    data = os.urandom(3_000_000)
    exchange = client.open(origin_raw.url(), method="POST", body=stream(length))
    assert client.send_all(exchange, data, end=True).done
    assert origin_raw.requests[0].body == data
    chunked = origin_raw.requests[0].get("Transfer-Encoding") == "chunked"
    assert chunked == (length is None)


def test_upload_from_a_file_and_download_to_one(client, origin_raw, folder):
    data = os.urandom(2_000_000)
    (folder / "up").write_bytes(b"skip" + data)
    origin_raw.answer = lambda request: response(request.body)
    up = os.open(folder / "up", os.O_RDONLY)
    down = os.open(folder / "down", os.O_RDWR | os.O_CREAT)
    exchange = client.open(origin_raw.url(), method="POST", fds=[up, down],
                           body=fetch_pb2.RequestBody(fd=fetch_pb2.FdBody(offset=4)),
                           response_fd=fetch_pb2.ResponseFd(offset=3))
    os.close(up)
    os.close(down)
    assert client.finish(exchange).done, exchange.text
    assert origin_raw.requests[0].body == data
    assert (folder / "down").read_bytes() == b"\0\0\0" + data
    assert exchange.body_bytes == 0 and exchange.done.body_bytes == len(data)


def test_response_descriptor_that_takes_nothing_fails_that_request_only(client, origin_raw, folder):
    (folder / "x").write_bytes(b"")
    reader, writer = os.pipe()
    os.close(reader)
    for fd in (os.open(folder / "x", os.O_RDONLY), writer):
        exchange = client.open(origin_raw.url(), fds=[fd], response_fd=fetch_pb2.ResponseFd())
        os.close(fd)
        assert client.finish(exchange).failure in ("WRITE", "ARGUMENT")
    assert client.fetch(origin_raw.url()).done


def test_descriptor_announced_but_not_sent_is_an_argument_error(client, origin_raw):
    exchange = client.open(origin_raw.url(), response_fd=fetch_pb2.ResponseFd())
    assert client.finish(exchange).failure == "ARGUMENT"
    assert not origin_raw.requests


# ---- LB10

@pytest.mark.xhrd(arguments=["--log-level", "warning"])
def test_lb10_hundred_thousand_requests_on_one_connection_leave_everything_flat(xhrd, origin_nginx):
    total, depth = (2_000 if SANITIZED else 100_000), 64
    with xhrd.client() as client:
        assert client.fetch(origin_nginx.plain_url("/connection", "127.0.0.1")).done
        head = fetch_pb2.OpenRequest(
            method=b"GET", url=origin_nginx.plain_url("/connection", "127.0.0.1").encode(),
            redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE,
            response_credit_bytes=65536).SerializeToString()

        def frame(number):
            inner = b"\x08" + varint(number) + head
            return framed(b"\x12" + varint(len(inner)) + inner)

        number, done, marks = 1_000_000, 0, []
        client.sock.sendall(b"".join(frame(number + n) for n in range(depth)))
        number += depth
        while done < total:
            while (message := client._frame()) is None:
                client._in += client.sock.recv(1 << 18)
            assert message[0] != 0x42, "failed"
            if message[0] == 0x3a:  # done
                done += 1
                if done in (total // 10, total):
                    marks.append((len(xhrd.fds()), xhrd.rss_kib()))
                if number < 1_000_000 + total:
                    client.sock.sendall(frame(number))
                    number += 1
        assert marks[0][0] == marks[1][0]
        assert SANITIZED or marks[1][1] - marks[0][1] < 1024, marks
        assert client.status().requests_active == 0
