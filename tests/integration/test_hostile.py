# SPDX-License-Identifier: MIT
"""Clients that want too much, stop, lie or are gone: it costs them and nobody else (IP15-IP19, CD07);
what a user may hold is his section's to say, at the limit and one past it."""
import contextlib
import os
import random
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from hostiles import HELLO
from origins import ScriptedOrigin, response, tls_server
from programs import BUILD, SANITIZED, XHRD
from test_policy import ANN, BOB, ROOT_ONLY, client_of, machine  # noqa: F401
from waiting import wait_until
from wire import SOURCE, Client, Closed, ServerMessage, fetch_pb2, framed

pytestmark = pytest.mark.shallow


@pytest.fixture
def silent(origin_raw):
    """An origin that answers /wait when it is let go, and anything else at once."""
    gate = threading.Event()

    def answer(request):
        if request.target == "/wait":
            gate.wait(60)
        return response(b"hello\n")

    origin_raw.answer = answer
    origin_raw.gate = gate
    yield origin_raw
    gate.set()


# -- a user's own limits ----------------------------------------------------------------------

def more_clients(daemon, uid, n):
    """Return: how many of n connections are served."""
    served, held = 0, []
    for _ in range(n):
        try:
            manager = client_of(daemon, uid)
            held.append((manager, manager.__enter__()))
            served += 1
        except Closed as why:
            assert "too many connections" in str(why)
    for manager, _ in held:
        manager.__exit__(None, None, None)
    return served


def more_requests(daemon, uid, n, url):
    with client_of(daemon, uid) as client:
        exchanges = [client.open(url) for _ in range(n)]
        client.status()  # all of them have been looked at
        refused = [e for e in exchanges if e.failure]
        assert {e.failure for e in refused} <= {"QUOTA"}
        return n - len(refused)


def more_watches(daemon, uid, n):
    with client_of(daemon, uid) as client:
        replies = [client.watch()[-1] for _ in range(n)]
        return sum(not reply.HasField("failure") for reply in replies)


@ROOT_ONLY
@pytest.mark.parametrize("key, most", [("ClientsPerUser", 2), ("RequestsPerUser", 3),
                                       ("WatchersPerUser", 2)])
@pytest.mark.parametrize("section", [f"User {ANN}", f"Group {ANN}"])
def test_a_limit_holds_for_the_user_it_is_set_for_and_no_other(machine, silent,  # noqa: F811
                                                                section, key, most):
    daemon = machine(f"[{section}]\n{key}={most}\n")
    ask = {"ClientsPerUser": more_clients, "WatchersPerUser": more_watches,
           "RequestsPerUser": lambda *a: more_requests(*a, silent.url("/wait"))}[key]
    assert ask(daemon, ANN, most) == most
    assert ask(daemon, ANN, most + 1) == most
    assert ask(daemon, BOB, most + 1) == most + 1


@ROOT_ONLY
def test_connections_to_a_host_hold_for_the_user_they_are_set_for(machine, silent):  # noqa: F811
    daemon = machine(f"[User {ANN}]\nConnectionsPerHost=2\n")
    for uid, most in ((ANN, 2), (BOB, 4)):
        already = len(silent.connections)
        with client_of(daemon, uid) as client:
            running = [client.open(silent.url("/wait")) for _ in range(4)]
            wait_until(lambda: len(silent.connections) == already + most, "connections")  # noqa: B023
            assert [(p.busy, p.waiting) for p in client.pools()] == [(most, 4 - most)]
            silent.gate.set()
            client.finish(*running)
            assert all(e.done for e in running) and len(silent.connections) == already + most
        silent.gate.clear()


@ROOT_ONLY
def test_idle_connections_hold_for_the_user_they_are_set_for(machine, silent):  # noqa: F811
    daemon = machine(f"[Group {ANN}]\nIdleConnectionsPerUser=1\n")
    for uid, most in ((ANN, 1), (BOB, 2)):
        with client_of(daemon, uid) as client:
            for host in ("127.0.0.1", "localhost"):
                assert client.fetch(silent.url(host=host)).done
            assert sum(p.idle for p in client.pools()) == most


@ROOT_ONLY
def test_queued_bytes_hold_for_the_user_they_are_set_for(machine, silent):  # noqa: F811
    """Bodies that a client sent in one piece are held for it."""
    daemon = machine(f"[User {ANN}]\nQueuedBytesPerUser=1M\n")
    body = b"x" * 230_000  # three, and a fourth on its way in
    for uid, refused in ((ANN, [*3 * [None], "QUOTA"]), (BOB, 4 * [None])):
        with client_of(daemon, uid) as client:
            sent = [client.open(silent.url("/wait"), "POST", body=body) for _ in range(4)]
            client.status()
            assert [e.failure for e in sent] == refused
            assert client.fetch(silent.url(), "HEAD").failure is None, "the connection stays"


@ROOT_ONLY
def test_descriptors_hold_for_the_user_they_are_set_for(machine, silent, folder):  # noqa: F811
    daemon = machine(f"[Group {ANN}]\nDescriptorsPerUser=1\n")
    for uid, most in ((ANN, 1), (BOB, 2)):
        with client_of(daemon, uid) as client:
            exchanges = []
            for n in range(2):
                with open(folder / f"out-{uid}-{n}", "w+b") as file:
                    exchanges.append(client.open(
                        silent.url("/wait"), response_fd=fetch_pb2.ResponseFd(),
                        fds=[file.fileno()]))
                try:
                    client.status()
                except Closed:  # a descriptor above the quota is told as such
                    break
            taken = [e for e in exchanges if not e.failure]
            assert len(taken) == most or client.error, (uid, exchanges)


@ROOT_ONLY
def test_a_reload_changes_a_users_limits_for_who_is_there(machine, silent):  # noqa: F811
    daemon = machine(f"[User {ANN}]\nRequestsPerUser=1\n")
    with client_of(daemon, ANN) as client:
        running = [client.open(silent.url("/wait")) for _ in range(2)]
        client.status()
        assert [e.failure for e in running] == [None, "QUOTA"]
        daemon.config_path.write_text(f"[User {ANN}]\nRequestsPerUser=2\n")
        daemon.reload()
        running.append(client.open(silent.url("/wait")))
        client.status()
        silent.gate.set()
        client.finish(running[0], running[2])
        assert running[0].done and running[2].done


# -- too much, silence, lies ------------------------------------------------------------------

def connect_raw(daemon, uid):
    """A connection made by `uid` that has said hello, and has not looked at the answer."""
    old = os.geteuid()
    os.seteuid(uid)
    try:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(daemon.socket_path))
    finally:
        os.seteuid(old)
    with contextlib.suppress(BrokenPipeError):
        sock.sendall(HELLO)
    return sock


def heard(sock):
    """Return: what is said first, b"" at the end."""
    try:
        return sock.recv(4096)
    except ConnectionResetError:  # closed with a hello that nobody read
        return b""


def is_let_in(sock):
    """What the daemon says first: hello, or why not."""
    sock.settimeout(60)
    return ServerMessage.FromString(sock.recv(4096)[1:]).HasField("hello")


@ROOT_ONLY
def test_ip11_the_129th_of_a_user_and_the_4097th_of_all_are_refused_and_nobody_else(machine):  # noqa: F811
    """With the limits that are there without a configuration."""
    daemon = machine("")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 8192), before[1]))
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (max(before[0], 8192), before[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)

        def crowd(uid, n):
            made = [stack.enter_context(connect_raw(daemon, uid)) for _ in range(n)]
            return made, sum(map(is_let_in, made))

        first, let_in = crowd(5000, 129)
        assert let_in == 128
        first[0].close()
        wait_until(lambda: is_let_in(stack.enter_context(connect_raw(daemon, 5000))), "a slot of his")
        for uid in range(5001, 5032):
            assert crowd(uid, 128)[1] == 128
        assert crowd(6000, 1)[1] == 0, "4,096 are there"
        first[1].close()
        wait_until(lambda: is_let_in(stack.enter_context(connect_raw(daemon, 6000))), "a slot of all")
    daemon.rss_before_kib = daemon.rss_kib()


def calls_during(daemon, folder, names, act):
    """Return: the lines of strace for these calls while act() is done, and the seconds it took."""
    trace = folder / "trace"
    strace = subprocess.Popen(["strace", "-f", "-qq", "-e", f"trace={','.join(names)}", "-o", str(trace), "-p",
                               str(daemon.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = f"/proc/{daemon.pid}/status"
    wait_until(lambda: f"TracerPid:\t{strace.pid}\n" in open(status).read(), "strace")
    began = time.monotonic()
    act()
    seconds = time.monotonic() - began
    strace.send_signal(signal.SIGINT)
    strace.wait(60)
    return trace.read_text().splitlines(), seconds


@pytest.mark.skipif(SANITIZED, reason="a process traced for leaks cannot be traced twice")
def test_ip12_without_descriptors_it_does_not_spin(xhrd, silent, folder):
    """Counted: the calls of a daemon that cannot accept who waits, and cannot connect. It asks four times
    a second, so a slow machine counts fewer of them, not more; and it says so in one line."""
    with xhrd.client() as client:
        held = len(os.listdir(f"/proc/{xhrd.pid}/fd"))
        before = resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE, (held, before[1]))
        with socket.socket(socket.AF_UNIX) as waits:
            def act():
                waits.connect(str(xhrd.socket_path))
                for _ in range(20):
                    client.status()
                assert client.fetch(silent.url()).failure, "there is no descriptor to connect with"
                wait_until(lambda: "cannot accept a client" in xhrd.log(), "it to notice")
                for _ in range(20):
                    client.status()

            lines, seconds = calls_during(xhrd, folder, ("accept4", "epoll_wait", "epoll_pwait"), act)
            accepts = [line for line in lines if "EMFILE" in line]
            rounds = [line for line in lines if "epoll" in line]
            assert 1 <= len(accepts) <= 4 * seconds + 2
            # Each status is a round or two, each look at the listener as well, and a second has few others.
            assert len(rounds) <= 4 * 42 + 20 * seconds + 20, (len(rounds), seconds)
            assert xhrd.log().count("cannot accept a client") == 1
            resource.prlimit(xhrd.pid, resource.RLIMIT_NOFILE, before)
            waits.sendall(HELLO)
            assert is_let_in(waits)
        assert client.fetch(silent.url()).done


def test_ip13_ten_thousand_descriptors_that_nobody_asked_for_are_closed(xhrd, silent):
    before = len(xhrd.fds())
    with open("/dev/null", "rb") as null:
        for _ in range(40):  # of 253, as many as go with one message
            with Client(xhrd.socket_path) as client:
                client.send("credit", request_id=9, bytes=1, fds=[null.fileno()] * 253)
                client.wait_closed()
            assert len(xhrd.fds()) <= before + 2, "nothing of it is held"
    with Client(xhrd.socket_path) as client:
        assert client.fetch(silent.url()).done


def test_a_users_file_system_that_hangs_holds_up_no_tls(make_xhrd, folder, ca):
    """Passed files that cannot be read, as of a FUSE whose user has stopped it: threads hang in them,
    and trust stores have one of their own. Nor does the daemon's end wait."""
    held, hung = folder / "held", folder / "hung"
    held.touch()
    hung.mkdir()
    (hung / "file").write_bytes(b"x" * 100)
    daemon = make_xhrd(config=f"[TLS]\nCAFile={ca.pem}\n", env={
        "LD_PRELOAD": str(BUILD / "tests/libpreload.so"), "HELD_NAMES": str(held), "HANGS_OF": str(hung),
        **({"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"} if SANITIZED else {})})
    plain, tls = ScriptedOrigin(), ScriptedOrigin(tls_server(ca))
    body = fetch_pb2.RequestBody(fd=fetch_pb2.FdBody(length_bytes=100))
    with daemon.client() as hostile, daemon.client() as other, open(hung / "file", "rb") as file:
        waiting = [hostile.open(plain.url(), "PUT", body=body, fds=[file.fileno()], idle_ms=600000)
                   for _ in range(6)]
        wait_until(lambda: plain.connections, "connections for them")
        assert other.fetch(tls.url(host="localhost")).body == b"hello\n"
        assert not any(exchange.ended for exchange in waiting)
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    assert "leaving without what hangs" in daemon.log()
    held.unlink()
    daemon.start()
    plain.stop()
    tls.stop()


@pytest.fixture
def hanging(make_xhrd, folder):
    """The system's daemon, for which the files under a folder hang until `held` is gone."""
    held, hung = folder / "held", folder / "hung"
    held.touch()
    hung.mkdir()
    (hung / "file").write_bytes(b"x" * 100)
    daemon = make_xhrd("--system", env={
        "LD_PRELOAD": str(BUILD / "tests/libpreload.so"), "HELD_NAMES": str(held), "HANGS_OF": str(hung),
        **({"ASAN_OPTIONS": "verify_asan_link_order=0"} if SANITIZED else {})})
    folder.chmod(0o711)
    daemon.socket_path.chmod(0o666)
    daemon.held, daemon.hung = held, hung
    yield daemon
    held.unlink(missing_ok=True)


def threads_in(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/task"))


@ROOT_ONLY
@pytest.mark.parametrize("way", ["up", "down"])
def test_files_of_a_user_that_hang_hold_up_four_threads_of_his_and_nobody_else(hanging, folder, silent,
                                                                              way):
    """All he may hand over, as on a FUSE or NFS of his that does not answer."""
    body = fetch_pb2.RequestBody(fd=fetch_pb2.FdBody(length_bytes=100))
    before = threads_in(hanging)

    def transfer(client, path):
        with open(path, "r+b" if path.exists() else "w+b") as file:
            if way == "up":
                return client.open(silent.url(), "PUT", body=body, fds=[file.fileno()], idle_ms=600000)
            return client.open(silent.url(), response_fd=fetch_pb2.ResponseFd(), fds=[file.fileno()],
                               idle_ms=600000)

    with client_of(hanging, ANN) as hostile, client_of(hanging, BOB) as other:
        waiting = [transfer(hostile, hanging.hung / "file") for _ in range(30)]
        wait_until(lambda: threads_in(hanging) >= before + 4, "threads that hang")
        hostile.status()
        for n in range(8):
            (folder / f"fine-{n}").write_bytes(b"y" * 100)
            done = other.finish(transfer(other, folder / f"fine-{n}"))
            assert done.done, done.text
            if way == "down":
                assert (folder / f"fine-{n}").read_bytes()[:6] == b"hello\n"
        assert not any(exchange.ended for exchange in waiting)
        hanging.held.unlink()
        hostile.finish(*waiting)
        assert all(exchange.done for exchange in waiting)
    assert not os.path.exists(hanging.held)


@ROOT_ONLY
def test_ip11_while_the_user_database_ponders_over_one_user_others_are_let_in(make_xhrd, folder):
    """Where rules go by names. And no more of his wait than would be let in."""
    held = folder / "held"
    held.touch()
    daemon = make_xhrd("--system", config="[User nobody-of-that-name]\nDenyHosts=*\n", env={
        "LD_PRELOAD": str(BUILD / "tests/libpreload.so"), "HELD_NAMES": str(held), "HELD_USER": str(ANN),
        **({"ASAN_OPTIONS": "verify_asan_link_order=0"} if SANITIZED else {})})
    folder.chmod(0o711)
    daemon.socket_path.chmod(0o666)
    with contextlib.ExitStack() as stack:
        stack.callback(held.unlink, missing_ok=True)
        crowd = [stack.enter_context(connect_raw(daemon, ANN)) for _ in range(140)]
        with client_of(daemon, BOB) as other:
            assert other.hello.uid == BOB
        for sock in crowd[128:]:
            sock.settimeout(60)
            assert not heard(sock), "sent away at once"
        held.unlink()
        assert sum(map(is_let_in, crowd[:128])) == 128


@ROOT_ONLY
def test_name_servers_of_a_user_that_do_not_answer_hold_up_nobody_else(hanging, silent):
    """More names than there are threads, of a domain whose servers say nothing; and the other one may
    ask for such a name himself, without waiting behind all of them."""
    before = threads_in(hanging)
    with client_of(hanging, ANN) as hostile, client_of(hanging, BOB) as other:
        with hostile.one_write():
            waiting = [hostile.open(silent.url(host=f"n{n}.held.test"), idle_ms=600000) for n in range(60)]
        wait_until(lambda: threads_in(hanging) >= before + 8, "threads that hang")
        hostile.status()
        for n in range(8):
            exchange = other.fetch(silent.url(host=f"n{n}.prompt.test"))
            assert exchange.done, exchange.text
        shared = other.open(silent.url(host="n59.held.test"), idle_ms=600000)
        wait_until(lambda: threads_in(hanging) >= before + 9, "his own question to be asked")
        assert not any(exchange.ended for exchange in waiting)
        hanging.held.unlink()
        other.finish(shared)
        hostile.finish(*waiting)
        assert shared.done and all(exchange.done for exchange in waiting)


@pytest.mark.parametrize("times", [3000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_ip17_clients_that_come_and_go_leave_no_trace(xhrd, times):
    def come_and_go(n):
        for i in range(n):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(xhrd.socket_path))
                if i % 2:
                    sock.sendall(HELLO)
                if i % 4 == 1:
                    assert is_let_in(sock)

    def at_rest():
        with Client(xhrd.socket_path) as client:
            return client.status().clients == 1 and len(xhrd.fds())

    come_and_go(1000)
    fds, rss_kib = wait_until(at_rest), xhrd.rss_kib()
    come_and_go(times)
    assert wait_until(at_rest) <= fds
    assert SANITIZED or xhrd.rss_kib() - rss_kib <= 512


@ROOT_ONLY
def test_ip15_four_thousand_requests_of_one_user_hold_up_nobody_else(machine, silent):  # noqa: F811
    daemon = machine("")
    with client_of(daemon, ANN) as greedy, client_of(daemon, BOB) as other, daemon.client() as root:
        with greedy.one_write():
            waiting = [greedy.open(silent.url("/wait")) for _ in range(4000)]
        wait_until(lambda: root.status().requests_active == 4000, "all of them to be there")
        if not SANITIZED:
            assert daemon.rss_kib() - daemon.rss_before_kib <= 16 * 1024, "4 KiB each at most"
        daemon.rss_before_kib = daemon.rss_kib()
        assert other.fetch(silent.url()).done, "its own connection, at once"
        one_more = [greedy.open(silent.url("/wait")) for _ in range(97)]
        greedy.status()
        assert [e.failure for e in one_more] == [None] * 96 + ["QUOTA"]
        assert not any(e.failure for e in waiting)
        assert other.fetch(silent.url()).head.connection.reused


@pytest.mark.parametrize("seed", range(8))
def test_ip16_after_random_frames_a_valid_session_works(xhrd, silent, seed):
    chance = random.Random(seed)
    for _ in range(40):
        with Client(xhrd.socket_path) as client:
            frames = b"".join(framed(chance.randbytes(chance.randrange(1, 200)))
                              for _ in range(chance.randrange(1, 8)))
            try:
                client.send_bytes(frames + chance.randbytes(chance.randrange(0, 40)))
                client.sock.shutdown(socket.SHUT_WR)
                client.wait_closed()
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was sent away in the middle
    with Client(xhrd.socket_path) as client:
        assert client.fetch(silent.url()).done


def test_ip18_a_client_that_is_stopped_in_a_stream_holds_up_nobody(xhrd, xhr, client, origin_raw):
    size = 24 << 20
    origin_raw.answer = lambda request: response(b"x" * size) if request.target == "/big" \
        else response(b"small")
    before_kib = xhrd.rss_kib()
    run = xhr.start(origin_raw.url("/big"))
    try:
        wait_until(lambda: client.status().requests_active == 1, "the stream")
        run.send_signal(signal.SIGSTOP)
        for _ in range(50):
            assert client.fetch(origin_raw.url()).body == b"small"
        assert xhrd.rss_kib() - before_kib < 16 * 1024
    finally:
        run.send_signal(signal.SIGCONT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0 and len(out) == size, err


@ROOT_ONLY
def test_ip19_who_has_died_is_still_who_he_was(machine, silent):  # noqa: F811
    """The one who connected hands the socket on and is gone: his uid counts, his pid nothing."""
    daemon = machine(f"[User {ANN}]\nDenyHosts=*\n")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ANN)
            os.setuid(ANN)
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.connect(str(daemon.socket_path))
            socket.send_fds(theirs, [b"x"], [made.fileno()])
        finally:
            os._exit(0)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    with daemon.client() as root, Client.__new__(Client) as client:
        client.__dict__.update(vars(root) | {"sock": socket.socket(fileno=fds[0]), "hello": None,
                                             "exchanges": {}, "replies": [], "_in": bytearray()})
        client.sock.settimeout(30)
        client.send("hello", protocol=1, program=b"heir")
        client.receive_until(lambda: client.hello)
        assert client.hello.uid == ANN
        assert client.fetch(silent.url()).failure == "POLICY"
        assert root.fetch(silent.url()).done


def test_ip19_no_decision_reads_the_pid():
    """It is shown in listings and helps the journal to a unit; nothing else looks at it."""
    may = {"service/admin_service.c", "service/client.c", "ipc/peer.c"}
    reads = {str(path.relative_to(SOURCE / "daemon")) for path in (SOURCE / "daemon").rglob("*.c")
             if re.search(r"\bpeer(\.|->)pid\b|\bcred\.pid\b", path.read_text())}
    assert reads <= may, reads
    text = (SOURCE / "daemon/service/client.c").read_text()
    uses = re.findall(r"[^;{}]*peer\.pid[^;]*;", text)
    assert len(uses) == 1 and "peer_unit_find" in uses[0], uses


# -- loops ------------------------------------------------------------------------------------

def test_cd07_no_port_leads_back_to_the_daemon(xhrd):
    """It listens on Unix sockets alone, and those no URL can name (CD01)."""
    inodes = set(xhrd.fds())
    assert any(inode.startswith("socket:") for inode in inodes)
    for table in ("tcp", "tcp6"):
        rows = open(f"/proc/{xhrd.pid}/net/{table}").read().splitlines()[1:]
        listening = {f"socket:[{row.split()[9]}]" for row in rows if row.split()[3] == "0A"}
        assert not listening & inodes


def test_cd07_a_port_that_is_passed_is_not_taken(folder):
    with socket.create_server(("127.0.0.1", 0)) as port:
        def hand_over():
            os.dup2(port.fileno(), 3)
            os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))

        env_run = subprocess.run(
            ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', str(XHRD), "--user",
             "--state-dir", str(folder / "state")], close_fds=False, preexec_fn=hand_over,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert env_run.returncode != 0, env_run
