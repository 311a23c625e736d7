# SPDX-License-Identifier: MIT
"""Somebody between the daemon and a TLS server: reads each ClientHello, and answers it himself,
passes it on, or passes on another one."""
import contextlib
import dataclasses
import select
import socket
import struct
import threading

from waiting import wait_until

SCSV = 0x5600
SUPPORTED_VERSIONS = 43


@dataclasses.dataclass
class Hello:
    """A ClientHello, as far as it matters here. `bytes` is the whole record."""
    bytes: bytes
    legacy_version: int
    ciphers: list
    extensions: list     # [(type, data)]

    @property
    def versions(self):
        """Offered, newest first; below TLS 1.3 only the newest is said."""
        for kind, data in self.extensions:
            if kind == SUPPORTED_VERSIONS:
                return [int.from_bytes(data[at:at + 2], "big") for at in range(1, len(data), 2)]
        return [self.legacy_version]

    @property
    def is_fallback(self):
        return SCSV in self.ciphers

    def rebuilt(self, legacy_version=None, ciphers=None, extensions=None):
        """The same hello with other parts."""
        version = self.legacy_version if legacy_version is None else legacy_version
        ciphers = self.ciphers if ciphers is None else ciphers
        extensions = self.extensions if extensions is None else extensions
        session_end = 5 + 4 + 2 + 32 + 1 + self.bytes[5 + 4 + 34]
        body = struct.pack(">H", version) + self.bytes[5 + 4 + 2:session_end]
        body += struct.pack(">H", 2 * len(ciphers)) + b"".join(struct.pack(">H", c) for c in ciphers)
        body += b"\x01\x00"
        tail = b"".join(struct.pack(">HH", kind, len(data)) + data for kind, data in extensions)
        body += struct.pack(">H", len(tail)) + tail
        message = b"\x01" + struct.pack(">I", len(body))[1:] + body
        return self.bytes[:3] + struct.pack(">H", len(message)) + message


def parse(record: bytes) -> Hello:
    assert record[0] == 22 and record[5] == 1, "no ClientHello"
    at = 9
    version = int.from_bytes(record[at:at + 2], "big")
    at += 34
    at += 1 + record[at]
    size = int.from_bytes(record[at:at + 2], "big")
    ciphers = [int.from_bytes(record[at + 2 + i:at + 4 + i], "big") for i in range(0, size, 2)]
    at += 2 + size
    at += 1 + record[at]
    end = at + 2 + int.from_bytes(record[at:at + 2], "big")
    at += 2
    extensions = []
    while at < end:
        kind, size = struct.unpack(">HH", record[at:at + 4])
        extensions.append((kind, record[at + 4:at + 4 + size]))
        at += 4 + size
    return Hello(record, version, ciphers, extensions)


def alert(number, level=2, version=0x0303):
    return struct.pack(">BHHBB", 21, version, 2, level, number)


# What `script(mitm, number, hello)` may return, with number counting the connections.
PASS, RESET, END, SILENCE = "pass", "rst", "fin", "silence"


class Mitm:
    """`script` says what becomes of each hello: PASS, RESET, END, SILENCE, bytes to answer with,
    or a Hello (of Hello.rebuilt()) to pass on in its place."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.script = lambda number, hello: PASS
        self.hellos, self.faults = [], []
        self._threads, self._socks = [], []
        self._over = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def offered(self):
        """(newest version, is it a fallback) of each hello so far."""
        return [(hello.versions[0], hello.is_fallback) for hello in self.hellos]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _exactly(sock, size):
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise OSError("gone")
            data += more
        return data

    def _serve(self, sock):
        try:
            head = self._exactly(sock, 5)
            hello = parse(head + self._exactly(sock, int.from_bytes(head[3:], "big")))
            self.hellos.append(hello)
            self._act(sock, hello, self.script(len(self.hellos) - 1, hello))
        except OSError:
            pass
        except Exception as fault:  # the script's own must not pass for the daemon's
            self.faults.append(fault)
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _act(self, sock, hello, what):
        if what == SILENCE:
            self._over.wait()
        elif what == RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        elif what == PASS:
            self._relay(sock, hello.bytes)
        elif isinstance(what, Hello):
            self._relay(sock, what.bytes)
        elif what != END:
            sock.sendall(what)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass

    def _relay(self, near, first):
        with socket.create_connection(("127.0.0.1", self.target_port)) as far:
            self._socks.append(far)
            far.sendall(first)
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    (far if source is near else near).sendall(data)

    def stop(self):
        self._over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._acceptor.join()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not any(thread.is_alive() for thread in self._threads),
                   "the threads of the man in the middle to end")
        assert not self.faults, self.faults
