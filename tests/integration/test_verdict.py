# SPDX-License-Identifier: MIT
"""securityManager: the program judges the verified certificates before a byte of its request goes,
for each connection that it is to go over; no word is a refusal, and nobody's word is another's."""
import socket
import ssl

import certificates
import pytest
from certificates import root, self_signed, spki_sha256
from libxhr import Client, text_of
from origins import ScriptedOrigin, response
from waiting import wait_until
from wire import Closed, fetch_pb2

pytestmark = pytest.mark.shallow


class Bed:
    def __init__(self, folder):
        self.folder = folder
        self.root = root("verdict root")
        self.middle = self.root.authority("verdict authority")
        self.made = []

    def serve(self, leaf=None, alpn=None):
        leaf = leaf or self.middle.issue("localhost", common_name="judged")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*leaf.write(self.folder, f"judged{len(self.made)}"))
        origin = ScriptedOrigin(context)
        origin.leaf = leaf
        origin.reply(response(b"ok"))
        self.made.append(origin)
        return origin

    def open(self, client, origin, deadline_ms=0, verdict=True, path="/", **more):
        if verdict:
            more["verdict"] = fetch_pb2.VerdictOptions(deadline_ms=deadline_ms)
        tls = more.pop("tls", None) or fetch_pb2.TlsOptions(ca_pem=self.root.pem)
        return client.open(origin.url(path, host="localhost"), tls=tls, **more)


@pytest.fixture
def bed(xhrd, folder):
    bed = Bed(folder)
    yield bed
    for origin in bed.made:
        origin.stop()


def question(client):
    while True:
        message = client.receive()
        if message.WhichOneof("kind") == "question":
            return message.question


def say(client, exchange, trusted):
    client.send("answer", request_id=exchange.request_id, trusted=trusted)
    return client.finish(exchange)


# ---- on the wire -------------------------------------------------------------------------------

def test_the_verified_chain_is_judged_before_the_first_byte(client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin)
    asked = question(client)
    assert asked.request_id == exchange.request_id
    assert asked.verdict.origin == origin.url("", host="localhost").encode()
    assert [bytes(each.der) for each in asked.verdict.certificates] == \
        [origin.leaf.der, bed.middle.der, bed.root.der], "the one that is trusted is in it"
    assert asked.verdict.certificates[0].spki_sha256 == spki_sha256(origin.leaf)
    assert not asked.verdict.unverified and asked.verdict.deadline_ms == 60_000
    assert not origin.requests
    assert say(client, exchange, True).body == b"ok"


def test_a_refusal_fails_the_request_and_ends_the_connection(client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin)
    question(client)
    assert say(client, exchange, False).failure == "TLS_VERDICT"
    assert "does not trust" in exchange.text and not origin.requests
    wait_until(lambda: client.status().connections_open == 0, "the connection to close")


def test_no_answer_by_the_deadline_is_a_refusal(client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin, deadline_ms=300)
    assert question(client).verdict.deadline_ms == 300
    assert client.finish(exchange).failure == "TLS_VERDICT" and "in time" in exchange.text
    client.send("answer", request_id=exchange.request_id, trusted=True)  # too late, and no harm
    assert not origin.requests
    assert bed.open(client, origin, verdict=False) and client.status()


def test_a_deadline_beyond_all_reason_is_refused(client, bed):
    exchange = client.finish(bed.open(client, bed.serve(), deadline_ms=600_001))
    assert exchange.failure == "ARGUMENT" and "verdict" in exchange.text


def test_who_is_not_there_to_answer_has_refused(xhrd, client, bed):
    origin = bed.serve()
    with xhrd.client() as other:
        bed.open(other, origin)
        question(other)
    wait_until(lambda: client.status().requests_active == 0, "its request to end")
    with xhrd.client() as mute:
        exchange = bed.open(mute, origin)
        mute.sock.shutdown(socket.SHUT_WR)
        assert mute.finish(exchange).failure == "TLS_VERDICT" and "left" in exchange.text
    assert not origin.requests


def test_an_answer_that_is_none_is_a_refusal(xhrd, client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin)
    question(client)
    client.send("answer", request_id=exchange.request_id, follow=True)
    assert client.finish(exchange).failure == "ARGUMENT"
    with xhrd.client() as other:
        exchange = bed.open(other, origin)
        question(other)
        other.send("answer", request_id=exchange.request_id)
        with pytest.raises(Closed):
            other.finish(exchange)
    assert not origin.requests


def test_pl04_every_request_is_judged_for_itself_and_who_does_not_judge_has_his_own(xhrd, client,
                                                                                  bed):
    """No connection made for a verdict serves who gave none, and one that was judged well by one
    program is judged again for another."""
    origin = bed.serve()
    for _ in range(2):
        exchange = bed.open(client, origin)
        question(client)
        assert say(client, exchange, True).done
    assert exchange.head.connection.reused and len(origin.connections) == 1
    plain = client.finish(bed.open(client, origin, verdict=False))
    assert plain.done and not plain.head.connection.reused and len(origin.connections) == 2
    assert not plain.head.connection.tls.resumed
    with xhrd.client() as other:
        exchange = bed.open(other, origin)
        question(other)
        assert say(other, exchange, False).failure == "TLS_VERDICT"
    assert len(origin.requests) == 3


def test_ts09_what_is_judged_is_never_resumed(client, bed):
    origin = bed.serve()
    assert client.finish(bed.open(client, origin, verdict=False, no_keep_alive=True)).done
    for _ in range(2):
        exchange = bed.open(client, origin, no_keep_alive=True)
        assert len(question(client).verdict.certificates) == 3
        assert not say(client, exchange, True).head.connection.tls.resumed


def test_each_hop_is_judged(client, bed):
    second = bed.serve(bed.middle.issue("localhost", common_name="second"))
    first = bed.serve()
    first.reply(response(b"", status="302 Found",
                         fields=[("Location", second.url(host="localhost"))]))
    exchange = bed.open(client, first)
    question(client)
    client.send("answer", request_id=exchange.request_id, trusted=True)
    asked = question(client)
    assert bytes(asked.verdict.certificates[0].subject) == b"CN=second"
    assert say(client, exchange, False).failure == "TLS_VERDICT"
    assert len(first.requests) == 1 and not second.requests


def test_a_connection_that_ends_meanwhile_is_replaced_and_judged_again(client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin)
    question(client)
    wait_until(lambda: origin.connections and isinstance(origin.connections[0].sock, ssl.SSLSocket),
               "the handshake to be over on the other side, too")
    origin.connections[0].sock.shutdown(socket.SHUT_WR)
    wait_until(origin.connections[0].closed.is_set, "the daemon to hang up, too")
    client.send("answer", request_id=exchange.request_id, trusted=True)
    question(client)
    assert say(client, exchange, True).done
    assert len(origin.connections) == 2


def test_with_insecure_what_was_sent_is_judged_and_said_to_be_unverified(client, bed):
    origin = bed.serve(self_signed("elsewhere", common_name="own"))
    exchange = bed.open(client, origin, tls=fetch_pb2.TlsOptions(insecure=True))
    asked = question(client)
    assert asked.verdict.unverified and len(asked.verdict.certificates) == 1
    assert say(client, exchange, True).done


def test_what_verification_refuses_is_not_even_asked(client, bed):
    origin = bed.serve(self_signed("localhost"))
    assert client.finish(bed.open(client, origin)).failure == "TLS_VERIFY"


def test_a_body_waits_for_the_verdict(client, bed):
    origin = bed.serve()
    exchange = bed.open(client, origin, method="POST",
                        body=fetch_pb2.RequestBody(inline_bytes=b"secret"))
    question(client)
    assert not origin.requests
    assert say(client, exchange, True).done
    assert origin.requests[0].body == b"secret"


def test_the_cache_does_not_answer_for_a_verdict(client, bed):
    origin = bed.serve()
    origin.reply(response(b"kept", fields=[("Cache-Control", "max-age=1000")]))
    for _ in range(2):
        exchange = bed.open(client, origin, cache=True)
        question(client)
        assert say(client, exchange, True).body == b"kept"
    assert len(origin.requests) == 2


def test_over_http_there_is_nothing_to_judge(client, origin_raw):
    origin_raw.reply(response(b"plain"))
    assert client.fetch(origin_raw.url(), verdict=fetch_pb2.VerdictOptions()).body == b"plain"


def test_http2_is_judged_for_each_request_on_one_connection(client, origin_h2, ca):
    tls = fetch_pb2.TlsOptions(ca_pem=ca.pem.read_bytes())
    numbers = set()
    for trusted in (True, True, False):
        exchange = client.open(origin_h2.url("/hello"), tls=tls,
                               verdict=fetch_pb2.VerdictOptions())
        assert question(client).verdict.certificates
        say(client, exchange, trusted)
        if trusted:
            assert exchange.head.http_version == 20
            numbers.add(exchange.head.connection.connection_id)
    assert exchange.failure == "TLS_VERDICT" and len(numbers) == 1


# ---- through libxhr ----------------------------------------------------------------------------

@pytest.fixture
def library(xhrd, bed):
    client = Client(xhrd.socket_path)
    made = []

    def make(origin, trusts=None, is_async=True, **options):
        request = client.request(verdicts=True)
        request.trusts = trusts
        made.append(request)
        request.pem = bed.root.pem  # borrowed until open
        assert request.options(ca_pem=certificates.address_of(request.pem),
                               ca_pem_len=len(request.pem), **options) == 0
        assert request.open(origin.url(host="localhost"), is_async=is_async) == 0
        request.send()
        return request

    make.client = client
    yield make
    for request in made:
        request.check()
        request.free()
    client.close()


def test_libxhr_answers_from_inside(library, bed):
    origin = bed.serve()
    request = library(origin, trusts=True).finish()
    assert request.status == 200 and request.response == b"ok"
    _, told = next(event for event in request.events if event[0] == "verdict")
    assert told["subjects"] == ["CN=judged", "CN=verdict authority", "CN=verdict root"]
    assert told["ders"][0] == origin.leaf.der and told["pins"][0] == spki_sha256(origin.leaf)
    assert told["is_verified"] and told["origin"] == origin.url("", host="localhost")
    assert request.words[request.words.index("verdict") - 1] == "wait:verdict"
    refused = library(origin, trusts=False).finish()
    assert text_of(refused.error.name) == "tls-verdict"
    assert len(origin.requests) == 1


def test_libxhr_answers_later_and_once(library, bed):
    request = library(bed.serve())
    library.client.wait_until(lambda: "verdict" in request.words)
    assert request.answer_challenge() < 0
    assert request.answer_verdict(True) == 0
    assert request.answer_verdict(True) < 0
    assert request.finish().status == 200


def test_libxhr_in_sync_an_answer_must_come_from_inside(library, bed):
    origin = bed.serve()
    assert library(origin, trusts=True, is_async=False).status == 200
    assert text_of(library(origin, is_async=False).error.name) == "tls-verdict"
    assert len(origin.requests) == 1


def test_libxhr_a_deadline_and_an_abort(library, bed):
    origin = bed.serve()
    late = library(origin, verdict_timeout_ms=200).finish()
    assert text_of(late.error.name) == "tls-verdict"
    left = library(origin)
    library.client.wait_until(lambda: "verdict" in left.words)
    assert left.abort() == 0 and left.answer_verdict(True) < 0
    assert not origin.requests
