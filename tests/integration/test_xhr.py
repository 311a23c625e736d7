# SPDX-License-Identifier: MIT
"""The command line client end to end: curl's habits, its exit codes, and the events of XHR."""
import json
import os
import pty
import signal
import subprocess

import pytest
from origins import response
from stages import STAGES, held_at
from waiting import wait_until

pytestmark = pytest.mark.shallow


def events_of(run):
    return [json.loads(line) for line in run.err.strip().split("\n")]


# ---- the main job

def test_one_process_logs_in_and_a_later_one_is_logged_in(xhr, origin_nginx, ca):
    nginx = origin_nginx
    before = len(nginx.log())
    trust = ("--cacert", ca.pem)
    assert xhr(*trust, nginx.url("/account"), check=0).out == "hello, nobody\n"
    assert xhr(*trust, "-d", "user=ann", nginx.url("/login"), check=0).out == "welcome, ann\n"
    assert xhr(*trust, nginx.url("/account"), check=0).out == "hello, ann\n"
    rows = nginx.log()[before:]
    assert len({connection for connection, *_ in rows}) == 1, "one connection for all three"
    assert [number for _, number, *_ in rows] == ["1", "2", "3"]


def test_jars_keep_logins_apart(xhr, origin_nginx):
    account = origin_nginx.plain_url("/account")
    xhr("--jar", "work", origin_nginx.plain_url("/login"), check=0)
    assert xhr("--jar", "work", account, check=0).out == "hello, ann\n"
    assert xhr(account, check=0).out == "hello, nobody\n"
    assert xhr("--jar", "none", account, check=0).out == "hello, nobody\n"


def test_events_come_in_order_and_end_with_one_load(xhr, origin_nginx, ca):
    run = xhr("-s", "--events", "--cacert", ca.pem, origin_nginx.url("/hello"), check=0)
    events = events_of(run)
    names = [e["event"] for e in events]
    states = [e["state"] for e in events if e["event"] == "readystate"]
    assert states == [1, 2, 3, 4]
    assert names[0] == "open" and names[-1] == "load"
    assert names.count("load") == 1 and not {"error", "abort"} & set(names)
    assert names.index("head") < names.index("data") < names.index("timing")
    assert "tls" in names
    assert sum(e["bytes"] for e in events if e["event"] == "data") == len(run.stdout) == 6
    times = [e["monotonic_us"] for e in events]
    assert times == sorted(times) and times[0] > 0


def test_events_of_a_redirect_name_the_next_hop(xhr, origin_nginx):
    run = xhr("-s", "--events", origin_nginx.plain_url("/away"), check=0)
    redirects = [e for e in events_of(run) if e["event"] == "redirect"]
    assert [(e["status"], e["url"]) for e in redirects] == [(302, origin_nginx.plain_url("/account"))]


def test_every_answer_on_the_way_is_shown_as_curl_shows_it(xhr, origin_apache, folder):
    """A login by Digest: the 401, then what it was for."""
    url = origin_apache.url()
    login = ("--digest", "-u", "ali:open sesame")
    run = xhr("-s", "-i", *login, url, check=0)
    first, second, body = run.out.split("\r\n\r\n")
    assert first.startswith("HTTP/1.1 401 ") and "WWW-Authenticate: Digest" in first
    assert (second.split()[1], body) == ("200", "private\n")


def test_verbose_tells_of_every_hop(xhr, origin_raw):
    origin_raw.replies(response(b"m", status="302 Found", fields=[("Location", "/b"), ("X-Esc", "\x1b[2J")]),
                       response(b"m", status="307 Go", fields=[("Location", "/c")]), response(b"end"))
    run = xhr("-s", "-v", "--events=log", origin_raw.url("/a"), check=0)
    lines = run.err.splitlines()
    assert [line for line in lines if line.startswith(("> GET", "< HTTP", "* Redirect"))] == [
        "> GET /a HTTP/1.1", "< HTTP/1.1 302 Found", f"* Redirect 302: GET {origin_raw.url('/b')}",
        "> GET /b HTTP/1.1", "< HTTP/1.1 307 Go", f"* Redirect 307: GET {origin_raw.url('/c')}",
        "> GET /c HTTP/1.1", "< HTTP/1.1 200 OK"]
    assert "\x1b" not in run.err
    log = [json.loads(line) for line in (xhr.folder / "log").read_text().splitlines()]
    told = [(e["event"], e["status"], e["url"]) for e in log if e["event"] in ("hop", "redirect", "head")]
    assert told == [("hop", 302, origin_raw.url("/a")), ("redirect", 302, origin_raw.url("/b")),
                    ("hop", 307, origin_raw.url("/b")), ("redirect", 307, origin_raw.url("/c")),
                    ("head", 200, origin_raw.url("/c"))]


def test_heads_of_hops_are_not_written_twice_by_another_try(xhr, origin_raw):
    origin_raw.replies(response(b"m", status="302 Found", fields=[("Location", "/b")]),
                       response(b"busy", status="503 Busy"),
                       response(b"m", status="302 Found", fields=[("Location", "/b")]), response(b"end"))
    run = xhr("-s", "-i", "--retry", "1", "--retry-delay", "0.01", origin_raw.url("/a"), check=0)
    assert [line.split()[1] for line in run.out.splitlines() if line.startswith("HTTP/")] == ["302", "200"]


def test_events_go_to_a_file(xhr, origin_raw, folder):
    assert xhr(f"--events={folder}/log", origin_raw.url(), check=0).err == ""
    assert [json.loads(line) for line in (folder / "log").read_text().splitlines()][-1]["event"] == "load"


def test_second_process_reports_the_reused_connection(xhr, origin_raw):
    infos = []
    for _ in range(2):
        events = events_of(xhr("-s", "--events", origin_raw.url(), check=0))
        infos.append([e for e in events if e["event"] == "head"][0]["connection"])
    assert [i["reused"] for i in infos] == [False, True]
    assert infos[0]["id"] == infos[1]["id"]


# ---- exit codes (test_exit_codes.py has them all)

def test_exit_60_for_a_certificate_nobody_vouches_for_and_k_lets_it_pass(xhr, origin_tls):
    assert xhr(origin_tls.url(), check=60).err.count("\n") == 1
    assert xhr("-k", origin_tls.url(), check=0).out == "hello\n"
    assert xhr(origin_tls.url(), check=60)


@pytest.mark.parametrize("stage", [s for s in STAGES if s not in ("send", "queue")])
def test_exit_28_when_the_time_is_over(xhr, client, origin_raw, stage):
    with held_at(stage, client, origin_raw) as other:
        url = (f"http://127.0.0.1:{origin_raw.port}/" if stage != "connect" else None)
        if stage == "tls":
            url = url.replace("http", "https")
        if url:
            assert xhr("-m", "0.3", url, check=28).err.startswith("xhr: ")
        client.abort(other)
        client.finish(other)


def test_fail_writes_no_body_and_fail_with_body_does(xhr, origin_raw):
    origin_raw.reply(response(b"sorry", status="500 Oops"))
    assert xhr("-f", origin_raw.url(), check=22).out == ""
    assert xhr("--fail-with-body", origin_raw.url(), check=22).out == "sorry"
    assert xhr(origin_raw.url(), check=0).out == "sorry"


def test_silence_hides_the_error_and_S_shows_it(xhr):
    assert xhr("-s", "http://127.0.0.1:1/", check=7).err == ""
    assert xhr("-sS", "http://127.0.0.1:1/", check=7).err != ""


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["-Z"], ["--max-time", "soon"], ["-m"],
                                       ["-d", "x", "-T", "y"], ["--http3"], ["--jar", "../x"],
                                       ["-H", "no colon"], ["--resolve", "nonsense"],
                                       ["--connect-timeout=-1"]])
def test_unknown_and_malformed_flags_are_usage_errors_and_never_ignored(xhr, origin_raw, arguments):
    run = xhr(*arguments, origin_raw.url(), check=2)
    assert run.err.startswith("xhr: ") and run.err.count("\n") == 1
    assert not origin_raw.requests


# ---- requests and bodies

def test_data_makes_a_form_post(xhr, origin_raw):
    xhr("-d", "a=1", "-d", "b=2", origin_raw.url(), check=0)
    request = origin_raw.requests[0]
    assert (request.method, request.body) == ("POST", b"a=1&b=2")
    assert request.get("Content-Type") == "application/x-www-form-urlencoded"


def test_json_sets_type_and_accept(xhr, origin_raw):
    xhr("--json", '{"a":1}', origin_raw.url(), check=0)
    request = origin_raw.requests[0]
    assert (request.method, request.body) == ("POST", b'{"a":1}')
    assert request.get("Content-Type") == request.get("Accept") == "application/json"


def test_binary_data_from_a_file_and_from_stdin_is_unchanged(xhr, origin_raw, folder):
    data = os.urandom(200_000) + b"\r\n\0"
    (folder / "data").write_bytes(data)
    xhr("--data-binary", f"@{folder}/data", origin_raw.url(), check=0)
    xhr("--data-binary", "@-", origin_raw.url(), input=data, check=0)
    assert [r.body for r in origin_raw.requests] == [data, data]


def test_headers_are_added_replaced_removed_and_emptied(xhr, origin_raw):
    xhr("-H", "X-One: 1", "-H", "User-Agent: me/1", "-H", "Accept:", "-H", "X-Empty;",
        origin_raw.url(), check=0)
    request = origin_raw.requests[0]
    assert request.get("X-One") == "1" and request.get("User-Agent") == "me/1"
    assert request.get("Accept") is None and request.get("X-Empty") == ""


def test_method_head_get_with_data_and_range(xhr, origin_raw):
    xhr("-X", "DELETE", origin_raw.url("/d"), check=0)
    xhr("-I", origin_raw.url("/h"), check=0)
    xhr("-G", "-d", "q=1", origin_raw.url("/g"), check=0)
    xhr("-r", "0-1", origin_raw.url("/r"), check=0)
    seen = [(r.method, r.target, r.get("Range")) for r in origin_raw.requests]
    assert seen == [("DELETE", "/d", None), ("HEAD", "/h", None), ("GET", "/g?q=1", None),
                    ("GET", "/r", "bytes=0-1")]


def test_basic_credentials(xhr, origin_nginx):
    url = origin_nginx.plain_url("/private")
    assert xhr("-u", "ali:open sesame", url, check=0).out == "treasure\n"
    assert xhr("-f", "-u", "ali:wrong", url, check=22)


def test_resolve_and_connect_to_lead_elsewhere(xhr, origin_raw):
    port = origin_raw.port
    xhr("--resolve", f"a.example:{port}:127.0.0.1", f"http://a.example:{port}/", check=0)
    xhr("--connect-to", f"b.example:80:127.0.0.1:{port}", "http://b.example/", check=0)
    assert [r.get("Host") for r in origin_raw.requests] == [f"a.example:{port}", "b.example"]


def test_redirects_are_followed_unless_told_not_to(xhr, origin_nginx):
    url = origin_nginx.plain_url("/away")
    assert xhr(url, check=0).out.startswith("hello, ")
    assert "302" in xhr("-i", "--no-location", url, check=0).out


def test_referer_after_a_redirect_tells_no_password_and_does_not_leave_https(xhr, origin_raw, origin_tls, ca):
    origin_tls.replies(response(status="302 F", fields=[("Location", "/b")]),
                       response(status="302 F", fields=[("Location", origin_raw.url("/c"))]))
    url = origin_tls.url("/a").replace("//", "//ali:pw@")
    xhr("-e", ";auto", "--cacert", ca.pem, url, check=0)
    assert [r.get("Referer") for r in origin_tls.requests] == [None, origin_tls.url("/a")]
    assert [(r.target, r.get("Referer")) for r in origin_raw.requests] == [("/c", None)]


# ---- output

def test_output_to_files_and_their_names(xhr, origin_raw, folder):
    xhr("-o", "one", origin_raw.url(), check=0)
    xhr("-O", origin_raw.url("/dir/two"), check=0)
    xhr("--output-dir", folder, "-o", "three", origin_raw.url(), check=0)
    assert [(folder / n).read_text() for n in ("one", "two", "three")] == ["hello\n"] * 3


def test_included_and_dumped_headers(xhr, origin_raw, folder):
    run = xhr("-i", "-D", "head", origin_raw.url(), check=0)
    assert run.out.startswith("HTTP/1.1 200 OK\r\n") and run.out.endswith("\r\n\r\nhello\n")
    assert (folder / "head").read_text().startswith("HTTP/1.1 200")


def test_write_out_variables(xhr, origin_raw):
    run = xhr("-s", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{url_effective}\\n",
              origin_raw.url("/x"), check=0)
    assert run.out == f"200 6 {origin_raw.url('/x')}\n"


def test_several_urls_go_one_after_another_over_one_connection(xhr, origin_raw):
    assert xhr(*(origin_raw.url(f"/{n}") for n in range(5)), check=0).out == "hello\n" * 5
    assert [r.target for r in origin_raw.requests] == [f"/{n}" for n in range(5)]
    assert len(origin_raw.connections) == 1


def test_big_body_arrives_whole(xhr, origin_nginx, ca):
    data = os.urandom(8 << 20)
    origin_nginx.write("big", data)
    assert xhr("-s", "--cacert", ca.pem, origin_nginx.url("/big"), check=0).stdout == data


def test_reader_that_leaves_is_a_write_error_and_no_signal(xhr, origin_nginx):
    origin_nginx.sparse("long", 64 << 20)
    run = xhr.start("-s", origin_nginx.plain_url("/long"))
    run.stdout.read(1000)
    run.stdout.close()
    assert run.wait(20) == 23
    run.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_aborts_the_request_and_leaves_no_partial_file(xhr, client, origin_raw, folder, number):
    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
        connection.wait_gone()

    origin_raw.script = script
    run = xhr.start("-o", "partial", origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the answer to be begun")
    run.send_signal(number)
    run.communicate(timeout=20)
    assert run.returncode in (42, -number, 128 + number)
    assert not [name for name in os.listdir(folder) if "partial" in name or ".xhr" in name]
    assert origin_raw.connections[0].closed.wait(20)
    assert client.status().requests_active == 0


def test_progress_bar_shows_on_a_terminal_only(xhr, origin_raw, folder):
    """With -# at once; its output is a terminal's, not a file's."""
    origin_raw.reply(response(bytes(500_000)))
    ours, theirs = pty.openpty()
    run = xhr.start("-#", "-o", "x", origin_raw.url())
    _, err = run.communicate(timeout=20)
    assert run.returncode == 0
    shown = subprocess.Popen([str(xhr.path), "-#", "-o", "y", origin_raw.url()], cwd=folder,
                             env={**xhr.env, "TERM": "xterm", "COLUMNS": "80"},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    assert shown.wait(20) == 0
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:
        pass
    os.close(ours)
    assert b"100" in text and text.endswith(b"\n")


def test_help_and_version_say_something_and_exit_0(xhr):
    assert "--cacert" in xhr("--help", check=0).out
    assert xhr("--version", check=0).out.startswith("xhr ")


def test_password_is_not_in_the_process_list(xhr, client, origin_raw):
    origin_raw.script = lambda connection: (connection.request(), connection.wait_gone())
    run = xhr.start("-u", "ali:open-sesame", origin_raw.url())
    wait_until(lambda: origin_raw.requests, "the request")
    with open(f"/proc/{run.pid}/cmdline", "rb") as cmdline:
        assert b"sesame" not in cmdline.read()
    run.terminate()
    run.communicate(timeout=20)


def test_program_loads_libc_and_protobuf_at_most(xhr, xhrctl):
    for program, more in ((xhr, set()), (xhrctl, {"libsqlite3.so.0"})):  # of browsers' stores
        out = subprocess.run(["readelf", "-dW", str(program.path)], capture_output=True, text=True,
                             check=True).stdout
        needed = {line.split("[")[1].rstrip("]") for line in out.split("\n") if "(NEEDED)" in line}
        needed -= {n for n in needed if n.startswith(("libasan", "libubsan", "libtsan"))}
        assert needed <= {"libc.so.6", "libprotobuf-c.so.1", "libxhr.so.0"} | more, needed
