# SPDX-License-Identifier: MIT
"""What xhrctl shows and changes is what the daemon really holds."""
import json

import pytest
from origins import response
from stages import held_at

pytestmark = pytest.mark.shallow


def listing(xhrctl, *arguments):
    """The rows of a listing in JSON, whether one array, one object or one object a line."""
    text = xhrctl(*arguments, "--json", check=0).out.strip()
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = [json.loads(line) for line in text.split("\n") if line]
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list)]
        value = lists[0] if len(lists) == 1 else [value]
    return value


def test_status_names_the_daemon_and_counts(xhrctl, xhr, xhrd, origin_raw):
    xhr(origin_raw.url(), origin_raw.url(), check=0)
    text = xhrctl("status", check=0).out
    assert str(xhrd.pid) in text
    row = listing(xhrctl, "status")[0]
    assert row["pid"] == xhrd.pid
    assert (row["requests_total"], row["connections_opened"], row["connections_reused"]) == (2, 1, 1)


@pytest.mark.parametrize("topic", ["clients", "requests", "connections", "pools"])
def test_listings_show_what_is_there(xhrctl, client, origin_raw, topic):
    with held_at("wait", client, origin_raw) as exchange:
        assert xhrctl("show", topic, check=0).out
        rows = listing(xhrctl, "show", topic)
        assert rows, topic
        if topic != "clients":
            assert str(origin_raw.port) in json.dumps(rows)
        client.abort(exchange)
        client.finish(exchange)


def test_cookies_are_listed_and_cleared(xhrctl, xhr, origin_raw):
    origin_raw.reply(response(b"in", fields=[("Set-Cookie", "session=s3cr3t; HttpOnly")]))
    xhr(origin_raw.url(), check=0)
    assert "session" in xhrctl("cookies", "list", check=0).out
    rows = listing(xhrctl, "cookies", "list")
    assert rows[0]["name"] == "session" and rows[0]["domain"] == "127.0.0.1"
    xhrctl("cookies", "clear", check=0)
    assert "session" not in xhrctl("cookies", "list", check=0).out
    xhr(origin_raw.url(), check=0)
    assert origin_raw.requests[-1].get("Cookie") is None


def test_known_hosts_are_listed_and_removed(xhrctl, client, make_tls_origin, ca, xhrd):
    origin = make_tls_origin("*.known.example")
    for name, value in (("b", "max-age=900; includeSubDomains"), ("a", "max-age=5000")):
        origin.reply(response(b"", fields=[("Strict-Transport-Security", value)]))
        host = f"{name}.known.example"
        assert client.fetch(origin.url(host=host), resolve=[(host, origin.port)], ca=ca.pem).done
    assert "b.known.example" in xhrctl("hsts", "list", check=0).out
    rows = listing(xhrctl, "hsts", "list")
    assert [(row["host"], row["include_subdomains"]) for row in rows] == [
        ("a.known.example", False), ("b.known.example", True)]
    assert rows[0]["expires_s"] > rows[1]["expires_s"]
    assert xhrctl("hsts", "rm", "B.known.example.", check=0).out == "1 host removed\n"
    assert xhrctl("hsts", "rm", "b.known.example", check=0).out == "0 hosts removed\n"
    xhrd.kill()
    xhrd.start()
    assert [row["host"] for row in listing(xhrctl, "hsts", "list")] == ["a.known.example"]
    wrong = xhrctl("hsts", "rm", "not a host")
    assert wrong.status != 0 and "host" in wrong.err.lower()


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["show"], ["show", "nonsense"],
                                       ["status", "--nonsense"], ["cookies", "nonsense"]])
def test_unknown_commands_are_usage_errors(xhrctl, arguments):
    run = xhrctl(*arguments, check=2)
    assert run.err.startswith("xhrctl: ")


def test_without_a_daemon_it_says_so(xhrctl):
    run = xhrctl("status", env={"XHRD_SOCKET": "/nonexistent/socket"}, check=100)
    assert run.err.startswith("xhrctl: ") and run.err.count("\n") == 1


def test_hostile_text_of_a_server_is_shown_escaped(xhrctl, xhr, origin_raw):
    origin_raw.reply(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\x9b31mred\xc2\x9b\r\nContent-Length: 0\r\n\r\n")
    xhr(origin_raw.url(), check=0)
    out = xhrctl("cookies", "list", check=0).stdout
    assert b"\x1b" not in out and b"\x9b" not in out.replace(b"\xc2\x9b", b"")
