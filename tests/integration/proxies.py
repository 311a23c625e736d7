# SPDX-License-Identifier: MIT
"""Proxies on loopback: tinyproxy, squid and dante as real ones, and a scripted one that relays,
or lies, byte by byte as a test says."""
import contextlib
import getpass
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

from origins import LOOPBACK, Gone, ScriptedOrigin, stop_process
from waiting import wait_until
from wire import as_bytes, fetch_pb2

USER, PASSWORD = "ali", "open sesame"


def options(http=None, https=None, user="", password="", scheme=None, **more):
    """NetworkOptions with these proxies; https is the same as http unless it is given."""
    def one(url):
        proxy = fetch_pb2.Proxy(url=as_bytes(url), user=as_bytes(user),
                                password=as_bytes(password))
        if scheme is not None:
            proxy.scheme = scheme
        return proxy

    proxies = fetch_pb2.ProxyOptions(**more)
    if http is not None:
        proxies.http.CopyFrom(one(http))
    if https or http is not None:
        proxies.https.CopyFrom(one(https or http))
    return fetch_pb2.NetworkOptions(proxy=proxies)


def free_port():
    """For programs that take no socket: asked for and given back."""
    with socket.socket() as asked:
        asked.bind((LOOPBACK, 0))
        return asked.getsockname()[1]


class Real:
    """A proxy program with a folder of its own, given to the user it runs as."""

    def __init__(self, name):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"xhrd-{name}-", dir="/tmp"))
        self.root.chmod(0o777)
        self._held = []
        self.port = self.hold_port()

    def hold_port(self):
        """For the program to bind, as it has SO_REUSEADDR too; to nobody else the kernel gives it."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        self._held.append(held)
        return held.getsockname()[1]

    def run(self, *command):
        self.output = open(self.root / "output", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.output, cwd=self.root)
        try:
            wait_until(self._answers, f"{command[0]} to listen")
        except AssertionError:
            stop_process(self.process)
            raise AssertionError((self.root / "output").read_text()) from None

    def _answers(self):
        assert self.process.poll() is None, (self.root / "output").read_text()
        return all(self._listens(held.getsockname()[1]) for held in self._held)

    @staticmethod
    def _listens(port):
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0

    def url(self, scheme="http", login=""):
        return f"{scheme}://{login and login + '@'}{LOOPBACK}:{self.port}"

    def stop(self):
        stop_process(self.process)
        self.output.close()
        for held in self._held:
            held.close()
        shutil.rmtree(self.root, ignore_errors=True)


TINYPROXY = """
Port {port}
Listen {address}
Timeout 600
LogFile "{root}/log"
LogLevel Info
PidFile "{root}/pid"
MaxClients 100
ViaProxyName "tiny"
{auth}
"""


class Tinyproxy(Real):
    """HTTP/1.0, one request a connection; every port may be tunnelled to. Basic if it is told."""

    def __init__(self, auth=False):
        super().__init__("tiny")
        config = TINYPROXY.format(
            port=self.port, address=LOOPBACK, root=self.root,
            auth=f'BasicAuth {USER} {PASSWORD.replace(" ", "-")}' if auth else "")
        (self.root / "tinyproxy.conf").write_text(config)
        self.run("tinyproxy", "-d", "-c", str(self.root / "tinyproxy.conf"))

    def log(self):
        return (self.root / "log").read_text()


SQUID = """
http_port {address}:{port} name=open
http_port {address}:{basic} name=basic
http_port {address}:{digest} name=digest
https_port {address}:{tls} name=tls tls-cert={cert} tls-key={key}
pid_filename {root}/pid
logformat xhrd %>p %rm %ru %>Hs %un
access_log stdio:{root}/access.log xhrd
cache_log {root}/cache.log
cache deny all
cache_mem 0
coredump_dir {root}
pinger_enable off
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
forwarded_for delete
auth_param digest program /usr/lib/squid/digest_file_auth -c {root}/digest
auth_param digest children 1
auth_param digest realm cave
auth_param digest nonce_max_count 1000
auth_param basic program /usr/lib/squid/basic_ncsa_auth {root}/basic
auth_param basic children 1
auth_param basic realm cave
acl asked myportname basic digest
acl plain myportname open tls
acl known proxy_auth REQUIRED
acl forbidden url_regex forbidden
http_access deny forbidden
http_access deny asked !known
http_access allow all
"""


class Squid(Real):
    """HTTP/1.1 with connections kept: four ports, open, with a login, and behind TLS."""

    def __init__(self, authority):
        super().__init__("squid")
        self.basic, self.digest, self.tls = (self.hold_port() for _ in range(3))
        cert, key = self._certificate(authority)
        secret = hashlib.md5(f"{USER}:cave:{PASSWORD}".encode()).hexdigest()
        (self.root / "digest").write_text(f"{USER}:cave:{secret}\n")
        hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], text=True,
                                capture_output=True, check=True).stdout.strip()
        (self.root / "basic").write_text(f"{USER}:{hashed}\n")
        (self.root / "squid.conf").write_text(SQUID.format(
            address=LOOPBACK, port=self.port, basic=self.basic, digest=self.digest,
            tls=self.tls, root=self.root, cert=cert, key=key))
        self.run("/usr/sbin/squid", "-N", "-f", str(self.root / "squid.conf"))

    def _certificate(self, authority):
        """Copies: squid is not root when it reads them."""
        copies = []
        for path in authority.issue():
            copies.append(self.root / path.name)
            shutil.copy(path, copies[-1])
            copies[-1].chmod(0o644)
        return copies

    def at(self, port, scheme="http", login=""):
        return f"{scheme}://{login and login + '@'}{LOOPBACK}:{port}"

    def log(self):
        """[(client's port, method, URL, status, user)]"""
        path = self.root / "access.log"
        lines = path.read_text().strip().split("\n") if path.exists() else []
        return [tuple(line.split(" ", 4)) for line in lines if line]


DANTE = """
logoutput: stderr
internal: {address} port = {port}
external: {address}
user.privileged: {user}
user.unprivileged: {nobody}
clientmethod: none
socksmethod: {method}
client pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
}}
socks block {{
  from: 0.0.0.0/0 to: 127.0.0.99/32
  log: connect
}}
socks pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
  protocol: tcp
  log: connect error
}}
"""


class Dante(Real):
    """SOCKS5; 127.0.0.99 is forbidden."""

    def __init__(self, method="none"):
        super().__init__("dante")
        (self.root / "danted.conf").write_text(DANTE.format(
            root=self.root, address=LOOPBACK, port=self.port, method=method,
            user=getpass.getuser(), nobody="nobody" if os.geteuid() == 0 else getpass.getuser()))
        self.run("danted", "-f", str(self.root / "danted.conf"), "-p", str(self.root / "pid"))

    def url(self, scheme="socks5", login=""):
        return super().url(scheme, login)

    def log(self):
        return (self.root / "output").read_text()


class ScriptedProxy(ScriptedOrigin):
    """By its standing script it takes CONNECT and relays, wherever it is asked to go, to
    `behind` if that is set; and it answers what it is to forward with `answer(request)`."""

    def __init__(self, tls=None, behind=None):
        super().__init__(tls)
        self.behind = behind            # (host, port)
        self.opens = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.script = self.relay_all

    def proxy_url(self, scheme=None, login=""):
        scheme = scheme or ("https" if self.tls else "http")
        return f"{scheme}://{login and login + '@'}{self.host}:{self.port}"

    def connects(self):
        return [request for request in self.requests if request.method == "CONNECT"]

    def relay_all(self, connection):
        while True:
            request = connection.request()
            if request.method == "CONNECT":
                connection.send(self.opens)
                self.relay(connection, request.target)
                return
            connection.send(self.answer(request))

    def relay(self, connection, target):
        host, port = self.behind or (target.rpartition(":")[0].strip("[]"),
                                     int(target.rpartition(":")[2]))
        with socket.create_connection((host, port)) as onward:
            onward.settimeout(None)
            onward.sendall(bytes(connection.received[connection._read:]))
            back = threading.Thread(target=self._pump, args=(onward, connection), daemon=True)
            back.start()
            with contextlib.suppress(Gone, OSError):
                while True:
                    onward.sendall(connection.recv())
            with contextlib.suppress(OSError):
                onward.shutdown(socket.SHUT_RDWR)
            back.join(5)

    @staticmethod
    def _pump(onward, connection):
        with contextlib.suppress(Gone, OSError):
            while data := onward.recv(1 << 16):
                connection.send(data)
        connection.close()


def socks(connection, *replies):
    """Play SOCKS5 by rote: after each thing the client says, one of these. Return: what it said."""
    said = []
    for reply in replies:
        before = len(connection.received)
        while len(connection.received) == before:
            connection.recv()
        said.append(bytes(connection.received[before:]))
        connection._read = len(connection.received)
        connection.send(reply)
    return said


REPLY_OK = bytes([5, 0, 0, 1, 127, 0, 0, 1, 0, 80])
