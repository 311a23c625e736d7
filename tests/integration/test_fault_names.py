# SPDX-License-Identifier: MIT
"""The fault matrix at the name servers: a daemon whose /etc/resolv.conf names two that a test plays,
with the C library's resolver between them. A name server that is slow, silent, gone, wrong or a liar
costs a load only when the other one does not know better. That takes root: port 53, and the file."""
import os
import random
import socket
import struct
import threading

import pytest
from origins import ScriptedOrigin
from waiting import wait_until

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root may play a name server")]

NAME = "name.example"
T_MS = 1000
A, CNAME = 1, 5
NXDOMAIN, SERVFAIL = 3, 2


def encoded(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(name, kind, ttl, data):
    return encoded(name) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def reply(query, records=(), code=0, flags=0, number=None):
    """To one question, with these answers to A and none to others."""
    end = query.index(b"\0", 12) + 5
    records = records if query[end - 4:end - 2] == b"\0\1" else ()
    number = struct.unpack("!H", query[:2])[0] if number is None else number
    return struct.pack("!HHHHHH", number, 0x8180 | flags | code, 1, len(records), 0, 0) + query[
        12:end] + b"".join(records)


def right(query, ttl=60):
    return reply(query, [record(NAME, A, ttl, socket.inet_aton("127.0.0.1"))])


class NameServer:
    """Says over UDP what `say(query)` returns, a list of replies; over TCP what `say_tcp` does."""

    def __init__(self, address):
        self.address, self.queries = address, []
        self.say = lambda query: [right(query)]
        self.say_tcp = right
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53))
        self.over = threading.Event()
        self._threads = [threading.Thread(target=serve, daemon=True) for serve in (self._udp, self._tcp)]
        for thread in self._threads:
            thread.start()

    def _udp(self):
        while True:
            query, asker = self.udp.recvfrom(4096)
            if self.over.is_set():
                return
            self.queries.append(query)
            for answer in self.say(query):
                self.udp.sendto(answer, asker)

    def _tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            with sock:
                while size := sock.recv(2, socket.MSG_WAITALL):
                    query = sock.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL)
                    answer = self.say_tcp(query)
                    sock.sendall(struct.pack("!H", len(answer)) + answer)

    def stop(self):
        if self.over.is_set():
            return
        self.over.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", (self.address, 53))
        self.tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()


class Net:
    def __init__(self, make_xhrd, folder):
        place = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"  # nobody else's
        self.first, self.second = NameServer(place + ".1"), NameServer(place + ".2")
        conf = folder / "resolv.conf"
        conf.write_text(f"nameserver {place}.1\nnameserver {place}.2\noptions timeout:1 attempts:1\n")
        self.daemon = make_xhrd(binds={"/etc/resolv.conf": conf})
        self.origin = ScriptedOrigin()

    def fetch(self, name=NAME):
        with self.daemon.client() as client:
            known = client.open(self.origin.url("/known"))  # healthy, beside it
            exchange = client.open(f"http://{name}:{self.origin.port}/", connect_ms=20000)
            client.finish(known, exchange)
            assert known.done
            return exchange

    def both(self, say):
        self.first.say = self.second.say = say

    def stop(self):
        for part in (self.first, self.second, self.origin):
            part.stop()


@pytest.fixture
def net(make_xhrd, folder):
    made = Net(make_xhrd, folder)
    yield made
    made.stop()


def late(query):
    threading.Event().wait(0.3)
    return [right(query)]


def hundred(query):
    return reply(query, [record(NAME, A, 60, socket.inet_aton(f"127.0.0.{n}")) for n in range(1, 101)])


LOADS = {
    "latency": late,
    "a time to live of nothing": lambda query: [right(query, ttl=0)],
    "a spoofed number before the answer": lambda query: [
        reply(query, [record(NAME, A, 60, socket.inet_aton("127.0.0.9"))],
              number=struct.unpack("!H", query[:2])[0] ^ 1), right(query)],
    "truncated, the rest over TCP, which stays open": lambda query: [reply(query, flags=0x200)],
    "one behind a name": lambda query: [reply(query, [
        record(NAME, CNAME, 60, encoded("other.example")),
        record("other.example", A, 60, socket.inet_aton("127.0.0.1"))])],
}


@pytest.mark.parametrize("kind", LOADS)
def test_a_name_server_that_is_odd_is_understood(net, kind):
    net.both(LOADS[kind])
    exchange = net.fetch()
    assert exchange.done and exchange.body == b"hello\n", exchange.text


def test_a_hundred_addresses_are_tried_until_one_answers(net):
    net.both(lambda query: [reply(query, flags=0x200)])
    net.first.say_tcp = net.second.say_tcp = hundred
    assert net.fetch().done


FIRST_FAILS = {
    "silent": lambda query: [],
    "servfail": lambda query: [reply(query, code=SERVFAIL)],
    **{f"cut at {at}": lambda query, at=at: [right(query)[:at]] for at in (1, 11, 20)},
    "corrupt": lambda query: [right(query)[:12] + bytes([right(query)[12] ^ 0x20]) + right(query)[13:]],
}


@pytest.mark.parametrize("kind", FIRST_FAILS)
def test_what_the_first_does_not_say_the_second_does(net, kind):
    net.first.say = FIRST_FAILS[kind]
    exchange = net.fetch()
    assert exchange.done, exchange.text
    assert net.first.queries and (net.second.queries or kind == "corrupt")


def test_when_the_first_is_gone_the_second_is_asked(net):
    net.first.stop()
    assert net.fetch().done and net.second.queries


def test_when_both_are_gone_it_is_an_error_of_the_name(net):
    net.first.stop()
    net.second.stop()
    exchange = net.fetch()
    assert exchange.failure == "DNS", (exchange.failure, exchange.text)


FAIL = {
    "cut in the address": lambda query: [right(query)[:-1]],
    "nxdomain": lambda query: [reply(query, code=NXDOMAIN)],
    "servfail": lambda query: [reply(query, code=SERVFAIL)],
    "no address": lambda query: [reply(query)],
    "a loop of names": lambda query: [reply(query, [record(NAME, CNAME, 60, encoded("b.example")),
                                                    record("b.example", CNAME, 60, encoded(NAME))])],
    "nonsense": lambda query: [query[:2] + bytes(range(200))],
}


@pytest.mark.parametrize("kind", FAIL)
def test_when_neither_knows_it_is_an_error_of_the_name(net, kind):
    net.both(FAIL[kind])
    exchange = net.fetch()
    assert exchange.failure == "DNS", (exchange.failure, exchange.text)
    assert not net.origin.requests[1:]
    net.both(lambda query: [right(query)])
    assert net.fetch().done, "what failed is not kept"


def test_silence_of_both_ends_in_time(net):
    net.both(lambda query: [])
    with net.daemon.client() as client:
        exchange = client.fetch(f"http://{NAME}:{net.origin.port}/", connect_ms=T_MS)
        assert exchange.failure in ("TIMEOUT_CONNECT", "DNS"), exchange.failure
        wait_until(lambda: client.status().requests_active == 0, "it to be over")


def test_a_new_resolv_conf_is_read(net, folder):
    """The network has changed: other name servers, the same daemon."""
    net.first.stop()
    net.second.stop()
    other = NameServer(f"127.{random.randrange(1, 255)}.{random.randrange(255)}.3")
    with open(folder / "resolv.conf", "w") as conf:  # in place: it is bound
        conf.write(f"nameserver {other.address}\noptions timeout:1 attempts:1\n")
    assert net.fetch().done and other.queries
    other.stop()
