# SPDX-License-Identifier: MIT
"""Hosts that asked for https are asked over https alone (RFC 6797): in other requests, other
processes and other lives of the daemon; and only they (HS04 to HS10)."""
import threading

import pytest
from origins import response
from wire import fetch_pb2

pytestmark = pytest.mark.shallow

STRICT = ("Strict-Transport-Security", "max-age=86400")


def reached(plain, tls, *more):
    """Ports 80 and 443, which a test cannot have, are these here; so are `more`, by pairs."""
    ports = [(80, plain), (443, tls), *more]
    return fetch_pb2.NetworkOptions(connect_to=[
        fetch_pb2.ConnectTo(port=port, to_host=b"127.0.0.1", to_port=to) for port, to in ports])


class Web:
    """nginx as it is found in the world: http on 80 and https on 443."""

    def __init__(self, nginx, ca):
        self.network = reached(nginx.plain_port, nginx.tls_port,
                               (8080, nginx.plain_port), (8443, nginx.tls_port))
        self.ca = ca.pem

    def get(self, client, url, **more):
        more.setdefault("ca", self.ca)
        return client.fetch(url, network=self.network, **more)

    def scheme(self, client, url="http://localhost/scheme"):
        """How the server saw the request that was begun with http."""
        exchange = self.get(client, url)
        assert exchange.done, exchange.text
        upgraded = [(hop.status, hop.url) for hop in exchange.redirects]
        expected = url.replace("http:", "https:").replace(":80/", "/").encode()
        assert upgraded in ([], [(307, expected)])
        assert bool(upgraded) == (exchange.body == b"over https\n")
        return exchange.body


@pytest.fixture
def web(origin_nginx, ca):
    return Web(origin_nginx, ca)


def test_hs04_what_one_request_learns_all_others_obey(client, another, web):
    assert web.scheme(client) == b"over http\n"
    assert web.get(client, "https://localhost/strict").done
    assert web.scheme(client) == b"over https\n"
    assert web.scheme(another) == b"over https\n"
    exchanges = [client.open("http://localhost/scheme", network=web.network, ca=web.ca)
                 for _ in range(3)]
    client.finish(*exchanges)
    assert [exchange.body for exchange in exchanges] == [b"over https\n"] * 3
    assert exchanges[0].head.url == b"https://localhost/scheme"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_hs04_it_is_known_in_the_next_life(xhrd, web, end):
    with xhrd.client() as client:
        assert web.get(client, "https://localhost/strict").done
    getattr(xhrd, end)()
    xhrd.start()
    with xhrd.client() as client:
        assert web.scheme(client) == b"over https\n"
        assert web.get(client, "https://localhost/lax").done  # and taken back
    getattr(xhrd, end)()
    xhrd.start()
    with xhrd.client() as client:
        assert web.scheme(client) == b"over http\n"


def test_hs04_programs_teach_each_other(xhr, xhrctl, origin_nginx, ca):
    """With --no-location as well: the step is not the server's."""
    there = ["--no-location", "--cacert", str(ca.pem)]
    for port, to in ((80, origin_nginx.plain_port), (443, origin_nginx.tls_port)):
        there += ["--connect-to", f"localhost:{port}:127.0.0.1:{to}"]
    assert xhr(*there, "http://localhost/scheme", check=0).out == "over http\n"
    xhr(*there, "https://localhost/strict", check=0)
    assert xhr(*there, "http://localhost/scheme", check=0).out == "over https\n"
    told = xhr(*there, "-o", "/dev/null", "-w", "%{num_redirects} %{url_effective}",
               "http://localhost/scheme", check=0).out
    assert told == "0 https://localhost/scheme"
    xhrctl("hsts", "rm", "localhost", check=0)
    assert xhr(*there, "http://localhost/scheme", check=0).out == "over http\n"


def test_hs05_http_and_unverified_answers_teach_nothing(client, web):
    assert web.get(client, "http://localhost/strict").body == b"over http\n"
    assert web.get(client, "https://localhost/strict", insecure=True).done
    assert web.get(client, "https://127.0.0.1/strict").done
    assert web.scheme(client) == b"over http\n"
    assert web.scheme(client, "http://127.0.0.1/scheme") == b"over http\n"


def test_hs05_a_certificate_error_teaches_nothing_and_is_not_fallen_back_from(client, web,
                                                                               other_ca):
    refused = web.get(client, "https://localhost/strict", ca=other_ca.pem)
    assert refused.failure == "TLS_VERIFY"
    assert web.scheme(client) == b"over http\n"
    assert web.get(client, "https://localhost/strict").done
    refused = web.get(client, "http://localhost/scheme", ca=other_ca.pem)
    assert refused.failure == "TLS_VERIFY"


def test_hs09_80_becomes_443_and_another_port_stays(client, web):
    assert web.get(client, "https://localhost/strict").done
    assert web.scheme(client, "http://localhost:80/scheme") == b"over https\n"
    assert web.scheme(client, "http://localhost:8443/scheme") == b"over https\n"
    plain = web.get(client, "http://localhost:8080/scheme")  # TLS to a server without it
    assert plain.failure in ("TLS", "TLS_VERSION")
    assert plain.redirects[0].url == b"https://localhost:8080/scheme"


def test_hs10_another_profile_knows_nothing_of_it(xhrd, client, web):
    assert web.get(client, "https://localhost/strict").done
    with xhrd.client(profile="other") as other:
        assert web.scheme(other) == b"over http\n"
    assert web.scheme(client) == b"over https\n"


def test_hs08_many_learn_at_once_and_all_of_it_is_kept(xhrd, make_tls_origin, origin_raw, ca):
    tls = make_tls_origin("*.many.example")
    tls.reply(response(b"over https\n", fields=[STRICT]))
    origin_raw.reply(response(b"over http\n"))
    network = reached(origin_raw.port, tls.port)
    faults = []

    def learn(number):
        with xhrd.client() as client:
            for i in range(20):
                name = f"h{number}-{i}.many.example"
                for url in (f"https://{name}/", f"http://{name}/"):
                    exchange = client.fetch(url, network=network, ca=ca.pem)
                    if exchange.body != b"over https\n":
                        faults.append((url, exchange.failure, exchange.text))

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    xhrd.kill()
    xhrd.start()
    with xhrd.client() as client:
        for number in range(4):
            exchange = client.fetch(f"http://h{number}-19.many.example/", network=network,
                                    ca=ca.pem)
            assert exchange.body == b"over https\n"
    assert not origin_raw.requests


def test_a_disk_that_cannot_be_written_costs_memory_of_it_alone(make_xhrd, folder, web):
    (folder / "state").write_text("not a folder\n")
    daemon = make_xhrd(state_dir=folder / "state")
    daemon.expected_alarms = True
    with daemon.client() as client:
        learned = web.get(client, "https://localhost/strict")
        assert learned.done and not learned.done.cookies_not_persisted
        assert web.scheme(client) == b"over https\n"
