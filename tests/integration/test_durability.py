# SPDX-License-Identifier: MIT
"""What survives a kill, a restart and a full disk (DB01, part of DB05 and DB10)."""
import os
import pathlib
import random
import stat
import subprocess
import threading
import time

import pytest
import wire
from origins import ScriptedOrigin, response
from programs import SANITIZED, Daemon
from waiting import wait_until

WRITERS = 3


class Counter(threading.Thread):
    """A client that lets the origin set the same pair of cookies to 1, 2, 3 … and remembers the
    last number whose load it was told."""

    def __init__(self, daemon, origin, name, number):
        super().__init__()
        self.daemon_under_test, self.origin, self.name_ = daemon, origin, name
        self.acknowledged = number

    def run(self):
        number = self.acknowledged
        try:
            with self.daemon_under_test.client() as client:
                while True:
                    number += 1
                    exchange = client.fetch(self.origin.url(f"/{self.name_}/{number}"))
                    if not exchange.done:
                        return
                    self.acknowledged = number
        except (wire.Closed, OSError):
            pass


def counting(request):
    _, name, number = request.target.split("/")
    return response(b"ok", fields=[("Set-Cookie", f"{name}{half}={number}; Path=/; Max-Age=86400")
                                   for half in "ab"])


def kill_rounds(daemon, origin, rounds):
    """Return: how many acknowledged numbers the rounds saw."""
    chance = random.Random(20)
    last = [0] * WRITERS
    for _ in range(rounds):
        writers = [Counter(daemon, origin, f"w{n}", last[n]) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        goal = chance.randrange(1, 40)
        wait_until(lambda: sum(w.acknowledged for w in writers) >= sum(last) + goal,  # noqa: B023
                   "some writes")
        daemon.kill()
        for writer in writers:
            writer.join()
        daemon.start()
        with daemon.client() as client:
            kept = {c.name.decode(): int(c.value) for c in client.cookies()}
        for n, writer in enumerate(writers):
            kept_a, kept_b = kept.get(f"w{n}a", 0), kept.get(f"w{n}b", 0)
            assert kept_a == kept_b, "both cookies of an answer, or neither"
            assert kept_a >= writer.acknowledged, "an acknowledged cookie was lost"
            last[n] = kept_a
    return sum(last)


@pytest.mark.xhrd(arguments=["--log-level", "warning"])
def test_db01_hundred_kills_lose_no_acknowledged_cookie(xhrd):
    origin = ScriptedOrigin()
    origin.answer = counting
    try:
        assert kill_rounds(xhrd, origin, 10 if SANITIZED else 100) > 100
    finally:
        origin.stop()
    assert "corrupt" not in xhrd.log()


@pytest.mark.soak
@pytest.mark.xhrd(arguments=["--log-level", "warning"])
def test_db01_p1_a_thousand_kills_lose_no_acknowledged_cookie(xhrd):
    origin = ScriptedOrigin()
    origin.answer = counting
    try:
        assert kill_rounds(xhrd, origin, 1000) > 1000
    finally:
        origin.stop()
    assert "corrupt" not in xhrd.log()


def import_many(xhrctl, folder, count):
    """One cookie each of so many sites, into one jar."""
    path, late = folder / "many", int(time.time()) + 86400
    with open(path, "w") as file:
        file.writelines(f"www.site{n}.com\tFALSE\t/\tFALSE\t{late}\tsession\t{n:048d}\n" for n in range(count))
    assert xhrctl("cookies", "import", str(path), check=0, timeout=600).out == f"{count} cookies imported, 0 refused\n"


@pytest.mark.parametrize("count", [pytest.param(20_000), pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_db15_of_many_cookies_three_thousand_are_kept(xhrd, xhrctl, folder, count):
    import_many(xhrctl, folder, count)
    with xhrd.client() as client:
        kept = client.cookies()
    assert len(kept) == 3000
    assert {c.domain.decode() for c in kept} == {f"www.site{n}.com" for n in range(count - 3000, count)}
    assert xhrd.rss_kib() < 64 * 1024 or SANITIZED
    xhrd.kill()
    xhrd.start()
    with xhrd.client() as client:
        assert len(client.cookies()) == 3000


@pytest.mark.xhrd(arguments=["--log-level", "warning"], config="[Cookies]\nDurability=full\n")
def test_db02_full_durability_syncs_before_it_tells(xhrd):
    """What a power cut leaves is test_store_power's; here: that the key of xhrd.conf reaches it."""
    trace = xhrd.state_dir.parent / "trace"
    origin = ScriptedOrigin()
    origin.answer = counting
    strace = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-o", str(trace), "-p",
                               str(xhrd.pid)], stderr=subprocess.DEVNULL)
    try:
        status = pathlib.Path(f"/proc/{xhrd.pid}/status")
        wait_until(lambda: "TracerPid:\t0\n" not in status.read_text() or strace.poll() is not None, "strace")
        if strace.poll() is not None:
            pytest.skip("strace may not look on here")
        with xhrd.client() as client:
            for number in range(5):
                before = trace.read_text().count("sync(")
                assert client.fetch(origin.url(f"/w/{number}")).done
                assert trace.read_text().count("sync(") > before
    finally:
        strace.terminate()
        strace.wait()
        origin.stop()


@pytest.mark.shallow
def test_cookies_outlive_a_restart_and_session_cookies_do_not(xhrd, origin_raw):
    fields = [("Set-Cookie", "kept=1; Max-Age=86400"), ("Set-Cookie", "gone=1")]
    origin_raw.reply(response(b"ok", fields=fields))
    with xhrd.client() as client:
        assert client.fetch(origin_raw.url()).done
        assert len(client.cookies()) == 2
    assert xhrd.stop() == 0
    assert b"gone" not in b"".join(p.read_bytes() for p in xhrd.state_dir.rglob("*") if p.is_file())
    xhrd.start()
    with xhrd.client() as client:
        assert [c.name for c in client.cookies()] == [b"kept"]
        assert client.fetch(origin_raw.url()).done
        assert origin_raw.requests[-1].get("Cookie") == "kept=1"


@pytest.mark.shallow
def test_p5_a_removal_is_synced_before_it_is_told(xhrd, origin_raw):
    origin_raw.reply(response(b"ok", fields=[("Set-Cookie", "a=1; Max-Age=86400"),
                                             ("Set-Cookie", "b=1; Max-Age=86400")]))
    synced, stored = wire.cookie_pb2.DURABILITY_SYNCED, wire.cookie_pb2.DURABILITY_STORED
    with xhrd.client() as client:
        for jar in "", "work":
            assert client.fetch(origin_raw.url(), jar=jar).done
        one = client.remove_cookies(name="a")
        assert (one.changed, one.durability) == (1, synced)
        assert client.remove_cookies(name="none").durability in (synced, stored)
        rest = client.remove_cookies()
        assert (rest.changed, rest.durability) == (1, synced)
        gone = client.cookie_command("work", jar_remove=wire.cookie_pb2.JarRemove())[-1]
        assert (gone.changed, gone.durability) == (1, synced)
        # What comes is told when it survives the daemon, unless more is asked for.
        added = client.cookie_command("", set=wire.cookie_pb2.CookieSet(
            url=origin_raw.url().encode(), cookie=wire.cookie_pb2.Cookie(name=b"n", value=b"1", expires_s=4102444800)))[-1]
        assert (added.changed, added.durability) == (1, stored)


def test_removed_cookies_stay_removed_over_a_kill(xhrd, origin_raw):
    origin_raw.reply(response(b"ok", fields=[("Set-Cookie", "x=1; Max-Age=86400")]))
    with xhrd.client() as client:
        assert client.fetch(origin_raw.url()).done
        assert client.remove_cookies().changed == 1
    xhrd.kill()
    xhrd.start()
    with xhrd.client() as client:
        assert client.cookies() == []


@pytest.mark.shallow
def test_files_are_for_the_owner_only(xhrd, origin_raw):
    origin_raw.reply(response(b"ok", fields=[("Set-Cookie", "x=1; Max-Age=86400")]))
    with xhrd.client() as client:
        assert client.fetch(origin_raw.url()).done
    paths = [xhrd.state_dir, *xhrd.state_dir.rglob("*")]
    assert len(paths) > 1
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"


@pytest.fixture
def small_disk(folder):
    """A file system of 1 MiB for the state folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    path = folder / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "xhrd-test", str(path)],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    with open(path / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_db05_full_disk_goes_on_says_so_and_catches_up(folder, small_disk):
    daemon = Daemon(folder / "xhrd", state_dir=small_disk / "state")
    origin = ScriptedOrigin()
    number = [0]

    def answer(request):
        number[0] += 1
        return response(b"ok", fields=[("Set-Cookie", f"n={number[0]}; Max-Age=86400"),
                                       ("Set-Cookie", f"pad{number[0]}={'x' * 3000}; Max-Age=86400")])

    origin.answer = answer
    try:
        with daemon.client() as client:
            first = client.fetch(origin.url())
            assert first.done and not first.done.cookies_not_persisted
            fill(small_disk)

            def told():
                exchange = client.fetch(origin.url())
                assert exchange.done, "requests go on"
                return exchange.done.cookies_not_persisted
            wait_until(told, "the loss of persistence to be told")
            assert client.status().persistence_lost
            lost = number[0]
            assert f"n={lost}" in (client.fetch(origin.url()) and origin.requests[-1].get("Cookie"))
            assert "disk" in daemon.log() or "No space" in daemon.log() or "full" in daemon.log()
            (small_disk / "ballast").unlink()
            wait_until(lambda: not client.status().persistence_lost, "the disk to be used again", 40)
            newest = number[0]
        daemon.kill()
        daemon.start()
        with daemon.client() as client:
            assert {c.value for c in client.cookies(name="n")} == {str(newest).encode()}
    finally:
        origin.stop()
        daemon.finish()


@pytest.mark.shallow
@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + bytes(4096), os.urandom(8192)],
                         ids=["empty", "zeroed", "garbage"])
def test_damaged_store_is_set_aside_and_requests_go_on(folder, damage):
    daemon = Daemon(folder / "xhrd")
    origin = ScriptedOrigin()
    origin.reply(response(b"ok", fields=[("Set-Cookie", "x=1; Max-Age=86400")]))
    try:
        with daemon.client() as client:
            assert client.fetch(origin.url()).done
        assert daemon.stop() == 0
        databases = [p for p in daemon.state_dir.rglob("*") if p.is_file()
                     and p.read_bytes()[:15] == b"SQLite format 3"]
        assert databases
        for path in databases:
            path.write_bytes(damage)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        daemon.start()
        with daemon.client() as client:
            exchange = client.fetch(origin.url())
            assert exchange.done and not exchange.done.cookies_not_persisted
            assert [c.name for c in client.cookies()] == [b"x"]
    finally:
        origin.stop()
        daemon.finish()


def test_db12_two_daemons_on_one_state_take_turns_and_lose_nothing(make_xhrd, origin_raw, folder):
    """As when a service is restarted and the old one is slow to leave."""
    origin_raw.answer = lambda request: response(
        b"ok", fields=[("Set-Cookie", f"{request.target[1:]}=1; Path=/; Max-Age=86400")])
    state = folder / "state"
    old = Daemon(folder / "old", state_dir=state)
    with old.client() as first:
        assert first.fetch(origin_raw.url("/old")).done
        new = make_xhrd(state_dir=state)
        with new.client() as second:
            waits = second.open(origin_raw.url("/new"))
            second.status()  # it is served meanwhile
            assert not waits.ended
            assert first.fetch(origin_raw.url("/late")).done  # the old one goes on as before
            assert old.stop() == 0
            done = second.finish(waits)
            assert done.done and not done.done.cookies_not_persisted
            assert {c.name for c in second.cookies()} == {b"old", b"late", b"new"}
    new.kill()
    new.start()
    with new.client() as third:
        assert {c.name for c in third.cookies()} == {b"old", b"late", b"new"}
