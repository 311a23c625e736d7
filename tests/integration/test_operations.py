# SPDX-License-Identifier: MIT
"""What an administrator runs: metrics, monitor, archives, drain, reload, log level. Everything is
read back by somebody else's parser, or from what the daemon does next."""
import datetime
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import jsonschema
import pytest
from origins import response
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from stages import held_at
from test_users import ANN, BOB, as_user, client_of, machine  # noqa: F401
from waiting import wait_until
from wire import SOURCE, admin_pb2

pytestmark = pytest.mark.shallow
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")


def samples(text):
    """{(name, labels): value}, by Prometheus' own parser, which refuses what is not OpenMetrics."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found, name, **labels):
    """The sum of the samples that have these labels, None when there are none."""
    fitting = [number for (has, its), number in found.items()
               if has == name and set(labels.items()) <= its]
    return sum(fitting) if fitting else None


def metrics_of(client):
    return samples("".join(reply.text.decode()
                           for reply in client.admin(admin_pb2.ADMIN_TOPIC_METRICS)))


# ---- metrics ----------------------------------------------------------------------------------

def test_metrics_count_what_happened(xhrctl, xhr, origin_raw, make_tls_origin, ca):
    origin_raw.reply(response(b"hello"))
    xhr(origin_raw.url(), origin_raw.url(), check=0)
    origin_raw.reply(response(b"", status="404 Not Found"))
    xhr(origin_raw.url(), check=0)
    xhr("--profile", "work", "-d", "abc", origin_raw.url(), check=0)
    xhr("http://127.0.0.1:1/", check=7)
    tls = make_tls_origin("localhost")
    xhr("--cacert", ca.pem, tls.url(host="localhost"), check=0)
    found = samples(xhrctl("metrics", check=0).out)
    mine = {"uid": str(os.getuid()), "profile": ""}
    assert value(found, "xhrd_requests_started_total", **mine) == 5
    assert value(found, "xhrd_requests_total", outcome="done", **mine) == 4
    assert value(found, "xhrd_requests_total", outcome="connect", **mine) == 1
    assert value(found, "xhrd_answers_total", status="2xx", **mine) == 3
    assert value(found, "xhrd_answers_total", status="4xx", **mine) == 1
    assert value(found, "xhrd_answers_from_total", source="kept-connection", **mine) == 2
    assert value(found, "xhrd_answers_from_total", source="new-connection", **mine) == 2
    assert value(found, "xhrd_tls_handshakes_total", kind="full", **mine) == 1
    assert value(found, "xhrd_sent_bytes_total", uid=mine["uid"], profile="work") == 3
    assert value(found, "xhrd_received_bytes_total", **mine) >= 10
    assert value(found, "xhrd_queue_seconds_count", **mine) == 4
    assert value(found, "xhrd_queue_seconds_bucket", le="+Inf", **mine) == 4
    assert value(found, "xhrd_request_seconds_count", **mine) == 5
    assert value(found, "xhrd_request_seconds_sum", **mine) > 0
    assert value(found, "xhrd_quota_limit", quota="requests", uid=mine["uid"]) == 4096
    assert value(found, "xhrd_quota_used", quota="clients", uid=mine["uid"]) == 1
    assert value(found, "xhrd_pool_hits_total") >= 2
    assert value(found, "xhrd_connections_open") >= 1
    assert value(found, "process_open_fds") > 3
    assert value(found, "process_resident_memory_bytes") > 100000


def test_a_textfile_is_replaced_whole_and_for_all_to_read(xhrctl, folder):
    path = folder / "xhrd.prom"
    run = xhrctl("metrics", "--textfile", path, check=0)
    assert run.out == ""
    first = path.stat()
    assert first.st_mode & 0o777 == 0o644
    samples(path.read_text())
    with open(path) as reader:
        xhrctl("metrics", "--textfile", path, check=0)
        assert reader.read().endswith("# EOF\n"), "who reads has a whole one"
    assert path.stat().st_ino != first.st_ino and list(folder.glob("xhrd.prom?*")) == []
    wrong = xhrctl("metrics", "--textfile", folder / "none" / "x")
    assert wrong.status == 23 and "none/x" in wrong.err


@as_root
def test_ip03_metrics_of_a_user_are_his_own(machine, origin_raw):  # noqa: F811
    origin_raw.reply(response(b"hi"))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, machine.client() as root:
        assert ann.fetch(origin_raw.url()).done
        assert bob.fetch(origin_raw.url()).done
        uids = {labels for _, labels in metrics_of(ann)}
        told = {dict(labels).get("uid") for labels in uids}
        assert told == {str(ANN)}
        everything = metrics_of(root)
        for uid in (ANN, BOB):
            assert value(everything, "xhrd_requests_total", uid=str(uid), outcome="done") == 1
        assert value(everything, "xhrd_clients") == 3


def test_profiles_beyond_the_last_share_one_row(xhrd, origin_raw):
    origin_raw.reply(response(b"hi"))
    for n in range(20):
        with xhrd.client(profile=f"p{n}") as client:
            assert client.fetch(origin_raw.url()).done
    with xhrd.client() as client:
        found = metrics_of(client)
    assert value(found, "xhrd_requests_total", outcome="done") == 20
    assert value(found, "xhrd_requests_total", uid="others") > 0
    assert len([1 for name, _ in found if name == "xhrd_requests_started_total"]) == 17


# ---- monitor ----------------------------------------------------------------------------------

class Monitor:
    """xhrctl monitor --json, read to the end."""

    def __init__(self, xhrctl, xhrd, *arguments):
        with xhrd.client() as client:
            before = client.status().monitors
            self.run = xhrctl.start("monitor", "--json", *arguments)
            wait_until(lambda: client.status().monitors > before, "the monitor to watch")

    def end(self):
        self.run.send_signal(signal.SIGINT)
        out, err = self.run.communicate(timeout=30)
        assert (self.run.returncode, err) == (0, b"")
        return [json.loads(line) for line in out.decode().splitlines()]


def test_a_monitor_sees_requests_begin_go_on_and_end(xhrctl, xhr, xhrd, origin_raw):
    monitor = Monitor(xhrctl, xhrd)
    origin_raw.replies(response(b"", status="302 Found", fields=[("Location", "/next?token=abc")]),
                       response(b"hello"))
    xhr("-s", origin_raw.url("/first?key=s3cr3t"), check=0)
    xhr("http://127.0.0.1:1/", check=7)
    wait_until(lambda: len(origin_raw.requests) == 2, "both hops")
    rows = monitor.end()
    first = [row for row in rows if row["request"] == rows[0]["request"]]
    assert [row["event"] for row in first] == ["started", "redirected", "head", "done"]
    assert first[0]["url"].endswith("/first?key=***") and first[-1]["url"].endswith("/next?token=***")
    assert first[0]["program"] == "xhr" and first[0]["method"] == "GET"
    assert first[0]["uid"] == os.getuid()
    assert first[1]["status"] == 302 and first[2]["status"] == 200
    assert first[-1]["body_bytes"] == 5 and first[-1]["total_us"] > 0
    other = [row for row in rows if row["request"] != rows[0]["request"]]
    assert [row["event"] for row in other] == ["started", "failed"]
    assert other[1]["error"] == "connect" and other[1]["message"]
    assert "s3cr3t" not in json.dumps(rows)


def test_a_monitor_for_people_says_it_in_lines(xhrctl, xhr, xhrd, origin_raw):
    with xhrd.client() as client:
        run = xhrctl.start("monitor")
        wait_until(lambda: client.status().monitors == 1, "the monitor to watch")
    origin_raw.reply(response(b"hello"))
    xhr(origin_raw.url("/a"), check=0)
    run.terminate()
    lines = run.communicate(timeout=30)[0].decode().splitlines()
    assert run.returncode == 0
    assert len(lines) == 3 and "xhr started GET http://" in lines[0]
    assert "done GET" in lines[2] and " 200 5 B in 0." in lines[2]


def test_a_client_that_leaves_ends_its_requests_in_the_monitor(xhrctl, xhrd, origin_raw):
    monitor = Monitor(xhrctl, xhrd)
    with xhrd.client() as client:
        with held_at("wait", client, origin_raw):
            pass
    with xhrd.client() as client:
        wait_until(lambda: client.status().requests_active == 0, "the request to go")
    assert [row["event"] for row in monitor.end()] == ["started", "closed"]
    lines = [line for line in xhrd.log().split("\n") if "info: " in line and " request 1 GET " in line]
    assert len(lines) == 1 and lines[0].endswith("aborted: its client went away"), lines


def test_each_request_is_one_line_however_it_ends(xhr, xhrd, origin_raw, origin_raw2):
    def cut(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        connection.wait_gone()
    origin_raw2.script = cut
    xhr(origin_raw.url(), check=0)
    xhr("http://127.0.0.1:1/", check=7)
    xhr("-m", "0.2", origin_raw2.url(), check=28)
    with xhrd.client() as client:
        aborted = client.open(origin_raw2.url())
        client.receive_until(lambda: aborted.head)
        client.abort(aborted)
        client.finish(aborted)
        left = client.open(origin_raw2.url())
        client.receive_until(lambda: left.head)
    def lines():
        return re.findall(r"info: uid \d+ request (\d+) GET \S+ (?:failed in \d+ ms: )?([\w-]+)", xhrd.log())
    wait_until(lambda: len(lines()) == 5, "a line of each")
    assert sorted(lines()) == [("1", "200"), ("2", "connect"), ("3", "timeout-total"),
                               ("4", "aborted"), ("5", "aborted")]


def test_a_slow_monitor_loses_events_is_told_and_slows_nobody(xhrd, origin_raw):
    origin_raw.reply(response(b"hi"))
    with xhrd.client() as watcher, xhrd.client() as client:
        watcher.send("admin", command_id=1, topic=admin_pb2.ADMIN_TOPIC_MONITOR)
        wait_until(lambda: client.status().monitors == 1, "the monitor to watch")
        url = origin_raw.url("/" + "x" * 1900)
        lost = 0
        while not lost:  # the watcher reads nothing
            for _ in range(50):
                assert client.fetch(url).done
            lost = value(metrics_of(client), "xhrd_monitor_events_lost_total")
        queued = max(row.queued_bytes for reply in client.admin(admin_pb2.ADMIN_TOPIC_CLIENTS)
                     for row in reply.clients)
        assert queued < 1 << 20, "its queue is bounded"

        def has_caught_up():
            watcher.drain()
            return sum(reply.lost for reply in watcher.replies) >= lost

        wait_until(has_caught_up, "the watcher to be told how many were lost")
        assert sum(reply.lost for reply in watcher.replies) == value(
            metrics_of(client), "xhrd_monitor_events_lost_total")


@as_root
def test_ip03_a_user_monitors_his_own_requests_and_root_all(machine, origin_raw):  # noqa: F811
    origin_raw.reply(response(b"hi"))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, \
            client_of(machine, ANN) as watcher, machine.client() as root:
        for who in (watcher, root):
            who.send("admin", command_id=1, topic=admin_pb2.ADMIN_TOPIC_MONITOR)
        wait_until(lambda: root_status(machine).monitors == 2, "both to watch")
        assert ann.fetch(origin_raw.url()).done and bob.fetch(origin_raw.url()).done
        for who, uids in ((watcher, {ANN}), (root, {ANN, BOB})):
            def over(who=who):
                who.drain()
                return {reply.event.record.uid for reply in who.replies
                        if reply.event.kind == admin_pb2.MonitorEvent.KIND_OVER}

            wait_until(lambda: over() == uids, "what it may see")  # noqa: B023
            assert {reply.event.record.uid for reply in who.replies
                    if reply.HasField("event")} == uids


def root_status(daemon):
    with daemon.client() as client:
        return client.status()


# ---- drain, reload, log level -----------------------------------------------------------------

def test_drain_finishes_what_runs_and_takes_nothing_new(xhrctl, client, xhr, xhrd, origin_raw,
                                                          origin_raw2):
    with held_at("wait", client, origin_raw) as exchange:
        assert xhrctl("drain", check=0).out == "takes no new request\n"
        assert json.loads(xhrctl("status", "--json", check=0).out)["draining"] is True
        refused = xhr(origin_raw.url(), check=100)
        assert "drained" in refused.err
        with xhrd.client() as other:
            late = other.fetch(origin_raw.url())
            assert late.failure == "SHUTDOWN" and "takes nothing new" in late.text
        assert client.requests(), "what ran runs on"
        client.abort(exchange)
        client.finish(exchange)
    assert json.loads(xhrctl("status", "--json", check=0).out)["requests_refused"] == 2
    assert xhrctl("drain", "--off", check=0).out == "takes requests again\n"
    origin_raw2.reply(response(b"again"))
    assert xhr(origin_raw2.url(), check=0).out == "again"


def test_drain_exit_leaves_after_the_last_request(xhrctl, client, xhrd, origin_raw, origin_raw2):
    with held_at("body", client, origin_raw) as exchange:
        xhrctl("drain", "--exit", check=0)
        assert xhrd.alive() and client.status().draining
        client.abort(exchange)
        client.finish(exchange)
    wait_until(lambda: not xhrd.alive(), "the daemon to leave")
    assert xhrd.process.wait() == 0
    xhrd.start()  # as systemd does with the next connection
    origin_raw2.reply(response(b"next"))
    with xhrd.client() as successor:
        assert successor.fetch(origin_raw2.url()).body == b"next"


def test_a_retry_finds_the_successor_of_a_drained_daemon(xhrctl, xhr, xhrd, origin_raw):
    origin_raw.reply(response(b"hello"))
    xhrctl("drain", check=0)
    run = xhr.start("--retry", "20", "--retry-delay", "1", origin_raw.url())
    with xhrd.client() as client:
        wait_until(lambda: client.status().requests_refused > 0, "the first try")
    xhrctl("drain", "--off", check=0)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (0, b"hello"), err


def test_reload_tells_what_is_wrong_with_a_file(xhrctl, xhrd):
    assert xhrctl("reload", check=0).out == "reloaded\n"
    xhrd.config_path.write_text("[Limits]\nClients=none\n")
    run = xhrctl("reload", check=2)
    assert f"{xhrd.config_path}:2" in run.err and "Clients" in run.err, run.err
    xhrd.config_path.write_text("[Limits]\nWatchersPerUser=0\n")
    assert json.loads(xhrctl("reload", "--json", check=0).out) == {"result": "reloaded"}
    refused = xhrctl("monitor", check=102)
    assert "watches too much" in refused.err


def test_log_level_is_told_and_set(xhrctl, xhr, xhrd, origin_raw):
    assert xhrctl("log-level", check=0).out == "debug\n"
    assert json.loads(xhrctl("log-level", "warning", "--json", check=0).out) == {
        "log_level": "warning"}
    origin_raw.reply(response(b"hello"))
    size = len(xhrd.log())
    xhr(origin_raw.url(), check=0)
    assert len(xhrd.log()) == size
    assert xhrctl("log-level", check=0).out == "warning\n"
    xhrctl("log-level", "info", check=0)
    xhr(origin_raw.url("/seen"), check=0)
    wait_until(lambda: "/seen 200" in xhrd.log(), "a line of the request")
    xhrctl("reload", check=0)
    assert xhrctl("log-level", check=0).out == "debug\n", "the command line's comes back"
    wrong = xhrctl("log-level", "loud")
    assert wrong.status == 2 and "wants err, warning" in wrong.err


@as_root
def test_only_administrators_drain_reload_and_set_the_log_level(machine, origin_raw):  # noqa: F811
    def refused(client, topic, **more):
        return [reply.failure.kind for reply in client._command("admin", topic=topic, **more)
                if reply.HasField("failure")]

    deeds = [(admin_pb2.ADMIN_TOPIC_DRAIN, {}), (admin_pb2.ADMIN_TOPIC_RELOAD, {}),
             (admin_pb2.ADMIN_TOPIC_LOG_LEVEL, {"level": b"info"})]
    with client_of(machine, ANN) as ann, machine.client() as root:
        for topic, more in deeds:
            assert refused(ann, topic, **more)
        assert not root.status().draining
        assert refused(ann, admin_pb2.ADMIN_TOPIC_LOG_LEVEL) == []
        machine.config_path.write_text(f"[Daemon]\nAdministrators=nobody {ANN} @{BOB}\n")
        assert refused(root, admin_pb2.ADMIN_TOPIC_RELOAD) == []
        for topic, more in deeds[1:]:
            assert refused(ann, topic, **more) == []
        assert ann.status().shows_all
        assert {row.uid for reply in ann.admin(admin_pb2.ADMIN_TOPIC_CLIENTS)
                for row in reply.clients} == {ANN, 0}
        with client_of(machine, BOB + 1) as other:
            assert refused(other, admin_pb2.ADMIN_TOPIC_DRAIN)
        os.setegid(BOB)  # the group counts, whoever is in it
        try:
            with client_of(machine, BOB + 1) as other:
                assert other.status().shows_all
                assert refused(other, admin_pb2.ADMIN_TOPIC_DRAIN, drain_off=True) == []
        finally:
            os.setegid(0)


def test_descriptors_and_memory_are_told(xhrctl, xhrd, origin_raw):
    rows = json.loads(xhrctl("show", "fds", "--json", check=0).out)
    of_daemon = {row["what"]: row for row in rows if row["uid"] is None}
    assert of_daemon["all"]["used"] >= len(xhrd.fds()) - 1 and of_daemon["all"]["limit"] > 64
    assert of_daemon["sockets"]["used"] >= 2
    mine = {row["what"]: row for row in rows if row["uid"] == os.getuid()}
    assert mine["clients"]["used"] == 1 and mine["passed descriptors"]["limit"] == 64
    memory = json.loads(xhrctl("show", "memory", "--json", check=0).out)
    resident = next(row for row in memory if row["what"] == "resident")
    assert abs(resident["used"] / 1024 - xhrd.rss_kib()) < 4096
    assert "queued" in xhrctl("show", "memory", check=0).out


# ---- top --------------------------------------------------------------------------------------

SEQUENCE = re.compile(rb"\x1b\[[?0-9;]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, program, *arguments, rows, columns):
        self.fd, inner = pty.openpty()
        self.before = termios.tcgetattr(inner)
        self.inner, self.seen = inner, b""
        self.resize(rows, columns)
        self.run = subprocess.Popen([str(program.path), *arguments], stdin=inner, stdout=inner,
                                    stderr=subprocess.PIPE, env=program.env)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def frames(self):
        """Whole screens so far, lists of lines."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                break
        parts = self.seen.split(b"\x1b[H")[1:]
        return [SEQUENCE.sub(b"", part.split(b"\x1b[J")[0]).decode().replace("\r", "").split("\n")
                for part in parts if b"\x1b[J" in part]

    def close(self):
        os.close(self.fd)
        os.close(self.inner)


def test_top_is_a_live_screen_that_fits_and_ends_with_q(xhrctl, xhr, client, origin_raw, origin_raw2):
    terminal = Terminal(xhrctl, "top", rows=24, columns=60)
    try:
        wait_until(lambda: terminal.frames(), "the first screen")
        first = terminal.frames()[0]
        assert first[0].startswith("xhrd ") and "requests: active 0, ever 0" in first[1]
        origin_raw2.reply(response(b"hi"))
        xhr(origin_raw2.url(), check=0)
        with held_at("wait", client, origin_raw) as exchange:
            wait_until(lambda: any("awaiting" in line for line in terminal.frames()[-1]),
                       "the request on the screen")
            last = terminal.frames()[-1]
            assert any(line.startswith("a second: ") for line in last)
            assert "requests: active 1, ever 2" in last[1]
            assert all(len(line) <= 60 for frame in terminal.frames() for line in frame)
            terminal.resize(4, 20)
            terminal.run.send_signal(signal.SIGWINCH)
            wait_until(lambda: len(terminal.frames()[-1]) == 4, "the screen to be made smaller")
            assert all(len(line) <= 20 for line in terminal.frames()[-1])
            client.abort(exchange)
            client.finish(exchange)
        os.write(terminal.fd, b"q")
        assert terminal.run.wait(30) == 0
        terminal.frames()
        assert terminal.seen.endswith(b"\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(terminal.inner)[3] == terminal.before[3], "the terminal as it was"
    finally:
        terminal.run.kill()
        terminal.run.wait()
        terminal.run.stderr.close()
        terminal.close()


def test_top_without_a_terminal_is_one_snapshot(xhrctl, client, origin_raw):
    with held_at("wait", client, origin_raw) as exchange:
        out = xhrctl("top", check=0).out
        client.abort(exchange)
        client.finish(exchange)
    assert "\x1b" not in out and out.startswith("xhrd ")
    assert "/held" in out and f"127.0.0.1:{origin_raw.port}" in out and "PROGRAM" in out


# ---- archives ---------------------------------------------------------------------------------

def har_validator():
    """HAR 1.2 as others have written it down (tests/data/har)."""
    parts = {path.name: json.loads(path.read_text()) for path in (SOURCE / "tests/data/har").glob("*.json")}
    resolver = jsonschema.RefResolver("", parts["har.json"], {f"{name}#": part for name, part in parts.items()}
                                      | parts)
    return jsonschema.Draft6Validator(parts["har.json"], resolver=resolver,
                                      format_checker=jsonschema.FormatChecker())


HAR = har_validator()


def check_har(text):
    """HAR 1.2 (W. W. Wang, J. Odvarka, A. Jain): every object has what it must have and nothing of
    its own but with a _, and the times add up. Return: the entries."""
    HAR.validate(json.loads(text))
    log = json.loads(text)["log"]
    assert log["version"] == "1.2" and log["creator"]["name"] == "xhrctl"
    assert log["creator"]["version"]
    for entry in log["entries"]:
        check_entry(entry)
    return log["entries"]


ENTRY = {"startedDateTime": str, "time": (int, float), "request": dict, "response": dict,
         "cache": dict, "timings": dict}
REQUEST = {"method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list,
           "queryString": list, "headersSize": int, "bodySize": int}
RESPONSE = {"status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list,
            "content": dict, "redirectURL": str, "headersSize": int, "bodySize": int}
PAIR = {"name": str, "value": str}
TIMINGS = ("blocked", "dns", "connect", "send", "wait", "receive")


def has(thing, shape, optional=()):
    for key, kind in shape.items():
        assert isinstance(thing[key], kind), (key, thing)
    extra = {key for key in thing if not key.startswith("_")} - set(shape) - set(optional)
    assert not extra, extra


def check_entry(entry):
    has(entry, ENTRY, ("serverIPAddress", "connection", "comment", "pageref"))
    assert entry["startedDateTime"].endswith("Z") and "T" in entry["startedDateTime"]
    has(entry["request"], REQUEST, ("postData", "comment"))
    has(entry["response"], RESPONSE, ("comment",))
    has(entry["response"]["content"], {"size": int, "mimeType": str}, ("compression", "text"))
    for pair in (entry["request"]["headers"] + entry["response"]["headers"]
                 + entry["request"]["queryString"] + entry["request"]["cookies"]):
        has(pair, PAIR)
    for cookie in entry["response"]["cookies"]:
        has(cookie, PAIR, ("path", "domain", "expires", "httpOnly", "secure"))
    times = entry["timings"]
    assert set(times) == {*TIMINGS, "ssl"}
    for key in ("send", "wait", "receive"):
        assert times[key] >= 0, times
    for key in times:
        assert times[key] == -1 or times[key] >= 0, times
    if times["ssl"] > 0:
        assert times["ssl"] <= times["connect"]
    total = sum(times[key] for key in TIMINGS if times[key] > 0)
    assert abs(total - entry["time"]) < 0.01, times


def entries_in(path):
    """How many; -1 when it was caught being written to."""
    try:
        return len(check_har(path.read_text()))
    except json.JSONDecodeError:
        return -1


SECRETS = ("s3cr3t", "hunter2", "aHVudGVyMg", "t0ken", "f00d")


def fetch_with_secrets(xhr, origin, *arguments):
    origin.reply(response(b"hello", fields=[("Set-Cookie", "sid=s3cr3t; Path=/; HttpOnly"),
                                            ("Content-Type", "text/plain")]))
    xhr(*arguments, origin.url("/?token=t0ken"), check=0)
    xhr(*arguments, "-u", "me:hunter2", "-H", "X-Api-Key: f00d",
        origin.url("/path?token=t0ken&empty="), check=0)


def test_a_monitor_writes_an_archive_that_is_whole_after_every_entry(xhrctl, xhr, xhrd, origin_raw,
                                                              folder):
    path = folder / "today.har"
    monitor = Monitor(xhrctl, xhrd, "--har", path)
    assert check_har(path.read_text()) == []
    fetch_with_secrets(xhr, origin_raw)
    wait_until(lambda: entries_in(path) == 2, "both to be in it")
    xhr("http://127.0.0.1:1/", check=7)
    wait_until(lambda: entries_in(path) == 3, "the failed one, too")
    monitor.end()
    first, second, third = check_har(path.read_text())
    assert not any(secret in path.read_text() for secret in SECRETS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert second["request"]["queryString"] == [{"name": "token", "value": "***"},
                                                {"name": "empty", "value": ""}]
    assert second["request"]["cookies"] == [{"name": "sid", "value": "***"}]
    sent = {pair["name"]: pair["value"] for pair in second["request"]["headers"]}
    assert sent["Host"] == f"127.0.0.1:{origin_raw.port}"
    assert (sent["Authorization"], sent["X-Api-Key"]) == ("Basic ***", "***")
    assert first["response"]["cookies"] == [
        {"name": "sid", "value": "***", "path": "/", "httpOnly": True, "secure": False}]
    assert (second["response"]["status"], second["response"]["content"]) == (
        200, {"size": 5, "mimeType": "text/plain"})
    assert first["timings"]["connect"] >= 0 and second["timings"]["connect"] == -1
    assert first["connection"] == second["connection"] and second["_reusedConnection"]
    assert third["response"]["status"] == 0 and third["_error"]


def test_har_of_a_request_that_is_over(xhrctl, xhr, xhrd, client, origin_raw):
    fetch_with_secrets(xhr, origin_raw)
    text = xhrctl("har", "2", check=0).out
    entry, = check_har(text)
    assert entry["request"]["url"] == origin_raw.url("/path?token=***&empty=")
    assert entry["_program"] == "xhr" and entry["_request"] == 2
    assert not any(secret in text for secret in SECRETS)
    for wrong in ("999", "x", "99999999999999999999999"):
        run = xhrctl("har", wrong)
        assert run.status == 2 and run.err.count("\n") == 1, run
    for _ in range(1000):
        assert client.fetch(origin_raw.url()).done
    assert "none of yours" in xhrctl("har", "2", check=2).err, "the last ones are remembered"
    check_har(xhrctl("har", "1002", check=0).out)


def lead(origin):
    """A redirect that sets a cookie, a login that is asked for, then the answer."""
    def answer(request):
        if request.target.startswith("/from"):
            return response(b"moved", status="302 Found", fields=[
                ("Location", "/to?token=t0ken"), ("Set-Cookie", "sid=s3cr3t; Path=/")])
        if not request.get("Authorization"):
            return response(b"who?", status="401 Unauthorized", fields=[
                ("WWW-Authenticate", 'Digest realm="x", nonce="n"')])
        return response(b"hello", fields=[("Content-Type", "text/plain")])

    origin.answer = answer


def check_hops(entries, origin):
    assert [entry["response"]["status"] for entry in entries] == [302, 401, 200]
    assert [entry["request"]["url"] for entry in entries] == [
        origin.url("/from?token=***"), *[origin.url("/to?token=***")] * 2]
    assert entries[0]["response"]["redirectURL"].endswith("/to?token=***")
    assert entries[1]["response"]["redirectURL"] == ""
    assert entries[0]["response"]["cookies"][0]["value"] == "***"
    for entry in entries[1:]:
        assert entry["request"]["cookies"] == [{"name": "sid", "value": "***"}]
    sent = [{pair["name"]: pair["value"] for pair in entry["request"]["headers"]}
            for entry in entries]
    assert [line.get("Authorization") for line in sent] == [None, None, "Digest ***"]
    assert [entry["response"]["bodySize"] for entry in entries] == [-1, -1, entries[2][
        "response"]["bodySize"]]
    assert entries[2]["response"]["content"]["size"] == 5
    assert entries[0]["timings"]["connect"] >= 0 and entries[1]["timings"]["connect"] == -1
    assert len({entry["connection"] for entry in entries}) == 1
    starts = [datetime.datetime.fromisoformat(entry["startedDateTime"].replace("Z", "+00:00"))
              for entry in entries]
    assert starts == sorted(starts)
    assert len({entry["_request"] for entry in entries}) == 1


def test_every_answer_on_the_way_is_an_entry(xhrctl, xhr, xhrd, origin_raw, folder):
    lead(origin_raw)
    path = folder / "hops.har"
    monitor = Monitor(xhrctl, xhrd, "--har", path)
    xhr("-L", "--digest", "-u", "me:hunter2", origin_raw.url("/from?token=t0ken"), check=0)
    wait_until(lambda: entries_in(path) == 3, "all three")
    monitor.end()
    for text in (path.read_text(), xhrctl("har", "1", check=0).out):
        check_hops(check_har(text), origin_raw)
        assert not any(secret in text for secret in SECRETS)


def test_a_request_that_fails_after_a_redirect_has_the_answer_and_its_end(xhrctl, xhr, origin_raw):
    origin_raw.reply(response(status="302 Found", fields=[("Location", "http://127.0.0.1:1/")]))
    xhr("-L", origin_raw.url(), check=7)
    first, last = check_har(xhrctl("har", "1", check=0).out)
    assert first["response"]["status"] == 302 and "_error" not in first
    assert last["response"]["status"] == 0 and last["_error"]
    assert last["request"]["url"] == "http://127.0.0.1:1/"


def test_bytes_of_an_answer_on_the_way_are_not_those_of_the_end(xhrctl, xhr, origin_raw, origin_raw2):
    whole = {"/whole": response(b"x" * 100, status="302 Found", fields=[("Location", "/to")]),
             "/chunked": b"HTTP/1.1 302 x\r\nLocation: /to\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"64\r\n" + b"y" * 100 + b"\r\n0\r\n\r\n",
             "/long": response(b"x" * 200_000, status="302 Found", fields=[("Location", "/to")]),
             "/to": response(b"hello")}
    origin_raw.answer = lambda request: whole[request.target]
    for number, path in enumerate(("/whole", "/chunked", "/long"), 1):
        run = xhr("-o", "/dev/null", "-w", "%{size_download}", origin_raw.url(path), check=0)
        assert run.out == "5"
        assert check_har(xhrctl("har", number, check=0).out)[-1]["response"]["bodySize"] == 5

    def hold(connection):
        connection.request()
        connection.send(b"HTTP/1.1 302 x\r\nLocation: /to\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)
        connection.wait_gone()
    origin_raw2.script = hold
    run = xhr("-m", "0.1", "-o", "/dev/null", "-w", "%{size_download}", origin_raw2.url("/held"), check=28)
    assert run.out == "0"
    last = check_har(xhrctl("har", 4, check=0).out)[-1]
    assert (last["response"]["status"], last["response"]["bodySize"]) == (0, 0)
    origin_raw.reply(response(b"x" * 100, status="302 Found", fields=[("Location", "http://127.0.0.1:1/")]))
    xhr(origin_raw.url("/refused"), check=7)
    last = check_har(xhrctl("har", 5, check=0).out)[-1]
    assert (last["response"]["bodySize"], last["response"]["headersSize"]) == (0, -1)


def test_who_runs_in_circles_leaves_the_last_hops(xhrctl, xhr, client, origin_raw):
    """The history is bounded whatever a server does."""
    origin_raw.reply(response(status="302 Found", fields=[
        ("Location", "/"), *[(f"X-{i}", "y" * 900) for i in range(10)]]))
    xhr("-L", "--max-redirs", "40", origin_raw.url(), check=47)
    entries = check_har(xhrctl("har", "1", check=0).out)
    assert 5 < len(entries) < 41
    assert all(entry["response"]["status"] == 302 for entry in entries[:-1])
    assert entries[-1]["_error"] == "too many redirects"


def test_har_of_tls_tells_how_long_the_handshake_took(xhrctl, xhr, make_tls_origin, ca):
    tls = make_tls_origin("localhost")
    xhr("--cacert", ca.pem, tls.url(host="localhost"), check=0)
    entry, = check_har(xhrctl("har", "1", check=0).out)
    assert entry["timings"]["ssl"] > 0 and entry["_tls"].startswith("TLSv1.")


@as_root
def test_ip03_another_users_request_is_as_none(machine, origin_raw):  # noqa: F811
    origin_raw.reply(response(b"hi"))
    with client_of(machine, ANN) as ann, client_of(machine, BOB) as bob, machine.client() as root:
        assert ann.fetch(origin_raw.url()).done
        told = [who._command("admin", topic=admin_pb2.ADMIN_TOPIC_HISTORY, request=number)[-1]
                for who, number in ((ann, 1), (root, 1), (bob, 1), (bob, 77))]
        assert told[0].record.uid == told[1].record.uid == ANN
        for reply in told[2:]:
            reply.command_id = 0
        assert told[2] == told[3] and told[2].HasField("failure")


# ---- profiles ---------------------------------------------------------------------------------

def test_profiles_are_apart_on_the_command_line(xhrctl, xhr, origin_raw):
    origin_raw.reply(response(b"in", fields=[("Set-Cookie", "who=work; Max-Age=900")]))
    xhr("--profile", "work", origin_raw.url(), check=0)
    origin_raw.reply(response(b"hi"))
    xhr(origin_raw.url(), check=0)
    xhr("--profile", "work", origin_raw.url(), check=0)
    assert [r.get("Cookie") for r in origin_raw.requests] == [None, None, "who=work"]
    assert origin_raw.requests[0].connection != origin_raw.requests[1].connection
    assert origin_raw.requests[0].connection == origin_raw.requests[2].connection
    assert "who" in xhrctl("--profile", "work", "cookies", "list", check=0).out
    assert "who" not in xhrctl("cookies", "list", check=0).out
    rows = json.loads(xhrctl("show", "pools", "--json", check=0).out)
    assert {row["profile"] for row in rows} == {"", "work"}
    for program in (xhr, xhrctl):
        for wrong in ("", "Work", "a/b", "x" * 32):
            run = program("--profile", wrong, "status" if program is xhrctl else origin_raw.url())
            assert run.status == 2 and "--profile" in run.err and "wants 1 to 31" in run.err
