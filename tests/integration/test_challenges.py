# SPDX-License-Identifier: MIT
"""A 401 that nothing given answers is put to the program, which answers at once, later or never;
and bodies that have to go up once more for it."""
import hashlib
import os
import socket

import pytest
from libxhr import Client, constants, text_of
from origins import response
from test_auth import PASSWORD, asks, params, right_response
from waiting import wait_until

WRONG = {"username": "ali", "password": "wrong"}
RIGHT = {"username": "ali", "password": PASSWORD}
DIGEST = 'Digest realm="cave", nonce="n", qop="auth"'


@pytest.fixture
def library(xhrd):
    client = Client(xhrd.socket_path)
    made = []

    def make(**options):
        request = client.request(challenges=True, **options)
        made.append(request)
        return request

    make.client = client
    yield make
    for request in made:
        request.check()
        request.free()
    client.close()


def start(request, url, method="GET", body=None):
    assert request.open(url, method) == 0
    assert request.send(body) == 0
    return request


def wait_for(library, request, word):
    library.client.wait_until(lambda: word in request.words)


# ---- real servers

@pytest.mark.shallow
def test_digest_of_apache_a_second_try_is_asked_for(library, origin_apache):
    request = start(library(), origin_apache.url())
    wait_for(library, request, "challenge:1")
    _, told = request.events[-1]
    assert told == {"scheme": "Digest", "realm": "cave", "is_proxy": False,
                    "origin": f"http://localhost:{origin_apache.port}",
                    "offers": [("Digest", "cave")]}
    assert request.words[-2:] == ["wait:auth", "challenge:1"]
    assert request.answer_challenge(**WRONG) == 0
    wait_for(library, request, "challenge:2")
    assert request.answer_challenge(**RIGHT) == 0
    request.finish()
    assert (request.status, request.response) == (200, b"private\n")
    assert request.story() == "1 challenge:1 challenge:2 2 headers 3 down 4 load"


@pytest.mark.shallow
def test_basic_of_nginx_from_inside_the_callback(library, origin_nginx):
    request = library()
    request.login = RIGHT
    start(request, origin_nginx.plain_url("/private")).finish()
    assert (request.status, request.response) == (200, b"treasure\n")
    _, told = next(event for event in request.events if event[0] == "challenge:1")
    assert (told["scheme"], told["realm"]) == ("Basic", "private")


@pytest.mark.shallow
def test_nobody_logs_in_and_the_401_is_the_answer(library, origin_nginx):
    request = start(library(), origin_nginx.plain_url("/private"))
    wait_for(library, request, "challenge:1")
    assert request.answer_challenge() == 0
    request.finish()
    assert request.status == 401 and b"401" in request.response
    assert request.story() == "1 challenge:1 2 headers 3 down 4 error:http-status"
    assert request.answer_challenge() < 0


def test_a_login_in_sync(library, origin_nginx):
    request = library()
    for login, status in ((None, 401), (RIGHT, 200)):
        request.login = login
        assert request.open(origin_nginx.plain_url("/private"), is_async=False) == 0
        request.send()
        assert request.status == status


def test_what_was_given_is_enough_and_nobody_is_asked(library, origin_apache):
    request = library()
    assert request.options(username=b"ali", password=PASSWORD.encode(),
                           auth_scheme=constants("xhr_auth_scheme")["XHR_AUTH_DIGEST"]) == 0
    start(request, origin_apache.url()).finish()
    assert request.status == 200
    assert not [word for word in request.words if word.startswith("challenge")]


# ---- a server that plays

def test_the_idle_timeout_rests_and_the_total_goes_on(library, origin_raw):
    origin_raw.reply(asks(DIGEST))
    patient, hasty = library(), library()
    assert patient.options(timeout_ms=200) == 0
    assert hasty.options(timeout_for_resource_ms=600) == 0
    for request in (patient, hasty):
        start(request, origin_raw.url())
        wait_for(library, request, "challenge:1")
    hasty.finish()  # three idle timeouts of the other later
    assert text_of(hasty.error.name) == "timeout-total"
    assert patient.words[-1] == "challenge:1"
    origin_raw.reply(response(b"in"))
    assert patient.answer_challenge(**RIGHT) == 0
    assert patient.finish().response == b"in"


def test_an_abort_and_a_death_end_what_waits(library, xhrd, origin_raw):
    origin_raw.reply(asks(DIGEST))
    request = start(library(), origin_raw.url())
    wait_for(library, request, "challenge:1")
    assert request.abort() == 0
    assert request.answer_challenge(**RIGHT) < 0
    assert request.story() == "1 challenge:1 4 abort"
    other = Client(xhrd.socket_path)
    left = start(other.request(challenges=True), origin_raw.url())
    other.wait_until(lambda: "challenge:1" in left.words)
    left.free()
    other.close()
    with xhrd.client() as watch:
        wait_until(lambda: watch.status().requests_active == 0, "both requests to end")
    assert all(r.get("Authorization") is None for r in origin_raw.requests)


def test_a_client_that_only_listens_gets_the_401(xhrd, origin_raw):
    """It asked to be asked, and shut its writing half: like a program piped through nc."""
    origin_raw.reply(asks(DIGEST))
    with xhrd.client(auto_credit=False) as client:
        exchange = client.open(origin_raw.url(), ask_challenges=True)
        client.sock.shutdown(socket.SHUT_WR)
        client.finish(exchange)
        assert exchange.head.status == 401


@pytest.mark.shallow
def test_au06_five_logins_and_no_more(library, origin_raw):
    origin_raw.reply(asks(DIGEST, 'Basic realm="x"'))
    request = library()
    request.login = WRONG
    start(request, origin_raw.url()).finish()
    assert request.status == 401
    assert [w for w in request.words if w.startswith("challenge")] == [
        f"challenge:{n}" for n in range(1, 6)]
    assert len([r for r in origin_raw.requests if r.get("Authorization")]) == 5


def test_a_token_is_an_answer_too(library, origin_raw):
    origin_raw.answer = lambda r: response(b"in") if r.get("Authorization") == "Bearer t0k" else asks(
        'Bearer realm="api", error="invalid_token"', "Negotiate")
    request = library()
    request.login = {"bearer_token": "t0k"}
    start(request, origin_raw.url()).finish()
    assert request.response == b"in"
    _, told = next(event for event in request.events if event[0] == "challenge:1")
    assert told["scheme"] is None and told["offers"] == [("Bearer", "api"), ("Negotiate", "")]


def test_ur16_a_realm_is_printable_and_cut(library, origin_raw):
    head = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic "
    origin_raw.replies(head + b'realm="a\x1b]0;x\x07b"\r\n\r\n',
                       head + b'realm="a\tb\xff\x9b' + b"r" * 5000 + b'"\r\n\r\n')
    request = start(library(), origin_raw.url())
    request.finish()
    assert request.story() == "1 2 headers 4 error:http-status"  # it breaks the grammar
    request.forget()
    start(request, origin_raw.url())
    wait_for(library, request, "challenge:1")
    _, told = request.events[-1]
    assert told["realm"].startswith("a?b??rrr") and len(told["realm"]) <= 1024
    assert all(c.isprintable() for c in told["realm"])
    assert request.answer_challenge() == 0
    request.finish()


def test_the_domain_goes_to_a_realm_that_names_it(library, origin_raw):
    seen = []

    def answer(request):
        value = request.get("Authorization")
        if not value or params(value)["realm"] != seen[-1]:
            return asks(f'Digest realm="{seen[-1]}", nonce="n{len(origin_raw.requests)}", qop="auth"')
        return response(b"in")

    origin_raw.answer = answer
    request = library()
    for realm, user, given in (("CORP.example.com", r"corp\\ali", True), ("cave", "ali", True),
                               ("CORP", r"corp\\ali", False), ("corporation", "ali", False)):
        seen.append(realm)
        if given:
            assert request.options(
                username=b"ali", password=b"p", domain=b"corp",
                auth_scheme=constants("xhr_auth_scheme")["XHR_AUTH_DIGEST"]) == 0
        else:
            request.login = {"username": "ali", "password": "p", "domain": "corp"}
            assert request.options() == 0
        start(request, origin_raw.url()).finish()
        request.forget()
        said = params(origin_raw.requests[-1].get("Authorization"))
        assert said["username"] == user and said["realm"] == realm


# ---- bodies once more

def needs_login(request):
    value = request.get("Authorization") or ""
    if not value.startswith("Digest"):
        return asks('Digest realm="cave", nonce="n1", qop="auth"')
    right = params(value)["response"] == right_response(request)
    return response(hashlib.sha256(request.body).hexdigest().encode(),
                    status="200 OK" if right else "403 No")


BIG = bytes(range(256)) * 8192  # 2 MiB


@pytest.mark.shallow
@pytest.mark.parametrize("given", [True, False])
def test_rd17_bodies_go_up_again_for_a_login(library, origin_raw, folder, given):
    """Text, bytes that go by memfd, a descriptor, a stream with rewind."""
    origin_raw.answer = needs_login
    path = folder / "data"
    path.write_bytes(b"skip" + BIG)
    place = [0]

    def read(size):
        data = BIG[place[0]:place[0] + size]
        place[0] += len(data)
        return data

    def rewind():
        place[0] = 0
        return 0

    fd = os.open(path, os.O_RDONLY)
    request = library()
    unknown = constants_length_unknown()
    for number, (body, data) in enumerate((
            (lambda: request.body("STRING", b"a=1"), b"a=1"),
            (lambda: request.body("BYTES", BIG), BIG),
            (lambda: request.body("FD", fd=fd, offset=4, length=unknown), BIG),
            (lambda: request.body("STREAM", read=read, rewind=rewind, length=len(BIG)), BIG),
            (lambda: request.body("STREAM", read=read, rewind=rewind, length=unknown), BIG))):
        place[0] = 0
        if given:
            assert request.options(username=b"ali", password=PASSWORD.encode(),
                                   auth_scheme=constants("xhr_auth_scheme")["XHR_AUTH_DIGEST"]) == 0
        else:
            request.login = RIGHT
        start(request, origin_raw.url(f"/{number}"), "PUT", body()).finish()
        assert (request.status, request.response.decode()) == (200, hashlib.sha256(data).hexdigest())
        request.forget()
    os.close(fd)


def constants_length_unknown():
    return (1 << 64) - 1


@pytest.mark.shallow
def test_rd17_a_form_with_a_large_file_goes_up_again_for_a_redirect_and_a_login(
        library, origin_raw, folder):
    def answer(request):
        if request.target == "/":
            return response(status="307 Go", fields=[("Location", "/in")])
        return needs_login(request)

    origin_raw.answer = answer
    (folder / "data").write_bytes(BIG)
    request = library()
    request.login = RIGHT
    assert request.open(origin_raw.url(), "POST") == 0
    assert request.send_form([("a", b"1"), ("f", folder / "data")]) == 0
    request.finish()
    assert request.status == 200
    bodies = [r.body for r in origin_raw.requests]
    assert len(bodies) == 3 and BIG in bodies[0] and len(set(bodies)) == 1
    assert request.response.decode() == hashlib.sha256(bodies[0]).hexdigest()


def test_rd17_a_stream_without_rewind_fails_clearly(library, origin_raw):
    origin_raw.answer = needs_login
    left = [b"x" * 100]
    request = library()
    request.login = RIGHT
    start(request, origin_raw.url(), "PUT",
          request.body("STREAM", read=lambda size: left.pop() if left else b"", length=100)).finish()
    assert text_of(request.error.name) == "rewind"
    assert "cannot be read twice" in text_of(request.error.text)
    assert len(origin_raw.requests) == 1


def test_rd17_a_login_that_a_large_body_waits_for_needs_no_rewind(library, origin_raw):
    """Above 1 MiB the server is asked first, and nothing of the body has gone."""
    def script(connection):
        while True:
            request = connection.request_head()
            if not request.get("Authorization"):
                assert request.get("Expect") == "100-continue"
                connection.send(asks('Digest realm="cave", nonce="n1", qop="auth"').replace(
                    b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                connection.close()
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.body = connection.request_body(request)
            connection.send(response(b"%d" % len(request.body)))

    origin_raw.script = script
    place = [0]

    def read(size):
        data = BIG[place[0]:place[0] + size]
        place[0] += len(data)
        return data

    request = library()
    request.login = RIGHT
    start(request, origin_raw.url(), "PUT",
          request.body("STREAM", read=read, length=len(BIG))).finish()
    assert request.response == b"%d" % len(BIG)
