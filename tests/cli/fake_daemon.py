# SPDX-License-Identifier: MIT
"""A daemon that says what the test's script says, so that the programs can be shown every failure
without making one. Scripts get a Conversation: the OpenRequest that came, and words to answer."""
import array
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("XHRD_BUILD") or SOURCE / "build/dev").resolve()
sys.path.insert(0, str(SOURCE / "tests/integration"))

from wire import (ClientMessage, ServerMessage, admin_pb2, cookie_pb2, failure_pb2,  # noqa: E402
                  fetch_pb2, framed)

__all__ = ["Daemon", "Program", "admin_pb2", "cookie_pb2", "failure_pb2", "fetch_pb2", "answer"]

WAIT_S = 30


class Conversation:
    """One connection. request is the last OpenRequest; fds are those that were passed."""

    def __init__(self, sock):
        self.sock, self.fds, self.request = sock, [], None
        self.placed, self.file, self.offset = None, None, 0  # the request whose body has its place, and that
        self.body, self.ended, self.aborted = b"", False, False
        self._in = bytearray()

    def say(self, kind, **fields):
        message = ServerMessage()
        part = getattr(message, kind)
        part.SetInParent()
        if self.request is not None and "request_id" in part.DESCRIPTOR.fields_by_name:
            part.request_id = self.request.request_id
        for name, value in fields.items():
            target = getattr(part, name)
            if hasattr(target, "CopyFrom"):
                target.CopyFrom(value)
            elif hasattr(target, "extend"):
                target.extend(value)
            else:
                setattr(part, name, value)
        self.sock.sendall(framed(message.SerializeToString()))

    def head(self, status=200, fields=(), **more):
        headers = [fetch_pb2.Header(name=n, value=v) for n, v in fields]
        more.setdefault("reason", b"OK" if status == 200 else b"Other")
        more.setdefault("url", self.request.url)
        self.say("head", status=status, http_version=11, headers=headers, **more)
        self.say("ready_state", state=fetch_pb2.READY_STATE_HEADERS_RECEIVED, monotonic_us=1)

    def _place(self):
        """Where the body is to go: the descriptor the client sends when it has the head, or None."""
        if self.request.response_credit_bytes == 0 and self.placed is not self.request:
            self.placed, self.file = self.request, None
            kind, part = self.receive() or (None, None)
            if kind == "body_to_fd":
                self.file, self.offset = self.fds[-1], part.to.offset
        return self.file is not None

    def data(self, data):
        if self._place():
            self.offset += os.pwrite(self.file, data, self.offset)
            return
        for start in range(0, len(data), 65536):
            self.say("body", data=data[start:start + 65536])

    def done(self, body_bytes=0, **more):
        self.say("done", body_bytes=body_bytes, wire_bytes=body_bytes, monotonic_us=2, **more)

    def fail(self, kind, text=b"because", **more):
        number = failure_pb2.FailureKind.Value("FAILURE_KIND_" + kind)
        self.say("failed", failure=failure_pb2.Failure(kind=number, text=text, **more))

    def _frame(self):
        size = shift = 0
        for index, byte in enumerate(self._in[:5]):
            size |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                end = index + 1 + size
                if len(self._in) < end:
                    return None
                frame = bytes(self._in[index + 1:end])
                del self._in[:end]
                return frame
        return None

    def receive(self):
        """The next message of the client; None at the end of the connection."""
        while (frame := self._frame()) is None:
            try:
                data, ancillary, *_ = self.sock.recvmsg(1 << 18, socket.CMSG_SPACE(64))
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._in += data
            for _, _, raw in ancillary:
                fds = array.array("i")
                fds.frombytes(raw)
                self.fds += fds
        message = ClientMessage.FromString(frame)
        kind = message.WhichOneof("kind")
        return kind, getattr(message, kind)

    def take_body(self):
        """Read a streamed body to its end."""
        while not self.ended and (said := self.receive()):
            kind, part = said
            if kind == "body":
                self.body += part.data
                self.say("credit", bytes=len(part.data))
            self.ended = kind == "body_end"
        return self.body

    def wait_gone(self):
        """Read on until the client aborts or leaves."""
        while said := self.receive():
            if said[0] == "abort":
                self.aborted = True
                self.say("failed", failure=failure_pb2.Failure(
                    kind=failure_pb2.FAILURE_KIND_ABORTED))
                return


def answer(body=b"hello\n", status=200, fields=(), **more):
    """A script that answers so."""
    def script(talk):
        talk.head(status, fields, **more)
        if body:
            talk.data(body)
        talk.done(len(body))
    return script


class Daemon:
    """Listens at self.path. script(talk) answers requests, admin(talk, command) and
    cookie(talk, command) the commands."""

    def __init__(self, script=None, admin=None, cookie=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="xhr-cli-", dir="/tmp"))
        self.path = self.folder / "socket"
        self.script = script or answer()
        self.admin, self.cookie = admin, cookie
        self.requests, self.hellos, self.talks, self.troubles = [], [], [], []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
        self._accepting.join(WAIT_S)
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not self.troubles, self.troubles

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(WAIT_S)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        talk = Conversation(sock)
        self.talks.append(talk)
        try:
            self._converse(talk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client left while it was told something
        except Exception as trouble:  # noqa: BLE001
            self.troubles.append(trouble)
        finally:
            for fd in talk.fds:
                os.close(fd)
            sock.close()

    def _converse(self, talk):
        while said := talk.receive():
            kind, part = said
            if kind == "hello":
                self.hellos.append(part)
                talk.say("hello", protocol=1, version=b"fake", uid=os.getuid(),
                         frame_bytes_max=1 << 20, requests_max=100, upload_credit_bytes=65536)
            elif kind == "open":
                talk.request = part
                self.requests.append(part)
                if self.script(talk) == "leave":
                    return
            elif kind == "admin":
                self.admin(talk, part)
            elif kind == "cookie":
                self.cookie(talk, part)


class Run:
    def __init__(self, process):
        self.out, err = process.communicate(timeout=WAIT_S)
        self.err, self.status = err.decode(), process.returncode

    def __repr__(self):
        return f"status {self.status}\n{self.out!r}\n{self.err}"


class Program:
    def __init__(self, name, daemon=None, cwd="/tmp", **environment):
        self.path, self.cwd = BUILD / "bin" / name, cwd
        keep = {name: os.environ[name] for name in os.environ
                if name.endswith("SAN_OPTIONS") or name == "PATH"}
        self.environment = {**keep, "HOME": "/nonexistent", **environment}
        if daemon:
            self.environment["XHRD_SOCKET"] = str(daemon.path)
            self.cwd = str(daemon.folder)

    def start(self, *arguments, stdin=subprocess.DEVNULL, **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen([str(self.path), *map(str, arguments)], stdin=stdin, cwd=self.cwd,
                                env=self.environment, **more)

    def __call__(self, *arguments, feed=None):
        if feed is None:
            return Run(self.start(*arguments))
        with tempfile.TemporaryFile() as stdin:  # a pipe is another case, with its own test
            stdin.write(feed)
            stdin.seek(0)
            return Run(self.start(*arguments, stdin=stdin))
