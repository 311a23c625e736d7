# SPDX-License-Identifier: MIT
"""Origins on loopback: nginx, nghttpd and openssl s_server as real ones, and a scripted one that
answers, or misbehaves, byte by byte as a test says. The kernel chooses every port."""
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading

from waiting import wait_until

LOOPBACK = "127.0.0.1"


# ---- certificates -----------------------------------------------------------------------------

class Authority:
    """A certificate authority made with openssl, and the leaf certificates it issues."""

    def __init__(self, folder: pathlib.Path, name="xhrd test authority"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pem, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "30", "-subj", f"/CN={name}",
                      "-keyout", self._key, "-out", self.pem)
        self._issued = {}

    @staticmethod
    def _openssl(*arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    KEYS = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}

    def issue(self, *names, days=30, common_name="test", kind="ec"):
        """Return: (certificate, key) for these DNS names and IP addresses; kept and reused."""
        names = names or ("localhost", LOOPBACK, "::1")
        known = (names, days, common_name, kind)
        if known not in self._issued:
            self._issued[known] = self._make(len(self._issued), *known)
        return self._issued[known]

    def _make(self, number, names, days, common_name, kind):
        cert, key, request, extensions = (self.folder / f"leaf{number}.{suffix}"
                                          for suffix in ("pem", "key", "csr", "ext"))
        forms = ("IP" if re.fullmatch(r"[0-9.]+|.*:.*", name) else "DNS" for name in names)
        extensions.write_text("subjectAltName=" + ",".join(
            f"{form}:{name}" for form, name in zip(forms, names)) + "\n")
        self._openssl("req", "-newkey", *self.KEYS[kind], "-nodes",
                      "-subj", f"/CN={common_name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self._key,
                      "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", cert)
        return cert, key


# ---- the scripted origin ----------------------------------------------------------------------

@dataclasses.dataclass
class Request:
    """What one client sent, as it came."""
    method: str
    target: str
    version: str
    fields: list            # [(name, value)] in order, names as sent
    head: bytes             # raw, to the blank line
    body: bytes = b""
    connection: int = 0     # number of the connection it came over, from 0

    def get(self, name):
        """The value; a list when the field came more than once; None."""
        values = [v for n, v in self.fields if n.lower() == name.lower()]
        return values[0] if len(values) == 1 else (values or None)


class Gone(Exception):
    """The client closed or reset the connection."""


class Connection:
    """The origin's end of one connection. A script reads and writes through it."""

    def __init__(self, origin, sock, number):
        self.origin, self.sock, self.number = origin, sock, number
        self.received = bytearray()
        self._read = 0                   # bytes of `received` already parsed
        self.peer_port = sock.getpeername()[1]
        self.closed = threading.Event()  # by either side
        self.has_said_half = False       # for scripts: so much of it is with the client

    def recv(self) -> bytes:
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            data = b""
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.received += data
        return data

    def _until(self, mark: bytes) -> bytes:
        while (end := self.received.find(mark, self._read)) < 0:
            self.recv()
        data = bytes(self.received[self._read:end + len(mark)])
        self._read = end + len(mark)
        return data

    def _exactly(self, size: int) -> bytes:
        while len(self.received) - self._read < size:
            self.recv()
        data = bytes(self.received[self._read:self._read + size])
        self._read += size
        return data

    def request_head(self) -> Request:
        head = self._until(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        request = Request(method, target, version, fields, head, connection=self.number)
        self.origin.requests.append(request)
        return request

    def request(self) -> Request:
        """The next request with its whole body. Gone when the client has none more."""
        request = self.request_head()
        if request.get("Expect") == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self.request_body(request)
        return request

    def request_body(self, request) -> bytes:
        if request.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            self._until(b"\r\n")
            return body
        return self._exactly(int(request.get("Content-Length") or 0))

    def send(self, data: bytes):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def send_and_see_read(self, data: bytes):
        """Send, and return only when the client's process has taken all of it."""
        self.send(data)
        wait_until(lambda: self._unread_by_client() == 0, "the client to read what was sent")

    def _unread_by_client(self) -> int:
        """Bytes in the client's receive queue and on the way to it; 0 when it is gone."""
        ours, theirs = f":{self.origin.port:04X}", f":{self.peer_port:04X}"
        waiting = 0
        for line in pathlib.Path("/proc/net/tcp").read_text().split("\n")[1:]:
            fields = line.split()
            if len(fields) < 5:
                continue
            local, remote, (sending, unread) = fields[1], fields[2], fields[4].split(":")
            if local.endswith(theirs) and remote.endswith(ours):
                waiting += int(unread, 16)
            elif local.endswith(ours) and remote.endswith(theirs):
                waiting += int(sending, 16)
        return waiting

    def wait_gone(self):
        """Read until the client has closed."""
        with contextlib.suppress(Gone):
            while True:
                self.recv()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        """A FIN; over TLS without the closing alert."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.closed.set()

    def reset(self):
        """An RST, and whatever is still unsent is lost."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.closed.set()


def response(body=b"", status="200 OK", fields=(), length=True) -> bytes:
    """A well-formed response."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class ScriptedOrigin:
    """Runs `script(connection)` in a thread for each connection. The standing script answers
    every request with what `answer(request)` returns; a test replaces either."""

    def __init__(self, tls: ssl.SSLContext = None, family=socket.AF_INET, bind=LOOPBACK, port=0):
        """@port: for a network of the test's own; else the kernel chooses."""
        address = ("::1", port) if family == socket.AF_INET6 else (bind, port)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        if port:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(256)
        self.host, self.port = self.listener.getsockname()[:2]
        self.tls = tls
        self.connections, self.requests, self.faults = [], [], []
        self.script = self.answer_all
        self.answer = lambda request: response(b"hello\n")
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def url(self, path="/", host=None) -> str:
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def reply(self, data: bytes):
        """From now on this answers every request, to the byte."""
        self.answer = lambda request: data

    def replies(self, *data: bytes):
        """One for each request, in order; the last one stays."""
        left = list(data)
        self.answer = lambda request: left.pop(0) if len(left) > 1 else left[0]

    def answer_all(self, connection):
        while True:
            request = connection.request()  # `answer` may be another one by then
            connection.send(self.answer(request))

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection.sock = self.tls.wrap_socket(connection.sock, server_side=True,
                                                       suppress_ragged_eofs=True)
            self.script(connection)
        except (Gone, OSError):
            pass
        except Exception as fault:  # a script's own fault must not pass for the daemon's
            self.faults.append(fault)
        finally:
            connection.close()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._acceptor.join()
        for connection in self.connections:
            connection.close()
        for thread in self._threads:
            thread.join(5)
        assert not self.faults, self.faults


def tls_server(authority: Authority, *names, versions=None, alpn=()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(*names))
    if versions:
        context.minimum_version = context.maximum_version = versions
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


# ---- real servers -----------------------------------------------------------------------------

def stop_process(process: subprocess.Popen):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


NGINX = """
daemon off;
{user}
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 1024; }}
http {{
  types {{ text/plain txt; application/json json; }}
  default_type application/octet-stream;
  log_format lines '$connection $connection_requests $request_method $uri $status $ssl_session_reused $ssl_protocol "$http_cookie"';
  access_log {prefix}/access.log lines;
  client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy; fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000;
  keepalive_timeout 3600;
  ssl_certificate {cert}; ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:s:1m;
  gzip on; gzip_min_length 1; gzip_types text/plain application/json;
  map $cookie_session $who {{ default "nobody"; "s3cr3t" "ann"; }}
  server {{
    listen {plain}; listen {tls} ssl; listen {h2} ssl http2;
    root {prefix}/www;
    location = /login {{
      add_header Set-Cookie "session=s3cr3t; Path=/; HttpOnly";
      add_header Set-Cookie "theme=dark; Path=/; Max-Age=86400";
      return 200 "welcome, ann\\n";
    }}
    location = /strict {{
      add_header Strict-Transport-Security "max-age=86400; includeSubDomains" always;
      return 200 "over $scheme\n";
    }}
    location = /lax {{
      add_header Strict-Transport-Security "max-age=0" always;
      return 200 "over $scheme\n";
    }}
    location = /scheme {{ return 200 "over $scheme\n"; }}
    location = /account {{ return 200 "hello, $who\\n"; }}
    location = /cookie {{ return 200 "$http_cookie\\n"; }}
    location = /connection {{ return 200 "$connection $connection_requests\\n"; }}
    location = /method {{ return 200 "$request_method\\n"; }}
    location = /away {{ return 302 /account; }}
    location = /loop {{ return 302 /loop; }}
    location = /missing {{ return 404 "no such page\\n"; }}
    location = /broken {{ return 500 "out of order\\n"; }}
    location = /private {{ auth_basic "private"; auth_basic_user_file {prefix}/users; }}
    location /upload/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


class Nginx:
    """A real origin with TLS. Its listening sockets are made here and handed over the way nginx
    hands them to its own successor, so no other process can take the port in between."""

    def __init__(self, prefix: pathlib.Path, authority: Authority):
        self.prefix, self.authority = prefix, authority
        (prefix / "www/upload").mkdir(parents=True)
        self._listeners = [self._listen() for _ in range(3)]
        self.plain_port, self.tls_port, self.h2_port = (
            s.getsockname()[1] for s in self._listeners)
        cert, key = authority.issue()
        (prefix / "nginx.conf").write_text(NGINX.format(
            prefix=prefix, cert=cert, key=key, plain=f"{LOOPBACK}:{self.plain_port}",
            tls=f"{LOOPBACK}:{self.tls_port}", h2=f"{LOOPBACK}:{self.h2_port}",
            user="user root;" if os.geteuid() == 0 else ""))
        password = subprocess.run(["openssl", "passwd", "-apr1", "open sesame"], text=True,
                                  capture_output=True, check=True).stdout.strip()
        (prefix / "users").write_text(f"ali:{password}\n")
        (prefix / "www/private").write_text("treasure\n")
        self.write("hello", b"hello\n")
        fds = [s.fileno() for s in self._listeners]
        self.process = subprocess.Popen(
            ["nginx", "-p", str(prefix), "-c", "nginx.conf"], pass_fds=fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)})
        wait_until(lambda: (prefix / "nginx.pid").exists() or self.process.poll() is not None,
                   "nginx to start")
        assert self.process.poll() is None, (prefix / "error.log").read_text()

    @staticmethod
    def _listen():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, 0))
        listener.listen(512)
        return listener

    def url(self, path="/hello", host="localhost"):
        return f"https://{host}:{self.tls_port}{path}"

    def plain_url(self, path="/hello", host="localhost"):
        return f"http://{host}:{self.plain_port}{path}"

    def h2_url(self, path="/hello", host="localhost"):
        return f"https://{host}:{self.h2_port}{path}"

    def write(self, name, data: bytes):
        (self.prefix / "www" / name).write_bytes(data)

    def sparse(self, name, size):
        with open(self.prefix / "www" / name, "wb") as file:
            file.truncate(size)

    def log(self):
        """[(connection, its request number, method, path, status, resumed, protocol, cookie)]"""
        lines = (self.prefix / "access.log").read_text().strip().split("\n")
        return [tuple(line.split(" ", 7)) for line in lines if line]

    def stop(self):
        stop_process(self.process)
        for listener in self._listeners:
            listener.close()


STAPLING_NGINX = """
daemon off; worker_processes 1; {user}
pid {prefix}/nginx.pid; error_log {prefix}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  server {{
    listen {address} ssl;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_stapling on; ssl_stapling_file {staple};
    location / {{ return 200 "stapled\\n"; }}
  }}
}}
"""


class StaplingNginx:
    """nginx that staples an OCSP response from a file."""

    def __init__(self, prefix: pathlib.Path, cert, key, staple):
        prefix.mkdir()
        self._listener = Nginx._listen()
        self.port = self._listener.getsockname()[1]
        (prefix / "nginx.conf").write_text(STAPLING_NGINX.format(
            prefix=prefix, address=f"{LOOPBACK}:{self.port}", cert=cert, key=key, staple=staple,
            user="user root;" if os.geteuid() == 0 else ""))
        fd = self._listener.fileno()
        self.process = subprocess.Popen(
            ["nginx", "-p", str(prefix), "-c", "nginx.conf", "-e", str(prefix / "error.log")],
            pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "NGINX": f"{fd};"})
        wait_until(lambda: (prefix / "nginx.pid").exists() or self.process.poll() is not None,
                   "nginx to start")
        assert self.process.poll() is None, (prefix / "error.log").read_text()

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def stop(self):
        stop_process(self.process)
        self._listener.close()


class OpensslServer:
    """`openssl s_server -www`: a TLS stack to be told its versions and ciphers."""

    def __init__(self, authority: Authority, *options, certificate=None):
        cert, key = certificate or authority.issue()
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"{LOOPBACK}:0", "-cert", str(cert),
             "-key", str(key), "-www", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while not (line := self.process.stdout.readline()).startswith("ACCEPT"):
            assert line, "openssl s_server did not start"
        self.port = int(line.rsplit(":", 1)[1])

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def stop(self):
        stop_process(self.process)


class OpensslTalker:
    """`openssl s_server` by hand: what it is told on its standard input it sends, or does, if it
    is one of the letters of s_server(1)."""

    def __init__(self, authority: Authority, *options):
        cert, key = authority.issue()
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"{LOOPBACK}:0", "-cert", str(cert),
             "-key", str(key), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.port = int(self.hear("ACCEPT").rsplit(":", 1)[1])

    def hear(self, what):
        """Read on to the line that has this in it, and return it."""
        while what not in (line := self.process.stdout.readline()):
            assert line, f"openssl s_server ended without {what}"
        return line

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdin = None
        stop_process(self.process)


class Nghttpd:
    """nghttpd: HTTP/2 over TLS. It takes no socket, so the port is asked for and given back."""

    def __init__(self, authority: Authority, root: pathlib.Path, *options):
        cert, key = authority.issue()
        with socket.socket() as asked:
            asked.bind((LOOPBACK, 0))
            self.port = asked.getsockname()[1]
        self.process = subprocess.Popen(
            ["nghttpd", "-a", LOOPBACK, "-d", str(root), *options, str(self.port), str(key),
             str(cert)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_until(self._answers, "nghttpd to listen")

    def _answers(self):
        assert self.process.poll() is None, "nghttpd did not start"
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def url(self, path="/", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def stop(self):
        stop_process(self.process)


APACHE = """
ServerRoot "{root}"
ServerName localhost
PidFile "{root}/pid"
DefaultRuntimeDir "{root}"
Listen {address}
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authn_file_module {modules}/mod_authn_file.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_digest_module {modules}/mod_auth_digest.so
LoadModule http2_module {modules}/mod_http2.so
Protocols h2c http/1.1
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
ErrorLog "{root}/error.log"
LogFormat "%s %U%q %{{Authorization}}i" seen
CustomLog "{root}/access.log" seen
DocumentRoot "{root}/www"
<Location "/">
  AuthType Digest
  AuthName "cave"
  AuthDigestProvider file
  AuthUserFile "{root}/users"
  Require valid-user
</Location>
<Location "/renewed">
  AuthDigestNonceLifetime 20
</Location>
<Location "/open">
  AuthType None
  Require all granted
</Location>
"""


class Apache:
    """httpd with mod_auth_digest; user ali, password "open sesame". Under /renewed each answer
    brings the next nonce. It takes no socket, so the port is asked for and given back."""

    MODULES = "/usr/lib/apache2/modules"

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-a-", dir="/tmp"))
        self.root.chmod(0o755)  # its children give up root
        (self.root / "www").mkdir()
        for name in ("private", "renewed", "open"):
            (self.root / "www" / name).write_text(f"{name}\n")
        secret = hashlib.md5(b"ali:cave:open sesame").hexdigest()
        (self.root / "users").write_text(f"ali:cave:{secret}\n")
        with socket.socket() as asked:
            asked.bind((LOOPBACK, 0))
            self.port = asked.getsockname()[1]
        (self.root / "apache.conf").write_text(APACHE.format(
            root=self.root, modules=self.MODULES, address=f"{LOOPBACK}:{self.port}",
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else ""))
        self.process = subprocess.Popen(
            ["/usr/sbin/apache2", "-f", str(self.root / "apache.conf"), "-DFOREGROUND"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "apache2 to listen")

    def _answers(self):
        log = self.root / "error.log"
        assert self.process.poll() is None, log.read_text() if log.exists() else "apache2 ended"
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def url(self, path="/private", host="localhost"):
        return f"http://{host}:{self.port}{path}"

    def log(self):
        """[(status, path, Authorization)]; "-" without."""
        path = self.root / "access.log"
        lines = path.read_text().strip().split("\n") if path.exists() else []
        return [tuple(line.split(" ", 2)) for line in lines if line]

    def stop(self):
        stop_process(self.process)
        shutil.rmtree(self.root, ignore_errors=True)
