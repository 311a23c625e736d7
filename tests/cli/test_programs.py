#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""xhr and xhrctl against a daemon that the test plays: what they ask for, what they make of the
answer, how they end."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import threading
import unittest

from fake_daemon import (Daemon, Program, admin_pb2, answer, cookie_pb2, failure_pb2, fetch_pb2)
from waiting import wait_until

URL = "http://example.test/"


def run(*arguments, script=None, feed=None, **environment):
    """One run of xhr. Return: the run, and the requests that the daemon got."""
    with Daemon(script) as daemon:
        done = Program("xhr", daemon, **environment)(*arguments, feed=feed)
        return done, daemon.requests


def headers_of(request):
    return {h.name.decode(): h.value.decode() for h in request.headers}


def events_of(done):
    return [json.loads(line) for line in done.err.strip().split("\n")]


def on_a_terminal(program, *arguments, of_out=False):
    """Run with standard error, or standard output too, on a terminal. Return: status, what it showed."""
    ours, theirs = pty.openpty()
    more = {"stderr": theirs, "stdout": theirs if of_out else subprocess.DEVNULL}
    process = program.start(*arguments, **more)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(30), shown


class Requests(unittest.TestCase):
    def request(self, *arguments, feed=None, code=0):
        done, requests = run(*arguments, feed=feed)
        self.assertEqual(done.status, code, done)
        return requests[0]

    def test_a_url_is_a_get_with_cookies_and_redirects(self):
        request = self.request(URL)
        self.assertEqual((request.method, request.url), (b"GET", URL.encode()))
        self.assertEqual(request.redirect, fetch_pb2.REDIRECT_MODE_FOLLOW)
        self.assertEqual(request.cookies, fetch_pb2.COOKIE_MODE_SEND_AND_STORE)
        self.assertFalse(request.HasField("body"))

    def test_a_url_without_scheme_is_http(self):
        self.assertEqual(self.request("example.test/x").url, b"http://example.test/x")

    def test_data_is_a_form_post_and_get_moves_it_to_the_query(self):
        request = self.request("-d", "a=1", "-d", "b=2", URL)
        self.assertEqual((request.method, request.body.inline_bytes), (b"POST", b"a=1&b=2"))
        self.assertEqual(headers_of(request)["Content-Type"], "application/x-www-form-urlencoded")
        request = self.request("-G", "-d", "a=1", "--data-urlencode", "b= &", URL + "?c#d")
        self.assertEqual((request.method, request.url),
                         (b"GET", URL.encode() + b"?c&a=1&b=+%26#d"))
        self.assertFalse(request.HasField("body"))

    def test_an_empty_post_has_a_body_of_no_bytes(self):
        request = self.request("-d", "", URL)
        self.assertEqual(request.method, b"POST")
        self.assertTrue(request.HasField("body"))

    def test_json_sets_type_and_accept_unless_told(self):
        request = self.request("--json", "{}", URL)
        headers = headers_of(request)
        self.assertEqual((headers["Content-Type"], headers["Accept"]), ("application/json",) * 2)
        headers = headers_of(self.request("--json", "{}", "-H", "accept: a/b", "-H",
                                          "Content-Type: c/d", URL))
        self.assertEqual({n.lower(): v for n, v in headers.items()},
                         {"content-type": "c/d", "accept": "a/b"})

    def test_methods(self):
        self.assertEqual(self.request("-X", "DELETE", URL).method, b"DELETE")
        self.assertEqual(self.request("-I", URL).method, b"HEAD")
        self.assertEqual(self.request("-X", "PUT", "-d", "x", URL).method, b"PUT")
        self.assertEqual(self.request("-I", "-G", "-d", "x", URL).url, URL.encode() + b"?x")

    def test_headers_are_added_removed_and_emptied(self):
        request = self.request("-H", "X-One: 1", "-H", "X-Empty;", "-H", "Accept:", "-A", "me/1",
                               "-e", "http://from/", "-r", "0-4", "-b", "a=1", "-b", "b=2; c=3", URL)
        headers = headers_of(request)
        self.assertEqual(headers, {"X-One": "1", "X-Empty": "", "User-Agent": "me/1",
                                   "Referer": "http://from/", "Range": "bytes=0-4",
                                   "Cookie": "a=1; b=2; c=3"})
        self.assertEqual([n.lower() for n in request.suppressed_headers], [b"accept"])

    def test_an_empty_user_agent_is_none_and_H_goes_before_A(self):
        self.assertEqual([n.lower() for n in self.request("-A", "", URL).suppressed_headers],
                         [b"user-agent"])
        self.assertEqual(headers_of(self.request("-A", "a", "-H", "User-Agent: b", URL)),
                         {"User-Agent": "b"})

    def test_headers_come_from_a_file(self):
        request = self.request("-H", "@-", URL, feed=b"X-A: 1\r\n\r\nX-B;\nAccept:\n")
        self.assertEqual(headers_of(request), {"X-A": "1", "X-B": ""})
        done, _ = run("-H", "@-", URL, feed=b"X-A: 1\nnonsense\n")
        self.assertEqual(done.status, 2)
        self.assertIn("line 2", done.err)

    def test_fields_of_the_engine_and_broken_headers_are_refused(self):
        for header in ("Host: other", "Connection: close", "Transfer-Encoding: chunked", "A B: c",
                       "X: a\nY: b"):
            done, requests = run("-H", header, URL)
            self.assertEqual((done.status, requests), (2, []), header)
            self.assertEqual(done.err.count("\n"), 1, done)

    def test_options_of_login_tls_network_time_and_jar(self):
        with Daemon() as daemon:
            ca = daemon.folder / "ca.pem"
            ca.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
            done = Program("xhr", daemon)(
                "-u", "ann:a:b", "-k", "--cacert", ca, "--resolve", "a.test:443:127.0.0.1,[::1]",
                "--connect-to", "b.test:80:c.test:81", "-6", "--no-keepalive", "-m", "2.5",
                "--connect-timeout", "0", "--idle-timeout", "3", "--max-redirs", "7", "--raw",
                "--jar", "work", "--cache", URL)
            self.assertEqual(done.status, 0, done)
            request = daemon.requests[0]
        credentials = request.credentials
        self.assertEqual((credentials.user, credentials.password, credentials.preemptive),
                         (b"ann", b"a:b", True))
        self.assertTrue(request.tls.insecure and request.no_keep_alive and request.raw
                        and request.cache)
        self.assertIn(b"BEGIN CERTIFICATE", request.tls.ca_pem)
        network = request.network
        self.assertEqual(network.family, fetch_pb2.ADDRESS_FAMILY_IPV6)
        self.assertEqual((network.resolve[0].host, network.resolve[0].port,
                          list(network.resolve[0].addresses)), (b"a.test", 443, [b"127.0.0.1", b"::1"]))
        self.assertEqual((network.connect_to[0].host, network.connect_to[0].to_port), (b"b.test", 81))
        times = request.timeouts
        self.assertEqual((times.total_ms, times.connect_ms, times.idle_ms), (2500, 0, 3000))
        self.assertEqual((request.redirects_max, request.jar), (7, "work"))

    def test_redirects_can_be_stopped_and_counted(self):
        self.assertEqual(self.request("--no-location", URL).redirect, fetch_pb2.REDIRECT_MODE_STOP)
        self.assertEqual(self.request("--max-redirs", "0", URL).redirects_max, 0)
        self.assertGreater(self.request("--max-redirs", "-1", URL).redirects_max, 100_000)

    def test_what_goes_along_with_redirects(self):
        self.assertFalse(self.request(URL).HasField("redirect_options"))
        options = self.request("--location-trusted", "--post301", "--post303", URL).redirect_options
        self.assertEqual((options.trust_hosts, options.keep_post_301, options.keep_post_302,
                          options.keep_post_303, options.ask), (True, True, False, True, False))
        self.assertTrue(self.request("--post302", URL).redirect_options.keep_post_302)
        for flag in ("--location-trusted", "--post301", "--post302", "--post303"):
            done, requests = run("--no-location", flag, URL)
            self.assertEqual((done.status, requests), (2, []), flag)

    def test_jar_none_neither_sends_nor_stores(self):
        request = self.request("--jar", "none", URL)
        self.assertEqual((request.cookies, request.jar), (fetch_pb2.COOKIE_MODE_NONE, ""))

    def test_a_file_is_passed_as_a_descriptor_from_where_it_stands(self):
        seen = []

        def script(talk):
            self.assertEqual(len(talk.fds), 1)
            fd = talk.request.body.fd
            seen.append(os.pread(talk.fds[0], 1 << 20, fd.offset))
            answer()(talk)

        data = os.urandom(100_000)
        done, requests = run("--data-binary", "@-", URL, feed=data, script=script)
        self.assertEqual(done.status, 0, done)
        self.assertEqual(requests[0].body.WhichOneof("source"), "fd")
        self.assertEqual(requests[0].body.fd.length_bytes, len(data))
        self.assertEqual(seen, [data])

    def test_a_short_pipe_has_a_length_and_a_long_one_streams(self):
        for size in (5, 3 << 20):
            data = os.urandom(size)
            got = []

            def script(talk):
                body = talk.request.body
                kind = body.WhichOneof("source")
                got.append((kind, talk.take_body() if kind == "stream" else body.inline_bytes))
                answer()(talk)

            with Daemon(script) as daemon:
                process = Program("xhr", daemon).start("--data-binary", "@-", URL,
                                                       stdin=subprocess.PIPE)
                out, err = process.communicate(data, timeout=30)
            self.assertEqual((process.returncode, out), (0, b"hello\n"), err)
            self.assertEqual(got, [("stream" if size > 5 else "inline_bytes", data)])

    def test_several_urls_share_a_connection_and_the_last_decides(self):
        def script(talk):
            (answer(b"", 404) if talk.request.url.endswith(b"bad") else answer())(talk)

        with Daemon(script) as daemon:
            xhr = Program("xhr", daemon)
            self.assertEqual(xhr("-f", URL, URL + "bad").status, 22)
            self.assertEqual(xhr("-f", URL + "bad", URL).status, 0)
            self.assertEqual(len(daemon.hellos), 2)
            self.assertEqual(len(daemon.requests), 4)
            self.assertEqual({h.program for h in daemon.hellos}, {b"xhr"})

    def test_data_of_a_pipe_goes_to_every_url(self):
        with Daemon() as daemon:
            process = Program("xhr", daemon).start("--data-binary", "@-", URL, URL,
                                                   stdin=subprocess.PIPE)
            process.communicate(b"abc", timeout=30)
            self.assertEqual([r.body.inline_bytes for r in daemon.requests], [b"abc"] * 2)

    def test_password_does_not_stay_in_the_process_list(self):
        seen, is_started = [], threading.Event()

        def script(talk):
            is_started.wait(30)  # it may ask before start() has returned here
            seen.append(pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes())
            answer()(talk)

        with Daemon(script) as daemon:
            process = Program("xhr", daemon).start("-u", "ann:secret", URL)
            is_started.set()
            process.communicate(timeout=30)
            self.assertEqual(len(seen), 1)
            self.assertNotIn(b"secret", seen[0])
            self.assertEqual(daemon.requests[0].credentials.password, b"secret")

    def test_without_colon_and_terminal_the_password_is_a_usage_error(self):
        with Daemon() as daemon:
            process = Program("xhr", daemon).start("-u", "ann", URL, start_new_session=True)
            _, err = process.communicate(timeout=30)
            self.assertEqual((process.returncode, daemon.requests), (2, []))
            self.assertIn(b"-u user:password", err)


    def ask(self, answer_bytes):
        """xhr -u ann on a terminal of its own, which answers. Return: exit code, what was shown."""
        with Daemon() as daemon:
            xhr = Program("xhr", daemon)
            pid, terminal = pty.fork()
            if pid == 0:
                os.execve(xhr.path, ["xhr", "-u", "ann", URL], xhr.environment)
            shown, answered = b"", False
            try:
                while part := os.read(terminal, 4096):
                    shown += part
                    if b"'ann': " in shown and not answered:
                        os.write(terminal, answer_bytes)
                        answered = True
            except OSError:  # the program has ended
                pass
            os.close(terminal)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return code, shown, [r.credentials.password for r in daemon.requests]

    def test_the_password_is_asked_for_without_echo(self):
        code, shown, passwords = self.ask(b"s3cret\n")
        self.assertEqual((code, passwords), (0, [b"s3cret"]))
        self.assertNotIn(b"s3cret", shown)
        self.assertIn(b"hello", shown)

    def test_an_interrupt_at_the_question_sends_nothing(self):
        code, _, passwords = self.ask(b"\x03")
        self.assertEqual((code, passwords), (42, []))


class Failures(unittest.TestCase):
    CODES = {
        "ARGUMENT": 2, "URL": 3, "POLICY": 101, "QUOTA": 102, "DNS": 6, "CONNECT": 7, "PROXY": 5,
        "TLS": 35, "TLS_VERIFY": 60, "TLS_VERSION": 35, "TLS_PIN": 90, "TLS_STATUS": 91, "TLS_VERDICT": 60, "TIMEOUT_CONNECT": 28,
        "TIMEOUT_IDLE": 28, "TIMEOUT_TOTAL": 28, "SEND": 55, "RECEIVE": 56, "EMPTY_REPLY": 52,
        "PROTOCOL": 8, "TRUNCATED": 18, "LIMIT": 63, "CODING": 61, "REDIRECT": 47, "REWIND": 65,
        "BODY_READ": 26, "WRITE": 23, "COOKIE_STORE": 23, "ABORTED": 42, "SHUTDOWN": 100,
        "INTERNAL": 27,
    }

    def test_every_failure_of_the_wire_has_its_exit_code_and_one_line(self):
        names = {n.removeprefix("FAILURE_KIND_") for n in failure_pb2.FailureKind.keys()}
        self.assertEqual(names - {"UNSPECIFIED"}, set(self.CODES))
        with Daemon() as daemon:
            xhr = Program("xhr", daemon)
            for kind, code in self.CODES.items():
                daemon.script = lambda talk, kind=kind: talk.fail(kind)
                done = xhr(URL)
                self.assertEqual(done.status, code, (kind, done))
                self.assertTrue(done.err.startswith(f"xhr: ({code}) "), done)
                self.assertEqual(done.err.count("\n"), 1, done)
                self.assertEqual(xhr("-s", URL).err, "")
                self.assertEqual(xhr("-sS", URL).err, done.err)

    def test_text_of_the_daemon_cannot_move_the_cursor(self):
        done, _ = run(URL, script=lambda talk: talk.fail("DNS", b"no\x1b[2J\nsuch"))
        self.assertNotIn("\x1b", done.err)
        self.assertEqual(done.err.count("\n"), 1, done)

    def test_no_daemon_is_exit_100_and_stops_the_rest(self):
        done = Program("xhr")("--socket", "/nonexistent/socket", "--no-start", URL, URL)
        self.assertEqual(done.status, 100)
        self.assertEqual(done.err.count("\n"), 1, done)

    def test_a_daemon_that_leaves_in_the_middle_is_exit_100(self):
        def script(talk):
            talk.head()
            talk.data(b"half")
            return "leave"

        done, _ = run(URL, script=script)
        self.assertEqual((done.status, done.out), (100, b"half"), done)

    def test_usage_errors_ask_nothing_of_the_daemon(self):
        for arguments in (["--frobnicate", URL], ["-m", "soon", URL], [], ["-w", "%{nope}", URL],
                          ["-d", "@/nonexistent/x", URL], ["--cacert", "/nonexistent/x", URL],
                          ["--cacert", "/dev/null", URL], ["-X", "A B", URL]):
            done, requests = run(*arguments)
            self.assertNotEqual(done.status, 0, arguments)
            self.assertEqual(requests, [], arguments)
            self.assertEqual(done.err.count("\n"), 1, done)

    def test_fail_hides_the_body_of_an_error_and_fail_with_body_does_not(self):
        script = answer(b"sorry", 500)
        done, _ = run("-f", URL, script=script)
        self.assertEqual((done.status, done.out), (22, b""))
        self.assertIn("500", done.err)
        done, _ = run("--fail-with-body", URL, script=script)
        self.assertEqual((done.status, done.out), (22, b"sorry"))
        done, _ = run(URL, script=script)
        self.assertEqual((done.status, done.out, done.err), (0, b"sorry", ""))

    def test_fail_does_not_wait_for_an_error_without_end(self):
        def endless(talk):
            talk.head(500)
            talk.data(bytes(200_000))
            talk.wait_gone()

        def silent(talk):
            talk.head(503)
            talk.wait_gone()

        for script in (endless, silent):
            done, _ = run("-f", URL, script=script)
            self.assertEqual((done.status, done.out), (22, b""), done)
            self.assertEqual(done.err.count("\n"), 1, done)


class Outputs(unittest.TestCase):
    def test_body_goes_to_stdout_and_to_files(self):
        with Daemon() as daemon:
            xhr, folder = Program("xhr", daemon), daemon.folder
            self.assertEqual(xhr(URL).out, b"hello\n")
            self.assertEqual(xhr("-o", "-", URL).out, b"hello\n")
            self.assertEqual(xhr("-o", "one", "-O", URL, URL + "dir/two?x").out, b"")
            (folder / "sub").mkdir()
            self.assertEqual(xhr("--output-dir", "sub", "-o", "three", URL).status, 0)
            for name in ("one", "two", "sub/three"):
                self.assertEqual((folder / name).read_bytes(), b"hello\n")

    def test_a_big_body_arrives_whole(self):
        data = os.urandom(5 << 20)

        def script(talk):
            talk.head()
            credit = talk.request.response_credit_bytes
            for start in range(0, len(data), 65536):
                while credit < 65536:
                    credit += talk.receive()[1].bytes
                talk.data(data[start:start + 65536])
                credit -= 65536
            talk.done(len(data))

        done, _ = run("-s", URL, script=script)
        self.assertEqual((done.status, done.out == data), (0, True))

    def test_an_empty_body_makes_an_empty_file_and_a_failure_none(self):
        with Daemon(answer(b"")) as daemon:
            xhr, folder = Program("xhr", daemon), daemon.folder
            xhr("-o", "empty", URL)
            self.assertEqual((folder / "empty").read_bytes(), b"")
            (folder / "old").write_text("old")
            daemon.script = lambda talk: talk.fail("CONNECT")
            self.assertEqual(xhr("-o", "new", URL).status, 7)
            self.assertEqual(xhr("-o", "old", URL).status, 7)
            self.assertFalse((folder / "new").exists())
            self.assertEqual((folder / "old").read_text(), "old")
            daemon.script = answer(b"sorry", 404)
            self.assertEqual(xhr("-f", "-o", "new", URL).status, 22)
            self.assertFalse((folder / "new").exists())

    def test_what_cannot_be_written_is_exit_23(self):
        with Daemon() as daemon:
            xhr = Program("xhr", daemon)
            for arguments in (["-o", "/nonexistent/x", URL], ["-o", "/dev/full", URL], ["-O", URL],
                              ["-D", "/nonexistent/x", URL], ["--events=/nonexistent/x", URL],
                              ["--events=/dev/full", URL]):
                done = xhr(*arguments)
                self.assertEqual(done.status, 23, (arguments, done))
                self.assertEqual(done.err.count("\n"), 1, done)
            with open("/dev/full", "wb") as full:
                for arguments in ([URL], ["-o", "/dev/null", "-w", "x", URL], ["--help"]):
                    process = xhr.start(*arguments, stdout=full)
                    process.communicate(timeout=30)
                    self.assertEqual(process.returncode, 23, arguments)

    def test_a_reader_that_leaves_is_exit_23_and_no_signal(self):
        def script(talk):
            talk.head()
            talk.data(bytes(1 << 20))
            talk.wait_gone()

        with Daemon(script) as daemon:
            process = Program("xhr", daemon).start(URL)
            process.stdout.read(100)
            process.stdout.close()
            self.assertEqual(process.wait(30), 23)
            process.stderr.close()

    def test_headers_are_included_and_dumped(self):
        fields = [(b"Server", b"x"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
        head = b"HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
        with Daemon(answer(fields=fields)) as daemon:
            xhr = Program("xhr", daemon)
            self.assertEqual(xhr("-i", URL).out, head + b"hello\n")
            self.assertEqual(xhr("-D", "-", "-o", "/dev/null", URL).out, head)
            self.assertEqual(xhr("-D", "head", URL, URL).out, b"hello\n" * 2)
            self.assertEqual((daemon.folder / "head").read_bytes(), head * 2)
            daemon.script = answer(b"", fields=fields)
            self.assertEqual(xhr("-I", URL).out, head)

    def test_write_out_knows_curls_variables(self):
        timing = fetch_pb2.Timing(queued_us=1, name_lookup_us=2, connect_us=3000000, tls_us=4,
                                  sent_us=5, first_byte_us=6, total_us=1234567)

        def script(talk):
            talk.head(302, [(b"Location", b"../x"), (b"Content-Type", b"a/b")], redirects=1,
                      connection=fetch_pb2.ConnectionInfo(
                          connection_id=9, remote_address=b"1.2.3.4", remote_port=443,
                          local_address=b"4.3.2.1", local_port=7))
            talk.data(b"hello")
            talk.done(5, timing=timing, header_bytes=50, request_bytes=60, upload_bytes=0)

        formats = {
            "%{http_code} %{response_code}%%\\n": "302 302%\n",
            "%{size_download} %{size_header} %{size_request} %{size_upload}": "5 50 60 0",
            "%{time_total} %{time_connect} %{time_namelookup}": "1.234567 3.000000 0.000002",
            "%{time_pretransfer} %{time_starttransfer}": "3.000000 0.000006",
            "%{url} %{urlnum} %{scheme}": "http://example.test/a/b 0 HTTP",
            "%{redirect_url}": "http://example.test/x",
            "%{content_type}|%header{location}|%header{none}": "a/b|../x|",
            "%{remote_ip} %{remote_port} %{local_ip} %{local_port}": "1.2.3.4 443 4.3.2.1 7",
            "%{num_connects} %{conn_id} %{num_headers} %{num_redirects}": "1 9 2 1",
            "%{http_version} %{method} %{exitcode}[%{errormsg}]": "1.1 GET 0[]",
            "%{speed_download}": "4",
            "%{onerror}hidden": "",
            "%{filename_effective}": "/dev/null",
            "a\\tb\\q%x": "a\tb\\q%x",
            "%{stderr}hidden%{stdout}shown": "shown",
        }
        with Daemon(script) as daemon:
            xhr = Program("xhr", daemon)
            for given, want in formats.items():
                done = xhr("-s", "--no-location", "-o", "/dev/null", "-w", given,
                           "http://example.test/a/b")
                self.assertEqual(done.out.decode(), want, given)
            done = xhr("-o", "/dev/null", "-w", "%{json}", URL)
            self.assertEqual(json.loads(done.out)["time_total"], 1.234567)
            self.assertEqual(json.loads(done.out)["http_code"], 302)
            done = xhr("-o", "/dev/null", "-w", "%{header_json}", URL)
            self.assertEqual(json.loads(done.out), {"location": ["../x"], "content-type": ["a/b"]})
            done = xhr("-o", "/dev/null", "-w", "@-", URL, feed=b"%{http_code}\\n")
            self.assertEqual(done.out, b"302\n")

    def test_write_out_of_a_failure_has_the_code_and_the_words(self):
        done, _ = run("-s", "-w", "%{http_code} %{exitcode} %{onerror}%{errormsg}", URL,
                      script=lambda talk: talk.fail("DNS", b"nobody"))
        self.assertEqual(done.status, 6)
        self.assertTrue(done.out.startswith(b"000 6 could not resolve"), done)

    def test_verbose_tells_what_was_sent_and_what_came(self):
        done, _ = run("-v", "-o", "/dev/null", URL + "x?y", script=answer(
            fields=[(b"A", b"b")], sent_headers=[fetch_pb2.Header(name=b"Host", value=b"h")]))
        for line in ("> GET /x?y HTTP/1.1", "> Host: h", "< HTTP/1.1 200 OK", "< A: b"):
            self.assertIn(line, done.err.replace("\r", "").split("\n"))

    def test_cookies_that_the_disk_did_not_take_are_told(self):
        def script(talk):
            talk.head()
            talk.done(cookies_not_persisted=True)

        done, _ = run(URL, script=script)
        self.assertEqual(done.status, 0)
        self.assertIn("memory only", done.err)

    def test_binary_does_not_go_to_a_terminal_unless_asked(self):
        with Daemon(answer(b"a\0b")) as daemon:
            xhr = Program("xhr", daemon)
            status, shown = on_a_terminal(xhr, URL, of_out=True)
            self.assertEqual(status, 23)
            self.assertNotIn(b"\0", shown)
            self.assertIn(b"-o -", shown)
            status, shown = on_a_terminal(xhr, "-o", "-", URL, of_out=True)
            self.assertEqual((status, shown), (0, b"a\0b"))

    def test_the_bar_is_for_terminals(self):
        def script(talk):
            talk.head(body_bytes=5)
            talk.data(b"hello")
            talk.say("progress", done_bytes=5, total_bytes=5, wire_bytes=5, monotonic_us=3)
            talk.done(5)

        with Daemon(script) as daemon:
            xhr = Program("xhr", daemon)
            status, shown = on_a_terminal(xhr, "-#", "-o", "/dev/null", URL)
            self.assertEqual(status, 0)
            self.assertIn(b"100.0%", shown)
            self.assertEqual(on_a_terminal(xhr, "-s", "-#", "-o", "/dev/null", URL), (0, b""))
            self.assertEqual(on_a_terminal(xhr, "-o", "/dev/null", URL), (0, b""), "it was quick")
            self.assertEqual(xhr("-#", "-o", "/dev/null", URL).err, "")

    def test_a_slow_transfer_shows_the_bar_by_itself(self):
        ours, theirs = pty.openpty()
        shown = []

        def script(talk):
            talk.head(body_bytes=10)
            talk.data(b"hello")
            shown.append(os.read(ours, 4096))  # goes on when the bar is there
            talk.data(b"world")
            talk.done(10)

        with Daemon(script) as daemon:
            process = Program("xhr", daemon).start("-o", "/dev/null", URL, stdout=subprocess.DEVNULL,
                                                   stderr=theirs)
            self.assertEqual(process.wait(30), 0)
        self.assertTrue(shown[0].startswith(b"\r"), shown)
        os.close(ours)
        os.close(theirs)


class Events(unittest.TestCase):
    def test_a_line_of_json_for_every_event_in_order(self):
        def script(talk):
            talk.say("ready_state", state=fetch_pb2.READY_STATE_OPENED,
                     reason=fetch_pb2.WAIT_REASON_DNS, monotonic_us=1)
            talk.say("redirected", status=302, url=b"http://b.test/", method=b"GET")
            talk.head(fields=[(b"X", b"\xff\x1b")], connection=fetch_pb2.ConnectionInfo(
                connection_id=4, reused=True, tls=fetch_pb2.TlsInfo(version=b"TLSv1.3", cipher=b"C")))
            talk.data(b"hello")
            talk.done(5, timing=fetch_pb2.Timing(total_us=7))

        done, _ = run("--events", "-o", "/dev/null", URL, script=script)
        events = events_of(done)
        names = [e["event"] for e in events if e["event"] != "progress"]
        self.assertEqual(names, ["open", "readystate", "waiting", "redirect", "readystate", "tls",
                                 "head", "readystate", "data", "readystate", "timing", "load"])
        self.assertEqual([e["state"] for e in events if e["event"] == "readystate"], [1, 2, 3, 4])
        by_name = {e["event"]: e for e in events}
        self.assertEqual(by_name["waiting"]["reason"], "dns")
        self.assertEqual(by_name["redirect"]["url"], "http://b.test/")
        self.assertEqual(by_name["head"]["headers"], [["X", "\ufffd\x1b"]])
        self.assertEqual(by_name["head"]["connection"]["id"], 4)
        self.assertEqual(by_name["data"]["bytes"], 5)
        self.assertEqual(by_name["timing"]["total_us"], 7)
        self.assertEqual(by_name["load"]["body_bytes"], 5)
        self.assertTrue(all(e["request"] == 1 and e["monotonic_us"] > 0 for e in events))

    def test_a_failure_ends_with_one_error(self):
        done, _ = run("-s", "--events", URL,
                      script=lambda talk: talk.fail("CONNECT", sys_errno=111))
        last = events_of(done)[-1]
        self.assertEqual((last["event"], last["class"], last["errno"], last["exit"]),
                         ("error", "connect", 111, 7))
        names = [e["event"] for e in events_of(done)]
        self.assertEqual(names.count("error") + names.count("load") + names.count("abort"), 1)

    def test_an_error_of_ours_is_an_error_too(self):
        done, _ = run("-s", "--events", "-o", "/dev/full", URL)
        last = events_of(done)[-1]
        self.assertEqual((last["event"], last["class"], last["exit"]), ("error", "write", 23))

    def test_status_400_is_a_load_and_with_f_an_error(self):
        script = answer(b"", 404)
        done, _ = run("-s", "--events", URL, script=script)
        self.assertEqual(events_of(done)[-1]["event"], "load")
        done, _ = run("-s", "--events", "-f", URL, script=script)
        self.assertEqual(events_of(done)[-1]["class"], "http-status")

    def test_events_go_to_a_file_and_count_urls(self):
        with Daemon() as daemon:
            done = Program("xhr", daemon)("--events=log", URL, URL)
            lines = (daemon.folder / "log").read_text().splitlines()
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertEqual([json.loads(lines[0])["request"], json.loads(lines[-1])["request"]], [1, 2])


class Signals(unittest.TestCase):
    def interrupt(self, number, *arguments, ignored=False):
        started = []

        def script(talk):
            talk.head()
            talk.data(b"part")
            started.append(talk)
            talk.wait_gone()
            if not talk.aborted:
                return
            talk.request = None

        with Daemon(script) as daemon:
            xhr = Program("xhr", daemon)
            process = xhr.start(*arguments, URL, preexec_fn=lambda: signal.signal(
                number, signal.SIG_IGN if ignored else signal.SIG_DFL))
            file = daemon.folder / "part"
            wait_until(lambda: started, "the file to be begun")
            self.assertIsNotNone(started[0].file)
            process.send_signal(number)
            if ignored:
                process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
            left = [name for name in os.listdir(daemon.folder) if "part" in name or "xhr" in name]
            self.assertEqual(left, [])
            return process.returncode, err.decode(), file.exists()

    def test_a_signal_aborts_and_leaves_no_partial_file(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            code, err, exists = self.interrupt(number, "-o", "part")
            self.assertEqual((code, exists), (42, False), err)
            self.assertEqual(err.count("\n"), 1)

    def test_events_end_with_an_abort(self):
        code, err, _ = self.interrupt(signal.SIGINT, "-s", "--events", "-o", "part")
        self.assertEqual((code, json.loads(err.strip().split("\n")[-1])["event"]), (42, "abort"))

    def test_what_nohup_ignores_stays_ignored(self):
        code, _, exists = self.interrupt(signal.SIGHUP, "-o", "part", ignored=True)
        self.assertEqual((code, exists), (42, False))  # by the SIGTERM behind it

    def test_a_reader_that_stalls_does_not_hold_the_signal(self):
        def script(talk):
            talk.head()
            talk.data(bytes(1 << 20))
            talk.wait_gone()

        with Daemon(script) as daemon:
            process = Program("xhr", daemon).start(URL)
            process.stdout.read(1)  # it writes now, and nobody reads on
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(30), 42)
            process.stdout.close()
            process.stderr.close()


class Control(unittest.TestCase):
    def control(self, *arguments, admin=None, cookie=None):
        with Daemon(admin=admin, cookie=cookie) as daemon:
            return Program("xhrctl", daemon)(*arguments)

    def test_status_for_people_and_for_programs(self):
        def admin(talk, command):
            self.assertEqual(command.topic, admin_pb2.ADMIN_TOPIC_STATUS)
            talk.say("admin", command_id=command.command_id, status=admin_pb2.Status(
                version=b"1.2", pid=77, uptime_s=3700, bytes_down=2048))

        out = self.control("status", admin=admin).out.decode()
        self.assertIn("1h01m", out)
        self.assertIn("2.0 KiB", out)
        row = json.loads(self.control("status", "--json", admin=admin).out)
        self.assertEqual((row["version"], row["pid"], row["uptime_s"]), ("1.2", 77, 3700))

    def test_listings_go_on_over_several_replies(self):
        rows = {
            "clients": ("clients", admin_pb2.ClientRow(client_id=5, program=b"a\x1bb")),
            "requests": ("requests", admin_pb2.RequestRow(request=5, url=b"http://a/")),
            "connections": ("connections", admin_pb2.ConnectionRow(connection_id=5, origin=b"o")),
            "pools": ("pools", admin_pb2.PoolRow(uid=5, origin=b"o")),
            "tls-sessions": ("tls_sessions", admin_pb2.TlsSessionRow(uid=5, origin=b"o",
                                                                     cipher=b"a\x1bb")),
        }
        for topic, (field, row) in rows.items():
            def admin(talk, command, field=field, row=row):
                for more in (True, False):
                    talk.say("admin", command_id=command.command_id, more=more, **{field: [row]})

            done = self.control("show", topic, admin=admin)
            self.assertEqual((done.status, done.out.count(b"\n")), (0, 3), done)
            self.assertNotIn(b"\x1b", done.out)
            listed = json.loads(self.control("show", topic, "--json", admin=admin).out)
            self.assertEqual([next(iter(r.values())) for r in listed], [5, 5])

    def test_known_hosts_are_listed_and_removed(self):
        def admin(talk, command):
            if command.topic == admin_pb2.ADMIN_TOPIC_HSTS:
                for name in (b"a.test", b"b\x1b.test"):
                    talk.say("admin", command_id=command.command_id, more=name == b"a.test",
                             hsts=[admin_pb2.HstsRow(host=name, expires_s=86400,
                                                     include_subdomains=True)])
            else:
                self.assertEqual(command.topic, admin_pb2.ADMIN_TOPIC_HSTS_REMOVE)
                known = command.host == b"a.test"
                talk.say("admin", command_id=command.command_id, removed=known,
                         not_persisted=known)

        out = self.control("hsts", "list", admin=admin).out
        self.assertIn(b"a.test", out)
        self.assertNotIn(b"\x1b", out)
        rows = json.loads(self.control("hsts", "list", "--json", admin=admin).out)
        self.assertEqual(rows[0], {"host": "a.test", "include_subdomains": True,
                                   "expires_s": 86400})
        self.assertEqual(len(rows), 2)
        done = self.control("hsts", "rm", "a.test", admin=admin)
        self.assertEqual(done.out,
                         b"1 host removed, from memory only: the disk did not take it\n")
        self.assertEqual(self.control("hsts", "rm", "b.test", admin=admin).out,
                         b"0 hosts removed\n")
        self.assertEqual(json.loads(self.control("hsts", "rm", "b.test", "--json",
                                                 admin=admin).out),
                         {"removed": 0, "not_persisted": False})

    def test_stored_answers_are_listed_and_removed(self):
        asked = []

        def admin(talk, command):
            asked.append((command.topic, command.host))
            if command.topic == admin_pb2.ADMIN_TOPIC_CACHE:
                talk.say("admin", command_id=command.command_id, cache=[
                    admin_pb2.CacheRow(url=b"http://a.test/\x1b", status=200, body_bytes=2048,
                                       age_s=age, lifetime_s=60, used_s=86400, vary=b"Accept")
                    for age in (5, 60)])
            else:
                talk.say("admin", command_id=command.command_id,
                         removed=1 if command.host else 2)

        out = self.control("cache", "show", admin=admin).out
        self.assertIn(b"2.0 KiB", out)
        self.assertNotIn(b"\x1b", out)
        rows = json.loads(self.control("cache", "show", "a.test", "--json", admin=admin).out)
        self.assertEqual(rows[0], {"url": "http://a.test/\x1b", "status": 200, "body_bytes": 2048,
                                   "age_s": 5, "lifetime_s": 60, "fresh": True, "used_s": 86400,
                                   "vary": "Accept"})
        self.assertFalse(rows[1]["fresh"])
        self.assertEqual(self.control("cache", "clear", admin=admin).out, b"2 answers removed\n")
        self.assertEqual(self.control("cache", "clear", "a.test", admin=admin).out,
                         b"1 answer removed\n")
        self.assertEqual(json.loads(self.control("cache", "clear", "--json", admin=admin).out),
                         {"removed": 2})
        self.assertEqual(asked, [(admin_pb2.ADMIN_TOPIC_CACHE, b""),
                                 (admin_pb2.ADMIN_TOPIC_CACHE, b"a.test"),
                                 (admin_pb2.ADMIN_TOPIC_CACHE_CLEAR, b""),
                                 (admin_pb2.ADMIN_TOPIC_CACHE_CLEAR, b"a.test"),
                                 (admin_pb2.ADMIN_TOPIC_CACHE_CLEAR, b"")])

    def test_a_refusal_of_the_daemon_is_told(self):
        def admin(talk, command):
            talk.say("admin", command_id=command.command_id, failure=failure_pb2.Failure(
                kind=failure_pb2.FAILURE_KIND_POLICY, text=b"not yours"))

        done = self.control("show", "clients", admin=admin)
        self.assertEqual(done.status, 101)
        self.assertIn("not yours", done.err)

    def test_no_daemon_is_said_and_none_is_started(self):
        done = Program("xhrctl")("--socket", "/nonexistent/socket", "status")
        self.assertEqual(done.status, 100)
        self.assertIn("no daemon at /nonexistent/socket: No such file", done.err)
        self.assertEqual(done.err.count("\n"), 1, done)

    def test_cookies_are_listed_with_values_hidden_on_a_terminal(self):
        def cookie(talk, command):
            self.assertEqual(command.WhichOneof("operation"), "list")
            talk.say("cookie", command_id=command.command_id, cookies=[cookie_pb2.Cookie(
                name=b"sid", value=b"s3cret", domain=b"a.test", path=b"/", secure=True,
                same_site=cookie_pb2.SAME_SITE_LAX, expires_s=0)])

        with Daemon(cookie=cookie) as daemon:
            xhrctl = Program("xhrctl", daemon)
            out = xhrctl("cookies", "list").out.decode()
            self.assertIn("s3cret", out)
            self.assertIn("Secure Lax", out)
            self.assertIn("1970-01-01T00:00:00Z", out)
            for more in ([], ["--json"]):
                status, shown = on_a_terminal(xhrctl, "cookies", "list", *more, of_out=True)
                self.assertEqual((status, b"s3cret" in shown, b"sid" in shown), (0, False, True))
            _, shown = on_a_terminal(xhrctl, "cookies", "list", "--values", of_out=True)
            self.assertIn(b"s3cret", shown)
            row = json.loads(xhrctl("cookies", "list", "--json").out)[0]
            self.assertEqual((row["value"], row["same_site"], row["secure"], row["expires_s"]),
                             ("s3cret", "Lax", True, 0))

    def test_cookies_are_cleared_by_jar_and_filter(self):
        commands = []

        def cookie(talk, command):
            commands.append(command)
            talk.say("cookie", command_id=command.command_id, changed=3)

        done = self.control("cookies", "clear", cookie=cookie)
        self.assertEqual(done.out, b"3 cookies removed\n")
        done = self.control("cookies", "clear", "--jar", "work", "--domain", "a.test", "--json",
                            cookie=cookie)
        self.assertEqual(json.loads(done.out), {"removed": 3, "not_persisted": False})
        self.assertEqual([c.WhichOneof("operation") for c in commands], ["remove"] * 2)
        self.assertEqual([c.jar for c in commands], ["", "work"])
        self.assertEqual([c.filter.domain for c in commands], [b"", b"a.test"])


if __name__ == "__main__":
    unittest.main()
