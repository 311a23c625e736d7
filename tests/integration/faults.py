# SPDX-License-Identifier: MIT
"""A proxy of TCP that does to a connection what networks do: the kinds of toxiproxy (latency,
bandwidth, slicer, timeout, reset_peer, limit_data, slow_close), half-closes, holes and flipped
bits. It stands between the daemon and an origin; https passes through it as bytes."""
import contextlib
import dataclasses
import random
import socket
import struct
import threading

from waiting import wait_until

DOWN, UP = "down", "up"


@dataclasses.dataclass
class Toxics:
    """What is done to a connection from its beginning. Times in seconds, places in bytes."""
    latency: float = 0      # before each piece, either way
    jitter: float = 0       # more or less of it
    bytes_per_s: int = 0    # in each direction; 0: no limit
    slice_bytes: int = 0    # pieces are no longer; 0: as they come
    slow_close: float = 0   # an end is passed on so much later
    corrupt_at: int = None  # this byte of the answer is another one
    corrupt_up_at: int = None  # and this one of what the daemon sends
    limit_down: int = None  # the answer ends behind so many bytes
    limit_up: int = None    # what the daemon sends ends so
    at_limit: str = "fin"   # with a fin, a rst, or not at all: a hole


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy, near, far, toxics):
        self.proxy, self.near, self.far, self.toxics = proxy, near, far, toxics
        self.taken, self.passed = {UP: 0, DOWN: 0}, {UP: 0, DOWN: 0}
        self.over = threading.Event()
        self.hole = threading.Event()
        self._random = random.Random(1)  # the same in every run

    def start(self):
        threads = [threading.Thread(target=self._pump, args=arguments, daemon=True)
                   for arguments in ((self.near, self.far, UP), (self.far, self.near, DOWN))]
        for thread in threads:
            thread.start()
        return threads

    def _pump(self, source, sink, way):
        try:
            while data := source.recv(1 << 16):
                self.taken[way] += len(data)
                self._pass(data, sink, way)
            self._rest(self.toxics.slow_close)
            if not self.over.is_set() and not self.hole.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            if not self.hole.is_set():
                self.end("fin")

    def has_passed_all(self):
        """That it took so far."""
        return self.taken == self.passed

    def _rest(self, seconds):
        self.over.wait(seconds) if seconds > 0 else None

    def _pass(self, data, sink, way):
        toxics = self.toxics
        step = toxics.slice_bytes or len(data)
        if toxics.bytes_per_s:
            step = min(step, max(1, toxics.bytes_per_s // 20))
        for at in range(0, len(data), step):
            piece = self._spoil(data[at:at + step], way)
            if toxics.latency:
                self._rest(toxics.latency + toxics.jitter * self._random.uniform(-1, 1))
            if toxics.bytes_per_s:
                self._rest(len(piece) / toxics.bytes_per_s)
            if self.hole.is_set():
                self.over.wait()  # taken, and gone; nothing more is
                return
            sink.sendall(piece)
            self.passed[way] += len(piece)
            if self.passed[way] == (toxics.limit_down if way == DOWN else toxics.limit_up):
                self.end(toxics.at_limit)

    def _spoil(self, piece, way):
        toxics, first = self.toxics, self.passed[way]
        limit = toxics.limit_down if way == DOWN else toxics.limit_up
        if limit is not None:
            piece = piece[:max(0, limit - first)]
        bad = toxics.corrupt_at if way == DOWN else toxics.corrupt_up_at
        place = None if bad is None else bad - first
        if place is not None and 0 <= place < len(piece):
            piece = piece[:place] + bytes([piece[place] ^ 0x20]) + piece[place + 1:]
        return piece

    def end(self, how):
        """Now, as the daemon sees it."""
        if how == "hole":
            self.hole.set()
            return
        if how == "half":  # no more answer; what the daemon sends is still taken
            with contextlib.suppress(OSError):
                self.near.shutdown(socket.SHUT_WR)
            return
        self.over.set()
        with contextlib.suppress(OSError):
            if how == "rst":
                self.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.near.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.far.shutdown(socket.SHUT_RDWR)
        if how == "rst":  # the kernel sends it when nobody reads the socket any more
            with contextlib.suppress(OSError):
                self.near.shutdown(socket.SHUT_RD)
            self.near.close()

    def end_up_soon(self, how):
        """When ten bytes more of what the daemon sends have passed."""
        self.toxics = dataclasses.replace(self.toxics, limit_up=self.passed[UP] + 10, at_limit=how)

    def stop(self):
        self.over.set()
        for sock in (self.near, self.far):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class FaultProxy:
    """Listens on a port of its own and leads to `origin`; or on `listener`, and to where `dial`
    connects. `toxics` is for connections to come. Up is from who connected, down is to it."""

    def __init__(self, origin, listener=None, dial=None):
        self.origin, self.toxics = origin, Toxics()
        self._dial = dial or (lambda: socket.create_connection(("127.0.0.1", origin.port)))
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = None if listener else self.listener.getsockname()[1]
        self.links, self._threads = [], []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def url(self, path="/", host="localhost"):
        return f"{'https' if self.origin.tls else 'http'}://{host}:{self.port}{path}"

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = self._dial()
            except OSError:
                return
            for sock in (near, far) if self.port else ():
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(self, near, far, dataclasses.replace(self.toxics))
            self.links.append(link)
            self._threads += link.start()

    def end(self, how):
        """Of the connection that is there: "fin", "rst", "half", "hole"."""
        wait_until(lambda: self.links, "a connection")
        self.links[-1].end(how)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._acceptor.join()
        for link in self.links:
            link.stop()
        for thread in self._threads:
            thread.join(5)
