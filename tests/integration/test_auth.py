# SPDX-License-Identifier: MIT
"""Logins against real servers, and against one that never has enough (AU06, AU07, RD09)."""
import contextlib
import fcntl
import hashlib
import os
import pty
import re
import termios

import pytest
from origins import response
from waiting import wait_until
from wire import fetch_pb2

PASSWORD = "open sesame"


def login(scheme, user=b"ali", password=PASSWORD.encode(), **more):
    return fetch_pb2.Credentials(scheme=scheme, user=user, password=password, **more)


DIGEST = login(fetch_pb2.AUTH_SCHEME_DIGEST)
ANY = login(fetch_pb2.AUTH_SCHEME_ANY)


def asks(*challenges):
    return response(b"who?", status="401 Unauthorized",
                    fields=[("WWW-Authenticate", text) for text in challenges])


def params(value):
    """The parameters of an Authorization value."""
    scheme, _, rest = value.partition(" ")
    assert scheme == "Digest", value
    found = re.findall(r'([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)
    return {name: quoted or plain for name, quoted, plain in found}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def right_response(request, realm="cave"):
    """What mod_auth_digest would compute, from RFC 7616 and not from our code."""
    said = params(request.get("Authorization"))
    secret = md5(f"ali:{realm}:{PASSWORD}")
    asked = md5(f"{request.method}:{said['uri']}")
    return md5(":".join((secret, said["nonce"], said["nc"], said["cnonce"], said["qop"], asked)))


def added_to(apache, before, n):
    """The n lines of its log that came since; it writes them behind the answer."""
    wait_until(lambda: len(apache.log()) >= len(before) + n, f"{n} lines of Apache's log")
    return apache.log()[len(before):]


# ---- real servers

@pytest.mark.shallow
def test_digest_against_apache_and_the_nonce_serves_the_next_request(client, origin_apache):
    before = origin_apache.log()
    for _ in range(3):
        exchange = client.fetch(origin_apache.url("/private?a=b"), credentials=DIGEST)
        assert (exchange.head.status, exchange.body) == (200, b"private\n"), exchange.text
    seen = added_to(origin_apache, before, 4)
    assert [status for status, _, _ in seen] == ["401", "200", "200", "200"]
    counts = [re.search(r"nc=(\w+)", value) for _, _, value in seen]
    assert [m and m.group(1) for m in counts] == [None, "00000001", "00000002", "00000003"]


def test_digest_against_apache_with_the_next_nonce_each_time(client, origin_apache):
    before = origin_apache.log()
    for _ in range(3):
        exchange = client.fetch(origin_apache.url("/renewed"), credentials=DIGEST)
        assert exchange.body == b"renewed\n", exchange.text
    seen = added_to(origin_apache, before, 4)
    assert [status for status, _, _ in seen] == ["401", "200", "200", "200"]
    assert all("nc=00000001" in value for _, _, value in seen[1:])


def test_au06_wrong_password_at_apache_is_tried_once(client, origin_apache):
    before = origin_apache.log()
    exchange = client.fetch(origin_apache.url(), credentials=login(
        fetch_pb2.AUTH_SCHEME_DIGEST, password=b"wrong"))
    assert exchange.head.status == 401
    assert [status for status, _, _ in added_to(origin_apache, before, 2)] == ["401", "401"]


@pytest.mark.shallow
def test_digest_of_xhr_against_apache(xhr, xhrd, origin_apache):
    url = origin_apache.url()
    assert xhr("--digest", "-u", f"ali:{PASSWORD}", url, check=0).out == "private\n"
    assert xhr("--anyauth", "-u", f"ali:{PASSWORD}", url, url, check=0).out == "private\n" * 2
    inside = url.replace("://", "://ali:open%20sesame@")
    assert xhr("--digest", inside, check=0).out == "private\n"
    assert xhr("-f", "--digest", "-u", "ali:wrong", url, check=22)
    assert "sesame" not in xhrd.log()


def test_au07_any_answers_basic_over_https_and_not_over_http(xhr, origin_nginx, ca):
    plain, tls = origin_nginx.plain_url("/private"), origin_nginx.url("/private")
    user = f"ali:{PASSWORD}"
    assert xhr("-f", "--anyauth", "-u", user, plain, check=22)
    assert xhr("--anyauth", "-u", user, "--cacert", ca.pem, tls, check=0).out == "treasure\n"
    assert xhr("--basic", "-u", user, plain, check=0).out == "treasure\n"


def on_terminal(xhr, typed, *arguments):
    """Run with a controlling terminal. Return: (exit status, stdout, what the terminal showed)."""
    ours, theirs = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with xhr.start(*arguments, preexec_fn=take_terminal, pass_fds=(theirs,)) as run:
        os.close(theirs)
        shown = b""
        while b"': " not in shown:  # the question
            shown += os.read(ours, 1024)
        os.write(ours, typed)
        out, _ = run.communicate(timeout=30)
    with contextlib.suppress(OSError):  # EIO: nobody is left on the other side
        shown += os.read(ours, 1024)
    os.close(ours)
    return run.returncode, out.decode(), shown.decode()


def test_a_missing_password_is_asked_for_on_the_terminal(xhr, origin_nginx, origin_apache):
    for flags, url, body in ((("-u", "ali"), origin_nginx.plain_url("/private"), "treasure\n"),
                             (("--digest", "-u", "ali"), origin_apache.url(), "private\n")):
        status, out, shown = on_terminal(xhr, f"{PASSWORD}\n".encode(), *flags, url)
        assert (status, out) == (0, body)
        assert "host password for user 'ali'" in shown and PASSWORD not in shown
    status, _, _ = on_terminal(xhr, b"\x03", "-u", "ali", origin_nginx.plain_url("/private"))
    assert status in (42, 130, -2)


# ---- a server that plays

def test_au06_stale_for_ever_sees_credentials_twice(client, origin_raw):
    count = iter(range(100))
    origin_raw.answer = lambda request: asks(
        f'Digest realm="cave", nonce="n{next(count)}", qop="auth", stale=true')
    exchange = client.fetch(origin_raw.url(), credentials=DIGEST)
    assert (exchange.head.status, exchange.body) == (401, b"who?")
    sent = [r.get("Authorization") for r in origin_raw.requests]
    assert sent[0] is None and [params(v)["nonce"] for v in sent[1:]] == ["n0", "n1"]


@pytest.mark.shallow
def test_au06_401_for_ever_ends_with_the_401(client, origin_raw):
    origin_raw.reply(asks('Basic realm="x"', 'Digest realm="cave", nonce="n", qop="auth"'))
    for scheme, most in ((fetch_pb2.AUTH_SCHEME_BASIC, 2), (fetch_pb2.AUTH_SCHEME_DIGEST, 2),
                         (fetch_pb2.AUTH_SCHEME_ANY, 2)):
        before = len(origin_raw.requests)
        exchange = client.fetch(origin_raw.url(), credentials=login(scheme))
        assert exchange.head.status == 401
        assert len(origin_raw.requests) - before <= most


def test_au07_digest_is_taken_where_basic_is_offered_too(client, origin_raw):
    def answer(request):
        if not (request.get("Authorization") or "").startswith("Digest"):
            return asks('Basic realm="cave", Digest realm="cave", nonce="n", qop="auth, auth-int"')
        right = params(request.get("Authorization"))["response"] == right_response(request)
        return response(b"treasure") if right else asks('Digest realm="cave", nonce="m"')

    origin_raw.answer = answer
    assert client.fetch(origin_raw.url("/a?b"), credentials=ANY).body == b"treasure"
    assert [r.get("Authorization") is None for r in origin_raw.requests] == [True, False]


def test_au03_challenges_without_end_are_no_challenge(client, origin_raw):
    origin_raw.replies(asks('Digest realm="cave", nonce="' + "n" * 60000 + '"'),
                       asks(*['Digest realm="x", nonce="n", algorithm=odd'] * 200),
                       asks('Digest realm="cave, nonce="n"'))
    for n in range(1, 4):
        assert client.fetch(origin_raw.url(), credentials=DIGEST).head.status == 401
        assert len(origin_raw.requests) == n


def test_nonce_that_has_grown_old_is_replaced_on_the_way(client, origin_raw):
    fresh = ["first"]

    def answer(request):
        value = request.get("Authorization")
        if value and params(value)["nonce"] == fresh[0]:
            return response(b"treasure")
        stale = ", stale=true" if value else ""
        return asks(f'Digest realm="cave", nonce="{fresh[0]}", qop="auth"{stale}')

    origin_raw.answer = answer
    assert client.fetch(origin_raw.url(), credentials=DIGEST).body == b"treasure"
    fresh[0] = "second"
    assert client.fetch(origin_raw.url(), credentials=DIGEST).body == b"treasure"
    sent = [r.get("Authorization") for r in origin_raw.requests]
    assert [v and params(v)["nonce"] for v in sent] == [None, "first", "first", "second"]


@pytest.mark.shallow
def test_rd09_digest_at_one_host_then_another(client, origin_raw, origin_raw2):
    def answer(request):
        return response(b"in") if request.get("Authorization") else asks(
            'Digest realm="cave", nonce="n", qop="auth"')

    origin_raw.answer = origin_raw2.answer = answer
    for origin in (origin_raw, origin_raw2):
        assert client.fetch(origin.url(), credentials=DIGEST).body == b"in"
        assert [r.get("Authorization") is None for r in origin.requests] == [True, False]


def test_lb11_no_cnonce_is_sent_twice_by_any_daemon_to_origin_or_proxy(make_xhrd, origin_raw):
    """One that could be foretold, or came again after a restart, would make a chosen nonce worth
    choosing. (An algorithm with -sess keeps its first: RFC 7616, section 3.4.2.)"""
    def answer(request):
        if request.target.startswith("http://"):  # the same server plays a proxy
            name, status = "Proxy-", "407 Proxy Authentication Required"
            said = request.get("Proxy-Authorization")
        else:
            name, status, said = "WWW-", "401 Unauthorized", request.get("Authorization")
        return response(b"in") if said else response(status=status, fields=[
            (name + "Authenticate", 'Digest realm="cave", nonce="n", qop="auth"')])

    origin_raw.answer = answer
    through = fetch_pb2.NetworkOptions(proxy=fetch_pb2.ProxyOptions(http=fetch_pb2.Proxy(
        url=origin_raw.url("").rstrip("/").encode(), user=b"p", password=b"q",
        scheme=fetch_pb2.AUTH_SCHEME_DIGEST)))
    daemons = [make_xhrd(), make_xhrd()]
    for round_ in range(2):
        for daemon in daemons:
            with daemon.client() as connection:
                for _ in range(20):
                    assert connection.fetch(origin_raw.url(), credentials=DIGEST).body == b"in"
                    assert connection.fetch("http://a.test/", network=through).body == b"in"
        if round_ == 0:
            daemons[0].stop()
            daemons[0].start()
    sent = [params(value)["cnonce"] for request in origin_raw.requests
            if (value := request.get("Authorization") or request.get("Proxy-Authorization"))]
    assert len(sent) == len(set(sent)) == 160
    assert all(re.fullmatch("[0-9a-f]{32}", cnonce) for cnonce in sent)


def test_profiles_of_a_user_share_no_nonce(xhrd, origin_raw):
    origin_raw.answer = lambda request: response(b"in") if request.get("Authorization") else asks(
        'Digest realm="cave", nonce="n", qop="auth"')
    for profile in ("", "work"):
        before = len(origin_raw.requests)
        with xhrd.client(profile=profile) as connection:
            assert connection.fetch(origin_raw.url(), credentials=DIGEST).body == b"in"
        assert origin_raw.requests[before].get("Authorization") is None


def test_rd01_rd05_rd10_rd14_login_and_token_stay_at_their_origin(xhr, origin_raw, origin_raw2):
    """There, back again, and a 401 at the end: nothing after the first step."""
    def home(request):
        if request.target == "/back":
            return asks('Digest realm="cave", nonce="n"', 'Basic realm="x"')
        if not request.get("Authorization"):
            return asks('Digest realm="cave", nonce="n", qop="auth"')
        return response(status="307 Go", fields=[("Location", origin_raw2.url("/"))])

    origin_raw.answer = home
    origin_raw2.answer = lambda request: response(
        status="307 Go", fields=[("Location", origin_raw.url("/back"))])
    for flags in (("--digest", "-u", f"ali:{PASSWORD}"), ("--oauth2-bearer", "t0ken")):
        xhr("-f", *flags, origin_raw.url("/out"), check=22)
    assert all(r.get("Authorization") is None for r in origin_raw2.requests)
    assert len(origin_raw2.requests) == 2
    back = [r for r in origin_raw.requests if r.target == "/back"]
    assert [r.get("Authorization") for r in back] == [None, None]


@pytest.mark.shallow
def test_token_goes_ahead_and_is_told_to_nobody(xhr, xhrd, origin_raw):
    run = xhr("-v", "--events", "--oauth2-bearer", "t0ken-of-ali", origin_raw.url(), check=0)
    assert [r.get("Authorization") for r in origin_raw.requests] == ["Bearer t0ken-of-ali"]
    assert "t0ken-of-ali" not in run.out + run.err + xhrd.log()
    assert xhr("--oauth2-bearer", "a b", origin_raw.url()).status != 0
    assert len(origin_raw.requests) == 1


def test_digest_is_told_to_nobody(xhr, xhrd, origin_raw):
    origin_raw.answer = lambda request: response(b"in") if request.get("Authorization") else asks(
        'Digest realm="cave", nonce="n", qop="auth"')
    run = xhr("-v", "--events", "--digest", "-u", "ali:open-sesame", origin_raw.url(), check=0)
    proof = params(origin_raw.requests[1].get("Authorization"))["response"]
    for secret in ("open-sesame", proof):
        assert secret not in run.out + run.err + xhrd.log()
