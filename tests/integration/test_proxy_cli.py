# SPDX-License-Identifier: MIT
"""Proxies as people ask for them: xhr's flags, the environment, xhrd.conf, xhrctl's listings."""
import json
import os
import re
import signal

import proxies
import pytest
from origins import response
from proxies import socks
from waiting import wait_until


@pytest.fixture
def proxy(make_proxy):
    made = make_proxy()
    made.reply(response(b"by proxy\n"))
    return made


def logins(proxy):
    return [request.get("Proxy-Authorization") for request in proxy.requests]


# ---- flags

def test_x_and_its_login(xhr, proxy):
    assert xhr("-x", proxy.proxy_url(), "http://a.test/").out == "by proxy\n"
    bare = f"{proxy.host}:{proxy.port}"
    assert xhr("-x", bare, "-U", "p:q", "http://a.test/").out == "by proxy\n"
    assert xhr("--proxy", proxy.proxy_url(login="u:v"), "--proxy-user", "p:q",
               "http://a.test/").out == "by proxy\n"
    assert logins(proxy) == [None, "Basic cDpx", "Basic dTp2"]  # the URL's login is its own


def test_u_is_hidden_from_the_list_of_processes(xhr, proxy):
    def script(connection):
        connection.request()
        commands.append(open(f"/proc/{run.pid}/cmdline").read())
        connection.send(response(b"ok"))

    commands = []
    proxy.script = script
    with xhr.start("-x", proxy.proxy_url(login="u:hush"), "-U", "p:secret",
                   "http://a.test/") as run:
        run.communicate()
    assert "a.test" in commands[0]
    assert "secret" not in commands[0] and "hush" not in commands[0]


@pytest.mark.parametrize("flag", ["--proxy-digest", "--proxy-anyauth", "--proxy-basic"])
def test_the_kinds_of_login(xhr, proxy, flag):
    def answer(request):
        if request.get("Proxy-Authorization"):
            return response(b"in\n")
        return response(b"who?", status="407 Who", fields=[
            ("Proxy-Authenticate", 'Basic realm="x"'),
            ("Proxy-Authenticate", 'Digest realm="x", nonce="n", qop="auth"')])

    proxy.answer = answer
    assert xhr("-x", proxy.proxy_url(), "-U", "p:q", flag, "http://a.test/").out == "in\n"
    assert logins(proxy)[-1].split()[0] == ("Basic" if flag == "--proxy-basic" else "Digest")


def test_p_tunnels_what_could_be_forwarded(xhr, proxy, origin_raw):
    run = xhr("-p", "-x", proxy.proxy_url(), "-v", "-w", "%{http_connect} %{proxy_used}\n",
              origin_raw.url())
    assert run.out == "hello\n200 1\n", run
    assert [request.method for request in proxy.requests] == ["CONNECT"]
    assert f"tunnel through {proxy.proxy_url()}" in run.err


def test_v_w_and_events_tell_of_the_proxy(xhr, proxy):
    run = xhr("-v", "-x", proxy.proxy_url(login="p:q"), "-w",
              "%{http_connect} %{proxy_used} %{remote_port} %{proxy_ssl_verify_result}\n",
              "--events", "http://a.test/")
    assert run.out == f"by proxy\n000 1 {proxy.port} 0\n", run
    assert f"by way of {proxy.proxy_url()}" in run.err
    assert "cDpx" not in run.err and "p:q" not in run.err
    heads = [json.loads(line) for line in run.err.split("\n") if line.startswith("{")]
    told = [head["connection"] for head in heads if head.get("connection")]
    assert told and told[0]["proxy"] == proxy.proxy_url() and told[0]["proxy_tunnel"] is False
    direct = xhr("-w", "%{proxy_used}", "--noproxy", "*", "-x", proxy.proxy_url(), proxy.url())
    assert direct.out == "by proxy\n0"


def test_exit_codes_are_curls(xhr, proxy):
    assert xhr("-x", "no-such-proxy.invalid:1", "http://a.test/").status == 5
    gone = xhr("-x", f"127.0.0.1:{proxies.free_port()}", "http://a.test/")
    assert gone.status == 7 and "http://127.0.0.1" in gone.err
    proxy.opens = response(b"no", status="403 Forbidden")
    refused = xhr("-x", proxy.proxy_url(), "-w", "%{http_connect}", "https://a.test/")
    assert refused.status == 56 and "403 Forbidden" in refused.err
    assert refused.out == "403"
    proxy.script = lambda connection: socks(connection, b"\x05\x00", b"\x05\x05")
    behind = xhr("-x", proxy.proxy_url("socks5"), "http://a.test/")
    assert behind.status == 97 and "connection refused" in behind.err
    proxy.script = lambda connection: socks(connection, b"\x04\x00")
    assert xhr("-x", proxy.proxy_url("socks5"), "http://a.test/").status == 97
    proxy.script = lambda connection: connection.wait_gone()
    assert xhr("-x", proxy.proxy_url(), "--connect-timeout", "0.2",
               "https://a.test/").status == 28


@pytest.mark.parametrize("wrong, says", [
    (["-x", "", "-U", "p:q"], "-x ''"),
    (["-x", "", "-p"], "-x ''"),
    (["-U", "p:q"], "add -x"),
    (["--proxy-digest"], "add -x"),
    (["-x", "p:1", "--proxy-digest", "--proxy-anyauth"], "take one of them"),
    (["-x", "p:1", "-U", ""], "user:password"),
    (["-x", "socks4://p:1"], "socks5://"),
    (["-x", "ftp://p:1"], "http, https, socks5"),
    (["-x", "http://p:1/path"], "nothing may follow"),
    (["-x", "socks5://p:1", "-U", "p:q", "--proxy-digest"], "Digest"),
    (["-H", "Proxy-Authorization: Basic eDp5"], "of its own"),
])
def test_wrong_uses_say_what_is_right(xhr, wrong, says):
    run = xhr(*wrong, "http://a.test/")
    assert run.status == 2 and says in run.err, run


# ---- the environment

def test_variables_are_read_as_curl_reads_them(xhr, proxy, make_proxy):
    other, third = make_proxy(), make_proxy()
    other.opens = third.opens = response(b"", status="403 Forbidden")
    for made, body in ((other, b"other\n"), (third, b"third\n")):
        made.reply(response(body))

    def out(url, **env):
        return xhr(url, env=env).out

    one, two, three = (made.proxy_url() for made in (proxy, other, third))
    assert out("http://a.test/", http_proxy=one) == "by proxy\n"
    assert out("http://a.test/", all_proxy=one) == "by proxy\n"
    assert out("http://a.test/", ALL_PROXY=one) == "by proxy\n"
    assert out("http://a.test/", http_proxy=two, all_proxy=one) == "other\n"
    assert out("http://a.test/", http_proxy="", all_proxy=one) == "by proxy\n"
    assert out("http://a.test/", all_proxy=one, ALL_PROXY=two) == "by proxy\n"
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        before = len(other.connects())
        assert xhr("https://a.test/", env={name: two, "http_proxy": one}).status == 56
        assert len(other.connects()) == before + 1
    assert xhr("https://a.test/", env={"https_proxy": two, "HTTPS_PROXY": three}).status == 56
    assert not third.requests


def test_px12_http_proxy_in_capitals_is_a_header_of_a_stranger(xhr, proxy, origin_raw):
    run = xhr(origin_raw.url(), env={"HTTP_PROXY": proxy.proxy_url()})
    assert run.out == "hello\n" and not proxy.requests
    # and for one scheme alone the other goes directly
    run = xhr(origin_raw.url(), env={"https_proxy": proxy.proxy_url()})
    assert run.out == "hello\n" and not proxy.requests


def test_x_goes_before_variables_and_noproxy_before_no_proxy(xhr, proxy, make_proxy):
    other = make_proxy()
    other.reply(response(b"other\n"))
    env = {"http_proxy": other.proxy_url(), "no_proxy": "127.0.0.1"}
    here = proxy.url()  # as an origin it says the same, but is asked for a path
    assert xhr("-x", proxy.proxy_url(), "http://a.test/", env=env).out == "by proxy\n"
    assert xhr("http://a.test/", env=env).out == "other\n"
    xhr(here, env=env)
    assert proxy.requests[-1].target == "/"                # no_proxy
    xhr("--noproxy", "", here, env=env)
    assert other.requests[-1].target == here               # overridden
    xhr("--noproxy", "127.0.0.0/8", here, env={"http_proxy": other.proxy_url()})
    assert proxy.requests[-1].target == "/"
    xhr("-x", other.proxy_url(), here, env={"NO_PROXY": "127.0.0.1"})
    assert proxy.requests[-1].target == "/"                # also to -x, as in curl
    xhr("-x", "", here, env=env | {"no_proxy": ""})
    assert proxy.requests[-1].target == "/"                # none at all
    assert len(other.requests) == 2


# ---- xhrd.conf

def reload(xhrd, config):
    before = xhrd.log().count("reloaded")
    xhrd.config_path.write_text(config)
    os.kill(xhrd.pid, signal.SIGHUP)
    wait_until(lambda: xhrd.log().count("reloaded") > before, "the daemon to reload")


def test_the_daemons_proxy_and_its_exceptions(xhrd, xhr, proxy, origin_raw):
    assert xhr("http://127.0.0.1:1/").status == 7
    reload(xhrd, f"[Network]\nProxy={proxy.proxy_url(login='p:q')}\n"
                 "NoProxy=somewhere.test, localhost\nNoProxy=10.0.0.0/8\n")
    assert xhr("http://a.test/").out == "by proxy\n"
    assert logins(proxy) == ["Basic cDpx"]
    assert xhr(f"http://localhost:{origin_raw.port}/").out == "hello\n"
    assert xhr("--noproxy", "127.0.0.1", origin_raw.url()).out == "hello\n"
    assert xhr("-x", "", origin_raw.url()).out == "hello\n"
    assert xhr(origin_raw.url(), env={"no_proxy": "*"}).out == "hello\n"
    assert xhr("-p", "-k", f"http://127.0.0.1:{origin_raw.port}/").out == "hello\n"
    assert len(proxy.requests) == 2 and proxy.requests[1].method == "CONNECT"
    reload(xhrd, "")
    assert xhr(origin_raw.url()).out == "hello\n" and len(proxy.requests) == 2


def test_the_daemons_digest(xhrd, xhr, proxy):
    proxy.answer = lambda request: response(b"in\n") if request.get("Proxy-Authorization") else (
        response(status="407 Who", fields=[
            ("Proxy-Authenticate", 'Digest realm="x", nonce="n", qop="auth"')]))
    reload(xhrd, f"[Network]\nProxyAuth=digest\nProxy={proxy.proxy_url(login='p:q')}\n")
    assert xhr("http://a.test/").out == "in\n"
    assert logins(proxy)[-1].startswith("Digest ")


def test_what_is_wrong_in_the_file_is_told_without_the_password(xhrd):
    for text, says in (("Proxy=http://u:hush@p:1/path", "nothing may follow"),
                       ("Proxy=socks4://u:hush@p", "socks5://"),
                       ("ProxyAuth=ntlm", "basic, digest or any")):
        xhrd.config_path.write_text(f"[Network]\n{text}\n")
        os.kill(xhrd.pid, signal.SIGHUP)
        wait_until(lambda: says in xhrd.log(), says)  # noqa: B023
    assert "hush" not in xhrd.log()


# ---- what is listed, what is logged

def test_xhrctl_shows_the_proxy_and_nobody_shows_the_login(xhrd, xhr, xhrctl, proxy, origin_tls,
                                                           ca):
    url = proxy.proxy_url(login="ann:hush")
    assert xhr("-x", url, "http://a.test/").status == 0
    assert xhr("-x", url, "--cacert", ca.pem, origin_tls.url()).status == 0
    shown = xhrctl("show", "connections").out
    assert re.search(rf"PROXY.*\n.*{re.escape(proxy.proxy_url())}", shown), shown
    rows = json.loads(xhrctl("--json", "show", "pools").out)
    assert {row["proxy"] for row in rows} == {proxy.proxy_url()}, rows
    for text in (shown, str(rows), xhrd.log()):
        assert "hush" not in text
