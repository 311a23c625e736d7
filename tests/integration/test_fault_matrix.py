# SPDX-License-Identifier: MIT
"""The fault matrix: what a network does (rows), at which phase of a request (columns), over http,
https and HTTP/2, and what comes of it. In each cell there is one end (the wire's Exchange sees to
it) of exactly one kind, the pool is left with what the cell says, twenty requests beside it come to no
harm, a kept connection to another origin is still the same, and the daemon holds nothing more than
before (the xhrd fixture). Plain http, and what only TLS has, is run in CI; all of it by ./dev soak.
Names, clients and the machine itself: test_fault_names.py, test_fault_clients.py, test_fault_local.py;
PLAN says which cells there have to be."""
import contextlib
import importlib

import pytest
from faults import FaultProxy, Toxics
from h2_origin import H2Origin
from origins import ScriptedOrigin, response, tls_server
from proxies import ScriptedProxy, options
from stages import FullBacklog, deaf, half_a_body, half_a_chunk, half_a_head, mute, silent
from waiting import wait_until
from wire import fetch_pb2, stream

T_MS = 500
BODY = bytes(range(256)) * 2
HALF = b"half"
N_HEALTHY = 20

# What has to have a test: the plan's matrix. The cells of names and of clients are elsewhere (below).
PLAN = """
fault        dns tcp connect hello mid send-head send-body wait length chunked close h2 idle client
latency      x   x   x       x     x   x         x         x    x      x       x     x  x    x
bandwidth    -   -   x       x     x   x         x         x    x      x       x     x  -    x
slicer       -   -   x       x     x   x         x         x    x      x       x     x  -    x
hole         x   x   x       x     x   x         x         x    x      x       x     x  x    x
rst          x   x   x       x     x   x         x         x    x      x       x     x  x    x
fin          x   -   x       x     x   x         x         x    x      x       x     x  x    x
half         -   -   x       x     x   x         x         x    x      x       x     x  x    x
limit        x   -   x       x     x   -         -         x    x      x       x     x  -    x
slow_close   x   -   x       x     x   x         x         x    x      x       x     x  x    x
corrupt      x   -   x       x     x   -         x         x    x      x       x     x  -    x
refused      x   x   x       -     -   -         -         -    -      -       -     -  -    -
"""
ELSEWHERE = {
    ("latency", "dns"): "test_fault_names.test_a_name_server_that_is_odd_is_understood",
    ("slow_close", "dns"): "test_fault_names.test_a_name_server_that_is_odd_is_understood",
    ("hole", "dns"): "test_fault_names.test_silence_of_both_ends_in_time",
    ("rst", "dns"): "test_fault_names.test_when_the_first_is_gone_the_second_is_asked",
    ("fin", "dns"): "test_fault_names.test_what_the_first_does_not_say_the_second_does",
    ("limit", "dns"): "test_fault_names.test_what_the_first_does_not_say_the_second_does",
    ("corrupt", "dns"): "test_fault_names.test_what_the_first_does_not_say_the_second_does",
    ("refused", "dns"): "test_fault_names.test_when_both_are_gone_it_is_an_error_of_the_name",
    **{(fault, "client"): "test_fault_clients.test_a_slow_way_to_the_daemon_is_slow_and_nothing_else"
       for fault in ("latency", "bandwidth", "slicer", "slow_close")},
    ("hole", "client"):
        "test_fault_clients.test_a_client_in_a_hole_holds_the_server_back_and_nobody_else",
    **{(fault, "client"): "test_fault_clients.test_a_client_that_is_cut_off_has_its_request_cancelled"
       for fault in ("rst", "fin")},
    ("half", "client"): "test_ipc.test_half_closed_client_still_gets_its_answer",
    ("limit", "client"): "test_fault_clients.test_words_cut_at_each_byte_are_no_request",
    ("corrupt", "client"):
        "test_fault_clients.test_words_with_a_flipped_bit_are_answered_or_refused",
}

# W: loads, only slower. T: its time is up. R: once more, over a fresh connection, and it loads.
# The others are ends at once: P: the proxy's fault; H: the handshake's; N: nothing of an answer
# came; C: the answer is cut; L: a load, since the end of a plain connection is the end of the body,
# but C over TLS, where it is nobody's word; G: what the bytes have become: a load, or no HTTP; over
# TLS they are never a load. S: another server, or another address of it, is taken. D: dropped before
# it is used. A: what the server said before it closed its side is the answer. V: the server gets what
# came, and its word counts; over TLS it hangs up.
TABLE = """
fault        tcp connect hello mid send-head send-body wait head length chunked close h2 idle
latency      W   W       W     W   W         W         W    W    W      W       W     W  W
bandwidth    -   W       W     W   W         W         W    W    W      W       W     W  W
slicer       -   W       W     W   W         W         W    W    W      W       W     W  W
slow_close   -   W       W     W   W         W         W    W    W      W       W     W  W
hole         T   T       T     T   T         T         T    T    T      T       T     T  T
rst          S   P       H     H   R         N         R    C    C      C       C     R  D
fin          -   P       H     H   R         N         R    C    C      C       L     R  D
half         -   P       H     H   R         A         R    C    C      C       L     R  D
limit        -   P       H     H   -         -         N    C    C      C       L     C  -
corrupt      -   P       H     H   -         V         G    G    G      G       G     G  -
refused      S   P       -     -   -         -         -    -    -      -       -     -  -
"""


def kinds_of(cell, fault, phase, scheme):
    """How it may fail, None: a load. More than one where chance has a say: a reset may meet a read or
    a write, a flipped bit a length or a byte."""
    over_tls = scheme != "http"
    if cell == "T":
        return ("TIMEOUT_CONNECT",) if phase in ("tcp", "connect", "hello", "mid") else ("TIMEOUT_IDLE",)
    if cell == "P":
        return ("PROTOCOL",) if fault == "corrupt" else ("PROXY",)
    if cell == "H":
        return ("TLS",)
    if cell == "G":
        in_plain = {"wait": ("PROTOCOL",), "head": (None, "PROTOCOL"),
                    "chunked": (None, "PROTOCOL", "TIMEOUT_IDLE")}
        # A record that is bad, or says it is longer and is waited for.
        return ("TLS", "TIMEOUT_IDLE") if over_tls else in_plain.get(phase, (None,))
    if cell == "V":
        return ("TLS", "RECEIVE", "SEND", "EMPTY_REPLY") if over_tls else (None,)
    if cell == "N" and phase == "send-body":
        return ("EMPTY_REPLY", "RECEIVE", "SEND") if fault == "fin" else ("RECEIVE", "SEND")
    if cell in "NCL":
        if scheme == "h2" or fault == "rst":
            return ("RECEIVE",)
        if cell == "L" and not over_tls:
            return (None,)
        # With TLS an answer is one record, of which there is all or nothing.
        return ("EMPTY_REPLY",) if fault == "limit" and over_tls else ("TRUNCATED",)
    return (None,)


def kept_after(cell, fault, phase, scheme):
    """Connections to the server that the pool is left with."""
    if cell in "RSD":
        return 1
    if cell == "W":
        return int(phase != "close")
    if cell == "T":  # a stream ends alone
        return int(scheme == "h2" and phase not in ("tcp", "connect", "hello", "mid"))
    return 0


SLOWER = {
    "latency": Toxics(latency=0.05, jitter=0.02),
    "bandwidth": Toxics(bytes_per_s=8192),
    "slicer": Toxics(slice_bytes=1),
    "slow_close": Toxics(slow_close=0.5),
}
SCHEMES = {  # of a column
    "tcp": ("http", "https", "h2"), "connect": ("https", "h2"), "hello": ("https", "h2"),
    "mid": ("https", "h2"), "chunked": ("http", "https"), "close": ("http", "https"), "h2": ("h2",),
}


def cells():
    rows = [line.split() for line in TABLE.strip().split("\n")]
    for fault, *row in rows[1:]:
        for phase, cell in zip(rows[0][1:], row):
            schemes = SCHEMES.get(phase, ("http", "https", "h2"))
            if cell == "A":  # streams have ends of their own
                schemes = ("http", "https")
            for scheme in schemes if cell != "-" else ():
                in_ci = scheme == schemes[0] or (phase == "idle" and scheme == "h2")
                yield pytest.param(fault, phase, scheme, cell, id=f"{fault}-{phase}-{scheme}",
                                   marks=[pytest.mark.shallow] if in_ci else [pytest.mark.soak])


def chunked(body):
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                       for piece in (body[at:at + 100] for at in range(0, len(body), 100)))
            + b"0\r\n\r\n")


ANSWERS = {"chunked": chunked(BODY),
           "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY}


def half_until_close(connection):
    connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + HALF)
    connection.wait_gone()


STUCK = {"send-body": deaf, "wait": silent, "head": half_a_head, "length": half_a_body,
         "chunked": half_a_chunk, "close": half_until_close}


class Server:
    """One that answers rightly, or goes as far as a phase and no further."""

    def __init__(self, scheme, ca):
        self.is_h2 = scheme == "h2"
        self.h2 = H2Origin(ca) if self.is_h2 else None
        self.base = self.h2.base if self.is_h2 else ScriptedOrigin(
            tls_server(ca) if scheme == "https" else None)
        self.port, self.tls = self.base.port, self.base.tls
        if self.tls:
            self.tls.num_tickets = 0  # each handshake is as long as the first
        self.stop = self.base.stop

    @property
    def requests(self):
        return self.h2.requests if self.is_h2 else self.base.requests

    def answer_rightly(self, phase):
        if self.is_h2:
            self.h2.on_end = lambda conn, stream: conn.respond(stream, BODY)
            return

        def script(connection):
            while True:
                connection.request()
                connection.send(ANSWERS.get(phase) or response(BODY))
                if phase != "close":
                    continue
                if connection.origin.tls:
                    with contextlib.suppress(ValueError):  # closed by the end of the test
                        connection.sock.unwrap()
                return
        self.base.script = script

    def get_stuck(self, phase):
        """At this phase of each request, but for the first if it is of a kept connection."""
        if not self.is_h2:
            self.base.script = STUCK[phase]
            return
        self.h2.on_end = lambda conn, stream: None
        if phase in ("length", "h2", "head"):
            length = [("content-length", "100")] if phase == "length" else []
            self.h2.on_end = lambda conn, stream: conn.respond(
                stream, HALF, fields=length, end=False)


class Case:
    """A daemon's client, a server of a scheme, and the fault between the daemon and it."""

    def __init__(self, client, ca, scheme, phase, cell):
        self.client, self.ca, self.scheme, self.phase = client, ca, scheme, phase
        # Time runs where that is looked at, or may be the end, and nowhere else: a machine may be slow.
        self.limit_ms = {"T": T_MS, "G": 6 * T_MS}.get(cell, 60000)
        self.healthy, self.other = ScriptedOrigin(), ScriptedOrigin()
        self.kept = self.other_connection()
        self.server = Server(scheme, ca)
        self.middle = ScriptedProxy() if phase == "connect" else None
        self.proxy = FaultProxy(self.middle or self.server)

    def stop(self):
        self.proxy.stop()
        for part in (self.middle, self.server, self.healthy, self.other):
            part.stop() if part else None

    def open(self, **more):
        if self.phase == "send-body" and "body" not in more:
            more.update(method="PUT", body=BODY * 4)
        url = f"{'http' if self.scheme == 'http' else 'https'}://localhost:{self.proxy.port}/"
        if self.middle:
            url = f"https://localhost:{self.server.port}/"
            more["network"] = options(f"http://127.0.0.1:{self.proxy.port}")
        if self.phase == "send-head":
            more["headers"] = [("X-Long", "x" * 4000)]
        return self.client.open(url, ca=self.ca.pem, **more)

    def open_limited(self, **more):
        return self.open(connect_ms=self.limit_ms, idle_ms=self.limit_ms, **more)

    def has_healthy_ones_beside(self):
        return [self.client.open(self.healthy.url(f"/{n}"), no_keep_alive=True)
                for n in range(N_HEALTHY)]

    def finish(self, exchange, beside):
        self.client.finish(exchange, *beside)
        assert all(other.done and other.body == b"hello\n" for other in beside)
        return exchange

    def other_connection(self):
        return self.client.fetch(self.other.url()).head.connection.connection_id

    def pool_is_left_with(self, n):
        """And the other origin's connection is the one it was."""
        assert self.other_connection() == self.kept
        wait_until(lambda: len([row for row in self.client.connections()
                                if row.connection_id != self.kept]) == n,
                   f"the pool to be left with {n}")


@pytest.fixture
def case(request, client, ca):
    made = Case(client, ca, *map(request.getfixturevalue, ("scheme", "phase", "cell")))
    yield made
    made.stop()


# ---- slower

def loads_slowly(case, toxics):
    case.proxy.toxics = toxics
    case.server.answer_rightly(case.phase)
    beside = case.has_healthy_ones_beside()
    exchange = case.finish(case.open(), beside)
    assert exchange.done and exchange.body == BODY, exchange.text
    if case.phase == "idle":  # the second one rides the first one's connection
        exchange = case.client.finish(case.open())
        assert exchange.done and len(case.proxy.links) == 1
    if case.phase == "send-body":
        assert case.server.requests[-1].body == BODY * 4


# ---- a fault at a place of the answer

def of_the_answer(case, change):
    """Once as it should be, to know its length; then with a fault at some of its bytes."""
    case.server.answer_rightly(case.phase)
    whole = case.client.finish(case.open(no_keep_alive=True))
    assert whole.done, whole.text
    link = case.proxy.links[0]
    wait_until(link.has_passed_all, "all of it")
    first, size = places(case, link.passed["down"])
    ends = []
    for place in sorted({first, first + (size - first) // 2, size - 1}):
        case.proxy.toxics = change(place)
        beside = case.has_healthy_ones_beside()
        exchange = case.finish(case.open_limited(no_keep_alive=True), beside)
        ends.append((place, exchange.failure, exchange.body))
    return ends


def places(case, size):
    """Return: the first byte of the phase that the answer has, and its end."""
    if case.middle:
        return 1, len(b"HTTP/1.1 200")  # what follows is for people
    if case.phase == "hello":
        return 1, 90
    if case.phase == "mid":
        return 150, 500
    if case.scheme != "http":
        return size - len(BODY) - 30, size - len(BODY) // 2  # behind the handshake
    return {"wait": (1, 2), "head": (10, 17)}.get(case.phase, (size - len(BODY) + 1, size))


def ends_within(allowed, ends):
    for place, failure, body in ends:
        assert failure in allowed, (place, failure)
        assert failure is None or BODY.startswith(body), place


# ---- a fault at a moment

def bring_to_the_phase(case):
    """Return: the exchange that is there, or whose time was up on the way."""
    client, proxy, phase = case.client, case.proxy, case.phase

    def reach(is_there, what):
        wait_until(lambda: client.drain() or exchange.ended or is_there(), what)
    if phase in ("hello", "mid", "connect"):
        stuck = case.middle or case.server.base
        if phase == "mid":
            case.server.answer_rightly(phase)
            proxy.toxics = Toxics(limit_down=300, at_limit="hole")
        else:
            stuck.script = mute
            stuck.tls = None
        exchange = case.open_limited()
        reach(lambda: proxy.links and proxy.links[-1].passed["up"] > 0, "the first words")
        if phase == "mid":
            reach(lambda: proxy.links[-1].hole.is_set(), "the middle of it")
            proxy.links[-1].hole.clear()
        return exchange
    case.server.get_stuck(phase)
    more = {}
    if phase == "send-body":
        more = dict(method="PUT", body=stream(1 << 30), suppressed_headers=[b"Expect"])
    exchange = case.open_limited(**more)

    def is_there():
        if phase in ("length", "chunked", "close", "h2") or (phase == "head" and case.scheme == "h2"):
            return exchange.body
        if phase == "head":
            return any(c.has_said_half for c in case.server.base.connections)
        return case.server.requests
    reach(is_there, "the phase")
    reach(proxy.links[-1].has_passed_all, "what was said to be passed on")
    return exchange


def happens(case, fault, cell):
    exchange = bring_to_the_phase(case)
    beside = case.has_healthy_ones_beside()
    case.proxy.end(fault)
    if case.phase == "send-body":
        case.client.send_all(exchange, bytes(1 << 26))
    case.finish(exchange, beside)
    allowed = kinds_of(cell, fault, case.phase, case.scheme)
    assert exchange.failure in allowed, (exchange.failure, exchange.text)
    assert exchange.failed or exchange.body == HALF
    assert len(case.proxy.links) == 1, "nothing was tried again on a fresh connection"


def is_answered_while_it_sends(case, fault):
    """The server says it has heard enough and ends its side: that comes first, and is the end."""
    def script(connection):
        connection.request_head()
        connection.send(response(b"enough\n", status="413 Too Large", fields=[("Connection", "close")]))
        connection.wait_gone()

    case.server.base.script = script
    exchange = case.open_limited(method="PUT", body=stream(1 << 30), suppressed_headers=[b"Expect"])
    case.client.receive_until(lambda: exchange.head)
    beside = case.has_healthy_ones_beside()
    case.proxy.end(fault)
    case.client.send_all(exchange, bytes(1 << 24))
    case.finish(exchange, beside)
    assert exchange.status == 413 and exchange.body == b"enough\n" and exchange.done


def is_spoiled_on_its_way_up(case, allowed):
    """Once as it should be, to know its length; then with another byte in its body."""
    case.server.answer_rightly(case.phase)
    assert case.client.finish(case.open(no_keep_alive=True)).done
    wait_until(case.proxy.links[0].has_passed_all, "all of it")
    case.proxy.toxics = Toxics(corrupt_up_at=case.proxy.links[0].passed["up"] - 1000)
    exchange = case.finish(case.open_limited(no_keep_alive=True), case.has_healthy_ones_beside())
    assert exchange.failure in allowed, (exchange.failure, exchange.text)
    if exchange.done:
        got = case.server.requests[-1].body
        assert sum(a != b for a, b in zip(got, BODY * 4)) == 1 and len(got) == len(BODY * 4)
    else:
        assert len(case.server.requests) == 1, "what was no longer what was sent got through"


def happens_to_a_kept_one(case, fault, cell):
    """The server may have closed it before it saw the request: that goes out once more."""
    case.server.answer_rightly(case.phase)
    assert case.client.finish(case.open()).done
    link = case.proxy.links[0]
    wait_until(link.has_passed_all, "all of it")
    beside = case.has_healthy_ones_beside()
    if case.phase == "idle":
        link.end(fault)
        if cell == "D":
            wait_until(lambda: not any(row.remote_address.endswith(b"%d" % case.proxy.port)
                                       for row in case.client.connections()), "it to be dropped")
    else:
        link.end_up_soon(fault)
    exchange = case.finish(case.open_limited(), beside)
    if cell == "T":
        assert exchange.failure == "TIMEOUT_IDLE", exchange.failure
        return
    assert exchange.done and exchange.body == BODY, exchange.text
    assert len(case.proxy.links) == 2


# ---- before there is a connection

def before_a_connection(case, fault, cell):
    case.server.answer_rightly(case.phase)
    if fault in ("hole", "latency"):
        backlog = FullBacklog()
        scheme = "http" if case.scheme == "http" else "https"
        exchange = case.client.open(f"{scheme}://localhost:{backlog.port}/", ca=case.ca.pem,
                                    connect_ms=T_MS if fault == "hole" else 60000)
        case.client.receive_until(lambda: "CONNECT" in exchange.waits)
        if fault == "latency":  # it takes connections, only late
            late = FaultProxy(case.server, backlog.listener)
            assert case.finish(exchange, case.has_healthy_ones_beside()).body == BODY
            late.stop()
        assert cell == "W" or case.client.finish(exchange).failure == "TIMEOUT_CONNECT"
        backlog.stop()
        return
    beside = case.has_healthy_ones_beside()
    if case.phase == "connect":  # nobody is there
        case.proxy.stop()
        assert case.finish(case.open_limited(), beside).failure == "PROXY"
        return
    network = fetch_pb2.NetworkOptions()
    network.resolve.add(host=b"localhost", port=case.proxy.port,
                        addresses=[b"127.0.0.2", b"240.0.0.1", b"127.0.0.1"])
    assert case.finish(case.open(network=network), beside).done
    nowhere = fetch_pb2.NetworkOptions()
    nowhere.resolve.add(host=b"localhost", port=case.proxy.port, addresses=[b"127.0.0.2", b"127.0.0.3"])
    assert case.client.finish(case.open(network=nowhere)).failure == "CONNECT"


@pytest.mark.parametrize("fault, phase, scheme, cell", cells())
def test_a_fault_at_a_phase_comes_to_what_the_table_says(case, fault, phase, scheme, cell):
    allowed = kinds_of(cell, fault, phase, scheme)
    if phase == "tcp" or fault == "refused":
        before_a_connection(case, fault, cell)
    elif fault in SLOWER:
        loads_slowly(case, SLOWER[fault])
    elif cell == "A":
        is_answered_while_it_sends(case, fault)
    elif cell == "V":
        is_spoiled_on_its_way_up(case, allowed)
    elif fault == "limit":
        ends_within(allowed, of_the_answer(case, lambda at: Toxics(limit_down=at)))
    elif fault == "corrupt":
        ends_within(allowed, of_the_answer(case, lambda at: Toxics(corrupt_at=at)))
    elif cell in ("R", "D") or phase in ("idle", "send-head"):
        happens_to_a_kept_one(case, fault, cell)
    else:
        happens(case, fault, cell)
    if cell == "W" and phase == "tcp":  # it went by another port, which is closed
        return
    case.pool_is_left_with(kept_after(cell, fault, phase, scheme))


def test_each_cell_of_the_plan_has_its_test():
    there = {value.values[:2] for value in cells()}
    head, *rows = [line.split() for line in PLAN.strip().split("\n")]
    for fault, *row in rows:
        for phase, cell in zip(head[1:], row):
            if cell == "-" or (fault, phase) in there:
                continue
            module, name = ELSEWHERE[fault, phase].split(".")
            assert callable(getattr(importlib.import_module(module), name)), (fault, phase)
