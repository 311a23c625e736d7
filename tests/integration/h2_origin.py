# SPDX-License-Identifier: MIT
"""An HTTP/2 origin that does what a test says: python3-h2 keeps the books, and bytes may be put
on the wire past it."""
import collections
import contextlib
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import origins

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9)
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        "!I", stream) + payload


def field(name, value):
    """A literal that enters no table; both below 127 bytes."""
    name, value = name.encode(), value.encode()
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Stream:
    def __init__(self, conn, number, fields):
        self.conn, self.number = conn, number
        self.fields = dict(fields)
        self.path, self.method = self.fields.get(":path"), self.fields.get(":method")
        self.body = b""


class H2Connection:
    """One connection: `step()` takes what came and calls the origin's handler of it."""

    def __init__(self, origin, connection):
        self.origin, self.connection = origin, connection
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.streams = collections.OrderedDict()
        self.resets = []
        self.lock = threading.RLock()

    def flush(self):
        with self.lock:
            data = self.h2.data_to_send()
            if data:
                self.connection.send(data)

    def raw(self, *frames):
        with self.lock:
            self.flush()
            self.connection.send(b"".join(frames))

    def respond(self, stream, body=b"", status="200", fields=(), end=True):
        with self.lock:
            self.h2.send_headers(stream.number, [(":status", status), *fields],
                                 end_stream=end and not body)
            self.flush()
            if body:
                self.send_body(stream, body, end)

    def send_body(self, stream, body, end=True):
        """As far as the windows go; waits for more room."""
        while body:
            with self.lock:
                room = min(self.h2.local_flow_control_window(stream.number),
                           self.h2.max_outbound_frame_size, len(body))
                if room > 0:
                    part, body = body[:room], body[room:]
                    self.h2.send_data(stream.number, part, end_stream=end and not body)
                    self.flush()
                    continue
            self.step()

    def step(self):
        data = self.connection.recv()
        with self.lock:
            events = self.h2.receive_data(data)
        for event in events:
            self._event(event)
        self.flush()

    def _event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            stream = Stream(self, event.stream_id, event.headers)
            self.streams[event.stream_id] = stream
            self.origin.requests.append(stream)
            self.origin.on_request(self, stream)
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.origin.on_end(self, self.streams[event.stream_id])
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append((event.stream_id, event.error_code))
        elif isinstance(event, h2.events.PingReceived):
            self.origin.pings += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.origin.goaways.append(event.error_code)


class H2Origin:
    """on_request(conn, stream) at a request's head, on_end(conn, stream) when it is whole."""

    def __init__(self, authority=None, settings=None, names=()):
        tls = origins.tls_server(authority, *names, alpn=["h2"]) if authority else None
        self.base = origins.ScriptedOrigin(tls)
        self.base.script = self._serve
        self.settings = settings or {}
        self.requests, self.goaways, self.conns = [], [], []
        self.pings = 0
        self.on_request = lambda conn, stream: None
        self.on_end = lambda conn, stream: conn.respond(stream, b"hello\n")

    def _serve(self, connection):
        conn = H2Connection(self, connection)
        if self.settings:
            conn.h2.local_settings.update(self.settings)
        conn.h2.initiate_connection()
        self.conns.append(conn)
        with contextlib.suppress(h2.exceptions.ProtocolError):
            conn.flush()
            while True:
                conn.step()

    @property
    def connections(self):
        return self.base.connections

    def url(self, path="/", host=None):
        return self.base.url(path, host)

    def stop(self):
        self.base.stop()
