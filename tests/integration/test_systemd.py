# SPDX-License-Identifier: MIT
"""The service as it is shipped, under a real systemd (container.py): what only a service manager
shows. One container for all; each test begins with a fresh service."""
import array
import contextlib
import fcntl
import os
import pathlib
import re
import socket
import stat
import termios
import threading

import pytest
from container import why_not
from libxhr import PATH as LIBRARY
from libxhr import Client as LibraryClient
from origins import ScriptedOrigin, response, tls_server
from stages import FullBacklog, half_a_body
from test_users import as_user
from waiting import wait_until
from wire import Client, ClientMessage, Closed, admin_pb2, envelope_pb2, framed, stream

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

ANN, BOB = 4001, 4002
SessionError = envelope_pb2.SessionError


@pytest.fixture
def machine(booted, request):
    booted.fresh()
    request.node.xhrd = booted  # whose tail() a failure shows
    yield booted
    booted.systemctl("stop", "xhrd.service")


@pytest.fixture
def origin(booted):
    with booted.network():
        origin = ScriptedOrigin()
    yield origin
    origin.stop()


def connect(machine, uid=ANN, **options):
    with as_user(uid):
        return Client(machine.socket_path, **options)


# ---- coming up ----------------------------------------------------------------------------------

def test_sd01_the_first_client_starts_the_service(machine, origin):
    assert machine.is_active() == "inactive"
    with connect(machine) as client:
        assert client.hello.uid == ANN
        assert client.fetch(origin.url()).body == b"hello\n"
        assert client.status().pid == machine.main_pid()
    assert machine.is_active() == "active"


def test_sd02_ready_is_said_when_clients_are_served(machine):
    config = machine.root / "etc/xhrd/xhrd.conf"
    os.mkfifo(config)  # the daemon comes up no further than to its configuration
    with connect(machine, hello=False) as client:
        client.send("hello", protocol=1)
        wait_until(machine.main_pid, "the daemon to be started")
        assert machine.is_active() == "activating"
        with open(config, "w"):
            pass
        client.receive_until(lambda: client.hello)
    wait_until(lambda: machine.is_active() == "active", "the unit to be active")
    config.unlink()


# ---- going down and coming back -----------------------------------------------------------------

class Load:
    """Clients that connect, ask and leave, one after the other, in threads."""

    def __init__(self, machine, origin, threads=4):
        self.machine, self.origin = machine, origin
        self.served, self.failed, self.refused = 0, [], []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while not self._over.is_set():
            try:
                client = Client(self.machine.socket_path, hello=False)
            except OSError as fault:
                self.refused.append(fault)
                return
            with client:
                self._ask(client)

    def _ask(self, client):
        try:
            client.send("hello", protocol=1)
            exchange = client.fetch(self.origin.url())
        except (Closed, OSError):
            error = client.error or client.wait_closed()
            self.failed.append(error.text.decode() if error else "without a word")
            return
        if exchange.done:
            self.served += 1
        else:
            self.failed.append(exchange.failure)

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def kept(machine) -> int:
    """Clients whose sockets systemd holds; beside them it holds the table about them, and the memory
    that session cookies are in."""
    return int(machine.show("xhrd.service", "NFileDescriptorStore")) - 2


@pytest.fixture
def crowd(machine, origin):
    """A hundred clients that have nothing under way, of two users, some with a profile."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(machine, (ANN, BOB)[i % 2],
                                               profile=("", "work")[i // 2 % 2]))
                   for i in range(100)]
        for client in clients[::3]:
            assert client.fetch(origin.url()).done
        wait_until(lambda: kept(machine) >= 100, "systemd to hold all of them")
        yield clients


def unread(client) -> int:
    """Bytes that it has sent and nobody has read."""
    answer = array.array("i", [0])
    fcntl.ioctl(client.sock, termios.TIOCOUTQ, answer)
    return answer[0]


def killed(machine, origin=None):
    machine.systemctl("kill", "--kill-who=main", "--signal=KILL", "xhrd.service")


def aborted(machine, origin):
    machine.systemctl("kill", "--kill-who=main", "--signal=ABRT", "xhrd.service")


def restarted(machine, origin):
    machine.systemctl("restart", "xhrd.service")


def stuck(machine, origin):
    """SD04: a loop that turns no more is found by the watchdog, which kills it."""
    machine.systemctl("kill", "--kill-who=main", "--signal=STOP", "xhrd.service")
    wait_until(lambda: "watchdog" in str(machine.journal(
        "--unit=xhrd.service", "UNIT_RESULT=watchdog")), "the watchdog to act")


@contextlib.contextmanager
def little_memory(pid, limit=8 << 20):
    """So much more memory for the process, by a control group outside of the container's, where a
    systemd in a container may have no MemoryMax= of its own. Yields: whether it was killed for it."""
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.split(":")[2] for line in lines if line.split(":")[1] == "memory"), None)
    if own is None:
        pytest.skip("no memory controller that we may use (cgroup v1)")
    group = pathlib.Path("/sys/fs/cgroup/memory") / own.lstrip("/") / f"xhrd-{pid}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        (group / "cgroup.procs").write_text(str(pid))
        yield lambda: "oom_kill 1\n" in (group / "memory.oom_control").read_text()
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "its end")
        group.rmdir()


def out_of_memory(machine, origin):
    """More than MemoryMax= allows: the kernel kills it. What is asked of it here is within a user's quota."""
    with little_memory(machine.pid_outside(machine.main_pid())) as was_killed, \
            connect(machine, BOB) as greedy:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(15):
                greedy.open(origin.url("/held"), "POST", body=bytes(1_000_000))
        greedy.wait_closed()
        assert was_killed()


def is_served_or_let_go(client, origin):
    """One that is a second old is held by systemd when nothing is under way with it."""
    with contextlib.suppress(Closed, BrokenPipeError, ConnectionResetError):
        assert client.fetch(origin.url()).body == b"hello\n"


@pytest.mark.parametrize("end", [
    pytest.param(killed, id="kill -9"), pytest.param(out_of_memory, id="out of memory"), pytest.param(aborted, id="crash"),
    pytest.param(restarted, id="restart"), pytest.param(stuck, id="watchdog")])
def test_sd03_sd04_clients_with_nothing_under_way_do_not_notice(machine, origin, crowd, end):
    if end is stuck:
        # Set where it is stored, so that nothing of the unit is loaded anew.
        machine.drop_in("[Service]\nWatchdogSec=1s\n")
        machine.systemctl("restart", "xhrd.service")
    held = threading.Event()
    origin.answer = lambda request: (request.target == "/held" and held.wait(),
                                     response(b"hello\n"))[1]
    with connect(machine) as busy, connect(machine, BOB) as young:
        exchanges = [busy.open(origin.url("/held")) for _ in range(3)]
        wait_until(lambda: sum(r.target == "/held" for r in origin.requests) == 3,
                   "requests to be under way")
        pid = machine.main_pid()
        end(machine, origin)
        wait_until(lambda: machine.main_pid() not in (0, pid), "the next process")
        if end is restarted:
            busy.finish(*exchanges)
            assert [e.failure for e in exchanges] == ["SHUTDOWN"] * 3
            is_served_or_let_go(busy, origin)
        else:
            busy.wait_closed()
        is_served_or_let_go(young, origin)
    held.set()
    for i, client in enumerate(crowd):
        assert client.fetch(origin.url()).body == b"hello\n"
        assert client.hello.uid == (ANN, BOB)[i % 2]
    pools = {(row.uid, row.profile) for row in connect(machine, 0).pools()}
    assert pools >= {(uid, profile) for uid in (ANN, BOB) for profile in ("", "work")}
    assert crowd[0].status().pid == machine.main_pid()
    for client in crowd:
        client.close()
    wait_until(lambda: kept(machine) == 0, "systemd to let go of them")


@pytest.mark.skipif(not LIBRARY.exists(), reason="no library that python can load")
@pytest.mark.parametrize("end", [killed, out_of_memory])
def test_sd03_libxhr_tells_one_error_for_each_request_and_goes_on(machine, origin, end):
    """With a client that systemd holds: its end comes from the next process."""
    held = threading.Event()
    origin.answer = lambda request: (request.target == "/held" and held.wait(),
                                     response(b"hello\n"))[1]
    library = LibraryClient(machine.socket_path)
    requests = [library.request() for _ in range(3)]
    requests[0].open(origin.url())
    assert requests[0].send() == 0
    requests[0].finish()
    wait_until(lambda: kept(machine) == 1, "systemd to hold the client")
    for request in requests[1:]:
        request.open(origin.url("/held"))
        assert request.send() == 0
    library.pump_until(lambda: sum(r.target == "/held" for r in origin.requests) == 2)
    end(machine, origin)
    for request in requests[1:]:
        request.finish()
        request.check()
        assert request.story() == "1 4 error:daemon-lost"
    held.set()
    requests[0].forget()
    requests[0].open(origin.url())
    assert requests[0].send() == 0
    requests[0].finish()
    assert requests[0].status == 200
    for request in requests:
        request.free()
    library.close()


def test_sd03_what_is_said_while_nobody_is_there_is_heard_by_the_next(machine, origin):
    """A whole request lies in the socket; of another one the process that died had read half."""
    with connect(machine) as whole, connect(machine) as half, connect(machine) as later:
        wait_until(lambda: kept(machine) == 3, "systemd to hold the clients")
        data = framed(ClientMessage(admin=admin_pb2.AdminCommand(
            command_id=1, topic=admin_pb2.ADMIN_TOPIC_STATUS)).SerializeToString())
        half.send_bytes(data[:-1])
        wait_until(lambda: unread(half) == 0, "half a frame to be read")
        machine.systemctl("kill", "--kill-who=main", "--signal=STOP", "xhrd.service")
        exchange = whole.open(origin.url())
        killed(machine)
        assert whole.finish(exchange).body == b"hello\n"
        half.wait_closed()
        assert later.fetch(origin.url()).done


def test_sd05_a_restart_under_load_refuses_nobody(machine, origin):
    load = Load(machine, origin)
    for _ in range(3):
        served = load.served
        wait_until(lambda: load.served > served + 20, "requests to be served")
        machine.systemctl("restart", "xhrd.service")
    served = load.served
    wait_until(lambda: load.served > served + 20, "requests to be served again")
    load.end()
    assert not load.refused
    # Who was connected when it left was told so, or had no hello yet.
    assert set(load.failed) <= {"SHUTDOWN", "the daemon leaves", "without a word"}, load.failed


def test_sd06_sixty_crashes_in_a_row_are_sixty_requests_served(machine, origin):
    pids = set()
    for _ in range(60):
        with connect(machine) as client:
            assert client.fetch(origin.url()).body == b"hello\n"
            pids.add(client.status().pid)
            machine.systemctl("kill", "--kill-who=main", "--signal=SEGV", "xhrd.service")
            client.wait_closed()
    with connect(machine) as client:
        assert client.fetch(origin.url()).done
    assert len(pids) == 60 and machine.is_active("xhrd.socket") == "active"


def black_hole(machine):
    """A name server that takes each question and answers none. Return: its socket."""
    with machine.network():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.77", 53))
    (machine.root / "etc/resolv.conf").unlink(missing_ok=True)  # it may be a link out of /etc
    (machine.root / "etc/resolv.conf").write_text(
        "nameserver 127.0.0.77\noptions timeout:30 attempts:5\n")
    return server


def test_a_stop_while_all_hangs_tells_everybody_and_needs_no_kill(machine, origin):
    """A name server that is silent, servers in each phase, a client that reads nothing, one in half
    a frame: each request has its end, and systemd has no reason to be harder than SIGTERM."""
    origin.script = lambda connection: (connection.request_head(), connection.wait_gone())
    with black_hole(machine) as server:
        with machine.network():
            poured, backlog = ScriptedOrigin(), FullBacklog()
        poured.script = half_a_body
        with connect(machine) as client, connect(machine, BOB) as deaf_one, \
                connect(machine, BOB) as half:
            exchanges = {
                "dns": client.open("http://nobody-answers.example/"),
                "connect": client.open(f"http://127.0.0.1:{backlog.port}/"),
                "tls": client.open(origin.url().replace("http:", "https:")),
                "upload": client.open(origin.url("/up"), "PUT", body=stream(1 << 30),
                                      suppressed_headers=[b"Expect"]),
                "wait": client.open(origin.url("/wait")),
                "body": client.open(poured.url("/body"))}
            deaf_one.open(poured.url("/deaf"))
            half.send_bytes(b"\x50half")
            assert server.recv(512), "the question"
            client.receive_until(lambda: exchanges["body"].body)
            wait_until(lambda: {r.target for r in origin.requests} == {"/up", "/wait"}, "requests")
            machine.systemctl("stop", "xhrd.service")
            client.finish(*exchanges.values())
            assert {name: e.failure for name, e in exchanges.items()} == \
                dict.fromkeys(exchanges, "SHUTDOWN")
            assert client.wait_closed().kind == SessionError.KIND_SHUTDOWN
        backlog.stop()
    poured.stop()
    assert machine.show("xhrd.service", "Result") == "success"
    assert machine.show("xhrd.service", "ExecMainStatus") == "0"
    said = machine.journalctl("--unit=xhrd.service")
    assert "leaving without what hangs: 1 look-up" in said and "Killing" not in said


@pytest.fixture
def hogs(machine):
    """One for each processor, without end."""
    units = [f"hog-{n}.service" for n in range(os.cpu_count())]
    for unit in units:
        machine.run("systemd-run", f"--unit={unit}", "--quiet", "sh", "-c", "while :; do :; done")
    yield units
    machine.systemctl("kill", "--signal=KILL", *units)


def test_neighbours_that_take_all_of_the_processor_end_no_request(machine, origin, hogs):
    assert machine.show("xhrd.service", "CPUWeight") == "200", "twice a service's share"
    with connect(machine) as client:
        pid = client.status().pid
        for n in range(50):
            assert client.fetch(origin.url(f"/{n}"), no_keep_alive=n % 2).body == b"hello\n"
        assert client.status().pid == pid == machine.main_pid(), "no watchdog"
        assert [machine.is_active(unit) for unit in hogs] == ["active"] * len(hogs)


def test_sd07_jars_are_whole_after_stop_and_start(machine, origin):
    origin.reply(response(b"", fields=[("Set-Cookie", "kept=1; Max-Age=900"),
                                       ("Set-Cookie", "passing=2")]))
    with connect(machine) as ann, connect(machine, BOB) as bob:
        assert ann.fetch(origin.url()).done
        bob.cookies()
    machine.systemctl("stop", "xhrd.service")
    assert machine.is_active() == "inactive"
    with connect(machine) as ann, connect(machine, BOB) as bob:
        assert [(c.name, c.value) for c in ann.cookies()] == [(b"kept", b"1")]
        assert bob.cookies() == []


def files_that_hold(folder, what: bytes):
    return [path for path in folder.rglob("*") if path.is_file() and what in path.read_bytes()]


def log_in(client, origin):
    origin.reply(response(b"in", fields=[("Set-Cookie", "sid=never-on-a-disk; HttpOnly"),
                                         ("Set-Cookie", "theme=dark; Max-Age=900")]))
    assert client.fetch(origin.url()).done
    origin.reply(response(b"hello\n"))


def sent_by(client, origin):
    assert client.fetch(origin.url()).done
    return origin.requests[-1].get("Cookie")


@pytest.mark.parametrize("end", [
    pytest.param(killed, id="kill -9"), pytest.param(aborted, id="crash"), pytest.param(restarted, id="restart"),
    pytest.param(stuck, id="watchdog")])
def test_p4_a_login_outlives_the_process_and_is_on_no_disk(machine, origin, end):
    if end is stuck:
        machine.drop_in("[Service]\nWatchdogSec=1s\n")
        machine.systemctl("restart", "xhrd.service")
    with connect(machine) as ann:
        log_in(ann, origin)
    for _ in range(1 if end is stuck else 2):
        pid = machine.main_pid()
        end(machine, origin)
        wait_until(lambda: machine.main_pid() not in (0, pid), "the next process")  # noqa: B023
        with connect(machine) as ann, connect(machine, BOB) as bob:
            assert sent_by(ann, origin) == "sid=never-on-a-disk; theme=dark"
            assert sent_by(bob, origin) is None
    state = machine.root / "var/lib/private/xhrd"
    assert files_that_hold(state, b"dark") and not files_that_hold(state, b"never-on-a-disk")


def test_stop_and_start_end_the_session(machine, origin):
    with connect(machine) as ann:
        log_in(ann, origin)
    machine.systemctl("stop", "xhrd.service")
    machine.systemctl("start", "xhrd.service")
    with connect(machine) as ann:
        assert sent_by(ann, origin) == "theme=dark"


def test_a_login_with_a_users_own_daemon_outlives_its_crash(machine, managers, origin):
    ann = managers[0]
    with as_user(ANN):
        client = Client(ann.socket_path)
    with client:
        log_in(client, origin)
    pid = ann.main_pid()
    ann.systemctl("kill", "--kill-who=main", "--signal=KILL", "xhrd.service")
    wait_until(lambda: ann.main_pid() not in (0, pid), "the next process")
    with as_user(ANN):
        client = Client(ann.socket_path)
    with client:
        assert sent_by(client, origin) == "sid=never-on-a-disk; theme=dark"


def reload_(machine, config):
    machine.configure(config)
    machine.systemctl("reload", "xhrd.service")


def complaints(machine, n):
    """What xhrd said against a configuration."""
    def said():
        found = machine.journal("--unit=xhrd.service", "PRIORITY=3", "SYSLOG_IDENTIFIER=xhrd")
        return found if len(found) >= n else None
    return wait_until(said, "the complaint")


def test_sd08_reload_takes_all_of_it_and_drops_no_request(machine, origin, ca, other_ca):
    held = threading.Event()
    origin.answer = lambda request: (held.wait(), response(b"late\n"))[1]
    authorities = machine.root / "etc/xhrd/authorities.pem"
    authorities.write_bytes(other_ca.pem.read_bytes())
    (machine.root / "etc/xhrd/other.pem").write_bytes(other_ca.pem.read_bytes())
    machine.configure("[TLS]\nCAFile=/etc/xhrd/authorities.pem\n")
    with machine.network():
        tls = ScriptedOrigin(tls_server(ca))
    with connect(machine) as client:
        late = client.open(origin.url())
        wait_until(lambda: origin.requests, "a request to be under way")
        assert client.fetch(tls.url()).failure.startswith("TLS")
        authorities.write_bytes(ca.pem.read_bytes())
        reload_(machine, "[TLS]\nCAFile=/etc/xhrd/authorities.pem\n[Daemon]\nLogLevel=debug\n"
                         "[Network]\nDenyNetworks=127.0.0.2\n")
        wait_until(lambda: client.fetch(tls.url()).done, "the new authorities to be believed")
        assert client.fetch("http://127.0.0.2/").failure == "POLICY"
        assert machine.journal("--unit=xhrd.service", "PRIORITY=7"), "nothing at level debug"
        machine.configure("[TLS]\nCAFile=/etc/xhrd/other.pem\n[Daemon]\nLogLevel=loud\n")
        assert machine.systemctl("reload", "xhrd.service", check=False).returncode != 0
        (entry,) = complaints(machine, 1)
        assert "/etc/xhrd/xhrd.conf:4: LogLevel" in entry["MESSAGE"]
        machine.systemctl("kill", "--signal=HUP", "xhrd.service")
        entry = complaints(machine, 2)[1]
        assert "not reloaded, going on as before: /etc/xhrd/xhrd.conf:4: " in entry["MESSAGE"]
        assert machine.is_active() == "active"
        explained = machine.journalctl("-x", f"MESSAGE_ID={entry['MESSAGE_ID']}")
        assert "xhrd --check-config" in explained
        assert client.fetch(tls.url()).done, "the old authorities stay"
        held.set()
        assert client.finish(late).body == b"late\n"
    tls.stop()


# ---- the sandbox --------------------------------------------------------------------------------

def test_sd09_what_the_services_are_exposed_to_is_no_more_than_planned(machine):
    """Of the units as systemd has loaded them; in tenths."""
    machine.run("systemd-analyze", "security", "--threshold=12", "xhrd.service")
    done = machine.run("systemd-analyze", "security", "--threshold=11", "xhrd.service", check=False)
    assert done.returncode != 0, "it became better: lower the limit"
    user = machine.show("xhrd.service", "FragmentPath").replace("/system/", "/user/")
    machine.run("systemd-analyze", "security", "--user", "--offline=true", "--threshold=19", user,
                env={"XDG_RUNTIME_DIR": "/run"})


def test_ip01_every_client_has_its_own_uid_in_the_sandbox(machine):
    """PrivateUsers=yes would make one user, 65534, of all of them, and one jar of theirs."""
    assert machine.show("xhrd.service", "PrivateUsers") == "no"
    for uid in (ANN, BOB, 0):
        with connect(machine, uid) as client:
            assert client.hello.uid == uid


DENIED = {
    "writable code": "EPERM", "netlink": "EAFNOSUPPORT", "packet": "EAFNOSUPPORT",
    "vsock": "EAFNOSUPPORT", "homes": "EACCES", "root's home": "EACCES", "shadow": "EACCES",
    "process 1": "ENOENT", "meminfo": "ENOENT", "disk": "ENOENT", "kernel log": "ENOENT",
    "write /etc": "EROFS", "write /usr": "EROFS", "shell": "EACCES", "user namespace": "EPERM",
    "set-user bit": "EPERM", "mount": "EPERM", "realtime": "EPERM", "host name": "EPERM",
    "clock": "EPERM", "kernel setting": "ENOENT", "control group": "EROFS"}
GRANTED = ("inet", "inet6", "unix", "state", "cache", "runtime", "tmp", "certificates")


def test_sd10_the_sandbox_denies_what_it_is_to_deny_and_nothing_more(machine):
    """A probe runs with the unit's own properties; it is let execute python, beside the rest."""
    fragment = machine.root / machine.show("xhrd.service", "FragmentPath").lstrip("/")
    unit, python = fragment.read_text(), os.path.realpath("/usr/bin/python3")
    probe = (pathlib.Path(__file__).parent / "sandbox_probe.py").read_text()
    (machine.root / "usr/local/lib/sandbox_probe.py").write_text(probe)
    for line, instead in (
            (r"ExecStart=.*", "ExecStart=/usr/bin/python3 -B /usr/local/lib/sandbox_probe.py"),
            (r"Type=.*", "Type=oneshot"), (r"Requires=.*", ""), (r"WatchdogSec=.*", ""),
            (r"Restart=.*", ""), (r"ExecPaths=(.*)", rf"ExecPaths=\1 {python}")):
        assert re.search(f"^{line}", unit, re.M)
        unit = re.sub(f"^{line}", instead, unit, flags=re.M)
    (machine.root / "etc/systemd/system/xhrd-probe.service").write_text(unit)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "xhrd-probe.service")
    lines = [entry["MESSAGE"] for entry in machine.journal("--unit=xhrd-probe.service",
                                                          "_TRANSPORT=stdout")]
    seen = dict(line.split(": ", 1) for line in lines)
    uid = seen.pop("uid")
    assert seen == {**DENIED, **dict.fromkeys(GRANTED, "ok"), "capabilities": "0",
                    "no new privileges": "1"}
    state = (machine.root / "var/lib/private/xhrd").stat()
    assert str(state.st_uid) == uid != "0" and stat.S_IMODE(state.st_mode) == 0o700


def test_sd10_the_daemon_itself_runs_as_nobody_else_and_can_do_nothing_more(machine, origin):
    with connect(machine) as client:
        assert client.fetch(origin.url()).done
        pid = machine.pid_outside(machine.main_pid())
        status = dict(line.split(":\t", 1) for line in
                      pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert {status[f"Cap{which}"].strip("0") for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} \
            == {""}
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        uids = set(status["Uid"].split())
    machine.systemctl("restart", "xhrd.service")
    pid = machine.pid_outside(machine.main_pid())
    assert uids == {str(pathlib.Path(f"/proc/{pid}").stat().st_uid)} and uids.isdisjoint({"0"})
    assert machine.show("xhrd.service", "DynamicUser") == "yes"


def test_sd11_names_are_found_without_netlink(machine):
    """getaddrinfo() asks netlink for the addresses there are, and has to do without."""
    with machine.network():
        origin = ScriptedOrigin()
        origin6 = ScriptedOrigin(family=socket.AF_INET6)
    with open(machine.root / "etc/hosts", "a") as hosts:
        hosts.write("127.0.0.1 four.test\n::1 six.test\n127.0.0.1 both.test\n::1 both.test\n")
    with connect(machine) as client:
        for name, port in (("four.test", origin.port), ("localhost", origin.port),
                           ("six.test", origin6.port), ("both.test", origin.port),
                           ("both.test", origin6.port)):
            exchange = client.fetch(f"http://{name}:{port}/")
            assert exchange.body == b"hello\n", (name, exchange.text)
        assert client.fetch("http://absent.test/").failure == "DNS"
    origin.stop()
    origin6.stop()


# ---- users' own daemons --------------------------------------------------------------------------

class Manager:
    """The service manager of a user, with the daemon's socket enabled."""

    def __init__(self, machine, uid):
        self.machine, self.uid = machine, uid
        self.env = {"HOME": f"/home/{'ann' if uid == ANN else 'bob'}",
                    "XDG_RUNTIME_DIR": f"/run/user/{uid}"}
        machine.systemctl("start", f"user@{uid}.service")
        self.systemctl("start", "xhrd.socket")
        self.socket_path = f"/proc/self/fd/{machine.run_folder}/user/{uid}/xhrd/socket"

    def run(self, *words, **options):
        return self.machine.run(*words, uid=self.uid, env=self.env, **options)

    def systemctl(self, *words):
        return self.run("systemctl", "--user", *words)

    def main_pid(self):
        return int(self.systemctl("show", "--value", "-p", "MainPID", "xhrd.service").stdout)

    def kept(self):
        return int(self.systemctl("show", "--value", "-p", "NFileDescriptorStore",
                                  "xhrd.service").stdout) - 2

    def stop(self):
        self.machine.systemctl("stop", f"user@{self.uid}.service")


@pytest.fixture
def managers(machine):
    made = [Manager(machine, uid) for uid in (ANN, BOB)]
    yield made
    for manager in made:
        manager.stop()


def regular_files(pid):
    """Files that the process has open or mapped to write to, by device and inode."""
    found = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            st = fd.stat()
            if stat.S_ISREG(st.st_mode):
                found.add((st.st_dev, st.st_ino))
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        _, mode, _, device, inode = line.split()[:5]
        if mode == "rw-s" and inode != "0":
            found.add((device, inode))
    return found


def test_sd12_the_machines_daemon_and_those_of_users_share_no_file(machine, managers, origin):
    origin.reply(response(b"", fields=[("Set-Cookie", "a=1; Max-Age=900")]))
    ann, bob = managers
    statuses = {}
    for manager in managers:
        manager.run("xhr", origin.url())
        out = manager.run("xhrctl", "status").stdout
        assert f"/run/user/{manager.uid}/xhrd/socket" in out
        statuses[manager.main_pid()] = out
    with connect(machine, ANN) as client:
        assert client.cookies() == [], "the machine's daemon has ann's other jar"
        assert client.fetch(origin.url()).done
        statuses[machine.main_pid()] = ""
        assert len(statuses) == 3 and 0 not in statuses
        files = [regular_files(machine.pid_outside(pid)) for pid in statuses]
        assert all(files)
        assert not files[0] & files[1] and not files[0] & files[2] and not files[1] & files[2]
    with pytest.raises(PermissionError), as_user(BOB):
        Client(ann.socket_path)
    for name in ("ann", "bob"):
        state = machine.root / f"home/{name}/.local/state/xhrd"
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_sd03_a_users_daemon_may_crash_as_well(machine, managers, origin):
    ann = managers[0]
    with as_user(ANN):
        client = Client(ann.socket_path)
    with client:
        assert client.fetch(origin.url()).done
        wait_until(lambda: ann.kept() == 1, "the user's manager to hold the client")
        pid = ann.main_pid()
        ann.systemctl("kill", "--kill-who=main", "--signal=KILL", "xhrd.service")
        wait_until(lambda: ann.main_pid() not in (0, pid), "the next process")
        assert client.fetch(origin.url()).done and client.hello.uid == ANN
        client.close()
    wait_until(lambda: ann.kept() == 0, "it to let go")


# ---- what the administrator reads ----------------------------------------------------------------

def test_each_finished_request_is_one_line_with_fields_and_no_secret(machine, origin):
    secrets = ("token-of-a-query", "password-of-a-user", "value-of-a-cookie", "body-that-was-sent",
               "value-of-a-field")
    origin.reply(response(b"body-that-was-sent", fields=[("Set-Cookie", "a=value-of-a-cookie")]))
    run = machine.run("systemd-run", "--unit=shop.service", "--uid=4001", "--pipe", "--wait",
                      "--setenv=HOME=/tmp", "xhr", "-u", "ann:password-of-a-user",
                      "-H", "X: value-of-a-field", "-d", "body-that-was-sent",
                      origin.url("/cart?token-of-a-query=1"))
    assert run.stdout == "body-that-was-sent"
    refused = origin.url("/cart?token-of-a-query=2").replace(str(origin.port), "1")
    machine.run("xhr", refused, uid=BOB, env={"HOME": "/tmp"}, check=False)
    wait_until(lambda: machine.journal("--unit=xhrd.service", f"XHRD_UID={BOB}"), "the line")
    (entry,) = machine.journal("--unit=xhrd.service", "XHRD_UID=4001")
    assert entry["PRIORITY"] == "6" and entry["MESSAGE"].startswith("POST http://127.0.0.1:")
    assert "/cart 200, 18 bytes" in entry["MESSAGE"]
    assert entry["XHRD_ORIGIN"] == f"http://127.0.0.1:{origin.port}"
    assert entry["XHRD_JAR"] == "default" and int(entry["XHRD_REQUEST"]) > 0
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 13):
        assert entry["XHRD_UNIT"] == "shop.service"
    (entry,) = machine.journal("--unit=xhrd.service", f"XHRD_UID={BOB}")
    assert "failed in" in entry["MESSAGE"]
    everything = machine.journalctl("--unit=xhrd.service", "--output=export")
    assert not [secret for secret in secrets if secret in everything]
