# SPDX-License-Identifier: MIT
"""The Debian packages, in a machine that has none of us: installed, used, upgraded, removed, purged.
One story, in this order, on one container; `./dev package` builds what it is about."""
import pathlib
import re
import shutil
import stat

import pytest
from container import Container, Unbootable, why_not
from origins import ScriptedOrigin, response
from test_systemd import ANN, connect
from waiting import wait_until
from wire import SOURCE

PACKAGES = ("xhrd", "xhr", "libxhr0", "libxhr-xml0", "libxhr-dev")
FOLDER = SOURCE / "build/package"
DEBS = [found[0] for name in PACKAGES if (found := sorted(FOLDER.glob(f"{name}_*.deb")))]
WHY_NOT = why_not() or (len(DEBS) < len(PACKAGES) and "no packages: ./dev package builds them")

pytestmark = [pytest.mark.skipif(bool(WHY_NOT), reason=str(WHY_NOT)),
              pytest.mark.xdist_group("packages")]

# What every installation or a running system changes, whatever is installed.
OTHERS = re.compile(r"/var/(lib/(dpkg|apt|systemd/(catalog|random-seed|timers|coredump|linger))|log|"
                    r"cache/(debconf|ldconfig|man|apparmor)|tmp)|/run/(systemd|log|user|lock|sudo)|"
                    r"/etc/(passwd|shadow|group|gshadow|subuid|subgid)-|/etc/\.pwd\.lock|"
                    r"/etc/ld\.so\.cache")
PROGRAM = r"""
#include <stdio.h>
#include <xhr/xhr.h>
int main(void)
{
    struct xhr_client *client = NULL;

    if (xhr_client_new(NULL, &client) < 0)
        return 1;
    xhr_client_free(client);
    return puts("linked") < 0;
}
"""


def has(machine, program):
    return machine.run("sh", "-c", f"command -v {program}", check=False).returncode == 0


def files(machine):
    """All there is, of the system's own folders."""
    out = machine.run("find", "/etc", "/usr", "/lib/systemd", "/var", "/run", "-xdev").stdout
    return {name for name in out.splitlines() if not OTHERS.match(name)}


CLEAN_ROOT = SOURCE / "build/clean-root"
ROOTS = ["/", pytest.param(CLEAN_ROOT, marks=pytest.mark.skipif(
    not (CLEAN_ROOT / ".made-of").exists(),
    reason="no clean root: ./dev package makes one where a mirror answers"))]


@pytest.fixture(scope="module", params=ROOTS, ids=["this machine", "a clean root"])
def machine(request):
    try:
        container = Container(build=None, lower=request.param)
    except Unbootable as fault:
        pytest.skip(f"no container can be booted here: {fault}")
    # An image for builds may forbid to start services: this one is a machine.
    (container.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    # man-db would index the manuals of the whole machine.
    (container.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)
    yield container
    container.stop()


def test_packages_are_installed_used_upgraded_removed_and_purged(machine, request):
    request.node.xhrd = machine
    before = files(machine)
    install(machine)
    with machine.network():
        origin = ScriptedOrigin()
    is_complete(machine)
    the_first_connection_starts_it(machine, origin)
    if has(machine, "cc"):
        libraries_can_be_used(machine)
    clients_stay_over_an_upgrade(machine, origin)
    origin.stop()
    removed_it_is_stopped_and_keeps_what_is_the_users(machine)
    machine.run("dpkg", "--purge", *PACKAGES)
    left = files(machine) - before
    assert not left, sorted(left)
    for kind in ("passwd", "group"):
        assert machine.run("getent", kind, "xhrd", check=False).returncode == 2


def install(machine):
    target = machine.root / "var/tmp/packages"
    target.mkdir(exist_ok=True)
    for deb in DEBS:
        shutil.copy(deb, target)
    machine.run("dpkg", "--install", *(f"/var/tmp/packages/{deb.name}" for deb in DEBS),
                timeout=120)


def is_complete(machine):
    """User and folders are there; the socket listens, and nothing runs."""
    assert machine.run("getent", "passwd", "xhrd").stdout.endswith("/usr/sbin/nologin\n")
    assert stat.S_IMODE((machine.root / "etc/xhrd").stat().st_mode) == 0o755
    assert machine.is_active("xhrd.socket") == "active"
    assert machine.show("xhrd.socket", "UnitFileState") == "enabled"
    assert machine.is_active() == "inactive"
    machine.run("/usr/libexec/xhrd", "--check-config")
    catalog = machine.run("journalctl", "--dump-catalog", "f5c18a4fe8704d0bacb0f2ef94dfbf8a").stdout
    assert "was not taken" in catalog
    for page in ("8 xhrd", "5 xhrd.conf", "1 xhr", "1 xhrctl", "3 libxhr"):
        section, name = page.split()
        file = machine.root / f"usr/share/man/man{section}/{name}.{section}.gz"
        assert file.is_file(), page
        if has(machine, "man"):
            assert machine.run("man", "--where", section, name).stdout == f"/{file.relative_to(machine.root)}\n"


def the_first_connection_starts_it(machine, origin):
    out = machine.run("xhr", origin.url(), uid=ANN, env={"HOME": "/home/ann"}).stdout
    assert out == "hello\n"
    assert machine.is_active() == "active"
    for kind in ("lib", "cache"):
        folder = (machine.root / f"var/{kind}/private/xhrd").stat()
        assert folder.st_uid != 0 and stat.S_IMODE(folder.st_mode) == 0o700


def libraries_can_be_used(machine):
    (machine.root / "var/tmp/user.c").write_text(PROGRAM)
    machine.run("sh", "-euc", "cd /var/tmp && cc user.c -o user $(pkg-config --cflags --libs libxhr)")
    assert machine.run("/var/tmp/user").stdout == "linked\n"


def clients_stay_over_an_upgrade(machine, origin):
    with connect(machine) as client:
        origin.reply(response(b"in", fields=[("Set-Cookie", "sid=1")]))
        assert client.fetch(origin.url()).done
        wait_until(lambda: machine.show("xhrd.service", "NFileDescriptorStore") == "3",
                   "systemd to hold the client, what is known of it and session cookies")
        pid = machine.main_pid()
        install(machine)
        wait_until(lambda: machine.main_pid() not in (0, pid), "the new one to run")
        origin.reply(response(b"hello\n"))
        assert client.fetch(origin.url()).done
        assert origin.requests[-1].get("Cookie") == "sid=1"


def removed_it_is_stopped_and_keeps_what_is_the_users(machine):
    machine.run("dpkg", "--remove", *PACKAGES)
    assert machine.is_active() == "inactive" and machine.is_active("xhrd.socket") == "inactive"
    assert not (pathlib.Path(machine.root) / "run/xhrd.sock").exists()
    assert (machine.root / "var/lib/private/xhrd").is_dir()
    assert (machine.root / "etc/xhrd/xhrd.conf").is_file()
