# SPDX-License-Identifier: MIT
"""A hostile client at work (hostiles.py), and a polite one of another user beside it, who notices
nothing: what he asks is answered, the daemon's memory stays in its bounds, and who was refused
something has his connection still. How much slower the polite one becomes is measured by
`./dev bench hostile`, for no test is timed."""
import pytest
from hostiles import KINDS, Hostile
from origins import ScriptedOrigin, response
from programs import SANITIZED
from test_policy import ANN, BOB, ROOT_ONLY, client_of
from wire import stream

pytestmark = [pytest.mark.shallow, ROOT_ONLY]
MIB = 1024  # KiB
BIG = bytes(range(256)) * 4096


@pytest.fixture
def daemon(make_xhrd, folder):
    made = make_xhrd("--system", "--log-level", "notice")
    folder.chmod(0o711)
    made.socket_path.chmod(0o666)
    return made


@pytest.fixture
def origin(daemon):
    made = ScriptedOrigin()
    made.answer = lambda request: response(
        BIG if request.target == "/big" else request.body or b"hello\n",
        fields=[("Set-Cookie", "polite=1; Max-Age=900")])
    yield made
    made.stop()


def is_served(daemon, origin):
    """Everything that one may want, on an old connection and on new ones."""
    with client_of(daemon, BOB) as old:
        for n in range(10):
            assert old.fetch(origin.url(f"/{n}")).body == b"hello\n"
            with client_of(daemon, BOB) as new:
                assert new.fetch(origin.url(), no_keep_alive=True).body == b"hello\n"
        assert old.fetch(origin.url("/big")).body == BIG
        exchange = old.open(origin.url("/up"), "PUT", body=stream(len(BIG)))
        assert old.send_all(exchange, BIG, end=True).done and exchange.body == BIG
        assert [cookie.name for cookie in old.cookies()] == [b"polite"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_client_costs_nobody_else(daemon, origin, kind):
    daemon.forget_peak()
    for _ in range(2):
        is_served(daemon, origin)
    before_kib = daemon.memory_kib("VmHWM")  # what the polite one takes is not the other's
    daemon.forget_peak()
    hostile = Hostile(kind, daemon.socket_path, ANN)
    try:
        for _ in range(2):
            is_served(daemon, origin)
        assert hostile.is_at_it(), hostile.stop()
    finally:
        said = hostile.stop()
    assert not said
    # 12 MiB may be queued for a user. The rest is what connections are made of.
    grown_kib = daemon.memory_kib("VmHWM") - before_kib
    assert SANITIZED or grown_kib <= 16 * MIB, grown_kib
    daemon.rss_before_kib = max(daemon.rss_before_kib, daemon.rss_kib())
