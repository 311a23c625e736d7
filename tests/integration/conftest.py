# SPDX-License-Identifier: MIT
"""Fixtures; tests/README.md says what each is for."""
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import container  # noqa: E402
import origins  # noqa: E402
import programs  # noqa: E402
import proxies  # noqa: E402


def pytest_configure(config):
    # In the background of a shell SIGINT is ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "shallow: also run against the sanitized build")
    config.addinivalue_line("markers", "soak: long; run by ./dev soak only")
    config.addinivalue_line("markers", "xhrd(arguments=[], config='', env={}): how to start it")
    if not programs.XHRD.exists():
        raise pytest.UsageError(f"{programs.XHRD} is not built; XHRD_BUILD says where to look")


def pytest_collection_modifyitems(config, items):
    if "soak" in (config.option.markexpr or ""):
        return
    left = [item for item in items if "soak" in item.keywords]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if "soak" not in item.keywords]


@pytest.fixture
def folder():
    """A short path: a Unix socket's may have 107 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def session_folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-s-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def ca(session_folder):
    return origins.Authority(session_folder / "ca")


@pytest.fixture(scope="session")
def other_ca(session_folder):
    """An authority nobody trusts."""
    return origins.Authority(session_folder / "other-ca", "somebody else")


@pytest.fixture
def make_xhrd(folder):
    """Start daemons with options of one's own; each is checked and stopped at the end."""
    made = []

    def make(*arguments, **options):
        made.append(programs.Daemon(folder / f"xhrd{len(made)}", *arguments, **options))
        return made[-1]

    yield make
    for daemon in made:
        daemon.finish()


@pytest.fixture(scope="session")
def booted():
    """A machine with the build installed in it and systemd running (container.py)."""
    try:
        machine = container.Container()
    except container.Unbootable as fault:
        pytest.skip(f"no container can be booted here: {fault}")
    yield machine
    machine.stop()


@pytest.fixture
def xhrd(request, folder):
    marker = request.node.get_closest_marker("xhrd")
    options = dict(marker.kwargs) if marker else {}
    daemon = programs.Daemon(folder / "xhrd", *options.pop("arguments", ()), **options)
    request.node.xhrd = daemon
    yield daemon
    daemon.finish()


@pytest.fixture
def client(xhrd):
    with xhrd.client() as connection:
        yield connection


@pytest.fixture
def another(xhrd):
    """A second connection to the same daemon, as from another process."""
    with xhrd.client(program="another") as connection:
        yield connection


@pytest.fixture
def xhr(xhrd, folder):
    return programs.Program(programs.XHR, folder, XHRD_SOCKET=str(xhrd.socket_path))


@pytest.fixture
def xhrctl(xhrd, folder):
    return programs.Program(programs.XHRCTL, folder, XHRD_SOCKET=str(xhrd.socket_path))


@pytest.fixture
def origin_raw(xhrd):
    """Stopped before the daemon is checked, so that kept connections are gone by then."""
    origin = origins.ScriptedOrigin()
    yield origin
    origin.stop()


@pytest.fixture
def origin_raw2(xhrd):
    origin = origins.ScriptedOrigin()
    yield origin
    origin.stop()


@pytest.fixture
def origin_tls(xhrd, ca):
    """The scripted origin over TLS, for localhost and 127.0.0.1."""
    origin = origins.ScriptedOrigin(origins.tls_server(ca))
    yield origin
    origin.stop()


@pytest.fixture
def make_tls_origin(xhrd, ca):
    """The same for names of one's choice."""
    made = []

    def make(*names, authority=None):
        made.append(origins.ScriptedOrigin(origins.tls_server(authority or ca, *names)))
        return made[-1]

    yield make
    for origin in made:
        origin.stop()


@pytest.fixture(scope="session")
def origin_nginx(session_folder, ca):
    nginx = origins.Nginx(session_folder / "nginx", ca)
    yield nginx
    nginx.stop()


@pytest.fixture(scope="session")
def origin_apache():
    apache = origins.Apache()
    yield apache
    apache.stop()


@pytest.fixture(scope="session")
def tinyproxy():
    proxy = proxies.Tinyproxy()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def tinyproxy_basic():
    """The same, with a login."""
    proxy = proxies.Tinyproxy(auth=True)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def squid(ca):
    proxy = proxies.Squid(ca)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def dante():
    proxy = proxies.Dante()
    yield proxy
    proxy.stop()


@pytest.fixture
def make_proxy(xhrd):
    """Scripted proxies; stopped before the daemon is checked."""
    made = []

    def make(**how):
        made.append(proxies.ScriptedProxy(**how))
        return made[-1]

    yield make
    for proxy in made:
        proxy.stop()


@pytest.fixture
def proxy_raw(make_proxy):
    return make_proxy()


@pytest.fixture
def s_server(ca):
    """Start `openssl s_server` with options; stopped at the end."""
    made = []

    def make(*options, **more):
        made.append(origins.OpensslServer(ca, *options, **more))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def make_talker(xhrd, ca):
    """Start `openssl s_server` that can be told what to do; stopped at the end."""
    made = []

    def make(*options):
        made.append(origins.OpensslTalker(ca, *options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def origin_h2(session_folder, ca):
    root = session_folder / "h2"
    root.mkdir(exist_ok=True)
    (root / "hello").write_bytes(b"hello\n")
    server = origins.Nghttpd(ca, root)
    yield server
    server.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the daemon's log."""
    outcome = yield
    report = outcome.get_result()
    daemon = getattr(item, "xhrd", None)
    if report.failed and daemon:
        report.sections.append(("xhrd's log", daemon.tail()))
