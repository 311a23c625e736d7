# SPDX-License-Identifier: MIT
"""xhrctl cookies, jar and session against a real daemon; stores of browsers, curl's files, why."""
import json
import os
import pty
import signal
import sqlite3
import subprocess
import time

import pytest
from origins import response
from programs import XHRCTL
from waiting import wait_until

pytestmark = pytest.mark.shallow


def rows(xhrctl, *arguments):
    return json.loads(xhrctl(*arguments, "--json", check=0).out)


def names(xhrctl, *arguments):
    return sorted(row["name"] for row in rows(xhrctl, "cookies", "list", *arguments))


def on_a_terminal(xhrctl, xhrd, *arguments):
    """What the program shows on a terminal."""
    ours, its = pty.openpty()
    done = subprocess.run([XHRCTL, *arguments], stdout=its, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, "XHRD_SOCKET": str(xhrd.socket_path)})
    os.close(its)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass
    os.close(ours)
    return done.returncode, shown.decode(), done.stderr.decode()


def test_set_get_and_rm(xhrctl):
    xhrctl("cookies", "set", "sid=s3cret", "--host", "www.example.com", "--secure", "--http-only",
           "--same-site", "strict", "--max-age", "900", check=0)
    xhrctl("cookies", "set", "wide=1", "--domain", "example.com", "--path", "/a", check=0)
    xhrctl("cookies", "set", "from=2", "--url", "http://other.test/deep/er", check=0)
    row = rows(xhrctl, "cookies", "list", "--name", "sid")[0]
    assert (row["secure"], row["http_only"], row["host_only"], row["same_site"]) == (True, True, True, "Strict")
    assert 0 < row["expires_s"] - time.time() <= 900
    found = {row["name"]: row for row in rows(xhrctl, "cookies", "list")}
    assert (found["wide"]["host_only"], found["wide"]["path"]) == (False, "/a")
    assert (found["from"]["domain"], found["from"]["path"], found["from"]["expires_s"]) == ("other.test", "/deep", None)
    assert xhrctl("cookies", "get", "sid", check=0).out == "s3cret\n"
    assert xhrctl("cookies", "get", "sid", "--domain", "other.test").status == 78
    assert rows(xhrctl, "cookies", "rm", "sid") == {"removed": 1, "not_persisted": False}
    assert names(xhrctl) == ["from", "wide"]
    for wrong, says in ((["a=1"], "where"), (["a", "--host", "a.test"], "NAME=VALUE"),
                        (["a=1", "--host", "a.test", "--same-site", "some"], "none, lax or strict"),
                        (["a=1", "--host", "a.test", "--max-age", "-5"], "number of seconds"),
                        (["a=1", "--domain", "com", "--url", "http://a.com/"], "where")):
        done = xhrctl("cookies", "set", *wrong)
        assert done.status == 2 and says in done.err, done


def test_values_are_masked_on_a_terminal_alone(xhrctl, xhrd):
    xhrctl("cookies", "set", "sid=s3cret", "--host", "a.test", check=0)
    for arguments in (["cookies", "list"], ["cookies", "get", "sid"], ["cookies", "list", "--json"]):
        assert "s3cret" in xhrctl(*arguments, check=0).out
        status, shown, _ = on_a_terminal(xhrctl, xhrd, *arguments)
        assert status == 0 and "s3cret" not in shown
        assert "s3cret" in on_a_terminal(xhrctl, xhrd, *arguments, "--values")[1]
    status, shown, told = on_a_terminal(xhrctl, xhrd, "cookies", "export")
    assert (status, "s3cret" in shown) == (2, False) and "--values" in told
    assert "s3cret" in on_a_terminal(xhrctl, xhrd, "cookies", "export", "--values")[1]


def test_why_is_what_happens(xhrctl, xhr, origin_raw):
    """Whatever --why says of a URL, a request to it does."""
    host, port = "www.example.com", origin_raw.port
    for arguments in (["goes=1", "--host", host], ["wide=1", "--domain", "example.com"],
                      ["above=1", "--host", "example.com"], ["other=1", "--host", "other.test"],
                      ["deep=1", "--host", host, "--path", "/deep"], ["safe=1", "--host", host, "--secure"]):
        xhrctl("cookies", "set", *arguments, check=0)
    origin_raw.reply(response(b"ok"))
    for path in ("/", "/deep/er"):
        url = origin_raw.url(path, host=host)
        said = {row["name"]: row for row in rows(xhrctl, "cookies", "list", "--why", url)}
        assert len(said) == 6
        xhr("-s", "--resolve", f"{host}:{port}:127.0.0.1", url, check=0)
        sent = {pair.split("=")[0] for pair in (origin_raw.requests[-1].get("Cookie") or "").split("; ")}
        assert sent == {name for name, row in said.items() if row["goes"]}, path
        assert "value" not in said["goes"]
    assert "Secure" in said["safe"]["why"] and "host" in said["other"]["why"] and "own host" in said["above"]["why"]
    assert "its path" in {row["name"]: row for row in rows(
        xhrctl, "cookies", "list", "--why", origin_raw.url("/", host=host))}["deep"]["why"]
    table = xhrctl("cookies", "list", "--why", url, "--name", "safe", check=0).out
    assert "it is Secure and the URL is not https" in table
    assert xhrctl("cookies", "list", "--why", "nonsense").status == 2


def test_a_jar_goes_out_and_comes_in_again(xhrctl, folder):
    for arguments in (["a=1", "--host", "a.test"], ["b=2", "--domain", "b.test", "--max-age", "900", "--secure"],
                      ["c=x y", "--host", "c.test", "--http-only", "--path", "/c", "--max-age", "900"]):
        xhrctl("cookies", "set", *arguments, check=0)
    xhrctl("cookies", "export", str(folder / "out.txt"), check=0)
    assert (folder / "out.txt").stat().st_mode & 0o777 == 0o600
    done = xhrctl("cookies", "import", str(folder / "out.txt"), "--jar", "copy", check=0)
    assert done.out == "3 cookies imported, 0 refused\n"

    def told(*jar):
        return [{key: value for key, value in row.items() if not key.endswith("access_s") and key != "created_s"}
                for row in rows(xhrctl, "cookies", "list", *jar)]
    assert told() == told("--jar", "copy")
    exported = json.loads(xhrctl("cookies", "export", "--json", check=0).out)
    assert [row["name"] for row in exported] == ["a", "b", "c"] and exported[2]["value"] == "x y"
    assert xhrctl("cookies", "export", check=0).out == (folder / "out.txt").read_text()


def test_ck11_bad_entries_are_told_one_by_one_and_the_rest_is_in(xhrctl, folder):
    good = "a.test\tFALSE\t/\tFALSE\t0\t"
    lines = [good + "one\t1", good + "long\t" + "x" * 100_000, good + "nul\t\0", "co.uk\tTRUE\t/\tFALSE\t0\ts\t1",
             good.replace("\t0\t", "\t3093527980800\t") + "late\t1", good + "bell\t\a", good + "two\t2"]
    (folder / "in").write_text("\n".join(lines))
    done = xhrctl("cookies", "import", str(folder / "in"), "--jar", "../x")
    assert done.status == 2 and "UID/NAME" in done.err
    done = xhrctl("cookies", "import", str(folder / "in"), check=0)
    assert done.out == "3 cookies imported, 4 refused\n"
    for number, word in ((2, "longer"), (3, "NUL"), (4, "public suffix"), (6, "character")):
        assert any(f":{number}: " in line and word in line for line in done.err.splitlines()), done.err
    assert names(xhrctl) == ["late", "one", "two"]
    assert rows(xhrctl, "cookies", "import", str(folder / "in")) == {
        "imported": 3, "refused": 4, "not_persisted": False}


FIREFOX = ("CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '', name TEXT, "
           "value TEXT, host TEXT, path TEXT, expiry INTEGER, lastAccessed INTEGER, creationTime INTEGER, isSecure "
           "INTEGER, isHttpOnly INTEGER, inBrowserElement INTEGER DEFAULT 0, sameSite INTEGER DEFAULT 0, "
           "rawSameSite INTEGER DEFAULT 0, schemeMap INTEGER DEFAULT 0)")


def add_firefox(db, number, name, host, attributes="", expiry=None, same_site=0, secure=0):
    db.execute("INSERT INTO moz_cookies (id, originAttributes, name, value, host, path, expiry, lastAccessed, "
               "creationTime, isSecure, isHttpOnly, sameSite) VALUES (?,?,?,?,?,'/',?,0,?,?,1,?)",
               (number, attributes, name, f"v{number}", host, expiry or int(time.time()) + 900, number, secure,
                same_site))


def state_of(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_firefox_with_what_is_only_in_its_wal(xhrctl, folder):
    profile = folder / "profile"
    profile.mkdir()
    store = profile / "cookies.sqlite"
    db = sqlite3.connect(store)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute(FIREFOX)
    add_firefox(db, 1, "checkpointed", ".a.test", same_site=1)
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    add_firefox(db, 2, "in_wal", "www.b.test", secure=1)
    add_firefox(db, 3, "boxed", "b.test", attributes="^userContextId=1")
    add_firefox(db, 4, "old", "b.test", expiry=1000)
    add_firefox(db, 5, "millis", "b.test", expiry=(int(time.time()) + 900) * 1000)
    db.commit()
    assert (profile / "cookies.sqlite-wal").stat().st_size > 0
    before = state_of(profile)
    done = xhrctl("cookies", "import", str(store), check=0)  # the browser is running
    assert done.out == "3 cookies imported, 2 refused\n", done
    assert "container" in done.err and "expired" in done.err
    assert state_of(profile) == before, "the browser's files are not touched"
    found = {row["name"]: row for row in rows(xhrctl, "cookies", "list")}
    assert sorted(found) == ["checkpointed", "in_wal", "millis"]
    assert (found["checkpointed"]["domain"], found["checkpointed"]["host_only"],
            found["checkpointed"]["same_site"]) == ("a.test", False, "Lax")
    assert (found["in_wal"]["host_only"], found["in_wal"]["secure"], found["in_wal"]["same_site"]) == (True, True, "None")
    assert found["millis"]["expires_s"] < time.time() + 1000
    db.close()


CHROMIUM = ("CREATE TABLE cookies (creation_utc INTEGER NOT NULL, host_key TEXT NOT NULL, top_frame_site_key TEXT NOT "
            "NULL, name TEXT NOT NULL, value TEXT NOT NULL, encrypted_value BLOB NOT NULL, path TEXT NOT NULL, "
            "expires_utc INTEGER NOT NULL, is_secure INTEGER NOT NULL, is_httponly INTEGER NOT NULL, last_access_utc "
            "INTEGER NOT NULL, has_expires INTEGER NOT NULL, is_persistent INTEGER NOT NULL, priority INTEGER NOT NULL, "
            "samesite INTEGER NOT NULL, source_scheme INTEGER NOT NULL, source_port INTEGER NOT NULL)")


def test_chromium_as_far_as_it_is_not_encrypted(xhrctl, folder):
    store = folder / "Cookies"
    db = sqlite3.connect(store)
    db.execute(CHROMIUM)
    late = (int(time.time()) + 900 + 11644473600) * 1000000
    for number, (host, frame, name, value, secret, expires, lasting) in enumerate((
            (".a.test", "", "plain", "v", b"", late, 1), ("a.test", "", "secret", "", b"v10xxxx", late, 1),
            ("a.test", "https://top.test", "framed", "v", b"", late, 1), ("b.test", "", "session", "v", b"", 0, 0))):
        db.execute("INSERT INTO cookies VALUES (?,?,?,?,?,?,'/',?,1,0,0,1,?,1,-1,2,443)",
                   (number, host, frame, name, value, secret, expires, lasting))
    db.commit()
    db.close()
    done = xhrctl("cookies", "import", str(store), check=0)
    assert done.out == "2 cookies imported, 2 refused\n", done
    assert "encrypted" in done.err and "partition" in done.err
    found = {row["name"]: row for row in rows(xhrctl, "cookies", "list")}
    assert sorted(found) == ["plain", "session"]
    assert abs(found["plain"]["expires_s"] - time.time() - 900) < 60 and found["session"]["expires_s"] is None


def test_what_is_no_store_is_refused(xhrctl, folder):
    db = sqlite3.connect(folder / "other")
    db.execute("CREATE TABLE x (y)")
    db.commit()
    db.close()
    (folder / "torn").write_bytes(b"SQLite format 3\0" + bytes(4096))
    (folder / "bytes").write_bytes(b"\0\1\2\n")
    for name, says in (("other", "no store of cookies"), ("torn", ""), ("bytes", "neither"), ("none", "No such file")):
        done = xhrctl("cookies", "import", str(folder / name))
        assert done.status == 26 and says in done.err, done
    assert not [path for path in os.scandir("/tmp") if path.name.startswith("xhrctl-")
                and path.stat().st_mtime > time.time() - 5 and os.listdir(path.path)], "nothing is left of copies"


def test_jars_are_made_listed_granted_and_removed(xhrctl):
    xhrctl("jar", "create", "work", check=0)
    xhrctl("cookies", "set", "a=1", "--host", "a.test", "--jar", "work", check=0)
    assert xhrctl("jar", "grant", "work", "12345", "use", check=0).out == "work: granted\n"
    xhrctl("jar", "grant", "work", "@root", "read", check=0)
    jar = {row["jar"]: row for row in rows(xhrctl, "jar", "list")}["work"]
    assert (jar["right"], jar["cookies"], set(jar["grants"].split())) == ("write", 1, {"12345:use", "@0:read"})
    xhrctl("jar", "revoke", "work", "@0", check=0)
    jar = {row["jar"]: row for row in rows(xhrctl, "jar", "list")}["work"]
    assert jar["grants"] == "12345:use"
    assert "work" in xhrctl("jar", "list", check=0).out
    xhrctl("jar", "rm", "work", check=0)
    assert "work" not in [row["jar"] for row in rows(xhrctl, "jar", "list")]
    for wrong in (["jar", "create", "../x"], ["jar", "grant", "work", "nobody-of-that-name", "use"],
                  ["jar", "grant", "work", "0", "own"]):
        done = xhrctl(*wrong)
        assert done.status != 0 and done.err.count("\n") == 1, done


def test_a_session_ends(xhrctl):
    for name, more in (("a", []), ("b", ["--max-age", "900"]), ("c", ["--jar", "work"])):
        xhrctl("cookies", "set", f"{name}=1", "--host", "a.test", *more, check=0)
    assert rows(xhrctl, "session", "end", "--jar", "work")["removed"] == 1
    assert names(xhrctl) == ["a", "b"]
    xhrctl("session", "end", check=0)
    assert names(xhrctl) == ["b"]


def test_a_watch_tells_what_there_is_and_every_change(xhrctl, xhrd, folder):
    xhrctl("cookies", "set", "there=1", "--host", "a.test", check=0)
    out = folder / "watched"
    with open(out, "wb") as file:
        watch = subprocess.Popen([XHRCTL, "cookies", "watch", "--json"], stdout=file,
                                 env={**os.environ, "XHRD_SOCKET": str(xhrd.socket_path)})
    try:
        def told():
            return [json.loads(line) for line in out.read_text().splitlines()]
        wait_until(lambda: len(told()) == 1, "the snapshot")
        for number in range(5):
            xhrctl("cookies", "set", f"n{number}=1", "--host", "a.test", check=0)
        xhrctl("cookies", "set", "n0=2", "--host", "a.test", check=0)
        xhrctl("cookies", "rm", "n1", check=0)
        wait_until(lambda: len(told()) == 8, "seven changes")
        assert [(row["name"], row["cause"]) for row in told()] == [
            ("there", "there"), *((f"n{n}", "added") for n in range(5)), ("n0", "replaced"), ("n1", "removed")]
        numbers = [row["sequence"] for row in told()]
        assert numbers == list(range(numbers[0], numbers[0] + 8)), "no gap"
        assert told()[6]["value"] == "2" and told()[7]["removed"]
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait(10)
