# SPDX-License-Identifier: MIT
"""Clients that want too much, each in a process of its own: `hostiles.py KIND SOCKET UID` says
"ready" when it is at it, and goes on until its standard input ends. It brings its own origin. A kind
whose connection should stay when it is refused something fails where that is closed."""
import contextlib
import itertools
import os
import pathlib
import select
import socket
import subprocess
import sys
import threading

import wire
from wire import ClientMessage, Client, Closed, ServerMessage, cookie_pb2, envelope_pb2, fetch_pb2, framed, varint

FOR_EVER = dict(idle_ms=3600000, connect_ms=3600000)  # nobody's time is up, however slow the machine
ANSWERS = {
    b"/wait": None,  # never
    b"/pour": b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n",
}


class Origin:
    """Answers never, or for ever, and takes whatever is sent. Keeps nothing."""

    def __init__(self, address="127.0.0.1"):
        self.listener = socket.create_server((address, 0), backlog=1000)
        self.address, self.port = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path):
        return f"http://{self.address}:{self.port}{path}"

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    @staticmethod
    def _serve(sock):
        with sock, contextlib.suppress(OSError):
            head = sock.recv(1 << 16)
            if head.split(b" ")[1:2] == [b"/pour"]:
                sock.sendall(ANSWERS[b"/pour"])
                while True:
                    sock.sendall(bytes(1 << 18))
            while sock.recv(1 << 18):
                pass


def refused(exchanges):
    return [exchange for exchange in exchanges if exchange.failed]


def pour_out(sock, data, before_each=lambda: None):
    """Write it again and again and throw away what comes back, as fast as both go."""
    sock.setblocking(False)
    at, heard = 0, b""
    try:
        while True:
            readable, writable, _ = select.select([sock], [sock], [])
            if readable:
                heard = sock.recv(1 << 20) or fail(heard)
            if writable:
                if at == 0:
                    before_each()
                at = (at + sock.send(data[at:at + (1 << 16)])) % len(data)
    except ConnectionError:
        fail(heard)


def fail(heard):
    raise Closed(f"the connection did not stay; last it was told {heard[-200:]!r}")


def flood(path, origin, ready):
    """As many requests as are allowed, and then more and more."""
    client = Client(path)
    with client.one_write():
        exchanges = [client.open(origin.url("/wait"), **FOR_EVER) for _ in range(4200)]
    client.status()
    failures = {exchange.failure for exchange in refused(exchanges)}
    assert failures == {"QUOTA"}, failures
    client.drain()
    ready()
    request = fetch_pb2.OpenRequest(
        request_id=1 << 20, method=b"GET", url=origin.url("/wait").encode(),
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE)
    pour_out(client.sock, framed(ClientMessage(open=request).SerializeToString()) * 1000)


def deaf(path, origin, ready):
    """Asks for all there is, and reads nothing of it."""
    client = Client(path, auto_credit=False)
    for _ in range(1000):
        client.open(origin.url("/pour"), credit=1 << 31)
    ready()
    threading.Event().wait()


def greedy(path, origin, ready):
    """Answers without end from many servers, and reads all of it as fast as it can."""
    client = Client(path, auto_credit=False)
    for server in [origin, *(Origin(f"127.0.0.{n}") for n in range(2, 9))]:
        for _ in range(6):
            client.open(server.url("/pour"), credit=1 << 31)
    ready()
    while True:
        client.sock.recv(1 << 20) or fail(b"")


def held(path, origin, ready):
    """Bodies that have to be held for it, as many as are allowed, and then more and more."""
    client = Client(path)
    exchanges = [client.open(origin.url("/wait"), "POST", body=bytes(1_000_000), **FOR_EVER)
                 for _ in range(20)]
    client.status()
    assert {exchange.failure for exchange in refused(exchanges)} == {"QUOTA"}
    client.drain()
    ready()
    request = fetch_pb2.OpenRequest(
        request_id=1 << 20, method=b"POST", url=origin.url("/wait").encode(),
        redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE)
    request.body.inline_bytes = bytes(1_000_000)
    pour_out(client.sock, framed(ClientMessage(open=request).SerializeToString()))


def bodies(path, origin, ready):
    """Long bodies that are taken, for requests that end at once: nobody listens there."""
    client = Client(path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        request = fetch_pb2.OpenRequest(
            method=b"POST", url=b"http://127.0.0.1:%d/" % closed.getsockname()[1],
            redirect=fetch_pb2.REDIRECT_MODE_FOLLOW, cookies=fetch_pb2.COOKIE_MODE_NONE)
        request.body.inline_bytes = bytes(1_000_000)
        numbers = itertools.cycle(range(1 << 14, 1 << 21))  # three bytes each
        request.request_id = next(numbers)
        frame = bytearray(framed(ClientMessage(open=request).SerializeToString()))
        at = frame.index(b"\x08" + varint(request.request_id)) + 1

        def number_it():
            frame[at:at + 3] = varint(next(numbers))

        ready()
        pour_out(client.sock, frame, number_it)


def endless(path, origin, ready):
    """Uploads that never end, as fast as they are taken."""
    client = Client(path)
    exchanges = [client.open(origin.url("/put"), "PUT", body=wire.stream(),
                             suppressed_headers=[b"Expect"], idle_ms=600000) for _ in range(64)]
    sent = dict.fromkeys(exchanges, 0)
    ready()
    while True:
        for exchange in exchanges:
            room = client.hello.upload_credit_bytes + exchange.upload_credit - sent[exchange]
            if room > 0:
                client.body_chunk(exchange, bytes(min(room, 1 << 16)))
                sent[exchange] += min(room, 1 << 16)
        client.receive()
        client.drain()


def again_and_again(ready, once):
    """What is sent away comes back."""
    once()
    ready()
    while True:
        once()


def crowd(path, origin, ready):
    """A thousand connections of one user, of whom 128 are let in."""
    def once():
        with contextlib.ExitStack() as stack:
            served = 0
            socks = []
            for _ in range(1000):
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(str(path))
                socks.append(sock)
                with contextlib.suppress(OSError):
                    sock.sendall(HELLO)
            for sock in socks:
                sock.settimeout(60)
                with contextlib.suppress(OSError):
                    served += wire.ServerMessage.FromString(sock.recv(4096)[1:]).HasField("hello")
            assert 0 < served <= 128, served

    again_and_again(ready, once)


HELLO = framed(ClientMessage(hello=envelope_pb2.ClientHello(protocol=1)).SerializeToString())


def halves(path, origin, ready):
    """Frames of 1 MiB that stop in the middle, on each connection it may have."""
    held_open = {}

    def once():
        while len(held_open) < 120:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(path))
            sock.sendall(HELLO + varint(1 << 20))
            sock.setblocking(False)
            held_open[sock] = None
        for sock in list(held_open):
            try:
                sock.send(bytes(1 << 12))
                sock.recv(1 << 16)
            except BlockingIOError:
                pass
            except OSError:
                sock.close()
                del held_open[sock]

    again_and_again(ready, once)


def fds(path, origin, ready):
    """Descriptors that nobody asked for, as many as a message takes."""
    with open("/dev/null", "rb") as null:
        def once():
            with Client(path) as client, contextlib.suppress(OSError, Closed):
                for _ in range(10):
                    client.send("credit", request_id=9, bytes=1, fds=[null.fileno()] * 253)
                client.wait_closed()

        again_and_again(ready, once)


def cookies(path, origin, ready):
    """Cookies into many jars, and lists of all of them, without waiting for an answer."""
    client = Client(path)
    pieces = []
    for n in range(3000):
        command = cookie_pb2.CookieCommand(command_id=n + 1, jar=f"jar{n % 20}")
        if n % 100:
            command.set.cookie.MergeFrom(cookie_pb2.Cookie(
                name=b"n%d" % n, value=b"v" * 100, domain=b"site%d.example" % (n % 50), path=b"/",
                expires_s=4000000000))
        else:
            command.list.SetInParent()
        pieces.append(framed(ClientMessage(cookie=command).SerializeToString()))
    ready()
    pour_out(client.sock, b"".join(pieces))


def a_cookie(n):
    return cookie_pb2.Cookie(name=b"n%d" % n, value=b"v" * 100, domain=b"site%d.example" % (n % 50),
                             path=b"/", expires_s=4000000000)


def lists(path, origin, ready):
    """Short questions with long answers: all 3,000 cookies of a jar, again and again."""
    client = Client(path)
    for start in range(0, 3000, 100):
        client.cookie_command(add_all=cookie_pb2.CookieAddAll(cookies=map(a_cookie, range(start, start + 100))))
    answer = client.cookie_command(list=cookie_pb2.CookieList())
    answer_bytes = sum(len(framed(ServerMessage(cookie=reply).SerializeToString())) for reply in answer)
    command = cookie_pb2.CookieCommand(command_id=answer[0].command_id)
    command.list.SetInParent()
    ready()
    while True:
        client.sock.sendall(framed(ClientMessage(cookie=command).SerializeToString()) * 16)
        left = 16 * answer_bytes
        while left > 0:
            left -= len(client.sock.recv(1 << 20)) or fail(b"")


def imports(path, origin, ready):
    """Long messages with much work in each: 400 cookies at once."""
    client = Client(path)
    command = cookie_pb2.CookieCommand(
        command_id=1, add_all=cookie_pb2.CookieAddAll(cookies=map(a_cookie, range(400))))
    ready()
    pour_out(client.sock, framed(ClientMessage(cookie=command).SerializeToString()))


def sulkers(path, origin, ready):
    """Each has much to hear and hears nothing, then says what gets it sent away, and stays."""
    question = framed(ClientMessage(open=fetch_pb2.OpenRequest(
        request_id=1, method=b"GET", url=b"nonsense", redirect=fetch_pb2.REDIRECT_MODE_FOLLOW,
        cookies=fetch_pb2.COOKIE_MODE_NONE)).SerializeToString())
    socks = []

    def once():
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.settimeout(60)
        with contextlib.suppress(OSError):
            sock.sendall(HELLO + question * 5000)
            sock.sendall(b"\xff" * 20)
        socks.append(sock)
        if len(socks) > 600:
            socks.pop(0).close()

    again_and_again(ready, once)


KINDS = {kind.__name__: kind for kind in (flood, deaf, greedy, held, bodies, endless, crowd, halves, fds, cookies, lists, imports, sulkers)}


class Hostile:
    """One of them at work, beside whoever uses this."""

    def __init__(self, kind, path, uid, wrapper=()):
        self.kind = kind
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-B", str(pathlib.Path(__file__).resolve()), kind, str(path), str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError(f"{kind}: {self.process.communicate()[1]}")

    def is_at_it(self):
        return self.process.poll() is None

    def stop(self):
        """Return: what it had to complain of."""
        if self.process.stdin is None:
            return self.said
        self.process.stdin.close()
        self.process.stdin = None
        self.said = self.process.communicate(timeout=60)[1]
        return self.said


def main():
    kind, path, uid = sys.argv[1:]
    if os.getuid() != int(uid):
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))

    def leave():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()
    KINDS[kind](path, Origin(), lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
