# SPDX-License-Identifier: MIT
"""What a small answer may cost: bombs, codings one over another, claims of size, work that grows
faster than what is sent (EX04 to EX08, EX12, EX15, EX16)."""
import contextlib
import gzip
import struct
import threading
import zlib

import pytest
from origins import response
from programs import SANITIZED
from waiting import wait_until
from wire import envelope_pb2

pytestmark = pytest.mark.shallow
MIB = 1 << 20
GROWTH_KIB = 8 * 1024
SMALL_KIB = 2 * 1024


def coded(body, *codings, **more):
    return response(body, fields=[("Content-Encoding", ", ".join(codings))], **more)


def zipped(data, times=1):
    for _ in range(times):
        data = gzip.compress(data, mtime=0)
    return data


def bomb(size):
    """gzip of so many zeros, made without holding them."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(MIB)
    return b"".join([*(packer.compress(zeros) for _ in range(size // MIB)), packer.flush()])


@contextlib.contextmanager
def memory_is_flat(xhrd, client, origin, growth_kib=GROWTH_KIB):
    """The daemon does not need more inside than at most so much over what it has after a first
    exchange. Address sanitizers count differently: there only the outcome is looked at."""
    standing, origin.answer = origin.answer, lambda request: response(b"warm")
    assert client.fetch(origin.url("/warm"), no_keep_alive=True).body == b"warm"
    origin.answer = standing
    before = xhrd.rss_kib()
    xhrd.forget_peak()
    yield
    grown = xhrd.memory_kib("VmHWM") - before
    assert SANITIZED or grown <= growth_kib, f"{grown} KiB more than before"


# ---- codings

@pytest.mark.parametrize("fields", [
    [("Content-Encoding", "gzip, gzip, gzip, gzip, gzip, gzip")], [("Content-Encoding", "gzip")] * 6,
    [("Content-Encoding", "gzip, gzip"), ("Content-Encoding", "gzip,gzip"), ("Content-Encoding", "gzip , gzip")]])
def test_ex04_six_codings_in_one_field_or_several_fail_by_the_limit(client, origin_raw, fields):
    origin_raw.reply(response(zipped(b"deep", 6), fields=fields))
    assert client.fetch(origin_raw.url()).failure == "LIMIT"


@pytest.mark.parametrize("fields", [[("Content-Encoding", "gzip, gzip, gzip, gzip, gzip")],
                                    [("Content-Encoding", "gzip")] * 5])
def test_ex04_five_codings_pass(client, origin_raw, fields):
    origin_raw.reply(response(zipped(b"deep", 5), fields=fields))
    assert client.fetch(origin_raw.url()).body == b"deep"


def read_slowly(client, exchange, size):
    """With credit for 256 KiB, and for as much again whenever that has come."""
    exchange.keeps_body = False
    for granted in range(256 << 10, size + 1, 256 << 10):
        client.receive_until(lambda: exchange.ended or exchange.body_bytes == granted)  # noqa: B023
        client.send("credit", request_id=exchange.request_id, bytes=256 << 10)
    client.finish(exchange)
    return exchange.body_bytes


def test_ex05_a_bomb_costs_a_slow_reader_only_what_it_reads(xhrd, client, origin_raw):
    data, size = bomb(100 * MIB), 100 * MIB
    assert size / len(data) > 1000
    origin_raw.reply(coded(data, "gzip"))
    client.auto_credit = False
    with memory_is_flat(xhrd, client, origin_raw):
        exchange = client.open(origin_raw.url(), credit=256 << 10)
        assert read_slowly(client, exchange, size) == size
    assert exchange.done.wire_bytes == len(data)


def test_ex05_a_server_is_not_read_ahead_of_the_reader(xhrd, client, origin_raw):
    """64 MiB of bombs; the reader takes 256 KiB of 64 GiB and waits."""
    piece = bomb(64 * MIB)

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        for _ in range((64 << 20) // len(piece)):
            connection.send(piece)

    client.auto_credit = False
    with memory_is_flat(xhrd, client, origin_raw):
        origin_raw.script = script
        exchange = client.open(origin_raw.url("/second"), credit=256 << 10, no_keep_alive=True)
        client.receive_until(lambda: exchange.body_bytes == 256 << 10)
        wait_until(lambda: origin_raw.connections[-1]._unread_by_client() > 64 << 10,
                   "the server's bytes to stay with the kernel")
        client.drain()
        assert exchange.body_bytes == 256 << 10 and not exchange.ended
    client.abort(exchange)
    client.finish(exchange)


def test_ex06_a_double_bomb_costs_no_more_and_a_limit_cuts_it(xhrd, client, origin_raw):
    data, size = gzip.compress(bomb(100 * MIB), 9), 100 * MIB
    assert len(data) < 1000
    origin_raw.reply(coded(data, "gzip", "gzip"))
    with memory_is_flat(xhrd, client, origin_raw):
        exchange = client.open(origin_raw.url())
        exchange.keeps_body = False
        assert client.finish(exchange).failure is None and exchange.body_bytes == size
        limited = client.fetch(origin_raw.url(), response_bytes_max=3 * MIB + 1)
        assert limited.failure == "LIMIT"
        assert 3 * MIB + 1 - (64 << 10) <= limited.body_bytes <= 3 * MIB + 1


def test_ex06_a_bomb_in_a_redirect_or_an_error_is_not_opened_for_nothing(xhrd, client, origin_raw):
    data = bomb(100 * MIB)
    moved = response(data, status="302 F", fields=[("Location", "/there"), ("Content-Encoding", "gzip")])
    origin_raw.replies(moved, response(b"there"))
    with memory_is_flat(xhrd, client, origin_raw):
        origin_raw.replies(moved, response(b"there"))
        exchange = client.fetch(origin_raw.url("/a"))
    assert exchange.body == b"there" and exchange.done.wire_bytes == 5


GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"


@pytest.mark.parametrize("name, body, outcome", [
    ("cut in the data", zipped(b"x" * 1000)[:-12], "TRUNCATED"), ("cut in the checksum", zipped(b"x")[:-2], "TRUNCATED"),
    ("wrong checksum", zipped(b"x")[:-8] + b"\0\0\0\0" + zipped(b"x")[-4:], "CODING"),
    ("wrong length", zipped(b"x")[:-4] + struct.pack("<I", 0xFFFFFFFF), "CODING"),
    ("members", zipped(b"ab") * 3, b"ababab"), ("junk behind", zipped(b"ab") + b"junk", b"ab"),
    ("zeros behind", zipped(b"ab") + bytes(4096), b"ab"), ("empty body", b"", b"")])
def test_ex07_gzip_that_is_not_as_it_should_be(client, origin_raw, name, body, outcome):
    origin_raw.reply(coded(body, "gzip"))
    exchange = client.fetch(origin_raw.url())
    assert (exchange.failure or exchange.body) == outcome, exchange.text


def test_ex07_a_hundred_thousand_members_are_read_or_refused_in_linear_work(xhrd, client, origin_raw):
    member = zipped(b"x")
    origin_raw.reply(coded(member * 100_000, "gzip"))
    with memory_is_flat(xhrd, client, origin_raw):
        exchange = client.fetch(origin_raw.url())
    assert exchange.failure in (None, "LIMIT")
    assert exchange.failure or exchange.body == b"x" * 100_000


def endless(head, piece, sent):
    """A script that never stops of itself, and tells how much has gone."""
    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + head)
        while True:
            connection.send(piece)
            sent.append(len(piece))
    return script


@pytest.mark.parametrize("head, piece", [
    pytest.param(b"\x1f\x8b\x08\x08\0\0\0\0\0\x03", b"name" * 4096, id="EX07 a file name without end"),
    pytest.param(b"\x1f\x8b\x08\x10\0\0\0\0\0\x03", b"text" * 4096, id="EX07 a comment without end"),
    pytest.param(GZIP_HEAD, b"\0\0\0\xff\xff" * 4096, id="EX12 deflate blocks that give nothing"),
    pytest.param(b"", zipped(b"") * 1000, id="EX07 members that give nothing")])
def test_ex07_ex12_work_without_result_ends_by_the_limit(xhrd, client, origin_raw, head, piece):
    sent = []
    with memory_is_flat(xhrd, client, origin_raw):
        origin_raw.script = endless(head, piece, sent)
        exchange = client.fetch(origin_raw.url("/second"), no_keep_alive=True)
    assert exchange.failure == "LIMIT" and exchange.body == b""
    assert sum(sent) < 16 * MIB, "of what would have been endless"


def zstd_frame(window_log, data=b"hello"):
    """One raw block in a frame that wants this window."""
    return (b"\x28\xb5\x2f\xfd\0" + bytes([(window_log - 10) << 3]) +
            struct.pack("<I", len(data) << 3 | 1)[:3] + data)


def zstd_claim(size, data=b"hello"):
    """A frame in a single segment of this size: the whole of it would be the window."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


@pytest.mark.parametrize("coding, body, outcome", [
    ("zstd", zstd_frame(23), b"hello"), ("zstd", zstd_frame(24), "LIMIT"), ("zstd", zstd_frame(31), "LIMIT"),
    ("zstd", zstd_claim(1 << 62), "LIMIT"), ("br", b"\x3f", "LIMIT")])
def test_ex08_windows_over_8_mib_are_not_allocated(xhrd, client, origin_raw, coding, body, outcome):
    origin_raw.reply(coded(body, coding))
    with memory_is_flat(xhrd, client, origin_raw, 10 * 1024):
        exchange = client.fetch(origin_raw.url())
    assert (exchange.failure or exchange.body) == outcome, exchange.text


# ---- work

def test_ex15_a_hundred_thousand_fields_of_one_name_fail_early(xhrd, client, another, origin_raw):
    lines = b"X-Same: value\r\n" * 100_000
    origin_raw.reply(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    with memory_is_flat(xhrd, client, origin_raw):
        assert client.fetch(origin_raw.url()).failure == "LIMIT"
    origin_raw.reply(response(b"ok"))
    assert another.fetch(origin_raw.url()).body == b"ok"


def test_ex15_as_many_fields_as_are_taken_are_told_as_they_came(client, origin_raw):
    fields = [("X-Same", f"v{n}") for n in range(990)]
    origin_raw.reply(response(b"ok", fields=fields))
    exchange = client.fetch(origin_raw.url())
    assert exchange.header("X-Same") == [value for _, value in fields]


def test_ex15_as_many_from_a_caller_are_refused_before_they_are_unpacked(xhrd, client, another, origin_raw):
    with memory_is_flat(xhrd, client, origin_raw):
        another.open(origin_raw.url(), headers=[("X-Same", "v")] * 60_000)
        assert another.wait_closed().kind == envelope_pb2.SessionError.KIND_PROTOCOL
    assert [r.target for r in origin_raw.requests] == ["/warm"]


def test_ex16_fifty_thousand_steps_up_in_a_url(xhrd, client, origin_raw):
    for url in ("/" + "../" * 20_000 + "end", "/" + "a/../" * 12_000 + "end", "/" + "%2e%2e/" * 8_000 + "end"):
        exchange = client.fetch(origin_raw.url(url))
        assert exchange.failure is None, exchange.text
        assert origin_raw.requests[-1].target == "/end"


def test_ex16_fifty_thousand_steps_up_in_a_redirect(client, origin_raw):
    """150 kB of Location: more than a line may have, so a limit and no work at all; a third of it
    is followed."""
    origin_raw.replies(response(status="302 F", fields=[("Location", "../" * 50_000 + "end")]), response(b"end"))
    assert client.fetch(origin_raw.url()).failure == "LIMIT"
    origin_raw.replies(response(status="302 F", fields=[("Location", "../" * 15_000 + "end")]), response(b"end"))
    assert client.fetch(origin_raw.url()).body == b"end"
    assert origin_raw.requests[-1].target == "/end"


# ---- claims: nothing a server sends makes the daemon allocate in proportion to a number it claims

HELD = b"HTTP/1.1 200 OK\r\n"
HUGE = 1 << 60


def content_length(number):
    return HELD + f"Content-Length: {number}\r\n\r\nsome".encode()


CLAIMS = {
    "Content-Length 2^60": content_length(HUGE), "Content-Length 2^63-1": content_length((1 << 63) - 1),
    "Content-Length 2^64": content_length(1 << 64), "Content-Length of 1000 digits": content_length("9" * 1000),
    "Content-Length with gzip": HELD + f"Content-Encoding: gzip\r\nContent-Length: {HUGE}\r\n\r\n".encode() + GZIP_HEAD,
    "chunk 2^60": HELD + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\nsome",
    "chunk 2^64": HELD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nsome",
    "chunk of 1000 digits": HELD + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 1000 + b"\r\nsome",
    "chunk with an extension": HELD + b"Transfer-Encoding: chunked\r\n\r\n7FFFFFFF;a=" + b"b" * 1000 + b"\r\nsome",
    "range of 2^60": (b"HTTP/1.1 206 P\r\nContent-Length: 1152921504606846976\r\n"
                      b"Content-Range: bytes 0-1152921504606846975/1152921504606846976\r\n\r\nsome"),
    "zstd of 2^60": coded(b"\x28\xb5\x2f\xfd\xc0\0" + struct.pack("<Q", HUGE), "zstd", length=False),
    "zstd dictionary": coded(b"\x28\xb5\x2f\xfd\x03\x00\xff\xff\xff\xff", "zstd", length=False),
    "zstd skippable frame": coded(b"\x50\x2a\x4d\x18\xff\xff\xff\xff", "zstd", length=False),
    "br metadata": coded(b"\x0c\xff\xff\xff\x03", "br", length=False),
    "gzip extra field": coded(b"\x1f\x8b\x08\x04\0\0\0\0\0\x03\xff\xff", "gzip", length=False),
    "cookie for ever": response(b"x", fields=[("Set-Cookie", f"a=1; Max-Age={10 ** 20}")]),
    "strict for ever": response(b"x", fields=[("Strict-Transport-Security", f"max-age={10 ** 30}")]),
    "kept alive for ever": response(b"x", fields=[("Keep-Alive", f"timeout={HUGE}, max={HUGE}")]),
    "fresh for ever": response(b"x", fields=[("Cache-Control", f"max-age={10 ** 30}"), ("Age", str(HUGE)),
                                             ("Expires", "Fri, 31 Dec 9999 23:59:59 GMT")]),
    "retry after ages": response(b"x", status="503 B", fields=[("Retry-After", str(HUGE))]),
    "nonce counts": response(b"x", status="401 U", fields=[
        ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'), ("X", "9" * 1000)]),
    "alternatives": response(b"x", fields=[("Alt-Svc", f'h3=":65535"; ma={HUGE}')]),
    "trailers announced": HELD + b"Trailer: " + b"A, " * 5000 + b"B\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "status": b"HTTP/1.1 99999999999999999999 OK\r\n\r\n", "version": b"HTTP/1152921504606846976.1 200 OK\r\n\r\n",
}


def says_and_holds(data, gone):
    def script(connection):
        connection.request()
        connection.send_and_see_read(data)
        gone.set()
        connection.wait_gone()
    return script


@pytest.mark.parametrize("claim", CLAIMS)
def test_nothing_is_allocated_in_proportion_to_a_number_that_a_server_claims(xhrd, client, origin_raw, claim):
    gone = threading.Event()
    with memory_is_flat(xhrd, client, origin_raw, SMALL_KIB):
        mapped = xhrd.memory_kib("VmSize")
        origin_raw.script = says_and_holds(CLAIMS[claim], gone)
        exchange = client.open(origin_raw.url("/claim"), no_keep_alive=True)
        assert gone.wait(20)
        client.status()  # what it was sent has been looked at: the daemon answers behind that
        grown = xhrd.memory_kib("VmSize") - mapped
        assert SANITIZED or grown <= 16 * 1024, f"{grown} KiB more are mapped"
        client.abort(exchange)
    client.send("abort", request_id=exchange.request_id)
