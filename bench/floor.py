# SPDX-License-Identifier: MIT
"""What is measured against besides curl and libcurl: the floor (a relay of connections without
cookies, policy, timeouts or retries), nginx as a local proxy with a client that links nothing, and
a network that takes 20 ms there and back. Sources in src/floor."""
import os
import socket
import subprocess

from world import LOOPBACK, SOURCE, accepts, stop_process, wait_until

FOLDER = SOURCE / "bench/src/floor"
LIBRARIES = {"relay": ["-lprotobuf-c", "-lssl", "-lcrypto"], "rc": ["-static", "-lprotobuf-c"],
             "httpraw": ["-static"], "delay": []}
PROTOBUF = ("relay", "rc")
RTT_MS = 20

REVERSE_CONF = """
worker_processes 1; daemon off; {user}
pid {prefix}/nginx.pid; error_log {prefix}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_timeout 600; keepalive_requests 100000000; tcp_nodelay on;
    client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;
    uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;
    upstream origin {{
        server {loopback}:{port}; keepalive 64; keepalive_requests 100000000;
        keepalive_timeout 600;
    }}
    server {{
        listen unix:{prefix}/socket;
        location / {{
            proxy_pass https://origin; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host localhost; proxy_ssl_name localhost; proxy_ssl_server_name on;
            proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};
        }}
    }}
}}
"""


def compile_floor(build):
    """Return: {name: program}."""
    out = build / "bench/floor"
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(["protoc-c", f"--c_out={out}", "relay.proto"], cwd=FOLDER, check=True)
    for name, libraries in LIBRARIES.items():
        generated = [str(out / "relay.pb-c.c")] if name in PROTOBUF else []
        subprocess.run(["cc", "-O2", "-g", "-D_GNU_SOURCE", f"-I{out}", f"-I{FOLDER}",
                        str(FOLDER / f"{name}.c"), *generated, "-o", str(out / name), *libraries],
                       check=True)
    return {name: out / name for name in LIBRARIES}


def measure(world, *command):
    """The programs of the floor print case, metric and value."""
    lines = (line.split("\t") for line in world.run(*command).splitlines())
    return {metric: float(value) for _, metric, value in lines}


class Relay:
    """So many connections to the origin, one request at a time on each."""

    def __init__(self, world, programs, name, connections, port=None):
        self.socket = world.folder / f"{name}.sock"
        with open(world.folder / f"{name}.log", "wb") as log:
            self.process = subprocess.Popen(
                [str(programs["relay"]), str(self.socket), str(world.origin.ca),
                 str(port or world.origin.port), str(connections), "1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        world.also_stop(self)
        wait_until(lambda: accepts(self.socket), "the relay to start")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        stop_process(self.process)


class Reverse:
    """nginx between a Unix socket and the origin."""

    def __init__(self, world, name, port=None):
        prefix = world.folder / name
        prefix.mkdir(mode=0o755)
        self.socket = prefix / "socket"
        (prefix / "nginx.conf").write_text(REVERSE_CONF.format(
            prefix=prefix, ca=world.origin.ca, loopback=LOOPBACK, port=port or world.origin.port,
            user="user root;" if os.geteuid() == 0 else ""))
        self.process = subprocess.Popen(
            ["nginx", "-p", str(prefix), "-c", "nginx.conf"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.also_stop(self)
        wait_until(lambda: accepts(self.socket), "nginx as a proxy to start")

    def stop(self):
        stop_process(self.process)


class Delay:
    """The origin, 20 ms away."""

    def __init__(self, world, programs):
        with socket.create_server((LOOPBACK, 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen([str(programs["delay"]), str(self.port),
                                         str(world.origin.port), str(RTT_MS)],
                                        stdin=subprocess.DEVNULL)
        world.also_stop(self)
        wait_until(self._accepts, "the delay to start")

    def _accepts(self):
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def stop(self):
        stop_process(self.process)


# ---- groups ---------------------------------------------------------------------------------------

def fresh_cases(world):
    """A process for each GET, against those that have no cookies to read and store."""
    programs = compile_floor(world.bin.parent)
    relay, reverse = Relay(world, programs, "fresh", 4), Reverse(world, "reverse")

    def spawn(*command):
        return lambda: world.measure("spawn", "-n", 100, "--", *command)

    return {"a bare client behind nginx": spawn(programs["httpraw"], "-u", reverse.socket, "/1k"),
            "the floor": spawn(programs["rc"], "-s", relay.socket, "/1k"),
            "xhr": spawn(world.bin / "xhr", "-s", "-o", "/dev/null", world.origin.url("/1k"))}


def wan_cases(world):
    programs = compile_floor(world.bin.parent)
    delay = Delay(world, programs)
    relay = Relay(world, programs, "far", 4, delay.port)
    url = f"https://localhost:{delay.port}/1k"

    def spawn(*command):
        return lambda: world.measure("spawn", "-n", 20, "--", *command)

    xhr = spawn(world.bin / "xhr", "-s", "-o", "/dev/null", url)
    return {"curl": spawn("curl", "-s", "--cacert", world.origin.ca, "-o", "/dev/null", url),
            "the floor": spawn(programs["rc"], "-s", relay.socket, "/1k"),
            "xhr": lambda: {**xhr(), "rtt_ms": RTT_MS}}


def warm_cases(world):
    """One client and many requests: the daemon's CPU against the floor's."""
    programs = compile_floor(world.bin.parent)
    one, many = Relay(world, programs, "one", 1), Relay(world, programs, "many", 32)
    wide = world.add_daemon("wide", "[Network]\nConnectionsPerHost=32\n")

    def floor(relay, n, at_once):
        return lambda: measure(world, programs["rc"], "-c", "floor", "-n", n, "-p", at_once,
                               "-d", relay.pid, "-s", relay.socket, "/1k")

    def xhr(n, at_once):
        return lambda: world.measure("xhr_client", "-n", n, "-p", at_once, "-d", wide.pid,
                                     world.origin.url("/1k"), daemon=wide)

    return {"the floor, 1 in flight": floor(one, 6000, 1), "libxhr, 1 in flight": xhr(6000, 1),
            "the floor, 32 in flight": floor(many, 20000, 32),
            "libxhr, 32 in flight": xhr(20000, 32)}
