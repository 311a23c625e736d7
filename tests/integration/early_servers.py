# SPDX-License-Identifier: MIT
"""nginx that takes early data, or does not, on one port through its lives: with the same ticket key it
knows sessions of the life before, with another it does not."""
import os
import pathlib
import select
import socket
import subprocess

from origins import LOOPBACK, stop_process
from tls_mitm import Mitm, parse
from waiting import wait_until

EARLY_DATA = 42  # the extension: RFC 8446 section 4.2.10
APPLICATION_DATA = 23

CONFIG = """
daemon off; worker_processes 1; {user}
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format early '$request_method $request_uri $status $server_protocol $ssl_session_reused "$early" "$http_cookie" "$http_authorization" "$http_early_data"';
  access_log {folder}/access.log early;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_timeout {keep};
  ssl_certificate {cert}; ssl_certificate_key {key};
  ssl_protocols {versions};
  ssl_session_tickets on; ssl_session_ticket_key {folder}/ticket.key;
  ssl_early_data {early};
  server {{
    listen {LOOPBACK}:{port} ssl{http2};
    set $early $ssl_early_data; # as it is when the request comes
    location / {{ return 200 "hello\\n"; }}
    location /set {{ add_header Set-Cookie "a=1; Path=/"; return 200 "set\\n"; }}
    location /late {{ if ($ssl_early_data) {{ return 425 "too early\\n"; }} return 200 "late enough\\n"; }}
    location /never {{ return 425 "never\\n"; }}
    location /away {{ return 302 /there; }}
    location /closing {{ keepalive_timeout 0; return 200 "bye\\n"; }}
  }}
}}
"""


class EarlyNginx:
    def __init__(self, folder: pathlib.Path, ca, http2=False, keep=0):
        folder.mkdir(parents=True)
        self.folder, self.http2, self.keep = folder, http2, keep
        self.cert, self.key = ca.issue()
        self.process = None
        with socket.socket() as asked:
            asked.bind((LOOPBACK, 0))
            self.port = asked.getsockname()[1]
        self.start()

    def start(self, early=True, new_key=True, versions="TLSv1.2 TLSv1.3", http2=None):
        """Anew, if it runs."""
        self.stop()
        if new_key:
            (self.folder / "ticket.key").write_bytes(os.urandom(80))
        (self.folder / "nginx.conf").write_text(CONFIG.format(
            LOOPBACK=LOOPBACK, folder=self.folder, port=self.port, cert=self.cert, key=self.key,
            http2=" http2" if (self.http2 if http2 is None else http2) else "", keep=self.keep,
            early="on" if early else "off", versions=versions,
            user="user root;" if os.geteuid() == 0 else ""))
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.folder), "-c", "nginx.conf"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "nginx to listen")

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def count(self):
        return (self.folder / "access.log").read_text().count("\n")

    def seen(self, n):
        """[(method, uri, status, protocol, "r" or ".", early: "1" or "", cookie, login, Early-Data)], n of
        them: it writes when it has answered."""
        wait_until(lambda: self.count() >= n, f"{n} lines in nginx's log")
        text = (self.folder / "access.log").read_text()
        return [tuple(word.strip('"') for word in line.split(" ", 8))
                for line in text.strip().split("\n") if line]

    def stop(self):
        if self.process:
            stop_process(self.process)
            self.process = None


class Wire(Mitm):
    """Passes everything on and counts what goes early. Where the client answers to what the server said
    in the handshake it waits for `hold` first: so a server is sure to meet early data as such."""

    early_bytes = 0
    hold = staticmethod(lambda: True)

    def _relay(self, near, first):
        with socket.create_connection((LOOPBACK, self.target_port)) as far:
            self._socks.append(far)
            early = self._early_data(near) if self.is_early(parse(first)) else b""
            self.early_bytes += len(early)
            far.sendall(first + early)
            answered = held = False
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is near and answered and not held:
                        wait_until(self.hold, "the man in the middle to let go")
                        held = True
                    answered |= source is far
                    (far if source is near else near).sendall(data)

    def _early_data(self, near):
        """Up to the end of its first record: all of a short request."""
        data, kind = b"", 0
        while kind != APPLICATION_DATA:
            head = self._exactly(near, 5)
            kind = head[0]
            data += head + self._exactly(near, int.from_bytes(head[3:], "big"))
        return data

    @staticmethod
    def is_early(hello):
        return any(kind == EARLY_DATA for kind, _ in hello.extensions)

    def early_hellos(self):
        return sum(map(self.is_early, self.hellos))
