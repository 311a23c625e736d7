# SPDX-License-Identifier: MIT
"""Logins of the administrator's: added by the daemon to requests to exactly one host over https,
and seen by no client: not in events, not in fields that come back, not at another host."""
import os
import pwd
import re

import proxies
import pytest
from origins import response
from programs import XHRCTL, Program
from waiting import wait_until
from wire import admin_pb2, fetch_pb2

pytestmark = pytest.mark.shallow

TOKEN = "t0ken-of-the-administrator"
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def service(make_xhrd, make_tls_origin, folder):
    """An origin that is let in by the machine's authorities, and a daemon with a login for it."""
    folder.mkdir(exist_ok=True)
    origin = make_tls_origin("localhost", "127.0.0.1")
    path = folder / "token"
    path.write_text(TOKEN + "\n")

    def make(what="bearer", ca=None, text=TOKEN, host="localhost", where=None, **more):
        path.write_text(text + "\n")
        daemon = make_xhrd(config=f"[TLS]\nCAFile={ca.pem}\n[User {ME}]\n"
                           f"Credential={host}:{origin.port} {what} {where or path}\n", **more)
        return daemon, origin, path
    return make


def authorizations(origin):
    return [request.get("Authorization") for request in origin.requests]


def test_a_token_goes_along_and_the_client_never_sees_it(service, ca):
    daemon, origin, _ = service(ca=ca)
    origin.answer = lambda request: response(b"in", fields=[
        ("X-Echo", request.get("Authorization") or "-"), ("X-Other", "kept"),
        ("Set-Cookie", f"echo={TOKEN}")])
    with daemon.client() as client:
        exchange = client.fetch(origin.url(host="localhost"), tell_sent_headers=True,
                                headers=[("Authorization", "Bearer mine")])
        assert exchange.body == b"in" and authorizations(origin) == [f"Bearer {TOKEN}"]
        assert exchange.header("X-Echo") == "****" and exchange.header("X-Other") == "kept"
        assert exchange.sent_header("Authorization") is None
        assert TOKEN not in str(exchange.head) and TOKEN not in str(client.cookies())
    assert TOKEN not in daemon.log()


def test_a_user_and_a_password_go_along(service, ca):
    daemon, origin, _ = service("basic", ca, "robot:pass:word")
    origin.answer = lambda request: response(b"in", fields=[("X-Echo", "pass:word")])
    with daemon.client() as client:
        assert client.fetch(origin.url(host="localhost")).header("X-Echo") == "****"
    assert authorizations(origin) == ["Basic cm9ib3Q6cGFzczp3b3Jk"]


def test_a_redirect_takes_it_nowhere_else(service, ca, make_tls_origin, origin_raw):
    daemon, origin, _ = service(ca=ca)
    for elsewhere in (origin.url("/there", host="127.0.0.1"), origin_raw.url("/there"),
                      f"http://localhost:{origin_raw.port}/there"):
        origin.answer = lambda request, to=elsewhere: response(b"end") \
            if request.target == "/there" else response(status="307 x", fields=[("Location", to)])
        with daemon.client() as client:
            assert client.fetch(origin.url(host="localhost")).done
            assert client.fetch(origin.url("/there", host="127.0.0.1")).done
    assert not any(authorizations(origin_raw)) and len(origin_raw.requests) == 2
    for request in origin.requests:
        at_its_host = request.get("Host").startswith("localhost")
        assert (request.get("Authorization") == f"Bearer {TOKEN}") == at_its_host, request


def test_a_location_that_tells_it_is_masked_and_not_followed(service, ca):
    daemon, origin, _ = service(ca=ca)
    origin.answer = lambda request: response(b"end") if request.target != "/" else response(
        status="302 x", fields=[("Location", f"/next?token={TOKEN}")])
    with daemon.client() as client:
        exchange = client.fetch(origin.url(host="localhost"))
        assert exchange.failure == "REDIRECT" and "repeats the administrator's login" in exchange.text
        assert TOKEN not in str(exchange.redirects) + str(exchange.head)
        exchange = client.fetch(origin.url(host="localhost"), redirect=fetch_pb2.REDIRECT_MODE_STOP)
        assert exchange.status == 302 and exchange.header("Location") == "****"
    assert [request.target for request in origin.requests] == ["/", "/"]


def test_a_401_is_the_answer_and_nobody_elses_login_is_tried(service, ca):
    daemon, origin, _ = service(ca=ca)
    origin.reply(response(status="401 x", fields=[("WWW-Authenticate", 'Basic realm="r"')]))
    login = fetch_pb2.Credentials(scheme=fetch_pb2.AUTH_SCHEME_BASIC, user=b"me", password=b"x")
    with daemon.client() as client:
        assert client.fetch(origin.url(host="localhost"), credentials=login).status == 401
    assert authorizations(origin) == [f"Bearer {TOKEN}"]


def test_whoever_leads_a_request_elsewhere_is_refused(service, ca, origin_raw):
    daemon, origin, _ = service(ca=ca)
    url = origin.url(host="localhost")
    ways = {
        "resolve": {"network": fetch_pb2.NetworkOptions(resolve=[fetch_pb2.ResolveOverride(
            host=b"localhost", port=origin.port, addresses=[b"127.0.0.1"])])},
        "connect-to": {"network": fetch_pb2.NetworkOptions(connect_to=[fetch_pb2.ConnectTo(
            host=b"localhost", port=origin.port, to_host=b"127.0.0.1",
            to_port=origin_raw.port)])},
        "proxy": {"network": proxies.options(f"http://127.0.0.1:{origin_raw.port}")},
        "insecure": {"insecure": True},
        "ca": {"ca": ca.pem},
    }
    with daemon.client() as client:
        for name, options in ways.items():
            exchange = client.fetch(url, **options)
            assert exchange.failure == "POLICY" and exchange.text.startswith(f"{name}: not to")
    assert not origin.requests and not origin_raw.connections


def test_a_reload_reads_the_file_again_and_leaves_the_old_one_where_it_cannot(service, ca):
    daemon, origin, path = service(ca=ca)
    with daemon.client() as client:
        assert client.fetch(origin.url(host="localhost")).done
        path.write_text("another-token\n")
        daemon.reload()
        assert client.fetch(origin.url(host="localhost")).done
        path.write_text("two words\n")
        os.kill(daemon.pid, 1)
        wait_until(lambda: "wants a token in it" in daemon.log(), "the complaint")
        assert client.fetch(origin.url(host="localhost")).done
    assert authorizations(origin) == [f"Bearer {TOKEN}", *2 * ["Bearer another-token"]]
    assert f"{daemon.config_path}:4: Credential=localhost" in daemon.log()
    assert "two words" not in daemon.log()


def test_a_name_is_a_credential_of_systemd(service, ca, folder):
    daemon, origin, path = service(ca=ca, where="token", env={"CREDENTIALS_DIRECTORY": str(folder)})
    with daemon.client() as client:
        assert client.fetch(origin.url(host="localhost")).done
    assert authorizations(origin) == [f"Bearer {TOKEN}"]


def test_others_have_no_login(make_xhrd, make_tls_origin, folder, ca):
    origin = make_tls_origin("localhost")
    (folder / "token").write_text(TOKEN)
    daemon = make_xhrd(config=f"[TLS]\nCAFile={ca.pem}\n[User 4711]\n"
                       f"Credential=localhost:{origin.port} bearer {folder}/token\n")
    with daemon.client() as client:
        assert client.fetch(origin.url(host="localhost")).done
    assert authorizations(origin) == [None]


T = TOKEN.encode()
OK = b"HTTP/1.1 200 OK\r\n"
PLACES = {
    "reason": b"HTTP/1.1 200 " + T + b"\r\nContent-Length: 0\r\n\r\n",
    "field": OK + b"X: a" + T + b"b\r\nContent-Length: 0\r\n\r\n",
    "name of a field": OK + T + b": x\r\nContent-Length: 0\r\n\r\n",
    "informational": b"HTTP/1.1 103 " + T + b"\r\nLink: " + T + b"\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "trailer": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + T + b"\r\n" + T + b": x\r\n\r\n",
    "cookie": OK + b"Set-Cookie: " + T + b"=" + T + b"; Max-Age=1000\r\nContent-Length: 0\r\n\r\n",
    "cookie refused": OK + b"Set-Cookie: a=b; Domain=" + T + b"\r\nContent-Length: 0\r\n\r\n",
    "challenge": b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"" + T + b"\"\r\nContent-Length: 0\r\n\r\n",
    "type": OK + b"Content-Type: " + T + b"\r\nContent-Length: 0\r\n\r\n",
    "length": OK + b"Content-Length: " + T + b"\r\n\r\n",
    "coding": OK + b"Content-Encoding: " + T + b"\r\nContent-Length: 0\r\n\r\n",
    "transfer coding": OK + b"Transfer-Encoding: " + T + b"\r\n\r\n",
    "version": b"HTTP/" + T + b" 200 OK\r\n\r\n",
    "status": b"HTTP/1.1 " + T + b" OK\r\n\r\n",
    "no answer at all": T + b"\r\n\r\n",
    "a line without a colon": OK + T + b"\r\n\r\n",
    "a name that cannot be": OK + b"a " + T + b": x\r\n\r\n",
    "size of a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n" + T + b"\r\n",
    "a host to go to": b"HTTP/1.1 302 x\r\nLocation: https://" + T + b".example/\r\nContent-Length: 0\r\n\r\n",
    "a query to go to": b"HTTP/1.1 302 x\r\nLocation: https://localhost:1/?" + T + b"\r\nContent-Length: 0\r\n\r\n",
    "a place that is none": b"HTTP/1.1 302 x\r\nLocation: " + T + b"://x\r\nContent-Length: 0\r\n\r\n",
    "hsts": OK + b"Strict-Transport-Security: max-age=" + T + b"\r\nContent-Length: 0\r\n\r\n",
    "alt-svc": OK + b"Alt-Svc: h3=\"" + T + b":443\"\r\nContent-Length: 0\r\n\r\n",
    "etag to keep": OK + b"Cache-Control: max-age=1000\r\nETag: \"" + T + b"\"\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_a_server_repeats_it_nobody_is_told(service, ca, folder, place):
    """To the byte: what goes to the client, to monitors, records, listings, the log and the disk."""
    daemon, origin, _ = service(ca=ca)
    origin.reply(PLACES[place])
    with daemon.client() as client, daemon.client() as watcher:
        heard = []
        for each in (client, watcher):
            each._frame = lambda frame=each._frame: heard.append(frame() or b"") or heard[-1] or None
        watcher._next_id += 1
        watcher.send("admin", command_id=watcher._next_id, topic=admin_pb2.ADMIN_TOPIC_MONITOR)
        watcher.receive_until(lambda: watcher.replies)
        exchange = client.fetch(origin.url(host="localhost"), tell_sent_headers=True, cache=True)
        assert exchange.ended and set(authorizations(origin)) == {f"Bearer {TOKEN}"}
        client.cookies()
        for topic in (admin_pb2.ADMIN_TOPIC_CACHE, admin_pb2.ADMIN_TOPIC_CONNECTIONS,
                      admin_pb2.ADMIN_TOPIC_STATUS, admin_pb2.ADMIN_TOPIC_METRICS):
            client.admin(topic)
        wait_until(lambda: " request 1 GET " in daemon.log(), "the line of the request")
        number = re.search(r"request (\d+) GET", daemon.log()).group(1)
        xhrctl = Program(XHRCTL, folder, XHRD_SOCKET=str(daemon.socket_path))
        har = xhrctl("har", number, check=0).out
        watcher.receive_until(lambda: any(b"GET" in frame for frame in heard))
    daemon.stop()
    secrets = (T, b"Bearer t0ken")
    on_disk = [path for path in daemon.state_dir.rglob("*") if path.is_file()
               if any(secret in path.read_bytes() for secret in secrets)]
    assert not on_disk
    assert TOKEN not in har and TOKEN not in daemon.log()
    assert not [frame for frame in heard if T in frame]
    daemon.start()
