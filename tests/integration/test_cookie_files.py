# SPDX-License-Identifier: MIT
"""cookies.txt between xhr and the real curl: what one writes the other sends, and what may not be
is told entry by entry (CK11)."""
import shutil
import subprocess
import threading

import pytest
from origins import response
from programs import XHR, Program

pytestmark = pytest.mark.shallow
CURL = shutil.which("curl")


@pytest.fixture
def site(origin_raw):
    """One origin for any host, that sets what the path says."""
    def answer(request):
        fields = [("Set-Cookie", line) for line in SETS.get(request.target.split("?")[0], [])]
        return response(b"ok", fields=fields)
    origin_raw.answer = answer
    return origin_raw


SETS = {"/set": ["session=1; Path=/", "lasting=2; Path=/; Max-Age=9000", "hidden=3; HttpOnly; Max-Age=9000",
                 "wide=4; Domain=example.com; Max-Age=9000", "deep=5; Path=/deep; Max-Age=9000",
                 "empty=; Max-Age=9000"],
        "/unset": ["lasting=; Max-Age=0; Path=/"]}


def reach(origin, *hosts):
    return [word for host in hosts for word in ("--resolve", f"{host}:{origin.port}:127.0.0.1")]


def curl(origin, folder, *arguments):
    done = subprocess.run([CURL, "-s", "-S", *reach(origin, "www.example.com", "other.example.com", "nothing.test"),
                           *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(xhr, origin, *arguments, status=0):
    done = xhr("-sS", *reach(origin, "www.example.com", "other.example.com", "nothing.test"), *map(str, arguments))
    assert done.status == status, done
    return done


def sent(origin):
    return sorted((origin.requests[-1].get("Cookie") or "").split("; "))


def lines(path):
    return sorted(line for line in path.read_text().splitlines()
                  if line and (not line.startswith("#") or line.startswith("#HttpOnly_")))


def without_date(line):
    fields = line.split("\t")
    return [*fields[:4], fields[4] == "0", *fields[5:]]


def test_what_curl_wrote_xhr_sends_and_the_other_way_round(xhr, site, folder):
    url = site.url("/set", host="www.example.com")
    curl(site, folder, "-c", "of_curl", url)
    ours(xhr, site, "-c", folder / "of_xhr", url)
    assert ([without_date(line) for line in lines(folder / "of_curl")]
            == [without_date(line) for line in lines(folder / "of_xhr")])
    for path in ("/", "/deep/er"):
        want = None
        for reader in (lambda file, url: curl(site, folder, "-b", file, url),
                       lambda file, url: ours(xhr, site, "-b", folder / file, url)):
            for file in ("of_curl", "of_xhr"):
                for host in ("www.example.com", "other.example.com"):
                    reader(file, site.url(path, host=host))
                    got = (host, sent(site))
                    want = want or {}
                    assert want.setdefault(host, got) == got, file
        assert "session=1" in want["www.example.com"][1]
        assert want["other.example.com"][1] == ["wide=4"]


def test_a_file_is_carried_on_from_one_command_to_the_next(xhr, site, folder):
    jar = folder / "jar"
    ours(xhr, site, "-b", jar, "-c", jar, site.url("/set", host="www.example.com"))
    assert len(lines(jar)) == 6
    ours(xhr, site, "-b", jar, "-c", jar, site.url("/unset", host="www.example.com"))
    assert "lasting=2" in sent(site)
    assert [line for line in lines(jar) if "lasting" in line] == []
    ours(xhr, site, "-j", "-b", jar, "-c", jar, site.url("/", host="www.example.com"))
    assert "session=1" not in sent(site) and "hidden=3" in sent(site)
    assert len(lines(jar)) == 4
    assert jar.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir() if path.name.startswith("jar")] == ["jar"]


def test_a_private_jar_and_the_daemons_know_nothing_of_each_other(xhr, xhrctl, site, folder):
    url = site.url("/set", host="www.example.com")
    ours(xhr, site, site.url("/set", host="other.example.com"))
    ours(xhr, site, "-c", folder / "jar", url)
    assert site.requests[-1].get("Cookie") is None
    ours(xhr, site, "-b", "", url)
    assert site.requests[-1].get("Cookie") is None
    listed = xhrctl("cookies", "list", "--json", check=0).out
    assert "www.example.com" not in listed and "other.example.com" in listed


def test_within_one_command_the_second_url_sends_what_the_first_was_given(xhr, site, folder):
    done = ours(xhr, site, "-c", "-", "-o", folder / "a", "-o", folder / "b", "-b", "own=1",
                site.url("/set", host="www.example.com"), site.url("/", host="www.example.com"))
    assert {"own=1", "session=1", "lasting=2"} <= set(sent(site))
    assert "#HttpOnly_www.example.com\tFALSE\t/\tFALSE\t" in done.out
    assert "own" not in done.out


def test_ck11_a_line_of_100_kb_is_one_refused_entry_and_the_rest_is_read(xhr, site, folder):
    jar = folder / "jar"
    good = "www.example.com\tFALSE\t/\tFALSE\t0\t"
    long = good + "long\t" + ("x" * 990 + "\t" + good + "sneaked\tin") * 100
    rows = [good + "first\t1", long, good + "nul\t1\0two", "co.uk\tTRUE\t/\tFALSE\t0\tsuffix\t1",
            "www.example.com\tFALSE\t/\tFALSE\t3093527980800\tyear99999\t1",
            "www.example.com\tFALSE\t/\tFALSE\t1000\told\t1", "nonsense", good + "last\t1"]
    jar.write_text("\n".join(rows) + "\n")
    done = xhr("-S", *reach(site, "www.example.com"), "-b", str(jar), "-c", str(folder / "after"),
               site.url("/", host="www.example.com"), check=0)
    assert sent(site) == ["first=1", "last=1", "year99999=1"]
    told = [line for line in done.err.splitlines() if "line " in line]
    for number, word in ((2, "longer"), (3, "NUL"), (4, "public suffix"), (6, "expired"), (7, "seven fields")):
        assert any(f"line {number}: " in line and word in line for line in told), done.err
    assert len(told) == 5
    expiry = int([line for line in lines(folder / "after") if "year99999" in line][0].split("\t")[4])
    assert 0 < expiry < 4_000_000_000, "no more than 400 days"


def test_files_that_are_not_there_or_no_text(xhr, site, folder):
    url = site.url("/set", host="www.example.com")
    done = xhr("-S", *reach(site, "www.example.com"), "-b", str(folder / "none"), url, check=0)
    assert "there is no such file" in done.err
    (folder / "database").write_bytes(b"SQLite format 3\0" + bytes(100))
    assert "xhrctl cookies import" in ours(xhr, site, "-b", folder / "database", url, status=26).err
    done = ours(xhr, site, "-c", folder / "no" / "such" / "jar", url, status=23)
    assert "-c " in done.err and "No such file" in done.err


def test_what_is_no_regular_file_is_written_to_and_a_link_is_followed(xhr, site, folder):
    url = site.url("/set", host="www.example.com")
    ours(xhr, site, "-c", "/dev/null", url)
    assert not (folder / "null").exists()
    (folder / "target").write_text("old")
    (folder / "target").chmod(0o640)
    (folder / "link").symlink_to("target")
    ours(xhr, site, "-c", folder / "link", url)
    assert (folder / "link").is_symlink() and len(lines(folder / "target")) == 6
    assert (folder / "target").stat().st_mode & 0o777 == 0o640


def test_private_jars_of_processes_at_once_stay_apart(xhrd, site, folder):
    """CK30's like, within a uid."""
    def one(number):
        program = Program(XHR, folder, XHRD_SOCKET=str(xhrd.socket_path))
        (folder / f"in{number}").write_text(f"www.example.com\tFALSE\t/\tFALSE\t0\tme\t{number}\n")
        done[number] = program("-s", *reach(site, "www.example.com"), "-b", str(folder / f"in{number}"), "-c",
                               str(folder / f"out{number}"), site.url(f"/?{number}", host="www.example.com"))
    done = {}
    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert done[number].status == 0
        assert f"me\t{number}\n" in (folder / f"out{number}").read_text()
    assert all(request.get("Cookie") == "me=" + request.target.split("?")[1] for request in site.requests)
