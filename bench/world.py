# SPDX-License-Identifier: MIT
"""What is measured against: an nginx origin on loopback, a daemon of our own, and the programs
that do the measuring. Everything lives in one folder that is removed at the end; every process is
stopped by its id."""
import os
import pathlib
import re
import socket
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "tests/integration"))
from origins import LOOPBACK, Authority, stop_process  # noqa: E402
from waiting import wait_until  # noqa: E402

SYSTEM_TRUST = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
GIB = 1 << 30

# /1k answers without, /cookie with a cookie of a new value each time.
NGINX_CONF = """
daemon off;
{user}
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    default_type application/octet-stream;
    access_log off;
    sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_timeout 600; client_header_timeout 600; keepalive_requests 100000000;
    client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;
    uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_session_cache shared:s:8m; ssl_session_timeout 1h;
    http2_max_concurrent_streams 12000; http2_max_requests 100000000;
    limit_req_zone $scheme zone=hold:1m rate=1r/m;
    client_max_body_size 0;
    server {{
        listen {address} ssl; listen {h2} ssl http2;
        root {prefix}/www;
        location = /cookie {{
            alias {prefix}/www/1k;
            add_header Set-Cookie "c$arg_n=$request_id; Path=/; Max-Age=86400; Secure; HttpOnly";
        }}
        location = /connections {{ stub_status; }}
        location = /hold {{ alias {prefix}/www/1k; limit_req zone=hold burst=100000; }}
        location /upload/ {{ dav_methods PUT; client_body_buffer_size 1m; }}
    }}
    server {{ # every handshake in full
        listen {full} ssl;
        root {prefix}/www;
        ssl_session_cache none; ssl_session_tickets off;
    }}
}}
"""


class Origin:
    """nginx, TLS 1.3 with an ECDSA certificate. The listening socket is handed over the way nginx
    hands it to its own successor, so the kernel may choose the port."""

    def __init__(self, prefix: pathlib.Path):
        self.authority = authority = Authority(prefix / "ca", "xhrd bench authority")
        self.ca = authority.pem
        self.ca_and_system = prefix / "ca-and-system.pem"
        self.ca_and_system.write_bytes(SYSTEM_TRUST.read_bytes() + self.ca.read_bytes())
        (prefix / "www/upload").mkdir(parents=True)
        (prefix / "www/1k").write_bytes(b"x" * 1024)
        with open(prefix / "www/1g", "wb") as file:
            file.truncate(GIB)
        cert, key = authority.issue("localhost", LOOPBACK)
        listeners = [self._listen(), self._listen(), self._listen()]
        self.port, self.h2_port, self.full_port = (one.getsockname()[1] for one in listeners)
        (prefix / "nginx.conf").write_text(NGINX_CONF.format(
            prefix=prefix, cert=cert, key=key, address=f"{LOOPBACK}:{self.port}",
            h2=f"{LOOPBACK}:{self.h2_port}", full=f"{LOOPBACK}:{self.full_port}",
            user="user root;" if os.geteuid() == 0 else ""))
        fds = [one.fileno() for one in listeners]
        self.process = subprocess.Popen(
            ["nginx", "-p", str(prefix), "-c", "nginx.conf"], pass_fds=fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)})
        for one in listeners:
            one.close()
        wait_until(lambda: (prefix / "nginx.pid").exists() or self.process.poll() is not None,
                   "nginx to start")
        if self.process.poll() is not None:
            raise SystemExit("nginx did not start:\n" + (prefix / "error.log").read_text())

    @staticmethod
    def _listen():
        listener = socket.create_server((LOOPBACK, 0), backlog=2048)
        listener.setblocking(False)  # with multi_accept nginx accepts until there is no more
        return listener

    def url(self, path):
        return f"https://localhost:{self.port}{path}"

    def full_url(self, path):
        return f"https://localhost:{self.full_port}{path}"

    def h2_url(self, path):
        return f"https://localhost:{self.h2_port}{path}"

    def worker_pids(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

    def stop(self):
        stop_process(self.process)


def accepts(path):
    """The file is there a moment before anybody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Daemon:
    """xhrd as it is, but for the one authority it trusts and what `settings` say. Clients find
    it by `env`."""

    def __init__(self, folder: pathlib.Path, xhrd: pathlib.Path, ca: pathlib.Path, settings="",
                 wrapper=(), state=None, mode="--user"):
        folder.mkdir()
        (folder / "run").mkdir(mode=0o700)
        self.log = folder / "log"
        config = folder / "xhrd.conf"
        config.write_text("[Daemon]\nLogLevel=notice\nIdleExitSec=0\n"
                          f"[TLS]\nCAFile={ca}\n{settings}")
        socket_path = folder / "socket"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8",
                    "XDG_RUNTIME_DIR": str(folder / "run"), "XDG_STATE_HOME": str(folder),
                    "XHRD_SOCKET": str(socket_path)}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*map(str, wrapper), str(xhrd), mode, "--socket", str(socket_path), "--config", str(config),
                 "--state-dir", str(state or folder / "state")], env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: accepts(socket_path) or self.process.poll() is not None,
                   "xhrd to start")
        if self.process.poll() is not None:
            raise SystemExit("xhrd did not start:\n" + self.log.read_text())
        self.pid = self.process.pid

    def _status_kb(self, field):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+)", text, re.M).group(1))

    def pss_kb(self):
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))

    def rss_kb(self):
        return self._status_kb("VmRSS")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_kb(self):
        return self._status_kb("VmHWM")

    def stop(self):
        stop_process(self.process)


class World:
    """All of it. `programs` names what the cases run, `daemon` is whom they ask if they do not
    say."""

    def __init__(self, folder: pathlib.Path, build: pathlib.Path,
                 programs=("spawn", "curl_client", "xhr_client", "cookie_client")):
        self.folder = folder
        self.bin = build / "bin"
        self.programs = compile_programs(build, programs)
        (folder / "origin").mkdir()
        self._running = [Origin(folder / "origin")]
        self.origin = self._running[0]
        try:
            self.daemon = self.add_daemon("daemon")
        except BaseException:
            self.stop()
            raise

    def add_daemon(self, name, settings="", wrapper=(), **more):
        daemon = Daemon(self.folder / name, self.bin / "xhrd", self.origin.ca, settings, wrapper,
                        **more)
        self._running.append(daemon)
        return daemon

    def also_stop(self, one):
        self._running.append(one)

    def run(self, *command, daemon=None):
        """Return: stdout. A command that fails ends the benchmark."""
        daemon = daemon or self.daemon
        done = subprocess.run([str(word) for word in command], env=daemon.env, text=True,
                              cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                             f"{done.stderr}\n{daemon.log.read_text()[-2000:]}")
        return done.stdout

    def measure(self, program, *arguments, daemon=None, wrapper=()):
        """Return: {metric: value} as one of our programs told it."""
        lines = self.run(*wrapper, self.programs[program], *arguments, daemon=daemon).splitlines()
        return {name: float(value) for name, value in (line.split("\t") for line in lines)}

    def stop(self):
        for one in reversed(self._running):
            one.stop()


def git(*words):
    return subprocess.run(["git", *words], cwd=SOURCE, text=True, capture_output=True).stdout.strip()


def commit():
    """What was measured: with a mark where the tree is not that commit's. What a run writes itself
    does not count."""
    own = [f":!bench/{name}" for name in ("results.json", "scale.json", "scale.svg", "README.md")]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *own)
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def compile_programs(build: pathlib.Path, names):
    """The measuring programs. xhr_client links libxhr as any program does."""
    out = build / "bench"
    out.mkdir(exist_ok=True)
    library = build / "client-lib"
    xhr = [f"-I{SOURCE / 'client-lib/include'}", f"-L{library}", "-lxhr",
           f"-Wl,-rpath,{library}"]
    libraries = {"spawn": [], "curl_client": ["-lcurl"], "xhr_client": xhr,
                 "cookie_client": [*xhr, "-lcurl", "-lsqlite3"]}
    made = {}
    for name in names:
        made[name] = out / name
        subprocess.run(["cc", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE",
                        str(SOURCE / f"bench/src/{name}.c"), "-o", str(made[name]),
                        *libraries[name]],
                       check=True)
    return made
