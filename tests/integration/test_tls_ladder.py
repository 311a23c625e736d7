# SPDX-License-Identifier: MIT
"""Old versions of TLS and the ladder down to them (TS01-TS08): what reaches old servers, and what
somebody in the middle cannot make the daemon do."""
import json
import ssl

import pytest
from origins import ScriptedOrigin, tls_server
from tls_mitm import END, PASS, RESET, SILENCE, Mitm, alert
from waiting import wait_until
from wire import fetch_pb2

pytestmark = [pytest.mark.shallow,
              pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")]

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304
NAMES = {TLS10: b"TLSv1", TLS11: b"TLSv1.1", TLS12: b"TLSv1.2", TLS13: b"TLSv1.3"}
FLAGS = {TLS10: "-tls1", TLS11: "-tls1_1", TLS12: "-tls1_2", TLS13: "-tls1_3"}
OLD = ("-cipher", "DEFAULT@SECLEVEL=0")


def terms(ca, **fields):
    return fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(), **fields)


def server_context(ca, oldest, newest):
    context = tls_server(ca)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion(oldest)
    context.maximum_version = ssl.TLSVersion(newest)
    return context


@pytest.fixture
def make_origin(xhrd, ca):
    """A server of these versions; its `versions` are those that its requests came over."""
    made = []

    def make(oldest, newest):
        origin = ScriptedOrigin(server_context(ca, oldest, newest))
        origin.versions = []

        def script(connection):
            while True:
                request = connection.request()
                origin.versions.append(connection.sock.version())
                connection.send(origin.answer(request))
        origin.script = script
        made.append(origin)
        return origin
    yield make
    for origin in made:
        origin.stop()


@pytest.fixture
def mitm_for(make_origin):
    """Somebody between the daemon and a server of these versions."""
    made = []

    def make(oldest, newest, script=None):
        origin = make_origin(oldest, newest)
        mitm = Mitm(origin.port)
        mitm.origin = origin
        mitm.script = script or mitm.script
        made.append(mitm)
        return mitm
    yield make
    for mitm in made:
        mitm.stop()


# ---- one handshake ----------------------------------------------------------------------------

@pytest.mark.parametrize("version", [TLS10, TLS11, TLS12, TLS13])
def test_ts01_each_version_is_reached_by_default_in_one_connection(client, mitm_for, ca, version):
    mitm = mitm_for(version, version)
    done = client.fetch(mitm.url(), ca=ca.pem)
    assert done.body == b"hello\n" and done.head.connection.tls.version == NAMES[version]
    assert mitm.offered() == [(TLS13, False)]


@pytest.mark.parametrize("version", [TLS10, TLS11])
def test_ts01_openssl_s_server(client, s_server, ca, version):
    done = client.fetch(s_server(FLAGS[version], *OLD).url(), ca=ca.pem)
    assert done.done and done.head.connection.tls.version == NAMES[version]


@pytest.mark.parametrize("weak", [
    ("-tls1_2", "-sigalgs", "RSA+SHA1", "-client_sigalgs", "RSA+SHA1"),
    ("-tls1_2", "-cipher", "ADH:AECDH:@SECLEVEL=0"), ("-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"),
    ("-tls1_1", "-cipher", "ADH:AECDH:@SECLEVEL=0"), ("-tls1", "-cipher", "eNULL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "PSK:@SECLEVEL=0", "-psk", "00")])
def test_ts08_what_is_weak_stays_refused(client, s_server, ca, weak):
    exchange = client.fetch(s_server(*weak).url(), ca=ca.pem)
    assert exchange.failure in ("TLS", "TLS_VERSION", "TLS_VERIFY"), exchange.text


# ---- the ladder -------------------------------------------------------------------------------

def choke_on(*versions, answer=alert(70)):
    """A server that chokes on these, and on all that is newer than the oldest of them."""
    return lambda number, hello: answer if hello.versions[0] >= min(versions) else PASS


@pytest.mark.parametrize("newest, offers", [
    (TLS12, [(TLS13, False), (TLS12, True)]),
    (TLS11, [(TLS13, False), (TLS12, True), (TLS11, True)]),
    (TLS10, [(TLS13, False), (TLS12, True), (TLS11, True), (TLS10, True)])])
def test_a_server_that_chokes_is_reached_on_its_rung(client, mitm_for, ca, newest, offers):
    mitm = mitm_for(newest, newest, choke_on(newest + 1))
    done = client.fetch(mitm.url(), ca=ca.pem)
    assert done.done and done.head.connection.tls.version == NAMES[newest]
    assert mitm.offered() == offers


@pytest.mark.parametrize("answer", [*map(alert, (10, 40, 47, 50, 70)),
                                    b"\x15\x04\x00\x00\x02\x02\x28", b"\x16\x02\x00\x00\x02\x02\x28"])
def test_what_says_i_do_not_understand_is_a_reason(client, mitm_for, ca, answer):
    mitm = mitm_for(TLS12, TLS12, choke_on(TLS13, answer=answer))
    assert client.fetch(mitm.url(), ca=ca.pem).done
    assert mitm.offered() == [(TLS13, False), (TLS12, True)]


@pytest.mark.parametrize("answer", [
    *map(alert, (*range(42, 47), 48, 49, 51, 71, 80, 86, 90, 109, 112, 116, 120)), RESET, END,
    alert(40, level=1), b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_ts04_nothing_else_is(client, mitm_for, ca, answer):
    mitm = mitm_for(TLS10, TLS12, lambda number, hello: answer)
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure == "TLS", exchange.text
    assert mitm.offered() == [(TLS13, False)] and not mitm.origin.requests


def test_ts04_silence_is_a_timeout_and_no_reason(client, mitm_for, ca):
    mitm = mitm_for(TLS10, TLS12, lambda number, hello: SILENCE)
    exchange = client.fetch(mitm.url(), ca=ca.pem,
                            timeouts=fetch_pb2.Timeouts(connect_ms=300))
    assert exchange.failure == "TIMEOUT_CONNECT"
    assert mitm.offered() == [(TLS13, False)]


# ---- what a user sees -------------------------------------------------------------------------

def test_each_rung_its_cause_and_the_first_error_are_told(client, mitm_for, ca):
    def script(number, hello):
        return [alert(70), alert(40), PASS][number]
    mitm = mitm_for(TLS11, TLS11, script)
    done = client.fetch(mitm.url(), ca=ca.pem)
    tls = done.head.connection.tls
    assert tls.version == b"TLSv1.1" and tls.old and not tls.resumed
    assert [(rung.version, rung.alert) for rung in tls.rungs] == [(b"TLSv1.2", 70), (b"TLSv1.1", 40)]
    assert b"none of the TLS versions" in tls.rungs[0].cause
    assert done.rungs == list(tls.rungs)


def test_the_first_error_is_the_one_that_is_reported(client, mitm_for, ca):
    """TS05: the rung is refused as needless by a server that can do better."""
    mitm = mitm_for(TLS12, TLS13, choke_on(TLS13, answer=alert(40)))
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure == "TLS" and exchange.failed.failure.code == 40
    assert mitm.offered() == [(TLS13, False), (TLS12, True)] and not mitm.origin.requests
    assert [(rung.version, rung.alert) for rung in exchange.rungs] == [(b"TLSv1.2", 40)]


@pytest.mark.parametrize("last", [RESET, END, alert(80), alert(42)])
def test_whatever_ends_the_rungs_the_first_error_is_reported(client, mitm_for, ca, last):
    mitm = mitm_for(TLS12, TLS12, lambda number, hello: alert(47) if number == 0 else last)
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure == "TLS" and exchange.failed.failure.code == 47 and len(mitm.hellos) == 2


def test_a_certificate_that_is_not_trusted_on_a_rung_ends_it(client, mitm_for, ca, other_ca):
    mitm = mitm_for(TLS12, TLS12, choke_on(TLS13))
    exchange = client.fetch(mitm.url(), ca=other_ca.pem)
    assert exchange.failed.failure.code == 70 and len(mitm.hellos) == 2


def test_a_timeout_on_a_rung_reports_the_first_error(client, mitm_for, ca):
    mitm = mitm_for(TLS12, TLS12, lambda number, hello: alert(70) if number == 0 else SILENCE)
    exchange = client.fetch(mitm.url(), ca=ca.pem, timeouts=fetch_pb2.Timeouts(connect_ms=500))
    assert exchange.failure == "TLS_VERSION" and exchange.failed.failure.code == 70


def test_xhr_shows_rungs_with_v_w_and_events(xhr, mitm_for, ca, folder):
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12, answer=alert(40)))
    events = folder / "events"
    run = xhr("-v", "--cacert", ca.pem, f"--events={events}", "-w",
              "|%{tls_version}|%{tls_rungs}|%{tls_old}|%{tls_resumed}|%{tls_alpn}|%{tls_first_error}|",
              mitm.url())
    assert run.out.startswith("hello\n|TLSv1.1|2|1|0||localhost refused the TLS handshake")
    assert "* TLS once more, with no more than TLSv1.2: localhost refused" in run.err
    assert "* TLS once more, with no more than TLSv1.1: localhost refused" in run.err
    assert "on rung 2, an old version that protects little" in run.err
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    rungs = [(line["version"], line["alert"]) for line in lines if line["event"] == "tls_rung"]
    assert rungs == [("TLSv1.2", 40), ("TLSv1.1", 40)]
    [tls] = [line for line in lines if line["event"] == "tls"]
    assert tls["version"] == "TLSv1.1" and tls["old"] and tls["rungs"] == 2


def test_xhr_shows_rungs_of_a_request_that_failed(xhr, mitm_for, ca):
    mitm = mitm_for(TLS12, TLS13, choke_on(TLS13))
    run = xhr("-v", "--cacert", ca.pem, "-w", "%{tls_rungs} %{tls_first_error}", mitm.url(), check=35)
    assert "* TLS once more, with no more than TLSv1.2" in run.err
    assert run.out.startswith("1 localhost speaks none")


def test_the_journal_warns_once_a_day_for_each_host(xhrd, client, make_origin, ca):
    for port in range(3):
        origin = make_origin(TLS10, TLS11)
        assert client.fetch(origin.url(host="localhost"), ca=ca.pem).head.connection.tls.old
    assert xhrd.log().count("localhost is reached with TLS 1.1 only") == 1
    assert client.fetch(origin.url(host="127.0.0.1"), ca=ca.pem).done
    assert xhrd.log().count("is reached with TLS 1.1 only") == 2
