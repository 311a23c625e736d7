# SPDX-License-Identifier: MIT
"""`xhrctl policy check URL --as USER` and what a request of that user really gets are the same, over
every rule there is: whoever changes one of the two without the other fails here."""
import contextlib
import itertools
import json
import os
import pwd

import pytest
from origins import ScriptedOrigin, response, tls_server
from test_policy import client_of
from wire import admin_pb2

pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")]

NAMES = {"api.wide.test": "127.0.0.1", "deep.api.wide.test": "127.0.0.1", "evil.wide.test": "127.0.0.1",
         "far.test": "127.0.0.9", "six.test": "::1", "both.test": "127.0.0.9 127.0.0.1"}
USERS = ("games", "www-data", "daemon", "nobody", "2001")

RULES = """
[TLS]
CAFile={ca}
[Network]
DenyNetworks=127.0.0.66
[Policy]
DenyHosts=evil.wide.test
DenyUsers=daemon
AllowMethods=GET POST get PURGE
AllowPorts=80 {http} {https}
DenyNetworks=127.0.0.64/31
[User games]
AllowHosts=*.wide.test 127.0.0.1:{http} [::1] b\u00fccher.test localhost
DenyHosts=deep.api.wide.test
AllowMethods=GET PATCH
AllowInsecure=no
[User www-data]
AllowNetworks=127.0.0.1 ::ffff:127.0.0.1
AllowPorts=1-65535
Credential=localhost:{https} bearer {token}
[Group nogroup]
Proxy=http://127.0.0.1:{http}
NoProxy=far.test
DenyHosts=* 
AllowMethods=GET
[User nobody]
AllowHosts=*
DenyNetworks=127.0.0.9
"""


@pytest.fixture
def machine(make_xhrd, folder, ca):
    """The system's daemon with these rules, names of its own, and an origin for each scheme."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(
        f"{address} {name}\n" for name, addresses in NAMES.items() for address in addresses.split()))
    (folder / "token").write_text("token-of-the-administrator\n")
    plain, tls = ScriptedOrigin(), ScriptedOrigin(tls_server(ca, "localhost", *NAMES))
    plain.reply(response(b"in"))
    tls.reply(response(b"in"))
    daemon = make_xhrd("--system", binds={"/etc/hosts": hosts}, config=RULES.format(
        ca=ca.pem, http=plain.port, https=tls.port, token=folder / "token"))
    folder.chmod(0o711)
    daemon.socket_path.chmod(0o666)
    yield daemon, plain, tls
    plain.stop()
    tls.stop()


def urls(plain, tls):
    for host in ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.9", "127.0.0.64", "127.0.0.66", "[::1]",
                 "[::ffff:127.0.0.1]", "[::ffff:127.0.0.66]", "2130706433", "0.0.0.0", *NAMES,
                 "API.Wide.TEST", "api.wide.test.", "wide.test"):
        yield f"http://{host}:{plain.port}/"
        if not host[0].isdigit() and host[0] != "[":
            yield f"https://{host}:{tls.port}/"
    yield "http://localhost:1/"
    yield "http://localhost/"


def verdict_of(root, user, url, method, insecure):
    question = admin_pb2.PolicyQuestion(url=url.encode(), user=user.encode(), method=method.encode(),
                                        insecure=insecure)
    (reply,) = root._command("admin", topic=admin_pb2.ADMIN_TOPIC_POLICY, policy=question)
    return reply.policy


def ids_of(user):
    """uid and groups as the user database has them."""
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(user)
        return entry.pw_uid, [entry.pw_gid, *os.getgrouplist(user, entry.pw_gid)]
    return int(user), []


@contextlib.contextmanager
def asked_by(daemon, user):
    """As one who has logged in: with all his groups."""
    uid, groups = ids_of(user)
    with client_of(daemon, uid, groups) as client:
        yield client


@pytest.mark.parametrize("user", USERS)
def test_a_check_says_what_a_request_gets(machine, user):
    daemon, plain, tls = machine
    wrong, seen = [], set()
    with daemon.client() as root:
        if user == "daemon":
            for url in urls(plain, tls):
                assert not verdict_of(root, user, url, "GET", False).allowed
            return
        with asked_by(daemon, user) as client:
            for url, method, insecure in itertools.product(
                    urls(plain, tls), ("GET", "get", "POST", "PATCH", "patch", "PURGE"), (False, True)):
                if method != "GET" and "localhost" not in url:
                    continue
                verdict = verdict_of(root, user, url, method, insecure)
                exchange = client.fetch(url, method, insecure=insecure)
                is_refused = exchange.failure == "POLICY"
                seen.add(is_refused)
                told = [step.text.decode() for step in verdict.steps
                        if step.word == admin_pb2.POLICY_WORD_REFUSES]
                if verdict.allowed == is_refused or (is_refused and exchange.text not in told):
                    wrong.append((url, method, insecure, verdict.allowed, exchange.failure,
                                  exchange.text, told))
    assert not wrong, "\n".join(map(str, wrong))
    assert seen == {True, False}


def test_nobody_else_than_a_user_can_be_asked_about(machine, folder):
    daemon, plain, _ = machine
    from programs import XHRCTL, Program
    xhrctl = Program(XHRCTL, folder, XHRD_SOCKET=str(daemon.socket_path))
    for who in ("@nogroup", "no-such-user", "-1", "4294967295", "a b"):
        run = xhrctl("policy", "check", plain.url(), "--as", who, check=2)
        assert f"user {who}" in run.err and "name or number" in run.err, run.err
    run = xhrctl("policy", "check", plain.url(), "--as", "", check=2)
    assert "--as" in run.err
    run = xhrctl("--json", "policy", "check", plain.url(), "--as", "4711", check=0)
    assert json.loads(run.out)["uid"] == 4711
