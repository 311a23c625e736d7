# SPDX-License-Identifier: MIT
"""Groups that go to the limit: HTTP/2, many processes, uploads, memory, thousands at once."""
import contextlib
import json
import pathlib
import re
import socket
import ssl
import subprocess

from world import wait_until

MIB_UP = 256
MANY_IN_FLIGHT = 10000
WIDE = ("[Limits]\nRequestsPerUser=100000\nClientsPerUser=20000\nClients=20000\n"
        "QueuedBytesPerUser=1G\n[Network]\nConnectionsPerHost={}\n")


def origin_status(world):
    """Return: nginx's own counts, this question's connection not among the accepted."""
    context = ssl.create_default_context(cafile=str(world.origin.ca))
    with socket.create_connection(("localhost", world.origin.port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as asked:
            asked.sendall(b"GET /connections HTTP/1.0\r\nHost: localhost\r\n\r\n")
            text = b"".join(iter(lambda: asked.recv(4096), b"")).decode()
    world.asked = getattr(world, "asked", 0) + 1
    found = re.search(r"^ (\d+) \d+ \d+ *\nReading: (\d+) Writing: (\d+) Waiting: (\d+)", text, re.M)
    accepted, reading, writing, waiting = map(int, found.groups())
    return {"accepted": accepted - world.asked, "reading": reading, "writing": writing - 1,
            "waiting": waiting}


def accepted(world):
    """Connections that the origin has accepted so far."""
    return origin_status(world)["accepted"]


# ---- HTTP/2 -----------------------------------------------------------------------------------

def h2_cases(world):
    url, h2_url = world.origin.url("/1k"), world.origin.h2_url("/1k")

    def curl(n, at_once, *more, to=h2_url):
        return lambda: world.measure("curl_client", "-n", n, "-p", at_once, "-a",
                                     world.origin.ca, *more, to)

    def xhr(n, at_once):
        return lambda: world.measure("xhr_client", "-n", n, "-p", at_once, "-d",
                                     world.daemon.pid, h2_url)

    return {"libcurl h2, 1 in flight": curl(6000, 1, "-2"),
            "libxhr h2, 1 in flight": xhr(6000, 1),
            "libcurl h2, 32 in flight": curl(20000, 32, "-2"),
            "libcurl h1, 32 in flight": curl(20000, 32, to=url),
            "libxhr h2, 32 in flight": xhr(20000, 32)}


# ---- many processes ---------------------------------------------------------------------------

def crowd_cases(world):
    def crowd(kind, url, *more):
        before = accepted(world)
        made = world.measure("spawn", "-n", 32, "-r", 1000, "-H", "-d", world.daemon.pid, "--",
                             world.programs[kind], "-n", 1000, "-H", *more, url)
        return {**made, "connections": accepted(world) - before}

    curl = ["-a", world.origin.ca]
    return {"libcurl, 32 processes": lambda: crowd("curl_client", world.origin.url("/1k"), *curl),
            "libxhr, 32 processes": lambda: crowd("xhr_client", world.origin.url("/1k")),
            "libxhr h2, 32 processes": lambda: crowd("xhr_client", world.origin.h2_url("/1k"))}


# ---- uploads ----------------------------------------------------------------------------------

def up_cases(world):
    file = world.folder / "up"
    with open(file, "wb") as target:
        for _ in range(MIB_UP):
            target.write(b"u" * (1 << 20))

    def up(name, *command):
        made = world.measure("spawn", "-b", MIB_UP << 20, "-d", world.daemon.pid, "--", *command,
                             "-o", "/dev/null", "-T", file, world.origin.url(f"/upload/{name}"))
        (world.folder / "origin/www/upload" / name).unlink()
        return made

    return {"curl, 256 MiB up": lambda: up("c", "curl", "-s", "--cacert", world.origin.ca),
            "xhr, 256 MiB up": lambda: up("x", world.bin / "xhr", "-s")}


# ---- memory -----------------------------------------------------------------------------------

@contextlib.contextmanager
def in_flight(world, daemon, number, url):
    """`number` requests of one client that the origin has read and leaves unanswered, but for the
    first: /hold delays what comes after it."""
    client = subprocess.Popen([str(world.programs["xhr_client"]), "-W", "-p", str(number), url],
                              env=daemon.env, stdin=subprocess.PIPE)
    try:
        wait_until(lambda: origin_status(world)["writing"] >= number - 2,
                   f"{number} requests to be read by the origin", deadline_s=120)
        yield
    finally:
        client.stdin.close()
        client.wait()


def awaiting(world, daemon):
    status = json.loads(world.run(world.bin / "xhrctl", "--json", "status", daemon=daemon))
    return status["requests_active"]


def memory_of(world, name, number, url, connections):
    daemon = world.add_daemon(name, WIDE.format(connections))
    world.run(world.programs["xhr_client"], "-n", 100, url.replace("/hold", "/1k"), daemon=daemon)
    before = daemon.pss_kb()
    with in_flight(world, daemon, number, url):
        held = daemon.pss_kb()
    daemon.stop()
    return {"idle_kb": before, "held_kb": held, "each_kb": (held - before) / number}


def memory_cases(world):
    counter = iter(range(1000))

    def fresh_daemon():
        daemon = world.add_daemon(f"idle{next(counter)}")
        made = {"pss_kb": daemon.pss_kb()}
        daemon.stop()
        return made

    def measure(number, url, connections):
        return lambda: memory_of(world, f"memory{next(counter)}", number, url, connections)

    hold, h2_hold = world.origin.url("/hold"), world.origin.h2_url("/hold")
    return {"idle": fresh_daemon,
            "100 TLS connections": measure(100, hold, 100),
            "10,000 in flight, h1": measure(MANY_IN_FLIGHT, hold, MANY_IN_FLIGHT),
            "10,000 in flight, h2": measure(MANY_IN_FLIGHT, h2_hold, 6)}


# ---- libxhr -----------------------------------------------------------------------------------

def heap_kb(pid):
    smaps = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    return int(re.search(r"\[heap\]\n(?:.*\n)*?Rss:\s+(\d+)", smaps).group(1))


def heap_of_client(world):
    """Of a process that has one request in flight and does nothing."""
    client = subprocess.Popen([str(world.programs["xhr_client"]), "-W", "-p", "1",
                               world.origin.url("/hold")], env=world.daemon.env,
                              stdin=subprocess.PIPE)
    try:
        wait_until(lambda: awaiting(world, world.daemon) >= 1, "the request to be in flight")
        return {"heap_kb": heap_kb(client.pid)}
    finally:
        client.stdin.close()
        client.wait()


def library_cases(world):
    def text():
        library = next((world.bin.parent / "client-lib").glob("libxhr.so.0*"))
        done = subprocess.run(["size", "-A", str(library)], text=True, capture_output=True,
                              check=True)
        return {"text_kb": int(re.search(r"^\.text\s+(\d+)", done.stdout, re.M).group(1)) / 1024}

    return {"libxhr": text, "a client at rest": lambda: heap_of_client(world)}
