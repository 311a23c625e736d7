# SPDX-License-Identifier: MIT
"""A machine with a systemd of its own, for what only a service manager shows.

`systemd-nspawn --boot` on an overlay of this machine's root: what is installed here is there, what
is written there is gone with it. The build is installed into it, its units are those that are
shipped, or nothing is. Services of this machine are not started there, and its network is a loopback of its own.

The test's own process meets the daemon through the socket's file, which needs no network and no
entering; origins listen in the container's network (`network()`). Two users are made: ann, 4001,
and bob, 4002."""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from programs import BUILD, SANITIZED
from waiting import wait_until

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# In a mount namespace of its own, so that nothing is left whatever happens to us.
BOOT = """
mount -t tmpfs -o mode=755 none "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
mount -t overlay none "$SCRATCH/root" \
    -o "lowerdir=$LOWER,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work"
cd "$SCRATCH/root"
: >etc/machine-id
rm -rf etc/systemd/system etc/systemd/user etc/xhrd var/lib/private var/lib/xhrd var/log/journal
mkdir -p etc/systemd/system etc/xhrd var/log/journal
ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
for user in ann:4001 bob:4002; do
    name=${user%:*} uid=${user#*:}
    echo "$name:x:$uid:$uid::/home/$name:/bin/sh" >>etc/passwd
    echo "$name:x:$uid:" >>etc/group
    echo "$name:*:20000:0:99999:7:::" >>etc/shadow
    mkdir -p "home/$name"
    chown "$uid:$uid" "home/$name"
done
if [ -n "$BUILD" ]; then
    DESTDIR="$SCRATCH/root" cmake --install "$BUILD" >&2
    chroot . journalctl --update-catalog
    chroot . systemctl --quiet enable xhrd.socket
fi
cd /
exec systemd-nspawn -D "$SCRATCH/root" --boot --machine="$MACHINE" --register=no --keep-unit \
    --private-network --link-journal=no --console=pipe --quiet
"""


class Unbootable(Exception):
    """This machine allows no container."""


def why_not():
    """Why no container can be booted here; None when it may be tried."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    if SANITIZED:
        return "the sandbox denies what a sanitizer needs"
    for program in ("systemd-nspawn", "nsenter", "unshare", "cmake"):
        if not shutil.which(program):
            return f"there is no {program}"
    return None


def control_groups(name):
    """A control group of that name below ours, in each hierarchy that systemd uses: two containers
    in one would take each other's services for their own."""
    base = pathlib.Path("/sys/fs/cgroup")
    unified = base / "unified"
    roots = {"name=systemd": base / "systemd", "": unified if unified.is_dir() else base}
    made = []
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        root = roots.get(kind)
        if root and (root / "cgroup.procs").exists():
            made.append(root / path.lstrip("/") / name)
            made[-1].mkdir()
    return made


def remove_groups(groups):
    for group in groups:
        folders = sorted(group.rglob("*"), key=lambda path: -len(path.parts))
        for folder in (*(path for path in folders if path.is_dir()), group):
            with contextlib.suppress(OSError):
                folder.rmdir()


def is_bytes(value):
    """What is no plain text the journal tells byte by byte."""
    return isinstance(value, list) and all(isinstance(item, int) for item in value)


class Container:
    """@build: installed in it; None: nothing is. @lower: a root to boot instead of this machine's."""

    def __init__(self, build=BUILD, lower="/"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-c-", dir="/tmp"))
        self.console = self.folder / "console"
        scratch = self.folder / "scratch"
        scratch.mkdir()
        env = {"PATH": os.environ["PATH"], "SCRATCH": str(scratch), "BUILD": str(build or ""),
               "LOWER": str(lower),
               "MACHINE": f"xhrd-{os.getpid()}", "LC_ALL": "C.UTF-8"}
        try:
            self.groups = control_groups(f"xhrd-{os.getpid()}-{self.folder.name[-8:]}")
        except OSError as fault:
            raise Unbootable(f"no control group can be made: {fault}") from None
        with open(self.console, "wb") as console:
            self.nspawn = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-euc", BOOT], env=env,
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                preexec_fn=self._move_in)
        self.leader, self.run_folder, self.since = 0, -1, 0
        try:
            wait_until(self._is_up, "the container to boot", 60)
        except AssertionError as fault:  # nothing of ours is in the way of booting
            said = self.console_tail()
            self.stop()
            raise Unbootable(f"{fault}\n{said}") from None
        except BaseException:
            self.stop()
            raise
        self.root = pathlib.Path(f"/proc/{self.leader}/root")
        # Through a descriptor, as who is not root may not look into the container's /proc/PID.
        self.run_folder = os.open(self.root / "run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.socket_path = f"/proc/self/fd/{self.run_folder}/xhrd.sock"

    def _move_in(self):
        """In the child: it dies with us, and is in its own control groups."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _is_up(self):
        """It is reached through its first process, which is the child of systemd-nspawn."""
        if self.nspawn.poll() is not None:
            raise Unbootable(self.console_tail())
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        for pid in children.read_text().split():
            self.leader = int(pid)
            done = self.run("systemctl", "is-system-running", check=False)
            if done.stdout.strip() in ("running", "degraded"):
                return True
        return False

    def console_tail(self) -> str:
        return self.console.read_text(errors="replace")[-2000:]

    def tail(self) -> str:
        """The end of the journal."""
        return self.journalctl("--lines=60")

    def stop(self):
        """Switched off: services that run are not asked."""
        if self.nspawn.poll() is None and self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGRTMIN + 14)
        try:
            self.nspawn.wait(10)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        remove_groups(self.groups)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.run_folder >= 0:
            os.close(self.run_folder)

    # -- inside

    def command(self, *words, uid=None, env=None):
        """The command line that runs these words inside."""
        line = ["nsenter", "--target", str(self.leader), "--all", "--wd=/"]
        if uid:
            line += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups"]
        return [*line, "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
                "LC_ALL=C.UTF-8", *(f"{k}={v}" for k, v in (env or {}).items()), *map(str, words)]

    def run(self, *words, uid=None, env=None, check=True, input=None, timeout=60):
        done = subprocess.run(self.command(*words, uid=uid, env=env), capture_output=True,
                              text=True, input=input, timeout=timeout,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))
        assert not check or done.returncode == 0, \
            f"{shlex.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def show(self, unit, name, *more, **options) -> str:
        return self.systemctl(*more, "show", "--value", "-p", name, unit, **options).stdout.strip()

    def journalctl(self, *words) -> str:
        """Of what was said since fresh()."""
        return self.run("journalctl", "--no-pager", f"--since=@{self.since:.6f}", *words).stdout

    def journal(self, *matches):
        """Its entries, oldest first."""
        said = self.journalctl("--output=json", *matches)
        return [{name: bytes(value).decode(errors="replace") if is_bytes(value) else value
                 for name, value in json.loads(line).items()} for line in said.splitlines()]

    def pid_outside(self, inside) -> int:
        """The pid that we know for the one that the container knows."""
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                numbers = re.search(r"^NSpid:\s+(.*)", status.read_text(), re.M).group(1).split()
                if len(numbers) > 1 and numbers[-1] == str(inside) and self._is_of(status.parent):
                    return int(numbers[0])
        raise AssertionError(f"no process {inside} in the container")

    def _is_of(self, process):
        return os.readlink(process / "ns/pid") == os.readlink(f"/proc/{self.leader}/ns/pid")

    @contextlib.contextmanager
    def network(self):
        """What this thread opens inside the block is in the container's network."""
        with open("/proc/thread-self/ns/net") as ours, \
                open(f"/proc/{self.leader}/ns/net") as theirs:
            assert LIBC.setns(theirs.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert LIBC.setns(ours.fileno(), CLONE_NEWNET) == 0

    # -- the service

    def drop_in(self, text, unit="xhrd.service", manager="system"):
        """Settings of the administrator's for @unit, from its next start on; "" takes them away."""
        path = self.root / f"etc/systemd/{manager}/{unit}.d/test.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if not text:
            path.unlink()
        self.systemctl("daemon-reload")

    def configure(self, text):
        """xhrd.conf, for the next start or reload."""
        (self.root / "etc/xhrd/xhrd.conf").write_text(text)

    def fresh(self):
        """The service as after booting: the shipped unit, no configuration, stopped, no state."""
        for path in (self.root / "etc/systemd").glob("*/*.d/test.conf"):
            path.unlink()
        self.systemctl("daemon-reload")
        self.systemctl("stop", "xhrd.service")
        for folder in ("etc/xhrd", "var/lib/private", "var/cache/private"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        (self.root / "etc/xhrd").mkdir()
        self.systemctl("restart", "xhrd.socket")
        self.run("journalctl", "--sync")
        self.since = time.time()

    def main_pid(self) -> int:
        return int(self.show("xhrd.service", "MainPID"))

    def is_active(self, unit="xhrd.service") -> str:
        return self.show(unit, "ActiveState")
