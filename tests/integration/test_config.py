# SPDX-License-Identifier: MIT
"""What the daemon is told: every mistake is refused with where it stands and what would be right."""
import os
import re
import signal

import pytest
from programs import XHRD, Program
from waiting import wait_until
from wire import SOURCE

pytestmark = pytest.mark.shallow


@pytest.fixture
def checked(folder):
    program = Program(XHRD, folder)

    def check(text, status=None):
        path = folder / "xhrd.conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return program("--config", path, "--check-config", check=status), path
    return check


def test_shipped_sample_is_right(checked):
    checked((SOURCE / "systemd/xhrd.conf").read_text(), 0)


def test_shipped_sample_with_every_line_in_force_is_right(checked):
    text = (SOURCE / "systemd/xhrd.conf").read_text()
    checked(re.sub(r"^#([A-Z]\w+=)", r"\1", text, flags=re.M), 0)


@pytest.mark.parametrize("text, line, says", [
    ("[Daemon]\nLogLevel=loud\n", 2, ["LogLevel", "debug"]),
    ("[Daemon]\nLogLevl=info\n", 2, ["LogLevl"]),
    ("[Deamon]\nLogLevel=info\n", 2, ["Deamon", "Daemon"]),
    ("[Network]\nLogLevel=info\n", 2, ["LogLevel", "[Daemon]"]),
    ("[Network]\nConnectTimeoutSec=-1\n", 2, ["ConnectTimeoutSec", "3600"]),
    ("[Network]\nConnectTimeoutSec=5 minutes\n", 2, ["ConnectTimeoutSec", "number"]),
    ("[Network]\nConnectionsPerHost=99999999999999999999\n", 2, ["ConnectionsPerHost"]),
    ("[Limits]\nQueuedBytesPerUser=16X\n", 2, ["QueuedBytesPerUser", "bytes"]),
    ("[Daemon]\nStateDirectory=relative\n", 2, ["StateDirectory", "absolute"]),
    ("[Daemon]\njust words\n", 2, []),
    ("[Daemon]\nLogLevel=" + "x" * 100_000 + "\n", 2, []),
    ("[TLS]\nCAFile=" + "/x" * 300 + "\n", 2, []),
    ("[TLS]\nCAFile=cert.pem\n", 2, ["CAFile", "absolute"]),
    ("[TLS]\nCAFile=/nowhere/ca.pem\n", 2, ["CAFile=/nowhere/ca.pem: No such file"]),
    ("[TLS]\nCAFile=/etc/passwd\n", 2, ["CAFile=/etc/passwd: no certificate in PEM"]),
    ("[TLS]\nCAFile=/etc\n", 2, ["CAFile=/etc: Is a directory"]),
    ("LogLevel=info\n", 1, ["LogLevel= stands before the first [Section]", "[Daemon]"]),
    ("[Daemon]\nLogLevel=info\nIdleExitSec=0\nLogLevel=err\n", 4,
     ["LogLevel= stands in line 2 already"]),
    ("[Daemon]\nLogLevel=info\n[Polcy]\n# nothing\n[Cache]\n", 3, ["[Polcy]", "[Policy]"]),
    ("[User]\n[Limit]\n", 2, ["[Limit]", "[Limits]"]),
    ("[User 7]\nMinimumTLSVersion=1.2\n[Policy]\n[User 7]\nMinimumTLSVersion=1.3\n", 5,
     ["MinimumTLSVersion= stands in line 2 already"]),
    ("[Policy]\nAllowInsecure=yes\nAllowInsecure=no\n", 3, ["stands in line 2 already"]),
    ('[Policy]\nDenyHosts="evil.example"\n', 2, ['DenyHosts="evil.example": wants names']),
    ("[Policy]\nAllowHosts=ok.example 10.0.0.0/8\n", 2, ["=10.0.0.0/8: ", "AllowNetworks="]),
    ("[Network]\nNoProxy=ok.example 10.0.0.0/33\n", 2, ["NoProxy=10.0.0.0/33: wants names"]),
    ("[Network]\nNoProxy=ok.example,*.ok.example ::1 <local>\n", 2, ["NoProxy=<local>: "]),
    ("[Network]\nNoProxy=" + "a.example " * 30 + "\n", 2, ["198 bytes", "more lines"]),
    ("[Cookies]\nSystemJarUse=ann @ bob\n", 2, ["SystemJarUse=ann @ bob: wants names"]),
    ("[Daemon]\nAdministrators=ann@wheel\n", 2, ["Administrators=ann@wheel: wants names"]),
    ("[Policy]\nCredential=a.example bearer /nowhere/token\n", 2,
     ["Credential=a.example: /nowhere/token: No such file"]),
    ("[Policy]\nCredential=a.example bearer x\nCredential=A.example:443 basic y\n", 3,
     ["Credential= for this host stands in line 2 already"]),
], ids=range(31))
def test_mistake_is_named_with_file_line_and_what_would_be_right(checked, text, line, says):
    run, path = checked(text)
    assert run.status != 0
    assert f"{path}:{line}" in run.err and run.err.count("\n") == 1, run
    assert all(word in run.err for word in says), run.err


def test_lists_add_up_and_begin_anew(checked):
    run, _ = checked("[Policy]\nAllowHosts=a.example\nAllowHosts=\nAllowHosts=b.example\n"
                     "[Network]\nNoProxy=a.example\nNoProxy=.b.example 10.0.0.0/8, [::1] *\n", 0)
    assert not run.err


def test_what_may_be_right_is_noted(checked):
    run, path = checked("[Policy]\nDenyUsers=games no-such-user 7\nCredential=a.example bearer name\n"
                        "[Group no-such-group]\nAllowHosts=a.example\n", 0)
    assert run.err.split("\n")[:-1] == [
        f"xhrd: note: {path}:3: Credential=a.example: name is shown to the daemon alone "
        "(LoadCredential= of its unit) and was not looked at",
        f"xhrd: note: {path}:2: DenyUsers=: there is no user no-such-user now",
        f"xhrd: note: {path}:5: [Group no-such-group]: there is no group no-such-group now"]


def test_what_cannot_be_read_is_said(folder):
    run = Program(XHRD, folder)("--check-config", "--config", folder)
    assert run.status != 0 and "Is a directory" in run.err and run.err.count("\n") == 1, run


def test_daemon_does_not_start_on_a_wrong_file(folder):
    path = folder / "wrong.conf"
    path.write_text("[Daemon]\nNo=1\n")
    run = Program(XHRD, folder)("--user", "--config", path, "--socket", folder / "s",
                                "--state-dir", folder / "state")
    assert run.status != 0 and f"{path}:2" in run.err
    assert not (folder / "s").exists()


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["--idle-exit", "soon"], ["--log-level", "loud"],
                                       ["extra"], ["--socket"], ["--user", "--system"]])
def test_unknown_and_malformed_flags_are_refused(folder, arguments):
    run = Program(XHRD, folder)(*arguments)
    assert run.status == 2 and run.err, run


def test_help_and_version(folder):
    assert "--state-dir" in Program(XHRD, folder)("--help", check=0).out
    assert "xhrd" in Program(XHRD, folder)("--version", check=0).out


def test_reload_takes_a_right_file_and_leaves_a_wrong_one(xhrd, client, origin_raw):
    xhrd.config_path.write_text("[Daemon]\nLogLevel=loud\n")
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: f"{xhrd.config_path}:2" in xhrd.log(), "the complaint")
    assert client.fetch(origin_raw.url()).done
    xhrd.config_path.write_text("[Network]\nConnectionsPerHost=2\n")
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: client.fetch(origin_raw.url()).done
               and [p.limit for p in client.pools()] == [2], "the new limit to hold")


def test_socket_path_is_made_private_and_taken_away_again(folder, origin_free_daemon):
    daemon, path = origin_free_daemon
    wait_until(path.exists, "the socket")
    assert path.stat().st_mode & 0o077 == 0
    daemon.terminate()
    daemon.communicate(timeout=20)
    assert not path.exists()


@pytest.fixture
def origin_free_daemon(folder):
    path = folder / "own-socket"
    run = Program(XHRD, folder).start("--user", "--socket", path, "--state-dir", folder / "state")
    yield run, path
    if run.poll() is None:
        run.kill()
        run.communicate()
