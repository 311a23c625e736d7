# SPDX-License-Identifier: MIT
"""libxhr-xml: answers of real servers as documents, through its example program."""
import gzip

import pytest
from origins import response
from programs import BUILD, Program

FEED = BUILD / "client-lib/xml/example_feed"
pytestmark = [pytest.mark.shallow,
              pytest.mark.skipif(not FEED.exists(), reason="built without libxml2")]


@pytest.fixture
def feed(xhrd, folder):
    return Program(FEED, folder, XHRD_SOCKET=str(xhrd.socket_path))


def xml(body, kind="text/xml", **more):
    return response(body, fields=[("Content-Type", kind), *more.pop("fields", ())], **more)


def test_titles_of_a_feed_from_nginx(feed, origin_nginx):
    origin_nginx.write("feed.xml", "<rss><channel><title>Néws</title><item><title>one &amp; two"
                                   "</title></item></channel></rss>".encode())
    assert feed(origin_nginx.plain_url("/feed.xml"), check=0).out == "Néws\none & two\n"


def test_long_feed_is_parsed_from_its_temporary_file(feed, origin_raw):
    body = b"<rss>" + b"".join(b"<title>%d</title>" % n for n in range(20000)) + b"</rss>"
    packed = gzip.compress(body)
    origin_raw.reply(xml(packed, fields=[("Content-Encoding", "gzip")]))
    assert feed(origin_raw.url(), check=0).out == "".join(f"{n}\n" for n in range(20000))


def test_charset_of_the_type_goes_before_the_declaration(feed, origin_raw):
    origin_raw.reply(xml("<?xml version='1.0' encoding='UTF-8'?><title>é</title>".encode("latin1"),
                         kind="application/xml; charset=iso-8859-1"))
    assert feed(origin_raw.url(), check=0).out == "é\n"


@pytest.mark.parametrize("body, said", [
    (b"<rss>\n<title>x</rss>", "2:"),
    (b"", "no body"),
    (b"<!DOCTYPE a [<!ENTITY x SYSTEM '%s'>]><title>&x;</title>", "declares entities"),
])
def test_what_is_no_document_is_told_and_leads_nowhere(feed, origin_raw, body, said):
    origin_raw.reply(xml(body.replace(b"%s", origin_raw.url("/secret").encode())))
    run = feed(origin_raw.url(), check=1)
    assert said in run.err and run.err.count("\n") == 1 and not run.out
    assert len(origin_raw.requests) == 1


def test_cut_answer_is_the_requests_error(feed, origin_raw):
    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<title>x</title>")

    origin_raw.script = script
    run = feed(origin_raw.url(), check=1)
    assert run.err and not run.out
