# SPDX-License-Identifier: MIT
"""Old versions of TLS and the ladder down to them (TS01-TS08): what reaches old servers, and what
somebody in the middle cannot make the daemon do."""
import json
import random
import socket
import ssl

import pytest
from origins import ScriptedOrigin, response, tls_server
from tls_mitm import END, PASS, RESET, SCSV, SILENCE, SUPPORTED_VERSIONS, Mitm, alert
from tls_servers import GnutlsServ
from wire import fetch_pb2

pytestmark = [pytest.mark.shallow,
              pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")]

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304
NAMES = {TLS10: b"TLSv1", TLS11: b"TLSv1.1", TLS12: b"TLSv1.2", TLS13: b"TLSv1.3"}
FLAGS = {TLS10: "-tls1", TLS11: "-tls1_1", TLS12: "-tls1_2", TLS13: "-tls1_3"}
OLD = ("-cipher", "DEFAULT@SECLEVEL=0")


def terms(ca, **fields):
    return fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes(), **fields)


def server_context(ca, oldest, newest, *names):
    context = tls_server(ca, *names)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion(oldest)
    context.maximum_version = ssl.TLSVersion(newest)
    return context


@pytest.fixture
def make_origin(xhrd, ca):
    """A server of these versions; its `versions` are those that its requests came over."""
    made = []

    def make(oldest, newest, *names):
        origin = ScriptedOrigin(server_context(ca, oldest, newest, *names))
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
                            timeouts=fetch_pb2.Timeouts(connect_ms=1500))
    assert exchange.failure == "TIMEOUT_CONNECT"
    assert mitm.offered() == [(TLS13, False)]


@pytest.fixture
def gnutls_behind(xhrd, folder, ca):
    """GnuTLS's server of these versions, with somebody in the middle."""
    made = []

    def make(*versions):
        server = GnutlsServ(folder, ca.issue(), ca, versions=versions)
        made.append((Mitm(server.port), server))
        return made[-1][0]
    yield make
    for mitm, server in made:
        mitm.stop()
        server.stop()


@pytest.mark.parametrize("version, number", [("1.0", TLS10), ("1.1", TLS11)])
@pytest.mark.parametrize("chokes", [False, True])
def test_ts01_gnutls(client, gnutls_behind, ca, version, number, chokes):
    mitm = gnutls_behind(version)
    mitm.script = choke_on(TLS12) if chokes else mitm.script
    done = client.fetch(mitm.url(), ca=ca.pem)
    assert done.done, done.text
    assert done.head.connection.tls.version == NAMES[number]
    assert len(done.rungs) == 2 * chokes and len(mitm.hellos) == 1 + 2 * chokes


def test_ts05_gnutls_refuses_a_needless_rung(client, gnutls_behind, ca):
    mitm = gnutls_behind("1.2", "1.3")
    mitm.script = choke_on(TLS13)
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure == "TLS_VERSION" and exchange.failed.failure.code == 70
    assert mitm.offered() == [(TLS13, False), (TLS12, True)]


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
    exchange = client.fetch(mitm.url(), ca=ca.pem, timeouts=fetch_pb2.Timeouts(connect_ms=2500))
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


# ---- what is remembered -----------------------------------------------------------------------

def fresh(client, url, ca, **more):
    """On a connection of its own."""
    return client.fetch(url, ca=ca.pem, no_keep_alive=True, **more)


def test_the_rung_that_worked_is_where_the_next_connection_begins(client, mitm_for, ca):
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12))
    assert fresh(client, mitm.url(), ca).done
    del mitm.hellos[:]
    done = fresh(client, mitm.url(), ca)
    assert done.done and mitm.offered() == [(TLS11, True)]
    assert [(rung.version, rung.cause) for rung in done.rungs] == [(b"TLSv1.1", b"")]
    del mitm.hellos[:]
    assert fresh(client, mitm.url(host="127.0.0.1"), ca).done
    assert len(mitm.hellos) == 3, "another host is another server"


def test_a_rung_is_remembered_for_one_partition(xhrd, client, mitm_for, ca):
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12))
    assert fresh(client, mitm.url(), ca).done
    del mitm.hellos[:]
    with xhrd.client(profile="b") as other:
        assert fresh(other, mitm.url(), ca).done
    assert mitm.offered()[0] == (TLS13, False)


def test_what_is_remembered_is_forgotten_when_the_server_can_do_better(client, mitm_for,
                                                                      make_origin, ca):
    """TS05: the fallback is refused as needless (alert 86), and TLS is begun from the top."""
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12))
    assert fresh(client, mitm.url(), ca).done
    mitm.target_port, mitm.script = make_origin(TLS12, TLS13).port, lambda number, hello: PASS
    del mitm.hellos[:]
    done = fresh(client, mitm.url(), ca)
    assert done.head.connection.tls.version == b"TLSv1.3"
    assert mitm.offered() == [(TLS11, True), (TLS13, False)]
    del mitm.hellos[:]
    assert fresh(client, mitm.url(), ca).done and mitm.offered() == [(TLS13, False)]


def test_at_most_three_connections_more(client, mitm_for, ca):
    mitm = mitm_for(TLS10, TLS10, choke_on(TLS11))
    assert fresh(client, mitm.url(), ca).done
    mitm.script = lambda number, hello: alert(70)
    del mitm.hellos[:]
    assert fresh(client, mitm.url(), ca).failure == "TLS_VERSION"
    assert mitm.offered() == [(TLS10, True), (TLS13, False), (TLS12, True), (TLS11, True)]
    del mitm.hellos[:]
    assert fresh(client, mitm.url(), ca).failure == "TLS_VERSION"
    assert mitm.offered() == [(TLS13, False), (TLS12, True), (TLS11, True), (TLS10, True)]


def test_who_verifies_nothing_leaves_no_memory(client, mitm_for, ca):
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12))
    assert client.fetch(mitm.url(), insecure=True, no_keep_alive=True).done
    del mitm.hellos[:]
    assert fresh(client, mitm.url(), ca).done and mitm.offered()[0] == (TLS13, False)


def test_rungs_go_to_the_address_that_choked(client, mitm_for, ca):
    """localhost has two addresses; the one that answered is asked again, and no other."""
    mitm = mitm_for(TLS12, TLS12, choke_on(TLS13))
    done = client.fetch(mitm.url(host="two.test"), insecure=True,
                        network=fetch_pb2.NetworkOptions(resolve=[fetch_pb2.ResolveOverride(
                            host=b"two.test", port=mitm.port,
                            addresses=[b"127.0.0.2", b"127.0.0.1"])]))
    assert done.done and done.head.connection.remote_address == b"127.0.0.1"
    assert mitm.offered() == [(TLS13, False), (TLS12, True)]


def test_rungs_go_through_the_same_proxy(client, mitm_for, proxy_raw, ca):
    mitm = mitm_for(TLS11, TLS11, choke_on(TLS12))
    network = fetch_pb2.NetworkOptions(proxy=fetch_pb2.ProxyOptions(
        https=fetch_pb2.Proxy(url=proxy_raw.proxy_url().encode())))
    done = client.fetch(mitm.url(), ca=ca.pem, network=network)
    assert done.head.connection.tls.version == b"TLSv1.1" and len(done.rungs) == 2
    assert len(proxy_raw.connects()) == 3


# ---- never below 1.2 --------------------------------------------------------------------------

@pytest.fixture
def old(mitm_for):
    """A server of 1.1, which chokes on nothing, behind a port that can lead elsewhere."""
    return mitm_for(TLS10, TLS11)


def assert_refused(exchange, server, why):
    assert exchange.failure == "TLS_VERSION" and why in exchange.text, exchange.text
    if server is None:
        return
    assert not server.origin.requests
    assert all(min(hello.versions) >= TLS12 for hello in server.hellos)


def basic(**fields):
    return fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BASIC, user=b"u", password=b"p",
                                 **fields)


@pytest.mark.parametrize("more", [
    {"credentials": basic(preemptive=True)}, {"credentials": basic()},
    {"credentials": fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_DIGEST, user=b"u",
                                          password=b"p")},
    {"credentials": fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BEARER,
                                          bearer_token=b"t")},
    {"headers": [("Authorization", "Whatever t")]}], ids=["basic", "asked", "digest", "bearer", "own"])
def test_ts07_a_request_with_a_login_is_never_below_1_2(client, old, ca, more):
    assert_refused(client.fetch(old.url(), ca=ca.pem, **more), old, "a login goes along")


def test_ts07_nor_with_the_login_of_its_url(client, old, ca):
    url = old.url().replace("https://", "https://u:p@")
    assert_refused(client.fetch(url, ca=ca.pem), old, "a login goes along")


def test_ts07_nor_a_pinned_key_nor_a_client_certificate(client, old, ca):
    pinned = terms(ca, pins=[b"0" * 32])
    assert_refused(client.fetch(old.url(), tls=pinned), old, "its key is pinned")
    cert, key = ca.issue("localhost", "127.0.0.1")
    identity = terms(ca, client_certificate=cert.read_bytes() + key.read_bytes())
    assert_refused(client.fetch(old.url(), tls=identity), old, "a client certificate goes along")


@pytest.mark.parametrize("exact", [False, True])
def test_ts07_what_must_be_better_never_rides_on_an_old_connection(client, old, ca, exact):
    """A connection of 1.1 is there, and idle; a request with a login does not get it."""
    tls = terms(ca, min_version=TLS11, max_version=TLS11) if exact else terms(ca)
    assert client.fetch(old.url(), tls=tls).done
    del old.origin.requests[:], old.hellos[:]
    assert_refused(client.fetch(old.url(), tls=tls, credentials=basic()), old,
                   "a login goes along")
    del old.hellos[:]
    assert client.fetch(old.url(), tls=tls).done, "others go on"
    assert not old.hellos, "on the connection that stands"


def test_ts07_a_login_that_a_401_asks_for_does_not_go_below_1_2(client, old, ca):
    old.origin.reply(response(status="401 Who", fields=[("WWW-Authenticate", 'Basic realm="r"')]))
    exchange = client.open(old.url(), ca=ca.pem, ask_challenges=True)
    client.receive_until(lambda: exchange.questions)
    client.send("answer", request_id=exchange.request_id,
                challenge=fetch_pb2.ChallengeAnswer(user=b"u", password=b"p"))
    client.finish(exchange)
    assert exchange.failure == "TLS_VERSION" and len(old.origin.requests) == 1
    assert not any(request.get("Authorization") for request in old.origin.requests)


def test_ts07_a_host_that_wants_https_is_never_below_1_2(client, old, ca):
    old.origin.reply(response(fields=[("Strict-Transport-Security", "max-age=1000")]))
    assert client.fetch(old.url(), ca=ca.pem).done
    del old.origin.requests[:], old.hellos[:]
    assert_refused(fresh(client, old.url(), ca), old, "HSTS")


@pytest.mark.parametrize("end", [None, "stop", "kill"])
def test_ts07_a_server_seen_at_1_2_is_never_below_1_2(xhrd, old, make_origin, ca, end):
    """And the daemon knows it after its end: it goes to the disk with the cookie, in one transaction."""
    new = make_origin(TLS12, TLS12)
    new.reply(response(fields=[("Set-Cookie", "a=b; Max-Age=1000")]))
    target, old.target_port = old.target_port, new.port
    with xhrd.client() as client:
        assert fresh(client, old.url(), ca).done
    if end:
        getattr(xhrd, end)()
        xhrd.start()
    old.target_port = target
    del old.hellos[:]
    with xhrd.client() as client:
        assert_refused(fresh(client, old.url(), ca), old, "seen at 1.2")
        assert_refused(client.fetch(old.url(), tls=terms(ca, max_version=TLS11)), old,
                       "seen at 1.2")


def test_xhrctl_lets_a_server_be_old_again(client, xhrctl, old, make_origin, ca):
    """It was replaced by one that has nothing better; other hosts stay as they are."""
    target, old.target_port = old.target_port, make_origin(TLS12, TLS13).port
    for host in ("localhost", "127.0.0.1"):
        assert fresh(client, old.url(host=host), ca).done
    old.target_port = target
    assert fresh(client, old.url(), ca).failure == "TLS_VERSION"
    xhrctl("hsts", "rm", "localhost", check=0)
    assert fresh(client, old.url(), ca).head.connection.tls.old
    assert fresh(client, old.url(host="127.0.0.1"), ca).failure == "TLS_VERSION"


def test_ts07_of_what_was_not_verified_nothing_is_learned(client, old, make_origin, ca):
    target, old.target_port = old.target_port, make_origin(TLS12, TLS13).port
    assert client.fetch(old.url(), insecure=True, no_keep_alive=True).done
    old.target_port = target
    assert fresh(client, old.url(), ca).done


def test_ts07_another_port_is_another_server(client, old, make_origin, ca):
    assert client.fetch(make_origin(TLS13, TLS13).url(host="localhost"), ca=ca.pem).done
    assert client.fetch(old.url(), ca=ca.pem).head.connection.tls.old


def test_a_connection_made_before_it_was_known_serves_those_who_ask_after(client, make_origin, ca):
    """The first request may have been old; the second must not; both have one connection."""
    origin = make_origin(TLS10, TLS13)
    for more in ({}, {}, {"credentials": basic(preemptive=True)}):
        assert client.fetch(origin.url(host="localhost"), ca=ca.pem, **more).done
    assert len(origin.connections) == 1


@pytest.mark.xhrd(config="[TLS]\nMinimumTLSVersion=1.2\n")
def test_ts03_the_machines_floor_holds_in_every_hello(client, mitm_for, ca):
    mitm = mitm_for(TLS10, TLS11, choke_on(TLS13))
    assert client.fetch(mitm.url(), ca=ca.pem).failure == "TLS_VERSION"
    assert client.fetch(mitm.url(), tls=terms(ca, min_version=TLS10)).failure == "TLS_VERSION"
    assert {hello.legacy_version for hello in mitm.hellos} == {TLS12}
    assert all(min(hello.versions) >= TLS12 for hello in mitm.hellos)


@pytest.mark.xhrd(config="[TLS]\nMinimumTLSVersion=1.1\n")
def test_ts03_a_client_raises_the_floor_and_does_not_lower_it(client, mitm_for, ca):
    mitm = mitm_for(TLS10, TLS13, choke_on(TLS11))
    assert client.fetch(mitm.url(), tls=terms(ca, min_version=TLS10)).failed
    assert [version for version, _ in mitm.offered()] == [TLS13, TLS12, TLS11]
    del mitm.hellos[:]
    assert client.fetch(mitm.url(), tls=terms(ca, min_version=TLS12)).failed
    assert mitm.offered() == [(TLS13, False), (TLS12, True)]


@pytest.mark.parametrize("version", [TLS10, TLS11, TLS12, TLS13])
def test_ts02_an_exact_version_has_no_ladder(client, mitm_for, ca, version):
    mitm = mitm_for(TLS10, TLS13, lambda number, hello: alert(70))
    exact = terms(ca, min_version=version, max_version=version)
    assert client.fetch(mitm.url(), tls=exact).failure == "TLS_VERSION"
    assert mitm.offered() == [(version, False)]


@pytest.mark.parametrize("rungs", [0, 2])
def test_http2_is_not_spoken_below_1_2(client, mitm_for, ca, rungs):
    """RFC 9113 section 9.2: who chooses it there is asked again without."""
    mitm = mitm_for(TLS10, TLS11, choke_on(TLS12) if rungs else None)
    mitm.origin.tls.set_alpn_protocols(["h2", "http/1.1"])
    done = client.fetch(mitm.url(), ca=ca.pem)
    assert done.body == b"hello\n" and done.head.http_version == 11
    assert done.head.connection.tls.alpn == b"http/1.1" and len(done.rungs) == rungs
    assert len(mitm.hellos) == (3 if rungs else 2)
    assert_refused(client.fetch(mitm.url(host="127.0.0.1"), ca=ca.pem,
                                http_version=fetch_pb2.HTTP_VERSION_2), None, "HTTP/2 wants it")


def test_a_rung_that_cannot_be_dialled_reports_the_first_error(client, mitm_for, ca):
    mitm = mitm_for(TLS12, TLS12)

    def script(number, hello):
        mitm.listener.shutdown(socket.SHUT_RDWR)
        mitm.listener.close()
        return alert(70)
    mitm.script = script
    exchange = client.fetch(mitm.url(host="127.0.0.1"), ca=ca.pem)
    assert exchange.failure == "TLS_VERSION" and exchange.failed.failure.code == 70


def test_old_answers_are_not_cached(client, old, ca):
    old.origin.reply(response(b"x", fields=[("Cache-Control", "max-age=1000")]))
    for _ in range(2):
        assert client.fetch(old.url(), ca=ca.pem, cache=True).done
    assert len(old.origin.requests) == 2


# ---- the man in the middle --------------------------------------------------------------------

def without_scsv(hello):
    return hello.rebuilt(ciphers=[cipher for cipher in hello.ciphers if cipher != SCSV])


def offering(hello, version, scsv=False):
    """As if no more had been offered than this."""
    extensions = [(kind, data) for kind, data in hello.extensions if kind != SUPPORTED_VERSIONS]
    ciphers = [cipher for cipher in hello.ciphers if cipher != SCSV] + [SCSV] * scsv
    return hello.rebuilt(legacy_version=version, ciphers=ciphers, extensions=extensions)


@pytest.mark.parametrize("version", [TLS10, TLS11, TLS12])
def test_ts06_a_hello_that_was_made_less_is_found_out(client, mitm_for, ca, version):
    mitm = mitm_for(TLS10, TLS13, lambda number, hello: offering(hello, version))
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure in ("TLS", "TLS_VERSION") and not mitm.origin.requests


@pytest.mark.parametrize("rungs", [1, 2, 3])
def test_ts06_rungs_without_their_mark_are_found_out_by_the_servers(client, mitm_for, ca, rungs):
    """Who takes SCSV out of the fallback meets the mark in the server's random."""
    mitm = mitm_for(TLS10, TLS13, lambda number, hello: alert(40) if number < rungs
                    else without_scsv(hello))
    exchange = client.fetch(mitm.url(), ca=ca.pem)
    assert exchange.failure == "TLS" and exchange.failed.failure.code == 40
    assert len(mitm.hellos) == rungs + 1 and not mitm.origin.requests


def fate(chance):
    """What somebody in the middle does to one hello."""
    return chance.choice([
        lambda hello: PASS, lambda hello: PASS, lambda hello: RESET, lambda hello: END,
        lambda hello: alert(chance.choice((10, 40, 47, 50, 70))),
        lambda hello: alert(chance.choice((10, 40, 47, 50, 70)), version=chance.randrange(0x300, 0x304)),
        lambda hello: alert(chance.randrange(256), level=chance.choice((1, 2))),
        lambda hello: b"\x15\x04\x00\x00\x02\x02\x28",
        without_scsv,
        lambda hello: offering(hello, chance.choice((TLS10, TLS11, TLS12)), scsv=chance.random() < .3),
        lambda hello: hello.rebuilt(legacy_version=chance.choice((TLS10, TLS11, TLS12, 0x0300))),
        lambda hello: hello.rebuilt(ciphers=chance.sample(hello.ciphers, 2)),
    ])


RANGES = [(oldest, newest) for newest in (TLS10, TLS11, TLS12, TLS13)
          for oldest in (TLS10, TLS11, TLS12, TLS13) if oldest <= newest]


@pytest.mark.parametrize("attempts", [50, pytest.param(950, marks=pytest.mark.soak)])
def test_ts04_no_request_byte_leaves_below_what_both_could_do(client, make_origin, mitm_for, ca,
                                                              attempts):
    """With servers of every range of versions and a man in the middle who does what he likes: each
    request came over the newest version that its server has, or did not come."""
    chance = random.Random(attempts)
    servers = {span: make_origin(*span, "localhost", "*.n.test") for span in RANGES}
    mitm = mitm_for(TLS10, TLS13)
    mitm.script = lambda number, hello: fate(chance)(hello)
    reached = 0
    for number in range(attempts):
        # half of them of a server of which nothing is known, half of one that has been tried
        host = f"{chance.choice((number, number // 10))}.n.test"
        span = chance.choice(RANGES)
        mitm.target_port = servers[span].port
        exchange = client.fetch(mitm.url(host=host), no_keep_alive=True,
                                tls=terms(ca, insecure=chance.random() < .3),
                                resolve=[(host, mitm.port)])
        reached += bool(exchange.done)
    for (_, newest), server in servers.items():
        assert {NAMES[newest].decode()} >= set(server.versions), (newest, server.versions)
    assert 0 < reached == sum(len(server.versions) for server in servers.values()) < attempts
