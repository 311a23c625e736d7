# SPDX-License-Identifier: MIT
"""xhr beside curl: the same command line to the same scripted origin sends the same requests, ends
with the same exit code, writes the same to standard output and leaves the same files. What xhr
does otherwise on purpose is normalised here, each with its reason, and told in xhr(1)."""
import json
import re
import shutil

import pytest
from origins import response
from programs import XHR, Program

CURL = shutil.which("curl")
JSON = ("Content-Type", "application/json")

# What both have beside them.
FILES = {"data": b"one\r\ntwo\nthree", "empty": b"", "json": b'{"a": [1, 2]}\n', "ü name.txt": b"text",
         "pic.png": b"\x89PNG", "lines": b"X-One: 1\n\nX-Two: 2\r\n", "format": b"%{http_code}\\n",
         "big": b"0123456789abcdef" * 6250}

# Their own name; what they can decode, as asking for it is xhr's default; and whether the server is
# asked before a body goes up, which curl does for every upload and xhr from 1 MiB on.
OF_ITS_OWN = {"user-agent", "accept-encoding", "expect"}


def row(name, *arguments, reply=None, replies=None, script=None, stdin=None, keep=(), ours=None):
    """@ours: what xhr does, where that is not what curl does."""
    return pytest.param(dict(arguments=arguments, reply=reply, replies=replies, script=script, stdin=stdin,
                             keep=set(keep), ours=ours), id=name)


def boundary_of(request):
    found = re.search(r"boundary=(\S+)", str(request.get("Content-Type") or ""))
    return found[1].encode() if found else None


def wire_of(request, keep):
    """What was sent, order of fields apart; a random boundary has a name of our own."""
    boundary = boundary_of(request)
    fields, body = [], request.body
    for name, value in request.fields:
        if name.lower() in OF_ITS_OWN - keep or (boundary and name.lower() == "content-length"):
            continue
        fields.append((name, value.replace(boundary.decode(), "BOUNDARY") if boundary else value))
    if boundary:
        body = body.replace(boundary, b"BOUNDARY")
    return request.method, request.target, request.version, sorted(fields), body


def left_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and FILES.get(path.name) != path.read_bytes()}


class Side:
    """One of the two, in a folder of its own."""

    def __init__(self, path, folder, first=(), **env):
        self.folder, self.first = folder, first
        folder.mkdir()
        (folder / "sub").mkdir()
        for name, data in FILES.items():
            (folder / name).write_bytes(data)
        self.program = Program(path, folder, **env)

    def run(self, origin, case, standing):
        origin.requests.clear()
        origin.script = case["script"] or standing
        if case["replies"]:
            origin.replies(*case["replies"])
        else:
            origin.reply(case["reply"] or response(b"hello\n", fields=[("Content-Type", "text/plain")]))
        arguments = [str(word).replace("URL", origin.url("").rstrip("/")).replace(
            "PORT", str(origin.port)) for word in case["arguments"]]
        run = self.program(*self.first, *arguments, input=case["stdin"])
        return {"sent": [wire_of(r, case["keep"]) for r in origin.requests], "exit": run.status,
                "stdout": run.stdout, "files": left_in(self.folder)}


def redirect(to, status="302 Found"):
    return response(b"moved", status=status, fields=[("Location", to)])


def broken(data, reset=False):
    """A script that answers with these bytes and hangs up."""
    def script(connection):
        connection.request()
        if data:
            connection.send(data)
        if reset:
            connection.reset()
    return script


OK = response(b"ok")
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Two: a\r\nX-Two: b\r\n\r\n"
           b"5\r\nhello\r\n1;x=y\r\n\n\r\n0\r\nX-Trailer: t\r\n\r\n")
MANY = response(b"x", fields=[("X-Case", "Ab"), ("x-lower", "c"), ("Set-Cookie", "a=1"), ("Empty", "")])

ROWS = [
    # ---- request
    row("plain", "URL/"), row("no path", "URL"), row("query", "URL/a?b=c&d=%20e"),
    row("fragment is not sent", "URL/a#frag"), row("two URLs", "URL/a", "URL/b"),
    row("three URLs", "-s", "URL/1", "URL/2", "URL/3"),
    row("dots in the path", "URL/a/../b/./c"),
    row("method", "-X", "DELETE", "URL/d"), row("method and data", "-X", "PATCH", "-d", "a", "URL/"),
    row("own method", "-X", "PURGE", "URL/"), row("PUT by X", "-X", "PUT", "-d", "x=1", "URL/"),
    row("head", "-I", "URL/h", reply=b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\nA: b\r\n\r\n"),
    row("head of two", "-I", "URL/h", "URL/i", reply=b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    row("header", "-H", "X-A: 1", "-H", "X-B:2", "URL/"), row("header removed", "-H", "Accept:", "URL/"),
    row("header empty", "-H", "X-Empty;", "URL/"), row("accept replaced", "-H", "Accept: text/html", "URL/"),
    row("headers of a file", "-H", "@lines", "URL/"), row("headers of stdin", "-H", "@-", "URL/", stdin=b"X-In: 1\n"),
    row("user agent", "-A", "me/1.0", "URL/", keep=["user-agent"]),
    row("no user agent", "-A", "", "URL/", keep=["user-agent"]),
    row("user agent by header", "-H", "User-Agent: h/2", "URL/", keep=["user-agent"]),
    row("user agent removed", "-H", "User-Agent:", "URL/", keep=["user-agent"]),
    row("referer", "-e", "http://r.example/x", "URL/"),
    row("referer and auto", "-L", "-e", "http://r.example/x;auto", "URL/a", replies=[redirect("/b"), OK]),
    row("referer auto alone", "-L", "-e", ";auto", "URL/a?b#c", replies=[redirect("/b"), redirect("/c"), OK]),
    row("get with data", "-G", "-d", "a=1", "-d", "b=2", "URL/"),
    row("get with data and query", "-G", "-d", "a=1", "URL/?x=y"),
    row("get, urlencoded", "-G", "--data-urlencode", "q=a b&c", "URL/p"),
    row("head with data", "-I", "-G", "-d", "a=1", "URL/", reply=b"HTTP/1.1 200 OK\r\n\r\n"),
    row("range", "-r", "0-1", "URL/"), row("range, open", "-r", "5-", "URL/"),
    row("range, suffix", "-r", "-5", "URL/"), row("ranges", "-r", "0-1,3-4", "URL/"),
    row("range answered with 206", "-r", "0-1", "URL/", reply=response(
        b"he", status="206 Partial Content", fields=[("Content-Range", "bytes 0-1/6")])),
    row("cookie", "-b", "a=1; b=2", "URL/"),
    row("login", "-u", "ali:open sesame", "URL/"), row("login, empty password", "-u", "ali:", "URL/"),
    row("login, colons", "-u", "a:b:c", "URL/"), row("bearer", "--oauth2-bearer", "t0ken", "URL/"),
    row("login of the URL", "http://ali:pw@127.0.0.1:PORT/"),
    # ---- body
    row("data", "-d", "a=1", "URL/"), row("data twice", "-d", "a=1", "-d", "b=2", "URL/"),
    row("data empty", "-d", "", "URL/"), row("data of a file", "-d", "@data", "URL/"),
    row("data of an empty file", "-d", "@empty", "URL/"), row("data of stdin", "-d", "@-", "URL/", stdin=b"x\ny\n"),
    row("data and file", "-d", "a", "-d", "@data", "URL/"), row("data raw", "--data-raw", "@data", "URL/"),
    row("data binary", "--data-binary", "@data", "URL/"), row("data binary, big", "--data-binary", "@big", "URL/"),
    row("data binary of stdin", "--data-binary", "@-", "URL/", stdin=b"\0\r\n\xff"),
    row("urlencode, text", "--data-urlencode", "a b&ü", "URL/"), row("urlencode, =text", "--data-urlencode", "=a=b", "URL/"),
    row("urlencode, name", "--data-urlencode", "n=v w", "URL/"), row("urlencode, file", "--data-urlencode", "@data", "URL/"),
    row("urlencode, name and file", "--data-urlencode", "n@data", "URL/"),
    row("json", "--json", '{"a":1}', "URL/"), row("json twice", "--json", '{"a":', "--json", "1}", "URL/"),
    row("json of a file", "--json", "@json", "URL/"), row("json, own type", "--json", "1", "-H", "Content-Type: x/y", "URL/"),
    row("json, own accept", "--json", "1", "-H", "Accept: x/y", "URL/"),
    row("data, own type", "-d", "x", "-H", "Content-Type: text/plain", "URL/"),
    row("data, no type", "-d", "x", "-H", "Content-Type:", "URL/"),
    row("data to two URLs", "-d", "x", "URL/a", "URL/b"),
    row("form", "-F", "a=1", "-F", "b=x y", "URL/"), row("form with a file", "-F", "f=@data", "URL/"),
    row("form, type and name", "-F", "f=@data;type=a/b;filename=other", "URL/"),
    row("form, picture", "-F", "f=@pic.png", "URL/"), row("form, value of a file", "-F", "v=<json", "URL/"),
    row("form, value with a type", "-F", "v=1;type=text/x", "URL/"), row("form string", "--form-string", "a=@b;type=c", "URL/"),
    row("form, quotes", "-F", 'f=@data;filename="a;b"', "URL/"),
    row("form, value of stdin", "-F", "f=<-", "URL/", stdin=b"in"),
    row("form, empty value", "-F", "a=", "URL/"),
    row("upload", "-T", "data", "URL/x"), row("upload, name added", "-T", "data", "URL/dir/"),
    row("upload of stdin", "-T", "-", "URL/x", stdin=b"some\0bytes"), row("upload, empty", "-T", "empty", "URL/x"),
    row("upload as POST", "-X", "POST", "-T", "data", "URL/x"), row("upload with a type", "-T", "json", "-H", "Content-Type: a/b", "URL/x"),
    row("upload of stdin, length given by nobody", "-T", "-", "URL/x", stdin=b""),
    # ---- output
    row("to a file", "-s", "-o", "out", "URL/"), row("to stdout by name", "-o", "-", "URL/"),
    row("to two files", "-s", "-o", "1", "-o", "2", "URL/a", "URL/b"), row("first to a file", "-s", "-o", "1", "URL/a", "URL/b"),
    row("outputs behind URLs", "-s", "URL/a", "URL/b", "-o", "1", "-o", "2"),
    row("remote name", "-s", "-O", "URL/dir/name?x=1#y"), row("remote names", "-s", "-O", "URL/n1", "-O", "URL/n2"),
    row("name and remote name", "-s", "-o", "1", "-O", "URL/a", "URL/b"), row("no remote name", "-s", "-O", "URL/dir/"),
    row("folder", "-s", "--output-dir", "sub", "-o", "f", "URL/"), row("folder, remote name", "-s", "--output-dir", "sub", "-O", "URL/g"),
    row("over a folder", "-s", "-o", "sub", "URL/"),
    row("empty body in a file", "-s", "-o", "out", "URL/", reply=response(b"")),
    row("include", "-i", "URL/", reply=MANY), row("include, chunked", "-i", "URL/", reply=CHUNKED),
    row("dump", "-D", "head", "URL/", reply=MANY), row("dump to stdout", "-s", "-D", "-", "URL/", reply=MANY),
    row("dump to stdout, body to a file", "-s", "-D", "-", "-o", "out", "URL/", reply=MANY),
    row("dump and include", "-i", "-D", "head", "URL/"), row("dump of two", "-D", "head", "URL/a", "URL/b"),
    row("head to a file", "-s", "-I", "-o", "out", "URL/", reply=b"HTTP/1.1 204 No Content\r\nA: 1\r\n\r\n"),
    row("include, redirects", "-i", "-L", "URL/a", replies=[redirect("/b"), redirect("/c", "307 Go"), MANY]),
    row("dump, redirects", "-L", "-D", "head", "-o", "out", "URL/a", replies=[redirect("/b"), OK]),
    row("dump of two, redirects", "-L", "-D", "head", "URL/a", "URL/x", replies=[redirect("/b"), OK, redirect("/c"), OK]),
    row("head, redirects", "-I", "-L", "URL/a", replies=[b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n",
                                                      b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"]),
    row("include, redirects, limit", "-i", "-L", "--max-redirs", "1", "URL/a", replies=[redirect("/b"), redirect("/c")]),
    row("include, redirects, then an error", "-i", "-f", "-L", "URL/a", replies=[redirect("/b"), response(b"no", status="404 No")]),
    row("include, redirects, then nobody", "-i", "-L", "URL/a", replies=[redirect("http://127.0.0.1:1/")]),
    row("include, redirect not followed", "-i", "--no-location", "URL/a", replies=[redirect("/b")]),
    row("no reason phrase", "-i", "URL/", reply=b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx"),
    row("HTTP 1.0", "-i", "URL/", script=broken(b"HTTP/1.0 200 OK\r\n\r\nold")),
    row("fail", "-f", "URL/", reply=response(b"no", status="404 Not Found")),
    row("fail, 399", "-f", "URL/", reply=response(b"yes", status="399 So So")),
    row("fail with body", "--fail-with-body", "URL/", reply=response(b"no", status="500 Oops")),
    row("fail to a file", "-s", "-f", "-o", "out", "URL/", reply=response(b"no", status="404 Not Found")),
    row("fail, the first of two", "-s", "-f", "URL/a", "URL/b", replies=[response(b"", status="404 N"), OK]),
    row("fail, the last of two", "-s", "-f", "URL/a", "URL/b", replies=[OK, response(b"", status="404 N")]),
    row("error without fail", "URL/", reply=response(b"no", status="404 Not Found")),
    row("compressed", "--compressed", "URL/"), row("chunked", "URL/", reply=CHUNKED),
    row("to the end of the connection", "URL/", script=broken(b"HTTP/1.1 200 OK\r\n\r\nto the end")),
    row("204", "-i", "URL/", reply=b"HTTP/1.1 204 No Content\r\n\r\n"),
    row("304", "-i", "URL/", reply=b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
    row("early hints", "URL/", reply=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK),
    # ---- -w
    *(row(f"write-out {name}", "-s", "-o", "out", "-w", f"%{{{name}}}\\n", "URL/a?b", reply=MANY) for name in (
        "http_code", "response_code", "content_type", "size_download", "num_headers", "num_redirects", "method",
        "num_connects", "remote_ip", "remote_port", "local_ip", "scheme", "url", "url_effective", "urlnum", "exitcode",
        "errormsg", "filename_effective", "http_version", "ssl_verify_result", "redirect_url", "http_connect",
        "proxy_ssl_verify_result", "referer", "size_header", "size_upload")),
    row("write-out, size of what is sent", "-s", "-d", "12345", "-w", "%{size_upload}", "URL/"),
    row("write-out, header", "-s", "-w", "%header{x-case}|%header{none}|", "URL/", reply=MANY),
    row("write-out, escapes", "-s", "-w", "a\\tb\\nc\\r%%d\\\\e%{", "URL/"),
    row("write-out of a file", "-s", "-w", "@format", "URL/"), row("write-out of stdin", "-s", "-w", "@-", "URL/", stdin=b"%{http_code}"),
    row("write-out, two URLs", "-s", "-w", "[%{urlnum} %{http_code}]", "URL/a", "URL/b"),
    row("write-out, stderr and stdout", "-s", "-w", "%{stderr}e%{stdout}o", "URL/"),
    row("write-out, onerror, none", "-s", "-w", "a%{onerror}b", "URL/"),
    row("write-out, onerror", "-s", "-w", "a%{onerror}b%{exitcode}", "URL/", script=broken(b"")),
    row("write-out, redirect", "-s", "-L", "-w", "%{num_redirects} %{url_effective} %{method}", "URL/a", replies=[redirect("/b"), OK]),
    row("write-out, redirect not followed", "-s", "--no-location", "-w", "%{redirect_url}", "URL/a", reply=redirect("b?c")),
    # ---- redirects
    *(row(f"redirect {status[:3]} {method[0] if method else 'get'}", "-L", *method, "URL/a", replies=[redirect("/b", status), OK])
      for status in ("301 M", "302 F", "303 S", "307 T", "308 P") for method in ((), ("-d", "x=1"))),
    row("redirect relative", "-L", "URL/x/a", replies=[redirect("b"), OK]),
    row("redirect to a query", "-L", "URL/x/a", replies=[redirect("?q"), OK]),
    row("redirect with spaces", "-L", "URL/x/a", replies=[redirect("/b c"), OK]),
    row("redirect without a place", "-L", "URL/", reply=response(b"where?", status="302 Found")),
    row("redirect not followed", "--no-location", "URL/a", reply=redirect("/b")),
    row("redirects, limit", "-L", "--max-redirs", "2", "URL/a", reply=redirect("/a")),
    row("redirects, limit 0", "-L", "--max-redirs", "0", "URL/a", reply=redirect("/a")),
    row("redirects, at the limit", "-L", "--max-redirs", "2", "URL/a", replies=[redirect("/b"), redirect("/c"), OK]),
    row("redirect, login goes with it", "-L", "-u", "a:b", "URL/a", replies=[redirect("/b"), OK]),
    # ---- network and time
    row("resolve", "--resolve", "a.example:PORT:127.0.0.1", "http://a.example:PORT/"),
    row("connect-to", "--connect-to", "b.example:80:127.0.0.1:PORT", "http://b.example/"),
    row("IPv4", "-4", "URL/"), row("HTTP/1.1", "--http1.1", "URL/"), row("interface", "--interface", "127.0.0.1", "URL/"),
    row("no such interface", "-s", "--interface", "nosuchdev0", "URL/"),
    row("retry", "-s", "--retry", "2", "--retry-delay", "1", "-f", "URL/", replies=[response(b"", status="503 B"), OK]),
    row("time is enough", "-m", "30", "--connect-timeout", "5", "URL/"),
    # ---- failures
    row("nobody there", "-s", "http://127.0.0.1:1/"), row("no such name", "-s", "http://no-such-name.invalid/"),
    row("bad port", "-s", "http://127.0.0.1:99999/"), row("no URL"), row("unknown flag", "--nonsense", "URL/"),
    row("flag without a value", "URL/", "-d"), row("no number", "--max-time", "soon", "URL/"),
    row("upload file missing", "-s", "-T", "nothing", "URL/"),
    row("form file missing", "-s", "-F", "a=@nothing", "URL/"), row("empty reply", "-s", "URL/", script=broken(b"")),
    row("truncated", "-s", "URL/", script=broken(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
    row("truncated, chunked", "-s", "URL/", script=broken(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhalf")),
    row("reset in the body", "-s", "URL/", script=broken(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", reset=True)),
    row("not gzip", "-s", "--compressed", "URL/", reply=response(b"not gzip", fields=[("Content-Encoding", "gzip")])),
    row("time is over", "-s", "-m", "0.2", "URL/", script=lambda c: (c.request(), c.wait_gone())),
    row("no such authority file", "-s", "--cacert", "nothing", "https://127.0.0.1:PORT/"),
    row("not TLS", "-s", "https://127.0.0.1:PORT/", script=lambda c: c.send(b"plain\r\n")),
]

# Where xhr does something else, on purpose: what it does, and why.
ON_PURPOSE = [
    # a URL is encoded as browsers do, where curl refuses it
    row("blank in the query", "-G", "-d", "b=2 3", "URL/", ours={"exit": 0, "targets": ["/?b=2%203"]}),
    # RFC 6265 §5.4 says "; "
    row("cookies twice", "-b", "a=1", "-b", "b=2", "URL/", ours={"exit": 0, "cookies": ["a=1; b=2"]}),
    # a missing file is no empty one, as curl came to think later, too
    row("data file missing", "-s", "--data-binary", "@nothing", "URL/", ours={"exit": 26, "targets": []}),
    # Fetch follows 301, 302, 303, 307 and 308 alone
    row("redirect, 300", "-L", "URL/a", reply=redirect("/b", "300 Many"), ours={"exit": 0, "targets": ["/a"]}),
    row("redirect, 304", "-L", "URL/a", reply=b"HTTP/1.1 304 N\r\nLocation: /b\r\n\r\n", ours={"exit": 0, "targets": ["/a"]}),
    # the file is begun before anything is asked for
    row("folder that is not there", "-s", "--output-dir", "nowhere", "-o", "f", "URL/", ours={"exit": 23, "targets": []}),
    row("cannot write", "-s", "-o", "nowhere/f", "URL/", ours={"exit": 23, "targets": []}),
    # the method goes with the redirect's meaning, -X or not
    row("redirect of PUT", "-L", "-X", "PUT", "-d", "x", "URL/a", replies=[redirect("/b", "303 See"), OK],
        ours={"exit": 0, "methods": ["PUT", "GET"]}),
    # nothing but http and https is spoken, whatever is listening there
    row("redirect to another scheme", "-s", "-L", "URL/a", reply=redirect("ftp://127.0.0.1:1/"), ours={"exit": 101}),
    # a length that is no number is a way to smuggle
    row("bad length", "-s", "URL/", script=broken(b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello"), ours={"exit": 8}),
    # curl has 1, "unsupported protocol", as it takes it for HTTP/0.9
    row("not HTTP", "-s", "URL/", script=broken(b"NOT HTTP\r\n\r\n"), ours={"exit": 8}),
    # more outputs than URLs is a slip of the finger; curl only warns
    row("one output too many", "-s", "-o", "1", "-o", "2", "URL/", ours={"exit": 2, "targets": []}),
]


@pytest.fixture
def sides(xhrd, folder):
    return (Side(XHR, folder / "xhr", XHRD_SOCKET=str(xhrd.socket_path)),
            Side(CURL, folder / "curl", first=("-q",)))


@pytest.mark.parametrize("case", ROWS)
def test_same_command_line_does_the_same_as_curl(sides, origin_raw, case):
    ours, theirs = sides
    standing = origin_raw.script
    wanted = theirs.run(origin_raw, case, standing)
    assert ours.run(origin_raw, case, standing) == wanted


@pytest.mark.parametrize("case", ON_PURPOSE)
def test_what_is_done_otherwise_on_purpose(sides, origin_raw, case):
    ours, theirs = sides
    standing = origin_raw.script
    curls = theirs.run(origin_raw, case, standing)
    done = ours.run(origin_raw, case, standing)
    done["targets"] = [target for _, target, *_ in done["sent"]]
    done["methods"] = [method for method, *_ in done["sent"]]
    done["cookies"] = [dict(fields).get("Cookie") for *_, fields, _ in done["sent"]]
    assert {name: done[name] for name in case["ours"]} == case["ours"]
    assert {name: done[name] for name in curls} != curls, "there is no difference any more: move the row"


def test_json_of_header_says_the_same(sides, origin_raw):
    case = row("", "-s", "-o", "out", "-w", "%{header_json}", "URL/", reply=response(
        b"x", fields=[("X-Case", "Ab"), ("x-lower", 'c"d'), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])).values[0]
    ours, theirs = (json.loads(side.run(origin_raw, case, origin_raw.script)["stdout"]) for side in sides)
    assert ours == theirs


def test_json_of_write_out_has_all_of_curls_variables(sides, origin_raw):
    case = row("", "-s", "-o", "out", "-w", "%{json}", "URL/").values[0]
    ours, theirs = (json.loads(side.run(origin_raw, case, origin_raw.script)["stdout"]) for side in sides)
    assert set(theirs) - set(ours) == {"ftp_entry_path", "curl_version"}
    same = {"http_code", "method", "num_headers", "size_download", "size_header", "url", "exitcode", "scheme"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
