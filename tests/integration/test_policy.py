# SPDX-License-Identifier: MIT
"""What the administrator allows whom: rules of users, groups and everybody, judged at each hop."""
import contextlib
import grp
import json
import os
import pwd
import threading

import proxies
import pytest
from origins import response
from waiting import wait_until
from wire import Client, Closed, admin_pb2, fetch_pb2

pytestmark = pytest.mark.shallow

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
ME = pwd.getpwuid(os.geteuid())
MY_GROUP = grp.getgrgid(os.getegid()).gr_name
ANN, BOB = 2001, 2002


def rules(*lines, section=f"User {ME.pw_name}"):
    return pytest.mark.xhrd(config="\n".join([f"[{section}]", *lines, ""]))


def routed(origin, *names, port=80):
    """Names that lead to this origin."""
    return fetch_pb2.NetworkOptions(connect_to=[
        fetch_pb2.ConnectTo(host=name.encode(), port=port, to_host=b"127.0.0.1",
                            to_port=origin.port) for name in names])


@contextlib.contextmanager
def client_of(daemon, uid, groups=()):
    """A connection made by `uid`: the kernel remembers who connected, and his groups."""
    old = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(uid)
    os.seteuid(uid)
    try:
        client = Client(daemon.socket_path, program=f"uid {uid}", hello=False)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(old)
    with client:
        with contextlib.suppress(BrokenPipeError):  # sent away already: it says why
            client.send("hello", protocol=1, program=b"test")
        client.receive_until(lambda: client.hello)
        yield client


@pytest.fixture
def machine(make_xhrd, folder):
    """The system's daemon with a configuration of its own."""
    def make(config):
        daemon = make_xhrd("--system", config=config)
        folder.chmod(0o711)
        daemon.socket_path.chmod(0o666)
        return daemon
    return make


def refused(exchange, *words):
    assert exchange.failure == "POLICY", (exchange.failure, exchange.text)
    for word in words:
        assert word in exchange.text, exchange.text
    return True


# -- hosts ----------------------------------------------------------------------------------

@rules("AllowHosts=127.0.0.1 api.example *.wide.example")
def test_a_host_that_no_allow_list_names_is_refused_by_name(client, origin_raw):
    assert client.fetch(origin_raw.url()).done
    assert refused(client.fetch(origin_raw.url(host="localhost")), "localhost", "AllowHosts=",
                   f"[User {ME.pw_name}]", "line 2", "to be allowed it must stand there")
    assert len(origin_raw.requests) == 1


@rules("AllowHosts=127.0.0.1 *.wide.example one.example:80")
@pytest.mark.parametrize("url, may", [
    ("http://a.wide.example/", True), ("http://a.b.wide.example./", True),
    ("http://WIDE.example/", False), ("http://xwide.example/", False),
    ("http://one.example/", True), ("http://one.example:81/", False)])
def test_wildcards_and_ports_of_an_allow_list(client, origin_raw, url, may):
    host = url.split("/")[2].split(":")[0].rstrip(".").lower()
    exchange = client.fetch(url, network=fetch_pb2.NetworkOptions(connect_to=[
        fetch_pb2.ConnectTo(host=host.encode(), to_host=b"127.0.0.1", to_port=origin_raw.port)]))
    assert (exchange.done is not None) if may else refused(exchange, "AllowHosts=")


@rules("DenyHosts=*.evil.example 127.0.0.1")
def test_a_host_that_a_deny_list_names_is_refused(client, origin_raw):
    assert refused(client.fetch(origin_raw.url()), "DenyHosts=", "must go from there")
    assert client.fetch(origin_raw.url(host="localhost")).done


@rules("AllowHosts=127.0.0.1")
@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_each_hop_of_a_redirect_is_judged_again(client, origin_raw, status):
    origin_raw.reply(response(status=status, fields=[
        ("Location", f"http://localhost:{origin_raw.port}/in")]))
    assert refused(client.fetch(origin_raw.url()), "localhost", "AllowHosts=")
    assert [r.target for r in origin_raw.requests] == ["/"]


@rules("AllowHosts=api.example")
def test_what_is_reached_in_a_hosts_place_is_judged_as_a_host(client, origin_raw):
    assert refused(client.fetch("http://api.example/", network=routed(origin_raw, "api.example")),
                   "127.0.0.1")
    network = fetch_pb2.NetworkOptions(resolve=[fetch_pb2.ResolveOverride(
        host=b"api.example", port=80, addresses=[b"127.0.0.1"])])
    assert refused(client.fetch("http://api.example/", network=network), "127.0.0.1")


@rules("AllowHosts=127.0.0.1")
def test_cd06_a_proxy_of_ones_own_is_judged_as_a_host(client, origin_raw):
    through = proxies.options(f"http://localhost:{origin_raw.port}")
    assert refused(client.fetch("http://127.0.0.1/", network=through), "localhost")
    assert not origin_raw.connections


@rules("AllowProxies=127.0.0.1")
def test_cd06_with_a_list_of_proxies_those_and_no_others_are_used(client, origin_raw):
    def through(host):
        return client.fetch("http://a.example/",
                            network=proxies.options(f"http://{host}:{origin_raw.port}"))
    assert through("127.0.0.1").done
    assert refused(through("localhost"), "the proxy localhost", "AllowProxies=")
    assert client.fetch(origin_raw.url(host="localhost")).done, "it is no proxy here"


@rules("AllowMethods=GET HEAD")
def test_a_method_that_is_not_allowed_is_refused(client, origin_raw):
    assert client.fetch(origin_raw.url()).done
    assert refused(client.fetch(origin_raw.url(), "DELETE"), "DELETE", "AllowMethods=")


@rules("AllowMethods=POST")
def test_a_redirect_that_turns_post_into_get_is_judged_by_get(client, origin_raw):
    origin_raw.reply(response(status="303 x", fields=[("Location", "/next")]))
    assert refused(client.fetch(origin_raw.url(), "POST", body=b"x"), "GET", "AllowMethods=")


@rules("AllowPorts=80 1-79")
def test_a_port_that_is_not_allowed_is_refused(client, origin_raw):
    assert refused(client.fetch(origin_raw.url()), f"port {origin_raw.port}", "AllowPorts=")


@rules("AllowInsecure=no")
def test_certificates_are_checked_where_the_administrator_says_so(client, origin_tls, ca):
    assert refused(client.fetch(origin_tls.url(), insecure=True), "AllowInsecure=no")
    assert client.fetch(origin_tls.url(), ca=ca.pem).done


# -- addresses ------------------------------------------------------------------------------

@rules("AllowNetworks=127.0.0.1 ::1")
def test_the_address_that_is_connected_to_is_judged_and_not_the_name(client, origin_raw):
    assert client.fetch(origin_raw.url(host="localhost")).done
    for host in ("127.0.0.2", "2130706434", "[::ffff:127.0.0.2]"):
        assert refused(client.fetch(origin_raw.url(host=host)), "AllowNetworks= of your [User]",
                       "line 2")
    origin_raw.reply(response(status="302 x", fields=[
        ("Location", f"http://127.0.0.3:{origin_raw.port}/")]))
    assert refused(client.fetch(origin_raw.url()), "127.0.0.3")
    assert len(origin_raw.connections) <= 2


@rules("DenyNetworks=127.0.0.2/31")
def test_cd06_the_addresses_of_proxies_and_what_they_are_asked_for_are_judged(client, origin_raw):
    def through(proxy, url):
        return client.fetch(url, network=proxies.options(proxy))
    assert refused(through(f"http://127.0.0.2:{origin_raw.port}", "http://a.example/"),
                   "DenyNetworks= of your [User]")
    assert refused(through(f"http://127.0.0.1:{origin_raw.port}", "http://127.0.0.3/"))
    assert not origin_raw.requests


@ROOT_ONLY
def test_a_connection_that_a_member_of_a_group_made_is_not_for_who_is_in_none(machine, origin_raw):
    daemon = machine("[Policy]\nDenyNetworks=127.0.0.0/8\n[Group 3001]\nAllowNetworks=::/0\n")
    with client_of(daemon, ANN, (3001,)) as inside, client_of(daemon, ANN) as outside:
        assert inside.fetch(origin_raw.url()).done
        assert refused(outside.fetch(origin_raw.url()), "DenyNetworks= of [Policy]")
        assert inside.fetch(origin_raw.url()).head.connection.reused


# -- whose rules ----------------------------------------------------------------------------

@ROOT_ONLY
@pytest.mark.parametrize("config, ann, bob", [
    (f"[User {ANN}]\nAllowHosts=other.example\n", False, True),
    (f"[Group {ANN}]\nDenyHosts=*\n", False, True),
    (f"[Policy]\nDenyHosts=*\n[User {ANN}]\nAllowHosts=127.0.0.1\n", True, False),
    (f"[Group {ANN}]\nDenyHosts=*\n[User {ANN}]\nAllowHosts=127.0.0.1\n", True, True),
    (f"[Group 3001]\nAllowHosts=127.0.0.1\n[Group 3002]\nDenyHosts=*\n", True, True),
    (f"[Group 3002]\nDenyHosts=*\n[Group 3001]\nAllowHosts=127.0.0.1\n", False, True),
    ("[User daemon]\nDenyHosts=*\n[Group www-data]\nDenyHosts=127.0.0.1\n", True, True),
], ids=range(7))
def test_the_first_section_with_a_word_decides_users_before_groups_in_the_files_order(
        machine, origin_raw, config, ann, bob):
    daemon = machine(config)
    with client_of(daemon, ANN, (3001, 3002)) as a, client_of(daemon, BOB) as b:
        assert (a.fetch(origin_raw.url()).failure is None) == ann
        assert (b.fetch(origin_raw.url()).failure is None) == bob


@ROOT_ONLY
def test_users_and_groups_are_known_by_name(machine, origin_raw):
    www, games = pwd.getpwnam("www-data"), pwd.getpwnam("games")
    daemon = machine("[User games]\nDenyHosts=127.0.0.1\n[Group www-data]\nDenyHosts=localhost\n")
    with client_of(daemon, www.pw_uid) as web, client_of(daemon, games.pw_uid) as play, \
            client_of(daemon, BOB, (www.pw_gid,)) as bob:
        assert refused(play.fetch(origin_raw.url()), "[User games]")
        assert web.fetch(origin_raw.url()).done
        assert refused(web.fetch(origin_raw.url(host="localhost")), "[Group www-data]")
        assert refused(bob.fetch(origin_raw.url(host="localhost")), "[Group www-data]")


@ROOT_ONLY
@pytest.mark.parametrize("config, ann, bob", [
    (f"DenyUsers={ANN}", False, True), (f"AllowUsers={BOB}", False, True),
    (f"DenyGroups={ANN}", False, True), (f"AllowGroups={BOB}", False, True),
    (f"AllowGroups={ANN}\nAllowUsers={BOB}", True, True), ("DenyUsers=www-data", True, True)])
def test_cd05_who_is_not_to_be_served_is_sent_away(machine, config, ann, bob):
    daemon = machine(f"[Policy]\n{config}\n")
    for uid, may in ((ANN, ann), (BOB, bob)):
        if may:
            with client_of(daemon, uid) as client:
                assert client.status().version
            continue
        with pytest.raises(Closed, match="does not let you in .*=.* of .Policy.."):
            with client_of(daemon, uid):
                pass


# -- reload ---------------------------------------------------------------------------------

@rules("AllowHosts=other.example")
def test_a_reload_takes_new_rules_for_who_is_there_and_drops_nothing(xhrd, client, origin_raw):
    assert refused(client.fetch(origin_raw.url()))
    xhrd.config_path.write_text("")
    xhrd.reload()
    hold, held = threading.Event(), []

    def answer(request):
        held.append(request)
        hold.wait(20)
        return response(b"in the end")

    origin_raw.answer = answer
    running = client.open(origin_raw.url())
    wait_until(lambda: held, "the request")
    xhrd.config_path.write_text(f"[User {ME.pw_name}]\nDenyHosts=*\n")
    xhrd.reload()
    hold.set()
    client.finish(running)
    assert running.done
    assert refused(client.fetch(origin_raw.url()), "DenyHosts=")


@rules("AllowHosts=127.0.0.1 localhost")
def test_a_reload_is_asked_before_the_cache_and_for_the_next_hop(xhrd, client, origin_raw):
    kept = response(b"kept", fields=[("Cache-Control", "max-age=1000")])
    away = response(status="302 x", fields=[("Location", origin_raw.url("/kept", host="localhost"))])
    hold, asked = threading.Event(), []

    def answer(request):
        asked.append(request.target)
        if request.target == "/held":
            hold.wait(20)
        return kept if request.target == "/kept" else away

    origin_raw.answer = answer
    url = origin_raw.url("/kept", host="localhost")
    for source in (fetch_pb2.FROM_CACHE_UNSPECIFIED, fetch_pb2.FROM_CACHE_HIT):
        assert client.fetch(url, cache=True).head.from_cache == source
    running = client.open(origin_raw.url("/held"))
    wait_until(lambda: "/held" in asked, "the request")
    xhrd.config_path.write_text(f"[User {ME.pw_name}]\nAllowHosts=127.0.0.1\n")
    xhrd.reload()
    assert refused(client.fetch(url, cache=True), "localhost", "AllowHosts=")
    assert refused(client.fetch(origin_raw.url("/away"), cache=True), "localhost")
    hold.set()
    assert refused(client.finish(running), "localhost")
    assert asked.count("/kept") == 1


@pytest.mark.parametrize("section", ["Network", f"User {ME.pw_name}", "Policy"])
def test_cd06_a_reload_takes_idle_connections_to_what_it_denies(xhrd, client, origin_raw, section):
    assert client.fetch(origin_raw.url()).done
    assert client.fetch(origin_raw.url()).head.connection.reused
    xhrd.config_path.write_text(f"[{section}]\nDenyNetworks=127.0.0.0/8\n")
    xhrd.reload()
    assert refused(client.fetch(origin_raw.url()), "DenyNetworks=")
    assert len(origin_raw.requests) == 2


@rules("AllowHosts=127.0.0.1")
@pytest.mark.parametrize("text, says", [
    ("[User root]\nAllowHosts=http://a/\n", ["AllowHosts=http://a/: wants names"]),
    ("[User root]\nAllowPorts=0\n", ["AllowPorts=0: wants ports"]),
    ("[User root]\nAllowNetworks=10.0.0.0/33\n", ["AllowNetworks=10.0.0.0/33"]),
    ("[User root]\nAllowMethods=CONNECT\n", ["AllowMethods=CONNECT"]),
    ("[User root]\nAllowInsecure=maybe\n", ["AllowInsecure=maybe: wants yes or no"]),
    ("[User root]\nLogLevel=info\n", ["LogLevel= cannot be set in [User root]"]),
    ("[User root]\nAllowHost=a\n", ["no key AllowHost= in [User root]"]),
    ("[User ]\nAllowHosts=a\n", ["wants the name or the number of one user"]),
    ("[Users]\nAllowHosts=a\n", ["AllowHosts= stands in [Users]", "[Policy]"]),
    ("[User root]\nRequestsPerUser=0\n", ["RequestsPerUser=0: wants a number"]),
    ("[User root]\nAllowUsers=ann\n", ["AllowUsers= cannot be set in [User root]"]),
], ids=range(11))
def test_a_wrong_rule_is_refused_with_its_line_and_the_old_ones_stay(xhrd, client, origin_raw,
                                                                      text, says):
    xhrd.config_path.write_text(text)
    os.kill(xhrd.pid, 1)
    wait_until(lambda: f"{xhrd.config_path}:2: " in xhrd.log(), "the complaint")
    assert all(word in xhrd.log() for word in says), xhrd.tail()
    assert client.fetch(origin_raw.url()).done
    assert refused(client.fetch(origin_raw.url(host="localhost")), "AllowHosts=")


# -- policy check ---------------------------------------------------------------------------

@rules("DenyHosts=evil.example", "AllowHosts=*.example 127.0.0.1", "AllowMethods=GET")
def test_xhrctl_says_which_rule_decides(xhrd, xhrctl):
    run = xhrctl("policy", "check", "http://127.0.0.1:81/", check=0)
    assert "AllowHosts=" in run.out and "line 3" in run.out and run.out.endswith("allowed\n")
    run = xhrctl("policy", "check", "http://evil.example/", check=0)
    assert "refuses  evil.example:80: refused by DenyHosts=" in run.out, run.out
    assert run.out.endswith("refused\n")
    run = xhrctl("--json", "policy", "check", "http://169.254.169.254/", "--method", "PUT",
                 check=0)
    verdict = json.loads(run.out)
    assert not verdict["allowed"] and verdict["uid"] == os.geteuid()
    refusals = [step["text"] for step in verdict["steps"] if step["word"] == "refuses"]
    assert len(refusals) == 3 and "AllowMethods=" in refusals[0] and "DenyNetworks=" in refusals[2]


@pytest.mark.xhrd(config="[Network]\nProxy=http://169.254.169.254:3128\nNoProxy=127.0.0.1\n")
def test_a_check_judges_the_address_of_the_proxy_where_one_is_used(xhrd, xhrctl):
    run = xhrctl("policy", "check", "http://a.example/", check=0)
    assert "silent   through the proxy http://169.254.169.254:3128" in run.out
    assert "refuses  169.254.169.254:3128 lies in" in run.out and run.out.endswith("refused\n")
    assert xhrctl("policy", "check", "http://127.0.0.1/", check=0).out.endswith("allowed\n")


def test_a_users_own_daemon_serves_nobody_else_whatever_the_rules_say(xhrd, xhrctl):
    run = xhrctl("policy", "check", "http://127.0.0.1/", "--as", "4711", check=0)
    assert "refuses  this daemon serves one user and root" in run.out and run.out.endswith("refused\n")
    for who in ("0", str(os.geteuid())):
        assert xhrctl("policy", "check", "http://127.0.0.1/", "--as", who, check=0).out.endswith("allowed\n")


@ROOT_ONLY
def test_users_may_check_themselves_and_root_may_check_anybody(machine):
    daemon = machine(f"[User {ANN}]\nDenyHosts=*\n[User games]\nDenyHosts=*\n")

    def check(client, user):
        question = admin_pb2.PolicyQuestion(url=b"http://127.0.0.1/", user=user)
        return client._command("admin", topic=admin_pb2.ADMIN_TOPIC_POLICY, policy=question)[0]

    with client_of(daemon, ANN) as ann, daemon.client() as root:
        assert not check(ann, b"").policy.allowed
        assert not check(ann, b"2001").policy.allowed
        for other in (b"games", b"nobody-at-all", b"0"):
            assert check(ann, other).failure.text == b"user: only administrators may ask about others"
        assert not check(root, b"games").policy.allowed
        assert check(root, b"").policy.allowed
        assert b"user nobody-at-all: there is none" in check(root, b"nobody-at-all").failure.text
