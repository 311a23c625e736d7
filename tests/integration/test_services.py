# SPDX-License-Identifier: MIT
"""A service without a network that reaches what xhrd's policy names, with a login it never sees:
the example in systemd/examples, as it stands there, in the booted container."""
import pytest
from container import why_not
from origins import ScriptedOrigin, response, tls_server
from test_systemd import connect, kept
from waiting import wait_until
from wire import SOURCE, fetch_pb2

pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))

REDIRECT_STOP = fetch_pb2.REDIRECT_MODE_STOP
EXAMPLES = SOURCE / "systemd/examples"
TOKEN = "token-of-the-api"


@pytest.fixture
def machine(booted, request):
    booted.fresh()
    request.node.xhrd = booted
    yield booted
    booted.systemctl("stop", "xhrd.service")


@pytest.fixture
def api(machine, ca):
    """api.example.com and other.example.com, on the port that https has."""
    with machine.network():
        origin = ScriptedOrigin(tls_server(ca, "api.example.com", "other.example.com"), port=443)
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(before + "127.0.0.1 api.example.com other.example.com\n")
    yield origin
    hosts.write_text(before)
    origin.stop()


@pytest.fixture
def prices(machine, ca):
    """The example, set up as its comments say."""
    systemd = machine.root / "etc/systemd/system"
    drop_in = systemd / "xhrd.service.d/credentials.conf"
    drop_in.parent.mkdir(exist_ok=True)
    for file, to in (("prices.service", systemd), ("credentials.conf", drop_in.parent)):
        (to / file).write_text((EXAMPLES / file).read_text())
    token = machine.root / "etc/xhrd/prices-token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    (machine.root / "etc/xhrd/ca.pem").write_bytes(ca.pem.read_bytes())
    machine.configure((EXAMPLES / "prices.conf").read_text()
                      + "[TLS]\nCAFile=/etc/xhrd/ca.pem\n")
    machine.systemctl("daemon-reload")
    yield
    drop_in.unlink()
    (systemd / "prices.service").unlink()


def run_as_prices(machine, *words):
    """The example with another command; what it says comes back."""
    unit = (EXAMPLES / "prices.service").read_text()
    path = machine.root / "etc/systemd/system/prices-try.service"
    command = " ".join(f'"{word}"' for word in words)
    path.write_text("\n".join(f"ExecStart=-{command}" if line.startswith("ExecStart=") else line
                              for line in unit.split("\n")))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "prices-try.service")
    machine.run("journalctl", "--sync")
    said = "\n".join(entry["MESSAGE"] for entry in machine.journal("--unit=prices-try.service",
                                                                   "_TRANSPORT=stdout"))
    path.unlink()
    return said


def test_a_service_without_network_asks_xhrd(machine, api, prices):
    api.reply(response(b"[1, 2]"))
    machine.systemctl("start", "prices.service")
    state = machine.root / "var/lib/private/prices/prices.json"
    assert state.read_text() == "[1, 2]"
    machine.run("journalctl", "--sync")
    (entry,) = machine.journal("--unit=xhrd.service", "XHRD_ORIGIN=https://api.example.com")
    assert int(entry["XHRD_UID"]) == state.stat().st_uid != 0
    assert [r.get("Authorization") for r in api.requests] == [f"Bearer {TOKEN}"]


def test_it_gets_nothing_else_by_whatever_way(machine, api, prices):
    assert "curl: (" in run_as_prices(machine, "curl", "-sSk", "https://api.example.com/")
    for words in (("https://other.example.com/",), ("https://127.0.0.1/",), ("http://[::1]/",),
                  ("--connect-to", "::other.example.com:443", "https://api.example.com/"),
                  ("-x", "http://other.example.com:443", "https://api.example.com/")):
        said = run_as_prices(machine, "xhr", "--no-start", "-sSk", *words)
        assert "xhr: (101)" in said and "AllowHosts=" in said, said
    assert not api.requests
    api.reply(response(status="302 Go", fields=[("Location", "https://other.example.com/")]))
    said = run_as_prices(machine, "xhr", "--no-start", "-sSL", "https://api.example.com/")
    assert "xhr: (101)" in said and len(api.requests) == 1
    # The rule is that user's alone, and so is the login.
    with connect(machine) as client:
        assert client.fetch("https://api.example.com/", redirect=REDIRECT_STOP).status == 302
        assert api.requests[-1].get("Authorization") is None
        assert client.fetch("https://other.example.com/", redirect=REDIRECT_STOP).status == 302


def test_the_login_is_never_seen_by_who_goes_with_it(machine, api, prices):
    api.replies(response(status="302 Go", fields=[("Location", "/again")]),
                response(b"body", fields=[("Echo", f"Bearer {TOKEN}")]),
                response(b"no", status="401 No", fields=[("WWW-Authenticate", "Bearer realm=x")]))
    said = run_as_prices(machine, "xhr", "--no-start", "-sSLvi", "https://api.example.com/prices")
    assert "body" in said and TOKEN not in said
    said = run_as_prices(machine, "xhr", "--no-start", "-sSvi", "-H", "Authorization: Bearer own",
                         "https://api.example.com/")
    assert "401" in said and TOKEN not in said
    assert [r.get("Authorization") for r in api.requests] == [f"Bearer {TOKEN}"] * 3
    assert TOKEN not in machine.journalctl("--output=export")
    for path in ("/etc/xhrd/prices-token", "/run/credentials/xhrd.service/prices-token"):
        assert "Permission denied" in run_as_prices(machine, "cat", path)


def test_a_new_token_takes_a_restart_that_nobody_notices(machine, api, prices):
    """systemd may show a unit that is reloaded its credentials as they were when it was started."""
    machine.systemctl("start", "prices.service")
    with connect(machine) as resting:
        wait_until(lambda: kept(machine) == 1, "it to be kept")
        (machine.root / "etc/xhrd/prices-token").write_text("another-token\n")
        machine.systemctl("reload", "xhrd.service")
        machine.systemctl("restart", "xhrd.service")
        machine.systemctl("start", "prices.service")
        assert resting.status().version
    assert [r.get("Authorization") for r in api.requests] == [
        f"Bearer {TOKEN}", "Bearer another-token"]


def test_a_credential_that_the_unit_is_not_shown_is_refused_with_its_line(machine, api, prices):
    (machine.root / "etc/systemd/system/xhrd.service.d/credentials.conf").write_text("")
    machine.systemctl("daemon-reload")
    assert machine.run("xhr", "https://other.example.com/", check=False).returncode != 0
    wait_until(lambda: "/etc/xhrd/xhrd.conf:6: Credential=api.example.com: prices-token: wants "
               "$CREDENTIALS_DIRECTORY (LoadCredential= of the unit)" in machine.journalctl(
                   "--unit=xhrd.service"), "the reason")
    machine.configure("")
    wait_until(lambda: machine.is_active() == "active", "it to start once the file is mended")
